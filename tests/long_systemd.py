"""Eight readers hash files across fifty restarts by systemd, with the unit as it is shipped, deaths among them.

The short form is in flow_systemd.py.
"""
import pytest

from flow_systemd import hash_across, models_of, murder, pytestmark, system, through_daemon, unit, upstream  # noqa: F401 (fixtures)

ROUNDS = 50


@pytest.mark.parametrize("how", ["through_daemon", "models_of"], ids=["through-daemon", "passthrough"])
@pytest.mark.parametrize("deaths", [False, True], ids=["restarts", "deaths-among-them"])
def test_fifty_restarts(system, unit, request, tmp_path, how, deaths):  # noqa: F811
    request.getfixturevalue(how)
    unit("matrixfs.service")
    changes = [lambda n=n: murder(system) if deaths and n % 2 else system.run("systemctl restart matrixfs") for n in range(ROUNDS)]
    assert hash_across(system, tmp_path, 8, changes) == [ROUNDS, 0]
