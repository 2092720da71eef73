"""How many requests at once, whose turn it is, and how fast: on a real mount, told by the hub's record."""
import os
import threading
import time

import pytest

import models
from mountlib import eventually, read, stat

MIB = 1 << 20
BYTES = r"/resolve/"
REPO = "org/wide"
BIG = models.big_file(64 * MIB, seed=1)
SMALL = models.big_file(3 * MIB, seed=2)
# Guesses about other files would blur the counts.
ALONE = ["--prefetch=no"]


@pytest.fixture
def wide(hub):
    hub.repo(REPO).commit({"a.bin": BIG, "b.bin": BIG[::-1], "c.bin": SMALL})
    return hub


def together(*calls):
    """Runs them at once; what each returned."""
    got = [None] * len(calls)

    def run(n, call):
        got[n] = call()
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


# ---- how many at once ----

def test_where_each_connection_is_slow_there_are_soon_more(wide, mount):
    m = mount(wide, args=ALONE, timeout=60)
    wide.rate(2 * MIB)
    assert read(m.file(REPO, "a.bin"), seconds=60) == BIG
    assert wide.at_once(BYTES) > 6


@pytest.mark.parametrize("memory, fits", [("4MiB", 8), ("64MiB", 128)])
def test_requests_are_as_many_as_their_memory(wide, mount, memory, fits):
    """Sixteen files at once, each waited for: not their number decides, but the budget."""
    files = [models.big_file(3 * MIB, seed=100 + n) for n in range(16)]
    for n, data in enumerate(files):
        wide.repo(f"org/many{n}").commit({"m.bin": data})
    m = mount(wide, args=[*ALONE, f"--memory={memory}"], timeout=60)
    wide.rate(MIB)
    paths = [m.file(f"org/many{n}", "m.bin") for n in range(16)]
    assert together(*[lambda p=p: read(p, seconds=60) for p in paths]) == files
    assert (wide.at_once(BYTES) > 12) == (fits > 12)
    assert wide.at_once(BYTES) <= fits + 2      # the hub may not have seen yet that one was cut when the next comes


def test_where_one_fills_the_line_there_are_few(wide, mount):
    m = mount(wide, args=ALONE, timeout=60)
    assert read(m.file(REPO, "a.bin"), seconds=60) == BIG
    assert wide.at_once(BYTES) <= 8


def test_a_server_that_says_too_many_is_asked_less(wide, mount):
    m = mount(wide, args=ALONE, timeout=60)
    wide.rate(4 * MIB)
    wide.most_at_once = 3
    assert read(m.file(REPO, "a.bin"), seconds=60) == BIG, m.log_text()
    statuses = [q.status for q in wide.requests(path_re=BYTES)]
    assert 1 <= statuses.count(429) <= statuses.count(206), statuses
    assert wide.bytes_sent(path_re=BYTES) <= len(BIG) * 1.05      # what was on its way of a run cut short


# ---- whose turn ----

def test_a_small_file_does_not_wait_for_a_big_one(wide, mount):
    m = mount(wide, args=ALONE, timeout=60)
    wide.rate(2 * MIB)
    stop = threading.Event()

    def read_on():
        with open(m.file(REPO, "a.bin"), "rb", buffering=0) as f:
            while not stop.is_set() and f.read(MIB):
                pass
    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        assert eventually(lambda: wide.at_once(BYTES) >= 3)
        began = time.monotonic()
        assert read(m.file(REPO, "c.bin"), seconds=30) == SMALL
        assert time.monotonic() - began < 6           # 3 MiB at 2 MiB/s, and a wide margin
    finally:
        stop.set()
        reader.join()


def test_two_files_read_at_once_come_at_once(wide, mount):
    m = mount(wide, args=ALONE, timeout=60)
    wide.rate(4 * MIB)
    ends = {}

    def load(name, wanted):
        assert read(m.file(REPO, name), seconds=60) == wanted
        ends[name] = time.monotonic()
        return True
    began = time.monotonic()
    assert together(lambda: load("a.bin", BIG), lambda: load("b.bin", BIG[::-1])) == [True, True]
    assert abs(ends["a.bin"] - ends["b.bin"]) < (max(ends.values()) - began) / 2


def test_big_reads_do_not_hold_up_names(wide, mount):
    m = mount(wide, args=ALONE, timeout=60)
    wide.rate(8 * MIB)
    readers = [threading.Thread(target=read, args=(m.file(REPO, name),), kwargs={"seconds": 60}) for name in ("a.bin", "b.bin")]
    for reader in readers:
        reader.start()
    slowest = 0
    while any(reader.is_alive() for reader in readers):
        began = time.monotonic()
        assert stat(m.file(REPO, "c.bin")).st_size == len(SMALL)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1.0


# ---- random reads ----

def random_offsets(count):
    return [(n * 37 % 61) * MIB + 5000 for n in range(count)]


def pread_all(path, offsets):
    fd = os.open(path, os.O_RDONLY)
    try:
        return [os.pread(fd, 4096, at) for at in offsets]
    finally:
        os.close(fd)


def test_one_small_read_of_a_big_file_costs_a_chunk(wide, mount):
    m = mount(wide, args=ALONE)
    assert pread_all(m.file(REPO, "a.bin"), [30 * MIB]) == [BIG[30 * MIB:30 * MIB + 4096]]
    time.sleep(1)
    assert wide.bytes_sent(path_re=BYTES) <= 4 * MIB


def test_behind_many_random_reads_the_file_comes(wide, mount):
    m = mount(wide, args=ALONE)
    at = random_offsets(20)
    fd = os.open(m.file(REPO, "a.bin"), os.O_RDONLY)
    try:
        assert [os.pread(fd, 4096, o) for o in at] == [BIG[o:o + 4096] for o in at]
        assert eventually(lambda: wide.bytes_sent(path_re=BYTES) >= len(BIG))
    finally:
        os.close(fd)
    assert wide.bytes_sent(path_re=BYTES) == len(BIG)
