#!/bin/sh
# gow-probe: images of foreign layouts, made from real guest disks by tests/mkforeign.c, which
# shares nothing with the library.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# An ext4 disk behind a partition table, with about 200 blocks.
make_disk() {
	[ ! -e "$work/disk" ] || return 0
	truncate -s 40M "$work/fs"
	mkfs.ext4 -q -F -b 1024 "$work/fs"
	head -c 9000000 /dev/urandom >"$work/junk"
	debugfs -w -R "write $work/junk junk" "$work/fs" >/dev/null 2>&1
	truncate -s 43M "$work/disk"
	echo ',40M' | sfdisk -q --label gpt "$work/disk" >/dev/null 2>&1
	dd if="$work/fs" of="$work/disk" bs=1M seek=1 conv=notrunc,sparse status=none
}

# proves ARGUMENT...: an image made with these is proven to have that layout.
proves() {
	make_disk
	"$GOW_TESTBIN/mkforeign" "$work/disk" "$tmp/image" "$@" >"$tmp/made"
	run gow-probe --json "$tmp/image"
	assertEquals "$*: $(cat "$out")" 0 "$status"
	read -r map data entries versions used <"$tmp/made"
	[ "$versions" != -1 ] || versions=null
	assertEquals "$*" "proven $map $data $entries $versions" "$(jq -r '[.verdict, (.layout |
		.map_offset, .data_start, .map_entries, .versions_offset)] |
		map(tostring) | join(" ")' "$out")"
	assertEquals "$*: $used blocks, size" "$(stat -c %s "$work/disk")" \
		"$(jq .layout.logical_size "$out")"
}

testShortMap() {
	proves size=8
}

testFullMapInRandomOrder() {
	proves size=8 entries=1048576 seed=3
}

# --layout auto: the same guest, bit for bit, by digest; version numbers are kept.
testAutoReads() {
	make_disk
	for how in 'size=8 seed=4' 'size=8 numbers=behind entries=1048576 first=1 unallocated=0' \
		'size=8 width=4 unit=512 order=big numbers=after-entry stride=8 align=512'; do
		# shellcheck disable=SC2086 # a list
		"$GOW_TESTBIN/mkforeign" "$work/disk" "$tmp/image" $how >/dev/null
		run gow-info --json --layout auto "$tmp/image"
		assertEquals "$how" 0 "$status"
		run gow-check --digest --json --layout auto "$tmp/image"
		assertEquals "$how" 0 "$status"
		digest=$(jq -r .digest "$out")
		run gow-convert --force --layout auto "$tmp/image" "$tmp/new.gow"
		assertEquals "$how: $(cat "$err")" 0 "$status"
		run gow-check --digest --json "$tmp/new.gow"
		assertEquals "$how" "0 $digest" "$status $(jq -r .digest "$out")"
		run gow-convert --force "$tmp/new.gow" "$tmp/new.raw"
		assertSameFile "$work/disk" "$tmp/new.raw"
		case $how in
		*numbers*)
			run gow-info --json "$tmp/new.gow"
			assertJson '.highest_version == 3' ;;
		esac
	done
}

testBigEndianWithNumbersBehind() {
	proves order=big size=4 width=4 unit=512 start=16 numbers=behind align=512 first=1 \
		unallocated=0 entries=1048576 seed=5
}

# What the disk holds: a table with a file system, and one without a table.
testContents() {
	make_disk
	run gow-convert "$work/disk" "$tmp/new.gow"
	assertStatus 0
	assertNoErr 'cut short'
	run gow-info --json "$tmp/new.gow"
	assertStatus 0
	assertJson '.guest.table == "gpt" and .guest.past_end == false and
		(.guest.partitions | length) == 1 and (.guest.partitions[0] |
		.number == 1 and .start == 1048576 and .size == 41943040 and
		.filesystem == "ext4" and .filesystem_size == 41943040)'
	run gow-info "$tmp/new.gow"
	assertOut '^guest: *gpt$'
	assertOut 'partition 1 .*40.* MiB at 1.* MiB, ext4 of 40'
	run gow-convert "$work/fs" "$tmp/bare.gow"
	run gow-info --json "$tmp/bare.gow"
	assertJson '.guest.table == null and .guest.partitions[0].number == 0 and
		.guest.partitions[0].filesystem == "ext4"'
	run gow-create 64M "$tmp/empty.gow"
	run gow-info --json "$tmp/empty.gow"
	assertJson '.guest == null'
}

# A copy that was cut short is told by what is on it.
testCutShort() {
	make_disk
	head -c 20M "$work/disk" >"$tmp/cut.raw"
	run gow-convert "$tmp/cut.raw" "$tmp/cut.gow"
	assertStatus 0
	assertErr 'cut.raw: warning: the disk has 20971520 bytes.*45088768.*cut short'
	run gow-info --json "$tmp/cut.gow"
	assertStatus 0
	assertErr 'cut short'
	assertJson '.guest.past_end and .guest.partitions[0].past_end'
	run gow-info "$tmp/cut.gow"
	assertOut 'past the end of the disk'
}

testWhatIsNoImageHasNoLayout() {
	head -c 1000000 /dev/urandom >"$tmp/image"
	run gow-probe --json "$tmp/image"
	assertEquals 8 "$status"
	assertEquals none "$(jq -r .verdict "$out")"
}

testKnownLayout() {
	run gow-create 1G "$tmp/image"
	run gow-probe --json "$tmp/image"
	assertEquals 0 "$status"
	assertEquals "known gow3" "$(jq -r '.verdict + " " + .layout.name' "$out")"
}

testReportIsWritten() {
	head -c 200000 /dev/zero >"$tmp/image"
	run gow-probe --report "$tmp/report" "$tmp/image"
	assertEquals 8 "$status"
	assertEquals 1 "$(grep -c '^file size: 200000$' "$tmp/report")"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
