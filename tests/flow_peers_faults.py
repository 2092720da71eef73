"""Clusters that lose room; and real mounts. Upstream's bytes tell what it cost."""
import contextlib
import hashlib
import json
import os
import pathlib
import subprocess

import pytest

import conftest
from flow_faults import small_disk
from peers import Cluster, why_not
from sharing import MIB, REPO, by_source, model, once, right, shared, size_of     # noqa: F401

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
MODEL_BYTES = 16 * MIB
PYTHON = pathlib.Path(__file__).parent.parent / "build/venv/test/bin/python"
CLIENT = pathlib.Path(__file__).parent / "client.py"
NEEDS_MOUNTS = pytest.mark.skipif(bool(conftest.why_not()), reason=str(conftest.why_not()))


# ---- nodes without room ----

@NEEDS_MOUNTS
@pytest.mark.parametrize("room", ["6m", "64m"])
def test_two_of_six_have_no_room(shared, model, tmp_path, room):
    """They pass on what they read and keep nothing of it; the others bring what is theirs."""
    with contextlib.ExitStack() as disks, Cluster(tmp_path, shared, 6, start=False, timeout=20) as cluster:
        for node in cluster.nodes[:2]:
            node.cache = disks.enter_context(small_disk(tmp_path / f"disk-{node.number}", room)) / "cache"
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, model), model)
        assert once(cluster, model, cluster.nodes[2:])
        # What the full ones own they bring for themselves alone; for the others those do it that follow.
        assert cluster.upstream_bytes() <= (3.02 if room == "6m" else 1.02) * size_of(model)
        assert sum(by_source(node)[0] for node in cluster.nodes[2:]) <= 1.5 * size_of(model)
        assert all(sum(by_source(node)) <= 3 * size_of(model) for node in cluster.nodes)


# ---- real mounts ----

def begin_snapshot(cluster, node):
    """huggingface_hub downloads the model from a mount, and digests it."""
    env = {"PATH": os.environ["PATH"], "HOME": str(node.cache), "HF_HUB_CACHE": str(node.mount.hub), "HF_ENDPOINT": cluster.hub_url,
           "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [PYTHON, CLIENT, json.dumps([["snapshot", {"repo": REPO}]])]
    return subprocess.Popen(list(map(str, words)), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@NEEDS_MOUNTS
@pytest.mark.parametrize("count, peers", [(8, True), (3, False)])
def test_mounts_load_a_model_by_huggingface_hub(shared, model, tmp_path, count, peers):
    with Cluster(tmp_path, shared, count, mounts=True, peers=peers, timeout=20) as cluster:
        clients = [begin_snapshot(cluster, node) for node in cluster.nodes]
        wanted = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in model.iterdir()}
        for client in clients:
            out, err = client.communicate(timeout=120)
            assert client.returncode == 0, err
            assert json.loads(out)[0]["value"]["files"] == wanted, out
        if peers:
            assert cluster.upstream_bytes() <= 1.02 * size_of(model)
        else:
            assert cluster.upstream_bytes() == count * size_of(model)
