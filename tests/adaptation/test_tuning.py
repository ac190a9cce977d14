"""Class-balanced batches, sentence by sentence, and the loss of a step against its formula."""

from collections import Counter

import torch
from torch.nn.functional import cross_entropy, normalize

from fewshot.adaptation import HeadTuner
from fewshot.adaptation.tuning import BalancedBatches, FineTuneObjective, TuningSettings
from fewshot.encoders import LoRA, TrainableEncoder
from fewshot.training.terms import supervised_contrastive
from tests.adaptation.conftest import support_of

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


def test_cross_entropy_of_the_head_and_the_contrastive_term_of_what_it_embeds(encoder):
    support = support_of(4).with_names_as_texts()
    features = encoder.encode(support.texts)
    head = HeadTuner(scale=10.0).start(features, support, None)
    trainable = TrainableEncoder(encoder, LoRA(encoder_dropout=0.0))
    settings = TuningSettings(contrastive_weight=0.5, temperature=0.2, label_smoothing=0.1, tokens_per_pass=12)
    objective = FineTuneObjective(trainable, head, support, settings).eval()
    batch = torch.tensor([0, 13, 5, 3, 7])
    losses = objective(batch)
    z, classes = normalize(features[batch], dim=-1), support.classes[batch]
    task = cross_entropy(10 * z @ normalize(head.rows, dim=-1).T, classes, label_smoothing=0.1)
    contrastive = supervised_contrastive(z, classes, 0.2)
    torch.testing.assert_close(losses["task"], task, atol=1e-5, rtol=0)
    torch.testing.assert_close(losses["contrastive"], contrastive, atol=1e-5, rtol=0)
    torch.testing.assert_close(losses["loss"], task + 0.5 * contrastive, atol=1e-5, rtol=0)
    losses["loss"].backward()
    assert head.rows.grad.abs().sum() > 0
    assert any(p.grad is not None and p.grad.any() for p in trainable.parameters())


def test_without_weight_the_term_is_left_out(encoder):
    support = support_of(4).with_names_as_texts()
    head = HeadTuner().start(encoder.encode(support.texts), support, None)
    objective = FineTuneObjective(TrainableEncoder(encoder, LoRA(encoder_dropout=0.0)), head, support, TuningSettings())
    assert set(objective(torch.tensor([0, 1]))) == {"loss"}
