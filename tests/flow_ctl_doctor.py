"""matrixctl doctor: each check is seen to be right, and seen to fail with what to do about it."""
import contextlib
import email.utils
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest

import models
from flow_ctl_mount import node, on_screen, run
from flow_hub_ctl import CTL
from mountlib import DEADLINE

FILES = {"config.json": b"{}", "w.safetensors": models.big_file(1 << 20, seed=431)}


class Found:
    """What a doctor found: its exit status, and for each name the states, what was found, and the advice."""

    def __init__(self, done):
        self.status, self.answer = done.returncode, json.loads(done.stdout)
        self.checks = self.answer["checks"]
        for state in "ok", "warn", "fail":
            assert self.answer[state] == sum(c["state"] == state for c in self.checks)
        assert self.status == (1 if self.answer["fail"] else 0)
        assert bool(done.stderr) == bool(self.status) and (not self.status or re.fullmatch(
            r"matrixctl: doctor: \d+ checks? ha(s|ve) failed\.\n", done.stderr)), done.stderr
        for c in self.checks:
            assert c["found"] and (c["advice"] is None) == (c["state"] == "ok"), c

    def state(self, name):
        return [c["state"] for c in self.checks if c["name"] == name]

    def of(self, name):
        [check] = [c for c in self.checks if c["name"] == name]
        return check["state"], f"{check['found']} | {check['advice']}"


def doctor(m, *before, **env):
    at = m if isinstance(m, (str, os.PathLike)) else m.cache
    return Found(subprocess.run([*map(str, before), CTL, f"--node={at}", "--json", "doctor"], env={"PATH": os.environ["PATH"]} | env,
                                capture_output=True, text=True, timeout=DEADLINE))


def inside(*commands):
    """Before matrixctl, these in a mount namespace of its own."""
    return ["unshare", "-m", "sh", "-c", " && ".join([*commands, 'exec "$0" "$@"'])]


def test_all_is_well_where_it_is(tiny, mount):
    m = mount(tiny)
    d = doctor(m, HF_HUB_CACHE=f"{m.root}/hub/")
    assert d.status == 0, d.checks
    for name in "kernel", "/dev/fuse", "rights", "matrixfs", "mount", "allow-other", "read_ahead", "requests", "FUSE", "holes", "room", \
            "secrecy", "hub", "token", "environment":
        assert d.state(name) == ["ok"], (name, d.checks)
    assert re.search(r"library 3\.\d+\.\d+, protocol 7\.\d+", d.of("FUSE")[1]) and tiny.url in d.of("hub")[1]
    status, out, err = run(node(m), "doctor")
    assert status == 0 and not err
    for line in out.splitlines():
        assert re.fullmatch(r"ok {4}\S.*|warn {2}\S.*| {20}\S.*", line), line
    assert "\x1b[32mok\x1b[0m    kernel" in on_screen([node(m), "doctor"])[1] and "\x1b" not in out


def test_what_the_machine_lacks_is_found(tiny, mount, tmp_path):
    m = mount(tiny)
    d = doctor(m, "setarch", os.uname().machine, "--uname-2.6")
    assert d.of("kernel")[0] == "fail" and "too old" in d.of("kernel")[1]
    (tmp_path / "plain").touch()
    state, words = doctor(m, *inside(f"mount --bind {tmp_path}/plain /dev/fuse")).of("/dev/fuse")
    assert state == "fail" and "no device" in words and "--device /dev/fuse" in words
    state, words = doctor(m, *inside(f"umount -l {m.root}")).of("mount")
    assert state == "fail" and "no mount of matrixfs here" in words and "rslave" in words
    d = doctor(m, "setpriv", "--reuid=65534", "--clear-groups")
    assert d.state("rights") in (["warn"], ["fail"]) and d.state("matrixfs") == ["fail"], "another user may not ask it"


def test_what_the_mount_lacks_is_found(tiny, mount):
    m = mount(tiny, passthrough=False, args=["--allow-other=no", "--cache-min-free=900TiB"])
    d = doctor(m)
    assert d.of("passthrough") == ("warn", "verified files are read through matrixfs: switched off | take passthrough = no out of the "
                                           "configuration, and restart")
    assert d.of("allow-other")[0] == "warn" and "--allow-other" in d.of("allow-other")[1]
    state, words = d.of("room")
    assert state == "fail" and "cache-min-free wants more" in words
    dev = os.stat(m.root).st_dev
    with open(f"/sys/class/bdi/{os.major(dev)}:{os.minor(dev)}/read_ahead_kb", "w", encoding="ascii") as file:
        file.write("128")
    state, words = doctor(m).of("read_ahead")
    assert state == "warn" and "128 KiB ahead" in words and f"echo 8192 > {file.name}" in words
    (m.cache / "blobs").chmod(0o755)
    assert doctor(m).of("secrecy")[0] == "warn"


def test_without_a_daemon_the_rest_is_looked_at(tmp_path):
    """A file system without holes, and one in memory; the twin is a cache beside it."""
    ram = tmp_path / "ram"
    ram.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "none", ram], check=True, timeout=DEADLINE)
    try:
        d = doctor(ram / "control")
    finally:
        subprocess.run(["umount", ram], check=True, timeout=DEADLINE)
    assert d.of("matrixfs")[0] == "fail" and "Nobody answers" in d.of("matrixfs")[1] and "systemctl" in d.of("matrixfs")[1]
    assert d.of("holes")[0] == "fail" and "ext4 or xfs" in d.of("holes")[1]
    assert d.of("cache")[0] == "warn" and "ramfs" in d.of("cache")[1]
    beside = doctor(tmp_path / "control")
    assert beside.state("holes") == ["ok"] and beside.state("room") in (["ok"], ["warn"]) and not beside.state("hub")
    assert doctor(tmp_path / "none/control").of("cache")[0] == "fail"


def test_a_hub_that_is_gone_or_in_trouble_is_found(tiny, mount):
    m = mount(tiny)
    with tiny.fault("GET /api/whoami-v2", "status", code=503):
        assert doctor(m).of("hub") == ("fail", f"{tiny.url} is in trouble: HTTP status 503 | ask those who run it; what is cached is read")
    assert doctor(m).state("hub") == ["ok"]
    tiny.down()
    d = doctor(m)
    assert d.of("hub")[0] == "fail" and "does not answer" in d.of("hub")[1] and "HTTPS_PROXY" in d.of("hub")[1]
    assert not d.state("token") and not d.state("clock")
    tiny.up()
    assert doctor(m).state("hub") == ["ok"], "it is asked although it was left alone"
    d = doctor(mount(tiny, args=["--offline"]))
    assert d.of("hub")[0] == "warn" and "offline" in d.of("hub")[1] and not d.state("token")


def test_a_silent_hub_is_not_waited_for_long(tiny, mount):
    m = mount(tiny)
    with tiny.fault("GET /api/whoami-v2", "hang"):
        began = time.monotonic()
        assert doctor(m).of("hub")[0] == "fail" and time.monotonic() - began < 8


@pytest.mark.parametrize("token, code, state, words", [
    ("hf_right", None, "ok", "accepts it"), ("hf_wrong", None, "fail", "HTTP status 401"), ("hf_right", 403, "fail", "HTTP status 403"),
    (None, None, "ok", "public models alone"), ("hf_right", 404, "warn", "does not tell")])
def test_what_the_hub_says_to_the_token_is_told(tiny, mount, tmp_path, token, code, state, words):
    args = []
    tiny.token("hf_right")
    if token:
        (tmp_path / "token").write_text(token)
        args = [f"--token-file={tmp_path}/token"]
    m = mount(tiny, args=args)
    with tiny.fault("GET /api/whoami-v2", "status", code=code) if code else contextlib.nullcontext():
        found = doctor(m).of("token")
    assert found[0] == state and words in found[1] and "hf_" not in found[1]


@pytest.mark.parametrize("ahead, state, words", [(0, "ok", "as that of"), (30, "warn", "s behind that of"), (-3600, "fail", "s before that of")])
def test_a_clock_that_is_wrong_is_found(mount, ahead, state, words):
    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def date_time_string(self, timestamp=None):
            return email.utils.formatdate(time.time() + ahead, usegmt=True)

        def log_message(self, *_):
            pass
    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.handle_request, daemon=True).start()
        m = mount(f"http://127.0.0.1:{hub.server_port}")
        found = doctor(m).of("clock")
    assert found[0] == state and words in found[1] and ("timedatectl" in found[1]) == (state != "ok")


@pytest.fixture
def engines(tmp_path):
    """Programs that have the names of engines, and do nothing."""
    for module in "vllm/api_server.py", "sglang/launch_server.py", "bin/vllm":
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text(f"#!{sys.executable}\nprint(flush=True)\ninput()\n")
    (tmp_path / "bin/vllm").chmod(0o755)

    @contextlib.contextmanager
    def start(argv, env):
        engine = subprocess.Popen(argv, env=env | {"PYTHONPATH": str(tmp_path)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        try:
            engine.stdout.readline()
            yield engine.pid
        finally:
            engine.communicate(b"\n", timeout=DEADLINE)
    return start


def test_who_does_not_read_from_the_mount_is_found(tiny, mount, engines, tmp_path):
    """The environment of the shell, and engines that run: theirs, and how they read."""
    m = mount(tiny)
    assert doctor(m).of("environment")[0] == "warn" and "matrixctl env" in doctor(m).of("environment")[1]
    assert doctor(m, HF_HOME=str(m.root)).of("environment")[0] == "ok"
    assert doctor(m, HF_HUB_CACHE="/else", HF_HOME=str(m.root)).of("environment")[0] == "warn"
    vllm = [tmp_path / "bin/vllm", "serve", "org/tiny"]
    for argv, env, state, words in (
            (vllm, {}, "warn", "does not read from"),
            (vllm, {"HF_HUB_CACHE": f"{m.root}/hub"}, "warn", "load-strategy=prefetch"),
            ([sys.executable, "-m", "vllm.api_server", "--safetensors-load-strategy=prefetch"], {"HF_HOME": str(m.root)}, "ok", "in large"),
            ([sys.executable, "-m", "sglang.launch_server", f"--model-path={m.root}/files/org/tiny"], {}, "warn", "prefetch-checkpoints")):
        with engines(argv, env) as pid:
            found = [(c["state"], f"{c['found']} | {c['advice']}") for c in doctor(m).checks if f"process {pid} " in c["found"]]
        assert len(found) == 1 and found[0][0] == state and words in found[0][1], (argv, found)
