"""Tiny models that are saved once for all tests of a session."""

import pytest

from tests.augment.tiny_pretrained import save_masked_model, save_translator


@pytest.fixture(scope="session")
def masked_model(tmp_path_factory):
    """The folder of a random masked language model."""
    return str(save_masked_model(tmp_path_factory.mktemp("masked") / "model"))


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """Settings of back-translation with two random Marian models."""
    home = tmp_path_factory.mktemp("marian")
    names = ("forward_model", "back_model")
    return {name: str(save_translator(home / name, seed)) for seed, name in enumerate(names)} | {"max_tokens": 6}
