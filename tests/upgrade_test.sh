#!/bin/sh
# gow-upgrade: older versions to newer ones in place and as new files, stopped anywhere
# and gone on with, or taken back.  What comes of it is read by `guest`, which shares no
# code with the tools.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=guest.sh
. "$TESTS/guest.sh"

# expected_size names them by version.
# shellcheck disable=SC2034
{
	start_1=4194324
	start_2=16777728
	start_3=33554944
}

# Blocks in random order, leaks in both ends, zeros, a short last block: more than are
# moved at once from 1 to 2, and more than 256.
recipe() {
	cat <<END
version $1
size 40M-1536
map 0-299 3 shuffle 7
map 310-499 303 shuffle 9
map 639 500
blocks 502
data 0-100 pattern 3
data 101 zero
data 150-199 pattern 4
data 230-260 pattern 5
data 261-290 last 09
data 300-480 pattern 6
data 500 pattern 7
truncate end-100
END
}

# A small one; most of its cost is the header.
small_recipe() {
	cat <<END
version $1
size 1M+512
map 0-4 2 shuffle 3
map 15-16 8 step -1
blocks 9
data 2-6 pattern 1
data 8 pattern 2 length 300
truncate end-5
END
}

suiteSetUp() {
	for v in 1 2; do
		recipe $v >"$work/recipe.$v"
		small_recipe $v >"$work/small.$v"
		make_image "$work/recipe.$v" "$work/large.$v"
		make_image "$work/small.$v" "$work/small.gow.$v"
	done
	make_raw "$work/recipe.1" "$work/large.raw"
	make_raw "$work/small.1" "$work/small.raw"
	make_image "$work/small.2" "$work/small2.gow"
}

# expected_size IMAGE FROM TO: what the file is long afterwards.
expected_size() {
	eval "from=\$start_$2 to=\$start_$3"
	# shellcheck disable=SC2154 # set by eval
	awk -v size="$(stat -c %s "$1")" -v from="$from" -v to="$to" 'BEGIN {
		blocks = size > from ? int((size - from + 65535) / 65536) : 0
		printf "%d", to + blocks * 65536 }'
}

is_pending() {
	[ "$(head -c 4 "$1" | tail -c 1)" = '!' ]
}

# ---- what comes of it ----

testEveryPairOfVersions() {
	for pair in '1 2' '1 3' '2 3'; do
		# shellcheck disable=SC2086 # two words
		set -- $pair
		take_copy "$work/large.$1" "$tmp/image"
		size=$(expected_size "$tmp/image" "$1" "$2")
		run gow-upgrade --to "$2" "$tmp/image"
		assertStatus 0
		assertOut "^$tmp/image: made version $2, "
		assertErrEmpty
		assertGuest "$tmp/image" "$work/large.raw"
		assertEquals "file size" "$size" "$(stat -c %s "$tmp/image")"
		case $2 in
		2) numbers='' ;;
		3) numbers="numbers $((4194304 - 491)) 491 0 wrong 0 " ;;
		esac
		assertEquals "version $2 size 41941504 count 502 present 502 allocated 491 $numbers" \
			"$(header "$tmp/image")"
		run gow-check --data "$tmp/image"
		assertStatus 2
		assertOut 'space.leak .*11 physical blocks'
		rm "$tmp/image"
	done
}

# Every fixture that may be upgraded, with its advisory findings.
testFixtures() {
	tried=0
	for case in $(sampled_fixtures | grep -e "-v[12]$"); do
		[ "$(jq .corrupt "$case/check.json")" = 0 ] || continue
		from=${case##*-v}
		make_image "$case/recipe" "$tmp/image"
		make_raw "$case/recipe" "$tmp/raw"
		# Those that claim whole terabytes of holes take a while to compare.
		[ "$(stat -c %s "$tmp/raw")" -le 8589934592 ] || continue
		size=$(expected_size "$tmp/image" "$from" 3)
		run gow-upgrade "$tmp/image"
		assertStatus 0
		assertGuest "$tmp/image" "$tmp/raw"
		assertEquals "$case: file size" "$size" "$(stat -c %s "$tmp/image")"
		run gow-check "$tmp/image"
		assertNoOut corrupt
		tried=$((tried + 1))
	done
	assertTrue "only $tried fixtures" "[ $tried -ge $((12 / sample_step)) ]"
}

testNewestIsTheDefault() {
	take_copy "$work/small.gow.1" "$tmp/image"
	run gow-upgrade "$tmp/image"
	assertStatus 0
	assertOut 'made version 3'
}

testAlreadyThere() {
	make_image sound-v3 "$tmp/three"
	state_of "$tmp/three"
	for to in 3 ''; do
		# shellcheck disable=SC2086 # nothing, or an option
		run gow-upgrade ${to:+--to $to} "$tmp/three"
		assertStatus 0
		assertOut 'version 3 already'
		assertUnchanged "$tmp/three"
	done
	run gow-upgrade --json "$tmp/three"
	assertJson '.changed == false and .version_before == 3 and .version_after == 3'
}

# Killed between the magic and the cut: the record is behind a sound image, as leaked blocks.
testARecordLeftBehindIsCutOff() {
	take_copy "$work/small.gow.2" "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=truncate:2:kill gow-upgrade "$tmp/image"
	assertStatus 137
	assertGuest "$tmp/image" "$work/small.raw"
	run gow-upgrade -n "$tmp/image"
	assertOut 'version 3 already; the record that it had left would be cut off'
	run gow-upgrade "$tmp/image"
	assertStatus 0
	assertOut 'version 3 already; the record that it had left was cut off'
	assertEquals "file size" "$(expected_size "$work/small.gow.2" 2 3)" "$(stat -c %s "$tmp/image")"
	assertGuest "$tmp/image" "$work/small.raw"
}

testNeverDowngrades() {
	make_image sound-v3 "$tmp/three"
	state_of "$tmp/three"
	run gow-upgrade --to 2 "$tmp/three"
	assertStatus 16
	assertErr 'gow-convert'
	run gow-upgrade --to 2 -o "$tmp/out" "$tmp/three"
	assertStatus 16
	assertUnchanged "$tmp/three"
	assertFalse "a file was made" "[ -e '$tmp/out' ]"
	for to in 0 1 4 x ''; do
		run gow-upgrade --to "$to" "$tmp/three"
		assertStatus 16
	done
	run gow-upgrade --to 1 "$tmp/three"
	assertErr 'gow-convert'
}

testCorruptIsRefused() {
	make_image map-crosslink-v1 "$tmp/image"
	state_of "$tmp/image"
	for option in '' -n "-o $tmp/out"; do
		# shellcheck disable=SC2086 # two words
		run gow-upgrade $option "$tmp/image"
		assertStatus 4
		assertErr 'map.crosslink.*gow-repair'
		assertOutEmpty
		assertUnchanged "$tmp/image"
	done
	make_image journal-missing-v2 "$tmp/marked"
	run gow-upgrade "$tmp/marked"
	assertStatus 4
	assertErr 'journal.missing.*gow-repair'
}

testUsage() {
	run gow-upgrade
	assertStatus 16
	run gow-upgrade -o "$tmp/out" "$tmp/a" "$tmp/b"
	assertStatus 16
	run gow-upgrade -o "$tmp/out" --rollback "$tmp/a"
	assertStatus 16
	run gow-upgrade --to 2 --rollback "$tmp/a"
	assertStatus 16
	run gow-upgrade "$tmp/missing"
	assertStatus 8
	printf 'no image' >"$tmp/text"
	run gow-upgrade "$tmp/text"
	assertStatus 8
}

testManyImages() {
	take_copy "$work/small.gow.1" "$tmp/a"
	take_copy "$work/small.gow.2" "$tmp/b"
	make_image map-range-v1 "$tmp/bad"
	printf '%s\n' "$tmp/b" "$tmp/bad" >"$tmp/list"
	run gow-upgrade --json --files-from "$tmp/list" "$tmp/a"
	assertStatus 4
	assertEquals '[0,0,4]' "$(jq -cs '[.[].exit] | sort' "$out")"
	assertGuest "$tmp/a" "$work/small.raw"
	assertGuest "$tmp/b" "$work/small.raw"
}

# ---- what is told ----

# What was written, as the calls say: every write's length.
traced() {
	awk '$1 == "write" { sum += $NF } END { printf "%d", sum }' "$1"
}

testDryRunIsExact() {
	for pair in '1 2' '1 3' '2 3'; do
		# shellcheck disable=SC2086 # two words
		set -- $pair
		take_copy "$work/large.$1" "$tmp/image"
		state_of "$tmp/image"
		run gow-upgrade -n --json --to "$2" "$tmp/image"
		assertStatus 0
		assertUnchanged "$tmp/image"
		assertJson ".dry_run and .changed == false and .version_before == $1 and .version_after == $2"
		told=$(json '[.moved_bytes, .written_bytes, .extra_bytes, .bytes_before, .bytes_after]')
		written=$(json .written_bytes)
		rm -f "$tmp/trace"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" \
			gow-upgrade --json --to "$2" "$tmp/image"
		assertStatus 0
		assertJson '.changed and (has("dry_run") | not)'
		assertEquals "$told" "$(json '[.moved_bytes, .written_bytes, .extra_bytes, .bytes_before, .bytes_after]')"
		assertEquals "bytes written" "$written" "$(traced "$tmp/trace")"
		assertEquals "bytes after" "$(stat -c %s "$tmp/image")" "$(json .bytes_after)"
	done
}

# Reserved space counts as data on an ext4 where the pages have been read before.
testHolesAreKnownBeforeSpaceIsReserved() {
	need_root || return 0
	need_tool mkfs.ext4 || return 0
	truncate -s 200M "$tmp/fs"
	mkfs.ext4 -q "$tmp/fs"
	mount_file "$tmp/fs"
	printf 'version 1\nsize 256M\nmap 0-999 0\ndata 0-199 pattern 1 length 5000\ndata 500-699 pattern 2 length 300\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$mnt/image"
	make_raw "$tmp/recipe" "$tmp/raw"
	cat "$mnt/image" >"$tmp/read"
	run gow-upgrade -n --json --to 2 "$mnt/image"
	told=$(json '[.moved_bytes, .written_bytes]')
	run_faulty FAULTIO_FILE="$mnt/image" FAULTIO_TRACE="$tmp/trace" gow-upgrade --json --to 2 "$mnt/image"
	assertStatus 0
	assertEquals "$told" "$(json '[.moved_bytes, .written_bytes]')"
	assertJson ".written_bytes == $(traced "$tmp/trace")"
	assertGuest "$mnt/image" "$tmp/raw"
}

# The largest header, the largest number of blocks that move: 64 MiB and a little.
testFrom2To3CostsTheSameForAnySize() {
	printf 'version 2\nsize limit\nmap 0-4194303 0\ndata 0-300 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/image"
	run gow-upgrade --json "$tmp/image"
	assertStatus 0
	assertJson '.moved_bytes <= 16777216 and .written_bytes < 67200000'
	assertJson ".bytes_after == $start_3 + 4194304 * 65536"
	assertEquals "version 3 size 274877906944 count 4194304 present 4194304 allocated 4194304 numbers 0 4194304 0 wrong 0 " \
		"$(header "$tmp/image")"
	# Slot 0 has moved to the end, slot 256 is slot 0.
	"$GOW_TESTBIN/guest" --map "$tmp/image" >"$tmp/map"
	assertEquals "0 4194048" "$(head -n 1 "$tmp/map")"
	assertEquals "256 0" "$(sed -n 257p "$tmp/map")"
	assertTrue "holes were filled" "[ $(stat -c %b "$tmp/image") -le $((2 * 1024 * 80)) ]"
}

testHolesStay() {
	printf 'version 1\nsize 16G\nmap 0-99 0\nmap 200000-200050 100000\nblocks 120000\ndata 0-20 pattern 1\ndata 60000 pattern 5\ndata 100000-100050 pattern 2\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/image"
	before=$(stat -c %b "$tmp/image")
	for to in 2 3; do
		cp --sparse=always "$tmp/image" "$tmp/copy"
		run gow-upgrade --to $to "$tmp/copy"
		assertStatus 0
		after=$(stat -c %b "$tmp/copy")
		# The header has grown by 12 MiB and more; pages at the ends of holes may have filled.
		assertTrue "$before before, $after after" "[ $after -le $((before + 2 * 1024 * 30)) ]"
		"$GOW_TESTBIN/guest" --header "$tmp/copy" >"$tmp/header" || fail "unsound"
	done
}

# ---- new files ----

testOutput() {
	for v in 1 2; do
		state_of "$work/large.$v"
		run gow-upgrade -n -o "$tmp/out" "$work/large.$v"
		assertStatus 0
		assertFalse "a file was made" "[ -e '$tmp/out' ]"
		run gow-upgrade --json -o "$tmp/out" "$work/large.$v"
		assertStatus 0
		assertJson ".version_before == $v and .version_after == 3 and .changed == false and .output == \"$tmp/out\""
		assertJson ".bytes_after == $(stat -c %s "$tmp/out")"
		assertUnchanged "$work/large.$v"
		assertGuest "$tmp/out" "$work/large.raw"
		assertEquals 'wrong 0' "$(header "$tmp/out" | grep -o 'wrong 0')"
		# What is there is never replaced.
		state_of "$tmp/out"
		run gow-upgrade -o "$tmp/out" "$work/large.$v"
		assertStatus 8
		assertUnchanged "$tmp/out"
		rm "$tmp/out"
	done
}

# ---- killed, stopped, failing ----

# survives FROM TO: an upgrade of $tmp/image that ended anyhow is as it was, done, or
# pending, and is gone on with and taken back.  $first is the image before, $raw the disk.
survives() {
	if is_pending "$tmp/image"; then
		pendings=$((pendings + 1))
		run gow-check "$tmp/image"
		assertStatus 4
		assertOut 'journal.pending'
		assertOut "upgrade from version $1 to $2 \([0-9]+ of [0-9]+ bytes moved\)"
		cp --sparse=always "$tmp/image" "$tmp/renamed"
		run gow-upgrade --json --rollback "$tmp/renamed"
		assertStatus 0
		assertJson '.resumed and .rolled_back and .changed'
		assertSameFile "$first" "$tmp/renamed"
		rm "$tmp/renamed"
	else
		assertGuest "$tmp/image" "$raw"
	fi
	run gow-upgrade --to "$2" "$tmp/image"
	assertStatus 0
	assertGuest "$tmp/image" "$raw"
	assertEquals "version" "version $2" "$(header "$tmp/image" | cut -d' ' -f1-2)"
}

# calls FROM TO CALL: how many there are in an undisturbed run.
calls() {
	take_copy "$first" "$tmp/image"
	rm -f "$tmp/trace"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" \
		gow-upgrade --to "$2" "$tmp/image"
	assertStatus 0
	count=$(grep -c "^$3 " "$tmp/trace")
}

# disturb FROM TO CALL STEP ERROR STATUS [LEAST]: runs again and again with another call
# disturbed.  At least so many (3) of them must have been in the middle.
disturb() {
	calls "$1" "$2" "$3"
	pendings=0 nth=1
	while [ "$nth" -le "$count" ]; do
		take_copy "$first" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL="$3:$nth:$5" \
			gow-upgrade --to "$2" "$tmp/image"
		case " $6 " in
		*" $status "*) ;;
		*) assertEquals "call $nth" "$6" "$status" && gow_said ;;
		esac
		survives "$1" "$2"
		nth=$((nth + $4 * sample_step))
	done
	assertTrue "only $pendings of $count met the middle" "[ $pendings -ge $((${7:-3} / sample_step)) ]"
}

testKilledAnywhereFrom1To2() {
	first=$work/large.1 raw=$work/large.raw
	disturb 1 2 sync 1 kill 137
	disturb 1 2 write 97 kill 137
}

testKilledAnywhereFrom2To3() {
	first=$work/small.gow.2 raw=$work/small.raw
	disturb 2 3 sync 1 kill 137
	disturb 2 3 write 173 kill 137
	# The first makes room for the record, the second cuts it off: never in the middle.
	disturb 2 3 truncate 1 kill 137 0
}

testKilledAnywhereFrom1To3() {
	first=$work/small.gow.1 raw=$work/small.raw
	disturb 1 3 sync 1 kill 137
	disturb 1 3 write 173 kill 137
}

# Taking it back can be killed as well, and then go on in either direction.
testKilledWhileTakenBack() {
	take_copy "$work/large.1" "$tmp/pending"
	run_faulty FAULTIO_FILE="$tmp/pending" FAULTIO_FAIL=sync:9:kill gow-upgrade --to 2 "$tmp/pending"
	assertStatus 137
	first=$work/large.1 raw=$work/large.raw pendings=0
	for nth in 1 2 3 4 5 6 7; do
		cp --sparse=always "$tmp/pending" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=sync:$nth:kill \
			gow-upgrade --rollback "$tmp/image"
		assertStatus 137
		if is_pending "$tmp/image"; then
			survives 1 2
		else
			"$GOW_TESTBIN/guest" --header "$tmp/image" >/dev/null || fail "unsound"
			run gow-upgrade --to 2 "$tmp/image"
			assertStatus 0
			assertEquals "file size" "$(expected_size "$work/large.1" 1 2)" "$(stat -c %s "$tmp/image")"
		fi
		rm "$tmp/image"
	done
	assertTrue "$pendings pending" "[ $pendings -ge 3 ]"
}

testReadErrorsAndFullDisks() {
	first=$work/small.gow.1 raw=$work/small.raw
	disturb 1 2 write 151 EIO 8
	disturb 1 2 write 149 ENOSPC 8
	take_copy "$work/small.gow.1" "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=write:149:ENOSPC gow-upgrade --to 2 "$tmp/image"
	assertErr 'resumes it, and gow-upgrade --rollback takes it back, once there is room'
	disturb 1 2 sync 1 EIO 8
}

testSignalsStopAtTheNextSafePoint() {
	first=$work/large.1 raw=$work/large.raw
	calls 1 2 write
	pendings=0
	for signal in 1 2 15; do
		take_copy "$first" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL="sync:4:signal=$signal" \
			gow-upgrade --to 2 "$tmp/image"
		assertStatus 32
		assertErr 'not finished'
		survives 1 2
		# Before the magic: as if nothing had been.
		take_copy "$first" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL="write:2:signal=$signal" \
			gow-upgrade --to 2 "$tmp/image"
		assertStatus 32
		assertSameFile "$first" "$tmp/image"
	done
	assertEquals 3 "$pendings"
}

# A record goes where the image goes, whatever it is called.
testARenamedImageKeepsItsRecord() {
	take_copy "$work/large.1" "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=sync:7:kill gow-upgrade "$tmp/image"
	assertStatus 137
	mkdir "$tmp/elsewhere"
	cp "$tmp/image" "$tmp/elsewhere/other name"
	rm "$tmp/image"
	run gow-info "$tmp/elsewhere/other name"
	assertOut 'pending: .*upgrade from version 1 to 3'
	run gow-upgrade -n --json "$tmp/elsewhere/other name"
	assertStatus 0
	assertJson '.resumed and .changed == false'
	run gow-upgrade --json "$tmp/elsewhere/other name"
	assertStatus 0
	assertJson '.resumed and .version_before == 1 and .version_after == 3'
	assertGuest "$tmp/elsewhere/other name" "$work/large.raw"
}

testWhatIsUnderWayIsFinishedFirst() {
	take_copy "$work/large.1" "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=sync:7:kill gow-upgrade --to 3 "$tmp/image"
	run gow-upgrade --to 2 "$tmp/image"
	assertStatus 16
	assertErr 'upgrade to version 3 is under way'
	run gow-compact "$tmp/image"
	assertStatus 4
	assertErr 'journal.pending'
	run gow-convert -O raw "$tmp/image" "$tmp/raw"
	assertStatus 4
	run gow-upgrade "$tmp/image"
	assertStatus 0
	state_of "$tmp/image"
	run gow-upgrade --rollback "$tmp/image"
	assertStatus 0
	assertOut 'nothing to roll back'
	assertUnchanged "$tmp/image"
	run gow-upgrade --rollback --json "$tmp/image"
	assertJson '.changed == false and .resumed == false and .rolled_back == false'
}

# One that was begun for version 2 is finished, and then version 3 is made, as was asked for.
testAnotherVersionIsMadeAfterWhatIsUnderWay() {
	take_copy "$work/large.1" "$tmp/pending"
	run_faulty FAULTIO_FILE="$tmp/pending" FAULTIO_FAIL=sync:8:kill gow-upgrade --to 2 "$tmp/pending"
	assertStatus 137
	cp --sparse=always "$tmp/pending" "$tmp/two"
	run gow-upgrade -q --to 2 "$tmp/two"
	run gow-upgrade -n --json "$tmp/two"
	further=$(json .moved_bytes)
	for to in '' '--to 3' '--to 2'; do
		cp --sparse=always "$tmp/pending" "$tmp/image"
		version=3
		[ "$to" != '--to 2' ] || version=2
		state_of "$tmp/image"
		# shellcheck disable=SC2086 # two words
		run gow-upgrade -n --json $to "$tmp/image"
		assertStatus 0
		assertJson '.resumed and .version_before == 1 and .version_after == 2'
		assertUnchanged "$tmp/image"
		moved=$(json .moved_bytes)
		case $version in
		2) assertErrEmpty ;;
		3)
			assertErr 'version 3 is made after'
			moved=$((moved + further))
			;;
		esac
		rm -f "$tmp/trace"
		# shellcheck disable=SC2086
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" gow-upgrade --json $to "$tmp/image"
		assertStatus 0
		assertErrEmpty
		assertJson ".resumed and .changed and .version_before == 1 and .version_after == $version"
		assertJson ".written_bytes == $(traced "$tmp/trace") and .bytes_after == $(stat -c %s "$tmp/image")"
		assertJson ".moved_bytes == $moved and .moved_bytes > $further"
		assertGuest "$tmp/image" "$work/large.raw"
		assertEquals "version $version" "$(header "$tmp/image" | cut -d' ' -f1-2)"
		assertEquals "file size" "$(expected_size "$work/large.1" 1 $version)" "$(stat -c %s "$tmp/image")"
	done
}

# gow-repair goes on with it, and says what takes it back.
testRepairFinishesIt() {
	take_copy "$work/large.1" "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=sync:7:kill gow-upgrade "$tmp/image"
	assertStatus 137
	cp --sparse=always "$tmp/image" "$tmp/copy"
	state_of "$tmp/image"
	run gow-repair -n --json "$tmp/image"
	assertJson '.plan[0].kind == "finish" and .changed == false'
	assertUnchanged "$tmp/image"
	run gow-repair -n "$tmp/image"
	assertOut 'the upgrade is resumed; gow-upgrade --rollback would take it back'
	for option in -p -y; do
		cp --sparse=always "$tmp/copy" "$tmp/image"
		run gow-repair $option --json "$tmp/image"
		assertStatus 3
		assertJson '.changed and .plan[0].kind == "finish" and .plan[0].id == "journal.pending"'
		assertGuest "$tmp/image" "$work/large.raw"
		assertEquals "version 3" "$(header "$tmp/image" | cut -d' ' -f1-2)"
	done
}

testFullDisk() {
	need_root || return 0
	mount_tmpfs 80m
	take_copy "$work/large.1" "$mnt/image"
	dd if=/dev/zero of="$mnt/ballast" bs=1M 2>/dev/null
	state_of "$mnt/image"
	for option in -n -q; do
		run gow-upgrade $option "$mnt/image"
		assertStatus 8
		assertErr 'needs [0-9]+ bytes'
		assertUnchanged "$mnt/image"
	done
	rm "$mnt/ballast"
	cp "$work/large.1" "$mnt/image"
	run gow-upgrade -n --json "$mnt/image"
	need=$(json .extra_bytes)
	# What was told is enough, to the page.
	free=$(df --output=avail -B1 "$mnt" | tail -n 1)
	if [ "$free" -gt "$need" ]; then
		fallocate -l $((free - need)) "$mnt/ballast"
		run gow-upgrade "$mnt/image"
		assertStatus 0
		assertGuest "$mnt/image" "$work/large.raw"
	else
		fail "$free bytes free, $need needed: the test proves nothing"
	fi
}

# A copy that shares its blocks with another file, on a file system that is nearly full: what writing
# to them takes is had before the first byte is written, or nothing is done.
testSharedOnAFullDisk() {
	need_root || return 0
	need_tool mkfs.xfs || return 0
	truncate -s 350M "$tmp/fs"
	mkfs.xfs -q -m reflink=1 "$tmp/fs" 2>/dev/null || { skip "no reflinks"; return; }
	mount_file "$tmp/fs"
	printf 'version 2\nsize 128M\nmap 0-599 0\ndata 0-599 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$mnt/other"
	make_raw "$tmp/recipe" "$tmp/raw"
	sync -f "$mnt"
	for more in 0 200000 600000 4000000; do
		cp --reflink=always "$mnt/other" "$mnt/image"
		sync -f "$mnt"
		need=$("$GOW_BIN/gow-upgrade" -n --json "$mnt/image" | jq .extra_bytes)
		fallocate -l $(($(df --output=avail -B1 "$mnt" | tail -n 1) - need - more)) "$mnt/ballast"
		run gow-upgrade "$mnt/image"
		if [ $status -eq 0 ]; then
			assertGuest "$mnt/image" "$tmp/raw"
		else
			assertStatus 8
			assertErr '(needs|takes) [0-9]+ bytes.*nothing was written'
			assertSameFile "$mnt/other" "$mnt/image"
		fi
		rm "$mnt/image" "$mnt/ballast"
	done
	assertStatus 0
}

# Room that was found too late to be too small: what was reserved by then is given back.
testReservedSpaceIsGivenBack() {
	need_root || return 0
	mount_tmpfs 80m
	printf 'version 1\nsize 60M\nmap 0-599 0\ndata 500-599 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$mnt/image"
	before=$(stat -c '%b %s' "$mnt/image")
	sum=$(cksum <"$mnt/image")
	for nth in 1 2 20; do
		run_faulty FAULTIO_FILE="$mnt/image" FAULTIO_FAIL=allocate:$nth:ENOSPC gow-upgrade "$mnt/image"
		assertStatus 8
		assertErr 'cannot reserve space'
		assertEquals "$before" "$(stat -c '%b %s' "$mnt/image")"
		assertEquals "$sum" "$(cksum <"$mnt/image")"
	done
	# What is resumed needs some for the rest.
	run_faulty FAULTIO_FILE="$mnt/image" FAULTIO_FAIL=sync:7:kill gow-upgrade "$mnt/image"
	assertStatus 137
	cp --sparse=always "$mnt/image" "$mnt/copy" # without what was reserved
	before=$(stat -c '%b %s' "$mnt/copy")
	run_faulty FAULTIO_FILE="$mnt/copy" FAULTIO_FAIL=allocate:2:ENOSPC gow-upgrade "$mnt/copy"
	assertStatus 8
	assertErr 'cannot reserve space'
	assertEquals "$before" "$(stat -c '%b %s' "$mnt/copy")"
	assertSameFile "$mnt/image" "$mnt/copy"
}

testBusy() {
	need_leases "$tmp" || return 0
	take_copy "$work/small.gow.1" "$tmp/image"
	state_of "$tmp/image"
	run hold -r "$tmp/image" "$GOW_BIN/gow-upgrade" "$tmp/image"
	assertStatus 64
	assertUnchanged "$tmp/image"
	# To make a new image of it, it is looked at, and read: that is said once.
	run hold -w "$tmp/image" "$GOW_BIN/gow-upgrade" --json -o "$tmp/out" "$tmp/image"
	assertStatus 0
	assertJson .in_use
	assertEquals 1 "$(grep -c 'is open for writing' "$err")"
}

testProgress() {
	take_copy "$work/large.1" "$tmp/image"
	run gow-upgrade --progress=json "$tmp/image"
	assertStatus 0
	assertErr '"phase": ?"move"'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
