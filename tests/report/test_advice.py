"""What a run says beside its number."""

import pytest


@pytest.mark.slow
def test_a_support_that_leaves_out_most_texts_is_said_and_more_texts_are_not_asked_for(plain_folder, command):
    capped = command("task=folder", f"task.path={plain_folder}", "shots=2", "trainable=none")
    assert "A support has 2 of the 8 texts of the largest class; shots=auto takes all." in capped.out
    assert "half of the texts" not in capped.out
    whole = command("task=folder", f"task.path={plain_folder}", "shots=auto", "trainable=none")
    assert "ith half of the texts of a support" in whole.out
