"""Learners: one published algorithm per file."""

from fewshot.learners.attention_prototypical import AttentionPrototypical
from fewshot.learners.centroid import Centroid
from fewshot.learners.learner import Classifier, Learner, Support
from fewshot.learners.logistic import Logistic
from fewshot.learners.maml import MAML
from fewshot.learners.prototypical import Prototypical
from fewshot.learners.ridge import Ridge
from fewshot.learners.saving import load_learner, save_learner

# The names of the command line, in the order of tables.
LEARNERS: dict[str, type[Learner]] = {
    "centroid": Centroid,
    "logistic": Logistic,
    "ridge": Ridge,
    "prototypical": Prototypical,
    "attention_prototypical": AttentionPrototypical,
    "maml": MAML,
}

__all__ = [
    "LEARNERS",
    "MAML",
    "AttentionPrototypical",
    "Centroid",
    "Classifier",
    "Learner",
    "Logistic",
    "Prototypical",
    "Ridge",
    "Support",
    "load_learner",
    "save_learner",
]
