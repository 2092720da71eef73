"""What huggingface_hub's tests want of their own conftest.py, which its source distribution leaves at home. Laid beside them,
never among ours; tests/suite/run.py says where the hub is."""
import json
import os
import warnings

import huggingface_hub
import pytest
from huggingface_hub import HfApi, constants, repocard
from huggingface_hub.utils import _auth

from . import testing_constants as told
from . import testing_utils

OUT = {"production": "content of the public hub", "xet": "a Xet store", "inference": "inference providers", "git_lfs": "git-lfs"}



def of_the_public_hub(what):
    """Instead of older releases' with_production_testing, which wraps tests, classes of them, and what sets them up."""
    if isinstance(what, type) or what.__name__.startswith("test"):
        return pytest.mark.production(what)
    return lambda *args, **kwargs: pytest.skip(f"needs {OUT['production']}")


testing_utils.with_production_testing = of_the_public_hub


class RepoFactory:
    """repo_factory(type, repo_id, token, **options): a new repository, which goes with the test."""

    def __init__(self):
        self.made = []

    def __call__(self, repo_type="model", *, repo_id=None, token=told.TOKEN, **options):
        api = HfApi(endpoint=told.ENDPOINT_STAGING, token=token)
        url = api.create_repo(repo_id or testing_utils.repo_name(), repo_type=repo_type, **options)
        self.made.append((api, url.repo_id, repo_type))
        return url

    def clear(self):
        for api, repo_id, repo_type in self.made:
            api.delete_repo(repo_id, repo_type=repo_type, missing_ok=True)


@pytest.fixture
def repo_factory():
    factory = RepoFactory()
    yield factory
    factory.clear()


@pytest.fixture(scope="session")
def api():
    return HfApi(endpoint=told.ENDPOINT_STAGING, token=told.TOKEN)


@pytest.fixture
def new_repo_id(api):
    repo_id = f"{told.USER}/{testing_utils.repo_name()}"
    yield repo_id
    api.delete_repo(repo_id, missing_ok=True)


@pytest.fixture
def fx_cache_dir(request, tmp_path):
    request.cls.cache_dir = tmp_path.resolve() / "cache"
    request.cls.cache_dir.mkdir()


@pytest.fixture(autouse=True)
def a_home_of_its_own(monkeypatch, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for name, path in {"HF_HOME": home, "HF_TOKEN_PATH": home / "token", "HF_STORED_TOKENS_PATH": home / "stored_tokens",
                       "HF_HUB_CACHE": home / "hub", "HUGGINGFACE_HUB_CACHE": home / "hub", "HF_ASSETS_CACHE": home / "assets",
                       "HF_XET_CACHE": home / "xet"}.items():
        if hasattr(constants, name):
            monkeypatch.setattr(constants, name, str(path))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_EXPERIMENTAL_WARNING", True, raising=False)
    if hasattr(_auth, "_OAUTH_REFRESH_CACHE"):
        monkeypatch.setattr(_auth, "_OAUTH_REFRESH_CACHE", None)


class CardsHere:
    """A session that has cards checked by this hub: before 1.0 they go to the public one, whatever HF_ENDPOINT says."""

    def __init__(self, session):
        self.session = session

    def post(self, url, *args, **kwargs):
        return self.session.post(url.replace(told.ENDPOINT_PRODUCTION, told.ENDPOINT_STAGING), *args, **kwargs)


@pytest.fixture(autouse=True)
def cards_are_checked_here(monkeypatch):
    if huggingface_hub.__version__.startswith("0."):
        asked = repocard.get_session
        monkeypatch.setattr(repocard, "get_session", lambda: CardsHere(asked()))


@pytest.fixture(autouse=True)
def a_deprecation_is_told(request):
    mark = request.node.get_closest_marker("deprecated")
    if not mark:
        yield
        return
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    for name in mark.args:
        assert any(w.category is FutureWarning and name in str(w.message) for w in seen), name


def pytest_runtest_setup(item):
    for mark, reason in OUT.items():
        if item.get_closest_marker(mark):
            pytest.skip(f"needs {reason}")


class Outcomes:
    """Which test ended how, as JSON lines: what run.py judges."""

    def __init__(self, path):
        self.file = open(path, "a")

    def note(self, report):
        why = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
        self.file.write(json.dumps([report.nodeid, report.outcome, why]) + "\n")
        self.file.flush()

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.note(report)

    def pytest_collectreport(self, report):
        if report.failed:
            self.note(report)


def pytest_configure(config):
    for mark in ("api", "transfer", "no_xet", "deprecated", *OUT):
        config.addinivalue_line("markers", mark)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(os.environ["SUITE_OUTCOMES"]))


assert huggingface_hub.constants.ENDPOINT == told.ENDPOINT_STAGING
