"""Who may read what by NFS, where anybody can say to be anybody: networks, and what is its owner's on the mount."""
import os
import socket

import pytest

from mountlib import read, write
from nfs_wire import ACCES, AUTH_NONE, AUTH_SYS, EXIST, NFS, NOENT, OK, ROFS, Client, auth_sys, fh, opaque, sattr, u32, u64

FILES = {"config.json": b'{"model_type": "bert"}'}
BESIDE = "--nfs-beside-hub"


def test_who_is_in_no_network_is_sent_away(tiny, export):
    e = export(tiny, args=["--nfs-allow=192.0.2.0/24"])
    with pytest.raises(OSError), e.client(seconds=20) as nfs:
        nfs.ask(NFS, 3, 0)
    assert e.wait_log("none of the networks of --nfs-allow address=127.0.0.1") and e.alive()
    twin = export(tiny, args=["--nfs-allow=192.0.2.0/24", "--nfs-allow=127.0.0.1"])
    with twin.client() as nfs:
        assert nfs.ask(NFS, 3, 0).accepted


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("allow, admitted", [([], {"127.0.0.1", "::1"}), (["::/0"], {"::1"}), (["0.0.0.0/0"], {"127.0.0.1"}),
                                             (["0.0.0.0/0", "::/0"], {"127.0.0.1", "::1"})], ids=["default", "new", "old", "both"])
def test_a_port_alone_is_for_both_kinds_of_address_and_a_network_for_one(tiny, export, allow, admitted):
    e = export(tiny, host="", args=[f"--nfs-allow={network}" for network in allow])
    for host in "127.0.0.1", "::1":
        if host in admitted:
            with Client(host, e.port) as nfs:
                assert nfs.content(nfs.walk("files", "org", "tiny", "config.json")) == FILES["config.json"]
            continue
        with pytest.raises(OSError), Client(host, e.port, seconds=20) as nfs:
            nfs.ask(NFS, 3, 0)
        assert e.wait_log(f"none of the networks of --nfs-allow address={host}")


@pytest.mark.parametrize("flavor, uid", [(AUTH_NONE, 0), (AUTH_SYS, 0), (AUTH_SYS, 1000), (AUTH_SYS, 65534)])
def test_everybody_may_read_weights(tiny, export, flavor, uid):
    with export(tiny).client(flavor=flavor, body=auth_sys(uid=uid, gid=uid, gids=range(16)) if flavor else None) as nfs:
        file = nfs.walk("files", "org", "tiny", "config.json")
        assert nfs.access(file).access == 1 and nfs.content(file) == FILES["config.json"]


def names(nfs, handle):
    return {entry.name.decode() for entry in nfs.list(handle)} - {".", ".."}


@pytest.mark.parametrize("args, seen", [([], set()), ([BESIDE], {"token", "modules"})], ids=["default", "given"])
def test_what_lies_beside_the_hub_is_told_only_where_that_is_wanted(tiny, export, args, seen):
    e = export(tiny, mounted=True, args=args)
    write(e.root / "token", b"hf_secret")
    (e.root / "modules").mkdir()
    with e.client() as nfs:
        root = nfs.mount()
        assert names(nfs, root) == {"hub", "files"} | seen
        for name in "token", "modules":
            assert nfs.lookup(root, name).status == (OK if name in seen else NOENT)
            assert seen or nfs.mnt(f"/{name}").status == NOENT
        # Nor does anybody make or take away anything there.
        for name in "token", "modules", "new":
            assert nfs.nfs("create", fh(root) + opaque(name) + u32(0) + sattr()).status == (EXIST if name in seen - {"token"} else ROFS)
            assert nfs.nfs("mkdir", fh(root) + opaque(name) + sattr()).status == (EXIST if name in seen else ROFS)
            assert nfs.nfs("remove", fh(root) + opaque(name)).status == ROFS
            assert nfs.nfs("rename", fh(root) + opaque(name) + fh(nfs.walk("hub")) + opaque("x")).status == ROFS
        made = nfs.nfs("create", fh(nfs.walk("hub")) + opaque("CACHEDIR.TAG") + u32(0) + sattr(mode=0o644))
        assert made.status == OK and nfs.nfs("write", fh(made.handle) + u64(0) + u32(1, 2) + opaque("x")).status == OK
    assert read(e.root / "token") == b"hf_secret" and read(e.hub / "CACHEDIR.TAG") == b"x"


def test_whoever_one_says_to_be_a_token_on_the_mount_is_not_told(tiny, export):
    e = export(tiny, mounted=True, args=[BESIDE])
    write(e.root / "token", b"hf_secret")
    write(e.root / "open", b"for all")
    os.chmod(e.root / "token", 0o600)
    for uid, gid in (0, 0), (os.getuid(), os.getgid()), (1234, 1234):
        with e.client(body=auth_sys(uid=uid, gid=gid)) as nfs:
            token = nfs.walk("token")
            assert nfs.read(token, 0, 100).status == ACCES
            assert nfs.nfs("setattr", fh(token) + sattr(mode=0o666) + u32(0)).status == ROFS
            assert nfs.nfs("remove", fh(nfs.mount()) + opaque("token")).status == ROFS
            assert nfs.content(nfs.walk("open")) == b"for all"
    assert read(e.root / "token") == b"hf_secret"


def test_a_closed_directory_beside_the_hub_is_not_walked_through(tiny, export):
    e = export(tiny, mounted=True, args=[BESIDE])
    for name, mode in (("private", 0o700), ("listed", 0o744), ("open", 0o755)):
        (e.root / name / "data").mkdir(parents=True)
        os.chmod(e.root / name, mode)
    with e.client() as nfs:
        private, listed, opened = (nfs.walk(name) for name in ("private", "listed", "open"))
        assert nfs.mnt("/private").status == nfs.mnt("/private/data").status == ACCES
        assert nfs.lookup(private, "data").status == nfs.readdirplus(private).status == ACCES
        assert nfs.lookup(listed, "data").status == ACCES
        # Nor does it tell by another door what is in there.
        for closed, status in (private, ROFS), (listed, ROFS), (opened, EXIST):
            assert nfs.nfs("mkdir", fh(closed) + opaque("data") + sattr()).status == status
            assert nfs.nfs("create", fh(closed) + opaque("data") + u32(1) + sattr()).status == status
            assert nfs.nfs("mkdir", fh(closed) + opaque("none") + sattr()).status == ROFS
        data = {entry.name: entry for entry in nfs.list(opened, plus=True)}[b"data"]
        assert data.handle == nfs.lookup(opened, "data").handle and data.attr
        data = {entry.name: entry for entry in nfs.list(listed, plus=True)}[b"data"]
        assert data.handle is None and data.attr is None
        assert nfs.mnt("/hub/.locks").status == OK
