"""The manual pages: each option has an entry where one looks for it, each section is there once."""
import pathlib
import re
import subprocess

import pytest

from flow_hub_ctl import CTL, commands
from hubd import HUBD
from mountlib import DEADLINE, PROGRAM

DOCS = pathlib.Path(__file__).parent.parent / "docs"
PAGES = sorted(p.name for p in DOCS.glob("*.[1-9]") if not p.read_text().startswith(".so "))
PROGRAMS = {"matrixfs.1": PROGRAM, "matrixhubd.1": HUBD}


def options(program, *words):
    said = subprocess.run([program, *words, "--help"], capture_output=True, text=True, timeout=DEADLINE).stdout
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", said, re.M))


def text(page):
    return (DOCS / page).read_text().replace("\\-", "-")


def entries(page):
    """{its head: its text} of a page's commands, those of their options among it."""
    parts = re.split(r"^\.It Cm ", text(page).split(".Sh COMMANDS")[1].split("\n.Sh ")[0], flags=re.M)[1:]
    return {re.sub(r" (Op )?Ar .*| Op .*", "", head): body for head, body in (part.split("\n", 1) for part in parts)}


def told(body):
    """The options that are at the head of entries."""
    return {option for line in re.findall(r"^\.It (.*)", body, re.M) for option in re.findall(r"(?<![\w-])-([a-z][a-z-]+)", line)}


@pytest.mark.parametrize("page", PAGES)
def test_a_section_is_there_once(page):
    sections = re.findall(r"^\.S[hH] (.*)$", text(page), re.M)
    assert sections[:1] == ["NAME"] and len(set(sections)) == len(sections)


@pytest.mark.parametrize("page", PROGRAMS)
def test_an_option_has_its_own_entry(page):
    known = options(PROGRAMS[page])
    assert len(known) > 30 and known - told(text(page)) == set()


def test_a_command_s_options_are_in_its_entry():
    every, found = options(CTL), entries("matrixctl.1")
    assert commands() <= found.keys()
    for command in sorted(commands()):
        assert options(CTL, *command.split()) - every == told(found[command]), command
