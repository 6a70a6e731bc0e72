#!/bin/sh
# gow-info --picture: drawn for a terminal of any width, and as SVG.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

suiteSetUp() {
	# In order, in the wrong order, leaked, shared.
	printf '%s\n' 'version 1' 'size 2M' 'map 0-7 0' 'map 10-13 13 step -1' 'map 20 0' 'blocks 16' \
		'data 0-15 pattern 1' | "$GOW_TESTBIN/mkimage" - "$work/image.gow"
}

# What README.md shows; the pictures there are made of it.
readme_image() {
	printf '%s\n' 'version 1' 'size 64M' 'map 0-199 40 shuffle 5' 'map 300-420 241' \
		'map 500-540 600 shuffle 3' 'blocks 700' 'data 0-699 pattern 1' |
		"$GOW_TESTBIN/mkimage" - "$1"
}

testPlain() {
	run env COLUMNS=16 LC_ALL=C "$GOW_BIN/gow-info" --picture "$work/image.gow"
	assertStatus 4
	sed 1d "$out" >"$tmp/drawn"
	cat >"$tmp/expected" <<'END'
file: 16 blocks,
1 a cell (64
KiB)
X#######--%%%%--
guest's disk: 32
blocks, 1 a cell
(64 KiB)
X#######..#%%%..
....X...........
. not allocated
# in order
% fragmented
- leaked
X shared
fragmentation
30.0 %, 4
leaked, 0 zeros,
1 shared
corrupt: do not
boot; see
gow-check
END
	# The first of the four in the wrong order has no neighbour before it.
	sed -i 's/^X#######--%%%%--$/X#######--%%%#--/' "$tmp/expected"
	assertSameFile "$tmp/expected" "$tmp/drawn"
}

# As wide as the terminal is, whatever the size of the image.
testWidth() {
	readme_image "$tmp/image.gow"
	for width in 16 33 100; do
		run env COLUMNS=$width "$GOW_BIN/gow-info" --picture "$tmp/image.gow"
		assertStatus 0
		assertEquals "lines of more than $width" '' "$(python3 -c '
import sys
for line in open(sys.argv[1], encoding="utf-8"):
    if len(line.rstrip("\n")) > int(sys.argv[2]): print(line)' "$out" $width)"
	done
	assertOut '█'
	assertOut '▒'
	run env LC_ALL=C "$GOW_BIN/gow-info" --picture "$tmp/image.gow"
	assertNoOut '[^ -~]'
}

# terminal COMMAND: what it prints to a terminal of 50 columns.
terminal() {
	env -u COLUMNS TERM=xterm "$@" script -qec \
		"stty cols 50; '$GOW_BIN/gow-info' --picture '$tmp/image.gow'" /dev/null </dev/null >"$out"
}

testColour() {
	need_tool script || return 0
	readme_image "$tmp/image.gow"
	escape=$(printf '\033')
	terminal env
	assertOut "$escape\\[32m█"
	terminal env NO_COLOR=1
	assertNoOut "$escape"
	assertEquals 'width' 50 "$(sed -n 's/\r$//; /^╌/{p;q}' "$out" | tr -d '\n' | wc -m)"
	run gow-info --picture "$tmp/image.gow"
	assertNoOut "$escape"
}

testZeros() {
	printf '%s\n' 'version 1' 'size 1M' 'map 0-3 0' 'data 0 pattern 1' |
		"$GOW_TESTBIN/mkimage" - "$tmp/image.gow"
	run gow-info --picture "$tmp/image.gow"
	grep -q 0 "$out" && [ "$(stat -c %b "$tmp/image.gow")" -gt 8500 ] &&
		{ skip 'no holes on this file system'; return; }
	# The last page of the data reaches into the block behind it.
	assertOut '^██?░░░?$'
}

# Where blocks begin with pages, a hole ends exactly where the next block begins.
testZerosBetweenPages() {
	cat >"$tmp/layout" <<-'END'
		gow-layout 1
		name = pages
		byte-order = little
		magic = "PAGE" at 0
		magic-pending = none
		version-field = none
		logical-size = 4:8 bytes
		block-count = 12:4
		map = 16 stride 4 entries 4
		first-block = 0
		unallocated = 0xffffffff
		block-versions = none
		data-align = 4096
		limit = 256K
	END
	{
		printf 'PAGE\000\000\004\000\000\000\000\000\004\000\000\000'
		printf '\000\000\000\000\001\000\000\000\002\000\000\000\003\000\000\000'
	} >"$tmp/image"
	truncate -s $((4096 + 4 * 65536)) "$tmp/image"
	for block in 1 3; do
		head -c 65536 /dev/zero | tr '\0' x |
			dd of="$tmp/image" bs=4096 seek=$((1 + 16 * block)) conv=notrunc status=none
	done
	[ "$(stat -c %b "$tmp/image")" -le 300 ] || { skip 'no holes on this file system' && return; }
	run gow-info --picture --layout "$tmp/layout" "$tmp/image"
	assertOut '^░█░█$'
}

testNoMap() {
	for case in truncated-alone-v1 journal-missing-v1; do
		[ -d "$fixtures/$case" ] || continue
		make_image "$case" "$tmp/image.gow"
		run gow-info --picture "$tmp/image.gow"
		assertStatus 4
	done
	printf '%s\n' 'version 1' 'size 512' | "$GOW_TESTBIN/mkimage" - "$tmp/image.gow"
	run gow-info --picture "$tmp/image.gow"
	assertStatus 0
	assertOut '^file: 0 blocks'
}

# README.md's pictures are what the tools draw.
testSvg() {
	cd "$tmp" || return
	readme_image guest.gow
	for when in before after; do
		run gow-info "--picture=$when.svg" guest.gow
		assertStatus 0
		run python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$when.svg"
		assertStatus 0
		assertSameFile "$top/contrib/pictures/$when.svg" "$when.svg"
		run gow-compact guest.gow
	done
	grep -qF 'contrib/pictures/before.svg' "$top/README.md"
	assertTrue 'not in README.md' $?
	run gow-info --json --picture=after.svg guest.gow
	assertStatus 8
	assertErr 'after\.svg: exists already'
	run gow-info --json --picture=other.svg guest.gow
	assertJson '.picture == "other.svg" and .allocated_blocks == 362'
	assertEquals 'left behind' '' "$(find . -name '*gow-tmp*')"
	run gow-info --picture=none/x.svg guest.gow
	assertStatus 8
	cp guest.gow '<&>.gow'
	run gow-info --picture=name.svg '<&>.gow'
	run python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' name.svg
	assertStatus 0
	cd / || return
}

testUsage() {
	for usage in '--json --picture' "--picture=$tmp/x.svg $work/image.gow" '--map --picture'; do
		# shellcheck disable=SC2086 # options
		run gow-info $usage "$work/image.gow"
		assertStatus 16
	done
}

# shellcheck source=/dev/null
. "$SHUNIT2"
