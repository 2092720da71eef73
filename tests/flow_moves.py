"""A hosted repository's life as a whole: it gets another name, and back; the names it had lead to it, for those who may see it."""
import hashlib
import http.client
import json
import random
import threading
import urllib.parse

import pytest

from flow_hub_rights import People
from mountlib import eventually
from registry import Repo, lfs, put


@pytest.fixture
def ours(hub, hubd):
    h = hubd(hub)
    return Repo(h, "admin/one", h.admin_token)


def named(repo, name):
    """The same repository by that name."""
    return Repo(repo.hubd, name, repo.token, repo.type, make=False)


def move(repo, to, token=None, **body):
    body = {"fromRepo": repo.id, "toRepo": to, "type": repo.type, **body}
    return repo.hubd.ask("/api/repos/move", "POST", json.dumps(body), token or repo.token)


def moved(repo, to):
    got = move(repo, to)
    assert got.status == 200 and got.json["url"].endswith(f"/{to}"), got
    return named(repo, to)


def state(repo):
    return repo.head(), repo.tree(), [c["id"] for c in repo.log()], repo.ask(f"{repo.api}/refs").json


@pytest.mark.parametrize("type", ["model", "dataset"])
def test_a_moved_repository_is_what_it_was_and_its_old_name_leads_to_it(ours, type):
    h = ours.hubd
    old = Repo(h, "admin/Old", ours.token, type)
    data = random.Random(3).randbytes(5000)
    assert old.send(data)
    commit = old.done(put("a.txt", b"a"), lfs("w.bin", data))
    old.ask(f"{old.api}/tag/main", "POST", tag="v1")
    was = state(old)
    new = moved(old, "admin/new")
    assert state(new) == was and new.head("v1") == commit and new.read("w.bin") == data
    for path in (f"{old.api}", f"{old.api}/revision/main", f"{old.api}/tree/main?recursive=true", f"{old.prefix}/admin/Old/resolve/main/a.txt"):
        for spelt in path, path.replace("Old", "old"):
            got = h.ask(spelt, token=old.token)
            assert got.status == 307 and got.headers["location"] == path.replace("admin/Old", "admin/new"), got
    assert h.ask(f"{old.prefix}/admin/Old/resolve/main/w.bin", "HEAD").status == 307
    for got in old.commit(put("b", b"b")), old.ask(f"{old.api}/branch/dev", "POST"), old.ask(f"{old.api}/settings", "PUT", private=True), \
            old.ask(f"{old.prefix}/admin/Old.git/info/lfs/objects/batch", "POST", operation="upload", objects=[]):
        assert got.status == 307 and "admin/new" in got.headers["location"], got
    assert [r["id"] for r in h.ask(f"/api/{type}s").json if r["id"] != "admin/one"] == ["admin/new"]
    assert old.remove().headers["x-error-code"] == "RepoNotFound" and state(new) == was
    assert new.done(put("b", b"b")) == new.head()


def test_it_goes_on_and_comes_back(ours, hubd, hub):
    was = state(ours)
    last = moved(moved(moved(ours, "admin/two"), "admin/three"), "admin/TWO")
    assert state(last) == was and move(last, "admin/two").status == 200  # in other letters
    last = named(last, "admin/two")

    def check(h):
        leads = {n: h.ask(f"/api/models/admin/{n}").headers.get("location") for n in ("one", "two", "three")}
        assert leads == {"one": "/api/models/admin/two", "two": None, "three": "/api/models/admin/two"}
        assert h.ask("/api/models/admin/one/revision/main").status == 307
        assert [r["id"] for r in h.ask("/api/models").json] == ["admin/two"]
    check(ours.hubd)
    ours.hubd.stop()
    again = hubd(hub, data=ours.hubd.data)
    check(again)
    last.hubd = again
    back = moved(last, "admin/one")
    assert state(back) == was and again.ask("/api/models/admin/three").headers["location"] == "/api/models/admin/one"
    assert back.remove().status == 200
    for name in "one", "two", "three":  # whoever led there leads nowhere
        assert again.ask(f"/api/models/admin/{name}", token=back.token).headers["x-error-code"] == "RepoNotFound"


def test_names_that_are_taken_or_cannot_be_are_refused(ours, hub):
    hub.repo("org/theirs").commit({"a": b"a"})
    other = Repo(ours.hubd, "admin/other", ours.token)
    assert ours.hubd.ask("/api/models/org/theirs").status == 200
    was = state(ours)
    for to, status, words in (("admin/other", 409, "A model repository called admin/other already exists"),
                              ("admin/OTHER", 409, "already exists"), ("nobody/x", 403, "the namespace \"nobody\""),
                              ("admin/a--b", 400, "name"), ("x", 400, "name")):
        got = move(ours, to)
        assert got.status == status and words in got.json["error"], got
    assert move(ours, "admin/x", type="kernel").status == 400 and move(ours, "admin/x", fromRepo=None).status == 400
    assert move(ours, "admin/x", fromRepo="admin/none").headers["x-error-code"] == "RepoNotFound"
    assert move(ours, "admin/x", fromRepo="org/theirs").status == 403
    assert move(ours, "admin/x", token="hf_wrong").status == 401 and ours.hubd.ask("/api/repos/move", "POST", "{}").status == 401
    assert state(ours) == was and other.head() and ours.hubd.ask("/api/models/admin/x", token=ours.token).status == 404


def test_a_name_that_was_left_can_be_given_to_another_one(ours):
    h = ours.hubd
    ours.done(put("a.txt", b"old"))
    hidden = Repo(h, "admin/hidden", ours.token, private=True)
    new = moved(ours, "admin/two")
    assert h.ask("/api/models/admin/one").status == 307
    again = Repo(h, "admin/one", ours.token)  # made
    third = moved(hidden, "admin/third")
    kept = moved(new, "admin/hidden")  # and moved
    assert list(again.tree()) == [".gitattributes"] and kept.read("a.txt") == b"old"
    assert h.ask("/api/models/admin/one").json["id"] == "admin/one" and h.ask("/api/models/admin/hidden").json["id"] == "admin/hidden"
    assert h.ask("/api/models/admin/two").headers["location"] == "/api/models/admin/hidden"
    assert h.ask("/api/models/admin/ONE").json["sha"] == again.head()
    # What was private is so still, what was public, too.
    assert h.ask(third.api).status == 401 and third.ask(third.api).json["private"] is True
    assert h.ask(kept.api).json["private"] is False


def test_it_crosses_namespaces_by_a_right_in_both_and_strangers_are_told_of_neither_name(ours):
    h = ours.hubd
    p = People(h)
    p.do("org far", "user bob", f"token bob t admin {p.value('bob')}", "member org bob write", "member far bob read")
    secret = Repo(h, "org/secret", p.tokens["bob"], private=True)
    got = move(secret, "far/secret")
    assert got.status == 403 and 'the namespace "far"' in got.json["error"]
    p.do("member far bob write")
    assert move(secret, "far/secret", token=p.tokens["reader"]).status == 403
    assert move(secret, "FAR/secret2").json["name"] == "far/secret2"
    far = named(secret, "far/secret2")
    assert far.ask("/api/models/far/secret2").json["id"] == "far/secret2"  # as the account is written
    for who, status in ("anonymous", 401), ("stranger", 404), ("reader", 404):  # a reader of org is nobody in far
        told = [p.ask(who, f"/api/models/{n}") for n in ("org/secret", "far/secret2", "org/absent")]
        assert {t.status for t in told} == {status} and len({t.body for t in told}) == 1 and not any("location" in t.headers for t in told)
    assert p.ask("bob", "/api/models/org/secret").status == 307
    p.do("member far bob read")
    assert move(named(far, "far/secret2"), "org/secret", token=p.tokens["bob"]).status == 403


def test_what_is_on_its_way_arrives_over_a_move(ours):
    data, h = random.Random(4).randbytes(3000), ours.hubd
    oid = hashlib.sha256(data).hexdigest()
    got = ours.ask("/admin/one.git/info/lfs/objects/batch", "POST", operation="upload", transfers=["basic"],
                   objects=[{"oid": oid, "size": len(data)}], hash_algo="sha256").json
    href = urllib.parse.urlsplit(got["objects"][0]["actions"]["upload"]["href"])._replace(scheme="", netloc="").geturl()
    new = moved(ours, "admin/two")
    assert h.ask(href, "PUT", data).status == 200
    new.done(lfs("w.bin", data))
    assert new.read("w.bin") == data
    again = Repo(h, "admin/one", ours.token)  # what came is not this one's
    assert again.commit(lfs("w.bin", data)).status == 400


def test_a_kill_leaves_the_old_name_or_the_new_one(ours, hubd, hub):
    rng, names, data = random.Random(9), ["admin/one", "admin/two"], ours.hubd.data
    was = state(ours)
    for _ in range(3):
        h = ours.hubd
        stop = threading.Timer(rng.uniform(0.0, 0.03), h.process.kill)
        stop.start()
        try:
            for i in range(1000):
                got = move(named(ours, names[i % 2]), names[(i + 1) % 2])
                assert got.status in (200, 404), got
        except (OSError, http.client.HTTPException):
            pass
        stop.join()
        h.kill()
        ours.hubd = hubd(hub, data=data)
        found = [r["id"] for r in ours.hubd.ask("/api/models").json]
        assert len(found) == 1 and found[0] in names
        assert state(named(ours, found[0])) == was
        other = ours.hubd.ask(f"/api/models/{next(n for n in names if n != found[0])}", token=ours.token)
        assert other.status in (307, 404), other
        if found[0] != "admin/one":
            moved(named(ours, found[0]), "admin/one")


def test_the_mount_finds_it_by_both_names(ours, mount):
    one = ours.done(put("config.json", b"{}"), put("sub/x.txt", b"one"))
    m = mount(ours.hubd, args=["--ref-ttl=0"])
    assert (m.snapshot("admin/one", one) / "sub" / "x.txt").read_bytes() == b"one"
    new = moved(ours, "admin/two")
    assert (m.snapshot("admin/two", one) / "sub" / "x.txt").read_bytes() == b"one"
    two = new.done(put("sub/x.txt", b"two"))
    for name in "one", "two":
        assert (m.hub / f"models--admin--{name}" / "refs" / "main").read_text() == two
        assert (m.snapshot(f"admin/{name}", two) / "sub" / "x.txt").read_bytes() == b"two"


def test_moves_are_in_the_trail_and_so_are_those_refused(ours):
    moved(ours, "admin/two")
    move(ours, "admin/three")
    move(named(ours, "admin/two"), "nobody/two")

    def told():
        items = ours.hubd.ask("/api/admin/v1/audit?kind=change&limit=100", token=ours.token).json["items"]
        return [(r["act"], r["outcome"], r["repo"], r.get("note")) for r in items if r.get("act") == "repo.move"]
    assert eventually(lambda: told() == [("repo.move", "done", "models/admin/one", "to admin/two"),
                                         ("repo.move", "refused", "models/admin/two", None)], 10, 0.05), told()
