"""Settings that all encoders share: one place, every signature."""

import inspect
from dataclasses import fields

import pytest

from fewshot.cli.arguments import checked_arguments
from fewshot.encoders import SentenceTransformerEncoder, TransformerEncoder
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
        ({"lora_rnak": 4}, "no setting 'encoder.lora_rnak'. Did you mean encoder.lora_rank"),
        ({"lora_rank": "eight"}, "Got encoder.lora_rank='eight', expected a whole number"),
        ({"dropout": "none"}, "Got encoder.dropout='none', expected a number or null"),
        ({"lora_targets": "query"}, "Got encoder.lora_targets='query', expected a list"),
    ],
)
@pytest.mark.parametrize("kind", [SentenceTransformerEncoder, TransformerEncoder])
def test_what_is_typed_is_checked_against_the_signature(kind, values, said):
    with pytest.raises(ConfigError, match=said):
        checked_arguments(inspect.signature(kind).parameters, {"model": "m"} | values, "encoder", {})


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("trainable", "adapters", "'adapters', expected one of none, auto, lora, adapter, full"),
        ("policy", "top", "'top', expected one of all, layered"),
        ("lora_rank", 0, "0, expected 1 or more"),
        ("lora_alpha", 0.0, "0.0, expected a number above 0"),
        ("lora_dropout", 1.0, "1.0, expected a share"),
        ("dropout", -0.1, "-0.1, expected a share"),
    ],
)
def test_values_that_cannot_be_are_refused_at_once(setting, value, said):
    with pytest.raises(ConfigError, match=rf"encoder\.{setting}={said}"):
        SentenceTransformerEncoder(**{setting: value})


def test_settings_are_what_json_can_hold(tmp_path):
    settings = SentenceTransformerEncoder(cache=tmp_path, lora_targets=("query",)).settings()
    assert set(settings) == SHARED
    assert settings["cache"] == str(tmp_path)
    assert settings["lora_targets"] == ["query"]
