#!/bin/sh
# --digest of the tools that change an image: the guest digest before and after.  What is
# compared comes from guestdigest, which is written from the format's description.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=guest.sh
. "$TESTS/guest.sh"

# shellcheck source=digest.sh
. "$TESTS/digest.sh"

suiteSetUp() {
	make_disks
}

assertDigests() {
	assertJson ".digest_before == $1 and .digest == $2"
}

# A disk whose blocks are all full of data, a gap in the file below them.
full_recipe() {
	cat <<END
version 1
size 10*65536
map 0-9 1
blocks 11
data 1-10 pattern 1
END
}

# write_of TRACE START END: the number of the first write of a whole block's data there.
write_of() {
	awk -v start="$2" -v end="$3" \
		'$1 == "write" { n++; if ($NF >= 65536 && $(NF - 1) >= start && $(NF - 1) < end) { print n; exit } }' "$1"
}

testCompact() {
	for how in -n '' --punch --keep-zeros "-o $tmp/out.gow"; do
		take_copy "$work/v3.gow" "$tmp/image"
		# shellcheck disable=SC2086 # nothing, or words
		run gow-compact --json --digest $how "$tmp/image"
		assertStatus 0
		assertDigests "\"$digest\"" "\"$digest\""
	done
	run gow-compact --digest "$tmp/image"
	assertStatus 0
	assertOut "image: digest $digest, as before\$"
	run gow-compact --json "$tmp/image"
	assertJson 'has("digest") or has("digest_before") | not'
	run gow-compact -q --digest "$tmp/image"
	assertOutEmpty
}

testUpgrade() {
	for how in -n '' "-n -o $tmp/out.gow" "-o $tmp/out.gow"; do
		for version in 1 2 3; do
			take_copy "$work/v$version.gow" "$tmp/image"
			rm -f "$tmp/out.gow"
			# shellcheck disable=SC2086 # nothing, or words
			run gow-upgrade --json --digest $how "$tmp/image"
			assertStatus 0
			assertDigests "\"$digest\"" "\"$digest\""
			assertJson ".bytes_before == $(stat -c %s "$work/v$version.gow")"
		done
	done
	run gow-upgrade --digest "$tmp/image"
	assertOut "image: digest $digest, as before\$"
	run gow-upgrade --json "$tmp/image"
	assertJson 'has("digest") or has("digest_before") | not'
}

# What is pending has no digest; what becomes of it has one.
testPendingUpgrade() {
	for how in '' --rollback; do
		take_copy "$work/v2.gow" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=sync:5:kill gow-upgrade "$tmp/image"
		assertStatus 137
		# shellcheck disable=SC2086 # nothing, or a word
		run gow-upgrade --json --digest $how "$tmp/image"
		assertStatus 0
		assertDigests null "\"$digest\""
	done
	take_copy "$work/v2.gow" "$tmp/image"
	run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL=sync:5:kill gow-upgrade "$tmp/image"
	run gow-repair -p --json --digest "$tmp/image"
	assertDigests null "\"$digest\""
}

# The medium takes a block and keeps another: nothing fails but the proof.
testLyingMedium() {
	full_recipe >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/sound"
	for tool in compact upgrade; do
		take_copy "$tmp/sound" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" gow-$tool "$tmp/image"
		assertStatus 0
		start=4194324
		[ $tool = compact ] || start=33554944
		n=$(write_of "$tmp/trace" $start "$(stat -c %s "$tmp/image")")
		rm "$tmp/trace"
		take_copy "$tmp/sound" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL="write:$n:flip" gow-$tool --digest "$tmp/image"
		assertStatus 8
		assertErr "gow-$tool: .*image: .*(not what it was|reads back as something else)"
		assertOutEmpty
	done
}

# A new file that is not the same disk does not appear. (The kernel is kept from copying by
# itself, where nothing could be flipped.)
testLyingMediumOfANewFile() {
	full_recipe >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/sound"
	for tool in compact upgrade; do
		mkdir "$tmp/new"
		run_faulty FAULTIO_FILE="$tmp/new/*" FAULTIO_TRACE="$tmp/trace" \
			gow-$tool -o "$tmp/new/out" "$tmp/sound"
		assertStatus 0
		start=4194324
		[ $tool = compact ] || start=33554944
		n=$(write_of "$tmp/trace" $start "$(stat -c %s "$tmp/new/out")")
		rm "$tmp/trace" "$tmp/new/out"
		faults="write:$n:flip"
		[ $tool = upgrade ] || faults="write:$n:EOPNOTSUPP,write:$((n + 1)):flip"
		run_faulty FAULTIO_FILE="$tmp/new/*" FAULTIO_FAIL="$faults" \
			gow-$tool --digest -o "$tmp/new/out" "$tmp/sound"
		assertStatus 8
		assertErr 'digest'
		assertOutEmpty
		assertNull "left in the directory" "$(ls -A "$tmp/new")"
		rmdir "$tmp/new"
	done
}

testRepair() {
	for case in header-count-low-v1 space-tail-v2 version-zero-v3; do
		make_image $case "$tmp/image"
		run gow-check --json --digest "$tmp/image"
		before=$(json .digest)
		assertNotEquals null "$before"
		run gow-repair -n -y --json --digest "$tmp/image"
		assertDigests "\"$before\"" "\"$before\""
		run gow-repair -y --json --digest "$tmp/image"
		assertStatus 1
		assertDigests "\"$before\"" "\"$before\""
		run gow-repair --undo -n --json --digest "$tmp/image"
		assertDigests "\"$before\"" "\"$before\""
		run gow-repair --undo --digest "$tmp/image"
		assertStatus 0
		assertOut "digest $before, as before"
	done
	run gow-repair -n --json "$tmp/image"
	assertJson 'has("digest") or has("digest_before") | not'
}

# What was read before has to be read afterwards, too.
testUnreadableAfterwards() {
	full_recipe >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/sound"
	for tool in compact upgrade; do
		rm -f "$tmp/trace"
		take_copy "$tmp/sound" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_TRACE="$tmp/trace" gow-$tool --digest "$tmp/image"
		assertStatus 0
		n=$(awk '$1 == "read" { n = $2 } END { print n }' "$tmp/trace")
		take_copy "$tmp/sound" "$tmp/image"
		run_faulty FAULTIO_FILE="$tmp/image" FAULTIO_FAIL="read:$n+:EIO" gow-$tool --digest "$tmp/image"
		assertStatus 8
		assertErr 'is not what it was \(digest [0-9a-f]{32} before, none after\)'
		assertOutEmpty
	done
}

# A disk of which a part is not in the file has no digest until that part is given up; a dry run
# knows the one that comes.
testRepairThatLoses() {
	make_image map-range-v2 "$tmp/image"
	run gow-repair -n -y --json --digest "$tmp/image"
	assertJson '.digest_before == null'
	after=$(json .digest)
	assertNotEquals null "$after"
	run gow-repair -y --digest "$tmp/image"
	assertOut "image: digest $after \\(before: none\\)"
	run gow-convert -O raw "$tmp/image" "$tmp/raw"
	assertStatus 0
	assertEquals "$("$GOW_TESTBIN/guestdigest" "$tmp/raw")" "$after"
	run gow-repair --undo -n --json --digest "$tmp/image"
	assertDigests "\"$after\"" null
	run gow-repair --undo --digest "$tmp/image"
	assertOut "image: no digest: .* \\(before: $after\\)"
}

testRuinedPreamble() {
	take_copy "$work/v3.gow" "$tmp/image"
	printf xxxx | dd of="$tmp/image" conv=notrunc status=none
	run gow-repair -y --assume-version 3 --json --digest "$tmp/image"
	assertDigests null "\"$digest\""
}

testDryRunChangesNothing() {
	for tool in compact upgrade "repair -y"; do
		take_copy "$work/v2.gow" "$tmp/image"
		state_of "$tmp/image"
		# shellcheck disable=SC2086 # a tool and its option
		run gow-$tool -n --digest "$tmp/image"
		assertUnchanged "$tmp/image"
	done
}

# shellcheck source=/dev/null
. "$SHUNIT2"
