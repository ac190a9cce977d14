from .training import JointTraining as JointTraining
from .weights import WEIGHTINGS as WEIGHTINGS
from .weights import TaskWeights as TaskWeights
