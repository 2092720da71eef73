"""How an export comes by its bytes: what slow clients may hold, what stays open, cut files, long listings and texts, clients that go."""
import contextlib
import json
import os
import socket
import statistics
import struct
import threading
import time

import pytest

import models
from control import Control
from mountlib import eventually
from nfs_wire import MOUNT, NFS, OK, decode, fh, opaque, record, sattr, u32, u64

MIB = 1 << 20
IO, REST = 5, 2.5       # seconds after which a file that was read is let go, and then some
PARTS = [models.big_file(20 * MIB, seed=800 + n) for n in range(4)]


@pytest.fixture
def four(hub):
    """Four files of 20 MiB, each in a repository of its own: nobody guesses one from another."""
    for n, data in enumerate(PARTS):
        hub.repo(f"org/m{n}").commit({"w.safetensors": data})
    return hub


def where(hub, export, n):
    """The cache file of one of the four."""
    return export.cached(hub.repo(f"org/m{n}").blob("w.safetensors").etag)


def of(nfs, n):
    return nfs.walk("files", "org", f"m{n}", "w.safetensors")


def is_sealed(path):
    return path.with_name(path.name + ".sums").exists()


def ask(nfs, handle, offsets):
    """READs of a MiB, whose answers nobody takes yet: {xid: offset}."""
    asked = {}
    for at in offsets:
        message = nfs.message(NFS, 3, 6, fh(handle) + u64(at) + u32(MIB))
        asked[int.from_bytes(message[:4], "big")] = at
        nfs.send(record(message))
    return asked


def take(nfs, asked, data):
    """Takes the answers: those that were as they should be."""
    good = 0
    for _ in range(len(asked)):
        reply = nfs.reply()
        answer, at = decode("read", reply.body), asked.pop(reply.xid)
        good += answer.status == OK and answer.data == data[at:at + MIB]
    return good


# ---- what clients hold ----

@pytest.mark.parametrize("size,stays", [("64MiB", False), ("1GiB", True)])
def test_a_client_that_takes_nothing_pins_no_file(four, export, size, stays):
    e = export(four, args=[f"--cache-size={size}"], timeout=30)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(e.client())
        assert reader.content(of(reader, 0)) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        slow = [stack.enter_context(e.client(buffer=4096)) for _ in range(4)]
        asked = [ask(nfs, of(nfs, 0), [n * MIB for n in range(8)]) for nfs in slow]
        time.sleep(REST)
        for n in (1, 2, 3):
            assert reader.content(of(reader, n)) == PARTS[n]
        assert eventually(lambda: where(four, e, 0).exists() == stays, 20)
        four.clear_log()
        # Those who waited for it so long get it, whatever has become of it.
        for nfs, calls in zip(slow, asked):
            assert take(nfs, calls, PARTS[0]) == 8
        assert (four.bytes_sent(path_re="/m0/resolve/") == 0) == stays


def test_what_a_slow_client_waits_for_is_an_error_when_it_cannot_be_had_again(four, export):
    e = export(four, args=["--cache-size=64MiB"], timeout=4)
    with e.client() as reader, e.client(buffer=4096) as slow:
        assert reader.content(of(reader, 0)) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        asked = ask(slow, of(slow, 0), [n * MIB for n in range(8)])
        time.sleep(REST)
        for n in (1, 2, 3):
            assert reader.content(of(reader, n)) == PARTS[n]
        assert eventually(lambda: not where(four, e, 0).exists(), 20)
        four.down()
        with contextlib.suppress(ConnectionError):      # what was begun cannot become an error
            for _ in range(8):
                reply = slow.reply()
                answer, at = decode("read", reply.body), asked[reply.xid]
                assert answer.status == IO or answer.data == PARTS[0][at:at + MIB]
        four.up()
    with e.client() as again:
        assert eventually(lambda: again.read(of(again, 0), 0, 100).status == OK)


@pytest.mark.parametrize("clients", [1, 3])
def test_slow_readers_of_a_file_larger_than_the_cache(hub, export, clients):
    data = models.big_file(48 * MIB, seed=810)
    repo = hub.repo("org/large")
    repo.commit({"w.safetensors": data})
    e = export(hub, args=["--cache-size=16MiB"], timeout=60)
    got = []

    def read_slowly():
        with e.client(buffer=65536) as nfs:
            handle, parts = nfs.walk("files", "org", "large", "w.safetensors"), []
            for first in range(0, 48, 8):
                asked = ask(nfs, handle, [n * MIB for n in range(first, first + 8)])
                time.sleep(0.8)
                parts.append(take(nfs, asked, data))
            got.append(sum(parts))
    slow = [threading.Thread(target=read_slowly, daemon=True) for _ in range(clients)]
    for thread in slow:
        thread.start()
    most = 0
    with e.client() as quick:
        handle = quick.walk("files", "org", "large", "w.safetensors")
        for at in range(0, 48, 3):
            assert quick.read(handle, at * MIB, MIB).data == data[at * MIB:(at + 1) * MIB]
            most = max(most, *(f.stat().st_blocks * 512 for f in (e.cache / "blobs").rglob("*") if f.is_file()))
    for thread in slow:
        thread.join(100)
    assert got == [48] * clients and most <= 20 * MIB
    assert hub.bytes_sent(path_re="/resolve/") < (2 + 2 * clients) * len(data)


# ---- what stays open ----

@pytest.mark.parametrize("size,stays", [("48MiB", False), ("1GiB", True)])
def test_what_was_read_lately_goes_when_room_is_wanted(four, export, size, stays):
    e = export(four, args=[f"--cache-size={size}"], timeout=30)
    with e.client() as nfs:
        assert nfs.content(of(nfs, 0)) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        time.sleep(REST)
        for n in (1, 2):
            assert nfs.content(of(nfs, n)) == PARTS[n]
            time.sleep(REST)
        assert eventually(lambda: where(four, e, 0).exists() == stays, 10)     # long before 30 s are over
        assert nfs.content(of(nfs, 0)) == PARTS[0]


def test_no_more_files_stay_open_than_so_many(hub, export):
    files = {f"f{n:03}.bin": b"%d" % n for n in range(400)}
    hub.repo("org/many").commit(files)
    e = export(hub, args=["--prefetch=no"])
    before = e.fds()
    with e.client() as nfs:
        repo = nfs.walk("files", "org", "many")
        for name, data in files.items():
            assert nfs.read(nfs.lookup(repo, name).handle, 0, 100).data == data
        assert eventually(lambda: e.fds() < before + 2 * 256 + 20, 15)      # long before 30 s are over


# ---- files that are cut ----

@pytest.mark.parametrize("length", [0, 3 * MIB + 5, 19 * MIB])
@pytest.mark.parametrize("whole", [True, False], ids=["sealed", "incomplete"])
def test_a_cut_file_is_had_anew(four, export, length, whole):
    e = export(four, args=["--prefetch=no"])
    with e.client() as nfs:
        handle = of(nfs, 0)
        if whole:
            assert nfs.content(handle) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        for at in (0, 10, 19):
            assert nfs.read(handle, at * MIB, MIB).data == PARTS[0][at * MIB:][:MIB]
        os.truncate(where(four, e, 0), length)
        four.clear_log()
        for at in (10 * MIB, 19 * MIB + 7, 100, 0):
            assert nfs.read(handle, at, MIB).data == PARTS[0][at:at + MIB]
        assert nfs.content(handle) == PARTS[0] and e.wait_log("rotten chunks of etag=")
        assert eventually(lambda: is_sealed(where(four, e, 0)))


@pytest.mark.parametrize("length", [0, 3 * MIB + 5])
def test_a_cut_file_that_cannot_be_had_is_an_error(four, export, length):
    e = export(four, timeout=3)
    with e.client() as nfs:
        handle = of(nfs, 0)
        assert nfs.content(handle) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        four.down()
        assert nfs.content(handle) == PARTS[0]      # the twin: nobody has cut it
        os.truncate(where(four, e, 0), length)
        assert nfs.read(handle, 10 * MIB, MIB).status == IO
        assert nfs.getattr(handle).status == OK     # on the same connection
        there = nfs.read(handle, 0, MIB)
        assert there.data == PARTS[0][:MIB] if length else there.status == IO
        four.up()
        assert eventually(lambda: nfs.read(handle, 10 * MIB, MIB).status == OK)
        assert nfs.content(handle) == PARTS[0]


# ---- long listings and texts ----

def make_files(nfs, directory, names):
    calls = [nfs.message(NFS, 3, 8, fh(directory) + opaque(name) + u32(0) + sattr(mode=0o644)) for name in names]
    for begin in range(0, len(calls), 64):
        part = calls[begin:begin + 64]
        nfs.send(b"".join(map(record, part)))
        for _ in part:
            assert decode("create", nfs.reply().body).status == OK


def many_files(nfs, count, name="d"):
    locks = nfs.walk("hub", ".locks")
    directory = nfs.nfs("mkdir", fh(locks) + opaque(name) + sattr(mode=0o755)).handle
    make_files(nfs, directory, [f"f{n}" for n in range(count)])
    return directory


def seconds(call):
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def pages(nfs, directory):
    """Seconds that each page but the first took."""
    took, cookie, verifier = [], 0, bytes(8)
    while True:
        begun = time.monotonic()
        page = nfs.readdir(directory, cookie, verifier, count=4096)
        took.append(time.monotonic() - begun)
        if page.eof:
            return took[1:]
        cookie, verifier = page.entries[-1].cookie, page.verifier


def test_a_page_costs_the_same_however_long_the_listing_is(four, export):
    e = export(four)
    with e.client() as nfs:
        few, many = many_files(nfs, 1000, "few"), many_files(nfs, 20000, "many")
        assert {x.name for x in nfs.list(many, count=4096)} == {b"f%d" % n for n in range(20000)} | {b".", b".."}
        short = statistics.median(sum((pages(nfs, few) for _ in range(10)), []))
        assert statistics.median(pages(nfs, many)) < 6 * short      # 20 times at least, if each page were a new listing


@pytest.mark.parametrize("plus", [False, True])
def test_who_goes_on_sees_each_name_once_that_was_there_all_the_time(four, export, plus):
    e = export(four)
    with e.client() as nfs, e.client() as other:
        directory = many_files(nfs, 300)
        page = (lambda *a: nfs.readdirplus(directory, *a, dircount=600, maxcount=4096)) if plus else \
            (lambda *a: nfs.readdir(directory, *a, count=600))
        first = page()
        seen, cookie = [x.name for x in first.entries], first.entries[-1].cookie
        gone = [f"f{n}" for n in range(300) if f"f{n}".encode() not in seen][:50]
        for name in gone:
            assert other.nfs("remove", fh(directory) + opaque(name)).status == OK
        make_files(other, directory, [f"new{n}" for n in range(50)])
        begins = [x.name for x in other.list(directory, plus=plus)]
        assert sorted(begins) == sorted([b".", b"..", *(b"new%d" % n for n in range(50)),
                                         *(b"f%d" % n for n in range(300) if f"f{n}" not in gone)])
        while True:
            answer = page(cookie, first.verifier)
            seen += [x.name for x in answer.entries]
            if answer.eof:
                break
            cookie = answer.entries[-1].cookie
        assert len(seen) == len(set(seen)) and not {x.encode() for x in gone} & set(seen)
        assert {b"f%d" % n for n in range(300) if f"f{n}" not in gone} <= set(seen)


def test_what_was_made_before_somebody_began_is_listed(four, export):
    """Others may have begun earlier, and be on their way still."""
    e = export(four)
    with e.client() as nfs, e.client() as other:
        directory = many_files(nfs, 300)
        begun = nfs.readdir(directory, count=600)
        for n in range(8):
            make_files(other, directory, [f"new{n}"])
            assert b"new%d" % n in [x.name for x in other.list(directory, count=1000)]
            begun = nfs.readdir(directory, begun.entries[-1].cookie, begun.verifier, count=600)


def test_a_long_text_is_printed_once_for_who_reads_on(hub, export):
    commit = hub.repo("org/many").commit({f"some/folder/file{n}.bin": b"%d" % n for n in range(6000)})
    e = export(hub)
    with e.client() as nfs:
        text = nfs.walk("hub", "models--org--many", "trees", f"{commit}.json")
        at_once = nfs.content(text)
        assert len(json.loads(at_once)["files"]) == 6000 and nfs.content(text, step=4000) == at_once
        once = min(seconds(lambda: nfs.read(text, 0, MIB)) for _ in range(5))
        parts = -(-len(at_once) // 2000)
        took = min(seconds(lambda: nfs.content(text, step=2000)) for _ in range(3))
        assert took < parts * once / 2, (parts, once, took)
        assert nfs.read(text, len(at_once), 10).eof and nfs.read(text, 1 << 40, 10).count == 0


# ---- clients that go ----

def under_way(e):
    return Control(e).get("/v1/status")["requests_under_way"]


def test_what_a_client_that_hangs_up_waited_for_is_not_waited_for(four, export):
    e = export(four, timeout=100)
    with four.fault("GET .*/resolve/", "hang") as fault:
        with e.client() as stays:
            kept = ask(stays, of(stays, 1), [0])
            for n in range(6):
                with e.client() as nfs:
                    handle = of(nfs, 0)
                    ask(nfs, handle, [k * MIB for k in range(16)])
                    nfs.send(record(nfs.message(NFS, 3, 1, fh(handle))))
                    nfs.reply()         # all before it were taken
                    assert under_way(e) == 17
                    if n:
                        nfs.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Who only says no more may be waiting still, for a while. The twin: who stays waits on.
                assert eventually(lambda: under_way(e) == 1, 5 if n else 25)
                fds = fds if n else e.fds()
            assert eventually(lambda: e.fds() <= fds + 4)
            fault.release()
            assert take(stays, kept, PARTS[1]) == 1
    with e.client() as nfs:
        assert nfs.content(of(nfs, 0)) == PARTS[0]


@pytest.mark.parametrize("way", ["lookup", "mnt"])
def test_who_hangs_up_before_names_were_found_is_not_waited_for(hub, export, way):
    hub.repo("org/slow").commit({"config.json": b"{}"})
    e = export(hub, timeout=100)
    with e.client() as there, hub.fault("GET /api/", "hang"):
        org = there.walk("files", "org")
        with e.client() as nfs:
            for n in range(8):
                nfs.send(record(nfs.message(NFS, 3, 3, fh(org) + opaque(f"slow{n}")) if way == "lookup" else
                                nfs.message(MOUNT, 3, 1, opaque(f"/files/org/slow{n}"))))
            assert eventually(lambda: under_way(e) == 8, 10)
        assert eventually(lambda: under_way(e) == 0, 25)
    with e.client() as nfs:
        assert eventually(lambda: nfs.mnt("/files/org/slow").status == OK)
        assert nfs.content(nfs.walk("files", "org", "slow", "config.json")) == b"{}"


def test_slow_clients_that_go_leave_nothing(four, export):
    e = export(four, args=["--cache-size=64MiB"], timeout=30)
    with e.client() as reader:
        assert reader.content(of(reader, 0)) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        fds = e.fds()
        for n in range(12):
            with e.client(buffer=4096) as slow:
                ask(slow, of(slow, 0), [k * MIB for k in range(12)])
                if n % 2:
                    slow.reply()
        assert eventually(lambda: e.fds() <= fds + 2, 20)
        time.sleep(REST)
        for n in (1, 2, 3):
            assert reader.content(of(reader, n)) == PARTS[n]
        assert eventually(lambda: not where(four, e, 0).exists(), 20)


def evict_first(hub, e, reader):
    """Reads the others, until the first of the four is not in a cache of 64 MiB any more."""
    time.sleep(REST)
    for n in (1, 2, 3):
        assert reader.content(of(reader, n)) == PARTS[n]
    assert eventually(lambda: not where(hub, e, 0).exists(), 20)


@pytest.mark.long
@pytest.mark.parametrize("goes", [True, False], ids=["goes", "stays"])
def test_what_a_slow_client_waits_for_again_is_not_waited_for_when_it_goes(four, export, goes):
    e = export(four, args=["--cache-size=64MiB"], timeout=100)
    with e.client() as reader, e.client(buffer=4096) as slow:
        assert reader.content(of(reader, 0)) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        asked = ask(slow, of(slow, 0), [n * MIB for n in range(8)])
        evict_first(four, e, reader)
        assert eventually(lambda: under_way(e) == 0)
        fds = e.fds()
        with four.fault("GET .*/resolve/", "hang") as fault:
            def takes_until_it_waits():
                with contextlib.suppress(BlockingIOError):
                    slow.got += slow.socket.recv(65536, socket.MSG_DONTWAIT)
                return under_way(e) == 1
            assert eventually(takes_until_it_waits, 20)     # it is told of, as those that were not answered yet
            if goes:
                slow.socket.close()
                assert eventually(lambda: under_way(e) == 0, 25) and eventually(lambda: e.fds() < fds, 25)
            else:
                time.sleep(REST)
                assert under_way(e) == 1
                fault.release()
                assert take(slow, asked, PARTS[0]) == 8 and under_way(e) == 0


def test_a_slow_read_that_is_had_again_is_told_as_slow(four, export):
    e = export(four, args=["--cache-size=64MiB", "--slow-op=1s"], timeout=3)
    with e.client() as reader, e.client(buffer=4096) as slow:
        assert reader.content(of(reader, 0)) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        ask(slow, of(slow, 0), [n * MIB for n in range(8)])
        evict_first(four, e, reader)
        assert not e.logged("op=nfs-read")      # the twin: only to lie there is nobody's wait for the hub
        with four.fault("GET .*/resolve/", "hang"), contextlib.suppress(ConnectionError):
            while True:
                slow.reply()
        assert e.wait_log("slow: seconds=.* op=nfs-read client=127.0.0.1 .*repo=models/org/m0")


def test_what_was_not_given_is_not_counted(four, export):
    e = export(four, args=["--cache-size=64MiB"], timeout=6)

    def counted():
        return Control(e).metrics().value("nfs_read_bytes_total")
    with e.client() as reader, e.client(buffer=4096) as slow:
        assert reader.content(of(reader, 0)) == PARTS[0] and eventually(lambda: is_sealed(where(four, e, 0)))
        assert eventually(lambda: counted() == len(PARTS[0]))
        ask(slow, of(slow, 0), [n * MIB for n in range(8)])
        evict_first(four, e, reader)
        before, whole = 4 * len(PARTS[0]), 0
        four.down()
        with contextlib.suppress(ConnectionError):
            for _ in range(8):
                reply = slow.reply()
                answer = decode("read", reply.body)
                whole += answer.count if answer.status == OK else 0
        assert whole < 8 * MIB and eventually(lambda: before + whole <= counted() < before + 8 * MIB, 5), (counted() - before, whole)
        four.up()
    with e.client() as again:
        assert eventually(lambda: again.read(of(again, 0)).status == OK) and again.content(of(again, 0)) == PARTS[0]
        assert counted() >= before + whole + len(PARTS[0])
