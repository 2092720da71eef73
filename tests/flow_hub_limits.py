"""What matrixhubd and the control port of matrixfs do with clients that are slow, greedy or make no sense: raw sockets."""
import json
import socket
import time

import pytest

from hubd import Hubd
from mountlib import eventually

FILES = {"config.json": b"{}"}


@pytest.fixture
def h(tmp_path, hub):
    hub.repo("org/tiny").commit(FILES)
    made = Hubd(tmp_path, hub, args=["--address-connections=40"])
    yield made
    made.stop()


def dial(h):
    return socket.create_connection(("127.0.0.1", h.port), 10)


def hear(s):
    """All until the server closes the connection: status, head, body."""
    got = b""
    try:
        while part := s.recv(65536):
            got += part
    except ConnectionResetError:
        pass                                                     # it did not want to hear the rest
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), body


def says(h, request):
    with dial(h) as s:
        try:
            s.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return hear(s)


def test_a_body_is_taken_only_where_one_is_wanted(h):
    begun = time.monotonic()
    refused = says(h, b"GET /api/models HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    assert refused[0] == 413 and json.loads(refused[2]) == {"error": "the body of this request is too large"}
    assert "x-error-message: the body of this request is too large" in refused[1] and "x-error-code: too_large" in refused[1]
    paths = b"POST /api/models/org/tiny/paths-info/main HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    assert says(h, paths + b"Content-Length: 8388609\r\n\r\n")[0] == 413
    assert says(h, b"POST /no/such/place/at/all HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")[0] == 404
    wrong = says(h, b"POST /api/models HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    assert wrong[0] == 405 and "allow: get, head\r\n" in wrong[1]
    assert time.monotonic() - begun < 5                          # nobody waited for these bodies
    text = b"paths=config.json"
    got = says(h, paths + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
    assert got[0] == 200 and json.loads(got[2])[0]["path"] == "config.json"


def test_a_wrong_method_is_told_the_right_ones(h):
    for path, allow in {"/api/models/org/tiny/paths-info/main": "POST", "/healthz": "GET, HEAD",
                        "/org/tiny/resolve/main/config.json": "GET, HEAD"}.items():
        got = h.ask(path, "PATCH")
        assert got.status == 405 and got.headers["allow"] == allow and "cannot be done here" in got.json["error"]
    for path in ("/healthz", "/readyz", "/metrics", "/api/models", "/api/models/org/tiny", "/api/models/org/tiny/tree/main",
                 "/api/models/org/tiny/refs", "/org/tiny/resolve/main/config.json", "/org/tiny/raw/main/config.json"):
        head, got = h.ask(path, "HEAD"), h.ask(path)
        assert head.status == got.status == 200 and head.body == b"" and got.body
        assert head.headers["content-type"] == got.headers["content-type"], path


def test_heads_have_a_size_and_thousands_of_fields_are_answered_at_once(h):
    begun = time.monotonic()
    fields = b"&".join(b"a=b" for _ in range(1500))
    assert says(h, b"GET /api/models?" + fields + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == 200
    long = says(h, b"GET /api/models?" + fields + 2500 * b"&" + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert long[0] == 414 and long[1].count("application/json") == 1
    assert says(h, b"GET /" + 100000 * b"x")[0] == 414           # the library's own words
    assert says(h, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(9000)) + b"\r\n")[0] == 431
    assert time.monotonic() - begun < 10


def test_what_two_could_read_differently_is_refused(h):
    for body, status in {b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400, b"Transfer-Encoding: gzip, chunked\r\n\r\n": 501,
                         b"Content-Length: 1x\r\n\r\n": 400, b"Content-Length: -1\r\n\r\n": 400}.items():
        assert says(h, b"POST /api/models/org/tiny/paths-info/main HTTP/1.1\r\nHost: x\r\n" + body)[0] == status, body


def test_an_address_has_so_many_connections_and_the_rest_go_on(h):
    held = [dial(h) for _ in range(40)]
    for s in held:                                               # each is counted once it was answered
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in s.recv(4096)
    status, head, body = says(h, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 429 and "retry-after: 1" in head and json.loads(body)["error"] == "too_many_connections"
    held[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in held[0].recv(4096)                       # who is in stays in
    held.pop().close()
    assert eventually(lambda: says(h, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == 200, 5, 0.01)
    for s in held:
        s.close()


def test_who_is_silent_makes_room_for_who_is_not(tmp_path, hub):
    made = Hubd(tmp_path, hub, args=["--connections=32"])
    silent = [dial(made) for _ in range(100)]
    for s in silent[::2]:
        try:
            s.sendall(b"GET / HTTP/1.1\r\nHo")
        except OSError:
            pass                                                 # it was sent away already
    begun = time.monotonic()
    assert made.ask("/healthz").status == 200
    assert time.monotonic() - begun < 2
    assert silent[0].recv(1) == b""
    for s in silent:
        s.close()
    made.stop()
