"""The quick form of the harness of malformed input, damaged files, kills, full disks and crowds."""

import pytest

from benchmarks.faults.__main__ import measured
from benchmarks.faults.parts import parts

SEED = 20


@pytest.mark.slow
@pytest.mark.parametrize("part", parts(True))
def test_nothing_silent_nothing_lost(part, capsys):
    (row,), faults = measured([part], SEED, quick=True)
    if not row["trials"]:
        pytest.skip(capsys.readouterr().out.strip())
    assert row["fault"] == 0, faults
    assert row["refused"] + row["same"] > row["trials"] / 20
