"""The test rig itself: the scripted hub answers as the contract says, each fault happens, real clients believe it."""
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time
import types
from urllib.parse import urlsplit

import pytest

import models
from hub import HOSTILE, KINDS, Hub

BIG = models.big_file(300_000, seed=7)
SMALL = b'{"model_type": "bert"}'
FILE = "/org/tiny/resolve/main/model.safetensors"
JSON = "/api/models/org/tiny/tree/main"


@pytest.fixture(params=["memory", "disk"])
def hub(request, tmp_path):
    (tmp_path / "big").write_bytes(BIG)
    with Hub() as hub:
        hub.repo("org/tiny").commit({
            "config.json": SMALL, "model.safetensors": tmp_path / "big" if request.param == "disk" else BIG,
            "sub/dir/x": b"x", "empty": b""}, date="2024-01-02T03:04:05.000Z")
        yield hub


def ask(url, target, method="GET", headers=(), body=None, timeout=5):
    """One request by http.client: status, headers, body; what went wrong on the way is raised."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
    try:
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        return types.SimpleNamespace(status=answer.status, headers=answer.headers, body=answer.read())
    finally:
        connection.close()


def ranged(first, last):
    return {"Range": f"bytes={first}-{last}"}


# ---- the contract ----

def test_file_whole_and_in_ranges(hub):
    commit = hub.repo("org/tiny").refs["refs/heads/main"]
    head, whole = ask(hub.url, FILE, "HEAD"), ask(hub.url, FILE)
    assert head.status == whole.status == 200 and head.body == b"" and whole.body == BIG
    sha256 = hashlib.sha256(BIG).hexdigest()
    for answer in head, whole:
        h = answer.headers
        assert h["Content-Length"] == h["X-Linked-Size"] == str(len(BIG)) and h["Accept-Ranges"] == "bytes"
        assert h["ETag"] == h["X-Linked-Etag"] == f'"{sha256}"' and h["X-Repo-Commit"] == commit and h["X-Request-Id"]
    part = ask(hub.url, FILE, headers=ranged(1000, 1999))
    assert (part.status, part.body) == (206, BIG[1000:2000]) and part.headers["Content-Range"] == f"bytes 1000-1999/{len(BIG)}"
    assert ask(hub.url, FILE, headers={"Range": "bytes=299990-"}).body == BIG[-10:]
    assert ask(hub.url, FILE, headers={"Range": "bytes=-5"}).body == BIG[-5:]
    assert ask(hub.url, FILE, headers=ranged(300_000, 300_001)).status == 416
    assert ask(hub.url, FILE, headers=ranged(0, 9) | {"If-Range": '"other"'}).body == BIG
    assert ask(hub.url, "/org/tiny/resolve/main/empty", headers=ranged(0, 0)).status == 200


def test_ids_are_those_of_git(hub, tmp_path):
    def git(*words, data=None):
        return subprocess.run(["git", *words], cwd=tmp_path, input=data, capture_output=True, check=True).stdout.decode().strip()
    repo = hub.repo("org/tiny")
    git("init", "-q", ".")
    for path, blob in repo.find("main").files.items():
        models.write({path: blob.pointer or blob.read(0, blob.size)}, tmp_path)
    git("add", *repo.find("main").files)
    who = {f"GIT_{w}_{k}": v for w in ("AUTHOR", "COMMITTER")
           for k, v in (("NAME", "tests"), ("EMAIL", "tests@example.org"), ("DATE", "1704164645 +0000"))}
    os.environ.update(who)
    made = git("commit-tree", git("write-tree"), data=b"initial commit\n")
    for name in who:
        del os.environ[name]
    assert made == repo.refs["refs/heads/main"]
    assert ask(hub.url, "/org/tiny/resolve/main/config.json", "HEAD").headers["ETag"] == f'"{git("hash-object", "config.json")}"'


def test_info_tree_refs_commits(hub):
    repo = hub.repo("org/tiny")
    first = repo.refs["refs/heads/main"]
    second = repo.commit({"config.json": b"{}", "empty": None}, date="2024-02-01T00:00:00.000Z")
    repo.branch("dev", first), repo.tag("v1", first), repo.pr(1, first)
    info = json.loads(ask(hub.url, "/api/models/org/tiny?blobs=true").body)
    assert (info["id"], info["sha"], info["lastModified"]) == ("org/tiny", second, "2024-02-01T00:00:00.000Z")
    assert [s["rfilename"] for s in info["siblings"]] == ["config.json", "model.safetensors", "sub/dir/x"]
    assert info["siblings"][1]["lfs"]["sha256"] == hashlib.sha256(BIG).hexdigest() and "xetHash" not in json.dumps(info)
    for revision in "dev", "v1", "refs%2Fpr%2F1", "refs/pr/1", first, first[:7]:
        assert json.loads(ask(hub.url, f"/api/models/org/tiny/revision/{revision}").body)["sha"] == first
        assert [i["path"] for i in json.loads(ask(hub.url, f"/api/models/org/tiny/tree/{revision}/sub").body)] == ["sub/dir"]
        assert ask(hub.url, f"/org/tiny/resolve/{revision}/sub%2Fdir/x").body == b"x"
    tree = json.loads(ask(hub.url, f"{JSON}?recursive=true").body)
    assert [(i["type"], i["path"]) for i in tree] == [("directory", "sub"), ("file", "config.json"), ("file", "model.safetensors"),
                                                      ("directory", "sub/dir"), ("file", "sub/dir/x")]
    info = ask(hub.url, "/api/models/org/tiny/paths-info/main", "POST", {"Content-Type": "application/json"},
               json.dumps({"paths": ["sub", "none", "config.json"], "expand": True}))
    assert [(i["path"], i["lastCommit"]["id"]) for i in json.loads(info.body)] == [("sub", first), ("config.json", second)]
    form = ask(hub.url, "/api/models/org/tiny/paths-info/main", "POST",
               {"Content-Type": "application/x-www-form-urlencoded"}, "paths=sub%2Fdir%2Fx&paths=empty&expand=false")
    assert [i["path"] for i in json.loads(form.body)] == ["sub/dir/x"]
    refs = json.loads(ask(hub.url, "/api/models/org/tiny/refs?include_prs=1").body)
    assert refs == {"branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": second},
                                 {"name": "dev", "ref": "refs/heads/dev", "targetCommit": first}], "converts": [],
                    "tags": [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": first}],
                    "pullRequests": [{"name": "1", "ref": "refs/pr/1", "targetCommit": first}]}
    commits = ask(hub.url, "/api/models/org/tiny/commits/main?limit=1")
    assert [c["id"] for c in json.loads(commits.body)] == [second] and commits.headers["x-total-count"] == "2"
    assert 'rel="next"' in commits.headers["Link"]
    assert [m["id"] for m in json.loads(ask(hub.url, "/api/models?search=TIN").body)] == ["org/tiny"]
    assert set(json.loads(ask(hub.url, "/api/models/org/tiny?expand=sha&expand=gated").body)) == {"_id", "id", "sha", "gated"}


def test_pages_follow_the_host_of_the_client(hub):
    hub.page_size = 3
    hub.repo("data/set", type="dataset").commit({f"d/{n:03}": b"x" for n in range(8)})
    url, seen = f"http://localhost:{hub.port}/api/datasets/data/set/tree/main?recursive=true", []
    while url:
        where = urlsplit(url)
        assert where.netloc == f"localhost:{hub.port}"
        answer = ask(hub.url, f"{where.path}?{where.query}", headers={"Host": where.netloc})
        seen += [i["path"] for i in json.loads(answer.body)]
        url = answer.headers["Link"] and answer.headers["Link"].split(">")[0][1:]
    assert seen == ["d"] + [f"d/{n:03}" for n in range(8)] and len(hub.requests(path_re="/tree/")) == 3


def test_names_of_any_byte(hub):
    names = ["a b?%:,#.txt", "ä/ü", "quote\".txt", os.fsdecode(b"raw\xff\xfe")]
    hub.repo("org/odd").commit({n: n.encode("utf-8", "surrogateescape") for n in names})
    tree = json.loads(ask(hub.url, "/api/models/org/odd/tree/main?recursive=1").body.decode("utf-8", "surrogateescape"))
    assert {i["path"] for i in tree if i["type"] == "file"} == set(names)
    from urllib.parse import quote
    for name in names:
        assert ask(hub.url, "/org/odd/resolve/main/" + quote(os.fsencode(name), safe="")).body == os.fsencode(name)


@pytest.mark.parametrize("target, status, code", [
    ("/org/tiny/resolve/main/none", 404, "EntryNotFound"), ("/org/tiny/resolve/none/config.json", 404, "RevisionNotFound"),
    ("/api/models/org/tiny/tree/main/none", 404, "EntryNotFound"), ("/api/models/org/tiny/revision/none", 404, "RevisionNotFound"),
    ("/api/models/org/none", 401, "RepoNotFound"), ("/org/none/resolve/main/x", 401, "RepoNotFound"),
    ("/api/kernels/org/tiny", 401, "RepoNotFound"), ("/api/whoami-v2", 401, None), ("/api/agent-harnesses", 404, None),
    ("/api/models/org/tiny?expand=nonsense", 400, None)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_refusals(hub, target, status, code, method):
    answer = ask(hub.url, target, method)
    assert (answer.status, answer.headers["X-Error-Code"]) == (status, code)
    assert method == "HEAD" or json.loads(answer.body)["error"]
    assert bool(answer.headers["X-Repo-Commit"]) == (target == "/org/tiny/resolve/main/none")


def test_who_may_see_what(hub):
    own, foreign = [{"Authorization": f"Bearer {hub.token(*t)}"} for t in (("hf_own", "me"), ("hf_foreign", "other", []))]
    for name, kw in {"secret": {"private": True}, "gate": {"gated": "manual"}, "off": {"disabled": True}}.items():
        hub.repo(f"org/{name}", **kw).commit({"f": b"f"})

    def see(name, headers=()):
        answers = [ask(hub.url, t, headers=headers) for t in (f"/api/models/org/{name}", f"/org/{name}/resolve/main/f")]
        return [(a.status, a.headers["X-Error-Code"]) for a in answers]
    fine = (200, None)
    assert see("secret") == [(401, "RepoNotFound")] * 2 and see("secret", foreign) == [(404, "RepoNotFound")] * 2
    assert see("secret", own) == see("gate", own) == [fine, fine]
    assert see("gate") == see("gate", foreign) == [fine, (403, "GatedRepo")]
    assert see("off", own) == [(403, None)] * 2
    assert ask(hub.url, "/api/models/org/off").headers["X-Error-Message"] == "Access to this resource is disabled."
    bad = ask(hub.url, FILE, headers={"Authorization": "Bearer hf_bad"})
    assert bad.status == 401 and bad.headers["X-Error-Message"] == "Invalid credentials in Authorization header"
    assert json.loads(ask(hub.url, "/api/whoami-v2", headers=own).body)["name"] == "me"
    assert [q.has_auth for q in hub.requests()[-2:]] == [True, True]


def test_renamed_and_other_spelling(hub):
    hub.repo("org/tiny").rename("org/new")
    for old in "org/tiny", "ORG/New":
        answer = ask(hub.url, f"/api/models/{old}/tree/main?recursive=true")
        assert (answer.status, answer.headers["Location"]) == (307, "/api/models/org/new/tree/main?recursive=true")
    assert ask(hub.url, FILE).headers["Location"] == "/org/new/resolve/main/model.safetensors"


def test_down_and_up_on_the_same_port(hub):
    port = hub.port
    idle = http.client.HTTPConnection("127.0.0.1", port)
    idle.request("GET", JSON)
    idle.getresponse().read()
    hub.down()
    with pytest.raises(OSError):
        idle.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert idle.sock.recv(1) == b""
        raise ConnectionResetError
    with pytest.raises(ConnectionRefusedError):
        ask(hub.url, JSON)
    hub.up()
    assert hub.port == port and ask(hub.url, FILE).body == BIG


def test_answers_that_the_end_of_the_hub_cuts_say_so(hub):
    hub.rate(100_000)
    timer = threading.Timer(0.3, hub.down)
    timer.start()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        whole(hub)
    timer.join()
    cut, = hub.requests()
    assert cut.fault == "down" and 0 < cut.bytes_sent < len(BIG)
    hub.rate(None)
    hub.up()
    hub.clear_log()
    assert whole(hub).body == BIG and hub.requests()[0].fault is None


def test_latency_and_rate(hub):
    hub.latency(0.2)
    begun = time.monotonic()
    ask(hub.url, JSON)
    assert time.monotonic() - begun >= 0.2
    hub.latency(0)
    hub.rate(1_000_000)
    begun = time.monotonic()
    assert ask(hub.url, FILE).body == BIG and 0.25 <= time.monotonic() - begun < 3


def test_log(hub):
    ask(hub.url, FILE + "?x=1", headers=ranged(0, 99) | {"User-Agent": "matrixfs/1"})
    ask(hub.url, FILE, "HEAD")
    one, = hub.requests(ua="matrixfs", path_re="safetensors$")
    assert (one.method, one.path, one.query, one.range, one.status, one.bytes_sent, one.fault, one.on) == (
        "GET", FILE, "x=1", "bytes=0-99", 206, 100, None, "hub")
    assert hub.bytes_sent(path_re="resolve") == 100 and abs(one.time - time.time()) < 60
    hub.clear_log()
    assert hub.requests() == []


# ---- the other origin ----

def test_cdn():
    with Hub(cdn=True) as hub:
        hub.token("hf_x")
        hub.repo("org/tiny").commit({"model.safetensors": BIG, "config.json": SMALL})
        for method in "HEAD", "GET":
            answer = ask(hub.url, FILE, method)
            h = answer.headers
            assert answer.status == 302 and h["X-Linked-Etag"] == f'"{hashlib.sha256(BIG).hexdigest()}"'
            assert h["X-Linked-Size"] == str(len(BIG)) and h["X-Repo-Commit"] and h["Location"].startswith(hub.cdn.url + "/")
        assert ask(hub.url, "/org/tiny/resolve/main/config.json").body == SMALL
        target = h["Location"].removeprefix(hub.cdn.url)
        part = ask(hub.cdn.url, target, headers=ranged(5, 9))
        assert (part.status, part.body) == (206, BIG[5:10]) and part.headers["ETag"] != h["X-Linked-Etag"]
        assert ask(hub.cdn.url, target, headers={"Authorization": "Bearer hf_x"}).status == 400
        assert [q.has_auth for q in hub.requests(on="cdn")] == [False, True]
        assert ask(hub.cdn.url, target.replace("Signature=", "Signature=0")).status == 403
        hub.revoke_links()
        assert ask(hub.cdn.url, target).status == 403
        hub.cdn_ttl = -1
        expired = ask(hub.url, FILE).headers["Location"].removeprefix(hub.cdn.url)
        assert ask(hub.cdn.url, expired).status == 403
    with Hub(cdn="http://cdn.example/files/") as hub:
        hub.repo("org/tiny").commit({"model.safetensors": BIG})
        assert ask(hub.url, FILE).headers["Location"].startswith(
            f"http://cdn.example/files/{hashlib.sha256(BIG).hexdigest()}?Expires=")


def test_tls(tmp_path):
    pair = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
    with Hub(tls=pair) as hub:
        hub.repo("org/tiny").commit({"model.safetensors": BIG})

        def fetch(context):
            connection = http.client.HTTPSConnection("127.0.0.1", hub.port, timeout=5, context=context)
            connection.request("GET", FILE)
            return connection.getresponse().read()
        assert hub.url.startswith("https://") and fetch(ssl.create_default_context(cafile=pair[0])) == BIG
        with pytest.raises(ssl.SSLCertVerificationError):
            fetch(ssl.create_default_context())
        assert len(hub.requests()) == 1


# ---- faults, each with its twin: the next request is right ----

def whole(hub):
    return ask(hub.url, FILE)


def part(hub):
    return ask(hub.url, FILE, headers=ranged(1000, 1999))


def tree(hub):
    return ask(hub.url, JSON)


def raises(what, request):
    def check(hub):
        with pytest.raises(what) as caught:
            request(hub)
        return caught.value
    return check


def hangs(hub):
    with pytest.raises(TimeoutError):
        ask(hub.url, FILE, timeout=0.3)


def hangs_in_body(hub):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=0.3)
    connection.request("GET", FILE)
    answer = connection.getresponse()
    assert answer.read(5000) == BIG[:5000]
    with pytest.raises(TimeoutError):
        answer.read(1)
    connection.close()


def resets_after(hub):
    raw = socket.create_connection(("127.0.0.1", hub.port), 5)
    raw.sendall(f"GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    got = b""
    with pytest.raises(ConnectionResetError):
        while piece := raw.recv(65536):
            got += piece
    assert len(got.partition(b"\r\n\r\n")[2]) == 5000


def slowly(seconds, request):
    def check(hub):
        begun = time.monotonic()
        assert request(hub).body in (BIG, BIG[1000:2000])
        assert time.monotonic() - begun >= seconds
    return check


def flipped(body, at, count=1, xor=0xFF):
    body = bytearray(body)
    for n in range(at, at + count):
        body[n] ^= xor
    return bytes(body)


def get(request, **wanted):
    """The request is answered as `wanted`: status, body, and headers with - written _."""
    def check(hub):
        answer = request(hub)
        for name, value in wanted.items():
            seen = {"status": answer.status, "body": answer.body}.get(name, answer.headers[name.replace("_", "-")])
            assert seen == value, name
    return check


def excess(hub):
    raw = socket.create_connection(("127.0.0.1", hub.port), 5)
    raw.sendall(f"GET {FILE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=0-9\r\n\r\n".encode())
    got = b"".join(iter(lambda: raw.recv(65536), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"Content-Length: 10\r\n" in head and body == BIG[:10] + b"\xee" * 16


def sizes_lie(hub):
    items = {i["path"]: i for i in json.loads(tree(hub).body)}
    assert items["model.safetensors"]["size"] == items["model.safetensors"]["lfs"]["size"] == len(BIG) + 7
    assert ask(hub.url, FILE, "HEAD").headers["Content-Length"] == str(len(BIG) + 7)
    assert part(hub).headers["Content-Range"] == f"bytes 1000-1999/{len(BIG) + 7}"
    assert len(raises(http.client.IncompleteRead, whole)(hub).partial) == len(BIG)


def etags(hub):
    assert len({part(hub).headers["ETag"] for _ in range(3)}) == 3


def loops(hub):
    assert tree(hub).headers["Link"] == f'<{hub.url}{JSON}>; rel="next"'


def hostile(hub):
    items = json.loads(tree(hub).body.decode("utf-8", "surrogateescape"))
    assert [i["path"] for i in items][-3:] == ["../x", os.fsdecode(b"\xff"), "d"] and items[-1]["type"] == "directory"


def many(hub):
    assert len(json.loads(tree(hub).body)) == 1004


FAULTS = [
    ("status", {"code": 503, "retry_after": 3}, get(whole, status=503, Retry_After="3", ETag=None)),
    ("status", {"code": 429, "headers": {"RateLimit": '"api";r=0;t=55'}}, get(part, status=429, RateLimit='"api";r=0;t=55')),
    ("status", {"code": 403, "error_code": "GatedRepo"}, get(tree, status=403, X_Error_Code="GatedRepo")),
    ("hang", {}, hangs),
    ("hang_body", {"after_bytes": 5000}, hangs_in_body),
    ("cut_body", {"after_bytes": 5000}, raises(http.client.IncompleteRead, whole)),
    ("reset", {}, raises(ConnectionResetError, whole)),
    ("reset", {"after_bytes": 5000}, resets_after),
    ("drop", {}, raises(http.client.RemoteDisconnected, whole)),
    ("delay", {"seconds": 0.3}, slowly(0.3, part)),
    ("slow", {"rate": 1_000_000}, slowly(0.25, whole)),
    ("slow_headers", {"seconds": 0.3}, slowly(0.3, part)),
    ("garbage", {}, raises(http.client.BadStatusLine, whole)),
    ("huge_header", {}, raises(http.client.LineTooLong, whole)),
    ("html", {}, get(whole, status=200, Content_Type="text/html; charset=utf-8", ETag=None, X_Repo_Commit=None)),
    ("truncated_json", {}, lambda hub: raises(json.JSONDecodeError, lambda hub: json.loads(tree(hub).body))(hub)),
    ("bad_json", {"text": "[1, 2"}, get(tree, status=200, body=b"[1, 2")),
    ("wrong_bytes", {}, get(part, status=206, body=flipped(BIG[1000:2000], 0))),
    ("wrong_bytes", {"offset": 1998, "count": 10, "xor": 1}, get(part, body=flipped(BIG[1000:2000], 998, 2, 1))),
    ("wrong_bytes", {"offset": 100_000}, get(whole, body=flipped(BIG, 100_000))),
    ("wrong_etag", {"value": "f" * 64}, get(part, ETag='"' + "f" * 64 + '"', X_Linked_Etag='"' + "f" * 64 + '"')),
    ("etag_changes", {}, etags),
    ("ignore_range", {}, get(part, status=200, body=BIG, Content_Range=None)),
    ("wrong_content_range", {"shift": 4096}, get(part, body=BIG[1000:2000], Content_Range="bytes 5096-6095/300000")),
    ("wrong_content_range", {"total": -1}, get(part, Content_Range="bytes 1000-1999/299999")),
    ("wrong_content_range", {"text": "bytes nonsense"}, get(part, Content_Range="bytes nonsense")),
    ("size_lies", {"delta": 7}, sizes_lie),
    ("size_lies", {"delta": -7}, get(whole, status=200, body=BIG[:-7])),
    ("gzip", {}, get(part, Content_Encoding="gzip", body=gzip.compress(BIG[1000:2000], 1, mtime=0))),
    ("redirect_loop", {}, get(whole, status=302, Location=FILE)),
    ("redirect_to", {"url": "http://other.example{target}"}, get(whole, status=302, Location="http://other.example" + FILE)),
    ("no_content_length", {}, get(whole, Content_Length=None, Transfer_Encoding="chunked", body=BIG)),
    ("no_content_length", {"how": "close"}, get(whole, Content_Length=None, Transfer_Encoding=None, body=BIG)),
    ("empty_body", {}, get(part, status=206, body=b"", Content_Length="0")),
    ("extra_bytes", {}, get(part, status=206, Content_Length="1016", body=BIG[1000:2000] + b"\xee" * 16)),
    ("extra_bytes", {"claimed": False}, excess),
    ("tree_paths", {"paths": ["../x", b"\xff", {"path": "d", "type": "directory"}]}, hostile),
    ("link_loop", {}, loops),
    ("huge_page", {"items": 1000}, many),
]


@pytest.mark.parametrize("kind, args, happens", FAULTS, ids=[f"{k}-{','.join(map(str, a))}" for k, a, _ in FAULTS])
def test_fault_and_its_twin(hub, kind, args, happens):
    with hub.fault(r".", kind, **args) as fault:
        happens(hub)
        assert fault.hits > 0 and hub.requests()[0].fault == kind
    hub.clear_log()
    assert whole(hub).body == BIG and part(hub).body == BIG[1000:2000]
    assert [i["path"] for i in json.loads(tree(hub).body)] == ["sub", "config.json", "empty", "model.safetensors"]
    assert [q.fault for q in hub.requests()] == [None] * 3


def test_every_kind_is_tested():
    assert {kind for kind, _, _ in FAULTS} == set(KINDS)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_trees_arrive_raw(hub, name):
    with hub.fault("/tree/", "tree_paths", paths=HOSTILE[name], alone=True):
        raw = tree(hub).body
    assert len(json.loads(raw.decode("utf-8", "surrogateescape"))) == len(HOSTILE[name])
    assert all(p in raw for p in HOSTILE[name] if isinstance(p, bytes))


def test_times_after_and_which(hub):
    fault = hub.fault("GET .*/resolve/", "status", times=2, after=1, ua="matrixfs")
    seen = [ask(hub.url, FILE, headers={"User-Agent": ua}).status for ua in ("curl", "matrixfs", "matrixfs", "curl", "matrixfs", "matrixfs")]
    assert seen == [200, 200, 503, 200, 503, 200] and fault.hits == 2
    with hub.fault(".", "wrong_bytes", offset=200_000, times=1) as fault:
        assert part(hub).body == BIG[1000:2000] and fault.hits == 0 and hub.requests()[-1].fault is None
        assert whole(hub).body == flipped(BIG, 200_000) and fault.hits == 1
    with pytest.raises(ValueError):
        hub.fault(".", "nonsense")
    with pytest.raises(TypeError):
        hub.fault(".", "slow", speed=1)


def test_what_hangs_goes_on_when_released(hub):
    fault = hub.fault(".", "hang_body", after_bytes=10, times=1)
    threading.Timer(0.2, fault.release).start()
    assert whole(hub).body == BIG


def test_no_thread_stays(hub):
    hub.fault(".", "hang")
    for _ in range(20):
        with pytest.raises(TimeoutError):
            ask(hub.url, FILE, timeout=0.01)
    until = time.monotonic() + 3
    while hub.server.connections and time.monotonic() < until:
        time.sleep(0.01)
    assert not hub.server.connections


# ---- the models ----

def test_models_are_the_same_everywhere():
    digest = hashlib.sha256()
    for files in models.tiny_model(), models.sharded_model(mb=1), models.dataset(3), {"big": models.big_file(3_000_000, 5)}:
        for name, data in sorted(files.items()):
            digest.update(name.encode() + data)
    assert digest.hexdigest() == "5eafe628e0b1ed79f9fbd9dc1e2cbeabe457d7ed60d0cfb28588f019968b5ffd"


def test_models_are_what_safetensors_writes():
    numpy = pytest.importorskip("safetensors.numpy")
    for data in models.tiny_model()["model.safetensors"], models.sharded_model(mb=1)["model-00002-of-00002.safetensors"]:
        assert numpy.save(numpy.load(data), {"format": "pt"}) == data


# ---- real clients ----

@pytest.fixture(params=["direct", "cdn"])
def model_hub(request):
    with Hub(cdn=request.param == "cdn") as hub:
        hub.page_size = 3
        hub.token("hf_secret")
        hub.repo("org/bert", private=True).commit(models.tiny_model())
        yield hub


def python_with(module):
    """A Python that has the module: this one, or one of the virtual environments beside it."""
    for python in (pathlib.Path(sys.executable), *sorted(pathlib.Path(sys.prefix).parent.glob("*/bin/python"))):
        if subprocess.run([python, "-c", f"import importlib.util as u; exit(not u.find_spec({module!r}))"]).returncode == 0:
            return python
    pytest.skip(f"no Python with {module}")


def client(hub, home, module, script):
    env = {"HF_HOME": str(home), "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS_")) and "proxy" not in k.lower()}
    done = subprocess.run([python_with(module), "-c", script], env=kept | env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_huggingface_hub_downloads(model_hub, tmp_path):
    out = client(model_hub, tmp_path, "huggingface_hub", """
import json
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
one = hf_hub_download("org/bert", "model.safetensors")
print(json.dumps([one, snapshot_download("org/bert"), [f.path for f in HfApi().list_repo_tree("org/bert")]]))
""")
    one, snapshot, paths = json.loads(out)
    files = models.tiny_model()
    assert {p: pathlib.Path(snapshot, p).read_bytes() for p in paths} == files
    weights = files["model.safetensors"]
    assert pathlib.Path(one).read_bytes() == weights and pathlib.Path(one).resolve().name == hashlib.sha256(weights).hexdigest()
    assert all(q.has_auth for q in model_hub.requests(on="hub", path_re="org/bert"))
    if model_hub.cdn:
        cdn = model_hub.requests(on="cdn")
        assert cdn and not any(q.has_auth for q in cdn) and {q.status for q in cdn} <= {200, 206}


def test_transformers_loads(model_hub, tmp_path):
    out = client(model_hub, tmp_path, "transformers", """
from transformers import AutoConfig, AutoTokenizer
print(AutoConfig.from_pretrained("org/bert").hidden_size, AutoTokenizer.from_pretrained("org/bert").tokenize("The model reads a tree."))
""")
    assert out.split("\n")[0] == "128 ['the', 'model', 'read', '##s', 'a', 'tree', '.']"


# ---- the program ----

def test_program(tmp_path):
    models.write(models.dataset(3), tmp_path / "set")
    models.write({"w.bin": BIG}, tmp_path / "model")
    (tmp_path / "blobs").mkdir()
    program = subprocess.Popen([
        sys.executable, pathlib.Path(__file__).with_name("hub.py"), "--repo", f"datasets/o/set={tmp_path}/set",
        "--repo", f"o/model={tmp_path}/model", "--log", tmp_path / "log", "--ready-file", tmp_path / "ready",
        "--blobs", tmp_path / "blobs", "--latency", "0.01"], stdout=subprocess.PIPE)
    try:
        while not (tmp_path / "ready").exists():
            assert program.poll() is None
            time.sleep(0.02)
        url = (tmp_path / "ready").read_text().strip()
        assert ask(url, "/o/model/resolve/main/w.bin").body == BIG
        assert ask(url, "/datasets/o/set/resolve/main/README.md").body == models.dataset(3)["README.md"]
        assert (tmp_path / "blobs" / hashlib.sha256(BIG).hexdigest()).read_bytes() == BIG
        # A request is written down when it has ended, which may be after its last byte has come.
        while (tmp_path / "log").read_text().count("\n") < 2:
            time.sleep(0.02)
    finally:
        program.terminate()
        assert program.wait(5) == 0
    assert [json.loads(line)["status"] for line in open(tmp_path / "log")] == [200, 200]
