"""The student's architecture: both directions, the teacher's words, a router that learns, fused norms."""

import torch

from benchmarks.pretraining.deepseek import deepseek_config, deepseek_student, fuse_norms, hidden_states, pooled
from tests.pretraining.conftest import TINY


def test_the_default_has_the_size_that_it_says():
    from transformers import DeepseekV3Model

    with torch.device("meta"):
        model = DeepseekV3Model(deepseek_config(30522))
    total = sum(parameter.numel() for parameter in model.parameters())
    assert round(total / 1e6, 1) == 23.0
    assert round(model.embed_tokens.weight.numel() / 1e6, 1) == 11.7
    assert model.config.is_causal is False


def test_words_start_from_the_teacher(student, teacher):
    parts = teacher.embeddings
    text = parts(input_ids=torch.tensor([[7]]), position_ids=torch.tensor([[0]]))
    assert torch.cosine_similarity(student.embed_tokens.weight[7], text[0, 0], dim=0) > 0.5
    assert student.embed_tokens.weight.std(-1).mean() > 0.5  # as behind a layer norm


def test_equal_seeds_make_equal_students_and_leave_the_global_seed_alone(teacher, tokenizer):
    before = torch.random.get_rng_state()
    one, two, other = (deepseek_student(deepseek_config(40, **TINY), small(teacher, 40), seed) for seed in (0, 0, 1))
    assert torch.equal(one.layers[0].mlp.up_proj.weight, two.layers[0].mlp.up_proj.weight)
    assert not torch.equal(one.layers[0].mlp.up_proj.weight, other.layers[0].mlp.up_proj.weight)
    assert torch.equal(before, torch.random.get_rng_state())


def small(teacher, size):
    words = teacher.embeddings.word_embeddings
    words.weight = torch.nn.Parameter(words.weight[:size].detach())
    return teacher


def test_states_are_those_of_the_ordinary_mask_and_see_later_tokens(student, teacher, corpus):
    tokens = corpus.lines(torch.arange(6))
    for model in (student.eval(), teacher):
        with torch.no_grad():
            states = hidden_states(model, tokens)
            ordinary = model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
            changed = tokens._replace(ids=tokens.ids.index_fill(1, torch.tensor([2]), 9))
            other = hidden_states(model, changed)
        torch.testing.assert_close(states[tokens.mask], ordinary[tokens.mask])
        assert (states[:, 0] - other[:, 0]).abs().max() > 1e-3


def test_the_router_has_a_gradient(student, corpus):
    hidden_states(student, corpus.lines(torch.arange(6))).square().sum().backward()
    assert student.layers[1].mlp.gate.weight.grad.abs().max() > 0


def test_fused_norms_give_the_same(student, corpus):
    tokens = corpus.lines(torch.arange(6))
    student.layers[0].input_layernorm.weight.data.uniform_(0.5, 2.0)
    with torch.no_grad():
        plain = hidden_states(student, tokens)
        fuse_norms(student)
        torch.testing.assert_close(hidden_states(student, tokens), plain)
    assert any("forward" in vars(module) for module in student.modules())


def test_pooling_leaves_padding_out():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    assert pooled(hidden, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 3.0]]
