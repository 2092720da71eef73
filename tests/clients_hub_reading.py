"""Real clients, unmodified, that read from matrixhubd in every way they have: each is told the same by it and by the hub
upstream, and by one matrixhubd in front of another. What they need and see: docs/clients.md."""
import hashlib
import json
import pathlib
import shutil
import socket
import subprocess
import threading

import pytest

import models
from clients_hubd import Client, World
from clients_matrix import BUILD, FILES, HERE, PATIENCE, TINY, VERSIONS, act, digests, failed, fine
from hub import Blob
from hubd import Hubd

GB = 10**9
ROWS = [{"id": n, "text": f"row {n}"} for n in range(300)]


class Chain(World):
    """The scripted hub, a matrixhubd in front of it, and another in front of that."""

    def __init__(self, tmp):
        super().__init__(tmp)
        self.second = Hubd(tmp, self.hubd, timeout=20)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = Chain(tmp_path_factory.mktemp("world"))
    yield world
    world.second.stop()
    world.hubd.stop()
    world.hub.close()


each_version = pytest.mark.parametrize("version", VERSIONS)


class Cutter:
    """A way to a port that loses its connection once, after so many bytes of an answer; the heads of requests it saw."""

    def __init__(self, port, after):
        self.to, self.after, self.heads = port, after, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self._ask, args=(near, far), daemon=True).start()
            threading.Thread(target=self._answer, args=(near, far), daemon=True).start()

    def _ask(self, near, far):
        while data := _receive(near):
            self.heads.append(data.decode("latin-1"))
            far.sendall(data)
        _shut(far)

    def _answer(self, near, far):
        while data := _receive(far):
            if self.after is not None:
                self.after -= len(data)
                if self.after <= 0:
                    self.after = None
                    break
            try:
                near.sendall(data)
            except OSError:
                break
        _shut(near)
        _shut(far)

    def close(self):
        self.listener.close()


def _receive(s):
    try:
        return s.recv(65536)
    except OSError:
        return b""


def _shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


# ---- huggingface_hub ----

@each_version
def test_file_systems_and_lists(world, tmp_path, version):
    repo = world.repo()
    look = [act("told", repo), act("browsed", repo, type="model"), ["lists", {"search": repo.id}]]
    ours, theirs = Client(tmp_path, version, world.hubd.url)(*look), Client(tmp_path, version, world.hub.url)(*look)
    assert [fine(r) for r in ours] == [fine(r) for r in theirs]
    assert fine(ours[2]) == [[repo.id], [], []] and fine(ours[1])["text"] == "a\nb\n"


@pytest.mark.parametrize("version, type", [("0.30", "model"), ("0.36", "dataset"), ("1.24", "space"), ("2.4", "model")])
def test_what_else_is_asked_is_told_as_upstream_tells_it(world, tmp_path, version, type):
    repo = world.repo(FILES | {"empty.txt": b""}, type=type)
    first = repo.refs["refs/heads/main"]
    repo.more = {"tags": ["en"], "likes": 3}
    repo.commit({"config.json": b"{}"})
    repo.pr(1, first)
    repo.refs |= {"refs/tags/v1": first, "refs/heads/a/b": first, "refs/convert/parquet": first}
    look = act("looked_at", repo, type=type)
    ours, theirs = [fine(Client(tmp_path, version, url)(look)[0]) for url in (world.hubd.url, world.hub.url)]
    assert ours == theirs
    assert ours["paths"]["config.json"][0] == repo.refs["refs/heads/main"] != ours["paths"]["onnx"][0] == first and len(ours["paths"]) == 3
    if type == "dataset":
        with world.hub.fault(f".*{repo.id}.*", "status", code=503):     # of what was never asked for nobody can tell
            look = act("looked_at", repo, type=type, absent=[])
            assert fine(Client(tmp_path, version, world.hubd.url)(look)[0]) == ours | {"revisions": [True, True]}


@each_version
def test_what_is_gated_upstream_is_said_to_be(world, tmp_path, version):
    shown, hidden = [world.repo({"config.json": b'{"of": "%s %d"}' % (version.encode(), n)}) for n in range(2)]
    hidden.gated = "manual"
    open, shut = Client(tmp_path, version, world.hubd.url)(act("gated", shown), act("gated", hidden))
    assert fine(open) == [None] * 4 and fine(shut) == [True] * 4


@each_version
def test_what_broke_off_goes_on(world, tmp_path, version):
    data = models.big_file(24_000_000, seed=960)    # clients keep what came in pieces of 10 MiB
    repo = world.repo({"w.bin": data})
    way = Cutter(world.hubd.port, 15_000_000)
    client = Client(tmp_path, version, way.url)
    got = client(act("file", repo, "w.bin"))[0]
    if got.error:       # old ones leave that to the next call
        got = client(act("file", repo, "w.bin"))[0]
    way.close()
    assert got.value and got.value["sha256"] == hashlib.sha256(data).hexdigest() and way.after is None, got
    assert any("range: bytes=" in head.lower() for head in way.heads)


@each_version
def test_one_hub_in_front_of_another(world, tmp_path, version):
    repo = world.repo(type="dataset")
    look = [act("snapshot", repo, type="dataset"), act("told", repo, type="dataset"), act("file", repo, "none", type="dataset")]
    far, near = Client(tmp_path, version, world.second.url)(*look), Client(tmp_path, version, world.hub.url)(*look)
    assert fine(far[0])["files"] == digests(FILES) and fine(far[1]) == fine(near[1])
    failed(far[2], "EntryNotFoundError", silently=False)
    with world.hub.fault(f".*{repo.id}.*", "status", code=503):
        assert fine(Client(tmp_path, version, world.second.url)(look[0])[0])["files"] == digests(FILES)


@each_version
def test_what_a_rule_denies_is_no_part_of_a_snapshot(world, tmp_path, version):
    repo = world.repo()
    ruled = Hubd(tmp_path, world.hub, args=["--deny=*:*.onnx", "--deny=org/secret"])
    everything, one, none = Client(tmp_path, version, ruled.url)(act("snapshot", repo), act("file", repo, "onnx/deep/model.onnx"),
                                                                 act("file", "org/secret", "x"))
    assert fine(everything)["files"] == {n: d for n, d in digests(FILES).items() if not n.endswith(".onnx")}
    failed(one, "EntryNotFoundError", silently=False)
    failed(none, "RepositoryNotFoundError", silently=False)
    ruled.stop()


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != "0.30"])
def test_files_of_more_than_fifty_gigabytes(world, tmp_path, version):
    """Clients since 0.31 refuse them before they ask for a byte (0.30 takes all of it): docs/clients.md says what to do."""
    sparse = tmp_path / "huge"
    with open(sparse, "wb") as f:
        f.truncate(51 * GB)
    repo = world.repo({"w.bin": Blob(sparse, "w.bin", sha256="6" * 64)})
    client = Client(tmp_path, version, world.hubd.url)
    assert "too large" in client(act("file", repo, "w.bin"))[0].error["text"]
    part = subprocess.run(["curl", "-sS", "-r", "50000000000-50000000009", f"{world.hubd.url}/{repo.id}/resolve/main/w.bin"],
                          capture_output=True, timeout=PATIENCE)
    assert part.stdout == bytes(10)


# ---- what is built on it ----

def test_transformers_also_without_the_upstream(world, tmp_path):
    repo = world.repo(TINY)
    load = [act("config", repo), act("tokenizer", repo)]
    assert all(fine(r) for r in Client(tmp_path, "transformers", world.second.url)(*load))
    with world.hub.fault(f".*{repo.id}.*", "status", code=503):
        config, tokenizer = Client(tmp_path, "transformers", world.hubd.url)(*load)
        assert fine(config)["layers"] == 2 and fine(tokenizer)["tokens"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_datasets_stream(world, tmp_path, kind):
    client = Client(tmp_path, "datasets", world.hubd.url)
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode() if kind == "jsonl" else \
        bytes.fromhex(fine(client(["parquet", {"rows": ROWS}])[0]))
    repo = world.repo({f"data/train-00000.{kind}": data}, type="dataset")
    assert fine(client(["streamed", {"repo": repo.id}])[0]) == ROWS
    with world.hub.fault(f".*{repo.id}.*", "status", code=503):
        again = Client(tmp_path, "datasets", world.hubd.url)
        assert fine(again(["streamed", {"repo": repo.id}])[0]) == ROWS


# ---- others ----

def test_javascript_is_told_the_same(world, tmp_path):
    js, repo = BUILD / "js", world.repo()
    if not (shutil.which("node") and (js / "node_modules").exists()):
        pytest.skip("no node, or no build/js: make deps installs it where there is an npm")
    repo.commit({"config.json": b"{}\n"})
    repo.pr(1, repo.refs["refs/heads/main"])
    found = []
    for hub in world.hub, world.hubd, world.second:
        done = subprocess.run(["node", HERE / "client_hub.mjs", hub.url, repo.id, repo.id], capture_output=True, text=True,
                              timeout=PATIENCE, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "JS_CLIENT": str(js)})
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[1] == found[0] and found[2] == found[0]
    assert found[0]["count"] == 2 and found[0]["exists"] == [True, False] and found[0]["models"] == [repo.id]


@pytest.mark.parametrize("words", [
    ["aria2c", "-q", "-x16", "-s16", "-k1M", "-o", "w.bin"], ["aria2c", "-q", "-c", "-x16", "-s16", "-k1M", "-o", "w.bin"],
    ["wget", "-q", "-c", "-O", "w.bin"], ["curl", "-sSL", "-C", "-", "-o", "w.bin"], ["curl", "-sSL", "--compressed", "-o", "w.bin"]],
    ids=lambda w: " ".join(w[:3]))
def test_downloaders(world, tmp_path, words):
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is missing: run make deps")
    data = models.big_file(20 << 20, seed=970)
    repo = world.repo({"w.bin": data})
    url = f"{world.second.url}/{repo.id}/resolve/main/w.bin"
    if "-c" in words or "-C" in words:
        (tmp_path / "w.bin").write_bytes(data[:7_000_000])
    subprocess.run([*words, url], cwd=tmp_path, check=True, timeout=PATIENCE)
    assert (tmp_path / "w.bin").read_bytes() == data
    assert world.hub.bytes_sent(path_re=repo.id) <= 1.02 * len(data) + 100_000 or world.hub.cdn
    assert pathlib.Path(tmp_path / "w.bin").stat().st_size == len(data)
