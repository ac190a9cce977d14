"""More shots: the ladder of stages, and the final ones, which tune a head or an encoder on the support itself."""

from fewshot.adaptation.adapted import AdaptedClassifier, load_adapted
from fewshot.adaptation.fine_tuner import AdapterTuner, FineTuner, FullTuner, LightTuner
from fewshot.adaptation.head_tuner import HeadTuner
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.adaptation.ladder import STAGES, Ladder, Rung
from fewshot.adaptation.switch import AdapterSwitch

__all__ = [
    "STAGES",
    "AdaptedClassifier",
    "AdapterSwitch",
    "AdapterTuner",
    "FineTuner",
    "FullTuner",
    "HeadTuner",
    "LabelledTexts",
    "Ladder",
    "LightTuner",
    "Rung",
    "load_adapted",
]
