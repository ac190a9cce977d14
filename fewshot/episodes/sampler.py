"""Sample episodes, and wrong labels in them, as indices; all randomness is from a generator.

Vinyals et al. 2016, "Matching Networks for One Shot Learning" (the N-way K-shot episode);
Triantafillou et al. 2020, "Meta-Dataset", section 3.2 (episodes with unequal class sizes).
"""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.wrong_labels import wrong_places
from fewshot.errors import ConfigError, TaskError
from fewshot.tasks.task import ClassPools

_DECK_ELEMENTS = 8_000_000  # 64 MB; more episodes are shuffled in several passes


def sample_episodes(
    pools: ClassPools, n_episodes: int, n_way: int, k_shot: int, n_query: int, generator: torch.Generator
) -> EpisodeBatch:
    """Draw N-way K-shot episodes.

    1. Each episode has `n_way` different classes, every subset and order equally likely.
    2. Each class has `k_shot + n_query` different texts, every choice and order equally likely.
    3. No text is both support and query of an episode.
    4. The same generator state gives the same episodes; the K-shot support is the prefix of the support with
       more shots, and the queries are the same (queries are drawn first).

    Args:
        pools: the classes to draw from.
        n_episodes: number of episodes.
        n_way: classes per episode.
        k_shot: support texts per class; 0 for label names alone.
        n_query: query texts per class.
        generator: source of all randomness.

    Returns:
        `n_episodes` episodes; every entry of the mask is true.

    Raises:
        ConfigError: more ways than classes, or no ways or queries.
        TaskError: a class with fewer than `k_shot + n_query` texts.

    Example:
        >>> pools = ClassPools.from_labels(torch.arange(40) % 4, classes=[0, 1, 2, 3])
        >>> batch = sample_episodes(pools, 600, 3, 5, 2, torch.Generator().manual_seed(0))
        >>> tuple(batch.support.shape), tuple(batch.query.shape)
        ((600, 3, 5), (600, 3, 2))
    """
    check_request(pools, n_way, k_shot, n_query)
    ways = _draw_ways(pools, n_episodes, n_way, generator)
    drawn = _draw_texts(pools, ways, n_query + k_shot, generator)
    support = drawn[..., n_query:]
    return EpisodeBatch(pools.classes[ways], support, torch.ones_like(support, dtype=torch.bool), drawn[..., :n_query])


def sample_realistic_episodes(
    pools: ClassPools, n_episodes: int, n_way: int, k_shot: int, n_query: int, generator: torch.Generator
) -> EpisodeBatch:
    """Draw episodes whose classes have unequal support, as in Meta-Dataset; queries stay balanced.

    1. Ways and texts as in `sample_episodes`.
    2. An episode has a budget of `n_way * k_shot` support texts: one for each class, the others shared in proportion
       to `size * exp(a)` with `a` uniform in `[log 1/2, log 2]`, rounded down; the total never exceeds the budget.
    3. Every class has at least one support text and never more than it has left beside its queries.
    4. Support texts come first, then padding: -1, and False in the mask.

    Args, Raises: as `sample_episodes`; each class needs only `n_query + 1` texts.
    """
    check_request(pools, n_way, min(k_shot, 1), n_query)
    if k_shot < 1:
        raise ConfigError(f"Got shots={k_shot}, and there are no texts to share out unequally. Set shots to 1 or more.")
    ways = _draw_ways(pools, n_episodes, n_way, generator)
    sizes = pools.sizes[ways]
    share = sizes * torch.exp2(2 * torch.rand(ways.shape, generator=generator) - 1)
    shots = (share / share.sum(1, keepdim=True) * n_way * (k_shot - 1)).floor().long() + 1
    shots = torch.minimum(shots, sizes - n_query)
    drawn = _draw_texts(pools, ways, n_query + int(shots.max()), generator)
    support = drawn[..., n_query:]
    mask = torch.arange(support.shape[-1]) < shots[..., None]
    return EpisodeBatch(pools.classes[ways], support.masked_fill(~mask, -1), mask, drawn[..., :n_query])


def corrupt_support(batch: EpisodeBatch, fraction: float, generator: torch.Generator) -> EpisodeBatch:
    """Give a fraction of every class's support texts to another class of the same episode.

    1. In each class, `wrong_places(fraction, k_shot)` texts are replaced by texts of other classes of the episode.
    2. The texts of an episode stay the same set: they are exchanged by random rotations of the classes.
    3. Queries are untouched.

    Args:
        batch: episodes with a full support mask and at least two ways; the result has the same shape.
        fraction: share of wrong labels, in `[0, 1]`.
        generator: draws the texts and rotations.

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
    # Each replaced text has a rotation of its own, never by a whole turn.
    rotation = torch.randint(1, batch.n_way, (len(batch), 1, wrong), generator=generator)
    source = (torch.arange(batch.n_way)[None, :, None] + rotation) % batch.n_way
    swapped = shuffled[..., :wrong].gather(1, source)
    mixed = torch.cat([swapped, shuffled[..., wrong:]], dim=-1)
    return replace(batch, support=mixed.gather(-1, places.argsort(-1)))


def check_request(pools: ClassPools, n_way: int, k_shot: int, n_query: int) -> None:
    """Refuse episodes that the classes cannot fill; errors as in `sample_episodes`."""
    for name, value, minimum in (("ways", n_way, 1), ("shots", k_shot, 0), ("queries", n_query, 1)):
        if value < minimum:
            raise ConfigError(
                f"Got {name}={value}, but an episode needs at least {minimum}. Set {name} to {minimum} or more."
            )
    if n_way > len(pools.classes):
        raise too_many_ways(n_way, len(pools.classes))
    needed = k_shot + n_query
    short = (pools.sizes < needed).nonzero().flatten().tolist()
    if short:
        others = f" ({len(short) - 1} more classes are too small as well.)" if len(short) > 1 else ""
        raise TaskError(
            f"Class {pools.names[short[0]]!r} has {int(pools.sizes[short[0]])} texts, but an episode needs "
            f"shots + queries = {k_shot} + {n_query} = {needed}.{others} Lower shots or queries, or set "
            f"task.min_texts={needed} to leave such classes out."
        )


def too_many_ways(n_way: int, n_classes: int) -> ConfigError:
    """The error of more ways than classes."""
    return ConfigError(
        f"Got ways={n_way}, but there are only {n_classes} classes to draw from. Lower ways, or set ways=all to use "
        f"every class."
    )


def _draw_ways(
    pools: ClassPools, n_episodes: int, n_way: int, generator: torch.Generator
) -> Int[Tensor, "episodes n_way"]:
    """Rows of `pools`, without replacement within an episode."""
    keys = torch.rand(n_episodes, len(pools.classes), generator=generator, dtype=torch.float64)
    return keys.argsort(dim=1)[:, :n_way]


def _draw_texts(
    pools: ClassPools, ways: Int[Tensor, "episodes n_way"], count: int, generator: torch.Generator
) -> Int[Tensor, "episodes n_way count"]:
    """The first `count` steps of a Fisher-Yates shuffle of every class, for all episodes at once.

    The uniforms are drawn step by step (step is the first dimension), so that a shorter draw is a prefix of a
    longer one. A class with fewer than `count` texts repeats its texts at the end; callers mask these.
    """
    uniforms = torch.rand(count, *ways.shape, generator=generator, dtype=torch.float64)
    largest = pools.members.shape[1]
    if count**2 < largest:
        return pools.members[ways[..., None], _shuffled_indices(largest, pools.sizes[ways], uniforms)]
    size = max(1, _DECK_ELEMENTS // (ways.shape[1] * largest))
    pieces = zip(ways.split(size), uniforms.split(size, dim=1), strict=True)
    return torch.cat([_shuffled(pools.members[w], pools.sizes[w], u) for w, u in pieces])


def _shuffled_indices(largest: int, sizes: Tensor, uniforms: Tensor) -> Int[Tensor, "episodes n_way count"]:
    """The indices that `_shuffled` would draw, without a copy of the class: only the moves are kept."""
    moves: list[tuple[Tensor, Tensor]] = []  # (index, the value that is put there)

    def value_at(index: Tensor) -> Tensor:
        result = index
        for target, value in moves:
            result = torch.where(index == target, value, result)
        return result

    drawn = []
    for step, uniform in enumerate(uniforms):
        index, current = _exchanged(largest, sizes, step, uniform)
        drawn.append(value_at(index))
        moves.append((index, value_at(current)))
    return torch.stack(drawn, dim=-1)


def _shuffled(deck: Tensor, sizes: Tensor, uniforms: Tensor) -> Int[Tensor, "episodes n_way count"]:
    drawn = []
    for step, uniform in enumerate(uniforms):
        index, current = (i[..., None] for i in _exchanged(deck.shape[-1], sizes, step, uniform))
        drawn.append(deck.gather(-1, index))
        deck.scatter_(-1, index, deck.gather(-1, current))
    return torch.cat(drawn, dim=-1)


def _exchanged(largest: int, sizes: Tensor, step: int, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """The index that a step of the shuffle draws, and the index of the step, whose text goes there."""
    remaining = (sizes - step).clamp(min=1)
    index = (torch.minimum((uniform * remaining).long(), remaining - 1) + step).clamp(max=largest - 1)
    return index, torch.full_like(index, min(step, largest - 1))
