"""The config of each source that runs a model says exactly what its constructor takes, and the same."""

import inspect

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from fewshot.augment.back_translation import BackTranslation
from fewshot.augment.contextual import Contextual
from fewshot.augment.llm import LanguageModel
from fewshot.cli.arguments import checked_arguments
from fewshot.resources import shipped


@pytest.mark.parametrize("source", [BackTranslation, Contextual, LanguageModel])
def test_the_yaml_is_the_constructor(source):
    file = shipped("conf") / "augment" / "source" / f"{source.name}.yaml"
    config = OmegaConf.to_container(OmegaConf.load(file))
    defaults = {name: parameter.default for name, parameter in inspect.signature(source).parameters.items()}

    assert get_object(config.pop("_target_")) is source
    assert config == defaults
    assert list(config) == list(defaults)
    assert (
        checked_arguments(inspect.signature(source).parameters, config, f"augment.sources.{source.name}", {})
        == defaults
    )
    assert file.read_text().splitlines()[0] == f"# @package augment.sources.{source.name}"
