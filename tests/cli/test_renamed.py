"""Settings that are typed by an earlier name."""

import pytest

from fewshot.cli.renamed import renamed


@pytest.mark.parametrize(
    ("typed", "now"),
    [
        ("encoder.trainable=lora", "trainable=lora"),
        ("++encoder.trainable=none", "trainable=none"),
        ("encoder.trainable=null", "trainable=none"),
        ("encoder.trainable=none,full", "trainable=none,full"),
        ("encoder.policy=layered", "trainable.layers=layered"),
        ("augment.sources.synonym.most_replacements=2", "augment.sources.synonym.max_replacements=2"),
        ("encoder.lora_rank=4,8", "trainable.rank=4,8"),
        ("++encoder.lora_targets=[query]", "++trainable.targets=[query]"),
        ("encoder.lora_rank_stabilised=true", "trainable.rank_stabilised=true"),
        ("encoder.adapter_dim=12", "trainable.dim=12"),
        ("encoder.dropout=null", "trainable.encoder_dropout=null"),
        ("adaptation.lora.looks=3", "adaptation.lora.max_evaluations=3"),
        ("adaptation.full.held_out_most=3", "adaptation.full.max_held_out=3"),
        ("adaptation.lora.trainable=full", "adaptation.lora.trainable._target_=fewshot.encoders.Full"),
    ],
)
def test_it_goes_by_its_name_now(typed, now):
    assert renamed([typed]) == [now]


@pytest.mark.parametrize(
    "typed", ["shots=5", "-m", "--config-dir", "encoder.model=a=b", "encoder.max_length=8", "~encoder.trainable", "x"]
)
def test_everything_else_stays(typed):
    assert renamed([typed]) == [typed]
