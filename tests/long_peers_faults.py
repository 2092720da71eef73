"""The longer stories of clusters that lose much, of few wrong chunks, and of bans that end: by make torture."""
import contextlib
import time

import pytest

import conftest
from flow_faults import small_disk
from flow_peers_lies import gave, lie
from flow_peers_liars import LIES, load_all, make_liar, start
from peers import INSTRUMENTED, Cluster, why_not
from sharing import (MIB, REPO, banned, by_source, ends_well, half_way, make_model, model, publish, right, shared,     # noqa: F401
                     size_of)

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
SHIMMED = pytest.mark.skipif(INSTRUMENTED, reason="a shim changes what a node sends")
MODEL_BYTES = 16 * MIB
MOST = 240      # seconds of one load
BAN = 60        # seconds of a first ban


@pytest.mark.parametrize("dead", [30, 0])
def test_thirty_of_a_hundred_die_in_a_row(shared, model, tmp_path, dead):
    """What they had brought and not given on is brought again. Upstream is slow here, and who waits long has another asked."""
    with Cluster(tmp_path, shared, 100, upstream=MIB, timeout=60) as cluster:
        cluster.begin(REPO, model)
        for n in range(dead):
            half_way(cluster, model, 0.1 + 0.02 * n, MOST)
            cluster.nodes[2 + n].kill()
        left = [node for node in cluster.nodes if node.talk]
        assert len(left) == 100 - dead
        assert ends_well(cluster, model, cluster.end(left, MOST), left, upstream=2.5 if dead else 1.25)


@pytest.mark.skipif(bool(conftest.why_not()), reason=str(conftest.why_not()))
@pytest.mark.parametrize("room", ["6m", "64m"])
def test_ten_of_thirty_have_no_room(shared, model, tmp_path, room):
    with contextlib.ExitStack() as disks, Cluster(tmp_path, shared, 30, start=False, timeout=60) as cluster:
        full, others = cluster.nodes[:10], cluster.nodes[10:]
        for node in full:
            node.cache = disks.enter_context(small_disk(tmp_path / f"disk-{node.number}", room)) / "cache"
        cluster.start(*cluster.nodes)
        # What the full ones own they bring for themselves alone; for the others those do it that follow. 1.4 to 1.5 as a rule; 2.2 was
        # seen where the machine had so much else to do that some had others' part for themselves, too.
        assert ends_well(cluster, model, cluster.load(REPO, model, seconds=MOST), others, upstream=2.85 if room == "6m" else 1.02)
        assert sum(by_source(node)[0] for node in others) <= 1.5 * size_of(model)


@SHIMMED
@pytest.mark.parametrize("how, upstream, again", [("flip 100", 1.35, 0.15), *((lie, 2.25, 0.5) for lie in LIES), ("", 1.02, 0)])
def test_one_chunk_of_a_hundred_is_wrong(hub, tmp_path, how, upstream, again):
    """Among eight, without lists of digests; the liar has all of it. Where one of a hundred is wrong 1.01 to 1.18 times the model
    was seen, and no node had more than a fiftieth of it twice; where more is, 1.45 to 1.8, and a third."""
    directory = tmp_path / "large"
    directory.mkdir()
    publish(hub, make_model(directory, 200 * MIB, 1))
    with Cluster(tmp_path, hub, 8, start=False, timeout=60) as cluster:
        liar, *others = cluster.nodes
        make_liar(cluster, liar, tmp_path, how)
        start(cluster)
        assert right(cluster.load(REPO, directory, [liar], MOST), directory)
        load_all(cluster, directory, others, MOST)
        assert ends_well(cluster, directory, cluster.load(REPO, directory, others, MOST), others, upstream=upstream,
                         again=again * size_of(directory), liars=[liar])
        assert bool(banned(others)) == bool(how)


@SHIMMED
@pytest.mark.parametrize("waits", [True, False])
def test_a_ban_ends_by_itself(shared, model, tmp_path, waits):
    with Cluster(tmp_path, shared, 4, start=False, timeout=20) as cluster:
        liar, *others = cluster.nodes
        make_liar(cluster, liar, tmp_path, "zeros")
        start(cluster)
        load_all(cluster, model, others)
        judges = [node for node in others if banned([node])]
        assert judges
        lie(cluster, "")
        before, directory = gave(liar, judges), tmp_path / "second"
        directory.mkdir()
        publish(shared, make_model(directory, 30 * 64 * 1024, 30), "org/second")
        time.sleep(BAN + 2 if waits else 0)
        assert right(cluster.load("org/second", directory, others), directory)
        assert (gave(liar, judges) > before) == waits and bool(banned(judges)) != waits
