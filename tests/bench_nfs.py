"""Rows about the export: libnfs's client reads from it."""
import contextlib
import re
import threading
import time

from bench_lib import (DIR, RUNS, SIZE, Mount, Origin, begin_cold, best, free_port, in_turns, median, processes, read, row, run, speed, timed,
                       wait_until)
from nfs_wire import LAST, Client, u32

CLIENTS, CROWD = 4, 64
SECONDS = 2         # of each run that counts answers


class Export(Mount):
    """The mount, which is an export, too."""

    def __init__(self, origin, **kw):
        self.port = free_port()
        super().__init__(origin, f"--nfs=127.0.0.1:{self.port}", **kw)

    def url(self, name="model.safetensors"):
        return f"nfs://127.0.0.1/files/bench/one/{name}?nfsport={self.port}&mountport={self.port}"

    def read(self):
        return float(run(DIR / "nfs", "read", self.url()))

    def rate(self, way):
        """Answers a second, and microseconds of CPU that one costs the server, and the client."""
        before = self.cpu()[0]
        answers, seconds, client = map(float, run(DIR / "nfs", way, self.url(), SECONDS).split())
        return answers / seconds, (self.cpu()[0] - before) / answers * 1e6, client / answers * 1e6


def nfs():
    with Origin(one="one") as origin:
        with Export(origin) as export:
            export.read()
            export.wait_sealed()
            hot_rows(origin, export)
            call_rows(export)
            memory_row(export)
        cold_row(origin)


def hot_rows(origin, export):
    url = f"{origin.cdn}/still/{next(p.name for p in (DIR / 'blobs').iterdir())}"
    ours, theirs = in_turns(export.read, lambda: timed("curl", "-sf", "-o", "/dev/null", url), times=3 * RUNS)
    row("export: hot read by libnfs / curl of nginx", speed(ours), speed(theirs), at_least=0.6, best=best(ours, theirs),
        commands=([DIR / "nfs", "read", export.url()], ["curl -sf -o /dev/null", url]))
    four, one = in_turns(lambda: crowd(export), export.read, times=3 * RUNS)
    row(f"  {CLIENTS} clients at once, in sum / one", CLIENTS * speed(four), speed(one), at_least=0.8)


def crowd(export):
    begun = time.monotonic()
    running = [processes.start([DIR / "nfs", "read", export.url()], f"nfs.{n}") for n in range(CLIENTS)]
    wait_until("the end of all reads", lambda: all(p.poll() is not None for p in running), 120)
    for p in running:
        processes.running.remove(p)
        assert p.returncode == 0
    return time.monotonic() - begun


def call_rows(export):
    for way in "getattr", "lookup":
        rates, server, client = map(median, zip(*(export.rate(way) for _ in range(RUNS))))
        row(f"export: {way.upper()}, one connection, 64 in flight", rates, unit="req/s", at_least=50_000,
            commands=([DIR / "nfs", way, export.url(), SECONDS], f"CPU an answer: {server:.1f} us of the server, {client:.1f} us of this client"))


def resident(export):
    """Bytes: (anonymous, all), page by page; the counters in /proc/PID/status are some hundred KiB off."""
    text = open(f"/proc/{export.pid}/smaps_rollup").read()
    return [int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1]) * 1024 for key in ("Anonymous", "Rss")]


def in_sockets():
    """Bytes in buffers of TCP on this machine."""
    return int(re.search(r"^TCP:.* mem (\d+)", open("/proc/net/sockstat").read(), re.M)[1]) * 4096


def memory_row(export):
    """What clients cost that have read and are still there, beside what the server has when one has read and is gone."""
    export.read()
    before, sockets = resident(export), in_sockets()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client("127.0.0.1", export.port)) for _ in range(CROWD)]
        threads = [threading.Thread(target=read_some, args=(client, n)) for n, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        reading = []
        while any(thread.is_alive() for thread in threads):
            reading.append((*resident(export), in_sockets()))
            time.sleep(0.005)
        after = resident(export)
    most = [max(values) for values in zip(*reading)]
    megabytes = lambda now, then: f"{(now - then) / 1e6:.2f} MB"
    row(f"export: memory for {CROWD} clients, at most", (max(most[0], after[0]) - before[0]) / 1e6, unit="MB", at_most=16, commands=[
        f"anonymous, of {before[0] / 1e6:.1f} MB: {megabytes(most[0], before[0])} more while they read, {megabytes(after[0], before[0])} when they "
        "have read",
        f"all that is resident, of {before[1] / 1e6:.1f} MB: {megabytes(most[1], before[1])} and {megabytes(after[1], before[1])} more; "
        f"in the kernel's sockets, theirs included: {megabytes(most[2], sockets)}"])
    with contextlib.ExitStack() as stack:
        before = resident(export)
        for _ in range(CROWD):      # what is kept of a client
            stack.enter_context(Client("127.0.0.1", export.port)).send(u32(LAST | 100_000) + bytes(90_000))
        most = max(resident(export)[0] for _ in range(20) if not time.sleep(0.1))
    row("  with half a call of 90 kB each", (most - before[0]) / 1e6, unit="MB", at_most=16)


def read_some(client, n):
    """16 MiB, from a place of its own on."""
    handle = client.walk("files", "bench", "one", "model.safetensors")
    for step in range(16):
        assert client.read(handle, (n * 16 + step << 20) % SIZE).count


def cold_row(origin):
    def by_export():
        begin_cold(origin.file)
        with Export(origin) as export:
            return export.read()

    def by_mount():
        begin_cold(origin.file)
        with Mount(origin) as mount:
            return read("read", mount.file)
    ours, theirs = in_turns(by_export, by_mount)
    row("export: cold read by libnfs / by the mount", SIZE / median(ours) / 1e9, SIZE / median(theirs) / 1e9, at_least=0.8,
        best=best(ours, theirs))
