"""The longer stories of nodes that share what they fetch: by make torture."""

import pytest

from peers import HUB, Cluster, why_not
from sharing import MIB, REPO, by_source, half_way, make_model, once, publish, right, size_of, soon_right

SHARDS = 4
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A directory with a model of 32 MiB."""
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def shared(hub, model):
    """The hub with that model."""
    return publish(hub, model)


def test_upstream_goes_half_way_and_comes_back(shared, model, tmp_path):
    """What is there is shared; what is not fails promptly, and comes when upstream does."""
    with Cluster(tmp_path, shared, 4, upstream=8 * MIB, timeout=5) as cluster:
        cluster.begin(REPO, model)
        half_way(cluster, model)
        cluster.relay.down(HUB)
        loads = cluster.end(seconds=40)
        assert all(load["errors"] for load in loads) and not any(load["wrong"] for load in loads)
        # What anybody had is had by all who go on; what nobody has ends with an error again.
        loads = cluster.load(REPO, model, readers=SHARDS, seconds=40)
        assert all(load["errors"] for load in loads) and not any(load["wrong"] for load in loads)
        brought = sum(by_source(node)[0] for node in cluster.nodes)
        assert all(brought - 2 * SHARDS * MIB <= sum(by_source(node)) for node in cluster.nodes), (brought, list(map(by_source, cluster.nodes)))
        cluster.relay.up(HUB)
        assert soon_right(cluster, model)
        assert cluster.upstream_bytes() <= 2 * size_of(model)


@pytest.mark.parametrize("dead", [9, 0])
def test_nine_of_thirty_die_in_a_row(shared, model, tmp_path, dead):
    with Cluster(tmp_path, shared, 30, upstream=3 * MIB, timeout=20) as cluster:
        cluster.begin(REPO, model)
        for n in range(dead):
            half_way(cluster, model, 0.1 + 0.05 * n)
            cluster.nodes[2 + n].kill()
        left = [node for node in cluster.nodes if node.talk]
        assert right(cluster.end(left), model)
        assert len(left) == 30 - dead and once(cluster, model, left)
        # What they had brought and not given on is brought again. Upstream is slow here, and who waits long has another asked.
        assert cluster.upstream_bytes() <= (2 if dead else 1.25) * size_of(model)
