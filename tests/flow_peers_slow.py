"""A hub behind a slow link: what it was asked for is on its way for long, and is not asked for again meanwhile. And members that
give only so many bytes a second."""
import concurrent.futures
import hashlib
import time

import pytest

import models
from flow_peers_liars import own_most
from peers import HUB, Caller, Cluster, why_not
from sharing import REPO, right

MIB = 1 << 20
FILE = models.big_file(8 * MIB, seed=8)
GUEST = "127.1.9.9:1"
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


def take(cluster, target, first, last):
    """What a member gets who asks until it has all."""
    member, data = Caller(cluster.nodes[0].listen, GUEST), b""
    while len(data) < last - first:
        status, piece = member.get(target, first + len(data), last - 1)
        assert status == 206
        data += piece
    return data


@pytest.mark.parametrize("first", [5 * MIB, MIB])
def test_a_guest_who_wants_the_middle_of_what_comes_slowly_costs_the_hub_nothing(hub, tmp_path, first):
    """The twin wants what comes next. That the middle costs a node without peers something tests/test_fetch.c shows."""
    commit = hub.repo("org/one").commit({"w.safetensors": FILE})
    with Cluster(tmp_path, hub, 1, members=GUEST, upstream=MIB) as cluster, concurrent.futures.ThreadPoolExecutor(2) as pool:
        digest = hashlib.sha256(FILE).hexdigest()
        target = f"/peer/v1/blobs/{digest}?size={len(FILE)}&repo=models/org/one&commit={commit}&path=w.safetensors&number=1&bring=1"
        all_of_it = pool.submit(take, cluster, target, 0, len(FILE))
        time.sleep(1)
        middle = pool.submit(take, cluster, target, first, first + MIB)
        assert middle.result(60) == FILE[first:first + MIB]
        assert all_of_it.result(60) == FILE
        assert len(FILE) <= cluster.upstream_bytes() <= 1.02 * len(FILE)


LONG = pytest.mark.long


@pytest.mark.parametrize("rate, upstream", [pytest.param(20_000_000, 1.1, marks=LONG), (4_000_000, 1.1),
                                            pytest.param(1_000_000, 1.5, marks=LONG), (0, 1.02), (10_000, 4.2)])
def test_members_that_give_only_so_much_in_a_second_are_waited_for(hub, tmp_path, rate, upstream):
    """As long as a reader has time, that is; who gives a chunk in a hundred seconds is left, and the reader is served all the
    same. The twin has no limit."""
    directory = tmp_path / "model"
    directory.mkdir()
    models.big_file(32 * MIB, 9, directory / "w.safetensors")
    hub.repo(REPO).commit({"w.safetensors": directory / "w.safetensors"})
    with Cluster(tmp_path, hub, 4, args=[f"--peer-rate={rate}", f"--peer-rate-waiting={rate}"] if rate else []) as cluster:
        loads = cluster.load(REPO, directory, seconds=150)
        assert right(loads, directory)
        assert cluster.upstream_bytes() <= upstream * 32 * MIB, cluster.upstream_bytes() / 32 / MIB
        assert max(load["slowest"] for load in loads) < 30


# ---- one that is slower than all others ----

def arrived(cluster):
    """Bytes that came to nodes from nodes and from the hub, whatever became of them."""
    return sum(cluster.sent().values()) + cluster.relay.counts()[HUB][1]


@pytest.mark.parametrize("rate", [200_000, 0])
def test_a_straggler_costs_few_bytes_twice(hub, tmp_path, rate):
    """It owns most. Who waits for it for too long has another asked, and what had come of a chunk till then comes once more: of
    each node's bytes one of fifty at most. The twin is as fast as the others."""
    directory = tmp_path / "model"
    directory.mkdir()
    models.big_file(96 * MIB, 9, directory / "w.safetensors")
    hub.repo(REPO).commit({"w.safetensors": directory / "w.safetensors"})
    with Cluster(tmp_path, hub, 6, start=False, timeout=20, args=["--log-level=debug"]) as cluster:
        straggler, *others = cluster.nodes
        own_most(cluster, straggler, tmp_path)
        cluster.start(*cluster.nodes)
        straggler.drip(rate)
        assert right(cluster.load(REPO, directory, seconds=150), directory)
        twice = [node.metrics()["peer_twice_bytes_total"] for node in cluster.nodes]
        gave = sum(node.peers()[straggler.address]["bytes_in"] for node in others)
        assert (gave < 24 * MIB) == bool(rate) and bool(sum(twice)) >= bool(rate), (gave, twice)
        assert max(twice) <= 0.02 * 96 * MIB, twice
        assert arrived(cluster) <= 1.02 * 6 * 96 * MIB


def answers_of(node, cluster):
    """What the others were answered by it, or had instead."""
    return [word for other in cluster.nodes for address, word in other.answers() if address == node.address]


@pytest.mark.parametrize("seconds", [1.5, 0])
def test_who_hiccups_once_is_asked_on(hub, tmp_path, seconds):
    """Nothing passes to or from it for a moment, in the midst of a load: whoever waits may ask another besides, but nobody calls it
    slow, and it gives on. Its twin goes on with so little that many ask another, and leave it."""
    directory = tmp_path / "model"
    directory.mkdir()
    models.big_file(160 * MIB, 9, directory / "w.safetensors")
    hub.repo(REPO).commit({"w.safetensors": directory / "w.safetensors"})
    with Cluster(tmp_path, hub, 6, start=False, timeout=20, up=24 * MIB, args=["--log-level=debug"]) as cluster:
        straggler = cluster.nodes[0]
        own_most(cluster, straggler, tmp_path)
        cluster.start(*cluster.nodes)
        for node in cluster.nodes:
            node.begin_load(REPO, directory=directory)
        while arrived(cluster) < 6 * 72 * MIB:
            time.sleep(0.1)
        if seconds:
            straggler.hang()
            time.sleep(seconds)
            straggler.up()
        else:
            straggler.drip(100_000)
        before = cluster.sent()[straggler]
        assert right([node.end_load(100) for node in cluster.nodes], directory)
        words, metrics = answers_of(straggler, cluster), [node.metrics() for node in cluster.nodes]
        assert ("slow" in words) == (not seconds), words
        assert not seconds or cluster.sent()[straggler] > before + 8 * MIB
        assert seconds or sum(m["peer_races_total"] for m in metrics) > 0
        assert not seconds or max(m["peer_twice_bytes_total"] for m in metrics) <= 0.02 * 160 * MIB
        assert arrived(cluster) <= 1.02 * 6 * 160 * MIB
