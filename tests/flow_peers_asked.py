"""What members make a node do by what they ask for: how long who asks is held, and whose word counts about a blob."""
import hashlib
import http.client
import re
import time

import pytest

import models
from flow_peers_line import BIG, MIB, giver
from mountlib import eventually
from peers import Caller, Cluster, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
ONE, TWO = "127.1.9.9:1", "127.1.9.8:1"


def ask(cluster, node, target, first, last):
    """What a member at the address `node` hears: status, bytes, fields."""
    member = Caller(cluster.nodes[0].listen, node)
    return member.ask(target, member.sign(target, f"bytes={first}-{last}"))


@pytest.mark.parametrize("wait, status", [(300, 202), (5000, 206)])
def test_who_asks_when_as_much_goes_out_as_may_waits_for_his_turn(hub, tmp_path, wait, status):
    """As long as he asked to; then he is told that bytes went out a moment ago."""
    cluster, target = giver(tmp_path, hub, ["--peer-rate=1000000"])
    cluster.members = f"{ONE},{TWO}"
    with cluster:
        assert not cluster.nodes[0].load("org/one")["errors"]
        assert ask(cluster, ONE, target, 0, 2 * MIB - 1)[0] == 206
        begun = time.monotonic()
        heard, data, fields = ask(cluster, TWO, f"{target}&wait={wait}", 0, 16 * MIB - 1)
        assert (heard, data) == (status, BIG[:MIB] if status == 206 else b"")
        assert 0.2 < time.monotonic() - begun < 3
        if status == 202:
            assert 200 < int(fields["Peer-Quiet"]) < 3000 and "Peer-Others" not in fields


@pytest.mark.parametrize("wrong", [True, False])
def test_what_may_be_shown_to_nobody_yet_is_not_promised(hub, tmp_path, wrong):
    """It is brought anew, all of it, before a member may have any: who waited would think this node silent."""
    cluster, target = giver(tmp_path, hub)
    fault = hub.fault("/resolve/.*/w.safetensors", "wrong_bytes", offset=1_500_000)
    if not wrong:
        fault.off()
    with cluster:
        node = cluster.nodes[0]
        node.load("org/one")
        assert eventually(lambda: node.metrics()["wrong_digests_total"] if wrong else node.metrics()["sealed_total"], 20)
        hub.clear_faults()
        with hub.fault("/resolve/.*/w.safetensors", "slow", rate=MIB):      # all of it is not there before the question is
            begun = time.monotonic()
            status, data, _ = ask(cluster, ONE, target + "&bring=1&wait=5000", 0, MIB - 1)
            assert (status, data) == ((404, b"") if wrong else (206, BIG[:MIB])) and time.monotonic() - begun < 4.5


@pytest.mark.parametrize("right", [False, True])
def test_the_size_that_a_member_says_takes_no_bytes_away(hub, tmp_path, right):
    cluster, target = giver(tmp_path, hub)
    with cluster:
        node = cluster.nodes[0]
        cluster.relay.rate("hub", 0, 8_000_000)
        node.begin_load("org/one")
        time.sleep(2)
        node.kill()                     # it has a part of it
        cluster.relay.rate("hub", 0, 0)
        cluster.start(node)
        before = cluster.upstream_bytes()
        said = target if right else target.replace(f"size={len(BIG)}", f"size={len(BIG) + 1}")
        status = ask(cluster, ONE, said, 0, MIB - 1)[0], ask(cluster, ONE, said + "&bring=1", 0, MIB - 1)[0]
        assert status == ((206, 206) if right else (409, 409))
        assert not node.load("org/one")["errors"]
        assert 0 < cluster.upstream_bytes() - before < len(BIG) - 4 * MIB


@pytest.mark.parametrize("both", [True, False])
def test_two_that_bear_one_address_are_told_of_by_who_is_asked(hub, tmp_path, both):
    cluster, target = giver(tmp_path, hub)
    with cluster:
        node = cluster.nodes[0]
        host, port = node.listen.rsplit(":", 1)
        member = Caller(node.listen, ONE)
        for i in range(12):
            source = ("127.9.9.1" if i % 2 and both else "127.9.9.2", 0)
            connection = http.client.HTTPConnection(host, int(port), timeout=10, source_address=source)
            connection.request("GET", target, headers=member.sign(target, f"bytes=0-{MIB - 1}"))
            connection.getresponse().read()
            connection.close()
        lines = node.log_text().count(f"peer={ONE} asks from 127.9.9.")
        assert lines == (1 if both else 0)


def test_what_makes_no_sense_is_told_why_and_signed(hub, tmp_path):
    cluster, target = giver(tmp_path, hub)
    wrong = (f"{target}&path=twice", "bytes=0-1", "a field of its query is there twice"), \
        (target.replace("path=", "path=a%00"), "bytes=0-1", "a field of its query has a NUL"), \
        (target, "bytes=5-1", "its range is none")
    with cluster:
        assert not cluster.nodes[0].load("org/one")["errors"]
        member = Caller(cluster.nodes[0].listen, ONE)
        for asked, span, why in wrong:
            status, text, fields = member.ask(asked, member.sign(asked, span))
            assert (status, text.decode()) == (400, f"This request makes no sense: {why}.\n")
            assert fields["Peer-Cause"] == "question" and fields["Authentication-Info"]
        for method in "PUT", "DELETE":
            status, _, fields = member.ask(target, member.sign(target, "bytes=0-1", method=method), method)
            assert (status, fields["Allow"]) == (405, "GET") and fields["Authentication-Info"]
        absent = re.sub("blobs/....", "blobs/0123", target)
        status, text, fields = member.ask(absent, member.sign(absent, "bytes=0-1"))
        assert (status, text, fields["Peer-Cause"]) == (404, b"", "absent")
        assert member.ask(target, member.sign(target, f"bytes=0-{MIB - 1}"))[0] == 206


@pytest.mark.parametrize("named", ["other", "none", "right"])
@pytest.mark.parametrize("many", [False, True])
def test_a_wrong_place_of_a_blob_costs_who_names_it_an_answer_and_nobody_else_bytes(hub, tmp_path, named, many):
    """A member asks for one file by the path of another, or of none: he is told that it is not there, and the model is had from
    upstream once all the same. The twin names the right one, and gets bytes."""
    files = {f"w{i}.safetensors": models.big_file(40 * MIB, seed=70 + i) for i in range(2)}
    commit = hub.repo("org/two").commit(files)
    blob = hashlib.sha256(files["w0.safetensors"]).hexdigest()
    path = {"other": "w1.safetensors", "none": "no.safetensors", "right": "w0.safetensors"}[named]
    target = f"/peer/v1/blobs/{blob}?size={40 * MIB}&repo=models/org/two&commit={commit}&path={path}&bring=1&number=1&wait=3000"
    with Cluster(tmp_path, hub, 3) as cluster:
        said = []
        for node in cluster.nodes[:3 if many else 1]:
            for first in range(0, 40 * MIB if many else 1, 16 * MIB):
                status, _, fields = asked_on(Caller(node.address, ONE), target, first)
                said.append((status, fields["Peer-Cause"]))
        # Who asks for it again and again hears that it fails for him.
        mine = {"other": (404, "CHANGED"), "none": (404, "NOENTRY"), "right": (206, None)}[named]
        assert said[0] == mine and set(said) <= ({mine} if named == "right" else {mine, (502, "UPSTREAM")})
        hub.clear_log()
        loads = cluster.load("org/two")
        assert not [x for x in loads if x["errors"] or x["wrong"]] and {x["bytes"] for x in loads} == {80 * MIB}
        assert cluster.upstream_bytes() <= 1.02 * 80 * MIB, cluster.upstream_bytes() / (80 * MIB)


def asked_on(member, target, first):
    """Of one MiB, as long as it is said to be coming."""
    answer = 202, b"", {}
    while answer[0] == 202:
        answer = member.ask(target, member.sign(target, f"bytes={first}-{first + MIB - 1}"))
    return answer
