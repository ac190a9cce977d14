"""The encoding of a file of text: UTF-8, UTF-16 with its mark, or Windows-1252 where UTF-8 fails."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fewshot.errors import TaskError
from fewshot.tables.files import opened
from fewshot.tables.wording import shown

LONGEST_LINE = 16_000_000  # characters
_CHUNK = 1 << 20
_MULTI_BYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")
_LETTER = re.compile(rb"[A-Za-z]")
_NOT_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


@dataclass(frozen=True)
class Encoding:
    """The codec of a file; `note` is a sentence if it is not UTF-8."""

    codec: str
    note: str = ""


def detect_encoding(path: Path) -> Encoding:
    """Detect the encoding of a file, by reading all of it once in pieces.

    Windows-1252 is taken only where the bytes are not UTF-8, most of what is not ASCII is no UTF-8 either, and
    letters of ASCII prevail.

    Raises:
        TaskError: bytes of neither, or NUL bytes.
    """
    with opened(path) as file:
        head = file.read(3)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = Encoding("utf-16", f"{shown(path)} was read as UTF-16.")
        else:
            encoding = Encoding("utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8")
        file.seek(0)
        try:
            _decode(file, encoding, path)
            return encoding
        except UnicodeDecodeError as error:
            if encoding.codec != "utf-8":
                raise TaskError(
                    f"{shown(path)} starts with the mark of {encoding.codec.removesuffix('-sig').upper()}, but is not "
                    f"all of it: {error.reason}. Save it again as UTF-8."
                ) from error
        return _eight_bit(file, path)


def _decode(file: IO[bytes], encoding: Encoding, path: Path) -> None:
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    lines = 0
    while chunk := file.read(_CHUNK):
        text = decoder.decode(chunk)
        if "\0" in text:
            raise _nul(path, lines + text.count("\n", 0, text.index("\0")) + 1)
        lines += text.count("\n")
    decoder.decode(b"", final=True)


def _eight_bit(file: IO[bytes], path: Path) -> Encoding:
    """Windows-1252, if the bytes of a file that is not UTF-8 look like it."""
    valid = high = letters = undefined = lines = 0
    first: tuple[int, int] | None = None
    file.seek(0)
    while line := file.readline(_CHUNK):
        lines += 1
        if b"\0" in line:
            raise _nul(path, lines)
        if line.isascii():
            letters += len(_LETTER.findall(line))
            continue
        if first is None and (bad := _bad_byte(line)) is not None:
            first = lines, bad
        multi = _MULTI_BYTE.findall(line)
        valid += len(multi)
        high += len(_HIGH.findall(line)) - sum(map(len, multi))
        letters += len(_LETTER.findall(line))
        undefined += len(_NOT_1252.findall(line))
    if valid < high < letters and not undefined:
        return Encoding("cp1252", f"{shown(path)} was read as Windows-1252.")
    number, byte = first or (lines, 0)
    raise not_utf8(f"{shown(path)}, line {number}", byte)


def _nul(path: Path, line: int) -> TaskError:
    return TaskError(
        f"{shown(path)}, line {line}: there is a NUL byte, expected text. The file is binary, damaged, or UTF-16 "
        f"without its mark. Save it as UTF-8."
    )


def _bad_byte(line: bytes) -> int | None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return line[error.start]
    return None


def not_utf8(location: str, byte: int) -> TaskError:
    """The error for a byte that is neither UTF-8 nor Windows-1252."""
    return TaskError(
        f"{location}: the byte 0x{byte:02x} is not UTF-8, which was expected, and the text does not look like "
        f"Windows-1252. Save the file as UTF-8 (iconv -f ITS_ENCODING -t UTF-8 FILE > converted), and use that one."
    )


@contextmanager
def opened_text(path: Path, encoding: Encoding, newline: str | None) -> Iterator[io.TextIOWrapper]:
    """The file as text; `newline` as for `open`."""
    with opened(path) as file, io.TextIOWrapper(file, encoding.codec, newline=newline) as text:
        yield text


def lines_of(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Lines with their ends; a TaskError for a line that is too long for memory."""
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise TaskError(
                f"{name}, line {number} has more than {LONGEST_LINE:,} characters, expected one text. Put line ends "
                f"between the texts."
            )
        yield line
