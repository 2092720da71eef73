"""What tools/bench-peers measures: clusters of nodes on one machine, behind links that tests/relay.c makes slow, so that the
links are the bottleneck and not the processors. The rows of docs/peers.md, in order. Run by it, in the project's root."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import peers
from bench_lib import (BLOBS, DIR, Broken, Origin, clean_up, cpu_of, end_by_signals, in_turns, measure, median, row, run, warm_pages,
                       write_random)
from hub import Hub

SIZE = int(os.environ.get("SIZE", 256 << 20))           # of the model
GROWN_SIZE = int(os.environ.get("GROWN_SIZE", SIZE // 4))
NODES = int(os.environ.get("NODES", 100))
GROWTH = [10, 30, 100]
MOUNTS = 8
RATE = int(os.environ.get("RATE", 2_000_000))           # bytes a second of a node's link, each way
CROWD_RATE = int(os.environ.get("RATE", 800_000))       # of so many nodes that at 2 MB/s processors would be the bottleneck
FILES, READERS, STEP = 4, 2, 4 << 20
HOT_SIZE, SEGMENT, HOT_SECONDS = 256 << 20, 16 << 20, 3
REPO = "bench/model"
MOST = 1800                                             # seconds of one load
WORK = DIR / "peers"
TESTS = pathlib.Path("build/release/tests")
CLIENT = pathlib.Path(__file__).parent / "client.py"


def make_model(size):
    """A directory with so many random bytes in shards."""
    directory = WORK / f"model-{size}"
    if not directory.exists():
        directory.mkdir(parents=True)
        for n in range(FILES):
            write_random(directory / f"model-{n + 1:05d}-of-{FILES:05d}.safetensors", size // FILES)
    return directory


class Crowd:
    """One load of all nodes at once: its figures."""

    def __init__(self, count, size, rate=RATE, **kw):
        self.count, self.size, self.rate, model = count, size, rate, make_model(size)
        self.hub_rate = int(os.environ.get("UPSTREAM", 5 * rate))
        self.timeout = max(60, 60 * 2_000_000 // rate)      # seconds a read may wait: longer where links are slower
        nodes = WORK / "nodes"
        nodes.mkdir()
        warm_pages(*model.iterdir())
        try:
            with Hub() as hub:
                hub.repo(REPO).commit({p.name: p for p in model.iterdir()})
                with peers.Cluster(nodes, hub, count, up=rate, down=rate, upstream=self.hub_rate,
                                   timeout=self.timeout, **kw) as cluster:
                    begun = time.monotonic()
                    self.slowest = None
                    self.load(cluster, model)
                    self.seconds = time.monotonic() - begun
                    self.sent, self.asked = cluster.sent(), cluster.asked()
                    self.upstream = cluster.upstream_bytes()
                    self.got = sum(self.sent.values()) + cluster.relay.counts()[peers.HUB][1]
                    self.cpu = [cpu_of(f"/proc/{n.pid}/stat") for n in cluster.nodes]
                    self.memory = {key: max(n.memory(key) for n in cluster.nodes) for key in ("VmHWM", "VmRSS", "RssAnon")}
                    self.command = " ".join(str(a) for a in (cluster.nodes[0].talk or cluster.nodes[0].mount.process).args) \
                        if cluster.mounts else f"{count} of {peers.NODE.relative_to(pathlib.Path.cwd())}"
        finally:
            shutil.rmtree(nodes, ignore_errors=True)

    def load(self, cluster, model):
        loads = cluster.load(REPO, model, seconds=MOST, readers=READERS, step=STEP)
        self.slowest = max(load["slowest"] for load in loads)
        if bad := [load for load in loads if load["errors"] or load["wrong"] or load["bytes"] != self.size]:
            raise Broken(f"{len(bad)} of {self.count} nodes did not load all: {bad[0]}")

    @property
    def ideal(self):
        """Seconds that the narrowest link is busy at least: what all but one get from others leaves nodes, too."""
        return max(self.size / self.hub_rate, self.size / self.rate, (self.count - 1) * self.size / (self.count * self.rate))

    def label(self, who):
        """What it is called: a row says how fast its links were."""
        return f"{who}, {self.size >> 20} MiB, {self.rate / 1e6:g} MB/s"


class MountCrowd(Crowd):
    """The same by huggingface_hub on real mounts."""

    def load(self, cluster, model):
        python = pathlib.Path("build/venv/test/bin/python").absolute()
        words = [python, CLIENT, json.dumps([["snapshot", {"repo": REPO}]])]
        clients = []
        for node in cluster.nodes:
            env = {"PATH": os.environ["PATH"], "HOME": str(node.cache), "HF_HUB_CACHE": str(node.mount.hub),
                   "HF_ENDPOINT": cluster.hub_url, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
            clients.append(subprocess.Popen(list(map(str, words)), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        right = {p.name: run("sha256sum", p).split()[0] for p in model.iterdir()}
        for client in clients:
            out, err = client.communicate(timeout=MOST)
            if client.returncode or json.loads(out)[0].get("value", {}).get("files") != right:
                raise Broken(f"a client did not load all: {out} {err}")


def told_twice(crowd):
    row("  got by all nodes / what they read", crowd.got / 1e6, crowd.count * crowd.size / 1e6, unit="MB", at_most=1.02,
        commands=["what the relay took from nodes and from the hub, heads and lists included"])


def told(crowd, who):
    """The rows that a crowd's issue is about."""
    sent = max(crowd.sent.values())
    row(f"{crowd.label(who)}: upstream bytes / model", crowd.upstream / 1e6, crowd.size / 1e6, unit="MB", at_most=1.02,
        commands=[crowd.command, "bytes of bodies the hub sent"])
    row("  worst node's sent bytes / model", sent / 1e6, crowd.size / 1e6, unit="MB", at_most=3, commands=["what the relay took from it"])
    told_twice(crowd)
    row("  time / ideal of the narrowest link", crowd.seconds, crowd.ideal, unit="s", at_most=2,
        commands=[f"links of {crowd.rate / 1e6:g} MB/s each way, {crowd.hub_rate / 1e6:g} MB/s upstream"])
    if crowd.slowest:
        row(f"  slowest read of {STEP >> 20} MiB, of {crowd.timeout:.0f} s that it may take", crowd.slowest, unit="s", at_most=crowd.timeout,
            commands=["tests/peer_node.c"])
    row("  resident at most, worst node", crowd.memory["VmHWM"] / 1e6, unit="MB", at_most=30, commands=["VmHWM in /proc/PID/status"])
    row("  resident at the end, worst node", crowd.memory["VmRSS"] / 1e6, unit="MB", commands=["VmRSS"])
    row("  of it anonymous, worst node", crowd.memory["RssAnon"] / 1e6, unit="MB", commands=["RssAnon"])
    row("  requests to others, a node", sum(crowd.asked.values()) / crowd.count, unit="requests", commands=["turns at the relay"])
    row("  CPU, a node", sum(crowd.cpu) / crowd.count, unit="s", commands=["/proc/PID/stat"])


def crowd():
    """So many nodes load one model at once."""
    told(Crowd(NODES, SIZE, CROWD_RATE), f"{NODES} nodes")


def growth():
    """What grows with the number of nodes, and what must not."""
    asked, sizes = {}, sorted({min(n, NODES) for n in GROWTH})
    for count in sizes:
        seen = Crowd(count, GROWN_SIZE)
        asked[count] = sum(seen.asked.values()) / count
        row(f"{seen.label(f'{count} nodes')}: upstream bytes / model", seen.upstream / 1e6, GROWN_SIZE / 1e6, unit="MB", at_most=1.02)
        told_twice(seen)
        row("  time / ideal of the narrowest link", seen.seconds, seen.ideal, unit="s")
        row("  requests to others, a node", asked[count], unit="requests")
    first, last = sizes[0], sizes[-1]
    row(f"requests of a node, {last} nodes / {first} nodes", asked[last], max(1, asked[first]), unit="requests", at_most=2)


def mounts():
    """The crowd through FUSE."""
    told(MountCrowd(MOUNTS, SIZE, mounts=True), f"{MOUNTS} mounts, huggingface_hub")


def give_the_same(node, etag):
    """nginx gives the node's own file, whole and verified: of one that was written in larger pieces the kernel keeps larger pages."""
    deadline = time.monotonic() + MOST
    while not node.metrics().get("sealed_total"):
        if time.monotonic() > deadline:
            raise Broken("the node did not verify what it loaded")
        time.sleep(0.1)
    (BLOBS / etag).unlink()
    os.link(node.cache / "blobs" / etag[:2] / etag, BLOBS / etag)


def hot():
    """One peer's whole blob, against nginx with sendfile."""
    directory = WORK / "hot"
    directory.mkdir(parents=True)
    write_random(directory / "model.safetensors", HOT_SIZE)
    nodes = WORK / "hot-nodes"
    nodes.mkdir()
    with Origin(one=directory) as origin, Hub() as hub:
        commit = hub.repo(REPO).commit({"model.safetensors": directory / "model.safetensors"})
        with peers.Cluster(nodes, hub, 1, args=["--peer-connections=400"]) as cluster:
            node = cluster.nodes[0]
            if (seen := node.load(REPO))["errors"]:
                raise Broken(f"the node did not load: {seen['errors']}")
            etag = hub.repo(REPO).blob("model.safetensors").etag
            target = f"/peer/v1/blobs/{etag}?size={HOT_SIZE}&repo=models/{REPO}&commit={commit}&path=model.safetensors"
            give_the_same(node, etag)
            for clients in 1, 16, 64:
                common = ["-c", clients, "-t", HOT_SECONDS, "-b", SEGMENT, "-s", HOT_SIZE]
                host, _, port = node.listen.rpartition(":")
                ours = [DIR / "load", *common, "-k", cluster.key_file, "-a", node.address, host, port, target]
                theirs = [DIR / "load", *common, "127.0.0.1", origin.cdn.rpartition(":")[2], f"/still/{etag}"]
                peer, nginx = in_turns(lambda: speed(ours), lambda: speed(theirs), times=9)
                row(f"one peer's hot blob / nginx, {clients} clients", median(peer), median(nginx), at_least=0.95,
                    best=max(peer) / max(nginx), commands=[ours, theirs])
    shutil.rmtree(nodes, ignore_errors=True)


def speed(command):
    """GB/s of one run of bench_load, which must not have failed once."""
    requests, seconds, got, failures, *_ = map(float, run(*command).split())
    if failures or not got:
        raise Broken(f"{' '.join(map(str, command))}: {failures:.0f} failures of {requests:.0f} requests")
    return got / seconds / 1e9


def figures(program, *patterns):
    """What a program prints, and of each line that has one of these forms its figures."""
    text = run(TESTS / program)
    found = [[tuple(map(float, m)) for m in re.findall(pattern, text)] for pattern in patterns]
    if not all(found):
        raise Broken(f"{program} says nothing of what is wanted:\n{text}")
    print("\n".join(f"      {line}" for line in text.splitlines()))
    return found


def simulated():
    """Up to 10 000 nodes in virtual time, by the same source files."""
    form = r"(\d+) nodes x (\d+) segments, ([\d.]+) MB/s, (\d+) runs: upstream ([\d.]+) x model, worst sent ([\d.]+) x, time ([\d.]+) x"
    ends = r"ended (\d+) failed (\d+) unfinished (\d+)"
    loads, seen = figures("bench_swarm", form, ends)
    for (nodes, segments, rate, runs, upstream, sent, time_), (ended, *_) in zip(loads, seen, strict=True):
        if ended != nodes:
            raise Broken(f"of {nodes:.0f} simulated nodes {ended:.0f} have read all")
        size, ideal = segments * SEGMENT / 1e6, segments * SEGMENT / 1e6 / rate
        name = f"{nodes:.0f} nodes, simulated, {size / 1.048576:.0f} MiB, {rate:g} MB/s, {runs:.0f} runs at once"
        row(f"{name}: upstream bytes / model", upstream * size, size, unit="MB", at_most=1.02)
        row("  worst node's sent bytes / model", sent * size, size, unit="MB", at_most=3)
        row("  time / ideal of a node's link", time_ * ideal, ideal, unit="s")


def placement():
    """How evenly segments lie on nodes, and what it costs to find out."""
    one, many = figures("bench_placement", r"(\d+) nodes, one blob of (\d+) segments: max/mean ([\d.]+)",
                        r"(\d+) nodes, (\d+) blobs of (\d+) segments: max/mean ([\d.]+)")
    for (nodes, segments, ratio), (_, blobs, each, over_all) in zip(one, many, strict=True):
        mean = segments / nodes
        row(f"{nodes:.0f} nodes, one file of {segments:.0f} segments: the fullest / mean", ratio * mean, mean, unit="segments", at_most=1.15)
        row(f"  {blobs:.0f} files of {each:.0f} segments", over_all * mean, mean, unit="segments")


PARTS = {"crowd": crowd, "growth": growth, "mounts": mounts, "hot": hot, "simulated": simulated, "placement": placement}


def main():
    words = sys.argv[1:] or list(PARTS)
    if unknown := [w for w in words if w not in PARTS]:
        raise SystemExit(f"bench-peers: there is no part {' or '.join(unknown)}; there are {', '.join(PARTS)}")
    if shutil.disk_usage(DIR).free < NODES * SIZE + (2 << 30):
        raise SystemExit(f"bench-peers: too little room on the disk of {DIR}: SIZE=BYTES makes the model smaller")
    end_by_signals()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    try:
        measure([PARTS[word] for word in words])
    except (Broken, AssertionError, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench-peers: {error}", file=sys.stderr)
        return 1
    finally:
        clean_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
