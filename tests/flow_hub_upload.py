"""Bytes that come in: what LFS clients of the hub send becomes a blob, whole and verified, or nothing."""
import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import time
import urllib.parse

import pytest
from huggingface_hub import CommitOperationAdd, lfs

from flow_faults import small_disk
from hubd import Hubd
from mountlib import eventually
from registry import Repo
from registry import lfs as lfs_line

MIB = 1024 * 1024


@pytest.fixture
def uploads(hub, tmp_path):
    """uploads(…): a hub with a repository that its administrator may write to."""
    made = []

    def factory(**kw):
        made.append(Hubd(kw.pop("tmp", tmp_path), hub, **kw))
        if "data" not in kw:
            Repo(made[-1], "admin/m", made[-1].admin_token)
        return made[-1]
    yield factory
    for h in reversed(made):
        h.stop()


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def batch(h, *objects, operation="upload", token="", **more):
    body = json.dumps({"operation": operation, "transfers": ["basic", "multipart"], "hash_algo": "sha256",
                       "objects": [{"oid": oid, "size": size} for oid, size in objects], **more})
    return h.ask("/admin/m.git/info/lfs/objects/batch", "POST", body, h.admin_token if token == "" else token)


def link(h, data, operation="upload"):
    """Where those bytes go, without the host."""
    got = batch(h, (sha256(data), len(data)), operation=operation)
    assert got.status == 200, got
    href = got.json["objects"][0]["actions"][operation]["href"]
    assert href.startswith(h.url + "/"), href
    return href[len(h.url):]


def put(h, data, sent=None, **fields):
    return h.ask(link(h, data), "PUT", data if sent is None else sent, **fields)


def blob(h, data):
    return h.data / "own" / "blobs" / sha256(data)[:2] / sha256(data)


def incoming(h):
    return sorted((h.data / "own" / "incoming").iterdir())


def is_here(h, data):
    oid = sha256(data)
    verified = h.ask("/admin/m.git/info/lfs/objects/verify", "POST", json.dumps({"oid": oid, "size": len(data)}), h.admin_token).status == 200
    listed = "actions" not in batch(h, (oid, len(data))).json["objects"][0]
    assert verified == listed
    if verified:
        assert blob(h, data).read_bytes() == data
    return verified


def test_a_client_sends_a_large_file_and_it_is_verified(uploads, tmp_path):
    h, data = uploads(), noise(64 * MIB)
    (tmp_path / "w.bin").write_bytes(data)
    operation = CommitOperationAdd("w.bin", tmp_path / "w.bin")
    actions, errors, _ = lfs.post_lfs_batch_info([operation.upload_info], h.admin_token, "model", "admin/m", endpoint=h.url)
    assert not errors and len(actions) == 1
    assert not is_here(h, data)
    lfs.lfs_upload(operation, actions[0], token=h.admin_token, endpoint=h.url)
    assert is_here(h, data) and not incoming(h)
    # It is not sent twice.
    actions, errors, _ = lfs.post_lfs_batch_info([operation.upload_info], h.admin_token, "model", "admin/m", endpoint=h.url)
    assert not errors and "actions" not in actions[0]
    assert Repo(h, "admin/m", h.admin_token, make=False).commit(lfs_line("w.bin", data)).status == 200
    got = h.ask(link(h, data, "download"))
    assert got.status == 200 and got.body == data
    # The trail says who has brought it.
    h.stop()
    records = [json.loads(line) for f in (h.data / "audit").glob("*.jsonl") for line in f.read_text().splitlines()]
    record, = [r for r in records if r.get("kind") == "upload"]
    assert (record["user"], record["repo"], record["file"], record["bytes"]) == ("admin", "models/admin/m", sha256(data), len(data))


def test_other_bytes_than_were_promised_are_refused(uploads):
    h, data = uploads(), noise(3 * MIB)
    for sent, says in (noise(3 * MIB, 2), "SHA-256"), (data + b"x", "bytes"), (data[:-1], "bytes"), (b"", "bytes"):
        got = put(h, data, sent)
        assert got.status == 400 and says in got.json["error"], got
    chunked = iter([data, b"x"])
    got = h.ask(link(h, data), "PUT", chunked)
    assert got.status == 400 and "bytes" in got.json["error"], got
    assert not is_here(h, data) and not incoming(h) and not blob(h, data).exists()
    # The twin: what was promised, in either way of sending it.
    assert h.ask(link(h, data), "PUT", iter([data[:5], data[5:]])).status == 200
    assert is_here(h, data)
    assert put(h, noise(1000)).status == 200 and is_here(h, noise(1000))


def test_a_link_is_good_for_what_it_says_alone(uploads):
    h, data = uploads(), noise(1000)
    path = link(h, data)
    other = sha256(b"other")
    for forged in (path.replace("act=put", "act=get"), path.replace("size=1000", "size=1001"), path.replace(sha256(data), other),
                   path[:-1] + ("0" if path[-1] != "0" else "1"), path.replace("&seal=", "&seal=9"), path.split("&seal")[0],
                   path.replace("models%2Fadmin%2Fm", "models%2Fadmin%2Fother"), "/api/lfs/x", f"/api/lfs/{other}"):
        got = h.ask(forged, "PUT", data)
        assert got.status == 403 and "link" in got.json["error"], (forged, got)
    assert h.ask(path, "GET").status == 403
    assert not is_here(h, data)
    assert h.ask(path, "PUT", data).status == 200
    assert is_here(h, data)


def test_who_may_not_write_gets_no_link(uploads):
    h, data = uploads(), noise(1000)
    for token, operation, status in (None, "upload", 401), (None, "download", 200), ("hf_wrong", "upload", 401):
        assert batch(h, (sha256(data), 1000), operation=operation, token=token).status == status
    got = batch(h, (sha256(data), 1000), operation="download")
    assert got.json["objects"][0]["error"]["code"] == 404


@pytest.mark.parametrize("body, status", [
    ("{", 400), ("{}", 422), ('{"operation": "steal", "objects": []}', 422), ('{"operation": "upload"}', 422),
    ('{"operation": "upload", "objects": [], "hash_algo": "sha512"}', 409)])
def test_a_batch_that_makes_no_sense_is_told_so(uploads, body, status):
    h = uploads()
    got = h.ask("/admin/m.git/info/lfs/objects/batch", "POST", body, h.admin_token)
    assert got.status == status and got.json["error"], got


def test_an_object_that_makes_no_sense_spoils_no_other(uploads):
    h, data = uploads(), noise(1000)
    got = batch(h, ("x", 1), (sha256(data), -1), (sha256(data).upper(), 1000), (sha256(data), 1000)).json["objects"]
    assert [o.get("error", {}).get("code") for o in got] == [422, 422, 422, None]
    assert "upload" in got[3]["actions"]


def half_put(h, path, data):
    """A connection on which half of the body was sent."""
    s = socket.create_connection(("127.0.0.1", h.port))
    s.sendall(f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{h.port}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:len(data) // 2])
    return s


def test_an_upload_that_breaks_off_leaves_nothing(uploads):
    h, data = uploads(), noise(8 * MIB)
    with half_put(h, link(h, data), data):
        assert eventually(lambda: incoming(h) and incoming(h)[0].stat().st_size > MIB, 10)
    assert eventually(lambda: not incoming(h), 10)
    assert not is_here(h, data)


def test_a_kill_in_the_middle_leaves_nothing_that_can_be_reached(uploads, hub, tmp_path):
    h, data = uploads(), noise(8 * MIB)
    path = link(h, data)
    with half_put(h, path, data):
        assert eventually(lambda: incoming(h) and incoming(h)[0].stat().st_size > MIB, 10)
        h.kill()
    assert incoming(h) and not blob(h, data).exists()
    again = uploads(data=h.data)
    assert not incoming(again) and not is_here(again, data)
    # The link is good still: the hub has its key.
    assert again.ask(path, "PUT", data).status == 200
    assert is_here(again, data)
    again.kill()
    assert is_here(uploads(data=h.data), data)


def test_the_same_may_come_from_many_at_once(uploads):
    h, data = uploads(), noise(4 * MIB)
    links = [link(h, data) for _ in range(6)]   # all before the first has sent it: then it would be there
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        got = [answer.status for answer in pool.map(lambda to: h.ask(to, "PUT", data), links)]
    assert got == [200] * 6
    assert is_here(h, data) and not incoming(h)


def in_parts(h, data):
    """Sends it as the hub's clients do, but for the last step: what that is to be asked with."""
    got = batch(h, (sha256(data), len(data))).json
    upload = got["objects"][0]["actions"]["upload"]
    size = int(upload["header"].pop("chunk_size"))
    assert got["transfer"] == "multipart" and sorted(upload["header"]) == [f"{i + 1:05}" for i in range(-(-len(data) // size))]
    parts = []
    for number in random.Random(3).sample(sorted(upload["header"]), len(upload["header"])):
        at = (int(number) - 1) * size
        answer = h.ask(upload["header"][number][len(h.url):], "PUT", data[at:at + size])
        assert answer.status == 200, answer
        parts.append({"partNumber": int(number), "etag": answer.headers["etag"]})
    return upload["href"][len(h.url):], {"oid": sha256(data), "parts": sorted(parts, key=lambda p: p["partNumber"])}, upload["header"]


def test_a_client_sends_a_file_in_parts(uploads, tmp_path):
    h, data = uploads(args=["--upload-part=5MiB"]), noise(11 * MIB + 5)
    (tmp_path / "w.bin").write_bytes(data)
    operation = CommitOperationAdd("w.bin", tmp_path / "w.bin")
    actions, errors, transfer = lfs.post_lfs_batch_info([operation.upload_info], h.admin_token, "model", "admin/m", endpoint=h.url)
    assert not errors and transfer == "multipart" and len(actions[0]["actions"]["upload"]["header"]) == 4
    lfs.lfs_upload(operation, actions[0], token=h.admin_token, endpoint=h.url)
    assert is_here(h, data) and not incoming(h)
    # The twins: one that is no larger than a part, and a client that knows nothing of parts.
    small = noise(5 * MIB)
    assert put(h, small).status == 200 and is_here(h, small)
    got = batch(h, (sha256(noise(11 * MIB)), 11 * MIB), transfers=["basic"]).json
    assert got["transfer"] == "basic" and "header" not in got["objects"][0]["actions"]["upload"]


def test_parts_that_are_missing_or_others_make_no_file(uploads):
    h, data = uploads(args=["--upload-part=1MiB"]), noise(3 * MIB)
    href, asked, links = in_parts(h, data)
    for wrong in ({"parts": asked["parts"][:2]}, {"parts": [*asked["parts"][:2], {"partNumber": 3, "etag": asked["parts"][0]["etag"]}]}, {}):
        got = h.ask(href, "POST", json.dumps(wrong))
        assert got.status == 400 and "part" in got.json["error"], got
    assert h.ask(href, "POST", "{").status == 400
    assert h.ask(links["00002"][len(h.url):], "PUT", data[:MIB - 1]).status == 400
    got = h.ask(links["00002"][len(h.url):], "PUT", data[:MIB])  # bytes of another part: only the whole tells
    asked["parts"][1]["etag"] = got.headers["etag"]
    got = h.ask(href, "POST", json.dumps(asked))
    assert got.status == 400 and "SHA-256" in got.json["error"], got
    assert not is_here(h, data) and not incoming(h)
    # The twin; and who asks twice hears the same.
    href, asked, _ = in_parts(h, data)
    assert [h.ask(href, "POST", json.dumps(asked)).status for _ in range(2)] == [200, 200]
    assert is_here(h, data) and not incoming(h)


def test_an_upload_takes_the_place_of_what_is_only_kept_for_speed(uploads, hub, tmp_path):
    hub.repo("org/big").commit({"w.bin": noise(40 * MIB, 7)})
    with small_disk(tmp_path / "disk", "96m") as disk:
        h, data = uploads(tmp=disk), noise(48 * MIB)
        assert len(h.ask("/org/big/resolve/main/w.bin").body) == 40 * MIB
        cached = h.data / "cache" / "blobs" / sha256(noise(40 * MIB, 7))[:2] / sha256(noise(40 * MIB, 7))
        assert cached.exists()
        got = batch(h, (sha256(data), 10 ** 12), transfers=["basic"]).json["objects"][0]["actions"]["upload"]["href"]
        with socket.create_connection(("127.0.0.1", h.port)) as s:
            s.sendall(f"PUT {got[len(h.url):]} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {10 ** 12}\r\n\r\n".encode())
            assert b" 507 " in s.recv(100)
        assert cached.exists()  # nothing goes in vain
        assert put(h, data).status == 200 and is_here(h, data) and not cached.exists()
        # The twin: what was uploaded has no place to give.
        more = put(h, noise(49 * MIB, 3))
        assert more.status == 507 and "no room on this hub's disk for 51380224 bytes" in more.json["error"], more
        assert is_here(h, data) and not incoming(h)
        h.stop()


def test_parts_outlive_a_kill(uploads):
    h, data = uploads(args=["--upload-part=1MiB"]), noise(3 * MIB)
    href, asked, links = in_parts(h, data)
    wrong = {"parts": [*asked["parts"][:2], {"partNumber": 3, "etag": asked["parts"][0]["etag"]}]}  # makes no file before that
    with half_put(h, links["00002"][len(h.url):], data[MIB:2 * MIB]):
        assert eventually(lambda: h.ask(href, "POST", json.dumps(wrong)).status == 503, 10)  # while one is coming
        h.kill()
    again = uploads(data=h.data, args=["--upload-part=1MiB"])
    assert not is_here(again, data)
    got = again.ask(href, "POST", json.dumps(asked))
    assert got.status == 400 and "part 2" in got.json["error"], got
    assert again.ask(links["00002"][len(h.url):], "PUT", data[MIB:2 * MIB]).status == 200
    assert again.ask(href, "POST", json.dumps(asked)).status == 200
    assert is_here(again, data) and not incoming(again)


def test_what_another_repository_has_is_not_given_away_by_its_id(uploads):
    h, data = uploads(), noise(1000)
    Repo(h, "admin/other", h.admin_token)
    assert put(h, data).status == 200 and is_here(h, data)
    body = {"operation": "upload", "objects": [{"oid": sha256(data), "size": 1000}]}
    got = h.ask("/admin/other.git/info/lfs/objects/batch", "POST", json.dumps(body), h.admin_token)
    assert "upload" in got.json["objects"][0]["actions"]
    got = h.ask("/admin/other.git/info/lfs/objects/batch", "POST", json.dumps({**body, "operation": "download"}), h.admin_token)
    assert got.json["objects"][0]["error"]["code"] == 404


def test_a_repository_of_another_hub_can_only_be_read(uploads, hub):
    hub.repo("org/theirs").commit({"config.json": b"{}"})
    h = uploads()
    for operation, status in ("upload", 403), ("download", 200):
        body = json.dumps({"operation": operation, "objects": [{"oid": sha256(b"x"), "size": 1}]})
        assert h.ask("/org/theirs.git/info/lfs/objects/batch", "POST", body, h.admin_token).status == status


def test_what_came_can_be_committed_and_is_read_from_where_it_lies(uploads):
    h, data = uploads(), noise(3 * MIB)
    repo = Repo(h, "admin/m", h.admin_token, make=False)
    assert repo.commit(lfs_line("w.bin", data)).status == 400  # before it came
    assert put(h, data).status == 200
    assert repo.commit(lfs_line("w.bin", data)).status == 200
    got = h.ask("/admin/m/resolve/main/w.bin")
    assert got.status == 200 and got.body == data and got.headers["etag"] == f'"{sha256(data)}"'
    assert is_here(h, data)                                      # also when the commit has it
    assert not list((h.data / "cache" / "blobs").rglob(sha256(data)))


def test_a_link_for_a_repository_that_went_brings_nothing(uploads):
    h, data = uploads(), noise(1000)
    path, repo = link(h, data), Repo(h, "admin/m", h.admin_token, make=False)
    assert repo.remove().status == 200
    assert h.ask(path, "PUT", data).headers["x-error-code"] == "RepoNotFound"
    repo.make()
    assert not is_here(h, data)
    assert h.ask(path, "PUT", data).status == 200 and is_here(h, data)


def test_who_takes_an_object_by_its_link_is_in_the_trail(uploads):
    h, data = uploads(), noise(100000)
    assert put(h, data).status == 200
    assert batch(h, (sha256(data), len(data)), operation="download").json["objects"][0]["error"]["code"] == 404  # in no commit yet
    assert Repo(h, "admin/m", h.admin_token, make=False).commit(lfs_line("w.bin", data)).status == 200
    path = link(h, data, "download")
    assert h.ask(path, "HEAD").headers["content-length"] == "100000"
    assert h.ask(path).body == data
    h.stop()
    records = [json.loads(line) for f in (h.data / "audit").glob("*.jsonl") for line in f.read_text().splitlines()]
    begun, = [r for r in records if r.get("kind") == "download"]
    assert (begun["user"], begun["token"], begun["repo"], begun["file"], begun["bytes"], begun["outcome"]) == (
        "admin", "admin.token", "models/admin/m", sha256(data), len(data), "done")
    assert not [r for r in records if "seal" in json.dumps(r)]


def test_many_large_files_have_few_links_each(uploads):
    """An answer is no larger for many files that claim to be huge than for one."""
    h = uploads(args=["--upload-part=1MiB"])
    lengths = []
    for count in 1, 200:
        got = batch(h, *((f"{i:064x}", 10 ** 12) for i in range(count)))
        uploads_ = [o["actions"]["upload"]["header"] for o in got.json["objects"]]
        for header in uploads_:
            assert (len(header) - 2) * int(header["chunk_size"]) < 10 ** 12 <= (len(header) - 1) * int(header["chunk_size"])
        lengths.append(sum(map(len, uploads_)))
    assert 5000 < lengths[0] <= 10001 and lengths[1] <= 10200


def test_a_link_outlives_no_right(uploads):
    h, data, more = uploads(), noise(1000), noise(1000, 2)
    assert h.ask("/api/admin/v1/users", "POST", '{"name": "ann"}', h.admin_token).status == 201
    made = h.ask("/api/admin/v1/tokens", "POST", '{"user": "ann", "name": "laptop", "role": "write"}', h.admin_token)
    repo = Repo(h, "ann/m", made.json["token"], visibility="private")
    assert repo.send(data) and repo.done(lfs_line("w.bin", data))

    def hrefs():
        found = []
        for some, operation in (data, "download"), (more, "upload"):
            got = repo.ask("/ann/m.git/info/lfs/objects/batch", "POST", operation=operation, objects=[{"oid": sha256(some), "size": 1000}])
            found.append(got.json["objects"][0]["actions"][operation]["href"][len(h.url):])
        return found
    get, send = hrefs()
    assert h.ask(get).body == data
    assert h.ask("/api/admin/v1/tokens/ann/laptop", "DELETE", None, h.admin_token).status in (200, 204)
    for got in h.ask(get), h.ask(send, "PUT", more):
        assert got.status == 403 and "may not do that now" in got.json["error"], got
    assert not (h.data / "own" / "blobs" / sha256(more)[:2] / sha256(more)).exists()
