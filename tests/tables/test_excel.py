"""Excel workbooks: which sheet, which rows, and cells as text."""

import datetime
import sys

import pytest

from fewshot.errors import TaskError
from fewshot.tables import LabelledRows, guess_columns, open_table

openpyxl = pytest.importorskip("openpyxl")


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_the_first_sheet_with_rows_is_read_and_said(tmp_path):
    rows = [("message", "category"), ("my card", "card"), (None, None), ("my parcel", "parcel")]
    path = workbook(tmp_path / "mails.xlsx", Cover=[], Mails=rows, Rest=[("a",)])

    table = open_table(path)

    assert table.columns == ("message", "category")
    assert table.notes == ("Sheet 'Mails' of 3 was read.",)
    assert list(table) == [
        (f"{path}, sheet 'Mails', row 2", {"message": "my card", "category": "card"}),
        (f"{path}, sheet 'Mails', row 4", {"message": "my parcel", "category": "parcel"}),
    ]


def test_a_hidden_sheet_is_read_past(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Lists=[("x",)], Mails=[("text", "label"), ("a", "b")])
    book = openpyxl.load_workbook(path)
    book["Lists"].sheet_state = "hidden"
    book.save(path)

    assert open_table(path).columns == ("text", "label")


def test_cells_are_text_as_they_are_shown(tmp_path):
    when = datetime.datetime(2024, 5, 6, 7, 8)
    path = workbook(
        tmp_path / "a.xlsx",
        Sheet=[("text", "label", "n"), ("911", 7, 2.0), ("b", True, when), ("c", datetime.date(2024, 5, 6), 1.5)],
    )

    cells = [tuple(record.values()) for _, record in open_table(path)]

    assert cells == [("911", "7", "2"), ("b", "TRUE", "2024-05-06 07:08:00"), ("c", "2024-05-06", "1.5")]


def test_empty_rows_between_others_are_counted(tmp_path):
    table = open_table(workbook(tmp_path / "a.xlsx", Sheet=[("text",), (None,), ("a",), (None,), ("",), ("b",)]))
    assert [record["text"] for _, record in table] == ["a", "b"]
    assert table.n_left_out == 2
    assert "Empty rows between others were left out: 2." in table.notes


def test_a_sheet_without_header(tmp_path):
    rows = [("my card is gone", "card"), ("where is my parcel", "parcel"), ("please block my card", "card")]
    table = open_table(workbook(tmp_path / "a.xlsx", Sheet=rows))

    texts, labels = LabelledRows(table, guess_columns(table)).lists()

    assert texts[0] == "my card is gone"
    assert labels == ["card", "parcel", "card"]
    assert "has no header" in table.notes[0]


def test_cells_beside_the_table_are_refused(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[("text", "label"), *[("a", "b")] * 1200, ("c", "d", "a remark")])

    with pytest.raises(TaskError, match="row 1202 has 3 cells, expected 2"):
        list(open_table(path))


def test_an_empty_and_a_damaged_workbook(tmp_path):
    with pytest.raises(TaskError, match="is empty: it has no texts"):
        open_table(workbook(tmp_path / "empty.xlsx", Sheet=[]))
    whole = workbook(tmp_path / "a.xlsx", Sheet=[("text",), ("a",)]).read_bytes()
    (tmp_path / "torn.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TaskError, match="is not a workbook that can be read"):
        open_table(tmp_path / "torn.xlsx")


def test_a_workbook_by_another_name_is_recognised(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Sheet=[("text",), ("a",)]).rename(tmp_path / "a.csv")

    with pytest.raises(TaskError, match=r"seems to be an Excel workbook, .* Rename it so that it ends in \.xlsx"):
        open_table(path)


def test_without_openpyxl_the_extra_is_named(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", Sheet=[("text",), ("a",)])
    monkeypatch.setitem(sys.modules, "openpyxl", None)

    with pytest.raises(TaskError, match=r"needs openpyxl\. Install it with: pip install 'fewshot-text\[excel\]'"):
        open_table(path)
