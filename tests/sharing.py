"""What stories of peers say of a cluster that loads a model: tests/flow_peers*.py, tests/long_peers*.py. The fixtures `model`
and `shared` are for whoever imports them; MODEL_BYTES of a module says how large its model is."""
import pytest

import models
from mountlib import eventually

MIB = 1 << 20
REPO = "org/shared"


def make_model(directory, size=32 * MIB, shards=4, seed=0):
    """A directory with a model of so many bytes, and its config."""
    for n in range(shards):
        models.big_file(size // shards, f"{seed}/{n}", directory / f"model-{n + 1:05d}-of-{shards:05d}.safetensors")
    (directory / "config.json").write_text('{"model_type": "bert"}\n')
    return directory


def publish(hub, directory, repo=REPO):
    """The hub, with that model."""
    hub.repo(repo).commit({p.name: p for p in sorted(directory.iterdir())})
    return hub


@pytest.fixture(scope="module")
def model(request, tmp_path_factory):
    """A directory with a model."""
    return make_model(tmp_path_factory.mktemp("model"), getattr(request.module, "MODEL_BYTES", 32 * MIB))


@pytest.fixture
def shared(hub, model):
    """The hub with that model."""
    return publish(hub, model)


def size_of(model):
    return sum(p.stat().st_size for p in model.iterdir())


def right(loads, model):
    """All loads gave all bytes."""
    assert not [load["errors"] for load in loads if load["errors"]]
    assert not [load["wrong"] for load in loads if load["wrong"]]
    assert {load["bytes"] for load in loads} == {size_of(model)}
    return True


def soon_right(cluster, model, nodes=None, seconds=30):
    """A load that failed is made again, as a loader that is restarted does."""
    def is_right():
        try:
            return right(cluster.load(REPO, model, nodes), model)
        except AssertionError:
            return False
    return eventually(is_right, seconds, 0.5)


def by_source(node):
    """Bytes of files that it got: from hubs, from peers."""
    metrics = node.metrics()
    return [sum(v for k, v in metrics.items() if k.startswith("source_bytes_total") and ('kind="peer"' in k) == peer) for peer in (False, True)]


def once(cluster, model, nodes=None):
    """No node got a byte twice."""
    return all(sum(by_source(node)) == size_of(model) for node in nodes or cluster.nodes)


def twice(nodes, model):
    """The most bytes that one of them got of what it had already."""
    return max(sum(by_source(node)) for node in nodes) - size_of(model)


def banned(nodes):
    """The addresses of those whom any of them has banned, now."""
    return {address for node in nodes for address, member in node.peers().items() if member["state"] == "banned"}


def ends_well(cluster, model, loads, nodes=None, upstream=1.02, again=0, liars=()):
    """What each story of a fault ends with: all `nodes` have read right bytes; upstream has sent no more than `upstream` times the
    model; none of them fetched a chunk twice, but for `again` bytes that were wrong, nor threw away more of what broke off, or was
    outrun, than a fiftieth of the model or a chunk; and nobody is banned but `liars`."""
    nodes = cluster.nodes if nodes is None else nodes
    assert right(loads, model)
    assert cluster.upstream_bytes() <= upstream * size_of(model), cluster.upstream_bytes() / size_of(model)
    assert twice(nodes, model) <= again, [(node.name, by_source(node)) for node in nodes]
    broken = [node.metrics()["peer_twice_bytes_total"] for node in nodes]
    assert max(broken) <= max(0.02 * size_of(model), MIB), broken
    assert banned(nodes) <= {liar.address for liar in liars}
    return True


def fail_promptly(loads, seconds):
    """All loads ended with errors, and without a wrong byte, in that time."""
    assert all(load["errors"] and not load["wrong"] for load in loads), loads
    assert max(load["seconds"] for load in loads) <= seconds, loads
    return True


def half_way(cluster, model, part=0.5, seconds=30):
    assert eventually(lambda: cluster.upstream_bytes() >= part * size_of(model), seconds, 0.01)


def busiest(cluster):
    """Who has sent the most."""
    sent = cluster.sent()
    return max(cluster.nodes, key=lambda node: sent[node])
