"""matrixhubd in operation: its stop, its signals, its health and its counters, TLS, a full disk."""
import http.client
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

import models
from control import Control
from hubd import Hubd, free_port
from mountlib import eventually

MIB = 1 << 20
BIG = models.big_file(8 * MIB + 77, seed=950)
FILES = {"config.json": b"{}", "w.safetensors": BIG}
FILE = "/org/tiny/resolve/main/w.safetensors"


def begin(port, path, token=None):
    """A request whose answer is read later."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    c.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    return c


def under_way(hub, n):
    return eventually(lambda: len(hub.requests()) >= n, 10, 0.01)


# ---- stopping ----

def test_an_idle_hub_stops_at_once(tiny, hubd):
    h = hubd(tiny, args=["--stop-timeout=60", f"--listen=127.0.0.1:{free_port()}"])
    idle = [socket.create_connection(("127.0.0.1", h.port)) for _ in range(5)]
    assert h.ask("/healthz").status == 200
    begun = time.monotonic()
    h.stop()
    assert time.monotonic() - begun < 2
    assert all(s.recv(1) == b"" for s in idle)


def test_parked_requests_at_several_doors_do_not_delay_a_stop(tiny, hubd):
    ports = [free_port() for _ in range(3)]
    h = hubd(tiny, args=["--stop-timeout=1", *(f"--listen=127.0.0.1:{p}" for p in ports)], timeout=60)
    with tiny.fault(".*", "hang"):
        asked = [begin(p, f"/api/models/org/parked-{p}-{i}") for p in (h.port, *ports) for i in range(2)]
        assert under_way(tiny, len(asked))
        begun = time.monotonic()
        h.stop()
        assert time.monotonic() - begun < 4
        assert {c.getresponse().status for c in asked} == {503}
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", h.port), 5)


def test_a_download_under_way_ends_before_the_hub(tiny, hubd):
    h = hubd(tiny, args=["--stop-timeout=30"])
    with tiny.fault("GET .*w.safetensors", "slow", rate=6 * MIB):
        got = begin(h.port, FILE).getresponse()
        first = got.read(100_000)
        stopping = threading.Thread(target=h.stop, args=(25,))
        stopping.start()
        assert eventually(lambda: h.logged("stopping"), 5, 0.01)
        with pytest.raises(OSError):
            while True:                                          # nobody else comes in
                socket.create_connection(("127.0.0.1", h.port), 5).close()
        assert first + got.read() == BIG
        stopping.join()


def test_a_download_that_takes_too_long_is_cut_off(tiny, hubd):
    h = hubd(tiny, args=["--stop-timeout=0"])
    with tiny.fault("GET .*w.safetensors", "slow", rate=MIB // 2):
        got = begin(h.port, FILE).getresponse()
        got.read(1000)
        h.stop()
        with pytest.raises(http.client.IncompleteRead):
            got.read()


@pytest.mark.parametrize("answers", [False, True])
def test_a_disk_that_hangs_holds_up_who_waits_for_it_and_nobody_else(tiny, hubd, answers):
    """A pipe among the segments of the trail: who opens it waits for a writer."""
    h = hubd(tiny, args=["--stop-timeout=0"])
    pipe = h.data / "audit" / "0000000009.jsonl"
    os.mkfifo(pipe)
    slow = begin(h.port, "/api/admin/v1/audit", h.admin_token)
    assert h.ask("/api/admin/v1/users", token=h.admin_token).status == 200
    assert h.ask("/api/admin/v1/users", "POST", b'{"name": "ann"}', token=h.admin_token).status == 201
    if answers:
        pipe.open("w").close()
    else:
        h.stop()
    assert slow.getresponse().status == (500 if answers else 503)   # a pipe is no segment after all
    h.stop()
    assert h.logged("something has not ended: it ends with the process") != answers
    assert '"act":"stop"' in (h.data / "audit" / "0000000001.jsonl").read_text().splitlines()[-1]


# ---- health and counters ----

def value(h, name, **labels):
    """The sum of the samples of this name that have these labels."""
    total = 0.0
    for line in h.ask("/metrics").body.decode().splitlines():
        key, _, number = line.rpartition(" ")
        if key.partition("{")[0] == f"matrixfs_{name}" and all(f'{k}="{v}"' in key for k, v in labels.items()):
            total += float(number)
    return total


def test_requests_are_counted_by_route_and_status(tiny, hubd):
    h = hubd(tiny)
    route = "/:prefix/:repo/resolve/:rev/:path"
    assert h.ask(FILE).body == BIG and h.ask(FILE, Range="bytes=0-9").status == 206
    assert h.ask("/org/tiny/resolve/main/none").status == 404 and h.ask("/nowhere").status == 404
    assert eventually(lambda: value(h, "http_requests_total", route=route) == 3, 5, 0.05)
    assert value(h, "http_requests_total", route=route, status="200") == 1
    assert value(h, "http_requests_total", route=route, status="206") == 1
    assert value(h, "http_requests_total", route="none", status="404") == 1
    assert value(h, "http_answer_seconds_count", route=route) == 3
    assert value(h, "http_sent_bytes_total") >= len(BIG) + 10
    assert len(BIG) <= value(h, "source_bytes_total", kind="upstream") <= 1.01 * len(BIG) + 4096
    assert value(h, "http_connections") >= 1 and value(h, "cache_bytes") >= len(BIG)
    assert value(h, "http_stale_answers_total") == 0
    text = h.ask("/metrics").body.decode()
    assert all(line.startswith("#") or len(line.rsplit(" ", 1)) == 2 for line in text.splitlines())
    assert "org/tiny" not in text


@pytest.mark.parametrize("ours", [True, False])
def test_what_a_mount_has_from_a_hub_of_ours_has_not_left_the_site(tiny, hubd, mount, tmp_path, ours):
    """Two mounts of it cost upstream one file; the twins have theirs from upstream, each."""
    h = hubd(tiny)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        m = mount(h if ours else tiny, tmp=tmp_path / name)
        assert m.file("org/tiny", "w.safetensors").read_bytes() == BIG
        got = Control(m).metrics()
        assert got.value("source_bytes_total", kind="hub" if ours else "upstream") == got.value("source_bytes_total") >= len(BIG)
    assert value(h, "source_bytes_total", kind="upstream") // len(BIG) == ours
    assert tiny.bytes_sent(path_re="/resolve/.*w.safetensors") // len(BIG) == (1 if ours else 2)


def test_what_is_amiss_is_said(tiny, hubd):
    h = hubd(tiny, args=["--ref-ttl=0"])
    assert h.ask("/api/models/org/tiny/refs").status == 200
    assert "cache-status" not in h.ask(FILE, "HEAD").headers and value(h, "http_stale_answers_total") == 0
    assert h.ask("/readyz").json["reasons"] == [] and not h.ask("/readyz").json["degraded"]
    tiny.down()
    for target in FILE, "/api/models/org/tiny/tree/main", "/org/tiny/resolve/main/config.json":  # whose ref is
        stale = h.ask(target, "HEAD")
        assert stale.status == 200 and re.fullmatch(r"matrixhubd; hit; ttl=-\d+", stale.headers["cache-status"]), stale
    assert value(h, "http_stale_answers_total") == 3
    commit = stale.headers["x-repo-commit"]
    assert "cache-status" not in h.ask(FILE.replace("main", commit), "HEAD").headers  # which cannot change
    stale = h.ask("/api/models/org/tiny/refs")
    assert stale.status == 200 and "ttl=-" in stale.headers["cache-status"]
    ready = h.ask("/readyz")
    assert ready.status == 200 and ready.json["ready"] and ready.json["degraded"] and ready.json["reasons"] == ["upstream"]
    assert value(h, "source_up") == 0 and value(h, "http_stale_answers_total") >= 1
    assert h.ask("/healthz").status == 200
    tiny.up()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "matrixfs-test", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_on_a_full_disk_reads_go_on_and_changes_are_refused(tiny, tmp_path, small_disk):
    h = Hubd(tmp_path, tiny, data=small_disk / "data")
    users = "/api/admin/v1/users"
    assert h.ask(users, "POST", b'{"name":"ada"}', h.admin_token, Content_Type="application/json").status == 201
    with open(small_disk / "filler", "wb") as f:
        left = os.statvfs(small_disk)
        f.write(b"\0" * (left.f_bavail * left.f_frsize - 2 * MIB))
    ready = h.ask("/readyz")
    assert ready.status == 200 and ready.json["reasons"] == ["disk"] and ready.json["read_only"]
    refused = h.ask(users, "POST", b'{"name":"bob"}', h.admin_token, Content_Type="application/json")
    assert refused.status == 507 and "no room on the disk" in refused.body.decode()
    assert h.ask(FILE).body == BIG and h.ask(users, token=h.admin_token).status == 200
    assert value(h, "read_only") == 1
    (small_disk / "filler").unlink()
    assert not h.ask("/readyz").json["read_only"]
    assert h.ask(users, "POST", b'{"name":"bob"}', h.admin_token, Content_Type="application/json").status == 201
    h.stop()


# ---- TLS ----

def make_certificate(folder, name="localhost", days=2):
    folder.mkdir(exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days),
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def certificate_of(port):
    return ssl.get_server_certificate(("127.0.0.1", port))


@pytest.fixture
def secure(tiny, hubd, tmp_path):
    """A hub with one door that speaks TLS and one (plain_port) that does not."""
    cert, key = make_certificate(tmp_path / "tls")
    plain = free_port()
    h = hubd(tiny, args=[f"--tls-cert={cert}", f"--tls-key={key}", f"--listen=http://127.0.0.1:{plain}"])
    h.plain_port, h.cert, h.key = plain, cert, key
    return h


def test_tls_and_plain_doors_are_open_at_once(secure):
    got = subprocess.run(["curl", "-sS", "--fail", "--cacert", secure.cert, f"https://localhost:{secure.port}{FILE}"],
                         capture_output=True, check=True)
    assert got.stdout == BIG
    page = subprocess.run(["curl", "-sS", "-D-", "--cacert", secure.cert,
                           f"https://localhost:{secure.port}/api/models/org/tiny/tree/main?limit=1"], capture_output=True, check=True)
    assert f'<https://localhost:{secure.port}/api/'.encode() in page.stdout      # links lead back by TLS
    assert begin(secure.plain_port, FILE).getresponse().read() == BIG
    for version, code in ("--tlsv1.2", 0), ("--tlsv1.3", 0), ("--tls-max=1.1", 35):
        args = version.split("=") if "max" in version else [version]
        done = subprocess.run(["curl", "-sS", *args, "--cacert", secure.cert, f"https://localhost:{secure.port}/healthz"],
                              capture_output=True)
        assert done.returncode == code, (version, done.stderr)
    with socket.create_connection(("127.0.0.1", secure.port), 10) as s:          # who speaks no TLS there is sent away
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in s.recv(4096)


def test_huggingface_hub_downloads_by_tls(secure, tmp_path):
    code = ("import sys; from huggingface_hub import hf_hub_download;"
            "sys.stdout.write(hf_hub_download('org/tiny', 'w.safetensors'))")
    env = {**os.environ, "HF_ENDPOINT": f"https://localhost:{secure.port}", "HF_HOME": str(tmp_path / "home"),
           "REQUESTS_CA_BUNDLE": str(secure.cert), "SSL_CERT_FILE": str(secure.cert), "HF_HUB_DISABLE_TELEMETRY": "1"}
    got = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert got.returncode == 0, got.stderr
    assert pathlib.Path(got.stdout).read_bytes() == BIG


def test_a_new_certificate_comes_by_signal_and_cuts_nobody_off(secure, tmp_path):
    context = ssl.create_default_context(cafile=secure.cert)
    old = certificate_of(secure.port)
    kept = http.client.HTTPSConnection("localhost", secure.port, context=context, timeout=30)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read()
    make_certificate(secure.cert.parent)
    secure.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: certificate_of(secure.port) != old, 10, 0.05)
    assert certificate_of(secure.port).split() == secure.cert.read_text().split()
    kept.request("GET", "/healthz")                              # on the old connection
    assert kept.getresponse().status == 200
    now = certificate_of(secure.port)
    secure.key.write_text("no key")
    secure.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: secure.logged("stays as it was: The certificate .* cannot be used"), 10, 0.05)
    assert certificate_of(secure.port) == now


def test_a_hub_without_a_good_certificate_does_not_start(tiny, tmp_path):
    cert, key = make_certificate(tmp_path / "tls")
    for args, words in ([f"--tls-cert={cert}"], "TLS wants both"), ([f"--tls-cert={cert}", f"--tls-key={cert}"], r"cannot be used: .*[^.]\.$"), \
            (["--listen=https://127.0.0.1:0"], "a certificate is needed"):
        with pytest.raises(AssertionError, match=words):
            Hubd(tmp_path, tiny, args=args)


# ---- a new configuration ----

def test_a_signal_brings_a_new_configuration(tiny, hubd, tmp_path):
    conf, token = tmp_path / "hub.conf", tmp_path / "token"
    for name in "hf_first", "hf_second":
        tiny.token(name)
    token.write_text("hf_first\n")
    conf.write_text(f"ref-ttl = 1h\nupstream-token-file = {token}\n")
    h = hubd(tiny, args=[f"--config={conf}"])
    asked = "/api/models/org/tiny/revision/main"
    assert h.ask(asked).status == 200
    def tokens():
        return {q.headers.get("authorization") for q in tiny.requests()}
    assert tokens() == {"Bearer hf_first"}
    tiny.clear_log()
    assert h.ask(asked).status == 200 and not tiny.requests()    # it is believed for an hour
    token.write_text("hf_second\n")
    conf.write_text(f"ref-ttl = 0\nupstream-token-file = {token}\nmemory = 8MiB\ndeny = org/secret\naddress-connections = 1\n"
                    "cache-size = 4MiB\nlog-level = debug\n")
    h.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: h.logged("the configuration was read again"), 10, 0.02)
    assert h.logged("what needs a restart stays as it was: memory")
    assert h.ask(asked).status == 200 and tokens() == {"Bearer hf_second"}
    held = begin(h.port, "/healthz")
    while held.getresponse().status == 429:                      # those before are not quite gone
        held = begin(h.port, "/healthz")
    assert h.ask("/healthz").status == 429
    held.close()
    assert eventually(lambda: h.ask("/metrics").status == 200 and value(h, "cache_limit_bytes") == 4 * MIB, 5, 0.05)


def reload(h, conf, text):
    """Puts text into the file and has it read."""
    before = sum("was read again" in line for line in h.log)
    conf.write_text(text)
    h.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: sum("was read again" in line for line in h.log) > before, 10, 0.02)


def pull(h):
    """The state of a job that brings org/tiny, when it is over."""
    asked = h.ask("/api/admin/v1/pull", "POST", b'{"repo":"org/tiny"}', h.admin_token, Content_Type="application/json")
    where = f"/api/admin/v1/jobs/{asked.json['id']}"
    assert eventually(lambda: h.ask(where, token=h.admin_token).json["state"] in ("done", "failed"), 15, 0.05)
    return h.ask(where, token=h.admin_token).json["state"]


def test_a_hub_closes_and_opens_while_it_runs(tiny, hubd, tmp_path):
    conf = tmp_path / "hub.conf"
    conf.write_text("")
    h = hubd(tiny, args=[f"--config={conf}"])
    for _ in range(2):
        assert h.ask(FILE).status == 200 and h.ask("/api/models").json != []
        reload(h, conf, "anonymous = none\n")
        assert h.ask(FILE).status == 401 and h.ask("/api/models").json == []
        assert h.ask(FILE, token=h.admin_token).status == 200
        reload(h, conf, "")
    assert not h.logged("needs a restart")
    fixed = hubd(tiny, args=[f"--config={conf}", "--anonymous=none"])   # the command line goes before
    reload(fixed, conf, "anonymous = read\n")
    assert fixed.ask(FILE).status == 401


def test_pulls_obey_the_rules_that_were_read_last(tiny, hubd, tmp_path):
    conf = tmp_path / "hub.conf"
    conf.write_text("ref-ttl = 0\n")
    h = hubd(tiny, args=[f"--config={conf}"])
    reload(h, conf, "ref-ttl = 0\ndeny = *:*.safetensors\n")
    assert pull(h) == "done" and not tiny.requests(path_re="safetensors")
    reload(h, conf, "ref-ttl = 0\n")
    assert pull(h) == "done" and tiny.requests(path_re="safetensors")


def test_a_token_that_comes_by_signal_opens_nothing_for_strangers(tiny, hubd, tmp_path):
    conf, token = tmp_path / "hub.conf", tmp_path / "token"
    conf.write_text("")
    token.write_text("hf_upstream\n")
    tiny.token("hf_upstream")
    tiny.repo("org/secret", private=True).commit(FILES)
    h = hubd(tiny, args=[f"--config={conf}"])
    reload(h, conf, f"upstream-token-file = {token}\n")
    secret = "/org/secret/resolve/main/config.json"
    assert h.ask(secret).status == 401 and h.ask(secret, token=h.admin_token).body == b"{}"
    assert h.ask(secret).status == 401 and h.ask("/org/tiny/resolve/main/config.json").status == 200


def test_a_token_is_not_sent_to_another_upstream_than_it_is_for(tiny, tmp_path):
    conf, token = tmp_path / "hub.conf", tmp_path / "token"
    conf.write_text(f"upstream = {tiny.url}\nref-ttl = 0\n")
    token.write_text("hf_other\n")
    h = Hubd(tmp_path, [], args=[f"--config={conf}"])
    reload(h, conf, f"upstream = http://127.0.0.1:{free_port()}\nref-ttl = 0\nupstream-token-file = {token}\n")
    assert h.logged("needs a restart stays as it was: upstream")
    assert h.ask("/org/tiny/resolve/main/config.json").status == 200
    assert {q.headers.get("authorization") for q in tiny.requests()} == {None}
    h.stop()


def test_a_hub_without_tls_tells_that_it_begins_at_a_restart(tiny, hubd, tmp_path):
    conf = tmp_path / "hub.conf"
    conf.write_text("")
    h = hubd(tiny, args=[f"--config={conf}"])
    cert, key = make_certificate(tmp_path / "tls")
    reload(h, conf, f"tls-cert = {cert}\ntls-key = {key}\n")
    assert h.logged("needs a restart stays as it was: tls-cert") and h.ask("/healthz").status == 200


def test_a_bad_configuration_is_refused_with_a_sentence(tiny, hubd, tmp_path):
    conf = tmp_path / "hub.conf"
    conf.write_text("cache-size = 1GiB\n")
    h = hubd(tiny, args=[f"--config={conf}"])
    for text, words in ("cache-size = lots\n", "hub.conf:1: .*cache-size"), ("upstream-token-file = /nowhere\n", "cannot read the token file"), \
            ("stop-timeout = 5\nnonsense = 1\n", "hub.conf:2: .*nonsense"), ("tls-cert = /x\n", "TLS wants both"):
        conf.write_text(text)
        h.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: h.logged(f"the configuration stays as it was: .*{words}"), 10, 0.02), h.log_text()
    assert value(h, "cache_limit_bytes") == 1 << 30 and h.ask(FILE).body == BIG
