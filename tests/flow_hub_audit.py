"""The audit trail and the access log of matrixhubd: what is recorded of what clients do, and what must never be."""
import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import re
import socket
import subprocess

import pytest

import models
from clients_hubd import Client
from clients_matrix import act
from hubd import HUBD
from mountlib import eventually

ROOT = pathlib.Path(__file__).parents[1]
MIB = 1 << 20
BIG = models.big_file(24 * MIB + 77, seed=901)
FILES = {"config.json": b'{"model_type": "bert"}', "empty.txt": b"", "w.safetensors": BIG}
BIG_PATH = "/org/tiny/resolve/main/w.safetensors"


def trail(h, kind=None):
    """All records that are on disk, in order."""
    lines = [line for p in sorted((h.data / "audit").glob("*.jsonl")) for line in p.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    return [r for r in records if kind in (None, r["kind"])]


def check_by_hand(h):
    """The chain, followed as docs/audit.md says, with sha256sum's sum alone."""
    prev, seq = "0" * 64, 0
    for p in sorted((h.data / "audit").glob("*.jsonl")):
        for line in p.read_bytes().splitlines():
            body, _, tail = line.rpartition(b',"hash":"')
            prev = hashlib.sha256(prev.encode() + body).hexdigest()
            assert tail == prev.encode() + b'"}'
            seq += 1
            assert json.loads(line)["seq"] == seq
    return seq


def add_user(h, name):
    return h.ask("/api/admin/v1/users", "POST", json.dumps({"name": name}), h.admin_token, Content_Type="application/json").status


def verify(h):
    return h.ask("/api/admin/v1/audit/verify", token=h.admin_token).json


def stop(h):
    h.stop()
    return trail(h, "download")


# ---- downloads ----

def test_a_download_is_one_record_with_who_what_and_how_much(tiny, hubd):
    h = hubd(tiny)
    got = h.ask(BIG_PATH, token=h.admin_token, User_Agent="agent/1", X_Request_Id="mine-1")
    assert got.body == BIG
    assert eventually(lambda: trail(h, "download"), 5)  # whole: told at once, not when it is idle
    [r] = trail(h, "download")
    assert {k: r[k] for k in ("user", "address", "repo", "commit", "file", "bytes", "size", "requests", "status", "outcome",
                              "given", "agent")} == {
        "user": "admin", "address": "127.0.0.1", "repo": "models/org/tiny", "commit": got.headers["x-repo-commit"],
        "file": "w.safetensors", "bytes": len(BIG), "size": len(BIG), "requests": 1, "status": 200, "outcome": "done",
        "given": "mine-1", "agent": "agent/1"}
    assert re.fullmatch("[0-9a-f]{16}", r["request"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r["time"])
    h.stop()
    kinds = [(r["kind"], r.get("act")) for r in trail(h)]
    assert kinds == [("segment", None), ("hub", "start"), ("download", None), ("hub", "stop")]
    assert check_by_hand(h) == 4


def test_what_is_no_download_is_no_record(tiny, hubd):
    h = hubd(tiny)
    for path in "/api/models/org/tiny", "/api/models/org/tiny/tree/main", "/org/tiny/resolve/main/nothing", "/healthz":
        h.ask(path)
    etag = h.ask(BIG_PATH, "HEAD").headers["etag"]
    assert h.ask(BIG_PATH, If_None_Match=etag).status == 304
    assert stop(h) == []


@pytest.mark.parametrize("state", ["cold", "hot"])
def test_the_ranges_of_many_connections_are_one_download(tiny, hubd, state):
    """As aria2c -x16 does."""
    h = hubd(tiny)
    if state == "hot":
        assert h.ask(BIG_PATH, User_Agent="first").body == BIG
        assert eventually(lambda: trail(h, "download"), 5)
    step = len(BIG) // 16 + 1
    ranges = [(a, min(a + step, len(BIG))) for a in range(0, len(BIG), step)]

    def piece(ab):
        return h.ask(BIG_PATH, Range=f"bytes={ab[0]}-{ab[1] - 1}").body
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert b"".join(pool.map(piece, ranges)) == BIG
    records = stop(h)
    assert len(records) == 1 + (state == "hot")
    assert records[-1]["requests"] == 16 and records[-1]["bytes"] == len(BIG) and records[-1]["outcome"] == "done"


def test_a_part_and_several_ranges_count_their_bytes(tiny, hubd):
    h = hubd(tiny)
    assert h.ask(BIG_PATH, Range="bytes=5-9,1000-1999").status == 206
    assert h.ask(BIG_PATH, Range="bytes=-100").status == 206
    [r] = stop(h)
    assert r["bytes"] == 5 + 1000 + 100 and r["requests"] == 2 and r["outcome"] == "part"


def test_an_empty_file_is_a_download(tiny, hubd):
    h = hubd(tiny)
    assert h.ask("/org/tiny/resolve/main/empty.txt").status == 200
    [r] = stop(h)
    assert r["bytes"] == 0 and r["size"] == 0 and r["outcome"] == "done"


@pytest.mark.parametrize("state", ["cold", "hot"])
def test_a_client_that_leaves_got_what_it_took(tiny, hubd, state):
    h = hubd(tiny)
    if state == "hot":
        assert h.ask(BIG_PATH, User_Agent="first").body == BIG
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        s.connect(("127.0.0.1", h.port))
        s.sendall(f"GET {BIG_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = 0
        while got < MIB:
            got += len(s.recv(65536))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    records = stop(h)
    r = records[-1]
    assert r["outcome"] == "cut" and "the connection broke" in r["why"]
    assert MIB // 2 <= r["bytes"] <= got + 4 * MIB and r["bytes"] < len(BIG)


def test_a_wrong_digest_is_a_cut_download(tiny, hubd):
    h = hubd(tiny)
    with tiny.fault("GET .*/resolve/.*w.safetensors", "wrong_bytes", offset=1_500_000, times=1):
        with pytest.raises(http.client.IncompleteRead):
            h.ask(BIG_PATH)
    r = stop(h)[-1]
    assert r["outcome"] == "cut" and r["bytes"] < len(BIG) and "digest" in r["why"]


@pytest.mark.parametrize("version", ["0.30", "2.4"])
def test_what_huggingface_hub_downloads_is_one_record_a_file(tiny, hubd, tmp_path, version):
    h = hubd(tiny)
    client = Client(tmp_path, version, h.url, h.admin_token)
    [got] = client(act("snapshot", tiny.repo("org/tiny")))
    assert got.error is None
    records = stop(h)
    told = {r["file"]: (r["bytes"], r["outcome"], r["user"]) for r in records if r["file"] in FILES}
    assert told == {name: (len(data), "done", "admin") for name, data in FILES.items() if data}
    assert len(records) == len(told)  # of an empty file it asks for nothing but the head
    assert all("hf_hub/" in r["agent"] for r in records)


# ---- refusals ----

def test_refused_credentials_are_recorded_and_a_flood_of_them_counted(tiny, hubd):
    h = hubd(tiny)
    for n in range(50):
        assert h.ask("/api/models/org/tiny", token=f"hf_wrong{n}").status in (401, 429)
    assert eventually(lambda: trail(h, "signin"), 5)
    h.stop()
    first, *rest = trail(h, "signin")
    assert first["outcome"] == "refused" and first["status"] == 401 and first["address"] == "127.0.0.1" and first["request"]
    assert "user" not in first
    assert sum(r.get("requests", 1) for r in rest) == 49 and len(rest) <= 2


def test_who_may_not_administer_is_refused_on_record(tiny, hubd):
    h = hubd(tiny)
    assert add_user(h, "ann") == 201
    users = "/api/admin/v1/users"
    made = h.ask("/api/admin/v1/tokens", "POST", json.dumps({"user": "ann", "name": "laptop", "role": "admin"}), h.admin_token,
                 Content_Type="application/json").json
    for _ in range(30):
        assert h.ask(f"{users}?cursor=x").status == 401
    assert h.ask(users, "DELETE", token="hf_wrong").status == 401
    assert h.ask(f"{users}/ann", "DELETE", token=made["token"]).status == 403
    assert h.ask(users, token=h.admin_token).status == 200
    h.stop()
    refused = [(r.get("user"), r.get("token"), r["status"], r.get("note"), r.get("requests", 1)) for r in trail(h, "admin")
               if r["outcome"] == "refused"]
    assert refused == [(None, None, 401, f"GET {users}", 1), ("ann", "laptop", 403, f"DELETE {users}/ann", 1),
                       (None, None, 401, f"GET {users}", 30)]  # the last are one: the first of them was told alone
    assert [(r["act"], r["outcome"], r["user"]) for r in trail(h, "admin") if r["outcome"] != "refused"] == [
        ("user.add", "done", "admin"), ("token.add", "done", "admin")]
    assert trail(h, "signin") == []


def test_files_nobody_may_have_are_refused_on_record(hub, hubd):
    hub.repo("org/shut", gated=True).commit(FILES)
    h = hubd(hub)
    assert h.ask("/org/shut/resolve/main/config.json").status in (401, 403)
    [r] = stop(h)
    assert r["outcome"] == "refused" and r["repo"] == "models/org/shut" and r["file"] == "config.json" and r["status"] in (401, 403)


# ---- secrets ----

def test_no_secret_is_in_any_record_or_log(tiny, hubd, tmp_path):
    h = hubd(tiny, args=[f"--access-log={tmp_path}/access.log", "--log-level=debug"])
    secrets = ["hf_" + c * 34 for c in "abcdef"]
    a, b, c, d, e, f = secrets
    h.ask(BIG_PATH, token=h.admin_token)
    h.ask(BIG_PATH, token=a)
    h.ask(f"{BIG_PATH}?token={b}&X-Amz-Signature={c}&{d}")
    h.ask("/api/models/org/tiny", Authorization=f"Basic {e}")
    h.ask("/api/whoami-v2", Cookie=f"token={f}")
    h.stop()
    texts = [p.read_text() for p in (h.data / "audit").iterdir()] + [(tmp_path / "access.log").read_text(), h.log_text()]
    assert len(trail(h)) >= 5 and texts[-2].count("\n") == 5
    for secret in [*secrets, h.admin_token]:
        assert not any(secret in text for text in texts)


# ---- crashes, full disks, options ----

def test_a_kill_loses_no_download_that_was_told(tiny, hubd):
    h = hubd(tiny)
    assert h.ask(BIG_PATH).status == 200
    assert eventually(lambda: trail(h, "download"), 5)
    assert h.ask(BIG_PATH, Range="bytes=0-99").status == 206
    saved = h.data / "audit" / "open"
    assert eventually(lambda: saved.exists() and b'"bytes":100' in saved.read_bytes(), 5)
    h.kill()
    again = hubd(tiny, data=h.data)
    again.stop()
    whole, part = trail(again, "download")
    assert part["outcome"] == "cut" and "killed" in part["note"] and not (h.data / "audit" / "open").exists()
    assert whole["outcome"] == "done" and part["bytes"] == 100
    assert check_by_hand(again) >= 5


@pytest.fixture
def small_disk(tmp_path):
    """A data directory whose audit trail lies on a disk of a megabyte."""
    data = tmp_path / "data"
    audit = data / "audit"
    audit.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", audit], check=True)
    yield data
    subprocess.run(["umount", "-l", audit], check=True)


@pytest.mark.parametrize("mode", ["on", "strict"])
def test_a_full_disk_is_told_and_with_strict_gives_no_file(tiny, hubd, small_disk, mode):
    h = hubd(tiny, data=small_disk, args=[f"--audit={mode}"])
    assert h.ask("/org/tiny/resolve/main/config.json").status == 200
    assert h.ask("/readyz").json["audit_writable"]
    filler = small_disk / "audit" / "filler"
    with filler.open("wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(b"\0" * 4096)

    def full():
        h.ask("/org/tiny/resolve/main/config.json", User_Agent="x" * 500)
        return not h.ask("/readyz").json["audit_writable"]
    # What was reserved is used up first.
    assert "\nmatrixfs_audit_writable 1\n" in h.ask("/metrics").body.decode()
    assert eventually(lambda: any(full() for _ in range(50)), 20, 0.1)
    got = h.ask("/readyz")
    assert got.json["degraded"] and "\nmatrixfs_audit_writable 0\n" in h.ask("/metrics").body.decode()
    assert h.ask("/org/tiny/resolve/main/config.json").status == (200 if mode == "on" else 507)
    assert h.ask("/org/tiny/resolve/main/config.json", "HEAD").status == 200
    assert add_user(h, "ann") == 507 and h.ask("/api/admin/v1/users/ann", token=h.admin_token).status == 404
    if mode == "on":  # and what no disk took is counted
        assert eventually(lambda: any(full() for _ in range(50)) and h.logged("trail cannot be written: changes are refused"), 20, 0.1)
        h.stop()
        [count] = re.findall(r"the last events could not be recorded events=(\d+)", h.log_text())
        filler.unlink()
        h = hubd(tiny, data=small_disk)
        assert eventually(lambda: [r["requests"] for r in trail(h, "hub") if r["act"] == "lost"] == [int(count)], 5)
    else:
        filler.unlink()
    assert eventually(lambda: h.ask("/readyz").json["audit_writable"], 10)
    assert h.ask("/org/tiny/resolve/main/config.json").status == 200
    assert add_user(h, "ann") == 201
    h.stop()
    check_by_hand(h)
    assert sum(r["act"] == "lost" for r in trail(h, "hub")) == (mode == "on")


def test_without_an_audit_nothing_is_recorded(tiny, hubd):
    h = hubd(tiny, args=["--audit=off"])
    assert h.ask(BIG_PATH).body == BIG
    h.stop()
    assert not (h.data / "audit").exists()


def test_who_changed_the_trail_is_told_of_at_the_next_start(tiny, hubd):
    h = hubd(tiny)
    assert h.ask(BIG_PATH).status == 200
    h.stop()
    [segment] = (h.data / "audit").glob("*.jsonl")
    lines = segment.read_text().splitlines(keepends=True)
    segment.write_text("".join(lines[:-2]))
    again = hubd(tiny, data=h.data)
    assert again.logged("the audit trail was changed missing=2")
    again.stop()
    assert "2 records are missing" in trail(again, "hub")[-2]["note"]


@pytest.mark.parametrize("taken", [0, 2])
def test_an_end_that_was_taken_with_its_head_is_missed(tiny, hubd, taken):
    """All that DIR/audit holds fits together again: the hub's metadata know better."""
    h = hubd(tiny)
    assert h.ask(BIG_PATH).status == 200
    h.stop()
    [segment] = (h.data / "audit").glob("*.jsonl")
    lines = segment.read_text().splitlines(keepends=True)
    lines = lines[:len(lines) - taken]
    segment.write_text("".join(lines))
    last = json.loads(lines[-1])
    head = json.dumps({"segment": 1, "seq": last["seq"], "hash": last["hash"]}, separators=(",", ":"))
    (h.data / "audit" / "head").write_text(head.ljust(127) + "\n")
    again = hubd(tiny, data=h.data)
    assert eventually(lambda: again.logged("the audit trail reaches"), 5)
    got = verify(again)
    assert [p["text"] for p in got["problems"]] == (["records 3 to 4 are missing"] if taken else []) and got["whole"] == (not taken)
    assert got["witness_seq"] >= 4 and again.logged(f"the audit trail reaches seq={got['last_seq']} hash={got['hash']}")
    assert bool(taken) == again.logged("the audit trail was changed missing=2")


def test_addresses_come_from_proxies_that_are_trusted_alone(tiny, hubd):
    """Links as well: by default a proxy is trusted that is on this machine."""
    tree = "/api/models/org/tiny/tree/main?limit=1"
    for args, address, origin in ([], "198.51.100.7", "https://hub.example/hf"), \
                                 (["--trusted-proxy="], "127.0.0.1", "http://asked.example"), \
                                 (["--trusted-proxy=192.0.2.0/24"], "127.0.0.1", "http://asked.example"):
        h = hubd(tiny, args=args)
        said = dict(Host="asked.example", X_Forwarded_For="1.2.3.4, 198.51.100.7", X_Forwarded_Proto="https",
                    X_Forwarded_Host="evil.example, hub.example", X_Forwarded_Prefix="/hf")
        h.ask("/org/tiny/resolve/main/config.json", **said)
        assert h.ask(tree, **said).headers["link"].startswith(f"<{origin}/api/"), args
        assert stop(h)[0]["address"] == address
    done = subprocess.run([HUBD, "--trusted-proxy=x"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "trusted-proxy" in done.stderr


# ---- the access log ----

def test_the_access_log_has_a_line_for_each_request(tiny, hubd, tmp_path):
    log = tmp_path / "access.log"
    h = hubd(tiny, args=[f"--access-log={log}"])
    # A line is written when both sides are done with a request, which the next one could overtake.
    for n, (target, kw) in enumerate([("/healthz", {"User_Agent": 'a"b', "X_Request_Id": "my-own"}), (BIG_PATH, {"method": "HEAD", "token": h.admin_token}),
                                      (BIG_PATH, {"Range": "bytes=10-29"}), ("/api/models/none/such?token=x&limit=3", {})], 1):
        h.ask(target, **kw)
        assert eventually(lambda: len(log.read_text().splitlines()) == n)
    h.stop()
    pattern = re.compile(r'127\.0\.0\.1 - (\S+) \[[^]]+\] "(\S+) (\S+) HTTP/1\.1" (\d+) (\d+) "-" "([^"]*)" "(\S*[0-9a-f]{16})" (\d+\.\d{6})')
    lines = [pattern.fullmatch(line).groups()[:7] for line in log.read_text().splitlines()]
    assert [line[:4] for line in lines] == [
        ("-", "GET", "/healthz", "200"), ("admin", "HEAD", BIG_PATH, "200"), ("-", "GET", BIG_PATH, "206"),
        ("-", "GET", "/api/models/none/such?token=-&limit=3", "401")]
    assert [line[4] for line in lines][:3] == [str(len('{"status":"ok"}')), "0", "20"] and int(lines[3][4]) > 0
    assert lines[0][5] == r"a\x22b" and lines[0][6].startswith("my-own;") and ";" not in lines[1][6]


# ---- what docs/audit.md says ----

def test_the_chain_can_be_checked_with_a_shell_as_the_documentation_says(tiny, hubd):
    h = hubd(tiny)
    h.ask(BIG_PATH, User_Agent='back\\slash "quote"')
    h.stop()
    text = (ROOT / "docs" / "audit.md").read_text()
    script = re.search(r"```sh\n(.*?)```", text, re.S)[1].replace("DIR/", f"{h.data}/")

    def check():
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
    assert check() == ""
    [segment] = (h.data / "audit").glob("*.jsonl")
    segment.write_text(segment.read_text().replace(f'"bytes":{len(BIG)}', f'"bytes":{len(BIG) - 1}'))
    assert '"seq":3' in check()
