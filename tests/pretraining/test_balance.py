"""Loads are counted on text alone, and biases move against them."""

import torch

from benchmarks.pretraining.balance import ExpertBalance
from benchmarks.pretraining.corpus import Tokens
from benchmarks.pretraining.deepseek import hidden_states


def routed(student, tokens):
    """Expert of each token that is no padding, from the scores themselves."""
    router = student.layers[1].mlp.gate
    kept = []
    handle = router.register_forward_hook(lambda module, inputs, output: kept.append(output[0].detach()))
    with torch.no_grad():
        hidden_states(student, tokens)
    handle.remove()
    scores = kept[0].sigmoid() + router.e_score_correction_bias
    return scores.argmax(1)[tokens.mask.flatten()]


def test_only_text_is_counted(student, corpus):
    balance = ExpertBalance(student)
    tokens = corpus.lines(torch.tensor([0, 5, 11]))
    wider = Tokens(*(torch.nn.functional.pad(tensor, (0, 30)) for tensor in tokens))
    balance.expect(wider.mask)
    chosen = routed(student, wider)
    (load,) = balance.loads()
    assert torch.equal(load, torch.bincount(chosen, minlength=4) / len(chosen))


def test_the_bias_moves_against_the_load_and_the_counts_start_anew(student):
    balance = ExpertBalance(student)
    balance.counts[0] += torch.tensor([10.0, 30.0, 25.0, 15.0])
    balance.move(0.5)
    assert student.layers[1].mlp.gate.e_score_correction_bias.tolist() == [0.5, -0.5, -0.5, 0.5]
    assert balance.counts[0].sum() == 0


def test_moving_the_biases_evens_the_loads(student, corpus):
    balance = ExpertBalance(student)
    tokens = corpus.lines(torch.arange(len(corpus)))
    largest = []
    for _ in range(200):
        balance.expect(tokens.mask)
        with torch.no_grad():
            hidden_states(student, tokens)
        largest.append(balance.loads()[0].max().item())
        balance.move(3e-3)
    assert largest[0] > 0.4
    assert sum(largest[-20:]) / 20 < 0.33
