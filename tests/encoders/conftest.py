import json

import pytest
import torch

from tests.tiny_models import ARCHITECTURES, save_sentence_transformer, save_transformer

DEEP = 10  # layers: 7 are frozen under the layered policy, 2 trained in queries and keys, 1 whole


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Architecture → folder of a tiny random model."""
    home = tmp_path_factory.mktemp("checkpoints")
    folders = {architecture: save_transformer(architecture, home / architecture) for architecture in ARCHITECTURES}
    return folders | {"mpnet": save_variant(folders["bert"], home / "mpnet", "mpnet")}


@pytest.fixture(scope="session")
def deep_checkpoints(checkpoints, tmp_path_factory):
    """The same architectures with `DEEP` layers."""
    home = tmp_path_factory.mktemp("deep")
    return {
        architecture: save_variant(folder, home / architecture, num_hidden_layers=DEEP)
        for architecture, folder in checkpoints.items()
    }


@pytest.fixture(scope="session")
def dense_model(tmp_path_factory):
    """A tiny sentence-transformers model with a dense layer behind the pooling."""
    return save_sentence_transformer(tmp_path_factory.mktemp("dense"), dense=8)


def save_variant(model, folder, architecture=None, **settings):
    """Save a random model with the tokenizer and, but for some settings, the config of another."""
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    PreTrainedTokenizerFast.from_pretrained(model).save_pretrained(folder)
    config = json.loads((model / "config.json").read_text())
    kept = {name: value for name, value in config.items() if name not in ("layer_types", "architectures", "dtype")}
    architecture = architecture or kept["model_type"]
    kept.pop("model_type")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        AutoModel.from_config(AutoConfig.for_model(architecture, **kept | settings)).save_pretrained(folder)
    return folder
