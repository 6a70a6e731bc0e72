#!/bin/sh
# gow-probe: images of foreign layouts, made from real guest disks by tests/mkforeign.c, which
# shares nothing with the library.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$(dirname "$0")/servers.sh"

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

testInUse() {
	need_leases "$tmp" || return 0
	make_image sound-v3 "$tmp/image.gow"
	run hold -w "$tmp/image.gow" "$GOW_BIN/gow-probe" "$tmp/image.gow"
	assertStatus 0
	assertOut '^# in use'
	assertErr "^gow-probe: $tmp/image\.gow: .*open for writing"
	"$GOW_BIN/gow-check" -q --layout "$out" "$tmp/image.gow"
	assertTrue 'what it prints is no layout' $?
	run hold -w "$tmp/image.gow" "$GOW_BIN/gow-probe" --json "$tmp/image.gow"
	assertStatus 0
	assertJson '.in_use == true and .verdict == "known"'
	run hold -r "$tmp/image.gow" "$GOW_BIN/gow-probe" --json "$tmp/image.gow"
	assertJson 'has("in_use") | not'
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
	assertJson '.layout | .byte_order == "big" and .first_block == 1 and .unallocated == 0 and
		.map_stride == 4 and .versions_stride == 4'
	assertJson '.candidates[0] == .layout and (.evidence | length > 1 and all(.[]; .weight > 0))'
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

# poke FILE OFFSET BYTES: the bytes as printf knows them.
poke() {
	# shellcheck disable=SC2059 # that is a format
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Swap, and the file systems of the BSDs and of Solaris, by their superblocks: no program makes these
# here, so they are written by hand. The size is a number of fragments of 1024 bytes.
testContentsByHand() {
	truncate -s 20M "$tmp/disk"
	printf '2048,4M,82\n10240,4M,a5\n18432,4M,a5\n26624,4M,bf\n' |
		sfdisk -q --label dos "$tmp/disk" >/dev/null 2>&1
	truncate -s 4M "$tmp/swap"
	mkswap "$tmp/swap" >/dev/null 2>&1
	dd if="$tmp/swap" of="$tmp/disk" bs=512 seek=2048 conv=notrunc,sparse status=none
	# UFS2, little-endian: 4096 fragments.
	poke "$tmp/disk" $((10240 * 512 + 65536 + 1372)) '\031\001\124\031'
	poke "$tmp/disk" $((10240 * 512 + 65536 + 52)) '\000\004\000\000'
	poke "$tmp/disk" $((10240 * 512 + 65536 + 1080)) '\000\020\000\000'
	# UFS1, little-endian: 3072 of them; and big-endian: 8192, which is too large for its partition.
	poke "$tmp/disk" $((18432 * 512 + 8192 + 1372)) '\124\031\001\000'
	poke "$tmp/disk" $((18432 * 512 + 8192 + 52)) '\000\004\000\000'
	poke "$tmp/disk" $((18432 * 512 + 8192 + 36)) '\000\014\000\000'
	poke "$tmp/disk" $((26624 * 512 + 8192 + 1372)) '\000\001\031\124'
	poke "$tmp/disk" $((26624 * 512 + 8192 + 52)) '\000\000\004\000'
	poke "$tmp/disk" $((26624 * 512 + 8192 + 36)) '\000\000\040\000'
	run gow-convert "$tmp/disk" "$tmp/new.gow"
	assertStatus 0
	run gow-info --json "$tmp/new.gow"
	assertEquals 'mbr swap 4194304 ufs2 4194304 ufs1 3145728 ufs1 8388608' "$(json '.guest |
		[.table, (.partitions[] | .filesystem, .filesystem_size)] | map(tostring) | join(" ")')"
	assertErr 'cut short'
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
	grep -q '^0-196607: 16384 0 0 0 0 in each 64 KiB$' "$tmp/report"
	assertTrue "$(cat "$tmp/report")" $?
	# What is there is not overwritten.
	run gow-probe --report "$tmp/report" "$tmp/image"
	assertStatus 8
	assertErr 'report: cannot be written: File exists'
}

# Sizes, evidence, layouts, how the entries spread, and nothing that the guest wrote.
testReportTellsNothingOfTheGuest() {
	head -c 6000000 /dev/zero | tr '\000' G >"$tmp/disk"
	truncate -s 8M "$tmp/disk"
	mkfs.ext4 -q -F -b 1024 -g 1024 "$tmp/disk"
	head -c 5000000 /dev/zero | tr '\000' Q >"$tmp/secret"
	debugfs -w -R "write $tmp/secret secret" "$tmp/disk" >/dev/null 2>&1
	# 128 entries: the header ends at 532, and the first block begins there.
	read -r map data entries versions used <<END
$("$GOW_TESTBIN/mkforeign" "$tmp/disk" "$tmp/image" size=8)
END
	assertEquals "20 532 128 -1" "$map $data $entries $versions"
	run gow-probe --report "$tmp/report" "$tmp/image"
	assertStatus 0
	assertEquals "the image's size" "file size: $(stat -c %s "$tmp/image")" \
		"$(grep '^file size' "$tmp/report")"
	grep -q '^verdict: proven$' "$tmp/report"
	assertTrue "$(cat "$tmp/report")" $?
	sed -n '/^# candidate 1$/,/^gow-layout/p' "$tmp/report" >"$tmp/first"
	grep -q "^# entries: 128 in all, $used allocated, 0 wrong, 0 of these out of the file; 0 " \
		"$tmp/first"
	assertTrue "$(cat "$tmp/first")" $?
	# In the guest's order: as many in each part as blocks.
	assertEquals "$used" "$(sed -n 's/^# entries by the part.*: //p' "$tmp/first" |
		awk '{ n = 0; for (i = 1; i <= NF; i++) n += $i; print NF == 16 ? n : "parts" }')"
	# The header and nothing behind it, of which the guest has most.
	sed -n '/^# the first .* bytes of the header/,$p' "$tmp/report" >"$tmp/bytes"
	head -n 1 "$tmp/bytes" | grep -q '^# the first 532 bytes'
	assertTrue "$(head -n 1 "$tmp/bytes")" $?
	assertEquals 35 "$(wc -l <"$tmp/bytes")"
	assertEquals "$(od -An -v -tx1 -N 532 "$tmp/image" | tr -d ' \n')" \
		"$(tail -n +2 "$tmp/bytes" | cut -c 5- | tr -d ' \n')"
	grep -qE 'QQQ|GGG|5151|51 51|4747|47 47' "$tmp/report"
	assertFalse "the guest's data" $?
}

# An image on a server: the same document but for its name.
testOnAServer() {
	need_tool nbdkit nginx || return 0
	make_disk
	"$GOW_TESTBIN/mkforeign" "$work/disk" "$tmp/image" size=8 seed=6 >/dev/null
	run gow-probe --json "$tmp/image"
	assertStatus 0
	jq -S 'del(.image)' "$out" >"$tmp/expected"
	serve_nbd -r file "$tmp/image"
	serve_nginx "$tmp"
	for uri in "$uri" "$url/image"; do
		run gow-probe --json "$uri"
		assertEquals "$uri: $(cat "$err")" 0 "$status"
		assertEquals "$uri" "$(jq -r .image "$out")"
		jq -S 'del(.image)' "$out" >"$tmp/found"
		assertSameFile "$tmp/expected" "$tmp/found"
		run gow-info --json --layout auto "$uri"
		assertStatus 0
		assertJson '.logical_size == 45088768'
	done
	run gow-probe "$url/none"
	assertStatus 8
	assertErr 'http://127.0.0.1:.*/none.*404'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
