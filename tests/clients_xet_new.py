"""How much real clients in their default settings bring to the Xet store of matrixhubd, and what they do when its tokens end, and when
it has not what they ask for."""
import os
import shutil
import struct
import subprocess

import pytest

from between import Between
from clients_hubd import Client
from clients_matrix import BUILD, HERE, PATIENCE
from clients_xet import MIB, SHIMMED, SHIMS, incoming, noise, upload, user, xorbs_of
from clients_xet_read import asked
from flow_hub_ctl import fine
from hubd import Hubd
from registry import Repo

CHANGED = 2 * MIB
MORE = {"python": MIB, "javascript": 4 * MIB}            # which goes on while it waits for an answer


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    h = Hubd(tmp_path_factory.mktemp("xet-new"), [], timeout=20)
    yield h
    h.stop()


def javascript(url, repo, token, file, path):
    js = BUILD / "js"
    if not (shutil.which("node") and (js / "node_modules").exists()):
        pytest.skip("no node, or no build/js: make deps installs it where there is an npm")
    done = subprocess.run(["node", HERE / "client_hub_xet_writes.mjs", url, repo.id, token, file, path], capture_output=True, text=True,
                          timeout=PATIENCE, env={"PATH": os.environ["PATH"], "JS_CLIENT": str(js)})
    assert done.returncode == 0, done.stderr


def python(tmp_path, url, repo, token, file, path):
    upload(Client(tmp_path / "new", "2.4", url, token), repo, file, path)


@pytest.mark.parametrize("kind", MORE)
def test_a_client_without_memory_brings_what_is_new(ours, tmp_path, kind):
    """Somebody's model is changed by somebody else, on another machine: what they may read they need not send."""
    tokens = {name: user(ours, f"{name}-{kind}") for name in ("author", "tuner", "stranger")}
    base = Repo(ours, f"author-{kind}/base", tokens["author"], private=True)
    first, file = noise(24, kind), tmp_path / "w.bin"
    file.write_bytes(first)
    upload(Client(tmp_path / "author", "2.4", ours.url, tokens["author"]), base, file, "w.bin")
    second = first[:9 * MIB] + noise(1, "put in") + first[9 * MIB:15 * MIB] + noise(1, "in the place") + first[16 * MIB:]
    file.write_bytes(second)
    fine(ours, f"rule set models/{base.id} tuner-{kind} --role=read")
    for name, least, most in ("tuner", CHANGED, CHANGED * 1.3 + MORE[kind]), ("stranger", len(second), len(second) * 1.01):
        repo, between = Repo(ours, f"{name}-{kind}/tuned", tokens[name], private=True), Between(ours)
        if kind == "python":
            python(tmp_path / name, between.url, repo, tokens[name], file, "w.bin")
        else:
            javascript(between.url, repo, tokens[name], file, "w.bin")
        between.stop()
        assert repo.read("w.bin") == second
        assert least <= between.sent <= most, (name, between.sent)
    assert not incoming(ours)


def test_a_file_system_that_is_written_to(ours, tmp_path):
    repo, before = Repo(ours, "admin/written", ours.admin_token), xorbs_of(ours)
    client = Client(tmp_path, "2.4", ours.url, ours.admin_token)
    (tmp_path / "w.bin").write_bytes(noise(12, "written"))
    done = client.run(client.bin / "python", "-c", "import shutil, sys; from huggingface_hub import HfFileSystem\n"
                      "with open(sys.argv[1], 'rb') as source, HfFileSystem().open(sys.argv[2], 'wb') as f: shutil.copyfileobj(source, f, 1 << 20)",
                      tmp_path / "w.bin", f"{repo.id}/w.bin")
    assert done.returncode == 0, done.stderr
    assert repo.read("w.bin") == noise(12, "written") and xorbs_of(ours) == before + 1


def test_what_is_no_repository_is_not_here(ours, tmp_path):
    """Buckets, of which the command line knows."""
    client = Client(tmp_path, "2.4", ours.url, ours.admin_token)
    for words in ("list",), ("create", "admin/b"), ("info", "admin/b"):
        done = client.cli("buckets", *words)
        assert done.returncode == 1 and "404 Not Found" in done.stderr and "nothing at this address" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


@SHIMMED
@pytest.mark.parametrize("late", [0, -885], ids=["for long", "not for long"])
def test_the_next_token_is_asked_for_in_time(tmp_path, late):
    """The hub's clock is behind: its tokens end in a moment, by the client's."""
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("<q", late))
    h = Hubd(tmp_path, [], env={"LD_PRELOAD": SHIMS / "shim_clock.so", "CLOCK_SHIM": clock})
    repo = Repo(h, "admin/late", h.admin_token)
    (tmp_path / "w.bin").write_bytes(noise(12, "late"))
    upload(Client(tmp_path, "2.4", h.url, h.admin_token), repo, tmp_path / "w.bin", "w.bin")
    assert (asked(h, "/api/:type/:repo/xet-write-token/:rev") > 1) == bool(late)
    assert repo.read("w.bin") == noise(12, "late")
    h.stop()
