"""Every `conf/encoder/*.yaml` is a constructor and exactly its own arguments."""

import inspect

import pytest
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from fewshot.encoders import Encoder, TransformerEncoder
from fewshot.resources import shipped

FILES = sorted((shipped("conf") / "encoder").glob("*.yaml"))
MODULES = {  # names of the attention maps, from a tiny model of the architecture
    "deepseek_r1_distill_qwen_1_5b": "qwen2",
    "deepseek_llm_7b": "llama",
    "deepseek_v2_lite": "deepseek_v2",
    "deepseek_v3": "deepseek_v3",
    "minilm": "bert",
}


def test_they_are_found():
    assert {"minilm", "sentence_transformer", *MODULES} <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_yaml_instantiates_without_loading(file):
    config = OmegaConf.load(file)
    if OmegaConf.is_missing(config, "model"):
        config.model = "someone/model"
    names = set(inspect.signature(get_class(config._target_)).parameters)
    assert set(config) - {"_target_"} == names
    encoder = instantiate(config)
    assert isinstance(encoder, Encoder)
    assert encoder._module is None
    assert encoder.max_length == 256


@pytest.mark.parametrize(("name", "architecture"), MODULES.items())
def test_lora_targets_are_modules_of_the_architecture(name, architecture, checkpoints):
    targets = OmegaConf.load(shipped("conf") / "encoder" / f"{name}.yaml").lora_targets
    module = TransformerEncoder(str(checkpoints[architecture]), cache=None, dtype="float32").backbone
    present = {path.rpartition(".")[2] for path, _ in module.named_modules()}
    assert set(targets) <= present
