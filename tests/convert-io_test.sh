#!/bin/sh
# gow-convert: pipes and devices, room, signals, failures, locks, verifying, memory.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=convert.sh
. "$TESTS/convert.sh"

suiteSetUp() {
	make_disks
	# AddressSanitizer needs memory of its own.
	sanitized=''
	! grep -q __asan_init "$GOW_BIN/gow-convert" || sanitized=1
}

# ---- pipes ----

# piped COMMAND: a shell's; $1 is gow-convert there, $2 the suite's directory, $3 the test's.
piped() {
	run sh -c "$1" sh "$GOW_BIN/gow-convert" "$work" "$tmp"
}

# shellcheck disable=SC2016 # for the inner shell
testFromAPipe() {
	for version in 1 2 3; do
		piped 'cat "$2/disk.raw" | "$1" - "$3/a.gow'$version'"'
		assertStatus 0
		assertErrEmpty
		assertSameFile "$work/$version.gow" "$tmp/a.gow$version"
	done
	piped 'cat "$2/disk.raw" | "$1" -O raw - "$3/a"'
	assertStatus 0
	assertSameFile "$work/disk.raw" "$tmp/a"
}

# shellcheck disable=SC2016 # for the inner shell
testFromASlowPipe() {
	piped '{ head -c 1; sleep 0.05; head -c 2; sleep 0.05; head -c 70000; sleep 0.05
		head -c 500000; sleep 0.3; cat; } <"$2/disk.raw" | "$1" - "$3/a.gow"'
	assertStatus 0
	# head reads more than it prints from a file that it can seek in: it puts that back.
	assertSameFile "$work/3.gow" "$tmp/a.gow"
}

# shellcheck disable=SC2016 # for the inner shell
testToAPipe() {
	for version in 1 2 3; do
		piped '"$1" -q "$2/'$version'.gow" - | cat'
		assertStatus 0
		assertErrEmpty
		assertSameFile "$work/disk.raw" "$out"
	done
	piped '"$1" -q "$2/disk.raw" - | cat'
	assertSameFile "$work/disk.raw" "$out"
	piped 'cat "$2/disk.raw" | "$1" -q - - | cat'
	assertSameFile "$work/disk.raw" "$out"
}

# What is for people, or for programs, must not get into the disk.
# shellcheck disable=SC2016 # for the inner shell
testWordsBesideAPipe() {
	piped '"$1" "$2/1.gow" -'
	assertStatus 0
	assertSameFile "$work/disk.raw" "$out"
	assertErr '1\.gow -> -: raw'
	piped '"$1" --json "$2/1.gow" -'
	assertSameFile "$work/disk.raw" "$out"
	mv "$err" "$out"
	assertJson '.exit == 0 and .dest == "-" and .dest_format == "raw" and .file_size == 3147264'
	piped '"$1" --json -n "$2/1.gow" -'
	assertStatus 0
	assertOutEmpty
	piped '"$1" --progress=json "$2/1.gow" -'
	assertSameFile "$work/disk.raw" "$out"
}

# shellcheck disable=SC2016 # for the inner shell
testPipesOfOddSizes() {
	for size in 1 7 8 511 1000 65535 65537 524288 524289 600000; do
		head -c $size "$work/disk.raw" >"$tmp/disk.raw"
		convert --force -f raw -O gow1 "$tmp/disk.raw" "$tmp/wanted"
		piped 'cat "$3/disk.raw" | "$1" --force --json -O gow1 - "$3/a"'
		[ $((size % 512)) -eq 0 ] || assertStatus 8
		piped 'cat "$3/disk.raw" | "$1" --force --json -f raw -O gow1 - "$3/a"'
		assertStatus 0
		assertJson ".source_size == $size and .logical_size == $(((size + 511) / 512 * 512))"
		assertSameFile "$tmp/wanted" "$tmp/a"
	done
	piped '"$1" - "$3/b.gow" </dev/null'
	assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
	assertErr 'empty'
	assertDirectory "$tmp" a disk.raw stderr stdout wanted
}

# A file as standard input is read from where it stands.
# shellcheck disable=SC2016 # for the inner shell
testFileAsStandardInput() {
	piped '"$1" - "$3/a.gow1" <"$2/disk.raw"'
	assertStatus 0
	assertSameFile "$work/1.gow" "$tmp/a.gow1"
}

# shellcheck disable=SC2016 # for the inner shell
testImagesThroughPipes() {
	mkdir "$tmp/new"
	for format in "" gow gow3; do
		piped 'cat "$2/3.gow" | "$1" '"${format:+-f $format}"' - "$3/a.gow"'
		assertStatus 0
		assertSameFile "$work/3.gow" "$tmp/a.gow"
		rm "$tmp/a.gow"
	done
	make_image journal-missing-v1 "$tmp/pending.gow"
	piped 'cat "$3/pending.gow" | "$1" - "$3/new/a.gow"'
	assertNotEquals "in the middle of a change" 0 "$status"
	piped 'cat "$2/3.gow" | "$1" -f gow1 - "$3/new/a.gow"'
	assertStatus 16
	assertErr 'standard input: is not of version 1'
	# None is written to one: its header comes last.
	for format in gow gow1 gow3; do
		piped '"$1" -O '$format' "$2/disk.raw" - | cat >"$3/piped"; exit 0'
		assertEquals "bytes" 0 "$(stat -c %s "$tmp/piped")"
		run gow-convert -O $format "$work/disk.raw" -
		assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
		assertOutEmpty
	done
	assertDirectory "$tmp/new"
	# A disk that looks like an image is one if we are told so.
	piped 'cat "$2/1.gow" | "$1" -f raw -O raw - "$3/new/a"'
	assertStatus 0
	assertSameFile "$work/1.gow" "$tmp/new/a"
}

# shellcheck disable=SC2016 # for the inner shell
testReaderGoesAway() {
	piped '{ "$1" -q "$2/3.gow" -; echo $? >"$3/status"; } | head -c 1000 >/dev/null'
	assertEquals 8 "$(cat "$tmp/status")"
	assertErr '^gow-convert: standard output: .*Broken pipe'
	piped '{ "$1" --json "$2/3.gow" - 2>"$3/json"; echo $? >"$3/status"; } | :'
	assertEquals 8 "$(cat "$tmp/status")"
	piped '"$1" "$2/3.gow" - >/dev/full'
	assertStatus 8
	assertErr '^gow-convert: standard output: .*No space left'
	piped '"$1" "$2/3.gow" - >&-'
	assertStatus 8
}

# shellcheck disable=SC2016 # for the inner shell
testVerifyNeedsAFile() {
	piped '"$1" --verify "$2/3.gow" -'
	assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
	assertOutEmpty
	assertErr 'verify'
}

# ---- signals ----

# begin ARG...: gow-convert in the background, with the caller's standard input and
# output; $begun is its number.
begin() {
	# A background job gets /dev/null as its standard input, unless it says otherwise.
	exec 9<&0
	env --default-signal "$GOW_BIN/gow-convert" "$@" <&9 9<&- 8>&- 2>"$err" &
	begun=$!
	exec 9<&-
	gow_command="gow-convert $*"
}

# feed FROM [BYTES [DISK]]: bytes of a disk to descriptor 8; never for ever.
feed() {
	tail -c +"$1" "${3:-$work/disk.raw}" | head -c "${2:-1000000000}" |
		timeout 10 cat >&8
	assertEquals "nobody reads" 0 $?
}

# ended SECONDS: waits for it; $status, and no longer than that.
ended() {
	started=$(date +%s%N)
	wait "$begun"
	status=$?
	took=$((($(date +%s%N) - started) / 1000000))
	assertTrue "it took $took ms" "[ $took -lt $(($1 * 1000)) ]"
}

# until_there PATTERN: until a file of that name is in $tmp/new.
until_there() {
	tries=0
	while [ -z "$(find "$tmp/new" -name "$1" -size +0)" ]; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || { fail "no $1 in $tmp/new"; return; }
		sleep 0.05
	done
}

testSignalWhileThePipeIsEmpty() {
	mkdir "$tmp/new"
	mkfifo "$tmp/fifo"
	exec 8<>"$tmp/fifo"
	for signal in INT TERM HUP; do
		begin - "$tmp/new/a.gow" <"$tmp/fifo" >"$out"
		# In two parts, so that something has been written by then.
		feed 1 2000000
		until_there '.gow-tmp-*'
		kill -0 "$begun"
		assertTrue "it did not wait for more" $?
		kill -$signal "$begun"
		ended 2
		assertStatus 32
		assertOutEmpty
		assertErr '^gow-convert: '
		assertDirectory "$tmp/new"
		# What it did not read is not for the next one.
		exec 8<&-
		exec 8<>"$tmp/fifo"
	done
	exec 8<&-
}

testSignalBeforeTheFirstByte() {
	mkdir "$tmp/new"
	mkfifo "$tmp/fifo"
	exec 8<>"$tmp/fifo"
	begin - "$tmp/new/a.gow" <"$tmp/fifo" >"$out"
	sleep 0.3
	kill -TERM "$begun"
	ended 2
	assertStatus 32
	assertDirectory "$tmp/new"
	exec 8<&-
}

testSignalWhileThePipeIsFull() {
	mkfifo "$tmp/fifo"
	exec 8<>"$tmp/fifo"
	for signal in INT TERM HUP; do
		begin "$work/3.gow" - >"$tmp/fifo"
		sleep 0.3
		kill -0 "$begun"
		assertTrue "it did not wait" $?
		kill -$signal "$begun"
		ended 2
		assertStatus 32
		exec 8<&-
		exec 8<>"$tmp/fifo"
	done
	exec 8<&-
}

testSignalAnywhere() {
	mkdir "$tmp/new"
	for call in read:2 read:4 write:1 write:3 write:100 truncate:1 sync:1; do
		for signal in 1 2 15; do
			run_faulty FAULTIO_FILE="$tmp*" FAULTIO_FAIL=$call:signal=$signal \
				gow-convert --json -O gow1 "$work/3.gow" "$tmp/new/a"
			# Too late for it is no failure.
			if [ "$status" -eq 0 ]; then
				assertSameFile "$work/1.gow" "$tmp/new/a"
				rm -f "$tmp/new/a"
			else
				assertStatus 32
				assertJson '.exit == 32 and .error == "stopped"'
			fi
			assertDirectory "$tmp/new"
		done
	done
	# In the middle of it, it is not too late.
	for signal in 1 2 15; do
		run_faulty FAULTIO_FILE="*/3.gow" FAULTIO_FAIL=read:2:signal=$signal \
			gow-convert "$work/3.gow" "$tmp/new/a.raw"
		assertStatus 32
		assertDirectory "$tmp/new"
	done
}

testIgnoredSignalsStayIgnored() {
	mkfifo "$tmp/fifo"
	exec 8<>"$tmp/fifo"
	# shellcheck disable=SC2016 # for the inner shell
	sh -c 'trap "" HUP; exec "$@"' sh "$GOW_BIN/gow-convert" -q - "$tmp/a.gow" \
		<"$tmp/fifo" 8>&- 2>"$err" &
	begun=$!
	feed 1
	kill -HUP $begun
	sleep 0.3
	exec 8>&-
	ended 20
	assertStatus 0
	assertSameFile "$work/3.gow" "$tmp/a.gow"
}

# An old file that was to be replaced is still there, whatever happens.
testSignalLeavesTheOldFile() {
	mkdir "$tmp/new"
	echo precious >"$tmp/new/a.gow"
	state=$(stat -c '%i %s %Y' "$tmp/new/a.gow")
	for call in write:1 write:3 sync:1; do
		run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=$call:signal=15,rename:1:EIO \
			gow-convert --force "$work/disk.raw" "$tmp/new/a.gow"
		assertNotEquals 0 "$status"
		assertEquals "$state" "$(stat -c '%i %s %Y' "$tmp/new/a.gow")"
		assertEquals precious "$(cat "$tmp/new/a.gow")"
		assertDirectory "$tmp/new" a.gow
	done
}

# ---- failures ----

# The name is there when all of it is durable, and not before.
testOrderOfWrites() {
	mkdir "$tmp/new"
	for options in "-O gow3" "-O raw" "-O gow1 --verify"; do
		rm -f "$tmp/trace"
		# shellcheck disable=SC2086 # words
		run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_TRACE="$tmp/trace" \
			gow-convert --force $options "$work/disk.raw" "$tmp/new/a"
		assertStatus 0
		assertEquals "sync rename sync" "$(awk '$1 == "sync" || $1 == "rename" { print $1 }' \
			"$tmp/trace" | uniq | xargs)"
		assertEquals "nothing is written after the first sync" "" \
			"$(awk '$1 == "sync" { synced = 1 } synced && /^(write|truncate)/' "$tmp/trace")"
		assertEquals "the last sync is the directory's" "$tmp/new" \
			"$(awk '$1 == "sync" { at = $3 } END { print at }' "$tmp/trace")"
	done
}

testFailures() {
	mkdir "$tmp/new"
	echo precious >"$tmp/new/old.gow"
	state=$(stat -c '%i %s %Y' "$tmp/new/old.gow")
	for fault in write:1:ENOSPC write:2:EIO write:20:EDQUOT write:1+:ENOSPC sync:1:EIO \
		truncate:1:EFBIG rename:1:EACCES close:2:EIO; do
		for dest in new.gow old.gow; do
			run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=$fault \
				gow-convert --force "$work/disk.raw" "$tmp/new/$dest"
			# The second file to be closed is the one that was replaced, by then.
			[ "$fault $status" != "close:2:EIO 0" ] || continue
			assertStatus 8
			assertErr "^gow-convert: $tmp/new/$dest: "
			assertEquals "$fault" "$state" "$(stat -c '%i %s %Y' "$tmp/new/old.gow")"
			assertDirectory "$tmp/new" old.gow
		done
	done
}

testKilled() {
	mkdir "$tmp/new"
	for call in write:1 write:3 write:100 sync:1 rename:1; do
		echo precious >"$tmp/new/a.gow"
		run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=$call:kill \
			gow-convert --force "$work/disk.raw" "$tmp/new/a.gow"
		assertStatus 137
		assertEquals precious "$(cat "$tmp/new/a.gow")"
		# What is left says by its name what it is.
		find "$tmp/new" -name '.gow-tmp-*' -delete
		assertDirectory "$tmp/new" a.gow
	done
}

testUnreadableSource() {
	mkdir "$tmp/new"
	for source in disk.raw 3.gow; do
		for at in 0 200000 3146000 33554944 34406400; do
			# No place in the disk, or none in the blocks that it has.
			[ "$source" != disk.raw ] || [ $at -lt 3147264 ] || continue
			run_faulty FAULTIO_FILE="*/$source" FAULTIO_READ="$at-$((at + 1))" \
				gow-convert "$work/$source" "$tmp/new/a.gow"
			assertStatus 8
			assertErr "^gow-convert: $work/$source: .*Input/output error"
			assertDirectory "$tmp/new"
		done
	done
	# The place is named: of the guest's disk, and in the file.
	run_faulty FAULTIO_FILE="*/1.gow" FAULTIO_READ="$((4194324 + 5 * 65536))-$((4194324 + 6 * 65536))" \
		gow-convert "$work/1.gow" "$tmp/new/a.raw"
	assertStatus 8
	assertErr "\b40\b"
	assertDirectory "$tmp/new"
}

# Who cuts it has it open for writing, which is warned of; but zeros in place of what is
# gone are no copy.
testSourceThatShrinks() {
	mkdir "$tmp/new"
	for source in disk.raw 1.gow 3.gow; do
		case $source in
		disk.raw) lengths="0 65536 70000 1000000 3147000" reads="2 3" ;;
		1.gow) lengths="4194324 4300000 5046292" reads="4 5" ;;
		3.gow) lengths="33554944 34000000 34406912" reads="6 7" ;;
		esac
		for length in $lengths; do
			for n in $reads; do
				cp "$work/$source" "$tmp/source"
				run_faulty FAULTIO_FILE="*/source" FAULTIO_CUT="$tmp/source" \
					FAULTIO_FAIL=read:"$n":cut="$length" \
					gow-convert "$tmp/source" "$tmp/new/a.raw"
				assertEquals "the file was not cut" "$length" "$(stat -c %s "$tmp/source")"
				assertStatus 8
				assertErr "^gow-convert: $tmp/source: .*shorter"
				assertDirectory "$tmp/new"
				rm -f "$tmp/new"/*
			done
		done
	done
}

# ---- room ----

testNoRoomIsFoundBefore() {
	need_root || return 0
	mount_tmpfs 8M
	recipe large "version 1" "size 100M" "map 0-159 0" "data 0-159 pattern 1"
	make_raw "$recipe" "$tmp/large.raw"
	make_image "$recipe" "$tmp/large.gow"
	before=$(stat -c '%y %z' "$mnt")
	for options in "-O gow1 large.raw" "-O raw large.gow" "-O gow2 large.gow" \
		"-n -O gow1 large.raw" "--json -O raw large.gow"; do
		# shellcheck disable=SC2086 # words
		run gow-convert ${options% *} "$tmp/${options##* }" "$mnt/a"
		assertStatus 8
		assertErr "^gow-convert: $mnt/a: needs [0-9]+ bytes"
		assertEquals "" "$(ls -A "$mnt")"
		# Not even a temporary file, for a moment.
		assertEquals "$before" "$(stat -c '%y %z' "$mnt")"
	done
	assertJson '.error == "no-space"'
}

# What only seems to need room.
testZerosNeedNoRoom() {
	need_root || return 0
	mount_tmpfs 8M
	recipe zeros "version 1" "size 50M" "map 0-299 0" "data 0-299 zero" 'data 7 text "seven"'
	make_image "$recipe" "$tmp/zeros.gow"
	make_raw "$recipe" "$tmp/small.raw"
	cp --sparse=never "$tmp/small.raw" "$tmp/full.raw"
	recipe wanted "version 1" "size 50M" "map 7 0" 'data 0 text "seven"'
	make_image "$recipe" "$tmp/wanted.gow"
	for source in zeros.gow full.raw; do
		run gow-convert -O gow1 "$tmp/$source" "$mnt/a"
		assertStatus 0
		assertSameFile "$tmp/wanted.gow" "$mnt/a"
		rm -f "$mnt/a"
		run gow-convert -O raw "$tmp/$source" "$mnt/a"
		assertStatus 0
		assertSameFile "$tmp/small.raw" "$mnt/a"
		rm -f "$mnt/a"
	done
}

# A pipe does not tell before.
testRoomThatEndsInTheMiddle() {
	need_root || return 0
	mount_tmpfs 8M
	recipe large "version 1" "size 100M" "map 0-159 0" "data 0-159 pattern 1"
	make_raw "$recipe" "$tmp/large.raw"
	echo precious >"$mnt/old.gow"
	for dest in new.gow old.gow; do
		for format in gow1 raw; do
			# shellcheck disable=SC2016 # for the inner shell
			run sh -c 'cat "$1" | { "$2" --force -O "$3" - "$4"; echo $? >"$5"; }' sh \
				"$tmp/large.raw" "$GOW_BIN/gow-convert" $format "$mnt/$dest" "$tmp/status"
			assertEquals 8 "$(cat "$tmp/status")"
			assertErr "^gow-convert: $mnt/$dest: .*No space left on device"
			assertEquals old.gow "$(ls -A "$mnt")"
			assertEquals precious "$(cat "$mnt/old.gow")"
		done
	done
}

# ---- block devices ----

# device SIZE: $loop, and every byte of it is 0xff; what it lies in is $tmp/device.
device() {
	head -c "$1" /dev/zero | tr '\0' '\377' >"$tmp/device"
	attach_loop "$tmp/device"
}

# assertDevice RAW: the device holds that disk, and ones behind it.
assertDevice() {
	blockdev --flushbufs "$loop"
	size=$(stat -c %s "$1")
	cmp -n "$size" "$1" "$tmp/device" >"$work/cmp" 2>&1
	assertTrue "the disk: $(cat "$work/cmp")" $?
	rest=$(tail -c +$((size + 1)) "$tmp/device" | tr -d '\377' | wc -c)
	assertEquals "bytes changed behind the disk" 0 "$rest"
}

testToADevice() {
	need_root || return 0
	device 5M || return 0
	for source in disk.raw 1.gow 3.gow; do
		tr '\0' '\377' </dev/zero 2>/dev/null | dd of="$loop" bs=1M count=5 iflag=fullblock \
			conv=fsync status=none
		run gow-convert --json --force "$work/$source" "$loop"
		assertStatus 0
		assertJson '.dest_format == "raw" and .file_size == 3147264'
		assertDevice "$work/disk.raw"
	done
	run gow-convert --force --verify "$work/3.gow" "$loop"
	assertStatus 0
	assertOut 'verified'
	run gow-convert -q --force - "$loop" <"$work/disk.raw"
	assertStatus 0
	assertDevice "$work/disk.raw"
}

# Zeros are made, whatever stood there: a disk of nothing else, and one with an odd end.
testZerosOnADevice() {
	need_root || return 0
	device 3M || return 0
	for size in 2M 2097251 3M; do
		tr '\0' '\377' </dev/zero 2>/dev/null | dd of="$loop" bs=1M count=3 iflag=fullblock \
			conv=fsync status=none
		rm -f "$tmp/zeros.raw"
		truncate -s $size "$tmp/zeros.raw"
		run gow-convert --force -f raw "$tmp/zeros.raw" "$loop"
		assertStatus 0
		assertDevice "$tmp/zeros.raw"
	done
}

testDeviceOfTheSameSize() {
	need_root || return 0
	device 3147264 || return 0
	run gow-convert --force "$work/2.gow" "$loop"
	assertStatus 0
	assertDevice "$work/disk.raw"
}

testDeviceThatIsTooSmall() {
	need_root || return 0
	device 3M || return 0
	for source in disk.raw 3.gow; do
		run gow-convert --force "$work/$source" "$loop"
		assertStatus 8
		assertErr "^gow-convert: $loop: .*nothing was written"
		run gow-convert -n --force "$work/$source" "$loop"
		assertStatus 8
	done
	: >"$tmp/empty"
	assertDevice "$tmp/empty"
	# A pipe tells it when it is too late.
	# shellcheck disable=SC2016 # for the inner shell
	piped 'cat "$2/disk.raw" | "$1" --force - '"$loop"
	assertStatus 8
	assertErr 'No space left'
}

testDeviceNeedsForce() {
	need_root || return 0
	device 5M || return 0
	: >"$tmp/empty"
	run gow-convert "$work/disk.raw" "$loop"
	assertStatus 8
	assertErr "^gow-convert: $loop: .*--force"
	for format in gow gow1 gow3; do
		run gow-convert --force -O $format "$work/disk.raw" "$loop"
		assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
		assertErr 'block device'
	done
	run gow-convert --force -n "$work/disk.raw" "$loop"
	assertStatus 0
	assertDevice "$tmp/empty"
	# Through a link as well.
	ln -s "$loop" "$tmp/link.raw"
	run gow-convert "$work/disk.raw" "$tmp/link.raw"
	assertStatus 8
	run gow-convert --force "$work/disk.raw" "$tmp/link.raw"
	assertStatus 0
	assertTrue "the link is gone" "[ -L '$tmp/link.raw' ]"
	assertDevice "$work/disk.raw"
}

# One that was made so can be opened for writing, and refuses what is written.
testReadOnlyDevice() {
	need_root || return 0
	truncate -s 8M "$tmp/device"
	attach_loop "$tmp/device" || return 0
	blockdev --setro "$loop"
	at_end "blockdev --setrw '$loop'"
	for option in -n -q; do
		run gow-convert --force $option "$work/disk.raw" "$loop"
		assertStatus 8
		assertErr "^gow-convert: $loop: (is a read-only device|cannot open): "
	done
}

testMountedDevice() {
	need_root || return 0
	need_tool mkfs.ext4 || return 0
	truncate -s 8M "$tmp/fs.raw"
	mkfs.ext4 -q -F "$tmp/fs.raw"
	attach_loop "$tmp/fs.raw" || return 0
	gow_mount -r "$loop"
	sum=$(sha256sum <"$tmp/fs.raw")
	run gow-convert --force "$work/disk.raw" "$loop"
	assertStatus 64
	assertErr "^gow-convert: $loop: "
	assertEquals "$sum" "$(sha256sum <"$tmp/fs.raw")"
	# Who reads it waits for as long as is said, and then says so.
	begun=$(date +%s%N)
	run gow-convert -f raw --wait 0.5 --json "$loop" "$tmp/out.raw"
	assertStatus 0
	assertTrue 'not waited for' "[ $(($(date +%s%N) - begun)) -gt 450000000 ]"
	assertErr 'is mounted at .*may be changing'
	assertJson .in_use
}

testFromADevice() {
	need_root || return 0
	attach_loop "$work/disk.raw" --read-only || return 0
	mkdir "$tmp/new"
	for version in 1 3; do
		run gow-convert "$loop" "$tmp/new/a.gow$version"
		assertStatus 0
		assertSameFile "$work/$version.gow" "$tmp/new/a.gow$version"
		# Whoever may read the device is not for us to tell.
		assertEquals 600 "$(stat -c %a "$tmp/new/a.gow$version")"
	done
	run gow-convert "$loop" -
	assertStatus 0
	assertSameFile "$work/disk.raw" "$out"
}

# Images lie in files: on a device it is a disk that only begins like one.
testImageOnADevice() {
	need_root || return 0
	# Whole sectors, or the end is not there.
	head -c 5000192 "$work/1.gow" >"$tmp/1.gow"
	attach_loop "$tmp/1.gow" --read-only || return 0
	run gow-convert "$loop" "$tmp/a.gow"
	assertStatus 8
	assertErr "^gow-convert: $loop: .*-f raw"
	run gow-convert -f gow1 "$loop" "$tmp/a.gow"
	assertStatus 8
	assertFalse "made" "[ -e '$tmp/a.gow' ]"
	run gow-convert -q -f raw "$loop" -
	assertStatus 0
	assertSameFile "$tmp/1.gow" "$out"
}

testDeviceOntoItself() {
	need_root || return 0
	device 1M || return 0
	run gow-convert --force "$loop" "$loop"
	assertNotEquals 0 "$status"
	: >"$tmp/empty"
	assertDevice "$tmp/empty"
}

# A device that is the source by another name: nothing of it is overwritten.
testDeviceMadeOfTheSource() {
	need_root || return 0
	need_tool addpart || return 0
	cp "$work/3.gow" "$tmp/a.gow"
	ln "$tmp/a.gow" "$tmp/hard.gow"
	attach_loop "$tmp/a.gow"
	under=$loop
	attach_loop "$under"
	mapped=''
	# Not every kernel has mapped devices.
	if dmsetup create "gow-test-$$" --table "0 $(blockdev --getsz "$under") linear $under 0" 2>"$err"; then
		at_end "dmsetup remove gow-test-$$"
		mapped=/dev/mapper/gow-test-$$
	fi
	for dest in "$under" "$loop" $mapped; do
		for source in "$tmp/a.gow" "$tmp/hard.gow"; do
			run gow-convert --force "$source" "$dest"
			assertStatus 16
			assertErr "$dest: is made of the source"
		done
	done
	run gow-convert --force -f raw "$loop" "$under"
	assertStatus 16
	assertErr "$under: is made of the source, or the source of it"
	assertSameFile "$work/3.gow" "$tmp/a.gow"
	# A partition and its disk; but two partitions are two disks.
	truncate -s 20M "$tmp/disk"
	attach_loop "$tmp/disk"
	for part in 1 2; do
		addpart "$loop" $part $((10240 * part)) 8192 2>"$err"
		number=$(cat "/sys/class/block/${loop##*/}p$part/dev" 2>/dev/null) ||
			{ skip 'no partitions on loops' && return; }
		mknod "$tmp/p$part" b "${number%:*}" "${number#*:}"
		head -c 1 "$tmp/p$part" >"$out" 2>"$err" || { skip 'no device nodes here' && return; }
	done
	run gow-convert --force -f raw "$tmp/p1" "$loop"
	assertStatus 16
	assertErr "$loop: is made of the source"
	run gow-convert --force -f raw "$loop" "$tmp/p1"
	assertStatus 16
	run gow-convert --force -f raw "$tmp/p1" "$tmp/p2"
	assertStatus 0
}

# >> and <> leave a file what it was, and then it is both.
testStandardOutputIsTheSource() {
	cp "$work/3.gow" "$tmp/a.gow"
	run gow-convert "$tmp/a.gow" "$tmp/a.tar"
	for file in a.gow a.tar; do
		cp "$tmp/$file" "$tmp/original"
		for options in '' '-O tar' '--metadata-only'; do
			[ "$file $options" != 'a.tar --metadata-only' ] || continue
			# shellcheck disable=SC2086,SC2094 # words; that is what is tried
			timeout 20 "$GOW_BIN/gow-convert" $options "$tmp/$file" - >>"$tmp/$file" 2>"$err"
			assertEquals "$file $options: >>" 16 $?
			# shellcheck disable=SC2086,SC2094
			timeout 20 "$GOW_BIN/gow-convert" $options "$tmp/$file" - 1<>"$tmp/$file" 2>"$err"
			assertEquals "$file $options: <>" 16 $?
			grep -q 'same file' "$err"
			assertTrue "$(cat "$err")" $?
			assertSameFile "$tmp/original" "$tmp/$file"
		done
	done
	# shellcheck disable=SC2094
	timeout 20 "$GOW_BIN/gow-convert" -f raw - - <"$tmp/a.gow" 1<>"$tmp/a.gow" 2>"$err"
	assertEquals 'standard input' 16 $?
	assertSameFile "$work/3.gow" "$tmp/a.gow"
}

testDeviceThatFails() {
	need_root || return 0
	device 5M || return 0
	for fault in write:1:EIO write:2:ENOSPC sync:1:EIO; do
		run_faulty FAULTIO_FILE="$loop" FAULTIO_FAIL=$fault \
			gow-convert --force "$work/disk.raw" "$loop"
		assertStatus 8
		assertErr "^gow-convert: $loop: "
	done
	run_faulty FAULTIO_FILE="$loop" FAULTIO_FAIL=write:2:signal=15 \
		gow-convert --force "$work/3.gow" "$loop"
	assertStatus 32
}

# ---- verifying ----

# The digest of a disk whose block 0 begins with "guest", made by xxhsum from the format's
# description.
testDigest() {
	need_tool xxhsum || return 0
	printf guest >"$tmp/disk.raw"
	truncate -s 65536 "$tmp/disk.raw"
	block=$(xxhsum -q -H2 "$tmp/disk.raw" 2>/dev/null | awk '{ print $1 }')
	truncate -s 1M "$tmp/disk.raw"
	# As bytes: the block's index, its digest, the disk's size.
	{
		printf '\0\0\0\0\0\0\0\0'
		echo "$block" | sed 's/../&\n/g' | while read -r byte; do
			# shellcheck disable=SC2059 # that is how a byte is made
			[ -z "$byte" ] || printf "\\$(printf %o "0x$byte")"
		done
		printf '\0\0\020\0\0\0\0\0'
	} >"$tmp/sequence"
	digest=$(xxhsum -q -H2 "$tmp/sequence" 2>/dev/null | awk '{ print $1 }')
	for dest in a.raw a.gow1 a.gow2 a.gow3; do
		run gow-convert --json --verify "$tmp/disk.raw" "$tmp/$dest"
		assertStatus 0
		assertEquals "$digest" "$(json .digest)"
	done
	run gow-convert --verify "$tmp/a.gow1" "$tmp/b.raw"
	assertOut "verified.*$digest"
}

testVerify() {
	for source in disk.raw 1.gow 2.gow 3.gow; do
		for format in raw gow1 gow2 gow3; do
			run gow-convert --json --verify --force -O $format "$work/$source" "$tmp/a"
			assertStatus 0
			json .digest >>"$tmp/digests"
		done
	done
	assertEquals "one digest" 1 "$(sort -u "$tmp/digests" | wc -l)"
	assertTrue "$(head -n 1 "$tmp/digests")" "grep -qxE '[0-9a-f]{32}' '$tmp/digests'"
	run gow-convert --json --force -O raw "$work/3.gow" "$tmp/a"
	assertJson 'has("digest") | not'
}

# What it is for: it finds what was written wrongly, and nothing of it is left.
testVerifyFindsWhatIsWrong() {
	mkdir "$tmp/new"
	for format in raw gow1 gow3; do
		for n in 1 2 3; do
			run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=write:$n:flip \
				gow-convert --verify -O $format "$work/disk.raw" "$tmp/new/a"
			assertStatus 8
			assertErr "^gow-convert: $tmp/new/a: .*digest"
			assertDirectory "$tmp/new"
		done
	done
	run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=write:1:flip \
		gow-convert --json --verify "$work/disk.raw" "$tmp/new/a.gow"
	assertStatus 8
	assertJson '.error == "mismatch"'
	# And without it nobody would know.
	run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=write:1:flip \
		gow-convert -O raw "$work/disk.raw" "$tmp/new/a"
	assertStatus 0
	gow_same "$work/disk.raw" "$tmp/new/a"
	assertFalse "nothing was wrong" $?
}

testVerifyADevice() {
	need_root || return 0
	device 5M || return 0
	run_faulty FAULTIO_FILE="$loop" FAULTIO_FAIL=write:2:flip \
		gow-convert --force --verify "$work/3.gow" "$loop"
	assertStatus 8
	assertErr "^gow-convert: $loop: .*digest"
}

# ---- who else is at it ----

testSourceLockedForWriting() {
	mkdir "$tmp/new"
	for kind in ofd-write posix-write; do
		for source in disk.raw 3.gow; do
			run hold -w -l $kind "$work/$source" "$GOW_BIN/gow-convert" "$work/$source" \
				"$tmp/new/a.gow"
			assertStatus 64
			assertErr "^gow-convert: $work/$source: "
			assertDirectory "$tmp/new"
		done
	done
	run hold -w -l ofd-write "$work/3.gow" "$GOW_BIN/gow-convert" --no-lock "$work/3.gow" \
		"$tmp/new/a.raw"
	assertStatus 0
	run hold -t 0.5 -w -l ofd-write "$work/3.gow" "$GOW_BIN/gow-convert" --wait 20 "$work/3.gow" \
		"$tmp/new/b.raw"
	assertStatus 0
}

testSourceOpenForWriting() {
	need_leases "$work" || return 0
	run hold -w "$work/3.gow" "$GOW_BIN/gow-convert" "$work/3.gow" "$tmp/a.raw"
	assertStatus 0
	assertErr "^gow-convert: $work/3\.gow: .*open for writing"
	assertSameFile "$work/disk.raw" "$tmp/a.raw"
	run hold -r "$work/3.gow" "$GOW_BIN/gow-convert" "$work/3.gow" "$tmp/b.raw"
	assertStatus 0
	assertErrEmpty
}

# Who wants to write must not wait for us longer than to our next safe point.
testSourceOpenedMeanwhile() {
	need_leases "$tmp" || return 0
	recipe large "version 1" "size 64M" "map 0-1023 0" "data 0-1023 pattern 1"
	make_image "$recipe" "$tmp/large.gow"
	make_raw "$recipe" "$tmp/large.raw"
	mkfifo "$tmp/fifo"
	{
		head -c 1000000
		"$GOW_TESTBIN/hold" -w "$tmp/large.gow" sh -c 'date +%s%N' >"$tmp/opened" &
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			head -c 1000000
			sleep 0.05
		done
		date +%s%N >"$tmp/eleven"
		cat
		wait
	} <"$tmp/fifo" >"$tmp/copy" &
	reader=$!
	begin "$tmp/large.gow" - >"$tmp/fifo"
	ended 20
	wait $reader
	assertStatus 0
	assertErr "^gow-convert: $tmp/large\.gow: .*writing"
	assertSameFile "$tmp/large.raw" "$tmp/copy"
	# Long before the end of the copy.
	assertTrue "the other process had to wait" "[ $(cat "$tmp/opened") -lt $(cat "$tmp/eleven") ]"
}

testDestinationInUse() {
	need_leases "$tmp" || return 0
	mkdir "$tmp/new"
	echo precious >"$tmp/new/a.gow"
	state_of "$tmp/new/a.gow"
	for held in -r -w "-r -l ofd-read" "-w -l ofd-write" "-w -l posix-write"; do
		# shellcheck disable=SC2086 # words
		run hold $held "$tmp/new/a.gow" "$GOW_BIN/gow-convert" --force "$work/disk.raw" \
			"$tmp/new/a.gow"
		assertStatus 64
		assertErr "^gow-convert: $tmp/new/a\.gow: "
		assertUnchanged "$tmp/new/a.gow"
		assertDirectory "$tmp/new" a.gow
	done
	run hold -t 0.5 -r "$tmp/new/a.gow" "$GOW_BIN/gow-convert" --wait 20 --force \
		"$work/disk.raw" "$tmp/new/a.gow"
	assertStatus 0
	assertSameFile "$work/3.gow" "$tmp/new/a.gow"
}

# Who opens the file that is to be replaced has it, and soon.
testDestinationOpenedMeanwhile() {
	need_leases "$tmp" || return 0
	mkdir "$tmp/new"
	echo precious >"$tmp/new/a.gow"
	recipe large "version 1" "size 64M" "map 0-1023 0" "data 0-1023 pattern 1"
	make_raw "$recipe" "$tmp/large.raw"
	mkfifo "$tmp/fifo"
	exec 8<>"$tmp/fifo"
	begin --force - "$tmp/new/a.gow" <"$tmp/fifo" >"$out"
	feed 1 1000000 "$tmp/large.raw"
	until_there '.gow-tmp-*'
	started=$(date +%s%N)
	# Opens, and goes again.
	"$GOW_TESTBIN/hold" -r "$tmp/new/a.gow" true 8>&- &
	opener=$!
	sleep 0.3
	# It goes on, since the source does: to its next safe point.
	tail -c +1000001 "$tmp/large.raw" >&8 2>/dev/null &
	feeder=$!
	wait $opener
	took=$((($(date +%s%N) - started) / 1000000))
	assertTrue "who opened it had to wait $took ms" "[ $took -lt 5000 ]"
	kill $feeder 2>/dev/null
	wait $feeder
	exec 8>&-
	ended 10
	assertStatus 64
	assertErr "^gow-convert: $tmp/new/a\.gow: "
	assertEquals precious "$(cat "$tmp/new/a.gow")"
	assertDirectory "$tmp/new" a.gow
}

# Two at a time: one name, one winner.
testTwoAtATime() {
	mkdir "$tmp/new"
	mkfifo "$tmp/fifo"
	exec 8<>"$tmp/fifo"
	begin - "$tmp/new/a.gow" <"$tmp/fifo" >"$out"
	feed 1 1000000
	until_there '.gow-tmp-*'
	"$GOW_BIN/gow-convert" -q -O gow1 "$work/disk.raw" "$tmp/new/a.gow"
	assertEquals 0 $?
	feed 1000001
	exec 8>&-
	ended 10
	assertStatus 8
	assertErr "^gow-convert: $tmp/new/a\.gow: "
	assertSameFile "$work/1.gow" "$tmp/new/a.gow"
	assertDirectory "$tmp/new" a.gow
}

# ---- memory ----

# bounded ARG...: gow-convert in no more than 64 MiB.
bounded() {
	run maxrss "$tmp/rss" "$GOW_BIN/gow-convert" "$@"
	assertStatus 0
	[ -n "$sanitized" ] || [ "$(cat "$tmp/rss")" -le 65536 ]
	gow_assert $? "$(cat "$tmp/rss") KiB of memory for: $*"
}

testMemory() {
	recipe large "version 3" "size 16G" "map 0-1599 0 step 1" "map 200000-200099 1600 shuffle 1" \
		"data 0-1699 pattern 1"
	make_raw "$recipe" "$tmp/large.raw"
	bounded "$tmp/large.raw" "$tmp/a.gow"
	bounded --verify "$tmp/a.gow" "$tmp/b.gow"
	bounded "$tmp/a.gow" "$tmp/a.gow1"
	bounded "$tmp/a.gow1" "$tmp/b.raw"
	bounded --salvage "$tmp/a.gow" "$tmp/c.gow"
}

testMemoryAtTheLimit() {
	# Version numbers everywhere, and a map with no order.
	recipe limit "version 3" "size limit" "map 0-entries-1 0 shuffle 3" "fill ver 5" \
		"blocks entries" "data 7 pattern 1" "data 4194303 pattern 1"
	make_image "$recipe" "$tmp/limit.gow"
	bounded "$tmp/limit.gow" "$tmp/a.gow"
	bounded --salvage "$tmp/limit.gow" "$tmp/a.raw"
	bounded "$tmp/a.raw" "$tmp/b.gow"
	bounded "$tmp/b.gow" "$tmp/c.gow2"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
