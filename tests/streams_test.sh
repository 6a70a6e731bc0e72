#!/bin/bash
# Names that are no files (pipes, standard input and output, links, devices), lists and manifests
# as other systems write them, and files that move while they are read.

# shellcheck disable=SC2002 # a pipe is not a file
# shellcheck disable=SC2016,SC2317 # expanded by another shell; called by shunit2
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

suiteSetUp() {
	printf '%s\n' 'version 1' 'size 300K' 'map 0 2' 'map 3 0 step 1' 'map 4 1' \
		'data 0-2 pattern 3' 'poke data_start+131072+510 55aa' >"$work/recipe"
	make_image "$work/recipe" "$work/vm.gow"
	make_raw "$work/recipe" "$work/vm.raw"
	gzip -nc "$work/vm.gow" >"$work/vm.gow.gz"
	run gow-check --write-manifest "$work/vm.manifest" "$work/vm.gow"
	assertStatus 0
}

# same: what was made is the disk.
same() {
	assertStatus 0
	assertSameFile "$work/vm.raw" "$tmp/made.raw"
	rm -f "$tmp/made.raw"
}

# ---- sources ----

testImageOnStandardInput() {
	for kind in '<"$1"' '<<<"" ; cat "$1" |'; do
		case $kind in
		'<"$1"') run sh -c '"$2" --json - "$3" <"$1"' sh "$work/vm.gow" \
			"$GOW_BIN/gow-convert" "$tmp/made.raw" ;;
		*) run sh -c 'cat "$1" | "$2" --json - "$3"' sh "$work/vm.gow" \
			"$GOW_BIN/gow-convert" "$tmp/made.raw" ;;
		esac
		assertJson '.source_format == "gow1"'
		same
	done
	run sh -c 'cat "$1" | "$2" -f gow2 - "$3"' sh "$work/vm.gow" "$GOW_BIN/gow-convert" "$tmp/no.raw"
	assertStatus 16
	assertErr 'standard input: is not of version 2'
	run sh -c 'cat "$1" | "$2" -f gow - "$3"' sh "$work/vm.raw" "$GOW_BIN/gow-convert" "$tmp/no.raw"
	assertStatus 8
	assertErr 'standard input: does not begin like a GOW image'
	# Cut short, or damaged: found out, and nothing is made.
	for size in 3 100 4194320 4200000; do
		run sh -c 'head -c "$4" "$1" | "$2" - "$3"' sh "$work/vm.gow" "$GOW_BIN/gow-convert" \
			"$tmp/no.raw" $size
		assertNotEquals "$size" 0 "$status"
	done
	assertFalse "made of something else" "[ -e '$tmp/no.raw' ]"
}

testNamesOfStreams() {
	for source in /dev/stdin /dev/fd/0 -; do
		for file in vm.raw vm.gow vm.gow.gz; do
			cat "$work/$file" | "$GOW_BIN/gow-convert" $source "$tmp/made.raw" >"$out" 2>"$err"
			status=$?
			same
		done
	done
	for file in vm.raw vm.gow vm.gow.gz; do
		"$GOW_BIN/gow-convert" <(cat "$work/$file") "$tmp/made.raw" >"$out" 2>"$err"
		status=$?
		same
		mkfifo "$tmp/fifo"
		cat "$work/$file" >"$tmp/fifo" &
		run gow-convert "$tmp/fifo" "$tmp/made.raw"
		wait
		same
		rm "$tmp/fifo"
	done
	# From the middle of a file it is a stream.
	(head -c 512 >/dev/null && "$GOW_BIN/gow-convert" -f raw - "$tmp/rest.raw") <"$work/vm.raw" >"$out" 2>"$err"
	assertEquals 0 $?
}

testStandardOutput() {
	for name in - /dev/stdout /dev/fd/1; do
		"$GOW_BIN/gow-convert" "$work/vm.gow" $name 2>"$err" | cat >"$tmp/made.raw"
		status=0
		same
		"$GOW_BIN/gow-convert" "$work/vm.gow" $name 2>"$err" >"$tmp/made.raw"
		status=$?
		same
	done
	mkfifo "$tmp/fifo"
	run gow-convert -O raw --force "$work/vm.gow" "$tmp/fifo"
	assertStatus 8
	assertErr 'fifo: .*say - \(standard output\)'
	run gow-convert -O raw --force "$work/vm.gow" /dev/null
	assertStatus 8
	assertErr '/dev/null: .*say - '
}

# ---- destinations ----

testLinksToNothing() {
	ln -s nothing "$tmp/link.raw"
	ln -s /dev/nothing "$tmp/device.raw"
	for link in link device; do
		for force in '' --force; do
			run gow-convert ${force:+"$force"} "$work/vm.gow" "$tmp/$link.raw"
			assertStatus 8
			assertErr "$link.raw: exists already, as a symbolic link to .*nothing, where nothing is"
			assertTrue "replaced" "[ -L '$tmp/$link.raw' ]"
		done
	done
	run gow-create 1M "$tmp/link.raw"
	assertStatus 8
	# A link to a file is followed.
	echo old >"$tmp/nothing"
	run gow-convert --force "$work/vm.gow" "$tmp/link.raw"
	assertStatus 0
	assertTrue "replaced" "[ -L '$tmp/link.raw' ]"
	assertSameFile "$work/vm.raw" "$tmp/nothing"
}

testNoSuchDevice() {
	[ "$(stat -c %d /dev)" != "$(stat -c %d /)" ] || { skip "/dev is no file system"; return; }
	for dest in /dev/gow-no-such-device /dev/gow-no-such-device.raw; do
		run gow-convert -O raw "$work/vm.gow" $dest
		assertStatus 8
		assertErr "$dest: there is no such device|Permission denied"
		assertFalse "made" "[ -e $dest ]"
	done
	cp "$work/vm.gow" "$tmp/vm.gow"
	make_image map-range-v1 "$tmp/broken.gow"
	dest=/dev/gow-no-such-device
	for call in "gow-create 1M $dest" "gow-compact -o $dest vm.gow" "gow-upgrade -o $dest vm.gow" \
		"gow-check --write-manifest $dest vm.gow" "gow-info --picture=$dest vm.gow" \
		"gow-probe --report=$dest vm.gow" "gow-repair -y --salvage=$dest broken.gow" \
		"gow-repair -y --undo-file=$dest broken.gow" "gow-repair -n --undo-file=$dest broken.gow" \
		"gow-convert --metadata-only -O tar vm.gow $dest"; do
		# shellcheck disable=SC2086 # a command and its words
		(cd "$tmp" && run $call; exit $status)
		assertEquals "$call" 8 $?
		assertErr "$dest: .*([Nn]o such device|Permission denied)"
		assertEquals "made: $call" "" "$(find /dev -maxdepth 1 -name 'gow-no*')"
	done
}

# Swap is written by the kernel alone, and no name of a directory tells of it.
testDeviceOfSwap() {
	need_root || return 0
	need_tool mkswap || return 0
	truncate -s 8M "$tmp/disk"
	attach_loop "$tmp/disk" 2>/dev/null || { skip "no loop device"; return; }
	mkswap "$loop" >/dev/null
	swapon "$loop" 2>/dev/null || { skip "cannot swap here"; return; }
	at_end "swapoff '$loop' 2>/dev/null || :"
	sync
	cp "$tmp/disk" "$tmp/before"
	run gow-convert --force "$work/vm.raw" "$loop"
	assertStatus 64
	assertErr "is used as swap; nothing was written"
	cmp -s "$tmp/before" "$tmp/disk" || fail "written to"
	run gow-convert -q "$loop" "$tmp/copy.raw"
	assertErr "is used as swap; what is read may be changing"
	swapoff "$loop"
	run gow-convert --force "$work/vm.raw" "$loop"
	assertStatus 0
}

# The use of a part is a use of the whole.
testDeviceWithAMountedPartition() {
	need_root || return 0
	need_tool mke2fs || return 0
	need_tool sfdisk || return 0
	truncate -s 16M "$tmp/disk"
	echo '2048,' | sfdisk -q "$tmp/disk" 2>/dev/null
	attach_loop "$tmp/disk" 2>/dev/null || { skip "no loop device"; return; }
	at_end "partx -d '$loop' 2>/dev/null || :"
	partx -a "$loop" 2>/dev/null
	[ -b "${loop}p1" ] || { skip "no partitions of loop devices"; return; }
	mke2fs -q -F "${loop}p1"
	mkdir "$tmp/mnt"
	mount "${loop}p1" "$tmp/mnt" 2>/dev/null || { skip "cannot mount"; return; }
	at_end "umount '$tmp/mnt' 2>/dev/null || :"
	run gow-convert --force "$work/vm.raw" "$loop"
	assertStatus 64
	assertErr "in use"
	run gow-convert -q --json "$loop" "$tmp/copy.raw"
	assertErr "is in use by the system; what is read may be changing"
	assertJson '.in_use == true'
	umount "$tmp/mnt"
	run gow-convert --force "$work/vm.raw" "$loop"
	assertStatus 0
}

testDeviceInUse() {
	need_root || return 0
	need_tool mke2fs || return 0
	truncate -s 8M "$tmp/disk"
	mke2fs -q -F "$tmp/disk"
	attach_loop "$tmp/disk" 2>/dev/null || { skip "no loop device"; return; }
	mkdir "$tmp/mnt"
	mount "$loop" "$tmp/mnt" 2>/dev/null || { skip "cannot mount"; return; }
	at_end "umount '$tmp/mnt' 2>/dev/null || :"
	run gow-convert -q --json "$loop" "$tmp/copy.raw"
	assertStatus 0
	assertErr "mounted at .*what is read may be changing"
	assertJson '.in_use == true'
	run gow-convert --force "$work/vm.raw" "$loop"
	assertStatus 64
	assertErr "is mounted at .*; nothing was written"
	umount "$tmp/mnt"
	# A loop device stays so when it is detached, whoever gets it next.
	at_end "blockdev --setrw '$loop'"
	blockdev --setro "$loop" 2>/dev/null || return 0
	run gow-convert --force "$work/vm.raw" "$loop"
	assertStatus 8
	assertErr "read-only"
}

# ---- in use ----

testInUseIsAlwaysSaid() {
	need_leases "$work" || return 0
	cp "$work/vm.gow" "$work/vm.raw" "$tmp"
	tar cf "$tmp/vm.tar" -C "$work" vm.raw
	for source in vm.gow vm.raw vm.tar; do
		run hold -w "$tmp/$source" "$GOW_BIN/gow-convert" -q --json "$tmp/$source" "$tmp/made.raw"
		assertErr "$source: warning: is open for writing by"
		assertJson '.in_use == true'
		same
		run hold -t 0.3 -w "$tmp/$source" "$GOW_BIN/gow-convert" --wait 30 --json "$tmp/$source" \
			"$tmp/made.raw"
		assertErrEmpty
		assertJson 'has("in_use") | not'
		same
	done
	run hold -w "$tmp/vm.gow" "$GOW_BIN/gow-info" -q --json "$tmp/vm.gow"
	assertErr 'open for writing'
	assertJson '.in_use == true'
	new=$tmp/new.gow
	for call in "gow-compact -o $new" "gow-compact -n" "gow-upgrade -o $new" "gow-upgrade -n" \
		"gow-convert --metadata-only -O tar"; do
		for form in '' '-q --json'; do
			set -- "$tmp/vm.gow"
			case $call in
			*convert*) set -- "$tmp/vm.gow" "$new" ;;
			esac
			# shellcheck disable=SC2086 # a command and its words
			run hold -w "$tmp/vm.gow" "$GOW_BIN/"$call $form "$@"
			assertStatus 0
			assertEquals "warned: $call $form" 1 "$(grep -c 'open for writing' "$err")"
			case $form in
			*json) assertJson '.in_use == true' ;;
			'') assertOut 'in use: this may mix old and new' ;;
			esac
			rm -f "$new"
		done
	done
}

testChangedWhileRead() {
	for source in vm.gow vm.raw; do
		cp "$work/$source" "$tmp"
		# The third read cuts the file to the length that it has: its time changes.
		run_faulty FAULTIO_FILE="*/$source" FAULTIO_CUT="$tmp/$source" \
			FAULTIO_FAIL="read:3:cut=$(stat -c %s "$tmp/$source")" \
			gow-convert -q --no-lock --json "$tmp/$source" "$tmp/made.raw"
		assertErr "$source: warning: changed while it was read"
		assertJson '.in_use == true'
		same
	done
	run_faulty FAULTIO_FILE="*/vm.gow" FAULTIO_CUT="$tmp/vm.gow" \
		FAULTIO_FAIL="read:3:cut=$(stat -c %s "$tmp/vm.gow")" \
		gow-check --no-lock --json --data "$tmp/vm.gow"
	assertErr 'changed while it was read'
	assertJson '.in_use == true'
}

testNoLockIsForManifestsToo() {
	run hold -w -l ofd-write "$work/vm.manifest" "$GOW_BIN/gow-check" --no-lock \
		--manifest "$work/vm.manifest" "$work/vm.gow"
	assertStatus 0
}

# ---- lists and manifests ----

testManifestStreams() {
	"$GOW_BIN/gow-check" --write-manifest - "$work/vm.gow" >"$tmp/manifest" 2>"$err"
	assertEquals 0 $?
	assertSameFile "$work/vm.manifest" "$tmp/manifest"
	"$GOW_BIN/gow-check" --manifest - "$work/vm.gow" <"$tmp/manifest" >"$out" 2>"$err"
	assertEquals 0 $?
	cat "$tmp/manifest" | "$GOW_BIN/gow-check" --manifest - "$work/vm.gow" >"$out" 2>"$err"
	assertEquals 0 $?
	"$GOW_BIN/gow-check" --manifest <(cat "$tmp/manifest") "$work/vm.gow" >"$out" 2>"$err"
	assertEquals 0 $?
	head -c 60 "$tmp/manifest" | "$GOW_BIN/gow-check" --manifest - "$work/vm.gow" >"$out" 2>"$err"
	assertEquals 8 $?
	assertErr 'standard input: is a damaged manifest'
}

# What cannot be a stream says so, and makes no file of the name -.
testNoStreams() {
	cp "$work/vm.gow" "$tmp/vm.gow"
	for call in 'gow-info -' 'gow-check -' 'gow-compact -' 'gow-upgrade -' 'gow-repair -n -' 'gow-probe -' \
		'gow-sync - vm.gow' 'gow-sync vm.gow -' 'gow-create 1M -' 'gow-info vm.gow -' \
		'gow-compact -o - vm.gow' 'gow-upgrade -o - vm.gow' 'gow-repair -y --salvage - vm.gow' \
		'gow-repair -y --undo-file - vm.gow' 'gow-info --picture=- vm.gow' \
		'gow-info --compare - vm.gow' 'gow-probe --report - vm.gow' 'gow-check --layout - vm.gow' \
		'gow-sync --manifest - vm.gow new.gow' \
		'gow-repair -y --clear-pending --manifest - vm.gow'; do
		# shellcheck disable=SC2086 # a command and its words
		(cd "$tmp" && run $call <"$work/vm.gow" && exit $status)
		assertEquals "$call" 16 $?
		assertErr "standard input and output cannot be used here; a file .*is ./-"
		assertFalse "$call" "[ -e '$tmp/-' ]"
	done
	# A file of that name is one like any other.
	cp "$work/vm.gow" "$tmp/-"
	(cd "$tmp" && run gow-check ./-; exit $status)
	assertEquals 0 $?
	for name in /dev/stdout /dev/fd/1; do
		"$GOW_BIN/gow-check" --write-manifest $name "$work/vm.gow" 2>"$err" | cat >"$tmp/manifest"
		assertSameFile "$work/vm.manifest" "$tmp/manifest"
	done
	mkfifo "$tmp/fifo"
	for call in "gow-convert --to raw vm.gow" "gow-convert --metadata-only --to tar vm.gow" \
		"gow-check vm.gow --write-manifest"; do
		# shellcheck disable=SC2086 # a command and its words
		(cd "$tmp" && run $call fifo; exit $status)
		assertEquals "$call" 8 $?
		assertErr 'say - .standard output. and >FILE'
	done
	for call in "gow-compact vm.gow -o" "gow-create 1M"; do
		# shellcheck disable=SC2086 # a command and its words
		(cd "$tmp" && run $call fifo; exit $status)
		assertEquals "$call" 8 $?
		assertErr 'is no regular file and cannot be replaced$'
	done
}

testThroughWindows() {
	sed 's/$/\r/' "$work/vm.manifest" >"$tmp/crlf"
	{ printf '\357\273\277'; cat "$tmp/crlf"; } >"$tmp/mark"
	for manifest in crlf mark; do
		run gow-check --manifest "$tmp/$manifest" "$work/vm.gow"
		assertStatus 0
	done
	run gow-probe "$work/vm.gow"
	sed 's/$/\r/' "$out" >"$tmp/crlf.layout"
	{ printf '\357\273\277'; cat "$tmp/crlf.layout"; } >"$tmp/mark.layout"
	for layout in crlf mark; do
		run gow-check --layout "$tmp/$layout.layout" "$work/vm.gow"
		assertStatus 0
	done
	cp "$work/vm.gow" "$tmp/cr$(printf '\r')"
	for list in '%s/vm.gow\r\n' '\357\273\277%s/vm.gow\r\n' '%s/vm.gow\r'; do
		# shellcheck disable=SC2059
		printf "$list" "$work" >"$tmp/list"
		run gow-check --files-from "$tmp/list"
		assertStatus 0
	done
	printf '%s/cr\r\n' "$tmp" | "$GOW_BIN/gow-check" --files-from - >"$out" 2>"$err"
	assertEquals "a name that ends so" 0 $?
}

# ---- advice ----

# What a message advises, the tool has. The library's own advice is for the tools that can come to it;
# some of it names options of other programs.
testOptionsThatAreGivenTwice() {
	for call in 'gow-check --manifest' 'gow-check --write-manifest' 'gow-check --files-from' \
		'gow-check --layout' 'gow-compact -o' 'gow-upgrade -o' 'gow-info --compare' \
		'gow-info --picture=' 'gow-probe --report' 'gow-repair -y --undo-file' \
		'gow-repair -y --salvage' 'gow-repair -y --manifest' 'gow-sync --manifest' \
		'gow-convert --member-name' 'gow-report --expect'; do
		tool=${call%% *} option=${call##* }
		# shellcheck disable=SC2086 # a command and its words
		case $option in
		*=) run "$tool" "$option$tmp/a" "$option$tmp/b" "$work/vm.gow" ;;
		*) run $call "$tmp/a" "$option" "$tmp/b" "$work/vm.gow" ;;
		esac
		assertStatus 16
		assertErr "(${option%=}|--output): given twice"
	done
	assertEquals "" "$(find "$tmp" -name "[ab]")"
}

testOptionsThatMessagesName() {
	for tool in "$GOW_BIN"/gow-*; do
		"$tool" --list-options
	done | sort -u >"$tmp/all"
	grep -rhoE '"[^"]*"' "$TESTS/../lib" | grep -oE -- '--[a-z][a-z-]+' | sort -u |
		grep -vxF -e --restore-image -e --list -e --long >"$tmp/named"
	assertEquals "" "$(grep -vxFf "$tmp/all" "$tmp/named")"
	for tool in "$GOW_BIN"/gow-*; do
		name=$(basename "$tool")
		[ -f "$TESTS/../cmd/$name.c" ] || continue
		"$tool" --list-options >"$tmp/has"
		grep -hE '(cli_usage|report_error|out_print)|^[[:space:]]*"' "$TESTS/../cmd/$name.c" |
			grep -vE 'gow-[a-z]+ --' | grep -oE '"[^"]*"' | grep -oE -- '--[a-z][a-z-]+' |
			sort -u >"$tmp/named"
		assertEquals "$name" "" "$(grep -vxFf "$tmp/has" "$tmp/named")"
	done
	# Tools that make a file and have no --force.
	cp "$work/vm.gow" "$tmp/there.gow"
	for tool in gow-upgrade gow-compact; do
		run $tool -o "$tmp/there.gow" "$work/vm.gow"
		assertStatus 8
		assertErr 'there.gow: exists already'
		assertNoErr '--force'
	done
}

. shunit2
