"""Settings that all encoders share: one place, every signature."""

import inspect
from dataclasses import fields

import pytest

from fewshot.cli.arguments import checked_arguments
from fewshot.encoders import LoRA, SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.settings import EncoderSettings
from fewshot.errors import ConfigError

SHARED = {field.name for field in fields(EncoderSettings)}


@pytest.mark.parametrize(
    ("kind", "own"), [(SentenceTransformerEncoder, set()), (TransformerEncoder, {"pooling", "attention", "normalize"})]
)
def test_a_constructor_takes_the_shared_settings_and_its_own(kind, own):
    parameters = inspect.signature(kind).parameters
    assert set(parameters) == SHARED | own
    assert [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY] == ["model"]
    assert all(not isinstance(parameter.annotation, str) for parameter in parameters.values())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"max_lenght": 4}, "no setting 'encoder.max_lenght'. Did you mean encoder.max_length"),
        ({"tokens_per_batch": "many"}, "Got encoder.tokens_per_batch='many', expected a whole number"),
        ({"max_length": "none"}, "Got encoder.max_length='none', expected a whole number or null"),
        ({"shallow_layer": "first"}, "Got encoder.shallow_layer='first', expected a whole number or auto or null"),
    ],
)
@pytest.mark.parametrize("kind", [SentenceTransformerEncoder, TransformerEncoder])
def test_what_is_typed_is_checked_against_the_signature(kind, values, said):
    with pytest.raises(ConfigError, match=said):
        checked_arguments(inspect.signature(kind).parameters, {"model": "m"} | values, "encoder", {})


def test_of_trainings_too():
    with pytest.raises(ConfigError, match=r"no setting 'trainable.rnak'. Did you mean trainable.rank"):
        checked_arguments(inspect.signature(LoRA).parameters, {"rnak": 4}, "trainable", {})
    with pytest.raises(ConfigError, match=r"Got trainable.layers='top', expected all or layered"):
        checked_arguments(inspect.signature(LoRA).parameters, {"layers": "top"}, "trainable", {})
    with pytest.raises(ConfigError, match=r"Got trainable.targets='query', expected a list"):
        checked_arguments(inspect.signature(LoRA).parameters, {"targets": "query"}, "trainable", {})


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("max_length", 0, "0. Expected a positive number"),
        ("shallow_weight", 0.0, "0.0. Expected a number above 0, up to 1000"),
        ("dtype", "int4", "int4. Expected one of auto, float32, bfloat16, float16, int8"),
        ("quantise", "8bit", "8bit. Expected one of 4bit"),
    ],
)
def test_values_that_cannot_be_are_refused_at_once(setting, value, said):
    with pytest.raises(ConfigError, match=rf"encoder\.{setting}={said}"):
        SentenceTransformerEncoder(**{setting: value})


def test_the_bundled_model_has_its_shallow_layer_and_others_have_none():
    assert SentenceTransformerEncoder()._settings()["shallow"] == [3, 0.6]
    assert "shallow" not in SentenceTransformerEncoder(shallow_layer=None)._settings()
    assert "shallow" not in SentenceTransformerEncoder("some/model")._settings()
    assert "shallow" not in TransformerEncoder("some/model")._settings()


def test_settings_are_what_json_can_hold(tmp_path):
    settings = SentenceTransformerEncoder(cache=tmp_path).settings()
    assert set(settings) == SHARED
    assert settings["cache"] == str(tmp_path)
