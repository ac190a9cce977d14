from fewshot.housekeeping import characters, repair_texts

TEXTS = ["A &amp; B\x00", "A & B", "cafe\u0301", "Ã¼ber", "A & B", "Hello\nworld "]
LABELS = ["x", "x", "Big X", "big_x", "y", "big_x"]


def test_each_repair_is_counted_and_the_rest_stays():
    repaired = repair_texts(TEXTS, LABELS)
    assert repaired.texts == ["A & B", "A & B", "café", "über", "A & B", "Hello\nworld "]
    assert repaired.labels == ["x", "x", "big_x", "big_x", "y", "big_x"]
    assert repaired.changed == {
        "letters that were read in a wrong encoding": 1,
        "entities of HTML": 1,
        "control characters or marks of no width": 1,
        "accents apart from their letters (Unicode's form NFC joins them)": 1,
        "the spelling of a label": 1,
    }
    assert repaired.left_out == (1,)  # not the one of another label
    assert repaired.kept == [0, 2, 3, 4, 5]
    assert "Left out 1 exact duplicate of the same label." in repaired.lines()


def test_repaired_texts_need_no_repair():
    once = repair_texts(TEXTS, LABELS)
    again = repair_texts([once.texts[row] for row in once.kept], [once.labels[row] for row in once.kept])
    assert again.lines() == ["Nothing to repair."]


def test_texts_without_labels_are_repaired_too():
    assert repair_texts(["a&lt;b", "", ""], ["", "", ""]).kept == [0, 1, 2]


def test_without_ftfy_the_rest_is_repaired_and_it_is_said(monkeypatch):
    monkeypatch.setattr(characters, "find_spec", lambda _: None)
    repaired = repair_texts(TEXTS, LABELS)
    assert repaired.texts[3] == "Ã¼ber"
    assert repaired.texts[0] == "A & B"
    assert "fewshot-text[check]" in repaired.lines()[-1]
