"""A cluster on one machine: nodes at loopback addresses of their own, each behind a link that can be slow, far away or broken.

    with Hub() as hub, Cluster(tmp_path, hub, 8, up=20e6) as cluster:
        loads = cluster.load("org/model", directory)            # all at once
        assert not any(load["wrong"] or load["errors"] for load in loads)
        assert hub.bytes_sent(path_re="/resolve/") <= 1.02 * size
        print(cluster.sent())                                   # bytes that left each node

A node is called by its relay's address, which its list of members has, so rates, delays and faults of the relay are its link's:
`up` is what it sends. What it gets (`down`) is told by the address its connections come from, which a shim gives them. The hub is
behind a link of its own, `upstream`. Nodes are tests/peer_node.c, the core without a mount, or (mounts=True) matrixfs.
"""
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import os
import pathlib
import re
import secrets
import select
import signal
import socket
import subprocess
import time

from mountlib import PROGRAM, Mount

BUILD = PROGRAM.parent / "release" if PROGRAM.parent.name == "build" else PROGRAM.parent
RELAY, NODE, SHIM = (BUILD / "tests" / name for name in ("relay", "peer_node", "shim_source.so"))
INSTRUMENTED = "san" in str(PROGRAM)    # a shim would come before the sanitizer, which has to be first
DEADLINE = 60
KEY = "first-key-of-the-cluster-0123456789"
HUB = "hub"                             # the name of its pair

_ports = itertools.count(os.getpid() * 13)


def why_not():
    """Why there can be no cluster here, or None."""
    for program in RELAY, NODE:
        if not program.exists():
            return f"{program} is missing: run make helpers"
    return None


class Talk:
    """A process that is asked by lines of its input; its answers are lines, each waited for with a deadline."""

    def __init__(self, argv, log, env=None):
        self.name, self.log_path, self.left = argv[0], pathlib.Path(log), b""
        with open(self.log_path, "ab") as err:
            self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err,
                                            env=env, bufsize=0)

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def hear(self, seconds=DEADLINE):
        until = time.monotonic() + seconds
        while b"\n" not in self.left:
            rest = until - time.monotonic()
            if rest <= 0 or not select.select([self.process.stdout], [], [], rest)[0]:
                raise TimeoutError(f"{self.name} said nothing for {seconds} s:\n{self.log_text()}")
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                raise AssertionError(f"{self.name} ended with {self.process.wait(DEADLINE)}:\n{self.log_text()}")
            self.left += piece
        line, _, self.left = self.left.partition(b"\n")
        return line.decode()

    def log_text(self):
        return self.log_path.read_text(errors="replace")[-5000:]

    def close(self, seconds=DEADLINE):
        """The end of its input; its exit status, which a signal that we sent is not to be."""
        if self.process.returncode is not None:
            return 0
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end in {seconds} s:\n{self.log_text()}") from None
        finally:
            self.process.stdout.close()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Relay(Talk):
    """tests/relay.c: its commands as calls, relay.hang("7"), relay.rate("*", 10**6, 0)."""

    def __init__(self, log):
        super().__init__([RELAY], log)

    def __getattr__(self, command):
        if command.startswith("_"):
            raise AttributeError(command)
        return lambda *words: self._ask(" ".join([command, *(str(int(w) if isinstance(w, float) else w) for w in words)]))

    def _ask(self, line):
        self.say(line)
        answer = self.hear()
        if not answer.startswith("ok"):
            raise ValueError(f"relay: {line}: {answer}")
        return answer[3:]

    def counts(self):
        """{pair: (bytes up, bytes down, connections, turns)}"""
        return json.loads(self._ask("count"))


class Caller:
    """A member as a reader of docs/peers.md writes one: it asks the member at an address, and gets its status and bytes."""

    def __init__(self, address, node, key=KEY):
        self.address, self.node = address, node
        self.secret = hmac.new(key.encode(), b"matrixfs-cluster-key-1", hashlib.sha256).digest()
        self.id = hmac.new(key.encode(), b"matrixfs-key-id-1", hashlib.sha256).hexdigest()[:8]

    def sign(self, target, span, ahead=0, zone="", to=None, method="GET"):
        """The fields of a request."""
        now, nonce, to = str(int((time.time() + ahead) * 1000)), secrets.token_hex(16), to or self.address
        words = ["matrixfs-peer-request-2", method, target, span, zone, self.node, to, now, nonce]
        mac = hmac.new(self.secret, "".join(f"{len(word)}:{word}\n" for word in words).encode(), hashlib.sha256).hexdigest()
        return {"Range": span, **({"Peer-Zone": zone} if zone else {}),
                "Authorization": f'MatrixFS key={self.id}, node="{self.node}", to="{to}", time={now}, nonce={nonce}, mac={mac}'}

    def send(self, target, fields):
        return self.ask(target, fields)[:2]

    def ask(self, target, fields, method="GET"):
        """Status, bytes, and the fields of the answer."""
        host, port = self.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE)
        try:
            connection.request(method, target, headers=fields)
            got = connection.getresponse()
            return got.status, got.read(), got.headers
        finally:
            connection.close()

    def get(self, target, first, last):
        """Asks again while the bytes are on their way."""
        status, data = 202, b""
        while status == 202:
            status, data = self.send(target, self.sign(target, f"bytes={first}-{last}"))
        return status, data


class Node:
    """One node; start() begins it, and again after kill() or stop() on the same cache."""

    def __init__(self, cluster, number):
        self.cluster, self.number, self.name = cluster, number, str(number)
        low = f"{number // 250}.{number % 250 + 1}"
        self.host, self.address = f"127.1.{low}", f"127.1.{low}:{cluster.port}"
        self.listen = f"127.2.{low}:{cluster.port}"
        self.cache = cluster.tmp / f"cache-{number}"
        self.talk = self.mount = None
        self.args, self.wrapper = [], []        # of this one alone; what runs it
        self.key_file = cluster.key_file

    def _env(self):
        return self.cluster.env | ({"LD_PRELOAD": str(SHIM), "SOURCE_SHIM": self.host} if self.cluster.shim else {})

    def start(self):
        args = [*self.cluster.peer_args(self), *self.cluster.args, *self.args]
        if self.cluster.mounts:
            self.mount = Mount(self.cluster.tmp, self.cluster.hub_url, cache=self.cache, args=args, env=self._env(),
                               timeout=self.cluster.timeout)
        else:
            log = self.cluster.tmp / f"node-{self.number}.log"
            argv = [*self.wrapper, NODE, f"--cache={self.cache}", f"--hub={self.cluster.hub_url}", f"--timeout={self.cluster.timeout}", *args]
            self.talk = Talk(argv, log, os.environ | self._env())

    def ready(self):
        if self.talk and (said := self.talk.hear()) != "ready":
            raise AssertionError(f"node {self.name} says {said}")

    @property
    def pid(self):
        return (self.mount or self.talk.process).pid

    def begin_load(self, repo, rev="main", readers=1, step=1 << 20, directory=None):
        self.talk.say(f"load {repo} {rev} {readers} {step} {directory or '-'}")

    def end_load(self, seconds=DEADLINE):
        """What the load that was begun gave: seconds, bytes, files, wrong, errors, VmHWM, VmRSS, RssAnon (kB), Threads."""
        return json.loads(self.talk.hear(seconds))

    def load(self, repo, directory=None, seconds=DEADLINE, **kw):
        self.begin_load(repo, directory=directory, **kw)
        return self.end_load(seconds)

    def metrics(self):
        """{"name{label=\\"word\\"}": value}"""
        self.talk.say("metrics")
        lines = iter(self.talk.hear, ".")
        return {m[1]: float(m[2]) for line in lines if (m := re.fullmatch(r"matrixfs_(\S+) (\S+)", line))}

    def peers(self):
        """{address: what it tells of that member}"""
        self.talk.say("peers")
        return {m["address"]: m for m in json.loads(self.talk.hear())["members"]}

    def answers(self):
        """What came of each question to a member, by its log at debug: (address, word), the words of daemon/peer/route.h."""
        return re.findall(r"peer=(\S+) .* answer=(\S+) ", self.talk.log_path.read_text())

    def forgive(self):
        """It takes back its bans: true if there was one."""
        self.talk.say("forgive")
        return self.talk.hear() == "forgiven"

    def memory(self, key="VmRSS"):
        """VmRSS, VmHWM or RssAnon, in bytes."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1]) * 1024

    def log_text(self):
        return self.mount.log_text() if self.mount else self.talk.log_text()

    def stop(self):
        """Ends it, which must go well."""
        if self.mount:
            self.mount.stop()
        elif self.talk and (status := self.talk.close()):
            raise AssertionError(f"node {self.name} ended with {status}:\n{self.talk.log_text()}")
        self.mount = self.talk = None

    def kill(self):
        if self.mount or self.talk:
            (self.mount or self.talk).kill()
        self.mount = self.talk = None

    def freeze(self):
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)

    # -- its link --

    def hang(self):
        self.cluster.relay.hang(self.name)

    def oneway(self):
        self.cluster.relay.oneway(self.name)

    def cut(self):
        self.cluster.relay.cut(self.name)

    def down(self):
        self.cluster.relay.down(self.name)

    def up(self):
        self.cluster.relay.up(self.name)

    def drip(self, bytes_per_s):
        """All it sends."""
        self.cluster.relay.rate(self.name, 0, bytes_per_s)


class Cluster:
    """n nodes before a hub; entered, they run.

    up, down: bytes a second that each node may send, and get; upstream: that the hub may send; 0: no limit. delay_ms: of each
    node's link, both ways. peers=False: none knows of others (the twin). members: what --peers says, instead of the list of all.
    args, env: more options for each node, and of its environment. start=False: nodes begin when they are told to.
    """

    def __init__(self, tmp, hub, n, up=0, down=0, upstream=0, delay_ms=0, peers=True, members=None, mounts=False, args=(),
                 timeout=30, keys=(KEY,), start=True, env=None):
        self.tmp, self.hub, self.peers, self.members = pathlib.Path(tmp), hub, peers, members
        self.mounts, self.args, self.timeout, self.begins = mounts, list(map(str, args)), timeout, start
        self.env = env or {}
        self.shim = SHIM.exists() and not INSTRUMENTED
        self.key_file = self.tmp / "cluster.key"
        self.write_key(*keys)
        self.port = self._free_port()
        self.nodes = [Node(self, i) for i in range(n)]
        self.relay = Relay(self.tmp / "relay.log")
        hub_at = f"127.3.0.1:{self.port}"
        self.hub_url = f"http://{hub_at}"
        self.relay.pair(HUB, hub_at, f"127.0.0.1:{hub.port}", 0, upstream, 0)
        for node in self.nodes:
            self.relay.pair(node.name, node.address, node.listen, 0, up, delay_ms)
            if down:
                self.relay.link(node.host, down)

    @staticmethod
    def _free_port():
        """One that is free at the first addresses, below those that the kernel gives to connections."""
        while True:
            port = 16384 + next(_ports) % 16384
            with contextlib.suppress(OSError), socket.create_server(("127.1.0.1", port)), socket.create_server(("127.3.0.1", port)):
                return port

    def write_key(self, *keys, path=None):
        """The first signs, all count."""
        path = path or self.key_file
        part = path.with_suffix(".part")
        part.write_text("".join(key + "\n" for key in keys))
        part.chmod(0o600)
        part.rename(path)
        return path

    def peer_args(self, node):
        if not self.peers:
            return []
        members = self.members or ",".join(n.address for n in self.nodes)
        return [f"--peer-listen={node.listen}", f"--peer-address={node.address}", f"--peers={members}",
                f"--cluster-key-file={node.key_file}"]

    def __enter__(self):
        try:
            if self.begins:
                self.start(*self.nodes)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.kill()
            return
        try:
            self.relay.up("*")          # what hangs would hold up those who stop
            for node in self.nodes:
                node.stop()
        finally:
            self.kill()

    def start(self, *nodes):
        for node in nodes:
            node.start()
        for node in nodes:
            node.ready()

    def kill(self):
        for node in self.nodes:
            node.kill()
        self.relay.kill()

    # -- loads --

    def load(self, repo, directory=None, nodes=None, seconds=DEADLINE, **kw):
        """All nodes (or those) load a repository at once, and compare it with the directory; what each tells."""
        self.begin(repo, directory, nodes, **kw)
        return self.end(nodes, seconds)

    def begin(self, repo, directory=None, nodes=None, **kw):
        """The first half of load()."""
        nodes = self.nodes if nodes is None else nodes
        for node in nodes:
            node.begin_load(repo, directory=directory, **kw)

    def end(self, nodes=None, seconds=DEADLINE):
        until = time.monotonic() + seconds
        return [node.end_load(max(0.1, until - time.monotonic())) for node in (self.nodes if nodes is None else nodes)]

    # -- what went where --

    def sent(self):
        """{node: bytes that left it}"""
        counts = self.relay.counts()
        return {node: counts[node.name][1] for node in self.nodes}

    def asked(self):
        """{node: requests made of it}"""
        counts = self.relay.counts()
        return {node: counts[node.name][3] for node in self.nodes}

    def upstream_bytes(self):
        """Of files, from the hub."""
        return self.hub.bytes_sent(path_re="/resolve/")

    # -- faults --

    def split(self, *groups):
        """Nodes of different groups do not reach each other; who is in none, and the hub, reaches all."""
        if not self.shim:
            raise RuntimeError("without the shim nobody knows who asks")
        for side, group in enumerate(groups, 1):
            for node in group:
                self.relay.side(node.host, side)

    def heal(self):
        for node in self.nodes:
            self.relay.side(node.host, 0)
