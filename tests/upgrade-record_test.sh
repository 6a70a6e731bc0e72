#!/bin/sh
# The record of an interrupted upgrade, and what happens to it: the mark lost, the file
# longer, a cursor damaged or unreadable, writes that the disk garbles.  What comes of it
# is read by `guest`, which shares no code with the tools.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=guest.sh
. "$TESTS/guest.sh"

suiteSetUp() {
	cat >"$work/recipe" <<END
version 1
size 25M-1536
map 0-299 3 shuffle 7
map 310-389 303 shuffle 9
map 399 390
blocks 392
data 0-299 pattern 3
data 300-389 pattern 6
data 390 pattern 7
truncate end-100
END
	make_image "$work/recipe" "$work/first"
	make_raw "$work/recipe" "$work/raw"
	# Three chunks have been moved, and the fourth is being copied.
	take_copy "$work/first" "$work/pending"
	run_faulty FAULTIO_FILE="$work/pending" FAULTIO_FAIL=sync:12:kill \
		gow-upgrade --to 2 "$work/pending"
	size=$(stat -c %s "$work/pending")
	# gow-trailer(5): gap, cursor, gap, cursor, gap, footer.
	# shellcheck disable=SC2034 # by eval
	cursor_0=$((size - 5 * 4096)) cursor_1=$((size - 3 * 4096))
}

# poke FILE OFFSET OCTAL: writes that byte.
poke() {
	# shellcheck disable=SC2059 # an octal number
	printf "\\$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# recovers FILE: resumed it has the guest's disk, and rolled back it is as it was.
recovers() {
	cp --sparse=always "$1" "$tmp/copy"
	run gow-upgrade --rollback "$tmp/copy"
	assertStatus 0
	assertSameFile "$work/first" "$tmp/copy"
	cp --sparse=always "$1" "$tmp/copy"
	run gow-upgrade --to 2 "$tmp/copy"
	assertStatus 0
	assertGuest "$tmp/copy" "$work/raw"
	assertEquals "version 2" "$(header "$tmp/copy" | cut -d' ' -f1-2)"
	rm "$tmp/copy"
}

testItIsInTheMiddle() {
	run gow-check "$work/pending"
	assertStatus 4
	assertNoOut '\((0) of|of ([0-9]+) bytes.*\2 of'
	recovers "$work/pending"
}

testARecordInProgressCountsWithoutTheMark() {
	take_copy "$work/pending" "$tmp/image"
	poke "$tmp/image" 3 0
	state_of "$tmp/image"
	for command in 'gow-check' 'gow-check --boot' 'gow-check --data' 'gow-info' 'gow-compact' \
		'gow-compact -n' "gow-compact -o $tmp/out" "gow-upgrade -o $tmp/out" \
		'gow-repair -n'; do
		# shellcheck disable=SC2086 # words
		run $command "$tmp/image"
		assertStatus 4
		assertUnchanged "$tmp/image"
	done
	run gow-check --boot "$tmp/image"
	assertOut 'journal.pending.*'
	run gow-convert -O raw "$tmp/image" "$tmp/out"
	assertStatus 4
	assertFalse "a file was made" "[ -e '$tmp/out' ]"
	run gow-upgrade -n --json "$tmp/image"
	assertStatus 0
	assertJson .resumed
	assertUnchanged "$tmp/image"
	recovers "$tmp/image"
	run gow-repair -p "$tmp/image"
	assertStatus 3
	assertGuest "$tmp/image" "$work/raw"
}

# The version 3 that is asked for is not 2: what was begun comes first all the same.
testARecordWithoutTheMarkIsNotCutOff() {
	take_copy "$work/pending" "$tmp/image"
	poke "$tmp/image" 3 0
	run gow-upgrade "$tmp/image"
	assertStatus 0
	assertGuest "$tmp/image" "$work/raw"
	assertEquals "version 3" "$(header "$tmp/image" | cut -d' ' -f1-2)"
}

# The version is lost as well: gow-repair is told it, and must not call half an image sound.
testAssumeVersionRestoresTheMark() {
	for mark in 0 41 170; do
		for version in 1 2; do
			take_copy "$work/pending" "$tmp/image"
			poke "$tmp/image" 3 $mark
			poke "$tmp/image" 4 377
			state_of "$tmp/image"
			run gow-repair -n --assume-version $version "$tmp/image"
			assertNoOut 'safe to boot'
			assertUnchanged "$tmp/image"
			run gow-repair -y --assume-version 3 "$tmp/image"
			assertStatus 4
			assertUnchanged "$tmp/image"
			run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=sync:3:kill \
				gow-repair -y --assume-version $version "$tmp/image"
			assertTrue "no mark" "is_pending '$tmp/image'"
			run gow-repair -y "$tmp/image"
			assertStatus 3
			assertGuest "$tmp/image" "$work/raw"
		done
	done
}

testAFileThatBecameLonger() {
	mark=41 # the mark, and then none
	# Also by so much that the record begins or ends a piece of 1 MiB in which it is looked for.
	for more in 512 1044580 1M 7340032; do
		take_copy "$work/pending" "$tmp/image"
		truncate -s "+$more" "$tmp/image"
		poke "$tmp/image" 3 $mark
		run gow-check --boot "$tmp/image"
		assertStatus 4
		assertOut 'journal.pending'
		recovers "$tmp/image"
		mark=$((41 - mark))
	done
	# What was added may be of use to somebody: the first byte of it, one in the middle, the last.
	for byte in 512:0 7340032:1048576 8704:8703 12800:12799; do
		take_copy "$work/pending" "$tmp/image"
		truncate -s "+${byte%:*}" "$tmp/image"
		poke "$tmp/image" $((size + ${byte#*:})) 7
		state_of "$tmp/image"
		for option in '' --rollback; do
			# shellcheck disable=SC2086 # nothing, or an option
			run gow-upgrade $option "$tmp/image"
			assertStatus 4
			assertErr "at byte $((size + ${byte#*:})); .*cut the file to $size bytes"
			assertUnchanged "$tmp/image"
		done
	done
}

testEitherCursorIsGoodEnough() {
	at=24
	for cursor in 0 1; do
		take_copy "$work/pending" "$tmp/image"
		eval "poke '$tmp/image' \$((cursor_$cursor + at)) 5"
		run gow-check "$tmp/image"
		assertStatus 4
		assertOut 'journal.pending'
		recovers "$tmp/image"
	done
}

# A hole that is moved as one is longer than other chunks: what comes next is written over where it
# was. With no cursor may it be moved again.
testEitherCursorIsGoodEnoughBehindAHole() {
	printf '%s\n' 'version 1' 'size 40M' 'map 0-99 0' 'map 100-399 100' 'map 400-450 400' \
		'data 0-99 pattern 3' 'data 400-450 pattern 6' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/first"
	make_raw "$tmp/recipe" "$tmp/raw"
	for call in sync:11 sync:12; do
		take_copy "$tmp/first" "$tmp/killed"
		run_faulty FAULTIO_FILE="$tmp/killed" FAULTIO_FAIL=$call:kill \
			gow-upgrade --to 2 "$tmp/killed"
		end=$(stat -c %s "$tmp/killed")
		for cursor in 5 3; do
			take_copy "$tmp/killed" "$tmp/image"
			poke "$tmp/image" $((end - cursor * 4096 + 24)) 5
			run gow-upgrade --to 2 "$tmp/image"
			assertStatus 0
			assertGuest "$tmp/image" "$tmp/raw"
		done
	done
}

testACursorThatCannotBeRead() {
	for cursor in 0 1; do
		eval "at=\$cursor_$cursor"
		for tool in 'gow-check' 'gow-upgrade -n' 'gow-upgrade'; do
			take_copy "$work/pending" "$tmp/image"
			# shellcheck disable=SC2086 # words
			run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_READ="$at-$((at + 512))" \
				$tool "$tmp/image"
			case $tool in
			gow-check)
				assertStatus 4
				assertOut journal.pending
				;;
			*-n) assertStatus 0 ;;
			*) [ "$status" = 0 ] || [ "$status" = 8 ] || fail "status $status" ;;
			esac
		done
		if is_pending "$tmp/image"; then
			recovers "$tmp/image"
		else
			assertGuest "$tmp/image" "$work/raw"
		fi
	done
}

is_pending() {
	[ "$(head -c 4 "$1" | tail -c 1)" = '!' ]
}

# An image that is at rest is nobody's to go on with, whichever cursor is left: its guest may have
# been started, and the header in the record is old.
testEitherCursorKnowsThatItIsOver() {
	for option in --to=2 --rollback; do
		take_copy "$work/first" "$tmp/image"
		[ $option = --to=2 ] || run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=sync:12:kill \
			gow-upgrade --to 2 "$tmp/image"
		take_copy "$tmp/image" "$tmp/before"
		rm -f "$tmp/trace"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" gow-upgrade $option "$tmp/image"
		take_copy "$tmp/before" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" \
			FAULTIO_FAIL="truncate:$(grep -c '^truncate ' "$tmp/trace"):kill" \
			gow-upgrade $option "$tmp/image"
		assertFalse "$option: at rest" "is_pending '$tmp/image'"
		end=$(($(stat -c %s "$tmp/image") - 4096))
		for cursor in $((end - 4 * 4096)) $((end - 2 * 4096)); do
			take_copy "$tmp/image" "$tmp/damaged"
			dd if=/dev/zero of="$tmp/damaged" bs=4096 count=1 seek=$cursor oflag=seek_bytes \
				conv=notrunc status=none
			run gow-check --boot "$tmp/damaged"
			assertEquals "$option, without the cursor at $cursor" 0 "$status"
		done
	done
}

# ---- a disk that garbles what is written ----

# The copy of the old header is what a rollback stands on.
testAGarbledRecordIsNotedAtOnce() {
	for nth in 1 2 5 6 7 8; do
		take_copy "$work/first" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL="write:$nth:flip,sync:9:kill" \
			gow-upgrade --to 2 "$tmp/image"
		assertStatus 8
		assertErr 'reads back as something else'
		if [ "$nth" -lt 8 ]; then
			assertSameFile "$work/first" "$tmp/image"
		fi
	done
}

testEveryGarbledWriteIsNoted() {
	take_copy "$work/first" "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" \
		gow-upgrade --to 2 "$tmp/image"
	assertStatus 0
	count=$(grep -c "^write " "$tmp/trace")
	nth=1
	while [ "$nth" -le "$count" ]; do
		take_copy "$work/first" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL="write:$nth:flip" \
			gow-upgrade --to 2 "$tmp/image"
		assertEquals "write $nth of $count" 8 "$status"
		if is_pending "$tmp/image"; then
			recovers "$tmp/image"
		fi
		# The header is hundreds of writes that are alike.
		nth=$((nth + (nth > 12 && nth < count - 12 ? 37 : 1)))
	done
}

# put_hash FILE OFFSET LENGTH WHERE: the XXH3-128 of these bytes.
put_hash() {
	tail -c +$(($2 + 1)) "$1" | head -c "$3" | xxhsum -H2 | cut -d' ' -f1 |
		sed 's/../\\\\x&/g' | xargs printf %b | dd of="$1" bs=1 seek="$4" conv=notrunc status=none
}

# seal_record FILE: the hashes of the footer, with which FILE ends, and of the cursors.
seal_record() {
	seal_at=$(($(stat -c %s "$1") - 4096))
	put_hash "$1" $seal_at 4080 $((seal_at + 4080))
	for cursor in $((seal_at - 4 * 4096)) $((seal_at - 2 * 4096)); do
		dd if="$1" of="$1" bs=1 skip=$((seal_at + 4080)) seek=$((cursor + 48)) count=16 \
			conv=notrunc status=none
		put_hash "$1" "$cursor" 4080 $((cursor + 4080))
	done
}

# A whole record of a map in which two entries name one block: what would come of it is judged
# before the mark is removed.
testTheResultIsJudged() {
	need_tool xxhsum || return 0
	take_copy "$work/pending" "$tmp/wrong"
	footer=$((size - 4096))
	start=$(od -An -tu8 -j$((footer + 40)) -N8 "$tmp/wrong" | tr -d ' ')
	length=$(od -An -tu8 -j$((footer + 48)) -N8 "$tmp/wrong" | tr -d ' ')
	dd if="$work/pending" of="$tmp/wrong" bs=1 skip=$((start + 44)) seek=$((start + 40)) count=4 \
		conv=notrunc status=none
	put_hash "$tmp/wrong" "$start" "$length" $((footer + 88))
	seal_record "$tmp/wrong"
	for how in '--to 2' --rollback; do
		take_copy "$tmp/wrong" "$tmp/image"
		# shellcheck disable=SC2086 # an option and its value
		run gow-upgrade $how "$tmp/image"
		assertStatus 4
		assertErr 'map\.crosslink'
		assertTrue "$how: the mark is gone" "is_pending '$tmp/image'"
	done
}

# A layout that the tools do not have, with one entry for each block of the disk: its record has
# it, and is found and finished without --layout.
testALayoutOfItsOwn() {
	cat >"$tmp/each.layout" <<END
gow-layout 1
name = each
byte-order = little
magic = "GOW" 0x00 at 0
magic-pending = "GOW!"
version-field = 4:4 is 1
logical-size = 8:8 bytes
block-count = 16:4
map = 20 stride 8 entries per-logical-block
first-block = 0
unallocated = 4294967295
block-versions = none
data-align = 512
limit = 1G
END
	printf 'GOW\000\001\000\000\000\000\000\003\000\000\000\000\000\003\000\000\000' >"$tmp/each"
	printf '\001\000\000\000____\000\000\000\000____\002\000\000\000' >>"$tmp/each"
	truncate -s 512 "$tmp/each"
	for letter in A B C; do
		head -c 65536 /dev/zero | tr '\000' $letter
	done >>"$tmp/each"
	run gow-convert -O raw --layout "$tmp/each.layout" "$tmp/each" "$tmp/disk"
	assertStatus 0
	times=0
	for call in sync:3 sync:4 sync:5 sync:6 sync:8; do
		for how in '' --rollback; do
			cp "$tmp/each" "$tmp/copy"
			run_faulty FAULTIO_FILE="$tmp/copy" FAULTIO_FAIL=$call:kill \
				gow-upgrade --layout "$tmp/each.layout" "$tmp/copy"
			[ "$(head -c 4 "$tmp/copy")" = 'GOW!' ] || continue
			times=$((times + 1))
			run gow-check "$tmp/copy"
			assertEquals "$call" 4 "$status"
			assertOut 'journal.pending'
			run gow-upgrade $how "$tmp/copy"
			assertEquals "$call $how" 0 "$status"
			if [ -n "$how" ]; then
				assertSameFile "$tmp/each" "$tmp/copy"
			else
				assertGuest "$tmp/copy" "$tmp/disk"
			fi
		done
	done
	assertTrue "pending $times times" "[ $times -gt 4 ]"
}

# A version number that no layout has: the header is read by the layout in the record alone, before
# the mark is set as well.
testAVersionThatNobodyKnows() {
	need_tool xxhsum || return 0
	cat >"$tmp/none.layout" <<END
gow-layout 1
name = none
byte-order = little
magic = "GOW" 0x00 at 0
magic-pending = "GOW!"
version-field = 4:4 is 0
logical-size = 8:8 bytes
block-count = 16:4
map = 24 stride 8 entries 16
first-block = 1
unallocated = 0
block-versions = none
data-align = 512
limit = 1M
END
	printf 'GOW\000\000\000\000\000\000\000\003\000\000\000\000\000\003\000\000\000' >"$tmp/none"
	printf '____\002\000\000\000____\001\000\000\000____\003\000\000\000' >>"$tmp/none"
	truncate -s 512 "$tmp/none"
	for letter in A B C; do
		head -c 65536 /dev/zero | tr '\000' $letter
	done >>"$tmp/none"
	run gow-convert -O raw --layout "$tmp/none.layout" "$tmp/none" "$tmp/disk"
	assertStatus 0
	times=0
	for call in sync:3 sync:4 sync:5 sync:6 sync:8; do
		cp "$tmp/none" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=$call:kill \
			gow-upgrade --layout "$tmp/none.layout" "$tmp/image"
		assertEquals "$call" 137 "$status"
		cp "$tmp/image" "$tmp/copy"
		if is_pending "$tmp/image"; then
			times=$((times + 1))
			for tool in 'gow-check --boot' gow-info; do
				# shellcheck disable=SC2086 # words
				run $tool "$tmp/copy"
				assertEquals "$call" 4 "$status"
				assertOut 'journal.pending|middle of a change'
			done
		fi
		run gow-upgrade --rollback "$tmp/copy"
		assertEquals "$call" 0 "$status"
		is_pending "$tmp/image" && assertSameFile "$tmp/none" "$tmp/copy"
		cp "$tmp/image" "$tmp/copy"
		run gow-upgrade "$tmp/copy"
		assertEquals "$call" 0 "$status"
		assertEquals "version 3" "$(header "$tmp/copy" | cut -d' ' -f1-2)"
		assertGuest "$tmp/copy" "$tmp/disk"
	done
	assertTrue "pending $times times" "[ $times -gt 3 ]"
}

# The same of the new layout, in a record that is of use for a rollback only.
testANewVersionThatNobodyKnows() {
	need_tool xxhsum || return 0
	take_copy "$work/pending" "$tmp/image"
	for at in 4 $((size - 4096 + 16)) $((size - 4096 + 256)); do
		poke "$tmp/image" "$at" 11
	done
	seal_record "$tmp/image"
	run gow-check --boot "$tmp/image"
	assertStatus 4
	assertOut 'journal.pending'
	run gow-upgrade --rollback "$tmp/image"
	assertStatus 0
	assertSameFile "$work/first" "$tmp/image"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
