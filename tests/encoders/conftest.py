import pytest

from tests.tiny_models import ARCHITECTURES, save_sentence_transformer, save_transformer


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Architecture → folder of a tiny random model."""
    home = tmp_path_factory.mktemp("checkpoints")
    return {architecture: save_transformer(architecture, home / architecture) for architecture in ARCHITECTURES}


@pytest.fixture(scope="session")
def dense_model(tmp_path_factory):
    """A tiny sentence-transformers model with a dense layer behind the pooling."""
    return save_sentence_transformer(tmp_path_factory.mktemp("dense"), dense=8)
