"""The tree over NFS: libnfs's own programs read what the mount shows; handles, cookies and errors are as RFC 1813 has them."""
import contextlib
import hashlib
import os
import struct
import threading

import pytest

import models
from control import Control
from mountlib import DEADLINE, eventually, names, read, readlink, stat, write
from nfs import (ACCES, ATTR, BAD_COOKIE, BADHANDLE, CREATE, DUMP, EXIST, EXPORT, EXPORTS, GETATTR, LINK, MKDIR, MOUNT, NFS, NOENT,
                 NOTDIR, NULL, OK, PORTMAP, READ, READDIRPLUS, REMOVE, RENAME, ROFS, SETATTR, STALE, SYMLINK, UMNT, WRITE, Refused, Rpc,
                 cat, ls, opaque, port, sys_cred)

BIG = models.big_file(5_000_000, seed=9)
FILES = {"config.json": b'{"model_type": "bert"}', "sub/dir/deep.json": b"{}", "w.safetensors": BIG, "empty.txt": b"",
         **{f"many/layer{n}.bin": b"%d" % n for n in range(300)}}


def export(mount, hub, *args, **kw):
    return mount(hub, args=[EXPORT, *args], mounted=False, **kw)


def test_libnfs_reads_what_the_mount_shows(tiny, mount):
    m = mount(tiny, args=[EXPORT])
    commit = m.commit("org/tiny")
    assert set(ls(m)) == {"hub", "files"}
    assert set(ls(m, "files/org/tiny/many")) == set(names(m.file("org/tiny", "many")))
    tree = ls(m, f"hub/models--org--tiny/snapshots/{commit}")
    assert tree["w.safetensors"][0][0] == "l" and tree["sub"][0][0] == "d"
    for path in ("config.json", "w.safetensors", "sub/dir/deep.json", "empty.txt"):
        assert cat(m, f"files/org/tiny/{path}") == FILES[path] == read(m.file("org/tiny", path))
    assert cat(m, "hub/models--org--tiny/refs/main") == commit.encode()
    etag = hashlib.sha256(BIG).hexdigest()
    assert cat(m, f"hub/models--org--tiny/blobs/{etag}") == BIG
    assert ls(m, "files/org/tiny")["w.safetensors"][1] == len(BIG)


def test_export_alone_serves_without_a_mount(tiny, mount):
    m = export(mount, tiny)
    assert cat(m, "files/org/tiny/w.safetensors") == BIG
    assert m.logged("exported alone") and not m.logged("mounted mountpoint")


def test_without_the_option_no_port_is_opened(tiny, mount):
    m = mount(tiny)
    assert not m.logged("exporting by NFS")


def test_links_can_be_followed_from_the_root(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        commit = rpc.read(rpc.handle("hub/models--org--tiny/refs/main"), 0, 100)[1].decode()
        link = rpc.handle(f"hub/models--org--tiny/snapshots/{commit}/sub/dir/deep.json")
        assert rpc.getattr(link)[1][0] == 5
        status, rest = rpc.nfs(5, opaque(link))
        at = 4 + ATTR.size
        length, = struct.unpack_from(">I", rest, at)
        target = rest[at + 4:at + 4 + length].decode()
        assert status == OK and target.startswith("../../../../blobs/")
        blob = rpc.handle(f"hub/models--org--tiny/blobs/{target.rsplit('/', 1)[1]}")
        assert rpc.read(blob, 0, 100) == (OK, b"{}", True)


def test_ranges_end_where_the_file_does(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        big = rpc.handle("files/org/tiny/w.safetensors")
        for offset, count in [(0, 1), (1, 4095), (len(BIG) - 10, 10), (len(BIG) - 10, 11), (1 << 20, 1 << 20), (12345, 77777)]:
            status, data, eof = rpc.read(big, offset, count)
            assert (status, data) == (OK, BIG[offset:offset + count]) and eof == (offset + len(data) == len(BIG))
        assert rpc.read(big, len(BIG), 10) == (OK, b"", True)
        assert rpc.read(big, 1 << 60, 10) == (OK, b"", True)
        status, data, eof = rpc.read(big, 0, 4 << 20)
        assert data == BIG[:1 << 20] and not eof
        assert rpc.read(rpc.handle("files/org/tiny/empty.txt"), 0, 10) == (OK, b"", True)
        assert rpc.read(rpc.handle("files/org/tiny"), 0, 10)[0] == 22


def test_handles_outlive_the_process(tiny, mount):
    m = export(mount, tiny)
    paths = ["", "hub", "files", "files/org", "files/datasets", "files/org/tiny", "files/org/tiny/sub/dir", "files/org/tiny/w.safetensors",
             "hub/.locks", "hub/models--org--tiny", "hub/models--org--tiny/blobs", "hub/models--org--tiny/refs",
             "hub/models--org--tiny/refs/main", "hub/models--org--tiny/snapshots", "hub/models--org--tiny/trees"]
    with Rpc(m) as rpc:
        commit = rpc.read(rpc.handle("hub/models--org--tiny/refs/main"), 0, 100)[1].decode()
        base = "hub/models--org--tiny"
        paths += [f"{base}/snapshots/{commit}", f"{base}/snapshots/{commit}/config.json", f"{base}/snapshots/{commit}/sub",
                  f"{base}/trees/{commit}.json", f"{base}/.no_exist/{commit}", f"{base}/.no_exist/{commit}/model.safetensors.index.json"]
        before = {path: rpc.handle(path) for path in paths}
        attrs = {path: rpc.getattr(handle)[1] for path, handle in before.items()}
        assert all(len(handle) <= 64 for handle in before.values()) and len(set(before.values())) == len(paths)
    m.kill()
    again = export(mount, tiny, cache=m.cache)
    with Rpc(again) as rpc:
        for path, handle in before.items():
            status, now = rpc.getattr(handle)
            assert status == OK, (path, status)
            assert (now[0], now[1], now[9]) == (attrs[path][0], attrs[path][1], attrs[path][9]), path
        assert rpc.read(before["files/org/tiny/w.safetensors"], 100, 50) == (OK, BIG[100:150], False)
        assert {path: rpc.handle(path) for path in paths} == before


def test_handles_of_another_cache_are_nobodys(tiny, mount):
    one, other = export(mount, tiny), export(mount, tiny)
    with Rpc(one) as rpc, Rpc(other) as stranger:
        handle = rpc.handle("files/org/tiny/w.safetensors")
        assert rpc.getattr(handle)[0] == OK
        assert stranger.getattr(handle)[0] == BADHANDLE


def test_no_bit_of_a_handle_can_be_bent(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        for handle in (rpc.handle(), rpc.handle("files/org/tiny/w.safetensors"), rpc.handle("files/org")):
            for bit in range(len(handle) * 8):
                bent = bytearray(handle)
                bent[bit // 8] ^= 1 << bit % 8
                assert rpc.getattr(bytes(bent))[0] == BADHANDLE
            assert rpc.getattr(handle[:-1])[0] == rpc.getattr(b"")[0] == rpc.getattr(bytes(64))[0] == BADHANDLE
            assert rpc.getattr(handle)[0] == OK


def test_cookies_survive_new_entries(hub, mount):
    for n in range(40):
        hub.repo(f"org/model{n}").commit({"config.json": b"{}"})
    m = export(mount, hub)
    with Rpc(m) as rpc:
        org = rpc.handle("files/org")
        for n in range(20):
            rpc.lookup(org, f"model{n}")
        _, verifier, first, _ = rpc.readdir(org, count=400)
        for n in range(20, 40):
            rpc.lookup(org, f"model{n}")
        cookie, seen, done = first[-1][2], [name for _, name, _ in first], False
        while not done:
            status, verifier, entries, done = rpc.readdir(org, cookie, verifier, 400)
            assert status == OK
            seen += [name for _, name, _ in entries]
            cookie = entries[-1][2] if entries else cookie
        assert len(seen) == len(set(seen))
        assert {f"model{n}" for n in range(20)} <= set(seen)
        assert set(rpc.names(org)) == {f"model{n}" for n in range(40)}


def test_a_commits_directory_is_listed_in_natural_order_on_many_pages(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        many = rpc.handle("files/org/tiny/many")
        assert rpc.names(many, count=300) == rpc.names(many, count=65536) == [f"layer{n}.bin" for n in range(300)]
        status, verifier, entries, done = rpc.readdir(many, count=600)
        assert not done
        assert rpc.readdir(many, entries[-1][2], b"\1" * 8)[0] == BAD_COOKIE
        assert rpc.readdir(many, entries[-1][2], verifier)[2][0][1] == f"layer{len(entries) - 2}.bin"
        assert rpc.readdir(many, count=60)[0] == 10005
        assert rpc.readdir(rpc.handle("files/org/tiny/config.json"))[0] == NOTDIR


KEEP = struct.pack(">IIIIII", 0, 0, 0, 0, 0, 0)       # sattr3: nothing is set


def test_dots_lead_where_they_say(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        for path, above in [("", ""), ("files/org", "files"), ("files/org/tiny/sub/dir", "files/org/tiny/sub"), ("hub/models--org--tiny", "hub")]:
            there, up = rpc.handle(path), rpc.handle(above)
            assert rpc.lookup(there, ".")[1] == there and rpc.lookup(there, "..")[1] == up
            dot, dots = rpc.readdir(there)[2][:2]
            assert (dot[0], dots[0]) == (rpc.getattr(there)[1][9], rpc.getattr(up)[1][9])


def test_weights_cannot_be_changed(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        base = "hub/models--org--tiny"
        commit = rpc.read(rpc.handle(f"{base}/refs/main"), 0, 100)[1].decode()
        for place in ("files/org/tiny", f"{base}/snapshots/{commit}", f"{base}/blobs", f"{base}/snapshots", ""):
            there = rpc.handle(place)
            name = opaque(there) + opaque(b"new")
            assert rpc.nfs(CREATE, name + struct.pack(">I", 0) + KEEP) == (ROFS, bytes(8)), place
            assert rpc.nfs(MKDIR, name + KEEP) == rpc.nfs(SYMLINK, name + KEEP + opaque(b"x")) == (ROFS, bytes(8))
        file = rpc.handle("files/org/tiny/config.json")
        there = opaque(rpc.handle("files/org/tiny")) + opaque(b"config.json")
        assert rpc.nfs(WRITE, opaque(file) + struct.pack(">QII", 0, 1, 2) + opaque(b"x")) == (ROFS, bytes(8))
        assert rpc.nfs(SETATTR, opaque(file) + KEEP + bytes(4)) == rpc.nfs(REMOVE, there) == (ROFS, bytes(8))
        assert rpc.nfs(CREATE, there + struct.pack(">I", 0) + struct.pack(">IIIIQII", 0, 0, 0, 1, 0, 0, 0))[0] == ROFS
        assert rpc.nfs(CREATE, there + struct.pack(">I", 1) + KEEP)[0] == EXIST
        assert rpc.nfs(RENAME, there + there) == (ROFS, bytes(16))
        assert rpc.read(file, 0, 100)[1] == FILES["config.json"]


def make(rpc, directory, name, data=b"", how=1):
    """CREATE and WRITE: the handle."""
    status, rest = rpc.nfs(CREATE, opaque(directory) + opaque(name) + struct.pack(">I", how) + (KEEP if how < 2 else b"verifier"))
    assert status == OK, status
    handle = rest[8:8 + struct.unpack_from(">I", rest, 4)[0]]
    status, rest = rpc.nfs(WRITE, opaque(handle) + struct.pack(">QII", 0, len(data), 0) + opaque(data))
    at = 8 + (ATTR.size if struct.unpack_from(">I", rest, 4)[0] else 0)
    assert status == OK and struct.unpack_from(">II", rest, at) == (len(data), 2)
    return handle


def test_metadata_is_written_as_on_the_mount(tiny, mount):
    m = mount(tiny, args=[EXPORT])
    with Rpc(m, sys_cred(1000, 100)) as rpc:
        locks = rpc.handle("hub/.locks")
        status, _ = rpc.nfs(MKDIR, opaque(locks) + opaque(b"models--org--tiny") + KEEP)
        assert status == EXIST
        mine = rpc.lookup(locks, "models--org--tiny")[1]
        lock = make(rpc, mine, b"a.lock", b"hello")
        assert rpc.read(lock, 0, 10) == (OK, b"hello", True)
        assert read(m.hub / ".locks/models--org--tiny/a.lock") == b"hello"
        assert stat(m.hub / ".locks/models--org--tiny/a.lock").st_uid == 1000
        write(m.hub / ".locks/models--org--tiny/b.lock", b"from the mount")
        assert rpc.names(mine) and set(rpc.names(mine)) == {"a.lock", "b.lock"}
        assert rpc.read(rpc.lookup(mine, "b.lock")[1], 0, 100)[1] == b"from the mount"
        assert rpc.nfs(SETATTR, opaque(lock) + struct.pack(">IIIIQIII", 0, 0, 0, 1, 2, 0, 0, 0))[0] == OK
        assert rpc.getattr(lock)[1][5] == 2
        assert rpc.nfs(LINK, opaque(lock) + opaque(mine) + opaque(b"c.lock"))[0] == OK
        assert rpc.nfs(LINK, opaque(lock) + opaque(mine) + opaque(b"b.lock"))[0] == EXIST
        assert rpc.nfs(RENAME, opaque(mine) + opaque(b"a.lock") + opaque(mine) + opaque(b"b.lock"))[0] == OK
        assert read(m.hub / ".locks/models--org--tiny/b.lock") == b"he"
        assert rpc.nfs(RENAME, opaque(mine) + opaque(b"a.lock") + opaque(mine) + opaque(b"b.lock"))[0] == NOENT
        for name in (b"b.lock", b"c.lock"):
            assert rpc.nfs(REMOVE, opaque(mine) + opaque(name))[0] == OK
            assert rpc.nfs(REMOVE, opaque(mine) + opaque(name))[0] == NOENT
        assert rpc.getattr(lock)[0] == STALE and rpc.names(mine) == []
        assert rpc.nfs(SYMLINK, opaque(mine) + opaque(b"l") + KEEP + opaque(b"..x/y.."))[0] == OK
        assert readlink(m.hub / ".locks/models--org--tiny/l") == "..x/y.."
        for target in (b"/etc/passwd", b"../x", b"..", b"a/../../x", b"a/.."):
            assert rpc.nfs(SYMLINK, opaque(mine) + opaque(b"m") + KEEP + opaque(target))[0] == ACCES, target
        assert rpc.names(mine) == ["l"]


def test_a_file_is_made_once_however_often_that_is_asked(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        hub = rpc.handle("hub")
        one = make(rpc, hub, b"x", how=2)
        assert make(rpc, hub, b"x", how=2) == one == make(rpc, hub, b"x", b"data", how=0)
        assert rpc.nfs(CREATE, opaque(hub) + opaque(b"x") + struct.pack(">I", 1) + KEEP)[0] == EXIST
        assert rpc.nfs(CREATE, opaque(hub) + opaque(b"x") + struct.pack(">I", 2) + b"another.")[0] == EXIST
        assert rpc.read(one, 0, 10)[1] == b"data"


def test_what_is_written_over_a_shown_ref_is_dropped(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        refs = rpc.handle("hub/models--org--tiny/refs")
        commit = rpc.read(rpc.lookup(refs, "main")[1], 0, 100)[1]
        assert make(rpc, refs, b"main", b"0" * 40, how=0) == rpc.lookup(refs, "main")[1]
        make(rpc, refs, b"tmp", b"1" * 40)
        assert rpc.nfs(RENAME, opaque(refs) + opaque(b"tmp") + opaque(refs) + opaque(b"main"))[0] == OK
        assert rpc.read(rpc.lookup(refs, "main")[1], 0, 100)[1] == commit
        assert rpc.lookup(refs, "tmp")[0] == NOENT
        assert rpc.nfs(REMOVE, opaque(refs) + opaque(b"main"))[0] == ROFS


def test_strict_ro_refuses_metadata_too(tiny, mount):
    m = export(mount, tiny, "--strict-ro")
    with Rpc(m) as rpc:
        hub, ref = rpc.handle("hub"), rpc.handle("hub/models--org--tiny/refs/main")
        assert rpc.nfs(CREATE, opaque(hub) + opaque(b"x") + struct.pack(">I", 0) + KEEP)[0] == ROFS
        assert rpc.nfs(WRITE, opaque(ref) + struct.pack(">QII", 0, 1, 2) + opaque(b"x"))[0] == ROFS


def test_whoever_one_says_to_be_a_token_on_the_mount_is_not_told(tiny, mount):
    m = mount(tiny, args=[EXPORT])
    write(m.root / "token", b"hf_secret")
    write(m.root / "open", b"for all")
    os.chmod(m.root / "token", 0o600)
    for cred in (sys_cred(0, 0), sys_cred(os.getuid(), os.getgid()), sys_cred(1234, 1234)):
        with Rpc(m, cred) as rpc:
            token = rpc.handle("token")
            assert rpc.read(token, 0, 100)[0] == ACCES
            assert rpc.nfs(SETATTR, opaque(token) + struct.pack(">II", 1, 0o666) + KEEP[4:] + bytes(4))[0] == ROFS
            assert rpc.nfs(REMOVE, opaque(rpc.handle()) + opaque(b"token"))[0] == ROFS
            assert rpc.read(rpc.handle("open"), 0, 100)[1] == b"for all"
    assert read(m.root / "token") == b"hf_secret"


def plus(rpc, directory):
    """READDIRPLUS of a small directory, as it comes."""
    status, rest = rpc.nfs(READDIRPLUS, opaque(directory) + bytes(16) + struct.pack(">II", 4096, 4096))
    return status, rest


def test_a_closed_directory_beside_the_hub_is_not_walked_through(tiny, mount):
    m = mount(tiny, args=[EXPORT])
    for name, mode in (("private", 0o700), ("listed", 0o744), ("open", 0o755)):
        (m.root / name / "data").mkdir(parents=True)
        os.chmod(m.root / name, mode)
    with Rpc(m) as rpc:
        private, listed, opened = (rpc.lookup(rpc.handle(), name)[1] for name in ("private", "listed", "open"))
        assert rpc.mnt("/private")[0] == rpc.mnt("/private/data")[0] == ACCES
        assert rpc.lookup(private, "data")[0] == plus(rpc, private)[0] == ACCES
        assert rpc.lookup(listed, "data")[0] == ACCES
        handle = rpc.lookup(opened, "data")[1]
        assert handle and opaque(handle) in plus(rpc, opened)[1]
        told = plus(rpc, listed)
        assert told[0] == OK and opaque(b"data") in told[1] and len(told[1]) < len(plus(rpc, opened)[1])
        assert rpc.mnt("/hub/.locks")[0] == OK


def test_any_directory_can_be_mounted_and_nothing_else(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        for path in ("/", "", "/hub", "/files/", "/files/org/tiny", "/files/org/tiny/sub/dir", "//files//org"):
            status, handle = rpc.mnt(path)
            assert status == OK and rpc.getattr(handle)[1][0] == 2
        assert rpc.mnt("/files/org/none/x")[0] == rpc.mnt("/files/org/tiny/none")[0] == NOENT
        assert rpc.mnt("/files/org/tiny/config.json")[0] == NOTDIR
        assert rpc.mnt("/" + "a" * 2000)[0] == 63
        assert rpc.mnt("/hub/../files")[0] == 22
        rpc.call(MOUNT, UMNT, opaque(b"/hub"))
        mounted = rpc.call(MOUNT, DUMP)
        assert b"/files/org/tiny" in mounted and b"/hub" not in mounted
        exports = rpc.call(MOUNT, EXPORTS)
        assert b"/hub" in exports and b"/files" in exports and b"127.0.0.0/8" in exports


def test_other_programs_versions_and_procedures_are_told_so(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        def refused(*args, **kw):
            with pytest.raises(Refused) as info:
                rpc.call(*args, **kw)
            return info.value.args
        assert refused((100021, 4), 0) == ("accepted", 1)
        assert refused((NFS[0], 4), 0) == ("accepted", 2, 3, 3)
        assert refused((MOUNT[0], 1), 0) == ("accepted", 2, 3, 3)
        assert refused(NFS, 22) == ("accepted", 3)
        assert refused(NFS, GETATTR, b"") == refused(NFS, GETATTR, struct.pack(">I", 65) + bytes(68)) == ("accepted", 4)
        assert refused(NFS, READ, opaque(rpc.handle()) + bytes(4)) == ("accepted", 4)
        assert refused(NFS, NULL, rpc=3) == ("denied", 0, 2, 2)
        assert refused(NFS, NULL, cred=struct.pack(">I", 6) + opaque(bytes(8))) == ("denied", 1, 5)
        assert refused(NFS, NULL, cred=struct.pack(">II", 1, 401) + bytes(404)) == ("denied", 1, 1)
        assert refused(PORTMAP, 3, struct.pack(">IIII", *NFS, 6, 0)) == ("accepted", 1)
        assert rpc.call(NFS, NULL) == b"" and rpc.call(NFS, NULL, cred=struct.pack(">II", 0, 0)) == b""


def test_a_portmapper_tells_the_port_if_asked_to(tiny, mount):
    m = export(mount, tiny, "--nfs-portmap")
    with Rpc(m) as rpc:
        where = lambda program, over=6: struct.unpack(">I", rpc.call(PORTMAP, 3, struct.pack(">IIII", *program, over, 0)))[0]
        assert where(NFS) == where(MOUNT) == port(m)
        assert where(NFS, over=17) == where((100021, 4)) == 0


def test_a_stream_that_makes_no_sense_is_closed_and_others_go_on(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as good:
        for garbage in (b"GET / HTTP/1.0\r\n\r\n" * 10, b"\xff" * 64, struct.pack(">I", 0x80000003) + b"abc",
                        struct.pack(">IIII", 0x8000000c, 1, 1, 1), b"\0\0\0\0" * 100):
            with Rpc(m) as bad:
                bad.socket.sendall(garbage)
                with pytest.raises((ConnectionError, OSError)):
                    bad.receive()
            assert good.call(NFS, NULL) == b""


def test_records_come_in_pieces_and_many_at_once(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as rpc:
        rpc.send(rpc.record(NFS, NULL), fragment=7)
        assert rpc.receive() == (rpc.xid, b"")
        file = rpc.handle("files/org/tiny/w.safetensors")
        first = rpc.xid + 1
        for n in range(200):
            rpc.send(rpc.record(NFS, READ, opaque(file) + struct.pack(">QI", n * 1000, 65536)))
        replies = dict(rpc.receive() for _ in range(200))
        for n in range(200):
            data = replies[first + n][4 + 4 + ATTR.size + 12:]
            assert data[:65536] == BIG[n * 1000:n * 1000 + 65536]


def test_a_client_that_takes_nothing_holds_nobody_up(tiny, mount):
    m = export(mount, tiny)
    with Rpc(m) as slow, Rpc(m) as other:
        file = slow.handle("files/org/tiny/w.safetensors")
        assert other.read(file, 0, 100)[1] == BIG[:100]
        sending = threading.Thread(target=lambda: [slow.send(slow.record(NFS, READ, opaque(file) + struct.pack(">QI", 0, 1 << 20)))
                                                   for _ in range(500)], daemon=True)
        sending.start()
        for n in range(50):
            assert other.read(file, n, 1 << 20)[1] == BIG[n:n + (1 << 20)]
        before = m.anonymous()
        assert before < 200 << 20
        for _ in range(500):
            assert len(slow.receive()[1]) > 1 << 20
        sending.join(DEADLINE)


def test_cold_reads_wait_without_holding_others_up(hub, mount):
    hub.repo("org/slow").commit({"w.safetensors": BIG, "config.json": b"{}"})
    m = export(mount, hub, timeout=10)
    with Rpc(m) as rpc:
        file, config = rpc.handle("files/org/slow/w.safetensors"), rpc.handle("files/org/slow/config.json")
        assert rpc.read(config, 0, 10)[1] == b"{}"
        for n in range(4):
            rpc.send(rpc.record(NFS, READ, opaque(file) + struct.pack(">QI", n << 20, 1 << 20)))
        rpc.send(rpc.record(NFS, GETATTR, opaque(config)))
        got = [rpc.receive()[0] for _ in range(5)]
        assert sorted(got) == list(range(rpc.xid - 4, rpc.xid + 1))


def test_who_reads_on_is_read_ahead_for_as_on_the_mount(hub, mount):
    large = models.big_file(60_000_000, seed=10)
    hub.repo("org/large").commit({"w.safetensors": large})
    cached = lambda m: stat(m.cached(hashlib.sha256(large).hexdigest())).st_blocks * 512

    def after(read_at, offsets):
        m, settled = mount(hub, args=[EXPORT], passthrough=False), []
        with read_at(m) as at:
            for offset in offsets:
                assert at(offset, 1 << 20) == large[offset:offset + (1 << 20)]
            assert eventually(lambda: settled.append(cached(m)) or settled[-5:] == settled[-1:] * 5, every=0.3)
        return settled[-1]

    @contextlib.contextmanager
    def by_nfs(m):
        with Rpc(m) as rpc:
            file = rpc.handle("files/org/large/w.safetensors")
            yield lambda offset, count: rpc.read(file, offset, count)[1]

    @contextlib.contextmanager
    def by_mount(m):
        with open(m.file("org/large", "w.safetensors"), "rb", buffering=0) as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)     # the kernel reads nothing ahead by itself
            yield lambda offset, count: os.pread(f.fileno(), count, offset)

    on, jumps = [n << 20 for n in range(4)], [n << 20 for n in (0, 40, 20, 50)]
    assert after(by_nfs, on) == after(by_mount, on) > 8 << 20
    assert after(by_nfs, jumps) == after(by_mount, jumps)


def test_a_slow_request_is_told_with_what_it_is_about(hub, mount):
    hub.repo("org/slow").commit({"w.safetensors": BIG})
    m = export(mount, hub, "--slow-op=1", timeout=5)
    with Rpc(m) as rpc:
        file = rpc.handle("files/org/slow/w.safetensors")
        hub.down()
        assert rpc.read(file, 0, 10)[0] == 5
        assert m.wait_log("slow.*op=nfs-read client=127.0.0.1 repo=models/org/slow commit=[0-9a-f]{12} path=w.safetensors")


def test_who_waits_for_a_whole_digest_waits_as_long_as_bytes_come(hub, mount):
    hub.repo("org/slow").commit({"w.safetensors": BIG})
    m = export(mount, hub, "--verify=strict", "--prefetch=no", timeout=2)
    with Rpc(m) as rpc:
        file = rpc.handle("files/org/slow/w.safetensors")
        hub.rate(len(BIG) // 7)
        assert rpc.read(file, 0, 1000)[1] == BIG[:1000]
    assert Control(m).metrics().value("wedged_waits_total") == 0


def test_who_is_in_no_network_is_sent_away(tiny, mount):
    m = export(mount, tiny, "--nfs-allow=192.0.2.0/24")
    with pytest.raises((ConnectionError, OSError)):
        with Rpc(m) as rpc:
            rpc.call(NFS, NULL)
    assert m.wait_log("none of the networks of --nfs-allow address=127.0.0.1")
    twin = export(mount, tiny, "--nfs-allow=192.0.2.0/24", "--nfs-allow=127.0.0.1")
    with Rpc(twin) as rpc:
        assert rpc.call(NFS, NULL) == b""


def test_a_ref_that_moves_is_another_file(hub, mount):
    repo = hub.repo("org/tiny")
    one = repo.commit({"config.json": b"{}"})
    m = export(mount, hub, "--ref-ttl=0")
    with Rpc(m) as rpc:
        ref = rpc.handle("hub/models--org--tiny/refs/main")
        before = rpc.getattr(ref)[1]
        assert rpc.read(ref, 0, 100)[1].decode() == one and rpc.getattr(ref)[1] == before
        two = repo.commit({"config.json": b"[]"})
        assert eventually(lambda: rpc.read(ref, 0, 100)[1].decode() == two, 20)
        after = rpc.getattr(ref)[1]
        assert after[9] == before[9] and after[12:14] != before[12:14]


def test_reading_goes_on_when_the_server_is_back(tiny, mount):
    m = export(mount, tiny)
    where = port(m)
    with Rpc(m) as rpc:
        file = rpc.handle("files/org/tiny/w.safetensors")
        assert rpc.read(file, 0, 1 << 20)[1] == BIG[:1 << 20]
        m.stop()
        with pytest.raises((ConnectionError, OSError)):
            rpc.read(file, 1 << 20, 1 << 20)
    again = mount(tiny, args=[f"--nfs=127.0.0.1:{where}"], mounted=False, cache=m.cache)
    with Rpc(again) as rpc:
        assert rpc.read(file, 1 << 20, 1 << 20)[1] == BIG[1 << 20:2 << 20]
