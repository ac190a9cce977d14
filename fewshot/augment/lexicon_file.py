"""Read a lexicon's file: two columns, a term and what else it is called."""

import csv
import io
from pathlib import Path

from fewshot.errors import ConfigError

_FORMATS = (".tsv", ".csv")
_HEADERS = (["term", "synonym"], ["term", "synonyms"])


def read_groups(path: Path) -> list[list[str]]:
    """Terms that may stand for each other: each term of the first column with all of its synonyms.

    Args:
        path: a .tsv or .csv file; `|` separates several synonyms of one line, and empty lines are passed over.

    Returns:
        Groups in the order of the file, the term of the first column first, each member once.

    Raises:
        ConfigError: no such file, not UTF-8, or a line that is not a term and a synonym; names the line.
    """
    if path.suffix not in _FORMATS:
        raise ConfigError(
            f"Got the lexicon {str(path)!r}, expected a file with a term and a synonym a line, separated by tabs "
            f"(.tsv) or commas (.csv). Rename it, or convert it."
        )
    groups: dict[str, dict[str, str]] = {}
    for number, fields in _lines(path):
        term, synonyms = _checked(fields, f"{path}, line {number}")
        members = groups.setdefault(term.casefold(), {term.casefold(): term})
        for synonym in synonyms:
            members.setdefault(synonym.casefold(), synonym)
    if not groups:
        raise ConfigError(f"The lexicon {path} is empty, expected a term and a synonym a line. Add some.")
    return [list(members.values()) for members in groups.values()]


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    content = io.StringIO(_decoded(path), newline="")
    # Apostrophes and inches are common in terms, so only .csv, which needs them for commas, has quotes.
    if path.suffix == ".csv":
        reader = csv.reader(content, strict=True)
    else:
        reader = csv.reader(content, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    try:
        lines = [(reader.line_num, [field.strip() for field in fields]) for fields in reader if any(fields)]
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: {error}. Mend its double quotes.") from error
    has_header = bool(lines) and [field.casefold() for field in lines[0][1]] in _HEADERS
    return lines[1:] if has_header else lines


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"Could not read the lexicon {str(path)!r}: {error.strerror or error}. Expected a file that is there and "
            f"may be read. Correct its path."
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: the byte 0x{content[error.start]:02x} is not UTF-8, which was expected. Convert it."
        ) from error


def _checked(fields: list[str], place: str) -> tuple[str, list[str]]:
    if len(fields) != 2:
        raise ConfigError(
            f"{place} has {len(fields)} column{'' if len(fields) == 1 else 's'}, expected 2: a term and a synonym. "
            f"Separate them by a tab (.tsv) or a comma (.csv), and several synonyms by '|'."
        )
    term, synonyms = fields[0], [synonym.strip() for synonym in fields[1].split("|")]
    for what, value in (("term", term), *(("synonym", synonym) for synonym in synonyms)):
        if not any(character.isalnum() for character in value):
            raise ConfigError(f"{place}: the {what} is {value!r}, expected words. Fill it in or remove the line.")
    return term, synonyms
