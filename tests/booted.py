"""A system of its own, whose first process is systemd, for one test: in namespaces, over a root that is given back as it was.

    with Booted(tmp_path) as system:
        system.run("systemctl start matrixfs")
        assert "active" in system.run("systemctl is-active matrixfs")

It needs root, cgroup2 and overlayfs; nothing of it is seen outside but its files below the directory that is given.
"""
import os
import pathlib
import shutil
import subprocess
import time

BOOT = pathlib.Path(__file__).parent / "guest_boot"
DEADLINE = 60
# Units of the machine whose root is borrowed: none of them is this system's business.
TARGET = """[Unit]
Description=what a test wants
Requires=sysinit.target dbus.socket
After=sysinit.target dbus.socket
AllowIsolate=yes
"""
MASKED = """systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service systemd-random-seed.service
systemd-hwdb-update.service systemd-timesyncd.service systemd-resolved.service systemd-networkd.service
systemd-machine-id-commit.service systemd-binfmt.service systemd-pstore.service systemd-update-utmp.service
kmod-static-nodes.service apparmor.service keyboard-setup.service console-setup.service systemd-firstboot.service
systemd-journal-catalog-update.service ldconfig.service systemd-udevd-kernel.socket systemd-udevd-control.socket
dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount
sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount""".split()


def cgroup_root():
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(where)
    return None


def why_not():
    """Why no system can be booted here; None if one can."""
    if os.geteuid() != 0:
        return "not root"
    if not pathlib.Path("/lib/systemd/systemd").exists():
        return "no systemd is installed"
    if not pathlib.Path("/dev/fuse").exists():
        return "no /dev/fuse"
    if cgroup_root() is None:
        return "no cgroup2 is mounted"
    return None


class Booted:
    def __init__(self, tmp, lower="/", prepare=None):
        """lower: the root that is borrowed. prepare(directory): what is to be done with it before systemd begins."""
        self.tmp, self.lower, self.prepare = pathlib.Path(tmp), lower, prepare
        self.mount, self.process, self.first = self.tmp / "root", None, None
        self.cgroup = cgroup_root() / f"booted-{os.getpid()}-{id(self):x}"

    def __enter__(self):
        try:
            self._prepare()
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _prepare(self):
        self.mount.mkdir()
        (self.tmp / "over").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512M", "tmpfs", self.tmp / "over"], check=True)
        for name in "upper", "work":
            (self.tmp / "over" / name).mkdir()
        layers = f"lowerdir={self.lower},upperdir={self.tmp}/over/upper,workdir={self.tmp}/over/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.mount], check=True)
        units = self.mount / "etc/systemd/system"
        shutil.rmtree(units, ignore_errors=True)
        units.mkdir(parents=True)
        for name in MASKED:
            (units / name).symlink_to("/dev/null")
        (units / "test.target").write_text(TARGET)
        (self.mount / "etc/fstab").write_text("")
        (self.mount / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        if self.prepare:
            self.prepare(self.mount)

    def _boot(self):
        console = self.tmp / "console"
        console.touch()
        self.cgroup.mkdir()
        enter = f"echo $$ > {self.cgroup}/cgroup.procs; exec unshare --kill-child --fork --mount --pid --uts --ipc --cgroup " \
                f"--propagation private {BOOT} {self.mount} {console} test.target"
        with open(console, "a") as out:
            self.process = subprocess.Popen(["sh", "-c", enter], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + DEADLINE
        while not self._is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it did not boot:\n{console.read_text()[-4000:]}")
            time.sleep(0.05)

    def _is_up(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if not children:
            return False
        self.first = int(children[0])
        return self.run("systemctl is-active test.target", check=False).strip() == "active"

    def path(self, inside):
        """What lies in there, as seen from here."""
        return pathlib.Path(f"/proc/{self.first}/root{inside}")

    def run(self, command, check=True, seconds=DEADLINE):
        """What a shell in there prints."""
        into = ["nsenter", "-t", str(self.first), "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wdns=/"]
        done = subprocess.run([*into, "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb",
                               "sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=seconds)
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def show(self, unit, name):
        return self.run(f"systemctl show -P {name} {unit}").strip()

    def eventually(self, true, what, seconds=DEADLINE):
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}\n" + self.run("journalctl -b --no-pager | tail -50", check=False))
            time.sleep(0.1)

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
        for path in self.mount, self.tmp / "over":
            subprocess.run(["umount", "-l", path], stderr=subprocess.DEVNULL)
        for _ in range(100):
            left = sorted((p for p in self.cgroup.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts))
            for path in [*left, self.cgroup]:
                try:
                    path.rmdir()
                except OSError:
                    pass
            if not self.cgroup.exists():
                return
            time.sleep(0.05)
