"""Real clients, unmodified: each version of huggingface_hub, safetensors, transformers and the JavaScript client find on
the mount what they would have found in a cache of their own. The rows of research/hf-contract-2x.md §5 are below, each
with its twin under --strict-ro, where it fails as documented: that is why there is a scratch."""
import hashlib
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import types

import pytest

import conftest
import models
import mountlib
from hub import Hub

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
VERSIONS = {"0.30": "hub-0.30", "0.36": "hub-0.36", "1.24": "hub-1.24", "2.4": "test"}
HOMES = "HF_HUB_CACHE", "HF_HOME"
OURS = "^matrixfs/"         # the daemon's user agent
NOT_OURS = "^(?!matrixfs/)"
PATIENCE = 180              # of a client process, on a busy machine
TOKEN = "hf_of_the_mount"
FILES = {"README.md": b"# small\n", "config.json": models.tiny_model()["config.json"], "LICENSE": b"free\n",
         "model.safetensors": models.tiny_model()["model.safetensors"], "onnx/deep/model.onnx": models.big_file(70_000, 3),
         "onnx/deep/names.txt": b"a\nb\n", "empty.txt": b""}
MOVED = {"config.json": FILES["config.json"].replace(b'"num_hidden_layers": 2', b'"num_hidden_layers": 3')}
numbers = itertools.count(1)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def digests(files):
    return {name: digest(data) for name, data in files.items()}


class World:
    """A hub and a mount of it, shared by the stories; each makes repositories of its own."""

    def __init__(self, tmp, *args):
        self.tmp, self.hub = tmp, Hub(cdn=True)
        self.hub.token(TOKEN)
        (tmp / "token").write_text(TOKEN + "\n")
        # Branches are believed for an hour: what makes a moved one visible is the client's own use of the new commit.
        self.mount = mountlib.Mount(tmp, self.hub, args=["--ref-ttl=1h", f"--token-file={tmp}/token", *args], timeout=20)

    def close(self):
        self.mount.stop()
        self.hub.close()

    def repo(self, files=FILES, type="model", **kw):
        number = next(numbers)
        repo = self.hub.repo(f"org/small-{number}", type, **kw)
        repo.number = number
        repo.commit(files)
        return repo

    def asked(self, repo, who, **which):
        """"METHOD path" of what was asked about a repository since the last forget()."""
        return [f"{q.method} {q.path}" for q in self.hub.requests(ua=who, **which) if f"/{repo.id}/" in q.path + "/"]

    def forget(self):
        self.hub.clear_log()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    yield from worlds(tmp_path_factory)


@pytest.fixture(scope="module")
def strict_world(tmp_path_factory):
    yield from worlds(tmp_path_factory, "--strict-ro")


@pytest.fixture
def own_world(tmp_path_factory):
    """For stories that stop the hub."""
    yield from worlds(tmp_path_factory)


def worlds(factory, *args):
    if reason := conftest.why_not():
        pytest.skip(reason)
    world = World(factory.mktemp("world"), *args)
    yield world
    world.close()


class Client:
    """A Python with one version of the client, told to use the mount."""

    def __init__(self, world, venv, home="HF_HUB_CACHE", token=None):
        self.bin = BUILD / "venv" / VERSIONS.get(venv, venv) / "bin"
        if not self.bin.exists():
            pytest.skip(f"{self.bin} is missing: run make deps")
        tmp = world.tmp / f"home-{next(numbers)}"
        tmp.mkdir()
        where = {"HF_HOME": world.mount.root} if home == "HF_HOME" else {"HF_HOME": tmp, "HF_HUB_CACHE": world.mount.hub}
        self.env = {"PATH": os.environ["PATH"], "HOME": tmp, "HF_ENDPOINT": world.hub.url, "HF_HUB_DISABLE_TELEMETRY": "1",
                    "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"} | where
        if token:
            self.env["HF_TOKEN"] = token

    def run(self, *words, offline=False):
        env = self.env | ({"HF_HUB_OFFLINE": "1"} if offline else {})
        return subprocess.run(list(map(str, words)), env={k: str(v) for k, v in env.items()}, capture_output=True, text=True,
                              timeout=PATIENCE, cwd=self.env["HOME"])

    def __call__(self, *actions, offline=False):
        """A process that performs the actions; for each, what came of it."""
        done = self.run(self.bin / "python", HERE / "client.py", json.dumps(actions), offline=offline)
        assert done.returncode == 0, done.stderr
        return [types.SimpleNamespace(**{"value": None, "error": None} | r) for r in json.loads(done.stdout)]

    def cli(self, *words, **kw):
        """The command line tool of that version, under the name it has there."""
        tool = next(p for p in (self.bin / "hf", self.bin / "huggingface-cli") if p.exists())
        return self.run(tool, *words, **kw)


def silent(result):
    """Nothing was complained about."""
    assert not result.log and not result.warnings, (result.log, result.warnings)
    return result


def fine(result):
    """The value of an action that went well, without a word."""
    assert not result.error, (result.error, result.log)
    return silent(result).value


def failed(result, name, *, silently=True):
    """The text of the error of that class an action ended with."""
    assert result.error, result.value
    assert name in result.error["is"], result.error
    if silently:
        silent(result)
    return result.error["text"]


def act(do, repo, *name, **kw):
    return do, {"repo": getattr(repo, "id", repo), **dict(zip(["name"], name)), **kw}


each_version = pytest.mark.parametrize("version", VERSIONS)
each_home = pytest.mark.parametrize("home", HOMES)


# ---- one client's life ----

@each_version
@each_home
def test_first_second_and_offline_load(world, version, home):
    repo, client = world.repo(), Client(world, version, home)
    commit = repo.refs["refs/heads/main"]
    snapshot = world.mount.snapshot(repo.id, commit)
    absent = ["generation_config.json", "onnx/none.json", "no/such/file.txt", "NOTICE"]
    load = [act("file", repo, "config.json"), act("file", repo, "onnx/deep/model.onnx"), act("snapshot", repo),
            *(act("file", repo, name) for name in absent),
            act("cached", repo, "config.json"), *(act("cached", repo, name) for name in absent)]

    def loaded(results, error):
        one, deep, whole, *rest = results
        assert fine(one) == {"path": f"{snapshot}/config.json", "sha256": digest(FILES["config.json"])}
        assert fine(deep) == {"path": f"{snapshot}/onnx/deep/model.onnx", "sha256": digest(FILES["onnx/deep/model.onnx"])}
        assert fine(whole) == {"path": str(snapshot), "files": digests(FILES)}
        for result in rest[:len(absent)]:
            failed(result, error)
        known, *unknown = rest[len(absent):]
        assert fine(known) == f"{snapshot}/config.json"
        # A name without an extension may as well be a directory: that one is asked for again.
        assert [fine(u) for u in unknown] == ["absent", "absent", "absent", None]

    world.forget()
    loaded(client(*load), "EntryNotFoundError")
    assert not world.asked(repo, NOT_OURS, method="GET", path_re="/resolve/")   # the bytes came through the mount
    world.forget()
    loaded(client(*load), "EntryNotFoundError")
    assert not world.asked(repo, OURS)
    asked = world.asked(repo, NOT_OURS)
    assert {a.split()[0] for a in asked if "/resolve/" in a} == {"HEAD"} and len(asked) == len(absent) + 3
    world.forget()
    loaded(client(*load, offline=True), "LocalEntryNotFoundError")
    assert not world.hub.requests()


@each_version
@each_home
def test_scan_is_content(world, version, home):
    repo, client = world.repo(), Client(world, version, home)
    data = world.repo({"data/train.jsonl": b"{}\n"}, type="dataset")
    fine(client(act("snapshot", repo))[0])
    fine(client(act("snapshot", data, type="dataset"))[0])
    found = fine(client(["scan", {}])[0])
    commit = repo.refs["refs/heads/main"]
    assert found["complaints"] == []
    assert found["repos"][f"models/{repo.id}"] == {
        "size": sum(map(len, FILES.values())), "files": len(FILES), "refs": {"main": commit}, "commits": [commit]}
    assert found["repos"][f"datasets/{data.id}"]["files"] == 1


@each_version
def test_every_way_to_name_a_commit(world, version):
    repo, client = world.repo(), Client(world, version)
    first = repo.refs["refs/heads/main"]
    second, third = repo.commit(FILES | MOVED, branch="dev"), repo.commit({"README.md": b"3\n"}, branch=None)
    repo.tag("v1.0", first), repo.pr(1, third), repo.branch("feature/deep", second)
    names = {"main": first, "v1.0": first, first: first, "dev": second, second: second, "feature/deep": second,
             "refs/pr/1": third, third: third}

    def loaded(results):
        for (name, commit), one, whole in zip(names.items(), results[::2], results[1::2]):
            snapshot = world.mount.snapshot(repo.id, commit)
            path = repo.commits[commit].files["config.json"]
            assert fine(one) == {"path": f"{snapshot}/config.json", "sha256": digest(path.bytes)}, name
            assert fine(whole)["path"] == str(snapshot) and fine(whole)["files"].keys() == FILES.keys(), name
    load = [act(kind, repo, *args, revision=name) for name in names for kind, *args in (["file", "config.json"], ["snapshot"])]
    loaded(client(*load))
    for offline in False, True:
        world.forget()
        loaded(client(*load, offline=offline))
        # The use of one commit makes the refs that name others doubtful: each is asked for once more, nothing else is.
        asked = world.asked(repo, OURS)
        assert len(asked) == len(set(asked)) and all("/revision/" in a for a in asked)
    assert not world.asked(repo, NOT_OURS)
    scan = fine(client(["scan", {}])[0])
    assert not scan["complaints"]
    found = scan["repos"][f"models/{repo.id}"]
    assert found["refs"] == {name: commit for name, commit in names.items() if len(name) < 40}
    assert found["commits"] == sorted({first, second, third})
    assert failed(client(act("file", repo, "config.json", revision="none"))[0], "RevisionNotFoundError")


@each_version
def test_other_types_names_and_rights(world, version):
    """Datasets, spaces, a renamed repository by its old name, and a private one."""
    data, space = world.repo(models.dataset(3), type="dataset"), world.repo({"app.py": b"print()\n"}, type="space")
    renamed, private = world.repo(), world.repo(private=True)
    old = renamed.id
    renamed.rename(old + "-new")
    client = Client(world, version, token=TOKEN)
    load = [act("snapshot", data, type="dataset"), act("file", data, "data/train/00000.jsonl", type="dataset"),
            act("snapshot", space, type="space"), act("snapshot", old), act("file", old, "config.json"), act("snapshot", renamed),
            act("snapshot", private), act("file", private, "model.safetensors")]
    for offline in False, False, True:
        world.forget()
        whole, line, app, by_old, config, by_new, secret, weights = map(fine, client(*load, offline=offline))
        assert whole["files"] == digests(models.dataset(3)) and line["path"] == f"{whole['path']}/data/train/00000.jsonl"
        assert app["files"] == digests({"app.py": b"print()\n"})
        for found in by_old, by_new, secret:
            assert found["files"] == digests(FILES)
        assert weights["path"] == f"{secret['path']}/model.safetensors"
    assert not world.hub.requests()


# ---- what changes ----

@each_version
def test_moved_branch(world, version):
    """The branch moves while mounted: to a new commit, to one the mount knows already, and back."""
    repo, client = world.repo(), Client(world, version)
    first = repo.refs["refs/heads/main"]
    load = [act("file", repo, "config.json"), act("file", repo, "none.json"), act("snapshot", repo), act("file", repo, "new.txt")]

    def loaded(results, commit, offline=False):
        files = repo.commits[commit].files
        one, none, whole, new = results
        assert fine(one) == {"path": f"{world.mount.snapshot(repo.id, commit)}/config.json",
                             "sha256": digest(files["config.json"].bytes)}
        failed(none, "LocalEntryNotFoundError" if offline else "EntryNotFoundError")
        assert fine(whole)["files"] == {name: digest(blob.bytes) for name, blob in files.items()}
        if "new.txt" in files:
            assert fine(new)["sha256"] == digest(b"new\n")
        else:
            failed(new, "LocalEntryNotFoundError" if offline else "EntryNotFoundError")

    def both(commit):
        loaded(client(*load), commit)
        assert world.mount.commit(repo.id) == commit
        world.forget()
        loaded(client(*load, offline=True), commit, offline=True)
        assert not world.hub.requests()
    both(first)
    second = repo.commit(MOVED | {"new.txt": b"new\n"})
    both(second)
    repo.tag("known", third := repo.commit({"README.md": b"3\n"}, branch=None))
    assert fine(client(act("snapshot", repo, revision="known"))[0])["path"].endswith(third)
    repo.move("main", third)
    both(third)
    repo.move("main", first)
    both(first)
    assert mountlib.read(world.mount.snapshot(repo.id, second) / "new.txt") == b"new\n"
    assert not fine(client(["scan", {}])[0])["complaints"]


def by_rename(ref, text):
    part = ref.with_name(f"{ref.name}.0a1b2c3d.tmp")
    mountlib.write(part, text)
    mountlib.within(60, os.rename, part, ref)


@pytest.mark.parametrize("put", [mountlib.write, by_rename], ids=["in place", "by rename"])
def test_the_ref_a_client_writes_is_a_hint(world, put):
    """The kernel still knows the snapshot the branch moves back to, so that only the client's write tells of it."""
    repo = world.repo()
    first = world.mount.commit(repo.id)
    second = repo.commit(moved(repo))
    assert mountlib.stat(world.mount.snapshot(repo.id, second)) and world.mount.commit(repo.id) == second
    assert mountlib.stat(world.mount.snapshot(repo.id, first))
    repo.move("main", first)
    put(world.mount.ref(repo.id), b"no commit")
    put(world.mount.ref(repo.id), first.encode())
    assert world.mount.commit(repo.id) == first and mountlib.names(world.mount.ref(repo.id).parent) == ["main"]
    world.forget()
    put(world.mount.ref(repo.id), first.encode())       # nothing new: nothing to ask
    assert world.mount.commit(repo.id) == first and not world.hub.requests()


@each_version
def test_hub_goes_down(own_world, version):
    world = own_world
    repo, client = world.repo(), Client(world, version)
    load = [act("file", repo, "config.json"), act("snapshot", repo)]
    before = list(map(fine, client(*load)))
    world.hub.down()
    *after, none, scan = client(*load, act("cached", repo, "none.json"), ["scan", {}])
    assert [r.value for r in after] == before and not [r for r in after if any(level == "ERROR" for level, *_ in r.log)]
    assert fine(none) == "absent" and not fine(scan)["complaints"]
    world.hub.up()
    assert list(map(fine, client(*load))) == before


# ---- the command line ----

@each_version
def test_download_to_a_directory(world, version):
    repo, client = world.repo(), Client(world, version)
    fine(client(act("snapshot", repo))[0])
    world.forget()
    target = world.tmp / f"out-{next(numbers)}"
    done = client.cli("download", repo.id, "--local-dir", target)
    assert done.returncode == 0, done.stderr
    found = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file() and ".cache" not in p.parts}
    assert found == FILES
    assert not world.asked(repo, NOT_OURS, method="GET", path_re="/resolve/") and not world.asked(repo, OURS)


@each_home
def test_hf_cache_verify_and_ls(world, home):
    repo, client = world.repo(), Client(world, "2.4", home)
    fine(client(act("snapshot", repo))[0])
    done = client.cli("cache", "verify", repo.id)
    assert done.returncode == 0 and re.search(f"{len(FILES)} file", done.stdout + done.stderr), (done.stdout, done.stderr)
    done = client.cli("cache", "ls")
    assert done.returncode == 0 and f"model/{repo.id}" in done.stdout and "warn" not in (done.stdout + done.stderr).lower(), (
        done.stdout, done.stderr)


# ---- tensors ----

@each_version
def test_safetensors(world, version):
    files = models.sharded_model(mb=1)
    name = "model-00002-of-00002.safetensors"
    repo, client = world.repo(files), Client(world, version)
    size = int.from_bytes(files[name][:8], "little")
    header = json.loads(files[name][8:8 + size])
    header.pop("__metadata__")
    data = files[name][8 + size:]
    wanted = {k: [t["shape"], digest(data[slice(*t["data_offsets"])])] for k, t in sorted(header.items())}
    for _ in range(2):
        assert fine(client(act("tensors", repo, name))[0]) == [wanted, wanted]


# ---- the rows of hf-contract-2x.md §5.1 (and of hf-contract.md §3.2) ----

def moved(repo):
    """Files of a new commit, with bytes that no other repository has."""
    return {"config.json": MOVED["config.json"] + b" " * repo.number}


def ref_equal(world, repo):
    assert world.mount.commit(repo.id) == repo.refs["refs/heads/main"]


def untouched(world, repo):
    """In a cache that nobody has filled, refs/, .locks/ and .no_exist/ are missing."""


def locks_and_no_exist_there(world, repo):
    folder, commit = world.mount.repo(repo.id), world.mount.commit(repo.id)
    assert mountlib.names(world.mount.hub / ".locks" / folder.name) == []
    assert mountlib.stat(folder / ".no_exist" / commit / "none.json").st_size == 0


def ref_old_snapshot_visible(world, repo):
    """The daemon cannot ask the hub whether the branch has moved; the client can."""
    ref_equal(world, repo)
    repo.tag("seen", second := repo.commit(moved(repo), branch=None))
    assert world.mount.commit(repo.id, "seen") == second
    repo.move("main", second)
    world.hub.fault(f"/api/models/{repo.id}/revision/main", "status", code=503, ua=OURS)


def snapshot_of_the_hub_absent(world, repo):
    ref_equal(world, repo)
    repo.commit(moved(repo))


def client_wrote_a_newline(world, repo):
    ref = world.mount.ref(repo.id)
    mountlib.fails(mountlib.write, ref, mountlib.read(ref) + b"\n")
    assert mountlib.read(ref) == repo.refs["refs/heads/main"].encode()


ROWS = {f.__name__: f for f in (ref_equal, untouched, locks_and_no_exist_there, ref_old_snapshot_visible,
                                snapshot_of_the_hub_absent, client_wrote_a_newline)}
BEST = {"file": "ok", "absent": "EntryNotFoundError", "snapshot": "ok", "resolve": "ok"}
# What is worse under --strict-ro. A ref that cannot be written is the one uncaught write of every version.
STRICT = {"0.30": {"absent": "EntryNotFoundError, ERROR", "snapshot": "ok, WARNING"},
          "0.36": {"absent": "EntryNotFoundError, ERROR", "snapshot": "ok, WARNING"},
          "1.24": {"snapshot": "ok, WARNING"}, "2.4": {}}
STRICT_REF_OLD = {"0.30": {"file": "OSError", "absent": "OSError, ERROR"},
                  "0.36": {"file": "OSError", "absent": "OSError, ERROR"},
                  "1.24": {"file": "OSError", "absent": "OSError"},
                  "2.4": {"absent": "OSError", "snapshot": "ok, WARNING", "resolve": "ok, WARNING"}}


def outcome(result, wanted):
    """In words: how it ended, and the loudest that was said on the way."""
    if result.error:
        end = next(c for c in ("EntryNotFoundError", "OSError", "Exception") if c in result.error["is"])
        end += "" if end != "OSError" or "[Errno 30]" in result.error["text"] else f" ({result.error['text']})"
    else:
        end = "ok" if wanted(result.value) else f"wrong: {result.value}"
    loudest = [level for level in ("ERROR", "WARNING") if level in [r[0] for r in result.log]]
    return ", ".join([end] + loudest[:1] + result.warnings[:1])


def is_commit(repo, commit):
    """A function that tells whether an action brought that commit."""
    data = digest(repo.commits[commit].files["config.json"].bytes)

    def check(value):
        if isinstance(value, str):
            return value == commit
        found = value["files"]["config.json"] if "files" in value else value["sha256"]
        return f"/snapshots/{commit}" in value["path"] and found == data
    return check


@pytest.fixture(scope="module")
def matrix(request):
    """matrix(version, strict): all rows of a column by one client process: {row: {action: outcome}}, online and offline."""
    columns = {}

    def column(version, strict):
        if (version, strict) not in columns:
            world = request.getfixturevalue("strict_world" if strict else "world")
            columns[version, strict] = run_column(world, version)
        return columns[version, strict]
    return column


def run_column(world, version):
    repos = {row: world.repo() for row in ROWS}
    for row, prepare in ROWS.items():
        prepare(world, repos[row])
    actions = {"file": ("file", "config.json"), "absent": ("file", "none.json"), "snapshot": ("snapshot",)}
    if version == "2.4":
        actions["resolve"] = ("resolve",)
    client = Client(world, version)
    results = iter(client(*(act(do, repos[row], *name) for row in ROWS for do, *name in actions.values())))
    online = {row: {a: outcome(next(results), is_commit(repos[row], repos[row].refs["refs/heads/main"])) for a in actions}
              for row in ROWS}
    world.forget()
    del actions["absent"]
    actions.pop("resolve", None)
    results = iter(client(*(act(do, repos[row], *name) for row in ROWS for do, *name in actions.values()), offline=True))
    # Who asks nobody gets what the mount knows of the branch: without the hub, that is the old commit, and all of it.
    offline = {row: {a: outcome(next(results), is_commit(repos[row], world.mount.commit(repos[row].id))) for a in actions}
               for row in ROWS}
    world.hub.clear_faults()
    offline["requests"] = [a for repo in repos.values() for a in world.asked(repo, NOT_OURS)]
    return online, offline


@each_version
@pytest.mark.parametrize("row", ROWS)
def test_row(matrix, row, version):
    online, offline = matrix(version, False)
    assert online[row] == {a: BEST[a] for a in online[row]}
    assert offline[row] == {"file": "ok", "snapshot": "ok"} and not offline["requests"]


@each_version
@pytest.mark.parametrize("row", ROWS)
def test_row_without_the_scratch(matrix, row, version):
    online, offline = matrix(version, True)
    worse = STRICT[version] | (STRICT_REF_OLD[version] if row == "ref_old_snapshot_visible" else {})
    assert online[row] == {a: (BEST | worse)[a] for a in online[row]}
    assert offline[row] == {"file": "ok", "snapshot": "ok"} and not offline["requests"]


# ---- transformers, and the rows of §5.2 ----

TINY = {name: data for name, data in models.tiny_model().items() if name != "model.safetensors"}
FEW = {name: TINY[name] for name in ("config.json", "tokenizer.json", "tokenizer_config.json")}
SECOND_LOAD = ["GET {}", "GET {}", "GET {}/tree/main", "GET {}/tree/main/additional_chat_templates"]


def both(repo, **kw):
    return act("config", repo, **kw), act("tokenizer", repo, **kw)


def loaded(config, tokenizer, layers=2, check=fine):
    """AutoConfig and AutoTokenizer gave what the commit holds: one that moved() made has a layer more."""
    config, tokenizer = check(config), check(tokenizer)
    assert config == {"class": "BertConfig", "layers": layers}
    assert tokenizer["tokens"] == ["the", "model", "read", "##s", "a", "tree", "."]


@each_home
@pytest.mark.parametrize("files", [TINY, FEW], ids=["all", "few"])
def test_transformers(world, files, home):
    repo, client = world.repo(files), Client(world, "transformers", home)
    api = f"/api/models/{repo.id}"
    for n in range(2):
        world.forget()
        loaded(*client(*both(repo)))
        # Already the first load needs no request a file: the mount knows which there are.
        assert sorted(world.asked(repo, NOT_OURS)) == [line.format(api) for line in SECOND_LOAD]
        assert n == 0 or not world.asked(repo, OURS)
    world.forget()
    loaded(*client(*both(repo), offline=True))
    assert not world.hub.requests()


def test_transformers_and_a_moved_branch(world):
    repo, client = world.repo(TINY), Client(world, "transformers")
    first = repo.refs["refs/heads/main"]
    loaded(*client(*both(repo)))
    repo.commit(moved(repo))
    world.forget()
    results = client(*both(repo), *both(repo, revision=first))
    loaded(*results[:2], layers=3)
    loaded(*results[2:])
    assert not [a for a in world.asked(repo, NOT_OURS) if "/resolve/" in a]
    world.forget()
    loaded(*client(*both(repo, revision=first)))
    assert all("/tree/" in a for a in world.asked(repo, NOT_OURS)) and len(world.asked(repo, NOT_OURS)) == 2
    results = client(*both(repo), *both(repo, revision=first), offline=True)
    loaded(*results[:2], layers=3)
    loaded(*results[2:])


TRANSFORMERS_ROWS = {f.__name__: f for f in (ref_equal, untouched, ref_old_snapshot_visible, snapshot_of_the_hub_absent)}


@pytest.fixture(scope="module")
def transformers_matrix(request):
    columns = {}

    def column(strict):
        if strict not in columns:
            world = request.getfixturevalue("strict_world" if strict else "world")
            repos = {row: world.repo(TINY) for row in TRANSFORMERS_ROWS}
            for row, prepare in TRANSFORMERS_ROWS.items():
                prepare(world, repos[row])
            client = Client(world, "transformers")
            load = [a for repo in repos.values() for a in both(repo)]
            online = client(*load)
            world.hub.clear_faults()
            columns[strict] = {row: (repos[row], online[2 * n:2 * n + 2]) for n, row in enumerate(repos)}
        return columns[strict]
    return column


@pytest.mark.parametrize("row", TRANSFORMERS_ROWS)
def test_transformers_row(transformers_matrix, row):
    repo, results = transformers_matrix(False)[row]
    loaded(*results, 2 + (repo.find("main").parent is not None))


@pytest.mark.parametrize("row", TRANSFORMERS_ROWS)
def test_transformers_row_without_the_scratch(transformers_matrix, row):
    repo, results = transformers_matrix(True)[row]
    loaded(*results, 2 + (repo.find("main").parent is not None), check=lambda r: r.value)
    said = [line for r in results for line in r.log]
    # Before anything of the new commit is used, the mount has no hint that the branch has moved.
    assert bool(said) == (row in ("ref_old_snapshot_visible", "snapshot_of_the_hub_absent"))
    assert all(level == "WARNING" and "Ignored error while caching commit hash" in text for level, _, text in said)


# ---- JavaScript ----

def test_javascript(world):
    js, repo = BUILD / "js", world.repo()
    if not (shutil.which("node") and (js / "node_modules").exists()):
        pytest.skip("no node, or no build/js: make deps installs it where there is an npm")
    for n in range(2):
        world.forget()
        done = subprocess.run(["node", HERE / "client.mjs", world.mount.hub, world.hub.url, repo.id], capture_output=True,
                              text=True, timeout=PATIENCE, env={"PATH": os.environ["PATH"], "JS_CLIENT": str(js)})
        assert done.returncode == 0, done.stderr
        found, snapshot = json.loads(done.stdout), world.mount.snapshot(repo.id, repo.refs["refs/heads/main"])
        assert found.pop("snapshot") == str(snapshot) and found.pop("file") == FILES["config.json"].decode()
        flat = {name: data for name, data in FILES.items() if "/" not in name}      # its scan enters no directory
        assert sorted(found.pop("files")) == sorted(f"{snapshot}/{name}" for name in flat)
        assert found == {"warnings": [], "size": sum(map(len, flat.values())), "refs": ["main"]}
        assert not [a for a in world.asked(repo, NOT_OURS) if "/resolve/" in a] and (n == 0 or not world.asked(repo, OURS))
