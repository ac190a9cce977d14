"""A rule: one way to say a text differently, without memory and without chance."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fewshot.augment.syntax.reading import Kind, Sentence, Text, read, write


@dataclass(frozen=True)
class Rule:
    """One way to say a text differently.

    Args:
        name: word for settings and for the account of what was done.
        rewrite: a text → the texts that it can become; nothing where the rule does not fit.
        kinds: the kinds of text that it is for.
        is_dressing: whether it only adds words that say nothing, such as a greeting; what it makes comes later.
        of_sentence: a sentence → what it can become, where the rule looks at one sentence at a time.
    """

    name: str
    rewrite: Callable[[Text], Iterable[Text]]
    kinds: tuple[Kind, ...] = ("sentences",)
    is_dressing: bool = False
    of_sentence: Callable[[Sentence], Iterable[Sentence]] | None = None

    def __call__(self, text: Text) -> Iterable[Text]:
        """What the rule makes of a text that was read."""
        return self.rewrite(text) if text.kind in self.kinds else ()

    def apply(self, text: str) -> list[str]:
        """What the rule alone makes of a text, distinct and without the text itself, in a fixed order.

        Example:
            >>> from fewshot.augment.syntax import RULES
            >>> RULES["clause_order"].apply("If my card is lost, what should I do?")
            ['What should I do if my card is lost?']
        """
        made = dict.fromkeys(write(new) for new in self(read(text)))
        return [new for new in made if new != text]


def sentence_rule(
    name: str, rewrite: Callable[[Sentence], Iterable[Sentence]], kinds: tuple[Kind, ...] = ("sentences",)
) -> Rule:
    """A rule for one sentence, tried on each sentence of a text."""

    def everywhere(text: Text) -> Iterator[Text]:
        for index, sentence in enumerate(text.sentences):
            for new in rewrite(sentence):
                yield text.with_sentence(index, new)

    return Rule(name, everywhere, kinds, of_sentence=rewrite)


def body_rule(name: str, rewrite: Callable[[str], Iterable[str]], kinds: tuple[Kind, ...] = ("sentences",)) -> Rule:
    """A rule that changes words of one sentence and leaves it the question or statement that it is."""
    return sentence_rule(name, lambda sentence: (sentence.say(body) for body in rewrite(sentence.body)), kinds)


def term_rule(name: str, rewrite: Callable[[str], Iterable[str]]) -> Rule:
    """A rule for texts that are names of things, not sentences."""
    return body_rule(name, rewrite, ("term",))


_ENDS = r"(?:(?<= )|(?![\w'-]))"  # behind a space, or before what is no part of a word


def swaps(pairs: Sequence[tuple[str, str]]) -> Callable[[str], Iterator[str]]:
    """Replace any one place that a pattern matches.

    Args:
        pairs: pattern of whole words (case matters), and what stands there instead, with `\\\\1` for groups.
    """
    patterns = [pattern for pattern, _ in pairs]
    # One search for all: most sentences have none of the places.
    anywhere = re.compile(rf"(?<![\w'-])(?:{'|'.join(f'(?:{p})' for p in patterns)}){_ENDS}")
    compiled = [(re.compile(rf"(?<![\w'-])(?:{pattern}){_ENDS}"), new) for pattern, new in pairs]

    def rewrite(body: str) -> Iterator[str]:
        if anywhere.search(body) is None:
            return
        for pattern, new in compiled:
            for found in pattern.finditer(body):
                yield body[: found.start()] + found.expand(new) + body[found.end() :]

    return rewrite
