"""The manual pages: each option has an entry where one looks for it, each section is there once."""
import pathlib
import re
import subprocess

import pytest

from hubd import HUBD
from mountlib import DEADLINE, PROGRAM

DOCS = pathlib.Path(__file__).parent.parent / "docs"
PAGES = sorted(p.name for p in DOCS.glob("*.[1-9]") if not p.read_text().startswith(".so "))
PROGRAMS = {"matrixfs.1": PROGRAM, "matrixhubd.1": HUBD}


def options(program):
    said = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=DEADLINE).stdout
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", said, re.M))


def text(page):
    return (DOCS / page).read_text().replace("\\-", "-")


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
