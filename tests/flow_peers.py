"""Nodes that share what they fetch: what upstream sees of it, what each sends, and that the bytes are right."""
import pytest

import models
from peers import Cluster, why_not

MIB = 1 << 20
REPO = "org/shared"
SHARDS = 4
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A directory with a model of 32 MiB."""
    directory = tmp_path_factory.mktemp("model")
    for n in range(SHARDS):
        models.big_file(32 * MIB // SHARDS, n, directory / f"model-{n + 1:05d}-of-{SHARDS:05d}.safetensors")
    (directory / "config.json").write_text('{"model_type": "bert"}\n')
    return directory


@pytest.fixture
def shared(hub, model):
    """The hub with that model."""
    hub.repo(REPO).commit({p.name: p for p in sorted(model.iterdir())})
    return hub


def size_of(model):
    return sum(p.stat().st_size for p in model.iterdir())


def right(loads, model):
    """All loads gave all bytes."""
    assert not [load["errors"] for load in loads if load["errors"]]
    assert not [load["wrong"] for load in loads if load["wrong"]]
    assert {load["bytes"] for load in loads} == {size_of(model)}
    return True


def test_without_peers_each_node_fetches_all(shared, model, tmp_path):
    """The twin of what follows."""
    with Cluster(tmp_path, shared, 4, peers=False) as cluster:
        assert right(cluster.load(REPO, model), model)
        assert cluster.upstream_bytes() == 4 * size_of(model)
        assert not any(cluster.sent().values())
