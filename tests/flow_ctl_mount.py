"""matrixctl on the machine of a mount: one screen of all, what is here and why, and what is done to it."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import pytest

import models
from control import Control
from flow_ctl_node import ask
from flow_hub_ctl import CTL, on_terminal
from mountlib import DEADLINE, eventually, freeze, read, within

MIB = 1 << 20
BIG = models.big_file(3 * MIB + 7, seed=411)
FILES = {"config.json": b"{}", "w.safetensors": BIG}
REPO = "org/tiny"


def run(*words, cwd=None, **env):
    done = subprocess.run([CTL, *map(str, words)], env={"PATH": os.environ["PATH"], "TZ": "UTC"} | env, capture_output=True, text=True,
                          timeout=DEADLINE, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def on_screen(words, lines=40, **env):
    """matrixctl whose output is a terminal of so many lines: its exit status, and what the terminal showed."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 100, 0, 0))
    child = subprocess.Popen([CTL, *map(str, words)], env={"PATH": os.environ["PATH"], "TERM": "xterm"} | env, stdout=side, stderr=side)
    os.close(side)
    seen = b""
    while True:
        try:
            if select.select([main], [], [], 0.05)[0]:
                seen += os.read(main, 65536)
            elif child.poll() is not None:
                break
        except OSError:
            break
    status = child.wait(DEADLINE)
    os.close(main)
    return status, seen.decode()


def node(m):
    return f"--node={m.cache}"


# ---- one screen ----

def test_status_is_one_screen_of_all(tiny, mount):
    m = mount(tiny, args=["--cache-min-free=1MiB"])
    status, out, err = run(node(m), "status")
    assert status == 0 and not err and len(out.splitlines()) < 24, out
    assert re.search(rf"^matrixfs +\d+\.\d+\.\d+, process {m.pid}, up 00:00:\d\d$", out, re.M)
    why_not = Control(m).get("/v1/status")["passthrough_why_not"]
    assert re.search(rf"^mount +{re.escape(str(m.root))}, passthrough {'off .' if why_not else 'on'}", out, re.M)
    assert re.search(rf"^cache +\[>? *\] +0 %  [\d.]+ K?i?B of [\d.]+ [GT]iB  {re.escape(str(m.cache))}$", out, re.M), out
    assert re.search(r"^disk +[\d.]+ [GT]iB of [\d.]+ [GT]iB free, 1.00 MiB stay so$", out, re.M)
    assert re.search(rf"^hub +{re.escape(tiny.url)} not asked yet$", out, re.M) and out.endswith("transfers    0\n")
    assert read(m.file(REPO, "w.safetensors")) == BIG
    assert f"hub          {tiny.url} ok\n" in run(node(m), "status")[1]
    answer = json.loads(run(node(m), "status", "--json")[1])
    assert answer["transfers"] == [] and answer["pid"] == m.pid and answer["used"]["cache_bytes"] >= len(BIG)
    assert answer["used"]["capacity_bytes"] > answer["used"]["cache_bytes"] and answer["used"]["disk_free_bytes"] > 0


def test_why_the_kernel_does_not_read_by_itself_is_told(tiny, mount):
    """The twin of the screen above: switched off, offline, and a hub that is down."""
    m = mount(tiny, passthrough=False)
    tiny.down()
    with pytest.raises(OSError):
        m.commit(REPO)
    out = run(node(m), "status")[1]
    assert "passthrough off (switched off)" in out and re.search(rf"^hub +{re.escape(tiny.url)} down: \S", out, re.M), out
    assert "offline" not in out and ", offline\n" in run(node(mount(tiny, args=["--offline"])), "status")[1]


def test_what_is_on_its_way_is_shown_with_its_rate(tiny, mount):
    m = mount(tiny)
    with tiny.fault("GET .*w.safetensors", "slow", rate=MIB):
        assert run(node(m), "pull", REPO, "--no-wait")[0] == 0
        want = re.compile(r"^transfers +1, [\d.]+ [KM]iB/s\n  models/org/tiny w\.safetensors \(background\)\n"
                          r"    \[=*> *\] +\d+ %  [\d.]+ [KM]iB of 3\.00 MiB  [\d.]+ [KM]iB/s  00:00:0\d", re.M)
        assert eventually(lambda: want.search(run(node(m), "status")[1]), DEADLINE, 0.1), run(node(m), "status")[1]
    assert eventually(lambda: "transfers    0" in run(node(m), "status")[1], DEADLINE, 0.1)


def test_colours_are_for_terminals_alone(tiny, mount):
    m = mount(tiny)
    status, seen = on_screen([node(m), "status"])
    assert status == 0 and "\x1b[1m" in seen and "\x1b[0m" in seen
    plain = re.sub(r"\x1b\[\d+m", "", seen).replace("\r\n", "\n")
    assert re.sub(r"up [\d:]+", "", plain) == re.sub(r"up [\d:]+", "", run(node(m), "status")[1])
    for env in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
        assert "\x1b" not in on_screen([node(m), "status"], **env)[1]


def test_top_looks_again_and_again(tiny, mount):
    m = mount(tiny)
    status, seen = on_screen([node(m), "top", "--count=2"], lines=5)
    assert status == 0 and seen.count("\x1b[H") == 2 and seen.startswith("\x1b[2J") and seen.endswith("\x1b[J\x1b[?7h")
    assert seen.count("\x1b[K") == 2 * 4                # no more lines than there is room for
    assert seen.count("\x1b[?7l") == seen.count("\x1b[?7h") == 2  # and none of them takes two
    status, out, _ = run(node(m), "top", "--count=2", "--json")
    assert status == 0 and [json.loads(line)["pid"] for line in out.splitlines()] == [m.pid] * 2
    assert "Nobody answers" in run(f"--node={m.cache}/none", "top", "--count=1")[2]


def test_a_node_is_found_where_it_is(tiny, mount, tmp_path):
    """By the directory of the cache, by its socket, by the environment; a hub that is named there goes first."""
    m = mount(tiny)
    for words, env in (["--node", m.cache], {}), (["--node", m.cache / "control"], {}), ([], {"MATRIXFS_NODE": str(m.cache)}):
        assert json.loads(run(*words, "status", "--json", **env)[1])["pid"] == m.pid
    both = {"MATRIXFS_NODE": str(m.cache), "MATRIXHUB_URL": "http://127.0.0.1:1"}
    assert "The hub at http://127.0.0.1:1" in run("status", **both)[2]
    assert run("ls", REPO, "--node", m.cache, **both)[0] == 1 and run("why", m.root, **both)[0] == 0
    assert "Nobody answers at /var/cache/matrixfs/control" in run("pin", REPO)[2] or os.path.exists("/var/cache/matrixfs/control")


# ---- what is here, and why ----

def test_what_is_known_here_is_listed_and_how_much_of_it_is(tiny, mount):
    m = mount(tiny)
    assert run(node(m), "ls") == (0, "", "")
    status, out, err = run(node(m), "ls", REPO)
    assert (status, out) == (1, "") and err == "matrixctl: ls: nothing of models/org/tiny is known here.\n"
    assert read(m.file(REPO, "config.json")) == b"{}"
    [repo] = json.loads(run(node(m), "ls", "--json")[1])["repos"]
    assert repo == {"repo": "models/" + REPO, "revision": "main", "commit": m.commit(REPO), "files": 2, "bytes": len(BIG) + 2,
                    "cached_bytes": repo["cached_bytes"]} and repo["cached_bytes"] >= 2
    assert read(m.file(REPO, "w.safetensors")) == BIG
    out = run(node(m), "ls", f"{REPO}@main")[1]
    assert re.search(r"^PATH +SIZE +PRESENT +PERCENT$", out, re.M) and re.search(r"^w\.safetensors +3\.00 MiB +3\.00 MiB +100$", out, re.M), out
    assert run(node(m), "ls", "--type=dataset")[1] == "" and "models/org/tiny" in run(node(m), "ls", "--type=model")[1]
    assert "nothing of models/org/tiny@v9 is known here" in run(node(m), "ls", f"{REPO}@v9")[2]
    assert Control(m).refused("GET", "/v1/files") == Control(m).refused("GET", "/v1/files?repo=a/b&type=x") == (400, "bad_request")


def test_a_hub_lists_what_it_knows_too(tiny, hubd):
    h = hubd(tiny)
    env = {"MATRIXHUB_URL": h.url, "MATRIXHUB_TOKEN_FILE": str(h.data / "admin.token")}
    assert run("pull", REPO, **env)[0] == 0
    assert json.loads(run("ls", "--json", **env)[1])[0]["id"] == REPO
    assert json.loads(run("ls", REPO, "--json", **env)[1])["commits"][0]["files"] == 2
    status, seen = on_screen(["top", "--count=1"], **env)
    assert status == 0 and "matrixhubd" in seen and "\x1b[H" in seen


def test_why_tells_of_a_file_by_any_of_its_names(tiny, mount):
    m = mount(tiny)
    path = m.file(REPO, "w.safetensors")
    assert re.search(r"^state +absent$", run(node(m), "why", path)[1], re.M)
    assert read(path) == BIG
    here = within(DEADLINE, run, node(m), "why", "w.safetensors", cwd=path.parent)
    assert here[0] == 0 and re.search(r"^state +(complete|sealed)$", here[1], re.M)
    assert json.loads(run(node(m), "why", path, "--json")[1])["present"] == len(BIG)
    status, out, err = run(node(m), "why", path.parent / "none")
    assert (status, out) == (1, "") and "there is no such path" in err


def test_why_waits_for_no_mount(tiny, mount):
    """Who stands in one that hangs is told by another all the same."""
    m, hanging = mount(tiny), mount(tiny)
    inside = subprocess.Popen(["bash", "-c", 'cd "$1"; echo in; read; shift; exec "$@"', "-", hanging.root, CTL, node(m), "why", "none/x"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert inside.stdout.readline() == "in\n"
    freeze(hanging.pid)
    try:
        assert "no such path" in within(DEADLINE, inside.communicate, "\n")[1] and inside.returncode == 1
    finally:
        os.kill(hanging.pid, signal.SIGCONT)


# ---- what is done to it ----

def test_what_is_pinned_stays_until_it_is_not(tiny, mount):
    m = mount(tiny)
    status, out, err = run(node(m), "pin", REPO)
    assert status == 0 and not err and re.search(r"^kind +pin\n", out, re.M) and re.search(r"^state +done$", out, re.M)
    assert [p["repo"] for p in Control(m).get("/v1/cache")["pins"]] == ["models/" + REPO]
    assert json.loads(run(node(m), "evict", REPO, "--json")[1]) == {"freed_bytes": 0}
    assert run(node(m), "unpin", REPO)[:2] == (0, "org/tiny is pinned no longer\n")
    assert "there is no such pin" in run(node(m), "unpin", REPO)[2]
    assert json.loads(run(node(m), "evict", REPO, "--json")[1])["freed_bytes"] >= len(BIG)
    assert "is known here" in run(node(m), "evict", "org/none")[2]
    assert run("--hub=http://127.0.0.1:1", "pin", REPO)[0] == 2


def test_a_pull_goes_on_where_it_was_and_shows_what_comes_now(hub, mount):
    """Half of it was here before: that is no rate of today. Without a terminal nothing is shown on the way."""
    half = {name: models.big_file(8 * MIB, seed=seed) for seed, name in enumerate(("a.bin", "b.bin"), 413)}
    hub.repo("org/half").commit(half)
    m = mount(hub, args=["--prefetch=no"])
    assert read(m.file("org/half", "a.bin")) == half["a.bin"]
    sent = hub.bytes_sent()
    with hub.fault("GET .*b.bin", "slow", rate=6 * MIB):
        status, out, seen = on_terminal([node(m), "pull", "org/half"], {"PATH": os.environ["PATH"]})
    assert status == 0 and "16.0 MiB" in out and hub.bytes_sent() - sent < 8.1 * MIB
    rates = [float(n) * {b"K": 1 / 1024, b"M": 1, b"G": 1024}[u] for n, u in re.findall(rb"of 16\.0 MiB  ([\d.]+) ([KMG])iB/s", seen)]
    assert rates and max(rates) < 2.5 * 6, seen
    status, out, err = run(node(m), "pull", "org/half")
    assert status == 0 and not err and re.search(r"^state +done$", out, re.M)


def test_what_rots_is_found_and_mended_or_told(tiny, mount):
    m = mount(tiny)
    assert run(node(m), "pull", REPO)[0] == 0
    etag = json.loads(run(node(m), "why", m.file(REPO, "w.safetensors"), "--json")[1])["etag"]
    status, out, _ = run(node(m), "scrub", "--json")
    found = json.loads(out)
    assert (status, found["repaired"], found["bad"]) == (0, 0, 0)
    with open(m.cached(etag), "r+b") as file:
        file.seek(MIB)
        file.write(b"rot")
    found = json.loads(run(node(m), "scrub", "--json")[1])
    assert found["repaired"] >= 1 and found["bad"] == 0 and read(m.file(REPO, "w.safetensors")) == BIG
