"""Numbers with their intervals.  Nothing here trains."""

from fewshot.evaluation.calibration import fit_temperature
from fewshot.evaluation.distances import class_distances
from fewshot.evaluation.evaluate import Evaluation, evaluate, predict
from fewshot.evaluation.held_out import held_out_accuracy
from fewshot.evaluation.intervals import Estimate, paired_difference
from fewshot.evaluation.metrics import accuracy, expected_calibration_error, macro_f1

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
