#!/bin/sh
# gow-convert: what is made of what, byte by byte, and what is too large.  Its other
# suites are convert-names (formats, what stands there already, modes, output),
# convert-io (pipes, devices, signals, locks, room) and salvage.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=convert.sh
. "$TESTS/convert.sh"

suiteSetUp() {
	make_disks
}

# ---- bytes ----

testRawToEveryVersion() {
	for version in 1 2 3; do
		convert "$work/disk.raw" "$tmp/a.gow$version"
		assertStatus 0
		assertErrEmpty
		assertSameFile "$work/$version.gow" "$tmp/a.gow$version"
	done
}

testEveryVersionToRaw() {
	for version in 1 2 3; do
		convert "$work/$version.gow" "$tmp/$version.raw"
		assertStatus 0
		assertErrEmpty
		assertSameFile "$work/disk.raw" "$tmp/$version.raw"
	done
}

testEveryVersionToEveryOther() {
	for from in 1 2 3; do
		for to in 1 2 3; do
			convert -O "gow$to" "$work/$from.gow" "$tmp/$from-to-$to"
			assertStatus 0
			assertErrEmpty
			assertSameFile "$work/$to.gow" "$tmp/$from-to-$to"
		done
	done
}

testRawToRaw() {
	convert "$work/disk.raw" "$tmp/a.raw"
	assertStatus 0
	assertSameFile "$work/disk.raw" "$tmp/a.raw"
	# No image, so no sectors.
	head -c 100001 "$work/disk.raw" >"$tmp/odd.raw"
	convert "$tmp/odd.raw" "$tmp/b.raw"
	assertStatus 8
	assertErr 'not a multiple of 512.*-f raw'
	convert -f raw "$tmp/odd.raw" "$tmp/b.raw"
	assertStatus 0
	assertErrEmpty
	assertSameFile "$tmp/odd.raw" "$tmp/b.raw"
}

testEverySoundFixture() {
	for case in $(sampled_fixtures); do
		case=$(basename "$case")
		[ "$(jq .exit "$fixtures/$case/check.json")" -ne 4 ] || continue
		make_image "$case" "$tmp/image.gow"
		make_raw "$case" "$tmp/disk.raw"
		[ "$(stat -c %s "$tmp/disk.raw")" -le 100000000 ] || continue # testLimit*
		convert "$tmp/image.gow" -
		assertStatus 0
		assertSameFile "$tmp/disk.raw" "$out"
		case $case in
		sound-* | *-v1)
			convert -O gow2 "$tmp/image.gow" "$tmp/a.gow"
			assertStatus 0
			convert "$tmp/a.gow" -
			assertStatus 0
			assertSameFile "$tmp/disk.raw" "$out"
			;;
		esac
		rm -f "$tmp"/*.gow "$tmp"/*.raw
	done
}

# Whatever the order in the file, what is made has the guest's.
testLogicalOrder() {
	recipe shuffled "version 3" "size 10M" "map 0 5" "map 1 2" "map 7 4" "map 8 0" "map 159 1" \
		'data 5 text "zero"' 'data 2 text "one"' 'data 4 text "seven"' 'data 0 text "eight"' \
		'data 1 last 77' 'data 3 text "nobody names this"' "ver 1 4" "ver 8 9"
	make_image "$recipe" "$tmp/shuffled.gow"
	for version in 1 3; do
		recipe ordered "version $version" "size 10M" "map 0-1 0" "map 7-8 2" "map 159 4" \
			'data 0 text "zero"' 'data 1 text "one"' 'data 2 text "seven"' \
			'data 3 text "eight"' 'data 4 last 77'
		[ $version -ne 3 ] || printf 'ver 1 4\nver 8 9\n' >>"$recipe"
		make_image "$recipe" "$tmp/ordered.gow"
		convert "$tmp/shuffled.gow" "$tmp/made.gow$version"
		assertStatus 0
		assertSameFile "$tmp/ordered.gow" "$tmp/made.gow$version"
	done
}

testVersionNumbers() {
	recipe source "version 3" "size 10M" "map 3 0" "map 4 1" "map 5 2" "map 159 3" \
		"data 0-1 pattern 1" "data 2 zero" 'data 3 text "last"' "ver 0-2 7" "ver 3 max32" \
		"ver 4 0" "ver 5 12" "ver 159 5" "ver 160-200 8" "ver entries-1 9"
	make_image "$recipe" "$tmp/source.gow"
	# Kept from 3 to 3: of blocks that are not allocated, and of the block of zeros
	# that is not any more.
	recipe kept "version 3" "size 10M" "map 3 0" "map 4 1" "map 159 2" "ver 0-2 7" "ver 3 max32" \
		"ver 4 0" "ver 5 12" "ver 159 5" "ver 160-200 8" "ver entries-1 9" \
		"data 0-1 pattern 1" 'data 2 text "last"'
	make_image "$recipe" "$tmp/kept.gow"
	convert "$tmp/source.gow" "$tmp/made.gow"
	assertStatus 0
	assertSameFile "$tmp/kept.gow" "$tmp/made.gow"
	# From anything else: 1 where there is a block.
	convert "$tmp/source.gow" "$tmp/2.gow2"
	convert "$tmp/2.gow2" "$tmp/3.gow3"
	assertStatus 0
	convert "$tmp/source.gow" "$tmp/disk.raw"
	convert "$tmp/disk.raw" "$tmp/4.gow3"
	assertStatus 0
	recipe ones "version 3" "size 10M" "map 3 0" "map 4 1" "map 159 2" "data 0-1 pattern 1" \
		'data 2 text "last"'
	make_image "$recipe" "$tmp/ones.gow"
	assertSameFile "$tmp/ones.gow" "$tmp/3.gow3"
	assertSameFile "$tmp/ones.gow" "$tmp/4.gow3"
}

testVersionNumbersOfEveryBlock() {
	recipe all "version 3" "size 100M" "map 0-99 0" "data 0-99 pattern 1" "fill ver 3" "ver 50 4"
	make_image "$recipe" "$tmp/all.gow"
	convert "$tmp/all.gow" "$tmp/made.gow"
	assertStatus 0
	assertSameFile "$tmp/all.gow" "$tmp/made.gow"
}

# ---- zeros and holes ----

# taken FILE: bytes on the disk.
taken() {
	echo $(($(stat -c %b "$1") * 512))
}

testZeroBlocksAreNotStored() {
	recipe zeros "version 1" "size 10M" "map 0-9 0" "data 0-9 zero" "data 4 last 01" "map 30-39 10" \
		"data 10-19 hole"
	make_image "$recipe" "$tmp/zeros.gow"
	recipe wanted "version 1" "size 10M" "map 4 0" "data 0 last 01"
	make_image "$recipe" "$tmp/wanted.gow"
	make_raw "$recipe" "$tmp/wanted.raw"
	convert "$tmp/zeros.gow" "$tmp/a.gow1"
	assertStatus 0
	assertSameFile "$tmp/wanted.gow" "$tmp/a.gow1"
	# Zeros that are really there.
	cp --sparse=never "$tmp/wanted.raw" "$tmp/full.raw"
	convert "$tmp/full.raw" "$tmp/b.gow1"
	assertStatus 0
	assertSameFile "$tmp/wanted.gow" "$tmp/b.gow1"
	for source in zeros.gow full.raw b.gow1; do
		convert "$tmp/$source" "$tmp/$source.raw"
		assertStatus 0
		assertSameFile "$tmp/wanted.raw" "$tmp/$source.raw"
		assertTrue "$(taken "$tmp/$source.raw") bytes" "[ $(taken "$tmp/$source.raw") -le 65536 ]"
	done
}

testHolesStayHoles() {
	recipe holes "version 3" "size 4G" "map 0 0" "map 30000 1" "map 65535 2" "data 0-2 pattern 1"
	make_image "$recipe" "$tmp/holes.gow"
	make_raw "$recipe" "$tmp/holes.raw"
	convert "$tmp/holes.gow" "$tmp/a.raw"
	assertStatus 0
	assertTrue "$(taken "$tmp/a.raw") bytes" "[ $(taken "$tmp/a.raw") -le $((4 * 65536)) ]"
	convert "$tmp/holes.raw" "$tmp/b.raw"
	assertStatus 0
	assertTrue "$(taken "$tmp/b.raw") bytes" "[ $(taken "$tmp/b.raw") -le $((4 * 65536)) ]"
	convert "$tmp/holes.raw" "$tmp/a.gow"
	assertSameFile "$tmp/holes.gow" "$tmp/a.gow"
	# The map, which is no hole; the first version numbers; and three blocks.
	assertTrue "$(taken "$tmp/a.gow") bytes" "[ $(taken "$tmp/a.gow") -le $(((16 << 20) + (1 << 20))) ]"
}

# bytes_read PATTERN FROM: bytes that were read of such files, at FROM and after.
bytes_read() {
	awk -v name="$1" -v from="$2" '$1 == "read" && index($3, name) && $4 >= from { n += $5 }
		END { print n + 0 }' "$tmp/trace"
}

testHolesAreNotRead() {
	recipe holes "version 1" "size 256M" "map 0 0" "map 1000 1" "map 3000-3019 2" "map 4095 22" \
		"data 0-1 pattern 1" "data 22 pattern 1"
	make_image "$recipe" "$tmp/holes.gow"
	make_raw "$recipe" "$tmp/holes.raw"
	mkdir "$tmp/probe"
	truncate -s 1M "$tmp/probe/hole"
	printf x | dd of="$tmp/probe/hole" bs=1 seek=524288 conv=notrunc status=none
	[ "$(taken "$tmp/probe/hole")" -le 65536 ] || { skip "no holes on this file system"; return; }
	run_faulty FAULTIO_FILE="*/holes.raw" FAULTIO_TRACE="$tmp/trace" \
		gow-convert "$tmp/holes.raw" "$tmp/a.gow"
	assertStatus 0
	read=$(bytes_read /holes.raw 0)
	# What it is, and what the guest has on it, is told from a few sectors.
	assertTrue "$read bytes read" "[ $read -ge $((3 * 65536)) ] && [ $read -le $((3 * 65536 + 32768)) ]"
	rm "$tmp/trace"
	run_faulty FAULTIO_FILE="*/holes.gow" FAULTIO_TRACE="$tmp/trace" \
		gow-convert "$tmp/holes.gow" "$tmp/a.raw"
	assertStatus 0
	# The image's blocks and the file system's do not lie on each other, so that the
	# first and the last block of the hole may be read.
	read=$(bytes_read /holes.gow 4194324)
	assertTrue "$read bytes read" "[ $read -ge $((3 * 65536)) ] && [ $read -le $((5 * 65536 + 32768)) ]"
	assertSameFile "$tmp/holes.raw" "$tmp/a.raw"
}

# Where nobody can tell holes from data, all of it is read, and comes out the same.
testNoHolesToBeTold() {
	for error in EINVAL EOPNOTSUPP; do
		run_faulty FAULTIO_FILE="*/disk.raw" FAULTIO_FAIL=seek:1+:$error \
			gow-convert "$work/disk.raw" "$tmp/$error.gow"
		assertStatus 0
		assertSameFile "$work/3.gow" "$tmp/$error.gow"
		run_faulty FAULTIO_FILE="*/3.gow" FAULTIO_FAIL=seek:1+:$error \
			gow-convert "$work/3.gow" "$tmp/$error.raw"
		assertStatus 0
		assertSameFile "$work/disk.raw" "$tmp/$error.raw"
	done
}

testShortAndInterruptedCalls() {
	for fault in read:1+:short read:2:EINTR write:1+:short write:3:EINTR; do
		run_faulty FAULTIO_FILE="$tmp/*" FAULTIO_FAIL="$fault" \
			gow-convert "$work/disk.raw" "$tmp/a.gow"
		assertStatus 0
		assertSameFile "$work/3.gow" "$tmp/a.gow"
		run_faulty FAULTIO_FAIL="$fault" gow-convert "$work/3.gow" "$tmp/a.raw"
		assertStatus 0
		assertSameFile "$work/disk.raw" "$tmp/a.raw"
		rm "$tmp/a.gow" "$tmp/a.raw"
	done
}

# A partial block's bytes past the end of the disk are no data.
testBeyondTheEndOfTheDisk() {
	recipe source "version 1" "size 1M+512" "map 15 0" "map 16 1" "data 0-1 pattern 1"
	make_image "$recipe" "$tmp/source.gow"
	make_raw "$recipe" "$tmp/disk.raw"
	assertEquals $((1048576 + 512)) "$(stat -c %s "$tmp/disk.raw")"
	recipe wanted "version 2" "size 1M+512" "map 15 0" "map 16 1" "data 0-1 pattern 1" \
		"data 1 pattern 1 length 512"
	make_image "$recipe" "$tmp/wanted.gow"
	convert "$tmp/source.gow" "$tmp/a.gow2"
	assertStatus 0
	assertSameFile "$tmp/wanted.gow" "$tmp/a.gow2"
	convert "$tmp/source.gow" "$tmp/a.raw"
	assertSameFile "$tmp/disk.raw" "$tmp/a.raw"
	# Zeros as far as the guest sees.
	recipe source "version 1" "size 1M+512" "map 15 0" "map 16 1" "data 0 pattern 1" "data 1 last 55"
	make_image "$recipe" "$tmp/source.gow"
	recipe wanted "version 2" "size 1M+512" "map 15 0" "data 0 pattern 1"
	make_image "$recipe" "$tmp/wanted.gow"
	convert "$tmp/source.gow" "$tmp/b.gow2"
	assertStatus 0
	assertSameFile "$tmp/wanted.gow" "$tmp/b.gow2"
}

# ---- sizes ----

testOddSizes() {
	recipe pattern "version 1" "size 1M" "map 0-15 0" "data 0-15 pattern 1"
	make_raw "$recipe" "$tmp/pattern.raw"
	for size in 1 511 512 513 1000 1024 65535 65536 65537 66048 131072 131172 1000000; do
		head -c $size "$tmp/pattern.raw" >"$tmp/disk.raw"
		sectors=$(((size + 511) / 512 * 512))
		whole=$((size / 65536))
		recipe wanted "version 1" "size $sectors"
		[ $whole -eq 0 ] || printf 'map 0-%d 0\ndata 0-%d pattern 1\n' \
			$((whole - 1)) $((whole - 1)) >>"$recipe"
		[ $((size % 65536)) -eq 0 ] || printf 'map %d %d\ndata %d pattern 1 length %d\n' \
			$whole $whole $whole $((size % 65536)) >>"$recipe"
		make_image "$recipe" "$tmp/wanted.gow"
		convert -f raw -O gow1 --json "$tmp/disk.raw" "$tmp/$size"
		assertStatus 0
		assertSameFile "$tmp/wanted.gow" "$tmp/$size"
		assertJson ".source_size == $size and .logical_size == $sectors"
		if [ $size -eq $sectors ]; then
			assertErrEmpty
		else
			assertErr "512.*\b$((sectors - size)) zeros|$((sectors - size)).*zeros"
		fi
		convert "$tmp/$size" "$tmp/$size.raw"
		truncate -s $sectors "$tmp/disk.raw"
		assertSameFile "$tmp/disk.raw" "$tmp/$size.raw"
	done
}

testEmptySource() {
	: >"$tmp/empty.raw"
	convert "$tmp/empty.raw" "$tmp/a.gow"
	assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
	assertOutEmpty
	assertErr '^gow-convert: .*empty'
	assertFalse "an image was made" "[ -e '$tmp/a.gow' ]"
}

testEmptyDisk() {
	truncate -s 10M "$tmp/disk.raw"
	for version in 1 2 3; do
		make_image empty-v$version "$tmp/wanted.gow"
		size=$(od -An -t u8 --endian=little -j 8 -N 8 "$tmp/wanted.gow" | tr -d ' ')
		truncate -s "$size" "$tmp/disk.raw"
		convert "$tmp/disk.raw" "$tmp/a.gow$version"
		assertStatus 0
		assertSameFile "$tmp/wanted.gow" "$tmp/a.gow$version"
		convert "$tmp/wanted.gow" "$tmp/$version.raw"
		assertStatus 0
		assertEquals "$size, and a hole" "$size 0" "$(stat -c '%s %b' "$tmp/$version.raw")"
	done
}

testTooLarge() {
	mkdir "$tmp/new"
	for case in 1:65G 1:68719476737 1:68719477248 2:257G 3:257G 3:274877906945 3:1T; do
		truncate -s "${case#*:}" "$tmp/disk.raw"
		before=$(image_state "$tmp/new")
		refused 8 -f raw -O "gow${case%:*}" "$tmp/disk.raw" "$tmp/new/a.gow"
		assertErr 'nothing was written'
		# Not even for a moment.
		assertEquals "$before" "$(image_state "$tmp/new")"
	done
	run gow-convert --json -O gow1 "$tmp/disk.raw" "$tmp/new/a.gow"
	assertJson '.exit == 8 and .error == "limit"'
	recipe large "version 2" "size 100G" "map 1638399 0" "data 0 pattern 1"
	make_image "$recipe" "$tmp/large.gow"
	refused 8 "$tmp/large.gow" "$tmp/new/a.gow1"
	assertDirectory "$tmp/new"
	# The last size that fits, rounded.
	truncate -s 68719476735 "$tmp/disk.raw"
	convert -f raw "$tmp/disk.raw" "$tmp/new/a.gow1"
	assertStatus 0
	recipe wanted "version 1" "size limit"
	make_image "$recipe" "$tmp/wanted.gow"
	assertSameFile "$tmp/wanted.gow" "$tmp/new/a.gow1"
}

# data_runs FILE: where a sparse file has data.
data_runs() {
	xfs_io -r -c "seek -a -r 0" "$1" | awk '$1 == "DATA" { at = $2 }
		$1 == "HOLE" && at != "" { print at, $2 - at; at = "" }' >"$tmp/runs"
}

# Reading 256 GiB of nothing takes too long: only what either has is compared.
assertSameSparse() {
	assertEquals "length" "$(stat -c %s "$1")" "$(stat -c %s "$2")"
	for file in "$1" "$2"; do
		data_runs "$file"
		assertTrue "no data in $file" "[ -s '$tmp/runs' ]"
		while read -r at length; do
			cmp -i "$at" -n "$length" "$1" "$2" >"$work/cmp" 2>&1
			assertTrue "at $at: $(cat "$work/cmp")" $?
		done <"$tmp/runs"
	done
}

limit() {
	need_tool xfs_io || return 0
	recipe limit "version $1" "size limit" "map 0 1" "map entries-1 0" 'data 0 text "last"' \
		'data 1 text "first"'
	make_image "$recipe" "$tmp/limit.gow"
	make_raw "$recipe" "$tmp/limit.raw"
	state_of "$tmp/limit.gow"
	convert "$tmp/limit.gow" "$tmp/a.raw"
	assertStatus 0
	assertSameSparse "$tmp/limit.raw" "$tmp/a.raw"
	convert -O "gow$1" "$tmp/limit.raw" "$tmp/a.gow"
	assertStatus 0
	# Of the same disk, but in the guest's order.
	recipe wanted "version $1" "size limit" "map 0 0" "map entries-1 1" 'data 0 text "first"' \
		'data 1 text "last"'
	make_image "$recipe" "$tmp/wanted.gow"
	assertSameFile "$tmp/wanted.gow" "$tmp/a.gow"
	convert -O "gow$1" "$tmp/limit.gow" "$tmp/b.gow"
	assertStatus 0
	assertSameFile "$tmp/wanted.gow" "$tmp/b.gow"
	assertUnchanged "$tmp/limit.gow"
}

testLimitOfVersion1() {
	limit 1
}

testLimitOfVersion2() {
	limit 2
}

testLimitOfVersion3() {
	limit 3
}

# shellcheck source=/dev/null
. "$SHUNIT2"
