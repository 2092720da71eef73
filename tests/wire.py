"""HTTP/1.1 for the scripted hub: requests as records, replies sent as their Reply says, right or wrong."""
import dataclasses
import os
import select
import socket
import ssl
import struct
import threading
import time
from urllib.parse import parse_qs

from faults import BEFORE_HEAD

BODY_STEP = 4 << 20


@dataclasses.dataclass
class Request:
    method: str
    target: str                     # path and query, as sent
    headers: dict                   # names in lower case
    on: str                         # "hub" or "cdn"
    base: str                       # scheme and host as the client names them
    body: bytes = b""
    time: float = 0.0
    seconds: float = 0.0
    status: int = 0                 # 0: nothing answered yet
    bytes_sent: int = 0             # of the body
    fault: str = None               # kinds that hit, joined by commas
    sending: bool = False

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return self.target.partition("?")[2]

    @property
    def args(self):
        return parse_qs(self.query, keep_blank_values=True)

    @property
    def range(self):
        return self.headers.get("range")

    @property
    def user_agent(self):
        return self.headers.get("user-agent", "")

    @property
    def has_auth(self):
        return "authorization" in self.headers

    def arg(self, name, default=None):
        return self.args.get(name, [default])[0]

    def flag(self, name):
        return self.arg(name, "").lower() in ("true", "1")

    def record(self):
        names = ("on", "method", "path", "query", "range", "status", "bytes_sent", "user_agent", "has_auth", "time", "seconds", "fault")
        return {n: getattr(self, n) for n in names}


class Server:
    """HTTP/1.1 with keep-alive, a thread for each connection; answer(request) gives the Reply."""

    def __init__(self, name, host, port, answer, done, tls=None):
        self.name, self.host, self.port, self.answer, self.done = name, host, port, answer, done
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.latency, self.rate = 0.0, None
        self.listener, self.connections, self.lock = None, set(), threading.Lock()
        self.up()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def up(self):
        if self.listener:
            return
        self.listener = socket.create_server((self.host, self.port), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, args=(self.listener,), daemon=True)
        self.acceptor.start()

    def down(self):
        """Closes the port and every connection."""
        if not self.listener:
            return
        listener, self.listener = self.listener, None
        listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        listener.close()
        with self.lock:
            for conn in self.connections:
                _shut(conn)

    def _accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.add(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        plain = conn
        try:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
                with self.lock:
                    self.connections ^= {plain, conn}
            with conn.makefile("rb", 1 << 16) as stream:
                while self.listener and (request := self._read(stream)):
                    if not self._respond(conn, request):
                        break
        except OSError:
            pass
        finally:
            with self.lock:
                self.connections -= {plain, conn}
            _shut(conn)
            conn.close()

    def _read(self, stream):
        line = stream.readline(1 << 16)
        if not line.strip():
            return None
        method, _, rest = line.decode("latin-1").rstrip("\r\n").partition(" ")
        target, _, version = rest.rpartition(" ")
        headers = {}
        while (line := stream.readline(1 << 16)).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if version == "HTTP/1.0":
            headers.setdefault("connection", "close")
        scheme = headers.get("x-forwarded-proto", "https" if self.tls else "http")
        host = headers.get("x-forwarded-host", headers.get("host", f"{self.host}:{self.port}"))
        body = stream.read(int(headers.get("content-length", 0)))
        return Request(method, target, headers, self.name, f"{scheme}://{host}", body, time.time())

    def _respond(self, conn, request):
        """Sends the answer; True when the connection can take another request."""
        begun = time.monotonic()
        request.sending = True
        try:
            reply = self.answer(request)
            time.sleep(reply.delay + (self.latency if reply.latency else 0))
            return self._send(conn, request, reply) and request.headers.get("connection", "").lower() != "close"
        except OSError:
            if not self.listener:
                request.fault = ",".join(filter(None, (request.fault, "down")))
            raise
        finally:
            request.seconds = time.monotonic() - begun
            request.sending = False
            self.done(request)

    def _send(self, conn, request, reply):
        body = b"" if reply.blob else reply.text()
        size = reply.size + len(reply.tail)
        claimed = reply.size if reply.length is None else reply.length
        stops = sorted(reply.stops, key=lambda s: s[0])
        while stops and stops[0][0] == BEFORE_HEAD:
            if not self._stop(conn, request, *stops.pop(0)[1:]):
                return False
        request.status = reply.status
        head = reply.raw_head or self._head(reply, claimed)
        if reply.head_seconds:
            for n in range(len(head)):
                conn.sendall(head[n:n + 1])
                time.sleep(reply.head_seconds / len(head))
        elif request.method == "HEAD" or not size or reply.raw_head:
            conn.sendall(head)
        elif not reply.blob and not reply.rate and not stops and not reply.flips and not reply.tail and reply.framing == "length":
            conn.sendall(head + body)
            request.bytes_sent = size
            return size == claimed
        else:
            conn.sendall(head, socket.MSG_MORE if not self.tls else 0)
        if request.method == "HEAD":
            return True
        at = 0
        for until, how, gate in stops:
            self._body(conn, request, reply, body, at, until)
            at = until
            if not self._stop(conn, request, how, gate):
                return False
        self._body(conn, request, reply, body, at, reply.size)
        if reply.tail:
            conn.sendall(reply.tail)
            request.bytes_sent += len(reply.tail)
        if reply.framing == "chunked":
            conn.sendall(b"0\r\n\r\n")
        return reply.framing == "chunked" or (reply.framing == "length" and size == claimed)

    def _head(self, reply, claimed):
        lines = [f"HTTP/1.1 {reply.status} {_reason(reply.status)}"]
        if reply.framing == "length" and reply.status not in (204, 304):
            lines.append(f"Content-Length: {claimed}")
        elif reply.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append("Connection: close")
        lines += [f"{n}: {v}" for n, v in reply.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _body(self, conn, request, reply, body, at, until):
        """Sends body[at:until]: by sendfile when nobody has to touch the bytes."""
        rate = min(filter(None, (reply.rate, self.rate)), default=None)
        step = max(1, min(BODY_STEP, rate // 20)) if rate else BODY_STEP
        whole = reply.blob and reply.blob.file and not (self.tls or reply.flips or reply.framing == "chunked")
        source = open(reply.blob.file, "rb", buffering=0) if reply.blob and reply.blob.file else None
        view = memoryview(body if not reply.blob else reply.blob.bytes or b"")
        try:
            while at < until:
                count = min(step, until - at)
                if whole:
                    count = os.sendfile(conn.fileno(), source.fileno(), reply.start + at, count)
                    if not count:
                        raise OSError("the file shrank")
                else:
                    begin = at + (reply.start if reply.blob else 0)
                    piece = os.pread(source.fileno(), count, begin) if source else view[begin:begin + count]
                    piece = _flip(piece, reply.file_start + at, reply.flips)
                    if reply.framing == "chunked":
                        piece = b"%x\r\n%b\r\n" % (count, piece)
                    conn.sendall(piece)
                at += count
                request.bytes_sent += count
                if rate:
                    time.sleep(count / rate)
        finally:
            if source:
                source.close()

    def _stop(self, conn, request, how, gate):
        """Hangs, closes or resets; True when the answer may go on."""
        if how == "hang":
            request.sending = False
            while not gate.wait(0.05):
                if self.listener is None or (select.select([conn], [], [], 0)[0] and not self.tls
                                             and not conn.recv(1, socket.MSG_PEEK)):
                    return False
            return True
        if how == "reset":
            time.sleep(0.02)        # what was sent arrives first
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with self.lock:
                self.connections.discard(conn)
            os.close(conn.detach())  # the reader's makefile would keep it open
        return False


def _shut(conn):
    try:
        conn.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _flip(piece, at, flips):
    for offset, xor, count in flips:
        first, last = max(offset, at), min(offset + count, at + len(piece))
        if first < last:
            piece = bytearray(piece)
            for n in range(first - at, last - at):
                piece[n] ^= xor
    return piece


def _reason(code):
    return {200: "OK", 206: "Partial Content", 302: "Found", 307: "Temporary Redirect", 404: "Not Found"}.get(code, "Status")
