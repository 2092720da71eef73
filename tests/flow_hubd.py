"""matrixhubd in front of a scripted hub: what clients ask of it, what it asks of the hub, and what it does without."""
import concurrent.futures
import hashlib
import http.client
import re
import socket
import subprocess
import time

import pytest

import models
from hubd import HUBD
from mountlib import eventually

MIB = 1 << 20
BIG = models.big_file(24 * MIB + 77, seed=900)
FILES = {"config.json": b'{"model_type": "bert"}', "empty.txt": b"", "sub/dir/names.txt": b"a\nb\n", "sub/x.bin": b"x" * 70000,
         "awful %?,: name.txt": b"awful", "w.safetensors": BIG}
BYTES = "GET .*/resolve/.*w.safetensors"


def head_of(hub, id="org/tiny"):
    return hub.repo(id).refs["refs/heads/main"]


# ---- files ----

def test_files_are_what_the_upstream_has(tiny, hubd):
    h, commit = hubd(tiny), head_of(tiny)
    for name, data in FILES.items():
        path = f"/org/tiny/resolve/main/{name.replace('%', '%25').replace('?', '%3F').replace(' ', '%20')}"
        head, got = h.ask(path, "HEAD"), h.ask(path)
        digest = hashlib.sha256(data).hexdigest() if name in ("w.safetensors", "sub/x.bin") else \
            hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        for answer in head, got:
            assert answer.status == 200 and answer.headers["x-repo-commit"] == commit
            assert int(answer.headers["content-length"]) == len(data)
            assert answer.headers["etag"] in (f'"{digest}"', f'"{hashlib.sha1(b"blob %d%c" % (len(data), 0) + data).hexdigest()}"')
            assert "x-xet-hash" not in answer.headers
        assert head.body == b"" and got.body == data


@pytest.mark.parametrize("state", ["cold", "hot"])
@pytest.mark.parametrize("text, pieces", [
    ("bytes=0-0", [(0, 1)]), ("bytes=100-5000", [(100, 5001)]), ("bytes=-5", [(len(BIG) - 5, len(BIG))]),
    (f"bytes={3 * MIB - 7}-", [(3 * MIB - 7, len(BIG))]), ("bytes=5-9,1000000-1000009,-3", [(5, 10), (1000000, 1000010), (len(BIG) - 3, len(BIG))])])
def test_ranges_are_cut_out(tiny, hubd, state, text, pieces):
    h = hubd(tiny)
    path = "/org/tiny/resolve/main/w.safetensors"
    if state == "hot":
        assert h.ask(path).body == BIG
    got = h.ask(path, Range=text)
    assert got.status == 206
    if len(pieces) == 1:
        a, b = pieces[0]
        assert got.body == BIG[a:b] and got.headers["content-range"] == f"bytes {a}-{b - 1}/{len(BIG)}"
        return
    boundary = got.headers["content-type"].partition("boundary=")[2].encode()
    parts = got.body.split(b"--" + boundary)
    assert parts[0] == b"" and parts[-1] == b"--\r\n" and len(parts) == len(pieces) + 2
    for part, (a, b) in zip(parts[1:-1], pieces):
        head, _, body = part.partition(b"\r\n\r\n")
        assert f"Content-Range: bytes {a}-{b - 1}/{len(BIG)}".encode() in head and body == BIG[a:b] + b"\r\n"


def test_what_cannot_be_cut_out_is_refused_and_what_is_no_range_is_ignored(tiny, hubd):
    h = hubd(tiny)
    path = "/org/tiny/resolve/main/sub/x.bin"
    got = h.ask(path, Range="bytes=70000-")
    assert got.status == 416 and got.headers["content-range"] == "bytes */70000"
    assert h.ask(path, Range="bytes=x").status == 200
    empty = h.ask("/org/tiny/resolve/main/empty.txt", Range="bytes=0-0")
    assert empty.status == 200 and empty.headers["content-range"].endswith("/0")


def test_conditions_are_kept(tiny, hubd):
    h = hubd(tiny)
    path = "/org/tiny/resolve/main/sub/x.bin"
    etag = h.ask(path, "HEAD").headers["etag"]
    assert h.ask(path, If_None_Match=f'"other", W/{etag}').status == 304
    assert h.ask(path, If_None_Match='"other"').status == 200
    assert h.ask(path, Range="bytes=0-4", If_Range=etag).status == 206
    assert h.ask(path, Range="bytes=0-4", If_Range='"other"').status == 200


def test_a_large_file_is_a_pointer_to_git(tiny, hubd):
    h = hubd(tiny)
    got = h.ask("/org/tiny/raw/main/w.safetensors")
    want = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(BIG).hexdigest()}\nsize {len(BIG)}\n"
    assert got.body.decode() == want
    assert h.ask("/org/tiny/raw/main/config.json").body == FILES["config.json"]
    assert h.ask("/org/tiny/raw/main/config.json", "HEAD").status == 200


# ---- once from upstream ----

def test_what_many_ask_for_at_once_is_fetched_once(tiny, hubd):
    h = hubd(tiny)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        got = list(pool.map(lambda _: h.ask("/org/tiny/resolve/main/w.safetensors").body == BIG, range(32)))
    assert all(got)
    assert tiny.bytes_sent(path_re="w.safetensors") <= 1.001 * len(BIG)


def test_what_is_here_is_given_when_the_upstream_is_gone(tiny, hubd, tmp_path):
    h = hubd(tiny)
    for name in "w.safetensors", "config.json":
        assert h.ask(f"/org/tiny/resolve/main/{name}").status == 200
    h.stop()
    with tiny.fault(".*", "status", code=503):
        again = hubd(tiny, data=h.data, args=["--ref-ttl=0"], timeout=2)
        assert again.ask("/org/tiny/resolve/main/w.safetensors").body == BIG
        assert again.ask("/api/models/org/tiny").json["sha"] == head_of(tiny)
        assert len(again.ask("/api/models/org/tiny/tree/main?recursive=true").json) == len(FILES) + 2
        missing = again.ask("/org/tiny/resolve/main/sub/x.bin")
        assert missing.status in (200, 502, 503, 504) and missing.body != FILES["sub/x.bin"]


def test_a_client_that_leaves_takes_nothing_from_the_others(tiny, hubd):
    h = hubd(tiny)
    with tiny.fault(BYTES, "slow", rate=4 * MIB):
        leaver = http.client.HTTPConnection("127.0.0.1", h.port, timeout=30)
        leaver.request("GET", "/org/tiny/resolve/main/w.safetensors")
        leaver.getresponse().read(100_000)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            stays = pool.submit(h.ask, "/org/tiny/resolve/main/w.safetensors")
            time.sleep(0.3)
            leaver.close()
            assert stays.result(60).body == BIG
    assert tiny.bytes_sent(path_re="w.safetensors") <= 1.02 * len(BIG)


def test_the_last_byte_of_a_cold_file_comes_at_once(hub, hubd):
    hub.repo("org/large").commit({"w.safetensors": models.big_file(200 * MIB, seed=901)})
    h = hubd(hub)
    with hub.fault(BYTES, "slow", rate=20 * MIB):
        began = time.monotonic()
        got = h.ask("/org/large/resolve/main/w.safetensors", Range="bytes=-1")
        assert got.status == 206 and len(got.body) == 1 and time.monotonic() - began < 3


def test_an_upstream_that_hangs_keeps_nobody_from_what_is_here(tiny, hubd):
    """Clients give up after ten seconds. The twin: what is not here is waited for."""
    h = hubd(tiny, args=["--ref-ttl=0", "--timeout=12"])
    here = "/org/tiny/resolve/main/w.safetensors", "/api/models/org/tiny", "/api/models/org/tiny/tree/main"
    never_asked = "/api/models/org/tiny/refs", "/api/models/org/tiny?securityStatus=true", "/api/models/org/tiny/commits/main"
    assert all(h.ask(target).status == 200 for target in here)

    def timed(target):
        began = time.monotonic()
        return h.ask(target).status, time.monotonic() - began
    with tiny.fault(".*", "hang"), concurrent.futures.ThreadPoolExecutor(8) as pool:
        absent = pool.submit(timed, "/org/other/resolve/main/w.safetensors")
        for target, (status, took) in zip(here + never_asked, pool.map(timed, here + never_asked)):
            assert status == 200 and took < 8, (target, status, took)
        status, took = absent.result()
        assert status == 504 and took > 8


@pytest.mark.parametrize("hangs", [True, False])
def test_what_the_second_upstream_has_is_there_in_time_though_the_first_hangs(tiny, hubd, hangs):
    """Clients give up after ten seconds, for each of their questions. The twin: a first one that is gone."""
    with socket.create_server(("127.0.0.1", 0)) as first:
        url = f"http://127.0.0.1:{first.getsockname()[1]}"
        if not hangs:
            first.close()
        h = hubd([url, tiny], timeout=30)
        for target in "/api/models/org/tiny", "/org/tiny/resolve/main/config.json", "/org/tiny/resolve/main/w.safetensors":
            began = time.monotonic()
            got = h.ask(target)
            assert got.status == 200 and time.monotonic() - began < 8, target
        assert got.body == BIG


def test_wrong_bytes_end_in_a_broken_connection_and_heal(tiny, hubd):
    h = hubd(tiny)
    with tiny.fault(BYTES, "wrong_bytes", offset=1_500_000, times=1) as fault:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            h.ask("/org/tiny/resolve/main/w.safetensors")
        assert fault.hits == 1
    assert eventually(lambda: h.ask("/org/tiny/resolve/main/w.safetensors").body == BIG, 20)


@pytest.mark.parametrize("limit", ["16MiB", "8MiB", "1MiB", "32MiB"])
def test_also_what_the_cache_has_no_room_for_is_never_whole_and_wrong(tiny, hubd, limit):
    h = hubd(tiny, args=[f"--cache-size={limit}"])
    with tiny.fault(BYTES, "wrong_bytes", offset=1_500_000, times=1) as fault:
        assert fails_or(lambda: h.ask("/org/tiny/resolve/main/w.safetensors").body) in (None, BIG)
        assert fault.hits == 1
    assert eventually(lambda: fails_or(lambda: h.ask("/org/tiny/resolve/main/w.safetensors").body) == BIG, 20)


def fails_or(call):
    try:
        return call()
    except (http.client.IncompleteRead, ConnectionError):
        return None


def test_a_client_that_resumes_what_was_wrong_gets_all_of_it(tiny, hubd):
    h = hubd(tiny)
    path = "/org/tiny/resolve/main/w.safetensors"
    assert h.ask(path.replace("w.safe", "w.safe"), Range="bytes=0-9").status == 206
    with tiny.fault(BYTES, "wrong_bytes", offset=1_500_000, times=1):
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            h.ask(path)
    assert eventually(lambda: fails_or(lambda: h.ask(path).body) == BIG, 20)
    again = h.ask(path, Range="bytes=20000000-")
    assert again.status == 200 and again.body == BIG
    assert h.ask(path, Range="bytes=100-199").body == BIG[100:200]
    etag = again.headers["etag"]
    assert h.ask(path, Range="bytes=20000000-", If_Range=etag).status == 206
    assert h.ask("/org/tiny/resolve/main/sub/x.bin", Range="bytes=60000-").status == 206


def test_forms_of_many_fields_are_read_at_once_or_refused(tiny, hubd):
    h = hubd(tiny)
    began = time.monotonic()
    assert h.ask("/api/models/org/tiny/paths-info/main", "POST", "&".join(["x=a"] * 400_000)).status == 200
    assert h.ask("/api/models/org/tiny/paths-info/main", "POST", "&".join(["paths=a"] * 20_000)).status == 400
    assert h.ask("/api/models/org/tiny?" + "&".join(["expand"] * 100)).status == 200
    assert time.monotonic() - began < 5


# ---- what is told ----

def test_lists_are_paged_and_whole(hub, hubd):
    files = {f"d{n % 7}/f{n}.txt": b"%d" % n for n in range(2345)}
    hub.repo("org/many").commit(files)
    h = hubd(hub)
    items, pages = h.pages("/api/models/org/many/tree/main?recursive=true")
    assert sorted(i["path"] for i in items if i["type"] == "file") == sorted(files)
    assert {i["path"] for i in items if i["type"] == "directory"} == {f"d{n}" for n in range(7)}
    assert pages == -(-len(items) // 1000)
    flat, _ = h.pages("/api/models/org/many/tree/main")
    assert {i["path"] for i in flat} == {f"d{n}" for n in range(7)}
    inner, pages = h.pages("/api/models/org/many/tree/main/d3?limit=100")
    assert sorted(i["path"] for i in inner) == sorted(p for p in files if p.startswith("d3/")) and pages == -(-len(inner) // 100)
    for cursor in "x", head_of(hub, "org/many") + ".999999", "0" * 40 + ".5":
        got = h.ask(f"/api/models/org/many/tree/main?cursor={cursor}")
        assert got.status == 400 and '"cursor" is none of this list' in got.json["error"]


def test_directories_have_the_ids_git_gives_them(tiny, hubd, tmp_path):
    h = hubd(tiny)
    items = {i["path"]: i for i in h.ask("/api/models/org/tiny/tree/main?recursive=true").json}
    work = tmp_path / "git"
    (work / "sub" / "dir").mkdir(parents=True)
    (work / "sub" / "dir" / "names.txt").write_bytes(FILES["sub/dir/names.txt"])
    git = ["git", "-C", str(work), "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "sub"], check=True)
    tree = subprocess.run([*git, "write-tree", "--prefix=sub/dir/"], check=True, capture_output=True, text=True).stdout.strip()
    assert items["sub/dir"]["oid"] == tree


def test_paths_are_told_for_a_form_and_for_json(tiny, hubd):
    h = hubd(tiny)
    url = "/api/models/org/tiny/paths-info/main"
    form = h.ask(url, "POST", "paths=config.json&paths=none&paths=sub%2F&expand=false",
                 Content_Type="application/x-www-form-urlencoded")
    json = h.ask(url, "POST", '{"paths": ["config.json", "none", "sub"], "expand": false}', Content_Type="application/json")
    assert [i["path"] for i in form.json] == ["config.json", "sub"] and form.json == json.json
    for bad in "{", '{"paths": [1]}', '{"paths": 5}':
        assert h.ask(url, "POST", bad).status == 400


@pytest.mark.parametrize("path, status, code", [
    ("/api/models/org/none", 401, "RepoNotFound"), ("/org/none/resolve/main/x", 401, "RepoNotFound"),
    ("/api/models/org/tiny/tree/none", 404, "RevisionNotFound"), ("/org/tiny/resolve/none/config.json", 404, "RevisionNotFound"),
    ("/org/tiny/resolve/main/none", 404, "EntryNotFound"), ("/org/tiny/resolve/main/sub", 404, "EntryNotFound"),
    ("/api/models/org/tiny/tree/main/none", 404, "EntryNotFound"), ("/api/none", 404, None), ("/", 404, None),
    ("/api/models/org/tiny/none", 404, None)])
def test_failures_are_told_in_the_head(tiny, hubd, path, status, code):
    h = hubd(tiny)
    for method in "GET", "HEAD":
        got = h.ask(path, method)
        assert got.status == status and got.headers.get("x-error-code") == code, got
        assert got.headers["x-error-message"] and (method == "HEAD" or got.json["error"])
    if code == "EntryNotFound" and "resolve" in path:
        assert got.headers["x-repo-commit"] == head_of(tiny)
    if code == "RepoNotFound":
        assert h.ask(path, token=h.admin_token).status == 404


def test_wrong_tokens_open_nothing(tiny, hubd):
    h = hubd(tiny)
    assert (h.data / "admin.token").stat().st_mode & 0o777 == 0o600
    for token in "hf_wrong", h.admin_token[:-1], h.admin_token + "x":
        got = h.ask("/api/models/org/tiny", token=token)
        assert got.status == 401 and got.headers["x-error-message"] == "Invalid credentials in Authorization header"
    assert h.ask("/api/models/org/tiny", token=h.admin_token).status == 200
    assert h.ask("/api/whoami-v2", token=h.admin_token).json["auth"]["accessToken"]["role"] == "write"
    assert h.ask("/api/whoami-v2").status == 401
    assert not h.logged(h.admin_token)


def test_renamed_repositories_send_clients_on(hub, hubd):
    repo = hub.repo("org/old")
    repo.commit(FILES)
    repo.rename("org/new")
    h = hubd(hub)
    got = h.ask("/org/old/resolve/main/config.json", "HEAD")
    assert got.status == 307 and got.headers["location"] == "/org/new/resolve/main/config.json"


def test_requests_have_ids_and_links_have_the_clients_host(hub, hubd):
    hub.repo("org/many").commit({f"f{n}.txt": b"" for n in range(20)})
    h = hubd(hub)
    path = "/api/models/org/many/tree/main?limit=5"
    ids = {h.ask(path).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5
    assert "trace-1" in h.ask(path, X_Amzn_Trace_Id="trace-1").headers["x-request-id"]
    for given in "mine", "A-z_0.9", "x" * 128:
        assert h.ask(path, X_Request_Id=given).headers["x-request-id"] == given
    for given in "a b", "<c>", "a;b", "a\\b", "\xe9", "", "x" * 129:
        assert re.fullmatch("[0-9a-f]{16}", h.ask(path, X_Request_Id=given).headers["x-request-id"]), given
    assert h.ask(path, Host="hub.example").headers["link"].startswith("<http://hub.example/api/")
    link = h.ask(path, X_Forwarded_Proto="https", X_Forwarded_Host="hub.example:8443").headers["link"]
    assert link.startswith("<https://hub.example:8443/api/")


def test_bad_options_are_told_before_anything_is_made(tmp_path):
    for bad, why in ("--listen=x", "listen"), ("--upstream=ftp://x", "upstream"), ("--none=1", "none"), ("--data", "data"), \
                    ("word", "word"), ("--timeout=0", "timeout"), ("--trusted-proxy=10.0.0.0/33", "trusted-proxy"), \
                    ("--upstream=http://a.example --upstream=HTTP://A.example/", "The hub http://a.example is named twice"):
        got = subprocess.run([HUBD, f"--data={tmp_path / 'data'}", *bad.split()], capture_output=True, text=True, timeout=20)
        assert got.returncode == 2 and got.stderr.startswith("matrixhubd: ") and why in got.stderr, (bad, got)
    assert not (tmp_path / "data").exists()
