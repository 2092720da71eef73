"""The units, as installed, under a systemd of their own: what it is told, who is started anew, who is let alone."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import models
from booted import Booted, why_not
from flow_upgrade import hashing
from holding import Reader
from hub import Hub
from hubd import free_port
from mountlib import DEADLINE, PROGRAM, eventually

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=str(why_not())),
              pytest.mark.skipif(PROGRAM.parent.name != "build", reason="only the plain build is installed")]
ROOT = PROGRAM.parent.parent
BIG = models.big_file(3_000_000, seed=5)
FILES = {"config.json": b'{"model_type": "bert"}', "model.safetensors": BIG}
SHIM = "/usr/lib/shim_stuck.so"   # under it a look through the mount hangs while a file is there


def install(root):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    subprocess.run(["make", "-o", "all", "-C", ROOT, "install", f"DESTDIR={root}", "prefix=/usr"], env=env, check=True, stdout=subprocess.DEVNULL)
    shutil.copy(ROOT / "build/release/tests/shim_stuck.so", f"{root}{SHIM}")


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    with Booted(tmp_path_factory.mktemp("booted"), prepare=install) as system:
        system.run("systemd-sysusers && systemd-tmpfiles --create matrixfs.conf matrixhubd.conf")
        yield system


@pytest.fixture(scope="module")
def upstream():
    with Hub() as hub:
        hub.repo("org/tiny").commit(FILES)
        yield hub


@pytest.fixture
def unit(system):
    """unit(NAME, drop-in, …): the unit with more lines of [Service]; stopped, and as it was, at the end."""
    used = []

    def begin(name, more="", start=True):
        used.append(name)
        system.run(f"mkdir -p /run/systemd/system/{name}.d && cat > /run/systemd/system/{name}.d/test.conf <<'END'\n"
                   f"[Service]\n{more}\nEND\nsystemctl daemon-reload" + (f" && systemctl start {name}" if start else ""))
        return name
    yield begin
    for name in used:
        system.run(f"rm -f /run/stuck; systemctl stop {name}; rm -r /run/systemd/system/{name}.d; systemctl daemon-reload;"
                   f"systemctl reset-failed {name}; true", check=False)
        for pid in left(system):
            raise AssertionError(f"still there: {pid}")


def left(system):
    """Who of ours runs in there, also by the name that mount(8) knows. A bare Debian has no ps."""
    said = system.run("for p in /proc/[0-9]*; do echo ${p#/proc/} $(cat $p/comm); done 2> /dev/null", check=False)
    return [line for line in said.splitlines() if re.search(r" (matrix(fs|hubd)|mount\.fuse\.matr)$", line)]


def configure(system, name, text):
    system.run(f"cat > /etc/matrixfs/{name} <<'END'\n{text}\nEND")


@pytest.fixture
def models_of(system, upstream):
    configure(system, "matrixfs.conf", f"hub = {upstream.url}\ncache-min-free = 0\ncache-size = 100MiB")


def journal(system, words):
    """What it has now, not a moment ago."""
    return system.run(f"journalctl --sync; journalctl -b --no-pager {words}")


def reads(system, where="/models"):
    return len(BIG) == int(system.run(f"cat {where}/files/org/tiny/model.safetensors | wc -c"))


def status(system, name):
    return system.show(name, "StatusText")


def main_pid(system, name):
    """As this system numbers it: the process whose number in there is MainPID."""
    inner = system.show(name, "MainPID")
    for entry in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        numbers = re.search(r"^NSpid:\t(.*)$", text, re.M)
        if numbers and numbers[1].split()[1:] == [inner] and re.search(r"^Name:\tmatrix", text, re.M) and \
                os.readlink(entry.parent / "ns/pid") == os.readlink(f"/proc/{system.first}/ns/pid"):
            return int(entry.parent.name)
    raise AssertionError(f"{name} has no process {inner}")


# ---- the mount ----

def test_a_mount_is_ready_when_it_answers_and_says_what_it_does(system, unit, models_of):
    unit("matrixfs.service")
    assert "matrixfs /models fuse.matrixfs" in system.run("grep /models /proc/mounts")  # and not in a view of its own
    assert reads(system)
    eventually(lambda: status(system, "matrixfs").startswith("1 hub, reachable"))
    assert re.fullmatch(r"1 hub, reachable, cache \d+\.\d of 100\.0 MiB, mounted on /models", status(system, "matrixfs"))
    device = system.run("stat -c %Hd:%Ld /models").strip()
    assert int(system.run(f"cat /sys/class/bdi/{device}/read_ahead_kb")) >= 8192
    limits = [int(system.run(f"grep 'open files' /proc/{pid}/limits").split()[4]) for pid in (1, system.show("matrixfs", "MainPID"))]
    assert limits[1] == 1048576 or limits[1] == limits[0] < 1048576  # what the machine's first process may give


def test_the_journal_has_priorities_and_which_mount_it_was(system, unit, models_of):
    unit("matrixfs.service")
    lines = [json.loads(line) for line in journal(system, "-u matrixfs -o json").splitlines()]
    mounted = [line for line in lines if line["MESSAGE"].startswith("mounted mountpoint=/models")]
    assert mounted and mounted[-1]["PRIORITY"] == "6" and mounted[-1]["SYSLOG_IDENTIFIER"] == "matrixfs"
    assert mounted[-1]["MATRIXFS_INSTANCE"] == "default"


def test_two_of_three_hubs(system, unit, upstream):
    dead = f"http://127.0.0.1:{free_port()}"
    with Hub() as other:
        configure(system, "matrixfs.conf", f"hub = {upstream.url}\nhub = {other.url}\nhub = {dead}\ncache-min-free = 0")
        unit("matrixfs.service", "WatchdogSec=3")
        system.run("ls /models/files/org/none", check=False)
        assert eventually(lambda: status(system, "matrixfs").startswith("3 hubs, 2 of 3 reachable, cache ")), status(system, "matrixfs")


def test_a_template_has_its_own_file_cache_and_place(system, unit, upstream):
    configure(system, "second.conf", f"hub = {upstream.url}\ncache-min-free = 0")
    unit("matrixfs@second.service")
    assert reads(system, "/models-second")
    assert system.run("ls /var/cache/matrixfs-second")
    assert "MATRIXFS_INSTANCE=second" in journal(system, "-u matrixfs@second -o verbose")


@pytest.mark.parametrize("how", ["stopped", "stuck", "well", "unwatched"])
def test_who_no_longer_answers_is_started_anew(system, unit, models_of, how):
    """Twins: one that is well, and one nobody watches."""
    unit("matrixfs.service", f"WatchdogSec={0 if how == 'unwatched' else 2}\nEnvironment=LD_PRELOAD={SHIM} STUCK=/run/stuck")
    before = system.show("matrixfs", "MainPID")
    pid = main_pid(system, "matrixfs")
    if how in ("well", "unwatched"):
        if how == "unwatched":
            os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        assert system.show("matrixfs", "MainPID") == before and system.show("matrixfs", "NRestarts") == "0"
        os.kill(pid, signal.SIGCONT)
        assert reads(system)
        return
    if how == "stopped":
        os.kill(pid, signal.SIGSTOP)
    else:
        system.run("touch /run/stuck")
        system.eventually(lambda: system.show("matrixfs", "MainPID") != before, "its end")
        system.run("rm /run/stuck")
    system.eventually(lambda: system.show("matrixfs", "NRestarts") == "1", "a restart")
    system.eventually(lambda: system.show("matrixfs", "ActiveState") == "active", "the mount again")
    assert "Watchdog timeout" in journal(system, "-u matrixfs")
    assert reads(system)


# ---- readers across restarts ----

MODEL = "/models/files/org/tiny/model.safetensors"
def told(system):
    """How many daemons of this mount the journal has that took over, and that mounted anew."""
    lines = journal(system, "-u matrixfs -o cat").splitlines()
    return [sum(line.startswith(f"{text} mountpoint=/models ") for line in lines) for text in ("took over", "mounted")]


def murder(system):
    """kill -9: the manager starts another one by itself."""
    before = system.show("matrixfs", "MainPID")
    os.kill(main_pid(system, "matrixfs"), signal.SIGKILL)
    system.eventually(lambda: system.show("matrixfs", "MainPID") not in ("0", before), "the next daemon")
    system.eventually(lambda: system.show("matrixfs", "ActiveState") == "active", "it serves")


def hash_across(system, tmp_path, readers, changes):
    """Readers hash, by read() and by mmap, and one has a file open all the while, from outside: what was told meanwhile."""
    seen = told(system)
    with hashing([(system.path(MODEL), hashlib.sha256(BIG).hexdigest())] * readers, tmp_path), Reader(system.path(MODEL)) as reader:
        for change in changes:
            change()
            assert reader.ask("read", 0, len(BIG)) == BIG == reader.ask("map", 0, len(BIG))
    return [now - before for now, before in zip(told(system), seen)]


@pytest.fixture
def through_daemon(system, upstream):
    configure(system, "matrixfs.conf", f"hub = {upstream.url}\ncache-min-free = 0\npassthrough = no")


# Restarts of an operator are starts that a manager counts, too.
@pytest.mark.parametrize("how, restarts", [("through_daemon", 11), ("models_of", 1)], ids=["through-daemon", "passthrough"])
def test_readers_go_on_across_restarts_and_deaths(system, unit, request, tmp_path, how, restarts):
    """The long form: long_systemd.py."""
    request.getfixturevalue(how)
    unit("matrixfs.service")
    changes = [lambda: system.run("systemctl restart matrixfs")] * restarts + [lambda: murder(system)]
    assert hash_across(system, tmp_path, 2, changes) == [restarts + 1, 0]
    assert system.show("matrixfs", "NRestarts") == "1"
    system.run("systemctl stop matrixfs")
    assert "/models" not in system.run("cat /proc/mounts")


def test_readers_end_where_nothing_is_kept(system, unit, through_daemon):
    """The twin: the manager keeps no descriptor, so the mount is made anew."""
    unit("matrixfs.service", "FileDescriptorStoreMax=0")
    with Reader(system.path(MODEL)) as reader:
        assert reader.ask("read", 0, len(BIG)) == BIG
        murder(system)
        assert reader.ask("read", 0, len(BIG)) == b""
    assert reads(system)


def test_a_reload_has_the_mount_go_on_with_another_configuration(system, unit, upstream, through_daemon):
    """The twin: one that is wrong is told, and changes nothing for anybody."""
    unit("matrixfs.service")
    before, seen = system.show("matrixfs", "MainPID"), told(system)
    with Reader(system.path(MODEL)) as reader:
        configure(system, "matrixfs.conf", "no-such-thing = 1")
        system.run("! systemctl reload matrixfs")
        assert "/etc/matrixfs/matrixfs.conf:1:" in journal(system, "-u matrixfs")
        assert system.show("matrixfs", "MainPID") == before and reader.ask("read", 0, len(BIG)) == BIG
        configure(system, "matrixfs.conf", f"hub = {upstream.url}\ncache-min-free = 0\npassthrough = no\ncache-size = 200MiB")
        system.run("systemctl reload matrixfs")
        system.eventually(lambda: "of 200.0 MiB" in status(system, "matrixfs"), "what was changed")
        assert reader.ask("read", 0, len(BIG)) == BIG == reader.ask("map", 0, len(BIG))
    assert [now - then for now, then in zip(told(system), seen)] == [1, 0]
    assert system.show("matrixfs", "MainPID") == before and system.show("matrixfs", "NRestarts") == "0"


def test_a_restart_with_a_wrong_configuration_waits_for_a_right_one(system, unit, upstream, through_daemon):
    """Who reads meanwhile waits. The twin is whom nobody waits for: it is not tried again."""
    unit("matrixfs.service")
    with Reader(system.path(MODEL)) as reader:
        configure(system, "matrixfs.conf", "no-such-thing = 1")
        system.run("systemctl restart matrixfs", check=False)
        system.eventually(lambda: int(system.show("matrixfs", "NRestarts")) >= 2, "tried again")
        configure(system, "matrixfs.conf", f"hub = {upstream.url}\ncache-min-free = 0\npassthrough = no")
        assert reader.ask("read", 0, len(BIG)) == BIG
    assert reads(system)


def test_who_cannot_be_right_is_not_tried_again(system, unit):
    configure(system, "matrixfs.conf", "no-such-thing = 1")
    unit("matrixfs.service", start=False)
    system.run("systemctl start matrixfs", check=False)
    assert system.show("matrixfs", "ExecMainStatus") == "2" and system.show("matrixfs", "NRestarts") == "0"
    assert "/etc/matrixfs/matrixfs.conf:1:" in journal(system, "-u matrixfs")


def test_a_line_of_fstab_is_a_unit(system, upstream):
    """As documented; and what mount(8) starts goes with its unit. An automounter lets nobody in meanwhile but its own helpers."""
    configure(system, "matrixfs.conf", "")
    line = f"{upstream.url} /mnt fuse.matrixfs cache=/var/cache/fstab,cache-min-free=0,_netdev,nofail,noatime,x-systemd.automount," \
           "x-systemd.idle-timeout=1s 0 0"
    system.run(f"echo '{line}' > /etc/fstab; systemctl daemon-reload && systemctl start mnt.automount")
    assert "fuse.matrixfs" not in system.run("cat /proc/mounts")
    assert reads(system, "/mnt")
    assert "noatime" in system.run("grep fuse.matrixfs /proc/mounts")
    system.eventually(lambda: "fuse.matrixfs" not in system.run("cat /proc/mounts"), "unmounted when idle")
    assert reads(system, "/mnt")
    system.run("systemctl stop mnt.automount mnt.mount; : > /etc/fstab; systemctl daemon-reload")
    system.eventually(lambda: not left(system), "its process has gone")


# ---- the hub ----

@pytest.fixture
def hub_conf(system, upstream):
    port = free_port()
    text = f"upstream = {upstream.url}\nlisten = 127.0.0.1:{port}\ncache-min-free = 0"
    configure(system, "matrixhubd.conf", text)
    return port, text


def ask_again(port):
    """As clients do: whose connection is closed before a byte of an answer asks once more. The one that goes may have taken it."""
    try:
        return ask(port)
    except (IndexError, ConnectionResetError):
        return ask(port)


def ask(port, path="/healthz"):
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n".encode())
        return int(s.makefile("rb").readline().split()[1])


def test_a_hub_is_ready_when_it_answers_and_owns_only_its_data(system, unit, hub_conf):
    port, _ = hub_conf
    unit("matrixhubd.service")
    assert ask(port) == 200
    assert ask(port, "/org/tiny/resolve/main/config.json") in (200, 307)
    assert eventually(lambda: re.fullmatch(rf"1 upstream, reachable, cache .*, \d+ connections to 127\.0\.0\.1:{port}",
                                           status(system, "matrixhubd"))), status(system, "matrixhubd")
    assert system.run("stat -c %U:%a /var/lib/matrixhubd /var/lib/matrixhubd/admin.token").split() == ["matrixhubd:700", "matrixhubd:600"]
    assert system.run(f"grep CapPrm /proc/{system.show('matrixhubd', 'MainPID')}/status").split()[1].strip("0") == "4"


def test_a_reload_is_one_and_a_bad_one_changes_nothing(system, unit, hub_conf):
    port, text = hub_conf
    unit("matrixhubd.service")
    pid = system.show("matrixhubd", "MainPID")
    configure(system, "matrixhubd.conf", text + "\nanonymous = none")
    system.run("systemctl reload matrixhubd")
    assert eventually(lambda: ask(port, "/api/models/org/tiny") == 401)
    configure(system, "matrixhubd.conf", text + "\nanonymous = perhaps")
    system.run("! systemctl reload matrixhubd")
    assert "/etc/matrixfs/matrixhubd.conf:4:" in journal(system, "-u matrixhubd")
    system.run("systemctl kill --signal=HUP matrixhubd")     # by hand: the hub finds out by itself
    system.eventually(lambda: "the configuration stays as it was" in journal(system, "-u matrixhubd -p err"),
                      "told")
    assert ask(port, "/api/models/org/tiny") == 401 and system.show("matrixhubd", "MainPID") == pid


def test_a_socket_starts_the_hub_and_keeps_who_comes_meanwhile(system, unit, hub_conf):
    listened = hub_conf[0]
    port = free_port()
    unit("matrixhubd.service", start=False)
    system.run("mkdir -p /run/systemd/system/matrixhubd.socket.d && printf '[Socket]\\nListenStream=\\nListenStream=127.0.0.1:"
               f"{port}\\n' > /run/systemd/system/matrixhubd.socket.d/test.conf && systemctl daemon-reload && systemctl start matrixhubd.socket")
    try:
        assert system.show("matrixhubd", "ActiveState") == "inactive"
        assert ask(port) == 200
        assert system.show("matrixhubd", "ActiveState") == "active"
        with pytest.raises(ConnectionRefusedError):
            ask(listened)
        restart = subprocess.Popen(["nsenter", "-t", str(system.first), "-m", "-p", "--root", "--wdns=/", "systemctl", "restart", "matrixhubd"])
        answers = [ask_again(port)]
        while restart.poll() is None:
            answers.append(ask_again(port))
        assert restart.wait(DEADLINE) == 0 and set(answers) == {200}
    finally:
        system.run("systemctl stop matrixhubd.socket matrixhubd; rm -r /run/systemd/system/matrixhubd.socket.d; systemctl daemon-reload")


def test_without_its_socket_a_restart_refuses_for_a_while(system, unit, hub_conf):
    """The twin of the one above."""
    port, _ = hub_conf
    unit("matrixhubd.service")
    system.run("systemctl stop matrixhubd")
    with pytest.raises(ConnectionRefusedError):
        ask(port)


@pytest.mark.parametrize("how", ["stopped", "well"])
def test_a_hub_that_no_longer_answers_is_started_anew(system, unit, hub_conf, how):
    port, _ = hub_conf
    unit("matrixhubd.service", "WatchdogSec=2")
    if how == "well":
        time.sleep(5)
    else:
        os.kill(main_pid(system, "matrixhubd"), signal.SIGSTOP)
        system.eventually(lambda: system.show("matrixhubd", "NRestarts") == "1", "a restart")
    system.eventually(lambda: system.show("matrixhubd", "ActiveState") == "active", "it serves")
    assert ask(port) == 200 and system.show("matrixhubd", "NRestarts") == str(int(how == "stopped"))


# ---- the units themselves ----

def test_systemd_has_nothing_to_say_about_the_units(system):
    assert system.run("systemd-analyze verify --man=no /usr/lib/systemd/system/matrix*") == ""


@pytest.mark.parametrize("name, most", [("matrixfs", 4.2), ("matrixhubd", 1.6)])
def test_what_they_may_is_little(system, name, most):
    said = system.run(f"systemd-analyze security --offline=yes /usr/lib/systemd/system/{name}.service --no-pager", check=False)
    level = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)[1])
    print(said)
    assert level <= most
