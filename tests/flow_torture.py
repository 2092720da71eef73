"""A few seeded lives of tests/torture.py; `make torture` runs more of them, and longer ones."""
import os

import pytest

import libnfs
from conftest import why_not
from torture import Broken, torture

SEEDS = [int(s) for s in os.environ.get("TORTURE_SEEDS", "14,17,102,201,50000").split(",")]
NFS_SEEDS = [int(s) for s in os.environ.get("TORTURE_NFS_SEEDS", "3,16").split(",")]
STEPS = 40


def live(seed, tmp_path, **kw):
    if reason := why_not():
        pytest.skip(reason)
    print(f"seed {seed}")
    try:
        torture(seed, STEPS, tmp_path, **kw)
    except Broken as error:
        pytest.fail(str(error), pytrace=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_life(seed, tmp_path):
    live(seed, tmp_path)


@pytest.mark.skipif(bool(libnfs.why_not()), reason=str(libnfs.why_not()))
@pytest.mark.parametrize("seed", NFS_SEEDS)
def test_a_life_whose_readers_are_clients_of_nfs(seed, tmp_path):
    live(seed, tmp_path, nfs=True)
