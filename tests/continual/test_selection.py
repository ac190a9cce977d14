import torch

from fewshot.continual.selection import k_center


def test_the_first_is_in_the_middle_and_the_next_one_farthest_away():
    features = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])
    classes = torch.zeros(5, dtype=torch.long)
    assert k_center(features, classes, 1).tolist() == [3]  # the mean is 3.2
    assert k_center(features, classes, 2).tolist() == [3, 4]
    assert k_center(features, classes, 3).tolist() == [0, 3, 4]


def test_each_class_keeps_its_own_and_small_ones_all():
    features = torch.tensor([[0.0], [5.0], [0.1], [5.1], [0.2]])
    classes = torch.tensor([0, 1, 0, 1, 0])
    assert k_center(features, classes, 2).tolist() == [0, 1, 2, 3]
    assert k_center(features, classes, 9).tolist() == [0, 1, 2, 3, 4]
    assert k_center(features[:0], classes[:0], 2).tolist() == []
