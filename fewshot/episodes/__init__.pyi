from .batch import EpisodeBatch as EpisodeBatch
from .labelled import LabelledTexts as LabelledTexts
from .sampler import corrupt_support as corrupt_support
from .sampler import sample_episodes as sample_episodes
from .sampler import sample_realistic_episodes as sample_realistic_episodes
