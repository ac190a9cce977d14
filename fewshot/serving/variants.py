"""Two models on the requests of the first: the second one answers a share of them, or runs as a shadow."""

import random
from dataclasses import dataclass

from fewshot.errors import ConfigError

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"


@dataclass(frozen=True)
class Experiment:
    """A comparison of two models.

    Args:
        champion: the model that gets the requests.
        challenger: the model that is compared with it.
        share: of the requests that the challenger answers; None: none, it is a shadow, whose answers are only logged.
    """

    champion: str
    challenger: str
    share: float | None

    @classmethod
    def of(cls, names: list[str], share: str | None, shadow: str | None) -> "Experiment | None":
        """The comparison of `--share NAME=0.1` or `--shadow NAME`.

        Args:
            names: of the models, the champion first.
            share, shadow: as typed.

        Raises:
            ConfigError: both, no such model, or a share that is not between 0 and 1.
        """
        if share is None and shadow is None:
            return None
        if share is not None and shadow is not None:
            raise ConfigError("Got both --share and --shadow, expected one of them. Leave one out.")
        name, _, typed = (share or shadow or "").partition("=")
        option = "--shadow" if share is None else "--share"
        if name not in names[1:]:
            known = " or ".join(names[1:]) or "a second model, such as new=FOLDER"
            raise ConfigError(f"Got {option} {share or shadow}, expected the name of {known}. Correct the name.")
        if share is None:
            return cls(names[0], name, None)
        try:
            fraction = float(typed)
        except ValueError:
            fraction = 0.0
        if not 0 < fraction < 1:
            raise ConfigError(f"Got --share {share}, expected a share between 0 and 1, such as {name}=0.1. Correct it.")
        return cls(names[0], name, fraction)

    def challenged(self) -> bool:
        """True if the challenger answers the next request; drawn at random."""
        return self.share is not None and random.random() < self.share
