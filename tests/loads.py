"""How programs load models: by their own libraries where these run without a GPU, else read for read as they do.

    python3 tests/loads.py WAY N FILE...      prints the seconds from before the first open to after the last byte,
                                              and a sum of what was read

WAY is a function below; N is its number of threads, of ranks or of reads in flight. It runs as a process of its own, so
that no wedge and no mapping outlives it. Used by bench_recorded.py and flow_loads.py.
"""
import concurrent.futures
import contextlib
import ctypes
import json
import mmap
import os
import pathlib
import platform
import struct
import subprocess
import sys
import time

import numpy

PAGE, CHUNK = 4096, 1 << 20
BLOCK = 1 << 20             # of a direct read
RUNAI_RANGE = 8 << 20       # what the streamer is asked for at a time
SYSCALLS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}    # io_setup, _destroy, _getevents, _submit


# ---- models to load ----

def write_safetensors(path, tensors):
    """{name: (rows, columns)} of float32, random, in that order."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    _write(path, struct.pack("<Q", len(text)) + text, at)


def write_gguf(path, tensors, strings=2000):
    """The same as GGUF version 3, with a vocabulary of so many words before them."""
    def text(word):
        return struct.pack("<Q", len(word)) + word.encode()
    words = b"".join(text(f"token{n}") for n in range(strings))
    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
             text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, strings) + words]
    infos, at = [], 0
    for name, (rows, columns) in tensors.items():
        infos.append(text(name) + struct.pack("<IQQIQ", 2, columns, rows, 0, at))
        at += 4 * rows * columns
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs + infos)
    _write(path, head + b"\0" * (-len(head) % 32), at)


def _write(path, head, size):
    with open(path, "wb") as f:
        f.write(head)
        for at in range(0, size, 8 << 20):
            f.write(os.urandom(min(8 << 20, size - at)))


def layout(path):
    """A safetensors file's tensors in the order they lie in: (name, shape, first byte in the file, bytes)."""
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(length))
    spans = [(n, t["shape"], 8 + length + t["data_offsets"][0], t["data_offsets"][1] - t["data_offsets"][0])
             for n, t in header.items() if n != "__metadata__"]
    return sorted(spans, key=lambda s: s[2])


# ---- what a rank needs ----

def _share(size, rank, ranks):
    return slice(size * rank // ranks, size * (rank + 1) // ranks)


def _slices(path, way, ranks, rank=0):
    """What a rank takes of a file: (name, slice of rows, slice of columns, first byte, bytes of a row, rows)."""
    for n, (name, (rows, columns), at, _) in enumerate(layout(path)):
        by = {"rows": 0, "columns": 1, "tensor_parallel": n % 2, "experts": 2}[way]
        if by == 2 and n % ranks != rank:
            continue
        down = _share(rows, rank, ranks) if by == 0 else slice(0, rows)
        along = _share(columns, rank, ranks) if by == 1 else slice(0, columns)
        yield name, down, along, at, 4 * columns


def needed(paths, way, ranks):
    """Bytes a rank cannot do without: the pages of what is contiguous in the file, whole chunks of what is not."""
    total = 0
    for path in paths:
        pages, chunks = set(), set()
        for _, down, along, at, row in _slices(path, way, ranks):
            first, last = at + 4 * along.start, at + 4 * along.stop - 1
            if 4 * (along.stop - along.start) == row:
                pages.update(range((first + down.start * row) // PAGE, (last + (down.stop - 1) * row) // PAGE + 1))
            else:
                for n in range(down.start, down.stop):
                    chunks.update(range((first + n * row) // CHUNK, (last + n * row) // CHUNK + 1))
        per_chunk = CHUNK // PAGE
        total += len(chunks) * CHUNK + PAGE * sum(p // per_chunk not in chunks for p in pages)
    return total


# ---- the ways ----

def touch(array):
    """Reads a byte of each page; their sum."""
    return int(numpy.frombuffer(array, dtype=numpy.uint8)[::PAGE].sum(dtype=numpy.uint64)) if len(array) else 0


def _open(path, backend):
    from safetensors import safe_open
    return safe_open(str(path), framework="np", backend=backend)


def _tensors(paths, threads, backend):
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_open(p, backend)) for p in paths]
        wanted = [(f, name) for f, path in zip(files, paths) for name, *_ in layout(path)]
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(lambda w: touch(w[0].get_tensor(w[1]).data.cast("B")), wanted))


def safetensors_mmap(paths, threads):
    """transformers: all shards open at once, tensors one by one in the order they lie in, by so many threads."""
    return _tensors(paths, threads, "mmap")


def safetensors_pread(paths, threads):
    return _tensors(paths, threads, "pread")


def shards_at_once(paths, threads):
    """SGLang and vLLM's multi-threaded loaders: a shard a thread."""
    from safetensors.numpy import load_file

    def load(path):
        return sum(touch(t.data.cast("B")) for t in load_file(str(path)).values())
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(load, paths))


def _sliced(way, paths, ranks):
    total = 0
    for path in paths:
        with _open(path, "mmap") as f:
            for name, down, along, *_ in _slices(path, way, ranks):
                total += touch(numpy.ascontiguousarray(f.get_slice(name)[down, along]).data.cast("B"))
    return total


def rows(paths, ranks):
    """Rank 0 of so many, each tensor cut by its first dimension: contiguous in the file."""
    return _sliced("rows", paths, ranks)


def columns(paths, ranks):
    """Cut by its last dimension: a piece of each row."""
    return _sliced("columns", paths, ranks)


def tensor_parallel(paths, ranks):
    """One tensor cut this way, the next that way, as in a transformer's layers."""
    return _sliced("tensor_parallel", paths, ranks)


def experts(paths, ranks):
    """Expert parallel: every so manieth tensor, whole."""
    return _sliced("experts", paths, ranks)


class Control(ctypes.Structure):
    """struct iocb of linux/aio_abi.h, little-endian."""
    _fields_ = [("data", ctypes.c_uint64), ("key", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("opcode", ctypes.c_uint16),
                ("priority", ctypes.c_int16), ("fd", ctypes.c_uint32), ("buf", ctypes.c_uint64), ("bytes", ctypes.c_uint64),
                ("offset", ctypes.c_int64), ("reserved", ctypes.c_uint64), ("more", ctypes.c_uint32), ("event_fd", ctypes.c_uint32)]


class Event(ctypes.Structure):
    _fields_ = [("data", ctypes.c_uint64), ("control", ctypes.c_uint64), ("result", ctypes.c_int64), ("result2", ctypes.c_int64)]


def _call(*args):
    result = ctypes.CDLL(None, use_errno=True).syscall(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def direct_aio(paths, depth):
    """InstantTensor, fastsafetensors: O_DIRECT, so many reads of 1 MiB in flight by libaio's system calls."""
    setup, destroy, get_events, submit = SYSCALLS[platform.machine()]
    context, total = ctypes.c_ulong(0), 0
    room = mmap.mmap(-1, depth * BLOCK)
    base = ctypes.addressof(ctypes.c_char.from_buffer(room))
    _call(setup, depth, ctypes.byref(context))
    for path in paths:
        fd, size = os.open(path, os.O_RDONLY | os.O_DIRECT), os.stat(path).st_size
        blocks, free, running = iter(range(0, size, BLOCK)), list(range(depth)), {}
        events = (Event * depth)()
        while True:
            while free and (at := next(blocks, None)) is not None:
                slot = free.pop()
                control = Control(data=slot, fd=fd, buf=base + slot * BLOCK, bytes=BLOCK, offset=at)    # opcode 0: pread
                running[slot] = control, at
                _call(submit, context, ctypes.c_long(1), ctypes.byref(ctypes.pointer(control)))
            if not running:
                break
            for n in range(_call(get_events, context, ctypes.c_long(1), ctypes.c_long(depth), events, None)):
                slot, result = events[n].data, events[n].result
                _, at = running.pop(slot)
                if result != min(BLOCK, size - at):
                    raise OSError(f"{path}: read at {at} gave {result}")
                total += touch(room[slot * BLOCK:slot * BLOCK + result])
                free.append(slot)
        os.close(fd)
    _call(destroy, context)
    return total


def gguf_mmap(paths, _):
    """llama.cpp: the header by many small reads, then one mapping, populated and read from front to back."""
    total = 0
    for path in paths:
        with open(path, "rb", buffering=4096) as f:
            for _ in range(4000):
                f.read(16)
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        mapping = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=mmap.PROT_READ)
        mapping.madvise(mmap.MADV_WILLNEED)
        total += touch(mapping)
        os.close(fd)
    return total


def gguf_package(paths, _):
    """gguf-py: what convert and inspect scripts use."""
    from gguf import GGUFReader
    return sum(touch(numpy.ascontiguousarray(t.data).data.cast("B")) for p in paths for t in GGUFReader(str(p)).tensors)


def _runai_library():
    """The streamer's own binding; its package would import torch."""
    import importlib.util
    spec = importlib.util.find_spec("runai_model_streamer")
    at = pathlib.Path(spec.submodule_search_locations[0], "libstreamer/__init__.py")
    spec = importlib.util.spec_from_file_location("libstreamer", at)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runai_streamer(paths, _):
    """The Run:ai model streamer's library: it finds out by itself how to read, io_uring with O_DIRECT at best."""
    library = _runai_library()
    dll, streamer, total = library.dll, library.t_streamer(0), 0
    sizes = [os.stat(p).st_size for p in paths]
    room = mmap.mmap(-1, sum(-(-s // PAGE) * PAGE for s in sizes))
    base = ctypes.addressof(ctypes.c_char.from_buffer(room))
    starts = [sum(-(-s // PAGE) * PAGE for s in sizes[:n]) for n in range(len(sizes))]
    ranges = [(n, at, min(RUNAI_RANGE, size - at)) for n, size in enumerate(sizes) for at in range(0, size, RUNAI_RANGE)]
    if dll.fn_runai_start(ctypes.byref(streamer)):
        raise OSError("the streamer did not start")
    wrong = dll.fn_runai_request(
        streamer, ctypes.byref(ctypes.c_uint64()), len(paths), (ctypes.c_char_p * len(paths))(*(os.fsencode(p) for p in paths)),
        (ctypes.c_uint32 * len(paths))(*(sum(r[0] == n for r in ranges) for n in range(len(paths)))),
        (ctypes.c_size_t * len(ranges))(*(r[1] for r in ranges)), (ctypes.c_size_t * len(ranges))(*(r[2] for r in ranges)),
        (ctypes.c_void_p * len(ranges))(*(base + starts[r[0]] + r[1] for r in ranges)), library.RunaiFileStreamerDevice(0, 0))
    for _ in ranges:
        wrong = wrong or dll.fn_runai_response(streamer, ctypes.byref(ctypes.c_uint64()), ctypes.byref(ctypes.c_uint32()),
                                               ctypes.byref(ctypes.c_uint32()), ctypes.byref(ctypes.c_int()), 0)
    if wrong:
        raise OSError(f"the streamer says {dll.fn_runai_response_str(wrong).decode()}")
    for start, size in zip(starts, sizes):
        total += touch(room[start:start + size])
    dll.fn_runai_end(streamer)
    return total


WAYS = {f.__name__: f for f in (safetensors_mmap, safetensors_pread, shards_at_once, rows, columns, tensor_parallel, experts,
                                direct_aio, gguf_mmap, gguf_package, runai_streamer)}


def load(way, n, paths, python=sys.executable, seconds=600):
    """Runs a way in a process of its own: (seconds, sum)."""
    command = [str(c) for c in (python, __file__, way, n, *paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    took, total = done.stdout.split()
    return float(took), int(total)


def main(way, n, *paths):
    for module in ("safetensors.numpy", "gguf"):        # importing one is not loading a model
        with contextlib.suppress(ImportError):
            __import__(module)
    begun = time.monotonic()
    total = WAYS[way](paths, int(n))
    print(f"{time.monotonic() - begun:.6f} {total}")


if __name__ == "__main__":
    main(*sys.argv[1:])
