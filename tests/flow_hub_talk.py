"""What people say of repositories that matrixhubd hosts: discussions, pull requests and their merging; and who may, to the last word."""
import concurrent.futures
import json
import subprocess
import urllib.parse

import pytest

from registry import Repo, drop, lfs, put


@pytest.fixture
def ours(hub, hubd):
    """A hub with a repository of the administrator's, of one commit."""
    h = hubd(hub)
    return Repo(h, "admin/one", h.admin_token)


def ask(repo, path, method="GET", token=None, **body):
    """(status, JSON) of what a client says to the discussions of a repository."""
    got = repo.hubd.ask(f"{repo.api}/discussions{path}", method, json.dumps(body) if method != "GET" else None, token or repo.token,
                        Content_Type="application/json")
    return got.status, got.json


def say(repo, path, **body):
    status, told = ask(repo, path, "POST", **body)
    assert status == 200, told
    return told


def show(repo, num, diff=False):
    status, told = ask(repo, f"/{num}{'?diff=1' if diff else ''}")
    assert status == 200, told
    return told


def pull(repo, *lines, branch="main", **kw):
    """The number of a pull request that a commit opens, and the commit."""
    got = repo.hubd.ask(f"{repo.api}/commit/{urllib.parse.quote(branch, safe='')}?create_pr=1", "POST",
                        "\n".join([json.dumps({"key": "header", "value": {"summary": "a proposal", **kw}}), *lines]), repo.token,
                        Content_Type="application/x-ndjson")
    assert got.status == 200, got
    url = got.json["pullRequestUrl"]
    assert url.startswith(f"{repo.hubd.url}{repo.prefix}/{repo.id}/discussions/")
    return int(url.rsplit("/", 1)[1]), got.json["commitOid"]


def test_what_is_said_is_told_in_its_order(ours):
    num = say(ours, "", title=" First \t", description="why *not*? <b>")["num"]
    said = say(ours, f"/{num}/comment", comment="because")["newMessage"]
    named = say(ours, f"/{num}/title", title="Second")["newTitle"]
    closed = say(ours, f"/{num}/status", status="closed", comment="enough")["newStatus"]
    told = show(ours, num)
    assert (told["title"], told["status"], told["isPullRequest"], told["author"]["name"]) == ("Second", "closed", False, "admin")
    assert told["repo"] == {"name": "admin/one", "type": "model"} and told["numComments"] == 3
    kinds = [e["type"] for e in told["events"]]
    assert kinds == ["comment", "comment", "title-change", "status-change", "comment"]
    first = told["events"][0]["data"]
    assert first["latest"]["raw"] == "why *not*? <b>" and first["latest"]["html"] == "why *not*? &lt;b&gt;" and not first["edited"]
    assert told["events"][1:4] == [said, named, closed]
    assert named["data"] == {"from": "First", "to": "Second"} and closed["data"] == {"status": "closed"}
    assert len({e["id"] for e in told["events"]}) == 5
    assert "changes" not in told and ask(ours, "/2")[0] == 404 and ask(ours, "/2/comment", "POST", comment="x")[0] == 404


def test_lists_come_in_pages_and_by_what_is_asked_for(ours):
    for n in range(1, 54):
        say(ours, "", title=f"t{n}", pullRequest=n % 10 == 0)
    say(ours, "/7/status", status="closed")

    def nums(query):
        return [d["num"] for d in ask(ours, query)[1]["discussions"]]
    first, second = ask(ours, "")[1], ask(ours, "?p=1")[1]
    assert (first["count"], first["start"], len(first["discussions"])) == (53, 0, 50) and first["discussions"][0]["num"] == 53
    assert (second["count"], second["start"]) == (53, 50) and nums("?p=1") == [3, 2, 1] and nums("?p=2") == []
    assert nums("?type=pull_request") == [50, 40, 30, 20, 10] and 50 not in nums("?type=discussion")
    assert nums("?status=closed") == [7] and 7 not in nums("?status=open") and len(nums("?status=all&type=all")) == 50
    assert nums("?author=nobody") == [] and ask(ours, "?author=Admin")[1]["count"] == 53


def test_a_comment_is_edited_and_hidden_for_ever(ours):
    say(ours, "", title="t", description="first")
    one = show(ours, 1)["events"][0]["id"]
    edited = say(ours, f"/1/comment/{one}/edit", content="second")["updatedComment"]
    assert edited["id"] == one and edited["data"]["edited"] and edited["data"]["latest"]["raw"] == "second"
    assert [h["raw"] for h in edited["data"]["history"]] == ["first"]
    hidden = say(ours, f"/1/comment/{one}/hide")["updatedComment"]["data"]
    assert hidden["hidden"] and hidden["history"] == [] and "second" not in json.dumps(hidden)
    assert ask(ours, f"/1/comment/{one}/edit", "POST", content="x")[0] == 400
    assert ask(ours, f"/1/comment/{'0' * 24}/hide", "POST")[0] == 404 and ask(ours, f"/1/comment/{one}/burn", "POST")[0] == 404


def test_what_makes_no_sense_is_refused(ours):
    for body in {}, {"title": ""}, {"title": " \n"}, {"title": "x" * 257}, {"title": 5}, {"title": "x", "description": "x" * 65537}:
        assert ask(ours, "", "POST", **body)[0] == 400, body
    assert ask(ours, "", "POST", title="a\u0007b")[1]["error"] == '"title" holds a control character'
    for query in "?p=-1", "?p=x", "?p=", "?type=bogus", "?status=bogus", "?status=open&type=pr":
        assert ask(ours, query)[0] == 400, query
    assert ask(ours, "?p=0&type=all&status=")[0] == 200
    say(ours, "", title="line\nbreak")
    assert show(ours, 1)["title"] == "line break"
    for path, body in ("comment", {}), ("comment", {"comment": "x" * 65537}), ("title", {"title": ""}), ("status", {"status": "merged"}), \
            ("status", {"status": "open"}), ("status", {}):
        assert ask(ours, f"/1/{path}", "POST", **body)[0] == 400, (path, body)
    for path in "/0", "/01", "/x", "/999999999", "/1/merge":
        assert ask(ours, path, "GET" if "merge" not in path else "POST")[0] == 404, path
    assert len(show(ours, 1)["events"]) == 1


def test_a_commit_opens_a_pull_request_and_main_stays(ours):
    before = ours.head()
    num, commit = pull(ours, put("a.txt", b"a"), description="it is better")
    assert ours.head() == before and ours.hubd.ask(f"{ours.api}/revision/refs%2Fpr%2F1").json["sha"] == commit
    told = show(ours, num)
    assert (num, told["title"], told["status"], told["isPullRequest"]) == (1, "a proposal", "open", True)
    assert told["changes"] == {"base": "refs/heads/main"} and told["filesWithConflicts"] == []
    assert [(e["type"], e["data"].get("oid")) for e in told["events"]] == [("comment", None), ("commit", commit)]
    assert told["events"][0]["data"]["latest"]["raw"] == "it is better"
    more = ours.done(put("b.txt", b"b"), branch="refs/pr/1", summary="more of it")
    assert show(ours, 1)["events"][2]["data"] == {"subject": "more of it", "oid": more}
    assert ours.hubd.ask(f"/admin/one/resolve/refs%2Fpr%2F1/b.txt").body == b"b" and ours.read("b.txt", "refs/pr/1") == b"b"
    assert [c["id"] for c in ours.log("refs%2Fpr%2F1")] == [more, commit, before]
    refs = ours.hubd.ask(f"{ours.api}/refs?include_prs=1").json["pullRequests"]
    assert refs == [{"name": "1", "ref": "refs/pr/1", "targetCommit": more}]
    assert "pullRequests" not in ours.hubd.ask(f"{ours.api}/refs").json
    assert ours.commit(put("x", b"x"), branch="refs/pr/2").status == 404
    for rev in before, "missing":
        got = ours.hubd.ask(f"{ours.api}/commit/{rev}?create_pr=1", "POST",
                            json.dumps({"key": "header", "value": {"summary": "x"}}) + "\n" + put("x", b"x"), ours.token)
        assert got.status == 404 and got.headers["x-error-code"] == "RevisionNotFound"
    assert ask(ours, "")[1]["count"] == 1


def test_a_commit_that_comes_again_opens_no_second_pull_request(ours):
    first = pull(ours, put("a.txt", b"a"))
    assert ours.done(put("b.txt", b"b"), branch="refs/pr/1") and pull(ours, put("a.txt", b"a")) == first
    assert pull(ours, put("a.txt", b"other"))[0] == 2
    say(ours, "/1/status", status="closed")
    assert pull(ours, put("a.txt", b"a"))[0] == 3


def test_a_pull_request_is_made_from_the_commit_it_names(ours):
    first = ours.head()
    ours.done(put("later.txt", b"x"))
    num, commit = pull(ours, put("a.txt", b"a"), parentCommit=first)
    assert "later.txt" not in ours.tree(commit) and ours.log(commit)[1]["id"] == first
    assert say(ours, f"/{num}/merge")["mergeCommitId"] == ours.head()
    assert {"later.txt", "a.txt"} <= set(ours.tree())


def test_a_merge_is_one_commit_that_names_what_it_brings(ours):
    ours.done(put("old.txt", b"old"), put("dir/x.txt", b"x"), put("keep.txt", b"k"))
    num, one = pull(ours, put("new.txt", b"new"), drop("old.txt"))
    two = ours.done(drop("dir/"), put("dir", b"a file now"), branch="refs/pr/1", summary="dir")
    ours.done(put("keep.txt", b"other"))
    before = ours.head()
    merged = say(ours, "/1/merge", comment="thanks")["mergeCommitId"]
    newest, next_, *_ = ours.log()
    assert newest["id"] == merged == ours.head() and next_["id"] == before
    assert newest["title"] == "a proposal (#1)" and newest["message"] == f"- a proposal ({one})\n- dir ({two})"
    assert set(ours.tree()) == {".gitattributes", "new.txt", "dir", "keep.txt"} and ours.read("keep.txt") == b"other"
    told = show(ours, 1)
    assert told["status"] == "merged" and told["changes"]["mergeCommitId"] == merged
    assert [e["type"] for e in told["events"]][-2:] == ["comment", "status-change"] and told["events"][-1]["data"]["status"] == "merged"
    for path, body in ("merge", {}), ("status", {"status": "open"}), ("status", {"status": "closed"}):
        assert ask(ours, f"/1/{path}", "POST", **body)[0] == 400, path
    assert ours.commit(put("x", b"x"), branch="refs/pr/1").status == 400 and ours.head() == merged
    assert num == 1 and ask(ours, "?status=closed")[1]["count"] == 1


def test_conflicts_are_told_and_keep_both_sides(ours):
    ours.done(put("both.txt", b"0"), put("gone.txt", b"0"), put("same.txt", b"0"), put("theirs.txt", b"0"))
    pull(ours, put("both.txt", b"1"), put("gone.txt", b"1"), put("same.txt", b"1"), put("theirs.txt", b"1"), put("d/new", b"1"))
    head = ours.done(put("both.txt", b"2"), drop("gone.txt"), put("same.txt", b"1"), put("d", b"a file"))
    told = show(ours, 1)
    assert told["filesWithConflicts"] == ["both.txt", "d/new", "gone.txt"]
    status, said = ask(ours, "/1/merge", "POST")
    assert status == 409 and "conflict" in said["error"] and "both.txt" in said["error"]
    assert ours.head() == head and show(ours, 1)["status"] == "open"
    for line in put("both.txt", b"2"), drop("gone.txt"), drop("d/"):
        ours.done(line, branch="refs/pr/1")
    assert show(ours, 1)["filesWithConflicts"] == []
    say(ours, "/1/merge")
    assert ours.read("theirs.txt") == b"1" and ours.read("both.txt") == b"2" and "gone.txt" not in ours.tree()


def test_a_draft_is_opened_before_it_is_merged(ours):
    say(ours, "", title="a draft", pullRequest=True)
    assert show(ours, 1)["status"] == "draft" and ours.head("refs%2Fpr%2F1") == ours.head() and len(ours.log("refs%2Fpr%2F1")) == 1
    ours.done(put("a", b"a"), branch="refs/pr/1")
    status, said = ask(ours, "/1/merge", "POST")
    assert status == 400 and "draft" in said["error"]
    say(ours, "/1/status", status="open")
    say(ours, "/1/merge")
    assert "a" in ours.tree() and ask(ours, "?status=open")[1]["count"] == 0


def test_the_diff_of_a_pull_request_is_one_git_takes(ours, tmp_path):
    ours.done(put("a.txt", b"one\ntwo\nthree\n"), put("gone.txt", b"gone\n"))
    ours.send(b"large" * 100)
    pull(ours, put("a.txt", b"one\n2\nthree"), drop("gone.txt"), put("d/new.txt", b"new\n"), put("x.bin", b"\0"), lfs("w.lfs.bin", b"large" * 100))
    diff = show(ours, 1, diff=True)["diff"]
    assert "diff" not in show(ours, 1)
    assert "Binary files /dev/null and b/x.bin differ" in diff and "+size 500" in diff
    for path, data in {"a.txt": "one\ntwo\nthree\n", "gone.txt": "gone\n"}.items():
        (tmp_path / path).write_text(data)
    subprocess.run(["git", "apply", "--exclude=x.bin"], cwd=tmp_path, input=diff.encode(), check=True, timeout=30)
    assert (tmp_path / "a.txt").read_text() == "one\n2\nthree" and (tmp_path / "d/new.txt").read_text() == "new\n"
    assert not (tmp_path / "gone.txt").exists()


def test_a_diff_that_is_too_large_says_where_it_ends(ours, tmp_path):
    def files(n, text):
        return {f"{k:03}.txt": b"%d " % k + text + b"line\n" * (90 * 1024) for k in range(n)}
    old, new = files(12, b"old\n"), files(12, b"new\n")
    ours.done(*(put(*f) for f in old.items()))
    num, _ = pull(ours, *(put(*f) for f in new.items()))
    told = show(ours, num, diff=True)
    assert told["diffTruncated"] is True and told["diff"].endswith("# The diff ends here: it shows 8 of 12 files that changed\n")
    for path, data in old.items():
        (tmp_path / path).write_bytes(data)
    subprocess.run(["git", "apply"], cwd=tmp_path, input=told["diff"].encode(), check=True, timeout=30)
    assert [(tmp_path / path).read_bytes() == new[path] for path in sorted(new)] == [True] * 8 + [False] * 4
    few, _ = pull(ours, *(put(*f) for f in list(new.items())[:3]))  # twin
    told = show(ours, few, diff=True)
    assert told["diffTruncated"] is False and told["diff"].count("diff --git") == 3 and "ends here" not in told["diff"]


def test_a_diff_of_very_many_small_files_has_an_end(ours):
    """To look for lines that differ costs more than to read them."""
    ours.done(*(put(f"{k:03}", b"%d old" % k) for k in range(600)))
    num, _ = pull(ours, *(put(f"{k:03}", b"%d new" % k) for k in range(600)))
    told = show(ours, num, diff=True)
    assert told["diffTruncated"] is True and told["diff"].count("diff --git") == 511
    few, _ = pull(ours, *(put(f"{k:03}", b"%d new" % k) for k in range(300)))  # twin
    assert show(ours, few, diff=True)["diffTruncated"] is False


def test_files_that_conflict_are_named_up_to_a_thousand_and_compared_files_too(ours):
    def files(n, data):
        return [lfs(f"{k:04}.bin", data) for k in range(n)]
    ours.send(b"one"), ours.send(b"two")
    many, _ = pull(ours, *files(1001, b"one"))
    few, _ = pull(ours, *files(1000, b"one"))  # twin
    assert show(ours, many)["filesWithConflicts"] == [] and show(ours, many)["filesWithConflictsTruncated"] is False
    start = ours.head()
    ours.done(*files(1001, b"two"))
    for num, cut in (many, True), (few, False):
        for _ in range(2):  # the second time as it is remembered
            told = show(ours, num)
            assert told["filesWithConflicts"] == [f"{k:04}.bin" for k in range(1000)] and told["filesWithConflictsTruncated"] is cut

    def compare(what):
        return ours.hubd.ask(f"{ours.api}/compare/{what}?raw=true", token=ours.token).body.decode().splitlines()
    lines = compare(f"{start}..main")
    assert len(lines) == 1001 and lines[-1] == "# The list ends here: more than 1000 files differ" and lines[-2].endswith("0999.bin")
    ours.done(drop("1000.bin"))
    assert len(compare(f"{start}..main")) == 1000 and not compare(f"{start}..main")[-1].startswith("#")
    told = show(ours, many)  # which main moved
    assert len(told["filesWithConflicts"]) == 1000 and told["filesWithConflictsTruncated"] is False


def test_many_merge_and_talk_at_once_and_nothing_is_lost(ours):
    for n in range(12):
        pull(ours, put(f"f{n}", b"x"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        merges = [pool.submit(ask, ours, f"/{n}/merge", "POST") for n in [*range(1, 13), *range(1, 5)]]
        talks = [pool.submit(ask, ours, "/1/comment", "POST", comment=f"c{n}") for n in range(24)]
        opened = [pool.submit(ask, ours, "", "POST", title=f"t{n}") for n in range(8)]
        statuses = [m.result()[0] for m in merges]
        assert all(t.result()[0] == 200 for t in talks + opened) and sorted(statuses) == [200] * 12 + [400] * 4
    assert {f"f{n}" for n in range(12)} <= set(ours.tree()) and len(ours.log()) == 13
    assert sorted(o.result()[1]["num"] for o in opened) == list(range(13, 21))
    said = [e["data"]["latest"]["raw"] for e in show(ours, 1)["events"] if e["type"] == "comment"]
    assert sorted(said) == sorted(["", *(f"c{n}" for n in range(24))])


def test_what_is_said_is_in_the_audit_trail(ours):
    num, _ = pull(ours, put("a", b"a"))
    say(ours, "/1/comment", comment="a word that no trail should hold")
    say(ours, "/1/merge")
    trail = "".join(p.read_text() for p in sorted((ours.hubd.data / "audit").rglob("*")) if p.is_file() and p.suffix != ".gz")
    for act, note in ("commit", "refs/pr/1"), ("discussion.comment", "#1"), ("discussion.merge", "#1"):
        assert f'"{act}"' in trail and f'"{note}"' in trail, (act, note)
    assert "a word that" not in trail and "a word that" not in ours.hubd.log_text()


def test_what_was_said_goes_with_its_repository_and_stays_over_a_restart(ours, hub, hubd):
    pull(ours, put("a", b"a"))
    ours.hubd.stop()
    again = hubd(hub, data=ours.hubd.data)
    repo = Repo(again, "admin/one", again.admin_token, make=False)
    assert show(repo, 1)["status"] == "open"
    say(repo, "/1/merge")
    assert repo.remove().status == 200 and ask(repo, "/1")[0] == 404
    repo.make()
    assert ask(repo, "")[1]["count"] == 0 and ask(repo, "/1")[0] == 404


def test_where_discussions_are_disabled_nothing_is_said(ours):
    pull(ours, put("a", b"a"))
    assert ours.ask(f"{ours.api}/settings", "PUT", discussionsDisabled=True).status == 200
    assert ask(ours, "", "POST", title="x")[0] == ask(ours, "/1/comment", "POST", comment="x")[0] == 403
    assert ours.commit(put("b", b"b"), branch="refs/pr/1").status == 403
    ours.done(put("b", b"b"))
    assert ours.ask(f"{ours.api}/settings", "PUT", discussionsDisabled=False).status == 200
    say(ours, "/1/comment", comment="again")


def test_of_what_another_hub_has_it_is_the_word_that_counts(hub, hubd):
    """Twin: nothing can be said here of a repository that is not hosted here."""
    hub.repo("org/open").commit({"a": b"a"})
    h = hubd(hub)
    repo = Repo(h, "org/open", h.admin_token, make=False)
    assert ask(repo, "") == (200, {"discussions": [], "count": 0, "start": 0})
    status, said = ask(repo, "", "POST", title="x")
    assert status == 403 and "another hub" in said["error"]
    got = repo.commit(put("x", b"x"), branch="refs/pr/1")
    assert got.status == 403
