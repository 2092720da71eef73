"""Rows about what people write to matrixhubd: how long a commit takes, and how fast bytes come in."""
import base64
import concurrent.futures
import hashlib
import http.client
import itertools
import json
import mmap
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

from bench_lib import DIR, MOST_SECONDS, RUNS, SIZE, Broken, Hubd, best, drop_pages, free_port, processes, row, speed, timed, wait_until, \
    warm_pages, write_random

SMALL = 200                 # commits of one file, of which the median and the 99th count
FILES_A_FOLDER = 1000
LARGE = 25_000
AT_ONCE = 8
WRITERS, EACH = 32, 50
# By huggingface_hub: the whole of it to the hub; then what it does for an upload, to a plain server. Both tell how long
# the bytes took alone: its start and its digest of the file are before them.
SENDER = """
import sys, time
from huggingface_hub import CommitOperationAdd, HfApi, lfs
url, path, token, repo = sys.argv[1:]
send = lfs._upload_single_part
def timed(*args, **more):
    start = time.monotonic()
    send(*args, **more)
    print(time.monotonic() - start)
lfs._upload_single_part = timed
if token:
    HfApi(url, token=token).upload_file(path_or_fileobj=path, path_in_repo="model.safetensors", repo_id=repo)
else:
    operation = CommitOperationAdd("model.safetensors", path)
    operation.upload_info.sha256
    lfs._upload_single_part(operation, url)
"""
NGINX = """
{user}daemon off; worker_processes 2; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp; client_max_body_size 0;
    server {{ listen 127.0.0.1:{port}; location / {{ root {dir}/dav; dav_methods PUT; }} }}
}}
"""


def line(key, **value):
    return json.dumps({"key": key, "value": value}).encode() + b"\n"


def put(path, data):
    return line("file", path=path, content=base64.b64encode(data).decode(), encoding="base64")


def lfs(path, oid, size):
    return line("lfsFile", path=path, algo="sha256", oid=oid, size=size)


class Writer:
    """One connection to a hub, as the administrator; the repository is made if it is not there."""

    def __init__(self, hubd, name):
        self.hubd, self.name = hubd, f"admin/{name}"
        self.token = (hubd.data / "admin.token").read_text().strip()
        self.connection = http.client.HTTPConnection("127.0.0.1", hubd.port, timeout=MOST_SECONDS)
        self.ask("POST", "/api/repos/create", json.dumps({"name": name}), or_else=409)

    def ask(self, method, path, body=None, or_else=200, **fields):
        """The JSON of the answer; None if its status is or_else."""
        self.connection.request(method, path, body, {"Authorization": f"Bearer {self.token}", **fields})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, or_else):
            raise Broken(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text) if answer.status == 200 and text else None

    def commit(self, lines, parent=None, or_else=200):
        """The id of the commit, None if it was refused with or_else; lines may be what yields them."""
        header = line("header", summary="a change", description="", **({"parentCommit": parent} if parent else {}))
        body = header + b"".join(lines) if isinstance(lines, list) else itertools.chain([header], lines)
        told = self.ask("POST", f"/api/models/{self.name}/commit/main", body, or_else)
        return told and told["commitOid"]

    def batch(self, objects):
        """Where each object, an oid and a size, goes to; the hub has none of them."""
        body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": o, "size": n} for o, n in objects], "hash_algo": "sha256"}
        told = self.ask("POST", f"/{self.name}.git/info/lfs/objects/batch", json.dumps(body))
        return [urllib.parse.urlsplit(o["actions"]["upload"]["href"])._replace(scheme="", netloc="").geturl() for o in told["objects"]]

    def send_small(self, datas):
        """Objects of git-lfs, one after another; their oids."""
        oids = [hashlib.sha256(d).hexdigest() for d in datas]
        for href, data in zip(self.batch([(o, len(d)) for o, d in zip(oids, datas)]), datas):
            self.ask("PUT", href, data)
        return oids


def reset_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def took(fn, *args):
    start = time.monotonic()
    fn(*args)
    return time.monotonic() - start


# ---- one file in a repository of many ----

def fill(writer, count):
    """So many files, all of them one object of git-lfs: what matters here is their number."""
    (oid,) = writer.send_small([b"the one"])
    for begin in range(0, count, 50_000):
        writer.commit([lfs(f"{n // FILES_A_FOLDER:04}/{n % FILES_A_FOLDER:04}.bin", oid, 7) for n in range(begin, min(count, begin + 50_000))])


def small_commits(hubd):
    for count in 0, 1000, 20_000, 100_000:
        writer = Writer(hubd, f"with-{count}")
        if count:
            fill(writer, count)
        before = hubd.cpu()
        times = sorted(took(writer.commit, [put(f"0000/new-{n}.txt", os.urandom(100))]) * 1000 for n in range(SMALL))
        cpu = (hubd.cpu() - before) / SMALL * 1000
        row(f"commit of a small file, repository of {count} files", statistics.median(times), unit="ms", at_most=10,
            commands=[f"median of {SMALL}, one after another on one connection"])
        row("  99 of 100 within", times[int(0.99 * SMALL)], unit="ms")
        row("  processor time of the hub", cpu, unit="ms")


# ---- much in one commit ----

def many_small(hubd):
    writer = Writer(hubd, "thousand")
    times = [took(writer.commit, [put(f"{turn}/{n}.txt", os.urandom(1000)) for n in range(1000)]) for turn in range(RUNS)]
    row("commit of 1000 small files", statistics.median(times), unit="s", at_most=2)


def many_large(hubd):
    """The objects are sent by some at once, each with connections of its own; only the commit counts."""
    def send(part):
        writer = Writer(hubd, "large")
        return [oid for begin in range(0, len(part), 100) for oid in writer.send_small(part[begin:begin + 100])]
    datas = [b"%d" % n for n in range(LARGE)]
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        parts = list(pool.map(send, (datas[n::AT_ONCE] for n in range(AT_ONCE))))
    sent = time.monotonic() - start
    lines = [lfs(f"{n // FILES_A_FOLDER}/{n}.bin", oid, len(data))
             for n, (oid, data) in enumerate((o, d) for k, part in enumerate(parts) for o, d in zip(part, datas[k::AT_ONCE]))]
    reset_peak(hubd.pid)
    row(f"commit of {LARGE} LFS files", took(Writer(hubd, "large").commit, lines), unit="s")
    row("  memory of the hub, at most", hubd.memory("VmHWM") / 1e6, unit="MB", at_most=100)
    row("  their objects, sent one by one on 8 connections", LARGE / sent, unit="req/s")


def regular_gigabyte(hubd):
    piece = base64.b64encode(os.urandom(3 << 20))
    count = SIZE // (9 << 20)

    def lines():
        for n in range(count):
            yield b'{"key":"file","value":{"encoding":"base64","content":"' + base64.b64encode(b"%06d" % n)
            for _ in range(3):
                yield piece
            yield b'","path":"data/%06d.txt"}}\n' % n
    writer = Writer(hubd, "gigabyte")
    reset_peak(hubd.pid)
    seconds = took(writer.commit, lines())
    row(f"commit of {count} regular files of 9 MiB", count * (9 << 20) / seconds / 1e9)
    row("  memory of the hub, at most", hubd.memory("VmHWM") / 1e6, unit="MB", at_most=100)


# ---- bytes ----

def send_large(hubd, href, path, end):
    """All of a file but its last bytes, and others in their place."""
    with socket.create_connection(("127.0.0.1", hubd.port)) as s, open(path, "rb") as f:
        s.settimeout(MOST_SECONDS)
        s.sendall(f"PUT {href} HTTP/1.1\r\nHost: hub\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n".encode())
        s.sendfile(f, 0, SIZE - len(end))
        s.sendall(end)
        head = s.recv(4096).split(b"\r\n")[0]
    if b" 200 " not in head:
        raise Broken(f"PUT {href}: {head}")


def parallel_uploads(hubd):
    path, ends, digests, whole = DIR / "large", [b"%016d" % n for n in range(AT_ONCE)], [], hashlib.sha256()
    write_random(path, SIZE)
    with open(path, "rb") as f:
        for begin in range(0, SIZE - 16, 1 << 20):
            whole.update(f.read(min(1 << 20, SIZE - 16 - begin)))
    for end in ends:
        digest = whole.copy()
        digest.update(end)
        digests.append(digest.hexdigest())
    hrefs = Writer(hubd, "parallel").batch([(d, SIZE) for d in digests])
    reset_peak(hubd.pid)
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda n: send_large(hubd, hrefs[n], path, ends[n]), range(AT_ONCE)))
    seconds = time.monotonic() - start
    row(f"{AT_ONCE} uploads of {SIZE >> 20} MiB at once: memory", hubd.memory("VmHWM") / 1e6, unit="MB", at_most=100)
    row("  bytes a second in all", AT_ONCE * SIZE / seconds / 1e9)
    path.unlink()


def start_dav():
    port, text = free_port(), NGINX
    shutil.rmtree(DIR / "dav", ignore_errors=True)
    for name in "dav", "tmp":
        (DIR / name).mkdir(exist_ok=True)
        (DIR / name).chmod(0o777)
    (DIR / "dav.conf").write_text(text.format(dir=DIR.resolve(), port=port, user="user root; " if os.geteuid() == 0 else ""))
    process = processes.start(["nginx", "-c", (DIR / "dav.conf").resolve(), "-e", "stderr"], "nginx.out")
    wait_until("nginx", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    return process, port


def touch_memory():
    """A virtual machine gets memory it never had from its host, page by page: that is no part of who comes first."""
    with mmap.mmap(-1, 6 * SIZE) as memory:
        for at in range(0, len(memory), mmap.PAGESIZE):
            memory[at] = 1


def one_upload(hubd):
    """By the client, which digests the file first, as the hub does while it comes."""
    writer, path, numbers = Writer(hubd, "upload"), DIR / "upload", itertools.count()
    write_random(path, SIZE)
    nginx, port = start_dav()
    plain = f"http://127.0.0.1:{port}/file"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env = clean | {"HF_HUB_DISABLE_XET": "1", "HF_HOME": str(DIR / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

    def client(url, *more):
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-c", SENDER, url, path, *more], env=env, capture_output=True, text=True, timeout=MOST_SECONDS)
        if done.returncode != 0:
            raise Broken(done.stderr[-500:])
        return time.monotonic() - start, float(done.stdout.split()[-1])

    def before():
        (DIR / "dav/file").unlink(missing_ok=True)
        with open(path, "r+b") as f:        # the hub has those of the last run
            f.write(b"%016d" % next(numbers))
        drop_pages(path)
        warm_pages(path)

    touch_memory()
    sides = (lambda: client(hubd.url, writer.token, writer.name)), (lambda: client(plain, "", "")), (lambda: timed("curl", "-sfT", path, plain))
    turns = [[] for _ in sides]
    for _ in range(2 * RUNS - 1):
        for side, answers in zip(sides, turns):
            before()
            answers.append(side())
    (hub, bytes_hub), (dav, bytes_dav), curl = zip(*turns[0]), zip(*turns[1]), turns[2]
    row("bytes of an upload by huggingface_hub / curl -T to nginx dav", speed(bytes_hub), speed(curl), at_least=0.7, best=best(bytes_hub, curl),
        commands=["the PUT of upload_file of huggingface_hub", f"curl -T FILE {plain}"])
    row("  its start, its digest and the commit included", speed(hub), speed(curl), best=best(hub, curl))
    row("upload by huggingface_hub / the same to nginx dav", speed(hub), speed(dav), at_least=0.7, best=best(hub, dav),
        commands=["upload_file of huggingface_hub", f"its digest and its PUT to {plain}"])
    row("  bytes alone", speed(bytes_hub), speed(bytes_dav), best=best(bytes_hub, bytes_dav))
    processes.stop(nginx)
    path.unlink()
    shutil.rmtree(DIR / "dav")


# ---- writers at once ----

def writers(hubd):
    """Each adds files of its own; with a parent, it looks again and comes again when it was too late."""
    for what, strict in ("whatever the parent", False), ("on the newest", True):
        name, tries = f"writers-{int(strict)}", []
        Writer(hubd, name)

        def write(number):
            writer, lost, lock = Writer(hubd, name), 0, threading.Lock()
            for n in range(EACH):
                lines, made = [put(f"{number}/{n}.txt", b"%d" % n)], None
                while not made:
                    parent = writer.ask("GET", f"/api/models/{writer.name}/revision/main")["sha"] if strict else None
                    made = writer.commit(lines, parent, or_else=412)
                    lost += not made
            with lock:
                tries.append(lost)
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(write, range(WRITERS)))
        seconds = time.monotonic() - start
        told = Writer(hubd, name).ask("GET", f"/api/models/admin/{name}/revision/main")["siblings"]
        if len(told) != WRITERS * EACH + 1:
            raise Broken(f"{len(told)} files are there")
        row(f"{WRITERS} writers x {EACH} commits, {what}", WRITERS * EACH / seconds, unit="req/s",
            commands=[f"{seconds:.1f} s; {sum(tries)} came too late"])


def commit():
    with Hubd(None) as hubd:
        small_commits(hubd)
        many_small(hubd)
        many_large(hubd)
        writers(hubd)
    for part in regular_gigabyte, parallel_uploads, one_upload:
        with Hubd(None) as hubd:
            part(hubd)
