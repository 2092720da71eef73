"""Rows about matrixhubd: against nginx with the same files on the same machine, and of a thousand clients at once."""
import resource
import shutil
import subprocess
import urllib.request

from bench_lib import (BLOBS, CROWD_SIZE, DIR, MOST_SECONDS, NAME, RUNS, SIZE, Broken, Hubd, Origin, files, free_port, in_turns,
                       median, row, warm_pages, write_random)

SECONDS = 3
MANY, HALF = 64, 32
RANGE = 8 << 20
CROWD_PROCESSES, CROWD_CLIENTS = 10, 100
IDLE = 10000
STEPS = [("1 client", ["-c", 1]), (f"{MANY} clients", ["-c", MANY]), (f"{MANY} clients, ranges of 8 MiB", ["-c", MANY, "-b", RANGE])]


class Seen:
    """What bench_load printed of one run."""

    def __init__(self, line):
        self.requests, self.seconds, self.bytes, self.failures, self.median_ms, self.p99_ms, self.most_ms = map(float, line.split())
        self.rate, self.speed = self.requests / self.seconds, self.bytes / self.seconds / 1e9


def command(port, target, *options):
    return [str(c) for c in (DIR / "load", *options, "127.0.0.1", port, target)]


def load(port, target, *options):
    """One run of bench_load, which must not have failed once."""
    done = subprocess.run(command(port, target, *options), capture_output=True, text=True, timeout=MOST_SECONDS)
    if done.returncode != 0:
        raise Broken(f"{' '.join(command(port, target, *options))}: {done.stderr.strip()}")
    seen = Seen(done.stdout)
    if seen.failures or not (seen.requests or seen.bytes):
        raise Broken(f"{' '.join(command(port, target, *options))}: {seen.failures:.0f} failures of {seen.requests:.0f} requests")
    return seen


def port_of(url):
    return int(url.rpartition(":")[2])


def get(hubd, target):
    with urllib.request.urlopen(hubd.url + target, timeout=MOST_SECONDS) as answer:
        return answer.read()


def beside(hubd, name, target):
    """What the hub answers, as a file for nginx; its target there."""
    (BLOBS / name).write_bytes(get(hubd, target))
    return f"/still/{name}"


def show(port, target, options):
    return " ".join(["bench_load", *command(port, target, *options)[1:]])


# ---- against nginx ----

def hot_bytes(hubd, still):
    ours, theirs = f"/bench/one/resolve/main/{NAME}", f"/still/{next(BLOBS.iterdir()).name}"
    for what, options in STEPS:
        options = [*options, "-s", SIZE, "-t", SECONDS]
        hub, nginx = in_turns(lambda: load(hubd.port, ours, *options).speed, lambda: load(still, theirs, *options).speed, times=3 * RUNS)
        row(f"hub: hot file / nginx, {what}", median(hub), median(nginx), at_least=0.95, best=max(hub) / max(nginx),
            commands=[show(hubd.port, ours, options), show(still, theirs, options)])
    row("  memory of the hub, at most", hubd.memory("VmHWM") / 1e6, unit="MB", at_most=200, commands=["VmHWM in /proc/PID/status"])


def questions(hubd):
    """(what, target here, target at nginx, options)"""
    info, tree = "/api/models/bench/small", "/api/models/bench/small/tree/main?recursive=true"
    small = "/bench/small/resolve/main/file-000007.json"
    return [("HEAD of a file", small, beside(hubd, "small", small), ["-m", "HEAD"]), ("repo info", info, beside(hubd, "info", info), []),
            ("tree, recursive", tree, beside(hubd, "tree", tree), []),
            ("tree, recursive, gzip", tree, beside(hubd, "tree", tree), ["-f", "Accept-Encoding: gzip"])]


def metadata(hubd, still):
    for what, ours, theirs, more in questions(hubd):
        options = ["-c", MANY, "-t", SECONDS, *more]
        hub, nginx = in_turns(lambda: load(hubd.port, ours, *options).rate, lambda: load(still, theirs, *options).rate)
        row(f"hub: {what} / nginx, {MANY} connections", median(hub), median(nginx), "req/s", at_least=0.6, best=max(hub) / max(nginx),
            commands=[show(hubd.port, ours, options), show(still, theirs, options)])
        half = [*options, "-r", round(median(hub) / 2)]
        slow, other = in_turns(lambda: load(hubd.port, ours, *half).p99_ms, lambda: load(still, theirs, *half).p99_ms, times=3 * RUNS)
        row("  99 of 100 within, at half that load", median(slow), unit="ms", at_most=10,
            commands=[show(hubd.port, ours, half), f"nginx at the same rate: {median(other):.2f} ms"])


def against_nginx():
    with Origin(one="one", small="40") as origin:
        still = port_of(origin.cdn)
        with Hubd(origin) as hubd:
            row("hub: memory, idle", hubd.memory("VmRSS") / 1e6, unit="MB", at_most=25, commands=["VmRSS after the start"])
            load(hubd.port, f"/bench/one/resolve/main/{NAME}", "-n", 1)
            hubd.wait_sealed()
            warm_pages(files("one") / NAME)
            hot_bytes(hubd, still)
            metadata(hubd, still)
            idle_connections(hubd)


def idle_connections(hubd):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 100:
        print(f"(idle connections left out: no process may have more than {hard} descriptors)")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    words = command(hubd.port, "/api/models/bench/small", "-i", "-c", IDLE)
    client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if client.stdout.readline() != "idle\n":
            raise Broken("the idle connections were not opened")
        memory = hubd.memory("VmRSS")
        seen = Seen(client.communicate("\n", timeout=MOST_SECONDS)[0])
    finally:
        client.kill()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if seen.failures:
        raise Broken(f"{seen.failures:.0f} of the idle connections were closed")
    row(f"hub: memory, {IDLE} idle connections", memory / 1e6, unit="MB", at_most=150,
        commands=[show(hubd.port, "/api/models/bench/small", ["-i", "-c", IDLE])])


# ---- the audit trail ----

def audit():
    target, options = "/bench/small/resolve/main/file-000007.json", ["-c", MANY, "-t", SECONDS]
    with Origin(small="40") as origin, Hubd(origin, "--audit=on") as on, Hubd(origin, "--audit=off") as off:
        for what, more in (("HEAD", ["-m", "HEAD"]), ("small files", [])):
            ours, theirs = in_turns(lambda: load(on.port, target, *options, *more).rate, lambda: load(off.port, target, *options, *more).rate,
                                    times=3 * RUNS)
            row(f"hub: {what}, audit on / off", median(ours), median(theirs), "req/s", at_least=0.97, best=max(ours) / max(theirs),
                commands=[show(on.port, target, [*options, *more])])


# ---- a crowd ----

def crowd():
    """Each of a thousand clients compares every byte with the file."""
    directory = DIR / "crowd"
    directory.mkdir()
    write_random(directory / NAME, CROWD_SIZE)
    target, whole = f"/bench/one/resolve/main/{NAME}", directory / NAME
    options = ["-c", CROWD_CLIENTS, "-n", 1, "-x", whole]
    with Origin(one=directory) as origin, Hubd(origin) as hubd:
        words = command(hubd.port, target, *options)
        clients = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(CROWD_PROCESSES)]
        try:
            seen = [Seen(c.communicate(timeout=3600)[0]) for c in clients]
        finally:
            for c in clients:
                c.kill()
        sent, memory = origin.bytes_sent(), hubd.memory("VmHWM")
    right = sum(s.requests for s in seen)
    if right != CROWD_PROCESSES * CROWD_CLIENTS or any(s.failures for s in seen):
        raise Broken(f"{right:.0f} of the crowd got the right bytes")
    mib = CROWD_SIZE >> 20
    row(f"hub: upstream bytes / file, 1000 clients, {mib} MiB", sent / 1e6, CROWD_SIZE / 1e6, "MB", at_most=1.001,
        commands=[f"10 times: {show(hubd.port, target, options)}"])
    row("  memory of the hub, at most", memory / 1e6, unit="MB", at_most=200, commands=["VmHWM in /proc/PID/status"])
    row("  the last has all of it after", max(s.seconds for s in seen), unit="s")
    shutil.rmtree(directory)


def hub():
    against_nginx()
    crowd()
    audit()
