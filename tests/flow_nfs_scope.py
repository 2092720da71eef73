"""Which repositories who may have by NFS (--nfs-export): at every door, and what is on record of it; and nodes that take each other's place."""
import os
import re
import secrets

import pytest

import models
from control import Control
from flow_ctl_node import ask
from mountlib import eventually, write
from nfs_wire import ACCES, BAD_COOKIE, BADHANDLE, LNK, MOUNT, NOENT, NOTDIR, OK, ROFS, STALE, fh, opaque, sattr, u32, u64

BIG = models.big_file(3_000_000, seed=17)
FILES = {"config.json": b'{"model_type": "bert"}', "w.safetensors": BIG, "sub/deep.json": b"{}"}
FEW, ALL, NOBODY = "127.0.0.2", "127.0.0.3", "127.0.0.4"
RULES = [f"--nfs-export={FEW}=org/pub,datasets/org/*", f"--nfs-export={ALL}/32=*"]
REPOS = ("org/pub", "org/secret")


@pytest.fixture
def two(hub):
    for name in REPOS:
        hub.repo(name).commit(FILES)
    hub.repo("org/data", "dataset").commit({"data.csv": b"1,2"})
    hub.repo("other/model").commit(FILES)
    return hub


def folder(name, kind="models"):
    return f"{kind}--{name.replace('/', '--')}"


def tree(nfs, name):
    """A handle of each kind that a repository has, by what it is called."""
    base = ("hub", folder(name))
    commit = nfs.content(nfs.walk(*base, "refs", "main")).decode()
    ways = [base, (*base, "blobs"), (*base, "refs"), (*base, "refs", "main"), (*base, "snapshots"), (*base, "snapshots", commit),
            (*base, "snapshots", commit, "config.json"), (*base, "snapshots", commit, "sub"), (*base, "trees"), (*base, "trees", f"{commit}.json"),
            (*base, ".no_exist"), (*base, ".no_exist", commit), (*base, ".no_exist", commit, "model.safetensors"),
            ("files", *name.split("/")), ("files", *name.split("/"), "sub"), ("files", *name.split("/"), "w.safetensors")]
    return {"/".join(way): nfs.walk(*way) for way in ways}


def listed(nfs, *names):
    there = nfs.walk(*names)
    plain, plus = ({e.name.decode() for e in nfs.list(there, plus=plus)} - {".", ".."} for plus in (False, True))
    assert plain == plus
    return plain


# ---- doors ----

def test_a_name_that_is_not_given_is_refused_whether_it_is_there_or_not(two, export):
    e = export(two, args=RULES)
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        for way, name in [(("hub",), folder("org/secret")), (("files", "org"), "secret"), (("files", "org"), "secret@main"),
                          (("hub",), folder("org/none")), (("files", "org"), "none"), (("hub", ".locks"), folder("org/secret"))]:
            assert few.lookup(few.walk(*way), name).status == ACCES, name
            assert few.mnt("/".join(("", *way, name))).status == ACCES
        assert few.mnt("/files/org/secret/sub").status == few.mnt(f"/hub/{folder('org/secret')}/blobs").status == ACCES
        assert not two.requests(path_re="secret|none")                  # nobody was asked
        assert few.mnt("/files/org/pub/sub").status == OK
        assert few.content(few.walk("files", "org", "pub", "w.safetensors")) == BIG
        assert few.content(few.walk("files", "datasets", "org", "data", "data.csv")) == b"1,2"
        assert few.lookup(few.walk("files", "datasets", "org"), "none").status == NOENT
        # Its twin sees all.
        assert all.mnt("/files/org/secret/sub").status == OK and all.mnt("/files/org/none").status == NOENT
        assert all.content(all.walk("files", "org", "secret", "w.safetensors")) == BIG
    assert e.wait_log("asked for what --nfs-export does not give it client=127.0.0.2")
    assert Control(e).metrics().value("nfs_denied_total") > 10


def test_only_what_is_given_is_listed(two, export):
    e = export(two, args=RULES)
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        for name in ("pub", "secret"):
            all.walk("files", "org", name)
            locks = all.walk("hub", ".locks", folder(f"org/{name}"))
            assert listed(all, "hub", ".locks") == ({folder("org/pub")} if name == "secret" else set())
            assert all.nfs("create", fh(locks) + opaque("x.lock") + u32(0) + sattr(mode=0o666)).status == OK
        all.walk("files", "other", "model")
        assert listed(few, "hub") == {".locks", folder("org/pub")}
        assert listed(few, "hub", ".locks") == {folder("org/pub")}
        assert listed(few, "files") == {"org", "datasets", "spaces"} and listed(few, "files", "org") == {"pub"}
        assert listed(few, "files", "other") == set()
        assert listed(all, "hub") == {".locks", folder("org/pub"), folder("org/secret"), folder("other/model")}
        assert listed(all, "hub", ".locks") == {folder("org/pub"), folder("org/secret")}
        assert listed(all, "files") == {"org", "other", "datasets", "spaces"} and listed(all, "files", "org") == {"pub", "secret"}


def test_a_handle_that_another_client_was_given_is_stale(two, export):
    e = export(two, args=RULES)
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        for way, handle in tree(all, "org/secret").items():
            assert all.getattr(handle).status == OK
            for name, more in [("getattr", b""), ("access", u32(63)), ("fsstat", b""), ("fsinfo", b""), ("pathconf", b""), ("readlink", b""),
                               ("read", u64(0) + u32(100)), ("lookup", opaque("x")), ("lookup", opaque("..")),
                               ("readdir", u64(0) + bytes(8) + u32(4096)), ("readdirplus", u64(0) + bytes(8) + u32(4096, 4096)),
                               ("setattr", sattr() + u32(0)), ("remove", opaque("x")), ("commit", u64(0) + u32(0))]:
                assert few.nfs(name, fh(handle) + more).status == STALE, (way, name)
        for way, handle in tree(all, "org/pub").items():
            assert few.getattr(handle).status == OK, way
        assert e.alive()


def test_a_link_leads_to_blobs_of_its_own_repository_alone(two, export):
    e = export(two, args=RULES)
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        ours, theirs = (next(h for way, h in tree(all, name).items() if way.endswith("/config.json")) for name in REPOS)
        assert few.getattr(ours).attr.type == LNK and few.readlink(ours).status == OK
        assert few.readlink(theirs).status == STALE
        etag = few.readlink(ours).target.decode().rsplit("/", 1)[1]
        assert few.content(few.walk("hub", folder("org/pub"), "blobs", etag)) == FILES["config.json"]
        secret = all.walk("hub", folder("org/secret"), "blobs", etag)   # the same bytes, by a door that is not theirs
        assert all.content(secret) == FILES["config.json"] and few.read(secret).status == STALE


@pytest.mark.parametrize("rule, status", [("old/*", ACCES), ("org/new", OK)])
def test_a_repository_is_given_by_the_name_it_has_now(hub, export, rule, status):
    hub.repo("org/new").commit(FILES)
    hub.repo("old/name", renamed_to="org/new")
    e = export(hub, args=[f"--nfs-export={FEW}={rule}", f"--nfs-export={ALL}=*"])
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        assert few.lookup(few.walk("hub"), folder("old/name")).status == ACCES      # by this name as well, until it is known
        alias = all.walk("hub", folder("old/name"))
        assert all.getattr(alias).attr.type == LNK and all.mnt("/files/old/name").status == OK
        assert few.lookup(few.walk("hub"), folder("old/name")).status == status
        assert few.mnt("/files/old/name").status == status
        assert few.getattr(alias).status == (OK if status == OK else STALE)


def test_what_lies_beside_the_hub_is_of_no_repository(two, export):
    given = ["--nfs-beside-hub"]
    ruled, free = export(two, args=RULES + given, mounted=True), export(two, args=given, mounted=True)
    for e in ruled, free:
        write(e.root / "open", b"for all")
    with ruled.client(source=ALL) as all, free.client(source=ALL) as twin:
        assert all.lookup(all.mount(), "open").status == ACCES and listed(all) == {"hub", "files"}
        there = twin.walk("open")
        assert twin.content(there) == b"for all" and listed(twin) == {"hub", "files", "open"}


def test_what_was_written_for_a_repository_is_not_anybodys_either(two, export):
    e = export(two, args=RULES)
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        written = {}
        for way in [("hub", ".locks", folder("org/secret")), ("hub", folder("org/secret"), "refs"), ("hub", ".locks", folder("org/pub")), ("hub",)]:
            directory = all.walk(*way)
            made = all.nfs("create", fh(directory) + opaque("x") + u32(0) + sattr(mode=0o666))
            assert made.status == OK
            written[way] = directory, made.handle
        for way, (directory, file) in written.items():
            status = STALE if folder("org/secret") in way else OK
            assert few.getattr(directory).status == few.getattr(file).status == few.read(file).status == status, way
            assert few.nfs("remove", fh(directory) + opaque("none")).status in ((STALE,) if status else (NOENT, 30))
        # Nor is anything made there, or moved there.
        hub, locks, ours = few.walk("hub"), few.walk("hub", ".locks"), few.walk("hub", ".locks", folder("org/pub"))
        for directory in hub, locks:
            spot = fh(directory) + opaque(folder("org/secret"))
            assert few.nfs("mkdir", spot + sattr()).status == few.nfs("create", spot + u32(0) + sattr()).status == ACCES
            assert few.nfs("symlink", spot + sattr() + opaque("x")).status == ACCES
            assert few.nfs("rename", fh(hub) + opaque("x") + spot).status == few.nfs("rename", spot + fh(hub) + opaque("y")).status == ACCES
            assert few.nfs("rmdir", spot).status == ACCES
        # What was written for all of them stays below its name; what is a client's own does not.
        assert few.nfs("rename", fh(hub) + opaque(".locks") + fh(hub) + opaque("elsewhere")).status == ROFS
        for name in "org/secret", "org/none":
            assert all.nfs("rename", fh(locks) + opaque(folder(name)) + fh(hub) + opaque("elsewhere")).status == ROFS
            assert all.nfs("rmdir", fh(locks) + opaque(folder(name))).status == ROFS
        # Wherever somebody puts it who may see it: its name tells for what it was written.
        made = all.nfs("mkdir", fh(ours) + opaque(folder("org/secret")) + sattr())
        assert made.status == OK and all.getattr(made.handle).status == OK
        assert few.lookup(ours, folder("org/secret")).status == ACCES and few.getattr(made.handle).status == STALE
        assert few.nfs("mkdir", fh(ours) + opaque(folder("org/secret")) + sattr()).status == ACCES
        assert folder("org/secret") in listed(all, "hub", ".locks", folder("org/pub")) - listed(few, "hub", ".locks", folder("org/pub"))
        assert few.nfs("mkdir", fh(ours) + opaque("d") + sattr()).status == OK
        assert few.nfs("rename", fh(ours) + opaque("d") + fh(ours) + opaque("e")).status == OK
        assert all.getattr(written["hub", folder("org/secret"), "refs"][1]).status == OK


@pytest.mark.parametrize("way", [("hub", ".locks", folder("org/secret")), ("hub", folder("org/secret"), "refs")])
def test_what_was_written_for_a_repository_is_moved_and_linked_within_it_alone(two, export, way):
    e = export(two, args=RULES)
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        there = all.walk(*way)
        file = all.nfs("create", fh(there) + opaque("a") + u32(0) + sattr(mode=0o666)).handle
        deep = all.nfs("mkdir", fh(there) + opaque("d") + sattr(mode=0o777)).handle
        assert all.nfs("create", fh(deep) + opaque("b") + u32(0) + sattr(mode=0o666)).status == OK
        for to in ("hub",), ("hub", ".locks"), ("hub", ".locks", folder("org/pub")), ("hub", folder("org/pub"), "refs"):
            out = fh(all.walk(*to)) + opaque("out")
            for name in (fh(there) + opaque("a"), fh(there) + opaque("d"), fh(deep) + opaque("b")):
                assert all.nfs("rename", name + out).status == ROFS
            assert all.nfs("link", fh(file) + out).status == ROFS
            assert few.lookup(few.walk(*to), "out").status == NOENT
        assert few.getattr(file).status == few.getattr(deep).status == STALE
        # Within it, it goes where it is wanted, as the hub's clients do.
        assert all.nfs("rename", fh(there) + opaque("a") + fh(deep) + opaque("c")).status == OK
        assert all.nfs("link", fh(file) + fh(all.walk("hub", folder("org/secret"), "trees")) + opaque("x.tmp")).status == OK
        assert all.nfs("rename", fh(there) + opaque("d") + fh(all.walk("hub", ".locks", folder("org/secret"))) + opaque("e")).status == OK
        assert few.getattr(file).status == STALE and all.getattr(file).status == OK
        # And so does what was written for none of them.
        hub, locks = all.walk("hub"), all.walk("hub", ".locks")
        assert all.nfs("create", fh(hub) + opaque("free") + u32(0) + sattr(mode=0o666)).status == OK
        assert few.nfs("rename", fh(hub) + opaque("free") + fh(locks) + opaque("freed")).status == OK


@pytest.mark.parametrize("rule, status", [("old/*", ACCES), ("org/new", OK)])
def test_another_name_of_a_repository_is_mounted_as_that_one(hub, export, rule, status):
    hub.repo("org/new").commit(FILES)
    hub.repo("old/name", renamed_to="org/new")
    e = export(hub, args=[f"--nfs-export={FEW}={rule}", f"--nfs-export={ALL}=*"])
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        for old in folder("old/name"), folder("ORG/new"):
            assert all.getattr(all.walk("hub", old)).attr.type == LNK
            for below in "", "/refs":
                there = all.mnt(f"/hub/{old}{below}")
                assert there.status == OK and there.handle == all.mnt(f"/hub/{folder('org/new')}{below}").handle
                assert few.mnt(f"/hub/{old}{below}").status == status
        assert all.mnt(f"/hub/{folder('old/none')}").status == NOENT
        commit = all.content(all.walk("hub", folder("org/new"), "refs", "main")).decode()
        assert all.mnt(f"/hub/{folder('org/new')}/snapshots/{commit}/config.json").status == NOTDIR    # no other link is followed


def test_who_is_given_nothing_mounts_nothing(two, export):
    e = export(two, args=RULES)
    with e.client(source=NOBODY) as nobody, e.client(source=ALL) as all:
        assert all.mnt("/").status == OK
        assert [nobody.mnt(path).status for path in ("/", "/hub", "/files", "/files/org/pub")] == [ACCES] * 4
        for way in (), ("hub",), ("files",), ("files", "org"):
            assert nobody.getattr(all.walk(*way)).status == STALE
    with export(two).client(source=NOBODY) as twin:
        assert twin.mnt("/").status == OK


def lists(nfs):
    """What EXPORT and DUMP tell."""
    exports = nfs.ask(MOUNT, 3, 5).body
    groups = dict(exports.list(lambda: (exports.opaque(1024), exports.list(lambda: exports.opaque(255)))))
    mounts = nfs.ask(MOUNT, 3, 2).body
    return groups, mounts.list(lambda: (mounts.opaque(255).decode(), mounts.opaque(1024).decode()))


def test_the_lists_of_mount_tell_the_truth(two, export):
    e = export(two, args=["--nfs-allow=127.0.0.0/24", "--nfs-allow=192.0.2.7", f"--nfs-export={FEW},192.0.2.0/24,10.0.0.0/8=org/pub",
                          "--nfs-export=127.0.0.3/32=*"])
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        few.mount("/files/org/pub")
        all.mount("/files/org/secret")
        groups, mounts = lists(few)
        assert set(groups) == {b"/", b"/hub", b"/files"}
        assert all_same(groups.values()) == [FEW.encode(), b"192.0.2.7", b"127.0.0.3/32"]
        assert mounts == [(FEW, "/files/org/pub")]
        assert set(lists(all)[1]) == {(ALL, "/files/org/secret")}
    twin = export(two)
    with twin.client(source=FEW) as few, twin.client(source=ALL) as all:
        few.mount("/files/org/pub")
        all.mount("")
        groups, mounts = lists(few)
        assert all_same(groups.values()) == [b"127.0.0.0/8", b"::1"] and set(mounts) == {(FEW, "/files/org/pub"), (ALL, "/")}


def all_same(values):
    first, *rest = values
    assert all(value == first for value in rest)
    return first


@pytest.mark.parametrize("rule", ["org/*", "10.0.0.0/8", "=org/*", "10.0.0.0/8=", "10.0.0.0/33=org/*", "10.0.0.0/8,=org/*", "10.0.0.0/8=org/*,",
                                  "10.0.0.0/8=/x", "10.0.0.0/8=a/b/c", "10.0.0.0/8=org/x:*.gguf", "10.0.0.0/8=org x",
                                  "", "10.0.0.1/8=org/*", "127.0.0.0/8=org/*,10.7.0.1=lab/*", "10.0.0.0/8=!x", "10.0.0.0/8=[a"])
def test_a_rule_that_is_none_is_refused(tmp_path, export, rule):
    with pytest.raises(AssertionError, match="nfs-export.* is not valid"):
        export(args=[f"--nfs-export={rule}"])


# ---- what is on record ----

def test_who_read_what_is_on_record(two, export):
    e = export(two, args=RULES)
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        few.mount("/files")
        file = few.walk("files", "org", "pub", "w.safetensors")
        for offset in 0, 1 << 20, 0:
            assert few.read(file, offset, 1 << 20).status == OK
        assert all.content(all.walk("files", "org", "secret", "sub", "deep.json")) == b"{}"
        def bytes_of(address):
            return next(c["bytes"] for c in Control(e).get("/v1/nfs")["clients"] if c["address"] == address)
        assert eventually(lambda: bytes_of(FEW) == 3 << 20 and bytes_of(ALL) == 2, 5)      # it is counted when it was sent
        clients = {c["address"]: c for c in Control(e).get("/v1/nfs")["clients"]}
        assert set(clients) == {FEW, ALL}
        assert clients[FEW]["bytes"] == 3 << 20 and clients[ALL]["bytes"] == 2
        assert set(clients[FEW]["mounts"]) == {"/", "/files"}
        assert clients[FEW]["connections"] == 1 and clients[FEW]["requests"] >= 5
        assert clients[FEW]["since"] <= clients[FEW]["last_request"]
        metrics = Control(e).metrics()
        assert metrics.value("nfs_read_bytes_total") == (3 << 20) + 2 and metrics.value("nfs_hosts") == metrics.value("nfs_clients") == 2
        status, out, err = ask(e, "nfs")
        assert status == 0 and FEW in out and "3.00 MiB" in out and not err
    assert eventually(lambda: Control(e).metrics().value("nfs_hosts") == 0, 10)
    assert {c["connections"] for c in Control(e).get("/v1/nfs")["clients"]} == {0}
    e.stop()
    lines = [line for line in e.log if "read by NFS" in line]
    assert len(lines) == 2
    big, = (line for line in lines if f"client={FEW}" in line)
    assert re.search(r"bytes=3145728 reads=3 seconds=\S+ etag=\w{64} repo=models/org/pub commit=\w{12} path=w.safetensors", big)
    small, = (line for line in lines if f"client={ALL}" in line)
    assert re.search(r"bytes=2 reads=1 .* repo=models/org/secret .* path=sub/deep.json", small)


def test_who_does_much_does_not_hide_what_another_does(two, export):
    """Neither what he has mounted, by as many names as there are, nor what he asked for that is not given."""
    e = export(two, args=[f"--nfs-export={FEW}=org/pub", f"--nfs-export={ALL}=org/pub"])
    with e.client(source=FEW) as few, e.client(source=ALL) as all:
        for n in range(1100):
            assert few.mnt("/" * (n % 900 + 1) + "hub" + "/." * (n // 900)).status == OK
        for n in range(40):
            assert few.mnt(f"/hub/.locks/{folder('org/pub')}").status == OK
            assert few.mnt(f"/files/org/secret{n}").status == ACCES
        assert all.mnt("/files/org/pub").status == OK
        clients = {c["address"]: c["mounts"] for c in Control(e).get("/v1/nfs")["clients"]}
        assert clients == {FEW: [f"/hub/.locks/{folder('org/pub')}", "/hub"], ALL: ["/files/org/pub"]}
        assert e.wait_log(f"mounted by NFS client={ALL} path=/files/org/pub")       # though another had its line just now
        assert all.mnt("/files/org/secret").status == ACCES
        assert e.wait_log(f"what --nfs-export does not give it client={ALL} ")
        assert len([line for line in e.log if f"mounted by NFS client={FEW}" in line]) < 5
        few.ask(MOUNT, 3, 3, opaque("hub//"))        # UMNT
        clients = {c["address"]: c["mounts"] for c in Control(e).get("/v1/nfs")["clients"]}
        assert clients == {FEW: [f"/hub/.locks/{folder('org/pub')}"], ALL: ["/files/org/pub"]}


def test_a_file_is_on_record_soon_after_it_was_read(two, export):
    e = export(two)
    with e.client() as nfs:
        nfs.content(nfs.walk("files", "org", "pub", "config.json"))
        assert not e.logged("read by NFS")
        assert e.wait_log("read by NFS client=127.0.0.1 .*path=config.json", seconds=25)


def test_without_an_export_nobody_is_on_record(two, mount):
    m = mount(two)
    assert Control(m).refused("GET", "/v1/nfs") == (404, "no_nfs")
    status, out, err = ask(m, "nfs")
    assert (status, out) == (1, "") and "exports nothing" in err


# ---- nodes that take each other's place ----

def key_file(tmp_path, *lines):
    path = tmp_path / f"key-{secrets.token_hex(4)}"
    path.write_text("".join(f"{line}\n" for line in lines))
    os.chmod(path, 0o600)
    return path


def moved(export, hub, one, **kw):
    """The address of an export moves to another node, with a cache of its own."""
    one.kill()
    return export(hub, port=one.port, **kw)


def test_an_address_moves_to_another_node_and_its_clients_go_on(two, export, tmp_path):
    args = [f"--nfs-key-file={key_file(tmp_path, 'a key of many bytes, 32 or more')}"]
    one = export(two, args=args)
    with one.client() as nfs:
        handles = {name: tree(nfs, name) for name in REPOS}
        before = {way: nfs.getattr(handle).attr for way, handle in handles["org/pub"].items()}
        assert nfs.read(handles["org/pub"]["files/org/pub/w.safetensors"], 0, 1 << 20).data == BIG[:1 << 20]
    two_ = moved(export, two, one, args=args)
    file = handles["org/pub"]["files/org/pub/w.safetensors"]
    with two_.client() as nfs:
        # It has heard of neither: until somebody names one, its handles are stale, and never anything else.
        assert nfs.read(file).status == STALE
        assert nfs.mnt("/files/org/pub").status == OK
        for way, handle in handles["org/pub"].items():
            now = nfs.getattr(handle)
            assert now.status == OK and (now.attr.type, now.attr.size, now.attr.fileid) == \
                (before[way].type, before[way].size, before[way].fileid), way
        assert nfs.read(file, 1 << 20, 1 << 20).data == BIG[1 << 20:2 << 20]
        assert nfs.walk("files", "org", "pub", "w.safetensors") == file
        assert nfs.getattr(handles["org/secret"]["files/org/secret"]).status == STALE


@pytest.mark.parametrize("same", [True, False])
def test_a_listing_goes_on_at_the_other_node(two, export, tmp_path, same):
    """A cookie is of the key, too: of another one it is refused, not taken for another place."""
    paths = [key_file(tmp_path, "a key of many bytes, 32 or more")] * 2 if same else \
        [key_file(tmp_path, f"key number {n} of many bytes, 32 or more") for n in range(2)]
    one, other = (export(two, args=[f"--nfs-key-file={path}"]) for path in paths)
    with one.client() as nfs, other.client() as there:
        for client in nfs, there:
            for name in (*REPOS, "other/model"):
                client.walk("files", *name.split("/"))
        whole = nfs.readdir(nfs.walk("hub"))
        for n, entry in enumerate(whole.entries):
            answer = there.readdir(there.walk("hub"), entry.cookie, whole.verifier)
            assert answer.status == (OK if same else BAD_COOKIE)
            assert not same or [e.name for e in answer.entries] == [e.name for e in whole.entries[n + 1:]]
        assert len(whole.entries) == 6
        assert nfs.readdir(nfs.walk("hub"), whole.entries[3].cookie, whole.verifier).entries == whole.entries[4:]


@pytest.mark.parametrize("content", [None, b"short", bytes(33)])
def test_a_key_that_is_none_is_made_anew_and_that_is_said(two, export, content):
    """The twin: a cache has had none yet."""
    e = export(two)
    with e.client() as nfs:
        file = nfs.walk("files", "org", "pub", "config.json")
    e.stop()
    key = e.cache / "nfs.key"
    key.unlink()
    if content is not None:
        key.write_bytes(content)
    e = export(two, cache=e.cache, port=e.port)
    with e.client() as nfs:
        assert nfs.getattr(file).status == BADHANDLE and nfs.content(nfs.walk("files", "org", "pub", "config.json"))
    assert bool(e.logged("key of NFS file handles has not 32 bytes")) == (content is not None)
    assert key.stat().st_size == 32


def test_a_node_that_has_pulled_it_takes_over_at_once(two, export, tmp_path):
    args = [f"--nfs-key-file={key_file(tmp_path, 'a key of many bytes, 32 or more')}"]
    one, other = export(two, args=args), export(two, args=args)
    status, _, err = ask(other, "pull", "org/pub")
    assert status == 0, err
    with one.client() as nfs, other.client() as there:
        file = nfs.walk("files", "org", "pub", "w.safetensors")
        assert there.content(file) == BIG


def test_without_a_key_file_the_handles_of_another_node_are_nobodys(two, export):
    one = export(two)
    with one.client() as nfs:
        file = nfs.walk("files", "org", "pub", "w.safetensors")
    with moved(export, two, one).client() as nfs:
        assert nfs.mnt("/files/org/pub").status == OK
        assert nfs.getattr(file).status == BADHANDLE


@pytest.mark.parametrize("lines, status", [(("the new key, 16 bytes or more", "the old key, 16 bytes or more"), OK),
                                           (("the new key, 16 bytes or more",), BADHANDLE)])
def test_a_key_changes_while_handles_of_the_old_one_are_about(two, export, tmp_path, lines, status):
    one = export(two, args=[f"--nfs-key-file={key_file(tmp_path, 'the old key, 16 bytes or more')}"])
    with one.client() as nfs:
        old = nfs.walk("files", "org", "pub", "w.safetensors")
    one.kill()
    next_ = export(two, cache=one.cache, args=[f"--nfs-key-file={key_file(tmp_path, *lines)}"])
    with next_.client() as nfs:
        assert nfs.getattr(old).status == status
        new = nfs.walk("files", "org", "pub", "w.safetensors")
        assert new != old and nfs.content(new) == BIG
        assert status or nfs.content(old) == BIG


def test_a_key_that_others_may_read_is_refused(two, export, tmp_path):
    path = key_file(tmp_path, "a key of many bytes, 32 or more")
    os.chmod(path, 0o644)
    with pytest.raises(AssertionError, match="is open to others"):
        export(two, args=[f"--nfs-key-file={path}"])


# ---- room ----

@pytest.mark.parametrize("place, kept", [(("hub", ".locks"), True), ((), False)])
def test_what_clients_fill_below_the_hub_leaves_what_lies_beside_it(two, export, place, kept):
    """The twin fills the room beside the hub, on the mount."""
    e = export(two, args=["--scratch-size=1MiB"], mounted=True)
    write(e.root / "token", b"hf_secret")
    os.makedirs(e.hub / ".locks" / folder("org/pub"), exist_ok=True)
    with e.client() as nfs:
        for n in range(40):
            if place:
                made = nfs.nfs("create", fh(nfs.walk(*place, folder("org/pub"))) + opaque(f"f{n}") + u32(0) + sattr(mode=0o666))
                sent = nfs.nfs("write", fh(made.handle) + u64(0) + u32(64 << 10, 2) + opaque(bytes(64 << 10)))
                assert sent.status == OK and sent.count == 64 << 10
            else:
                write(e.root / f"f{n}", bytes(64 << 10))
    assert (e.root / "token").exists() == kept
