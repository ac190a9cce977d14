import pytest
import torch

from benchmarks.pretraining.corpus import Corpus
from benchmarks.pretraining.deepseek import deepseek_config, deepseek_student
from tests.tiny_models import DIM, WORDS, save_transformer

TINY = {
    "hidden_size": DIM,
    "num_hidden_layers": 2,
    "first_k_dense_replace": 1,
    "intermediate_size": 32,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "initializer_range": 0.1,
}


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory):
    return save_transformer("bert", tmp_path_factory.mktemp("teacher") / "bert")


@pytest.fixture
def teacher(teacher_folder):
    from transformers import AutoModel

    return AutoModel.from_pretrained(teacher_folder, add_pooling_layer=False, attn_implementation="sdpa").eval()


@pytest.fixture(scope="session")
def tokenizer(teacher_folder):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(teacher_folder)


@pytest.fixture
def student(teacher, tokenizer):
    return deepseek_student(deepseek_config(len(tokenizer), tokenizer.pad_token_id, **TINY), teacher, seed=0)


@pytest.fixture(scope="session")
def lines():
    """60 lines of one to six words, no two alike."""
    words = list(dict.fromkeys(WORDS))
    return [" ".join(words[(start + step) % len(words)] for step in range(1 + start % 6)) for start in range(60)][:40]


@pytest.fixture
def corpus(lines, tokenizer):
    return Corpus.from_lines(lines, tokenizer, torch.Generator().manual_seed(0))
