"""Power cuts at every single change of the cache: the next start needs no hand, tells no lie, and fetches nothing twice."""
import http.client
import os
import random
import struct
import subprocess
import time

import pytest

from control import Control
import models
from mountlib import PROGRAM, eventually, read, xattr

MIB = 1 << 20
BUILD = PROGRAM.parent / "release" if PROGRAM.parent.name == "build" else PROGRAM.parent
SHIM, CHECK = BUILD / "tests" / "shim_crash.so", BUILD / "tests" / "check_cache"
WHOLE, HALF, PINNED, GONE = (models.big_file(n * MIB + 77, seed=900 + n) for n in (3, 6, 2, 1))
SMALL = b'{"model_type": "bert"}'
POINTS = int(os.environ.get("CRASH_POINTS", 24))    # of each kind; 0: all there are
SEED = int(os.environ.get("MATRIXFS_SEED", time.time()))
pytestmark = pytest.mark.skipif("san" in str(PROGRAM) or not SHIM.exists(), reason="needs `make helpers` and a plain build")


@pytest.fixture
def repos(hub):
    hub.repo("org/one").commit({"config.json": SMALL, "whole.safetensors": WHOLE, "half.safetensors": HALF})
    hub.repo("org/two").commit({"pinned.safetensors": PINNED})
    hub.repo("org/three").commit({"gone.safetensors": GONE})
    return hub


def sealed(path):
    return eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1", 20)


def live(m):
    """Everything that changes a cache; ends where it is cut off."""
    assert read(m.file("org/three", "gone.safetensors")) == GONE and sealed(m.file("org/three", "gone.safetensors"))
    assert read(m.file("org/one", "whole.safetensors")) == WHOLE and sealed(m.file("org/one", "whole.safetensors"))
    assert read(m.file("org/one", "half.safetensors"), 0, 2 * MIB) == HALF[:2 * MIB]
    assert read(m.file("org/one", "config.json")) == SMALL
    c = Control(m)
    assert c.finish(c.post("/v1/pin", {"repo": "org/two"}))["state"] == "done"
    c.post("/v1/evict", {"repo": "org/three"})
    assert c.finish(c.post("/v1/scrub"))["bad"] == 0
    c.post("/v1/unpin", {"repo": "org/two"})


class Lives:
    def __init__(self, mount, hub, tmp_path):
        self.mount, self.hub, self.tmp, self.n, self.died = mount, hub, tmp_path, 0, 0
        self.count = tmp_path / "count"

    def begin(self, at, torn, cache):
        self.count.write_bytes(bytes(8))
        env = {"LD_PRELOAD": SHIM, "CRASH_DIR": cache, "CRASH_AT": at, "CRASH_COUNT": self.count}
        return self.mount(self.hub, cache=cache, env=env | ({"CRASH_TORN": 1} if torn else {}), timeout=10)

    def cut(self, at, torn):
        """A life that ends at its change number `at`; the cache it leaves."""
        self.n += 1
        cache, m = self.tmp / f"cache-{self.n}", None
        try:
            m = self.begin(at, torn, cache)
            live(m)
            m.stop()
        except (AssertionError, OSError, ValueError, LookupError, http.client.HTTPException) as error:
            self.died += 1
            if m and m.status is None:
                if not eventually(lambda: not m.alive(), 5):
                    raise
                m.crash()
                m.kill()
            elif not m and "status -9" not in str(error):
                raise
        return cache

    def changes(self):
        return struct.unpack("<Q", self.count.read_bytes())[0]


def kept(cache, data, etag):
    """Bytes of a file that the cache says it has."""
    path = cache / "blobs" / etag[:2] / etag
    if not path.exists() or path.stat().st_size != len(data):
        return 0
    if (path.parent / f"{etag}.map").exists():
        text = (path.parent / f"{etag}.map").read_bytes()[24:]
        there = [i for i, (s,) in enumerate(struct.iter_unpack("<Q", text[:len(text) // 8 * 8])) if s]
        return sum(min(MIB, len(data) - i * MIB) for i in there)
    return len(data) if (path.parent / f"{etag}.sums").exists() else 0


@pytest.mark.parametrize("torn", [False, True], ids=["not begun", "half done"])
def test_a_cut_at_any_change(repos, mount, tmp_path, torn):
    print(f"seed {SEED}")
    lives, dice = Lives(mount, repos, tmp_path), random.Random(SEED)
    lives.cut(0, torn)
    total = lives.changes()
    assert total > 60
    points = range(1, total + 1) if not POINTS else sorted(dice.sample(range(1, total + 1), min(POINTS, total)))
    blobs = {name: (data, repos.repo(repo).blob(name).etag) for repo, name, data in (
        ("org/one", "whole.safetensors", WHOLE), ("org/one", "half.safetensors", HALF), ("org/two", "pinned.safetensors", PINNED),
        ("org/three", "gone.safetensors", GONE))}
    for at in points:
        cache = lives.cut(at, torn)
        had = {name: kept(cache, *blob) for name, blob in blobs.items()} if cache.exists() else dict.fromkeys(blobs, 0)
        repos.clear_log()
        m = mount(repos, cache=cache, timeout=10)
        where = f"cut at {at} of {total}, had {had}\n{m.log_text()}"
        assert read(m.file("org/one", "whole.safetensors")) == WHOLE, where
        assert read(m.file("org/one", "half.safetensors")) == HALF, where
        assert read(m.file("org/two", "pinned.safetensors")) == PINNED, where
        assert read(m.file("org/three", "gone.safetensors")) == GONE, where
        assert read(m.file("org/one", "config.json")) == SMALL, where
        for name, (data, _) in blobs.items():
            # What was written but not recorded is lost; nothing else is. A chunk torn by the cut itself may be, too.
            sent = repos.bytes_sent(path_re=f"/resolve/.*{name}")
            assert sent <= len(data) - had[name] + (MIB if torn else 0), f"{name}: {sent} bytes again, {where}"
        m.stop()
        judged = subprocess.run([CHECK, cache], capture_output=True, text=True, timeout=60)
        assert judged.returncode == 0, f"{judged.stdout}{where}"
    print(f"{total} changes, {len(points)} cuts, {lives.died} of them in a life")
    assert lives.died >= len(points) * 0.7      # a life may take fewer changes than the one that was counted
