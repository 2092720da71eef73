"""The shown tree, rule by rule (hf-contract §3.3, hf-contract-2x §5.3), on a real mount: each rule and its twin."""
import ctypes
import datetime
import errno
import fcntl
import json
import math
import mmap
import os
import pathlib
import re
import stat as st_mode
import struct
import subprocess
import sys
import tempfile
import time

import pytest

import models
from mountlib import DEADLINE, PROGRAM, eventually, fails, lstat, names, read, readlink, stat, within, write, xattr

BIG = models.big_file(12_000_000, seed=3)
SMALL = b'{"model_type": "bert"}'
FILES = {"config.json": SMALL, "sub/dir/deep.json": b"{}", "sub/w.safetensors": BIG, "empty.txt": b"",
         **{f"model-{n}-of-12.safetensors": b"shard %d" % n for n in range(1, 13)}}
DATE = "2024-05-06T07:08:09.000Z"
GONE = "0123456789abcdef0123456789abcdef01234567"     # a commit no hub knows
DT_DIR, DT_REG, DT_LNK = 4, 8, 10
libc = ctypes.CDLL(None, use_errno=True)


def tiny(hub, id="org/tiny", **kw):
    repo = hub.repo(id, **kw)
    return repo, repo.commit(FILES, date=DATE)


def dents(path):
    """A directory as the kernel's getdents64 gives it: [(name, type, inode)], without . and .. ."""
    def call():
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found, room = [], ctypes.create_string_buffer(65536)
            while (got := libc.syscall(217, fd, room, len(room))) > 0:
                at = 0
                while at < got:
                    ino, _, length, kind = struct.unpack_from("<QqHB", room.raw, at)
                    name = room.raw[at + 19:at + length].split(b"\0")[0]
                    if name not in (b".", b".."):
                        found.append((os.fsdecode(name), kind, ino))
                    at += length
            assert got == 0, os.strerror(ctypes.get_errno())
            return found
        finally:
            os.close(fd)
    return within(DEADLINE, call)


def sh(command, cwd=None, ok=True):
    done = subprocess.run(command, shell=True, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE)
    assert not ok or done.returncode == 0, done.stderr
    return done.stdout


def du(path, *options):
    return int(sh(f"du -s --block-size=1 {' '.join(options)} '{path}'").split()[0])


def touch(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def moment(date):
    return int(datetime.datetime.fromisoformat(date).timestamp())


# ---- names, links, modes, sizes, numbers, dates ----

def test_a_snapshot_is_links_into_blobs(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    for path, data in FILES.items():
        link, blob = m.snapshot("org/tiny", commit) / path, m.blob("org/tiny", repo.blob(path).etag)
        assert readlink(link) == "../" * (path.count("/") + 2) + "blobs/" + repo.blob(path).etag
        assert lstat(link).st_mode == st_mode.S_IFLNK | 0o777 and lstat(link).st_size == len(readlink(link))
        shown = stat(link)
        assert shown.st_mode == st_mode.S_IFREG | 0o444 and shown.st_size == len(data)
        assert (shown.st_ino, shown.st_dev) == (stat(blob).st_ino, stat(blob).st_dev)
        assert read(link) == data == read(blob)
    # The twin: what the commit does not have is not there.
    assert fails(lstat, m.snapshot("org/tiny", commit) / "model.bin") == "ENOENT"
    assert fails(lstat, m.snapshot("org/tiny", commit) / "sub" / "none") == "ENOENT"
    assert fails(lstat, m.snapshot("org/tiny", commit) / "config.json" / "x") == "ENOTDIR"
    assert fails(lstat, m.blob("org/tiny", "0" * 64)) == fails(lstat, m.blob("org/tiny", "main")) == "ENOENT"
    assert fails(lstat, m.snapshot("org/tiny", GONE)) == fails(lstat, m.snapshot("org/tiny", "main")) == "ENOENT"


def test_the_parts_of_a_repo(hub, mount):
    tiny(hub)
    m = mount(hub)
    parts = {".no_exist", "blobs", "refs", "snapshots", "trees"}
    assert set(names(m.repo("org/tiny"))) == parts
    assert {(n, k) for n, k, _ in dents(m.repo("org/tiny"))} == {(n, DT_DIR) for n in parts}
    for part in parts:     # rule 1: what is there says EEXIST
        assert fails(os.mkdir, m.repo("org/tiny") / part) == "EEXIST"
    assert {n: stat(m.repo("org/tiny") / n).st_mode & 0o777 for n in ("blobs", "snapshots", "refs")} == {
        "blobs": 0o555, "snapshots": 0o555, "refs": 0o755}
    assert fails(lstat, m.repo("org/tiny") / "nothing") == "ENOENT"


def test_commit_dates(hub, mount):
    repo, commit = tiny(hub)
    later = repo.commit({"config.json": b"{} "}, date="2025-01-02T03:04:05.000Z")
    m = mount(hub)
    old = m.snapshot("org/tiny", commit)
    for path in (old, old / "config.json", old / "sub", m.file("org/tiny", "config.json", rev=commit)):
        assert lstat(path).st_mtime == moment(DATE), path
    assert stat(old / "config.json").st_mtime == moment(DATE)
    assert lstat(m.snapshot("org/tiny", later) / "config.json").st_mtime == moment("2025-01-02T03:04:05+00:00")


def test_one_inode_for_a_blob_whoever_shows_it_and_after_a_restart(hub, mount, tmp_path):
    repo, commit = tiny(hub)
    other = hub.repo("else/twin")
    twin = other.commit({"other-name.safetensors": BIG})
    second = repo.commit({"new.txt": b"n"})
    etag = repo.blob("sub/w.safetensors").etag

    def numbers(m):
        shown = [m.blob("org/tiny", etag), m.snapshot("org/tiny", commit) / "sub/w.safetensors",
                 m.snapshot("org/tiny", second) / "sub/w.safetensors", m.snapshot("else/twin", twin) / "other-name.safetensors",
                 m.blob("else/twin", etag), m.file("org/tiny", "sub/w.safetensors"), m.file("else/twin", "other-name.safetensors"),
                 m.file("org/tiny", "sub/w.safetensors", rev=commit)]
        rest = [m.root, m.hub, m.repo("org/tiny"), m.snapshot("org/tiny", commit), m.snapshot("org/tiny", commit) / "sub",
                m.snapshot("org/tiny", commit) / "config.json", m.ref("org/tiny"), m.file("org/tiny")]
        assert len({stat(p).st_ino for p in shown}) == 1
        assert len({lstat(p).st_ino for p in rest}) == len(rest)
        return [lstat(p).st_ino for p in shown + rest]
    m = mount(hub, cache=tmp_path / "kept")
    first = numbers(m)
    m.stop()
    m = mount(hub, cache=tmp_path / "kept")
    assert numbers(m) == first
    assert stat(m.blob("org/tiny", repo.blob("new.txt").etag)).st_ino not in first


def test_du_tells_what_is_cached(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    path = m.file("org/tiny", "sub/w.safetensors")
    assert stat(path).st_blocks == 0 and du(path) == 0 and du(path, "--apparent-size") == len(BIG)
    assert stat(path).st_blksize & (stat(path).st_blksize - 1) == 0
    read(path, 4096, 100, step=100)
    assert eventually(lambda: 0 < du(path) == stat(path).st_blocks * 512 < len(BIG))
    # Whole chunks are present; a part of one may lie on the disk, too.
    assert eventually(lambda: 0 < int(xattr(path, "user.matrixfs.present")) <= du(path))
    read(path)
    assert eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1")
    assert du(path) == stat(path).st_blocks * 512 == math.ceil(len(BIG) / 512) * 512
    assert du(path, "--apparent-size") == len(BIG)
    assert du(m.snapshot("org/tiny", commit), "-L") >= len(BIG)


def _map(path):
    """In a process of its own: a fault holds all threads of Python, and the hub is one."""
    subprocess.run([sys.executable, "-c", "import mmap, os, sys; mmap.mmap(os.open(sys.argv[1], 0), 0, prot=mmap.PROT_READ)[0]",
                    path], check=True, timeout=DEADLINE)


def _direct(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        return os.preadv(fd, [mmap.mmap(-1, 4096)], 0)
    finally:
        os.close(fd)


@pytest.mark.parametrize("touch_it", [lambda p: read(p, 0, 1), _map, _direct], ids=["read", "mmap", "direct"])
def test_blocks_of_an_untouched_file_are_right_after_its_first_read(hub, mount, touch_it):
    """The kernel keeps its attributes for a while, but not beyond a read."""
    tiny(hub)
    m = mount(hub)
    path = m.file("org/tiny", "sub/w.safetensors")
    assert stat(path).st_blocks == stat(path).st_blocks == 0
    within(DEADLINE, touch_it, path)
    assert stat(path).st_blocks > 0


def test_attributes_on_every_file_in_both_views(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    wanted = {f"user.matrixfs.{n}" for n in ("etag", "present", "source", "sealed")}
    for path in (m.snapshot("org/tiny", commit) / "sub/w.safetensors", m.file("org/tiny", "sub/w.safetensors")):
        assert set(within(DEADLINE, os.listxattr, path)) == wanted
        assert xattr(path, "user.matrixfs.etag") == repo.blob("sub/w.safetensors").etag
        assert (xattr(path, "user.matrixfs.present"), xattr(path, "user.matrixfs.sealed")) == ("0", "0")
        assert fails(xattr, path, "user.matrixfs.none") == fails(xattr, path, "user.other") == "ENODATA"
        assert fails(xattr, path, "security.capability") == fails(xattr, path, "system.posix_acl_access") == "ENOTSUP"
    read(m.file("org/tiny", "sub/w.safetensors"))
    assert eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1")
    assert xattr(path, "user.matrixfs.present") == str(len(BIG)) and hub.url.split("//")[1] in xattr(path, "user.matrixfs.source")
    assert within(DEADLINE, os.listxattr, m.hub) == []


# ---- listings ----

def test_readdir_in_natural_order_with_types_and_numbers(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    shards = [f"model-{n}-of-12.safetensors" for n in range(1, 13)]
    for directory, kind in ((m.snapshot("org/tiny", commit), DT_LNK), (m.file("org/tiny"), DT_REG)):
        listed = dents(directory)
        assert [n for n, _, _ in listed if n.startswith("model-")] == shards
        assert [n for n, _, _ in listed] == names(directory) == ["config.json", "empty.txt", *shards, "sub"]
        assert {n: k for n, k, _ in listed} == {n: DT_DIR if n == "sub" else kind for n in names(directory)}
        assert [i for _, _, i in listed] == [lstat(directory / n).st_ino for n, _, _ in listed]
    assert {k for _, k, _ in dents(m.repo("org/tiny") / "blobs")} == {DT_REG}
    assert {k for _, k, _ in dents(m.repo("org/tiny") / "snapshots")} == {DT_DIR}


def test_hub_lists_touched_repos_and_no_stray_file(hub, mount):
    tiny(hub)
    hub.repo("org/untouched").commit({"x": b"x"})
    hub.repo("org/words", "dataset").commit({"x": b"x"})
    hub.repo("org/demo", "space").commit({"app.py": b"x"})
    m = mount(hub)
    assert names(m.hub) == [".locks"]
    assert set(names(m.root)) == {"hub", "files"}
    for id, type in (("org/tiny", "model"), ("org/words", "dataset"), ("org/demo", "space")):
        assert names(m.repo(id, type) / "snapshots")
    for stray in ("CACHEDIR.TAG", "x.lock", "version.txt"):
        write(m.hub / stray, b"written by a client")
        assert read(m.hub / stray) == b"written by a client"
    assert [(n, k) for n, k, _ in dents(m.hub)] == [(n, DT_DIR) for n in (
        ".locks", "datasets--org--words", "models--org--tiny", "spaces--org--demo")]
    # No blobs in hub/ (rule 13), nor names no repo can have.
    assert fails(lstat, m.hub / "blobs") == fails(lstat, m.hub / "models--" / "x") == "ENOENT"
    assert fails(os.mkdir, m.hub / "blobs") == "EROFS"
    before = len(hub.requests())
    for name in ("tmp", "model.safetensors", "models--a b", "kernels", "models----", "models--a--b--", ".git", "x" * 255):
        assert fails(lstat, m.hub / name) == "ENOENT", name
    assert len(hub.requests()) == before, "a name that can be no repo was asked for"


def test_locks_are_there_for_every_repo(hub, mount):
    tiny(hub)
    m = mount(hub)
    before = len(hub.requests())
    for folder in ("models--org--tiny", "models--never--seen", "datasets--a--b"):
        assert stat(m.hub / ".locks" / folder).st_mode == st_mode.S_IFDIR | 0o755
        assert fails(os.mkdir, m.hub / ".locks" / folder) == "EEXIST"
    assert len(hub.requests()) == before
    assert fails(stat, m.hub / ".locks" / "no-such-name") == "ENOENT"
    with open(m.hub / ".locks/models--org--tiny/abc.lock", "w") as one, open(one.name) as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(one.fileno(), 0o664)
    os.unlink(one.name)
    assert fails(stat, one.name) == "ENOENT"


def test_refs_and_the_snapshots_they_name(hub, mount):
    repo, main = tiny(hub)
    made = {"main": main}
    for name, ref in (("dev", "refs/heads/dev"), ("v1.0", "refs/tags/v1.0"), ("refs/pr/1", "refs/pr/1")):
        made[name] = repo.commit({"which.txt": name.encode()}, branch=None)
        repo.ref(ref, made[name])
    m = mount(hub)
    assert names(m.repo("org/tiny") / "refs") == ["main"]
    for name, commit in made.items():
        text = read(m.ref("org/tiny", name))
        assert text == commit.encode() and stat(m.ref("org/tiny", name)).st_size == 40
    listed = [pathlib.Path(d, f).relative_to(m.repo("org/tiny") / "refs").as_posix()
              for d, _, files in os.walk(m.repo("org/tiny") / "refs") for f in files]
    assert sorted(listed) == sorted(made)
    assert set(names(m.repo("org/tiny") / "snapshots")) == set(made.values())
    for name, commit in made.items():
        assert name == "main" or read(m.snapshot("org/tiny", commit) / "which.txt") == name.encode()
    # The twin: no ref of that name, no such file, however it is spelt.
    for none in ("none", "none/y", "refs/pr/2"):
        assert fails(read, m.ref("org/tiny", none)) == "ENOENT", none
    assert fails(read, m.ref("org/tiny", "refs")) == "EISDIR"


@pytest.mark.parametrize("first", ["read", "mkdir"])
def test_branches_with_a_slash(hub, mount, first):
    """Readers go there at once; huggingface_hub makes the directory before it looks."""
    repo, main = tiny(hub)
    commits = {n: repo.commit({"which.txt": n.encode()}, branch=n) for n in ("feature/x", "feature/deep/y")}
    m = mount(hub)
    for name, commit in commits.items():
        if first == "mkdir":
            m.ref("org/tiny", name).parent.mkdir(parents=True, exist_ok=True)
        assert read(m.ref("org/tiny", name)) == commit.encode()
        assert commit in names(m.repo("org/tiny") / "snapshots")
    assert names(m.repo("org/tiny") / "refs") == ["feature", "main"] and names(m.ref("org/tiny", "feature")) == ["deep", "x"]
    assert fails(read, m.ref("org/tiny", "feature/none")) == "ENOENT" and fails(read, m.ref("org/tiny", "feature")) == "EISDIR"


@pytest.mark.parametrize("touched", ["refs/{}", ".no_exist/{}", ".no_exist/{}/chat_template.jinja", "snapshots/{}", "trees/{}.json",
                                     "snapshots/{}/config.json"])
def test_a_commit_looked_up_is_listed_from_then_on(hub, mount, touched):
    repo, main = tiny(hub)
    new = repo.commit({"new.json": b"{}"}, branch=None)
    m = mount(hub)
    assert names(m.repo("org/tiny") / "snapshots") == [main]
    failure = fails(lstat, m.repo("org/tiny") / touched.format(new))
    assert failure == ("ENOENT" if touched == "refs/{}" else None)
    assert set(names(m.repo("org/tiny") / "snapshots")) == {main, new}
    assert set(names(m.repo("org/tiny") / "trees")) == {f"{main}.json", f"{new}.json"}
    assert read(m.snapshot("org/tiny", new) / "new.json") == b"{}"
    assert names(m.repo("org/tiny") / "refs") == ["main"]
    # The twin: a commit the hub does not know is listed nowhere.
    assert fails(lstat, m.repo("org/tiny") / touched.format(GONE)) == "ENOENT"
    assert set(names(m.repo("org/tiny") / "snapshots")) == {main, new}


def test_no_exist_marks_every_absent_path_and_no_other(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    marks = m.repo("org/tiny") / ".no_exist" / commit
    before = len(names(marks)) + len(hub.requests())
    for absent in ("chat_template.jinja", "model.bin", "sub/none.json", "sub/dir/none.txt", "other/deep/none.json", ".hidden"):
        shown = stat(marks / absent)
        assert shown.st_mode & 0o170000 == st_mode.S_IFREG and shown.st_size == 0 and read(marks / absent) == b""
    for directory in ("sub", "sub/dir", "other", "other/deep"):
        assert st_mode.S_ISDIR(stat(marks / directory).st_mode), directory
    for there in FILES:
        assert fails(stat, marks / there) == "ENOENT", there
    assert names(marks) == names(marks / "sub") == []
    assert len(hub.requests()) == before
    touch(marks / "chat_template.jinja")               # what clients do after a 404
    pathlib.Path(marks / "x.json").touch()
    assert fails(os.mkdir, marks) == "EEXIST"
    os.makedirs(marks / "additional_chat_templates", exist_ok=True)
    assert fails(stat, m.repo("org/tiny") / ".no_exist" / GONE / "x.json") == "ENOENT"


def test_no_exist_asserts_nothing_while_the_hub_is_down(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    assert m.commit("org/tiny") == commit
    new = repo.commit({"chat_template.jinja": b"t"})
    hub.down()
    assert fails(stat, m.repo("org/tiny") / ".no_exist" / new / "chat_template.jinja") == "EIO"
    assert stat(m.repo("org/tiny") / ".no_exist" / commit / "chat_template.jinja").st_size == 0    # that tree is known
    hub.up()
    assert eventually(lambda: fails(stat, m.repo("org/tiny") / ".no_exist" / new / "chat_template.jinja") == "ENOENT")
    assert stat(m.repo("org/tiny") / ".no_exist" / new / "x.json").st_size == 0


def test_trees_are_what_the_hub_lists(hub, mount):
    repo, commit = tiny(hub)
    repo.commit({"ünïcode \"quoted\"\\.txt": b"q"})
    m = mount(hub)
    for commit in repo.commits:
        path = m.repo("org/tiny") / "trees" / f"{commit}.json"
        text = read(path)
        tree = json.loads(text)
        assert stat(path).st_size == len(text) and b"xet" not in text
        assert set(tree) == {"format_version", "files"} and tree["format_version"] == 1
        wanted = {n: {"size": b.size, "blob_id": b.oid} | ({"lfs_sha256": b.sha256, "lfs_size": b.size} if b.lfs else {})
                  for n, b in repo.commits[commit].files.items()}
        assert tree["files"] == wanted
        write(path, b"a client's own")                # dropped: the hub's truth stays
        assert read(path) == text
    assert fails(stat, m.repo("org/tiny") / "trees" / f"{GONE}.json") == "ENOENT"


# ---- files/: plain files for people ----

def test_plain_files_by_branch_tag_and_commit(hub, mount):
    repo, commit = tiny(hub)
    for name, add in (("dev", repo.branch), ("v1.0", repo.tag)):
        add(name, repo.commit({"which.txt": name.encode()}, branch=None))
    hub.repo("org/words", "dataset").commit({"data/train.jsonl": b"words"})
    hub.repo("org/demo", "space").commit({"app.py": b"demo"})
    m = mount(hub)
    for rev in (None, "main", commit):
        base = m.file("org/tiny", rev=rev)
        assert {str(p.relative_to(base)) for p in base.rglob("*") if p.is_file()} == set(FILES)
        assert not any(p.is_symlink() for p in base.rglob("*"))
        assert {n: read(base / n) for n in FILES} == FILES
    for rev in ("dev", "v1.0"):
        assert read(m.file("org/tiny", "which.txt", rev=rev)) == rev.encode()
    assert read(m.file("org/words", "data/train.jsonl", type="dataset")) == b"words"
    assert read(m.file("org/demo", "app.py", type="space")) == b"demo"
    assert names(m.files) == ["datasets", "org", "spaces"] and names(m.files / "org") == ["tiny"]
    assert names(m.files / "datasets") == ["org"] and names(m.files / "datasets/org") == ["words"]
    for none in ("org/tiny@none", f"org/tiny@{GONE}", "org/none", "none/none", "datasets/org/tiny", "org/words", "org/tiny@", "org/@main"):
        assert fails(stat, m.files / none) == "ENOENT", none
    assert fails(stat, m.file("org/tiny", "which.txt")) == "ENOENT"


def test_plain_files_follow_the_branch(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub, args=["--ref-ttl=0"])
    assert read(m.file("org/tiny", "config.json")) == SMALL
    repo.commit({"config.json": b"moved"})
    assert eventually(lambda: read(m.file("org/tiny", "config.json")) == b"moved", 10)
    assert read(m.file("org/tiny", "config.json", rev=commit)) == SMALL


# ---- other names of a repo ----

def test_renamed_and_case_variant_repos_are_links_nobody_lists(hub, mount):
    repo, commit = tiny(hub, "old/name")
    repo.rename("new/name")
    m = mount(hub)
    for other in ("models--old--name", "models--New--NAME"):
        assert readlink(m.hub / other) == "models--new--name" and st_mode.S_ISLNK(lstat(m.hub / other).st_mode)
        assert read(m.hub / other / "snapshots" / commit / "config.json") == SMALL
    assert names(m.hub) == [".locks", "models--new--name"]
    assert st_mode.S_ISDIR(lstat(m.hub / "models--new--name").st_mode)
    assert read(m.file("old/name", "config.json")) == SMALL
    assert names(m.files) == ["datasets", "new", "spaces"]


# ---- weights are read-only ----

def writes(directory, file, other):
    """Every kind of write to what is shown, by name."""
    new = directory / "new"

    def opens(path, flags):
        return lambda: os.close(os.open(path, flags, 0o644))
    return {
        "create": opens(new, os.O_CREAT | os.O_WRONLY), "create exclusively": opens(new, os.O_CREAT | os.O_EXCL | os.O_RDWR),
        "open to write": opens(file, os.O_WRONLY), "open to read and write": opens(file, os.O_RDWR),
        "open to truncate": opens(file, os.O_WRONLY | os.O_TRUNC), "read and truncate": opens(file, os.O_RDONLY | os.O_TRUNC),
        "open to append": opens(file, os.O_APPEND | os.O_WRONLY), "open or create": opens(file, os.O_CREAT | os.O_RDWR),
        "truncate": lambda: os.truncate(file, 0), "unlink": lambda: os.unlink(file), "rename": lambda: os.rename(file, new),
        "rename out": lambda: os.rename(file, other.parent / "taken"), "rename in": lambda: os.rename(other, new),
        "rename over": lambda: os.rename(other, file), "mkdir": lambda: os.mkdir(new), "symlink": lambda: os.symlink("x", new),
        "link in": lambda: os.link(other, new), "link out": lambda: os.link(file, other.parent / "linked", follow_symlinks=False),
        "chmod": lambda: os.chmod(file, 0o644), "chown": lambda: os.chown(file, 1, 1), "utime": lambda: os.utime(file),
        "setxattr": lambda: os.setxattr(file, "user.x", b"1"), "removexattr": lambda: os.removexattr(file, "user.matrixfs.etag"),
        "setxattr of a directory": lambda: os.setxattr(directory, "user.x", b"1"),
        "mkfifo": lambda: os.mkfifo(new), "mknod": lambda: os.mknod(new), "chmod of a directory": lambda: os.chmod(directory, 0o777),
    }


@pytest.mark.parametrize("strict", [False, True], ids=["scratch", "strict-ro"])
def test_weights_refuse_every_write_with_erofs(hub, mount, strict):
    repo, commit = tiny(hub)
    m = mount(hub, args=["--strict-ro"] * strict)
    snapshot, blobs = m.snapshot("org/tiny", commit), m.repo("org/tiny") / "blobs"
    names(snapshot), names(m.file("org/tiny"))
    other = m.hub / "scratch.tmp"
    if not strict:
        write(other, b"mine")
    places = {"snapshots": (snapshot, snapshot / "config.json"), "deep": (snapshot / "sub/dir", snapshot / "sub/dir/deep.json"),
              "blobs": (blobs, blobs / repo.blob("config.json").etag), "files": (m.file("org/tiny"), m.file("org/tiny", "config.json"))}
    seen = {}
    for place, (directory, file) in places.items():
        for kind, call in writes(directory, file, other).items():
            failure = fails(within, DEADLINE, call)
            if not (strict and kind in ("rename in", "rename over", "link in")):   # there is nothing to move in
                seen[place, kind] = failure
    assert {k: v for k, v in seen.items() if v != "EROFS"} == {}
    for directory in (m.repo("org/tiny") / "snapshots", m.repo("org/tiny"), m.files / "org/tiny", snapshot):
        assert fails(os.mkdir, directory / "made") == "EROFS", directory
        assert fails(os.rmdir, directory) in ("EROFS", "EBUSY", "ENOTEMPTY"), directory
    assert read(snapshot / "config.json") == SMALL and names(snapshot) == names(m.file("org/tiny"))


def test_others_get_erofs_too_never_eacces(hub, mount):
    """PermissionError is fatal for transformers, OSError is not."""
    repo, commit = tiny(hub)
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="matrixfs-tree-", dir="/tmp"))
    os.chmod(tmp, 0o755)
    try:
        (tmp / "models").mkdir()
        m = mount(hub, root=tmp / "models")
        script = f"""
import errno, os
def why(call, *a):
    try: call(*a)
    except OSError as e: return errno.errorcode[e.errno]
snapshot = {str(m.snapshot("org/tiny", commit))!r}
print(why(os.open, snapshot + "/config.json", os.O_RDWR), why(os.mkdir, snapshot + "/x"), why(os.truncate, snapshot + "/config.json", 0),
      why(os.chmod, snapshot + "/config.json", 0o600), open(snapshot + "/config.json").read() == {SMALL.decode()!r})
"""
        out = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script],
                             capture_output=True, text=True, timeout=DEADLINE)
        assert out.stdout.split() == ["EROFS"] * 4 + ["True"], out.stderr
        m.stop()
    finally:
        (tmp / "models").rmdir()
        tmp.rmdir()


def test_access(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    blob, ref = m.snapshot("org/tiny", commit) / "config.json", m.ref("org/tiny")

    def access(path, mode):
        return within(DEADLINE, lambda: 0 if libc.access(os.fsencode(path), mode) == 0 else ctypes.get_errno())
    assert access(blob, os.R_OK) == access(blob, os.F_OK) == access(ref, os.R_OK | os.W_OK) == 0
    assert access(blob, os.W_OK) == access(m.snapshot("org/tiny", commit), os.W_OK) == errno.EROFS
    assert access(m.repo("org/tiny") / "refs", os.W_OK) == access(m.hub, os.R_OK | os.W_OK | os.X_OK) == 0
    assert access(m.hub / "models--no--such", os.F_OK) == errno.ENOENT


def test_statfs(hub, mount):
    m = mount(hub)
    shown, below = os.statvfs(m.root), os.statvfs(m.cache)
    assert shown.f_namemax == 255 and shown.f_blocks * shown.f_frsize == below.f_blocks * below.f_frsize
    assert 0 < shown.f_bavail * shown.f_frsize <= shown.f_blocks * shown.f_frsize
    assert "fuse" in sh(f"stat -f -c %T {m.root}")


# ---- what clients insist on writing ----

def test_refs_written_by_clients_are_dropped(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    ref = m.ref("org/tiny")
    assert m.commit("org/tiny") == commit
    part = ref.with_name("main.0a1b2c3d.tmp")
    write(part, GONE.encode())
    os.rename(part, ref)                         # huggingface_hub >= 1.25
    assert not part.exists() and read(ref) == commit.encode()
    write(ref, GONE.encode())                    # before it
    assert read(ref) == commit.encode()
    os.makedirs(m.repo("org/tiny") / "refs/feature", exist_ok=True)
    assert fails(stat, m.repo("org/tiny") / "refs" / "nothing") == "ENOENT"
    asked = len(hub.requests(path_re="tmp|lock"))
    assert asked == 0, "a temporary name was asked for"


def test_scratch_is_a_file_system(hub, mount):
    tiny(hub)
    m = mount(hub)
    place = m.hub / ".locks" / "models--org--tiny"
    for base in (place, m.root / "modules"):
        base.mkdir(exist_ok=True)
        (base / "d").mkdir()
        write(base / "d/f", b"one")
        with open(base / "d/f", "ab") as f:
            f.write(b" two")
        assert read(base / "d/f") == b"one two"
        os.truncate(base / "d/f", 3)
        os.rename(base / "d/f", base / "g")
        os.symlink("g", base / "l")
        os.link(base / "g", base / "h")
        assert read(base / "l") == b"one" == read(base / "h") and readlink(base / "l") == "g"
        assert set(names(base)) == {"d", "g", "h", "l"}
        assert fails(os.rmdir, base) == ("EROFS" if base == place else "ENOTEMPTY") and fails(os.unlink, base / "d") in ("EISDIR", "EPERM")
        os.chmod(base / "g", 0o600)
        os.utime(base / "g", (1000, 2000))
        assert (stat(base / "g").st_mode & 0o777, stat(base / "g").st_mtime) == (0o600, 2000)
        with open(base / "g", "r+b") as f:
            os.unlink(base / "g")                # open files live on
            f.seek(0, 2)
            f.write(b"!")
            f.seek(0)
            assert f.read() == b"one!"
        for name in ("h", "l"):
            os.unlink(base / name)
        (base / "d").rmdir()
        assert names(base) == []


def test_home_of_clients(hub, mount):
    """HF_HOME on the mount: unknown names are absent, what clients write is there until the end."""
    tiny(hub)
    m = mount(hub)
    before = len(hub.requests())
    for name in ("token", "stored_tokens", "modules", "xet", "assets", ".agent_harnesses.json", "anything"):
        assert fails(stat, m.root / name) == "ENOENT", name
        assert fails(open, m.root / name) == "ENOENT"
    assert len(hub.requests()) == before
    for name in ("modules/transformers_modules/__init__.py", "xet/logs/x.log", "token", ".check_for_update_done"):
        (m.root / name).parent.mkdir(parents=True, exist_ok=True)
        write(m.root / name, b"x")
        assert read(m.root / name) == b"x"


def test_scratch_is_bounded_and_never_full(hub, mount):
    m = mount(hub, args=["--scratch-size=1MiB"])
    base = m.root / "modules"
    base.mkdir()
    for n in range(64):
        write(base / f"{n}", b"%d" % (n % 10) * 65536)
        assert read(base / f"{n}") == b"%d" % (n % 10) * 65536
    left = [n for n in range(64) if not fails(stat, base / f"{n}")]
    assert left and left == list(range(left[0], 64)) and len(left) <= 16, "the oldest go first"
    assert sum(stat(base / f"{n}").st_size for n in left) <= 1 << 20
    assert fails(write, base / "huge", b"x" * (2 << 20)) in ("EFBIG", "ENOSPC")
    write(base / "after", b"fine")
    assert read(base / "after") == b"fine"


def test_what_the_tree_shows_by_itself_stays_where_it_is(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    base, locks = m.repo("org/tiny"), m.hub / ".locks"
    write(locks / "models--org--tiny" / "x.lock", b"held")
    write(base / "refs" / "mine", b"1" * 40)
    shown = [m.hub, locks, locks / "models--org--tiny", base, base / "refs", base / ".no_exist" / commit, base / "trees" / f"{commit}.json",
             base / "refs" / "main"]
    for place in shown:
        assert fails(os.rename, place, m.root / "elsewhere") == "EROFS", place
    os.unlink(locks / "models--org--tiny" / "x.lock")
    os.unlink(base / "refs" / "mine")
    for place in shown:
        gone = os.rmdir if st_mode.S_ISDIR(stat(place).st_mode) else os.unlink
        assert fails(gone, place) == "EROFS", place
        assert fails(os.mkdir, place) == "EEXIST"
    os.mkdir(m.hub / "d")                               # what clients made beside it goes where they like
    assert fails(os.rename, m.hub / "d", locks) in ("EEXIST", "ENOTEMPTY")
    os.rename(m.hub / "d", locks / "d")
    os.rmdir(locks / "d")
    assert read(base / "refs" / "main") == commit.encode()


def test_strict_ro_refuses_metadata_too(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub, args=["--strict-ro"])
    places = [m.root, m.hub, m.hub / ".locks", m.repo("org/tiny") / "refs", m.repo("org/tiny") / ".no_exist", m.repo("org/tiny") / "trees"]
    for place in places:
        assert fails(touch, place / "x.tmp") == fails(os.mkdir, place / "made") == "EROFS", place
    for file in (m.ref("org/tiny"), m.repo("org/tiny") / ".no_exist" / commit / "x.json", m.repo("org/tiny") / "trees" / f"{commit}.json"):
        assert fails(write, file, b"x") == fails(os.utime, file) == "EROFS", file
    assert read(m.ref("org/tiny")) == commit.encode() and read(m.snapshot("org/tiny", commit) / "config.json") == SMALL
    assert stat(m.hub / ".locks/models--org--tiny") and stat(m.repo("org/tiny") / "refs").st_mode & 0o777 == 0o555


# ---- odd names ----

def test_names_with_any_character(hub, mount):
    odd = {"a b", "a%20b", "a?b=c&d", "a#b", "a+b", 'a"b', "a'b", "a\\b", "a;b|c", "ünïcödé", "日本語.bin", "😀",
           "-rf", "~", "x" * 255, "é" * 127, "...", ".gitattributes", " ", "a" + "/b" * 60, "deep/" + "/".join(["d" * 50] * 15) + "/f"}
    files = {name: name.encode() for name in odd}
    repo = hub.repo("org/odd")
    commit = repo.commit(files)
    m = mount(hub)
    base = m.file("org/odd")
    found = {os.path.relpath(os.path.join(d, f), base) for d, _, fs in os.walk(base) for f in fs}
    assert found == odd
    assert {n: read(base / n) for n in odd} == files
    assert {n: read(m.snapshot("org/odd", commit) / n) for n in odd} == files
    assert json.loads(read(m.repo("org/odd") / "trees" / f"{commit}.json"))["files"].keys() == odd
    # Control characters are refused, with all of their commit, like every hostile path.
    repo.commit({"new\nline": b"x"}, branch="dev")
    assert fails(stat, m.file("org/odd", rev="dev")) == "EIO" and m.wait_log("control character")
    assert fails(stat, base / ("x" * 254)) == fails(stat, base / ("x" * 256)) == "ENOENT"


# ---- requests ----

def questions(m):
    """How many the kernel has asked so far, roughly: each is a read of /dev/fuse."""
    return int(re.search(r"^syscr: (\d+)", pathlib.Path(f"/proc/{m.pid}/io").read_text(), re.M)[1])


def test_listing_a_large_repo_twice(hub, mount):
    files = {f"d{n % 30:02}/file-{n:04}.txt": b"%d" % n for n in range(3000)}
    repo = hub.repo("org/large")
    commit = repo.commit(files)
    m = mount(hub)
    hub.clear_log()
    before = questions(m)
    first = sh(f"ls -lR '{m.snapshot('org/large', commit)}'")
    assert questions(m) - before > 3000     # where each link leads
    pages = hub.requests(path_re="/tree/")
    assert len(pages) == math.ceil((3000 + 30) / hub.page_size) and first.count(" -> ../../../blobs/") == 3000
    hub.clear_log()
    before = questions(m)
    assert sh(f"ls -lR '{m.snapshot('org/large', commit)}'") == first
    assert questions(m) - before < 10 * 30  # of directories alone
    assert sh(f"ls -lRL '{m.snapshot('org/large', commit)}'").count(".txt") == 3000
    assert sh(f"find '{m.hub}' -name '*.txt' | wc -l").strip() == "3000"
    assert hub.requests() == []
    assert "san" in str(PROGRAM) or m.anonymous() < 16 << 20      # a sanitizer's own memory is not ours


def test_one_repo_is_found_with_few_requests(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub)
    names(m.snapshot("org/tiny", commit))
    asked = [q.path for q in hub.requests()]
    assert len(asked) == len(set(asked)) <= 4, asked


def test_a_definite_no_is_remembered_shortly(hub, mount):
    tiny(hub)
    m = mount(hub)
    absent = [m.hub / "models--org--none", m.snapshot("org/tiny", GONE), m.file("org/none"), m.file("org/tiny", rev="none")]
    for path in absent:
        assert fails(stat, path) == "ENOENT"
        asked = len(hub.requests())
        for _ in range(20):
            assert fails(stat, path) == "ENOENT"
        assert len(hub.requests()) <= asked + 1, path
    hub.repo("org/none").commit(FILES)           # it comes into being
    assert eventually(lambda: not fails(stat, m.hub / "models--org--none"), 15)


def test_no_answer_is_not_a_no(hub, mount):
    tiny(hub)
    m = mount(hub)
    for how in ("down", "html", "error"):
        if how == "down":
            hub.down()
        elif how == "html":
            hub.fault(".", "html")
        else:
            hub.fault(".", "status", code=500)
        for path in (m.hub / "models--org--tiny", m.file("org/tiny"), m.hub / "models--org--none"):
            assert fails(stat, path) == "EIO", (how, path)
        hub.clear_faults()
        hub.up()
    waited = time.monotonic()
    while failure := fails(stat, m.hub / "models--org--tiny"):
        assert failure == "EIO" and time.monotonic() - waited < 20
        time.sleep(0.1)
    assert fails(stat, m.hub / "models--org--none") == "ENOENT"


# ---- a branch that moves ----

@pytest.mark.parametrize("sight", ["snapshots/{}/config.json", "snapshots/{}", "refs/{}", ".no_exist/{}/x.json", "trees/{}.json"])
def test_refs_are_current_once_a_new_commit_was_seen(hub, mount, sight):
    """The client hears of the new commit from the hub, touches it, then reads the ref: it must not be the old one."""
    repo, old = tiny(hub)
    m = mount(hub, args=["--ref-ttl=1h"])
    for _ in range(3):
        assert m.commit("org/tiny") == old
    new = repo.commit({"config.json": b"new"})
    assert m.commit("org/tiny") == old                       # the twin: nobody has seen it
    fails(stat, m.repo("org/tiny") / sight.format(new))
    assert m.commit("org/tiny") == new
    newer = repo.commit({"config.json": b"newer"})           # and once more
    fails(stat, m.repo("org/tiny") / sight.format(newer))
    assert m.commit("org/tiny") == newer
    asked = len(hub.requests())
    assert m.commit("org/tiny") == newer and len(hub.requests()) == asked


def test_refs_with_no_ttl_are_current_at_once(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub, args=["--ref-ttl=0"])
    for n in range(5):
        assert m.commit("org/tiny") == commit
        assert commit in names(m.repo("org/tiny") / "snapshots")
        commit = repo.commit({"n": b"%d" % n})


def test_a_ref_is_believed_for_its_time(hub, mount):
    repo, old = tiny(hub)
    m = mount(hub, args=["--ref-ttl=2"])
    begun = time.monotonic()
    assert m.commit("org/tiny") == old
    new = repo.commit({"n": b"n"})
    seen = m.commit("org/tiny")
    assert seen == old or time.monotonic() - begun > 1.9
    assert eventually(lambda: m.commit("org/tiny") == new, 10)
    repo.drop("main")
    assert eventually(lambda: fails(m.commit, "org/tiny") == "ENOENT", 10)
    # The snapshots seen stay.
    assert read(m.snapshot("org/tiny", new) / "n") == b"n" and read(m.snapshot("org/tiny", old) / "config.json") == SMALL


def test_an_old_ref_stands_while_the_hub_is_down(hub, mount):
    repo, commit = tiny(hub)
    m = mount(hub, args=["--ref-ttl=0"])
    assert m.commit("org/tiny") == commit
    hub.down()
    assert m.commit("org/tiny") == commit
    assert fails(m.commit, "org/tiny", "other") == "EIO"
    new = repo.commit({"n": b"n"})
    hub.up()
    assert eventually(lambda: m.commit("org/tiny") == new, 20)
    assert re.search("refs|models/org/tiny", hub.requests()[-1].path)


def as_nobody(*words):
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *map(str, words)],
                          capture_output=True, timeout=30)
    return done.returncode, done.stdout


def test_tokens_and_modules_are_their_owners(hub, mount):
    m = mount(hub)
    for directory in m.root.parents:
        if directory.stat().st_mode & 0o77 == 0:   # pytest keeps its own to root
            directory.chmod(0o755)
    (m.root / "token").write_bytes(b"hf_secret")
    (m.root / "token").chmod(0o600)
    (m.root / "modules").mkdir()
    (m.root / "modules" / "code.py").write_bytes(b"good")
    assert as_nobody("cat", m.root / "token")[0] != 0
    assert as_nobody("sh", "-c", f"echo evil > {m.root}/modules/code.py")[0] != 0
    for words in (("rm", "-f", m.root / "token"), ("mv", m.root / "modules", m.root / "mine"),
                  ("chmod", "777", m.root / "token"), ("rm", "-f", m.root / "modules" / "code.py")):
        assert as_nobody(*words)[0] != 0, words
    assert (m.root / "token").read_bytes() == b"hf_secret" and (m.root / "modules" / "code.py").read_bytes() == b"good"
    # A name below hub/ would make it anybody's: not even its owner gives it one.
    for words in (("ln", m.root / "token", m.root / "hub" / "x"), ("ln", m.root / "token", m.root / "mine")):
        assert as_nobody(*words)[0] != 0, words
    for give in os.link, os.rename:
        with pytest.raises(OSError) as refused:
            give(m.root / "token", m.root / "hub" / "x")
        assert refused.value.errno == errno.EXDEV
    os.link(m.root / "token", m.root / "same")
    assert (m.root / "same").read_bytes() == b"hf_secret"
    (m.root / "same").unlink()
    # The twin: what is open to all, and the shared metadata of hub/.
    assert as_nobody("cat", m.root / "modules" / "code.py") == (0, b"good")
    (m.root / "hub" / "x.lock").write_bytes(b"")
    assert as_nobody("sh", "-c", f"echo 1 > {m.root}/hub/x.lock && rm {m.root}/hub/x.lock")[0] == 0
    assert as_nobody("sh", "-c", f"echo mine > {m.root}/own && rm {m.root}/own")[0] == 0
