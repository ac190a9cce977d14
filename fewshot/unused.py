"""Settings that somebody has changed and that have no part in a run: each is named in a warning."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from fewshot.plan import QUICK, Plan, Tuner, default_tuners
from fewshot.settings import Settings
from fewshot.training import EncoderTrainer


def unused_settings(plan: Plan, settings: Settings) -> list[str]:
    """A sentence for each of the run's own settings that is not its default and is not looked at.

    Args:
        plan: of the run.
        settings: as they were asked for.
    """
    if plan.fixed_test:
        why = "whose test episodes share one test part (test_texts= is its size, supports= how many there are)"
        names = ["queries"] + (["episodes"] if settings.episodes > settings.supports else [])
    else:
        why = "whose test episodes are sampled (protocol=fixed_test has them share one test part)"
        names = ["supports", "test_texts"]
    reasons = dict.fromkeys(names, why)
    if plan.final_stage is None:
        reasons["minutes"] = "which has no final stage"
    return [
        f"{name}={getattr(settings, name)} has no part in this run, {why}"
        for name, why in reasons.items()
        if getattr(settings, name) != getattr(Settings, name)
    ]


def unused_groups(
    plan: Plan,
    asked: str,
    trainable: str,
    encoder_trainer: EncoderTrainer | None,
    quick_trainer: EncoderTrainer | None,
    tuners: Mapping[str, Tuner] | None,
) -> list[str]:
    """A sentence for each group of settings that is not as by default and is not looked at.

    Args:
        plan: of the run.
        asked: the name in `trainable=` of the run.
        trainable: what of the encoder is meta-trained.
        encoder_trainer: the group `encoder_training`; None is the default, here and below.
        quick_trainer: the group `quick_training`.
        tuners: the groups `adaptation.*`.
    """
    if trainable == "none":
        used, why = "", "which does not meta-train the encoder (trainable=full does)"
    elif asked == "auto":
        used, why = "quick_training", "where trainable=auto goes by quick_training (full, by encoder_training)"
    else:
        used, why = "encoder_training", f"where trainable={asked} goes by encoder_training"
    trainers = {
        "encoder_training": (encoder_trainer, EncoderTrainer()),
        "quick_training": (quick_trainer, QUICK),
    }
    reasons = {
        name: why
        for name, (given, default) in trainers.items()
        if name != used and given is not None and _told(given) != _told(default)
    }
    tuning = {plan.final_stage, None if plan.final_stage is None else "head"}
    stage = "has no final stage" if plan.final_stage is None else f"has the final stage {plan.final_stage}"
    for name, tuner in default_tuners().items():
        given = (tuners or {}).get(name, tuner)
        if name not in tuning and _told(given) != _told(tuner):
            reasons[f"adaptation.{name}"] = f"which {stage}"
    return [f"What was set of {name} has no part in this run, {why}" for name, why in reasons.items()]


def _told(settings: EncoderTrainer | Tuner) -> str:
    return json.dumps(asdict(settings))
