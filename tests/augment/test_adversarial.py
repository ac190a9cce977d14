"""The search moves towards the nearest wrong class, stays near its text, and can be done by hand."""

from itertools import product

import pytest

from fewshot.augment import Adversarial, AugmentRequest, Proposal
from fewshot.errors import ConfigError
from tests.augment.sources import Changes, Listed, Vectors

WORDS = {
    "x": (2, 0, 0),
    "x1": (1.8, 0.4, 0),
    "x2": (1.6, 1, 0),
    "x3": (1.9, 0, 0.6),
    "y": (2, 0, 0),
    "y1": (1.7, 0.9, 0),
}
NAMES = {"own": (1, 0, 0), "wrong": (0, 1, 0), "far": (0, -1, 0.2)}
TABLE = {"x": ("x1", "x2", "x3"), "y": ("y1",)}


def sums() -> Vectors:
    """A text is the sum of its words."""
    singles = {word: vector for word, vector in WORDS.items() if word[0] == "x"}
    doubles = {
        f"{a} {b}": [p + q for p, q in zip(WORDS[a], WORDS[b], strict=True)]
        for a, b in product(WORDS, WORDS)
        if a[0] == "x" and b[0] == "y"
    }
    return Vectors({**singles, **doubles, **NAMES})


def request(*texts: str, names=("own", "wrong", "far"), classes=(0,), embed=None, **more) -> AugmentRequest:
    return AugmentRequest(
        texts=texts,
        max_new=9,
        classes=tuple(classes) * len(texts),
        class_names=tuple(names),
        embed=embed or sums(),
        **more,
    )


def found(asked: AugmentRequest, **settings) -> list[list[str]]:
    source = Adversarial(Changes(TABLE), **({"lowest_cosine": 0.0} | settings))
    return [[proposal.text for proposal in row] for row in source.propose(asked)]


def gain(text: str, start: str) -> float:
    embed = sums()
    new, old, own, wrong = embed([text, start, "own", "wrong"])
    return float((new - old) @ (wrong - own))


def test_it_goes_step_by_step_to_the_nearest_wrong_class():
    [row] = Adversarial(Changes(TABLE), lowest_cosine=0.0).propose(request("x y"))

    assert row[0] == Proposal("x2 y1", "x → x2; y → y1")
    assert {"x2 y", "x y1", "x2 y1"} <= {proposal.text for proposal in row}


def test_proposals_are_ordered_by_their_gain_and_all_gain():
    [row] = found(request("x y"))

    gains = [gain(text, "x y") for text in row]
    assert gains == sorted(gains, reverse=True)
    assert min(gains) > 0


def test_it_goes_no_further_than_the_lowest_cosine():
    embed = sums()
    [free], [bound] = found(request("x")), found(request("x"), lowest_cosine=0.9)

    cosines = {text: float(embed([text])[0] @ embed(["x"])[0]) for text in free}
    assert min(cosines.values()) < 0.9
    assert bound == [text for text in free if cosines[text] >= 0.9]


def test_the_aim_is_the_other_class_that_is_nearest_to_the_text():
    vectors = {
        "t": (1, 0.1, 0),
        "up": (1, 0.6, 0),
        "down": (1, -0.6, 0),
        "own": (1, 0, 0),
        "a": (0.3, 1, 0),
        "b": (0, -1, 0),
    }
    source = Adversarial(Listed({"t": ["up", "down"]}), lowest_cosine=0.0)

    for classes, names, expected in (((0,), ("own", "a", "b"), ["up"]), ((1,), ("a", "b", "own"), ["up"])):
        asked = request("t", names=names, classes=classes, embed=Vectors(vectors))
        assert [proposal.text for proposal in source.propose(asked)[0]] == expected


def test_without_classes_the_nearest_name_stands_for_the_class():
    asked = request("x y", classes=())

    assert found(asked) == found(request("x y"))


def test_without_names_it_moves_away_from_the_text():
    [row] = found(request("x", names=(), classes=()), rounds=1)

    embed = sums()
    cosines = [float(embed([text])[0] @ embed(["x"])[0]) for text in row]
    assert cosines == sorted(cosines)
    assert len(row) == 3
    assert max(cosines) < 1


def test_a_round_is_one_call_for_all_texts():
    embed = sums()
    asked = request("x y", "x", "x1 y", embed=embed)

    found(asked, rounds=2)

    assert len(embed.asked) == 2 + 2  # texts, names, two rounds
    assert len(embed.asked[2]) == 4 + 3 + 1


def test_the_other_names_of_a_text_are_only_asked_for_the_text_itself():
    source = Changes(TABLE)

    Adversarial(source, rounds=2, lowest_cosine=0.0, candidates=5).propose(request("x y", synonyms=(("x1",),)))

    assert [asked.synonyms for asked in source.asked] == [(("x1",),), ()]
    assert [asked.max_new for asked in source.asked] == [5, 5]
    assert source.asked[1].texts == ("x2 y",)


def test_a_text_without_substitutions_has_no_proposals():
    assert found(AugmentRequest(("own",), max_new=3, embed=sums())) == [[]]
    assert found(AugmentRequest((), max_new=3, embed=sums())) == []


def test_it_refuses_what_it_cannot_search():
    with pytest.raises(ConfigError, match=r"got no embed"):
        Adversarial(Changes(TABLE)).propose(AugmentRequest(("x",), max_new=1))
    with pytest.raises(ConfigError, match=r"Got augment.sources.adversarial.rounds=0. Expected a positive number"):
        Adversarial(Changes(TABLE), rounds=0)
    with pytest.raises(ConfigError, match=r"lowest_cosine=1.5. Expected a cosine"):
        Adversarial(Changes(TABLE), lowest_cosine=1.5)
