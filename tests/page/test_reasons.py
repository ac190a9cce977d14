"""Reasons for wrong predictions."""

import pytest
import torch

from fewshot.adaptation.refit import out_of_fold
from fewshot.learners import LEARNERS
from fewshot.page.answers import Answers
from fewshot.page.reasons import by_closest, by_evidence, by_folds
from tests.fitted.test_explanation import DIM, SUPPORT, classifier

QUERIES = ["heart red tax", "loan green card", "green red"]


@pytest.mark.parametrize("name", LEARNERS)
def test_the_strongest_evidence_is_the_first_of_the_explanation(name):
    explained = classifier(name)
    features = explained.encoder.encode(QUERIES)
    features = features / features.norm(dim=1, keepdim=True)
    everything, numbers = SUPPORT.with_names_as_texts(), [0, 1, 0]
    with torch.no_grad():
        found = explained.evidence.attribution(explained.classifier).strongest(features, numbers)
    said = by_evidence(explained.classifier, explained.evidence, features, numbers)
    for text, number, (place, added), sentence in zip(QUERIES, numbers, found, said, strict=True):
        best = explained.explain(text, explained.labels[number]).contributions[0]
        assert added == pytest.approx(best.weight, abs=1e-4)
        assert everything.texts[place] == best.text
        assert sentence.startswith(f"{added:+.2f} from the ")
        assert sentence.endswith(f"“{best.text}”")


def test_a_text_that_is_rejected_has_no_reason():
    explained = classifier("centroid")
    features = explained.encoder.encode(QUERIES[:1])
    assert by_evidence(explained.classifier, explained.evidence, features, [len(SUPPORT.labels)]) == [""]


def test_a_text_that_was_held_out_does_not_decide_on_itself():
    explained = classifier("centroid")
    held = out_of_fold(explained, 0)
    taken = (held.classes + 1) % 3  # as if all were wrong
    answers = Answers(SUPPORT.labels, SUPPORT.texts, held.places, held.classes, taken, torch.rand(len(taken)))
    said = by_folds(explained.evidence, held, answers)
    assert len(said) == len(SUPPORT.texts)
    for one, sentence in zip(answers.wrong(), said, strict=True):
        assert f"“{one.text}”" not in sentence
        assert f"text of {one.predicted} “" in sentence or "label name" in sentence


def test_the_closest_text_is_of_the_label_that_is_given_and_is_another_text():
    texts = ["a", "b", "b", "c"]
    rows = torch.eye(DIM)[[0, 1, 1, 2]]
    rows[3] = torch.nn.functional.normalize(rows[1] + 0.5 * rows[3], dim=0)
    wrong = Answers(("x", "y"), texts, torch.tensor([1]), torch.tensor([0]), torch.tensor([1]), torch.tensor([0.9]))
    assert by_closest(wrong, rows, rows, torch.tensor([0, 1, 1, 1]), texts) == ["cosine 0.89 to the text “c”"]
    assert by_closest(wrong, rows, rows, torch.tensor([0, 1, 1, 0]), texts) == [""]  # itself, under a second label
