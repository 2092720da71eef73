"""Answers of the scripted hub, and the ways they go wrong.

A Reply says what is sent and how it travels. A fault kind is a function that changes a Reply before it is sent;
it returns False when it has no meaning for that answer (nothing is counted then). KINDS lists them.
"""
import gzip as gzip_module
import inspect
import json
import re
import threading

BEFORE_HEAD = -1


class Reply:
    def __init__(self, status=200, headers=None, body=b"", data=None, blob=None, span=None):
        self.status, self.headers = status, dict(headers or {})
        self.body = body            # bytes, unless `data` or `blob` is set
        self.data = data            # a value still to be written out as JSON
        self.blob = blob            # bytes of a file: blob[start:end]
        self.start, self.end = span or (0, blob.size if blob else 0)
        self.file_start = self.start   # where in the file the first body byte lies
        # how it travels
        self.latency = True         # False: not delayed by Hub.latency
        self.length = None          # Content-Length to claim, None = the truth
        self.framing = "length"     # "chunked", or "close": the end of the connection ends the body
        self.rate = None            # bytes a second
        self.delay = 0.0            # seconds before the head
        self.head_seconds = 0.0     # the head dribbles for so long
        self.raw_head = None        # sent in place of the head
        self.stops = []             # (after body bytes, "hang" | "close" | "reset", gate)
        self.flips = []             # (position in the file, xor, count)
        self.tail = b""             # sent after the body

    def text(self):
        """The body as bytes, JSON written out; file bodies are read into memory."""
        if self.data is not None:
            self.body = json.dumps(self.data, ensure_ascii=False).encode("utf-8", "surrogateescape")
            self.headers.setdefault("Content-Type", "application/json; charset=utf-8")
            self.data = None
        if self.blob:
            self.body, self.blob = self.blob.read(self.start, self.end), None
        return self.body

    @property
    def size(self):
        return self.end - self.start if self.blob else len(self.text())

    def become(self, status, body, content_type, headers=None):
        """Another answer altogether: what was known about the file is gone."""
        kept = {k: v for k, v in self.headers.items() if k == "X-Request-Id"}
        self.status, self.headers = status, kept | {"Content-Type": content_type} | (headers or {})
        self.body, self.data, self.blob = body, None, None

    def has_body(self, request):
        return request.method != "HEAD" and not 300 <= self.status < 400 and self.size > 0


# ---- kinds: (reply, request, fault, *, arguments) ----

def status(reply, request, fault, *, code=503, headers=None, retry_after=None, message="", error_code=None):
    more = dict(headers or {})
    if retry_after is not None:
        more["Retry-After"] = str(retry_after)
    if error_code:
        more["X-Error-Code"] = error_code
    if message:
        more["X-Error-Message"] = message
    reply.become(code, json.dumps({"error": message or f"status {code}"}).encode(), "application/json", more)


def hang(reply, request, fault):
    reply.stops.append((BEFORE_HEAD, "hang", fault.released))


def hang_body(reply, request, fault, *, after_bytes=0):
    return _stop(reply, request, after_bytes, "hang", fault.released)


def cut_body(reply, request, fault, *, after_bytes=0):
    return _stop(reply, request, after_bytes, "close")


def reset(reply, request, fault, *, after_bytes=None):
    if after_bytes is None:
        reply.stops.append((BEFORE_HEAD, "reset", None))
        return True
    return _stop(reply, request, after_bytes, "reset")


def drop(reply, request, fault):
    """The connection closes without an answer."""
    reply.stops.append((BEFORE_HEAD, "close", None))


def _stop(reply, request, after_bytes, how, gate=None):
    if not reply.has_body(request) or after_bytes >= reply.size:
        return False
    reply.stops.append((after_bytes, how, gate))
    return True


def delay(reply, request, fault, *, seconds=1.0):
    reply.delay += seconds


def slow(reply, request, fault, *, rate=65536):
    if not reply.has_body(request):
        return False
    reply.rate = rate


def slow_headers(reply, request, fault, *, seconds=1.0):
    reply.head_seconds = seconds


def garbage(reply, request, fault, *, raw=b"\x16\x03\x01 not HTTP\r\n\r\n"):
    reply.raw_head = raw
    reply.stops.append((0, "close", None))


def huge_header(reply, request, fault, *, size=1 << 20):
    reply.headers["X-Huge"] = "x" * size


def html(reply, request, fault, *, code=200, page=b"<!DOCTYPE html><html><body>Please log in to the network.</body></html>"):
    reply.become(code, page, "text/html; charset=utf-8")


def truncated_json(reply, request, fault, *, keep=0.5):
    if reply.data is None:
        return False
    text = reply.text()
    reply.body = text[:int(len(text) * keep)]


def bad_json(reply, request, fault, *, text="{"):
    reply.become(200, text if isinstance(text, bytes) else text.encode(), "application/json; charset=utf-8")


def wrong_bytes(reply, request, fault, *, offset=None, xor=0xFF, count=1):
    """Flips `count` bytes from `offset` in the file; without offset, the first ones of each body."""
    if not reply.has_body(request):
        return False
    at = reply.file_start if offset is None else offset
    if at + count <= reply.file_start or at >= reply.file_start + reply.size:
        return False
    reply.flips.append((at, xor, count))


def wrong_etag(reply, request, fault, *, value="0" * 64):
    names = [n for n in ("ETag", "X-Linked-Etag") if n in reply.headers]
    for name in names:
        reply.headers[name] = f'"{value}"'
    return bool(names)


def etag_changes(reply, request, fault):
    """Each answer names another version."""
    return wrong_etag(reply, request, fault, value=f"{fault.hits + 1:064x}")


def ignore_range(reply, request, fault):
    if reply.status != 206:
        return False
    reply.status, reply.start, reply.end, reply.file_start = 200, 0, reply.blob.size, 0
    del reply.headers["Content-Range"]


def wrong_content_range(reply, request, fault, *, shift=0, total=0, text=None):
    """Adds `shift` to both ends and `total` to the size, or sends `text`; the body stays."""
    if "Content-Range" not in reply.headers or reply.status != 206:
        return False
    first, last, size = map(int, re.findall(r"\d+", reply.headers["Content-Range"]))
    reply.headers["Content-Range"] = text or f"bytes {first + shift}-{last + shift}/{size + total}"


def size_lies(reply, request, fault, *, delta=1):
    """The size is wrong by delta in tree, paths-info, siblings and in the headers of a file."""
    if isinstance(reply.data, (list, dict)):
        items = reply.data if isinstance(reply.data, list) else reply.data.get("siblings", [])
        files = [i for i in items if i.get("type", "file") == "file" and "size" in i]
        for item in files:
            item["size"] += delta
            if "lfs" in item:
                item["lfs"] = item["lfs"] | {"size": item["size"]}
        return bool(files)
    if "X-Linked-Size" in reply.headers:
        reply.headers["X-Linked-Size"] = str(int(reply.headers["X-Linked-Size"]) + delta)
    if reply.status == 206:
        return wrong_content_range(reply, request, fault, total=delta) is not False
    if reply.status == 200 and reply.blob:
        reply.length = reply.size + delta
        if request.method != "HEAD":
            reply.end = min(reply.end, reply.start + reply.length)
        return True
    return "X-Linked-Size" in reply.headers


def gzip(reply, request, fault):
    if not reply.has_body(request):
        return False
    reply.body = gzip_module.compress(reply.text(), 1, mtime=0)
    reply.headers["Content-Encoding"] = "gzip"


def redirect_loop(reply, request, fault, *, code=302):
    return redirect_to(reply, request, fault, url="{target}", code=code)


def redirect_to(reply, request, fault, *, url, code=302):
    """Location: url, where {target} stands for the path and query asked; headers about the file stay."""
    kept = {k: v for k, v in reply.headers.items() if k.startswith("X-") or k == "ETag"}
    reply.become(code, b"", "text/plain", kept | {"Location": url.replace("{target}", request.target)})


def no_content_length(reply, request, fault, *, how="chunked"):
    reply.framing = how             # or "close"


def empty_body(reply, request, fault):
    if not reply.has_body(request):
        return False
    reply.text()
    reply.body = b""


def extra_bytes(reply, request, fault, *, count=16, claimed=True):
    """More bytes than asked for: claimed by Content-Length, or sent after it."""
    if not reply.has_body(request):
        return False
    reply.tail = b"\xee" * count
    if claimed:
        reply.length = reply.size + count


def tree_paths(reply, request, fault, *, paths, alone=False):
    """Adds hostile entries to a tree page (or to siblings); alone: nothing else is left.

    A path is str, bytes (sent raw, whatever they are) or a dict laid over the entry.
    """
    if isinstance(reply.data, list):
        listing, name = reply.data, "path"
    elif isinstance(reply.data, dict) and "siblings" in reply.data:
        listing, name = reply.data["siblings"], "rfilename"
    else:
        return False
    if alone:
        listing.clear()
    for path in paths:
        entry = {"type": "file", "oid": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "size": 0} if name == "path" else {}
        if isinstance(path, dict):
            entry |= path
        else:
            entry[name] = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
        listing.append(entry)


def link_loop(reply, request, fault):
    """The next page is this page."""
    if not isinstance(reply.data, list):
        return False
    reply.headers["Link"] = f'<{request.base}{request.target}>; rel="next"'


def huge_page(reply, request, fault, *, items=200_000):
    return tree_paths(reply, request, fault, paths=[f"many/{i:08d}.txt" for i in range(items)])


KINDS = {f.__name__: f for f in (
    status, hang, hang_body, cut_body, reset, drop, delay, slow, slow_headers, garbage, huge_header, html,
    truncated_json, bad_json, wrong_bytes, wrong_etag, etag_changes, ignore_range, wrong_content_range, size_lies,
    gzip, redirect_loop, redirect_to, no_content_length, empty_body, extra_bytes, tree_paths, link_loop, huge_page)}

# For tree_paths: what no tree may hold.
HOSTILE = {
    "dotdot": ["../x"], "dotdot_inside": ["a/../../x"], "dotdot_alone": [".."], "absolute": ["/abs"], "empty": [""],
    "double_slash": ["a//b"], "dot_inside": ["a/./b"], "dot_alone": ["."], "slash_end": ["a/"], "nul": ["a\0b"],
    "long_name": ["x" * 5000], "long_path": ["/".join(["d" * 200] * 30)], "not_utf8": [b"a\xff\xfeb"],
    "surrogate": [b"a\xed\xa0\x80b"], "twice": ["twice.txt", "twice.txt"],
    "file_and_directory": ["both", {"type": "directory", "path": "both"}], "file_and_parent": ["both", "both/inside"],
    "no_path": [{"path": None}], "number": [{"path": 7}], "negative_size": [{"path": "neg", "size": -1}],
    "huge_size": [{"path": "huge", "size": 1 << 70}], "unknown_type": [{"path": "odd", "type": "socket"}],
}


class Fault:
    """A fault that waits for its requests. `with hub.fault(...)` ends it; release() lets what hangs go on."""

    def __init__(self, match, kind, times, after, ua, on, args):
        if kind not in KINDS:
            raise ValueError(f"no fault kind {kind!r}: {', '.join(sorted(KINDS))}")
        inspect.signature(KINDS[kind]).bind(None, None, None, **args)
        self.match, self.kind, self.times, self.after, self.ua, self.on, self.args = match, kind, times, after, ua, on, args
        self.seen = self.hits = 0
        self.active, self.released, self.lock = True, threading.Event(), threading.Lock()

    def apply(self, request, reply):
        if not (self.active and re.search(self.match, f"{request.method} {request.path}")
                and (self.ua is None or re.search(self.ua, request.user_agent))
                and self.on in (None, request.on)):
            return False
        with self.lock:
            if self.times is not None and self.hits >= self.times:
                return False
            if self.seen < self.after:
                self.seen += 1
                return False
            if KINDS[self.kind](reply, request, self, **self.args) is False:
                return False
            self.hits += 1
            return True

    def release(self):
        self.released.set()

    def off(self):
        self.active = False
        self.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.off()
