"""Every way to read a file, in processes of their own: a fault by mmap ends its process, a wedged one holds up nobody.

    with Readers() as readers:
        pending = readers.ask("mmap", shown, plain)         # begins at once
        outcome = pending.result(20)                        # TimeoutError: it hangs
        assert outcome.right or outcome.error == "EIO"

Each compares what it reads of `shown`, or of a range of it, with the plain file beside it. One process forks the others, so a
read costs milliseconds; this file is that process's program, too.
"""
import ctypes
import dataclasses
import errno
import itertools
import json
import mmap
import os
import pathlib
import posixpath
import random
import signal
import subprocess
import sys
import threading
import time

from libnfs import RECONNECT_FOREVER, Address, Libnfs

PIECE = 1 << 17
PAGE = mmap.PAGESIZE


class Wrong(Exception):
    """Bytes differ from the plain file's; the argument is where."""


class Span:
    """The range of the plain file that a read is compared with."""

    def __init__(self, plain, off, size):
        with open(plain, "rb") as f:
            self.all = f.read()
        self.off = min(off, len(self.all))
        self.end = len(self.all) if size is None else min(len(self.all), off + size)

    def compare(self, at, got, short_is_wrong=0):
        if got != self.all[at:at + len(got)]:
            same = next(n for n, (a, b) in enumerate(itertools.zip_longest(got, self.all[at:at + len(got)])) if a != b)
            raise Wrong(at + same)
        if len(got) < short_is_wrong:
            raise Wrong(at + len(got))

    def pieces(self, step=PIECE):
        return [(at, min(step, self.end - at)) for at in range(self.off, self.end, step)]


def _pread(fd, span, at, size):
    got = b""
    while len(got) < size and (piece := os.pread(fd, size - len(got), at + len(got))):
        got += piece
    span.compare(at, got, size)


def _some(fd, span, seed):
    pieces = span.pieces(30_011)
    for at, size in random.Random(seed).sample(pieces, min(len(pieces), 40)):
        _pread(fd, span, at, size)


# ---- ways: (path, span) ----

def sequential(path, span):
    """To the end, whatever comes: a digest is known when all of a file was asked for."""
    wrong = None
    with open(path, "rb", buffering=0) as f:
        f.seek(span.off)
        at = span.off
        while at < span.end and (got := f.read(min(PIECE, span.end - at))):
            try:
                span.compare(at, got)
            except Wrong as error:
                wrong = wrong or error
            at += len(got)
        if at < span.end or span.end == len(span.all) and f.read(1):
            raise Wrong(at)
    if wrong:
        raise wrong


def pread(path, span):
    with open(path, "rb", buffering=0) as f:
        pieces = span.pieces(65_521)
        random.Random(1).shuffle(pieces)
        for at, size in pieces:
            _pread(f.fileno(), span, at, size)


def by_mmap(path, span):
    with open(path, "rb", buffering=0) as f:
        if not span.end:
            return
        with mmap.mmap(f.fileno(), span.end, prot=mmap.PROT_READ) as m:
            for at, size in span.pieces(PAGE * 8):
                span.compare(at, m[at:at + size])


def sendfile(path, span):
    with open(path, "rb", buffering=0) as f:
        out, at = os.memfd_create("copy"), span.off
        while at < span.end:
            count = os.sendfile(out, f.fileno(), at, min(1 << 20, span.end - at))
            if not count:
                raise Wrong(at)
            span.compare(at, os.pread(out, count, at - span.off), count)
            at += count


def direct(path, span):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    room, at = mmap.mmap(-1, 1 << 20), span.off // PAGE * PAGE
    while at < span.end:
        count = os.preadv(fd, [room], at)
        span.compare(at, room[:count], min(1 << 20, span.end - at))
        at += count


def readahead(path, span):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb", buffering=0) as f:
        size = span.end - span.off
        libc.readahead(f.fileno(), ctypes.c_long(span.off), ctypes.c_size_t(size))
        os.posix_fadvise(f.fileno(), span.off, size, os.POSIX_FADV_WILLNEED)
        for at, size in span.pieces():
            _pread(f.fileno(), span, at, size)


def _together(calls):
    failed = []

    def run(call):
        try:
            call()
        except (OSError, Wrong) as error:
            failed.append(error)
    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in sorted(failed, key=lambda e: not isinstance(e, Wrong)):
        raise error


def threads_one_handle(path, span):
    with open(path, "rb", buffering=0) as f:
        _together([lambda n=n: _some(f.fileno(), span, n) for n in range(8)])


def threads_own_handles(path, span):
    def one(n):
        with open(path, "rb", buffering=0) as f:
            _some(f.fileno(), span, n)
    _together([lambda n=n: one(n) for n in range(8)])


def verified(path, span):
    """Who gets one byte can be sure of all: their digest was right before."""
    with open(path, "rb", buffering=0) as f:
        for at in (span.end - 1, span.off, span.end // 2):
            _pread(f.fileno(), span, at, 1)
            if os.getxattr(path, "user.matrixfs.sealed") != b"1":
                raise Wrong(at)
        for at, size in span.pieces():
            _pread(f.fileno(), span, at, size)


def forked(path, span):
    """Four processes share a descriptor; the worst of what they see counts."""
    with open(path, "rb", buffering=0) as f:
        pids = []
        for n in range(4):
            if not (pid := os.fork()):
                os._exit(_code(lambda: _some(f.fileno(), span, n)))
            pids.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        if WRONG in codes:
            raise Wrong(-1)
        for code in filter(None, codes):
            raise OSError(code, os.strerror(code))


def stat(path, span):
    if os.stat(path).st_size != len(span.all):
        raise Wrong(-1)


# ---- ways of libnfs: its "path" is PORT:PATH of an export on this machine ----

def _connected(port, until):
    """A client that stays when the server goes, and waits for it to be there."""
    while True:
        try:
            return Libnfs(Address(port), reconnect=RECONNECT_FOREVER)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _by_libnfs(path, read):
    """It follows a link itself, of which libnfs loses the way."""
    port, _, path = path.partition(":")
    with _connected(int(port), time.monotonic() + 20) as nfs:
        if path.startswith("/hub/"):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), nfs.readlink(path)))
        with nfs.open(path) as file:
            read(file)


def _all_of(span, step):
    def read(file):
        for at, size in span.pieces(step):
            span.compare(at, file.read(at, size, step), size)
        if span.end == len(span.all) and file.read(span.end, step, step):
            raise Wrong(span.end)
    return read


def nfs_sequential(path, span):
    _by_libnfs(path, _all_of(span, 1 << 20))


def nfs_small(path, span):
    _by_libnfs(path, _all_of(span, 30_011 if span.end - span.off < 1 << 20 else PIECE))


def nfs_pieces(path, span):
    def read(file):
        pieces = span.pieces(65_521)
        random.Random(1).shuffle(pieces)
        for at, size in pieces:
            span.compare(at, file.read(at, size, 65_521), size)
    _by_libnfs(path, read)


def nfs_clients(path, span):
    """Four of them, each with a connection of its own."""
    _together([lambda way=way: way(path, span) for way in (nfs_sequential, nfs_pieces, nfs_pieces, nfs_small)])


WAYS = {"sequential": sequential, "pread": pread, "mmap": by_mmap, "sendfile": sendfile, "O_DIRECT": direct,
        "readahead": readahead, "8 threads, one handle": threads_one_handle, "8 threads, 8 handles": threads_own_handles,
        "fork": forked, "verified": verified, "stat": stat}
VERIFIED = "verified"
READS = [way for way in WAYS if way not in (VERIFIED, "stat")]
BY_NFS = {"libnfs": nfs_sequential, "libnfs, small reads": nfs_small, "libnfs, pieces": nfs_pieces, "4 clients of libnfs": nfs_clients}
WAYS |= BY_NFS


# ---- the process that forks them ----

WRONG = 255


def _code(call):
    try:
        call()
    except OSError as error:
        return error.errno or errno.EIO
    except Wrong as wrong:
        print(f"differs at {wrong}", file=sys.stderr)
        return WRONG
    return 0


def _run(order):
    """In a process of its own: how the way's process ends is the outcome, a signal included."""
    pid = os.fork()
    if not pid:
        os._exit(_code(lambda: WAYS[order["way"]](order["shown"], Span(order["plain"], order["off"], order["size"]))))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(1, json.dumps({"id": order["id"], "code": code}).encode() + b"\n")


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                _run(json.loads(line))
            finally:
                os._exit(1)


# ---- those who ask ----

@dataclasses.dataclass
class Outcome:
    error: str = None       # name of the errno; "EIO" for a fault by mmap
    wrong: bool = False     # bytes that are not the file's

    @property
    def right(self):
        return not self.error and not self.wrong

    def __str__(self):
        return "wrong bytes" if self.wrong else self.error or "right bytes"

    @classmethod
    def of(cls, code):
        if code == -signal.SIGBUS:
            return cls("EIO")
        if code < 0:
            return cls(signal.Signals(-code).name)
        return cls(wrong=True) if code == WRONG else cls(errno.errorcode[code] if code else None)


class Pending:
    def __init__(self, what):
        self.what, self.done, self.code = what, threading.Event(), None
        self.began, self.seconds = time.monotonic(), None

    def result(self, seconds):
        if not self.done.wait(seconds):
            raise TimeoutError(f"no answer in {seconds} s: {self.what}")
        return Outcome.of(self.code)


class Readers:
    def __init__(self):
        self.pending, self.numbers = {}, itertools.count()
        self.process = subprocess.Popen([sys.executable, "-SE", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            pending = self.pending.pop(answer["id"])
            pending.code, pending.seconds = answer["code"], time.monotonic() - pending.began
            pending.done.set()

    def ask(self, way, shown, plain, off=0, size=None):
        number = next(self.numbers)
        self.pending[number] = pending = Pending(f"{way} of {shown} at {off}, {size}")
        order = {"id": number, "way": way, "shown": str(shown), "plain": str(plain), "off": off, "size": size}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return pending

    def read(self, way, shown, plain, off=0, size=None, seconds=60):
        return self.ask(way, shown, plain, off, size).result(seconds)

    def close(self):
        """Ends those that hang, too."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def plain(directory, name, data):
    """Writes the plain twin of a file; its path."""
    path = pathlib.Path(directory, name)
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    main()
