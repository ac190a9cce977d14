"""The stack of layers, and which parameters full fine-tuning trains, on every architecture."""

import json

import pytest
import torch
from torch import nn

from fewshot.encoders import Full, SentenceTransformerEncoder, TrainableEncoder, TransformerEncoder
from fewshot.encoders.described import described_encoder, encoder_from
from fewshot.encoders.layers import Split, Stack, find_stack, split
from fewshot.errors import ConfigError, EncoderError
from tests.encoders.conftest import DEEP
from tests.tiny_models import ARCHITECTURES

KNOWN = (*ARCHITECTURES, "mpnet")
PATHS = {"bert": "encoder.layer", "mpnet": "encoder.layer"}
BEHIND = {"bert": set(), "mpnet": set()}
LATENT = {"q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"}
QUERY_KEY = {
    "bert": {"query", "key"},
    "mpnet": {"q", "k"},
    "qwen2": {"q_proj", "k_proj"},
    "llama": {"q_proj", "k_proj"},
    "deepseek_v2": {"q_proj", "kv_a_proj_with_mqa", "kv_b_proj"},
    "deepseek_v3": LATENT,
}


@pytest.fixture(scope="module")
def backbones(deep_checkpoints):
    return {name: TransformerEncoder(str(folder), cache=None).backbone for name, folder in deep_checkpoints.items()}


def trained_names(backbone, layers):
    trained = {id(parameter) for parameter in Full(layers=layers).parameters(backbone, "model")}
    return {name for name, parameter in backbone.named_parameters() if id(parameter) in trained}


@pytest.mark.parametrize(
    ("n_layers", "expected"),
    [
        (1, Split(0, 0, 1)),
        (2, Split(0, 1, 1)),
        (3, Split(1, 1, 1)),
        (4, Split(2, 1, 1)),
        (6, Split(4, 1, 1)),
        (10, Split(7, 2, 1)),
        (12, Split(9, 2, 1)),
        (24, Split(17, 5, 2)),
        (30, Split(21, 6, 3)),
    ],
)
def test_seventy_twenty_ten(n_layers, expected):
    assert split(n_layers) == expected


@pytest.mark.parametrize("architecture", KNOWN)
def test_kept_layers_follow_one_another_and_the_others_are_gone(architecture, deep_checkpoints):
    whole = TransformerEncoder(str(deep_checkpoints[architecture]), cache=None, dtype="float32", normalize=False)
    some = whole.replace(layers=[1, 4, 7])
    expected = whole.backbone
    layers = [find_stack(whole.replace().backbone).layers[number] for number in (1, 4, 7)]
    assert len(find_stack(some.backbone).layers) == 3
    for found, published in zip(find_stack(some.backbone).layers, layers, strict=True):
        for name, tensor in published.state_dict().items():
            assert torch.equal(found.state_dict()[name], tensor)
    for number, layer in enumerate(find_stack(expected).layers):  # the same by leaving layers out by hand
        if number not in (1, 4, 7):
            layer.forward = lambda hidden, *_, **__: (hidden,) if architecture == "mpnet" else hidden
    texts = ["heart attack", "acute pain in the chest"]
    torch.testing.assert_close(some.encode(texts), whole.encode(texts))


def test_an_encoder_with_fewer_layers_has_names_of_its_own(deep_checkpoints, tmp_path):
    whole = TransformerEncoder(str(deep_checkpoints["bert"]), cache=None, dtype="float32")
    some = whole.replace(layers=[0, 5])
    assert len({whole.fingerprint, some.fingerprint, whole.replace(layers=[0, 6]).fingerprint}) == 3
    TrainableEncoder(some, Full()).save(tmp_path)
    assert some.replace(weights=str(tmp_path)).trained.base == some.identity
    with pytest.raises(EncoderError, match="layers 0,5"):  # names of its weights would fit
        whole.replace(weights=str(tmp_path)).load()
    again = encoder_from(json.loads(json.dumps(described_encoder(some))))
    assert again.replace(dtype="float32").fingerprint == some.fingerprint


def test_full_training_of_kept_layers_changes_these_alone(deep_checkpoints):
    trainable = TrainableEncoder(TransformerEncoder(str(deep_checkpoints["bert"]), cache=None, layers=[0, 5]), Full())
    assert {name.split(".")[2] for name in trainable.trained_weights().tensors} == {"0", "1"}


@pytest.mark.parametrize("layers", [[], [2, 1], [1, 1], [-1, 2]])
def test_layers_are_numbers_that_rise(layers):
    with pytest.raises(ConfigError, match=r"encoder\.layers=.*numbers that rise"):
        SentenceTransformerEncoder(layers=layers)


def test_layers_that_are_not_there_are_refused(deep_checkpoints):
    with pytest.raises(EncoderError, match="layers 0 to 9"):
        TransformerEncoder(str(deep_checkpoints["bert"]), cache=None, layers=[0, 10]).load()


@pytest.mark.parametrize("architecture", KNOWN)
def test_the_stack_is_found_and_names_know_their_layer(architecture, backbones):
    backbone = backbones[architecture]
    stack = find_stack(backbone)
    assert stack.path == PATHS.get(architecture, "layers")
    assert len(stack.layers) == DEEP
    for index, layer in enumerate(stack.layers):
        inside = {id(parameter) for parameter in layer.parameters()}
        for name, parameter in backbone.named_parameters():
            assert (stack.index(name) == index) == (id(parameter) in inside)


def test_a_name_outside_the_stack_is_in_no_layer():
    stack = Stack("layers", [nn.Identity()])
    assert [stack.index(name) for name in ("layers.0.weight", "norm.weight", "other.layers.0.weight")] == [
        0,
        None,
        None,
    ]


@pytest.mark.parametrize("architecture", KNOWN)
def test_all_layers_and_what_is_behind_them_but_no_embedding_and_no_pooler(architecture, backbones):
    backbone = backbones[architecture]
    path = PATHS.get(architecture, "layers")
    inside = {name for name, _ in backbone.named_parameters() if name.startswith(f"{path}.")}
    assert trained_names(backbone, "all") == inside | BEHIND.get(architecture, {"norm.weight"})
    left_out = {name for name, _ in backbone.named_parameters()} - trained_names(backbone, "all")
    assert any("embed" in name for name in left_out)


@pytest.mark.parametrize("architecture", KNOWN)
def test_layered_trains_queries_and_keys_below_the_top(architecture, backbones):
    backbone = backbones[architecture]
    stack = find_stack(backbone)
    names = trained_names(backbone, "layered")
    layers = [{name for name in names if stack.index(name) == index} for index in range(DEEP)]
    assert not set().union(*layers[:7])
    for middle in layers[7:9]:
        assert {name.split(".")[-2] for name in middle} == QUERY_KEY[architecture]
    top = {name for name, _ in backbone.named_parameters() if stack.index(name) == 9}
    assert layers[9] == top
    assert names - set().union(*layers) == BEHIND.get(architecture, {"norm.weight"})


class Unknown(nn.Module):
    """Layers whose attention has maps of other names."""

    def __init__(self, n_layers):
        super().__init__()
        self.config = type("Config", (), {"num_hidden_layers": 3})
        self.layers = nn.ModuleList([nn.ModuleDict({"mixer": nn.Linear(2, 2)}) for _ in range(n_layers)])


def test_what_cannot_be_trained_is_one_sentence():
    with pytest.raises(EncoderError, match=r"'abacus' has no stack.*Set trainable=none"):
        list(Full().parameters(Unknown(2), "abacus"))
    with pytest.raises(EncoderError, match=r"'abacus' has no query and key.*Set trainable\.layers=all"):
        list(Full(layers="layered").parameters(Unknown(3), "abacus"))
    assert len(list(Full().parameters(Unknown(3), "abacus"))) == 6
