"""The export is one more face of the same machine: it shows what the mount shows, and waits, reads ahead and fails as the mount does."""
import contextlib
import hashlib
import os
import stat as st_mode

import models
from control import Control
from mountlib import eventually, lstat, names, read, readlink, stat
from nfs_wire import BADHANDLE, DIR, IO, LNK, NOENT, OK, PERM, REG, STALE

MIB = 1 << 20
BIG = models.big_file(5_000_000, seed=9)
FILES = {"config.json": b'{"model_type": "bert"}', "sub/dir/deep.json": b"{}", "w.safetensors": BIG, "empty.txt": b""}
DATE = "2024-05-06T07:08:09.000Z"


def test_it_is_an_export_alone_if_it_has_no_mount_point(tiny, export, mount):
    alone = export(tiny)
    with alone.client() as nfs:
        assert nfs.content(nfs.walk("files", "org", "tiny", "w.safetensors")) == BIG
    assert alone.logged("exported alone") and not alone.logged("mounted mountpoint")
    both = export(tiny, mounted=True)
    assert both.logged("mounted mountpoint") and not both.logged("exported alone")
    assert not mount(tiny).logged("exporting by NFS")


def test_it_shows_what_the_mount_shows(export, hub):
    commit = hub.repo("org/tiny").commit(FILES, date=DATE)
    e = export(hub, mounted=True)
    kinds = {st_mode.S_IFREG: REG, st_mode.S_IFDIR: DIR, st_mode.S_IFLNK: LNK}

    def same(path, handle):
        seen, shown = lstat(path), nfs.getattr(handle).attr
        assert shown.type == kinds[st_mode.S_IFMT(seen.st_mode)] and shown.mode == st_mode.S_IMODE(seen.st_mode), path
        assert (shown.fileid, shown.size, shown.uid, shown.gid) == (seen.st_ino, seen.st_size, seen.st_uid, seen.st_gid), path
        assert shown.mtime[0] == int(seen.st_mtime) or shown.type == DIR or path.parent.name == "refs", path     # a ref's: when it moved
        if shown.type == LNK:
            assert os.fsdecode(nfs.readlink(handle).target) == readlink(path)
        if shown.type == REG:
            assert nfs.content(handle) == read(path)
        if shown.type == DIR:
            listed = [os.fsdecode(entry.name) for entry in nfs.list(handle) if entry.name not in (b".", b"..")]
            assert listed == names(path) if path.is_relative_to(e.file("org/tiny")) else sorted(listed) == sorted(names(path))
            for name in listed:
                same(path / name, nfs.lookup(handle, name).handle)
    with e.client() as nfs:
        names(e.file("org/tiny")), names(e.snapshot("org/tiny", commit))      # listings show what was used
        same(e.root, nfs.mount())


def test_who_reads_on_is_read_ahead_for(hub, export):
    large = models.big_file(60_000_000, seed=10)
    hub.repo("org/large").commit({"w.safetensors": large})
    cached = lambda m: stat(m.cached(hashlib.sha256(large).hexdigest())).st_blocks * 512

    def after(read_at, offsets):
        e, settled = export(hub, mounted=True, passthrough=False), []
        with read_at(e) as at:
            for offset in offsets:
                assert at(offset, MIB) == large[offset:offset + MIB]
            assert eventually(lambda: settled.append(cached(e)) or settled[-5:] == settled[-1:] * 5, every=0.3)
        return settled[-1]

    @contextlib.contextmanager
    def by_nfs(e):
        with e.client() as nfs:
            file = nfs.walk("files", "org", "large", "w.safetensors")
            yield lambda offset, count: nfs.read(file, offset, count).data

    @contextlib.contextmanager
    def by_mount(e):
        with open(e.file("org/large", "w.safetensors"), "rb", buffering=0) as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)     # the kernel reads nothing ahead by itself
            yield lambda offset, count: os.pread(f.fileno(), count, offset)

    on, jumps = [n << 20 for n in range(4)], [n << 20 for n in (0, 40, 20, 50)]
    assert after(by_nfs, on) == after(by_mount, on) > 8 << 20
    assert after(by_nfs, jumps) == after(by_mount, jumps)


def test_a_slow_request_is_told_with_what_it_is_about(hub, export):
    hub.repo("org/slow").commit({"w.safetensors": BIG})
    e = export(hub, args=["--slow-op=1"], timeout=5)
    with e.client() as nfs:
        file = nfs.walk("files", "org", "slow", "w.safetensors")
        hub.down()
        assert nfs.read(file, 0, 10).status == IO
        assert e.wait_log("slow.*op=nfs-read client=127.0.0.1 repo=models/org/slow commit=[0-9a-f]{12} path=w.safetensors")


def test_who_waits_for_a_whole_digest_waits_as_long_as_bytes_come(hub, export):
    hub.repo("org/slow").commit({"w.safetensors": BIG})
    e = export(hub, args=["--verify=strict", "--prefetch=no"], timeout=6)       # what is digested and flushed at the end may take half of it
    with e.client() as nfs:
        file = nfs.walk("files", "org", "slow", "w.safetensors")
        hub.rate(len(BIG) // 12)
        answer = nfs.read(file, 0, 1000)
        assert answer.status == OK and answer.data == BIG[:1000]
    assert Control(e).metrics().value("wedged_waits_total") == 0


def test_a_ref_that_moves_is_another_file(hub, export):
    repo = hub.repo("org/tiny")
    one = repo.commit({"config.json": b"{}"})
    e = export(hub, args=["--ref-ttl=0"])
    with e.client() as nfs:
        ref = nfs.walk("hub", "models--org--tiny", "refs", "main")
        before = nfs.getattr(ref).attr
        assert nfs.content(ref).decode() == one and nfs.getattr(ref).attr == before
        two = repo.commit({"config.json": b"[]"})
        assert eventually(lambda: nfs.content(ref).decode() == two, 20)
        after = nfs.getattr(ref).attr
        assert after.fileid == before.fileid and after.mtime != before.mtime


def test_an_error_of_the_hub_is_no_other(export, hub):
    hub.repo("org/tiny").commit(FILES)
    e = export(hub)
    with e.client() as nfs:
        handle = nfs.walk("files", "org", "tiny", "w.safetensors")
        with hub.fault("GET .*/resolve/", "status", code=503):
            assert nfs.read(handle, 0, 100).status not in (OK, NOENT, STALE, BADHANDLE, PERM)
        assert eventually(lambda: nfs.read(handle, 0, 100).status == OK)
        assert nfs.content(handle) == BIG
