"""Repositories that matrixhubd hosts itself: made, written, read back and deleted, with the ids git gives; by many at once, by
people with and without the right, and over kills."""
import base64
import concurrent.futures
import hashlib
import http.client
import json
import random
import shutil
import socket
import threading
import urllib.parse

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError

from registry import Git, Repo, blob_id, drop, lfs, line, pointer, put

def lfs_id(data):
    return hashlib.sha256(data).hexdigest()


STALE = "The branch was updated since you opened this page. Please refresh and try again."


@pytest.fixture
def ours(hub, hubd):
    """A hub with a repository of the administrator's, of one commit."""
    h = hubd(hub)
    return Repo(h, "admin/one", h.admin_token)


def test_a_repository_is_made_with_a_first_commit_and_found_by_its_name(ours):
    told = ours.hubd.ask(ours.api).json
    assert told["id"] == "admin/one" and told["private"] is False and told["sha"] == ours.head()
    assert ours.first["url"] == f"{ours.hubd.url}/admin/one" and len(ours.first["id"]) == 24
    assert list(ours.tree()) == [".gitattributes"] and b"*.safetensors filter=lfs" in ours.read(".gitattributes")
    (commit,) = ours.log()
    assert commit["title"] == "initial commit" and commit["authors"][0]["user"] == "admin"
    again = ours.make()
    assert again.status == 409 and again.json["url"] == ours.first["url"] and "already created" in again.json["error"]
    assert ours.hubd.ask("/api/models/Admin/ONE").json["id"] == "admin/one"
    assert [r["id"] for r in ours.hubd.ask("/api/models").json] == ["admin/one"]
    assert ours.hubd.ask("/api/datasets/admin/one").status == 401


def wanted(path, data, encoding="base64"):
    return {"path": path, "content": base64.b64encode(data).decode(), "encoding": encoding}


def test_the_first_commit_has_the_files_that_are_sent_along(ours):
    h, card = ours.hubd, b"---\nlicense: mit\n---\n# M\n"
    repo = Repo(h, "admin/two", ours.token, files=[wanted("README.md", card), wanted("dir/w.bin", bytes(range(256))), wanted("empty", b"")],
                license="apache-2.0")
    assert repo.read("README.md") == card and repo.read("dir/w.bin") == bytes(range(256)) and repo.read("empty") == b""
    assert len(repo.log()) == 1 and b"filter=lfs" in repo.read(".gitattributes")
    assert h.ask(repo.api).json["cardData"]["license"] == "mit"
    bad = ([wanted("../x", b"x")], "../x"), ([wanted(".git/x", b"x")], ".git"), ([wanted("x" * 5000, b"x")], "too long"), \
        ([{"path": "x"}], "no Base64"), ([wanted("x", b"x", "utf-16")], "no Base64"), ([{"content": ""}], "path"), ("x", "a list"), \
        ([wanted("README.md", b"---\nlicense: bogus\n---\n")], "license"), ([wanted("x", pointer(b"x"))], "pointer"), \
        ([wanted(str(n), b"") for n in range(101)], "100 at most")
    for files, words in bad:
        got = Repo(h, "admin/three", ours.token, make=False).make(files=files)
        assert got.status == 400 and words in got.json["error"], (files, got)
    assert h.ask("/api/models/admin/three", token=ours.token).status == 404
    assert h.ask("/api/admin/v1/quotas/admin", "PUT", json.dumps({"size": "1"}), ours.token).status == 200
    got = Repo(h, "admin/three", ours.token, make=False).make(files=[wanted("x.bin", b"quota")])
    assert got.status == 403 and "Storage limit reached" in got.json["error"]


def test_what_a_repository_is_made_with_must_make_sense(ours):
    h = ours.hubd
    for license in "bogus", "a b", "mit\nsdk: x":
        got = h.ask("/api/repos/create", "POST", json.dumps({"name": "x", "license": license}), ours.token)
        assert got.status == 400 and "license" in got.json["error"], got
    got = h.ask("/api/repos/create", "POST", json.dumps({"name": "x", "organization": 5}), ours.token)
    assert got.status == 400 and "organization" in got.json["error"]
    made = h.ask("/api/repos/create", "POST", json.dumps({"name": "x", "organization": None, "license": "mit"}), ours.token)
    assert made.status == 200 and Repo(h, "admin/x", ours.token, make=False).read("README.md") == b"---\nlicense: mit\n---\n"


def test_names_that_cannot_be_are_refused_and_those_of_others_too(ours):
    h = ours.hubd
    for name in "a--b", "-a", "a.git", "x" * 97, "":
        got = h.ask("/api/repos/create", "POST", json.dumps({"name": name}), ours.token)
        assert got.status == 400 and "name" in got.json["error"], got
    for body, status in ({"name": "x", "organization": "nobody"}, 403), ({"name": "x", "type": "kernel"}, 400), ({}, 400), \
            ({"name": "x", "type": "space"}, 400), ({"name": "x", "visibility": "protected"}, 400):
        assert h.ask("/api/repos/create", "POST", json.dumps(body), ours.token).status == status, body
    assert h.ask("/api/repos/create", "POST", "no JSON", ours.token).status == 400
    assert h.ask("/api/repos/create", "POST", json.dumps({"name": "x"})).status == 401


def test_what_is_deleted_is_gone_and_its_name_is_free(ours, hub):
    old = ours.done(put("a.txt", b"a"))
    assert ours.remove().status == 200
    assert ours.hubd.ask(ours.api, token=ours.token).headers["x-error-code"] == "RepoNotFound"
    assert ours.remove().headers["x-error-code"] == "RepoNotFound"
    assert ours.hubd.ask("/api/models").json == []
    ours.make()
    assert list(ours.tree()) == [".gitattributes"] and len(ours.log()) == 1
    assert ours.hubd.ask(f"{ours.api}/revision/{old}").headers["x-error-code"] == "RevisionNotFound"
    assert not hub.requests("admin/one/revision/[0-9a-f]{40}")


def test_what_is_committed_is_read_back_by_every_route(ours):
    first = ours.head()
    files = {"a.txt": b"one\n", "dir/b.bin": bytes(range(256)) * 300, "dir/empty": b"", "uml\u00e4ut/c d.txt": b"x"}
    commit = ours.done(*(put(*f) for f in files.items()), summary="files", description="four of them\n\nof all kinds")
    assert ours.head() == commit and ours.hubd.ask(f"{ours.api}/revision/{commit[:9]}").json["sha"] == commit
    for path, data in files.items():
        assert ours.read(urllib.parse.quote(path)) == data
        assert ours.tree()[path] == blob_id(data)
    newest, oldest = ours.log()
    assert (newest["id"], newest["title"], newest["message"]) == (commit, "files", "four of them\n\nof all kinds")
    assert oldest["id"] == first and list(ours.tree(first)) == [".gitattributes"]
    assert ours.hubd.ask(f"{ours.api}/commits/main").headers["x-total-count"] == "2"
    later = ours.done(drop("dir/"), put("a.txt", b"two\n"))
    assert set(ours.tree()) == {".gitattributes", "a.txt", "uml\u00e4ut", "uml\u00e4ut/c d.txt"}
    assert ours.read("a.txt") == b"two\n" and ours.read("a.txt", commit) == b"one\n" and ours.head() == later


def test_the_last_commit_of_each_file_and_folder_is_told(ours):
    first = ours.head()
    one = ours.done(put("a/x.txt", b"x"), put("a/y.txt", b"y"), put("b c/z.txt", b"z"), summary="one")
    two = ours.done(put("a/x.txt", b"x2"), summary="two")
    three = ours.done(put("t.txt", b"t"), drop("a/y.txt"), summary="three")

    def told(path="", revision="main"):
        items, _ = ours.hubd.pages(f"{ours.api}/tree/{revision}{path}?expand=true&recursive=false")
        return {i["path"]: (i["lastCommit"]["id"], i["lastCommit"]["title"]) for i in items}
    assert told() == {".gitattributes": (first, "initial commit"), "a": (three, "three"), "b c": (one, "one"), "t.txt": (three, "three")}
    assert told("/a") == {"a/x.txt": (two, "two")} and told("/b%20c") == {"b c/z.txt": (one, "one")}
    assert told("/a", one) == {"a/x.txt": (one, "one"), "a/y.txt": (one, "one")}
    asked = ours.hubd.ask(f"{ours.api}/paths-info/main", "POST", "paths=a/x.txt&paths=t.txt&expand=true",
                          Content_Type="application/x-www-form-urlencoded").json
    assert [i["lastCommit"]["id"] for i in asked] == [two, three]
    # Beside all else that is told of them.
    plain, _ = ours.hubd.pages(f"{ours.api}/tree/main?recursive=true")
    full, pages = ours.hubd.pages(f"{ours.api}/tree/main?recursive=true&expand=true&limit=2")
    assert pages == 3 and [{k: v for k, v in i.items() if k != "lastCommit"} for i in full] == plain
    assert {i["path"]: i["lastCommit"]["id"] for i in full}["b c/z.txt"] == one
    assert {k: v for k, v in asked[0].items() if k != "lastCommit"} in plain
    assert ours.hubd.ask(f"{ours.api}/tree/main/none?expand=true").headers["x-error-code"] == "EntryNotFound"


def test_a_list_of_a_folder_begins_with_its_folders(ours):
    names = (".a", "b/x", "c/d/y", "c/e", "c/f/z", "c/g", "d", "e/x", "e/l10/x", "e/l2")
    ours.done(*(put(name, b"") for name in names))
    for path, listed in (("", ["b", "c", "e", ".a", ".gitattributes", "d"]), ("/c", ["c/d", "c/f", "c/e", "c/g"]), ("/b", ["b/x"])):
        for limit in (1, 2, 3, 100):
            items, pages = ours.hubd.pages(f"{ours.api}/tree/main{path}?limit={limit}")
            assert [i["path"] for i in items] == listed and pages == -(-len(listed) // limit), limit
    folders, files = ["b", "c", "c/d", "c/f", "e", "e/l10"], sorted([*names, ".gitattributes"])
    for path, within in ("", ""), ("/c", "c/"), ("/e", "e/"):  # and so does one of all that is below it
        whole, _ = ours.hubd.pages(f"{ours.api}/tree/main{path}?recursive=true&limit=2")
        assert [i["path"] for i in whole] == [p for p in folders + files if p.startswith(within)]
    assert ours.hubd.ask(f"{ours.api}/tree/main?cursor={ours.head()}.{len(folders + files)}").status == 400


def test_a_file_is_copied_from_what_the_repository_has_or_had(ours):
    large = b"large" * 1000
    ours.send(large)
    one = ours.done(put("a.txt", b"one"), lfs("w.bin", large))

    def copy(path, source, **said):
        return line("copyFile", path=path, srcPath=source, **said)
    ours.done(put("a.txt", b"two"), copy("was.txt", "a.txt"), copy("d/w.bin", "w.bin"), drop("w.bin"))
    assert [ours.read(p) for p in ("a.txt", "was.txt", "d/w.bin")] == [b"two", b"one", large] and "w.bin" not in ours.tree()
    head = ours.done(copy("a.txt", "a.txt", srcRevision=one), copy("b.txt", "a.txt", srcRevision="main"))
    assert ours.read("a.txt") == b"one" and ours.read("b.txt") == b"two"
    for line_, code in ((copy("x", "none"), "EntryNotFound"), (copy("x", "d"), "EntryNotFound"), (copy("x", "w.bin"), "EntryNotFound"),
                        (copy("x", "a.txt", srcRevision="nowhere"), "RevisionNotFound")):
        assert ours.commit(line_).headers.get("x-error-code") == code, line_
    assert ours.head() == head
    for line_, branch, named in ((copy("x", "a.txt", srcRevision="gone"), "main", "gone"), (copy("x", "a.txt"), "none", "none")):
        answer = ours.commit(line_, branch=branch)
        assert (answer.status, answer.headers["x-error-message"]) == (404, f"Invalid rev id: {named}")


def test_commits_that_cannot_be_change_nothing(ours):
    head = ours.done(put("a.txt", b"a"))
    for lines, status, words in (
            ([drop("none")], 404, "A file with this name doesn't exist"), ([drop("a.txt/")], 404, "doesn't exist"),
            ([put("../x", b"")], 422, "../x"), ([put(".git/x", b"")], 422, ".git"), ([put("..\\x", b"")], 422, "cannot be the path"),
            ([put("a.txt/b", b"")], 400, "same name"),
            (["{"], 400, "line 3"), ([line("nonsense")], 400, "line 3"), ([line("file", path="b", content="%", encoding="base64")], 400, "Base64"),
            ([line("lfsFile", path="w.bin", algo="sha256", oid="0" * 64, size=5)], 400, "LFS pointer pointed to a file that does not exist")):
        got = ours.commit(put("b.txt", b"b"), *lines)
        assert got.status == status and words in got.json["error"], got
        assert (got.headers.get("x-error-code") == "EntryNotFound") == (status == 404)
    assert ours.commit(put("b.txt", b"b"), branch="none").headers["x-error-code"] == "RevisionNotFound"
    assert ours.hubd.ask(f"{ours.api}/commit/main", "POST", b"", ours.token).status == 400
    assert ours.head() == head and "b.txt" not in ours.tree()


def test_a_pointer_is_the_file_it_names(ours):
    """git has one id for both: which of them came first must not decide what is read."""
    data, other = b"weights" * 500, b"others" * 500
    refused = ours.commit(put("w.bin", pointer(data)))
    assert refused.status == 400 and "LFS pointer pointed to a file that does not exist" in refused.json["error"]
    ours.send(data)
    ours.done(put("w.bin", pointer(data)))
    assert ours.read("w.bin") == data and ours.tree()["w.bin"] == blob_id(pointer(data))
    nearly = pointer(other).replace(b"size", b"Size")
    ours.done(put("n.bin", nearly), put("long.bin", pointer(data) + b"x" * 500))
    assert ours.read("n.bin") == nearly and ours.read("long.bin") == pointer(data) + b"x" * 500


def test_an_id_tells_nothing_of_what_others_have(ours):
    """Whatever else is wrong with a commit: what another repository has is answered as what nobody has."""
    theirs = Repo(ours.hubd, "admin/two", ours.token, visibility="private")
    data = b"secret" * 100
    theirs.send(data)
    theirs.done(lfs("w.bin", data))
    for sized in True, False:
        told = [ours.commit(lfs("w.bin", some, size=sized), drop("none"), "{") for some in (data, b"nobody's")]
        assert told[0].status == told[1].status == 400 and told[0].body == told[1].body


def test_who_means_private_is_not_misunderstood(ours):
    for word in "yes", "true", 1, [True], {}:
        got = ours.ask("/api/repos/create", "POST", name="x", private=word)
        assert got.status == 400 and "private" in got.json["error"], got
    assert ours.ask(f"{ours.api}/settings", "PUT", private="true").status == 400
    assert ours.hubd.ask("/api/models/admin/x", token=ours.token).status == 404
    assert ours.ask("/api/repos/create", "POST", name="x", private=None).json["private"] is False


def test_nobody_reads_a_private_repository_while_it_goes(ours):
    """What is said of it stays until it cannot be found; and then it is gone as well."""
    h, stop, seen = ours.hubd, threading.Event(), []
    repos = [Repo(h, f"admin/p{n}", ours.token, visibility="private") for n in range(12)]

    def look():
        while not stop.is_set():
            seen.extend(r.id for r in repos if h.ask(f"/{r.id}/resolve/main/.gitattributes").status != 401)
    threads = [threading.Thread(target=look) for _ in range(2)]
    for t in threads:
        t.start()
    for r in repos:
        assert r.remove().status == 200
    stop.set()
    for t in threads:
        t.join()
    assert not seen
    again = Repo(h, "admin/p0", ours.token)
    assert again.first["private"] is False and h.ask(again.api).json["private"] is False


def test_a_parent_that_is_past_is_refused_and_a_commit_that_is_repeated_is_the_first_one(ours):
    first = ours.head()
    made = ours.done(put("a.txt", b"a"), parent=first)
    again = ours.done(put("a.txt", b"a"), parent=first)
    assert again == made and len(ours.log()) == 2
    late = ours.commit(put("b.txt", b"b"), parent=first)
    assert late.status == 412 and late.json["error"] == STALE
    last = ours.done(put("b.txt", b"b"), parent=made)
    assert last == ours.head() and ours.done(put("a.txt", b"a"), parent=first) == made and ours.head() == last


def test_a_client_deletes_a_folder_also_as_a_file_but_no_file_as_a_folder(ours):
    """As at the public hub: huggingface_hub's own suite has it so (implicit_delete_folder_is_ok)."""
    ours.done(put("weights/a", b"a"), put("weights/b", b"b"), put("more/c", b"c"))
    api = HfApi(endpoint=ours.hubd.url, token=ours.token)
    with pytest.raises(EntryNotFoundError, match="A file with this name doesn't exist.*\n.*differentiate file and folder"):
        api.delete_folder("weights/a", ours.id)
    assert {"weights/a", "weights/b"} <= set(ours.tree())
    api.delete_file("weights", ours.id)
    api.delete_folder("more", ours.id)
    assert list(ours.tree()) == [".gitattributes"]


def begin_commit(repo, parent):
    """A connection on which a commit's first line has come, and no more."""
    header = line("header", summary="another change", **({"parentCommit": parent} if parent else {})) + "\n"
    s = socket.create_connection(("127.0.0.1", repo.hubd.port), timeout=10)
    s.sendall(f"POST {repo.api}/commit/main HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {repo.token}\r\n"
              f"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n{len(header):x}\r\n{header}\r\n".encode())
    return s


def send_rest(s, data):
    s.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))


def test_who_comes_too_late_is_told_so_before_the_files_have_come(ours):
    """And brings none of them: a hub does not keep what is in no commit."""
    first = ours.head()
    made = ours.done(put("a.txt", b"a"), parent=first)
    with begin_commit(ours, first) as late, begin_commit(ours, made) as fresh, begin_commit(ours, None) as any_parent:
        send_rest(late, put("b.txt", b"late").encode() + b"x" * 300_000)
        assert late.recv(4096).startswith(b"HTTP/1.1 412")
        fresh.settimeout(0.3)
        with pytest.raises(TimeoutError):
            fresh.recv(4096)
        assert ours.head() == made
        fresh.settimeout(10)
        send_rest(fresh, put("b.txt", b"fresh").encode())
        assert fresh.recv(4096).startswith(b"HTTP/1.1 200")
        send_rest(any_parent, put("c.txt", b"any").encode())
        assert any_parent.recv(4096).startswith(b"HTTP/1.1 200")
    assert (ours.read("b.txt"), ours.read("c.txt")) == (b"fresh", b"any")
    kept = ours.hubd.data / "own/blobs"
    assert not list(kept.glob(f"*/{blob_id(b'late')}")) and list(kept.glob(f"*/{blob_id(b'fresh')}"))


def test_a_repository_that_goes_while_its_commit_comes_is_not_there(ours):
    with begin_commit(ours, None) as s:
        assert ours.remove().status == 200
        send_rest(s, put("a.txt", b"a").encode())
        head = s.recv(4096)
    assert b" 404 " in head.splitlines()[0] and b"X-Error-Code: RepoNotFound" in head


def test_a_file_lies_where_a_folder_was_and_the_other_way_round(ours):
    ours.done(put("x/a", b"1"), put("x/b", b"2"), put("y", b"3"))
    ours.done(put("x", b"4"), drop("x/"), drop("y"), put("y/z", b"5"))
    assert {p for p in ours.tree() if p != ".gitattributes"} == {"x", "y", "y/z"} and ours.read("x") == b"4"
    for lines in [put("x/c", b"")], [put("y", b"")]:
        got = ours.commit(*lines)
        assert got.status == 400 and "same name" in got.json["error"]


def test_a_card_that_makes_no_sense_is_refused_in_the_words_of_the_public_hub(ours):
    head = ours.head()
    for card, words in (b"license: mine", '"license" must be one of [apache-2.0, mit, '), (b"base_model: ''", '"base_model" is not allowed to be empty'):
        got = ours.commit(put("a.txt", b"a"), put("README.md", b"---\n" + card + b"\n---\n# M\n"))
        assert got.status == 400 and got.json["error"].startswith(words), got
    assert ours.head() == head
    ours.done(put("README.md", b"---\nlicense: mit\n---\n"), put("sub/README.md", b"---\nlicense: mine\n---\n"))
    ours.done(put("README.md", b"no metadata at all"))
    spaces = Repo(ours.hubd, "admin/app", ours.token, type="space", sdk="static")
    assert spaces.commit(put("README.md", b"---\ncolorFrom: teal\n---\n")).status == 400


def test_branches_and_tags_are_made_moved_on_and_deleted(ours):
    first = ours.head()
    api = ours.api
    assert ours.ask(f"{api}/branch/dev", "POST").status == 200
    assert ours.ask(f"{api}/tag/main", "POST", tag="v1", message="the first").status == 200
    second = ours.done(put("dev.txt", b"d"), branch="dev")
    assert ours.ask(f"{api}/branch/old", "POST", startingPoint=first[:8]).status == 200
    assert ours.ask(f"{api}/branch/bare", "POST", emptyBranch=True).status == 200 and ours.tree("bare") == {}
    told = ours.ask(f"{api}/refs").json
    assert {r["ref"]: r["targetCommit"] for r in told["branches"] if r["name"] != "bare"} == {
        "refs/heads/dev": second, "refs/heads/main": first, "refs/heads/old": first}
    assert [(r["name"], r["targetCommit"]) for r in told["tags"]] == [("v1", first)] and told["converts"] == []
    assert ours.read("dev.txt", "dev") == b"d" and ours.head("v1") == first and ours.head("refs%2Fheads%2Fdev") == second
    for path, body, status, words in (
            ("branch/dev", {}, 409, "Reference refs/heads/dev already exists"), ("branch/refs%2Fpr%2F5", {}, 400, "Invalid reference for a branch"),
            ("branch/a..b", {}, 400, "Invalid reference for a branch"), ("branch/dev%2Fx", {}, 409, "already exists"),
            ("branch/x", {"startingPoint": "none"}, 404, "Invalid rev id: none"), ("tag/main", {"tag": "v1"}, 409, "Reference refs/tags/v1 already exists"),
            ("tag/none", {"tag": "v2"}, 404, "Invalid rev id: none"), ("tag/main", {}, 400, "Invalid reference for a tag")):
        got = ours.ask(f"{api}/{path}", "POST", **body)
        assert got.status == status and words in got.json["error"], got
    for path, status, words in ("branch/main", 403, "Cannot delete refs/heads/main"), ("branch/none", 404, "Invalid rev id: none"), \
            ("tag/none", 404, "Invalid rev id: none"), ("branch/dev", 200, None), ("tag/v1", 200, None):
        got = ours.ask(f"{api}/{path}", "DELETE")
        assert got.status == status and (not words or words in got.json["error"]), got
    assert ours.hubd.ask(f"{api}/revision/dev").headers["x-error-code"] == "RevisionNotFound"
    assert ours.hubd.ask(f"{api}/revision/{second}").status == 200


def test_what_to_do_with_each_file_is_told_before(ours):
    ours.done(put(".gitignore", b"*.log\n"), put("big.txt", b"b"))
    asked = [("w.safetensors", 10), ("a.txt", 10), ("big.txt", 11 << 20), ("x.log", 1), ("sub/model.bin", 3)]
    got = ours.ask(f"{ours.api}/preupload/main", "POST", files=[{"path": p, "size": s, "sample": ""} for p, s in asked])
    told = {f["path"]: (f["uploadMode"], f["shouldIgnore"], f.get("oid")) for f in got.json["files"]}
    assert told == {"w.safetensors": ("lfs", False, None), "a.txt": ("regular", False, None), "big.txt": ("lfs", False, blob_id(b"b")),
                    "x.log": ("regular", True, None), "sub/model.bin": ("lfs", False, None)}
    brought = ours.ask(f"{ours.api}/preupload/main", "POST", files=[{"path": "x.log", "size": 1}], gitIgnore="", gitAttributes="*.log filter=lfs")
    assert brought.json["files"][0]["uploadMode"] == "lfs" and brought.json["files"][0]["shouldIgnore"] is False
    assert ours.ask(f"{ours.api}/preupload/none", "POST", files=[]).headers["x-error-code"] == "RevisionNotFound"
    for path in "../x", "x" * 5000, ".git/config":
        assert ours.ask(f"{ours.api}/preupload/main", "POST", files=[{"path": "a", "size": 1}, {"path": path, "size": 1}]).status == 422, path
    assert ours.ask(f"{ours.api}/preupload/main", "POST", files=[{"size": 1}]).status == 400
    assert ours.ask(f"{ours.api}/preupload/main", "POST").status == 400


def test_a_file_of_git_lfs_is_sent_apart_and_named_by_the_commits_of_its_repository_alone(ours):
    data, h = random.Random(1).randbytes(300_000), ours.hubd
    refused = ours.commit(lfs("w.bin", data))
    assert refused.status == 400 and "LFS pointer pointed to a file that does not exist" in refused.json["error"]
    assert ours.send(data) and not ours.send(data)
    other = Repo(h, "admin/two", ours.token)
    assert "does not exist" in other.commit(lfs("w.bin", data)).json["error"]
    assert "does not exist" in ours.commit(line("lfsFile", path="w.bin", oid=lfs_id(data), size=5)).json["error"]
    ours.done(lfs("w.bin", data), lfs("again.bin", data), put("a.txt", b"a"))
    assert ours.read("w.bin") == ours.read("again.bin") == data and ours.tree()["w.bin"] == blob_id(pointer(data))
    (item,) = h.ask(f"{ours.api}/paths-info/main", "POST", "paths=w.bin", Content_Type="application/x-www-form-urlencoded").json
    assert item["lfs"] == {"oid": lfs_id(data), "size": len(data), "pointerSize": len(pointer(data))} and item["size"] == len(data)
    assert h.ask(f"/{ours.id}/raw/main/w.bin").body == pointer(data)
    ours.done(lfs("copy.bin", data, size=False), drop("w.bin"))
    assert ours.read("copy.bin") == data and not ours.send(data)
    assert other.send(data) and other.done(lfs("w.bin", data)) == other.head() and other.read("w.bin") == data
    assert ours.remove().status == 200 and other.read("w.bin") == data
    ours.make()
    assert ours.send(data)


def test_commits_trees_and_blobs_have_the_ids_that_git_gives(ours, tmp_path):
    rng, git = random.Random(7), Git(tmp_path)
    files = {".gitattributes": ours.read(".gitattributes")}
    names = [f"{d}{n}" for d in ("", "a/", "a-/", "a/b/", "a.b/", "\u00e9/") for n in ("x", "y.txt", "Z 1")]
    parent = git.commit(files, ours.log()[0])
    assert parent == ours.head()
    for n in range(12):
        lines = []
        for name in rng.sample(names, rng.randrange(1, 6)):
            if name in files and rng.random() < 0.4:
                del files[name]
                lines.append(drop(name))
            elif rng.random() < 0.2:
                data = rng.randbytes(60)
                ours.send(data)
                files[name] = pointer(data)
                lines.append(lfs(name, data))
            else:
                files[name] = rng.randbytes(rng.randrange(50))
                lines.append(put(name, files[name]))
        if rng.random() < 0.2 and (below := [f for f in files if f.startswith("a/")]):
            lines.append(drop("a/"))
            for f in below:
                del files[f]
        made = ours.done(*lines, summary=f"change {n}", description="said\n\nmore" if n % 2 else "")
        parent = git.commit(files, ours.log()[0], parent)
        assert made == parent, (n, lines)
    trees = {p: oid for line_ in git.run("-c", "core.quotepath=off", "ls-tree", "-rt", parent).splitlines()
             for (head, p), oid in [(line_.split("\t"), line_.split()[2])]}
    assert ours.tree() == trees


def test_writers_at_once_lose_nothing(ours):
    writers, each = 8, 6

    def write(w):
        """Each adds a line of its own to a file that all change, as whoever looks first and is told when that was too late."""
        lost = 0
        for n in range(each):
            while True:
                head = ours.head()
                old = ours.read("all.txt", head) if n or "all.txt" in ours.tree(head) else b""
                got = ours.commit(put("all.txt", old + b"%d.%d\n" % (w, n)), summary=f"{w}.{n}", parent=head)
                if got.status == 200:
                    break
                assert got.status == 412 and got.json["error"] == STALE, got
                lost += 1
        return lost
    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        lost = sum(pool.map(write, range(writers)))
    assert lost > 0
    assert sorted(ours.read("all.txt").split()) == sorted(b"%d.%d" % (w, n) for w in range(writers) for n in range(each))
    assert len(ours.log()) == 1 + writers * each
    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        made = list(pool.map(lambda n: ours.done(put(f"{n}.txt", b"%d" % n), summary=str(n)), range(12)))
    assert len(set(made)) == 12 and {f"{n}.txt" for n in range(12)} < set(ours.tree())
    assert len(ours.log()) == 13 + writers * each


def test_a_kill_leaves_the_old_commit_or_the_new_one(ours, hubd, hub):
    """Whoever got an answer finds what it said; whoever got none finds one or the other."""
    h, rng = ours.hubd, random.Random(3)
    told = [ours.head()]
    for turn in range(4):
        repo = Repo(h, "admin/one", ours.token, make=False)
        stop = threading.Timer(rng.uniform(0.01, 0.15), h.process.kill)
        stop.start()
        n = 0
        while True:
            try:
                got = repo.commit(put("f.txt", b"%d.%d" % (turn, n)), put(f"d{turn}/{n}", b"x" * 5000), summary=f"{turn}.{n}")
            except (OSError, http.client.HTTPException):
                break
            assert got.status == 200
            told.append(got.json["commitOid"])
            n += 1
        stop.join()
        h.kill()
        h = hubd(hub, data=h.data)
        repo = Repo(h, "admin/one", ours.token, make=False)
        log = [c["id"] for c in reversed(repo.log())]
        assert log[:len(told)] == told and len(log) <= len(told) + 1, (turn, n)
        told = log
        assert len(repo.read("f.txt")) if len(told) > 1 else True
        assert all(len(repo.read(p)) == 5000 for p in repo.tree() if p.count("/") == 1)
        assert not list((h.data / "own").glob("incoming/*"))


def test_it_is_found_without_any_upstream_and_after_a_restart_without_a_cache(ours, hubd, hub):
    commit = ours.done(put("a.txt", b"a"))
    data = ours.hubd.data
    ours.hubd.stop()
    shutil.rmtree(data / "cache")
    h = hubd(hub, data=data, args=["--offline"])
    repo = Repo(h, "admin/one", ours.token, make=False)
    assert repo.head() == commit and repo.read("a.txt") == b"a" and len(repo.log()) == 2
    assert repo.done(put("b.txt", b"b")) == repo.head() and repo.ask(f"{repo.api}/branch/dev", "POST").status == 200
    assert not hub.requests("admin/one")


def test_what_is_not_here_is_not_there_when_nobody_can_be_asked(ours, hubd):
    h, data = ours.hubd, ours.hubd.data
    Repo(h, "admin/hidden", ours.token, visibility="private")
    for args, elsewhere in (["--offline"], 404), (["--upstream=http://127.0.0.1:1"], 502):
        h.stop()
        h = hubd((), data=data, args=args, timeout=2)
        api = HfApi(endpoint=h.url, token=ours.token)
        assert not api.repo_exists("admin/nope") and api.repo_exists("admin/hidden")
        api.delete_repo("admin/nope", missing_ok=True)
        hidden, absent = (h.ask(f"/api/models/admin/{name}") for name in ("hidden", "absent"))
        assert (hidden.status, hidden.json) == (absent.status, absent.json) and hidden.status == 401
        got = h.ask("/api/models/org/tiny", token=ours.token)  # a namespace of nobody here
        assert got.status == elsewhere and got.headers.get("x-error-code") == ("RepoNotFound" if elsewhere == 404 else None)


def test_what_is_private_is_not_there_for_others_and_settings_say_so(ours):
    h = ours.hubd
    hidden = Repo(h, "admin/two", ours.token, type="dataset", visibility="private")
    hidden.done(put("a.txt", b"a"))
    assert h.ask(hidden.api).status == 401 and hidden.ask(hidden.api).json["private"] is True
    assert h.ask(f"{hidden.prefix}/admin/two/resolve/main/a.txt").headers["x-error-code"] == "RepoNotFound"
    assert hidden.ask(f"{hidden.api}/settings", "PUT", visibility="public", description="of ours").status == 200
    told = h.ask(hidden.api).json
    assert told["private"] is False and told["description"] == "of ours"
    assert hidden.ask(f"{hidden.api}/settings", "PUT", private=True).json["private"] is True and h.ask(hidden.api).status == 401
    for body, words in ({"gated": True}, "at gated"), ({"gated": "no"}, "at gated"), ({"discussionsDisabled": 1}, "at discussionsDisabled"), \
            ({"description": "x" * 1025}, "description"), ({"xetEnabled": True}, "Xet"), ({"private": "yes"}, "private"):
        got = hidden.ask(f"{hidden.api}/settings", "PUT", **body, visibility="public")
        assert got.status == 400 and words in got.json["error"] and h.ask(hidden.api).status == 401, got
    assert hidden.ask(f"{hidden.api}/settings", "PUT", xetEnabled=False, discussionsDisabled=True).json == {"discussionsDisabled": True}


def test_it_is_mounted_as_any_other_and_shows_the_new_commit_at_once(ours, mount):
    one = ours.done(put("config.json", b"{}"), put("sub/x.txt", b"one"))
    m = mount(ours.hubd, args=["--ref-ttl=0"])
    assert (m.snapshot("admin/one", one) / "sub" / "x.txt").read_bytes() == b"one"
    two = ours.done(put("sub/x.txt", b"two"))
    assert (m.hub / "models--admin--one" / "refs" / "main").read_text() == two
    assert (m.snapshot("admin/one", two) / "sub" / "x.txt").read_bytes() == b"two"
    assert (m.snapshot("admin/one", one) / "sub" / "x.txt").read_bytes() == b"one"


def test_changes_are_in_the_trail_and_so_are_those_refused(ours):
    commit = ours.done(put("a.txt", b"a"))
    ours.ask(f"{ours.api}/tag/main", "POST", tag="v1")
    ours.commit(put("b", b"b"), token="hf_wrong")
    ours.hubd.ask(f"{ours.api}/tag/main", "POST", "{}")
    ours.remove()
    h = ours.hubd
    told = h.ask("/api/admin/v1/audit?kind=change&limit=100", token=h.admin_token).json["items"]
    acts = [(r.get("act"), r["outcome"], r.get("commit"), r.get("note")) for r in told]
    first = told[0]["commit"]
    assert acts[:3] == [("repo.create", "done", first, "public"), ("commit", "done", commit, "refs/heads/main"),
                        ("tag.create", "done", commit, "refs/tags/v1")]
    assert acts[3][1] == "refused" and "tag/main" in acts[3][3] and acts[4][:2] == ("repo.delete", "done")
    assert all(r["repo"] == "models/admin/one" for r in told) and all(r["user"] == "admin" for r in told if r["outcome"] == "done")


def test_what_a_branch_named_before_it_was_made_anew_is_in_the_trail(ours):
    first = ours.head()
    second = ours.done(put("a.txt", b"a"))
    for start, body in (second, {}), (first, {"overwrite": True}):
        assert ours.ask(f"{ours.api}/branch/dev", "POST", startingPoint=start, **body).status == 200
    told = ours.hubd.ask("/api/admin/v1/audit?kind=change&limit=100", token=ours.token).json["items"]
    assert [(r["commit"], r["note"]) for r in told if r["act"] == "branch.create"] == [(second, "refs/heads/dev"), (first, f"refs/heads/dev, which named {second}")]
