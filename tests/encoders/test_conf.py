"""Every `conf/encoder/*.yaml` is a constructor and those of its arguments that differ from the defaults."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fewshot.encoders import Encoder, SentenceTransformerEncoder
from fewshot.resources import shipped

FILES = sorted((shipped("conf") / "encoder").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_yaml_instantiates_without_loading(file):
    config = OmegaConf.load(file)
    if OmegaConf.is_missing(config, "model"):
        config.model = "someone/model"
    encoder = instantiate(config)
    assert isinstance(encoder, Encoder)
    assert encoder._module is None
    assert encoder.max_length == 256


def test_the_encoder_of_the_command_is_that_of_the_constructor():
    file = next(file for file in FILES if file.stem == "minilm")
    assert instantiate(OmegaConf.load(file)).settings() == SentenceTransformerEncoder().settings()
