"""What a run says beside its number."""

import pytest

from fewshot.evaluation import Estimate
from fewshot.report.advice import of_twice_the_texts


@pytest.mark.parametrize(
    ("gain", "interval", "expected"),
    [
        (0.05, (0.01, 0.09), "more texts should help"),
        (0.05, (-0.01, 0.11), "more texts may help, but the gain may be chance"),
        (0.05, None, "more texts may help, but the gain may be chance"),
        (-0.05, (-0.11, 0.01), "twice the texts bring no gain, which may be chance"),
        (-0.05, (-0.09, -0.01), "twice the texts bring no gain"),
    ],
)
def test_a_gain_is_promised_only_where_it_is_seen(gain, interval, expected):
    assert of_twice_the_texts(Estimate(gain, None, None, 20, interval)) == expected


@pytest.mark.slow
def test_a_support_that_leaves_out_most_texts_is_said_and_more_texts_are_not_asked_for(plain_folder, command):
    capped = command("task=folder", f"task.path={plain_folder}", "shots=2", "trainable=none")
    assert "A support has 2 of the 8 texts of the largest class; shots=auto takes all." in capped.out
    assert "half of the texts" not in capped.out
    whole = command("task=folder", f"task.path={plain_folder}", "shots=auto", "trainable=none")
    assert "ith half of the texts of a support" in whole.out
