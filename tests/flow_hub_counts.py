"""What a hot answer of matrixhubd costs: nothing asked upstream, no memory, no descriptor; and that it stays right for all that."""
import concurrent.futures
import contextlib
import gzip
import json
import os
import pathlib
import re

import pytest

import models
from mountlib import DEADLINE, eventually

MIB = 1 << 20
BIG = models.big_file(48 * MIB + 5, seed=901)
FILES = {"config.json": b"{}", "w.safetensors": BIG} | {f"dir {n % 5}/sub/file-{n}.json": b"%d" % n for n in range(60)}
INFO, TREE = "/api/models/org/tiny", "/api/models/org/tiny/tree/main?recursive=true"
WEIGHTS = "/org/tiny/resolve/main/w.safetensors"


def memory(h, key):
    return next(int(line.split()[1]) * 1024 for line in open(f"/proc/{h.process.pid}/status") if line.startswith(key + ":"))


def descriptors(h):
    targets = []
    for entry in pathlib.Path(f"/proc/{h.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):             # closed meanwhile
            targets.append(os.readlink(entry))
    return sorted(t for t in targets if t.startswith("/"))


def test_a_hot_question_is_asked_upstream_once(tiny, hubd):
    h = hubd(tiny)
    paths = INFO, INFO + "?blobs=true", TREE, "/api/models/org/tiny/refs", "/org/tiny/resolve/main/config.json"
    first = [h.ask(p).body for p in paths]
    tiny.clear_log()
    for _ in range(20):
        assert [h.ask(p).body for p in paths] == first
        assert h.ask(WEIGHTS, "HEAD").status == 200
    assert not tiny.requests()
    # The twin: when a branch is not believed for any time, each question asks for it, and only for that.
    h.stop()
    doubting = hubd(tiny, data=h.data, args=["--ref-ttl=0"])
    doubting.ask(TREE)
    tiny.clear_log()
    doubting.ask(TREE)
    assert len(tiny.requests(path_re="/revision/main")) == len(tiny.requests()) == 1


def test_a_hot_file_takes_no_memory_and_no_descriptor_stays(tiny, hubd):
    h = hubd(tiny)
    assert h.ask(WEIGHTS).body == BIG
    assert eventually(lambda: not any("/blobs/" in name for name in descriptors(h)), DEADLINE)  # who sent it lets go of it after the last byte
    open_before, peak = descriptors(h), memory(h, "VmHWM")
    tiny.clear_log()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        whole = pool.map(lambda _: h.ask(WEIGHTS).body == BIG, range(8))
        parts = pool.map(lambda n: h.ask(WEIGHTS, Range=f"bytes={n * MIB}-{n * MIB + 8 * MIB - 1}").body == BIG[n * MIB:(n + 8) * MIB], range(32))
        assert all(whole) and all(parts)
    assert memory(h, "VmHWM") - peak < len(BIG) / 4
    assert eventually(lambda: descriptors(h) == open_before, DEADLINE)
    assert not tiny.requests()


@pytest.mark.parametrize("path", [INFO, TREE])
def test_answers_are_packed_for_who_takes_that(tiny, hubd, path):
    h = hubd(tiny)
    plain, packed, best = (h.ask(path, **fields) for fields in ({}, {"Accept_Encoding": "deflate, gzip"}, {"Accept_Encoding": "gzip, zstd"}))
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert best.headers["content-encoding"] == "zstd" and best.body[:4] == b"\x28\xb5\x2f\xfd"
    assert len(packed.body) < len(plain.body) / 2 and len(best.body) < len(plain.body) / 2
    for got in plain, packed, best:
        assert got.headers["etag"] == plain.headers["etag"] and int(got.headers["content-length"]) == len(got.body)
    assert int(h.ask(path, "HEAD", Accept_Encoding="gzip").headers["content-length"]) == len(packed.body)
    assert "content-encoding" not in h.ask(path, Accept_Encoding="gzip;q=0").headers


def test_who_has_the_answer_is_not_sent_it_again_until_it_changes(tiny, hubd):
    h = hubd(tiny, args=["--ref-ttl=0"])
    tags = {path: h.ask(path).headers["etag"] for path in (INFO, TREE)}
    for path, tag in tags.items():
        got = h.ask(path, If_None_Match=f'"other", {tag}')
        assert got.status == 304 and got.body == b"" and got.headers["etag"] == tag
        assert h.ask(path, If_None_Match='"other"').status == 200
    h.stop()
    again = hubd(tiny, data=h.data, args=["--ref-ttl=0"])
    assert {path: again.ask(path).headers["etag"] for path in tags} == tags
    tiny.repo("org/tiny").commit({"config.json": b'{"new": true}'})
    for path, tag in tags.items():
        got = again.ask(path, If_None_Match=tag)
        assert got.status == 200 and got.headers["etag"] != tag and got.json


def test_a_page_made_for_one_client_names_the_next_as_each_reaches_us(tiny, hubd):
    h = hubd(tiny)
    page = TREE + "&limit=10"
    mine, other = h.ask(page), h.ask(page, X_Forwarded_Proto="https", X_Forwarded_Host="hub.example")
    links = [re.fullmatch(r'<(https?://[^/]+)/(.+)>; rel="next"', got.headers["link"]) for got in (mine, other)]
    assert links[0][1] == h.url and links[1][1] == "https://hub.example" and links[0][2] == links[1][2]
    items, pages = h.pages(page)
    assert pages == 8 and items == h.ask(TREE).json
    assert h.pages(page) == (items, pages)


def test_questions_that_look_alike_are_not_mixed_up(tiny, hubd):
    tiny.repo("org/odd").commit({"a?recursive=true/one.txt": b"1", "a/two.txt": b"2", "a/deep/three.txt": b"3"})
    h, tree = hubd(tiny), "/api/models/org/odd/tree/main"
    for _ in range(2):
        assert [i["path"] for i in h.ask(tree + "/a%3Frecursive=true").json] == ["a?recursive=true/one.txt"]
        assert {i["path"] for i in h.ask(tree + "/a?recursive=true").json} == {"a/two.txt", "a/deep", "a/deep/three.txt"}
        assert {i["path"] for i in h.ask(tree + "/a").json} == {"a/two.txt", "a/deep"}


def test_directories_have_one_id_wherever_they_are_told(tiny, hubd):
    h = hubd(tiny)
    told = {i["path"]: i["oid"] for i in h.ask(TREE).json if i["type"] == "directory"}
    assert len(told) == 10 and all(re.fullmatch("[0-9a-f]{40}", oid) for oid in told.values())
    again = h.ask("/api/models/org/tiny/paths-info/main", "POST", json.dumps({"paths": list(told)}), Content_Type="application/json").json
    assert {i["path"]: i["oid"] for i in again} == told
