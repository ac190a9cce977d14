"""Labels: written in several ways, with too few texts, or contradicting each other on the same text."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations

from fewshot.housekeeping.duplicates import Pair, is_misspelt, mean_the_same
from fewshot.housekeeping.findings import N_EXAMPLES, Finding, counted, quoted

SMALL, SMALLEST = 5, 2  # texts of a class, below which it is hard to learn, and cannot be tested


def folded(label: str) -> str:
    """A label without what its ways of writing differ in: case, spaces, hyphens, underscores.

    Example:
        >>> folded("Lost card") == folded("lost_card ") == folded("lost-card")
        True
    """
    return re.sub(r"[\s_\-.]+", "", label.casefold())


def spellings(labels: Sequence[str]) -> dict[str, str]:
    """Label → the most frequent way to write it, for those that are written in several ways; the first of equals.

    Example:
        >>> spellings(["Lost card", "lost card", "refund", "lost card"])
        {'Lost card': 'lost card'}
    """
    ways: dict[str, list[str]] = defaultdict(list)
    for label, _ in Counter(labels).most_common():
        if folded(label):
            ways[folded(label)].append(label)
    return {label: own[0] for own in ways.values() for label in own[1:]}


def label_findings(labels: Sequence[str], places: Sequence[str]) -> list[Finding]:
    """Labels that differ only in case, spacing or spelling, and classes of few texts."""
    sizes = Counter(label for label in labels if label.strip())
    first = {label: row for row, label in reversed(list(enumerate(labels)))}
    other = spellings(list(sizes.elements()))
    found = []
    if other:
        examples = [
            f"{places[first[label]]}: {quoted(label)} ({sizes[label]}) beside {quoted(main)} ({sizes[main]})"
            for label, main in other.items()
        ]
        sentence = counted(len(other), "label differs", "labels differ") + " from another one only in case or spacing."
        rows = tuple(first[label] for label in other)
        found.append(_labels("label spelling", sentence, "--fix writes the more frequent one.", rows, examples))
    found += _misspelt(sizes, other, first, places)
    return found + _small(Counter(other.get(label, label) for label in sizes.elements()), first, places)


def _misspelt(
    sizes: Counter[str], other: dict[str, str], first: dict[str, int], places: Sequence[str]
) -> list[Finding]:
    mains = [label for label in sizes if label not in other]
    pairs = [sorted(pair, key=lambda label: sizes[label]) for pair in combinations(mains, 2) if _alike(*pair)]
    if not pairs:
        return []
    examples = [
        f"{places[first[rare]]}: {quoted(rare)} ({sizes[rare]}) beside {quoted(main)} ({sizes[main]})"
        for rare, main in pairs
    ]
    sentence = counted(len(pairs), "label differs", "labels differ") + " from another one in one letter."
    rows = tuple(first[rare] for rare, _ in pairs)
    return [_labels("label misspelt", sentence, "Correct them where they mean the same class.", rows, examples)]


def _alike(one: str, other: str) -> bool:
    return is_misspelt(folded(one), folded(other))


def _small(sizes: Counter[str], first: dict[str, int], places: Sequence[str]) -> list[Finding]:
    small = [label for label, size in sizes.items() if size < SMALL]
    if not small:
        return []
    single = sum(sizes[label] < SMALLEST for label in small)
    examples = [
        f"{places[first[label]]}: {quoted(label)} has {counted(sizes[label], 'text', 'texts')}"
        for label in sorted(small, key=lambda label: sizes[label])
    ]
    alone = f", {single} of them a single one" if single else ""
    sentence = counted(len(small), "class has", "classes have") + f" fewer than {SMALL} texts{alone}."
    advice = f"Add texts, or merge classes: one of fewer than {SMALLEST} cannot be tested."
    rows = tuple(first[label] for label in small)
    return [_labels("small classes", sentence, advice, rows, examples)]


def contradictions(
    pairs: Sequence[Pair], texts: Sequence[str], labels: Sequence[str], places: Sequence[str], shown: Sequence[str]
) -> list[Finding]:
    """Texts that say the same and have different labels; ways to write one label are the same label.

    Args:
        pairs: of near duplicates.
        texts, labels, places, shown: of all texts, as in `of_rows`.
    """
    found = [
        (a, b)
        for a, b in pairs
        if labels[a].strip()
        and labels[b].strip()
        and folded(labels[a]) != folded(labels[b])
        and mean_the_same(texts[a], texts[b])
    ]
    if not found:
        return []
    examples = [
        "; ".join(f"{places[row]}: {quoted(shown[row])} is {quoted(labels[row])}" for row in (b, a))
        for a, b in found[:N_EXAMPLES]
    ]
    sentence = counted(len(found), "pair of texts says the same and has", "pairs of texts say the same and have")
    sentence += " different labels."
    advice = "Decide which one is right, or give both."
    return [_labels("contradictory labels", sentence, advice, tuple(b for _, b in found), examples)]


def _labels(name: str, sentence: str, advice: str, rows: tuple[int, ...], examples: Sequence[str]) -> Finding:
    return Finding(name, sentence, advice, rows, tuple(examples[:N_EXAMPLES]))
