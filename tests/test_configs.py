"""Every YAML under conf/ composes and instantiates, and says nothing that its constructor does not take."""

import inspect
import json
import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import OmegaConf

from fewshot.command_line import choices
from fewshot.encoders import Adapter, Encoder, Full, LoRA, SentenceTransformerEncoder
from fewshot.learners import LEARNERS, Learner
from fewshot.resources import shipped
from fewshot.tasks import Task, load_hub
from fewshot.training import MetaTrainer
from tests.conftest import rows, write_jsonl

CONF = shipped("conf")
GROUPS = ("task", "encoder", "trainable", "learner", "training", "encoder_training", "ladder")
TRAINABLES = {"lora": LoRA(), "adapter": Adapter(), "full": Full()}
# Groups whose YAMLs state only what differs from the constructor.
DIFFERENCES = ("encoder", "trainable", "training", "encoder_training")
NAMED = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
FILES = [pair for pair in NAMED if pair not in (("trainable", "none"), ("trainable", "auto"))]  # which hold no settings
# The encoder says how many features there are; the name of a task's own files is no setting.
NOT_IN_YAML = {"learner": {"dim"}, "task": {"options"}}


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", list(overrides))


def instantiate(config, **more):
    return hydra_instantiate(config, _convert_="all", **more)


def test_there_is_a_yaml_for_each_family():
    assert {group for group, _ in FILES} == set(GROUPS)
    assert {name for group, name in FILES if group == "learner"} == set(LEARNERS)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_it_composes(group, name):
    plus = "+" if group == "task" else ""

    config = composed(f"{plus}{group}={name}")

    assert config[group]._target_ == OmegaConf.load(CONF / group / f"{name}.yaml")._target_


@pytest.mark.parametrize(("group", "name"), FILES)
def test_its_keys_are_the_constructors_arguments(group, name):
    config = OmegaConf.load(CONF / group / f"{name}.yaml")
    target = get_object(config._target_)
    parameters = inspect.signature(target).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    keys = set(config) - {"_target_"}

    if takes_any:  # load_folder_or_hub passes the rest to load_hub
        assert keys <= set(parameters) | set(inspect.signature(load_hub).parameters)
        assert set(parameters) - {"options"} <= keys
    else:
        optional = {"shipped_splits"} | NOT_IN_YAML.get(group, set())
        if config._target_.endswith("load_bundled"):
            optional = set()
        assert keys <= set(parameters)
        assert group in DIFFERENCES or keys == set(parameters) - optional


@pytest.mark.parametrize(("group", "name"), [pair for pair in NAMED if pair[0] in ("task", "encoder", "trainable")])
def test_it_says_in_its_first_line_what_it_is_within_the_width_of_a_screen(group, name):
    first = (CONF / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith("# ")
    assert choices(group, [CONF])[name] == first.removeprefix("# ")
    if group == "task":
        assert len(f"  +task=medical_terms  {choices(group, [CONF])[name]}") <= 80


def test_the_header_of_run_yaml_is_a_command_that_composes():
    header = (CONF / "run.yaml").read_text(encoding="utf-8").splitlines()[0]

    words = header.removeprefix("# python -m fewshot.run ").split()

    assert composed(*words).shots == 5


@pytest.mark.parametrize("name", [name for group, name in FILES if group == "encoder"])
def test_an_encoder_instantiates_without_loading_anything(name, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("looked for weights")

    monkeypatch.setattr("fewshot.encoders.encoder.locate", refuse)
    monkeypatch.setattr("fewshot.encoders.sentence_transformer.locate", refuse)
    overrides = ["encoder.model=some/model"] if name == "sentence_transformer" else []

    encoder = instantiate(composed(f"encoder={name}", *overrides).encoder)

    assert isinstance(encoder, Encoder)


@pytest.mark.parametrize("name", [name for group, name in FILES if group == "learner"])
def test_a_learner_instantiates_with_the_encoders_dim(name):
    learner = instantiate(composed(f"learner={name}").learner, dim=8)

    assert isinstance(learner, Learner)
    assert type(learner) is LEARNERS[name]


@pytest.mark.parametrize("name", [name for group, name in FILES if group == "learner"])
def test_a_learners_yaml_gives_what_its_constructor_gives(name):
    """Baselines are made by the constructor alone and must be the learner of that name."""
    assert instantiate(composed(f"learner={name}").learner, dim=8).arguments == LEARNERS[name](8).arguments


def test_the_trainer_is_that_of_the_constructor():
    assert instantiate(composed("training=episodic").training) == MetaTrainer()


def test_the_encoder_of_the_command_is_that_of_the_constructor():
    assert instantiate(composed().encoder).settings() == SentenceTransformerEncoder().settings()


@pytest.mark.parametrize("name", TRAINABLES)
def test_what_is_trained_of_an_encoder_instantiates(name):
    assert instantiate(composed(f"trainable={name}").trainable) == TRAINABLES[name]


@pytest.mark.parametrize("name", ["none", "auto"])
def test_nothing_and_auto_have_no_settings(name):
    assert not composed(f"trainable={name}").trainable


def test_the_bundled_task_instantiates():
    assert instantiate(composed("+task=medical_terms").task).name == "medical_terms"


def test_the_folder_task_instantiates(tmp_path):
    write_jsonl(tmp_path, rows())

    task = instantiate(composed("+task=folder", f"task.path={tmp_path}").task)

    assert isinstance(task, Task)
    assert task.name == tmp_path.name


@pytest.mark.parametrize("name", ["banking77", "clinc150"])
def test_a_published_task_has_its_published_split_from_local_texts_alone(name, tmp_path, monkeypatch):
    published = json.loads((shipped("episodes") / name / "class_splits.json").read_text(encoding="utf-8"))
    labels = [label for part in published["02"].values() for label in part]
    write_jsonl(tmp_path / name, [{"text": f"{label} {n}", "label": label} for label in labels for n in range(2)])
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))

    task = instantiate(composed(f"+task={name}", "task.split=02").task)

    assert task.name == name
    assert sorted(task.classes[c] for c in task.parts["test"]) == sorted(published["02"]["test"])
    assert [path.name for path in (tmp_path / name).iterdir()] == ["texts.jsonl"]


@pytest.mark.parametrize("name", ["banking77", "clinc150"])
def test_a_published_task_asks_the_hub_for_what_its_yaml_says(name, monkeypatch):
    monkeypatch.delenv("FEWSHOT_DATA", raising=False)
    asked = {}
    monkeypatch.setattr("fewshot.tasks.hub.load_hub", Asked(asked))

    instantiate(composed(f"+task={name}").task)

    assert asked["name"] == asked["shipped_splits"] == name
    assert (shipped("episodes") / name / "class_splits.json").is_file()


class Asked:
    """Stands in for `load_hub`, with its signature."""

    __signature__ = inspect.signature(load_hub)

    def __init__(self, asked):
        self.asked = asked

    def __call__(self, dataset, **options):
        self.asked.update(dataset=dataset, **options)
        return write_nothing()


def write_nothing() -> Task:
    import torch

    return Task("none", (), torch.zeros(0, dtype=torch.long), (), (), {"train": (), "valid": (), "test": ()}, "01")


def test_the_hub_task_instantiates(monkeypatch):
    asked = {}
    monkeypatch.setattr("fewshot.tasks.load_hub", Asked(asked))

    instantiate(composed("+task=hub", "task.dataset=some/data").task)

    assert asked["dataset"] == "some/data"


def test_nothing_in_conf_is_left_over():
    families = {path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")}
    known = {f"{group}/{name}.yaml" for group, name in NAMED}

    # augment/ and adaptation/ have their own tests, tests/augment/test_augmented_run.py and tests/adaptation/.
    elsewhere = re.compile("(hydra|accelerate|adaptation|augment)/")
    assert {path for path in families - known if not elsewhere.match(path)} == {"run.yaml"}
