"""The longer stories of lists that change, and of zones: by make torture."""
import pytest

from flow_peers_places import MODEL_BYTES, between_zones, knows, pytestmark, write_list     # noqa: F401
from mountlib import eventually
from peers import Cluster
from sharing import MIB, REPO, half_way, model, once, right, shared, size_of     # noqa: F401


@pytest.mark.parametrize("changes", [True, False])
def test_a_list_changes_while_all_load(shared, model, tmp_path, changes):
    """One goes and one comes in the middle, and all load on, the one that went by what it knows of the list still."""
    with Cluster(tmp_path, shared, 4, upstream=2 * MIB, start=False, timeout=20) as cluster:
        first, second = cluster.nodes[:3], cluster.nodes[1:]
        cluster.members = write_list(cluster, dict.fromkeys(first, ""))
        cluster.start(*cluster.nodes)
        cluster.begin(REPO, model)
        half_way(cluster, model, 0.2)
        if changes:
            write_list(cluster, dict.fromkeys(second, ""))
        assert right(cluster.end(), model)
        assert once(cluster, model)
        if changes:
            assert eventually(lambda: all(knows(node, second) for node in second), 20)
        # Number 3 asks others before they know of it: what it owns then is brought by it and by them.
        assert cluster.upstream_bytes() <= 2.1 * size_of(model)


def test_a_model_goes_to_another_zone_about_once(shared, model, tmp_path):
    crossed = {}
    for zoned in True, False:
        directory = tmp_path / str(zoned)
        directory.mkdir()
        with Cluster(directory, shared, 8, up=8 * MIB, start=False) as cluster:
            zones = cluster.nodes[:4], cluster.nodes[4:]
            words = {node: f"zone=zone-{z}" if zoned else "" for z, zone in enumerate(zones) for node in zone}
            cluster.members = write_list(cluster, words)
            cluster.start(*cluster.nodes)
            assert right(cluster.load(REPO, model), model)
            crossed[zoned] = between_zones(zones) / size_of(model)
    assert crossed[True] <= 1.5, crossed
    assert crossed[False] >= crossed[True] + 1, crossed
