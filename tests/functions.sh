# shellcheck shell=sh
# The base of every shunit2 suite.  A suite is an executable tests/NAME_test.sh:
#
#	#!/bin/sh
#	# shellcheck source=functions.sh
#	. "$(dirname "$0")/functions.sh"
#
#	testSomething() {
#		make_image sound-v1 "$tmp/a.gow"
#		run gow-check "$tmp/a.gow"
#		assertStatus 0
#	}
#
#	# shellcheck source=/dev/null
#	. "$SHUNIT2"
#
# This file owns shunit2's four hooks (setUp, tearDown, oneTimeSetUp,
# oneTimeTearDown); a suite that needs them defines testSetUp, testTearDown,
# suiteSetUp, suiteTearDown instead.
#
# What a suite finds here:
#	$work, $tmp        a directory for the suite, a directory for the test; both go away
#	$top, $fixtures    the checkout, its fixtures
#	$GOW_BIN, $GOW_TESTBIN
#	                   where the tools and the helper programs are
#	run TOOL ARG...    runs it under a time-out; then $status, and the files $out
#	                   and $err; standard input is the caller's
#	run_faulty VAR=VALUE... TOOL ARG...
#	                   the same with calls failing (see faultio.c)
#	wait_for_stop PID  until the process was stopped by a signal, or has ended
#	assertStatus N, assertOut RE, assertErr RE, assertNoOut RE, assertNoErr RE,
#	assertOutEmpty, assertErrEmpty, assertSameFile A B
#	assertJson FILTER  the jq filter holds for the whole of $out
#	json FILTER        prints what it gives
#	make_image CASE|RECIPE|- IMAGE, make_raw CASE|RECIPE|- DISK
#	image_state FILE   what must stay as it is when nothing is changed
#	state_of FILE; assertUnchanged FILE
#	                   remembers that; compares with it
#	sampled_fixtures   the directories of all fixtures, or under a sanitizer of some
#	skip REASON        loud; does not return from the test: `skip "no X"; return`
#	need_root, need_tool NAME..., need_leases DIRECTORY
#	                   skip where it is missing: `need_root || return 0`
#	skip_suite REASON  at the top of a suite: nothing of it can run
#	at_end COMMAND     run when the test (or the suite's set-up) is over, however it
#	                   ends, the latest first; COMMAND is evaluated by the shell
#	mount_tmpfs SIZE   $mnt is a new tmpfs (needs root)
#	mount_file IMAGE OPTION...
#	                   $mnt is the file system in IMAGE (needs root)
#	attach_loop FILE OPTION...
#	                   $loop is a block device over FILE (needs root)

TESTS=$(cd "$(dirname "$0")" && pwd -P)
# A suite may stand elsewhere: tests/run's own suites are made in a temporary directory.
[ -n "${GOW_TESTS:-}" ] && TESTS=$GOW_TESTS
top=$(dirname "$TESTS")
fixtures=$top/fixtures

# A build directory may be named relative to the checkout.
case ${BUILD:=build} in
/*) ;;
*) BUILD=$top/$BUILD ;;
esac
GOW_BIN=${GOW_BIN:-$BUILD/bin}
GOW_TESTBIN=${GOW_TESTBIN:-$BUILD/tests}

# What is compared must not depend on whose machine it is.
LC_ALL=C.UTF-8 TZ=UTC SHUNIT_COLOR=none
export GOW_BIN GOW_TESTBIN LC_ALL TZ SHUNIT_COLOR
unset NO_COLOR TERM POSIXLY_CORRECT

: "${GOW_TEST_REPORT:=/dev/null}"
: "${GOW_TIMEOUT:=180}"

gow_suite=$(basename "$0" .sh)
gow_suite=${gow_suite%_test}
gow_test='' gow_skipped='' gow_command='' gow_torn='' gow_ends='' gow_suite_ends=''

for SHUNIT2 in "${SHUNIT2:-}" /usr/bin/shunit2 /usr/share/shunit2/shunit2 "$(command -v shunit2)" ''; do
	[ -f "$SHUNIT2" ] && break
done
if [ -z "$SHUNIT2" ]; then
	echo "$gow_suite: shunit2 is not installed" >&2
	exit 1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/gow-$gow_suite.XXXXXX") || exit 1
# Names in results are compared; a TMPDIR with a link in it must not matter.
work=$(cd "$work" && pwd -P)
tmp=$work out=$work/stdout err=$work/stderr status=0

# shunit2 takes the traps for EXIT, INT and TERM over, and calls oneTimeTearDown.
trap oneTimeTearDown EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

suiteSetUp() { :; }
suiteTearDown() { :; }
testSetUp() { :; }
testTearDown() { :; }

# shunit2 counts with it, twice in each assertion; a process less is a third of an assertion.
expr() {
	case $#$2 in
	3+) echo $(($1 + $3)) ;;
	*) command expr "$@" ;;
	esac
}

gow_report() {
	printf '%s\n' "$*" >>"$GOW_TEST_REPORT"
}

# Runs the commands of at_end, one a line, the latest first.
gow_run_ends() {
	while [ -n "$1" ]; do
		eval "${1%%
*}" || echo "$gow_suite: at the end: ${1%%
*}: failed" >&2
		set -- "${1#*
}"
	done
}

oneTimeSetUp() {
	suiteSetUp
	gow_suite_ends=$gow_ends gow_ends=''
}

oneTimeTearDown() {
	# shunit2 calls it once more when the shell exits.
	[ -z "$gow_torn" ] || return 0
	gow_torn=1
	suiteTearDown
	gow_run_ends "$gow_ends$gow_suite_ends"
	rm -rf --one-file-system "$work"
	# Reached by the shell's exit alone where the suite died half-way, and then
	# the line that tests/run looks for is missing.
	[ "${__shunit_clean:-0}" = "${SHUNIT_FALSE:-1}" ] && gow_report end
	return 0
}

gow_began_in=$PWD

setUp() {
	gow_test=${_shunit_test_:-unknown}
	gow_skipped=''
	tmp=$work/$gow_test
	mkdir "$tmp" || return 1
	out=$tmp/stdout err=$tmp/stderr status=0
	testSetUp
}

tearDown() {
	[ -n "$gow_test" ] || return 0
	testTearDown
	gow_run_ends "$gow_ends"
	gow_ends=''
	# The next test is not to run in a directory that is gone.
	cd "$gow_began_in" || return 1
	rm -rf --one-file-system "$tmp"
	# __shunit_clean says that this is the shell's exit: the test ended it.
	if [ "${__shunit_clean:-0}" != "$SHUNIT_FALSE" ]; then
		gow_report "fail $gow_test it ended the whole suite"
	elif [ "${__shunit_testSuccess:-1}" != "$SHUNIT_TRUE" ]; then
		gow_report "fail $gow_test"
	elif [ -n "$gow_skipped" ]; then
		gow_report "skip $gow_test $gow_skipped"
	else
		gow_report "pass $gow_test"
	fi
	gow_test='' tmp=$work
}

at_end() {
	gow_ends="$*
$gow_ends"
}

# ---- skipping ----

skip() {
	gow_skipped=$*
	echo "SKIP $gow_suite: $gow_test: $*"
	startSkipping
}

skip_suite() {
	echo "SKIP $gow_suite: all: $*"
	gow_report "skip all $*"
	gow_report end
	exit 0
}

need_root() {
	[ "$(id -u)" -eq 0 ] || { skip "needs root" && false; }
}

need_tool() {
	for gow_tool; do
		command -v "$gow_tool" >/dev/null || { skip "needs $gow_tool" && return 1; }
	done
}

# Some file systems have no leases, and then nobody can tell who has a file open.
need_leases() {
	: >"$1/lease-probe"
	"$GOW_TESTBIN/hold" -r -l lease-write "$1/lease-probe" true 2>/dev/null ||
		{ skip "no leases on the file system of $1" && false; }
}

# ---- running ----

# gow_program is the path of a tool, a helper or anything else.
gow_find() {
	for gow_program in "$GOW_BIN/$1" "$GOW_TESTBIN/$1" "$1"; do
		[ -x "$gow_program" ] && return
	done
}

gow_path() {
	gow_find "$1"
	echo "$gow_program"
}

run() {
	gow_find "$1"
	gow_command=$*
	shift
	"$BUILD/tests/within" "$GOW_TIMEOUT" "$gow_program" "$@" >"$out" 2>"$err"
	status=$?
}

run_faulty() {
	gow_faults=''
	while :; do
		case $1 in
		FAULTIO_*=*)
			gow_faults="$gow_faults $(gow_quote "$1")"
			shift
			;;
		*) break ;;
		esac
	done
	gow_find "$1"
	gow_command=$*
	shift
	# AddressSanitizer insists on being the first library otherwise.
	eval '"$BUILD/tests/within" "$GOW_TIMEOUT"' "$gow_faults" \
		'"ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"' \
		'"LD_PRELOAD=$GOW_TESTBIN/faultio.so" "$gow_program" "$@"' >"$out" 2>"$err"
	status=$?
}

wait_for_stop() {
	for _ in $(seq 1000); do
		case $(cut -d ' ' -f 3 "/proc/$1/stat") in
		T | Z) break ;;
		esac
		sleep 0.01
	done
}

gow_quote() {
	printf "'"
	printf '%s' "$1" | sed "s/'/'\\\\''/g"
	printf "'"
}

# What the last tool said, for whoever reads a failure.
gow_said() {
	[ -f "$out" ] || return 0
	printf '  command: %s\n  status: %s\n' "$gow_command" "$status"
	head -c 2000 "$out" | sed 's/^/  stdout: /'
	head -c 2000 "$err" | sed 's/^/  stderr: /'
}

# ---- assertions ----

assertStatus() {
	assertEquals "exit status" "$1" "$status"
	[ "$1" = "$status" ] || gow_said
}

# gow_assert VALUE MESSAGE: one assertion that holds where VALUE is 0.
gow_assert() {
	assertTrue "$2" "$1"
	[ "$1" -eq 0 ] || gow_said
}

gow_match() {
	grep -qE -e "$1" "$2"
}

assertOut() {
	gow_match "$1" "$out"
	gow_assert $? "standard output has no $1"
}

assertErr() {
	gow_match "$1" "$err"
	gow_assert $? "standard error has no $1"
}

assertNoOut() {
	! gow_match "$1" "$out"
	gow_assert $? "standard output has $1"
}

assertNoErr() {
	! gow_match "$1" "$err"
	gow_assert $? "standard error has $1"
}

assertOutEmpty() {
	[ ! -s "$out" ]
	gow_assert $? "standard output is not empty"
}

assertErrEmpty() {
	[ ! -s "$err" ]
	gow_assert $? "standard error is not empty"
}

gow_same() {
	cmp "$1" "$2" >"$work/cmp" 2>&1
}

assertSameFile() {
	gow_same "$1" "$2"
	gow_assert $? "files differ: $(cat "$work/cmp")"
}

# Several documents are judged one by one, and each has to pass.
assertJson() {
	jq -es 'length > 0 and all(.[]; '"$1"')' "$out" >/dev/null 2>"$work/jq"
	gow_assert $? "not so in the JSON: $1 $(cat "$work/jq")"
}

json() {
	jq -cr "$1" "$out"
}

# ---- images ----

# gow_recipe CASE|RECIPE|-: prints the path of the recipe.
gow_recipe() {
	if [ -f "$fixtures/$1/recipe" ]; then
		echo "$fixtures/$1/recipe"
	else
		echo "$1"
	fi
}

# Of very many cases of one kind, $sample_step from one to the next is tried: under a sanitizer,
# which takes many times as long and looks for other things, not every one.
sample_step=1
[ -z "${SANITIZE:-}" ] || sample_step=5

sampled_fixtures() {
	find "$fixtures" -mindepth 1 -maxdepth 1 -type d | sort |
		awk -v step=$sample_step 'NR % step == 1 % step'
}

make_image() {
	"$GOW_TESTBIN/mkimage" "$(gow_recipe "$1")" "$2" || fail "mkimage $1"
}

make_raw() {
	"$GOW_TESTBIN/mkimage" --raw "$(gow_recipe "$1")" "$2" || fail "mkimage --raw $1"
}

# Every change of content changes ctime, so this is far cheaper than a sum over a
# header of 32 MiB, and finds more.  The blocks in use are left out: of a new file they
# change by themselves, when its data gets its place on the disk.
image_state() {
	stat -c '%d:%i %a %u:%g %s %y %z' "$1"
}

state_of() {
	gow_state=$(image_state "$1")
}

assertUnchanged() {
	assertEquals "$1 was changed" "$gow_state" "$(image_state "$1")"
}

# ---- file systems and devices ----

gow_mount() {
	mnt=$(mktemp -d "$tmp/mnt.XXXXXX") || return 1
	mount "$@" "$mnt" || { fail "mount $*"; return 1; }
	at_end "umount $(gow_quote "$mnt") || umount -l $(gow_quote "$mnt")"
}

mount_tmpfs() {
	gow_mount -t tmpfs -o "size=$1" tmpfs
}

mount_file() {
	gow_image=$1
	shift
	gow_mount -o loop "$@" "$gow_image"
}

attach_loop() {
	gow_image=$1
	shift
	loop=$(losetup --find --show "$@" "$gow_image") || { fail "losetup $gow_image"; return 1; }
	at_end "losetup -d $(gow_quote "$loop")"
}
