"""The runs beside a peer: kept, refused where they do not belong together, and summed up."""

import json

import pytest

from benchmarks.peer_runs import kept, table
from fewshot.errors import ConfigError

NAMED, PEER = "ours", "SetFit"


def run(task, shots, seed, system, accuracy, seconds):
    own = {"accuracy": accuracy, "seconds": seconds, "processor_seconds": seconds / (2 if system == PEER else 1)}
    return {"task": task, "shots": shots, "seed": seed, "system": system, **own}


def test_runs_of_other_settings_are_refused(tmp_path):
    path = tmp_path / "peers.json"
    assert kept(path, {"threads": 1}) == ({"threads": 1}, [])
    runs = [run("toy", 1, 0, PEER, 0.5, 1.0)]
    path.write_text(json.dumps({"settings": {"threads": 1, "banking77": "x"}, "runs": runs}))
    assert kept(path, {"threads": 1, "clinc150": "y"}) == (
        {"threads": 1, "banking77": "x", "clinc150": "y"},
        runs,
    )
    with pytest.raises(ConfigError, match=r"threads=1, and now it is 2.*--name"):
        kept(path, {"threads": 2})


def test_the_table_pairs_by_seed():
    runs = [
        *(run("toy", 1, seed, NAMED, accuracy, 2.0) for seed, accuracy in ((0, 0.7), (1, 0.8), (2, 0.1))),
        *(run("toy", 1, seed, PEER, accuracy, 50.0) for seed, accuracy in ((0, 0.6), (1, 0.7))),
    ]
    named, peer = (one for one in table(runs, PEER) if one["task"] == "toy")
    assert named["accuracy"].startswith("53.3 ± ")
    assert named["against SetFit"] == "+10.0 ± 0.0"  # of seeds 0 and 1
    assert (named["s"], named["s, times as fast"], named["seeds"]) == ("2.0", "25.0", "3")
    assert (named["processor s"], named["processor s, times as fast"]) == ("2.0", "12.5")
    assert (peer["accuracy"][:4], peer["against SetFit"], peer["s, times as fast"], peer["seeds"]) == (
        "65.0",
        "",
        "",
        "2",
    )


def test_the_last_rows_are_over_seeds_that_have_everything():
    runs = [
        run("toy", shots, seed, system, 0.5 + 0.1 * (system == NAMED) + 0.01 * shots, 1.0 * shots)
        for shots, seed, system in ((1, 0, NAMED), (1, 0, PEER), (5, 0, NAMED), (5, 0, PEER))
    ]
    runs.append(run("toy", 1, 1, NAMED, 0.0, 1.0))
    last = [one for one in table(runs, PEER) if one["task"] == "all"]
    assert [(one["system"], one["accuracy"], one["against SetFit"], one["s"], one["seeds"]) for one in last] == [
        (NAMED, "63.0", "+10.0", "3.0", "1"),
        (PEER, "53.0", "", "3.0", "1"),
    ]
