#!/bin/sh
# Memory that runs out: an error that says so, and nothing that could be taken for a result.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

[ -z "${SANITIZE:-}" ] || skip_suite "sanitizers have allocators of their own"

may_crash='' modes='0 +'

suiteSetUp() {
	make_image sound-v1 "$work/sound.gow"
	make_image map-crosslink-v1 "$work/damaged.gow"
}

# without N[+] TOOL ARG...: run, and that allocation fails (with all that follow).
without() {
	gow_find "$2"
	gow_command=$* gow_which=$1
	shift 2
	"$BUILD/tests/within" "$GOW_TIMEOUT" "FAILALLOC=$gow_which" FAILALLOC_COUNT="$work/count" \
		LD_PRELOAD="$GOW_TESTBIN/failalloc.so" "$gow_program" "$@" >"$out" 2>"$err"
	status=$?
}

# Lines of progress may be missing, and depend on time.
said() {
	sed 's/"time":[0-9]*//' "$out"
	grep -v '^{"phase":"[a-z]*","done":[0-9]*,"total":[0-9]*,"elapsed":[0-9.]*}$' "$err"
}

# exhausted TOOL ARG...: every allocation fails in turn; the result is the same, or there is none.
exhausted() {
	without 0 "$@"
	expected=$status
	said >"$tmp/expected"
	count=$(cat "$work/count")
	assertTrue "$count allocations" "[ $count -gt 10 ]"
	for more in $modes; do
		more=${more#0}
		nth=1
		while [ "$nth" -le "$count" ]; do
			without "$nth$more" "$@"
			if [ -n "$may_crash" ] && [ "$status" = 139 ]; then
				assertOutEmpty
			elif [ $((status & 8)) = 0 ] || [ "$status" -gt 127 ]; then
				said >"$tmp/said"
				assertEquals "status without allocation $nth$more" "$expected" "$status"
				assertSameFile "$tmp/expected" "$tmp/said"
			else
				assertErr 'memory'
				[ ! -s "$out" ] || assertJson '.error == "memory" or .image != null'
			fi
			nth=$((nth + (${#more} ? 3 : 1)))
		done
	done
}

testDocuments() {
	exhausted gow-info --json "$work/sound.gow"
	exhausted gow-check --json --data --digest --progress json "$work/damaged.gow"
}

testText() {
	exhausted gow-info --map "$work/sound.gow"
	exhausted gow-repair -n "$work/damaged.gow"
}

# gow-report asks json-c's parser only where there is memory for all of a line. A failure of a call
# inside of it, which cannot be had otherwise, makes the parser follow NULL.
testReports() {
	may_crash=yes modes=+
	"$GOW_BIN/gow-check" --json "$work/sound.gow" "$work/damaged.gow" >"$tmp/lines"
	exhausted gow-report "$tmp/lines"
	may_crash='' modes='0 +'
}

testCopies() {
	mkdir "$tmp/to"
	exhausted gow-convert --force --json "$work/sound.gow" "$tmp/to/disk.raw"
	assertEquals "disk.raw" "$(ls -A "$tmp/to")"
}

# A map whose entries all name one block, and one whose entries name many, each of them several times,
# in no order: a copy and an entry for each of them, in 64 MiB.
testDamagedMaps() {
	for version in 1 3; do
		case $version in
		1) printf 'version 1\nsize limit\nfill map 0\ndata 0 pattern 1\n' ;;
		3) printf 'version 3\nsize limit\ncount 1048576\n%s\n%s\n%s\n%s\n' \
			'map 0-1048575 0 shuffle 5' 'map 1048576-2097151 0 shuffle 6' \
			'map 2097152-3145727 0 shuffle 7' 'map 3145728-4194303 5 step 0' ;;
		esac | make_image - "$tmp/v$version.gow"
		run sh -c 'ulimit -v 65536 && exec "$@"' sh \
			"$GOW_BIN/gow-repair" -n -q "$tmp/v$version.gow"
		assertStatus 4
		assertErrEmpty
		rm "$tmp/v$version.gow"
	done
}

# What it would do is told step by step, however short the plan is in memory.
testEveryStepIsTold() {
	printf 'version 1\nsize 1G\nmap 0-16383 0 step 0\ndata 0 pattern 1\n' |
		make_image - "$tmp/all.gow"
	run gow-repair -n "$tmp/all.gow"
	assertStatus 4
	grep '^  ' "$out" >"$tmp/steps"
	awk 'BEGIN {
		start = 20 + 4 * 1048576
		for (i = 1; i < 16384; i++) {
			printf "  map.crosslink: the later block gets a copy of its own (65536 bytes at %d from %d); guest bytes %d-%d or 0-65535 may be foreign data: look\n", start + i * 65536, start, i * 65536, i * 65536 + 65535
			printf "  map.crosslink: and its entry names the copy, %d (4 bytes at %d)\n", i, 20 + 4 * i
		}
		print "  map.crosslink: block_count goes up past the copies, 16384 (4 bytes at 16)"
	}' >"$tmp/expected"
	assertSameFile "$tmp/expected" "$tmp/steps"
	run gow-repair -n --json "$tmp/all.gow"
	assertJson '.plan | length == 32767 and .[-2].value == 16383 and .[-3].guest_start == 16383 * 65536'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
