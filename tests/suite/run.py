"""One release of huggingface_hub, and its own tests, against a fresh matrixhubd: how each ended, and what of that was not to
be. tools/suite calls it, with that release's Python.

What is left out stands in a list: "[reason]", and below it the tests ("*": anything) that fail for it; "!": files that are
not even run. Fails if a test does that is not in the list, or if one that is in it passes, or is nowhere."""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from hub import Hub  # noqa: E402
from hubd import Hubd  # noqa: E402

STAGING = "https://hub-ci.huggingface.co"
ORGANIZATIONS = {"valid_org": "Dummy Org", "valid_org_hub": "Dummy Hub Org"}  # its first user is a member of
PATIENCE = 1500


class LeftOut:
    """The list: which tests, why, and which of its lines were of use."""

    def __init__(self, path):
        self.lines, self.files, self.used = [], {}, set()
        for line in filter(None, map(str.strip, path.read_text().splitlines())):
            if line.startswith("["):
                reason = line.strip("[]")
            elif line.startswith("!"):
                self.files[line[1:]] = reason
            else:
                self.lines.append((line, re.compile(re.escape(line).replace(r"\*", ".*")), reason))

    def reason(self, test):
        for line, pattern, reason in self.lines:
            if pattern.fullmatch(test):
                self.used.add(line)
                return reason
        return None

    def idle(self):
        return [line for line, _, _ in self.lines if line not in self.used]


def taken_for_granted(hub, tests):
    """Make the users whose names and tokens the suite knows by heart."""
    told = {}
    exec((tests / "testing_constants.py").read_text(), told)

    def ask(path, method="POST", **body):
        got = hub.ask(f"/api/admin/v1/{path}", method, json.dumps(body), hub.admin_token, Content_Type="application/json")
        assert got.status in (200, 201), (path, got)
    for user in ("USER", "OTHER_USER", "ENTERPRISE_USER"):
        ask("users", name=told[user], full_name=told["FULL_NAME"])
        ask("tokens", user=told[user], name="suite", role="write", secret=told[user.replace("USER", "TOKEN")])
    for name, full_name in ORGANIZATIONS.items():
        ask("orgs", name=name, full_name=full_name)
        ask(f"orgs/{name}/members/{told['USER']}", "PUT", role="write")
    ask("orgs", name=told["ENTERPRISE_ORG"], default_visibility="private")
    ask(f"orgs/{told['ENTERPRISE_ORG']}/members/{told['ENTERPRISE_USER']}", "PUT", role="admin")


def copied(tests, tmp, url):
    """The suite where it may write, told of this hub instead of theirs."""
    there = tmp / "tests"
    shutil.copytree(tests, there)
    for file in there.rglob("*.py"):
        file.write_text(file.read_text().replace(STAGING, url))
    (there / "__init__.py").touch()
    shutil.copy(HERE / "conftest.py", there)
    return there


def knows_a_hub(file):
    return re.search(r"^from \.(testing_constants|conftest) ", file.read_text(), re.MULTILINE) is not None


def run(tests, left_out, words):
    """Each test's name, how it ended, and why, in no order."""
    with tempfile.TemporaryDirectory() as tmp, Hub() as upstream:  # which knows nothing: what is not here is nowhere
        tmp = pathlib.Path(tmp)
        hub = Hubd(tmp, upstream, args=["--upload-part=16MB"])
        try:
            taken_for_granted(hub, tests)
            there, outcomes, home = copied(tests, tmp, hub.url), tmp / "outcomes", tmp / "home"
            home.mkdir()
            files = [f"tests/{f.name}" for f in sorted(there.glob("test_*.py")) if knows_a_hub(f)]
            env = {"PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": home, "HF_HOME": home,
                   "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_COLOR": "1", "COLUMNS": "300",
                   "PYTHONDONTWRITEBYTECODE": "1", "SUITE_OUTCOMES": outcomes}
            done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(os.cpu_count()),
                                   "--timeout=120", "--tb=short", "-W", "error::FutureWarning",
                                   *(words or [f for f in files if f not in left_out.files])],
                                  cwd=tmp, env={k: str(v) for k, v in env.items()}, timeout=PATIENCE, capture_output=True, text=True)
            hub.stop()
        finally:
            hub.kill()
        assert outcomes.exists() and done.returncode in (0, 1, 2), done.stdout + done.stderr
        for line in outcomes.read_text().splitlines():
            yield json.loads(line.replace(hub.url, "HUB"))


def judge(left_out, ends):
    """What should not be of how each test ended; then why those that were left out or not run were not, counted."""
    faults, told = [], collections.defaultdict(collections.Counter)
    for test, (outcome, why) in sorted(ends.items()):
        reason = left_out.reason(test) if outcome != "skipped" else None  # what was not run proves nothing of the list
        if outcome == "skipped":
            told["not run"][why] += 1
        elif outcome == "failed" and reason:
            told["left out"][reason] += 1
        elif outcome == "failed" or reason:
            faults.append((test, "passes, and is left out: " + reason if reason else why))
        print(f"{'left out' if reason else outcome:8} {test}")
    return faults, told


def main():
    asked = argparse.ArgumentParser()
    asked.add_argument("tests", type=pathlib.Path)
    asked.add_argument("list", type=pathlib.Path)
    asked.add_argument("words", nargs="*", help="for pytest: these tests and no others")
    asked = asked.parse_args()
    left_out, ends = LeftOut(asked.list), {}
    for test, outcome, why in run(asked.tests, left_out, asked.words):
        if ends.get(test, ("passed",))[0] != "failed":
            ends[test] = outcome, why
    faults, told = judge(left_out, ends)
    if not asked.words:
        faults += [(line, "is in the list, and no such test was run") for line in left_out.idle()]
    for test, why in faults:
        print(f"\nFAULT {test}\n{why}")
    for how, reasons in told.items():
        for reason, count in reasons.most_common():
            print(f"{how}: {count:4} {reason}")
    for file, reason in left_out.files.items():
        print(f"not run: {file}: {reason}")
    count = collections.Counter(outcome for outcome, _ in ends.values())
    print(f"{count['passed']} passed, {count['failed']} failed, {sum(told['left out'].values())} of them left out, "
          f"{count['skipped']} not run; {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
