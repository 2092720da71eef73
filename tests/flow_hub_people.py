"""What people like, collect and want to be told of, and what is told of them: each for whom it is, and private repositories in none of it."""
import json

import pytest
from huggingface_hub import HfApi

from flow_hub_rights import people, told, upstream  # noqa: F401: a fixture
from registry import Repo, put

OPEN, SECRET = "org/open-here", "org/secret-here"


@pytest.fixture
def p(people, hub):  # noqa: F811
    """Everybody, and two repositories of an organization: one for all, one not."""
    p = people(upstream(hub))
    for name, visibility in (OPEN, "public"), (SECRET, "private"):
        Repo(p.h, name, p.tokens["writer"], visibility=visibility)
    return p


def ask(p, who, path, method="GET", **body):
    got = p.ask(who, path, method, json.dumps(body) if method != "GET" else None)
    return got.status, json.loads(got.body) if got.body else None


def test_likes_are_counted_once_and_told_of_what_one_sees(p):
    for who in ("reader", "stranger", "reader"):
        assert ask(p, who, f"/api/models/{OPEN}/like", "POST")[0] == 200
    assert ask(p, "reader", f"/api/models/{SECRET}/like", "POST")[0] == 200
    assert ask(p, "stranger", f"/api/models/{SECRET}/like", "POST")[0] == 404
    assert ask(p, "anonymous", f"/api/models/{OPEN}/like", "POST")[0] == 401
    assert [u["user"] for u in ask(p, "anonymous", f"/api/models/{OPEN}/likers")[1]] == ["reader", "stranger"]
    assert ask(p, "stranger", f"/api/models/{SECRET}/likers")[0] == 404 and len(ask(p, "writer", f"/api/models/{SECRET}/likers")[1]) == 1

    def likes(who, of="reader"):
        return [like["repo"] for like in ask(p, who, f"/api/users/{of}/likes")[1]]
    both = [{"name": OPEN, "type": "model"}, {"name": SECRET, "type": "model"}]
    for who, count in ("reader", 2), ("writer", 2), ("stranger", 1), ("anonymous", 1):
        assert ask(p, who, "/api/users/reader/overview")[1]["numLikes"] == count, who
    for who, of in ("reader", both), ("anonymous", both[:1]):  # pages are as full as what one sees is
        pages, count = p.h.pages("/api/users/reader/likes?limit=1", p.tokens.get(who))
        assert (sorted((like["repo"] for like in pages), key=str), count) == (of, len(of)), who
    pages, count = p.h.pages(f"/api/models/{OPEN}/likers?limit=1")
    assert ([u["user"] for u in pages], count) == (["reader", "stranger"], 2)
    assert sorted(likes("reader"), key=str) == both and likes("stranger") == likes("anonymous") == both[:1]
    assert ask(p, "reader", f"/api/models/{OPEN}/like", "DELETE")[0] == 200 and likes("stranger") == []
    assert ask(p, "reader", f"/api/models/{OPEN}/like", "DELETE")[0] == 200
    assert [u["user"] for u in ask(p, "anonymous", f"/api/models/{OPEN}/likers")[1]] == ["stranger"]
    assert ask(p, "reader", "/api/users/nobody/likes")[0] == 404
    assert ask(p, "reader", "/api/models/org/absent/like", "DELETE")[0] == 404


def test_a_repository_that_went_is_liked_by_nobody_and_its_name_neither(p):
    assert ask(p, "writer", f"/api/models/{SECRET}/like", "POST")[0] == 200
    assert ask(p, "writer", "/api/repos/delete", "DELETE", name="secret-here", organization="org")[0] == 200
    Repo(p.h, SECRET, p.tokens["writer"], visibility="public")
    assert ask(p, "writer", "/api/users/writer/likes")[1] == [] and ask(p, "writer", f"/api/models/{SECRET}/likers")[1] == []


def test_a_collection_is_made_found_by_all_its_slugs_and_goes(p):
    status, made = ask(p, "reader", "/api/collections", "POST", title="My Cool  stuff!", namespace="reader", description="d")
    assert status == 200 and made["slug"].startswith("reader/my-cool-stuff-") and made["items"] == [] and made["description"] == "d"
    old = made["slug"]
    status, told_ = ask(p, "reader", f"/api/collections/{old}", "PATCH", title="\u00dcber", theme="pink", private=True, position=3)
    new = told_["data"]
    assert status == 200 and new["slug"] != old and new["slug"][-24:] == old[-24:]
    assert (new["theme"], new["private"], new["position"], new["description"]) == ("pink", True, 3, "d")
    for slug in old, new["slug"], f"reader/{old[-24:]}":
        assert ask(p, "reader", f"/api/collections/{slug}")[1]["slug"] == new["slug"]
    for body in {"title": ""}, {"title": "x", "theme": "plaid"}, {"title": "x", "private": "no"}, {"title": "x" * 129}, {}:
        assert ask(p, "reader", "/api/collections", "POST", namespace="reader", **body)[0] == 400, body
    assert ask(p, "reader", f"/api/collections/{old}", "DELETE")[0] == 200 and ask(p, "reader", f"/api/collections/{old}", "DELETE")[0] == 404
    for slug in "x", "reader/x", f"reader/{'g' * 24}", f"nobody/x-{old[-24:]}":
        assert ask(p, "reader", f"/api/collections/{slug}")[0] == 404, slug


def test_items_come_move_and_go(p):
    slug = ask(p, "writer", "/api/collections", "POST", title="t", namespace="org")[1]["slug"]

    def add(name, who="writer", type="model", **body):
        return ask(p, who, f"/api/collections/{slug}/items", "POST", item={"id": name, "type": type}, **body)
    assert [i["id"] for i in add(OPEN, note="why")[1]["items"]] == [OPEN]
    assert add(SECRET)[0] == 200 and add("org/open")[0] == 200
    assert add(OPEN)[0] == 409 and add(OPEN, type="dataset")[0] == 404 and add(OPEN, type="paper")[0] == 400
    items = ask(p, "writer", f"/api/collections/{slug}")[1]["items"]
    assert [(i["id"], i["type"], i["position"], i.get("note")) for i in items] == [
        (OPEN, "model", 0, {"text": "why"}), (SECRET, "model", 1, None), ("org/open", "model", 2, None)]
    assert ask(p, "writer", f"/api/collections/{slug}/items/{items[0]['_id']}", "PATCH", position=9, note="better")[0] == 200
    now = ask(p, "writer", f"/api/collections/{slug}")[1]["items"]
    assert [i["id"] for i in now] == [SECRET, "org/open", OPEN] and now[2]["note"]["text"] == "better"
    for who, seen in ("stranger", ["org/open", OPEN]), ("anonymous", ["org/open", OPEN]), ("reader", [SECRET, "org/open", OPEN]):
        assert [i["id"] for i in ask(p, who, f"/api/collections/{slug}")[1]["items"]] == seen, who
    assert [c["slug"] for c in ask(p, "stranger", f"/api/collections?item=models/{OPEN}&owner=org")[1]] == [slug]
    assert ask(p, "stranger", "/api/collections?owner=reader")[1] == []
    for status in 200, 404:
        assert ask(p, "writer", f"/api/collections/{slug}/items/{items[0]['_id']}", "DELETE")[0] == status
    assert ask(p, "writer", "/api/repos/delete", "DELETE", name="secret-here", organization="org")[0] == 200
    assert [i["id"] for i in ask(p, "writer", f"/api/collections/{slug}")[1]["items"]] == ["org/open"]


def test_what_is_to_be_asked_for_upstream_is_collected_by_a_thread_that_may_wait(people, hub):  # noqa: F811
    """Who brings an upstream's answer would bring nobody's while it waits for a disk: the hub does not write there."""
    upstream(hub)
    hub.repo("org/far").commit({"config.json": b"{}"})
    p = people(hub)
    slug = ask(p, "reader", "/api/collections", "POST", title="t", namespace="reader")[1]["slug"]
    for name, status in ("org/far", 200), ("org/absent", 404), ("org/far", 409):
        assert ask(p, "reader", f"/api/collections/{slug}/items", "POST", item={"id": name, "type": "model"})[0] == status, name
    assert hub.requests(path_re="org/far") and p.h.ask("/healthz").status == 200
    assert [i["id"] for i in ask(p, "anonymous", f"/api/collections/{slug}")[1]["items"]] == ["org/far"]


def test_a_collection_holds_another_for_those_who_see_it(p):
    outer, inner = (ask(p, "reader", "/api/collections", "POST", title=t, namespace="reader")[1]["slug"] for t in ("outer", "inner"))

    def add(slug):
        return ask(p, "reader", f"/api/collections/{outer}/items", "POST", item={"id": slug, "type": "collection"})
    assert add(inner)[0] == 200 and add(inner)[0] == 409 and add(outer)[0] == 404 and add(f"reader/x-{'0' * 24}")[0] == 404
    now = ask(p, "reader", f"/api/collections/{inner}", "PATCH", title="renamed")[1]["data"]["slug"]
    assert [(i["id"], i["type"]) for i in ask(p, "anonymous", f"/api/collections/{outer}")[1]["items"]] == [(now, "collection")]
    ask(p, "reader", f"/api/collections/{inner}", "PATCH", private=True)
    assert ask(p, "anonymous", f"/api/collections/{outer}")[1]["items"] == [] and len(ask(p, "reader", f"/api/collections/{outer}")[1]["items"]) == 1


def test_collections_are_for_whom_their_namespace_is(p):
    slug = ask(p, "writer", "/api/collections", "POST", title="t", namespace="org", private=True)[1]["slug"]
    absent = f"org/t-{'0' * 24}"
    for who in ("anonymous", "stranger"):
        assert told(p.ask(who, f"/api/collections/{slug}")) == told(p.ask(who, f"/api/collections/{absent}")), who
        assert ask(p, who, "/api/collections")[1] == [] and ask(p, who, f"/api/collections?item=models/{SECRET}")[1] == []
    assert ask(p, "reader", f"/api/collections/{slug}")[0] == 200
    changes = [("PATCH", "", {"title": "x"}), ("POST", "/items", {"item": {"id": OPEN, "type": "model"}}), ("DELETE", "", {})]
    for who, status in ("anonymous", 401), ("stranger", 404), ("reader", 403), ("writer", 200):
        for method, tail, body in changes:
            assert ask(p, who, f"/api/collections/{slug}{tail}", method, **body)[0] == status, (who, method)
        assert ask(p, who, "/api/collections", "POST", title="x", namespace="org")[0] == (403 if status == 404 else status), who


def test_lists_of_collections_come_in_pages(p):
    for n in range(5):
        ask(p, "reader", "/api/collections", "POST", title=f"t{n}", namespace="reader")
    items, pages = p.h.pages("/api/collections?owner=reader&limit=2")
    assert sorted(c["title"] for c in items) == [f"t{n}" for n in range(5)]
    assert "position" not in items[0]


def test_webhooks_are_ones_own_and_their_secrets_nobodys(p):
    watched = [{"type": "user", "name": "someone"}, {"type": "model", "name": OPEN}]
    status, made = ask(p, "reader", "/api/settings/webhooks", "POST", url="https://there.example/x", watched=watched, domains=["repo"],
                       secret="quite-a-secret")
    hook = made["webhook"]
    assert status == 200 and hook == {"id": hook["id"], "url": "https://there.example/x", "watched": watched, "domains": ["repo"], "disabled": False}
    path = f"/api/settings/webhooks/{hook['id']}"
    assert ask(p, "reader", "/api/settings/webhooks")[1] == [hook] and ask(p, "reader", path)[1] == {"webhook": hook}
    assert ask(p, "stranger", "/api/settings/webhooks")[1] == [] and ask(p, "anonymous", "/api/settings/webhooks")[0] == 401
    for who, status in ("stranger", 404), ("anonymous", 401):
        for method, tail in ("GET", ""), ("POST", ""), ("POST", "/disable"), ("DELETE", ""):
            assert ask(p, who, path + tail, method)[0] == status, (who, method, tail)
    assert ask(p, "reader", path + "/disable", "POST")[1]["webhook"]["disabled"] is True
    changed = ask(p, "reader", path, "POST", watched=[], url="http://other.example", secret="another-secret")[1]["webhook"]
    assert (changed["url"], changed["watched"], changed["disabled"]) == ("http://other.example", watched, True)
    assert ask(p, "reader", path + "/enable", "POST")[1]["webhook"]["disabled"] is False and ask(p, "reader", path + "/burn", "POST")[0] == 404
    for body in {"url": "ftp://x"}, {"url": "https://x", "watched": [{"type": "moon", "name": "x"}]}, {"url": "https://x", "domains": ["moon"]}, \
            {"watched": watched}, {"url": "https://x", "jobSourceId": "1"}:
        assert ask(p, "reader", "/api/settings/webhooks", "POST", **{"watched": [], **body})[0] == 400, body
    trail = b"".join(f.read_bytes() for f in (p.h.data / "audit").rglob("*") if f.is_file())
    assert b"webhook.create" in trail and b"a-secret" not in trail and b"another-secret" not in trail and "secret" not in p.h.log_text()
    assert [ask(p, "reader", path, "DELETE")[0] for _ in range(2)] == [200, 404] and ask(p, "reader", path)[0] == 404


def test_ones_own_repositories_are_listed_with_their_sizes(p):
    model = Repo(p.h, "writer/b", p.tokens["writer"], visibility="private")
    model.done(put("x.txt", b"x" * 3000), put("y.txt", b"y" * 1000))
    Repo(p.h, "writer/a", p.tokens["writer"], type="dataset")
    own, empty = HfApi(p.h.url, p.tokens["writer"]).list_user_repos()  # by kind, then by name
    size = sum(i["size"] for i in p.h.ask(f"{model.api}/tree/main", token=model.token).json)
    assert (own.id, own.type, own.visibility, own.storage) == ("writer/b", "model", "private", size) and size > 4000
    assert (empty.id, empty.type, empty.visibility) == ("writer/a", "dataset", "public") and 0 < empty.storage < 3000
    assert 50 < own.storage_percent < 100 and own.updated_at.isoformat()[:19] + "Z" == model.log()[0]["date"][:19] + "Z"
    whole, pages = p.h.pages("/api/settings/repositories?limit=1", p.tokens["writer"])
    assert [(r["type"], r["id"]) for r in whole] == [("model", "writer/b"), ("dataset", "writer/a")] and pages == 2
    # A token tells of what it may see, whosever it is. Twin: another one's, and nobody's.
    p.do(f"fine writer some {p.value('some')} datasets/writer/a=read")
    for query in "", "?limit=1":
        got = p.ask("some", "/api/settings/repositories" + query)
        assert [r["id"] for r in got.json] == ["writer/a"] and "storagePercent" not in got.json[0] and "link" not in got.headers
    Repo(p.h, "writer/c", p.tokens["writer"], type="dataset", visibility="private")
    Repo(p.h, "writer/d", p.tokens["writer"], type="dataset")
    p.do(f"fine writer more {p.value('more')} datasets/writer/a=read datasets/writer/d=read")
    found, pages = p.h.pages("/api/settings/repositories?limit=1", p.tokens["more"])
    assert [r["id"] for r in found] == ["writer/a", "writer/d"] and pages == 2
    assert "writer/a" in p.ask("more", "/api/settings/repositories?limit=1").headers["link"]
    assert ask(p, "stranger", "/api/settings/repositories") == (200, []) and ask(p, "anonymous", "/api/settings/repositories")[0] == 401


def test_an_organization_s_repositories_are_listed_for_its_members(p):
    path = "/api/organizations/org/settings/repositories"
    p.do("token reader look read " + p.value("looker"))
    for who in "reader", "looker", "admin":
        assert [(r["id"], r["visibility"]) for r in ask(p, who, path)[1]] == [(OPEN, "public"), (SECRET, "private")], who
    assert [r.id for r in HfApi(p.h.url, p.tokens["chief"]).list_user_repos("ORG")] == [OPEN, SECRET]
    assert [ask(p, who, path)[0] for who in ("stranger", "anonymous")] == [403, 401]
    assert [ask(p, "reader", path.replace("org/", f"{name}/", 1))[0] for name in ("reader", "nobody")] == [404, 404]


def test_of_people_is_told_what_one_sees(p):
    p.do("member org stranger none", "token reader look read " + p.value("looker"))
    ask(p, "reader", f"/api/models/{OPEN}/like", "POST")
    status, told_ = ask(p, "anonymous", "/api/users/Reader/overview")
    assert status == 200 and (told_["user"], told_["type"], told_["numLikes"]) == ("reader", "user", 1)
    assert [o["name"] for o in told_["orgs"]] == ["org"] and "email" not in told_
    for who, models in ("anonymous", 1), ("stranger", 1), ("reader", 2):
        org = ask(p, who, "/api/organizations/org/overview")[1]
        assert (org["name"], org["numModels"], org["numUsers"]) == ("org", models, 3), who
    members = ask(p, "anonymous", "/api/organizations/org/members")[1]
    assert sorted(m["user"] for m in members) == ["chief", "reader", "writer"] and all("avatarUrl" in m and "fullname" in m for m in members)
    for path in "users/reader/followers", "users/reader/following", "organizations/org/followers":
        assert ask(p, "anonymous", f"/api/{path}") == (200, [])
    for path in "users/org/overview", "users/nobody/overview", "organizations/reader/overview", "users/reader/moon", "users/reader":
        assert ask(p, "anonymous", f"/api/{path}")[0] == 404, path
    assert ask(p, "looker", f"/api/models/{OPEN}/like", "POST")[0] == ask(p, "looker", "/api/collections", "POST", title="x")[0] == 403
    assert ask(p, "looker", "/api/settings/webhooks")[0] == 403


def test_who_goes_takes_along_what_was_theirs(p):
    """Twin: nobody else gets the name; who has it again has nothing of what went."""
    slug = ask(p, "stranger", "/api/collections", "POST", title="mine", namespace="stranger", private=True)[1]["slug"]
    ask(p, "stranger", "/api/settings/webhooks", "POST", url="https://x.example", watched=[], secret="s")
    ask(p, "stranger", f"/api/models/{OPEN}/like", "POST")
    p.do("retire stranger")
    p.do("user stranger", fails=True)
    p.do("again stranger", f"token stranger laptop admin {p.value('stranger')}")
    assert ask(p, "stranger", f"/api/collections/{slug}")[0] == 404 and ask(p, "stranger", "/api/settings/webhooks")[1] == []
    assert ask(p, "stranger", f"/api/models/{OPEN}/likers")[1] == [] and ask(p, "stranger", "/api/users/stranger/likes")[1] == []
