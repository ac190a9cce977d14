"""`FewShotClassifier(mask_personal_data=True)`: nothing of the originals is encoded or kept."""

import pytest

from fewshot import FewShotClassifier
from fewshot.adaptation.refit import held_evidence
from fewshot.cli.app import main
from fewshot.encoders.cache import FeatureCache
from fewshot.housekeeping import mask_personal_data
from tests.adaptation.conftest import coloured
from tests.fakes import FakeEncoder
from tests.tiny_models import save_sentence_transformer

pytest.importorskip("presidio_analyzer")

TEXTS, LABELS = coloured(6)
MAIL = "red, write to anna@example.com"
MASKED = "red, write to <EMAIL>"


def encoded(encoder, cache, text):
    rows, missing = FeatureCache(cache, encoder._piece_fingerprint).lookup([text])
    return rows is not None and not missing


@pytest.mark.parametrize("labels", [[*LABELS, "red"], [*LABELS, "red|blue"]])
def test_only_masked_texts_are_encoded_and_kept(labels, tmp_path):
    encoder = FakeEncoder(32, cache=str(tmp_path))
    classifier = FewShotClassifier(encoder=encoder, mask_personal_data=True).fit([*TEXTS, MAIL], labels)
    assert MASKED in held_evidence(classifier.model_).support.texts
    assert encoded(encoder, tmp_path, MASKED)
    assert not encoded(encoder, tmp_path, MAIL)
    new = "blue, call +49 30 1234567"
    assert (classifier.predict_proba([new]) == classifier.predict_proba(["blue, call <PHONE>"])).all()
    assert "1234567" not in str(classifier.explain(new))
    assert not encoded(encoder, tmp_path, new)
    kept = classifier.partial_fit(["tax of bob@mail.org"], [labels[0] if labels[-1] == "red" else ("red",)])
    assert held_evidence(kept.model_).support.texts[-1] == "tax of <EMAIL>"


def test_texts_to_reject_are_masked_too(tmp_path):
    encoder = FakeEncoder(32, cache=str(tmp_path))
    others = [f"sun {number} of eve{number}@web.de" for number in range(20)]
    FewShotClassifier(encoder=encoder, mask_personal_data=True, reject=others).fit(TEXTS, LABELS)
    assert encoded(encoder, tmp_path, "sun 3 of <EMAIL>")
    assert not encoded(encoder, tmp_path, others[3])


def test_without_the_setting_texts_stay(tmp_path):
    classifier = FewShotClassifier(encoder=FakeEncoder(32)).fit([*TEXTS, MAIL], [*LABELS, "red"])
    assert classifier.model_.masked([MAIL]) == [MAIL]
    assert MAIL in held_evidence(classifier.model_).support.texts


def test_a_page_of_a_classifier_that_masks_has_masked_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder = str(save_sentence_transformer(tmp_path / "encoder"))
    rows = "".join(f"{text} anna@example.com,{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))
    (tmp_path / "mails.csv").write_text("text,label\n" + rows)
    assert main(["fit", "mails.csv", "-o", "m", "--encoder", encoder, "--mask-personal-data"]) == 0
    assert main(["evaluate", "mails.csv", "--model", "m", "-o", "p.html"]) == 0
    for path in (tmp_path / "p.html", *(tmp_path / "m").iterdir()):
        assert b"anna@" not in path.read_bytes(), path


@pytest.mark.parametrize("text", ["anna&#64;example.com", "anna@exam\u200bple.com", "anna\uff20example.com"])
def test_an_address_in_disguise_is_masked(text):
    assert mask_personal_data([f"write to {text}"])[0] == ["write to <EMAIL>"]
    assert mask_personal_data(["fish &amp; chips"])[0] == ["fish &amp; chips"]
