import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from fewshot.evaluation import accuracy, expected_calibration_error, macro_f1
from fewshot.evaluation.metrics import macro_f1_shares
from tests.synthetic import seeded


@pytest.fixture(scope="module")
def guesses():
    """Logits of 40 episodes, a little better than chance, and targets that leave some ways without queries."""
    generator = seeded()
    targets = torch.randint(6, (40, 12), generator=generator)
    logits = torch.randn(40, 12, 6, generator=generator) + torch.nn.functional.one_hot(targets, 6)
    return logits, targets


def logits_of(probabilities):
    return torch.tensor(probabilities, dtype=torch.double).log()


def test_accuracy_is_that_of_each_episode(guesses):
    logits, targets = guesses
    expected = [accuracy_score(t, p) for t, p in zip(targets, logits.argmax(-1), strict=True)]
    np.testing.assert_allclose(accuracy(logits, targets), expected)
    assert 0.3 < np.mean(expected) < 0.7


def test_macro_f1_is_that_of_scikit_learn(guesses):
    logits, targets = guesses
    expected = [
        f1_score(t, p, labels=range(6), average="macro", zero_division=0)
        for t, p in zip(targets, logits.argmax(-1), strict=True)
    ]
    np.testing.assert_allclose(macro_f1(logits, targets), expected)


def test_shares_of_macro_f1_are_its_derivatives_by_the_weights_of_queries(guesses):
    logits, targets = guesses
    shares = macro_f1_shares(logits, targets)
    np.testing.assert_allclose(shares.mean(1), macro_f1(logits, targets))
    truth, found = targets[0].numpy(), logits[0].argmax(-1).numpy()
    for query in range(3):
        weights = np.ones(len(truth))
        weights[query] += 1e-6
        scores = [
            f1_score(truth, found, labels=range(6), average="macro", zero_division=0, sample_weight=w)
            for w in (np.ones(len(truth)), weights)
        ]
        expected = scores[0] + len(truth) * (scores[1] - scores[0]) / 1e-6
        assert float(shares[0, query]) == pytest.approx(expected, abs=1e-4)


def test_macro_f1_by_hand():
    """Ways 0 and 1 with two queries each, all guessed to be 0: F1 is 2/3 and 0."""
    logits = torch.tensor([[[2.0, 1.0]] * 4])
    assert macro_f1(logits, torch.tensor([[0, 0, 1, 1]])).tolist() == pytest.approx([1 / 3])


def test_calibration_error_by_hand():
    """Bins of a third: confidences 0.6 (right), 0.6 (wrong) and 0.9 (right), 0.8 (right)."""
    logits = logits_of([[[0.6, 0.4], [0.6, 0.4]], [[0.1, 0.9], [0.2, 0.8]]])
    targets = torch.tensor([[0, 1], [1, 1]])
    # 2/4 * |1.2/2 - 1/2| + 2/4 * |1.7/2 - 2/2| = 0.05 + 0.075
    assert expected_calibration_error(logits, targets, n_bins=3) == pytest.approx(0.125)
    # In one bin the errors of 0.6 and 0.9 cancel: |2.9/4 - 3/4|
    assert expected_calibration_error(logits, targets, n_bins=1) == pytest.approx(0.025)


def test_calibration_error_follows_the_binned_formula(guesses):
    logits, targets = guesses
    p = torch.softmax(logits.double() / 0.7, -1).numpy().reshape(-1, 6)
    right = p.argmax(1) == targets.numpy().ravel()
    bins = np.digitize(p.max(1), np.linspace(0, 1, 16)[1:-1])
    expected = sum(abs(p.max(1)[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert expected_calibration_error(logits, targets, temperature=0.7) == pytest.approx(expected)


@pytest.mark.parametrize(("right", "expected"), [(True, 0.0), (False, 1.0)])
def test_full_confidence_is_no_error_where_it_is_right_and_all_error_where_it_is_wrong(right, expected):
    logits = torch.tensor([[[1000.0, 0.0]] * 3])
    targets = torch.tensor([[0 if right else 1] * 3])
    assert expected_calibration_error(logits, targets) == pytest.approx(expected)


def test_a_temperature_divides_the_logits(guesses):
    logits, targets = guesses
    divided = expected_calibration_error(logits / 4, targets)
    assert expected_calibration_error(logits, targets, temperature=4.0) == pytest.approx(divided)
    assert expected_calibration_error(logits, targets) != pytest.approx(divided)
