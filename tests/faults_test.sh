#!/bin/sh
# Calls that succeed in part and then fail, or fail in the middle of a job: whatever a tool does
# instead, the right bytes come of it, or a failure that leaves what was there.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=guest.sh
. "$TESTS/guest.sh"

suiteSetUp() {
	{
		printf 'version 1\nsize 4M\nmap 0-19 30 step -1\nmap 40-48 2\nblocks 40\n'
		printf 'data 0-5 pattern 1\ndata 11-30 pattern 2\ndata 8-9 zero\n'
	} >"$work/recipe"
	make_image "$work/recipe" "$work/image"
	make_raw "$work/recipe" "$work/raw"
}

# faulty RULES TOOL ARGUMENT...: makes $tmp/new/out of $tmp/image, or changes that.
faulty() {
	gow_rules=$1
	shift
	rm -rf "$tmp/new"
	mkdir "$tmp/new"
	cp --sparse=always "$work/image" "$tmp/image"
	run_faulty "FAULTIO_FILE=$watched" "FAULTIO_FAIL=$gow_rules" "$@"
	[ "$status" -eq 0 ] || [ "$status" -eq 8 ] || fail "$* with $gow_rules: status $status"
}

# What came of a new file.
assertNew() {
	if [ "$status" -eq 0 ]; then
		case $1 in
		raw) assertSameFile "$work/raw" "$tmp/new/out" ;;
		*) assertGuest "$tmp/new/out" "$work/raw" ;;
		esac
		assertEquals "$gow_rules leaves" out "$(ls -A "$tmp/new")"
	else
		assertEquals "$gow_rules leaves" "" "$(ls -A "$tmp/new")"
	fi
}

# As in a directory that entries can only be added to.
testNewFilesThatCannotBeRemoved() {
	watched="$tmp/new/*"
	for tool in raw gow3 compact; do
		case $tool in
		compact) set -- gow-compact -o "$tmp/new/out" "$tmp/image" ;;
		*) set -- gow-convert -O $tool "$tmp/image" "$tmp/new/out" ;;
		esac
		faulty write:1+:ENOSPC,unlink:1+:EPERM "$@"
		assertStatus 8
		assertErr 'No space left'
		assertErr '/new/.gow-tmp-.*: warning: .*of what was to be .*/new/out, and stays: .*not permitted'
		assertEquals 1 "$(find "$tmp/new" -name '.gow-tmp-*' | wc -l)"
		find "$tmp/new" -name '.gow-tmp-*' -delete
	done
}

testNewFiles() {
	watched="$tmp/new/*"
	for n in 1 2 4; do
		for error in EOPNOTSUPP 18; do # EXDEV
			faulty "write:$n:short,write:$((n + 1)):$error" gow-compact -o "$tmp/new/out" "$tmp/image"
			assertNew gow
		done
		faulty "write:$n:short,write:$((n + 1)):ENOSPC" gow-convert -O raw "$tmp/image" "$tmp/new/out"
		assertNew raw
		faulty "write:$n:short" gow-convert -O gow3 "$tmp/image" "$tmp/new/out"
		assertStatus 0
		assertNew gow
	done
	# The kernel copies no more from the second piece on; nor does it from the first.
	for n in 1 2; do
		faulty "write:$n:short,write:$((n + 1)):EOPNOTSUPP" gow-compact --keep-zeros -o "$tmp/new/out" "$tmp/image"
		assertStatus 0
		assertNew gow
	done
	# A name is taken by a link where the file system knows no flags.
	for rules in rename:1:EINVAL rename:1:ENOSYS rename:1:EINVAL,rename:2:EPERM; do
		faulty $rules gow-convert -O raw "$tmp/image" "$tmp/new/out"
		assertNew raw
	done
}

# Over a network a file may tell of an error when it is closed; directories cannot be synced everywhere.
testTheEndOfANewFile() {
	watched="$tmp/new*"
	for tool in raw gow3 compact; do
		case $tool in
		compact) set -- gow-compact -o "$tmp/new/out" "$tmp/image" ;;
		*) set -- gow-convert -O $tool "$tmp/image" "$tmp/new/out" ;;
		esac
		for error in EIO EDQUOT; do
			faulty close:1:$error "$@"
			assertStatus 8
			assertErr '/new/out: cannot close'
			assertNew $tool
		done
		faulty sync:2:EINVAL "$@"
		assertStatus 0
		assertNew $tool
		# All is there by then.
		faulty sync:2:EIO "$@"
		assertStatus 8
		assertErr 'its name may be lost'
		status=0
		assertNew $tool
	done
}

# Where holes are is asked; what cannot be told is data.
testReading() {
	watched="$tmp/image"
	for n in 2 3 8; do
		faulty "seek:$n:EINVAL" gow-convert -O raw "$tmp/image" "$tmp/new/out"
		assertStatus 0
		assertNew raw
		faulty "read:$n:short" gow-convert -O raw "$tmp/image" "$tmp/new/out"
		assertStatus 0
		assertNew raw
		faulty "read:$n:short,read:$((n + 1)):EIO" gow-convert -O raw "$tmp/image" "$tmp/new/out"
		assertNew raw
	done
}

# In place: done, or as before, or to be gone on with.
testInPlace() {
	watched="$tmp/image"
	for tool in gow-compact 'gow-compact --keep-zeros' gow-upgrade; do
		for rules in allocate:1:EOPNOTSUPP allocate:3+:EOPNOTSUPP seek:4:EINVAL \
			write:4:short,write:5:EOPNOTSUPP write:7:short,write:8:EINVAL write:9:short; do
			# shellcheck disable=SC2086 # words
			faulty $rules $tool "$tmp/image"
			if [ "$status" -ne 0 ]; then
				# shellcheck disable=SC2086 # words
				run $tool "$tmp/image"
				assertStatus 0
			fi
			assertGuest "$tmp/image" "$work/raw"
		done
	done
	# File systems say in many ways that space cannot be reserved.
	for error in EOPNOTSUPP ENOSYS EINVAL 19; do # ENODEV
		for tool in gow-compact gow-upgrade; do
			faulty "allocate:1+:$error" $tool "$tmp/image"
			assertStatus 0
			assertGuest "$tmp/image" "$work/raw"
		done
	done
	# The first says what can be punched; a later one fails all the same.
	for rules in allocate:1:EOPNOTSUPP allocate:2:EOPNOTSUPP allocate:3:EINVAL; do
		faulty $rules gow-compact --punch "$tmp/image"
		assertGuest "$tmp/image" "$work/raw"
	done
}

# What is stored is settled before the data is copied; a byte that comes where none was then would
# make an archive that its own manifest refuses.
testASourceThatChangesUnderAnArchive() {
	# Block 35 of the disk is no one's when the plan is made.
	for n in 4 8 10 11 12 14 16; do
		cp --sparse=always "$work/raw" "$tmp/disk"
		rm -f "$tmp/out.tar"
		run_faulty "FAULTIO_FILE=$tmp/disk" "FAULTIO_CUT=$tmp/disk" \
			"FAULTIO_FAIL=read:$n:poke=$((60 * 65536 + 5))" \
			gow-convert -f raw --no-lock "$tmp/disk" "$tmp/out.tar"
		if [ "$status" -eq 0 ]; then
			tar -xf "$tmp/out.tar" -C "$tmp"
			run gow-convert --verify "$tmp/out.tar" "$tmp/back.raw"
			assertStatus 0
			rm -f "$tmp/back.raw"
		else
			assertStatus 8
			assertErr 'changed while it was read'
			refused=yes
			assertFalse "an archive is left" "[ -e '$tmp/out.tar' ]"
		fi
	done
	assertEquals "it was refused" yes "${refused:-no}"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
