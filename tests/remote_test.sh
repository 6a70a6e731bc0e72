#!/bin/sh
# Images and raw disks on servers: nbd:, http: and their kin.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$(dirname "$0")/servers.sh"

need_servers() {
	need_tool nbdkit nginx python3 qemu-nbd openssl
}

suiteSetUp() {
	make_image sound-v3 "$work/a.gow"
	truncate -s 8M "$work/d.raw"
	printf 'guest' | dd of="$work/d.raw" bs=1 seek=1000000 conv=notrunc status=none
	"$GOW_BIN/gow-convert" -q -f raw "$work/d.raw" "$work/d.gow" 2>/dev/null
}

testHttpImage() {
	need_servers || return 0
	serve_nginx "$work"
	run gow-info --json "$url/d.gow"
	assertStatus 0
	assertJson '.image == "'"$url"'/d.gow" and .version == 3 and .logical_size == 8388608'
	run gow-check --digest --json "$url/d.gow"
	assertStatus 0
	remote=$(json .digest)
	run gow-check --digest --json "$work/d.gow"
	assertEquals "$(json .digest)" "$remote"
	run gow-convert "$url/d.gow" "$tmp/x.raw"
	assertStatus 0
	assertSameFile "$work/d.raw" "$tmp/x.raw"
}

testHttpRawAndManifest() {
	need_servers || return 0
	serve_nginx "$work"
	run gow-convert -f raw "$url/d.raw" "$tmp/x.gow"
	assertStatus 0
	run gow-convert "$tmp/x.gow" "$tmp/x.raw"
	assertSameFile "$work/d.raw" "$tmp/x.raw"
}

testHttpRequestsAreLarge() {
	need_servers || return 0
	serve_nginx "$work"
	run gow-info "$url/d.gow"
	assertStatus 0
	requests=$(wc -l <"$tmp/ng/log")
	assertTrue "$requests requests for a header of 32 MiB" "[ $requests -lt 100 ]"
}

testHttpErrors() {
	need_servers || return 0
	serve_nginx "$work" 'location /busy { return 503; }' 'location /denied { return 403; }' \
		'location /secret { return 401; }'
	run gow-check "$url/none.gow"
	assertStatus 8
	assertErr '404'
	run gow-check "$url/denied"
	assertStatus 8
	assertErr '403'
	run gow-check "$url/secret"
	assertStatus 8
	assertErr 'netrc'
	run gow-check --json "$url/busy"
	assertStatus 64
	assertJson '.exit == 64 and .error == "busy"'
}

testNoServer() {
	need_servers || return 0
	port=$(free_port)
	run gow-check "http://127.0.0.1:$port/x"
	assertStatus 8
	run gow-check "nbd://127.0.0.1:$port/"
	assertStatus 8
}

testServerWithoutRanges() {
	need_servers || return 0
	port=$(free_port)
	start_server "$python" -m http.server --bind 127.0.0.1 --directory "$work" "$port"
	wait_for_port "$port"
	run gow-check "http://127.0.0.1:$port/d.gow"
	assertStatus 8
	assertErr 'ignores ranges.*download'
}

# A server that hands out parts of one object, then of another of the same size.
testObjectReplacedMeanwhile() {
	need_servers || return 0
	serve_badly "$work/d.gow"
	run gow-check --json "$url/etag/d.gow"
	assertStatus 8
	assertJson '.error == "changed"'
}

testTls() {
	need_servers || return 0
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=IP:127.0.0.1 -keyout "$tmp/key" -out "$tmp/cert" 2>/dev/null
	tls=1
	serve_nginx "$work" "ssl_certificate $tmp/cert;" "ssl_certificate_key $tmp/key;"
	tls=
	run gow-check "https://127.0.0.1:$port/d.gow"
	assertStatus 8
	assertErr 'certificate'
	SSL_CERT_FILE=$tmp/cert
	export SSL_CERT_FILE
	run gow-check "https://127.0.0.1:$port/d.gow"
	unset SSL_CERT_FILE
	assertStatus 0
}

testNoSecretIsShown() {
	need_servers || return 0
	serve_nginx "$work"
	run gow-check --json "http://user:hunter2@127.0.0.1:$port/d.gow?token=hunter2"
	assertStatus 0
	assertNoOut hunter2
	assertNoErr hunter2
	run gow-check "http://user:hunter2@127.0.0.1:$port/none?token=hunter2"
	assertStatus 8
	assertNoOut hunter2
	assertNoErr hunter2
}

testNbdSource() {
	need_servers || return 0
	serve_nbd file "$work/d.raw"
	run gow-convert -f raw --verify "$uri" "$tmp/x.gow"
	assertStatus 0
	run gow-convert "$tmp/x.gow" "$tmp/x.raw"
	assertSameFile "$work/d.raw" "$tmp/x.raw"
}

testNbdImage() {
	need_servers || return 0
	serve_nbd -r file "$work/d.gow"
	run gow-check --data "$uri"
	assertStatus 0
	run gow-compact "$uri"
	assertStatus 8
	assertErr 'only be read'
}

# Every byte is asked for once, by large requests, several of which are on their way at a time.
testNbdRequests() {
	need_servers || return 0
	head -c 20M /dev/urandom >"$tmp/r.raw"
	"$GOW_BIN/gow-convert" -q -O gow2 -f raw "$tmp/r.raw" "$tmp/r.gow" 2>/dev/null
	serve_nbd --filter=log --filter=delay file "$tmp/r.gow" delay-read=10ms logfile="$tmp/log"
	for option in --digest --data; do
		: >"$tmp/log"
		run gow-check $option "$uri"
		assertStatus 0
		python3 - "$tmp/log" >"$tmp/counts" <<'END'
import re, sys
bytes = requests = now = most = 0
for line in open(sys.argv[1]):
    ask = re.search(r" Read id=\d+ .*count=0x([0-9a-f]+)", line)
    if ask:
        requests, bytes, now = requests + 1, bytes + int(ask[1], 16), now + 1
        most = max(most, now)
    elif "...Read" in line:
        now -= 1
print(requests, bytes, most)
END
		read -r requests bytes most <"$tmp/counts"
		size=$(stat -c %s "$tmp/r.gow")
		assertTrue "$bytes bytes of $size" "[ $bytes -lt $((size + 131072)) ]"
		assertTrue "$requests requests" "[ $requests -le $((size / 1048576 + 5)) ]"
		assertTrue "$most at a time" "[ $most -ge 4 ]"
	done
}

testNbdDestination() {
	need_servers || return 0
	truncate -s 8M "$tmp/dest"
	serve_nbd file "$tmp/dest"
	run gow-convert --verify "$work/d.gow" "$uri"
	assertStatus 0
	assertSameFile "$work/d.raw" "$tmp/dest"
	run gow-convert "$work/d.gow" "$uri"
	assertStatus 8
	assertErr '--force'
	run gow-convert --force "$work/d.gow" "$uri"
	assertStatus 0
	assertSameFile "$work/d.raw" "$tmp/dest"
}

testNbdDestinationTooSmall() {
	need_servers || return 0
	truncate -s 1M "$tmp/dest"
	serve_nbd file "$tmp/dest"
	run gow-convert "$work/d.gow" "$uri"
	assertStatus 8
	assertErr 'nothing was written'
}

# Other bytes of the export stay as they are, though the server takes multiples of 4096 only.
testNbdDestinationOfLargeBlocks() {
	need_servers || return 0
	printf 'version 3\nsize 1049088\nmap 0-14 0 shuffle 5\nmap 16 15\ndata 0-15 pattern 3\n' \
		>"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/odd.gow"
	make_raw "$tmp/recipe" "$tmp/want"
	head -c 2097152 /dev/zero | tr '\0' x >"$tmp/dest"
	tail -c +1049089 "$tmp/dest" >>"$tmp/want"
	serve_nbd --filter=blocksize-policy file "$tmp/dest" blocksize-minimum=4096 \
		blocksize-error-policy=error
	run gow-convert --force --verify "$tmp/odd.gow" "$uri"
	assertStatus 0
	assertSameFile "$tmp/want" "$tmp/dest"
	# Zeros, too.
	printf 'version 3\nsize 1049088\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/zero.gow"
	make_raw "$tmp/recipe" "$tmp/want"
	tail -c +1049089 "$tmp/dest" >>"$tmp/want"
	run gow-convert --force "$tmp/zero.gow" "$uri"
	assertStatus 0
	assertSameFile "$tmp/want" "$tmp/dest"
}

# It knows neither writes of zeros nor flushes.
testNbdDestinationThatCanDoLittle() {
	need_servers || return 0
	head -c 8388608 /dev/zero | tr '\0' x >"$tmp/dest"
	# shellcheck disable=SC2016 # the server expands them
	serve_by_script "$tmp/dest" '' --filter=nozero \
		pwrite='dd of="$file" oflag=seek_bytes conv=notrunc seek=$4 bs=64K status=none'
	assertFalse 'it zeroes' "nbdinfo --can zero '$uri'"
	assertFalse 'it flushes' "nbdinfo --can flush '$uri'"
	run gow-convert --force --verify "$work/d.gow" "$uri"
	assertStatus 0
	assertSameFile "$work/d.raw" "$tmp/dest"
}

# More than one question can be about.
testNbdHolesOfALargeDisk() {
	need_servers || return 0
	truncate -s 1200M "$tmp/want"
	printf '\001' | dd of="$tmp/want" bs=1 seek=1150000000 conv=notrunc status=none
	serve_nbd data data='@1150000000 1' size=1200M
	run gow-convert -f raw "$uri" "$tmp/x.raw"
	assertStatus 0
	assertSameFile "$tmp/want" "$tmp/x.raw"
}

# The first two answers to each question about holes are errors, or all of them.
testNbdHolesThatCannotBeAskedFor() {
	need_servers || return 0
	# shellcheck disable=SC2016 # the server expands them
	for tries in '1 2' '1 2 3 4 5 6 7 8 9'; do
		rm -rf "$tmp/tried"
		mkdir "$tmp/tried"
		tried=$tmp/tried tries=$tries serve_by_script "$work/d.raw" '' \
			extents='for try in $tries; do
				if mkdir "$tried/$4-$try" 2>/dev/null; then echo EIO broken >&2; exit 1; fi
			done
			echo 0 8388608'
		run gow-convert --force -f raw "$uri" "$tmp/x.raw"
		assertTrue 'nothing was refused' "[ -d '$tmp/tried/0-2' ]"
		if [ "$tries" = '1 2' ]; then
			assertStatus 0
			assertSameFile "$work/d.raw" "$tmp/x.raw"
		else
			assertStatus 8
			assertErr 'cannot ask for holes'
		fi
	done
}

# The name in a message is that of the file that failed.
testNbdWriteErrorsNameTheExport() {
	need_servers || return 0
	truncate -s 8M "$tmp/dest"
	serve_nbd --filter=error file "$tmp/dest" error-pwrite-rate=1
	run gow-convert "$work/d.gow" "$uri"
	assertStatus 8
	assertErr "^gow-convert: nbd[+]unix:.*cannot write"
}

testNbdErrorsAreReported() {
	need_servers || return 0
	serve_nbd --filter=error file "$work/d.gow" error-pread-rate=1
	run gow-check "$uri"
	assertStatus 8
	assertErr 'cannot read'
	# A disk that cannot be read is not looked at in many places.
	begun=$(date +%s)
	run gow-convert -f raw "$uri" "$tmp/x.gow"
	assertStatus 8
	assertErr 'cannot read'
	took=$(($(date +%s) - begun))
	assertTrue "$took seconds" "[ $took -lt 12 ]"
}

# start_qemu_nbd ARG...: on a socket; $uri.
start_qemu_nbd() {
	rm -f "$tmp/s"
	start_server qemu-nbd -f raw -k "$tmp/s" "$@"
	uri="nbd+unix:///?socket=$tmp/s"
	for _ in $(seq 600); do
		[ ! -S "$tmp/s" ] || break
		sleep 0.1
	done
}

testQemuNbd() {
	need_servers || return 0
	start_qemu_nbd -t -r "$work/d.gow"
	run gow-check --data "$uri"
	assertStatus 0
}

# Unless it is told otherwise it takes one client at a time, and ends after the first.
testQemuNbdTakesOneClient() {
	need_servers || return 0
	for more in '' -t; do
		rm -f "$tmp/dest"
		truncate -s 8M "$tmp/dest"
		# shellcheck disable=SC2086 # no word, or one
		start_qemu_nbd $more "$tmp/dest"
		run gow-convert --verify "$work/d.gow" "$uri"
		assertStatus 0
		assertOut 'verified'
		assertSameFile "$work/d.raw" "$tmp/dest"
	done
	# Nothing that was asked for is given up, which would take the only connection.
	"$GOW_BIN/gow-convert" -q -O gow3 -f raw "$work/d.raw" "$tmp/d3.gow" 2>/dev/null
	for command in 'gow-check --digest' gow-check gow-info 'gow-info --since 0'; do
		start_qemu_nbd -r "$tmp/d3.gow"
		# shellcheck disable=SC2086 # words
		run $command "$uri"
		assertStatus 0
	done
}

testNbdServerTurnsClientsAway() {
	need_servers || return 0
	serve_nbd --filter=ip file "$work/d.gow" deny=all
	run gow-check "$uri"
	assertStatus 8
	assertErr 'closes the connection|disconnected'
	assertNoErr 'invalid in state'
}

# serve_rounded FILE HOW: qemu-nbd rounds sizes up to 512 bytes, others to 4096; $uri.
serve_rounded() {
	if [ "$2" = 512 ]; then
		start_qemu_nbd -t -r "$1"
	else
		serve_nbd -r --filter=truncate file "$1" round-up="$2"
	fi
}

# An image of version 1 begins with 4194324 bytes, so its size is no multiple of 512. The zeros that a
# server adds are no block, and data at the end that is one is.
testNbdSizesAreRoundedUp() {
	need_servers || return 0
	printf 'version 1\nsize 1M\nmap 0-14 0 shuffle 5\ndata 0-14 pattern 3\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/a.gow"
	make_raw "$tmp/recipe" "$tmp/a.raw"
	cp "$tmp/a.gow" "$tmp/leaky.gow"
	printf '%0512d' 0 >>"$tmp/leaky.gow"
	for rounding in 512 4096; do
		serve_rounded "$tmp/a.gow" $rounding
		run gow-check --data --digest --json "$uri"
		assertStatus 0
		assertJson '.findings == []'
		assertEquals "$("$GOW_TESTBIN/guestdigest" "$tmp/a.raw")" "$(json .digest)"
		run gow-info --json "$uri"
		assertStatus 0
		assertJson ".leaked_blocks == 0 and .present_blocks == 15 and
			.file_size == $(stat -c %s "$tmp/a.gow")"
		run gow-convert --force "$uri" "$tmp/x.raw"
		assertStatus 0
		assertSameFile "$tmp/a.raw" "$tmp/x.raw"
		serve_rounded "$tmp/leaky.gow" $rounding
		run gow-check --json "$uri"
		assertStatus 2
		assertJson '.findings[0].id == "space.leak"'
	done
	# The last sector of a block that is in use may be zeros.
	printf 'version 1\nsize 1M\nmap 0 0\nblocks 1\ndata 0 zero\ntruncate data_start+492\n' \
		>"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/a.gow"
	serve_rounded "$tmp/a.gow" 512
	run gow-check --data --json "$uri"
	assertStatus 2
	assertJson '.findings[0].id == "space.tail"'
}

# A server that rounds the size down cuts off data, of which only the server knows.
testNbdSizesAreRoundedDown() {
	need_servers || return 0
	printf 'version 1\nsize 1M\nmap 0-14 0 shuffle 5\ndata 0-14 pattern 3\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/a.gow"
	serve_nbd -r --filter=truncate file "$tmp/a.gow" round-down=512
	for tool in 'gow-check --json' 'gow-info' 'gow-convert --force'; do
		[ "$tool" != 'gow-convert --force' ] || set -- "$tmp/x.raw"
		# shellcheck disable=SC2086 # words
		run $tool "$uri" "$@"
		assertErr 'last block lacks [0-9]* bytes.*server'
		assertEquals "$tool: $(cat "$err")" 1 "$(grep -c lacks "$err")"
	done
	run gow-check --json "$uri"
	assertStatus 2
	rm "$tmp/s"
	serve_nbd -r --filter=truncate file "$work/a.gow" round-down=4096
	run gow-sync "$uri" "$tmp/copy.gow"
	assertErr 'warning: the last block lacks 512 bytes.*server'
	# The same image as it is.
	rm "$tmp/s"
	serve_nbd -r file "$tmp/a.gow"
	run gow-convert --force "$uri" "$tmp/x.raw"
	assertStatus 0
	assertErrEmpty
}

# A disk is not written over what it is read from, which could be an image.
testNbdSourceIsDestination() {
	need_servers || return 0
	cp "$work/d.gow" "$tmp/dest"
	serve_nbd file "$tmp/dest"
	run gow-convert --force "$uri" "$uri"
	assertStatus 16
	assertErr 'same file'
	assertSameFile "$work/d.gow" "$tmp/dest"
	run gow-convert -O gow3 --force "$work/d.gow" "$uri"
	assertErr 'not to an export'
}

# No file is made on a server, nor one whose name would be a URI; and nothing secret is shown of it.
testFilesAreLocal() {
	mkdir "$tmp/here"
	cd "$tmp/here" || return 1
	cp "$work/a.gow" "$work/d.gow" .
	for name in 'http://user:hunter2@h/x?key=hunter2' nbd:hunter2@x; do
		for command in 'gow-create --json 8M URI' 'gow-compact --json -o URI d.gow' \
			'gow-upgrade --json -o URI --to 3 d.gow' 'gow-check --json --write-manifest URI d.gow' \
			'gow-repair --json -y --salvage URI a.gow'; do
			# shellcheck disable=SC2046 # words
			run $(echo "$command" | sed "s|URI|$name|")
			assertEquals "$command: $(cat "$out" "$err")" 8 "$status"
			assertErr 'is on a server, where no file is made'
			assertNoOut hunter2
			assertNoErr hunter2
		done
	done
	assertEquals 'a.gow d.gow' "$(echo *)"
	run gow-create 8M ./nbd:x
	assertStatus 0
}

testUnknownScheme() {
	run gow-check ftp://host/x
	assertStatus 8
	assertErr 'known are nbd://.*\./'
	cp "$work/d.gow" "$tmp/nbd:x"
	cd "$tmp" || return 1
	run gow-check ./nbd:x
	assertStatus 0
}

testModuleMissing() {
	cp "$GOW_BIN/gow-check" "$tmp/"
	GOW_BIN=$tmp run gow-check http://127.0.0.1:1/x
	assertStatus 8
	assertErr 'gow-tools-net|Failed to connect'
}

# No module, and one of another version, as after half an upgrade of the packages.
testModuleThatDoesNotFit() {
	need_tool nm readelf || return 0
	mkdir -p "$tmp/modules"
	cp "$GOW_TESTBIN/failalloc.so" "$tmp/modules/gow-http.so"
	GOW_MODULE_DIR=$tmp/modules run gow-check http://127.0.0.1:1/x
	assertStatus 8
	assertErr 'module for http:// is of another version'
	# Its number is the first of the structure that it exports.
	cp "$GOW_BIN/../lib/gow/gow-http.so" "$tmp/modules/"
	symbol=$(nm -D "$tmp/modules/gow-http.so" | awk '$3 == "gow_module" { print $1 }')
	at=$(readelf -SW "$tmp/modules/gow-http.so" | tr -d '[]' |
		awk '$2 == ".data.rel.ro" { print $4, $5 }')
	at=$((0x$symbol - 0x${at% *} + 0x${at#* }))
	abi=$(sed -n 's/.*GOW_MODULE_ABI = \([0-9]*\).*/\1/p' "$TESTS/../lib/io/module.h")
	assertEquals "number" "$abi" "$(od -An -td4 -j $at -N 4 "$tmp/modules/gow-http.so" | tr -d ' ')"
	printf '\143\0\0\0' | dd of="$tmp/modules/gow-http.so" bs=1 seek=$at conv=notrunc status=none
	GOW_MODULE_DIR=$tmp/modules run gow-check http://127.0.0.1:1/x
	assertStatus 8
	assertErr 'module for http:// is of another version'
	# What is no library is passed over.
	echo garbage >"$tmp/modules/gow-http.so"
	GOW_MODULE_DIR=$tmp/modules run gow-check http://127.0.0.1:1/x
	assertStatus 8
	assertErr 'Failed to connect'
}

# shellcheck source=/dev/null
. "$SHUNIT2"
