"""What models say of the texts of a batch; each distinct encoder runs once for all its models."""

from collections import defaultdict
from collections.abc import Callable, Sequence
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
    """Answers for the texts of each part; each encoder and each classifier runs once."""
    answers: list[list[Answer]] = [[] for _ in parts]
    for together in _grouped(parts, _encoding).values():
        texts = [text for place in together for text in parts[place].texts]
        rows = np.split(np.arange(len(texts)), np.cumsum([len(parts[place].texts) for place in together])[:-1])
        rows_of = dict(zip(together, rows, strict=True))
        features = _features([parts[place] for place in together], texts)
        for places in _grouped(parts, lambda query: id(query.model), together).values():
            own = np.concatenate([rows_of[place] for place in places])
            said = _said(parts[places[0]].item.model.classifier, [texts[row] for row in own], features, own)
            start = 0
            for place in places:
                end = start + len(parts[place].texts)
                answers[place] = _answers(parts[place], said, slice(start, end))
                start = end
    return answers


@dataclass(frozen=True)
class _Said:
    """What a classifier says of some texts, with their unit features."""

    predictions: "Sequence[Prediction]"
    probabilities: np.ndarray
    order: np.ndarray
    features: Any


def _grouped(
    parts: Sequence[Part[Query]], key: Callable[[Query], Any], places: Sequence[int] | None = None
) -> dict[Any, list[int]]:
    """Places of the parts whose queries have the same key."""
    groups = defaultdict(list)
    for place in range(len(parts)) if places is None else places:
        groups[key(parts[place].item)].append(place)
    return groups


def _encoding(query: Query) -> Any:
    """The same for queries whose texts can be encoded together."""
    model = query.model
    if model.family is None:
        return id(model.classifier)
    shared = model.classifier.encoder if model.family.model is None else model.family.model
    return id(shared), model.classifier.mask_personal_data


def _features(parts: Sequence[Part[Query]], texts: Sequence[str]) -> Any:
    """Unit features `[n_texts, dim]`; None of an exported model, and where the best piece of each text counts."""
    first = parts[0].item.model
    if first.family is None or first.classifier.long_texts == "chunk_max":
        return None
    return first.family.features([part.item.model.classifier for part in parts for _ in part.texts], texts)


def _said(classifier: Any, texts: Sequence[str], features: Any, rows: np.ndarray) -> _Said:
    own = None if features is None else features[rows]
    said = classifier.predictions(texts) if own is None else classifier.predictions_from(own)
    order = np.argsort(-said.probabilities, axis=1, kind="stable")
    return _Said(list(said), said.probabilities, order, own)


def _answers(part: Part[Query], said: _Said, rows: slice) -> list[Answer]:
    query = part.item
    order = said.order[rows, : query.top]
    best = np.take_along_axis(said.probabilities[rows], order, axis=1)
    labels = query.model.classifier.labels
    features = None if said.features is None else said.features[rows]
    answers = []
    for place, (prediction, numbers, values) in enumerate(
        zip(said.predictions[rows], order.tolist(), best.tolist(), strict=True)
    ):
        named = [(labels[number], value) for number, value in zip(numbers, values, strict=True)]
        own = None if features is None else features[place : place + 1]
        explanation = _explanation(query.model.classifier, part.texts[place], own) if query.explained else None
        answers.append(Answer(prediction, named, explanation, None if own is None else np.asarray(own)[0]))
    return answers


def _explanation(classifier: Any, text: str, features: Any) -> "Explanation":
    explanation: Explanation = (
        classifier.explain(text) if features is None else classifier.explanation_from(features, text)
    )
    return explanation
