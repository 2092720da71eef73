"""matrixctl about what a matrixfs stands on: who holds its mount, its configuration file, its limits, its peers."""
import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socketserver
import subprocess
import threading
import time

import pytest

from flow_ctl_doctor import Found, doctor, inside
from flow_ctl_mount import run
from holding import Held
from mountlib import DEADLINE, eventually

FILES = {"config.json": b"{}"}


class Socket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        return self.socket.accept()[0], ("node", 0)


@contextlib.contextmanager
def answers(tmp_path, **status):
    """A control socket that says so: its path."""
    pages = {"/v1/status": {"mountpoint": "/models", "pid": 1, "since": 1, "cache": str(tmp_path), "hubs": []} | status,
             "/v1/transfers": {"transfers": []}, "/v1/config": {"parameters": []}, "/v1/hubs/check": {"hubs": []}}
    if "members" in status:
        pages["/v1/peers"] = {"members": status["members"]}

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(self.path)
            body = json.dumps(page or {"error": "no_peers", "message": "this node has no peers"}).encode()
            self.send_response(200 if page else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        do_POST = do_GET

        def log_message(self, *_):
            pass
    with Socket(str(tmp_path / "control"), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / "control"
        server.shutdown()


OLD = ["setarch", os.uname().machine, "--uname-2.6"]


@pytest.mark.parametrize("status, before, state, words", [
    ({"held_by": "holder", "holder_pid": 812, "takeovers": 0}, [], "ok", "process 812 (kill -USR2 812 replaces the daemon)"),
    ({"held_by": "holder", "holder_pid": 812, "takeovers": 1}, [], "ok", "daemon), taken over 1 time |"),
    ({"held_by": "systemd", "holder_pid": None, "takeovers": 3}, [], "ok", "systemd (systemctl restart of its unit replaces the daemon), taken over 3 times"),
    ({"held_by": "systemd", "holder_pid": None, "takeovers": 3}, OLD, "warn", "readers get ENOTCONN | boot Linux 6.9"),
    ({"held_by": "nobody", "holder_pid": None, "takeovers": 0}, [], "warn", "nobody (it ends with its daemon) | start it by systemd"),
    ({"held_by": None, "takeovers": 0}, OLD, "warn", "nobody"), ({}, [], None, ""), ({"mountpoint": None, "takeovers": 0}, [], None, "")])
def test_who_holds_a_mount_is_told(tmp_path, status, before, state, words):
    with answers(tmp_path, **status) as at:
        d = doctor(at, *before)
        shown = run(f"--node={at}", "status")[1]
    if state:
        assert d.of("held by")[0] == state and words in d.of("held by")[1], d.of("held by")
        assert f"held by      {d.of('held by')[1].split(' | ')[0].split(';')[0]}\n" in shown
    else:
        assert not d.state("held by") and "held by" not in shown


def test_the_process_that_is_named_replaces_the_daemon(tiny, mount):
    """As an engineer does it, by what the screen says; the twin is held by nobody."""
    m = mount(tiny, kind=Held)
    said = re.search(r"^held by +process (\d+) \(kill -USR2 \1 replaces the daemon\)$", run(f"--node={m.cache}", "status")[1], re.M)
    daemon, served = m.daemon, m.served()
    os.kill(int(said[1]), signal.SIGUSR2)
    assert eventually(lambda: m.served() > served, DEADLINE) and m.daemon != daemon
    assert doctor(m).of("held by")[0] == "ok" and "taken over 1 time " in doctor(m).of("held by")[1]
    assert doctor(mount(tiny)).of("held by")[0] == "warn"


def member(n, state, why=None):
    return {"address": f"192.0.2.{n}:9980", "state": state, "why": why}


@pytest.mark.parametrize("members, state, words", [
    (None, ["ok"], "none are configured"), ([member(1, "self"), member(2, "up"), member(3, "slow")], ["ok"], "3 with this one"),
    ([member(1, "self"), member(2, "refused")], ["fail"], "192.0.2.2:9980 has another cluster key | one cluster-key-file"),
    ([member(1, "self"), member(2, "tls", "expired")], ["fail"], "192.0.2.2:9980 cannot be asked by TLS: expired"),
    ([member(2, "silent"), member(3, "banned")], ["warn", "warn"], None)])
def test_what_is_wrong_with_peers_is_told(tmp_path, members, state, words):
    with answers(tmp_path, **({} if members is None else {"members": members})) as at:
        d = doctor(at)
    assert d.state("peers") == state and (not words or words in d.of("peers")[1]), d.checks


def test_a_file_that_differs_from_what_runs_is_told(tiny, mount, tmp_path):
    file = tmp_path / "matrixfs.conf"
    file.write_text("# first\nref-ttl = 5min\ncache-size = 3GiB\n")
    m = mount(tiny, args=[f"--config={file}", "--ref-ttl=6min"])
    assert doctor(m).of("configuration") == ("ok", f"{file} is what runs | None")      # the command line goes first
    time.sleep(1.1)                                         # the start is told in seconds
    file.write_text("cache-size = 3072MiB # as ever\n")
    assert doctor(m).of("configuration")[0] == "ok", "it was touched, and says the same"
    file.write_text("cache-size = 4GiB\nverify = strict\nhub = http://x\n")
    os.utime(file, (1, 1))                                  # as cp -p and rsync leave it
    state, words = doctor(m).of("configuration")
    assert state == "warn" and re.search(r"says otherwise: (?=.*cache-size)(?=.*verify)(?=.*hub)(?!.*ref-ttl)", words), words
    file.write_text("nonsense = 1\n")
    assert doctor(m).of("configuration")[0] == "warn" and "nonsense" in doctor(m).of("configuration")[1]
    file.unlink()
    assert f"{file}: No such file" in doctor(m).of("configuration")[1]
    assert doctor(mount(tiny)).of("configuration")[0] == "ok"


def test_how_many_files_it_may_open_is_told(tiny, mount):
    few = mount(tiny, wrapper=["prlimit", "--nofile=4096:4096"])
    state, words = doctor(few).of("files")
    assert state == "warn" and re.match(r"it may open 4096, and has \d+ \| LimitNOFILE=", words), words
    many = mount(tiny, wrapper=["prlimit", "--nofile=16384:16384"])
    assert doctor(many).of("files")[0] == "ok"
    least = mount(tiny, wrapper=["prlimit", "--nofile=200:200"])
    used = len(os.listdir(f"/proc/{least.pid}/fd"))
    subprocess.run(["prlimit", f"--pid={least.pid}", f"--nofile={used + 3}"], check=True, timeout=DEADLINE)
    assert doctor(least).of("files")[0] == "fail"
    assert not doctor(few, *inside("mount -t tmpfs none /proc")).state("files")


@pytest.mark.parametrize("name, state", [("mount.fuse.matrixfs", ["warn"]), ("mount.fuse.other", [])])
def test_so_it_is_told_of_what_mount_8_starts(tmp_path, name, state):
    """Which has the name of its helper, as far as names of processes go. The twin is whoever else has that number."""
    program = tmp_path / name
    shutil.copy(shutil.which("sleep"), program)
    with subprocess.Popen(["prlimit", "--nofile=1024:1024", program, "60"]) as process:
        comm = pathlib.Path(f"/proc/{process.pid}/comm")
        assert eventually(lambda: comm.read_text() == name[:15] + "\n")
        with answers(tmp_path, pid=process.pid) as at:
            assert doctor(at).state("files") == state
        process.kill()
