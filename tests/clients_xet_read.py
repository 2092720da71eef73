"""Real clients in their default settings that read from the Xet store of matrixhubd what came by it. The twin of each story is the same
file by plain HTTP: it has the same bytes."""
import hashlib
import json
import random
import re
import subprocess
import time
import urllib.parse

import pytest

from clients_hubd import Client
from clients_matrix import PATIENCE
from clients_xet import MIB, blob, noise, upload, user, weights
from flow_hub_ctl import fine
from hub import Hub
from hubd import Hubd
from mountlib import eventually
from registry import Repo, lfs

CODE = """
import sys, hashlib
from huggingface_hub import hf_hub_download
path = hf_hub_download(sys.argv[1], sys.argv[2], revision=sys.argv[3])
print(hashlib.sha256(open(path, "rb").read()).hexdigest())
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with Hub() as hub:
        h = Hubd(tmp_path_factory.mktemp("xet-read"), hub, timeout=20, args=["--xet", "--xet-read=always"])
        yield h
        h.stop()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def put(h, tmp_path, name, data, token=None, **kw):
    """A repository with that file, which came by Xet."""
    token = token or h.admin_token
    repo = Repo(h, name, token, **kw)
    add(h, tmp_path, repo, "w.bin", data)
    return repo


def add(h, tmp_path, repo, path, data):
    (tmp_path / "sent").write_bytes(data)
    upload(Client(tmp_path / "sender", "2.4", h.url, repo.token), repo, tmp_path / "sent", path)


def download(client, repo, path="w.bin", revision="main"):
    return client.run(client.bin / "python", "-c", CODE, repo.id, path, revision)


def got(client, repo, path="w.bin", revision="main"):
    """The SHA-256 of what it gets."""
    done = download(client, repo, path, revision)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def asked(h, route):
    """How often that was asked."""
    lines = [line for line in h.ask("/metrics").body.decode().splitlines() if f'route="{route}"' in line and "_total" in line]
    return sum(float(line.split()[-1]) for line in lines)


BYTES = "/api/xet/1/v1/bytes/:path"


@pytest.mark.parametrize("version, mib", [("0.36", 12), ("1.24", 12), ("2.4", 70)])
def test_a_file_that_came_by_xet_is_read_by_it(ours, tmp_path, version, mib):
    data = noise(mib, f"read-{version}")
    repo = put(ours, tmp_path, f"admin/read-{version}", data)
    before = asked(ours, BYTES)
    assert got(Client(tmp_path, version, ours.url, ours.admin_token), repo) == sha256(data)
    assert asked(ours, BYTES) > before, "it was read by plain HTTP"
    # The twin.
    before, plain = asked(ours, BYTES), Client(tmp_path, version, ours.url, ours.admin_token)
    plain.env["HF_HUB_DISABLE_XET"] = "1"
    assert got(plain, repo) == sha256(data) and asked(ours, BYTES) == before
