"""The quick form of the harness of malformed input and damaged files."""

import pytest

from benchmarks.faults import PARTS, measured


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_malformed_input_and_damaged_files_get_a_sentence(part):
    (row,), faults = measured([part], count=100, seed=20)
    assert row["fault"] == 0, faults
    assert row["refused"] > 10
