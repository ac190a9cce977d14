"""An adapter in a folder: in half the room, read again with its card, and scaled without being read again."""

from dataclasses import replace

import pytest
import torch

from fewshot.bank import AdapterCard, AdapterSource, StoredAdapter, read_adapter, write_adapter
from fewshot.encoders import Adapter, LoRA, TrainableEncoder, TransformerEncoder
from fewshot.encoders.trained import read_trained
from fewshot.errors import ConfigError, EncoderError
from fewshot.storage import read_sealed, write_sealed
from tests.encoders.test_trainable import TEXTS, train
from tests.tiny_models import save_transformer

SEEN = {"task": "a+b", "split": "01", "digests": ["0123456789ab", "ba9876543210"]}
CARD = AdapterCard(
    name="mails",
    summary="For mails.",
    licence="CC0 1.0",
    sources=(AdapterSource("a", "CC0 1.0", 7, 840),),
    strength=0.5,
    training={"seed": 0},
    gains={"b": {"5w1s": (88.0, 90.5)}},
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return TransformerEncoder(
        str(save_transformer("bert", tmp_path_factory.mktemp("bert"))), dtype="float32", cache=None
    )


@pytest.fixture(scope="module")
def trained(encoder):
    return train(TrainableEncoder(encoder, LoRA(), seen=SEEN))


@pytest.fixture
def folder(encoder, trained, tmp_path):
    write_adapter(tmp_path / "mails", StoredAdapter(CARD, trained.trained_weights()), encoder.settings())
    return tmp_path / "mails"


def test_it_is_read_as_it_was_written_in_half_the_room(encoder, trained, folder, tmp_path):
    adapter = read_adapter(folder)
    assert adapter.card == CARD
    assert adapter.weights.count_seen({"0123456789ab", "000000000000"}) == 1
    assert encoder.with_trained(adapter.weights).fingerprint == encoder.replace(weights=folder).fingerprint
    cosines = torch.cosine_similarity(encoder.with_trained(adapter.weights).encode(TEXTS), trained.compute(TEXTS))
    assert cosines.min().item() > 0.999
    trained.save(tmp_path / "whole")
    sizes = [(home / "adapter_model.safetensors").stat().st_size for home in (folder, tmp_path / "whole")]
    assert sizes[0] < 0.8 * sizes[1]


def test_it_is_held_in_half_the_room_and_written_again_as_it_was(encoder, folder, tmp_path):
    adapter, whole = read_adapter(folder), read_trained(folder)
    assert {tensor.dtype for tensor in adapter.weights.tensors.stored.values()} == {torch.bfloat16}
    assert all(torch.equal(adapter.weights.tensors[name], tensor) for name, tensor in whole.tensors.items())
    assert adapter.weights.digest == whole.digest
    assert sorted(adapter.weights.seen["digests"]) == SEEN["digests"]
    assert torch.equal(encoder.with_trained(adapter.weights).encode(TEXTS), encoder.with_trained(whole).encode(TEXTS))
    write_adapter(tmp_path / "again", adapter, encoder.settings())
    assert (tmp_path / "again" / "encoder.json").read_bytes() == (folder / "encoder.json").read_bytes()


def test_what_16_bits_do_not_hold_stays_as_it_is(trained):
    weights = trained.trained_weights()
    odd = replace(weights, seen={"digests": ["not a digest"]}).compact()
    assert odd.tensors is weights.tensors
    assert odd.seen == {"digests": ["not a digest"]}


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_a_strength_is_that_share_of_the_way(encoder, trained, strength):
    weights = StoredAdapter(CARD, trained.trained_weights()).at_strength(strength)
    trained.interpolate(strength)
    expected = trained.compute(TEXTS)
    trained.interpolate(1.0)
    torch.testing.assert_close(encoder.with_trained(weights).encode(TEXTS), expected, atol=2e-5, rtol=0)


def test_at_strength_zero_the_published_weights_are_left_and_none_is_the_advised_one(trained):
    adapter = StoredAdapter(CARD, trained.trained_weights())
    assert adapter.at_strength(0.0) is None
    assert adapter.at_strength().digest == adapter.weights.at_strength(0.5).digest


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_another_strength_is_refused(trained, strength):
    with pytest.raises(ConfigError, match=r"from 0 to 1"):
        trained.trained_weights().at_strength(strength)


@pytest.mark.parametrize("trainable", [LoRA(dora=True), Adapter()], ids=["dora", "adapter"])
def test_what_has_no_scale_has_no_strength(encoder, trainable):
    weights = TrainableEncoder(encoder, trainable).trained_weights()
    with pytest.raises(ConfigError, match=r"strength=0\.5"):
        weights.at_strength(0.5)


def test_a_lora_without_a_card_has_the_name_of_its_folder(trained, tmp_path):
    trained.save(tmp_path / "support_desk")
    assert read_adapter(tmp_path / "support_desk").card == AdapterCard("support_desk")


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"strength": 3}, {"sources": [{"name": "a"}]}, {"gains": {"b": {"5w1s": [1]}}}, {"x": 1}]
)
def test_a_card_of_another_form_is_refused(folder, change):
    path = folder / "adapter.json"
    write_sealed(path, read_sealed(path) | change)
    with pytest.raises(EncoderError, match=r"card .* cannot be read"):
        read_adapter(folder)
