"""matrixctl about a machine: the configuration that is used and whether a file is right, and what bytes wait for."""
import json
import re
import shutil
import subprocess

import pytest

import models
from flow_ctl_mount import node, run
from flow_hub_ctl import CTL
from mountlib import DEADLINE, PROGRAM


FILES = {"config.json": b"{}", "w.safetensors": models.big_file((4 << 20) + 3, seed=441)}
REPO = "org/tiny"


def test_what_a_mount_runs_with_is_a_configuration_file(tiny, mount, tmp_path):
    """It is right when it is checked, and a mount that is started with it has the same."""
    (tmp_path / "token").write_text("hf_secret\n")
    m = mount(tiny, args=["--cache-size=3GiB", "--ref-ttl=5min", f"--token-file={tmp_path}/token", "--verify=strict", "--log-level=debug",
                          "--hub=http://127.0.0.1:1"])
    status, shown, err = run(node(m), "config", "show")
    assert status == 0 and not err and "hf_secret" not in shown
    lines = shown.splitlines()
    for line in f"hub = {tiny.url}", "hub = http://127.0.0.1:1", f"cache = {m.cache}", "cache-size = 3GiB", "ref-ttl = 5min", \
            "verify = strict", "log-level = debug", "# memory = 64MiB", "# offline = no", "# peers = ":
        assert line in lines, (line, shown)
    file = tmp_path / "matrixfs.conf"
    file.write_text(shown)
    assert run("config", "check", file) == (0, "The configuration is right.\n", "")
    parameters = {p["name"]: (p["value"], p["default"]) for p in json.loads(run(node(m), "config", "show", "--json")[1])["parameters"]}
    assert parameters["cache-size"] == ("3GiB", False) and parameters["memory"] == ("64MiB", True)
    assert parameters["hub"] == ([tiny.url, "http://127.0.0.1:1"], False) and parameters["peers"] == (None, True)


@pytest.mark.parametrize("program, text, words", [
    ("matrixfs", "cache-size = much\n", "cache-size"), ("matrixfs", "no-such = 1\n", "no-such"),
    ("matrixfs", "token-file = /nonexistent/token\n", "/nonexistent/token"), ("matrixfs", "nfs-allow = x\n", "nfs-allow"),
    ("matrixhubd", "listen = nowhere\n", "listen"), ("matrixhubd", "no-such = 1\n", "no-such"), ("matrixfs", None, "none.conf"),
    ("matrixhubd", "upstream-token-file = /nonexistent/token\n", "/nonexistent/token"),
    ("matrixfs", "cache-size = 1GiB\n", None), ("matrixhubd", "cache-size = 1GiB\n", None)])
def test_a_file_that_is_wrong_is_told_with_what(tmp_path, program, text, words):
    file = tmp_path / ("none.conf" if text is None else "x.conf")
    if text is not None:
        file.write_text(text)
    status, out, err = run("config", "check", file, f"--program={program}")
    if words is None:
        assert (status, out, err) == (0, "The configuration is right.\n", "")
    else:
        assert status == 1 and not out and words in err and re.fullmatch(r"matrixctl: config check: [^\n]+[.]\n", err), err
    status, out, _ = run("config", "check", file, f"--program={program}", "--json")
    answer = json.loads(out)
    assert answer["right"] is (words is None) and (answer["error"] is None) == (words is None) and answer["program"] == program


@pytest.mark.parametrize("program, text, words", [
    ("matrixhubd", "listen = nowhere\n", "listen"), ("matrixhubd", "no-such = 1\n", "no-such"),
    ("matrixhubd", "upstream-token-file = /nonexistent/token\n", "/nonexistent/token"),
    ("matrixhubd", "tls-cert = /nonexistent/cert\ntls-key = /nonexistent/key\n", "/nonexistent/"),
    ("matrixhubd", "cluster-key-file = /nonexistent/key\n", "/nonexistent/key"), ("matrixhubd", "cache-size = 1GiB\n", None),
    ("matrixfs", "nfs = 127.0.0.1:0\nnfs-key-file = /nonexistent/key\n", "/nonexistent/key"), ("matrixfs", "cache-size = 1GiB\n", None)])
def test_a_program_looks_at_what_it_would_begin_with(tmp_path, program, text, words):
    """And does nothing."""
    file, data = tmp_path / "x.conf", tmp_path / "data"
    file.write_text(f"{'data' if program == 'matrixhubd' else 'cache'} = {data}\n{text}")
    done = subprocess.run([PROGRAM.parent / program, f"--config={file}", "--check"], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == (2 if words else 0) and not data.exists()
    assert words in done.stderr if words else done.stdout == "The configuration is right.\n"


def test_a_program_that_says_much_is_waited_for_and_no_longer(tmp_path):
    """The twin says little."""
    ctl, program = shutil.copy(CTL, tmp_path), tmp_path / "matrixfs"
    for words in 5, 300_000:
        program.write_text(f"#!/bin/sh\nhead -c {words} /dev/zero | tr '\\0' x >&2\nexit 2\n")
        program.chmod(0o755)
        done = subprocess.run([ctl, "config", "check"], capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 1 and min(words, 60_000) <= done.stderr.count("x") <= 72_000


# ---- bench ----

def test_bench_leaves_free_what_is_to_stay_free(tiny, mount):
    """The twin is the next one."""
    m = mount(tiny)
    status, out, err = run(node(m), "bench", "--size=999999999")
    assert status == 1 and not out and "smaller --size" in err


def test_what_bytes_wait_for_is_told(tiny, mount):
    """A link that gives 3 MiB/s is the limit of it all, until a lower one is set."""
    m = mount(tiny)
    status, out, err = run(node(m), "bench", "--size=2")
    assert status == 0 and not err and re.search(r"^link +not measured: name a REPO$", out, re.M) and "rate limit  none\n" in out
    assert re.search(r"^disk write +[\d.]+ [KMGT]iB/s  \([\d.]+ Gbit/s\)$", out, re.M)
    assert re.search(r"^New bytes come no faster than: (disk write|sha-256)$", out, re.M)
    with tiny.fault("GET .*w.safetensors", "slow", rate=3 << 20):
        answer = json.loads(run(node(m), "bench", REPO, "--size=2", "--json")[1])
    assert answer["slowest"] == "link" and 1 << 20 < answer["link_bytes_per_second"] < 5 << 20, answer
    assert answer["limit_bytes_per_second"] == 0 and min(answer["disk_write_bytes_per_second"], answer["sha256_bytes_per_second"]) > 5 << 20
    status, out, err = run(node(m), "bench", REPO, "--size=1")
    assert status == 1 and "All of org/tiny is here: evict it first" in err
    assert run(node(m), "bench", "org/none", "--size=1")[0] == 1
