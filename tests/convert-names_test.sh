#!/bin/sh
# gow-convert: names and formats, what stands there already, who may read what is made,
# and what it says.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=convert.sh
. "$TESTS/convert.sh"

suiteSetUp() {
	make_disks
}

# ---- names and formats ----

testFormatOfTheName() {
	mkdir "$tmp/new"
	for name in a.gow:3 a.gow1:1 a.gow2:2 a.gow3:3 A.GOW:3 A.Gow2:2 a.raw.gow1:1; do
		convert "$work/disk.raw" "$tmp/new/${name%:*}"
		assertStatus 0
		assertSameFile "$work/${name#*:}.gow" "$tmp/new/${name%:*}"
	done
	for name in a.raw a.img a.RAW a.gow.img; do
		convert "$work/1.gow" "$tmp/new/$name"
		assertStatus 0
		assertSameFile "$work/disk.raw" "$tmp/new/$name"
	done
}

# Known before anything is read.
testLongName() {
	mkdir "$tmp/new"
	long=$(printf '%0251d.raw' 0)
	refused 8 "$work/1.gow" "$tmp/new/0$long"
	assertErr "0$long: cannot make a file in its directory: File name too long"
	assertDirectory "$tmp/new"
	convert "$work/1.gow" "$tmp/new/$long"
	assertStatus 0
	assertSameFile "$work/disk.raw" "$tmp/new/$long"
}

testNamesWithoutFormat() {
	mkdir "$tmp/new"
	for name in a a.gow4 a.qcow2 a.gow. agow a.gow/b; do
		case $name in
		*/*) mkdir "$tmp/new/a.gow" ;;
		esac
		refused 16 "$work/disk.raw" "$tmp/new/$name"
		assertErr '\-O'
	done
	rmdir "$tmp/new/a.gow"
	assertDirectory "$tmp/new"
}

testFormatAsTold() {
	for format in gow1:1 gow2:2 gow3:3 gow:3 GOW1:1; do
		convert -O "${format%:*}" "$work/disk.raw" "$tmp/a.raw"
		assertStatus 0
		assertSameFile "$work/${format#*:}.gow" "$tmp/a.raw"
		rm "$tmp/a.raw"
		convert --to "${format%:*}" "$work/disk.raw" "$tmp/name"
		assertStatus 0
		assertSameFile "$work/${format#*:}.gow" "$tmp/name"
		rm "$tmp/name"
	done
	convert -O raw "$work/2.gow" "$tmp/a.gow"
	assertStatus 0
	assertSameFile "$work/disk.raw" "$tmp/a.gow"
}

testSourceFormatAsTold() {
	for format in raw:disk.raw gow1:1.gow gow2:2.gow gow3:3.gow gow:1.gow gow:3.gow; do
		convert -f "${format%:*}" -O raw "$work/${format#*:}" "$tmp/$format"
		assertStatus 0
		assertSameFile "$work/disk.raw" "$tmp/$format"
	done
	# What looks like an image may be somebody's disk all the same.
	convert -f raw "$work/1.gow" "$tmp/wrapped.gow"
	assertStatus 0
	convert "$tmp/wrapped.gow" "$tmp/wrapped.raw"
	size=$(stat -c %s "$work/1.gow")
	assertEquals $(((size + 511) / 512 * 512)) "$(stat -c %s "$tmp/wrapped.raw")"
	head -c "$size" "$tmp/wrapped.raw" | cmp - "$work/1.gow"
	assertTrue "not the same" $?
}

testSourceFormatThatIsNot() {
	refused 8 -f gow "$work/disk.raw" "$tmp/a.gow"
	refused 8 -f gow1 "$work/disk.raw" "$tmp/a.gow"
	convert -f gow1 "$work/3.gow" "$tmp/a.gow"
	assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
	assertErr 'version 3'
	assertFalse "made" "[ -e '$tmp/a.gow' ]"
}

# Probed by content, whatever it is called.
testSourceName() {
	cp "$work/2.gow" "$tmp/disk.raw"
	cp "$work/disk.raw" "$tmp/image.gow"
	convert "$tmp/disk.raw" "$tmp/a.raw"
	assertStatus 0
	assertSameFile "$work/disk.raw" "$tmp/a.raw"
	convert "$tmp/image.gow" "$tmp/a.gow2"
	assertStatus 0
	assertErr 'image.gow: warning: has the name of a GOW image'
	assertSameFile "$work/2.gow" "$tmp/a.gow2"
}

testNoSuchFormats() {
	for format in qcow2 gow4 gow0 "" RAWR vmdk; do
		refused 16 -O "$format" "$work/disk.raw" "$tmp/a.gow"
		refused 16 -f "$format" "$work/disk.raw" "$tmp/a.gow"
	done
	assertFalse "made" "[ -e '$tmp/a.gow' ]"
}

testUsage() {
	refused 16
	refused 16 "$work/disk.raw"
	refused 16 "$work/disk.raw" "$tmp/a.gow" "$tmp/b.gow"
	refused 16 --no-such-option "$work/disk.raw" "$tmp/a.gow"
	convert --help
	assertStatus 0
	assertOut '--salvage'
	convert --version
	assertStatus 0
}

testSourcesThatAreNone() {
	refused 8 "$tmp/none" "$tmp/a.gow"
	assertErr "^gow-convert: $tmp/none: .*No such file"
	mkdir "$tmp/directory"
	refused 8 "$tmp/directory" "$tmp/a.gow"
	refused 8 /dev/zero "$tmp/a.gow"
	assertFalse "made" "[ -e '$tmp/a.gow' ]"
}

# Not an image of a version that there is, and no raw disk either: refused, since it
# would hardly be meant.
testUnknownVersion() {
	recipe odd "version 1" "size 1M" "version-field 4"
	make_image "$recipe" "$tmp/odd.gow"
	refused 8 "$tmp/odd.gow" "$tmp/a.gow"
	assertErr 'version'
	assertFalse "made" "[ -e '$tmp/a.gow' ]"
}

# ---- what stands there already ----

testExistingDestination() {
	echo precious >"$tmp/a.gow"
	state_of "$tmp/a.gow"
	refused 8 "$work/disk.raw" "$tmp/a.gow"
	assertErr '\-\-force'
	assertUnchanged "$tmp/a.gow"
	convert --json "$work/disk.raw" "$tmp/a.gow"
	assertStatus 8
	assertJson ".error == \"exists\" and .file == \"$tmp/a.gow\" and .image == \"$work/disk.raw\""
	ln -s nowhere "$tmp/link.gow"
	refused 8 "$work/disk.raw" "$tmp/link.gow"
	assertFalse "the link was followed" "[ -e '$tmp/nowhere' ]"
}

testForce() {
	echo precious >"$tmp/a.gow"
	before=$(stat -c %i "$tmp/a.gow")
	convert --force "$work/disk.raw" "$tmp/a.gow"
	assertStatus 0
	assertSameFile "$work/3.gow" "$tmp/a.gow"
	assertNotEquals "written over, not replaced" "$before" "$(stat -c %i "$tmp/a.gow")"
	mkdir "$tmp/directory.gow"
	mkfifo "$tmp/fifo.gow"
	refused 8 --force "$work/disk.raw" "$tmp/directory.gow"
	refused 8 --force "$work/disk.raw" "$tmp/fifo.gow"
	refused 8 --force -O raw "$work/disk.raw" /dev/null
	assertTrue "the FIFO is gone" "[ -p '$tmp/fifo.gow' ]"
}

testForceThroughALink() {
	mkdir "$tmp/directory"
	echo precious >"$tmp/directory/target"
	ln -s directory/target "$tmp/link.gow"
	convert --force "$work/disk.raw" "$tmp/link.gow"
	assertStatus 0
	assertEquals directory/target "$(readlink "$tmp/link.gow")"
	assertSameFile "$work/3.gow" "$tmp/directory/target"
	assertDirectory "$tmp/directory" target
}

testSourceIsDestination() {
	cp "$work/1.gow" "$tmp/a.gow"
	ln "$tmp/a.gow" "$tmp/hard.gow"
	ln -s a.gow "$tmp/soft.gow"
	mkdir "$tmp/directory"
	state_of "$tmp/a.gow"
	for dest in a.gow hard.gow soft.gow directory/../a.gow; do
		convert "$tmp/a.gow" "$tmp/$dest"
		assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
		convert --force "$tmp/a.gow" "$tmp/$dest"
		assertTrue "status $status" "[ $status -eq 8 ] || [ $status -eq 16 ]"
		assertErr 'same file'
	done
	assertUnchanged "$tmp/a.gow"
	# Standard input, too, and there nothing of it may be lost either.
	# shellcheck disable=SC2094 # that is what is tried
	convert -f raw --force - "$tmp/a.gow" <"$tmp/a.gow"
	if [ "$status" -eq 0 ]; then
		convert -O raw "$tmp/a.gow" "$tmp/b.raw"
		head -c "$(stat -c %s "$work/1.gow")" "$tmp/b.raw" | cmp - "$work/1.gow"
		assertTrue "not the same" $?
	else
		assertUnchanged "$tmp/a.gow"
	fi
}

# ---- dry run ----

testDryRun() {
	mkdir "$tmp/new"
	before=$(image_state "$tmp/new")
	for case in disk.raw:gow1 disk.raw:gow2 disk.raw:gow3 disk.raw:raw 1.gow:gow3 3.gow:gow1 2.gow:raw; do
		convert --json -n -O "${case#*:}" "$work/${case%:*}" "$tmp/new/a"
		assertStatus 0
		assertJson '.dry_run == true'
		json 'del(.dry_run)' >"$tmp/would"
		assertEquals "$before" "$(image_state "$tmp/new")"
		convert --json -O "${case#*:}" "$work/${case%:*}" "$tmp/new/a"
		assertStatus 0
		json . >"$tmp/did"
		assertSameFile "$tmp/would" "$tmp/did"
		assertJson ".file_size == $(stat -c %s "$tmp/new/a") and (has(\"dry_run\") | not)"
		rm "$tmp/new/a"
		before=$(image_state "$tmp/new")
	done
	convert -n "$work/disk.raw" "$tmp/new/a.gow1"
	assertStatus 0
	assertOut "a\.gow1: would be gow1, .* in a file of .*\($(stat -c %s "$work/1.gow") bytes\)"
	echo precious >"$tmp/new/b.gow"
	state_of "$tmp/new/b.gow"
	convert -n --force "$work/disk.raw" "$tmp/new/b.gow"
	assertStatus 0
	assertUnchanged "$tmp/new/b.gow"
	assertDirectory "$tmp/new" b.gow
}

testNothingChangesInTheSource() {
	for source in disk.raw 1.gow 3.gow; do
		cp -p "$work/$source" "$tmp/source"
		chmod 440 "$tmp/source"
		state_of "$tmp/source"
		convert -O gow2 --verify "$tmp/source" "$tmp/a"
		assertStatus 0
		convert -n -O raw "$tmp/source" "$tmp/b"
		assertStatus 0
		assertUnchanged "$tmp/source"
		rm -f "$tmp/source" "$tmp/a"
	done
}

# ---- mode, owner, attributes ----

testMode() {
	cp "$work/disk.raw" "$tmp/source"
	for mode in 600 640 644 400 440 660 666 755; do
		for mask in 000 022 077; do
			chmod $mode "$tmp/source"
			(
				umask $mask
				exec "$GOW_BIN/gow-convert" -q -O gow1 "$tmp/source" "$tmp/a"
			)
			assertEquals 0 $?
			assertEquals "mode from $mode under umask $mask" "$mode" "$(stat -c %a "$tmp/a")"
			rm -f "$tmp/a"
		done
	done
	# Not that of what is replaced, and no special bits.
	chmod 4755 "$tmp/source"
	echo old >"$tmp/a"
	chmod 666 "$tmp/a"
	convert --force -O gow1 "$tmp/source" "$tmp/a"
	assertEquals 755 "$(stat -c %a "$tmp/a")"
}

testModeFromAPipe() {
	(
		umask 027
		# A regular file as standard input is a file like any other.
		dd if="$work/disk.raw" bs=64K status=none | "$GOW_BIN/gow-convert" -q - "$tmp/a.gow"
	)
	assertEquals 640 "$(stat -c %a "$tmp/a.gow")"
}

# While it is made nobody may read what nobody may read then.
testModeMeanwhile() {
	cp "$work/disk.raw" "$tmp/source"
	chmod 600 "$tmp/source"
	mkdir "$tmp/new"
	umask=$(umask)
	umask 0
	run_faulty FAULTIO_FILE="$tmp/new/*" FAULTIO_FAIL=write:1:kill \
		gow-convert "$tmp/source" "$tmp/new/a.gow"
	umask "$umask"
	assertStatus 137
	assertEquals 600 "$(find "$tmp/new" -type f -printf '%m')"
}

testOwner() {
	need_root || return 0
	cp "$work/disk.raw" "$tmp/source"
	chown 1234:5678 "$tmp/source"
	chmod 640 "$tmp/source"
	convert "$tmp/source" "$tmp/a.gow"
	assertStatus 0
	assertEquals "1234:5678 640" "$(stat -c '%u:%g %a' "$tmp/a.gow")"
}

# Who may not give files away makes none that more people can read.
testOwnerThatCannotBeGiven() {
	need_root || return 0
	need_tool setpriv || return 0
	mkdir "$tmp/new"
	cp "$work/disk.raw" "$tmp/source"
	chmod 755 "$work" "$tmp"
	chown 1234:1234 "$tmp/new"
	for mode in 664:644 644:644 640:600 606:606 674:644; do
		chmod "${mode%:*}" "$tmp/source"
		chown 1234:5678 "$tmp/source"
		run setpriv --reuid=1234 --regid=1234 --clear-groups "$GOW_BIN/gow-convert" \
			"$tmp/source" "$tmp/new/a.gow"
		assertStatus 0
		assertEquals "from ${mode%:*}" "1234:1234 ${mode#*:}" "$(stat -c '%u:%g %a' "$tmp/new/a.gow")"
		rm -f "$tmp/new/a.gow"
	done
	chmod 700 "$work"
}

testAttributes() {
	need_tool setfattr getfattr || return 0
	cp "$work/disk.raw" "$tmp/source"
	setfattr -n user.note -v "the guest of room 7" "$tmp/source" 2>/dev/null ||
		{ skip "no extended attributes here"; return; }
	convert "$tmp/source" "$tmp/a.gow"
	assertStatus 0
	assertEquals "the guest of room 7" "$(getfattr --only-values -n user.note "$tmp/a.gow" 2>"$err")"
}

# ---- output ----

testJson() {
	convert --json "$work/disk.raw" "$tmp/a.gow1"
	assertStatus 0
	assertErrEmpty
	assertEquals 1 "$(wc -l <"$out")"
	assertJson ". == {schema: 1, tool: \"gow-convert\", image: \"$work/disk.raw\",
		dest: \"$tmp/a.gow1\", source_format: \"raw\", dest_format: \"gow1\",
		source_size: 3147264, logical_size: 3147264, data_bytes: (14 * 65536),
		file_size: $(stat -c %s "$work/1.gow"), recognized: \"boot sector\", exit: 0}"
	convert --json "$work/3.gow" "$tmp/a.raw"
	assertJson '.source_format == "gow3" and .dest_format == "raw" and .file_size == 3147264'
	convert --json "$tmp/none" "$tmp/b.raw"
	assertStatus 8
	assertEquals 1 "$(wc -l <"$out")"
	assertJson ".schema == 1 and .tool == \"gow-convert\" and .exit == 8 and .error == \"io\"
		and .image == \"$tmp/none\" and (.message | type == \"string\") and (has(\"dest_format\") | not)"
}

testText() {
	convert "$work/disk.raw" "$tmp/a.gow1"
	assertEquals "$work/disk.raw -> $tmp/a.gow1: gow1, 3.0 MiB, 896 KiB of data" "$(cat "$out")"
	convert -q "$work/disk.raw" "$tmp/b.gow1"
	assertStatus 0
	assertOutEmpty
	assertErrEmpty
	assertSameFile "$work/1.gow" "$tmp/b.gow1"
}

testOutputThatFails() {
	for options in "" --json; do
		for to in '>/dev/full' '>&-'; do
			run sh -c "\"\$@\" $to" sh "$GOW_BIN/gow-convert" ${options:+"$options"} \
				--force "$work/disk.raw" "$tmp/a.gow"
			assertStatus 8
			assertErr 'gow-convert: .*standard output'
		done
	done
}

testProgress() {
	for source in disk.raw 3.gow; do
		convert --progress=json --verify -O gow1 "$work/$source" "$tmp/$source"
		assertStatus 0
		jq -es 'length > 0 and all(.[]; (.phase | type == "string") and .done <= .total
			and ([.done, .total, .elapsed] | all(type == "number")) and .elapsed >= 0)
			and any(.[]; .phase == "copy" and .done == 3147264 and .total == 3147264)
			and any(.[]; .phase == "verify")' "$err" >"$tmp/jq"
		assertTrue "progress: $(cat "$err")" $?
	done
	run_faulty FAULTIO_FILE="*/disk.raw" FAULTIO_FAIL=read:2:signal=10 \
		gow-convert "$work/disk.raw" "$tmp/a.gow"
	assertStatus 0
	assertEquals 1 "$(wc -l <"$err")"
	jq -e '.phase == "copy" and .total == 3147264' "$err" >"$tmp/jq"
	assertTrue "SIGUSR1: $(cat "$err")" $?
	assertSameFile "$work/3.gow" "$tmp/a.gow"
	# shellcheck disable=SC2016 # for the inner shell
	run sh -c '"$@" 7>"$0"' "$tmp/progress" "$GOW_BIN/gow-convert" --progress-fd 7 \
		"$work/disk.raw" "$tmp/b.gow"
	assertStatus 0
	assertErrEmpty
	jq -es 'length > 0' "$tmp/progress" >"$tmp/jq"
	assertTrue "no progress" $?
	convert --progress=purple "$work/disk.raw" "$tmp/c.gow"
	assertStatus 16
}

# shellcheck source=/dev/null
. "$SHUNIT2"
