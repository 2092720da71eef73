"""matrixctl beside a mount: what it asks of a matrixfs by its control socket, and what it says when nobody is there."""
import json
import os
import pathlib
import re
import subprocess

import pytest

import models
from control import Control
from flow_hub_ctl import CTL
from mountlib import DEADLINE, read

BIG = models.big_file(3 * (1 << 20) + 7, seed=311)
FILES = {"config.json": b"{}", "w.safetensors": BIG}
REPO = "org/tiny"


@pytest.fixture
def tiny(hub):
    hub.commit = hub.repo(REPO).commit(FILES)
    return hub


def ask(m, *words, cwd=None):
    """Its exit status, output, and what it says of a failure."""
    socket = m if isinstance(m, (str, pathlib.Path)) else m.cache / "control"
    done = subprocess.run([CTL, f"--node={socket}", *map(str, words)], env={"PATH": os.environ["PATH"], "TZ": "UTC"}, cwd=cwd,
                          capture_output=True, text=True, timeout=DEADLINE)
    return done.returncode, done.stdout, done.stderr


def test_a_mount_is_told_to_pull_and_shows_the_job(tiny, mount):
    m = mount(tiny)
    status, out, err = ask(m, "pull", REPO, "--json")
    job = json.loads(out)
    assert status == 0 and not err and job["state"] == "done" and job["bytes_done"] == sum(map(len, FILES.values()))
    sent = tiny.bytes_sent()
    assert read(m.file(REPO, "w.safetensors")) == BIG and tiny.bytes_sent() == sent
    status, out, err = ask(m, "pull", "org/none")
    assert status == 1 and not out and re.search(r"Job \d+ has failed: ", err)


def test_who_has_no_peers_says_so(tiny, mount):
    m = mount(tiny)
    for words in ("peers",), ("peers", "where", m.file(REPO, "w.safetensors")), ("peers", "forgive"):
        status, out, err = ask(m, *words)
        assert (status, out) == (1, "") and "this node has no peers" in err
    for target, method in ("/v1/peers", "GET"), ("/v1/peers/owners?path=x", "GET"), ("/v1/peers/forgive", "POST"):
        assert Control(m).refused(method, target) == (404, "no_peers")
    assert "peer" not in Control(m).ask("GET", "/metrics")[2]


@pytest.mark.parametrize("words, said", [
    (("user", "list"), "asked of a hub"), (("--hub=http://x", "peers"), "choose one"), (("peers", "x"), "where, forgive")])
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(tmp_path, words, said):
    status, out, err = ask(tmp_path / "control", *words)
    assert (status, out) == (2, "") and said in err


def test_nobody_there_is_told_with_what_to_do(tiny, mount, tmp_path):
    status, _, err = ask(tmp_path / "control", "peers")
    assert status == 1 and f"Nobody answers at {tmp_path}/control" in err
    status, _, err = ask("/" + "x" * 200, "peers")
    assert status == 2 and "at most 107 bytes" in err
    assert "no peers" in ask("control", "peers", cwd=mount(tiny).cache)[2]
