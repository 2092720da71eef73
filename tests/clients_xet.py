"""Real clients in their default settings, unmodified, that bring large files by the Xet store of matrixhubd: they are files like
all others there. The twin of each story is the same client with HF_HUB_DISABLE_XET=1, in clients_registry.py and
clients_pushes.py."""
import concurrent.futures
import hashlib
import json
import os
import random
import re
import struct
import subprocess
import time

import pytest

from between import Between
from clients_hubd import Client
from clients_matrix import PATIENCE
from flow_hub_ctl import fine
from flow_hub_operate import small_disk  # noqa: F401
from hub import Hub
from hubd import HUBD, Hubd
from mountlib import eventually
from peers import INSTRUMENTED
from registry import Repo, lfs
from xet import Store, Xorb, shard, whole

MIB = 1 << 20
SHIMS = (HUBD.parent / "release" if HUBD.parent.name == "build" else HUBD.parent) / "tests"


V1_20 = "hub-1.20"                                      # the first that sends by it alone


def noise(mib, seed):
    return random.Random(seed).randbytes(int(mib * MIB))


def weights(mib, seed):
    """Numbers of a model: what clients pack byte by byte."""
    rng = random.Random(seed)
    return struct.pack(f"<{int(mib * MIB) // 4}f", *(rng.gauss(0, 0.02) for _ in range(int(mib * MIB) // 4)))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with Hub() as hub:
        h = Hubd(tmp_path_factory.mktemp("xet"), hub, timeout=20)
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


@pytest.mark.parametrize("version, mib", [(V1_20, 12), ("1.24", 12), ("2.4", 70)])
def test_a_large_file_comes_and_is_what_it_was(ours, uploader, tmp_path, version, mib):
    repo, data = Repo(ours, f"admin/one-{version}", ours.admin_token), noise(mib, version)
    (tmp_path / "w.bin").write_bytes(data)
    assert sent_by(ours, uploader(version), repo, tmp_path / "w.bin", "w.bin") == (2 if mib > 64 else 1)
    assert repo.read("w.bin") == data and blob(ours, data).read_bytes() == data
    assert not incoming(ours), "what is in a blob need not wait"
    assert eventually(lambda: any(r.get("file") == hashlib.sha256(data).hexdigest() for r in trail(ours)), 5)
    record, = [r for r in trail(ours) if r.get("file") == hashlib.sha256(data).hexdigest()]
    assert (record["user"], record["repo"], record["bytes"]) == ("admin", f"models/{repo.id}".lower(), len(data)), record


@pytest.mark.parametrize("version", [V1_20, "1.24", "2.4"])
def test_what_changes_in_the_middle_is_all_that_comes(ours, tmp_path, version):
    repo, between = Repo(ours, f"admin/changes-{version}", ours.admin_token), Between(ours)
    client, first = Client(tmp_path, version, between.url, ours.admin_token), noise(20, f"first {version}")
    second = first[:10 * MIB] + noise(1, f"new {version}") + first[10 * MIB:]
    sent = []
    for data in first, first, second:
        (tmp_path / "w.bin").write_bytes(data)
        upload(client, repo, tmp_path / "w.bin", f"{len(sent)}.bin")
        assert repo.read(f"{len(sent)}.bin") == data
        sent.append(between.sent - sum(sent))
    between.stop()
    assert len(first) <= sent[0] < 1.01 * len(first) and sent[1] == 0 and MIB <= sent[2] < 2 * MIB, sent
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
    assert sent_by(ours, uploader("2.4"), repo, tmp_path / "folder") >= 1, "they went another way"
    for name, data in files.items():
        assert repo.read(name) == data, name
    assert not incoming(ours)


def test_what_one_repository_has_is_named_for_another_by_who_may_read_it(ours, uploader, tmp_path):
    """The client remembers what it brought, and does not send it again."""
    one, two = (Repo(ours, f"admin/share-{n}", ours.admin_token) for n in range(2))
    client, data = uploader("2.4"), noise(12, "shared")
    (tmp_path / "w.bin").write_bytes(data)
    assert sent_by(ours, client, one, tmp_path / "w.bin", "w.bin") == 1
    assert sent_by(ours, client, two, tmp_path / "w.bin", "w.bin") == 0
    assert two.read("w.bin") == one.read("w.bin") == data


def test_what_one_may_not_read_is_not_had_by_naming_it(hub, tmp_path):
    """Who brought it, and may not read it any more, knows all hashes, and gets nothing for them. The client is told to forget, so that
    the next try sends it."""
    h, data = Hubd(tmp_path, hub), noise(11, "secret")
    fine(h, "org add org")
    mover = user(h, "mover", "write")
    (tmp_path / "w.bin").write_bytes(data)
    client, mine = Client(tmp_path, "2.4", h.url, mover), Repo(h, "mover/own", mover)
    upload(client, Repo(h, "org/secret", mover, private=True), tmp_path / "w.bin", "w.bin")
    # The twin: who may read it has it.
    assert sent_by(h, client, mine, tmp_path / "w.bin", "w.bin") == 0
    mine.remove()
    mine.make()
    fine(h, "org member remove org mover")
    done = client.cli("upload", mine.id, tmp_path / "w.bin", "w.bin")
    assert done.returncode != 0 and "is not here" in done.stderr, done.stderr
    assert list(mine.tree()) == [".gitattributes"]
    assert sent_by(h, client, mine, tmp_path / "w.bin", "w.bin") == 1
    assert mine.read("w.bin") == data
    h.stop()


def test_what_another_user_remembers_is_theirs(hub, tmp_path):
    """Somebody else with the notes of a client: they are of another address. What one of both is to forget the other need not."""
    h, data = Hubd(tmp_path, hub), noise(11, "notes")
    tokens = [user(h, name) for name in ("one", "two")]
    (tmp_path / "w.bin").write_bytes(data)
    client = Client(tmp_path, "2.4", h.url, tokens[0])
    repos = [Repo(h, f"{name}/own", token, private=True) for name, token in zip(("one", "two"), tokens)]
    assert len({token_of(h, repo, token).json["casUrl"] for repo, token in zip(repos, tokens)}) == 2
    assert sent_by(h, client, repos[0], tmp_path / "w.bin", "w.bin") == 1
    client.env["HF_TOKEN"] = tokens[1]
    assert sent_by(h, client, repos[1], tmp_path / "w.bin", "w.bin") == 1
    assert repos[1].read("w.bin") == data
    h.stop()


def test_who_may_only_read_brings_it_as_a_pull_request(hub, tmp_path):
    h, data = Hubd(tmp_path, hub), noise(11, "pull")
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
    h = Hubd(tmp_path, hub, args=["--collect-grace=0"])
    client, repo, data = Client(tmp_path, "2.4", h.url, h.admin_token), Repo(h, "admin/gone", h.admin_token), noise(11, "gone")
    (tmp_path / "w.bin").write_bytes(data)
    for sends in 1, 0:                                  # the twin: what is here is named
        assert sent_by(h, client, repo, tmp_path / "w.bin", f"{sends}.bin") == sends
    assert repo.remove().status == 200
    collect(h)
    assert not blob(h, data).exists()
    repo.make()
    assert sent_by(h, client, repo, tmp_path / "w.bin", "w.bin") == 1
    assert repo.read("w.bin") == data
    h.stop()


def test_a_client_waits_for_a_hub_that_was_killed_while_chunks_came(hub, tmp_path):
    """It sends the chunks again. Its commit may go out on a connection that broke: then it is tried again as a whole, by a person."""
    first, data = Hubd(tmp_path, hub), noise(140, "killed")
    (tmp_path / "w.bin").write_bytes(data)
    client, repo = Client(tmp_path, "2.4", first.url, first.admin_token), Repo(first, "admin/killed", first.admin_token)
    sender = subprocess.Popen([str(client.bin / "hf"), "upload", repo.id, str(tmp_path / "w.bin"), "w.bin"],
                              env={k: str(v) for k, v in client.env.items()}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: incoming(first) or sender.poll() is not None, 60) and sender.poll() is None, sender.communicate()[1]
    first.kill()
    repo.hubd = again = Hubd(tmp_path, hub, data=first.data, port=first.port)
    said = sender.communicate(timeout=PATIENCE)[1]
    if sender.returncode != 0:
        assert "Server disconnected without sending a response" in said or "Connection refused" in said, said
        upload(client, repo, tmp_path / "w.bin", "w.bin")
    assert repo.read("w.bin") == data
    # What was cut stays until the grace is over; nothing of it has a blob's name.
    assert {f.name for f in (again.data / "own/blobs").glob("*/*")} >= {hashlib.sha256(data).hexdigest()}
    again.stop()


def test_a_namespace_that_is_full_is_told_so(hub, tmp_path):
    h = Hubd(tmp_path, hub)
    client, repo = Client(tmp_path, "2.4", h.url, h.admin_token), Repo(h, "admin/full", h.admin_token)
    fine(h, "quota set admin 1MiB")
    (tmp_path / "w.bin").write_bytes(noise(11, "full"))
    done = client.cli("upload", repo.id, tmp_path / "w.bin", "w.bin")
    assert done.returncode != 0 and "403 Forbidden" in done.stderr, done.stderr
    assert not incoming(h) and not [f for f in (h.data / "own/blobs").glob("*/*") if f.stat().st_size > MIB], "nothing was written"
    assert eventually(lambda: [r["outcome"] for r in trail(h)] and {r["outcome"] for r in trail(h)} == {"refused"}, 5), trail(h)
    fine(h, "quota set admin none")
    upload(client, repo, tmp_path / "w.bin", "w.bin")
    h.stop()


# ---- one beside the other ----

SHIMMED = pytest.mark.skipif(INSTRUMENTED, reason="a shim would come before the sanitizer")

class Gate:
    """A hub that waits whenever it opens one of its blobs, while the gate is shut."""

    def __init__(self, hub, tmp, data, *args):
        self.shut, self.seen = tmp / "gate", tmp / "gate.seen"
        env = {"LD_PRELOAD": SHIMS / "shim_gate.so", "GATE": self.shut, "GATE_SEEN": self.seen, "GATE_NAME": hashlib.sha256(data).hexdigest()}
        self.hub = Hubd(tmp, hub, args=args, env=env)

    def close(self):
        self.shut.touch()

    def open(self):
        self.shut.unlink()

    def waiting(self):
        return len(self.seen.read_bytes()) if self.seen.exists() else 0


def start(client, repo, source, path):
    return subprocess.Popen([str(client.bin / "hf"), "upload", repo.id, str(source), path], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, env={k: str(v) for k, v in client.env.items()})


@SHIMMED
def test_files_are_put_together_beside_all_that_comes(hub, tmp_path):
    """However many do, and however long it takes: the bodies of others are taken, and who comes too late is told when to come again."""
    data, other = noise(12, "gated"), noise(1, "beside")
    (tmp_path / "w.bin").write_bytes(data)
    g = Gate(hub, tmp_path, data)
    h, client = g.hub, Client(tmp_path, "2.4", g.hub.url, g.hub.admin_token)
    repos = [Repo(h, f"admin/gated-{n}", h.admin_token) for n in range(6)]
    upload(client, repos[0], tmp_path / "w.bin", "w.bin")
    g.close()
    senders = [start(client, repo, tmp_path / "w.bin", "again.bin") for repo in repos]
    assert eventually(lambda: g.waiting() == 3, 60), g.waiting()
    began = time.monotonic()
    assert repos[5].send(other) and repos[5].commit(lfs("other.bin", other)).status == 200
    assert time.monotonic() - began < 20 and g.waiting() == 3
    mine = token_of(h, repos[0], h.admin_token).json["accessToken"]
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        late = [pool.submit(h.ask, "/api/xet/1/v1/shards", "POST", shard([]), mine) for _ in range(24)]
        assert eventually(lambda: any(f.done() for f in late), 20)
        refused = [f.result() for f in late if f.done()]
        assert all(got.status == 503 and int(got.headers["retry-after"]) > 0 for got in refused), refused
        g.open()
        assert {f.result().status for f in late} == {200, 503}
    for sender, repo in zip(senders, repos):
        assert sender.wait(60) == 0, sender.communicate()[1]
        assert repo.read("again.bin") == data
    h.stop()


@SHIMMED
@pytest.mark.parametrize("leaves", [True, False])
def test_for_who_has_left_nothing_is_put_together(hub, tmp_path, leaves):
    data = noise(70, "left")                            # of more than one xorb
    (tmp_path / "w.bin").write_bytes(data)
    g = Gate(hub, tmp_path, data)
    h, client = g.hub, Client(tmp_path, "2.4", g.hub.url, g.hub.admin_token)
    one, two = (Repo(h, f"admin/{name}", h.admin_token) for name in ("stays", "leaves"))
    upload(client, one, tmp_path / "w.bin", "w.bin")
    g.close()
    sender = start(client, two, tmp_path / "w.bin", "w.bin")
    assert eventually(lambda: g.waiting() == 1, 60)
    if leaves:
        sender.kill()
        sender.wait()
    g.open()
    if not leaves:
        assert sender.wait(60) == 0, sender.communicate()[1]
    came = lambda: {r["repo"] for r in trail(h)}
    assert eventually(lambda: "models/admin/leaves" in came(), 2) != leaves
    sender.stderr.close()
    h.stop()


def collect(h):
    job = h.ask("/api/admin/v1/collect", "POST", "{}", h.admin_token, Content_Type="application/json").json["id"]
    assert eventually(lambda: h.ask(f"/api/admin/v1/jobs/{job}", token=h.admin_token).json["state"] == "done", 20)


@SHIMMED
def test_a_blob_goes_while_a_file_is_made_of_it(hub, tmp_path):
    """Nobody has it any more, and the grace is over: who named it is refused, and sends it."""
    data = noise(12, "going")
    (tmp_path / "w.bin").write_bytes(data)
    g = Gate(hub, tmp_path, data, "--collect-grace=1")
    h, client = g.hub, Client(tmp_path, "2.4", g.hub.url, g.hub.admin_token)
    one, two = (Repo(h, f"admin/{name}", h.admin_token) for name in ("goes", "stays"))
    upload(client, one, tmp_path / "w.bin", "w.bin")
    g.close()
    sender = start(client, two, tmp_path / "w.bin", "w.bin")
    assert eventually(lambda: g.waiting() == 1, 60)
    one.remove()
    time.sleep(2.5)
    collect(h)
    assert not blob(h, data).exists()
    g.open()
    said = sender.communicate(timeout=PATIENCE)[1]
    assert sender.returncode != 0 and "is not here" in said, said
    assert "w.bin" not in two.tree() and not blob(h, data).exists()
    assert sent_by(h, client, two, tmp_path / "w.bin", "w.bin") == 1
    assert two.read("w.bin") == data
    h.stop()


def test_clients_cut_what_packs_well_by_the_bytes_of_files(ours, uploader, tmp_path):
    """A xorb of them unpacks to 64 MiB at most."""
    data = b"".join(b"%015d\n" % n for n in range(70 * MIB // 16))
    (tmp_path / "w.txt").write_bytes(data)
    repo = Repo(ours, "admin/packs", ours.admin_token)
    assert sent_by(ours, uploader("2.4"), repo, tmp_path / "w.txt", "w.bin") == 2
    assert repo.read("w.bin") == data


# ---- what the store says ----

def token_of(h, repo, token, suffix=""):
    return h.ask(f"{repo.api}/xet-write-token/main{suffix}", token=token)


def test_a_token_is_in_head_and_body_and_names_the_host_that_was_asked(ours):
    repo = Repo(ours, "admin/tokens", ours.admin_token)
    for suffix in "", "?create_pr=1":
        got = token_of(ours, repo, ours.admin_token, suffix)
        assert got.status == 200 and 0 < got.json["exp"] - time.time() <= 900
        assert got.json["casUrl"] == got.headers["x-xet-cas-url"]
        assert re.fullmatch(re.escape(ours.url) + r"/api/xet/\d+", got.json["casUrl"])
        assert got.json["accessToken"] == got.headers["x-xet-access-token"] != ours.admin_token
        assert str(got.json["exp"]) == got.headers["x-xet-token-expiration"]
    assert ours.admin_token not in got.json["accessToken"]


def put_shard(h, token):
    return h.ask("/api/xet/1/v1/shards", "POST", shard([]), token)


def test_a_token_is_of_a_repository_whatever_it_is_called(hub, tmp_path):
    h = Hubd(tmp_path, hub)
    repo, other = (Repo(h, f"admin/{name}", h.admin_token) for name in ("was", "other"))
    mine = token_of(h, repo, h.admin_token).json["accessToken"]
    assert put_shard(h, mine).status == 200
    moved = h.ask("/api/repos/move", "POST", json.dumps({"fromRepo": "admin/was", "toRepo": "admin/is", "type": "model"}), h.admin_token,
                  Content_Type="application/json")
    assert moved.status == 200, moved
    assert put_shard(h, mine).status == 200
    assert eventually(lambda: [r["repo"] for r in trail(h)] == ["models/admin/was", "models/admin/is"], 5), trail(h)
    # Another one that gets the name is not meant, nor is one that comes in its place.
    again = Repo(h, "admin/was", h.admin_token)
    assert put_shard(h, mine).status == 200 and eventually(lambda: trail(h)[-1]["repo"] == "models/admin/is" and len(trail(h)) == 3, 5)
    again.id, again.api = "admin/is", "/api/models/admin/is"
    again.remove()
    again.make()
    assert put_shard(h, mine).status == 404
    assert put_shard(h, token_of(h, again, h.admin_token).json["accessToken"]).status == 200
    h.stop()


def test_a_token_goes_with_the_one_it_was_given_for(hub, tmp_path):
    """Another one of that name is another one."""
    h = Hubd(tmp_path, hub)
    first = user(h, "writer")
    repo = Repo(h, "writer/m", first)
    mine = token_of(h, repo, first).json["accessToken"]
    assert put_shard(h, mine).status == 200
    time.sleep(1.1)                                     # it is known by the second when it was made
    fine(h, "token revoke writer laptop")
    assert put_shard(h, mine).status == 401
    second = fine(h, "token create writer --name=laptop --role=write").strip()
    assert put_shard(h, mine).status == 401
    assert put_shard(h, token_of(h, repo, second).json["accessToken"]).status == 200
    h.stop()


def test_what_waits_is_of_a_repository_whatever_it_is_called(hub, tmp_path):
    """Renamed between xorb and shard it has what came; whoever has its name then, or comes in its place, has not."""
    h, x = Hubd(tmp_path, hub), Xorb(b"waits" * 99, b"and waits" * 77)
    repo = Repo(h, "admin/was", h.admin_token)
    old = Store(h, repo, h.admin_token)
    assert old.send(x).status == 200
    assert h.ask("/api/repos/move", "POST", json.dumps({"fromRepo": "admin/was", "toRepo": "admin/is", "type": "model"}), h.admin_token,
                 Content_Type="application/json").status == 200
    other = Store(h, Repo(h, "admin/was", h.admin_token), h.admin_token)
    assert other.tell(whole(x)).status == 400
    repo.id, repo.api = "admin/is", "/api/models/admin/is"
    repo.remove()
    repo.make()
    again = Store(h, repo, h.admin_token)
    assert again.tell(whole(x)).status == 400 and incoming(h)
    # The twin: it is only renamed.
    assert again.send(x).status == 200
    assert h.ask("/api/repos/move", "POST", json.dumps({"fromRepo": "admin/is", "toRepo": "admin/is-still", "type": "model"}), h.admin_token,
                 Content_Type="application/json").status == 200
    assert again.tell(whole(x)).status == 200
    h.stop()


def test_who_has_a_chunk_has_not_the_xorb_that_it_came_in(hub, tmp_path):
    """A private repository and a public one have a chunk in common."""
    h, x = Hubd(tmp_path, hub), Xorb(b"common" * 100, b"private" * 100, b"secret" * 100)
    fine(h, "org add org")
    writer, stranger = user(h, "writer", "write"), user(h, "stranger")
    hidden, shown, mine = (Repo(h, name, token, **more) for name, token, more in
                           (("org/hidden", writer, {"private": True}), ("org/shown", writer, {}), ("stranger/own", stranger, {})))
    assert Store(h, hidden, writer).send(x).status == 200
    assert Store(h, hidden, writer).keep(whole(x)).status == 200
    assert Store(h, shown, writer).keep([(x, 0, 1)]).status == 200
    for terms, status in (([(x, 0, 1)], 200), (whole(x), 400), ([(x, 1, 2)], 400), ([(x, 0, 1), (x, 2, 3)], 400)):
        got = Store(h, mine, stranger).tell(terms)
        assert got.status == status, (terms, got)
    assert "not for who sends this" in got.json["error"]
    # The twin: who may read the other one.
    fine(h, "org member add org stranger --role=read")
    assert Store(h, mine, stranger).tell(whole(x)).status == 200
    h.stop()


def test_who_names_what_is_not_here_is_given_another_address(hub, tmp_path):
    """And nobody else is."""
    h, x = Hubd(tmp_path, hub), Xorb(b"not here" * 50)
    tokens = [user(h, name) for name in ("one", "two")]
    repos = [Repo(h, f"{name}/m", token) for name, token in zip(("one", "two"), tokens)]
    stores = lambda: [Store(h, repo, token) for repo, token in zip(repos, tokens)]
    before = [s.base for s in stores()]
    assert [s.base for s in stores()] == before and before[0] != before[1]
    got = stores()[0].tell(whole(x))
    assert got.status == 400 and "uploads once more" in got.json["error"]
    after = [s.base for s in stores()]
    assert after[0] != before[0] and after[1] == before[1]
    one = stores()[0]
    assert one.send(x).status == 200 and one.tell(whole(x)).status == 200 and stores()[0].base == after[0]
    h.stop()


def test_what_waits_counts(hub, tmp_path):
    """For who will pay for it: a namespace for those who write there, who asks for a pull request for themselves."""
    h = Hubd(tmp_path, hub)
    fine(h, "org add org")
    writer, reader = user(h, "writer", "write"), user(h, "reader", "read")
    repo = Repo(h, "org/m", writer)
    xorbs = [Xorb(b"%03d" % n * 300) for n in range(12)]
    fine(h, "quota set org 32KiB")
    fine(h, "quota set reader 16KiB")
    told = [[Store(h, repo, token).send(x).status for x in xorbs] for token in (reader, writer)]
    # One of them takes a block of 4 KiB while it waits.
    assert told == [[200] * 4 + [403] * 8, [200] * 8 + [403] * 4]
    assert Store(h, repo, writer).tell(*(whole(x) for x in xorbs[:8])).status == 200
    assert Store(h, repo, writer).send(xorbs[11]).status == 200, "what is in files waits no more"
    assert Store(h, repo, reader).send(xorbs[11]).status == 403
    h.stop()


def fill(place, left):
    """A file that leaves so many bytes."""
    (place / "filler").unlink(missing_ok=True)
    space = os.statvfs(place)
    with open(place / "filler", "wb") as f:
        f.write(bytes(space.f_bavail * space.f_frsize - left))


def test_on_a_full_disk_nothing_is_taken_and_nothing_is_lost(hub, tmp_path, small_disk):
    h, xorbs = Hubd(tmp_path, hub, data=small_disk / "data"), [Xorb(b"full %d" % n * 100) for n in range(2)]
    store = Store(h, Repo(h, "admin/full", h.admin_token), h.admin_token)
    assert store.send(xorbs[0]).status == 200
    fill(small_disk, 20 * MIB)
    got = store.send(xorbs[1])
    assert got.status == 507 and "no room" in got.json["error"], got
    refused = lambda: [(r["status"], r["repo"], r["outcome"]) for r in trail(h) if r["status"] != 200]
    assert eventually(lambda: refused() == [(507, "models/admin/full", "failed")], 5), trail(h)
    assert store.tell(whole(xorbs[0])).status == 200    # that is small enough
    fill(small_disk, 10 * MIB)
    assert [store.tell(whole(xorbs[0])).status, store.send(xorbs[0]).status] == [507, 507]
    assert not incoming(h)
    # A client is told before it sends anything; of a 507 to its chunks it says the number alone, after five tries.
    (tmp_path / "w.bin").write_bytes(noise(1, "full"))
    began, client = time.monotonic(), Client(tmp_path, "2.4", h.url, h.admin_token)
    done = client.cli("upload", store.repo.id, tmp_path / "w.bin", "w.bin")
    assert done.returncode != 0 and "no room" in done.stderr and time.monotonic() - began < 30, done.stderr
    (small_disk / "filler").unlink()
    assert store.send(xorbs[1]).status == 200 and store.tell(whole(*xorbs)).status == 200
    upload(client, store.repo, tmp_path / "w.bin", "w.bin")
    h.stop()


def test_two_who_bring_the_same_at_once_both_have_it(ours, tmp_path):
    data = noise(14, "twice")
    (tmp_path / "w.bin").write_bytes(data)
    clients = []
    for n in range(2):
        (tmp_path / str(n)).mkdir()
        clients.append(Client(tmp_path / str(n), "2.4", ours.url, ours.admin_token))
    repo = Repo(ours, "admin/twice", ours.admin_token)
    senders = [start(client, repo, tmp_path / "w.bin", f"{n}.bin") for n, client in enumerate(clients)]
    for sender in senders:
        said = sender.communicate(timeout=PATIENCE)[1]
        assert sender.returncode == 0, said
    assert repo.read("0.bin") == repo.read("1.bin") == data
    assert not incoming(ours)


@SHIMMED
def test_a_token_is_good_for_a_quarter_of_an_hour(hub, tmp_path):
    """And five minutes more, for those whose clock is behind."""
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("<q", 0))
    h = Hubd(tmp_path, hub, env={"LD_PRELOAD": SHIMS / "shim_clock.so", "CLOCK_SHIM": clock})
    repo = Repo(h, "admin/late", h.admin_token)
    mine = token_of(h, repo, h.admin_token).json["accessToken"]
    for late, status in (890, 200), (1190, 200), (1210, 401):
        with clock.open("r+b") as f:
            f.write(struct.pack("<q", late))
        got = put_shard(h, mine)
        assert got.status == status, got
    assert "expired" in got.json["error"]
    assert put_shard(h, token_of(h, repo, h.admin_token).json["accessToken"]).status == 200
    h.stop()


def test_who_may_not_write_gets_no_token(ours):
    repo = Repo(ours, "admin/closed", ours.admin_token)
    assert token_of(ours, repo, None).status == 401
    assert token_of(ours, repo, "hf_wrong").status == 401
    assert ours.ask("/api/models/admin/none/xet-write-token/main", token=ours.admin_token).status == 404


def test_a_token_is_good_as_long_as_the_right_behind_it(hub, tmp_path):
    h = Hubd(tmp_path, hub)
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


@pytest.mark.parametrize("method, path", [("POST", "/v1/xorb-grants/default/0"), ("GET", "/v1/shards"),
                                          ("PUT", "/v1/xorbs/default/0"), ("GET", "/v3/reconstructions"), ("POST", "/v1/telemetry"), ("GET", "")])
def test_what_is_not_offered_is_not_there(ours, method, path):
    """Never a 405, which clients take for the end."""
    assert ours.ask(f"/api/xet/1{path}", method, b"{}" if method != "GET" else None, "anything").status == 404


def test_a_hub_that_was_told_to_take_no_xet_says_so(hub, tmp_path):
    """Twin: a client in its default settings asks for a token of a Xet store, and is refused."""
    h = Hubd(tmp_path, hub, args=["--xet=no"])
    client = Client(tmp_path, "2.4", h.url, h.admin_token)
    Repo(h, "admin/no-xet", h.admin_token)
    done = client.run(client.bin / "python", "-c", "from huggingface_hub import HfApi; "
                      "HfApi().upload_file(path_or_fileobj='/proc/self/exe', path_in_repo='w.bin', repo_id='admin/no-xet')")
    assert done.returncode != 0 and "xet-write-token" in done.stderr, done.stderr
    h.stop()
