#!/bin/sh
# gow-compact: what it gives back and how, stopped anywhere and gone on with.  What comes
# of it is read by `guest`, which shares no code with the tools.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=guest.sh
. "$TESTS/guest.sh"

# Blocks in random order, reversed and straight; leaks at both ends, written and
# unwritten zeros, a short last block, a disk that ends inside a block.
recipe() {
	cat <<END
version $1
size 20M-1536
map 0-59 100 step -1
map 100-132 8 shuffle 5
map 319 110
map 200-208 121
blocks 131
data 0-7 pattern 1
data 8-37 pattern 3
data 38-40 zero
data 41-70 pattern 4
data 75-99 last 07
data 110 pattern 8
data 121-124 pattern 7
data 130 pattern 9
truncate end-700
END
}

suiteSetUp() {
	for v in 1 2 3; do
		recipe $v >"$work/recipe.$v"
		make_image "$work/recipe.$v" "$work/image.$v"
	done
	make_raw "$work/recipe.1" "$work/raw"
}

start_of() {
	case $1 in
	1) echo start=4194324 ;;
	2) echo start=16777728 ;;
	3) echo start=33554944 ;;
	esac
}

# How many blocks of the disk have a byte that is not zero: told from the raw disk.
data_blocks() {
	"$GOW_TESTBIN/guest" --data-blocks "$1"
}

# ---- what comes of it ----

# Blocks that are holes at their beginning, at their end, in between, or all over, and written
# zeros: whatever is asked for, the guest reads the same.
testPartlySparseBlocks() {
	{
		printf 'version 1\nsize 2M\nmap 0-9 22 step -2\nmap 12-13 1 step 2\nmap 20 24\nblocks 26\n'
		printf 'data 4 zero\ndata 12 pattern 3\n'
		# data_start is no multiple of a page, nor is a block's.
		for at in 22:65535 20:40000 18:0 16:30000 14:5000 10:65535 10:0 8:61000 24:50000 1:65535 3:4077; do
			echo "poke data_start+${at%:*}*block+${at#*:} 5a"
		done
	} >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/sparse"
	make_raw "$tmp/recipe" "$tmp/raw"
	for options in '' --keep-zeros --punch '--keep-zeros --punch' "-o $tmp/new" "--keep-zeros -o $tmp/new"; do
		take_copy "$tmp/sparse" "$tmp/image"
		rm -f "$tmp/new"
		# shellcheck disable=SC2086 # words
		run gow-compact $options "$tmp/image"
		assertStatus 0
		case $options in *-o*) mv "$tmp/new" "$tmp/image" ;; esac
		assertGuest "$tmp/image" "$tmp/raw"
	done
}

testEveryVersion() {
	kept=$(data_blocks "$work/raw")
	for v in 1 2 3; do
		eval "$(start_of $v)"
		take_copy "$work/image.$v" "$tmp/image"
		allocated=$(header "$tmp/image" | sed 's/.*allocated \([0-9]*\).*/\1/')
		run gow-compact --json "$tmp/image"
		assertStatus 0
		assertGuest "$tmp/image" "$work/raw"
		# shellcheck disable=SC2154 # set by start_of
		size=$((start + kept * 65536))
		assertEquals "file size" $size "$(stat -c %s "$tmp/image")"
		assertEquals "version $v size 20969984 count $kept present $kept allocated $kept" \
			"$(header "$tmp/image" | sed 's/ numbers.*//; s/ $//')"
		assertJson ".changed and .leaked_blocks == 131 - $allocated and .zero_blocks == $allocated - $kept"
		assertJson ".bytes_after == $size and .bytes_before == $(stat -c %s "$work/image.$v")"
		run gow-check --data "$tmp/image"
		assertStatus 0
		state_of "$tmp/image"
		run gow-compact "$tmp/image"
		assertStatus 0
		assertOut 'compact already'
		assertUnchanged "$tmp/image"
	done
}

# What a zero block's number was stays; what was moved keeps its own.
testVersionNumbersStay() {
	printf 'version 3\nsize 2M\nmap 0-9 9 step -1\nblocks 14\ndata 0-3 pattern 1\ndata 6-9 pattern 1\nver 0 5\nver 4 7\nver 5 8\nver 20 9\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/image"
	head -c $((33554432 + 20)) "$tmp/image" | tail -c 16777216 >"$tmp/numbers"
	run gow-compact "$tmp/image"
	assertStatus 0
	head -c $((33554432 + 20)) "$tmp/image" | tail -c 16777216 >"$tmp/after"
	assertSameFile "$tmp/numbers" "$tmp/after"
	"$GOW_TESTBIN/guest" --map "$tmp/image" | sort -n >"$tmp/map"
	assertEquals 8 "$(wc -l <"$tmp/map")"
	assertFalse "a block of zeros is allocated" "grep -qE '^(4|5) ' '$tmp/map'"
}

# No way in place moves fewer: what stays where it is, is all that can.
testMovesTheFewest() {
	for v in 1 3; do
		kept=$(data_blocks "$work/raw")
		take_copy "$work/image.$v" "$tmp/image"
		"$GOW_TESTBIN/guest" --map "$tmp/image" >"$tmp/before"
		run gow-compact --json "$tmp/image"
		assertStatus 0
		"$GOW_TESTBIN/guest" --map "$tmp/image" >"$tmp/after"
		moved=$(awk 'NR == FNR { was[$1] = $2; next } was[$1] != $2' "$tmp/before" "$tmp/after" | wc -l)
		least=$(awk -v kept="$kept" 'NR == FNR { is[$1] = 1; next } is[$1] && $2 >= kept' \
			"$tmp/after" "$tmp/before" | wc -l)
		assertEquals "$least" "$moved"
		assertJson ".moved_blocks == $moved and .moved_bytes == $moved * 65536"
		assertTrue "writes" "[ $(json .written_bytes) -le $((moved * 65536 * 102 / 100 + 3 * 4096)) ]"
	done
}

testFixtures() {
	tried=0
	for case in $(sampled_fixtures); do
		case $case in
		*-v[123]) ;;
		*) continue ;;
		esac
		[ "$(jq .corrupt "$case/check.json")" = 0 ] || continue
		make_image "$case/recipe" "$tmp/image"
		make_raw "$case/recipe" "$tmp/raw"
		[ "$(stat -c %s "$tmp/raw")" -le 8589934592 ] || continue
		run gow-compact "$tmp/image"
		assertStatus 0
		assertGuest "$tmp/image" "$tmp/raw"
		run gow-check "$tmp/image"
		assertNoOut 'space|header.count'
		tried=$((tried + 1))
	done
	assertTrue "only $tried fixtures" "[ $tried -ge $((20 / sample_step)) ]"
}

testFullAndEmpty() {
	printf 'version 2\nsize 640K\nmap 0-9 0\ndata 0-9 pattern 1\n' >"$tmp/full"
	printf 'version 2\nsize 640K\nmap 0-9 0\ndata 0-9 zero\n' >"$tmp/zeros"
	for case in full zeros; do
		make_image "$tmp/$case" "$tmp/image"
		make_raw "$tmp/$case" "$tmp/raw"
		state_of "$tmp/image"
		run gow-compact "$tmp/image"
		assertStatus 0
		assertGuest "$tmp/image" "$tmp/raw"
		case $case in
		full) assertUnchanged "$tmp/image" ;;
		zeros) assertEquals 16777728 "$(stat -c %s "$tmp/image")" ;;
		esac
	done
	make_image ends-with-header-v2 "$tmp/image"
	state_of "$tmp/image"
	run gow-compact "$tmp/image"
	assertStatus 0
	assertUnchanged "$tmp/image"
}

testKeepZeros() {
	allocated=$(header "$work/image.1" | sed 's/.*allocated \([0-9]*\).*/\1/')
	take_copy "$work/image.1" "$tmp/image"
	run gow-compact --keep-zeros --json "$tmp/image"
	assertStatus 0
	assertJson '.zero_blocks == 0 and .leaked_blocks > 0'
	assertGuest "$tmp/image" "$work/raw"
	assertEquals $((4194324 + allocated * 65536)) "$(stat -c %s "$tmp/image")"
	rm "$tmp/image"
	run gow-compact --keep-zeros -o "$tmp/out" "$work/image.1"
	assertStatus 0
	assertGuest "$tmp/out" "$work/raw"
	assertEquals $((4194324 + allocated * 65536)) "$(stat -c %s "$tmp/out")"
}

testPunch() {
	: >"$tmp/probe"
	fallocate -p -o 0 -l 4096 "$tmp/probe" 2>/dev/null || { skip "no holes here"; return; }
	take_copy "$work/image.2" "$tmp/image"
	"$GOW_TESTBIN/guest" --map "$tmp/image" >"$tmp/before"
	space=$(stat -c %b "$tmp/image")
	run gow-compact -n --punch --json "$tmp/image"
	told=$(json '[.punched_bytes, .bytes_after, .zero_blocks, .leaked_blocks, .written_bytes]')
	run gow-compact --punch --json "$tmp/image"
	assertStatus 0
	assertEquals "$told" "$(json '[.punched_bytes, .bytes_after, .zero_blocks, .leaked_blocks, .written_bytes]')"
	assertJson '.moved_blocks == 0 and .punched_bytes > 0'
	assertGuest "$tmp/image" "$work/raw"
	"$GOW_TESTBIN/guest" --map "$tmp/image" >"$tmp/after"
	assertNull "moved" "$(grep -vxF -f "$tmp/before" "$tmp/after")"
	assertTrue "no space came free" \
		"[ $(stat -c %b "$tmp/image") -le $((space - $(json .punched_bytes) / 512 + 16)) ]"
	state_of "$tmp/image"
	run gow-compact --punch "$tmp/image"
	assertOut 'compact already'
	assertUnchanged "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=allocate:1:EOPNOTSUPP gow-compact --punch "$tmp/image"
	assertUnchanged "$tmp/image"
}

testPunchIsRefusedWhereItCannotBe() {
	take_copy "$work/image.2" "$tmp/image"
	state_of "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=allocate:1+:EOPNOTSUPP gow-compact --punch "$tmp/image"
	assertStatus 8
	assertErr 'holes cannot be made'
	assertUnchanged "$tmp/image"
	# Without it nothing hangs on that.
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=allocate:1+:EOPNOTSUPP gow-compact "$tmp/image"
	assertStatus 0
	assertGuest "$tmp/image" "$work/raw"
}

testOutput() {
	kept=$(data_blocks "$work/raw")
	for v in 1 2 3; do
		eval "$(start_of $v)"
		state_of "$work/image.$v"
		run gow-compact -n --json "$work/image.$v"
		blocks=$(json '[.leaked_blocks, .zero_blocks]')
		run gow-compact -n --json -o "$tmp/out" "$work/image.$v"
		assertStatus 0
		told=$(json .written_bytes)
		assertFalse "a file was made" "[ -e '$tmp/out' ]"
		rm -f "$tmp/trace"
		run_faulty FAULTIO_FILE="$tmp/*" FAULTIO_TRACE="$tmp/trace" gow-compact --json -o "$tmp/out" "$work/image.$v"
		assertStatus 0
		assertEquals "told before" "$told" "$(json .written_bytes)"
		assertEquals "what is left out" "$blocks" "$(json '[.leaked_blocks, .zero_blocks]')"
		assertJson '.leaked_blocks > 0 and .zero_blocks > 0'
		assertEquals "bytes written" "$told" \
			"$(awk '$1 == "write" && $3 != "'"$out"'" { sum += $NF } END { printf "%d", sum }' "$tmp/trace")"
		assertJson ".changed == false and .moved_blocks == $kept and .bytes_after == $(stat -c %s "$tmp/out")"
		assertUnchanged "$work/image.$v"
		assertGuest "$tmp/out" "$work/raw"
		assertEquals $((start + kept * 65536)) "$(stat -c %s "$tmp/out")"
		# In logical order.
		"$GOW_TESTBIN/guest" --map "$tmp/out" | awk '$2 != NR - 1' >"$tmp/disorder"
		assertNull "out of order" "$(cat "$tmp/disorder")"
		if [ $v = 3 ]; then
			for f in "$work/image.3" "$tmp/out"; do
				head -c $((33554432 + 20)) "$f" | tail -c 16777216 >"$f.numbers"
			done
			assertSameFile "$work/image.3.numbers" "$tmp/out.numbers"
		fi
		state_of "$tmp/out"
		run gow-compact -o "$tmp/out" "$work/image.$v"
		assertStatus 8
		assertErr 'exists'
		assertUnchanged "$tmp/out"
		rm "$tmp/out"
	done
}

# Where the file system shares what is copied, the new image takes its header and little else.
testOutputSharesOnReflinks() {
	need_root || return 0
	need_tool mkfs.xfs || return 0
	truncate -s 400M "$tmp/fs"
	mkfs.xfs -q -m reflink=1 "$tmp/fs" 2>/dev/null || { skip "no reflinks"; return; }
	mount_file "$tmp/fs"
	printf 'version 2\nsize 128M\nmap 0-1599 0\ndata 0-1599 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$mnt/image"
	make_raw "$tmp/recipe" "$tmp/raw"
	sync -f "$mnt"
	before=$(df --output=avail -B1 "$mnt" | tail -n 1)
	run gow-compact -o "$mnt/out" "$mnt/image"
	assertStatus 0
	sync -f "$mnt"
	taken=$((before - $(df --output=avail -B1 "$mnt" | tail -n 1)))
	assertTrue "$taken bytes taken" "[ $taken -lt $((40 << 20)) ]"
	assertGuest "$mnt/out" "$tmp/raw"
}

# ---- what is told and refused ----

testDryRunIsExact() {
	for option in '' --keep-zeros --punch; do
		take_copy "$work/image.3" "$tmp/image"
		state_of "$tmp/image"
		# shellcheck disable=SC2086 # nothing, or an option
		run gow-compact -n --json $option "$tmp/image"
		assertStatus 0
		assertJson '.dry_run and .changed == false'
		assertUnchanged "$tmp/image"
		told=$(json 'del(.dry_run, .changed)')
		written=$(json .written_bytes)
		rm -f "$tmp/trace"
		# shellcheck disable=SC2086
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" gow-compact --json $option "$tmp/image"
		assertStatus 0
		assertEquals "$told" "$(json 'del(.dry_run, .changed)')"
		assertEquals "bytes written" "$written" \
			"$(awk '$1 == "write" { sum += $NF } END { printf "%d", sum }' "$tmp/trace")"
	done
}

testCorruptIsRefused() {
	for case in map-crosslink-v1 map-beyond-size-v2 header-count-low-v3; do
		make_image $case "$tmp/image"
		state_of "$tmp/image"
		for option in '' -n --punch "-o $tmp/out"; do
			# shellcheck disable=SC2086 # two words
			run gow-compact $option "$tmp/image"
			assertStatus 4
			assertErr 'gow-repair'
			assertOutEmpty
			assertUnchanged "$tmp/image"
		done
	done
	assertFalse "a file was made" "[ -e '$tmp/out' ]"
}

testUsage() {
	run gow-compact
	assertStatus 16
	run gow-compact -o "$tmp/out" "$tmp/a" "$tmp/b"
	assertStatus 16
	run gow-compact -o "$tmp/out" --punch "$tmp/a"
	assertStatus 16
	run gow-compact "$tmp/missing"
	assertStatus 8
}

testManyImages() {
	take_copy "$work/image.1" "$tmp/a"
	take_copy "$work/image.3" "$tmp/b"
	make_image map-range-v1 "$tmp/bad"
	printf '%s\0' "$tmp/b" "$tmp/bad" >"$tmp/list"
	run gow-compact --json -0 --files-from "$tmp/list" "$tmp/a"
	assertStatus 4
	assertEquals '[0,0,4]' "$(jq -cs '[.[].exit] | sort' "$out")"
	assertGuest "$tmp/a" "$work/raw"
	assertGuest "$tmp/b" "$work/raw"
}

# An entry that is unreadable, and a block: nothing has been changed by then.
testReadError() {
	take_copy "$work/image.1" "$tmp/image"
	state_of "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_READ=$((4194324 + 50 * 65536))-$((4194324 + 50 * 65536 + 512)) \
		gow-compact "$tmp/image"
	assertStatus 8
	assertErr 'block [0-9]+, offset'
	assertUnchanged "$tmp/image"
}

# ---- killed, stopped, failing ----

# disturb CALL ERROR STATUS LEAST: again and again with another call disturbed.  At least so
# many must have left it between the beginning and the end.
disturb() {
	take_copy "$work/image.3" "$tmp/image"
	rm -f "$tmp/trace"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" gow-compact "$tmp/image"
	count=$(grep -c "^$1 " "$tmp/trace")
	take_copy "$tmp/image" "$tmp/done"
	middle=0 nth=1
	while [ "$nth" -le "$count" ]; do
		take_copy "$work/image.3" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL="$1:$nth:$2" gow-compact "$tmp/image"
		assertStatus "$3"
		cmp -s "$tmp/image" "$work/image.3" || cmp -s "$tmp/image" "$tmp/done" || middle=$((middle + 1))
		assertGuest "$tmp/image" "$work/raw"
		run gow-check "$tmp/image"
		assertNoOut corrupt
		run gow-compact "$tmp/image"
		assertStatus 0
		assertGuest "$tmp/image" "$work/raw"
		assertEquals "file size" "$(stat -c %s "$tmp/done")" "$(stat -c %s "$tmp/image")"
		nth=$((nth + sample_step))
	done
	assertTrue "only $middle of $count met the middle" "[ $middle -ge $(($4 / sample_step)) ]"
}

testKilledAnywhere() {
	disturb sync kill 137 3
	disturb write kill 137 5
	disturb truncate kill 137 1
}

testFailingCalls() {
	disturb write EIO 8 5
	disturb sync EIO 8 3
	disturb write ENOSPC 8 5
}

# Stops after the batch; a large one, so that there is another.
testSignals() {
	printf 'version 1\nsize 256M\nmap 0-2999 1200\nblocks 4200\ndata 1200-4199 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/big"
	make_raw "$tmp/recipe" "$tmp/raw"
	run_faulty FAULTIO_FILE="$tmp/big" FAULTIO_FAIL=write:9:signal=15 gow-compact "$tmp/big"
	assertStatus 32
	assertGuest "$tmp/big" "$tmp/raw"
	"$GOW_TESTBIN/guest" --map "$tmp/big" >"$tmp/map"
	assertEquals "one batch was moved" 1024 "$(awk '$2 < 1200' "$tmp/map" | wc -l)"
	run gow-compact --json "$tmp/big"
	assertStatus 0
	assertJson '.moved_blocks == 176'
	assertGuest "$tmp/big" "$tmp/raw"
	assertEquals $((4194324 + 3000 * 65536)) "$(stat -c %s "$tmp/big")"
}

testSignalWhileReadingChangesNothing() {
	take_copy "$work/image.1" "$tmp/image"
	state_of "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=read:20:signal=2 gow-compact "$tmp/image"
	assertStatus 32
	assertUnchanged "$tmp/image"
}

# Holes in the file are filled before the map changes, so a full disk is met before.
testFullDisk() {
	need_root || return 0
	mount_tmpfs 12m
	printf 'version 1\nsize 16M\nmap 0-9 40\nblocks 50\ndata 40-49 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$mnt/image"
	make_raw "$tmp/recipe" "$tmp/raw"
	dd if=/dev/zero of="$mnt/ballast" bs=64k 2>/dev/null
	state_of "$mnt/image"
	for option in -n -q; do
		run gow-compact $option "$mnt/image"
		assertStatus 8
		assertErr 'needs [0-9]+ bytes'
		assertUnchanged "$mnt/image"
	done
	rm "$mnt/ballast"
	run gow-compact -n --json "$mnt/image"
	need=$(json .extra_bytes)
	fallocate -l $(($(df --output=avail -B1 "$mnt" | tail -n 1) - need)) "$mnt/ballast"
	run gow-compact "$mnt/image"
	assertStatus 0
	assertGuest "$mnt/image" "$tmp/raw"
}

# Room that was found too late to be too small: what was reserved by then is given back.
testReservedSpaceIsGivenBack() {
	need_root || return 0
	mount_tmpfs 40m
	printf 'version 1\nsize 16M\nmap 0-39 100 step -1\ndata 61-100 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$mnt/image"
	before=$(stat -c '%b %s' "$mnt/image")
	sum=$(cksum <"$mnt/image")
	for nth in 1 2 20; do
		run_faulty FAULTIO_FILE="$mnt/image" FAULTIO_FAIL=allocate:$nth:ENOSPC gow-compact "$mnt/image"
		assertStatus 8
		assertErr 'cannot reserve space'
		assertEquals "$before" "$(stat -c '%b %s' "$mnt/image")"
		assertEquals "$sum" "$(cksum <"$mnt/image")"
	done
}

testBusy() {
	need_leases "$tmp" || return 0
	take_copy "$work/image.1" "$tmp/image"
	state_of "$tmp/image"
	run hold -r "$tmp/image" "$GOW_BIN/gow-compact" "$tmp/image"
	assertStatus 64
	assertUnchanged "$tmp/image"
	run hold -l ofd-read "$tmp/image" "$GOW_BIN/gow-compact" --wait 0.2 "$tmp/image"
	assertStatus 64
}

# Far from the first entry, too. What is garbled is written again, and no more than once.
testGarbledEntry() {
	printf '%s\n' 'version 1' 'size 400M' 'map 0 0' 'map 3000-3009 11' 'data 0 pattern 1' \
		'data 11-20 pattern 2' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/sound"
	make_raw "$tmp/recipe" "$tmp/raw"
	for place in a b c; do
		cp --sparse=always "$tmp/sound" "$tmp/$place"
	done
	run_faulty FAULTIO_FILE="$tmp/a" FAULTIO_TRACE="$tmp/trace" gow-compact --keep-zeros "$tmp/a"
	first=$(awk '$1 == "write" && $4 > 2048 && $4 < 4194324 { print $2; exit }' "$tmp/trace")
	run_faulty FAULTIO_FILE="$tmp/b" FAULTIO_FAIL="write:$first:flip" \
		FAULTIO_TRACE="$tmp/trace-b" gow-compact --keep-zeros "$tmp/b"
	assertStatus 0
	assertGuest "$tmp/b" "$tmp/raw"
	again=$(awk -v first="$first" '$1 == "write" && $2 > first && $4 < 2048 && $5 == 25600 {
		print $2; exit }' "$tmp/trace-b")
	run_faulty FAULTIO_FILE="$tmp/c" FAULTIO_FAIL="write:$first:flip,write:$again:flip" \
		gow-compact --keep-zeros "$tmp/c"
	assertStatus 8
	assertErr 'reads back as something else'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
