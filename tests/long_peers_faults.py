"""The longer stories of clusters that lose many nodes: by make torture."""
import pytest

from peers import Cluster, why_not
from sharing import MIB, REPO, half_way, model, once, right, shared, size_of     # noqa: F401

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
MODEL_BYTES = 16 * MIB


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
