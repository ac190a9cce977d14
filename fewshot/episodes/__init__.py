"""Episodes: which texts are support and which are query, as index tensors."""

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.noise import corrupt_support
from fewshot.episodes.sampler import sample_episodes, sample_realistic_episodes

__all__ = ["EpisodeBatch", "corrupt_support", "sample_episodes", "sample_realistic_episodes"]
