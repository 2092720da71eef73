"""NFSv3, MOUNT v3 and the portmapper over ONC RPC on TCP, as RFC 1813, 5531 and 1833 write them; and exports for tests.

    with Export(tmp_path, hub) as export, export.client() as nfs:
        root = nfs.mount("/").handle
        assert nfs.getattr(root).attr.type == DIR
        nfs.send(nfs.call(NFS, 3, 6, fh(root) + u64(0) + u32(10)))       # or by hand, and any bytes there are
        reply = nfs.reply()

Each answer is taken apart to its last byte: what is left over, or missing, is an AssertionError.
"""
import itertools
import os
import re
import socket
import struct
import types

from mountlib import DEADLINE, Mount

PORTMAP, NFS, MOUNT = 100000, 100003, 100005
AUTH_NONE, AUTH_SYS = 0, 1
REG, DIR, LNK = 1, 2, 5
OK, PERM, NOENT, IO, ACCES, EXIST, NOTDIR, ISDIR, INVAL, FBIG, ROFS = 0, 1, 2, 5, 13, 17, 20, 21, 22, 27, 30
NAMETOOLONG, NOTEMPTY, STALE, BADHANDLE, NOT_SYNC, BAD_COOKIE, NOTSUPP, TOOSMALL = 63, 66, 70, 10001, 10002, 10003, 10004, 10005
SUCCESS, PROG_UNAVAIL, PROG_MISMATCH, PROC_UNAVAIL, GARBAGE_ARGS = range(5)
RPC_MISMATCH, AUTH_ERROR = 0, 1
LAST = 1 << 31
BYTES_MOST = 4 << 20        # of an answer


# ---- XDR ----

def u32(*values):
    return b"".join(struct.pack(">I", value) for value in values)


def u64(*values):
    return b"".join(struct.pack(">Q", value) for value in values)


def opaque(data, length=None):
    """Bytes with their length, which may be a lie, and padding."""
    data = os.fsencode(data)
    return u32(len(data) if length is None else length) + data + bytes(-len(data) % 4)


fh = opaque


def sattr(mode=None, size=None, times=0, time=None, gid=None):
    """A sattr3; times: 0 leaves them, 1 sets the server's; with time, these seconds."""
    whose = u32(0) + (u32(0) if gid is None else u32(1, gid))
    when = u32(times, times) if time is None else b"".join(u32(2, seconds, 0) for seconds in time)
    return (u32(0) if mode is None else u32(1, mode)) + whose + (u32(0) if size is None else u32(1) + u64(size)) + when


class Xdr:
    def __init__(self, data):
        self.data, self.at = data, 0

    def fixed(self, count):
        assert self.at + count <= len(self.data), f"{count} bytes due at {self.at} of {len(self.data)}"
        self.at += count
        return self.data[self.at - count:self.at]

    def u32(self):
        return struct.unpack(">I", self.fixed(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.fixed(8))[0]

    def bool(self):
        value = self.u32()
        assert value in (0, 1), value
        return bool(value)

    def opaque(self, most=BYTES_MOST):
        count = self.u32()
        assert count <= most, f"{count} bytes where {most} may be"
        data = self.fixed(count)
        assert self.fixed(-count % 4) == bytes(-count % 4), "padding that is not zero"
        return data

    def time(self):
        seconds, nanoseconds = self.u32(), self.u32()
        assert nanoseconds < 10**9
        return seconds, nanoseconds

    def maybe(self, read):
        return read() if self.bool() else None

    def list(self, read):
        found = []
        while self.bool():
            found.append(read())
        return found

    def end(self):
        assert self.at == len(self.data), f"{len(self.data) - self.at} bytes left over"

    # -- what NFS is made of --

    def attr(self):
        a = types.SimpleNamespace(type=self.u32(), mode=self.u32(), nlink=self.u32(), uid=self.u32(), gid=self.u32(),
                                  size=self.u64(), used=self.u64(), rdev=(self.u32(), self.u32()), fsid=self.u64(),
                                  fileid=self.u64(), atime=self.time(), mtime=self.time(), ctime=self.time())
        assert a.type in range(1, 8) and a.mode <= 0o7777 and a.nlink
        return a

    def post_attr(self):
        return self.maybe(self.attr)

    def handle(self):
        data = self.opaque(64)
        assert data
        return data

    def post_handle(self):
        return self.maybe(self.handle)

    def wcc(self):
        before = self.maybe(lambda: types.SimpleNamespace(size=self.u64(), mtime=self.time(), ctime=self.time()))
        return types.SimpleNamespace(before=before, after=self.post_attr())

    def entry(self):
        return types.SimpleNamespace(fileid=self.u64(), name=self.opaque(255), cookie=self.u64())

    def entry_plus(self):
        e = self.entry()
        e.attr, e.handle = self.post_attr(), self.post_handle()
        return e


def _fields(x, names):
    """{"count": value, …} from "count:u32 eof:bool"; a bare name is post_attr."""
    pairs = [name.partition(":")[::2] for name in names.split()]
    return {name: getattr(x, kind or "post_attr")() for name, kind in pairs}


MADE = "handle:post_handle attr wcc:wcc"
LISTED = "dir verifier:verifier entries:{} eof:bool"
# Name: number, fields of success, fields of failure.
PROCEDURES = {
    "getattr": (1, "attr:attr", ""), "setattr": (2, "wcc:wcc", "wcc:wcc"), "lookup": (3, "handle:handle attr dir", "dir"),
    "access": (4, "attr access:u32", "attr"), "readlink": (5, "attr target:opaque", "attr"),
    "read": (6, "attr count:u32 eof:bool data:opaque", "attr"), "write": (7, "wcc:wcc count:u32 stable:u32 verifier:verifier", "wcc:wcc"),
    "create": (8, MADE, "wcc:wcc"), "mkdir": (9, MADE, "wcc:wcc"), "symlink": (10, MADE, "wcc:wcc"), "mknod": (11, MADE, "wcc:wcc"),
    "remove": (12, "wcc:wcc", "wcc:wcc"), "rmdir": (13, "wcc:wcc", "wcc:wcc"), "rename": (14, "wcc:wcc to:wcc", "wcc:wcc to:wcc"),
    "link": (15, "attr wcc:wcc", "attr wcc:wcc"), "readdir": (16, LISTED.format("entries"), "dir"),
    "readdirplus": (17, LISTED.format("entries_plus"), "dir"),
    "fsstat": (18, "attr tbytes:u64 fbytes:u64 abytes:u64 tfiles:u64 ffiles:u64 afiles:u64 invarsec:u32", "attr"),
    "fsinfo": (19, "attr rtmax:u32 rtpref:u32 rtmult:u32 wtmax:u32 wtpref:u32 wtmult:u32 dtpref:u32 maxfilesize:u64 "
                   "time_delta:time properties:u32", "attr"),
    "pathconf": (20, "attr linkmax:u32 name_max:u32 no_trunc:bool chown_restricted:bool case_insensitive:bool case_preserving:bool", "attr"),
    "commit": (21, "wcc:wcc verifier:verifier", "wcc:wcc"),
}
Xdr.verifier = lambda self: self.fixed(8)
Xdr.entries = lambda self: self.list(self.entry)
Xdr.entries_plus = lambda self: self.list(self.entry_plus)


def decode(name, x):
    """What a procedure of NFS answered: .status and its fields, to the last byte."""
    _, good, bad = PROCEDURES[name]
    status = x.u32()
    answer = types.SimpleNamespace(status=status, **_fields(x, good if status == OK else bad))
    x.end()
    return answer


# ---- RPC ----

def auth_sys(machine=b"tests", uid=0, gid=0, gids=()):
    return u32(0) + opaque(machine) + u32(uid, gid, len(gids), *gids)


def record(data, *cuts):
    """A record with its marks; cuts: lengths of the fragments but for the last."""
    parts, at = [], 0
    for cut in cuts:
        parts.append(u32(cut) + data[at:at + cut])
        at += cut
    return b"".join(parts) + u32(LAST | len(data) - at) + data[at:]


class Client:
    """One connection. Calls wait for their answer; send() and reply() are for those who want many on their way."""

    def __init__(self, host, port, flavor=AUTH_SYS, body=None, seconds=DEADLINE, buffer=None, source=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if source:
            self.socket.bind((source, 0))
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(seconds)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.credential = u32(flavor) + opaque((auth_sys() if flavor == AUTH_SYS else b"") if body is None else body)
        self.xids, self.got = itertools.count(int.from_bytes(os.urandom(3), "big")), bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # -- bytes --

    def send(self, data):
        self.socket.sendall(data)

    def _take(self, count):
        while len(self.got) < count:
            piece = self.socket.recv(max(65536, count - len(self.got)))
            if not piece:
                raise ConnectionResetError("the server closed")
            self.got += piece
        data = bytes(self.got[:count])
        del self.got[:count]
        return data

    def record(self):
        """The next record, whole."""
        parts = []
        while True:
            mark, = struct.unpack(">I", self._take(4))
            assert mark & ~LAST <= BYTES_MOST, mark
            parts.append(self._take(mark & ~LAST))
            if mark & LAST:
                return b"".join(parts)

    def is_closed(self, seconds=20):
        """True if the server closes within so long; what comes before that is dropped."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(1 << 20):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    # -- calls --

    def message(self, program, version, procedure, args=b"", credential=None, verifier=u32(0, 0), rpc=2, kind=0, xid=None):
        """A call without its marks; its xid is what it begins with."""
        return u32(next(self.xids) if xid is None else xid, kind, rpc, program, version, procedure) + \
            (self.credential if credential is None else credential) + verifier + args

    def reply(self):
        """The next answer: .xid, .accepted, .status (of what accepts or denies), .low, .high, .why, .body."""
        x = Xdr(self.record())
        r = types.SimpleNamespace(xid=x.u32(), low=None, high=None, why=None)
        assert x.u32() == 1, "not a reply"
        r.accepted = x.u32() == 0
        if r.accepted:
            r.verifier = x.u32(), x.opaque(400)
        r.status = x.u32()
        if r.accepted and r.status == PROG_MISMATCH or not r.accepted and r.status == RPC_MISMATCH:
            r.low, r.high = x.u32(), x.u32()
        elif not r.accepted:
            assert r.status == AUTH_ERROR
            r.why = x.u32()
        r.body = x
        if not (r.accepted and r.status == SUCCESS):
            x.end()
        return r

    def ask(self, *args, **kw):
        """A call and its answer."""
        message = self.message(*args, **kw)
        self.send(record(message))
        reply = self.reply()
        assert u32(reply.xid) == message[:4]
        return reply

    def nfs(self, name, args, **kw):
        reply = self.ask(NFS, 3, PROCEDURES[name][0], args, **kw)
        assert reply.accepted and reply.status == SUCCESS, vars(reply)
        assert reply.verifier == (AUTH_NONE, b"")
        return decode(name, reply.body)

    def getattr(self, handle):
        return self.nfs("getattr", fh(handle))

    def lookup(self, handle, name):
        return self.nfs("lookup", fh(handle) + opaque(name))

    def access(self, handle, wanted=0x3f):
        return self.nfs("access", fh(handle) + u32(wanted))

    def readlink(self, handle):
        return self.nfs("readlink", fh(handle))

    def read(self, handle, offset=0, count=1 << 20):
        return self.nfs("read", fh(handle) + u64(offset) + u32(count))

    def readdir(self, handle, cookie=0, verifier=bytes(8), count=8192):
        return self.nfs("readdir", fh(handle) + u64(cookie) + verifier + u32(count))

    def readdirplus(self, handle, cookie=0, verifier=bytes(8), dircount=8192, maxcount=32768):
        return self.nfs("readdirplus", fh(handle) + u64(cookie) + verifier + u32(dircount, maxcount))

    def mnt(self, path):
        """MNT: .status, and for 0 .handle and .flavors."""
        x = self.ask(MOUNT, 3, 1, opaque(path)).body
        answer = types.SimpleNamespace(status=x.u32())
        if answer.status == OK:
            answer.handle = x.handle()
            answer.flavors = [x.u32() for _ in range(x.u32())]
        x.end()
        return answer

    def mounts(self):
        """DUMP: who has mounted what, as (host, path)."""
        x = self.ask(MOUNT, 3, 2).body
        shown = x.list(lambda: (x.opaque(255), x.opaque(1024)))
        x.end()
        return shown

    def exports(self):
        """EXPORT: what may be mounted, and by whom: {path: groups}"""
        x = self.ask(MOUNT, 3, 5).body
        shown = x.list(lambda: (x.opaque(1024), x.list(lambda: x.opaque(255))))
        x.end()
        return dict(shown)

    # -- for those who only want to get there --

    def mount(self, path="/"):
        answer = self.mnt(path)
        assert answer.status == OK, answer
        return answer.handle

    def walk(self, *names, start=None):
        """The handle of what these names lead to, by LOOKUP of each."""
        handle = start or self.mount()
        for name in names:
            answer = self.lookup(handle, name)
            assert answer.status == OK, (name, answer)
            handle = answer.handle
        return handle

    def list(self, handle, plus=False, **kw):
        """All entries of a directory, by as many calls as it takes."""
        entries, cookie, verifier = [], 0, bytes(8)
        while True:
            answer = (self.readdirplus if plus else self.readdir)(handle, cookie, verifier, **kw)
            assert answer.status == OK and (answer.entries or answer.eof), answer
            entries += answer.entries
            if answer.eof:
                return entries
            cookie, verifier = answer.entries[-1].cookie, answer.verifier

    def content(self, handle, step=1 << 20):
        """A file's bytes, from its beginning to what is said to be its end."""
        parts, at = [], 0
        while True:
            answer = self.read(handle, at, step)
            assert answer.status == OK and (answer.count or answer.eof), answer
            assert answer.count == len(answer.data) <= step
            parts.append(answer.data)
            at += answer.count
            if answer.eof:
                return b"".join(parts)


# ---- servers ----

class Export(Mount):
    """build/matrixfs --nfs on a port of its own; mounted as well, if `mounted`."""

    def __init__(self, tmp, hub=(), args=(), mounted=False, host="127.0.0.1", port=0, **kw):
        self.host = host
        super().__init__(tmp, hub, args=[f"--nfs={host}:{port}", *args], mounted=mounted, **kw)
        self.port = int(re.search(r"port=(\d+)", self.wait_log("exporting by NFS"))[1])

    def client(self, **kw):
        return Client(self.host, self.port, **kw)
