"""Power cuts at every single change of a hub's data: the next start has the old or the new state, and each change exactly one record."""
import hashlib
import http.client
import itertools
import json
import os
import random
import re
import struct
import time

import pytest

from flow_crash import SEED, SHIM
from hubd import Hubd
from mountlib import PROGRAM, eventually
from registry import Repo, lfs, put
from xet import Store, Xorb, bytes_of, made_of

POINTS = int(os.environ.get("CRASH_POINTS", 2))     # of each kind; 0: all there are
FAR = 1 << 40                                       # changes that no life comes to
LATE_S = 1.3                                        # rows of records that are durable go later
NEVER = object()
pytestmark = pytest.mark.skipif("san" in str(PROGRAM) or not SHIM.exists(), reason="needs `make helpers` and a plain build")


def noise(i):
    return random.Random(i).randbytes(70000)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Lives:
    """Hubs on one data directory, each until it is killed."""

    def __init__(self, hub, tmp_path, torn, args=(), env=None):
        self.hub, self.tmp, self.args, self.below = hub, tmp_path, args, "data"
        self.env = env or ({"CRASH_TORN": 1} if torn else {})
        self.count, self.h, self.died, self.replays = tmp_path / "count", None, 0, 0
        self.count.write_bytes(bytes(8))

    def up(self):
        """A hub that runs."""
        if self.h and self.h.process.poll() is not None:
            self.bury()
        if self.h is None:
            env = {"LD_PRELOAD": SHIM, "CRASH_DIR": self.tmp / self.below, "CRASH_AT": FAR, "CRASH_COUNT": self.count}
            self.set(0)
            self.h = Hubd(self.tmp, self.hub, data=self.tmp / "data", args=["--upload-part=32KiB", *self.args],
                          env=env | self.env)
            self.replays += self.h.logged("recorded what a hub that was killed could not")
            assert not self.h.logged("were put into the catalogue anew"), "a kill left lists that told another thing"
        return self.h

    def bury(self):
        self.h.kill()
        self.h, self.died = None, self.died + 1

    def set(self, value):
        with self.count.open("r+b") as f:
            f.write(struct.pack("<Q", value))

    def changes(self):
        return struct.unpack("<Q", self.count.read_bytes())[0]

    def during(self, at, act):
        """What an act answers while its hub is cut at the change with that number from now on; NEVER if nobody heard."""
        self.set(FAR - at)
        try:
            got = act()
        except (OSError, http.client.HTTPException):
            got = NEVER
        if got is NEVER or not POINTS and eventually(lambda: self.h.process.poll() is not None, LATE_S):
            assert eventually(lambda: self.h.process.poll() is not None, 5), self.h.log_text()
            self.bury()
        else:
            self.set(0)
        return got

    def records(self, act, name):
        """Records of that change of something that was made; a note may go on behind its name."""
        lines = [line for f in sorted((self.tmp / "data" / "audit").glob("*.jsonl")) for line in f.read_text().splitlines()]
        found = [json.loads(one) for one in lines if f'"act":"{act}"' in one and re.search(rf"{name}[\";]", one)]
        return [r for r in found if r["outcome"] == "done"]

    def end(self):
        told = self.up().ask("/api/admin/v1/audit/verify", token=self.h.admin_token).json
        assert told["whole"], told
        self.h.stop()


class Act:
    """One kind of change, of things that it makes for each try (by number)."""

    def __init__(self, h, i):
        self.h, self.i, self.name = h, i, f"x{i}"

    def prepare(self):
        self.ask_admin("/orgs", "POST", name=f"before-{self.name}")      # what a hub writes once is written

    def repo(self, make=False):
        return Repo(self.h, f"admin/{self.name}", self.h.admin_token, make=make)

    def ask_admin(self, path, method="GET", **body):
        return self.h.ask(f"/api/admin/v1{path}", method, json.dumps(body) if body else None, self.h.admin_token)


class Commit(Act):
    act = "commit"

    def prepare(self):
        self.parent = self.repo(make=True).head()

    def run(self):
        return self.repo().commit(put("a.txt", b"a" * 5000), put("b.txt", self.name.encode()), parent=self.parent).status

    def is_made(self):
        head, tree = self.repo().head(), self.repo().tree()
        assert (head == self.parent) == ("b.txt" not in tree) == ("a.txt" not in tree) == (len(self.repo().log()) == 1)
        if head != self.parent:
            assert self.repo().read("b.txt") == self.name.encode() and self.repo().read("a.txt") == b"a" * 5000
        return head != self.parent

    def again(self):
        return self.run() == 200            # also if it was made: a client that heard nothing comes again


class Upload(Act):
    act = "lfs.upload"

    def data(self):
        return noise(self.i)

    def prepare(self):
        self.repo(make=True)

    def run(self):
        return 200 if self.repo().send(noise(self.i)) else 0

    def is_made(self):
        return self.repo().ask(f"/admin/{self.name}.git/info/lfs/objects/verify", "POST", oid=sha256(noise(self.i)), size=70000).status == 200

    def again(self):
        self.run()
        return self.repo().done(lfs("w.bin", noise(self.i))) and self.repo().read("w.bin") == noise(self.i)


class Parts(Upload):
    def run(self):
        data, repo = noise(self.i), self.repo()
        got = repo.ask(f"/admin/{self.name}.git/info/lfs/objects/batch", "POST", operation="upload", transfers=["multipart"],
                       objects=[{"oid": sha256(data), "size": len(data)}]).json["objects"][0].get("actions")
        if not got:
            return 0
        size, parts = int(got["upload"]["header"].pop("chunk_size")), []
        for number, href in sorted(got["upload"]["header"].items()):
            at = (int(number) - 1) * size
            answer = self.h.ask(href[len(self.h.url):], "PUT", data[at:at + size])
            assert answer.status == 200, answer
            parts.append({"partNumber": int(number), "etag": answer.headers["etag"]})
        return self.h.ask(got["upload"]["href"][len(self.h.url):], "POST", json.dumps({"oid": sha256(data), "parts": parts})).status


class Xet(Upload):
    """A file as large as those of which it is written down what they are made of, of two xorbs."""
    act = "xet.upload"

    def xorbs(self):
        return [Xorb(*(b"%d of %d of %s." % (n, x, self.name.encode()) * 600 for n in range(3))) for x in range(2)]

    def file(self):
        return made_of(*self.xorbs())

    def data(self):
        return bytes_of(self.file())

    def run(self, order=1):
        store = Store(self.h, self.repo(), self.h.admin_token)
        sent = [store.send(x).status for x in self.xorbs()[::order]]
        return store.tell(self.file()).status if sent == [200, 200] else max(sent)

    def is_made(self):
        return self.repo().ask(f"/admin/{self.name}.git/info/lfs/objects/verify", "POST", oid=sha256(self.data()),
                               size=len(self.data())).status == 200

    def again(self):
        """Who heard nothing sends it again, and not as it was."""
        assert self.is_made() or self.run(-1) == 200
        return self.repo().done(lfs("w.bin", self.data())) and self.repo().read("w.bin") == self.data()


class Create(Act):
    act = "repo.create"

    def run(self):
        return Repo(self.h, f"admin/{self.name}", self.h.admin_token, make=False).make(visibility="private").status

    def is_made(self):
        told = self.h.ask(self.repo().api, token=self.h.admin_token)
        if told.status == 200:
            assert told.json["private"] and list(self.repo().tree()) == [".gitattributes"] and len(self.repo().log()) == 1
        return told.status == 200

    def again(self):
        return self.run() in (200, 409)


class Delete(Create):
    act = "repo.delete"

    def prepare(self):
        self.repo(make=True)

    def run(self):
        return self.repo().remove().status

    def is_made(self):
        return self.h.ask(self.repo().api, token=self.h.admin_token).status in (401, 404)

    def again(self):
        return self.run() in (200, 401, 404)


class Settings(Act):
    act = "repo.settings"

    def prepare(self):
        self.repo(make=True)

    def run(self):
        return self.repo().ask(f"{self.repo().api}/settings", "PUT", private=True).status

    def is_made(self):
        return self.h.ask(self.repo().api, token=self.h.admin_token).json["private"]

    def again(self):
        return True


class Move(Act):
    act = "repo.move"

    def prepare(self):
        self.head = self.repo(make=True).head()

    def run(self):
        return self.repo().ask("/api/repos/move", "POST", fromRepo=f"admin/{self.name}", toRepo=f"admin/to-{self.name}").status

    def is_made(self):
        old, new = (self.h.ask(f"/api/models/admin/{n}", token=self.h.admin_token) for n in (self.name, f"to-{self.name}"))
        assert (old.status, new.status) in ((200, 404), (307, 200)) and self.head in (old if old.status == 200 else new).body.decode()
        return new.status == 200

    def again(self):
        return self.run() in (200, 404)


class Duplicate(Act):
    act = "repo.duplicate"

    def prepare(self):
        self.repo(make=True).done(put("a.txt", b"a"))

    def run(self):
        return self.repo().ask(f"{self.repo().api}/duplicate", "POST", repository=f"admin/of-{self.name}").status

    def is_made(self):
        copy = Repo(self.h, f"admin/of-{self.name}", self.h.admin_token, make=False)
        if self.h.ask(copy.api, token=self.h.admin_token).status != 200:
            return False
        assert copy.log() == self.repo().log() and copy.read("a.txt") == b"a"
        return True

    def again(self):
        return self.run() in (200, 409)


class Squash(Act):
    act = "repo.squash"

    def prepare(self):
        self.repo(make=True).done(put("a.txt", b"a"))
        self.tree = self.repo().tree()

    def run(self):
        return self.repo().ask(f"{self.repo().api}/super-squash/main", "POST", message="one").status

    def is_made(self):
        titles = [c["title"] for c in self.repo().log()]
        assert titles in (["one"], ["a change", "initial commit"]) and self.repo().tree() == self.tree
        return len(titles) == 1

    def again(self):
        return self.is_made() or self.run() == 200


class Cut(Act):
    act = "lfs.delete"

    def prepare(self):
        repo = self.repo(make=True)
        repo.send(noise(self.i))
        repo.done(lfs("w.bin", noise(self.i)), put("a.txt", b"a"))
        repo.ask(f"{repo.api}/tag/main", "POST", tag="v1")

    def run(self):
        return self.repo().ask(f"{self.repo().api}/lfs-files/batch", "POST",
                               deletions={"sha": [sha256(noise(self.i))], "rewriteHistory": True}).status

    def is_made(self):
        repo = self.repo()
        there = {"w.bin" in repo.tree(), "w.bin" in repo.tree("v1"), bool(repo.ask(f"{repo.api}/lfs-files").json)}
        assert len(there) == 1 and "a.txt" in repo.tree() and repo.head() == repo.head("v1") and len(repo.log()) == 2
        return there == {False}

    def again(self):
        return self.is_made() or self.run() == 200


class Tag(Act):
    act = "tag.create"

    def prepare(self):
        self.repo(make=True)

    def run(self):
        return self.repo().ask(f"{self.repo().api}/tag/main", "POST", tag="v1").status

    def is_made(self):
        return bool(self.repo().ask(f"{self.repo().api}/refs").json["tags"])

    def again(self):
        return self.run() in (200, 409)


class Untag(Tag):
    act = "tag.delete"

    def prepare(self):
        super().prepare()
        super().run()

    def run(self):
        return self.repo().ask(f"{self.repo().api}/tag/v1", "DELETE").status

    def is_made(self):
        return not super().is_made()

    def again(self):
        return self.run() in (200, 404)


class Branch(Act):
    act = "branch.create"

    def prepare(self):
        self.repo(make=True)

    def run(self):
        return self.repo().ask(f"{self.repo().api}/branch/b", "POST", emptyBranch=True).status

    def is_made(self):
        made = len(self.repo().ask(f"{self.repo().api}/refs").json["branches"]) == 2
        assert not made or self.repo().tree("b") == {}
        return made

    def again(self):
        return self.run() in (200, 409)


class User(Act):
    act = "user.add"

    def run(self):
        return self.ask_admin("/users", "POST", name=self.name).status

    def is_made(self):
        return self.ask_admin(f"/users/{self.name}").status == 200

    def again(self):
        return self.run() in (201, 409)


class Retire(User):
    act = "user.remove"

    def prepare(self):
        super().run()
        assert self.ask_admin("/tokens", "POST", user=self.name, name="t").status == 201

    def run(self):
        return self.ask_admin(f"/users/{self.name}", "DELETE").status

    def is_made(self):
        return not super().is_made()

    def again(self):
        return self.run() in (200, 404)


class Token(Act):
    act = "token.add"

    def run(self):
        return self.ask_admin("/tokens", "POST", user="admin", name=self.name, secret=f"hf_{self.name}").status

    def is_made(self):
        made = self.h.ask("/api/whoami-v2", token=f"hf_{self.name}").status == 200
        listed = [t["name"] for t in self.ask_admin("/tokens?limit=1000").json["items"]]
        assert (self.name in listed) == made
        return made

    def again(self):
        return self.run() in (201, 409)


class Rule(Act):
    act = "rule.put"

    def run(self):
        return self.ask_admin("/rules", "PUT", what=f"models/admin/{self.name}", whom="*", role="read").status

    def is_made(self):
        return bool(self.ask_admin(f"/rules?what=models/admin/{self.name}").json["items"])

    def again(self):
        return True


SOME = [Commit, Upload, Parts, Xet, Create, Delete, Settings, Move, Cut, Tag, User, Retire]
ALL = [*SOME, Duplicate, Squash, Untag, Branch, Token, Rule]


def a_try(lives, kind, i, at, below="data"):
    """One change that is cut off at that point, and what is left of it. How many changes of files there were.

    below: where those are counted in the life that follows.
    """
    act = kind(lives.up(), i)
    act.prepare()
    if at:
        heard = lives.during(at, act.run)
    else:
        lives.set(0)
        heard = act.run()
        if not POINTS:
            time.sleep(LATE_S)
    changes, lives.below = lives.changes(), below
    act.h = lives.up()
    made = act.is_made()
    words = kind.act, sha256(act.data()) if isinstance(act, Upload) else act.name + (" (of|for) .*" if kind in (Token, Rule) else "")
    where = f"{kind.__name__} cut at {at}, answered {heard}, made {made}\n{lives.h.log_text()}"
    assert heard is NEVER or made == (heard in (200, 201)), where
    assert len(lives.records(*words)) == made, f"{lives.records(*words)} {where}"
    assert act.again(), where
    if kind not in (Settings, Rule):
        assert act.is_made() and len(lives.records(*words)) == 1, where
    return changes


@pytest.mark.parametrize("kind", SOME if POINTS else ALL)
@pytest.mark.parametrize("torn", [False, True] if not POINTS else [False], ids=lambda torn: "half done" if torn else "not begun")
def test_a_change_and_its_record_are_never_parted(hub, tmp_path, kind, torn):
    print(f"seed {SEED}")
    lives, numbers = Lives(hub, tmp_path, torn), itertools.count()
    lives.below = "data/audit"          # the first change there is that of the record, when all else is done
    a_try(lives, kind, next(numbers), 1, below="data")
    assert (lives.died, lives.replays) == (1, 1), lives.h.log_text()
    total = a_try(lives, kind, next(numbers), 0)
    assert total > 5
    points = range(1, total + 1) if not POINTS else sorted(random.Random(f"{SEED} {kind}").sample(range(1, total + 1), min(POINTS, total)))
    for at in points:
        a_try(lives, kind, next(numbers), at)
    lives.end()
    print(f"{total} changes, {len(points)} cuts, {lives.died} deaths, {lives.replays} starts that recorded what was owed")
    assert lives.died > len(points) * 0.5


class Collected:
    """A repository some of which nobody needs any more: all of its own file, of a branch that went, of an upload without a commit. The first
    and the last came by Xet, and what they are made of is known."""

    def __init__(self, h, i):
        self.h, self.gone = h, noise(i)
        self.mine, self.theirs = ([Xorb(*(b"%d %d %d %s." % (i, x, n, what) * 600 for n in range(3))) for x in range(2)] for what in (b"kept", b"stray"))
        self.kept, self.stray = (bytes_of(made_of(*xorbs)) for xorbs in (self.mine, self.theirs))
        self.repo = Repo(h, f"admin/c{i}", h.admin_token)
        self.bring(self.mine)
        self.repo.done(lfs("w.bin", self.kept), put("a.txt", b"a%d" % i))
        self.repo.ask(f"{self.repo.api}/branch/side", "POST")
        self.repo.send(self.gone)
        self.repo.done(lfs("s.bin", self.gone), put("s.txt", b"s%d" % i), branch="side")
        self.bring(self.theirs)
        self.repo.ask(f"{self.repo.api}/branch/side", "DELETE")
        self.tree, self.log = self.repo.tree(), self.repo.log()

    def store(self):
        return Store(self.h, self.repo, self.h.admin_token)

    def bring(self, xorbs):
        store = self.store()
        assert [store.send(x).status for x in xorbs] + [store.tell(made_of(*xorbs)).status] == [200] * 3

    def known(self):
        """Of which of the two that came by Xet the first chunk is known."""
        return [self.store().seek(xorbs[0].chunks[0]).status == 200 for xorbs in (self.mine, self.theirs)]

    def collect(self):
        """What a run told at its end."""
        job = self.h.ask("/api/admin/v1/collect", "POST", "{}", self.h.admin_token, Content_Type="application/json").json["id"]
        ended = lambda: self.h.ask(f"/api/admin/v1/jobs/{job}", token=self.h.admin_token).json["state"] not in ("queued", "running")
        assert eventually(ended, 20)
        return self.h.ask("/api/admin/v1/collect", token=self.h.admin_token).json

    def blobs(self):
        """Which of the three there are files of."""
        names = {p.name for p in (self.h.data / "own/blobs").glob("*/*")}
        return {part for part in ("kept", "gone", "stray") if sha256(getattr(self, part)) in names}

    def is_whole(self):
        assert self.repo.tree() == self.tree and self.repo.log() == self.log
        return self.repo.read("w.bin") == self.kept and "kept" in self.blobs()

    def live(self, h):
        """In the life that follows."""
        self.h = self.repo.hubd = h


def a_collection(lives, i, at):
    """One run of the collector that is cut at that change of a file, and one in the next life. How many changes there were."""
    some = Collected(lives.up(), i)
    assert some.blobs() == {"kept", "gone", "stray"} and some.known() == [True, True]
    heard = lives.during(at, some.collect) if at else (lives.set(0), some.collect())[1]
    changes = lives.changes()
    some.live(lives.up())
    assert some.is_whole(), f"cut at {at}"
    assert heard is NEVER or heard["complete"] and some.blobs() == {"kept"}
    assert some.known() == [True, False] or heard is NEVER
    told = some.collect()
    assert some.known() == [True, False], f"cut at {at}"
    assert told["complete"] and some.is_whole() and some.blobs() == {"kept"}, f"cut at {at}: {told}"
    assert (told["blobs"], told["left_alone"], told["mended"]) == (0, 0, 0) if heard is not NEVER else told["blobs"] <= 3, told
    # What was begun and cut is begun again: nothing is left for a third, and who comes with the same bytes brings them.
    assert all(some.collect()[what] == 0 for what in ("blobs", "objects", "uploads", "mended"))
    some.bring(some.theirs)
    assert some.repo.send(some.gone) and not some.repo.send(some.kept) and some.known() == [True, True]
    assert some.repo.done(lfs("t.bin", some.stray), lfs("u.bin", some.gone)) and some.repo.read("t.bin") == some.stray
    return changes


@pytest.mark.parametrize("torn", [False, True] if not POINTS else [False], ids=lambda torn: "half done" if torn else "not begun")
def test_a_collector_that_is_cut_takes_nothing_that_is_reached_and_leaves_nothing_that_is_not(hub, tmp_path, torn):
    print(f"seed {SEED}")
    lives, numbers = Lives(hub, tmp_path, torn, ["--collect-grace=0"]), itertools.count()
    total = a_collection(lives, next(numbers), 0)
    assert total > 5 and lives.died == 0
    points = range(1, total + 1) if not POINTS else sorted(random.Random(f"{SEED} collect").sample(range(1, total + 1), POINTS))
    for at in points:
        a_collection(lives, next(numbers), at)
    lives.end()
    print(f"{total} changes, {len(points)} cuts, {lives.died} deaths")
    assert lives.died > len(points) * 0.5


def test_a_disk_that_is_full_at_any_write_of_an_upload_is_told(hub, tmp_path):
    """From some write on nothing gets longer: what is not made is told so, and comes when there is room."""
    lives, numbers = Lives(hub, tmp_path, False, env={"CRASH_FULL": 1}), itertools.count()

    def told(at):
        act = Xet(lives.up(), next(numbers))
        act.prepare()
        lives.set(FAR - at if at else 0)
        status, changes = act.run(), lives.changes()
        lives.set(0)
        where = f"full from {at} on, answered {status}\n{lives.h.log_text()}"
        assert eventually(lambda: act.ask_admin("/orgs", "POST", name=f"after-{act.name}").status in (201, 409), 20), where
        assert act.is_made() or status != 200, where    # what cannot be recorded is made, and told to be not
        assert act.again() and len(lives.records(act.act, sha256(act.data()))) == 1, where
        return status, changes

    status, total = told(0)
    assert status == 200
    points = range(1, total + 1) if not POINTS else sorted(random.Random(SEED).sample(range(1, total + 1), min(2 * POINTS, total)))
    answers = [told(at)[0] for at in [1, *points]]
    assert answers[0] == 507 and set(answers) <= {200, 507}, answers
    lives.end()
