"""More members that lie, each with its twin: few wrong chunks, a byte a second, a request that was recorded; and bans that heal.
What all end with is sharing.ends_well(). See tests/flow_peers_liars.py for who is a liar, and how it is found out."""
import contextlib
import hashlib
import re
import socket
import threading

import pytest

from flow_peers_liars import load_all, make_liar, pytestmark, start     # noqa: F401
from mountlib import eventually
from peers import DEADLINE, Caller, Cluster
from sharing import MIB, REPO, banned, ends_well, make_model, model, publish, right, shared, size_of     # noqa: F401

MODEL_BYTES = 16 * MIB
SECOND = "org/second"


def lie(cluster, text):
    """What the liar, number 0, does from now on."""
    (cluster.tmp / "lie-0").write_text(text)


def gave(liar, nodes):
    """Bytes that they had from it."""
    return sum(node.peers()[liar.address]["bytes_in"] for node in nodes)


# ---- who drips ----

@pytest.mark.parametrize("how", ["drip", ""])
def test_who_promises_all_and_gives_a_byte_a_second_is_left(shared, model, tmp_path, how):
    """Its heads are those of a good member."""
    with Cluster(tmp_path, shared, 5, start=False, timeout=20) as cluster:
        liar, *others = cluster.nodes
        make_liar(cluster, liar, tmp_path, how)
        start(cluster)
        assert ends_well(cluster, model, cluster.load(REPO, model, others), others, upstream=2.2 if how else 1.02)
        assert (gave(liar, others) >= MIB) == (not how)     # not one chunk


# ---- one wrong chunk of a hundred ----

@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A directory with a file of a hundred chunks and one."""
    return make_model(tmp_path_factory.mktemp("large"), 101 * MIB, 1)


@pytest.mark.parametrize("how", ["flip 100", ""])
def test_few_wrong_chunks_are_found_and_come_again(hub, large, tmp_path, how):
    """The liar has all of it, so that the others have most of it from there, and from each other what it gave them. Upstream gives
    it to the liar, the two wrong chunks to a witness each, which tells all who ask, and once more to who brings them again: 1.03
    to 1.16 times the model. What a witness has of a hub counts as got: all of a segment, where the digest of the whole is all
    that tells."""
    publish(hub, large)
    with Cluster(tmp_path, hub, 4, start=False, timeout=30) as cluster:
        liar, *others = cluster.nodes
        make_liar(cluster, liar, tmp_path, how)
        start(cluster)
        assert right(cluster.load(REPO, large, [liar]), large)
        assert (load_all(cluster, large, others) > 0) <= bool(how)
        assert ends_well(cluster, large, cluster.load(REPO, large, others), others, upstream=1.35 if how else 1.02,
                         again=25 * MIB if how else 0, liars=[liar])
        assert bool(banned(others)) == bool(how)


# ---- bans ----

def test_a_ban_is_over_when_it_is_forgiven(shared, model, tmp_path):
    """Who lies no more gives again, and is believed. The twin: before that it is asked for nothing."""
    with Cluster(tmp_path, shared, 4, start=False, timeout=20) as cluster:
        liar, *others = cluster.nodes
        make_liar(cluster, liar, tmp_path, "zeros")
        start(cluster)
        load_all(cluster, model, others)
        judges = [node for node in others if banned([node])]
        assert judges and banned(judges) == {liar.address}
        lie(cluster, "")
        for seed, forgiven in enumerate([False, True]):
            directory, before = tmp_path / str(seed), gave(liar, judges)
            directory.mkdir()
            publish(shared, make_model(directory, 30 * 64 * 1024, 30, seed), f"{SECOND}-{seed}")    # small: each owner gives to all
            if forgiven:
                assert all(node.forgive() for node in judges)
            assert right(cluster.load(f"{SECOND}-{seed}", directory, others), directory)
            assert (gave(liar, judges) > before) == forgiven
            assert bool(banned(judges)) != forgiven


# ---- what was recorded ----

class Recorder:
    """Stands before a member, passes on what it is asked, and keeps it: requests, as they came."""

    def __init__(self, at, to):
        self.to, self.requests = to, []
        host, port = at.rsplit(":", 1)
        self.listener = socket.create_server((host, int(port)), backlog=100)
        self._begin(self._accept)

    @staticmethod
    def _begin(call, *args):
        threading.Thread(target=call, args=args, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, node = self.listener.accept()[0], connect(self.to)
                self._begin(self._pass, client, node, True)
                self._begin(self._pass, node, client, False)

    def _pass(self, source, target, is_asked):
        head = b""
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                if is_asked:
                    *whole, head = (head + piece).split(b"\r\n\r\n")
                    self.requests += whole
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), DEADLINE)


def say(address, request):
    """The head of what a member answers to those bytes."""
    with connect(address) as conn:
        conn.sendall(request + b"\r\n\r\n")
        got = b""
        while b"\r\n\r\n" not in got:
            piece = conn.recv(1 << 16)
            assert piece, got
            got += piece
    return got.partition(b"\r\n\r\n")[0].decode("latin-1")


def test_a_request_that_was_recorded_is_refused(shared, model, tmp_path):
    """The twin: the same one, signed anew, by a member."""
    with Cluster(tmp_path, shared, 3, start=False) as cluster:
        node = cluster.nodes[0]
        recorder, node.listen = Recorder(node.listen, f"127.4.0.1:{cluster.port}"), f"127.4.0.1:{cluster.port}"
        cluster.start(*cluster.nodes)
        assert ends_well(cluster, model, cluster.load(REPO, model))
        asked = [r for r in recorder.requests if r.startswith(b"GET /peer/v1/blobs/")]
        assert asked
        for request in asked[:3]:
            head = say(node.listen, request)
            assert head.startswith("HTTP/1.1 401 ") and re.search("(?mi)^peer-cause: replayed", head), head
        target, span = (re.search(word, asked[0].decode())[1] for word in (r"^GET (\S+)", r"(?mi)^range: (\S+)"))
        member = Caller(node.listen, cluster.nodes[1].address)
        assert member.send(target, member.sign(target, span, to=node.address))[0] == 206
        recorder.listener.close()


@pytest.mark.parametrize("heard", [True, False])
def test_a_request_for_another_member_brings_nothing_here(shared, model, tmp_path, heard):
    """Who never heard of that member asks it first who it is: it may be itself. The twin: that one is out of reach, and nobody can
    tell; docs/peers.md says so."""
    with Cluster(tmp_path, shared, 3, start=False) as cluster:
        one, two, here = cluster.nodes
        cluster.start(*(cluster.nodes if heard else [here]))
        path = min(model.glob("*.safetensors"))
        sha256, size = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
        target = (f"/peer/v1/blobs/{sha256}?size={size}&repo=models/{REPO}&commit={shared.repo(REPO).refs['refs/heads/main']}"
                  f"&path={path.name}&bring=1&wait=5000")
        caller = Caller(here.listen, two.address)

        def ask(to):
            status, _, fields = caller.ask(target, caller.sign(target, f"bytes=0-{MIB - 1}", to=to))
            return status, fields.get("Peer-Cause")

        assert ask(one.address) == (503, "name") and cluster.upstream_bytes() == 0
        assert eventually(lambda: one.address in here.peers() and here.peers()[one.address]["state"] == ("up" if heard else "silent"), 20)
        said = ask(one.address)
        assert said == (401, "elsewhere") if heard else said[0] in (206, 202, 300)
        assert (cluster.upstream_bytes() == 0) == heard
        assert ask(here.address)[0] in (206, 202, 300)
