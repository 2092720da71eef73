"""Bytes that came in are for those who may have them: not for who knows their id, has lost the right on the way, or is slow."""
import concurrent.futures
import contextlib
import hashlib
import json
import random
import socket
import time

import pytest

from flow_faults import small_disk
from hub import Blob
from hubd import Hubd
from mountlib import eventually
from registry import Repo, lfs, line, put

MIB = 1024 * 1024


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def h(hub, hubd):
    return hubd(hub)


def user(h, name, token="laptop"):
    """Somebody with a token that writes, and a way to take it back."""
    h.ask("/api/admin/v1/users", "POST", json.dumps({"name": name}), h.admin_token)
    made = h.ask("/api/admin/v1/tokens", "POST", json.dumps({"user": name, "name": token, "role": "write"}), h.admin_token)
    assert made.status == 201, made
    return made.json["token"], lambda: h.ask(f"/api/admin/v1/tokens/{name}/{token}", "DELETE", None, h.admin_token)


def link(repo, data, operation="upload"):
    got = repo.ask(f"/{repo.id}.git/info/lfs/objects/batch", "POST", operation=operation, transfers=["basic"],
                   objects=[{"oid": sha256(data), "size": len(data)}])
    return got.json["objects"][0]["actions"][operation]["href"][len(repo.hubd.url):]


@contextlib.contextmanager
def sending(h, head, length, begun=b""):
    """A connection on which a request's head was sent, and the beginning of its body."""
    with socket.create_connection(("127.0.0.1", h.port), 10) as s:
        s.sendall(f"{head}\r\nHost: 127.0.0.1:{h.port}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n".encode() + begun)
        yield s


def hear(s):
    """Status and body."""
    got = b""
    while part := s.recv(65536):
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def commit_of(*lines):
    return "\n".join([line("header", summary="slowly"), *lines]).encode()


def commit_head(repo):
    return f"POST {repo.api}/commit/main HTTP/1.1\r\nAuthorization: Bearer {repo.token}\r\nContent-Type: application/x-ndjson"


# ---- whose bytes ----

def test_a_repository_elsewhere_gets_no_bytes_by_claiming_their_id(hub, h):
    secret, theirs = noise(3 * MIB), noise(3 * MIB, 2)
    small = b"a secret of few bytes"
    ours = Repo(h, "admin/private", h.admin_token, visibility="private")
    ours.send(secret)
    ours.done(lfs("w.bin", secret), put("config.json", small))
    claims = {"w.bin": Blob(theirs, "w.bin", sha256=sha256(secret)), "good.bin": theirs, "config.json": Blob(b"x" * len(small))}
    claims["config.json"].oid = claims["config.json"].etag = ours.tree()["config.json"]
    hub.repo("thief/repo").commit(claims)
    for path in "w.bin", "config.json":
        try:
            got = h.ask(f"/thief/repo/resolve/main/{path}")
            assert got.status != 200 or got.body not in (secret, small), path
        except OSError:
            pass                                # what is no such file is broken off before its end
        except Exception as error:              # http.client.IncompleteRead
            assert secret[:4096] not in getattr(error, "partial", b"")
    # The twins: what is theirs they give, and who has it here reads it, whatever was asked for before.
    assert h.ask("/thief/repo/resolve/main/good.bin").body == theirs
    assert ours.read("w.bin") == secret and ours.read("config.json") == small
    assert not list((h.data / "cache" / "blobs").rglob(sha256(secret))) or \
        next((h.data / "cache" / "blobs").rglob(sha256(secret))).read_bytes() != secret


def test_the_same_file_here_and_elsewhere_is_read_by_both(hub, h):
    """Neither is kept from its own by what the other has."""
    data = noise(2 * MIB)
    hub.repo("org/open").commit({"w.bin": data})
    ours = Repo(h, "admin/m", h.admin_token)
    ours.send(data)
    ours.done(lfs("w.bin", data))
    assert ours.read("w.bin") == data and not hub.requests("/resolve/")
    assert h.ask("/org/open/resolve/main/w.bin").body == data
    assert hub.bytes_sent(path_re="/resolve/.*w.bin") >= len(data)
    hub.down()
    assert ours.read("w.bin") == data and h.ask("/org/open/resolve/main/w.bin").body == data
    own = h.data / "own" / "blobs" / sha256(data)[:2] / sha256(data)
    own.unlink()
    assert h.ask("/admin/m/resolve/main/w.bin").status == 500       # what is lost here is brought by nobody
    assert h.ask("/org/open/resolve/main/w.bin").body == data


# ---- rights, at the end ----

def test_who_loses_the_right_while_a_commit_comes_has_not_committed(h):
    token, revoke = user(h, "ann")
    repo = Repo(h, "ann/m", token)
    head, body = repo.head(), commit_of(put("late.txt", noise(MIB)))
    for gone in False, True:
        with sending(h, commit_head(repo), len(body), body[:len(body) // 2]) as s:
            assert eventually(lambda: list((h.data / "own" / "incoming").iterdir()), 10)
            if gone:
                assert revoke().status == 200
            s.sendall(body[len(body) // 2:])
            status, told = hear(s)
        assert status == (401 if gone else 200), told
        now = h.ask(f"{repo.api}/revision/main").json["sha"]
        assert (now == head) == gone
        head, body = now, commit_of(put("later.txt", noise(MIB, 2)))
    assert h.ask("/ann/m/resolve/main/later.txt").status == 404


def test_who_loses_the_right_while_a_file_comes_has_not_brought_it(h):
    token, revoke = user(h, "ann")
    repo, data = Repo(h, "ann/m", token), noise(2 * MIB)
    for gone in False, True:
        with sending(h, f"PUT {link(repo, data)} HTTP/1.1", len(data), data[:MIB]) as s:
            assert eventually(lambda: list((h.data / "own" / "incoming").iterdir()), 10)
            if gone:
                assert revoke().status == 200
            s.sendall(data[MIB:])
            status, told = hear(s)
        assert status == (403 if gone else 200), told
        assert (h.data / "own" / "blobs" / sha256(data)[:2] / sha256(data)).exists() != gone
        data = noise(2 * MIB, 2)
    assert not list((h.data / "own" / "incoming").iterdir())


# ---- what requests may say ----

def test_packed_bodies_are_refused_with_a_sentence(h):
    repo, data = Repo(h, "admin/m", h.admin_token), noise(1000)
    head = repo.head()
    for coding in "gzip", "zstd", "br, identity":
        told = [repo.commit(put("a.txt", b"a"), Content_Encoding=coding), h.ask(link(repo, data), "PUT", data, Content_Encoding=coding),
                h.ask("/api/repos/create", "POST", "{}", h.admin_token, Content_Encoding=coding),
                h.ask("/api/admin/v1/users", "POST", "{}", h.admin_token, Content_Encoding=coding)]
        assert [got.status for got in told] == [415] * 4 and all(coding in got.json["error"] for got in told)
    assert repo.head() == head
    # The twin: what is not packed, said or not.
    assert repo.commit(put("a.txt", b"a"), Content_Encoding="identity").status == 200
    assert h.ask(link(repo, data), "PUT", data).status == 200


def test_a_part_of_an_object_is_given_by_its_link(h):
    repo, data = Repo(h, "admin/m", h.admin_token), noise(100000)
    repo.send(data)
    repo.done(lfs("w.bin", data))
    href, tag = link(repo, data, "download"), f'"{sha256(data)}"'
    for asked, said, body in (("bytes=0-9", "0-9", data[:10]), ("bytes=99990-", "99990-99999", data[-10:]), ("bytes=-5", "99995-99999", data[-5:]),
                              ("bytes=0-", "0-99999", data), ("bytes=50000-999999", "50000-99999", data[50000:])):
        got = h.ask(href, Range=asked)
        assert (got.status, got.headers["content-range"], got.body) == (206, f"bytes {said}/100000", body), asked
    assert h.ask(href, Range="bytes=5-9", If_Range=tag).status == 206
    for asked in "bytes=100000-", "bytes=-0":
        got = h.ask(href, Range=asked)
        assert (got.status, got.headers["content-range"], got.body) == (416, "bytes */100000", b""), asked
    # The twins: what asks for no part, for none that is one, or for one of another file, gets all.
    for fields in {}, {"Range": "lines=1-2"}, {"Range": "bytes=9-5"}, {"Range": "bytes=0-1,5-9"}, {"Range": "bytes=5-9", "If_Range": '"other"'}:
        got = h.ask(href, **fields)
        assert got.status == 200 and got.body == data and got.headers["accept-ranges"] == "bytes", fields
    assert h.ask(href, If_None_Match=tag).status == 304
    h.stop()
    records = [json.loads(one) for f in (h.data / "audit").glob("*.jsonl") for one in f.read_text().splitlines()]
    assert sum(r["bytes"] for r in records if r.get("kind") == "download") == 10 + 10 + 5 + 100000 + 50000 + 5 + 5 * 100000


# ---- who is slow, and how many fit ----

def test_eight_who_write_slowly_keep_nobody_from_reading_or_writing(h):
    repo = Repo(h, "admin/m", h.admin_token)
    repo.done(put("read.txt", b"r" * 1000))
    body = commit_of(put("slow.txt", noise(300000)))
    objects = [noise(MIB, i) for i in range(4)]
    with contextlib.ExitStack() as stack:
        commits = [stack.enter_context(sending(h, commit_head(repo), len(body), body[:200000])) for _ in range(4)]
        puts = [stack.enter_context(sending(h, f"PUT {link(repo, data)} HTTP/1.1", len(data), data[:200000])) for data in objects]
        assert eventually(lambda: len(list((h.data / "own" / "incoming").iterdir())) == 8, 10)
        took, at = [], 200000
        for i in range(40):
            for s in commits:
                s.sendall(body[at + i:at + i + 1])
            for s, data in zip(puts, objects):
                s.sendall(data[at + i:at + i + 1])
            begun = time.monotonic()
            assert repo.read("read.txt") == b"r" * 1000
            assert h.ask(f"{repo.api}/tree/main").status == 200
            took.append(time.monotonic() - begun)
        begun = time.monotonic()
        repo.done(put("other.txt", b"o"))
        written = time.monotonic() - begun
        print(f"reads: median {sorted(took)[20] * 1000:.1f} ms, longest {max(took) * 1000:.1f} ms; a commit: {written * 1000:.1f} ms")
        assert sorted(took)[20] < 0.1 and written < 3
        for s, data in zip([*commits, *puts], [body] * 4 + objects):
            s.sendall(data[at + 40:])
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert [status for status, _ in pool.map(hear, [*commits, *puts])] == [200] * 8
    assert repo.read("slow.txt") == noise(300000)


def test_uploads_that_come_at_once_have_room_or_are_told_before_they_begin(hub, tmp_path):
    with small_disk(tmp_path / "disk", "96m") as disk:
        h = Hubd(disk, hub)
        repo, data = Repo(h, "admin/m", h.admin_token), [noise(30 * MIB, i) for i in range(3)]
        # (Nothing of the first two has to come for that.)
        with sending(h, f"PUT {link(repo, data[0])} HTTP/1.1", len(data[0])) as first, sending(h, commit_head(repo), 30 * MIB):
            assert eventually(lambda: len(list((h.data / "own" / "incoming").iterdir())) == 1, 10)
            assert eventually(lambda: h.ask(link(repo, data[1]), "PUT", data[1]).status == 507, 10)
            got = repo.commit(put("big.bin", data[2]))
            assert got.status == 507 and "no room on this hub's disk" in got.json["error"], got
            assert repo.commit(put("small.txt", b"s")).status == 200
            first.sendall(data[0])
            assert hear(first)[0] == 200
        # The twin: when they have gone there is room again.
        assert eventually(lambda: h.ask(link(repo, data[1]), "PUT", data[1]).status == 200, 10)
        assert not list((h.data / "own" / "incoming").iterdir())
        h.stop()


def test_a_commit_gives_back_the_room_that_it_did_not_need(hub, tmp_path):
    with small_disk(tmp_path / "disk", "64m") as disk:
        h = Hubd(disk, hub)
        repo = Repo(h, "admin/m", h.admin_token)
        padded = line("header", summary="x", description="") + " " * (20 * MIB)
        for i in range(4):
            got = h.ask(f"{repo.api}/commit/main", "POST", f"{padded}\n{put('a.txt', b'%d' % i)}".encode(), repo.token)
            assert got.status == 200, (i, got)
        assert repo.read("a.txt") == b"3"
        h.stop()
