"""Every YAML under conf/ composes and instantiates, and says only what differs from its constructor."""

import inspect
import json
import re
import sys
from dataclasses import fields

import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf

from fewshot.cli.build import build
from fewshot.cli.compose import CONF, KNOWN, choices, composed
from fewshot.cli.settings import RunSettings
from fewshot.learners import LEARNERS
from fewshot.resources import shipped
from fewshot.tasks import Task, load_hub
from fewshot.training import MetaTrainer
from tests.conftest import rows, write_jsonl

GROUPS = ("task", "encoder", "trainable", "learner", "training", "encoder_training")
FILES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]


@pytest.mark.parametrize(("group", "name"), FILES)
def test_it_composes(group, name):
    plus = "+" if group == "task" else ""

    config = composed(f"{plus}{group}={name}")

    assert config[group].get("_target_") == OmegaConf.load(CONF / group / f"{name}.yaml").get("_target_")


def test_the_settings_of_a_run_are_those_of_the_class():
    config = composed()

    assert RunSettings.checked(**{field.name: config[field.name] for field in fields(RunSettings)}) == RunSettings()


def test_what_may_stand_at_the_top_is_what_stands_there():
    assert set(composed("+task=folder")) == set(KNOWN)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_it_says_only_what_differs_from_the_constructor(group, name):
    config = OmegaConf.load(CONF / group / f"{name}.yaml")
    parameters = inspect.signature(get_object(config._target_)).parameters if config else {}

    for key in set(config) - {"_target_"}:
        value = OmegaConf.to_container(config)[key]  # ${seed} as it stands
        assert value != parameters[key].default, key


@pytest.mark.parametrize(("group", "name"), [pair for pair in FILES if pair[0] in ("task", "encoder")])
def test_it_says_in_its_first_line_what_it_is_within_the_width_of_a_screen(group, name):
    first = (CONF / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith("# ")
    assert choices(group)[name] == first.removeprefix("# ")
    if group == "task":
        assert len(f"  +task=medical_terms  {choices(group)[name]}") <= 80


def test_the_header_of_run_yaml_is_a_command_that_composes():
    header = (CONF / "run.yaml").read_text(encoding="utf-8").splitlines()[0]

    assert composed(*header.removeprefix("# python -m fewshot.run ").split()).shots == 5


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_is_made_with_the_encoders_dim(name):
    """Baselines are made by the constructor alone and must be the learner of that name."""
    learner = build(composed(f"learner={name}"), "learner", dim=8)

    assert type(learner) is LEARNERS[name]
    assert learner.arguments == LEARNERS[name](8).arguments


def test_there_is_a_yaml_for_each_learner():
    assert set(choices("learner")) == set(LEARNERS)


def test_the_trainer_is_that_of_the_constructor():
    made, plain = build(composed("training=episodic"), "training"), MetaTrainer()

    assert {**vars(made), "shots": tuple(made.shots)} == {**vars(plain), "shots": tuple(plain.shots)}


def test_a_bundled_task_and_a_folder_are_made(tmp_path):
    write_jsonl(tmp_path, rows())

    assert build(composed("+task=medical_terms"), "task").name == "medical_terms"
    assert build(composed("+task=folder", f"++task.path={tmp_path}"), "task").name == tmp_path.name


@pytest.mark.parametrize("name", ["banking77", "clinc150"])
def test_a_published_task_has_its_published_split_from_local_texts_alone(name, tmp_path, monkeypatch):
    published = json.loads((shipped("episodes") / name / "class_splits.json").read_text(encoding="utf-8"))
    labels = [label for part in published["02"].values() for label in part]
    write_jsonl(tmp_path / name, [{"text": f"{label} {n}", "label": label} for label in labels for n in range(2)])
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))

    task = build(composed(f"+task={name}", "++task.split=02"), "task")

    assert task.name == name
    assert sorted(task.classes[c] for c in task.parts["test"]) == sorted(published["02"]["test"])
    assert [path.name for path in (tmp_path / name).iterdir()] == ["texts.jsonl"]


class Asked:
    """Stands in for `load_hub`, with its signature."""

    __signature__ = inspect.signature(load_hub)

    def __init__(self):
        self.asked = {}

    def __call__(self, dataset, **options):
        self.asked |= {"dataset": dataset, **options}
        return Task("none", (), torch.zeros(0, dtype=torch.long), (), (), {"train": (), "valid": (), "test": ()}, "01")


@pytest.mark.parametrize("name", ["banking77", "clinc150"])
def test_a_published_task_asks_the_hub_for_what_its_yaml_says(name, monkeypatch):
    monkeypatch.delenv("FEWSHOT_DATA", raising=False)
    hub = Asked()
    monkeypatch.setattr("fewshot.tasks.load_hub", hub)

    build(composed(f"+task={name}"), "task")

    assert hub.asked["name"] == hub.asked["published"] == name
    assert (shipped("episodes") / name / "class_splits.json").is_file()


def test_a_task_of_the_hub_is_asked_for_by_name(monkeypatch):
    hub = Asked()
    monkeypatch.setattr("fewshot.tasks.load_hub", hub)

    build(composed("+task=hub", "++task.dataset=some/data"), "task")

    assert hub.asked == {"dataset": "some/data"}


def test_nothing_in_conf_is_left_over():
    families = {path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")}
    known = {f"{group}/{name}.yaml" for group, name in FILES}

    # augment/ and adaptation/ have their own tests, tests/augment/test_augmented_run.py and tests/adaptation/.
    elsewhere = re.compile("(hydra|accelerate|adaptation|augment)/")
    assert {path for path in families - known if not elsewhere.match(path)} == {"run.yaml"}


@pytest.mark.parametrize(
    ("asked", "package", "extra"),
    [
        ("hydra/launcher=submitit_slurm", "submitit", "slurm"),
        ("hydra/launcher=ray", "ray", "ray"),
        ("hydra/sweeper=optuna", "optuna", "sweep"),
    ],
)
def test_what_sweeps_need_names_its_extra_where_it_is_missing(asked, package, extra, command, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)

    outcome = command("-m", asked, "task=folder", f"task.path={folder}", "shots=1,2")

    assert outcome.status == 2
    assert f"{asked} needs {package}, which is not installed" in outcome.err
    assert f"Install it with: pip install 'fewshot-text[{extra}]'" in outcome.err


def test_launchers_of_other_packages_do_not_replace_those_of_this_one():
    assert set(choices("hydra/launcher")) == {"joblib", "submitit_local", "submitit_slurm", "ray"}
    for name in choices("hydra/launcher"):
        config = composed("+task=folder", f"hydra/launcher={name}", with_hydra=True)
        assert config.hydra.launcher._target_.startswith("hydra_plugins.fewshot_launchers.")
