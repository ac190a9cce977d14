"""`--help` and the page of the settings say the same."""

from pathlib import Path

import pytest

from fewshot.cli.compose import composed
from fewshot.cli.help import MAIN, advanced_help, main_help
from fewshot.run import main

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("typed", "shown"), [(["--help"], main_help), (["--help", "advanced"], advanced_help)])
def test_help_is_shown(typed, shown, capsys):
    assert main(typed) == 0
    assert capsys.readouterr().out == f"{shown()}\n"


def test_the_settings_that_users_touch_fit_a_screen():
    settings = [name for names in MAIN.values() for name in names]

    assert 20 <= len(settings) <= 30
    lines = main_help().splitlines()
    assert len(lines) <= 50
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
    assert "ladder.lora_above=50" in shown


def test_the_page_has_the_help():
    assert main_help() in PAGE


def test_the_rest_is_under_advanced():
    shown = advanced_help()

    assert max(map(len, shown.splitlines())) <= 100
    assert "learner=maml  (learner.SETTING=VALUE, fewshot.learners.MAML)\n  inner_lr=0.01 " in shown
    assert "adaptation=head  (adaptation.NAME.SETTING=VALUE" in shown
    assert "ladder.SETTING=VALUE" in shown
