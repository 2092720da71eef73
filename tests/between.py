"""Who stands between somebody and a hub: changes what that answers, or counts."""
import contextlib
import http.client
import http.server
import socket
import threading
import types

HOPS = ("content-length", "transfer-encoding", "connection", "date")


class Between:
    """Changes answers: a hub that gives no plain HTTP, links that are too old, bytes that are wrong.

    change(asked, answer): asked has method, path, headers; answer status, headers (a dict of small letters), body. It may change these."""

    def __init__(self, h, change=lambda asked, answer: None):
        self.seen, self.change, between = [], change, self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, wbufsize = "HTTP/1.1", 1 << 16

            def do_GET(self):
                asked = types.SimpleNamespace(method=self.command, path=self.path, headers=self.headers)
                between.seen.append(asked)
                there = http.client.HTTPConnection("127.0.0.1", h.port, timeout=30)
                there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for key, value in self.headers.items():
                    there.putheader(key, value)
                there.endheaders(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                got = there.getresponse()
                answer = types.SimpleNamespace(status=got.status, headers={k.lower(): v for k, v in got.getheaders()}, body=got.read())
                there.close()
                between.change(asked, answer)
                self.send_response(answer.status)
                length = answer.headers.pop("content-length", None)
                for key, value in answer.headers.items():
                    if key not in HOPS:
                        self.send_header(key, value)
                self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_HEAD = do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass                                    # who asked has left

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self, part):
        return [a for a in self.seen if part in a.path]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Relay:
    """Stands between somebody and a hub, and counts the bytes that are sent to it."""

    def __init__(self, h):
        self.sent, self.hub = 0, h
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                here = self.listener.accept()[0]
                there = socket.create_connection(("127.0.0.1", self.hub.port))
                threading.Thread(target=self._pump, args=(here, there, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(there, here, False), daemon=True).start()

    def _pump(self, one, other, counts):
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                self.sent += counts * len(data)
                other.sendall(data)
        for end in one, other:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.listener.close()
