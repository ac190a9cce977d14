"""`open_table`, which reads all formats."""

from pathlib import Path

from fewshot.errors import ConfigError, TaskError
from fewshot.storage import user_path
from fewshot.tables.encoding import detect_encoding
from fewshot.tables.excel import read_excel
from fewshot.tables.files import ARCHIVE, WORKBOOK, check_file, foreign, is_stream, opened, refuse_foreign
from fewshot.tables.layout import is_tabbed
from fewshot.tables.lines import read_jsonl, read_lines, read_stream
from fewshot.tables.parquet import read_parquet
from fewshot.tables.separated import empty, first_lines, read_separated
from fewshot.tables.table import Table
from fewshot.tables.wording import short, shown

STANDARD_INPUT = "-"
EXPECTED = "a file that ends in .csv, .tsv, .xlsx, .jsonl, .parquet or .txt (one text a line)"

_SEPARATED = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_LINES = (".txt", ".text")
_JSON = (".jsonl", ".ndjson", ".json")
_EXCEL = (".xlsx", ".xlsm")
_PARQUET = (".parquet", ".pq")
SUFFIXES = (*_SEPARATED, *_LINES, *_JSON, *_EXCEL, *_PARQUET)


def open_table(path: Path | str) -> Table:
    """Open a table: csv, tsv, xlsx, jsonl, parquet, or one text a line.

    The separator of a csv or tsv, its header, and UTF-8, UTF-16 or Windows-1252 are recognised, see
    `table.notes`. Apart from xlsx, rows are read lazily, in little memory.

    Args:
        path: a file; "-" is standard input, one text a line, as are pipes.

    Returns:
        The table, whose rows are read by iterating. Its file is opened anew by each iteration.

    Raises:
        ConfigError: no path.
        TaskError: the file cannot be read, or is of another kind.

    Example:
        >>> from fewshot.resources import shipped
        >>> table = open_table(shipped("samples") / "mails.csv")
        >>> table.columns
        ('message', 'category')
        >>> next(iter(table))[1]["category"]
        'lost card'
    """
    if not str(path):
        raise ConfigError(f"Got no file. Name {EXPECTED}, or - for standard input.")
    if str(path) == STANDARD_INPUT:
        return read_stream(None, "standard input")
    file, name = user_path(path), shown(path)
    if is_stream(file):
        return read_stream(file, name)
    check_file(file, EXPECTED)
    try:
        return _open(file, name)
    except OSError as error:
        raise TaskError(f"{name} could not be read: {error.strerror or error}. Make it readable.") from error


def _open(path: Path, name: str) -> Table:
    suffix = path.suffix.lower()
    with opened(path) as file:
        head = file.read(4096)
    if suffix in _PARQUET and head.strip():
        return read_parquet(path, name)
    if suffix in _EXCEL and foreign(path, head) in (WORKBOOK, ARCHIVE):
        return read_excel(path, name)
    refuse_foreign(path, head, name)
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        _refuse_blank(path, name)
    if suffix in _JSON:
        return read_jsonl(path, name)
    if suffix in _SEPARATED:
        return read_separated(path, name, detect_encoding(path), _SEPARATED[suffix])
    if suffix in _LINES:
        encoding = detect_encoding(path)
        tabbed = is_tabbed(first_lines(path, encoding))  # "Text (tab delimited)" of spreadsheets
        return read_separated(path, name, encoding, "\t") if tabbed else read_lines(path, name, encoding)
    detect_encoding(path)  # raises an error for a file that is no text
    kind = "no suffix" if not suffix else f"the suffix {short(path.suffix)}"
    expected = "a workbook" if suffix in _EXCEL else EXPECTED
    raise TaskError(
        f"{name} has {kind}, expected {expected}. Its content is plain text: rename it so that it ends in .csv, or in "
        f".txt if it has one text a line."
    )


def _refuse_blank(path: Path, name: str) -> None:
    with opened(path) as file:
        while chunk := file.read(1 << 20):
            if chunk.removeprefix(b"\xef\xbb\xbf").strip():
                return
    raise empty(name)
