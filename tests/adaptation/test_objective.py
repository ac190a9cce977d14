"""The loss of a step against its formula."""

import torch
from torch.nn.functional import cross_entropy, normalize

from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.objective import FineTuneObjective
from fewshot.adaptation.tuning import TuningSettings
from fewshot.encoders import LoRA, TrainableEncoder
from fewshot.training.terms import supervised_contrastive
from tests.adaptation.conftest import support_of


def test_cross_entropy_of_the_head_and_the_contrastive_term_of_what_it_embeds(encoder):
    support = support_of(4).with_names_as_texts()
    features = encoder.encode(support.texts)
    head = CosineHead.from_prototypes(features, support.classes, None, 3, scale=10.0)
    trainable = TrainableEncoder(encoder, LoRA(encoder_dropout=0.0))
    settings = TuningSettings(contrastive_weight=0.5, temperature=0.2, label_smoothing=0.1, tokens_per_pass=12)
    objective = FineTuneObjective(trainable, head, support, settings).eval()
    batch = torch.tensor([0, 13, 5, 3, 7])
    losses = objective(batch)
    z, classes = normalize(features[batch], dim=-1), support.classes[batch]
    task = cross_entropy(10 * z @ normalize(head.rows, dim=-1).T, classes, label_smoothing=0.1)
    contrastive = supervised_contrastive(z, classes, 0.2)
    torch.testing.assert_close(losses["task"], task, atol=1e-5, rtol=0)
    torch.testing.assert_close(losses["contrastive"], contrastive, atol=1e-5, rtol=0)
    torch.testing.assert_close(losses["loss"], task + 0.5 * contrastive, atol=1e-5, rtol=0)
    losses["loss"].backward()
    assert head.rows.grad.abs().sum() > 0
    assert any(p.grad is not None and p.grad.any() for p in trainable.parameters())


def test_without_weight_the_term_is_left_out(encoder):
    support = support_of(4)
    head = CosineHead.from_prototypes(encoder.encode(support.texts), support.classes, None, 3)
    objective = FineTuneObjective(TrainableEncoder(encoder, LoRA(encoder_dropout=0.0)), head, support, TuningSettings())
    assert set(objective(torch.tensor([0, 1]))) == {"loss"}
