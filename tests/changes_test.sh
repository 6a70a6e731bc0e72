#!/bin/sh
# gow-info --since and --compare: against images whose numbers and data are known.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$(dirname "$0")/servers.sh"

# Of one lineage, after each went on by itself: numbers differ both ways, blocks came and went.
suiteSetUp() {
	printf '%s\n' 'version 3' 'size 1M' 'map 0-3 0' 'map 5 4' 'ver 0-1 3' 'ver 2-3 1' 'ver 5 9' \
		'ver 8 7' 'data 0-4 pattern 1' | "$GOW_TESTBIN/mkimage" - "$work/a.gow"
	printf '%s\n' 'version 3' 'size 1M' 'map 0-3 3 step -1' 'map 7 4' 'ver 0 3' 'ver 1 2' \
		'ver 2-3 1' 'ver 3 2' 'ver 7 1' 'data 0 pattern 1' 'data 1-3 pattern 2' 'data 4 zero' |
		"$GOW_TESTBIN/mkimage" - "$work/b.gow"
	# The same data in another place, and one byte of the last, short block different.
	printf '%s\n' 'version 1' 'size 1M-512' 'map 1 0' 'map 15 1' 'data 0 text "the same"' \
		'data 1 last 11' 'poke data_start+block+65023 22' | "$GOW_TESTBIN/mkimage" - "$work/c.gow"
	printf '%s\n' 'version 2' 'size 1M-512' 'map 1 2' 'map 15 0' 'blocks 3' 'data 2 text "the same"' \
		'poke data_start+65535 11' | "$GOW_TESTBIN/mkimage" - "$work/d.gow"
}

testSinceText() {
	state_of "$work/a.gow"
	run gow-info --since 2 "$work/a.gow"
	assertStatus 0
	printf '%s\n' "# $work/a.gow: numbers above 2: logical physical blocks version" '0 0 2 3' \
		'5 4 1 9' '8 - 1 7' \
		'# 3 blocks allocated, 192 KiB (196608 bytes); 1 not allocated; 3 extents' >"$tmp/expected"
	assertSameFile "$tmp/expected" "$out"
	assertUnchanged "$work/a.gow"
}

testSinceJson() {
	run gow-info --json --since 2 "$work/a.gow"
	assertJson '.since == 2 and .newer_blocks == 3 and .newer_bytes == 196608 and .unmapped_blocks == 1'
	assertJson '.extents == [{start: 0, length: 131072, offset: 33554944, version: 3},
		{start: 327680, length: 65536, offset: 33817088, version: 9},
		{start: 524288, length: 65536, offset: null, version: 7}]'
	run gow-info --json --since 4294967295 "$work/a.gow"
	assertJson '.extents == [] and .newer_blocks == 0 and .exit == 0'
	run gow-info --json --since 0 "$work/a.gow" "$work/b.gow"
	assertEquals '5 5' "$(json .newer_blocks | xargs)"
}

# What names no present block counts as not there; the exit status says that it is corrupt.
testSinceOfACorruptImage() {
	printf '%s\n' 'version 3' 'size 1M' 'map 0 0' 'map 1 77' 'ver 0-1 5' 'blocks 1' |
		"$GOW_TESTBIN/mkimage" - "$tmp/image.gow"
	run gow-info --json --since 4 "$tmp/image.gow"
	assertStatus 4
	assertJson '.newer_blocks == 1 and .unmapped_blocks == 1 and .findings[0].id == "map.range"'
	# Nobody knows how many blocks the guest has: all that have a number count.
	printf '%s\n' 'version 3' 'size 0' 'map 0 0' 'map 4194303 1' 'ver 0 5' 'ver 4194303 6' 'ver 9 7' |
		"$GOW_TESTBIN/mkimage" - "$tmp/image.gow"
	run gow-info --json --since 4 "$tmp/image.gow"
	assertStatus 4
	assertJson '[.extents[] | [.start / 65536, .version]] == [[0, 5], [9, 7], [4194303, 6]]'
}

testCompareByNumber() {
	run gow-info --compare "$work/b.gow" "$work/a.gow"
	assertStatus 0
	printf '%s\n' "# $work/a.gow, other: $work/b.gow: logical blocks allocated newer" \
		'1 1 both image' '3 1 both other' '5 1 image image' '7 1 other other' '8 1 none image' \
		'# 5 blocks differ, 320 KiB (327680 bytes), 5 extents' \
		'# newer in image: 2 blocks to fetch, 128 KiB (131072 bytes); 1 not allocated' \
		'# newer in other: 2 blocks (they diverged: each has changes that the other lacks)' \
		>"$tmp/expected"
	assertSameFile "$tmp/expected" "$out"
	run gow-info --json --compare "$work/a.gow" "$work/b.gow"
	assertJson '.other == "'"$work/a.gow"'" and .by == "number" and .differing_blocks == 5 and
		.differing_bytes == 327680 and .newer_blocks == 2 and .older_blocks == 3 and
		.unmapped_blocks == 0 and .fetch_bytes == 131072 and .exit == 0'
	assertJson '[.extents[] | [.start / 65536, .length / 65536, .newer, .allocated, .other_allocated]] ==
		[[1, 1, "other", true, true], [3, 1, "image", true, true], [5, 1, "other", false, true],
		[7, 1, "image", true, false], [8, 1, "other", false, false]]'
	run gow-info --json --compare "$work/a.gow" "$work/a.gow"
	assertJson '.differing_blocks == 0 and .extents == []'
}

# Block 0 is the same in both, and block 7 holds zeros: only what the guest reads counts.
testCompareData() {
	run gow-info --data --compare "$work/b.gow" "$work/a.gow"
	assertStatus 0
	printf '%s\n' "# $work/a.gow, other: $work/b.gow: logical blocks allocated" \
		'0 4 both' '5 1 image' '# 5 blocks differ, 320 KiB (327680 bytes), 2 extents' >"$tmp/expected"
	assertSameFile "$tmp/expected" "$out"
	# What lies past the end of the disk is no difference, and versions do not matter.
	run gow-info --json --data --compare "$work/c.gow" "$work/d.gow"
	assertStatus 0
	assertJson '.by == "data" and [.extents[] | [.start, .length]] == [[983040, 65536]]'
}

# Where one disk ends, the other goes on with zeros or with data.
testCompareSizes() {
	run gow-info --json --data --compare "$work/c.gow" "$work/a.gow"
	assertJson '.logical_size == 1048576 and .other_logical_size == 1048064'
	printf '%s\n' 'version 3' 'size 2M' 'map 20 0' 'data 0 pattern 9' 'ver 20 4' |
		"$GOW_TESTBIN/mkimage" - "$tmp/large.gow"
	printf '%s\n' 'version 3' 'size 1M' | "$GOW_TESTBIN/mkimage" - "$tmp/small.gow"
	for data in '' --data; do
		# shellcheck disable=SC2086 # a flag or none
		run gow-info --json $data --compare "$tmp/small.gow" "$tmp/large.gow"
		assertJson '[.extents[] | [.start, .length]] == [[1310720, 65536]]'
		# shellcheck disable=SC2086
		run gow-info --json $data --compare "$tmp/large.gow" "$tmp/small.gow"
		assertJson '[.extents[] | [.start, .length]] == [[1310720, 65536]]'
	done
}

# How much a copy would have to fetch is known before anything of it is fetched.
testCompareWithAServer() {
	need_tool nbdkit nginx || return 0
	cp --sparse=always "$work/a.gow" "$tmp/gold.gow"
	serve_nbd -r file "$tmp/gold.gow"
	serve_nginx "$tmp"
	for name in "$uri" "$url/gold.gow"; do
		run gow-info --json --compare "$work/b.gow" "$name"
		assertEquals "$name: $(cat "$err")" 0 "$status"
		assertJson '.by == "number" and .differing_blocks == 5 and .newer_blocks == 2 and
			.fetch_bytes == 131072'
		run gow-info --json --compare "$name" "$work/b.gow"
		assertJson '.differing_blocks == 5 and .newer_blocks == 2'
		run gow-info --json --since 2 "$name"
		assertJson '.newer_blocks == 3 and .unmapped_blocks == 1'
	done
}

testRefused() {
	run gow-info --since 0 "$work/c.gow"
	assertStatus 8
	assertErr 'has no version numbers'
	run gow-info --compare "$work/c.gow" "$work/a.gow"
	assertStatus 8
	assertErr 'c\.gow.*has no version numbers.*--data'
	assertOutEmpty
	make_image map-range-v3 "$tmp/corrupt.gow"
	for order in "$work/a.gow $tmp/corrupt.gow" "$tmp/corrupt.gow $work/a.gow"; do
		# shellcheck disable=SC2086 # two names
		run gow-info --json --compare $order
		assertStatus 4
		assertErr 'corrupt\.gow: is corrupt: map\.range'
		assertJson '.exit == 4 and .error == "corrupt"'
	done
	run gow-info --compare "$tmp/none.gow" "$work/a.gow"
	assertStatus 8
	for usage in '--since x' '--since -1' '--since 4294967296' '--map --since 1' '--data' \
		"--since 1 --compare $work/b.gow"; do
		# shellcheck disable=SC2086 # options
		run gow-info $usage "$work/a.gow"
		assertStatus 16
	done
}

# shellcheck source=/dev/null
. "$SHUNIT2"
