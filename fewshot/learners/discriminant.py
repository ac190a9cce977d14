"""Linear discriminant with one covariance for all classes, on features as they are or through fixed random units.

    z = normalize(x - V^T (1 - s) V x)        phi = ReLU(R z), or z        R: random signs, width x dim
    logit_c(x) = m_c^T S^-1 phi - m_c^T S^-1 m_c / 2        S = W / n + nu / n tr(W / n) / width I

`m_c` are the class means of phi and `W` its scatter within the classes.  `S` is shrunk to a multiple of the identity,
an inverse-Wishart prior that weighs as much as `nu` texts.  Without random units, where texts are few, the means have a
prior too: they are drawn around their own mean `m` with a covariance `B`, a tenth of that of the class means as they
are seen, shrunk to a multiple of the identity by as much as 150 classes weigh.  Of a class with n texts

    m_c = m + B (B + S / n)^-1 (mean_c - m)        and S + (1 / B + n_mean / S)^-1 stands for S in the logit

where S is here scaled to the unbiased scatter.  `V` are the directions in which texts of one class vary
most in other data, damped by `s` before anything is known of these classes; without them z is x.

Class sums, counts and one sum of outer products determine the classifier: texts may come in any order, and none has to
be kept.  See `fewshot.continual.ClassStatistics`.

Source: Hayes and Kanan 2020, "Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis",
https://arxiv.org/abs/1909.01520; McDonnell et al. 2023, "RanPAC: Random Projections and Pre-trained Models for
Continual Learning", https://arxiv.org/abs/2307.02251, for the random units (theirs is a ridge regression, which favours
large classes; the penalty is chosen on held-out texts, and is fixed here); Ioffe 2006, "Probabilistic Linear
Discriminant Analysis", https://doi.org/10.1007/11744085_41, for the prior of the means.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier


@dataclass(frozen=True)
class FeatureMap:
    """A fixed map of unit features: directions damped, then random units.

    Args:
        width: number of random units; 0: none, and the space stays that of the features.
        directions: orthonormal rows that are damped.
        damping: what is left of each, from 0 to 1.
    """

    width: int
    directions: Float[Tensor, "rank dim"]
    damping: Float[Tensor, " rank"]

    def damped(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Unit vectors `z`."""
        lost = (features @ self.directions.T) * (1 - self.damping)
        return normalize(features - lost @ self.directions, dim=-1)

    def __call__(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch out"]:
        """`phi`, of `width` numbers, or of as many as the features have."""
        damped = self.damped(features)
        return (damped @ self._signs).relu() if self.width else damped

    @cached_property
    def _signs(self) -> Float[Tensor, "dim width"]:
        """Random signs, the same in any process: NumPy keeps the raw stream of its bit generators."""
        dim = self.directions.shape[1]
        raw = np.random.PCG64(0).random_raw(-(-dim * self.width // 64))
        bits = np.unpackbits(raw.view(np.uint8))[: dim * self.width].reshape(dim, self.width)
        return torch.from_numpy(bits.astype(np.float32) * 2 - 1)


@dataclass(frozen=True)
class SharedCovariance(Classifier):
    """`logit = phi(x) . weight_c + bias_c`."""

    feature_map: FeatureMap
    weight: Float[Tensor, "episodes n_way out"]
    bias: Float[Tensor, "episodes n_way"]

    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Log-likelihood of each query in each class, up to a number that is common to all classes."""
        return self.feature_map(normalize(query, dim=-1)) @ self.weight.mT + self.bias[:, None]

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Unit vectors with the directions damped in which texts of one class vary."""
        return self.feature_map.damped(normalize(features, dim=-1))
