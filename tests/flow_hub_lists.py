"""The repositories matrixhubd has, as clients list them; and what they may ask to be told of one."""
import json

import pytest


FILES = {"config.json": b"{}", "w.bin": b"x" * 100}
TOLD = {"org/bert": {"tags": ["pytorch", "license:mit", "en"], "pipeline_tag": "fill-mask", "library_name": "transformers", "likes": 5, "downloads": 10,
                     "trendingScore": 3},
        "org/gpt": {"tags": ["pytorch", "license:apache-2.0"], "pipeline_tag": "text-generation", "likes": 50, "downloads": 1, "gated": "manual"},
        "Other/bert-large": {"tags": ["jax"], "pipeline_tag": "fill-mask", "likes": 7, "downloads": 2000}}


@pytest.fixture
def shelf(hub, hubd):
    """A hubd that has been asked for three models and a dataset, and upstream for a fourth nobody asked for."""
    for id, more in TOLD.items():
        hub.repo(id).commit(FILES)
        hub.repo(id).more = more
    hub.repo("org/unasked").commit(FILES)
    hub.repo("org/data", "dataset").commit(FILES)
    h = hubd(hub, args=["--ref-ttl=0"])
    for id in TOLD:
        assert h.ask(f"/api/models/{id}").status == 200
    assert h.ask("/api/datasets/org/data").status == 200
    return h


def ids(h, query="", type="models"):
    return [m["id"] for m in h.pages(f"/api/{type}?{query}")[0]]


@pytest.mark.parametrize("query, want", [
    ("", ["Other/bert-large", "org/bert", "org/gpt"]), ("search=BERT", ["Other/bert-large", "org/bert"]), ("search=bert&search=large", ["Other/bert-large"]),
    ("author=ORG", ["org/bert", "org/gpt"]), ("author=or", []), ("filter=pytorch", ["org/bert", "org/gpt"]),
    ("filter=pytorch&filter=license:mit", ["org/bert"]), ("filter=pytorch,en", ["org/bert"]), ("filter=fill-mask", ["Other/bert-large", "org/bert"]),
    ("pipeline_tag=text-generation", ["org/gpt"]), ("filter=transformers", ["org/bert"]), ("filter=none", []),
    ("gated=true", ["org/gpt"]), ("gated=False", ["Other/bert-large", "org/bert"]),
    ("sort=likes", ["org/gpt", "Other/bert-large", "org/bert"]), ("sort=downloads&direction=-1", ["Other/bert-large", "org/bert", "org/gpt"]),
    ("sort=likes&direction=1", ["org/bert", "Other/bert-large", "org/gpt"]), ("sort=trendingScore&author=org", ["org/bert", "org/gpt"]),
    ("sort=lastModified", ["Other/bert-large", "org/bert", "org/gpt"]), ("inference=warm", [])])
def test_lists_are_searched_filtered_and_sorted(shelf, query, want):
    assert ids(shelf, query) == want
    assert [m["id"] for m in shelf.ask(f"/api/models?{query}&limit=1").json] == want[:1]


def test_lists_are_paged(shelf):
    items, pages = shelf.pages("/api/models?limit=1&sort=likes&filter=pytorch&full=true")
    assert [i["id"] for i in items] == ["org/gpt", "org/bert"] and pages == 2
    assert ids(shelf, "", "datasets") == ["org/data"] and ids(shelf, "", "spaces") == []
    link = shelf.ask("/api/models?limit=1&search=bert", X_Forwarded_Host="hub.example", X_Forwarded_Proto="https", X_Forwarded_Prefix="/hf").headers["link"]
    assert link == '<https://hub.example/hf/api/models?limit=1&search=bert&cursor=Other/bert-large>; rel="next"'
    for bad in "sort=size", "expand=secret":
        assert shelf.ask(f"/api/models?{bad}").status == 400


def test_items_tell_what_is_asked_for(hub, shelf):
    item = next(m for m in shelf.ask("/api/models?full=true").json if m["id"] == "org/bert")
    assert item["tags"] == TOLD["org/bert"]["tags"] and item["likes"] == 5 and item["modelId"] == "org/bert" and item["author"] == "org"
    assert item["sha"] == hub.repo("org/bert").refs["refs/heads/main"] and item["lastModified"].endswith("Z")
    assert [s["rfilename"] for s in item["siblings"]] == sorted(FILES)
    assert "siblings" not in shelf.ask("/api/models").json[0]
    assert set(shelf.ask("/api/models?search=org/bert&expand=author").json[0]) == {"_id", "id", "author"}
    told = shelf.ask("/api/models?search=org/bert&expand=likes&expand=sha").json
    assert set(told[0]) == {"_id", "id", "likes", "sha"}


def test_lists_are_the_same_without_the_hub_upstream(shelf, hubd):
    before = shelf.ask("/api/models?sort=likes&full=true").json
    shelf.stop()
    again = hubd((), data=shelf.data, args=["--offline"])
    assert again.ask("/api/models?sort=likes&full=true").json == before
    tags = again.ask("/api/models-tags-by-type").json
    assert {t["id"] for t in tags["pipeline_tag"]} == {"fill-mask", "text-generation"}
    assert tags["license"][0] == {"id": "license:mit", "label": "mit", "type": "license"} or len(tags["license"]) == 2
    assert again.ask("/api/datasets-tags-by-type").json["pipeline_tag"] == []


def test_what_went_upstream_is_in_no_list(hub, shelf):
    assert len(ids(shelf)) == 3
    hub.repo("org/gpt").remove()
    assert shelf.ask("/api/models/org/gpt").status == 401
    assert ids(shelf) == ["Other/bert-large", "org/bert"]


def test_lists_follow_what_changes_upstream(hub, shelf):
    assert ids(shelf, "sort=likes")[0] == "org/gpt" and ids(shelf, "filter=jax") == ["Other/bert-large"]
    hub.repo("org/bert").commit({"new.txt": b"n"})
    hub.repo("org/bert").more = {"tags": ["jax"], "likes": 500}
    assert shelf.ask("/api/models/org/bert").status == 200
    assert ids(shelf, "sort=likes")[0] == "org/bert" and ids(shelf, "filter=jax") == ["Other/bert-large", "org/bert"]
    assert shelf.ask("/api/models?search=org/bert").json[0]["sha"] == hub.repo("org/bert").refs["refs/heads/main"]
    hub.repo("org/early").commit(FILES)
    hub.repo("org/early").rename("org/late")
    assert shelf.ask("/api/models/org/early").status == 307
    assert ids(shelf) == ["Other/bert-large", "org/bert", "org/gpt", "org/late"]


def test_pages_go_on_when_repositories_become_invisible_between_them(shelf):
    first = shelf.ask("/api/models?limit=1&sort=downloads")
    assert [m["id"] for m in first.json] == ["Other/bert-large"]
    admin = shelf.admin_token
    hidden = shelf.ask("/api/admin/v1/repos/models/Other%2Fbert-large", "PATCH", json.dumps({"visibility": "private"}), admin, Content_Type="application/json")
    assert hidden.status == 200, hidden
    next = first.headers["link"].removeprefix("<" + shelf.url).removesuffix('>; rel="next"')
    assert [m["id"] for m in shelf.ask(next).json] == ["org/bert"]
    assert ids(shelf) == ["org/bert", "org/gpt"]
    seen = shelf.ask("/api/models", token=admin).json
    assert [(m["id"], m["private"]) for m in seen] == [("Other/bert-large", True), ("org/bert", False), ("org/gpt", False)]
    assert "fill-mask" in shelf.ask("/api/models-tags-by-type").body.decode() and "jax" not in shelf.ask("/api/models").body.decode()


def test_items_are_light_unless_more_is_asked_for(hub, shelf):
    hub.repo("org/bert").more |= {"cardData": {"license": "mit"}, "config": {"model_type": "bert"}, "safetensors": {"parameters": {"F32": 7}, "total": 7}}
    hub.repo("org/bert").commit({"x": b"x"})
    assert shelf.ask("/api/models/org/bert").json["config"] == {"model_type": "bert"}

    def told(query):
        return {"cardData", "config", "safetensors"} & set(shelf.ask(f"/api/models?search=org/bert&{query}").json[0])
    assert told("") == set() and told("cardData=True") == {"cardData"} and told("config=true&cardData=1") == {"config", "cardData"}
    assert told("expand[]=safetensors&expand[]=config") == {"config", "safetensors"}
    assert ids(shelf, "num_parameters=min:5") == ["org/bert"] and ids(shelf, "num_parameters=max:5") == []


def test_spaces_are_found_by_words_of_their_names(hub, shelf):
    for id in "org/paint-by-words", "org/paint":
        hub.repo(id, "space").commit(FILES)
        assert shelf.ask(f"/api/spaces/{id}").status == 200
    hub.clear_log()
    for words, want in ("paint+words", ["org/paint-by-words"]), ("PAINT", ["org/paint", "org/paint-by-words"]), ("sing", []):
        got = shelf.ask(f"/api/spaces/semantic-search?q={words}&includeNonRunning=True")
        assert got.status == 200 and [i["id"] for i in got.json] == want
    assert not hub.requests(path_re="semantic")


# ---- one ----

def test_one_is_told_as_it_is_asked(hub, shelf):
    assert set(shelf.ask("/api/models/org/bert?expand=likes&expand=downloads").json) == {"_id", "id", "likes", "downloads"}
    assert shelf.ask("/api/models/org/bert?expand=author").json["author"] == "org"
    assert shelf.ask("/api/models/org/bert?expand=likes&expand=secret").status == 400
    hub.clear_log()
    rare = shelf.ask("/api/models/org/bert?expand=downloadsAllTime&expand=likes&expand=sha").json
    assert rare["likes"] == 5 and rare["sha"] == hub.repo("org/bert").refs["refs/heads/main"]
    assert any("expand=downloadsAllTime&expand=likes" in q.query for q in hub.requests(path_re="/revision/"))
    assert shelf.ask("/api/models/org/bert?securityStatus=true").status == 200
    assert any("securityStatus=true" in q.query for q in hub.requests(path_re="/revision/"))
    hub.down()
    assert shelf.ask("/api/models/org/bert?expand=downloadsAllTime&expand=tags").json["tags"] == TOLD["org/bert"]["tags"]


@pytest.mark.parametrize("path", ["/api/datasets-server/x", "/info", "/splits?dataset=x",
                                  "/api/models/org/bert/xet-read-token/main", "/api/models/org/bert/safetensors-metadata/w.bin",
                                  "/v2/org/bert/manifests/latest", "/org/bert", "/datasets/org/data", "/api/daily_papers"])
def test_what_is_not_answered_is_a_404_in_json(shelf, path):
    for method in "GET", "HEAD":
        got = shelf.ask(path, method)
        assert got.status == 404 and got.headers["content-type"].startswith("application/json") and got.headers["x-error-message"], got
        assert method == "HEAD" or got.json["error"]
        assert not any("xet" in f"{k}{v}".lower() for k, v in got.headers.items() if k not in ("x-request-id", "x-error-message"))


def test_every_route_answers_a_head_as_its_get(hub, shelf):
    repo = hub.repo("org/bert")
    repo.pr(1, repo.refs["refs/heads/main"])
    for rev in "main", "refs%2Fpr%2F1", "refs/pr/1", repo.refs["refs/heads/main"], "HEAD":
        for path in f"/api/models/org/bert/tree/{rev}", f"/api/models/org/bert/revision/{rev}", f"/api/models/org/bert/commits/{rev}", \
                f"/org/bert/resolve/{rev}/w.bin", f"/org/bert/raw/{rev}/w.bin":
            got, head = shelf.ask(path), shelf.ask(path, "HEAD")
            assert got.status == head.status == 200 and head.body == b"", (path, got, head)
            assert len(got.body) == int(head.headers["content-length"]) and b"xet" not in got.body.lower()
