"""All checks in a row."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fewshot.encoders.languages import is_foreign
from fewshot.errors import TaskError
from fewshot.housekeeping import characters
from fewshot.housekeeping.duplicates import exact_duplicates, near_duplicates
from fewshot.housekeeping.findings import N_EXAMPLES, Finding, Findings, counted, of_rows, quoted
from fewshot.housekeeping.labels import contradictions, label_findings
from fewshot.housekeeping.personal import mask_personal_data, personal_data_is_told
from fewshot.housekeeping.repairs import MOJIBAKE_NOTE

if TYPE_CHECKING:
    from fewshot.encoders import Encoder

_LONG = 190  # words, about as many as 256 tokens, where no encoder says how much it reads
_ARE = ("text has", "texts have")


def check_texts(
    texts: Sequence[str],
    labels: Sequence[str] | None = None,
    encoder: "Encoder | None" = None,
    places: Sequence[str] | None = None,
) -> Findings:
    """Look at texts and their labels for what makes a classifier worse, or should not be kept.

    Nothing is changed; `repair_texts` mends what is safe.

    Args:
        texts: to look at; empty ones are among the findings.
        labels: the label of each, "" where there is none; None leaves out all that is about labels.
        encoder: by whose features labels are doubted; None leaves out likely wrong labels and confused classes.
        places: where each text stands, for examples; None counts them from 1.

    Raises:
        TaskError: lengths differ.

    Example:
        >>> found = check_texts(["My card is lost", "my card is lost!", "Hi"], ["card", "refund", "card"])
        >>> found["contradictory labels"].count
        1
        >>> print(*found["near duplicates"].lines(), sep="\\n")
        1 pair of texts is nearly the same. Keep one of each, or different ones will be counted as known.
          text 2: 'my card is lost!' is like text 1: 'My card is lost'
    """
    if labels is not None and len(labels) != len(texts):
        raise TaskError(f"Got {len(texts)} texts and {len(labels)} labels, expected one label for each text.")
    where = [f"text {number}" for number in range(1, len(texts) + 1)] if places is None else list(places)
    if len(where) != len(texts):
        raise TaskError(f"Got {len(texts)} texts and {len(where)} places, expected one place for each text.")
    shown, personal, notes = _personal(texts, where)
    found = _of_characters(texts, where, shown)
    if not characters.mojibake_is_told():
        notes.append(MOJIBAKE_NOTE)
    found += _of_copies(texts, labels, where, shown)
    if labels is not None:
        found += _missing(labels, where, shown) + label_findings(labels, where)
    judged, long = _of_encoder(texts, labels, encoder, where, shown)
    foreign = [row for row, text in enumerate(texts) if is_foreign(text)]
    sentence = ("text does not seem to be English", "texts do not seem to be English")
    advice = "Use a multilingual encoder, or leave them out."
    found += long + judged + of_rows("other languages", foreign, sentence, advice, where, shown)
    return Findings(len(texts), (*found, *personal), tuple(notes))


def _of_characters(texts: Sequence[str], places: Sequence[str], shown: Sequence[str]) -> list[Finding]:
    def changed(by: Callable[[str], str]) -> list[int]:
        return [row for row, text in enumerate(texts) if by(text) != text]

    mojibake = changed(characters.without_mojibake) if characters.mojibake_is_told() else []
    kinds: tuple[tuple[str, list[int], tuple[str, str], str], ...] = (
        (
            "empty texts",
            [row for row, text in enumerate(texts) if not text.strip()],
            ("text is empty", "texts are empty"),
            "Fill them in or leave them out.",
        ),
        (
            "wrong encoding",
            mojibake,
            (
                f"{_ARE[0]} letters that were read in a wrong encoding",
                f"{_ARE[1]} letters that were read in a wrong encoding",
            ),
            "--fix mends them.",
        ),
        (
            "entities",
            changed(characters.without_entities),
            (f"{_ARE[0]} entities of HTML", f"{_ARE[1]} entities of HTML"),
            "--fix writes the characters that they stand for.",
        ),
        (
            "tags",
            [row for row, text in enumerate(texts) if characters.has_tags(text)],
            (f"{_ARE[0]} tags of HTML", f"{_ARE[1]} tags of HTML"),
            "Export plain text, or remove the tags.",
        ),
        (
            "control characters",
            changed(characters.without_control),
            (
                f"{_ARE[0]} control characters or marks of no width",
                f"{_ARE[1]} control characters or marks of no width",
            ),
            "--fix removes them.",
        ),
        (
            "normal form",
            changed(characters.in_normal_form),
            (f"{_ARE[0]} accents apart from their letters", f"{_ARE[1]} accents apart from their letters"),
            "--fix puts them together (Unicode's form NFC).",
        ),
    )
    return [
        finding
        for name, rows, sentence, advice in kinds
        for finding in of_rows(name, rows, sentence, advice, places, shown)
    ]


def _of_copies(
    texts: Sequence[str], labels: Sequence[str] | None, places: Sequence[str], shown: Sequence[str]
) -> list[Finding]:
    same = exact_duplicates(texts, [""] * len(texts) if labels is None else labels)
    near = near_duplicates(texts)
    exact = {pair for pair in near if texts[pair[0]] == texts[pair[1]]}
    likely = [pair for pair in near if pair not in exact]
    found = []
    if same:
        sentence = (
            counted(len(same), "text stands", "texts stand")
            + " here before"
            + ("." if labels is None else " with the same label.")
        )
        found.append(_pairs("exact duplicates", same, sentence, "--fix keeps the first of each.", places, shown))
    if likely:
        sentence = counted(len(likely), "pair of texts is", "pairs of texts are") + " nearly the same."
        advice = "Keep one of each, or different ones will be counted as known."
        found.append(_pairs("near duplicates", likely, sentence, advice, places, shown))
    return found + ([] if labels is None else contradictions(near, texts, labels, places, shown))


def _pairs(
    name: str,
    pairs: Sequence[tuple[int, int]],
    sentence: str,
    advice: str,
    places: Sequence[str],
    shown: Sequence[str],
) -> Finding:
    examples = [
        f"{places[b]}: {quoted(shown[b])} is like {places[a]}: {quoted(shown[a])}" for a, b in pairs[:N_EXAMPLES]
    ]
    return Finding(name, sentence, advice, tuple(b for _, b in pairs), tuple(examples))


def _missing(labels: Sequence[str], places: Sequence[str], shown: Sequence[str]) -> list[Finding]:
    rows = [row for row, label in enumerate(labels) if not label.strip()]
    return of_rows("no label", rows, ("text has no label", "texts have no label"), "Label them.", places, shown)


def _personal(texts: Sequence[str], places: Sequence[str]) -> tuple[list[str], list[Finding], list[str]]:
    """Texts as examples show them, what was found, and what was not looked at."""
    if not personal_data_is_told():
        note = (
            "Personal data was not looked for: that needs presidio-analyzer. Install it with: pip install "
            "'fewshot-text[check]'"
        )
        return list(texts), [], [note]
    masked, counts = mask_personal_data(texts)
    rows = [row for row, (text, other) in enumerate(zip(texts, masked, strict=True)) if text != other]
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    sentence = (f"{_ARE[0]} personal data ({kinds})", f"{_ARE[1]} personal data ({kinds})")
    advice = "fewshot fit --mask-personal-data masks it."
    return masked, of_rows("personal data", rows, sentence, advice, places, masked), []


def _of_encoder(
    texts: Sequence[str],
    labels: Sequence[str] | None,
    encoder: "Encoder | None",
    places: Sequence[str],
    shown: Sequence[str],
) -> tuple[list[Finding], list[Finding]]:
    """Labels that are doubted, and texts that are too long."""
    full = [row for row, text in enumerate(texts) if text.strip()]
    judged: list[Finding] = []
    if encoder is None or not full:
        long = [row for row in full if len(texts[row].split()) > _LONG]
    else:
        from fewshot.housekeeping.suspects import features_and_pieces, out_of_fold, suspect_findings

        features, n_pieces = features_and_pieces(encoder, [texts[row] for row in full])
        long = [row for row, count in zip(full, n_pieces, strict=True) if count > 1]
        if labels is not None:
            found = out_of_fold(features, [labels[row] for row in full])
            if found is not None:
                judged = suspect_findings(found, [shown[row] for row in full], [places[row] for row in full])
                judged = [replace(finding, rows=tuple(full[row] for row in finding.rows)) for finding in judged]
    sentence = ("text is longer than the encoder reads", "texts are longer than the encoder reads")
    advice = 'Shorten them, or read them in pieces (long_texts="chunk").'
    return judged, of_rows("long texts", long, sentence, advice, places, shown)
