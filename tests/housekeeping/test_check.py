import numpy as np
import pytest

from fewshot.errors import TaskError
from fewshot.housekeeping import characters, check_texts, personal, suspects
from fewshot.housekeeping.suspects import features_and_pieces, out_of_fold
from tests.adaptation.conftest import coloured
from tests.fakes import FakeEncoder

TEXTS, LABELS = coloured(20)
ENCODER = FakeEncoder(32)


def test_clean_texts_have_no_finding():
    texts = [f"{word} is what I ask about {word}" for word in ("rain", "snow", "hail", "wind", "fog", "heat")]
    found = check_texts(texts, ["wet", "wet", "wet", "wet", "wet", "wet"])
    assert list(found.lines()) == ["6 texts: nothing found."]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty texts", "  "),
        ("wrong encoding", "Ã¼ber"),
        ("entities", "a &amp; b"),
        ("tags", "<b>bold</b> words"),
        ("control characters", "bell\x07"),
        ("normal form", "cafe\u0301"),
        ("other languages", "Wo ist meine Karte geblieben?"),
        ("personal data", "write to anna@example.com"),
        ("long texts", "word " * 200),
    ],
)
def test_a_text_is_found_with_its_line(name, text):
    found = check_texts(["The card is lost", text], places=["line 2", "line 3"])
    assert [finding.name for finding in found.found] == [name]
    assert found[name].rows == (1,)
    assert found[name].examples[0].startswith("line 3: '")


def test_personal_data_is_not_shown():
    texts = ["write to anna@example.com now please", "Write to anna@example.com now, please"]
    said = "\n".join(check_texts(texts, ["x", "y"]).lines())
    assert "contradict" in str(check_texts(texts, ["x", "y"]).found)
    assert "anna" not in said
    assert "<EMAIL>" in said


def test_no_example_shows_personal_data_not_in_labels_either():
    texts = ["where is it now", "Where is it now?", "where is my parcel", "see anna@example.com &amp; <b>me</b>", " "]
    labels = ["anna@example.com", "bob@example.com", "Anna@example.com", "eva@mail.org", ""]
    findings = check_texts(texts * 3, labels * 3, ENCODER).found
    said = "\n".join(line for finding in findings for line in finding.lines())
    assert "contradictory labels" in {finding.name for finding in findings}
    assert not [name for name in ("anna", "bob", "eva@") if name in said.casefold()]


def test_a_table_in_another_language_is_one_finding():
    texts = ["Wo ist meine Karte?", "Ich habe mein Geld nicht", "Warum ist das so teuer", "我的卡丢了"]
    assert [finding.name for finding in check_texts(texts).found] == ["other scripts"]
    known = check_texts([*texts, *["Where is the money"] * 5])
    assert known["other languages"].rows == (0, 1, 2, 3)


def test_three_examples_at_most():
    finding = check_texts(["a&amp;b", "c&amp;d", "e&amp;f", "g&amp;h"])["entities"]
    assert finding.count == 4
    assert len(finding.examples) == 3


def test_labels_are_compared():
    texts = [f"text number {word}" for word in ("one", "two", "six", "ten", "red", "sea", "sky", "oak")]
    labels = ["Lost card", "lost_card", "lost_card", "delivery", "delivry", "delivery", "level 1", "level 2"]
    found = check_texts(texts, labels)
    assert found["label spelling"].examples == ("text 1: 'Lost card' (1) beside 'lost_card' (2)",)
    assert found["label misspelt"].examples == ("text 5: 'delivry' (1) beside 'delivery' (2)",)
    assert "5 classes have fewer than 5 texts, 3 of them a single one." in found["small classes"].sentence


def test_a_missing_label_is_told():
    assert check_texts(["a b", "c d"], ["x", ""])["no label"].rows == (1,)


def test_wrong_labels_are_found_the_worst_first(monkeypatch):
    monkeypatch.setattr(suspects, "SUSPECT", -1.5)  # which words by chance reach
    labels = list(LABELS)
    wrong = [4, 31, 50]
    for row in wrong:
        labels[row] = next(label for label in ("red", "green", "blue") if label != labels[row])
    scores = out_of_fold(features_and_pieces(ENCODER, TEXTS)[0], labels).scores
    assert set(scores.argsort()[:3].tolist()) == set(wrong)
    found = check_texts(TEXTS, labels, ENCODER)["mislabelled"]
    assert found.rows == tuple(row for row in scores.argsort().tolist() if scores[row] < -1.5)
    assert 1 <= found.count <= 3
    assert f"like texts of '{LABELS[found.rows[0]]}'" in found.examples[0]


def test_one_class_under_two_names_is_found():
    halves = [f"red {row % 2}" if label == "red" else label for row, label in enumerate(LABELS)]
    found = check_texts(TEXTS, halves, ENCODER)
    assert "'red 0' and 'red 1'" in found["confused classes"].examples[0]
    assert "confused classes" not in check_texts(TEXTS, LABELS, ENCODER)


def test_out_of_fold_judges_all_but_single_texts_alike_whatever_their_order():
    labels = ["alone", *LABELS[1:]]
    features, pieces = features_and_pieces(ENCODER, TEXTS)
    judged = out_of_fold(features, labels)
    assert judged.rows.tolist() == list(range(1, len(TEXTS)))
    assert pieces == [1] * len(TEXTS)
    assert judged.classes == ("blue", "green", "red")
    assert np.allclose(judged.probabilities.sum(1), 1)
    assert out_of_fold(features[:4], ["a", "b", "c", "c"]) is None


def test_a_text_does_not_speak_for_itself():
    random = np.random.default_rng(0).normal(size=(60, 200))
    features = random / np.linalg.norm(random, axis=1, keepdims=True)
    judged = out_of_fold(features, ["a", "b"] * 30)
    assert (judged.scores > 0).mean() < 0.7


def test_what_is_missing_is_a_note(monkeypatch):
    for module in (personal, characters):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    found = check_texts(["write to anna@example.com", "Ã¼ber"])
    assert not found.found
    assert [note.count("fewshot-text[check]") for note in found.notes] == [1, 1]


def test_lengths_must_agree():
    with pytest.raises(TaskError, match="Got 2 texts and 1 labels"):
        check_texts(["a", "b"], ["x"])
