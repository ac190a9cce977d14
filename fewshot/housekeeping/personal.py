"""Personal data by its form: mail addresses, phone numbers, IBANs, cards and numbers of identity.

presidio's pattern recognisers are called one by one, without its engine: no language model, and nothing from the
network. (Its recogniser of mail addresses asks for the list of public suffixes, so ours is a pattern of its own.)
Checksums are theirs: a card, an IBAN and most numbers of identity have to add up. Names and streets are not found.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from fewshot.errors import ConfigError

EMAIL, IBAN, CARD, ID, PHONE = "EMAIL", "IBAN", "CARD", "ID", "PHONE"
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "CH", "AT", "IN", "AU", "BR")  # of numbers without a country code
IDENTITIES = (
    "UsSsn UsItin UkNino Nhs EsNif EsNie ItFiscalCode PlPesel InAadhaar InPan FiPersonalIdentityCode SePersonnummer"
)
_FEWEST_DIGITS = 5  # in anything but a mail address
_SURE = 0.5  # of presidio's scores of numbers of identity
_MAIL = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]*[\w!#$%&'*+/=?^`{|}~-]@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,}")
_WORDS_OF_PHONES = re.compile(
    r"(?:phone|call|ring|tel|mobile|mob|cell|fax|whatsapp|sms|text me|reach|contact|handy|numéro|teléfono|nummer)\W",
    re.IGNORECASE,
)
_BEFORE = 40  # characters in which such a word may stand


@dataclass(frozen=True)
class PersonalData:
    """One piece of personal data in a text.

    Args:
        kind: `EMAIL`, `IBAN`, `CARD`, `ID` or `PHONE`.
        start, end: its characters.
    """

    kind: str
    start: int
    end: int


def find_personal_data(text: str) -> list[PersonalData]:
    """The personal data of a text, in its order, without overlaps.

    Raises:
        ConfigError: presidio-analyzer is not installed.

    Example:
        >>> text = "Write to anna@example.com, card 4111 1111 1111 1111"
        >>> [(found.kind, text[found.start : found.end]) for found in find_personal_data(text)]
        [('EMAIL', 'anna@example.com'), ('CARD', '4111 1111 1111 1111')]
    """
    check_presidio()
    found: list[PersonalData] = []
    for kind, start, end in _candidates(text):
        if all(end <= other.start or start >= other.end for other in found):
            found.append(PersonalData(kind, start, end))
    return sorted(found, key=lambda piece: piece.start)


def mask_personal_data(texts: Iterable[str]) -> tuple[list[str], Counter[str]]:
    """Texts with the kind in place of each piece of personal data, and how many there were of each kind.

    Raises:
        ConfigError: presidio-analyzer is not installed.

    Example:
        >>> mask_personal_data(["Write to anna@example.com", "My card is lost"])
        (['Write to <EMAIL>', 'My card is lost'], Counter({'EMAIL': 1}))
    """
    masked, counts = [], Counter[str]()
    for text in texts:
        pieces = find_personal_data(text)
        for piece in reversed(pieces):
            text = f"{text[: piece.start]}<{piece.kind}>{text[piece.end :]}"
        counts.update(piece.kind for piece in pieces)
        masked.append(text)
    return masked, counts


def has_presidio() -> bool:
    """Whether presidio-analyzer is installed."""
    return find_spec("presidio_analyzer") is not None


def check_presidio() -> None:
    """Raise a ConfigError if presidio-analyzer is not installed."""
    if not has_presidio():
        raise ConfigError(
            "Finding personal data needs presidio-analyzer. Install it with: pip install 'fewshot-text[check]'"
        )


def _candidates(text: str) -> Iterable[tuple[str, int, int]]:
    """Kind, start and end of all that may be personal data; where two overlap, the first one counts."""
    if "@" in text:
        yield from ((EMAIL, found.start(), found.end()) for found in _MAIL.finditer(text))
    if sum(letter.isdigit() for letter in text) < _FEWEST_DIGITS:
        return
    capitals = "".join(letter.upper() if letter.isascii() else letter for letter in text)  # of the same length
    for kind, recogniser in _recognisers():
        for result in recogniser.analyze(capitals, recogniser.supported_entities, None):
            sure = kind != ID or result.score >= _SURE
            if sure and (kind != PHONE or _is_phone(text, result.start, result.end)):
                yield kind, result.start, result.end


def _is_phone(text: str, start: int, end: int) -> bool:
    """Whether digits that a country may have as a number are one: they are set like it, or a word before says so."""
    groups = re.findall(r"\d+", text[start:end])
    if text[start] in "+0(":
        return True
    if len(groups) > 1 and all(2 <= len(group) <= 5 for group in groups) and sum(map(len, groups)) >= 9:
        return True
    return _WORDS_OF_PHONES.search(text[max(0, start - _BEFORE) : start]) is not None


@cache
def _recognisers() -> tuple[tuple[str, Any], ...]:
    from presidio_analyzer import predefined_recognizers as known

    identities = ((ID, getattr(known, f"{name}Recognizer")()) for name in IDENTITIES.split())
    return (
        (IBAN, known.IbanRecognizer()),
        (CARD, known.CreditCardRecognizer()),
        *identities,
        (PHONE, known.PhoneRecognizer(supported_regions=REGIONS)),
    )
