import pytest
import torch

from fewshot.encoders.texts import by_tokens
from fewshot.encoders.tokens import in_batches

LENGTHS = [3, 9, 4, 2, 9, 1, 30]


@pytest.mark.parametrize("budget", [1, 10, 18, 1000])
def test_every_text_once_longest_first_within_the_budget(budget):
    batches = by_tokens(LENGTHS, budget)
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(len(LENGTHS)))
    assert [LENGTHS[index] for index in order] == sorted(LENGTHS, reverse=True)
    assert all(len(batch) == 1 or len(batch) * max(LENGTHS[i] for i in batch) <= budget for batch in batches)


def test_batches_are_filled():
    assert by_tokens([5] * 7, budget=15) == [[0, 1, 2], [3, 4, 5], [6]]


def test_rows_come_back_in_the_order_of_the_texts_and_can_be_trained_on():
    def embed(indices):
        with torch.inference_mode():
            return torch.tensor([[LENGTHS[i], i] for i in indices], dtype=torch.bfloat16)

    features = in_batches(LENGTHS, 10, embed)
    assert features.dtype == torch.float32
    assert features.tolist() == [[length, i] for i, length in enumerate(LENGTHS)]
    weight = torch.ones(2, requires_grad=True)
    (features @ weight).sum().backward()  # features made in inference mode would be refused here
    assert weight.grad.tolist() == [sum(LENGTHS), sum(range(len(LENGTHS)))]
