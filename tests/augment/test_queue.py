"""Who is looked at first, who last, and who not at all."""

import torch

from fewshot.augment import Proposal
from fewshot.augment.queue import Queue
from fewshot.augment.semantic_filter import Verdict

TEXT = "could you tell me why my card was not accepted in the shop"
OTHER = "what is the reason for which the shop did not take my card"
SAME = f"{TEXT} today"
AGAIN = f"{OTHER} now"


def queue(**proposals: list[str]) -> Queue:
    made = Queue(TEXT, torch.tensor([1.0, 0.0]), None, {"taken"})
    made.add(as_proposals(**proposals))
    return made


def as_proposals(**proposals: list[str]) -> dict[str, list[Proposal]]:
    return {name: [Proposal(text, name) for text in texts] for name, texts in proposals.items()}


def drawn(made: Queue, most: int, alike: bool = True) -> list[str]:
    return [waiting.proposal.text for waiting in made.draw(most, alike)]


def test_the_best_of_each_source_come_first():
    made = queue(one=["apple pie", "berry cake"], two=["cold soup", "dry bread"])

    assert drawn(made, 3) == ["apple pie", "cold soup", "berry cake"]
    assert drawn(made, 3) == ["dry bread"]


def test_what_looks_like_the_text_or_like_one_that_was_drawn_comes_last():
    made = queue(one=[SAME, OTHER, AGAIN, "apple pie"])

    assert drawn(made, 2) == [OTHER, "apple pie"]
    assert set(drawn(made, 9)) == {SAME, AGAIN}
    assert not made.has_more()


def test_the_least_alike_of_them_is_the_first():
    nearer = f"{TEXT}?"
    [first, second] = drawn(queue(one=[nearer, SAME]), 9)

    assert (first, second) == (SAME, nearer)
    assert drawn(queue(one=[SAME, nearer]), 9) == [first, second]


def test_what_looks_alike_can_be_left_waiting():
    made = queue(one=[SAME, OTHER])

    assert made.has_more(alike=False)
    assert drawn(made, 9, alike=False) == [OTHER]
    assert drawn(made, 9, alike=False) == []
    assert (made.has_more(alike=False), made.has_more()) == (False, True)
    assert drawn(made, 9) == [SAME]


def test_no_more_are_drawn_than_there_is_room_for():
    made = queue(one=["apple pie", "cold soup", "dry bread"])
    row = made.draw(2)
    made.take(row, torch.eye(2), [Verdict(None, 0.5), Verdict("too_far", 0.1)])

    assert len(row) == 2
    assert made.kept_matrix().tolist() == [[1.0, 0.0]]
    assert drawn(made, 2) == ["dry bread"]
    assert drawn(made, 1) == []


def test_every_proposal_is_accounted_for_once():
    made = queue(one=["apple pie", "Taken", "", "cold soup", SAME], two=["APPLE  pie", "cold soup"])
    made.add(as_proposals(one=["apple pie", "taken", "dry bread"], two=["dry bread"]))
    row = made.draw(1)
    made.take(row, torch.ones(1, 2), [Verdict(None, 0.5)])
    made.close()

    ends = {(one.source, one.text): one.verdict.dropped for one in made.judged}
    assert len(ends) == len(made.judged)
    assert ends == {
        ("one", "apple pie"): None,
        ("one", "Taken"): "task_text",
        ("one", ""): "task_text",
        ("one", "cold soup"): "repeated",
        ("one", SAME): "not_needed",
        ("two", "dry bread"): "not_needed",
        ("two", "APPLE  pie"): "repeated",
        ("two", "cold soup"): "not_needed",
        ("one", "dry bread"): "repeated",
    }
    assert not made.has_more()
