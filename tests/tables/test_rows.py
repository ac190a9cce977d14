"""Texts and labels of a table, checked one by one."""

import json

import pytest

from fewshot.errors import TaskError
from fewshot.tables import Columns, LabelledRows, guess_columns, open_table


def rows_of(folder, *records, label="label", **settings):
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return LabelledRows(open_table(path), Columns("text", label), **settings)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (" card ", "card"),
        (7, "7"),
        (-1, "-1"),
        (7.0, "7"),
        (True, "true"),
        (False, "false"),
        ("a|b", "a|b"),
        ("0", "0"),
    ],
)
def test_labels_are_text(value, label, tmp_path):
    assert rows_of(tmp_path, {"text": " a bear\n", "label": value}).lists() == (["a bear"], [label])


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"text": "", "label": "a"}, "the text in column 'text' is empty, expected a text that is not empty"),
        ({"text": None, "label": "a"}, "the text in column 'text' is missing"),
        ({"text": 7, "label": "a"}, "the text in column 'text' is 7"),
        ({"text": "a", "label": " "}, "the label in column 'label' is ' ', expected the name of a class"),
        ({"text": "a", "label": 1.5}, r"the label in column 'label' is 1\.5"),
        ({"text": "a", "label": float("nan")}, "the label in column 'label' is nan"),
        ({"text": "a", "label": ["a", "b"]}, r"the label in column 'label' is \['a', 'b'\]"),
        ({"text": "a", "label": "\ud800"}, "the label .* half of a surrogate pair"),
        ({"text": "a"}, "has no column 'label'; it has 'text'. Rename the column, or set --label"),
        ({"label": "a"}, "has no column 'text'; it has 'label'"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(record, said, tmp_path):
    reader = iter(rows_of(tmp_path, {"text": "one", "label": "x"}, record))
    next(reader)

    with pytest.raises(TaskError, match=r"a\.jsonl, line 2:? ?" + said):
        next(reader)


def test_without_labels_and_with_empty_texts_each_row_gives_one(tmp_path):
    rows = rows_of(
        tmp_path, {"text": "one"}, {"text": ""}, {"text": "  "}, {"text": None}, label=None, empty_texts=True
    )

    assert rows.lists() == (["one", "", "", ""], [""] * 4)


def test_half_a_surrogate_pair_in_a_text_is_kept_for_the_encoder(tmp_path):
    assert rows_of(tmp_path, {"text": "a \ud800", "label": "x"}).lists()[0] == ["a \ud800"]


def test_from_a_file_to_two_lists(tmp_path):
    (tmp_path / "mails.csv").write_text("Nachricht;Kategorie\nMeine Karte, weg;Karte\nWo ist es;Paket\n")
    table = open_table(tmp_path / "mails.csv")

    texts, labels = LabelledRows(table, guess_columns(table)).lists()

    assert (texts, labels) == (["Meine Karte, weg", "Wo ist es"], ["Karte", "Paket"])
