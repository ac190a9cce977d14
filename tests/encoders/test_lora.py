"""Variants of low-rank updates: each starts as published, and what is merged or read again is what was trained."""

import json

import pytest
import torch

from fewshot.encoders import LoRA, TrainableEncoder
from fewshot.encoders.layers import find_stack
from fewshot.errors import ConfigError
from tests.encoders.test_trainable import KNOWN, TEXTS, build, state_of, train

VARIANTS = {
    "stabilised": LoRA(rank_stabilised=True, rank=4),
    "dora": LoRA(dora=True),
    "both": LoRA(rank_stabilised=True, dora=True),
}
EXPERTS = ("deepseek_v2", "deepseek_v3")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("architecture", KNOWN)
def test_a_variant_starts_as_published_and_is_read_again_as_it_was_trained(
    checkpoints, tmp_path, architecture, variant
):
    trainable = TrainableEncoder(build(checkpoints[architecture]), VARIANTS[variant])
    published = build(checkpoints[architecture]).encode(TEXTS)
    torch.testing.assert_close(trainable.compute(TEXTS), published, atol=1e-5, rtol=0)
    end = train(trainable).compute(TEXTS)
    assert not torch.allclose(end, published, atol=1e-3)
    trainable.save(tmp_path)
    merged, loaded = trainable.merged(), build(checkpoints[architecture], weights=tmp_path)
    torch.testing.assert_close(merged.encode(TEXTS), end, atol=2e-5, rtol=0)
    assert torch.equal(loaded.encode(TEXTS), merged.encode(TEXTS))
    assert loaded.fingerprint == merged.fingerprint
    trainable.interpolate(0.0)
    torch.testing.assert_close(trainable.compute(TEXTS), published, atol=1e-5, rtol=0)


def _first_query(encoder):
    return find_stack(encoder.backbone).layers[0].attention.self.query.weight.detach()


def test_the_scale_is_alpha_over_the_rank_or_its_root(checkpoints):
    backbone = build(checkpoints["bert"]).backbone
    for stabilised, scale in ((False, 12 / 9), (True, 12 / 3)):
        lora = LoRA(rank=9, alpha=12.0, rank_stabilised=stabilised, targets=["query"])
        assert lora.place(backbone, "bert").scale == pytest.approx(scale)
        trainable = train(TrainableEncoder(build(checkpoints["bert"]), lora))
        state = {
            name.partition("attention.self.query.")[2]: t for name, t in state_of(trainable).items() if ".0." in name
        }
        update = state["lora_B.default.weight"] @ state["lora_A.default.weight"]
        before, after = (_first_query(encoder) for encoder in (build(checkpoints["bert"]), trainable.merged()))
        torch.testing.assert_close(after - before, scale * update, atol=1e-6, rtol=0)


def test_dora_trains_the_lengths_of_the_rows(checkpoints):
    trainable = TrainableEncoder(build(checkpoints["bert"]), LoRA(dora=True, targets=["query"]))
    weight = _first_query(build(checkpoints["bert"]))
    name = next(name for name in state_of(trainable) if "magnitude" in name and ".0." in name)
    torch.testing.assert_close(state_of(trainable)[name], weight.norm(dim=1))
    end = train(trainable, rate=0.2)
    torch.testing.assert_close(_first_query(end.merged()).norm(dim=1), state_of(end)[name], atol=1e-5, rtol=0)
    assert not torch.allclose(state_of(end)[name], weight.norm(dim=1), atol=1e-4)


@pytest.mark.parametrize("architecture", EXPERTS)
def test_each_expert_gets_an_update_of_its_own(checkpoints, tmp_path, architecture):
    trainable = TrainableEncoder(build(checkpoints[architecture]), LoRA(experts=True, rank=3))
    published = build(checkpoints[architecture]).encode(TEXTS)
    assert torch.equal(trainable.compute(TEXTS), published)
    end = train(trainable, rate=0.3).compute(TEXTS)
    merged = trainable.merged()
    torch.testing.assert_close(merged.encode(TEXTS), end, atol=2e-5, rtol=0)
    before, after = (find_stack(e.backbone).layers[1].mlp.experts for e in (build(checkpoints[architecture]), merged))
    for name in ("gate_up_proj", "down_proj"):
        updates = (getattr(after, name) - getattr(before, name)).detach()
        assert updates.shape[0] == 4
        for update in updates:
            values = torch.linalg.svdvals(update)
            assert values[0] > 1e-4
            assert values[3:].max() < 1e-5 * max(1, values[0])  # of rank 3
    trainable.save(tmp_path)
    loaded = build(checkpoints[architecture], weights=tmp_path)
    assert torch.equal(loaded.encode(TEXTS), merged.encode(TEXTS))
    assert json.loads((tmp_path / "adapter_config.json").read_text())["target_parameters"] == [
        "layers.1.mlp.experts.gate_up_proj",
        "layers.1.mlp.experts.down_proj",
    ]


def test_experts_are_adapted_in_the_layers_that_are_trained(deep_checkpoints):
    placed = LoRA(experts=True, layers="layered").place(build(deep_checkpoints["deepseek_v2"]).backbone, "model")
    names = placed.config["target_parameters"]
    assert {name.split(".")[1] for name in names} == {"7", "8", "9"}


def test_a_model_without_experts_is_refused(checkpoints):
    with pytest.raises(ConfigError, match=r"trainable\.experts=true, but the layers .* hold no fused experts"):
        TrainableEncoder(build(checkpoints["llama"]), LoRA(experts=True))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("lora", [*VARIANTS.values(), LoRA(experts=True)], ids=[*VARIANTS, "experts"])
def test_peft_reads_what_was_saved(checkpoints, tmp_path, lora):
    import peft
    from transformers import AutoModel

    trainable = train(TrainableEncoder(build(checkpoints["deepseek_v2"]), lora))
    trainable.save(tmp_path)
    model = AutoModel.from_pretrained(checkpoints["deepseek_v2"])
    adapted = peft.PeftModel.from_pretrained(model, tmp_path).eval()
    batch = trainable.tokenize(TEXTS)
    with torch.no_grad():
        ours, theirs = (part(**batch).last_hidden_state for part in (trainable.backbone, adapted))
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)
