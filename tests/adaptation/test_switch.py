"""Several adapted models over one encoder that is loaded once."""

import pytest
import torch

from fewshot.adaptation import AdapterSwitch
from fewshot.encoders import TransformerEncoder
from fewshot.errors import ConfigError
from tests.adaptation.conftest import coloured

TEXTS = coloured(5, seed=7)[0]


def test_each_gives_the_logits_that_it_gives_alone_back_and_forth(adapted, tmp_path, tiny, monkeypatch):
    switch = AdapterSwitch(TransformerEncoder(str(tiny), dtype="float32", cache=None))
    monkeypatch.setattr(TransformerEncoder, "_load", None)  # nothing is loaded again
    for name, model in adapted.items():
        model.save_pretrained(tmp_path / name)
        switch.add(name, tmp_path / name)
    monkeypatch.undo()
    expected = {name: model.logits(TEXTS) for name, model in adapted.items()}
    for name in (*adapted, *reversed(adapted), "lora", "full", "lora"):
        assert torch.equal(switch.use(name).logits(TEXTS), expected[name]), name
    assert switch.names == tuple(adapted)


def test_classifiers_stay_usable_side_by_side(adapted, tiny):
    switch = AdapterSwitch(TransformerEncoder(str(tiny), dtype="float32", cache=None))
    models = [switch.add(name, adapted[name]) for name in ("lora", "adapter")]
    for text in TEXTS:
        for model, name in zip(models, ("lora", "adapter"), strict=True):
            assert model.predict([text]) == adapted[name].predict([text])
    assert models[0].encoder.module is models[1].encoder.module
    assert switch.names == ("lora", "adapter")


def test_what_does_not_belong_is_refused(adapted, tiny):
    switch = AdapterSwitch(TransformerEncoder(str(tiny), dtype="float32", cache=None, pooling="cls"))
    with pytest.raises(ConfigError, match=r"'lora' was adapted from .* Give it a switch of its own"):
        switch.add("lora", adapted["lora"])
    with pytest.raises(ConfigError, match=r"no classifier 'lora'\. Expected one of none yet"):
        switch.use("lora")
