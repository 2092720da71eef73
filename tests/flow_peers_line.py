"""How members reach each other: by TLS, past proxies, by IPv6 and by name; and how much they give, to how many."""
import contextlib
import hashlib
import socket
import ssl
import subprocess
import time

import pytest

import models
from mountlib import eventually
from peers import Caller, Cluster, Relay, why_not
from sharing import REPO, by_source, make_model, model, publish, right, shared, size_of     # noqa: F401

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
MIB = 1 << 20


class Authority:
    """Who vouches for certificates: file is its own."""

    def __init__(self, directory, name):
        self.directory, self.name, self.count = directory, name, 0
        self.file, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        self._openssl("req", "-x509", *self._new(self.key), "-days", "2", "-subj", f"/CN={name}", "-out", self.file)

    @staticmethod
    def _new(key):
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key

    def _openssl(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=self.directory)

    def issue(self, *names):
        """Files of a certificate for these ("IP:127.0.0.1"), and of its key."""
        self.count += 1
        cert, key, request = (self.directory / f"{self.name}-{self.count}.{end}" for end in ("pem", "key", "csr"))
        self._openssl("req", "-new", *self._new(key), "-subj", "/CN=node", "-addext", f"subjectAltName={','.join(names)}", "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-set_serial", self.count + 1,
                      "-days", "2", "-copy_extensions", "copy", "-out", cert)
        return cert, key


def secure(node, authority, trusted=None, name=None):
    """The node speaks TLS from its start on."""
    cert, key = authority.issue(name or f"IP:{node.host}")
    node.args = [f"--peer-tls-cert={cert}", f"--peer-tls-key={key}", f"--peer-tls-ca={(trusted or authority).file}"]
    return cert, key


@pytest.fixture
def ours(tmp_path):
    return Authority(tmp_path, "ours")


def shares(nodes):
    """Each of them has bytes of others."""
    return all(by_source(node)[1] for node in nodes)


def refused(cluster, node):
    """What this one had of members, and members of it: nothing."""
    return by_source(node)[1] == 0 and node.metrics().get("peer_sent_bytes_total", 0) == 0


# ---- TLS ----

def test_members_that_speak_tls_fetch_a_model_once(shared, model, tmp_path, ours):
    with Cluster(tmp_path, shared, 4, start=False) as cluster:
        for node in cluster.nodes:
            secure(node, ours)
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, model), model) and shares(cluster.nodes)
        assert cluster.upstream_bytes() <= 1.02 * size_of(model)
        assert not any("TLS with it fails" in node.log_text() for node in cluster.nodes)
        with pytest.raises(OSError):    # or what is no HTTP
            Caller(cluster.nodes[0].listen, "127.1.0.2:1").get("/", 0, 1)


@pytest.mark.parametrize("wrong", ["plain", "another", "name"])
def test_who_speaks_no_tls_of_ours_gets_nothing_and_breaks_nothing(shared, model, tmp_path, ours, wrong):
    with Cluster(tmp_path, shared, 4, start=False) as cluster:
        *good, bad = cluster.nodes
        for node in good:
            secure(node, ours)
        if wrong == "another":
            secure(bad, Authority(tmp_path, "theirs"))
        if wrong == "name":
            secure(bad, ours, name="IP:127.9.9.9")
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, model), model) and shares(good)
        sent = cluster.sent()
        assert all(sent[node] > 0 for node in good) and sent[bad] < 100_000     # but for greetings
        if wrong == "name":             # it may ask others: they know it by the key of the cluster
            assert by_source(bad)[1] > 0
        else:
            assert by_source(bad)[1] == 0
        assert cluster.upstream_bytes() <= 2.3 * size_of(model)     # once for the others and perhaps once more for its share
        said = [(node.peers()[bad.address], node.log_text().count(f"peer={bad.address} cannot be asked, TLS with it fails")) for node in good]
        assert any(lines for _, lines in said) and all(lines <= 1 for _, lines in said)
        assert all(m["state"] == "tls" and m["why"] for m, lines in said if lines), said


def test_a_certificate_is_read_again_when_it_has_changed(shared, tmp_path, ours):
    def shown():
        host, port = node.listen.rsplit(":", 1)
        return ssl.get_server_certificate((host, int(port)))

    with Cluster(tmp_path, shared, 1, start=False) as cluster:
        node = cluster.nodes[0]
        cert, key = secure(node, ours)
        cluster.start(node)
        first = shown()
        assert first == cert.read_text()
        new_cert, new_key = ours.issue(f"IP:{node.host}")
        second = new_cert.read_text()
        cert.write_text(second)         # alone it does not go with the key
        assert eventually(lambda: "stays as it was" in node.log_text(), 10) and shown() == first
        key.write_text(new_key.read_text())
        assert eventually(lambda: "was read again" in node.log_text(), 10) and shown() == second


# ---- proxies ----

@pytest.mark.parametrize("direct", [True, False])
def test_no_proxy_stands_between_members(shared, model, tmp_path, direct):
    """The twin: the hub is behind the same proxy, where nobody answers."""
    env = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.3.0.1" if direct else "127.9.9.9", "NO_PROXY": ""}
    with Cluster(tmp_path, shared, 3, env=env, timeout=10) as cluster:
        loads = cluster.load(REPO, model)
        if direct:
            assert right(loads, model) and shares(cluster.nodes) and cluster.upstream_bytes() <= 1.02 * size_of(model)
        else:
            assert all(load["errors"] for load in loads) and not cluster.upstream_bytes()


# ---- IPv6, and names ----

@pytest.mark.parametrize("tls", [False, True])
def test_members_have_addresses_of_ipv6_and_names(shared, model, tmp_path, ours, tls):
    with Cluster(tmp_path, shared, 3, start=False) as cluster:
        cluster.shim = False
        for node, host in zip(cluster.nodes, ("[::1]", "localhost", "127.0.0.1")):
            node.address = node.listen = f"{host}:{Cluster._free_port()}"
            if tls:
                secure(node, ours, name={"[::1]": "IP:::1", "localhost": "DNS:localhost"}.get(host, f"IP:{host}"))
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, model), model) and shares(cluster.nodes)
        assert cluster.upstream_bytes() <= 1.02 * size_of(model)


def test_who_is_called_otherwise_in_the_list_finds_out_and_is_heard(hub, tmp_path):
    """Others ask it by a name that it does not know for its own. Of many files each node owns some, whatever the addresses are."""
    directory = tmp_path / "many"
    directory.mkdir()
    publish(hub, make_model(directory, 32 * 128 * 1024, 32))
    with Cluster(tmp_path, hub, 3, start=False) as cluster:
        cluster.nodes[0].args = [f"--peer-address=me.invalid:{cluster.port}"]
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, directory), directory)
        assert all(node.metrics()["peer_sent_bytes_total"] for node in cluster.nodes)
        # It counts as two members until it has asked itself: what the one of them owns that is in no list two may bring.
        assert cluster.upstream_bytes() <= 1.25 * size_of(directory)


@contextlib.contextmanager
def leads_to(cluster, name, node):
    """The address leads to that node meanwhile."""
    relay = Relay(cluster.tmp / "relay-of-a-name.log")
    try:
        relay.pair("it", name, node.listen, 0, 0, 0)
        yield relay
        relay.close()
    finally:
        relay.kill()


@pytest.mark.parametrize("moves", [True, False])
def test_a_name_that_seemed_to_be_its_own_may_become_anothers(hub, tmp_path, moves):
    """Addresses are given out again. The twin: it stays this node's."""
    for seed, repo in enumerate(("org/one", "org/two", "org/three")):
        hub.repo(repo).commit({"w.safetensors": models.big_file(2 * MIB, seed=seed)})
    with Cluster(tmp_path, hub, 2, start=False) as cluster:
        (one, other), name = cluster.nodes, f"127.1.9.9:{cluster.port}"
        cluster.members = f"{one.address},{name}"
        other.args = [f"--peer-address={name}"]
        with leads_to(cluster, name, one):
            cluster.start(one)
            assert not one.load("org/one")["errors"] and one.peers()[name]["state"] == "self"
        with leads_to(cluster, name, other if moves else one) as relay:
            cluster.start(other)
            assert not other.load("org/three")["errors"]
            time.sleep(10)              # MEMBER_ALIAS_MS
            assert not one.load("org/two")["errors"]
            assert eventually(lambda: relay.counts()["it"][3] > 0, 10)      # one asks it again
            if moves:
                assert eventually(lambda: one.peers()[name]["state"] == "up", 10)
            else:
                assert one.peers()[name]["state"] == "self"
            assert not one.load("org/three")["errors"]


# ---- limits ----

BIG = models.big_file(32 * MIB, seed=5)
BLOB = hashlib.sha256(BIG).hexdigest()


def giver(tmp_path, hub, args=(), **kw):
    """One node that has all of a file, which the hub has too, and another one that is larger; it is asked by its own address."""
    hub.repo("org/large").commit({"w.safetensors": models.big_file(48 * MIB, seed=6)})
    commit = hub.repo("org/one").commit({"w.safetensors": BIG})
    cluster = Cluster(tmp_path, hub, 1, members="127.1.9.9:1", args=args, **kw)
    return cluster, f"/peer/v1/blobs/{BLOB}?size={len(BIG)}&repo=models/org/one&commit={commit}&path=w.safetensors&number=1"


def taken(cluster, target, seconds):
    """Bytes that somebody gets who asks for them all the time."""
    member = Caller(cluster.nodes[0].listen, "127.1.9.9:1")
    until, total = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        off = total % (16 * MIB)
        status, data = member.send(target, member.sign(target, f"bytes={off}-{16 * MIB - 1}"))
        assert status in (206, 202) and data == (BIG[off:off + len(data)] if status == 206 else b"")
        total += len(data)
        time.sleep(0 if data else 0.02)
    return total


@pytest.mark.parametrize("rate", [4_000_000, 0])
def test_no_more_goes_out_than_may(hub, tmp_path, rate):
    cluster, target = giver(tmp_path, hub, [f"--peer-rate={rate}"])
    with cluster:
        assert not cluster.nodes[0].load("org/one")["errors"]
        got = taken(cluster, target, 3)
        if rate:        # a second's at once, and by whole chunks
            assert 2 * rate <= got <= 4.3 * rate + MIB
        else:
            assert got > 40 * MIB


@pytest.mark.parametrize("waiting", [True, False])
def test_who_waits_at_a_node_comes_before_its_members(hub, tmp_path, waiting):
    cluster, target = giver(tmp_path, hub, ["--peer-rate-waiting=2000000"])
    with cluster:
        node = cluster.nodes[0]
        assert not node.load("org/one")["errors"]
        if waiting:
            cluster.relay.rate("hub", 0, 300_000)
            node.begin_load("org/large")
            time.sleep(0.5)
        got = taken(cluster, target, 3)
        if waiting:
            assert 0 < got <= 4.3 * 2_000_000 + MIB
            node.kill()
        else:
            assert got > 12 * MIB       # on a busy machine, too


def test_one_connection_more_displaces_an_idle_one_or_is_refused(hub, tmp_path):
    cluster, target = giver(tmp_path, hub, ["--peer-connections=4"])
    with cluster, contextlib.ExitStack() as stack:
        node = cluster.nodes[0]
        assert not node.load("org/one")["errors"]
        host, port = node.listen.rsplit(":", 1)
        idle = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(4)]
        time.sleep(0.2)
        member = Caller(node.listen, "127.1.9.9:1")
        assert member.get(target, 0, MIB - 1) == (206, BIG[:MIB])
        idle[0].settimeout(5)
        assert idle[0].recv(1) == b""   # it was silent for longest
        idle[3].sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        idle[3].settimeout(5)
        assert b" 401 " in idle[3].recv(100)


# ---- what was sent to another, or before ----

def replayed(cluster, to, at, ahead=0):
    """What the node `at` says to a request that node `to` was sent."""
    target = f"/peer/v1/blobs/{'0' * 64}?size=1&repo=models/org/one&commit={'0' * 40}&path=x&number=1"
    member = Caller(at.listen, cluster.nodes[-1].address)
    return member.send(target, member.sign(target, "bytes=0-0", ahead, to=to.address))[0]


def test_a_request_is_heard_by_whom_it_was_sent_to_alone(shared, model, tmp_path):
    with Cluster(tmp_path, shared, 4) as cluster:
        assert right(cluster.load(REPO, model), model)      # they know each other now
        one, two = cluster.nodes[:2]
        assert replayed(cluster, one, one) == 404 and replayed(cluster, one, two) == 401
        time.sleep(3)
        one.stop()                      # what it was sent before counts no more
        cluster.start(one)
        assert replayed(cluster, one, one, ahead=-3) == 401 and replayed(cluster, one, one) == 404
        assert replayed(cluster, two, two, ahead=-3) == 404
        assert right(cluster.load(REPO, model), model)      # nobody holds it against anybody


def test_a_zone_cannot_be_put_into_what_was_signed(shared, tmp_path):
    cluster, target = giver(tmp_path, shared)
    with cluster:
        member = Caller(cluster.nodes[0].listen, "127.1.9.9:1")
        fields = member.sign(target, "bytes=0-0", zone="rack-7")
        assert member.send(target, fields | {"Peer-Zone": "rack-8"})[0] == 401
        assert member.send(target, fields)[0] == 404
