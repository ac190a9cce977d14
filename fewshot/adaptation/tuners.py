"""The tuner of each final stage."""

from fewshot.adaptation.final_stage import Tuner
from fewshot.adaptation.fine_tuner import AdapterTuner, FineTuner, FullTuner, LightTuner
from fewshot.adaptation.head_tuner import HeadTuner


def default_tuners() -> dict[str, Tuner]:
    """Name of a final stage → its tuner."""
    return {
        "head": HeadTuner(),
        "light": LightTuner(),
        "lora": FineTuner(),
        "adapter": AdapterTuner(),
        "full": FullTuner(),
    }
