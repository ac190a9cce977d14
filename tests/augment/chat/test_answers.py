import pytest

from fewshot.augment.chat.answers import texts_of


@pytest.mark.parametrize(
    "answer",
    [
        '{"texts": ["one", "two"]}',
        '["one", "two"]',
        '```json\n{"texts": ["one", "two"]}\n```',
        'Here they are:\n```\n["one", "two"]\n```\nAnything else?',
        '{"paraphrases": ["one", "two"]}',
        '{"n": 2, "texts": [{"text": "one"}, {"text": "two"}]}',
        '<think>Perhaps ["no"]?</think>{"texts": ["one", "two"]}',
        '{"texts": [" one\\n", "\\"two\\"", "one", "", 3, null, {}]}',
        '{"texts": ["one", "two", "cut o',
        '{"texts": ["one", "two",]}',
        '{"texts": ["one", "bad \\escape", "two"]}',
        '[] {"texts": ["one", "two"]}',
        "1. one\n2. two",
        "1) “one”\n\n2) 'two'\n",
        "Some paraphrases:\n- one\n* two",
    ],
)
def test_the_texts_are_read_in_whatever_form_they_come(answer):
    assert texts_of(answer) == ["one", "two"]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I'm sorry, but I can't help with that.",
        '{"error": "refused"}',
        '{"texts": []}',
        '{"texts": "one"}',
        "null",
        "[" * 100_000,
        '{"texts": [',
        "{'texts': ['one']}",
        '{"texts": ["\\ud800"]}',
    ],
)
def test_a_refusal_or_something_unreadable_has_no_texts(answer):
    assert texts_of(answer) == []
