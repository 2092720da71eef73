"""A hub that gives a file by its Xet store alone, as the public one does with the largest: matrixfs and matrixhubd fetch it from there.
The upstream is a real matrixhubd, which has files that a real client brought, and somebody in between who changes what it says. The
twin of each story is the same file by plain HTTP, or the same hub without the fault."""
import json
import time

import pytest

from between import Between
from clients_hubd import Client
from clients_xet import MIB, noise, upload
from hub import Hub
from hubd import Hubd
from mountlib import fails, read
from registry import Repo

PLANS, BYTES, TOKENS = "/reconstructions/", "/v1/bytes/", "/xet-read-token/"
NAME = "w.bin"


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with Hub() as hub:
        h = Hubd(tmp_path_factory.mktemp("xet-upstream"), hub, timeout=20, args=["--xet-read=always"])
        yield h
        h.stop()


@pytest.fixture(scope="module")
def files(ours, tmp_path_factory):
    """Repositories, and the bytes of their file: of one xorb, of pieces of some, which repeat themselves, of one and a small one."""
    tmp = tmp_path_factory.mktemp("files")
    first = noise(20, "upstream")
    pieces = bytearray(first)
    for at in range(0, len(pieces), 700_000):
        pieces[at:at + 100] = noise(0.001, at)
    pieces = bytes(pieces[:9 * MIB]) + noise(0.3, "put in") * 5 + bytes(pieces[9 * MIB:]) + first[:3 * MIB] + bytes(4 * MIB)
    grown = first[:10 * MIB] + noise(0.4, "grown") + first[10 * MIB:]
    all = {"plain": first, "pieces": pieces, "grown": grown}
    client, made = Client(tmp / "sender", "2.4", ours.url, ours.admin_token), {}
    for name, data in all.items():
        (tmp / NAME).write_bytes(data)
        made[name] = Repo(ours, f"admin/{name}", ours.admin_token), data
        upload(client, made[name][0], tmp / NAME, NAME)
    return made


def no_plain_http(asked, answer):
    """As a hub that says: by Xet, or not at all."""
    if "/resolve/" in asked.path and asked.method == "GET" and "x-xet-hash" in answer.headers:
        answer.status, answer.body = 403, b"this file is too large for plain HTTP"
        answer.headers = {k: v for k, v in answer.headers.items() if k in ("x-xet-hash", "link", "x-repo-commit", "x-linked-etag", "x-linked-size")}


@pytest.fixture
def between(ours):
    made = []

    def factory(*changes):
        def change(asked, answer):
            for c in changes:
                c(asked, answer)
        made.append(Between(ours, change))
        return made[-1]
    yield factory
    for b in made:
        b.stop()


def show(mount, b, *args, **kw):
    return mount(b.url, args=args, **kw)


def test_a_mount_reads_what_is_there_by_xet_alone(files, mount, between):
    repo, data = files["pieces"]
    b = between(no_plain_http)
    m = show(mount, b)
    assert read(m.file(repo.id, NAME)) == data
    assert b.asked(BYTES) and b.asked(PLANS) and len(b.asked("/resolve/")) == 1, "plain HTTP is tried once"
    assert len(b.asked(TOKENS)) == 1, "one token is good for all"


def test_plain_http_stays_the_way_where_it_is_offered(files, mount, between):
    """Twin; and --hub-xet says otherwise."""
    repo, data = files["plain"]
    b = between()
    assert read(show(mount, b).file(repo.id, NAME)) == data and not b.asked(PLANS)
    always = between()
    assert read(show(mount, always, "--hub-xet=always").file(repo.id, NAME)) == data
    assert always.asked(PLANS) and len(always.asked("/resolve/")) == 1


def test_who_is_never_to_does_not(files, mount, between):
    repo, _ = files["plain"]
    b = between(no_plain_http)
    assert fails(read, show(mount, b, "--hub-xet=never").file(repo.id, NAME)) == "EACCES"
    assert not b.asked(PLANS)


def test_a_part_is_had_without_the_rest(files, mount, between):
    repo, data = files["pieces"]
    b = between(no_plain_http)
    m = show(mount, b, "--prefetch=no")
    assert read(m.file(repo.id, NAME), 17 * MIB + 5, 1000) == data[17 * MIB + 5:][:1000]
    first = int(b.asked(PLANS)[0].headers["Range"].removeprefix("bytes=").partition("-")[0])
    assert 16 * MIB <= first <= 17 * MIB + 5


def test_a_hub_brings_it_for_its_clients(ours, files, hubd, between):
    repo, data = files["pieces"]
    b = between(no_plain_http)
    mine = hubd(b.url, timeout=20)
    got = mine.ask(f"/{repo.id}/resolve/main/{NAME}")
    assert got.status == 200 and got.body == data and b.asked(PLANS)
    b.stop()
    assert mine.ask(f"/{repo.id}/resolve/main/{NAME}", Range="bytes=100-199").body == data[100:200], "it is here now"
    twin = between(no_plain_http)
    never = hubd(twin.url, args=["--upstream-xet=never"])
    assert never.ask(f"/{repo.id}/resolve/main/{NAME}").status == 403 and not twin.asked(PLANS)


def test_a_store_of_the_first_version_is_asked_by_it(files, mount, between):
    def knows_no_second(asked, answer):
        if "/v2/" in asked.path:
            answer.status, answer.body = 404, b""
    repo, data = files["pieces"]
    b = between(no_plain_http, knows_no_second)
    assert read(show(mount, b).file(repo.id, NAME)) == data
    firsts, seconds = b.asked("/v1/reconstructions/"), b.asked("/v2/reconstructions/")
    assert len(firsts) > len(seconds) >= 1, "it is not asked again for what it does not know"


def once(part, *changes, which=lambda answer: True):
    """What happens to the first answers of such a path."""
    left = list(changes)

    def change(asked, answer):
        if part in asked.path and left and answer.status < 300 and which(answer):
            left.pop(0)(answer)
    change.left = left
    return change


def refuse(status):
    def change(answer):
        answer.status, answer.body = status, b"{}"
    return change


def flip(answer):
    body = bytearray(answer.body)
    body[len(body) // 2] ^= 1
    answer.body = bytes(body)


def cut(answer):
    answer.body, answer.headers = answer.body[:len(answer.body) // 2], {k: v for k, v in answer.headers.items() if k != "content-range"}


def bomb(answer):
    """A chunk that says to be sixteen MiB."""
    answer.body = answer.body[:5] + b"\xff\xff\xff" + answer.body[8:]


def other_lengths(answer):
    said = json.loads(answer.body)
    for term in said["terms"]:
        term["unpacked_length"] += 1
    answer.body = json.dumps(said).encode()


def test_what_fails_once_is_tried_again(files, mount, between):
    repo, data = files["pieces"]
    faults = [once(BYTES, refuse(403), refuse(503), bomb, cut), once(PLANS, refuse(401), refuse(503), other_lengths)]
    b = between(no_plain_http, *faults)
    assert read(show(mount, b, timeout=20).file(repo.id, NAME)) == data
    assert not any(fault.left for fault in faults)
    assert len(b.asked(TOKENS)) == 2


@pytest.mark.parametrize("part, change", [(BYTES, bomb), (PLANS, refuse(401))], ids=["bomb", "old-tokens"])
def test_what_goes_on_failing_ends_the_read(files, mount, between, part, change):
    repo, _ = files["plain"]
    b = between(no_plain_http, once(part, *[change] * 1000))
    began = time.monotonic()
    assert fails(read, show(mount, b).file(repo.id, NAME)) == "EIO"
    assert time.monotonic() - began < 30


def test_a_flipped_byte_is_found_by_the_file_and_names_its_source(files, mount, between):
    repo, data = files["plain"]
    fault = once(BYTES, lambda answer: None, flip)      # of a part of a xorb, which nobody can check alone
    b = between(no_plain_http, fault)
    m = show(mount, b, "--verify=strict", timeout=20)
    assert read(m.file(repo.id, NAME)) == data
    assert m.logged(f"dropped etag=.*source={b.url}"), m.log_text()


def test_a_flipped_byte_of_a_xorb_that_comes_whole_reaches_nobody(files, mount, between):
    """It is compared with its name, and fetched once more. The story above is the twin."""
    repo, data = files["grown"]
    fault = once(BYTES, flip, which=lambda answer: answer.headers["content-range"].endswith(f"/{len(answer.body)}"))
    b = between(no_plain_http, fault)
    m = show(mount, b, timeout=20)
    assert read(m.file(repo.id, NAME)) == data and not fault.left
    assert not m.logged("dropped etag="), m.log_text()


def test_a_mount_that_was_killed_goes_on(files, mount, between, tmp_path):
    repo, data = files["plain"]
    b, slow = between(no_plain_http), 0.3

    def wait(asked, answer):
        if BYTES in asked.path:
            time.sleep(slow)
    first = between(no_plain_http, wait)
    m = show(mount, first, "--prefetch=no", cache=tmp_path / "kept")
    assert read(m.file(repo.id, NAME), 0, 9 * MIB) == data[:9 * MIB]
    m.kill()
    again = show(mount, b, cache=tmp_path / "kept")
    assert read(again.file(repo.id, NAME)) == data
    assert all(int(a.headers["Range"].removeprefix("bytes=").partition("-")[0]) >= 8 * MIB for a in b.asked(PLANS)), "the rest alone"
