"""A mount that outlives its daemon: a holder keeps it, and starts the next one."""
import os
import pathlib
import signal
import time

from mountlib import DEADLINE, Mount, eventually


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
        before, mounted = self.daemon, self.count("mounted mountpoint=")
        begun = time.monotonic()
        os.kill(self.daemon if sig == signal.SIGKILL else self.process.pid, sig)
        assert eventually(lambda: self.count("mounted mountpoint=") > mounted, seconds, 0.002), self.log_text()
        assert self.daemon != before
        return time.monotonic() - begun

    def count(self, text):
        return sum(text in line for line in list(self.log))

    def murder(self, seconds=DEADLINE):
        return self._next(signal.SIGKILL, seconds)

    def upgrade(self, seconds=DEADLINE):
        return self._next(signal.SIGUSR2, seconds)
