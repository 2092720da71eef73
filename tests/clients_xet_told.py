"""What real clients are told while files are put together of what they brought, and when that cannot be. The twin is the first
version of the question, which is answered when all is done."""
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import socket
import struct
import threading
import time

import pytest

from clients_hubd import Client
from clients_xet import MIB, SHIMMED, Gate, fill, noise, start, token_of, trail, upload, user
from flow_hub_ctl import fine
from flow_hub_operate import small_disk  # noqa: F401
from hubd import Hubd
from mountlib import eventually
from registry import Repo
from xet import TAG, Store, Xorb, shard, whole


@pytest.fixture
def gated(hub, tmp_path):
    """A hub that has a file, and waits when it is to look into it; a client; another repository."""
    data = noise(12, "told")
    (tmp_path / "w.bin").write_bytes(data)
    g = Gate(hub, tmp_path, data)
    client = Client(tmp_path, "2.4", g.hub.url, g.hub.admin_token)
    upload(client, Repo(g.hub, "admin/first", g.hub.admin_token), tmp_path / "w.bin", "w.bin")
    yield g, client, Repo(g.hub, "admin/second", g.hub.admin_token), data
    g.hub.stop()


@SHIMMED
def test_a_client_waits_for_as_long_as_it_is_told_to(gated, tmp_path):
    """Longer than it would wait for a hub that says nothing: then it would send the shard again."""
    g, client, repo, data = gated
    client.env["HF_XET_CLIENT_READ_TIMEOUT"] = "7s"
    g.close()
    sender = start(client, repo, tmp_path / "w.bin", "w.bin")
    assert eventually(lambda: g.waiting() == 1, 60)
    time.sleep(11)
    g.open()
    assert sender.wait(60) == 0, sender.communicate()[1]
    assert g.waiting() == 1 and len(trail(g.hub)) == 2 and repo.read("w.bin") == data


def heard_of(h, path, body, token, ret):
    """Asks; what comes, and after how long."""
    began, http_ = time.monotonic(), http.client.HTTPConnection("127.0.0.1", h.port, timeout=60)
    http_.request("POST", path, body, {"Authorization": f"Bearer {token}"})
    got = http_.getresponse()
    while line := got.readline():
        ret.append((time.monotonic() - began, got.status, json.loads(line)))
    http_.close()


@SHIMMED
@pytest.mark.parametrize("version", [2, 1])
def test_who_waits_is_told_so(gated, tmp_path, version):
    """Whoever comes for the same repository waits in its lane."""
    g, client, repo, _ = gated
    mine, told = token_of(g.hub, repo, g.hub.admin_token).json["accessToken"], []
    g.close()
    sender = start(client, repo, tmp_path / "w.bin", "w.bin")
    assert eventually(lambda: g.waiting() == 1, 60)
    asker = threading.Thread(target=heard_of, args=(g.hub, f"/api/xet/1/v{version}/shards", shard([]), mine, told))
    asker.start()
    if version == 2:
        assert eventually(lambda: len(told) == 2, 20) and [t[2] for t in told] == 2 * [{"type": "committing", "stage": "syncing"}]
    else:
        time.sleep(6)
        assert not told
    g.open()
    asker.join(20)
    assert told[-1][1:] == (200, {"type": "result", "result": 1} if version == 2 else {"result": 1})
    assert sender.wait(60) == 0, sender.communicate()[1]


def frame(got):
    return got.status, json.loads(got.body.splitlines()[-1])


def test_why_not_is_a_frame_that_clients_show(hub, tmp_path):
    """Real clients show its words: clients_xet.py, whenever something "is not here"."""
    h, x = Hubd(tmp_path, hub), Xorb(b"told" * 99)
    store = Store(h, Repo(h, "admin/m", h.admin_token), h.admin_token)
    told = h.ask(f"{store.base}/v2/shards", "POST", shard(whole(x)), store.token)
    status, last = frame(told)
    assert (status, last["type"], last["retryable"]) == (200, "error", False) and "is not here" in last["message"], told
    got = store.tell(whole(x))                          # the twin
    assert got.status == 400 and got.json["error"] == last["message"]
    assert store.send(x).status == 200
    assert frame(h.ask(f"{store.base}/v2/shards", "POST", shard(whole(x)), store.token)) == (200, {"type": "result", "result": 1})
    assert h.ask(f"{store.base}/v2/shards", "POST", shard(), store.token + "x").status == 401, "before anything comes"
    h.stop()


def test_a_client_does_not_try_a_full_disk_for_minutes(hub, tmp_path, small_disk):
    """It would send all of it five times, and wait longer each time, if it was told that it is a failure of ours."""
    h, x = Hubd(tmp_path, hub, data=small_disk / "data"), Xorb(b"full" * 99)
    client, repo = Client(tmp_path, "2.4", h.url, h.admin_token), Repo(h, "admin/full", h.admin_token)
    (tmp_path / "w.bin").write_bytes(noise(11, "full"))
    store = Store(h, repo, h.admin_token)
    assert store.send(x).status == 200
    fill(small_disk, 20 * MIB)
    began = time.monotonic()
    done = client.cli("upload", repo.id, tmp_path / "w.bin", "w.bin")
    assert done.returncode != 0 and time.monotonic() - began < 30 and "413 Content Too Large" in done.stderr, done.stderr
    fill(small_disk, 10 * MIB)
    status, last = frame(h.ask(f"{store.base}/v2/shards", "POST", shard(whole(x)), store.token))
    assert (status, last["retryable"]) == (200, False) and "no room" in last["message"]
    # The twin: whoever is another client.
    assert [got.status for got in (store.tell(whole(x)), store.send(x))] == [507, 507]
    (small_disk / "filler").unlink()
    upload(client, repo, tmp_path / "w.bin", "w.bin")
    h.stop()


def test_a_crowd_is_refused_by_the_slow_clock_as_well(hub, tmp_path):
    """More of them than can wait for it: their answers tell no more than those of a few."""
    h, x = Hubd(tmp_path, hub), Xorb(b"crowd" * 99)
    store = Store(h, Repo(h, "admin/m", h.admin_token), h.admin_token)

    def refused(_):
        began = time.monotonic()
        got = store.tell(whole(x))
        return got.status, time.monotonic() - began
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        got = list(pool.map(refused, range(192)))
    assert {status for status, _ in got} <= {400, 503}
    assert min(took for status, took in got if status == 400) >= 0.1
    h.stop()


def large_shard():
    """As large as any that is taken: as many files, and terms of them."""
    numbers = lambda *n: struct.pack("<4I", *n)
    term = b"x" * 32 + numbers(0, 1000, 0, 1)
    return TAG + numbers(2, 0, 0, 0) + 100000 * (b"f" * 32 + numbers(3 << 30, 2, 0, 0) + 2 * term + 2 * (b"r" * 32 + numbers(0, 0, 0, 0)) +
                                                b"s" * 32 + numbers(0, 0, 0, 0)) + 2 * (b"\xff" * 32 + numbers(0, 0, 0, 0))


def anonymous(h):
    text = pathlib.Path(f"/proc/{h.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1]) << 10


@SHIMMED
def test_shards_that_do_not_end_take_no_more_memory_than_there_is_for_them(hub, tmp_path):
    """Forty of the largest, of two users, to which one byte is missing; meanwhile somebody brings a file."""
    h, large = Hubd(tmp_path, hub), large_shard()
    fine(h, "org add org")
    owners = [user(h, f"user{n}", "write") for n in range(3)]
    stores = [Store(h, Repo(h, f"user{n}/own", owners[n]), owners[n]) for n in range(3)]
    socks, senders, head = [], [], "POST {}/v1/shards HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n"
    for n in range(40):
        store = stores[n % 2]
        socks.append(socket.create_connection(("127.0.0.1", h.port)))
        socks[-1].settimeout(20)

        def send(s=socks[-1], store=store):
            try:
                s.sendall(head.format(store.base, store.token, len(large)).encode() + large[:-1])
            except OSError:
                pass                                    # it was refused
        senders.append(threading.Thread(target=send, daemon=True))
        senders[-1].start()
    took = 0
    while any(sender.is_alive() for sender in senders):
        took = max(took, anonymous(h))
        time.sleep(0.1)
    assert took < 128 << 20, took
    x = Xorb(b"small" * 99)
    assert stores[2].send(x).status == 200 and stores[2].tell(whole(x)).status == 200
    statuses = []
    for s in socks:                                     # an answer goes out when all of its question came
        s.sendall(large[-1:])
        got = s.recv(4096)
        statuses.append(int(got.split()[1]))
        assert statuses[-1] == 400 or b"Retry-After" in got, got
        s.close()
    assert set(statuses) == {400, 503} and statuses.count(503) >= 36, statuses
    # The twin: when they have gone there is room again, and the largest is looked at.
    assert eventually(lambda: h.ask(f"{stores[0].base}/v1/shards", "POST", large, stores[0].token).status == 400, 20)
    h.stop()
