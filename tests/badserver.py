# A web server that misbehaves: python3 badserver.py PORT FILE LOG
#
# The first part of a path says how, the rest is for show: /close/a.gow serves FILE over connections
# that break. It writes a line for every request to LOG. A proxy's request (a whole URL) is
# answered as well.
import base64
import http.server
import sys
import threading
import time

with open(sys.argv[2], "rb") as file:
    DATA = file.read()
LOG = open(sys.argv[3], "a", buffering=1)
LOCK = threading.Lock()
COUNTS = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def range(self):
        text = self.headers.get("Range", "")
        if not text.startswith("bytes="):
            return 0, len(DATA) - 1
        first, last = text[6:].split("-")
        return int(first), min(int(last), len(DATA) - 1)

    def fail(self, status, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    def do_GET(self):
        path = self.path
        if path.startswith("http://"):
            path = "/proxied/" + path
        mode = path.split("/")[1]
        with LOCK:
            COUNTS[mode] = count = COUNTS.get(mode, 0) + 1
            LOG.write(f"{mode} {self.headers.get('Range')} {self.headers.get('If-Range')}\n")
        first, last = self.range()
        getattr(self, "do_" + mode, self.do_ok)(count, first, last)

    def answer(self, first, last, total=None, etag='"one"', modified=None, start=None, claim=None,
               part=None, stop=None, hang=None):
        part = DATA[first:last + 1] if part is None else part
        self.send_response(206)
        if etag:
            self.send_header("ETag", etag)
        if modified:
            self.send_header("Last-Modified", modified)
        start = first if start is None else start
        total = len(DATA) if total is None else total
        self.send_header("Content-Range", f"bytes {start}-{start + last - first}/{total}")
        self.send_header("Content-Length", str(len(part) if claim is None else claim))
        self.end_headers()
        if stop is None:
            self.wfile.write(part)
            return
        self.wfile.write(part[:stop])
        self.wfile.flush()
        if hang:
            time.sleep(hang)
        self.hang_up()

    def do_ok(self, count, first, last):
        self.answer(first, last)

    def do_delay(self, count, first, last):
        time.sleep(0.03)
        self.answer(first, last)

    def do_silent(self, count, first, last):
        if count > 1:
            time.sleep(100)
        self.answer(first, last)

    # The map comes, and the data does not.
    def do_dataless(self, count, first, last):
        if first > 8 << 20:
            time.sleep(100)
        self.answer(first, last)

    # The end of the data does not come.
    def do_hollow(self, count, first, last):
        if last >= 16 << 20:
            self.hang_up()
        else:
            self.answer(first, last)

    # The same, said in words.
    def do_broken(self, count, first, last):
        if last >= 16 << 20:
            self.fail(500)
        else:
            self.answer(first, last)

    # The data break off at a place, and nothing behind it comes.
    def do_torn(self, count, first, last):
        if last < 16 << 20:
            self.answer(first, last)
        elif first < 16 << 20:
            self.answer(first, last, stop=(16 << 20) - first)
        else:
            self.hang_up()

    # Answers break off, and in the middle of the data they are of another object.
    def do_turncoat(self, count, first, last):
        self.answer(first, last, etag='"one"' if first < 12 << 20 else '"two"', stop=2 << 20)

    def do_stall(self, count, first, last):
        if count == 3:
            self.answer(first, last, stop=5000, hang=100)
        else:
            self.answer(first, last)

    def do_deaf(self, count, first, last):
        time.sleep(100)

    def do_close(self, count, first, last):
        self.answer(first, last, stop=100000)

    # All of it arrives, and not the end of the last chunk.
    def do_noend(self, count, first, last):
        part = DATA[first:last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(DATA)}")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.flush()
        self.hang_up()

    # A part of what was asked for, which a server may answer.
    def do_parts(self, count, first, last):
        self.answer(first, min(last, first + 20000))

    def do_reset(self, count, first, last):
        self.hang_up()

    def do_resetmore(self, count, first, last):
        if count > 2:
            self.hang_up()
        else:
            self.answer(first, last)

    def do_short(self, count, first, last):
        self.answer(first, last, part=DATA[first:max(first + 1, last - 999)])

    def do_more(self, count, first, last):
        self.answer(first, last, part=DATA[first:last + 1] + b"more")

    def do_otherpart(self, count, first, last):
        self.answer(first, last, start=first + 512 if first else 0)

    def do_norange(self, count, first, last):
        part = DATA[first:last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def do_star(self, count, first, last):
        self.answer(first, last, total="*")

    def do_huge(self, count, first, last):
        self.answer(first, last, total=2 ** 64 - 1)

    def do_empty(self, count, first, last):
        self.fail(416, ("Content-Range", "bytes */0"))

    def do_emptyfile(self, count, first, last):
        self.fail(200)

    def do_packed(self, count, first, last):
        if self.headers.get("Accept-Encoding") == "identity":
            self.answer(first, last)
        else:
            self.do_whole(count, first, last)

    def do_proxied(self, count, first, last):
        want = "Basic " + base64.b64encode(b"guest:hunter2").decode()
        if "closed" in self.path and self.headers.get("Proxy-Authorization") != want:
            self.fail(407, ("Proxy-Authenticate", 'Basic realm="x"'))
        else:
            self.answer(first, last)

    def do_CONNECT(self):
        self.fail(407, ("Proxy-Authenticate", 'Basic realm="x"'))

    def do_grows(self, count, first, last):
        self.answer(first, last, total=len(DATA) + 512 * count)

    def do_claims(self, count, first, last):
        if first >= len(DATA):
            self.fail(416, ("Content-Range", f"bytes */{len(DATA)}"))
            return
        self.answer(first, last, total=2 * len(DATA))

    def do_etag(self, count, first, last):
        self.answer(first, last, etag='"one"' if count < 4 else '"two"')

    def do_restless(self, count, first, last):
        self.answer(first, last, etag=f'"{count // 7}"')

    def do_modified(self, count, first, last):
        self.answer(first, last, etag=None,
                    modified=f"Thu, 26 Nov 2026 10:00:{10 if count < 4 else 11} GMT")

    def do_honest(self, count, first, last):
        etag = '"one"' if count < 4 else '"two"'
        if self.headers.get("If-Range", etag) != etag:
            self.do_whole(count, first, last)
        else:
            self.answer(first, last, etag=etag)

    def do_longtag(self, count, first, last):
        etag = '"' + "x" * 600 + '"'
        if self.headers.get("If-Range", etag) != etag:
            self.do_whole(count, first, last)
        else:
            self.answer(first, last, etag=etag)

    def do_gone(self, count, first, last):
        if count < 4:
            self.answer(first, last)
        else:
            self.fail(404)

    def do_anonymous(self, count, first, last):
        self.answer(first, last, etag=None)

    def do_weak(self, count, first, last):
        self.answer(first, last, etag='W/"one"')

    def do_whole(self, count, first, last):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def do_flaky(self, count, first, last):
        if count % 3 == 2:
            self.fail(503 if count % 2 else 500)
        else:
            self.answer(first, last)

    def do_redirect(self, count, first, last):
        self.fail(302, ("Location", "/ok/" + self.path.split("/")[2]))

    def do_nowhere(self, count, first, last):
        self.fail(302, ("Location", "http://me:secret@\x1b[31m.invalid/x"))

    def do_loop(self, count, first, last):
        self.fail(302, ("Location", self.path))

    def do_tofile(self, count, first, last):
        self.fail(302, ("Location", "file:///etc/passwd"))

    def do_auth(self, count, first, last):
        want = "Basic " + base64.b64encode(b"guest:hunter2").decode()
        if self.headers.get("Authorization") == want:
            self.answer(first, last)
        else:
            self.fail(401, ("WWW-Authenticate", 'Basic realm="x"'))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
