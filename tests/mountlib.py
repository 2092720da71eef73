"""A matrixfs mounted for a test, and reads that cannot hang one.

    with Mount(tmp_path, hub) as m:
        commit = m.commit("org/tiny")                                    # what refs/main says
        assert read(m.snapshot("org/tiny", commit) / "model.safetensors") == BIG
        assert fails(read, m.file("org/none", "x")) == errno.ENOENT

The conftest.py beside this makes fixtures of it: `hub`, and `mount`, a factory that cleans up whatever happens.
"""
import ctypes
import errno
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time

PROGRAM = pathlib.Path(os.environ.get("MATRIXFS", pathlib.Path(__file__).parent.parent / "build" / "matrixfs")).resolve()
DEADLINE = 60       # of one access; far beyond every time-out of the daemon, on a busy machine too
MNT_DETACH = 2
PREFIX = {"model": "", "dataset": "datasets", "space": "spaces"}
KEPT = re.compile("PATH|LANG|TMPDIR|[A-Z]+SAN_OPTIONS|MATRIXFS_.*")   # of the caller's environment


def within(seconds, call, *args, **kw):
    """The call's value or exception; TimeoutError after so long. What wedges stays behind in a thread of its own."""
    done = {}

    def run():
        try:
            done["value"] = call(*args, **kw)
        except BaseException as error:
            done["error"] = error
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not done:
        raise TimeoutError(f"no answer in {seconds} s: {getattr(call, '__name__', call)}{args}")
    if "error" in done:
        raise done["error"]
    return done["value"]


def _read(path, offset, size, step):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts, end = [], None if size is None else offset + size
        while end is None or offset < end:
            piece = os.pread(fd, step if end is None else min(step, end - offset), offset)
            if not piece:
                break
            parts.append(piece)
            offset += len(piece)
        return b"".join(parts)
    finally:
        os.close(fd)


def read(path, offset=0, size=None, seconds=DEADLINE, step=1 << 20):
    """Bytes of a file, to its end or `size` of them, in read calls of `step`."""
    return within(seconds, _read, path, offset, size, step)


def stat(path, seconds=DEADLINE):
    return within(seconds, os.stat, path)


def lstat(path, seconds=DEADLINE):
    return within(seconds, os.lstat, path)


def readlink(path, seconds=DEADLINE):
    return within(seconds, os.readlink, path)


def names(path, seconds=DEADLINE):
    """What a directory lists, in its order."""
    return within(seconds, os.listdir, path)


def write(path, data, seconds=DEADLINE):
    return within(seconds, pathlib.Path(path).write_bytes, data)


def xattr(path, name, seconds=DEADLINE):
    return within(seconds, os.getxattr, path, name).decode()


def fails(call, *args, **kw):
    """The errno a call fails with, by name ("EIO"), or None if it does not."""
    try:
        call(*args, **kw)
    except TimeoutError as error:
        if error.errno is None:     # ours: nothing came
            raise
        return errno.errorcode[error.errno]
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def eventually(check, seconds=60, every=0.05):
    """Asks until check() is true; its last value."""
    until = time.monotonic() + seconds
    while not (value := check()) and time.monotonic() < until:
        time.sleep(every)
    return value


def freeze(pid, seconds=DEADLINE):
    """SIGSTOP, and back when every thread has stopped: the signal is only on its way when kill() returns."""
    os.kill(pid, signal.SIGSTOP)
    states = lambda: {stat.read_text().rsplit(")", 1)[1].split()[0] for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")}
    assert eventually(lambda: states() == {"T"}, seconds), states()


def mounts_below(directory):
    """Mount points at or below a directory, the deepest first."""
    prefix = str(directory)
    with open("/proc/self/mountinfo") as f:
        points = [line.split()[4].encode().decode("unicode_escape") for line in f]
    return sorted((p for p in points if p == prefix or p.startswith(prefix + "/")), key=len, reverse=True)


def daemons_of(directory):
    """Pids of matrixfs processes that name a directory, or something in it, on their command line."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.path.basename(words[0]) == PROGRAM.name.encode() and any(os.fsencode(directory) in w for w in words):
                found.append(int(entry.name))
    return found


def lazy_umount(path):
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(path), MNT_DETACH)


class Mount:
    """build/matrixfs (or $MATRIXFS) in the foreground on a directory of its own below tmp; made, it is mounted.

    hub: a Hub, a URL, or a list of them in order of preference. cache: a directory to keep between mounts; without
    it, a fresh one below tmp. args and env are added to the defaults; env={"NAME": None} takes a variable away.
    root: the mount point, when it matters which. mounted: False is an export by NFS alone. expect_fail: the program is to end by itself: see .status and the log.
    """

    def __init__(self, tmp, hub=(), cache=None, args=(), env=None, passthrough=True, expect_fail=False, root=None,
                 timeout=3, wrapper=(), mounted=True, pass_fds=()):
        base = pathlib.Path(tempfile.mkdtemp(prefix="mount-", dir=tmp))
        self.root = pathlib.Path(root) if root else base / "models"
        if not root:
            self.root.mkdir()
        self.cache = pathlib.Path(cache) if cache else base / "cache"
        self.hub, self.files = self.root / "hub", self.root / "files"
        hubs = hub if isinstance(hub, (list, tuple)) else [hub]
        self.argv = [*map(str, wrapper), str(PROGRAM), *(f"--hub={getattr(h, 'url', h)}" for h in hubs),
                     f"--cache={self.cache}", "--cache-min-free=0", f"--timeout={timeout}",
                     *([] if passthrough else ["--passthrough=no"]), *map(str, args), *([str(self.root)] if mounted else [])]
        words = {k: v for k, v in os.environ.items() if KEPT.fullmatch(k)} | {"HOME": str(base)} | dict(env or {})
        self.env = {k: str(v) for k, v in words.items() if v is not None}
        self.log, self.status, self.wrapped = [], None, bool(wrapper)
        self.process = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace", pass_fds=pass_fds)
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        if expect_fail:
            self._ended(DEADLINE)
        elif not eventually(lambda: self.process.poll() is not None or self.logged("mounted mountpoint=|took over mountpoint=|exported alone"), DEADLINE, 0.01) \
                or self.process.poll() is not None:
            self.kill()
            raise AssertionError(f"matrixfs did not mount (status {self.process.poll()}):\n{self.log_text()}")

    def _collect(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def _ended(self, seconds):
        self.status = self.process.wait(seconds)
        self._reader.join(5)
        self.process.stderr.close()
        return self.status

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.kill()
        else:
            self.stop()

    # -- its end --

    def stop(self, seconds=10):
        """SIGTERM; the program must end well and the mount be gone."""
        if self.status is not None:
            return
        self.process.terminate()
        try:
            self._ended(seconds)
        except subprocess.TimeoutExpired:
            stacks = self.stacks()
            self.kill()
            raise AssertionError(f"matrixfs did not stop in {seconds} s\n{stacks}\n{self.log_text()}") from None
        left = mounts_below(self.root)
        self._clear()
        assert self.status == 0, f"exit status {self.status}:\n{self.log_text()}"
        assert not left, f"still mounted: {left}"

    def kill(self):
        """SIGKILL, and the mount is taken away; nothing is asserted."""
        if self.status is None:
            self.process.kill()
            self._ended(DEADLINE)
        self._clear()

    def crash(self):
        """SIGKILL alone: the stale mount point stays, as after a real crash."""
        self.process.kill()
        self._ended(DEADLINE)

    def _clear(self):
        for path in mounts_below(self.root):
            lazy_umount(path)

    # -- where things are --

    def repo(self, id, type="model"):
        return self.hub / f"{type}s--{id.replace('/', '--')}"

    def snapshot(self, id, commit, type="model"):
        return self.repo(id, type) / "snapshots" / commit

    def blob(self, id, etag, type="model"):
        return self.repo(id, type) / "blobs" / etag

    def ref(self, id, name="main", type="model"):
        return self.repo(id, type) / "refs" / name

    def commit(self, id, name="main", type="model", seconds=DEADLINE):
        """What a ref says now."""
        return read(self.ref(id, name, type), seconds=seconds).decode().strip()

    def file(self, id, path="", rev=None, type="model"):
        """A path below files/, the plain view."""
        return self.files / PREFIX[type] / (id + (f"@{rev}" if rev else "")) / path

    def cached(self, etag):
        """Where the cache keeps a blob."""
        return self.cache / "blobs" / etag[:2] / etag

    # -- how it is --

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def log_text(self):
        return "\n".join(list(self.log))

    def logged(self, pattern):
        """The first line of the log a regular expression is found in."""
        return next((line for line in list(self.log) if re.search(pattern, line)), None)

    def wait_log(self, pattern, seconds=20):
        line = eventually(lambda: self.logged(pattern), seconds)
        assert line, f"nothing like {pattern!r} in the log:\n{self.log_text()}"
        return line

    def _status(self, name):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1])

    def rss(self):
        """Resident bytes: anonymous ones and all that is mapped."""
        return self._status("VmRSS") * 1024

    def anonymous(self):
        return self._status("RssAnon") * 1024

    def threads(self):
        return self._status("Threads")

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def stacks(self):
        """Where its threads are, for the message of a test that failed."""
        try:
            return subprocess.run(["gdb", "-p", str(self.pid), "-batch", "-ex", "thread apply all bt 12"],
                                  capture_output=True, text=True, timeout=60).stdout[-20000:]
        except (OSError, subprocess.TimeoutExpired):
            return "(no stacks: no gdb)"


def interrupted(path, sig=signal.SIGINT, after=1.0, seconds=DEADLINE):
    """Reads a file in a process of its own, sends it a signal `after` so long: (was it still reading, how long it took to end)."""
    reader = subprocess.Popen(["cat", "--", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    reading, begun = reader.poll() is None, time.monotonic()
    reader.send_signal(sig)
    try:
        within(seconds, reader.wait)
    finally:
        reader.kill()
    return reading, time.monotonic() - begun
