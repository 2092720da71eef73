"""Clients of an export by NFS: libnfs's own programs, and calls of RPC made by hand.

    m = mount(hub, args=[EXPORT])
    assert cat(m, "files/org/tiny/config.json") == b"{}"
    with Rpc(m) as rpc:
        status, rest = rpc.nfs(GETATTR, opaque(rpc.root()))
"""
import pathlib
import re
import socket
import struct
import subprocess

DEADLINE = 60
EXPORT = "--nfs=127.0.0.1:0"
NFS, MOUNT, PORTMAP = (100003, 3), (100005, 3), (100000, 2)
(NULL, GETATTR, SETATTR, LOOKUP, ACCESS, READLINK, READ, WRITE, CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR, RENAME, LINK, READDIR,
 READDIRPLUS, FSSTAT, FSINFO, PATHCONF, COMMIT) = range(22)
MNT, DUMP, UMNT, UMNTALL, EXPORTS = range(1, 6)
OK, NOENT, ACCES, EXIST, NOTDIR, ROFS, NAMETOOLONG, STALE, BADHANDLE, BAD_COOKIE, TOOSMALL = 0, 2, 13, 17, 20, 30, 63, 70, 10001, 10003, 10005
ATTR = struct.Struct(">IIIIIQQQQQIIIIII")     # fattr3


def port(m):
    """Where a mount exports to."""
    return int(re.search(r"port=(\d+)", m.wait_log("exporting by NFS"))[1])


def url(m, path="", **kw):
    words = {"nfsport": port(m), "mountport": port(m), "version": 3} | kw
    return f"nfs://127.0.0.1/{path}?" + "&".join(f"{k}={v}" for k, v in words.items())


def run(program, *words, ok=True):
    done = subprocess.run([program, *words], capture_output=True, timeout=DEADLINE)
    assert not ok or done.returncode == 0, (program, words, done.returncode, done.stderr)
    return done.stdout if ok else (done.returncode, done.stderr.decode(errors="replace"))


def cat(m, path):
    """A file's bytes, by nfs-cat."""
    return run("nfs-cat", url(m, path))


def ls(m, path="", *words):
    """{name: (type and mode, size)}, by nfs-ls."""
    lines = run("nfs-ls", *words, url(m, path)).decode().splitlines()
    return {line.split()[5]: (line.split()[0], int(line.split()[4])) for line in lines}


def opaque(data):
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def sys_cred(uid=0, gid=0, name=b"test", groups=()):
    body = struct.pack(">I", 1) + opaque(name) + struct.pack(f">III{len(groups)}I", uid, gid, len(groups), *groups)
    return struct.pack(">I", 1) + opaque(body)


NO_CRED = struct.pack(">II", 0, 0)


class Refused(Exception):
    """The call was not accepted, or not done: what the reply says, as numbers."""


class Rpc:
    """One connection."""

    def __init__(self, m, cred=None):
        self.cred = cred or sys_cred()
        self.socket = socket.create_connection(("127.0.0.1", port(m)), DEADLINE)
        self.socket.settimeout(DEADLINE)
        self.xid = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def record(self, program, procedure, args=b"", cred=None, rpc=2):
        self.xid += 1
        return struct.pack(">IIIIII", self.xid, 0, rpc, *program, procedure) + (cred or self.cred) + NO_CRED + args

    def send(self, record, fragment=None):
        """As one fragment, or in pieces of so many bytes."""
        step = fragment or len(record) or 1
        pieces = [record[i:i + step] for i in range(0, len(record), step)] or [b""]
        for piece in pieces:
            last = 0x80000000 if piece is pieces[-1] else 0
            self.socket.sendall(struct.pack(">I", last | len(piece)) + piece)

    def _exactly(self, n):
        data = bytearray()
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return bytes(data)

    def receive(self):
        """(xid, what follows the head of an accepted call that was done)."""
        mark, = struct.unpack(">I", self._exactly(4))
        assert mark & 0x80000000
        reply = self._exactly(mark & 0x7fffffff)
        xid, kind, denied = struct.unpack_from(">III", reply)
        assert kind == 1
        if denied:
            raise Refused("denied", *struct.unpack(f">{(len(reply) - 12) // 4}I", reply[12:]))
        flavor, length, status = struct.unpack_from(">III", reply, 12)
        assert (flavor, length) == (0, 0)
        if status:
            raise Refused("accepted", *struct.unpack(f">{(len(reply) - 20) // 4}I", reply[20:]))
        return xid, reply[24:]

    def call(self, program, procedure, args=b"", **kw):
        self.send(self.record(program, procedure, args, **kw))
        xid, result = self.receive()
        assert xid == self.xid
        return result

    def nfs(self, procedure, args=b""):
        """(status, what follows it)."""
        result = self.call(NFS, procedure, args)
        return struct.unpack_from(">I", result)[0], result[4:]

    def mnt(self, path):
        """(status, handle)."""
        result = self.call(MOUNT, MNT, opaque(path.encode()))
        status, = struct.unpack_from(">I", result)
        if status:
            return status, None
        length, = struct.unpack_from(">I", result, 4)
        return status, result[8:8 + length]

    def handle(self, path="/"):
        """The handle of what is there, by MNT of its directory and LOOKUP."""
        status, handle = self.mnt("/")
        assert status == OK
        for name in pathlib.PurePosixPath(path).parts:
            if name != "/":
                status, handle, _ = self.lookup(handle, name)
                assert status == OK, (path, name, status)
        return handle

    def lookup(self, directory, name):
        """(status, handle, attributes)."""
        status, rest = self.nfs(LOOKUP, opaque(directory) + opaque(name if isinstance(name, bytes) else name.encode()))
        if status:
            return status, None, None
        length, = struct.unpack_from(">I", rest)
        at = 4 + length + -length % 4
        follows, = struct.unpack_from(">I", rest, at)
        return status, rest[4:4 + length], ATTR.unpack_from(rest, at + 4) if follows else None

    def getattr(self, handle):
        """(status, attributes)."""
        status, rest = self.nfs(GETATTR, opaque(handle))
        return status, ATTR.unpack(rest) if status == OK else None

    def read(self, handle, offset, count):
        """(status, bytes, whether they end the file)."""
        status, rest = self.nfs(READ, opaque(handle) + struct.pack(">QI", offset, count))
        if status:
            return status, None, None
        at = 4 + (ATTR.size if struct.unpack_from(">I", rest)[0] else 0)
        got, eof, length = struct.unpack_from(">III", rest, at)
        assert got == length and len(rest) == at + 12 + length + -length % 4
        return status, rest[at + 12:at + 12 + length], bool(eof)

    def readdir(self, directory, cookie=0, verifier=bytes(8), count=4096):
        """(status, verifier, [(fileid, name, cookie)], whether that is all)."""
        status, rest = self.nfs(READDIR, opaque(directory) + struct.pack(">Q", cookie) + verifier + struct.pack(">I", count))
        if status:
            return status, None, None, None
        assert len(rest) <= count
        at = 4 + (ATTR.size if struct.unpack_from(">I", rest)[0] else 0)
        verifier, at, entries = rest[at:at + 8], at + 8, []
        while struct.unpack_from(">I", rest, at)[0]:
            fileid, length = struct.unpack_from(">QI", rest, at + 4)
            name = rest[at + 16:at + 16 + length].decode()
            at += 16 + length + -length % 4
            entries.append((fileid, name, struct.unpack_from(">Q", rest, at)[0]))
            at += 8
        return status, verifier, entries, bool(struct.unpack_from(">I", rest, at + 4)[0])

    def names(self, directory, count=4096):
        """All names of a directory, page by page, without the dots."""
        cookie, verifier, found, done = 0, bytes(8), [], False
        while not done:
            status, verifier, entries, done = self.readdir(directory, cookie, verifier, count)
            assert status == OK and (entries or done)
            found += [name for _, name, _ in entries]
            cookie = entries[-1][2] if entries else cookie
        assert found[:2] == [".", ".."]
        return found[2:]
