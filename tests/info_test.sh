#!/bin/sh
# gow-info: every number that it shows against one told from the image's bytes another
# way (facts.sh), extents, and many images.  What no image is, is hostile_test.sh's.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=facts.sh
. "$TESTS/facts.sh"

suiteSetUp() {
	# The expected findings, the facts and what gow-info said; prints what does not hold.
	cat >"$work/claims.jq" <<'END'
def differs($what; $expected; $actual):
	select($expected != $actual) | "\($what): expected\n\($expected)\nbut was\n\($actual)";
def claim($what; holds): select(holds | not) | "not so: \($what)";
def numbers: {version, block_count, present_blocks, allocated_blocks, leaked_blocks,
	file_size, data_start, highest_version};

$facts[0] as $f | $expected[0] as $e | $out[0] as $d | $out[1:] as $lines |
($f | has("highest_version")) as $versions |
differs("numbers"; $f | numbers; $d | numbers),
differs("logical_size"; $f.logical_size; $said_size),
claim("highest_version in version 3 only"; $d | has("highest_version") == $versions),
claim("fragmentation"; if $f.fragmentation == null then $d.fragmentation == null
	else $d.fragmentation - $f.fragmentation | fabs < 1e-6 end),
claim("the rest of the document"; $d.schema == 1 and $d.tool == "gow-info" and
	$d.block_size == 65536 and $d.image == $image),
claim("nothing else"; $d | has("in_use") or has("pending") or has("message") | not),
differs("exit"; $status; $d.exit | tostring),
(if $e then
	differs("exit"; if $e.exit == 4 then 4 else 0 end; $d.exit),
	differs("findings"; $e | {corrupt, advisory, findings};
		$d | {corrupt, advisory, findings: [.findings[] | del(.fix, .message, .blocks)]})
else empty end),
differs("extents"; [$f.extents[] | {start: (.[0] * 65536), length: (.[2] * 65536),
	offset: ($f.data_start + .[1] * 65536)} + if .[3] == null then {} else {version: .[3]} end];
	$lines),
($text | rtrimstr("\n") | split("\n") |
	claim("the line above the extents"; .[0] | startswith("# \($image): logical physical blocks")),
	differs("extents as text"; [$f.extents[] | map(tostring) | join(" ")]; .[1:]))
END
}

# judged [CASE]: everything about $tmp/image.gow.
judged() {
	facts "$tmp/image.gow" >"$tmp/facts"
	expected=/dev/null
	[ $# -eq 0 ] || expected=$fixtures/$1/check.json
	state_of "$tmp/image.gow"
	run gow-info --map "$tmp/image.gow"
	mv "$out" "$tmp/text"
	was=$status
	run gow-info --json --map "$tmp/image.gow"
	assertStatus "$was"
	assertErrEmpty
	# jq rounds large numbers, so this one is compared as text.
	said_size=$(sed -n '1s/.*"logical_size": *\([0-9]*\|null\),.*/\1/p' "$out")
	jq -nr --slurpfile out "$out" --slurpfile facts "$tmp/facts" --arg status "$status" \
		--slurpfile expected "$expected" --rawfile text "$tmp/text" \
		--arg said_size "$said_size" --arg image "$tmp/image.gow" \
		-f "$work/claims.jq" >"$tmp/untrue" 2>&1
	assertEquals "jq's status" 0 $?
	assertEquals "" "$(cat "$tmp/untrue")"
	assertUnchanged "$tmp/image.gow"
}

judge_fixtures() {
	for case in $(sampled_fixtures | grep -e "$1$"); do
		case=$(basename "$case")
		make_image "$case" "$tmp/image.gow"
		judged "$case"
	done
}

testFixturesOfVersion1() {
	judge_fixtures -v1
}

testFixturesOfVersion2() {
	judge_fixtures -v2
}

testFixturesOfVersion3() {
	judge_fixtures -v3
}

# ---- by hand, and not by facts.sh ----

# recipe LINE...: $tmp/image.gow from them.
recipe() {
	printf '%s\n' "$@" >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/image.gow"
}

fragmented() {
	expected_share=$1
	shift
	recipe "version 1" "size 100M" "$@"
	run gow-info --json "$tmp/image.gow"
	assertStatus 0
	assertJson ".fragmentation - $expected_share | fabs < 1e-9"
}

# Pairs of neighbours for the guest, both allocated, that are no neighbours in the file.
testFragmentation() {
	fragmented 0
	fragmented 0 "map 7 0"
	fragmented 0 "map 0-9 0"
	fragmented 0 "map 0 1" "map 2 0"
	fragmented 0 "map 0-4 5" "map 6-10 0"
	fragmented 1 "map 0 1" "map 1 0"
	fragmented 1 "map 0-9 9 step -1"
	fragmented 1 "map 0-9 0 step 2" "blocks 20"
	fragmented 0.25 "map 0-1 0" "map 2-4 5"
	fragmented 0.5 "map 0-1 4" "map 2 0" "map 100 1" "map 110 2"
	recipe "version 1" "size 100M" "map 0-1 0" "map 2-4 5"
	run gow-info "$tmp/image.gow"
	assertStatus 0
	assertOut '^fragmentation: +25\.0 %'
}

testText() {
	recipe "version 3" "size 100M" "map 0-1 1" "map 3 4" "ver 0 7" "ver 9 8" "data 1 text a" "blocks 7"
	run gow-info "$tmp/image.gow"
	assertStatus 0
	assertErrEmpty
	while read -r line; do
		assertOut "$line"
	done <<END
^image: +$tmp/image\.gow\$
^version: +3\$
^logical size: +100 MiB \(104857600 bytes\)\$
^file size: .*\($((33554944 + 7 * 65536)) bytes\)\$
^data start: .*\(33554944 bytes\)\$
^block count: +7\$
^present blocks: +7\b
^allocated blocks: +3\b
^leaked blocks: +4\b
^fragmentation: +0\.0 %\$
^highest version: +8\$
space\.leak
END
	# Without extents, the same document.
	run gow-info --json --map "$tmp/image.gow"
	head -n 1 "$out" >"$tmp/document"
	run gow-info --json "$tmp/image.gow"
	assertSameFile "$tmp/document" "$out"
	recipe "version 1" "size 100M"
	run gow-info "$tmp/image.gow"
	assertNoOut 'highest version'
	assertNoOut 'in use'
	assertNoOut 'corrupt'
}

testExtentsByHand() {
	recipe "version 3" "size 100M" "map 0-9 3" "ver 0-3 1" "ver 4 9" "ver 5-9 1" \
		"map 10 0" "map 11 1" "map 13 2" "map 20-22 22 step -1" "map 30 30" "map 31 32" "ver 25 5"
	run gow-info --map "$tmp/image.gow"
	assertStatus 0
	tail -n +2 "$out" >"$tmp/actual"
	cat >"$tmp/expected" <<'END'
0 3 4 1
4 7 1 9
5 8 5 1
10 0 2 1
13 2 1 1
20 22 1 1
21 21 1 1
22 20 1 1
30 30 1 1
31 32 1 1
END
	assertSameFile "$tmp/expected" "$tmp/actual"
	run gow-info --map --json "$tmp/image.gow"
	assertEquals '{"start":0,"length":262144,"offset":33751552,"version":1}' \
		"$(sed -n 2p "$out" | jq -c .)"
	assertEquals '{"start":2031616,"length":65536,"offset":35652096,"version":1}' \
		"$(tail -n 1 "$out" | jq -c .)"
}

testNoExtents() {
	recipe "version 2" "size 10M"
	run gow-info --map "$tmp/image.gow"
	assertStatus 0
	assertEquals 1 "$(wc -l <"$out")"
	run gow-info --map --json "$tmp/image.gow"
	assertStatus 0
	assertEquals 1 "$(wc -l <"$out")"
}

# Runs are as long as they are, whatever is read at a time.
testLongExtents() {
	recipe "version 1" "size limit" "map 0-entries-1 0"
	run gow-info --map "$tmp/image.gow"
	assertEquals "0 0 1048576" "$(tail -n +2 "$out")"
	recipe "version 3" "size limit" "map 0-entries-1 0"
	run gow-info --map "$tmp/image.gow"
	assertEquals "0 0 4194304 1" "$(tail -n +2 "$out")"
	assertStatus 0
	recipe "version 3" "size limit" "map 5-entries-2 0" "ver 16384-16388 2" "ver 40000-entries-1 3"
	run gow-info --map "$tmp/image.gow"
	assertStatus 0
	tail -n +2 "$out" >"$tmp/actual"
	cat >"$tmp/expected" <<'END'
5 0 16379 1
16384 16379 5 2
16389 16384 23611 1
40000 39995 4154303 3
END
	assertSameFile "$tmp/expected" "$tmp/actual"
	for edge in 8191 8192 16383 16384 16385 65535 65536 65537; do
		recipe "version 3" "size limit" "map 0-200000 0" "map $edge 200001"
		run gow-info --map "$tmp/image.gow"
		tail -n +2 "$out" >"$tmp/actual"
		printf '%s\n' "0 0 $edge 1" "$edge 200001 1 1" \
			"$((edge + 1)) $((edge + 1)) $((200000 - edge)) 1" >"$tmp/expected"
		assertSameFile "$tmp/expected" "$tmp/actual"
	done
}

# One run whose every block has another version number than the one before it: how far the run
# goes must not be found out anew for each. (That took two minutes.)
testManyExtentsOfOneRun() {
	{
		printf '%s\n' 'version 3' 'size 524288*65536' 'map 0-524287 0' 'ver 0-524287 1'
		seq 1 2 524287 | sed 's/^/ver /; s/$/ 2/'
	} >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/a.gow"
	run gow-info --map "$tmp/a.gow"
	assertStatus 0
	assertEquals 524288 "$(grep -c '^ *[0-9]* *[0-9]* *1 *[12]$' "$out")"
}

# Maps that nobody would think of; the numbers repeat from run to run.
testRandomMaps() {
	seed=1
	while [ $seed -le 12 ]; do
		awk -v seed=$seed 'BEGIN {
			srand(seed)
			version = 1 + seed % 3
			print "version", version, "\nsize 40G\nblocks 30000"
			at = 0
			while (at < 25000) {
				at += int(rand() * 3) * int(rand() * 400)
				blocks = 1 + int(rand() * (rand() < 0.1 ? 3000 : 20))
				printf "map %d-%d %d%s\n", at, at + blocks - 1, int(rand() * 26000),
					rand() < 0.2 ? " step 2" : ""
				if (version == 3 && rand() < 0.5)
					printf "ver %d-%d %d\n", at + int(blocks / 2), at + blocks,
						int(rand() * 5)
				at += blocks
			}
		}' >"$tmp/recipe"
		"$GOW_TESTBIN/mkimage" "$tmp/recipe" "$tmp/image.gow" || fail "seed $seed"
		judged
		seed=$((seed + 1))
	done
}

# ---- corrupt images ----

testCorruptText() {
	make_image everything-v3 "$tmp/image.gow"
	run gow-info "$tmp/image.gow"
	assertStatus 4
	jq -r '.findings[].id' "$fixtures/everything-v3/check.json" >"$tmp/ids"
	while read -r id; do
		assertOut "\\b$id\\b"
	done <"$tmp/ids"
	assertOut 'gow-repair'
	make_image header-truncated-v1 "$tmp/image.gow"
	run gow-info "$tmp/image.gow"
	assertStatus 4
	assertOut 'header\.truncated'
	assertOut '^version: +1$'
	assertNoOut 'allocated blocks|leaked|fragmentation'
}

# ---- what cannot be read, and who is at it ----

testUnreadable() {
	make_image sound-v1 "$tmp/image.gow"
	for at in 0 16 1000000 4194323; do
		run_faulty FAULTIO_FILE="*/image.gow" FAULTIO_READ="$at-$((at + 1))" \
			gow-info "$tmp/image.gow"
		assertStatus 8
		assertOutEmpty
		assertErr "^gow-info: $tmp/image\.gow: .*Input/output error"
		run_faulty FAULTIO_FILE="*/image.gow" FAULTIO_READ="$at-$((at + 1))" \
			gow-info --json --map "$tmp/image.gow"
		assertStatus 8
		assertEquals 1 "$(wc -l <"$out")"
		assertJson '.exit == 8 and .error == "io" and (has("version") | not)'
	done
	# Data is nothing that it reads.
	run_faulty FAULTIO_FILE="*/image.gow" FAULTIO_READ=4194324-9999999 gow-info "$tmp/image.gow"
	assertStatus 0
}

testInUse() {
	need_leases "$tmp" || return 0
	make_image sound-v3 "$tmp/image.gow"
	run hold -w "$tmp/image.gow" "$GOW_BIN/gow-info" "$tmp/image.gow"
	assertStatus 0
	assertOut '^in use: '
	assertErr "^gow-info: $tmp/image\.gow: .*open for writing"
	run hold -w "$tmp/image.gow" "$GOW_BIN/gow-info" --json "$tmp/image.gow"
	assertStatus 0
	assertJson '.in_use == true and .exit == 0 and .allocated_blocks == 4'
	# Readers are no trouble.
	run hold -r -l ofd-read "$tmp/image.gow" "$GOW_BIN/gow-info" --json "$tmp/image.gow"
	assertStatus 0
	assertErrEmpty
	assertJson 'has("in_use") | not'
}

testLocked() {
	make_image sound-v3 "$tmp/image.gow"
	for kind in ofd-write posix-write; do
		run hold -w -l $kind "$tmp/image.gow" "$GOW_BIN/gow-info" "$tmp/image.gow"
		assertStatus 64
		assertOutEmpty
		assertErr "^gow-info: $tmp/image\.gow: "
		run hold -w -l $kind "$tmp/image.gow" "$GOW_BIN/gow-info" --json "$tmp/image.gow"
		assertStatus 64
		assertJson '.exit == 64 and .error == "busy"'
		run hold -w -l $kind "$tmp/image.gow" "$GOW_BIN/gow-info" --no-lock "$tmp/image.gow"
		assertStatus 0
	done
	run hold -t 0.5 -w -l ofd-write "$tmp/image.gow" "$GOW_BIN/gow-info" --wait 20 "$tmp/image.gow"
	assertStatus 0
}

# ---- many images ----

testManyImages() {
	make_image sound-v1 "$tmp/1.gow"
	make_image map-range-v1 "$tmp/2.gow"
	make_image space-leak-v1 "$tmp/3.gow"
	echo "a letter" >"$tmp/letter"
	run gow-info --json "$tmp/1.gow" "$tmp/letter" "$tmp/2.gow" "$tmp/none" "$tmp/3.gow"
	assertStatus 12
	assertEquals "0 8 4 8 0" "$(json .exit | xargs)"
	assertJson '.schema == 1 and .tool == "gow-info"'
	assertJson 'if .exit == 8 then (.message | type == "string") and (has("version") | not)
		else .version == 1 and (has("message") | not) end'
	run gow-info "$tmp/1.gow" "$tmp/letter" "$tmp/3.gow"
	assertStatus 8
	assertEquals 2 "$(grep -c '^image:' "$out")"
	assertErr 'letter'
	run gow-info --map "$tmp/1.gow" "$tmp/3.gow"
	assertStatus 0
	assertEquals 2 "$(grep -c '^# ' "$out")"
	# An image's lines follow its document.
	run gow-info --map --json "$tmp/1.gow" "$tmp/3.gow"
	assertStatus 0
	assertEquals "$tmp/1.gow 0 65536 1114112 10420224 $tmp/3.gow" \
		"$(jq -r '.image // .start' "$out" | head -n 6 | xargs)"
}

testFilesFrom() {
	make_image sound-v1 "$tmp/1.gow"
	make_image map-range-v1 "$tmp/2
.gow"
	printf '%s\0' "$tmp/1.gow" "$tmp/2
.gow" >"$tmp/list"
	run gow-info --json -0 --files-from - <"$tmp/list"
	assertStatus 4
	assertEquals "0 4" "$(json .exit | xargs)"
	run gow-info --json --files-from "$tmp/none"
	assertStatus 8
}

# ---- output ----

testQuiet() {
	make_image sound-v1 "$tmp/image.gow"
	run gow-info -q "$tmp/image.gow"
	assertStatus 0
	assertOutEmpty
	run gow-info -q --map "$tmp/image.gow"
	assertOutEmpty
	run gow-info -q --json "$tmp/image.gow"
	assertJson '.exit == 0'
}

testOutputThatFails() {
	make_image sound-v1 "$tmp/image.gow"
	for options in "" --json --map "--json --map"; do
		for to in '>/dev/full' '>&-'; do
			# shellcheck disable=SC2086 # words
			run sh -c "\"\$@\" $to" sh "$GOW_BIN/gow-info" $options "$tmp/image.gow"
			assertStatus 8
			assertErr 'gow-info: .*standard output'
		done
	done
}

# Who reads a long list may go away in the middle.
testReaderGoesAway() {
	recipe "version 3" "size limit" "map 0-999999 999999 step -1" "blocks 1000000"
	# shellcheck disable=SC2016 # for the inner shell
	run sh -c '{ "$@"; echo $? >"$0"; } | head -n 3' "$tmp/status" "$GOW_BIN/gow-info" --map \
		"$tmp/image.gow"
	assertEquals 3 "$(wc -l <"$out")"
	assertEquals 8 "$(cat "$tmp/status")"
}

testSignals() {
	make_image sound-v1 "$tmp/image.gow"
	for signal in 1 2 15; do
		run_faulty FAULTIO_FILE="*/image.gow" FAULTIO_FAIL=read:2:signal=$signal \
			gow-info "$tmp/image.gow" "$tmp/image.gow"
		assertStatus 32
	done
}

testUsage() {
	run gow-info
	assertStatus 16
	assertOutEmpty
	run gow-info --no-such-option "$0"
	assertStatus 16
	run gow-info --help
	assertStatus 0
	assertOut '--map'
	run gow-info --version
	assertStatus 0
}

# shellcheck source=/dev/null
. "$SHUNIT2"
