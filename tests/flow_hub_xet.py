"""The Xet store of matrixhubd, asked by hand: who is told which chunks are here, and what becomes of who asks for others."""
import json
import os
import struct
import time

import pytest

from clients_xet import blob, user
from flow_hub_ctl import ctl, fine
from hubd import Hubd
from mountlib import eventually
from peers import INSTRUMENTED
from registry import Repo, lfs
from xet import DATA, Store, Xorb, blake3, bytes_of, made_of, shard, whole

EMPTY, RECORD, END = bytes(32), 48, 200


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A hub with an organization, of which somebody may write, and a stranger: their repositories."""
    h = Hubd(tmp_path_factory.mktemp("xet"), [])
    fine(h, "org add org")
    tokens = {name: user(h, name, role) for name, role in (("writer", "write"), ("stranger", None))}
    h.hidden, h.mine = Repo(h, "org/hidden", tokens["writer"], private=True), Repo(h, "stranger/own", tokens["stranger"])
    h.writer, h.stranger = Store(h, h.hidden, tokens["writer"]), Store(h, h.mine, tokens["stranger"])
    yield h
    h.stop()


def trail(h, act):
    lines = [line for f in sorted((h.data / "audit").glob("*.jsonl")) for line in f.read_text().splitlines()]
    return [r for r in map(json.loads, lines) if act in (r.get("act"), r["kind"])]


def told(answer):
    """What an answer says of xorbs: by the name of each its chunks (what hides it, bytes in front of it, its bytes); the key; until when."""
    assert answer.status == 200, answer
    data = answer.body
    _, size = struct.unpack_from("<QQ", data, 32)
    end = data[-size:]
    files, xorbs, *tables = struct.unpack_from("<8Q", end, 8)
    assert size == END and tables[::2] == [len(data) - END] * 3 and not any(tables[1::2]) and (files, xorbs) == (RECORD, 2 * RECORD)
    at, found = xorbs, {}
    while data[at:at + 32] != b"\xff" * 32:
        count, = struct.unpack_from("<I", data, at + 36)
        found[data[at:at + 32]] = [(data[c:c + 32], *struct.unpack_from("<II", data, c + 32)) for c in range(at + RECORD, at + (count + 1) * RECORD, RECORD)]
        at += (count + 1) * RECORD
    return found, end[72:104], struct.unpack_from("<Q", end, 112)[0]


def test_who_may_read_a_chunk_is_told_where_it_is(world):
    x = Xorb(b"first" * 100, b"second" * 100, b"third" * 100)
    assert world.writer.seek(x.chunks[0]).status == 404
    assert world.writer.send(x).status == 200 and world.writer.seek(x.chunks[0]).status == 404, "what waits is no file yet"
    assert world.writer.tell(whole(x)).status == 200
    answers = [world.writer.seek(x.chunks[0]) for _ in range(2)]
    (found, key, until), (_, other, _) = map(told, answers)
    assert key != other and any(key) and 0 < until - time.time() <= 900
    assert found == {x.hash: [(blake3(key, blake3(DATA, c)), sum(map(len, x.chunks[:i])), len(c)) for i, c in enumerate(x.chunks)]}
    # Of others than the first of a file, and one in a thousand, no client asks.
    assert world.writer.seek(x.chunks[1]).status == 404
    assert world.writer.seek(x.chunks[0], "default-merkledb").status == 200


def test_who_may_not_is_told_what_everybody_is(world):
    x, open_repo = Xorb(b"public" * 100, b"private" * 90, b"secret" * 80), Repo(world, "org/shown", world.hidden.token)
    assert world.writer.send(x).status == 200 and world.writer.keep(whole(x)).status == 200
    none, theirs = world.stranger.seek(b"no such chunk"), world.stranger.seek(x.chunks[0])
    assert (none.status, none.body) == (theirs.status, theirs.body) and none.status == 404
    # What is in no commit is for who brought it, and who may write there: not for whoever may bring a pull request.
    assert Store(world, open_repo, world.hidden.token).tell([(x, 0, 1)]).status == 200
    guest = Store(world, open_repo, world.mine.token)
    for theirs in world.stranger, guest:
        assert theirs.seek(x.chunks[0]).status == 404 and theirs.tell([(x, 0, 1)]).status == 400
    assert Store(world, open_repo, world.admin_token).seek(x.chunks[0]).status == 200
    world.stranger.__init__(world, world.mine, world.mine.token)
    # Twin: a file that everybody may read has the first of them, and that alone.
    assert Store(world, open_repo, world.hidden.token).keep([(x, 0, 1)]).status == 200
    found, key, _ = told(world.stranger.seek(x.chunks[0]))
    assert found == {x.hash: [(blake3(key, blake3(DATA, x.chunks[0])), 0, len(x.chunks[0]))]}
    assert world.stranger.tell([(x, 0, 1)]).status == 200
    assert Store(world, open_repo, world.mine.token).seek(x.chunks[0]).status == 200
    # What is in the middle of those one may have has a number, no name and no length, not even between its neighbours.
    assert Store(world, open_repo, world.hidden.token).keep([(x, 2, 3)]).status == 200
    found, key, _ = told(world.stranger.seek(x.chunks[0]))
    first, second, third = found[x.hash]
    assert second == (EMPTY, len(x.chunks[0]), 0)
    assert third == (blake3(key, blake3(DATA, x.chunks[2])), len(x.chunks[0]), len(x.chunks[2]))


def test_nobody_hides_what_one_has_behind_theirs(world):
    """Somebody brings more xorbs that begin with that chunk than are looked at, all of which come first by their hashes."""
    first = b"begins with" * 50
    *theirs, ours = sorted((Xorb(first, b"%d" % i * 100) for i in range(70)), key=lambda x: x.hash)
    for x in theirs:
        assert world.stranger.send(x).status == 200
    assert world.stranger.tell(*map(whole, theirs)).status == 200
    assert world.writer.seek(first).status == 404, "the twin: none of those is theirs"
    assert world.writer.send(ours).status == 200 and world.writer.keep(whole(ours)).status == 200
    found, *_ = told(world.writer.seek(first))
    assert list(found) == [ours.hash]
    assert set(told(world.stranger.seek(first))[0]) <= {x.hash for x in theirs}


def test_what_goes_is_told_to_nobody(tmp_path):
    h = Hubd(tmp_path, [], args=["--collect-grace=0"])
    repo, x = Repo(h, "admin/m", h.admin_token), Xorb(b"goes" * 100)
    store = Store(h, repo, h.admin_token)
    assert store.send(x).status == 200 and store.keep(whole(x)).status == 200 and store.seek(x.chunks[0]).status == 200
    other = Store(h, Repo(h, "admin/other", h.admin_token), h.admin_token)
    assert other.seek(x.chunks[0]).status == 200
    repo.remove()
    job = h.ask("/api/admin/v1/collect", "POST", "{}", h.admin_token, Content_Type="application/json").json["id"]
    assert eventually(lambda: h.ask(f"/api/admin/v1/jobs/{job}", token=h.admin_token).json["state"] == "done", 20)
    assert other.seek(x.chunks[0]).status == 404
    h.stop()


def test_a_token_is_for_one_repository(tmp_path):
    """What comes with it is for that one, whoever else's its bearer may write to."""
    h, x = Hubd(tmp_path, []), Xorb(b"one of two" * 50)
    one, two = (Repo(h, f"admin/{name}", h.admin_token) for name in ("one", "two"))
    store, data = Store(h, one, h.admin_token), b"".join(x.chunks)
    assert store.send(x).status == 200 and Store(h, two, h.admin_token).tell(whole(x)).status == 400
    assert store.tell(whole(x)).status == 200
    got = two.commit(lfs("w.bin", data))
    assert got.status in (400, 404, 422) and "w.bin" not in two.tree(), got
    assert one.commit(lfs("w.bin", data)).status == 200 and one.read("w.bin") == data
    h.stop()


def test_what_older_clients_call_it_is_there_too(tmp_path):
    """hf_xet 1.5.1 and before, which huggingface_hub 1.20 and 1.24 take, tells of files without a version; 1.2 and 1.1 read so."""
    h, x = Hubd(tmp_path, [], args=["--xet-read=always"]), Xorb(*(b"%d of old" % n * 999 for n in range(3)))
    repo = Repo(h, "admin/m", h.admin_token)
    store, file = Store(h, repo, h.admin_token), made_of(x)
    tell = lambda path, file: h.ask(store.base + path, "POST", shard(file), store.token)
    assert store.send(x).status == 200 and tell("/shards", file).status == 200
    repo.done(lfs("w.bin", bytes_of(file)))
    name = h.ask(f"/{repo.id}/resolve/main/w.bin", "HEAD", token=repo.token).headers["x-xet-hash"]
    mine = h.ask(f"{repo.api}/xet-read-token/main", token=repo.token).json["accessToken"]
    told = [h.ask(f"/api/xet/1/{path}/{name}", token=mine) for path in ("v1/reconstructions", "reconstructions", "reconstruction")]
    plans = [(got.status, got.json["terms"], list(got.json["fetch_info"])) for got in told]
    assert plans[0][0] == 200 and plans == plans[:1] * 3
    # Twins: refused alike; what nobody ever called so.
    assert [tell(path, [(Xorb(b"nobody's"), 0, 1)]).status for path in ("/v1/shards", "/shards", "/shard")] == [400, 400, 404]
    h.stop()


def batch(h, repo, agent="git-lfs/3.7.1", transfers=("basic", "multipart", "xet")):
    body = {"operation": "upload", "transfers": transfers, "objects": [{"oid": "1" * 64, "size": 9}]}
    got = h.ask(f"/{repo.id}.git/info/lfs/objects/batch", "POST", json.dumps(body), repo.token, Content_Type="application/json", User_Agent=agent)
    assert got.status == 200, got
    return got.json["transfer"], got.json["objects"][0]["actions"]


def test_who_asks_git_lfs_for_it_is_sent_there(world, tmp_path):
    way, actions = batch(world, world.mine)
    header = actions["upload"]["header"]
    assert way == "xet" and header["X-Xet-Cas-Url"] == world.url + world.stranger.base and actions["verify"]["href"]
    assert 0 < int(header["X-Xet-Token-Expiration"]) - time.time() <= 900
    world.stranger.token, x = header["X-Xet-Access-Token"], Xorb(b"by git-lfs" * 90)
    assert world.stranger.send(x).status == 200 and world.stranger.keep(whole(x)).status == 200
    next_one = world.ask(actions["upload"]["href"][len(world.url):], token=world.mine.token)
    assert next_one.status == 200 and next_one.json["casUrl"] == header["X-Xet-Cas-Url"]
    # Twins: who does not; who does and may have a client of another protocol; where there is none.
    assert batch(world, world.mine, transfers=("basic",))[0] == "basic"
    way, actions = batch(world, world.mine, agent="unknown/None; hf_hub/0.36.2; python/3.11")
    assert way == "basic" and "header" not in actions["upload"]
    h = Hubd(tmp_path, [], args=["--xet=no"])
    assert batch(h, Repo(h, "admin/m", h.admin_token))[0] == "basic"
    h.stop()


def fastest(ask, one, tries):
    """Of some tries the least that one took; and the last answer."""
    took = []
    for _ in range(tries):
        began = time.monotonic()
        got = ask(one)
        took.append(time.monotonic() - began)
    return min(took), got


def test_refusals_come_by_a_slow_clock(world):
    """What is here for others is not told from what is nowhere, by the words or by how long they take."""
    x, nobodys = Xorb(b"theirs" * 100), Xorb(b"nobody's" * 100)
    assert world.writer.send(x).status == 200 and world.writer.tell(whole(x)).status == 200
    for tick, tries, ask in (0.1, 6, lambda x: world.stranger.tell(whole(x))), (0.01, 24, lambda x: world.stranger.seek(x.chunks[0])):
        took, answers = zip(*(fastest(ask, one, tries) for one in (x, nobodys)))
        assert min(took) >= tick - 0.0011, took                      # it counts whole ms
        assert max(took) - min(took) < tick / 2 or INSTRUMENTED, took
        words = {got.json["error"].replace(one.name, "X") for got, one in zip(answers, (x, nobodys))}
        assert len(words) == 1 and {got.status for got in answers} <= {400, 404}, words
    # Twin: who has it need not wait.
    mine, got = fastest(lambda x: world.writer.seek(x.chunks[0]), x, 24)
    assert got.status == 200 and mine < min(took), (mine, took)


def test_what_is_refused_is_on_record(world):
    x, h = Xorb(b"on record" * 100), world
    mine, base = h.stranger.token, h.stranger.base
    reads = h.ask(f"{h.mine.api}/xet-read-token/main", token=h.mine.token).json["accessToken"]
    before = {kind: len(trail(h, kind)) for kind in ("xet.upload", "signin", "change")}
    tries = [(mine, f"/v1/xorbs/default/{x.name}", b"no xorb at all...", 400), (mine, "/v1/xorbs/default/name", x.bytes, 400),
             (mine, f"/v1/xorbs/default/{'0' * 64}", x.bytes, 400), (mine, "/v1/shards", b"x" * 100, 400), (mine, "/v1/shards", shard(whole(x)), 400),
             (reads, "/v1/shards", shard(whole(x)), 403), (mine[:-1] + ("0" if mine[-1] != "0" else "1"), "/v1/shards", b"x", 401)]
    assert [h.ask(base + path, "POST", body, token).status for token, path, body, _ in tries] == [status for *_, status in tries]
    made = lambda kind: trail(h, kind)[before[kind]:]
    assert eventually(lambda: len(made("xet.upload")) >= 5 and made("signin"), 5), (made("xet.upload"), made("signin"))
    assert {(r["repo"], r["user"], r["status"], r["outcome"]) for r in made("xet.upload")} == {("models/stranger/own", "stranger", 400, "failed")}
    assert all(r["why"] for r in made("xet.upload")) and [r["status"] for r in made("signin")] == [401]
    refused = [r for r in made("change") if r["status"] == 403]
    assert [(r["outcome"], r["repo"]) for r in refused] == [("refused", "models/stranger/own")] and "/v1/shards" in refused[0]["note"]
    assert h.stranger.token not in json.dumps(made("xet.upload") + made("signin") + made("change"))


def test_a_read_that_is_refused_is_on_record(world):
    fine(world, "rule set models/org/hidden stranger --role=read")
    reads = world.ask(f"{world.hidden.api}/xet-read-token/main", token=world.mine.token).json["accessToken"]
    ask = lambda: world.ask(f"/api/xet/1/v1/reconstructions/{'0' * 64}", token=reads).status
    refused = lambda: [r for r in trail(world, "download") if r["outcome"] == "refused" and r["user"] == "stranger"]
    assert ask() == 404 and not refused(), "twin: who may read it asked for what is not there"
    fine(world, "rule remove models/org/hidden stranger")
    assert ask() == 404 and eventually(lambda: [r["repo"] for r in refused()] == ["models/org/hidden"], 5), trail(world, "download")


def test_a_blob_without_its_chunks_is_read_again_at_once(tmp_path):
    """Who makes a file of them finds it out."""
    h, x, y = Hubd(tmp_path, []), Xorb(b"one" * 300, b"two" * 300), Xorb(b"other" * 200)
    repo = Repo(h, "admin/m", h.admin_token)
    store, data = Store(h, repo, h.admin_token), b"".join(x.chunks)
    for one in x, y:
        assert store.send(one).status == 200 and store.tell(whole(one)).status == 200
    file = blob(h, data)
    os.chmod(file, 0o600)
    with file.open("r+b") as f:
        f.write(b"ONE")
    assert store.tell([(y, 0, 1)]).status == 200 and file.exists(), "twin: nobody names what is wrong"
    got = store.tell([(x, 0, 1)])
    assert got.status == 400 and "is not here" in got.json["error"]
    assert eventually(lambda: h.logged("is damaged, and was set aside"), 10) and not file.exists()
    again = Store(h, repo, h.admin_token)
    assert again.base != store.base and again.send(x).status == 200 and again.tell(whole(x)).status == 200
    assert file.read_bytes() == data
    h.stop()


def test_who_brought_chunks_of_what_is_found_damaged_is_to_send_them_again(tmp_path):
    """Before anybody names them in vain."""
    h, x, y = Hubd(tmp_path, []), Xorb(b"one" * 300, b"two" * 300), Xorb(b"other" * 200)
    repo = Repo(h, "admin/m", h.admin_token)
    store = Store(h, repo, h.admin_token)
    for one in x, y:
        assert store.send(one).status == 200 and store.keep(whole(one)).status == 200
    now = lambda: Store(h, repo, h.admin_token)
    assert ctl(h, "--json scrub").returncode == 0 and now().base == store.base, "twin: nothing is damaged"
    file = blob(h, b"".join(x.chunks))
    os.chmod(file, 0o600)
    with file.open("r+b") as f:
        f.write(b"ONE")
    assert ctl(h, "--json scrub").returncode != 0 and not file.exists()
    again = now()
    assert again.base != store.base and again.seek(x.chunks[0]).status == 404 and again.seek(y.chunks[0]).status == 200
    assert again.send(x).status == 200 and again.tell(whole(x)).status == 200 and now().base == again.base
    assert repo.read(f"{file.name[:8]}.bin") == b"".join(x.chunks)
    h.stop()
