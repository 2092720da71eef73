"""What matrixhubd keeps of what people upload: what nobody needs goes, by itself or when asked to, and nothing else does; how
much a namespace may hold; and what is said when it may hold no more, or the disk cannot."""
import hashlib
import http.client
import json
import os
import pathlib
import random
import shutil
import threading
import time

import pytest

from flow_faults import small_disk
from flow_hub_ctl import ctl, data, fine, refused
from hubd import Hubd
from mountlib import eventually
from registry import Repo, drop, lfs, put
from xet import Store, Xorb, whole

NOW = ("--collect-grace=0",)
MIB = 1 << 20


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def etag(some, of_lfs=True):
    return hashlib.sha256(some).hexdigest() if of_lfs else hashlib.sha1(b"blob %d\0" % len(some) + some).hexdigest()


def kept(h):
    """The etags of all blobs."""
    return {p.name for p in (h.data / "own/blobs").glob("*/*")}


def bring(repo, path, some):
    """A file of git-lfs in a commit of its own."""
    repo.send(some)
    return repo.done(lfs(path, some))


def trail(h, act):
    """What the hub recorded of itself."""
    return [r for r in data(h, "audit query --kind=hub") if r["act"] == act]


@pytest.fixture
def ours(hub, hubd):
    h = hubd(hub, args=NOW)
    return Repo(h, "admin/one", h.admin_token)


def test_what_nobody_needs_goes_and_is_told_of_before(ours):
    h, weights, side, stray = ours.hubd, noise(5000), noise(6000, 2), noise(7000, 3)
    bring(ours, "w.bin", weights)
    ours.ask(f"{ours.api}/branch/side", "POST")
    ours.send(side)
    left = ours.done(lfs("s.bin", side), put("s.txt", b"side\n"), branch="side")
    ours.send(stray)
    assert ours.ask(f"{ours.api}/branch/side", "DELETE").status == 200
    before = kept(h)
    told = data(h, "collect --dry-run")
    assert kept(h) == before and told["dry_run"] and told["complete"]
    assert {(i["what"], i["id"]) for i in told["items"]} == {
        ("blob", etag(side)), ("blob", etag(b"side\n", False)), ("blob", etag(stray)), ("commit", left), ("upload", "")}
    assert all(i["why"] for i in told["items"]) and told["bytes"] == 6000 + 7000 + 5
    text = fine(h, "collect")
    assert "12.7 KiB" in text and left in text, text
    assert before - kept(h) == {etag(side), etag(stray), etag(b"side\n", False)}
    assert ours.read("w.bin") == weights and ours.head()
    again = data(h, "collect")
    assert again["blobs"] == again["objects"] == again["uploads"] == 0 and again["looked"] == len(kept(h))
    assert eventually(lambda: trail(h, "collect"), 10)
    (record,) = trail(h, "collect")
    assert record["bytes"] == 13005 and "blobs=3" in record["note"] and "uploads=1" in record["note"]


def test_what_somebody_spoke_of_lately_is_spared(hub, hubd):
    h = hubd(hub)
    ours, side = Repo(h, "admin/one", h.admin_token), noise(6000, 2)
    ours.ask(f"{ours.api}/branch/side", "POST")
    ours.send(side)
    left = ours.done(lfs("s.bin", side), branch="side")
    ours.ask(f"{ours.api}/branch/side", "DELETE")
    ours.send(noise(100))
    told = data(h, "collect")
    assert told["blobs"] == told["objects"] == told["uploads"] == 0 and etag(side) in kept(h)
    assert ours.ask(f"{ours.api}/branch/again", "POST", startingPoint=left).status == 200
    assert ours.read("s.bin", "again") == side


def test_it_collects_by_itself(hub, hubd):
    h = hubd(hub, args=[*NOW, "--collect-every=1"])
    ours = Repo(h, "admin/one", h.admin_token)
    ours.send(noise(100))
    assert eventually(lambda: etag(noise(100)) not in kept(h), 15)


def few(n):
    return bytes([n]) * 300


def bring_by_xet(repo, *parts):
    """A file of chunks, of which those are not sent that are told to be here; what told it, once all that it needs is. Between the two they
    may go: then it is refused, and they are not told of any more."""
    store, xorbs = Store(repo.hubd, repo, repo.token), [Xorb(part) for part in parts]
    for x in xorbs:
        assert store.seek(x.chunks[0]).status == 200 or store.send(x).status == 200
    got = store.tell(whole(*xorbs))
    assert got.status in (200, 400, 503), got
    return got


def check_known(repo, hubd):
    """What is told to be here is, when nothing goes meanwhile: how much that is."""
    repo.hubd, known = hubd, 0
    store = Store(hubd, repo, repo.token)
    for x in (Xorb(few(n)) for n in range(5)):
        if store.seek(x.chunks[0]).status == 200:
            known += 1
            assert store.tell(whole(x)).status == 200
    return known


def write_at_random(repo, rng, over, made):
    """Few files, so that what goes is wanted again soon; until it is over, or the hub was killed."""
    while not over.is_set():
        some = few(rng.randrange(5))
        try:
            way = rng.random()
            if way < 0.3:
                repo.send(some)
                got = repo.commit(lfs(f"{rng.randrange(4)}.bin", some))
            elif way < 0.6:
                more = few(rng.randrange(5)) if rng.random() < 0.5 else b""
                bring_by_xet(repo, some, *[more] * bool(more))
                got = repo.commit(lfs(f"{rng.randrange(4)}.bin", some + more))
            else:
                got = repo.commit(put(f"{rng.randrange(4)}.txt", some))
            for method in "POST", "DELETE":
                if rng.random() < 0.2:
                    repo.ask(f"{repo.api}/branch/b{rng.randrange(3)}", method, overwrite=True)
        except (OSError, http.client.HTTPException):
            return
        # Bytes that were collected between their coming and their commit are missed by that, and by nobody later.
        assert got.status in (200, 400, 503), got
        made.append(got.status)


def check_all(repo, hubd):
    repo.hubd = hubd
    for branch in repo.ask(f"{repo.api}/refs").json["branches"]:
        for path in repo.tree(branch["name"]):
            assert repo.read(path, branch["name"])


def test_nothing_that_is_reached_goes_while_many_write_and_it_is_killed(hub, hubd):
    """Nothing is spared: what a commit was told is there stays there all the same. KEEP_SECONDS makes it longer."""
    until, lives, data_dir = time.monotonic() + float(os.environ.get("KEEP_SECONDS", 0)), 0, None
    while not lives or time.monotonic() < until:
        h = hubd(hub, data=data_dir, args=NOW)
        repos = [Repo(h, f"admin/r{n}", h.admin_token, make=not lives) for n in range(2)]
        over, made = threading.Event(), [[], []]
        threads = [threading.Thread(target=write_at_random, args=(repo, random.Random(9 * lives + n), over, made[n]))
                   for n, repo in enumerate(repos)]
        for t in threads:
            t.start()
        for _ in range(8):
            assert data(h, "collect")["mended"] == 0
        h.ask("/api/admin/v1/collect", "POST", "{}", h.admin_token, Content_Type="application/json")
        h.kill()
        over.set()
        for t in threads:
            t.join(20)
        assert all(200 in m for m in made)
        data_dir, lives = h.data, lives + 1
        again = hubd(hub, data=data_dir, args=NOW)
        for _ in range(2):
            for repo in repos:
                check_all(repo, again)
            assert data(again, "collect")["left_alone"] == 0
        assert bring_by_xet(repos[0], few(0)).status == 200
        assert [check_known(repo, again) for repo in repos][0] > 0
        assert scrub(again)["damaged"] == 0
        again.stop()


def test_a_namespace_holds_no_more_than_it_may(ours):
    h, one, two = ours.hubd, noise(60_000), noise(60_000, 2)
    bring(ours, "one.bin", one)
    (held,) = data(h, "quota list")
    assert held["namespace"] == "admin" and 60_000 < held["used_bytes"] < 70_000 and held["limit_bytes"] is None
    assert "100 KiB" in fine(h, "quota set admin 100KiB")
    words = 'Storage limit reached: "admin" uses '
    got = ours.ask(f"/{ours.id}.git/info/lfs/objects/batch", "POST", operation="upload", transfers=["basic"],
                   objects=[{"oid": etag(two), "size": len(two)}], hash_algo="sha256")
    assert got.status == 403 and words in got.json["error"] and "of the 100 KiB it may" in got.headers["x-error-message"], got
    got = ours.commit(put("two.txt", two))
    assert got.status == 403 and words in got.json["error"]
    # The twin: what it has, it may name wherever it likes.
    other = Repo(h, "admin/two", h.admin_token)
    bring(other, "same.bin", one)
    (held,) = data(h, "quota list")
    assert held["used_bytes"] < 70_000
    # What is deleted is given back; of a file that is only not there any more its history has it still.
    ours.done(drop("one.bin"))
    assert ours.commit(put("two.txt", two)).status == 403
    assert ours.remove().status == other.remove().status == 200
    (held,) = data(h, "quota list")
    assert held["used_bytes"] == held["files"] == 0
    ours.make()
    bring(ours, "two.bin", two)
    fine(h, "quota set admin none")
    bring(ours, "one.bin", one)
    assert "no user or organization" in refused(h, "quota set nobody 1GiB")
    assert "no size" in refused(h, "quota set admin much")
    for nothing in "0", "0GiB":  # who means to stop a namespace does not open it
        assert "one byte at least" in refused(h, f"quota set admin {nothing}")
    assert data(h, "quota set admin 1")["limit_bytes"] == 1 and ours.commit(put("two.txt", b"2")).status == 403


def test_what_waits_for_its_commit_counts_until_it_is_forgotten(ours):
    h = ours.hubd
    ours.send(noise(60_000))
    fine(h, "quota set admin 100KiB")
    assert ours.commit(put("a.txt", noise(50_000, 2))).status == 403
    assert data(h, "collect")["uploads"] == 1
    assert ours.commit(put("a.txt", noise(50_000, 2))).status == 200


def blob_of(h, some, of_lfs=True):
    name = etag(some, of_lfs)
    return h.data / "own/blobs" / name[:2] / name


def spoil(path):
    path.chmod(0o600)
    with path.open("r+b") as f:
        f.seek(7)
        f.write(b"?")
    path.chmod(0o400)


def scrub(h, lost=0):
    """What it tells; it fails if something is lost."""
    done = ctl(h, "--json scrub")
    assert (done.returncode != 0) == bool(lost) and ("damaged or missing" in done.stderr) == bool(lost), done
    told = json.loads(done.stdout)
    assert len(told["lost"]) == lost and told["complete"], told
    return told


def test_what_rots_is_told_of_and_not_given_and_who_has_it_heals_it(ours):
    h, one, two, small = ours.hubd, noise(400_000), noise(300_000, 2), b"small file\n" * 10
    bring(ours, "one.bin", one)
    bring(ours, "two.bin", two)
    ours.done(put("small.txt", small))
    assert scrub(h)["damaged"] == 0 and h.ask("/readyz").json["reasons"] == []
    spoil(blob_of(h, one))
    spoil(blob_of(h, small, False))
    blob_of(h, two).unlink()
    told = scrub(h, 3)
    assert told["damaged"] == 2 and told["missing"] == 1
    assert {(x["etag"], x["state"]) for x in told["lost"]} == {
        (etag(one), "damaged"), (etag(small, False), "damaged"), (etag(two), "missing")}
    ready = h.ask("/readyz").json
    assert ready["degraded"] and ready["reasons"] == ["uploads"] and ready["lost_uploads"] == 3
    assert b"\nmatrixfs_lost_uploads 3\n" in h.ask("/metrics", token=h.admin_token).body
    assert h.logged("^<3>an upload is damaged, and was set aside: who has it can send it again etag="), h.log_text()
    assert eventually(lambda: {r["file"] for r in trail(h, "scrub")} == {x["etag"] for x in told["lost"]}, 10)
    for path in "one.bin", "two.bin", "small.txt":
        got = h.ask(f"/admin/one/resolve/main/{path}")
        assert got.status >= 400 and h.ask(f"/admin/one/resolve/main/{path}", "HEAD").status == got.status, (path, got.status)
    assert h.ask("/admin/one/resolve/main/.gitattributes", "HEAD").status == 200
    # Whoever has the bytes sends them: the hub says that it has not.
    assert ours.send(one) and ours.send(two) and not ours.send(one)
    ours.done(put("copy.txt", small))
    assert (ours.read("one.bin"), ours.read("two.bin"), ours.read("small.txt")) == (one, two, small)
    assert scrub(h)["healed"] == 2 and not list((h.data / "own/damaged").iterdir())
    assert h.ask("/readyz").json["reasons"] == []


def test_on_a_full_disk_nothing_is_taken_and_everything_is_given(hub, tmp_path):
    with small_disk(tmp_path / "disk", "64m") as disk:
        h = Hubd(disk, hub, args=NOW)
        try:
            ours, kept_file, other = Repo(h, "admin/one", h.admin_token), noise(100_000), noise(100_000, 2)
            gone = Repo(h, "admin/gone", h.admin_token)
            bring(gone, "w.bin", noise(200_000, 5))
            bring(ours, "w.bin", kept_file)
            href = ours.ask(f"/{ours.id}.git/info/lfs/objects/batch", "POST", operation="upload", transfers=["basic"],
                            objects=[{"oid": etag(other), "size": len(other)}], hash_algo="sha256") \
                .json["objects"][0]["actions"]["upload"]["href"][len(h.url):]
            (disk / "ballast").write_bytes(b"x" * (shutil.disk_usage(disk).free - 8 * MIB))
            asked = {
                "create": ours.ask("/api/repos/create", "POST", name="two"),
                "settings": ours.ask(f"{ours.api}/settings", "PUT", private=True),
                "commit": ours.commit(put("a.txt", b"a")),
                "branch": ours.ask(f"{ours.api}/branch/b", "POST"),
                "tag": ours.ask(f"{ours.api}/tag/main", "POST", tag="v1"),
                "batch": ours.ask(f"/{ours.id}.git/info/lfs/objects/batch", "POST", operation="upload", transfers=["basic"],
                                  objects=[{"oid": etag(other), "size": len(other)}], hash_algo="sha256"),
                "put": h.ask(href, "PUT", other),
                "quota": h.ask("/api/admin/v1/quotas/admin", "PUT", '{"size": "1GiB"}', h.admin_token, Content_Type="application/json"),
            }
            assert {name: got.status for name, got in asked.items()} == dict.fromkeys(asked, 507)
            assert all("no room on th" in got.json["error"] for got in asked.values()), asked
            assert h.ask("/readyz").json["read_only"] is True
            assert ours.read("w.bin") == kept_file and list(ours.tree()) == [".gitattributes", "w.bin"]
            # What makes room goes on: that is the way out.
            assert gone.remove().status == 200 and data(h, "collect")["bytes"] >= 200_000 and scrub(h)
            (disk / "ballast").unlink()
            assert h.ask(href, "PUT", other).status == 200 and h.ask("/readyz").json["read_only"] is False
            ours.done(lfs("o.bin", other))
            assert ours.read("o.bin") == other
        finally:
            h.stop()


def test_a_copy_made_while_it_runs_serves_all_it_had_when_it_began(ours, hub, hubd, tmp_path):
    h, one, two, later = ours.hubd, noise(200_000), b"two\n", noise(100_000, 3)
    bring(ours, "one.bin", one)
    ours.done(put("two.txt", two))
    files, head = ours.tree(), ours.head()
    rows = pathlib.Path(data(h, "backup begin")["rows"])
    # What goes and comes meanwhile does not matter: nothing is collected.
    bring(ours, "later.bin", later)
    gone = Repo(h, "admin/gone", h.admin_token)
    bring(gone, "x.bin", noise(1000, 4))
    assert ours.remove().status == gone.remove().status == 200
    assert "a backup is under way" in refused(h, "collect") and blob_of(h, one).exists()
    copy = tmp_path / "copy"
    shutil.copytree(rows, copy / "hub")
    shutil.copytree(h.data / "own/blobs", copy / "own/blobs")
    shutil.copy(h.data / "admin.token", copy)
    fine(h, "backup end")
    assert not list(rows.iterdir()) and data(h, "collect")["blobs"] >= 3 and not blob_of(h, one).exists()
    again = hubd(hub, data=copy, args=NOW)
    was = Repo(again, ours.id, again.admin_token, make=False)
    assert (was.head(), was.tree()) == (head, files) and (was.read("one.bin"), was.read("two.txt")) == (one, two)
    assert scrub(again)["missing"] == 0
    assert "a backup is under way" in refused(again, "collect")  # as far as the copy knows
    fine(again, "backup end")
    assert data(again, "collect")["blobs"] >= 1 and was.read("one.bin") == one and not blob_of(again, later).exists()
    was.done(put("more.txt", b"more"))
