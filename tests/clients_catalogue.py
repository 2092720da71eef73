"""Real clients, unmodified, that look for what a matrixhubd hosts: every way to ask that each version knows, and what it is told of
what it finds."""
import json
import shutil
import subprocess

import pytest

from clients_hubd import Client
from clients_matrix import BUILD, HERE, PATIENCE, VERSIONS, act, fine
from flow_catalogue import CONFIG, make, safetensors
from hubd import Hubd

ALPHA = {"README.md": "---\nlicense: mit\nlanguage: en\npipeline_tag: text-generation\nlibrary_name: keras\ndatasets: glue\n---\nWhales.",
         "model.safetensors": safetensors(a=("F16", [1000], 2000), b=("F32", [10], 40))}
BETA = {"README.md": "---\nlicense: mit\ntags: [moe]\nbase_model: admin/alpha\n---\n", "config.json": json.dumps(CONFIG)}
# How models are asked for, and which are found.
MODELS = [({}, "ab"), ({"author": "admin"}, "ab"), ({"author": "adm"}, ""), ({"search": "ALPHA"}, "a"), ({"model_name": "bet"}, "b"),
          ({"filter": "license:mit"}, "ab"), ({"filter": ["license:mit", "moe"]}, "b"), ({"tags": "moe"}, "b"), ({"tags": ["moe", "none"]}, ""),
          ({"library": "keras"}, "a"), ({"task": "fill-mask"}, "b"), ({"pipeline_tag": "fill-mask"}, "b"), ({"language": "en"}, "a"),
          ({"trained_dataset": "glue"}, "a"), ({"trained_dataset": ["glue", "squad"]}, ""), ({"num_parameters": "min:1K,max:2K"}, "a"),
          ({"num_parameters": "max:1K"}, ""), ({"gated": True}, ""), ({"gated": False}, "ab"), ({"inference": "warm"}, ""), ({"apps": "ollama"}, ""),
          ({"sort": "downloads"}, "ba"), ({"sort": "downloads", "direction": -1}, "ba"), ({"sort": "likes"}, "ab"), ({"sort": "last_modified"}, "ba"),
          ({"sort": "created_at"}, "ba"), ({"sort": "trending_score"}, "ba"), ({"limit": 1}, "a"), ({"full": True}, "ab"),
          ({"cardData": True, "fetch_config": True}, "ab"), ({"expand": ["downloads", "tags", "safetensors"]}, "ab")]
DATASETS = [({}, "d"), ({"language": "en"}, "d"), ({"language": "de"}, ""), ({"task_categories": "question-answering"}, "d"), ({"task_ids": "x"}, ""),
            ({"size_categories": "1K<n<10K"}, "d"), ({"filter": "license:cc0-1.0"}, "d"), ({"author": "admin", "search": "data"}, "d"),
            ({"multilinguality": "monolingual"}, ""), ({"language_creators": "found"}, ""), ({"benchmark": "official"}, ""), ({"sort": "downloads"}, "d"),
            ({"full": True}, "d"), ({"gated": True}, ""), ({"tags": "x"}, "d"), ({"dataset_name": "dat"}, "d")]
SPACES = [({}, "s"), ({"filter": "gradio"}, "s"), ({"search": "none"}, ""), ({"author": "admin", "sort": "likes"}, "s"), ({"full": True}, "s")]
NAMES = {"a": "admin/alpha", "b": "admin/beta", "d": "admin/data", "s": "admin/space"}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    h = Hubd(tmp_path_factory.mktemp("ours"), (), timeout=20)
    make(h, "alpha", ALPHA)
    make(h, "hidden-alpha", ALPHA, private=True)
    make(h, "data", {"README.md": "---\nlicense: cc0-1.0\nlanguage: en\ntask_categories: [question-answering]\nsize_categories: 1K<n<10K\n"
                                  "tags: [x]\n---\n"}, "dataset")
    make(h, "space", {"README.md": "---\nsdk: gradio\n---\n"}, "space", sdk="gradio")
    make(h, "beta", BETA)
    assert h.ask("/admin/beta/resolve/main/config.json").status == 200
    h.stop()
    again = Hubd(h.data.parent, (), data=h.data, timeout=20)  # what was counted is written by now
    yield again
    again.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_each_client_finds_what_it_asks_for(ours, tmp_path, version):
    client = Client(tmp_path, version, ours.url)
    found = client(*(("asked", {"type": type, "ways": [words for words, _ in ways]})
                     for type, ways in (("model", MODELS), ("dataset", DATASETS), ("space", SPACES))))
    for got, ways in zip(found, (MODELS, DATASETS, SPACES)):
        assert not got.error, got.error
        known = 0
        for names, (words, want) in zip(got.value, ways):
            if names is not None:
                known += 1
                in_order = sorted if words.get("sort") in ("created_at", "last_modified") else list  # they may be of one second
                assert in_order(names) == in_order(NAMES[w] for w in want), (version, words, names)
        assert known > len(ways) / 2
    told = fine(client(act("described", NAMES["a"]))[0])
    assert told["parameters"] == {"F16": 1000, "F32": 10} and told["total"] == 1010 and told["gguf"] is None
    assert told["tags"] == ["keras", "safetensors", "text-generation", "en", "dataset:glue", "license:mit"]
    assert (told["pipeline_tag"], told["library_name"], told["loaded"], told["card"]["license"]) == ("text-generation", "keras", "mit", "mit")
    assert (told["downloads"], told["all"]) == (0, 0) and told["listed"] == ["mit", [".gitattributes", "README.md", "model.safetensors"]]


def test_the_javascript_client_finds_what_it_asks_for(ours):
    js = BUILD / "js"
    if not (shutil.which("node") and (js / "node_modules").exists()):
        pytest.skip("no node, or no build/js: make deps installs it where there is an npm")
    done = subprocess.run(["node", HERE / "client_hub_lists.mjs", ours.url, "admin"], capture_output=True, text=True, timeout=PATIENCE,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin", "JS_CLIENT": str(js)})
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    a, b = NAMES["a"], NAMES["b"]
    assert told["all"] == told["owner"] == [a, b] and told["query"] == told["task"] == [a] and told["tags"] == told["sorted"] == [b]
    assert told["datasets"] == [NAMES["d"]] and told["spaces"] == [NAMES["s"]]
    assert told["info"]["safetensors"]["total"] == 1010 and told["info"]["cardData"]["license"] == "mit"
