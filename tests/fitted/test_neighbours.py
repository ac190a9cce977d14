"""The nearest of many vectors, one by one and by an index."""

import logging
import sys

import pytest
import torch
from torch.nn.functional import normalize

from fewshot.fitted import attribution, neighbours
from fewshot.fitted.neighbours import Neighbours
from tests.fitted.test_explanation import TEXT, classifier
from tests.synthetic import seeded

DIM = 12
# Around means, as texts are.
MEANS = torch.randn(60, DIM, generator=seeded(1))
ROWS = MEANS.repeat(50, 1) + 0.4 * torch.randn(3000, DIM, generator=seeded(2))
QUERIES = normalize(MEANS[:40] + 0.4 * torch.randn(40, DIM, generator=seeded(3)), dim=1)


def unit(rows):
    return normalize(rows, dim=1)


def expected(query, k):
    return (unit(ROWS) @ query).topk(k).indices


@pytest.mark.parametrize("chunk", [7, 5000])
def test_few_vectors_are_compared_one_by_one(monkeypatch, chunk):
    monkeypatch.setattr(neighbours, "_CHUNK", chunk)
    found = Neighbours(ROWS, unit)
    for query in QUERIES[:5]:
        assert torch.equal(found.nearest(query, 10), expected(query, 10))
    assert len(Neighbours(ROWS[:4], unit).nearest(QUERIES[0], 10)) == 4


def test_an_index_finds_nearly_all_and_compares_what_it_finds_exactly(monkeypatch):
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    found = Neighbours(ROWS, unit)
    hits = 0
    for query in QUERIES:
        places = found.nearest(query, 10)
        cosines = unit(ROWS[places]) @ query
        assert len(set(places.tolist())) == 10
        assert torch.equal(cosines.sort(descending=True).values, cosines)
        hits += len({*places.tolist()} & {*expected(query, 10).tolist()})
    assert hits >= 0.97 * 10 * len(QUERIES)


def test_without_the_index_all_are_compared_and_a_line_names_the_extra(monkeypatch, caplog):
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    monkeypatch.setitem(sys.modules, "faiss", None)
    found = Neighbours(ROWS, unit)
    with caplog.at_level(logging.WARNING):
        places = [found.nearest(query, 10) for query in QUERIES[:3]]
    assert all(torch.equal(own, expected(query, 10)) for own, query in zip(places, QUERIES, strict=False))
    assert [record.getMessage() for record in caplog.records] == [
        "3,000 vectors are compared one by one; pip install 'fewshot-text[index]' looks them up."
    ]


@pytest.mark.parametrize("name", ["centroid", "prototypical", "attention_prototypical", "maml"])
def test_of_much_evidence_the_nearest_has_the_weights_that_it_has_among_all(monkeypatch, name):
    everything = classifier(name).explain(TEXT)
    monkeypatch.setattr(attribution, "EXACT", 5)
    monkeypatch.setattr(attribution, "LISTED", 6)
    few = classifier(name).explain(TEXT)
    weights = {(one.text, one.label): one for one in everything.contributions}
    assert 0 < len(few.contributions) < len(weights)
    for one in few.contributions:
        same = weights[one.text, one.label]
        assert one.weight == pytest.approx(same.weight, abs=1e-5)
        assert (one.cosine, one.is_label_name) == (pytest.approx(same.cosine, abs=1e-6), same.is_label_name)
    assert sum(one.weight for one in few.contributions) + few.rest == pytest.approx(few.logit, abs=1e-4)
    nearest = max(everything.contributions, key=lambda one: one.cosine)
    if name in ("centroid", "prototypical"):
        assert max(few.contributions, key=lambda one: one.cosine).text == nearest.text
