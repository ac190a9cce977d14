"""Word pieces behind one another, and the vectors that a student trains."""

import pytest
import torch

from fewshot.distill.static import FlatIds, PieceTable
from fewshot.encoders.static import PieceVectors

ROWS = [[3, 5, 5], [], [5, 3, 5], [3], [3, 5]]


@pytest.fixture
def start():
    draw = torch.Generator().manual_seed(0)
    empty = torch.zeros(0, 2, dtype=torch.int16), torch.zeros(0, 4)
    return PieceVectors(
        torch.randn(9, 4, generator=draw), *empty, torch.randn(4, 6, generator=draw), torch.randn(6, generator=draw)
    )


def test_frequent_pairs_stand_within_a_text_and_in_order():
    ids = FlatIds.of(ROWS)
    assert ids.frequent_pairs(1, 10).tolist() == [[3, 5], [5, 3], [5, 5]]
    assert ids.frequent_pairs(2, 10).tolist() == [[3, 5]]  # thrice; [5, 3] stands across texts, too, and once in one
    assert ids.frequent_pairs(1, 1).tolist() == [[3, 5]]
    assert ids.first(1).frequent_pairs(1, 10).tolist() == [[3, 5], [5, 5]]
    assert FlatIds.of([[4, 0, 4, 0]]).frequent_pairs(1, 10).tolist() == []
    assert FlatIds.of([[], []]).frequent_pairs(1, 10).tolist() == []


def test_the_table_gives_what_the_encoder_will_give(start):
    ids = FlatIds.of(ROWS)
    table = PieceTable(start, ids, ids.frequent_pairs(1, 10))
    torch.nn.init.normal_(table.pair_rows)
    torch.nn.init.normal_(table.rows)
    weights = table.weights(start)
    assert weights["vectors"][4].equal(start.vectors[4])  # no text uses it
    whole = PieceVectors.of(weights)
    for places in ([0, 1, 2, 3, 4], [4, 1], [1]):
        features = torch.nn.functional.normalize(table(torch.tensor(places)), dim=-1)
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ROWS[p] or [0]) for p in places], batch_first=True)
        torch.testing.assert_close(whole(padded), features)


def test_the_map_starts_from_least_squares(start):
    draw = torch.Generator().manual_seed(1)
    rows = [torch.randint(1, 9, (5,), generator=draw).tolist() for _ in range(400)]
    ids = FlatIds.of(rows)
    table = PieceTable(start, ids, torch.zeros(0, 2, dtype=torch.long))
    with torch.no_grad():
        sums = table.sums(torch.arange(400))
        truth = torch.randn(4, 6, generator=draw), torch.randn(6, generator=draw)
        targets = (sums @ truth[0] + truth[1]) / sums.norm(dim=1, keepdim=True)
    table.fit_map(targets)
    torch.testing.assert_close(table.map.detach(), truth[0], atol=0.1, rtol=0.05)
    torch.testing.assert_close(table.shift.detach(), truth[1], atol=0.1, rtol=0.05)
