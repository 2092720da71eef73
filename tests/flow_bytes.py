"""Bytes through a real mount: every way to read, in every state of the cache, gives the bytes of the file, and each is fetched once."""
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import models
from hub import Blob
from mountlib import DEADLINE, PROGRAM, eventually, fails, freeze, read, stat, within, xattr
from reading import Readers

MIB = 1 << 20
SIZES = {"empty": 0, "one byte": 1, "1 MiB - 1": MIB - 1, "1 MiB": MIB, "1 MiB + 1": MIB + 1, "odd": 5 * MIB + 12345}
PLENTY = 30         # the daemon's --timeout where nothing hangs on purpose
RANGE = r"GET .*/resolve/"
# A run that is too slow for those who wait has its end cut off, and what was on its way is sent twice: instrumented, all are.
CUT_OFF = 4 * MIB if "san" in str(PROGRAM) else 0


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The files as plain files: {name: path}."""
    base = tmp_path_factory.mktemp("plain")
    return {name: models.big_file(size, seed=size, path=base / f"{size}.bin") for name, size in SIZES.items()}


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    return models.big_file(48 * MIB + 777, seed=99, path=tmp_path_factory.mktemp("big") / "big.bin")


def serve(hub, path, id="org/bytes"):
    repo = hub.repo(id)
    repo.commit({"w.safetensors": path})
    return repo.blob("w.safetensors").etag


def sealed(path):
    return eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1", DEADLINE)


def sent(hub):
    return hub.bytes_sent(path_re="/resolve/")


def python(script, *args, ok=True, **kw):
    """A script in a process of its own: a page fault that waits for the hub must not hold this interpreter's lock."""
    done = subprocess.run([sys.executable, "-c", script, *map(str, args)], capture_output=True, timeout=2 * DEADLINE, **kw)
    assert not ok or done.returncode == 0, done.stderr.decode()
    return done.stdout


# ---- ways to read; each compares the file with its plain twin and says what differs ----

HEAD = """
import ctypes, hashlib, mmap, os, random, sys, threading
shown, plain = sys.argv[1:3]
want = open(plain, "rb").read()
size = len(want)
fd = os.open(shown, os.O_RDONLY)
assert os.fstat(fd).st_size == size
def ranges(seed, count=60):
    rng = random.Random(seed)
    for _ in range(count):
        off = rng.choice([0, 1, 4095, 4096, 1048575, 1048576, 1048577, size // 2, max(0, size - 1), size, rng.randrange(size + 1)])
        yield off, rng.choice([1, 2, 511, 512, 4096, 4097, 131072, 1048576, 1048577, 3000000])
def check(fd, seed, count=60):
    for off, length in ranges(seed, count):
        got = b""
        while len(got) < length and (piece := os.pread(fd, length - len(got), off + len(got))):
            got += piece
        assert got == want[off:off + length], (off, length, len(got))
def whole(fd):
    got = bytearray()
    os.lseek(fd, 0, 0)
    while piece := os.read(fd, 100003):
        got += piece
    assert got == want and os.read(fd, 1) == b"" and os.pread(fd, 9, size) == os.pread(fd, 9, size + 10**6) == b""
def together(calls):
    wrong = []
    def run(call):
        try: call()
        except BaseException as e: wrong.append(e)
    threads = [threading.Thread(target=run, args=(c,)) for c in calls]
    [t.start() for t in threads]; [t.join() for t in threads]
    if wrong: raise wrong[0]
"""
WAYS = {
    "sequential": "whole(fd)",
    "random": "check(fd, 1)",
    "backwards": "for off in range(size, -1, -65521): assert os.pread(fd, 70000, off) == want[off:off + 70000], off",
    "mmap": """
if size:
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as m:
        for off, length in ranges(2): assert m[off:off + length] == want[off:off + length], off
        assert m[:] == want""",
    "mmap private": """
if size:
    with mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as m:
        m[size - 1] = 255 - want[-1]
        assert m[:-1] == want[:-1] and m[size - 1] == 255 - want[-1] and os.pread(fd, 1, size - 1) == want[-1:]""",
    "madvise": """
if size:
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as m:
        m.madvise(mmap.MADV_WILLNEED); m.madvise(mmap.MADV_RANDOM)
        assert m[:] == want
        m.madvise(mmap.MADV_DONTNEED)
        assert m[:] == want""",
    "sendfile": """
import tempfile
with tempfile.TemporaryFile() as out:
    off = 0
    while n := os.sendfile(out.fileno(), fd, off, 1 << 20): off += n
    out.seek(0)
    assert out.read() == want""",
    "copy_file_range": """
import tempfile
with tempfile.TemporaryFile(dir="/tmp") as out:
    try:
        while os.copy_file_range(fd, out.fileno(), 1 << 20): pass
    except OSError as e:
        assert e.errno in (18, 95, 22), e
    else:
        out.seek(0)
        assert out.read() == want""",
    "O_DIRECT": """
direct = os.open(shown, os.O_RDONLY | os.O_DIRECT)
room = mmap.mmap(-1, 1 << 20)
got = bytearray()
while n := os.preadv(direct, [room], len(got)):
    got += room[:n]
    if n < len(room): break          # short only at the end
assert got == want and os.preadv(direct, [room], (size + 4095) // 4096 * 4096) == 0
small = memoryview(room)[:512]
for off in random.Random(3).sample(range(0, size + 1, 512), min(40, size // 512 + 1)):
    n = os.preadv(direct, [small], off)
    assert bytes(small[:n]) == want[off:off + 512], off""",
    "readahead": """
libc = ctypes.CDLL(None, use_errno=True)
assert libc.readahead(fd, ctypes.c_long(0), ctypes.c_size_t(size)) == 0
os.posix_fadvise(fd, 0, size, os.POSIX_FADV_WILLNEED)
whole(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
whole(fd)""",
    "8 threads, one handle": "together([lambda n=n: check(fd, n, 20) for n in range(8)])",
    "8 threads, 8 handles": "together([lambda n=n: (whole if n % 2 else lambda f: check(f, n, 20))(os.open(shown, os.O_RDONLY)) for n in range(8)])",
    "fork": """
pids = []
for n in range(4):
    if not (pid := os.fork()):
        try: check(fd, n, 20)
        except BaseException as e: print(e, file=sys.stderr); os._exit(1)
        os._exit(0)
    pids.append(pid)
assert [os.waitpid(p, 0)[1] for p in pids] == [0] * 4""",
    "splice": """
r, w = os.pipe()
got, off = bytearray(), 0
while n := os.splice(fd, w, 65536, offset_src=off):
    off += n
    while n: piece = os.read(r, n); got += piece; n -= len(piece)
assert got == want""",
}


def drop_pages(path):
    """The kernel's copies of a file go; what follows asks the daemon (or the cache file) again."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


@pytest.mark.parametrize("state", ["cold", "half cached", "complete", "sealed", "sealed and cached by the kernel"])
@pytest.mark.parametrize("passthrough", [True, False], ids=["passthrough", "through-daemon"])
def test_every_way_to_read_in_every_state(hub, mount, plain, state, passthrough, tmp_path):
    m = mount(hub, passthrough=passthrough, timeout=PLENTY)
    for number, (way, script) in enumerate(WAYS.items()):
        for name in (["odd"] if number % 5 else SIZES):
            source = plain[name]
            data = bytearray(source.read_bytes())
            if data:                          # a blob of its own for each way: it starts cold
                data[:2] = number.to_bytes(2, "little")[:len(data[:2])]
            copy = tmp_path / "copy.bin"
            copy.write_bytes(data)
            id = f"org/w{number}-{SIZES[name]}"
            hub.repo(id).commit({"w.safetensors": bytes(data)})
            path = m.file(id, "w.safetensors")
            if state == "half cached":
                read(path, len(data) // 2, 4096)
            elif state == "complete":
                read(path)
                drop_pages(path)
            elif state != "cold":
                read(path)
                assert sealed(path), (way, name)
                if state == "sealed":
                    drop_pages(path)
            try:
                python(HEAD + script, path, copy)
            except AssertionError as error:
                raise AssertionError(f"{way}, {name}, {state}:\n{error}") from None
            if data:
                read(path)
                assert sealed(path), (way, name)
    assert not m.logged("^<[0-3]>"), "an error was logged"


# ---- passthrough ----

READ_ON_DEMAND = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
print("open", flush=True)
for line in sys.stdin:
    off, size = map(int, line.split())
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    print(os.pread(fd, size, off).hex(), flush=True)
"""


@contextlib.contextmanager
def reader(path):
    """A process with the file open; ask(off, size, seconds) gives bytes, or None if none came."""
    process = subprocess.Popen([sys.executable, "-c", READ_ON_DEMAND, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"

    def ask(off, size, seconds):
        process.stdin.write(f"{off} {size}\n")
        process.stdin.flush()
        try:
            return bytes.fromhex(within(seconds, process.stdout.readline).strip())
        except TimeoutError:
            return None
    try:
        yield ask
    finally:
        process.kill()
        process.wait()


def test_a_stopped_daemon_still_serves_sealed_files_by_passthrough(hub, mount, big):
    """The kernel reads the cache file itself; the twin without passthrough waits for the daemon."""
    serve(hub, big)
    want = big.read_bytes()
    for passthrough in (True, False):
        m = mount(hub, passthrough=passthrough, timeout=PLENTY)
        path = m.file("org/bytes", "w.safetensors")
        read(path)
        assert sealed(path)
        with reader(path) as ask:
            assert ask(0, 100, DEADLINE) == want[:100]
            drop_pages(m.cached(xattr(path, "user.matrixfs.etag")))
            freeze(m.pid)
            try:
                got = ask(len(want) - 5000, 5000, DEADLINE if passthrough else 2)
            finally:
                os.kill(m.pid, signal.SIGCONT)
            assert got == (want[-5000:] if passthrough else None)
        assert bool(m.logged("passthrough=no")) != passthrough


def test_opens_of_both_kinds_at_once_never_fail(hub, mount, big):
    """A cold handle and its mmap stay open while the blob is sealed and opened again and again."""
    serve(hub, big)
    want = big.read_bytes()
    m = mount(hub, timeout=PLENTY)
    path = m.file("org/bytes", "w.safetensors")
    python("""
import mmap, os, sys, time
shown, plain = sys.argv[1:3]
want = open(plain, "rb").read()
cold = os.open(shown, os.O_RDONLY)
held = mmap.mmap(cold, len(want), prot=mmap.PROT_READ)
assert held[:4096] == want[:4096]
late = [os.open(shown, os.O_RDONLY)]
assert os.pread(late[0], len(want), 0)                       # the whole file, in pieces
off = 0
while piece := os.pread(late[0], 1 << 20, off): off += len(piece)
end = time.monotonic() + 60
while os.getxattr(shown, "user.matrixfs.sealed") != b"1" and time.monotonic() < end: time.sleep(0.02)
for n in range(20):
    late.append(os.open(shown, os.O_RDONLY | (os.O_DIRECT if n % 5 == 4 else 0)))
    if n % 5 != 4: assert os.pread(late[-1], 5000, n * 1000000) == want[n * 1000000:n * 1000000 + 5000]
    assert held[n * 2000000:n * 2000000 + 5000] == want[n * 2000000:n * 2000000 + 5000]
    if n == 10: os.close(cold)                               # the mmap alone keeps the cached open alive
second = mmap.mmap(late[-2], len(want), prot=mmap.PROT_READ)
assert second[:] == want == held[:]
held.close(); second.close(); [os.close(f) for f in late]
fresh = os.open(shown, os.O_RDONLY)                          # all closed: passthrough from here on
assert os.pread(fresh, 5000, 7) == want[7:5007] and mmap.mmap(fresh, len(want), prot=mmap.PROT_READ)[:] == want
""", path, big)
    assert len(want) <= sent(hub) <= len(want) + CUT_OFF
    with reader(path) as ask:
        freeze(m.pid)
        try:
            assert ask(123, 456, DEADLINE) == want[123:579], "not by passthrough"
        finally:
            os.kill(m.pid, signal.SIGCONT)


# ---- each byte once ----

def test_many_processes_fetch_a_cold_file_once(hub, mount, big):
    serve(hub, big)
    m = mount(hub, timeout=PLENTY)
    path = m.file("org/bytes", "w.safetensors")
    hub.rate(60_000_000)
    readers = [subprocess.Popen(w, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for w in (
        *[["cmp", "--", path, big]] * 4, *[[sys.executable, "-c", HEAD + WAYS["sequential"], path, big]] * 2)]
    for process in readers:
        assert process.wait(2 * DEADLINE) == 0, process.stderr.read().decode()
        process.stderr.close()
    size = big.stat().st_size
    assert sealed(path)
    assert size <= sent(hub) <= 1.05 * size     # where the machine is busy a run may turn out slow, and is cut short


def test_readers_that_jump_about_fetch_little_twice(hub, mount, big):
    """A jump far ahead breaks a request off; what was on the wire then is lost, and no more."""
    serve(hub, big)
    m = mount(hub, timeout=PLENTY)
    path = m.file("org/bytes", "w.safetensors")
    readers = [subprocess.Popen([sys.executable, "-c", HEAD + WAYS[way], path, big], stderr=subprocess.PIPE)
               for way in ("random", "backwards", "O_DIRECT", "mmap", "8 threads, 8 handles")]
    readers += [subprocess.Popen([program, "--", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                for program in ("cat", "sha256sum")]          # these ask the kernel to read ahead twice as far
    for process in readers:
        assert process.wait(2 * DEADLINE) == 0, process.stderr.read().decode()
        process.stderr.close()
    read(path)
    assert sealed(path) and big.stat().st_size <= sent(hub) <= 2 * big.stat().st_size


def test_two_repos_with_the_same_blob_fetch_it_once(hub, mount, big):
    etag, again = serve(hub, big), serve(hub, big, "else/twin")
    assert etag == again
    m = mount(hub, timeout=PLENTY)
    one, other = m.file("org/bytes", "w.safetensors"), m.blob("else/twin", etag)
    m.commit("else/twin")
    both = [subprocess.Popen(["cmp", "--", p, big], stderr=subprocess.PIPE) for p in (one, other)]
    assert [p.wait(DEADLINE) for p in both] == [0, 0]
    for p in both:
        p.stderr.close()
    assert sent(hub) == big.stat().st_size
    hub.clear_log()
    assert read(other) == read(one) == big.read_bytes() and hub.requests() == []
    # The twin: another blob of the same size is another fetch.
    data = bytearray(big.read_bytes())
    data[0] ^= 1
    hub.repo("else/own").commit({"w.safetensors": bytes(data)})
    assert read(m.file("else/own", "w.safetensors")) == data and sent(hub) == len(data)


def test_a_small_read_fetches_little(hub, mount, tmp_path):
    size = 200 * MIB
    path = tmp_path / "sparse.bin"
    with open(path, "wb") as f:
        f.truncate(size)
    hub.repo("org/bytes").commit({"w.safetensors": Blob(path, "w.safetensors")})
    m = mount(hub, timeout=PLENTY)
    for off in (0, 100 * MIB, size - 5000):
        before = sent(hub)
        assert read(m.file("org/bytes", "w.safetensors"), off, 4096, step=4096) == bytes(4096)
        time.sleep(0.5)
        assert 0 < sent(hub) - before <= 24 * MIB, off
    assert stat(m.file("org/bytes", "w.safetensors")).st_blocks * 512 <= 72 * MIB


def test_the_wanted_bytes_are_answered_before_the_rest_comes(hub, mount, big):
    """A hub that sends 100 000 bytes and then hangs: those bytes are read, what lies behind them is not."""
    serve(hub, big)
    want = big.read_bytes()
    m = mount(hub, timeout=20)
    path = m.file("org/bytes", "w.safetensors")
    with hub.fault(RANGE, "hang_body", after_bytes=100_000) as fault:
        script = "import os, sys; fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT); import mmap; b = mmap.mmap(-1, 65536); " \
                 "n = os.preadv(fd, [b], 0); sys.stdout.buffer.write(b[:n])"
        begun = time.monotonic()
        got = python(script, path)                     # O_DIRECT: no readahead that asks for more
        assert got == want[:65536] and time.monotonic() - begun < 10
        assert stat(path).st_blocks * 512 <= MIB
        fault.release()
    assert read(path) == want


# ---- nobody is held up by others ----

def test_64_hung_readers_hold_up_nobody(hub, mount, plain):
    hung, quick = hub.repo("org/hung"), hub.repo("org/quick")
    hung.commit({f"{n}.safetensors": models.big_file(MIB + n, seed=1000 + n) for n in range(64)})
    quick.commit({"w.safetensors": plain["odd"], "config.json": b"{}"})
    m = mount(hub, timeout=25)
    commit = m.commit("org/hung")
    with hub.fault(r"/org/hung/", "hang"):
        readers = [subprocess.Popen(["cat", "--", m.file("org/hung", f"{n}.safetensors", rev=commit)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE) for n in range(64)]
        try:
            assert eventually(lambda: len(hub.requests(path_re="/org/hung/resolve/")) >= 16, DEADLINE)
            begun = time.monotonic()
            names = os.listdir(m.hub)
            assert "models--org--hung" in names and read(m.file("org/quick", "config.json"), seconds=15) == b"{}"
            assert read(m.file("org/quick", "w.safetensors"), seconds=15) == plain["odd"].read_bytes()
            assert len(os.listdir(m.snapshot("org/hung", commit))) == 64
            took = time.monotonic() - begun
            assert [p.poll() for p in readers] == [None] * 64, f"not hung any more after {took} s"
            # A reader that gives up is let go at once.
            for process in readers[:32]:
                process.send_signal(signal.SIGINT)
            for process in readers[:32]:
                process.wait(15)
        finally:
            for process in readers:
                process.kill()
                process.wait(DEADLINE)
                process.stderr.close()
    assert eventually(lambda: not fails(read, m.file("org/hung", "0.safetensors", rev=commit)), 30)
    assert read(m.file("org/hung", "63.safetensors", rev=commit)) == models.big_file(MIB + 63, seed=1063)


def test_big_reads_do_not_starve_names(hub, mount, tmp_path):
    """Eight cold files stream in slowly, and names, attributes and refs are answered meanwhile, each within a second."""
    repo, sizes = hub.repo("org/huge"), [24 * MIB + n for n in range(8)]
    twins = [models.big_file(size, seed=size, path=tmp_path / f"{size}") for size in sizes]
    repo.commit({f"{n}.safetensors": twin for n, twin in enumerate(twins)} | {"config.json": b"{}"})
    m = mount(hub, timeout=PLENTY, args=["--ref-ttl=0"])
    commit, shown = m.commit("org/huge"), [m.file("org/huge", f"{n}.safetensors") for n in range(8)]
    slowest, calls = {}, {
        "stat": lambda n: os.stat(m.snapshot("org/huge", commit) / f"{n % 8}.safetensors"),
        "ls": lambda n: os.listdir(m.snapshot("org/huge", commit)),
        "xattr": lambda n: xattr(shown[n % 8], "user.matrixfs.present"),
        "ref": lambda n: read(m.ref("org/huge")),
        "statvfs": lambda n: os.statvfs(m.root),
        "absent": lambda n: fails(os.stat, m.file("org/huge", f"absent-{n}")),
    }
    with Readers() as readers:
        hub.rate(800_000)
        pending = [readers.ask("sequential", path, twin) for path, twin in zip(shown, twins)]
        assert eventually(lambda: len({q.path for q in hub.requests(path_re="/resolve/")}) == 8, DEADLINE)
        for n in range(200):
            for name, call in calls.items():
                begun = time.monotonic()
                within(DEADLINE, call, n)
                slowest[name] = max(slowest.get(name, 0), time.monotonic() - begun)
        assert not any(p.done.is_set() for p in pending), "the big reads were over: nothing was shown"
        assert max(slowest.values()) < 1, slowest
        hub.rate(None)
        assert all(p.result(2 * DEADLINE).right for p in pending)


def test_a_hung_read_ends_with_eio_in_its_time(hub, mount, plain):
    serve(hub, plain["odd"])
    m = mount(hub, timeout=3)
    path = m.file("org/bytes", "w.safetensors")
    stat(path)
    with hub.fault(RANGE, "hang"):
        begun = time.monotonic()
        assert fails(read, path) == "EIO" and time.monotonic() - begun < 30
    assert eventually(lambda: not fails(read, path), 30) and read(path) == plain["odd"].read_bytes()
