"""Which sources a training of the adapters has, and what its table says."""

import pytest

from benchmarks.meta_collection import ADAPTERS, ASKED, SOURCES, sources_of, table


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ("general", SOURCES),
        ("terms", ADAPTERS["terms"]),
        ("without:snips", SOURCES[1:]),
        ("without:wordnet", ("snips", "banking77", "clinc150", "medical_terms")),
        ("intents:without:banking77", ("snips", "clinc150")),
    ],
)
def test_the_name_of_a_training_says_its_sources(training, expected):
    assert sources_of(training) == expected


def test_means_are_over_data_sets_that_were_left_out():
    def run(training, scored, gain):
        figures = {"frozen": 80.0, "trained": 80.0 + gain, "gain": gain, "ci95": 0.2}
        return {"training": training, "scored": scored, "strength": 0.5, "seen": False, **dict.fromkeys(ASKED, figures)}

    runs = [run("general", "snips", 9.0), run("without:snips", "snips", 1.0), run("without:clinc150", "clinc150", 2.0)]
    last = table(runs)[-1]
    assert (last["scored"], last["5w1s"], last["5w1s gain"]) == ("mean of 2", "lowest +1.00", "+1.50")
