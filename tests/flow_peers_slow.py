"""Nodes behind slow links: what was asked of the hub is on its way for long, and is not asked for again meanwhile."""
import pytest

from peers import Cluster, why_not
from sharing import MIB, REPO, model, right, shared, size_of     # noqa: F401

MODEL_BYTES = 24 * MIB
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@pytest.mark.parametrize("peers", [True, False])
def test_who_wants_the_middle_of_what_comes_slowly_costs_the_hub_nothing(shared, model, tmp_path, peers):
    """All want other parts of it at the same time. The twin: without peers each takes a copy, and no byte more of it."""
    nodes = 4 if peers else 2
    with Cluster(tmp_path, shared, nodes, upstream=3 * MIB, peers=peers, timeout=60) as cluster:
        assert right(cluster.load(REPO, model, readers=4, step=4 * MIB, seconds=120), model)
        copies = 1 if peers else nodes
        assert copies * size_of(model) <= cluster.upstream_bytes() <= 1.02 * copies * size_of(model)
