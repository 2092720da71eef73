"""Gated repositories that matrixhubd hosts: anybody finds them, and their files are for those who were let in."""
import json

import pytest

from flow_hub_rights import People
from mountlib import eventually
from registry import Repo, lfs, line, put


@pytest.fixture
def ours(hub, hubd):
    """bob's repository, gated by hand, and people who are nobody in it."""
    h = hubd(hub)
    p = People(h)
    p.do(*(line for who in ("bob", "eve", "dan") for line in (f"user {who}", f"token {who} t admin {p.value(who)}")))
    repo = Repo(h, "bob/model", p.tokens["bob"])
    repo.send(b"weights" * 1000)
    repo.done(put("README.md", b"# read me\n"), put("sub/README.md", b"x"), put("config.json", b"{}"), lfs("w.bin", b"weights" * 1000))
    repo.people = p
    assert settings(repo, gated="manual").json == {"gated": "manual"}
    return repo


def settings(repo, **body):
    return repo.ask(f"{repo.api}/settings", "PUT", **body)


def ask(repo, who, what="ask-access", body="{}"):
    path = f"{repo.prefix}/{repo.id}/{what}" if what == "ask-access" else f"{repo.api}/user-access-request/{what}"
    return repo.people.ask(who, path, "POST", body)


def decide(repo, what="handle", **body):
    return repo.ask(f"{repo.api}/user-access-request/{what}", "POST", **body)


def listed(repo, status):
    return repo.ask(f"{repo.api}/user-access-request/{status}").json


def refusal(repo, who, path="resolve/main/config.json", method="GET"):
    """None, or (status, code, message) of whoever asks for a file's bytes."""
    got = repo.people.ask(who, f"{repo.prefix}/{repo.id}/{path}", method)
    return None if got.status == 200 else (got.status, got.headers.get("x-error-code"), got.headers["x-error-message"])


def test_whose_files_are_gated_is_found_and_read_by_its_own_people_alone(ours):
    p, url = ours.people, f"{ours.hubd.url}/bob/model"
    for who in "anonymous", "eve":
        told = p.ask(who, ours.api).json
        assert told["gated"] == "manual" and told["private"] is False and len(told["siblings"]) == 5
        assert p.ask(who, f"{ours.api}/tree/main").status == 200 and refusal(ours, who, "resolve/main/README.md") is None
    nobody = 401, "GatedRepo", "Access to model bob/model is restricted. You must have access to it and be authenticated to access it. Please log in."
    unasked = 403, "GatedRepo", f"Access to model bob/model is restricted and you are not in the authorized list. Visit {url} to ask for access."
    for path in ("resolve/main/config.json", "resolve/main/w.bin", "resolve/main/sub/README.md", "resolve/main/none", "resolve/none/config.json",
                 "raw/main/README.md"):
        assert refusal(ours, "anonymous", path) == nobody and refusal(ours, "eve", path) == unasked
        assert refusal(ours, "eve", path, "HEAD") == unasked
    assert p.ask("eve", f"{ours.api}/auth-check").headers["x-error-code"] == "GatedRepo" and p.ask("bob", f"{ours.api}/auth-check").status == 200
    batch = json.dumps({"operation": "download", "objects": [{"oid": "0" * 64, "size": 1}]})
    for who, status in ("anonymous", 401), ("eve", 403), ("bob", 200), ("admin", 200):
        got = p.ask(who, "/bob/model.git/info/lfs/objects/batch", "POST", batch)
        assert got.status == status and (got.headers.get("x-error-code") == "GatedRepo") == (status != 200)
    assert refusal(ours, "bob") is refusal(ours, "admin") is None and refusal(ours, "bob", "raw/main/README.md") is None
    assert settings(ours, gated=False).json == {"gated": False}  # twin
    assert refusal(ours, "anonymous") is refusal(ours, "eve", "raw/main/README.md") is None and p.ask("eve", ours.api).json["gated"] is False


def test_who_asks_is_let_in_or_not_and_hears_how_it_stands(ours):
    url = f"{ours.hubd.url}/bob/model"
    assert ask(ours, "anonymous").status == 401 and ask(ours, "eve", "cancel").status == 404
    for _ in range(2):
        got = ask(ours, "eve", body='{"company": "Acme"}')
        assert got.status == 303 and got.headers["location"].endswith("/api/models/bob/model")
    (eve,) = listed(ours, "pending")
    assert eve["user"] == {"user": "eve", "fullname": "eve"} and eve["fields"] == {"company": "Acme"} and eve["status"] == "pending"
    assert len(eve["requestId"]) == 24 and eve["timestamp"].endswith("Z") and "reviewedAt" not in eve
    assert refusal(ours, "eve") == (403, "GatedRepo", "Your request to access model bob/model is awaiting a review from the repo authors.")
    assert decide(ours, user="eve", status="pending").json["error"] == "No access request found matching your criteria"
    assert decide(ours, requestId=eve["requestId"], status="accepted").json == {} and refusal(ours, "eve") is None
    (eve,) = listed(ours, "accepted")
    assert eve["grantedBy"]["user"] == "bob" and eve["reviewedAt"] and listed(ours, "pending") == []
    assert ask(ours, "eve", "cancel").json["error"] == "No pending access request found for this repo and this user"
    assert decide(ours, user="Eve", status="rejected", rejectionReason="no").json == {}
    assert refusal(ours, "eve") == (403, "GatedRepo", "Your request to access model bob/model has been rejected by the repo's authors.")
    assert ask(ours, "eve").status == 303 and [r["user"]["user"] for r in listed(ours, "rejected")] == ["eve"]
    assert decide(ours, user="eve", status="reset").json == {}
    assert refusal(ours, "eve")[2] == f"Your request to access model bob/model has been reset by the repo's authors. Visit {url} to submit a new request."
    assert ask(ours, "eve", body="a=b+c&d=%C3%A9").status == 303 and listed(ours, "pending")[0]["fields"] == {"a": "b c", "d": "\u00e9"}
    assert ask(ours, "eve", "cancel").json == {"ok": True} and listed(ours, "pending") == [] and "authorized list" in refusal(ours, "eve")[2]
    assert decide(ours, "grant", user="dan").json == {} and refusal(ours, "dan") is None
    assert decide(ours, "grant", user="dan").json["error"] == "That user already has access to the repo"
    assert decide(ours, "grant", requestId="0" * 24).status == 404 and {r["user"]["user"] for r in listed(ours, "accepted")} == {"dan"}
    assert ask(ours, "eve").status == 303 and decide(ours, "grant", requestId=listed(ours, "pending")[0]["requestId"]).json == {}
    assert refusal(ours, "eve") is None and decide(ours, user="eve", status="reset").json == {}
    assert settings(ours, gated="auto").status == 200 and ask(ours, "eve").status == 303 and refusal(ours, "eve") is None


def test_a_diff_is_for_those_who_may_read_the_files(ours):
    text = json.dumps({"key": "header", "value": {"summary": "more"}}) + "\n" + put("config.json", b'{"secret": 1}')
    assert ours.people.ask("bob", f"{ours.api}/commit/main?create_pr=1", "POST", text).status == 200

    def diff(who):
        got = ours.people.ask(who, f"{ours.api}/discussions/1?diff=1")
        assert got.status == 200 and got.json["title"] == "more"
        return got.json.get("diff")
    assert "secret" in diff("bob") and diff("eve") is diff("anonymous") is None
    settings(ours, gated=False)
    assert diff("anonymous") == diff("bob")


def test_no_change_that_somebody_proposes_opens_a_gated_file(ours):
    """Who was not let in knows the ids of large files, and what everybody reads: those names are not theirs to give."""
    p, weights = ours.people, b"weights" * 1000

    def propose(*lines):
        body = "\n".join([line("header", summary="mine", description=""), *lines])
        return p.ask("eve", f"{ours.api}/commit/main?create_pr=1", "POST", body, Content_Type="application/x-ndjson")
    assert [propose(lfs(name, weights)).status for name in ("README.md", "LICENSE")] == [200, 200]
    for pull, name in (1, "README.md"), (2, "LICENSE"):
        assert refusal(ours, "eve", f"resolve/refs%2Fpr%2F{pull}/{name}")[:2] == (403, "GatedRepo")
        assert refusal(ours, "bob", f"resolve/refs%2Fpr%2F{pull}/{name}") is None
    copy = line("copyFile", path="LICENSE", srcPath="config.json")
    assert propose(copy).headers["x-error-code"] == "GatedRepo"
    assert propose(put("README.md", b"# better\n")).status == 200 and refusal(ours, "eve", "resolve/refs%2Fpr%2F3/README.md") is None
    settings(ours, gated=False)  # twin
    assert refusal(ours, "eve", "resolve/refs%2Fpr%2F1/README.md") is None and propose(copy).status == 200


def test_who_has_a_name_again_has_what_was_said_under_it_and_nobody_else_gets_it(ours):
    p, talk = ours.people, f"{ours.api}/discussions"

    def say(path, **body):
        got = p.ask("eve", f"{talk}{path}", "POST", json.dumps(body))
        return got.status

    assert say("", title="mine", description="first") == 200
    comment = p.ask("eve", f"{talk}/1").json["events"][0]["id"]
    assert say(f"/1/comment/{comment}/edit", content="second") == say("/1/status", status="closed") == 200
    assert p.ask("admin", "/api/admin/v1/users/eve", "DELETE").status < 300
    assert say(f"/1/comment/{comment}/edit", content="third") == 401
    p.do("user eve", fails=True)
    p.do("user evelyn", f"token evelyn t admin {p.value('evelyn')}", "again eve", f"token eve t admin {p.value('eve')}")
    assert p.ask("evelyn", f"{talk}/1/status", "POST", '{"status": "open"}').status == 403
    assert say(f"/1/comment/{comment}/edit", content="third") == say("/1/status", status="open") == 200


def test_what_makes_no_sense_is_refused_and_is_not_for_others(ours):
    p = ours.people
    for body, status, words in (({"user": "eve", "status": "yes"}, 400, "at status"), ({"status": "accepted"}, 400, "Either userId"),
                                ({"user": "eve", "requestId": "x", "status": "accepted"}, 400, "but not both"),
                                ({"user": "nobody", "status": "accepted"}, 404, "User not found"),
                                ({"user": "eve", "status": "accepted"}, 404, "No access request"),
                                ({"requestId": "0" * 24, "status": "accepted"}, 404, "No access request"),
                                ({"user": "eve", "status": "rejected", "rejectionReason": "x" * 201}, 400, "at rejectionReason")):
        got = decide(ours, **body)
        assert got.status == status and words in got.json["error"] and "x-error-code" not in got.headers, got
    assert decide(ours, "grant", user="org").status == 404 and ask(ours, "eve", body='{"x": "%s"}' % ("y" * 9000)).status == 400
    ask(ours, "eve")
    for who, status in ("eve", 403), ("anonymous", 401):
        assert p.ask(who, f"{ours.api}/user-access-request/pending").status == status
        for what in "handle", "grant":
            assert ask(ours, who, what, '{"user": "eve", "status": "accepted"}').status == status
    assert ours.ask(f"{ours.api}/user-access-request/none").status == 404
    for limit, status in (9, 400), (1001, 400), (10, 200):
        assert ours.ask(f"{ours.api}/user-access-request/pending?limit={limit}").status == status
    settings(ours, gated=False)
    for got in decide(ours, "grant", user="dan"), decide(ours, user="eve", status="accepted"), ask(ours, "dan"):
        assert got.status == 400 and got.headers["x-error-code"] == "RepoNotGated" and got.json["error"] == "model bob/model is not gated"
    assert [r["user"]["user"] for r in listed(ours, "pending")] == ["eve"]  # kept, should it be gated again
    assert p.ask("eve", f"{ours.api}/user-access-request/cancel", "POST").json == {"ok": True}


def test_lists_come_in_pages(ours):
    p = ours.people
    p.do(*(line for i in range(25) for line in (f"user u{i:02}", f"token u{i:02} t admin {p.value(f'u{i:02}')}")))
    for i in range(25):
        assert ask(ours, f"u{i:02}").status == 303
    items, pages = ours.hubd.pages(f"{ours.api}/user-access-request/pending?limit=10", ours.token)
    assert pages == 3 and [i["user"]["user"] for i in items] == [f"u{i:02}" for i in range(25)]


def test_who_was_let_in_stays_so_over_a_move_and_goes_with_the_account(ours, hubd, hub):
    p, h = ours.people, ours.hubd
    decide(ours, "grant", user="eve")
    decide(ours, "grant", user="dan")
    assert ours.ask("/api/repos/move", "POST", fromRepo="bob/model", toRepo="bob/other", type="model").status == 200
    other = Repo(h, "bob/other", ours.token, make=False)
    other.people = p
    assert refusal(other, "eve") is None and refusal(other, "anonymous")[1] == "GatedRepo"
    assert h.ask("/api/admin/v1/users/eve", "DELETE", token=h.admin_token).status in (200, 204)
    p.do("again eve", f"token eve laptop admin {p.value('eve')}")
    assert "authorized list" in refusal(other, "eve")[2] and refusal(other, "dan") is None
    h.stop()
    other.hubd = p.h = hubd(hub, data=h.data)
    assert "authorized list" in refusal(other, "eve")[2] and refusal(other, "dan") is None
    assert other.remove().status == 200
    again = Repo(other.hubd, "bob/other", ours.token)
    again.people = p
    settings(again, gated="manual")
    assert refusal(again, "dan", "resolve/main/.gitattributes")[1] == "GatedRepo"


def test_a_link_to_bytes_ends_with_being_let_in_and_a_narrow_token_is_not_let_in(ours):
    p = ours.people
    decide(ours, "grant", user="eve")
    p.do(f"token eve narrow none {p.value('narrow')}", fails=False)
    assert refusal(ours, "eve") is None and refusal(ours, "narrow")[1] == "GatedRepo"
    oid = next(f["lfs"]["oid"] for f in ours.ask(f"{ours.api}/tree/main").json if f["path"] == "w.bin")
    got = p.ask("eve", "/bob/model.git/info/lfs/objects/batch", "POST", json.dumps({"operation": "download", "objects": [{"oid": oid, "size": 7000}]}))
    href = got.json["objects"][0]["actions"]["download"]["href"].removeprefix(ours.hubd.url)
    assert ours.hubd.ask(href).body == b"weights" * 1000
    decide(ours, user="eve", status="rejected")
    assert ours.hubd.ask(href).status == 403


def test_the_mount_shows_what_there_is_and_reads_what_it_may(ours, mount, tmp_path):
    token = tmp_path / "token"
    token.write_text(ours.people.tokens["eve"])
    m = mount(ours.hubd, args=["--ref-ttl=0", f"--token-file={token}"])
    snapshot = m.snapshot("bob/model", ours.head())
    assert (snapshot / "README.md").read_bytes() == b"# read me\n"
    with pytest.raises(PermissionError):
        (snapshot / "config.json").read_bytes()
    decide(ours, "grant", user="eve")
    assert eventually(lambda: readable(snapshot / "config.json"), 20, 0.1)


def readable(path):
    try:
        return path.read_bytes() == b"{}"
    except OSError:
        return False


def test_all_of_it_is_in_the_trail(ours):
    ask(ours, "eve")
    decide(ours, user="eve", status="rejected", rejectionReason="we do not know you")
    decide(ours, "grant", user="eve")
    refusal(ours, "dan")

    def told():
        items = ours.people.ask("admin", "/api/admin/v1/audit?limit=100").json["items"]
        return [(r["act"], r["user"], r.get("note")) for r in items if r.get("act", "").startswith(("access", "repo.settings"))], \
            [(r["user"], r["file"]) for r in items if r["kind"] == "download" and r["outcome"] == "refused"]
    want = [("repo.settings", "bob", "gated=manual"), ("access.ask", "eve", "eve"), ("access.reject", "bob", "eve: we do not know you"),
            ("access.grant", "bob", "eve")], [("dan", "config.json")]
    assert eventually(lambda: told() == want, 10, 0.05), told()
