"""Real clients in their default settings, unmodified, that bring large files by the Xet store of matrixhubd: they are files like
all others there. The twin of each story is the same client with HF_HUB_DISABLE_XET=1, in clients_registry.py and
clients_pushes.py."""
import hashlib
import json
import random
import struct
import subprocess
import time

import pytest

from clients_hubd import Client
from clients_matrix import PATIENCE
from flow_hub_ctl import fine
from hub import Hub
from hubd import Hubd
from mountlib import eventually
from registry import Repo, lfs

MIB = 1 << 20


def noise(mib, seed):
    return random.Random(seed).randbytes(int(mib * MIB))


def weights(mib, seed):
    """Numbers of a model: what clients pack byte by byte."""
    return struct.pack(f"<{int(mib * MIB) // 4}f", *(random.Random(seed).gauss(0, 0.02) for _ in range(int(mib * MIB) // 4)))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with Hub() as hub:
        h = Hubd(tmp_path_factory.mktemp("xet"), hub, timeout=20, args=["--xet"])
        yield h
        h.stop()


@pytest.fixture
def uploader(ours, tmp_path):
    def factory(version, token=None):
        return Client(tmp_path, version, ours.url, token or ours.admin_token)
    return factory


def upload(client, repo, source, path=".", *words):
    done = client.cli("upload", repo.id, source, path, *words)
    assert done.returncode == 0, done.stderr
    return done


def blob(h, data):
    oid = hashlib.sha256(data).hexdigest()
    return h.data / "own" / "blobs" / oid[:2] / oid


def user(h, name, role=None):
    """A user, in the organization with that role: the token."""
    fine(h, f"user add {name}")
    if role:
        fine(h, f"org member add org {name} --role={role}")
    return fine(h, f"token create {name} --name=laptop --role=write").strip()


def incoming(h):
    return sorted(f.name for f in (h.data / "own/incoming").iterdir())


def xorbs_of(h):
    """How many came."""
    lines = [line for line in h.ask("/metrics").body.decode().splitlines() if 'route="/api/xet/:num/v1/xorbs/' in line and "_total" in line]
    return sum(float(line.split()[-1]) for line in lines)


def sent_by(h, *upload_words):
    """Uploads; how many xorbs were sent for it."""
    before = xorbs_of(h)
    upload(*upload_words)
    return xorbs_of(h) - before


def trail(h):
    text = "".join(f.read_text() for f in sorted((h.data / "audit").glob("*.jsonl")))
    return [json.loads(line) for line in text.splitlines() if '"act":"xet.upload"' in line]


@pytest.mark.parametrize("version, mib", [("1.24", 12), ("2.4", 70)])
def test_a_large_file_comes_and_is_what_it_was(ours, uploader, tmp_path, version, mib):
    repo, data = Repo(ours, f"admin/one-{version}", ours.admin_token), noise(mib, version)
    (tmp_path / "w.bin").write_bytes(data)
    assert sent_by(ours, uploader(version), repo, tmp_path / "w.bin", "w.bin") == (2 if mib > 64 else 1)
    assert repo.read("w.bin") == data and blob(ours, data).read_bytes() == data
    assert not incoming(ours), "what is in a blob need not wait"
    assert eventually(lambda: any(r.get("file") == hashlib.sha256(data).hexdigest() for r in trail(ours)), 5)
    record, = [r for r in trail(ours) if r.get("file") == hashlib.sha256(data).hexdigest()]
    assert (record["user"], record["repo"], record["bytes"]) == ("admin", f"models/{repo.id}".lower(), len(data)), record


def test_what_changes_in_the_middle_is_all_that_comes(ours, uploader, tmp_path):
    client, repo = uploader("2.4"), Repo(ours, "admin/changes", ours.admin_token)
    first = noise(20, "first")
    second = first[:10 * MIB] + noise(1, "new") + first[10 * MIB:]
    (tmp_path / "w.bin").write_bytes(first)
    upload(client, repo, tmp_path / "w.bin", "w.bin")
    (tmp_path / "w.bin").write_bytes(second)
    assert sent_by(ours, client, repo, tmp_path / "w.bin", "w.bin") == 1
    assert repo.read("w.bin") == second and repo.read("w.bin", repo.log()[1]["id"]) == first
    assert not incoming(ours)


def test_a_folder_of_all_kinds(ours, uploader, tmp_path):
    repo = Repo(ours, "admin/folder", ours.admin_token)
    files = {f"data/{n:03}.bin": noise(0.02 + n / 300, n) for n in range(20)} | {
        "w.safetensors": weights(1.5, 1), "again.bin": weights(1.5, 1), "zeros.bin": bytes(5 * MIB), "empty.bin": b"", "config.json": b"{}",
        "one.bin": b"x"}
    for name, data in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    upload(uploader("2.4"), repo, tmp_path / "folder")
    for name, data in files.items():
        assert repo.read(name) == data, name
    assert not incoming(ours)


def test_what_one_repository_has_is_named_for_another_by_who_may_read_it(ours, uploader, tmp_path):
    """The client remembers what it brought, and does not send it again."""
    one, two = (Repo(ours, f"admin/share-{n}", ours.admin_token) for n in range(2))
    client, data = uploader("2.4"), noise(12, "shared")
    (tmp_path / "w.bin").write_bytes(data)
    upload(client, one, tmp_path / "w.bin", "w.bin")
    (tmp_path / "w.bin").write_bytes(data + b"more")
    upload(client, two, tmp_path / "w.bin", "w.bin")
    assert two.read("w.bin") == data + b"more" and one.read("w.bin") == data


def test_what_one_may_not_read_is_not_had_by_naming_it(hub, tmp_path):
    """Somebody else with the notes of a client, who knows all hashes, gets nothing for them."""
    h, data = Hubd(tmp_path, hub, args=["--xet"]), noise(11, "secret")
    fine(h, "org add org")
    writer, stranger = user(h, "writer", "write"), user(h, "stranger")
    (tmp_path / "w.bin").write_bytes(data)
    client = Client(tmp_path, "2.4", h.url, writer)
    upload(client, Repo(h, "org/secret", writer, private=True), tmp_path / "w.bin", "w.bin")
    mine = Repo(h, "stranger/own", stranger)
    client.env["HF_TOKEN"] = stranger
    done = client.cli("upload", mine.id, tmp_path / "w.bin", "w.bin")
    assert done.returncode != 0 and "400" in done.stderr, done.stderr
    assert list(mine.tree()) == [".gitattributes"]
    # The twin: who may read it has it.
    fine(h, "org member add org stranger --role=read")
    upload(client, mine, tmp_path / "w.bin", "w.bin")
    assert mine.read("w.bin") == data
    h.stop()


def test_who_may_only_read_brings_it_as_a_pull_request(hub, tmp_path):
    h, data = Hubd(tmp_path, hub, args=["--xet"]), noise(11, "pull")
    fine(h, "org add org")
    repo, reader = Repo(h, "org/m", user(h, "writer", "write")), user(h, "reader", "read")
    (tmp_path / "w.bin").write_bytes(data)
    client = Client(tmp_path, "2.4", h.url, reader)
    assert client.cli("upload", repo.id, tmp_path / "w.bin", "w.bin").returncode != 0
    upload(client, repo, tmp_path / "w.bin", "w.bin", "--create-pr")
    assert repo.read("w.bin", "refs%2Fpr%2F1") == data and "w.bin" not in repo.tree()
    h.stop()


def test_clients_that_choose_the_other_way_go_on_beside(ours, uploader, tmp_path):
    repo, data, more = Repo(ours, "admin/both", ours.admin_token), noise(12, "both"), noise(12, "more")
    (tmp_path / "w.bin").write_bytes(data)
    client = uploader("2.4")
    upload(client, repo, tmp_path / "w.bin", "xet.bin")
    client.env["HF_HUB_DISABLE_XET"] = "1"
    upload(client, repo, tmp_path / "w.bin", "lfs.bin")
    repo.send(more)
    assert repo.commit(lfs("more.bin", more), lfs("again.bin", data)).status == 200
    assert [repo.read(name) for name in ("xet.bin", "lfs.bin", "again.bin", "more.bin")] == [data, data, data, more]


def test_what_the_hub_let_go_of_is_sent_again(hub, tmp_path):
    """The client remembers to have sent it, and would name it."""
    h = Hubd(tmp_path, hub, args=["--xet", "--collect-grace=0"])
    client, repo, data = Client(tmp_path, "2.4", h.url, h.admin_token), Repo(h, "admin/gone", h.admin_token), noise(11, "gone")
    (tmp_path / "w.bin").write_bytes(data)
    for sends in 1, 0:                                  # the twin: what is here is named
        assert sent_by(h, client, repo, tmp_path / "w.bin", f"{sends}.bin") == sends
    assert repo.remove().status == 200
    job = h.ask("/api/admin/v1/collect", "POST", "{}", h.admin_token, Content_Type="application/json").json["id"]
    assert eventually(lambda: h.ask(f"/api/admin/v1/jobs/{job}", token=h.admin_token).json["state"] == "done", 20)
    assert not blob(h, data).exists()
    repo.make()
    assert sent_by(h, client, repo, tmp_path / "w.bin", "w.bin") == 1
    assert repo.read("w.bin") == data
    h.stop()


def test_a_client_waits_for_a_hub_that_was_killed_while_chunks_came(hub, tmp_path):
    """It sends the chunks again. Its commit may go out on a connection that broke: then it is tried again as a whole, by a person."""
    first, data = Hubd(tmp_path, hub, args=["--xet"]), noise(140, "killed")
    (tmp_path / "w.bin").write_bytes(data)
    client, repo = Client(tmp_path, "2.4", first.url, first.admin_token), Repo(first, "admin/killed", first.admin_token)
    sender = subprocess.Popen([str(client.bin / "hf"), "upload", repo.id, str(tmp_path / "w.bin"), "w.bin"],
                              env={k: str(v) for k, v in client.env.items()}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: incoming(first) or sender.poll() is not None, 60) and sender.poll() is None, sender.communicate()[1]
    first.kill()
    repo.hubd = again = Hubd(tmp_path, hub, data=first.data, port=first.port, args=["--xet"])
    said = sender.communicate(timeout=PATIENCE)[1]
    if sender.returncode != 0:
        assert "Server disconnected without sending a response" in said or "Connection refused" in said, said
        upload(client, repo, tmp_path / "w.bin", "w.bin")
    assert repo.read("w.bin") == data
    # What was cut stays until the grace is over; nothing of it has a blob's name.
    assert {f.name for f in (again.data / "own/blobs").glob("*/*")} >= {hashlib.sha256(data).hexdigest()}
    again.stop()


def test_a_namespace_that_is_full_is_told_so(hub, tmp_path):
    h = Hubd(tmp_path, hub, args=["--xet"])
    client, repo = Client(tmp_path, "2.4", h.url, h.admin_token), Repo(h, "admin/full", h.admin_token)
    fine(h, "quota set admin 1MiB")
    (tmp_path / "w.bin").write_bytes(noise(11, "full"))
    done = client.cli("upload", repo.id, tmp_path / "w.bin", "w.bin")
    assert done.returncode != 0 and "403" in done.stderr, done.stderr
    fine(h, "quota set admin none")
    upload(client, repo, tmp_path / "w.bin", "w.bin")
    h.stop()


# ---- what the store says ----

def token_of(h, repo, token, suffix=""):
    return h.ask(f"{repo.api}/xet-write-token/main{suffix}", token=token)


def test_a_token_is_in_head_and_body_and_names_the_host_that_was_asked(ours):
    repo = Repo(ours, "admin/tokens", ours.admin_token)
    for suffix in "", "?create_pr=1":
        got = token_of(ours, repo, ours.admin_token, suffix)
        assert got.status == 200 and 0 < got.json["exp"] - time.time() <= 900
        assert got.json["casUrl"] == got.headers["x-xet-cas-url"] == f"{ours.url}/api/xet/1"
        assert got.json["accessToken"] == got.headers["x-xet-access-token"] != ours.admin_token
        assert str(got.json["exp"]) == got.headers["x-xet-token-expiration"]
    assert ours.admin_token not in got.json["accessToken"]


def test_who_may_not_write_gets_no_token(ours):
    repo = Repo(ours, "admin/closed", ours.admin_token)
    assert token_of(ours, repo, None).status == 401
    assert token_of(ours, repo, "hf_wrong").status == 401
    assert ours.ask("/api/models/admin/none/xet-write-token/main", token=ours.admin_token).status == 404


def test_a_token_is_good_as_long_as_the_right_behind_it(hub, tmp_path):
    h = Hubd(tmp_path, hub, args=["--xet"])
    fine(h, "org add org")
    tokens = [user(h, name, role) for name, role in (("stranger", None), ("reader", "read"), ("writer", "write"))]
    repo = Repo(h, "org/m", tokens[2], private=True)
    ask = lambda token: h.ask("/api/xet/1/v1/shards", "POST", b"x" * 100, token).status
    assert [token_of(h, repo, token).status for token in tokens] == [404, 200, 200]
    mine = token_of(h, repo, tokens[2]).json["accessToken"]
    assert ask(mine) == 400                     # it may, but that is no shard
    fine(h, "org member remove org writer")
    assert ask(mine) == 404
    h.stop()


def test_the_store_takes_its_own_tokens_alone(ours):
    repo = Repo(ours, "admin/bearer", ours.admin_token)
    mine = token_of(ours, repo, ours.admin_token).json["accessToken"]
    name = "0" * 64
    for token in None, ours.admin_token, mine[:-1] + ("0" if mine[-1] != "0" else "1"), "mfsx.00.1.1":
        for path in f"/v1/xorbs/default/{name}", "/v1/shards", "/v2/shards":
            got = ours.ask(f"/api/xet/1{path}", "POST", b"x", token)
            assert got.status == 401 and got.json["error"], (token, path, got)
    got = ours.ask(f"/api/xet/1/v1/xorbs/default/{name}", "POST", b"x" * 100, mine)
    assert got.status == 400 and "no xorb" in got.json["error"], got
    got = ours.ask("/api/xet/1/v1/xorbs/default/name", "POST", b"x" * 100, mine)
    assert got.status == 400 and "64 hex digits" in got.json["error"], got
    got = ours.ask("/api/xet/1/v1/shards", "POST", b"x" * 100, mine)
    assert got.status == 400 and "no shard" in got.json["error"], got
    assert not incoming(ours)
    # A right that was taken back is good for no moment longer.
    repo.remove()
    assert ours.ask("/api/xet/1/v1/shards", "POST", b"x" * 100, mine).status == 404


@pytest.mark.parametrize("method, path", [("POST", "/v1/xorb-grants/default/0"), ("GET", "/v1/chunks/default/0"), ("GET", "/v1/shards"),
                                          ("PUT", "/v1/xorbs/default/0"), ("GET", "/v1/reconstructions"), ("POST", "/v1/telemetry"), ("GET", "")])
def test_what_is_not_offered_is_not_there(ours, method, path):
    """Never a 405, which clients take for the end."""
    assert ours.ask(f"/api/xet/1{path}", method, b"{}" if method != "GET" else None, "anything").status == 404


def test_a_hub_that_was_not_told_to_take_xet_says_so(hub, tmp_path):
    """Twin: a client in its default settings asks for a token of a Xet store, and is refused."""
    h = Hubd(tmp_path, hub)
    client = Client(tmp_path, "2.4", h.url, h.admin_token)
    Repo(h, "admin/no-xet", h.admin_token)
    done = client.run(client.bin / "python", "-c", "from huggingface_hub import HfApi; "
                      "HfApi().upload_file(path_or_fileobj='/proc/self/exe', path_in_repo='w.bin', repo_id='admin/no-xet')")
    assert done.returncode != 0 and "xet-write-token" in done.stderr, done.stderr
    h.stop()
