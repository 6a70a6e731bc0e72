#!/bin/sh
# gow-convert --salvage: what is made of it, preambles that are gone, read errors, words.
# What can be had of every corrupt fixture is salvage-fixtures_test.sh's.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=convert.sh
. "$TESTS/convert.sh"

suiteSetUp() {
	make_disks
}

# ---- what is made is an image again ----

testToSoundImages() {
	for case in map-crosslink-v1 map-range-v2 map-beyond-size-v3 journal-missing-v3 \
		header-truncated-v2; do
		make_image "$case" "$tmp/image.gow"
		convert --salvage "$tmp/image.gow" -
		assertStatus 4
		mv "$out" "$tmp/saved.raw"
		for format in gow1 gow3; do
			convert --salvage --force -O $format "$tmp/image.gow" "$tmp/saved.gow"
			assertStatus 4
			run gow-check --data "$tmp/saved.gow"
			assertTrue "not sound: $status" "[ $((status & ~2)) -eq 0 ]"
			convert "$tmp/saved.gow" -
			assertStatus 0
			assertSameFile "$tmp/saved.raw" "$out"
		done
	done
}

testVersionNumbersAreKept() {
	recipe damaged "version 3" "size 10M" "map 0 0" "map 1 1" "map 2 77" "map 3 0" "ver 0 4" \
		"ver 1 max32" "ver 2 9" "ver 3 8" "ver 50 3" 'data 0 text "one"' 'data 1 text "two"'
	make_image "$recipe" "$tmp/damaged.gow"
	dd if=/dev/null of="$tmp/damaged.gow" bs=1 seek=$((33554944 + 2 * 65536)) status=none
	recipe wanted "version 3" "size 10M" "map 0 0" "map 1 1" "map 3 2" "ver 0 4" \
		"ver 1 max32" "ver 2 9" "ver 3 8" "ver 50 3" 'data 0 text "one"' 'data 1 text "two"' \
		'data 2 text "one"'
	make_image "$recipe" "$tmp/wanted.gow"
	convert --salvage "$tmp/damaged.gow" "$tmp/saved.gow"
	assertStatus 4
	assertSameFile "$tmp/wanted.gow" "$tmp/saved.gow"
}

testSoundImagesLoseNothing() {
	for source in disk.raw 1.gow 3.gow; do
		convert --json --salvage -O gow2 "$work/$source" "$tmp/$source"
		assertStatus 0
		assertJson '.exit == 0 and .damaged == false and .losses == []'
		assertSameFile "$work/2.gow" "$tmp/$source"
	done
	# What is only advisory is no damage.
	make_image advisories-v3 "$tmp/image.gow"
	convert --json --salvage "$tmp/image.gow" "$tmp/a.raw"
	assertStatus 0
	assertJson '.damaged == false'
}

# ---- a preamble that is gone ----

testNoMagic() {
	for version in 1 2 3; do
		cp "$work/$version.gow" "$tmp/image.gow"
		printf 'XXXX' | dd of="$tmp/image.gow" conv=notrunc status=none
		convert -f "gow$version" "$tmp/image.gow" "$tmp/a.raw"
		assertStatus 8
		assertFalse "made" "[ -e '$tmp/a.raw' ]"
		convert --json --salvage -f "gow$version" "$tmp/image.gow" "$tmp/a.raw"
		assertStatus 4
		assertJson '.damaged == true and .source_format == "gow'$version'"'
		assertSameFile "$work/disk.raw" "$tmp/a.raw"
		rm "$tmp/a.raw"
	done
}

# Nothing of it is left: the smallest size that covers every block is taken.
testNoPreamble() {
	for version in 1 2 3; do
		cp "$work/$version.gow" "$tmp/image.gow"
		for bytes in '\0' '\377'; do
			head -c 20 /dev/zero | tr '\0' "$bytes" | dd of="$tmp/image.gow" conv=notrunc status=none
			convert --json --salvage -f "gow$version" "$tmp/image.gow" "$tmp/a.raw"
			assertStatus 4
			assertJson ".damaged == true and .logical_size == $((49 * 65536))"
			cp "$work/disk.raw" "$tmp/wanted.raw"
			truncate -s $((49 * 65536)) "$tmp/wanted.raw"
			assertSameFile "$tmp/wanted.raw" "$tmp/a.raw"
			rm "$tmp/a.raw"
		done
		# Without being told it is no disk, since its size is none; -f raw takes it.
		convert --json --salvage "$tmp/image.gow" "$tmp/a.raw"
		[ $(($(stat -c %s "$tmp/image.gow") % 512)) -eq 0 ] || assertStatus 8
		rm -f "$tmp/a.raw"
		convert --json --salvage -f raw "$tmp/image.gow" "$tmp/a.raw"
		assertJson '.source_format == "raw"'
		assertSameFile "$tmp/image.gow" "$tmp/a.raw"
		rm "$tmp/a.raw"
	done
}

# -f says what was there only where nothing does any more.
testPreambleThatSaysOtherwise() {
	convert --salvage -f gow1 "$work/3.gow" "$tmp/a.raw"
	assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
	assertFalse "made" "[ -e '$tmp/a.raw' ]"
}

# ---- what cannot be read ----

# zeroed DISK RANGE...: with zeros in these bytes, $tmp/wanted.raw.
zeroed() {
	cp --sparse=never "$1" "$tmp/wanted.raw"
	shift
	for range; do
		head -c $((${range#*-} - ${range%-*})) /dev/zero |
			dd of="$tmp/wanted.raw" bs=64K oflag=seek_bytes seek="${range%-*}" \
				conv=notrunc status=none
	done
}

# lost RANGE...: these were lost, and nothing else.
lost() {
	for range; do
		echo "{\"kind\":\"unreadable\",\"start\":${range%-*},\"length\":$((${range#*-} - ${range%-*}))}"
	done >"$tmp/lost"
	json '.losses[] | {kind, start, length}' >"$tmp/told"
	assertSameFile "$tmp/lost" "$tmp/told"
}

# unreadable FILE BYTES RANGE...: when these bytes of the file cannot be read, these
# ranges of the disk are zeros.
unreadable() {
	file=${1##* } bytes=$2 options=''
	[ "$file" = "$1" ] || options=${1% *}
	shift 2
	zeroed "$work/disk.raw" "$@"
	# shellcheck disable=SC2086 # words, or none
	run_faulty FAULTIO_FILE="*/$file" FAULTIO_READ="$bytes" \
		gow-convert --json --salvage $options "$work/$file" "$tmp/saved.raw"
	assertStatus 4
	assertJson '.exit == 4 and .damaged == true'
	lost "$@"
	assertSameFile "$tmp/wanted.raw" "$tmp/saved.raw"
	rm -f "$tmp/saved.raw"
	run_faulty FAULTIO_FILE="*/$file" FAULTIO_READ="$bytes" \
		gow-convert "$work/$file" "$tmp/saved.raw"
	assertStatus 8
	assertFalse "made" "[ -e '$tmp/saved.raw' ]"
}

# Sector by sector, and neighbours told as one.
testUnreadableRaw() {
	unreadable disk.raw 200000-200001 199680-200192
	unreadable disk.raw 199680-200192 199680-200192
	unreadable disk.raw 199680-200193 199680-200704
	# Whoever cannot be told by the first bytes is told by us.
	unreadable "-f raw disk.raw" 5-6 0-512
	unreadable "-f raw disk.raw" 0-65536 0-65536
	unreadable disk.raw 196608-197120,197632-198144,393215-393216 \
		196608-197120 197632-198144 392704-393216
	# Across what is read at a time.
	unreadable disk.raw 3100000-3147264 3099648-3147264
	unreadable disk.raw 3147263-3147264 3146752-3147264
}

# In an image, sectors are the guest's.
testUnreadableImage() {
	# Logical block 40 is physical block 5.
	at=$((4194324 + 5 * 65536))
	unreadable 1.gow $at-$((at + 1)) 2621440-2621952
	unreadable 1.gow $((at + 511))-$((at + 513)) 2621440-2622464
	unreadable 1.gow $at-$((at + 65536)) 2621440-2686976
	unreadable 1.gow $((at + 65536 - 1))-$((at + 65536 + 1)) 2686464-2687488
	# The last one, of which 1536 bytes are in the disk.
	at=$((33554944 + 13 * 65536))
	unreadable 3.gow $((at + 1000))-$((at + 65536)) 3146240-3147264
	# Neighbours in the file, and far apart for the guest: 0 and 3.
	at=$((33554944 + 65536))
	unreadable 3.gow $((at - 1))-$((at + 1)) 65024-65536 196608-197120
}

testUnreadableAll() {
	unreadable 1.gow 4194324-99999999 0-65536 196608-393216 1114112-1179648 2621440-3147264
}

# A block that two name is lost twice, and shared besides.
testUnreadableAndShared() {
	make_image map-crosslink-v1 "$tmp/image.gow"
	run_faulty FAULTIO_FILE="*/image.gow" FAULTIO_READ="$((4194324 + 65536))-$((4194324 + 65537))" \
		gow-convert --json --salvage "$tmp/image.gow" "$tmp/saved.raw"
	assertStatus 4
	assertEquals '["shared",458752,65536] ["shared",1966080,65536] ["unreadable",458752,512] ["unreadable",1966080,512]' \
		"$(json '.losses | map([.kind, .start, .length]) | sort[] | tojson' | xargs -d '\n')"
}

# The header is what nothing can be salvaged without.
testUnreadableHeader() {
	for at in 0 100 4194000; do
		run_faulty FAULTIO_FILE="*/1.gow" FAULTIO_READ="$at-$((at + 1))" \
			gow-convert --salvage "$work/1.gow" "$tmp/a.raw"
		assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 4 ]"
		[ "$status" -eq 4 ] || assertFalse "made" "[ -e '$tmp/a.raw' ]"
		rm -f "$tmp/a.raw"
	done
}

# ---- what it says ----

testText() {
	recipe damaged "version 1" "size 10M" "map 0 0" "map 1 1" "map 2 99" "map 4 1" "map 200 2" \
		"data 0-2 pattern 1" "blocks 3"
	make_image "$recipe" "$tmp/damaged.gow"
	convert --salvage "$tmp/damaged.gow" "$tmp/saved.raw"
	assertStatus 4
	assertOut "damaged\.gow: unmapped: 65536 bytes from 131072 on"
	assertOut "damaged\.gow: shared: 65536 bytes from 65536 on"
	assertOut "damaged\.gow: shared: 65536 bytes from 262144 on"
	assertOut "damaged\.gow: beyond-size: 65536 bytes from 13107200 on"
	assertOut "damaged\.gow: damaged: 4 parts"
	assertOut "damaged\.gow -> $tmp/saved\.raw: raw"
	convert -q --salvage "$tmp/damaged.gow" "$tmp/quiet.raw"
	assertStatus 4
	assertOutEmpty
	assertSameFile "$tmp/saved.raw" "$tmp/quiet.raw"
	convert --json --salvage "$tmp/damaged.gow" "$tmp/json.raw"
	assertEquals 1 "$(wc -l <"$out")"
	assertJson '.losses | length == 4'
}

testDryRun() {
	for case in map-crosslink-v1 map-range-v1 everything-v3 header-truncated-v2; do
		make_image "$case" "$tmp/image.gow"
		convert -n --json --salvage -O gow3 "$tmp/image.gow" "$tmp/a"
		assertStatus 4
		json 'del(.dry_run)' >"$tmp/would"
		assertFalse "made" "[ -e '$tmp/a' ]"
		convert --json --salvage -O gow3 "$tmp/image.gow" "$tmp/a"
		assertStatus 4
		json . >"$tmp/did"
		assertSameFile "$tmp/would" "$tmp/did"
		rm "$tmp/a"
		convert -n "$tmp/image.gow" "$tmp/a.raw"
		assertStatus 4
	done
}

testVerify() {
	make_image everything-v3 "$tmp/image.gow"
	convert --json --salvage --verify -O gow3 "$tmp/image.gow" "$tmp/a"
	assertStatus 4
	assertJson '.digest | test("^[0-9a-f]{32}$")'
}

testMemory() {
	! grep -q __asan_init "$GOW_BIN/gow-convert" ||
		{ skip "AddressSanitizer needs memory of its own"; return; }
	recipe shared "version 3" "size limit" "map 0-2097151 0" "map 2097152-4194303 0 shuffle 5" \
		"blocks 2097152" "data 5 pattern 1"
	make_image "$recipe" "$tmp/image.gow"
	run maxrss "$tmp/rss" "$GOW_BIN/gow-convert" -q --salvage "$tmp/image.gow" "$tmp/saved.gow"
	assertStatus 4
	assertTrue "$(cat "$tmp/rss") KiB" "[ $(cat "$tmp/rss") -le 65536 ]"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
