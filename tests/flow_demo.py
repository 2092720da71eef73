"""tools/demo does what it says: a hub, a model in it, a mount over it, loads, and who got which bytes."""
import pathlib
import re
import subprocess

import pytest

DEMO = pathlib.Path(__file__).parent.parent / "tools" / "demo"
MODEL = 90_868_376


def run(*words):
    return subprocess.run([DEMO, *words], capture_output=True, text=True, timeout=100)


def test_the_demo_brings_a_model_once_and_shows_who_got_it():
    if not (DEMO.parent.parent / "build/model/model.safetensors").exists():
        pytest.skip("no build/model: make deps brings it where it can be had")
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    rows = dict(re.findall(r"^(alice, first load|alice, second load|bob, no upstream) +(.*)$", done.stdout, re.M))
    upstream, hub, requests, itself = zip(*(re.fullmatch(r"\S+ s +(\S+) MB +(\S+) MB +(\d+) +(yes|no)", row).groups() for row in rows.values()))
    assert upstream == ("0.0", "0.0", "0.0") and [float(h) >= MODEL / 1e6 - 0.1 for h in hub] == [True, False, True]
    assert int(requests[1]) < 4 < int(requests[0]) and itself == ("no", "yes", "no")
    told = re.findall(r" download .*(alice|bob) +(\S+) .*model.safetensors +86.7 MiB +done", done.stdout)
    assert sorted(told) == [("alice", "gpu-host"), ("bob", "laptop")] and re.search(r"^whole +yes$", done.stdout, re.M)
    assert not (DEMO.parent.parent / "build/demo").exists()


def test_the_demo_starts_nothing_for_words_it_does_not_know():
    done = run("--forever")
    assert done.returncode == 1 and "usage" in done.stderr and not done.stdout
