"""Real clients in their default settings that bring much to the Xet store of matrixhubd, or come again after they were killed."""
import hashlib

import pytest

from clients_hubd import Client
from clients_xet import incoming, noise, sent_by, start, upload, xorbs_of
from hubd import Hubd
from mountlib import eventually
from registry import Repo


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    h = Hubd(tmp_path_factory.mktemp("xet-long"), [], timeout=20)
    yield h
    h.stop()


@pytest.mark.parametrize("version", ["1.24", "2.4"])
def test_a_folder_of_a_thousand_files(ours, tmp_path, version):
    repo, client = Repo(ours, f"admin/folder-{version}", ours.admin_token), Client(tmp_path, version, ours.url, ours.admin_token)
    files = {f"part-{n % 10}/{n:04}.bin": noise(0.002 + n % 7 / 300, f"{version} {n}") for n in range(1000)}
    for name, data in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert sent_by(ours, client, repo, tmp_path / "folder") < 10
    told = {e["path"]: e["lfs"]["oid"] for e in ours.pages(f"{repo.api}/tree/main?recursive=true", repo.token)[0] if "lfs" in e}
    assert told == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert all(repo.read(name) == files[name] for name in list(files)[::97]) and not incoming(ours)
    assert sent_by(ours, client, repo, tmp_path / "folder") == 0, "the same once more"


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "not killed"])
def test_a_client_that_was_killed_goes_on_where_it_was(ours, tmp_path, killed):
    """It writes down every 20 s what it brought; here, each time."""
    repo, client = Repo(ours, f"admin/resumed-{killed}", ours.admin_token), Client(tmp_path, "2.4", ours.url, ours.admin_token)
    client.env |= {"HF_XET_SESSION_XORB_METADATA_FLUSH_MAX_COUNT": "1", "HF_XET_FIXED_UPLOAD_CONCURRENCY": "1"}
    (tmp_path / "w.bin").write_bytes(noise(200, f"resumed {killed}"))
    if killed:
        before = xorbs_of(ours)
        sender = start(client, repo, tmp_path / "w.bin", "w.bin")
        assert eventually(lambda: xorbs_of(ours) >= before + 2 or sender.poll() is not None, 60) and sender.poll() is None
        sender.kill()
        sender.communicate()
    assert sent_by(ours, client, repo, tmp_path / "w.bin", "w.bin") in ((1, 2, 3) if killed else (4,))
    assert repo.read("w.bin") == (tmp_path / "w.bin").read_bytes() and not incoming(ours)


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_client_that_is_killed_anywhere_loses_nothing(ours, tmp_path, after):
    """After so many requests about chunks."""
    repo, client = Repo(ours, f"admin/anywhere-{after}", ours.admin_token), Client(tmp_path, "2.4", ours.url, ours.admin_token)
    (tmp_path / "w.bin").write_bytes(noise(140, f"anywhere {after}"))
    before = xorbs_of(ours)
    sender = start(client, repo, tmp_path / "w.bin", "w.bin")
    assert eventually(lambda: xorbs_of(ours) - before >= after or sender.poll() is not None, 60)
    sender.kill()
    sender.communicate()
    assert "w.bin" not in repo.tree() or repo.read("w.bin") == (tmp_path / "w.bin").read_bytes()
    upload(client, repo, tmp_path / "w.bin", "w.bin")
    assert repo.read("w.bin") == (tmp_path / "w.bin").read_bytes() and not incoming(ours)
