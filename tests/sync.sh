# shellcheck shell=sh disable=SC2034,SC2154 # variables are set by functions.sh, and used by suites
# Masters, and copies of them, for the suites of gow-sync. To be sourced after functions.sh.

# lineage IMAGE [LINE...]: an image of one lineage; the lines are what its last session did.
lineage() {
	image=$1
	shift
	{
		printf '%s\n' 'version 3' 'size 16M' 'map 0-99 0' 'data 0-99 pattern 1' 'ver 0-99 1'
		printf '%s\n' "$@"
	} | "$GOW_TESTBIN/mkimage" - "$image" || fail "mkimage $image"
}

suiteSetUp() {
	lineage "$work/v1.gow"
	# 10 blocks changed, 1 discarded, 6 allocated.
	lineage "$work/v2.gow" 'data 10-19 pattern 2' 'ver 10-19 2' 'map 7 none' 'ver 7 2' \
		'map 150-155 100' 'data 100-105 pattern 3' 'ver 150-155 1'
	lineage "$work/all.gow" 'data 0-99 pattern 4' 'ver 0-99 3'
}

# copy_of VERSION: $tmp/c.gow is a copy of it.
copy_of() {
	cp --sparse=always "$work/$1.gow" "$tmp/c.gow"
}

# sum_of IMAGE: a file with the sums of its guest's blocks, told without the library. Those of the
# suite's masters are kept.
sum_of() {
	sum=$1.sum
	case $1 in
	"$tmp"/*) rm -f "$sum" ;;
	esac
	[ -f "$sum" ] || "$GOW_TESTBIN/guestsum" "$1" >"$sum"
	echo "$sum"
}

# assertInStep MASTER [COPY]: the same guest and the same numbers.
assertInStep() {
	assertSameFile "$(sum_of "$1")" "$(sum_of "${2:-$tmp/c.gow}")"
	cmp -n 1024 -i 16777236 "$1" "${2:-$tmp/c.gow}"
	assertTrue 'the numbers of 256 blocks' $?
	rm -f "$tmp/c.gow.sum"
}

# assertAlone: nothing stands beside the copy.
assertAlone() {
	assertEquals 'beside the copy' '' \
		"$(find "$tmp" -mindepth 1 -maxdepth 1 -printf '%f\n' |
			grep -v -x -e c.gow -e stdout -e stderr -e ng -e s -e 'm.*')"
}

# assertOld VERSION: the copy's guest is that one's.
assertOld() {
	assertSameFile "$(sum_of "$work/$1.gow")" "$(sum_of "$tmp/c.gow")"
	rm -f "$tmp/c.gow.sum"
}

# wait_for_record: until some blocks of the copy are in its record.
wait_for_record() {
	for _ in $(seq 600); do
		[ "$(stat -c %s "$tmp/c.gow.gow-sync" 2>/dev/null || echo 0)" -le 400 ] || break
		sleep 0.05
	done
}

# interrupted COMMAND...: runs it, with its blocks coming slowly, until some are there, and kills it.
interrupted() {
	"$GOW_BIN/gow-sync" --limit-rate 2M "$@" >/dev/null 2>&1 &
	child=$!
	wait_for_record
	kill -9 "$child"
	wait "$child" 2>/dev/null
}
