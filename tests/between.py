"""What stands between somebody and a hub: who changes its answers, a line that counts."""
import http.client
import http.server
import threading
import types

from hubd import free_port
from peers import Relay

HOPS = ("content-length", "transfer-encoding", "connection", "date")


class Between:
    """Changes answers: a hub that gives no plain HTTP, links that are too old, bytes that are wrong.

    change(asked, answer): asked has method, path, headers; answer status, headers (a dict of small letters), body. It may change these."""

    def __init__(self, h, change=lambda asked, answer: None):
        self.seen, self.sent, self.change, between = [], 0, change, self     # sent: bytes of chunks that were brought

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, wbufsize = "HTTP/1.1", 1 << 16

            def do_GET(self):
                asked = types.SimpleNamespace(method=self.command, path=self.path, headers=self.headers)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                between.seen.append(asked)
                between.sent += len(body) if "/v1/xorbs/" in self.path else 0
                there = http.client.HTTPConnection("127.0.0.1", h.port, timeout=30)
                there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for key, value in self.headers.items():
                    there.putheader(key, value)
                there.endheaders(body)
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


class Line:
    """A line to a hub that counts what is sent to it, and carries at most `rate` bytes a second each way (0: what it can)."""

    def __init__(self, port, log, rate=0):
        at, self.relay = f"127.0.0.1:{free_port()}", Relay(log)
        self.relay.pair("hub", at, f"127.0.0.1:{port}", rate, rate, 0)
        self.url = f"http://{at}"

    def sent(self):
        return self.relay.counts()["hub"][0]

    def close(self):
        self.relay.close()
