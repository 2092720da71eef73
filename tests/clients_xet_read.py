"""Real clients in their default settings that read from the Xet store of matrixhubd what came by it. The twin of each story is the same
file by plain HTTP: it has the same bytes."""
import hashlib
import json
import random
import re
import shutil
import subprocess
import time
import urllib.parse

import pytest

from between import Between
from clients_hubd import Client
from clients_matrix import BUILD, HERE, PATIENCE
from clients_xet import MIB, blob, noise, upload, user
from flow_hub_ctl import fine
from flow_peers_members import SHIM
from hub import Hub
from hubd import Hubd
from mountlib import eventually
from registry import Repo, lfs

CODE = """
import sys, hashlib
from huggingface_hub import hf_hub_download
path = hf_hub_download(sys.argv[1], sys.argv[2], revision=sys.argv[3])
print(hashlib.sha256(open(path, "rb").read()).hexdigest())
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with Hub() as hub:
        h = Hubd(tmp_path_factory.mktemp("xet-read"), hub, timeout=20, args=["--xet-read=always"])
        yield h
        h.stop()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def put(h, tmp_path, name, data, token=None, **kw):
    """A repository with that file, which came by Xet."""
    token = token or h.admin_token
    repo = Repo(h, name, token, **kw)
    add(h, tmp_path, repo, "w.bin", data)
    return repo


def add(h, tmp_path, repo, path, data, sender=None):
    (tmp_path / "sent").write_bytes(data)
    upload(sender or Client(tmp_path / "sender", "2.4", h.url, repo.token), repo, tmp_path / "sent", path)


def download(client, repo, path="w.bin", revision="main"):
    return client.run(client.bin / "python", "-c", CODE, repo.id, path, revision)


def got(client, repo, path="w.bin", revision="main"):
    """The SHA-256 of what it gets."""
    done = download(client, repo, path, revision)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def asked(h, route):
    """How often that was asked."""
    lines = [line for line in h.ask("/metrics").body.decode().splitlines() if f'route="{route}"' in line and "_total" in line]
    return sum(float(line.split()[-1]) for line in lines)


BYTES = "/api/xet/1/v1/bytes/:path"


@pytest.mark.parametrize("version, mib", [("0.36", 12), ("1.24", 12), ("2.4", 70)])
def test_a_file_that_came_by_xet_is_read_by_it(ours, tmp_path, version, mib):
    data = noise(mib, f"read-{version}")
    repo = put(ours, tmp_path, f"admin/read-{version}", data)
    before = asked(ours, BYTES)
    assert got(Client(tmp_path, version, ours.url, ours.admin_token), repo) == sha256(data)
    assert asked(ours, BYTES) > before, "it was read by plain HTTP"
    # The twin.
    before, plain = asked(ours, BYTES), Client(tmp_path, version, ours.url, ours.admin_token)
    plain.env["HF_HUB_DISABLE_XET"] = "1"
    assert got(plain, repo) == sha256(data) and asked(ours, BYTES) == before


class Refusing(Between):
    """Refuses so many of the requests for bytes."""

    def __init__(self, h, refuses):
        super().__init__(h, self.refuse)
        self.refuses = refuses

    def refuse(self, asked, answer):
        if "/v1/bytes/" in asked.path and self.refuses:
            self.refuses -= 1
            answer.status, answer.headers, answer.body = 403, {}, b'{"error":"this link has expired"}'


@pytest.fixture
def between(ours):
    b = Between(ours)
    yield b
    b.stop()


def bytes_asked(b):
    return [a.headers["Range"] for a in b.asked("/v1/bytes/")]


def through(b, tmp_path, version="2.4", token=None, **env):
    client = Client(tmp_path, version, b.url, token)
    client.env.update(env)
    return client


@pytest.fixture(scope="module")
def pieces(ours, tmp_path_factory):
    """A file made of many ranges of a xorb, and of a few of another: what was changed here and there. And its bytes."""
    tmp = tmp_path_factory.mktemp("pieces")
    first = noise(24, "pieces")
    data = bytearray(first)
    for at in range(0, len(data), 3 * MIB):
        data[at:at + 100] = noise(0.001, at)
    data[9 * MIB:9 * MIB] = noise(0.5, "put in")
    data = bytes(data) + first[:5 * MIB] + bytes(3 * MIB)
    repo, sender = Repo(ours, "admin/pieces", ours.admin_token), Client(tmp / "sender", "2.4", ours.url, ours.admin_token)
    for what in first, data:                            # of what it has sent it names chunks
        add(ours, tmp, repo, "w.bin", what, sender)
    return repo, data


@pytest.mark.parametrize("env", [{}, {"HF_XET_CLIENT_RECONSTRUCTION_API_VERSION": "1"}, {"HF_XET_CLIENT_ENABLE_MULTIRANGE_FETCHING": "1"},
                                 {"HF_XET_RECONSTRUCTION_MIN_RECONSTRUCTION_FETCH_SIZE": "1mb",
                                  "HF_XET_RECONSTRUCTION_MAX_RECONSTRUCTION_FETCH_SIZE": "1mb"}], ids=["plain", "v1", "ranges", "small"])
def test_a_file_of_pieces_of_others(ours, pieces, between, tmp_path, env):
    repo, data = pieces
    assert got(through(between, tmp_path, token=ours.admin_token, **env), repo) == sha256(data)
    asked = [a.path for a in between.asked("/reconstructions/")]
    assert all(("/v1/" if "API_VERSION" in str(env) else "/v2/") in path for path in asked), asked
    assert len(asked) >= (10 if "FETCH_SIZE" in str(env) else 1)
    assert any("," in ranges for ranges in bytes_asked(between)) == ("MULTIRANGE" in str(env))
    assert len(bytes_asked(between)) > (1 if "MULTIRANGE" in str(env) else 5)


def test_what_repeats_itself(ours, between, tmp_path):
    data = bytes(20 * MIB) + noise(1, "in the middle") * 6 + bytes(5 * MIB + 17)
    repo = put(ours, tmp_path, "admin/repeats", data)
    assert got(through(between, tmp_path, token=ours.admin_token), repo) == sha256(data)
    assert bytes_asked(between)


def test_a_link_that_is_refused_is_asked_for_anew(ours, tmp_path):
    data = noise(12, "refused")
    repo, b = put(ours, tmp_path, "admin/refused", data), Refusing(ours, refuses=2)
    assert got(through(b, tmp_path, token=ours.admin_token), repo) == sha256(data)
    assert len(bytes_asked(b)) >= 3 and len(b.asked("/v2/reconstructions/")) >= 2
    b.stop()


def test_a_client_that_was_killed_goes_on(ours, tmp_path):
    data = noise(150, "killed") + noise(150, "in the middle")
    repo, client = put(ours, tmp_path, "admin/killed", data), Client(tmp_path, "2.4", ours.url, ours.admin_token)
    before = asked(ours, BYTES)
    one = subprocess.Popen([str(client.bin / "python"), "-c", CODE, repo.id, "w.bin", "main"], stdout=subprocess.PIPE, text=True,
                           env={k: str(v) for k, v in client.env.items()} | {"HF_XET_FIXED_DOWNLOAD_CONCURRENCY": "1"})
    assert eventually(lambda: asked(ours, BYTES) > before or one.poll() is not None, 60, 0.01)
    one.kill()
    one.communicate()
    assert not list(client.home.rglob("snapshots/*/w.bin"))
    assert got(client, repo) == sha256(data)


@pytest.mark.parametrize("part", [(), (0, 100), (9 * MIB - 7, 20 * MIB + 11)], ids=["all", "head", "middle"])
def test_the_javascript_client_reads_by_it(ours, pieces, between, part):
    js = BUILD / "js"
    if not (shutil.which("node") and (js / "node_modules").exists()):
        pytest.skip("no node, or no build/js: make deps installs it where there is an npm")
    repo, data = pieces
    done = subprocess.run(["node", HERE / "client_hub_xet.mjs", between.url, repo.id, ours.admin_token, *map(str, part)], capture_output=True,
                          text=True, timeout=PATIENCE, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "JS_CLIENT": str(js)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sha256"] == sha256(data[slice(*part)] if part else data)
    assert bytes_asked(between), between.seen


# ---- what of it is offered, and to whom ----

OFFER = ("x-xet-hash", "x-xet-refresh-route", "link")


def head(h, repo, path="w.bin", token=None, revision="main"):
    return h.ask(f"{repo.prefix}/{repo.id}/resolve/{revision}/{path}", "HEAD", token=token or repo.token)


def offer(h, repo, path="w.bin"):
    fields = head(h, repo, path).headers
    return fields.get("x-xet-hash")


@pytest.mark.parametrize("type", ["model", "dataset", "space"])
def test_the_offer_leads_to_the_bytes(ours, tmp_path, type):
    kind = {"sdk": "static"} if type == "space" else {}
    repo, data = Repo(ours, f"admin/offer-{type}", ours.admin_token, type, **kind), noise(11, type)
    add_as(ours, tmp_path, repo, data)
    said = head(ours, repo)
    links = dict(re.findall('<([^>]+)>; rel="([^"]+)"', said.headers["link"]))
    auth, info = sorted(links, key=links.get)
    assert sorted(links.values()) == ["xet-auth", "xet-reconstruction-info"] and auth == said.headers["x-xet-refresh-route"]
    assert auth.startswith(f"{ours.url}{repo.api}/xet-read-token/{said.headers['x-repo-commit']}")
    token = ours.ask(auth[len(ours.url):], token=ours.admin_token)
    assert token.status == 200 and 0 < token.json["exp"] - time.time() <= 900
    assert token.json["casUrl"] == token.headers["x-xet-cas-url"] == f"{ours.url}/api/xet/1"
    assert token.json["accessToken"] == token.headers["x-xet-access-token"]
    assert info == f"{ours.url}/api/xet/1/v1/reconstructions/{said.headers['x-xet-hash']}"
    assert rebuilt(ours, info[len(ours.url):], token.json["accessToken"]) == data
    # What is asked of it is answered as ever.
    assert said.headers["x-linked-etag"].strip('"') == sha256(data) and repo.read("w.bin") == data


def add_as(h, tmp_path, repo, data):
    (tmp_path / "sent").write_bytes(data)
    upload(Client(tmp_path / "sender", "2.4", h.url, repo.token), repo, tmp_path / "sent", "w.bin", f"--repo-type={repo.type}")


def unpacked(data):
    """The chunks of a xorb, one behind the other."""
    chunks, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at + 1:at + 4], "little")
        assert data[at] == data[at + 4] == 0 and data[at + 1:at + 4] == data[at + 5:at + 8] and 0 < length <= 128 << 10
        chunks.append(data[at + 8:at + 8 + length])
        at += 8 + length
    assert at == len(data)
    return chunks


def local(url):
    return urllib.parse.urlsplit(url)._replace(scheme="", netloc="").geturl()


def rebuilt(h, path, token, first=0, last=None):
    """The file, or a range of it, as the answer says that it is to be put together."""
    fields = {} if last is None else {"Range": f"bytes={first}-{last}"}
    plan = h.ask(path, token=token, **fields)
    assert plan.status == 200, plan
    data = b""
    for term in plan.json["terms"]:
        info, = [f for f in plan.json["fetch_info"][term["hash"]]
                 if f["range"]["start"] <= term["range"]["start"] and f["range"]["end"] >= term["range"]["end"]]
        there = h.ask(local(info["url"]), Range=f"bytes={info['url_range']['start']}-{info['url_range']['end']}")
        assert there.status == 206 and there.headers["content-range"].startswith(
            f"bytes {info['url_range']['start']}-{info['url_range']['end']}/"), there
        chunks = unpacked(there.body)
        assert len(chunks) == info["range"]["end"] - info["range"]["start"]
        mine = b"".join(chunks[term["range"]["start"] - info["range"]["start"]:term["range"]["end"] - info["range"]["start"]])
        assert len(mine) == term["unpacked_length"]
        data += mine
    data = data[plan.json["offset_into_first_range"]:]
    return data if last is None else data[:last + 1 - first]


def reading(h, repo, token=None, revision="main"):
    return h.ask(f"{repo.api}/xet-read-token/{revision}", token=token or repo.token)


def store(h, repo, path="w.bin"):
    """Where it is told what the file is made of, and a token for that."""
    return f"/api/xet/1/v1/reconstructions/{offer(h, repo, path)}", reading(h, repo).json["accessToken"]


def test_any_range_of_a_file_is_what_it_is(ours, pieces):
    repo, data = pieces
    path, token = store(ours, repo)
    chance = random.Random(9)
    edges = [(0, 0), (len(data) - 1, len(data) - 1), (0, len(data) - 1), (9 * MIB - 1, 9 * MIB), (5, len(data) + 99)]
    for first, last in edges + [sorted(chance.randrange(len(data)) for _ in range(2)) for _ in range(25)]:
        assert rebuilt(ours, path, token, first, last) == data[first:last + 1], (first, last)
        terms = ours.ask(path, token=token, Range=f"bytes={first}-{last}").json["terms"]
        assert sum(t["unpacked_length"] for t in terms) <= min(last + 1, len(data)) - first + 2 * (128 << 10), "no more than it needs"
    assert ours.ask(path, token=token, Range=f"bytes={len(data)}-").status == 416


def test_several_files_are_told_of_at_once(ours, tmp_path):
    """As a client of old can ask. They have a xorb in common, and each is put together from what is said of it."""
    data = noise(12, "batch")
    repo = put(ours, tmp_path, "admin/batch", data)
    add(ours, tmp_path, repo, "more.bin", data[:11 * MIB] + noise(1, "batch, more"))
    names, token = [offer(ours, repo, path) for path in ("w.bin", "more.bin")], reading(ours, repo).json["accessToken"]
    ask = lambda *ids, token=token: ours.ask("/api/xet/1/v1/reconstructions?" + "&".join(f"file_id={i}" for i in ids), token=token)
    both = ask(*names, "0" * 64, "name", names[0])
    assert both.status == 200 and set(both.json["files"]) == set(names), "what is not here is left out"
    for name in names:
        one = ours.ask(f"/api/xet/1/v1/reconstructions/{name}", token=token).json
        assert both.json["files"][name] == one["terms"]
        for xorb, infos in one["fetch_info"].items():
            for info in infos:
                same = [i for i in both.json["fetch_info"][xorb] if (i["range"], i["url_range"]) == (info["range"], info["url_range"])]
                assert same and all(ours.ask(local(i["url"]), Range="bytes=0-7").status == 206 for i in same)
    assert any(len({i["url"] for i in infos}) == 2 for infos in both.json["fetch_info"].values()), "of one xorb, as either has it"
    assert [ask("0" * 64).status, ask().status, ask(*(names * 32)).status] == [404, 404, 200]
    assert [ask(names[0], token="x").status, ask(token="x").status] == [401, 401], "also of nothing"
    # As many are looked for as it may ask for, whether they are there or not.
    assert [ask(*(["0" * 64] * n), names[0]).status for n in (63, 64)] == [200, 413]


def test_links_are_good_for_what_they_name_alone(ours, pieces, tmp_path):
    repo, data = pieces
    path, token = store(ours, repo)
    info, = [f for f in ours.ask(path, token=token, Range="bytes=0-0").json["fetch_info"].values()]
    url, last = local(info[0]["url"]), info[0]["url_range"]["end"]
    assert ours.ask(url, Range=f"bytes=0-{last}").status == 206
    for wrong in url[:-1] + ("0" if url[-1] != "0" else "1"), url.replace("user=admin", "user=root"), url.partition("?")[0], \
            url.replace("/bytes/" + url[20:84], "/bytes/" + "0" * 64), re.sub("of=.", "of=z", url):
        assert ours.ask(wrong, Range=f"bytes=0-{last}").status == 403, wrong
    # Beyond what the file has of the xorb, in what it has not, and without a range.
    assert ours.ask(url, Range="bytes=99999999-").status == 416 and ours.ask(url).status == 416
    assert ours.ask(url, "HEAD", Range="bytes=3-9").headers["content-length"] == "7"
    several = ours.ask(url, Range="bytes=0-3,8-11,20-20")
    assert several.status == 206 and several.headers["content-type"].startswith("multipart/byteranges")
    assert several.body.count(b"Content-Range: bytes ") == 3 and len(several.body) == int(several.headers["content-length"])
    assert "seal" not in ours.log_text()


def test_what_a_file_has_not_of_a_xorb_is_not_had(ours, pieces):
    """Of the first xorb the second file left some chunks out: a link for it does not give them."""
    repo, data = pieces
    path, token = store(ours, repo)
    info = max(ours.ask(path, token=token).json["fetch_info"].values(), key=len)
    assert len(info) > 3
    a, b = info[0]["url_range"], info[1]["url_range"]
    assert ours.ask(local(info[0]["url"]), Range=f"bytes={a['start']}-{a['end']}").status == 206
    for first, last in (a["start"], b["end"]), (a["end"] + 1, b["start"] - 1), (a["start"], a["end"] + 1):
        assert ours.ask(local(info[0]["url"]), Range=f"bytes={first}-{last}").status == 416


def test_who_may_not_read_gets_nothing(hub, tmp_path):
    h, data = Hubd(tmp_path, hub, args=["--xet-read=always"]), noise(11, "private")
    fine(h, "org add org")
    stranger, reader, writer = [user(h, name, role) for name, role in (("stranger", None), ("reader", "read"), ("writer", "write"))]
    secret = put(h, tmp_path, "org/secret", data, writer, private=True)
    public = put(h, tmp_path, "org/public", noise(11, "public"), writer)
    assert [reading(h, secret, t).status for t in (stranger, reader, writer, "hf_wrong")] == [404, 200, 200, 401]
    assert h.ask(f"{secret.api}/xet-read-token/main").status == 401
    path, mine = store(h, secret)
    # A token for another repository, one of nobody, one that is none, one of the hub's own.
    other, nobody = reading(h, public, reader).json["accessToken"], h.ask(f"{public.api}/xet-read-token/main").json["accessToken"]
    assert [h.ask(path, token=t).status for t in (mine, other, nobody, mine[:-1] + "x", reader, None)] == [200, 404, 404, 401, 401, 401]
    assert h.ask("/api/xet/1/v2/reconstructions/" + "0" * 64, token=mine).status == 404
    assert h.ask("/api/xet/1/v2/reconstructions/name", token=mine).status == 404
    assert len(rebuilt(h, f"/api/xet/1/v1/reconstructions/{offer(h, public)}", nobody)) == 11 * MIB
    # It does not bring files either.
    assert h.ask("/api/xet/1/v1/shards", "POST", b"x" * 100, mine).status == 403
    # A right that was taken back is good for no moment longer.
    token = reading(h, secret, reader).json["accessToken"]
    info = list(h.ask(path, token=token).json["fetch_info"].values())[0][0]
    assert h.ask(local(info["url"]), Range="bytes=0-9").status == 206
    fine(h, "org member remove org reader")
    assert h.ask(local(info["url"]), Range="bytes=0-9").status == 403 and h.ask(path, token=token).status == 404
    h.stop()


def test_a_token_is_good_for_a_repository_whatever_it_is_called(ours, tmp_path):
    data = noise(11, "moves")
    repo = put(ours, tmp_path, "admin/moves", data)
    path, token = store(ours, repo)
    url = local(list(ours.ask(path, token=token).json["fetch_info"].values())[0][0]["url"])
    assert repo.ask("/api/repos/move", "POST", fromRepo="admin/moves", toRepo="admin/moved", type="model").status == 200
    again = Repo(ours, "admin/moves", ours.admin_token)         # another one has its name now
    assert rebuilt(ours, path, token) == data and ours.ask(url, Range="bytes=0-9").status == 206
    assert ours.ask(path, token=reading(ours, again).json["accessToken"]).status == 404


def test_a_client_without_a_token_reads_what_is_public(ours, between, tmp_path):
    data = noise(11, "anonymous")
    repo = put(ours, tmp_path, "admin/anonymous", data)
    assert got(through(between, tmp_path), repo) == sha256(data) and bytes_asked(between)


def test_only_what_came_by_xet_and_is_large_is_offered(hub, tmp_path):
    h = Hubd(tmp_path, hub, args=["--xet-read=12MiB"])
    small, large, plain = noise(11, "small"), noise(13, "large"), noise(14, "plain")
    repo = Repo(h, "admin/sizes", h.admin_token)
    for name, data in (("small.bin", small), ("large.bin", large)):
        add(h, tmp_path, repo, name, data)
    repo.send(plain)
    assert repo.commit(lfs("plain.bin", plain)).status == 200
    assert [bool(offer(h, repo, name)) for name in ("small.bin", "large.bin", "plain.bin", ".gitattributes")] == [False, True, False, False]
    client = Client(tmp_path, "2.4", h.url, h.admin_token)
    for name, data in (("small.bin", small), ("large.bin", large), ("plain.bin", plain)):
        assert got(client, repo, name) == sha256(data)
    h.stop()


def test_a_hub_that_is_told_never_to_offers_nothing(hub, tmp_path):
    """Twin; and what came meanwhile is offered by a hub that does."""
    h, data = Hubd(tmp_path, hub, args=["--xet-read=never"]), noise(11, "never")
    repo = put(h, tmp_path, "admin/never", data)
    assert not set(OFFER) & set(head(h, repo).headers)
    assert reading(h, repo).status == 404 and h.ask("/api/xet/1/v2/reconstructions/" + "0" * 64, token="anything").status == 404
    assert got(Client(tmp_path, "2.4", h.url, h.admin_token), repo) == sha256(data)
    h.stop()
    repo.hubd = again = Hubd(tmp_path, hub, data=h.data, args=["--xet-read=always"])
    assert offer(again, repo) and got(Client(tmp_path, "1.24", again.url, again.admin_token), repo) == sha256(data)
    again.stop()


def test_what_is_gone_is_not_offered(hub, tmp_path):
    h, data = Hubd(tmp_path, hub, args=["--xet-read=always", "--collect-grace=0"]), noise(11, "gone")
    repo, other = put(h, tmp_path, "admin/gone", data), Repo(h, "admin/other", h.admin_token)
    path, token = store(h, repo)
    info = list(h.ask(path, token=token).json["fetch_info"].values())[0][0]
    mine = reading(h, other).json["accessToken"]
    assert [h.ask(path, token=t).status for t in (token, mine)] == [200, 404], "it is in no commit of the other"
    assert repo.remove().status == 200
    assert h.ask(path, token=token).status == 404 and h.ask(local(info["url"]), Range="bytes=0-9").status == 403
    job = h.ask("/api/admin/v1/collect", "POST", "{}", h.admin_token, Content_Type="application/json").json["id"]
    assert eventually(lambda: h.ask(f"/api/admin/v1/jobs/{job}", token=h.admin_token).json["state"] == "done", 20)
    assert not blob(h, data).exists()
    other.send(data)                                    # the same bytes, another way: nothing is known of them
    assert other.commit(lfs("w.bin", data)).status == 200 and not offer(h, other)
    assert h.ask(path, token=reading(h, other).json["accessToken"]).status == 404
    h.stop()


def test_what_is_old_is_refused(hub, tmp_path):
    clock, data = tmp_path / "clock", noise(11, "old")
    clock.write_bytes((0).to_bytes(8, "little"))
    h = Hubd(tmp_path, hub, args=["--xet-read=always"], env={"LD_PRELOAD": SHIM, "CLOCK_SHIM": clock})
    repo = put(h, tmp_path, "admin/old", data)
    path, token = store(h, repo)
    url = local(list(h.ask(path, token=token).json["fetch_info"].values())[0][0]["url"])
    for ahead, plan, link in (0, 200, 206), (1201, 401, 206), (3601, 401, 403):
        with open(clock, "r+b") as f:
            f.write(ahead.to_bytes(8, "little"))
        assert (h.ask(path, token=token).status, h.ask(url, Range="bytes=0-9").status) == (plan, link), ahead
    assert rebuilt(h, *store(h, repo)) == data
    h.stop()


def test_what_is_given_is_on_record(ours, tmp_path):
    data = noise(11, "record")
    repo = put(ours, tmp_path, "admin/record", data)
    assert got(Client(tmp_path, "2.4", ours.url, ours.admin_token), repo) == sha256(data)

    def told():
        lines = "".join(f.read_text() for f in sorted((ours.data / "audit").glob("*.jsonl"))).splitlines()
        return [r for r in map(json.loads, lines) if r.get("file") == sha256(data) and r["kind"] == "download"]
    assert eventually(lambda: told(), 90)
    record = told()[0]
    assert (record["user"], record["repo"], record["bytes"], record["outcome"]) == ("admin", "models/admin/record", len(data), "done"), record
