"""A tiny classifier, exported once for all tests of a file."""

from pathlib import Path

import pytest

from fewshot import SentenceTransformerEncoder, TextClassifier
from fewshot.adaptation.head import HeadTuner
from fewshot.episodes.labelled import LabelledTexts
from tests.tiny_models import save_sentence_transformer

TEXTS = {
    "medicine": ["heart attack", "acute pain in the chest", "fever cough of a child", "broken bone"],
    "bank": ["loan interest account", "card lost", "new card stolen", "tax form account"],
    "colour": ["red green blue", "old red", "new blue", "green one"],
}
# Of different lengths, one of them longer than the encoder reads, one without a word, one twice.
QUERIES = ["heart", "lost card account", "", "zzz", "blue and green " * 40, "fever without rash", "heart"]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformerEncoder:
    folder = save_sentence_transformer(tmp_path_factory.mktemp("tiny"))
    return SentenceTransformerEncoder(str(folder), dtype="float32", cache=None, max_length=24, shallow_layer=1)


@pytest.fixture(scope="session")
def support() -> LabelledTexts:
    pairs = [(text, label) for label, texts in TEXTS.items() for text in texts]
    return LabelledTexts.of(*zip(*pairs, strict=True))


@pytest.fixture(scope="session")
def classifier(encoder: SentenceTransformerEncoder, support: LabelledTexts) -> TextClassifier:
    from dataclasses import replace

    from fewshot.fitted.rejection import EmbeddedSupport, Rejection

    plain = HeadTuner().fit(encoder, support)
    rows = EmbeddedSupport(plain.embed(support.texts), support.classes, len(support.texts))
    scores = Rejection.without_threshold(rows)
    threshold = float(scores.scores(plain.embed(QUERIES)).median())
    return replace(plain, rejection=replace(scores, threshold=threshold), reject_label="none", temperature=1.5)


@pytest.fixture(scope="session")
def exported(classifier: TextClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    classifier.export(folder)
    return folder
