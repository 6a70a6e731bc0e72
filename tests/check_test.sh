#!/bin/sh
# gow-check: its options, its statuses, its output, and who else has the image open.
# What it finds in which image is fixtures_test.sh's.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# One image of each kind, made once.
suiteSetUp() {
	sound=$work/sound.gow advisory=$work/advisory.gow corrupt=$work/corrupt.gow
	make_image sound-v1 "$sound"
	make_image space-leak-v1 "$advisory"
	make_image map-range-v1 "$corrupt"
	echo "this is a letter, and no disk" >"$work/letter"
}

testStatusOfOneImage() {
	run gow-check "$sound"
	assertStatus 0
	run gow-check "$advisory"
	assertStatus 2
	run gow-check "$corrupt"
	assertStatus 4
	run gow-check "$work/letter"
	assertStatus 8
	assertOutEmpty
	assertErr "^gow-check: $work/letter: "
}

testMissingImage() {
	run gow-check "$work/none.gow"
	assertStatus 8
	assertOutEmpty
	assertErr "^gow-check: $work/none.gow: .*No such file or directory"
}

testStatusOfManyIsTheirOr() {
	run gow-check "$sound" "$advisory"
	assertStatus 2
	run gow-check "$corrupt" "$advisory" "$sound"
	assertStatus 6
	# One image's failure does not stop the rest.
	run gow-check "$work/none.gow" "$corrupt" "$work/letter" "$advisory"
	assertStatus 14
	assertOut 'map\.range'
	assertOut 'space\.leak'
	assertErr "none\.gow"
	assertErr "letter"
}

testSameImageTwice() {
	run gow-check "$advisory" "$advisory"
	assertStatus 2
	assertEquals 2 "$(grep -c 'space\.leak' "$out")"
}

testJsonOfMany() {
	run gow-check --json "$sound" "$work/none.gow" "$advisory" "$work/letter" "$corrupt"
	assertStatus 14
	assertEquals "lines" 5 "$(wc -l <"$out" | tr -d ' ')"
	assertEquals "0 8 2 8 4" "$(json .exit | xargs)"
	assertJson '.schema == 1 and .tool == "gow-check" and (.image | startswith("/"))'
	assertJson 'if .exit == 8
		then (.message | type == "string" and . != "") and (has("findings") | not)
		else has("message") | not end'
	assertEquals "$work/none.gow" "$(json 'select(.exit == 8).image' | head -n 1)"
}

testJsonNamesTheImageAsGiven() {
	cp "$sound" "$tmp/a \"b\"
c.gow"
	run gow-check --json "$tmp/a \"b\"
c.gow"
	assertStatus 0
	assertJson '.image | endswith("/a \"b\"\nc.gow")'
}

testNameThatLooksLikeAnOption() {
	cp "$sound" "$tmp/--json"
	cd "$tmp" || return 1
	run gow-check -- --json
	assertStatus 0
	cd "$work" || return 1
	assertNoOut '^\{'
}

testBoot() {
	run gow-check --boot "$advisory"
	assertStatus 0
	assertOut 'space\.leak'
	run gow-check --boot --json "$advisory"
	assertStatus 0
	assertJson '.exit == 0 and .advisory == 1 and .findings[0].id == "space.leak"'
	run gow-check --boot "$corrupt"
	assertStatus 4
	run gow-check --boot "$sound"
	assertStatus 0
	run gow-check --boot "$work/none.gow" "$advisory"
	assertStatus 8
}

testQuiet() {
	run gow-check --quiet "$sound"
	assertStatus 0
	assertOutEmpty
	assertErrEmpty
	run gow-check -q "$sound" "$sound"
	assertStatus 0
	assertOutEmpty
	assertErrEmpty
	run gow-check -q "$corrupt"
	assertStatus 4
	run gow-check -q "$work/none.gow"
	assertStatus 8
	assertErr "none\.gow"
}

testCorruptTextSaysWhere() {
	run gow-check "$corrupt"
	assertStatus 4
	# Two entries; the first is logical block 5, at byte 40, and names block 2.
	assertOut 'map\.range'
	assertOut '\b40\b'
	assertOut '\b5\b'
	run gow-check -v "$corrupt"
	assertStatus 4
	assertOut '\b11\b'
	assertOut '\b1000\b'
}

# ---- reading only ----

testNothingChanges() {
	mkdir "$tmp/images"
	cp -p --sparse=always "$sound" "$advisory" "$corrupt" "$work/letter" "$tmp/images"
	ls "$tmp/images" >"$tmp/before"
	for image in "$tmp/images"/*; do
		state_of "$image"
		sum=$(sha256sum <"$image")
		run gow-check "$image"
		run gow-check --data -v --json "$image"
		run gow-check --force-share "$image"
		assertUnchanged "$image"
		assertEquals "content of $image" "$sum" "$(sha256sum <"$image")"
	done
	ls "$tmp/images" >"$tmp/after"
	assertSameFile "$tmp/before" "$tmp/after"
}

testReadOnlyFile() {
	cp "$sound" "$tmp/image.gow"
	chmod 400 "$tmp/image.gow"
	run gow-check "$tmp/image.gow"
	assertStatus 0
}

testSymbolicLink() {
	ln -s "$corrupt" "$tmp/link.gow"
	run gow-check "$tmp/link.gow"
	assertStatus 4
}

# ---- --data ----

testDataOfEverySoundFixture() {
	for case in $(sampled_fixtures); do
		case=$(basename "$case")
		[ "$(jq .exit "$fixtures/$case/check.json")" -eq 0 ] || continue
		# All versions alike in this; version 1 is the cheapest.
		case $case in
		sound-* | *-v1) ;;
		*) continue ;;
		esac
		make_image "$case" "$tmp/image.gow"
		run gow-check --data --json "$tmp/image.gow"
		assertStatus 0
		assertJson '.exit == 0 and .findings == []'
	done
}

testDataKeepsWhatTheHeaderSays() {
	run gow-check --data "$corrupt"
	assertStatus 4
	assertOut 'map\.range'
	assertNoOut 'data\.unreadable'
	run gow-check --data "$advisory"
	assertStatus 2
	make_image space-tail-v2 "$tmp/image.gow"
	run gow-check --data --json "$tmp/image.gow"
	assertStatus 2
	assertJson '[.findings[].id] == ["space.tail"]'
}

# Of sound-v1: logical 0 is physical 2, 1 is 0, 17 is 1, 159 is 3.
data_start=4194324
unreadable() {
	run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_READ="$1" gow-check --data --json -v "$sound"
}

testUnreadableBlock() {
	bad=$((data_start + 65536 + 4096))
	unreadable "$bad-$((bad + 512))"
	assertStatus 4
	assertJson '.exit == 4 and .corrupt == 1 and .advisory == 0'
	assertJson '.findings[0] | del(.fix, .message, .title) ==
		{id: "data.unreadable", severity: "corrupt", count: 1,
		first: {logical: 17, physical: 1, offset: 4259860},
		blocks: [{logical: 17, physical: 1, offset: 4259860}]}'
	# The header alone is not concerned.
	run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_READ="$bad-$((bad + 512))" gow-check "$sound"
	assertStatus 0
	run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_READ="$bad-$((bad + 512))" \
		gow-check --data "$sound"
	assertStatus 4
	assertOut 'data\.unreadable'
}

# Reading goes on past an error, and what follows is judged for itself.
testUnreadableFirstAndLastBytes() {
	unreadable "$data_start-$((data_start + 1)),$((data_start + 3 * 65536 - 1))-$((data_start + 3 * 65536))"
	assertStatus 4
	assertJson '.findings[0] | .id == "data.unreadable" and .count == 2'
	assertJson '.findings[0].blocks == [{logical: 0, physical: 2, offset: 4325396},
		{logical: 1, physical: 0, offset: 4194324}]'
}

testUnreadableAll() {
	unreadable "$data_start-$((data_start + 4 * 65536))"
	assertStatus 4
	assertJson '.findings[0].count == 4'
	assertJson '[.findings[0].blocks[].logical] == [0, 1, 17, 159]'
}

# A block that two entries name is two blocks of the guest's.
testUnreadableCrosslink() {
	make_image map-crosslink-v1 "$tmp/image.gow"
	bad=$((data_start + 65536))
	run_faulty FAULTIO_FILE="*/image.gow" FAULTIO_READ="$bad-$((bad + 1))" \
		gow-check --data --json -v "$tmp/image.gow"
	assertStatus 4
	assertJson '[.findings[].id] == ["map.crosslink", "data.unreadable"]'
	assertJson '.findings[1].count == 2 and [.findings[1].blocks[].logical] == [7, 30]'
}

testUnreadableLeakIsNobodysLoss() {
	# Physical 0 of space-leak-v1 is named by no entry.
	run_faulty FAULTIO_FILE="*/advisory.gow" FAULTIO_READ="$data_start-$((data_start + 65536))" \
		gow-check --data "$advisory"
	assertStatus 2
	assertNoOut 'data\.unreadable'
}

testUnreadableHeader() {
	for at in 0 16 1000000 4194323; do
		run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_READ="$at-$((at + 1))" \
			gow-check --json "$sound"
		assertStatus 8
		assertJson '.exit == 8 and (.message | test("Input/output error"))'
		assertJson 'has("findings") | not'
	done
	run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_READ=1000000-1000001 gow-check "$sound"
	assertStatus 8
	assertOutEmpty
	assertErr "^gow-check: .*/sound\.gow: .*Input/output error"
}

# The kernel may hand out fewer bytes than asked, or be interrupted.
testShortAndInterruptedReads() {
	for fault in read:1+:short read:1:EINTR read:3:EINTR; do
		for image in "$sound" "$advisory" "$corrupt"; do
			run gow-check --data --json "$image"
			jq -S 'del(.time)' <"$out" >"$tmp/whole"
			expected=$status
			run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL=$fault \
				gow-check --data --json "$image"
			assertStatus "$expected"
			jq -S 'del(.time)' <"$out" >"$tmp/short"
			assertSameFile "$tmp/whole" "$tmp/short"
		done
	done
}

# ---- output ----

testFullOutput() {
	for options in "" --json --data "--list-options" "--version"; do
		# shellcheck disable=SC2086,SC2016 # words; for the inner shell
		run sh -c '"$@" >/dev/full' sh "$GOW_BIN/gow-check" $options "$sound"
		assertStatus 8
		assertErr 'gow-check: .*No space left'
	done
}

testClosedOutput() {
	# shellcheck disable=SC2016 # for the inner shell
	run sh -c '"$@" >&-' sh "$GOW_BIN/gow-check" "$sound"
	assertStatus 8
	# An image must not be taken for the standard output that is closed.
	state_of "$sound"
	# shellcheck disable=SC2016 # for the inner shell
	run sh -c '"$@" >&- 2>&- <&-' sh "$GOW_BIN/gow-check" "$sound"
	assertStatus 8
	assertUnchanged "$sound"
}

testNoColourInAFile() {
	run gow-check "$corrupt"
	assertNoOut "$(printf '\033')"
	run gow-check --json "$corrupt"
	assertNoOut '\\u001b'
}

# Of a damaged one, too, what is to be read is what is there: blocks that two entries name twice.
testProgressEndsAtTheTotal() {
	printf 'version 1\nsize 4M\nmap 0-3 0\nmap 7-8 3 step 0\nmap 20-29 77\nblocks 4\ndata 0-3 pattern 1\n' |
		"$GOW_TESTBIN/mkimage" - "$tmp/image"
	run gow-check --data --progress=json "$tmp/image"
	assertStatus 4
	assertEquals '393216 393216' "$(jq -r 'select(.phase == "data") | "\(.done) \(.total)"' "$err" | tail -n 1)"
}

testProgress() {
	run gow-check --data --progress=json "$sound"
	assertStatus 0
	assertTrue "no progress" "[ -s '$err' ]"
	jq -es 'length > 0 and all(.[]; (.phase | type == "string") and
		([.done, .total, .elapsed] | all(type == "number")) and .done <= .total)' "$err" >"$tmp/jq"
	assertTrue "progress: $(cat "$err")" $?
	# shellcheck disable=SC2016 # for the inner shell
	run sh -c '"$@" 7>"$0"' "$tmp/progress" "$GOW_BIN/gow-check" --data --progress=json \
		--progress-fd 7 "$sound"
	assertStatus 0
	assertErrEmpty
	assertTrue "no progress" "[ -s '$tmp/progress' ]"
	run gow-check --data --progress=never "$sound"
	assertErrEmpty
	run gow-check --data --progress=auto "$sound"
	assertErrEmpty
	run gow-check --progress=purple "$sound"
	assertStatus 16
}

# ---- many images ----

testFilesFrom() {
	printf '%s\n' "$sound" "$advisory" "$corrupt" >"$tmp/list"
	run gow-check --json --files-from "$tmp/list"
	assertStatus 6
	assertEquals "0 2 4" "$(json .exit | xargs)"
	run gow-check --json --files-from - <"$tmp/list"
	assertStatus 6
	assertEquals "0 2 4" "$(json .exit | xargs)"
	# The last line may lack its end; images may be named besides.
	printf '%s' "$advisory" >"$tmp/list"
	run gow-check --json --files-from "$tmp/list" "$corrupt"
	assertStatus 6
	assertEquals "2" "$(wc -l <"$out" | tr -d ' ')"
	assertEquals "2 4" "$(json .exit | sort | xargs)"
}

testFilesFromNul() {
	cp "$advisory" "$tmp/two
lines.gow"
	printf '%s\0' "$tmp/two
lines.gow" "$corrupt" >"$tmp/list"
	for option in -0 --null; do
		run gow-check --json $option --files-from "$tmp/list"
		assertStatus 6
		assertEquals "2 4" "$(json .exit | xargs)"
	done
	run gow-check --json -0 --files-from - <"$tmp/list"
	assertStatus 6
}

testFilesFromMissing() {
	run gow-check --files-from "$tmp/none"
	assertStatus 8
	assertErr none
	assertOutEmpty
}

# An image in the place of a list: all of it is a name, as it seems, and it may be larger than memory.
testFilesFromAnImage() {
	make_image sound-v1 "$tmp/a.gow"
	truncate -s 100G "$tmp/a.gow"
	run maxrss "$tmp/peak" "$GOW_BIN/gow-check" --files-from "$tmp/a.gow"
	assertStatus 8
	assertErr 'a.gow: cannot read the list: File name too long'
	[ -n "${SANITIZE:-}" ] ||
		assertTrue "$(cat "$tmp/peak") KiB of memory" "[ $(cat "$tmp/peak") -lt 65536 ]"
}

testFilesFromMissingImages() {
	printf '%s\n' "$tmp/none" "$advisory" >"$tmp/list"
	run gow-check --files-from "$tmp/list"
	assertStatus 10
}

testManyImagesLeaveNoFileOpen() {
	i=0
	while [ $i -lt 60 ]; do
		echo "$work/letter"
		i=$((i + 1))
	done >"$tmp/list"
	echo "$advisory" >>"$tmp/list"
	# shellcheck disable=SC2016 # for the inner shell
	run sh -c 'ulimit -n 40 && exec "$@"' sh "$GOW_BIN/gow-check" --files-from "$tmp/list"
	assertStatus 10
}

# ---- options ----

testUsage() {
	run gow-check
	assertStatus 16
	assertOutEmpty
	assertErr gow-check
	run gow-check --no-such-option "$sound"
	assertStatus 16
	assertOutEmpty
	assertErr 'no-such-option'
	run gow-check -Z "$sound"
	assertStatus 16
	run gow-check --data=yes "$sound"
	assertStatus 16
	run gow-check --wait=soon "$sound"
	assertStatus 16
	run gow-check --wait=-1 "$sound"
	assertStatus 16
	run gow-check "$sound" --files-from
	assertStatus 16
}

testHelp() {
	for option in --help --usage; do
		run gow-check "$option"
		assertStatus 0
		assertErrEmpty
		assertOut '--data'
		assertOut '--boot'
	done
	run gow-check --version
	assertStatus 0
	assertErrEmpty
	assertOut 'gow-check.* [0-9]+\.[0-9]+'
}

testListOptions() {
	run gow-check --list-options
	assertStatus 0
	assertErrEmpty
	for option in help usage version list-options quiet verbose json progress progress-fd \
		files-from null boot data wait no-lock force-share; do
		# What follows a name, if anything, says that it takes a value.
		assertOut "^--$option([^a-z-]|$)"
	done
	assertNoOut '^[^-]'
}

# ---- others who have the image open ----

# held KIND-OF-HOLD... -- OPTION...: gow-check while somebody else has the image.
held() {
	gow_hold=''
	while [ "$1" != -- ]; do
		gow_hold="$gow_hold $1"
		shift
	done
	shift
	# $HOLD_PID is known only inside.
	# shellcheck disable=SC2086,SC2016 # words; for the inner shell
	run hold $gow_hold "$sound" sh -c 'echo "$HOLD_PID" >"$0"; exec "$@"' "$tmp/holder" \
		"$GOW_BIN/gow-check" "$@" "$sound"
}

testWriteLocksMakeBusy() {
	for kind in ofd-write posix-write; do
		held -w -l $kind --
		assertStatus 64
		assertOutEmpty
		assertErr '^gow-check: .*/sound\.gow: '
		assertErr "\b$(cat "$tmp/holder")\b"
		held -w -l $kind -b 100:1 --
		assertStatus 64
		held -w -l $kind -- --json
		assertStatus 64
		assertJson '.exit == 64 and (.message | type == "string") and (has("findings") | not)'
	done
	run gow-check "$sound"
	assertStatus 0
}

testReadersDoNotDisturb() {
	for kind in ofd-read posix-read flock-shared; do
		held -r -l $kind -- --json
		assertStatus 0
		assertJson 'has("in_use") | not'
	done
	held -r -- --json
	assertStatus 0
	assertJson 'has("in_use") | not'
}

# Old hypervisors take no lock: only a lease tells of them.
testWriterWithoutLockMakesBusy() {
	need_leases "$work" || return 0
	held -w --
	assertStatus 64
	assertOutEmpty
	assertErr '^gow-check: .*/sound\.gow: '
	assertErr "\b$(cat "$tmp/holder")\b"
	held -w -- --json
	assertStatus 64
	assertJson '.exit == 64'
}

testForceShare() {
	need_leases "$work" || return 0
	held -w -- --force-share --json
	assertStatus 0
	assertJson '.in_use == true and .exit == 0 and .findings == []'
	held -w -l ofd-write -- --force-share --json
	assertStatus 0
	assertJson '.in_use == true'
	# Nobody there: nothing to mark.
	run gow-check --force-share --json "$sound"
	assertStatus 0
	assertJson '.in_use != true'
}

testNoLock() {
	held -w -l ofd-write -- --no-lock
	assertStatus 0
	held -w -l posix-write -- --no-lock --json
	assertStatus 0
}

testWaitForTheEnd() {
	held -t 0.7 -w -l ofd-write -- --wait 20
	assertStatus 0
	need_leases "$work" || return 0
	held -t 0.7 -w -- --wait 20
	assertStatus 0
}

testWaitInVain() {
	started=$(date +%s%N)
	held -w -l ofd-write -- --wait 1
	assertStatus 64
	took=$((($(date +%s%N) - started) / 1000000))
	assertTrue "waited $took ms" "[ $took -ge 900 ] && [ $took -lt 10000 ]"
	started=$(date +%s%N)
	held -w -l ofd-write --
	took=$((($(date +%s%N) - started) / 1000000))
	assertTrue "waited $took ms" "[ $took -lt 900 ]"
}

# A name as long as the room that is made for it ends neither the list nor itself: that there is no
# such file is told, and what follows is looked at.
testLongNamesInAList() {
	long=$(printf '%.0sx' $(seq 9000))
	for length in 4094 4095 4096 8190 8191 8192; do
		name=$(printf '%s' "$long" | head -c "$length")
		{
			echo "$name"
			echo "$corrupt"
		} >"$tmp/list"
		run gow-check --files-from "$tmp/list"
		assertEquals "$length" 12 "$status"
		echo "$corrupt" >"$tmp/list"
		printf '%s' "$name" >>"$tmp/list"
		run gow-check --files-from - <"$tmp/list"
		assertEquals "$length, at the end" 12 "$status"
	done
}

testBusyImageDoesNotStopTheRest() {
	# shellcheck disable=SC2016 # for the inner shell
	run hold -w -l ofd-write "$sound" sh -c 'exec "$@"' sh "$GOW_BIN/gow-check" --json \
		"$sound" "$advisory"
	assertStatus 66
	assertEquals "64 2" "$(json .exit | xargs)"
}

# File systems without leases, or without locks: the first is "cannot tell".
testNoLeases() {
	for error in EINVAL EACCES EOPNOTSUPP; do
		run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_FAIL=lease:1+:$error gow-check "$sound"
		assertStatus 0
		assertErrEmpty
		run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_FAIL=lease:1+:$error gow-check -v "$sound"
		assertStatus 0
		assertErr 'sound\.gow: '
	done
}

testNoLocksOnTheFileSystem() {
	run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_FAIL=lock:1+:EINVAL gow-check "$sound"
	assertStatus 8
	assertErr 'no-lock'
	run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_FAIL=lock:1+:EINVAL gow-check --no-lock "$sound"
	assertStatus 0
}

# While it reads, nobody may write; afterwards, everybody may.
testLocksAndLeaseWhileItReads() {
	need_leases "$work" || return 0
	run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_TRACE="$tmp/trace" gow-check "$sound"
	assertStatus 0
	assertEquals "the lock comes before the first read" lock \
		"$(grep -oE '^(lock|read)' "$tmp/trace" | head -n 1)"
	assertTrue "no lease was asked for" "grep -q '^lease' '$tmp/trace'"
	run hold -w -l lease-write "$sound" true
	assertStatus 0
}

# ---- signals ----

testSignalsStopIt() {
	for signal in 1 2 15; do
		run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_FAIL=read:3:signal=$signal \
			gow-check --data --json "$sound" "$advisory"
		assertEquals "signal $signal" 32 $((status & 32))
	done
}

testUsr1PrintsProgress() {
	run_faulty FAULTIO_FILE="*/sound.gow" FAULTIO_FAIL=read:2:signal=10 gow-check --data "$sound"
	assertStatus 0
	assertErr '"phase":.*"done":'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
