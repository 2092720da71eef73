"""Loads as real programs make them, on cold files: right bytes, and no more of them fetched than are needed."""
import os
import pathlib
import time

import pytest

import loads
from hub import Blob
from mountlib import eventually, xattr

MIB = 1 << 20
ROWS, COLUMNS = 8192, 2048          # a tensor of 64 MiB: a rank's part of it is many chunks
REPO = "org/loads"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two shards of 192 MiB, nine of 8 MiB and a GGUF of 192 MiB, as blobs of a hub."""
    directory = tmp_path_factory.mktemp("model")
    tensors = {f"layers.{n}.weight": (ROWS, COLUMNS) for n in range(3)}
    for shard in (1, 2):
        loads.write_safetensors(directory / f"model-{shard:05d}-of-00002.safetensors", tensors)
    for shard in range(1, 10):
        loads.write_safetensors(directory / f"many-{shard:05d}-of-00009.safetensors", {"w": (1024, 1024), "v": (1024, 1024)})
    loads.write_gguf(directory / "model.gguf", tensors)
    return {p.name: Blob(p, p.name, lfs=True) for p in sorted(directory.iterdir())}


def mounted(hub, mount, model, pattern, readahead_kb=None):
    """The files that match: in a fresh mount, and as they are on disk."""
    files = {n: b for n, b in model.items() if pathlib.PurePath(n).match(pattern)}
    commit = hub.repo(REPO).commit(files)
    m = mount(hub, args=["--prefetch=always"])    # however short of memory the machine of the tests is
    if readahead_kb:
        dev = os.stat(m.root).st_dev
        pathlib.Path(f"/sys/class/bdi/{os.major(dev)}:{os.minor(dev)}/read_ahead_kb").write_text(str(readahead_kb))
    return [m.snapshot(REPO, commit) / n for n in files], [b.file for b in files.values()]


def settled(hub, quiet=0.4):
    """Bytes the hub has sent of files, once it sends no more."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < quiet:
        now = hub.bytes_sent(path_re="/resolve/")
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)
    return last


WHOLE = [("safetensors_mmap", 1), ("safetensors_mmap", 4), ("safetensors_mmap", 8), ("safetensors_pread", 1),
         ("safetensors_pread", 8), ("direct_aio", 64)]


@pytest.mark.parametrize("way,n", WHOLE)
def test_a_whole_load_fetches_each_byte_once(hub, mount, model, way, n):
    paths, plain = mounted(hub, mount, model, "model-*")
    assert loads.load(way, n, paths)[1] == loads.load(way, n, plain)[1]
    # What is on its way of a request that turned out slow is lost when it is cut short; many reads at once on a busy
    # machine see that happen. The benchmark holds it to 1.01.
    assert settled(hub) <= (1.3 if way == "direct_aio" else 1.01) * sum(p.stat().st_size for p in plain)


def test_nine_shards_at_once_fetch_each_byte_once(hub, mount, model):
    paths, plain = mounted(hub, mount, model, "many-*")
    assert loads.load("shards_at_once", 9, paths)[1] == loads.load("shards_at_once", 9, plain)[1]
    assert settled(hub) <= 1.01 * sum(p.stat().st_size for p in plain)


def test_a_populated_gguf_mapping_fetches_each_byte_once(hub, mount, model):
    paths, plain = mounted(hub, mount, model, "*.gguf")
    assert loads.load("gguf_mmap", 1, paths)[1] == loads.load("gguf_mmap", 1, plain)[1]
    assert settled(hub) <= 1.3 * plain[0].stat().st_size      # as above


def test_a_second_load_fetches_nothing(hub, mount, model):
    """The twin of them all: what counts the bytes does see a load that brings none."""
    paths, _ = mounted(hub, mount, model, "model-*")
    loads.load("safetensors_mmap", 1, paths)
    assert settled(hub) > 0
    assert eventually(lambda: all(xattr(p, "user.matrixfs.sealed") == "1" for p in paths))
    hub.clear_log()
    loads.load("safetensors_pread", 4, paths)
    assert settled(hub) == 0


# The tensors here have an eighth of the size of those that are worth dividing; so has the kernel's readahead, which
# goes beyond the end of a slice by as much as it is long.
SMALL_READAHEAD_KB = 8192 // 8
SLICES = [("rows", 2), ("rows", 4), ("columns", 2), ("tensor_parallel", 2), ("tensor_parallel", 4), ("experts", 3)]


@pytest.mark.parametrize("way,n", SLICES)
def test_a_rank_fetches_little_more_than_its_slices(hub, mount, model, way, n):
    paths, plain = mounted(hub, mount, model, "model-*", SMALL_READAHEAD_KB)
    assert loads.load(way, n, paths)[1] == loads.load(way, n, plain)[1]
    # Nothing tells short slices of rows alone from a reader who jumps, until some of them were read. Where readers are
    # late, on a busy machine, more is asked for ahead of them: the benchmark holds it to less.
    assert settled(hub, 0.7) <= (1.5 if (way, n) == ("rows", 4) else 1.4) * loads.needed(plain, way, n)


def test_one_small_read_of_a_large_file_fetches_little(hub, mount, model):
    paths, _ = mounted(hub, mount, model, "*.gguf")
    with open(paths[0], "rb", buffering=0) as f:
        f.seek(20 * MIB)
        assert len(f.read(4096)) == 4096
    assert settled(hub, 1.5) <= 4 * MIB
