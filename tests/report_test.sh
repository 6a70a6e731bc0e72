#!/bin/sh
# gow-report: JSON Lines of the tools, summed up.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

line() {
	printf '{"schema":1,"tool":"gow-check","image":"%s","findings":[%s],"time":%s,"exit":%s}\n' "$@"
}

testEveryState() {
	{
		line clean.gow '' 500 0
		line repaired.gow '' 400 1
		line leaky.gow '{"id":"space.leak","count":16}' 300 2
		line bad.gow '{"id":"map.range","count":1},{"id":"space.leak","count":1}' 200 6
		line gone.gow '' 600 8
		line wrong.gow '' 600 16
		line stopped.gow '' 600 32
		line busy.gow '' 600 64
	} >"$tmp/lines"
	printf '%s\n' clean.gow never.gow >"$tmp/list"
	run gow-report --json --expect "$tmp/list" "$tmp/lines"
	assertStatus 127
	assertErrEmpty
	assertJson '.images == 9 and .states == {corrupt: 1, failed: 2, stopped: 1, busy: 1,
		missing: 1, advisory: 1, repaired: 1, clean: 1}'
	assertJson '.space_bytes == 17 * 65536 and .oldest == {image: "bad.gow", time: 200}'
	assertJson '[.worst[].image] == ["bad.gow", "gone.gow", "wrong.gow", "stopped.gow",
		"busy.gow", "never.gow", "leaky.gow"]'
	assertJson '.worst[0].why == "map.range, space.leak" and .exit == 127 and .bad_lines == 0'
	run gow-report --top 1 --expect "$tmp/list" "$tmp/lines"
	assertOut '^corrupt +1  64 KiB$'
	assertOut '^all +9  1.1 MiB$'
	assertOut '^oldest check: 1970-01-01 00:03:20 UTC bad.gow$'
	assertOut '^corrupt +bad.gow \(64 KiB to win\): map.range, space.leak$'
	assertNoOut 'gone.gow'
	# Both went through Windows.
	run gow-report --json --expect "$tmp/list" "$tmp/lines"
	cp "$out" "$tmp/before"
	for mark in '' '\357\273\277'; do
		for file in list lines; do
			# shellcheck disable=SC2059 # the mark is a format
			{ printf "$mark" && sed 's/$/\r/' "$tmp/$file"; } >"$tmp/$file.windows"
		done
		run gow-report --json --expect "$tmp/list.windows" "$tmp/lines.windows"
		assertSameFile "$tmp/before" "$out"
	done
}

# What was checked again is counted once, as it is now.
testTheLastLineCounts() {
	{
		line a.gow '{"id":"map.range","count":1}' 100 4
		line b.gow '' 100 64
		line a.gow '' 200 0
		line b.gow '' 300 0
	} >"$tmp/lines"
	run gow-report --json "$tmp/lines"
	assertStatus 0
	assertJson '.images == 2 and .states.clean == 2 and .oldest.time == 200 and .worst == []'
}

testNoResults() {
	printf '{"image":"a.gow","ex' >"$tmp/lines"
	run gow-report --json "$tmp/lines"
	assertStatus 8
	assertErr '1 lines are no results'
	assertJson '.images == 0 and .bad_lines == 1 and .exit == 8'
	printf '7\n[]\n"text"\n{}\n\n{"start":0,"length":65536}\n' >"$tmp/lines"
	run gow-report --json "$tmp/lines"
	assertStatus 8
	assertJson '.images == 0 and .bad_lines == 3'
	run gow-report </dev/null
	assertStatus 0
	run gow-report "$tmp/none"
	assertStatus 8
	assertOutEmpty
	assertErr 'none: cannot read: No such file'
}

# A number that no tool writes harms nothing.
testHostileNumbers() {
	printf '%s\n' '{"image":"a","exit":-1,"time":99999999999999999999,"leaked_blocks":1e30}' \
		'{"image":"b","exit":18446744073709551615,"leaked_blocks":18446744073709551615,"time":-1}' \
		'{"image":"c","exit":{},"findings":{"id":1},"time":9223372036854775807}' \
		'{"image":"d","exit":0,"findings":[1,{"id":2},{"id":"space.leak","count":"x"},null]}' \
		'{"image":7,"exit":0}' >"$tmp/lines"
	run gow-report --json "$tmp/lines"
	assertEquals "it ended by a signal: $status" '' "$(test "$status" -lt 128 || echo "$status")"
	assertJson '.images == 4 and .states.failed == 3 and .states.clean == 1'
	run gow-report "$tmp/lines"
	assertOut '^oldest check: '
}

# A status that no tool has is none, whatever is left of it in 8 bits.
testStatusesThatNoToolHas() {
	for number in 256 512 384 128 2147483647 4294967296; do
		printf '{"image":"a","exit":%s}\n' "$number" >"$tmp/lines"
		run gow-report --json "$tmp/lines"
		assertStatus 8
		assertJson '.states.failed == 1'
	done
}

# Whoever wrote the lines does not write to the terminal.
testTextLeavesTheTerminalAlone() {
	printf '%s\n' '{"image":"a\u001b[31m\u009b31m\n","exit":8,"message":"x\u001b[31m\u009b31m\nclean \u007fü"}' \
		'{"image":"b","exit":4,"findings":[{"id":"\u001b[31m"}]}' >"$tmp/lines"
	run gow-report "$tmp/lines"
	assertStatus 12
	assertOut '^failed     a\?\[31m\?31m\?: x\?\[31m\?31m\?clean \?ü$'
	assertOut '^corrupt    b: \?\[31m$'
	run gow-report --json "$tmp/lines"
	assertEquals "control characters in JSON" '' "$(LC_ALL=C.UTF-8 grep -P '[\x00-\x1f\x7f-\x9f]' "$out")"
	assertJson '.worst[1].why == "x\u001b[31m\u009b31m\nclean \u007fü"'
}

# Names that are no UTF-8 look alike; none hides what is known of another.
testNamesThatAreNoText() {
	one=$(printf 'm\344ller.gow') two=$(printf 'm\366ller.gow')
	make_image map-range-v1 "$tmp/$one"
	make_image sound-v1 "$tmp/$two"
	printf '%s\n' "$tmp/$one" "$tmp/$two" >"$tmp/list"
	run gow-check --json --files-from "$tmp/list"
	assertStatus 4
	assertJson '.image | endswith("m\ufffdller.gow")'
	assertJson '.image_hex | endswith("6c6c65722e676f77")'
	cp "$out" "$tmp/lines"
	run gow-report --json --expect "$tmp/list" "$tmp/lines"
	assertStatus 4
	assertJson '.images == 2 and .states.corrupt == 1 and .states.clean == 1'
	assertJson '.worst[0].image_hex | endswith("6de46c6c65722e676f77")'
	run gow-report "$tmp/lines"
	assertTrue "the name's bytes" "grep -aqF '$one' '$out'"
	# What no tool writes.
	printf '{"image":"a","exit":0,"image_hex":"%s"}\n' '' 6 6g 00 616263646566 >"$tmp/lines"
	printf '{"image":"a","exit":0,"image_hex":7}\n' >>"$tmp/lines"
	run gow-report --json "$tmp/lines"
	assertStatus 0
	assertJson '.images == 1'
}

# A name that is cut short is another one's, which it must not speak for.
testNamesWithNul() {
	printf '%s\n' '{"image":"a\u0000b","exit":4}' '{"image":"a","exit":0}' >"$tmp/lines"
	run gow-report --json "$tmp/lines"
	assertStatus 8
	assertJson '.images == 1 and .bad_lines == 1'
}

testLinesOfWindows() {
	printf '{"image":"a","exit":0}\r\n\r\n{"image":"b","exit":2}\r\n' >"$tmp/lines"
	run gow-report --json "$tmp/lines"
	assertStatus 2
	assertJson '.images == 2 and .bad_lines == 0'
}

# A list has the names that the tools were given; documents have them without secrets.
testExpectedUris() {
	printf '%s\n' 'http://me:secret@host/a.gow' >"$tmp/list"
	printf '{"image":"http://host/a.gow","exit":0}\n' >"$tmp/lines"
	run gow-report --json --expect "$tmp/list" "$tmp/lines"
	assertStatus 0
	assertJson '.images == 1 and .states.clean == 1'
}

# What JSON allows is read; what is no JSON is no result.
testTheFormsOfJson() {
	cat >"$tmp/lines" <<'END'
 { "exit" : 4 , "message" : "a\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00\ud83d.", "image" : "\u0061" }
{"image":"b","exit":0,"exit":2,"findings":[{"id":"x","more":[{"id":"no"},[]]} , {}, {"id":"y"}]}
{"more":{"image":"no","exit":0},"image":"c","exit":0,"n":[-0.5e+3,0,true,false,null,[[]],{"image":"no"}]}
END
	run gow-report --json "$tmp/lines"
	assertStatus 6
	assertErrEmpty
	assertJson '[.worst[] | [.image, .why]] == [["a", "a\"\\/\b\f\n\r\tAé€😀\ufffd."], ["b", "x, y"]]'
	assertJson '.states.clean == 1 and .images == 3 and .bad_lines == 0'
	good='{"image":"a","exit":0'
	printf '%s\n' "$good" "$good,}" "$good}}" "$good} 7" "$good,\"a\"}" "$good,\"a\":}" \
		"$good,\"a\":[1,]}" "$good,\"a\":01}" "$good,\"a\":-}" \
		"$good,\"a\":\"\\u12\"}" "$good,\"a\":\"\\x\"}" \
		"$good,\"a\":nul}" "$good,a:1}" "$good /**/}" '"' '{' '[' \
		"$good,\"a\":$(printf '%040d' 0 | tr 0 '[')$(printf '%040d' 0 | tr 0 ']')}" >"$tmp/lines"
	printf '{"image":"a",\000"exit":0}\n' >>"$tmp/lines"
	run gow-report --json "$tmp/lines"
	assertStatus 8
	assertJson ".images == 0 and .bad_lines == $(wc -l <"$tmp/lines")"
}

testUsage() {
	run gow-report --top x
	assertStatus 16
	run gow-report --expect a --expect b
	assertStatus 16
}

# What gow-check, gow-info and gow-compact say themselves.
testRealLines() {
	make_image sound-v1 "$tmp/sound.gow"
	make_image space-leak-v3 "$tmp/leak.gow"
	make_image map-range-v1 "$tmp/range.gow"
	(cd "$tmp" && "$GOW_BIN/gow-check" --json sound.gow leak.gow range.gow none.gow 2>/dev/null >lines)
	run gow-report --json "$tmp/lines"
	assertStatus 14
	assertJson '.states.clean == 1 and .states.advisory == 1 and .states.corrupt == 1
		and .states.failed == 1 and .space_bytes > 0'
	assertJson '.oldest.time > 1700000000 and (.worst[0].why | startswith("map.range"))'
	leaked=$(json .space_bytes)
	(cd "$tmp" && "$GOW_BIN/gow-info" --json --map leak.gow >lines)
	run gow-report --json "$tmp/lines"
	assertJson ".space_bytes <= $leaked and .space_bytes > 0"
	(cd "$tmp" && "$GOW_BIN/gow-compact" --json leak.gow >lines)
	run gow-report --json "$tmp/lines"
	assertJson '.space_bytes == 0'
}

# A million lines take seconds; here a tenth of it, within a minute on any machine.
testManyLines() {
	seq 100000 | sed 's|.*|{"schema":1,"tool":"gow-check","image":"/srv/&.gow","findings":[],"time":&,"exit":0}|' \
		>"$tmp/lines"
	run gow-report --json "$tmp/lines" "$tmp/lines"
	assertStatus 0
	assertJson '.images == 100000 and .states.clean == 100000 and .oldest.time == 1'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
