"""Memory that clients of an export hold who take nothing, by many small replies, by lists of mounts; and what a long listing costs."""
import contextlib
import pathlib
import threading
import time

import pytest

from mountlib import eventually
from nfs_wire import MOUNT, NFS, OK, fh, opaque, record, sattr

MIB = 1 << 20
CROWD, CALLS = 160, 12000       # connections of one address; small calls on each: more than may wait
MOST = 64 * MIB + CROWD * (64 << 10)
SLACK = 24 * MIB                # what the heap has beside it


def small_call(nfs, kind):
    """One of those whose replies are smallest, without its marks."""
    if kind == "null":
        return nfs.message(NFS, 3, 0)
    locks = nfs.walk("hub", ".locks")
    if kind == "getattr":
        return nfs.message(NFS, 3, 1, fh(locks))
    link = nfs.nfs("symlink", fh(locks) + opaque("link") + sattr() + opaque("t" * 900)).handle
    return nfs.message(NFS, 3, 5, fh(link))


class Flood:
    """Connections that ask and take nothing, as far as the server listens."""

    def __init__(self, e, stack, calls, count=CROWD):
        self.left = [[stack.enter_context(e.client(buffer=2048)), memoryview(calls)] for _ in range(count)]
        for nfs, _ in self.left:
            nfs.socket.setblocking(False)

    def push(self):
        """Bytes that were taken of them."""
        taken = 0
        for one in self.left:
            with contextlib.suppress(BlockingIOError):
                while one[1]:
                    count = one[0].socket.send(one[1])
                    one[1], taken = one[1][count:], taken + count
        return taken

    def push_all(self):
        """Until nothing was taken for a while."""
        quiet = 0
        for _ in range(300):
            quiet = 0 if self.push() else quiet + 1
            if quiet == 5:
                return
            time.sleep(0.2)
        raise AssertionError("they are listened to for ever")


@pytest.mark.parametrize("kind", ["null", "getattr", "readlink"])
def test_small_replies_that_nobody_takes_are_as_much_memory_as_all_others(hub, export, kind):
    hub.repo("org/t").commit({"a.txt": b"1"})
    e = export(hub)
    with e.client() as nfs:
        calls = record(small_call(nfs, kind)) * CALLS
        before = e.anonymous()
        with contextlib.ExitStack() as stack:
            flood = Flood(e, stack, calls)
            flood.push_all()
            held = e.anonymous() - before
            assert 16 * MIB < held < MOST + SLACK, held / MIB
            assert nfs.walk("files", "org", "t", "a.txt")       # others are served
            # Who takes it after all gets what he asked for.
            one, rest = flood.left[0]
            one.socket.settimeout(60)
            sender = threading.Thread(target=one.socket.sendall, args=(rest,))
            sender.start()
            assert all(one.reply().accepted for _ in range(CALLS))
            sender.join()
        assert eventually(lambda: e.anonymous() - before < SLACK, 20), (e.anonymous() - before) / MIB


def mount_many(e, nfs, addresses):
    """32 directories with long paths are mounted by each of so many addresses."""
    at, path = nfs.walk("hub", ".locks"), "/hub/.locks/"
    for letter in "abc":
        at, path = nfs.nfs("mkdir", fh(at) + opaque(letter * 250) + sattr(0o755)).handle, path + letter * 250 + "/"
    names = [f"{n:03}" + "z" * 180 for n in range(32)]
    for name in names:
        assert nfs.nfs("mkdir", fh(at) + opaque(name) + sattr(0o755)).status == OK
    for n in range(addresses):
        with e.client(source=f"127.0.1.{n + 1}") as other:
            for name in names:
                assert other.mnt(path + name).status == OK
    return {(f"127.0.1.{n + 1}".encode(), (path + name).encode()) for n in range(addresses) for name in names}


def listed_bytes(nfs):
    nfs.send(record(nfs.message(MOUNT, 3, 2)))
    return len(nfs.record())


@pytest.mark.parametrize("addresses,whole", [(4, True), (40, False)])
def test_a_list_of_mounts_has_its_bounds(hub, export, addresses, whole):
    hub.repo("org/t").commit({"a.txt": b"1"})
    e = export(hub)
    with e.client() as nfs:
        mounted = mount_many(e, nfs, addresses)
        assert 64 << 10 < listed_bytes(nfs) <= 256 << 10
        shown = [m for m in nfs.mounts() if m[0].startswith(b"127.0.1.")]
        assert len(set(shown)) == len(shown) and mounted.issuperset(shown) and (set(shown) == mounted) == whole


def test_while_memory_is_short_a_list_of_mounts_is_short(hub, export):
    hub.repo("org/t").commit({"a.txt": b"1"})
    e = export(hub)
    with e.client() as nfs, contextlib.ExitStack() as stack:
        mounted = mount_many(e, nfs, 4)
        whole, calls = listed_bytes(nfs), record(small_call(nfs, "readlink")) * CALLS
        assert whole > 64 << 10
        Flood(e, stack, calls).push_all()

        def is_short():         # of what was taken at once a part may have become less
            Flood(e, stack, calls, 1).push()
            return listed_bytes(nfs) <= 8 << 10
        assert eventually(is_short, 30)
        assert mounted.issuperset(set(nfs.mounts()) - {(b"127.0.0.1", b"/")})
        stack.close()
        assert eventually(lambda: listed_bytes(nfs) == whole, 20)


# ---- what a page costs ----

def cpu_us(e):
    """Of all its threads that live."""
    return sum(int(task.read_text().split()[0]) for task in pathlib.Path(f"/proc/{e.pid}/task").glob("*/schedstat")) / 1e3


def page_cost(e, nfs, directory, whole):
    """Microseconds of the export's CPU that a small page takes, of those that list all of it so often."""
    before, count = cpu_us(e), 0
    for _ in range(whole):
        cookie, verifier, eof = 0, bytes(8), False
        while not eof:
            page = nfs.readdir(directory, cookie, verifier, count=512)
            assert page.status == OK
            cookie, verifier, eof, count = page.entries[-1].cookie, page.verifier, page.eof, count + 1
    return (cpu_us(e) - before) / count


def test_a_page_of_a_commits_directory_costs_nothing_for_the_names_behind_it(hub, export):
    few = {f"f{n:05}.txt": b"%d" % n for n in range(300)}
    many = {f"f{n:05}.txt": b"%d" % n for n in range(20000)}
    hub.repo("org/few").commit(few)
    hub.repo("org/many").commit(many)
    e = export(hub, timeout=30, args=["--prefetch=no"])
    with e.client(seconds=60) as nfs:
        short, long = nfs.walk("files", "org", "few"), nfs.walk("files", "org", "many")
        assert {x.name for x in nfs.list(long, count=65536)} == {name.encode() for name in many} | {b".", b".."}
        costs = [(page_cost(e, nfs, long, 1), page_cost(e, nfs, short, 30)) for _ in range(2)]
        assert any(a < 2 * b for a, b in costs), costs
