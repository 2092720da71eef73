"""The control socket against reality: what it says is compared with the scripted hub's own books and with the disk."""
import itertools
import os
import re
import signal
import socket
import stat as stat_bits
import subprocess
import threading
import time

import pytest

import models
from control import Control
from flow_faults import small_disk
from flow_keep import full
from hub import Hub
from mountlib import DEADLINE, eventually, fails, names, read, stat, within, xattr

MIB = 1 << 20
BIG = models.big_file(6 * MIB + 77, seed=91)
OTHER = models.big_file(2 * MIB, seed=92)
SMALL = b'{"model_type": "bert"}'
FILES = {"config.json": SMALL, "model.safetensors": BIG, "sub/other.safetensors": OTHER}
REPO = "org/tiny"
BYTES = "GET .*/resolve/"
TOKEN = "hf_" + "Secret" * 6


@pytest.fixture
def tiny(hub):
    hub.commit = hub.repo(REPO).commit(FILES)
    return hub


def weights(m):
    return m.file(REPO, "model.safetensors")


def sealed(path):
    return eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1", DEADLINE)


def background(call, *args, **kw):
    """Runs a call in a thread; the function that waits for its end."""
    done = []
    thread = threading.Thread(target=lambda: done.append(fails(call, *args, **kw)), daemon=True)
    thread.start()

    def wait():
        thread.join(DEADLINE)
        assert done, "it never ended"
        return done[0]
    return wait


# ---- the socket ----

def test_the_socket_is_its_owners_alone(tiny, mount):
    m = mount(tiny)
    st = os.lstat(m.cache / "control")
    assert stat_bits.S_ISSOCK(st.st_mode) and stat_bits.S_IMODE(st.st_mode) == 0o600 and st.st_uid == os.geteuid()
    assert Control(m).ask("GET", "/healthz")[::2] == (200, "ok\n")
    m.stop()
    assert not (m.cache / "control").exists()


def test_it_survives_a_kill_and_a_restart(tiny, mount, tmp_path):
    m = mount(tiny, cache=tmp_path / "cache")
    first = Control(m).get("/v1/status")["pid"]
    m.crash()
    assert (m.cache / "control").is_socket()
    m = mount(tiny, cache=tmp_path / "cache", root=m.root)
    assert Control(m).get("/v1/status")["pid"] == m.pid != first


def test_a_second_instance_is_refused_before_it_takes_the_socket(tiny, mount):
    m = mount(tiny)
    second = mount(tiny, cache=m.cache, expect_fail=True)
    assert second.status == 1 and str(m.pid) in second.log_text()
    assert Control(m).get("/v1/status")["pid"] == m.pid


def test_what_lies_in_the_way_is_not_removed(tiny, mount, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/control").write_text("mine")
    m = mount(tiny, cache=tmp_path / "cache", expect_fail=True)
    assert m.status == 1 and f"cannot listen on {tmp_path}/cache/control: there is something that is no socket; move it" in m.log_text()
    assert (tmp_path / "cache/control").read_text() == "mine"


def test_it_stops_under_streams_and_requests(tiny, mount):
    m = mount(tiny, timeout=30)
    c = Control(m)
    tiny.fault(f"{BYTES}|never-seen", "hang")
    job = c.post("/v1/pull", {"repo": REPO})
    seen = c.events(job["id"])
    assert next(seen)[0] == "progress"
    asking = background(c.ask, "GET", "/v1/why?path=files/org/never-seen/x")
    time.sleep(0.3)
    m.stop(seconds=10)
    list(seen)          # the stream has an end
    asking()


# ---- the address ----

def listening(pid):
    """TCP ports a process listens on."""
    inodes = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    ports = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            for words in map(str.split, itertools.islice(lines, 1, None)):
                if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                    ports.append(int(words[1].rpartition(":")[2], 16))
    return ports


def test_monitoring_may_listen_on_an_address_and_change_nothing(tiny, mount):
    m = mount(tiny, args=["--control-listen=127.0.0.1:0"])
    [port] = listening(m.pid)
    c = Control(m, port)
    assert c.ask("GET", "/healthz")[0] == 200 and c.get("/v1/status")["pid"] == m.pid
    assert c.transfers() == [] and "used" in c.get("/v1/cache") and c.metrics().value("build_info") == 1
    for method, target in [("POST", "pull"), ("POST", "pin"), ("POST", "unpin"), ("POST", "evict"), ("POST", "scrub"),
                           ("GET", "jobs"), ("PUT", "limits"), ("GET", "why?path=files"), ("DELETE", "jobs/1")]:
        assert c.refused(method, f"/v1/{target}", {"repo": REPO}) == (404, "no_endpoint")
    assert tiny.requests() == []


def test_silent_clients_do_not_blind_monitoring(tiny, mount):
    m = mount(tiny, args=["--control-listen=127.0.0.1:0"])
    [port] = listening(m.pid)
    c = Control(m, port)
    clients = []
    try:
        for i in range(400):
            clients.append(socket.create_connection(("127.0.0.1", port), DEADLINE))
            clients[-1].sendall((b"", b"GET /metrics HTTP/1.1\r\nHo", b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")[i % 3])
        begun = time.monotonic()
        assert c.metrics().value("build_info") == 1
        assert time.monotonic() - begun < 2
        clients[0].settimeout(2)
        assert clients[0].recv(1) == b""        # who has been silent for longest made room
        clients[-3].settimeout(15)
        assert clients[-3].recv(1) == b"" and time.monotonic() - begun < 14      # and the others do not stay for ever
    finally:
        for client in clients:
            client.close()


def test_a_target_may_name_its_host(tiny, mount):
    c = Control(mount(tiny))
    assert c.get("http://control/v1/status")["cache"] == c.get("/v1/status")["cache"]
    assert c.refused("GET", "http://control/v1/none") == (404, "no_endpoint")


def test_a_request_that_makes_no_sense_is_refused(tiny, mount):
    """What the library refuses before we see it has the right status, but not our words (docs/control.md)."""
    m = mount(tiny, args=["--control-listen=127.0.0.1:0"])
    [port] = listening(m.pid)

    def says(request):
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as s:
            s.sendall(request)
            answer = b""
            while part := s.recv(65536):
                answer += part
        return int(answer.split()[1]), b"application/json" in answer
    assert says(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")[0] == 400
    assert says(b"BREW /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == (405, True)
    assert says(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n") == (405, True)   # decided by its head
    assert says(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n") == (413, True)
    assert says(b"GET /healthz HTTQ/1.1\r\n\r\n")[0] == 400
    assert says(b"GET /healthz HTTP/2.0\r\n\r\n")[0] == 505
    assert says(b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\n\r\n")[0] == 414
    assert says(b"GET / HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n")[0] == 431
    assert Control(m, port).ask("GET", "/healthz")[0] == 200


def test_without_it_no_port_is_opened(tiny, mount):
    assert listening(mount(tiny).pid) == []


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:http"])
def test_what_is_no_address_stops_the_start_before_anything_is_made(tiny, mount, tmp_path, address):
    m = mount(tiny, cache=tmp_path / "none", args=[f"--control-listen={address}"], expect_fail=True)
    assert m.status == 2 and f'"{address}" of "control-listen"' in m.log_text() and "ADDRESS:PORT" in m.log_text()
    assert not (tmp_path / "none").exists()


def test_a_port_that_is_taken_stops_the_start(tiny, mount):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        m = mount(tiny, args=[f"--control-listen={address}"], expect_fail=True)
    assert m.status == 1 and f"cannot listen on {address}: Address already in use" in m.log_text()


# ---- status ----

def test_status_says_what_runs(tiny, mount):
    m = mount(tiny, timeout=7, args=["--cache-size=1GiB"])
    s = Control(m).get("/v1/status")
    assert s["pid"] == m.pid and s["mountpoint"] == str(m.root) and s["cache"] == str(m.cache) and not s["offline"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", s["version"]) and abs(s["since"] - time.time()) < 60
    assert s["limits"]["cache_size"] == 1 << 30 and s["limits"]["timeout_seconds"] == 7
    assert s["passthrough"] is (s["passthrough_why_not"] is None)
    assert [h["url"] for h in s["hubs"]] == [tiny.url] and s["hubs"][0]["state"] == "unknown"
    s = Control(mount(tiny, passthrough=False)).get("/v1/status")
    assert (s["passthrough"], s["passthrough_why_not"]) == (False, "switched off")
    assert s["verify"] == "stream"
    s = Control(mount(tiny, args=["--offline", "--verify=strict"])).get("/v1/status")
    assert s["hubs"] == [] and s["offline"] and s["verify"] == "strict"


def test_status_tells_how_the_hubs_are(tiny, mount):
    m = mount(tiny, args=["--ref-ttl=0"])
    c = Control(m)
    assert read(m.file(REPO, "config.json")) == SMALL
    [h] = c.get("/v1/status")["hubs"]
    assert h["state"] == "ok" and abs(h["last_ok"] - time.time()) < 30 and h["last_error"] is None
    tiny.down()
    assert fails(stat, m.file("org/other")) == "EIO"
    [h] = c.get("/v1/status")["hubs"]
    assert h["state"] == "down" and h["down_seconds"] > 0 and abs(h["last_failure"] - time.time()) < 30
    assert "connect" in h["last_error"].lower()
    assert c.metrics().value("source_up", source=tiny.url) == 0
    tiny.up()
    assert eventually(lambda: fails(stat, m.file("org/other")) == "ENOENT", 20)
    assert c.get("/v1/status")["hubs"][0]["state"] == "ok" and c.metrics().value("source_up", source=tiny.url) == 1


# ---- transfers ----

def test_transfers_show_a_slow_download_and_are_gone_after_it(tiny, mount):
    m = mount(tiny, timeout=30)
    c = Control(m)
    assert c.transfers() == []
    stat(weights(m))
    tiny.rate(400_000)
    ended = background(read, weights(m))
    seen = []
    while not seen or (seen[-1][1]["percent"] < 60 and len(seen) < 200):
        for t in c.transfers():
            if t["path"] == "model.safetensors":
                seen.append((tiny.bytes_sent(path_re="/resolve/"), t, tiny.bytes_sent(path_re="/resolve/"), time.monotonic()))
        time.sleep(0.1)
    for before, t, after, _ in seen:
        assert t["repo"] == f"models/{REPO}" and t["size"] == len(BIG) and t["commit"] == tiny.commit
        assert t["percent"] == pytest.approx(100 * t["present"] / t["size"]) and t["readers"] >= 1
        assert t["present"] <= after + 1 and t["present"] >= before - 4 * MIB       # the wire holds some of it
        assert t["class"] in ("demand", "ahead")
    last = seen[-1][1]
    assert last["source"] == tiny.url and last["waiting"] >= 1 and last["requests"] >= 1 and last["silent_seconds"] < 3
    assert [t["present"] for _, t, _, _ in seen] == sorted(t["present"] for _, t, _, _ in seen)
    late = [s for s in seen if s[3] > seen[0][3] + 1.5]
    if late:
        flow = (late[-1][1]["present"] - seen[0][1]["present"]) / (late[-1][3] - seen[0][3])
        assert flow / 2.5 < late[-1][1]["bytes_per_second"] < flow * 2.5
    assert c.metrics().value("bytes_in_flight") > 0 and c.metrics().value("waiting_reads") >= 1
    tiny.rate(None)
    assert ended() is None
    assert eventually(lambda: c.transfers() == [], DEADLINE) == [] or c.transfers() == []
    assert c.metrics().value("bytes_in_flight") == 0


# ---- why ----

def test_why_knows_absent_partial_and_sealed(tiny, mount):
    m = mount(tiny, timeout=10)
    c = Control(m)
    stat(weights(m))
    w = c.why(weights(m))
    assert (w["kind"], w["repo"], w["path"], w["commit"]) == ("file", f"models/{REPO}", "model.safetensors", tiny.commit)
    assert (w["state"], w["percent"], w["present"], w["size"], w["source"]) == ("absent", 0, 0, len(BIG), None)
    assert w["reads_hit"] == w["reads_waited"] == 0 and w["readers"] == [] and not w["pinned"] and w["last_error"] is None
    read(weights(m), 0, 1000, step=1000)
    eventually(lambda: c.why(weights(m))["transfer"] is None)
    w = c.why(weights(m))
    assert w["state"] == "partial" and 0 < w["percent"] < 100 and w["present"] == int(xattr(weights(m), "user.matrixfs.present"))
    assert w["reads_waited"] >= 1
    reader = subprocess.Popen(["tail", "-c", "1", "-f", str(weights(m))], stdout=subprocess.DEVNULL)
    try:
        assert eventually(lambda: reader.pid in c.why(weights(m))["readers"])
        assert c.why(weights(m))["opens"] == 1
    finally:
        reader.kill()
        reader.wait()
    assert read(weights(m)) == BIG and sealed(weights(m))
    w = c.why(weights(m))
    assert (w["state"], w["verified"], w["percent"], w["source"]) == ("sealed", True, 100, tiny.url)
    assert w["etag"] == xattr(weights(m), "user.matrixfs.etag") and eventually(lambda: c.why(weights(m))["readers"] == [])


def test_why_takes_every_way_to_a_file(tiny, mount):
    m = mount(tiny)
    c = Control(m)
    commit = m.commit(REPO)
    etag = c.why(weights(m))["etag"]
    for path in (weights(m).relative_to(m.root), m.snapshot(REPO, commit) / "model.safetensors", m.blob(REPO, etag),
                 f"{m.root}//files/./{REPO}/model.safetensors"):
        assert c.why(path)["etag"] == etag, path
    assert c.why(m.snapshot(REPO, commit) / "model.safetensors")["kind"] == "link"
    assert c.why(m.repo(REPO))["kind"] == "repository" and c.why(m.ref(REPO))["kind"] == "ref"
    assert c.why(m.root)["kind"] == "directory" and "etag" not in c.why(m.root)


def test_why_says_what_it_cannot_know(tiny, mount):
    m = mount(tiny)
    c = Control(m)
    assert c.refused("GET", "/v1/why?path=files/org/tiny/none") == (404, "not_found")
    assert c.refused("GET", "/v1/why?path=files/org/never") == (404, "not_found")
    assert c.refused("GET", "/v1/why?path=/etc/passwd") == (400, "bad_request")
    assert c.refused("GET", "/v1/why?path=files/../../etc") == (400, "bad_request")
    assert c.refused("GET", "/v1/why?path=files/org/tiny/%00") == (404, "not_found")
    assert c.refused("GET", "/v1/why") == (400, "bad_request")
    tiny.down()
    status, _ = c.refused("GET", "/v1/why?path=files/org/unseen/x")
    assert status in (502, 504)
    assert c.why(m.file(REPO, "config.json"))["state"] == "absent"      # what is known needs no hub


def test_what_does_not_move_says_since_when_and_why(tiny, mount):
    m = mount(tiny, timeout=20)
    c = Control(m)
    stat(weights(m))
    with tiny.fault(BYTES, "status", code=503):
        ended = background(read, weights(m), 0, 1000, step=1000)

        def stuck():
            found = [t for t in c.transfers() if t["path"] == "model.safetensors"]
            return found and found[0]["silent_seconds"] >= 3 and found[0]
        t = eventually(stuck, DEADLINE)
        assert t, c.transfers()
        assert "HTTP 503" in t["last_error"]["message"] and t["last_error"]["source"] == tiny.url and t["waiting"] >= 1
        assert "HTTP 503" in c.why(weights(m))["last_error"]["message"]
    assert ended() is None
    assert read(weights(m)) == BIG


def test_why_remembers_the_last_failure(tiny, mount):
    m = mount(tiny)
    c = Control(m)
    stat(weights(m))
    with tiny.fault(BYTES, "status", code=503):
        assert fails(read, weights(m)) == "EIO"
    w = c.why(weights(m))
    assert "HTTP 503" in w["last_error"]["message"] and w["last_error"]["source"] == tiny.url
    assert abs(w["last_error"]["at"] - time.time()) < 30
    assert c.why(m.file(REPO, "config.json"))["last_error"] is None


# ---- pins, pulls, jobs ----

def test_a_pin_fetches_all_and_its_progress_can_be_watched(tiny, mount):
    m = mount(tiny, timeout=10)
    c = Control(m)
    tiny.rate(4_000_000)
    job = c.post("/v1/pin", {"repo": REPO})
    assert job["kind"] == "pin" and job["what"] == f"models/{REPO}@main"
    events = list(c.events(job["id"]))
    assert [e for e, _ in events] == ["progress"] * (len(events) - 1) + ["end"] and len(events) >= 3
    for key in ("files_done", "bytes_done"):
        assert [j[key] for _, j in events] == sorted(j[key] for _, j in events)
    end = events[-1][1]
    assert (end["state"], end["error"]) == ("done", None)
    assert (end["files_done"], end["bytes_done"]) == (len(FILES), sum(map(len, FILES.values())))
    assert c.get(f"/v1/jobs/{job['id']}") == end and end in c.get("/v1/jobs")["jobs"]
    assert tiny.bytes_sent(path_re="/resolve/") == sum(map(len, FILES.values()))
    tiny.clear_log()
    for name, data in FILES.items():
        w = c.why(m.file(REPO, name))
        assert (w["state"], w["pinned"]) == ("sealed", True) and read(m.file(REPO, name)) == data
    assert tiny.bytes_sent(path_re="/resolve/") == 0
    # What is pinned stays; what is no longer pinned goes.
    assert c.get("/v1/cache")["pins"][0]["commit"] == tiny.commit
    assert c.post("/v1/evict", {"repo": REPO})["freed_bytes"] == 0
    assert c.post("/v1/unpin", {"repo": REPO, "revision": "main"}) == {}
    assert c.refused("POST", "/v1/unpin", {"repo": REPO}) == (404, "no_pin")
    assert c.post("/v1/evict", {"repo": REPO})["freed_bytes"] >= len(BIG)
    assert c.why(weights(m))["state"] == "absent" and c.get("/v1/cache")["used"]["blobs"] == 0
    assert c.metrics().value("evicted_blobs_total") == len(FILES)
    assert read(weights(m)) == BIG


def test_a_pin_that_a_full_disk_does_not_take_is_refused(tiny, mount, tmp_path):
    with small_disk(tmp_path / "disk", "32m") as disk:
        m = mount(tiny, cache=disk / "cache")
        c = Control(m)
        with full(disk):
            assert c.refused("POST", "/v1/pin", {"repo": REPO}) == (507, "no_space")
            assert c.get("/v1/cache")["pins"] == []
        assert c.finish(c.post("/v1/pin", {"repo": REPO}))["state"] == "done"
        m.stop()


def test_a_pin_outlives_its_job(tiny, mount, tmp_path):
    m = mount(tiny, cache=tmp_path / "cache")
    c = Control(m)
    tiny.rate(200_000)
    job = c.post("/v1/pin", {"repo": REPO})
    c.get(f"/v1/jobs/{job['id']}", "DELETE")
    assert c.finish(job)["state"] == "canceled" and len(c.get("/v1/cache")["pins"]) == 1
    m.stop()
    tiny.rate(None)
    c = Control(mount(tiny, cache=tmp_path / "cache", root=m.root))
    assert eventually(lambda: [j["state"] for j in c.get("/v1/jobs")["jobs"]] == ["done"], 20)


def test_offline_what_is_not_here_is_said_to_be_so(tiny, mount):
    c = Control(mount(tiny, args=["--offline"]))
    assert c.refused("GET", "/v1/why?path=files/org/tiny/x") == (503, "offline")
    end = c.finish(c.post("/v1/pull", {"repo": REPO}))
    assert end["state"] == "failed" and "--offline" in end["error"]
    assert c.refused("POST", "/v1/evict", {"repo": REPO}) == (404, "no_repository")


def test_a_pull_that_cannot_be_had_says_so(tiny, mount):
    m = mount(tiny)
    c = Control(m)
    end = c.finish(c.post("/v1/pull", {"repo": "org/none"}))
    assert end["state"] == "failed" and "no such repository" in end["error"]
    assert c.refused("POST", "/v1/pull", {"repo": "nonsense/"}) == (400, "bad_request")
    assert c.refused("POST", "/v1/pull", ["x"]) == (400, "bad_request")
    assert c.refused("GET", "/v1/jobs/77") == (404, "no_job")


def test_a_job_can_be_canceled(tiny, mount):
    m = mount(tiny, timeout=10)
    c = Control(m)
    tiny.rate(200_000)
    job = c.post("/v1/pull", {"repo": REPO})
    assert eventually(c.transfers) and c.transfers()[0]["class"] == "background"
    c.get(f"/v1/jobs/{job['id']}", "DELETE")
    assert c.finish(job)["state"] == "canceled"
    assert c.refused("DELETE", f"/v1/jobs/{job['id']}") == (409, "not_running")
    tiny.rate(None)
    assert read(weights(m)) == BIG


def test_a_scrub_reads_all_again(tiny, mount):
    m = mount(tiny)
    c = Control(m)
    assert read(weights(m)) == BIG and sealed(weights(m))
    end = c.finish(c.post("/v1/scrub"))
    assert (end["kind"], end["state"], end["bad"]) == ("scrub", "done", 0)
    assert end["bytes_done"] == end["bytes_total"] >= len(BIG)


def test_limits_hold_from_the_moment_they_are_set(tiny, mount):
    m = mount(tiny, timeout=30)
    c = Control(m)
    stat(weights(m))
    assert set(c.get("/v1/limits").values()) == {0}
    assert c.get("/v1/limits", "PUT", {"total": 2_000_000})["total"] == 2_000_000
    begun = time.monotonic()
    assert read(weights(m)) == BIG
    limited = time.monotonic() - begun
    assert limited > 0.7 * (len(BIG) - 2 * MIB) / 2_000_000
    c.get("/v1/limits", "PUT", {"total": 0})
    begun = time.monotonic()
    assert read(m.file(REPO, "sub/other.safetensors")) == OTHER
    assert time.monotonic() - begun < limited / 2
    assert c.refused("PUT", "/v1/limits", {"total": -1}) == (400, "bad_request")
    assert c.refused("PUT", "/v1/limits", {"totl": 1}) == (400, "bad_request")
    assert c.get("/v1/limits")["total"] == 0


# ---- the cache ----

def test_the_cache_is_what_the_disk_says(tiny, mount):
    m = mount(tiny, args=["--cache-size=1GiB"])
    c = Control(m)
    read(weights(m), 0, 1000, step=1000)
    assert read(m.file(REPO, "sub/other.safetensors")) == OTHER and sealed(m.file(REPO, "sub/other.safetensors"))

    def agrees():
        files = [p for p in (m.cache / "blobs").rglob("*") if p.is_file() and re.fullmatch("[0-9a-f]+", p.name)]
        disk, got = sum(p.stat().st_blocks * 512 for p in files), c.get("/v1/cache")
        return got["used"] == {"bytes": disk, "blobs": 2} and got
    cache = eventually(agrees)
    assert cache, c.get("/v1/cache")
    assert cache["sealed"]["blobs"] == cache["incomplete"]["blobs"] == 1 and cache["max_bytes"] == 1 << 30
    assert cache["sealed"]["bytes"] + cache["incomplete"]["bytes"] == cache["used"]["bytes"]
    assert cache["pinned"]["blobs"] == 0 and cache["disk_free_bytes"] > 0


# ---- metrics ----

def test_the_counters_agree_with_the_hubs_own_books(tiny, mount):
    m = mount(tiny, timeout=10, passthrough=False)
    c = Control(m)
    assert c.metrics().value("source_requests_total") == 0 == c.metrics().value("source_bytes_total")
    with tiny.fault(BYTES, "status", code=429, retry_after=0, times=2), tiny.fault(BYTES, "status", code=503, times=1, after=2):
        for name, data in FILES.items():
            assert read(m.file(REPO, name)) == data
    for name in FILES:
        assert sealed(m.file(REPO, name))
    assert fails(stat, m.file("org/none")) == "ENOENT"
    got, asked = c.metrics(), tiny.requests()
    assert got.value("source_requests_total", source=tiny.url) == len(asked)
    for outcome, codes in (("ok", range(200, 300)), ("busy", (429,)), ("server_error", (503,))):
        assert got.value("source_requests_total", outcome=outcome) == sum(r.status in codes for r in asked), outcome
    assert got.value("source_requests_total", outcome="refused") >= 1
    assert got.value("source_bytes_total") == sum(map(len, FILES.values())) == got.value("source_bytes_total", kind="upstream")
    assert got.value("sealed_total") == len(FILES) and got.value("wrong_digests_total") == 0
    assert got.value("opens_total", mode="passthrough") == 0 < got.value("opens_total", mode="cached")
    assert got.value("cache_bytes") == c.get("/v1/cache")["used"]["bytes"]
    assert got.value("passthrough") == 0 and got.value("wedged_waits_total") == 0


def test_the_hit_ratio_and_the_histogram_move(tiny, mount):
    m = mount(tiny, timeout=10, passthrough=False)
    c = Control(m)
    assert read(weights(m)) == BIG and sealed(weights(m))
    before = c.metrics()
    assert before.value("reads_total", result="waited") >= 1
    fd = os.open(weights(m), os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    assert read(weights(m)) == BIG
    after = c.metrics()
    hits = after.value("reads_total", result="hit") - before.value("reads_total", result="hit")
    assert hits >= 1 and after.value("reads_total", result="waited") == before.value("reads_total", result="waited")
    assert after.value("read_hit_ratio") > before.value("read_hit_ratio")
    assert after.value("read_seconds_count") == after.value("reads_total") and after.value("read_seconds_sum") > 0
    w = c.why(weights(m))
    assert w["reads_hit"] + w["reads_waited"] <= after.value("reads_total")


def test_passthrough_opens_are_counted(tiny, mount):
    m = mount(tiny, timeout=10)
    c = Control(m)
    if not c.get("/v1/status")["passthrough"]:
        pytest.skip(c.get("/v1/status")["passthrough_why_not"])
    assert read(weights(m)) == BIG and sealed(weights(m))
    assert eventually(lambda: c.why(weights(m))["opens"] == 0)
    assert read(weights(m)) == BIG
    assert c.metrics().value("opens_total", mode="passthrough") == 1 and c.metrics().value("passthrough") == 1


@pytest.mark.parametrize("kind, args, outcome", [("hang", {}, "timeout"), ("hang_body", {}, "timeout"),
                                                 ("reset", {}, "cut"), ("status", {"code": 500}, "server_error"),
                                                 ("garbage", {}, "protocol")])
def test_faults_are_counted_and_nothing_is_wedged(tiny, mount, kind, args, outcome):
    m = mount(tiny, timeout=3, args=["--slow-op=0"])
    c = Control(m)
    stat(weights(m))
    with tiny.fault(BYTES, kind, **args):
        begun = time.monotonic()
        assert fails(read, weights(m)) == "EIO"
        assert time.monotonic() - begun < 10
    got = c.metrics()
    assert got.value("source_requests_total", outcome=outcome) >= 1, outcome
    assert got.value("errors_total") >= 1 and got.value("wedged_waits_total") == 0
    assert not m.logged("^<4>slow")
    assert eventually(lambda: c.metrics().value("requests_under_way") == 0)
    # The twin: no fault, no error more.
    assert eventually(lambda: fails(read, weights(m)) is None, 20, 0.5)
    assert c.metrics().value("wedged_waits_total") == 0


def test_a_wrong_digest_is_counted_and_told(tiny, mount):
    m = mount(tiny, timeout=20)
    c = Control(m)
    with tiny.fault(BYTES, "wrong_bytes", times=1):
        read(weights(m))
        assert eventually(lambda: c.metrics().value("wrong_digests_total") == 1)
    assert "digest" in c.why(weights(m))["last_error"]["message"]
    assert eventually(lambda: fails(read, weights(m)) is None and sealed(weights(m)))
    assert read(weights(m)) == BIG


# ---- the log ----

def test_a_slow_read_is_told_with_what_it_waits_for(tiny, mount):
    m = mount(tiny, timeout=20, args=["--slow-op=1"])
    stat(weights(m))
    tiny.latency(2.5)
    assert read(weights(m)) == BIG
    waiting = m.wait_log("slow, still waiting: ")
    line = m.wait_log("slow: ")
    for text in ("op=read", f"repo=models/{REPO}", "path=model.safetensors", "off="):
        assert text in waiting and text in line, (waiting, line)
    assert "requests=" in waiting and "silent_ms=" in waiting
    assert 1 <= float(re.search(r"seconds=([\d.]+)", line)[1]) < 20
    assert Control(m).metrics().value("slow_ops_total") >= 1


def test_a_slow_lookup_is_told_and_without_the_option_nothing_is(tiny, mount):
    tiny.latency(1.5)
    m = mount(tiny, timeout=20, args=["--slow-op=1"])
    stat(m.file(REPO))
    assert f"hub={tiny.url}" in m.wait_log("slow: .*op=lookup.*name=tiny")
    m = mount(tiny, timeout=20, args=["--slow-op=0"])
    stat(m.file(REPO))
    assert not m.logged("^<4>slow") and Control(m).metrics().value("slow_ops_total") == 0


@pytest.mark.parametrize("url, reason", [("http://127.0.0.1:9", "connect"), ("http://no-such-host.invalid", "resolve host")])
def test_the_log_says_why_a_hub_cannot_be_reached(mount, url, reason):
    m = mount(url)
    assert fails(stat, m.file("org/any")) == "EIO"
    assert reason in m.wait_log(r"cannot be reached \(").lower()
    [h] = Control(m).get("/v1/status")["hubs"]
    assert reason in h["last_error"].lower()


# ---- secrets ----

def test_no_answer_and_no_line_holds_a_secret(mount, tmp_path):
    with Hub(cdn=True) as hub:
        hub.token(TOKEN)
        hub.repo(REPO, private=True).commit({"model.safetensors": BIG, "config.json": SMALL})
        (tmp_path / "token").write_text(TOKEN)
        m = mount(hub, timeout=5, args=[f"--token-file={tmp_path / 'token'}", "--log-level=debug", "--slow-op=1"])
        c = Control(m)
        read(weights(m), 0, 1000, step=1000)
        with hub.fault(".*", "reset"):
            fails(read, weights(m))
            fails(read, m.file(REPO, "config.json"))
            for target in ("status", "transfers", "cache", "jobs", "limits"):
                c.get(f"/v1/{target}")
            c.why(weights(m))
            c.metrics()
        c.finish(c.post("/v1/pull", {"repo": REPO}))
        assert eventually(lambda: fails(read, weights(m)) is None, 20)
        c.get("/v1/status"), c.why(weights(m)), c.metrics()
        assert c.metrics().value("source_requests_total", outcome="redirect") >= 1
        heard = "\n".join(c.heard) + m.log_text()
        for secret in (TOKEN, "Signature", "Bearer", "Expires="):
            assert secret not in heard, secret
