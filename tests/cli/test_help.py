"""`--help` and the page of the settings say the same."""

from inspect import signature
from pathlib import Path

import pytest
from hydra.utils import get_object

from fewshot.adaptation import Ladder
from fewshot.cli.compose import composed
from fewshot.cli.help import MAIN, UNSTATED, advanced_help, main_help, meanings, targets
from fewshot.run import main
from fewshot.tasks import load_folder
from fewshot.training import MetaTrainer

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("typed", "shown"), [(["--help"], main_help), (["--help", "advanced"], advanced_help)])
def test_help_is_shown(typed, shown, capsys):
    assert main(typed) == 0
    assert capsys.readouterr().out == f"{shown()}\n"


def test_the_settings_that_users_touch_fit_a_screen():
    settings = [name for names in MAIN.values() for name in names]

    assert 20 <= len(settings) <= 30
    lines = main_help().splitlines()
    assert len(lines) <= 52
    for name in settings:
        (line,) = [line for line in lines if line.startswith(f"  {name}=")]
        assert len(line) <= 100
        assert " " in line.strip() or name == "augment/source", f"{name} has a meaning"


def test_defaults_are_those_of_a_run():
    shown = main_help()
    config = composed()

    for name in ("ways", "shots", "queries", "episodes", "strategy", "output"):
        assert f"  {name}={config[name]} " in shown
    assert "baselines=[centroid,logistic,ridge]" in shown
    for name, target in {"task.split": load_folder, "ladder.lora_above": Ladder, "training.steps": MetaTrainer}.items():
        assert UNSTATED[name] == signature(target).parameters[name.split(".")[1]].default
    assert UNSTATED["augment/source"] == list(composed("augment=semantic").augment.sources)


def test_the_page_has_the_help():
    assert main_help() in PAGE


@pytest.mark.parametrize("target", sorted({target for *_, target in targets()}))
def test_each_setting_has_a_meaning(target):
    made = get_object(target)

    assert [name for name in signature(made).parameters if not meanings(made).get(name)] == []


def test_the_rest_is_under_advanced():
    shown = advanced_help()

    assert max(map(len, shown.splitlines())) <= 100
    assert "learner=maml  (learner.SETTING=VALUE, fewshot.learners.MAML)\n  inner_lr=0.01 " in shown
    assert "adaptation=head  (adaptation.NAME.SETTING=VALUE" in shown
    assert "ladder.SETTING=VALUE" in shown
