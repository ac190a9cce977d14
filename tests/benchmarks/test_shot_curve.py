"""The tables of the shot curve, from points as they are kept."""

from benchmarks.shot_curve import applies, table, tuned

POINT = {"task": "banking77", "ways": 3, "queries": 4, "seconds": 1.0}


def point(shots, stage, accuracies, before=None, **details):
    own = {"shots": shots, "stage": stage, "accuracies": accuracies, "before": before}
    return {**POINT, "final_stage": None, "kept": [], **own, **details}


POINTS = [
    point(51, "prototypes", [0.7, 0.8]),
    point(51, "attention + head", [0.8, 0.9], [0.7, 0.8], final_stage="head", kept=["head", "head"]),
    point(
        51,
        "LoRA",
        [0.9, 0.85],
        [0.7, 0.8],
        final_stage="lora",
        kept=["lora", "head"],
        trained={"trained": 200, "total": 10_000},
        tuning_seconds=[30.0, 50.0],
    ),
    point(51, "auto", [0.9, 0.85], [0.7, 0.8], final_stage="lora", kept=["lora", "head"]),
    point(100, "auto", [0.9]),
]


def test_auto_stands_beside_the_best_of_the_stages():
    at_51, at_100 = table(POINTS)

    assert at_51["shots"] == 51
    assert at_51["prototypes"].startswith("75.0 ")
    assert at_51["auto - best"].startswith("+0.0 ")  # to LoRA, whose mean is the head's best by 2.5 points
    assert at_100["LoRA"] == at_100["auto - best"] == ""


def test_what_was_tuned_is_set_beside_learner_and_head_on_each_support():
    (row,) = tuned(POINTS)

    assert row["stage"] == "LoRA"
    assert row["kept on"] == "1 of 2"
    assert (row["trained"], row["share %"], row["s a support"]) == ("200", "2.0", "40")
    assert (row["against learner, lowest"], row["against head, lowest"]) == ("+5.0", "-5.0")
    assert row["against head"].startswith("+2.5 ")


def test_stages_begin_where_there_are_texts_enough_for_them():
    assert [stage for stage in ("label names", "prototypes", "LoRA", "full") if applies(stage, 10)] == [
        "label names",
        "prototypes",
        "LoRA",
    ]
