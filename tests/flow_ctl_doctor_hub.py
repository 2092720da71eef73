"""matrixctl doctor of a hub: what everybody sees of it, and what its administrators do."""
import contextlib
import email.utils
import http.server
import json
import re
import ssl
import threading
import time

import pytest

import models
from flow_ctl_doctor import Found
from flow_hub_ctl import ctl, environment, fine
from flow_hub_operate import make_certificate

FILES = {"config.json": b"{}", "w.safetensors": models.big_file(1 << 20, seed=441)}


def doctor(h, **env):
    return Found(ctl(h, "--json doctor", env=environment(h) | env))


def doctor_of(url, **env):
    return Found(ctl(None, f"--hub={url} --json doctor", env=environment() | env))


def test_all_is_well_with_a_hub(tiny, hubd):
    h = hubd(tiny)
    fine(h, "pull org/tiny")
    d = doctor(h)
    assert d.status == 0, d.checks
    for name in "hub", "TLS", "clock", "ready", "token", "matrixhubd", "room", "upstream", "scrub", "collector":
        assert d.state(name) == ["ok"], (name, d.checks)
    assert "admin.token of admin, an administrator's" in d.of("token")[1] and f"{tiny.url} answers" in d.of("upstream")[1]
    fine(h, "scrub")
    assert "all well" in doctor(h).of("scrub")[1]
    assert "ok    hub" in fine(h, "doctor")


def test_a_machine_is_looked_at_before_a_hub(tiny, hubd, mount):
    """A hub that is named in the environment is asked where no matrixfs is; an option goes first."""
    h, m = hubd(tiny), mount(tiny)
    assert doctor(h, MATRIXFS_NODE=str(m.cache)).state("kernel") == ["ok"]
    assert not Found(ctl(h, f"--hub={h.url} --json doctor", env=environment(h, MATRIXFS_NODE=str(m.cache)))).state("kernel")
    assert Found(ctl(None, "--json doctor", env=environment(XDG_CACHE_HOME="/nonexistent"))).state("kernel") == ["ok"]


def test_who_asks_is_told_what_they_may_see(tiny, hubd, tmp_path):
    """The twin above is an administrator's."""
    h = hubd(tiny, args=["--offline"])
    d = doctor_of(h.url)
    assert d.status == 0 and d.of("token")[0] == "warn" and "only an administrator sees" in d.of("token")[1] and not d.state("room")
    fine(h, "user add alice")
    (tmp_path / "token").write_text(fine(h, "token create alice --name=ci --role=write"))
    d = doctor(h, MATRIXHUB_TOKEN_FILE=str(tmp_path / "token"))
    assert d.status == 0 and "ci of alice (role write) is no administrator's" in d.of("token")[1] and not d.state("room")
    (tmp_path / "token").write_text("hf_wrong")
    state, words = doctor(h, MATRIXHUB_TOKEN_FILE=str(tmp_path / "token")).of("token")
    assert state == "fail" and "does not accept this token" in words and "hf_wrong" not in words
    assert "none: what is here" in doctor(h).of("upstream")[1]


def test_what_a_hub_lacks_is_found(tiny, hubd):
    h = hubd(tiny, args=["--cache-min-free=900TiB"])
    tiny.down()
    assert ctl(h, "pull org/tiny").returncode == 1
    d = doctor(h)
    assert d.of("ready")[0] == "warn" and "upstream: " in d.of("ready")[1]
    assert d.of("room")[0] == "warn" and "cache-min-free wants more" in d.of("room")[1]
    assert d.of("upstream")[0] == "warn" and f"{tiny.url} is down: " in d.of("upstream")[1]


def test_who_is_no_hub_is_found(hub):
    state, words = doctor_of(hub.url).of("hub")
    assert state == "fail" and "as no matrixhubd does" in words
    state, words = doctor_of("http://127.0.0.1:1").of("hub")
    assert state == "fail" and "did not answer" in words and "systemctl status matrixhubd" in words


def test_when_the_certificate_ends_is_told(tiny, hubd, tmp_path):
    days = {"fail": 1, "warn": 9, "ok": 60}
    for state, n in days.items():
        cert, key = make_certificate(tmp_path / state, days=n)
        h = hubd(tiny, args=[f"--tls-cert={cert}", f"--tls-key={key}"])
        url = h.url.replace("http:", "https:")
        assert doctor_of(url, SSL_CERT_FILE=str(cert)).of("TLS")[0] == state
        assert re.search(f"of matrixhubd ends in ({n - 1}|{n}) days", doctor_of(url, SSL_CERT_FILE=str(cert)).of("TLS")[1])
    d = doctor_of(url, SSL_CERT_FILE=str(tmp_path / "fail/cert.pem"))
    assert d.of("TLS")[0] == "fail" and "SSL_CERT_FILE" in d.of("TLS")[1] and not d.state("hub")


@contextlib.contextmanager
def answers(pages, server="nginx/1.26", ahead=0, cert=None):
    """Who answers so, and says that it is a proxy, by a clock that is so much before ours: its URL."""
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(self.path.removeprefix("/api/admin/v1"))
            body = json.dumps(page or {}).encode()
            self.send_response(200 if page else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def version_string(self):
            return server

        def date_time_string(self, timestamp=None):
            return email.utils.formatdate(time.time() + ahead, usegmt=True)

        def log_message(self, *_):
            pass
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as httpd:
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*cert)
            httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http{'s' if cert else ''}://localhost:{httpd.server_port}"
        httpd.shutdown()


WELL = {"/healthz": {"status": "ok"}, "/readyz": {"ready": True, "reasons": []},
        "/api/whoami-v2": {"name": "root", "auth": {"accessToken": {"displayName": "t", "role": "write"}}},
        "/status": {"version": "0.0.1", "uptime_seconds": 10 ** 7, "offline": False, "upstreams": [],
                    "disk": {"total_bytes": 1 << 40, "free_bytes": 1 << 39}, "cache": {"min_free_bytes": 0}},
        "/scrub": {"lost": [], "blobs": 0, "ended": None}, "/collect": {"complete": True, "ended": 1}}


def test_who_ends_tls_in_front_of_it_is_told(tmp_path):
    cert = make_certificate(tmp_path / "tls", days=9)
    with answers(WELL, cert=cert) as url:
        state, words = doctor_of(url, SSL_CERT_FILE=str(cert[0])).of("TLS")
    assert state == "warn" and re.search("of nginx/1.26 ends in [89] days", words) and "in front of the hub" in words


@pytest.mark.parametrize("ahead, state", [(0, "ok"), (30, "warn"), (-3600, "fail")])
def test_a_clock_of_a_hub_that_is_wrong_is_found(ahead, state):
    with answers(WELL, ahead=ahead) as url:
        assert doctor_of(url).of("clock")[0] == state


@pytest.mark.parametrize("change, name, state, words", [
    ({}, "scrub", "warn", "none has ended"), ({}, "matrixhubd", "warn", "version 0.0.1 runs"), ({}, "collector", "ok", " d "),
    ({"/scrub": {"lost": [{"etag": "x"}], "ended": 1}}, "scrub", "fail", "1 uploaded files are damaged or missing"),
    ({"/scrub": {"lost": [], "blobs": 7, "ended": 1}}, "scrub", "ok", "7 uploaded files, all well"),
    ({"/collect": {"complete": False, "ended": 1}}, "collector", "warn", "did not come to its end"),
    ({"/collect": None}, "hub", "fail", "/collect: "), ({"/readyz": {"ready": True, "reasons": ["moon"]}}, "ready", "warn", "something else"),
    ({"/readyz": {"ready": False, "reasons": ["index"]}}, "ready", "fail", "restore a backup"), ({"/readyz": {"a": 1}}, "ready", "fail", "not a matrixhubd's"),
    ({"/readyz": {"ready": True, "reasons": ["audit", "disk"]}}, "ready", "fail", "changes are refused"),
    ({"/readyz": {"ready": True, "reasons": ["audit", "disk"]}}, "ready", "fail", "no room on its disk")])
def test_what_a_hub_tells_its_administrators_is_judged(change, name, state, words):
    with answers(WELL | change) as url:
        d = doctor_of(url, MATRIXHUB_TOKEN="t")
    assert [c for c in d.checks if c["name"] == name and c["state"] == state and words in f"{c['found']} | {c['advice']}"], d.checks
