"""Rows about what a cold file costs a reader who does not take it from front to back: its first byte, and random reads
with a hub that is far away."""
import time

from bench_lib import DIR, MNT, NAME, RUNS, SIZE, Mount, Origin, begin_cold, files, median, read, row, run

FAR = 0.02          # seconds a far hub waits before each answer
SECONDS = 10        # of random reads
IOPS = {1: 1000, 4: 4000}


def first_byte():
    """Of files nobody has read, once their directory has been listed."""
    for place, latency, nginx in ("near, with a CDN", 0, True), ("far", FAR, False):
        with Origin(nginx=nginx, latency=latency, many="firsts") as origin, Mount(origin) as mount:
            ours, theirs, seen = [], [], mount.snapshot("many")
            for path in sorted(seen.iterdir()):
                begin_cold(files("firsts") / path.name)
                url = origin.url(path.name, "many")
                ours.append(1e3 * read("first", path))
                theirs.append(1e3 * float(run("curl", "-sfL", "-r", "0-0", "-o", "/dev/null", "-w", "%{time_total}", url)))
            row(f"first byte of a cold file / curl, hub {place}", median(ours), median(theirs), unit="ms",
                commands=(["build/bench/read first", path], ["curl -sfL -r 0-0", url]))
            row("  more than that round trip", median(ours) - median(theirs), unit="ms", at_most=5)


def random():
    with Origin(nginx=False, latency=FAR, one="one") as origin:
        begin_cold(origin.file)
        rate = float(run("curl", "-sf", "-o", "/dev/null", "-w", "%{speed_download}", origin.url()))
        row("the far hub itself, one download", rate / 1e9, commands=([f"tests/hub.py --latency {FAR}"], ["curl -o /dev/null"]))
        for threads, target in IOPS.items():
            rates, sent = [], []
            for _ in range(RUNS):
                begin_cold(origin.file)
                before = origin.bytes_sent()
                with Mount(origin) as mount:
                    rates.append(read("random", mount.file, threads, SECONDS))
                sent.append(origin.bytes_sent() - before)
            row(f"random 4 KiB reads of a cold file, far hub, {threads} thr.", median(rates), unit="reads/s", at_least=target,
                commands=([f"build/bench/read random {MNT}/…/{NAME} {threads} {SECONDS}"],))
            row("  bytes fetched / size of the file", median(sent) / 1e6, SIZE / 1e6, unit="MB", at_most=1)
        one_read(origin)


def one_read(origin):
    sent = []
    for _ in range(RUNS):
        before = origin.bytes_sent()
        with Mount(origin) as mount:
            with open(mount.file, "rb", buffering=0) as f:
                f.seek(SIZE // 2)
                f.read(4096)
            time.sleep(2)
            mount.settle()
        sent.append(origin.bytes_sent() - before)
    row("bytes fetched by one 4 KiB read of a large file", median(sent) / (1 << 20), unit="MiB", at_most=4,
        commands=["open, pread, close, and what the hub had sent when nothing more came"])
