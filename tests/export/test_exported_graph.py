"""Graphs of heads and encoders, in float32 and in 8 bits, for any number of texts and tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fewshot import ExportedClassifier, MetaModel, SentenceTransformerEncoder, TextClassifier, TransformerEncoder
from fewshot.encoders import LoRA
from fewshot.episodes.labelled import LabelledTexts
from fewshot.export.description import LOGITS
from fewshot.learners import LEARNERS, Centroid
from fewshot.learners.discriminant import FeatureMap, SharedCovariance
from fewshot.learners.maml import MAML
from fewshot.learners.one_vs_rest import OneVsRest
from fewshot.learners.saving import frozen
from tests.export.conftest import QUERIES
from tests.tiny_models import DECODERS, DIM, save_transformer

DEEPEST = 1e-4  # of differences in float32


def heads() -> dict[str, Any]:
    """One of each kind that a classifier can hold, on features of eight dimensions; meta-trained by chance."""
    draw = torch.Generator().manual_seed(0)
    rows, classes = torch.randn(12, 8, generator=draw), torch.arange(12) % 3
    learners = {name: kind(8) for name, kind in LEARNERS.items()} | {"maml_hidden": MAML(8, hidden=4)}
    for learner in learners.values():
        for parameter in learner.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=draw)
    found: dict[str, Any] = {name: one.adapt_rows(rows, classes, 3) for name, one in learners.items()}
    weight, bias = torch.randn(1, 3, 8, generator=draw), torch.randn(1, 3, generator=draw)
    directions = torch.linalg.qr(torch.randn(8, 2, generator=draw)).Q.T
    wide = torch.randn(1, 3, 16, generator=draw)
    found["one_vs_rest"] = OneVsRest(weight, bias)
    found["discriminant"] = SharedCovariance(FeatureMap(16, directions, torch.tensor([0.3, 0.6])), wide, bias)
    found["discriminant_plain"] = SharedCovariance(FeatureMap(0, directions, torch.tensor([0.3, 0.6])), weight, bias)
    return {name: frozen(head) for name, head in found.items()}


class AllHeads(nn.Module):
    """Logits and points of all heads, one beside the other."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = heads()
        self.table = torch.randn(20, 8, generator=torch.Generator().manual_seed(1))

    def features(self, input_ids: Tensor) -> Tensor:
        return self.table[input_ids].mean(1)

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        features = self.features(input_ids)
        parts = [head.logits_at_once(features[None])[0] for head in self.heads.values()]
        parts += [head.metric(features[None])[0] for head in self.heads.values()]
        return (torch.cat(parts, dim=1),)


@pytest.mark.slow
def test_every_head_as_a_graph(tmp_path: Path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    from fewshot.export.graph import Traceable
    from fewshot.export.onnx_file import write_onnx

    graph = AllHeads().requires_grad_(False)
    example = Traceable(graph, "heads", {"input_ids": torch.arange(6).view(2, 3)}, [LOGITS], "", {}, None)
    write_onnx(example, tmp_path / "heads.onnx", int8=False)
    session = runtime.InferenceSession(tmp_path / "heads.onnx")
    for n_texts in (1, 2, 7):
        ids = torch.arange(n_texts * 4).view(n_texts, 4) % 20
        features = graph.features(ids)
        parts = [head.logits(features[None])[0] for head in graph.heads.values()]
        parts += [head.metric(features[None])[0] for head in graph.heads.values()]
        (found,) = session.run(None, {"input_ids": ids.numpy()})
        np.testing.assert_allclose(found, torch.cat(parts, dim=1).detach().numpy(), atol=DEEPEST)


def test_pairs_of_a_static_encoder_are_found_by_halving():
    from fewshot.encoders.static import PieceVectors
    from fewshot.export.tables import SearchedVectors

    draw = torch.Generator().manual_seed(0)
    for n_pairs in (0, 1, 2, 7, 64):
        numbers = torch.randperm(19 * 19, generator=draw)[:n_pairs].sort().values
        pairs = torch.stack([numbers // 19 + 1, numbers % 19 + 1], dim=1)
        shapes = ((20, 4), (n_pairs, 4), (4, 6), (6,))
        words, of_pairs, to_width, shift = (torch.randn(*shape, generator=draw) for shape in shapes)
        vectors = PieceVectors(words, pairs, of_pairs, to_width, shift)
        searched = SearchedVectors(vectors, int8=False)
        for n_tokens in (1, 2, 9):
            ids = torch.randint(0, 20, (30, n_tokens), generator=draw)
            ids[:, 0] += ids[:, 0] == 0
            torch.testing.assert_close(searched(ids), vectors(ids))


def compared(classifier: TextClassifier, folder: Path, kind: str = "onnx", int8: bool = False) -> float:
    """The largest difference of a probability between a classifier and its export."""
    classifier.export(folder, kind, int8)
    found = ExportedClassifier.from_pretrained(folder).predict_proba(QUERIES)
    return float(np.abs(found - classifier.predict_proba(QUERIES).numpy()).max())


@pytest.mark.slow
def test_8_bits_are_near_and_small(classifier: TextClassifier, exported: Path, tmp_path: Path):
    pytest.importorskip("onnxscript")
    assert 0 < compared(classifier, tmp_path / "int8", int8=True) < 0.05
    assert (tmp_path / "int8" / "model.onnx").stat().st_size < (exported / "model.onnx").stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
def test_openvino(classifier: TextClassifier, tmp_path: Path, int8: bool):
    pytest.importorskip("openvino")
    difference = compared(classifier, tmp_path / "out", "openvino", int8)
    assert 0 < difference < (0.05 if int8 else DEEPEST)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", DECODERS)
def test_decoders(architecture: str, support: LabelledTexts, tmp_path: Path):
    pytest.importorskip("onnxscript")
    folder = save_transformer(architecture, tmp_path / "model")
    encoder = TransformerEncoder(str(folder), pooling="last", dtype="float32", cache=None, max_length=24)
    classifier = MetaModel(encoder, Centroid(DIM)).adapt(support.texts, [support.labels[i] for i in support.classes])
    assert compared(classifier, tmp_path / "out") < DEEPEST


@pytest.mark.slow
def test_trained_weights_are_merged(
    encoder: SentenceTransformerEncoder, classifier: TextClassifier, support: LabelledTexts, tmp_path: Path
):
    pytest.importorskip("onnxscript")
    from dataclasses import replace

    from fewshot.encoders import TrainableEncoder

    trainable = TrainableEncoder(encoder, LoRA())
    for parameter in trainable.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2
    trained = replace(classifier, encoder=trainable.merged())
    assert not torch.allclose(trained.logits(QUERIES), classifier.logits(QUERIES), atol=0.01)
    assert compared(trained, tmp_path / "out") < DEEPEST
