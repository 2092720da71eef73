"""Run by the tests under each client version's own Python: does what it is told, prints what came of it.

    python client.py '[["file", {"repo": "org/tiny", "name": "config.json"}], ["scan", {}]]'

Each action gives one object: value, or error {is: class names, text}; log: records from WARNING on; warnings.
"""
import hashlib
import json
import logging
import pathlib
import sys
import warnings

NO_MATTER = "PyTorch was not found"
PLUMBING = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning, ImportWarning)


def digest(data):
    return hashlib.sha256(data).hexdigest()


# ---- huggingface_hub ----

def file(repo, name, type="model", revision=None, local=False):
    from huggingface_hub import hf_hub_download
    path = hf_hub_download(repo, name, repo_type=type, revision=revision, local_files_only=local)
    return {"path": path, "sha256": digest(pathlib.Path(path).read_bytes())}


def snapshot(repo, type="model", revision=None, local=False, patterns=None):
    from huggingface_hub import snapshot_download
    path = snapshot_download(repo, repo_type=type, revision=revision, local_files_only=local, allow_patterns=patterns)
    files = sorted(p for p in pathlib.Path(path).rglob("*") if not p.is_dir())
    return {"path": path, "files": {str(p.relative_to(path)): digest(p.read_bytes()) for p in files}}


def cached(repo, name, type="model", revision=None):
    """A path, "absent" (known not to exist) or None (unknown)."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache
    found = try_to_load_from_cache(repo, name, repo_type=type, revision=revision)
    return "absent" if found is _CACHED_NO_EXIST else found


def scan():
    from huggingface_hub import scan_cache_dir
    found = scan_cache_dir()
    repos = {f"{r.repo_type}s/{r.repo_id}": {
        "size": r.size_on_disk, "files": r.nb_files, "refs": {name: v.commit_hash for name, v in r.refs.items()},
        "commits": sorted(v.commit_hash for v in r.revisions)} for r in found.repos}
    return {"repos": repos, "complaints": [str(w) for w in found.warnings]}


def resolve(repo, revision=None):
    from huggingface_hub import HfApi
    found = HfApi().resolve_revision(repo, revision=revision)
    return found.resolved


# ---- what a hub tells ----

def told(repo, type="model"):
    """The same facts from each call that tells them."""
    from huggingface_hub import HfApi, HfFileSystem
    api, fs = HfApi(), HfFileSystem()
    info = api.repo_info(repo, repo_type=type, files_metadata=True)
    root = {"model": "", "dataset": "datasets/"}[type] + repo
    return {"sha": info.sha, "author": info.author, "private": info.private, "tags": info.tags,
            "sizes": {s.rfilename: s.size for s in info.siblings},
            "files": sorted(api.list_repo_files(repo, repo_type=type)),
            "tree": sorted(e.path for e in api.list_repo_tree(repo, repo_type=type, recursive=True)),
            "paths": sorted(e.path for e in api.get_paths_info(repo, ["config.json", "none", "onnx"], repo_type=type)),
            "branches": {b.name: b.target_commit for b in api.list_repo_refs(repo, repo_type=type).branches},
            "commits": [c.commit_id for c in api.list_repo_commits(repo, repo_type=type)],
            "exists": [api.file_exists(repo, name, repo_type=type) for name in ("config.json", "none")],
            "ls": sorted(e["name"] for e in fs.ls(root)),
            "part": digest(fs.cat_file(f"{root}/model.safetensors", start=1000, end=50_000))}


def browsed(repo, type="dataset"):
    """What a file system of the hub shows, and parts of its files."""
    from huggingface_hub import HfFileSystem
    fs = HfFileSystem()
    root = {"model": "", "dataset": "datasets/"}[type] + repo
    with fs.open(f"{root}/model.safetensors") as f:
        f.seek(-100, 2)
        tail = f.read()
    return {"glob": sorted(fs.glob(f"{root}/**/*.txt")), "find": sorted(fs.find(root)), "dir": fs.isdir(f"{root}/onnx"),
            "sizes": {k: v["size"] for k, v in fs.find(root, detail=True).items()}, "tail": digest(tail),
            "text": fs.cat(f"{root}/onnx/deep/names.txt").decode(), "exists": [fs.exists(f"{root}/{n}") for n in ("onnx/deep", "none")]}


def looked_at(repo, type="model", absent=("none",)):
    """What else a hub is asked, by each call that this version has."""
    from huggingface_hub import HfApi, HfFileSystem, get_hf_file_metadata, hf_hub_url
    api, fs = HfApi(), HfFileSystem()
    root = {"model": "", "dataset": "datasets/", "space": "spaces/"}[type] + repo
    names = ["config.json", "onnx/deep/names.txt", "onnx", "none"]

    def known(items):
        return {i.path: [i.last_commit and i.last_commit.oid, getattr(i, "size", None)] for i in items}
    expanded = api.repo_info(repo, repo_type=type, expand=["likes", "lastModified", "sha", "tags"])
    meta = get_hf_file_metadata(hf_hub_url(repo, "model.safetensors", repo_type=type))
    empty = get_hf_file_metadata(hf_hub_url(repo, "empty.txt", repo_type=type))
    refs = api.list_repo_refs(repo, repo_type=type, include_pull_requests=True)
    secure = api.repo_info(repo, repo_type=type, files_metadata=True)
    found = {"paths": known(api.get_paths_info(repo, names, expand=True, repo_type=type)),
             "tree": known(api.list_repo_tree(repo, recursive=True, expand=True, repo_type=type)),
             "below": sorted(i.path for i in api.list_repo_tree(repo, "onnx", repo_type=type, revision="refs/pr/1")),
             "expanded": [expanded.likes, str(expanded.last_modified), expanded.sha, expanded.tags, expanded.author],
             "meta": [meta.commit_hash, meta.etag, meta.size], "empty": [empty.etag, empty.size],
             "refs": [sorted(r.ref for r in kind) for kind in (refs.branches, refs.tags, refs.converts, refs.pull_requests)],
             "lfs": sorted([s.rfilename, s.blob_id, s.lfs and s.lfs["sha256"]] for s in secure.siblings),
             "commits": [[c.commit_id, c.title, str(c.created_at)] for c in api.list_repo_commits(repo, repo_type=type, formatted=True)],
             "checked": api.auth_check(repo, repo_type=type), "exists": [api.repo_exists(r, repo_type=type) for r in (repo, "org/none")],
             "revisions": [api.revision_exists(repo, r, repo_type=type) for r in ("main", "refs/pr/1", *absent)],
             "walk": sorted([d.removeprefix(root), sorted(dirs), sorted(files)] for d, dirs, files in fs.walk(root)),
             "at": sorted(fs.ls(f"{root}@refs/pr/1/onnx", detail=False)), "url": fs.url(f"{root}/config.json").endswith("/resolve/main/config.json")}
    info = fs.info(f"{root}/config.json", expand_info=True) if type != "space" else {"last_commit": None}
    found["last"] = info["last_commit"] and [info["last_commit"].oid, info["last_commit"].title]
    return found


def gated(repo):
    """The errors of each way to read what is shown to nobody."""
    from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download
    failures = []
    for call in (lambda: hf_hub_download(repo, "config.json"), lambda: snapshot_download(repo), lambda: HfApi().auth_check(repo),
                 lambda: HfFileSystem().cat(f"{repo}/config.json")):
        try:
            call()
            failures.append(None)
        except Exception as error:
            causes = [error, error.__cause__, getattr(error, "__context__", None)]
            failures.append(any(c.__class__.__name__ == "GatedRepoError" for c in causes))
    return failures


def lists(**words):
    """The names that each kind of list gives."""
    from huggingface_hub import HfApi
    api = HfApi()
    return [sorted(i.id for i in listing(**words)) for listing in (api.list_models, api.list_datasets, api.list_spaces)]


def whoami():
    from huggingface_hub import HfApi
    return HfApi().whoami()["name"]


def listed(search):
    from huggingface_hub import HfApi
    return sorted(m.id for m in HfApi().list_models(search=search))


def asked(type, ways):
    """The names that a list gives for each way to ask that this version knows; None for the others."""
    import inspect
    from huggingface_hub import HfApi
    call = getattr(HfApi(), f"list_{type}s")
    known = inspect.signature(call).parameters
    return [[item.id for item in call(**words)] if set(words) <= set(known) else None for words in ways]


def described(repo):
    """What model_info and the card say of a model."""
    from huggingface_hub import HfApi, ModelCard
    info = HfApi().model_info(repo)
    few = HfApi().model_info(repo, expand=["safetensors", "downloads", "downloadsAllTime", "baseModels", "gguf", "likes"])
    listed = next(iter(HfApi().list_models(search=repo, cardData=True, full=True)))
    return {"tags": info.tags, "pipeline_tag": info.pipeline_tag, "library_name": info.library_name, "card": info.card_data.to_dict(),
            "parameters": info.safetensors.parameters, "total": few.safetensors.total, "downloads": few.downloads, "all": few.downloads_all_time,
            "auto_model": info.transformers_info and info.transformers_info.auto_model, "gguf": few.gguf,
            "loaded": ModelCard.load(repo).data.license, "listed": [listed.card_data.license, sorted(s.rfilename for s in listed.siblings)]}


# ---- what a hub is given ----

def failure(call, *words, **kw):
    """What a call ends with: the error's class, its status, its text; None if it goes well."""
    try:
        call(*words, **kw)
    except Exception as error:
        return [type(error).__name__, getattr(getattr(error, "response", None), "status_code", None), str(error)]
    return None


def made(repo, type="model", **words):
    """A repository, made twice; its address."""
    from huggingface_hub import HfApi
    api = HfApi()
    url = api.create_repo(repo, repo_type=type, **words)
    again = api.create_repo(repo, repo_type=type, exist_ok=True, **words)
    return {"url": str(url), "again": str(again), "id": url.repo_id, "twice": failure(api.create_repo, repo, repo_type=type)}


def pushed(repo, folder, type="model", **words):
    """A folder as one commit; then what the hub has of it, as its lists and a download say."""
    from huggingface_hub import HfApi, snapshot_download
    api = HfApi()
    commit = api.upload_folder(repo_id=repo, folder_path=folder, repo_type=type, commit_message="a folder", **words)
    path = pathlib.Path(snapshot_download(repo, repo_type=type, revision=commit.oid))
    return {"oid": commit.oid, "url": commit.commit_url, "listed": sorted(api.list_repo_files(repo, repo_type=type)),
            "files": {str(p.relative_to(path)): digest(p.read_bytes()) for p in path.rglob("*") if p.is_file()}}


def edited(repo, type="model"):
    """One file, then several things at once behind a parent, then what comes too late."""
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
    api = HfApi()
    one = api.upload_file(path_or_fileobj=b"one", path_in_repo="notes/one.txt", repo_id=repo, repo_type=type)
    sha = api.repo_info(repo, repo_type=type).sha

    def change(parent, **words):
        return api.create_commit(repo, [CommitOperationAdd("notes/two.txt", b"two"), CommitOperationAdd("w2.bin", b"\0" * 5000),
                                        CommitOperationCopy("model.safetensors", "copy.safetensors"), CommitOperationDelete("notes/one.txt"),
                                        CommitOperationDelete("onnx/")],
                                 commit_message="several", commit_description="of them", repo_type=type, parent_commit=parent, **words)
    two = change(sha)
    late = failure(api.create_commit, repo, [CommitOperationAdd("late.txt", b"late")], commit_message="late", repo_type=type, parent_commit=sha)
    absent = failure(api.delete_file, "none.txt", repo, repo_type=type)
    commits = api.list_repo_commits(repo, repo_type=type)
    api.delete_folder("notes", repo, repo_type=type)
    return {"one": one.oid, "sha": sha, "two": two.oid, "late": late, "absent": absent, "titles": [c.title for c in commits], "message": commits[0].message, "listed": sorted(api.list_repo_files(repo, repo_type=type))}


def unchanged(repo, name, data, type="model"):
    """The commit that is told of a file that is there already."""
    from huggingface_hub import HfApi
    return HfApi().upload_file(path_or_fileobj=data.encode(), path_in_repo=name, repo_id=repo, repo_type=type).oid


def referred(repo, type="model"):
    """Branches and tags, made and deleted, and what of that cannot be."""
    from huggingface_hub import HfApi
    api, on = HfApi(), {"repo_type": type}
    first = api.repo_info(repo, **on).sha
    api.create_branch(repo, branch="dev/x", **on)
    api.create_branch(repo, branch="dev/x", exist_ok=True, **on)
    api.create_tag(repo, tag="v1", tag_message="the first", **on)
    api.create_tag(repo, tag="v1", exist_ok=True, **on)
    api.create_tag(repo, tag="short", revision=first[:8], **on)
    there = api.upload_file(path_or_fileobj=b"d", path_in_repo="d.txt", repo_id=repo, revision="dev/x", **on)
    refs = api.list_repo_refs(repo, **on)
    found = {"first": first, "there": there.oid, "branches": {r.name: r.target_commit for r in refs.branches},
             "tags": {r.ref: r.target_commit for r in refs.tags}, "main": api.repo_info(repo, **on).sha,
             "failures": [failure(api.create_branch, repo, branch="dev/x", **on), failure(api.create_tag, repo, tag="v1", **on),
                          failure(api.create_tag, repo, tag="v2", revision="none", **on), failure(api.delete_branch, repo, branch="main", **on),
                          failure(api.delete_branch, repo, branch="none", **on), failure(api.delete_tag, repo, tag="none", **on),
                          failure(api.create_branch, repo, branch="refs/pr/5", **on)]}
    api.delete_branch(repo, branch="dev/x", **on)
    api.delete_tag(repo, tag="v1", **on)
    refs = api.list_repo_refs(repo, **on)
    return found | {"left": sorted(r.ref for r in [*refs.branches, *refs.tags])}


def talked(repo, type="model", **words):
    """A discussion and two pull requests, from what is said first to what comes of them."""
    from huggingface_hub import CommitOperationAdd, HfApi
    api, name = HfApi(), {"repo_id": repo, "repo_type": type}
    api.create_repo(**name)
    talk = api.create_discussion(**name, title=" Why? ", description="because").num
    said = api.comment_discussion(**name, discussion_num=talk, comment="**so**")
    edited = api.edit_discussion_comment(**name, discussion_num=talk, comment_id=said.id, new_content="so")
    api.rename_discussion(**name, discussion_num=talk, new_title="Why not")
    api.hide_discussion_comment(**name, discussion_num=talk, comment_id=said.id)
    api.change_discussion_status(**name, discussion_num=talk, new_status="closed", comment="done")
    told = api.get_discussion_details(**name, discussion_num=talk)
    pull = api.create_commit(**name, operations=[CommitOperationAdd("a.txt", b"a\n"), CommitOperationAdd("w.bin", b"\0" * 3000)],
                             commit_message="a proposal", commit_description="of two files", create_pr=True)
    more = api.upload_file(**name, path_or_fileobj=b"b", path_in_repo="b.txt", revision=pull.pr_revision)
    api.upload_file(**name, path_or_fileobj=b"other", path_in_repo="c.txt")
    opened = api.get_discussion_details(**name, discussion_num=pull.pr_num)
    api.merge_pull_request(**name, discussion_num=pull.pr_num)
    merged = api.get_discussion_details(**name, discussion_num=pull.pr_num)
    draft = api.create_pull_request(**name, title="later")
    late = failure(api.merge_pull_request, **name, discussion_num=draft.num)
    return {"edited": [edited.content, edited.edited], "talk": [told.title, told.status, [e.type for e in told.events]], "hidden": told.events[1].hidden,
            "url": [pull.pr_url, pull.pr_revision], "oids": [pull.oid, more.oid], "conflicts": opened.conflicting_files, "base": opened.target_branch,
            "diff": opened.diff, "events": [(e.type, getattr(e, "oid", None)) for e in merged.events], "status": [merged.status, draft.status],
            "merged": merged.merge_commit_oid, "late": late, "titles": [c.title for c in api.list_repo_commits(**name)],
            "files": sorted(api.list_repo_files(**name)), "refs": [(r.name, r.ref) for r in api.list_repo_refs(**name, include_pull_requests=True).pull_requests],
            "lists": [[d.num for d in api.get_repo_discussions(**name, **by)] for by in
                      ({}, {"discussion_type": "pull_request"}, {"discussion_status": "open"}, {"author": "nobody"})]}


def collected(repo, type="model", **words):
    """What somebody likes, collects and wants to be told of, and what is told of them."""
    from huggingface_hub import HfApi
    api = HfApi()
    me = api.whoami()["name"]
    api.unlike(repo, repo_type=type)
    made = api.create_collection("My things", description="all", private=True)
    added = api.add_collection_item(made.slug, repo, type, note="first")
    api.add_collection_item(made.slug, repo, type, exists_ok=True)
    again = failure(api.add_collection_item, made.slug, repo, type)
    api.update_collection_item(made.slug, added.items[0].item_object_id, note="better")
    changed = api.update_collection_metadata(made.slug, title="Yours", theme="pink")
    found = api.get_collection(made.slug)
    listed = [c.slug for c in api.list_collections(owner=me)]
    api.delete_collection(found.slug)
    api.delete_collection(found.slug, missing_ok=True)
    hook = api.create_webhook(url="https://there.example", watched=[{"type": "user", "name": me}], domains=["repo"], secret="quiet")
    off = api.disable_webhook(hook.id).disabled
    there = [h.id for h in api.list_webhooks()] == [hook.id] and api.get_webhook(hook.id).url == api.update_webhook(hook.id, url="https://there.example").url
    on = api.enable_webhook(hook.id).disabled
    api.delete_webhook(hook.id)
    likes = api.list_liked_repos(me)
    return {"me": me, "likers": [u.username for u in api.list_repo_likers(repo, repo_type=type)], "likes": likes.models, "again": again, "slugs": [made.slug, changed.slug],
            "found": [found.slug, found.title, found.theme, found.private, [(i.item_id, i.item_type, i.note) for i in found.items]], "listed": listed,
            "hook": [off, there, on], "overview": [api.get_user_overview(me).username, api.get_user_overview(me).num_models]}


def removed(repo, type="model"):
    from huggingface_hub import HfApi
    api = HfApi()
    api.delete_repo(repo, repo_type=type)
    api.delete_repo(repo, repo_type=type, missing_ok=True)
    return [api.repo_exists(repo, repo_type=type), failure(api.delete_repo, repo, repo_type=type)]


def renamed(repo, to, taken):
    """There and back; under the name it had it is read and written meanwhile."""
    from huggingface_hub import HfApi, hf_hub_download
    api = HfApi()
    was = api.repo_info(repo).sha
    api.move_repo(from_id=repo, to_id=to)
    now = api.repo_info(repo)
    api.upload_file(path_or_fileobj=b"late", path_in_repo="late.txt", repo_id=repo)
    api.create_tag(repo, tag="late")
    found = {"id": now.id, "same": now.sha == was, "late": pathlib.Path(hf_hub_download(repo, "late.txt")).read_text(),
             "tag": api.repo_info(to, revision="late").sha == api.repo_info(to).sha, "taken": failure(api.move_repo, from_id=to, to_id=taken)}
    api.move_repo(from_id=to, to_id=repo)
    return found | {"back": api.repo_info(to).id}


def kept(repo, user):
    """What becomes of a user's request, of the owner's side; last the user is let in."""
    from huggingface_hub import HfApi
    api, seen = HfApi(), []

    def look():
        lists = api.list_pending_access_requests, api.list_accepted_access_requests, api.list_rejected_access_requests
        found = [list(each(repo)) for each in lists]
        seen.append([[r.username for r in each] for each in found])
        return found
    (request,), _, _ = look()
    api.accept_access_request(repo, user)
    look()
    api.reject_access_request(repo, user, rejection_reason="no")
    look()
    words = {"request_id": request.request_id} if hasattr(request, "request_id") else {"user": user}
    api.cancel_access_request(repo, **words)
    look()
    again = failure(api.cancel_access_request, repo, user)
    api.grant_access(repo, user)
    look()
    return {"seen": seen, "again": again, "twice": failure(api.grant_access, repo, user), "fullname": request.fullname, "status": request.status}


def cut(repo, name):
    """All of a file goes; what is left becomes one commit."""
    from huggingface_hub import HfApi
    api = HfApi()
    files = list(api.list_lfs_files(repo))
    api.permanently_delete_lfs_files(repo, [f for f in files if f.filename == name])
    left = [f.filename for f in api.list_lfs_files(repo)]
    log = [c.title for c in api.list_repo_commits(repo)]
    api.super_squash_history(repo, commit_message="one")
    return {"listed": sorted(f.filename for f in files), "left": left, "log": log, "squashed": [c.title for c in api.list_repo_commits(repo)],
            "files": sorted(api.list_repo_files(repo))}


def doubled(repo, to, type="space"):
    from huggingface_hub import HfApi
    api = HfApi()
    if hasattr(api, "duplicate_repo"):
        def double(**words):
            return api.duplicate_repo(repo, to, repo_type=type, **words)
    else:
        def double(**words):
            return api.duplicate_space(repo, to, **words)
    return {"url": str(double(private=True)), "again": str(double(exist_ok=True)), "twice": failure(double),
            "files": sorted(api.list_repo_files(to, repo_type=type)), "private": api.repo_info(to, repo_type=type).private,
            "absent": failure(lambda: HfApi().repo_info(to + "-none", repo_type=type))}


# ---- datasets ----

def streamed(repo, **words):
    """The rows of a data set, never downloaded whole."""
    import datasets
    return list(datasets.load_dataset(repo, split="train", streaming=True, **words))


def parquet(rows):
    """The bytes of a parquet file, in hex."""
    import io
    import pyarrow
    import pyarrow.parquet
    to = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), to)
    return to.getvalue().hex()


# ---- safetensors ----

def tensors(repo, name="model.safetensors"):
    """Twice, by safe_open and by load_file: {name: [shape, digest]}."""
    from huggingface_hub import hf_hub_download
    from safetensors import safe_open
    from safetensors.numpy import load_file
    path = hf_hub_download(repo, name)
    with safe_open(path, framework="numpy") as f:
        lazy = {k: f.get_tensor(k) for k in f.keys()}
    return [{k: [list(t.shape), digest(t.tobytes())] for k, t in sorted(ts.items())} for ts in (lazy, load_file(path))]


# ---- transformers ----

def config(repo, **revision):
    from transformers import AutoConfig
    made = AutoConfig.from_pretrained(repo, **revision)
    return {"class": type(made).__name__, "layers": made.num_hidden_layers}


def tokenizer(repo, **revision):
    from transformers import AutoTokenizer
    made = AutoTokenizer.from_pretrained(repo, **revision)
    return {"class": type(made).__name__, "tokens": made.tokenize("The model reads a tree.")}


# ---- what the caller sees of it ----

class Records(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.seen = []

    def emit(self, record):
        if not record.getMessage().startswith(NO_MATTER):
            self.seen.append([record.levelname, record.name, record.getMessage()])


def perform(name, words, records):
    records.seen, result = [], {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result["value"] = globals()[name](**words)
        except Exception as error:
            result["error"] = {"is": [c.__name__ for c in type(error).__mro__], "text": str(error)}
    result["log"] = records.seen
    result["warnings"] = [f"{w.category.__name__}: {w.message}" for w in caught if not issubclass(w.category, PLUMBING)]
    return result


def main():
    import huggingface_hub  # noqa: F401 (sets up its logger)
    records = Records()
    for name in "", "huggingface_hub", "transformers":    # the two do not propagate
        logging.getLogger(name).addHandler(records)
    print(json.dumps([perform(name, words, records) for name, words in json.loads(sys.argv[1])]))


if __name__ == "__main__":
    main()
