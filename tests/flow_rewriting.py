"""What is done to a hosted repository's history: squashed, copied to another repository, told file by file, and cut."""
import hashlib
import json
import random

import pytest

from flow_hub_rights import People
from mountlib import DEADLINE, eventually
from registry import Git, Repo, blob_id, drop, lfs, pointer, put


@pytest.fixture
def ours(hub, hubd):
    h = hubd(hub)
    return Repo(h, "admin/one", h.admin_token)


def data_of(n):
    return random.Random(n).randbytes(4000)


def oid(data):
    return hashlib.sha256(data).hexdigest()


def filled(repo):
    """Five commits: two LFS files, of which one is changed once, beside a text; a tag at the third, a branch with a file of its own."""
    for n in range(4):
        repo.send(data_of(n))
    repo.done(put("a.txt", b"a"))
    repo.done(lfs("w/x.bin", data_of(0)), lfs("w/y.bin", data_of(1)), summary="weights")
    assert repo.ask(f"{repo.api}/tag/main", "POST", tag="v1").status == 200
    repo.done(lfs("w/x.bin", data_of(2)), summary="better")
    assert repo.ask(f"{repo.api}/branch/dev", "POST").status == 200
    repo.done(lfs("w/z.bin", data_of(3)), branch="dev", summary="tried")
    return repo.done(put("a.txt", b"b"), summary="text")


def squash(repo, branch="main", **body):
    return repo.ask(f"{repo.api}/super-squash/{branch}", "POST", **body)


def listed(repo, query=""):
    items, _ = repo.hubd.pages(f"{repo.api}/lfs-files{query}", repo.token)
    return items


def cut(repo, *datas, rewrite=True):
    return repo.ask(f"{repo.api}/lfs-files/batch", "POST", deletions={"sha": [oid(d) for d in datas], "rewriteHistory": rewrite})


def test_a_message_that_is_none_squashes_nothing(ours):
    ours.done(put("a.txt", b"a"))
    for message in "x" * 65537, 5, ["x"]:
        got = squash(ours, message=message)
        assert got.status == 400 and "message" in got.json["error"], got
    assert len(ours.log()) == 2 and squash(ours, message=None).status == 200
    assert squash(ours, message="x" * 65536).status == 200 and len(ours.log()) == 1


def test_a_squashed_branch_is_one_commit_of_the_same_files(ours, tmp_path):
    head = filled(ours)
    tree, dev = ours.tree(), ours.head("dev")
    assert squash(ours, message="all of it").status == 200
    (commit,) = ours.log()
    assert commit["title"] == "all of it" and commit["id"] == ours.head() != head and ours.tree() == tree
    git = Git(tmp_path)
    files = {".gitattributes": ours.read(".gitattributes"), "a.txt": b"b", "w/x.bin": pointer(data_of(2)), "w/y.bin": pointer(data_of(1))}
    assert git.commit(files, commit) == commit["id"]
    assert ours.head("dev") == dev and len(ours.log("dev")) == 5 and ours.head("v1") and ours.read("w/x.bin") == data_of(2)  # twin
    assert squash(ours, "dev").status == 200 and [c["title"] for c in ours.log("dev")] == ["Super-squash branch 'dev'"]
    for name in "none", "v1", "refs%2Ftags%2Fv1", "0" * 40:
        assert squash(ours, name).headers["x-error-code"] == "RevisionNotFound"
    assert ours.done(put("c", b"c"), parent=commit["id"]) == ours.head()


def say(repo, commit, name, result="passed"):
    assert repo.ask(f"{repo.api}/checks/{commit}", "PUT", name=name, result=result).status == 200


def said(repo, revision):
    return {c["name"]: c["result"] for c in repo.ask(f"{repo.api}/checks/{revision}").json["checks"]}


def test_checks_follow_a_commit_that_is_written_anew_with_the_same_files_and_no_other(ours):
    for n in range(2):
        ours.send(data_of(n))
    first = ours.head()
    weights = ours.done(lfs("x.bin", data_of(0)), lfs("y.bin", data_of(1)))
    clean = ours.done(drop("x.bin"))
    for commit, name, result in (first, "scan", "passed"), (weights, "eval", "passed"), (clean, "eval", "passed"), (clean, "scan", "failed"):
        say(ours, commit, name, result)
    at = ours.ask(f"{ours.api}/checks/{clean}").json["checks"]
    assert ours.ask(f"{ours.api}/branch/one", "POST", startingPoint=clean).status == 200
    assert squash(ours, "one").status == 200 and ours.head("one") != clean
    assert ours.ask(f"{ours.api}/checks/one").json["checks"] == at and said(ours, clean) == {"eval": "passed", "scan": "failed"}
    assert cut(ours, data_of(0)).status == 200  # of the weights a file is cut out; what came then has the same files as ever
    now = [c["id"] for c in ours.log()]
    assert now[0] != clean and now[1] != weights and now[2] == first
    assert [said(ours, c) for c in now] == [{"eval": "passed", "scan": "failed"}, {}, {"scan": "passed"}]
    assert ours.done(put("a.txt", b"a")) and said(ours, "main") == {}  # twin: another commit


def test_a_copy_has_the_whole_history_and_a_life_of_its_own(ours):
    h = ours.hubd
    filled(ours)
    ours.ask(f"{ours.api}/settings", "PUT", private=True)
    got = ours.ask(f"{ours.api}/duplicate", "POST", repository="admin/two")
    assert got.status == 200 and got.json["url"] == f"{h.url}/admin/two"
    two = Repo(h, "admin/two", ours.token, make=False)
    assert (two.tree(), two.log(), two.log("dev"), two.head("v1")) == (ours.tree(), ours.log(), ours.log("dev"), ours.head("v1"))
    assert two.read("w/z.bin", "dev") == data_of(3) and h.ask(two.api).status == 401  # as private as the other one
    again = ours.ask(f"{ours.api}/duplicate", "POST", repository="admin/two")
    assert again.status == 409 and again.json["url"] == got.json["url"]
    assert ours.ask(f"{ours.api}/duplicate", "POST", repository="admin/three", visibility="public").status == 200
    assert h.ask("/api/models/admin/three").json["private"] is False
    ours.done(put("only.txt", b"here"))
    assert "only.txt" not in two.tree() and ours.remove().status == 200 and two.read("w/x.bin") == data_of(2)
    for body, status in ({"repository": "nobody/x"}, 403), ({"repository": "x"}, 400), ({}, 400):
        assert two.ask(f"{two.api}/duplicate", "POST", **body).status == status, body
    assert two.ask("/api/spaces/admin/none/duplicate", "POST", repository="admin/x").headers["x-error-code"] == "RepoNotFound"


def test_who_may_read_may_copy_and_who_was_not_let_in_may_not(ours):
    h = ours.hubd
    p = People(h)
    p.do("user eve", f"token eve t admin {p.value('eve')}")

    def copy(to):
        return p.ask("eve", f"{ours.api}/duplicate", "POST", json.dumps({"repository": to}))
    assert copy("admin/x").status == 403 and copy("eve/x").status == 200
    ours.ask(f"{ours.api}/settings", "PUT", gated="manual")
    assert copy("eve/y").headers["x-error-code"] == "GatedRepo"
    ours.ask(f"{ours.api}/user-access-request/grant", "POST", user="eve")
    assert copy("eve/y").status == 200 and p.ask("eve", "/api/models/eve/y").json["gated"] == "manual"
    ours.ask(f"{ours.api}/settings", "PUT", private=True)
    assert copy("eve/z").headers["x-error-code"] == "RepoNotFound"


def test_all_lfs_files_of_the_history_are_listed_in_pages(ours):
    assert listed(ours) == []
    filled(ours)
    files = {f["fileOid"]: f for f in listed(ours)}
    assert {f: files[f]["filename"] for f in files} == {oid(data_of(0)): "w/x.bin", oid(data_of(1)): "w/y.bin", oid(data_of(2)): "w/x.bin",
                                                        oid(data_of(3)): "w/z.bin"}
    assert all(f["size"] == 4000 and f["oid"] == f["fileOid"] and f["pushedAt"].endswith("Z") for f in files.values())
    assert files[oid(data_of(3))]["ref"] == "dev" and files[oid(data_of(1))]["ref"] == "main"  # as clients compare them
    assert listed(ours, "?limit=1") == listed(ours)
    squash(ours)
    squash(ours, "dev")
    ours.ask(f"{ours.api}/tag/v1", "DELETE")
    assert {f["fileOid"]: f["filename"] for f in listed(ours)}[oid(data_of(0))] == ""  # nothing names it any more


def test_files_are_cut_out_of_all_commits_and_the_rest_stays(ours, tmp_path):
    h = ours.hubd
    filled(ours)
    old, first = [c["id"] for c in ours.log()], ours.log()[-1]["id"]
    tagged = ours.head("v1")
    assert cut(ours, data_of(0), data_of(3)).status == 200
    log = ours.log()
    assert [c["title"] for c in log] == ["text", "better", "weights", "a change", "initial commit"]
    assert log[-1]["id"] == first and log[-2]["id"] == old[-2] and not {c["id"] for c in log[:3]} & set(old)
    assert "w/x.bin" not in ours.tree("v1") and ours.tree("v1")["w/y.bin"] and ours.read("w/x.bin") == data_of(2)
    assert "w/z.bin" not in ours.tree("dev") and ours.head("v1") == log[2]["id"] != tagged
    for commit in (tagged, *old[:3]):  # what it was is not found by any name
        for path in f"{ours.api}/revision/{commit}", f"/admin/one/resolve/{commit}/w/x.bin", f"/admin/one/resolve/{commit}/a.txt":
            assert h.ask(path).headers["x-error-code"] == "RevisionNotFound", path
    assert {f["fileOid"] for f in listed(ours)} == {oid(data_of(1)), oid(data_of(2))}
    # As if it had been so from the beginning.
    git, files, parent = Git(tmp_path), {".gitattributes": ours.read(".gitattributes")}, None
    for commit, more in zip(reversed(log), ({}, {"a.txt": b"a"}, {"w/y.bin": pointer(data_of(1))}, {"w/x.bin": pointer(data_of(2))}, {"a.txt": b"b"})):
        files |= more
        parent = git.commit(files, commit, parent)
        assert parent == commit["id"]
    # To be had again they must be sent again.
    assert ours.commit(lfs("again.bin", data_of(0))).status == 400 and ours.send(data_of(0))
    assert ours.done(lfs("again.bin", data_of(0))) and ours.read("again.bin") == data_of(0)


def test_what_was_made_from_a_commit_that_goes_goes_too_and_the_collector_goes_on(ours):
    h = ours.hubd
    ours.send(data_of(1))
    ours.done(lfs("w.bin", data_of(1)))
    clean = ours.done(drop("w.bin"), put("a.txt", b"a"))
    assert squash(ours).status == 200 and ours.read("a.txt", clean) == b"a"
    assert cut(ours, data_of(1)).status == 200
    assert ours.ask(f"{ours.api}/branch/again", "POST", startingPoint=clean).status == 404
    assert ours.ask(f"{ours.api}/duplicate", "POST", repository="admin/two").status == 200
    job = h.ask("/api/admin/v1/collect", "POST", "{}", h.admin_token, Content_Type="application/json")
    assert job.status < 300
    assert eventually(lambda: h.ask(f"/api/admin/v1/jobs/{job.json['id']}", token=h.admin_token).json["state"] == "done", DEADLINE)
    assert h.ask("/api/admin/v1/collect", token=h.admin_token).json["left_alone"] == 0


def test_a_pull_request_follows_a_history_that_is_written_anew(ours):
    ours.send(data_of(1))
    ours.done(put("a.txt", b"a"), put("b.txt", b"b"))
    ours.done(lfs("w.bin", data_of(1)))
    text = "\n".join([json.dumps({"key": "header", "value": {"summary": "less"}}), drop("a.txt")])
    made = ours.hubd.ask(f"{ours.api}/commit/main?create_pr=1", "POST", text, ours.token, Content_Type="application/x-ndjson")
    assert made.status == 200 and cut(ours, data_of(1)).status == 200
    diff = ours.hubd.ask(f"{ours.api}/discussions/1?diff=1", token=ours.token).json["diff"]
    assert "-a" in diff and "b.txt" not in diff
    merged = ours.hubd.ask(f"{ours.api}/discussions/1/merge", "POST", "{}", ours.token, Content_Type="application/json")
    assert merged.status == 200 and set(ours.tree()) == {".gitattributes", "b.txt"}


def test_a_repository_of_another_ones_name_lists_what_it_has_itself(ours):
    """Twin: a copy has the commits of what it was made from, and here fewer files."""
    filled(ours)
    assert ours.ask(f"{ours.api}/duplicate", "POST", repository="admin/two").status == 200
    copy = Repo(ours.hubd, "admin/two", ours.token, make=False)
    assert cut(copy, data_of(1), rewrite=False).status == 200
    all_of, fewer, head = ours.tree(), copy.tree(), ours.head()
    assert copy.head() == head and set(all_of) - set(fewer) == {"w/y.bin"}
    assert ours.remove().status == 200
    assert copy.ask("/api/repos/move", "POST", fromRepo="admin/two", toRepo="admin/one").status == 200
    assert ours.head() == head and ours.tree() == fewer
    assert [i["path"] for i in ours.hubd.pages(f"{ours.api}/tree/main?limit=2&recursive=true", ours.token)[0]] == list(fewer)


def test_without_rewriting_commits_stay_and_the_files_are_gone(ours, hubd, hub):
    head = filled(ours)
    log, tagged = [c["id"] for c in ours.log()], ours.head("v1")
    blob = ours.tree("v1")["w/y.bin"]
    assert ours.read("w/y.bin") == data_of(1) and blob == blob_id(pointer(data_of(1)))
    assert cut(ours, data_of(1), b"absent", rewrite=False).status == 200
    assert ours.head() == head and [c["id"] for c in ours.log()] == log and ours.head("v1") == tagged

    def check(repo):
        for revision in "main", "v1", tagged:
            assert "w/y.bin" not in repo.tree(revision) and repo.tree(revision)["w/x.bin"]
            assert repo.hubd.ask(f"/admin/one/resolve/{revision}/w/y.bin").headers["x-error-code"] == "EntryNotFound"
        assert oid(data_of(1)) not in {f["fileOid"] for f in listed(repo)}
        assert repo.commit(lfs("y.bin", data_of(1))).status == 400
    check(ours)
    ours.hubd.stop()
    ours.hubd = hubd(hub, data=ours.hubd.data)
    check(ours)
    assert ours.send(data_of(1)) and ours.done(lfs("y.bin", data_of(1))) and ours.read("y.bin") == data_of(1)
    assert cut(ours, data_of(0), data_of(1), data_of(2), data_of(3)).status == 200  # and out of the history, too
    assert listed(ours) == [] and set(ours.tree()) == {".gitattributes", "a.txt"} == set(ours.tree("dev"))


def test_what_makes_no_sense_cuts_nothing_and_others_may_not(ours):
    filled(ours)
    was = ours.head(), ours.head("v1"), listed(ours)
    for body in ({}, {"deletions": []}, {"deletions": {}}, {"deletions": {"sha": ["x"]}}, {"deletions": {"sha": [oid(b"")], "rewriteHistory": "no"}}):
        assert ours.ask(f"{ours.api}/lfs-files/batch", "POST", **body).status == 400, body
    assert cut(ours).status == cut(ours, b"absent").status == 200
    assert ours.hubd.ask(f"{ours.api}/lfs-files/batch", "POST", "{}").status == 401 == squash(Repo(ours.hubd, "admin/one", None, make=False)).status
    assert (ours.head(), ours.head("v1"), listed(ours)) == was
    squash(ours, message="m")
    cut(ours, data_of(1))
    ours.ask(f"{ours.api}/duplicate", "POST", repository="admin/two")
    told = ours.hubd.ask("/api/admin/v1/audit?kind=change&limit=100", token=ours.token).json["items"]
    assert [(r["act"], r["repo"], r.get("note")) for r in told if r.get("act") in ("repo.squash", "lfs.delete", "repo.duplicate")][-3:] == [
        ("repo.squash", "models/admin/one", "refs/heads/main"), ("lfs.delete", "models/admin/one", "1 files, 4 commits written anew"),
        ("repo.duplicate", "models/admin/two", "of admin/one")]


def test_what_a_lock_holds_is_not_moved_nor_cut_and_the_rest_is(ours):
    filled(ours)
    h, tag = ours.hubd, "/api/admin/v1/repos/models/admin%2Fone/tags/v1/lock"
    assert h.ask(tag, "PUT", json.dumps({"reason": "released"}), ours.token, Content_Type="application/json").status == 200
    was = ours.head("v1"), listed(ours)
    for got in (ours.ask("/api/repos/move", "POST", fromRepo="admin/one", toRepo="admin/two"), ours.remove(),
                cut(ours, data_of(0)), cut(ours, data_of(0), rewrite=False), cut(ours, data_of(1))):
        assert got.status == 403 and "lock" in got.json["error"], got
    assert (ours.head("v1"), listed(ours)) == was and h.ask("/api/models/admin/two", token=ours.token).status == 404
    # What is beside it may go, and branches may be squashed: the commit that is held stays.
    assert cut(ours, data_of(3)).status == 200 and squash(ours).status == 200 and len(ours.log()) == 1
    assert ours.head("v1") == was[0] and ours.read("w/x.bin", "v1") == data_of(0)
    assert h.ask(f"{tag}?reason=withdrawn", "DELETE", token=ours.token).status in (200, 204)
    assert cut(ours, data_of(0)).status == 200 and ours.ask("/api/repos/move", "POST", fromRepo="admin/one", toRepo="admin/two").status == 200


def test_two_revisions_are_compared_as_git_does(ours, tmp_path):
    filled(ours)
    ours.done(put("bin.dat", b"\0" * 100), put("dir/n.txt", b"n"))

    def compare(what, query="?raw=true"):
        return ours.hubd.ask(f"{ours.api}/compare/{what}{query}")
    got = compare("v1..main")
    assert got.status == 200 and got.headers["content-type"].startswith("text/plain")
    now, then = ours.tree(), ours.tree("v1")

    def told(kind, size, path):
        old, new = then.get(path, "0" * 40), now.get(path, "0" * 40)
        return (f"{kind} {size}\t:{'100644' if path in then else '000000'} {'100644' if path in now else '000000'} {old}... {new}... "
                f"{'M' if path in then and path in now else 'A' if path in now else 'D'}\t{path}")
    assert got.body.decode().splitlines() == [told("T", 1, "a.txt"), told("B", 100, "bin.dat"), told("T", 1, "dir/n.txt"), told("T", 4000, "w/x.bin")]
    assert "D\tdir/n.txt" in compare(f"main..{ours.head('v1')}").body.decode() and compare("main..main").body == b""
    assert compare("main..none").headers["x-error-code"] == "RevisionNotFound"
    for what in "main", "main..", "..main":
        assert compare(what).status == 400
    assert compare("v1..main", "").status == 400

    def kinds(what):
        got = compare(what)
        assert got.status == 200, got
        return [line.rsplit(" ", 1)[1] for line in got.body.decode().splitlines()]
    # In the order of whole paths; where a directory takes the place of a file, that goes and what is in it comes.
    was = ours.head()
    ours.done(put("dir.x", b"1"), put("dir0", b"2"), put("dir/m", b"3"), drop("a.txt"), put("a.txt/in", b"4"))
    assert kinds(f"{was[:8]}..main") == ["D\ta.txt", "A\ta.txt/in", "A\tdir.x", "A\tdir/m", "A\tdir0"]
    # Twin: what was deleted for good is on no side of any commit.
    start = ours.log()[-1]["id"]
    assert "A\tw/y.bin" in kinds(f"{start}..main")
    assert cut(ours, data_of(1), rewrite=False).status == 200
    assert "A\tw/x.bin" in kinds(f"{start}..main") and "A\tw/y.bin" not in kinds(f"{start}..main")
