"""nlpaug's augmenters and flows as a source of texts (Ma 2019, https://github.com/makcedward/nlpaug).

It draws from the process's global generators, which are seeded for each text and put back. Its tokenizer tears "don't"
and "e-mail" apart and leaves spaces in them: augmenters that have it get one that does not.
"""

import contextlib
import copy
import io
import random
import re
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch

from fewshot.augment.source import AugmentRequest, Proposal, Source, distinct
from fewshot.errors import ConfigError, FewshotError

_TOKEN = re.compile(r"\w+(?:['’.,‐-]\w+)*|[^\w\s]")
_SPACE_BEFORE = re.compile(r" (?=[.,;:?!%)\]])")
_SPACE_AFTER = re.compile(r"(?<=[(\[$£€#]) ")
_ITS_TOKENIZER = "nlpaug.util.text.tokenizer"


class NlpaugSource(Source):
    """Propose the texts that an augmenter or a flow of nlpaug makes.

    Args:
        augmenter: an augmenter or a flow of nlpaug; it is not changed.
    """

    name: ClassVar[str] = "nlpaug"

    def __init__(self, augmenter: Any) -> None:
        if not callable(getattr(augmenter, "augment", None)):
            example = "such as {_target_: nlpaug.augmenter.word.RandomWordAug, action: swap}"
            raise ConfigError(f"Got augmenter={augmenter!r}, expected an augmenter or a flow of nlpaug, {example}.")
        self.augmenter = _with_our_tokenizer(augmenter)

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """See `Source.propose`; in the order in which nlpaug made them."""
        how, proposals = type(self.augmenter).__name__, []
        for index, text in enumerate(request.texts):
            try:
                with _seeded(request.text_seed(self.name, index)):
                    made = self.augmenter.augment(text, n=request.max_new)
            except Exception as error:
                reason = " ".join(str(error).split())[:200].rstrip(".")
                what = f"nlpaug's {how} failed on the text {text!r} with {type(error).__name__}: {reason}."
                raise FewshotError(f"{what} Use another augmenter, or install what it asks for.") from error
            new = (Proposal(text.strip(), how) for text in _texts(made, how))
            proposals.append(distinct(text, new, request.max_new))
        return proposals


def split_words(text: str) -> list[str]:
    """Words and marks of a text."""
    return _TOKEN.findall(text)


def join_words(words: list[str]) -> str:
    """The text of words and marks."""
    return _SPACE_AFTER.sub("", _SPACE_BEFORE.sub("", " ".join(words)))


def _with_our_tokenizer(augmenter: Any) -> Any:
    """A copy of an augmenter, or of a flow and all in it, in which nlpaug's own tokenizer is replaced."""
    changed = copy.copy(augmenter)
    if isinstance(augmenter, list):  # as flows are
        changed[:] = [_with_our_tokenizer(part) for part in augmenter]
    for name, ours in (("tokenizer", split_words), ("reverse_tokenizer", join_words)):
        if getattr(getattr(augmenter, name, None), "__module__", None) == _ITS_TOKENIZER:
            setattr(changed, name, ours)
    return changed


def _texts(made: Any, how: str) -> list[str]:
    """The texts in a result of nlpaug: a text, a list of texts, or nested lists."""
    if isinstance(made, list):
        return [text for part in made for text in _texts(part, how)]
    if isinstance(made, str):
        return [made]
    what = f"nlpaug's {how} made a {type(made).__name__}, expected texts."
    raise FewshotError(f"{what} Leave include_detail at false, and use an augmenter of texts.")


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of `random`, NumPy and torch's CPU, and put them back; nothing is printed."""
    python, numpy = random.getstate(), np.random.get_state()
    quiet = contextlib.redirect_stdout(io.StringIO())
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"), quiet:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds every device
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
