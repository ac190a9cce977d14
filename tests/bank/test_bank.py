"""A bank: adapters by name and strength, switched or mixed in one batch."""

import pytest
import torch

from fewshot.bank import AdapterCard, Bank, StoredAdapter
from fewshot.encoders import LoRA, TrainableEncoder
from fewshot.errors import ConfigError, EncoderError
from tests.bank.test_stored_adapter import encoder, trained  # noqa: F401  (fixtures)
from tests.encoders.test_trainable import TEXTS, train


@pytest.fixture(scope="module")
def bank(encoder, trained):  # noqa: F811
    other = train(TrainableEncoder(encoder, LoRA(rank=3, layers="layered")), steps=2)
    return Bank(
        encoder,
        {
            "mails": StoredAdapter(AdapterCard("mails", strength=0.5), trained.trained_weights()),
            "terms": StoredAdapter(AdapterCard("terms"), other.trained_weights()),
        },
    )


def test_a_name_is_at_the_advised_strength_and_none_is_the_published_encoder(bank, encoder):  # noqa: F811
    weights = bank.adapters["mails"].weights
    assert bank.encoder("mails").trained.digest == weights.at_strength(0.5).digest
    assert bank.encoder("mails", 1.0).trained.digest == weights.digest
    assert bank.encoder("mails", 0.5) is bank.encoder("mails")
    assert bank.encoder(None) is bank.encoder("terms", 0.0) is encoder


def test_each_text_of_a_batch_has_its_own(bank, encoder):  # noqa: F811
    mails, terms = (bank.adapters[name].weights for name in ("mails", "terms"))
    alone = [encoder.with_trained(own) for own in (mails.at_strength(0.5), terms, mails)]
    found = bank.encode(TEXTS, ["mails", "terms", ("mails", 1.0), None])
    expected = [own.encode([text])[0] for own, text in zip([*alone, encoder], TEXTS, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected), atol=2e-5, rtol=0)
    assert torch.equal(bank.encode([], []), encoder.encode([]))


def test_mistakes_are_one_sentence(bank, encoder, trained):  # noqa: F811
    with pytest.raises(ConfigError, match=r"no adapter 'mail' in the bank\. Expected mails, terms"):
        bank.encoder("mail")
    with pytest.raises(ConfigError, match="4 texts and 1 adapters"):
        bank.encode(TEXTS, ["mails"])
    with pytest.raises(ConfigError, match=r"strength=2"):
        bank.encoder("mails", 2.0)
    dora = TrainableEncoder(encoder, LoRA(dora=True)).trained_weights()
    with pytest.raises(ConfigError, match=r"strength=0\.5, with DoRA"):
        dora.at_strength(0.5)
    assert dora.at_strength(1.0) is dora
    with pytest.raises(ConfigError, match="cannot stay beside"):
        Bank(encoder, {"dora": StoredAdapter(AdapterCard("dora"), dora)})
    with pytest.raises(EncoderError, match="belong to"):
        Bank(encoder.replace(), {"x": StoredAdapter(AdapterCard("x"), of_another(trained.trained_weights()))})


def of_another(weights):
    return type(weights)(weights.model, "another", weights.tensors, weights.placed)
