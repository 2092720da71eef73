"""Eight readers hash files across fifty restarts by systemd, with the unit as it is shipped, deaths among them.

The short form is in flow_systemd.py.
"""
import os
import signal
import time

import pytest

from flow_systemd import (BIG, MODEL, hash_across, journal, main_pid, models_of, murder, pytestmark, reads, system, through_daemon,  # noqa: F401 (fixtures)
                          unit, upstream)
from holding import Reader

ROUNDS = 50


@pytest.mark.parametrize("how", ["through_daemon", "models_of"], ids=["through-daemon", "passthrough"])
@pytest.mark.parametrize("deaths", [False, True], ids=["restarts", "deaths-among-them"])
def test_fifty_restarts(system, unit, request, tmp_path, how, deaths):  # noqa: F811
    request.getfixturevalue(how)
    unit("matrixfs.service")
    changes = [lambda n=n: murder(system) if deaths and n % 2 else system.run("systemctl restart matrixfs") for n in range(ROUNDS)]
    assert hash_across(system, tmp_path, 8, changes) == [ROUNDS, 0]


def test_a_program_that_cannot_begin_is_given_up_after_a_minute(system, unit, through_daemon):  # noqa: F811
    """Who waits gets an error then; the twin are the restarts above. As soon as it can begin again, it is mounted anew."""
    unit("matrixfs.service")
    with Reader(system.path(MODEL)) as reader:
        system.run("mv /usr/bin/matrixfs /usr/bin/well && printf '#!/bin/sh\nexit 1\n' > /usr/bin/matrixfs && chmod 755 /usr/bin/matrixfs")
        begun = time.monotonic()
        os.kill(main_pid(system, "matrixfs"), signal.SIGKILL)
        assert reader.ask("read", 0, len(BIG), seconds=150) == b""
        assert 50 < time.monotonic() - begun < 120
    assert "repeated too quickly" in journal(system, "-u matrixfs")
    system.run("mv /usr/bin/well /usr/bin/matrixfs; systemctl reset-failed matrixfs && systemctl start matrixfs")
    assert reads(system)
