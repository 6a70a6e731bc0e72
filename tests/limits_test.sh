#!/bin/sh
# Every tool where a limit is tight: few addresses, no thread, short files. It does its work, or
# ends with a message and the right status; nothing is damaged, and the next run does the work.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$(dirname "$0")/servers.sh"

[ -z "${SANITIZE:-}" ] || skip_suite "sanitizers need all addresses, and threads"

in=$work/in

suiteSetUp() {
	mkdir "$in"
	printf 'version 1\nsize 64M\nmap 0-39 0\ndata 0-39 pattern 3\n' | make_image - "$in/one.gow"
	printf 'version 3\nsize 64M\nmap 0-39 10\ndata 10-49 pattern 3\n' | make_image - "$in/leaky.gow"
	printf 'version 3\nsize 64M\nmap 0-39 0\nmap 40-59 1 step 0\ndata 0-39 pattern 3\n' |
		make_image - "$in/shared.gow"
	"$GOW_BIN/gow-convert" -q "$in/leaky.gow" "$in/disk.raw"
	"$GOW_BIN/gow-convert" -q "$in/leaky.gow" "$in/disk.tar.zst"
	"$GOW_BIN/gow-convert" -q "$in/leaky.gow" "$in/disk.tar.xz"
	xz -kc "$in/disk.raw" >"$in/disk.raw.xz"
	"$GOW_BIN/gow-check" --json "$in/leaky.gow" "$in/shared.gow" >"$in/lines"
	"$GOW_BIN/gow-check" -q --write-manifest "$in/manifest" "$in/leaky.gow"
	chmod -R a+rX "$work"
	mkdir "$work/ref"
	rows >"$work/rows"
	while read -r expected result command; do
		to=$work/ref/$result.$expected
		tool_of_row
		[ "$result" = - ] || {
			fresh
			# shellcheck disable=SC2086 # no word of a row has a blank
			in_to "$GOW_BIN/$tool" $arguments
			[ "$status" -eq "$expected" ] || fail "without a limit: $command: $status"
		}
	done <"$work/rows"
}

tool_of_row() {
	tool=${command%% *}
	arguments=$(echo "${command#* }" | sed "s,IN/,$in/,g")
}

# What each tool is asked to do: its status, the file that it makes or changes (-: none), and its
# words. The files are fresh for every row.
rows() {
	cat <<-'END'
		0 new.gow  gow-create -q 1G new.gow
		0 new1.gow gow-create -q --image-version=1 1G new1.gow
		0 -        gow-info --map leaky.gow
		0 -        gow-info --picture leaky.gow
		2 -        gow-check --data --digest leaky.gow
		2 -        gow-check -q --manifest IN/manifest leaky.gow
		2 made     gow-check -q --write-manifest made leaky.gow
		4 -        gow-repair -n shared.gow
		1 shared.gow gow-repair -q -y shared.gow
		0 leaky.gow gow-compact -q leaky.gow
		0 c.gow    gow-compact -q -o c.gow leaky.gow
		0 one.gow  gow-upgrade -q one.gow
		0 u.gow    gow-upgrade -q -o u.gow one.gow
		0 r.raw    gow-convert -q leaky.gow r.raw
		0 g.gow    gow-convert -q IN/disk.raw g.gow
		0 p.raw    gow-convert -q IN/disk.raw.xz p.raw
		0 z.raw    gow-convert -q IN/disk.tar.zst z.raw
		0 x.gow    gow-convert -q IN/disk.tar.xz x.gow
		0 d.tar.zst gow-convert -q leaky.gow d.tar.zst
		0 d.tar.xz gow-convert -q leaky.gow d.tar.xz
		0 d.tar.gz gow-convert -q leaky.gow d.tar.gz
		0 m.tar.zst gow-convert -q --metadata-only leaky.gow m.tar.zst
		0 copy.gow gow-sync -q leaky.gow copy.gow
		0 -        gow-probe leaky.gow
		6 -        gow-report IN/lines
	END
}

fresh() {
	rm -rf "$to"
	mkdir "$to"
	cp -p --sparse=always "$in/one.gow" "$in/leaky.gow" "$in/shared.gow" "$to"
	chmod -R a+rwX "$to"
}

# in_to PREFIX... TOOL ARG...: run, in the directory $to.
in_to() {
	run sh -c 'cd "$1" && shift && exec "$@"' sh "$to" "$@"
}

# Threads or none, what is in an archive is the same.
same() {
	case $1 in
	*.zst) zstd -qdc "$1" >"$tmp/a" && zstd -qdc "$2" >"$tmp/b" ;;
	*.xz) xz -dc "$1" >"$tmp/a" && xz -dc "$2" >"$tmp/b" ;;
	*) ln -sf "$1" "$tmp/a" && ln -sf "$2" "$tmp/b" ;;
	esac
	cmp -s "$tmp/a" "$tmp/b"
	gow_same=$?
	rm -f "$tmp/a" "$tmp/b"
	return $gow_same
}

# limited WORDS MAY PREFIX...: each row with the prefix before the tool. The right result; or, where
# it MAY fail, a message with WORDS, nothing that is half there, and the right result without the
# limit.
limited() {
	words=$1 may=$2
	shift 2
	failures=0
	while read -r expected result command; do
		tool_of_row
		ref=$work/ref/$result.$expected to=$tmp/work
		fresh
		find "$to" -mindepth 1 | sort >"$tmp/before"
		# shellcheck disable=SC2086
		in_to "$@" "$GOW_BIN/$tool" $arguments
		if [ "$status" -eq 127 ] && grep -q 'shared librar' "$err"; then
			continue # the program could not even begin
		elif [ "$status" -eq "$expected" ]; then
			[ "$result" = - ] || same "$ref/$result" "$to/$result" ||
				fail "$*: another result: $command"
			continue
		fi
		failures=$((failures + 1))
		assertTrue "$*: $command: $status: $(head -n 3 "$err")" \
			"[ $((status & 8)) = $may ] && [ $status -lt 16 ]"
		gow_match "$words" "$err"
		gow_assert $? "$*: $command: no message of $words"
		# A record beside an image in mid-change is no litter.
		find "$to" -mindepth 1 ! -name '*.gow-undo*' ! -name '*.gow-sync*' | sort |
			cmp -s - "$tmp/before"
		assertEquals "$*: something was left: $command: $(ls -A "$to")" 0 $?
		# shellcheck disable=SC2086
		in_to "$GOW_BIN/$tool" $arguments
		[ "$result" = - ] || same "$ref/$result" "$to/$result" ||
			fail "$*: and again: another result: $command: $(head -n 3 "$err")"
	done <"$work/rows"
}

testFewAddresses() {
	need_tool prlimit || return 0
	for mib in 9 20 48 320; do
		limited 'memory' 8 prlimit --as=$((mib * 1048576))
	done
	# The largest is more than enough for all of them.
	assertEquals "refused with 320 MiB" 0 "$failures"
}

# need_threadless: $threadless is what runs a command that can start no thread. Root may start any
# number.
need_threadless() {
	need_tool prlimit setpriv || return 1
	chmod a+rwx "$work" "$tmp"
	threadless='prlimit --nproc=1'
	[ "$(id -u)" -ne 0 ] ||
		threadless="$threadless setpriv --reuid=54321 --regid=54321 --clear-groups"
}

# Compressors, and what reads ahead, work in the caller's thread then.
testFewDescriptors() {
	need_tool prlimit || return 0
	all=0
	for files in 4 6; do
		limited 'Too many open files' 8 prlimit --nofile=$files
		all=$((all + failures))
	done
	assertTrue "there were enough for all" "[ $all -gt 0 ]"
	# Nothing was fetched yet: nothing is left of the copy.
	for files in 5 6 7 8; do
		to=$tmp/sync$files
		fresh
		run prlimit --nofile=$files "$GOW_BIN/gow-sync" -q "$to/leaky.gow" "$to/copy.gow"
		[ -f "$to/copy.gow" ] || [ -f "$to/copy.gow.gow-sync" ] ||
			assertFalse "$files: left" "[ -e '$to/copy.gow.gow-sync.new' ]"
	done
}

# What was taken back was, whatever cannot be opened after it.
testUndoWithFewDescriptors() {
	need_tool prlimit || return 0
	to=$tmp/work
	fresh
	run gow-repair -y -q "$to/shared.gow"
	assertStatus 1
	mv "$to" "$tmp/repaired"
	for files in 4 5 6 7 8 9; do
		rm -rf "$to"
		cp -a "$tmp/repaired" "$to"
		run prlimit --nofile=$files "$GOW_BIN/gow-repair" --undo "$to/shared.gow"
		if [ "$status" -eq 127 ]; then
			continue # the program could not even begin
		elif [ "$status" -eq 0 ]; then
			assertSameFile "$in/shared.gow" "$to/shared.gow"
		else
			assertStatus 8
			assertErr 'Too many open files'
			assertSameFile "$tmp/repaired/shared.gow" "$to/shared.gow"
			assertSameFile "$tmp/repaired/shared.gow.gow-undo" "$to/shared.gow.gow-undo"
		fi
	done
	assertStatus 0
}

testNoThreads() {
	need_threadless || return 0
	# shellcheck disable=SC2086
	limited 'no failure' 8 $threadless
	assertEquals "failed without threads" 0 "$failures"
}

# More than gow-sync has under way at a time, in pieces, at a rate, from a server; and one that is
# stopped keeps what came.
testSyncWithoutThreads() {
	need_threadless || return 0
	printf 'version 3\nsize 64M\nmap 0-299 0 shuffle 5\ndata 0-299 pattern 3\n' |
		make_image - "$tmp/big.gow"
	chmod a+r "$tmp/big.gow"
	mkdir -m 777 "$tmp/to"
	sum=$("$GOW_TESTBIN/guestsum" "$tmp/big.gow" | sha256sum)
	# shellcheck disable=SC2086
	run $threadless "$GOW_BIN/gow-sync" --json --limit-rate 90M "$tmp/big.gow" "$tmp/to/c.gow"
	assertStatus 0
	assertEquals "$sum" "$("$GOW_TESTBIN/guestsum" "$tmp/to/c.gow" | sha256sum)"
	need_tool nginx || return 0
	serve_nginx "$tmp"
	# shellcheck disable=SC2086
	$threadless "$GOW_BIN/gow-sync" -q --limit-rate 8M "$url/big.gow" "$tmp/to/d.gow" 2>/dev/null &
	for _ in $(seq 600); do
		[ "$(stat -c %s "$tmp/to/d.gow.gow-sync" 2>/dev/null || echo 0)" -le 400 ] || break
		sleep 0.05
	done
	kill -TERM $!
	wait $!
	assertEquals "stopped" 32 $?
	# shellcheck disable=SC2086
	run $threadless "$GOW_BIN/gow-sync" --json "$url/big.gow" "$tmp/to/d.gow"
	assertStatus 0
	assertJson '.resumed == true'
	assertEquals "$sum" "$("$GOW_TESTBIN/guestsum" "$tmp/to/d.gow" | sha256sum)"
}

# A file that a shell's limit ends: the message names the file that was to be made, and the limit.
testShortFiles() {
	need_tool prlimit || return 0
	for size in 4096 1048576; do
		limited '(new1?|made|shared|leaky|c|one|u|r|g|p|z|x|d|m|copy)(\.|:).*(File too large|ulimit)' 8 \
			prlimit --fsize=$size
	done
}

# Blocks out of order are copied to a temporary file first: the message says what chooses its place.
testTemporarySpace() {
	need_tool prlimit || return 0
	mkdir "$tmp/temporary" "$tmp/to"
	printf 'version 3\nsize 64M\nmap 0-39 0 shuffle 1\ndata 0-39 pattern 3\n' |
		make_image - "$tmp/disk.gow"
	tar -C "$tmp" -cf "$tmp/disk.tar" disk.gow
	run sh -c 'TMPDIR=$1 prlimit --fsize=40000000 "$2" -q "$3" - | wc -c' sh "$tmp/temporary" \
		"$GOW_BIN/gow-convert" "$tmp/disk.tar"
	assertErr "$tmp/temporary: cannot [^:]*temporary file \\(TMPDIR says where\\).*ulimit -f"
	# Beside a destination it is the destination that is named.
	run prlimit --fsize=40000000 "$GOW_BIN/gow-convert" -q --to tar "$tmp/disk.tar" "$tmp/to/out.tar"
	assertStatus 8
	assertErr "$tmp/to/out.tar: cannot [^:]*temporary file beside it.*ulimit -f"
	assertNull "something was left" "$(ls -A "$tmp/to")$(ls -A "$tmp/temporary")"
	need_root || return 0
	mount_tmpfs 1m || return 0
	run sh -c 'TMPDIR=$1 "$2" -q "$3" - | wc -c' sh "$mnt" "$GOW_BIN/gow-convert" "$tmp/disk.tar"
	assertErr "$mnt: cannot [^:]*temporary file \\(TMPDIR says where\\).*No space left"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
