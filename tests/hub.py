#!/usr/bin/env python3
"""A Hugging Face compatible hub on loopback, with scripted faults: for tests, demo and bench.

    with Hub() as hub:
        repo = hub.repo("org/tiny")
        commit = repo.commit({"config.json": b"{}", "model.safetensors": Path("…")})
        with hub.fault(r"GET .*/resolve/", "cut_body", after_bytes=1000, times=1): …
        assert hub.requests(path_re="/resolve/")

    python3 tests/hub.py --listen 127.0.0.1:8080 --repo org/name=DIRECTORY
"""
import argparse
import base64
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import sys
import threading
import time
import traceback
import uuid
from urllib.parse import parse_qs, quote, unquote, unquote_to_bytes, urlencode

from faults import HOSTILE, KINDS, Fault, Reply  # noqa: F401 (two of them for the tests)
from wire import Server

LFS_NAMES = (".safetensors", ".bin", ".gguf", ".lfs")
LFS_SIZE = 10 << 20
PREFIX = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}
VERBS = ("revision", "tree", "commits", "refs", "paths-info", "auth-check", "resolve", "raw", "chunks")
EXPAND = ("author", "cardData", "createdAt", "disabled", "downloads", "gated", "lastModified", "library_name", "likes",
          "pipeline_tag", "private", "sha", "siblings", "tags", "usedStorage", "config", "safetensors", "gguf",
          "transformersInfo", "sdk", "downloadsAllTime", "description", "citation", "runtime")


# ---- what the hub holds ----

class Blob:
    """The bytes of a file, in memory or in a file on disk, and the ids a hub gives them."""

    def __init__(self, source, name="", lfs=None, sha256=None):
        self.file = pathlib.Path(source) if isinstance(source, (str, os.PathLike)) else None
        self.bytes = None if self.file else bytes(source)
        self.size = self.file.stat().st_size if self.file else len(self.bytes)
        self.lfs = name.endswith(LFS_NAMES) or self.size > LFS_SIZE if lfs is None else lfs
        self.sha256 = (sha256 or self._digest("sha256")) if self.lfs else None
        self.pointer = (f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()
                        if self.lfs else None)
        self.oid = git_id("blob", self.pointer) if self.lfs else self._digest("sha1", b"blob %d\0" % self.size)
        self.etag = self.sha256 or self.oid

    def _digest(self, name, head=b""):
        if not self.file:
            return hashlib.new(name, head + self.bytes).hexdigest()
        with open(self.file, "rb") as f:
            return hashlib.file_digest(f, lambda: hashlib.new(name, head)).hexdigest()

    def read(self, start, end):
        if not self.file:
            return self.bytes[start:end]
        with open(self.file, "rb") as f:
            f.seek(start)
            return f.read(end - start)


def git_id(kind, content):
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(content)) + content).hexdigest()


def later():
    """What is asked from here on is asked after what was answered before, also by clocks that count milliseconds."""
    time.sleep(0.002)


def moment(date):
    return int(datetime.datetime.fromisoformat(date).timestamp())


class Commit:
    def __init__(self, parent, files, title, date):
        self.parent, self.files, self.title, self.date = parent, files, title, date
        self.trees = {}             # directory ("" is the root): tree id
        self.names = {"": set()}    # directory: what lies in it
        for path in files:
            parts = path.split("/")
            for n in range(len(parts)):
                self.names.setdefault("/".join(parts[:n]), set()).add(parts[n])
        self._tree("")
        who = f"tests <tests@example.org> {moment(date)} +0000"
        self.id = git_id("commit", "".join([f"tree {self.trees['']}\n", f"parent {parent.id}\n" if parent else "",
                                            f"author {who}\ncommitter {who}\n\n{title}\n"]).encode())
        self.listings = {}

    def _tree(self, directory):
        lines = []
        for name in self.names[directory]:
            path = f"{directory}/{name}".lstrip("/")
            raw, below = os.fsencode(name), path in self.names
            oid = self._tree(path) if below else self.files[path].oid
            lines.append((raw + b"/" * below, (b"40000 " if below else b"100644 ") + raw + b"\0" + bytes.fromhex(oid)))
        self.trees[directory] = git_id("tree", b"".join(line for _, line in sorted(lines)))
        return self.trees[directory]

    def listing(self, directory, recursive):
        """Paths below a directory, directories first."""
        key = directory, recursive
        if key not in self.listings:
            paths = [f"{directory}/{n}".lstrip("/") for n in sorted(self.names[directory])]
            folders = [p for p in paths if p in self.names]
            deeper = [p for f in folders for p in self.listing(f, True)] if recursive else []
            self.listings[key] = folders + [p for p in paths if p not in self.names] + deeper
        return self.listings[key]

    def item(self, path, expand=False):
        if path in self.files:
            blob = self.files[path]
            item = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
            if blob.lfs:
                item["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}
        else:
            item = {"type": "directory", "oid": self.trees[path], "size": 0, "path": path}
        if expand:
            last = self
            while last.parent and last.parent._oid(path) == item["oid"]:
                last = last.parent
            item["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
            if item["type"] == "file":
                item["securityFileStatus"] = {"status": "safe", "avScan": None, "pickleImportScan": None}
        return item

    def _oid(self, path):
        return self.files[path].oid if path in self.files else self.trees.get(path)


class Repo:
    """A repo; attributes may be changed at any time."""

    def __init__(self, hub, id, type, private=False, gated=False, disabled=False, renamed_to=None):
        self.hub, self.id, self.type = hub, id, type
        self.private, self.gated, self.disabled, self.renamed_to = private, gated, disabled, renamed_to
        self.refs = {}              # full name: commit id
        self.commits = {}
        self.lists = {}             # what it publishes, as matrixhubd does: {path: [SHA-256 of each MiB]}
        self.more = {}              # what else is told of it: {"tags": […], "likes": 7}

    def commit(self, files, date=None, title=None, branch="main"):
        """Lays files over the head of a branch (None removes one), moves the branch, returns the commit id.

        A file is bytes, a Path or a Blob; branch=None: a commit no branch names, over the head of main.
        """
        later()
        parent = self.commits.get(self.refs.get(f"refs/heads/{branch or 'main'}"))
        tree = dict(parent.files) if parent else {}
        for name, source in files.items():
            if source is None:
                del tree[name]
            else:
                tree[name] = source if isinstance(source, Blob) else Blob(source, name)
                self.hub.blobs[tree[name].sha256] = tree[name]
        minutes = len(self.commits)
        date = date or f"2024-01-{1 + minutes // 1440:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:00.000Z"
        made = Commit(parent, tree, title or (f"commit {minutes}" if parent else "initial commit"), date)
        self.commits[made.id] = made
        if branch:
            self.move(branch, made.id)
        return made.id

    def ref(self, full_name, commit):
        self.refs[full_name] = commit

    def branch(self, name, commit):
        later()
        self.refs[f"refs/heads/{name}"] = commit

    move = branch

    def tag(self, name, commit):
        self.refs[f"refs/tags/{name}"] = commit

    def pr(self, number, commit):
        self.refs[f"refs/pr/{number}"] = commit

    def drop(self, name):
        later()
        for full in (name, f"refs/heads/{name}", f"refs/tags/{name}"):
            self.refs.pop(full, None)

    def rename(self, id):
        """The old name answers 307 from now on."""
        later()
        old, self.id = self.id, id
        self.hub.repos[self.type, id.lower()] = self
        self.hub.repos[self.type, old.lower()] = Repo(self.hub, old, self.type, renamed_to=id)

    def remove(self):
        later()
        del self.hub.repos[self.type, self.id.lower()]

    def blob(self, path, revision="main"):
        return self.find(revision).files[path]

    def find(self, revision):
        """The commit a revision names, or None."""
        if revision == "HEAD":
            revision = "main"
        for full in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if full in self.refs:
                return self.commits[self.refs[full]]
        if re.fullmatch("[0-9a-f]{5,40}", revision):
            found = [c for id, c in self.commits.items() if id.startswith(revision)]
            return found[0] if len(found) == 1 else None
        return None


# ---- the hub ----

class Refused(Exception):
    def __init__(self, status, message, code=None, **headers):
        headers = {n.replace("_", "-"): v for n, v in headers.items()} | {"X-Error-Message": message}
        if code:
            headers["X-Error-Code"] = code
        self.reply = Reply(status, headers, data={"error": message})


class Hub:
    """cdn: False, True (a second origin in this process serves LFS files) or the URL prefix of one that serves /<sha256>."""

    def __init__(self, host="127.0.0.1", port=0, cdn=False, cdn_ttl=3600, tls=None, page_size=1000, log_file=None):
        self.repos, self.blobs, self.tokens, self.log, self.faults = {}, {}, {}, [], []
        self.most_at_once = None        # answers of file bytes; more are refused with 429
        self.page_size, self.cdn_ttl, self.secret = page_size, cdn_ttl, os.urandom(16)
        self.log_file, self.lock = log_file and open(log_file, "a", buffering=1), threading.Lock()
        self.server = Server("hub", host, port, lambda q: self._reply(q, self._hub), self._done, tls)
        self.cdn = Server("cdn", host, 0, lambda q: self._reply(q, self._cdn), self._done, tls) if cdn is True else None
        self.cdn_prefix = self.cdn.url if self.cdn else (cdn or "").rstrip("/")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.clear_faults()
        self.down()
        if self.cdn:
            self.cdn.down()

    @property
    def url(self):
        return self.server.url

    @property
    def port(self):
        return self.server.port

    def repo(self, id, type="model", **kw):
        """The repo of that name, made if there is none; kw: private, gated, disabled, renamed_to."""
        type = type if type.endswith("s") else type + "s"
        if (type, id.lower()) not in self.repos:
            self.repos[type, id.lower()] = Repo(self, id, type, **kw)
        return self.repos[type, id.lower()]

    def token(self, value, user="tester", repos=None):
        """A token that opens the private and gated repos named (None: all, []: none)."""
        self.tokens[value] = user, repos
        return value

    def up(self):
        self.server.up()

    def down(self):
        self.server.down()

    def latency(self, seconds):
        for server in filter(None, (self.server, self.cdn)):
            server.latency = seconds

    def rate(self, bytes_per_s):
        """Of each connection; None: as fast as it goes."""
        for server in filter(None, (self.server, self.cdn)):
            server.rate = bytes_per_s

    def at_once(self, path_re):
        """The most answers whose path matches that were on their way at one time."""
        spans = [(q.time, q.time + q.seconds) for q in self.requests(path_re=path_re) if q.status in (200, 206)]
        return max((sum(a <= start < b for a, b in spans) for start, _ in spans), default=0)

    def revoke_links(self):
        """Links given so far answer 403 from now on."""
        self.secret = os.urandom(16)

    def fault(self, match, kind, *, times=None, after=0, ua=None, on=None, **args):
        """Requests whose "METHOD /path" matches go wrong: `times` of them, once `after` have gone well."""
        self.faults.append(Fault(match, kind, times, after, ua, on, args))
        return self.faults[-1]

    def clear_faults(self):
        for fault in self.faults:
            fault.off()
        self.faults = []

    def requests(self, ua=None, path_re=None, method=None, on=None):
        self._settle()
        return [q for q in list(self.log)
                if (ua is None or re.search(ua, q.user_agent)) and (path_re is None or re.search(path_re, q.path))
                and method in (None, q.method) and on in (None, q.on)]

    def bytes_sent(self, **which):
        return sum(q.bytes_sent for q in self.requests(**which))

    def clear_log(self):
        self._settle()
        later()
        self.log = []

    def _settle(self):
        """A client may have the last byte before its record has it: wait a moment."""
        until = time.monotonic() + 0.2
        while any(q.sending for q in self.log) and time.monotonic() < until:
            time.sleep(0.001)

    # -- from request to reply --

    def _reply(self, request, route):
        self.log.append(request)
        try:
            if self.most_at_once and "/resolve/" in request.path and self._sending() > self.most_at_once:
                raise Refused(429, "too many requests at once", Retry_After="0")
            reply = route(request)
        except Refused as refused:
            reply = refused.reply
        except Exception as error:
            traceback.print_exc()
            reply = Reply(500, data={"error": repr(error)})
        trace = request.headers.get("x-amzn-trace-id", "")
        reply.headers["X-Request-Id"] = request.headers.get("x-request-id") or trace or f"Root=1-{uuid.uuid4()}"
        hit = [f.kind for f in list(self.faults) if f.apply(request, reply)]
        request.fault = ",".join(hit) or None
        return reply

    def _sending(self):
        return sum(q.sending and "/resolve/" in q.path for q in list(self.log))

    def _done(self, request):
        if self.log_file:
            with self.lock:
                self.log_file.write(json.dumps(request.record()) + "\n")

    def _hub(self, q):
        path = q.path
        if path == "/api/agent-harnesses":
            reply = Reply(404, data={"error": "Not found"})
            reply.latency = False
            return reply
        token = self._token(q)
        if path == "/api/whoami-v2":
            return self._whoami(token)
        if m := re.fullmatch(r"/api/(models|datasets|spaces|kernels)/?", path):
            return self._list(q, m[1])
        if m := re.fullmatch(r"/api/(models|datasets|spaces|kernels)/(.+)", path):
            repo, rest = self._find(q, m[1], m[2])
            verb, _, rest = rest.partition("/")
            route = {"": self._info, "revision": self._info, "tree": self._tree, "refs": self._refs, "commits": self._commits,
                     "paths-info": self._paths_info, "auth-check": self._auth_check, "chunks": self._chunks}.get(verb)
            if route and (q.method == "POST") == (verb == "paths-info"):
                return route(q, repo, rest)
        elif m := re.fullmatch(r"/(datasets/|spaces/|kernels/|)(.+?/(?:resolve|raw)/.+)", path):
            repo, rest = self._find(q, m[1].rstrip("/") or "models", m[2])
            if q.method in ("GET", "HEAD"):
                return self._resolve(q, repo, rest)
        raise Refused(404, "Sorry, we can't find the page you are looking for.")

    def _token(self, q):
        value = q.headers.get("authorization", "").removeprefix("Bearer ")
        if value and value not in self.tokens:
            raise Refused(401, "Invalid credentials in Authorization header")
        return value

    def _opens(self, q, repo):
        _, repos = self.tokens.get(self._token(q), (None, []))
        return repos is None or repo.id in repos

    def _find(self, q, type, raw):
        """The repo a raw path begins with, and what follows; 307 for another spelling of its name."""
        parts = raw.split("/")
        for n in (2, 1):
            asked = unquote("/".join(parts[:n]))
            repo = self.repos.get((type, asked.lower()))
            if repo and (len(parts) <= n or parts[n] in VERBS):
                break
        else:
            raise self._no_repo(q)
        while repo.renamed_to:
            repo = self.repos[type, repo.renamed_to.lower()]
        if repo.private and not self._opens(q, repo):
            raise self._no_repo(q)
        if asked != repo.id:
            location = q.target.replace("/" + "/".join(parts[:n]), "/" + repo.id, 1)
            raise Refused(307, f"Temporary Redirect. Redirecting to {location}", Location=location)
        if repo.disabled:
            raise Refused(403, "Access to this resource is disabled.")
        return repo, "/".join(parts[n:])

    def _no_repo(self, q):
        return Refused(404 if q.has_auth else 401, "Repository not found", "RepoNotFound")

    def _revision(self, repo, raw, default="main"):
        """The commit a raw path begins with, and the path after it; %2F and raw refs/pr/1 are the same."""
        parts = raw.split("/") if raw else [default]
        n = 3 if parts[0] == "refs" else 1
        revision = unquote("/".join(parts[:n]))
        if not (commit := repo.find(revision)):
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit, os.fsdecode(unquote_to_bytes("/".join(parts[n:])))

    # -- routes --

    def _whoami(self, token):
        if not token:
            raise Refused(401, "Invalid username or password.")
        user = self.tokens[token][0]
        return Reply(data={"type": "user", "id": hashlib.md5(user.encode()).hexdigest()[:24], "name": user, "fullname": user,
                           "email": f"{user}@example.org", "emailVerified": True, "isPro": False, "avatarUrl": "/avatar.svg", "orgs": [],
                           "auth": {"type": "access_token", "accessToken": {
                               "displayName": "test", "role": "write", "createdAt": "2024-01-01T00:00:00.000Z"}}})

    def _list(self, q, type):
        author, search = q.arg("author"), q.arg("search", "").lower()
        found = [r for (t, _), r in sorted(self.repos.items()) if t == type and not r.renamed_to
                 and (not r.private or self._opens(q, r)) and (not author or r.id.startswith(author + "/")) and search in r.id.lower()]
        page, headers = self._page(q, found, int(q.arg("limit", self.page_size)))
        return Reply(headers=headers, data=[self._about(r, r.find("main"), q.flag("full"), False) for r in page])

    def _page(self, q, items, size):
        """One page of items, and the Link header to the next."""
        at = int(base64.urlsafe_b64decode(q.arg("cursor", "")) or 0)
        if at + size >= len(items):
            return items[at:], {}
        cursor = base64.urlsafe_b64encode(b"%d" % (at + size)).decode()
        query = urlencode(q.args | {"cursor": [cursor]}, doseq=True)
        return items[at:at + size], {"Link": f'<{q.base}{q.path}?{query}>; rel="next"'}

    def _about(self, repo, commit, siblings, blobs):
        last = commit.date if commit else "2024-01-01T00:00:00.000Z"
        first = min((c.date for c in repo.commits.values()), default=last)
        about = {"_id": hashlib.md5(f"{repo.type}/{repo.id}".encode()).hexdigest()[:24], "id": repo.id,
                 "author": repo.id.rpartition("/")[0], "private": repo.private, "gated": repo.gated is True and "manual" or repo.gated,
                 "disabled": repo.disabled, "likes": 0, "downloads": 0, "tags": [], "createdAt": first, "lastModified": last,
                 "sha": commit.id if commit else None}
        if repo.type == "models":
            about["modelId"] = repo.id
        if siblings:
            files = sorted(commit.files.items()) if commit else []
            about["siblings"] = [{"rfilename": n} | ({"size": b.size, "blobId": b.oid} if blobs else {})
                                 | ({"lfs": {"size": b.size, "sha256": b.sha256, "pointerSize": len(b.pointer)}} if blobs and b.lfs else {})
                                 for n, b in files]
            about["usedStorage"] = sum(b.size for _, b in files)
        return about | repo.more

    def _info(self, q, repo, rest):
        commit = self._revision(repo, rest)[0] if rest or repo.commits else None
        about = self._about(repo, commit, True, q.flag("blobs"))
        wanted = q.args.get("expand", []) + q.args.get("expand[]", [])
        if unknown := set(wanted) - set(EXPAND):
            raise Refused(400, f"Invalid expand: {', '.join(sorted(unknown))}")
        if wanted:
            about = {k: v for k, v in about.items() if k in ("_id", "id", *wanted)}
        return Reply(data=about)

    def _tree(self, q, repo, rest):
        commit, path = self._revision(repo, rest)
        path, expand = path.strip("/"), q.flag("expand")
        if path not in commit.names:
            raise Refused(404, f"{path} does not exist on this revision", "EntryNotFound")
        size = min(self.page_size, int(q.arg("limit", self.page_size)), 100 if expand else self.page_size)
        page, headers = self._page(q, commit.listing(path, q.flag("recursive")), size)
        return Reply(headers=headers, data=[commit.item(p, expand) for p in page])

    def _paths_info(self, q, repo, rest):
        commit, _ = self._revision(repo, rest)
        if "json" in q.headers.get("content-type", ""):
            asked = json.loads(q.body)
            paths, expand = asked["paths"], bool(asked.get("expand"))
        else:
            form = parse_qs(os.fsdecode(q.body))
            paths, expand = form.get("paths", []), form.get("expand", [""])[0].lower() in ("true", "1")
        return Reply(data=[commit.item(p, expand) for p in paths if p in commit.files or p in commit.trees])

    def _refs(self, q, repo, rest):
        kinds = {"branches": "refs/heads/", "converts": "refs/convert/", "tags": "refs/tags/"}
        if q.flag("include_prs"):
            kinds["pullRequests"] = "refs/pr/"
        return Reply(data={kind: [{"name": ref.removeprefix(head), "ref": ref, "targetCommit": id}
                                  for ref, id in repo.refs.items() if ref.startswith(head)] for kind, head in kinds.items()})

    def _commits(self, q, repo, rest):
        commit, _ = self._revision(repo, rest)
        history = []
        while commit:
            history.append({"id": commit.id, "title": commit.title, "message": "", "date": commit.date,
                            "authors": [{"user": "tests", "avatar": "/avatar.svg"}]})
            commit = commit.parent
        page, headers = self._page(q, history, int(q.arg("limit", 50)))
        return Reply(headers=headers | {"X-Total-Count": str(len(history))}, data=page)

    def _auth_check(self, q, repo, rest):
        self._gate(q, repo)
        return Reply(data={})

    def _chunks(self, q, repo, rest):
        commit, path = self._revision(repo, rest)
        if path not in repo.lists:
            raise Refused(404, "Sorry, we can't find the page you are looking for.")
        blob = commit.files[path]
        return Reply(data={"etag": blob.etag, "size": blob.size, "chunkSize": 1 << 20, "algorithm": "sha256", "digests": repo.lists[path]})

    def _gate(self, q, repo):
        if repo.gated and not self._opens(q, repo):
            raise Refused(403, f"Access to {repo.type[:-1]} {repo.id} is restricted and you are not in the authorized list. "
                          f"Visit {q.base}/{PREFIX[repo.type]}{repo.id} to ask for access.", "GatedRepo")

    def _resolve(self, q, repo, rest):
        verb, _, rest = rest.partition("/")
        self._gate(q, repo)
        commit, path = self._revision(repo, rest)
        if path not in commit.files:
            raise Refused(404, "Entry not found", "EntryNotFound", X_Repo_Commit=commit.id)
        blob = commit.files[path]
        name = os.path.basename(path)
        headers = {"X-Repo-Commit": commit.id, "ETag": f'"{blob.etag}"', "Content-Type": "application/octet-stream",
                   "Content-Disposition": f"inline; filename*=UTF-8''{quote(os.fsencode(name))}; "
                   f"filename=\"{re.sub('[^ -!#-~]', '_', name)}\";"}
        if blob.lfs and verb == "raw":
            blob = Blob(blob.pointer, lfs=False)
            headers["ETag"] = f'"{blob.etag}"'
        elif blob.lfs:
            headers |= {"X-Linked-Etag": f'"{blob.etag}"', "X-Linked-Size": str(blob.size)}
            if self.cdn_prefix:
                headers["Location"] = location = self._link(blob)
                headers |= {"Content-Type": "text/plain; charset=utf-8", "Vary": "Origin, Accept"}
                del headers["ETag"], headers["Content-Disposition"]
                return Reply(302, headers, f"Found. Redirecting to {location}".encode())
        return self._file(q, blob, headers)

    def _link(self, blob):
        expires = int(time.time() + self.cdn_ttl)
        return f"{self.cdn_prefix}/{blob.sha256}?Expires={expires}&Signature={self._sign(blob.sha256, expires)}"

    def _sign(self, sha256, expires):
        return hmac.new(self.secret, f"{sha256}/{expires}".encode(), "sha256").hexdigest()

    def _file(self, q, blob, headers):
        """A file, or the range of it that was asked for."""
        headers |= {"Accept-Ranges": "bytes"}
        m = re.fullmatch(r"bytes=(\d*)-(\d*)", q.range or "")
        if not m or m[0] == "bytes=-" or q.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
            return Reply(headers=headers, blob=blob)
        if not blob.size:
            return Reply(headers=headers | {"Content-Range": "bytes */0"})
        start = int(m[1]) if m[1] else max(0, blob.size - int(m[2]))
        end = min(blob.size, int(m[2]) + 1) if m[1] and m[2] else blob.size
        if start >= end:
            return Reply(416, headers | {"Content-Range": f"bytes */{blob.size}"})
        return Reply(206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{blob.size}"}, blob=blob, span=(start, end))

    def _cdn(self, q):
        """The other origin: knows signed links and nothing else; its ETag is its own."""
        def refuse(code, word):
            return Reply(code, {"Content-Type": "application/xml"}, f"<Error><Code>{word}</Code></Error>".encode())
        if q.has_auth:
            return refuse(400, "InvalidArgument")
        sha256, expires = q.path.strip("/"), q.arg("Expires", "0")
        if q.arg("Signature") != self._sign(sha256, expires) or not expires.isdigit() or int(expires) < time.time():
            return refuse(403, "AccessDenied")
        if sha256 not in self.blobs:
            return refuse(404, "NoSuchKey")
        headers = {"ETag": f'"{sha256[:32]}-1"', "Content-Type": "binary/octet-stream"}
        return self._file(q, self.blobs[sha256], headers)


# ---- as a program ----

def _add_directory(hub, id, directory, blobs):
    type, _, rest = id.partition("/")
    type, id = (type, rest) if type in PREFIX and "/" in rest else ("models", id)
    root = pathlib.Path(directory)
    files = {str(p.relative_to(root)): p for p in sorted(root.rglob("*")) if p.is_file()}
    if not files:
        raise SystemExit(f"hub.py: no files in {directory}")
    newest = datetime.datetime.fromtimestamp(max(p.stat().st_mtime for p in files.values()), datetime.UTC)
    repo = hub.repo(id, type)
    repo.commit(files, date=newest.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    for blob in repo.find("main").files.values():
        if blobs and blob.lfs and not (link := pathlib.Path(blobs, blob.sha256)).is_symlink():
            link.symlink_to(blob.file.resolve())


def main():
    parser = argparse.ArgumentParser(description="A Hugging Face compatible hub that serves directories.")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--repo", action="append", default=[], metavar="[TYPE/]ORG/NAME=DIRECTORY", help="TYPE: models, datasets, spaces")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--rate", type=int, metavar="BYTES_PER_S", help="of each connection")
    parser.add_argument("--cdn", nargs="?", const=True, default=False, metavar="URL_PREFIX",
                        help="LFS files answer 302 to URL_PREFIX/<sha256>; without a value, to a second port of this process")
    parser.add_argument("--blobs", metavar="DIRECTORY", help="link each LFS file there by its sha256 (the root of a real CDN)")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN")
    parser.add_argument("--log", metavar="FILE", help="one JSON line a request")
    parser.add_argument("--ready-file", metavar="FILE", help="the URL is written there once the hub answers")
    args = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, stop := {signal.SIGINT, signal.SIGTERM})
    host, _, port = args.listen.rpartition(":")
    with Hub(host, int(port), cdn=args.cdn, log_file=args.log) as hub:
        hub.latency(args.latency)
        hub.rate(args.rate)
        for token in args.token:
            hub.token(token)
        for spec in args.repo:
            id, _, directory = spec.partition("=")
            _add_directory(hub, id, directory, args.blobs)
        print(hub.url, flush=True)
        if args.ready_file:
            ready = pathlib.Path(args.ready_file)
            ready.with_suffix(".part").write_text(hub.url + "\n")
            ready.with_suffix(".part").rename(ready)
        signal.sigwait(stop)


if __name__ == "__main__":
    sys.exit(main())
