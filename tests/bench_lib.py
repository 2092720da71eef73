"""What the benchmarks share: files to serve, both ends, clocks and rows. Run in the project's root by bench_run.py and bench_peers.py."""
import ctypes
import functools
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
CROWD_SIZE = int(os.environ.get("CROWD_SIZE", SIZE))
RUNS = int(os.environ.get("RUNS", 3))
GIB = SIZE / (1 << 30)
MATRIXFS = os.environ.get("MATRIXFS", "build/matrixfs")
MATRIXHUBD = os.environ.get("MATRIXHUBD", "build/matrixhubd")
DIR = pathlib.Path("build/bench")
MNT, CACHE, PLAIN, COPY = DIR / "mnt", DIR / "cache", DIR / "plain", DIR / "copy"
OTHER_MNT, FILES, BLOBS = DIR / "other.mnt", DIR / "files", DIR / "blobs"
NAME = "model.safetensors"
MOST_SECONDS = 600      # of any one command
QUIET_SECONDS = 1.5     # after which a cache that does not grow is taken to be at rest
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

NGINX = """
{user}daemon off; worker_processes 2; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 512; }}
http {{
    access_log {dir}/nginx.log; default_type application/octet-stream;
    sendfile on; tcp_nopush on; keepalive_requests 100000; limit_rate {rate};
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{
        listen 127.0.0.1:{port}; root {dir}/blobs; autoindex on;
        location /still/ {{ alias {dir}/blobs/; access_log off; }}
    }}
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
    for mountpoint in MNT, OTHER_MNT:
        unmount(mountpoint)
    if any(os.path.ismount(m) for m in (MNT, OTHER_MNT)):
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


def warm_pages(*paths):
    for path in paths:
        with open(path, "rb", buffering=0) as f:
            while f.read(8 << 20):
                pass


def begin_cold(*served):
    """Before a first read: what is served lies in memory, and nothing is left to write back."""
    warm_pages(*served)
    os.sync()


def write_random(path, size):
    with open(path, "wb") as f:
        for at in range(0, size, 8 << 20):
            f.write(os.urandom(min(8 << 20, size - at)))


@functools.cache
def files(name):
    """A directory to serve, made when it is first wanted."""
    directory = FILES / name
    directory.mkdir(parents=True)
    if name == "one":
        write_random(directory / NAME, SIZE)
    elif name == "four":
        for n in range(4):
            write_random(directory / f"part-{n}.safetensors", SIZE // 4)
    elif name == "firsts":
        for n in range(9):
            write_random(directory / f"first-{n}.safetensors", 16 << 20)
    else:                       # a number of small files
        for n in range(int(name)):
            (directory / f"file-{n:06}.json").write_text(f'{{"n": {n}}}\n')
    return directory


# ---- the two ends ----

class Origin:
    """with Origin(one=DIRECTORY) as origin: a hub with bench/one; DIRECTORY may be a name that files() knows.

    nginx: the hub sends whoever wants an LFS file on to one, as the public hub does; else it sends the file itself.
    latency: seconds the hub waits before each answer. rate: bytes a second that nginx gives to one connection, 0: all.
    """

    def __init__(self, nginx=True, latency=0, rate=0, type="", **repos):
        self.directories = {n: files(d) if isinstance(d, str) else d for n, d in repos.items()}
        self.nginx, self.latency, self.rate, self.type = nginx, latency, rate, type
        self.hub_log, self.nginx_log = DIR / "hub.log", DIR / "nginx.log"
        self.processes = []

    def __enter__(self):
        for left in self.hub_log, self.nginx_log, DIR / "url":
            left.unlink(missing_ok=True)
        shutil.rmtree(BLOBS, ignore_errors=True)
        BLOBS.mkdir()
        command = [sys.executable, "tests/hub.py", "--log", self.hub_log, "--ready-file", DIR / "url", "--latency", self.latency]
        if self.nginx:
            self.cdn = self._start_nginx()
            command += ["--cdn", self.cdn, "--blobs", BLOBS]
        for repo, directory in self.directories.items():
            command += ["--repo", f"{self.type}bench/{repo}={directory}"]
        self.processes.append(processes.start(command, "hub.out"))
        wait_until("the hub", (DIR / "url").exists, 120 + SIZE / 20e6)
        self.hub = (DIR / "url").read_text().strip()
        self.file = self.directories.get("one", FILES) / NAME
        return self

    def _start_nginx(self):
        port = free_port()
        text = NGINX.format(dir=DIR.resolve(), port=port, rate=self.rate, user="user root; " if os.geteuid() == 0 else "")
        (DIR / "nginx.conf").write_text(text)
        self.processes.append(processes.start(["nginx", "-c", (DIR / "nginx.conf").resolve(), "-e", "stderr"], "nginx.out"))
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process in processes.running:
                processes.stop(process)

    def url(self, name=NAME, repo="one"):
        return f"{self.hub}/bench/{repo}/resolve/main/{name}"

    def _asked(self):
        """Requests the mount made of the hub, and lines about it in nginx's log: both write them after the answer."""
        time.sleep(0.3)
        asked = [json.loads(line) for line in open(self.hub_log)]
        lines = open(self.nginx_log) if self.nginx else ()
        return [q for q in asked if q["user_agent"].startswith("matrixfs")], [line for line in lines if "matrixfs/" in line]

    def requests(self, part=""):
        """Made by the mount so far, of the hub and of nginx; `part` stands in their paths."""
        hub, nginx = self._asked()
        return sum(part in q["path"] for q in hub) + sum(part in line for line in nginx)

    def bytes_sent(self):
        """Of files, to the mount; bytes that were sent in vain included."""
        hub, nginx = self._asked()
        return sum(q["bytes_sent"] for q in hub if "/resolve/" in q["path"]) + sum(int(line.split()[9]) for line in nginx)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mount:
    """with Mount(origin) as mount: a daemon of its own; the cache is a new one unless told otherwise."""

    def __init__(self, origin, *options, keep_cache=False):
        if not keep_cache:
            shutil.rmtree(CACHE, ignore_errors=True)
        MNT.mkdir(exist_ok=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        self.folder = {"": "models", "datasets/": "datasets"}[origin.type]
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
        home = MNT / f"hub/{self.folder}--bench--{repo}"
        return home / "snapshots" / (home / "refs/main").read_text()

    @property
    def file(self):
        return self.snapshot() / NAME

    def wait_sealed(self, *paths):
        for path in paths or [self.file]:
            wait_until(f"the seal of {path.name}", lambda: os.getxattr(path, "user.matrixfs.sealed") == b"1", 60 + SIZE / 20e6)

    def settle(self):
        """Waits until nothing more comes into the cache."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            now = sum(p.stat().st_blocks for p in (CACHE / "blobs").rglob("*"))
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.1)

    def memory(self, key):
        return memory(self.pid, key)

    def cpu(self):
        """Seconds of CPU: all of it, and that of the threads that digest."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        digest = sum(cpu_of(t / "stat") for t in tasks if (t / "comm").read_text() == "mfs-seal\n")
        return cpu_of(f"/proc/{self.pid}/stat"), digest


class Hubd:
    """with Hubd(origin) as hubd: a matrixhubd of its own before the origin (None: before none), with nothing in it."""

    def __init__(self, origin, *options):
        self.port, self.origin = free_port(), origin
        self.url = f"http://127.0.0.1:{self.port}"
        self.data, log = DIR / f"hubd.{self.port}", f"hubd.{self.port}.log"
        self.command = [MATRIXHUBD, "--config=/dev/null", f"--data={self.data}", f"--listen=127.0.0.1:{self.port}",
                        *([f"--upstream={origin.hub}"] if origin else []), "--cache-min-free=0", "--address-connections=0", *options]
        self.process = processes.start(self.command, log)
        self.pid = self.process.pid
        wait_until("the hub daemon", lambda: "listening address" in (DIR / log).read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        processes.stop(self.process)
        shutil.rmtree(self.data, ignore_errors=True)

    def memory(self, key):
        return memory(self.pid, key)

    def cpu(self):
        return cpu_of(f"/proc/{self.pid}/stat")

    def wait_sealed(self):
        """Waits until no chunk map says that a file is not whole, or not verified yet."""
        wait_until("the seal", lambda: not any((self.data / "cache/blobs").rglob("*.map")), 60 + SIZE / 20e6)


def cpu_of(stat):
    """Seconds of CPU of a process, or a thread, by its file in /proc."""
    fields = pathlib.Path(stat).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid, key):
    """VmRSS, VmHWM or RssAnon, in bytes."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise Broken(f"no {key}")


def read(way, path, *more):
    """What build/bench/read printed: seconds, or reads a second."""
    return float(run(DIR / "read", way, path, *more))


def curl(origin, to=PLAIN):
    to.unlink(missing_ok=True)
    return timed("curl", "-sfL", "-o", to, origin.url())


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# ---- rows ----

rows = []
DIGITS = {"MB": 1, "segments": 1, "requests": 0, "reads/s": 0, "req/s": 0}


def row(what, ours, theirs=None, unit="GB/s", at_least=None, at_most=None, best=None, commands=()):
    """Prints a row. ours and theirs are medians; a target is for their ratio, or for ours alone where there is no other.

    best is the ratio of the fastest runs: what other work on the machine disturbs least.
    """
    ratio, digits = ours / theirs if theirs else None, DIGITS.get(unit, 2)
    value, mark, aim = ours if theirs is None else ratio, "", ""
    if at_least is not None or at_most is not None:
        met = value >= at_least if at_most is None else value <= at_most
        mark, aim = "PASS" if met else "MISS", f">= {at_least:g}" if at_most is None else f"<= {at_most:g}"
    figures = f"{ours:.{digits}f}" + (f" / {theirs:.{digits}f}" if theirs is not None else "") + f" {unit}"
    rows.append((what, f"{ratio:.2f}" if ratio is not None else "", f"{best:.2f}" if best else "", figures, aim, mark))
    print(f"{what:<52}{rows[-1][1]:>6}{rows[-1][2]:>6}  {figures:<24}{aim:<9}{mark}".rstrip())
    for command in commands:
        print(f"      {' '.join(map(str, command)) if isinstance(command, (list, tuple)) else command}")
    sys.stdout.flush()


def median(values):
    return statistics.median(values)


def speed(seconds, size=SIZE):
    return size / median(seconds) / 1e9


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


def measure(parts, how=""):
    """Calls each part, which prints rows, between what is said of the machine and the count of targets."""
    with open("/proc/loadavg") as f:
        load = f.read().split()[0]
    print(f"{os.cpu_count()} cores, kernel {platform.release()}, load {load}{how}")
    print(f"{'':<52}{'ratio':>6}{'best':>6}  {'ours / the other':<24}{'target':<9}")
    for part in parts:
        part()
    marks = [mark for *_, mark in rows if mark]
    print(f"{marks.count('MISS')} of {len(marks)} targets missed")


def end_by_signals():
    """A signal ends the program as an exit does, so that it cleans up."""
    def stop(signum, frame):
        raise SystemExit(128 + signum)
    for number in SIGNALS:
        signal.signal(number, stop)
