"""build/matrixhubd as a process, and a client of its HTTP."""
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import tempfile
import threading
import types
import urllib.parse

from mountlib import DEADLINE, KEPT, PROGRAM, eventually

HUBD = pathlib.Path(os.environ.get("MATRIXHUBD", PROGRAM.parent / "matrixhubd")).resolve()


def free_port():
    """A port nobody has, and that the kernel gives to no connection meanwhile: it takes those from 32768 on."""
    while True:
        port = random.randrange(16384, 32768)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Answer(types.SimpleNamespace):
    """status, headers (names in small letters), body."""

    @property
    def json(self):
        return json.loads(self.body)


class Hubd:
    """matrixhubd on a data directory and a port of its own; made, it answers. upstream: a Hub, a URL, or a list of them."""

    def __init__(self, tmp, upstream=(), data=None, args=(), timeout=5, env=None, port=None):
        base = pathlib.Path(tempfile.mkdtemp(prefix="hubd-", dir=tmp))
        self.data = pathlib.Path(data) if data else base / "data"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        hubs = upstream if isinstance(upstream, (list, tuple)) else [upstream]
        self.argv = [str(HUBD), f"--data={self.data}", f"--listen=127.0.0.1:{self.port}", "--cache-min-free=0",
                     f"--timeout={timeout}", *(f"--upstream={getattr(h, 'url', h)}" for h in hubs), *map(str, args)]
        self.log, self.status = [], None
        env = {k: v for k, v in os.environ.items() if KEPT.fullmatch(k)} | {k: str(v) for k, v in (env or {}).items()}
        self.process = subprocess.Popen(self.argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace")
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        if not eventually(lambda: self.process.poll() is not None or self.logged("listening address="), DEADLINE, 0.01) \
                or self.process.poll() is not None:
            self.kill()
            raise AssertionError(f"matrixhubd did not start (status {self.process.poll()}):\n{self.log_text()}")

    def _collect(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def logged(self, pattern):
        return any(re.search(pattern, line) for line in list(self.log))

    def log_text(self):
        return "\n".join(self.log)

    @property
    def admin_token(self):
        return (self.data / "admin.token").read_text().strip()

    def ask(self, path, method="GET", body=None, token=None, **fields):
        """One request on a connection of its own; fields: X_Name="value" is X-Name. The path goes out as it is."""
        headers = {k.replace("_", "-"): v for k, v in fields.items()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            got = connection.getresponse()
            return Answer(status=got.status, headers={k.lower(): v for k, v in got.getheaders()}, body=got.read())
        finally:
            connection.close()

    def pages(self, path, token=None):
        """All items of a list, page after page, and how many pages there were."""
        items, pages = [], 0
        while path:
            got = self.ask(path, token=token)
            assert got.status == 200, got
            items += got.json
            pages += 1
            link = re.fullmatch(r'<(http://[^>]+)>; rel="next"', got.headers.get("link", ""))
            assert not link or link[1].startswith(self.url + "/"), link
            path = link and urllib.parse.urlsplit(link[1])._replace(scheme="", netloc="").geturl()
        return items, pages

    def stop(self, seconds=20):
        if self.status is not None:
            return
        self.process.terminate()
        try:
            self.status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"matrixhubd did not stop in {seconds} s\n{self.log_text()}") from None
        self._reader.join(5)
        assert self.status == 0, f"exit status {self.status}:\n{self.log_text()}"
        assert not self.logged(r"(?<!\.)\.\.$"), self.log_text()  # a sentence ends once

    def kill(self):
        if self.status is None:
            self.process.kill()
            self.status = self.process.wait(DEADLINE)
            self._reader.join(5)
