"""Which candidates are embedded first, which last, and which not at all."""

import pytest
import torch

from fewshot.augment import Proposal
from fewshot.augment.selection import Candidates, _distance, _shingles
from fewshot.augment.semantic_filter import Verdict

TEXT = "could you tell me why my card was not accepted in the shop"
OTHER = "what is the reason for which the shop did not take my card"
SAME = f"{TEXT} today"
AGAIN = f"{OTHER} now"


def candidates(**proposals: list[str]) -> Candidates:
    made = {name: [Proposal(text, name) for text in texts] for name, texts in proposals.items()}
    return Candidates(TEXT, torch.tensor([1.0, 0.0]), made, {"taken"})


def drawn(made: Candidates, room: int) -> list[str]:
    return [candidate.proposal.text for candidate in made.draw(room)]


def test_the_best_of_each_source_come_first():
    made = candidates(one=["apple pie", "berry cake"], two=["cold soup", "dry bread"])

    assert drawn(made, 3) == ["apple pie", "cold soup", "berry cake"]
    assert drawn(made, 3) == ["dry bread"]


def test_what_looks_like_one_before_it_comes_last_the_least_alike_first():
    made = candidates(one=[f"{TEXT}?", SAME, OTHER, AGAIN, "apple pie"])

    assert drawn(made, 2) == [OTHER, "apple pie"]
    assert set(drawn(made, 9)) == {f"{TEXT}?", SAME, AGAIN}
    assert drawn(made, 9) == []
    assert drawn(candidates(one=[f"{TEXT}?", SAME]), 9) == [SAME, f"{TEXT}?"]


def test_every_proposal_ends_with_its_verdict():
    made = candidates(one=["apple pie", "Taken", "", "cold soup", SAME], two=["dry bread", "APPLE  pie", "cold soup"])
    made.score(made.draw(1), torch.ones(1, 2), [Verdict(None, 0.5)])

    ends = {(one.source, one.text): one.verdict.dropped for one in made.close()}
    assert ends == {
        ("one", "apple pie"): None,
        ("one", "Taken"): "task_text",
        ("one", ""): "task_text",
        ("one", "cold soup"): "repeated",
        ("one", SAME): "not_needed",
        ("two", "dry bread"): "not_needed",
        ("two", "APPLE  pie"): "repeated",
        ("two", "cold soup"): "not_needed",
    }
    assert len(made.kept) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("my card", "the card"), ("how do I pay", "how can I pay"), ("x", "y"), ("banana", "ananas")]
)
def test_likeness_is_that_of_the_sets_of_three_letters_in_a_row(one, other):
    first, second = ({f" {text} "[i : i + 3] for i in range(len(text))} for text in (one, other))

    expected = 1 - len(first & second) / len(first | second)
    assert _distance(_shingles(one), _shingles(other)) == pytest.approx(expected)
    assert _distance(_shingles(one), _shingles(one)) == 0
    assert _distance(_shingles(""), _shingles("")) == 0
