"""Rows about the export: libnfs's client reads from it."""
import contextlib
import socket
import time

from bench_lib import (DIR, RUNS, SIZE, Mount, Origin, begin_cold, best, free_port, in_turns, median, processes, read, row, run, speed, timed,
                       wait_until)

CLIENTS, IDLE = 4, 64
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
        return float(run(DIR / "nfs", way, self.url(), SECONDS))


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
        row(f"export: {way.upper()}, one connection, 64 in flight", median([export.rate(way) for _ in range(RUNS)]), unit="req/s",
            at_least=50_000, commands=([DIR / "nfs", way, export.url(), SECONDS],))


def memory_row(export):
    """What clients cost that have read and are still there."""
    before = export.memory("RssAnon")
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", export.port)))
            client.sendall(bytes.fromhex("80000028 00000001 00000000 00000002 000186a3 00000003 00000000" + " 00000000" * 4))
            assert client.recv(100)
        readers = [processes.start([DIR / "nfs", "read", export.url()], f"nfs.{n}") for n in range(8)]
        peak = before
        while any(p.poll() is None for p in readers):
            peak = max(peak, export.memory("RssAnon"))
            time.sleep(0.01)
        for p in readers:
            processes.running.remove(p)
    row(f"export: memory for {IDLE} clients, 8 of them reading", (peak - before) / 1e6, unit="MB", at_most=16,
        commands=["RssAnon in /proc/PID/status, at most"])


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
