"""Nodes that share what they fetch: what upstream sees of it, what each sends, and that the bytes are right."""
import collections
import re
import time

import pytest

from peers import INSTRUMENTED, Cluster, why_not
from sharing import MIB, REPO, busiest, by_source, half_way, model, once, right, shared, size_of     # noqa: F401

SHARDS = 4
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


def test_a_list_with_duplicates_dead_names_and_oneself_is_as_good(shared, model, tmp_path):
    with Cluster(tmp_path, shared, 4, start=False) as cluster:
        names = [n.address for n in cluster.nodes]
        cluster.members = ",".join([*names, names[0], "127.1.9.9:9", *names[::-1], "no.such.name.invalid:9980"])
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, model), model)
        # What the dead own is brought by those that follow them, who may not agree at first.
        assert cluster.upstream_bytes() <= 1.5 * size_of(model)


# ---- nodes and links that fail ----

@pytest.mark.parametrize("how", ["kill", "hang", "oneway", "cut", "down", "freeze"])
def test_the_owner_goes_in_the_middle(shared, model, tmp_path, how):
    with Cluster(tmp_path, shared, 6, upstream=8 * MIB, timeout=20) as cluster:
        cluster.begin(REPO, model)
        half_way(cluster, model, 0.3)
        gone = busiest(cluster)
        getattr(gone, how)()
        others = [n for n in cluster.nodes if n is not gone]
        assert right(cluster.end(others), model)
        if how == "freeze":
            gone.thaw()
        # What it had brought and not given on is brought again.
        assert cluster.upstream_bytes() <= 2 * size_of(model)


def test_a_member_that_drips_costs_time_and_few_bytes(shared, model, tmp_path):
    with Cluster(tmp_path, shared, 6, timeout=20) as cluster:
        cluster.nodes[0].drip(1)
        assert right(cluster.load(REPO, model, cluster.nodes[1:]), model)
        assert cluster.upstream_bytes() <= 1.5 * size_of(model)


@pytest.mark.skipif(INSTRUMENTED, reason="a shim tells who asks")
def test_two_halves_of_a_cluster_fetch_twice_and_are_one_again(shared, model, tmp_path):
    with Cluster(tmp_path, shared, 8, timeout=20, args=["--log-level=debug"]) as cluster:
        cluster.split(cluster.nodes[:3], cluster.nodes[3:6])
        assert right(cluster.load(REPO, model, cluster.nodes[:6]), model)
        split = cluster.upstream_bytes()
        assert split <= 2.5 * size_of(model)
        # Each reads what comes in at once; after that nobody asks again whoever was silent.
        for node in cluster.nodes[:6]:
            vain = collections.Counter(re.findall(r"peer=(\S+) .*answer=6 ", node.talk.log_path.read_text()))
            assert all(count <= 6 for count in vain.values()), vain
        cluster.heal()
        assert right(cluster.load(REPO, model, cluster.nodes[6:]), model)
        assert cluster.upstream_bytes() - split <= 0.1 * size_of(model)


# ---- trust ----

def test_another_key_makes_no_member(shared, model, tmp_path):
    with Cluster(tmp_path, shared, 4, start=False) as cluster:
        stranger = cluster.nodes[3]
        stranger.key_file = cluster.write_key("another-key-than-that-of-the-others", path=tmp_path / "other.key")
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, model), model)
        assert by_source(stranger) == [size_of(model), 0]
        assert all(by_source(n)[0] < size_of(model) for n in cluster.nodes[:3])
        assert stranger.metrics()["peer_sent_bytes_total"] == 0


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
