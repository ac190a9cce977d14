"""What the ladder means for a run."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fewshot.adaptation import Ladder
from fewshot.encoders import Adapter, Full, LoRA, TransformerEncoder
from fewshot.errors import ConfigError
from fewshot.learners import LEARNERS, MAML
from fewshot.plan import QUICK, Plan, augments, trains_encoder
from fewshot.resources import shipped
from fewshot.settings import Settings
from tests.synthetic import small_task

ALL = {"ways": None}


def plan(learner="attention_prototypical", ladder=None, **settings) -> Plan:
    return Plan.of(Settings(**settings), ladder or Ladder(), LEARNERS[learner](8))


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
    assert (found.rung.name, found.final_stage, found.fixed_test) == (stage, final, fixed_test)
    assert found.rung.reason in found.sentence()
    assert ("where it pays" in found.sentence()) is (final is not None)


def test_shots_that_no_class_has_do_not_count():
    def found(shots, most, **settings):
        return Plan.of(Settings(shots=shots, **settings), Ladder(), LEARNERS["prototypical"](8), most)

    assert found(501, 41).rung.name == "attention"
    assert "No class has more of the 501 that were asked for." in found(501, 41).sentence()
    assert found(51, 51).rung.name == found(60, 300).rung.name == "lora"
    assert found(501, 41, strategy="lora").rung.name == "lora"
    assert found(501, 41).fixed_test
    assert found(10, 8).rung.name == "attention"  # episodes are sampled, and have all ten
    assert found(10, 8, **ALL).rung.name == "prototypes"


def test_a_stage_that_tunes_nothing_says_why():
    assert "Nothing is tuned on the supports (final_stage=none)" in plan(shots=64, final_stage="none").sentence()
    through_encoder = Plan.of(Settings(shots=64), Ladder(), MAML(8, adapts="lora")).sentence()
    assert "its inner loop tunes the encoder itself" in through_encoder


def test_all_learners_are_compared_on_the_same_episodes():
    assert plan("ridge", shots=5, **ALL).fixed_test
    assert plan("ridge", shots=5, **ALL).final_stage is None


@pytest.mark.parametrize(("learner", "final"), [("prototypical", "head"), ("centroid", "head"), ("ridge", None)])
def test_a_head_is_tuned_where_the_learner_goes_by_prototypes(learner, final):
    assert plan(learner, shots=5, **ALL).final_stage == final
    assert plan(learner, shots=51, **ALL).final_stage == "lora"


def test_the_borders_are_settings():
    assert plan(shots=20, ladder=Ladder(lora_above=19)).final_stage == "lora"


def test_settings_say_what_the_plan_leaves_no_choice_in():
    assert plan(shots=5, strategy="zero_shot").settings(Settings(shots=5)).shots == 0
    assert plan(shots=5, **ALL).settings(Settings(shots=5)) == Settings(shots=5, protocol="fixed_test")
    assert plan(shots=5).settings(Settings(shots=5)) == Settings(shots=5, protocol="sampled")


def test_a_learner_that_tunes_the_encoder_itself_has_no_final_stage():
    learner = MAML(8, adapts="lora")
    assert Plan.of(Settings(shots=64), Ladder(), learner).final_stage is None
    for asked in ({"strategy": "lora"}, {"final_stage": "head"}):
        with pytest.raises(ConfigError, match=r"inner loop goes through the encoder already"):
            Plan.of(Settings(shots=64, **asked), Ladder(), learner)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"protocol": "fixed_test", "realistic": True}, "realistic=true where one test part of the texts is fixed"),
        ({"shots": 64, "realistic": True}, "stage lora"),
        ({"classes": "all", "protocol": "sampled"}, "protocol=sampled with classes=all"),
        ({"strategy": "lora", "final_stage": "none"}, "two final stages"),
    ],
)
def test_protocols_that_do_not_go_together_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        plan(**settings)


def test_new_texts_come_with_the_attention_stage_where_valid_classes_decide():
    task, learner = small_task((3, 2, 3), per_class=80), LEARNERS["prototypical"](4)
    assert augments(Ladder(), Settings(shots=10), task, learner)
    assert augments(Ladder(), Settings(shots=1, strategy="attention"), task, learner)
    assert not augments(Ladder(), Settings(shots=9), task, learner)
    assert not augments(Ladder(), Settings(shots=51), small_task((3, 2, 3), per_class=120), learner)
    assert augments(Ladder(), Settings(shots=51), task, learner)  # no class has more than 40 beside a test part
    assert not augments(Ladder(), Settings(shots=10, classes="all"), task, learner)
    assert not augments(Ladder(), Settings(shots=10), small_task((3, 1, 3), per_class=80), learner)
    assert not augments(Ladder(), Settings(shots=10), task, MAML(4, adapts="lora"))


def test_auto_trains_an_encoder_where_there_are_classes_for_it_and_a_learner_by_prototypes():
    def decided(sizes=(10, 5, 3), learner="attention_prototypical", trainable="auto", **settings):
        encoder = TransformerEncoder("some/model")
        return trains_encoder(encoder, trainable, Settings(**settings), small_task(sizes), LEARNERS[learner](4))

    assert decided() == decided(learner="prototypical") == decided(shots=0) == decided(shots=64) == Full()
    assert decided((9, 5, 3)) is decided((10, 4, 3)) is decided(classes="all") is None
    for learner in ("centroid", "logistic", "ridge", "maml"):
        assert decided(learner=learner) is None
    assert decided(trainable="none") is None
    assert decided((2, 2, 2), trainable=LoRA(rank=2)) == LoRA(rank=2)


def test_what_an_inner_loop_adapts_is_not_trained_before():
    def decided(trainable, adapts):
        task = small_task((10, 5, 3))
        return trains_encoder(TransformerEncoder("some/model"), trainable, Settings(), task, MAML(4, adapts=adapts))

    assert decided(LoRA(), "lora") is decided(Full(), "encoder") is decided("auto", "lora") is None
    for trainable in (Full(), Adapter()):
        with pytest.raises(
            ConfigError, match=rf"trainable={trainable.kind} with a learner whose inner loop goes through"
        ):
            decided(trainable, "lora")


def test_the_quick_training_is_that_of_its_config_file():
    config = OmegaConf.load(shipped("conf") / "encoder_training" / "quick.yaml")
    assert instantiate(config, _convert_="all") == QUICK
