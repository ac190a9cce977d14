from .fine_tuner import FineTuner as FineTuner
from .head_tuner import HeadTuner as HeadTuner
from .labelled import LabelledTexts as LabelledTexts
from .ladder import STAGES as STAGES
from .ladder import Ladder as Ladder
from .ladder import Rung as Rung
from .switch import AdapterSwitch as AdapterSwitch
