"""Prefetch on a real mount: what is brought before anybody asks for it, what is not, and when it ends. The hub's record tells."""
import hashlib
import json
import os
import struct
import subprocess
import sys
import time

import pytest

import models
from mountlib import DEADLINE, eventually, lazy_umount, read, within, xattr

MIB = 1 << 20
PLENTY = 30         # the daemon's --timeout where nothing hangs on purpose
QUIET = 1.0         # what has not been asked for by then is not asked for
REPO = "org/model"
OFF, ALWAYS = ["--prefetch=no"], ["--prefetch=always"]
both = pytest.mark.parametrize("on", [True, False], ids=["on", "off"])


def sent(hub, name=""):
    """Bytes of a file that left the hub."""
    return hub.bytes_sent(path_re=f"/resolve/.*{name}$")


def sent_once(hub, size, name=""):
    """True if that many left it: a little more, where a request was cut short on its way."""
    return size <= sent(hub, name) <= 1.1 * size


def quiet(hub):
    """Waits until nothing more is asked for; bytes sent by then."""
    now = -1
    while now != (now := sent(hub)):
        time.sleep(QUIET)
    return now


def shard(number, count):
    return f"model-{number:05d}-of-{count:05d}.safetensors"


def tensors_file(size, tensor=MIB):
    """A safetensors file of that size whose tensors have `tensor` bytes each."""
    count = (size - 65536) // tensor
    header = {f"t{n:04d}": {"dtype": "U8", "shape": [tensor], "data_offsets": [n * tensor, (n + 1) * tensor]} for n in range(count)}
    text = json.dumps(header).encode().ljust(65536 - 8)
    return len(text).to_bytes(8, "little") + text + models.big_file(count * tensor, seed=size)


def gguf_file(tensors, words=0, alignment=32):
    """{name: bytes} as F32 tensors behind a vocabulary of that many words."""
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()
    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
             text("general.alignment") + struct.pack("<II", 4, alignment),
             text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, words) + b"".join(text(f"word number {n:07d}") for n in range(words))]
    infos, data = b"", b""
    for name, content in tensors.items():
        infos += text(name) + struct.pack("<IQIQ", 1, len(content) // 4, 0, len(data))
        data += content.ljust(-(-len(content) // alignment) * alignment, b"\0")
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + infos
    return head.ljust(-(-len(head) // alignment) * alignment, b"\0") + data


def commit(hub, files):
    hub.repo(REPO).commit(files)


def start(hub, mount, on=True, args=(), **kw):
    """However short of memory the machine of the tests is."""
    return mount(hub, timeout=PLENTY, args=[*(ALWAYS if on else OFF), *args], **kw)


def sealed(path):
    return xattr(path, "user.matrixfs.sealed") == "1"


# ---- one file ----

def test_one_look_into_a_big_file_costs_little(hub, mount, tmp_path):
    big = tmp_path / "w.safetensors"
    big.write_bytes(tensors_file(128 * MIB))
    commit(hub, {"w.safetensors": big})
    m = start(hub, mount)
    assert read(m.file(REPO, "w.safetensors"), 100 * MIB, 4096) == big.read_bytes()[100 * MIB:100 * MIB + 4096]
    # The header is not fetched any more when the file was closed before it was its turn.
    assert MIB <= quiet(hub) <= 4 * MIB, "more than the header and what lies around the bytes"


@both
def test_the_header_is_there_before_it_is_read(hub, mount, on):
    commit(hub, {"w.safetensors": tensors_file(32 * MIB)})
    m = start(hub, mount, on)
    fd = os.open(m.file(REPO, "w.safetensors"), os.O_RDONLY)
    within(DEADLINE, os.pread, fd, 4096, 20 * MIB)
    head_asked = lambda: any(q.range.startswith("bytes=0-") for q in hub.requests(path_re="/resolve/"))
    if on:          # by a thread that others go before
        assert eventually(head_asked)
    quiet(hub)
    assert head_asked() == on
    os.close(fd)


def test_an_open_alone_costs_nothing(hub, mount):
    commit(hub, models.sharded_model(2, mb=4))
    m = start(hub, mount)
    for name in os.listdir(m.file(REPO)):
        os.close(os.open(m.file(REPO, name), os.O_RDONLY))
    assert quiet(hub) == 0


@both
def test_of_a_zip_the_directory_at_its_end_is_brought(hub, mount, on):
    commit(hub, {"pytorch_model.bin": models.big_file(24 * MIB + 5, seed=1)})
    m = start(hub, mount, on)
    with open(m.file(REPO, "pytorch_model.bin"), "rb", buffering=0) as f:
        within(DEADLINE, f.read, 16)
        quiet(hub)
        asked = [q.range for q in hub.requests(path_re="/resolve/")]
    assert any(r.endswith(f"-{24 * MIB + 4}") for r in asked) == on, asked


MAPPED = """
import hashlib, mmap, sys
with open(sys.argv[1], "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as view:
    f.read(24)
    print(hashlib.sha256(view).hexdigest())
"""


def test_a_gguf_file_is_read_as_it_is_mapped(hub, mount):
    data = gguf_file({f"blk.{n}.weight": models.floats(MIB // 4, n) for n in range(16)}, words=200_000)
    assert data.index(b"blk.0.weight") > 4 * MIB
    commit(hub, {"q.gguf": data})
    m = start(hub, mount)
    digest = subprocess.run([sys.executable, "-c", MAPPED, m.file(REPO, "q.gguf")], capture_output=True, timeout=DEADLINE)
    assert digest.stdout.decode().strip() == hashlib.sha256(data).hexdigest(), digest.stderr
    assert eventually(lambda: sealed(m.file(REPO, "q.gguf")))
    assert sent_once(hub, len(data))


# ---- small files ----

@both
def test_a_config_brings_the_small_files_beside_it(hub, mount, on):
    files = models.tiny_model()
    small = {name for name, data in files.items() if len(data) < MIB}
    commit(hub, files | {"onnx/config.json": b"{}", "big.json": b" " * (2 * MIB)})
    m = start(hub, mount, on)
    assert read(m.snapshot(REPO, m.commit(REPO)) / "config.json") == files["config.json"]
    if on:
        for name in small | {"onnx/config.json"}:
            assert eventually(lambda name=name: sealed(m.file(REPO, name))), name
    quiet(hub)
    for name in files:
        times = len(hub.requests(path_re=f"/resolve/[^/]*/{name}$", method="GET"))
        assert times == (name == "config.json" or (on and name in small)), (name, times)
    assert sent(hub, "big.json") == 0
    for name in small:
        assert read(m.file(REPO, name)) == files[name]


def test_a_repo_of_very_many_small_files_is_not_brought(hub, mount):
    commit(hub, {f"data/{n:04d}.json": b"%d" % n for n in range(600)} | {"config.json": b"{}", "README.md": b"# x\n"})
    m = start(hub, mount)
    read(m.file(REPO, "config.json"))
    assert eventually(lambda: sealed(m.file(REPO, "README.md")))
    quiet(hub)
    assert len(hub.requests(path_re="/resolve/", method="GET")) == 257


# ---- shards ----

@both
def test_the_next_shard_is_there_before_its_open(hub, mount, on):
    files = models.sharded_model(3, mb=16)
    commit(hub, files)
    m = start(hub, mount, on)
    fd = os.open(m.file(REPO, shard(1, 3)), os.O_RDONLY)
    assert read(m.file(REPO, shard(1, 3))) == files[shard(1, 3)]
    if on:
        assert eventually(lambda: sealed(m.file(REPO, shard(2, 3))))
        assert eventually(lambda: sealed(m.file(REPO, shard(3, 3))))
    quiet(hub)
    for n in 2, 3:
        assert sent_once(hub, len(files[shard(n, 3)]) * on, shard(n, 3))
    os.close(fd)
    for n in 1, 2, 3:
        assert read(m.file(REPO, shard(n, 3))) == files[shard(n, 3)]
    assert sent_once(hub, sum(len(files[shard(n, 3)]) for n in (1, 2, 3)), "safetensors")


@both
def test_an_index_brings_the_heads_of_the_first_shards(hub, mount, on):
    commit(hub, models.sharded_model(6, mb=3))
    m = start(hub, mount, on)
    read(m.file(REPO, "model.safetensors.index.json"))
    quiet(hub)
    assert [sent(hub, shard(n, 6)) // MIB for n in range(1, 7)] == ([1, 1, 1, 1, 0, 0] if on else [0] * 6)


def test_a_shard_that_is_closed_half_read_brings_no_other(hub, mount):
    commit(hub, {shard(n, 2): tensors_file(128 * MIB + n * 4096) for n in (1, 2)})
    m = start(hub, mount)
    read(m.file(REPO, shard(1, 2)), 0, 8 * MIB)     # and as much again by the kernel's readahead
    before = quiet(hub)
    assert sent(hub, shard(2, 2)) <= MIB, "more than its head"
    time.sleep(QUIET)
    assert sent(hub) == before


@pytest.mark.parametrize("step", [128 << 10, MIB], ids=["128K", "1M"])
@pytest.mark.parametrize("much", [3 * MIB, 16 * MIB], ids=["3M", "16M"])
def test_a_small_shard_of_which_a_little_was_read_brings_no_other(hub, mount, much, step):
    """Of 20 MiB the kernel asks for 14 when 3 are read: that is its guess, and no reason for one of ours."""
    commit(hub, {shard(n, 2): tensors_file(20 * MIB + n * 4096) for n in (1, 2)})
    m = start(hub, mount)
    path = m.file(REPO, shard(1, 2))
    with open(path, "rb"):      # for as long as it takes to think about it
        read(path, 0, much, step=step)
        quiet(hub)
    whole = os.path.getsize(m.file(REPO, shard(2, 2)))
    assert sent(hub, shard(2, 2)) <= MIB if much == 3 * MIB else sent(hub, shard(2, 2)) == whole   # its head, unless closed before


SLICES = """
import os, sys
path, step, part = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(path, os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
size = os.fstat(fd).st_size
os.pread(fd, 65536, 0)
for off in range(65536, size, step):
    for at in range(off, off + part, 1 << 20):
        os.pread(fd, 1 << 20, at)
print("read", flush=True)
sys.stdin.read()
"""


@both
def test_who_leaves_out_tensors_is_spared_them_and_the_next_shard(hub, mount, on):
    """A rank of two reads every second tensor of 8 MiB. Without the header nobody can tell, and all of it comes."""
    commit(hub, {shard(n, 2): tensors_file(192 * MIB + n * 4096, 8 * MIB) for n in (1, 2)})
    m = start(hub, mount, on)
    reader = subprocess.Popen([sys.executable, "-c", SLICES, m.file(REPO, shard(1, 2)), str(16 * MIB), str(8 * MIB)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert within(DEADLINE, reader.stdout.readline) == b"read\n"
    quiet(hub)
    reader.communicate()
    # The first 64 MiB tell how it is read: they come whole.
    assert (sent(hub, shard(1, 2)) <= (96 + 48) * MIB) == on
    assert sent(hub, shard(2, 2)) == MIB * on


def test_who_reads_all_tensors_finds_the_next_shard(hub, mount):
    files = {shard(n, 2): tensors_file(96 * MIB + n * 4096, 8 * MIB) for n in (1, 2)}
    commit(hub, files)
    m = start(hub, mount)
    reader = subprocess.Popen([sys.executable, "-c", SLICES, m.file(REPO, shard(1, 2)), str(16 * MIB), str(16 * MIB)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert within(DEADLINE, reader.stdout.readline) == b"read\n"
    assert eventually(lambda: sealed(m.file(REPO, shard(2, 2))))
    reader.communicate()
    assert sent_once(hub, len(files[shard(2, 2)]), shard(2, 2))


def test_two_processes_that_read_the_same_shards_fetch_them_once(hub, mount):
    files = models.sharded_model(3, mb=12)
    commit(hub, files)
    m = start(hub, mount)
    paths = [str(m.file(REPO, shard(n, 3))) for n in (1, 2, 3)]
    readers = [subprocess.Popen(["cat", *paths], stdout=subprocess.PIPE) for _ in range(2)]
    want = b"".join(files[shard(n, 3)] for n in (1, 2, 3))
    assert all(within(DEADLINE, r.communicate)[0] == want for r in readers[:1])
    assert within(DEADLINE, readers[1].communicate)[0] == want
    quiet(hub)
    assert sent_once(hub, len(want))


LOAD = """
import sys
from safetensors.numpy import load_file
for path in sys.argv[1:]:
    for name, tensor in sorted(load_file(path).items()):
        print(name, float(tensor.sum()))
"""


@both
def test_a_real_load_of_two_shards_costs_their_bytes(hub, mount, on, tmp_path):
    files = models.sharded_model(2, mb=16)
    commit(hub, files)
    m = start(hub, mount, on)
    names = [shard(1, 2), shard(2, 2)]
    models.write({n: files[n] for n in names}, tmp_path / "plain")

    def load(directory):
        done = subprocess.run([sys.executable, "-c", LOAD, *(directory / n for n in names)], capture_output=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr
        return done.stdout
    snapshot = m.snapshot(REPO, m.commit(REPO))
    read(snapshot / "model.safetensors.index.json")
    assert load(snapshot) == load(tmp_path / "plain")
    quiet(hub)
    assert sent_once(hub, sum(len(files[n]) for n in names), "safetensors")


# ---- when it is dropped ----

@both
def test_no_guess_drives_another_file_out_of_the_cache(hub, mount, on):
    """With room for all the twin brings the next shard; with room for one, the file that was read before stays."""
    files = models.sharded_model(2, mb=16)
    commit(hub, files | {"kept.bin": models.big_file(16 * MIB, seed=5)})
    m = start(hub, mount, args=["--cache-size=40MiB" if on else "--cache-size=200MiB"])
    read(m.file(REPO, "kept.bin"))
    read(m.file(REPO, shard(1, 2)))
    quiet(hub)
    assert (sent(hub, shard(2, 2)) < 4 * MIB) == on
    assert eventually(lambda: sealed(m.file(REPO, "kept.bin")))


@pytest.mark.parametrize("available,when,guessed", [(1_000, "yes", False), (1_000, "always", True), (20_000_000, "yes", True)],
                         ids=["short", "short-always", "plenty"])
def test_while_memory_is_short_nothing_is_guessed(hub, mount, tmp_path, available, when, guessed):
    """The program sees another /proc/meminfo; its mount is seen here, for the directory is shared."""
    shared, meminfo = tmp_path / "shared", tmp_path / "meminfo"
    shared.mkdir()
    meminfo.write_text(f"MemTotal: 24000000 kB\nMemFree: 1000 kB\nMemAvailable: {available} kB\n")
    subprocess.run(["mount", "--bind", shared, shared], check=True)
    try:
        subprocess.run(["mount", "--make-shared", shared], check=True)
        script = f'mount --make-private /proc && mount --bind {meminfo} /proc/meminfo && exec "$@"'
        commit(hub, models.tiny_model() | models.sharded_model(2, mb=4))
        m = start(hub, mount, tmp=shared, args=[f"--prefetch={when}"], wrapper=["unshare", "-m", "--propagation", "unchanged", "sh", "-c", script, "sh"])
        read(m.file(REPO, "config.json"))
        read(m.file(REPO, shard(1, 2)))
        quiet(hub)
        assert (sent(hub, shard(2, 2)) > 0) == (sent(hub, "vocab.txt") > 0) == guessed
        m.stop()
    finally:
        lazy_umount(shared)


def test_offline_nothing_is_asked_for(hub, mount, tmp_path):
    files = models.sharded_model(2, mb=4)
    commit(hub, files)
    m = start(hub, mount, on=False, cache=tmp_path / "cache")
    read(m.file(REPO, "config.json"))
    m.stop()
    hub.clear_log()
    m = start(hub, mount, cache=tmp_path / "cache", args=["--offline"])
    read(m.file(REPO, "config.json"))
    time.sleep(QUIET)
    assert not hub.requests()
