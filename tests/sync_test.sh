#!/bin/sh
# gow-sync: copies of a master that are kept in step.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$TESTS/servers.sh"
# shellcheck source=sync.sh
. "$TESTS/sync.sh"

testMakesACopy() {
	run gow-sync --json "$work/v1.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.created and .changed and .newer_blocks == 100 and .rounds == 1 and .exit == 0'
	assertInStep "$work/v1.gow"
	assertAlone
	assertEquals "$(stat -c %a "$work/v1.gow")" "$(stat -c %a "$tmp/c.gow")"
}

testFetchesWhatIsNewer() {
	copy_of v1
	run gow-sync --json "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.newer_blocks == 16 and .unmapped_blocks == 1 and .diverged_blocks == 0 and
		.changed and (.created | not)'
	assertJson '.fetched_bytes == .fetch_bytes and .fetched_bytes < 16 * 65536 + 32768'
	assertInStep "$work/v2.gow"
	assertAlone
	run gow-check "$tmp/c.gow"
	assertStatus 2
	state_of "$tmp/c.gow"
	run gow-sync --json "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '(.changed | not) and .newer_blocks == 0 and .fetched_bytes < 16384'
	assertUnchanged "$tmp/c.gow"
}

# Old places are used again: the file does not grow for ever.
testUsesOldPlacesAgain() {
	copy_of v1
	run gow-sync "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$work/all.gow"
	size=$(stat -c %s "$tmp/c.gow")
	run gow-sync --force "$work/v1.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$work/v1.gow"
	assertEquals "$size" "$(stat -c %s "$tmp/c.gow")"
	blocks=$(($(stat -c %b "$tmp/c.gow") * 512))
	assertTrue "$blocks bytes on the disk" "[ $blocks -lt $((100 * 65536 + 17 * 1048576)) ]"
}

# A share of the blocks changed, at random places: no more is fetched than that.
testShares() {
	need_tool nginx python3 || return 0
	serve_nginx "$tmp"
	for share in 0 1 50 100; do
		copy_of v1
		lines=$(python3 -c 'import random, sys
random.seed(5)
for block in random.sample(range(100), int(sys.argv[1])):
    print(f"data {block} pattern 9\nver {block} 2")' "$share")
		lineage "$tmp/m.gow" "$lines"
		forget_served
		run gow-sync --json "$url/m.gow" "$tmp/c.gow"
		assertStatus 0
		assertJson ".newer_blocks == $share"
		assertInStep "$tmp/m.gow"
		bytes=$(served_bytes)
		ideal=$((share * 65536 + 256 * 8))
		assertTrue "$share: $bytes bytes" "[ $bytes -le $((ideal + ideal / 50 + 2048 + 262144)) ]"
	done
	# The last one was all of it, in requests of 256 KiB at least.
	assertTrue "$(served_requests) requests" "[ $(served_requests) -le $((100 * 65536 / 262144 + 16)) ]"
}

testOtherSizes() {
	copy_of v1
	lineage "$tmp/m.gow" 'size 20M' 'map 300-309 100' 'data 100-109 pattern 5' 'ver 300-309 2'
	run gow-sync --json "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$tmp/m.gow"
	cmp -n 2048 -i 16777236 "$tmp/m.gow" "$tmp/c.gow" || fail 'numbers of the grown disk'
	run gow-sync --json "$work/v1.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.unmapped_blocks == 10'
	assertInStep "$work/v1.gow"
	# The last block is cut off by the end of the disk, and by the end of the master's file.
	printf '%s\n' 'version 3' 'size 66048' 'map 0-1 0' 'data 0-1 pattern 8' 'truncate end-60000' |
		"$GOW_TESTBIN/mkimage" - "$tmp/m.cut"
	rm "$tmp/c.gow"
	run gow-sync "$tmp/m.cut" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$tmp/m.cut"
}

testDryRun() {
	copy_of v1
	state_of "$tmp/c.gow"
	run gow-sync -n --json "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertUnchanged "$tmp/c.gow"
	assertAlone
	assertJson '.dry_run and (.changed | not) and .newer_blocks == 16 and .disk_bytes == 1048576'
	told=$(json '[.newer_blocks, .needed_blocks, .unmapped_blocks, .fetch_bytes, .requests,
		.disk_bytes]')
	size=$(stat -c %s "$tmp/c.gow")
	run gow-sync --json "$work/v2.gow" "$tmp/c.gow"
	assertEquals "$told" "$(json '[.newer_blocks, .needed_blocks, .unmapped_blocks, .fetched_bytes,
		.requests, .disk_bytes]')"
	assertEquals 'the file grew by' 1048576 $(($(stat -c %s "$tmp/c.gow") - size))
	run gow-sync -n --json "$work/v2.gow" "$tmp/none.gow"
	assertStatus 0
	assertJson '.newer_blocks == 105 and (.created | not)'
	assertAlone
}

testDiverged() {
	copy_of v2
	state_of "$tmp/c.gow"
	for more in '' -n; do
		# shellcheck disable=SC2086
		run gow-sync $more --json "$work/v1.gow" "$tmp/c.gow"
		assertStatus 8
		assertJson '.diverged_blocks == 17 and .first_diverged == 7 and (.changed | not) and
			(.message | test("17 blocks.*block 7"))'
		assertErr '17 blocks.*block 7'
		assertUnchanged "$tmp/c.gow"
		assertAlone
	done
	run gow-sync --force --json "$work/v1.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.changed'
	assertInStep "$work/v1.gow"
}

testWhatCannotBeSynchronised() {
	copy_of v1
	printf '%s\n' 'version 2' 'size 16M' 'map 0-9 0' | "$GOW_TESTBIN/mkimage" - "$tmp/m.v2"
	state_of "$tmp/c.gow"
	run gow-sync --json "$tmp/m.v2" "$tmp/c.gow"
	assertStatus 8
	assertErr 'no version numbers.*manifest'
	run gow-sync "$work/v1.gow" "$tmp/m.v2"
	assertStatus 8
	assertErr 'version 2.*gow-upgrade'
	for case in journal-missing-v3:4 map-range-v3:4 map-beyond-size-v3:4 header-truncated-v3:4; do
		make_image "${case%:*}" "$tmp/m.bad"
		run gow-sync --json "$tmp/m.bad" "$tmp/c.gow"
		assertStatus "${case#*:}"
		run gow-sync "$work/v1.gow" "$tmp/m.bad"
		assertStatus "${case#*:}"
	done
	echo 'no image' >"$tmp/m.bad"
	run gow-sync "$tmp/m.bad" "$tmp/c.gow"
	assertStatus 8
	run gow-sync "$tmp/m.bad" "$tmp/none.gow"
	assertStatus 8
	run gow-sync "$work/v1.gow" "$tmp/m.bad"
	assertStatus 8
	# It is the master that is another kind of file, and the message says so.
	printf 'QFI\373\0\0\0\3%01000d' 0 >"$tmp/m.bad"
	for copy in c none; do
		run gow-sync "$tmp/m.bad" "$tmp/$copy.gow"
		assertStatus 8
		assertErr "^gow-sync: $tmp/m.bad: is a qcow2 image"
	done
	run gow-sync --json "$tmp/m.bad" "$tmp/c.gow"
	assertJson '.file | endswith("/m.bad")'
	run gow-sync "$work/v1.gow" "$tmp/m.bad"
	assertErr "^gow-sync: $tmp/m.bad: is a qcow2 image"
	run gow-sync "$work/none.gow" "$tmp/c.gow"
	assertStatus 8
	run gow-sync "$tmp/c.gow" "$tmp/c.gow"
	assertStatus 16
	run gow-sync "$work/v1.gow" http://127.0.0.1:1/x
	assertStatus 8
	assertUnchanged "$tmp/c.gow"
	assertAlone
}

testZeroNumbers() {
	copy_of v1
	lineage "$tmp/m.gow" 'data 3 pattern 6' 'ver 3 0' 'map 120 100' 'data 100 pattern 6' 'ver 120 0'
	run gow-sync --force "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$tmp/m.gow"
	run gow-sync "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertErr 'number 0'
	# Once, also where something is done.
	lineage "$tmp/m.gow" 'data 3 pattern 6' 'ver 3 0' 'map 7 none'
	lineage "$tmp/c.gow" 'data 3 pattern 6' 'ver 3 0'
	run gow-sync --json "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.changed and .unmapped_blocks == 1'
	assertEquals 1 "$(grep -c 'number 0' "$err")"
}

# Of a block at the end of the file some may be missing: zeros. 100 blocks are read in two parts, and the
# last one comes to where another was before.
testVerifyOfAShortBlock() {
	lineage "$tmp/m.gow" 'truncate end-60000'
	run gow-check --json --digest "$tmp/m.gow"
	digest=$(json .digest)
	for copy in v1 none; do
		rm -f "$tmp/c.gow"
		[ $copy = none ] || lineage "$tmp/c.gow" 'ver 0-99 0'
		run gow-sync --json --verify "$tmp/m.gow" "$tmp/c.gow"
		assertStatus 0
		assertJson ".digest == \"$digest\""
		run gow-check --json --digest "$tmp/c.gow"
		assertJson ".digest == \"$digest\""
	done
}

# A master without blocks may end anywhere behind its header.
testAMasterThatEndsInThePadding() {
	for end in header_end header_end+1 data_start-1 data_start; do
		printf '%s\n' 'version 3' 'size 16M' "truncate $end" | make_image - "$tmp/m.gow"
		copy_of v1
		for force in '' --force; do
			# shellcheck disable=SC2086 # nothing, or an option
			run gow-sync --json $force "$tmp/m.gow" "$tmp/c.gow"
			assertStatus "$([ -n "$force" ] && echo 0 || echo 8)"
		done
		assertJson '.rounds == 1 and .changed'
		assertSameFile "$(sum_of "$tmp/m.gow")" "$(sum_of "$tmp/c.gow")"
		rm "$tmp/c.gow.sum" "$tmp/c.gow"
		run gow-sync --json "$tmp/m.gow" "$tmp/c.gow"
		assertStatus 0
		assertJson '.rounds == 1 and .created'
		assertSameFile "$(sum_of "$tmp/m.gow")" "$(sum_of "$tmp/c.gow")"
		rm "$tmp/c.gow.sum"
		assertAlone
	done
}

# A block of zeros that the copy has given back is the same to the guest, and under the same number.
testACopyWithoutItsZeros() {
	lineage "$tmp/m.gow" 'data 50-59 zero'
	cp --sparse=always "$tmp/m.gow" "$tmp/c.gow"
	run gow-compact --json "$tmp/c.gow"
	assertJson '.zero_blocks == 10'
	state_of "$tmp/c.gow"
	for option in '' --verify; do
		# shellcheck disable=SC2086 # nothing, or an option
		run gow-sync --json $option "$tmp/m.gow" "$tmp/c.gow"
		assertStatus 0
		assertJson '(.changed | not) and .needed_blocks == 0'
		assertUnchanged "$tmp/c.gow"
	done
}

testManifest() {
	copy_of v1
	run gow-check -q --write-manifest "$tmp/m.manifest" "$work/v2.gow"
	# Two blocks differ that have the master's number.
	lineage "$tmp/c.gow" 'data 30-31 pattern 7'
	state_of "$tmp/c.gow"
	run gow-sync -n --json --manifest "$tmp/m.manifest" "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.newer_blocks == 16 and .needed_blocks == 18'
	assertUnchanged "$tmp/c.gow"
	run gow-sync --json --manifest "$tmp/m.manifest" "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.newer_blocks == 16 and .needed_blocks == 18 and .changed'
	assertInStep "$work/v2.gow"
	assertEquals "$(json .digest)" "$(sed -n 's/^digest //p' "$tmp/m.manifest")"
	run gow-sync --json --manifest "$tmp/m.manifest" "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '(.changed | not) and (.digest | length) == 32'
}

testManifestDoesNotAgree() {
	copy_of v1
	run gow-check -q --write-manifest "$tmp/m.manifest" "$work/v1.gow"
	state_of "$tmp/c.gow"
	# The master is not what it says; nothing that was fetched stays.
	run gow-sync --json --manifest "$tmp/m.manifest" "$work/all.gow" "$tmp/c.gow"
	assertStatus 4
	assertOld v1
	assertAlone
	run gow-sync --manifest "$tmp/m.manifest" "$work/all.gow" "$tmp/none.gow"
	assertStatus 4
	assertAlone
	copy_of v1
	state_of "$tmp/c.gow"
	sed 's/^block 5 ./block 5 x/' "$tmp/m.manifest" >"$tmp/m.damaged"
	sed 's/^size .*/size 512/' "$tmp/m.manifest" >"$tmp/m.other"
	sed '$d' "$tmp/m.manifest" >"$tmp/m.cut"
	for manifest in damaged other cut none; do
		run gow-sync --manifest "$tmp/m.$manifest" "$work/v2.gow" "$tmp/c.gow"
		assertStatus 8
		assertUnchanged "$tmp/c.gow"
	done
	assertAlone
}

testMasterWithoutNumbers() {
	copy_of v1
	run gow-convert -q -O gow2 "$work/v2.gow" "$tmp/m.v2"
	run gow-check -q --write-manifest "$tmp/m.manifest" "$tmp/m.v2"
	run gow-sync --json --manifest "$tmp/m.manifest" "$tmp/m.v2" "$tmp/c.gow"
	assertStatus 0
	assertJson '.newer_blocks == 16 and .unmapped_blocks == 1'
	assertOld v2
	run gow-check "$tmp/c.gow"
	assertStatus 2
}

testVerify() {
	lineage "$tmp/c.gow" 'data 30-31 pattern 7'
	run gow-sync --json --verify "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.needed_blocks == 18 and (.digest | length) == 32'
	assertInStep "$work/v2.gow"
}

testKilledAndResumed() {
	need_tool nginx python3 || return 0
	serve_nginx "$work"
	copy_of v1
	interrupted "$url/all.gow" "$tmp/c.gow"
	assertOld v1
	run gow-sync -n --json "$url/all.gow" "$tmp/c.gow"
	assertJson '.resumed and .newer_blocks == 100 and .fetch_bytes < 98 * 65536'
	interrupted "$url/all.gow" "$tmp/c.gow"
	run gow-sync --json "$url/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.resumed'
	assertInStep "$work/all.gow"
	assertAlone
	# What was in flight is asked for again, and the header.
	assertTrue "$(served_bytes) bytes" "[ $(served_bytes) -le $((100 * 65536 + 4 * 1048576)) ]"
}

# A new copy that was interrupted has no name yet; what is there is not fetched again.
testNewCopyResumed() {
	need_tool nginx python3 || return 0
	serve_nginx "$work"
	interrupted "$url/all.gow" "$tmp/c.gow"
	assertFalse 'has its name' "[ -e '$tmp/c.gow' ]"
	run gow-sync -n --json "$url/all.gow" "$tmp/c.gow"
	assertJson '.resumed and .fetch_bytes < 98 * 65536'
	run gow-sync --json "$url/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.created and .resumed'
	assertInStep "$work/all.gow"
	assertAlone
	assertTrue "$(served_bytes) bytes" "[ $(served_bytes) -le $((100 * 65536 + 3 * 1048576)) ]"
}

# The record is lost, or tells lies: that costs a download, and nothing else.
testRecordLost() {
	copy_of v1
	interrupted "$work/all.gow" "$tmp/c.gow"
	rm "$tmp/c.gow.gow-sync"
	run gow-sync --json "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.resumed | not'
	assertInStep "$work/all.gow"
	copy_of v1
	interrupted "$work/all.gow" "$tmp/c.gow"
	# Other data in the places of the first blocks that were fetched.
	dd if=/dev/zero of="$tmp/c.gow" bs=65536 count=2 seek=33554944 oflag=seek_bytes conv=notrunc \
		status=none
	head -c 100 /dev/urandom | dd of="$tmp/c.gow" bs=1 seek=$((33554944 + 100 * 65536)) \
		conv=notrunc status=none
	cp "$tmp/c.gow" "$tmp/m.spoilt"
	run gow-sync --json "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$work/all.gow"
	assertAlone
}

# Another master under the same name, with the same numbers: nothing of the old one is used.
testMasterReplacedBetweenRuns() {
	copy_of v1
	cp "$work/all.gow" "$tmp/m.gow"
	interrupted "$tmp/m.gow" "$tmp/c.gow"
	lineage "$tmp/m.gow" 'data 0-99 pattern 5' 'ver 0-99 3'
	run gow-sync --json "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$tmp/m.gow"
}

testMasterReplacedMeanwhile() {
	need_tool nginx python3 || return 0
	serve_nginx "$tmp"
	copy_of v1
	cp "$work/all.gow" "$tmp/m.gow"
	lineage "$tmp/m.next" 'data 0-98 pattern 5' 'ver 0-98 3'
	touch -d 2001-01-01 "$tmp/m.next"
	"$GOW_BIN/gow-sync" --json --limit-rate 4M "$url/m.gow" "$tmp/c.gow" >"$out" 2>"$err" &
	child=$!
	wait_for_record
	cp "$tmp/m.next" "$tmp/m.new" && mv "$tmp/m.new" "$tmp/m.gow"
	wait "$child"
	status=$?
	assertStatus 0
	assertJson '.rounds == 2'
	assertInStep "$tmp/m.next"
	assertAlone
}

# A server whose object is another one after every few requests.
testMasterNeverAtRest() {
	need_tool python3 || return 0
	serve_badly "$work/all.gow"
	copy_of v1
	run gow-sync --json "$url/restless/m.gow" "$tmp/c.gow"
	assertStatus 8
	assertJson '.error == "changed"'
	assertErr 'changed.*rest'
	assertOld v1
}

testInPlace() {
	copy_of v1
	run gow-sync --json --in-place "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertErr 'in place'
	assertInStep "$work/v2.gow"
	assertAlone
	assertEquals $((33554944 + 106 * 65536)) "$(stat -c %s "$tmp/c.gow")"
}

testInPlaceInterrupted() {
	copy_of v1
	interrupted --in-place "$work/all.gow" "$tmp/c.gow"
	run gow-check --json "$tmp/c.gow"
	assertStatus 4
	assertJson '.findings[0].id == "journal.pending"'
	run gow-repair -p "$tmp/c.gow"
	assertStatus 4
	assertErr 'run gow-sync again'
	run gow-sync -n --json "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.in_place and .resumed'
	# Without the option: it is in place because it was begun so. Another master: a block that
	# was overwritten is fetched although its number is the copy's.
	cp "$tmp/c.gow" "$tmp/m.pending"
	cp "$tmp/c.gow.gow-sync" "$tmp/m.record"
	run gow-sync --json "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$work/all.gow"
	assertAlone
	cp "$tmp/m.pending" "$tmp/c.gow"
	cp "$tmp/m.record" "$tmp/c.gow.gow-sync"
	run gow-sync --json "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$work/v2.gow"
	assertAlone
}

testNbd() {
	need_tool nbdkit || return 0
	serve_nbd -r file "$work/v2.gow"
	copy_of v1
	run gow-sync --json "$uri" "$tmp/c.gow"
	assertStatus 0
	assertJson '.newer_blocks == 16 and .fetched_bytes < 16 * 65536 + 65536'
	assertInStep "$work/v2.gow"
}

testLocks() {
	copy_of v1
	cp "$work/v2.gow" "$tmp/m.gow"
	for held in m.gow c.gow; do
		"$GOW_TESTBIN/hold" -w -l ofd-write "$tmp/$held" \
			"$GOW_BIN/gow-sync" --json "$tmp/m.gow" "$tmp/c.gow" >"$out" 2>"$err"
		status=$?
		assertStatus 64
	done
	assertAlone
}

testServerGone() {
	need_tool python3 || return 0
	copy_of v1
	state_of "$tmp/c.gow"
	port=$(free_port)
	run gow-sync "http://127.0.0.1:$port/x" "$tmp/c.gow"
	assertStatus 8
	run gow-sync "http://127.0.0.1:$port/x" "$tmp/none.gow"
	assertStatus 8
	assertUnchanged "$tmp/c.gow"
	assertAlone
}

testNoSpace() {
	need_root || return 0
	mount_tmpfs 24m
	cp --sparse=always "$work/v1.gow" "$mnt/c.gow"
	state_of "$mnt/c.gow"
	run gow-sync "$work/all.gow" "$mnt/c.gow"
	assertStatus 8
	assertErr 'needs [0-9]* bytes'
	assertUnchanged "$mnt/c.gow"
	assertEquals c.gow "$(ls "$mnt")"
	run gow-sync --in-place "$work/all.gow" "$mnt/c.gow"
	assertStatus 0
	assertInStep "$work/all.gow" "$mnt/c.gow"
}

testUsage() {
	run gow-sync "$work/v1.gow"
	assertStatus 16
	for option in --limit-rate=x --limit-rate=0 --connections=0 --connections=x; do
		run gow-sync "$option" "$work/v1.gow" "$tmp/c.gow"
		assertStatus 16
	done
	assertAlone
}

testProgress() {
	copy_of v1
	run gow-sync --progress=json "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertErr '"phase":"fetch".*"total":6553600'
}

# A hundred machines at once, as far as there is memory for so many here. The digest of each copy is
# computed.
testConsumers() {
	need_tool nginx python3 || return 0
	serve_nginx "$work"
	count=$((100 / ${sample_step:-1}))
	together=$(awk -v most="$count" '$1 == "MemAvailable:" { n = int($2 / 100000) }
		END { print n < 1 ? 1 : n < most ? n : most }' /proc/meminfo)
	digest=$("$GOW_BIN/gow-check" --json --digest "$work/v2.gow" | jq -r .digest)
	# shellcheck disable=SC2016
	seq "$count" | xargs -P "$together" -I{} sh -c '
		cp --sparse=always "$1/v1.gow" "$2/m.{}" && "$3/gow-sync" -q "$4/v2.gow" "$2/m.{}"
		' - "$work" "$tmp" "$GOW_BIN" "$url" >"$out" 2>"$err"
	assertEquals 'exit status of all' 0 $?
	assertErrEmpty
	"$GOW_BIN/gow-check" --json --digest "$tmp"/m.* | jq -r .digest >"$tmp/digests"
	assertEquals 'digests' "$count $digest" "$(sort "$tmp/digests" | uniq -c | sed 's/^ *//')"
	assertInStep "$work/v2.gow" "$tmp/m.1"
	# Nobody fetched anything twice.
	one=$((2 + 4096 + 2 * 1024 + 16 * 65536 + 4096 + 2 * 1024))
	assertEquals "$((count * one)) bytes" "$((count * one))" "$(served_bytes)"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
