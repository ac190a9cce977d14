"""The rows of a cosine classifier: more of them for new labels, and their tuning beside rows that stay."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.adaptation.head import CosineHead
from fewshot.errors import ConfigError
from fewshot.learners.centroid import NearestPrototype
from fewshot.learners.learner import Classifier
from fewshot.learners.prototypical import ProjectedPrototype

L2_TO_START = 1.0  # the larger penalty of `HeadTuner`; without texts of the other labels it cannot be chosen
_ITERATIONS = 60


def with_new_rows(
    classifier: Classifier,
    before: Int[Tensor, " n_before"],
    n_rows: int,
    features: Float[Tensor, "n dim"],
    classes: Int[Tensor, " n"],
) -> CosineHead:
    """The head of a classifier with rows for new labels, which start as the prototypes of their texts.

    Args:
        classifier: by one row per label.
        before: indices of its rows among all.
        n_rows: of all.
        features: of new texts.
        classes: the row of each.

    Raises:
        ConfigError: the classifier does not go by one row per label.
    """
    if not isinstance(classifier, NearestPrototype):
        raise ConfigError(
            f"The classifier is a {type(classifier).__name__}, and the method goes on from one row per label. Expected "
            f"a classifier by prototypes or a tuned head. Use method='prototypes' or 'replay'."
        )
    rows = classifier.prototypes[0]
    projection = classifier.projection if isinstance(classifier, ProjectedPrototype) else nn.Identity()
    head = CosineHead(projection, torch.zeros(n_rows, rows.shape[1]), float(classifier.scale)).requires_grad_(False)
    sums = torch.zeros(n_rows, rows.shape[1]).index_add_(0, classes, head.embed(features))
    head.rows.copy_(normalize(sums, dim=-1).index_copy(0, before, rows))
    return head


def tuned_rows(head: CosineHead, features: Float[Tensor, "n dim"], classes: Int[Tensor, " n"]) -> CosineHead:
    """The head with the rows of some texts' labels tuned on them, as `HeadTuner` does; the other rows stay."""
    chosen = classes.unique()
    embedded, tuned = head.embed(features), head.rows[chosen].clone().requires_grad_(True)
    start = head.rows[chosen].clone()
    shares = 1 / torch.bincount(classes, minlength=len(head.rows))[classes] / len(chosen)
    optimiser = torch.optim.LBFGS([tuned], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        rows = normalize(head.rows.index_copy(0, chosen, tuned), dim=-1)
        losses = nn.functional.cross_entropy(head.log_scale.exp() * embedded @ rows.T, classes, reduction="none")
        loss = (shares * losses).sum() + L2_TO_START * (tuned - start).square().sum() / len(chosen)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    result = head.twin().requires_grad_(False)
    result.rows.copy_(head.rows.index_copy(0, chosen, tuned.detach()))
    return result
