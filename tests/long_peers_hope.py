"""Nodes that wait for each other: whom they stay with, and whom they leave."""
import time

import pytest

import models
from peers import HUB, Cluster, why_not

MIB = 1 << 20
REPO = "org/slow"
SIZE = 2 * MIB
RATE = 200_000      # a chunk takes longer than one is believed who only says that it comes
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@pytest.fixture
def slow(hub, tmp_path):
    """The hub with a file of two chunks, and a directory with it."""
    directory = tmp_path / "model"
    directory.mkdir()
    models.big_file(SIZE, 1, directory / "model.safetensors")
    hub.repo(REPO).commit({"model.safetensors": directory / "model.safetensors"})
    return hub, directory


def left(cluster):
    """How often anybody left one who said that bytes were coming."""
    return sum(word == "slow" for node in cluster.nodes for _, word in node.answers())


def denied(cluster):
    """How often anybody heard that upstream fails."""
    return sum(node.talk.log_path.read_text().count(" status=502 ") for node in cluster.nodes)


def test_who_gets_on_is_waited_for(slow, tmp_path):
    hub, model = slow
    with Cluster(tmp_path, hub, 5, upstream=RATE, timeout=60, args=["--log-level=debug"]) as cluster:
        loads = cluster.load(REPO, model)
        assert not any(load["errors"] or load["wrong"] for load in loads)
        assert cluster.upstream_bytes() <= 1.02 * SIZE
        assert left(cluster) == 0 and denied(cluster) == 0


def test_who_is_let_down_by_the_hub_says_so_and_is_not_left(slow, tmp_path):
    """The twin: it says nothing for a while."""
    hub, model = slow
    with Cluster(tmp_path, hub, 5, upstream=RATE, timeout=60, args=["--log-level=debug"]) as cluster:
        cluster.begin(REPO, model)
        time.sleep(1)
        cluster.relay.hang(HUB)
        time.sleep(9)
        cluster.relay.up(HUB)
        loads = cluster.end()
        assert not any(load["errors"] or load["wrong"] for load in loads)
        assert left(cluster) == 0 and denied(cluster) > 0
