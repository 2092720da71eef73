"""What manifests and the Compose file have the programs start with is what the programs take; and a mount that is handed on to
other mount namespaces, as they do it."""
import json
import re
import subprocess

import pytest
import yaml

from conftest import why_not
from hubd import HUBD
from mountlib import PROGRAM, within
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
