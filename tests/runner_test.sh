#!/bin/sh
# The runner and the base of the suites: what fails must be seen to fail.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# suite_of NAME: a suite made from standard input, $tmp/NAME_test.sh.  Its tests are
# written @NAME here, since shunit2 takes every line that begins like a test for one.
suite_of() {
	{
		echo '#!/bin/sh'
		echo ". '$TESTS/functions.sh'"
		sed 's/^@/test/'
		# shellcheck disable=SC2016 # for the suite to expand
		echo '. "$SHUNIT2"'
	} >"$tmp/$1_test.sh"
	chmod +x "$tmp/$1_test.sh"
}

# unit_of NAME: the same for a unit test, in a directory of binaries of its own.
unit_of() {
	mkdir -p "$tmp/bin/unit"
	cat >"$tmp/bin/unit/$1"
	chmod +x "$tmp/bin/unit/$1"
}

# run_tests ARG...: never reports into the file of this suite's own runner.
run_tests() {
	GOW_TESTS=$TESTS GOW_TESTBIN=$tmp/bin GOW_TEST_REPORT=/dev/null TMPDIR=$tmp run "$TESTS/run" "$@"
}

last_line_is() {
	assertEquals "last line" "$1" "$(tail -n 1 "$out")"
}

testCounts() {
	suite_of a <<'END'
@Good() { assertTrue 0; }
@Bad() { assertTrue "bad news" 1; }
@Skipped() { skip "no luck"; assertTrue 1; }
END
	run_tests "$tmp/a_test.sh"
	assertStatus 1
	last_line_is "1 passed, 1 failed, 1 skipped"
	assertOut 'bad news'
	assertOut '^FAIL a: testBad$'
	assertOut '^SKIP a: testSkipped: no luck$'
}

testUndefinedFunction() {
	suite_of a <<'END'
@Good() { asertTrue 0; assertTrue 0; }
END
	run_tests "$tmp/a_test.sh"
	assertStatus 1
	assertOut '^FAIL a: \(suite\): asertTrue: not found$'
}

testOnePassed() {
	suite_of a <<'END'
@Good() { assertTrue 0; echo "chatter"; }
END
	run_tests "$tmp/a_test.sh"
	assertStatus 0
	last_line_is "1 passed, 0 failed, 0 skipped"
	assertNoOut chatter
	run_tests -v "$tmp/a_test.sh"
	assertStatus 0
	assertOut chatter
}

testFailureInTheMiddleOfATest() {
	suite_of a <<'END'
@BadThenGood() { assertTrue 1; assertTrue 0; }
@Status() { false; }
END
	run_tests "$tmp/a_test.sh"
	assertStatus 1
	last_line_is "0 passed, 2 failed, 0 skipped"
}

# dies SCRIPT: a suite with one good test that is then ended by SCRIPT.
dies() {
	suite_of a <<END
@Good() { assertTrue 0; }
$1
END
	run_tests "$tmp/a_test.sh"
	assertStatus 1
	assertOut '[^0] failed, 0 skipped'
}

testSuiteThatDies() {
	dies '@Exit() { exit 0; }'
	dies '@Exit() { exit 1; }'
	dies '@Kill() { kill -9 $$; }'
	dies '@Term() { kill -15 $$; }'
	dies 'exit 0'
	dies 'if'
	dies 'suiteSetUp() { exit 0; }'
	dies '@SetUp() { false; }'
	dies 'suiteTearDown() { exit 0; }'
}

testNothingThere() {
	run_tests "$tmp/none_test.sh"
	assertStatus 1
	suite_of a </dev/null
	run_tests "$tmp/a_test.sh"
	assertStatus 1
	last_line_is "0 passed, 1 failed, 0 skipped"
	printf '#!/bin/sh\nexit 0\n' >"$tmp/b_test.sh"
	chmod +x "$tmp/b_test.sh"
	run_tests "$tmp/b_test.sh"
	assertStatus 1
}

testBadUsage() {
	run_tests -j 0
	assertStatus 16
	run_tests -x
	assertStatus 16
}

testUnitTests() {
	unit_of good <<'END'
#!/bin/sh
echo ok one
echo ok two
echo skip three: no reason
END
	run_tests unit/good
	assertStatus 0
	last_line_is "2 passed, 0 failed, 1 skipped"
	assertOut '^SKIP unit/good: three: no reason'
	printf '#!/bin/sh\necho ok one\necho not ok two\nexit 1\n' | unit_of bad
	run_tests unit/bad
	assertStatus 1
	last_line_is "1 passed, 1 failed, 0 skipped"
	assertOut '^FAIL unit/bad: two'
}

testUnitTestThatDies() {
	# shellcheck disable=SC2016 # for the script to expand
	printf '#!/bin/sh\necho ok one\nkill -SEGV $$\n' | unit_of dead
	run_tests unit/dead
	assertStatus 1
	last_line_is "1 passed, 1 failed, 0 skipped"
	printf '#!/bin/sh\necho ok one\necho not ok two\n' | unit_of liar
	run_tests unit/liar
	assertStatus 1
	printf '#!/bin/sh\n' | unit_of silent
	run_tests unit/silent
	assertStatus 1
	last_line_is "0 passed, 1 failed, 0 skipped"
}

testManyAtOnce() {
	for name in a b c d e; do
		suite_of $name <<'END'
@Slow() { sleep 0.3; assertTrue 0; }
@Bad() { echo "$gow_suite 1"; sleep 0.1; echo "$gow_suite 2"; assertTrue 1; }
END
	done
	run_tests -j4 "$tmp"/?_test.sh
	assertStatus 1
	last_line_is "5 passed, 5 failed, 0 skipped"
	# Each suite's output stays in one piece.
	for name in a b c d e; do
		assertEquals "$name 1 $name 2" "$(grep -A 1 " $name 1" "$out" | xargs)"
	done
}

testOneOfASuite() {
	suite_of a <<'END'
@Good() { assertTrue 0; }
@Bad() { assertTrue 1; }
END
	run_tests "$tmp/a_test.sh:testGood"
	assertStatus 0
	last_line_is "1 passed, 0 failed, 0 skipped"
}

testHangingSuiteIsEnded() {
	suite_of a <<'END'
@Forever() { sleep 60; }
END
	GOW_SUITE_TIMEOUT=1 run_tests "$tmp/a_test.sh"
	assertStatus 1
	assertOut 'stopped after 1 seconds'
}

testDirectorysGoAway() {
	mkdir "$tmp/left"
	# shellcheck disable=SC2016 # for the suite to expand
	for last in ':' 'exit 0' 'kill -15 $$' 'kill -1 $$' 'assertTrue 1'; do
		suite_of a <<END
suiteSetUp() { at_end "echo suite >>$tmp/ends"; }
@Good() {
	at_end "echo first >>$tmp/ends"
	at_end "echo second >>$tmp/ends"
	: >"\$work/file"
	: >"\$tmp/file"
	$last
}
END
		: >"$tmp/ends"
		GOW_TESTS=$TESTS GOW_TEST_REPORT=/dev/null TMPDIR=$tmp/left run "$tmp/a_test.sh"
		assertEquals "left by $last" "" "$(ls "$tmp/left")"
		assertEquals "order of at_end, $last" "second first suite" "$(xargs <"$tmp/ends")"
	done
}

testStoppingStopsAll() {
	suite_of a <<END
@Long() { at_end "echo ended >>$tmp/ends"; sleep 30; }
END
	mkdir "$tmp/left"
	GOW_TESTS=$TESTS GOW_TEST_REPORT=/dev/null TMPDIR=$tmp/left \
		env --default-signal "$TESTS/run" "$tmp/a_test.sh" >"$out" 2>&1 &
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		sleep 0.3
		[ -d "$(echo "$tmp"/left/gow-a.*/testLong)" ] && break
	done
	kill -TERM $!
	wait $!
	assertEquals 143 $?
	assertEquals "at_end was not called" ended "$(cat "$tmp/ends")"
	assertEquals "left" "" "$(ls "$tmp/left")"
}

testBrokenShimIsNoticed() {
	run_faulty FAULTIO_FAIL=red:1:EIO env true
	assertStatus 125
	run_faulty FAULTIO_READ=5 env true
	assertStatus 125
}

testFaultyReads() {
	printf '0123456789' >"$tmp/file"
	run_faulty FAULTIO_FILE="*/file" FAULTIO_READ=5-6 cat "$tmp/file"
	assertStatus 1
	assertEquals 01234 "$(cat "$out")"
	assertErr 'Input/output error'
	run_faulty FAULTIO_FILE="*/other" FAULTIO_READ=5-6 cat "$tmp/file"
	assertStatus 0
}

testFaultyCalls() {
	head -c 1000 /dev/zero >"$tmp/in"
	run_faulty FAULTIO_FILE="*/out" FAULTIO_FAIL=write:3:ENOSPC dd if="$tmp/in" of="$tmp/out" bs=100
	assertStatus 1
	assertErr 'No space left'
	assertEquals 200 "$(stat -c %s "$tmp/out")"
	run_faulty FAULTIO_FILE="*/out" FAULTIO_FAIL=sync:1:EIO dd if="$tmp/in" of="$tmp/out" conv=fsync
	assertStatus 1
	run_faulty FAULTIO_FILE="*/out" FAULTIO_FAIL=write:2:kill dd if="$tmp/in" of="$tmp/out" bs=100
	assertStatus 137
	run_faulty FAULTIO_FILE="*/in" FAULTIO_CUT="$tmp/in" FAULTIO_FAIL=read:3:cut=150 \
		dd if="$tmp/in" of="$tmp/out" bs=100
	assertStatus 0
	assertEquals 200 "$(stat -c %s "$tmp/out")"
	run_faulty FAULTIO_FILE="*/new" FAULTIO_FAIL=rename:1:EACCES mv "$tmp/in" "$tmp/new"
	assertStatus 1
}

testMaxrss() {
	# shellcheck disable=SC2016 # for the inner shell
	run maxrss "$tmp/rss" sh -c 'x=$(head -c 40000000 /dev/zero | tr "\000" x); exit 3'
	assertStatus 3
	assertTrue "$(cat "$tmp/rss") KiB" "[ $(cat "$tmp/rss") -gt 39000 ]"
	# shellcheck disable=SC2016 # for the inner shell
	run maxrss "$tmp/rss" sh -c 'kill -SEGV $$'
	assertStatus 139
}

testHold() {
	: >"$tmp/file"
	run hold -w -l ofd-write "$tmp/file" "$GOW_TESTBIN/hold" -r -l posix-read "$tmp/file" true
	assertStatus 126
	run hold -r -l ofd-read "$tmp/file" "$GOW_TESTBIN/hold" -r -l posix-read "$tmp/file" true
	assertStatus 0
	run hold -w -l posix-write -b 100:1 "$tmp/file" \
		"$GOW_TESTBIN/hold" -r -l ofd-read -b 0:100 "$tmp/file" true
	assertStatus 0
	need_leases "$tmp" || return 0
	run hold -w "$tmp/file" "$GOW_TESTBIN/hold" -r -l lease-read "$tmp/file" true
	assertStatus 126
	# shellcheck disable=SC2016 # for the inner shell
	run hold -t 0.2 -w "$tmp/file" sh -c 'sleep 0.5; "$GOW_TESTBIN/hold" -r -l lease-read "$1" true' \
		sh "$tmp/file"
	assertStatus 0
}

# What is measured is what was built, wherever that is.
testBenchOfAnotherBuild() {
	need_tool bash jq || return 0
	mkdir -p "$tmp/top/tests/bench" "$tmp/top/other/bin" "$tmp/top/other/tests"
	cp "$TESTS/bench/run" "$tmp/top/tests/bench"
	ln -s "$GOW_TESTBIN/maxrss" "$tmp/top/other/tests"
	printf '#!/bin/sh\necho ran >>"%s"\n' "$tmp/ran" >"$tmp/top/other/bin/gow-made-up"
	chmod +x "$tmp/top/other/bin/gow-made-up"
	echo "compare made-up '' gow-made-up true" >"$tmp/top/tests/bench/a.bench"
	for build in other "$tmp/top/other"; do
		run env -u GOW_BIN -u GOW_TESTBIN -u BENCH_JSON "BUILD=$build" "BENCH_DIR=$tmp" \
			"$tmp/top/tests/bench/run" -n 1
		assertStatus 0
		assertOut '^made-up '
	done
	assertEquals "runs" 4 "$(wc -l <"$tmp/ran")"
	assertTrue "no JSON" "[ -s '$tmp/top/other/bench.json' ]"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
