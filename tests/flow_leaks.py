"""Nothing leaks: mount after mount, and within one mount open after open. `make leaks` does it a thousand times."""
import contextlib
import os
import pathlib
import subprocess

import pytest

import models
from mountlib import DEADLINE, PROGRAM, daemons_of, eventually, mounts_below, read, stat, within, xattr

MOUNTS = int(os.environ.get("LEAK_MOUNTS", 20))
OPENS = int(os.environ.get("LEAK_OPENS", 2000))
BIG = models.big_file(2_600_000, seed=31)
RSS_SLACK = 3 << 20 if "san" not in str(PROGRAM) else 1 << 40     # the address sanitizer keeps what was freed


@pytest.fixture
def repo(hub):
    repo = hub.repo("org/leaks")
    repo.commit({"w.safetensors": BIG, "config.json": b"{}", "empty.txt": b""})
    return repo


@pytest.fixture
def connections(tmp_path):
    """The kernel's list of FUSE mounts, by their device's minor number."""
    where = tmp_path / "connections"
    where.mkdir()
    subprocess.run(["mount", "-t", "fusectl", "none", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)


def is_left(connections, minor):
    """True if a connection has no mount any more; its number may be another mount's by now."""
    with open("/proc/self/mountinfo") as f:
        mounted = {line.split()[2] for line in f}
    return (connections / str(minor)).exists() and f"0:{minor}" not in mounted


def children():
    return set(pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def test_mount_after_mount_leaves_nothing(hub, repo, mount, tmp_path, connections):
    """Each is used a little and stopped, or unmounted from outside; some are killed, and the next one cleans up."""
    (tmp_path / "models").mkdir()
    (tmp_path / "tmp").mkdir()
    kids, sizes = children(), []
    for n in range(MOUNTS):
        m = mount(hub, cache=tmp_path / "cache", root=tmp_path / "models", env={"TMPDIR": tmp_path / "tmp"},
                  passthrough=n % 2 == 0)
        minor = os.minor(within(DEADLINE, os.stat, m.root).st_dev)
        assert (connections / str(minor)).exists()
        assert read(m.file("org/leaks", "w.safetensors")) == BIG and read(m.file("org/leaks", "config.json")) == b"{}"
        if n % 5 == 4:
            m.crash()
            kind = "killed"
        elif n % 5 == 3:
            subprocess.run(["umount", m.root], check=True, timeout=DEADLINE)
            assert m._ended(DEADLINE) == 0
            kind = "unmounted"
        else:
            m.stop()
            kind = "stopped"
        assert not daemons_of(tmp_path), f"mount {n}, {kind}"
        if kind != "killed":
            assert not mounts_below(m.root), f"mount {n}, {kind}"
            assert eventually(lambda: not is_left(connections, minor)), f"mount {n}, {kind}: a connection is left"
        sizes.append(sum(1 for _ in m.cache.rglob("*")))
    m = mount(hub, cache=tmp_path / "cache", root=tmp_path / "models")
    m.stop()
    assert children() == kids
    assert not os.listdir(tmp_path / "tmp")
    assert max(sizes) <= sizes[0] + 2, f"files in the cache: {sizes}"


def figures(m):
    return m.anonymous(), m.fds(), m.threads()


def still(m, before):
    """No more descriptors and threads than before, but for a connection or a stream that comes and goes."""
    return m.fds() <= before[1] + 4 and m.threads() <= before[2] + 4


def test_open_after_open_leaves_nothing(hub, repo, mount):
    for passthrough in (True, False):
        m = mount(hub, passthrough=passthrough)
        path, small = m.file("org/leaks", "w.safetensors"), m.file("org/leaks", "config.json")
        commit = m.commit("org/leaks")

        def use(times):
            for n in range(times):
                fd = os.open(path if n % 3 else small, os.O_RDONLY)
                if n % 7 == 0:
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.pread(fd, 4096, n * 1009 % len(BIG))
                os.close(fd)
                if n % 50 == 0:
                    xattr(path, "user.matrixfs.sealed"), os.listdir(m.snapshot("org/leaks", commit)), read(m.ref("org/leaks"))
        assert read(path) == BIG and read(small) == b"{}"
        assert eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1")
        within(10 * DEADLINE, use, OPENS // 4)
        before = figures(m)
        within(10 * DEADLINE, use, OPENS)
        assert eventually(lambda: still(m, before)), f"{before} became {figures(m)}"
        assert m.anonymous() <= before[0] + RSS_SLACK, f"{before} became {figures(m)}"
        m.stop()


def test_reads_that_fail_leave_nothing(hub, repo, mount):
    """The twin of the above: nothing is had, so nothing may be kept."""
    m = mount(hub, timeout=1)
    path = m.file("org/leaks", "w.safetensors")
    stat(path)
    before = None
    with hub.fault("GET .*/resolve/", "status", code=404):
        for round in range(3):
            for _ in range(max(10, OPENS // 50)):
                with contextlib.suppress(OSError):
                    read(path, 0, 4096, step=4096)
            before = before or figures(m)
    assert eventually(lambda: still(m, before)), f"{before} became {figures(m)}"
    assert m.anonymous() <= before[0] + RSS_SLACK
    assert read(path) == BIG
