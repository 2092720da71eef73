"""matrixhubd as a member: what is hosted there leaves it about once, who has the key gets it by its digest, and that is on record."""
import contextlib
import hashlib
import types

import pytest

import models
from flow_hub_audit import trail
from hubd import free_port
from peers import HUB, Caller, Cluster, why_not
from registry import Repo, lfs

MIB = 1 << 20
REPO, NAME = "admin/secret", "w.safetensors"
DATA = models.big_file(48 * MIB + 77, seed=77)      # four segments
OID = hashlib.sha256(DATA).hexdigest()
UPLINK = "uplink"                                   # the pair before the hub's door for members
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


class Hosting:
    """A hub with a private model, and nodes that load it; member: the hub is one of them."""

    def __init__(self, tmp_path, hubd, n=3, member=True, args=(), **kw):
        port = free_port()
        self.cluster = c = Cluster(tmp_path, types.SimpleNamespace(port=port), n, start=False, **kw)
        self.address, listen = f"127.1.99.1:{c.port}", f"127.2.99.1:{c.port}"
        c.relay.pair(UPLINK, self.address, listen, 0, 0, 0)
        if member:
            c.members = ",".join([*(node.address for node in c.nodes), self.address])
            args = [*args, f"--peer-listen={listen}", f"--peer-address={self.address}", f"--peers={c.members}",
                    f"--cluster-key-file={c.key_file}"]
        self.hub = hubd(port=port, args=["--offline", *args])
        self.repo = Repo(self.hub, REPO, self.hub.admin_token, visibility="private")
        assert self.repo.send(DATA)
        self.commit = self.repo.done(lfs(NAME, DATA))
        c.args.append(f"--token={self.hub.admin_token}")

    def load(self):
        """All nodes at once; how often the model left the hub."""
        before, size = self.sent(), len(DATA) + len(self.repo.read(".gitattributes"))
        loads = self.cluster.load(REPO)
        assert not [load["errors"] for load in loads if load["errors"]] and {load["bytes"] for load in loads} == {size}
        return (self.sent() - before) / len(DATA)

    def sent(self):
        counts = self.cluster.relay.counts()
        return counts[HUB][1] + counts[UPLINK][1]

    def given(self):
        """Stops the hub; what is on record of the model that members got."""
        self.hub.stop()
        return [r for r in trail(self.hub, "download") if r["file"] == NAME and r["agent"].startswith("matrixfs-peer ")]


@pytest.fixture
def hosting(tmp_path, hubd):
    with contextlib.ExitStack() as stack:
        def make(**kw):
            h = Hosting(tmp_path, hubd, **kw)
            stack.enter_context(h.cluster)
            h.cluster.start(*h.cluster.nodes)
            return h
        yield make


@pytest.mark.parametrize("args, least, most", [({}, 1, 1.7), ({"member": False}, 1, 1.1), ({"member": False, "peers": False}, 2.9, 3.1)],
                         ids=["member", "not", "alone"])
def test_what_is_hosted_leaves_the_hub_about_once(hosting, args, least, most):
    """A member gives what it owns to two at most, and of these four segments the hub may own two. The last one is the twin: nodes
    that know of nobody."""
    h = hosting(**args)
    assert least <= h.load() <= most


def test_what_members_get_is_on_record_once_for_each_and_file(hosting):
    h = hosting()
    h.load()
    given = h.given()
    assert given and len({r["agent"] for r in given}) == len(given)
    for r in given:
        assert r["repo"] == f"models/{REPO}" and r["commit"] == h.commit and "user" not in r and OID in r["note"]
        assert r["size"] == len(DATA) and 0 < r["bytes"] <= len(DATA) and r["outcome"] in ("part", "done", "cut")  # who was outrun


def test_who_has_the_key_names_a_blob_by_its_digest_and_nobody_else_gets_it(hosting):
    h = hosting(n=1)
    member = Caller(h.address, node=h.cluster.nodes[0].address)
    target = f"/peer/v1/blobs/{OID}?size={len(DATA)}&repo=models/{REPO}&commit={h.commit}&path={NAME}&number=1"
    assert member.get(target, 0, MIB - 1) == (206, DATA[:MIB])
    other = hashlib.sha256(b"another").hexdigest()
    assert member.get(target.replace(OID, other), 0, MIB - 1)[0] == 404
    assert member.get(target.replace(f"size={len(DATA)}", f"size={len(DATA) + 1}"), 0, MIB - 1)[0] in (404, 409)
    stranger = Caller(h.address, node=h.cluster.nodes[0].address, key="another-key-of-the-cluster-01234567")
    assert stranger.get(target, 0, MIB - 1)[0] == 401
    (record,) = h.given()
    assert (record["bytes"], record["outcome"], record["address"]) == (MIB, "part", "127.0.0.1")


@pytest.mark.parametrize("denied", [False, True])
def test_rules_about_upstreams_hold_for_members(hub, hubd, tmp_path, denied):
    small = DATA[:MIB]
    commit = hub.repo("org/tiny").commit({NAME: small})
    port, key = free_port(), tmp_path / "cluster.key"
    key.write_text("first-key-of-the-cluster-0123456789\n")
    key.chmod(0o600)
    h = hubd(hub, args=[f"--peer-listen=127.0.0.1:{port}", "--peers=127.0.0.1:1", f"--cluster-key-file={key}",
                        *(["--deny=org/tiny"] if denied else [])])
    target = (f"/peer/v1/blobs/{hashlib.sha256(small).hexdigest()}?size={MIB}&repo=models/org/tiny&commit={commit}&path={NAME}"
              "&bring=1&number=1")
    got = Caller(f"127.0.0.1:{port}", node="127.0.0.1:1").get(target, 0, MIB - 1)
    assert got == (206, small) if not denied else got[0] == 404
    assert bool(hub.bytes_sent(path_re="/resolve/")) != denied
    h.stop()
