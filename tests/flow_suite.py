"""What tools/suite makes of how huggingface_hub's own tests ended."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "suite"))
from run import LeftOut, judge  # noqa: E402


@pytest.fixture
def left_out(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("[a reason]\n!tests/test_c.py\ntests/test_a.py::*\ntests/test_b.py::test_one\n")
    return LeftOut(path)


def test_a_line_of_the_list_whose_tests_are_only_skipped_is_of_no_use(left_out):
    faults, told = judge(left_out, {"tests/test_a.py::test_x": ("skipped", "needs a key"), "tests/test_b.py::test_one": ("failed", "")})
    assert faults == [] and told == {"not run": {"needs a key": 1}, "left out": {"a reason": 1}}
    assert left_out.idle() == ["tests/test_a.py::*"] and left_out.files == {"tests/test_c.py": "a reason"}


def test_a_line_of_the_list_is_of_use_where_one_of_its_tests_fails(left_out):
    faults, told = judge(left_out, {"tests/test_a.py::test_x": ("skipped", ""), "tests/test_a.py::test_y": ("failed", ""),
                                    "tests/test_b.py::test_one": ("failed", "")})
    assert faults == [] and told["left out"] == {"a reason": 2} and left_out.idle() == []


def test_what_passes_though_it_is_in_the_list_and_what_fails_though_it_is_not_are_faults(left_out):
    faults, _ = judge(left_out, {"tests/test_b.py::test_one": ("passed", ""), "tests/test_b.py::test_two": ("failed", "why"),
                                 "tests/test_b.py::test_three": ("passed", "")})
    assert faults == [("tests/test_b.py::test_one", "passes, and is left out: a reason"), ("tests/test_b.py::test_two", "why")]
