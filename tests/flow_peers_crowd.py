"""A small crowd, short enough for instrumented builds: nodes that load at once, of which one stops and comes back meanwhile."""
import pytest

from peers import Cluster, why_not
from sharing import MIB, REPO, by_source, half_way, model, right, shared, size_of     # noqa: F401

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
MODEL_BYTES = 8 * MIB


@pytest.mark.parametrize("peers", [True, False])
def test_who_stops_while_all_load_and_comes_back_has_all(shared, model, tmp_path, peers):
    """The twin has no peers, and all of it from the hub."""
    with Cluster(tmp_path, shared, 3, upstream=4 * MIB, peers=peers) as cluster:
        cluster.begin(REPO, model, readers=2)
        half_way(cluster, model, 0.3)
        *others, last = cluster.nodes
        last.stop()
        cluster.start(last)
        assert right(cluster.end(others) + [last.load(REPO, model)], model)
        assert any(by_source(node)[1] for node in cluster.nodes) == peers
