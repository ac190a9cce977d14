"""Pages of fitted classifiers."""

import pytest

from fewshot import FewShotClassifier
from fewshot.page.of_classifier import NONE_OF_THESE, page_of_fit, page_of_table
from fewshot.page.render import render
from tests.adaptation.conftest import coloured
from tests.fakes import FakeEncoder

TEXTS, LABELS = coloured(8)
NEW, OWN = coloured(4, seed=7)


def fitted(labels=LABELS, texts=TEXTS, **settings):
    return FewShotClassifier(encoder=FakeEncoder(), **settings).fit(texts, labels)


def test_the_page_of_a_fit_counts_the_texts_that_were_held_out():
    classifier = fitted(reject=0.1)
    held = classifier.held_out_
    page = page_of_fit(classifier.model_, held, "mails.csv", "fewshot fit mails.csv -o m")
    assert page.rows[0].share == pytest.approx(float(held.right.double().mean()))
    assert sum(one.n for one in page.classes) == len(TEXTS)
    assert page.n_wrong == len(page.wrong) == int((~held.right).sum())
    assert page.rows[1].name == "always “blue”"
    assert page.rows[1].share == pytest.approx(1 / 3)
    (scores,) = page.scope.scores.values()
    assert len(scores) == len(TEXTS)
    assert page.scope.threshold == classifier.model_.rejection.threshold
    assert dict(page.configuration)["labels"] == "3"
    assert "fewshot fit mails.csv -o m" in render(page)


def test_the_page_of_a_table_counts_its_texts():
    model = fitted().model_
    page = page_of_table(model, [*NEW, TEXTS[0]], [[one] for one in [*OWN, LABELS[0]]], "new.csv", "")
    right = [said == own for said, own in zip(model.predict([*NEW, TEXTS[0]]), [*OWN, LABELS[0]], strict=True)]
    assert page.rows[0].share == pytest.approx(sum(right) / 13)
    assert page.n_wrong == 13 - sum(right)
    assert "1 of them are among those that it was fitted on" in page.summary
    for listed in page.wrong:
        best = model.explain(listed.wrong.text, listed.wrong.predicted).contributions[0]
        assert listed.reason.endswith(f"“{best.text}”")


def test_a_text_that_is_rejected_is_taken_for_none_of_these():
    model = fitted(reject=["pain pain", "zebra", "mountain river"]).model_
    texts, labels = [*NEW, "zebra zebra"], [*OWN, "red"]
    assert model.predict(texts)[-1] is None
    page = page_of_table(model, texts, [[one] for one in labels], "new.csv", "")
    reasons = {listed.wrong.text: listed.reason for listed in page.wrong if listed.wrong.predicted == NONE_OF_THESE}
    score = float(model.rejection.scores(model.embed(["zebra zebra"])))
    assert reasons["zebra zebra"] == f"score {score:.2f}, below {model.rejection.threshold:.2f}"
    assert page.scope is not None


@pytest.mark.parametrize("label", [True, 7])
def test_labels_that_are_no_words(label):
    labels = [label if one == "red" else type(label)(0) for one in LABELS]
    classifier = fitted(labels)
    page = page_of_fit(classifier.model_, classifier.held_out_, "texts", "")
    assert {one.label for one in page.classes} == {str(one) for one in classifier.model_.labels}


def test_several_labels_have_scores_of_each_label_and_the_sets_that_are_wrong():
    labels = [[one, "warm"] if one == "red" else [one] for one in LABELS]
    model = fitted(labels).model_
    asked = [[one, "warm"] if one == "red" else [one] for one in OWN]
    page = page_of_table(model, NEW, asked, "new.csv", "")
    right = sum(set(said) == set(own) for said, own in zip(model.predict(NEW), asked, strict=True))
    assert page.rows[0].share == pytest.approx(right / len(NEW))
    assert {one.label: one.n for one in page.classes}["warm"] == 4
    page = page_of_fit(model, None, "texts", "")
    assert page.measure == "micro-F1"
    assert page.rows[0].accuracy == f"{100 * model.details['out_of_fold']['micro_f1']:.1f}"
    assert "Labels" not in render(page)


def test_without_texts_nothing_is_known_and_that_is_said():
    classifier = FewShotClassifier(encoder=FakeEncoder(), label_names={"a": "red", "b": "blue"}).fit([], [])
    page = page_of_fit(classifier.model_, classifier.held_out_, "names", "")
    assert "nothing is known" in render(page)
