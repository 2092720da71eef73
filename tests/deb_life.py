"""The Debian packages on a bare Debian that systemd runs: installed, run, removed, purged. By `make check-deb`."""
import re
import shutil
import subprocess

import pytest

import models
from booted import Booted, why_not
from flow_systemd import ask, configure, left, reads, status
from hub import Hub
from hubd import free_port
from mountlib import PROGRAM, eventually

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
ROOT = PROGRAM.parent.parent
FILES = {"config.json": b'{"model_type": "bert"}', "model.safetensors": models.big_file(3_000_000, seed=5)}
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
    system.run(INSTALL.replace("install -y", "install -y --reinstall"), seconds=300)
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
