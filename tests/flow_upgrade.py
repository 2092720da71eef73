"""The mount outlives its daemon: who reads meanwhile waits, and no more, when that is killed or replaced by a new version."""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

import mountlib
import models
from control import Control
from holding import Held, Manager, Reader, children
from mountlib import DEADLINE, daemons_of, eventually, fails, mounts_below, names, read, stat, within, write, xattr
from nfs_wire import Export, fh, opaque, sattr, u32

MIB = 1 << 20
DATA = models.big_file(12 * MIB + 77, seed=5)
SMALL = b'{"model_type": "bert"}'
FILES = {"config.json": SMALL, "sub/vocab.txt": b"words\n", "w.safetensors": DATA}
WAYS = ("murder", "upgrade")
UNLIMITED = pytest.mark.skipif(mountlib.PROGRAM.parent.name != "build", reason="a sanitizer has more addresses than that, and ends without")
ORIGINAL = mountlib.PROGRAM
# Reads a file again and again, by read() or from a mapping that is dropped and faulted in anew, until a file appears.
HASHER = """
import hashlib, mmap, os, sys
path, want, end, how = sys.argv[1:]
rounds = 0
while rounds < 2 or not os.path.exists(end):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    sha, off, size = hashlib.sha256(), 0, os.fstat(fd).st_size
    if how == "mmap":
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
            sha.update(m)
    else:
        while piece := os.pread(fd, 1 << 17, off):
            sha.update(piece)
            off += len(piece)
    os.close(fd)
    assert sha.hexdigest() == want, f"round {rounds}: wrong bytes"
    os.listdir(os.path.dirname(path))
    rounds += 1
print(rounds)
"""


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def held(mount, tiny):
    """held(…): a mount with a holder."""
    return lambda *args, **kw: mount(tiny, kind=Held, args=args, timeout=10, **kw)


def weights(m):
    return m.file("org/tiny", "w.safetensors")


def complete(m):
    assert read(weights(m)) == DATA
    assert eventually(lambda: xattr(weights(m), "user.matrixfs.sealed") == "1", DEADLINE)


def change(m, how):
    return getattr(m, how)()


def named(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


# ---- readers ----

def hashers(paths, tmp_path):
    return [subprocess.Popen([sys.executable, "-c", HASHER, str(path), want, str(tmp_path / "end"), ("read", "mmap")[n % 2]],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for n, (path, want) in enumerate(paths)]


@contextlib.contextmanager
def hashing(paths, tmp_path):
    """They hash all the while, and none of them sees an error or a wrong byte."""
    running = hashers(paths, tmp_path)
    try:
        yield
        (tmp_path / "end").touch()
        for process in running:
            out, error = within(DEADLINE, process.communicate)
            assert process.returncode == 0 and int(out) >= 2, error
    finally:
        for process in running:
            process.kill()
            process.wait(DEADLINE)


def hash_across(m, hub, tmp_path, rounds, readers=8, ways=("upgrade",), before=lambda: None):
    """Readers hash files of which some are complete, some come meanwhile: pauses in seconds."""
    files = {f"part-{n}.safetensors": models.big_file(3 * MIB + n, seed=n) for n in range(readers)}
    hub.repo("org/many").commit(files)
    complete(m)
    for n in range(readers // 2):
        read(m.file("org/many", f"part-{n}.safetensors"))
    pauses = []
    with hashing([(m.file("org/many", name), sha(data)) for name, data in files.items()], tmp_path):
        for n in range(rounds):
            time.sleep(0.2)
            before()
            pauses.append(change(m, ways[n % len(ways)]))
    return pauses


def test_eight_readers_across_upgrades_and_deaths(held, hub, tmp_path):
    """The short form of long_upgrade.py."""
    m = held()
    hash_across(m, hub, tmp_path, 5, ways=WAYS)
    assert m.count("took over") == 5 and m.count("handing over") == 2
    m.stop()


def test_the_twin_without_a_holder_fails(hub, tiny, mount, tmp_path):
    m = mount(tiny, passthrough=False)
    complete(m)
    reader, = hashers([(weights(m), sha(DATA))], tmp_path)
    time.sleep(0.3)
    m.crash()
    _, error = within(DEADLINE, reader.communicate)
    assert reader.returncode != 0 and any(text in error for text in ("ENOTCONN", "not connected", "abort"))
    assert fails(os.listdir, m.root) == "ENOTCONN"
    m.kill()


@pytest.mark.parametrize("how", WAYS)
def test_who_waits_for_a_hub_goes_on_waiting(held, hub, how):
    m = held()
    stat(weights(m))
    with hub.fault(r"GET .*/resolve/", "hang"):
        waiting = subprocess.Popen(["sha256sum", str(weights(m))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        looking = subprocess.Popen(["stat", str(m.file("org/none", "x"))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert eventually(lambda: hub.requests(path_re="/resolve/.*w.safetensors"))
        change(m, how)
    out, error = within(DEADLINE, waiting.communicate)
    assert out.split()[0] == sha(DATA), error
    assert "No such file" in within(DEADLINE, looking.communicate)[1]


@pytest.mark.parametrize("how", WAYS)
def test_an_open_file_is_read_further(held, how):
    m = held(passthrough=False)
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        change(m, how)
        assert reader.ask("map", MIB, len(DATA)) == DATA[MIB:]
        change(m, how)
        assert reader.ask("read", 5 * MIB, 100) == DATA[5 * MIB:5 * MIB + 100]
    m.stop()


def test_passthrough_goes_on_while_no_daemon_runs(held):
    m = held()
    complete(m)
    with Reader(weights(m)) as reader:
        os.kill(m.process.pid, signal.SIGSTOP)     # so that nobody starts another one
        os.kill(m.daemon, signal.SIGKILL)
        assert reader.ask("read", 0, len(DATA)) == DATA == reader.ask("map", 0, len(DATA))
        # The twin: what is not open waits.
        late = subprocess.Popen(["sha256sum", str(m.file("org/tiny", "config.json"))], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            late.wait(0.3)
        os.kill(m.process.pid, signal.SIGCONT)
        assert within(DEADLINE, late.communicate)[0].split()[0] == sha(SMALL)
        # The file is open as it was, so it can be opened once more, and be closed.
        assert read(weights(m)) == DATA
    assert read(weights(m)) == DATA
    m.stop()


@pytest.mark.parametrize("how", WAYS)
def test_pages_that_are_not_known_to_be_right_are_asked_for_again(held, hub, how):
    """The daemon before may have had no time to say that they were wrong; the twin is sealed."""
    hub.repo("org/slow").commit({"s.safetensors": models.big_file(12 * MIB, seed=6)})
    m = held(passthrough=False)
    slow = m.file("org/slow", "s.safetensors")
    complete(m)
    hub.rate(1_000_000)
    start = read(slow, 0, 4096)
    change(m, how)

    def asked(path):
        before = Control(m).metrics().value("reads_total")
        assert read(path, 0, 4096) == (DATA[:4096] if path != slow else start)
        return Control(m).metrics().value("reads_total") - before

    assert eventually(lambda: asked(slow), 20)
    assert asked(slow) == 0 == asked(weights(m))
    m.stop()


class HeldExport(Held, Export):
    pass


@pytest.mark.parametrize("how", WAYS)
def test_clients_of_nfs_connect_again_and_go_on(mount, tiny, how):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    m = mount(tiny, kind=HeldExport, mounted=True, port=port, timeout=10)
    with m.client() as nfs:
        handle = nfs.walk("files", "org", "tiny", "w.safetensors")
        assert nfs.content(handle) == DATA
    change(m, how)
    with m.client() as nfs:
        assert nfs.content(handle) == DATA
    m.stop()


def test_what_a_client_of_nfs_was_told_is_there_stays(mount, tiny):
    """It makes files for as long as it is answered; each that it was told of is there afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    m, made = mount(tiny, kind=HeldExport, mounted=True, port=port, timeout=10), []
    locks = m.hub / ".locks/models--org--tiny"

    def make(directory, nfs):
        try:
            while nfs.nfs("create", fh(directory) + opaque(f"f{len(made)}.lock") + u32(0) + sattr(mode=0o644)).status == 0:
                made.append(f"f{len(made)}.lock")
        except (OSError, EOFError):
            pass

    locks.mkdir(exist_ok=True)
    for _ in range(3):
        with m.client() as nfs:
            writer = threading.Thread(target=make, args=(nfs.walk("hub", ".locks", "models--org--tiny"), nfs))
            writer.start()
            before = len(made)
            assert eventually(lambda: len(made) > before + 50)
            m.upgrade()
            writer.join(DEADLINE)
            assert not writer.is_alive()
    assert set(made) <= set(names(locks))
    m.stop()


# ---- what is known ----

@pytest.mark.parametrize("how", WAYS)
def test_numbers_names_and_directories_stay(held, hub, how):
    m = held("--ref-ttl=0")
    commit = m.commit("org/tiny")
    seen = [m.snapshot("org/tiny", commit) / "sub/vocab.txt", m.snapshot("org/tiny", commit) / "config.json", weights(m),
            m.ref("org/tiny"), m.repo("org/tiny") / ".no_exist" / commit / "chat_template.jinja", m.hub, m.file("org/tiny"),
            m.repo("org/tiny") / "trees" / f"{commit}.json", m.hub / ".locks/models--org--tiny", m.file("org/tiny", "sub")]
    before = [stat(path).st_ino for path in seen]
    tree = read(seen[7])
    inside = subprocess.Popen(["bash", "-c", 'cd "$1"; echo in; read; cat sub/vocab.txt; ls', "-", m.snapshot("org/tiny", commit)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert inside.stdout.readline() == "in\n"
    directory, ref, late = os.open(m.file("org/tiny"), os.O_RDONLY), os.open(m.ref("org/tiny"), os.O_RDONLY), os.open(seen[7], os.O_RDONLY)
    hub_directory = os.open(m.hub, os.O_RDONLY)
    try:
        for _ in range(2):
            change(m, how)
        assert [stat(path).st_ino for path in seen] == before
        assert sorted(names(directory)) == ["config.json", "sub", "w.safetensors"] and "models--org--tiny" in names(hub_directory)
        assert within(DEADLINE, os.pread, ref, 100, 0).decode() == commit and within(DEADLINE, os.pread, late, 1 << 20, 0) == tree
        assert within(DEADLINE, inside.communicate, "\n")[0].split() == ["words", "config.json", "sub", "w.safetensors"]
        assert read(seen[0]) == b"words\n" and fails(stat, m.file("org/tiny", "nothing")) == "ENOENT"
        # Another commit is found as ever.
        hub.repo("org/tiny").commit({"config.json": b"{}"})
        assert eventually(lambda: m.commit("org/tiny") != commit, 20)
    finally:
        for fd in (directory, ref, late, hub_directory):
            within(DEADLINE, os.close, fd)
    m.stop()


@pytest.mark.parametrize("how", WAYS)
def test_what_clients_wrote_stays(held, how):
    m = held()
    lock, module = m.hub / ".locks/models--org--tiny/x.lock", m.root / "modules/a/b.py"
    module.parent.mkdir(parents=True)
    write(module, b"one\n" * 5000)
    (m.root / "modules/link").symlink_to("a/b.py")
    os.link(module, m.root / "modules/a/c.py")
    os.chmod(module, 0o640)
    os.rename(m.root / "modules/a/c.py", m.root / "modules/d.py")
    write(lock, b"")
    before = (stat(module), stat(lock))
    gone = os.open(m.root / "modules/gone", os.O_RDWR | os.O_CREAT)
    os.write(gone, b"still here")
    os.unlink(m.root / "modules/gone")
    with open(lock, "r+b", buffering=0) as locked, open(module, "r+b", buffering=0) as file:
        fcntl.flock(locked, fcntl.LOCK_EX)
        for n in range(2):
            change(m, how)
            within(DEADLINE, os.pwrite, file.fileno(), b"two%d" % n, 20000 + 4 * n)
        with open(lock, "r+b") as second, pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert within(DEADLINE, os.pread, gone, 100, 0) == b"still here"
    within(DEADLINE, os.close, gone)
    assert read(module) == b"one\n" * 5000 + b"two0two1" == read(m.root / "modules/link") == read(m.root / "modules/d.py")
    after = (stat(module), stat(lock))
    assert [(s.st_ino, s.st_mode, s.st_nlink, s.st_uid) for s in after] == [(s.st_ino, s.st_mode, s.st_nlink, s.st_uid) for s in before]
    assert sorted(names(m.root / "modules")) == ["a", "d.py", "link"]
    write(m.root / "modules/new", b"new")
    assert stat(m.root / "modules/new").st_ino not in [s.st_ino for s in after]
    shutil.rmtree(m.root / "modules")
    assert "modules" not in names(m.root)
    m.stop()


def test_many_names_leave_nothing_behind(held, hub):
    hub.repo("org/wide").commit({f"d{n % 7}/f{n}.txt": b"%d" % n for n in range(300)})
    m = held()
    base = m.file("org/wide")
    for n in range(3):
        assert sum(len(files) for _, _, files in os.walk(base)) == 300
        change(m, WAYS[n % 2])
        assert read(base / "d0/f7.txt") == b"7"
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("2")
    assert sum(len(files) for _, _, files in os.walk(base)) == 300
    m.stop()


# ---- ends ----

def test_stopping_and_unmounting_leave_nothing(held, tmp_path):
    m = held()
    m.murder()
    os.kill(m.process.pid, signal.SIGTERM)
    assert m._ended(DEADLINE) == 0 and not mounts_below(m.root) and not daemons_of(tmp_path)
    m = held()
    m.upgrade()
    within(DEADLINE, subprocess.run, ["umount", str(m.root)], check=True)
    assert m._ended(DEADLINE) == 0 and not mounts_below(m.root) and not daemons_of(tmp_path)


def test_readers_inside_end_with_a_stop(held, hub):
    m = held()
    stat(weights(m))
    with hub.fault(r"GET .*/resolve/", "hang"):
        waiting = subprocess.Popen(["cat", str(weights(m))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert eventually(lambda: hub.requests(path_re="/resolve/.*w.safetensors"))
        m.stop()
        assert within(DEADLINE, waiting.wait) != 0


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A copy of the program that mounts are made with, to be replaced."""
    path = tmp_path / "bin/matrixfs"
    path.parent.mkdir()
    shutil.copy(mountlib.PROGRAM, path)
    monkeypatch.setattr(mountlib, "PROGRAM", path)
    return path


def replace(program, script=None):
    """As a package manager does: the new one is renamed over the old one. Without a script it is this build."""
    new = program.with_name("new")
    if script:
        new.write_text(f"#!/bin/sh\n{script}\n")
    else:
        shutil.copy(ORIGINAL, new)
    new.chmod(0o755)
    new.rename(program)


LOST = "echo 'error while loading shared libraries' >&2; exit 127"


@pytest.mark.parametrize("who", ["holder", "daemon"])
def test_an_upgrade_to_a_program_that_cannot_begin_is_refused(held, program, who):
    m = held(passthrough=False)
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        daemon = m.daemon
        replace(program, LOST)
        os.kill(m.process.pid if who == "holder" else daemon, signal.SIGUSR2)
        m.wait_log("the new program cannot begin, the old one goes on: error while loading shared libraries .* status=127")
        if who == "daemon":
            assert eventually(lambda: m.served() == 2, DEADLINE), m.log_text()
        assert (m.daemon == daemon) == (who == "holder") and not m.logged("taken away")
        assert reader.ask("read", 0, len(DATA)) == DATA
        # The twin: one that can.
        replace(program)
        m.upgrade()
        assert os.readlink(f"/proc/{m.process.pid}/exe") == os.readlink(f"/proc/{m.daemon}/exe") == str(program)
        assert reader.ask("map", 0, len(DATA)) == DATA
    m.stop()


def test_an_upgrade_with_a_wrong_configuration_is_refused(held, tmp_path):
    config = tmp_path / "matrixfs.conf"
    config.write_text("ref-ttl = 5\n")
    m = held(f"--config={config}", passthrough=False)
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        config.write_text("reff-ttl = 5\n")
        os.kill(m.process.pid, signal.SIGUSR2)
        m.wait_log("the new program cannot begin, the old one goes on: .*reff-ttl")
        assert reader.ask("read", 0, len(DATA)) == DATA and m.served() == 1
        config.write_text("ref-ttl = 6\n")
        m.upgrade()
    m.stop()


def test_a_program_that_cannot_start_is_not_waited_for_where_the_old_one_can(held, program):
    """It was replaced, and the daemon died before anybody told the holder."""
    m = held(passthrough=False)
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        replace(program, "exit 7")
        for served in (2, 3):
            os.kill(m.daemon, signal.SIGKILL)
            assert eventually(lambda: m.served() == served, DEADLINE), m.log_text()
            assert reader.ask("read", 0, len(DATA)) == DATA
        assert m.logged("is started from the old program")
    m.stop()


@pytest.mark.long
def test_a_daemon_that_cannot_start_gives_the_mount_up(held):
    """Its configuration is right, and somebody else has its control port: readers do not wait for ever, but a minute."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    m = held(f"--control-listen=127.0.0.1:{port}")
    assert read(m.file("org/tiny", "config.json")) == SMALL
    os.kill(m.process.pid, signal.SIGSTOP)
    os.kill(m.daemon, signal.SIGKILL)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert eventually(lambda: not fails(taken.bind, ("127.0.0.1", port)), DEADLINE)
        taken.listen()
        reader = subprocess.Popen(["cat", str(weights(m))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.kill(m.process.pid, signal.SIGCONT)
        assert m._ended(120) == 1 and m.logged("taken away") and not mounts_below(m.root)
    within(DEADLINE, reader.wait)


def test_a_configuration_that_is_mended_in_time_goes_on_with_the_mount(held, tmp_path):
    """A slip of a pen does not take the mount away in three seconds; who reads waits for who mends it."""
    config = tmp_path / "matrixfs.conf"
    config.write_text("")
    m = held(f"--config={config}", passthrough=False)
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        config.write_text("reff-ttl = 5\n")
        os.kill(m.daemon, signal.SIGKILL)
        m.wait_log("the daemon cannot begin, and readers wait until that is mended")
        assert eventually(lambda: m.count("reff-ttl") >= 8, 30), m.log_text()
        assert not m.logged("taken away")
        config.write_text("")
        assert eventually(lambda: m.served() == 2, DEADLINE), m.log_text()
        assert reader.ask("read", 0, len(DATA)) == DATA
    m.stop()


def test_a_program_that_is_mended_in_time_goes_on_with_the_mount(held, program):
    """Neither the holder nor a daemon can be the new one for a while; what was kept is what it was then."""
    m = held(passthrough=False)
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        program.chmod(0o644)
        os.kill(m.process.pid, signal.SIGUSR2)
        m.wait_log("the new program cannot begin, the old one goes on")
        os.kill(m.daemon, signal.SIGKILL)
        m.wait_log("the daemon cannot begin, and readers wait until that is mended")
        program.chmod(0o755)
        assert eventually(lambda: m.served() == 2, DEADLINE), m.log_text()
        assert reader.ask("read", 0, len(DATA)) == DATA
        m.murder()
        m.upgrade()
        assert reader.ask("map", 0, len(DATA)) == DATA
    m.stop()


@pytest.mark.parametrize("who", ["holder", "daemon"])
def test_a_hangup_ends_no_mount(held, who):
    """To the holder it is an upgrade, as a habit of log rotation sends it; to the daemon, as by `pkill -HUP matrixfs`, a new configuration.
    The twin is test_an_upgrade_with_a_wrong_configuration_is_refused."""
    m = held(passthrough=False)
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        before = m.daemon
        os.kill(m.process.pid if who == "holder" else before, signal.SIGHUP)
        assert eventually(lambda: m.served() == 2, DEADLINE), m.log_text()
        assert (m.daemon == before) == (who == "daemon") and m.count("took over") == 1
        assert m.count("handing over" if who == "holder" else "going on with the configuration") == 1
        assert reader.ask("read", 0, len(DATA)) == DATA
    m.stop()


def test_a_daemon_that_hangs_is_replaced(held):
    """The twins: a well one is let alone, and so is one that slept as long as who watches it."""
    m = held(env={"WATCHDOG_USEC": 3_000_000}, passthrough=False)
    assert pathlib.Path(f"/proc/{m.process.pid}/comm").read_text() == "mfs-holder\n"
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        time.sleep(3.5)
        both = (m.process.pid, m.daemon)
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4.5)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        assert reader.ask("read", 0, MIB) == DATA[:MIB] and m.daemon == both[1]
        os.kill(m.daemon, signal.SIGSTOP)
        assert reader.ask("read", 0, len(DATA), 30) == DATA
        assert m.served() >= 2 and m.logged("the daemon is killed: it does not say any more that it is well")
    m.stop()


def test_a_mount_whose_path_is_another_one_now_is_not_taken_for_dead(held, tmp_path):
    """Nobody finds it there, and who is inside goes on."""
    root = tmp_path / "above/models"
    root.mkdir(parents=True)
    m = held(root=root, env={"WATCHDOG_USEC": 1_500_000}, passthrough=False)
    with Reader(weights(m)) as reader:
        root.parent.rename(tmp_path / "elsewhere")
        time.sleep(4)
        assert reader.ask("read", 0, len(DATA)) == DATA and m.served() == 1 and not m.logged("is killed")
        (tmp_path / "elsewhere").rename(root.parent)
    m.stop()


def test_a_holder_whose_program_was_just_replaced(held, tmp_path):
    """It is where the new one is: /proc/self/exe says "(deleted)"."""
    program = tmp_path / "matrixfs"
    m = held(wrapper=["bash", "-c", 'cp "$1" "$0"; exec 9<"$0"; rm "$0"; cp "$1" "$0"; shift; exec -a matrixfs /proc/self/fd/9 "$@"', program])
    m.murder()
    assert read(weights(m)) == DATA and os.readlink(f"/proc/{m.daemon}/exe") == str(program)
    m.stop()


def test_a_daemon_that_cannot_start_leaves_what_it_found(held):
    """Somebody else has its control port at the first restart; the next one goes on where the one that served ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    m = held(f"--control-listen=127.0.0.1:{port}", passthrough=False)
    module = m.root / "modules/a.py"
    module.parent.mkdir()
    write(module, b"one\n" * 5000)
    gone = os.open(m.root / "modules/gone", os.O_RDWR | os.O_CREAT)
    os.write(gone, b"still here")
    os.unlink(m.root / "modules/gone")
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        os.kill(m.process.pid, signal.SIGSTOP)
        os.kill(m.daemon, signal.SIGKILL)
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert eventually(lambda: not fails(taken.bind, ("127.0.0.1", port)), DEADLINE)
        taken.listen()
        os.kill(m.process.pid, signal.SIGCONT)
        m.wait_log("in use")
        taken.close()
        m.wait_log("took over")
        assert reader.ask("read", 0, len(DATA)) == DATA
        assert read(module) == b"one\n" * 5000 and within(DEADLINE, os.pread, gone, 100, 0) == b"still here"
    within(DEADLINE, os.close, gone)
    m.stop()


# ---- a service manager that keeps descriptors ----

@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path)
    yield manager
    manager.close()


@pytest.fixture
def started(manager, mount, tiny, tmp_path):
    (tmp_path / "models").mkdir()
    return lambda *args, **kw: manager.start(mount, tiny, cache=tmp_path / "cache", root=tmp_path / "models", timeout=10, args=args, **kw)


def test_a_service_manager_is_a_holder(manager, started):
    m = started()
    assert eventually(lambda: {"READY": "1"} in manager.said) and set(manager.kept) == {"matrixfs-mount", "matrixfs-estate"}
    with Reader(weights(m)) as reader:
        for sig, status in ((signal.SIGUSR2, 3), (signal.SIGKILL, -9)):
            os.kill(m.pid, sig)
            assert m._ended(DEADLINE) == status
            m = started()
            assert m.logged("took over")
            assert reader.ask("read", 0, len(DATA)) == DATA
    m.stop()
    assert eventually(lambda: not manager.kept)


def test_a_holder_tells_the_service_manager_what_the_daemon_says(manager, held):
    """One that keeps no descriptors; and it hears nothing of those that the holder keeps."""
    m = held(env={"NOTIFY_SOCKET": manager.path})
    assert eventually(lambda: {"READY": "1"} in manager.said) and any("STATUS" in words for words in manager.said)
    m.murder()
    assert eventually(lambda: manager.said.count({"READY": "1"}) == 2) and not manager.kept
    m.stop()


def test_a_daemon_is_well_when_only_who_looks_for_it_died(manager, mount, tiny):
    """The twin: with it, nothing is said of the kind. It knows no token, as it is there before they are read."""
    m = manager.start(mount, tiny, env={"WATCHDOG_USEC": 900_000})
    alive = lambda: manager.said.count({"WATCHDOG": "1"})
    assert eventually(lambda: alive() >= 2) and not m.logged("looks through the mount is gone")
    lookout, = (pid for pid in children(m.pid) if named(pid) == "mfs-lookout")
    os.kill(lookout, signal.SIGKILL)
    before = alive()
    assert eventually(lambda: alive() >= before + 3) and m.log_text().count("looks through the mount is gone") == 1
    assert not children(m.pid)      # reaped
    m.stop()


@pytest.mark.parametrize("sig, status", [(signal.SIGUSR2, 3), (signal.SIGKILL, -9)])
def test_kernels_that_do_not_repeat_requests(manager, started, hub, sig, status):
    """The mount is made anew, as some answers might be waited for in vain; the twin is test_a_service_manager_is_a_holder."""
    m = started()
    assert eventually(lambda: "matrixfs-mount" in manager.kept)
    estate = manager.kept["matrixfs-estate"][0]
    at = os.pread(estate, MIB, 0).index(struct.pack("<II", 104, 26))           # the FUSE_INIT that the kernel sent
    os.pwrite(estate, struct.pack("<I", 39), at + 44)                          # its protocol's minor number
    stat(weights(m))
    hub.rate(6_000_000)
    reader = subprocess.Popen(["sha256sum", str(weights(m))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: hub.requests(path_re="/resolve/.*w.safetensors"))
    os.kill(m.pid, sig)
    assert m._ended(DEADLINE) == status
    m = started()
    assert m.logged("does not repeat") and not m.logged("took over") and read(weights(m)) == DATA
    assert within(DEADLINE, reader.communicate)[1] and reader.returncode != 0


@pytest.mark.parametrize("damage, why", [((8, struct.pack("<I", 99)), "another version"), ((0, b"nonsense"), "damaged")])
def test_what_cannot_be_taken_over_is_mounted_anew(manager, started, damage, why):
    m = started()
    with Reader(weights(m)) as reader:
        os.kill(m.pid, signal.SIGKILL)
        m._ended(DEADLINE)
        os.pwrite(manager.kept["matrixfs-estate"][0], damage[1], damage[0])
        m = started()
        assert m.logged(f"cannot be taken over.*{why}") and not m.logged("took over")
        assert read(weights(m)) == DATA
        assert reader.ask("read", 0, 10) == b""
    m.stop()
    assert eventually(lambda: not manager.kept)


def test_settings_that_cannot_be_kept_are_left_to_a_process_that_knows_nothing_of_them(manager, started, tmp_path):
    """Exit status 3: it is to be started again, and mounts anew; as it knew too late, it could not do so itself."""
    m = started()
    os.kill(m.pid, signal.SIGKILL)
    m._ended(DEADLINE)
    estate = manager.kept["matrixfs-estate"][0]
    request = os.pread(estate, MIB, 0).index(struct.pack("<II", 104, 26))
    os.pwrite(estate, b"\xff" * 4, request + 256 + 16 + 12)                    # the flags of the reply to it
    m = started(expect_fail=True)
    assert m.status == 3 and m.logged("made with other settings") and not mounts_below(tmp_path)
    assert eventually(lambda: not manager.kept)
    m = started()
    assert not m.logged("took over") and read(weights(m)) == DATA
    m.stop()


def test_a_manager_that_takes_nothing_is_no_reason_not_to_mount(manager, started, tmp_path):
    """Its socket is closed. The mount ends with the daemon then, and nothing of it stays."""
    manager.socket.close()
    m = started()
    assert m.logged("nobody holds it") and read(weights(m)) == DATA
    os.kill(m.pid, signal.SIGUSR2)
    assert m._ended(DEADLINE) == 0 and not mounts_below(tmp_path)
    m = started()
    m.stop()
    assert not mounts_below(tmp_path)


@UNLIMITED
def test_no_room_for_what_is_to_be_left(manager, mount, tiny, tmp_path):
    """As under ulimit -v: a mount that nobody holds, and no more. The twin is test_a_service_manager_is_a_holder."""
    m = manager.start(mount, tiny, cache=tmp_path / "cache", wrapper=["prlimit", f"--as={16 << 30}"])
    assert m.logged("no room for what a next process must know") and not manager.kept
    assert read(weights(m)) == DATA
    m.stop()


@UNLIMITED
def test_a_handing_over_that_cannot_be_is_as_a_kill(manager, started):
    """No memory for what is the daemon's own from then on: the next one takes over all the same."""
    m = started()
    (m.root / "modules").mkdir()
    write(m.root / "modules/large", bytes(40 * MIB))
    with Reader(weights(m)) as reader:
        assert reader.ask("read", 0, MIB) == DATA[:MIB]
        size = int(pathlib.Path(f"/proc/{m.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
        subprocess.run(["prlimit", f"--pid={m.pid}", f"--as={size + 20 * MIB}"], check=True)
        os.kill(m.pid, signal.SIGUSR2)
        assert m._ended(DEADLINE) == 3 and m.logged("as if this process were killed")
        m = started()
        assert m.logged("took over") and reader.ask("read", 0, len(DATA)) == DATA
    m.stop()


def test_a_stop_while_it_hands_over(manager, started, tmp_path):
    """It is for good: nobody comes that would take the mount away. The twin is test_a_service_manager_is_a_holder."""
    m = started()
    for sig in (signal.SIGUSR2, signal.SIGTERM):
        os.kill(m.pid, sig)
    assert m._ended(DEADLINE) == 0 and not mounts_below(tmp_path) and eventually(lambda: not manager.kept)


@pytest.mark.parametrize("kept", [True, False])
def test_a_stop_while_it_starts(manager, started, tmp_path, kept):
    """Its token comes from a pipe: it waits there. The twin had nothing to go on with, and dies of the signal as ever."""
    m = started()
    if kept:
        os.kill(m.pid, signal.SIGKILL)
        m._ended(DEADLINE)
    else:
        m.stop()
        assert eventually(lambda: not manager.kept)
    pipe = tmp_path / "token"
    os.mkfifo(pipe)
    ended = []
    starting = threading.Thread(daemon=True, target=lambda: ended.append(started(f"--token-file={pipe}", expect_fail=True)))
    starting.start()
    with open(within(DEADLINE, os.open, pipe, os.O_WRONLY), "w") as token:
        daemon = eventually(lambda: (found := [pid for pid in daemons_of(tmp_path) if named(pid) == "matrixfs"])[1:] == [] and found)[0]
        os.kill(daemon, signal.SIGTERM)
        time.sleep(0.2)
        token.write("hf_token\n") if kept else None
    starting.join(DEADLINE)
    assert ended[0].status == (0 if kept else -signal.SIGTERM), ended[0].log_text()
    assert not mounts_below(tmp_path) and eventually(lambda: not manager.kept)
    started().stop()


# ---- who holds it ----

def holding(m):
    status = Control(m).get("/v1/status")
    return status["held_by"], status["holder_pid"], status["takeovers"]


def test_who_holds_a_mount_is_told(held, started, mount, tiny):
    m = held()
    assert holding(m) == ("holder", m.process.pid, 0)
    m.murder()
    m.upgrade()
    assert holding(m) == ("holder", m.process.pid, 2)
    m = started()
    assert holding(m) == ("systemd", None, 0)
    m.crash()
    m = started()
    assert holding(m) == ("systemd", None, 1)
    m.stop()
    assert holding(mount(tiny)) == ("nobody", None, 0)


# ---- a new configuration ----

@pytest.fixture
def configured(tmp_path, started):
    """configured(text): a mount that somebody holds, by a configuration file, which is there, too."""
    file = tmp_path / "matrixfs.conf"

    def start(text="slow-op = 7\n", **kw):
        file.write_text(text)
        return started(f"--config={file}", **kw), file
    return start


def slow_op(m):
    return next(row["value"] for row in Control(m).get("/v1/config")["parameters"] if row["name"] == "slow-op")


def reload(m, rounds):
    os.kill(m.pid, signal.SIGHUP)
    assert eventually(lambda: sum("took over" in line for line in list(m.log)) == rounds, DEADLINE), m.log_text()


def test_a_new_configuration_counts_from_now_on_and_readers_wait(manager, configured):
    """The process is the same one: a service manager sees it reload, and no end."""
    m, file = configured()
    with Reader(weights(m)) as reader:
        for n in range(3):
            assert reader.ask("read", n * MIB, MIB) == DATA[n * MIB:][:MIB]
            file.write_text(f"slow-op = {10 + n}\n")
            before = len(manager.said)
            reload(m, n + 1)
            assert slow_op(m) == f"{10 + n}s" and m.pid == m.process.pid
            assert eventually(lambda: {"READY": "1"} in manager.said[before:])
            said = [word for words in manager.said[before:] for word in words]
            assert "WATCHDOG" in said[said.index("RELOADING"):said.index("READY")]      # whose time does not stand still
            assert "STOPPING" not in said and "FDSTOREREMOVE" not in said
            assert reader.ask("map", 0, len(DATA)) == DATA
    assert named(m.pid) == "matrixfs" and len(children(m.pid)) == 1
    m.stop()
    assert eventually(lambda: not manager.kept)


@pytest.mark.parametrize("text, why", [("slow-op = soon\n", "slow-op"), ("token-file = /none/token\n", "/none/token"),
                                       ("peer-listen = 127.0.0.1:1\npeers = 127.0.0.1:2\ncluster-key-file = /none/key\n", "/none/key"),
                                       ("nfs = 127.0.0.1:0\nnfs-key-file = /none/key\n", "/none/key"),
                                       ("peer-listen = 127.0.0.1:0\npeer-address = 127.0.0.1:1\npeers = 127.0.0.1:2\ncluster-key-file = KEY\n"
                                        "peer-tls-cert = /none/cert\npeer-tls-key = KEY\npeer-tls-ca = /none/cert\n", "/none/cert")])
def test_a_wrong_configuration_is_told_and_changes_nothing(manager, configured, tmp_path, text, why):
    """Nor is it begun with, where a mount is kept; but that ends with no status (2) by which it is given up."""
    key = tmp_path / "cluster.key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    key.chmod(0o600)
    text = text.replace("KEY", str(key))
    m, file = configured()
    file.write_text(text)
    with Reader(weights(m)) as reader:
        os.kill(m.pid, signal.SIGHUP)
        m.wait_log(f"the configuration stays as it was: .*{why}")
        assert reader.ask("read", 0, len(DATA)) == DATA and slow_op(m) == "7s" and not m.logged("took over")
        os.kill(m.pid, signal.SIGUSR2)
        assert m._ended(DEADLINE) == 3
        check = subprocess.run([mountlib.PROGRAM, f"--config={file}", "--check"], capture_output=True, text=True)
        assert check.returncode == 2 and why in check.stderr
        m, _ = configured(text, expect_fail=True)
        assert m.status in (1, 3) and m.logged(why)
        m, _ = configured()
        assert m.logged("took over") and reader.ask("read", 0, len(DATA)) == DATA
    m.stop()


@pytest.mark.parametrize("what", ["control-listen", "nfs"])
def test_a_port_that_somebody_else_has_changes_nothing(configured, what):
    """What is right but cannot be had would take the mount away. The twin: it is free then, and ours the next time."""
    m, file = configured()
    with Reader(weights(m)) as reader:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            file.write_text(f"slow-op = 8\n{what} = {address}\n")
            os.kill(m.pid, signal.SIGHUP)
            m.wait_log(f"the configuration stays as it was: cannot listen on {address}: .*in use")
            assert reader.ask("read", 0, len(DATA)) == DATA and slow_op(m) == "7s" and not m.logged("took over")
        reload(m, 1)
        assert reader.ask("map", 0, len(DATA)) == DATA and slow_op(m) == "8s"
        file.write_text(f"slow-op = 9\n{what} = :{address.split(':')[1]}\n")
        reload(m, 2)
        assert reader.ask("read", 0, len(DATA)) == DATA and slow_op(m) == "9s"
        file.write_text(f"{what} = 192.0.2.1:{address.split(':')[1]}\n")      # nor is it of this host
        os.kill(m.pid, signal.SIGHUP)
        m.wait_log("the configuration stays as it was: cannot listen on 192.0.2.1:.*assign")
        assert reader.ask("map", 0, len(DATA)) == DATA and slow_op(m) == "9s"
    m.stop()


# What is said on the command line counts more than the file.
NO_CACHE = 'for a; do case $a in --cache=*) ;; *) set -- "$@" "$a";; esac; shift; done; exec "$@"'


def test_another_cache_needs_a_restart(configured, tmp_path):
    """What readers have open lies in this one. The twin: what else is new counts at once."""
    m, file = configured(f"cache = {tmp_path}/cache\n", wrapper=["bash", "-c", NO_CACHE, "-"])
    with Reader(weights(m)) as reader:
        file.write_text(f"slow-op = 8\ncache = {tmp_path}/other\n")
        os.kill(m.pid, signal.SIGHUP)
        m.wait_log("the configuration stays as it was: another cache, .*/other\", needs a restart")
        assert reader.ask("read", 0, len(DATA)) == DATA and not m.logged("took over")
        file.write_text(f"slow-op = 8\ncache = {tmp_path}/cache\n")
        reload(m, 1)
        assert reader.ask("read", 0, len(DATA)) == DATA and slow_op(m) == "8s"
    m.stop()


def test_what_it_says_to_itself_nobody_else_says_for_it(configured, mount, tiny):
    """SIGUSR1 from outside: no look was taken. The twin is SIGHUP, by which it says it."""
    m, file = configured()
    file.write_text("slow-op = soon\n")
    for other in (m, mount(tiny)):
        os.kill(other.pid, signal.SIGUSR1)
        time.sleep(0.3)
        assert read(weights(other)) == DATA and not other.logged("going on|unmounting")
    file.write_text("slow-op = 8\n")
    reload(m, 1)
    m.stop()


@pytest.mark.parametrize("mounted", [True, False])
def test_what_nobody_holds_needs_a_restart(mount, tiny, tmp_path, mounted):
    """And is not ended by the signal any more."""
    file = tmp_path / "matrixfs.conf"
    file.write_text("slow-op = 7\n")
    m = mount(tiny, args=[f"--config={file}", "--nfs=127.0.0.1:0"], mounted=mounted)
    file.write_text("slow-op = soon\n")
    os.kill(m.pid, signal.SIGHUP)
    m.wait_log("the configuration stays as it was: .*slow-op")
    file.write_text("slow-op = 8\n")
    os.kill(m.pid, signal.SIGHUP)
    m.wait_log("needs a restart")
    assert slow_op(m) == "7s" and (not mounted or read(weights(m)) == DATA)
    m.stop()


def test_a_restart_counts_more_than_a_new_configuration(configured, manager):
    """Who asks for that waits for the end of the process."""
    m, file = configured()
    file.write_text("slow-op = 8\n")
    os.kill(m.pid, signal.SIGSTOP)
    for sig in (signal.SIGHUP, signal.SIGUSR2, signal.SIGCONT):
        os.kill(m.pid, sig)
    assert m._ended(DEADLINE) == 3
    m, _ = configured("slow-op = 9\n")
    assert m.logged("took over") and slow_op(m) == "9s"
    m.stop()
