import pytest
import torch

from fewshot.adaptation import HeadTuner
from fewshot.adaptation.refit import out_of_fold
from fewshot.errors import ConfigError
from fewshot.learners import LEARNERS
from fewshot.meta_model import MetaModel
from tests.adaptation.conftest import support_of
from tests.fakes import FakeEncoder
from tests.synthetic import primed

DIM = 16
SUPPORT = support_of(6)
TEXT = "heart red tax"


def classifier(name, names=True, stage="prototypes"):
    model = MetaModel(FakeEncoder(DIM), primed(name, DIM)).with_stage(stage)
    support = SUPPORT if names else support_of(6, names=False)
    return model.with_evidence(model.adapt_to(support), support)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("name", LEARNERS)
def test_the_weights_of_the_evidence_add_up_to_the_score(name, names):
    explained = classifier(name, names)
    for label in ("red", "green", None):
        found = explained.explain(TEXT, label)
        number = explained.labels.index(found.label)
        assert found.logit == pytest.approx(float(explained.logits([TEXT])[0, number]), abs=1e-5)
        assert sum(one.weight for one in found.contributions) + found.rest == pytest.approx(found.logit, abs=1e-4)
        if name not in ("logistic", "maml"):  # whose scores are not sums over the evidence alone
            assert found.rest == pytest.approx(0, abs=1e-3)


def test_a_tuned_head_is_explained_by_the_same_texts():
    explained = classifier("centroid", stage="head")
    support = SUPPORT
    tuned = HeadTuner().fit(explained.encoder, support)
    assert {one.text for one in explained.explain(TEXT).contributions} == {*support.texts, *support.label_names}
    assert explained.explain(TEXT).rest == pytest.approx(0, abs=1e-3)
    assert tuned.labels == explained.labels


def test_the_text_itself_is_the_best_reason_for_its_label():
    explained = classifier("centroid", names=False)
    text, own = SUPPORT.texts[0], SUPPORT.labels[int(SUPPORT.classes[0])]
    best = explained.explain(text, own).contributions[0]
    assert (best.text, best.label, best.is_label_name) == (text, own, False)
    assert best.cosine == pytest.approx(1, abs=1e-5)


def test_it_is_shown_as_text_and_as_a_table():
    found = classifier("centroid").explain("<b>red</b> card")
    assert f"{found.label!r} with a probability of" in str(found)
    assert "everything else" in str(found)
    assert "<b>red" not in found._repr_html_().split("</p>")[0].replace(f"<b>{found.label}</b>", "")
    assert "(label name)" in found._repr_html_()


def test_an_unknown_label_is_refused():
    with pytest.raises(ConfigError, match="Got the label 'pink', expected one of 'blue', 'green', 'red'"):
        classifier("centroid").explain(TEXT, "pink")


def test_out_of_fold_each_text_is_scored_by_a_classifier_without_it():
    fitted = classifier("centroid", names=False)
    held = out_of_fold(fitted, seed=0)
    logits, classes = held.logits, held.classes
    assert torch.equal(classes, SUPPORT.classes[held.places])
    assert logits.shape == (len(SUPPORT.texts), 3)
    inside = fitted.logits(SUPPORT.texts).max(-1).values.mean()
    assert logits.gather(1, classes[:, None]).mean() < inside
    alone = MetaModel(fitted.encoder, primed("centroid", DIM))
    single = support_of(1)
    assert len(out_of_fold(alone.with_evidence(alone.adapt_to(single), single), 0).logits) == 0
    assert torch.equal(classes.sort().values, SUPPORT.classes.sort().values)
