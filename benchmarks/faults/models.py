"""One model of each kind that can be saved: each learner, each stage of the ladder, each encoder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.materials import TOPICS, texts_of, tiny_encoder

SUPPORT = [(text, topic) for topic in list(TOPICS)[:4] for text in texts_of(topic, 6)]
QUERIES = ["a heart attack", "loan account", "the child has a cough", "one two three", ""]
NAMES = dict(list(TOPICS.items())[:4])


@dataclass(frozen=True)
class SavedModel:
    """A model, and what is saved of it.

    Args:
        name: in words.
        make: gives a `TextClassifier`, or a `MetaModel`.
    """

    name: str
    make: Callable[[Path], Any]


def saved_models() -> Iterator[SavedModel]:
    """All of them; what a new room can save joins here."""
    from fewshot.learners import LEARNERS

    for name in LEARNERS:
        yield SavedModel(f"learner {name}", partial(_learner, name))
        yield SavedModel(f"classifier {name}", partial(_classifier, name))
    yield SavedModel("stage zero_shot", _zero_shot)
    yield SavedModel("stage attention with new texts", _with_new_texts)
    yield SavedModel("stage head", _head)
    for stage in ("light", "lora", "adapter", "full"):
        yield SavedModel(f"stage {stage}", partial(_tuned, _tiny, stage))
        yield SavedModel(f"estimator {stage}", partial(_estimator, stage))
    yield SavedModel("estimator with rejection", partial(_estimator, "auto", reject=0.1))
    yield SavedModel("estimator with several labels", _several)
    yield SavedModel("estimator that learnt on", _learnt)
    yield SavedModel("some layers in 8 bits", _in_8_bits)
    yield SavedModel("through the encoder", _encoder_maml)
    yield SavedModel("encoder static", partial(_prototypical, _static))
    yield SavedModel("static student", _distilled)
    for name, make in encoders():
        yield SavedModel(f"encoder {name}", partial(_prototypical, make))
        yield SavedModel(f"encoder {name}, LoRA", partial(_tuned, make, "lora"))


def encoders() -> Iterator[tuple[str, Callable[[Path], Any]]]:
    """Encoders that need no download."""
    from tests.tiny_models import ARCHITECTURES

    yield "bundled MiniLM", _minilm
    yield "bundled DeepSeek", _deepseek
    for name in ARCHITECTURES:
        yield f"tiny {name}", partial(_transformer, name)


def _minilm(folder: Path) -> Any:
    from fewshot import SentenceTransformerEncoder

    return SentenceTransformerEncoder(cache=None)


def _deepseek(folder: Path) -> Any:
    from fewshot import TransformerEncoder

    return TransformerEncoder("bundled/deepseek-small", attention="bidirectional", cache=None)


def _static(folder: Path) -> Any:
    from fewshot.encoders import StaticEncoder

    return StaticEncoder()


def _distilled(folder: Path) -> Any:
    from fewshot.distill import ImitationSettings, StaticStudent, distill

    texts = [text for topic in TOPICS for text in texts_of(topic, 20)]
    quick = StaticStudent(training=ImitationSettings(steps=20, evaluate_every=10))
    return distill(_prototypical(_tiny, folder), texts, quick)


def _tiny(folder: Path) -> Any:
    from fewshot import SentenceTransformerEncoder

    return SentenceTransformerEncoder(str(tiny_encoder(folder / "tiny")), cache=None)


def _transformer(architecture: str, folder: Path) -> Any:
    from fewshot import TransformerEncoder
    from tests.tiny_models import save_transformer

    path = folder / architecture
    model = str(path if path.is_dir() else save_transformer(architecture, path))
    return TransformerEncoder(model, dtype="float32", cache=None)


def _meta_model(encoder: Any, name: str) -> Any:
    """With weights that differ from those of a new learner."""
    from fewshot import MetaModel
    from fewshot.learners import LEARNERS

    return MetaModel(encoder, _changed(LEARNERS[name](encoder.encode(["a"]).shape[1])))


def _changed(module: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return module


def _adapted(model: Any, label_names: Any = None) -> Any:
    texts, labels = zip(*SUPPORT, strict=True)
    return model.adapt(texts, labels, label_names)


def _learner(name: str, folder: Path) -> Any:
    return _meta_model(_tiny(folder), name)


def _classifier(name: str, folder: Path) -> Any:
    return _adapted(_meta_model(_tiny(folder), name), NAMES)


def _prototypical(make: Callable[[Path], Any], folder: Path) -> Any:
    return _adapted(_meta_model(make(folder), "prototypical"))


def _learnt(folder: Path) -> Any:
    from fewshot import FewShotClassifier

    texts, labels = zip(*SUPPORT, strict=True)
    topic = list(TOPICS)[4]
    classifier = FewShotClassifier(encoder=_tiny(folder)).fit(texts, labels)
    return classifier.learn_on(texts_of(topic, 6), [topic] * 6).model_


def _zero_shot(folder: Path) -> Any:
    return _meta_model(_tiny(folder), "attention_prototypical").adapt([], [], NAMES)


def _with_new_texts(folder: Path) -> Any:
    from fewshot.augment import SemanticAugmentation
    from fewshot.augment.augmenter import SupportAugmentation
    from tests.augment.sources import Prefixes

    settings = SemanticAugmentation(sources={"prefixes": Prefixes(("a", "the"))}, lowest_cosine=0.0, margin=-2.0)
    model = _meta_model(_tiny(folder), "attention_prototypical")
    return _adapted(replace(model, augmentation=SupportAugmentation(settings)))


def _head(folder: Path) -> Any:
    from fewshot.adaptation import HeadTuner
    from fewshot.episodes.labelled import LabelledTexts

    texts, labels = zip(*SUPPORT, strict=True)
    return HeadTuner(folds=2, margin=0.0).fit(_tiny(folder), LabelledTexts.of(texts, labels))


def _tuned(make: Callable[[Path], Any], stage: str, folder: Path) -> Any:
    """On an encoder with trained weights of the kind of a stage."""
    from fewshot.adaptation.final_stage import default_tuners
    from fewshot.encoders import TrainableEncoder

    tuner: Any = default_tuners()[stage]
    trained = TrainableEncoder(make(folder), tuner.trainable, torch.Generator().manual_seed(0))
    model = _adapted(_meta_model(_changed(trained).merged(), "centroid"))
    assert model.encoder.trained is not None
    return model


def _in_8_bits(folder: Path) -> Any:
    """As a student is saved."""
    encoder = _tuned(lambda home: _tiny(home).replace(layers=[1]), "full", folder).encoder
    return _adapted(_meta_model(encoder.with_trained(encoder.trained.rounded(torch.int8)), "centroid"))


def _estimator(stage: str, folder: Path, **settings: Any) -> Any:
    from fewshot import FewShotClassifier

    texts, labels = zip(*SUPPORT, strict=True)
    return FewShotClassifier(encoder=_tiny(folder), stage=stage, **settings).fit(list(texts), list(labels)).model_


def _several(folder: Path) -> Any:
    from fewshot import FewShotClassifier

    pairs = list(zip(SUPPORT, SUPPORT[6:] + SUPPORT[:6], strict=True))
    texts = [f"{first} and {second}" for (first, _), (second, _) in pairs]
    labels = [f"{first}|{second}" for (_, first), (_, second) in pairs]
    return FewShotClassifier(encoder=_tiny(folder), multi_label=True).fit(texts, labels).model_


def _encoder_maml(folder: Path) -> Any:
    from fewshot import MAML, MetaModel
    from fewshot.encoders import LoRA
    from fewshot.learners.maml.encoder_maml import EncoderMAML

    encoder = _transformer("bert", folder)
    return MetaModel(encoder, _changed(EncoderMAML(encoder, LoRA(rank=2), MAML(32, inner_steps=2).settings, 0)))
