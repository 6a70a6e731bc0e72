#!/bin/sh
# Somebody opens a file while a tool works: each tool notices at its next safe point.  The
# newcomer comes at an exact call (faultio's come=), so nothing here depends on timing.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=guest.sh
. "$TESTS/guest.sh"

# A disk with data, zeros and movers, most of it holes, so that it costs little; and blocks with data
# that nobody owns, between others.
recipe() {
	printf 'version %s\nsize 40M\nmap 0-499 500 step -1\nmap 600-601 550\nblocks 600\n' "$1"
	printf 'data 1-40 pattern 1\ndata 480-500 pattern 2\ndata 550 pattern 3\n'
	printf 'map 20 none\nmap 30 none\ndata 510 pattern 4\n'
}

suiteSetUp() {
	recipe 1 >"$work/recipe"
	make_image "$work/recipe" "$work/image"
	make_raw "$work/recipe" "$work/raw"
}

fresh() {
	cp --sparse=always "$work/image" "$tmp/image"
}

# came RULE TOOL ARGUMENT...: runs it with a newcomer to $tmp/image; then $after is how
# often the image was read or written after that.
came() {
	rm -f "$tmp/trace"
	gow_rule=$1
	shift
	run_faulty "FAULTIO_FILE=$tmp/image" "FAULTIO_TRACE=$tmp/trace" "FAULTIO_FAIL=$gow_rule" "$@"
	gow_call=${gow_rule%%:*} gow_number=${gow_rule#*:}
	gow_number=${gow_number%%:*}
	assertTrue "no call $gow_rule" "grep -q '^$gow_call $gow_number ' '$tmp/trace'"
	after=$(sed "1,/^$gow_call $gow_number /d" "$tmp/trace" | grep -cE '^(read|write) ')
}

assertStopped() {
	assertStatus 64
	assertErr 'came to open'
}

# Before anything is written; at the first write; and soon, while zeros are looked for.
testCompact() {
	need_leases "$tmp" || return 0
	for option in '' --keep-zeros; do
		for rule in sync:1 write:1; do
			fresh
			# shellcheck disable=SC2086 # may be empty
			came $rule:come=read gow-compact $option "$tmp/image"
			assertStopped
			[ $rule = write:1 ] || assertSameFile "$work/image" "$tmp/image"
			assertGuest "$tmp/image" "$work/raw"
		done
	done
	fresh
	came sync:1:come=read gow-compact "$tmp/image"
	assertTrue "goes on for $after calls" "[ $after -lt 20 ]"
	# From then on nothing is given up: not an entry, not the count, not the end of the file.
	for option in '' --keep-zeros --punch; do
		fresh
		# shellcheck disable=SC2086 # may be empty
		run_faulty "FAULTIO_FILE=$tmp/image" "FAULTIO_TRACE=$tmp/syncs" gow-compact $option "$tmp/image"
		for nth in $(seq "$(($(grep -c '^sync ' "$tmp/syncs") - 1))"); do
			fresh
			# shellcheck disable=SC2086 # may be empty
			came sync:$nth:come=write gow-compact $option "$tmp/image"
			assertStopped
			assertNull "$option, sync $nth: writes after" \
				"$(sed "1,/^sync $nth /d" "$tmp/trace" | grep -E '^(write|truncate|allocate) ')"
			assertGuest "$tmp/image" "$work/raw"
		done
		rm -f "$tmp/syncs"
	done
	fresh
	came allocate:2:come=read gow-compact --punch "$tmp/image"
	assertStopped
	assertNull 'holes after' "$(sed '1,/^allocate 2 /d' "$tmp/trace" | grep '^allocate ')"
	came read:1:come=write gow-compact --keep-zeros -o "$tmp/out" "$tmp/image"
	assertErr 'opens it for writing|came to open'
}

# Before the undo file is made; while blocks are copied; before anything is overwritten.
testRepair() {
	need_leases "$tmp" || return 0
	make_image crosslink-pairs-v3 "$tmp/broken"
	for rule in sync:1 write:1 write:2; do
		cp --sparse=always "$tmp/broken" "$tmp/image"
		came $rule:come=read gow-repair -y "$tmp/image"
		assertStopped
		assertSameFile "$tmp/broken" "$tmp/image"
		assertFalse "an undo file is left" "[ -e '$tmp/image.gow-undo' ]"
	done
}

# Once there are the undo file and the room, and nothing is written yet: all is given back.
testRepairGivesBackTheRoom() {
	need_leases "$tmp" || return 0
	printf 'version 1\nsize 4M\nmap 0-9 0 step 0\ndata 0 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/broken"
	cp --sparse=never "$tmp/broken" "$tmp/image"
	blocks=$(stat -c %b "$tmp/image")
	came allocate:1:come=read gow-repair -y "$tmp/image"
	assertStopped
	assertNull 'written to' "$(grep '^write ' "$tmp/trace")"
	assertEquals 'blocks on the disk' "$blocks" "$(stat -c %b "$tmp/image")"
	assertSameFile "$tmp/broken" "$tmp/image"
	assertFalse "an undo file is left" "[ -e '$tmp/image.gow-undo' ]"
}

# While copies are read back there is still a way back.
testRepairIsTakenBack() {
	need_leases "$tmp" || return 0
	printf 'version 1\nsize 4M\nmap 0-29 0 step 0\ndata 0 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/broken"
	cp --sparse=always "$tmp/broken" "$tmp/image"
	run_faulty "FAULTIO_FILE=$tmp/image" "FAULTIO_TRACE=$tmp/reads" gow-repair -y "$tmp/image"
	nth=$(awk '$1 == "read" && $4 == 4194324 + 65536 { print $2 }' "$tmp/reads" | sed -n 1p)
	rm "$tmp/image.gow-undo"
	cp --sparse=always "$tmp/broken" "$tmp/image"
	came "read:$nth:come=read" gow-repair -y "$tmp/image"
	assertStopped
	assertErr 'everything was rolled back'
	assertSameFile "$tmp/broken" "$tmp/image"
	assertFalse "an undo file is left" "[ -e '$tmp/image.gow-undo' ]"
}

testUndo() {
	need_leases "$tmp" || return 0
	make_image map-range-v1 "$tmp/image"
	cp "$tmp/image" "$tmp/broken"
	run gow-repair -y "$tmp/image"
	cp "$tmp/image" "$tmp/repaired"
	came sync:1:come=read gow-repair --undo "$tmp/image"
	assertStopped
	assertSameFile "$tmp/repaired" "$tmp/image"
	run gow-repair --undo "$tmp/image"
	assertStatus 0
	assertSameFile "$tmp/broken" "$tmp/image"
	# Copies of shared blocks are compared before they are given up.
	rm "$tmp"/image*
	printf 'version 1\nsize 40M\nmap 0-299 0\nmap 300-599 0\nblocks 300\ndata 0-299 pattern 1\n' \
		>"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/image"
	run gow-repair -y "$tmp/image"
	cp --sparse=always "$tmp/image" "$tmp/repaired"
	cp "$tmp/image.gow-undo" "$tmp/undo"
	set -- gow-repair --undo "$tmp/image"
	number=$(data_read "$@")
	cp --sparse=always "$tmp/repaired" "$tmp/image"
	cp "$tmp/undo" "$tmp/image.gow-undo"
	came "read:$number:come=read" "$@"
	assertSoon 'copies'
	assertSameFile "$tmp/repaired" "$tmp/image"
}

# Before the mark the image is as it was.  Afterwards it is in the middle.
testUpgrade() {
	need_leases "$tmp" || return 0
	fresh
	came write:1:come=read gow-upgrade "$tmp/image"
	assertStopped
	assertSameFile "$work/image" "$tmp/image"
	came sync:12:come=read gow-upgrade --to 2 "$tmp/image"
	assertStopped
	cp --sparse=always "$tmp/image" "$tmp/middle"
	for option in --rollback --to=2; do
		cp --sparse=always "$tmp/middle" "$tmp/image"
		came sync:1:come=read gow-upgrade $option "$tmp/image"
		assertStopped
		run gow-upgrade $option "$tmp/image"
		assertStatus 0
		assertGuest "$tmp/image" "$work/raw"
	done
	# The image is at rest again, and no longer the tool's to cut.
	fresh
	run_faulty "FAULTIO_FILE=$tmp/image" "FAULTIO_TRACE=$tmp/syncs" gow-upgrade --to 2 "$tmp/image"
	nth=$(($(grep -c '^sync ' "$tmp/syncs") - 1))
	fresh
	came sync:$nth:come=write gow-upgrade --to 2 "$tmp/image"
	assertStopped
	assertNull "it is cut" "$(sed "1,/^sync $nth /d" "$tmp/trace" | grep '^truncate ')"
	assertFalse "pending" "head -c 4 '$tmp/image' | grep -q '!'"
	run gow-upgrade --to 2 "$tmp/image"
	assertStatus 0
	assertGuest "$tmp/image" "$work/raw"
	assertEquals "size" "$(grep '^truncate ' "$tmp/syncs" | tail -n 1 | cut -d' ' -f4)" \
		"$(stat -c %s "$tmp/image")"
}

# A reader for which a moving image means nothing stops soon; others say so, once.
testReaders() {
	need_leases "$tmp" || return 0
	fresh
	run_faulty "FAULTIO_FILE=$tmp/image" "FAULTIO_TRACE=$tmp/reads" gow-check --data "$tmp/image"
	nth=$(awk '$1 == "read" && $5 == 65536 { print $2 }' "$tmp/reads" | sed -n 2p) # of a block
	came "read:$nth:come=write" gow-check --data "$tmp/image"
	assertStopped
	assertTrue "goes on for $after calls" "[ $after -lt 10 ]"
	# Unless it does not mind.
	came "read:$nth:come=write" gow-check --data --force-share "$tmp/image"
	assertStatus 2
	assertEquals 1 "$(grep -c 'opens it for writing' "$err")"
	assertTrue "ends after $after calls" "[ $after -gt 20 ]"
	came read:4:come=write gow-convert "$tmp/image" "$tmp/out.raw"
	assertEquals 1 "$(grep -c 'opens it for writing' "$err")"
	run gow-convert "$tmp/image" "$tmp/tar.tar"
	cp --sparse=always "$work/raw" "$tmp/image"
	came read:4:come=write gow-convert -f raw "$tmp/image" "$tmp/out.gow"
	assertEquals 1 "$(grep -c 'opens it for writing' "$err")"
	# Either of two that are compared.
	cp --sparse=always "$work/image" "$tmp/image"
	cp --sparse=always "$work/image" "$tmp/other"
	came read:4:come=write gow-info --compare "$tmp/other" --data "$tmp/image"
	assertEquals 1 "$(grep -c 'opens it for writing' "$err")"
	came read:4:come=write gow-info --compare "$tmp/image" --data "$tmp/other"
	assertEquals 1 "$(grep -c 'opens it for writing' "$err")"
	mv "$tmp/tar.tar" "$tmp/image"
	came read:4:come=write gow-convert "$tmp/image" "$tmp/archived.gow"
	assertEquals 1 "$(grep -c 'opens it for writing' "$err")"
}

# assertSoon: it has stopped, without going through all of the image's 502 blocks.
assertSoon() {
	assertStopped
	assertTrue "$1: goes on for $after calls" "[ $after -lt 130 ]"
}

# data_read TOOL ARGUMENT...: in which reading call the tool reads the second block of $tmp/image.
data_read() {
	rm -f "$tmp/reads"
	run_faulty "FAULTIO_FILE=$tmp/image" "FAULTIO_TRACE=$tmp/reads" "$@"
	awk '$1 == "read" && $5 == 65536 { print $2 }' "$tmp/reads" | sed -n 2p
}

# What is compared with a manifest, verified, or left by an earlier run may be as much as an image has.
testSync() {
	need_leases "$tmp" || return 0
	recipe 3 >"$tmp/recipe"
	printf 'ver 0-499 1\nver 600-601 1\n' >>"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/master"
	printf 'version 3\nsize 40M\n' >"$tmp/empty"
	run gow-check -q --write-manifest "$tmp/manifest" "$tmp/master"
	# A copy that is in step, and a master that has to be read.
	cp --sparse=always "$tmp/master" "$tmp/image"
	cp --sparse=always "$tmp/master" "$tmp/copy"
	set -- gow-sync --manifest "$tmp/manifest" "$tmp/master" "$tmp/image"
	came "read:$(data_read "$@"):come=write" "$@"
	assertSoon 'what the copy has'
	set -- gow-sync --verify "$tmp/image" "$tmp/copy"
	came "read:$(data_read "$@"):come=write" "$@"
	assertSoon 'what the master has'
	# What was fetched: by this run, and by one before it.
	set -- gow-sync --manifest "$tmp/manifest" "$tmp/master" "$tmp/image"
	make_image "$tmp/empty" "$tmp/image"
	number=$(data_read "$@")
	make_image "$tmp/empty" "$tmp/image"
	came "read:$number:come=read" "$@"
	assertSoon 'what was fetched'
	mkdir "$tmp/begun"
	rm -f "$tmp/image.gow-sync"
	make_image "$tmp/empty" "$tmp/image"
	run_faulty "FAULTIO_FILE=$tmp/image" FAULTIO_FAIL=write:300:kill gow-sync "$tmp/master" "$tmp/image"
	cp --sparse=always "$tmp/image" "$tmp/image.gow-sync" "$tmp/begun"
	number=$(data_read gow-sync "$tmp/master" "$tmp/image")
	cp --sparse=always "$tmp"/begun/* "$tmp"
	came "read:$number:come=read" gow-sync "$tmp/master" "$tmp/image"
	assertSoon 'what was there'
	run gow-sync "$tmp/master" "$tmp/image"
	assertStatus 0
	assertGuest "$tmp/image" "$work/raw"
}

# A copy that is at rest again is no longer the tool's to make holes in.
testSyncMakesNoHolesInAnothersCopy() {
	need_leases "$tmp" || return 0
	for number in 1 2; do
		printf 'version 3\nsize 16M\nmap 0-199 0\ndata 0-199 pattern %s\nver 0-199 %s\n' $number $number \
			>"$tmp/recipe"
		make_image "$tmp/recipe" "$tmp/$number"
	done
	mv "$tmp/1" "$tmp/image"
	mv "$tmp/2" "$tmp/master"
	cp --sparse=always "$tmp/image" "$tmp/copy"
	for come in '' "FAULTIO_FAIL=unlink:1:come=write"; do
		rm -f "$tmp/trace"
		cp --sparse=always "$tmp/copy" "$tmp/image"
		run_faulty "FAULTIO_FILE=$tmp/image*" "FAULTIO_COME=$tmp/image" "FAULTIO_TRACE=$tmp/trace" \
			$come gow-sync "$tmp/master" "$tmp/image"
		assertStatus 0
		holes=$(sed '1,/^unlink 1 .*gow-undo /d' "$tmp/trace" | grep -c '^allocate .* 12709888$')
		assertEquals "holes, $come" "$([ -n "$come" ]; echo $?)" "$holes"
	done
}

# Blocks that nobody owns are saved while the image is as it was.
testSalvage() {
	need_leases "$tmp" || return 0
	printf 'version 1\nsize 40M\nblocks 500\ndata 0-499 pattern 1\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/image"
	set -- gow-repair -y --salvage "$tmp/saved" "$tmp/image"
	number=$(data_read "$@")
	rm "$tmp"/saved*
	came "read:$number:come=read" "$@"
	assertSoon 'saving'
	assertEquals 'what is left' '' "$(find "$tmp" -name 'saved*' -o -name '.gow*')"
}

# Over a network a lease is refused unless the server handed the file over: that says nothing.
testNoLeasesOverANetwork() {
	make_image space-leak-v1 "$tmp/leaky"
	for kind in 0x6969 0xff534d42 0xfe534d42; do # NFS, SMB
		cp "$tmp/leaky" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FS=$kind FAULTIO_FAIL=lease:1+:EAGAIN \
			gow-check -v "$tmp/image"
		assertStatus 2
		assertErr 'cannot tell whether another process'
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FS=$kind FAULTIO_FAIL=lease:1+:EAGAIN \
			gow-compact "$tmp/image"
		assertStatus 0
	done
	# A process of this machine that has it open is found, and on a file system of this machine
	# a refusal is what it says.
	cp "$tmp/leaky" "$tmp/image"
	for kind in 0x6969 0xef53; do
		exec 9<"$tmp/image"
		[ $kind = 0x6969 ] || exec 9<&-
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FS=$kind FAULTIO_FAIL=lease:1+:EAGAIN \
			gow-compact "$tmp/image"
		assertStatus 64
	done
}

# Whoever would be refused does not open the file: that would break a lease of the lock's holder.
testALockedFileIsNotOpened() {
	fresh
	for kind in ofd-write posix-write; do
		for tool in gow-check gow-compact; do
			rm -f "$tmp/trace"
			run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" "$GOW_TESTBIN/hold" -w \
				-l $kind "$tmp/image" "$GOW_BIN/$tool" "$tmp/image"
			assertStatus 64
			assertErr 'image: is locked by process [0-9]+ \(hold\)'
			assertEquals "$kind, $tool: but for the holder's" 1 "$(wc -l <"$tmp/trace")"
		done
	done
}

# /proc/locks names a file by another device than stat does: on btrfs, and on an overlay. A lock
# there is seen all the same before the file is opened, which would break its holder's lease.
testLocksOnAnOverlay() {
	need_root || return 0
	mount_tmpfs 16m
	# shellcheck disable=SC2154 # mount_tmpfs sets it
	lower=$mnt
	make_image space-leak-v1 "$lower/image"
	mount_tmpfs 16m
	upper=$mnt
	mkdir "$upper/upper" "$upper/work" "$tmp/merged"
	mount -t overlay -o "lowerdir=$lower,upperdir=$upper/upper,workdir=$upper/work" overlay \
		"$tmp/merged" 2>/dev/null || { skip "no overlays here" && return; }
	at_end "umount '$tmp/merged'"
	image=$tmp/merged/image
	run_faulty FAULTIO_FILE="$image" FAULTIO_TRACE="$tmp/trace" "$GOW_TESTBIN/hold" -l ofd-read \
		"$image" "$GOW_BIN/gow-compact" "$image"
	assertStatus 64
	assertErr 'is locked'
	# That of hold, and that of the look; none after the image was opened for writing.
	assertEquals "opened for writing" 2 "$(grep -c "^lock" "$tmp/trace")"
}

# Somebody opens what is about to be replaced.
testReplacedFile() {
	need_leases "$tmp" || return 0
	make_image sound-v1 "$tmp/image"
	cp "$tmp/image" "$tmp/old"
	run_faulty "FAULTIO_FILE=$work/image" "FAULTIO_TRACE=$tmp/reads" \
		gow-convert -O gow "$work/image" "$tmp/new"
	nth=$(grep -c '^read ' "$tmp/reads")
	run_faulty "FAULTIO_FILE=$work/image" "FAULTIO_COME=$tmp/image" "FAULTIO_FAIL=read:$nth:come=read" \
		gow-convert --force -O gow "$work/image" "$tmp/image"
	assertStopped
	assertSameFile "$tmp/old" "$tmp/image"
}

# Another file takes the name of the one that is worked on: of that nobody is told that it is done.
testReplacedMeanwhile() {
	make_image map-range-v1 "$tmp/broken"
	for tool in 'gow-repair -y' gow-compact 'gow-upgrade --to 2'; do
		for nth in 2 3 4; do
			rm -f "$tmp"/image* "$tmp/other"
			fresh
			[ "$tool" != 'gow-repair -y' ] || cp --sparse=always "$tmp/broken" "$tmp/image"
			cp --sparse=always "$tmp/image" "$tmp/other"
			cp --sparse=always "$tmp/image" "$tmp/before"
			# shellcheck disable=SC2086 # words
			run_faulty "FAULTIO_FILE=$tmp/image" "FAULTIO_SWAP=$tmp/other" \
				"FAULTIO_FAIL=sync:$nth:swap" $tool "$tmp/image"
			assertFalse "no sync $nth" "[ -e '$tmp/other' ]"
			assertStatus 8
			assertErr 'renamed or replaced'
			assertSameFile "$tmp/before" "$tmp/image"
		done
	done
}

testReplacedWhileUndone() {
	make_image map-range-v1 "$tmp/image"
	cp "$tmp/image" "$tmp/broken"
	run gow-repair -y "$tmp/image"
	cp "$tmp/image" "$tmp/other"
	run_faulty "FAULTIO_FILE=$tmp/image" "FAULTIO_SWAP=$tmp/other" FAULTIO_FAIL=sync:3:swap \
		gow-repair --undo "$tmp/image"
	assertFalse "no sync 3" "[ -e '$tmp/other' ]"
	assertStatus 8
	assertErr 'renamed or replaced'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
