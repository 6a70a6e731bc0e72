#!/bin/sh
# Images of other layouts than the reference ones, told by --layout to every tool that opens
# an image. The image is made here, byte by byte, from what its layout says.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# Big-endian, entries count from 1, 0 is "not allocated", no version field.
suiteSetUp() {
	cat >"$work/big.layout" <<END
gow-layout 1
name = big
byte-order = big
magic = "BIG!" at 0
magic-pending = none
version-field = none
logical-size = 4:8 bytes
block-count = 12:4
map = 16 stride 4 entries 16
first-block = 1
unallocated = 0
block-versions = none
data-align = 512
limit = 1M
END
	printf 'BIG!\000\000\000\000\000\004\000\000\000\000\000\003' >"$work/big"
	printf '\000\000\000\002\000\000\000\001\000\000\000\000\000\000\000\003' >>"$work/big"
	truncate -s 512 "$work/big"
	for letter in A B C; do
		head -c 65536 /dev/zero | tr '\000' $letter
	done >>"$work/big"
	{
		for letter in B A; do
			head -c 65536 /dev/zero | tr '\000' $letter
		done
		head -c 65536 /dev/zero
		head -c 65536 /dev/zero | tr '\000' C
	} >"$work/disk"
}

testUnknownWithoutIt() {
	for tool in gow-info gow-check gow-compact 'gow-repair -y' gow-upgrade; do
		# shellcheck disable=SC2086 # a command and its option
		run $tool "$work/big"
		assertStatus 8
	done
}

testReading() {
	run gow-info --json --layout "$work/big.layout" "$work/big"
	assertStatus 0
	assertJson '.logical_size == 262144 and .allocated_blocks == 3'
	run gow-check --digest --json --layout "$work/big.layout" "$work/big"
	assertStatus 0
	assertJson '.findings == [] and (.digest | length) == 32'
}

testInPlace() {
	cp "$work/big" "$tmp/big"
	state_of "$tmp/big"
	for tool in gow-compact 'gow-repair -y' 'gow-repair -p'; do
		# shellcheck disable=SC2086 # a command and its option
		run $tool --layout "$work/big.layout" "$tmp/big"
		assertStatus 0
		assertUnchanged "$tmp/big"
	done
	run gow-upgrade --layout "$work/big.layout" "$tmp/big"
	assertNotEquals 0 "$status"
	assertUnchanged "$tmp/big"
	# A leaked block in the middle: the last one moves down, and the count with it.
	printf '\000\000\000\000' | dd of="$tmp/big" bs=1 seek=20 conv=notrunc status=none
	run gow-compact --layout "$work/big.layout" "$tmp/big"
	assertStatus 0
	assertEquals 131584 "$(stat -c %s "$tmp/big")"
	assertEquals 00000002 "$(od -An -tx1 -j12 -N4 "$tmp/big" | tr -d ' ')"
}

testConvert() {
	run gow-convert --layout "$work/big.layout" "$work/big" "$tmp/disk.raw"
	assertStatus 0
	assertSameFile "$work/disk" "$tmp/disk.raw"
	run gow-convert --verify --layout "$work/big.layout" "$work/big" "$tmp/disk.gow"
	assertStatus 0
	run gow-convert "$tmp/disk.gow" "$tmp/again.raw"
	assertSameFile "$work/disk" "$tmp/again.raw"
}

# A size that counts sectors, and a place for the mark and the record of a change.
make_marked() {
	cat >"$tmp/marked.layout" <<END
gow-layout 1
name = marked
byte-order = big
magic = "MARK" at 0
magic-pending = "PEND"
version-field = 4:2 is 1
logical-size = 8:4 sectors
block-count = 12:4
map = 16 stride 4 entries 16
first-block = 1
unallocated = 0
block-versions = none
data-align = 512
limit = 1M
END
	printf 'MARK\000\001\000\000\000\000\002\000\000\000\000\003' >"$tmp/marked"
	printf '\000\000\000\002\000\000\000\001\000\000\000\000\000\000\000\003' >>"$tmp/marked"
	truncate -s 512 "$tmp/marked"
	tail -c +513 "$work/big" >>"$tmp/marked"
}

# A layout in a configuration directory that has a magic is tried without being asked for.
testConfigurationDirectory() {
	make_marked
	mkdir -p "$tmp/config/gow/layouts.d"
	cp "$work/big.layout" "$tmp/marked.layout" "$tmp/config/gow/layouts.d"
	XDG_CONFIG_HOME=$tmp/config
	export XDG_CONFIG_HOME
	for image in "$work/big" "$tmp/marked"; do
		name=$(basename "$image")
		for tool in gow-info gow-check 'gow-compact -n' 'gow-repair -n'; do
			# shellcheck disable=SC2086 # a command and its option
			run $tool "$image"
			assertEquals "$tool $image" 0 "$status"
		done
		run gow-probe --json "$image"
		assertEquals "known $name" "$(jq -r '.verdict + " " + .layout.name' "$out")"
		run gow-convert --force "$image" "$tmp/disk.raw"
		assertStatus 0
		assertSameFile "$work/disk" "$tmp/disk.raw"
		run gow-compact --digest -o "$tmp/new-$name" "$image"
		assertStatus 0
		run gow-info --json --layout "$name" "$tmp/new-$name"
		assertJson '.layout == "'"$name"'" and .allocated_blocks == 3'
	done
	unset XDG_CONFIG_HOME
}

# The version that no field tells is none.
testNoVersion() {
	run gow-info --json --layout "$work/big.layout" "$work/big"
	assertJson '.version == null and .layout == "big"'
	run gow-info --layout "$work/big.layout" "$work/big"
	assertOut '^version: *none$'
	run gow-check --layout "$work/big.layout" "$work/big"
	assertOut 'layout big, 256 KiB, sound'
	run gow-convert --json --layout "$work/big.layout" "$work/big" "$tmp/disk.raw"
	assertJson '.source_format == "gow"'
}

# The number counts sectors, and is written as such.
testRepairOfSectors() {
	make_marked
	printf '\000\000\000\000' | dd of="$tmp/marked" bs=1 seek=8 conv=notrunc status=none
	cp "$tmp/marked" "$tmp/before"
	run gow-repair -y --layout "$tmp/marked.layout" "$tmp/marked"
	assertStatus 1
	assertEquals 00000200 "$(od -An -tx1 -j8 -N4 "$tmp/marked" | tr -d ' ')"
	run gow-repair --undo --layout "$tmp/marked.layout" "$tmp/marked"
	assertStatus 0
	assertSameFile "$tmp/before" "$tmp/marked"
}

# What cannot be marked is not changed, and it is said why and what to do.
testNoPlaceForTheMark() {
	cp "$work/big" "$tmp/big"
	printf '\000\000\000\011' | dd of="$tmp/big" bs=1 seek=16 conv=notrunc status=none
	state_of "$tmp/big"
	for how in -y -n; do
		run gow-repair $how --layout "$work/big.layout" "$tmp/big"
		assertStatus 8
		assertErr 'magic-pending.*gow-convert --salvage --layout'
		assertUnchanged "$tmp/big"
	done
	run gow-upgrade --layout "$work/big.layout" "$work/big"
	assertErr 'magic-pending.*gow-convert --layout'
	run gow-convert --salvage --layout "$work/big.layout" "$tmp/big" "$tmp/disk.gow"
	assertStatus 4
	run gow-check "$tmp/disk.gow"
	assertStatus 0
}

# The digests around a change are those of the image's own layout.
testDigestOfAChange() {
	cp "$work/big" "$tmp/big"
	printf '\000\000\000\000' | dd of="$tmp/big" bs=1 seek=20 conv=notrunc status=none
	run gow-compact --digest --json --layout "$work/big.layout" "$tmp/big"
	assertStatus 0
	assertJson '[.. | strings | select(test("^[0-9a-f]{32}$"))] | length == 2 and .[0] == .[1]'
}

# "auto" is for reading only.
testAutoDoesNotWrite() {
	for tool in gow-compact 'gow-compact -o new' gow-upgrade 'gow-upgrade -o new' 'gow-repair -n' \
		'gow-repair --undo'; do
		# shellcheck disable=SC2086 # a command and its option
		run $tool --layout auto "$work/big"
		assertEquals "$tool" 16 "$status"
		assertErr 'gow-probe'
	done
}

testAutoWithoutEvidence() {
	for tool in gow-info gow-check; do
		run $tool --layout auto "$work/big"
		assertStatus 8
		assertErr 'gow-probe'
	done
	run gow-convert --layout auto "$work/big" "$tmp/disk.raw"
	assertStatus 8
	assertFalse "[ -e '$tmp/disk.raw' ]"
	run gow-create 1M "$tmp/known"
	run gow-info --json --layout auto "$tmp/known"
	assertStatus 0
	assertJson '.version == 3'
}

testUnknownName() {
	run gow-info --layout nonesuch "$work/big"
	assertStatus 16
	assertErr 'no layout .nonesuch'
	run gow-info --layout gow1 --layout gow2 "$work/big"
	assertStatus 16
}

# shellcheck source=/dev/null
. "$SHUNIT2"
