"""The rules that make terms and classes out of MeSH; their numbers are those of README.md."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from keys import jaccard, key, turned

BRANCHES = (
    "A", "C", "D", "E", "F", "G", "N02", "N04", "N05", "N06", "B03", "B04", "B01.300", "B01.050.500.500",
)  # fmt: skip
MIN_HEADINGS = 80
MAX_WORDS = 10
MAX_SYNONYMS = 6
NEAR = 0.75
MAX_STEM_PERCENT = 20
MIN_TERMS = 50
SPLIT_PERCENT = {"train": 60, "valid": 20, "test": 20}
SPLIT = "01"


class Descriptor(NamedTuple):
    """One heading of MeSH, with its tree numbers in the branches of rule 1."""

    mesh_id: str
    heading: str
    entry_terms: tuple[str, ...]
    tree_numbers: tuple[str, ...]


class Term(NamedTuple):
    """One descriptor as a text of a class."""

    text: str
    label: str
    key: tuple[str, ...]
    descriptor: Descriptor


class Node(NamedTuple):
    """A tree node that makes a class: the number of headings below it, and below its largest descendant."""

    tree_number: str
    heading: str
    headings: int
    largest_below: int


# --- rules 1 and 2: branches and classes ---


def in_branches(tree_number: str) -> bool:
    """Say whether a tree number is in one of the branches of rule 1."""
    return any(
        tree_number.startswith(branch) if len(branch) == 1 else is_under(tree_number, branch, itself=True)
        for branch in BRANCHES
    )


def is_under(tree_number: str, node: str, itself: bool = False) -> bool:
    """Say whether a tree number is below a node, or, with `itself`, is that node."""
    return tree_number.startswith(node + ".") or (itself and tree_number == node)


def ancestors(tree_number: str) -> list[str]:
    """Return the nodes above a tree number, from the top.

    Example:
        >>> ancestors("C04.588.149")
        ['C04', 'C04.588']
    """
    parts = tree_number.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def class_nodes(descriptors: list[Descriptor]) -> list[Node]:
    """Rule 2: the nodes with at least 80 headings below them and no such node below them, by tree number."""
    heading_of = {number: d.heading for d in descriptors for number in d.tree_numbers}
    below = defaultdict(set)
    for number, heading in heading_of.items():
        for ancestor in ancestors(number):
            below[ancestor].add(heading)
    largest_below = Counter()
    for node, headings in below.items():
        for ancestor in ancestors(node):
            largest_below[ancestor] = max(largest_below[ancestor], len(headings))
    return [
        Node(node, heading_of[node], len(below[node]), largest_below[node])
        for node in sorted(below)
        if node in heading_of and len(below[node]) >= MIN_HEADINGS > largest_below[node]
    ]


def labels_above(tree_numbers: Iterable[str], label_of: dict[str, str]) -> list[str]:
    """Return the classes that have one of the tree numbers below one of their nodes, sorted."""
    return sorted({label_of[node] for n in tree_numbers for node in ancestors(n) if node in label_of})


# --- rules 3 to 6: terms ---


def candidate_terms(descriptors: list[Descriptor], nodes: list[Node]) -> list[Term]:
    """Rule 3 and the first half of rule 4: a turned heading for each descriptor under exactly one class."""
    label_of = {node.tree_number: node.heading for node in nodes}
    names = set(label_of.values())
    name_keys = {key(name) for name in names}
    terms = []
    for descriptor in descriptors:
        text = turned(descriptor.heading)
        labels = labels_above(descriptor.tree_numbers, label_of)
        taken = descriptor.heading in names or key(text) in name_keys
        if len(labels) == 1 and not taken and key(text) and len(text.split()) <= MAX_WORDS:
            terms.append(Term(text, labels[0], key(text), descriptor))
    return sorted(terms, key=lambda term: (term.label, term.text, term.descriptor.mesh_id))


def without_shared_keys(terms: list[Term]) -> list[Term]:
    """The second half of rule 4: leave out the terms whose key stands in two classes."""
    labels = defaultdict(set)
    for term in terms:
        labels[term.key].add(term.label)
    return [term for term in terms if len(labels[term.key]) == 1]


def without_near_duplicates(terms: list[Term]) -> list[Term]:
    """Rule 5, for the terms of one class: keep a term unless its key is near that of one kept before it."""
    kept: list[Term] = []
    for term in terms:
        if all(jaccard(term.key, other.key) < NEAR for other in kept):
            kept.append(term)
    return kept


def without_giveaway_stems(terms: list[Term]) -> list[Term]:
    """Rule 6, for the terms of one class: drop terms, one by one, until no stem is in more than 20 % of them.

    The term that goes is the one with most of the stems in excess; between equals, a hash of the MeSH
    identifier decides, so that no letter of the alphabet is favoured.
    """
    kept = list(terms)
    while True:
        counts = Counter(stem for term in kept for stem in term.key)
        excess = {stem for stem, count in counts.items() if 100 * count > MAX_STEM_PERCENT * len(kept)}
        if not excess:
            return kept
        kept.remove(max(kept, key=lambda term: (len(excess & set(term.key)), sha256(term.descriptor.mesh_id))))


def chosen_terms(descriptors: list[Descriptor], nodes: list[Node]) -> list[Term]:
    """Rules 3 to 6: the terms of every class that keeps at least 50 of them, by class and term."""
    of_label = defaultdict(list)
    for term in without_shared_keys(candidate_terms(descriptors, nodes)):
        of_label[term.label].append(term)
    chosen = (without_giveaway_stems(without_near_duplicates(terms)) for terms in of_label.values())
    return [term for terms in chosen if len(terms) >= MIN_TERMS for term in terms]


def synonyms(terms: list[Term]) -> list[list[str]]:
    """Rule 3: the entry terms of each term that say it in other words, at most 6, in the order of MeSH.

    An entry term with the key of the term itself, of an earlier synonym, of a class name or of anything
    in another class is left out.
    """
    labels = defaultdict(set)
    for term in terms:
        for text in (term.text, *map(turned, term.descriptor.entry_terms)):
            labels[key(text)].add(term.label)
    taken = {key(term.text) for term in terms} | {key(term.label) for term in terms} | {()}
    return [_other_words(term, labels, taken) for term in terms]


def _other_words(term: Term, labels: dict[tuple[str, ...], set[str]], taken: set[tuple[str, ...]]) -> list[str]:
    chosen = {}
    for text in map(turned, term.descriptor.entry_terms):
        own = key(text)
        if own not in taken and own not in chosen and len(labels[own]) == 1 and len(text.split()) <= MAX_WORDS:
            chosen[own] = text
    return list(chosen.values())[:MAX_SYNONYMS]


# --- rule 7: the split of classes ---


def class_splits(branch_of: dict[str, str]) -> dict[str, list[str]]:
    """Rule 7: split the classes 60/20/20, spread over the branches.

    The classes are walked branch by branch, in the order of a hash of their names, and each goes to the
    split that is furthest behind its share, so that every stretch of the walk is split alike.

    Args:
        branch_of: each class's top-level branch, one letter.
    """
    splits: dict[str, list[str]] = {name: [] for name in SPLIT_PERCENT}
    order = sorted(branch_of, key=lambda label: (branch_of[label], sha256(f"{SPLIT}:{label}")))
    for done, label in enumerate(order, start=1):
        behind = {name: percent * done - 100 * len(splits[name]) for name, percent in SPLIT_PERCENT.items()}
        splits[max(behind, key=behind.__getitem__)].append(label)
    return {name: sorted(labels) for name, labels in splits.items()}


def sha256(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
