"""What manifests and the Compose file have the programs start with is what the programs take."""
import json
import re
import subprocess

import pytest
import yaml

from hubd import HUBD
from mountlib import PROGRAM
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
