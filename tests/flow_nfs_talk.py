"""The talk below NFS, as RFC 5531 writes it: programs, versions, credentials, record marks, many calls at once; and peers that misbehave."""
import contextlib
import random
import socket
import struct
import time

import pytest

import models
from hub import Hub
from mountlib import PROGRAM, eventually
from nfs_wire import (AUTH_ERROR, AUTH_NONE, AUTH_SYS, GARBAGE_ARGS, LAST, MOUNT, NFS, OK, PORTMAP, PROC_UNAVAIL, PROCEDURES,
                      PROG_MISMATCH, PROG_UNAVAIL, ROFS, RPC_MISMATCH, SUCCESS, Export, auth_sys, decode, fh, opaque, record, sattr, u32, u64)

MIB = 1 << 20
BIG = models.big_file(12 * MIB, seed=4)
SMALL = b'{"model_type": "bert"}'
REPO = ("files", "org", "tiny")
BAD_CREDENTIAL, BAD_VERIFIER, TOO_WEAK = 1, 3, 5        # auth_stat


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Hub() as hub:
        hub.repo("org/tiny").commit({"config.json": SMALL, "model.safetensors": BIG, "cold.safetensors": models.big_file(3 * MIB, seed=5)})
        with Export(tmp_path_factory.mktemp("talk"), hub, args=["--nfs-portmap"], timeout=30) as export:
            export.hub_there = hub
            yield export


@pytest.fixture
def nfs(served):
    with served.client() as client:
        yield client
    is_well(served)


def is_well(served):
    """It answers others at once, with right bytes."""
    begun = time.monotonic()
    with served.client(seconds=20) as other:
        assert other.content(other.walk(*REPO, "config.json")) == SMALL
    assert time.monotonic() - begun < 10 and served.alive()


def lives_on(nfs):
    assert nfs.mnt("/").status == OK


# ---- programs, versions, procedures ----

@pytest.mark.parametrize("flavor", [AUTH_NONE, AUTH_SYS])
def test_nothing_is_done_well(served, flavor):
    with served.client(flavor=flavor) as nfs:
        for program, version in ((NFS, 3), (MOUNT, 3), (PORTMAP, 2)):
            reply = nfs.ask(program, version, 0)
            assert (reply.accepted, reply.status, reply.verifier) == (True, SUCCESS, (AUTH_NONE, b""))
            reply.body.end()


@pytest.mark.parametrize("program", [0, 1, 100001, 100004, 100021, 100024, 100227, 0x40000000, 0xffffffff])
def test_programs_that_are_not_here(nfs, program):
    for version in 0, 3, 4:
        assert nfs.ask(program, version, 1, u32(1, 2, 3)).status == PROG_UNAVAIL
    lives_on(nfs)


@pytest.mark.parametrize("version", [0, 1, 2, 4, 5, 0xffffffff])
def test_versions_that_are_not_here(nfs, version):
    for program in (NFS, MOUNT):
        for procedure in 0, 1, 99:
            reply = nfs.ask(program, version, procedure, u32(1, 2, 3))
            assert (reply.status, reply.low, reply.high) == (PROG_MISMATCH, 3, 3)
    lives_on(nfs)


@pytest.mark.parametrize("program, version, procedures", [(NFS, 3, (22, 23, 1000, 0xffffffff)), (MOUNT, 3, (6, 7, 0xffffffff)),
                                                          (PORTMAP, 2, (6, 0xffffffff))])
def test_procedures_that_are_not_here(nfs, program, version, procedures):
    for procedure in procedures:
        assert nfs.ask(program, version, procedure, bytes(100)).status == PROC_UNAVAIL
    lives_on(nfs)


def test_the_portmapper_tells_this_port(nfs, served):
    port = lambda program, version, protocol: nfs.ask(PORTMAP, 2, 3, u32(program, version, protocol, 0)).body.u32()
    assert port(NFS, 3, 6) == port(MOUNT, 3, 6) == served.port
    assert port(NFS, 3, 17) == port(NFS, 4, 6) == port(100021, 4, 6) == port(0xffffffff, 0, 6) == 0
    listed = nfs.ask(PORTMAP, 2, 4).body
    shown = listed.list(lambda: (listed.u32(), listed.u32(), listed.u32(), listed.u32()))
    listed.end()
    assert {(NFS, 3, 6, served.port), (MOUNT, 3, 6, served.port)} <= set(shown)
    # Nobody puts anything in, or takes it out.
    for procedure in 1, 2:
        reply = nfs.ask(PORTMAP, 2, procedure, u32(NFS, 3, 6, 1))
        assert reply.status != SUCCESS or reply.body.u32() == 0
    assert port(NFS, 3, 6) == served.port


def test_without_its_option_there_is_no_portmapper(export, hub):
    with export(hub).client() as nfs:
        for procedure in 0, 3, 4:
            assert nfs.ask(PORTMAP, 2, procedure, u32(NFS, 3, 6, 0)).status == PROG_UNAVAIL
        assert nfs.ask(NFS, 3, 0).status == SUCCESS


# ---- arguments ----

ARGS = {"getattr": b"", "setattr": sattr(mode=1, size=1) + u32(0), "lookup": opaque("config.json"), "access": u32(1), "readlink": b"",
        "read": u64(0) + u32(10), "write": u64(0) + u32(4, 0) + opaque(b"data"), "create": opaque("x") + u32(0) + sattr(mode=1),
        "mkdir": opaque("x") + sattr(), "symlink": opaque("x") + sattr() + opaque("y"), "mknod": opaque("x") + u32(7) + sattr(),
        "remove": opaque("x"), "rmdir": opaque("x"), "rename": opaque("x") + bytes(0), "link": bytes(0),
        "readdir": u64(0) + bytes(8) + u32(4096), "readdirplus": u64(0) + bytes(8) + u32(4096, 4096), "fsstat": b"", "fsinfo": b"",
        "pathconf": b"", "commit": u64(0) + u32(0)}

NAMING = {"lookup", "create", "mkdir", "symlink", "remove", "rmdir", "rename", "link"}     # a name, or another handle, follows the first handle


def is_garbage(name, reply):
    """Pipes and devices are refused unread."""
    return reply.status == GARBAGE_ARGS or name == "mknod" and decode(name, reply.body).status == ROFS


@pytest.mark.parametrize("name", ARGS)
def test_arguments_cut_short_are_garbage(nfs, name):
    handle = nfs.walk(*REPO)
    whole = fh(handle) + ARGS[name]
    if name == "rename":
        whole += fh(handle) + opaque("y")
    if name == "link":
        whole += fh(handle) + opaque("y")
    number = PROCEDURES[name][0]
    reply = nfs.ask(NFS, 3, number, whole)
    assert reply.status == SUCCESS
    decode(name, reply.body)
    for length in range(len(whole)):
        reply = nfs.ask(NFS, 3, number, whole[:length])
        assert is_garbage(name, reply), length
    lives_on(nfs)


@pytest.mark.parametrize("length", [65, 1025, 1 << 20, 0x7fffffff, 0x80000000, 0xfffffffc, 0xfffffffd, 0xffffffff])
def test_lengths_that_lie_are_garbage(nfs, length):
    handle = nfs.walk(*REPO)
    for name, (number, *_) in PROCEDURES.items():
        assert is_garbage(name, nfs.ask(NFS, 3, number, u32(length) + bytes(64))), name
        reply = nfs.ask(NFS, 3, number, fh(handle) + u32(length) + bytes(60))
        assert name not in NAMING or reply.status == GARBAGE_ARGS, name
    for number in (1, 3):
        assert nfs.ask(MOUNT, 3, number, u32(length) + b"/" * 60).status == GARBAGE_ARGS
    lives_on(nfs)


def test_values_that_no_type_has_are_garbage(nfs):
    handle = nfs.walk(*REPO)
    for args, number in ((sattr().replace(u32(0), u32(2), 1) + u32(0), 2), (opaque("x") + u32(3) + sattr(), 8),
                         (sattr(times=3) + u32(0), 2), (sattr() + u32(7), 2)):
        assert nfs.ask(NFS, 3, number, fh(handle) + args).status == GARBAGE_ARGS
    lives_on(nfs)


def test_more_than_arguments_breaks_nothing(nfs):
    handle = nfs.walk(*REPO)
    for more in 1, 4, 1000:
        assert nfs.ask(NFS, 3, 1, fh(handle) + bytes(more)).status == SUCCESS
    for more in 5000, 100_000:
        assert nfs.ask(NFS, 3, 1, fh(handle) + bytes(more)).status == GARBAGE_ARGS
    lives_on(nfs)


def test_noise_for_arguments(nfs):
    rng = random.Random(5)
    for n in range(1500):
        args = rng.randbytes(rng.choice([0, 3, 4, 7, 8, 36, 40, 64, 100, 300]))
        nfs.send(record(nfs.message(rng.choice([NFS, NFS, MOUNT, PORTMAP]), 3, rng.randrange(24), args)))
        nfs.reply()
    lives_on(nfs)


# ---- the head of a call ----

@pytest.mark.parametrize("version", [0, 1, 3, 0xffffffff])
def test_another_version_of_rpc(nfs, version):
    reply = nfs.ask(NFS, 3, 0, rpc=version)
    assert (reply.accepted, reply.status, reply.low, reply.high) == (False, RPC_MISMATCH, 2, 2)
    lives_on(nfs)


@pytest.mark.parametrize("kind", [1, 2, 0xffffffff])
def test_what_is_no_call_ends_the_stream(nfs, kind):
    nfs.send(record(nfs.message(NFS, 3, 0, kind=kind)))
    assert nfs.is_closed()


@pytest.mark.parametrize("flavor", [2, 3, 4, 5, 6, 7, 390003, 0x7fffffff, 0xffffffff])
def test_flavours_nobody_knows(nfs, flavor):
    for body in b"", bytes(4), bytes(400):
        for program, version, procedure in ((NFS, 3, 0), (NFS, 3, 1), (MOUNT, 3, 1)):
            reply = nfs.ask(program, version, procedure, fh(bytes(32)), credential=u32(flavor) + opaque(body))
            assert (reply.accepted, reply.status, reply.why) == (False, AUTH_ERROR, TOO_WEAK)
    lives_on(nfs)


BAD_CREDENTIALS = {
    "cut short": auth_sys()[:-4], "empty": b"", "a long name of the machine": auth_sys(machine=b"m" * 256),
    "too many groups": auth_sys(gids=range(17)), "groups that are not there": u32(0) + opaque("m") + u32(0, 0, 16),
    "groups without number": u32(0) + opaque("m") + u32(0, 0, 0xffffffff), "a name without end": u32(0, 0xffffffff, 0, 0)}


@pytest.mark.parametrize("what", BAD_CREDENTIALS)
def test_credentials_that_are_none(nfs, what):
    reply = nfs.ask(NFS, 3, 0, credential=u32(AUTH_SYS) + opaque(BAD_CREDENTIALS[what]))
    assert (reply.accepted, reply.status, reply.why) == (False, AUTH_ERROR, BAD_CREDENTIAL)
    lives_on(nfs)


@pytest.mark.parametrize("length", [401, 404, 1000, 65536, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff])
@pytest.mark.parametrize("where, why", [("credential", BAD_CREDENTIAL), ("verifier", BAD_VERIFIER)], ids=["credential", "verifier"])
def test_credentials_of_absurd_length(nfs, length, where, why):
    for flavor in AUTH_NONE, AUTH_SYS:
        reply = nfs.ask(NFS, 3, 0, **{where: u32(flavor, length) + bytes(min(length, 1000))})
        assert (reply.accepted, reply.status, reply.why) == (False, AUTH_ERROR, why)
    lives_on(nfs)


@pytest.mark.parametrize("length", range(41))
def test_a_record_too_short_for_a_call(nfs, length):
    """What has an xid, a program and a procedure is one, and is denied; less is none, and ends the stream."""
    nfs.send(record(nfs.message(NFS, 3, 0, credential=u32(0, 0))[:length]))
    if length < 24:
        assert nfs.is_closed()
        return
    reply = nfs.reply()
    assert reply.status == SUCCESS if length == 40 else (reply.accepted, reply.why) == (False, BAD_CREDENTIAL if length < 32 else BAD_VERIFIER)
    lives_on(nfs)


# ---- record marks ----

@pytest.mark.parametrize("cuts", [(4,), (1,), (0,), (0, 0, 0), (1,) * 40, (0, 1, 0, 2, 0, 3), (39,), (40, 4)])
def test_a_call_in_fragments(nfs, cuts):
    handle = nfs.walk(*REPO)
    message = nfs.message(NFS, 3, 1, fh(handle))
    nfs.send(record(message, *cuts))
    assert decode("getattr", nfs.reply().body).status == OK
    lives_on(nfs)


def test_an_empty_last_fragment_ends_a_call(nfs):
    message = nfs.message(NFS, 3, 0)
    nfs.send(u32(len(message)) + message + u32(LAST))
    assert nfs.reply().status == SUCCESS
    lives_on(nfs)


def test_a_call_byte_by_byte_and_many_at_once(nfs):
    handle = nfs.walk(*REPO)
    for byte in record(nfs.message(NFS, 3, 1, fh(handle))):
        nfs.send(bytes([byte]))
    assert decode("getattr", nfs.reply().body).status == OK
    nfs.send(b"".join(record(nfs.message(NFS, 3, 1, fh(handle))) for _ in range(500)))
    assert all(decode("getattr", nfs.reply().body).status == OK for _ in range(500))


@pytest.mark.parametrize("mark", [0x7fffffff, 0xffffffff, LAST | 1 << 30, 64 * MIB, LAST | 64 * MIB])
def test_a_fragment_of_two_gigabytes_is_not_waited_for(served, mark):
    before = served.rss()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(served.client()) for _ in range(16)]
        for nfs in clients:
            with contextlib.suppress(ConnectionError):
                nfs.send(u32(mark) + bytes(4096))
        assert all(nfs.is_closed() for nfs in clients)
    assert served.rss() < before + 32 * MIB
    is_well(served)


def test_fragments_without_end_are_not_gathered(served):
    before = served.rss()
    with served.client(seconds=5) as nfs:
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(128):
                nfs.send((u32(1 << 16) + bytes(1 << 16)) * 16)
    assert served.rss() < before + 32 * MIB
    is_well(served)


def test_empty_fragments_without_end(served):
    with served.client(seconds=5) as nfs:
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(50):
                nfs.send(u32(0) * 65536)
                is_well(served)
        assert nfs.is_closed()
    is_well(served)


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
                                   b"\xff" * 4096], ids=["http", "ssh", "tls", "ones"])
def test_other_protocols_are_closed(served, noise):
    with served.client() as nfs:
        nfs.send(noise)
        assert nfs.is_closed()
    is_well(served)


def test_streams_of_noise(served):
    rng = random.Random(6)
    for _ in range(100):
        with served.client(seconds=5) as nfs, contextlib.suppress(ConnectionError):
            nfs.send(rng.randbytes(rng.randrange(1, 3000)))
    is_well(served)


# ---- many at once ----

def test_many_in_flight_and_each_has_its_own_answer(nfs):
    repo, big = nfs.walk(*REPO), nfs.walk(*REPO, "model.safetensors")
    assert nfs.content(big) == BIG
    rng, asked = random.Random(7), {}
    for _ in range(20):
        calls = []
        for _ in range(64):
            at = rng.randrange(len(BIG))
            message, due = rng.choice([
                (nfs.message(NFS, 3, 6, fh(big) + u64(at) + u32(30_000)), ("read", at)), (nfs.message(NFS, 3, 1, fh(big)), ("getattr", len(BIG))),
                (nfs.message(NFS, 3, 3, fh(repo) + opaque("config.json")), ("lookup", len(SMALL))), (nfs.message(MOUNT, 3, 0), ("null", 0))])
            asked[message[:4]] = due
            calls.append(record(message))
        nfs.send(b"".join(calls))
        for _ in calls:
            reply = nfs.reply()
            name, what = asked.pop(u32(reply.xid))
            answer = decode(name, reply.body) if name != "null" else None
            if name == "read":
                assert answer.data == BIG[what:what + 30_000]
            elif answer:
                assert answer.attr.size == what
    assert not asked
    # More than the server keeps for one client: the calls wait.
    offsets = {}
    for n in range(200):
        message = nfs.message(NFS, 3, 6, fh(big) + u64(n * 1000) + u32(65536))
        offsets[message[:4]] = n * 1000
        nfs.send(record(message))
    for _ in range(200):
        reply = nfs.reply()
        at = offsets.pop(u32(reply.xid))
        assert decode("read", reply.body).data == BIG[at:at + 65536]


def test_what_waits_for_the_hub_holds_nothing_up(served):
    hub = served.hub_there
    with served.client() as nfs:
        cold, repo = nfs.walk(*REPO, "cold.safetensors"), nfs.walk(*REPO)
        with hub.fault("GET .*/resolve/.*cold", "hang") as fault:
            waiting = [nfs.message(NFS, 3, 6, fh(cold) + u64(n * MIB) + u32(MIB)) for n in range(3)]
            nfs.send(b"".join(map(record, waiting)))
            quick = [nfs.message(NFS, 3, 1, fh(repo)) for _ in range(200)]
            begun = time.monotonic()
            nfs.send(b"".join(map(record, quick)))
            assert {nfs.reply().xid for _ in quick} == {struct.unpack(">I", m[:4])[0] for m in quick}
            assert time.monotonic() - begun < 10
            is_well(served)
            fault.release()
            want = models.big_file(3 * MIB, seed=5)
            for _ in waiting:
                reply = nfs.reply()
                n = [m[:4] for m in waiting].index(u32(reply.xid))
                assert decode("read", reply.body).data == want[n * MIB:(n + 1) * MIB]


def test_a_client_that_never_reads_holds_nothing_up(served):
    with served.client() as warm:
        big = warm.walk(*REPO, "model.safetensors")
        assert warm.content(big) == BIG
    before = served.anonymous()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            slow = stack.enter_context(served.client(buffer=4096, seconds=3))
            calls = b"".join(record(slow.message(NFS, 3, 6, fh(big) + u64(n % 11 * MIB) + u32(MIB))) for n in range(400))
            with contextlib.suppress(TimeoutError, ConnectionError):
                slow.send(calls)
        late = stack.enter_context(served.client())
        late.send(b"".join(record(late.message(NFS, 3, 6, fh(big) + u64(MIB) + u32(MIB))) for _ in range(100)))
        for _ in range(20):
            is_well(served)
        assert served.anonymous() < before + 24 * MIB
        # Who takes them after all has them all.
        assert all(decode("read", late.reply().body).data == BIG[MIB:2 * MIB] for _ in range(100))
    is_well(served)


@pytest.mark.parametrize("clients", [4, 24])
def test_what_all_clients_together_do_not_take_is_bounded(export, hub, clients):
    """What clients wrote is no file of the cache: a copy of it waits for each of them."""
    hub.repo("org/tiny").commit({"config.json": SMALL})
    e, lock = export(hub), random.Random(8).randbytes(MIB)
    with e.client() as nfs, contextlib.ExitStack() as stack:
        made = nfs.nfs("create", fh(nfs.walk("hub", ".locks")) + opaque("long") + u32(0) + sattr(mode=0o644)).handle
        for at in range(0, MIB, 65536):
            assert nfs.nfs("write", fh(made) + u64(at) + u32(65536, 2) + opaque(lock[at:at + 65536])).status == OK
        before = e.anonymous()
        slow = [stack.enter_context(e.client(buffer=4096, seconds=100)) for _ in range(clients)]
        for one in slow:
            one.send(b"".join(record(one.message(NFS, 3, 6, fh(made) + u64(0) + u32(MIB))) for _ in range(12)))
        assert eventually(lambda: e.anonymous() > before + (4 if clients == 4 else 40) * MIB, 20)
        time.sleep(1)
        grown = e.anonymous() - before
        assert 4 * MIB < grown < (64 + 24) * MIB or "san" in str(PROGRAM), grown >> 20     # a sanitizer's own memory is not ours
        assert nfs.content(made) == lock        # who holds nothing is served
        is_well(e)
        shorter = 0
        for one in slow:    # who is not slow any more: the last one's turn comes long before the server's patience ends
            one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
            for _ in range(12):
                answer = decode("read", one.reply().body)
                assert answer.count and lock.startswith(answer.data) and answer.eof == (answer.data == lock)
                shorter += not answer.eof
        assert bool(shorter) == (clients > 4)
        assert nfs.read(made, 0, MIB).data == lock


def test_one_address_has_its_share_of_the_connections(export, hub):
    hub.repo("org/tiny").commit({"config.json": SMALL})
    e = export(hub)
    with contextlib.ExitStack() as stack:
        all_ = [stack.enter_context(e.client(source="127.0.0.2")) for _ in range(256)]
        assert all(nfs.mnt("/").status == OK for nfs in all_)
        with e.client(source="127.0.0.2") as more:
            assert more.is_closed()
        with e.client(source="127.0.0.3") as other:
            assert other.mnt("/").status == OK
        assert eventually(lambda: e.logged("a client of NFS was sent away address=127.0.0.2"), 10)
        all_[7].socket.close()

        def comes():
            with e.client(source="127.0.0.2") as again, contextlib.suppress(ConnectionError):
                return again.mnt("/").status == OK
        assert eventually(comes, 10)


def test_clients_that_go_in_the_middle(served):
    with served.client() as warm:
        big = warm.walk(*REPO, "model.safetensors")
        assert warm.content(big) == BIG
    fds = served.fds()
    for n in range(60):
        with served.client() as nfs:
            nfs.send(b"".join(record(nfs.message(NFS, 3, 6, fh(big) + u64(k * MIB) + u32(MIB))) for k in range(8)))
            if n % 3 == 0:
                nfs.send(record(nfs.message(NFS, 3, 1, fh(big)))[:n])
            if n % 2:
                nfs.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    is_well(served)
    assert eventually(lambda: served.fds() <= fds + 2, 20), "connections are left"


def test_a_client_that_goes_while_it_waits_for_the_hub(export, hub):
    hub.repo("org/tiny").commit({"config.json": SMALL, "w.safetensors": BIG})
    e = export(hub)
    with hub.fault("GET .*/resolve/.*w.safe", "hang") as fault:
        for _ in range(10):
            with e.client() as nfs:
                handle = nfs.walk(*REPO, "w.safetensors")
                nfs.send(b"".join(record(nfs.message(NFS, 3, 6, fh(handle) + u64(k * MIB) + u32(MIB))) for k in range(8)))
        is_well(e)
        fault.release()
    is_well(e)
    with e.client() as nfs:
        assert nfs.content(nfs.walk(*REPO, "w.safetensors")) == BIG


@pytest.mark.parametrize("said", [b"", u32(LAST | 100), u32(LAST | 100) + bytes(50)], ids=["nothing", "a mark", "half a call"])
def test_connections_that_say_no_more_hold_nothing_up(served, said):
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(served.client()).send(said)
        is_well(served)


def test_it_ends_with_clients_there(export, hub):
    hub.repo("org/tiny").commit({"config.json": SMALL, "w.safetensors": BIG})
    e = export(hub)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(e.client()) for _ in range(20)]
        for nfs in clients:
            handle = nfs.walk(*REPO, "w.safetensors")
            nfs.send(record(nfs.message(NFS, 3, 6, fh(handle) + u64(0) + u32(MIB))))
        e.stop()
        assert all(nfs.is_closed() for nfs in clients)
