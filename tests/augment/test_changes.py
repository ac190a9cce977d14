import pytest

from fewshot.augment.changes import CHANGES, with_typos

TEXTS = [
    "Where is my new credit card, please?",
    "My purchase was declined",
    "a b c",
    "Müller schreibt: naïve Äpfel",
    "",
]


def distance(one: str, other: str) -> int:
    """Letters to insert, remove, replace or swap with the next."""
    rows = {}
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if not i or not j:
                rows[i, j] = i + j
                continue
            same = one[i - 1] == other[j - 1]
            rows[i, j] = min(rows[i - 1, j] + 1, rows[i, j - 1] + 1, rows[i - 1, j - 1] + (not same))
            if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
                rows[i, j] = min(rows[i, j], rows[i - 2, j - 2] + 1)
    return rows[len(one), len(other)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("text", TEXTS)
def test_one_word_in_five_has_one_typo(text, seed):
    long = [word for word in text.replace(",", "").replace("?", "").replace(":", "").split() if len(word) > 3]
    changed = with_typos(text, seed)
    assert distance(text, changed) == (max(1, round(len(long) / 5)) if long else 0)
    assert [word[0] for word in changed.split()] == [word[0] for word in text.split()]
    assert changed == with_typos(text, seed)


def test_typos_differ_between_seeds():
    assert len({with_typos(TEXTS[0], seed) for seed in range(20)}) > 10


def test_each_change_gives_as_many_texts_and_the_same_for_each_text_alone():
    for change in CHANGES.values():
        together = change(TEXTS, 3)
        assert together == [change([text], 3)[0] for text in TEXTS]
    assert CHANGES["capitals"](["straße"], 0) == ["STRASSE"]
    assert CHANGES["small letters"](["The CARD"], 0) == ["the card"]
    assert CHANGES["synonyms"](["How is a myocardial infarction treated?", "xyz"], 0) == [
        "How is a heart attack treated?",
        "xyz",
    ]
