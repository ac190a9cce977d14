"""A task on which an encoder can be tuned in a second: one word tells the class, the others are noise."""

import pytest
import torch

from fewshot.adaptation import FineTuner, HeadTuner
from fewshot.encoders import Adapter, Full, LoRA, TransformerEncoder
from fewshot.episodes import LabelledTexts
from fewshot.randomness import child_generator
from tests.tiny_models import save_transformer

COLOURS = ("red", "green", "blue")
NOISE = ("heart", "attack", "loan", "card", "pain", "tax")
KINDS = {"lora": LoRA, "adapter": Adapter, "full": Full}
RATES = {"lora": 3e-2, "adapter": 5e-2, "full": 1e-3}
QUICK = {
    "epochs": 12.0,
    "max_evaluations": 4,
    "batch": 24,
    "head_learning_rate": 5e-3,
    "precision": "float32",
    "patience": 9,
}


def coloured(per_class: int, seed: int = 0, colours=COLOURS) -> tuple[list[str], list[str]]:
    """Texts of four words of noise with the class's colour somewhere among them, and their labels."""
    generator = child_generator(seed, "texts")
    texts, labels = [], []
    for _ in range(per_class):
        for colour in colours:
            words = [NOISE[index] for index in torch.randint(len(NOISE), (4,), generator=generator).tolist()]
            words.insert(int(torch.randint(5, (), generator=generator)), colour)
            texts.append(" ".join(words))
            labels.append(colour)
    return texts, labels


def support_of(per_class: int, seed: int = 0, names: bool = True, colours=COLOURS) -> LabelledTexts:
    texts, labels = coloured(per_class, seed, colours)
    return LabelledTexts.of(texts, labels, {colour: colour for colour in colours} if names else None)


def accuracy(classifier, per_class: int = 40) -> float:
    texts, labels = coloured(per_class, seed=99)
    return sum(a == b for a, b in zip(classifier.predict(texts), labels, strict=True)) / len(labels)


HEADS = HeadTuner(l2_to_prototypes=(0.1,), folds=2, iterations=15)


def quick(kind="lora", **settings) -> FineTuner:
    """Settings that tune the tiny encoder in a second or two."""
    own = {"trainable": KINDS[kind](encoder_dropout=0.0), "learning_rate": RATES[kind], "checkpoint_seconds": None}
    return FineTuner(**own | QUICK | settings)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of a tiny random BERT."""
    return save_transformer("bert", tmp_path_factory.mktemp("adaptation") / "bert")


@pytest.fixture(scope="session")
def encoder(tiny):
    return TransformerEncoder(str(tiny), dtype="float32", cache=None)


@pytest.fixture(scope="session")
def adapted(encoder):
    """Stage → a classifier that ended there."""
    models = {kind: quick(kind).fit(encoder, support_of(30), head=HEADS) for kind in KINDS}
    head = HEADS.fit(encoder, support_of(30))
    return models | {"head": head, "prototypes": HEADS.fit(encoder, support_of(1))}
