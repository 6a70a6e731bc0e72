#!/bin/sh
# Every image of fixtures/ under gow-check: the exact findings, and nothing changed.
# Each folder is a test of its own.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# What of a document a fixture fixes; the messages' and mends' words stand elsewhere.
essence='{schema, tool, exit, corrupt, advisory,
	findings: [.findings[] | del(.fix, .message, .blocks)]}'

suite() {
	for case in "$fixtures"/*/; do
		case=$(basename "$case")
		gow_name=test_$(echo "$case" | tr -c 'a-z0-9\n' _)
		eval "$gow_name() { check_case $case; }"
		suite_addTest "$gow_name"
	done
}

# same_json WHAT EXPECTED_FILE ACTUAL_FILE
same_json() {
	diff "$2" "$3" >"$tmp/diff"
	assertTrue "$1 of $gow_case: $(cat "$tmp/diff")" $?
}

check_case() {
	gow_case=$1
	folder=$fixtures/$1
	make_image "$1" "$tmp/image.gow"
	state_of "$tmp/image.gow"
	expected=$(jq .exit "$folder/check.json")

	run gow-check --json "$tmp/image.gow"
	assertStatus "$expected"
	assertErrEmpty
	assertEquals "documents and lines" "1" "$(wc -l <"$out" | tr -d ' ')"
	jq -S "$essence" "$folder/check.json" >"$tmp/expected"
	jq -S "$essence" "$out" >"$tmp/actual"
	same_json "findings" "$tmp/expected" "$tmp/actual"
	assertJson '.image | endswith("/image.gow")'
	assertJson 'all(.findings[]; (.fix | . == null or type == "string") and (has("blocks") | not))'
	assertJson 'has("digest") or has("in_use") | not'

	check_verbose "$folder"
	check_text "$folder"
	assertUnchanged "$tmp/image.gow"
}

# -v lists every place, the first of them first.
check_verbose() {
	run gow-check --json -v "$tmp/image.gow"
	assertStatus "$expected"
	jq -S "$essence" "$out" >"$tmp/actual"
	same_json "findings under -v" "$tmp/expected" "$tmp/actual"
	assertJson 'all(.findings[]; .first == .blocks[0] and (.count == (.blocks | length)
		or (.id == "map.crosslink" and .count == (.blocks | map(.physical) | unique | length))))'
	[ -f "$1/check-v.json" ] || return 0
	jq -S . "$1/check-v.json" >"$tmp/expected-v"
	jq -S '[.findings[] | {id, blocks}]' "$out" >"$tmp/actual-v"
	same_json "places" "$tmp/expected-v" "$tmp/actual-v"
}

# For people: every finding's id stands there, and no other id.
check_text() {
	run gow-check "$tmp/image.gow"
	assertStatus "$expected"
	jq -r '.findings[].id' "$1/check.json" | sort >"$tmp/expected-ids"
	grep -oE '\b(header|map|space|version|journal|data)\.[a-z]+(-[a-z]+)*' "$out" |
		sort -u >"$tmp/actual-ids"
	same_json "ids in the text" "$tmp/expected-ids" "$tmp/actual-ids"
	[ "$expected" -ne 2 ] && return 0
	# A boot hook goes on where nothing is corrupt.
	run gow-check --boot "$tmp/image.gow"
	assertStatus 0
}

# shellcheck source=/dev/null
. "$SHUNIT2"
