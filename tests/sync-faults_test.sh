#!/bin/sh
# gow-sync: signals, failing calls, records that lie, and what it refuses.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$TESTS/servers.sh"
# shellcheck source=sync.sh
. "$TESTS/sync.sh"

# assertEitherOf OLD NEW: the copy has one guest or the other, or is pending, so that nobody uses it.
assertEitherOf() {
	"$GOW_BIN/gow-check" -q "$tmp/c.gow" >/dev/null 2>&1
	[ $(($? & 4)) -eq 0 ] || return 0
	now=$(sum_of "$tmp/c.gow")
	cmp -s "$(sum_of "$work/$1.gow")" "$now" || cmp -s "$(sum_of "$work/$2.gow")" "$now"
	assertTrue "$3: neither the old guest nor the new one" $?
}

# assertGoesOn MASTER WHAT: the next run brings the copy in step.
assertGoesOn() {
	"$GOW_BIN/gow-sync" -q "$1" "$tmp/c.gow" >"$out" 2>"$err"
	status=$?
	assertEquals "$2: exit status" 0 "$status"
	assertInStep "$1"
	assertAlone
}

testProgressOnRequest() {
	copy_of v1
	"$GOW_BIN/gow-sync" -q --limit-rate 2M "$work/all.gow" "$tmp/c.gow" >"$out" 2>"$err" &
	child=$!
	wait_for_record
	kill -USR1 "$child"
	for _ in $(seq 600); do
		[ ! -s "$err" ] || break
		sleep 0.05
	done
	kill "$child"
	wait "$child"
	assertEquals 32 $?
	assertErr '^\{.*"phase":"fetch","done":[0-9]*,"total":6553600'
}

testStopped() {
	need_tool nginx python3 || return 0
	serve_nginx "$work"
	copy_of v1
	for signal in INT TERM; do
		# A shell has what runs in its background ignore SIGINT.
		env --default-signal=INT "$GOW_BIN/gow-sync" --json --limit-rate 2M "$url/all.gow" \
			"$tmp/c.gow" >"$out" 2>"$err" &
		child=$!
		wait_for_record
		sleep 0.3 # the second time the record is there before the program listens
		kill -s $signal "$child"
		wait "$child"
		status=$?
		assertStatus 32
		assertJson '.exit == 32 and (.changed | not)'
		assertOld v1
	done
	run gow-sync --json "$url/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.resumed'
	assertInStep "$work/all.gow"
	assertAlone
	# What was in flight, twice.
	assertTrue "$(served_bytes) bytes" "[ $(served_bytes) -le $((100 * 65536 + 2 * 1048576)) ]"
}

# After the first 4 MiB the rate wants a pause of a minute.
testStoppedWhileTheRateIsWaitedFor() {
	copy_of v1
	timeout -s KILL 20 env --default-signal timeout --preserve-status -s INT 2 "$GOW_BIN/gow-sync" \
		--verify --limit-rate 64K "$work/all.gow" "$tmp/c.gow" >"$out" 2>"$err"
	status=$?
	assertStatus 32
	assertOld v1
}

# What has come stays, and the caller is told that nothing more can be had.
testServerThatDies() {
	need_tool nginx python3 || return 0
	serve_nginx "$work"
	server=$!
	copy_of v1
	"$GOW_BIN/gow-sync" --json --limit-rate 2M "$url/all.gow" "$tmp/c.gow" >"$out" 2>"$err" &
	child=$!
	wait_for_record
	kill $server
	wait $child
	status=$?
	assertStatus 8
	assertJson '.error == "unreachable" and (.changed | not)'
	assertOld v1
	serve_nginx "$work"
	run gow-sync --json "$url/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.resumed'
	assertInStep "$work/all.gow"
	assertAlone
}

# headers_read IMAGE: how many headers' worth of bytes was read of its own, rounded down; a few numbers
# do not count.
headers_read() {
	awk -v name="$1" '$1 == "read" && $3 == name && $4 < 33554452 { sum += $5 }
		END { printf "%d\n", sum / 33554452 }' "$tmp/m.trace"
}

# A header of 32 MiB is judged once for what it is, and the copy's once more for what it has become; the
# undo file has its digest, and compares it.
# While the caller waits for blocks, and the clock was set back.
testStoppedAfterTheClockWasSetBack() {
	copy_of v1
	env --default-signal timeout --preserve-status -k 10 -s INT 2 \
		env FAULTIO_CLOCK=3600 LD_PRELOAD="$GOW_TESTBIN/faultio.so" \
		ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" \
		"$GOW_BIN/gow-sync" --limit-rate 16K "$work/all.gow" "$tmp/c.gow" >"$out" 2>"$err"
	status=$?
	assertStatus 32
	assertOld v1
}

testHeadersAreNotReadAgain() {
	copy_of v1
	for want in 3 1; do
		rm -f "$tmp/m.trace"
		run_faulty FAULTIO_FILE='*.gow' FAULTIO_TRACE="$tmp/m.trace" \
			gow-sync "$work/v2.gow" "$tmp/c.gow"
		assertStatus 0
		assertEquals "copy, $want" "$want" "$(headers_read "$tmp/c.gow")"
		assertEquals "master, $want" 1 "$(headers_read "$work/v2.gow")"
	done
	assertInStep "$work/v2.gow"
}

# A copy that is refused was open for reading only.
testRefusedCopyIsNotOpenedForWriting() {
	need_leases "$tmp" || return 0
	copy_of v2
	# Older numbers first, and then newer ones.
	lineage "$tmp/m.gow" 'ver 0-3 2'
	"$GOW_TESTBIN/hold" -l ofd-read "$tmp/c.gow" \
		"$GOW_BIN/gow-sync" --json "$tmp/m.gow" "$tmp/c.gow" >"$out" 2>"$err"
	status=$?
	assertStatus 8
	assertJson '.diverged_blocks == 17'
}

# In the middle of a write, of the copy's blocks or of its header.
testStoppedAnywhere() {
	for nth in 30 101 103; do
		copy_of v1
		run_faulty FAULTIO_FILE='*/c.gow' FAULTIO_FAIL=write:$nth:signal=2 \
			gow-sync "$work/all.gow" "$tmp/c.gow"
		[ "$status" -eq 0 ] || assertStatus 32
		assertEitherOf v1 all "stopped at $nth"
		assertGoesOn "$work/all.gow" "stopped at $nth"
	done
}

# Somebody opens the copy, or writes to the master, while blocks are fetched.
testNewcomers() {
	need_leases "$work" || return 0
	cp --sparse=always "$work/all.gow" "$work/m.gow"
	for side in "$tmp/c.gow:read" "$work/m.gow:write"; do
		copy_of v1
		run_faulty FAULTIO_FILE="$tmp/c.gow" FAULTIO_COME="${side%:*}" \
			FAULTIO_FAIL="write:1:come=${side##*:}" gow-sync "$work/m.gow" "$tmp/c.gow"
		assertStatus 64
		assertErr 'came to open'
		assertEitherOf v1 all "$side"
		assertGoesOn "$work/all.gow" "$side"
	done
	# Who writes to the master when all is fetched: it may be another one now.
	copy_of v1
	run_faulty FAULTIO_FILE="$work/m.gow" FAULTIO_TRACE="$tmp/m.trace" gow-sync "$work/m.gow" "$tmp/c.gow"
	assertStatus 0
	n=$(awk '$1 == "read" { n = $2 } END { print n }' "$tmp/m.trace")
	copy_of v1
	run_faulty FAULTIO_FILE="$work/m.gow" FAULTIO_FAIL="read:$n:come=write" gow-sync "$work/m.gow" "$tmp/c.gow"
	assertStatus 64
	assertErr 'm.gow: another process came to open'
	assertOld v1
	assertGoesOn "$work/all.gow" 'after the last block'
}

# faulty FAULT [OPTION...]: a run with that fault on the copy or what is beside it; then the next one.
faulty() {
	fault=$1
	shift
	copy_of v1
	run_faulty FAULTIO_FILE='*/c.gow*' FAULTIO_FAIL="$fault" \
		gow-sync -q "$@" "$work/v2.gow" "$tmp/c.gow"
	[ "$status" -ne 0 ] || assertInStep "$work/v2.gow"
	[ $# -ne 0 ] || assertEitherOf v1 v2 "$fault"
	assertGoesOn "$work/v2.gow" "$fault $*"
}

# Of the writes some are of blocks, the last ones of the record, the undo file, and the header. (Every
# single call fails in unit/sync.)
testFailingCalls() {
	copy_of v1
	run_faulty FAULTIO_FILE='*/c.gow*' FAULTIO_TRACE="$tmp/m.trace" \
		gow-sync "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	writes=$(grep -c ^write "$tmp/m.trace")
	for nth in 2 18 20 $((writes - 3)) $((writes - 1)) "$writes"; do
		faulty "write:$nth:flip"
	done
	faulty write:3:ENOSPC
	faulty "write:$((writes - 2)):short"
	faulty sync:4:EIO
	faulty rename:1:EIO
	faulty write:5:flip --in-place
	faulty write:12:EIO --in-place
	faulty sync:5:EIO --in-place
}

# A disk that garbles what is written of the header, where no undo file has it: in place, and of a
# copy that is made.
testGarbledHeaders() {
	for how in v1 none; do
		option=
		[ $how = none ] || option=--in-place
		for nth in 0 1 2 3 4 5; do
			rm -f "$tmp"/c.gow*
			[ $how = none ] || copy_of $how
			fault=
			[ $nth = 0 ] || fault=FAULTIO_FAIL=write:$((writes - nth + 1)):flip
			rm -f "$tmp/m.trace"
			run_faulty FAULTIO_FILE='*/c.gow*' FAULTIO_TRACE="$tmp/m.trace" $fault \
				gow-sync -q $option "$work/v2.gow" "$tmp/c.gow"
			[ $nth != 0 ] || writes=$(grep -c ^write "$tmp/m.trace")
			if [ "$status" -ne 0 ]; then
				assertErr 'reads back as something else|corrupt|not what was meant'
				run gow-check -q --boot "$tmp/c.gow"
				assertTrue "$how $nth: boot" "[ $status -ne 0 ]"
				assertGoesOn "$work/v2.gow" "$how $nth"
			fi
			assertInStep "$work/v2.gow"
		done
	done
}

# What was begun of a larger disk is resumed for a smaller one: no entry is left past its end.
testANewCopyOfASmallerMaster() {
	run_faulty FAULTIO_FILE='*/c.gow*' FAULTIO_FAIL=rename:2:kill \
		gow-sync -q "$work/all.gow" "$tmp/c.gow"
	assertStatus 137
	printf '%s\n' 'version 3' 'size 3M' 'map 0-9 0' 'data 0-9 pattern 8' 'ver 0-9 9' |
		"$GOW_TESTBIN/mkimage" - "$tmp/m.gow"
	run gow-sync -q "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$tmp/m.gow"
	assertAlone
	run gow-check -q --boot "$tmp/c.gow"
	assertStatus 0
}

# The mark is what keeps a copy in place from being used before it is finished.
testGarbledMark() {
	copy_of v1
	run_faulty FAULTIO_FILE='*/c.gow' FAULTIO_FAIL=write:1:flip,write:5:kill \
		gow-sync -q --in-place "$work/v2.gow" "$tmp/c.gow"
	run gow-check "$tmp/c.gow"
	assertStatus 4
	assertOut 'journal\.pending'
	assertGoesOn "$work/v2.gow" 'a mark'
}

# The record of what is overwritten in place: garbled, the copy would be taken for its own.
testGarbledRecord() {
	for nth in 1 2; do
		copy_of v1
		run_faulty FAULTIO_FILE='*/c.gow.gow-sync' FAULTIO_FAIL=write:$nth:flip \
			gow-sync -q --in-place "$work/v2.gow" "$tmp/c.gow"
		assertStatus 8
		assertErr 'reads back as something else'
		assertOld v1
		assertGoesOn "$work/v2.gow" "record $nth"
	done
}

# No room is left in the middle of it.
testDiskFillsUp() {
	need_root || return 0
	mount_tmpfs 40m
	cp --sparse=always "$work/v1.gow" "$mnt/c.gow"
	"$GOW_BIN/gow-sync" -q --limit-rate 2M "$work/all.gow" "$mnt/c.gow" >"$out" 2>"$err" &
	child=$!
	for _ in $(seq 600); do
		[ "$(stat -c %s "$mnt/c.gow.gow-sync" 2>/dev/null || echo 0)" -le 400 ] || break
		sleep 0.05
	done
	dd if=/dev/zero of="$mnt/full" bs=64k status=none 2>/dev/null
	wait "$child"
	status=$?
	assertStatus 8
	assertErr 'No space left'
	"$GOW_TESTBIN/guestsum" "$mnt/c.gow" >"$tmp/m.sum"
	assertSameFile "$(sum_of "$work/v1.gow")" "$tmp/m.sum"
	rm "$mnt/full"
	run gow-sync --json "$work/all.gow" "$mnt/c.gow"
	assertStatus 0
	assertJson '.resumed'
	assertInStep "$work/all.gow" "$mnt/c.gow"
}

# A record with other bytes says nothing that is believed.
testDamagedRecord() {
	copy_of v1
	interrupted "$work/all.gow" "$tmp/c.gow"
	cp "$tmp/c.gow" "$tmp/m.copy"
	cp "$tmp/c.gow.gow-sync" "$tmp/m.record"
	for offset in 3 12 70 120 150; do
		cp --sparse=always "$tmp/m.copy" "$tmp/c.gow"
		cp "$tmp/m.record" "$tmp/c.gow.gow-sync"
		printf '\377' | dd of="$tmp/c.gow.gow-sync" bs=1 seek=$offset conv=notrunc status=none
		assertGoesOn "$work/all.gow" "record damaged at $offset"
	done
	# Zeros where its bytes were, and none at all.
	for size in 0 100; do
		truncate -s 0 "$tmp/c.gow.gow-sync"
		truncate -s $size "$tmp/c.gow.gow-sync"
		copy_of v1
		assertGoesOn "$work/all.gow" "$size bytes of zeros"
	done
}

# What has the name of the record and is none is somebody's, and stays.
testWhatIsNoRecordStays() {
	echo hello >"$tmp/m.text"
	head -c 100 /dev/urandom >"$tmp/m.random"
	for file in "$work/v2.gow" "$tmp/m.text" "$tmp/m.random"; do
		for option in -q --in-place; do
			copy_of v1
			ln -sf "$file" "$tmp/m.file"
			cp --sparse=always "$file" "$tmp/c.gow.gow-sync"
			state_of "$tmp/c.gow.gow-sync"
			run gow-sync $option "$work/all.gow" "$tmp/c.gow"
			assertStatus 8
			assertErr 'c.gow.gow-sync: stands in the way of a record of gow-sync, and is none.*rename it'
			assertUnchanged "$tmp/c.gow.gow-sync"
			assertOld v1
			rm "$tmp/c.gow"
			run gow-sync $option "$work/all.gow" "$tmp/c.gow"
			assertStatus 8
			assertErr 'c.gow.gow-sync: stands in the way'
			assertUnchanged "$tmp/c.gow.gow-sync"
			rm "$tmp/c.gow.gow-sync" "$tmp/m.file"
			assertAlone
		done
	done
	# Where nothing is to be fetched it is in nobody's way.
	copy_of all
	echo hello >"$tmp/c.gow.gow-sync"
	run gow-sync "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertSameFile "$tmp/m.text" "$tmp/c.gow.gow-sync"
}

# Nor is a file replaced that only has the name under which a new copy is made.
testWhatIsNoNewCopyStays() {
	echo hello >"$tmp/m.text"
	make_image sound-v1 "$tmp/m.other"
	for file in "$work/v2.gow" "$tmp/m.other" "$tmp/m.text"; do
		cp --sparse=always "$file" "$tmp/c.gow.gow-sync.new"
		state_of "$tmp/c.gow.gow-sync.new"
		for option in -q -n; do
			run gow-sync $option "$work/all.gow" "$tmp/c.gow"
			assertStatus 8
			assertErr 'c.gow.gow-sync.new: stands where a new copy is made, and is none that was begun.*rename it'
		done
		assertUnchanged "$tmp/c.gow.gow-sync.new"
		rm "$tmp/c.gow.gow-sync.new"
		assertAlone
	done
	: >"$tmp/c.gow.gow-sync.new"
	assertGoesOn "$work/all.gow" 'an empty file'
}

# Nor one that takes the copy's name just before the new copy does.
testACopyThatComesIntoBeingStays() {
	echo hello >"$tmp/m.text"
	cp "$tmp/m.text" "$tmp/m.other"
	run_faulty FAULTIO_FILE="$tmp/c.gow" FAULTIO_SWAP="$tmp/m.other" FAULTIO_FAIL=rename:1:swap \
		gow-sync -q "$work/all.gow" "$tmp/c.gow"
	assertStatus 8
	assertErr 'came into being meanwhile'
	assertSameFile "$tmp/m.text" "$tmp/c.gow"
	rm "$tmp/c.gow"
	assertGoesOn "$work/all.gow" 'when it is gone'
}

# stopping CALL:N[,...]: begins to make c.gow, and stops at these calls; $stopped is its process.
stopping() {
	FAULTIO_FILE="$tmp/c.gow*" FAULTIO_FAIL="$1" LD_PRELOAD="$GOW_TESTBIN/faultio.so" \
		ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" \
		"$GOW_BIN/gow-sync" -q "$work/all.gow" "$tmp/c.gow" >/dev/null 2>&1 &
	stopped=$!
	wait_for_stop $stopped
}

# Two make the same copy: what one has begun the other does not replace, and who says that it is made
# has made it.
testTwoMakeOneCopy() {
	stopping rename:1:signal=19,rename:2:signal=19
	second=$stopped
	stopping rename:2:signal=19
	first=$stopped
	kill -CONT $second
	wait_for_stop $second
	kill -CONT $first
	wait $first
	assertEquals 'who made it' 0 $?
	assertInStep "$work/all.gow"
	run gow-check -q --boot "$tmp/c.gow"
	assertStatus 0
	kill -CONT $second
	wait $second
	assertEquals 'the other one' 8 $?
	assertInStep "$work/all.gow"
	assertAlone
}

# A master whose name gow-sync needs is read by nobody and written by nobody.
testMasterUnderANameOfTheCopy() {
	for name in c.gow.gow-sync c.gow.gow-sync.new; do
		cp --sparse=always "$work/all.gow" "$tmp/$name"
		state_of "$tmp/$name"
		for option in -q --no-lock --in-place; do
			for copy in no v1; do
				[ $copy = no ] || copy_of v1
				ln -s "$name" "$tmp/m.link"
				run gow-sync $option "$tmp/m.link" "$tmp/c.gow"
				assertStatus 16
				assertErr "$name: is the master, and a name that gow-sync needs"
				assertUnchanged "$tmp/$name"
				rm -f "$tmp/c.gow" "$tmp/m.link"
			done
		done
		rm "$tmp/$name"
		assertAlone
	done
}

# A record of somebody else is not believed, whatever it says, and does no harm.
testPlantedRecord() {
	need_root || return 0
	copy_of v1
	interrupted "$work/all.gow" "$tmp/c.gow"
	chown 12345 "$tmp/c.gow.gow-sync"
	run gow-sync -n --json "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.resumed | not'
	assertGoesOn "$work/all.gow" 'planted record'
	copy_of v1
	ln -s "$work/v2.gow" "$tmp/c.gow.gow-sync"
	state_of "$work/v2.gow"
	assertGoesOn "$work/all.gow" 'a link instead of a record'
	assertUnchanged "$work/v2.gow"
}

testHardLinks() {
	copy_of v1
	ln "$tmp/c.gow" "$tmp/m.link"
	state_of "$tmp/c.gow"
	for option in -q --in-place; do
		run gow-sync $option "$work/v2.gow" "$tmp/c.gow"
		assertStatus 8
		assertErr 'hard links.*copy it'
		assertNoErr 'undo-file'
		assertUnchanged "$tmp/c.gow"
	done
	assertAlone
}

# The undo file of the switch has .gow-undo.new added to the copy's name; the record less. So it is known
# before anything is fetched.
testLongName() {
	longest=$(printf '%0242d' 0)
	mkdir "$tmp/m.d"
	cp --sparse=always "$work/v1.gow" "$tmp/m.d/$longest"
	cp --sparse=always "$work/v1.gow" "$tmp/m.d/0$longest"
	run gow-sync "$work/v2.gow" "$tmp/m.d/$longest"
	assertStatus 0
	assertInStep "$work/v2.gow" "$tmp/m.d/$longest"
	run gow-sync --json "$work/v2.gow" "$tmp/m.d/0$longest"
	assertStatus 8
	assertErr 'name too long for an undo file.*rename'
	assertSameFile "$work/v1.gow" "$tmp/m.d/0$longest"
	assertEquals 2 "$(find "$tmp/m.d" -type f -name '0*[!m]' | wc -l)"
	# In place there is none.
	run gow-sync --in-place "$work/v2.gow" "$tmp/m.d/0$longest"
	assertStatus 0
	assertInStep "$work/v2.gow" "$tmp/m.d/0$longest"
}

testPhases() {
	copy_of v1
	run gow-sync --verify --progress=json "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertErr '"phase":"verify"'
	assertErr '"phase":"fetch"'
	assertNoErr 'repair'
}

# A master that is written to all the time is given up, and the copy is what it was.
testAMasterThatIsNeverAtRest() {
	cp --sparse=always "$work/v2.gow" "$tmp/m.gow"
	for option in '' --in-place; do
		copy_of v1
		# shellcheck disable=SC2086 # nothing, or an option
		run_faulty FAULTIO_FILE="$tmp/m.gow" FAULTIO_CUT="$tmp/m.gow" FAULTIO_FAIL=read:1+:poke=33554900 \
			gow-sync --no-lock --json $option "$tmp/m.gow" "$tmp/c.gow"
		assertStatus 8
		assertErr 'm.gow: changed 5 times while it was read: try again when it is at rest'
		assertJson '.rounds == 5 and (.changed | not)'
		run gow-sync "$work/v2.gow" "$tmp/c.gow"
		assertStatus 0
		assertInStep "$work/v2.gow"
		assertAlone
	done
}

# What an earlier run has fetched, and cannot be read any more, is fetched again.
testAPlaceThatCannotBeRead() {
	copy_of v1
	interrupted "$work/all.gow" "$tmp/c.gow"
	mkdir "$tmp/m.begun"
	cp --sparse=always "$tmp/c.gow" "$tmp/c.gow.gow-sync" "$tmp/m.begun"
	run_faulty FAULTIO_FILE='*/c.gow' FAULTIO_TRACE="$tmp/m.trace" gow-sync "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	n=$(awk '$1 == "read" && $5 == 65536 { print $2 }' "$tmp/m.trace" | sed -n 2p)
	for error in EIO short; do
		cp --sparse=always "$tmp"/m.begun/* "$tmp"
		run_faulty FAULTIO_FILE='*/c.gow' FAULTIO_FAIL="read:$n:$error" \
			gow-sync --json "$work/all.gow" "$tmp/c.gow"
		assertStatus 0
		assertJson '.resumed'
		assertInStep "$work/all.gow"
		assertAlone
	done
}

# The record of a run beside the copy is none of one in place.
testInPlaceAfterARunBesideIt() {
	copy_of v1
	interrupted "$work/all.gow" "$tmp/c.gow"
	run gow-sync --json --in-place "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.in_place and (.resumed | not)'
	assertErr 'is changed in place'
	assertInStep "$work/all.gow"
	assertAlone
}

# The same of a block that the copy had all the time, where its content is looked at.
testABlockThatCannotBeRead() {
	at=$((33554944 + 5 * 65536))
	cp --sparse=always "$work/v1.gow" "$tmp/m.gow"
	run gow-check -q --write-manifest "$tmp/m.manifest" "$tmp/m.gow"
	for option in --verify "--manifest=$tmp/m.manifest"; do
		copy_of v1
		run_faulty FAULTIO_FILE='*/c.gow' FAULTIO_READ="$at-$((at + 512))" \
			gow-sync --json "$option" "$tmp/m.gow" "$tmp/c.gow"
		assertStatus 0
		assertJson '.needed_blocks == 1 and .changed'
		assertInStep "$tmp/m.gow"
		assertAlone
		run gow-info --map "$tmp/c.gow"
		assertOut '^5 100 1 1$'
	done
}

# Whoever owns the file that a copy is made in may read what comes there, and change it.
testANewCopyThatAnotherUserBegan() {
	need_root || return 0
	interrupted "$work/all.gow" "$tmp/c.gow"
	chown 12345 "$tmp/c.gow.gow-sync.new"
	state_of "$tmp/c.gow.gow-sync.new"
	for option in -n -q; do
		run gow-sync $option "$work/all.gow" "$tmp/c.gow"
		assertStatus 8
		assertErr "c.gow.gow-sync.new: stands where a new copy is made, and is another user's"
	done
	assertUnchanged "$tmp/c.gow.gow-sync.new"
	chown 0 "$tmp/c.gow.gow-sync.new"
	run gow-sync --json "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.resumed and .created'
	assertInStep "$work/all.gow"
	assertAlone
}

# In place nothing but the map may have to change, and a run may end when all is done but the mark.
testInPlaceWithoutBlocks() {
	lineage "$tmp/m.gow" 'map 7 none' 'ver 7 2'
	copy_of v1
	run_faulty FAULTIO_FILE='*/c.gow*' FAULTIO_TRACE="$tmp/m.trace" \
		gow-sync -q --in-place "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	last=$(grep -c '^write' "$tmp/m.trace")
	for nth in $(seq "$last"); do
		copy_of v1
		run_faulty FAULTIO_FILE='*/c.gow*' FAULTIO_FAIL="write:$nth:kill" \
			gow-sync -q --in-place "$tmp/m.gow" "$tmp/c.gow"
		assertStatus 137
		assertGoesOn "$tmp/m.gow" "killed at $nth of $last"
		run gow-check -q --boot "$tmp/c.gow"
		assertStatus 0
	done
}

# In place there is no way back: without its record nobody knows which blocks are the copy's.
testInPlaceRecordLost() {
	copy_of v1
	interrupted --in-place "$work/all.gow" "$tmp/c.gow"
	rm "$tmp/c.gow.gow-sync"
	run gow-check --json "$tmp/c.gow"
	assertStatus 4
	assertJson '.findings[0].id == "journal.missing"'
	state_of "$tmp/c.gow"
	run gow-sync --json "$work/all.gow" "$tmp/c.gow"
	assertStatus 4
	assertErr 'record'
	assertUnchanged "$tmp/c.gow"
	# The way that the manual names.
	run gow-repair -y --clear-pending "$tmp/c.gow"
	rm -f "$tmp/c.gow.gow-undo"
	run gow-sync --force --verify "$work/all.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$work/all.gow"
	assertAlone
}

# killed_in_the_middle SET-UP TOOL ARG...: kills it at the first write after which the copy is marked and
# its undo file counts.
killed_in_the_middle() {
	set_up=$1
	shift
	for nth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		rm -f "$tmp"/c.gow*
		$set_up
		run_faulty FAULTIO_FILE='*/c.gow' FAULTIO_FAIL=write:$nth:kill "$@"
		[ "$(head -c 4 "$tmp/c.gow")" != 'GOW!' ] || [ ! -e "$tmp/c.gow.gow-undo" ] || return 0
	done
	fail "never in the middle of $*"
}

set_up_v1() { copy_of v1; }

# Block 3 is named twice.
set_up_damaged() {
	lineage "$tmp/c.gow" 'map 98 3'
}

# What would be done is told of the copy as it was, and nothing of it is done.
testDryRunAfterAnInterruptedSwitch() {
	killed_in_the_middle set_up_v1 gow-sync -q "$work/v2.gow" "$tmp/c.gow"
	assertStatus 137
	state_of "$tmp/c.gow"
	run gow-sync -n --json "$work/v2.gow" "$tmp/c.gow"
	assertTrue "status $status" "[ $status -le 1 ]"
	assertUnchanged "$tmp/c.gow"
	assertJson '.changed == false'
	run gow-sync "$work/v2.gow" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$work/v2.gow"
	assertAlone
}

# The undo file of a repair is not gow-sync's to finish.
testInterruptedRepairOfACopy() {
	killed_in_the_middle set_up_damaged gow-repair -y "$tmp/c.gow"
	assertStatus 137
	state_of "$tmp/c.gow"
	for option in '' -n; do
		run gow-sync $option --json "$work/v2.gow" "$tmp/c.gow"
		assertStatus 4
		assertErr 'finish it with gow-repair'
		assertUnchanged "$tmp/c.gow"
	done
	run gow-repair -y "$tmp/c.gow"
	assertStatus 3
}

# A number that cannot go up is compared like any other.
testExhaustedNumbers() {
	copy_of v1
	lineage "$tmp/m.gow" 'data 5 pattern 6' 'ver 5 0xffffffff'
	run gow-sync --json "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.newer_blocks == 1'
	assertInStep "$tmp/m.gow"
	run gow-sync --json "$tmp/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.changed | not'
}

testMasterOfVersion1() {
	copy_of v1
	run gow-convert -q -O gow1 "$work/all.gow" "$tmp/m.v1"
	run gow-check -q --write-manifest "$tmp/m.manifest" "$tmp/m.v1"
	run gow-sync "$tmp/m.v1" "$tmp/c.gow"
	assertStatus 8
	assertErr 'no version numbers'
	run gow-sync --json --manifest "$tmp/m.manifest" "$tmp/m.v1" "$tmp/c.gow"
	assertStatus 0
	assertJson '.newer_blocks == 100'
	assertOld all
	# A consumer of this copy sees that each block changed.
	run gow-info --json "$tmp/c.gow"
	cp --sparse=always "$work/v1.gow" "$tmp/m.next"
	run gow-sync --json "$tmp/c.gow" "$tmp/m.next"
	assertStatus 0
	assertJson '.newer_blocks == 100'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
