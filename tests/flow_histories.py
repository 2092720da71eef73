"""A few short histories of tests/histories.py; `make torture` runs more of them, and longer ones."""
import os

import pytest

from histories import Broken, history

SEEDS = [int(s) for s in os.environ.get("HISTORY_SEEDS", "7,8").split(",")]
STEPS = 25


@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_is_the_one_git_makes(seed, hubd, tmp_path):
    print(f"seed {seed}")
    try:
        history(seed, STEPS, hubd(), tmp_path)
    except Broken as error:
        pytest.fail(str(error), pytrace=False)
