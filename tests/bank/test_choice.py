"""An adapter is chosen where texts that are left out say so, and the published encoder stays otherwise."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from fewshot.bank import AdapterCard, AdapterChoice, StoredAdapter
from fewshot.bank.choice import left_out_likelihoods
from fewshot.classifier import FewShotClassifier
from fewshot.encoders import SentenceTransformerEncoder
from fewshot.episodes.labelled import LabelledTexts
from fewshot.errors import EncoderError
from fewshot.evaluation import fit_temperature
from fewshot.features import TaskFeatures
from fewshot.learners import Centroid
from fewshot.meta_model import MetaModel
from fewshot.tasks.task import text_digests
from tests.bank.test_stored_adapter import SEEN, encoder, trained  # noqa: F401  (fixtures)
from tests.encoders.test_trainable import TEXTS

SIX = [*TEXTS, "one more text", "and a sixth"]
SUPPORT = LabelledTexts.of(SIX, ["a", "a", "a", "b", "b", "b"], {"a": "first", "b": "second"})


def fake(monkeypatch, features):
    """Features of texts that go by the adapter and its strength, or None."""

    def encode(self, texts, adapters):
        parts = {own: [text for text, other in zip(texts, adapters, strict=True) if other == own] for own in adapters}
        return torch.cat([features(own, part) for own, part in parts.items()])

    monkeypatch.setattr("fewshot.bank.bank.Bank.encode", encode)


def test_likelihoods_are_those_of_prototypes_fitted_without_the_text():
    generator = torch.Generator().manual_seed(0)
    features, classes = torch.randn(7, 5, generator=generator), torch.tensor([0, 0, 1, 1, 2, 0, 1])
    found = left_out_likelihoods(features, classes, 5)
    logits, own = [], []
    for place in (0, 1, 2, 3):  # the text of class 2 is all that this class has
        kept = torch.arange(7) != place
        support = LabelledTexts([str(n) for n in range(6)], classes[kept], ("a", "b", "c"))
        adapted = Centroid(5).adapt(support_of(normalize(features, dim=-1)[kept], support))
        logits.append(adapted.logits(normalize(features[place], dim=0)[None, None])[0, 0])
        own.append(classes[place])
    logits, own = torch.stack(logits), torch.stack(own)
    temperature = fit_temperature(logits[None], own[None], label_smoothing=1 / 6)
    expected = (logits.double() / temperature).log_softmax(-1)[range(4), own]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def support_of(features, support):
    return TaskFeatures(features).support(support.episode())


@pytest.mark.parametrize(("apart", "name"), [(4.0, "mails"), (0.0, None)])
def test_the_best_strength_is_taken_where_its_gain_is_sure(monkeypatch, encoder, trained, apart, name):  # noqa: F811
    adapter = StoredAdapter(AdapterCard("mails"), trained.trained_weights())

    def features(own, texts):
        generator = torch.Generator().manual_seed(1)
        rows = torch.randn(len(texts), 4, generator=generator)
        signs = torch.tensor([1.0 if place in (0, 1, 2, 6) else -1.0 for place in range(len(texts))])
        rows[:, 0] += signs * (apart if own == ("mails", 0.5) else 0.0)
        return rows

    fake(monkeypatch, features)
    chosen = AdapterChoice(encoder, {"mails": adapter}).choose(SUPPORT)
    assert (chosen.name, chosen.n_texts) == (name, 6)
    assert chosen.strength == (0.5 if name else 0.0)
    assert (chosen.encoder.trained is None) == (name is None)
    assert (chosen.gain > 2 * chosen.standard_error) == (name is not None)
    assert chosen.sentence.startswith("Adapter mails at strength 0.5" if name else "No adapter is surely better")


def test_an_adapter_that_has_seen_the_texts_is_no_candidate_and_one_of_another_model_an_error(encoder, trained, caplog):  # noqa: F811
    caplog.set_level("INFO")
    weights = trained.trained_weights()
    seen = StoredAdapter(AdapterCard("seen"), replace(weights, seen={**SEEN, "digests": sorted(text_digests(SIX[:1]))}))
    chosen = AdapterChoice(encoder, {"seen": seen}).choose(SUPPORT)
    assert (chosen.name, chosen.n_texts, math.isnan(chosen.standard_error)) == (None, 6, True)
    assert chosen.sentence.startswith("There is no adapter to choose from")
    other = StoredAdapter(AdapterCard("other"), replace(weights, base="another"))
    with pytest.raises(EncoderError, match="belong to"):
        AdapterChoice(encoder, {"other": other}).choose(SUPPORT)
    assert caplog.messages == ["The adapter seen was trained on 1 of these texts, so it is left out."]


def test_too_few_texts_leave_the_encoder_as_it_is(encoder, trained):  # noqa: F811
    adapter = StoredAdapter(AdapterCard("mails"), trained.trained_weights())
    few = LabelledTexts.of(TEXTS[:4], list("aabc"), None)  # two of them are all that their classes have
    chosen = AdapterChoice(encoder, {"mails": adapter}).choose(few)
    assert (chosen.name, chosen.n_texts) == (None, 2)
    assert "Too few texts" in chosen.sentence


def test_what_is_handed_over_goes_by_the_chosen_encoder(encoder, trained):  # noqa: F811
    adapter = StoredAdapter(AdapterCard("mails"), trained.trained_weights())

    class Always(AdapterChoice):
        def choose(self, support):
            chosen = super().choose(support)
            weights = adapter.at_strength(0.5)
            return type(chosen)(encoder.with_trained(weights), "mails", 0.5, 1.0, 0.1, 6)

    learner = Centroid(encoder.encode(["a"]).shape[1])
    model = MetaModel(encoder, learner, adapters=Always(encoder, {"mails": adapter}))
    fitted = model.adapt_to(SUPPORT)
    plain = MetaModel(encoder.with_trained(adapter.at_strength(0.5)), learner).adapt_to(SUPPORT)
    assert torch.equal(fitted.logits(TEXTS), plain.logits(TEXTS))
    assert fitted.details["adapter"]["name"] == "mails"


def test_an_accuracy_on_texts_that_the_encoder_has_seen_is_called_too_good(encoder, trained, caplog):  # noqa: F811
    weights = replace(trained.trained_weights(), seen={**SEEN, "digests": sorted(text_digests(SIX[:2]))})
    classifier = FewShotClassifier(encoder=encoder.with_trained(weights), stage="prototypes")
    classifier.fit(SIX, ["x", "x", "x", "y", "y", "y"])
    assert caplog.messages[0].startswith("The encoder was trained on 2 of these 6 texts")


def test_the_model_is_loaded_once_to_choose(encoder, trained, monkeypatch):  # noqa: F811
    loads, load = [], type(encoder)._load
    monkeypatch.setattr(type(encoder), "_load", lambda *given: loads.append(given) or load(*given))
    adapters = {name: StoredAdapter(AdapterCard(name), trained.trained_weights()) for name in ("mails", "same")}
    fresh = encoder.replace()
    chosen = AdapterChoice(fresh, adapters).choose(SUPPORT)
    assert chosen.n_texts == 6
    assert math.isfinite(chosen.gain)
    assert (len(loads), fresh.n_encoded) == (1, 8)


def test_a_choice_reads_long_texts_as_asked():
    classifier = FewShotClassifier(encoder=SentenceTransformerEncoder(cache=None), long_texts="chunk")
    fitted = classifier.fit(["a card", "my card", "a loan", "my loan"], ["card", "card", "loan", "loan"]).model_
    assert "adapter" in fitted.details
    assert fitted.long_texts == "chunk"
