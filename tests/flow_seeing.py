"""Dashboards and alert rules against real programs: every series they name is there, with these labels and values."""
import itertools
import re
import urllib.request

import pytest

import models
import queries
from control import Control
from hubd import free_port
from mountlib import read

FILES = {"config.json": b"{}", "w.safetensors": models.big_file(1 << 20, seed=4)}
ADDED = {"job", "instance", "le"}               # by Prometheus, or of a histogram: not in a sample's own labels
SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? [0-9.e+-]+$")
KNOWN = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@pytest.fixture
def scraped(tiny, hubd, mount, tmp_path):
    """{name: [labels]} of a hub and a mount that do all there is to count: peers, an export, a trail."""
    key, port = tmp_path / "key", free_port()
    key.write_text("a-key-of-the-cluster-0123456789\n")
    key.chmod(0o600)
    h = hubd(tiny, args=[f"--peer-listen=127.0.0.1:{free_port()}", f"--peers=127.0.0.1:{port}", f"--cluster-key-file={key}"])
    m = mount(h, args=[f"--peer-listen=127.0.0.1:{port}", f"--peers=127.0.0.1:{port}", f"--cluster-key-file={key}",
                       f"--nfs=127.0.0.1:{free_port()}"])
    assert read(m.file("org/tiny", "w.safetensors")) == FILES["w.safetensors"]
    c = Control(m)
    texts = c.ask("GET", "/metrics")[2], urllib.request.urlopen(h.url + "/metrics", timeout=30).read().decode()
    found = {}
    for line in "\n".join(texts).splitlines():
        if line and not line.startswith("#"):
            name, labels = SAMPLE.match(line).groups()
            found.setdefault(name, []).append(dict(KNOWN.findall(labels or "")))
    return found


def each_word(wanted):
    """Of a choice of words each must be there."""
    return [dict(zip(wanted, chosen)) for chosen in itertools.product(*(
        [("=", word) for word in value.split("|")] if how == "=~" and re.fullmatch(r"\w+(\|\w+)+", value) else [(how, value)]
        for how, value in wanted.values()))]


def missing(scraped, expr):
    """What of an expression's series no program tells."""
    def fits(labels, label, how, value):
        if label in ADDED:
            return True
        if label == "status" and re.fullmatch(r"[1-5]\.\.", value):     # only those are there that came
            return label in labels
        return label in labels and (how in ("!=", "!~") or bool(re.fullmatch(value, labels[label])))
    return [(name, wanted) for name, choice in queries.series_of(expr) for wanted in each_word(choice)
            if not any(all(fits(labels, label, *what) for label, what in wanted.items()) for labels in scraped.get(name, []))]


def test_every_series_that_is_asked_for_exists(scraped):
    asked = queries.expressions()
    assert len(asked) > 60
    assert {where: lack for where, expr in asked if (lack := missing(scraped, expr))} == {}


def test_a_series_nobody_tells_is_found(scraped):
    for expr in ("rate(matrixfs_raeds_total[5m])", 'matrixfs_reads_total{result="hitt"}', 'matrixfs_reads_total{source="x"}',
                 'up + matrixfs_peer_members{state=~"slow|gone"}'):
        assert len(missing(scraped, expr)) == 1, expr
