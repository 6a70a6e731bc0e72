#!/bin/sh
# The guest digest and manifests: gow-check --digest, --write-manifest, --manifest.
# What is compared comes from guestdigest, which is written from the format's description.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# shellcheck source=digest.sh
. "$TESTS/digest.sh"

suiteSetUp() {
	make_disks
	"$GOW_TESTBIN/guestdigest" -m "$work/disk.raw" >"$work/expected"
}

testKnownDigest() {
	# An empty disk of 512 bytes, by xxhsum: nothing but the size, as 8 bytes.
	need_tool xxhsum || return 0
	printf 'version 1\nsize 512\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/empty.gow"
	run gow-check --json --digest "$tmp/empty.gow"
	assertStatus 0
	assertEquals "$(printf '\0\2\0\0\0\0\0\0' | xxhsum -H2 | cut -d ' ' -f 1)" "$(json .digest)"
	# One block of ones: index 0, its hash, the size.
	printf 'version 1\nsize 65536\nmap 0 0\ndata 0 last 01\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/one.gow"
	make_raw "$tmp/recipe" "$tmp/one.raw"
	hash=$(xxhsum -H2 <"$tmp/one.raw" | cut -d ' ' -f 1)
	{
		printf '\0\0\0\0\0\0\0\0'
		for byte in $(echo "$hash" | sed 's/../& /g'); do
			# shellcheck disable=SC2059 # the digits are the format
			printf "\\$(printf %03o "0x$byte")"
		done
		printf '\0\0\1\0\0\0\0\0'
	} >"$tmp/sequence"
	run gow-check --json --digest "$tmp/one.gow"
	assertEquals "$(xxhsum -H2 <"$tmp/sequence" | cut -d ' ' -f 1)" "$(json .digest)"
}

testSameForEveryVersion() {
	for version in 1 2 3; do
		run gow-check --json --digest "$work/v$version.gow"
		assertStatus 2
		assertJson ".digest == \"$digest\""
		run gow-check --digest "$work/v$version.gow"
		assertOut ": digest $digest\$"
	done
}

testNoDigestUnlessAsked() {
	run gow-check --json --data "$work/v3.gow"
	assertJson 'has("digest") | not'
	run gow-check --data "$work/v3.gow"
	assertNoOut digest
}

# A digest after compaction is the same: the same disk in another order.
testSameAfterConversion() {
	run gow-convert "$work/v1.gow" "$tmp/compact.gow"
	run gow-check --json --digest "$tmp/compact.gow"
	assertStatus 0
	assertJson ".digest == \"$digest\""
}

testRoundTripOfManifest() {
	state_of "$work/v2.gow"
	run gow-check --write-manifest "$tmp/m" "$work/v2.gow"
	assertStatus 2
	assertSameFile "$work/expected" "$tmp/m"
	for version in 1 2 3; do
		run gow-check --boot --manifest "$tmp/m" "$work/v$version.gow"
		assertStatus 0
		assertOut "same as the manifest"
	done
	assertUnchanged "$work/v2.gow"
	assertEquals "files beside it" "m" "$(find "$tmp" -name '*m*' ! -path "$tmp" -printf '%f\n')"
}

testWriteAndCompareAtOnce() {
	run gow-check --json --digest --manifest "$work/expected" --write-manifest "$tmp/m" "$work/v3.gow"
	assertStatus 2
	assertJson ".digest == \"$digest\" and .corrupt == 0"
	assertSameFile "$work/expected" "$tmp/m"
}

testExistingManifestIsKept() {
	echo mine >"$tmp/m"
	run gow-check --write-manifest "$tmp/m" "$work/v3.gow"
	assertStatus 8
	assertErr "$tmp/m: exists already"
	assertNoErr '--force' # which it does not have
	assertEquals mine "$(cat "$tmp/m")"
}

# Every kind of difference, at its place.
testMismatches() {
	{
		recipe 3 | sed '/^map 9/d; /^map 20/d'
		# zeros where data was (20), data where zeros were (9), another content (6)
		echo 'map 9 7'
		echo 'data 7 pattern 9'
		echo 'poke 33554944+4*65536 ff'
	} >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/other.gow"
	run gow-check --json -v --manifest "$work/expected" "$tmp/other.gow"
	assertStatus 4
	assertJson '.findings[] | select(.id == "data.mismatch") | .severity == "corrupt" and .count == 3
		and .first == {logical: 6, physical: 4, offset: (33554944 + 4 * 65536)}
		and [.blocks[].logical] == [6, 9, 20]
		and .blocks[2] == {logical: 20} and .fix == null'
	run gow-check --manifest "$work/expected" "$tmp/other.gow"
	assertStatus 4
	assertOut 'data\.mismatch'
	assertNoOut 'same as the manifest'
}

testAllIsDifferent() {
	printf 'version 1\nsize 20*65536+1536\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/empty.gow"
	run gow-check --json -v --manifest "$work/expected" "$tmp/empty.gow"
	assertStatus 4
	assertJson '.findings[0].id == "data.mismatch" and
		[.findings[0].blocks[].logical] == [0, 1, 5, 6, 20]'
	# And the other way round.
	run gow-check --write-manifest "$tmp/m" "$tmp/empty.gow"
	run gow-check --json -v --boot --manifest "$tmp/m" "$work/v1.gow"
	assertStatus 4
	assertJson '.findings[] | select(.id == "data.mismatch") |
		[.blocks[].logical] == [0, 1, 5, 6, 20]'
}

testOtherSize() {
	printf 'version 1\nsize 65536\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/small.gow"
	run gow-check --manifest "$work/expected" "$tmp/small.gow"
	assertStatus 8
	assertOutEmpty
	assertErr "$work/expected: is the manifest of a disk of 1312256 bytes, and this one has 65536"
	run gow-check --json --manifest "$work/expected" "$tmp/small.gow"
	assertStatus 8
	assertJson '.error == "mismatch"'
}

# An image that is corrupt otherwise.
testCorruptImages() {
	make_image map-range-v1 "$tmp/range.gow"
	run gow-check --json --digest --write-manifest "$tmp/m" "$tmp/range.gow"
	assertStatus 4
	assertJson '.digest == null and .corrupt > 0'
	assertErr 'no manifest was written'
	assertEquals "" "$(find "$tmp" -name m)"
	run gow-check --digest "$tmp/range.gow"
	assertStatus 4
	assertOut 'no digest'
	make_image header-truncated-v1 "$tmp/cut.gow"
	run gow-check --json --digest "$tmp/cut.gow"
	assertStatus 4
	assertJson '.digest == null'
}

# A manifest that agrees with a size that cannot be must not lead past the map.
testManifestOfUnvalidSize() {
	printf 'version 1\nsize 1T\nmap 0 0\ndata 0 text "x"\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/huge.gow"
	{
		printf 'gow-manifest 1\nsize 1099511627776\nblock 16777215 %032d\n' 0
		printf 'digest %032d\n' 0
	} >"$tmp/m"
	# The message tells the digest that follows from the lines.
	run gow-check --manifest "$tmp/m" "$tmp/huge.gow"
	assertStatus 8
	sed -i "\$s/.*/digest $(sed 's/.* //' "$err")/" "$tmp/m"
	run gow-check --json --digest --manifest "$tmp/m" "$tmp/huge.gow"
	assertStatus 4
	assertJson '.digest == null and .findings[0].id == "header.size" and (.findings | length) == 1'
}

testUnreadable() {
	run_faulty FAULTIO_FILE='*/v3.gow' FAULTIO_READ=33554944-33555000 \
		gow-check --json --digest --manifest "$work/expected" "$work/v3.gow"
	assertStatus 4
	assertJson '.digest == null and ([.findings[].id] | contains(["data.unreadable"]))
		and ([.findings[].id] | index("data.mismatch") == null)'
}

# Neither holes nor what is not allocated is read.
testReadsNoHoles() {
	cat >"$tmp/recipe" <<'END'
version 3
size 1G
map 0-9999 0
blocks 10000
data 7 pattern 1
END
	make_image "$tmp/recipe" "$tmp/holes.gow"
	run_faulty FAULTIO_FILE='*/holes.gow' FAULTIO_TRACE="$tmp/trace" gow-check --digest "$tmp/holes.gow"
	assertStatus 0
	# Past the header: the block with data, with its neighbours at most.
	read_bytes=$(awk '$1 == "read" && $4 >= 33554944 { sum += $5 } END { print sum + 0 }' "$tmp/trace")
	assertTrue "$read_bytes bytes were read" "[ $read_bytes -gt 0 ] && [ $read_bytes -le 1048576 ]"
}

# ---- damaged manifests ----

# damaged LINE COLUMN EDIT: sed's EDIT of the manifest is found at that place.
damaged() {
	sed "$3" "$work/expected" >"$tmp/m"
	run gow-check --manifest "$tmp/m" "$work/v3.gow"
	assertStatus 8
	assertOutEmpty
	assertErr "^gow-check: $tmp/m: is a damaged manifest \\(line $1, column $2\\): "
}

# shellcheck disable=SC2016 # sed's, not the shell's
testDamagedManifests() {
	damaged 1 1 '1s/.*/manifest/'
	damaged 1 1 '1s/1$/2/'
	damaged 1 15 '1s/$/ /'
	damaged 2 1 '2s/size/Size/'
	damaged 2 1 '2s/ /  /;2s/^/ /'
	damaged 2 6 '2s/ .*/ 0/'
	damaged 2 6 '2s/ .*/ 1000/'
	damaged 2 6 '2s/ / 0/'
	damaged 2 6 '2s/ .*/ 18446744073709551616/'
	damaged 2 13 '2s/$/x/'
	damaged 3 1 '3s/block/blck/'
	damaged 3 7 '3s/block 0/block -0/'
	damaged 3 7 '3s/block 0/block 00/'
	damaged 3 8 '3s/block 0 /block 0:/'
	damaged 3 9 '3s/block 0 ./block 0 G/'
	damaged 3 9 '3s/block 0 ./block 0 A/'
	damaged 3 40 '3s/.$//'
	damaged 3 41 '3s/$/0/'
	damaged 4 7 '4s/block 1 /block 0 /'
	damaged 3 7 '3s/block 0 /block 21 /'
	damaged 8 8 '3s/block 0 ./block 0 f/;3s/\(block 0 .\)f/\1e/'
	damaged 7 8 '3d'
	damaged 8 1 '$d'
	damaged 8 1 '$s/digest /digest/'
	damaged 9 1 '$s/$/\n/'
	damaged 9 1 '$s/$/\nblock 0/'
}

testManifestCutAnywhere() {
	size=$(wc -c <"$work/expected")
	for length in 0 1 7 14 15 20 27 28 60 100 $((size - 33)) $((size - 2)) $((size - 1)); do
		head -c "$length" "$work/expected" >"$tmp/m"
		run gow-check --manifest "$tmp/m" "$work/v3.gow"
		assertStatus 8
		assertErr 'is a damaged manifest \(line [0-9]+, column [0-9]+\)'
	done
}

testNoManifest() {
	run gow-check --manifest "$tmp/none" "$work/v3.gow"
	assertStatus 8
	assertErr "^gow-check: $tmp/none: .*No such file"
	run gow-check --manifest "$work" "$work/v3.gow"
	assertStatus 8
	head -c 300000 /dev/zero >"$tmp/zeros"
	run gow-check --manifest "$tmp/zeros" "$work/v3.gow"
	assertStatus 8
	assertErr 'line 1, column 81'
}

testOneImageOnly() {
	run gow-check --manifest "$work/expected" "$work/v1.gow" "$work/v2.gow"
	assertStatus 16
	echo "$work/v1.gow" >"$tmp/list"
	run gow-check --write-manifest "$tmp/m" --files-from "$tmp/list"
	assertStatus 16
	run gow-check --manifest "$work/expected" --manifest "$work/expected" "$work/v1.gow"
	assertStatus 16
	run gow-check --manifest= "$work/v1.gow"
	assertStatus 16
}

# ---- nothing is left behind ----

testWriteFails() {
	for call in write:1 sync:1 rename:1; do
		run_faulty FAULTIO_FILE="$tmp/*" FAULTIO_FAIL="$call:EIO" \
			gow-check --write-manifest "$tmp/m" "$work/v3.gow"
		assertStatus 8
		assertOutEmpty
		assertEquals "$call" "" "$(find "$tmp" -name 'm' -o -name '.gow-tmp*')"
	done
}

testStopped() {
	run_faulty FAULTIO_FILE='*/v3.gow' FAULTIO_FAIL=read:5:signal=15 \
		gow-check --write-manifest "$tmp/m" "$work/v3.gow"
	assertStatus 32
	assertEquals "" "$(find "$tmp" -name 'm' -o -name '.gow-tmp*')"
}

# One processor or two: the same.
testOneProcessor() {
	need_tool taskset || return 0
	gow_cpu=$(taskset -pc $$ | sed 's/.*: //; s/[,-].*//')
	run taskset -c "$gow_cpu" "$GOW_BIN/gow-check" --json --digest "$work/v3.gow"
	assertStatus 2
	assertJson ".digest == \"$digest\""
}

# A manifest is locked and read like an image, and --no-lock is for both.
testALockedManifest() {
	make_image sound-v1 "$tmp/image"
	run gow-check -q --write-manifest "$tmp/manifest" "$tmp/image"
	assertStatus 0
	run hold -w -l ofd-write "$tmp/manifest" "$GOW_BIN/gow-check" -q --manifest "$tmp/manifest" "$tmp/image"
	assertStatus 64
	assertErr 'manifest: is locked by'
	run hold -w -l ofd-write "$tmp/manifest" "$GOW_BIN/gow-check" -q --no-lock --manifest "$tmp/manifest" "$tmp/image"
	assertStatus 0
	run hold -t 0.3 -w -l ofd-write "$tmp/manifest" "$GOW_BIN/gow-check" -q --wait 20 --manifest "$tmp/manifest" \
		"$tmp/image"
	assertStatus 0
}

# shellcheck source=/dev/null
. "$SHUNIT2"
