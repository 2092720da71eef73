"""What goes wrong, and what a reader sees of it: right bytes or a prompt errno, a line in the log that says what
happened, no wedge, no leak; and its twin: once the fault is gone, the same read works."""
import contextlib
import itertools
import os
import re
import signal
import subprocess
import threading
import time

import pytest

import models
from hub import HOSTILE, Hub
from mountlib import PROGRAM, eventually, fails, interrupted, lstat, names, read, readlink, within, xattr

BIG = models.big_file(2_600_000, seed=7)
SMALL = b'{"model_type": "bert"}'
FILES = {"config.json": SMALL, "model.safetensors": BIG, "sub/dir/x.txt": b"x" * 1000}
REPO = "org/tiny"
BYTES, META, TREE = "GET .*/resolve/", "GET /api/", "GET .*/tree/"
PROMPT = 20          # seconds; the mounts here have a time-out of 3
RIGHT = "right bytes"


def model(m):
    return m.file(REPO, "model.safetensors")


def outcome(path, seconds=PROMPT):
    """(errno or None, bytes or None) of reading a whole file."""
    got = []
    return fails(lambda: got.append(read(path, seconds=seconds))), got[0] if got else None


def heals(m, path, data, at_once=True):
    """The fault is gone: the read works now. What was asked before may still fail once or twice; a hub that was down is
    asked again after a rest, and until then it is EIO."""
    until, tries = time.monotonic() + (0 if at_once else PROMPT), 0
    while True:
        error, got = outcome(path)
        if error is None:
            break
        tries += 1
        assert error in ("EIO", "EACCES", "ENOENT", "ENOSPC") and (tries < 3 or time.monotonic() < until), \
            f"{error} though the fault is gone\n{m.log_text()}"
        time.sleep(0.2)
    assert got == data
    assert m.alive(), m.log_text()
    assert not m.logged("ssertion|Sanitizer")


def sealed(m, path, seconds=5):
    return eventually(lambda: xattr(path, "user.matrixfs.sealed") in ("1", "yes", "true"), seconds)


def read_anew(path):
    """Past what the kernel remembers."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
    return read(path, seconds=60)


def kept_at_last(m, path, data):
    return eventually(lambda: read_anew(path) == data and sealed(m, path, 0.5), 30)


@pytest.fixture
def tiny(hub):
    hub.commit = hub.repo(REPO).commit(FILES)
    return hub


# ---- bytes ----

# match · kind · its arguments · what the reader gets while it lasts · what the log says · the next read works at once
ON_BYTES = [
    ("status", {"code": 500}, "EIO", "server error", True),
    ("status", {"code": 502}, "EIO", "server error", True),
    ("status", {"code": 503}, "EIO", "server error", True),
    ("status", {"code": 408}, "EIO", "come back later", True),
    ("status", {"code": 429}, "EIO", "come back later", True),
    ("status", {"code": 429, "retry_after": 600}, "EIO", "come back later", True),
    ("status", {"code": 403}, "EACCES", "[Pp]ermission", True),
    ("status", {"code": 403, "error_code": "GatedRepo"}, "EACCES", "gated.*ask for access", True),
    ("status", {"code": 403, "message": "Access to this resource is disabled."}, "EACCES", "disabled", True),
    ("status", {"code": 401, "message": "Invalid credentials in Authorization header"}, "EACCES", "does not accept the token", True),
    ("status", {"code": 404}, "EIO", "makes no sense", True),
    ("status", {"code": 404, "error_code": "EntryNotFound"}, "ENOENT", "no such file", True),
    ("status", {"code": 416}, "EIO", "another size", True),
    ("hang", {}, "EIO", "no answer before the deadline", True),
    ("hang_body", {"after_bytes": 0}, "EIO", "no answer before the deadline", True),
    ("cut_body", {"after_bytes": 0}, "EIO", "connection broke", True),
    ("cut_body", {"after_bytes": 700_000}, RIGHT, None, True),
    ("reset", {}, "EIO", "cannot be reached|connection broke", False),
    ("reset", {"after_bytes": 0}, "EIO", "cannot be reached|connection broke", False),
    ("reset", {"after_bytes": 700_000}, RIGHT, None, True),
    ("drop", {}, "EIO", "cannot be reached|connection broke", False),
    ("delay", {"seconds": 0.3}, RIGHT, None, True),
    ("slow", {"rate": 4_000_000}, RIGHT, None, True),
    ("slow_headers", {"seconds": 0.3}, RIGHT, None, True),
    ("garbage", {}, "EIO", "makes no sense", True),
    ("huge_header", {}, "EIO", "makes no sense", True),
    ("html", {}, "EIO", "makes no sense", True),
    ("wrong_etag", {}, "EIO", "changed on the hub", True),
    ("etag_changes", {}, "EIO", "changed on the hub", True),
    ("ignore_range", {}, RIGHT, None, True),
    ("wrong_content_range", {"shift": 4096}, "EIO", "makes no sense|another size", True),
    ("wrong_content_range", {"total": 9}, "EIO", "another size", True),
    ("wrong_content_range", {"text": "bytes nonsense"}, "EIO", "makes no sense", True),
    ("size_lies", {"delta": 7}, "EIO", "another size", True),
    ("size_lies", {"delta": -7}, "EIO", "another size", True),
    ("gzip", {}, "EIO", "makes no sense", True),
    ("redirect_loop", {}, "EIO", "too many redirects", True),
    ("redirect_to", {"url": "http://127.0.0.1:1{target}"}, "EIO", "cannot be reached", True),
    ("redirect_to", {"url": "file:///etc/passwd"}, "EIO", "makes no sense", True),
    ("redirect_to", {"url": "gopher://127.0.0.1/{target}"}, "EIO", "makes no sense", True),
    ("no_content_length", {}, RIGHT, None, True),
    ("no_content_length", {"how": "close"}, RIGHT, None, True),
    ("empty_body", {}, "EIO", "connection broke", True),
    ("extra_bytes", {}, RIGHT, None, True),
    ("extra_bytes", {"claimed": False}, RIGHT, None, True),
]


def row_id(row):
    return f"{row[0]}-{'-'.join(f'{v}'[:14] for v in row[1].values())}".strip("-")


@pytest.mark.parametrize("kind, args, expected, says, at_once", ON_BYTES, ids=map(row_id, ON_BYTES))
def test_bytes(tiny, mount, kind, args, expected, says, at_once):
    m = mount(tiny, args=["--log-level=debug"])
    path = model(m)
    assert lstat(path).st_size == len(BIG)
    with tiny.fault(BYTES, kind, **args) as fault:
        error, got = outcome(path)
        assert fault.hits > 0
        if expected == RIGHT:
            assert got == BIG, f"{error}\n{m.log_text()}"
        else:
            assert error == expected, m.log_text()
            m.wait_log(rf"<[34]>.*(model\.safetensors|{REPO}).*({says})|({says}).*(model\.safetensors|{REPO})")
        assert read(m.ref(REPO)).decode() == tiny.commit     # others are not held up
    heals(m, path, BIG, at_once)
    assert sealed(m, path)
    assert read(m.file(REPO, "config.json")) == SMALL


# Failures that pass are not seen by the reader at all.
ONCE = [("status", {"code": 500}), ("status", {"code": 502}), ("status", {"code": 503}), ("status", {"code": 408}),
        ("status", {"code": 429}), ("hang", {}), ("hang_body", {"after_bytes": 5000}), ("cut_body", {"after_bytes": 0}),
        ("cut_body", {"after_bytes": 700_000}), ("reset", {"after_bytes": 700_000}), ("empty_body", {})]


@pytest.mark.parametrize("kind, args", ONCE, ids=map(row_id, ONCE))
def test_bytes_once(tiny, mount, kind, args):
    m = mount(tiny, timeout=6)
    assert lstat(model(m)).st_size == len(BIG)
    with tiny.fault(BYTES, kind, times=1, **args) as fault:
        assert read(model(m), seconds=PROMPT) == BIG, m.log_text()
        assert fault.hits == 1
    assert sealed(m, model(m))
    assert not m.logged("<3>")


@pytest.mark.parametrize("headers", [{"retry_after": 1}, {"headers": {"RateLimit": '"api";r=0;t=1'}}], ids=["Retry-After", "RateLimit"])
@pytest.mark.parametrize("match", [BYTES, META], ids=["bytes", "metadata"])
def test_a_hub_that_asks_for_patience_gets_it(tiny, mount, match, headers):
    m = mount(tiny, timeout=10, args=["--prefetch=no"])
    if match == BYTES:
        assert lstat(m.file(REPO, "config.json")).st_size == len(SMALL)
    tiny.clear_log()
    with tiny.fault(match, "status", code=429, times=1, **headers):
        assert read(m.file(REPO, "config.json")) == SMALL
    first, second = tiny.requests(path_re="/resolve/" if match == BYTES else "/api/")[:2]
    assert (first.status, second.status) == (429, 206 if match == BYTES else 200)
    assert second.time - first.time >= 0.95


# ---- metadata ----

ON_META = [
    (META, "status", {"code": 500}, "EIO", "server error", True),
    (META, "status", {"code": 503}, "EIO", "server error", True),
    (META, "status", {"code": 429}, "EIO", "come back later", True),
    (META, "status", {"code": 403}, "EACCES", "[Pp]ermission", True),
    (META, "status", {"code": 404}, "EIO", "makes no sense", True),
    (META, "status", {"code": 401, "message": "Invalid credentials in Authorization header"}, "EACCES", "does not accept the token", True),
    (META, "hang", {}, "EIO", "no answer before the deadline", True),
    (META, "hang_body", {"after_bytes": 20}, "EIO", "no answer before the deadline", True),
    (META, "cut_body", {"after_bytes": 20}, "EIO", "connection broke", True),
    (META, "reset", {}, "EIO", "cannot be reached|connection broke", False),
    (META, "drop", {}, "EIO", "cannot be reached|connection broke", False),
    (META, "garbage", {}, "EIO", "makes no sense", True),
    (META, "huge_header", {}, "EIO", "makes no sense", True),
    (META, "html", {}, "EIO", "makes no sense", True),
    (META, "html", {"code": 403}, "EACCES", "[Pp]ermission", True),
    (META, "truncated_json", {}, "EIO", "makes no sense", True),
    (META, "bad_json", {"text": "[" * 100_000}, "EIO", "makes no sense", True),
    (META, "bad_json", {"text": "null"}, "EIO", "makes no sense", True),
    (META, "bad_json", {"text": b"\xff\xfe\x00"}, "EIO", "makes no sense", True),
    (META, "empty_body", {}, "EIO", "makes no sense", True),
    (META, "gzip", {}, "EIO", "makes no sense", True),
    (META, "redirect_loop", {}, "EIO", "too many redirects", True),
    (META, "redirect_to", {"url": "file:///etc/passwd"}, "EIO", "makes no sense", True),
    (META, "redirect_to", {"url": "http://127.0.0.1:1{target}"}, "EIO", "cannot be reached", True),
    (META, "no_content_length", {}, RIGHT, None, True),
    (META, "no_content_length", {"how": "close"}, RIGHT, None, True),
    (META, "slow_headers", {"seconds": 0.3}, RIGHT, None, True),
    (TREE, "status", {"code": 500}, "EIO", "server error", True),
    (TREE, "hang", {}, "EIO", "no answer before the deadline", True),
    (TREE, "html", {}, "EIO", "makes no sense", True),
    (TREE, "truncated_json", {}, "EIO", "makes no sense", True),
    (TREE, "bad_json", {"text": "{}"}, "EIO", "makes no sense", True),
    (TREE, "link_loop", {}, "EIO", "makes no sense", True),
    ("GET .*/commits/", "status", {"code": 500}, RIGHT, None, True),
    ("GET .*/commits/", "html", {}, RIGHT, None, True),
]


@pytest.mark.parametrize("match, kind, args, expected, says, at_once", ON_META,
                         ids=[f"{r[0].strip('GET .*/')}-{row_id(r[1:])}" for r in ON_META])
def test_metadata(tiny, mount, match, kind, args, expected, says, at_once):
    m = mount(tiny, args=["--log-level=debug"])
    path = m.file(REPO, "config.json")
    with tiny.fault(match, kind, **args) as fault:
        error, got = outcome(path)
        assert fault.hits > 0
        if expected == RIGHT:
            assert got == SMALL, f"{error}\n{m.log_text()}"
        else:
            assert error == expected, m.log_text()
            m.wait_log(f"<[34]>.*{REPO}.*({says})")
    heals(m, path, SMALL, at_once)
    assert read(m.ref(REPO)).decode() == tiny.commit
    assert sorted(names(m.snapshot(REPO, tiny.commit))) == ["config.json", "model.safetensors", "sub"]


HARMLESS = {"file_and_directory", "unknown_type"}     # directories follow from paths; what is no file is not shown


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tree(tiny, mount, name):
    m = mount(tiny)
    with tiny.fault(TREE, "tree_paths", paths=HOSTILE[name]):
        if name in HARMLESS:
            assert set(names(m.file(REPO))) - {"both"} == {"config.json", "model.safetensors", "sub"}
            return
        assert fails(names, m.file(REPO)) == "EIO", m.log_text()
        assert fails(names, m.snapshot(REPO, tiny.commit)) == "EIO"
        m.wait_log(f"<3>.*refused the file list of repo={REPO} commit={tiny.commit}|<4>cannot look up repo=models/{REPO}.*makes no sense")
        assert fails(lstat, m.snapshot(REPO, tiny.commit) / "config.json") == "EIO"     # as a whole: nothing of it is shown
    assert not [p for p in m.cache.parent.rglob("*") if p.name in ("x", "abs", "both", "neg", "huge")]
    heals(m, m.file(REPO, "config.json"), SMALL)


def test_tree_of_many_pages_and_big_ones(tiny, mount):
    m = mount(tiny, timeout=60)
    many = tiny.repo("org/many")
    head = many.commit({f"d{n % 7}/{n:05}.txt": b"%d" % n for n in range(900)})
    tiny.page_size = 100
    assert len(names(m.file("org/many", "d3"))) == len([n for n in range(900) if n % 7 == 3])
    assert len(tiny.requests(path_re="org/many/tree")) == 10    # files and directories: 907
    assert read(m.file("org/many", "d3/00003.txt")) == b"3" and m.commit("org/many") == head
    with tiny.fault("org/tiny/tree/", "huge_page", items=60_000):
        listed = names(m.file(REPO, "many"))
    assert listed == [f"{n:08d}.txt" for n in range(60_000)]
    assert read(m.file(REPO, "many/00059999.txt")) == b""
    assert m.anonymous() < 200 << 20 or "san" in str(PROGRAM)     # what a sanitizer takes is not the daemon's


@pytest.mark.parametrize("delta", [7, -7])
@pytest.mark.parametrize("where", ["tree", "everywhere"])
def test_sizes_that_lie_in_the_tree(tiny, mount, delta, where):
    m = mount(tiny)
    with tiny.fault(TREE if where == "tree" else ".", "size_lies", delta=delta):
        path = model(m)
        assert lstat(path).st_size == len(BIG) + delta
        error, got = outcome(path)
        assert error == "EIO" or where == "everywhere" and delta < 0, m.log_text()
        m.wait_log("<3>.*(another size|connection broke|do not match their digest)")
        error, got = outcome(path)
        assert error == "EIO", m.log_text()      # seen to be wrong: not once more
    # The commit's list is for ever, and wrong: what heals is the next commit.
    tiny.repo(REPO).commit({"README.md": b"new"})
    m.stop()
    m = mount(tiny)
    head = tiny.repo(REPO).refs["refs/heads/main"]
    assert read(m.snapshot(REPO, head) / "model.safetensors") == BIG


# ---- the hub itself ----

def test_hub_down(tiny, mount):
    tiny.down()
    m = mount(tiny)
    assert fails(read, model(m), seconds=PROMPT) == "EIO"
    m.wait_log(f"<4>.*{REPO}.*cannot be reached")
    assert fails(lstat, m.repo("org/none")) == "EIO"    # nobody said that it is not there
    tiny.up()
    heals(m, model(m), BIG, at_once=False)
    tiny.down()
    assert read(model(m)) == BIG and m.commit(REPO) == tiny.commit
    assert fails(read, m.file(REPO, "config.json")) == "EIO"
    tiny.up()
    heals(m, m.file(REPO, "config.json"), SMALL, at_once=False)


def test_missing_is_missing(tiny, mount):
    m = mount(tiny, args=["--log-level=debug"])
    assert fails(lstat, m.repo("org/none")) == fails(read, m.file("org/none", "x")) == "ENOENT"
    m.wait_log("org/none.*no such repository, or it is private")
    assert fails(lstat, m.repo("org/none", "dataset")) == fails(lstat, m.repo("org/none", "space")) == "ENOENT"
    assert fails(read, m.ref(REPO, "none")) == fails(read, m.file(REPO, "config.json", rev="none")) == "ENOENT"
    m.wait_log("none.*no such revision")
    assert fails(lstat, m.snapshot(REPO, "0" * 40)) == "ENOENT"
    assert fails(read, m.file(REPO, "none.bin")) == fails(lstat, m.snapshot(REPO, tiny.commit) / "none.bin") == "ENOENT"
    tiny.repo("org/none").commit({"x": b"late"})
    assert eventually(lambda: fails(lstat, m.repo("org/none")) is None)
    # Each name's absence is remembered for its own second, by the kernel, too.
    assert eventually(lambda: fails(read, m.file("org/none", "x")) is None)
    assert read(m.file("org/none", "x")) == b"late"


def test_private_gated_disabled_and_bad_token(tiny, mount, tmp_path):
    tiny.token("hf_good"), tiny.token("hf_other", repos=[])
    tiny.repo("org/private", private=True).commit(FILES)
    tiny.repo("org/gated", gated=True).commit(FILES)
    tiny.repo("org/off", disabled=True).commit(FILES)

    def seen(m):
        return [outcome(m.file(f"org/{name}", "config.json"))[0] for name in ("private", "gated", "off", "tiny")]

    def token(value):
        (tmp_path / "token").write_text(value + "\n")
        return ["--log-level=debug", f"--token-file={tmp_path / 'token'}"]
    m = mount(tiny, args=["--log-level=debug"])
    assert seen(m) == ["ENOENT", "EACCES", "EACCES", None]
    m.wait_log("org/private.*or it is private and the token does not open it")
    m.wait_log("org/gated.*the repository is gated: ask for access")
    m.wait_log("org/off.*the hub has disabled access")
    assert lstat(m.file("org/gated", "config.json")).st_size == len(SMALL)    # its list is public
    m = mount(tiny, args=token("hf_other"))
    assert seen(m) == ["ENOENT", "EACCES", "EACCES", None]
    m = mount(tiny, args=token("hf_good"))
    assert seen(m) == [None, None, "EACCES", None]
    assert "hf_good" not in m.log_text()
    m = mount(tiny, args=token("hf_revoked"))
    assert seen(m) == ["EACCES"] * 4
    m.wait_log("cannot look up repo=.*the hub does not accept the token: renew the token file")
    assert "hf_revoked" not in m.log_text()
    for reply in m.stop, lambda: mount(tiny, args=["--log-level=debug"]):
        m = reply() or m
    assert seen(m)[3] is None


def test_renamed(tiny, mount):
    tiny.repo(REPO).rename("neworg/newname")
    m = mount(tiny)
    assert readlink(m.repo(REPO)) == "models--neworg--newname"
    assert m.commit(REPO) == m.commit("neworg/newname") == tiny.commit
    assert read(m.snapshot(REPO, tiny.commit) / "config.json") == read(m.file(REPO, "config.json")) == SMALL
    assert "models--org--tiny" not in m.log_text()


# ---- more than one hub ----

@contextlib.contextmanager
def second_hub(**kw):
    with Hub(**kw) as other:
        other.repo(REPO).commit(FILES)
        yield other


@pytest.mark.parametrize("first", ["down", "5xx", "hangs", "html", "without the repo", "down for bytes", "5xx for bytes", "without the file"])
def test_the_second_hub_takes_over(hub, mount, first):
    with second_hub() as other:
        faults = {"5xx": (".", "status"), "hangs": (".", "hang"), "html": (".", "html"), "5xx for bytes": (BYTES, "status"),
                  "without the file": (BYTES, "status")}
        if first != "without the repo":
            hub.repo(REPO).commit(FILES)
        m = mount([hub, other], timeout=6)
        if first == "down":
            hub.down()
        if first == "down for bytes":
            assert lstat(model(m)).st_size == len(BIG)
            hub.down()
        with contextlib.ExitStack() as stack:
            if first in faults:
                more = {"code": 404, "error_code": "EntryNotFound"} if first == "without the file" else {}
                stack.enter_context(hub.fault(*faults[first], **more))
            assert read(model(m), seconds=PROMPT) == BIG, m.log_text()
            assert other.requests(path_re="/resolve/")
        assert sealed(m, model(m))
        assert xattr(model(m), "user.matrixfs.source").rstrip("/").endswith(f":{other.port}")
        other.clear_log()
        hub.up()
        if first in ("5xx", "html"):
            hub.repo("org/more").commit(FILES)
            assert read(m.file("org/more", "config.json")) == SMALL      # the first is asked first again
            assert not other.requests(path_re="org/more")


def test_who_says_no_does_not_hide_who_cannot_say(hub, mount):
    """The first hub has no such repo and the second is down: that is no ENOENT."""
    with Hub() as other:
        other.down()
        m = mount([hub, other])
        assert fails(lstat, m.repo("org/none")) == "EIO"
        other.up()
        assert eventually(lambda: fails(lstat, m.repo("org/none")) == "ENOENT")


# ---- redirects and signed links ----

@pytest.mark.parametrize("with_token", [True, False], ids=["token", "no token"])
@pytest.mark.parametrize("match", [META, BYTES], ids=["metadata", "bytes"])
def test_authorization_never_crosses(tiny, mount, match, with_token):
    with second_hub() as other:
        env = {"HF_TOKEN": tiny.token("hf_good")} if with_token else {}
        m = mount(tiny, env=env)
        with tiny.fault(match, "redirect_to", url=other.url + "{target}", code=307):
            assert read(model(m), seconds=PROMPT) == BIG, m.log_text()
        assert other.requests() and not any(q.has_auth for q in other.requests())
        assert all(q.has_auth == with_token for q in tiny.requests())


@pytest.fixture
def signed(tmp_path):
    """A hub with a CDN and a file of 100 MiB behind it: cheap to make, no two chunks alike."""
    size = 100 << 20
    with open(tmp_path / "huge", "wb") as f:
        f.truncate(size)
        for at in range(0, size, 1 << 20):
            f.seek(at)
            f.write(b"%016d" % at)
    with Hub(cdn=True) as hub:
        hub.repo(REPO).commit(FILES | {"huge.safetensors": tmp_path / "huge"})
        hub.size, hub.plain = size, tmp_path / "huge"
        yield hub


def test_signed_links_are_remembered(signed, mount):
    m = mount(signed, env={"HF_TOKEN": signed.token("hf_good")}, timeout=20)
    path = m.file(REPO, "huge.safetensors")
    assert read(path) == signed.plain.read_bytes()
    assert sealed(m, path)
    resolves, parts = signed.requests(path_re="/resolve/.*huge"), signed.requests(on="cdn")
    assert len(parts) > 1 and 1 <= len(resolves) <= 3, f"{len(resolves)} resolves, {len(parts)} parts"
    assert all(q.has_auth for q in resolves) and not any(q.has_auth for q in parts)


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_links_that_end_are_made_anew_once(signed, mount, how):
    m = mount(signed, timeout=20)
    path = m.file(REPO, "huge.safetensors")
    signed.cdn_ttl = 33 if how == "expired" else 3600       # the last 30 seconds are not used
    assert read(path, 0, 4096) == signed.plain.read_bytes()[:4096]
    if how == "revoked":
        signed.revoke_links()
    else:
        time.sleep(4)
        signed.cdn_ttl = 3600
    signed.clear_log()
    assert read(path) == signed.plain.read_bytes(), m.log_text()
    # Once for those parts that are under way at that moment, not for each of the others.
    assert 1 <= len(signed.requests(path_re="/resolve/.*huge")) <= 8
    assert not m.logged("<3>")


def test_links_that_are_never_good(signed, mount):
    m = mount(signed)
    signed.cdn_ttl = -1
    assert fails(read, model(m), seconds=PROMPT) == "EIO"
    m.wait_log("<3>.*model.safetensors")
    assert len(signed.requests(path_re="/resolve/")) <= 20
    signed.cdn_ttl = 3600
    heals(m, model(m), BIG)


def test_cdn_in_trouble(signed, mount):
    m = mount(signed)
    for kind, args in ("status", {"code": 503}), ("hang", {}), ("drop", {}), ("html", {}), ("etag_changes", {}), ("ignore_range", {}):
        name = f"{kind}.safetensors"
        data = models.big_file(300_000, seed=len(name))
        signed.repo(f"cdn/{kind}").commit({name: data})
        path = m.file(f"cdn/{kind}", name)
        assert lstat(path).st_size == len(data)
        with signed.fault(".", kind, on="cdn", **args):
            assert outcome(path) in (("EIO", None), (None, data)), m.log_text()
        heals(m, path, data)


# ---- TLS ----

def test_untrusted_certificate(tmp_path, mount):
    pair = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
    with Hub(tls=pair, cdn=True) as hub:
        hub.token("hf_good")
        hub.repo(REPO).commit(FILES)
        m = mount(hub, env={"HF_TOKEN": "hf_good"})
        assert fails(read, model(m), seconds=PROMPT) == "EIO"
        m.wait_log(f"<4>.*{REPO}.*the hub's certificate is not trusted: install its CA on this machine")
        assert not hub.requests()
        m = mount(hub, env={"HF_TOKEN": "hf_good", "SSL_CERT_FILE": pair[0]})
        assert read(model(m)) == BIG, m.log_text()
        wrong = mount(f"https://localhost:{hub.port}", env={"SSL_CERT_FILE": pair[0]})
        assert fails(read, model(wrong), seconds=PROMPT) == "EIO"      # another name than the certificate's


# ---- wrong bytes ----

def dropped(m):
    """Waits until wrong bytes were noticed and the kernel has forgotten its pages of them, which is right behind the line."""
    line = m.wait_log(f"<3>dropped etag={m.etag} repo={REPO} path=model.safetensors source=.*bytes do not match their digest")
    assert eventually(lambda: outcome(model(m)) in (("EIO", None), (None, BIG)), 5), m.log_text()
    return line


@pytest.fixture
def doubtful(tiny, mount):
    """Mounts, and reads a file whose bytes come wrong: this first reader may have got them before their digest was known."""
    def factory(hubs, **kw):
        m = mount(hubs)
        m.etag = tiny.repo(REPO).blob("model.safetensors").etag
        m.fault = tiny.fault(BYTES, "wrong_bytes", offset=1_500_000, **kw)
        outcome(model(m))
        dropped(m)
        return m
    return factory


def test_wrong_bytes_are_never_sealed(tiny, mount, doubtful):
    m = doubtful(tiny)
    path = model(m)
    for _ in range(3):
        assert outcome(path) == ("EIO", None), m.log_text()     # never again wrong bytes, and promptly
    assert xattr(path, "user.matrixfs.sealed") not in ("1", "yes", "true")
    assert read(m.file(REPO, "config.json")) == SMALL
    tiny.clear_faults()
    asked = len(tiny.requests(path_re="/resolve/.*/model.safetensors"))
    assert outcome(path) == ("EIO", None)
    assert len(tiny.requests(path_re="/resolve/.*/model.safetensors")) == asked    # barred for half a minute
    m.stop()
    again = mount(tiny, cache=m.cache)
    assert read(model(again)) == BIG and sealed(again, model(again))
    again.stop()
    again = mount(tiny, cache=m.cache, args=["--offline"])
    assert read(model(again)) == BIG


def test_wrong_bytes_once(tiny, doubtful):
    m = doubtful(tiny, times=1)
    assert read(model(m), seconds=PROMPT) == BIG
    assert sealed(m, model(m))


def test_wrong_bytes_and_an_honest_hub(tiny, doubtful):
    with second_hub() as other:
        m = doubtful([tiny, other])
        assert read(model(m), seconds=PROMPT) == BIG, m.log_text()
        assert sealed(m, model(m))
        assert other.requests(path_re="/resolve/")
        assert xattr(model(m), "user.matrixfs.source").rstrip("/").endswith(f":{other.port}")


def test_wrong_bytes_do_not_stay_in_the_page_cache(tiny, mount):
    """What was read by mmap or read before the digest was known is read anew."""
    m = mount(tiny)
    with tiny.fault(BYTES, "wrong_bytes", offset=1_500_000, times=1):
        with open(model(m), "rb") as held:
            within(PROMPT, held.read)
            m.wait_log("<3>dropped etag=")
            assert eventually(lambda: within(PROMPT, os.pread, held.fileno(), len(BIG), 0) == BIG, 5)


def test_readers_are_not_in_the_way_of_forgetting(hub, mount):
    """The kernel forgets pages only when the reads under way have ended, and those wait for verified bytes."""
    large = models.big_file(48 << 20, seed=12)
    hub.repo("org/large").commit({"w.safetensors": large})
    m = mount(hub, timeout=20)
    path = m.file("org/large", "w.safetensors")
    with hub.fault(BYTES, "wrong_bytes", offset=40 << 20, times=1) as fault:
        fails(lambda: read(path, seconds=60))              # what it gives came before the verdict
        began = time.monotonic()
        assert eventually(lambda: not fails(lambda: read(path)) and read(path) == large, 60), m.log_text()
        assert time.monotonic() - began < 15 and fault.hits == 1, m.log_text()
    assert sealed(m, path)


# ---- the cache directory ----

@contextlib.contextmanager
def small_disk(directory, size, *options):
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=False)


def resize(directory, size):
    subprocess.run(["mount", "-o", f"remount,size={size}", directory], check=True)


def test_from_a_full_disk_readers_are_served_without_keeping(tiny, mount, tmp_path):
    data = {f"part{n}.safetensors": models.big_file(6 << 20, seed=n) for n in range(3)}
    huge = models.big_file(30 << 20, seed=9)
    tiny.repo("org/large").commit(data | {"huge.safetensors": huge})
    with small_disk(tmp_path / "disk", "16m") as disk:
        m = mount(tiny, cache=disk / "cache")
        for _ in range(2):
            assert read(m.file("org/large", "huge.safetensors"), seconds=60) == huge, m.log_text()
        for name, wanted in data.items():    # each has room alone: the others make place
            assert read(m.file("org/large", name), seconds=60) == wanted, m.log_text()
        m.wait_log("<4>the cache's disk takes no bytes: files are served without being kept.*No space left on device")
        assert m.log_text().count("disk takes no bytes") == 1     # not for each read
        resize(disk, "120m")
        heals(m, m.file("org/large", "huge.safetensors"), huge)
        assert kept_at_last(m, m.file("org/large", "huge.safetensors"), huge), m.log_text()
        time.sleep(5)                                             # it might be full again at once
        for name, wanted in data.items():
            assert kept_at_last(m, m.file("org/large", name), wanted), m.log_text()
        m.wait_log("the cache takes bytes again")
        m.stop()


def test_where_the_disk_has_room_nothing_is_said_of_it(tiny, mount, tmp_path):
    huge = models.big_file(30 << 20, seed=9)
    tiny.repo("org/large").commit({"huge.safetensors": huge})
    with small_disk(tmp_path / "disk", "120m") as disk:
        m = mount(tiny, cache=disk / "cache")
        assert read(m.file("org/large", "huge.safetensors"), seconds=60) == huge
        assert sealed(m, m.file("org/large", "huge.safetensors"))
        assert not m.logged("disk takes no bytes") and not m.logged("No space left")
        m.stop()


def fill(disk):
    """Takes the disk's room to the last byte; the file that has it."""
    with open(disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))
    return disk / "filler"


@pytest.mark.parametrize("room", [True, False])
def test_what_a_full_disk_did_not_take_is_written_down_when_it_has_room(tiny, mount, tmp_path, room):
    with small_disk(tmp_path / "disk", "8m") as disk:
        m = mount(tiny, cache=disk / "cache")
        filler = fill(disk)
        tiny.repo("org/other").commit({"other.json": b"[]"})
        path = m.file("org/other", "other.json")
        assert read(path) == b"[]", m.log_text()
        if room:
            filler.unlink()
            looks = itertools.count()
            assert eventually(lambda: fails(lambda: os.stat(m.file("org/other", f"none{next(looks)}")))
                              and m.logged("the index has again all"), 20), m.log_text()
        m.crash()
        m.kill()
        filler.unlink(missing_ok=True)
        again = mount(tiny, cache=disk / "cache", args=["--offline"])
        other = again.file("org/other")
        assert fails(names, other) is None and list(names(other)) == ["other.json"] if room else fails(names, other), again.log_text()
        again.stop()


def test_cache_full_to_the_last_byte(tiny, mount, tmp_path):
    """Not even the index can grow, nor can an empty file be made."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        m = mount(tiny, cache=disk / "cache")
        assert m.commit(REPO) == tiny.commit
        filler = fill(disk)
        tiny.repo("org/other").commit({"other.json": b"[]"})
        with open(model(m), "rb") as held:
            assert read(model(m)) == BIG, m.log_text()
            assert read(m.file("org/other", "other.json")) == b"[]", m.log_text()
            assert m.commit(REPO) == tiny.commit and m.alive()
            m.wait_log("No space left on device")
            filler.unlink()
            assert held.read() == BIG                        # opened when nothing could be kept
        assert kept_at_last(m, model(m), BIG), m.log_text()
        heals(m, m.file("org/other", "other.json"), b"[]")
        m.stop()


def test_cache_read_only(tiny, mount, tmp_path):
    with small_disk(tmp_path / "disk", "8m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for cache in disk, disk / "cache":
            m = mount(tiny, cache=cache, expect_fail=True)
            assert m.status == 1
            assert re.search(f"cache directory {cache}.*Read-only file system", m.log_text())
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        m = mount(tiny, cache=disk / "cache")
        assert read(model(m)) == BIG
        m.stop()


def test_cache_missing_is_made(tiny, mount, tmp_path):
    m = mount(tiny, cache=tmp_path / "a" / "b" / "cache")
    assert read(model(m)) == BIG
    assert (tmp_path / "a" / "b" / "cache" / "version").read_text().startswith("matrixfs-cache ")


@pytest.mark.parametrize("make, says", [
    (lambda path: path.write_text("a file"), "cannot .* cache directory .*Not a directory|File exists"),
    (lambda path: (path.mkdir(), (path / "version").write_text("matrixfs-cache 99\n")),
     "has format version 99 and this matrixfs knows .*: use the newer matrixfs, or another --cache"),
    (lambda path: (path.mkdir(), (path / "version").write_text("something else")), "is not a matrixfs cache's: use another --cache"),
], ids=["file", "newer", "foreign"])
def test_cache_that_cannot_be_used(tiny, mount, tmp_path, make, says):
    make(tmp_path / "cache")
    m = mount(tiny, cache=tmp_path / "cache", expect_fail=True)
    assert m.status == 1 and re.search(says, m.log_text()), m.log_text()
    m = mount(tiny, cache=tmp_path / "other")
    assert read(m.file(REPO, "config.json")) == SMALL


def test_index_grows(tiny, mount):
    m = mount(tiny, timeout=60)
    repo, index = tiny.repo("org/growing"), m.cache / "index" / "data.mdb"
    listing = {f"a-directory-with-a-long-name/{n:06}.txt": b"%d" % n for n in range(3000)}
    commits = []
    tiny.page_size = 100_000
    with tiny.fault("org/growing/tree/", "huge_page", items=40_000):
        while index.stat().st_size <= 18 << 20 and len(commits) < 60:
            commits.append(repo.commit(listing if not commits else {f"n{len(commits)}": b"x"}))
            assert len(names(m.snapshot("org/growing", commits[-1]))) == 1 + len(commits), m.log_text()
    assert index.stat().st_size > 16 << 20, f"{index.stat().st_size} bytes after {len(commits)} commits"
    assert not m.logged("<3>")
    m.stop()
    again = mount(tiny, cache=m.cache, args=["--offline"], timeout=60)
    for n, commit in enumerate(commits):
        assert len(names(again.snapshot("org/growing", commit))) == 2 + n
    assert len(names(again.snapshot("org/growing", commits[0]) / "many")) == 40_000


def test_two_daemons_on_one_cache(tiny, mount):
    m = mount(tiny)
    second = mount(tiny, cache=m.cache, expect_fail=True)
    assert second.status == 1
    assert f"is in use by matrixfs (pid {m.pid}) mounted on {m.root}" in second.log_text()
    assert read(model(m)) == BIG
    m.stop()
    assert read(model(mount(tiny, cache=m.cache))) == BIG


# ---- the mount point ----

def test_mount_point_busy_missing_or_a_file(tiny, mount, tmp_path):
    m = mount(tiny)
    (tmp_path / "file").write_text("x")
    for root, says in [(m.root, "is in use: a fuse.matrixfs file system is mounted there and answers; unmount it first"),
                       (tmp_path / "none", "No such file or directory; make it with mkdir"), (tmp_path / "file", "is not a directory")]:
        second = mount(tiny, root=root, expect_fail=True)
        assert second.status == 1 and says in second.log_text(), second.log_text()
    assert read(model(m)) == BIG
    (tmp_path / "none").mkdir()
    assert read(model(mount(tiny, root=tmp_path / "none"))) == BIG


# ---- readers that go away, and what stays ----

@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
@pytest.mark.parametrize("match", [BYTES, META], ids=["bytes", "metadata"])
def test_signal_ends_a_hung_read(tiny, mount, match, sig):
    m = mount(tiny, timeout=120)
    if match == BYTES:
        assert lstat(model(m)).st_size == len(BIG)
    with tiny.fault(match, "hang"):
        reading, seconds = interrupted(model(m), sig, after=1.5)
        assert reading, "the reader had ended by itself"
        assert seconds < 8         # at once; the deadline of the read is far
    assert read(model(m), seconds=PROMPT * 3) == BIG
    assert m.alive()


def test_stop_with_hung_readers(tiny, mount):
    m = mount(tiny, timeout=120)
    assert lstat(model(m)).st_size == len(BIG)
    with tiny.fault(".", "hang"):
        ended = []
        readers = [threading.Thread(target=lambda p=path: ended.append(fails(read, p)), daemon=True)
                   for path in [model(m)] * 3 + [m.file("org/other", "x")]]
        for reader in readers:
            reader.start()
        time.sleep(1)
        m.stop()
        for reader in readers:
            reader.join(PROMPT)
    assert len(ended) == 4 and set(ended) <= {"EIO", "ENOTCONN", "ECONNABORTED"}, ended


def test_many_readers_of_a_hung_hub_do_not_block_others(tiny, mount):
    """Parked requests hold no worker: what is at hand is served beside them."""
    parts = {f"part{n:02}.safetensors": models.big_file(100_000, seed=n) for n in range(20)}
    tiny.repo("org/parts").commit(parts)
    m = mount(tiny, timeout=20)
    assert read(model(m)) == BIG and sealed(m, model(m))
    paths = [m.file("org/parts", name) for name in parts]
    assert lstat(paths[0]).st_size == 100_000
    with tiny.fault("org/parts/resolve/", "hang") as fault:
        ended = []
        for path in paths:
            threading.Thread(target=lambda p=path: ended.append(outcome(p, 60)), daemon=True).start()
        assert eventually(lambda: fault.hits >= 8)
        assert read(model(m), seconds=10) == BIG and read(m.file(REPO, "config.json"), seconds=10) == SMALL
        assert not ended
    assert eventually(lambda: len(ended) == len(paths), 60)
    assert {e[1] for e in ended} == set(parts.values()), [e[0] for e in ended]


def test_nothing_is_leaked(tiny, mount):
    m = mount(tiny)
    assert read(m.file(REPO, "config.json")) == SMALL
    baseline = None
    for turn in range(3):
        for n, (kind, args) in enumerate([("status", {}), ("reset", {}), ("cut_body", {"after_bytes": 50_000}), ("garbage", {}),
                                          ("html", {}), ("wrong_bytes", {}), ("redirect_loop", {}), ("empty_body", {})]):
            name = f"leak/t{turn}n{n}"
            data = models.big_file(200_000, seed=100 * turn + n)
            tiny.repo(name).commit({"w.bin": data})
            with tiny.fault(name, kind, **args):
                fails(read, m.file(name, "w.bin"), seconds=PROMPT)
            if kind != "wrong_bytes":
                heals(m, m.file(name, "w.bin"), data, at_once=False)
        if turn == 0:
            time.sleep(11)                  # idle threads have gone
            baseline = m.fds(), m.threads(), m.anonymous()
    # What is known of a blob under distrust stays, a descriptor or two each.
    assert eventually(lambda: m.threads() <= baseline[1] + 1 and m.fds() <= baseline[0] + 8, 40), \
        f"{baseline} then {m.fds(), m.threads(), m.anonymous()}"
    assert m.anonymous() < baseline[2] + (16 << 20) or "san" in str(PROGRAM)


# ---- a cache file that is cut while it is open ----

@pytest.mark.parametrize("cut", [None, 0, 300_005, 1 << 20, len(BIG) - 5])
@pytest.mark.parametrize("there", [True, False], ids=["hub", "no hub"])
def test_a_cache_file_that_is_cut_beneath_its_reader(hub, mount, cut, there):
    """Without passthrough its bytes go from the mapped file to the kernel: behind its end there is nothing, and in the last page zeros."""
    hub.repo(REPO).commit(FILES)
    m = mount(hub, passthrough=False, timeout=3)
    path = model(m)
    assert read(path) == BIG and sealed(m, path)
    blob = m.cached(xattr(path, "user.matrixfs.etag"))
    with open(path, "rb", buffering=0) as f:
        if not there:
            hub.down()
        if cut is not None:
            os.truncate(blob, cut)
        hub.clear_log()

        def got(at, size):
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            data = []
            error = within(PROMPT, lambda: fails(lambda: data.append(os.pread(f.fileno(), size, at))))
            return error or data[0]
        for at, size in [(0, 100), (300_000, 20), (2_000_000, 300_000), (len(BIG) - 100, 100), (0, 4096), (0, len(BIG))]:
            right, answer = BIG[at:at + size], got(at, size)
            if there or cut is None:
                assert answer == right, at
            else:
                assert answer == "EIO" or right.startswith(answer), at
    if cut is not None:
        hub.up()
        heals(m, path, BIG, at_once=False)
        assert m.logged("rotten chunks of etag=")
    else:
        assert not m.logged("rotten") and hub.bytes_sent(path_re="/resolve/") == 0
