"""The catalogue of matrixhubd's own repositories: what their files say of them, and how lists find them by it."""
import hashlib
import json
import struct

import pytest

from hubd import Hubd
from registry import Repo, drop, lfs, put


def safetensors(**tensors):
    """A file of tensors: name=(dtype, shape, bytes)."""
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, size) in tensors.items():
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def gguf(architecture, context, *dimensions):
    """One tensor of these dimensions."""
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    head += text(f"{architecture}.context_length") + struct.pack("<II", 4, context)
    head += text("w") + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, 0, 0)
    return head + bytes(-len(head) % 32 + 64)


CARD = """---
license: apache-2.0
language: [en, de]
tags: [Tiny, exbert]
datasets: [org/Corpus]
base_model: google/bert
model-index: [{name: tiny, results: []}]
---
# Tiny whales
See https://arxiv.org/abs/1810.04805 for more of humpback songs.
"""
CONFIG = {"architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_size": 2, "quantization_config": {"bits": 4, "quant_method": "gptq"}}
WEIGHTS = safetensors(a=("BF16", [3, 4], 24), b=("F32", [5], 20), c=("BF16", [], 2))


@pytest.fixture
def ours(tmp_path):
    h = Hubd(tmp_path, ())
    yield h
    h.stop()


def make(h, name, files=(), type="model", **kw):
    repo = Repo(h, f"admin/{name}", h.admin_token, type, **kw)
    if files:
        say(repo, files)
    return repo


def say(repo, files):
    return repo.done(*(put(path, data if isinstance(data, bytes) else data.encode()) for path, data in files.items()))


def ids(h, query="", type="models", token=None):
    return [m["id"].removeprefix("admin/") for m in h.pages(f"/api/{type}?{query}", token)[0]]


def told(repo, query="", revision=""):
    got = repo.hubd.ask(f"{repo.api}{revision}{query}", token=repo.token)
    assert got.status == 200, got
    return got.json


def test_what_the_files_say_is_told_as_the_public_hub_tells_it(ours):
    repo = make(ours, "tiny")
    before = told(repo)
    assert before["tags"] == [] and "pipeline_tag" not in before and "safetensors" not in before
    repo.send(WEIGHTS)
    first = repo.done(put("README.md", CARD.encode()), put("config.json", json.dumps(CONFIG).encode()), lfs("model.safetensors", WEIGHTS),
                      put("sub/config.json", b"{}"))
    now = told(repo)
    assert now["tags"] == ["transformers", "safetensors", "bert", "fill-mask", "Tiny", "exbert", "en", "de", "dataset:org/Corpus", "arxiv:1810.04805",
                           "base_model:google/bert", "base_model:quantized:google/bert", "license:apache-2.0", "model-index", "4-bit", "gptq"]
    assert (now["pipeline_tag"], now["library_name"]) == ("fill-mask", "transformers")
    assert now["safetensors"] == {"parameters": {"BF16": 13, "F32": 5}, "total": 18}
    assert now["config"] == {k: CONFIG[k] for k in ("architectures", "model_type", "quantization_config")}
    assert now["transformersInfo"] == {"auto_model": "AutoModelForMaskedLM", "pipeline_tag": "fill-mask", "processor": "AutoTokenizer"}
    assert now["cardData"]["license"] == "apache-2.0" and "model-index" not in now["cardData"] and now["model-index"][0]["name"] == "tiny"
    assert now["baseModels"] == {"relation": "quantized", "models": [{"_id": "google/bert", "id": "google/bert"}]}
    sizes = {s["rfilename"]: s["size"] for s in told(repo, "?blobs=true")["siblings"]}
    assert now["usedStorage"] == sum(sizes.values()) and "sub/config.json" in sizes
    assert set(told(repo, "?expand=safetensors&expand=downloads")) == {"_id", "id", "safetensors", "downloads"}
    # Twin: what goes is told no more, but still of the commit that had it, and on the branch that has it.
    repo.ask(f"{repo.api}/branch/old", "POST", startingPoint=first)
    repo.done(drop("README.md"), drop("config.json"), drop("model.safetensors"))
    now = told(repo)
    assert now["tags"] == [] and not {"safetensors", "cardData", "config", "pipeline_tag"} & set(now)
    assert told(repo, revision=f"/revision/{first}")["safetensors"]["total"] == told(repo, revision="/revision/old")["safetensors"]["total"] == 18
    assert ids(ours, "filter=fill-mask") == []
    say(Repo(ours, "admin/tiny", ours.admin_token, make=False), {"README.md": CARD})
    assert ids(ours, "filter=exbert") == ["tiny"]


def test_other_kinds_say_other_things(ours):
    data = make(ours, "data", {"README.md": "---\nlicense: [mit, cc0-1.0]\nlanguage: en\ntask_categories: [question-answering]\nsize_categories: 1K<n<10K\n"
                                            "tags: [x]\n---\n"}, "dataset")
    assert told(data)["tags"] == ["task_categories:question-answering", "language:en", "license:mit", "license:cc0-1.0", "size_categories:1K<n<10K", "x"]
    assert ids(ours, "language=en", "datasets") == ids(ours, "filter=license:cc0-1.0", "datasets") == ["data"] and ids(ours, "language=en") == []
    space = make(ours, "space", {"README.md": "---\nsdk: gradio\nmodels: [org/m]\ntags: [fun]\n---\n"}, "space", sdk="gradio")
    assert told(space)["tags"] == ["gradio", "fun"] and told(space)["models"] == ["org/m"] and told(space)["sdk"] == "gradio"
    model = make(ours, "quant", {"m.gguf": gguf("llama", 4096, 1000, 7)})
    assert told(model)["gguf"] == {"total": 7000, "architecture": "llama", "context_length": 4096} and told(model)["tags"] == ["gguf"]
    assert ids(ours, "num_parameters=min:7K,max:7K") == ids(ours, "apps=llama.cpp") == ["quant"] and ids(ours, "num_parameters=min:8K") == []
    for bad in {"config.json": "{"}, {"m.gguf": b"GGUF"}, {"model.safetensors": b"\xff" * 20}:
        say(model, bad)
    assert told(model)["tags"] == ["safetensors", "gguf"] and "safetensors" not in told(model) and "gguf" not in told(model)


@pytest.fixture
def shelf(ours):
    """Own models: name, card, config or weights."""
    make(ours, "alpha", {"README.md": "---\nlicense: mit\nlanguage: en\npipeline_tag: text-generation\nlibrary_name: keras\ndatasets: glue\n---\n"
                                      "About humpbacks.", "model.safetensors": safetensors(a=("F16", [1000], 2000))})
    make(ours, "beta", {"README.md": "---\nlicense: mit\ntags: [moe]\nbase_model: admin/alpha\n---\n", "config.json": json.dumps(CONFIG)})
    make(ours, "gamma-alpha", {"model.safetensors": safetensors(a=("F32", [50], 200))}, private=True)
    return ours


@pytest.mark.parametrize("query, want", [
    ("", ["alpha", "beta"]), ("search=ALPHA", ["alpha"]), ("search=zz", []), ("author=ADMIN", ["alpha", "beta"]), ("author=adm", []),
    ("filter=license:mit", ["alpha", "beta"]), ("filter=moe", ["beta"]), ("filter=license:mit&filter=moe", ["beta"]), ("library=keras", ["alpha"]),
    ("pipeline_tag=fill-mask", ["beta"]), ("filter=dataset:glue", ["alpha"]), ("trained_dataset=glue", ["alpha"]), ("language=en", ["alpha"]),
    ("num_parameters=min:1K", ["alpha"]), ("num_parameters=max:999", []), ("gated=true", []), ("gated=false", ["alpha", "beta"]),
    ("filter=base_model:admin/alpha", ["beta"]), ("sort=createdAt", ["alpha", "beta"]), ("sort=num_parameters", ["alpha", "beta"]),
    ("sort=num_parameters&direction=1", ["beta", "alpha"]), ("sort=mainSize&direction=1&search=a", ["beta", "alpha"])])
def test_lists_find_and_sort_by_what_the_files_say(shelf, query, want):
    got = ids(shelf, query)
    assert got == want or "createdAt" in query and sorted(got) == want
    assert ids(shelf, query + "&limit=1") == got and set(got) <= set(ids(shelf, query, token=shelf.admin_token))


def test_who_may_see_a_private_one_finds_it_and_nobody_else(shelf):
    for query in "", "search=gamma", "filter=safetensors", "num_parameters=max:50":
        assert "gamma-alpha" not in ids(shelf, query) and "gamma-alpha" in ids(shelf, query, token=shelf.admin_token)
    gamma = Repo(shelf, "admin/gamma-alpha", shelf.admin_token, make=False)
    assert gamma.ask(f"{gamma.api}/settings", "PUT", private=False).status == 200
    assert ids(shelf, "search=gamma") == ["gamma-alpha"]
    assert gamma.ask(f"{gamma.api}/settings", "PUT", private=True).status == 200
    assert ids(shelf, "search=gamma") == []
    assert gamma.remove().status == 200
    assert ids(shelf, "search=gamma", token=shelf.admin_token) == []


def test_words_of_cards_are_found(shelf):
    def words(q, more="", token=None):
        return [m["id"] for m in shelf.ask(f"/api/quicksearch?q={q}{more}", token=token).json["models"]]
    assert words("HumpBacks") == words("admin+humpbacks") == words("keras", "&type=model") == ["admin/alpha"]
    assert words("humpback") == words("") == words("alpha+moe+none") == [] and words("gamma") == []
    assert words("gamma", token=shelf.admin_token) == ["admin/gamma-alpha"]
    assert "models" not in shelf.ask("/api/quicksearch?q=alpha&type=dataset").json


def test_the_catalogue_is_there_again_after_a_kill_and_for_data_without_one(shelf):
    repo = Repo(shelf, "admin/beta", shelf.admin_token, make=False)
    say(repo, {"README.md": "---\ntags: [late]\n---\n"})
    shelf.kill()
    again = Hubd(shelf.data.parent, (), data=shelf.data)
    try:
        assert ids(again, "filter=late") == ["beta"] and ids(again, "filter=moe") == [] and ids(again, "search=alpha") == ["alpha"]
        assert "put into the catalogue anew" not in again.log_text()
    finally:
        again.stop()


def test_what_is_done_to_a_branch_as_a_whole_is_told_at_once_and_needs_no_mending(ours):
    def listed(name="one"):
        """What lists have, which need not be what the repository would say of itself."""
        got, = [m for m in ours.pages("/api/models?expand=safetensors&expand=sha&expand=usedStorage&expand=tags", ours.admin_token)[0] if m["id"] == f"admin/{name}"]
        return got.get("sha"), got.get("safetensors", {}).get("total"), got["usedStorage"], "late" in got["tags"]
    def overwrite(start):
        return repo.ask(f"{repo.api}/branch/main", "POST", startingPoint=start, overwrite=True).status
    repo = make(ours, "one")
    repo.send(WEIGHTS)
    first = repo.done(lfs("a.safetensors", WEIGHTS))
    size = listed()[2]
    card = b"---\ntags: [late]\n---\n"
    second = repo.done(put("README.md", card), lfs("b.safetensors", WEIGHTS))
    assert listed() == (second, 36, size + len(card) + len(WEIGHTS), True)
    assert overwrite(first) == 200 and listed() == (first, 18, size, False) and ids(ours, "filter=late") == []
    assert overwrite(second) == 200 and listed()[:2] == (second, 36) and ids(ours, "filter=late") == ["one"]
    assert repo.ask(f"{repo.api}/super-squash/main", "POST").status == 200 and repo.head() != second
    assert listed() == (repo.head(), 36, size + len(card) + len(WEIGHTS), True)
    assert repo.ask(f"{repo.api}/duplicate", "POST", repository="admin/two").status == 200
    assert listed("two") == listed() and ids(ours, "filter=late") == ["one", "two"]
    assert repo.ask(f"{repo.api}/settings", "PUT", gated="auto").status == 200 and ids(ours, "gated=true") == ["one"]
    # Twin: files that are deleted for good are in the same commit, and yet are counted no more. Those of the other one stay.
    gone = {"sha": [hashlib.sha256(WEIGHTS).hexdigest()], "rewriteHistory": False}
    assert repo.ask(f"{repo.api}/lfs-files/batch", "POST", deletions=gone).status == 200
    assert listed() == (repo.head(), None, size + len(card) - len(WEIGHTS), True) and listed("two")[1] == 36
    ours.kill()
    again = Hubd(ours.data.parent, (), data=ours.data)
    try:
        assert ids(again, "filter=late") == ["one", "two"] and not again.logged("put into the catalogue anew")
    finally:
        again.stop()


def test_lists_tell_what_is_asked_for(shelf):
    item = shelf.ask("/api/models?search=admin/alpha&full=true&cardData=true").json[0]
    assert item["cardData"]["license"] == "mit" and {"model.safetensors", "README.md"} <= {s["rfilename"] for s in item["siblings"]}
    assert (item["downloads"], item["likes"], item["private"], item["pipeline_tag"]) == (0, 0, False, "text-generation")
    assert not {"safetensors", "config", "cardData"} & set(shelf.ask("/api/models").json[0])
    told = shelf.ask("/api/models?search=admin/alpha&expand=safetensors&expand=tags&expand=lastModified").json[0]
    assert set(told) == {"_id", "id", "safetensors", "tags", "lastModified"} and told["safetensors"]["total"] == 1000
    tags = shelf.ask("/api/models-tags-by-type").json
    assert [t["id"] for t in tags["license"]] == ["license:mit"] and [t["id"] for t in tags["library_name"]] == ["keras", "transformers"]


def test_downloads_are_counted_and_sorted_by_and_survive_a_stop(shelf):
    for _ in range(3):
        assert shelf.ask("/admin/beta/resolve/main/config.json").status == 200  # one client, one download
    assert shelf.ask("/admin/beta/resolve/main/README.md").status == 200
    assert shelf.ask("/admin/beta/resolve/main/config.json", token=shelf.admin_token).status == 200
    assert shelf.ask("/admin/alpha/resolve/main/model.safetensors").status == 200  # which does not stand for it
    shelf.stop()
    again = Hubd(shelf.data.parent, (), data=shelf.data)
    try:
        assert [(m["id"], m["downloads"]) for m in again.ask("/api/models?sort=downloads").json] == [("admin/beta", 2), ("admin/alpha", 0)]
        assert again.ask("/api/models/admin/beta").json["downloads"] == 2
        assert again.ask("/api/models/admin/beta?expand=downloadsAllTime&expand=trendingScore").json["downloadsAllTime"] == 2
        say(Repo(again, "admin/beta", again.admin_token, make=False), {"x.txt": "x"})
        assert again.ask("/api/models/admin/beta").json["downloads"] == 2
    finally:
        again.stop()


def test_a_repository_that_moves_or_is_gated_is_found_as_it_is_now(shelf):
    beta = Repo(shelf, "admin/beta", shelf.admin_token, make=False)
    assert beta.ask("/api/repos/move", "POST", fromRepo="admin/beta", toRepo="admin/delta", type="model").status == 200
    assert ids(shelf) == ["alpha", "delta"] and ids(shelf, "filter=moe") == ["delta"] and ids(shelf, "search=beta") == []
    alpha = Repo(shelf, "admin/alpha", shelf.admin_token, make=False)
    assert alpha.ask(f"{alpha.api}/settings", "PUT", gated="manual").status == 200
    assert ids(shelf, "gated=true") == ["alpha"] and ids(shelf, "gated=false") == ["delta"] and told(alpha)["gated"] == "manual"
    assert alpha.ask(f"{alpha.api}/settings", "PUT", gated=False).status == 200
    assert ids(shelf, "gated=true") == [] and told(alpha)["gated"] is False
