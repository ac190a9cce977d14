"""Detect texts in a language that an English encoder does not know, by their letters and small words.

    foreign(text) = most of its letters are not Latin
                    or it has more small words of other languages than of English
                    or it has no small word of English, and letters with marks in two words and a fifth of all

Scripts tell Chinese, Russian, Arabic or Hindi; small words (articles, pronouns, prepositions) tell German, French or
Spanish, and marks tell the rest of those that are written in Latin letters. Technical English has few small words, and
none of others. Words that stand in English texts too ("die", "an", "pour") are in no list. Word pieces per word do not
tell German (2.3 with the bundled model) from medical English (2.4).
"""

import logging
import re
import unicodedata
from collections.abc import Sequence

from fewshot.encoders.source import BUNDLED, STATIC

log = logging.getLogger(__name__)

WARNS_FROM = 0.2  # share of texts in other languages
MULTILINGUAL = (
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
)


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Names, without organisation, of encoders that were trained on English alone; of others nothing is said.
ENGLISH = _words(
    "all-MiniLM-L6-v2 all-MiniLM-L12-v2 all-mpnet-base-v2 all-mpnet-base-v1 all-distilroberta-v1 "
    "multi-qa-MiniLM-L6-cos-v1 multi-qa-mpnet-base-dot-v1 paraphrase-MiniLM-L6-v2 paraphrase-mpnet-base-v2 "
    "bge-small-en-v1.5 bge-base-en-v1.5 bge-large-en-v1.5 e5-small-v2 e5-base-v2 e5-large-v2 gte-small gte-base "
    "gte-large bert-base-uncased"
)
_MAX_TEXTS = 1000  # that are examined
_MAX_CHARACTERS = 2000  # of a text
_ENGLISH_WORDS = _words(
    "the of and to is are was were be been it its this that these those you your my we our he she they their i i'm "
    "with for from have has had not do does did can could will would should what which when where why how who there "
    "on at by as or if any some me please in a an get got"
)
# Words that do not stand in English texts, not even as names or abbreviations ("LA", "die", "et al").
_FOREIGN_WORDS = _words(
    # German
    "der das dem ein eine einen einem einer und ist sind nicht ich wir ihr mein meine meinen meiner mit für auf zu "
    "zum zur wie wo warum wenn auch bei aus nach oder kann haben habe wurde werden dass noch kein keine es sich sie "
    "bitte mir nur schon wird "
    # French
    "le les une est sont je nous vous elle ma mes votre avec dans des pas que qui où pourquoi comment c'est j'ai mais "
    "aux ce cette ne quand quel quelle été mon voudrais puis "
    # Spanish and Portuguese
    "los las una mis por del qué cómo cuándo dónde pero está están tengo quiero puedo necesito hay uma são "
    "não eu meu minha com quando onde porque você seu sua quero posso tenho como "
    # Italian
    "il gli sono mia che chi perché dove della alla nel questo questa voglio mio "
    # Dutch
    "het een ik mijn zijn niet met voor van naar wat hoe waar waarom wanneer ook maar heb heeft kan geen deze dit wil "
    # Polish, Czech, Turkish, Swedish, Norwegian, Danish
    "nie jest się czy jak moja gdzie kiedy dlaczego kde proč mám bir için ne zaman nasıl neden istiyorum "
    "och är jag inte det på för mitt hur varför jeg ikke til hvordan hvorfor"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_warned: set[str] = set()  # encoders that were warned of in this process


def knows_english_alone(model: str) -> bool:
    """True if an encoder is known to be trained on English alone; a folder goes by its name."""
    return model in (BUNDLED, STATIC) or model.rstrip("/").rpartition("/")[2] in ENGLISH


def foreign_share(texts: Sequence[str]) -> float:
    """Share of texts, of those with letters, that do not seem to be English; 0 for a single one in Latin letters.

    Example:
        >>> round(foreign_share(["Where is my card?", "Wo ist meine Karte?", "我的卡在哪里", "42"]), 2)
        0.67
    """
    sample = texts[:: max(1, len(texts) // _MAX_TEXTS)]
    known = [verdict for text in sample if (verdict := is_foreign(text)) is not None]
    certain = sum(known) > 1 or any(in_another_script(text) for text in sample)
    return sum(known) / len(known) if known and certain else 0.0


def in_another_script(text: str) -> bool:
    """True if most letters of a text are not Latin."""
    letters = _letters(text)
    latin = sum(letter.isascii() or unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return latin < len(letters) / 2


def is_foreign(text: str) -> bool | None:
    """True if a text does not seem to be English; None if it has no letters."""
    if not _letters(text):
        return None
    if in_another_script(text):
        return True
    words = [word.replace("’", "'") for word in _WORD.findall(text[:_MAX_CHARACTERS].casefold())]
    english = sum(word in _ENGLISH_WORDS for word in words)
    other = sum(word in _FOREIGN_WORDS for word in words)
    marked = sum(not word.isascii() for word in words)
    return other > english or (english == 0 and marked >= max(2, len(words) / 5))


def warn_of_language(model: str, texts: Sequence[str], once: bool = False) -> None:
    """Warn if many texts are in a language that an encoder does not know.

    Args:
        model: as in `EncoderSettings`; of those not known to be English nothing is said.
        texts: of which at most about 2000 are examined.
        once: warn of each encoder once in a process.
    """
    if not knows_english_alone(model) or (once and model in _warned):
        return
    share = foreign_share(texts)
    if share < WARNS_FROM:
        return
    _warned.add(model)
    log.warning(
        f"About {share:.0%} of the texts do not seem to be English, and the encoder {model!r} knows English alone: "
        f"expect wrong labels. Choose a multilingual one: encoder={MULTILINGUAL[0]!r} or {MULTILINGUAL[1]!r}, on the "
        f"command line encoder=multilingual."
    )


def _letters(text: str) -> list[str]:
    return [letter for letter in text[:_MAX_CHARACTERS] if letter.isalpha()]
