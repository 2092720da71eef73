"""libnfs's client, by ctypes; and as a program, one that reads until it is told to stop.

    with Libnfs(export, "/files/org/tiny") as nfs:
        assert nfs.names("/") == ["config.json"] and nfs.read("/config.json") == b"{}"

    python3 tests/libnfs.py PORT SEED < FILES       # one JSON line a read on standard output, until standard input ends
"""
import ctypes
import errno
import json
import os
import random
import select
import sys
import time

RECONNECT_FOREVER = -1


class _Dirent(ctypes.Structure):
    _fields_ = [("next", ctypes.c_void_p), ("name", ctypes.c_char_p), ("inode", ctypes.c_uint64), ("type", ctypes.c_uint32)]


STAT = ("dev", "ino", "mode", "nlink", "uid", "gid", "rdev", "size", "blksize", "blocks", "atime", "mtime", "ctime", "atime_nsec",
        "mtime_nsec", "ctime_nsec", "used")


class Stat(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in STAT]


def library():
    lib = ctypes.CDLL("libnfs.so.13")
    lib.nfs_init_context.restype = lib.nfs_parse_url_dir.restype = ctypes.c_void_p
    lib.nfs_get_error.restype = ctypes.c_char_p
    lib.nfs_readdir.restype = ctypes.POINTER(_Dirent)
    return lib


def why_not():
    """Why there is no libnfs here, or None."""
    try:
        library()
    except OSError as error:
        return str(error)
    return None


class Address:
    """Where an export is, for who has no Export."""

    def __init__(self, port, host="127.0.0.1"):
        self.host, self.port = host, port


class _File:
    """with nfs.open(path) as file: ..."""

    def __init__(self, nfs, path):
        self.nfs, self.path, self.file = nfs, path, ctypes.c_void_p()
        nfs._check(nfs.lib.nfs_open(nfs.nfs, path.encode(), os.O_RDONLY, ctypes.byref(self.file)), path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.nfs.lib.nfs_close(self.nfs.nfs, self.file)

    def read(self, offset, size, step=1 << 20):
        """So many bytes, or to the end, by reads of `step`."""
        parts, room = [], ctypes.create_string_buffer(step)
        while size > 0:
            count = min(step, size)
            got = self.nfs.lib.nfs_pread(self.nfs.nfs, self.file, ctypes.c_uint64(offset), ctypes.c_uint64(count), room)
            if got == -errno.EFAULT:        # so it calls whatever a READ failed with
                got = -errno.EIO
            if not self.nfs._check(got, self.path):
                break
            parts.append(room.raw[:got])
            offset, size = offset + got, size - got
        return b"".join(parts)


class Libnfs:
    """A mount of it. What fails is an OSError with the errno that libnfs says."""

    def __init__(self, export, path="/", reconnect=0, seconds=30):
        self.lib = library()
        self.nfs = ctypes.c_void_p(self.lib.nfs_init_context())
        where = f"nfs://{export.host}{path}?nfsport={export.port}&mountport={export.port}&autoreconnect={reconnect}"
        parts = ctypes.c_void_p(self.lib.nfs_parse_url_dir(self.nfs, where.encode()))     # its words are the context's from here on
        assert parts, f"libnfs does not take {where}"
        self.lib.nfs_destroy_url(parts)
        self.lib.nfs_set_timeout(self.nfs, seconds * 1000)
        self._check(self.lib.nfs_mount(self.nfs, export.host.encode(), path.encode()), path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.nfs_destroy_context(self.nfs)

    def _check(self, result, what):
        if result < 0:
            raise OSError(-result, (self.lib.nfs_get_error(self.nfs) or b"").decode(errors="replace"), what)
        return result

    def open(self, path):
        return _File(self, path)

    def pread(self, path, offset, size, step=1 << 20):
        """So many bytes, or to the end."""
        with self.open(path) as file:
            return file.read(offset, size, step)

    def read(self, path):
        return self.pread(path, 0, 1 << 62)

    def names(self, path):
        folder, found = ctypes.c_void_p(), []
        self._check(self.lib.nfs_opendir(self.nfs, path.encode(), ctypes.byref(folder)), path)
        try:
            while entry := self.lib.nfs_readdir(self.nfs, folder):
                found.append(entry.contents.name.decode())
        finally:
            self.lib.nfs_closedir(self.nfs, folder)
        return sorted(n for n in found if n not in (".", ".."))

    def stat(self, path, follow=False):
        st = Stat()
        self._check((self.lib.nfs_stat64 if follow else self.lib.nfs_lstat64)(self.nfs, path.encode(), ctypes.byref(st)), path)
        return st

    def readlink(self, path):
        room = ctypes.create_string_buffer(4096)
        self._check(self.lib.nfs_readlink(self.nfs, path.encode(), room, len(room)), path)
        return room.value.decode()

    def create(self, path):
        file = ctypes.c_void_p()
        self._check(self.lib.nfs_creat(self.nfs, path.encode(), 0o644, ctypes.byref(file)), path)
        self.lib.nfs_close(self.nfs, file)

    def mkdir(self, path):
        self._check(self.lib.nfs_mkdir(self.nfs, path.encode()), path)


# ---- the program ----

def _a_read(nfs, rng, shown, plain):
    """What one read came to: {"error": …} or {"wrong": …} or {"bytes": …}"""
    with open(plain, "rb") as f:
        want = f.read()
    offset, size = rng.choice([(0, 1 << 40), (rng.randrange(len(want) + 1), rng.choice([1, 4096, 70_001, 3 << 20]))])
    got = nfs.pread(shown, offset, size, step=rng.choice([4096, 131_072, 1 << 20]) if size < 1 << 20 else 1 << 20)
    due = want[offset:offset + size]
    if got == due:
        return {"bytes": len(got)}
    at = next((n for n, (a, b) in enumerate(zip(got, due)) if a != b), min(len(got), len(due)))
    return {"wrong": offset + at, "bytes": len(got), "due": len(due)}


def main(port, seed):
    files, rng, nfs = json.loads(sys.stdin.readline()), random.Random(seed), None
    while not select.select([sys.stdin], [], [], 0)[0]:
        shown, plain = rng.choice(files)
        said = {"file": shown, "begun": time.monotonic()}
        try:
            nfs = nfs or Libnfs(Address(port), reconnect=RECONNECT_FOREVER)
            said |= _a_read(nfs, rng, shown, plain)
        except OSError as error:
            said["error"], said["why"], nfs = errno.errorcode.get(error.errno, str(error.errno)), str(error), None
            time.sleep(0.1)
        print(json.dumps(said | {"ended": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
