"""matrixctl and the admin API of matrixhubd: an operator's day, what is refused and how, and what must never be seen."""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import pytest

import models
from hubd import HUBD
from mountlib import DEADLINE, eventually
from registry import Repo

CTL = pathlib.Path(os.environ.get("MATRIXCTL", HUBD.parent / "matrixctl")).resolve()
ROOT = pathlib.Path(__file__).parent.parent
FUZZER = ROOT / "build/venv/api/bin/schemathesis"
API = "/api/admin/v1"
MIB = 1 << 20
# What is asked of a mount, or of nobody: tests/flow_ctl_*.py.
NO_HUBS = "peers", "nfs", "top", "ls", "pin", "unpin", "evict", "why", "completion", "env", "doctor", "bench", "config"
BIG = models.big_file(8 * MIB + 5, seed=907)
FILES = {"config.json": b'{"model_type": "bert"}', "w.safetensors": BIG}
OLD = "hf_" + "OldValueOfAnotherHub" + "7" * 14


def environment(h=None, **more):
    env = {"PATH": os.environ["PATH"], "TZ": "UTC"}
    if h:
        env |= {"MATRIXHUB_URL": h.url, "MATRIXHUB_TOKEN_FILE": str(h.data / "admin.token")}
    return env | more


def ctl(h, line, *args, env=None, **kw):
    return subprocess.run([CTL, *line.split(), *map(str, args)], env=env or environment(h), capture_output=True, text=True,
                          timeout=DEADLINE, **kw)


def fine(h, line, *args, **kw):
    done = ctl(h, line, *args, **kw)
    assert done.returncode == 0 and not done.stderr, (line, done)
    return done.stdout


def data(h, line, *args):
    return json.loads(fine(h, "--json " + line, *args))


def refused(h, line, *args, status=1, **kw):
    """What is said of it; it is nothing but that sentence."""
    done = ctl(h, line, *args, **kw)
    assert done.returncode == status and not done.stdout, (line, done)
    assert re.fullmatch(r"matrixctl: [^\n]+\n", done.stderr) and not re.search(r"[.:][.:]$", done.stderr), done.stderr
    return done.stderr


def commands():
    """Those that --help names: "user add", …"""
    text = fine(None, "--help").split("\n\n")[1]
    return {re.match(r"[a-z -]+", m)[0].strip() for m in re.findall(r"^  (\S.*?)(?:  +|$)", text, re.M) if not m.startswith(" ")}


# ---- the command line ----

def test_help_and_version():
    text = fine(None, "--help")
    assert text.startswith("Usage: matrixctl [OPTION]... COMMAND") and max(map(len, text.splitlines())) <= 80
    assert re.fullmatch(r"matrixctl \d+\.\d+\.\d+\n", fine(None, "--version"))
    assert len(commands()) > 30
    for command in commands():
        assert fine(None, f"{command} --help").startswith(f"Usage: matrixctl {command}")


@pytest.mark.parametrize("line, words", [
    ("", "A command is missing"), ("user", "stands add, list"), ("user add", "NAME is missing"), ("frobnicate", "frobnicate"),
    ("status --hub=ftp://x", "http"), ("status --hub=http://user:pass@x", "without user"), ("status --token=hf_x", "--token-file"),
    ("status --token-file=/nonexistent/t", "/nonexistent/t"), ("status --token-file=" + OLD, "not repeated"),
    ("org add x --default-visibility=hidden", "public|private")])
def test_a_wrong_command_line_is_told_and_nothing_is_asked(line, words):
    said = refused(None, line, status=2, env=environment())
    assert words in said and OLD not in said and "user:pass" not in said


def test_who_cannot_be_reached_or_does_not_let_in_is_told_with_what_to_do(hubd, tmp_path):
    h = hubd(args=["--offline"])
    assert "MATRIXHUB_URL" in refused(None, "status --hub=http://127.0.0.1:1", env=environment())
    assert "admin.token" in refused(None, f"status --hub={h.url}", env=environment())
    (tmp_path / "t").write_text(OLD)
    assert "does not accept this token" in refused(h, "status --token-file", tmp_path / "t")
    fine(h, "user add alice")
    (tmp_path / "t").write_text(fine(h, "token create alice --name=n --role=admin"))
    assert "not an administrator's" in refused(h, "status --token-file", tmp_path / "t")
    assert fine(h, "status").startswith("matrixhubd   ")
    assert fine(h, "status", env=environment(MATRIXHUB_URL=h.url, MATRIXHUB_TOKEN=h.admin_token))
    assert fine(None, f"status --hub={h.url} --token-file=-", env=environment(), input=h.admin_token + "\n")


# ---- one screen ----

def test_the_status_of_a_hub_is_one_screen(tiny, hubd):
    h = hubd(tiny, args=["--cache-min-free=1MiB"])
    text = fine(h, "status")
    for line in r"matrixhubd   \d+\.\d+\.\d+, up 00:00:\d\d", "health       ok", "repositories 0 known", "cache        0 B  of upstreams", \
            r"disk         [\d.]+ [GT]iB of [\d.]+ [GT]iB free, 1\.00 MiB stay so", f"upstream     {re.escape(tiny.url)} not asked yet", "transfers    0":
        assert re.search(f"^{line}$", text, re.M), (line, text)
    with tiny.fault("GET .*w.safetensors", "slow", rate=MIB):
        fine(h, "pull org/tiny --no-wait")
        want = re.compile(r"^repositories 1 known\n(.*\n)+upstream .* ok\ntransfers +1, [\d.]+ [KM]iB/s\n  models/org/tiny w\.safetensors \(\d read\)\n"
                          r"    \[=*> *\] .*\njob +\d+ pull models/org/tiny@main  \[=*> *\] .*\n", re.M)
        assert eventually(lambda: want.search(fine(h, "status")), DEADLINE, 0.1), fine(h, "status")


def test_what_is_amiss_with_a_hub_is_on_its_screen(tiny, hubd):
    """The twin of the one above."""
    h = hubd(tiny, args=["--cache-size=1GiB"])
    tiny.down()
    assert ctl(h, "pull org/tiny").returncode == 1
    text = fine(h, "status")
    assert "health       amiss: upstream (matrixctl doctor says what to do)\n" in text and re.search(r"^upstream .* down: \S", text, re.M)
    assert re.search(r"^cache +\[>? *\] +0 %  0 B of 1\.00 GiB  of upstreams$", text, re.M) and ", offline\n" not in text
    assert ", offline\n" in fine(hubd(args=["--offline"]), "status")


# ---- an operator's day ----

def test_every_command_does_its_part_and_its_json_can_be_read(tiny, hubd, tmp_path):
    h = hubd(tiny)
    (tmp_path / "old").write_text(OLD + "\n")
    ran = set()

    def run(line, *args):
        ran.update(c for c in commands_ if (line + " ").startswith(c + " "))
        return data(h, line, *args)
    commands_ = commands()

    assert run("user add alice", "--full-name=Alice Ä.", "--email=a@x.org")["full_name"] == "Alice Ä."
    assert run("user set alice --email=b@x.org")["email"] == "b@x.org"
    assert [u["name"] for u in run("user list")] == ["admin", "alice"]
    assert run("org add acme --default-visibility=private")["default_visibility"] == "private"
    assert run("org set acme", "--full-name=Acme")["default_visibility"] == "private"
    assert run("org list")[0]["full_name"] == "Acme"
    assert run("org member add acme alice") == {"user": "alice", "role": "read"}
    assert run("org member add acme alice --role=write")["role"] == "write"
    assert run("org member list acme") == [{"user": "alice", "role": "write"}]
    assert run("user info alice")["organizations"] == [{"organization": "acme", "role": "write"}]
    assert "token" not in run("token import alice --role=read --name=old --secret-file", tmp_path / "old")
    new = run("token create alice --name=new --grants=models/acme/m:read,acme:write --expires-days=2")
    assert new["token"].startswith("hf_") and 1.9 < (new["expires"] - time.time()) / 86400 < 2.1
    assert [(t["name"], t.get("role")) for t in run("token list alice")] == [("new", None), ("old", "read")]
    assert run("token revoke alice new") == {}
    assert run("rule set models/org/tiny alice --role=read")["role"] == "read"
    assert run("rule list") == [{"what": "models/org/tiny", "whom": "alice", "role": "read"}]
    assert run("rule remove models/org/tiny alice") == {} and run("rule list") == []

    assert run("pull org/tiny")["state"] == "done"
    assert run("job list")[0]["what"] == "models/org/tiny@main"
    assert run("repo list --search=TIN") == [{"type": "model", "id": "org/tiny", "visibility": "public"} | {"because": run("repo list")[0]["because"]}]
    info = run("repo info org/tiny")
    assert info["commits"][0]["bytes"] == info["commits"][0]["cached_bytes"] == sum(map(len, FILES.values()))
    assert run("repo set org/tiny --visibility=private")["visibility"] == "private"
    assert run("tag list org/tiny")["tags"] == []
    assert run("repo delete-from-cache org/tiny")["freed_bytes"] >= len(BIG)
    assert run("repo info org/tiny")["commits"][0]["cached_bytes"] == 0
    assert run("collect")["blobs"] == 0 and run("scrub")["lost"] == []
    assert run("backup begin")["rows"] == str(h.data / "backup/hub") and run("backup end") == {}
    assert run("quota set alice 1GiB")["limit_bytes"] == run("quota list")[0]["limit_bytes"] == 1 << 30
    status = run("status")
    assert status["repositories"] == 1 and status["upstreams"][0]["state"] == "ok" and not status["offline"]

    ours = Repo(h, "admin/m", h.admin_token)
    assert ours.ask(f"{ours.api}/tag/main", "POST", tag="v1").status == 200
    assert run("check set admin/m main eval passed")["result"] == run("check list admin/m v1")["checks"][0]["result"] == "passed"
    assert run("promotion set models/admin/m release --to=prod --from=v* --who=admin --require=eval")["who"] == ["admin"]
    assert [r["require"] for r in run("promotion list")] == [["eval"]]
    assert run("tag promote admin/m v1 --to=prod --require=eval")["rule"] == "release"
    assert "named nothing before" in refused(h, "tag rollback admin/m prod") and ran.add("tag rollback") is None
    assert run("promotion remove models/admin/m release --reason=over") == {}
    assert run("tag lock-rule set admin v*")["tags"] == "v*"
    assert [r["tags"] for r in run("tag lock-rule list admin")] == ["v*"] and run("tag lock-rule remove admin v* --reason=over") == {}
    assert run("tag lock admin/m v1 --reason=x")["locked"] is True and run("tag unlock admin/m v1 --reason=y")["locked"] is False
    assert [t["name"] for t in run("tag status admin/m")] == ["prod", "v1"] and len(run("tag log admin/m")["moves"]) == 4

    said = ours.ask(f"{ours.api}/discussions", "POST", title="x", pullRequest=True).json["num"]
    assert ours.ask(f"{ours.api}/discussions/{said}/status", "POST", status="closed").status == 200
    assert run(f"pr drop admin/m {said}") == {}
    assert run("repo lineage admin/m") == {"id": "admin/m", "ancestors": [], "descendants": [], "whole": True}
    assert run("user disable alice")["disabled"] is True
    assert run("org member remove acme alice") == {} and run("org member list acme") == []
    assert "private by its default" in refused(h, "org remove acme")
    assert run("org set acme --default-visibility=public")["default_visibility"] == "public"
    assert run("org remove acme") == {} and run("user remove alice") == {}
    assert [r["act"] for r in run("audit query --kind=admin --since=1h")][:2] == ["user.add", "user.change"]
    assert run("audit verify")["whole"] is True
    lines = fine(h, "audit export").splitlines()
    assert all(json.loads(line)["hash"] for line in lines) and len(lines) > 15
    assert json.loads(fine(h, "audit tail --count=1 --json"))["act"] == "user.remove"
    with tiny.fault("GET .*", "slow", rate=1):
        job = run("pull org/tiny --no-wait")
        assert run("job cancel " + str(job["id"]))["what"] == "models/org/tiny@main"
        assert eventually(lambda: run("job list")[-1]["state"] == "canceled", DEADLINE)
    assert {c for c in commands_ - ran if not c.startswith(NO_HUBS)} == {"audit tail", "audit export"}
    assert "this hub has no peers" in refused(h, "peers") and "this hub has no peers" in refused(h, "peers forgive")


def test_people_see_columns_and_sentences(hubd):
    h = hubd(args=["--offline"])
    assert fine(h, "user add alice --full-name=A") == "user alice added\n"
    rows = fine(h, "user list").splitlines()
    assert re.fullmatch(r"NAME +FULL NAME +EMAIL +ADMIN +DISABLED +CREATED", rows[0])
    assert re.match(r"alice +A +- +no +no +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", rows[2])
    assert "\nfull name " in fine(h, "user info alice")
    assert fine(h, "org list") == ""


@pytest.mark.parametrize("line, words", [
    ("user add admin", "admin already (HTTP 409)"), ("user add a--b", "cannot be a name"), ("user info nobody", 'no user "nobody"'),
    ("user remove admin", "last administrator"), ("org info x", "There is no command"), ("org member add none admin", 'no organization "none"'),
    ("token create nobody --name=x --role=read", 'no user "nobody"'), ("token create admin --name=x --grants=a/b/c/d:read", "namespace"),
    ("token revoke admin x", 'no token "x"'), ("job cancel 77", "no such job"), ("repo info org/none", "known here"),
    ("repo delete-from-cache org/none", "known here"), ("pull a--b/c", "can be no repository"),
    ("rule remove org admin", "no rule"), ("audit query --since=yesterday", "since")])
def test_what_the_hub_refuses_is_told_in_its_words(hubd, line, words):
    assert words in refused(hubd(args=["--offline"]), line, status=2 if line == "org info x" else 1)


def test_lists_longer_than_a_page_are_whole(hubd):
    h = hubd(args=["--offline", "--audit=off"])
    names = [f"u{n:03}" for n in range(230)]
    for name in names:
        assert h.ask(f"{API}/users", "POST", json.dumps({"name": name}), h.admin_token).status == 201
    assert [u["name"] for u in data(h, "user list")] == ["admin", *names]
    assert [u["name"] for u in data(h, "user list --limit=3")] == ["admin", "u000", "u001"]


# ---- what takes long ----

def on_terminal(words, env):
    """matrixctl whose standard error is a terminal: its exit status, what it printed, and what the terminal showed."""
    main, side = pty.openpty()
    seen = b""
    child = subprocess.Popen([CTL, *words], env=env, stdout=subprocess.PIPE, stderr=side, text=True)
    os.close(side)
    while child.poll() is None:
        if select.select([main], [], [], 0.05)[0]:
            try:
                seen += os.read(main, 65536)
            except OSError:
                break
    out, _ = child.communicate(timeout=DEADLINE)
    os.close(main)
    return child.returncode, out, seen


def test_a_pull_shows_how_far_it_is_and_why_it_failed(tiny, hubd):
    h = hubd(tiny)
    with tiny.fault("GET .*w.safetensors", "slow", rate=4 * MIB):
        status, out, seen = on_terminal(["pull", "org/tiny"], environment(h))
    assert status == 0 and re.search(r"state +done", out) and "8.00 MiB" in out
    assert re.search(rb"\r\[=*> *\] +\d+ %  [\d.]+ [KM]iB of 8\.00 MiB", seen)
    assert "Repository not found" in refused(h, "pull org/none") or "no such repository" in refused(h, "pull org/none")


def test_a_pull_brings_only_what_the_rules_let_in(tiny, hubd):
    h = hubd(tiny, args=["--deny=*:*.safetensors", "--deny=bad/*"])
    job = data(h, "pull org/tiny")
    assert job["files_total"] == job["files_done"] == 1 and job["bytes_done"] == len(FILES["config.json"])
    assert tiny.bytes_sent(path_re="w.safetensors") == 0
    assert "rules" in refused(h, "pull bad/one")


def test_the_trail_can_be_followed_while_it_grows(hubd):
    h = hubd(args=["--offline"])
    fine(h, "user add alice")
    tail = subprocess.Popen([CTL, "audit", "tail", "--count=1", "--follow", "--json"], env=environment(h), stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        threading.Thread(target=lambda: lines.extend(json.loads(x) for x in tail.stdout), daemon=True).start()
        assert eventually(lambda: len(lines) == 1, DEADLINE)
        fine(h, "user remove alice")
        assert eventually(lambda: [x["act"] for x in lines] == ["user.add", "user.remove"], DEADLINE)
        assert h.admin_token not in pathlib.Path(f"/proc/{tail.pid}/cmdline").read_text()
    finally:
        tail.kill()
        tail.wait()


def test_a_changed_record_is_found_and_its_place_told(hubd, tmp_path):
    h = hubd(args=["--offline"])
    fine(h, "user add alice")
    assert re.search(r"whole +yes", fine(h, "audit verify"))
    segment = sorted((h.data / "audit").glob("*.jsonl"))[0]
    segment.write_text(segment.read_text().replace("user alice", "user malory"))
    done = ctl(h, "audit verify")
    assert done.returncode == 1 and re.search(r"whole +no", done.stdout) and "changed" in done.stdout and "not whole" in done.stderr
    fine(h, "audit export --format=csv --output", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().startswith("seq,time,") and (tmp_path / "out.csv").stat().st_mode & 0o77 == 0
    assert "cannot be made" in refused(h, "audit export --output", tmp_path / "out.csv")


# ---- moving in ----

CLIENT = """
import sys
from huggingface_hub import hf_hub_download, whoami
print(whoami()["name"], open(hf_hub_download("org/tiny", "config.json")).read())
"""


def test_a_client_of_another_hub_goes_on_with_the_token_it_has(tiny, hubd, tmp_path):
    h = hubd(tiny)

    def client():
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "HF_ENDPOINT": h.url, "HF_TOKEN": OLD}
        return subprocess.run([sys.executable, "-c", CLIENT], env=env, capture_output=True, text=True, timeout=120)
    fine(h, "repo set org/tiny --visibility=private")
    before = client()
    assert before.returncode != 0 and "401" in before.stderr
    (tmp_path / "old").write_text(OLD)
    fine(h, "user add alice")
    fine(h, "org add org")
    fine(h, "org member add org alice --role=read")
    fine(h, "token import alice --name=laptop --role=read --secret-file", tmp_path / "old")
    after = client()
    assert after.returncode == 0 and after.stdout == f"alice {FILES['config.json'].decode()}\n", after.stderr
    assert data(h, "token list alice")[0]["name"] == "laptop"
    fine(h, "user disable alice")
    assert h.ask("/api/whoami-v2", token=OLD).status == 401


def test_no_secret_is_seen_anywhere(tiny, hubd, tmp_path):
    h = hubd(tiny, args=["--log-level=debug"])
    (tmp_path / "old").write_text(OLD)
    fine(h, "user add alice")
    made = fine(h, "token create alice --name=new --role=read").strip()
    seen = fine(h, "token import alice --name=old --role=read --secret-file", tmp_path / "old")
    seen += refused(h, "token import alice --name=again --role=read --secret-file", tmp_path / "old")
    seen += refused(h, "token import alice --name=old --role=read --secret-file", tmp_path / "old")
    seen += fine(h, "token list") + fine(h, "token list --json") + fine(h, "user info alice --json") + fine(h, "audit export")
    for token in made, OLD, h.admin_token:
        assert h.ask("/api/whoami-v2", token=token).status == 200
    fine(h, "token revoke alice new")
    seen += str(h.ask("/api/whoami-v2", token=made).body)
    secrets = [made, OLD, h.admin_token]
    h.stop()
    kept = b"".join(p.read_bytes() for p in h.data.rglob("*") if p.is_file() and p.name != "admin.token")
    for secret in secrets:
        assert secret not in seen and secret not in h.log_text() and secret.encode() not in kept
        assert secret[3:].encode() not in kept


# ---- the API itself ----

def operations(h):
    document = h.ask(f"{API}/openapi.json", token=h.admin_token).json
    assert document["openapi"] == "3.1.0"
    return document, [(path, method.upper(), op) for path, item in document["paths"].items() for method, op in item.items()]


def test_each_operation_of_the_document_is_for_administrators_alone(hubd):
    h = hubd(args=["--offline"])
    fine(h, "user add alice")
    stranger = fine(h, "token create alice --name=n --role=admin").strip()
    _, all_ = operations(h)
    assert len(all_) > 30 and len({op["operationId"] for *_, op in all_}) == len(all_)
    for path, method, op in all_:
        at = API + re.sub(r"\{\w+\}", "x", path)
        for token, status in (None, 401), (stranger, 403), (OLD, 401):
            got = h.ask(at, method, token=token)
            assert got.status == status and got.json["error"], (path, method, got)
    assert [u["name"] for u in data(h, "user list")] == ["admin", "alice"]


def test_what_is_not_in_the_document_is_not_there(hubd):
    h = hubd(args=["--offline"])
    _, all_ = operations(h)
    for path in {p for p, *_ in all_}:
        known = {m for p, m, _ in all_ if p == path}
        known |= {"HEAD" for m in known if m == "GET"}
        got = h.ask(API + re.sub(r"\{\w+\}", "x", path), "REPORT", token=h.admin_token)
        assert got.status == 405 and set(got.headers["allow"].split(", ")) == known, (path, got)
    for path in "", "/", "/nothing", "/users/a/b", "/users/", "/status/x":
        assert h.ask(API + path, token=h.admin_token).status == 404, path


@pytest.mark.parametrize("body, field, words", [
    ('{"name": 5}', "name", "must be a text"), ('{"name": "a", "nmae": "b"}', "nmae", "not known here"), ('{}', "name", "missing"),
    ('{"name": "a", "admin": "yes"}', "admin", "true or false"), (json.dumps({"name": "x" * 97}), "name", "longer"), ('{"name": "a"', None, "no JSON"),
    ('["name"]', None, "JSON object"), ('', None, "no JSON"), ('{"name": "a\\u0000b"}', "name", "text"), ('{"name": "a", "name": "b"}', None, "no JSON")])
def test_what_is_wrong_in_a_body_is_refused_by_name(hubd, body, field, words):
    h = hubd(args=["--offline"])
    got = h.ask(f"{API}/users", "POST", body, h.admin_token)
    assert got.status == 400 and got.json.get("field") == field and words in got.json["error"], got
    assert h.ask(f"{API}/users?x=1", "GET", token=h.admin_token).json["field"] == "x"
    assert h.ask(f"{API}/users?limit=0", "GET", token=h.admin_token).json["field"] == "limit"


@pytest.mark.timeout(300)
def test_a_fuzzer_of_the_document_finds_nothing(hubd, tmp_path, request):
    """Each answer is as the document says, none is a failure of the server, and the hub lives on."""
    if not FUZZER.exists():
        pytest.skip(f"{FUZZER} is missing: run make deps")
    memory = pathlib.Path("/dev/shm")  # a thousand changes would wait for the disk a thousand times
    h = hubd(args=["--offline"], data=tempfile.mkdtemp(dir=memory if memory.is_dir() else tmp_path))
    request.addfinalizer(lambda: shutil.rmtree(h.data))
    fine(h, "user add alice")
    fine(h, "org add acme")
    done = subprocess.run([FUZZER, "run", h.url + API + "/openapi.json", "-H", f"Authorization: Bearer {h.admin_token}", "--phases=coverage,fuzzing",
                           "--max-examples=2", "--workers=1", "--request-timeout=30", "--seed=1", "--continue-on-failure"],
                          cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_COLOR": "1"}, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-8000:]
    tested = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert int(tested[1]) > 500 and tested[1] == tested[2], done.stdout[-3000:]
    assert data(h, "audit verify")["whole"] is True
