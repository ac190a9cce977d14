"""A task that a random encoder can be meta-trained for: the first word of a text is its class, the rest is noise."""

import torch

from fewshot.tasks import Task
from tests.synthetic import seeded
from tests.tiny_models import WORDS

_KEYS = list(dict.fromkeys(WORDS))[:22]
_FILLERS = list(dict.fromkeys(WORDS))[22:]


def first_word_task(per_class: int = 12) -> Task:
    """Classes 0-11 are train, 12-16 valid, 17-21 test."""
    generator = seeded(3)
    texts, labels = [], []
    for label, key in enumerate(_KEYS):
        for number in range(per_class):
            fillers = torch.randint(len(_FILLERS), (3,), generator=generator).tolist()
            texts.append(" ".join([key, *(_FILLERS[f] for f in fillers), "x" * (number + 1)]))
            labels.append(label)
    parts = {"train": tuple(range(12)), "valid": tuple(range(12, 17)), "test": tuple(range(17, 22))}
    classes = tuple(f"label{label:02d}" for label in range(len(_KEYS)))
    return Task("first_word", tuple(texts), torch.tensor(labels), classes, tuple(_KEYS), parts, "01")
