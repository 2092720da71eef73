"""Real clients, unmodified, that push to matrixhubd in the ways people really do: folders too large for one go, clients and hubs
that die on the way, files that grow, a file system, and the libraries above huggingface_hub."""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess

import pytest

from clients_hubd import Client
from clients_matrix import BUILD, HERE, PATIENCE
from hub import Hub
from hubd import Hubd
from mountlib import eventually
from registry import Repo

MIB = 1 << 20


def noise(mib, seed):
    return random.Random(seed).randbytes(mib * MIB)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with Hub() as hub:
        tmp = tmp_path_factory.mktemp("pushes")
        h = Hubd(tmp, hub, timeout=20, args=[f"--upload-part={MIB}", f"--access-log={tmp / 'access'}"])
        h.access = tmp / "access"
        yield h
        h.stop()


class Pusher(Client):
    """A client that may write, and asks for no Xet store."""

    def __init__(self, tmp, version, ours):
        super().__init__(tmp, version, ours.url, ours.admin_token)
        self.env["HF_HUB_DISABLE_XET"] = "1"

    def words(self, way, repo, folder):
        return [self.bin / "python", HERE / "client_pushes.py", way, repo, folder]

    def push(self, way, repo, folder):
        done = self.run(*self.words(way, repo, folder))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def begin(self, *words):
        return subprocess.Popen(list(map(str, words)), env={k: str(v) for k, v in self.env.items()}, cwd=self.home,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def folder_of(tmp_path, **files):
    for name, data in files.items():
        path = tmp_path / "folder" / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "folder"


def uploads(h):
    """How many objects came whole, by the trail."""
    text = "".join(f.read_text() for f in sorted((h.data / "audit").glob("*.jsonl")))
    return [json.loads(line) for line in text.splitlines() if '"act":"lfs.upload"' in line]


def stopped_between_notes(client, folder):
    """Stops it, but lets it go on if it was writing a note: huggingface_hub 0.36 writes them in place, and fails at an empty one."""
    client.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, client.pid, os.WSTOPPED)
    if all(note.stat().st_size for note in (folder / ".cache").rglob("*.metadata")):
        return True
    client.send_signal(signal.SIGCONT)
    return False


@pytest.mark.parametrize("version", ["0.36", "2.4"])
def test_a_large_folder_goes_on_where_a_killed_client_left_it(ours, tmp_path, version):
    client, repo = Pusher(tmp_path, version, ours), Repo(ours, f"admin/large-{version}", ours.admin_token, make=False)
    parts = {f"{n}_bin": noise(11, f"{version} {n}") for n in range(6)}
    folder, before = folder_of(tmp_path, a__config_json=b"{}", **parts), len(uploads(ours))
    first = client.begin(*client.words("large", repo.id, folder))
    assert eventually(lambda: len(uploads(ours)) >= before + 2 or first.poll() is not None, PATIENCE) and first.poll() is None, first.communicate()[1]
    assert eventually(lambda: stopped_between_notes(first, folder), PATIENCE)
    first.kill()
    first.wait(10)
    client.push("large", repo.id, folder)
    for name, data in parts.items():
        assert repo.read(name.replace("_", ".")) == data
    assert repo.read("a/config.json") == b"{}"
    assert eventually(lambda: len(uploads(ours)) - before == len(parts), PATIENCE), "a file came twice, or not at all"


def test_a_client_waits_for_a_hub_that_was_killed_while_a_file_came(hub, tmp_path):
    first = Hubd(tmp_path, hub)
    client, port = Pusher(tmp_path, "2.4", first), first.port
    large, middle = noise(200, 1), noise(11, 2)
    folder = folder_of(tmp_path, w_bin=large, m_bin=middle, config_json=b"{}")
    repo = Repo(first, "admin/killed", first.admin_token)
    sender = client.begin(client.bin / "hf", "upload", repo.id, folder, ".")
    incoming = lambda: sum(f.stat().st_size for f in (first.data / "own/incoming").glob("*"))
    assert eventually(lambda: incoming() > 20 * MIB or sender.poll() is not None, 60) and sender.poll() is None, sender.communicate()[1]
    first.kill()
    repo.hubd = again = Hubd(tmp_path, hub, data=first.data, port=port)
    assert sender.wait(PATIENCE) == 0, sender.communicate()[1]
    assert repo.read("w.bin") == large and repo.read("m.bin") == middle and repo.read("config.json") == b"{}"
    assert not list((again.data / "own/incoming").iterdir())
    again.stop()


@pytest.mark.parametrize("version", ["0.36", "2.4"])
def test_what_grows_is_committed_now_and_then(ours, tmp_path, version):
    repo, folder = Repo(ours, f"admin/log-{version}", ours.admin_token, make=False), tmp_path / "logs"
    folder.mkdir()
    told = Pusher(tmp_path, version, ours).push("scheduled", repo.id, folder)
    assert repo.read("logs/log.txt") == b"one\ntwo\n" and told["unchanged"] is None
    assert [c["id"] for c in repo.log()][:2] == told["oids"][::-1] and repo.read("logs/log.txt", told["oids"][0]) == b"one\n"


@pytest.mark.parametrize("version", ["0.36", "2.4"])
def test_it_is_written_to_as_a_file_system(ours, tmp_path, version):
    folder = folder_of(tmp_path, w_bin=noise(1, 3))
    told = Pusher(tmp_path, version, ours).push("filesystem", f"admin/fs-{version}", folder)
    assert told == {"found": [".gitattributes", "b.txt", "copy.bin"], "text": "written", "bytes": MIB}


def test_transformers_push_what_they_load_again(ours, tmp_path):
    shutil.copytree(BUILD / "model", tmp_path / "model")
    told = Pusher(tmp_path, "transformers", ours).push("transformers", "admin/saved", tmp_path / "model")
    assert told["same"] and told["hidden"] == told["wanted"] > 0
    repo = Repo(ours, "admin/saved", ours.admin_token, make=False)
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "README.md"} <= set(repo.tree())
    assert ours.ask(repo.api).status == 401                             # private, as it was told


def test_datasets_push_a_set_that_is_loaded_again(ours, tmp_path):
    told = Pusher(tmp_path, "datasets", ours).push("datasets", "admin/rows", tmp_path)
    assert told == {"train": True, "test": {"n": 7, "text": "seven"}}
    repo = Repo(ours, "admin/rows", ours.admin_token, "dataset", make=False)
    assert [p for p in repo.tree() if p.endswith(".parquet")] == ["data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"]
    assert ours.ask(repo.api).status == 401


def test_the_javascript_client_sends_a_large_file_in_parts(ours, tmp_path):
    js = BUILD / "js"
    if not (shutil.which("node") and (js / "node_modules").exists()):
        pytest.skip("no node, or no build/js: make deps installs it where there is an npm")
    path = folder_of(tmp_path, w_bin=noise(11, 4)) / "w.bin"
    done = subprocess.run(["node", HERE / "client_hub_parts.mjs", ours.url, "admin/js-parts", ours.admin_token, path], capture_output=True,
                          text=True, timeout=PATIENCE, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "JS_CLIENT": str(js)})
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    parts = lambda: ours.access.read_text().count(f'"PUT /api/lfs/{told["sha256"]}')
    assert eventually(lambda: parts() == 11, 5), parts()
    assert {"preuploading", "uploadingLargeFiles", "committing"} <= set(told["seen"]), told
