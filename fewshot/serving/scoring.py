"""The answers of models to the texts of a batch; each distinct encoder runs once for all its models."""

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
    """The query of a request.

    Args:
        model: the model that answers.
        top: number of labels that are given with their probabilities, the most probable ones; None gives all.
        explain: True adds an explanation.
    """

    model: ServedModel
    top: int | None = 5
    explain: bool = False


@dataclass(frozen=True)
class Answer:
    """The answer of a model to one text.

    Args:
        prediction: its label and probability.
        probabilities: labels with their probabilities, the most probable one first.
        explanation: the evidence, if the query asks for it.
        features: unit features `[dim]` of the text; None if pieces of the text were scored.
    """

    prediction: "Prediction"
    probabilities: Sequence[tuple[str | int, float]]
    explanation: "Explanation | None" = None
    features: np.ndarray | None = None


def score(parts: Sequence[Part[Query]]) -> list[list[Answer]]:
    """Answers for the texts of each part; each encoder and each classifier runs once."""
    answers: list[list[Answer]] = [[] for _ in parts]
    for of_encoder in _grouped(parts, _encoding).values():
        texts = [text for i in of_encoder for text in parts[i].texts]
        rows = np.split(np.arange(len(texts)), np.cumsum([len(parts[i].texts) for i in of_encoder])[:-1])
        rows_of = dict(zip(of_encoder, rows, strict=True))
        features = _features([parts[i] for i in of_encoder], texts)
        for of_model in _grouped(parts, lambda query: id(query.model), of_encoder).values():
            chosen = np.concatenate([rows_of[i] for i in of_model])
            classifier = parts[of_model[0]].item.model.classifier
            predictions = _predict(classifier, [texts[row] for row in chosen], features, chosen)
            start = 0
            for i in of_model:
                end = start + len(parts[i].texts)
                answers[i] = _answers(parts[i], predictions, slice(start, end))
                start = end
    return answers


@dataclass(frozen=True)
class _Predictions:
    """The predictions of a classifier for some texts, with their unit features."""

    predictions: "Sequence[Prediction]"
    probabilities: np.ndarray
    order: np.ndarray
    features: Any


def _grouped(
    parts: Sequence[Part[Query]], key: Callable[[Query], Any], indices: Sequence[int] | None = None
) -> dict[Any, list[int]]:
    """Indices of the parts, grouped by the key of their queries."""
    groups = defaultdict(list)
    for i in range(len(parts)) if indices is None else indices:
        groups[key(parts[i].item)].append(i)
    return groups


def _encoding(query: Query) -> Any:
    """A key that is equal for queries whose texts can be encoded together."""
    model = query.model
    if model.family is None:
        return id(model.classifier)
    shared = model.classifier.encoder if model.family.model is None else model.family.model
    return id(shared), model.classifier.mask_personal_data


def _features(parts: Sequence[Part[Query]], texts: Sequence[str]) -> Any:
    """Unit features `[n_texts, dim]`; None for an exported model, and if the best piece of each text counts."""
    first = parts[0].item.model
    if first.family is None or first.classifier.long_texts == "chunk_max":
        return None
    return first.family.features([part.item.model.classifier for part in parts for _ in part.texts], texts)


def _predict(classifier: Any, texts: Sequence[str], features: Any, rows: np.ndarray) -> _Predictions:
    features = None if features is None else features[rows]
    predictions = classifier.predictions(texts) if features is None else classifier.predictions_from(features)
    order = np.argsort(-predictions.probabilities, axis=1, kind="stable")
    return _Predictions(list(predictions), predictions.probabilities, order, features)


def _answers(part: Part[Query], predictions: _Predictions, rows: slice) -> list[Answer]:
    query = part.item
    order = predictions.order[rows, : query.top]
    best = np.take_along_axis(predictions.probabilities[rows], order, axis=1)
    labels = query.model.classifier.labels
    features = None if predictions.features is None else predictions.features[rows]
    answers = []
    for i, (prediction, numbers, values) in enumerate(
        zip(predictions.predictions[rows], order.tolist(), best.tolist(), strict=True)
    ):
        probabilities = [(labels[number], value) for number, value in zip(numbers, values, strict=True)]
        row = None if features is None else features[i : i + 1]
        explanation = _explanation(query.model.classifier, part.texts[i], row) if query.explain else None
        answers.append(Answer(prediction, probabilities, explanation, None if row is None else np.asarray(row)[0]))
    return answers


def _explanation(classifier: Any, text: str, features: Any) -> "Explanation":
    explanation: Explanation = (
        classifier.explain(text) if features is None else classifier.explanation_from(features, text)
    )
    return explanation
