"""Real clients, unmodified, that write to matrixhubd as they would to the public hub: each version makes a repository, brings
files of every kind, changes and deletes them, makes branches and tags, and finds all of it again. What they need:
docs/clients.md."""
import json
import random
import shutil
import subprocess

import pytest

from clients_hubd import Client
from clients_matrix import BUILD, FILES, HERE, PATIENCE, VERSIONS, act, digests, fine
from hub import Hub
from hubd import Hubd
from registry import Repo, lfs

STALE = "The branch was updated since you opened this page. Please refresh and try again."
PUSHED = FILES | {"README.md": b"---\nlicense: mit\n---\n# small\n", "large.bin": random.Random(5).randbytes(11 << 20)}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with Hub() as hub:
        h = Hubd(tmp_path_factory.mktemp("ours"), hub, timeout=20)
        yield h
        h.stop()


@pytest.fixture
def writer(ours, tmp_path):
    """writer(version): a client with the administrator's token, which asks for no Xet store."""
    def factory(version):
        client = Client(tmp_path, version, ours.url, ours.admin_token)
        client.env["HF_HUB_DISABLE_XET"] = "1"
        return client
    return factory


@pytest.fixture
def folder(tmp_path):
    for name, data in PUSHED.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "folder"


@pytest.mark.parametrize("version, type", [*((v, "model") for v in VERSIONS), ("2.4", "dataset")])
def test_a_client_writes_and_finds_what_it_wrote(ours, writer, folder, version, type):
    repo = Repo(ours, f"admin/by-{version}", ours.admin_token, type, make=False)
    name = {"type": type}
    made, pushed, edited, referred, kept, again, removed = writer(version)(
        act("made", repo, **name), act("pushed", repo, folder=str(folder), **name), act("edited", repo, **name),
        act("referred", repo, **name), act("unchanged", repo, ".keep", data="", **name),
        act("unchanged", repo, ".keep", data="", **name), act("removed", repo, **name))
    made, pushed, edited, referred = fine(made), fine(pushed), fine(edited), fine(referred)
    assert made["id"] == repo.id and made["url"] == made["again"] == f"{ours.url}{repo.prefix}/{repo.id}" and made["twice"][1] == 409
    with_first = digests(PUSHED) | {".gitattributes": pushed["files"][".gitattributes"]}
    assert pushed["files"] == with_first and pushed["listed"] == sorted(with_first)
    assert pushed["url"] == f"{ours.url}{repo.prefix}/{repo.id}/commit/{pushed['oid']}"
    assert edited["sha"] == edited["one"] and edited["two"] != edited["one"]
    assert again.value == fine(kept) and {r[2] for r in again.log} == {"No files have been modified since last commit. Skipping to prevent empty commit."}
    assert edited["late"][1] == 412 and STALE in edited["late"][2]
    assert edited["absent"][:2] == [edited["absent"][0], 404] and "A file with this name doesn't exist" in edited["absent"][2]
    assert edited["titles"] == ["several", "Upload notes/one.txt with huggingface_hub", "a folder", "initial commit"]
    assert edited["message"] == "of them"
    assert edited["listed"] == sorted({*with_first, "w2.bin", "copy.safetensors"} - {f for f in PUSHED if f.startswith("onnx/")})
    first, there = referred["first"], referred["there"]
    assert referred["main"] == first and referred["branches"] == {"main": first, "dev/x": there}
    assert referred["tags"] == {"refs/tags/v1": first, "refs/tags/short": first}
    assert [f[1] for f in referred["failures"]] == [409, 409, 404, 403, 404, 404, 400]
    assert [f[0] for f in referred["failures"][4:6]] == ["RevisionNotFoundError"] * 2
    assert referred["left"] == ["refs/heads/main", "refs/tags/short"]
    exists, gone = fine(removed)
    assert exists is False and gone[0] == "RepositoryNotFoundError"


@pytest.mark.parametrize("version, type", [*((v, "model") for v in VERSIONS), ("2.4", "dataset")])
def test_a_client_says_what_it_thinks_and_merges_what_it_proposed(ours, writer, version, type):
    repo = Repo(ours, f"admin/talk-{version}", ours.admin_token, type, make=False)
    (result,) = writer(version)(act("talked", repo, type=type))
    assert not result.error and not result.log and all("Hiding a comment is irreversible" in w for w in result.warnings), result
    told = result.value
    assert told["edited"] == ["so", True] and told["hidden"] is True
    assert told["talk"] == ["Why not", "closed", ["comment", "comment", "title-change", "status-change", "comment"]]
    assert told["url"] == [f"{ours.url}{repo.prefix}/{repo.id}/discussions/2", "refs/pr/2"] and told["base"] == "refs/heads/main"
    assert told["conflicts"] == [] and "+a" in told["diff"] and "oid sha256:" in told["diff"] and told["merged"] == repo.head()
    assert told["events"] == [["comment", None], ["commit", told["oids"][0]], ["commit", told["oids"][1]], ["status-change", None]]
    assert told["status"] == ["merged", "draft"] and told["late"][1] == 400
    assert told["titles"] == ["a proposal (#2)", "Upload c.txt with huggingface_hub", "initial commit"]
    assert told["files"] == [".gitattributes", "a.txt", "b.txt", "c.txt", "w.bin"]
    assert told["refs"] == [["2", "refs/pr/2"], ["3", "refs/pr/3"]] and told["lists"] == [[3, 2, 1], [3, 2], [3], []]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_likes_collects_and_asks_to_be_told(ours, writer, version):
    repo = Repo(ours, f"admin/liked-{version}", ours.admin_token)
    assert repo.ask(f"{repo.api}/like", "POST").status == 200
    liked = Repo(ours, f"admin/other-{version}", ours.admin_token)
    assert liked.ask(f"{liked.api}/like", "POST").status == 200
    (told,) = writer(version)(act("collected", repo))
    told = fine(told)
    assert told["likers"] == [] and liked.id in told["likes"] and repo.id not in told["likes"]
    first, second = told["slugs"]
    assert first.startswith("admin/my-things-") and second == f"admin/yours-{first[-24:]}" and told["again"][1] == 409
    assert told["found"] == [second, "Yours", "pink", True, [[repo.id, "model", "better"]]] and told["listed"] == [second]
    assert told["hook"] == [True, True, False] and told["overview"][0] == "admin" and told["overview"][1] >= 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_moves_gates_cuts_and_copies(ours, writer, version):
    def repo(name, type="model", **body):
        return Repo(ours, f"admin/{name}-{version}", ours.admin_token, type, **body)
    one, two, space = repo("life"), repo("taken"), repo("space", "space", sdk="static")
    asked, eve = Repo(ours, f"admin/asked-{version}", ours.admin_token), f"eve-{version}".replace(".", "-")
    for data in b"x" * 100, b"y" * 100:
        one.send(data)
    one.done(lfs("x.bin", b"x" * 100), lfs("y.bin", b"y" * 100), summary="both")
    assert asked.ask(f"{asked.api}/settings", "PUT", gated="manual").status == 200
    token = user(ours, eve)
    assert ours.ask(f"/{asked.id}/ask-access", "POST", "{}", token).status == 303
    renamed, kept, cut, doubled = map(fine, writer(version)(
        act("renamed", one, to=f"admin/moved-{version}", taken=two.id), act("kept", asked, user=eve), act("cut", one, "x.bin"),
        act("doubled", space, to=f"admin/copy-{version}")))
    assert renamed["id"] == f"admin/moved-{version}" and renamed["back"] == one.id and renamed["same"] and renamed["tag"]
    assert renamed["late"] == "late" and f"A model repository called {two.id} already exists" in renamed["taken"][2]
    assert kept["seen"] == [[[eve], [], []], [[], [eve], []], [[], [], [eve]], [[eve], [], []], [[], [eve], []]]
    assert (kept["again"][1], kept["twice"][1], kept["fullname"], kept["status"]) == (404, 400, eve, "pending")
    assert cut["listed"] == ["x.bin", "y.bin"] and cut["left"] == ["y.bin"] and cut["squashed"] == ["one"]
    assert cut["log"] == ["Upload late.txt with huggingface_hub", "both", "initial commit"]
    assert cut["files"] == [".gitattributes", "late.txt", "y.bin"]
    assert doubled["url"] == doubled["again"] == f"{ours.url}/spaces/admin/copy-{version}" and doubled["twice"][1] == 409
    assert doubled["files"] == sorted(p for p in space.tree()) and doubled["private"] is True


def user(ours, name):
    """The token of a new user."""
    def ask(path, **body):
        return ours.ask(f"/api/admin/v1/{path}", "POST", json.dumps(body), ours.admin_token, Content_Type="application/json")
    assert ask("users", name=name).status in (200, 201)
    made = ask("tokens", user=name, name="t", role="read")
    assert made.status in (200, 201), made
    return made.json["token"]


@pytest.mark.parametrize("version", ["0.30", "2.4"])  # huggingface-cli, and hf
def test_the_command_line_uploads_and_downloads(ours, writer, folder, tmp_path, version):
    client = writer(version)
    name = f"admin/cli-{version}"
    for words in (["upload", name, folder, ".", "--private"], ["upload", name, folder / "config.json", "again/config.json"]):
        done = client.cli(*words)
        assert done.returncode == 0, done.stderr
    got = client.cli("download", name, "--local-dir", tmp_path / "down")
    assert got.returncode == 0, got.stderr
    found = {str(p.relative_to(tmp_path / "down")): p.read_bytes() for p in (tmp_path / "down").rglob("*")
             if p.is_file() and ".cache" not in p.parts and p.name != ".gitattributes"}
    assert found == PUSHED | {"again/config.json": PUSHED["config.json"]}
    assert ours.ask(f"/api/models/{name}").status == 401


def test_the_javascript_client_writes_and_finds_what_it_wrote(ours):
    js = BUILD / "js"
    if not (shutil.which("node") and (js / "node_modules").exists()):
        pytest.skip("no node, or no build/js: make deps installs it where there is an npm")
    done = subprocess.run(["node", HERE / "client_hub_writes.mjs", ours.url, "admin/by-js", ours.admin_token], capture_output=True,
                          text=True, timeout=PATIENCE, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "JS_CLIENT": str(js)})
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["url"] == f"{ours.url}/admin/by-js" and told["id"] == 24 and told["twice"][0] == 409
    assert told["urls"] == [f"{ours.url}/admin/by-js/commit/{oid}" for oid in told["oids"]]
    assert told["late"][0] == 412 and STALE in told["late"][1]
    assert told["files"] == [".gitattributes", "a", "a/one.txt", "w.bin"] and told["dev"] == [".gitattributes", "w.bin"]
    assert told["bare"] == [] and told["titles"] == ["less", "three", "initial commit"] and told["count"] == 3
    assert told["text"] == "1" and told["bytes"] == 300_000 and told["deleted"] is None and (told["exists"], told["gone"]) == (True, False)
