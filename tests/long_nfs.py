"""A long life of an export: several of libnfs's clients read, while it is killed and comes back, files are evicted, and the
hub fails. No byte is ever wrong; there is no error but while there is a reason; and when all is well, everything can be read.

TORTURE_SEED is the life's seed.
"""
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

import pytest

import libnfs
from hub import Hub
from mountlib import PROGRAM, eventually
from nfs_wire import Export

pytestmark = pytest.mark.skipif(bool(libnfs.why_not()), reason=str(libnfs.why_not()))
MIB = 1 << 20
CLIENTS, SECONDS = 5, 60
SLOW = 3 if "san" in str(PROGRAM) else 1
SIZES = [0, 1, 4096, 65_536, MIB, MIB + 1, 2_600_000, 5 * MIB + 12_345]
FAULTS = [("status", {"code": 503}), ("hang", {}), ("cut_body", {"after_bytes": 70_000}), ("reset", {"after_bytes": 300_000}),
          ("garbage", {}), ("wrong_content_range", {"shift": 4096}), ("slow", {"rate": 2_000_000})]
AFTER = 12 * SLOW       # a trouble is felt so long after its end, at most
SLOWEST = 40 * SLOW     # so long one read may take, restarts included


class Client:
    """A process that reads, and all it has said."""

    def __init__(self, port, seed, files):
        self.said = []
        self.process = subprocess.Popen([sys.executable, libnfs.__file__, str(port), str(seed)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps(files) + "\n")
        self.process.stdin.flush()
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self):
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def end(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(SLOWEST)
        finally:
            self.process.kill()
        self.thread.join(5)


class Life:
    def __init__(self, seed, directory):
        self.rng, self.base, self.troubles = random.Random(seed), pathlib.Path(directory), []
        self.hub = Hub(cdn=self.rng.random() < 0.5)
        self.limit = self.rng.choice([0, 8 * MIB])
        self.files = []
        for repo in "a", "b", "c":
            self.make(repo)
        self.export = self.start()
        with libnfs.Libnfs(self.export) as nfs:     # a blob is shown when a commit that has it is known
            for repo in "a", "b", "c":
                nfs.names(f"/files/org/{repo}")

    def make(self, repo):
        sizes = {f"{n}.{self.rng.choice(['safetensors', 'txt'])}": self.rng.choice(SIZES) for n in range(6)}
        data = {name: self.rng.randbytes(size) for name, size in sizes.items()}
        there = self.hub.repo(f"org/{repo}")
        there.commit(data)
        for name, content in data.items():
            plain = self.base / f"plain-{repo}-{name}"
            plain.write_bytes(content)
            self.files += [(f"/files/org/{repo}/{name}", str(plain)),
                           (f"/hub/models--org--{repo}/blobs/{there.blob(name).etag}", str(plain))]

    def start(self, port=0):
        return Export(self.base, self.hub, cache=self.base / "cache", port=port, timeout=3 * SLOW,
                      args=[f"--cache-size={self.limit}", "--ref-ttl=1"])

    @contextlib.contextmanager
    def trouble(self):
        begun = time.monotonic()
        try:
            yield
        finally:
            self.troubles.append((begun, time.monotonic() + AFTER))

    def step(self):
        what = self.rng.choice(["kill", "stop", "fault", "fault", "rest"])
        if what == "rest":
            time.sleep(self.rng.uniform(1, 3))
        elif what == "fault":
            kind, words = self.rng.choice(FAULTS)
            with self.trouble(), self.hub.fault("GET .*", kind, **words):
                time.sleep(self.rng.uniform(1, 3))
        else:
            with self.trouble():
                if what == "kill":
                    self.export.crash()
                else:
                    self.export.stop(20 * SLOW)
                time.sleep(self.rng.uniform(0, 2))
                self.export = self.start(self.export.port)
                time.sleep(self.rng.uniform(0, 2))

    def excused(self, read):
        return any(begun <= read["ended"] and read["begun"] <= ended for begun, ended in self.troubles)

    def judge(self, clients):
        reads = [read for client in clients for read in client.said]
        assert all(client.said for client in clients), "a client read nothing"
        wrong = [read for read in reads if "wrong" in read]
        assert not wrong, wrong[:5]
        errors = [read for read in reads if "error" in read and not self.excused(read)]
        assert not errors, errors[:5]
        slow = [read for read in reads if read["ended"] - read["begun"] > SLOWEST]
        assert not slow, slow[:5]
        return len(reads), sum("error" in read for read in reads), sum(read.get("bytes", 0) for read in reads)


@pytest.mark.parametrize("more", range(3))
def test_a_life_of_an_export(tmp_path, more):
    seed = int(os.environ.get("TORTURE_SEED", time.time_ns() % 10**9)) + more
    print(f"seed {seed}")
    life = Life(seed, tmp_path)
    try:
        clients = [Client(life.export.port, seed + n, life.files) for n in range(CLIENTS)]
        until = time.monotonic() + SECONDS * SLOW
        while time.monotonic() < until:
            life.step()
            assert all(client.process.poll() is None for client in clients), "a client has ended"
        for client in clients:
            client.end()
        count, errors, amount = life.judge(clients)
        print(f"{count} reads, {errors} errors, {amount / MIB:.0f} MiB, {len(life.troubles)} troubles")
        with libnfs.Libnfs(life.export) as nfs:     # all is well
            assert eventually(lambda: all(nfs.read(shown) == pathlib.Path(plain).read_bytes() for shown, plain in life.files), AFTER)
        life.export.stop(20 * SLOW)
    finally:
        life.export.kill()
        life.hub.close()
