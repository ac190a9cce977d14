"""What a recipe means for a task and a protocol."""

from dataclasses import replace

import pytest

from fewshot.adaptation import Ladder
from fewshot.adaptation.final_stage import default_tuners
from fewshot.encoders import Full, LoRA
from fewshot.errors import ConfigError
from fewshot.experiment.protocol import Protocol
from fewshot.learners import LEARNERS, MAML
from fewshot.recipe import Recipe
from fewshot.training import EncoderMAMLTrainer, EncoderTrainer, QuickEncoderTrainer
from tests.fakes import FakeEncoder
from tests.synthetic import small_task

ALL = {"ways": None}
TASK = small_task((3, 2, 3), per_class=1100)
HOW = (
    "trainer",
    "strategy",
    "final_stage",
    "ladder",
    "trainable",
    "tuners",
    "encoder_trainer",
    "quick_trainer",
    "augmentation",
)


def plan(learner="attention_prototypical", task=TASK, **settings):
    how = {name: settings.pop(name) for name in HOW if name in settings}
    made = LEARNERS[learner] if isinstance(learner, str) else learner
    return Recipe(encoder=FakeEncoder(), learner=made, **how).plan(task, Protocol(**settings))


@pytest.mark.parametrize(
    ("settings", "stage", "final", "fixed_test"),
    [
        ({"shots": 5}, "prototypes", None, False),
        ({"shots": 20}, "attention", None, False),
        ({"shots": 0, **ALL}, "zero_shot", None, False),
        ({"shots": 1, **ALL}, "prototypes", None, False),
        ({"shots": 5, **ALL}, "prototypes", "head", True),
        ({"shots": 50, **ALL}, "attention", "head", True),
        ({"shots": 51, **ALL}, "lora", "lora", True),
        ({"shots": 51}, "lora", "lora", True),
        ({"shots": 501}, "full", "full", True),
        ({"shots": 0, "classes": "all"}, "zero_shot", None, True),
        ({"shots": 1, "classes": "all", **ALL}, "prototypes", None, True),
        ({"shots": 5, "strategy": "adapter"}, "adapter", "adapter", True),
        ({"shots": 5, "strategy": "zero_shot", **ALL}, "zero_shot", None, False),
        ({"shots": 5, "final_stage": "light"}, "prototypes", "light", True),
        ({"shots": 64, "final_stage": "none"}, "lora", None, False),
        ({"shots": 64, "final_stage": "head"}, "lora", "head", True),
        ({"shots": 5, "protocol": "sampled", **ALL}, "prototypes", None, False),
        ({"shots": 5, "realistic": True, **ALL}, "prototypes", None, False),
        ({"shots": 5, "protocol": "fixed_test"}, "prototypes", None, True),
    ],
)
def test_stage_final_stage_and_protocol(settings, stage, final, fixed_test):
    found = plan(**settings)
    name = None if found.final_stage is None else found.final_stage.name
    assert (found.rung.name, name, found.drawn) == (stage, final, "fixed_test" if fixed_test else "sampled")
    assert found.rung.reason in found.sentence()
    assert ("where it pays" in found.sentence()) is (final is not None)
    assert found.protocol.shots == (0 if stage == "zero_shot" else settings["shots"])


def test_shots_that_no_class_has_do_not_count():
    def found(shots, largest, **settings):
        return plan(
            "prototypical", small_task((3, 2, 3), per_class=2 * largest), test_texts=10_000, shots=shots, **settings
        )

    assert found(501, 41).rung.name == "attention"
    assert "No class has more of the 501 that were asked for." in found(501, 41).sentence()
    assert found(51, 51).rung.name == found(60, 300).rung.name == "lora"
    assert found(501, 41, strategy="lora").rung.name == "lora"
    assert found(501, 41).drawn == "fixed_test"
    assert found(10, 8).rung.name == "attention"  # episodes are sampled, and have all ten
    assert found(10, 8, **ALL).rung.name == "prototypes"


def test_a_stage_that_tunes_nothing_says_why():
    assert "Nothing is tuned on the supports (final_stage=none)" in plan(shots=64, final_stage="none").sentence()


@pytest.mark.parametrize(("learner", "final"), [("prototypical", "head"), ("centroid", "head"), ("ridge", None)])
def test_a_head_is_tuned_where_the_learner_goes_by_prototypes(learner, final):
    found = plan(learner, shots=5, **ALL)
    assert (None if found.final_stage is None else found.final_stage.name) == final
    assert found.drawn == "fixed_test"  # so that all learners are compared on the same episodes
    assert plan(learner, shots=51, **ALL).final_stage.name == "lora"


def test_the_borders_are_settings():
    assert plan(shots=20, ladder=Ladder(lora_above=19)).final_stage.name == "lora"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"protocol": "fixed_test", "realistic": True}, "realistic=true with protocol=fixed_test"),
        ({"shots": 64, "realistic": True}, "stage lora"),
        ({"classes": "all", "protocol": "sampled"}, "protocol=sampled with classes=all"),
        ({"strategy": "lora", "final_stage": "none"}, "two final stages"),
        ({"final_stage": "lora"}, "expected one of auto, none, head, light"),
        ({"shots": 0, "final_stage": "head"}, r"shots=0 with final_stage=head, which needs labelled texts"),
        ({"shots": 0, "strategy": "lora"}, r"shots=0 with strategy=lora, which needs labelled texts"),
        ({"strategy": "zero_shot", "label_names": False}, r"strategy=zero_shot with label_names=false"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        plan(**settings)


def test_new_texts_come_with_the_attention_stage_where_valid_classes_decide():
    task = small_task((3, 2, 3), per_class=80)

    def augments(task=task, learner="prototypical", **settings):
        return plan(learner, task, **settings).augmentation is not None

    assert augments(shots=10)
    assert augments(shots=1, strategy="attention")
    assert not augments(shots=9)
    assert not augments(small_task((3, 2, 3), per_class=120), shots=51)
    assert augments(shots=51)  # no class has more than 40 beside a test part
    assert not augments(shots=10, classes="all")
    assert not augments(small_task((3, 1, 3), per_class=80), shots=10)


def test_auto_trains_an_encoder_where_there_are_classes_for_it_and_a_learner_by_prototypes():
    def part(sizes=(10, 5, 3), learner="attention_prototypical", **settings):
        return plan(learner, small_task(sizes, per_class=200), **settings).trainable

    assert part() == part(learner="prototypical") == part(shots=0) == part(shots=64) == Full()
    assert part((9, 5, 3)) is part((10, 4, 3)) is part(classes="all") is None
    for learner in ("centroid", "logistic", "ridge", "maml"):
        assert part(learner=learner) is None
    assert part(trainable="none") is None
    assert part((2, 2, 2), trainable=LoRA(rank=4)) == LoRA(rank=4)
    assert plan(task=small_task((10, 5, 3))).encoder_trainer == QuickEncoderTrainer()
    assert plan(task=small_task((10, 5, 3)), trainable=Full()).encoder_trainer == EncoderTrainer()


def named(**settings):
    return [
        note.split(" has no part in this run, ")[0].removeprefix("What was set of ") for note in plan(**settings).notes
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, []),
        ({"queries": 5, "episodes": 100}, []),
        ({"supports": 3, "test_texts": 10}, ["supports=3", "test_texts=10"]),
        ({"minutes": 1.0}, ["minutes=1.0"]),
        ({"ways": None, "supports": 3, "test_texts": 10, "minutes": 1.0}, []),
        ({"ways": None, "queries": 5, "episodes": 100}, ["queries=5", "episodes=100"]),
        ({"ways": None, "episodes": 2}, []),  # fewer supports
        ({"ways": None, "final_stage": "none", "minutes": 1.0}, ["minutes=1.0"]),
    ],
)
def test_settings_without_a_part_are_named(asked, expected):
    assert named(**asked) == expected


@pytest.mark.parametrize(
    ("trainable", "names", "expected"),
    [
        ("auto", ("quick_trainer",), []),
        ("auto", ("encoder_trainer",), ["encoder_training"]),
        (Full(), ("encoder_trainer",), []),
        (Full(), ("quick_trainer",), ["quick_training"]),
        ("none", ("encoder_trainer", "quick_trainer"), ["encoder_training", "quick_training"]),
    ],
)
def test_the_training_of_the_encoder_that_does_not_run_is_named(trainable, names, expected):
    task = small_task((10, 5, 3), per_class=60)
    assert named(task=task, trainable=trainable, **dict.fromkeys(names, EncoderTrainer(steps=7))) == expected


def test_tuners_of_other_final_stages_are_named():
    tuners = {name: replace(tuner, margin=9.0) for name, tuner in default_tuners().items()}
    assert named(shots=64, tuners=tuners) == ["adaptation.light", "adaptation.adapter", "adaptation.full"]
    assert named(ways=None, tuners=tuners) == [f"adaptation.{name}" for name in ("light", "lora", "adapter", "full")]
    assert named(tuners=tuners) == [f"adaptation.{name}" for name in tuners]
    assert named(tuners=default_tuners()) == []


def test_an_inner_loop_through_the_encoder_has_no_final_stage_and_no_new_texts():
    trainer = EncoderMAMLTrainer()
    found = plan("maml", small_task((3, 2, 3), per_class=200), trainer=trainer, shots=64)
    assert (found.final_stage, found.trainable, found.augmentation) == (None, LoRA(), None)
    assert "its inner loop tunes the encoder itself" in found.sentence()
    assert plan("maml", trainer=trainer, shots=10, trainable=Full()).trainable == Full()
    for settings, words in (
        ({"strategy": "lora"}, "inner loop tunes the encoder already"),
        ({"final_stage": "head"}, "inner loop tunes the encoder already"),
        ({"trainable": "none"}, "leaves nothing of the encoder to adapt"),
        ({"learner": "prototypical"}, "which has no inner loop"),
        ({"learner": lambda dim: MAML(dim, hidden=4, adapts="network")}, "whose head is linear"),
    ):
        with pytest.raises(ConfigError, match=words):
            plan(**{"learner": "maml", "trainer": trainer, "shots": 5} | settings)


def test_reptile_on_features_has_something_to_learn():
    with pytest.raises(ConfigError, match="Reptile moves first values that are learned"):
        plan(lambda dim: MAML(dim, reptile=True))
