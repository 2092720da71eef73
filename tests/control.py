"""The control socket as a client sees it, and a strict reader of Prometheus' text format.

    c = Control(m)
    assert c.get("/v1/status")["pid"] == m.pid
    assert c.refused("GET", "/v1/nothing") == (404, "no_endpoint")
    assert c.metrics().value("reads_total", result="hit") == 3
"""
import http.client
import json
import os
import re
import socket

from mountlib import DEADLINE


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket file; its path may be longer than an address of one."""

    def __init__(self, path):
        super().__init__("control", timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        fd = os.open(self.path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{fd}/{self.path.name}")
        finally:
            os.close(fd)


class Control:
    """Of a Mount; with a port, its TCP address on loopback instead of the socket."""

    def __init__(self, m, port=None):
        self.path, self.port = m.cache / "control", port
        self.heard = []         # every answer, head and body

    def _open(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE) if self.port else _Connection(self.path)

    def ask(self, method, target, body=None):
        """(status, headers, text)"""
        connection = self._open()
        try:
            connection.request(method, target, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            text = answer.read().decode()
            self.heard.append(f"{answer.headers}{text}")
            return answer.status, answer.headers, text
        finally:
            connection.close()

    def get(self, target, method="GET", body=None, status=(200, 202)):
        got, headers, text = self.ask(method, target, body)
        assert got in status, (target, got, text)
        assert headers["Content-Type"] == "application/json"
        return json.loads(text)

    def post(self, target, body=None):
        return self.get(target, "POST", body)

    def refused(self, method, target, body=None):
        """(status, error) of a request that must fail."""
        status, headers, text = self.ask(method, target, body)
        assert status >= 400 and headers["Content-Type"] == "application/json", (target, status, text)
        answer = json.loads(text)
        assert answer["message"] and set(answer) == {"error", "message"}
        return status, answer["error"]

    def why(self, path):
        from urllib.parse import quote
        return self.get(f"/v1/why?path={quote(str(path))}")

    def transfers(self):
        return self.get("/v1/transfers")["transfers"]

    def events(self, job):
        """The events of a job, as they come, to the end: (event, job)."""
        connection = self._open()
        try:
            connection.request("GET", f"/v1/jobs/{job}/events")
            answer = connection.getresponse()
            assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
            event = None
            for line in answer:
                self.heard.append(line.decode())
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    yield event, json.loads(value)
        finally:
            connection.close()

    def finish(self, job):
        """The job after its end."""
        return [j for _, j in self.events(job["id"])][-1]

    def metrics(self):
        status, headers, text = self.ask("GET", "/metrics")
        assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Metrics(text)


NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = rf'({NAME})="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")


class Metrics:
    """The text format 0.0.4, read strictly: HELP and TYPE before the samples of a family, families in one piece, no
    sample twice, counters that end in _total, histograms whose buckets rise to their count."""

    def __init__(self, text):
        self.samples, self.types = {}, {}
        helped, family = None, None
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# HELP "):
                helped, help_text = line[7:].split(" ", 1)
                assert re.fullmatch(NAME, helped) and help_text.strip() and helped not in self.types, line
            elif line.startswith("# TYPE "):
                family, kind = line[7:].split(" ")
                assert family == helped and kind in ("counter", "gauge", "histogram"), line
                assert family.startswith("matrixfs_") and family.endswith("_total") == (kind == "counter"), line
                self.types[family] = kind
            else:
                self._sample(line, family)
        for name in (n for n, kind in self.types.items() if kind == "histogram"):
            self._check_histogram(name)

    def _sample(self, line, family):
        match = SAMPLE.fullmatch(line)
        assert match, line
        name = match[1]
        ends = ("_bucket", "_sum", "_count") if self.types[family] == "histogram" else ("",)
        assert name in [family + end for end in ends], line
        key = name, frozenset(m.groups() for m in re.finditer(LABEL, match[2] or ""))
        assert key not in self.samples, line
        self.samples[key] = float(match.groups()[-1])
        assert self.types[family] == "gauge" or self.samples[key] >= 0, line

    def _check_histogram(self, name):
        buckets = sorted((float(dict(labels)["le"]), v) for (n, labels), v in self.samples.items() if n == name + "_bucket")
        assert buckets[-1] == (float("inf"), self.samples[name + "_count", frozenset()])
        assert [v for _, v in buckets] == sorted(v for _, v in buckets)

    def value(self, name, **labels):
        """The sum of all samples of that name with these labels."""
        found = [v for (n, l), v in self.samples.items() if n == "matrixfs_" + name and set(labels.items()) <= l]
        assert found, (name, labels)
        return sum(found)
