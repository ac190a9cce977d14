"""Carrier phrases: a few neutral words around a term, so that a term of one word has company."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fewshot.augment.syntax.reading import Text, without_capital
from fewshot.augment.syntax.rule import Rule
from fewshot.errors import ConfigError

CARRIERS: tuple[str, ...] = (
    "the term {}",
    "about {}",
    "the topic of {}",
    "{} (term)",
    "the concept of {}",
    "regarding {}",
    "information about {}",
    "what is meant by {}",
    "on the subject of {}",
    "the name {}",
    "a definition of {}",
    "a note on {}",
    "{} as a topic",
    "concerning {}",
    "an entry on {}",
    "more about {}",
    "facts about {}",
    "in relation to {}",
    "this is about {}",
    "the following: {}",
)


def carrier_rule(carriers: Sequence[str]) -> Rule:
    """The rule that puts a term into each of the phrases.

    Args:
        carriers: phrases with one `{}` where the term goes.

    Raises:
        ConfigError: a phrase has no `{}`, or several, or nothing beside it.

    Example:
        >>> carrier_rule(["the term {}"]).apply("Tularemia")
        ['The term tularemia']
    """
    for carrier in carriers:
        if carrier.count("{}") != 1 or carrier.strip() == "{}":
            raise ConfigError(
                f"Got augment.sources.syntax.carriers with {carrier!r}, expected words with {{}} once where the term "
                'goes. Write it as "the term {}".'
            )

    def carry(text: Text) -> Iterator[Text]:
        term = without_capital(text.sentences[0].body)
        for carrier in carriers:
            yield replace(text.with_sentence(0, text.sentences[0].say(carrier.replace("{}", term))), kind="carried")

    return Rule("carrier", carry, ("term",))
