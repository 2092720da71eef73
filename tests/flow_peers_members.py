"""Nodes that check in at matrixhubd: what it tells them, whom it believes, what it shows of them; and mounts that find each other so."""
import hashlib
import hmac
import json
import pathlib
import secrets
import struct
import time

import pytest

from control import Control
from hubd import free_port
from mountlib import PROGRAM, eventually

BUILD = PROGRAM.parent / "release" if PROGRAM.parent.name == "build" else PROGRAM.parent
SHIM = BUILD / "tests" / "shim_clock.so"
PATH, ADMIN = "/api/matrixfs/members", "/api/admin/v1/members"
KEY = "first-key-of-the-cluster-0123456789"
GATHERS = 12                            # seconds that a hub waits for those who were there before it


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "cluster.key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def keyed(hubd, key):
    """A hub that takes check-ins."""
    return hubd(args=["--offline", f"--cluster-key-file={key}"])


def hmac_of(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


class Caller:
    """A node as a strict reader of the protocol sees it: what it signs, and what it believes."""

    def __init__(self, address, key=KEY):
        self.address = address
        self.secret = hmac_of(key.encode(), "matrixfs-cluster-key-1").digest()
        self.id = hmac_of(key.encode(), "matrixfs-key-id-1").hexdigest()[:8]

    def _mac(self, *words):
        return hmac_of(self.secret, "".join(f"{len(str(w))}:{w}\n" for w in words)).hexdigest()

    def sign(self, body, ahead=0, method="POST", target=PATH):
        self.nonce, now = secrets.token_hex(16), int((time.time() + ahead) * 1000)
        mac = self._mac("matrixfs-peer-request-2", method, target, hashlib.sha256(body).hexdigest(), "", self.address, "matrixhubd", now,
                        self.nonce)
        return f'MatrixFS key={self.id}, node="{self.address}", to="matrixhubd", time={now}, nonce={self.nonce}, mac={mac}'

    def believes(self, got):
        if "authentication-info" not in got.headers:
            return False
        said = dict(word.split("=", 1) for word in got.headers["authentication-info"].removeprefix("MatrixFS ").split(", "))
        node = said["node"].strip('"')
        return said["key"] == self.id and said["mac"] == self._mac(
            "matrixfs-peer-answer-3", self.nonce, got.status, "", hashlib.sha256(got.body).hexdigest(), "", "", "", node, said["time"])

    def check_in(self, h, ahead=0, through=None, **said):
        """`through`: where a proxy says that it comes from."""
        body = json.dumps({"address": self.address, **said}).encode()
        fields = {"X-Forwarded-For": through} if through else {}
        got = h.ask(PATH, "POST", body, Authorization=self.sign(body, ahead), **fields)
        assert got.status == 401 or self.believes(got), got
        return got


def members(h):
    return h.ask(ADMIN, token=h.admin_token).json["items"]


def refusals(h):
    text = h.ask("/metrics").body.decode()
    return sum(int(line.split()[-1]) for line in text.splitlines()
               if line.startswith("matrixfs_http_requests_total") and PATH in line and 'status="401"' in line)


# ---- whom it tells ----

def test_nodes_are_told_who_else_has_checked_in(keyed):
    a, b = Caller("10.0.0.1:9980"), Caller("[2001:DB8:0::2]:9980")
    assert a.check_in(keyed).body == b"10.0.0.1:9980 weight=1\n"
    assert b.check_in(keyed, zone="east", weight=7).body == b"10.0.0.1:9980 weight=1\n[2001:db8::2]:9980 weight=7 zone=east\n"
    a.check_in(keyed, zone="west")
    shown = members(keyed)
    assert [(m["address"], m["zone"], m["weight"]) for m in shown] == [("10.0.0.1:9980", "west", 1), ("[2001:db8::2]:9980", "east", 7)]
    assert all(0 <= m["age_seconds"] < 10 for m in shown)
    assert b"\nmatrixfs_members 2\n" in keyed.ask("/metrics").body


def test_a_hub_that_has_just_begun_says_so_and_who_has_the_list_is_not_sent_it_again(keyed):
    a, begun = Caller("a:1"), time.monotonic()
    first = a.check_in(keyed)
    assert first.status == 202
    time.sleep(GATHERS + 0.5 - (time.monotonic() - begun))
    got = a.check_in(keyed)
    assert (got.status, got.body) == (200, first.body)
    digest = hashlib.sha256(got.body).hexdigest()
    assert a.check_in(keyed, list=digest).status == 204
    Caller("b:1").check_in(keyed)
    assert a.check_in(keyed, list=digest).body == b"a:1 weight=1\nb:1 weight=1\n"


def test_administrators_see_them_page_by_page(keyed):
    for n in range(5):
        Caller(f"n{n}:1").check_in(keyed)
    seen, path = [], f"{ADMIN}?limit=2"
    while path:
        page = keyed.ask(path, token=keyed.admin_token).json
        seen += [m["address"] for m in page["items"]]
        path = page["next"] and f"{ADMIN}?limit=2&cursor={page['next']}"
    assert seen == [f"n{n}:1" for n in range(5)]
    assert keyed.ask(ADMIN).status == 401
    assert "/members" in keyed.ask("/api/admin/v1/openapi.json", token=keyed.admin_token).json["paths"]


# ---- whom it believes ----

def test_without_the_key_nobody_checks_in(keyed):
    body, a = b'{"address":"a:1"}', Caller("a:1")
    wrong = [None, f"Bearer {keyed.admin_token}", "MatrixFS x", a.sign(b"{}"), a.sign(body, method="GET"), a.sign(body, target="/"),
             Caller("a:1", "another-key-of-another-cluster").sign(body)]
    for field in wrong:
        got = keyed.ask(PATH, "POST", body, **({"Authorization": field} if field else {}))
        assert got.status == 401 and "authentication-info" not in got.headers
    assert not members(keyed) and refusals(keyed) == len(wrong)
    assert a.check_in(keyed).status == 202 and refusals(keyed) == len(wrong)


def test_what_was_sent_before_is_not_taken_again(keyed):
    body, a = b'{"address":"a:1","zone":"old"}', Caller("a:1")
    field = a.sign(body)
    assert keyed.ask(PATH, "POST", body, Authorization=field).status == 202
    a.check_in(keyed, zone="new")
    assert keyed.ask(PATH, "POST", body, Authorization=field).status == 401
    assert members(keyed)[0]["zone"] == "new"


def test_whose_clock_differs_is_told_the_time(keyed):
    a = Caller("a:1")
    for ahead in -3600, 3600:
        got = a.check_in(keyed, ahead)
        assert got.status == 401 and a.believes(got)
        said = int(got.headers["authentication-info"].partition("time=")[2].partition(",")[0])
        assert abs(said / 1000 - time.time()) < 5
    assert not members(keyed) and a.check_in(keyed, 5).status == 202


@pytest.mark.parametrize("said", [{"weight": 0}, {"weight": 101}, {"weight": "1"}, {"zone": "a b"}, {"zone": 3}, {"address": "b:1"}, {"address": "a"},
                                  {"address": 1}])
def test_what_makes_no_sense_is_refused(keyed, said):
    got = Caller("a:1").check_in(keyed, **said)
    assert got.status == 400 and got.body.count(b"\n") == 1 and not members(keyed)


@pytest.mark.parametrize("address, through, status", [
    ("10.0.0.1:9980", "10.0.0.1", 202), ("10.0.0.1:9980", "10.0.0.2", 400), ("10.0.0.1:9980", None, 202),
    ("[2001:db8::1]:9980", "2001:db8::1", 202), ("[2001:db8::1]:9980", "2001:db8::2", 400), ("a:9980", "10.0.0.2", 202)])
def test_a_node_is_where_it_says_as_far_as_that_is_known(keyed, address, through, status):
    """A hub that sees only a proxy, or a name, does not know."""
    assert Caller(address).check_in(keyed, through=through).status == status
    assert len(members(keyed)) == (status == 202)


@pytest.mark.parametrize("through, least", [("10.0.0.1", 64), (None, 70)])
def test_who_has_the_key_invents_few_nodes(keyed, through, least):
    """The twin: a proxy that says nothing of its clients is trusted."""
    statuses = [Caller(f"n{n}:1").check_in(keyed, through=through).status for n in range(70)]
    assert statuses == [202] * least + [507] * (70 - least) and members(keyed)


def test_a_long_body_is_not_even_read(keyed):
    assert keyed.ask(PATH, "POST", b" " * 2000).status == 413


def test_a_hub_without_a_key_takes_none(hubd):
    h = hubd(args=["--offline"])
    got = h.ask(PATH, "POST", b'{"address":"a:1"}', Authorization=Caller("a:1").sign(b'{"address":"a:1"}'))
    assert got.status == 404 and "--cluster-key-file" in got.json["error"]
    assert h.ask(ADMIN, token=h.admin_token).status == 404
    assert b"matrixfs_members " not in h.ask("/metrics").body


# ---- mounts ----

def peers_of(m):
    return sorted(p["address"] for p in Control(m).get("/v1/peers")["members"])


def join(mount, h, key, port, env=None, **more):
    args = [f"--peer-listen=127.0.0.1:{port}", "--peers=hub", f"--cluster-key-file={key}", *more.get("args", ())]
    return mount(h, args=args, env=env)


def test_mounts_find_each_other_at_their_hub(keyed, mount, key):
    ports = sorted(free_port() for _ in range(2))
    names = sorted(f"127.0.0.1:{p}" for p in ports)
    nodes = [join(mount, keyed, key, p, args=["--zone=east", "--peer-weight=3"]) for p in ports]
    assert eventually(lambda: all(peers_of(m) == names for m in nodes), 15)
    assert [(m["address"], m["zone"], m["weight"]) for m in members(keyed)] == [(n, "east", 3) for n in names]
    keyed.stop()                        # a hub that is down takes nobody's peers away
    assert eventually(lambda: all(m.logged("the list of members stays as it was: .* cannot be asked") for m in nodes), 15)
    assert all(peers_of(m) == names for m in nodes)


@pytest.mark.skipif(not SHIM.exists() or "san" in str(PROGRAM), reason="no shim for the clock")
def test_a_mount_whose_clock_is_wrong_checks_in_all_the_same(keyed, mount, key, tmp_path):
    clock = pathlib.Path(tmp_path / "clock")
    clock.write_bytes(struct.pack("q", 7200))
    port = free_port()
    m = join(mount, keyed, key, port, env={"LD_PRELOAD": SHIM, "CLOCK_SHIM": clock})
    assert [x["address"] for x in members(keyed)] == [f"127.0.0.1:{port}"]
    clock.write_bytes(struct.pack("q", -7200))      # and jumps
    assert eventually(lambda: members(keyed)[0]["age_seconds"] < 1, 15, 0.05)
    assert not m.logged("stays as it was")


def test_a_mount_with_another_key_finds_nobody(keyed, mount, tmp_path):
    other = tmp_path / "other.key"
    other.write_text("another-key-of-another-cluster\n")
    other.chmod(0o600)
    port = free_port()
    m = join(mount, keyed, other, port)
    assert m.logged("the list of members stays as it was: .* has another cluster key")
    assert peers_of(m) == [f"127.0.0.1:{port}"] and not members(keyed) and refusals(keyed) >= 1
