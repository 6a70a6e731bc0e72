#!/bin/sh
# gow-convert --metadata-only: what gow-check says of an image without its data, and that
# there is none of it.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# said IMAGE: what gow-check says of it, apart from its name and the time.
said() {
	"$GOW_BIN/gow-check" --json -v "$1" 2>/dev/null | jq -cS 'del(.image, .time)'
}

# goes_round IMAGE: saves it, restores it, compares.
goes_round() {
	rm -rf "$tmp/copy"
	mkdir "$tmp/copy"
	state_of "$1"
	run gow-convert --metadata-only "$1" "$tmp/copy/m.tar.zst"
	assertStatus 0
	assertUnchanged "$1"
	run gow-convert --metadata-only "$tmp/copy/m.tar.zst" "$tmp/copy/image.gow"
	assertStatus 0
	assertEquals "of $1" "$(said "$1")" "$(said "$tmp/copy/image.gow")"
	assertEquals 'length' "$(stat -c %s "$1")" "$(stat -c %s "$tmp/copy/image.gow")"
	zstd -qdc "$tmp/copy/m.tar.zst" | LC_ALL=C grep -aq SECRET
	assertNotEquals 'guest data in the archive' 0 $?
	! LC_ALL=C grep -aq SECRET "$tmp/copy/image.gow"
	assertTrue 'guest data in the restored image' $?
}

# A sound one, and damaged ones of every kind.
testFixtures() {
	for case in padding-range-v2 space-leak-v1 crosslink-three-v1 map-range-v1 truncated-alone-v1 space-tail-v3 \
		version-zero-v3 tail-crosslink-v1 count-wild-limit-v1 header-size-odd-v1 range-and-beyond-v1; do
		[ -d "$fixtures/$case" ] || { fail "no fixture $case"; continue; }
		make_image "$case" "$tmp/image.gow"
		goes_round "$tmp/image.gow"
	done
}

# Of version 1 all of the header is data: its map has no zeros but where block 0 is named.
testNumbers() {
	printf '%s\n' 'version 1' 'size 10M' 'map 0-4 4 step -1' 'data 0-4 pattern 1' |
		"$GOW_TESTBIN/mkimage" - "$tmp/image.gow"
	size=$(stat -c %s "$tmp/image.gow")
	run gow-convert --json --metadata-only "$tmp/image.gow" "$tmp/m.tar.zst"
	assertJson ".metadata_only and (.restored | not) and .version == 1 and .metadata_bytes == 4194324 and
		.image_size == $size and .file_size == $(stat -c %s "$tmp/m.tar.zst") and (.record | not)"
	run gow-convert --json --metadata-only "$tmp/m.tar.zst" "$tmp/copy.gow"
	assertJson ".metadata_only and .restored and .version == 1 and .metadata_bytes == 4194324 and
		.image_size == $size and .file_size == $size and (.record | not)"
}

# Blocks become holes; header, map and numbers are the same bytes; it is small.
testWhatIsKept() {
	printf '%s\n' 'version 3' 'size 32M' 'map 0-299 0 shuffle 5' 'fill ver 7' \
		'data 0-299 text "SECRET of the guest"' 'blocks 310' |
		"$GOW_TESTBIN/mkimage" - "$tmp/image.gow"
	goes_round "$tmp/image.gow"
	cmp -n 33554944 "$tmp/image.gow" "$tmp/copy/image.gow"
	assertTrue 'the header differs' $?
	run gow-info --json --map "$tmp/image.gow"
	mv "$out" "$tmp/map"
	run gow-info --json --map "$tmp/copy/image.gow"
	assertEquals "$(sed 1d "$tmp/map")" "$(sed 1d "$out")"
	assertTrue 'large' "[ $(stat -c %s "$tmp/copy/m.tar.zst") -lt 100000 ]"
	# Any tar can look into it.
	assertEquals 'm.gow-metadata' "$(tar --zstd -tf "$tmp/copy/m.tar.zst" | sed -n '1s/image/m/p')"
	tar --zstd -xOf "$tmp/copy/m.tar.zst" image.layout | grep -q '^gow-layout 1'
	assertTrue 'no layout' $?
	mkdir "$tmp/by-tar"
	tar --zstd -xf "$tmp/copy/m.tar.zst" -C "$tmp/by-tar"
	assertSameFile "$tmp/copy/image.gow" "$tmp/by-tar/image.gow"
}

# Whatever an upgrade has reached when it is killed: its record comes along, and no data with it,
# also where data stands in the place of the new header.
testPendingUpgrade() {
	for from in 1 2; do
		printf '%s\n' "version $from" 'size 32M' 'map 0-299 0 shuffle 5' \
			'data 0-299 text "SECRET of the guest"' | "$GOW_TESTBIN/mkimage" - "$tmp/whole.gow"
		for sync in 2 3 5 7; do
			cp --sparse=always "$tmp/whole.gow" "$tmp/image.gow"
			run_faulty FAULTIO_FILE="$tmp/image.gow" FAULTIO_FAIL="sync:$sync:kill" \
				gow-upgrade --to $((from + 1)) "$tmp/image.gow"
			goes_round "$tmp/image.gow"
		done
		assertEquals 'pending' '["journal.pending"]' \
			"$(said "$tmp/copy/image.gow" | jq -c '[.findings[].id]')"
	done
}

# The record of a repair is a file beside the image.
testPendingRepair() {
	printf '%s\n' 'version 1' 'size 1M' 'map 0-3 0' 'map 5 2' 'data 0-3 text "SECRET of the guest"' |
		"$GOW_TESTBIN/mkimage" - "$tmp/image.gow"
	run_faulty FAULTIO_FILE="$tmp/image.gow" FAULTIO_FAIL="sync:2:kill" gow-repair -y "$tmp/image.gow"
	assertStatus 137
	goes_round "$tmp/image.gow"
	assertEquals '["journal.pending"]' "$(said "$tmp/copy/image.gow" | jq -c '[.findings[].id]')"
	run gow-repair -p "$tmp/copy/image.gow"
	assertEquals '["map.crosslink"]' "$(said "$tmp/copy/image.gow" | jq -c '[.findings[].id]')"
}

# The record is found also if the image has a name that looks like one of a record.
testPendingRepairOfAnyName() {
	printf '%s\n' 'version 1' 'size 1M' 'map 0-3 0' 'map 5 2' 'data 0-3 text "SECRET of the guest"' >"$tmp/recipe"
	for name in a.gow-undo.gow a.gow-undo.2.gow a.gow-undo-b.gow a.gow-sync.gow .gow-undo.gow; do
		rm -f "$tmp/$name"* "$tmp/$name"
		make_image "$tmp/recipe" "$tmp/$name"
		run_faulty FAULTIO_FILE="$tmp/$name" FAULTIO_FAIL="sync:2:kill" gow-repair -y "$tmp/$name"
		goes_round "$tmp/$name"
		assertEquals "$name" '["journal.pending"]' \
			"$(said "$tmp/copy/image.gow" | jq -c '[.findings[].id]')"
	done
}

# A version field that says too much would make data of the guest a part of the header.
testWrongVersion() {
	printf '%s\n' 'version 1' 'size 8M' 'map 0-99 0' 'data 0-99 text "SECRET of the guest"' \
		'poke32 4 3' | "$GOW_TESTBIN/mkimage" - "$tmp/image.gow"
	run gow-convert --metadata-only "$tmp/image.gow" "$tmp/m.tar.zst"
	assertStatus 0
	assertErr 'as version 1 the image is sound'
	zstd -qdc "$tmp/m.tar.zst" | LC_ALL=C grep -aq SECRET
	assertNotEquals 'guest data in the archive' 0 $?
}

testStreamsAndForms() {
	make_image crosslink-three-v1 "$tmp/image.gow"
	"$GOW_BIN/gow-convert" --metadata-only --compress gzip "$tmp/image.gow" - >"$tmp/stream" 2>"$tmp/said"
	assertEquals 'status' 0 $?
	"$GOW_BIN/gow-convert" -q --metadata-only - "$tmp/copy.gow" <"$tmp/stream"
	assertEquals "$(said "$tmp/image.gow")" "$(said "$tmp/copy.gow")"
	# By another name of the same descriptors.
	"$GOW_BIN/gow-convert" --metadata-only --compress gzip "$tmp/image.gow" /dev/stdout 2>"$tmp/said" |
		cat >"$tmp/named"
	assertSameFile "$tmp/stream" "$tmp/named"
	"$GOW_BIN/gow-convert" -q --metadata-only --force /dev/stdin "$tmp/copy.gow" <"$tmp/stream"
	assertEquals "$(said "$tmp/image.gow")" "$(said "$tmp/copy.gow")"
	run gow-convert --metadata-only -O gow "$tmp/stream" -
	assertStatus 16
	assertErr 'a GOW image is written to a file'
	for suffix in tar tar.gz tar.xz tar.lz4; do
		run gow-convert --json --metadata-only "$tmp/image.gow" "$tmp/m.$suffix"
		assertJson '.metadata_only and (.restored | not) and .version == 1 and
			.file_size == '"$(stat -c %s "$tmp/m.$suffix")"' and
			.image_size == '"$(stat -c %s "$tmp/image.gow")"
		run gow-convert -q --metadata-only --force "$tmp/m.$suffix" "$tmp/copy.gow"
		assertStatus 0
		assertEquals "$(said "$tmp/image.gow")" "$(said "$tmp/copy.gow")"
	done
	# The same image, the same bytes.
	run gow-convert -q --metadata-only "$tmp/image.gow" "$tmp/again.tar.xz"
	assertSameFile "$tmp/m.tar.xz" "$tmp/again.tar.xz"
}

testRefused() {
	make_image leak-count-high-v1 "$tmp/image.gow"
	run gow-convert -q --metadata-only "$tmp/image.gow" "$tmp/m.tar"
	run gow-convert --metadata-only "$tmp/image.gow" "$tmp/m.tar"
	assertStatus 8
	run gow-convert --metadata-only -n "$tmp/image.gow" "$tmp/none.tar"
	assertStatus 0
	assertFalse 'made in a dry run' "[ -e '$tmp/none.tar' ]"
	# It is no backup, and never taken for one.
	run gow-convert "$tmp/m.tar" "$tmp/disk.raw"
	assertStatus 8
	assertErr 'metadata'
	run gow-convert -q -O tar "$tmp/image.gow" "$tmp/backup.tar"
	for bad in "$tmp/backup.tar" "$tmp/image.gow"; do
		run gow-convert --metadata-only "$bad" "$tmp/copy.gow"
		assertStatus 8
		assertFalse 'made of that' "[ -e '$tmp/copy.gow' ]"
	done
	# A byte of the header is another; the archive is cut short.
	cp "$tmp/m.tar" "$tmp/bad.tar"
	offset=$(grep -abo 'GOW' "$tmp/m.tar" | tail -n 1 | cut -d: -f1)
	printf '\001' | dd of="$tmp/bad.tar" bs=1 seek=$((offset + 12)) conv=notrunc status=none
	run gow-convert --metadata-only "$tmp/bad.tar" "$tmp/copy.gow"
	assertStatus 8
	assertErr 'is damaged: its digest'
	head -c 1000000 "$tmp/m.tar" >"$tmp/cut.tar"
	run gow-convert --metadata-only "$tmp/cut.tar" "$tmp/copy.gow"
	assertStatus 8
	assertFalse 'made of a damaged one' "[ -e '$tmp/copy.gow' ]"
	run gow-convert --metadata-only --salvage "$tmp/image.gow" "$tmp/x.tar"
	assertStatus 16
}

# shellcheck source=/dev/null
. "$SHUNIT2"
