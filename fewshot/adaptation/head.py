"""The classifier on top of an encoder: scaled cosine to one row per class, started from prototypes.

    z = projection(x / |x|)        logit_c(x) = exp(s) * z . w_c / |w_c|        w_c starts as the prototype of class c

Source: Gidaris and Komodakis 2018, "Dynamic Few-Shot Visual Learning without Forgetting",
https://arxiv.org/abs/1804.09458 (a cosine classifier whose rows prototypes can stand in for); Qi et al. 2018, "Low-Shot
Learning with Imprinted Weights", https://arxiv.org/abs/1712.07136 (rows that start as normalised means).
"""

import copy
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.evaluation import fit_temperature
from fewshot.learners import Classifier, Learner
from fewshot.learners.prototypical import ProjectedPrototype, ResidualProjection
from fewshot.learners.saving import frozen


class CosineHead(nn.Module):
    """Scaled cosine to the rows, which start as given; the scale `exp(s)` is not trained, see `head_tuner`."""

    temperature: Tensor
    log_scale: Tensor

    def __init__(self, projection: ResidualProjection, rows: Float[Tensor, "n_classes dim"], scale: float):
        super().__init__()
        self.projection = projection
        self.rows = nn.Parameter(rows.clone())
        self.register_buffer("log_scale", torch.tensor(math.log(scale)))
        self.register_buffer("temperature", torch.ones(()))

    @classmethod
    def from_prototypes(
        cls,
        features: Float[Tensor, "n_texts dim"],
        classes: Int[Tensor, " n_texts"],
        label_names: Float[Tensor, "n_classes dim"] | None,
        n_classes: int,
        *,
        scale: float = 20.0,
        centring: float = 0.0,
        learner: Learner | None = None,
    ) -> "CosineHead":
        """A head that goes by the nearest prototype; the names of classes are one more example of each.

        The projection is that of a meta-trained learner, if it has one; else `centring` is the share of the mean over
        classes that is taken away. All is on the CPU.
        """
        projection = ResidualProjection(features.shape[1], centring)
        trained = getattr(learner, "projection", None)
        if isinstance(trained, ResidualProjection) and not trained.is_identity:
            projection = copy.deepcopy(trained)
        else:
            projection.fit_centre(_means(normalize(features, dim=-1), classes, label_names, n_classes))
        with torch.no_grad():
            projected = projection(normalize(features, dim=-1))
            names = None if label_names is None else projection(normalize(label_names, dim=-1))
            rows = normalize(_means(projected, classes, names, n_classes), dim=-1)
        return cls(projection.requires_grad_(False), rows, scale)

    def calibrate(self, logits: Float[Tensor, "n_held n_classes"], classes: Int[Tensor, " n_held"]) -> None:
        """Fit the temperature to logits of held-out texts; without any it stays."""
        if len(logits):
            self.temperature.fill_(fit_temperature(logits[None], classes[None]))

    def classifier(self) -> Classifier:
        """The head as an immutable classifier of one episode."""
        with torch.no_grad():
            rows = normalize(self.rows, dim=-1)[None]
            return frozen(ProjectedPrototype(rows, self.log_scale.exp(), self.projection))

    def twin(self) -> "CosineHead":
        """A copy whose rows, and nothing else, are trained."""
        other = copy.deepcopy(self).requires_grad_(False)
        other.rows.requires_grad_(True)
        return other

    def embed(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Unit vectors in the space whose cosines count."""
        return self.projection(normalize(features, dim=-1))

    def forward(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch n_classes"]:
        """Logits, not yet divided by the temperature."""
        return self.of_embedded(self.embed(features))

    def of_embedded(self, embedded: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch n_classes"]:
        """Logits of what `embed` gave."""
        return self.log_scale.exp() * embedded @ normalize(self.rows, dim=-1).T


def _means(
    features: Float[Tensor, "n_texts dim"],
    classes: Int[Tensor, " n_texts"],
    label_names: Float[Tensor, "n_classes dim"] | None,
    n_classes: int,
) -> Float[Tensor, "n_classes dim"]:
    """Mean of each class, its name among its texts."""
    if label_names is not None:
        features = torch.cat([features, label_names])
        classes = torch.cat([classes, torch.arange(n_classes)])
    sums = torch.zeros(n_classes, features.shape[1]).index_add_(0, classes, features)
    return sums / torch.bincount(classes, minlength=n_classes)[:, None]
