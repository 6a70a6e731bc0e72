#!/bin/sh
# A medium that garbles one read and says nothing: a tool that changes an image in place writes the
# right bytes, or fails, and then what is there is what it was or is put right by the next run.
# (What garbles writes is in the suites of the tools.)
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=guest.sh
. "$TESTS/guest.sh"

# A block of zeros but for its last bit is at the mercy of one flip.
suiteSetUp() {
	{
		printf 'version 1\nsize 4M\nmap 0-19 30 step -1\nmap 40-48 2\nblocks 40\n'
		printf 'data 0-5 pattern 1\ndata 11-30 pattern 2\ndata 6-7 last 01\ndata 8-9 zero\n'
	} >"$work/recipe"
	make_image "$work/recipe" "$work/image"
	make_raw "$work/recipe" "$work/raw"
	take_copy "$work/image" "$work/half"
	run_faulty FAULTIO_FILE="$work/half" FAULTIO_FAIL=sync:9:kill gow-upgrade --to 2 "$work/half"
}

# reads TRACE: the reads to garble, and with each the byte, one a line. Of reads that are
# as long as each other a few are taken.
reads() {
	awk '$1 == "read" && $5 > 0 {
		seen[$5]++
		if (seen[$5] > 3 && seen[$5] % 67)
			next
		print $2, $4 + $5 - 1
		for (at = 0; at < 2; at++) {
			place = at ? 12 : 20 # the disk has its size there, and block 0 its entry
			if ($4 <= place && place < $4 + $5)
				print $2, place
		}
	}' "$1"
}

# garble TOOL ARGUMENT...: the same for $work/$before and every read of that; judge says what has to
# be so.
garble() {
	take_copy "$work/$before" "$tmp/image"
	rm -f "$tmp/trace"
	run_faulty FAULTIO_FILE="$tmp/image*" FAULTIO_TRACE="$tmp/trace" "$@" "$tmp/image"
	[ "$status" -le 1 ] || fail "$*: status $status"
	reads "$tmp/trace" >"$tmp/reads"
	assertTrue "$* reads" "[ $(wc -l <"$tmp/reads") -gt 9 ]"
	while read -r nth byte; do
		rm -f "$tmp"/image*
		take_copy "$work/$before" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image*" FAULTIO_FAIL="read:$nth:flip=$byte" "$@" "$tmp/image"
		garbled="$* with byte $byte of read $nth garbled"
		[ $((status & ~15)) -eq 0 ] || fail "$garbled: status $status"
		judge "$@"
	done <"$tmp/reads"
}

# The guest's disk, now or after another run.
judge() {
	if [ "$status" -ne 0 ]; then
		run "$@" "$tmp/image"
		assertEquals "$garbled, again" 0 "$status"
	fi
	"$GOW_TESTBIN/guest" "$tmp/image" "$tmp/guest.raw" >/dev/null 2>&1
	assertTrue "$garbled" "cmp -s '$tmp/guest.raw' '$work/raw'"
}

testCompact() {
	before=image
	garble gow-compact
	garble gow-compact --keep-zeros
}

testUpgrade() {
	before=image
	garble gow-upgrade --to 2
	before=half
	garble gow-upgrade --to 2
	garble gow-upgrade --rollback
}

# What a repair overwrites is in its undo file as the disk had it.
testRepair() {
	make_image crosslink-three-v1 "$work/damaged"
	before=damaged
	take_copy "$work/damaged" "$work/repaired"
	run gow-repair -y "$work/repaired"
	judge() {
		if [ $((status & 8)) -eq 0 ]; then
			assertTrue "$garbled" "cmp -s '$work/repaired' '$tmp/image'"
			run gow-repair --undo "$tmp/image"
			assertEquals "$garbled, undone" 0 "$status"
		else
			run gow-repair -p "$tmp/image"
		fi
		assertTrue "$garbled, back" "cmp -s '$work/damaged' '$tmp/image'"
	}
	garble gow-repair -y
}

# shellcheck source=/dev/null
. "$SHUNIT2"
