"""matrixctl waits for what it has started, also when the daemon is replaced on the way."""
import http.server
import json
import os
import subprocess
import threading

import pytest

import models
from flow_ctl_mount import node, run
from flow_hub_ctl import CTL, environment
from holding import Held
from mountlib import DEADLINE, eventually, read, within

MIB = 1 << 20
SLOW = models.big_file(3 * MIB, seed=521)
REPO = "org/slow"


@pytest.fixture
def slow(hub):
    """A link on which there is time for another daemon."""
    hub.repo(REPO).commit({"config.json": b"{}", "w.safetensors": SLOW})
    with hub.fault("GET .*w.safetensors", "slow", rate=MIB // 2):
        yield hub


@pytest.fixture
def held(mount, slow):
    return mount(slow, kind=Held, timeout=10)


def begin(*words, env=None):
    return subprocess.Popen([CTL, "--json", *words], env=env or {"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def comes(hub):
    assert eventually(lambda: hub.bytes_sent() > MIB // 2)


def ended(process):
    out, err = within(DEADLINE, process.communicate)
    return process.returncode, json.loads(out) if out else None, err


@pytest.mark.parametrize("how", ["upgrade", "murder"])
def test_a_pull_outlives_its_daemon(held, slow, how):
    """It is started again where it was: another daemon knows nothing of it."""
    process = begin(node(held), "pull", REPO)
    comes(slow)
    daemon = held.daemon
    getattr(held, how)()
    assert process.poll() is None and held.daemon != daemon
    status, job, err = ended(process)
    assert (status, err) == (0, "") and job["state"] == "done" and job["bytes_done"] == len(SLOW) + 2
    before = slow.bytes_sent()
    assert read(held.file(REPO, "w.safetensors")) == SLOW and slow.bytes_sent() == before < 2 * len(SLOW)


def test_one_that_is_canceled_is_not_started_again(held, slow):
    """The twin of those above: somebody wanted it so."""
    process = begin(node(held), "pull", REPO)
    comes(slow)
    ident = json.loads(run(node(held), "job", "list", "--json")[1])["jobs"][0]["id"]
    assert run(node(held), "job", "cancel", ident)[0] == 0
    status, job, err = ended(process)
    assert status == 1 and job["state"] == "canceled" and "was canceled" in err
    assert len(json.loads(run(node(held), "job", "list", "--json")[1])["jobs"]) == 1


def test_a_pull_outlives_a_hub_too(slow, hubd):
    h = hubd(slow)
    process = begin("pull", REPO, env=environment(h))
    comes(slow)
    h.kill()
    again = hubd(slow, data=h.data, port=h.port)
    status, job, err = ended(process)
    assert (status, err) == (0, "") and job["state"] == "done" and again.url == h.url


class Strange(http.server.BaseHTTPRequestHandler):
    """A hub whose job is another's when it is asked after: another daemon has begun to count from one."""
    posts, job = 0, {"id": 1, "kind": "pull", "what": "models/org/slow@main", "files_done": 0, "files_total": 0, "bytes_done": 0,
                     "bytes_total": 0, "error": None, "ended": None}

    def answer(self, **more):
        body = json.dumps(self.job | more).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        Strange.posts += 1
        self.answer(state="running", started=self.posts)

    def do_GET(self):
        self.answer(state="done" if self.posts == 2 else "failed", started=2, what="models/org/slow@main")

    def log_message(self, *_):
        pass


def test_the_job_of_another_daemon_is_not_taken_for_ours(monkeypatch):
    monkeypatch.setattr(Strange, "posts", 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, job, err = ended(begin(f"--hub=http://127.0.0.1:{server.server_port}", "pull", REPO))
        server.shutdown()
    assert (status, err, Strange.posts) == (0, "", 2) and job["started"] == 2


def test_a_job_that_is_lost_again_and_again_is_not_begun_for_ever(monkeypatch):
    """It may be what ends its daemon, and that would be the end of everybody's mount. The twin above is lost once."""
    began = iter(range(100, 1000))
    monkeypatch.setattr(Strange, "posts", 0)
    monkeypatch.setattr(Strange, "do_GET", lambda self: self.answer(state="running", started=next(began)))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, job, err = ended(begin(f"--hub=http://127.0.0.1:{server.server_port}", "pull", REPO))
        server.shutdown()
    assert (status, job, Strange.posts) == (1, None, 6) and "The job was lost 6 times" in err


def test_who_does_not_come_back_is_not_waited_for_for_ever(slow, mount):
    """Nobody starts the next daemon: half a minute, and no more."""
    m = mount(slow, timeout=10)
    process = begin(node(m), "pull", REPO)
    comes(slow)
    m.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(20)
    out, err = within(DEADLINE, process.communicate)
    assert process.returncode == 1 and not out and "Nobody answers" in err
