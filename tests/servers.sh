# shellcheck shell=sh disable=SC2034,SC2154 # variables are set by functions.sh, and used by suites
# Servers for a test, on ports that nobody uses. To be sourced after functions.sh.

# A wrapper of the same name may take seconds to start.
python=/usr/bin/python3
[ -x $python ] || python=python3

# free_port: prints a port of the loopback that nobody uses now.
free_port() {
	"$python" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_for_port() {
	"$python" - "$1" <<'END'
import socket, sys, time
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.05)
END
}

# start_server COMMAND...: runs it in the background until the test is over.
start_server() {
	"$@" >/dev/null 2>&1 &
	at_end "kill $! 2>/dev/null; wait $! 2>/dev/null; true"
}

# serve_nginx DIRECTORY [LINE...]: $url; the lines go into its server block. $tmp/ng/log has a line for
# each request.
serve_nginx() {
	root=$1
	shift
	port=$(free_port)
	mkdir -p "$tmp/ng"
	{
		echo "daemon off; worker_processes 1; pid $tmp/ng/pid; error_log $tmp/ng/err;"
		[ "$(id -u)" -ne 0 ] || echo 'user root;'
		echo "events { } http { access_log $tmp/ng/log;"
		for kind in client_body proxy fastcgi uwsgi scgi; do
			echo "${kind}_temp_path $tmp/ng/$kind;"
		done
		echo "server { listen 127.0.0.1:$port ${tls:+ssl}; root $root;"
		printf '%s\n' "$@"
		echo '} }'
	} >"$tmp/ng/conf"
	start_server nginx -e "$tmp/ng/err" -c "$tmp/ng/conf"
	url=http://127.0.0.1:$port
	wait_for_port "$port"
}

# served_bytes, served_requests: what nginx has sent since it was started, or forget_served.
served_bytes() {
	awk '{ sum += $10 } END { printf "%d\n", sum }' "$tmp/ng/log"
}

served_requests() {
	wc -l <"$tmp/ng/log"
}

forget_served() {
	: >"$tmp/ng/log"
}

# serve_nbd ARG...: nbdkit on a socket; $uri.
serve_nbd() {
	rm -f "$tmp/s"
	start_server nbdkit -f -U "$tmp/s" "$@"
	uri="nbd+unix:///?socket=$tmp/s"
	for _ in $(seq 600); do
		[ ! -S "$tmp/s" ] || break
		sleep 0.1
	done
}

# serve_by_script FILE BEFORE [ARG...]: nbdkit serves FILE, and runs the shell code BEFORE, which may
# refuse it, before each read: of $3 bytes at $4; $uri.
serve_by_script() {
	file=$1
	# shellcheck disable=SC2016 # nbdkit expands them
	pread=$2'
		dd if="$file" iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none'
	shift 2
	# shellcheck disable=SC2016 # the same
	file=$file serve_nbd eval get_size='stat -Lc %s "$file"' thread_model='echo parallel' \
		pread="$pread" "$@"
}

# serve_badly FILE: a web server that misbehaves as the path says (badserver.py); $url, and $log
# with a line for each request.
serve_badly() {
	port=$(free_port)
	log=$tmp/requests
	: >"$log"
	start_server "$python" "$TESTS/badserver.py" "$port" "$1" "$log"
	url=http://127.0.0.1:$port
	wait_for_port "$port"
}

# make_certificates DIRECTORY [DAYS [HOST]]: an authority (ca-cert.pem) and a server's certificate of it
# (server-cert.pem, server-key.pem) for localhost, or that host; DAYS may be negative: it has expired.
make_certificates() {
	mkdir -p "$1"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority \
		-keyout "$1/ca-key.pem" -out "$1/ca-cert.pem" 2>/dev/null
	openssl req -newkey rsa:2048 -nodes -subj "/CN=${3:-localhost}" -keyout "$1/server-key.pem" \
		-out "$1/request" 2>/dev/null
	echo "subjectAltName=DNS:${3:-localhost,IP:127.0.0.1}" >"$1/names"
	openssl x509 -req -in "$1/request" -CA "$1/ca-cert.pem" -CAkey "$1/ca-key.pem" \
		-CAcreateserial -days "${2:-2}" -extfile "$1/names" -out "$1/server-cert.pem" 2>/dev/null
}
