"""What clients that read from matrixhubd may ask, to the letter; and what they get when the hub upstream is slow, busy, or
lists what must not be shown."""
import hashlib
import http.client
import json
import time
import urllib.parse

import pytest

import models
from hub import HOSTILE, Blob

MIB = 1 << 20
BIG = models.big_file(3 * MIB + 77, seed=910)
FILES = {"config.json": b'{"model_type": "bert"}', "sub/x.bin": b"x" * 70000, "w.safetensors": BIG}
BYTES = "GET .*/resolve/.*w.safetensors"
FILE = "/org/tiny/resolve/main/w.safetensors"


def head_of(hub, id="org/tiny", type="model"):
    return hub.repo(id, type).refs["refs/heads/main"]


# ---- conditions and ranges ----

def test_conditions_are_those_of_the_standard(tiny, hubd):
    h = hubd(tiny)
    etag = h.ask(FILE, "HEAD").headers["etag"]
    part = {"Range": "bytes=5-9"}
    assert h.ask(FILE, **part, If_Range=etag).status == 206
    for other in f"W/{etag}", "*", '"other"', etag.strip('"'), "Sat, 21 Nov 2026 19:00:00 GMT":
        got = h.ask(FILE, **part, If_Range=other)
        assert got.status == 200 and got.body == BIG, other
    for method in "GET", "HEAD":
        assert h.ask(FILE, method, If_Match=f'"x", {etag}').status == 200
        assert h.ask(FILE, method, If_Match="*").status == 200
        refused = h.ask(FILE, method, If_Match='"other"')
        assert refused.status == 412 and refused.headers["x-error-message"]
        assert h.ask(FILE, method, If_None_Match="*").status == 304
        for dated in "If_Unmodified_Since", "If_Modified_Since":    # a file has no date: they say nothing
            assert h.ask(FILE, method, **{dated: "Mon, 01 Jan 2001 00:00:00 GMT"}).status == 200


def test_a_pointer_has_a_tag_of_its_own(tiny, hubd):
    h = hubd(tiny)
    for name in "w.safetensors", "config.json":
        path = f"/org/tiny/raw/main/{name}"
        got = h.ask(path)
        etag = got.headers["etag"]
        assert etag == f'"{hashlib.sha1(b"blob %d%c" % (len(got.body), 0) + got.body).hexdigest()}"'
        assert h.ask(path, If_None_Match=etag).status == 304 and h.ask(path, "HEAD", If_None_Match=etag).status == 304
        assert h.ask(path, If_None_Match='"other"').body == got.body
        assert h.ask(path, If_Match='"other"').status == 412


@pytest.mark.parametrize("text, pieces", [
    ("bytes=5-99999999999999999999999", [(5, len(BIG))]), ("bytes=-99999999999999999999999", [(0, len(BIG))]),
    ("bytes=99999999999999999999999-", None), ("bytes=0-1,99999999999999999999999-", [(0, 2)]), ("bytes=,0-1, ,", [(0, 2)]),
    ("bytes=0-5,3-9", [(0, 10)]), ("bytes=0-5,8-9", [(0, 6), (8, 10)]), ("bytes=9-0", []), ("bytes=0-1;2-3", []),
    ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 60, 2)), [])])
def test_absurd_ranges_are_what_the_standard_makes_of_them(tiny, hubd, text, pieces):
    got = hubd(tiny).ask(FILE, Range=text)
    if pieces is None:
        assert got.status == 416 and got.headers["content-range"] == f"bytes */{len(BIG)}"
    elif not pieces:
        assert got.status == 200 and got.body == BIG
    elif len(pieces) == 1:
        assert got.status == 206 and got.body == BIG[slice(*pieces[0])]
    else:
        assert got.status == 206 and all(BIG[a:b] in got.body for a, b in pieces)


# ---- a slow hub upstream ----

def test_bytes_go_out_as_they_come_however_slowly(tiny, hubd):
    h = hubd(tiny)
    with tiny.fault(BYTES, "slow", rate=1000):
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", h.port, timeout=10)
        connection.request("GET", FILE)
        got = connection.getresponse()
        first = got.read1(100_000)
        assert time.monotonic() - began < 2 and got.status == 200 and 0 < len(first) < 3000
        again = got.read1(100_000)
        assert again and BIG.startswith(first + again) and time.monotonic() - began < 3
        connection.close()


def test_a_byte_in_the_middle_comes_as_slowly_as_it_does(tiny, hubd):
    h = hubd(tiny)
    with tiny.fault(BYTES, "slow", rate=1000):
        began = time.monotonic()
        got = h.ask(FILE, Range=f"bytes={MIB + 5}-{MIB + 6}")
        assert got.body == BIG[MIB + 5:MIB + 7] and time.monotonic() - began < 3


def test_the_last_byte_of_a_hundred_gigabytes_comes_at_once(hub, hubd, tmp_path):
    size = 100 * 10**9
    sparse = tmp_path / "huge"
    with open(sparse, "wb") as f:
        f.truncate(size)
        f.seek(size - 1)
        f.write(b"!")
    hub.repo("org/huge").commit({"w.safetensors": Blob(sparse, "w.safetensors", sha256="5" * 64)})
    h = hubd(hub)
    path = "/org/huge/resolve/main/w.safetensors"
    began = time.monotonic()
    assert int(h.ask(path, "HEAD").headers["content-length"]) == size
    got = h.ask(path, Range=f"bytes={size - 1}-")
    assert got.status == 206 and got.body == b"!" and got.headers["content-range"] == f"bytes {size - 1}-{size - 1}/{size}"
    assert time.monotonic() - began < 3 and hub.bytes_sent(path_re="safetensors") <= 2 * MIB


# ---- a busy one ----

def test_how_long_to_stay_away_is_passed_on(tiny, hubd):
    h = hubd(tiny, timeout=1)
    with tiny.fault(".*", "status", code=429, headers={"Retry-After": "70"}):
        for path in "/api/models/org/tiny", FILE:
            got = h.ask(path)
            assert got.status == 429 and 60 <= int(got.headers["retry-after"]) <= 70, got
    with tiny.fault(".*", "status", code=503):
        assert h.ask("/api/models/org/other").status == 502
    assert h.ask(FILE).body == BIG


# ---- names ----

def test_names_are_the_same_in_any_case_also_without_the_hub(tiny, hubd):
    h = hubd(tiny)
    assert h.ask(FILE).status == 200
    h.stop()
    for args, absent in (["--offline"], 401), (["--upstream=http://127.0.0.1:1"], 502):
        again = hubd((), data=h.data, args=args, timeout=2)
        for path in "/Org/TINY/resolve/main/w.safetensors", "/api/models/ORG/tiny":
            assert again.ask(path).status == 200
        assert again.ask("/api/models/ORG/tiny").json["id"] == "org/tiny"
        assert again.ask("/api/models/org/tinyy").status == absent
        again.stop()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_must_not_be_shown_keeps_no_other_away(tiny, hubd, name):
    h = hubd(tiny)
    with tiny.fault("/tree/", "tree_paths", paths=HOSTILE[name]):
        got = h.ask("/api/models/org/tiny/tree/main?recursive=true")
        if name in ("not_utf8", "surrogate"):   # then it is no JSON at all
            assert got.status == 502
            return
        assert got.status == 200 and {i["path"] for i in got.json} >= set(FILES)
        assert not any(p.startswith(("..", "/")) or len(p) > 300 or "\0" in p for p in (i["path"] for i in got.json))
        assert h.ask("/org/tiny/resolve/main/config.json").body == FILES["config.json"]
        assert h.logged("left out") or name in ("unknown_type", "file_and_directory")


# ---- what is asked for ----

@pytest.mark.parametrize("body", ["{", "[]", '["config.json"]', '"config.json"', "5", "null", "{}", '{"paths": [1]}', '{"paths": 5}', ""])
def test_a_body_that_is_not_what_it_should_be_is_refused(tiny, hubd, body):
    got = hubd(tiny).ask("/api/models/org/tiny/paths-info/main", "POST", body, Content_Type="application/json")
    assert got.status == 400 and got.json["error"] and got.headers["x-error-message"], got


@pytest.mark.parametrize("type", ["model", "dataset", "space"])
def test_last_commits_of_single_paths_are_the_upstreams(hub, hubd, type):
    repo = hub.repo("org/tiny", type)
    repo.commit(FILES | {"config.json": b"{}", "sub/deep/a b.txt": b"a"})
    repo.commit({"config.json": FILES["config.json"]})
    h = hubd(hub)
    path = f"/api/{type}s/org/tiny/paths-info/main"
    paths = ["config.json", "sub", "sub/x.bin", "w.safetensors", "sub/deep/a b.txt", "none", "sub/none"]

    def asked(expand, as_json=True, of=h):
        body = json.dumps({"paths": paths, "expand": expand}) if as_json else urllib.parse.urlencode({"paths": paths, "expand": expand}, doseq=True)
        got = of.ask(path, "POST", body, Content_Type="application/json" if as_json else "application/x-www-form-urlencoded")
        assert got.status == 200
        return {i["path"]: i for i in got.json}
    for as_json in True, False:
        items, plain = asked(True, as_json), asked(False, as_json)
        assert list(items) == list(plain) == paths[:5] and not any("lastCommit" in i for i in plain.values())
        assert items["config.json"]["lastCommit"]["id"] == head_of(hub, type=type)
        assert all(len(i["lastCommit"]["id"]) == 40 and i["lastCommit"]["date"].endswith("Z") for i in items.values())
        assert items["sub/x.bin"]["lastCommit"] == items["sub"]["lastCommit"] != items["config.json"]["lastCommit"]
        assert {k: v for k, v in items["w.safetensors"].items() if k in plain["w.safetensors"]} == plain["w.safetensors"]
    h.stop()
    assert asked(True, of=hubd((), data=h.data, args=["--offline"])) == items


def test_without_the_upstream_paths_are_told_as_they_are_known(tiny, hubd):
    h = hubd(tiny)
    assert h.ask(FILE, "HEAD").status == 200
    tiny.down()
    got = h.ask("/api/models/org/tiny/paths-info/main", "POST", "paths=config.json&expand=True", Content_Type="application/x-www-form-urlencoded")
    assert got.status == 200 and [i["path"] for i in got.json] == ["config.json"] and "lastCommit" not in got.json[0]


def test_what_upstream_shows_to_nobody_is_told_at_the_check(hub, hubd):
    for id in "org/open", "org/gated":
        hub.repo(id).commit(FILES)
    hub.repo("org/gated").gated = "manual"
    h = hubd(hub)
    assert h.ask("/api/models/org/open/auth-check").status == 200
    assert h.ask("/org/open/resolve/main/config.json", "HEAD").status == 200 and not hub.requests(path_re="/org/open/resolve/")
    for token, status in (None, 401), (h.admin_token, 403):
        refused = h.ask("/api/models/org/gated/auth-check", token=token)
        assert refused.status == status and refused.headers["x-error-code"] == "GatedRepo", refused
        for method in "HEAD", "GET":
            refused = h.ask("/org/gated/resolve/main/config.json", method, token=token)
            assert refused.status == status and refused.headers["x-error-code"] == "GatedRepo", (method, refused)
        assert h.ask("/api/models/org/gated", token=token).json["gated"] == "manual"


@pytest.mark.parametrize("path", ["/api/models/a--b/c", "/a--b/c/resolve/main/x", "/api/datasets/org/caf%C3%A9", "/datasets/org/caf%C3%A9/resolve/main/x",
                                  "/api/kernels/org/tiny", "/kernels/org/tiny/resolve/main/x", f"/api/models/org/{'x' * 97}", "/api/models/org/a.git/tree/main",
                                  "/spaces/../x/raw/main/y"])
def test_what_can_be_no_repository_is_none(tiny, hubd, path):
    """A 404 that names no error is for clients a hub that is down."""
    h = hubd(tiny)
    for method in "GET", "HEAD":
        for token, status in (None, 401), (h.admin_token, 404):
            got = h.ask(path, method, token=token)
            assert got.status == status and got.headers["x-error-code"] == "RepoNotFound" and got.headers["x-error-message"] == "Repository not found", got
    assert "x-error-code" not in h.ask("/api/models/org/tiny/no-such-thing").headers and not tiny.requests(path_re="a--b|kernels")
