"""make install: what lies there runs from there, doing it twice changes nothing, and uninstalling leaves what people made."""
import os
import re
import runpy
import subprocess

import pytest

from mountlib import DEADLINE, PROGRAM

ROOT = PROGRAM.parent.parent
PROGRAMS = "matrixfs", "matrixhubd", "matrixctl"


def make(target, tmp_path, **places):
    words = [f"{name}={value}" for name, value in places.items()]
    # What make(1) tells the makes below it is not for this one.
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    done = subprocess.run(["make", "--no-print-directory", "-o", "all", "-C", ROOT, target, f"DESTDIR={tmp_path}/root", *words], env=env,
                          capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tree(tmp_path):
    """Each file with what it holds and may, each link with where it leads."""
    root = tmp_path / "root"
    return {str(p.relative_to(root)): os.readlink(p) if p.is_symlink() else (p.stat().st_mode, p.read_bytes())
            for p in root.rglob("*") if p.is_symlink() or p.is_file()}


@pytest.fixture(autouse=True)
def built():
    if PROGRAM.parent.name != "build":
        pytest.skip("only the plain build is installed")


def test_what_is_installed_runs_from_there_and_is_found(tmp_path):
    make("install", tmp_path, prefix="/usr")
    root = tmp_path / "root"
    for name in PROGRAMS:
        done = subprocess.run([root / "usr/bin" / name, "--version"], capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0 and done.stdout.startswith(name), done
        assert (root / f"usr/share/man/man1/{name}.1").exists()
    assert (root / "usr/share/man/man5/matrixfs.conf.5").exists() and (root / "usr/share/man/man5/matrixhubd.conf.5").exists()
    assert os.readlink(root / "sbin/mount.fuse.matrixfs") == "/usr/bin/matrixfs"
    units = root / "usr/lib/systemd/system"
    for name in "matrixfs.service", "matrixfs@.service", "matrixhubd.service":
        text = (units / name).read_text()
        assert "ExecStart=/usr/bin/" in text and "@bindir@" not in text and "@sysconfdir@" not in text
    assert (root / "etc/matrixfs/matrixfs.conf").exists() and (root / "usr/lib/sysusers.d/matrixhubd.conf").exists()


def test_documents_lie_where_links_among_them_lead(tmp_path, monkeypatch):
    make("install", tmp_path, prefix="/usr")
    links = runpy.run_path(ROOT / "tools/links")
    there = tmp_path / "root/usr/share/doc/matrixfs"
    monkeypatch.chdir(there)
    found = [(str(p.relative_to(there)), m[1]) for p in there.rglob("*.md") for m in links["LINK"].finditer(links["without_code"](p.read_text()))]
    assert len(found) > 100 and not [(path, links["wrong_with"](path, target)) for path, target in found if links["wrong_with"](path, target)]
    assert {p.name for p in there.rglob("*.json")} >= {"matrixfs.json", "matrixhubd.json"} and (there / "admin/deploy/prometheus/alerts.yaml").exists()


def lines_of(name):
    """What a unit says: its lines, the comments left out."""
    return [line for line in (ROOT / "systemd" / name).read_text().splitlines() if line and line[0] != "#"]


def test_a_mount_of_the_template_is_run_as_the_other_one():
    """They differ in what has a name in it, and in nothing else."""
    differ = [(a.split("=")[0], b.split("=")[0]) for a, b in zip(lines_of("matrixfs.service"), lines_of("matrixfs@.service"), strict=True) if a != b]
    keys = ["Description", "Environment", "EnvironmentFile", "ExecStart", "ExecReload", "LogExtraFields", "CacheDirectory"]
    assert differ == [(key, key) for key in keys]


def test_what_is_told_of_a_unit_that_is_kept_is_in_ours():
    """docs/upgrade.md shows lines of the unit, for those who write their own."""
    told = re.search(r"```\n\[Service\]\n(.*?)```", (ROOT / "docs/upgrade.md").read_text(), re.S)[1].splitlines()
    assert len(told) > 5 and set(told) <= set(lines_of("matrixfs.service"))


def test_the_pages_about_configuration_are_those_the_programs_make():
    for name in "matrixfs", "matrixhubd":
        done = subprocess.run([PROGRAM.parent / name, "--config-man"], capture_output=True, text=True, timeout=DEADLINE)
        assert done.stdout == (ROOT / f"docs/{name}.conf.5").read_text(), f"run: build/{name} --config-man > docs/{name}.conf.5"


def test_other_places_are_believed(tmp_path):
    make("install", tmp_path, prefix="/opt/m", bindir="/opt/m/tools", mandir="/opt/man", sysconfdir="/opt/etc", mountdir="/usr/sbin")
    root = tmp_path / "root"
    assert (root / "opt/m/tools/matrixctl").exists() and (root / "opt/man/man1/matrixctl.1").exists()
    assert os.readlink(root / "usr/sbin/mount.fuse.matrixfs") == "/opt/m/tools/matrixfs"
    unit = (root / "opt/m/lib/systemd/system/matrixfs@.service").read_text()
    assert "ExecStart=/opt/m/tools/matrixfs --config=/opt/etc/matrixfs/%i.conf" in unit
    assert sorted(os.listdir(root)) == ["opt", "usr"] and os.listdir(root / "usr") == ["sbin"]


def test_twice_is_as_once_and_uninstalling_leaves_nothing(tmp_path):
    make("install", tmp_path)
    first = tree(tmp_path)
    make("install", tmp_path)
    assert tree(tmp_path) == first
    make("uninstall", tmp_path)
    assert tree(tmp_path) == {}
    assert make("uninstall", tmp_path) == ""


def test_uninstalling_leaves_what_people_made(tmp_path):
    """Its twin is the one above, where nobody made anything."""
    make("install", tmp_path)
    mine = {"var/cache/matrixfs/blobs/b": b"bytes", "var/lib/matrixhubd/hub/data.mdb": b"rows", "etc/matrixfs/tokens": b"secret",
            "etc/matrixfs/matrixfs.conf": b"hub = https://hub.example.org\n"}
    for name, content in mine.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    make("install", tmp_path)
    said = make("uninstall", tmp_path)
    assert {name: content for name, (_, content) in tree(tmp_path).items()} == mine
    assert said.splitlines() == [f"kept, it was changed: {tmp_path}/root/etc/matrixfs/matrixfs.conf"]
