"""What of the hubs upstream may be read through matrixhubd, and what becomes of what they say is gone."""
import subprocess

import pytest

from hub import later
from hubd import HUBD
from mountlib import eventually

FILES = {"config.json": b"{}", "a/x.gguf": b"x" * 100, "a/deep/y.gguf": b"y" * 100, "a/deep/z.txt": b"z", "only/w.gguf": b"w", "w.bin": b"bin"}
TREE = "/api/models/org/tiny/tree/main"


@pytest.fixture
def tiny(hub):
    hub.repo("org/tiny").commit(FILES)
    hub.repo("evil/tiny").commit(FILES)
    hub.repo("org/tiny", "space").commit(FILES)
    return hub


def listed(h, path):
    return {i["path"] for i in h.pages(path)[0]}


def test_a_denied_file_is_in_no_list_and_is_not_fetched(tiny, hubd):
    h = hubd(tiny, args=["--deny=*:*.gguf"])
    assert listed(h, TREE + "?recursive=true") == {"config.json", "a", "a/deep", "a/deep/z.txt", "w.bin"}
    assert listed(h, TREE) == {"a", "config.json", "w.bin"} and listed(h, TREE + "/a") == {"a/deep"}
    assert listed(h, TREE + "?expand=true&recursive=true") == listed(h, TREE + "?recursive=true&limit=2")
    assert h.ask(TREE + "/only").headers["x-error-code"] == "EntryNotFound"
    info = h.ask("/api/models/org/tiny?blobs=true").json
    assert {s["rfilename"] for s in info["siblings"]} == {"config.json", "a/deep/z.txt", "w.bin"}
    asked = h.ask("/api/models/org/tiny/paths-info/main", "POST", "paths=a/x.gguf&paths=w.bin&paths=only&paths=a")
    assert [i["path"] for i in asked.json] == ["w.bin", "a"]
    for where in "resolve", "raw":
        for method in "HEAD", "GET":
            got = h.ask(f"/org/tiny/{where}/main/a/x.gguf", method)
            assert got.status == 404 and got.headers["x-error-code"] == "EntryNotFound" and got.headers["x-repo-commit"]
            assert "rules" in got.headers["x-error-message"]
    assert h.ask("/org/tiny/resolve/main/w.bin").body == b"bin"
    assert not tiny.requests(path_re="gguf")
    # The twin: without the rule it is there, also on the same data.
    h.stop()
    free = hubd(tiny, data=h.data)
    assert free.ask("/org/tiny/resolve/main/a/x.gguf").body == FILES["a/x.gguf"]
    assert {"only", "a/x.gguf"} <= listed(free, TREE + "?recursive=true")


def test_a_denied_repository_is_never_asked_for(tiny, hubd):
    h = hubd(tiny, args=["--deny=Evil/*", "--deny=spaces/*"])
    for path in "/api/models/evil/tiny", "/evil/tiny/resolve/main/w.bin", "/api/models/EVIL/tiny/tree/main", "/api/spaces/org/tiny", \
            "/spaces/org/tiny/resolve/main/w.bin":
        for token in None, h.admin_token:
            got = h.ask(path, token=token)
            assert got.status == 404 and got.headers["x-error-code"] == "RepoNotFound" and "rules" in got.json["error"], got
    assert not tiny.requests()
    assert h.ask("/api/models/org/tiny").status == 200


def test_what_is_denied_is_so_by_the_name_it_gets(hub, hubd):
    repo = hub.repo("org/old")
    repo.commit(FILES)
    h = hubd(hub)
    assert h.ask("/org/old/resolve/main/w.bin").status == 200
    repo.rename("org/new")
    h.stop()
    whole = hubd(hub, data=h.data, args=["--deny=org/old"])
    got = whole.ask("/org/new/resolve/main/w.bin")
    assert got.status == 404 and "rules" in got.json["error"] and whole.ask("/api/models").json == []
    whole.stop()
    files = hubd(hub, data=h.data, args=["--deny=org/old:*.gguf"])
    assert "a/x.gguf" not in listed(files, "/api/models/org/new/tree/main?recursive=true")
    assert files.ask("/org/new/resolve/main/a/x.gguf").status == 404 and files.ask("/org/new/resolve/main/w.bin").status == 200
    files.stop()
    assert hubd(hub, data=h.data).ask("/org/new/resolve/main/a/x.gguf").status == 200


def test_where_one_is_allowed_others_are_not(tiny, hubd):
    tiny.repo("org/old").commit(FILES)
    tiny.repo("org/old").rename("evil/new")
    h = hubd(tiny, args=["--allow=org/*:*.json", "--allow=models/org/*:*.bin"])
    assert listed(h, TREE + "?recursive=true") == {"config.json", "w.bin"}
    assert h.ask("/api/models/evil/tiny").status == 404
    assert h.ask("/org/old/resolve/main/w.bin").headers["x-error-code"] == "RepoNotFound"    # by its other name
    assert h.ask("/spaces/org/tiny/resolve/main/w.bin").status == 404 and h.ask("/spaces/org/tiny/resolve/main/config.json").status == 200
    assert {m["id"] for m in h.ask("/api/models").json} == {"org/tiny"}


def test_what_is_no_rule_is_told_at_the_start(tmp_path):
    for bad in "--deny=a/b/c", "--allow=:x", "--deny=org/*:", "--deny=a b", "--allow=org/*=x", "--deny=!x":
        got = subprocess.run([HUBD, f"--data={tmp_path / 'data'}", bad], capture_output=True, text=True, timeout=20)
        assert got.returncode == 2 and "KIND" in got.stderr, (bad, got)
    # Nor is one that is empty, as "$RULES" is where nobody has set it: without rules all may be read.
    for name in "allow", "deny":
        got = subprocess.run([HUBD, f"--data={tmp_path / 'data'}", f"--{name}="], capture_output=True, text=True, timeout=20)
        assert got.returncode == 2 and f'"{name}" is not valid; allowed is texts that are not empty' in got.stderr, got
    assert not (tmp_path / "data").exists()


# ---- gone ----

def remove(repo):
    repo.remove()


def gate(repo):
    repo.disabled = True
    later()


@pytest.mark.parametrize("go", [remove, gate])
def test_a_repository_that_went_is_gone_here_too(tiny, hubd, go):
    h = hubd(tiny, args=["--ref-ttl=0"])
    repo = tiny.repo("org/tiny")
    commit = repo.refs["refs/heads/main"]
    assert h.ask("/org/tiny/resolve/main/w.bin").status == 200
    go(repo)
    for path in "/org/tiny/resolve/main/w.bin", "/api/models/org/tiny", f"/org/tiny/resolve/{commit}/w.bin":
        got = h.ask(path)
        assert got.status in (401, 403, 404) and got.headers["x-error-message"], (path, got)
    repo.disabled = False
    later()
    tiny.repos["models", "org/tiny"] = repo
    assert eventually(lambda: h.ask("/org/tiny/resolve/main/w.bin").body == b"bin", 5)


def test_what_went_stays_where_it_is_to_be_kept(tiny, hubd):
    h = hubd(tiny, args=["--ref-ttl=0", "--keep-gone"])
    repo = tiny.repo("org/tiny")
    repo.branch("dev", repo.refs["refs/heads/main"])
    for rev in "main", "dev":
        assert "x-hf-warning" not in h.ask(f"/org/tiny/resolve/{rev}/w.bin").headers
    assert h.ask("/api/models/org/tiny/refs").json["branches"]
    repo.drop("dev")
    got = h.ask("/org/tiny/resolve/dev/w.bin")
    assert got.body == b"bin" and got.headers["x-hf-warning"].startswith("gone; ")
    assert "x-hf-warning" not in h.ask("/org/tiny/resolve/main/w.bin").headers
    repo.remove()
    for path in "/org/tiny/resolve/main/w.bin", "/api/models/org/tiny", "/api/models/org/tiny/refs":
        got = h.ask(path)
        assert got.status == 200 and got.headers["x-hf-warning"].startswith("gone; ")
    assert h.ask("/org/none/resolve/main/x").status == 401


def test_a_branch_that_went_is_gone_here_too(tiny, hubd):
    h = hubd(tiny, args=["--ref-ttl=0"])
    repo = tiny.repo("org/tiny")
    repo.branch("dev", repo.refs["refs/heads/main"])
    assert h.ask("/org/tiny/resolve/dev/w.bin").status == 200
    repo.drop("dev")
    assert h.ask("/org/tiny/resolve/dev/w.bin").headers["x-error-code"] == "RevisionNotFound"
    assert h.ask("/org/tiny/resolve/main/w.bin").status == 200
