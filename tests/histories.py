#!/usr/bin/env python3
"""A seeded history of a repository: commits of all kinds on several branches, one after another and at once, with the git
program as the model. Every commit must have the id that git gives to the same files, so its trees and blobs have theirs; what
cannot be must change nothing; and of what is told at once each answer must be true.

    build/venv/test/bin/python tests/histories.py --seed 7 --steps 200    # one history again
    make torture TORTURE_SECONDS=3600                                     # one after another, among other things
"""
import argparse
import concurrent.futures
import random
import sys
import tempfile
import time
import urllib.parse

from hubd import Hubd
from registry import Git, Repo, drop, lfs, pointer, put

NAMES = ["a", "b", "a-", "a.b", "b0", "\u00e9"]     # few, so that files and folders change places
AT_ONCE = 4


class Broken(AssertionError):
    """What no history may show."""


def below(files, folder):
    return [path for path in files if path.startswith(folder + "/")]


def in_the_way(files, path):
    """What must go before a file can lie there: lines, and paths."""
    lines, gone = [], below(files, path)
    if gone:
        lines.append(drop(path + "/"))
    parts = path.split("/")
    for above in ("/".join(parts[:n]) for n in range(1, len(parts))):
        if above in files:
            lines.append(drop(above))
            gone.append(above)
    return lines, gone


class History:
    def __init__(self, seed, hubd, tmp, say=None):
        self.rng, self.repo, self.git = random.Random(seed), Repo(hubd, f"admin/r{seed}", hubd.admin_token), Git(tmp)
        self.say, self.log, self.sent, self.made = say, [], [], 0
        first = self.repo.head()
        self.files = {first: {".gitattributes": self.repo.read(".gitattributes")}}  # of each commit
        self.branches = {"main": first}
        self.check(self.git_commit(first, None) == first, "the first commit")

    def note(self, text):
        self.log.append(text)
        if self.say:
            print(text, flush=True)

    def check(self, right, what):
        if not right:
            raise Broken(what)

    # ---- the model ----

    def told(self, commit, count=1):
        """What the hub says of a commit and those before it, newest first."""
        got = self.repo.ask(f"{self.repo.api}/commits/{commit}?limit={count}")
        self.check(got.status == 200, got)
        return got.json

    def git_commit(self, commit, parent):
        """The id git gives to a commit whose files are known."""
        return self.git.commit(self.files[commit], self.told(commit)[0], parent)

    def take(self, branch, commit, files):
        """The hub made that commit on a branch, of these files."""
        parent = self.branches[branch]
        self.files[commit], self.branches[branch] = files, commit
        expected = self.git_commit(commit, parent)
        self.check(commit == expected, f"{branch} is {commit}, git says {expected}")
        self.made += 1

    # ---- what changes ----

    def path(self):
        return "/".join(self.rng.choices(NAMES, k=self.rng.randint(1, 3)))

    def changes(self, files):
        """Lines of a commit, and what becomes of the files."""
        rng, lines, files = self.rng, [], dict(files)
        for _ in range(rng.randint(1, 5)):
            path, what = self.path(), rng.random()
            if what < 0.15 and files:
                path = rng.choice(sorted(files))
                lines.append(drop(path))
                del files[path]
            elif what < 0.25 and (folders := sorted({f.rpartition("/")[0] for f in files} - {""})):
                path = rng.choice(folders)
                lines.append(drop(path + "/"))
                for f in below(files, path):
                    del files[f]
            else:
                line, data = self.content(path, files)
                clear, gone = in_the_way(files, path)
                lines += clear + [line] if rng.random() < 0.5 else [line] + clear
                for f in gone:
                    del files[f]
                files[path] = data
        return lines, files

    def content(self, path, files):
        """A file of git-lfs, which is sent or was, or a regular one, at times that of another path."""
        rng, what = self.rng, self.rng.random()
        if what < 0.1:
            data = rng.randbytes(rng.randrange(1, 200))
            self.repo.send(data)
            self.sent.append(data)
            return lfs(path, data), pointer(data)
        if what < 0.2 and self.sent:
            data = rng.choice(self.sent)
            return lfs(path, data, size=rng.random() < 0.5), pointer(data)
        copied = rng.random() < 0.2 and [d for d in files.values() if not d.startswith(b"version https://git-lfs")]
        data = rng.choice(copied) if copied else rng.randbytes(rng.randrange(60))
        return put(path, data), data

    # ---- steps ----

    def commit(self):
        branch = self.rng.choice(sorted(self.branches))
        head = self.branches[branch]
        lines, files = self.changes(self.files[head])
        kw = {"branch": branch, "summary": f"change {self.made}", "description": self.rng.choice(["", "more\n\nof it"])}
        if self.rng.random() < 0.5:
            kw["parent"] = head
        self.note(f"commit {lines}, {kw}")
        made = self.repo.done(*lines, **kw)
        self.take(branch, made, files)
        if self.rng.random() < 0.2:
            again = self.repo.done(*lines, **kw | {"parent": head})
            self.check(again == made, f"the same once more is {again}, not {made}")

    def wrong(self):
        """What cannot be, behind what could, changes nothing."""
        branch = self.rng.choice(sorted(self.branches))
        head = self.branches[branch]
        files = self.files[head]
        path = self.rng.choice(sorted(files) or ["none"])
        absent = next(p for p in iter(self.path, None) if p not in files and not below(files, p))
        kw, line, status = self.rng.choice([
            ({}, drop(absent), 404), ({}, drop(absent + "/"), 404), ({}, drop(path + "/"), 404), ({}, lfs("x", b"not sent"), 400),
            ({}, put(path + "/x", b""), 400), ({"parent": "0" * 40}, put("x", b""), 412)])
        if status == 400 and path not in files:
            return
        self.note(f"wrong {line}, {kw}, on {branch}")
        got = self.repo.commit(put("another", b"x"), line, branch=branch, **kw)
        self.check(got.status == status, got)
        self.check(self.repo.head(branch) == head, "it moved the branch")

    def race(self):
        """Several at once: on one parent, one of them is made; on none, all are, one behind another."""
        branch, strict = self.rng.choice(sorted(self.branches)), self.rng.random() < 0.5
        head = self.branches[branch]
        files = {f"race/{n}/{self.rng.choice(NAMES)}": b"%d of %d" % (n, self.made) for n in range(AT_ONCE)}
        self.note(f"race {files}, on {branch}, {head if strict else 'whatever its parent'}")

        def send(path):
            got = self.repo.commit(put(path, files[path]), branch=branch, summary=path, parent=head if strict else None)
            return path, got
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            got = list(pool.map(send, files))
        won = {answer.json["commitOid"]: path for path, answer in got if answer.status == 200}
        self.check(len(won) == (1 if strict else AT_ONCE) and all(a.status in (200, 412) for _, a in got), got)
        order = [told["id"] for told in reversed(self.told(branch, len(won)))]
        self.check(set(order) == set(won), f"{order} are not {won}")
        for commit in order:
            self.take(branch, commit, self.files[self.branches[branch]] | {won[commit]: files[won[commit]]})

    def branch(self):
        name = f"b{self.rng.randrange(6)}"
        if name in self.branches and self.rng.random() < 0.5:
            self.note(f"branch {name} goes")
            self.check(self.repo.ask(f"{self.repo.api}/branch/{name}", "DELETE").status == 200, name)
            del self.branches[name]
            return
        start = self.rng.choice(sorted(self.files))
        self.note(f"branch {name} from {start}")
        got = self.repo.ask(f"{self.repo.api}/branch/{name}", "POST", startingPoint=start, overwrite=True)
        self.check(got.status == 200, got)
        self.branches[name] = start

    def look(self):
        """The whole tree of a commit, and its files."""
        commit = self.rng.choice(sorted(self.files))
        self.note(f"look at {commit}")
        lines = self.git.run("-c", "core.quotepath=off", "ls-tree", "-rt", commit).splitlines()
        told = {path: head.split()[2] for head, _, path in (line.partition("\t") for line in lines)}
        self.check(self.repo.tree(commit) == told, f"{commit} holds {self.repo.tree(commit)}, not {told}")
        for path, data in self.files[commit].items():
            got = self.repo.ask(f"/{self.repo.id}/raw/{commit}/{urllib.parse.quote(path)}")
            self.check(got.status == 200 and got.body == data, f"{path} of {commit}: {got}")

    def run(self, steps):
        ways = [self.commit] * 14 + [self.wrong] * 3 + [self.race] * 2 + [self.branch] * 2 + [self.look]
        for _ in range(steps):
            self.rng.choice(ways)()
        self.look()
        refs = self.repo.ask(f"{self.repo.api}/refs").json["branches"]
        self.check({r["name"]: r["targetCommit"] for r in refs} == self.branches, refs)
        for name, commit in self.branches.items():
            self.git.run("update-ref", f"refs/heads/{name}", commit)
        said = self.git.run("fsck", "--full", "--strict", "--no-dangling")
        self.check(said in ("", "notice: HEAD points to an unborn branch (master)"), said)


def history(seed, steps, hubd, tmp, say=None):
    """One history; how many commits it has."""
    h = History(seed, hubd, tmp, say)
    try:
        h.run(steps)
        return h.made
    except Exception as error:
        raise Broken(f"seed {seed}: {error}\n--- the last steps of seed {seed}\n" + "\n".join(h.log[-10:])
                     + f"\n--- again: tests/histories.py --seed {seed} --steps {steps}") from error


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--first", type=int, default=int(time.time()), help="the first of many seeds")
    parser.add_argument("--steps", type=int, default=200, help="of each seed")
    parser.add_argument("--seconds", type=int, default=600, help="begin no further seed after so long")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    began, seeds, commits, failed = time.monotonic(), 0, 0, []
    first = args.seed if args.seed is not None else args.first
    while not seeds or args.seed is None and time.monotonic() - began < args.seconds:
        seed = first + seeds
        print(f"seed {seed}", flush=True)
        with tempfile.TemporaryDirectory(prefix="histories-") as tmp:
            hubd = Hubd(tmp)
            try:
                commits += history(seed, args.steps, hubd, tmp, args.verbose)
                hubd.stop()
            except Broken as error:
                failed.append(seed)
                print(error, flush=True)
            finally:
                hubd.kill()
        seeds += 1
    print(f"{seeds} seeds, {commits} commits in {time.monotonic() - began:.0f} s; failed: {failed or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
