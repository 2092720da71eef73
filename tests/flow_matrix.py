"""Every fault × every way to read: each cell gets the right bytes, or an errno within its deadline; once the fault is gone, the
right bytes. A row is a fault that all its cells meet at once, each on a cold file of its own; what the hub counted says that
each of them met it.
"""
import contextlib
import os
import threading

import pytest

import models
from conftest import why_not
from flow_faults import BYTES, ON_BYTES, RIGHT, row_id, small_disk
from hub import Hub
from mountlib import PROGRAM, Mount, eventually, stat, xattr
from reading import READS, Readers, plain

SIZE = (1 << 20) + 300_001          # two chunks, the second one odd
SLOW = 3 if "san" in str(PROGRAM) else 1
TIMEOUT = 4 * SLOW                  # the mounts'
CELL = 4 * TIMEOUT + 2              # a read is several accesses, and each may wait once
HEALED = 20 * SLOW                  # a hub that was down is left alone for five seconds
EITHER = "right bytes or EIO"
FIRST_MAY_LIE = "right bytes or EIO, once the first digest is known"
BARRED = "EIO, once the first digest is known; then not asked again for half a minute"


class Arena:
    """A hub, a mount and readers that many rows share."""

    def __init__(self, directory, cdn=False, cache=None):
        self.directory, self.hub, self.rows = directory, Hub(cdn=cdn), 0
        self.mount = Mount(directory, self.hub, cache=cache, timeout=TIMEOUT, args=["--log-level=debug"])
        self.readers = Readers()

    def close(self):
        self.readers.close()
        self.mount.stop()
        self.hub.close()

    def row(self):
        """Cold files, one for each way: {way: (shown, plain)}."""
        self.rows += 1
        body, files = models.big_file(SIZE, seed=9), {}
        for n, way in enumerate(READS):
            files[f"{n}.safetensors"] = b"%08d%04d" % (self.rows, n) + body[12:]
        self.hub.repo(f"matrix/{self.rows}").commit(files)
        pairs = {way: (self.mount.file(f"matrix/{self.rows}", f"{n}.safetensors"),
                       plain(self.directory, f"{self.rows}-{n}", files[f"{n}.safetensors"])) for n, way in enumerate(READS)}
        for shown, _ in pairs.values():
            assert stat(shown).st_size == SIZE
        self.hub.clear_log()
        self.pairs = pairs
        return pairs

    def read(self, pairs):
        """All cells at once: {way: outcome}."""
        pending = {way: self.readers.ask(way, *pair) for way, pair in pairs.items()}
        return {way: p.result(CELL) for way, p in pending.items()}

    def met(self, n, kind):
        """How many answers about the n-th file of the last row were spoiled."""
        etag = self.hub.repo(f"matrix/{self.rows}").blob(f"{n}.safetensors").etag
        asked = self.hub.requests(path_re=rf"matrix/{self.rows}/resolve/.*/{n}\.safetensors|^/{etag}")
        return sum(kind in (q.fault or "").split(",") for q in asked)


@pytest.fixture(scope="module")
def arenas(tmp_path_factory):
    """arenas("hub"), arenas("cdn"): bytes come from the hub itself, or from signed links; "full": onto a disk that is full."""
    if reason := why_not():
        pytest.skip(reason)
    made = {}
    with contextlib.ExitStack() as stack:
        def get(which):
            if which not in made:
                base = tmp_path_factory.mktemp(which)
                disk = stack.enter_context(small_disk(base / "disk", "64m")) if which == "full" else None
                made[which] = Arena(base, cdn=which == "cdn", cache=disk and disk / "cache")
                stack.callback(made[which].close)
            return made[which]
        yield get


# ---- troubles: a context each, in which the cells of a row are read ----

@contextlib.contextmanager
def nothing(arena):
    yield


def on_hub(kind, **args):
    return lambda arena: arena.hub.fault(BYTES, kind, **args)


@contextlib.contextmanager
def wrong_bytes_once_a_file(arena):
    with contextlib.ExitStack() as stack:
        for n in range(len(READS)):
            stack.enter_context(arena.hub.fault(rf"{BYTES}.*/{n}\.safetensors", "wrong_bytes", offset=1_100_000, times=1))
        yield


def on_cdn(kind, **args):
    return lambda arena: arena.hub.fault(".", kind, on="cdn", **args)


@contextlib.contextmanager
def hub_down(arena, after=0.0):
    if after:
        arena.hub.rate(1_000_000)
        timer = threading.Timer(after, arena.hub.down)
        timer.start()
    else:
        arena.hub.down()
    try:
        yield
    finally:
        if after:
            timer.join()
            arena.hub.rate(None)
        arena.hub.up()


@contextlib.contextmanager
def links_that_last(arena, seconds):
    arena.hub.cdn_ttl = seconds
    try:
        yield
    finally:
        arena.hub.cdn_ttl = 3600


@contextlib.contextmanager
def links_revoked_under_way(arena):
    arena.hub.rate(2_000_000)
    timer = threading.Timer(0.2, arena.hub.revoke_links)
    timer.start()
    try:
        yield
    finally:
        timer.join()
        arena.hub.rate(None)


@contextlib.contextmanager
def disk_full(arena, opened=False):
    """Not one more byte, also not for the names of files that are opened only now."""
    with contextlib.ExitStack() as stack:
        for shown, _ in arena.pairs.values() if opened else ():
            stack.enter_context(open(shown, "rb", buffering=0))
        filler = arena.mount.cache.parent / "filler"
        with open(filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(bytes(1 << 16)):
                pass
        stack.callback(filler.unlink)
        yield


# name · arena · trouble · the kind the hub counts, if it can · what each cell gets
ROWS = [
    ("no fault", "hub", nothing, None, RIGHT),
    ("no fault, signed links", "cdn", nothing, None, RIGHT),
    ("no fault, a disk with room", "full", nothing, None, RIGHT),
    *[(row_id(row), "hub", on_hub(row[0], **row[1]), row[0], row[2]) for row in ON_BYTES],
    ("slow drip", "hub", on_hub("slow", rate=200_000), "slow", EITHER),
    ("stall under way", "hub", on_hub("hang_body", after_bytes=250_000), "hang_body", EITHER),
    ("the hub is down", "hub", hub_down, None, "EIO"),
    ("the hub goes down under way", "hub", lambda arena: hub_down(arena, 0.4), None, EITHER),
    ("429 once", "hub", on_hub("status", code=429, retry_after=1, times=len(READS)), None, EITHER),
    ("wrong bytes once", "hub", wrong_bytes_once_a_file, "wrong_bytes", FIRST_MAY_LIE),
    ("wrong bytes always", "hub", on_hub("wrong_bytes", offset=1_100_000), "wrong_bytes", BARRED),
    ("links that have expired", "cdn", lambda arena: links_that_last(arena, -1), None, "EIO"),
    ("links that expire at once", "cdn", lambda arena: links_that_last(arena, 1), None, RIGHT),
    ("links revoked under way", "cdn", links_revoked_under_way, None, RIGHT),
    ("cdn status 503", "cdn", on_cdn("status", code=503), "status", "EIO"),
    ("cdn hang", "cdn", on_cdn("hang"), "hang", "EIO"),
    ("cdn stall", "cdn", on_cdn("hang_body", after_bytes=500_000), "hang_body", EITHER),
    ("cdn drop", "cdn", on_cdn("drop"), "drop", "EIO"),
    ("cdn reset under way", "cdn", on_cdn("reset", after_bytes=700_000), "reset", RIGHT),
    ("cdn cut", "cdn", on_cdn("cut_body", after_bytes=700_000), "cut_body", RIGHT),
    ("cdn html", "cdn", on_cdn("html"), "html", "EIO"),
    ("cdn etag changes", "cdn", on_cdn("etag_changes"), "etag_changes", EITHER),
    ("cdn ignores ranges", "cdn", on_cdn("ignore_range"), "ignore_range", RIGHT),
    ("cdn wrong range", "cdn", on_cdn("wrong_content_range", shift=4096), "wrong_content_range", "EIO"),
    ("cdn wrong size", "cdn", on_cdn("size_lies", delta=7), "size_lies", "EIO"),
    ("the disk is full", "full", lambda arena: disk_full(arena, True), None, RIGHT),
    ("the disk was full before", "full", disk_full, None, RIGHT),
]


def fits(outcome, expected):
    if outcome.wrong:
        return False
    if outcome.right:
        return RIGHT in expected
    return outcome.error == expected or outcome.error == "EIO" and expected != RIGHT


def heals(arena, pairs):
    left = dict(pairs)

    def all_right():
        for way, outcome in arena.read(left).items():
            assert not outcome.wrong, f"{way}: wrong bytes after the fault\n{arena.mount.log_text()[-5000:]}"
            if outcome.right:
                del left[way]
        return not left
    assert eventually(all_right, HEALED, 0.2), f"the fault is gone, but not for {list(left)}\n{arena.mount.log_text()[-5000:]}"
    for way, pair in pairs.items():
        assert eventually(lambda: is_sealed(arena, *pair), every=0.2), f"{way}: never sealed"


def is_sealed(arena, shown, plain):
    """If not, it is read once more, by the daemon: the kernel may have pages of it that the cache did not keep."""
    if xattr(shown, "user.matrixfs.sealed") == "1":
        return True
    with open(shown, "rb", buffering=0) as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    arena.readers.read("sequential", shown, plain, seconds=CELL)
    return False


def provoked(arena, pairs):
    """Reads that may get what is wrong: until its digest is known, nobody can tell. Then it is known, for good."""
    def known():
        pending = [arena.readers.ask("sequential", *pair) for pair in pairs.values()]
        return not any(p.result(CELL).wrong for p in pending)
    assert eventually(known, HEALED), "wrong bytes are given again and again"


@pytest.mark.parametrize("title, which, trouble, kind, expected", ROWS, ids=[row[0] for row in ROWS])
def test_row(arenas, title, which, trouble, kind, expected):
    arena = arenas(which)
    pairs = arena.row()
    with trouble(arena):
        if expected in (FIRST_MAY_LIE, BARRED):
            provoked(arena, pairs)
        seen = arena.read(pairs)
        bad = [f"{way}: {outcome}" for way, outcome in seen.items() if not fits(outcome, expected)]
        assert not bad, f"expected {expected}: {bad}\n{arena.mount.log_text()[-8000:]}"
        met = [arena.met(n, kind) for n in range(len(READS))] if kind else [1]
        assert any(met), "nobody met the fault"
        # A hub in trouble is asked less at once: who had to wait for his turn till the end did not meet it himself.
        spared = [way for way, times in zip(READS, met) if not times and seen[way].right]
        assert not spared, f"never met the fault: {spared}"
    if expected != BARRED:
        heals(arena, pairs)
    else:
        assert not [way for way, (shown, _) in pairs.items() if xattr(shown, "user.matrixfs.sealed") == "1"]
    assert arena.mount.alive() and not arena.mount.logged("ssertion|Sanitizer")
    if trouble is nothing:
        assert not arena.mount.logged("^<[0-3]>") or arena.rows > 1
        assert arena.hub.bytes_sent(path_re=f"matrix/{arena.rows}/resolve|^/[0-9a-f]{{64}}") >= SIZE * len(READS)
