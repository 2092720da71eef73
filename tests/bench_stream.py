"""Rows about one large file from its first byte to its last: first and second reads, what they cost, and rclone."""
import os
import shutil

from bench_lib import (BLOBS, CACHE, COPY, DIR, GIB, OTHER_MNT, PLAIN, RUNS, SIZE, Mount, Origin, begin_cold, best, children_cpu, curl,
                       drop_pages, in_turns, median, processes, read, row, speed, timed, unmount, wait_until)

OPENS, OPEN_FILES = 10000, 100
RATE = 100_000_000     # bytes a second that a CDN may give to one connection


def first():
    """Everything a first read is measured by, from the same runs."""
    with Origin(one="one") as origin:
        first_rows(origin)
        copy_rows(origin)


def first_rows(origin):
    curl_s, copy_s, read_s, curl_cpu, cpu, digest, peak, sent = ([] for _ in range(8))
    for _ in range(RUNS):
        PLAIN.unlink(missing_ok=True), COPY.unlink(missing_ok=True)
        begin_cold(origin.file)
        before = children_cpu()
        curl_s.append(curl(origin))
        copy_s.append(curl_s[-1] + timed("cp", PLAIN, COPY))
        curl_cpu.append(children_cpu() - before)
        COPY.unlink()
        begin_cold(origin.file)
        with Mount(origin) as mount:
            before = origin.bytes_sent()
            read_s.append(read("read", mount.file))
            mount.wait_sealed()
            total, hashing = mount.cpu()
            cpu.append(total), digest.append(hashing), peak.append(mount.memory("VmHWM"))
            sent.append(origin.bytes_sent() - before)
            path, command = mount.file, mount.command
    row("first read / curl to the same disk", speed(read_s), speed(curl_s), at_least=0.8, best=best(read_s, curl_s),
        commands=(command, ["build/bench/read read", path], ["curl -sfL -o", PLAIN, origin.url()]))
    row("CPU of the daemon / of curl and cp (per GiB)", median(cpu) / GIB, median(curl_cpu) / GIB, unit="s", at_most=1.5,
        commands=["/proc/PID/stat after the seal", "getrusage of curl and cp"])
    row("  of it digest", median(digest) / GIB, unit="s", commands=["the threads mfs-seal in /proc/PID/task"])
    row("bytes the origin sent / size of the file", median(sent) / 1e6, SIZE / 1e6, unit="MB", at_most=1.01,
        commands=["sum of bytes in nginx's access log"])
    row("peak memory, streaming one file", median(peak) / 1e6, unit="MB", at_most=64, commands=["VmHWM in /proc/PID/status"])


def copy_rows(origin):
    def through_mount():
        with Mount(origin) as mount:
            return timed("cp", mount.file, COPY)

    def by_curl():
        return curl(origin) + timed("cp", PLAIN, COPY)

    def before():
        COPY.unlink(missing_ok=True)
        begin_cold(origin.file)
    cp_s, copy_s = in_turns(through_mount, by_curl, before)
    COPY.unlink()
    row("first read by cp / curl, then cp", speed(cp_s), speed(copy_s), best=best(cp_s, copy_s),
        commands=([f"cp {DIR}/mnt/… {COPY}"], ["curl -sfL -o", PLAIN, origin.url(), f"&& cp {PLAIN} {COPY}"]))


def second():
    """The file is in the cache; the plain file is what curl left, on the same disk."""
    with Origin(one="one") as origin:
        curl(origin)
        with Mount(origin) as mount:
            read("read", mount.file)
            mount.wait_sealed()
            path = mount.file
            before = origin.requests()
            read("read", mount.file)        # looks up refs/main, as a client does, and all below it
            row("requests of a second load", origin.requests() - before, unit="requests", at_most=0,
                commands=(["cat", path.parents[2] / "refs/main"], ["build/bench/read read", path],
                          "lines of the hub's and nginx's logs"))
            second_reads(path, "second load", 0.97)
            past, = (p for p in (CACHE / "blobs").rglob("*") if p.is_file() and p.stat().st_size == SIZE)
            second_reads(path, "  past the mount", None, past)
            ours, plain = in_turns(lambda: read("first", path), lambda: read("first", PLAIN), times=30)
            row("second load, open and one byte", median(ours) * 1e3, median(plain) * 1e3, unit="ms",
                commands=(["build/bench/read first", path], ["build/bench/read first", PLAIN]))
        with Mount(origin, "--passthrough=no", keep_cache=True) as mount:
            second_reads(mount.file, "--passthrough=no", None)


def second_reads(path, name, target, plain_path=PLAIN):
    """Against a copy of it, which lies elsewhere on the disk and in the page cache; against the cache's own file the mount alone counts."""
    for way, title in ("read", "read"), ("mmap", "mmap"), ("threads", "4 threads"):
        for state in "warm", "dropped":
            if state == "warm":
                read(way, path), read(way, plain_path)
            ours, plain = in_turns(lambda: read(way, path), lambda: read(way, plain_path),
                                   (lambda: drop_pages(path, plain_path)) if state == "dropped" else None,
                                   7 * RUNS)    # short ones: more of them cost little
            row(f"{name}, {title}, page cache {state}", speed(ours), speed(plain), at_least=target, best=best(ours, plain),
                commands=(["build/bench/read", way, path], ["build/bench/read", way, plain_path]))


def memory():
    """Resident memory at rest, at its busiest, and after many opens."""
    with Origin(four="four", many=str(OPEN_FILES)) as origin:
        with Mount(origin) as mount:
            mount.settle()
            row("memory, idle", mount.memory("VmRSS") / 1e6, unit="MB", at_most=20, commands=["VmRSS in /proc/PID/status"])
            seen = mount.snapshot("many")
            paths = [seen / n for n in sorted(os.listdir(seen))]
            open_all(paths, OPENS // 10)
            before = mount.memory("VmRSS")
            open_all(paths, OPENS)
            row(f"growth of it over {OPENS} opens", (mount.memory("VmRSS") - before) / 1e6, unit="MB", at_most=1,
                commands=[f"open, pread of 1 byte, close, of {OPEN_FILES} files in turn"])
        peaks = []
        for _ in range(RUNS):
            begin_cold(*origin.directories["four"].iterdir())
            with Mount(origin) as mount:
                seen = mount.snapshot("four")
                running = [processes.start([DIR / "read", "read", seen / n], f"read.{n}") for n in os.listdir(seen)]
                for process in running:
                    process.wait()
                    processes.running.remove(process)
                peaks.append(mount.memory("VmHWM"))
        row("peak memory, streaming 4 files", median(peaks) / 1e6, unit="MB", at_most=96, commands=["VmHWM in /proc/PID/status"])


def open_all(paths, times):
    for n in range(times):
        fd = os.open(paths[n % len(paths)], os.O_RDONLY)
        os.pread(fd, 1, 0)
        os.close(fd)


def rclone():
    """Another way to mount the same bytes: where the machine is the limit, and where each connection is."""
    if not shutil.which("rclone"):
        print("rclone is not installed: its rows are left out")
        return
    with Origin(one="one") as origin:
        curl(origin)
        rclone_first(origin, "")
        rclone_second(origin)
    with Origin(one="one", rate=RATE) as origin:
        rclone_first(origin, f", {RATE / 1e6:.0f} MB/s a connection")


def rclone_first(origin, where):
    def theirs():
        with Rclone(origin) as other:
            return read("read", other.file)

    def ours():
        with Mount(origin) as mount:
            return read("read", mount.file)
    ours_s, theirs_s = in_turns(ours, theirs, lambda: begin_cold(origin.file))
    row(f"first read / rclone mount{where}", speed(ours_s), speed(theirs_s), at_least=3, best=best(ours_s, theirs_s),
        commands=(["build/bench/read read", DIR / "mnt/…"], Rclone(origin).command))


def rclone_second(origin):
    with Rclone(origin) as other:
        path = other.file
        read("read", path)
        for state in "warm", "dropped":
            theirs, plain = in_turns(lambda: read("read", path), lambda: read("read", PLAIN),
                                     (lambda: drop_pages(path, PLAIN)) if state == "dropped" else None)
            row(f"rclone: second read, page cache {state}", speed(theirs), speed(plain), best=best(theirs, plain),
                commands=(["build/bench/read read", path], ["build/bench/read read", PLAIN]))


class Rclone:
    """with Rclone(origin) as other: its mount of what nginx serves, with an empty cache."""

    def __init__(self, origin):
        self.command = ["rclone", "mount", ":http:", OTHER_MNT, "--http-url", origin.cdn, "--vfs-cache-mode", "full",
                        "--cache-dir", DIR / "rclone.cache", "--read-only", "--config", "/dev/null"]
        names = [p.name for p in BLOBS.iterdir() if p.resolve() == origin.file.resolve()]
        self.file = OTHER_MNT / names[0]

    def __enter__(self):
        shutil.rmtree(CACHE, ignore_errors=True)
        OTHER_MNT.mkdir(exist_ok=True)
        self.process = processes.start(self.command, "rclone.log")
        wait_until("rclone's mount", lambda: os.path.ismount(OTHER_MNT))
        return self

    def __exit__(self, *_):
        unmount(OTHER_MNT)
        processes.stop(self.process)
        shutil.rmtree(DIR / "rclone.cache", ignore_errors=True)
