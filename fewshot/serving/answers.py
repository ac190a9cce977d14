"""Answers as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fewshot.serving.models import ServedModel
from fewshot.serving.scoring import Answer

if TYPE_CHECKING:
    from fewshot.fitted.explanation import Explanation

_EVIDENCE = 5  # pieces that are shown


def predictions(model: ServedModel, answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """What a model says of each text, as `schemas.Prediction` describes it."""
    return [_prediction(model, answer) for answer in answers]


def _prediction(model: ServedModel, answer: Answer) -> dict[str, Any]:
    said = answer.prediction
    own = {
        "label": model.reject_label if said.rejected else said.label,
        "probability": _rounded(said.probability),
        "rejected": said.rejected,
        "probabilities": [{"label": label, "probability": _rounded(value)} for label, value in answer.probabilities],
    }
    return own if answer.explanation is None else {**own, "explanation": _explanation(answer.explanation)}


def _explanation(explanation: "Explanation") -> dict[str, Any]:
    shown = sorted(explanation.contributions, key=lambda one: -abs(one.weight))[:_EVIDENCE]
    return {
        "label": explanation.label,
        "score": _rounded(explanation.logit),
        "evidence": [
            {
                "text": one.text,
                "label": one.label,
                "is_label_name": one.is_label_name,
                "cosine": _rounded(one.cosine),
                "weight": _rounded(one.weight),
            }
            for one in shown
        ],
        "rest": _rounded(explanation.logit - sum(one.weight for one in shown)),
    }


def _rounded(value: float) -> float:
    return round(value, 6)
