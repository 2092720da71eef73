"""Metadata that clients write by NFS: into the same bounded scratch as by the mount. With --strict-ro: flow_nfs_walk.py."""
import pytest

from control import Control
from mountlib import names, read, readlink, stat, write
from nfs_wire import (ACCES, AUTH_SYS, DIR, EXIST, FBIG, INVAL, ISDIR, LNK, NOENT, NOT_SYNC, NOTDIR, NOTEMPTY, OK, REG, ROFS, STALE, auth_sys,
                      fh, opaque, sattr, u32, u64)

SMALL = b'{"model_type": "bert"}'
FILES = {"config.json": SMALL}
LOCKS = ("hub", ".locks", "models--org--tiny")
UNCHECKED, GUARDED, EXCLUSIVE = range(3)
FILE_SYNC = 2


class Hand:
    """Writes in one directory."""

    def __init__(self, nfs, *path):
        self.nfs, self.dir = nfs, nfs.walk(*path)

    def at(self, name):
        return fh(self.dir) + opaque(name)

    def create(self, name, how=UNCHECKED, attributes=None):
        return self.nfs.nfs("create", self.at(name) + u32(how) + (attributes or (bytes(8) if how == EXCLUSIVE else sattr(mode=0o644))))

    def made(self, name, content=b""):
        """The handle of a new file with this content."""
        created = self.create(name)
        assert created.status == OK and created.attr.type == REG, created
        if content:
            assert self.write(created.handle, 0, content).count == len(content)
        return created.handle

    def write(self, handle, offset, data, stable=FILE_SYNC):
        return self.nfs.nfs("write", fh(handle) + u64(offset) + u32(len(data), stable) + opaque(data))

    def set(self, handle, guard=u32(0), **kw):
        return self.nfs.nfs("setattr", fh(handle) + sattr(**kw) + guard)

    def mkdir(self, name):
        return self.nfs.nfs("mkdir", self.at(name) + sattr(mode=0o755))

    def remove(self, name):
        return self.nfs.nfs("remove", self.at(name))

    def rmdir(self, name):
        return self.nfs.nfs("rmdir", self.at(name))

    def rename(self, name, to):
        return self.nfs.nfs("rename", self.at(name) + self.at(to))

    def symlink(self, name, target):
        return self.nfs.nfs("symlink", self.at(name) + sattr() + opaque(target))

    def link(self, handle, name):
        return self.nfs.nfs("link", fh(handle) + self.at(name))

    def find(self, name):
        return self.nfs.lookup(self.dir, name)

    def names(self):
        return sorted(e.name.decode() for e in self.nfs.list(self.dir) if e.name not in (b".", b".."))


@pytest.fixture(params=[False, True], ids=["alone", "mounted"])
def e(request, export, tiny):
    return export(tiny, mounted=request.param)


@pytest.fixture
def hand(e):
    with e.client() as nfs:
        yield Hand(nfs, *LOCKS)


def test_a_file_is_made_written_and_removed(hand):
    nfs = hand.nfs
    made = hand.create("a.lock", attributes=sattr(mode=0o640))
    assert made.status == OK and made.handle and (made.attr.type, made.attr.mode, made.attr.size) == (REG, 0o640, 0)
    assert made.wcc.after.type == DIR
    written = hand.write(made.handle, 0, b"hello, world")
    assert (written.status, written.count) == (OK, 12) and written.wcc.after.size == 12
    assert nfs.content(made.handle) == b"hello, world"
    assert hand.write(made.handle, 7, b"there").count == 5 and nfs.content(made.handle) == b"hello, there"
    assert hand.write(made.handle, 20, b"!").count == 1 and nfs.content(made.handle) == b"hello, there" + bytes(8) + b"!"
    lied = nfs.nfs("write", fh(made.handle) + u64(0) + u32(3, FILE_SYNC) + opaque(b"data"))
    assert lied.status == INVAL and nfs.content(made.handle)[:5] == b"hello"
    assert hand.set(made.handle, size=5).wcc.after.size == 5 and nfs.content(made.handle) == b"hello"
    assert hand.set(made.handle, mode=0o600, times=1).wcc.after.mode == 0o600
    saved = nfs.nfs("commit", fh(made.handle) + u64(0) + u32(0))
    assert saved.status == OK and saved.verifier == hand.write(made.handle, 0, b"H").verifier
    assert hand.find("a.lock").attr.fileid == made.attr.fileid and hand.names() == ["a.lock"]
    assert hand.remove("a.lock").status == OK
    assert hand.find("a.lock").status == NOENT and hand.remove("a.lock").status == NOENT and hand.names() == []


def test_no_file_runs_as_the_user_a_client_said_to_be(hand):
    made = hand.create("x", attributes=sattr(mode=0o6755))
    assert made.attr.mode == 0o755 and hand.set(made.handle, mode=0o4711).wcc.after.mode == 0o711
    assert hand.nfs.nfs("mkdir", hand.at("d") + sattr(mode=0o7777)).attr.mode == 0o1777


def test_what_is_there_already(hand):
    first = hand.made("x", b"content")
    assert hand.create("x", GUARDED).status == EXIST
    again = hand.create("x")
    assert (again.status, again.handle) == (OK, first) and hand.nfs.content(first) == b"content"
    emptied = hand.create("x", attributes=sattr(size=0))
    assert emptied.status == OK and hand.nfs.content(first) == b""
    assert hand.mkdir("x").status == EXIST


def test_an_exclusive_create_may_be_told_twice(hand):
    one = hand.create("x", EXCLUSIVE, b"verifier")
    assert one.status == OK
    twice = hand.create("x", EXCLUSIVE, b"verifier")        # its answer was lost, and it is asked again
    assert (twice.status, twice.handle) == (OK, one.handle) == (OK, hand.find("x").handle)
    assert hand.create("x", EXCLUSIVE, b"another!").status == hand.create("x", GUARDED).status == EXIST
    assert hand.create("x").handle == one.handle


def test_a_guard_that_does_not_hold(hand):
    handle = hand.made("x", b"content")
    seen = hand.nfs.getattr(handle).attr.ctime
    assert hand.set(handle, guard=u32(1, 1, 1), size=0).status == NOT_SYNC and hand.nfs.content(handle) == b"content"
    assert hand.set(handle, guard=u32(1, *seen), size=0).status == OK and hand.nfs.content(handle) == b""


def test_directories_links_and_new_names(hand):
    nfs = hand.nfs
    assert hand.mkdir("d").status == OK
    below = Hand(nfs, *LOCKS, "d")
    handle = below.made("f", b"one")
    assert hand.rmdir("d").status == NOTEMPTY and hand.remove("d").status == ISDIR
    assert nfs.nfs("rename", below.at("f") + hand.at("g")).status == OK
    assert nfs.content(hand.find("g").handle) == b"one" and below.names() == []
    assert hand.rename("none", "x").status == NOENT
    link = hand.symlink("l", "g")
    assert link.status == OK and nfs.getattr(link.handle).attr.type == LNK and nfs.readlink(link.handle).target == b"g"
    assert hand.link(handle, "h").status == OK and hand.link(handle, "l").status == EXIST
    assert nfs.getattr(hand.find("h").handle).attr.nlink == 2 and nfs.content(hand.find("h").handle) == b"one"
    assert hand.rmdir("g").status == NOTDIR and hand.rmdir("d").status == OK
    assert hand.names() == ["g", "h", "l"] and nfs.getattr(handle).attr.fileid == hand.find("g").attr.fileid


def test_a_new_name_takes_the_place_of_another_file(hand):
    one, two = hand.made("one", b"1"), hand.made("two", b"2")
    assert hand.rename("one", "two").status == OK and hand.rename("one", "two").status == NOENT
    assert hand.nfs.content(hand.find("two").handle) == b"1" and hand.names() == ["two"]
    assert hand.nfs.getattr(two).status == STALE and hand.nfs.content(one) == b"1"
    assert hand.remove("two").status == OK and hand.nfs.getattr(one).status == hand.nfs.read(one).status == STALE


def test_links_lead_down(hand):
    """Processes of other machines, and of this one, would follow them."""
    assert hand.symlink("l", "..x/y..").status == OK and hand.symlink("k", "a/b/.x").status == OK
    for target in "/etc/passwd", "../x", "..", "a/../../x", "a/..":
        assert hand.symlink("m", target).status == ACCES, target
    assert hand.names() == ["k", "l"]


def test_what_the_tree_shows_by_itself_takes_what_is_written_and_drops_it(hand):
    """Clients write the ref that is there, or another file that is to become it."""
    nfs = hand.nfs
    refs = Hand(nfs, "hub", "models--org--tiny", "refs")
    handle = refs.find("main").handle
    before = nfs.content(handle)
    assert refs.create("main", attributes=sattr(size=0)).handle == handle
    assert refs.write(handle, 0, b"0" * 40).count == 40 and nfs.content(refs.find("main").handle) == before
    refs.made("tmp", b"1" * 40)
    assert refs.rename("tmp", "main").status == OK and refs.find("tmp").status == NOENT
    assert nfs.content(refs.find("main").handle) == before and refs.remove("main").status == ROFS


def test_both_faces_show_what_either_wrote(export, tiny):
    e = export(tiny, mounted=True)
    with e.client(flavor=AUTH_SYS, body=auth_sys(uid=1000, gid=100)) as nfs:
        assert Hand(nfs, *LOCKS[:-1]).mkdir(LOCKS[-1]).status == EXIST
        hand, there = Hand(nfs, *LOCKS), e.hub / ".locks" / "models--org--tiny"
        hand.made("by-nfs", b"one")
        assert (stat(there / "by-nfs").st_uid, stat(there / "by-nfs").st_gid) == (1000, 100)
        write(there / "by-mount", b"two")
        assert read(there / "by-nfs") == b"one" and nfs.content(hand.find("by-mount").handle) == b"two"
        assert hand.names() == sorted(names(there)) == ["by-mount", "by-nfs"]
        assert hand.find("by-mount").attr.fileid == stat(there / "by-mount").st_ino
        assert hand.symlink("l", "by-nfs").status == OK
        assert readlink(there / "l") == "by-nfs"
        (there / "by-nfs").unlink()
        assert hand.find("by-nfs").status == NOENT


def test_it_is_gone_after_a_restart_and_its_handles_with_it(export, tiny, tmp_path):
    e = export(tiny, cache=tmp_path / "kept")
    with e.client() as nfs:
        handle = Hand(nfs, *LOCKS).made("x", b"content")
    e.stop()
    e = export(tiny, cache=tmp_path / "kept", port=e.port)
    with e.client() as nfs:
        assert nfs.getattr(handle).status == STALE
        hand = Hand(nfs, *LOCKS)
        hand.made("x", b"other")
        assert nfs.read(handle, 0, 10).status == STALE


def test_weights_take_nothing_here_either(hand):
    nfs, base, mine = hand.nfs, ("hub", "models--org--tiny"), hand.made("mine")
    commit = nfs.content(nfs.walk(*base, "refs", "main")).decode()
    for path in ((), ("files", "org", "tiny"), (*base, "snapshots"), (*base, "snapshots", commit), (*base, "blobs")):
        other = Hand(nfs, *path)
        assert other.create("new").status == other.mkdir("new").status == other.symlink("new", "x").status == ROFS
        assert nfs.nfs("rename", hand.at("mine") + other.at("new")).status == other.link(mine, "new").status == ROFS
    weights = Hand(nfs, "files", "org", "tiny")
    file = weights.find("config.json").handle
    assert hand.write(file, 0, b"x").status == hand.set(file).status == hand.set(file, size=0).status == ROFS
    assert weights.create("config.json", attributes=sattr(size=0)).status == weights.remove("config.json").status == ROFS
    assert weights.create("config.json").status == ROFS and weights.create("config.json", GUARDED).status == EXIST
    assert weights.rename("config.json", "config.json").status == weights.rename("config.json", "x").status == ROFS
    assert hand.link(file, "stolen").status == ROFS and nfs.content(file) == SMALL


def test_what_a_client_says_of_what_it_makes_is_so(hand):
    made = hand.create("x", attributes=sattr(mode=0o600, gid=7, size=5, time=(1000, 2000)))
    assert made.status == OK and (made.attr.mode, made.attr.gid, made.attr.size) == (0o600, 7, 5)
    assert (made.attr.atime, made.attr.mtime) == ((1000, 0), (2000, 0)) and hand.nfs.content(made.handle) == bytes(5)
    plain = hand.create("y", attributes=sattr(mode=0o600))
    assert plain.attr.size == 0 and plain.attr.mtime[0] > 2000
    folder = hand.nfs.nfs("mkdir", hand.at("d") + sattr(mode=0o700, time=(1000, 2000)))
    assert (folder.attr.mode, folder.attr.mtime) == (0o700, (2000, 0))
    # What cannot be so is not made.
    assert hand.create("large", attributes=sattr(size=1 << 40)).status == FBIG and hand.find("large").status == NOENT
    assert hand.names() == ["d", "x", "y"]


def test_from_what_was_written_a_way_leads_up(hand):
    nfs = hand.nfs
    above, inner = nfs.walk(*LOCKS), hand.mkdir("d").handle
    deep = nfs.nfs("mkdir", fh(inner) + opaque("deep") + sattr()).handle
    for below, up in (inner, above), (deep, inner), (above, nfs.walk(*LOCKS[:-1])):
        answer = nfs.lookup(below, "..")
        assert answer.status == OK and answer.handle == up
        dots = {e.name: e.fileid for e in nfs.list(below)}
        assert dots[b".."] == nfs.getattr(up).attr.fileid and dots[b"."] == nfs.getattr(below).attr.fileid
    hand.nfs.nfs("rmdir", fh(inner) + opaque("deep"))
    assert nfs.lookup(deep, "..").status == STALE


@pytest.mark.parametrize("args", [[], ["--strict-ro"]], ids=["default", "strict-ro"])
def test_who_looks_at_locks_makes_none(export, tiny, args):
    e = export(tiny, args=args)
    with e.client() as nfs:
        locks = nfs.walk(*LOCKS[:-1])
        for n in range(50):
            found = nfs.lookup(locks, f"models--org--name{n}")
            assert found.status == OK and nfs.list(found.handle) and nfs.getattr(found.handle).attr.type == DIR
        assert Control(e).metrics().value("scratch_nodes") == 0
        made = Hand(nfs, *LOCKS).create("x.lock")
        assert made.status == (ROFS if args else OK)
        assert Control(e).metrics().value("scratch_nodes") == (0 if args else 4)      # hub/, .locks/, the repository's, and it


def test_what_the_tree_shows_by_itself_stays_where_it_is(e):
    """Also where something was written behind it: the locks of all, refs of a repository."""
    with e.client() as nfs:
        hub, locks, repo = Hand(nfs, "hub"), Hand(nfs, *LOCKS[:-1]), Hand(nfs, "hub", "models--org--tiny")
        lock = Hand(nfs, *LOCKS).made("x.lock", b"held")
        ref = Hand(nfs, "hub", "models--org--tiny", "refs")
        ref.made("mine", b"1" * 40)
        assert hub.rename(".locks", "elsewhere").status == hub.rename("models--org--tiny", "elsewhere").status == ROFS
        assert locks.rename("models--org--tiny", "elsewhere").status == repo.rename("refs", "elsewhere").status == ROFS
        assert Hand(nfs, *LOCKS).remove("x.lock").status == ref.remove("mine").status == OK
        assert hub.rmdir(".locks").status == hub.rmdir("models--org--tiny").status == locks.rmdir("models--org--tiny").status == ROFS
        assert hub.mkdir(".locks").status == locks.mkdir("models--org--tiny").status == EXIST
        assert nfs.getattr(lock).status == STALE
        # What clients made beside it goes where they like.
        assert hub.mkdir("d").status == OK and hub.rename("d", "e").status == OK and hub.rmdir("e").status == OK


def test_the_oldest_is_forgotten_when_there_is_no_room(export, tiny):
    e = export(tiny, args=["--scratch-size=1MiB"])
    with e.client() as nfs:
        hand = Hand(nfs, *LOCKS)
        handles = [hand.made(f"{n:02}", b"%d" % (n % 10) * 60_000) for n in range(40)]
        assert hand.find("39").status == OK and nfs.content(handles[39]) == b"9" * 60_000
        assert hand.find("00").status == NOENT and nfs.read(handles[0]).status == STALE
