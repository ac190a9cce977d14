"""Texts taken apart and put together again."""

import pytest

from fewshot.augment.syntax.reading import read, write

SAME = [
    "My card hasn't arrived. What should I do?",
    "hi, i lost my card, can you help",
    "Help! The ATM took $20.50 from me, please.",
    "i'm late",
    "flip a coin please",
    "Dr. Smith is at St. Mary's. Where is that?",
    "Is it me?? I can't log in!!",
    "3,4-Methylenedioxyamphetamine",
    "",
    "?",
    "ATM FEES ARE WRONG",
]


@pytest.mark.parametrize("text", SAME)
def test_what_is_read_is_written_as_it_was(text):
    assert write(read(text)) == text


def test_spaces_and_curly_apostrophes_become_plain():
    assert write(read("  my card hasn’t \n arrived ")) == "my card hasn't arrived"


def test_a_question_behind_a_statement_is_a_sentence_of_its_own():
    bodies = [sentence.body for sentence in read("my card is lost, what do i do").sentences]
    assert bodies == ["my card is lost", "what do I do"]
    bodies = [sentence.body for sentence in read("I have no money how long will it take?").sentences]
    assert bodies == ["I have no money", "how long will it take"]
    assert len(read("I want to know how long it will take").sentences) == 1


def test_greeting_and_please_are_set_aside():
    (sentence,) = read("Hello, can you set a timer please?").sentences
    assert (sentence.head, sentence.body, sentence.tail, sentence.mark) == (
        "hello, ",
        "can you set a timer",
        " please",
        "?",
    )


@pytest.mark.parametrize(
    "text", ["Femur Fracture", "fracture of the femur", "Biotin", "Battered Child Syndrome", "interest rate"]
)
def test_names_of_things_are_terms(text):
    assert read(text).kind == "term"


@pytest.mark.parametrize(
    "text",
    [
        "flip coin",
        "My card",
        "transfer failed",
        "what's up",
        "i agree",
        "goodbye!",
        "Is it?",
        "please help",
        "cant say",
    ],
)
def test_what_speaks_to_somebody_is_no_term(text):
    assert read(text).kind == "sentences"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("where is my card", "question"),
        ("is my card late", "question"),
        ("have you got my card", "question"),
        ("set a timer", "request"),
        ("find repair shops", "request"),
        ("have a good day", None),
        ("my card is late", "statement"),
        ("I've lost it", "statement"),
        ("transfer was declined", None),
        ("talk to you later", None),
    ],
)
def test_questions_requests_and_statements_are_told_apart(text, kind):
    (sentence,) = read(text).sentences
    is_kind = {
        "question": sentence.is_question,
        "request": sentence.is_request,
        "statement": sentence.is_statement,
    }
    assert [name for name, holds in is_kind.items() if holds] == ([] if kind is None else [kind])
