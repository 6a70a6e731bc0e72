# Does to a raw disk what fio has done to another one: python3 judgefio.py DISK PATTERN LOG...
#
# LOG is a job's write_iolog (version 3), in the order in which the jobs ran; jobs that ran at the
# same time must not share bytes. PATTERN is what the job has before %o in its verify_pattern, as
# hexadecimal digits. A trim makes zeros of whole blocks (64 KiB, or what is left of the disk at its
# end), and leaves the others alone. Prints how many requests there were of each kind.
import mmap
import os
import struct
import sys

BLOCK = 65536


def lines(path):
    with open(path) as log:
        if log.readline().split()[:3] != ["fio", "version", "3"]:
            sys.exit(f"{path} is no log of fio's, version 3")
        for line in log:
            words = line.split()
            if len(words) == 5:
                yield words[2], int(words[3]), int(words[4])


def main():
    counts = {"write": 0, "trim": 0, "sync": 0, "read": 0}
    with open(sys.argv[1], "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        disk = mmap.mmap(file.fileno(), size)
    for pattern, path in zip(sys.argv[2::2], sys.argv[3::2]):
        head = bytes.fromhex(pattern)
        for what, offset, length in lines(path):
            counts[what] += 1
            if what == "write":
                piece = head + struct.pack("<Q", offset)
                disk[offset:offset + length] = (piece * (length // len(piece) + 1))[:length]
            elif what == "trim":
                first = -(-offset // BLOCK) * BLOCK
                last = offset + length
                last = last if last == size else last // BLOCK * BLOCK
                if first < last:
                    disk[first:last] = bytes(last - first)
    disk.close()
    print(" ".join(f"{what} {count}" for what, count in counts.items()))
    if not (counts["write"] and counts["trim"] and counts["sync"]):
        sys.exit("the logs are of no load")


main()
