#!/bin/sh
# gow-create: the bytes of a new image, and that its name appears only when it is whole.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# Where new images are made, anew for every test.
new_directory() {
	mkdir "$tmp/new"
	image=$tmp/new/image.gow
}

# empty VERSION SIZE: an empty image made from the format's description, $empty.
empty() {
	empty=$tmp/empty-$1
	printf 'version %s\nsize %s\n' "$1" "$2" >"$tmp/recipe"
	make_image "$tmp/recipe" "$empty"
}

# Nothing lies in the directory, nor ever did since `nothing_yet`.
nothing_yet() {
	state_of "$tmp/new"
}

assertNothing() {
	assertEquals "in the directory" "" "$(ls -A "$tmp/new")"
	assertUnchanged "$tmp/new"
}

# no TEMPORARY is left beside what else is there.
assertOnly() {
	assertEquals "in the directory" "$*" "$(find "$tmp/new" -mindepth 1 -printf '%f\n' | sort | xargs)"
}

# The guest's size, as the file says it.
size_field() {
	od -An -t u8 --endian=little -j 8 -N 8 "$1" | tr -d ' '
}

# ---- bytes ----

testBytes() {
	new_directory
	for version in 1 2 3; do
		for size in 512 65536 10M 10M+512 limit-512 limit; do
			empty $version $size
			run gow-create --image-version $version "$(size_field "$empty")" "$image"
			assertStatus 0
			assertErrEmpty
			assertSameFile "$empty" "$image"
			rm "$image"
		done
	done
}

testVersion3UnlessTold() {
	new_directory
	empty 3 10G
	run gow-create 10G "$image"
	assertStatus 0
	assertSameFile "$empty" "$image"
	assertOut 'image\.gow: made: GOW 3\b'
	assertOnly image.gow
}

# What is all zeros takes no room, and the map of a large disk none that a small's does not.
testRoom() {
	new_directory
	for version in 1:4 2:16 3:16; do
		run gow-create --image-version "${version%:*}" 64G "$image"
		assertStatus 0
		taken=$(($(stat -c %b "$image") * $(stat -c %B "$image")))
		assertTrue "$taken bytes taken" "[ $taken -le $(((${version#*:} << 20) + 131072)) ]"
		rm "$image"
	done
}

testMemory() {
	new_directory
	! grep -q __asan_init "$GOW_BIN/gow-create" ||
		{ skip "AddressSanitizer needs memory of its own"; return; }
	run maxrss "$tmp/rss" "$GOW_BIN/gow-create" 256G "$image"
	assertStatus 0
	assertTrue "$(cat "$tmp/rss") KiB" "[ $(cat "$tmp/rss") -le 65536 ]"
}

testSoundForGowCheck() {
	new_directory
	for version in 1 2 3; do
		run gow-create --image-version $version 1000000K "$image"
		assertStatus 0
		run gow-check --json --data "$image"
		assertStatus 0
		assertJson ".version == $version and .logical_size == 1024000000 and .findings == []"
		rm "$image"
	done
}

# ---- sizes ----

testSuffixes() {
	new_directory
	for size in 512:512 1024:1024 1K:1024 64k:65536 3M:3145728 1m:1048576 2G:2147483648 \
		64g:68719476736 1KiB:1024 5MiB:5242880 1GiB:1073741824 0512:512; do
		run gow-create --image-version 1 "${size%:*}" "$image"
		assertStatus 0
		assertEquals "$size" "${size#*:}" "$(size_field "$image")"
		rm -f "$image"
	done
}

# refused VERSION SIZE: a wrong size is wrong usage, and makes nothing.
refused() {
	run gow-create --image-version "$1" -- "$2" "$image"
	assertStatus 16
	assertOutEmpty
	assertErr '^gow-create: '
	assertNothing
	run gow-create -n --image-version "$1" -- "$2" "$image"
	assertStatus 16
	run gow-create --json --image-version "$1" -- "$2" "$image"
	assertStatus 16
	assertNothing
}

testLimits() {
	new_directory
	nothing_yet
	for version in 1:36 2:38 3:38; do
		limit=$((1 << ${version#*:}))
		for size in 0 1 511 513 $((limit - 1)) $((limit + 1)) $((limit + 512)) 1T 16777215T \
			9223372036854775808 18446744073709551104 18446744073709551615; do
			refused "${version%:*}" $size
		done
	done
	refused 1 65G
	assertErr '64 GiB'
	refused 3 257G
	assertErr '256 GiB'
}

testNoSizes() {
	new_directory
	nothing_yet
	for size in "" x K 10X 10MM 10MB 1.5G 1,5G +512 -512 " 512" "512 " 0x200 1e3 16777216T \
		18446744073709551616 99999999999999999999999 ١٠٢٤; do
		refused 3 "$size"
	done
}

testVersions() {
	new_directory
	nothing_yet
	for version in 0 4 -1 01x "" x 4294967297; do
		run gow-create --image-version="$version" 10M "$image"
		assertStatus 16
		assertOutEmpty
		assertErr 'image-version'
		assertNothing
	done
}

# ---- what stands there already ----

testExisting() {
	new_directory
	echo precious >"$image"
	state_of "$image"
	run gow-create 10M "$image"
	assertStatus 8
	assertOutEmpty
	assertErr "^gow-create: $image: .*--force"
	assertUnchanged "$image"
	run gow-create --json 10M "$image"
	assertStatus 8
	assertJson '.exit == 8 and .error == "exists" and (.message | test("--force"))'
	run gow-create -n 10M "$image"
	assertStatus 8
	assertUnchanged "$image"
	assertOnly image.gow
}

testForce() {
	new_directory
	empty 3 10M
	echo precious >"$image"
	before=$(stat -c %i "$image")
	run gow-create --force 10M "$image"
	assertStatus 0
	assertSameFile "$empty" "$image"
	assertNotEquals "another file, never the old one overwritten" "$before" "$(stat -c %i "$image")"
	assertOnly image.gow
	# There is nothing to replace: as good.
	run gow-create --force 10M "$tmp/new/other.gow"
	assertStatus 0
	assertSameFile "$empty" "$tmp/new/other.gow"
}

testForceReplacesFilesOnly() {
	new_directory
	mkdir "$tmp/new/directory"
	mkfifo "$tmp/new/fifo"
	ln -s /dev/null "$tmp/new/null"
	for name in directory fifo null; do
		before=$(stat -c '%F %i' "$tmp/new/$name")
		for force in "" --force; do
			run gow-create ${force:+"$force"} 10M "$tmp/new/$name"
			assertStatus 8
			assertOutEmpty
			assertErr "$name: "
			assertEquals "$before" "$(stat -c '%F %i' "$tmp/new/$name")"
		done
	done
	assertOnly directory fifo null
}

testLinks() {
	new_directory
	echo precious >"$tmp/target"
	ln -s ../target "$image"
	ln -s nowhere "$tmp/new/dangling"
	state_of "$tmp/target"
	for name in image.gow dangling; do
		run gow-create 10M "$tmp/new/$name"
		assertStatus 8
		assertErr 'exists'
	done
	assertUnchanged "$tmp/target"
	# What is replaced is the file, and the link still leads to it.
	empty 3 10M
	run gow-create --force 10M "$image"
	assertStatus 0
	assertEquals ../target "$(readlink "$image")"
	assertSameFile "$empty" "$tmp/target"
	assertOnly dangling image.gow
}

testForceOnAFileInUse() {
	new_directory
	need_leases "$tmp" || return 0
	cp "$0" "$image"
	state_of "$image"
	for held in -r -w "-r -l ofd-read" "-w -l ofd-write" "-w -l posix-write"; do
		# shellcheck disable=SC2086 # words
		run hold $held "$image" "$GOW_BIN/gow-create" --force 10M "$image"
		assertStatus 64
		assertOutEmpty
		assertErr "^gow-create: $image: "
	done
	assertUnchanged "$image"
	assertOnly image.gow
	run hold -t 0.5 -r "$image" "$GOW_BIN/gow-create" --force --wait 20 10M "$image"
	assertStatus 0
}

# ---- dry run ----

testDryRun() {
	new_directory
	nothing_yet
	run gow-create -n 10M "$image"
	assertStatus 0
	assertOut 'image\.gow: would be made: GOW 3\b'
	assertNothing
	run gow-create --dry-run --json --image-version 1 10M "$image"
	assertStatus 0
	assertJson '.dry_run == true and .changed == false and .version == 1
		and .logical_size == 10485760 and .file_size == 4194324'
	assertNothing
	echo precious >"$image"
	state_of "$image"
	run gow-create -n --force 10M "$image"
	assertStatus 0
	assertUnchanged "$image"
	assertOnly image.gow
}

# ---- only when whole ----

testOrderOfWrites() {
	new_directory
	run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_TRACE="$tmp/trace" gow-create 10M "$image"
	assertStatus 0
	# Durable before it has its name; and the name is made durable after.
	assertEquals "sync rename sync" "$(awk '$1 == "sync" || $1 == "rename" { print $1 }' \
		"$tmp/trace" | uniq | xargs)"
	assertEquals "the last sync is the directory's" "$tmp/new" \
		"$(awk '$1 == "sync" { at = $3 } END { print at }' "$tmp/trace")"
	assertEquals "nothing is written after the first sync" "" \
		"$(awk '$1 == "sync" { synced = 1 } synced && /^(write|truncate)/' "$tmp/trace")"
}

# How many calls an image takes, in the file `trace`.
count_calls() {
	empty 1 10M
	run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_TRACE="$tmp/trace" \
		gow-create --image-version 1 10M "$image"
	assertStatus 0
	rm -f "$image"
}

# moments [CALL]: the numbers of calls that are worth a try: all of them, but of a
# hundred in a row the first and the last.
moments() {
	awk -v call="${1:-}" 'call == "" || $1 == call { n++ }
		END { for (i = 1; i <= n; i++) if (i <= 5 || i > n - 10 || i % 32 == 0) print i }' \
		"$tmp/trace" >"$tmp/moments"
	assertTrue "no $1 at all" "[ -s '$tmp/moments' ]"
}

testKilledAnywhere() {
	new_directory
	count_calls
	moments
	without=0
	while read -r n; do
		run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=any:"$n":kill \
			gow-create --image-version 1 10M "$image"
		assertStatus 137
		if [ -e "$image" ]; then
			assertSameFile "$empty" "$image"
		else
			without=$((without + 1))
		fi
		rm -rf "$tmp/new"
		mkdir "$tmp/new"
	done <"$tmp/moments"
	assertTrue "killed $without times before it was whole" "[ $without -gt 3 ]"
}

# fails CALLS STATUS: every CALL that is made fails in turn, and then nothing is there.
fails() {
	moments "$1"
	while read -r n; do
		run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL="$1:$n:$2" \
			gow-create --image-version 1 10M "$image"
		assertStatus 8
		assertOutEmpty
		assertErr "^gow-create: $image: "
		# Only that the name is durable is what can fail once it is there.
		if [ -e "$image" ]; then
			assertEquals "$1 $n" sync "$1"
			assertSameFile "$empty" "$image"
			rm "$image"
		fi
		assertOnly
	done <"$tmp/moments"
}

testFailures() {
	new_directory
	count_calls
	fails write ENOSPC
	fails write EIO
	fails truncate EFBIG
	fails sync EIO
	fails rename EACCES
}

testShortAndInterruptedWrites() {
	new_directory
	empty 3 10M
	for fault in write:1+:short write:1:EINTR write:2:EINTR; do
		run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=$fault gow-create 10M "$image"
		assertStatus 0
		assertSameFile "$empty" "$image"
		rm -f "$image"
	done
}

testSignals() {
	new_directory
	count_calls
	moments
	for signal in 1 2 15; do
		while read -r n; do
			run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=any:"$n":signal=$signal \
				gow-create --image-version 1 10M "$image"
			# Too late for it is no failure.
			if [ "$status" -eq 0 ]; then
				assertSameFile "$empty" "$image"
				rm -f "$image"
			else
				assertStatus 32
			fi
			assertOnly
		done <"$tmp/moments"
	done
}

# A name that comes into being meanwhile is somebody else's file.
testNameTakenMeanwhile() {
	new_directory
	run_faulty FAULTIO_FILE="$tmp/new*" FAULTIO_FAIL=rename:1:EEXIST gow-create 10M "$image"
	assertStatus 8
	assertErr "^gow-create: $image: "
	assertOnly
}

testNoRoom() {
	new_directory
	need_root || return 0
	mount_tmpfs 1M
	before=$(stat -c '%y %z' "$mnt")
	for options in "" -n --json --force; do
		run gow-create ${options:+"$options"} 10M "$mnt/image.gow"
		assertStatus 8
		[ -n "${options%--json}" ] || [ -z "$options" ] || assertJson '.error == "no-space"'
		assertErr "^gow-create: $mnt/image\.gow: .*bytes"
		assertEquals "" "$(ls -A "$mnt")"
		# Not even a temporary file, for a moment.
		assertEquals "$before" "$(stat -c '%y %z' "$mnt")"
	done
}

# ---- mode, names, directories ----

testMode() {
	new_directory
	for mask in 000:666 022:644 027:640 077:600 177:600; do
		(
			umask "${mask%:*}"
			exec "$GOW_BIN/gow-create" -q 512 "$image"
		)
		assertEquals "status" 0 $?
		assertEquals "with umask ${mask%:*}" "${mask#*:}" "$(stat -c %a "$image")"
		rm -f "$image"
	done
}

testMissingDirectory() {
	new_directory
	for options in "" -n --force; do
		run gow-create ${options:+"$options"} 10M "$tmp/none/image.gow"
		assertStatus 8
		assertOutEmpty
		assertErr "^gow-create: $tmp/none/image\.gow: .*No such file or directory"
	done
	assertFalse "the directory was made" "[ -e '$tmp/none' ]"
	: >"$tmp/file"
	run gow-create 10M "$tmp/file/image.gow"
	assertStatus 8
	assertErr 'Not a directory'
	run gow-create 10M ""
	assertStatus 8
	run gow-create 10M "$tmp/new/"
	assertStatus 8
	assertOnly
}

testDirectoryWithoutPermission() {
	new_directory
	need_tool setpriv || return 0
	chmod 555 "$tmp/new"
	if [ "$(id -u)" -eq 0 ]; then
		run setpriv --bounding-set -dac_override,-dac_read_search "$GOW_BIN/gow-create" 10M "$image"
	else
		run gow-create 10M "$image"
	fi
	assertStatus 8
	assertErr "^gow-create: $image: .*Permission denied"
	assertOnly
	chmod 755 "$tmp/new"
}

testOddNames() {
	new_directory
	empty 3 10M
	cd "$tmp/new" || return 1
	run gow-create 10M -- --force
	assertStatus 0
	run gow-create 10M image.gow
	assertStatus 0
	long=$(printf '%0255d' 0)
	run gow-create 10M "$long"
	assertStatus 0
	run gow-create --json 10M 'a "b" c'
	assertStatus 0
	assertJson '.image == "a \"b\" c"'
	cd "$work" || return 1
	for name in --force image.gow "$long" 'a "b" c'; do
		assertSameFile "$empty" "$tmp/new/$name"
	done
	run gow-create 10M "$tmp/new/${long}0"
	assertStatus 8
	assertErr 'File name too long'
}

# ---- output ----

testJson() {
	new_directory
	run gow-create --json --image-version 2 100M "$image"
	assertStatus 0
	assertErrEmpty
	assertEquals "lines" 1 "$(wc -l <"$out" | tr -d ' ')"
	assertJson ". == {schema: 1, tool: \"gow-create\", image: \"$image\", version: 2,
		logical_size: 104857600, file_size: $(stat -c %s "$image"), changed: true, exit: 0}"
	run gow-create --json 10M "$tmp/none/image.gow"
	assertStatus 8
	assertJson ".schema == 1 and .tool == \"gow-create\" and .exit == 8 and .error == \"io\"
		and .image == \"$tmp/none/image.gow\" and (.message | test(\"No such file\"))
		and .changed != true"
}

testQuiet() {
	new_directory
	run gow-create -q 10M "$image"
	assertStatus 0
	assertOutEmpty
	assertErrEmpty
	assertTrue "nothing made" "[ -s '$image' ]"
}

testOutputThatFails() {
	new_directory
	for to in '>/dev/full' '>&-'; do
		run sh -c "\"\$@\" $to" sh "$GOW_BIN/gow-create" 10M "$image"
		assertStatus 8
		assertErr 'gow-create: .*standard output'
		rm -f "$image"
	done
}

# The new image must not be taken for a stream that is closed.
testClosedStreams() {
	new_directory
	empty 1 10M
	# shellcheck disable=SC2016 # for the inner shell
	run sh -c '"$@" <&- >&- 2>&-' sh "$GOW_BIN/gow-create" --image-version 1 10M "$image"
	assertStatus 8
	[ ! -e "$image" ] || assertSameFile "$empty" "$image"
}

testUsage() {
	new_directory
	nothing_yet
	run gow-create
	assertStatus 16
	run gow-create 10M
	assertStatus 16
	run gow-create 10M "$image" "$image"
	assertStatus 16
	run gow-create --no-such-option 10M "$image"
	assertStatus 16
	assertErr 'no-such-option'
	assertNothing
	run gow-create --help
	assertStatus 0
	assertOut '--image-version'
	run gow-create --version
	assertStatus 0
	assertOut 'gow-create.* [0-9]+\.[0-9]+'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
