"""The source `synonym`: what it proposes, in which order, and what it says about it."""

import pytest

from fewshot.augment.source import AugmentRequest
from fewshot.augment.synonym import Synonym
from fewshot.errors import ConfigError

BANK = AugmentRequest(
    (
        "How do I withdraw money? I think there is a problem with my card.",
        "Why was I charged a fee for an exchange rate that is wrong?",
        "zzz",
    ),
    max_new=20,
)


def texts(proposals):
    return [proposal.text for proposal in proposals]


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("buy\tpurchase|acquire\ncar\tvehicle\nmy\tour own\nred car\tred thing\n", encoding="utf-8")
    return str(path)


# --- what is proposed ---


def test_the_tasks_own_synonyms_come_first(mine):
    request = AugmentRequest(("car",), max_new=9, synonyms=(("motor", "CAR", "auto"),))

    (proposals,) = Synonym(["task", mine]).propose(request)

    assert texts(proposals) == ["motor", "auto", "vehicle"]
    assert proposals[0].how == "car → motor (task)"
    assert proposals[2].how == "car → vehicle (mine)"


def test_single_replacements_come_before_combinations(mine):
    (proposals,) = Synonym([mine]).propose(AugmentRequest(("I buy a car",), max_new=9))

    assert set(texts(proposals[:2])) == {"I purchase a car", "I buy a vehicle"}
    assert texts(proposals[2:3]) == ["I acquire a car"]
    assert set(texts(proposals[3:])) == {"I purchase a vehicle", "I acquire a vehicle"}
    assert {proposal.how for proposal in proposals[3:]} == {
        "buy → purchase (mine); car → vehicle (mine)",
        "buy → acquire (mine); car → vehicle (mine)",
    }


def test_no_more_places_are_changed_than_allowed(mine):
    request = AugmentRequest(("I buy my car",), max_new=50)

    for max_new in (1, 2, 3):
        (proposals,) = Synonym([mine], max_replacements=max_new).propose(request)
        assert max(proposal.how.count("→") for proposal in proposals) == max_new


def test_the_longest_of_places_that_overlap_is_kept_across_lexicons(tmp_path, mine):
    other = tmp_path / "other.tsv"
    other.write_text("car park\tparking lot\ncar\tauto\n", encoding="utf-8")
    lexicons = Synonym([mine, str(other)])

    park, car = lexicons.propose(AugmentRequest(("a car park", "a car"), max_new=9))

    assert texts(park) == ["a parking lot"]
    assert texts(car) == ["a vehicle", "an auto"]


# --- randomness ---


# --- notes, settings, speed ---


def test_the_notes_say_that_synonyms_are_from_where_the_labels_are_from():
    request = AugmentRequest(("a", "b", "c"), max_new=1, synonyms=(("x",), (), ("y", "z")))

    (note,) = Synonym().notes(request)

    assert note.startswith("synonym: 2 of 3 texts have synonyms from the task's own file, which is where the labels")
    assert Synonym(["everyday"]).notes(request) == []
    assert Synonym().notes(AugmentRequest(("a",), max_new=1)) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"lexicons": ["mesh"]},
            r"synonym.lexicons=\[mesh\]. Expected a list of some of task, disease_ontology, everyday",
        ),
        ({"lexicons": []}, r"Got augment.sources.synonym.lexicons=\[\]. Expected a list of some of task"),
        ({"lexicons": "task"}, r"lexicons=task. Expected a list"),
        ({"max_replacements": 0}, r"max_replacements=0. Expected a positive number"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Synonym(**arguments)
