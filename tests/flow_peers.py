"""Nodes that share what they fetch: what upstream sees of it, what each sends, and that the bytes are right."""
import struct
import time

import pytest

from peers import BUILD, INSTRUMENTED, Caller, Cluster, why_not
from sharing import REPO, by_source, model, once, right, shared, size_of     # noqa: F401

SHARDS = 4
CLOCK = BUILD / "tests" / "shim_clock.so"
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


# ---- once per cluster ----

def test_without_peers_each_node_fetches_all(shared, model, tmp_path):
    """The twin of what follows."""
    with Cluster(tmp_path, shared, 4, peers=False) as cluster:
        assert right(cluster.load(REPO, model), model)
        assert cluster.upstream_bytes() == 4 * size_of(model)
        assert not any(cluster.sent().values())


@pytest.mark.parametrize("readers", [1, 4])
def test_a_cluster_fetches_a_model_once(shared, model, tmp_path, readers):
    with Cluster(tmp_path, shared, 8) as cluster:
        assert right(cluster.load(REPO, model, readers=readers), model)
        assert cluster.upstream_bytes() <= 1.02 * size_of(model)
        assert max(cluster.sent().values()) <= 3.1 * size_of(model)      # heads included
        assert once(cluster, model)


def test_nodes_that_show_readers_verified_bytes_alone_share_what_is_not_yet(shared, model, tmp_path):
    """Each has a part of a file, and none could ever verify it if it gave that to nobody before."""
    with Cluster(tmp_path, shared, 4, args=["--verify=strict"], timeout=20) as cluster:
        assert right(cluster.load(REPO, model, readers=SHARDS), model)
        assert cluster.upstream_bytes() <= 1.02 * size_of(model)


def test_who_comes_later_takes_nothing_from_upstream(shared, model, tmp_path):
    with Cluster(tmp_path, shared, 4) as cluster:
        assert right(cluster.load(REPO, model, cluster.nodes[:1]), model)
        before = cluster.upstream_bytes()
        assert right(cluster.load(REPO, model, cluster.nodes[1:]), model)
        assert cluster.upstream_bytes() - before <= 0.02 * size_of(model)


# ---- keys ----

def test_a_key_is_changed_while_all_goes_on(shared, model, tmp_path):
    """New second, new first, old out: at each step half of the nodes have the file of the step before."""
    old, new = "the-old-key-of-the-cluster", "the-new-key-of-the-cluster"
    steps = [(old,), (old, new), (new, old), (new,)]
    with Cluster(tmp_path, shared, 6, start=False) as cluster:
        for n, node in enumerate(cluster.nodes):
            node.key_file = cluster.write_key(old, path=tmp_path / f"key-{n}")
        cluster.start(*cluster.nodes)
        for n, (before, after) in enumerate(zip(steps, steps[1:])):
            for at, node in enumerate(cluster.nodes):
                cluster.write_key(*(before if at % 2 else after), path=node.key_file)
            time.sleep(1.5)     # the file is looked at every second
            files = {p.name: p.read_bytes()[::-1] + bytes([n]) for p in model.iterdir()}
            shared.repo(f"{REPO}-{n}").commit(files)
            for node in cluster.nodes:
                assert not (load := node.load(f"{REPO}-{n}"))["errors"], load
            assert sum(by_source(node)[0] for node in cluster.nodes) <= 1.02 * (n + 1) * (size_of(model) + 10)


# ---- clocks ----

def set_clock(node, ahead):
    """By so many seconds it is before all others, from its start on."""
    how, env = node.cluster.tmp / f"clock-{node.number}", node._env()
    how.write_bytes(struct.pack("q", ahead))
    preload = ":".join(filter(None, (env.get("LD_PRELOAD"), str(CLOCK))))
    node._env = lambda: env | {"LD_PRELOAD": preload, "CLOCK_SHIM": str(how)}


@pytest.mark.skipif(INSTRUMENTED, reason="a shim sets the clock")
@pytest.mark.parametrize("ahead", [3600, -3600, 0])
def test_clocks_that_differ_by_an_hour_cost_a_question_each(shared, model, tmp_path, ahead):
    """Each is told the other's time once, and signs by that from then on."""
    with Cluster(tmp_path, shared, 2, start=False) as cluster:
        set_clock(cluster.nodes[0], ahead)
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, model), model)
        assert cluster.upstream_bytes() <= 1.02 * size_of(model)
        assert sum(by_source(node)[1] for node in cluster.nodes) >= 0.9 * size_of(model)
        # Who does not ask again by the time that he is told gets nothing.
        by_our_time = Caller(cluster.nodes[0].listen, cluster.nodes[1].address)
        target = f"/peer/v1/blobs/{'0' * 64}?size=1&repo=models/{REPO}&commit={'0' * 40}&path=x&number=1"
        assert by_our_time.send(target, by_our_time.sign(target, "bytes=0-0", to=cluster.nodes[0].address))[0] == (401 if ahead else 404)
        assert all(node.peers()[other.address]["state"] == "up" for node, other in zip(cluster.nodes, cluster.nodes[::-1]))
