#!/bin/sh
# The undo file of a repair says by which layout the image is read: a repair that was interrupted
# is rolled back without --layout.  Undo files of format 1, of unknown formats and with hostile
# layouts are written by `mkundo`, from the description of the format.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# le BYTES NUMBER...: each of them, little-endian.
le() {
	le_width=$1
	shift
	for le_value; do
		le_left=$le_width
		while [ "$le_left" -gt 0 ]; do
			# shellcheck disable=SC2059 # an octal number
			printf "\\$(printf %03o $((le_value & 255)))"
			le_value=$((le_value >> 8)) le_left=$((le_left - 1))
		done
	done
}

# letters: three blocks of data.
letters() {
	for letter in A B C; do
		head -c 65536 /dev/zero | tr '\000' $letter
	done
}

# layout_file NAME ORDER MAGIC PENDING VERSION SIZE COUNT MAP FIRST UNALLOCATED
layout_file() {
	cat <<END
gow-layout 1
name = $1
byte-order = $2
magic = $3 at 0
magic-pending = $4
version-field = $5 is 1
logical-size = $6
block-count = $7
map = $8
first-block = $9
unallocated = ${10}
block-versions = none
data-align = 512
limit = 1M
END
}

suiteSetUp() {
	{
		for letter in B A; do
			head -c 65536 /dev/zero | tr '\000' $letter
		done
		head -c 65536 /dev/zero
		head -c 65536 /dev/zero | tr '\000' C
	} >"$work/disk"
	# A magic that no other layout has; big-endian.
	layout_file marked big '"MARK"' '"PEND"' 4:2 '8:4 sectors' 12:4 '16 stride 4 entries 16' 1 0 \
		>"$work/marked.layout"
	printf 'MARK\000\001\000\000\000\000\002\000\000\000\000\003' >"$work/marked"
	printf '\000\000\000\002\000\000\000\001\000\000\000\000\000\000\000\003' >>"$work/marked"
	truncate -s 512 "$work/marked"
	letters >>"$work/marked"
	# The size, and the count.
	cp "$work/marked" "$work/marked.damaged"
	printf '\000\000\000\000\000\000\000\001' |
		dd of="$work/marked.damaged" bs=1 seek=8 conv=notrunc status=none
	{
		le 4 1 1 0
		printf 'MARKPEND'
		le 4 4 2 8 4 12 4 512
		le 8 0 16
		le 4 4 16 1 0
		le 8 0
		le 4 0 512
		le 8 1048576
	} >"$work/marked.bytes"
	# The preamble of the reference layouts, and a map of its own: version 1 reads it, wrongly.
	layout_file wide little '"GOW" 0x00' '"GOW!"' 4:4 '8:8 bytes' 16:4 '24 stride 8 entries 16' 0 \
		4294967295 >"$work/wide.layout"
	{
		printf 'GOW\000'
		le 4 1
		le 8 262144
		le 4 3 0
		le 8 1 0 4294967295 2
		# The other twelve.
		none=4294967295
		le 8 $none $none $none $none $none $none $none $none $none $none $none $none
	} >"$work/wide"
	truncate -s 512 "$work/wide"
	letters >>"$work/wide"
	cp "$work/wide" "$work/wide.damaged"
	le 4 1 | dd of="$work/wide.damaged" bs=1 seek=16 conv=notrunc status=none
}

# guest IMAGE NAME: what it holds, read by its own layout.
assertGuest() {
	run gow-convert --force -O raw --layout "$work/$2.layout" "$1" "$tmp/guest"
	assertStatus 0
	assertSameFile "$work/disk" "$tmp/guest"
}

# pending_by NAME: whether $image is marked by that layout.
pending_by() {
	case $1 in
	marked) [ "$(head -c 4 "$image")" = PEND ] ;;
	*) [ "$(head -c 4 "$image")" = 'GOW!' ] ;;
	esac
}

# killed NAME CALL: $image, whose repair was killed there.
killed() {
	rm -rf "$tmp/images"
	mkdir "$tmp/images"
	image=$tmp/images/image
	cp "$work/$1.damaged" "$image"
	run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL="$2:kill" \
		gow-repair -y --layout "$work/$1.layout" "$image"
}

# by_itself NAME: whatever point the repair was killed at, no --layout is needed to recover.
by_itself() {
	found=0
	for call in sync:1 sync:2 write:1 write:2 write:3 sync:3 sync:4 write:4 sync:5; do
		killed "$1" $call
		pending_by "$1" || continue
		found=$((found + 1))
		state_of "$image"
		run gow-check "$image"
		assertEquals "$call" 4 "$status"
		assertOut 'journal.pending'
		assertOut "repair \\(header"
		run gow-repair -n "$image"
		assertEquals "$call" 4 "$status"
		assertUnchanged "$image"
		run gow-repair -y "$image"
		assertEquals "$call" 1 "$status"
		assertSameFile "$work/$1" "$image"
		assertGuest "$image" "$1"
		killed "$1" $call
		run gow-repair --undo "$image"
		assertEquals "$call" 0 "$status"
		assertSameFile "$work/$1.damaged" "$image"
		assertEquals "$call: beside it" image "$(ls "$tmp/images")"
	done
	assertTrue "pending $found times" "[ $found -gt 2 ]"
}

testItRecoversByItself() {
	by_itself marked
}

# The version that reads the image is not the one that it is repaired by afterwards.
testItRecoversWhereAnotherLayoutReadsIt() {
	by_itself wide
}

testItReadsWhatWasThere() {
	killed marked sync:3
	run gow-info --json "$image"
	assertJson '.logical_size == 0 or .logical_size == 262144'
	run gow-convert --salvage "$image" "$tmp/disk.raw"
	assertTrue "salvaged: $status" "[ $((status & ~5)) -eq 0 ]"
	for letter in A B C; do
		assertTrue "$letter" "grep -q $letter '$tmp/disk.raw'"
	done
}

# Who changes an image in place knows that it is one, and in the middle of a change.
testOtherToolsKnowIt() {
	killed marked sync:3
	state_of "$image"
	for tool in gow-compact gow-upgrade; do
		run $tool "$image"
		assertStatus 4
		assertErr 'gow-repair|middle of a change'
		assertUnchanged "$image"
	done
}

# A repair that is finished is taken back by the layout in its record, too.
testUndoOfAFinishedRepair() {
	mkdir "$tmp/images"
	image=$tmp/images/image
	cp "$work/marked.damaged" "$image"
	run gow-repair -y --layout "$work/marked.layout" "$image"
	assertStatus 1
	assertSameFile "$work/marked" "$image"
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$work/marked.damaged" "$image"
}

# The bytes are those that the page describes.
testTheFirstSector() {
	killed marked sync:3
	assertEquals 2 "$(od -An -tu4 -j8 -N4 "$image.gow-undo" | tr -d ' ')"
	"$GOW_TESTBIN/mkundo" 2 "$work/marked.damaged" "$work/marked" 1 0 4 2 80 "$work/marked.bytes" \
		>"$tmp/undo"
	for file in "$image.gow-undo" "$tmp/undo"; do
		tail -c +329 "$file" | head -c 176
	done >"$tmp/layouts"
	assertEquals "layout" "$(head -c 176 "$tmp/layouts" | od -An -tx1)" \
		"$(tail -c 176 "$tmp/layouts" | od -An -tx1)"
}

# One entry for each block of the disk: the record says how many there were, and that it is so.
testOneEntryForEachBlock() {
	sed 's/^map.*/map = 16 stride 4 entries per-logical-block/' "$work/marked.layout" \
		>"$tmp/each.layout"
	cp "$work/marked" "$tmp/whole"
	printf '\000\000\000\001' | dd of="$tmp/whole" bs=1 seek=12 conv=notrunc status=none
	mkdir "$tmp/images"
	image=$tmp/images/image
	cp "$tmp/whole" "$image"
	run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL="sync:3:kill" \
		gow-repair -y --layout "$tmp/each.layout" "$image"
	assertTrue "pending" "pending_by marked"
	run gow-repair -y "$image"
	assertStatus 1
	assertSameFile "$work/marked" "$image"
	run gow-check --layout "$tmp/each.layout" "$image"
	assertStatus 0
}

# by_hand NAME FORMAT [LAYOUT [OFFSET HEX]]: $image in the middle of its repair, with an undo file
# of that format.
by_hand() {
	rm -rf "$tmp/images"
	mkdir "$tmp/images"
	image=$tmp/images/image
	by_name=$1 by_format=$2
	shift 2
	# Where the version is, and where the header ends.
	case $by_name in
	marked) by_mark=PEND by_width=2 by_end=80 ;;
	*) by_mark='GOW!' by_width=4 by_end=148 ;;
	esac
	cp "$work/$by_name.damaged" "$image"
	"$GOW_TESTBIN/mkundo" "$by_format" "$work/$by_name.damaged" "$work/$by_name" 1 0 4 $by_width \
		$by_end "$@" >"$image.gow-undo"
	printf '%s' "$by_mark" | dd of="$image" bs=1 conv=notrunc status=none
}

testFormat2ByHand() {
	by_hand marked 2 "$work/marked.bytes"
	run gow-check "$image"
	assertStatus 4
	assertOut '^ *repair \(by hand\)'
	run gow-repair -y "$image"
	assertStatus 1
	assertSameFile "$work/marked" "$image"
}

# Older programs wrote the version alone: it is looked for among the layouts that are known.
testFormat1() {
	by_hand marked 1
	run gow-check --layout "$work/marked.layout" "$image"
	assertStatus 4
	assertOut '^ *repair \(by hand\)'
	run gow-repair --undo --layout "$work/marked.layout" "$image"
	assertStatus 0
	assertSameFile "$work/marked.damaged" "$image"
	by_hand marked 1
	run gow-repair -y --layout "$work/marked.layout" "$image"
	assertStatus 1
	assertSameFile "$work/marked" "$image"
	# Nobody knows whose it is without.
	by_hand marked 1
	state_of "$image"
	for tool in gow-check 'gow-repair -y' 'gow-repair --undo'; do
		# shellcheck disable=SC2086 # a command and its option
		run $tool "$image"
		assertTrue "$tool: $status" "[ $status -ne 0 ]"
		assertUnchanged "$image"
	done
}

# The same of a reference layout, with every level of repair.
testFormat1OfAReferenceLayout() {
	make_image map-range-v1 "$tmp/first"
	cat "$fixtures/map-range-v1/recipe" "$fixtures/map-range-v1/repaired" >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/after"
	for how in -p -y --undo; do
		rm -rf "$tmp/images"
		mkdir "$tmp/images"
		image=$tmp/images/image
		cp --sparse=always "$tmp/first" "$image"
		"$GOW_TESTBIN/mkundo" 1 "$tmp/first" "$tmp/after" 1 0 4 4 4194324 >"$image.gow-undo"
		printf 'GOW!' | dd of="$image" bs=1 conv=notrunc status=none
		run gow-repair $how "$image"
		case $how in
		-p) assertTrue "$how: $status" "[ $((status & 72)) -eq 0 ]" ;;
		-y) assertStatus 1 ;;
		*) assertStatus 0 ;;
		esac
		if [ $how = -y ]; then
			assertSameFile "$tmp/after" "$image"
		else
			assertSameFile "$tmp/first" "$image"
		fi
	done
}

# refuses RE [TOOL-OPTION...]: the mark stays, and it is said why.
refuses() {
	state_of "$image"
	refuses_re=$1
	shift
	for how in '-p' '-y --clear-pending' '--undo'; do
		# shellcheck disable=SC2086 # options
		run gow-repair $how "$@" "$image"
		assertTrue "$how: $status" "[ $((status & 12)) -ne 0 ]"
		assertErr "$refuses_re"
		assertUnchanged "$image"
	done
}

testUnknownFormats() {
	for format in 0 3 4294967295; do
		by_hand wide $format
		refuses 'of format '$format'[^0-9].*newer'
	done
	by_hand marked 3 "$work/marked.bytes"
	refuses 'of format 3[^0-9].*newer' --layout "$work/marked.layout"
}

# poked OFFSET HEX: the bytes of the layout with others, and the hash of these.
poked() {
	cp "$work/marked.bytes" "$tmp/poked.bytes"
	printf '%s' "$2" | sed 's/../\\\\x&/g' | xargs printf %b |
		dd of="$tmp/poked.bytes" bs=1 seek="$1" conv=notrunc status=none
}

# What a layout cannot be is none, and what another image has is not this one's.
testHostileLayouts() {
	while read -r offset bytes; do
		poked "$offset" "$bytes"
		by_hand marked 2 "$tmp/poked.bytes"
		state_of "$image"
		for tool in gow-check 'gow-repair -y' 'gow-repair --undo'; do
			# shellcheck disable=SC2086 # a command and its option
			run $tool "$image"
			assertTrue "$offset $bytes, $tool: $status" "[ $((status & 12)) -ne 0 ]"
			assertUnchanged "$image"
		done
		# By the layout that the image really has: the record is not that of the change.
		run gow-repair -y --clear-pending --layout "$work/marked.layout" "$image"
		assertTrue "$offset $bytes, --layout: $status" "[ $((status & 12)) -ne 0 ]"
		assertUnchanged "$image"
	done <<END
0 02000000
4 02000000
4 ffffffff
8 ffffffff
16 4d41524b
20 ffffffffffffffff
20 0400000000000000
24 09000000
24 00000001
28 0000000004000000
32 ff000000
44 03000000
48 ffffffffffffffff
56 ffffffffffffffff
56 ffffffffffffff1f
64 00000000
64 ffffffff
68 00000000
68 ffffffff
72 02000000
80 ffffffffffffffff
88 04000000
88 ffffffff
92 00000000
92 ffffffff
96 ffffffffffffffff
END
}

# The hash of the layout, the version beside it, and a word that has no meaning yet.
testALayoutThatContradictsItself() {
	for place in '440 00000000' '328 02000000' '12 02000000' '432 02000000'; do
		by_hand marked 2 "$work/marked.bytes" "${place%% *}" "${place#* }"
		state_of "$image"
		run gow-check "$image"
		assertStatus 8
		refuses 'layout' --layout "$work/marked.layout"
	done
}

# shellcheck source=/dev/null
. "$SHUNIT2"
