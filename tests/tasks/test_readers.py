"""One task in all formats; what a format allows inside a text comes through."""

import csv
import json

import pyarrow
import pyarrow.parquet
import pytest

from fewshot.errors import TaskError
from fewshot.tasks import load_folder
from fewshot.tasks.readers import labelled_rows
from tests.conftest import rows

HARD = [
    {"text": 'a bear says "grr", twice', "label": "bear"},
    {"text": "two\nlines of a crow", "label": "crow"},
    {"text": "a deer\twith a tab", "label": "deer"},
    {"text": "gr\u00fc\u00dfe vom frosch \U0001f438", "label": "frog"},
]


def write(folder, suffix, records):
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / f"texts.{suffix}"
    if suffix == "jsonl":
        file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    elif suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), file)
    else:
        with open(file, "w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, list(records[0]), delimiter="\t" if suffix == "tsv" else ",")
            writer.writeheader()
            writer.writerows(records)
    return folder


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_every_format_gives_the_same_task(suffix, tmp_path):
    records = rows() + HARD
    expected = load_folder(write(tmp_path / "jsonl", "jsonl", records), name="animals")

    task = load_folder(write(tmp_path / suffix, suffix, records), name="animals")

    assert task.texts == expected.texts
    assert task.labels.tolist() == expected.labels.tolist()
    assert task.classes == expected.classes
    assert task.parts == expected.parts
    assert task.sha256 == expected.sha256


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet"])
def test_quotes_line_ends_tabs_and_letters_come_through(suffix, tmp_path):
    write(tmp_path, suffix, HARD)

    assert [row.text for row in labelled_rows(tmp_path / f"texts.{suffix}")] == [record["text"] for record in HARD]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv"])
def test_a_byte_order_mark_and_windows_line_ends_are_read_past(suffix, tmp_path):
    records = rows(3, 2)
    file = write(tmp_path, suffix, records) / f"texts.{suffix}"
    clean = [(row.text, row.label) for row in labelled_rows(file)]
    content = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    file.write_bytes(b"\xef\xbb\xbf" + content)

    assert [(row.text, row.label) for row in labelled_rows(file)] == clean == [(r["text"], r["label"]) for r in records]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_a_separator_of_unicode_inside_a_json_string_is_no_line_end(separator, tmp_path):
    line = json.dumps({"text": f"a{separator}bear", "label": "bear"}, ensure_ascii=separator in "\x0b\x1c")
    (tmp_path / "texts.jsonl").write_text(line + "\n", encoding="utf-8")

    assert [row.text for row in labelled_rows(tmp_path / "texts.jsonl")] == [f"a{separator}bear"]


def test_blank_lines_are_read_past_and_counted(tmp_path):
    (tmp_path / "texts.jsonl").write_text('\n{"text": "a", "label": "b"}\n\n{"text": "", "label": "b"}\n')

    with pytest.raises(TaskError, match="line 4: the text"):
        list(labelled_rows(tmp_path / "texts.jsonl"))


def test_whitespace_around_texts_and_labels_goes(tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"text": "  a bear ", "label": " bear "}\n')

    (row,) = labelled_rows(tmp_path / "texts.jsonl")

    assert (row.text, row.label, row.place) == ("a bear", "bear", f"{tmp_path / 'texts.jsonl'}, line 1")


def test_other_columns_are_read_past_and_columns_can_be_named(tmp_path):
    write(tmp_path, "csv", [{"id": "1", "sentence": "a bear", "class": "bear"}])

    (row,) = labelled_rows(tmp_path / "texts.csv", "sentence", "class")

    assert (row.text, row.label) == ("a bear", "bear")


@pytest.mark.parametrize(("suffix", "synonyms"), [("csv", "ursine|bruin"), ("parquet", ["ursine", "bruin"])])
def test_synonyms_are_a_list_or_separated_by_bars(suffix, synonyms, tmp_path):
    write(tmp_path, suffix, [{"text": "a bear", "label": "bear", "synonyms": synonyms}])

    (row,) = labelled_rows(tmp_path / f"texts.{suffix}")

    assert row.synonyms == ("ursine", "bruin")


def test_whole_numbers_are_labels_and_fractions_are_not(tmp_path):
    write(tmp_path, "jsonl", [{"text": "a bear", "label": 7}, {"text": "a crow", "label": 7.5}])

    reader = iter(labelled_rows(tmp_path / "texts.jsonl"))

    assert next(reader).label == "7"
    with pytest.raises(TaskError, match=r"line 2: the label in column 'label' is 7\.5"):
        next(reader)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    write(tmp_path, "parquet", HARD)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)

    with pytest.raises(TaskError, match=r"needs pyarrow\. Install it with: pip install 'fewshot-text\[parquet\]'"):
        list(labelled_rows(tmp_path / "texts.parquet"))
