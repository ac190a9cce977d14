"""Bad files get one sentence: what failed, what was expected, and a cure; never a traceback."""

import json
import os
import zipfile

import pytest

from fewshot.errors import ConfigError, FewshotError, TaskError
from fewshot.tables import LabelledRows, guess_columns, open_table
from fewshot.tables.wording import short

# name of the file, its content, what is said
BAD: dict[str, tuple[str, bytes | str, list[str]]] = {
    "empty": ("a.csv", "", ["a.csv is empty: it has no texts", "Add some"]),
    "blank": ("a.csv", " \r\n" * 9000, ["a.csv is empty"]),
    "a mark alone": ("a.csv", b"\xef\xbb\xbf", ["a.csv is empty"]),
    "UTF-16 of nothing": ("a.csv", b"\xff\xfe", ["a.csv is empty"]),
    "empty workbook": ("a.xlsx", "", ["a.xlsx is empty"]),
    "empty parquet": ("a.parquet", "", ["a.parquet is empty"]),
    "header alone": ("a.csv", "text,label\n", ["has no texts", "no rows below"]),
    "one column": ("a.csv", "text\na b\n", ["has only one column, 'text'"]),
    "numbers": ("a.csv", "text,label\n1,a\n2,b\n", ["has numbers, such as '1', expected texts"]),
    "too many cells": ("a.csv", "text,label\na,b,c\n", ["a.csv, line 2 has 3 fields, expected 2 as in the header"]),
    "no header": (
        "a.csv",
        "a b c,x\nd e f,y\ng h i,x\nj,k,l\n",
        ["line 4 has 3 fields, expected 2 as in the first line"],
    ),
    "too few cells": ("a.csv", "text,label\na\n", ["line 2: the label in column 'label' is missing"]),
    "open quote": ("a.csv", 'text,label\na,b\n"c d,e\nf,g\n', ["starts in line 3: its quote is never closed"]),
    "open quote, long": ("a.csv", 'text,label\na,b\n"' + "c d,e\n" * 2_700_000, ["starts in line 3: its quote"]),
    "broken quote": ("a.csv", 'text,label\n"a "b" c",d\n', ["line 2: ',' expected after '\"'", "two for each quote"]),
    "NUL": ("a.csv", b"text,label\na\0b,c\n", ["a.csv, line 2: there is a NUL byte", "Save it as UTF-8"]),
    "NUL in jsonl": ("a.jsonl", b'{"text": "a\0b"}\n', ["line 1: there is a NUL byte"]),
    "bytes": ("a.txt", bytes(range(256)) * 9, ["there is a NUL byte, expected text. The file is binary"]),
    "damaged UTF-8": ("a.csv", "text,label\nBär,Tür\n".encode() + b"caf\xe9,x\n", ["line 3: the byte 0xe9 is not"]),
    "damaged UTF-16": ("a.csv", "text,label\na,b\n".encode("utf-16") + b"x", ["starts with the mark of UTF-16"]),
    "no JSON": ("a.jsonl", '{"text": "a", }\n', ["line 1 is not valid JSON", "Expected one object a line"]),
    "JSON that goes over lines": ("a.json", '[\n{"text": "a"}\n]\n', ["line 1 is not valid JSON", "jq -c '.[]'"]),
    "a JSON list": ("a.jsonl", '[{"text": "a"}]', ["expected an object", "jq -c '.[]'"]),
    "deep JSON": ("a.jsonl", '{"a":' * 5000 + "1" + "}" * 5000, ["line 1 is nested too deeply"]),
    "a long number": ("a.jsonl", '{"text": "a", "label": ' + "1" * 4301 + "}", ["a number of too many digits"]),
    "a line without end": ("a.txt", "x" * 16_000_001, ["line 1 has more than 16,000,000 characters"]),
    "old Excel": ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, ["old Office file", "save it as .xlsx"]),
    "a password": ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, ["a workbook with a password"]),
    "text as xls": ("a.xls", "text\tlabel\na\tb\n", ["the suffix '.xls'", "plain text: rename it", ".csv"]),
    "text as xlsx": ("a.xlsx", "text,label\n", ["expected a workbook. Its content is plain text: rename it"]),
    "half a workbook": ("a.xlsx", b"PK\x03\x04...", ["a.xlsx "]),
    "PDF": ("a.csv", b"%PDF-1.7 ...", ["seems to be a PDF", "Put its texts into a .csv"]),
    "gzip": ("a.csv.gz", b"\x1f\x8b\x08", ["compressed with gzip", "Unpack it"]),
    "web page": ("a.csv", "\n<!DOCTYPE html><html>", ["a web page or XML"]),
    "no parquet": ("a.parquet", "text,label\n", ["a.parquet is not a parquet file", "Write the file again"]),
    "torn parquet": ("a.parquet", b"PAR1" + b"x" * 50, ["a.parquet is not a parquet file"]),
    "parquet as csv": ("a.csv", b"PAR1" + b"x" * 50, ["seems to be a parquet file", "ends in .parquet"]),
    "pickle": ("a.csv", b"\x80\x04\x95...", ["a Python pickle"]),
    "unknown suffix": (
        "a.dat",
        "text,label\n",
        ["the suffix '.dat'", "expected a file that ends in .csv", "rename it"],
    ),
    "no suffix": ("mails", "text,label\n", ["mails has no suffix"]),
    "nothing known": ("a.dat", b"\x01\x00\x02", ["there is a NUL byte"]),
}


def read(path) -> None:
    table = open_table(path)
    list(LabelledRows(table, guess_columns(table)))


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gets_a_sentence(case, tmp_path, monkeypatch):
    name, content, said = BAD[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(TaskError) as caught:
        read(name)

    message = str(caught.value)
    for words in said:
        assert words in message
    assert len(message) < 600
    assert message.endswith((".", "texts.jsonl)."))
    assert "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("word/document.xml", "a Word document"),
        ("content.xml", r"an OpenDocument file \(.ods, .odt\)"),
        ("xl/workbook.xml", "an Excel workbook"),
        ("mails.csv", "a zip archive"),
    ],
)
def test_what_is_in_a_zip_is_told(inside, said, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.csv", "w") as archive:
        archive.writestr(inside, "...")

    with pytest.raises(TaskError, match=f"seems to be {said}, expected a table"):
        open_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("mials.csv", r"mials\.csv does not exist\. .*Did you mean mails\.csv\?"),
        ("MAILS.xlsx", r"does not exist"),
        ("nothing/like/it.csv", "does not exist, nor does its folder"),
        ("folder", r"folder is a folder, expected a file .* It has 'one\.csv', 'two\.csv': name one of them"),
        ("empty", "empty is a folder, .* Name a file in it"),
        ("x" * 5000 + ".csv", "does not exist"),
        ("/" + "x/" * 2500 + "a.csv", "does not exist"),
        ("a\0b.csv", "does not exist"),
        ("mails.csv/a.csv", "does not exist, nor does its folder"),
    ],
)
def test_a_path_that_is_no_file_gets_a_sentence(path, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mails.csv").write_text("text,label\na,b\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    for name in ("two.csv", "one.csv", "notes"):
        (tmp_path / "folder" / name).write_text("text\n")

    with pytest.raises(TaskError, match=said) as caught:
        open_table(path)

    assert len(str(caught.value)) < 600


def test_no_path_and_unreadable_files(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"Got no file\. Name a file that ends in \.csv"):
        open_table("")
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n")
    path.chmod(0)
    if os.access(path, os.R_OK):  # as root: all files are readable

        def denied(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(TaskError, match=r"could not be read: Permission denied\. Make it readable\."):
        open_table(path)


def test_a_file_that_goes_away_or_changes_while_it_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n")
    table = open_table(path)
    path.write_bytes(b"text,label\n\xe9,b\n")
    with pytest.raises(TaskError, match="changed while it was read"):
        list(table)
    path.unlink()
    with pytest.raises(TaskError, match="could not be read: No such file"):
        list(table)


def test_values_in_messages_are_short():
    nested: list = []
    for _ in range(5000):
        nested = [nested]
    for value in ("x" * 10**6, nested, list(range(10**5)), json.loads("1" * 4300), {"a": "b" * 10**5}, b"x" * 10**5):
        assert len(short(value)) < 400


def test_every_error_is_one_that_a_user_can_mend():
    assert issubclass(TaskError, FewshotError)
    assert issubclass(ConfigError, FewshotError)
