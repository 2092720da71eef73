"""What is kept stays right and stays within bounds: pins, eviction, scrub, strict verification, bit rot anywhere, older formats."""
import concurrent.futures
import contextlib
import os
import random
import threading
import time

import pytest

import models
from control import Control
from flow_faults import small_disk
from mountlib import eventually, fails, read, xattr

MIB = 1 << 20
WHOLE, HALF = models.big_file(3 * MIB + 5, seed=700), models.big_file(12 * MIB + 9, seed=701)
LARGE = models.big_file(160 * MIB, seed=702)
SMALL = b'{"model_type": "bert"}'
RANGE = r"GET .*/resolve/"
SEED = int(os.environ.get("MATRIXFS_SEED", time.time()))
FLIPS = int(os.environ.get("ROT_FLIPS", 14))


@pytest.fixture
def one(hub):
    hub.repo("org/one").commit({"config.json": SMALL, "whole.safetensors": WHOLE, "half.safetensors": HALF})
    return hub


@pytest.fixture
def again(mount, hub, tmp_path):
    """again(…): the next mount on the same cache."""
    return lambda *args, **kw: mount(kw.pop("hub", hub), cache=tmp_path / "cache", timeout=kw.pop("timeout", 10), args=args, **kw)


def sealed(path, seconds=20):
    return eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1", seconds)


def of_one(m, name="whole.safetensors"):
    return m.file("org/one", name)


def scrub(m):
    """A scrub, after its end."""
    c = Control(m)
    return c.finish(c.post("/v1/scrub"))


def flip(path, at, bit):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))


# ---- bit rot ----

def spots(cache, dice, each):
    """(file, offset, bit) all over a cache: `each` in every file, the small ones and the heads of the others more densely."""
    for path in sorted(p for p in cache.rglob("*") if p.is_file() and p.stat().st_size):
        size = path.stat().st_size
        for n in range(each):
            yield path, dice.randrange(min(size, 4096) if n % 2 else size), dice.randrange(8)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_bit_flips_anywhere(one, again, how):
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    m = again()
    cache, half = m.cache, m.cached(one.repo("org/one").blob("half.safetensors").etag)

    def fill(m):
        assert read(of_one(m)) == WHOLE and sealed(of_one(m))
        for off in (0, 4 * MIB, 9 * MIB):
            read(of_one(m, "half.safetensors"), off, 1000, step=1000)
    fill(m)
    m.stop() if how == "stop" else (m.crash(), m.kill())
    for path, at, bit in dice.sample(list(spots(cache, dice, 30)), FLIPS):
        # Of a sealed file a scrub is to find it; of any other already the first read.
        half_is_sealed = half.with_name(half.name + ".sums").exists()
        flip(path, at, bit)
        where = f"bit {bit} of byte {at} of {path.relative_to(cache)}"
        m = again()
        rotten = path.name[:64] != one.repo("org/one").blob("half.safetensors").etag or not half_is_sealed
        assert not rotten or read(of_one(m, "half.safetensors")) == HALF, where
        done = scrub(m)
        assert done["state"] == "done" and done["bad"] == 0, f"{where}: {done}"
        assert read(of_one(m)) == WHOLE and sealed(of_one(m)), f"{where}: {done}"
        assert read(of_one(m, "half.safetensors")) == HALF and read(of_one(m, "config.json")) == SMALL, where
        m.stop()
        # Half of it again, for the next flip.
        for suffix in ("", ".sums"):
            half.with_name(half.name + suffix).unlink(missing_ok=True)
        m = again()
        fill(m)
        m.stop() if how == "stop" else (m.crash(), m.kill())


def test_nothing_is_fetched_twice_when_the_index_is_lost(one, again):
    m = again()
    assert read(of_one(m)) == WHOLE and sealed(of_one(m))
    assert read(of_one(m, "config.json")) == SMALL and sealed(of_one(m, "config.json"))
    m.stop()
    for file in (m.cache / "index").iterdir():
        file.unlink()
    one.clear_log()
    m = again()
    assert read(of_one(m)) == WHOLE and sealed(of_one(m))
    assert read(of_one(m, "config.json")) == SMALL
    assert one.bytes_sent(path_re="/resolve/") == 0


# ---- pins ----

def test_a_pin_is_fetched_whole_kept_and_goes_on_after_a_restart(one, again):
    m = again("--cache-size=32MiB")
    one.down()
    Control(m).post("/v1/pin", {"repo": "org/one"})
    m.stop()
    one.up()
    m = again("--cache-size=32MiB")          # nobody asks again
    assert eventually(lambda: m.file("org/one", "half.safetensors").exists() and sealed(of_one(m, "half.safetensors"), 1)
                      and sealed(of_one(m), 1), 30), m.log_text()
    one.repo("org/large").commit({"large.safetensors": LARGE})
    assert read(m.file("org/large", "large.safetensors")) == LARGE
    one.clear_log()
    one.down()
    assert read(of_one(m)) == WHOLE and read(of_one(m, "half.safetensors")) == HALF
    assert "pinned" in str(Control(m).get("/v1/cache"))
    # The twin: unpinned, it goes like all others.
    Control(m).post("/v1/unpin", {"repo": "org/one"})
    Control(m).post("/v1/evict", {"repo": "org/one"})
    assert fails(read, of_one(m)) == "EIO"


# ---- room ----

def used(cache):
    return sum(p.stat().st_blocks * 512 for p in (cache / "blobs").rglob("*") if p.is_file())


@contextlib.contextmanager
def full(directory):
    """Not a byte fits in there any more."""
    filler = os.open(directory / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(filler, bytes(4096))
    os.close(filler)
    try:
        yield
    finally:
        (directory / "filler").unlink()


def test_a_pin_of_what_a_full_disk_did_not_write_down_holds(one, mount, tmp_path):
    with small_disk(tmp_path / "disk", "48m") as disk:
        m = mount(one, cache=disk / "cache", timeout=10)
        with full(disk):
            assert sorted(os.listdir(m.file("org/one"))) == ["config.json", "half.safetensors", "whole.safetensors"]
            assert Control(m).refused("POST", "/v1/pin", {"repo": "org/one"})[0] >= 400 or \
                eventually(lambda: Control(m).get("/v1/jobs")["jobs"][-1]["state"] == "failed")
        c = Control(m)
        assert c.finish(c.post("/v1/pin", {"repo": "org/one"}))["state"] == "done"
        assert c.why(of_one(m))["pinned"]
        m.stop()
        m = mount(one, cache=disk / "cache", timeout=10)
        assert Control(m).why(of_one(m))["pinned"]
        m.stop()


def test_a_pin_stays_when_the_cache_is_given_less_than_it_takes(one, again):
    m = again()
    c = Control(m)
    assert c.finish(c.post("/v1/pin", {"repo": "org/one"}))["state"] == "done"
    m.stop()
    m = again("--cache-size=2MiB")
    c = Control(m)
    assert c.finish(c.post("/v1/pin", {"repo": "org/one"}))["state"] == "done"      # and may be asked for again
    time.sleep(1)
    assert c.why(of_one(m))["pinned"] and sealed(of_one(m))
    m.stop()
    # The twin: what is not pinned yet cannot be.
    one.repo("org/two").commit({"whole.safetensors": WHOLE[::-1]})
    m = again("--cache-size=2MiB")
    c = Control(m)
    assert c.finish(c.post("/v1/pin", {"repo": "org/two"}))["state"] == "failed"
    assert not c.why(m.file("org/two", "whole.safetensors"))["pinned"]


def test_one_open_file_larger_than_the_cache(hub, again):
    hub.repo("org/large").commit({"large.safetensors": LARGE})
    m = again("--cache-size=96MiB")
    path, most = m.file("org/large", "large.safetensors"), 0
    with open(path, "rb", buffering=0) as f:
        for off in range(0, len(LARGE), MIB):
            assert os.pread(f.fileno(), MIB, off) == LARGE[off:off + MIB], off
            most = max(most, used(m.cache))
            time.sleep(0.06)
    assert most < 148 * MIB, most       # chunks behind the reader went while it read
    assert xattr(path, "user.matrixfs.sealed") != "1"
    assert read(path, 0, 5 * MIB) == LARGE[:5 * MIB]


def test_wrong_bytes_that_had_no_room_are_gone_with_the_next_open(one, mount, tmp_path):
    for at in 2_500_000, 5:     # what did not fit, and what did
        m = mount(one, args=["--cache-size=1MiB"], timeout=10, cache=tmp_path / f"cache{at}")
        with one.fault(RANGE, "wrong_bytes", offset=at) as fault:
            assert read(of_one(m)) != WHOLE and fault.hits      # nobody digests what is not kept
        assert eventually(lambda: read(of_one(m)) == WHOLE, 5), m.log_text()
        m.stop()


@pytest.mark.parametrize("limit", [1, 64])
def test_the_kernel_keeps_for_others_what_is_kept(one, again, limit):
    m = again(f"--cache-size={limit}MiB", passthrough=False)
    asked = lambda: sum(Control(m).metrics().value("reads_total", result=how) for how in ("hit", "waited"))
    with open(of_one(m), "rb") as first:
        assert first.read() == WHOLE
        before = asked()
        assert read(of_one(m)) == WHOLE
        assert (asked() == before) == (limit == 64)


# ---- scrub ----

def test_a_scrub_mends_what_the_kernel_reads_by_itself(one, again):
    m = again()
    assert read(of_one(m)) == WHOLE and sealed(of_one(m))
    etag = one.repo("org/one").blob("whole.safetensors").etag
    flip(m.cached(etag), MIB + 3, 1)
    one.clear_log()
    done = scrub(m)
    assert done["state"] == "done" and done["bad"] == 0, done
    assert one.bytes_sent(path_re="/resolve/") == MIB       # that chunk alone
    assert sealed(of_one(m)) and read(of_one(m)) == WHOLE
    assert m.cached(etag).read_bytes() == WHOLE


def test_what_a_scrub_cannot_mend_is_not_served(one, again):
    m = again()
    assert read(of_one(m)) == WHOLE and sealed(of_one(m))
    flip(m.cached(one.repo("org/one").blob("whole.safetensors").etag), MIB + 3, 1)
    one.down()
    done = scrub(m)
    assert done["state"] == "done" and done["bad"] == 1, done
    assert fails(read, of_one(m)) == "EIO"
    assert read(of_one(m), 0, MIB) == WHOLE[:MIB]
    one.up()
    assert eventually(lambda: fails(read, of_one(m)) is None, 30) and read(of_one(m)) == WHOLE


@pytest.mark.parametrize("flipped", [True, False], ids=["flipped", "sound"])
def test_rot_in_a_part_that_somebody_holds_open_is_mended_and_the_kernel_forgets_it(one, again, flipped):
    m = again("--prefetch=no")
    with open(of_one(m, "half.safetensors"), "rb", buffering=0) as f:
        want = HALF[4 * MIB:5 * MIB]
        assert os.pread(f.fileno(), MIB, 4 * MIB) == want
        if flipped:
            flip(m.cached(one.repo("org/one").blob("half.safetensors").etag), 4 * MIB + 3, 1)
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        now = os.pread(f.fileno(), MIB, 4 * MIB)        # what came only just is not compared
        one.clear_log()
        done = scrub(m)
        assert done["state"] == "done" and done["bad"] == 0, done
        assert eventually(lambda: os.pread(f.fileno(), MIB, 4 * MIB) == want, 5), m.log_text()
        assert one.bytes_sent(path_re="/resolve/") == (MIB if flipped and now != want else 0)
        assert flipped or now == want


# ---- verification ----

@pytest.mark.parametrize("held", [True, False], ids=["read past us", "not open"])
def test_rot_that_cannot_be_mended_now_is_given_to_nobody_and_mended_later(one, again, held):
    m = again()
    path = of_one(m)
    assert read(path) == WHOLE and sealed(path)
    fd = os.open(path, os.O_RDONLY) if held else None
    flip(m.cached(one.repo("org/one").blob("whole.safetensors").etag), 2 * MIB + 7, 3)
    one.down()
    assert scrub(m)["bad"] == 1
    assert fails(lambda: read(path)) == "EIO"
    one.up()
    assert eventually(lambda: not fails(lambda: read(path)) and sealed(path, 0.5), 30), m.log_text()
    assert read(path) == WHOLE
    if held:
        assert os.pread(fd, 100, 2 * MIB) == WHOLE[2 * MIB:2 * MIB + 100]
        os.close(fd)


def test_a_pin_is_made_whole_again_when_its_hub_is_back(one, again):
    m = again()
    c, path = Control(m), of_one(m)
    assert c.finish(c.post("/v1/pin", {"repo": "org/one"}))["state"] == "done"
    flip(m.cached(one.repo("org/one").blob("whole.safetensors").etag), 2 * MIB + 7, 3)
    one.down()
    assert scrub(m)["bad"] == 1
    one.up()
    assert sealed(path, 40), m.log_text()        # nobody has read it


def test_strict_gives_nothing_before_the_digest(one, again):
    m = again("--verify=strict")
    with one.fault(RANGE, "wrong_bytes", offset=1_500_000, times=1):
        assert read(of_one(m)) == WHOLE         # the wrong bytes reached nobody
    assert m.logged("do not match their digest")
    assert sealed(of_one(m))


def test_without_strict_the_first_bytes_come_first(one, again):
    m = again("--verify=stream")
    with one.fault(r"GET .*/resolve/.*half", "slow", rate=MIB):
        assert read(of_one(m, "half.safetensors"), 0, 4096, seconds=3) == HALF[:4096]
        assert xattr(of_one(m, "half.safetensors"), "user.matrixfs.sealed") != "1"


def test_strict_waits_longer_than_the_time_out_while_bytes_come(one, again):
    m = again("--verify=strict", timeout=2)
    one.rate(MIB)
    begun = time.monotonic()
    assert read(of_one(m, "half.safetensors"), 0, 10) == HALF[:10]
    assert time.monotonic() - begun > 2.5
    one.rate(None)


# ---- formats ----

def test_a_newer_cache_is_refused_and_left_alone(one, again):
    m = again()
    assert read(of_one(m)) == WHOLE and sealed(of_one(m))
    m.stop()
    version = m.cache / "version"
    was = version.read_text()
    version.write_text("matrixfs-cache 9\n")
    (m.cache / "index").rename(m.cache.parent / "index")    # which would know better
    m = again(expect_fail=True)
    assert m.status == 1 and m.logged("has format version 9 and this matrixfs knows")
    assert not list((m.cache / "index").iterdir()) and version.read_text() == "matrixfs-cache 9\n"
    (m.cache / "index").rmdir()
    (m.cache.parent / "index").rename(m.cache / "index")
    version.write_text(was)
    one.clear_log()
    assert read(of_one(again())) == WHOLE and one.bytes_sent(path_re="/resolve/") == 0


# ---- the limit ----

INDEX = 4 * MIB         # of which no limit speaks


def least_free_while(disk, job):
    """The fewest bytes its disk had free while job() ran, and its result. The disk tells all at once: files that come
    and go while they are added up would count twice."""
    least, done = os.statvfs(disk).f_bfree * 4096, threading.Event()

    def watch():
        nonlocal least
        while not done.is_set():
            least = min(least, os.statvfs(disk).f_bfree * 4096)
            time.sleep(0.001)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            result = job()
        finally:
            done.set()
        watching.result()
    return least, result


@pytest.mark.parametrize("limit", [24, 0])
def test_a_reader_faster_than_eviction_never_takes_more_than_the_limit(hub, mount, tmp_path, limit):
    others = {f"part{n}.bin": models.big_file(9 * MIB, seed=720 + n) for n in range(3)}
    hub.repo("org/large").commit({"large.safetensors": LARGE} | others)
    with small_disk(tmp_path / "disk", "256m") as disk:
        m = mount(hub, cache=disk / "cache", args=(f"--cache-size={limit}MiB",), timeout=10)
        for name, data in others.items():
            assert read(m.file("org/large", name)) == data
        free, data = least_free_while(disk, lambda: read(m.file("org/large", "large.safetensors"), seconds=120))
        assert data == LARGE, m.log_text()
        most = 256 * MIB - free
        assert most <= limit * MIB + INDEX if limit else most >= len(LARGE), most
        assert bool(limit) == bool(m.logged("fills the cache")), m.log_text()
        m.stop()


@pytest.mark.parametrize("min_free", [60, 0])
def test_what_stays_free_of_the_disk_stays_free(hub, mount, tmp_path, min_free):
    hub.repo("org/large").commit({"large.safetensors": LARGE})
    with small_disk(tmp_path / "disk", "200m") as disk:
        m = mount(hub, cache=disk / "cache", args=(f"--cache-min-free={min_free}MiB",), timeout=10)
        free, data = least_free_while(disk, lambda: read(m.file("org/large", "large.safetensors"), seconds=120))
        assert data == LARGE, m.log_text()
        assert free >= min_free * MIB - MIB // 4 if min_free else free <= 200 * MIB - len(LARGE), free
        m.stop()


def test_a_pin_beside_which_the_others_have_no_room_is_refused_and_says_why(hub, again):
    for n in range(2):
        hub.repo(f"org/pin{n}").commit({"w.safetensors": models.big_file(10 * MIB, seed=730 + n)})
    m = again("--cache-size=16MiB")
    c = Control(m)
    assert c.finish(c.post("/v1/pin", {"repo": "org/pin0"}))["state"] == "done"
    refused = c.finish(c.post("/v1/pin", {"repo": "org/pin1"}))
    assert refused["state"] == "failed" and "pins would take more than the cache may" in str(refused), refused
    m.stop()
    m = again("--cache-size=32MiB")
    c = Control(m)
    assert c.finish(c.post("/v1/pin", {"repo": "org/pin1"}))["state"] == "done"


@pytest.mark.parametrize("held", [True, False], ids=["open", "closed"])
def test_a_pin_waits_for_the_room_that_open_files_take(hub, again, held):
    for n in range(2):
        hub.repo(f"org/pin{n}").commit({"w.safetensors": models.big_file(10 * MIB, seed=740 + n)})
    m = again("--cache-size=16MiB")
    path = m.file("org/pin0", "w.safetensors")
    read(path)
    assert sealed(path)
    c, fd = Control(m), os.open(path, os.O_RDONLY)
    if not held:
        os.close(fd)
    job = c.post("/v1/pin", {"repo": "org/pin1"})
    if held:
        assert eventually(lambda: "may take no more" in (c.get(f"/v1/jobs/{job['id']}")["error"] or ""))
        assert c.get(f"/v1/jobs/{job['id']}")["state"] == "running"
        os.close(fd)
    assert c.finish(job)["state"] == "done"
