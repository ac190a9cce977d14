"""An encoder without a transformer: sums of vectors, by a few lines of NumPy."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

from fewshot import FewShotClassifier
from fewshot.encoders import LoRA, StaticEncoder, TrainableEncoder
from fewshot.encoders.described import described_encoder, encoder_from
from fewshot.encoders.static import PieceVectors
from fewshot.encoders.trained import TrainedWeights, read_trained, write_trained
from fewshot.errors import ConfigError, EncoderError

TEXTS = ["my card is lost", "lost my card", "", "card", "Ünïcödé [SEP] card 我的", "a " * 700]


@pytest.fixture(scope="module")
def encoder():
    return StaticEncoder()


def trained(encoder, dim=8, rank=4, seed=0, **changes):
    """An encoder with random vectors of its own."""
    draw = torch.Generator().manual_seed(seed)
    [[my, card]], [[card_, lost]] = encoder.pieces(["my card"]), encoder.pieces(["card lost"])
    tensors = {
        "vectors": torch.randn(30522, rank, generator=draw),
        "pairs": torch.tensor(sorted([[my, card], [card_, lost]]), dtype=torch.int16),
        "pair_vectors": torch.randn(2, rank, generator=draw),
        "map": torch.randn(rank, dim, generator=draw),
        "shift": torch.randn(dim, generator=draw),
    }
    return encoder.with_trained(TrainedWeights(encoder.model, encoder.identity, tensors | changes))


def by_numpy(tensors, rows):
    of = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    pairs = {tuple(map(int, pair)): place for place, pair in enumerate(of["pairs"])}
    found = []
    for row in rows:
        x = sum((of["vectors"][one] for one in row), np.zeros(of["map"].shape[0]))
        for pair in pairwise(row):
            x = x + (of["pair_vectors"][pairs[pair]] if pair in pairs else 0)
        y = x @ of["map"] + of["shift"]
        found.append(y / np.linalg.norm(y))
    return np.stack(found)


def test_features_are_sums_by_numpy(encoder):
    own = trained(encoder)
    expected = by_numpy(own.trained.tensors, encoder.pieces(TEXTS))
    np.testing.assert_allclose(own.encode(TEXTS).numpy(), expected, atol=1e-5)
    assert not np.allclose(expected[0], expected[1])  # the pair
    np.testing.assert_allclose(own.encode(TEXTS[:1]).numpy(), expected[:1], atol=1e-5)
    assert own.replace(long_texts="chunk").encode(TEXTS).equal(own.encode(TEXTS))  # all of a text is read anyway


def test_as_published_it_has_general_vectors_of_the_default_encoders_width(encoder):
    features = encoder.encode(["my card is lost", "I lost my bank card", "the weather in Rome"])
    assert features.shape == (3, 768)
    cosines = features @ features.T
    assert cosines[0, 1] > cosines[0, 2] + 0.2


def test_weights_in_8_bits_are_what_is_read_again(encoder, tmp_path):
    own = trained(encoder)
    rounded = own.with_trained(own.trained.rounded(torch.int8))
    write_trained(tmp_path, rounded.trained, {})
    again = encoder.with_trained(read_trained(tmp_path))
    assert again.trained.tensors["pairs"].dtype == torch.int16
    assert again.encode(TEXTS).equal(rounded.encode(TEXTS))
    assert again.fingerprint == rounded.fingerprint != own.fingerprint
    assert torch.cosine_similarity(again.encode(TEXTS), own.encode(TEXTS)).min() > 0.999


def test_a_description_names_the_bundled_vectors_alone(encoder):
    description = described_encoder(encoder)
    assert encoder_from(description).fingerprint == encoder.fingerprint
    description["settings"]["model"] = "/etc"
    with pytest.raises(ConfigError, match=r"encoder\.model=/etc"):
        encoder_from(description)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("map", torch.ones(3, 8)),
        ("shift", torch.ones(7)),
        ("pair_vectors", torch.ones(1, 4)),
        ("pairs", torch.tensor([[5, 4], [4, 5]], dtype=torch.int16)),
        ("vectors", torch.ones(10, 4)),
        ("another", torch.ones(1)),
    ],
)
def test_weights_that_do_not_go_together_are_refused(encoder, name, tensor):
    with pytest.raises(EncoderError, match="Distil the student again"):
        trained(encoder, **{name: tensor}).encode(["card"])


def test_it_has_no_layers_to_train(encoder):
    with pytest.raises(ConfigError, match="trainable=lora for the encoder 'bundled/static'"):
        TrainableEncoder(encoder, LoRA())
    with pytest.raises(ConfigError, match=r"encoder\.quantise=4bit"):
        StaticEncoder(quantise="4bit")
    texts, labels = zip(*((f"{word} {n}", word) for n in range(52) for word in ("card", "rain")), strict=True)
    fitted = FewShotClassifier(encoder=encoder, label_names=None).fit(texts, labels)  # the ladder says LoRA from 51 on
    assert fitted.model_.details["stage"] in ("head", "prototypes")
    assert fitted.predict(["card 99"]).tolist() == ["card"]


def test_pairs_that_are_not_in_the_table_have_no_place():
    pairs = torch.tensor([[1, 2], [1, 3], [7, 1]], dtype=torch.int16)
    vectors = PieceVectors(torch.ones(9, 2), pairs, torch.ones(3, 2), torch.eye(2), torch.zeros(2))
    place, there = vectors.rows(torch.tensor([1, 7, 2, 8]), torch.tensor([3, 1, 1, 8]))
    assert there.tolist() == [True, True, False, False]
    assert place[:2].tolist() == [1, 2]


@pytest.mark.slow
def test_it_reads_texts_without_transformers():
    code = (
        "import sys; from fewshot.encoders import StaticEncoder; "
        "StaticEncoder().encode(['my card']); sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
