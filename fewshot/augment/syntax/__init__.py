"""The same words in another order or another frame, by rule."""

from fewshot.augment.syntax.rule import Rule
from fewshot.augment.syntax.rules import RULES
from fewshot.augment.syntax.syntax import Syntax

__all__ = ["RULES", "Rule", "Syntax"]
