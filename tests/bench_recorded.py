"""Rows about loads of models as programs make them (loads.py): how long a cold one takes, and how many bytes it fetches."""
import pathlib
import sys

import loads
from bench_lib import COPY, FILES, PLAIN, RUNS, SIZE, Mount, Origin, begin_cold, best, in_turns, median, row, timed

PYTHON = pathlib.Path("build/venv/bench/bin/python")
LAYER = [(4096, 4096), (8192, 4096), (4096, 2048), (2048, 4096)]       # 64, 128, 32 and 32 MiB of float32


def shape(n, scale):
    rows, columns = LAYER[n % len(LAYER)]
    return max(64, int(rows * scale)), columns


def layers(size):
    """Tensors of 32 to 128 MiB that make `size` bytes of the default SIZE, and are smaller where that is smaller."""
    scale, tensors, total = min(1, SIZE / (1 << 30)), {}, 0
    while total < size:
        rows, columns = shape(len(tensors), scale)
        tensors[f"layers.{len(tensors)}.weight"] = rows, columns
        total += 4 * rows * columns
    return tensors


def models():
    """Two large shards, nine small ones and a GGUF."""
    directories = {n: FILES / n for n in ("two", "nine", "gguf")}
    if not FILES.joinpath("two").exists():
        for directory in directories.values():
            directory.mkdir(parents=True)
        for n in range(2):
            loads.write_safetensors(directories["two"] / f"model-{n + 1:05}-of-00002.safetensors", layers(SIZE // 2))
        for n in range(9):
            loads.write_safetensors(directories["nine"] / f"model-{n + 1:05}-of-00009.safetensors", layers(SIZE // 16))
        loads.write_gguf(directories["gguf"] / "model.gguf", layers(SIZE // 2))
    return directories


def size_of(directory):
    return sum(p.stat().st_size for p in directory.iterdir())


def python():
    """Of the environment that has the loaders, or the one of the tests without some of them."""
    return PYTHON if PYTHON.exists() else sys.executable


def load():
    """A model of two shards by safetensors, against a download of both."""
    with Origin(two=models()["two"]) as origin:
        names = sorted(p.name for p in origin.directories["two"].iterdir())

        def ours():
            with Mount(origin) as mount:
                return loads.load("safetensors_mmap", 1, [mount.snapshot("two") / n for n in names], python())[0]

        def theirs():
            return timed("curl", "-sfL", "-o", PLAIN, origin.url(names[0], "two"), "-o", COPY, origin.url(names[1], "two"))

        def before():
            PLAIN.unlink(missing_ok=True), COPY.unlink(missing_ok=True)
            begin_cold(*origin.directories["two"].iterdir())
        seconds, curls = in_turns(ours, theirs, before)
        before()
    row("first load of 2 shards by safetensors / curl", median(seconds), median(curls), unit="s", at_most=1.3,
        best=1 / best(seconds, curls), commands=(["tests/loads.py safetensors_mmap 1", *names], ["curl -sfL -o … -o …"]))


WHOLE = [*((f"safetensors, {how}, {n} thr.", "two", f"safetensors_{how}", n) for how in ("mmap", "pread") for n in (1, 2, 4, 8)),
         ("8 of 9 shards at once", "nine", "shards_at_once", 8), ("9 shards at once", "nine", "shards_at_once", 9),
         ("O_DIRECT, libaio, 64 deep", "two", "direct_aio", 64), ("Run:ai streamer", "two", "runai_streamer", 0),
         ("GGUF, populated mapping", "gguf", "gguf_mmap", 0), ("GGUF, gguf-py", "gguf", "gguf_package", 0)]
SLICES = [(f"{title}, {n} ranks", way, n) for title, way in (
    ("tensor parallel", "tensor_parallel"), ("slices of rows", "rows"), ("slices of columns", "columns"),
    ("expert parallel", "experts")) for n in (2, 4)]


def recorded():
    """Byte counts do not wobble as clocks do: one run each."""
    directories = models()
    with Origin(**directories) as origin:
        for title, repo, way, n in WHOLE:
            if way in ("gguf_package", "runai_streamer") and not PYTHON.exists():
                print(f"{way} is not installed: its row is left out")
                continue
            count(origin, f"bytes fetched / model: {title}", repo, way, n, size_of(directories[repo]), 1.01)
        for title, way, n in SLICES:
            wanted = loads.needed(sorted(directories["two"].iterdir()), way, n)
            count(origin, f"bytes fetched / needed: {title}", "two", way, n, wanted, 1.3)


def count(origin, title, repo, way, n, wanted, target):
    begin_cold(*origin.directories[repo].iterdir())
    before = origin.bytes_sent()
    with Mount(origin) as mount:
        loads.load(way, n, sorted(mount.snapshot(repo).iterdir()), python())
        mount.settle()
    row(title, (origin.bytes_sent() - before) / 1e6, wanted / 1e6, unit="MB", at_most=target,
        commands=([f"tests/loads.py {way} {n} …"],))
