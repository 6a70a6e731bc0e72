#!/bin/sh
# Every image of fixtures/ under gow-check: the exact findings, and nothing changed.
# Each directory is a test of its own.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# The functions are there before shunit2 is, so that it can be asked for a single one.
cases=''
for case in $(sampled_fixtures); do
	case=$(basename "$case")
	name=test_$(echo "$case" | tr -c 'a-z0-9\n' _)
	cases="$cases $name"
	eval "$name() { check_case $case; }"
done

# shunit2 would find only what is written out.
suite() {
	suite_addTest test_every_problem_in_every_version
	for name in $cases; do
		suite_addTest "$name"
	done
}

# All that is claimed of the documents, in one program, since starting jq costs more
# than gow-check does.  It prints what does not hold.
suiteSetUp() {
	cat >"$work/claims.jq" <<'END'
# What of a document a fixture fixes; messages and repairs are tested elsewhere.
def essence: {schema, tool, exit, corrupt, advisory,
	findings: [.findings[] | del(.fix, .message, .blocks)]};
def differs($what; $expected; $actual):
	select($expected != $actual) | "\($what): expected\n\($expected)\nbut was\n\($actual)";
def claim($what; holds): select(holds | not) | "not so: \($what)";

$expected[0] as $e | $plain[0] as $p | $verbose[0] as $v |
claim("one document each"; ($plain | length) == 1 and ($verbose | length) == 1),
differs("findings"; $e | essence; $p | essence),
differs("findings under -v"; $e | essence; $v | essence),
claim("the image is named"; $p.image | endswith("/image.gow")),
claim("a fix is named, or null"; all($p.findings[]; .fix | . == null or type == "string")),
claim("places only under -v"; all($p.findings[]; has("blocks") | not)),
claim("nothing that was not asked for"; $p | has("digest") or has("in_use") | not),
# -v lists every place, the first of them first.
claim("places begin with the first"; all($v.findings[]; .first == .blocks[0])),
claim("as many places as counted"; all($v.findings[]; .count ==
	(if .id == "map.crosslink" then .blocks | map(.physical) | unique else .blocks end | length))),
($places[0] // empty | differs("places"; .; [$v.findings[] | {id, blocks}]))
END
}

check_case() {
	directory=$fixtures/$1
	assertTrue "$1 does not say what it is about" "[ -s '$directory/about' ]"
	make_image "$1" "$tmp/image.gow"
	state_of "$tmp/image.gow"
	jq -r '.exit, .findings[].id' "$directory/check.json" >"$tmp/expected"
	expected=$(head -n 1 "$tmp/expected")

	run gow-check --json "$tmp/image.gow"
	assertStatus "$expected"
	assertErrEmpty
	mv "$out" "$tmp/plain"
	run gow-check --json -v "$tmp/image.gow"
	assertStatus "$expected"
	mv "$out" "$tmp/verbose"
	places=$directory/check-v.json
	[ -f "$places" ] || places=/dev/null
	jq -nr --slurpfile expected "$directory/check.json" --slurpfile plain "$tmp/plain" \
		--slurpfile verbose "$tmp/verbose" --slurpfile places "$places" \
		-f "$work/claims.jq" >"$tmp/untrue" 2>&1
	assertEquals "jq's status" 0 $?
	assertEquals "" "$(cat "$tmp/untrue")"

	# For people: every finding's id stands there, and no other id.
	run gow-check "$tmp/image.gow"
	assertStatus "$expected"
	tail -n +2 "$tmp/expected" >"$tmp/expected-ids"
	grep -oE '\b(header|map|space|version|journal|data)\.[a-z]+(-[a-z]+)*' "$out" |
		awk '!seen[$0]++' >"$tmp/actual-ids"
	assertSameFile "$tmp/expected-ids" "$tmp/actual-ids"
	if [ "$expected" -eq 2 ]; then
		# A boot hook goes on where nothing is corrupt.
		run gow-check --boot "$tmp/image.gow"
		assertStatus 0
	fi
	assertUnchanged "$tmp/image.gow"
}

# The catalogue as the format tells it, but for what no recipe can make: a change
# under way, an unreadable disk, a manifest.
test_every_problem_in_every_version() {
	for case in "$fixtures"/*/; do
		version=$(sed -n 's/^version //p' "$case/recipe")
		jq -r --arg version "$version" '.findings[] | .id + " " + $version' "$case/check.json"
	done | sort -u >"$tmp/covered"
	for version in 1 2 3; do
		printf "%s $version\n" header.size header.truncated header.count-low \
			header.count-high header.count-wild map.range map.crosslink map.beyond-size \
			space.leak space.tail journal.missing
		[ $version -lt 2 ] || echo "header.padding $version"
		[ $version -lt 3 ] || printf "%s $version\n" version.zero version.exhausted
	done | sort >"$tmp/needed"
	assertSameFile "$tmp/needed" "$tmp/covered"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
