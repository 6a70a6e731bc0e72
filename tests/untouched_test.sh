#!/bin/sh
# What finds nothing to do opens nothing for writing: not on a mount that is read only, and not
# while somebody reads it.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

recipe() {
	cat <<END
version 3
size 1M
map 0-3 0
blocks $1
data 0-3 pattern 1
END
}

suiteSetUp() {
	recipe 4 >"$work/sound"
	recipe 6 >"$work/leaky"
	make_image "$work/sound" "$work/sound.gow"
	make_image "$work/leaky" "$work/leaky.gow"
	make_image sound-v1 "$work/older.gow"
	make_image map-range-v1 "$work/broken.gow"
	make_image map-range-v1 "$work/repaired.gow"
	"$GOW_BIN/gow-repair" -y "$work/repaired.gow" >"$work/said" 2>&1
}

# Every way of calling a tool that may change an image, one a line.
idle() {
	cat <<END
gow-compact
gow-compact --keep-zeros
gow-compact --punch
gow-compact --digest
gow-upgrade
gow-upgrade --digest
gow-repair -p
gow-repair -y
gow-repair -y --digest
gow-sync $work/sound.gow
gow-sync --verify $work/sound.gow
END
}

dry() {
	cat <<END
gow-compact -n
gow-compact -n --digest
gow-compact -n --keep-zeros
gow-compact -n --punch
gow-repair -n
gow-repair -n -p
gow-repair -n -y --digest
gow-sync -n $work/sound.gow
END
}

# What a dry run of these would be, of an image that needs it.
dry_others() {
	cat <<END
older.gow gow-upgrade -n
older.gow gow-upgrade -n --digest
older.gow gow-upgrade -n --rollback
broken.gow gow-repair -n
broken.gow gow-repair -n -y
repaired.gow gow-repair --undo -n
repaired.gow gow-repair --undo -n --digest
END
}

# Nothing of it fails for want of rights, or because somebody reads the images.
call_all() {
	idle >"$tmp/idle"
	while read -r call; do
		# shellcheck disable=SC2086 # a command and its options
		run $call "$1/sound.gow"
		assertStatus 0
	done <"$tmp/idle"
	dry >"$tmp/dry"
	while read -r call; do
		# shellcheck disable=SC2086 # a command and its options
		run $call "$1/leaky.gow"
		# What would not work for want of a writable file system is said.
		grep -q -i 'read-only' "$err" || assertEquals "$call" 0 $((status & 72))
	done <"$tmp/dry"
}

# A dry run opens nothing for writing, also where there is something to do: a reader's lock does
# not refuse it, nor is its lease broken.
testDryRunsOpenNothingForWriting() {
	need_leases "$tmp" || return 0
	cp "$work"/*.gow "$work"/*.gow-undo "$tmp/"
	{
		dry | sed 's/^/leaky.gow /'
		dry_others
	} >"$tmp/calls"
	while read -r name call; do
		state_of "$tmp/$name"
		# shellcheck disable=SC2086 # a command and its options
		run hold -r -l ofd-read "$tmp/$name" "$GOW_BIN/"$call "$tmp/$name" </dev/null
		assertEquals "$call" 0 $((status & 72))
		assertUnchanged "$tmp/$name"
	done <"$tmp/calls"
}

# A reader is in the way of whoever opens for writing.
testReader() {
	need_leases "$tmp" || return 0
	cp "$work/sound.gow" "$work/leaky.gow" "$tmp/"
	exec 8<"$tmp/sound.gow" 9<"$tmp/leaky.gow"
	call_all "$tmp"
	# The counter-experiment: there is something to do.
	run gow-compact "$tmp/leaky.gow"
	assertStatus 64
	exec 8<&- 9<&-
	run gow-compact "$tmp/leaky.gow"
	assertStatus 0
}

testReadOnlyMount() {
	need_root || return 0
	mount_tmpfs 64M
	# shellcheck disable=SC2154 # mount_tmpfs sets it
	cp "$work/sound.gow" "$work/leaky.gow" "$mnt/"
	mount -o remount,ro "$mnt" || {
		skip 'cannot mount anything read only'
		return
	}
	call_all "$mnt"
	run gow-compact "$mnt/leaky.gow"
	assertStatus 8
}

# On an overlay, what is opened for writing is copied up, all of it.
testNothingIsCopiedUp() {
	need_root || return 0
	mount_tmpfs 64M
	mkdir "$mnt/lower" "$mnt/upper" "$mnt/work" "$tmp/merged"
	cp "$work/sound.gow" "$work/leaky.gow" "$mnt/lower/"
	mount -t overlay -o "lowerdir=$mnt/lower,upperdir=$mnt/upper,workdir=$mnt/work" overlay \
		"$tmp/merged" 2>/dev/null || { skip "no overlays here" && return; }
	at_end "umount '$tmp/merged'"
	call_all "$tmp/merged"
	assertEquals "copied up" "" "$(ls -A "$mnt/upper")"
	# The counter-experiment: there is something to do.
	run gow-compact "$tmp/merged/leaky.gow"
	assertStatus 0
	assertEquals leaky.gow "$(ls -A "$mnt/upper")"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
