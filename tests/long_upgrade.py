"""Eight readers hash files across fifty upgrades, deaths among them, from one version of the program to another and back.

MATRIXFS_BEFORE is the program of an older version; without it all are this one.
"""
import itertools
import os
import pathlib
import shutil
import statistics

import pytest

import mountlib
from flow_upgrade import FILES, WAYS, hash_across  # noqa: F401 (the fixture tiny takes the FILES)
from holding import Held

ROUNDS = 50
BEFORE = pathlib.Path(os.environ.get("MATRIXFS_BEFORE", mountlib.PROGRAM)).resolve()


@pytest.mark.parametrize("ways", [("upgrade",), WAYS], ids=["upgrades", "deaths-among-them"])
@pytest.mark.parametrize("passthrough", [True, False], ids=["passthrough", "through-daemon"])
def test_fifty_upgrades(mount, tiny, hub, tmp_path, monkeypatch, passthrough, ways):
    versions, program = itertools.cycle((mountlib.PROGRAM, BEFORE)), tmp_path / "bin/matrixfs"
    program.parent.mkdir()
    shutil.copy(BEFORE, program)

    def install():
        shutil.copy(next(versions), program.with_name("new"))
        program.with_name("new").rename(program)
    monkeypatch.setattr(mountlib, "PROGRAM", program)
    m = mount(tiny, kind=Held, timeout=20, passthrough=passthrough)
    pauses = hash_across(m, hub, tmp_path, ROUNDS, ways=ways, before=install)
    assert m.served() == ROUNDS + 1 and not m.logged("cannot be taken over")
    print(f"pauses: median {statistics.median(pauses):.3f} s, longest {max(pauses):.3f} s")
    m.stop()
