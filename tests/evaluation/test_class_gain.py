import pytest
import torch

from fewshot.episodes import EpisodeBatch
from fewshot.evaluation import ClassGain


def batch(classes):
    """One episode of these classes, two queries each."""
    ways = len(classes)
    nothing = torch.zeros(1, ways, 1, dtype=torch.long)
    query = torch.zeros(1, ways, 2, dtype=torch.long)
    return EpisodeBatch(torch.tensor([classes]), nothing, nothing >= 0, query)


def logits(right, ways):
    """Of `right[c]` of the two queries of each way the own way is the largest."""
    rows = [[way if query < right[way] else (way + 1) % ways for query in range(2)] for way in range(ways)]
    return torch.nn.functional.one_hot(torch.tensor(rows).reshape(1, -1), ways).float()


def test_the_gain_is_a_mean_over_classes_wherever_they_stand():
    episodes = [batch([4, 7]), batch([7, 4])]
    after = [logits([2, 1], 2), logits([1, 2], 2)]
    before = [logits([0, 1], 2), logits([1, 0], 2)]
    gain = ClassGain.of(after, before, episodes)
    assert (gain.mean, gain.n_classes) == (0.5, 2)  # class 4 gains two of two, class 7 nothing
    assert gain.standard_error == pytest.approx(0.5)
    assert str(gain) == "+50.0 points, standard error 50.0 over 2 classes"


@pytest.mark.parametrize(
    ("mean", "n_classes", "is_sure"),
    [(0.02, 25, True), (0.009, 25, False), (0.02, 9, False), (0.024, 9, True), (0.5, 1, False), (-0.05, 25, False)],
)
def test_few_classes_have_to_say_more(mean, n_classes, is_sure):
    assert ClassGain(mean, 0.01, n_classes).is_sure is is_sure


def test_one_class_has_no_standard_error():
    gain = ClassGain.of(
        [logits([2, 2], 2)[:, :2]],
        [logits([0, 0], 2)[:, :2]],
        [
            EpisodeBatch(
                torch.tensor([[3]]),
                torch.zeros(1, 1, 1, dtype=torch.long),
                torch.ones(1, 1, 1, dtype=torch.bool),
                torch.zeros(1, 1, 2, dtype=torch.long),
            )
        ],
    )
    assert gain.standard_error == float("inf")
    assert not gain.is_sure
