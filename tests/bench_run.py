"""What tools/bench measures: the rows of docs/benchmarks.md, in order. Run by it, in the project's root.

Each row is a function that answers a Row; it measures our side and the yardstick in turns, so that a noisy
machine is noisy for both, and compares medians.
"""
import ctypes
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

SIZE = int(os.environ.get("SIZE", 1 << 30))
RUNS = int(os.environ.get("RUNS", 3))
MATRIXFS = os.environ.get("MATRIXFS", "build/matrixfs")
DIR = pathlib.Path("build/bench")
MNT, CACHE, PLAIN, COPY = DIR / "mnt", DIR / "cache", DIR / "plain", DIR / "copy"
RCLONE_MNT, RCLONE_CACHE = DIR / "rclone.mnt", DIR / "rclone.cache"
BLOBS, HUB_LOG, NGINX_LOG = DIR / "blobs", DIR / "hub.log", DIR / "nginx.log"
NAME = "model.safetensors"
SMALL_FILES, FIRST_FILES, FIRST_SIZE = 1000, 9, 16 << 20
MOST_SECONDS = 600      # of any one command
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

NGINX = """
{user}daemon off; worker_processes 2; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 512; }}
http {{
    access_log {dir}/nginx.log; default_type application/octet-stream;
    sendfile on; tcp_nopush on; keepalive_requests 100000;
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{ listen 127.0.0.1:{port}; root {dir}/blobs; autoindex on; }}
}}
"""


class Broken(Exception):
    """The measuring itself failed."""


# ---- processes and files ----

class Processes:
    """What we started, ended in the opposite order whatever happens; none of it outlives us."""

    def __init__(self):
        self.running = []

    def start(self, command, log, **kw):
        libc, parent = ctypes.CDLL(None), os.getpid()

        def die_with_us():
            libc.prctl(1, signal.SIGTERM)       # PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)
        with open(DIR / log, "wb") as out:
            # A group of its own: Ctrl-C is for us, and we end it in order.
            process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                       preexec_fn=die_with_us, start_new_session=True, **kw)
        self.running.append(process)
        return process

    def stop(self, process):
        self.running.remove(process)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self):
        while self.running:
            self.stop(self.running[-1])


processes = Processes()


def clean_up():
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    processes.stop_all()
    for mountpoint in MNT, RCLONE_MNT:
        unmount(mountpoint)
    if any(os.path.ismount(m) for m in (MNT, RCLONE_MNT)):
        print(f"bench: {DIR} still has a mount in it and is left as it is", file=sys.stderr)
        return
    shutil.rmtree(DIR, ignore_errors=True)


def unmount(mountpoint):
    if os.path.ismount(mountpoint) or is_stale(mountpoint):
        command = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
        subprocess.run([*command, mountpoint], check=False)


def is_stale(mountpoint):
    try:
        os.stat(mountpoint)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def wait_until(what, ready, seconds=30, pause=0.02):
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise Broken(f"{what} did not come in {seconds} seconds; the logs are in {DIR}")
        time.sleep(pause)


def run(*command):
    """Runs a command; its output, stripped."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=MOST_SECONDS)
    if done.returncode != 0:
        raise Broken(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stderr.strip()}")
    return done.stdout.strip()


def timed(*command):
    start = time.monotonic()
    run(*command)
    return time.monotonic() - start


def drop_pages(*paths):
    os.sync()
    if os.geteuid() == 0:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        return
    for path in paths:
        with open(path, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm_pages(path):
    with open(path, "rb", buffering=0) as f:
        while f.read(8 << 20):
            pass


# ---- the two ends ----

class Origin:
    """The hub, and nginx, to which it sends whoever wants an LFS file."""

    def __init__(self, files):
        port = free_port()
        text = NGINX.format(dir=DIR.resolve(), port=port, user="user root; " if os.geteuid() == 0 else "")
        (DIR / "nginx.conf").write_text(text)
        BLOBS.mkdir()
        processes.start(["nginx", "-c", (DIR / "nginx.conf").resolve(), "-e", "stderr"], "nginx.out")
        self.cdn = f"http://127.0.0.1:{port}"
        command = [sys.executable, "tests/hub.py", "--cdn", self.cdn, "--blobs", BLOBS, "--log", HUB_LOG,
                   "--ready-file", DIR / "url"]
        for repo, directory in files.items():
            command += ["--repo", f"{repo}={directory}"]
        processes.start(command, "hub.out")
        wait_until("the hub", (DIR / "url").exists, 60 + SIZE / 50e6)
        self.hub = (DIR / "url").read_text().strip()
        self.file = DIR / "origin" / NAME
        self.url = f"{self.hub}/bench/one/resolve/main/{NAME}"

    def requests(self):
        """Made by the mount so far, of the hub and of nginx."""
        time.sleep(0.3)         # both write their logs after the answer
        hub = sum(json.loads(line)["user_agent"].startswith("matrixfs") for line in open(HUB_LOG))
        return hub + sum("matrixfs/" in line for line in open(NGINX_LOG))

    def bytes_sent(self):
        """By nginx to the mount, bytes that were sent in vain included."""
        time.sleep(0.3)
        return sum(int(line.split()[9]) for line in open(NGINX_LOG) if "matrixfs/" in line)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mount:
    """with Mount(origin) as mount: a daemon of its own; the cache is a new one unless told otherwise."""

    def __init__(self, origin, *options, keep_cache=False):
        if not keep_cache:
            shutil.rmtree(CACHE, ignore_errors=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        self.command = [MATRIXFS, "--config=/dev/null", f"--hub={origin.hub}", f"--cache={CACHE}", *options, MNT]
        self.process = processes.start(self.command, "matrixfs.log", env=clean | {"HF_HOME": str(DIR / "home")})
        self.pid = self.process.pid
        wait_until("the mount", lambda: "mounted mountpoint" in (DIR / "matrixfs.log").read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        processes.stop(self.process)
        unmount(MNT)

    def snapshot(self, repo="one"):
        home = MNT / f"hub/models--bench--{repo}"
        return home / "snapshots" / (home / "refs/main").read_text()

    @property
    def file(self):
        return self.snapshot() / NAME

    def wait_sealed(self):
        wait_until("the seal of the file", lambda: os.getxattr(self.file, "user.matrixfs.sealed") == b"1", 60 + SIZE / 20e6)

    def memory(self, key):
        """VmRSS or VmHWM, in bytes."""
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        raise Broken(f"no {key}")

    def cpu(self):
        """Seconds of CPU: all of it, and that of the threads that digest."""
        tick = os.sysconf("SC_CLK_TCK")

        def spent(stat):
            fields = stat.read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / tick
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        digest = sum(spent(t / "stat") for t in tasks if (t / "comm").read_text() == "mfs-seal\n")
        return spent(pathlib.Path(f"/proc/{self.pid}/stat")), digest


def read(way, path):
    """Seconds that build/bench/read took."""
    return float(run(DIR / "read", way, path))


def curl(origin, to=PLAIN):
    to.unlink(missing_ok=True)
    return timed("curl", "-sfL", "-o", to, origin.url)


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# ---- rows ----

rows = []


def row(what, ours, theirs=None, target=None, unit="GB/s", commands=(), best=None):
    """Prints a row. ours and theirs are medians; speeds compare as ratio at least target, the rest at most.

    best is the ratio of the fastest runs: what other work on the machine disturbs least.
    """
    speed = unit == "GB/s"
    digits = {"GB/s": 2, "MB": 1, "requests": 0, "ms": 2}.get(unit, 2)
    ratio = ours / theirs if theirs else None
    mark, aim = "", ""
    if target is not None:
        met = ratio >= target if speed else ours <= target
        mark, aim = "PASS" if met else "MISS", f"{'>=' if speed else '<='} {target:g}"
    figures = f"{ours:.{digits}f}" + (f" / {theirs:.{digits}f}" if theirs is not None else "") + f" {unit}"
    rows.append((what, f"{ratio:.2f}" if ratio else "", f"{best:.2f}" if best else "", figures, aim, mark))
    print(f"{what:<48}{rows[-1][1]:>6}{rows[-1][2]:>6}  {figures:<22}{aim:<9}{mark}".rstrip())
    for command in commands:
        print(f"      {' '.join(map(str, command)) if isinstance(command, (list, tuple)) else command}")
    sys.stdout.flush()


def median(values):
    return statistics.median(values)


def speed(seconds):
    return SIZE / median(seconds) / 1e9


def best(ours, theirs):
    return min(theirs) / min(ours)


def in_turns(ours, theirs, before=None, times=None):
    """Runs both sides turn by turn, the first of a turn being the second of the next; two lists of answers.

    `before` runs before each.
    """
    sides = (ours, []), (theirs, [])
    for n in range(times or RUNS):
        for side, answers in sides[::-1 if n % 2 else 1]:
            if before:
                before()
            answers.append(side())
    return [answers for _, answers in sides]


def cold_rows(origin):
    """Everything a first read is measured by, from the same runs."""
    curl_s, copy_s, read_s, curl_cpu, cpu, digest, peak, sent = ([] for _ in range(8))
    for _ in range(RUNS):
        warm_pages(origin.file)
        PLAIN.unlink(missing_ok=True), COPY.unlink(missing_ok=True)
        os.sync()
        before = children_cpu()
        curl_s.append(curl(origin))
        copy_s.append(curl_s[-1] + timed("cp", PLAIN, COPY))
        curl_cpu.append(children_cpu() - before)
        COPY.unlink()
        warm_pages(origin.file)
        os.sync()
        with Mount(origin) as mount:
            before = origin.bytes_sent()
            read_s.append(read("read", mount.file))
            mount.wait_sealed()
            total, hashing = mount.cpu()
            cpu.append(total), digest.append(hashing), peak.append(mount.memory("VmHWM"))
            sent.append(origin.bytes_sent() - before)
            path, command = mount.file, mount.command
    read_command, curl_command = ["build/bench/read read", path], ["curl -sfL -o", PLAIN, origin.url]
    row("first read / curl to the same disk", speed(read_s), speed(curl_s), 0.6, best=best(read_s, curl_s),
        commands=(command, read_command, curl_command))
    cp_s = cold_copies(origin)
    row("first read by cp / curl, then cp", speed(cp_s), speed(copy_s), best=best(cp_s, copy_s),
        commands=([f"cp {path} {COPY}"], [*curl_command, f"&& cp {PLAIN} {COPY}"]))
    gib = SIZE / (1 << 30)
    row("CPU of the daemon, of it digest (s per GiB)", median(cpu) / gib, median(digest) / gib, unit="s",
        commands=["/proc/PID/stat after the seal, and the threads mfs-seal in /proc/PID/task"])
    row("CPU of curl and cp (s per GiB)", median(curl_cpu) / gib, unit="s", commands=["getrusage of both"])
    row("bytes the origin sent / size of the file", median(sent) / 1e6, SIZE / 1e6, unit="MB",
        commands=["sum of bytes in nginx's access log"])
    row("peak memory, streaming one file", median(peak) / 1e6, target=64, unit="MB", commands=["VmHWM in /proc/PID/status"])


def cold_copies(origin):
    seconds = []
    for _ in range(RUNS):
        warm_pages(origin.file)
        COPY.unlink(missing_ok=True)
        os.sync()
        with Mount(origin) as mount:
            seconds.append(timed("cp", mount.file, COPY))
    COPY.unlink()
    return seconds


def second_rows(origin):
    """The file is in the cache; the plain file is what curl left, on the same disk."""
    curl(origin)
    with Mount(origin) as mount:
        read("read", mount.file)
        mount.wait_sealed()
        path = mount.file
        before = origin.requests()
        read("read", mount.file)        # looks up refs/main, as a client does, and all below it
        row("requests of a second load", origin.requests() - before, target=0, unit="requests",
            commands=(["cat", path.parents[2] / "refs/main"], ["build/bench/read read", path],
                      "lines of the hub's and nginx's logs"))
        second_reads(path, "second load", 0.95)
        ours, plain = in_turns(lambda: read("first", path), lambda: read("first", PLAIN), times=30)
        row("second load, open and one byte", median(ours) * 1e3, median(plain) * 1e3, unit="ms",
            commands=(["build/bench/read first", path], ["build/bench/read first", PLAIN]))
    with Mount(origin, "--passthrough=no", keep_cache=True) as mount:
        second_reads(mount.file, "--passthrough=no", None)


def second_reads(path, name, target):
    def drop():
        drop_pages(path, PLAIN)
    for way, title in ("read", "read"), ("mmap", "mmap"), ("threads", "4 threads"):
        for state in "warm", "dropped":
            if state == "warm":
                read(way, path), read(way, PLAIN)
            ours, plain = in_turns(lambda: read(way, path), lambda: read(way, PLAIN),
                                   drop if state == "dropped" else None,
                                   3 * RUNS)    # short ones: more of them cost little
            row(f"{name}, {title}, page cache {state}", speed(ours), speed(plain), target, best=best(ours, plain),
                commands=(["build/bench/read", way, path], ["build/bench/read", way, PLAIN]))


def small_rows(origin):
    """What does not depend on the size of the file."""
    with Mount(origin) as mount:
        wait_until("idleness", lambda: time.sleep(2) or True)
        row("memory, idle", mount.memory("VmRSS") / 1e6, target=20, unit="MB", commands=["VmRSS in /proc/PID/status"])
        seen = mount.snapshot("many")
        first = timed("ls", "-lR", seen)
        before = origin.requests()
        again = timed("ls", "-lR", seen)
        asked = origin.requests() - before
        row(f"requests of ls -lR, seen commit, {SMALL_FILES} files", asked, target=0, unit="requests",
            commands=(["ls -lR", seen],))
        row("  time of it, second / first time", again * 1e3, first * 1e3, unit="ms")
    firsts, curls = [], []
    with Mount(origin) as mount:
        seen = mount.snapshot("many")
        os.listdir(seen)
        for n in range(FIRST_FILES):
            warm_pages(DIR / f"many/first-{n}.safetensors")
            firsts.append(read("first", seen / f"first-{n}.safetensors"))
            curls.append(float(run("curl", "-sfL", "-r", "0-0", "-o", "/dev/null", "-w", "%{time_total}",
                                   f"{origin.hub}/bench/many/resolve/main/first-{n}.safetensors")))
        row("first byte of a cold file / curl -r 0-0", median(firsts) * 1e3, median(curls) * 1e3, unit="ms",
            commands=(["build/bench/read first", seen / "first-N.safetensors"],
                      [f"curl -sfL -r 0-0 {origin.hub}/bench/many/resolve/main/first-N.safetensors"]))


def rclone_rows(origin):
    """Another way to mount the same bytes, for scale."""
    if not shutil.which("rclone"):
        print("rclone is not installed: its rows are left out")
        return
    sha256 = (next(p for p in BLOBS.iterdir() if p.resolve() == origin.file.resolve())).name
    command = ["rclone", "mount", ":http:", RCLONE_MNT, "--http-url", origin.cdn, "--vfs-cache-mode", "full",
               "--cache-dir", RCLONE_CACHE, "--read-only", "--config", "/dev/null"]
    path, colds, curls = RCLONE_MNT / sha256, [], []

    def drop():
        drop_pages(path, PLAIN)
    RCLONE_MNT.mkdir(exist_ok=True)
    for n in range(RUNS):
        shutil.rmtree(RCLONE_CACHE, ignore_errors=True)
        warm_pages(origin.file)
        curls.append(curl(origin))
        warm_pages(origin.file)
        os.sync()
        process = processes.start(command, "rclone.log")
        wait_until("rclone's mount", lambda: os.path.ismount(RCLONE_MNT))
        colds.append(read("read", path))
        if n == RUNS - 1:
            row("rclone: first read / curl", speed(colds), speed(curls), best=best(colds, curls),
                commands=(command, ["build/bench/read read", path]))
            for state in "warm", "dropped":
                ours, plain = in_turns(lambda: read("read", path), lambda: read("read", PLAIN),
                                       drop if state == "dropped" else None)
                row(f"rclone: second read, page cache {state}", speed(ours), speed(plain), best=best(ours, plain),
                    commands=(["build/bench/read read", path], ["build/bench/read read", PLAIN]))
        unmount(RCLONE_MNT)
        processes.stop(process)


# ---- the run ----

def write_random(path, size):
    with open(path, "wb") as f:
        for at in range(0, size, 8 << 20):
            f.write(os.urandom(min(8 << 20, size - at)))


def make_files():
    (DIR / "origin").mkdir()
    write_random(DIR / "origin" / NAME, SIZE)
    for n in range(SMALL_FILES):
        path = DIR / f"many/part-{n // 100}/file-{n}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"n": {n}}}\n')
    for n in range(FIRST_FILES):
        write_random(DIR / f"many/first-{n}.safetensors", FIRST_SIZE)
    return {"bench/one": DIR / "origin", "bench/many": DIR / "many"}


def print_markdown():
    print("\n| what | ratio | of the best | figures | target | |\n|---|---|---|---|---|---|")
    for what, ratio, best_ratio, figures, aim, mark in rows:
        print(f"| {what.strip()} | {ratio} | {best_ratio} | {figures} | {aim} | {mark} |")


def measure():
    MNT.mkdir()
    with open("/proc/loadavg") as f:
        load = f.read().split()[0]
    print(f"{os.cpu_count()} cores, kernel {platform.release()}, load {load}; file of {SIZE / (1 << 20):.0f} MiB; medians of {RUNS}")
    print(f"{'':<48}{'ratio':>6}{'best':>6}  {'ours / the other':<22}{'target':<9}")
    origin = Origin(make_files())
    for part in second_rows, cold_rows, small_rows, rclone_rows:
        part(origin)
    marks = [mark for *_, mark in rows if mark]
    print(f"{marks.count('MISS')} of {len(marks)} targets missed")


def stop(signum, frame):
    raise SystemExit(128 + signum)


def main():
    if shutil.disk_usage(DIR).free < 5 * SIZE + (1 << 30):
        raise SystemExit(f"bench: too little room on the disk of {DIR}: SIZE=BYTES makes the file smaller")
    for number in SIGNALS:
        signal.signal(number, stop)
    for left in DIR.iterdir():          # by a run that was killed
        unmount(left)
        if left.name not in ("read", "lock"):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    try:
        measure()
        if "--markdown" in sys.argv[1:]:
            print_markdown()
    except (Broken, OSError, subprocess.TimeoutExpired) as error:
        for log in "matrixfs.log", "hub.out", "nginx.out", "rclone.log":
            if (DIR / log).exists() and (text := (DIR / log).read_text().strip()):
                print(f"-- the last lines of {log}\n" + "\n".join(text.splitlines()[-5:]), file=sys.stderr)
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        clean_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
