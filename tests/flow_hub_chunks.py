"""Digest lists at matrixhubd: of what is cached and of what is hosted, for whom the bytes are, made once and never told wrong."""
import hashlib
import json
import os
import random
import time

import pytest

from flow_hub_rights import People
from hubd import Hubd
from mountlib import eventually
from registry import Repo, blob_id, lfs, put

MIB = 1024 * 1024
BIG = random.Random(7).randbytes(3 * MIB + 5)
SMALL = b'{"model_type": "bert"}'
FILES = {"w.safetensors": BIG, "config.json": SMALL, "empty.txt": b""}


def digests(data):
    return [hashlib.sha256(data[i:i + MIB]).hexdigest() for i in range(0, len(data), MIB)]


def etag_of(data, name):
    return hashlib.sha256(data).hexdigest() if name.endswith((".bin", ".safetensors")) else blob_id(data)


def told(data, name):
    """What a list of a file is to be."""
    return {"etag": etag_of(data, name), "size": len(data), "chunkSize": MIB, "algorithm": "sha256", "digests": digests(data)}


def chunks(h, path, api="/api/models/org/tiny", token=None, rev="main", **fields):
    return h.ask(f"{api}/chunks/{rev}/{path}", token=token, **fields)


def wait_for(h, path, **kw):
    """The list, asked for as its Retry-After says."""
    for _ in range(30):
        got = chunks(h, path, **kw)
        if got.status != 202:
            break
        assert 1 <= int(got.headers["retry-after"]) <= 30 and "being made" in got.json["message"]
        time.sleep(0.1)
    assert got.status == 200, got
    return got


def bring(h, path):
    got = h.ask(f"/org/tiny/resolve/main/{path}")
    assert got.status == 200
    return got.body


def kept(h, data, name, where="cache"):
    etag = etag_of(data, name)
    return h.data / where / "blobs" / etag[:2] / f"{etag}.chunks"


def ours(h, **kw):
    """A repository that is hosted, with a large file and a small one."""
    repo = Repo(h, "admin/m", h.admin_token, **kw)
    repo.send(BIG)
    repo.done(lfs("w.bin", BIG), put("config.json", SMALL))
    return repo


@pytest.fixture
def lives(tmp_path):
    """lives(upstream, data): hubs that may be killed."""
    made = []

    def factory(*args, **kw):
        made.append(Hubd(tmp_path, *args, **kw))
        return made[-1]
    yield factory
    for h in made:
        h.kill()


def test_the_list_of_a_cached_file_is_that_of_its_bytes(tiny, hubd):
    h = hubd(tiny)
    for name, data in ("w.safetensors", BIG), ("config.json", SMALL):
        assert bring(h, name) == data
        assert eventually(kept(h, data, name).exists, 10)
        got = chunks(h, name)
        assert got.status == 200 and got.json == told(data, name), got
        assert got.headers["content-type"].startswith("application/json")
        etag = got.headers["etag"]
        assert chunks(h, name, If_None_Match=etag).status == 304 and chunks(h, name, If_None_Match='"other"').status == 200
        commit = got.headers["x-repo-commit"]
        assert chunks(h, name, rev=commit).json == told(data, name)
        head = h.ask(f"/api/models/org/tiny/chunks/main/{name}", "HEAD")
        assert head.status == 200 and head.body == b"" and head.headers["content-length"] == str(len(got.body))
    assert chunks(h, "empty.txt").json == told(b"", "empty.txt")


def test_what_is_not_here_yet_has_no_list_yet(tiny, hubd):
    h = hubd(tiny)
    assert h.ask("/org/tiny/resolve/main/w.safetensors", Range="bytes=0-9").status == 206
    got = chunks(h, "config.json")
    assert got.status == 409 and "Not all bytes of this file are here yet" in got.headers["x-error-message"]
    assert bring(h, "config.json") == SMALL
    assert eventually(lambda: chunks(h, "config.json").status == 200, 10)


def test_what_does_not_exist_has_none(tiny, hubd):
    h = hubd(tiny)
    for path, rev, code in ("none", "main", "EntryNotFound"), ("config.json", "none", "RevisionNotFound"):
        got = chunks(h, path, rev=rev)
        assert got.status == 404 and got.headers["x-error-code"] == code
    got = chunks(h, "config.json", api="/api/models/org/none")
    assert got.headers["x-error-code"] == "RepoNotFound" and got.status in (401, 404)
    assert h.ask("/api/models/org/tiny/chunks/main").status == 404
    assert h.ask("/api/models/org/tiny/chunks/main/config.json", "POST", "").status == 405


@pytest.mark.parametrize("type", ["model", "dataset", "space"])
def test_the_list_of_a_hosted_file_is_made_when_it_is_asked_for(hub, hubd, type):
    h = hubd(hub)
    repo = ours(h, type=type, **({"sdk": "static"} if type == "space" else {}))
    assert not kept(h, BIG, "w.bin", "own").exists()
    first = chunks(h, "w.bin", repo.api, h.admin_token)
    assert first.status == 202
    got = wait_for(h, "w.bin", api=repo.api, token=h.admin_token)
    assert got.json == told(BIG, "w.bin") and kept(h, BIG, "w.bin", "own").exists()
    assert wait_for(h, "config.json", api=repo.api, token=h.admin_token).json == told(SMALL, "config.json")
    assert not list((h.data / "cache/blobs").rglob("*.chunks"))  # what is hosted is no cache's
    assert repo.read("w.bin") == BIG


def test_a_list_is_for_whom_the_bytes_are(hub, hubd):
    h = hubd(hub)
    p = People(h)
    p.do("user bob", f"token bob t admin {p.value('bob')}", "user eve", f"token eve t admin {p.value('eve')}")
    repo = Repo(h, "bob/model", p.tokens["bob"], visibility="private")
    repo.done(put("README.md", b"# hers"), put("config.json", SMALL))
    wait_for(h, "config.json", api=repo.api, token=p.tokens["bob"])
    for who in "anonymous", "eve":
        got, bytes_ = (p.ask(who, path) for path in (f"{repo.api}/chunks/main/config.json", "/bob/model/resolve/main/config.json"))
        none = p.ask(who, "/api/models/bob/none/chunks/main/config.json")
        assert got.status == bytes_.status == none.status == (401 if who == "anonymous" else 404)
        assert got.headers["x-error-code"] == bytes_.headers["x-error-code"] == "RepoNotFound" and got.body == none.body
    # Gated: who it is lists, whose its bytes are asks.
    assert repo.ask(f"{repo.api}/settings", "PUT", visibility="public", gated="manual").status == 200
    for who in "anonymous", "eve":
        got, bytes_ = (p.ask(who, path) for path in (f"{repo.api}/chunks/main/config.json", "/bob/model/resolve/main/config.json"))
        assert (got.status, got.headers["x-error-code"]) == (bytes_.status, bytes_.headers["x-error-code"]) == (401 if who == "anonymous" else 403, "GatedRepo")
        assert p.ask(who, f"{repo.api}/chunks/main/README.md").status in (200, 202)
    assert repo.ask(f"{repo.api}/settings", "PUT", gated=False).status == 200
    assert p.ask("eve", f"{repo.api}/chunks/main/config.json").status == 200


def test_a_list_is_no_download_in_the_trail(hub, hubd):
    h = hubd(hub)
    repo = ours(h)
    wait_for(h, "w.bin", api=repo.api, token=h.admin_token)

    def downloads():
        trail = b"".join(f.read_bytes() for f in (h.data / "audit").rglob("*") if f.is_file())
        return trail.count(b'"download"')
    assert repo.read("w.bin") == BIG
    assert eventually(lambda: downloads() == 1, 10)


def test_lists_outlive_a_kill_and_are_made_again_where_they_are_missing(tiny, lives, tmp_path):
    h = lives(tiny)
    repo = ours(h)
    assert bring(h, "w.safetensors") == BIG
    wait_for(h, "w.bin", api=repo.api, token=h.admin_token)
    assert eventually(kept(h, BIG, "w.safetensors").exists, 10)
    for gone in (), (kept(h, BIG, "w.safetensors"), kept(h, BIG, "w.bin", "own")):
        h.kill()
        for path in gone:
            path.unlink()
        for root in h.data / "own", h.data / "cache":
            (root / ".new-0123456789abcdef").write_bytes(b"half a list")
        tiny.down()
        h = lives(tiny, data=h.data)
        tiny.up()
        assert not list(h.data.glob("*/.new-*"))
        first = chunks(h, "w.safetensors", rev=h.ask("/api/models/org/tiny/revision/main").json["sha"])
        assert first.status == (202 if gone else 200)
        assert wait_for(h, "w.safetensors").json == told(BIG, "w.safetensors")
        assert wait_for(h, "w.bin", api=repo.api, token=h.admin_token).json == told(BIG, "w.bin")


def test_a_list_goes_with_its_bytes_and_comes_with_them_again(hub, hubd):
    blobs = {f"{i}.bin": random.Random(i).randbytes(3 * MIB) for i in range(4)}
    hub.repo("org/tiny").commit(blobs)
    h = hubd(hub, args=["--cache-size=8MiB"])
    assert bring(h, "0.bin") == blobs["0.bin"]
    assert eventually(kept(h, blobs["0.bin"], "0.bin").exists, 10)

    def is_gone():          # one that is open just then is passed over: another goes in its place
        for name in list(blobs)[1:]:
            assert bring(h, name) == blobs[name]
        return eventually(lambda: not kept(h, blobs["0.bin"], "0.bin").exists(), 1)
    assert eventually(is_gone, 20)
    assert chunks(h, "0.bin").status == 409
    assert all(p.with_suffix("").exists() for p in (h.data / "cache/blobs").rglob("*.chunks"))
    assert eventually(lambda: bring(h, "0.bin") == blobs["0.bin"] and chunks(h, "0.bin").status == 200, 10)
    assert chunks(h, "0.bin").json == told(blobs["0.bin"], "0.bin")


def spoil(path, at=40):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_damaged_list_is_not_told_but_made_again(tiny, hubd):
    h = hubd(tiny)
    repo = ours(h)
    bring(h, "w.safetensors")
    assert eventually(kept(h, BIG, "w.safetensors").exists, 10)
    wait_for(h, "w.bin", api=repo.api, token=h.admin_token)
    for path, where in (("w.safetensors", "cache"), ("w.bin", "own")):
        api = {"api": repo.api, "token": h.admin_token} if where == "own" else {}
        for at in (40, 3, 20, -1):
            spoil(kept(h, BIG, path, where), at)
            got = chunks(h, path, **api)
            assert got.status == 202, got
            assert wait_for(h, path, **api).json == told(BIG, path)


def test_of_bytes_that_have_rotted_no_list_is_made(tiny, hubd):
    h = hubd(tiny)
    repo = ours(h)
    bring(h, "w.safetensors")
    assert eventually(kept(h, BIG, "w.safetensors").exists, 10)
    kept(h, BIG, "w.safetensors").unlink()
    for path, where in (("w.safetensors", "cache"), ("w.bin", "own")):
        blob = kept(h, BIG, path, where).with_suffix("")
        os.chmod(blob, 0o600)
        with blob.open("r+b") as f:
            f.seek(MIB)
            f.write(b"rot!")
        api = {"api": repo.api, "token": h.admin_token} if where == "own" else {}
        assert chunks(h, path, **api).status == 202
        assert eventually(lambda: chunks(h, path, **api).status == 502, 10), chunks(h, path, **api)
        assert not kept(h, BIG, path, where).exists()
    assert wait_for(h, "config.json", api=repo.api, token=h.admin_token).json == told(SMALL, "config.json")


def test_many_who_ask_at_once_have_it_made_once(hub, hubd):
    h = hubd(hub, args=["--log-level=debug"])
    repo = Repo(h, "admin/m", h.admin_token)
    large = random.Random(9).randbytes(48 * MIB)
    repo.send(large)
    repo.done(lfs("w.bin", large))
    statuses = [chunks(h, "w.bin", repo.api, h.admin_token).status for _ in range(400)]
    assert set(statuses) <= {200, 202} and statuses[0] == 202
    assert json.loads(wait_for(h, "w.bin", api=repo.api, token=h.admin_token).body)["digests"] == digests(large)
