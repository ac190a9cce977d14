"""From sources to a bank: who is asked, what is kept, what is counted."""

import pytest
import torch

from fewshot.augment import Adversarial, AugmentRequest, SemanticAugmentation, StageAugmentation
from fewshot.augment.selection import Bank
from fewshot.errors import ConfigError
from fewshot.tasks.task import normalise
from tests.augment.sources import Changes, Listed, Prefixes, Vectors
from tests.fakes import FakeEncoder

ENCODER = FakeEncoder(dim=32)
TEXTS = ("bear eats honey", "crow eats corn", "deer eats grass")
WIDE = {"lowest_cosine": 0.2, "highest_cosine": 0.999, "duplicate_cosine": 0.999}


def embed(texts):
    return ENCODER.encode(list(texts))


def request(texts=TEXTS, max_new=5, **more) -> AugmentRequest:
    return AugmentRequest(texts=tuple(texts), max_new=max_new, embed=embed, **more)


def augmentation(*sources, **settings) -> SemanticAugmentation:
    return SemanticAugmentation(
        sources={source.name: source for source in sources or (Prefixes(),)}, **(WIDE | settings)
    )


def kept_texts(bank: Bank) -> list[list[str]]:
    return [[one.text for one in row] for row in bank.kept()]


def test_so_many_are_kept_as_were_asked_for_in_the_order_of_the_source():
    bank = augmentation().make(request(max_new=3))

    assert kept_texts(bank) == [[f"{word} {text}" for word in ("a", "the", "some")] for text in TEXTS]
    assert bank.features.shape == (9, 32)
    assert torch.allclose(bank.features[4], embed(["the crow eats corn"])[0], atol=1e-6)


def test_nothing_is_embedded_that_is_not_needed():
    words = [f"w{i}" for i in range(100)]
    vectors = Vectors(
        {"x": [0] * 100 + [3], **{f"{w} x": [int(j == i) for j in range(100)] + [3] for i, w in enumerate(words)}}
    )

    bank = augmentation(Prefixes(words)).make(AugmentRequest(("x",), max_new=100, embed=vectors))
    asked = augmentation(Prefixes(words)).make_each(
        AugmentRequest(("x",), max_new=10, embed=(few := Vectors(vectors.table))), {"": ["prefixes"]}
    )[""]

    assert len(bank.features) == 100
    assert len(asked.features) == 10
    assert sum(map(len, few.asked)) < 20


def test_sources_are_asked_for_more_than_is_wanted_and_each_text_is_embedded_once():
    source, asked = Prefixes(), []

    def counting(texts):
        asked.extend(texts)
        return embed(texts)

    augmentation(source, Adversarial(source), proposals=1.5).make(AugmentRequest(TEXTS, max_new=5, embed=counting))

    assert source.asked[0].max_new == 8
    assert sorted(asked) == sorted([*set(asked), TEXTS[0]])  # once more, for the width of a bank that may be empty


def test_a_text_of_the_task_is_never_kept_however_it_is_written():
    bank = augmentation().make(request(), excluded={"a bear eats honey", normalise("THE  crow eats CORN")})

    kept = [normalise(text) for row in kept_texts(bank) for text in row]
    assert "a bear eats honey" not in kept
    assert "the crow eats corn" not in kept
    assert bank.counts(["prefixes"])["prefixes"]["task_text"] == 2


def test_counts_add_up_and_name_every_end():
    source = Listed({"x": ["y", "Y ", "far", "near", "twin", "spare", "z"]})
    table = {"x": [1, 0, 0], "y": [3, 3, 0], "far": [0, 1, 0], "near": [1, 0.01, 0], "twin": [3, 3.01, 0]}
    table |= {"spare": [3, 0, 3], "z": [1, 0, 0]}
    chosen = SemanticAugmentation(sources={"listed": source})

    made = chosen.make(AugmentRequest(("x",), max_new=1, embed=Vectors(table)), excluded={"z"})
    more = chosen.make(AugmentRequest(("x",), max_new=7, embed=Vectors(table)), excluded={"z"})

    assert more.counts(["listed"]) == {
        "listed": {
            "proposed": 7,
            "kept": 2,
            "task_text": 1,
            "repeated": 1,
            "too_far": 1,
            "too_near": 1,
            "other_class": 0,
            "near_duplicate": 1,
            "not_needed": 0,
        }
    }
    counts = made.counts(["listed", "absent"])
    assert counts["listed"]["kept"] == 1
    assert counts["listed"]["proposed"] == sum(n for end, n in counts["listed"].items() if end != "proposed")
    assert set(counts["absent"].values()) == {0}


def test_what_is_made_of_a_text_does_not_depend_on_the_others():
    together = kept_texts(augmentation().make(request()))
    alone = [kept_texts(augmentation().make(request([text])))[0] for text in TEXTS]
    backwards = kept_texts(augmentation().make(request(TEXTS[::-1])))

    assert together == alone == backwards[::-1]


def test_many_texts_are_asked_for_in_pieces_and_come_back_in_order():
    source, texts = Prefixes(), [f"text number {i}" for i in range(150)]

    bank = augmentation(source).make(request(texts, max_new=2))

    assert bank.texts == tuple(texts)
    assert [len(asked.texts) for asked in source.asked] == [64, 64, 22]
    assert kept_texts(bank)[149] == ["a text number 149", "the text number 149"]
    assert torch.allclose(bank.features[-1], embed(["the text number 149"])[0], atol=1e-6)


def test_choices_of_sources_are_made_from_one_round_of_proposals():
    first, second = Prefixes(), Changes({"eats": ["devours"]})
    choices = {"one": ["prefixes"], "two": ["changes"], "both": ["prefixes", "changes"]}

    banks = augmentation(first, second).make_each(request(), choices)

    assert len(first.asked) == len(second.asked) == 1
    for name, sources in choices.items():
        alone = augmentation(*[source for source in (first, second) if source.name in sources]).make(request())
        assert kept_texts(banks[name]) == kept_texts(alone)
        assert torch.equal(banks[name].features, alone.features)


def test_variants_point_from_the_texts_of_the_task_to_the_features():
    bank = augmentation(Listed({TEXTS[0]: ["a bear eats"], TEXTS[2]: ["a deer eats", "the deer eats"]})).make(request())

    variants = bank.variants([5, 1, 3], 7, weight=0.25, margin=0.1)

    assert variants.rows.tolist() == [[-1, -1], [-1, -1], [-1, -1], [1, 2], [-1, -1], [0, -1], [-1, -1]]
    assert torch.allclose(variants.features[2], embed(["the deer eats"])[0], atol=1e-6)
    assert (variants.weight, variants.margin) == (0.25, 0.1)


def test_the_hash_of_a_bank_is_that_of_what_was_kept():
    same, again, other = (augmentation().make(request(max_new=max_new)).sha256() for max_new in (3, 3, 4))

    assert same == again != other


@pytest.mark.parametrize(("shots", "max_new"), [(5, 39), (10, 19), (199, 1)])
def test_the_class_comes_to_per_class(shots, max_new):
    assert augmentation().max_new(shots) == max_new
    assert shots * max_new + shots >= 200 > shots * (max_new - 1) + shots


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"weight": 0.0, "per_class": 0},
            r"Got augment.per_class=0, augment.weight=0.0. Expected a positive number for per_class; a number above 0",
        ),
        ({"margin": 3.0}, "Got augment.margin=3.0. Expected a difference of two cosines, from -2 to 2"),
        ({"proposals": 0.5}, "Got augment.proposals=0.5. Expected 1 or more"),
        ({"use": []}, r"Expected a list of some of support, meta_training"),
        ({"lowest_cosine": 1.0}, "Expected from -1 to below highest_cosine"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        augmentation(**settings)


def test_no_source_and_no_room_are_refused():
    with pytest.raises(ConfigError, match=r"Got no augment/source.* Write augment/source=\[synonym,syntax\]"):
        SemanticAugmentation(sources={})
    with pytest.raises(
        ConfigError, match=r"Got augment.per_class=5 with shots=5.* Raise augment.per_class above shots"
    ):
        augmentation(per_class=5).max_new(5)


def test_a_request_without_features_is_refused():
    with pytest.raises(ConfigError, match=r"got no embed"):
        augmentation().make(AugmentRequest(TEXTS, max_new=2))


def test_the_stage_asks_for_less_and_decides_quickly():
    made = StageAugmentation()

    differing = {name for name, value in made.settings().items() if value != SemanticAugmentation().settings()[name]}
    assert differing == {"per_text", "valid_texts", "policy"}
    assert (made.per_text, made.valid_texts, made.max_new(10)) == (5, 20, 5)
    assert made.settings()["policy"] == {"weights": [0.5], "episodes": 100}
