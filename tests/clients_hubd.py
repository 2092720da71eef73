"""Real clients, unmodified, of matrixhubd: each version finds there what the upstream hub has, also when that is gone. Its
twin is the upstream itself: every client is told the same by both."""
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import types

import pytest

import models
from clients_matrix import BUILD, FILES, HERE, PATIENCE, TINY, VERSIONS, act, digests, failed, fine
from conftest import why_not
from hub import Hub
from hubd import Hubd
from mountlib import Mount, read


class World:
    def __init__(self, tmp):
        self.tmp, self.hub, self.count = tmp, Hub(cdn=True), 0
        self.hubd = Hubd(tmp, self.hub, timeout=20)

    def repo(self, files=FILES, type="model"):
        self.count += 1
        repo = self.hub.repo(f"org/small-{self.count}", type)
        repo.commit(files)
        return repo


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.hubd.stop()
    world.hub.close()


class Client:
    """A Python with one version of the client and a cache of its own, told to ask that endpoint."""

    def __init__(self, tmp, venv, endpoint, token=None):
        self.bin = BUILD / "venv" / VERSIONS.get(venv, venv) / "bin"
        if not self.bin.exists():
            pytest.skip(f"{self.bin} is missing: run make deps")
        self.home = pathlib.Path(tmp) / "home"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": self.home, "HF_HOME": self.home, "HF_ENDPOINT": endpoint,
                    "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
        if token:
            self.env["HF_TOKEN"] = token

    def run(self, *words):
        return subprocess.run(list(map(str, words)), env={k: str(v) for k, v in self.env.items()}, capture_output=True,
                              text=True, timeout=PATIENCE, cwd=self.home)

    def __call__(self, *actions):
        done = self.run(self.bin / "python", HERE / "client.py", json.dumps(actions))
        assert done.returncode == 0, done.stderr
        return [types.SimpleNamespace(**{"value": None, "error": None} | r) for r in json.loads(done.stdout)]

    def cli(self, *words):
        return self.run(next(p for p in (self.bin / "hf", self.bin / "huggingface-cli") if p.exists()), *words)


each_version = pytest.mark.parametrize("version", VERSIONS)


@each_version
@pytest.mark.parametrize("type", ["model", "dataset"])
def test_downloads_and_what_is_told(world, tmp_path, version, type):
    repo = world.repo(type=type)
    commit = repo.refs["refs/heads/main"]
    load = [act("snapshot", repo, type=type), act("file", repo, "onnx/deep/names.txt", type=type), act("told", repo, type=type)]
    ours, file, told = Client(tmp_path, version, world.hubd.url)(*load)
    assert fine(ours)["files"] == digests(FILES) and commit in fine(ours)["path"]
    assert fine(file)["sha256"] == hashlib.sha256(FILES["onnx/deep/names.txt"]).hexdigest()
    theirs = Client(tmp_path, version, world.hub.url)(*load)[2]
    assert fine(told) == fine(theirs)
    assert fine(told)["sha"] == commit and fine(told)["exists"] == [True, False]
    assert fine(told)["part"] == hashlib.sha256(FILES["model.safetensors"][1000:50_000]).hexdigest()


@each_version
def test_what_one_has_loaded_others_load_without_the_upstream(world, tmp_path, version):
    repo = world.repo()
    assert fine(Client(tmp_path, version, world.hubd.url)(act("snapshot", repo))[0])
    with world.hub.fault(f".*{repo.id}.*", "status", code=503) as fault:
        again = fine(Client(tmp_path, version, world.hubd.url)(act("snapshot", repo))[0])
        assert again["files"] == digests(FILES)
    never = world.repo()
    with world.hub.fault(f".*{never.id}.*", "status", code=404) as fault:
        failed(Client(tmp_path, version, world.hubd.url)(act("file", never, "config.json"))[0], "Exception", silently=False)
        assert fault.hits


@each_version
def test_what_is_not_there_is_told_as_the_upstream_tells_it(world, tmp_path, version):
    repo = world.repo()
    client = Client(tmp_path, version, world.hubd.url)
    file, revision, missing = client(act("file", repo, "none.json"), act("file", repo, "config.json", revision="none"),
                                     act("file", "org/none", "config.json"))
    failed(file, "EntryNotFoundError", silently=False)
    failed(revision, "RevisionNotFoundError", silently=False)
    failed(missing, "RepositoryNotFoundError", silently=False)


@each_version
def test_the_administrators_token_is_known_and_a_wrong_one_is_not(world, tmp_path, version):
    known = Client(tmp_path, version, world.hubd.url, world.hubd.admin_token)(["whoami", {}])[0]
    assert known.value == "admin", known.error
    assert Client(tmp_path, version, world.hubd.url, "hf_" + "x" * 34)(["whoami", {}])[0].error


@each_version
def test_the_command_line_tool(world, tmp_path, version):
    repo = world.repo()
    done = Client(tmp_path, version, world.hubd.url).cli("download", repo.id, "--local-dir", tmp_path / "here")
    assert done.returncode == 0, done.stderr
    found = {str(p.relative_to(tmp_path / "here")): p.read_bytes() for p in (tmp_path / "here").rglob("*")
             if p.is_file() and ".cache" not in p.parts}
    assert found == FILES


def test_transformers(world, tmp_path):
    repo = world.repo(TINY)
    client = Client(tmp_path, "transformers", world.hubd.url)
    config, tokenizer = client(act("config", repo), act("tokenizer", repo))
    assert config.value["layers"] == 2 and tokenizer.value["tokens"], (config, tokenizer)


def test_javascript(world, tmp_path):
    js, repo = BUILD / "js", world.repo()
    if not (shutil.which("node") and (js / "node_modules").exists()):
        pytest.skip("no node, or no build/js: make deps installs it where there is an npm")
    done = subprocess.run(["node", HERE / "client.mjs", tmp_path / "cache", world.hubd.url, repo.id], capture_output=True,
                          text=True, timeout=PATIENCE, env={"PATH": os.environ["PATH"], "JS_CLIENT": str(js)})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["file"] == FILES["config.json"].decode() and found["warnings"] == [] and found["refs"] == ["main"]


def test_curl_and_wget_go_on_where_they_stopped(world, tmp_path):
    data = models.big_file(20 << 20, seed=950)
    repo = world.repo({"w.bin": data})
    url = f"{world.hubd.url}/{repo.id}/resolve/main/w.bin"
    for words in ["curl", "-sS", "-C", "-", "-o", "w.bin", url], ["wget", "-q", "-c", "-O", "w.bin", url]:
        (tmp_path / "w.bin").write_bytes(data[:7_000_000])
        subprocess.run(words, cwd=tmp_path, check=True, timeout=PATIENCE)
        assert (tmp_path / "w.bin").read_bytes() == data


def test_a_mount_of_it(world, tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    repo = world.repo()
    with Mount(tmp_path, world.hubd, timeout=20) as m:
        for name, data in FILES.items():
            assert read(m.file(repo.id, name)) == data
        assert sorted(os.listdir(m.file(repo.id))) == sorted({name.partition("/")[0] for name in FILES})


def test_one_connection_serves_many_requests(world):
    repo = world.repo()
    connection = http.client.HTTPConnection("127.0.0.1", world.hubd.port, timeout=30)
    for _ in range(50):
        connection.request("GET", f"/{repo.id}/resolve/main/config.json")
        assert connection.getresponse().read() == FILES["config.json"]
    connection.close()
