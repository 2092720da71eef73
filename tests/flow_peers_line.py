"""How members reach each other: by TLS, past proxies, by IPv6 and by name; and how much they give, to how many."""
import ssl
import subprocess

import pytest

from flow_peers import REPO, by_source, model, right, shared, size_of  # noqa: F401 (fixtures)
from mountlib import eventually
from peers import Caller, Cluster, why_not

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
