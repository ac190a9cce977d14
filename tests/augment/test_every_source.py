"""What every source promises: new and distinct texts, which depend on the text and the seed alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot.augment import Adversarial, AugmentRequest
from fewshot.augment.back_translation import BackTranslation
from fewshot.augment.contextual import Contextual
from fewshot.augment.nlpaug_source import NlpaugSource
from fewshot.augment.source import Proposal, distinct
from fewshot.augment.synonym import Synonym
from fewshot.augment.syntax import Syntax
from fewshot.tasks.task import normalise
from tests.fakes import FakeEncoder

TEXTS = (
    "How do I withdraw money? I think there is a problem with my card.",
    "can you tell me why I was charged a fee for a lost card",
    "heart attack",
    "zzz",
)
DRAWN = ("synonym", "syntax", "contextual", "nlpaug")
SOURCES = (*DRAWN, "adversarial", "back_translation")


@pytest.fixture(scope="module")
def sources(masked_model, pair):
    word = pytest.importorskip("nlpaug.augmenter.word")
    made = (Synonym(), Syntax(), Contextual(masked_model), NlpaugSource(word.RandomWordAug(action="swap")))
    return {source.name: source for source in (*made, Adversarial(), BackTranslation(**pair))}


@pytest.fixture(scope="module")
def request_of_all():
    encoder = FakeEncoder(dim=32)
    return AugmentRequest(TEXTS, max_new=6, embed=lambda texts: encoder.encode(list(texts)))


@pytest.mark.parametrize("name", SOURCES)
def test_proposals_are_new_and_distinct_and_no_more_than_asked_for(sources, request_of_all, name):
    for max_new in (0, 1, 6):
        proposed = sources[name].propose(replace(request_of_all, max_new=max_new))
        for text, proposals in zip(TEXTS, proposed, strict=True):
            assert len(proposals) <= max_new
            assert len({"", normalise(text), *(normalise(one.text) for one in proposals)}) == len(proposals) + 2
    assert sources[name].propose(replace(request_of_all, texts=())) == []


@pytest.mark.parametrize("name", SOURCES)
def test_proposals_depend_on_the_text_and_the_seed_alone(sources, request_of_all, name, monkeypatch):
    source, texts = sources[name], request_of_all.texts
    states = np.random.get_state()[1].tolist(), torch.get_rng_state()  # `random` is beartype's, which draws from it
    together = source.propose(request_of_all)

    for module in ("contextual", "back_translation"):
        monkeypatch.setattr(f"fewshot.augment.{module}._TOKENS_PER_BATCH", 60)
    assert together == source.propose(replace(request_of_all, texts=texts[::-1]))[::-1]
    assert together == [source.propose(replace(request_of_all, texts=(text,)))[0] for text in texts]
    assert any(together)
    if name != "adversarial":  # its substitutions are drawn, and few
        assert (together != source.propose(replace(request_of_all, seed=1))) is (name in DRAWN)
    assert np.random.get_state()[1].tolist() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])


def test_distinct_proposals_are_the_first_of_each_text():
    made = (Proposal(text, str(place)) for place, text in enumerate(["A ", "b", " B", "", "c", "d"]))

    assert distinct("a", made, max_new=2) == [Proposal("b", "1"), Proposal("c", "4")]
