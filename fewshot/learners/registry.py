"""Name → learner."""

from fewshot.learners.attention_prototypical import AttentionPrototypical
from fewshot.learners.centroid import Centroid
from fewshot.learners.learner import Learner
from fewshot.learners.logistic import Logistic
from fewshot.learners.maml import MAML
from fewshot.learners.names import NAMES
from fewshot.learners.prototypical import Prototypical
from fewshot.learners.ridge import Ridge

LEARNERS: dict[str, type[Learner]] = dict(
    zip(NAMES, (Centroid, Logistic, Ridge, Prototypical, AttentionPrototypical, MAML), strict=True)
)
