"""Numbers with their intervals.  Nothing here trains."""

from fewshot.evaluation.evaluate import Evaluation, evaluate, held_out_accuracy, predict
from fewshot.evaluation.intervals import Estimate, paired_difference
from fewshot.evaluation.metrics import accuracy, class_distances, expected_calibration_error, fit_temperature, macro_f1

__all__ = [
    "Estimate",
    "Evaluation",
    "accuracy",
    "class_distances",
    "evaluate",
    "expected_calibration_error",
    "fit_temperature",
    "held_out_accuracy",
    "macro_f1",
    "paired_difference",
    "predict",
]
