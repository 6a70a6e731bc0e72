#!/bin/sh
# Every damaged image of fixtures/ under gow-repair -y: the exact bytes, a second run
# that changes nothing, the guest's blocks, and the original bit for bit after --undo.
# Each directory is a test of its own.
#
# A directory's `repaired` begins with "# gow-repair -y: exit N; left: ID...", with more options
# than -y where it takes more. What follows is appended to the recipe, or if it has a
# `version` of its own, stands for it.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

cases=''
for case in $(sampled_fixtures); do
	case=$(basename "$case")
	grep -q '"exit": *0' "$fixtures/$case/check.json" && continue
	name=test_$(echo "$case" | tr -c 'a-z0-9\n' _)
	cases="$cases $name"
	eval "$name() { check_case $case; }"
done

# shunit2 would find only what is written out.
suite() {
	for name in $cases; do
		suite_addTest "$name"
	done
}

# make_repaired CASE IMAGE
make_repaired() {
	if grep -q '^version ' "$fixtures/$1/repaired"; then
		make_image "$fixtures/$1/repaired" "$2"
	else
		cat "$fixtures/$1/recipe" "$fixtures/$1/repaired" >"$tmp/recipe"
		make_image "$tmp/recipe" "$2"
	fi
}

# What gow-repair says on the next run: what is left.
status_of_left() {
	case $1 in
	*header.* | *map.* | *journal.*) echo 4 ;;
	'') echo 0 ;;
	*) echo 2 ;;
	esac
}

check_case() {
	image=$tmp/image.gow
	if [ ! -f "$fixtures/$1/repaired" ]; then
		fail "fixtures/$1 is damaged and has no \`repaired'"
		return
	fi
	title=$(head -n 1 "$fixtures/$1/repaired")
	expected=$(echo "$title" | sed 's/.*exit \([0-9]*\).*/\1/')
	left=$(echo "$title" | sed -n 's/.*left: //p')
	options=$(echo "$title" | sed -n 's/.*gow-repair -y\( *[^:]*\):.*/\1/p')
	make_image "$1" "$image"
	make_image "$1" "$tmp/original"
	make_repaired "$1" "$tmp/expected"
	"$GOW_TESTBIN/guestsum" "$image" >"$tmp/guest"

	# The dry run tells what the real one does, and touches nothing.
	state_of "$image"
	# shellcheck disable=SC2086 # options, or none
	run gow-repair -n $options --json "$image"
	assertStatus "$(jq .exit "$fixtures/$1/check.json")"
	assertUnchanged "$image"
	json '.plan, .left' >"$tmp/foreseen"
	# shellcheck disable=SC2086
	run gow-repair -y $options --json "$image"
	assertStatus "$expected"
	json '.plan, .left' >"$tmp/done"
	assertSameFile "$tmp/foreseen" "$tmp/done"
	assertEquals "left" "$left" "$(json '[.left[].id] | join(" ")')"
	assertSameFile "$tmp/expected" "$image"
	"$GOW_TESTBIN/guestsum" "$image" >"$tmp/guest-now"
	assertSameFile "$tmp/guest" "$tmp/guest-now"

	# gow-check agrees, and there is nothing more to do.
	run gow-check --json "$image"
	assertStatus "$(status_of_left "$left")"
	assertEquals "left, says gow-check" "$left" "$(json '[.findings[].id] | join(" ")')"
	state_of "$image"
	run gow-repair -y --json "$image"
	assertStatus "$(status_of_left "$left")"
	assertJson '.changed == false and .plan == []'
	assertUnchanged "$image"

	if cmp -s "$tmp/original" "$tmp/expected"; then
		assertFalse "an undo file without a repair" "[ -e '$image.gow-undo' ]"
		return
	fi
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$tmp/original" "$image"
	assertEquals "files left behind" "" "$(find "$tmp" -name 'image.gow?*')"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
