"""What the dashboards and alert rules in admin/deploy ask of Prometheus.

    for where, expr in expressions():
        for name, labels in series_of(expr): ...            # ("matrixfs_reads_total", {"result": ("=", "hit")})
"""
import json
import pathlib
import re

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent / "admin" / "deploy"
BOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
ALERT_TESTS = DEPLOY / "prometheus" / "alerts_test.yaml"
SERIES = re.compile(r"\b(matrixfs_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def plain(expr):
    """An expression of a dashboard with something in the place of Grafana's variables."""
    return re.sub(r"\$\{?\w+\}?", ".+", expr.replace("$__rate_interval", "5m"))


def panels(board):
    return [p for p in board["panels"] if p["type"] != "row"]


def rules():
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def raised():
    """The alerts that a test of promtool waits for: those it only wants to be away are not among them."""
    return {case["alertname"] for test in yaml.safe_load(ALERT_TESTS.read_text())["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}


def expressions():
    """[(where it stands, expression)]"""
    found = [(f"{ALERTS.name}: {rule['alert']}", rule["expr"]) for rule in rules()]
    for path in BOARDS:
        board = json.loads(path.read_text())
        found += [(f"{path.name}: {p['title']}", plain(t["expr"])) for p in panels(board) for t in p["targets"]]
        found += [(f"{path.name}: ${v['name']}", re.match(r"label_values\((.*), \w+\)$", plain(v["query"]["query"]))[1])
                  for v in board["templating"]["list"] if v["type"] == "query"]
    return found


def series_of(expr):
    """[(name, {label: (operator, value)})] of each series that is named."""
    return [(m[1], {label: (how, value) for label, how, value in LABEL.findall(m[2] or "")}) for m in SERIES.finditer(expr)]
