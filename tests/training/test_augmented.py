"""Variants to train an encoder on: of train classes alone, and drawn without a memory."""

import pytest
import torch

from fewshot.errors import ConfigError
from fewshot.training.augmented import AugmentedTexts
from tests.synthetic import seeded, small_task

TASK = small_task()  # classes 0-5 are train, of twelve texts each


def made(**more):
    return AugmentedTexts.of(TASK, {30: ["c", "d", "e"], 2: ["a"], 7: [], 3: ["b1", "b2"], **more})


def test_texts_with_variants_stand_in_their_order():
    augmented = made()
    assert augmented.texts.tolist() == [2, 3, 30]
    assert augmented.variants == (("a",), ("b1", "b2"), ("c", "d", "e"))


def test_draw_gives_different_texts_and_variants_of_each():
    augmented, seen = made(), set()
    for seed in range(30):
        drawn = augmented.draw(2, 4, seeded(seed))
        assert drawn.shape == (2, 5)
        assert len(set(drawn[:, 0].tolist())) == 2
        names = augmented.variants_at(drawn)
        for place, four in zip(drawn[:, 0].tolist(), (names[:4], names[4:]), strict=True):
            assert set(four) <= set(augmented.variants[place])
        seen |= set(names)
    assert seen == {"a", "b1", "b2", "c", "d", "e"}
    assert augmented.draw(16, 1, seeded()).shape == (3, 2)


def test_draw_of_gives_one_variant_of_each_text_that_has_any():
    augmented, seen = made(), set()
    for seed in range(30):
        drawn = augmented.draw_of(torch.tensor([30, 5, 2, 71]), seeded(seed))
        assert augmented.texts[drawn[:, 0]].tolist() == [2, 30]
        seen.add(tuple(augmented.variants_at(drawn)))
    assert seen == {("a", "c"), ("a", "d"), ("a", "e")}
    assert augmented.draw_of(torch.tensor([5]), seeded()).shape == (0, 2)


def test_the_generator_is_the_only_memory():
    augmented = made()
    assert torch.equal(augmented.draw(2, 4, seeded(1)), made().draw(2, 4, seeded(1)))
    assert not torch.equal(augmented.draw(2, 4, seeded(1)), augmented.draw(2, 4, seeded(2)))


def test_texts_of_other_classes_are_refused():
    with pytest.raises(ConfigError, match=r"Got variants of text 72, which is of class 'label06'.*train classes alone"):
        AugmentedTexts.of(TASK, {2: ["a"], 3: ["b"], 72: ["c"]})


@pytest.mark.parametrize("augmented", [{}, {2: ["a"]}, {2: ["a"], 3: []}])
def test_fewer_than_two_texts_are_refused(augmented):
    with pytest.raises(ConfigError, match="expected at least two to tell apart"):
        AugmentedTexts.of(TASK, augmented)
