"""Fixtures of the stories that need a real mount; and after each of them, nothing may be left."""
import functools
import os
import signal

import pytest

import mountlib
from hub import Hub
from hubd import Hubd
from mountlib import Mount
from nfs_wire import Export


# Stories, or forms of them, that take most of a minute and have a shorter form beside them: `make torture` tells them.
def pytest_configure(config):
    config.addinivalue_line("markers", "long: told by `make torture`, not by `make check`")


def why_not():
    """Why nothing can be mounted here, or None."""
    if not os.path.exists("/dev/fuse"):
        return "no /dev/fuse here: load the fuse module, or give the container the device"
    if os.geteuid() != 0:
        return "mounting needs root here: run as root"
    if not mountlib.PROGRAM.exists():
        return f"{mountlib.PROGRAM} is missing: run make"
    return None


def _sweep(directory):
    """Ends what a test left behind; what there was."""
    left = [f"matrixfs still runs (pid {pid})" for pid in mountlib.daemons_of(directory)]
    for pid in mountlib.daemons_of(directory):
        os.kill(pid, signal.SIGKILL)
    for path in mountlib.mounts_below(directory):
        left.append(f"still mounted: {path}")
        mountlib.lazy_umount(path)
    return left


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub


@pytest.fixture
def hubd(tmp_path):
    """hubd(upstream, …): a Hubd below tmp_path; at the end of the test each is stopped, which must go well."""
    made = []

    def factory(*args, **kw):
        made.append(Hubd(tmp_path, *args, **kw))
        return made[-1]
    yield factory
    for h in reversed(made):
        h.stop()


@pytest.fixture
def tiny(hub, request):
    """The hub with a small repository: the FILES of the story's module."""
    hub.repo("org/tiny").commit(request.module.FILES)
    return hub


@pytest.fixture
def mount(tmp_path):
    """mount(hub, …): a Mount below tmp_path. At the end of the test each is stopped, which must go well."""
    if reason := why_not():
        pytest.skip(reason)
    made = []

    def factory(*args, **kw):
        made.append(kw.pop("kind", Mount)(kw.pop("tmp", tmp_path), *args, **kw))
        return made[-1]
    yield factory
    errors = []
    for m in reversed(made):
        try:
            m.stop()
        except AssertionError as error:
            errors.append(str(error))
    errors += _sweep(tmp_path)
    assert not errors, "\n".join(errors)


@pytest.fixture
def export(mount):
    """export(hub, …): the same of an Export, which is no mount unless it is asked to be."""
    return functools.partial(mount, kind=Export)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A story that fails shows the logs of its mounts."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.when == "call":
        for value in _mounts(item):
            report.sections.append((f"log of {value.root}", value.log_text()[-20000:]))


def _mounts(item):
    factory = getattr(item, "funcargs", {}).get("mount")
    cells = getattr(factory, "__closure__", None) or ()
    return [m for cell in cells if isinstance(cell.cell_contents, list) for m in cell.cell_contents]
