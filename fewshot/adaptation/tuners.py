"""The tuner of each final stage."""

from fewshot.adaptation.final_stage import Tuner
from fewshot.adaptation.fine_tuner import FineTuner
from fewshot.adaptation.head_tuner import HeadTuner


def default_tuners() -> dict[str, Tuner]:
    """Name of a final stage → its tuner."""
    return {
        "head": HeadTuner(),
        "light": FineTuner(
            trainable="full",
            epochs=5.0,
            steps=100,
            batch=64,
            per_class=2,
            learning_rate=5e-5,
            head_learning_rate=3e-3,
            contrastive_weight=1.0,
            folds=2,
            interpolation=(1.0,),
            looks=2,
            margin=1.0,
        ),
        "lora": FineTuner(),
        "adapter": FineTuner(trainable="adapter"),
        "full": FineTuner(trainable="full", learning_rate=1e-4, steps=1500, held_out=0.1, held_out_most=50),
    }
