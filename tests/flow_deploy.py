"""What manifests and the Compose file have the programs start with is what the programs take; and a mount that is handed on to
other mount namespaces, as they do it."""
import base64
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
import yaml

from conftest import why_not
from holding import children
from hubd import HUBD, free_port
from mountlib import DEADLINE, PROGRAM, eventually, lazy_umount, mounts_below, read, within
from queries import DEPLOY

PROGRAMS = {"matrixfs": PROGRAM, "matrixhubd": HUBD}


def commands():
    """[(where, program, arguments)]"""
    found = []
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for o in yaml.safe_load_all(path.read_text()):
            for c in (o or {}).get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
                found.append((f"{path.name} {c['name']}", c["name"], c["args"]))
    for name, service in yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].items():
        words = " ".join(service["command"]).split("exec ")[-1].split()
        found += [(f"compose.yaml {name}", words[0], words[1:])] * (words[0] in PROGRAMS)
    words = json.loads(re.search(r"^CMD (.*)$", (DEPLOY / "Dockerfile").read_text(), re.M)[1])
    return [*found, ("Dockerfile", words[0], words[1:])]


def complaint(program, args):
    """What a program says of arguments behind which comes one that does not exist: it reads them in order."""
    args = [a.replace("$(POD_IP)", "192.0.2.1") for a in args if a.startswith("--")]
    ended = subprocess.run([PROGRAMS[program], *args, "--the-last"], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    return ended.stderr


@pytest.mark.parametrize("where, program, args", commands(), ids=lambda v: v if isinstance(v, str) else "")
def test_a_program_takes_what_it_is_started_with(where, program, args):
    assert len(args) >= 2 and "the-last" in complaint(program, args)


def test_an_option_that_does_not_exist_is_found():
    assert len(commands()) == 7
    for where, program, args in commands():
        assert "the-last" not in complaint(program, [args[0], "--no-such=1", *args[1:]])
    assert "the-last" not in complaint("matrixhubd", ["--anonymous=perhaps"])


def graces():
    """{where: seconds from SIGTERM to SIGKILL} of what runs a holder."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    found = {"compose.yaml": int(compose["mount"]["stop_grace_period"].removesuffix("s")),
             "values.yaml": yaml.safe_load((DEPLOY / "chart/values.yaml").read_text())["mount"]["gracePeriodSeconds"]}
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        found |= {path.name: o["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] for o in yaml.safe_load_all(path.read_text())
                  if o and o["kind"] == "DaemonSet"}
    return found


def test_a_holder_has_the_time_to_take_the_mount_away():
    """A daemon that hangs is killed by it, and not both of them from outside."""
    stop_ms = int(re.search(r"HOLDER_STOP_MS (\d+)", (DEPLOY.parent.parent / "fs/holder.h").read_text())[1])
    assert len(graces()) >= 3 and all(1000 * seconds >= stop_ms + 10_000 for seconds in graces().values()), graces()


# ---- a mount that is handed on: containers are mount namespaces here ----

FILES = {"config.json": b"{}"}
ASK = 'while read p; do echo "$(cat "$p" 2>&1)"; done'


class Reader:
    """A container that is there before the mount: bind-propagation of Docker, mountPropagation of Kubernetes."""

    def __init__(self, propagation):
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", propagation, "sh", "-c", ASK], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def cat(self, path):
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return within(60, self.process.stdout.readline).strip()

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture
def shared(tmp_path):
    """A directory as /var/lib/matrixfs/mnt is on a host: on a shared mount."""
    if reason := why_not():
        pytest.skip(reason)
    directory = tmp_path / "mnt"
    (directory / "models").mkdir(parents=True)
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    subprocess.run(["mount", "--make-shared", directory], check=True)
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


@pytest.fixture
def readers(shared):
    made = {"slave": Reader("slave"), "private": Reader("private")}
    for reader in made.values():
        assert reader.cat("/dev/null") == ""        # it has its namespace
    yield made
    for reader in made.values():
        reader.end()


def test_who_shares_the_directory_above_sees_mounts_come_go_and_come_again(tiny, mount, shared, readers):
    args = {"root": shared / "models", "wrapper": ["unshare", "-m", "--propagation", "unchanged"]}
    m = mount(tiny, **args)
    path = m.file("org/tiny", "config.json")
    assert readers["slave"].cat(path) == "{}"
    assert "No such file" in readers["private"].cat(path)      # the twin: without propagation nothing comes
    m.crash()
    assert "not connected" in readers["slave"].cat(path)
    again = mount(tiny, cache=m.cache, **args)
    assert again.logged("took away the stale mount") and readers["slave"].cat(path) == "{}"


# ---- the chart's container: its command, with the volumes it has, in namespaces as a runtime makes them ----

# ROOT SHARED CACHE KEYS WORDS: a read-only root of its own, in which the volumes lie as the pod has them. As runtimes do, the
# old root is a slave before it goes, so that nothing that is unmounted there is unmounted on the host.
CONTAINER = """set -e
base=$1 shared=$2 cache=$3 keys=$4; shift 4
mount --make-private "$(findmnt -no TARGET -T "$base")"
mount -t overlay overlay -o lowerdir=/,upperdir="$base/upper",workdir="$base/work" "$base/root"
cd "$base/root"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind "$shared" mnt/matrixfs
mount --bind "$cache" var/cache/matrixfs
mount --bind "$keys" etc/matrixfs/peers
mount -o remount,bind,ro .
mount --make-private .
pivot_root . .old
mount --make-rslave .old
umount -l .old
exec "$@"
"""


def daemon_set():
    for o in yaml.safe_load_all((DEPLOY / "kubernetes/plain.yaml").read_text()):
        if o and o["kind"] == "DaemonSet":
            return o["spec"]["template"]["spec"]["containers"][0]


class Container:
    """The pod's container. Where the cluster has names, this host has addresses; all else is as it stands there."""

    def __init__(self, base, shared, hub):
        spec, ports = daemon_set(), {"9464": str(free_port()), "9980": str(free_port())}
        words = [re.sub(r"\b(9464|9980)\b", lambda m: ports[m[0]], w.replace("$(POD_IP)", "127.0.0.1")) for w in spec["args"]]
        words = [f"--hub={hub.url}" if w.startswith("--hub=") else w for w in words]
        self.probe, self.base = spec["readinessProbe"]["exec"]["command"], base
        into = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "unchanged", "bash", "-c", CONTAINER, "-"]
        self.process = subprocess.Popen([*into, base, shared, base.parent / "cache", base.parent / "keys", *spec["command"], *words],
                                        stderr=open(base.parent / "log", "a"))
        self.first = eventually(lambda: children(self.process.pid), DEADLINE)[0]
        assert eventually(self.is_ready, DEADLINE), (base.parent / "log").read_text()

    def is_ready(self):
        return subprocess.run(["nsenter", "-t", str(self.first), "--mount", "--pid", "--root", "--wdns=/", *self.probe],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE).returncode == 0

    def end(self, sig=signal.SIGKILL):
        """As a runtime ends one: by a signal to its first process; whoever is left in there goes with that."""
        if self.process.poll() is None:
            os.kill(self.first, sig)
        self.process.wait(DEADLINE)


@pytest.fixture
def container(tmp_path, shared, tiny):
    base = tmp_path / "container"
    for path in base, tmp_path / "cache", tmp_path / "keys":
        path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", base], check=True)
    for name in "root", "work", "upper/.old", "upper/mnt/matrixfs", "upper/var/cache/matrixfs", "upper/etc/matrixfs/peers", "upper/usr/bin":
        (base / name).mkdir(parents=True)
    shutil.copy(PROGRAM, base / "upper/usr/bin/matrixfs")
    key = tmp_path / "keys/cluster.key"
    key.write_bytes(base64.b64encode(os.urandom(32)))
    key.chmod(0o400)
    made = []

    def start():
        shutil.rmtree(base / "work")
        (base / "work").mkdir()
        made.append(Container(base, shared, tiny))
        return made[-1]
    yield start
    for c in made:
        c.end()
    for path in mounts_below(shared / "models"):
        lazy_umount(path)
    subprocess.run(["umount", "-l", base], check=True)


def test_the_chart_s_container_is_killed_and_another_one_takes_its_place(container, shared, readers, tmp_path):
    """Twins: its daemon dies, and the holder in there starts the next; all of it dies, and the mount is stale until the next container."""
    c, path = container(), shared / "models/files/org/tiny/config.json"
    assert readers["slave"].cat(path) == "{}" and "No such file" in readers["private"].cat(path)
    os.kill(children(c.first)[0], signal.SIGKILL)
    assert readers["slave"].cat(path) == "{}"

    c.end()
    assert "not connected" in readers["slave"].cat(path)
    assert b"not connected" in subprocess.run([w.replace("/mnt/matrixfs", str(shared)) for w in c.probe], capture_output=True, timeout=DEADLINE).stderr
    container()
    assert readers["slave"].cat(path) == "{}" and read(path) == b"{}"
    log = (tmp_path / "log").read_text()
    assert [log.count(text) for text in ("mounted mountpoint=", "took over mountpoint=", "took away the stale mount")] == [2, 1, 1]


def test_the_chart_s_container_that_is_told_to_end_leaves_nothing(container, shared, readers):
    c, path = container(), shared / "models/files/org/tiny/config.json"
    assert readers["slave"].cat(path) == "{}"
    c.end(signal.SIGTERM)
    assert "No such file" in readers["slave"].cat(path) and not mounts_below(shared / "models")
