"""Settings that have other names now: what is typed by an earlier name goes on to work."""

import re
from collections.abc import Sequence

# An earlier name, whole → the name now.
_NAMES = {
    r"encoder\.trainable": "trainable",
    r"encoder\.policy": "trainable.layers",
    r"encoder\.lora_(\w+)": r"trainable.\1",
    r"encoder\.adapter_dim": "trainable.dim",
    r"encoder\.dropout": "trainable.encoder_dropout",
    r"adaptation\.(\w+)\.looks": r"adaptation.\1.max_evaluations",
    r"adaptation\.(\w+)\.held_out_most": r"adaptation.\1.max_held_out",
    r"adaptation\.head\.pulls": "adaptation.head.l2_to_prototypes",
    r"adaptation\.(\w+)\.trainable": r"adaptation.\1.trainable._target_",
}
# End of a name → values that have other names as well.
_VALUES = {
    "trainable": {"null": "none"},
    "._target_": {
        "lora": "fewshot.encoders.LoRA",
        "adapter": "fewshot.encoders.Adapter",
        "full": "fewshot.encoders.Full",
    },
}

# MAML through the encoder is a training of its own.
_INNER_LOOP = {"learner.adapts=lora": "trainable=lora", "learner.adapts=encoder": "trainable=full"}


def renamed(arguments: Sequence[str]) -> list[str]:
    """Arguments by the names that settings have now; in a sweep each value.

    Example:
        >>> renamed(["shots=5", "encoder.trainable=lora,null", "++encoder.lora_rank=4"])
        ['shots=5', 'trainable=lora,none', '++trainable.rank=4']
        >>> renamed(["learner=maml", "learner.adapts=lora"])
        ['learner=maml', 'training=through_encoder', 'trainable=lora']
    """
    result = [_renamed(argument) for argument in arguments]
    inner = [argument for argument in result if argument.lstrip("+") in _INNER_LOOP]
    if inner and not any(argument.lstrip("+").startswith("training=") for argument in result):
        result.insert(result.index(inner[0]), "training=through_encoder")
    return [_INNER_LOOP.get(argument.lstrip("+"), argument) for argument in result]


def _renamed(argument: str) -> str:
    name, equals, value = argument.partition("=")
    plus = name[: len(name) - len(name.lstrip("+"))]
    for earlier, now in _NAMES.items():
        found = re.fullmatch(earlier, name.lstrip("+"))
        if found and equals:
            name = found.expand(now)
            for end, values in _VALUES.items():
                if name.endswith(end):
                    value = ",".join(values.get(one.strip(), one) for one in value.split(","))
            return f"{'' if name == 'trainable' else plus}{name}={value}"
    return argument
