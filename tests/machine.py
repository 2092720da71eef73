"""A small virtual machine with a Linux kernel of its own, made of what tools/nfs-kernel left in build/nfs-kernel.

    with Machine(tmp_path) as vm:
        assert vm.run("uname -r").text
        vm.begin("cat /mnt/big | sha256sum > /tmp/sum")     # beside what is run next
        vm.sh("test -s /tmp/sum")                           # which must go well

It computes by itself, some thirty times slower than this one; to it we are 10.0.2.2. Nothing in it waits without end: a
command that takes too long ends the story, with what the kernel has said.
"""
import ctypes
import itertools
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
import types

DIR = pathlib.Path(__file__).parent.parent / "build" / "nfs-kernel"
HOST = "10.0.2.2"
QEMU = "qemu-system-x86_64"
BOOT = 120
COMMAND = 60


def why_not():
    """Why there is no such machine here, or None."""
    if not shutil.which(QEMU):
        return f"no {QEMU} here: run tools/nfs-kernel"
    if not (DIR / "root.cpio").exists():
        return f"{DIR} is not made: run tools/nfs-kernel"
    return None


def _end_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG


class Machine:
    def __init__(self, directory, memory=1024):
        self.said = pathlib.Path(directory) / "console.log"
        self.argv = [QEMU, "-accel", "tcg,thread=multi", "-cpu", "max,-cx16,la57=off", "-smp", "2", "-m", str(memory),
                     "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                     "-kernel", str(DIR / "vmlinuz"), "-initrd", str(DIR / "root.cpio"),
                     "-append", "console=ttyS0 loglevel=5 panic=-1 mitigations=off random.trust_cpu=on",
                     "-drive", f"file={DIR / 'disk.img'},if=none,id=disk,format=raw,readonly=on", "-device", "virtio-blk-pci,drive=disk",
                     "-serial", f"file:{self.said}", "-chardev", "stdio,id=talk,signal=off", "-serial", "chardev:talk",
                     "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}, preexec_fn=_end_with_us)
        self.lines, self.numbers = queue.Queue(), itertools.count(1)
        threading.Thread(target=self._collect, daemon=True).start()
        begun = time.monotonic()
        self._until(r"\[ready\]", BOOT)
        self.boot_seconds = time.monotonic() - begun

    def _collect(self):
        for line in self.process.stdout:
            self.lines.put(line.decode(errors="replace").rstrip("\r\n"))
        self.lines.put(None)

    def _until(self, pattern, seconds):
        """(what came before the line that is this, its match)"""
        until, before = time.monotonic() + seconds, []
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                self._give_up(f"nothing like {pattern} in {seconds} s", before)
            if line is None:
                self._give_up("the machine has ended", before)
            if found := re.search(pattern, line):
                return before + [line[:found.start()]], found
            before.append(line)

    def _give_up(self, why, before):
        kernel = self.said.read_text(errors="replace")[-6000:] if self.said.exists() else ""
        self.close()
        raise AssertionError("\n".join([why, *before[-50:], "-- what its kernel said:", kernel]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait(20)

    # -- what is done in it --

    def run(self, command, seconds=COMMAND):
        """A line of shell: .status, .text (of both outputs), .seconds."""
        number, begun = next(self.numbers), time.monotonic()
        assert "\n" not in command
        self.process.stdin.write(f"( {command} ) 2>&1 < /dev/null; echo \"[ended {number} $?]\"\n".encode())
        self.process.stdin.flush()
        before, found = self._until(rf"\[ended {number} (\d+)\]", seconds)
        return types.SimpleNamespace(status=int(found[1]), text="\n".join(before).strip("\n"), seconds=time.monotonic() - begun)

    def sh(self, command, seconds=COMMAND):
        """What it prints; it must go well."""
        done = self.run(command, seconds)
        assert done.status == 0, f"{command}: status {done.status}\n{done.text}\n{self.kernel()}"
        return done.text

    def begin(self, command):
        self.sh(f"( {command} ) > /dev/null 2>&1 &")

    def kernel(self):
        """The last that its kernel has said."""
        return "\n".join(self.run("dmesg | tail -15").text.splitlines())
