"""Who may see what of matrixhubd: every route of its table for everybody there is, and what whoever may not is told."""
import base64
import concurrent.futures
import json
import os
import pathlib
import re
import secrets
import socket
import subprocess
import time

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from hub import Hub, later
from hubd import HUBD, Hubd
from mountlib import eventually
from registry import Repo, line, put

HERE = pathlib.Path(__file__).resolve().parent
ACCOUNTS = next(p for p in (HUBD.parent / "tests", HUBD.parent / "release" / "tests") if (p / "check_accounts").exists()) / "check_accounts"
FILES = {"config.json": b'{"model_type": "bert"}', "sub/x.bin": b"x" * 70000}
ROLES = {"anonymous": None, "stranger": None, "reader": "read", "writer": "write", "chief": "admin"}


class People:
    """A hub's accounts, changed by a process of its own while the hub runs; values of tokens by who has them."""

    def __init__(self, h):
        self.h, self.tokens = h, {"anonymous": None, "admin": h.admin_token}
        self.do("org org")
        for name in ("stranger", "reader", "writer", "chief"):
            self.user(name)
            if role := ROLES[name]:
                self.do(f"member org {name} {role}")

    def do(self, *lines, fails=False):
        got = subprocess.run([ACCOUNTS, self.h.data / "hub"], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=20)
        assert (got.returncode != 0) == fails, got

    def value(self, who):
        self.tokens[who] = "hf_" + secrets.token_hex(16)
        return self.tokens[who]

    def user(self, name):
        self.do(f"user {name}", f"token {name} laptop admin {self.value(name)}")

    def ask(self, who, path, method="GET", body=None, **fields):
        return self.h.ask(path, method, body, self.tokens[who], **fields)


@pytest.fixture
def people(tmp_path):
    """people(upstream, …): a Hubd and who is there. Whatever a test did, no token it used is in any log or file."""
    made = []

    def factory(*args, **kw):
        made.append(People(Hubd(tmp_path, *args, **kw)))
        return made[-1]
    yield factory
    for p in reversed(made):
        p.h.stop()
        used = [t.encode() for t in p.tokens.values() if t]
        for path in (f for f in p.h.data.rglob("*") if f.is_file() and f.name != "admin.token"):
            assert not [t for t in used if t in path.read_bytes()], path
        assert not [t for t in used if t.decode() in p.h.log_text()]


def routes():
    """(method, pattern, role) of the table the hub is built with: a row that is not understood fails here."""
    table = re.search(r"struct route routes\[\] = \{\n(.*?)\n\};", (HERE.parent / "admin" / "hub" / "routes.c").read_text(), re.S)[1]
    rows = re.findall(r'\{\s*(NULL|"\w+"),\s*"([^"]+)",\s*\w+,\s*ROLE_(\w+)', table)
    assert len(rows) == len(re.findall(r"^\t\{", table, re.M)) > 10
    return [(method.strip('"'), pattern, role) for method, pattern, role in rows]


def example(pattern, repo):
    """A path of that pattern about a repository of FILES."""
    path = pattern.replace("request/:path", "request/pending").replace(":type", "models").replace("/:prefix", "")
    path = path.replace(":repo", repo).replace(":rev", "main").replace(":num", "1")
    return path.replace("/:path?", "").replace(":path", "config.json")


REPO_ROUTES = [r for r in routes() if ":repo" in r[1]]
WRITING = [r for r in REPO_ROUTES if r[2] in ("SPEAK", "WRITE") and r[0] != "GET"]
READING = [r for r in REPO_ROUTES if r not in WRITING or "/lfs/" in r[1]]
OURS = re.compile("xet-write-token|user-access-request|ask-access|duplicate|lfs-files|compare")  # what can be asked of those alone that are hosted here


def body_of(method, pattern):
    if "/lfs/" in pattern:
        return json.dumps({"operation": "download", "objects": [], "oid": "0" * 64, "size": 1})
    return "paths=config.json" if method == "POST" else None


def told(answer):
    """An answer but for what is of each request alone."""
    return answer.status, {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "date")}, answer.body


def upstream(hub, private=False, gated=False):
    """A hub with two repositories, and a file with a token for all of it."""
    hub.repo("org/open").commit(FILES)
    hub.repo("org/secret", private=private, gated=gated).commit(FILES)
    hub.token("hf_upstream")
    return hub


def hidden(people, hub, tmp_path, how):
    """A hub where org/secret is hidden in that way and org/open is not; the upstream's token is the fixture's to look for."""
    if how in ("private", "gated"):
        token = tmp_path / "token"
        token.write_text("hf_upstream\n")
        p = people(upstream(hub, **{how: True}), args=[f"--upstream-token-file={token}"])
    else:
        p = people(upstream(hub))
        p.do(*(["private org/secret"] if how == "here" else ["default-private org", "public org/open"]))
    p.tokens["upstream"] = "hf_upstream"
    return p


def test_every_route_that_names_a_repository_needs_a_right():
    assert [pattern for _, pattern, role in routes() if (":repo" in pattern) and role == "NONE"] == []
    assert len(READING) >= 9 and len(WRITING) >= 7


@pytest.mark.parametrize("how", ["here", "namespace", "private", "gated"])
def test_each_route_is_there_for_whom_it_should(people, hub, tmp_path, how):
    p = hidden(people, hub, tmp_path, how)
    rank = ["NONE", "READ", "SPEAK", "WRITE", "ADMIN", "HUB"]
    has = {"anonymous": "NONE", "stranger": "NONE", "reader": "SPEAK", "writer": "WRITE", "chief": "ADMIN", "admin": "ADMIN"}

    def check(who, method, pattern, role):
        for name, least in ("org/secret", "NONE"), ("org/open", "READ" if who == "anonymous" else "SPEAK"):
            most = max(has[who], least, key=rank.index)
            got = p.ask(who, example(pattern, name), method, body_of(method, pattern))
            case = who, method, pattern, name, got
            if most == "NONE":
                none = p.ask(who, example(pattern, "org/absent"), method, body_of(method, pattern))
                assert told(got) == told(none), case
                assert got.status == (401 if who == "anonymous" else 404) and got.headers["x-error-code"] == "RepoNotFound", case
            elif rank.index(most) < rank.index(role):
                assert got.status == (401 if who == "anonymous" else 403) and "x-error-code" not in got.headers, case
            elif OURS.search(pattern):
                assert got.status == (401 if who == "anonymous" and method == "POST" else 403) and "x-error-code" not in got.headers, case
            elif "/chunks/" in pattern:
                assert got.status in (200, 202, 409), case  # as far as its bytes are here
            else:
                assert got.status == (404 if pattern.endswith(("/verify", ":num", "xet-read-token/:rev")) else 200), case
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda c: check(c[0], *c[1]), [(who, route) for who in has for route in READING]))
        heads = [(who, r) for who in ("anonymous", "stranger") for r in READING if r[0] == "GET"]
        assert all(got.status in (401, 404) and got.headers["x-error-code"] == "RepoNotFound" for got in
                   pool.map(lambda c: p.ask(c[0], example(c[1][1], "org/secret"), "HEAD"), heads))


@pytest.mark.parametrize("how", ["private", "public"])
def test_each_route_that_writes_is_there_for_whom_it_should(people, hub, how):
    """What is hosted here is written by who may write it, and changed as a whole by who may make such; whoever may read it and
    has a token that writes may say something; what is an upstream's is changed by nobody."""
    p = people(upstream(hub))
    p.do("user guest", f"token guest all admin {p.value('guest')}", f"token writer look read {p.value('looker')}")
    made = Repo(p.h, "org/ours", p.tokens["writer"], visibility=how)
    p.do("rule models/org/ours guest write")
    assert made.ask(f"{made.api}/discussions", "POST", title="a word").status == 200
    may = {"writer", "chief", "admin"}
    sees = {*may, "reader", "guest", "looker"} | ({"anonymous", "stranger"} if how == "public" else set())
    speaks = sees - {"anonymous", "looker"}
    bodies = {"/lfs/": body_of("POST", "/lfs/"), "commit/": "\n".join([line("header", summary="x"), put("x", b"x")]), "preupload/": '{"files": []}'}
    bodies |= {":num/title": '{"title": "x"}', ":num/status": '{"status": "closed"}'}

    def allows(who, pattern, role):
        if who in may or (who == "guest" and not re.search("settings|squash|lfs-files", pattern)):
            return True
        return role == "SPEAK" and who in speaks and not pattern.endswith(("commit/:rev", "title", "status"))

    def check(who, method, pattern, role):
        body = next((b for part, b in bodies.items() if part in pattern), "{}")
        got = p.ask(who, example(pattern, "org/ours"), method, body)
        case = who, method, pattern, got
        if allows(who, pattern, role):
            assert got.status in (200, 400, 404) and got.headers.get("x-error-code") != "RepoNotFound", case
            there = p.ask(who, example(pattern, "org/open"), method, body)
            assert "/lfs/" in pattern or there.status == 403 and "x-error-code" not in there.headers, (case, there)
        elif who in sees:
            assert got.status == (401 if who == "anonymous" else 403) and "x-error-code" not in got.headers, case
        else:
            assert told(got) == told(p.ask(who, example(pattern, "org/absent"), method, body)), case
            assert got.status == (401 if who == "anonymous" else 404) and got.headers["x-error-code"] == "RepoNotFound", case
    for who in ("anonymous", "stranger", "reader", "looker", "guest", "writer", "chief", "admin"):
        for method, pattern, role in WRITING:
            check(who, method, pattern, role)
    assert made.tree()["x"]
    for who in ("anonymous", "stranger", "reader", "looker", "guest", *may):
        got = p.ask(who, f"{made.api}/commit/main?create_pr=1", "POST", bodies["commit/"])
        assert got.status == (200 if who in speaks else 401 if who == "anonymous" else 403 if who in sees else 404), (who, got)
    for who in ("anonymous", "stranger", "reader", "looker", "guest"):
        gone = p.ask(who, "/api/repos/delete", "DELETE", json.dumps({"name": "ours", "organization": "org"}))
        assert gone.status == (401 if who == "anonymous" else 403 if who in sees else 404), (who, gone)
        new = p.ask(who, "/api/repos/create", "POST", json.dumps({"name": f"by-{who}", "organization": "org"}))
        assert new.status == (401 if who == "anonymous" else 403), (who, new)
    for who in may:
        assert p.ask(who, "/api/repos/create", "POST", json.dumps({"name": f"by-{who}", "organization": "org"})).status == 200
        assert p.ask(who, "/api/repos/delete", "DELETE", json.dumps({"name": f"by-{who}", "organization": "org"})).status == 200


def test_who_may_do_what_in_a_discussion(people, hub):
    """Who opened it, and who may write, say what becomes of it; a comment is its author's; a pull request is merged by who may
    write, and goes on by who opened it."""
    p = people(upstream(hub))
    repo = Repo(p.h, "org/ours", p.tokens["writer"], visibility="public")

    def say(who, path, **body):
        return p.ask(who, f"{repo.api}/discussions{path}", "POST", json.dumps(body))

    def commit(who, to, name):
        return p.ask(who, f"{repo.api}/commit/{to}", "POST", "\n".join([line("header", summary="x"), put(name, b"x")]))
    assert say("stranger", "", title="mine").json["num"] == 1
    first = p.ask("reader", f"{repo.api}/discussions/1").json["events"][0]["id"]
    for who, status in ("reader", 403), ("stranger", 200), ("writer", 200):
        assert say(who, "/1/title", title="x").status == say(who, "/1/status", status="closed").status == status, who
        assert status == 403 or say(who, "/1/status", status="open").status == 200, who
    for who, status in ("reader", 403), ("writer", 403), ("stranger", 200):
        assert say(who, f"/1/comment/{first}/edit", content="x").status == status, who
    for who, status in ("reader", 403), ("writer", 200):
        assert say(who, f"/1/comment/{first}/hide").status == status, who
    assert commit("reader", "main?create_pr=1", "a").json["pullRequestUrl"].endswith("/discussions/2")
    for who, status in ("stranger", 403), ("reader", 200), ("writer", 200):
        assert commit(who, "refs%2Fpr%2F2", f"by-{who}").status == status, who
    for who, status in ("stranger", 403), ("reader", 403), ("writer", 200):
        assert say(who, "/2/merge").status == status, who
    assert {"a", "by-reader", "by-writer"} <= set(repo.tree()) and "by-stranger" not in repo.tree()
    authors = p.ask("reader", f"{repo.api}/commits/main").json[0]
    assert authors["authors"][0]["user"] == "writer" and "Co-authored-by: reader <reader@users.noreply>" in authors["message"]


def test_what_is_said_of_a_private_repository_is_for_those_who_see_it(people, hub):
    p = people(upstream(hub))
    repo = Repo(p.h, "org/ours", p.tokens["writer"], visibility="private")
    p.ask("reader", f"{repo.api}/discussions", "POST", json.dumps({"title": "a secret word"}))
    p.ask("reader", f"{repo.api}/commit/main?create_pr=1", "POST", "\n".join([line("header", summary="x"), put("x", b"x")]))
    paths = [("GET", path) for path in ("", "/1", "/2?diff=1", "/9")] + [("POST", path) for path in ("/1/comment", "/9/comment", "/2/merge")]
    for who in ("anonymous", "stranger"):
        for method, path in paths:
            got, none = (p.ask(who, f"/api/models/org/{name}/discussions{path}", method, "{}" if method == "POST" else None)
                         for name in ("ours", "absent"))
            assert told(got) == told(none) and b"secret" not in got.body, (who, path, got)
        assert p.ask(who, "/org/ours/resolve/refs%2Fpr%2F2/x").headers["x-error-code"] == "RepoNotFound"
    assert p.ask("reader", f"{repo.api}/discussions").json["count"] == 2


def test_only_administrators_run_the_hub(people, hub):
    p = people(upstream(hub))
    p.do("admin root", f"token root all admin {p.value('root')}", f"token root some write {p.value('some')}")
    for pattern in (r[1] for r in routes() if r[2] == "HUB"):
        for path in ("users", "status", "tokens?user=admin", "no-such-thing"):
            path = pattern.replace(":path?", path)
            statuses = {who: p.ask(who, path).status for who in (*ROLES, "some", "root", "admin")}
            assert statuses.pop("anonymous") == 401 and statuses.pop("root") == statuses.pop("admin") not in (401, 403), path
            assert set(statuses.values()) == {403}, (path, statuses)
            assert b"reader" not in p.ask("chief", path).body


@pytest.mark.parametrize("how", ["here", "private"])
def test_lists_and_all_other_routes_hold_no_hidden_name(people, hub, tmp_path, how):
    p = hidden(people, hub, tmp_path, how)
    for name in "org/open", "org/secret":
        assert p.ask("admin", f"/api/models/{name}").status == 200
    assert p.ask("stranger", "/api/models/org/open").status == 200
    for who in "anonymous", "stranger":
        assert [r["id"] for r in p.ask(who, "/api/models").json] == ["org/open"]
        for method, pattern, role in routes():
            if ":repo" not in pattern and method != "NULL":
                for query in "", "?search=secret", "?author=org&full=true":
                    got = p.ask(who, example(pattern, "") + query, method, body_of(method, pattern))
                    assert b"org/secret" not in got.body and got.status != 500, (pattern, got)
    for who in "reader", "admin":
        listed = {r["id"]: r["private"] for r in p.ask(who, "/api/models?search=org/").json}
        assert listed == {"org/open": False, "org/secret": True}
    assert p.ask("reader", "/api/models/org/secret").json["private"] is True
    assert p.ask("reader", "/api/models/org/open").json["private"] is False


def test_rules_go_where_their_repository_goes_and_are_nobody_elses(people, hub):
    p = people(upstream(hub))
    chief = p.tokens["chief"]

    def make(name):
        return Repo(p.h, name, chief, visibility="private")

    def seen(who, *names):
        return [p.ask(who, f"/api/models/{name}").status for name in names]
    make("org/one")
    p.do("rule models/org/one stranger read")
    assert seen("stranger", "org/one") == [200]
    moved = p.ask("chief", "/api/repos/move", "POST", json.dumps({"fromRepo": "org/one", "toRepo": "org/two", "type": "model"}),
                  Content_Type="application/json")
    assert moved.status == 200 and seen("stranger", "org/one", "org/two") == [307, 200]
    two = Repo(p.h, "org/two", chief, make=False)
    make("org/one")  # another one, which nobody let them in to
    assert seen("stranger", "org/one", "org/two") == [404, 200] and seen("reader", "org/one", "org/two") == [200, 200]
    assert two.remove().status == 200
    make("org/two")
    assert seen("stranger", "org/one", "org/two") == [404, 404] and seen("reader", "org/two") == [200]
    p.do("rule models/org/two stranger read")  # twin
    assert seen("stranger", "org/one", "org/two") == [404, 200]


def test_other_spellings_and_old_names_hide_it_too(people, hub):
    upstream(hub)
    repo = hub.repo("org/old")
    repo.commit(FILES)
    repo.rename("org/new")
    p = people(hub)
    assert p.ask("anonymous", "/org/old/resolve/main/config.json").status == 307
    p.do("private org/new", "private org/secret")
    for path in "/org/old/resolve/main/config.json", "/ORG/Secret/resolve/main/config.json", "/api/models/Org/SECRET", \
            "/org%2Fsecret/resolve/main/config.json":
        got = p.ask("stranger", path)
        assert got.status == 404 and b"new" not in got.body and "location" not in got.headers, (path, got)
    assert p.ask("reader", "/org/old/resolve/main/config.json").headers["location"] == "/org/new/resolve/main/config.json"
    assert p.ask("reader", "/ORG/Secret/resolve/main/config.json").body == FILES["config.json"]


def status(p, who, name):
    return p.ask(who, f"/{name}/resolve/main/config.json").status


def test_what_is_private_stays_so_by_the_name_it_gets(people, hub):
    repo = hub.repo("org/old")
    repo.commit(FILES)
    p = people(hub)
    p.do("private org/old")
    assert status(p, "reader", "org/old") == 200
    repo.rename("org/new")
    assert status(p, "stranger", "org/new") == 404  # whoever asks first by the new name
    assert status(p, "reader", "org/new") == 200 and status(p, "reader", "org/old") == 307
    assert status(p, "stranger", "org/old") == status(p, "stranger", "org/new") == 404
    assert [r["id"] for r in p.ask("reader", "/api/models").json] == ["org/new"] and p.ask("stranger", "/api/models").json == []
    p.do("rule models/org/old stranger read")
    assert status(p, "stranger", "org/new") == 200
    p.h.stop()
    p.h = Hubd(p.h.data.parent, hub, data=p.h.data, args=["--offline"])
    assert status(p, "stranger", "org/new") == 200 and status(p, "writer", "org/old") == 307
    assert status(p, "anonymous", "org/new") == status(p, "anonymous", "org/absent") != 200


def test_what_is_for_all_is_so_by_the_name_it_gets(people, hub):
    repo = hub.repo("org/old")
    repo.commit(FILES)
    p = people(hub, args=["--ref-ttl=0"])
    assert status(p, "stranger", "org/old") == 200
    repo.rename("org/new")
    assert status(p, "stranger", "org/old") == 307  # its main branch was asked for again
    assert status(p, "stranger", "org/new") == 200


def admin(p, method, path, body=None):
    got = p.ask("admin", f"/api/admin/v1/{path}", method, body and json.dumps(body), Content_Type="application/json")
    assert got.status in (200, 404), got
    return got


@pytest.mark.parametrize("asked", [True, False])
def test_who_sets_it_by_the_name_it_had_sets_what_it_is(people, hub, asked):
    repo = hub.repo("org/old")
    repo.commit(FILES)
    repo.rename("org/new")
    p = people(hub)
    if asked:
        assert status(p, "stranger", "org/old") == 307
    said = admin(p, "PATCH", "repos/models/org%2Fold", {"visibility": "private"}).json
    assert said == {"type": "model", "id": "org/new", "visibility": "private", "because": "set here", "formerly": "org/old"}
    assert status(p, "stranger", "org/new") == 404 and status(p, "reader", "org/new") == 200
    assert admin(p, "PUT", "rules", {"what": "models/org/old", "whom": "stranger", "role": "read"}).json["what"] == "models/org/new"
    assert status(p, "stranger", "org/new") == 200
    p.do("rule models/org/old stranger read")
    assert admin(p, "DELETE", "rules?what=models/org/new&whom=stranger").status == 200
    assert status(p, "stranger", "org/new") == 404
    assert admin(p, "DELETE", "rules?what=models/org/new&whom=stranger").status == 404
    said = admin(p, "PATCH", "repos/models/org%2Fnew", {"visibility": "default"}).json
    assert "formerly" not in said and said["visibility"] == "public" and status(p, "stranger", "org/new") == 200


def test_who_sets_it_while_nobody_can_be_asked_sets_that_name(people, hub):
    repo = hub.repo("org/old")
    repo.commit(FILES)
    repo.rename("org/new")
    p = people(hub)
    with hub.fault(".*", "hang"):
        said = admin(p, "PATCH", "repos/models/org%2Fold", {"visibility": "private"}).json
        assert said["id"] == "org/old" and said["visibility"] == "private"
    assert status(p, "stranger", "org/old") == 404 and status(p, "reader", "org/old") == 307
    assert status(p, "stranger", "org/new") == 404 and status(p, "reader", "org/new") == 200


def test_what_another_process_changes_counts_at_once(people, hub):
    p = people(upstream(hub))
    path = "/org/secret/resolve/main/config.json"

    def seen():
        return [who for who in ("anonymous", "stranger", "reader") if p.ask(who, path).status == 200]
    assert seen() == ["anonymous", "stranger", "reader"]
    assert p.ask("reader", "/api/models/org/secret").json["private"] is False
    p.do("private org/secret")
    assert seen() == ["reader"]
    assert p.ask("reader", "/api/models/org/secret").json["private"] is True
    p.do("rule models/org/secret stranger read")
    assert seen() == ["stranger", "reader"]
    p.do("rule models/org/secret stranger none", "rule org * read")
    assert seen() == ["stranger", "reader"]
    p.do("rule org * none", "member org reader none")
    assert seen() == []
    p.do("member org reader write", "disable reader")
    assert p.ask("reader", path).headers["x-error-message"] == "Invalid credentials in Authorization header"
    p.do("enable reader")
    assert seen() == ["reader"]
    p.do("revoke reader laptop")
    assert p.ask("reader", path).status == 401
    p.do("retire stranger")
    assert p.ask("stranger", "/api/whoami-v2").status == 401
    p.do("unsaid org/secret")
    assert p.ask("anonymous", path).status == 200
    assert p.ask("anonymous", "/api/models/org/secret").json["private"] is False


def test_a_closed_hub_answers_whoever_has_a_token(people, hub):
    p = people(upstream(hub), args=["--anonymous=none"])
    asked = len(hub.log)
    assert p.ask("anonymous", "/org/open/resolve/main/config.json").headers["x-error-code"] == "RepoNotFound"
    assert p.ask("anonymous", "/api/models/org/open").status == 401 and len(hub.log) == asked
    assert p.ask("stranger", "/org/open/resolve/main/config.json").status == 200
    assert p.ask("anonymous", "/api/models").json == [] and p.ask("stranger", "/api/models").json != []
    assert p.ask("anonymous", "/healthz").status == 200


def test_what_the_upstreams_token_brought_stays_hidden_without_it(people, hub, tmp_path):
    p = hidden(people, hub, tmp_path, "private")
    for name in "secret", "open":
        assert p.ask("reader", f"/org/{name}/resolve/main/config.json").status == 200
    p.h.stop()
    with hub.fault(".*", "status", code=503):
        again = Hubd(tmp_path, hub, data=p.h.data, args=["--offline"])
        p.h = again
        assert p.ask("reader", "/org/secret/resolve/main/config.json").body == FILES["config.json"]
        assert p.ask("anonymous", "/org/open/resolve/main/config.json").body == FILES["config.json"]
        hidden_one, absent = (p.ask("stranger", f"/org/{n}/resolve/main/config.json") for n in ("secret", "absent"))
        assert told(hidden_one) == told(absent) and hidden_one.status != 200
        again.stop()


def is_busy(hub):
    hub.fault(".*", "status", code=429, retry_after=30)


STATES = [  # what becomes of two upstreams; the last ones stay
    ("fine", lambda first, second: None),
    ("the first breaks", lambda first, second: first.fault(".*", "status", code=503)),
    ("the second breaks", lambda first, second: second.fault(".*", "status", code=500)),
    ("the second says nothing", lambda first, second: second.fault(".*", "hang")),
    ("the second forbids", lambda first, second: second.fault(".*", "status", code=403)),
    ("the second speaks no JSON", lambda first, second: second.fault(".*", "html")),
    ("the second is busy", lambda first, second: is_busy(second)),
    ("both are busy", lambda first, second: [is_busy(first), is_busy(second)]),
    ("the second is down", lambda first, second: second.down()),
    ("both are down", lambda first, second: first.down()),
]


# Whom nobody reaches tells nothing of a namespace that is one of this hub's own.
UNREACHED = "the second says nothing", "the second is down", "both are down"


def alike(p):
    """Asks for a hidden name and for one that is not there, all at once, and says the status a stranger has: they are told
    the same."""
    def asked(who, name):
        status, headers, body = told(p.ask(who, f"/org/{name}/resolve/main/config.json"))
        return status, {k: v for k, v in headers.items() if k != "retry-after"}, body, "retry-after" in headers
    cases = [(who, name) for who in ("anonymous", "stranger") for name in ("secret", "absent")]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        one, other, of_stranger, other_of_stranger = pool.map(lambda c: asked(*c), cases)
    assert one == other and of_stranger == other_of_stranger
    return of_stranger[0]


def questions(p, hubs, name):
    """What one answer about it costs the upstreams."""
    for hub in hubs:
        hub.clear_log()
    assert p.ask("stranger", f"/org/{name}/resolve/main/config.json").status == 404
    return [[(q.method, q.path.replace(name, "")) for q in hub.requests()] for hub in hubs]


@pytest.mark.parametrize("how", ["here", "private"])
def test_a_hidden_name_is_answered_as_an_unknown_one_whatever_upstreams_do(people, hub, tmp_path, how):
    args = []
    if how == "private":
        (tmp_path / "token").write_text("hf_upstream\n")
        args = [f"--upstream-token-file={tmp_path / 'token'}"]
    with Hub() as second:
        p = people([upstream(hub, private=how == "private"), second], timeout=1, args=args)
        p.tokens["upstream"] = "hf_upstream"
        if how == "here":
            p.do("private org/secret")
        assert p.ask("reader", "/org/secret/resolve/main/config.json").status == 200
        asked = questions(p, (hub, second), "secret")  # so often, and so long it takes
        assert asked == questions(p, (hub, second), "absent") and all(len(of_hub) == 1 for of_hub in asked)
        assert [len(of_hub) for of_hub in questions(p, (hub, second), "Secret")] == [1, 1]  # as it is spelled there
        for name, begin in STATES:
            begin(hub, second)
            status = alike(p)
            assert (status == 404) == (name in ("fine", *UNREACHED)), (name, status)
            for h in hub, second:
                h.clear_faults()
        assert p.ask("reader", "/org/secret/resolve/main/config.json").status == 200


def test_what_becomes_private_upstream_is_hidden_and_what_becomes_public_is_shown(people, hub, tmp_path):
    (tmp_path / "token").write_text("hf_upstream\n")
    p = people(upstream(hub), args=[f"--upstream-token-file={tmp_path / 'token'}", "--ref-ttl=0"])
    p.tokens["upstream"] = "hf_upstream"
    path = "/org/open/resolve/main/config.json"
    for private in False, True, False:
        hub.repo("org/open").private = private
        later()
        assert p.ask("stranger", path).status == (404 if private else 200)
        assert p.ask("reader", path).status == 200
    hub.repo("org/open").private = True
    later()
    assert p.ask("stranger", path).status == 404
    with hub.fault(".*", "status", code=503):
        assert p.ask("stranger", path).status != 200
        assert p.ask("reader", path).body == FILES["config.json"]


# ---- who is asking ----

def test_whoami_tells_the_user_the_organisations_and_the_token(people, hub):
    p = people(upstream(hub))
    p.do(f"fine reader robot {p.value('robot')} models/org/secret=read datasets/org/x=write org=read reader=write")
    p.do(f"token reader short read {p.value('short')} 3600")
    user = p.ask("reader", "/api/whoami-v2").json
    for name, status in ("Reader", 200), ("stranger", 401):      # as git and git-lfs say it
        pair = base64.b64encode(f"{name}:{p.tokens['reader']}".encode()).decode()
        assert p.h.ask("/api/whoami-v2", Authorization=f"Basic {pair}").status == status
    assert user["type"] == "user" and user["name"] == "reader" and user["fullname"] and re.fullmatch("[0-9a-f]{24}", user["id"])
    assert [(o["type"], o["name"], o["roleInOrg"]) for o in user["orgs"]] == [("org", "org", "read")]
    token = user["auth"]["accessToken"]
    assert user["auth"]["type"] == "access_token" and (token["displayName"], token["role"]) == ("laptop", "write")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", token["createdAt"]) and "expiresAt" not in token
    assert p.ask("short", "/api/whoami-v2").json["auth"]["accessToken"].keys() >= {"expiresAt"}
    fine = p.ask("robot", "/api/whoami-v2").json["auth"]["accessToken"]
    assert fine["role"] == "fineGrained" and fine["fineGrained"]["global"] == []
    scoped = {(s["entity"]["type"], s["entity"]["name"]): s["permissions"] for s in fine["fineGrained"]["scoped"]}
    both = ["repo.content.read", "repo.write"]
    assert scoped == {("model", "org/secret"): both[:1], ("dataset", "org/x"): both, ("org", "org"): both[:1], ("user", "reader"): both}
    assert p.ask("stranger", "/api/whoami-v2").json["orgs"] == []
    assert p.ask("anonymous", "/api/whoami-v2").json == {"error": "Invalid username or password."}


def test_fine_grained_tokens_open_what_they_name(people, hub):
    p = people(upstream(hub))
    p.do("private org/secret", "private org/other")
    p.do(f"fine writer one {p.value('one')} models/org/secret=read", f"fine stranger two {p.value('two')} models/org/secret=write")
    assert p.ask("one", "/api/models/org/secret/auth-check").status == 200
    assert p.ask("one", "/api/models/org/secret/auth-check/write").status == 403
    assert p.ask("one", "/api/models/org/open/auth-check").status == 200
    assert p.ask("two", "/api/models/org/secret/auth-check").status == 404


def test_the_clients_own_library_understands_it(people, hub, tmp_path):
    p = people(upstream(hub))
    p.do("private org/secret", f"token reader only-read read {p.value('only')}")

    def api(who):
        return HfApi(endpoint=p.h.url, token=p.tokens[who] or False)
    assert api("reader").whoami()["name"] == "reader"
    assert api("only").get_token_permission() == "read" if hasattr(HfApi, "get_token_permission") else True
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi(endpoint=p.h.url, token="hf_wrong").whoami()
    api("reader").auth_check("org/secret")
    for who in "anonymous", "stranger":
        with pytest.raises(RepositoryNotFoundError):
            api(who).auth_check("org/secret")
        with pytest.raises(RepositoryNotFoundError):
            api(who).model_info("org/secret")
        assert not api(who).repo_exists("org/secret") and api(who).repo_exists("org/open")
    assert [m.id for m in api("stranger").list_models(author="org")] == ["org/open"]
    assert {m.id for m in api("reader").list_models(author="org")} == {"org/open", "org/secret"}
    path = api("reader").hf_hub_download("org/secret", "config.json", cache_dir=tmp_path / "cache")
    assert pathlib.Path(path).read_bytes() == FILES["config.json"]


# ---- wrong tokens ----

def test_a_guesser_is_slowed_and_those_beside_it_are_not(people, hub):
    p = people(upstream(hub))
    path = "/api/models/org/open"
    assert p.ask("reader", path).status == 200
    p.user("late")
    statuses = []
    for n in range(100):
        got = p.h.ask(path, token=f"hf_guess{n}")
        statuses.append(got.status)
        if got.status == 429:
            break
    assert 50 <= len(statuses) < 90 and set(statuses[:-1]) == {401} and statuses[-1] == 429
    assert int(got.headers["retry-after"]) > 0
    assert p.ask("reader", path).status == 200 and p.ask("anonymous", path).status == 200
    assert p.h.ask(path, token=f"hf_guess{len(statuses) - 5}").status == 401  # no new guess, so no 429
    assert eventually(lambda: p.ask("late", path).status == 200, 10)


def test_absurd_fields_open_nothing_and_break_nothing(people, hub):
    p = people(upstream(hub))
    fields = [b"", b" ", b"Bearer", b"Bearer ", b"Bearer  a  b", b"Basic Og==", b"Bearer \x80\xff\xfe", b"Bearer " + b"a" * 5000,
              b"bearer\thf_x", b"Bearer " + b"=" * 100, b"Negotiate YII", b"Bearer %s%n%x", b"Bearer ../../admin.token", b"\x01"]
    for field in fields:
        with socket.create_connection(("127.0.0.1", p.h.port), timeout=10) as s:
            s.sendall(b"GET /api/models/org/open HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + field + b"\r\n\r\n")
            got = b""
            while piece := s.recv(65536):
                got += piece
        assert re.match(rb"HTTP/1.1 4\d\d ", got) and b"org/open" not in got, (field, got)
    with socket.create_connection(("127.0.0.1", p.h.port), timeout=10) as s:
        s.sendall(b"GET /api/whoami-v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer x\r\n"
                  b"Authorization: Bearer " + p.h.admin_token.encode() + b"\r\n\r\n")
        got = s.recv(65536)
    assert got.startswith(b"HTTP/1.1 401")  # the first one counts
    assert p.ask("reader", "/api/models/org/open").status == 200


def test_the_last_use_of_a_token_is_known_after_a_stop(people, hub):
    p = people(upstream(hub))
    began = int(time.time())
    assert p.ask("reader", "/api/whoami-v2").status == 200
    p.h.stop()
    rows = (p.h.data / "hub" / "data.mdb").read_bytes()
    assert any(str(s).encode() in rows for s in range(began, int(time.time()) + 1))


def test_only_who_may_bring_something_gets_links_to_upload(people, hub):
    """Whoever may open a pull request may bring what it is to hold; a token that reads may not."""
    p = people(upstream(hub))
    p.do(f"token writer look read {p.value('looker')}")
    Repo(p.h, "org/own", p.tokens["writer"])
    asked = {"objects": [{"oid": "0" * 64, "size": 1}]}
    for who, status in {"anonymous": 401, "looker": 403, "stranger": 200, "reader": 200, "writer": 200, "admin": 200}.items():
        got = p.ask(who, "/org/own.git/info/lfs/objects/batch", "POST", json.dumps({**asked, "operation": "upload"}))
        assert got.status == status and ("upload" in got.body.decode()) == (status == 200), (who, got)
        assert p.ask(who, "/org/own.git/info/lfs/objects/batch", "POST", json.dumps({**asked, "operation": "download"})).status == 200
