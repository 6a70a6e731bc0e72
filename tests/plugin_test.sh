#!/bin/sh
# The nbdkit plugin: a guest's disk served from its image, through real clients.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$(dirname "$0")/servers.sh"
# shellcheck source=fioload.sh
. "$(dirname "$0")/fioload.sh"

plugin=$BUILD/plugin/nbdkit-gow-plugin.so
[ -z "${SANITIZE:-}" ] || skip_suite "nbdkit is not built with the sanitizers"
[ -f "$plugin" ] || skip_suite "the plugin was not built (no nbdkit headers)"

need_clients() {
	need_tool nbdkit qemu-io nbdcopy nbdinfo
}

testSetUp() {
	run gow-create 64M "$tmp/a.gow"
}

# serve ARG...: nbdkit in the foreground on a socket; $uri, $server.
serve() {
	rm -f "$tmp/s"
	nbdkit -f -U "$tmp/s" "$@" >"$tmp/log" 2>&1 &
	server=$!
	at_end "kill $server 2>/dev/null; wait $server 2>/dev/null; true"
	uri="nbd+unix:///?socket=$tmp/s"
	for _ in $(seq 600); do
		[ ! -S "$tmp/s" ] || break
		sleep 0.1
	done
}

stop_server() {
	kill "$1" "$server"
	wait "$server" 2>/dev/null
	true
}

client() {
	qemu-io -f raw "$@" "$uri" >"$tmp/client" 2>&1
	assertTrue "$*: $(cat "$tmp/client")" $?
	assertNull "$(grep -iE 'failed|error' "$tmp/client")"
}

testPatternsReadBackAndAreDurable() {
	need_clients || return 0
	for version in 1 2 3; do
		run gow-create --force --image-version $version 64M "$tmp/a.gow"
		serve "$plugin" "$tmp/a.gow"
		client -c 'write -P 7 1M 3M' -c 'write -P 9 100k 4k' -c 'read -P 7 1M 3M' \
			-c 'read -P 9 100k 4k' -c 'read -P 0 104k 1000'
		stop_server -TERM
		run gow-check "$tmp/a.gow"
		assertStatus 0
		run gow-convert --force "$tmp/a.gow" "$tmp/a.raw"
		assertEquals 07 "$(od -An -tx1 -j 1048576 -N 1 "$tmp/a.raw" | tr -d ' ')"
		assertEquals 09 "$(od -An -tx1 -j 102400 -N 1 "$tmp/a.raw" | tr -d ' ')"
	done
}

testCopyInAndOut() {
	need_clients || return 0
	head -c 5000000 /dev/urandom >"$tmp/in.raw"
	truncate -s 64M "$tmp/in.raw"
	serve "$plugin" "$tmp/a.gow"
	assertTrue "$(nbdcopy "$tmp/in.raw" "$uri" 2>&1)" $?
	assertTrue "$(nbdcopy "$uri" "$tmp/out.raw" 2>&1)" $?
	assertSameFile "$tmp/in.raw" "$tmp/out.raw"
	stop_server -INT
	run gow-convert "$tmp/a.gow" "$tmp/again.raw"
	assertStatus 0
	assertSameFile "$tmp/in.raw" "$tmp/again.raw"
}

testTrimUnmapsAndZeroReads() {
	need_clients || return 0
	serve "$plugin" "$tmp/a.gow"
	client -c 'write -P 5 0 2M' -c flush -c 'discard 0 1M' -c flush -c 'read -P 0 0 1M' \
		-c 'write -z 1M 512k' -c 'read -P 0 1M 512k' -c 'read -P 5 1536k 512k'
	nbdinfo --map "$uri" >"$tmp/map"
	assertTrue "$(cat "$tmp/map")" "grep -q '^ *0 .*hole,zero' $tmp/map"
	stop_server -TERM
	run gow-check "$tmp/a.gow"
	assertTrue "[ $status -eq 0 ] || [ $status -eq 2 ]"
	run gow-info --json "$tmp/a.gow"
	assertJson '.allocated_blocks == 8'
}

testNumbersRiseOnceARun() {
	need_clients || return 0
	serve "$plugin" "$tmp/a.gow"
	client -c 'write -P 1 0 64k' -c flush -c 'write -P 2 0 64k' -c flush -c 'write -P 3 1M 4k'
	stop_server -TERM
	serve "$plugin" "$tmp/a.gow"
	client -c 'write -P 4 0 4k' -c flush -c 'write -P 5 0 4k'
	stop_server -TERM
	run gow-info --map "$tmp/a.gow"
	assertOut '^0 0 1 2$'
	assertOut '^16 1 1 1$'
}

testLockIsTakenBeforeTheBackground() {
	need_clients || return 0
	serve "$plugin" "$tmp/a.gow"
	run gow-compact "$tmp/a.gow"
	assertStatus 64
	nbdkit -U "$tmp/refused" "$plugin" "$tmp/a.gow" --run true >"$tmp/second" 2>&1
	assertFalse "a second server starts" $?
	assertTrue "$(cat "$tmp/second")" "grep -q 'locked' $tmp/second"
}

testReadersShare() {
	need_clients || return 0
	serve -r "$plugin" "$tmp/a.gow"
	nbdkit --read-only -U - "$plugin" "$tmp/a.gow" --run "nbdinfo --is read-only \"\$uri\""
	assertTrue "two readers" $?
	before=$(state_of "$tmp/a.gow")
	nbdkit -U - --filter=cow "$plugin" "file=$tmp/a.gow" read-only=true \
		--run "qemu-io -f raw -c 'write -P 3 0 1M' -c 'read -P 3 0 1M' \"\$uri\"" >/dev/null
	assertTrue "a writer of a copy" $?
	assertEquals "$before" "$(state_of "$tmp/a.gow")"
}

testRefusesWhatIsCorrupt() {
	need_clients || return 0
	make_image map-crosslink-v3 "$tmp/bad.gow"
	nbdkit -U "$tmp/refused" "$plugin" "$tmp/bad.gow" --run true >"$tmp/said" 2>&1
	assertFalse "a corrupt image is served" $?
	assertTrue "$(cat "$tmp/said")" "grep -q 'gow-repair' $tmp/said"
	nbdkit -U "$tmp/refused" "$plugin" "$tmp/none.gow" --run true >"$tmp/said" 2>&1
	assertFalse "no image is served" $?
	nbdkit -U "$tmp/refused" "$plugin" "$tmp/a.gow" color=red --run true >"$tmp/said" 2>&1
	assertFalse "an unknown parameter" $?
	nbdkit -U "$tmp/refused" "$plugin" --run true >"$tmp/said" 2>&1
	assertFalse "no parameter" $?
	nbdkit -U "$tmp/refused" "$plugin" "$tmp/a.gow" "$tmp/bad.gow" --run true >"$tmp/said" 2>&1
	assertFalse "two images" $?
	assertTrue "$(cat "$tmp/said")" "grep -q 'named already' $tmp/said"
}

# A name may be anything; what is printed of it does nothing to a terminal.
testNamesThatATerminalObeys() {
	need_clients || return 0
	name=$tmp/$(printf 'e\033[31m\302\2331m\nü.gow')
	make_image map-crosslink-v3 "$name"
	for twice in '' "$name"; do
		nbdkit -U "$tmp/refused" "$plugin" "$name" ${twice:+"$twice"} --run true >"$tmp/said" 2>&1
		assertFalse "a corrupt image is served" $?
		assertEquals '' "$(LC_ALL=C grep -aP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$tmp/said")"
		assertTrue "$(cat -v "$tmp/said")" "grep -qF 'e?[31m??1m?ü.gow' '$tmp/said'"
	done
}

# What is a URI, and only read, is one thing to the tools and to the plugin.
testPathsThatLookLikeUris() {
	need_clients || return 0
	mkdir -p "$tmp/d:/x"
	mv "$tmp/a.gow" "$tmp/d:/x/a.gow"
	cd "$tmp" || return 1
	for path in ./d://x/a.gow "$tmp/d://x/a.gow"; do
		nbdkit -U - "$plugin" "$path" --run "nbdinfo --is read-only \"\$uri\""
		assertFalse "$path is only read" $?
	done
	for path in d://x/a.gow http:x; do
		nbdkit -U "$tmp/refused" "$plugin" "$path" --run true >"$tmp/said" 2>&1
		assertFalse "$path is served" $?
		assertFalse "$(cat "$tmp/said")" "grep -q '$tmp/' $tmp/said"
	done
	cd "$work" || return 1 # this directory goes away
}

testKilledWhileWriting() {
	need_clients || return 0
	need_tool fio || return 0
	for after in 0.2 0.5 0.9; do
		run gow-create --force 64M "$tmp/a.gow"
		serve "$plugin" "$tmp/a.gow"
		client -c 'write -P 6 0 1M' -c flush
		fio --name=w --ioengine=nbd --uri="$uri" --rw=randwrite --bs=4k --offset=1M --size=32M \
			--iodepth=8 --time_based --runtime=5 >/dev/null 2>&1 &
		writer=$!
		sleep $after
		stop_server -KILL
		kill $writer 2>/dev/null
		wait $writer 2>/dev/null
		run gow-check "$tmp/a.gow"
		assertTrue "killed after $after: status $status" "[ $status -eq 0 ] || [ $status -eq 2 ]"
		run gow-convert --force "$tmp/a.gow" "$tmp/a.raw"
		assertStatus 0
		assertEquals '06' "$(od -An -tx1 -v -w1 -N 1048576 "$tmp/a.raw" | sort -u | tr -d ' ')"
	done
}

# One extent of 4 GiB or more would end nbdkit 1.32; a client that asks for all of it in requests as
# large as the protocol has gets there.
testExtentsOfALargeDisk() {
	need_clients || return 0
	need_tool qemu-img || return 0
	run gow-create 256G "$tmp/large.gow"
	serve "$plugin" "$tmp/large.gow"
	client -c 'write -P 9 100G 64k' -c flush
	nbdinfo --map --json "$uri" >"$out" 2>"$err"
	assertEquals "$(cat "$err" "$tmp/log")" 0 $?
	assertJson '(map(.length) | add) == 274877906944'
	assertJson 'map(select(.type == 0) | [.offset, .length]) == [[107374182400, 65536]]'
	nbdinfo --map --totals "$uri" >"$tmp/totals"
	assertTrue "$(cat "$tmp/totals")" "grep -qE '^ *65536 +0\.0% +0 data' $tmp/totals"
	qemu-img map -f raw --output=json "$uri" >"$out" 2>"$err"
	assertEquals "$(cat "$err" "$tmp/log")" 0 $?
	assertJson '(map(.length) | add) == 274877906944'
	assertJson 'map(select(.zero | not) | [.start, .length]) == [[107374182400, 65536]]'
	stop_server -TERM
	# Small enough to be copied here.
	run gow-create 9G "$tmp/large.gow"
	serve "$plugin" "$tmp/large.gow"
	client -c 'write -P 9 8G 64k'
	assertTrue "$(timeout 60 nbdcopy "$uri" "$tmp/large.raw" 2>&1)" $?
	assertEquals "09" "$(od -An -tx1 -v -w1 -j 8589934592 -N 65536 "$tmp/large.raw" | sort -u | tr -d ' ')"
	assertTrue "a hole was written" "[ $(stat -c %b "$tmp/large.raw") -lt 2000 ]"
}

# durable COMMAND OFFSET BYTE: one request of 64 KiB that is to be durable before it is answered (FUA).
# COMMAND is a number of the protocol: 1 writes, 4 trims, 6 makes zeros.
durable() {
	# shellcheck disable=SC2154 # servers.sh sets it
	"$python" - "$tmp/s" "$@" <<-'END'
		import socket, struct, sys
		path, command, offset, byte = sys.argv[1], *map(int, sys.argv[2:])
		server = socket.socket(socket.AF_UNIX)
		server.connect(path)
		assert server.recv(18, socket.MSG_WAITALL)[:16] == b"NBDMAGICIHAVEOPT"
		server.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0))
		server.recv(10, socket.MSG_WAITALL)
		server.sendall(struct.pack(">IHHQQI", 0x25609513, 1, command, 77, offset, 65536))
		if command == 1:
		    server.sendall(bytes([byte]) * 65536)
		answer = struct.unpack(">IIQ", server.recv(16, socket.MSG_WAITALL))
		assert answer == (0x67446698, 0, 77), answer
	END
	assertTrue "command $1" $?
}

testWhatIsToBeDurableIs() {
	need_clients || return 0
	need_tool python3 || return 0
	for command in 1 4 6; do
		run gow-create --force 64M "$tmp/a.gow"
		serve "$plugin" "$tmp/a.gow"
		client -c 'write -P 5 0 256k' -c flush
		durable $command 65536 7
		stop_server -KILL
		run gow-convert --force "$tmp/a.gow" "$tmp/a.raw"
		assertStatus 0
		byte=00
		[ $command != 1 ] || byte=07
		assertEquals "command $command" $byte \
			"$(od -An -tx1 -v -w1 -j 65536 -N 65536 "$tmp/a.raw" | sort -u | tr -d ' ')"
		assertEquals 05 "$(od -An -tx1 -v -w1 -j 131072 -N 65536 "$tmp/a.raw" | sort -u | tr -d ' ')"
	done
}

# What a client wrote over one connection is durable after a flush over another.
testFlushOnAnotherConnection() {
	need_clients || return 0
	mkfifo "$tmp/commands"
	serve "$plugin" "$tmp/a.gow"
	nbdinfo --can multi-conn "$uri"
	assertTrue "no multi-conn" $?
	# Unless told, it asks for every write to be durable.
	qemu-io -t writeback -f raw "$uri" <"$tmp/commands" >"$tmp/first" 2>&1 &
	at_end "kill $! 2>/dev/null; wait $! 2>/dev/null; true"
	exec 7>"$tmp/commands"
	echo 'write -P 7 0 200k' >&7
	for _ in $(seq 600); do
		grep -q wrote "$tmp/first" && break
		sleep 0.05
	done
	assertTrue "$(qemu-io -f raw -c flush "$uri" 2>&1)" $?
	stop_server -KILL
	exec 7>&-
	run gow-convert "$tmp/a.gow" "$tmp/a.raw"
	assertStatus 0
	assertEquals 07 "$(od -An -tx1 -v -w1 -N 204800 "$tmp/a.raw" | sort -u | tr -d ' ')"
}

# The same bytes arrive over several connections, with the last flush over one of them.
testCopyInOverSeveralConnections() {
	need_clients || return 0
	head -c 20000000 /dev/urandom >"$tmp/in.raw"
	truncate -s 64M "$tmp/in.raw"
	serve "$plugin" "$tmp/a.gow"
	assertTrue "$(nbdcopy --connections=4 --request-size=65536 --flush "$tmp/in.raw" "$uri" 2>&1)" $?
	stop_server -KILL
	assertIsTwin "$tmp/a.gow" "$tmp/in.raw"
}

# QEMU's own load, and its comparison of two disks.
testQemuImgBenchAndCompare() {
	need_clients || return 0
	need_tool qemu-img || return 0
	printf 'version 3\nsize 8M\nmap 0-63 0 shuffle 5\ndata 0-63 pattern 3\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/a.gow"
	make_raw "$tmp/recipe" "$tmp/a.raw"
	serve "$plugin" "$tmp/a.gow"
	assertTrue "$(qemu-img compare -f raw -F raw "$tmp/a.raw" "$uri" 2>&1)" $?
	for target in "$uri" "$tmp/a.raw"; do
		qemu-img bench -q -f raw -w -c 500 -d 16 -s 12k -S 20k --pattern=7 --flush-interval=50 \
			"$target" >"$tmp/said" 2>&1
		assertTrue "$(cat "$tmp/said")" $?
	done
	assertTrue "$(qemu-img bench -q -f raw -c 500 -d 16 -s 64k "$uri" 2>&1)" $?
	assertTrue "$(qemu-img compare -f raw -F raw "$tmp/a.raw" "$uri" 2>&1)" $?
	client -c 'write -P 1 6M 4k'
	qemu-img compare -f raw -F raw "$tmp/a.raw" "$uri" >"$tmp/said" 2>&1
	assertEquals "the same after a write" 1 $?
	stop_server -TERM
	printf '\001%.0s' $(seq 4096) | dd of="$tmp/a.raw" bs=4096 seek=1536 conv=notrunc status=none
	assertIsTwin "$tmp/a.gow" "$tmp/a.raw"
}

# Random writes, trims and flushes, which fio verifies, and a raw twin judges; `make soak-fio` does it
# for an hour, over every layout.
testVerifiedLoad() {
	need_clients || return 0
	need_tool fio python3 || return 0
	printf 'version 3\nsize %s\nmap 0-200 0 shuffle 3\ndata 0-200 pattern 3\n' \
		$((16777216 + 1536)) >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/a.gow"
	make_raw "$tmp/recipe" "$tmp/a.raw"
	serve "$plugin" "$tmp/a.gow"
	fio_load "$tmp/a.raw" 1 2048
	stop_server -TERM
	assertIsTwin "$tmp/a.gow" "$tmp/a.raw"
	run gow-info --json "$tmp/a.gow"
	assertJson '.highest_version == 2'
}

testFullFileSystem() {
	need_clients || return 0
	need_root || return 0
	mount_tmpfs 40m
	run gow-create 64M "$mnt/a.gow"
	serve "$plugin" "$mnt/a.gow"
	# Without blocks, the header alone takes 32 MiB of address space, and few pages.
	head -c 30000000 /dev/zero | tr '\0' x 2>/dev/null >"$mnt/filler"
	qemu-io -f raw -c 'write -P 1 0 40M' -c flush "$uri" >"$tmp/client" 2>&1
	assertTrue "$(cat "$tmp/client")" "grep -qi 'No space left' $tmp/client"
	rm "$mnt/filler"
	client -c 'write -P 2 0 1M' -c flush -c 'read -P 2 0 1M'
	stop_server -TERM
	run gow-check "$mnt/a.gow"
	assertTrue "status $status" "[ $status -eq 0 ] || [ $status -eq 2 ]"
}

# The numbers of a large disk are a hole in the header until they are written.
testNoRoomForTheHeader() {
	need_clients || return 0
	need_root || return 0
	mount_tmpfs 18m
	run gow-create 200G "$mnt/a.gow"
	head -c 280K /dev/zero >"$mnt/filler"
	serve "$plugin" "$mnt/a.gow"
	set --
	for place in $(seq 26); do
		set -- "$@" -c "write -P 5 ${place}G 4k"
	done
	qemu-io -t writeback -f raw "$@" -c flush "$uri" >"$tmp/client" 2>&1
	assertFalse "the flush had room" $?
	assertFalse "a write failed" "grep -q 'write failed' $tmp/client"
	rm "$mnt/filler"
	client -c flush -c 'write -P 6 40G 4k' -c flush -c 'read -P 5 1G 4k' -c 'read -P 6 40G 4k'
	stop_server -TERM
	run gow-check "$mnt/a.gow"
	assertStatus 0
	run gow-info --json "$mnt/a.gow"
	assertJson '.allocated_blocks == 27'
}

# A limit of the file's size that a shell has set, and that is lifted.
testFileSizeIsLimited() {
	need_clients || return 0
	need_tool prlimit || return 0
	run gow-create --force --image-version 1 64M "$tmp/a.gow"
	serve "$plugin" "$tmp/a.gow"
	prlimit --pid "$server" --fsize=10000000:
	qemu-io -f raw -c 'write -P 1 0 20M' "$uri" >"$tmp/client" 2>&1
	assertTrue "$(cat "$tmp/client")" "grep -qi 'No space left' $tmp/client"
	assertTrue "$(cat "$tmp/log")" "grep -q 'ulimit' $tmp/log"
	prlimit --pid "$server" --fsize=unlimited:
	client -c 'write -P 2 30M 20M' -c flush -c 'read -P 2 30M 20M'
	stop_server -TERM
	run gow-check "$tmp/a.gow"
	assertTrue "status $status" "[ $status -eq 0 ] || [ $status -eq 2 ]"
}

# Somebody who takes no lock opens the image: the server ends, and does not block it for 45 s.
testNewcomerIsLetIn() {
	need_clients || return 0
	need_leases "$tmp" || return 0
	serve "$plugin" "$tmp/a.gow"
	client -c 'write -P 8 0 64k'
	timeout 20 sh -c ": <>'$tmp/a.gow'"
	assertTrue "the newcomer waits for long" $?
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 "$server" 2>/dev/null || break
		sleep 0.5
	done
	assertFalse "the server goes on" "kill -0 $server 2>/dev/null"
	run gow-convert "$tmp/a.gow" "$tmp/a.raw"
	assertEquals 08 "$(od -An -tx1 -N 1 "$tmp/a.raw" | tr -d ' ')"
}

# A server that only reads lets him in as well, says so, and goes on.
# A clock that is set back is none to wait by: whoever comes then would wait until the kernel loses
# patience, and write beside the server.
testNewcomerAfterTheClockWasSetBack() {
	need_clients || return 0
	need_leases "$tmp" || return 0
	FAULTIO_CLOCK=3600 LD_PRELOAD="$GOW_TESTBIN/faultio.so" serve "$plugin" "$tmp/a.gow"
	client -c 'write -P 8 0 64k'
	timeout 20 sh -c ": <>'$tmp/a.gow'"
	assertTrue "the newcomer waits for long" $?
	stop_server -TERM
	run gow-convert "$tmp/a.gow" "$tmp/a.raw"
	assertEquals 08 "$(od -An -tx1 -N 1 "$tmp/a.raw" | tr -d ' ')"
}

testNewcomerToAReader() {
	need_clients || return 0
	need_leases "$tmp" || return 0
	serve --filter=cow "$plugin" "file=$tmp/a.gow" read-only=true
	client -c 'write -P 8 0 64k'
	timeout 20 sh -c ": <>'$tmp/a.gow'"
	assertTrue "the newcomer waits for long" $?
	client -c 'read -P 8 0 64k'
	stop_server -TERM
	assertEquals "$(cat "$tmp/log")" 1 "$(grep -c 'warning.*a.gow.*opens it for writing' "$tmp/log")"
}

# assertAcknowledgedIsThere LOG RAW PATTERN: every write that the server answered well, by nbdkit's log,
# is on the disk: the pattern, and the write's offset.
assertAcknowledgedIsThere() {
	"$python" - "$@" >"$tmp/lost" 2>&1 <<'END'
import re, struct, sys
asked, there = {}, 0
with open(sys.argv[2], "rb") as disk:
    for line in open(sys.argv[1]):
        found = re.search(r"connection=(\d+) (\.\.\.)?Write id=(\d+) (offset=0x(\w+)|return=0)", line)
        if found and not found[2]:
            asked[found[1], found[3]] = int(found[5], 16)
        elif found:
            offset = asked[found[1], found[3]]
            disk.seek(offset)
            if disk.read(12) != bytes.fromhex(sys.argv[3]) + struct.pack("<Q", offset):
                sys.exit(f"the write at {offset} is lost")
            there += 1
if there < 100:
    sys.exit(f"only {there} writes")
END
	assertTrue "$(cat "$tmp/lost")" $?
}

# While a client writes, somebody opens the image: once waiting to be let in, once asking again and
# again without waiting. What was answered is in the image, what comes later is refused.
testNewcomerUnderLoad() {
	need_clients || return 0
	need_tool fio python3 || return 0
	need_leases "$tmp" || return 0
	for way in '' nonblock; do
		run gow-create --force 64M "$tmp/a.gow"
		rm -f "$tmp/requests"
		serve --filter=log "$plugin" "$tmp/a.gow" logfile="$tmp/requests"
		fio --name=w --ioengine=nbd --uri="$uri" --rw=randwrite --bs=4k --iodepth=16 --numjobs=2 \
			--rate_iops=3000 --time_based --runtime=60 --norandommap --verify=pattern --do_verify=0 --verify_state_save=0 \
			--verify_pattern=0x01020304%o >"$tmp/fio" 2>&1 &
		writer=$!
		for _ in $(seq 600); do
			[ "$(grep -c 'Write.*return=0' "$tmp/requests")" -lt 100 ] || break
			sleep 0.05
		done
		timeout 20 sh -c "until dd if=/dev/null 'of=$tmp/a.gow' conv=notrunc status=none \
			${way:+oflag=$way} 2>'$tmp/dd'; do sleep 0.1; done"
		assertTrue "the newcomer (${way:-waiting}) waits for long: $(cat "$tmp/dd")" $?
		wait $writer
		assertTrue "$(cat "$tmp/fio")" "grep -q 'endpoint shutdown' $tmp/fio"
		wait "$server"
		assertEquals "the server says it once" 1 "$(grep -c 'wants to open' "$tmp/log")"
		run gow-check "$tmp/a.gow"
		assertStatus 0
		run gow-convert --force "$tmp/a.gow" "$tmp/a.raw"
		assertAcknowledgedIsThere "$tmp/requests" "$tmp/a.raw" 01020304
	done
}

# Of another layout: big-endian, blocks that count from 1, 0 for those that are not allocated, a size in
# sectors, version numbers behind the map.
make_foreign() {
	head -c 5000000 /dev/urandom >"$tmp/junk"
	truncate -s 24M "$tmp/fs"
	mkfs.ext4 -q -F -b 1024 -g 2048 "$tmp/fs"
	debugfs -w -R "write $tmp/junk junk" "$tmp/fs" >/dev/null 2>&1
	"$GOW_TESTBIN/mkforeign" "$tmp/fs" "$tmp/foreign" order=big start=16 size=4 width=4 unit=512 \
		numbers=behind first=1 unallocated=0 align=512 entries=1048576 seed=8 >"$tmp/made"
	cat >"$tmp/foreign.layout" <<'END'
gow-layout 1
name = foreign
byte-order = big
magic = none
version-field = none
logical-size = 4:4 sectors
block-count = none
map = 16 stride 4 entries 1048576
first-block = 1
unallocated = 0
block-versions = at 4194320 stride 4
data-align = 512
END
}

testInferredLayout() {
	need_clients || return 0
	make_foreign
	state_of "$tmp/foreign"
	serve -r "$plugin" "$tmp/foreign" layout=auto
	nbdcopy "$uri" "$tmp/out.raw" >"$tmp/said" 2>&1
	assertTrue "$(cat "$tmp/said" "$tmp/log")" $?
	assertSameFile "$tmp/fs" "$tmp/out.raw"
	stop_server -TERM
	assertUnchanged "$tmp/foreign"
	# What is inferred is not written to.
	nbdkit -U "$tmp/refused" "$plugin" "$tmp/foreign" layout=auto --run true >"$tmp/said" 2>&1
	assertFalse "an inferred layout is written by" $?
	assertTrue "$(cat "$tmp/said")" "grep -q 'for reading only' $tmp/said"
	head -c 1000000 /dev/zero >"$tmp/zeros"
	nbdkit -r -U "$tmp/refused" "$plugin" "$tmp/zeros" layout=auto --run true >"$tmp/said" 2>&1
	assertFalse "what has no layout is served" $?
	assertTrue "$(cat "$tmp/said")" "grep -q 'gow-probe' $tmp/said"
	assertUnchanged "$tmp/foreign"
}

testGivenLayout() {
	need_clients || return 0
	make_foreign
	serve "$plugin" "$tmp/foreign" "layout=$tmp/foreign.layout"
	client -c 'read 0 24M' -c 'write -P 7 23M 512k' -c flush -c 'read -P 7 23M 512k'
	stop_server -TERM
	run gow-check --layout "$tmp/foreign.layout" "$tmp/foreign"
	assertStatus 0
	# The same was written to the disk: nothing else has changed.
	head -c 524288 /dev/zero | tr '\000' '\007' |
		dd of="$tmp/fs" bs=1M seek=23 conv=notrunc status=none
	run gow-convert --layout "$tmp/foreign.layout" "$tmp/foreign" "$tmp/out.raw"
	assertStatus 0
	assertSameFile "$tmp/fs" "$tmp/out.raw"
	# A block that is new has the number 1; the others' numbers, 1 to 3, go up once a run at most.
	run gow-info --json --layout "$tmp/foreign.layout" "$tmp/foreign"
	assertJson '.layout == "foreign" and .highest_version <= 4'
	nbdkit -U "$tmp/refused" "$plugin" "$tmp/foreign" layout=nonesuch --run true >"$tmp/said" 2>&1
	assertFalse "a layout that is not there" $?
	assertTrue "$(cat "$tmp/said")" "grep -q 'no layout .nonesuch' $tmp/said"
}

# Blocks that are neighbours of the guest's disk, and not in the file, are fetched together.
testImageOnAServer() {
	need_clients || return 0
	printf '%s\n' 'version 3' 'size 10485248' 'map 0-99 0 shuffle 7' 'map 120-159 100 shuffle 3' \
		'blocks 140' 'data 0-139 pattern 1' >"$tmp/recipe"
	"$GOW_TESTBIN/mkimage" "$tmp/recipe" "$tmp/a.gow"
	"$GOW_TESTBIN/mkimage" --raw "$tmp/recipe" "$tmp/want.raw"
	nbdkit -f -r -U "$tmp/below" --filter=log file "$tmp/a.gow" logfile="$tmp/requests" &
	at_end "kill $! 2>/dev/null; wait $! 2>/dev/null; true"
	for _ in $(seq 600); do
		[ ! -S "$tmp/below" ] || break
		sleep 0.1
	done
	serve "$plugin" "nbd+unix:///?socket=$tmp/below"
	: >"$tmp/requests"
	assertTrue "$(nbdcopy --request-size=1048576 "$uri" "$tmp/out.raw" 2>&1)" $?
	assertSameFile "$tmp/want.raw" "$tmp/out.raw"
	count=$(grep -c 'Read.*\.\.\.$' "$tmp/requests")
	assertTrue "$count requests" "[ $count -gt 0 ] && [ $count -lt 120 ]"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
