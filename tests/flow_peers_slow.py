"""A hub behind a slow link: what it was asked for is on its way for long, and is not asked for again meanwhile."""
import concurrent.futures
import hashlib
import time

import pytest

import models
from peers import Caller, Cluster, why_not

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
