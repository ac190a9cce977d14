"""Small random transformers with a tokenizer, built in memory and saved to a folder: no download, no luck."""

from pathlib import Path

import torch

_SENTENCE = """
    heart attack myocardial infarction tax form acute pain in the chest left arm fever cough of a child with and
    without rash broken bone loan interest account card lost stolen new old red green blue one two three four five
"""
WORDS = _SENTENCE.split()
DIM = 32
ARCHITECTURES = ("bert", "qwen2", "llama", "deepseek_v2", "deepseek_v3")
DECODERS = ARCHITECTURES[1:]
_DECODER = {
    "hidden_size": DIM,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,  # large enough for attention to show in the features
}
_EXPERTS = {
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}


def save_transformer(architecture: str, folder: Path, seed: int = 0) -> Path:
    """Save a random model of the architecture with its tokenizer, as `save_pretrained` does.

    Args:
        architecture: one of `ARCHITECTURES`.
        folder: is made.
        seed: of the weights.

    Returns:
        The folder.
    """
    from transformers import AutoConfig, AutoModel

    size = _tokenizer(architecture == "bert").save_pretrained(folder) and len(_vocabulary())
    settings = dict(_DECODER)
    if architecture == "bert":
        del settings["num_key_value_heads"]
    if architecture.startswith("deepseek"):
        settings |= _EXPERTS | {"q_lora_rank": None if architecture == "deepseek_v2" else 16}
    config = AutoConfig.for_model(architecture, vocab_size=size, pad_token_id=0, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoModel.from_config(config).save_pretrained(folder)
    return folder


def save_sentence_transformer(folder: Path, dense: int | None = None, prompt: str | None = None) -> Path:
    """Save a random BERT as a sentence-transformers model: mean pooling, perhaps a dense layer, normalisation.

    Args:
        folder: is made.
        dense: dimensions of the dense layer; None leaves it out.
        prompt: goes in front of each text by default.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    first = Transformer(str(save_transformer("bert", folder / "bert")))
    modules = [first, Pooling(DIM)]
    if dense is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            modules.append(Dense(DIM, dense))
    prompts = {} if prompt is None else {"prompts": {"default": prompt}, "default_prompt_name": "default"}
    model = SentenceTransformer(modules=[*modules, Normalize()], device="cpu", **prompts)
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


def _vocabulary() -> dict[str, int]:
    return {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(WORDS)])}


def _tokenizer(frames: bool):
    """Words to numbers; `frames` puts `[CLS]` before and `[SEP]` after a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.WordLevel(_vocabulary(), unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    if frames:
        plain.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    )
