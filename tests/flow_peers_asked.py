"""What members make a node do by what they ask for: who is named when it can give no more, and whose word counts about a blob."""
import hashlib

import pytest

from flow_peers_line import BIG, MIB, giver
from peers import Caller, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
ONE, TWO = "127.1.9.9:1", "127.1.9.8:1"


def ask(cluster, node, target, first, last):
    """What a member at the address `node` hears: status, bytes, fields."""
    member = Caller(cluster.nodes[0].listen, node)
    return member.ask(target, member.sign(target, f"bytes={first}-{last}"))


@pytest.mark.parametrize("before", [True, False])
def test_who_hears_that_as_much_goes_out_as_may_hears_who_asked_before(hub, tmp_path, before):
    cluster, target = giver(tmp_path, hub, ["--peer-rate=1000000"])
    cluster.members = f"{ONE},{TWO}"
    target = target.replace("&number=1", "")    # nobody said to ask here
    with cluster:
        assert not cluster.nodes[0].load("org/one")["errors"]
        first = 0 if before else 16 * MIB       # the other segment is asked for by nobody else
        assert ask(cluster, ONE, target, 0, 16 * MIB - 1)[0] == 206
        status, data, fields = ask(cluster, TWO, target, first, first + 16 * MIB - 1)
        assert (status, data, fields["Peer-Others"]) == (503, b"", ONE if before else None)
