"""Every fault × every way to read: each cell gets the right bytes, or an errno within its deadline; once the fault is gone, the
right bytes. A row is a fault that all its cells meet at once, each on a cold file of its own; what the hub counted, or what the
disk holds, says that each of them met it.

With --verify=strict the law is stricter: no wrong byte ever, and not one byte before all of a file are known to be right.
MATRIX_WAYS=all reads in every way there, too.
"""
import contextlib
import os
import threading

import pytest

import models
from conftest import why_not
from control import Control
from flow_faults import BYTES, ON_BYTES, RIGHT, row_id, small_disk
from hub import Hub
from mountlib import PROGRAM, Mount, eventually, stat, xattr
from reading import READS, VERIFIED, Readers, plain

SIZE = (1 << 20) + 300_001          # two chunks, the second one odd
SLOW = 3 if "san" in str(PROGRAM) else 1
TIMEOUT = 4 * SLOW                  # the mounts'
CELL = 4 * TIMEOUT + 2              # a read is several accesses, and each may wait once
HEALED = 20 * SLOW                  # a hub that was down is left alone for five seconds
EITHER = "right bytes or EIO"
FIRST_MAY_LIE = "right bytes or EIO, once the first digest is known"
BARRED = "EIO, once the first digest is known; then not asked again for half a minute"
NOT_KEPT = "right bytes, past the cache; if only verified ones may be had, none"
STRICT_WAYS = READS if os.environ.get("MATRIX_WAYS") == "all" else ["pread", "mmap", "8 threads, one handle"]


class Arena:
    """A hub, a mount and readers that many rows share."""

    def __init__(self, directory, cdn=False, cache=None, strict=False):
        self.directory, self.hub, self.rows, self.strict = directory, Hub(cdn=cdn), 0, strict
        self.ways = [*STRICT_WAYS, VERIFIED] if strict else READS
        self.mount = Mount(directory, self.hub, cache=cache, timeout=TIMEOUT,
                           args=["--log-level=debug", *(["--verify=strict"] if strict else [])])
        self.readers = Readers()

    def close(self):
        self.readers.close()
        self.mount.stop()
        self.hub.close()

    def row(self):
        """Cold files, one for each way: {way: (shown, plain)}."""
        self.rows += 1
        body, files = models.big_file(SIZE, seed=9), {}
        for n, way in enumerate(self.ways):
            files[f"{n}.safetensors"] = b"%08d%04d" % (self.rows, n) + body[12:]
        self.hub.repo(f"matrix/{self.rows}").commit(files)
        pairs = {way: (self.mount.file(f"matrix/{self.rows}", f"{n}.safetensors"),
                       plain(self.directory, f"{self.rows}-{n}", files[f"{n}.safetensors"])) for n, way in enumerate(self.ways)}
        for shown, _ in pairs.values():
            assert stat(shown).st_size == SIZE
        self.hub.clear_log()
        self.pairs = pairs
        return pairs

    def read(self, pairs):
        """All cells at once: {way: outcome}."""
        pending = {way: self.readers.ask(way, *pair) for way, pair in pairs.items()}
        return {way: p.result(CELL) for way, p in pending.items()}

    def etag(self, n):
        return self.hub.repo(f"matrix/{self.rows}").blob(f"{n}.safetensors").etag

    def about(self, n):
        """A pattern for requests that want bytes of the n-th file of this row."""
        return rf"matrix/{self.rows}/resolve/.*/{n}\.safetensors|/{self.etag(n)}"

    def asked(self, n):
        return self.hub.requests(path_re=self.about(n))


@pytest.fixture(scope="module")
def arenas(tmp_path_factory):
    """arenas("hub"), arenas("cdn"): bytes come from the hub itself, or from signed links; "full": onto a disk that is full."""
    if reason := why_not():
        pytest.skip(reason)
    made = {}
    with contextlib.ExitStack() as stack:
        def get(which, strict):
            if (which, strict) not in made:
                base = tmp_path_factory.mktemp(which)
                disk = stack.enter_context(small_disk(base / "disk", "64m")) if which == "full" else None
                made[which, strict] = Arena(base, cdn=which == "cdn", cache=disk and disk / "cache", strict=strict)
                stack.callback(made[which, strict].close)
            return made[which, strict]
        yield get


# ---- troubles: a context each, in which the cells of a row are read ----

@contextlib.contextmanager
def nothing(arena):
    yield


def on_hub(kind, **args):
    return lambda arena: arena.hub.fault(BYTES, kind, **args)


def once_a_file(kind, on="hub", **args):
    @contextlib.contextmanager
    def trouble(arena):
        with contextlib.ExitStack() as stack:
            for n in range(len(arena.ways)):
                stack.enter_context(arena.hub.fault(arena.about(n), kind, on=on, times=1, **args))
            yield
    return trouble


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
def links_that_have_expired(arena):
    arena.hub.cdn_ttl = -1
    try:
        yield
    finally:
        arena.hub.cdn_ttl = 3600


@contextlib.contextmanager
def links_that_expire_under_way(arena):
    """Each first answer breaks off when its link is a second too old."""
    arena.hub.cdn_ttl = 1
    try:
        with once_a_file("cut_body", "cdn", after_bytes=700_000)(arena), once_a_file("slow", "cdn", rate=350_000)(arena):
            yield
    finally:
        arena.hub.cdn_ttl = 3600


@contextlib.contextmanager
def links_revoked_under_way(arena):
    """Each first answer breaks off, and its link is refused to who wants to go on."""
    with once_a_file("cut_body", "cdn", after_bytes=700_000)(arena), once_a_file("status", "cdn", code=403, after=1)(arena):
        yield


@contextlib.contextmanager
def disk_full(arena, opened=False):
    """Not one more byte, also not for the names of files that are opened only now, and nothing to make room of."""
    for row in range(1, arena.rows):
        Control(arena.mount).post("/v1/evict", {"repo": f"matrix/{row}"})
    with contextlib.ExitStack() as stack:
        for shown, _ in arena.pairs.values() if opened else ():
            stack.enter_context(open(shown, "rb", buffering=0))
        filler = arena.mount.cache.parent / "filler"
        with open(filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(bytes(1 << 16)):
                pass
        stack.callback(filler.unlink)
        yield


# ---- proofs: how often the n-th file of a row met its trouble ----

def counted(*kinds):
    """By the hub, for each of these kinds of fault."""
    return lambda arena, n: min(sum(kind in (q.fault or "").split(",") for q in arena.asked(n)) for kind in kinds)


def unspoiled(arena, n):
    """No fault at all: the bytes came once, and by one link."""
    asked = arena.asked(n)
    assert not any(q.fault for q in asked) and sum(q.status == 302 for q in asked) <= 1
    return sum(q.bytes_sent for q in asked if q.status in (200, 206)) >= SIZE


def nobody_listens(arena, n):
    return not arena.hub.server.listener and not arena.asked(n)


def link_refused(arena, n):
    return sum(q.on == "cdn" and q.status == 403 for q in arena.asked(n))


def link_asked_for_again(arena, n):
    return counted("cut_body", "slow")(arena, n) and sum(q.status == 302 for q in arena.asked(n)) > 1


def nothing_kept(arena, n):
    """There is no room, and the cache has not all the bytes that were read."""
    space, data = os.statvfs(arena.mount.cache), arena.mount.cached(arena.etag(n))
    return not space.f_bavail and (not data.exists() or data.stat().st_blocks * 512 < SIZE)


# name · arena · trouble · its proof · what each cell gets
ROWS = [
    ("no fault", "hub", nothing, unspoiled, RIGHT),
    ("no fault, signed links", "cdn", nothing, unspoiled, RIGHT),
    ("no fault, a disk with room", "full", nothing, unspoiled, RIGHT),
    *[(row_id(row), "hub", on_hub(row[0], **row[1]), counted(row[0]), row[2]) for row in ON_BYTES],
    ("slow drip", "hub", on_hub("slow", rate=200_000), counted("slow"), EITHER),
    ("stall under way", "hub", on_hub("hang_body", after_bytes=250_000), counted("hang_body"), EITHER),
    ("the hub is down", "hub", hub_down, nobody_listens, "EIO"),
    ("the hub goes down under way", "hub", lambda arena: hub_down(arena, 0.4), counted("down"), EITHER),
    ("429 once", "hub", once_a_file("status", code=429, retry_after=1), counted("status"), EITHER),
    ("wrong bytes once", "hub", once_a_file("wrong_bytes", offset=1_100_000), counted("wrong_bytes"), FIRST_MAY_LIE),
    ("wrong bytes always", "hub", on_hub("wrong_bytes", offset=1_100_000), counted("wrong_bytes"), BARRED),
    ("links that have expired", "cdn", links_that_have_expired, link_refused, "EIO"),
    ("links that expire under way", "cdn", links_that_expire_under_way, link_asked_for_again, RIGHT),
    ("links revoked under way", "cdn", links_revoked_under_way, counted("cut_body", "status"), RIGHT),
    ("cdn status 503", "cdn", on_cdn("status", code=503), counted("status"), "EIO"),
    ("cdn hang", "cdn", on_cdn("hang"), counted("hang"), "EIO"),
    ("cdn stall", "cdn", on_cdn("hang_body", after_bytes=500_000), counted("hang_body"), EITHER),
    ("cdn drop", "cdn", on_cdn("drop"), counted("drop"), "EIO"),
    ("cdn reset under way", "cdn", on_cdn("reset", after_bytes=700_000), counted("reset"), RIGHT),
    ("cdn cut", "cdn", on_cdn("cut_body", after_bytes=700_000), counted("cut_body"), RIGHT),
    ("cdn html", "cdn", on_cdn("html"), counted("html"), "EIO"),
    ("cdn etag changes", "cdn", on_cdn("etag_changes"), counted("etag_changes"), EITHER),
    ("cdn ignores ranges", "cdn", on_cdn("ignore_range"), counted("ignore_range"), RIGHT),
    ("cdn wrong range", "cdn", on_cdn("wrong_content_range", shift=4096), counted("wrong_content_range"), "EIO"),
    ("cdn wrong size", "cdn", on_cdn("size_lies", delta=7), counted("size_lies"), "EIO"),
    ("the disk is full", "full", lambda arena: disk_full(arena, True), nothing_kept, NOT_KEPT),
    ("the disk was full before", "full", disk_full, nothing_kept, NOT_KEPT),
]


def fits(outcome, expected, strict):
    if outcome.wrong:
        return False
    if expected == NOT_KEPT:
        return outcome.error in ("EIO", "ENOSPC") if strict else outcome.right
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


@pytest.mark.parametrize("title, which, trouble, proof, expected", ROWS, ids=[row[0] for row in ROWS])
@pytest.mark.parametrize("verify", ["stream", "strict"])
def test_row(arenas, verify, title, which, trouble, proof, expected):
    strict = verify == "strict"
    arena = arenas(which, strict)
    pairs = arena.row()
    with trouble(arena):
        if expected in (FIRST_MAY_LIE, BARRED) and not strict:
            provoked(arena, pairs)
        seen = arena.read(pairs)
        bad = [f"{way}: {outcome}" for way, outcome in seen.items() if not fits(outcome, expected, strict)]
        assert not bad, f"expected {expected}: {bad}\n{arena.mount.log_text()[-8000:]}"
        met = [proof(arena, n) for n in range(len(arena.ways))]
        assert any(met), "nobody met the fault"
        # A hub in trouble is asked less at once: who had to wait for his turn till the end did not meet it himself.
        spared = [way for way, times in zip(arena.ways, met) if not times and seen[way].right]
        assert not spared, f"never met the fault: {spared}"
    if expected != BARRED:
        heals(arena, pairs)
    else:
        assert not [way for way, (shown, _) in pairs.items() if xattr(shown, "user.matrixfs.sealed") == "1"]
    assert arena.mount.alive() and not arena.mount.logged("ssertion|Sanitizer")
    if trouble is nothing:
        assert not arena.mount.logged("^<[0-3]>") or arena.rows > 1


# ---- as good as nothing comes ----

@contextlib.contextmanager
def limit_of(arena, bytes_per_s):
    put = Control(arena.mount).ask
    assert put("PUT", "/v1/limits", {"total": bytes_per_s})[0] == 200
    try:
        yield
    finally:
        assert put("PUT", "/v1/limits", {"total": 0})[0] == 200


@pytest.mark.parametrize("trouble", [lambda arena: limit_of(arena, 1), on_hub("slow", rate=3000), on_hub("slow", rate=12_000)],
                         ids=["limit", "trickle", "faster trickle"])
def test_as_good_as_nothing_costs_one_timeout(arenas, trouble):
    """After the error of a large read the kernel asks once more for each page of it: nobody waits for those."""
    arena = arenas("hub", False)
    pairs = {way: pair for way, pair in arena.row().items() if way in ("sequential", "mmap", "sendfile", "O_DIRECT", "readahead")}
    with trouble(arena):
        pending = {way: arena.readers.ask(way, *pair) for way, pair in pairs.items()}
        took = {way: (str(p.result(CELL)), p.seconds) for way, p in pending.items()}
    # A second one where two accesses were under way, one after the other; pages are hundreds.
    assert all(outcome == "EIO" and seconds < 2.5 * TIMEOUT + SLOW for outcome, seconds in took.values()), took
    heals(arena, pairs)


def test_what_comes_slowly_is_waited_for(arenas):
    arena = arenas("hub", False)
    pairs = {way: pair for way, pair in arena.row().items() if way in ("sequential", "mmap", "sendfile")}
    with arena.hub.fault(BYTES, "slow", rate=int(SIZE / TIMEOUT / 1.5)):
        pending = [arena.readers.ask(way, *pair) for way, pair in pairs.items()]
        assert [str(p.result(3 * CELL)) for p in pending] == ["right bytes"] * 3
        assert min(p.seconds for p in pending) > TIMEOUT
