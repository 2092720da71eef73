"""matrixhubd as the hub of nodes, and a member as they are: it gives them what it brings from upstream, and has nothing of theirs."""
import contextlib
import hashlib
import types

import pytest

import models
from flow_peers_liars import LIES, make_liar, total
from hubd import free_port
from peers import INSTRUMENTED, Cluster, why_not
from sharing import MIB, REPO, publish, right, size_of

NAME = "model.safetensors"
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A directory with a file of three segments."""
    directory = tmp_path_factory.mktemp("model")
    models.big_file(48 * MIB, 1, directory / NAME)
    return directory


@pytest.fixture
def clusters(hub, hubd, model, tmp_path):
    """Makes clusters of n nodes whose hub is a matrixhubd before `hub`; member: it is one of them. A cluster is not started."""
    publish(hub, model)
    with contextlib.ExitStack() as stack:
        def make(n, member, prepare=lambda cluster: None):
            port, tmp = free_port(), tmp_path / f"{n}-{member}"
            tmp.mkdir()
            c = Cluster(tmp, types.SimpleNamespace(port=port), n, start=False, timeout=20)
            c.own = types.SimpleNamespace(address=f"127.1.99.1:{c.port}", number=n)
            addresses = [*(node.address for node in c.nodes), *([c.own.address] if member else [])]
            c.members = ",".join(addresses)
            prepare(c)
            args = [f"--peer-listen={c.own.address}", f"--peers={c.members}"] if member else []
            c.hubd = hubd(hub, port=port, args=[*args, f"--cluster-key-file={c.key_file}"], timeout=20)
            return stack.enter_context(c)
        yield make


def states(cluster):
    """{how a member is to some other node}"""
    return {m["state"] for node in cluster.nodes for m in node.peers().values()}


def slowest(cluster, model):
    loads = cluster.load(REPO, model)
    assert right(loads, model)
    return max(load["seconds"] for load in loads)


def test_a_hub_that_is_a_member_waits_for_nobody_who_waits_for_it(hub, clusters, model):
    """The twin is the same hub when it is none. What who leaves was to get comes all the same, if it comes soon: who follows has it
    from here."""
    seconds = {}
    for member in False, True:
        cluster, before = clusters(3, member), hub.bytes_sent(path_re="/resolve/")
        cluster.start(*cluster.nodes)
        seconds[member] = slowest(cluster, model)
        assert hub.bytes_sent(path_re="/resolve/") - before <= (1.02 if member else 1.1) * size_of(model)
        assert not {"busy", "slow", "silent", "refused", "banned"} & states(cluster), "\n".join(n.log_text() for n in cluster.nodes)
    assert seconds[True] <= 2 * seconds[False] + 2, seconds


@pytest.mark.skipif(INSTRUMENTED, reason="a shim changes what a node sends")
@pytest.mark.parametrize("lie", ["", *LIES])
def test_a_hub_has_nothing_of_a_liar_among_its_members(clusters, model, tmp_path, lie):
    """A member owns most, and lies: no load fails, nobody else is banned for it, and what the hub gives is right at any time."""
    def prepare(cluster):
        nodes, cluster.nodes = cluster.nodes, [*cluster.nodes, cluster.own]
        make_liar(cluster, nodes[0], tmp_path, lie)
        cluster.nodes = nodes

    cluster, wanted = clusters(4, True, prepare), hashlib.sha256((model / NAME).read_bytes()).hexdigest()
    cluster.start(*cluster.nodes)
    liar, *others = cluster.nodes
    loads = cluster.load(REPO, model)
    assert hashlib.sha256(cluster.hubd.ask(f"/{REPO}/resolve/main/{NAME}").body).hexdigest() == wanted
    assert not [load["errors"] for load in loads if load["errors"]], "\n".join(n.log_text() for n in cluster.nodes)
    banned = {address for node in others for address, m in node.peers().items() if m["bans"]}
    assert banned <= ({liar.address} if lie else set())
    lied = any(load["wrong"] for load in loads) or total(others, "peer_wrong_bytes_total")
    assert bool(lied) == bool(lie)
