#!/bin/sh
# Files that mean harm, or no longer are what they were: a clear message, the right
# status; never a crash, a hang, or much memory.  Nothing in a file is too absurd.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# Nothing here takes a tool longer than a moment.
GOW_TIMEOUT=30
most_memory=65536 # KiB

suiteSetUp() {
	# AddressSanitizer needs memory of its own.
	sanitized=''
	grep -q __asan_init "$GOW_BIN/gow-check" && sanitized=1
}

# bounded TOOL ARG...: run, and fail where it took too much memory.
bounded() {
	bounded_tool=$(gow_path "$1")
	shift
	run maxrss "$tmp/rss" "$bounded_tool" "$@"
	gow_command="$bounded_tool $*"
	[ -z "$sanitized" ] || return 0
	[ "$(cat "$tmp/rss")" -le "$most_memory" ]
	gow_assert $? "$(cat "$tmp/rss") KiB of memory"
}

# judged STATUS IMAGE [OPTION...]: what gow-check has to say of an image; gow-info
# agrees on what is corrupt and what no image at all, in one of its forms in turn.
info_form=--json
judged() {
	wanted=$1 judged_image=$2
	shift 2
	case $info_form in
	--json) info_form='' ;;
	'') info_form=--map ;;
	--map) info_form=--json ;;
	esac
	case $wanted in
	0 | 2) judged_by_info 0 ;;
	*) judged_by_info "$wanted" ;;
	esac
	if [ "$wanted" -eq 8 ]; then
		# The message that people read.
		bounded gow-check "$@" "$judged_image"
		assertStatus 8
		assertOutEmpty
		assertErr "^gow-check: $judged_image: "
	fi
	bounded gow-check --json "$@" "$judged_image"
	assertStatus "$wanted"
	assertJson ".exit == $wanted and (.exit == 8) == (.message | type == \"string\")"
}

judged_by_info() {
	# shellcheck disable=SC2086 # one word or none
	bounded gow-info $info_form "$judged_image"
	assertStatus "$1"
	if [ -n "${info_form#--map}" ]; then
		assertJson ".exit == $1 and .tool == \"gow-info\""
	elif [ "$1" -eq 8 ]; then
		assertOutEmpty
		assertErr "^gow-info: $judged_image: "
	elif [ "$1" -eq 4 ]; then
		# It says that the image is corrupt, and does not only show numbers.
		cat "$out" "$err" | grep -qi corrupt
		gow_assert $? "gow-info does not say that the image is corrupt"
	fi
}

# ids ID...: exactly these findings were in the document.
ids() {
	assertEquals "findings" "$*" "$(json '[.findings[].id] | join(" ")')"
}

# image RECIPE-TEXT: made anew.  No pipe, since what fails in a pipe's shell is lost.
image() {
	printf '%b\n' "$1" >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/image.gow"
}

# ---- headers cut anywhere ----

# cut_at LENGTH: the longest come first, since a file is only made shorter.
cut_at() {
	truncate -s "$1" "$tmp/image.gow"
	if [ "$1" -lt 8 ]; then
		judged 8 "$tmp/image.gow"
	elif [ "$1" -lt "$header_end" ]; then
		judged 4 "$tmp/image.gow"
		assertJson ".findings | map({id, count, first}) ==
			[{id: \"header.truncated\", count: 1, first: {offset: $1}}]"
	else
		judged "$2" "$tmp/image.gow"
	fi
}

cut_everywhere() {
	image "version $1\nsize 10M\nextend data_start+1"
	map_end=$2 header_end=$3 data_start=$4
	cut_at $((data_start + 1)) 2
	ids space.leak
	for length in $data_start $((data_start - 1)) $((header_end + 1)) "$header_end"; do
		# Version 1 has no padding.
		if [ "$length" -ge "$header_end" ] && [ "$length" -le "$data_start" ]; then
			cut_at "$length" 0
			ids
		fi
	done
	for length in $((header_end - 1)) $((map_end + 1)) "$map_end" $((map_end - 1)) \
		65537 65536 65535 4097 4096 4095 511 24 23; do
		[ "$length" -lt "$header_end" ] && cut_at "$length"
	done
	length=21
	while [ $length -ge 0 ]; do
		cut_at $length
		length=$((length - 1))
	done
}

testCutVersion1() {
	cut_everywhere 1 4194324 4194324 4194324
}

testCutVersion2() {
	cut_everywhere 2 16777236 16777236 16777728
}

testCutVersion3() {
	cut_everywhere 3 16777236 33554452 33554944
}

# The same with two blocks in use: what was cut off is missed.
testCutBlocks() {
	for version in 1 2 3; do
		image "version $version\nsize 10M\nmap 0 0\nmap 1 1\ntruncate end-1"
		judged 2 "$tmp/image.gow" --data
		data_start=$(json '.findings[0].first.offset - 65536')
		cut_to 65537 2 space.tail
		cut_to 65536 4 header.count-high map.range
		cut_to 65535 4 header.count-high map.range space.tail
		cut_to 1 4 header.count-high map.range space.tail
		cut_to 0 4 header.count-high map.range
		[ $version -eq 1 ] || cut_to -1 4 header.count-high map.range
	done
}

# cut_to LENGTH STATUS ID...: so many bytes after data_start are left.
cut_to() {
	truncate -s $((data_start + $1)) "$tmp/image.gow"
	judged "$2" "$tmp/image.gow" --data
	shift 2
	ids "$@"
}

# ---- fields ----

# field VERSION "DIRECTIVE" STATUS [ID...]: an image with one block and one thing odd.
field() {
	image "version $1\nsize 10M\nmap 0 0\ndata 0 pattern 1\n$2"
	what=$2
	judged "$3" "$tmp/image.gow"
	shift 3
	[ "$wanted" -eq 8 ] || assertEquals "$what" "$*" "$(json '[.findings[].id] | join(" ")')"
}

testSizes() {
	for size in 0 1 511 513 limit-1 limit+1 limit+512 0x8000000000000000 max64-511 max64; do
		field 1 "size $size" 4 header.size
	done
	for size in 512 limit-512 limit; do
		field 1 "size $size" 0
	done
	for version in 2 3; do
		field $version "size limit+512" 4 header.size
		field $version "size max64-511" 4 header.size
		field $version "size limit" 0
	done
}

testCounts() {
	field 1 "count 0" 4 header.count-low
	field 1 "count 1" 0
	field 1 "count 2" 2 header.count-high
	field 1 "count entries" 2 header.count-high
	field 1 "count 0x80000000" 4 header.count-wild
	field 1 "count max32-1" 4 header.count-wild
	for version in 1 2 3; do
		field $version "count entries+1" 2 header.count-high
		field $version "count entries+2" 4 header.count-wild
		field $version "count max32" 4 header.count-wild
	done
}

testVersions() {
	for number in 0 4 5 255 256 0x01000000 0x80000001 max32; do
		field 1 "version-field $number" 8
	done
	field 1 "version-field 2" 4 header.truncated
	field 1 "version-field 3" 4 header.truncated
	field 2 "version-field 3" 4 header.truncated
}

# Longer headers read as shorter ones: nothing that can be told from the file, and no
# harm done.
testVersionsTooLow() {
	for odd in "2 1" "3 1" "3 2"; do
		image "version ${odd% *}\nsize 10M\nmap 0 0\nversion-field ${odd#* }"
		bounded gow-check --json --data "$tmp/image.gow"
		assertJson '.exit == 2 or .exit == 4'
		assertTrue "status $status" "[ $status -eq 2 ] || [ $status -eq 4 ]"
		bounded gow-info "$tmp/image.gow"
		assertTrue "status $status" "[ $status -eq 0 ] || [ $status -eq 4 ]"
	done
}

testMagics() {
	for magic in 00000000 ffffffff 474f5701 474f5720 474f5722 00574f47 21574f47 676f7700 \
		464f5700 474e5700 474f5600 514649fb; do
		field 1 "magic $magic" 8
	done
	field 1 "magic 474f5721" 4 journal.missing
}

# ---- maps of one value ----

# full VERSION VALUE SIZE: every entry the same, four blocks in the file.
full() {
	image "version $1\nsize $3\nfill map $2\nblocks 4"
	entries=$((1 << ($1 == 1 ? 20 : 22)))
}

testMapsOfOneBlock() {
	for version in 1 3; do
		for value in 0 1 3; do
			full $version $value limit
			judged 4 "$tmp/image.gow"
			assertJson '.findings | map({id, count}) ==
				[{id: "map.crosslink", count: 1}, {id: "space.leak", count: 3}]'
			assertJson ".findings[0].first | .logical == 0 and .other == 1 and .physical == $value"
		done
	done
}

testMapsOfOneMissingBlock() {
	for version in 1 3; do
		for value in 4 5 0x7fffffff 0x80000000 0xfffffffe; do
			full $version $value limit
			judged 4 "$tmp/image.gow"
			assertJson ".findings | map({id, count}) ==
				[{id: \"map.range\", count: $entries}, {id: \"space.leak\", count: 4}]"
			assertJson ".findings[0].first == {logical: 0, physical: $((value)), offset: 20}"
		done
	done
}

testMapsPastTheSize() {
	full 2 0 512
	judged 4 "$tmp/image.gow"
	assertJson ".findings | map({id, count}) == [{id: \"map.crosslink\", count: 1},
		{id: \"map.beyond-size\", count: $((entries - 1))}, {id: \"space.leak\", count: 3}]"
	full 2 0xfffffffe 512
	judged 4 "$tmp/image.gow"
	assertJson ".findings | map({id, count}) == [{id: \"map.range\", count: $entries},
		{id: \"map.beyond-size\", count: $((entries - 1))}, {id: \"space.leak\", count: 4}]"
}

testVersionNumbersOfOneValue() {
	image "version 3\nsize limit\nfill map 0\nfill ver 0"
	judged 4 "$tmp/image.gow"
	ids map.crosslink version.zero
	assertJson '.findings[1].count == 4194304'
	image "version 3\nsize limit\nfill ver max32"
	judged 2 "$tmp/image.gow"
	assertJson '.findings | map({id, count, first}) == [{id: "version.exhausted", count: 4194304,
		first: {logical: 0, offset: 16777236}}]'
}

# Every place, four million times: listed, but never kept.
testListsOfMillions() {
	full 1 0 limit
	bounded gow-check --json -v "$tmp/image.gow"
	assertStatus 4
	# jq would take a gigabyte for it.
	assertEquals "owners but the first" $((entries - 1)) \
		"$(grep -oE '"other": ?[0-9]+' "$out" | sort -u | wc -l)"
	full 1 9 limit
	bounded gow-check -v "$tmp/image.gow"
	assertStatus 4
	assertTrue "less than a line for each" "[ $(wc -c <"$out") -gt $((entries * 4)) ]"
}

testEveryBlockTwice() {
	image "version 3\nsize limit\nmap 0-2097151 0\nmap 2097152-4194303 0 shuffle 5"
	judged 4 "$tmp/image.gow"
	assertJson '.findings | map({id, count}) == [{id: "map.crosslink", count: 2097152}]'
}

# ---- what is no regular file, or no image ----

testFifo() {
	mkfifo "$tmp/fifo"
	judged 8 "$tmp/fifo"
}

testSocket() {
	need_tool perl || return 0
	perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) && bind(S, sockaddr_un($ARGV[0])) or die' \
		"$tmp/socket"
	judged 8 "$tmp/socket"
}

testDirectory() {
	mkdir "$tmp/directory"
	judged 8 "$tmp/directory"
	judged 8 "$tmp/directory/"
}

testDevices() {
	judged 8 /dev/null
	judged 8 /dev/zero
	judged 8 /dev/full
}

# Block devices hold raw disks.
testBlockDevice() {
	need_root || return 0
	make_image sound-v1 "$tmp/image.gow"
	attach_loop "$tmp/image.gow" || return 0
	judged 8 "$loop"
}

# leaves_terminal_alone FILE: no control character of ASCII or of ISO 6429, as a byte or as UTF-8.
leaves_terminal_alone() {
	assertEquals "control characters: $gow_command" '' \
		"$(LC_ALL=C grep -naP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|(?<![\xc2-\xf4\x80-\xbf])[\x80-\x9f]' "$1")"
}

# A name may be anything; what is printed of it does nothing to a terminal.
testNamesThatATerminalObeys() {
	name=$tmp/$(printf 'e\033[31m\233m\302\2331m\nü\177.gow')
	make_image everything-v3 "$name"
	for tool in gow-check gow-info 'gow-info --map' 'gow-info --picture' gow-probe 'gow-repair -n' \
		'gow-compact -n' 'gow-upgrade -n --to 3'; do
		# shellcheck disable=SC2086 # words
		run $tool -v "$name"
		leaves_terminal_alone "$out"
		leaves_terminal_alone "$err"
		# shellcheck disable=SC2086 # words
		run $tool --json "$name"
		[ ! -s "$out" ] || assertJson '.image == null or (.image | endswith("ü\u007f.gow"))'
		leaves_terminal_alone "$out"
	done
	for option in '' --json; do
		run gow-convert --salvage $option "$name" "$tmp/$(printf 'x\302\2331m').raw"
		leaves_terminal_alone "$out"
		leaves_terminal_alone "$err"
		run gow-create $option 1M "$name"
		assertStatus 8
		leaves_terminal_alone "$out"
		leaves_terminal_alone "$err"
		rm "$tmp"/*.raw
	done
}

# The same where gow-repair asks.
testAQuestionLeavesTheTerminalAlone() {
	need_tool script || return 0
	name=$tmp/$(printf 'e\033[31m\302\2331m.gow')
	make_image map-range-v1 "$name"
	{ printf 'q\n' && sleep 1; } | timeout 20 script -qec \
		"$(gow_path gow-repair) $(gow_quote "$name") >/dev/null" "$tmp/said" >/dev/null 2>&1
	tr -d '\r\004\b' <"$tmp/said" | grep -a 'y.es' >"$tmp/question"
	assertTrue "no question: $(cat -v "$tmp/said")" "[ -s '$tmp/question' ]"
	leaves_terminal_alone "$tmp/question"
}

testEmptyFile() {
	: >"$tmp/empty"
	judged 8 "$tmp/empty"
}

testMissing() {
	judged 8 "$tmp/none"
	judged 8 "$tmp/none/none"
	: >"$tmp/file"
	judged 8 "$tmp/file/none"
	ln -s none "$tmp/dangling"
	judged 8 "$tmp/dangling"
	run gow-check ""
	assertStatus 8
	run gow-info "$(printf '%0300d' 0)"
	assertStatus 8
}

testLinkLoop() {
	ln -s loop "$tmp/loop"
	judged 8 "$tmp/loop"
}

# Root may read everything, unless it gives that up.
testNoPermission() {
	make_image sound-v1 "$tmp/image.gow"
	chmod 0 "$tmp/image.gow"
	for tool in gow-check gow-info; do
		if [ "$(id -u)" -eq 0 ]; then
			need_tool setpriv || return 0
			run setpriv --bounding-set -dac_override,-dac_read_search "$GOW_BIN/$tool" \
				"$tmp/image.gow"
		else
			run $tool "$tmp/image.gow"
		fi
		assertStatus 8
		assertOutEmpty
		assertErr "^$tool: .*/image\.gow: .*Permission denied"
	done
}

# A file that is said to be regular and is nothing of the kind.
testProcFiles() {
	judged 8 /proc/self/mem
	judged 8 /proc/self/maps
	judged 8 /proc/version
}

testOtherFormats() {
	head -c 100000 /dev/urandom >"$tmp/image.gow"
	printf 'QFI\373' | dd of="$tmp/image.gow" conv=notrunc status=none
	judged 8 "$tmp/image.gow"
	truncate -s 1G "$tmp/zeros"
	judged 8 "$tmp/zeros"
}

# ---- a file of 8 EiB ----

# huge RECIPE-TEXT: an image as long as a file can be, $huge.
huge() {
	directory=/dev/shm
	if [ "$(stat -f -c %T $directory 2>/dev/null)" = tmpfs ] && [ -w $directory ]; then
		directory=$(mktemp -d $directory/gow-hostile.XXXXXX) || return 1
		at_end "rm -rf $directory"
	elif [ "$(id -u)" -eq 0 ]; then
		mount_tmpfs 100M || return 1
		directory=$mnt
	else
		skip "needs a tmpfs: /dev/shm, or root to mount one"
		return 1
	fi
	huge=$directory/huge.gow
	printf '%b\nextend 8E-1\n' "$1" >"$tmp/recipe"
	"$GOW_TESTBIN/mkimage" "$tmp/recipe" "$huge" || {
		skip "no file of 8 EiB on the tmpfs"
		return 1
	}
}

testHugeAndEmpty() {
	huge 'version 1\nsize 10M' || return 0
	judged 2 "$huge" --data
	assertJson '.findings | map({id, count, first}) == [{id: "space.leak", count: 4294967295,
		first: {physical: 0, offset: 4194324}}]'
	bounded gow-info --json "$huge"
	assertJson '.present_blocks == 4294967295 and .leaked_blocks == 4294967295
		and .file_size == 9223372036854775807 and .allocated_blocks == 0'
}

# No block can be out of range here; the last has the highest number.
testHugeWithBlocksFarApart() {
	huge "$(printf '%s\n' 'version 3' 'size 10M' 'blocks 1' 'map 0 0xfffffffe' \
		'map 1 0xfffffffe' 'map 2 0' 'map 3 0x80000000')" || return 0
	judged 4 "$huge" --data
	assertJson '.findings | map({id, count, first}) == [
		{id: "header.count-low", count: 1, first: {logical: 0, physical: 4294967294, offset: 16}},
		{id: "map.crosslink", count: 1, first: {logical: 0, other: 1, physical: 4294967294,
			offset: (33554944 + 4294967294 * 65536)}},
		{id: "space.leak", count: 4294967292, first: {physical: 1, offset: 33620480}}]'
	bounded gow-info --json --map "$huge"
	assertStatus 4
}

testHugeAndFullyMapped() {
	huge 'version 3\nsize limit\nblocks 1\nmap 0-entries-1 0 step 1023\ncount max32' || return 0
	judged 2 "$huge"
	assertJson '.findings | map({id, count}) == [{id: "space.leak", count: 4290772991}]'
}

# Far apart, in no order, and some of them twice.
testHugeAndShuffled() {
	huge "$(printf '%s\n' 'version 3' 'size limit' 'blocks 1' 'map 0-entries-1 0 shuffle 8' \
		'map 9-99999 0x7fffffff step 1020' 'map 100000-199999 0x7fffffff step 2040' \
		'count max32')" || return 0
	judged 4 "$huge"
	# Every other one of the first run is in the second, too.
	assertJson '.findings[0] | .id == "map.crosslink" and .count == 49996
		and .first == {logical: 9, other: 100000, physical: 2147483647,
			offset: (33554944 + 2147483647 * 65536)}'
}

# More blocks than a validator would keep a bit for at once: what belongs together may
# lie far apart, and a run of leaked blocks may be of any length.
testLargerThanAnyDisk() {
	image 'version 3\nsize limit\nmap 0 0x1ffffff\nmap 1 0x2000000\nmap 5 0x2000000
map 6 0x6000001\nmap 7 0x6000001\nmap 9 0x6000003\ntruncate end-1'
	judged 4 "$tmp/image.gow" --data
	assertJson '.findings | map({id, count, first}) == [
		{id: "map.crosslink", count: 2, first: {logical: 1, other: 5, physical: 33554432,
			offset: (33554944 + 33554432 * 65536)}},
		{id: "space.leak", count: 100663296, first: {physical: 0, offset: 33554944}},
		{id: "space.tail", count: 1, first: {logical: 9, physical: 100663299,
			offset: (33554944 + 100663299 * 65536)}}]'
}

# ---- a file that changes ----

# shrunk TOOL N LENGTH [OPTION...]: the file is cut when TOOL reads for the Nth time.
# Who cuts it has it open for writing, and the tool is told not to mind.
shrunk() {
	tool=$1 number=$2 length=$3
	shift 3
	make_image "$recipe" "$tmp/image.gow"
	run_faulty FAULTIO_FILE="*/image.gow" FAULTIO_CUT="$tmp/image.gow" \
		FAULTIO_FAIL="read:$number:cut=$length" "$tool" "$@" "$tmp/image.gow"
	assertEquals "the file was not cut" "$length" "$(stat -c %s "$tmp/image.gow")"
	assertErr "^$tool: $tmp/image.gow: "
	# Of a file that was cut before anything was known of it, it may also say truly
	# how it is now.
	if [ "$status" -eq 4 ] && [ "$number" -eq 1 ]; then
		assertOut 'header\.truncated'
		assertOut "\b$length\b"
	else
		assertStatus 8
		assertOutEmpty
	fi
}

testShrinkingHeader() {
	for recipe in sound-v1 sound-v3; do
		for length in 0 8 20 100000; do
			shrunk gow-check 1 "$length" --force-share
			shrunk gow-check 2 "$length" --force-share
			shrunk gow-info 1 "$length"
			shrunk gow-info 2 "$length"
		done
	done
}

# The blocks that are read last are not there any more when their turn comes.
testShrinkingData() {
	recipe=sound-v1
	make_image $recipe "$tmp/image.gow"
	run_faulty FAULTIO_FILE="*/image.gow" FAULTIO_TRACE="$tmp/trace" gow-check --data "$tmp/image.gow"
	assertStatus 0
	first=$(awk '$1 == "read" && $4 >= 4194324 { print $2; exit }' "$tmp/trace")
	assertNotNull "no read of data" "$first"
	shrunk gow-check "$first" 4194324 --data --force-share
	shrunk gow-check "$first" 4194325 --data --force-share
	shrunk gow-check "$first" 8 --data --force-share
}

testShrinkingOverAndOver() {
	make_image sound-v1 "$tmp/image.gow"
	(
		trap 'exit 0' TERM
		while :; do
			truncate -s 5000 "$tmp/image.gow"
			truncate -s 4300000 "$tmp/image.gow"
		done
	) &
	breaker=$!
	at_end "kill $breaker 2>/dev/null; wait $breaker"
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		run gow-check --force-share --no-lock --data "$tmp/image.gow"
		assertTrue "status $status" "[ $status -lt 64 ]"
		run gow-info --no-lock "$tmp/image.gow"
		assertTrue "status $status" "[ $status -lt 64 ]"
	done
}

# ---- nonsense by the dozen ----

# Numbers that repeat from run to run, so that a failure can be had again.
testRandomHeaders() {
	number=1
	while [ $number -le 25 ]; do
		awk -v seed=$number 'BEGIN {
			srand(seed)
			print "version 1\nsize 10M\nmap 0-9 0 shuffle", seed, "\ndata 0-9 pattern 1"
			n = int(rand() * 12) + 1
			for (i = 0; i < n; i++) {
				# Mostly the preamble behind magic and version, and the first entries.
				at = rand() < 0.8 ? 8 + int(rand() * 60) : int(rand() * 4194324)
				printf "poke %d %02x%02x\n", at, int(rand() * 256), int(rand() * 256)
			}
			if (rand() < 0.3) printf "truncate end-%d\n", int(rand() * 600000)
		}' >"$tmp/recipe"
		"$GOW_TESTBIN/mkimage" "$tmp/recipe" "$tmp/image.gow" || fail "mkimage"
		bounded gow-check --json --data "$tmp/image.gow"
		case $status in
		0 | 2 | 4) assertJson ".exit == $status" ;;
		*) fail "status $status for seed $number" ;;
		esac
		checked=$status
		bounded gow-info --map "$tmp/image.gow"
		assertEquals "gow-info for seed $number" $((checked & 4)) "$status"
		number=$((number + 1))
	done
}

# A size that no machine has the memory for must not be asked of it.
testLittleAddressSpace() {
	[ -z "$sanitized" ] || { skip "AddressSanitizer needs all addresses"; return; }
	for directive in "size max64" "size max64-511" "count max32" "version-field 2" "map 1 0xfffffffe"; do
		image "version 1\nsize 10M\nblocks 1\n$directive"
		for tool in gow-check gow-info; do
			# shellcheck disable=SC2016 # for the inner shell
			run sh -c 'ulimit -v 131072 && exec "$@"' sh "$GOW_BIN/$tool" "$tmp/image.gow"
			assertStatus 4
		done
	done
}

# A directory whose default ACL lets somebody in: a copy lets in only whom its source does.
testDefaultAclLetsNobodyIn() {
	need_tool setfacl || return 0
	make_image map-crosslink-v3 "$tmp/source.gow"
	chmod 0640 "$tmp/source.gow"
	mkdir "$tmp/open"
	setfacl -d -m u:nobody:rw "$tmp/open" 2>/dev/null || {
		skip "no ACLs here"
		return
	}
	make_image sound-v3 "$tmp/sound.gow"
	chmod 0640 "$tmp/sound.gow"
	run gow-convert "$tmp/sound.gow" "$tmp/open/a.raw"
	run gow-convert "$tmp/sound.gow" "$tmp/open/a.tar"
	run gow-compact -o "$tmp/open/c.gow" "$tmp/sound.gow"
	run gow-convert "$tmp/sound.gow" "$tmp/open/a.tar.xz"
	run gow-convert --metadata-only "$tmp/sound.gow" "$tmp/open/m.tar.zst"
	run gow-convert --salvage "$tmp/source.gow" "$tmp/open/s.raw"
	run gow-check --write-manifest "$tmp/open/manifest" "$tmp/sound.gow"
	run gow-info --picture="$tmp/open/p.svg" "$tmp/sound.gow"
	run gow-probe --report="$tmp/open/report" "$tmp/sound.gow"
	run gow-sync "$tmp/sound.gow" "$tmp/open/copy.gow"
	assertStatus 0
	# What a run began that was killed before it had given the file its rights.
	printf 'version 3\nsize %s\n' "$("$GOW_BIN/gow-info" --json "$tmp/sound.gow" | jq .logical_size)" |
		make_image - "$tmp/open/later.gow.gow-sync.new"
	chmod 0666 "$tmp/open/later.gow.gow-sync.new"
	run gow-sync "$tmp/sound.gow" "$tmp/open/later.gow"
	assertStatus 0
	make_image space-leak-v1 "$tmp/old.gow"
	chmod 0640 "$tmp/old.gow"
	run gow-upgrade -o "$tmp/open/u.gow" "$tmp/old.gow"
	assertStatus 0
	cp "$tmp/source.gow" "$tmp/open/r.gow"
	setfacl -b "$tmp/open/r.gow"
	chmod 0640 "$tmp/open/r.gow"
	run gow-repair -y --salvage "$tmp/open/saved" "$tmp/open/r.gow"
	for file in "$tmp/open"/*; do
		assertNull "${file##*/}" "$(getfacl -c "$file" 2>/dev/null |
			grep -e '^user:nobody' -e '^other::.*[rwx]' | grep -v 'effective:---')"
	done
	assertEquals "$(ls "$tmp/open")" 14 "$(find "$tmp/open" -type f | wc -l)"
	assertTrue "$(ls "$tmp/open")" "[ -f '$tmp/open/r.gow.gow-undo' ] && [ -f '$tmp/open/c.gow' ]"
}

# The mode of a file with an access list says what the list gives at most, not what the group may. That
# holds also beside so many attributes that their names are long.
testAnAccessListAmongManyAttributes() {
	need_root || return 0
	need_tool setfacl setfattr || return 0
	mount_tmpfs 64M
	# shellcheck disable=SC2154 # mount_tmpfs sets it
	make_image space-leak-v1 "$mnt/a.gow"
	chmod 0600 "$mnt/a.gow"
	setfacl -m u:nobody:rw "$mnt/a.gow" 2>/dev/null || { skip "no ACLs here" && return; }
	for number in $(seq 100); do
		setfattr -n "user.$(printf '%0240d' "$number")" -v x "$mnt/a.gow" 2>/dev/null || {
			skip "no such attributes here"
			return
		}
	done
	getfacl -cpE "$mnt/a.gow" >"$tmp/acl"
	run gow-compact -o "$mnt/b.gow" "$mnt/a.gow"
	assertStatus 0
	assertEquals "$(cat "$tmp/acl")" "$(getfacl -cpE "$mnt/b.gow")"
	assertEquals 100 "$(getfattr -d --absolute-names "$mnt/b.gow" | grep -c =)"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
