"""A README.md is checked before anything is uploaded: what the real client makes of what matrixhubd says of it."""
import json
import urllib.parse
import warnings

import pytest
from huggingface_hub import HfApi, ModelCard, constants

from hubd import Hubd


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    h = Hubd(tmp_path_factory.mktemp("card"))
    yield h
    h.stop()


def validated(hub, content, repo_type="model"):
    """The warnings that the client shows; it raises what is an error."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        HfApi(hub.url, token=False)._validate_yaml(content, repo_type=repo_type)
    return [str(w.message) for w in shown if "validating" in str(w.message)]


def test_a_card_that_is_right_is_taken_and_one_without_metadata_is_warned_of(hub):
    assert validated(hub, "---\nlicense: mit\ntags: [a]\n---\n# M\n") == []
    assert validated(hub, "# M\n") == ["Warnings while validating metadata in README.md:\n- empty or missing yaml metadata in repo card"]
    assert validated(hub, "---\nlicense: mit\n---\n" + "x" * 2_000_000) == []


@pytest.mark.parametrize("yaml, repo_type, sentence", [
    ("license: [", "model", "Invalid YAML in README.md: "), ("just text", "model", "The YAML metadata of your README.md is invalid."),
    ("license: mine", "model", '"license" must be one of [apache-2.0, mit, '), ("widget: x", "model", '"widget" must be an array'),
    ("colorFrom: teal", "space", '"colorFrom" must be one of [red, yellow, green, blue, indigo, purple, pink, gray]')])
def test_a_card_that_is_wrong_is_refused_in_words_that_the_client_shows(hub, yaml, repo_type, sentence):
    with pytest.raises(ValueError) as raised:
        validated(hub, f"---\n{yaml}\n---\n# M\n", repo_type)
    assert str(raised.value).startswith("Invalid metadata in README.md.\n- " + sentence)
    assert repo_type == "model" or validated(hub, f"---\n{yaml}\n---\n# M\n") == []


def test_a_card_has_itself_checked(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    ModelCard("---\nlicense: mit\n---\n# M\n").validate()
    with pytest.raises(ValueError, match="must be one of .*apache-2.0"):
        ModelCard("---\nlicense: mine\n---\n# M\n").validate()


def test_a_card_may_come_as_a_form_as_releases_before_1_send_it(hub):
    def sent(content, **said):
        form = urllib.parse.urlencode({"content": f"---\nlicense: {content}\n---\n# A card & more\n"} | said)
        got = hub.ask("/api/validate-yaml", "POST", form, Content_Type="application/x-www-form-urlencoded")
        return got.status, [e["message"][:22] for e in got.json.get("errors", [{"message": got.json.get("error")}])]
    assert sent("mit") == sent("mit", repoType="dataset") == (200, [])
    assert sent("mine", repoType="model") == (400, ['"license" must be one '])
    assert sent("mit", repoType="kernel") == (400, ['"repoType" must be one'])
    assert hub.ask("/api/validate-yaml", "POST", "x=1", Content_Type="application/x-www-form-urlencoded").json == {"error": '"content" must be a string'}


def test_whatever_is_sent_the_answer_is_json(hub):
    for body in ("", "nonsense", "[]", "{}", '{"content": 5}', '{"content": "", "repoType": "kernel"}', '{"content": "", "repoType": 5}'):
        got = hub.ask("/api/validate-yaml", "POST", body)
        assert got.status == 400 and got.json["error"], (body, got)
    got = hub.ask("/api/validate-yaml", "POST", json.dumps({"content": "# M"}))
    assert got.status == 200 and got.json["errors"] == []
    assert hub.ask("/api/validate-yaml").status == 405
