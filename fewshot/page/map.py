"""Texts and prototypes in the plane of their two principal components."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

MOST_POINTS = 600


@dataclass(frozen=True)
class Point:
    """A text, or the mean of a class, whose text is empty."""

    x: float
    y: float
    label: str
    text: str = ""
    wrong: bool = False


@dataclass(frozen=True)
class Map:
    """Points, and the share of their variance that the plane shows.

    Args:
        texts: at most `MOST_POINTS`, spread evenly over all.
        prototypes: the mean of each class.
        share: of the variance.
        n_texts: number of texts, those without a point included.
        closest: each label, the label of the closest mean, and the cosine of the two means; the closest pair first.
    """

    texts: tuple[Point, ...]
    prototypes: tuple[Point, ...]
    share: float
    n_texts: int
    closest: tuple[tuple[str, str, float], ...] = ()


def map_of(
    features: Float[Tensor, "n dim"],
    classes: Int[Tensor, " n"],
    labels: Sequence[str],
    texts: Sequence[str],
    wrong: set[int],
) -> Map | None:
    """Project texts and the means of their classes; None for fewer than three texts.

    Args:
        features: of the texts.
        classes: the class of each, an index of `labels`.
        labels: of the classes.
        texts: a text for each row of `features`.
        wrong: indices of the texts that are misclassified.
    """
    n = len(features)
    if n < 3:
        return None
    shown = torch.linspace(0, n - 1, min(n, MOST_POINTS)).long()
    features = features.float()
    centre = features.mean(0)
    axes, share = _plane(features[shown] - centre)
    present = classes.unique().tolist()
    means = torch.stack([features[classes == number].mean(0) for number in present])
    coordinates = ((features[shown] - centre) @ axes).tolist()
    points = [
        Point(x, y, labels[int(classes[i])], texts[i], i in wrong)
        for (x, y), i in zip(coordinates, shown.tolist(), strict=True)
    ]
    names = [labels[number] for number in present]
    prototypes = zip(((means - centre) @ axes).tolist(), names, strict=True)
    return Map(
        texts=tuple(points),
        prototypes=tuple(Point(x, y, name) for (x, y), name in prototypes),
        share=share,
        n_texts=n,
        closest=_closest(means, names) if len(names) > 1 else (),
    )


def _closest(means: Float[Tensor, "n_classes dim"], names: Sequence[str]) -> tuple[tuple[str, str, float], ...]:
    """The closest other mean of each class."""
    unit = torch.nn.functional.normalize(means, dim=-1)
    cosines, closest = (unit @ unit.T).fill_diagonal_(-2).max(1)
    pairs = zip(names, (names[i] for i in closest.tolist()), cosines.tolist(), strict=True)
    return tuple(sorted(pairs, key=lambda pair: -pair[2]))


def _plane(rows: Float[Tensor, "n dim"]) -> tuple[Float[Tensor, "dim 2"], float]:
    """The first two principal axes, with fixed signs, and their share of the variance."""
    rows = rows.double()
    if len(rows) < rows.shape[1]:  # the smaller of the two products has the same eigenvalues
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        axes = torch.nn.functional.normalize(rows.T @ vectors[:, -2:].flip(1), dim=0)
    else:
        values, vectors = torch.linalg.eigh(rows.T @ rows)
        axes = vectors[:, -2:].flip(1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    share = float(values[-2:].sum() / values.sum().clamp(min=1e-12))
    return (axes * torch.where(largest < 0, -1.0, 1.0)).float(), share
