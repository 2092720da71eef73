"""A few seeded lives of tests/torture.py; `make torture` runs more of them, and longer ones."""
import os

import pytest

from conftest import why_not
from torture import Broken, torture

SEEDS = [int(s) for s in os.environ.get("TORTURE_SEEDS", "14,17,102,201,50000").split(",")]
STEPS = 40


@pytest.mark.parametrize("seed", SEEDS)
def test_a_life(seed, tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    print(f"seed {seed}")
    try:
        torture(seed, STEPS, tmp_path)
    except Broken as error:
        pytest.fail(str(error), pytrace=False)
