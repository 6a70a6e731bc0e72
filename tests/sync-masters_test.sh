#!/bin/sh
# gow-sync: masters of each kind. What the look before the switch costs, and that it sees a change.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$TESTS/servers.sh"
# shellcheck source=sync.sh
. "$TESTS/sync.sh"

# Of a disk that large map and numbers are 512 KiB each: more than is read again for nothing.
table=524288
# What one kind of master costs: its beginning, map and numbers, 16 blocks, its beginning again.
least=$((4096 + 2 * table + 16 * 65536 + 4096))
# And where nothing proves that it is the same, map and numbers again.
whole=$((least + 2 * table))

testSetUp() {
	large v1 "$tmp/m.old"
	large v2 "$tmp/m.gow" 'data 10-19 pattern 2' 'ver 10-19 2' 'map 7 none' 'ver 7 2' \
		'map 150-155 100' 'data 100-105 pattern 3' 'ver 150-155 1'
}

# large NAME IMAGE [LINE...]: an image of the lineage, whose disk is large; made once.
large() {
	kept=$work/$1.large
	to=$2
	shift 2
	[ -f "$kept" ] || lineage "$kept" 'size 8G' "$@"
	cp --sparse=always "$kept" "$to"
	touch -d '2 hours ago' "$to"
}

# serve_kinds: $tmp/m.gow under a path for each kind of answer.
serve_kinds() {
	serve_nginx "$tmp" \
		"location /tag/ { alias $tmp/; add_header Last-Modified ''; }" \
		"location /weak/ { alias $tmp/; etag off; add_header ETag 'W/\"1\"'; }" \
		"location /date/ { alias $tmp/; etag off; }" \
		"location /none/ { alias $tmp/; etag off; add_header Last-Modified ''; }"
}

# serve_logged FILE: the same over NBD; $tmp/m.log has a line for each request.
serve_logged() {
	serve_nbd -r --filter=log file "$1" logfile="$tmp/m.log"
}

nbd_bytes() {
	grep -o ' Read id=[0-9]* offset=[0-9a-fx]* count=[0-9a-fx]*' "$tmp/m.log" |
		sed 's/.*count=//' | while read -r count; do echo $((count)); done |
		awk '{ sum += $1 } END { printf "%d\n", sum }'
}

# costs BYTES MASTER [OPTION]: -n says so, and so it is.
costs() {
	bytes=$1
	shift
	cp --sparse=always "$tmp/m.old" "$tmp/c.gow"
	run gow-sync -n --json "$@" "$tmp/c.gow"
	assertStatus 0
	assertEquals "$*: said" "$bytes" "$(json .fetch_bytes)"
	requests=$(json .requests)
	[ ! -f "$tmp/ng/log" ] || forget_served
	run gow-sync --json "$@" "$tmp/c.gow"
	assertStatus 0
	assertEquals "$*: fetched" "$bytes $requests" "$(json '"\(.fetched_bytes) \(.requests)"')"
	assertInStep "$tmp/m.gow"
}

testCostOverHttp() {
	need_tool nginx python3 || return 0
	serve_kinds
	for kind in . tag weak date none; do
		case $kind in
		. | tag) costs $least "$url/$kind/m.gow" ;;
		*) costs $whole "$url/$kind/m.gow" ;;
		esac
		# Two bytes are asked for first, which tell what the object is.
		assertEquals "$kind: at the server" $((bytes + 2)) "$(served_bytes)"
		assertEquals "$kind: requests" $((requests + 1)) "$(served_requests)"
	done
	# A tag made of a time that is a second ago, or of none, is no proof.
	for time in now @1; do
		touch -d $time "$tmp/m.gow"
		costs $whole "$url/m.gow"
		assertEquals "$time: at the server" $((bytes + 2)) "$(served_bytes)"
	done
}

# pair_of SIZE BLOCKS: all of these have a newer number in m.gow than in m.old.
pair_of() {
	for number in 1 2; do
		printf '%s\n' 'version 3' "size $1" "map 0-$(($2 - 1)) 0" \
			"data 0-$(($2 - 1)) pattern $number" "ver 0-$(($2 - 1)) $number" |
			"$GOW_TESTBIN/mkimage" - "$tmp/m.$number"
	done
	mv "$tmp/m.1" "$tmp/m.old"
	mv "$tmp/m.2" "$tmp/m.gow"
	touch -d '2 hours ago' "$tmp/m.gow"
}

# Where it costs little all of it is looked at, or at least the numbers, whatever the server proves.
testLooksWhereThatCostsLittle() {
	need_tool nginx python3 || return 0
	serve_kinds
	pair_of 64M 1
	costs $((2 * (4096 + 8192) + 65536)) "$url/m.gow"
	pair_of 1G 150
	costs $((4096 + 131072 + 150 * 65536 + 4096 + 65536)) "$url/m.gow"
}

testCostOverNbd() {
	need_tool nbdkit || return 0
	serve_logged "$tmp/m.gow"
	costs $whole "$uri"
	before=$(nbd_bytes)
	cp --sparse=always "$tmp/m.old" "$tmp/c.gow"
	run gow-sync -q "$uri" "$tmp/c.gow"
	assertEquals $whole $(($(nbd_bytes) - before))
}

testCostOfAFile() {
	need_leases "$tmp" || return 0
	costs $least "$tmp/m.gow"
	costs $whole --no-lock "$tmp/m.gow"
}

# changed_meanwhile HOW MASTER [OPTION]: while blocks of all the disk come, m.gow becomes m.next (by the
# command HOW); the copy is m.next in the end.
changed_meanwhile() {
	how=$1
	shift
	cp --sparse=always "$tmp/m.old" "$tmp/c.gow"
	"$GOW_BIN/gow-sync" --json --limit-rate 4M "$@" "$tmp/c.gow" >"$out" 2>"$err" &
	child=$!
	wait_for_record
	# In no time, as far as it can tell.
	kill -STOP $child
	$how
	kill -CONT $child
	wait $child
	status=$?
	assertEquals "$how $*: exit status" 0 $status
	assertJson '.rounds == 2'
	assertInStep "$tmp/m.next"
	assertAlone
}

renamed() {
	cp --sparse=always "$tmp/m.next" "$tmp/m.new"
	touch -d '1 hour ago' "$tmp/m.new"
	mv "$tmp/m.new" "$tmp/m.gow"
}

overwritten() {
	dd if="$tmp/m.next" of="$tmp/m.gow" bs=1M conv=notrunc status=none
}

# No time tells of it.
overwritten_secretly() {
	touch -r "$tmp/m.gow" "$tmp/m.time"
	overwritten
	touch -r "$tmp/m.time" "$tmp/m.gow"
}

# masters_of_all_blocks: m.gow is all of it new, and so is m.next.
masters_of_all_blocks() {
	large all "$tmp/m.gow" 'data 0-99 pattern 4' 'ver 0-99 3'
	large next "$tmp/m.next" 'data 0-99 pattern 5' 'ver 0-99 4'
}

testChangeIsNoticed() {
	need_tool nginx python3 || return 0
	serve_kinds
	for case in .:renamed .:overwritten tag:renamed weak:renamed date:renamed \
		weak:overwritten_secretly date:overwritten_secretly none:overwritten_secretly; do
		masters_of_all_blocks
		changed_meanwhile "${case#*:}" "$url/${case%:*}/m.gow"
	done
	masters_of_all_blocks
	touch "$tmp/m.gow"
	changed_meanwhile overwritten_secretly "$url/m.gow"
}

testChangeIsNoticedOverNbd() {
	need_tool nbdkit || return 0
	masters_of_all_blocks
	serve_logged "$tmp/m.gow"
	changed_meanwhile overwritten "$uri"
}

# changed_between HOW MASTER: the same where a sync was killed meanwhile. Its record has blocks of the old
# content, which are fetched again.
changed_between() {
	cp --sparse=always "$tmp/m.old" "$tmp/c.gow"
	interrupted "$2" "$tmp/c.gow"
	assertTrue "$*: fetched" "[ $(stat -c %s "$tmp/c.gow.gow-sync") -gt 400 ]"
	"$1"
	run gow-sync "$2" "$tmp/c.gow"
	assertStatus 0
	assertInStep "$tmp/m.next"
	assertAlone
}

testChangeAfterAnInterruption() {
	need_tool nginx python3 nbdkit || return 0
	serve_kinds
	for case in .:renamed weak:overwritten_secretly none:overwritten_secretly; do
		masters_of_all_blocks
		changed_between "${case#*:}" "$url/${case%:*}/m.gow"
	done
	masters_of_all_blocks
	serve_logged "$tmp/m.gow"
	changed_between overwritten "$uri"
	masters_of_all_blocks
	changed_between renamed "$tmp/m.gow"
}

# As sorting its blocks would: other places under the same numbers, where the map is not read at once with
# the beginning.
masters_sorted() {
	large unsorted "$tmp/m.gow" 'data 0-99 pattern 4' 'ver 0-99 3' 'map 2000-2039 100' \
		'data 100-139 pattern 4' 'ver 2000-2039 3'
	large sorted "$tmp/m.next" 'data 0-99 pattern 4' 'ver 0-99 3' 'map 2000-2019 120' \
		'map 2020-2039 100' 'data 100-139 pattern 5' 'ver 2000-2039 3'
}

testChangeOfTheMapAlone() {
	need_tool nginx python3 nbdkit || return 0
	masters_sorted
	serve_kinds
	changed_meanwhile overwritten_secretly "$url/none/m.gow"
	masters_sorted
	serve_logged "$tmp/m.gow"
	changed_meanwhile overwritten "$uri"
}

testChangeOfAFileIsNoticed() {
	masters_of_all_blocks
	changed_meanwhile renamed "$tmp/m.gow"
	masters_of_all_blocks
	changed_meanwhile overwritten_secretly --no-lock "$tmp/m.gow"
}

# Who opens it for writing waits for the lease, and the copy keeps its old content.
testWriterOfAFileIsNoticed() {
	need_leases "$tmp" || return 0
	masters_of_all_blocks
	cp --sparse=always "$tmp/m.old" "$tmp/c.gow"
	"$GOW_BIN/gow-sync" --json --limit-rate 4M "$tmp/m.gow" "$tmp/c.gow" >"$out" 2>"$err" &
	child=$!
	wait_for_record
	overwritten
	wait $child
	status=$?
	assertStatus 64
	assertSameFile "$(sum_of "$tmp/m.old")" "$(sum_of "$tmp/c.gow")"
}

# What is no sound image at rest is refused, whoever serves it.
testDamagedMastersOnServers() {
	need_tool nginx python3 nbdkit || return 0
	serve_nginx "$tmp"
	cp --sparse=always "$work/v1.gow" "$tmp/c.gow"
	state_of "$tmp/c.gow"
	for case in journal-missing-v3 map-range-v3 map-crosslink-v3 \
		header-truncated-v3 header-size-odd-v3 header-count-low-v3; do
		make_image "$case" "$tmp/m.bad"
		run gow-sync --json "$url/m.bad" "$tmp/c.gow"
		assertEquals "$case" 4 "$status"
		run gow-sync --json "$url/m.bad" "$tmp/none.gow"
		assertEquals "$case, no copy" 4 "$status"
	done
	# Entries of no block of the disk are not asked for, and not taken.
	make_image map-beyond-size-v3 "$tmp/m.bad"
	run gow-sync "$url/m.bad" "$tmp/made.gow"
	assertStatus 0
	run gow-check "$tmp/made.gow"
	assertStatus 0
	rm "$tmp/made.gow"
	make_image journal-missing-v3 "$tmp/m.bad"
	serve_nbd -r file "$tmp/m.bad"
	run gow-sync --json "$uri" "$tmp/c.gow"
	assertStatus 4
	echo 'no image' >"$tmp/m.bad"
	run gow-sync "$url/m.bad" "$tmp/c.gow"
	assertStatus 8
	run gow-sync "$url/m.none" "$tmp/c.gow"
	assertStatus 8
	assertUnchanged "$tmp/c.gow"
	assertAlone
}

testManifestOnAServer() {
	need_tool nginx python3 || return 0
	serve_nginx "$tmp"
	cp --sparse=always "$work/v2.gow" "$tmp/m.gow"
	run gow-check -q --write-manifest "$tmp/m.manifest" "$tmp/m.gow"
	# Two blocks differ that have the master's number.
	lineage "$tmp/c.gow" 'data 30-31 pattern 7'
	run gow-sync --json --manifest "$url/m.manifest" "$url/m.gow" "$tmp/c.gow"
	assertStatus 0
	assertJson '.newer_blocks == 16 and .needed_blocks == 18'
	assertInStep "$tmp/m.gow"
	assertEquals "$(json .digest)" "$(sed -n 's/^digest //p' "$tmp/m.manifest")"
	state_of "$tmp/c.gow"
	for manifest in none gow; do
		run gow-sync --manifest "$url/m.$manifest" "$url/m.gow" "$tmp/c.gow"
		assertStatus 8
		assertUnchanged "$tmp/c.gow"
	done
	assertAlone
}

# However many connections there are, they share the rate: it takes so long at least.
testRateOfManyConnections() {
	need_tool nginx python3 nbdkit || return 0
	serve_nginx "$work"
	serve_nbd -r file "$work/all.gow"
	for master in "$url/all.gow" "$uri"; do
		cp --sparse=always "$work/v1.gow" "$tmp/c.gow"
		began=$(date +%s%N)
		run gow-sync --limit-rate 3M --connections 16 "$master" "$tmp/c.gow"
		took=$((($(date +%s%N) - began) / 1000000))
		assertStatus 0
		# 6.25 MiB, but for the last 16 requests.
		assertTrue "$master: $took ms" "[ $took -ge 1500 ]"
		assertInStep "$work/all.gow"
	done
}

# shellcheck source=/dev/null
. "$SHUNIT2"
