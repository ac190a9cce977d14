"""Class-balanced batches, sentence by sentence."""

from collections import Counter

import torch

from fewshot.adaptation.batches import BalancedBatches

CLASSES = torch.tensor([0] * 2 + [1] * 3 + [3] * 7)  # class 2 has no text


def drawn(size, per_class, steps, seed=0):
    batches = BalancedBatches(CLASSES, size, per_class, seed)
    return [batches(step) for step in range(1, steps + 1)]


def test_batches_have_the_size_that_was_asked_for():
    assert {len(batch) for batch in drawn(5, 2, 20)} == {5}
    assert {len(batch) for batch in drawn(50, 1, 3)} == {50}


def test_each_class_has_its_turn_once_in_a_round():
    rounds = CLASSES[torch.cat(drawn(4, 1, 30))].view(-1, 3)
    assert all(sorted(row) == [0, 1, 3] for row in rounds.tolist())
    assert len({tuple(row) for row in rounds.tolist()}) > 1


def test_texts_of_a_class_stand_side_by_side():
    pairs = CLASSES[torch.cat(drawn(6, 2, 20))].view(-1, 2)
    assert torch.equal(pairs[:, 0], pairs[:, 1])


def test_a_class_goes_through_all_its_texts_before_one_comes_again_in_a_new_order():
    sequence = torch.cat(drawn(3, 1, 42))
    own = sequence[CLASSES[sequence] == 3].view(-1, 7).tolist()
    assert all(sorted(row) == list(range(5, 12)) for row in own)
    assert len({tuple(row) for row in own}) > 1


def test_classes_count_alike():
    counts = Counter(CLASSES[torch.cat(drawn(6, 1, 50))].tolist())
    assert counts == {0: 100, 1: 100, 3: 100}


def test_a_batch_depends_on_seed_and_step_alone():
    straight = drawn(5, 2, 8)
    late = BalancedBatches(CLASSES, 5, 2, 0)(8)
    assert torch.equal(straight[-1], late)
    assert not all(torch.equal(a, b) for a, b in zip(straight, drawn(5, 2, 8, seed=1), strict=True))
