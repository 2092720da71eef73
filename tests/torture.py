#!/usr/bin/env python3
"""A seeded life of a cache: reads of all kinds on a real mount while refs move, hubs fail and lie, disks fill, clocks jump and
the daemon is killed; each answer is compared with plain files, and each cache left behind with docs/formats.md.

    build/venv/test/bin/python tests/torture.py --seed 7 --steps 200      # one life again
    make torture TORTURE_SECONDS=3600                                     # one after another

The model knows which bytes are right, which are surely in the cache, and which troubles are on; so it knows what a read may
answer: the right bytes, always; EIO while there is a reason for it; wrong ones only until the digest of a hub's lie is known.
A chunk that was there before a read is not fetched by it. Some lives have a mirror of the hub, or of a part of it, which fails and
lies by itself: while one of the two is well, what both have is read without an error. With --verify=strict no lie is ever seen.
With --nfs the mount is an export, too, and libnfs's clients are who reads; they live through its kills.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from control import Control
from hub import Hub
from mountlib import PROGRAM, Mount, daemons_of, eventually, lazy_umount, mounts_below, names, read, readlink, stat, within, xattr
from reading import BY_NFS, READS, Outcome, Readers, plain

MIB = 1 << 20
SIZES = [0, 1, 777, 4096, 65_536, MIB - 1, MIB, MIB + 1, 2_600_000, 2_600_000, 5 * MIB + 12_345]
SLOW = 3 if "san" in str(PROGRAM) else 1
TIMEOUT = 3 * SLOW
ACCESS = 20 * TIMEOUT                   # the kernel lets those who want one page wait one after another
HEALED = 25 * SLOW
NFS_OPEN = 40                           # so long the export keeps a file open that nobody reads any more
IN_VAIN = 8 * SLOW                      # so long a pin may wait for the room that open files take
LEFT_ALONE = 6 * SLOW                   # the daemon does so for five seconds, if there is another hub
DISK = 48 * MIB
BUILD = PROGRAM.parent if SLOW > 1 else PROGRAM.parent / "release"
CHECK, SHIM = BUILD / "tests" / "check_cache", BUILD / "tests" / "shim_clock.so"
FAULTS = [("status", {"code": 503}), ("status", {"code": 429, "retry_after": 1}), ("hang", {}), ("hang_body", {"after_bytes": 500}),
          ("cut_body", {"after_bytes": 70_000}), ("reset", {"after_bytes": 300_000}), ("drop", {}), ("garbage", {}), ("html", {}),
          ("wrong_etag", {}), ("ignore_range", {}), ("wrong_content_range", {"shift": 4096}), ("size_lies", {"delta": 7}),
          ("redirect_loop", {}), ("empty_body", {}), ("extra_bytes", {"claimed": False}), ("slow", {"rate": 400_000}),
          ("no_content_length", {"how": "close"}), ("truncated_json", {}), ("bad_json", {"text": "null"})]
PATIENCE = {"hang", "hang_body", "slow"}        # what these cost may be a reader's whole deadline, also where another hub is well
BYTES = "GET .*/resolve/|GET /[0-9a-f]{64}"
BY_COMMIT, BY_NAME, BY_MAIN = "snapshot", "files@", "files"


class Broken(AssertionError):
    """What no run may show."""


class File:
    """A file of a commit, and where its plain twin lies."""

    def __init__(self, repo, commit, path, blob, plain):
        self.repo, self.commit, self.path, self.blob, self.plain = repo, commit, path, blob, plain
        self.etag, self.size = blob.etag, blob.size

    def __str__(self):
        return f"{self.repo.id}@{self.commit[:7]}/{self.path} ({self.size} bytes, {self.etag[:8]})"


class Life:
    def __init__(self, seed, directory, say=None, nfs=False):
        self.seed, self.base, self.say, self.nfs = seed, pathlib.Path(directory), say, nfs
        self.ways, self.port, self.healed = (list(BY_NFS), 0, HEALED + NFS_OPEN) if nfs else (READS, None, HEALED)
        self.log, self.operations, self.step = [], 0, 0
        self.rng = random.Random(f"{seed}")
        self.hub = Hub(cdn=self.rng.random() < 0.5)
        self.hubs, self.mirror = [self.hub], self.pick([None, "all", "some"])
        self.plains = self.base / "plain"
        self.plains.mkdir()
        self.cache, self.disk = self.base / "cache", None
        if self.rng.random() < 0.5:
            self.disk = self.base / "disk"
            self.disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", self.disk], check=True)
            self.cache = self.disk / "cache"
        self.root = self.base / "models"
        self.root.mkdir()
        self.clock = self.base / "clock"
        self.clock.write_bytes(bytes(8))
        self.files = []             # all there ever were
        self.heads = {}             # repo id: [(since, commit)]
        self.known = set()          # (repo id, commit) the daemon has the list of, durably
        self.sure = set()           # etags that were sealed, and that nothing took away since
        self.pinned = {}            # (repo, commit): etags that are fetched and never evicted
        self.lied = set()           # etags a hub lied about, whose lie may not be known yet
        self.wrong_once = set()     # etags that a hub has ever lied about
        self.doubted = {}           # etags whose bytes were wrong: until when they may be refused
        self.in_part = set()        # etags that may have had room only in part: whoever opens them begins anew
        self.damaged = set()        # etags whose chunks may not be what the map says
        self.troubles = {}          # name: the hubs it strikes at once, or None if all, or in a way that may cost a deadline
        self.left_alone = {}        # URL: until when a hub that was in trouble may not be asked
        self.unsettled = False      # a trouble has ended, but the daemon may not have noticed
        self.full = False           # the cache's disk has no room
        self.held = []              # (descriptor, file)
        self.readers, self.mount, self.options = Readers(), None, {}
        for n, (id, type) in enumerate((("org/a", "model"), ("org/b", "model"), ("org/c", "dataset"))):
            self.move(self.hub.repo(id, type), {f"{k}{'.safetensors' if k % 2 else '.txt'}": self.pick(SIZES) for k in range(5)})
        if self.mirror:
            self.add_mirror()
        self.start()

    def pick(self, list):
        return self.rng.choice(list)

    def note(self, text):
        self.log.append(f"{time.monotonic():.3f} step {self.step}: {text}")
        if self.say:
            print(self.log[-1], flush=True)

    # -- what is on the hubs --

    def add_mirror(self):
        """A second hub, asked before the first or after it, with all repositories of the first or without one of them."""
        other = Hub(cdn=self.rng.random() < 0.5)
        other.blobs, other.repos = self.hub.blobs, self.hub.repos
        if self.mirror == "some":
            missing = self.pick(sorted(other.repos))
            other.repos = {key: repo for key, repo in other.repos.items() if key != missing}
        self.hubs.insert(self.pick([0, 1]), other)
        self.note(f"hubs: {[hub.url for hub in self.hubs]}; the mirror is {other.url} and has {self.mirror}")

    def requests(self):
        return [q for hub in self.hubs for q in hub.requests()]

    def struck(self):
        """The hubs that the next trouble is about."""
        return self.pick([self.hubs, *([hub] for hub in self.hubs)])

    def is_spared(self, file):
        """True if a hub that has the file is well, in all this trouble."""
        def has(hub):
            return (file.repo.type, file.repo.id.lower()) in hub.repos
        return None not in self.troubles.values() and any(
            has(hub) and time.monotonic() > self.left_alone.get(hub.url, 0)
            and all(hub not in struck for struck in self.troubles.values()) for hub in self.hubs)

    def move(self, repo, sizes):
        """A commit with new files of these sizes moves main."""
        data = {path: self.rng.randbytes(size) for path, size in sizes.items()}
        commit = repo.commit(data)
        for path, blob in repo.commits[commit].files.items():
            twin = self.plains / blob.etag
            if not twin.exists():
                plain(self.plains, blob.etag, blob.read(0, blob.size))
            self.files.append(File(repo, commit, path, blob, twin))
        self.heads.setdefault(repo.id, []).append((time.monotonic(), commit))
        self.note(f"main of {repo.id} is {commit[:7]}: {sizes}")

    # -- its mounts --

    def start(self):
        self.options = {"passthrough": self.rng.random() < 0.7, "ttl": self.pick([0, 0, 1, 60]),
                        "limit": self.pick([0, 0, 0, 6 * MIB]), "offline": bool(self.sure) and self.rng.random() < 0.12,
                        "strict": self.rng.random() < 0.25, "prefetch": self.rng.random() < 0.7,
                        "memory": self.pick([64, 64, 4]) * MIB}
        args = [f"--ref-ttl={self.options['ttl']}", f"--cache-size={self.options['limit']}", "--log-level=debug",
                f"--memory={self.options['memory']}"]
        if self.options["strict"]:
            args.append("--verify=strict")
        if not self.options["prefetch"]:
            args.append("--prefetch=no")
        if self.nfs:
            args.append(f"--nfs=127.0.0.1:{self.port}")
        env = {"LD_PRELOAD": SHIM, "CLOCK_SHIM": self.clock} if SLOW == 1 else {}
        if self.options["offline"]:
            args.append("--offline")
        if self.options["limit"] or self.full:
            self.only_pins_are_sure()
        self.note(f"mount {self.options}")
        self.mount = Mount(self.base, self.hubs, cache=self.cache, root=self.root, timeout=TIMEOUT, args=args, env=env,
                           passthrough=self.options["passthrough"])
        if self.nfs:
            self.port = int(re.search(r"port=(\d+)", self.mount.wait_log("exporting by NFS"))[1])
        self.started = time.monotonic()
        self.in_part = set()

    def only_pins_are_sure(self):
        self.sure &= set().union(*self.pinned.values())

    def end(self, how):
        self.note(how)
        if wedged := Control(self.mount).metrics().value("wedged_waits_total"):
            raise Broken(f"{wedged} requests went on after their deadline")
        if how == "stop":
            self.mount.stop(seconds=10 * SLOW + TIMEOUT)
        else:
            self.mount.crash()
        self.drop_held()
        if self.mount.logged("ssertion|Sanitizer"):
            raise Broken(f"the daemon complains:\n{self.mount.log_text()[-4000:]}")
        index = self.base / "index"             # a copy: opening one after a kill mends it, and that is the daemon's to do
        shutil.rmtree(index, ignore_errors=True)
        shutil.copytree(self.cache / "index", index)
        done = subprocess.run([CHECK, self.cache, index], capture_output=True, text=True, timeout=120)
        # What a power cut has torn is found when it is next looked at, which may be never.
        torn = re.compile(rf"broken: blob ({'|'.join(self.damaged) or '-'}): chunk .* is not what its entry says")
        lines = [line for line in done.stdout.splitlines() if line.startswith("broken:")]
        broken = [line for line in lines if not torn.match(line)]
        if broken or done.returncode and not lines:
            raise Broken(f"after {how}, the cache: {broken or done.stderr}")
        for etag in set().union(*self.pinned.values()) - self.damaged:
            if not (self.mount.cached(etag).exists() or any(f.etag == etag and not f.size for f in self.files)):
                raise Broken(f"after {how}, the bytes of a pinned file are gone: {etag}")
        if how == "stop":
            for hub in self.hubs:
                hub.clear_log()

    def drop_held(self):
        for fd, _ in self.held:
            with contextlib.suppress(OSError):      # nobody is left to flush to
                os.close(fd)
        self.held = []

    def close(self):
        self.drop_held()
        self.readers.close()
        if self.mount:
            self.mount.kill()
        for hub in self.hubs:
            hub.close()
        for path in mounts_below(self.base):
            lazy_umount(path)

    # -- what an answer may be --

    @property
    def calm(self):
        return not self.troubles and not self.unsettled and not self.options["offline"]

    def allowed(self, file, by):
        """The errors a read may end with, now."""
        # Of what is given only verified nothing can be given that is not kept.
        verified = self.options["strict"] or file.etag in self.lied | self.wrong_once
        no_room = {"ENOSPC"} if verified and (self.full or self.disk and self.disk_is_tight()) else set()
        if time.monotonic() < self.doubted.get(file.etag, 0) or file.etag in self.lied:
            return {"EIO"} | no_room
        listed = (file.repo.id, file.commit) in self.known and by != BY_MAIN
        if file.etag in self.sure and listed:
            return set()
        if no_room:
            return {"EIO"} | no_room
        if self.calm:
            return set()
        spared = listed and not self.unsettled and not self.options["offline"] and self.is_spared(file)
        return set() if spared else {"EIO"}

    def judge(self, what, outcome, file, allowed):
        self.note(f"{what}: {outcome}")
        if outcome.wrong and (self.options["strict"] or file.etag not in self.lied):
            raise Broken(f"wrong bytes: {what} of {file}")
        if outcome.error and outcome.error not in allowed:
            raise Broken(f"{outcome.error} where {allowed or 'right bytes'} was due: {what} of {file}; troubles {list(self.troubles)}, "
                         f"unsettled {self.unsettled}, full {self.full}, {self.options}")

    # -- what the cache holds, as its directory says --

    def note_room(self, file):
        if self.full or self.disk and self.disk_is_tight():
            self.in_part.add(file.etag)

    def chunks(self, etag):
        """Numbers of the chunks that are present for good, or None if that cannot be known."""
        data = self.mount.cached(etag)
        if etag in self.sure:
            return set(range(-(-data.stat().st_size // MIB)))
        try:
            text = data.exists() and data.with_name(etag + ".map").read_bytes() or b""
        except OSError:
            return set()
        return {n for n, (sum,) in enumerate(struct.iter_unpack("<Q", text[24:])) if sum}

    def present(self):
        if self.options["limit"] or self.full or self.disk and self.disk_is_tight():
            return {}
        doubtful = self.lied | self.damaged | self.in_part - self.sure | set(self.doubted)
        return {f.etag: self.chunks(f.etag) for f in self.files if f.etag not in doubtful}

    def disk_is_tight(self):
        space = os.statvfs(self.disk)
        return space.f_bavail * space.f_frsize < DISK // 4

    def etag_of(self, request):
        if request.on == "cdn":
            return request.path.strip("/")
        m = re.fullmatch(r"/(?:datasets/)?(org/\w)/resolve/(\w+)/(.+)", request.path)
        return m and next((f.etag for f in self.files if (f.repo.id, f.commit, f.path) == m.groups()), None)

    def nothing_twice(self, present, since):
        """No request after that moment brought a chunk that had been there before it."""
        for q in self.requests():
            m = re.fullmatch(r"bytes=(\d+)-(\d+)", q.range or "")
            if q.time <= since or not m or not q.bytes_sent or q.fault or q.status != 206:
                continue
            etag = self.etag_of(q)
            had, first = present.get(etag) or set(), int(m[1]) // MIB
            again = had & set(range(first, (int(m[1]) + q.bytes_sent - 1) // MIB + 1))
            if again and etag not in self.lied:
                raise Broken(f"chunks {sorted(again)} of {etag} were there, but {q.range} was fetched ({q.bytes_sent} bytes sent)")

    # -- reads --

    def shown(self, file, by):
        if by == BY_COMMIT:
            return self.mount.snapshot(file.repo.id, file.commit, file.repo.type[:-1]) / file.path
        return self.mount.file(file.repo.id, file.path, file.commit if by == BY_NAME else None, file.repo.type[:-1])

    def place(self, way, file, by):
        """What is read in this way."""
        shown = self.shown(file, by)
        return f"{self.port}:/{shown.relative_to(self.root)}" if way in BY_NFS else shown

    def choose(self):
        """A file, and by which name it is read."""
        file = self.pick(self.files[-12:] if self.rng.random() < 0.7 else self.files)
        ways = [BY_COMMIT, BY_NAME]
        since, head = self.heads[file.repo.id][-1]
        # The kernel keeps what a plain name stands for during a second.
        if self.options["ttl"] == 0 and head == file.commit and self.calm and time.monotonic() - since > 2:
            ways.append(BY_MAIN)
        return file, self.pick(ways)

    def span(self, file):
        if self.rng.random() < 0.4 or not file.size:
            return 0, None
        off = self.rng.randrange(file.size)
        return off, self.pick([1, 4096, 100_000, MIB, 3 * MIB])

    def ask(self, count, way=None):
        asked = []
        for _ in range(count):
            file, by = self.choose()
            off, size = self.span(file)
            chosen = way or self.pick(self.ways)
            what = f"{chosen} by {by} at {off}, {size} of {file}"
            self.note(what)
            self.note_room(file)
            asked.append((what, file, by, self.allowed(file, by), size is None,
                          self.readers.ask(chosen, self.place(chosen, file, by), file.plain, off, size)))
            self.operations += 1
        return asked

    def gather(self, asked, also=()):
        for what, file, by, allowed, whole, pending in asked:
            try:
                outcome = pending.result(ACCESS)
            except TimeoutError as error:
                raise Broken(f"{error}\n{self.mount.stacks()[:4000]}") from None
            self.judge(what, outcome, file, allowed | set(also) | self.allowed(file, by))
            if outcome.right and self.calm and not self.full:
                self.known.add((file.repo.id, file.commit))

    def reads(self, count=None):
        present, since = self.present() if not self.troubles else {}, time.time()
        self.gather(self.ask(count or self.rng.randrange(1, 6)))
        self.spot_lies()
        if not self.full:
            self.nothing_twice(present, since)

    def spot_lies(self):
        for q in self.requests():
            if "wrong_bytes" in (q.fault or "").split(",") and (etag := self.etag_of(q)):
                self.lied.add(etag)
                self.sure.discard(etag)

    # -- the other operations --

    def seal(self):
        """Reads a file as a whole and waits until it is sealed: from then on it must be there."""
        file, by = self.choose()
        self.note(f"seal {file}")
        if not self.calm or self.full or by == BY_MAIN:
            return
        way = self.ways[0]
        self.gather([(f"seal by {by}", file, by, self.allowed(file, by), True, self.readers.ask(way, self.place(way, file, by), file.plain))])
        self.spot_lies()
        if file.etag in self.lied or time.monotonic() < self.doubted.get(file.etag, 0) or self.options["limit"]:
            return
        if not eventually(lambda: xattr(self.shown(file, by), "user.matrixfs.sealed", ACCESS) == "1", HEALED):
            raise Broken(f"read as a whole, but not sealed: {file}")
        if not self.disk or not self.disk_is_tight():
            self.sure.add(file.etag)
            self.damaged.discard(file.etag)

    def look(self):
        """Names and attributes."""
        file, by = self.choose()
        self.operations += 1
        self.note(f"look at {file} by {by}")
        id, type = file.repo.id, file.repo.type[:-1]
        try:
            if stat(self.shown(file, by), ACCESS).st_size != file.size:
                raise Broken(f"wrong size of {file}")
            listed = set(names(self.mount.snapshot(id, file.commit, type), ACCESS))
            if listed != {path.split("/")[0] for path in file.repo.commits[file.commit].files}:
                raise Broken(f"wrong list of {file}: {listed}")
            if not readlink(self.mount.snapshot(id, file.commit, type) / file.path, ACCESS).endswith(file.etag):
                raise Broken(f"wrong link of {file}")
            self.see_ref(file.repo)
        except TimeoutError as error:
            raise Broken(f"{error}") from None
        except OSError as error:
            self.judge("look", Outcome.of(error.errno), file, set() if self.calm else {"EIO"})

    def see_ref(self, repo):
        asked = time.monotonic()
        got = read(self.mount.ref(repo.id, type=repo.type[:-1]), seconds=ACCESS).decode().strip()
        heads = self.heads[repo.id]
        oldest = asked - self.options["ttl"] - 1 if self.calm else 0
        fresh = [commit for n, (_, commit) in enumerate(heads) if n + 1 == len(heads) or heads[n + 1][0] >= oldest]
        self.note(f"main of {repo.id} reads {got[:7]}")
        if got not in fresh:
            raise Broken(f"main of {repo.id} reads {got[:7]}, not one of {[c[:7] for c in fresh]}")

    def move_a_ref(self):
        repo = self.pick(self.files).repo
        self.move(repo, {f"{self.rng.randrange(6)}{self.pick(['.safetensors', '.txt', '.bin'])}": self.pick(SIZES)
                         for _ in range(self.rng.randrange(1, 3))})

    def hold(self):
        """Keeps a file open, over seals, evictions and troubles."""
        file, by = self.choose()
        if not self.calm or self.full or len(self.held) > 8 or by == BY_MAIN:
            return
        self.note(f"hold {file}")
        self.held.append((within(ACCESS, os.open, self.shown(file, by), os.O_RDONLY | os.O_CLOEXEC), file))

    def use_held(self):
        if not self.held:
            return
        fd, file = self.pick(self.held)
        off, size = self.rng.randrange(file.size + 1), self.pick([1, 5000, MIB])
        want = file.plain.read_bytes()[off:off + size]
        self.operations += 1
        allowed = self.allowed(file, BY_COMMIT)
        self.note_room(file)
        try:
            got = within(ACCESS, os.pread, fd, size, off)
            outcome = Outcome(wrong=got != want)
        except TimeoutError as error:
            raise Broken(f"{error}: held {file}\n{self.mount.stacks()[:4000]}") from None
        except OSError as error:
            outcome = Outcome.of(error.errno)
        self.spot_lies()
        self.judge(f"held, at {off}, {size}", outcome, file, allowed)

    def forget_pages(self):
        """The kernel's pages go, so that the daemon is asked again."""
        for fd, _ in self.held:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        for file in self.rng.sample(self.files, min(4, len(self.files))):
            with contextlib.suppress(OSError):
                fd = within(ACCESS, os.open, self.shown(file, BY_COMMIT), os.O_RDONLY | os.O_CLOEXEC)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)

    # -- what the control socket is asked for --

    def ask_control(self, verb, **body):
        self.operations += 1
        return within(ACCESS, Control(self.mount).ask, "POST", f"/v1/{verb}", body)

    def job(self, verb, **body):
        """How a job ended."""
        status, _, text = self.ask_control(verb, **body)
        if status != 202:
            raise Broken(f"{verb} {body}: {status} {text}")
        path, seen = f"/v1/jobs/{json.loads(text)['id']}", []
        ended = lambda: seen.append(Control(self.mount).get(path)) or seen[-1]["state"] != "running"
        if not eventually(ended, IN_VAIN, 0.05) and "may take no more" in str(seen):
            self.note(f"what is open takes the room of {seen[-1]}")
            self.drop_held()
        if not eventually(ended, 3 * HEALED, 0.05):
            raise Broken(f"a job without end: {seen[-1]}")
        self.note(f"{verb} {body}: {seen[-1]}")
        return seen[-1]

    def a_commit(self):
        file = self.pick(self.files)
        blobs = file.repo.commits[file.commit].files.values()
        return file, {b.etag for b in blobs}, sum({b.etag: b.size for b in blobs}.values()), {
            "repo": file.repo.id, "type": file.repo.type[:-1], "revision": file.commit}

    def pull_or_pin(self):
        """All files of a commit are fetched; with a pin they stay, whatever the limit."""
        file, etags, size, wish = self.a_commit()
        verb, now = self.pick(["pull", "pin", "pin"]), time.monotonic()
        if not self.calm or self.full or etags & self.lied or any(now < self.doubted.get(e, 0) for e in etags):
            return
        done, limit = self.job(verb, **wish), self.options["limit"]
        tight = bool(limit) or self.disk and self.disk_is_tight()
        if done["state"] != "done":
            if not tight:
                raise Broken(f"a {verb} that failed: {done}")
            if verb == "pin":
                self.ask_control("unpin", **wish)
                self.pinned.pop((file.repo.id, file.commit), None)
            return
        self.known.add((file.repo.id, file.commit))
        if verb == "pin":
            self.pinned[file.repo.id, file.commit] = etags
        if verb == "pin" or not tight:
            self.sure |= etags
            self.damaged -= etags

    def unpin(self):
        """Also of what was never pinned."""
        file, etags, _, wish = self.a_commit()
        status, _, text = self.ask_control("unpin", **wish)
        pin = self.pinned.pop((file.repo.id, file.commit), None)
        self.note(f"unpin {wish}: {status}")
        if status != (200 if pin else 404):
            raise Broken(f"unpin {wish}: {status} {text}")
        if self.options["limit"] or self.disk and self.disk_is_tight():
            self.only_pins_are_sure()

    def evict(self):
        file, etags, _, wish = self.a_commit()
        status, _, text = self.ask_control("evict", **wish)
        self.note(f"evict {wish}: {status} {text}")
        if status != 200 and (file.repo.id, file.commit) in self.known:
            raise Broken(f"evict {wish}: {status} {text}")
        self.sure -= etags - set().union(*self.pinned.values())

    def scrub(self):
        """What has rotted unseen is found, and mended from the hub."""
        if not self.calm or self.full or self.options["limit"]:
            return
        held = {file.etag for _, file in self.held}
        rotten = sorted(e for e in self.sure - held if e not in self.lied and (self.mount.cached(e)).stat().st_size)
        rotten = self.rng.sample(rotten, min(len(rotten), self.pick([0, 1, 2])))
        for etag in rotten:
            with open(self.mount.cached(etag), "r+b") as f:
                off = self.rng.randrange(os.fstat(f.fileno()).st_size)
                byte = os.pread(f.fileno(), 1, off)[0]
                os.pwrite(f.fileno(), bytes([byte ^ 1 << self.rng.randrange(8)]), off)
            self.note(f"a bit of {etag[:8]} has flipped at {off}")
        done = self.job("scrub", bytes_per_second=0)
        if done["state"] != "done" or done["bad"] or done["repaired"] < len(rotten):
            raise Broken(f"{len(rotten)} files had rotted: {done}")
        for etag in rotten:
            file = next(f for f in self.files if f.etag == etag)
            outcome = self.readers.read("sequential", self.shown(file, BY_NAME), file.plain, seconds=ACCESS)
            self.judge("read after a scrub", outcome, file, set())

    # -- troubles --

    @contextlib.contextmanager
    def trouble(self, name, struck=None):
        where = "" if struck is None else f" at {[hub.url for hub in struck]}"
        self.note(f"{name} begins{where}")
        self.troubles[name] = struck
        try:
            yield
        finally:
            self.note(f"{name} ends")
            del self.troubles[name]
            self.unsettled = True
            self.left_alone |= {hub.url: time.monotonic() + LEFT_ALONE for hub in struck or self.hubs}

    @contextlib.contextmanager
    def faults(self, struck, *args, **kw):
        with contextlib.ExitStack() as stack:
            for hub in struck:
                stack.enter_context(hub.fault(*args, **kw))
            yield

    def a_fault(self):
        kind, args = self.pick(FAULTS)
        match = self.pick([BYTES, BYTES, ".", "GET /api/"])
        if kind == "size_lies":
            match = BYTES       # a list that lies is believed for ever
        times, struck = self.pick([None, 1, 2]), self.struck()
        slow = kind in PATIENCE or "retry_after" in args
        with self.trouble(f"{kind} {args} at {match}, times {times}", None if slow else struck), \
                self.faults(struck, match, kind, times=times, **args):
            self.reads(self.rng.randrange(1, 4))
            self.use_held()
        self.settle()

    def a_lie(self):
        struck = self.struck()
        with self.trouble("wrong bytes"), self.faults(struck, BYTES, "wrong_bytes", times=self.pick([1, 1, 3])):
            self.lied |= {f.etag for f in self.files if f.etag not in self.sure}    # whoever is fetched now
            self.gather(self.ask(self.rng.randrange(1, 4)))
        told = {self.etag_of(q) for q in self.requests() if "wrong_bytes" in (q.fault or "").split(",")}
        self.lied &= told | getattr(self, "unjudged", set())
        self.unjudged = set(self.lied)
        self.settle()
        self.judge_lies()

    def judge_lies(self):
        """A lie is found out when the whole digest is known; from then on no wrong byte may be seen."""
        for etag in sorted(self.lied):
            file = next(f for f in self.files if f.etag == etag)
            if self.options["limit"] or self.disk:      # what had room only in part is had anew when nobody has it open
                self.drop_held()
            if not eventually(lambda: not self.readers.read("sequential", self.shown(file, BY_NAME), file.plain, seconds=ACCESS).wrong,
                              self.healed, 0.1):
                raise Broken(f"wrong bytes again and again: {file}")
            self.note(f"the lie about {file} is known")
            self.lied.discard(etag)
            self.wrong_once.add(etag)
            self.doubted[etag] = time.monotonic() + 35 * SLOW
        self.unjudged = set()

    def hub_down(self):
        struck = self.struck()
        with self.trouble("hub down", struck):
            for hub in struck:
                hub.down()
            self.reads(self.rng.randrange(1, 4))
            self.look()
            self.use_held()
            for hub in struck:
                hub.up()
        self.settle()

    def down_under_way(self):
        struck = self.struck()
        self.rate(self.pick([2_000_000, 20_000_000]))
        with self.trouble("hub goes down under way"):
            asked = self.ask(self.rng.randrange(1, 5))
            time.sleep(self.rng.uniform(0, 0.4))
            for hub in struck:
                hub.down()
            self.gather(asked)
            for hub in struck:
                hub.up()
        self.rate(None)
        self.settle()

    def rate(self, bytes_per_s):
        for hub in self.hubs:
            hub.rate(bytes_per_s)

    def revoke(self):
        self.note("links are revoked")
        for hub in self.struck():
            hub.revoke_links()

    def settle(self):
        """The troubles are over: a file nobody has asked for yet can be had."""
        if self.options["offline"] or self.troubles:
            return
        repo, n = self.hub.repo("probe/probe"), len(self.log)
        commit = repo.commit({"probe.bin": b"%d" % n, "probe.txt": b"%dx" % n})
        for name, bytes in ("probe.bin", b"%d" % n), ("probe.txt", b"%dx" % n):
            twin = plain(self.base, "probe", bytes)
            path = self.mount.file("probe/probe", name, commit)
            if not eventually(lambda: self.readers.read("sequential", path, twin, seconds=ACCESS).right, HEALED, 0.1):
                raise Broken(f"the troubles are over, but a new file cannot be read\n{self.mount.stacks()[:4000]}")
        time.sleep(0.32)        # so long a failure is everybody's answer
        self.note("settled")
        self.unsettled = False

    # -- the disk, the clock, the end --

    def fill_disk(self):
        if not self.disk:
            return
        room = self.pick([0, 100_000, 3 * MIB])
        self.note(f"the disk is full but for {room} bytes")
        self.full = True
        self.only_pins_are_sure()
        with open(self.disk / "filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
            while os.statvfs(self.disk).f_bavail * 4096 > room and f.write(bytes(1 << 16)):
                pass
        try:
            self.gather(self.ask(self.rng.randrange(1, 5)))
            self.use_held()
            self.look()
        finally:
            (self.disk / "filler").unlink()
            self.note("the disk has room")
            self.full = False
        self.unsettled = True
        self.settle()

    def jump(self):
        seconds = self.pick([-400 * 86400, -3600, -1, 0, 60, 86400, 4000 * 86400])
        self.note(f"the clock is {seconds} s ahead")
        with open(self.clock, "r+b", buffering=0) as f:     # it is mapped: it must not be empty for a moment
            f.write(struct.pack("<q", seconds))

    def restart(self):
        self.end("stop")
        self.start()
        self.unsettled = True
        self.settle()

    def kill(self):
        self.rate(self.pick([None, 3_000_000, 30_000_000]))
        with self.trouble("kill"):
            asked = self.ask(self.rng.randrange(0, 5))
            time.sleep(self.rng.uniform(0, 0.3))
            self.end("kill")
            if not self.nfs:
                self.gather(asked, also={"ENOTCONN", "ECONNABORTED", "EINTR", "ENOENT", "EBADF", "ENODEV", "EIO"})
            self.spot_lies()
            if self.rng.random() < 0.5:
                self.damage()
            self.rate(None)
            self.start()
            if self.nfs:
                self.gather(asked)
        self.settle()

    def damage(self):
        """As a power cut leaves it: what was not flushed is torn, or gone."""
        maps = sorted(self.cache.glob("blobs/*/*.map"))
        for map in self.rng.sample(maps, min(2, len(maps))):
            how = self.pick(["torn chunk", "map cut", "map garbled", "data gone", "both gone"])
            data = map.with_suffix("")
            self.note(f"damage: {how} {data.name[:8]}")
            self.damaged.add(data.name)
            if how == "torn chunk" and data.exists() and data.stat().st_size:
                off = self.rng.randrange(data.stat().st_size)
                with open(data, "r+b") as f:
                    byte = os.pread(f.fileno(), 1, off)
                    os.pwrite(f.fileno(), bytes([byte[0] ^ 255]), off)
            elif how == "map cut":
                os.truncate(map, self.rng.randrange(map.stat().st_size))
            elif how == "map garbled":
                map.write_bytes(self.rng.randbytes(map.stat().st_size))
            elif how in ("data gone", "both gone"):
                data.unlink(missing_ok=True)
                if how == "both gone":
                    map.unlink()

    # -- one step after another --

    STEPS = [(reads, 30), (seal, 8), (look, 8), (use_held, 6), (hold, 4), (move_a_ref, 4), (forget_pages, 4), (a_fault, 6), (a_lie, 2),
             (hub_down, 3), (down_under_way, 3), (revoke, 2), (fill_disk, 3), (jump, 2), (restart, 3), (kill, 4),
             (pull_or_pin, 4), (unpin, 3), (evict, 3), (scrub, 3)]

    def run(self, steps):
        for self.step in range(steps):
            self.rng = random.Random(f"{self.seed}/{self.step}")
            operation = self.rng.choices([s for s, _ in self.STEPS], [w for _, w in self.STEPS])[0]
            self.note(f"- {operation.__name__}")
            operation(self)
            if not self.mount.alive():
                raise Broken(f"the daemon has ended: {self.mount.process.poll()}")
        self.end("stop")
        self.mount = None


def torture(seed, steps, directory=None, say=None, nfs=False):
    """One life; the number of its operations. Broken carries what is needed to understand it."""
    with tempfile.TemporaryDirectory(prefix="torture-", dir=directory, ignore_cleanup_errors=True) as base:
        life = Life(seed, base, say, nfs)
        try:
            life.run(steps)
            return life.operations
        except Exception as error:
            text = life.mount.log_text()[-6000:] if life.mount else ""
            asked = [f"{q.time - time.time():.3f} {q.on} {q.method} {q.path[-60:]} {q.range} {q.status} sent {q.bytes_sent} "
                     f"in {q.seconds:.3f} {q.fault or ''}" for q in sorted(life.requests(), key=lambda q: q.time)[-25:]]
            raise Broken(f"seed {seed}: {error}\n--- the last steps of seed {seed}\n" + "\n".join(life.log[-40:])
                         + "\n--- what the hub was asked, seconds ago\n" + "\n".join(asked) + f"\n--- the daemon's log\n{text}\n--- again: tests/torture.py --seed {seed} --steps {steps}{' --nfs' if nfs else ''}") from error
        finally:
            life.close()
            left = daemons_of(base)
            assert not left, f"still running: {left}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--first", type=int, default=int(time.time()), help="the first of many seeds")
    parser.add_argument("--steps", type=int, default=150, help="of each seed")
    parser.add_argument("--seconds", type=int, default=3600, help="begin no further seed after so long")
    parser.add_argument("--nfs", action="store_true", help="libnfs reads, from an export")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    began, seeds, operations, failed = time.monotonic(), 0, 0, []
    first = args.seed if args.seed is not None else args.first
    while not seeds or args.seed is None and time.monotonic() - began < args.seconds:
        seed = first + seeds
        print(f"seed {seed}", flush=True)
        try:
            operations += torture(seed, args.steps, say=args.verbose, nfs=args.nfs)
        except Broken as error:
            failed.append(seed)
            print(error, flush=True)
        seeds += 1
    print(f"{seeds} seeds, {operations} operations in {time.monotonic() - began:.0f} s; failed: {failed or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
