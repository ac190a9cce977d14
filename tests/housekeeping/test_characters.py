import pytest

from fewshot.errors import ConfigError
from fewshot.housekeeping import characters
from fewshot.housekeeping.characters import (
    has_tags,
    in_normal_form,
    without_control,
    without_entities,
    without_mojibake,
)


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (without_control, "a\x00b\x1b[0m", "ab[0m"),
        (without_control, "\ufeffa\u200bb\u202e", "ab"),
        (without_control, "one\u2028two\x0bthree\x85four", "one two three four"),
        (without_control, "tab\tand\r\nline", "tab\tand\r\nline"),
        (without_control, "family 👨\u200d👩\u200d👧, می\u200cخواهم", "family 👨\u200d👩\u200d👧, می\u200cخواهم"),
        (without_entities, "a &lt; b &#233; &#x20AC;", "a < b é €"),
        (without_entities, "R&D; AT&T &foo; & 3", "R&D; AT&T &foo; & 3"),
        (in_normal_form, "cafe\u0301", "café"),
        (without_mojibake, "Ã¼ber â‚¬5", "über €5"),
        (without_mojibake, "Ünïcödé, naïve – “fine” €", "Ünïcödé, naïve – “fine” €"),
    ],
)
def test_what_is_repaired_and_what_is_left_alone(step, before, after):
    assert step(before) == after
    assert step(after) == after


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("<p>Hello</p>", True),
        ('<a href="x">y</a>', True),
        ("line<BR>line", True),
        ("<!-- note -->", True),
        ("1 < 2 and 3 > 2", False),
        ("<EMAIL> and <name>", False),
        ("i <3 you", False),
    ],
)
def test_tags(text, tags):
    assert has_tags(text) == tags


def test_without_ftfy_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ftfy", None)
    characters._ftfy.cache_clear()
    with pytest.raises(ConfigError, match=r"fewshot-text\[check\]"):
        without_mojibake("Ã¼ber")
    characters._ftfy.cache_clear()
