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
