"""Small random masked language models and translators, saved to a folder as `save_pretrained` does."""

import torch

from tests.tiny_models import WORDS

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["##ing", "##s", "Paris", "3"]
VOCABULARY = {word: number for number, word in enumerate([*SPECIAL, *dict.fromkeys(WORDS), *PIECES])}
_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}


def save_masked_model(folder, architecture="bert", likely=(), mask=True):
    """Save a masked language model.

    Args:
        folder: is made.
        architecture: word of transformers.
        likely: words that it prefers in every place, the first the most.
        mask: whether its tokenizer has a mask token.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM

    tokenizer(mask).save_pretrained(folder)
    sizes = _SIZES if architecture != "distilbert" else {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4}
    config = AutoConfig.for_model(architecture, vocab_size=len(VOCABULARY), pad_token_id=0, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(config)
    with torch.no_grad():
        for place, word in enumerate(likely):
            model.get_output_embeddings().bias[VOCABULARY[word]] = 1000.0 - 100 * place
    model.save_pretrained(folder)
    return folder


def save_translator(folder, seed):
    """Save a random Marian model whose tokenizer is in tokenizer.json, so that no other package is needed."""
    from transformers import MarianConfig, MarianMTModel

    words = tokenizer(mask=True)
    words.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        MarianMTModel(marian_config(MarianConfig, len(VOCABULARY))).save_pretrained(folder)
    return folder


def marian_config(kind, size, **more):
    layers = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in _MARIAN_LAYERS.items()}
    return kind(
        vocab_size=size,
        d_model=16,
        max_position_embeddings=64,
        init_std=0.5,
        **layers,
        **({"pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 0, "forced_eos_token_id": 3} | more),
    )


_MARIAN_LAYERS = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}


def tokenizer(mask):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]" if mask else None,
        model_max_length=64,
    )
