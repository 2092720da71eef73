"""A mount that outlives its daemon: a holder keeps it, and starts the next one."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

from mountlib import DEADLINE, Mount, eventually, within


def children(pid):
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Held(Mount):
    """matrixfs --holder=yes: the process is the holder, `daemon` who serves."""

    def __init__(self, tmp, *args, **kw):
        super().__init__(tmp, *args, **kw | {"args": ["--holder=yes", *kw.get("args", ())]})

    @property
    def daemon(self):
        found = eventually(lambda: children(self.process.pid), DEADLINE, 0.005)
        return found[0]

    def _next(self, sig, seconds):
        """Ends the daemon, and waits until another one serves: how long that took."""
        before, served = self.daemon, self.served()
        begun = time.monotonic()
        os.kill(self.daemon if sig == signal.SIGKILL else self.process.pid, sig)
        assert eventually(lambda: self.served() > served, seconds, 0.002), self.log_text()
        assert self.daemon != before
        return time.monotonic() - begun

    def served(self):
        """How many daemons there have been that served."""
        return self.count("mounted mountpoint=") + self.count("took over mountpoint=")

    def count(self, text):
        return sum(text in line for line in list(self.log))

    def murder(self, seconds=DEADLINE):
        return self._next(signal.SIGKILL, seconds)

    def upgrade(self, seconds=DEADLINE):
        return self._next(signal.SIGUSR2, seconds)


READER = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
print("open", flush=True)
for line in sys.stdin:
    how, off, size = line.split()
    off, size = int(off), int(size)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    print((os.pread(fd, size, off) if how == "read" else mapped[off:off + size]).hex(), flush=True)
"""


class Reader:
    """A process of its own that has a file open and mapped: what waits for ever waits there."""

    def __init__(self, path):
        self.process = subprocess.Popen([sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert within(DEADLINE, self.process.stdout.readline) == "open\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        within(DEADLINE, self.process.wait)

    def ask(self, how, off, size, seconds=DEADLINE):
        """Bytes by "read" or by "map"; b"" if it failed; None if none came."""
        self.process.stdin.write(f"{how} {off} {size}\n")
        self.process.stdin.flush()
        try:
            return bytes.fromhex(within(seconds, self.process.stdout.readline).strip())
        except TimeoutError:
            return None


class Manager:
    """A service manager that keeps descriptors, as systemd does: starts matrixfs, and again, with what it was given to keep."""

    def __init__(self, tmp):
        self.path = pathlib.Path(tmp) / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(0.1)
        self.kept, self.said = {}, []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while self.socket.fileno() >= 0:
            try:
                text, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
            except OSError:
                continue
            words = dict(line.split("=", 1) for line in text.decode().splitlines())
            self.said.append(words)
            if "FDSTORE" in words:
                self.kept.setdefault(words["FDNAME"], []).extend(fds)
            if "FDSTOREREMOVE" in words:
                for fd in self.kept.pop(words["FDNAME"], []):
                    os.close(fd)

    def close(self):
        self.socket.close()
        for fds in self.kept.values():
            for fd in fds:
                os.close(fd)

    def start(self, kind, *args, **kw):
        """A Mount (kind: the fixture's factory) that gets what is kept."""
        fds = [(name, fd) for name, list_ in self.kept.items() for fd in list_]
        env = {"NOTIFY_SOCKET": self.path, "FDSTORE": "8"}
        if fds:
            env |= {"LISTEN_FDS": len(fds), "LISTEN_FDNAMES": ":".join(name for name, _ in fds),
                    "PASSED": " ".join(str(fd) for _, fd in fds)}
        return kind(*args, **kw | {"env": env | kw.get("env", {}), "wrapper": ["bash", "-c", PASS, "-"] if fds else kw.get("wrapper", []),
                                   "pass_fds": [fd for _, fd in fds]})


# The process keeps its number when it becomes the daemon, and what was passed to it comes to lie from 3 on.
PASS = """
n=64; for fd in $PASSED; do eval "exec $n<&$fd $fd<&-"; n=$((n + 1)); done
n=64; to=3; for fd in $PASSED; do eval "exec $to<&$n $n<&-"; n=$((n + 1)); to=$((to + 1)); done
export LISTEN_PID=$$; exec "$@"
"""
