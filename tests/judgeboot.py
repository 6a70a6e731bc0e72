# python3 judgeboot.py BEFORE.raw AFTER.raw BEFORE.map AFTER.map LOG
#
# Holds a session against its client's log (nbdkit's log filter): a block's number rose by exactly
# one where the guest wrote to it, and nowhere else; what differs was written. The maps are
# gow-info --map's; without numbers (version 1 and 2) the last part alone is judged.
import re
import sys

BLOCK = 65536


def numbers_of(path):
    numbers = {}
    with open(path) as lines:
        for line in lines:
            words = line.split()
            if words and words[0].isdigit() and len(words) == 4:
                for i in range(int(words[2])):
                    numbers[int(words[0]) + i] = int(words[3])
    return numbers


def changed_of(before, after):
    with open(before, "rb") as a, open(after, "rb") as b:
        block = 0
        while True:
            x, y = a.read(BLOCK), b.read(BLOCK)
            if not x and not y:
                return
            if x != y:
                yield block
            block += 1


def written_of(path):
    written, cleared = set(), set()
    with open(path) as lines:
        for line in lines:
            found = re.search(r" (Write|Zero|Trim) id=\d+ offset=0x([0-9a-f]+) count=0x([0-9a-f]+)",
                              line)
            if found:
                start, size = int(found[2], 16), int(found[3], 16)
                blocks = range(start // BLOCK, (start + size - 1) // BLOCK + 1)
                (written if found[1] == "Write" else cleared).update(blocks)
    return written, cleared


before_raw, after_raw, before_map, after_map, log = sys.argv[1:]
written, cleared = written_of(log)
bad = 0
changed = set(changed_of(before_raw, after_raw))
if not written or not changed:
    sys.exit("the guest wrote nothing")
for block in sorted(changed - written - cleared):
    bad += 1
    print(f"block {block} differs, and nobody wrote to it")
before, after = numbers_of(before_map), numbers_of(after_map)
for block in sorted(before.keys() | after.keys()):
    rise = after.get(block, 0) - before.get(block, 0)
    if block in cleared:
        right = 0 <= rise <= 1 or block not in after
    else:
        right = rise == (1 if block in written else 0)
    if not right:
        bad += 1
        print(f"block {block}: {before.get(block)} -> {after.get(block)}, "
              f"{'written' if block in written else 'not written'}")
print(f"{len(written)} blocks written, {len(changed)} changed, {len(after)} have numbers")
sys.exit(1 if bad else 0)
