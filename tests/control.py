"""Asks the control socket of a mount: docs/control.md says what it knows."""
import http.client
import json
import socket

from mountlib import eventually


class _Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def call(mount, method, path, **body):
    """(status, what the answer's JSON says) of one request."""
    connection = _Unix(str(mount.cache / "control"))
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        connection.close()


def job(mount, path, seconds=60, **body):
    """Starts a job and waits for its end; what is known of it then."""
    status, started = call(mount, "POST", path, **body)
    assert status in (200, 202), (status, started)
    last = {}

    def ended():
        last.update(call(mount, "GET", f"/v1/jobs/{started['id']}")[1])
        return last["state"] != "running"
    assert eventually(ended, seconds), last
    return last
