"""What lint says of documents: nothing of those that are here, and something of each that is bent."""
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINT_PYTHON = ROOT / "build/venv/lint/bin/python"
LOOKED_AT = ("docs", "tools", "admin", "daemon", "fs", "tests", "systemd", "Makefile", "LICENSE")


@pytest.fixture
def copy(tmp_path):
    """The tree, of which docs/ may be changed."""
    for name in LOOKED_AT:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").unlink()
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for path in ROOT.glob("*.md"):
        shutil.copy(path, tmp_path)
    return tmp_path


def says(copy, *command, python=None):
    """What a tool prints in the copy; "" if all is well."""
    done = subprocess.run([*([python] if python else []), copy / command[0], *command[1:]], cwd=copy, capture_output=True, text=True, timeout=60)
    assert (done.returncode != 0) == (done.stdout != ""), done
    return done.stdout


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_documents_as_they_are_are_right(copy):
    assert [says(copy, *c) for c in (["tools/log-lines"], ["tools/links"], ["tools/picture", "--check"])] == ["", "", ""]


def test_a_line_of_the_log_that_is_not_in_the_table_or_not_in_the_source_is_told_of(copy):
    change(copy / "docs/log.md", "| `stopping` | info |", "| `stoping` | info |")
    assert "docs/log.md has no row of it: | `stopping` | info |" in says(copy, "tools/log-lines")
    assert "nothing logs that: `stoping` (info)" in says(copy, "tools/log-lines")


def test_a_line_of_the_log_with_two_rows_is_told_of(copy):
    row = "| `stopping` | info | Once more. | |\n"
    change(copy / "docs/log.md", "| `stopping` | info |", row + "| `stopping` | info |")
    assert "this line has a row already" in says(copy, "tools/log-lines")


def test_a_line_of_the_log_of_another_level_is_told_of(copy):
    change(copy / "docs/log.md", "| `cannot digest etag=… path=…` | error |", "| `cannot digest etag=… path=…` | warn |")
    assert len(says(copy, "tools/log-lines").splitlines()) == 2


def test_a_reason_that_is_worded_otherwise_is_told_of(copy):
    change(copy / "docs/log.md", "| `no such revision` | ENOENT |", "| `no such revision` | EIO |")
    assert len(says(copy, "tools/log-lines").splitlines()) == 2


@pytest.mark.parametrize("link, complaint", [
    ("[x](docs/none.md)", "docs/none.md does not exist"), ("[x](docs/nfs.md#nowhere)", "docs/nfs.md has no heading #nowhere"),
    ("[x](#nowhere)", "README.md has no heading #nowhere"), ("`tools/none.py`", "tools/none.py does not exist"),
    ("[x](docs/nfs.md#limits) [y](https://example.org/#z)", "")])
def test_a_link_that_leads_nowhere_is_told_of(copy, link, complaint):
    (copy / "README.md").write_text((ROOT / "README.md").read_text() + f"\n{link}\n")
    assert complaint in says(copy, "tools/links") and bool(complaint) == bool(says(copy, "tools/links"))


def test_a_picture_of_other_floors_is_told_of_and_made_anew(copy):
    change(copy / "docs/floors.txt", "daemon/base/own ", "daemon/base/owned ")
    assert "run tools/picture" in says(copy, "tools/picture", "--check")
    assert says(copy, "tools/picture") == says(copy, "tools/picture", "--check") == ""


@pytest.mark.parametrize("old, new, complaint", [
    ("alertname: MatrixfsWedged", "alertname: MatrixfsWedge", "MatrixfsWedged: no test of alerts_test.yaml has it raised"),
    ("alertname: MatrixfsDown", "alertname: MatrixfsGone", "MatrixfsGone: alerts_test.yaml waits for it, and there is no such alert"),
    ("a program that is down", "a program that was down", "")])
def test_an_alert_without_a_test_is_told_of(copy, old, new, complaint):
    (copy / "admin").unlink()
    shutil.copytree(ROOT / "admin/deploy", copy / "admin/deploy")
    (copy / "tests").unlink()
    (copy / "tests").mkdir()
    shutil.copy(ROOT / "tests/queries.py", copy / "tests")
    change(copy / "admin/deploy/prometheus/alerts_test.yaml", old, new)
    assert complaint in says(copy, "tools/queries", python=LINT_PYTHON) and bool(complaint) == bool(says(copy, "tools/queries", python=LINT_PYTHON))
