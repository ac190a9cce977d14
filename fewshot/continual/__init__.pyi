from .consolidation import Consolidation as Consolidation
from .learn_on import METHODS as METHODS
from .learn_on import NewTexts as NewTexts
from .learn_on import learn_on as learn_on
