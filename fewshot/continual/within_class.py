"""The directions in which texts of one class vary most, measured on other data and shipped with the bundled encoder.

`benchmarks.within_class` makes the file from groups of WordNet terms.
"""

from functools import cache

import torch

from fewshot.encoders import Encoder
from fewshot.encoders.source import BUNDLED
from fewshot.learners.discriminant import FeatureMap
from fewshot.resources import shipped
from fewshot.storage import read_tensors

FOLDER, FILE = "within_class", "directions.safetensors"
WIDTH = 4096  # random units, if texts are many
MANY = 10  # texts of a class on average, from which random units help


def feature_map(encoder: Encoder, dim: int, texts_per_class: float) -> FeatureMap:
    """The map for features of an encoder: damped directions if they are known, random units if texts are many.

    Args:
        encoder: of the features.
        dim: number of features.
        texts_per_class: mean number of texts when the map is chosen; the map stays for later texts.
    """
    directions, damping = _shipped()
    if encoder.model != BUNDLED or directions.shape[1] != dim:
        directions, damping = torch.zeros(0, dim), torch.zeros(0)
    return FeatureMap(WIDTH if texts_per_class >= MANY else 0, directions, damping)


@cache
def _shipped() -> tuple[torch.Tensor, torch.Tensor]:
    tensors, _ = read_tensors(shipped("weights") / FOLDER / FILE)
    return tensors["directions"].float(), tensors["damping"].float()
