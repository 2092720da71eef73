"""What writes to matrixhubd in its own words: the requests that clients make, one by one; and git, which makes the same."""
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import urllib.parse


def blob_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def line(key, **value):
    return json.dumps({"key": key, "value": value})


def put(path, data):
    return line("file", path=path, content=base64.b64encode(data).decode(), encoding="base64")


def lfs(path, data, size=True):
    return line("lfsFile", path=path, algo="sha256", oid=hashlib.sha256(data).hexdigest(), **({"size": len(data)} if size else {}))


def pointer(data):
    """What git has in the place of these bytes."""
    return (f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(data).hexdigest()}\n"
            f"size {len(data)}\n").encode()


def drop(path):
    return line("deletedFolder" if path.endswith("/") else "deletedFile", path=path)


class Repo:
    """One of a hub's own repositories, and who writes to it."""

    def __init__(self, hubd, name, token, type="model", make=True, **body):
        self.hubd, self.id, self.token, self.type = hubd, name, token, type
        self.api, self.prefix = f"/api/{type}s/{name}", "" if type == "model" else f"/{type}s"
        if make:
            got = self.make(**body)
            assert got.status == 200, got
            self.first = got.json

    def make(self, **body):
        organization, name = self.id.split("/")
        return self.ask("/api/repos/create", "POST", name=name, organization=organization, type=self.type, **body)

    def remove(self):
        organization, name = self.id.split("/")
        return self.ask("/api/repos/delete", "DELETE", name=name, organization=organization, type=self.type)

    def ask(self, path, method="GET", **body):
        return self.hubd.ask(path, method, json.dumps(body) if method != "GET" else None, self.token,
                             Content_Type="application/json")

    def commit(self, *lines, summary="a change", description="", branch="main", parent=None, token=None, **fields):
        """The answer to a commit of these lines."""
        header = line("header", summary=summary, description=description, **({"parentCommit": parent} if parent else {}))
        return self.hubd.ask(f"{self.api}/commit/{urllib.parse.quote(branch, safe='')}", "POST",
                             "\n".join([header, *lines]).encode(), token or self.token,
                             Content_Type="application/x-ndjson", **fields)

    def done(self, *lines, **kw):
        """The id of one that is made."""
        got = self.commit(*lines, **kw)
        assert got.status == 200, got
        return got.json["commitOid"]

    def send(self, data):
        """As git-lfs does: what is wanted goes to where it is wanted. True if it was."""
        oid = hashlib.sha256(data).hexdigest()
        got = self.ask(f"{self.prefix}/{self.id}.git/info/lfs/objects/batch", "POST", operation="upload", transfers=["basic"],
                       objects=[{"oid": oid, "size": len(data)}], hash_algo="sha256")
        assert got.status == 200, got
        actions = got.json["objects"][0].get("actions")
        if actions:
            href = urllib.parse.urlsplit(actions["upload"]["href"])._replace(scheme="", netloc="").geturl()
            assert self.hubd.ask(href, "PUT", data).status == 200
        return bool(actions)

    def head(self, branch="main"):
        return self.hubd.ask(f"{self.api}/revision/{branch}", token=self.token).json["sha"]

    def tree(self, revision="main"):
        """Each path with its git id; directories among them."""
        items, _ = self.hubd.pages(f"{self.api}/tree/{revision}?recursive=true", self.token)
        return {item["path"]: item["oid"] for item in items}

    def read(self, path, revision="main"):
        got = self.hubd.ask(f"{self.prefix}/{self.id}/resolve/{revision}/{path}", token=self.token)
        assert got.status == 200, got
        return got.body

    def log(self, revision="main"):
        """Its commits, newest first."""
        return self.hubd.pages(f"{self.api}/commits/{revision}?limit=100", self.token)[0]


class Git:
    """git's own idea of the same history, in a bare repository."""

    def __init__(self, tmp):
        self.dir, self.blobs = pathlib.Path(tmp) / "twin.git", {}
        self.run("init", "-q", "--bare", str(self.dir))

    def run(self, *words, data=b"", **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        done = subprocess.run(["git", *words], input=data, capture_output=True, timeout=60, check=True,
                              env=clean | {"GIT_DIR": str(self.dir), "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self.dir)} | env)
        return done.stdout.decode().strip()

    def commit(self, files, told, parent=None):
        """The id git gives to these files, after that commit, with what the hub told of it (an item of its log)."""
        index = str(self.dir / "an-index")
        pathlib.Path(index).unlink(missing_ok=True)
        for data in set(files.values()) - set(self.blobs):
            self.blobs[data] = self.run("hash-object", "-w", "--stdin", data=data)
        entries = "".join(f"100644 {self.blobs[data]}\t{path}\n" for path, data in files.items())
        self.run("update-index", "--add", "--index-info", data=entries.encode(), GIT_INDEX_FILE=index)
        tree = self.run("write-tree", GIT_INDEX_FILE=index)
        name = told["authors"][0]["user"]
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
               for what, value in (("NAME", name), ("EMAIL", f"{name}@users.noreply"), ("DATE", told["date"]))}
        message = told["title"] + "\n" + (f"\n{told['message']}\n" if told["message"] else "")
        return self.run("commit-tree", tree, *(["-p", parent] if parent else []), data=message.encode(), **who)
