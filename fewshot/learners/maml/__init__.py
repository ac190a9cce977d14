"""MAML and its relatives: one learner, its settings make the family."""

from fewshot.learners.maml.maml import MAML
from fewshot.learners.maml.tokens import token_rows

__all__ = ["MAML", "token_rows"]
