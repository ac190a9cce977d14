"""Findings about labels: several spellings, too few texts, or contradictions on the same text."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from fewshot.housekeeping.duplicates import Pair, is_misspelt, pairs_by_key, say_the_same
from fewshot.housekeeping.findings import N_EXAMPLES, Finding, PlacedTexts, counted, quoted

SMALL = 5  # texts; a class with fewer is hard to learn


def folded(label: str) -> str:
    """A label without case, spaces, hyphens, underscores and dots.

    Example:
        >>> folded("Lost card") == folded("lost_card ") == folded("lost-card")
        True
    """
    return re.sub(r"[\s_\-.]+", "", label.casefold())


def spellings(labels: Sequence[str]) -> dict[str, str]:
    """Label → its most frequent spelling, the first of equals; only for labels with several spellings.

    Example:
        >>> spellings(["Lost card", "lost card", "refund", "lost card"])
        {'Lost card': 'lost card'}
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    for label, _ in Counter(labels).most_common():
        if folded(label):
            by_key[folded(label)].append(label)
    return {label: same[0] for same in by_key.values() for label in same[1:]}


def label_findings(labels: Sequence[str], places: Sequence[str]) -> list[Finding]:
    """Labels that differ only in case, spacing or one letter, and classes of few texts."""
    sizes = Counter(label for label in labels if label.strip())
    first = {label: row for row, label in reversed(list(enumerate(labels)))}
    main_of = spellings(list(sizes.elements()))

    def differing(name: str, pairs: Sequence[Sequence[str]], how: str, advice: str) -> list[Finding]:
        if not pairs:
            return []
        examples = tuple(
            f"{places[first[rare]]}: {quoted(rare)} ({sizes[rare]}) beside {quoted(main)} ({sizes[main]})"
            for rare, main in pairs[:N_EXAMPLES]
        )
        sentence = counted(len(pairs), "label differs", "labels differ") + f" from another one only in {how}."
        return [Finding(name, sentence, advice, tuple(first[rare] for rare, _ in pairs), examples)]

    different = [label for label in sizes if label not in main_of]
    misspelt = [sorted(pair, key=sizes.__getitem__) for pair in _misspelt(different)]
    merged = Counter(main_of.get(label, label) for label in sizes.elements())
    return [
        *differing("label spelling", list(main_of.items()), "case or spacing", "--fix writes the more frequent one."),
        *differing("label misspelt", misspelt, "one letter", "Correct them if they mean the same class."),
        *_small(merged, first, places),
    ]


def contradictions(pairs: Sequence[Pair], checked: PlacedTexts, labels: Sequence[str]) -> list[Finding]:
    """Texts that say the same and have different labels; spellings of one label are the same label.

    Args:
        pairs: of near duplicates.
        checked: all texts.
        labels: of all texts.
    """
    different = [
        (a, b)
        for a, b in pairs
        if labels[a].strip()
        and labels[b].strip()
        and folded(labels[a]) != folded(labels[b])
        and say_the_same(checked.texts[a], checked.texts[b])
    ]
    if not different:
        return []
    examples = [
        "; ".join(f"{checked.example(row)} is {quoted(labels[row])}" for row in (b, a))
        for a, b in different[:N_EXAMPLES]
    ]
    sentence = counted(len(different), "pair of texts says the same and has", "pairs of texts say the same and have")
    rows = tuple(b for _, b in different)
    advice = "Decide which one is right, or give both."
    return [Finding("contradictory labels", f"{sentence} different labels.", advice, rows, tuple(examples))]


def _misspelt(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of labels that differ in one letter: they are equal without one letter of each, or of one of them."""
    plain = list(map(folded, labels))
    keyed = ((label[:gap] + label[gap + 1 :], n) for n, label in enumerate(plain) for gap in range(len(label) + 1))
    pairs = sorted(set(pairs_by_key(keyed)))
    return [(labels[a], labels[b]) for a, b in pairs if is_misspelt(plain[a], plain[b])]


def _small(sizes: Counter[str], first: dict[str, int], places: Sequence[str]) -> list[Finding]:
    small = sorted((label for label, size in sizes.items() if size < SMALL), key=sizes.__getitem__)
    if not small:
        return []
    single = sum(sizes[label] == 1 for label in small)
    examples = tuple(
        f"{places[first[label]]}: {quoted(label)} has {counted(sizes[label], 'text', 'texts')}"
        for label in small[:N_EXAMPLES]
    )
    sentence = counted(len(small), "class has", "classes have") + f" fewer than {SMALL} texts"
    sentence += f", {single:,} of them a single one." if single else "."
    advice = "Add texts, or merge classes: one of a single text cannot be tested."
    return [Finding("small classes", sentence, advice, tuple(first[label] for label in small), examples)]
