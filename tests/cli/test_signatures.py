"""What is read from the source is what the import gives."""

import inspect
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from fewshot.cli.compose import CONF
from fewshot.cli.signatures import Unread, source_meanings, source_parameters

CONFIGS = [OmegaConf.load(path) for path in sorted(CONF.rglob("*.yaml"))]
TARGETS = sorted({config.get("_target_") for config in CONFIGS} - {None} | {"fewshot.adaptation.Ladder"})


@pytest.mark.parametrize("target", TARGETS)
def test_the_source_says_what_the_import_says(target):
    found, given = source_parameters(target), inspect.signature(get_object(target)).parameters

    assert set(found) == set(given)
    for name, parameter in found.items():
        if not isinstance(parameter.default, Unread):
            assert parameter.default == given[name].default, name
        if parameter.annotation is not Any:
            assert parameter.annotation == given[name].annotation, name


@pytest.mark.parametrize("target", TARGETS)
def test_each_setting_has_a_meaning(target):
    assert [name for name, meaning in source_meanings(target).items() if not meaning and name != "dim"] == []


def test_kinds_and_defaults_are_read():
    trainer = source_parameters("fewshot.training.MetaTrainer")

    assert (trainer["steps"].default, trainer["steps"].annotation) == (300, int)
    assert sum(parameter.annotation is Any for parameter in trainer.values()) == 0


@pytest.mark.parametrize("target", ["nlpaug.flow.Sometimes", "fewshot.training.NoSuchTrainer", "fewshot.nowhere.Task"])
def test_what_is_not_in_our_source_is_not_found(target):
    with pytest.raises(LookupError):
        source_parameters(target)
