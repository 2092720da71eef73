"""The export as libnfs sees it: its library, and its programs nfs-ls, nfs-cat and nfs-cp."""
import hashlib
import re
import shutil
import stat as st_mode
import subprocess
import threading

import pytest

import libnfs
import models
from hub import Hub
from libnfs import Libnfs
from mountlib import DEADLINE, eventually, fails
from nfs_wire import Export

pytestmark = pytest.mark.skipif(bool(libnfs.why_not()), reason=str(libnfs.why_not()))
MIB = 1 << 20
BIG = models.big_file(9 * MIB + 777, seed=21)
SMALL = b'{"model_type": "bert"}'
FILES = {"config.json": SMALL, "model.safetensors": BIG, "empty.txt": b"", "sub/dir/deep.json": b"{}",
         **{f"many/{n:04}.txt": b"%d" % n for n in range(700)}}
TINY = "/files/org/tiny"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Hub() as hub:
        hub.commit_there = hub.repo("org/tiny").commit(FILES)
        with Export(tmp_path_factory.mktemp("clients"), hub, timeout=20) as export:
            export.hub_there = hub
            yield export


def tool(name, *words):
    """What one of libnfs's programs says."""
    if not shutil.which(name):
        pytest.skip(f"no {name} here: run make deps")
    return subprocess.run([name, *map(str, words)], capture_output=True, timeout=DEADLINE)


def url(served, path):
    return f"nfs://{served.host}{path}?nfsport={served.port}&mountport={served.port}"


# ---- the programs ----

def test_nfs_ls(served):
    done = tool("nfs-ls", url(served, TINY))
    assert done.returncode == 0, done.stderr
    lines = {line.split()[-1]: line for line in done.stdout.decode().splitlines()}
    assert set(lines) == {"config.json", "empty.txt", "many", "model.safetensors", "sub"}
    assert lines["model.safetensors"].startswith("-r--r--r--") and str(len(BIG)) in lines["model.safetensors"].split()
    assert lines["sub"].startswith("dr-xr-xr-x")
    links = tool("nfs-ls", url(served, f"/hub/models--org--tiny/snapshots/{served.hub_there.commit_there}")).stdout.decode().splitlines()
    assert {line.split()[-1]: line[:10] for line in links}["model.safetensors"] == "lrwxrwxrwx"
    assert tool("nfs-ls", url(served, "/files/org/none")).returncode != 0
    listed = tool("nfs-ls", "-R", url(served, TINY)).stdout.decode()
    assert len(re.findall(r"\d{4}\.txt$", listed, re.M)) == 700 and "deep.json" in listed


def test_nfs_cat(served):
    repo = "/hub/models--org--tiny"
    for path, data in ((f"{TINY}/config.json", SMALL), (f"{TINY}/model.safetensors", BIG), (f"{TINY}/sub/dir/deep.json", b"{}"),
                       (f"{TINY}/empty.txt", b""), (f"{repo}/refs/main", served.hub_there.commit_there.encode()),
                       (f"{repo}/blobs/{hashlib.sha256(BIG).hexdigest()}", BIG)):
        done = tool("nfs-cat", url(served, path))
        assert done.returncode == 0 and done.stdout == data, done.stderr
    assert tool("nfs-cat", url(served, f"{TINY}/none")).returncode != 0


def test_nfs_cp(served, tmp_path):
    done = tool("nfs-cp", url(served, f"{TINY}/model.safetensors"), tmp_path / "copy")
    assert done.returncode == 0 and (tmp_path / "copy").read_bytes() == BIG, done.stderr
    assert tool("nfs-cp", tmp_path / "copy", url(served, f"{TINY}/new.safetensors")).returncode != 0


# ---- the library ----

@pytest.mark.parametrize("path", ["/", "/files", TINY, f"{TINY}/sub"])
def test_each_directory_is_mounted(served, path):
    below = {"/": f"{TINY}/config.json", "/files": "/org/tiny/config.json", TINY: "/config.json", f"{TINY}/sub": "/dir/deep.json"}[path]
    with Libnfs(served, path) as nfs:
        assert nfs.read(below) in (SMALL, b"{}")
    assert fails(Libnfs, served, f"{TINY}/none") and fails(Libnfs, served, f"{TINY}/config.json")


def test_all_of_the_tree(served):
    with Libnfs(served) as nfs:
        assert nfs.names(TINY) == ["config.json", "empty.txt", "many", "model.safetensors", "sub"]
        assert nfs.names(f"{TINY}/many") == [f"{n:04}.txt" for n in range(700)]
        assert all(nfs.read(f"{TINY}/{path}") == data for path, data in FILES.items() if "many" not in path or path.endswith("00.txt"))
        st = nfs.stat(f"{TINY}/model.safetensors")
        assert st.mode == st_mode.S_IFREG | 0o444 and st.size == len(BIG)
        snapshot = f"/hub/models--org--tiny/snapshots/{served.hub_there.commit_there}"
        assert nfs.readlink(f"{snapshot}/config.json").startswith("../../blobs/")
        blob = nfs.readlink(f"{snapshot}/model.safetensors").rsplit("/", 1)[1]     # libnfs 4 loses its way at ../..
        assert nfs.stat(f"/hub/models--org--tiny/blobs/{blob}").ino == st.ino
        assert nfs.read(f"/hub/models--org--tiny/blobs/{blob}") == BIG


def test_errors_are_what_they_are(served):
    with Libnfs(served) as nfs:
        assert fails(nfs.read, f"{TINY}/none") == fails(nfs.names, "/files/org/none") == "ENOENT"
        assert fails(nfs.read, f"{TINY}/config.json/x") in ("ENOTDIR", "ENOENT")
        assert fails(nfs.create, f"{TINY}/new") == fails(nfs.mkdir, f"{TINY}/new") == "EROFS"


def test_sixteen_clients_at_once(served):
    wrong = []

    def read(n):
        try:
            with Libnfs(served) as nfs:
                for path in ["model.safetensors", f"many/{n:04}.txt", "config.json"] * 3:
                    if nfs.read(f"{TINY}/{path}") != FILES[path]:
                        wrong.append(path)
        except Exception as error:      # noqa: BLE001 (told below)
            wrong.append(error)
    threads = [threading.Thread(target=read, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_a_client_goes_on_after_a_restart(export, hub, tmp_path):
    hub.repo("org/tiny").commit({"w.safetensors": BIG, "config.json": SMALL})
    e = export(hub, cache=tmp_path / "kept")
    with Libnfs(e, reconnect=libnfs.RECONNECT_FOREVER) as nfs:
        assert nfs.read(f"{TINY}/config.json") == SMALL
        e.crash()
        again = export(hub, cache=tmp_path / "kept", port=e.port)
        assert eventually(lambda: nfs.read(f"{TINY}/w.safetensors") == BIG, 20)
        assert again.alive()
