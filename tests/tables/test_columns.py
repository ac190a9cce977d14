"""Which columns are texts and labels: asked for, by name, by content, or asked back."""

import pytest

from fewshot.errors import TaskError
from fewshot.tables import Columns, Table, guess_columns
from fewshot.tables.names import LABELS, TEXTS, by_name

MAILS = ["I lost my card today", "where is my parcel", "please block my card", "it is broken, I fear"]
CLASSES = ["card", "parcel", "card", "refund"]


def table(**columns) -> Table:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    places = [(f"a.csv, line {number}", row) for number, row in enumerate(rows, start=2)]
    return Table("a.csv", columns, lambda: iter(places))


@pytest.mark.parametrize(
    "names",
    [
        ("message", "category"),
        ("text", "label"),
        ("Nachricht", "Kategorie"),
        ("Texte", "Catégorie"),
        ("mensaje", "etiqueta"),
        ("E-Mail", "Intent"),
        ("customer_message", "class"),
        ("messageBody", "ticket category"),
        ("query", "x"),
        ("y", "sentence")[::-1],
        ("remark", "topic"),
    ],
)
def test_usual_names_in_either_order(names):
    text, label = names

    assert guess_columns(table(**{text: MAILS, label: CLASSES})) == Columns(text, label)
    assert guess_columns(table(**{label: CLASSES, text: MAILS})) == Columns(text, label)


def test_usual_names_among_others():
    found = guess_columns(
        table(id=list("1234"), subject=["a", "b", "c", "d"], body=MAILS, text_id=list("5678"), tag=CLASSES)
    )

    assert found == Columns("body", "tag")


def test_what_was_guessed_is_noted_once_and_what_needs_no_guess_is_not():
    guessed = table(message=MAILS, category=CLASSES)
    guess_columns(guessed)
    guess_columns(guessed)
    assert guessed.notes == ("Columns 'message' and 'category' were taken as text and label.",)

    alone = table(message=MAILS)
    guess_columns(alone, with_label=False)
    assert alone.notes == ("Column 'message' was taken as text.",)

    for plain, asked in ((table(text=MAILS, label=CLASSES), ()), (table(a=MAILS, b=CLASSES), ("a", "b"))):
        guess_columns(plain, *asked)
        assert plain.notes == ()


@pytest.mark.parametrize("with_label", [True, False])
def test_two_columns_by_content_in_either_order(with_label):
    label = "b" if with_label else None

    assert guess_columns(table(a=MAILS, b=CLASSES), with_label=with_label) == Columns("a", label)
    assert guess_columns(table(b=CLASSES, a=MAILS), with_label=with_label) == Columns("a", label)


def test_one_name_asked_for_and_the_other_guessed():
    mails = table(message=MAILS, remark=MAILS[::-1], category=CLASSES)

    assert guess_columns(mails, text="remark") == Columns("remark", "category")
    assert guess_columns(mails, label="remark") == Columns("message", "remark")
    assert guess_columns(mails, text="remark", label="nothing", with_label=False) == Columns("remark", None)


UNCLEAR = {
    "three columns": (
        table(a=MAILS, b=CLASSES, c=CLASSES),
        {},
        ["a.csv: it is not plain which columns hold the texts and the labels", "'a' (such as 'I lost my card today')"],
    ),
    "two of texts": (table(a=MAILS, b=MAILS[::-1]), {}, ["not plain", "Set --text and --label."]),
    "an id": (table(id=list("1234"), text=MAILS), {}, ["not plain", "'id' (such as '1')"]),
    "one column": (table(text=MAILS), {}, ["has only one column, 'text', expected texts and their labels"]),
    "no texts": (table(a=CLASSES, b=CLASSES, c=["", "", "", ""]), {"with_label": False}, ["'c' (empty). Set --text."]),
    "numbers": (
        table(text=["1.5", "2", "3,000", "4 %"], label=CLASSES),
        {},
        ["column 'text' of a.csv has numbers, such as '1.5', expected texts"],
    ),
    "not there": (
        table(Message=MAILS, b=CLASSES),
        {"text": "message"},
        ["has no column 'message'; it has 'Message', 'b'. Did you mean 'Message'? Rename the column, or set --text."],
    ),
    "far from there": (
        table(a=MAILS, b=CLASSES),
        {"label": "intent"},
        ["no column 'intent'", "'b'. Rename the column"],
    ),
    "twice": (table(a=MAILS, b=CLASSES), {"text": "a", "label": "a"}, ["column 'a' for both texts and labels"]),
    "no rows": (table(text=[], label=[]), {}, ["a.csv has no texts: it has the columns 'text', 'label' and no rows"]),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_not_plain_is_asked(case):
    given, asked, said = UNCLEAR[case]

    with pytest.raises(TaskError) as caught:
        guess_columns(given, **asked)

    for words in said:
        assert words in str(caught.value)


def test_the_settings_of_another_door_are_named():
    with pytest.raises(TaskError, match=r"Set task\.text_column and task\.label_column\."):
        guess_columns(table(a=MAILS, b=MAILS), settings=("task.text_column", "task.label_column"))


def test_many_columns_of_long_names_make_a_short_message():
    wide = table(**{f"{'c' * 5000} {i}": [f"{i} " + "x" * 5000] * 2 for i in range(200)})

    with pytest.raises(TaskError, match="and 188 more") as caught:
        guess_columns(wide)

    assert len(str(caught.value)) < 2000


def test_names_are_listed_once_in_lower_case():
    for names in (TEXTS, LABELS):
        assert len(names) == len(set(names))
        assert all(name == name.casefold() for name in names)
    assert not set(TEXTS) & set(LABELS)
    assert by_name(["mail_id", "mail_date"], TEXTS) is None
    assert by_name(["old mail", "new mail"], TEXTS) is None
