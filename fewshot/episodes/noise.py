"""Wrong labels in the support set, to measure how much a learner depends on each label."""

from dataclasses import replace

import torch

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.wrong_labels import wrong_places


def corrupt_support(batch: EpisodeBatch, fraction: float, generator: torch.Generator) -> EpisodeBatch:
    """Give a fraction of every class's support texts to another class of the same episode.

    1. In each class, `wrong_places(fraction, k_shot)` places receive a text of another class of the episode.
    2. The texts of an episode stay the same set: the corrupted places exchange their texts by a random rotation of
       the classes.
    3. Queries are untouched.

    Args:
        batch: episodes with a full support mask and at least two ways.
        fraction: share of wrong labels, in `[0, 1]`.
        generator: source of the choice of places and rotations.

    Returns:
        Episodes of the same shape.

    Raises:
        ValueError: fewer than two ways, a fraction outside `[0, 1]`, or unequal support sizes.
    """
    if batch.n_way < 2 or not 0 <= fraction <= 1 or not bool(batch.support_mask.all()):
        raise ValueError(
            f"Got {batch.n_way} ways and fraction={fraction}: expected at least two ways, a fraction in [0, 1] "
            f"and support of equal sizes."
        )
    wrong = wrong_places(fraction, batch.k_shot)
    shape = batch.support.shape
    places = torch.rand(shape, generator=generator).argsort(-1)
    shuffled = batch.support.gather(-1, places)
    # Each corrupted place is turned around the classes by its own distance, never by a whole turn.
    turn = torch.randint(1, batch.n_way, (len(batch), 1, wrong), generator=generator)
    source = (torch.arange(batch.n_way)[None, :, None] + turn) % batch.n_way
    swapped = shuffled[..., :wrong].gather(1, source)
    mixed = torch.cat([swapped, shuffled[..., wrong:]], dim=-1)
    return replace(batch, support=mixed.gather(-1, places.argsort(-1)))
