"""Rows about the Xet store of matrixhubd: real clients in their default settings against the same ones by LFS, and its chunks against
plain HTTP."""
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import types
import urllib.request

from bench_hub import SECONDS, load, show
from bench_lib import DIR, MATRIXFS, MNT, MOST_SECONDS, NAME, RUNS, SIZE, Broken, Hubd, Mount, best, children_cpu, in_turns, median, read, row, \
    write_random
from between import Line

CLIENT = pathlib.Path(sys.executable).parent / "hf"     # with hf_xet, which sends by it
AT_ONCE = 8
HUGE = 6
PART = 256 << 20                                        # of what only bytes are counted
GIGABIT = 10**9 // 8                                    # bytes a second
LFS = {"HF_HUB_DISABLE_XET": "1"}


def token_of(hubd):
    return (hubd.data / "admin.token").read_text().strip()


def ask(hubd, target, method="GET", token=None):
    headers = {"Authorization": f"Bearer {token or token_of(hubd)}"}
    return urllib.request.urlopen(urllib.request.Request(hubd.url + target, method=method, headers=headers), timeout=MOST_SECONDS)


def hf(hubd, home, *words, url=None, **env):
    """One run of the client, with a home of that name: its seconds."""
    began = time.monotonic()
    done = subprocess.run([str(CLIENT), *map(str, words)], capture_output=True, text=True, timeout=3 * MOST_SECONDS,
                          env=os.environ | {"HF_ENDPOINT": url or hubd.url, "HF_TOKEN": token_of(hubd), "HF_HOME": str(DIR / home),
                                            "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | env)
    if done.returncode != 0:
        raise Broken(f"hf {words[0]}: {done.stderr.strip()[-1000:]}")
    return time.monotonic() - began


@contextlib.contextmanager
def source(size=SIZE, name="sent"):
    path = DIR / name
    write_random(path, size)
    os.sync()
    try:
        yield path
    finally:
        path.unlink()


def disk_bytes(directory):
    return int(subprocess.run(["du", "-s", "--block-size=1", str(directory)], capture_output=True, text=True, check=True).stdout.split()[0])


# ---- uploads ----

@contextlib.contextmanager
def line_to(hubd, rate=0):
    line = Line(hubd.port, DIR / "line.log", rate)
    try:
        yield line
    finally:
        line.close()


def upload(sent, names, rate, **env):
    """A file to a new hub over a line of that rate, by a client that knows nothing of it, under each of the names: seconds of each, and
    processor time of the client and of the hub."""
    answers = []
    with Hubd(None) as hubd, line_to(hubd, rate) if rate else contextlib.nullcontext(hubd) as to:
        for name in names:
            client, hub = children_cpu(), hubd.cpu()
            seconds = hf(hubd, "home", "upload", "admin/new", sent, name, url=to.url, **env)
            answers.append((seconds, children_cpu() - client, hubd.cpu() - hub))
    shutil.rmtree(DIR / "home")
    return answers


def uploads(where="", rate=0):
    with source() as sent:
        xet, lfs = in_turns(lambda: upload(sent, [NAME, "again.bin"], rate), lambda: upload(sent, [NAME], rate, **LFS))
    # Of each upload: what it took in each run.
    ours, again, theirs = ([list(part) for part in zip(*runs)] for runs in (*zip(*xet), *zip(*lfs)))
    (first, *_), (second, *_), (plain, *_) = ours, again, theirs
    words = f"hf upload admin/new {DIR / 'sent'} {NAME}"
    cpu = "processor time, client + hub: " + ", ".join(f"{what} {median(one[1]):.2f} + {median(one[2]):.2f} s" for what, one in (
        ("by Xet", ours), ("once more", again), ("by LFS", theirs)))
    row(f"hub: upload of {SIZE >> 20} MiB{where}, by Xet / by LFS", SIZE / median(first) / 1e9, SIZE / median(plain) / 1e9, at_least=0.8,
        best=min(plain) / min(first), commands=[words, f"HF_HUB_DISABLE_XET=1 {words}", cpu])
    row("  the same file once more / by LFS", median(second), median(plain), "s", at_most=0.25, best=min(second) / min(plain))


def bytes_of_a_second_upload():
    with source(PART) as sent, Hubd(None) as hubd:
        with line_to(hubd) as line:
            for name in NAME, "again.bin":
                before = line.sent()
                hf(hubd, "home", "upload", "admin/new", sent, name, url=line.url)
                more = line.sent() - before
    shutil.rmtree(DIR / "home")
    row("  bytes sent for that / size of the file", more / 1e6, PART / 1e6, "MB", at_most=0.02)


class Watched:
    """The most that a hub has of its own in memory, and what it has mapped of files as well."""

    def __init__(self, hubd):
        self.hubd, self.most, self.over = hubd, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self.thread.start()
        return self

    def _watch(self):
        while not self.over.wait(0.2):
            self.most = max(self.most, self.hubd.memory("RssAnon"))

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def many_uploads():
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(source(name=f"sent-{n}")) for n in range(AT_ONCE)]
        hubd = stack.enter_context(Hubd(None))
        with Watched(hubd) as watched, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda n: hf(hubd, f"home-{n}", "upload", f"admin/new-{n}", files[n], NAME), range(AT_ONCE)))
        row(f"hub: memory, {AT_ONCE} uploads of {SIZE >> 20} MiB at once", hubd.memory("VmHWM") / 1e6, unit="MB", at_most=128,
            commands=[f"VmHWM in /proc/PID/status; of that not mapped from files: {watched.most / 1e6:.1f} MB"])
        hf(hubd, "home-0", "upload", "admin/new-1", files[0], "again.bin")
        row("  disk / bytes of different files", disk_bytes(hubd.data) / 1e6, AT_ONCE * SIZE / 1e6, "MB", at_most=1.02,
            commands=[f"du -s {hubd.data}"])
    for n in range(AT_ONCE):
        shutil.rmtree(DIR / f"home-{n}")


def huge_upload():
    with source(HUGE * SIZE) as sent, Hubd(None) as hubd:
        seconds = hf(hubd, "home", "upload", "admin/huge", sent, NAME)
        with open(sent, "rb") as file, ask(hubd, f"/admin/huge/resolve/main/{NAME}") as got:
            was, came = (hashlib.file_digest(one, "sha256").hexdigest() for one in (file, got))
        if was != came:
            raise Broken(f"what came is {came}, what was sent {was}")
        row(f"hub: upload of {HUGE * SIZE >> 20} MiB", HUGE * SIZE / seconds / 1e9)
        row("  memory of the hub, at most", hubd.memory("VmHWM") / 1e6, unit="MB", at_most=128)
    shutil.rmtree(DIR / "home")


# ---- reads ----

def part_of(hubd):
    """The target of the bytes of the first xorb of what is there, and which these are."""
    name = ask(hubd, f"/admin/xet/resolve/main/{NAME}", "HEAD").headers["X-Xet-Hash"]
    mine = json.load(ask(hubd, "/api/models/admin/xet/xet-read-token/main"))["accessToken"]
    plan = json.load(ask(hubd, f"/api/xet/1/v1/reconstructions/{name}", token=mine))
    part = plan["fetch_info"][plan["terms"][0]["hash"]][0]
    return part["url"].removeprefix(hubd.url), part["url_range"]["start"], part["url_range"]["end"]


def chunks(hubd):
    target, first, last = part_of(hubd)
    plain, seconds = f"/admin/xet/resolve/main/{NAME}", ["-t", SECONDS]
    for count in 1, AT_ONCE:
        xet = ["-c", count, *seconds, "-f", f"Range: bytes={first}-{last}"]
        http = ["-c", count, *seconds, "-f", f"Range: bytes=0-{last - first}", "-f", f"Authorization: Bearer {token_of(hubd)}"]
        ours, theirs = in_turns(lambda: load(hubd.port, target, *xet).speed, lambda: load(hubd.port, plain, *http).speed, times=3 * RUNS)
        row(f"hub: chunks of a xorb / resolve, {count} at once", median(ours), median(theirs), at_least=0.6, best=max(ours) / max(theirs),
            commands=[show(hubd.port, target.partition("?")[0], xet), show(hubd.port, plain, http[:-2])])


def download(hubd, **env):
    home = "home-download"
    try:
        return hf(hubd, home, "download", "admin/xet", NAME, **env)
    finally:
        shutil.rmtree(DIR / home, ignore_errors=True)


def mounted(hubd, way):
    """The seconds of a first read through a mount before the hub."""
    with Mount(types.SimpleNamespace(hub=hubd.url, type=""), f"--hub-xet={way}"):
        return read("read", MNT / "files/admin/xet" / NAME)


def reads():
    with Hubd(None, "--xet-read=always") as hubd:
        with source() as sent:
            hf(hubd, "home", "upload", "admin/xet", sent, NAME)
        shutil.rmtree(DIR / "home")
        chunks(hubd)
        xet, plain = in_turns(lambda: download(hubd), lambda: download(hubd, **LFS))
        row("hub: hf download, by Xet / by plain HTTP", SIZE / median(xet) / 1e9, SIZE / median(plain) / 1e9, best=best(xet, plain),
            commands=[f"hf download admin/xet {NAME}", f"HF_HUB_DISABLE_XET=1 hf download admin/xet {NAME}"])
        xet, plain = in_turns(lambda: mounted(hubd, "always"), lambda: mounted(hubd, "never"))
        row("first read through a mount, by Xet / by plain HTTP", SIZE / median(xet) / 1e9, SIZE / median(plain) / 1e9, best=best(xet, plain),
            commands=[f"{way}: {MATRIXFS} --hub={hubd.url} --hub-xet={way}" for way in ("always", "never")])
        row("  memory of the hub, at most", hubd.memory("VmHWM") / 1e6, unit="MB", at_most=128, commands=["VmHWM in /proc/PID/status"])


def is_there():
    if not CLIENT.exists():
        print(f"(rows about Xet left out: {CLIENT} is missing)")
    return CLIENT.exists()


def xet():
    if is_there():
        uploads()
        uploads(" over 1 Gbit/s", GIGABIT)
        bytes_of_a_second_upload()
        reads()


def large():
    if is_there():
        many_uploads()
        huge_upload()
