"""Pull requests of strangers to what matrixhubd hosts: what becomes of their commits, and whose quota their bytes are."""
import json

import pytest

from flow_hub_ctl import data, fine, refused
from flow_hub_keep import NOW, etag, kept, noise
from flow_hub_rights import people  # noqa: F401
from registry import Repo, drop, lfs, put


class Guest(Repo):
    """A repository of others, as somebody has it who may only read it, and say something."""

    def __init__(self, p, repo, who="stranger"):
        super().__init__(repo.hubd, repo.id, p.tokens[who], make=False)

    def propose(self, *lines, **kw):
        """The number of the pull request that these lines open."""
        got = self.commit(*lines, branch="main?create_pr=1", **kw)
        assert got.status == 200, got
        return int(got.json["pullRequestUrl"].rsplit("/", 1)[1])

    def commit(self, *lines, branch="main", **kw):
        opens = "?create_pr=1" if branch.endswith("?create_pr=1") else ""
        header = json.dumps({"key": "header", "value": {"summary": "a proposal"}})
        to = branch.removesuffix("?create_pr=1").replace("/", "%2F")
        return self.hubd.ask(f"{self.api}/commit/{to}{opens}", "POST", "\n".join([header, *lines]), self.token,
                             Content_Type="application/x-ndjson")

    def read_status(self, revision):
        return self.hubd.ask(f"{self.api}/revision/{revision}", token=self.token).status

    def say(self, path, method="POST", **body):
        return self.ask(f"{self.api}/discussions/{path}", method, **body)


@pytest.fixture
def ours(hub, people):  # noqa: F811
    """(who is there, a public repository of org's, the same for a stranger)."""
    p = people(hub, args=NOW)
    repo = Repo(p.h, "org/ours", p.tokens["writer"], visibility="public")
    return p, repo, Guest(p, repo)


def test_commits_of_a_pull_request_that_is_over_can_be_let_go(ours):
    p, repo, guest = ours
    h, some = p.h, noise(9000)
    guest.send(some)
    num = guest.propose(lfs("x.bin", some), put("x.txt", b"a stranger's\n"))
    ref = f"{repo.api}/discussions/{num}/ref"
    assert repo.ask(ref, "DELETE").status == 400                 # it is open
    assert guest.say(f"{num}/status", status="closed").status == 200
    assert data(h, "collect")["objects"] == 0 and etag(some) in kept(h)  # closed, it may be opened again
    assert Guest(p, repo, "reader").ask(ref, "DELETE").status == 403
    assert f"pull request {num} of org/ours" in fine(h, f"pr drop org/ours {num}")
    told = guest.say(f"{num}?diff=1", "GET").json
    assert told["status"] == "closed" and told["diff"] == "" and told["filesWithConflicts"] == []
    assert guest.read_status(f"refs%2Fpr%2F{num}") == 404
    assert data(h, "collect")["objects"] >= 4 and not {etag(some), etag(b"a stranger's\n", False)} & kept(h)
    (record,) = [r for r in data(h, "audit query --kind=change") if r.get("act") == "discussion.drop" and r["outcome"] == "done"]
    assert record["repo"] == "models/org/ours" and record["note"] == f"#{num}" and len(record["commit"]) == 40
    # It is over for good.
    again = guest.say(f"{num}/status", status="open")
    assert again.status == 400 and "cannot be opened again" in again.json["error"]
    assert "gone already" in refused(h, f"pr drop org/ours {num}")
    assert guest.commit(put("y", b"y"), branch=f"refs/pr/{num}").status == 404


def test_what_a_pull_request_has_brought_stays_when_its_ref_goes(ours):
    p, repo, guest = ours
    some = noise(9000)
    guest.send(some)
    num = guest.propose(lfs("x.bin", some))
    assert repo.ask(f"{repo.api}/discussions/{num}/merge", "POST").status == 200
    assert guest.say(f"{num}/ref", "DELETE").status == 200       # who opened it may as well
    assert data(p.h, "collect")["blobs"] == 0 and repo.read("x.bin") == some
    said = repo.ask(f"{repo.api}/discussions", "POST", title="a word").json["num"]
    assert repo.ask(f"{repo.api}/discussions/{said}/ref", "DELETE").status == 404


def used(h, namespace):
    return next((q["used_bytes"] for q in data(h, "quota list") if q["namespace"] == namespace), 0)


def test_a_stranger_cannot_fill_the_quota_of_others(ours):
    p, repo, guest = ours
    h, some, plain = p.h, noise(60_000), noise(30_000, 2)
    before = used(h, "org")
    fine(h, f"quota set org {before + 1000}")                    # what follows has no room there
    fine(h, "quota set stranger 100KiB")
    guest.send(some)
    assert used(h, "stranger") == 60_000 and used(h, "org") == before
    num = guest.propose(lfs("x.bin", some), put("x.txt", plain))
    assert used(h, "stranger") == 90_000 and used(h, "org") == before
    words = 'Storage limit reached: "stranger" uses 87.9 KiB of the 100 KiB it may'
    got = guest.ask("/org/ours.git/info/lfs/objects/batch", "POST", operation="upload", transfers=["basic"],
                    objects=[{"oid": etag(b"y"), "size": 60_000}], hash_algo="sha256")
    assert got.status == 403 and words in got.json["error"], got
    got = guest.commit(put("y.txt", noise(20_000, 3)), branch=f"refs/pr/{num}")
    assert got.status == 403 and words in got.json["error"], got
    assert data(h, "collect")["mended"] == 0                     # the collector counts as the hub does
    assert used(h, "stranger") == 90_000 and used(h, "org") == before
    # Who takes it in pays for it.
    got = repo.ask(f"{repo.api}/discussions/{num}/merge", "POST")
    assert got.status == 403 and 'Storage limit reached: "org"' in got.json["error"], got
    fine(h, "quota set org none")
    assert repo.ask(f"{repo.api}/discussions/{num}/merge", "POST").status == 200
    assert used(h, "stranger") == 0 and used(h, "org") == before + 90_000


def test_what_a_stranger_brought_is_given_back_when_it_goes(ours):
    p, repo, guest = ours
    h = p.h
    guest.send(noise(500, 4))                                    # which no commit names
    num = guest.propose(put("x.txt", noise(3000)))
    mine = Guest(p, repo, "writer").propose(put("y.txt", noise(5000, 2)))
    assert used(h, "stranger") == 3500 and used(h, "writer") == 0  # who may write there brings it for the namespace
    for n in num, mine:
        assert repo.ask(f"{repo.api}/discussions/{n}/status", "POST", status="closed").status == 200
        assert repo.ask(f"{repo.api}/discussions/{n}/ref", "DELETE").status == 200
    held = used(h, "org")
    data(h, "collect")
    assert used(h, "stranger") == 0 and used(h, "org") == held - 5000


def test_what_two_strangers_propose_is_the_seconds_when_the_first_lets_it_go(ours):
    p, repo, guest = ours
    h, some, second = p.h, noise(7000), Guest(p, repo, "reader")
    num = guest.propose(put("x.txt", some), put("y.txt", noise(100, 2)))
    other = second.propose(put("z.txt", some))
    assert used(h, "stranger") == 7100 and used(h, "reader") == 0
    assert guest.say(f"{num}/status", status="closed").status == 200
    assert guest.say(f"{num}/ref", "DELETE").status == 200
    assert used(h, "stranger") == 100 and used(h, "reader") == 7000
    assert data(h, "collect")["mended"] == 0
    assert used(h, "stranger") == 0 and used(h, "reader") == 7000
    # Whoever has the name of an account that is gone again pays for nothing of it.
    fine(h, "quota set reader 10KB")
    fine(h, "user remove reader")
    fine(h, "user add reader --again")
    assert used(h, "reader") == 0 and used(h, "-") == 7000 and data(h, "collect")["mended"] == 0
    assert repo.ask(f"{repo.api}/discussions/{other}/merge", "POST").status == 200
    assert used(h, "-") == 0 and repo.read("z.txt") == some


# ---- files that were deleted for good ----

def purge(repo, *some, rewrite=False):
    got = repo.ask(f"{repo.api}/lfs-files/batch", "POST",
                   deletions={"sha": [etag(s) for s in some], "rewriteHistory": rewrite})
    assert got.status == 200, got


def storage(repo):
    """What is told of its size: by itself, and in a list."""
    (listed,) = repo.ask("/api/models?author=org&expand[]=usedStorage").json
    alone = repo.ask(f"{repo.api}?expand[]=usedStorage").json
    assert listed["usedStorage"] == alone["usedStorage"]
    return alone["usedStorage"]


@pytest.mark.parametrize("rewrite", [False, True])
def test_what_is_deleted_for_good_is_counted_no_more(ours, rewrite):
    _, repo, _ = ours
    before, one, two = storage(repo), noise(60_000), noise(50_000, 2)
    for name, some in ("one.bin", one), ("two.bin", two):
        repo.send(some)
        repo.done(lfs(name, some))
    assert storage(repo) == before + 110_000
    purge(repo, one, rewrite=rewrite)
    assert storage(repo) == before + 50_000
    repo.done(put("x", b"12345"))                                # the next is counted from there
    assert storage(repo) == before + 50_005
    purge(repo, one, rewrite=rewrite)                            # it is gone: nothing happens
    assert storage(repo) == before + 50_005
    repo.send(one)
    repo.done(lfs("one.bin", one))                               # by the name at which it never ceased to be, or anew
    assert storage(repo) == before + 110_005


def test_what_a_stranger_may_not_bring_again_is_counted_where_it_was_once_a_writer_does(ours):
    p, repo, guest = ours
    before, some = storage(repo), noise(40_000)
    repo.send(some)
    repo.done(lfs("one.bin", some))
    purge(repo, some)
    assert storage(repo) == before
    guest.propose(put("a.txt", b"a\n"))
    assert storage(repo) == before
    guest.send(some)
    got = guest.commit(lfs("two.bin", some), branch="main?create_pr=1")
    assert got.status == 403 and "two.bin was deleted for good here" in got.json["error"] and storage(repo) == before
    repo.send(some)
    Guest(p, repo, "writer").propose(lfs("two.bin", some))       # main shows its one.bin again
    assert storage(repo) == before + 40_000 and repo.read("one.bin") == some


def test_a_pull_request_whose_file_was_deleted_for_good_says_so(ours):
    p, repo, guest = ours
    some = noise(9000)
    guest.send(some)
    num = guest.propose(put("a.txt", b"a\n"), lfs("x.bin", some), put("z.txt", b"z\n"))
    purge(repo, some)
    told = guest.say(f"{num}?diff=1", "GET").json
    assert told["diff"].count("diff --git") == 3 and f"+oid sha256:{etag(some)}" in told["diff"] and not told["diffTruncated"]
    merge = f"{repo.api}/discussions/{num}/merge"
    got = repo.ask(merge, "POST")
    assert got.status == 409 and "deleted for good" in got.json["error"] and got.json["error"].endswith(": x.bin"), got
    # Whatever the sentence says helps does.
    guest.send(some)
    both = lfs("x.bin", some), put("b.txt", b"b")
    assert guest.commit(*both, branch=f"refs/pr/{num}").status == 403
    assert Guest(p, repo, "writer").commit(*both, branch=f"refs/pr/{num}").status == 200
    assert repo.ask(merge, "POST").status == 200 and repo.read("x.bin") == some


def test_what_a_commit_says_is_looked_for_again_if_a_file_could_not_be_read(ours):
    p, repo, guest = ours
    config = b'{"model_type": "bert"}'
    num = guest.propose(put("config.json", config))
    (blob,) = p.h.data.rglob(etag(config, False))

    def told():
        return guest.ask(f"{repo.api}/revision/refs%2Fpr%2F{num}", "GET").json.get("config")
    blob.rename(blob.with_suffix(".away"))
    assert told() is None
    blob.with_suffix(".away").rename(blob)
    assert told()["model_type"] == "bert"
    blob.unlink()
    assert told()["model_type"] == "bert"  # twin: what was whole is kept


def test_a_pull_request_without_its_file_that_was_deleted_for_good_is_merged(ours):
    p, repo, guest = ours
    guest.send(noise(9000))
    num = guest.propose(put("a.txt", b"a\n"), lfs("x.bin", noise(9000)))
    purge(repo, noise(9000))
    assert guest.commit(drop("x.bin"), branch=f"refs/pr/{num}").status == 200
    assert repo.ask(f"{repo.api}/discussions/{num}/merge", "POST").status == 200
    assert "a.txt" in repo.tree() and "x.bin" not in repo.tree()


# ---- copies ----

def test_a_copy_has_nothing_of_a_pull_request_that_was_not_merged(ours):
    p, repo, guest = ours
    h, mine, theirs = p.h, noise(60_000), noise(50_000, 2)
    repo.send(mine)
    repo.done(lfs("x.bin", mine))
    guest.send(theirs)
    guest.propose(lfs("y.bin", theirs))
    fine(h, "quota set writer 100KiB")                           # both would be too much
    got = repo.ask(f"{repo.api}/duplicate", "POST", repository="writer/copy")
    assert got.status == 200, got
    copy = Repo(h, "writer/copy", repo.token, make=False)
    assert copy.read("x.bin") == mine and 60_000 < used(h, "writer") < 63_000
    assert [f["filename"] for f in copy.ask(f"{copy.api}/lfs-files").json] == ["x.bin"]
    assert {f["filename"] for f in repo.ask(f"{repo.api}/lfs-files").json} == {"x.bin", "y.bin"}


def test_who_has_no_room_for_a_copy_or_for_what_moves_is_told_how_much(ours):
    p, repo, _ = ours
    repo.send(noise(60_000))
    repo.done(lfs("x.bin", noise(60_000)))
    fine(p.h, "quota set writer 10KiB")
    asked = {"duplicate": repo.ask(f"{repo.api}/duplicate", "POST", repository="writer/copy")}
    p.do("member org writer admin")
    asked["move"] = repo.ask("/api/repos/move", "POST", fromRepo="org/ours", toRepo="writer/ours", type="model")
    for what, got in asked.items():
        assert got.status == 403 and 'Storage limit reached: "writer" uses' in got.json["error"], (what, got)
    fine(p.h, "quota set writer none")
    assert repo.ask(f"{repo.api}/duplicate", "POST", repository="writer/copy").status == 200
    assert repo.ask("/api/repos/move", "POST", fromRepo="org/ours", toRepo="writer/ours", type="model").status == 200


def test_where_discussions_are_disabled_nothing_is_merged(ours):
    _, repo, guest = ours
    num, merge = guest.propose(put("x", b"x")), "{}/discussions/{}/merge"
    assert repo.ask(f"{repo.api}/settings", "PUT", discussionsDisabled=True).status == 200
    got = repo.ask(merge.format(repo.api, num), "POST")
    assert got.status == 403 and got.json["error"] == "Pull requests are disabled for this repo" and "x" not in repo.tree()
    assert repo.ask(f"{repo.api}/settings", "PUT", discussionsDisabled=False).status == 200
    assert repo.ask(merge.format(repo.api, num), "POST").status == 200
