#!/bin/sh
# gow-convert of every corrupt fixture: refused as it is; with --salvage everything that
# can be had, and exactly what could not, told from the bytes another way (facts.sh).

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=convert.sh
. "$TESTS/convert.sh"
# shellcheck source=facts.sh
. "$TESTS/facts.sh"

suiteSetUp() {
	# What the facts mean for a disk of $size bytes, against what gow-convert told.
	cat >"$work/claims.jq" <<'END'
def runs($kind; $runs): $runs[] |
	{kind: $kind, start: (.[0] * 65536), length: (.[1] * 65536)} |
	if $kind == "beyond-size" then . else
		select(.start < $size) | .length = ([.length, $size - .start] | min) end;
($facts[0] | [runs("unmapped"; .unmapped), runs("shared"; .shared), runs("beyond-size"; .beyond)] |
	sort_by([.kind, .start])) as $wanted |
$out[0] as $document |
($document.losses | sort_by([.kind, .start])) as $told |
(select($wanted != $told) | "losses: expected\n\($wanted)\nbut was\n\($told)"),
($document | select((.exit == 4 and .damaged == true and .logical_size == $size and
	(has("error") | not)) | not) | "the document: \(.)")
END
}

# valid_size VERSION SIZE
valid_size() {
	awk -v version="$1" -v size="$2" 'BEGIN {
		limit = version == 1 ? 68719476736 : 274877906944
		exit !(size >= 512 && size <= limit && size % 512 == 0)
	}'
}

# Large disks are compared where there is data.
assertSameDisk() {
	if [ "$(stat -c %s "$1")" -le 100000000 ]; then
		assertSameFile "$1" "$2"
		return
	fi
	assertEquals "length" "$(stat -c %s "$1")" "$(stat -c %s "$2")"
	need_tool xfs_io || return 0
	for disk in "$1" "$2"; do
		xfs_io -r -c "seek -a -r 0" "$disk" | awk '$1 == "DATA" { at = $2 }
			$1 == "HOLE" && at != "" { print at, $2 - at; at = "" }' >"$tmp/runs"
		while read -r at length; do
			cmp -i "$at" -n "$length" "$1" "$2" >"$work/cmp" 2>&1
			assertTrue "at $at: $(cat "$work/cmp")" $?
		done <"$tmp/runs"
	done
}

salvaged() {
	rm -f "$tmp"/*.raw
	make_image "$1" "$tmp/image.gow"
	state_of "$tmp/image.gow"
	convert "$tmp/image.gow" "$tmp/refused.raw"
	assertStatus 4
	assertOutEmpty
	assertErr "^gow-convert: $tmp/image\.gow: .*gow-repair"
	assertFalse "$1: something was made" "[ -e '$tmp/refused.raw' ]"

	facts "$tmp/image.gow" >"$tmp/facts"
	version=$(facts_field 4 4 "$tmp/image.gow")
	size=$(facts_field 8 8 "$tmp/image.gow")
	cp "$fixtures/$1/recipe" "$tmp/recipe"
	if ! valid_size "$version" "$size"; then
		# The smallest size that covers every block; and the rest is to be told for that.
		size=$(jq -r .smallest "$tmp/facts")
		sed "s/^size .*/size $size/" "$fixtures/$1/recipe" >"$tmp/recipe"
		make_image "$tmp/recipe" "$tmp/sized.gow"
		facts "$tmp/sized.gow" >"$tmp/facts"
	fi
	convert --json --salvage "$tmp/image.gow" "$tmp/saved.raw"
	assertStatus 4
	assertUnchanged "$tmp/image.gow"
	if [ "$size" -eq 0 ]; then
		# Nobody can tell how large it was.
		assertJson '.exit == 4 and .error == "corrupt"'
		assertFalse "$1: something was made" "[ -e '$tmp/saved.raw' ]"
		return
	fi
	jq -nr --slurpfile out "$out" --slurpfile facts "$tmp/facts" --argjson size "$size" \
		-f "$work/claims.jq" >"$tmp/untrue" 2>&1
	assertEquals "$1: jq's status" 0 $?
	assertEquals "$1" "" "$(cat "$tmp/untrue")"
	if grep -qx "version $version" "$tmp/recipe"; then
		"$GOW_TESTBIN/mkimage" --raw --salvage "$tmp/recipe" "$tmp/wanted.raw" ||
			fail "mkimage --raw --salvage $1"
	else
		# Nothing of it lies where its version has it.
		truncate -s "$size" "$tmp/wanted.raw"
	fi
	assertSameDisk "$tmp/wanted.raw" "$tmp/saved.raw"
}

salvage_fixtures() {
	for case in $(sampled_fixtures | grep -e "$1$"); do
		case=$(basename "$case")
		[ "$(jq .exit "$fixtures/$case/check.json")" -ne 4 ] || salvaged "$case"
	done
}

testFixturesOfVersion1() {
	salvage_fixtures -v1
}

testFixturesOfVersion2() {
	salvage_fixtures -v2
}

testFixturesOfVersion3() {
	salvage_fixtures -v3
}

# shellcheck source=/dev/null
. "$SHUNIT2"
