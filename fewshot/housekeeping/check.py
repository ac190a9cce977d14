"""All checks of texts and labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fewshot.encoders.languages import MULTILINGUAL, in_another_script, is_foreign, knows_english_alone
from fewshot.errors import TaskError
from fewshot.housekeeping.characters import FTFY_NOTE, has_ftfy, has_tags, possible_repairs
from fewshot.housekeeping.duplicates import Pair, exact_duplicates, near_duplicates
from fewshot.housekeeping.findings import N_EXAMPLES, Finding, Findings, PlacedTexts, counted
from fewshot.housekeeping.labels import contradictions, label_findings
from fewshot.housekeeping.personal import has_presidio, mask_personal_data

if TYPE_CHECKING:
    from fewshot.encoders import Encoder

_LONG = 190  # words, about 256 tokens; the limit without an encoder
_PRESIDIO_NOTE = (
    "Personal data was not checked, and examples show it: that needs presidio-analyzer. Install it with: pip install "
    "'fewshot-text[check]'"
)


def check_texts(
    texts: Sequence[str],
    labels: Sequence[str] | None = None,
    encoder: "Encoder | None" = None,
    places: Sequence[str] | None = None,
) -> Findings:
    """Find faults of texts and labels that make a classifier worse, and personal data.

    Nothing is changed; `repair_texts` repairs what is safe.

    Args:
        texts: to check; empty ones are among the findings.
        labels: the label of each text, "" for none; None leaves out all checks of labels.
        encoder: its features find likely wrong labels and confused classes, and its limit finds texts that are too
            long; None leaves these out. It reads the texts with personal data masked.
        places: location of each text, for examples; None counts them from 1.

    Raises:
        TaskError: lengths differ.

    Example:
        >>> found = check_texts(["My card is lost", "my card is lost!", "Hi"], ["card", "refund", "card"])
        >>> found["contradictory labels"].count
        1
        >>> print(*found["near duplicates"].lines(), sep="\\n")
        1 text is nearly the same as an earlier one. Keep one of each, or held-out texts are not new ones.
          text 2: 'my card is lost!' is like text 1: 'My card is lost'
    """
    if labels is not None and len(labels) != len(texts):
        raise TaskError(f"Got {len(texts)} texts and {len(labels)} labels, expected one label for each text.")
    places = [f"text {number}" for number in range(1, len(texts) + 1)] if places is None else list(places)
    if len(places) != len(texts):
        raise TaskError(f"Got {len(texts)} texts and {len(places)} places, expected one place for each text.")
    checked = PlacedTexts(texts, places)
    masked, personal = _personal(checked)
    findings = [*_of_characters(checked), *_of_copies(checked, labels)]
    if labels is not None:
        unlabelled = [row for row, label in enumerate(labels) if not label.strip()]
        findings += checked.about("no label", unlabelled, "has no label", "Label them.")
        findings += label_findings(labels, places)
    findings += _of_encoder(checked, masked, labels, encoder) + _of_languages(checked, encoder) + personal
    notes = [*([] if has_ftfy() else [FTFY_NOTE]), *([] if has_presidio() else [_PRESIDIO_NOTE])]
    return Findings(len(texts), tuple(findings), tuple(notes))


def _of_characters(checked: PlacedTexts) -> list[Finding]:
    empty = [row for row, text in enumerate(checked.texts) if not text.strip()]
    tagged = [row for row, text in enumerate(checked.texts) if has_tags(text)]
    findings = checked.about("empty texts", empty, "is empty", "Fill them in, or leave them out.")
    for name, trouble, repair in possible_repairs():
        rows = [row for row, text in enumerate(checked.texts) if repair(text) != text]
        findings += checked.about(name, rows, f"has {trouble}", "--fix repairs them.")
    return findings + checked.about("tags", tagged, "has tags of HTML", "Export plain text, or remove the tags.")


def _of_copies(checked: PlacedTexts, labels: Sequence[str] | None) -> list[Finding]:
    texts = checked.texts
    same = exact_duplicates(texts, [""] * len(texts) if labels is None else labels)
    near = near_duplicates(texts)
    different = {b: a for a, b in reversed(near) if texts[a] != texts[b]}  # text → the first one that is like it
    repeated = counted(len(same), "text repeats", "texts repeat") + " an earlier one"
    repeated += "." if labels is None else " with the same label."
    nearly = counted(len(different), "text is", "texts are") + " nearly the same as an earlier one."
    advice = "Keep one of each, or held-out texts are not new ones."
    return [
        *_of_pairs("exact duplicates", same, repeated, "--fix keeps the first of each.", checked),
        *_of_pairs("near duplicates", [(a, b) for b, a in sorted(different.items())], nearly, advice, checked),
        *([] if labels is None else contradictions(near, checked, labels)),
    ]


def _of_pairs(name: str, pairs: Sequence[Pair], sentence: str, advice: str, checked: PlacedTexts) -> list[Finding]:
    examples = tuple(f"{checked.example(b)} is like {checked.example(a)}" for a, b in pairs[:N_EXAMPLES])
    return [Finding(name, sentence, advice, tuple(b for _, b in pairs), examples)] if pairs else []


def _personal(checked: PlacedTexts) -> tuple[Sequence[str], list[Finding]]:
    """Texts with personal data masked, and the finding; the texts themselves without presidio."""
    if not has_presidio():
        return checked.texts, []
    masked, counts = mask_personal_data(checked.texts)
    rows = [row for row, (text, other) in enumerate(zip(checked.texts, masked, strict=True)) if text != other]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    advice = "fewshot fit --mask-personal-data masks it."
    return masked, checked.about("personal data", rows, f"has personal data ({kinds})", advice)


def _of_encoder(
    checked: PlacedTexts, masked: Sequence[str], labels: Sequence[str] | None, encoder: "Encoder | None"
) -> list[Finding]:
    """Texts that are too long, labels that are likely wrong, and classes that are confused."""
    findings: list[Finding] = []
    if encoder is None or not any(text.strip() for text in masked):
        long = [row for row, text in enumerate(masked) if len(text.split()) > _LONG]
    else:
        from fewshot.housekeeping.suspects import confused, features_and_pieces, mislabelled, out_of_fold

        features, n_pieces = features_and_pieces(encoder, masked)
        long = [row for row, count in enumerate(n_pieces) if count > 1]
        of_non_empty = [label if count else "" for label, count in zip(labels or [], n_pieces, strict=False)]
        held_out = out_of_fold(features, of_non_empty) if labels else None
        if held_out is not None:
            findings = mislabelled(held_out, checked) + confused(held_out)
    advice = 'Shorten them, or read them in pieces (long_texts="chunk").'
    return checked.about("long texts", long, "is longer than the encoder reads", advice) + findings


def _of_languages(checked: PlacedTexts, encoder: "Encoder | None") -> list[Finding]:
    """Texts in another language than the majority: not English, or, if the majority is not, in another script."""
    with_letters = [row for row, text in enumerate(checked.texts) if is_foreign(text) is not None]
    foreign = [row for row in with_letters if is_foreign(checked.texts[row])]
    trouble = "does not seem to be English"
    if 2 * len(foreign) <= len(with_letters):
        advice = "Use a multilingual encoder, or leave them out."
        return checked.about("other languages", foreign, trouble, advice)
    findings = []
    if encoder is not None and knows_english_alone(encoder.model):
        findings = checked.about(
            "other languages", foreign, trouble, f"Use a multilingual encoder: --encoder {MULTILINGUAL[0]}"
        )
    scripts = [(row, in_another_script(checked.texts[row])) for row in with_letters]
    majority = 2 * sum(other for _, other in scripts) > len(scripts)
    odd = [row for row, other in scripts if other != majority]
    return findings + checked.about(
        "other scripts", odd, "is in another script than most", "Leave them out if new texts are not."
    )
