"""Settings that were renamed: their earlier names still work."""

import re
from collections.abc import Sequence

# Pattern of an earlier name → the current name.
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
    r"augment\.sources\.(.+)\.most_replacements": r"augment.sources.\1.max_replacements",
}
# End of a name → values that were renamed too.
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
    """Arguments with the current names of settings and values; in a sweep each value.

    Example:
        >>> renamed(["shots=5", "encoder.trainable=lora,null", "++encoder.lora_rank=4"])
        ['shots=5', 'trainable=lora,none', '++trainable.rank=4']
        >>> renamed(["learner=maml", "learner.adapts=lora"])
        ['learner=maml', 'training=through_encoder', 'trainable=lora']
    """
    result = [_renamed(argument) for argument in arguments]
    bare = [argument.lstrip("+") for argument in result]
    inner = [index for index, argument in enumerate(bare) if argument in _INNER_LOOP]
    for index in inner:
        result[index] = _INNER_LOOP[bare[index]]
    if inner and not any(argument.startswith("training=") for argument in bare):
        result.insert(inner[0], "training=through_encoder")
    return result


def _renamed(argument: str) -> str:
    typed, equals, value = argument.partition("=")
    name = typed.lstrip("+")
    earlier = next((earlier for earlier in _NAMES if re.fullmatch(earlier, name)), None)
    if earlier is None or not equals:
        return argument
    current = re.sub(earlier, _NAMES[earlier], name)
    for end, values in _VALUES.items():
        if current.endswith(end):
            value = ",".join(values.get(part.strip(), part) for part in value.split(","))
    plus = "" if current == "trainable" else typed.removesuffix(name)
    return f"{plus}{current}={value}"
