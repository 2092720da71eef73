"""Real mounts whose nodes share what they fetch, and unmodified clients that load a model from all of them at once."""
import hashlib
import json
import os
import pathlib
import subprocess

import pytest

import conftest
import models
from peers import Cluster, why_not
from sharing import MIB, REPO, model, publish, shared, size_of     # noqa: F401

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=str(why_not())),
              pytest.mark.skipif(bool(conftest.why_not()), reason=str(conftest.why_not()))]
MODEL_BYTES = 16 * MIB
VENVS = pathlib.Path(__file__).parent.parent / "build/venv"
CLIENT = pathlib.Path(__file__).parent / "client.py"
PATIENCE = 180
CLUSTERS = pytest.mark.parametrize("count, peers", [(8, True), (3, False)])


def load_all(cluster, venv, *actions):
    """Each mount has a client of its own that performs the actions; the values that each client got, all of them."""
    python = VENVS / venv / "bin/python"
    if not python.exists():
        pytest.skip(f"{python} is missing: run make deps")
    clients = []
    for node in cluster.nodes:
        env = {"PATH": os.environ["PATH"], "HOME": str(node.cache), "HF_HUB_CACHE": str(node.mount.hub), "HF_ENDPOINT": cluster.hub_url,
               "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        clients.append(subprocess.Popen([str(python), str(CLIENT), json.dumps(actions)], env=env, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True))
    values = []
    for client in clients:
        out, err = client.communicate(timeout=PATIENCE)
        assert client.returncode == 0, err
        values.append([result.get("value") or result for result in json.loads(out)])
    return values


def once_or_by_each(cluster, size, peers):
    """Upstream has sent the files once to all; without peers once to each. Of what is small not all is read."""
    times = cluster.upstream_bytes() / size / (1 if peers else len(cluster.nodes))
    assert 0.9 <= times <= 1.02, times
    return True


@CLUSTERS
def test_mounts_load_a_model_by_huggingface_hub(shared, model, tmp_path, count, peers):
    wanted = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in model.iterdir()}
    with Cluster(tmp_path, shared, count, mounts=True, peers=peers, timeout=20) as cluster:
        for (value,) in load_all(cluster, "test", ["snapshot", {"repo": REPO}]):
            assert value["files"] == wanted
        assert once_or_by_each(cluster, size_of(model), peers)


@pytest.mark.long
@CLUSTERS
def test_mounts_load_a_model_by_transformers(hub, tmp_path, count, peers):
    """Its config and tokenizer, and the weights as AutoModel opens them: by safetensors, twice."""
    directory = tmp_path / "tiny"
    directory.mkdir()
    models.write(models.tiny_model(), directory)
    publish(hub, directory)
    with Cluster(tmp_path, hub, count, mounts=True, peers=peers, timeout=20) as cluster:
        of_repo = {"repo": REPO}
        loads = load_all(cluster, "transformers", ["config", of_repo], ["tokenizer", of_repo], ["tensors", of_repo])
        for config, tokenizer, (lazy, whole) in loads:
            assert config == {"class": "BertConfig", "layers": 2}
            assert tokenizer["tokens"] == ["the", "model", "read", "##s", "a", "tree", "."]
            assert lazy == whole == loads[0][2][0] and len(lazy) == 39
        assert once_or_by_each(cluster, size_of(directory), peers)
