"""Every `conf/adaptation/*.yaml` is a constructor and exactly its own arguments."""

import inspect

import pytest
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from fewshot.adaptation import FineTuner, HeadTuner
from fewshot.resources import shipped

FILES = sorted((shipped("conf") / "adaptation").glob("*.yaml"))


def test_there_is_one_for_each_stage_that_tunes():
    assert {file.stem for file in FILES} == {"head", "light", "lora", "adapter", "full"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_instantiates_with_all_arguments_named(file):
    config = OmegaConf.load(file)
    assert set(config) - {"_target_"} <= set(inspect.signature(get_class(config._target_)).parameters)
    assert isinstance(instantiate(config, _convert_="all"), HeadTuner if file.stem == "head" else FineTuner)
    assert file.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", ["lora", "adapter", "full"])
def test_a_stage_tunes_what_its_name_says(name):
    assert instantiate(OmegaConf.load(shipped("conf") / "adaptation" / f"{name}.yaml")).trainable == name


def test_the_light_stage_cross_validates():
    light = instantiate(OmegaConf.load(shipped("conf") / "adaptation" / "light.yaml"))
    assert light.folds > 1
    assert light.contrastive_weight > 0
    assert light.per_class > 1
