"""What models say of the texts of a batch; each distinct encoder runs once for all its models."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fewshot.serving.batcher import Part
from fewshot.serving.models import ServedModel

if TYPE_CHECKING:
    from fewshot.fitted.explanation import Explanation
    from fewshot.fitted.predictions import Prediction


@dataclass(frozen=True)
class Query:
    """What is asked of a model.

    Args:
        model: that answers.
        top: so many of the most probable labels are given with their probabilities; None gives all.
        explained: whether it is said what decided.
    """

    model: ServedModel
    top: int | None = 5
    explained: bool = False


@dataclass(frozen=True)
class Answer:
    """What a model says of one text.

    Args:
        prediction: its label and probability.
        probabilities: labels with their probabilities, the most probable one first.
        explanation: what decided, if it was asked for.
        features: unit features `[dim]`, from which all this was computed; None where pieces of the text were scored.
    """

    prediction: "Prediction"
    probabilities: Sequence[tuple[str | int, float]]
    explanation: "Explanation | None" = None
    features: np.ndarray | None = None


def scored(parts: Sequence[Part[Query]]) -> list[list[Answer]]:
    """Answers for the texts of each part."""
    answers: list[list[Answer]] = [[] for _ in parts]
    for places in _by_encoder(parts).values():
        features = _features([parts[place] for place in places])
        start = 0
        for place in places:
            part = parts[place]
            own = None if features is None else features[start : start + len(part.texts)]
            start += len(part.texts)
            answers[place] = _answers(part, own)
    return answers


def _by_encoder(parts: Sequence[Part[Query]]) -> dict[Any, list[int]]:
    """Places of the parts whose texts can be encoded together."""
    groups = defaultdict(list)
    for place, part in enumerate(parts):
        classifier = part.item.model.classifier
        groups[id(classifier.encoder), classifier.mask_personal_data].append(place)
    return groups


def _features(parts: Sequence[Part[Query]]) -> Any:
    """Unit features `[n_texts, dim]` of all texts; None where the best piece of each text counts."""
    classifier = parts[0].item.model.classifier
    if classifier.long_texts == "chunk_max":
        return None
    return classifier.features([text for part in parts for text in part.texts])


def _answers(part: Part[Query], features: Any) -> list[Answer]:
    query, texts = part.item, part.texts
    classifier = query.model.classifier
    said = classifier.predictions(texts) if features is None else classifier.predictions_from(features)
    probabilities = np.asarray(said.probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, : query.top]
    best = np.take_along_axis(probabilities, order, axis=1)
    answers = []
    for place, (prediction, numbers, values) in enumerate(zip(said, order.tolist(), best.tolist(), strict=True)):
        named = [(classifier.labels[number], value) for number, value in zip(numbers, values, strict=True)]
        explanation = None
        if query.explained and features is None:
            explanation = classifier.explain(texts[place])
        elif query.explained:
            explanation = classifier.explanation_from(features[place : place + 1], texts[place])
        answers.append(
            Answer(prediction, named, explanation, None if features is None else np.asarray(features[place]))
        )
    return answers
