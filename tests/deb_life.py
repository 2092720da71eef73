"""The Debian packages on a bare Debian that systemd runs: installed, run, removed, purged. By `make check-deb`."""
import re
import shutil
import subprocess

import pytest

import models
from booted import Booted, why_not
from flow_systemd import BIG, MODEL, ask, configure, left, reads, status, told
from hub import Hub
from holding import Reader
from hubd import free_port
from mountlib import PROGRAM, eventually

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
ROOT = PROGRAM.parent.parent
FILES = {"config.json": b'{"model_type": "bert"}', "model.safetensors": models.big_file(3_000_000, seed=5)}
AGAIN = "DEBIAN_FRONTEND=noninteractive apt-get install -y --reinstall --no-install-recommends /debs/*.deb"
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /debs/*.deb"


def bring(root):
    (root / "debs").mkdir()
    for deb in (ROOT / "build/deb").glob("*.deb"):
        if "dbgsym" not in deb.name:
            shutil.copy(deb, root / "debs")


@pytest.fixture
def system(tmp_path):
    subprocess.run([ROOT / "tools/deb", "root"], check=True)
    with Booted(tmp_path, lower=ROOT / "build/debian/root", prepare=bring) as system:
        yield system


@pytest.fixture
def upstream():
    with Hub() as hub:
        hub.repo("org/tiny").commit(FILES)
        yield hub


def test_a_life_from_install_to_purge(system, upstream):
    system.run(INSTALL, seconds=300)
    # Nothing begins before somebody said what it is to do.
    assert left(system) == [] and system.run("systemctl is-enabled matrixfs matrixhubd", check=False).split() == ["disabled"] * 2
    assert system.run("ldd /usr/bin/matrixfs | grep -cE 'fuse|microhttpd|not found'", check=False).strip() == "0"
    assert system.run("matrixfs --version && matrixhubd --version && matrixctl --version").count("\n") == 3

    port = free_port()
    configure(system, "matrixhubd.conf", f"upstream = {upstream.url}\nlisten = 127.0.0.1:{port}\ncache-min-free = 0")
    configure(system, "matrixfs.conf", f"hub = http://127.0.0.1:{port}\ncache-min-free = 0")
    configure(system, "second.conf", f"hub = {upstream.url}\ncache-min-free = 0")
    system.run("systemctl enable --now matrixhubd matrixfs matrixfs@second")
    assert ask(port) == 200 and reads(system) and reads(system, "/models-second")
    assert eventually(lambda: "1 hub, reachable" in status(system, "matrixfs")), status(system, "matrixfs")

    # The same version again: who runs is started anew, and conffiles stay.
    units = "matrixhubd", "matrixfs", "matrixfs@second"
    before = [system.show(name, "MainPID") for name in units]
    system.run(AGAIN, seconds=300)
    after = [system.show(name, "MainPID") for name in units]
    assert not set(before) & set(after) and "0" not in after
    assert reads(system) and reads(system, "/models-second")
    assert str(port) in system.run("cat /etc/matrixfs/matrixhubd.conf")

    said = system.run("apt-get remove -y matrixfs matrixhubd matrixctl", seconds=300)
    assert "removing the cache" not in said and left(system) == []
    assert "fuse.matrixfs" not in system.run("cat /proc/mounts")
    kept = system.run("ls -d /var/cache/matrixfs/blobs /var/lib/matrixhubd/cache /var/lib/matrixhubd/hub /etc/matrixfs/matrixfs.conf").split()
    assert len(kept) == 4

    said = system.run("apt-get purge -y matrixfs matrixhubd matrixctl", seconds=300)
    assert sorted(re.findall(r"removing the cache (\S+)", said)) == ["/var/cache/matrixfs", "/var/cache/matrixfs-second", "/var/lib/matrixhubd/cache"]
    assert "leaving uploads, accounts and audit trail in /var/lib/matrixhubd" in said
    assert system.run("ls /var/lib/matrixhubd/hub")
    assert system.run("ls -d /var/cache/matrixfs* /etc/matrixfs/matrix* /usr/bin/matrix* 2>/dev/null", check=False) == ""


def test_readers_go_on_across_upgrades_whatever_the_configuration_says(system, upstream):
    """One that is wrong costs the upgrade, not the mount: apt says what is wrong. The twin, where it is right, is first."""
    system.run(INSTALL, seconds=300)
    right = f"hub = {upstream.url}\ncache-min-free = 0\npassthrough = no"
    configure(system, "matrixfs.conf", right)
    system.run("systemctl start matrixfs")
    with Reader(system.path(MODEL)) as reader:
        for text, why in (right, None), ("no-such-thing = 1", "/etc/matrixfs/matrixfs.conf:1:"):
            configure(system, "matrixfs.conf", text)
            before = system.show("matrixfs", "MainPID")
            said = system.run(AGAIN, seconds=300)
            assert ("matrixfs.service stays the version it is" in said and why in said) if why else "stays" not in said
            assert (system.show("matrixfs", "MainPID") == before) == bool(why)
            assert reader.ask("read", 0, len(BIG)) == BIG == reader.ask("map", 0, len(BIG))
        configure(system, "matrixfs.conf", right)
        system.run("systemctl restart matrixfs")
        assert reader.ask("read", 0, len(BIG)) == BIG
    assert told(system) == [2, 1]


def test_a_hub_goes_on_as_it_is_where_its_configuration_is_wrong(system, upstream):
    system.run(INSTALL, seconds=300)
    port = free_port()
    # A key of its own: root, who upgrades, is not who reads it.
    system.run("install -m 600 -o matrixhubd -g matrixhubd /dev/stdin /etc/matrixfs/cluster.key <<'END'\n" + "5a" * 32 + "\nEND")
    right = f"upstream = {upstream.url}\nlisten = 127.0.0.1:{port}\ncache-min-free = 0\ncluster-key-file = /etc/matrixfs/cluster.key"
    configure(system, "matrixhubd.conf", right)
    system.run("systemctl start matrixhubd")
    for text, wrong in (right, False), (right + "\nanonymous = perhaps", True):
        configure(system, "matrixhubd.conf", text)
        before = system.show("matrixhubd", "MainPID")
        said = system.run(AGAIN, seconds=300)
        assert ("matrixhubd: it stays the version it is" in said and "/etc/matrixfs/matrixhubd.conf:5:" in said) == wrong
        assert (system.show("matrixhubd", "MainPID") == before) == wrong and ask(port) == 200


def test_who_holds_a_mount_without_a_unit_becomes_the_new_version(system, upstream):
    """A line of mount(8), and one whose configuration is no longer right."""
    system.run(INSTALL, seconds=300)
    configure(system, "matrixfs.conf", "cache-min-free = 0")
    configure(system, "own.conf", f"hub = {upstream.url}\ncache = /var/cache/matrixfs-own\ncache-min-free = 0")
    system.run(f"mkdir -p /models /mnt/own && mount -t fuse.matrixfs -o cache=/var/cache/matrixfs-mnt,passthrough=no {upstream.url} /models && "
               "matrixfs --background --config=/etc/matrixfs/own.conf /mnt/own")
    configure(system, "own.conf", "no-such-thing = 1")
    olds = "for p in $(ls -l /proc/[0-9]*/exe 2> /dev/null | sed -n 's|.* /proc/\\([0-9]*\\)/exe -> .*/matrixfs (deleted)|\\1|p'); do " \
           "tr '\\0' ' ' < /proc/$p/cmdline; echo; done"
    with Reader(system.path(MODEL)) as reader:
        said = system.run(AGAIN, seconds=300)
        assert said.count("stays the version it is") == 1 and "/etc/matrixfs/own.conf:1:" in said
        system.eventually(lambda: "/models" not in (said := system.run(olds, check=False)) and "own.conf" in said, "one is the new program")
        assert reader.ask("read", 0, len(BIG)) == BIG == reader.ask("map", 0, len(BIG))
    assert reads(system) and reads(system, "/mnt/own")
    system.run("umount /models /mnt/own")


def test_the_log_of_a_mount_in_the_background_is_turned_over(system, upstream):
    system.run(INSTALL, seconds=300)
    system.run(f"mkdir -p /models; matrixfs --background --hub={upstream.url} --cache-min-free=0 /models")
    log = "/var/cache/matrixfs/matrixfs.log"
    assert "mounted mountpoint=/models" in system.run(f"cat {log}")
    system.run("logrotate -f /etc/logrotate.d/matrixfs")
    assert system.run(f"cat {log}") == "" and "mounted" in system.run(f"zcat -f {log}.1*")
    system.run("umount /models")
    system.eventually(lambda: "unmount" in system.run(f"cat {log}"), "its last words")
    system.eventually(lambda: not left(system), "its end")


def test_a_purge_ends_where_caches_are_mount_points_or_links_or_in_use(system, upstream):
    system.run(INSTALL, seconds=300)
    system.run("mkdir -p /var/cache/matrixfs /data/cache/blobs && mount -t tmpfs tmpfs /var/cache/matrixfs && mkdir /var/cache/matrixfs/blobs && "
               "ln -s /data/cache /var/cache/matrixfs-second && systemctl enable matrixfs@second")
    system.run(f"mkdir -p /mnt/used; matrixfs --background --hub={upstream.url} --cache=/var/cache/matrixfs-used --cache-min-free=0 /mnt/used")
    said = system.run("apt-get purge -y matrixfs", seconds=300)
    assert "removing the cache /var/cache/matrixfs\n" in said and "/var/cache/matrixfs is left: is it a mount point?" in said
    assert "leaving the cache in /data/cache, which /var/cache/matrixfs-second leads to" in said
    assert "leaving the cache /var/cache/matrixfs-used: a process is using it" in said
    assert system.run("ls /var/cache/matrixfs /data/cache").split() == ["/data/cache:", "blobs", "/var/cache/matrixfs:"]
    assert reads(system, "/mnt/used")
    assert system.run("dpkg -l matrixfs 2>&1 | grep -c '^[a-z][a-z] '; ls /var/cache/matrixfs-second /etc/systemd/system/*.wants/matrixfs@*",
                      check=False).count("No such file") == 2
    system.run("umount /mnt/used")
    system.eventually(lambda: not left(system), "its end")


def test_autofs(system, upstream):
    """Lines as in docs/install.md: automount(8) mounts when somebody looks, and unmounts when nobody does any more."""
    system.run(INSTALL, seconds=300)
    configure(system, "matrixfs.conf", "cache-min-free = 0")
    system.run("echo '/hubs /etc/auto.matrixfs --timeout=2' > /etc/auto.master.d/matrixfs.autofs")
    url = upstream.url.replace(":", r"\:")
    system.run(f"echo 'models -fstype=fuse.matrixfs,cache=/var/cache/matrixfs-auto {url}' > /etc/auto.matrixfs && systemctl restart autofs")
    assert "fuse.matrixfs" not in system.run("cat /proc/mounts")
    assert reads(system, "/hubs/models")
    system.eventually(lambda: "fuse.matrixfs" not in system.run("cat /proc/mounts"), "unmounted when idle")
    system.run("systemctl stop autofs")
