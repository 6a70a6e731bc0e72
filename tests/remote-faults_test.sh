#!/bin/sh
# Servers that are slow, break, lie, or serve something else meanwhile; certificates; signals.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$(dirname "$0")/servers.sh"

for tool in nbdkit nginx python3 openssl; do
	command -v $tool >/dev/null || skip_suite "needs $tool"
done

suiteSetUp() {
	# All blocks in an order of their own: each is a run.
	printf 'version 1\nsize 4M\nmap 0-63 0 shuffle 5\ndata 0-63 pattern 3\n' >"$work/recipe"
	make_image "$work/recipe" "$work/a.gow"
	make_raw "$work/recipe" "$work/a.raw"
	# All in one run.
	printf 'version 1\nsize 20M\nmap 0-319 0\ndata 0-319 pattern 3\n' >"$work/recipe-b"
	make_image "$work/recipe-b" "$work/b.gow"
	digest=$("$GOW_BIN/gow-check" --digest --json "$work/b.gow" | jq -r .digest)
	serve_badly "$work/a.gow"
	bad=$url
	unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
	HOME=$work
	export HOME
}

# served NAME WANT RE: gow-check --data of the server's mode ends so, and says so.
served() {
	run gow-check --data --json "$bad/$1/a.gow"
	assertEquals "$1: $(cat "$err" "$out")" "$2" "$status"
	[ -z "$3" ] || assertTrue "$1 does not say '$3': $(cat "$out" "$err")" \
		"grep -qE '$3' $out $err"
}

# assertDigestOfB: gow-check --digest of $uri is that of b.gow.
assertDigestOfB() {
	run gow-check --digest --json "$uri"
	assertStatus 0
	assertEquals "$digest" "$(json .digest)"
}

testServersThatServeWell() {
	served ok 0
	served anonymous 0
	served weak 0
	served redirect 0
	served packed 0
	served longtag 0
}

testServersThatBreakAndRecover() {
	served flaky 0
	served close 0
	served noend 0
	served parts 0
	run gow-convert "$bad/close/a.gow" "$tmp/x.raw"
	assertStatus 0
	assertSameFile "$work/a.raw" "$tmp/x.raw"
}

testServersThatBreakForGood() {
	served reset 8 'Empty reply'
	served resetmore 8 'Empty reply'
	served short 8 'sent [0-9]* bytes of a part'
	served gone 8 '404'
	served loop 8 'redirects'
	served tofile 8 'not supported|disabled'
	served nowhere 8 'the server redirects .302. to what is not a valid URI'
	assertNoErr secret
}

testServersThatLie() {
	served more 8 'more than was asked for'
	served otherpart 8 'another part'
	served norange 8 'another part'
	run gow-convert -f raw "$bad/claims/a.gow" "$tmp/x.gow"
	assertStatus 8
	assertErr 'shorter'
	served whole 8 'ignores ranges.*download'
	served star 8 'does not say how long'
	served huge 8 'larger than'
	served empty 8 'is empty'
	served emptyfile 8 'is empty'
}

testObjectsThatChange() {
	for mode in etag modified grows honest; do
		served $mode 8 'replaced on the server.*run the command again'
		assertJson '.error == "changed" and .exit == 8'
	done
	# The server itself is asked to look whether it is the same object.
	assertTrue "no If-Range" "grep -q '^etag .* \"one\"' $log"
	assertFalse "a weak ETag in If-Range" "grep -q '^weak .*W/' $log"
}

# Parts that were asked for before they are wanted: what breaks on their way, or is of another
# object, and a signal while they are under way.
testHttpPartsAhead() {
	kept=$log
	serve_badly "$work/b.gow"
	for mode in ok delay flaky close noend parts; do
		uri=$url/$mode/b.gow
		assertDigestOfB
	done
	for mode in restless turncoat; do
		run gow-check --digest --json "$url/$mode/b.gow"
		assertStatus 8
		assertJson '.error == "changed"'
	done
	assertTrue "none of the data was asked for" "awk -F '[ =-]' \
		'\$1 == \"restless\" && \$3 > 5000000 { n++ } END { exit !n }' $log"
	stopped INT gow-check --digest "$url/dataless/b.gow"
	log=$kept
}

# What comes in one large request is hashed as it comes, also where the file or the disk ends within a
# block.
testHttpRunsOfBlocks() {
	printf 'version 3\nsize 20971008\nmap 0-319 0\ndata 0-319 pattern 3\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/short-disk.gow"
	cp "$work/b.gow" "$tmp/short-file.gow"
	truncate -s -1000 "$tmp/short-file.gow"
	cp "$work/b.gow" "$tmp"
	serve_nginx "$tmp"
	for image in b short-disk short-file; do
		run gow-check --digest --write-manifest="$tmp/$image.local" --json "$tmp/$image.gow"
		assertNotNull "$(json .digest)"
		digest_of_it=$(json .digest)
		for _ in $(seq 20); do
			: >"$tmp/ng/log"
			run gow-check --digest --manifest="$tmp/$image.local" --json "$url/$image.gow"
			assertEquals "$image" "$digest_of_it" "$(json .digest)"
			assertJson '.findings | map(select(.id | startswith("data."))) == []'
			# A machine that is busy makes any server a slow one.
			large=$(awk '$10 > 2097152' "$tmp/ng/log")
			[ -z "$large" ] || break
		done
		[ -n "$large" ] || skip "$image: the machine is too busy for large requests"
	done
}

# Blocks that are not neighbours are fetched together, and neighbours in one request.
testScatteredBlocks() {
	: >"$log"
	run gow-convert "$bad/scattered/a.gow" "$tmp/x.raw"
	assertStatus 0
	assertSameFile "$work/a.raw" "$tmp/x.raw"
	requests=$(wc -l <"$log")
	assertTrue "$requests requests for 64 blocks and a header of 4 MiB" "[ $requests -lt 75 ]"
}

# A map of 48 MiB is all that opening needs: at most 60 requests, four at a time, are half a
# second over 30 ms of delay.
testOpeningALargeImage() {
	printf 'version 3\nsize 256G\nmap 0 0\ndata 0 text "x"\n' >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/large.gow"
	serve_nginx "$tmp"
	run gow-info --json "$url/large.gow"
	assertStatus 0
	assertJson '.logical_size == 274877906944'
	requests=$(wc -l <"$tmp/ng/log")
	assertTrue "$requests requests" "[ $requests -le 60 ]"
	most=$(awk '{ print $10 }' "$tmp/ng/log" | sort -n | tail -n 1)
	assertTrue "the largest request has $most bytes" "[ $most -ge 1048576 ]"
	run gow-check "$url/large.gow"
	assertStatus 0
}

testPasswordFromNetrc() {
	served auth 8 'netrc'
	echo 'machine 127.0.0.1 login guest password hunter2' >"$work/.netrc"
	served auth 0
	assertNoOut hunter2
	echo 'machine 127.0.0.1 login guest password hunter3' >"$work/.netrc"
	served auth 8 'netrc'
	rm "$work/.netrc"
	run gow-check "http://guest:hunter2@${bad#http://}/auth/a.gow"
	assertStatus 0
	assertNoOut hunter2
	run gow-check --json -v "http://guest:hunter2@${bad#http://}/gone/a.gow?key=hunter2"
	assertStatus 8
	assertNoOut hunter2
	assertNoErr hunter2
}

testProxy() {
	: >"$log"
	http_proxy=$bad
	export http_proxy
	run gow-check http://nowhere.invalid/a.gow
	assertStatus 0
	no_proxy=nowhere.invalid run gow-check http://nowhere.invalid/a.gow
	unset http_proxy
	assertTrue "the proxy was not asked" "grep -q ^proxied $log"
}

testProxyWithPassword() {
	http_proxy=$bad https_proxy=$bad
	export http_proxy https_proxy
	run gow-check http://closed.invalid/a.gow
	assertStatus 8
	assertErr 'proxy wants.*407.*http_proxy'
	run gow-check https://closed.invalid/a.gow
	assertStatus 8
	assertErr 'proxy wants.*407.*http_proxy'
	http_proxy=http://guest:hunter2@${bad#http://}
	run gow-check http://closed.invalid/a.gow
	assertStatus 0
	unset http_proxy https_proxy
}

# A password with characters that should have been encoded, a URI without its slashes, a proxy that is
# none: nothing of it is repeated.
testNoSecretIsRepeated() {
	for uri in 'http://guest:hun/ter2@127.0.0.1:1/x' 'http://guest:hun?ter2@127.0.0.1:1/x' \
		'http://guest:hun#ter2@127.0.0.1:1/x' 'http:guest:hunter2@127.0.0.1:99999/x' \
		'http:///guest:hunter2@127.0.0.1:99999/x' 'nbd://guest:hun/ter2@127.0.0.1:1/x' \
		'ftp://guest:hunter2@h/x' 'https://guest:hunter2@127.0.0.1:99999/x' \
		'http://127.0.0.1:1/x+unix:/y?key=hunter2'; do
		run gow-info --json -v --wait 0 "$uri"
		assertStatus 8
		assertNoOut 'ter2|hun'
		assertNoErr 'ter2|hun'
	done
	for proxy in http://guest:hunter2@h:999999 guest:hunter2@h:999999 'http://guest:hun ter2@h:1'; do
		http_proxy=$proxy run gow-info --json -v http://nowhere.invalid/x
		assertStatus 8
		assertNoOut 'ter2|hun'
		assertNoErr 'ter2|hun'
	done
	run gow-convert --json --progress=json "http://guest:hunter2@${bad#http://}/ok/a.gow?key=hunter2" \
		"$tmp/x.raw"
	assertStatus 0
	assertNoOut 'ter2|hun'
	assertNoErr 'ter2|hun'
	run gow-convert --force "http://guest:hunter2@${bad#http://}/ok/a.gow?key=hunter2" "$tmp/x.tar"
	assertStatus 0
	run gow-info --picture="$tmp/x.svg" "http://guest:hunter2@${bad#http://}/ok/a.gow?key=hunter2"
	assertStatus 0
	run gow-convert --metadata-only "http://guest:hunter2@${bad#http://}/ok/a.gow?key=hunter2" \
		"$tmp/x.meta"
	# Files are named after the last part of the path, and nothing has the secret.
	assertEquals "$(bsdtar -tf "$tmp/x.tar" | head -n 1)" a.gow
	assertNull "$(grep -al hunter2 "$tmp"/x.*)"
	plugin=$BUILD/plugin/nbdkit-gow-plugin.so
	[ -f "$plugin" ] || return 0
	nbdkit -U "$tmp/refused" "$plugin" "file=http://guest:hunter2@${bad#http://}/gone/a.gow?key=hunter2" \
		layout=nonesuch --run true >"$out" 2>&1
	assertNoOut 'ter2|hun'
	nbdkit -U "$tmp/refused" "$plugin" "file=http://guest:hunter2@h:99999/a.gow?key=hunter2" \
		--run true >"$out" 2>&1
	assertNoOut 'ter2|hun'
}

# Names that have to be encoded, and addresses with colons.
testNamesInUris() {
	cp "$work/a.gow" "$tmp/a b%20#.gow"
	serve_nginx "$tmp"
	run gow-check "$url/a%20b%2520%23.gow"
	assertStatus 0
	if command -v qemu-nbd >/dev/null; then
		rm -f "$tmp/s"
		start_server qemu-nbd -t -r -f raw -k "$tmp/s" -x 'gold /%' "$work/a.gow"
		for _ in $(seq 600); do
			[ ! -S "$tmp/s" ] || break
			sleep 0.1
		done
		run gow-check "nbd+unix:///gold%20%2F%25?socket=$tmp/s"
		assertStatus 0
	fi
	"$python" -c 'import socket; socket.socket(socket.AF_INET6).bind(("::1", 0))' 2>/dev/null ||
		{ skip 'no IPv6 here'; return 0; }
	sixth=$port
	while [ "$sixth" = "$port" ]; do
		sixth=$(free_port)
	done
	start_server nbdkit -f -r -i ::1 -p "$sixth" file "$work/a.gow"
	for _ in $(seq 600); do
		nbdinfo --size "nbd://[::1]:$sixth/" >/dev/null 2>&1 && break
		sleep 0.05
	done
	run gow-check "nbd://[::1]:$sixth/"
	assertStatus 0
	sixth=$(free_port)
	serve_nginx "$tmp" "listen [::1]:$sixth;"
	run gow-check "http://[::1]:$sixth/a%20b%2520%23.gow"
	assertStatus 0
}

# A scheme is the same in capitals.
testNamesInCapitals() {
	serve_nbd file "$work/a.gow"
	for scheme in NBD+UNIX Nbd+Unix; do
		run gow-check --json "$scheme:///?socket=$tmp/s"
		assertStatus 0
		assertJson ".image == \"$scheme:///?socket=$tmp/s\""
	done
	serve_nginx "$work"
	run gow-check "HTTP://127.0.0.1:$port/a.gow"
	assertStatus 0
	run gow-check "HTTPS://127.0.0.1:$port/a.gow"
	assertStatus 8
	assertErr 'https at this port'
	run gow-check "HTTP://127.0.0.1:$port/a b.gow"
	assertStatus 8
	assertErr 'a space.*%20'
}

# stopped SIGNAL TOOL ARG...: the tool ends by the signal long before any limit of time.
stopped() {
	signal=$1 program=$GOW_BIN/$2
	shift 2
	timeout -s KILL 15 env --default-signal timeout --preserve-status -s "$signal" 1 \
		"$program" "$@" >"$out" 2>"$err"
	status=$?
	gow_command=$*
	assertStatus 32
}

testSignalsWhileTheServerIsSilent() {
	stopped INT gow-check --data "$bad/deaf/a.gow"
	serve_nbd --filter=delay file "$work/a.gow" delay-read=100
	stopped TERM gow-check --data "$uri"
	stopped INT gow-convert --force "$uri" "$tmp/x.raw"
	assertFalse "a file is left" "[ -e $tmp/x.raw ]"
	# One that is not there yet.
	stopped INT gow-check --wait 100 "nbd+unix:///?socket=$tmp/none"
	stopped TERM gow-check --wait 100 "http://127.0.0.1:$(free_port)/a.gow"
}

testStatusWhileTheServerIsSilent() {
	serve_nbd --filter=delay file "$work/a.gow" delay-read=100
	env --default-signal timeout 15 "$GOW_BIN/gow-check" --data "$uri" >"$out" 2>"$err" &
	tool=$!
	sleep 1
	child=$(pgrep -P $tool)
	kill -USR1 "$child"
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		[ ! -s "$err" ] || break
		sleep 0.2
	done
	kill "$child"
	wait $tool
	assertErr '"phase":.*"elapsed"'
}

testSilenceEnds() {
	serve_nbd --filter=delay file "$work/a.gow" delay-read=100
	run gow-check "$uri"
	assertStatus 8
	assertErr 'has not answered for'
}

# The first two answers at every offset are errors, and the third is right.
testNbdRetries() {
	# shellcheck disable=SC2016 # the server expands them
	refuse_twice='for try in 1 2; do
		if mkdir "$tried/$4-$try" 2>/dev/null; then echo EIO broken >&2; exit 1; fi
	done'
	mkdir "$tmp/tried"
	tried=$tmp/tried serve_by_script "$work/a.gow" "$refuse_twice"
	run gow-convert "$uri" "$tmp/x.raw"
	assertStatus 0
	assertSameFile "$work/a.raw" "$tmp/x.raw"
	assertTrue 'no read was refused' "[ $(find "$tmp/tried" -name '*-2' | wc -l) -gt 3 ]"
	mkdir "$tmp/once-more"
	tried=$tmp/once-more serve_by_script "$work/b.gow" "$refuse_twice"
	assertDigestOfB
	assertTrue 'no read was refused' "[ $(find "$tmp/once-more" -name '*-2' | wc -l) -gt 3 ]"
}

# One bad sector, in the last of the blocks that a request of 1 MiB fetches: the others can be read.
testNbdBadSector() {
	offset=$("$GOW_BIN/gow-info" --json "$work/b.gow" | jq .data_start)
	# shellcheck disable=SC2016 # the server expands them
	bad=$((offset + 40 * 65536 + 7)) serve_by_script "$work/b.gow" \
		'if [ $4 -le $bad ] && [ $(($4 + $3)) -gt $bad ]; then echo EIO bad >&2; exit 1; fi'
	run gow-check --data --json "$uri"
	assertStatus 4
	assertJson '.findings | map({id, count}) == [{id: "data.unreadable", count: 1}]'
}

# Much of the data cannot be had, which is found out block by block. The pauses of asking again and again
# would take an hour for each GiB.
testDataThatIsLost() {
	start=$("$GOW_BIN/gow-info" --json "$work/b.gow" | jq .data_start)
	lost=$((320 - ((16 << 20) - start) / 65536))
	kept=$log
	serve_badly "$work/b.gow"
	for mode in hollow broken torn; do
		: >"$log"
		finds_lost "$url/$mode/b.gow"
		# libcurl asks twice where a connection that was used before ends without an answer.
		asked=$(awk -F '[ =-]' '$4 >= 16777216 { n++ } END { print n }' "$log")
		assertTrue "$mode: $asked requests for $lost blocks" "[ $asked -lt $((3 * lost)) ]"
	done
	log=$kept
	rm -f "$tmp/s"
	# shellcheck disable=SC2016 # the server expands them
	asked=$tmp/asked serve_by_script "$work/b.gow" 'echo >>"$asked"
		[ $(($4 + $3)) -le 16777216 ] || { echo EIO bad >&2; exit 1; }'
	finds_lost "$uri"
	asked=$(wc -l <"$tmp/asked")
	assertTrue "nbd: $asked requests for $lost blocks" "[ $asked -lt $((3 * lost)) ]"
}

# finds_lost URI
finds_lost() {
	run gow-check --data --json "$1"
	assertStatus 4
	assertJson ".findings | map({id, count}) == [{id: \"data.unreadable\", count: $lost}]"
}

# The server dies in the middle, and another one takes its place.
testNbdServerIsReplaced() {
	serve_nbd --filter=delay file "$work/a.gow" delay-read=400ms
	first=$!
	env --default-signal timeout 50 "$GOW_BIN/gow-convert" "$uri" "$tmp/x.raw" >"$out" 2>"$err" &
	tool=$!
	sleep 0.6
	kill -9 $first
	rm -f "$tmp/s"
	serve_nbd file "$work/a.gow"
	wait $tool
	status=$?
	assertStatus 0
	assertSameFile "$work/a.raw" "$tmp/x.raw"
}

# The same while several requests are on their way, once by an export of the same size and once by
# another.
testNbdServerIsReplacedWhileReadingOn() {
	for image in b a; do
		rm -f "$tmp/s"
		serve_nbd --filter=delay file "$work/b.gow" delay-read=400ms
		first=$!
		env --default-signal timeout 50 "$GOW_BIN/gow-check" --digest --json "$uri" >"$out" 2>"$err" &
		tool=$!
		sleep 1.4
		kill -9 $first
		rm -f "$tmp/s"
		serve_nbd file "$work/$image.gow"
		wait $tool
		status=$?
		gow_command="gow-check, and then $image"
		if [ $image = b ]; then
			assertStatus 0
			assertEquals "$digest" "$(json .digest)"
		else
			assertStatus 8
			assertJson '.error == "changed"'
		fi
	done
}

# A server that is gone for good makes no block unreadable, and is not waited for block by block.
testServersThatDie() {
	rm -f "$tmp/s"
	serve_nbd --filter=delay file "$work/b.gow" delay-read=400ms
	stays_away "$uri"
	kept=$log
	serve_badly "$work/b.gow"
	stays_away "$url/dataless/b.gow"
	log=$kept
}

# stays_away URI: the server of it, $!, is killed while it is read.
stays_away() {
	server=$!
	env --default-signal timeout 100 "$GOW_BIN/gow-check" --digest --json "$1" >"$out" 2>"$err" &
	tool=$!
	sleep 1
	kill -9 $server
	wait $tool
	status=$?
	gow_command="gow-check of $1"
	assertStatus 8
	assertJson '.error == "unreachable"'
}

# The header comes at once, and the data does not.
testSignalsWhileDataIsOnItsWay() {
	# shellcheck disable=SC2016 # the server expands it
	serve_by_script "$work/b.gow" '[ $4 -lt 4300000 ] || sleep 20'
	server=$!
	stopped INT gow-check --digest "$uri"
	stopped TERM gow-check --data "$uri"
	kill -9 $server # it would wait for what sleeps
}

testNbdBlockSizes() {
	for least in 512 4096; do
		rm -f "$tmp/s"
		serve_nbd --filter=blocksize-policy file "$work/a.raw" blocksize-minimum=$least \
			blocksize-maximum=64k blocksize-error-policy=error
		run gow-convert --force -f raw "$uri" "$tmp/x.gow"
		assertStatus 0
		run gow-convert --force "$tmp/x.gow" "$tmp/x.raw"
		assertSameFile "$work/a.raw" "$tmp/x.raw"
		run gow-check -v "$uri"
		assertErr 'GOW'
	done
}

# An image of version 1 has no size that is a multiple of anything. Some servers read its end all the
# same, others cannot.
testNbdBlockSizesAndAnOddSize() {
	for policy in allow error; do
		rm -f "$tmp/s"
		serve_nbd -r --filter=blocksize-policy file "$work/a.gow" blocksize-minimum=4096 \
			blocksize-error-policy=$policy
		run gow-info "$uri"
		assertStatus 0
		run gow-convert --force "$uri" "$tmp/x.raw"
		[ $policy = error ] || assertSameFile "$work/a.raw" "$tmp/x.raw"
		[ $policy = allow ] || assertErr 'multiples of 4096 bytes only, so the last 20 bytes'
	done
	assertStatus 8
	serve_nbd -r --filter=blocksize-policy file "$work/b.gow" blocksize-minimum=4096 \
		blocksize-error-policy=allow
	assertDigestOfB
}

testHttpsCertificates() {
	make_certificates "$tmp/good"
	make_certificates "$tmp/old" -1
	tls=1
	for state in good old; do
		serve_nginx "$work" "ssl_certificate $tmp/$state/server-cert.pem;" \
			"ssl_certificate_key $tmp/$state/server-key.pem;"
		run gow-check "https://localhost:$port/a.gow"
		assertStatus 8
		assertErr 'certificate'
		SSL_CERT_FILE=$tmp/$state/ca-cert.pem
		export SSL_CERT_FILE
		run gow-check "https://localhost:$port/a.gow"
		unset SSL_CERT_FILE
		[ $state = old ] || assertStatus 0
		[ $state = good ] || assertErr 'expired'
	done
	tls=
}

# What was asked for over TLS never comes without.
testRedirectOutOfTls() {
	make_certificates "$tmp/good"
	tls=1
	serve_nginx "$work" "ssl_certificate $tmp/good/server-cert.pem;" \
		"ssl_certificate_key $tmp/good/server-key.pem;" \
		"location /out/ { return 302 $bad/ok/a.gow; }" 'location /in/ { return 302 /a.gow; }'
	tls=
	SSL_CERT_FILE=$tmp/good/ca-cert.pem
	export SSL_CERT_FILE
	run gow-check "https://localhost:$port/in/x"
	assertStatus 0
	run gow-check "https://localhost:$port/out/x"
	assertStatus 8
	assertErr 'not supported|disabled'
	unset SSL_CERT_FILE
}

# The certificate is of an authority that is trusted, and of another host.
testCertificatesOfAnotherHost() {
	make_certificates "$tmp/other" 2 elsewhere.invalid
	tls=1
	serve_nginx "$work" "ssl_certificate $tmp/other/server-cert.pem;" \
		"ssl_certificate_key $tmp/other/server-key.pem;"
	tls=
	SSL_CERT_FILE=$tmp/other/ca-cert.pem
	export SSL_CERT_FILE
	run gow-check "https://localhost:$port/a.gow"
	assertStatus 8
	assertErr 'certificate|subject'
	if nbdkit --dump-config | grep -q 'tls=yes'; then
		kill $! # nginx, for its port
		port=$(free_port)
		start_server nbdkit -f -i 127.0.0.1 -p "$port" --tls=require \
			--tls-certificates="$tmp/other" file "$work/a.gow"
		wait_for_port "$port"
		for host in localhost 127.0.0.1; do
			run gow-check "nbds://$host:$port/"
			assertStatus 8
			assertErr 'certificate'
		done
	fi
	unset SSL_CERT_FILE
}

testNbdsCertificates() {
	nbdkit --dump-config | grep -q 'tls=yes' || { skip "nbdkit without TLS"; return 0; }
	make_certificates "$tmp/good"
	make_certificates "$tmp/old" -1
	for state in good old; do
		port=$(free_port)
		nbdkit -f -i 127.0.0.1 -p "$port" --tls=require --tls-certificates="$tmp/$state" \
			file "$work/a.gow" >/dev/null 2>&1 &
		at_end "kill $! 2>/dev/null; wait $! 2>/dev/null; true"
		wait_for_port "$port"
		run gow-check "nbds://localhost:$port/"
		assertStatus 8
		assertErr 'certificate'
		SSL_CERT_FILE=$tmp/$state/ca-cert.pem
		export SSL_CERT_FILE
		run gow-check "nbds://localhost:$port/"
		unset SSL_CERT_FILE
		[ $state = good ] || assertStatus 8
		[ $state = old ] || assertStatus 0
		run gow-check "nbd://localhost:$port/"
		assertStatus 8
		assertErr 'TLS'
	done
	# Nothing in a URI lets any server pass.
	port=$(free_port)
	start_server nbdkit -f -i 127.0.0.1 -p "$port" --tls=require --tls-certificates="$tmp/good" \
		file "$work/a.gow"
	wait_for_port "$port"
	mkdir "$tmp/empty"
	for rest in tls-certificates= '?tls-certificates=' "?tls-certificates=$tmp/empty" \
		"?tls%2Dcertificates=$tmp/empty" '?x=tls-psk-file=' 'tls-psk-file=x' '?tls-psk-file=' \
		'?tls-verify-peer=false' "?tls-certificates=$tmp/good&tls-certificates=$tmp/empty"; do
		run gow-check "nbds://localhost:$port/$rest"
		assertEquals "$rest" 8 "$status"
	done
	run gow-check "nbds://localhost:$port/?tls-certificates=$tmp/good"
	assertStatus 0
	run gow-check "nbds://localhost:$port/?tls-certificates=$tmp/empty"
	assertErr 'no ca-cert.pem'
	assertNull "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'gow-tls-*' -newer "$tmp/good" 2>/dev/null)"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
