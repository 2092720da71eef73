"""Tags that can be trusted: who may move which, what holds one, how it is promoted and taken back, and that it stays on record; with
matrixctl, and with the requests of clients."""
import hashlib
import json
import re
import secrets
import subprocess
import urllib.parse

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from flow_hub_ctl import ctl, data, environment, fine, refused
from flow_hub_rights import ACCOUNTS
from mountlib import DEADLINE, eventually
from registry import Repo, drop, lfs, put


@pytest.fixture
def ours(hub, hubd):
    """An organisation's repository of three commits, each with a tag: v1, v2 and v3; and who may what."""
    h = hubd(hub)
    h.tokens, lines = {"admin": h.admin_token}, ["org acme"]
    for name, role in ("ann", "admin"), ("bob", "write"), ("ci", "write"), ("eve", "read"):
        h.tokens[name] = "hf_" + secrets.token_hex(16)
        lines += [f"user {name}", f"member acme {name} {role}", f"token {name} t admin {h.tokens[name]}"]
    subprocess.run([ACCOUNTS, h.data / "hub"], input="\n".join(lines) + "\n", check=True, capture_output=True, text=True, timeout=20)
    repo = Repo(h, "acme/m", h.tokens["ann"])
    repo.ids = []
    for n in 1, 2, 3:
        repo.ids.append(repo.done(put("w.txt", b"%d" % n)))
        assert tag(repo, f"v{n}").status == 200
    return repo


def ask(repo, path, method="GET", who="ann", **body):
    return repo.hubd.ask(repo.api + path, method, json.dumps(body) if method != "GET" else None, repo.hubd.tokens[who])


def tag(repo, name, at="main", who="ann"):
    return ask(repo, f"/tag/{at}", "POST", who, tag=name)


def untag(repo, name, who="ann"):
    return ask(repo, f"/tag/{urllib.parse.quote(name, safe='')}", "DELETE", who)


def promote(repo, source, to="prod", who="ann", **body):
    return ask(repo, f"/promote/{urllib.parse.quote(source, safe='')}", "POST", who, to=to, **body)


def tags(repo):
    return {t["name"]: t["targetCommit"] for t in ask(repo, "/refs").json["tags"]}


def locked(got, *words):
    """It says so, in the head as well: clients show that."""
    assert got.status == 403 and got.headers["x-error-code"] == "TagLocked", got
    assert got.headers["x-error-message"] == got.json["error"] and all(w in got.json["error"] for w in words), got
    return True


def test_no_route_moves_or_deletes_what_is_locked_and_any_other_tag_goes(ours):
    h, first = ours.hubd, ours.ids[0]
    fine(h, "tag lock-rule set acme v2", "--reason=on sale")
    fine(h, "tag lock acme/m v1", "--reason=an audit")
    for who in "ann", "admin":
        assert locked(untag(ours, "v1", who), '"v1"', "admin (an audit)") and locked(untag(ours, "v2", who), '"v2"', "its namespace", "on sale")
        assert locked(ask(ours, "/branch/v1", "POST", who), "branch") and tag(ours, "v1", "main", who).status == 409
    assert locked(ours.remove(), '"v1"') and ours.hubd.ask(ours.api).status == 200
    assert locked(ask(ours, "/branch/v2", "POST", "ann", emptyBranch=True), "branch")
    assert tags(ours) == dict(zip(("v1", "v2", "v3"), ours.ids))
    assert untag(ours, "v3").status == 200 and tag(ours, "v3", first).status == 200 and tags(ours)["v3"] == first
    assert ours.read("w.txt", "v1") == b"1"
    rows = {t["name"]: (t["locked"], t["lock"], t["rule"], t["reason"]) for t in data(h, "tag status acme/m")}
    assert rows == {"v1": (True, "tag", None, "an audit"), "v2": (True, "rule", "v2", "on sale"), "v3": (False, "none", None, None)}


def test_a_branch_that_has_the_name_takes_no_commit(ours):
    assert ask(ours, "/branch/v1", "POST").status == 200 and ours.done(put("x", b"x"), branch="v1")
    fine(ours.hubd, "tag lock-rule set acme v1")
    assert locked(ours.commit(put("x", b"y"), branch="v1"), "branch")
    assert ask(ours, "/branch/v1", "DELETE").status == 200 and ours.read("w.txt", "v1") == b"1"


def test_a_repository_brings_no_tag_to_where_it_is_promoted(ours):
    h = ours.hubd
    evil = Repo(h, "bob/evil", h.tokens["bob"])
    assert evil.done(put("w.txt", b"bad")) and tag(evil, "prod", who="bob").status == 200

    def move(name):
        return h.ask("/api/repos/move", "POST", json.dumps({"fromRepo": "bob/evil", "toRepo": name, "type": "model"}), h.tokens["bob"])

    def copy(name):
        return ask(evil, "/duplicate", "POST", "bob", repository=name).status

    fine(h, "promotion set acme release --to=prod --from=v*")
    assert locked(move("acme/evil"), '"prod"', "delete it before") and copy("acme/copy") == 200 and copy("bob/copy") == 200
    assert not tags(Repo(h, "acme/copy", None, make=False)) and tags(Repo(h, "bob/copy", None, make=False)).keys() == {"prod"}
    notes = {r["repo"]: r["note"] for r in data(h, "audit query --kind=change") if r.get("act") == "repo.duplicate"}
    assert notes == {"models/acme/copy": "of bob/evil, without what is promoted: prod", "models/bob/copy": "of bob/evil"}
    assert untag(evil, "prod", "bob").status == 200 and move("acme/evil").status == 200


def test_what_holds_a_tag_is_told_and_taken_back_one_by_one(ours):
    h = ours.hubd
    assert ask(ours, "/branch/v3", "POST").status == 200
    assert "delete the branch" in refused(h, "tag lock acme/m v3")
    fine(h, "tag lock-rule set acme v*")
    fine(h, "tag lock acme/m v1 --reason=sold")
    rows = {t["name"]: (t["lock"], t["beneath"], t["rule"], t["hidden"]) for t in data(h, "tag status acme/m")}
    assert rows == {"v1": ("tag", "rule", "v*", False), "v2": ("rule", "none", "v*", False), "v3": ("rule", "none", "v*", True)}
    assert "blanks" in refused(h, "tag unlock acme/m v1", "--reason= ")
    for holds in "yes", "no":
        assert re.search(rf"locked +{holds}\n", fine(h, "tag unlock acme/m v1", "--reason=a wrong file"))
    assert untag(ours, "v1").status == 200


def test_a_repository_is_found_by_the_name_it_had_for_all_of_this(ours):
    h = ours.hubd
    move = json.dumps({"fromRepo": "acme/m", "toRepo": "acme/n", "type": "model"})
    granted = fine(h, "token create ann --name=g --grants=models/acme/m:write").strip()
    assert h.ask("/api/repos/move", "POST", move, h.tokens["ann"]).status == 200
    fine(h, "promotion set models/acme/m release --to=prod --require=scan")
    fine(h, "tag lock-rule set models/acme/m w*")
    assert [r["what"] for r in data(h, "promotion list models/acme/m") + data(h, "tag lock-rule list")] == ["models/acme/n"] * 2
    assert "scan" in refused(h, "tag promote acme/m v1 --to=prod")  # and not that the name is another one
    fine(h, "check set acme/m v1 scan passed")
    assert data(h, "tag promote acme/m v1 --to=prod")["commit"] == ours.ids[0]
    fine(h, "tag lock acme/m v2")
    assert {t["name"] for t in data(h, "tag status acme/m") if t["locked"]} == {"prod", "v2"}
    assert data(h, "tag log acme/m prod")["moves"][0]["act"] == "tag.promote"
    eve = environment(MATRIXHUB_URL=h.url, MATRIXHUB_TOKEN=h.tokens["bob"])
    assert "does not let bob" in refused(h, "tag promote acme/m v2 --to=prod", env=eve)
    assert "no repository" in refused(h, "tag status acme/none")  # twin
    another = Repo(h, "acme/m", h.tokens["ann"])  # which is another one now
    assert data(h, "tag status acme/m") == [] and another.commit(put("a", b"a"), token=granted).status == 403
    assert Repo(h, "acme/n", granted, make=False).commit(put("a", b"a")).status == 200


def test_to_unlock_is_an_administrators_act_with_a_reason_that_is_kept(ours):
    h = ours.hubd
    fine(h, "tag lock-rule set models/acme/m v*")
    refused(h, "tag unlock acme/m v1", status=2)
    empty = h.ask("/api/admin/v1/repos/models/acme%2Fm/tags/v1/lock", "DELETE", token=h.admin_token)
    assert empty.status == 400 and "reason" in empty.json["error"]
    assert h.ask("/api/admin/v1/repos/models/acme%2Fm/tags/v1/lock?reason=x", "DELETE", token=h.tokens["ann"]).status == 403
    assert locked(untag(ours, "v1"))
    fine(h, "tag unlock acme/m v1", "--reason=a wrong file")
    assert untag(ours, "v1").status == 200 and tag(ours, "v1").status == 200 and locked(untag(ours, "v1"))
    moves = data(h, "tag log acme/m v1")["moves"]
    assert [(m["act"], m["user"], m["reason"]) for m in moves] == [
        ("tag.create", "ann", None), ("tag.delete", "ann", None), ("tag.unlock", "admin", "a wrong file"), ("tag.create", "ann", None)]
    assert "there is no tag" in refused(h, "tag unlock acme/m v9 --reason=x")
    (told,) = [r for r in data(h, "audit query --kind=admin") if r.get("act") == "tag.unlock" and r["outcome"] == "done"]
    assert told["user"] == "admin" and "v1" in told["note"] and "a wrong file" in told["note"]
    refusals = [r for r in data(h, "audit query --kind=change") if r.get("act") == "tag.delete" and r["outcome"] == "refused"]
    assert refusals and all(r["user"] == "ann" and "locked" in r["why"] for r in refusals)


def test_a_tag_is_promoted_by_a_rule_and_taken_back(ours):
    h, (one, two, three) = ours.hubd, ours.ids
    assert "no rule" in promote(ours, "v1").json["error"]
    fine(h, "promotion set models/acme/m release --to=prod --from=v* --who=ann,acme:admin --require=eval@ci")
    assert promote(ours, "v1").status == 412
    assert ask(ours, f"/checks/{one}", "PUT", "bob", name="eval", result="passed").status == 200
    assert "if ci says so" in promote(ours, "v1").json["error"]
    said = ask(ours, "/checks/v1", "PUT", "ci", name="eval", result="passed", url="https://ci/1").json
    assert (said["name"], said["result"], said["user"], said["url"]) == ("eval", "passed", "ci", "https://ci/1")
    assert promote(ours, "v1", who="bob").status == 403 and promote(ours, "v1", who="eve").status == 403
    done = promote(ours, "v1", reason="tested")
    assert done.status == 200 and done.json == {"tag": "prod", "commit": one, "was": None, "rule": "release", "from": "refs/tags/v1",
                                                "checks": "eval by ci", "changed": True}
    assert promote(ours, "v1").json["changed"] is False and ours.read("w.txt", "prod") == b"1"
    assert "from" in promote(ours, "refs/heads/main").json["error"] and promote(ours, "v9").status == 400
    assert locked(tag(ours, "prod", three), "by promotion") if untag(ours, "prod").status == 200 else True
    assert tags(ours)["prod"] == one and locked(untag(ours, "prod"), "by promotion")
    fine(h, "check set acme/m", two, "eval", "passed")
    assert promote(ours, "v2").status == 412  # admin is not ci
    ask(ours, f"/checks/{two}", "PUT", "ci", name="eval", result="passed")
    assert "scan" in promote(ours, "v2", require=["scan"]).json["error"]
    fine(h, "check set acme/m v2 scan passed --url=https://scan/2")
    assert promote(ours, "v2", require=["scan"]).json["was"] == one and ours.read("w.txt", "prod") == b"2"
    assert [(c["name"], c["result"], c["user"]) for c in data(h, "check list acme/m", two)["checks"]] == [
        ("eval", "passed", "ci"), ("scan", "passed", "admin")]
    assert ask(ours, "/rollback/prod", "POST", "bob").status == 403
    back = ask(ours, "/rollback/prod", "POST", reason="it is slow").json
    assert (back["commit"], back["was"], back["rule"]) == (one, two, "release") and ours.read("w.txt", "prod") == b"1"
    assert ask(ours, "/rollback/prod", "POST").status == 400
    moves = data(h, "tag log acme/m prod")["moves"]
    assert [(m["act"], m["commit"], m["was"], m["user"], m["reason"], m["rule"], m["from"]) for m in moves] == [
        ("tag.rollback", one, two, "ann", "it is slow", "release", None), ("tag.promote", two, one, "ann", None, "release", "refs/tags/v2"),
        ("tag.promote", one, None, "ann", "tested", "release", "refs/tags/v1")]
    acts = [(r["act"], r.get("commit"), r["outcome"]) for r in data(h, "audit query --kind=change") if r.get("act") in ("tag.promote", "tag.rollback")]
    assert ("tag.promote", two, "done") in acts and ("tag.rollback", one, "done") in acts


def test_rules_are_told_and_their_tags_do_not_slip_away(ours):
    h = ours.hubd
    fine(h, "promotion set acme release --to=prod")
    assert "another tag" in refused(h, "promotion set acme release --to=test")
    fine(h, "promotion set acme release --to=prod --who=eve --require=eval@ci")
    assert all("names" in refused(h, f"user remove {name}") for name in ("eve", "ci"))
    fine(h, "promotion set acme release --to=prod")
    fine(h, "user remove eve")
    assert "no user or organization" in refused(h, "promotion set acme r2 --to=x --who=nobody")
    assert "no check" in refused(h, "promotion set acme r2 --to=x --require=a/b")
    assert "neither a namespace" in refused(h, "tag lock-rule set a--b v*")
    assert "hosted here" in refused(h, "tag lock-rule set models/acme/none v*")
    assert "name like" in refused(h, "tag lock-rule set acme v[1]")
    fine(h, "tag lock-rule set models/acme/m v*")
    fine(h, "tag lock-rule set acme prod")
    assert [(r["what"], r["tags"]) for r in data(h, "tag lock-rule list")] == [("acme", "prod"), ("models/acme/m", "v*")]
    assert [(r["what"], r["name"], r["to"], r["from"], r["who"]) for r in data(h, "promotion list")] == [("acme", "release", "prod", "*", [])]
    assert promote(ours, "v1", who="admin").status == 200  # who may administer it
    for role, status in ("write", 200), ("read", 403):  # with what token they write
        h.tokens[role] = fine(h, f"token create ann --name={role} --role={role}").strip()
        assert promote(ours, "v1", who=role).status == status
    h.tokens["granted"] = fine(h, "token create bob --name=g --grants=models/acme/m:write").strip()
    assert promote(ours, "v1", who="granted").status == 403  # who may not
    assert promote(ours, "v2", who="bob").status == 403
    assert locked(untag(ours, "prod", "admin"))
    fine(h, "promotion remove acme release --reason=over")
    assert locked(untag(ours, "prod")) and "no rule" in promote(ours, "v2").json["error"]
    fine(h, "tag lock-rule remove acme prod --reason=over")
    assert untag(ours, "prod").status == 200
    removed = [r["note"] for r in data(h, "audit query --kind=admin") if r.get("act", "").endswith("-rule.remove")]
    assert len(removed) == 2 and all("over" in note for note in removed)


def test_a_rule_whose_row_is_damaged_is_told_of_until_it_is_removed(ours, hub, hubd):
    h = ours.hubd
    fine(h, "tag lock-rule set acme v9", "--reason=damaged-one")
    fine(h, "tag lock-rule set acme v8", "--reason=twin-of-it")
    assert h.ask("/readyz").json["reasons"] == [] and not any(r["damaged"] for r in data(h, "tag lock-rule list"))
    h.stop()
    rows = h.data / "hub" / "data.mdb"
    rows.write_bytes(rows.read_bytes().replace(b"damaged-one", b"damagee-one"))
    h = hubd(hub, data=h.data)
    assert h.logged("rule about tags is damaged.*name=v9") and not h.logged("name=v8")
    assert h.ask("/readyz").json["reasons"] == ["rules"] and h.ask("/readyz").json["damaged_rules"] == 1
    assert h.ask("/readyz").json["names_kept"] == 0
    assert [r["tags"] for r in data(h, "tag lock-rule list") if r["damaged"]] == ["v9"]
    fine(h, "tag lock-rule remove acme v9 --reason=damaged")
    assert h.ask("/readyz").json["reasons"] == []


def test_a_body_that_makes_no_sense_is_refused_with_a_sentence(ours):
    for path, method, body in (("/promote/v1", "POST", {}), ("/promote/v1", "POST", {"to": "refs/heads/main"}), ("/promote/v1", "POST", {"to": 5}),
                               ("/promote/v1", "POST", {"to": "prod", "require": "x"}), ("/promote/v1", "POST", {"to": "prod", "require": ["a b"]}),
                               ("/promote/v1", "POST", {"to": "prod", "reason": "a\nb"}), ("/checks/v1", "PUT", {"name": "a"}),
                               ("/checks/v1", "PUT", {"name": "a/b", "result": "passed"}), ("/checks/v1", "PUT", {"name": "a", "result": "maybe"}),
                               ("/checks/v1", "PUT", {"name": "a", "result": "passed", "url": "javascript:x"})):
        got = ask(ours, path, method, **body)
        assert got.status == 400 and got.json["error"], (path, body, got)
    assert ask(ours, "/checks/none", "PUT", name="a", result="passed").headers["x-error-code"] == "RevisionNotFound"
    assert ask(ours, "/checks/none").headers["x-error-code"] == "RevisionNotFound"


def test_people_see_where_a_tag_has_been(ours):
    h = ours.hubd
    fine(h, "promotion set acme release --to=prod")
    assert "changed    yes" in re.sub(" +", "    ", fine(h, "tag promote acme/m v1 --to=prod --reason=go"))
    rows = fine(h, "tag log acme/m").splitlines()
    assert rows[0].split()[:4] == ["DATE", "REF", "ACT", "COMMIT"] and "refs/tags/prod" in rows[1] and "release" in rows[1] and len(rows) == 5
    assert len(fine(h, "tag log acme/m --limit=2").splitlines()) == 3
    assert len(fine(h, "tag log acme/m prod").splitlines()) == 2
    assert fine(h, "tag lock acme/m v1") == "tag v1 of acme/m is locked\n"
    asked = ctl(h, "tag log acme/m", env=environment(MATRIXHUB_URL=h.url, MATRIXHUB_TOKEN=h.tokens["eve"]))
    assert asked.returncode == 0, asked  # who may read
    eve = environment(MATRIXHUB_URL=h.url, MATRIXHUB_TOKEN=h.tokens["eve"])
    assert "not an administrator's" in refused(h, "tag lock acme/m v2", env=eve)


def test_matrixctl_tells_what_the_hub_said_of_a_promotion_that_is_not_allowed(ours):
    h = ours.hubd
    assert "no rule" in refused(h, "tag promote acme/m v1 --to=prod")
    fine(h, "promotion set acme release --to=prod --who=ann")
    said = refused(h, "tag promote acme/m v1 --to=prod")
    assert 'The rule "release" does not let admin promote to "prod" (HTTP 403)' in said and "administrator" not in said


def test_a_client_is_told_why_and_reads_refs_as_ever(ours):
    h = ours.hubd
    api = HfApi(endpoint=h.url, token=h.tokens["ann"])
    fine(h, "promotion set acme release --to=prod")
    assert promote(ours, "v2").status == 200
    fine(h, "tag lock acme/m v1", "--reason=on sale")
    for act in (lambda: api.delete_tag("acme/m", tag="v1"), lambda: api.create_branch("acme/m", branch="v1"),
                lambda: api.delete_repo("acme/m"), lambda: api.delete_tag("acme/m", tag="prod"), lambda: api.create_branch("acme/m", branch="prod")):
        with pytest.raises(HfHubHTTPError) as raised:
            act()
        assert raised.value.response.status_code == 403 and "locked" in str(raised.value) or "by promotion alone" in str(raised.value)
    api.create_tag("acme/m", tag="v1", exist_ok=True)  # over what is there nobody makes one
    assert {t.name: t.target_commit for t in api.list_repo_refs("acme/m").tags} == dict(zip(("v1", "v2", "v3", "prod"), [*ours.ids, ours.ids[1]]))
    assert api.model_info("acme/m", revision="prod").sha == ours.ids[1]


def test_neither_a_move_nor_a_cut_nor_a_deletion_for_good_gets_at_a_locked_version(ours):
    h, big = ours.hubd, b"weights" * 100
    ours.send(big)
    ours.done(lfs("w.bin", big))
    assert tag(ours, "v4").status == 200
    oid = hashlib.sha256(big).hexdigest()

    def move(name):
        return h.ask("/api/repos/move", "POST", json.dumps({"fromRepo": "acme/m", "toRepo": f"acme/{name}", "type": "model"}), h.tokens["ann"])

    def purge(rewrite):
        return ask(ours, "/lfs-files/batch", "POST", deletions={"sha": [oid], "rewriteHistory": rewrite})
    fine(h, "tag lock acme/m v4")
    assert locked(move("n"), '"v4"') and locked(purge(False)) and locked(purge(True))
    at = tags(ours)
    assert ask(ours, "/super-squash/main", "POST", message="one").status == 200 and tags(ours) == at
    assert ours.read("w.bin", "v4") == big and ours.read("w.txt", "v1") == b"1"
    fine(h, "tag unlock acme/m v4 --reason=over")
    held = ours.done(drop("w.bin"))
    assert tag(ours, "v5").status == 200
    fine(h, "tag lock acme/m v5")  # whose commit has it no more, but those before it
    assert held and locked(purge(False), "w.bin") and locked(purge(True), "w.bin") and ours.read("w.bin", "v4") == big
    fine(h, "tag unlock acme/m v5 --reason=over")
    assert move("n").status == 200


def test_what_a_model_was_made_from_is_told_both_ways(ours):
    h = ours.hubd
    card = "---\nbase_model: {}\n{}---\n# x\n"
    ours.done(put("README.md", card.format("up/base", "base_model_relation: finetune\n").encode()))
    child = Repo(h, "acme/small", h.tokens["ann"])
    child.done(put("README.md", card.format("acme/m", "base_model_relation: quantized\n").encode()))
    told = eventually(lambda: (t := data(h, "repo lineage acme/m"))["descendants"] and t["ancestors"] and t, DEADLINE)
    assert told["ancestors"] == [{"id": "up/base", "from": "acme/m", "relation": "finetune", "depth": 1, "hosted": False}]
    assert told["descendants"] == [{"id": "acme/small", "from": "acme/m", "relation": "quantized", "depth": 1, "hosted": True}]
    assert [s["id"] for s in data(h, "repo lineage up/base")["descendants"]] == ["acme/m", "acme/small"]
    assert [s["id"] for s in data(h, "repo lineage acme/small")["ancestors"]] == ["acme/m", "up/base"]
    assert [r["id"] for r in h.ask("/api/models?filter=base_model:acme/m", token=h.tokens["ann"]).json] == ["acme/small"]
    child.done(put("README.md", b"# x\n"))
    assert eventually(lambda: not data(h, "repo lineage acme/m")["descendants"], DEADLINE)


def test_rules_with_names_that_cannot_be_are_refused_as_such(ours):
    h = ours.hubd
    good = {"what": "acme", "name": "r", "to": "prod", "from": "v*", "who": ["ann"], "require": ["eval"]}
    for wrong, words in ({"name": "a b"}, "no name of a rule"), ({"to": "a..b"}, "no tag can be called"), ({"from": "a..b"}, "no tag can"), \
            ({"from": "v*,w*"}, "a rule for each"), ({"who": ["ann:owner"]}, "neither a user"), ({"require": ["a b"]}, "no check"):
        got = h.ask("/api/admin/v1/promotion-rules", "PUT", json.dumps(good | wrong), h.admin_token)
        assert got.status == 400 and words in got.json["error"], (wrong, got)
    assert "a rule for each" in refused(h, "tag lock-rule set acme v*,w*") and "no tag can" in refused(h, "tag lock-rule set acme a..b")
    assert data(h, "tag lock-rule list") == data(h, "promotion list") == []
    assert "no user or organization" in h.ask("/api/admin/v1/promotion-rules", "PUT", json.dumps(good | {"who": ["nobody"]}), h.admin_token).json["error"]
    assert h.ask("/api/admin/v1/promotion-rules", "PUT", json.dumps(good), h.admin_token).status == 200
