"""Families of frames: ways to say one thing around the same words, as in "how do I …" and "tell me how to …"."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from fewshot.augment.syntax.reading import Sentence

_SHORT = (("what is ", "what(?: is|'s) "), ("I would ", "I(?: would|'d) "), ("I am ", "I(?: am|'m) "))


@dataclass(frozen=True)
class Family:
    """Frames with one slot that may stand for each other.

    Args:
        frames: written as they are said, `{}` is the slot; "?" at the end marks a question.
        also: frames that are understood and never made.
        fits: what may stand in the slot.
    """

    frames: Sequence[str]
    also: Sequence[str] = ()
    fits: Callable[[str], bool] = bool
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        patterns = sorted((_pattern(frame) for frame in (*self.frames, *self.also)), key=lambda p: -len(p))
        object.__setattr__(self, "_pattern", re.compile(f"(?:{'|'.join(patterns)})$"))

    def slot(self, body: str) -> str | None:
        """What stands in the slot of a sentence that is in one of the frames, else None.

        Example:
            >>> Family(["how do I {}?", "tell me how to {}"]).slot("how do I pay")
            'pay'
        """
        found = self._pattern.match(body)
        if found is None:
            return None
        slot = next((group for group in found.groups() if group is not None), "")
        return slot if slot and self.fits(slot) else None

    def rewrite(self, sentence: Sentence) -> Iterator[Sentence]:
        """The sentence in each other frame of the family."""
        slot = self.slot(sentence.body)
        if slot is not None:
            yield from self.fill(sentence, slot)

    def fill(self, sentence: Sentence, slot: str) -> Iterator[Sentence]:
        """Each frame with these words in its slot, in place of what the sentence says."""
        for frame in self.frames:
            body = frame.rstrip("?").replace("{}", slot)
            if body != sentence.body:
                yield sentence.say(body, asks=frame.endswith("?"))


def _pattern(frame: str) -> str:
    before, _, after = frame.rstrip("?").partition("{}")
    for full, either in _SHORT:
        before = before.replace(full, either)
    before = re.sub(r"^(can|could|would|will) you ", r"\1 you (?:please )?", before)
    return f"{before}(.+?){after}" if after else f"{before}(.+)"
