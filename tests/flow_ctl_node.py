"""matrixctl beside a mount: what it asks of a matrixfs by its control socket, and what it says when nobody is there."""
import http.client
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest

import models
from control import Control
from flow_hub_ctl import CTL, on_terminal
from mountlib import DEADLINE, eventually, read

BIG = models.big_file(3 * (1 << 20) + 7, seed=311)
FILES = {"config.json": b"{}", "w.safetensors": BIG}
REPO = "org/tiny"


@pytest.fixture
def tiny(hub):
    hub.commit = hub.repo(REPO).commit(FILES)
    return hub


def ask(m, *words, cwd=None):
    """Its exit status, output, and what it says of a failure."""
    socket = m if isinstance(m, (str, pathlib.Path)) else m.cache / "control"
    done = subprocess.run([CTL, f"--node={socket}", *map(str, words)], env={"PATH": os.environ["PATH"], "TZ": "UTC"}, cwd=cwd,
                          capture_output=True, text=True, timeout=DEADLINE)
    return done.returncode, done.stdout, done.stderr


def test_a_mount_is_told_to_pull_and_shows_the_job(tiny, mount):
    m = mount(tiny)
    status, out, err = ask(m, "pull", REPO, "--json")
    job = json.loads(out)
    assert status == 0 and not err and job["state"] == "done" and job["bytes_done"] == sum(map(len, FILES.values()))
    sent = tiny.bytes_sent()
    assert read(m.file(REPO, "w.safetensors")) == BIG and tiny.bytes_sent() == sent
    status, out, err = ask(m, "pull", "org/none")
    assert status == 1 and not out and re.search(r"Job \d+ has failed: ", err)


def test_a_mount_lists_its_jobs_and_ends_one(tiny, mount):
    """The twin: one that has ended is not ended again."""
    m = mount(tiny)
    assert ask(m, "pull", REPO)[0] == 0
    status, out, err = ask(m, "job", "list")
    assert status == 0 and not err and "done" in out and REPO in out, out
    fault = tiny.fault("/org/slow/resolve/", "hang")
    tiny.repo("org/slow").commit({"w.safetensors": models.big_file(3 << 20, seed=312)})
    ident = json.loads(ask(m, "pull", "org/slow", "--no-wait", "--json")[1])["id"]
    status, out, _ = ask(m, "job", "cancel", ident)
    assert status == 0 and "org/slow" in out
    assert eventually(lambda: any(j["id"] == ident and j["state"] == "canceled" for j in json.loads(ask(m, "job", "list", "--json")[1])["jobs"]))
    fault.off()
    assert ask(m, "job", "cancel", ident)[0] == 1 and ask(m, "job", "cancel", 999)[0] == 1


def test_who_has_no_peers_says_so(tiny, mount):
    m = mount(tiny)
    for words in ("peers",), ("peers", "where", m.file(REPO, "w.safetensors")), ("peers", "forgive"):
        status, out, err = ask(m, *words)
        assert (status, out) == (1, "") and "this node has no peers" in err
    for target, method in ("/v1/peers", "GET"), ("/v1/peers/owners?path=x", "GET"), ("/v1/peers/forgive", "POST"):
        assert Control(m).refused(method, target) == (404, "no_peers")
    assert "peer" not in Control(m).ask("GET", "/metrics")[2]


@pytest.mark.parametrize("words, said", [
    (("user", "list"), "asked of a hub"), (("--hub=http://x", "peers"), "choose one"), (("peers", "x"), "where, forgive")])
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(tmp_path, words, said):
    status, out, err = ask(tmp_path / "control", *words)
    assert (status, out) == (2, "") and said in err


def test_nobody_there_is_told_with_what_to_do(tiny, mount, tmp_path):
    status, _, err = ask(tmp_path / "control", "peers")
    assert status == 1 and f"Nobody answers at {tmp_path}/control" in err
    status, _, err = ask("/" + "x" * 200, "peers")
    assert status == 2 and "at most 107 bytes" in err
    assert "no peers" in ask("control", "peers", cwd=mount(tiny).cache)[2]


@pytest.mark.parametrize("words, hinted", [(("peers",), True), (("peers", "forgive"), True), (("status",), False)])
def test_who_asks_no_node_for_peers_and_finds_no_hub_is_told_of_nodes(words, hinted):
    done = subprocess.run([CTL, "--hub=http://127.0.0.1:1", *words], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
                          timeout=DEADLINE)
    assert done.returncode == 1 and "--hub=URL" in done.stderr and ("--node=CACHE/control" in done.stderr) == hinted


@pytest.mark.parametrize("forgiven, said", [(True, "bans are taken back\n"), (False, "nobody was banned\n")])
def test_whether_there_was_a_ban_is_said(forgiven, said):
    class Hub(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.dumps({"forgiven": forgiven}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.handle_request, daemon=True).start()
        done = subprocess.run([CTL, f"--hub=http://127.0.0.1:{hub.server_port}", "peers", "forgive"], env={"PATH": os.environ["PATH"]},
                              capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (0, said), done.stderr


def test_where_a_file_lies_is_asked_of_no_hub():
    done = subprocess.run([CTL, "--hub=http://127.0.0.1:1", "peers", "where", "/x"], env={"PATH": os.environ["PATH"]}, capture_output=True,
                          text=True, timeout=DEADLINE)
    assert done.returncode == 2 and "asked of a matrixfs, not of a hub: --node=CACHE/control" in done.stderr


# ---- peers ----

def addresses(count):
    """Loopback addresses that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return found


@pytest.fixture
def cluster(tiny, mount, tmp_path):
    """cluster(count, extra address, …): so many mounts that have each other as peers."""
    def make(count, *others):
        key = tmp_path / "key"
        key.write_text("a key of the cluster, of many letters\n")
        key.chmod(0o600)
        where = addresses(count)
        return [mount(tiny, args=[f"--peer-listen={a}", f"--peers={','.join([*where, *others])}", f"--cluster-key-file={key}",
                                  f"--zone=z{i}"]) for i, a in enumerate(where)], where
    return make


def test_peers_are_shown_with_what_went_to_and_fro(cluster, tiny):
    mounts, where = cluster(2, "127.0.0.1:1")
    for m in mounts:
        assert read(m.file(REPO, "w.safetensors")) == BIG
    got = [json.loads(ask(m, "--json", "peers")[1]) for m in mounts]
    assert [g["address"] for g in got] == where and [g["zone"] for g in got] == ["z0", "z1"]
    assert sum(g["bytes_in"] for g in got) == sum(g["bytes_out"] for g in got) >= len(BIG)
    for i, g in enumerate(got):
        members = {x["address"]: x for x in g["members"]}
        assert set(members) == {*where, "127.0.0.1:1"} and members[where[i]]["state"] == "self"
        assert members[where[1 - i]]["bytes_in"] == g["bytes_in"] and members[where[1 - i]]["bytes_out"] == g["bytes_out"]
        metrics = Control(mounts[i]).metrics()
        assert metrics.value("source_bytes_total", kind="peer") == g["bytes_in"]
        assert metrics.value("peer_sent_bytes_total") == g["bytes_out"] and metrics.value("peer_members", state="self") == 1
    hubs = sum(Control(m).metrics().value("source_bytes_total", kind="upstream") for m in mounts)
    assert hubs == tiny.bytes_sent(path_re="/resolve/.*w.safetensors") == len(BIG)
    out = ask(mounts[0], "peers")[1]
    assert re.search(r"^ADDRESS +ZONE +WEIGHT +STATE +BYTES IN +BYTES OUT +BYTES WRONG +FIRST BYTE MS +UNTIL +WHY$", out, re.M)
    assert re.search(rf"^{re.escape(where[0])} +z0 +1 +self ", out, re.M)


def test_where_a_file_lies_is_the_same_for_all_and_what_is_there_is_not(cluster):
    mounts, where = cluster(2)
    path = mounts[0].file(REPO, "w.safetensors")
    assert read(path) == BIG
    here, there = (json.loads(ask(m, "--json", "peers", "where", m.file(REPO, "w.safetensors"))[1]) for m in mounts)
    assert here["size"] == here["present"] == len(BIG) and here["etag"] == there["etag"]
    for a, b in zip(here["segments"], there["segments"], strict=True):
        assert a["owner"] == b["owner"] and {a["owner"], *a["followers"]} == set(where) and a["present"] == a["bytes"]
    assert "SEGMENT" in ask(mounts[0], "peers", "where", path)[1]
    assert "no_file" == Control(mounts[0]).refused("GET", "/v1/peers/owners?path=hub")[1]
    assert "there is no such path" in ask(mounts[0], "peers", "where", mounts[0].file(REPO, "none"))[2]


def test_who_has_a_file_now_is_told_by_those_who_have_it(cluster):
    """Before anybody has read it nobody has, which is the twin; the member that is not there has said nothing."""
    mounts, where = cluster(2, "127.0.0.1:1")
    before = json.loads(ask(mounts[1], "--json", "peers", "where", mounts[1].file(REPO, "w.safetensors"))[1])
    assert [s["holders"] for s in before["segments"]] == [0] and (before["members"], before["answered"]) == (3, 2)
    assert read(mounts[0].file(REPO, "w.safetensors")) == BIG
    after = json.loads(ask(mounts[1], "--json", "peers", "where", mounts[1].file(REPO, "w.safetensors"))[1])
    assert all(where[0] in s["held_by"] and len(s["held_by"]) == s["holders"] for s in after["segments"]) and after["answered"] == 2
    assert "HELD BY" in ask(mounts[1], "peers", "where", mounts[1].file(REPO, "w.safetensors"))[1]


def test_silence_is_seen_and_is_no_ban_to_be_taken_back(hub, cluster):
    (m,), _ = cluster(1, "127.0.0.1:1")
    files = {f"f{n}.bin": models.big_file(5000 + n, seed=n) for n in range(16)}
    hub.repo("org/many").commit(files)

    def state():
        return {x["address"]: x["state"] for x in Control(m).get("/v1/peers")["members"]}["127.0.0.1:1"]
    assert state() == "new" and json.loads(ask(m, "--json", "peers", "forgive")[1]) == {"forgiven": False}
    for name, content in files.items():     # many of them would be for that one to bring
        assert read(m.file("org/many", name)) == content
    assert state() == "silent"
    assert ask(m, "peers", "forgive")[:2] == (0, "nobody was banned\n") and state() == "silent"
    for address in "127.0.0.1:1", "192.0.2.9:1":
        status, out, err = ask(m, "peers", "forgive", address)
        assert status == 1 and f"{address} is not banned" in err
    assert Control(m).refused("POST", "/v1/peers/forgive", {"address": 5}) == (400, "bad_request")
    assert Control(m).refused("POST", "/v1/peers/forgive", {"adress": "x"}) == (400, "bad_request")


def test_who_looks_at_peers_while_the_node_ends_does_not_disturb_it(cluster):
    (m,), _ = cluster(1)
    c, answers = Control(m), []

    def look():
        try:
            while True:
                answers.append(c.ask("GET", "/v1/peers")[0])
        except (OSError, http.client.HTTPException):
            pass
    threads = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    for t in threads:
        t.start()
    assert eventually(lambda: len(answers) > 20, DEADLINE, 0.01)
    m.stop()                            # which must go well
    for t in threads:
        t.join(DEADLINE)
    assert set(answers) <= {200, 503}


def test_only_members_are_told_of_jobs_or_start_them(cluster, tiny):
    (m,), (address,) = cluster(1)
    for method, target in ("POST", f"/peer/v1/pull?repo=models/{REPO}&revision=main"), ("GET", "/peer/v1/jobs/1"):
        for authorization in {}, {"Authorization": "Matrix nonsense"}:
            connection = http.client.HTTPConnection(address, timeout=DEADLINE)
            connection.request(method, target, headers=authorization)
            answer = connection.getresponse()
            assert answer.status == 401 and b"members of the cluster" in answer.read()
            connection.close()
    assert Control(m).get("/v1/jobs")["jobs"] == []


# ---- all nodes at once ----

MIB = 1 << 20
WIDE = {f"w{n}.safetensors": models.big_file(33 * MIB + n, seed=50 + n) for n in range(2)}


def whole(m, repo="org/wide", files=WIDE):
    """The bytes of its files that are there without another question."""
    return sum(Control(m).why(m.file(repo, name))["present"] for name in files)


def test_all_nodes_fetch_it_when_one_is_asked_to(hub, cluster):
    hub.repo("org/wide").commit(WIDE)
    size = sum(map(len, WIDE.values()))
    mounts, where = cluster(3)
    status, out, err = ask(mounts[1], "pull", "org/wide", "--nodes=all", "--json")
    assert status == 0 and not err, err
    nodes = json.loads(out)["nodes"]
    assert sorted(n["address"] for n in nodes) == sorted(where) and {n["self"] for n in nodes} == {True, False}
    for n in nodes:
        assert (n["state"], n["bytes_done"], n["bytes_total"], n["error"]) == ("done", size, size, None), n
    assert hub.bytes_sent(path_re="/resolve/") <= 1.02 * size
    for m in mounts:
        assert whole(m) == size
    job = next(j for j in Control(mounts[1]).get("/v1/jobs")["jobs"] if j["kind"] == "warmup")
    assert (job["state"], job["what"], job["bytes_done"]) == ("done", "models/org/wide@main", 3 * size)
    assert Control(mounts[0]).refused("GET", f"/v1/jobs/{job['id']}/nodes") == (404, "no_job")


def test_shares_are_together_all_of_it_once(hub, cluster):
    hub.repo("org/wide").commit(WIDE)
    size = sum(map(len, WIDE.values()))
    mounts, _ = cluster(3)
    status, out, err = ask(mounts[0], "pull", "org/wide", "--nodes=all", "--share", "--json")
    nodes = json.loads(out)["nodes"]
    assert status == 0 and sum(n["bytes_total"] for n in nodes) == size == sum(n["bytes_done"] for n in nodes), (nodes, err)
    assert max(n["bytes_total"] for n in nodes) < size
    assert sum(map(whole, mounts)) >= size
    assert hub.bytes_sent(path_re="/resolve/") <= 1.02 * size
    before = hub.bytes_sent(path_re="/resolve/")
    for m in mounts:                     # what one lacks it has from the others
        for name, content in WIDE.items():
            assert read(m.file("org/wide", name)) == content
    assert hub.bytes_sent(path_re="/resolve/") == before
    assert json.loads(ask(mounts[0], "pull", "org/wide", "--share", "--json")[1])["kind"] == "share"


def test_a_node_that_does_not_answer_is_named_and_the_others_have_it(hub, cluster):
    hub.repo("org/wide").commit(WIDE)
    mounts, where = cluster(2, "127.0.0.1:1")
    status, out, err = ask(mounts[0], "pull", "org/wide", "--nodes=all")
    assert status == 1 and "some nodes have not got it (1 of 3, 127.0.0.1:1 is one)" in err, err
    assert re.search(r"^127\.0\.0\.1:1 +failed .* it does not answer$", out, re.M)
    for address in where:
        assert re.search(rf"^{re.escape(address)} +done ", out, re.M)
    assert all(whole(m) == sum(map(len, WIDE.values())) for m in mounts)


def test_a_line_shows_how_far_each_node_is(hub, cluster):
    hub.repo("org/wide").commit(WIDE)
    mounts, where = cluster(2)
    with hub.fault("GET .*safetensors", "slow", rate=30 * MIB):
        status, out, seen = on_terminal([f"--node={mounts[0].cache}/control", "pull", "org/wide", "--nodes=all"], {"PATH": os.environ["PATH"]})
    assert status == 0 and out.count(" done ") == 2
    for address in where:
        assert re.search(re.escape(address).encode() + rb" +\[=*>? *\] +\d+ %  [\d.]+ [KM]iB of 66\.0 MiB", seen), seen[-2000:]
    assert b"\x1b[2A" in seen


def test_who_has_no_peers_tells_nobody(tiny, mount):
    m = mount(tiny)
    assert "this node has no peers" in ask(m, "pull", REPO, "--nodes=all")[2]
    assert "this node has no peers" in ask(m, "pull", REPO, "--share")[2]
    c = Control(m)
    assert c.refused("POST", "/v1/pull", {"repo": REPO, "nodes": "some"}) == (400, "bad_request")
    assert c.refused("POST", "/v1/pull", {"repo": REPO, "share": 1}) == (400, "bad_request")
    assert c.refused("POST", "/v1/pin", {"repo": REPO, "nodes": "all"}) == (400, "bad_request")
