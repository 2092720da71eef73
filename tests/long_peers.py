"""The longer stories of nodes that share what they fetch: by make torture."""
import pytest

from peers import HUB, Cluster, why_not
from sharing import MIB, REPO, by_source, ends_well, fail_promptly, half_way, model, shared, size_of, soon_right     # noqa: F401

SHARDS = 4
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


def test_upstream_goes_half_way_and_comes_back(shared, model, tmp_path):
    """What is there is shared; what is not fails promptly, and comes when upstream does."""
    with Cluster(tmp_path, shared, 4, upstream=8 * MIB, timeout=5) as cluster:
        cluster.begin(REPO, model)
        half_way(cluster, model)
        cluster.relay.down(HUB)
        assert fail_promptly(cluster.end(seconds=40), 30)
        # What anybody had is had by all who go on; what nobody has ends with an error again.
        assert fail_promptly(cluster.load(REPO, model, readers=SHARDS, seconds=40), 15)
        brought = sum(by_source(node)[0] for node in cluster.nodes)
        had = [sum(by_source(node)) for node in cluster.nodes]
        assert min(had) >= brought - 2 * SHARDS * MIB, (brought, had)
        cluster.relay.up(HUB)
        assert soon_right(cluster, model)
        assert ends_well(cluster, model, cluster.load(REPO, model), upstream=2, again=SHARDS * MIB)
