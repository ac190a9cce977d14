"""Answers as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fewshot.serving.models import ServedModel
from fewshot.serving.scoring import Answer

if TYPE_CHECKING:
    from fewshot.fitted.explanation import Explanation

_MAX_EVIDENCE = 5  # contributions that are shown


def predictions(model: ServedModel, answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The answers of a model as JSON, see `schemas.Prediction`."""
    return [_prediction(model, answer) for answer in answers]


def _prediction(model: ServedModel, answer: Answer) -> dict[str, Any]:
    prediction = answer.prediction
    content: dict[str, Any] = {
        "label": model.reject_label if prediction.rejected else prediction.label,
        "probability": _rounded(prediction.probability),
        "rejected": prediction.rejected,
        "probabilities": [{"label": label, "probability": _rounded(value)} for label, value in answer.probabilities],
    }
    if answer.explanation is not None:
        content["explanation"] = _explanation(answer.explanation)
    return content


def _explanation(explanation: "Explanation") -> dict[str, Any]:
    pieces = sorted(explanation.contributions, key=lambda piece: -abs(piece.weight))[:_MAX_EVIDENCE]
    return {
        "label": explanation.label,
        "score": _rounded(explanation.logit),
        "evidence": [
            {
                "text": piece.text,
                "label": piece.label,
                "is_label_name": piece.is_label_name,
                "cosine": _rounded(piece.cosine),
                "weight": _rounded(piece.weight),
            }
            for piece in pieces
        ],
        "rest": _rounded(explanation.logit - sum(piece.weight for piece in pieces)),
    }


def _rounded(value: float) -> float:
    return round(value, 6)
