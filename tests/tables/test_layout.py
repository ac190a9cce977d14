"""Headers and separators, where texts have commas and first lines may be texts."""

import pytest

from fewshot.tables.layout import find_layout, has_header

HEADERS = [
    ([["text", "label"]], True),
    ([["Nachricht", "Kategorie"], ["a b c", "x"]], True),
    ([["id", "mood"], ["a b c", "x"], ["d e f", "x"]], True),
    ([["my card is lost", "card"], ["block it", "card"], ["my parcel", "parcel"]], False),
    ([["what is this", "question"], ["tell me", "statement"], ["who is it", "question"]], False),
    ([["3", "Wall St.", "Bears are back"], ["4", "Oil", "Up"], ["1", "Stocks", "Down"]], False),
    ([["2020", "2021"], ["a", "b"]], True),
    ([["mail"], ["my card"], ["my parcel"]], True),
    ([["customer_remark"], ["my card"]], True),
    ([["My card is lost"], ["my parcel"]], False),
    ([["Hello!"], ["my parcel"]], False),
    ([["text", "category"], ["a b c", "text"], ["d e f", "text"]], True),
]


@pytest.mark.parametrize(("rows", "expected"), HEADERS)
def test_a_first_row_is_a_header_or_a_text(rows, expected):
    assert has_header(rows) is expected


@pytest.mark.parametrize("preferred", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("head", "separator"),
    [
        ("Text;Label\nHello, I lost it;card\nHi, you, there;card\nSo, what;parcel\n", ";"),
        ('Text,Label\n"Hello; I lost it",card\nHi; you; there,card\n', ","),
        ("text|label\na, b; c|x\nd, e; f|y\n", "|"),
        ("Hello, there my friend;card\nHi, a, b;card\nWhat is this;parcel\n", ";"),
        ('text;label\n"one; two, three";x\n"four, five\nsix";y\n', ";"),
    ],
)
def test_the_separator_is_told_by_the_rows(head, separator, preferred):
    assert find_layout(head, preferred, "a.csv").separator == separator


def test_the_separator_of_the_suffix_is_taken_where_nothing_separates():
    layout = find_layout("text\na b\nc d\n", ",", "a.csv")

    assert (layout.separator, layout.columns, layout.notes) == (",", ("text",), ())
    assert find_layout("\n \n", ",", "a.csv") is None
