"""The way to learn2learn: without gym and torchvision, and a sentence where it is not installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.errors import ConfigError
from fewshot.learners import MAML
from fewshot.learners.maml import learn2learn

needs_it = pytest.mark.skipif(
    not learn2learn.is_installed(), reason=f"learn2learn is not installed: {learn2learn.HOW_TO_GET_IT}"
)
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def fresh():
    learn2learn.algorithms.cache_clear()
    yield
    learn2learn.algorithms.cache_clear()


def absent(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "learn2learn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@needs_it
def test_its_core_loads_without_the_packages_that_it_asks_for():
    code = "from fewshot.learners.maml.learn2learn import algorithms; import sys; found = algorithms(); "
    code += "print(found.MAML.__name__, *[name for name in ('gym', 'torchvision') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (run.stdout.split(), run.stderr) == (["MAML"], "")


@needs_it
def test_a_core_that_does_not_load_leaves_nothing_behind(monkeypatch):
    absent_first = [name for name in sys.modules if name.partition(".")[0] == "learn2learn"]
    for name in absent_first:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(learn2learn, "_CORE", ("learn2learn.nn", "learn2learn.nothing_of_this_name"))
    with pytest.raises(
        ConfigError, match=r"installed but does not load \(ModuleNotFoundError.*Expected version 0\.2\.0"
    ):
        learn2learn.algorithms()
    assert "learn2learn" not in sys.modules


def test_without_it_one_sentence_says_how_to_get_it(monkeypatch):
    absent(monkeypatch)
    assert not learn2learn.is_installed()
    with pytest.raises(
        ConfigError, match=r"learn2learn is not installed: make setup installs it where there is a C comp"
    ):
        MAML(8, engine="learn2learn")


def test_the_requirements_ask_for_the_version_that_is_named_in_messages():
    lines = (ROOT / "requirements-learn2learn.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines if not line.startswith("#")] == ["learn2learn==0.2.0"]
