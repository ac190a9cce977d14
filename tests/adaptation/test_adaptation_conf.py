"""Every `conf/adaptation/*.yaml` is a constructor, and that of the stage's name."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fewshot.adaptation.final_stage import default_tuners
from fewshot.resources import shipped

FILES = sorted((shipped("conf") / "adaptation").glob("*.yaml"))
KINDS = {"light": "full", "lora": "lora", "adapter": "adapter", "full": "full"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_gives_what_its_constructor_gives_and_says_what_it_is(file):
    assert instantiate(OmegaConf.load(file), _convert_="all") == default_tuners()[file.stem]
    assert file.read_text(encoding="utf-8").startswith("# ")


def test_there_is_one_for_each_stage_that_tunes():
    assert {file.stem for file in FILES} == set(default_tuners())


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_stage_tunes_what_its_name_says(name, kind):
    assert default_tuners()[name].trainable.kind == kind


def test_the_light_stage_cross_validates():
    light = default_tuners()["light"]
    assert light.folds > 1
    assert light.contrastive_weight > 0
    assert light.per_class > 1
