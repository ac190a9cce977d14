"""Personal data by its form: mail addresses, phone numbers, IBANs, cards and numbers of identity.

presidio's pattern recognisers are called one by one, without its engine: no language model, and nothing from the
network. (Its recogniser of mail addresses downloads the list of public suffixes, so these have a pattern here.)
presidio checks the checksums of cards, IBANs and most numbers of identity; one in ten numbers passes by chance, so a
number of identity counts only if it has letters or the text names it. Names and streets are not found.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from fewshot.errors import ConfigError
from fewshot.housekeeping.characters import without_control, without_entities

EMAIL, IBAN, CARD, ID, PHONE = "EMAIL", "IBAN", "CARD", "ID", "PHONE"
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "CH", "AT", "IN", "AU", "BR")  # of numbers without a country code
IDENTITIES = (
    "UsSsn UsItin UkNino Nhs EsNif EsNie ItFiscalCode PlPesel InAadhaar InPan FiPersonalIdentityCode SePersonnummer"
)
_MIN_DIGITS = 5  # of anything but a mail address
_MIN_SCORE = 0.5  # of presidio, for numbers of identity
_MAIL = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]*[\w!#$%&'*+/=?^`{|}~-]@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,}")
_WORDS_OF_PHONES = re.compile(
    r"(?:phone|call|ring|tel|mobile|mob|cell|fax|whatsapp|sms|text me|reach|my number|contact|handy|numéro|teléfono"
    r"|nummer)\W",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?:19|20)\d\d[-/.]\d\d?[-/.]\d\d?\b|\d\d?[-/.]\d\d?[-/.](?:19|20)\d\d\b")
_CONTEXT = 40  # characters before a number in which such a word counts


@dataclass(frozen=True)
class PersonalData:
    """One piece of personal data in a text.

    Args:
        kind: `EMAIL`, `IBAN`, `CARD`, `ID` or `PHONE`.
        start, end: of its characters.
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
        >>> [(piece.kind, text[piece.start : piece.end]) for piece in find_personal_data(text)]
        [('EMAIL', 'anna@example.com'), ('CARD', '4111 1111 1111 1111')]
    """
    check_presidio()
    found: list[PersonalData] = []
    for piece in sorted(_candidates(text), key=lambda piece: (piece.start, -piece.end)):
        if found and piece.start < found[-1].end:  # both are masked, as the kind of the longer one
            longer = max(found[-1], piece, key=lambda piece: piece.end - piece.start)
            found[-1] = PersonalData(longer.kind, found[-1].start, max(found[-1].end, piece.end))
        else:
            found.append(piece)
    return found


def mask_personal_data(texts: Iterable[str]) -> tuple[list[str], Counter[str]]:
    """Texts with each piece of personal data replaced by its kind, and the number of pieces of each kind.

    A text that has some also loses its entities of HTML and its control characters.

    Raises:
        ConfigError: presidio-analyzer is not installed.

    Example:
        >>> mask_personal_data(["Write to anna@example.com", "My card is lost"])
        (['Write to <EMAIL>', 'My card is lost'], Counter({'EMAIL': 1}))
    """
    masked, counts = [], Counter[str]()
    for original in texts:
        text = without_control(without_entities(original))  # these may be in the middle of an address
        pieces = find_personal_data(text)
        if not pieces:
            masked.append(original)
            continue
        for piece in reversed(pieces):
            text = f"{text[: piece.start]}<{piece.kind}>{text[piece.end :]}"
        counts.update(piece.kind for piece in pieces)
        masked.append(text)
    return masked, counts


def has_presidio() -> bool:
    """True if presidio-analyzer is installed."""
    return find_spec("presidio_analyzer") is not None


def check_presidio() -> None:
    """Raise a ConfigError if presidio-analyzer is not installed."""
    if not has_presidio():
        raise ConfigError(
            "Finding personal data needs presidio-analyzer. Install it with: pip install 'fewshot-text[check]'"
        )


def _candidates(text: str) -> Iterator[PersonalData]:
    """Pieces that may be personal data; some overlap."""
    text = text.replace("\uff20", "@")  # full-width @
    if "@" in text:
        yield from (PersonalData(EMAIL, match.start(), match.end()) for match in _MAIL.finditer(text))
    if sum(letter.isdigit() for letter in text) < _MIN_DIGITS:
        return
    capitals = "".join(letter.upper() if letter.isascii() else letter for letter in text)  # of the same length
    for kind, recogniser in _recognisers():
        for result in recogniser.analyze(capitals, recogniser.supported_entities, None):
            piece = PersonalData(kind, result.start, result.end)
            likely = kind in (IBAN, CARD)
            if kind == ID:
                likely = result.score >= _MIN_SCORE and _is_identity(text, piece, recogniser.context or ())
            if likely or (kind == PHONE and _is_phone(text, piece)):
                yield piece


def _is_identity(text: str, piece: PersonalData, context: Iterable[str]) -> bool:
    """True if a number with a right checksum is one of identity: it has letters, or the text names it."""
    if any(map(str.isalpha, text[piece.start : piece.end])):
        return True
    names = "|".join(re.escape(word.strip()) for word in context)
    return re.search(rf"\b(?:{names})\b", text, re.IGNORECASE) is not None


def _is_phone(text: str, piece: PersonalData) -> bool:
    """True if digits that are a valid phone number are one: by their grouping, or by a word before them."""
    number = text[piece.start : piece.end]
    if _DATE.match(number):
        return False
    groups = re.findall(r"\d+", number)
    if number[0] in "+(" or (number[0] == "0" and len(groups[0]) > 1):
        return True
    if len(groups) > 1 and all(2 <= len(group) <= 5 for group in groups) and sum(map(len, groups)) >= 9:
        return True
    return _WORDS_OF_PHONES.search(text[max(0, piece.start - _CONTEXT) : piece.start]) is not None


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
