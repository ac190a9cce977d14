"""The adapters that ship: for the bundled encoder, small, with sources and gains, and with what they have seen."""

import pytest

from fewshot.bank import read_adapter
from fewshot.encoders import SentenceTransformerEncoder
from fewshot.resources import shipped
from fewshot.tasks import load_bundled

HOME = shipped("weights") / "adapters"
NAMES = ("general", "intents", "terms")


@pytest.mark.parametrize("name", NAMES)
def test_it_belongs_to_the_bundled_encoder_and_says_where_it_is_from(name):
    adapter = read_adapter(HOME / name)
    assert adapter.card.name == name
    assert adapter.weights.base == SentenceTransformerEncoder().identity
    assert all(source.licence and source.classes > 1 and source.texts > 50 for source in adapter.card.sources)
    assert adapter.card.gains.keys() >= {"bank_bot", "failure_modes"}
    assert adapter.card.training["digest"] != adapter.weights.digest  # of the weights before they were rounded


def test_together_they_take_less_than_four_megabytes():
    assert sum(path.stat().st_size for path in HOME.rglob("*") if path.is_file()) < 4e6


def test_general_loses_nowhere_by_more_than_it_may():
    gains = read_adapter(HOME / "general").card.gains
    assert all(after - before > -0.3 for own in gains.values() for before, after in own.values())


@pytest.mark.parametrize(("name", "seen"), [("general", True), ("terms", True), ("intents", False)])
def test_it_knows_which_classes_it_was_trained_on(name, seen):
    task, adapter = load_bundled("medical_terms"), read_adapter(HOME / name)
    trained, scored = (adapter.weights.count_seen(task.digests(task.parts[part])) for part in ("train", "test"))
    assert (trained > 2000) == seen
    assert scored < 100  # terms and names of its test classes that are in WordNet too
