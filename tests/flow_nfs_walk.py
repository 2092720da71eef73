"""Every procedure of NFSv3 and MOUNT v3 with good and bad arguments, field by field, as RFC 1813 writes them."""
import os
import random

import pytest

import models
from hub import Hub
from mountlib import eventually
from nfs_wire import (AUTH_NONE, AUTH_SYS, BAD_COOKIE, BADHANDLE, DIR, EXIST, GARBAGE_ARGS, INVAL, LNK, MOUNT, NAMETOOLONG, NFS, NOENT, NOTDIR,
                      OK, PROCEDURES, REG, ROFS, STALE, SUCCESS, TOOSMALL, Export, decode, fh, opaque, record, sattr, u32, u64)

MIB = 1 << 20
BIG = models.big_file(5 * MIB + 12_345, seed=3)
SMALL = b'{"model_type": "bert"}'
MANY = 300
FILES = {"config.json": SMALL, "model.safetensors": BIG, "empty.txt": b"", "sub/dir/deep.json": b"{}",
         **{f"many/entry-{n}-{'x' * (n % 40)}.txt": b"%d" % n for n in range(MANY)}}
DATE = "2024-05-06T07:08:09.000Z"
REPO = ("files", "org", "tiny")
READ, LOOKUP, MODIFY, EXTEND, DELETE, EXECUTE = 1, 2, 4, 8, 16, 32
CHANGES = MODIFY | EXTEND | DELETE
NO_NAMES = [b"", b"a/b", b"/", b"a\0b", b"\0"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Hub() as hub:
        repo = hub.repo("org/tiny")
        commit = repo.commit(FILES, date=DATE)
        with Export(tmp_path_factory.mktemp("walk"), hub, args=["--strict-ro"]) as export:
            export.repo_there, export.commit_there, export.hub_there = repo, commit, hub
            yield export


@pytest.fixture
def nfs(served):
    with served.client() as client:
        yield client
        assert client.mnt("/").status == OK, "this connection, or the server, did not live on"
    assert served.alive()


def blob_of(served, path):
    return served.repo_there.blob(path)


def links(nfs, served):
    return nfs.walk("hub", "models--org--tiny", "snapshots", served.commit_there)


# ---- MOUNT ----

@pytest.mark.parametrize("path, names", [("/", ()), ("", ()), ("/hub", ("hub",)), ("/files", ("files",)), ("/files/org/tiny", REPO),
                                         ("/files/org/tiny/sub/dir", (*REPO, "sub", "dir")), ("/files/", ("files",)),
                                         ("//files//org/tiny", REPO), ("/files/./org/tiny", REPO)])
def test_a_directory_is_an_export_root(nfs, path, names):
    answer = nfs.mnt(path)
    assert answer.status == OK and {AUTH_SYS, AUTH_NONE} == set(answer.flavors)
    shown = nfs.getattr(answer.handle).attr
    assert shown.type == DIR and shown.fileid == nfs.getattr(nfs.walk(*names)).attr.fileid


@pytest.mark.parametrize("path, status", [("/none", NOENT), ("/files/org/none", NOENT), ("/files/org/none/x", NOENT),
                                          ("/files/org/tiny/none", NOENT), ("/files/org/tiny/config.json", NOTDIR),
                                          ("/files/org/tiny/config.json/x", NOTDIR), ("/" + "x" * 256, NAMETOOLONG),
                                          ("/" + "x" * 1024, NAMETOOLONG), ("/" + "x/" * 511, NOENT), ("/..", INVAL), ("/../../etc", INVAL),
                                          ("/hub/../files", INVAL), ("/files/../../../etc", INVAL), (b"/hub\0/x", INVAL)])
def test_what_is_no_directory_is_no_root(nfs, path, status):
    assert nfs.mnt(path).status == status


def test_the_lists_of_mount(nfs):
    assert nfs.exports() == {path: [b"127.0.0.0/8", b"::1"] for path in (b"/", b"/hub", b"/files")}

    def told(procedure, args=b""):
        reply = nfs.ask(MOUNT, 3, procedure, args)
        assert reply.accepted and reply.status == SUCCESS
        reply.body.end()
    told(4)
    assert nfs.mounts() == []
    for path in "/files", "/files/org/tiny", "/files":
        nfs.mount(path)
    assert sorted(nfs.mounts()) == [(b"127.0.0.1", b"/files"), (b"127.0.0.1", b"/files/org/tiny")]
    told(3, opaque("/files"))
    told(3, opaque("/never/mounted"))
    assert nfs.mounts() == [(b"127.0.0.1", b"/files/org/tiny")]
    told(0)


# ---- GETATTR ----

def test_attributes(nfs, served):
    root = nfs.getattr(nfs.mount()).attr
    assert root.type == DIR and root.mode & 0o555 == 0o555 and root.nlink >= 1
    file = nfs.getattr(nfs.walk(*REPO, "model.safetensors")).attr
    assert (file.type, file.mode, file.size, file.nlink, file.rdev) == (REG, 0o444, len(BIG), 1, (0, 0))
    assert file.mtime[0] == 1714979289 and file.fsid == root.fsid and file.fileid != root.fileid
    assert nfs.getattr(nfs.walk(*REPO, "empty.txt")).attr.size == 0
    link = nfs.getattr(nfs.walk("config.json", start=links(nfs, served))).attr
    assert link.type == LNK and link.mode == 0o777 and link.size == len("../../blobs/") + len(blob_of(served, "config.json").etag)
    folder = nfs.getattr(nfs.walk(*REPO, "sub")).attr
    assert folder.type == DIR and folder.mode == 0o555 and folder.mtime[0] == 1714979289


def test_used_bytes_are_what_is_cached(nfs, served):
    path = (*REPO, "sub", "dir", "deep.json")
    handle = nfs.walk(*path)
    assert nfs.getattr(handle).attr.used == 0
    assert nfs.content(handle) == b"{}"
    assert eventually(lambda: nfs.getattr(handle).attr.used >= 2)


def test_a_blob_is_one_file_whoever_shows_it(nfs, served):
    by_name, blob = nfs.walk(*REPO, "model.safetensors"), nfs.walk("hub", "models--org--tiny", "blobs", blob_of(served, "model.safetensors").etag)
    assert nfs.getattr(by_name).attr.fileid == nfs.getattr(blob).attr.fileid


# ---- LOOKUP ----

def test_lookup(nfs):
    repo = nfs.walk(*REPO)
    for name, kind in (("config.json", REG), ("sub", DIR)):
        answer = nfs.lookup(repo, name)
        assert answer.status == OK and len(answer.handle) <= 64
        assert answer.attr.type == kind and answer.dir.type == DIR
        assert answer.attr.fileid == nfs.getattr(answer.handle).attr.fileid
        assert answer.dir.fileid == nfs.getattr(repo).attr.fileid
        assert nfs.lookup(repo, name).handle == answer.handle
    missing = nfs.lookup(repo, "none")
    assert missing.status == NOENT and (missing.dir is None or missing.dir.type == DIR)
    assert nfs.lookup(repo, "CONFIG.JSON").status == NOENT


def test_lookup_in_what_is_no_directory(nfs, served):
    for handle in nfs.walk(*REPO, "config.json"), nfs.walk("config.json", start=links(nfs, served)):
        assert nfs.lookup(handle, "x").status == NOTDIR


@pytest.mark.parametrize("name", NO_NAMES)
def test_lookup_of_what_can_be_no_name(nfs, name):
    for handle in nfs.mount(), nfs.walk(*REPO):
        assert nfs.lookup(handle, name).status == INVAL


def test_lookup_of_long_names(nfs):
    for where in ((), ("hub",), ("files",), REPO, (*REPO, "many")):
        handle = nfs.walk(*where)
        assert nfs.lookup(handle, "x" * 255).status == NOENT
        assert nfs.lookup(handle, "x" * 256).status == NAMETOOLONG


@pytest.mark.parametrize("path", [(), ("files", "org"), REPO, (*REPO, "sub", "dir"), ("hub", "models--org--tiny")])
def test_dots_lead_where_they_say(nfs, path):
    """The root's lead to the root."""
    there, above = nfs.walk(*path), nfs.walk(*path[:-1])
    assert nfs.lookup(there, ".").handle == there and nfs.lookup(there, "..").handle == above
    dot, dots = nfs.readdir(there).entries[:2]
    assert (dot.name, dots.name) == (b".", b"..")
    assert (dot.fileid, dots.fileid) == (nfs.getattr(there).attr.fileid, nfs.getattr(above).attr.fileid)


# ---- ACCESS ----

def test_access(nfs):
    file, folder = nfs.walk(*REPO, "config.json"), nfs.walk(*REPO)
    of_file, of_folder = nfs.access(file), nfs.access(folder)
    assert of_file.status == of_folder.status == OK
    assert of_file.access == READ and of_file.attr.type == REG
    assert of_folder.access & ~EXECUTE == READ | LOOKUP and of_folder.attr.type == DIR
    for wanted in (0, READ, LOOKUP, CHANGES, CHANGES | READ):
        assert nfs.access(file, wanted).access == of_file.access & wanted
        assert nfs.access(folder, wanted).access == of_folder.access & wanted
    assert nfs.access(file, 0xffffffff).access & ~0x3f == 0


# ---- READLINK ----

def test_readlink(nfs, served):
    answer = nfs.readlink(nfs.walk("config.json", start=links(nfs, served)))
    assert answer.status == OK and answer.attr.type == LNK
    assert answer.target.decode() == "../../blobs/" + blob_of(served, "config.json").etag
    deep = nfs.readlink(nfs.walk("sub", "dir", "deep.json", start=links(nfs, served)))
    assert deep.target.decode() == "../../../../blobs/" + blob_of(served, "sub/dir/deep.json").etag
    assert nfs.content(nfs.walk("hub", "models--org--tiny", *deep.target.decode().split("/")[4:])) == b"{}"
    for other in nfs.walk(*REPO, "config.json"), nfs.walk(*REPO):
        assert nfs.readlink(other).status == INVAL


# ---- READ ----

def test_read_anywhere(nfs):
    handle, rng = nfs.walk(*REPO, "model.safetensors"), random.Random(1)
    most = nfs.nfs("fsinfo", fh(handle)).rtmax
    assert nfs.content(handle) == BIG
    assert nfs.content(handle, step=65_521) == BIG
    offsets = [0, 1, 4095, MIB - 1, MIB, len(BIG) - 1, len(BIG) - 4, len(BIG) - 65536] + [rng.randrange(len(BIG)) for _ in range(40)]
    for at in offsets:
        for count in 1, 3, 4, 4096, 65537, MIB:
            answer = nfs.read(handle, at, count)
            assert answer.status == OK and answer.attr.size == len(BIG)
            assert answer.count == len(answer.data) == min(count, most, len(BIG) - at), (at, count)
            assert answer.data == BIG[at:at + answer.count] and answer.eof == (at + answer.count == len(BIG))


def test_read_at_the_end_and_after_it(nfs):
    handle = nfs.walk(*REPO, "model.safetensors")
    for at in (len(BIG), len(BIG) + 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        for count in 1, MIB, 0xffffffff:
            answer = nfs.read(handle, at, count)
            assert answer.status == INVAL or (answer.status, answer.count, answer.eof, answer.data) == (OK, 0, True, b"")
            assert answer.status == OK or at >= 1 << 63
    nothing = nfs.read(handle, 0, 0)
    assert (nothing.status, nothing.count, nothing.data, nothing.eof) == (OK, 0, b"", False)
    empty = nfs.read(nfs.walk(*REPO, "empty.txt"), 0, MIB)
    assert (empty.status, empty.count, empty.eof) == (OK, 0, True)


def test_a_read_that_asks_for_more_than_may_be(nfs):
    handle = nfs.walk(*REPO, "model.safetensors")
    most = nfs.nfs("fsinfo", fh(handle)).rtmax
    for count in most, most + 1, 1 << 31, 0xffffffff:
        answer = nfs.read(handle, 0, count)
        assert answer.status == OK and 0 < answer.count <= most and answer.data == BIG[:answer.count] and not answer.eof


def test_read_of_what_is_no_file(nfs, served):
    assert nfs.read(nfs.walk(*REPO)).status == INVAL
    assert nfs.read(nfs.walk("config.json", start=links(nfs, served))).status == INVAL


def test_every_read_tells_attributes(nfs, served):
    """Linux takes all heads of these answers to be as long as the first."""
    for path in ((*REPO, "config.json"), ("hub", "models--org--tiny", "refs", "main"),
                 ("hub", "models--org--tiny", "trees", f"{served.commit_there}.json")):
        handle = nfs.walk(*path)
        for offset in 0, 10_000:
            answer = nfs.read(handle, offset)
            shown = nfs.getattr(handle).attr
            assert (answer.attr.fileid, answer.attr.mtime, answer.attr.size) == (shown.fileid, shown.mtime, shown.size)


def test_made_up_files_are_read_too(nfs, served):
    ref = nfs.walk("hub", "models--org--tiny", "refs", "main")
    assert nfs.content(ref).decode() == served.commit_there and nfs.getattr(ref).attr.size == 40
    tree = nfs.walk("hub", "models--org--tiny", "trees", f"{served.commit_there}.json")
    assert nfs.getattr(tree).attr.size == len(nfs.content(tree, step=1000)) > 1000


def test_a_ref_that_is_gone_is_stale_by_all_that_has_its_handle(hub, export):
    repo = hub.repo("org/moves")
    repo.branch("old", repo.commit({"config.json": b"{}"}))
    e = export(hub, args=["--ref-ttl=1s"])
    with e.client() as nfs:
        gone, stays = (nfs.walk("hub", "models--org--moves", "refs", name) for name in ("old", "main"))
        assert nfs.read(gone).status == nfs.read(stays).status == OK
        repo.drop("old")
        assert eventually(lambda: nfs.read(gone).status != OK, 20)
        for _ in range(3):      # whether the hub has to be asked, or has just said so
            assert nfs.read(gone).status == nfs.getattr(gone).status == nfs.read(gone, 3, 4).status == STALE
        assert nfs.lookup(nfs.walk("hub", "models--org--moves", "refs"), "old").status == NOENT     # by name it is that
        assert nfs.read(stays).status == OK


# ---- READDIR, READDIRPLUS ----

def all_names(entries):
    return sorted(e.name.decode() for e in entries if e.name not in (b".", b".."))


MANY_NAMES = [p.split("/")[1] for p in FILES if p.startswith("many/")]
LISTS = {(*REPO, "many"): sorted(MANY_NAMES),
         REPO: ["config.json", "empty.txt", "many", "model.safetensors", "sub"], (): ["files", "hub"]}


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("path", LISTS)
def test_a_directory_by_any_number_of_calls(nfs, path, plus):
    handle = nfs.walk(*path)
    for count in 512, 1000, 4096, 32768, MIB:
        entries = nfs.list(handle, plus, **({"dircount": count, "maxcount": count} if plus else {"count": count}))
        assert all_names(entries) == LISTS[path], count
        assert len({e.cookie for e in entries}) == len(entries) and all(e.cookie for e in entries)


@pytest.mark.parametrize("plus", [False, True])
def test_a_commits_directory_is_listed_in_natural_order(nfs, plus):
    assert [e.name.decode() for e in nfs.list(nfs.walk(*REPO, "many"), plus)][2:] == MANY_NAMES


@pytest.mark.parametrize("plus", [False, True])
def test_a_listing_takes_no_more_room_than_it_may(nfs, plus):
    handle = nfs.walk(*REPO, "many")
    for count in [*range(0, 700, 4), 4096, 32768]:
        args = fh(handle) + u64(0) + bytes(8) + (u32(count, count) if plus else u32(count))
        body = nfs.ask(NFS, 3, 17 if plus else 16, args).body
        at = body.at
        answer = decode("readdirplus" if plus else "readdir", body)
        if answer.status == OK:
            assert answer.entries and len(body.data) - at - 4 <= count, count
        else:
            assert answer.status == TOOSMALL and count < 512, count
    assert (nfs.readdirplus(handle, maxcount=0) if plus else nfs.readdir(handle, count=0)).status == TOOSMALL


def test_dircount_is_a_hint_alone(nfs):
    handle = nfs.walk(*REPO, "many")
    for dircount in 0, 1, 512, 0xffffffff:
        answer = nfs.readdirplus(handle, dircount=dircount, maxcount=32768)
        assert answer.status == OK and answer.entries or answer.status == TOOSMALL and dircount < 512


def test_entries_are_what_lookup_says(nfs):
    for path in (), REPO, (*REPO, "many"), ("hub",):
        handle = nfs.walk(*path)
        plain, plus = nfs.list(handle), nfs.list(handle, plus=True)
        assert [(e.name, e.fileid) for e in plain] == [(e.name, e.fileid) for e in plus]
        for e in plus:
            if e.name not in (b".", b".."):
                found = nfs.lookup(handle, e.name)
                assert found.attr.fileid == e.fileid
                assert e.attr is None or (e.attr.fileid, e.attr.type, e.attr.size) == (e.fileid, found.attr.type, found.attr.size)
                assert e.handle is None or nfs.getattr(e.handle).attr.fileid == e.fileid
        # That is what the procedure is for.
        assert all(e.attr and e.handle for e in plus if e.name not in (b".", b"..")) or path in ((), ("hub",))


@pytest.mark.parametrize("plus", [False, True])
def test_each_cookie_is_a_place_to_go_on_from(nfs, plus):
    handle = nfs.walk(*REPO, "many")
    call = nfs.readdirplus if plus else nfs.readdir
    whole = nfs.list(handle, plus)
    verifier = call(handle).verifier
    for n in random.Random(2).sample(range(len(whole) - 1), 25):
        answer = call(handle, whole[n].cookie, verifier)
        assert answer.status == OK and answer.entries[0].name == whole[n + 1].name
    end = call(handle, whole[-1].cookie, verifier)
    assert (end.status, end.entries, end.eof) == (OK, [], True)


@pytest.mark.parametrize("plus", [False, True])
def test_cookies_nobody_was_given(nfs, plus):
    handle = nfs.walk(*REPO, "many")
    call = nfs.readdirplus if plus else nfs.readdir
    known = {e.name for e in nfs.list(handle)}
    for cookie in (1 << 20, 1 << 63, (1 << 64) - 1, 12345):
        answer = call(handle, cookie, call(handle).verifier)
        assert answer.status == BAD_COOKIE or answer.status == OK and {e.name for e in answer.entries} <= known
    # A commit's directory never changes, and its verifier says which it is; in others a cookie is good whatever comes and goes.
    cookie, another = call(handle).entries[2].cookie, call(nfs.walk(*REPO, "sub")).verifier
    for verifier in bytes(8), b"\1" * 8, b"\xff" * 8, another:
        assert call(handle, cookie, verifier).status == BAD_COOKIE
    assert call(handle, cookie, call(handle).verifier).status == OK


def test_a_cookie_goes_on_where_it_was_when_entries_have_come(export, hub):
    for n in range(40):
        hub.repo(f"org/repo-{n:02}").commit({"x": b"x"})
    e = export(hub)
    with e.client() as nfs:
        folder = nfs.walk("files", "org")
        for n in range(0, 40, 2):
            nfs.walk("files", "org", f"repo-{n:02}")
        first = nfs.readdir(folder, count=512)
        seen, last = [entry.name for entry in first.entries], first.entries[-1]
        assert first.status == OK and not first.eof
        for n in range(1, 40, 2):
            nfs.walk("files", "org", f"repo-{n:02}")
        cookie, verifier = last.cookie, first.verifier
        while True:
            more = nfs.readdir(folder, cookie, verifier, count=512)
            assert more.status == OK
            seen += [entry.name for entry in more.entries]
            if more.eof:
                break
            cookie, verifier = more.entries[-1].cookie, more.verifier
        assert len(set(seen)) == len(seen), "an entry was given twice"
        assert {b"repo-%02d" % n for n in range(0, 40, 2)} <= set(seen), "an entry that was there all the time was left out"
        assert all_names(nfs.list(folder, count=512)) == [f"repo-{n:02}" for n in range(40)]


def test_listing_what_is_no_directory(nfs, served):
    for handle in nfs.walk(*REPO, "config.json"), nfs.walk("config.json", start=links(nfs, served)):
        assert nfs.readdir(handle).status == nfs.readdirplus(handle).status == NOTDIR


# ---- FSSTAT, FSINFO, PATHCONF ----

def test_the_file_system(nfs):
    for handle in nfs.mount(), nfs.walk(*REPO, "config.json"):
        space = nfs.nfs("fsstat", fh(handle))
        assert space.status == OK and space.tbytes >= space.fbytes >= space.abytes and space.tfiles >= space.ffiles >= space.afiles
        limits = nfs.nfs("fsinfo", fh(handle))
        assert limits.status == OK and limits.rtmax == MIB and 0 < limits.rtpref <= limits.rtmax and limits.rtmult
        assert limits.dtpref >= 4096 and limits.wtmax >= limits.wtpref and limits.wtmult
        assert limits.maxfilesize >= 1 << 40 and limits.time_delta <= (1, 0)
        assert limits.properties & 2 and limits.properties & 8      # there are symbolic links, and one PATHCONF for all
        names = nfs.nfs("pathconf", fh(handle))
        assert names.status == OK and names.name_max == 255 and names.linkmax >= 1
        assert (names.no_trunc, names.case_insensitive, names.case_preserving, names.chown_restricted) == (True, False, True, True)


# ---- what changes something ----

def changes(handle, file, name="new."):
    """Arguments of every procedure that writes. By that name there is nothing anywhere, be it an organization."""
    here = fh(handle) + opaque(name)
    return [("setattr", fh(file) + sattr(mode=0o600) + u32(0)), ("setattr", fh(file) + sattr(size=0) + u32(0)),
            ("setattr", fh(file) + sattr(times=1) + u32(0)), ("write", fh(file) + u64(0) + u32(4, 0) + opaque(b"data")),
            ("create", here + u32(0) + sattr(mode=0o644)), ("create", here + u32(1) + sattr()), ("create", here + u32(2) + bytes(8)),
            ("mkdir", here + sattr(mode=0o755)), ("symlink", here + sattr() + opaque("to")),
            ("mknod", here + u32(7) + sattr()), ("mknod", here + u32(3) + sattr() + u32(1, 2)),
            ("remove", fh(handle) + opaque("config.json")), ("rmdir", fh(handle) + opaque("sub")),
            ("rename", fh(handle) + opaque("config.json") + here), ("link", fh(file) + here)]


@pytest.mark.parametrize("file", [(*REPO, "config.json"), ("hub", "models--org--tiny", "refs", "main")], ids=["weights", "ref"])
@pytest.mark.parametrize("where", [REPO, (*REPO, "sub"), (), ("hub",), ("files",), ("hub", "models--org--tiny", "refs")])
def test_nothing_can_be_changed(nfs, where, file):
    handle, file = nfs.walk(*where), nfs.walk(*file)
    before, content = [(e.name, e.fileid) for e in nfs.list(handle)], nfs.content(file)
    for name, args in changes(handle, file):
        assert nfs.nfs(name, args).status == ROFS, name
    assert [(e.name, e.fileid) for e in nfs.list(handle)] == before and nfs.content(file) == content
    # Nothing is held back either; and there is nothing to undo.
    assert nfs.nfs("commit", fh(file) + u64(0) + u32(0)).status == OK


@pytest.mark.parametrize("where, name, kind", [((), "hub", DIR), ((), "files", DIR), (("hub",), ".locks", DIR), (("hub",), "models--org--tiny", DIR),
                                               (("hub", ".locks"), "models--org--tiny", DIR), (REPO, "sub", DIR), (REPO, "config.json", REG),
                                               (("hub", "models--org--tiny", "refs"), "main", REG)])
def test_a_name_that_is_there_exists_also_where_nothing_is_made(nfs, where, name, kind):
    """So mkdir -p goes on: a kernel that has not looked a name up asks for it by MKDIR alone. Its twin is above."""
    at, file = fh(nfs.walk(*where)) + opaque(name), nfs.walk(*REPO, "config.json")
    for what, args in [("mkdir", at + sattr(mode=0o755)), ("create", at + u32(1) + sattr()), ("create", at + u32(2) + bytes(8)),
                       ("symlink", at + sattr() + opaque("to")), ("link", fh(file) + at)]:
        assert nfs.nfs(what, args).status == EXIST, what
    assert nfs.nfs("create", at + u32(0) + sattr()).status == (EXIST if kind == DIR else ROFS)


# ---- handles ----

GIVEN_HANDLE = {"getattr": b"", "access": u32(63), "readlink": b"", "lookup": opaque("x"), "read": u64(0) + u32(10),
                "readdir": u64(0) + bytes(8) + u32(4096), "readdirplus": u64(0) + bytes(8) + u32(4096, 4096), "fsstat": b"",
                "fsinfo": b"", "pathconf": b"", "commit": u64(0) + u32(0), "setattr": sattr() + u32(0),
                "write": u64(0) + u32(0, 0) + opaque(b""), "create": opaque("x") + u32(0) + sattr(), "mkdir": opaque("x") + sattr(),
                "symlink": opaque("x") + sattr() + opaque("y"), "mknod": opaque("x") + u32(7) + sattr(), "remove": opaque("x"),
                "rmdir": opaque("x")}


def no_handle(name, status):
    """Pipes and devices are refused wherever they are to be."""
    return status == (ROFS if name == "mknod" else BADHANDLE)


@pytest.mark.parametrize("path", [(), ("hub",), REPO, (*REPO, "sub"), (*REPO, "config.json"), (*REPO, "model.safetensors")])
def test_a_handle_with_any_one_bit_bent_is_nothing(nfs, path):
    handle = nfs.walk(*path)
    bent = []
    for bit in range(8 * len(handle)):
        wrong = bytearray(handle)
        wrong[bit // 8] ^= 1 << bit % 8
        bent.append(bytes(wrong))
    nfs.send(b"".join(record(nfs.message(NFS, 3, 1, fh(wrong))) for wrong in bent))
    for _ in bent:
        assert decode("getattr", nfs.reply().body).status == BADHANDLE
    for wrong in random.Random(3).sample(bent, 10):
        for name, args in GIVEN_HANDLE.items():
            assert no_handle(name, nfs.nfs(name, fh(wrong) + args).status), name


@pytest.mark.parametrize("length", [0, 1, 3, 4, 8, 16, 31, 32, 33, 48, 63, 64])
def test_a_handle_nobody_gave_is_nothing(nfs, length):
    right = nfs.walk(*REPO, "config.json")
    for wrong in {bytes(length), b"\xff" * length, os.urandom(length), right[:length] if length < len(right) else right + bytes(64 - len(right))}:
        if wrong != right:
            for name, args in GIVEN_HANDLE.items():
                assert no_handle(name, nfs.nfs(name, fh(wrong) + args).status), (name, wrong)
    assert nfs.getattr(right).status == OK


def test_a_handle_longer_than_any_is_no_handle(nfs):
    for name, args in GIVEN_HANDLE.items():
        for length in 65, 68, 128, 1000:
            reply = nfs.ask(NFS, 3, PROCEDURES[name][0], fh(bytes(length)) + args)
            assert name == "mknod" and decode(name, reply.body).status == ROFS or reply.status == GARBAGE_ARGS


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_handles_are_the_same_after_a_restart(export, hub, tmp_path, end):
    commit = hub.repo("org/tiny").commit({"config.json": SMALL, "model.safetensors": BIG, "sub/x.txt": b"x"}, date=DATE)
    base = ("hub", "models--org--tiny")
    paths = [(), ("hub",), ("hub", ".locks"), ("files",), ("files", "org"), ("files", "datasets"), REPO, (*REPO, "sub"), (*REPO, "config.json"),
             (*REPO, "model.safetensors"), base, (*base, "blobs"), (*base, "refs"), (*base, "refs", "main"), (*base, "snapshots"), (*base, "trees"),
             (*base, "trees", f"{commit}.json"), (*base, "snapshots", commit), (*base, "snapshots", commit, "config.json"),
             (*base, "snapshots", commit, "sub"), (*base, ".no_exist", commit), (*base, ".no_exist", commit, "model.safetensors.index.json")]
    e = export(hub, cache=tmp_path / "kept")
    with e.client() as nfs:
        before = {path: nfs.walk(*path) for path in paths}
        assert all(len(handle) <= 64 for handle in before.values()) and len(set(before.values())) == len(paths)
        looks = lambda nfs, path: (attr := nfs.getattr(before[path]).attr) and (attr.type, attr.mode, attr.fileid)
        was = {path: looks(nfs, path) for path in paths}
    getattr(e, end)()
    e = export(hub, cache=tmp_path / "kept", port=e.port)
    with e.client() as nfs:
        # A client goes on with what it has: it looks nothing up again.
        assert {path: looks(nfs, path) for path in paths} == was
        assert nfs.content(before[*REPO, "model.safetensors"]) == BIG
        assert nfs.lookup(before[REPO], "config.json").handle == before[*REPO, "config.json"]
        assert {path: nfs.walk(*path) for path in paths} == before


def test_handles_of_a_cache_with_another_key_are_nothing(export, hub, tmp_path):
    """The twin: whoever has no part of the secret makes no handle that counts."""
    hub.repo("org/tiny").commit({"config.json": SMALL}, date=DATE)
    one, other = export(hub, cache=tmp_path / "one"), export(hub, cache=tmp_path / "other")
    with one.client() as nfs:
        handle = nfs.walk(*REPO, "config.json")
    with other.client() as nfs:
        nfs.walk(*REPO, "config.json")
        assert nfs.getattr(handle).status == BADHANDLE
