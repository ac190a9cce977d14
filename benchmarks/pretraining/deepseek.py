"""A small DeepSeek-V3 text encoder: latent attention in both directions, and experts beside a shared one.

The architecture is transformers' own, so that the weights are an ordinary checkpoint. It has the teacher's vocabulary
and width, and its word embeddings start from the teacher's.

Source: DeepSeek-AI 2024, "DeepSeek-V3 Technical Report", https://arxiv.org/abs/2412.19437.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from benchmarks.pretraining.corpus import Tokens


def deepseek_config(vocab_size: int, pad_token_id: int = 0, **changes: Any) -> Any:
    """The configuration: 23.0 M parameters, 11.7 M of them word embeddings.

    4 layers of 384, the upper two with 8 experts of 384 units, of which each token takes one beside the shared one.
    With a single expert chosen its weight must not be normalised, or the router has no gradient.

    Args:
        vocab_size: number of word pieces.
        pad_token_id: of the tokenizer.
        **changes: other values for the fields of `DeepseekV3Config`.
    """
    from transformers import DeepseekV3Config

    fields: dict[str, Any] = {
        "vocab_size": vocab_size,
        "pad_token_id": pad_token_id,
        "bos_token_id": None,
        "eos_token_id": None,
        "max_position_embeddings": 512,
        "use_cache": False,
        "num_nextn_predict_layers": 0,
        "hidden_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "q_lora_rank": None,
        "kv_lora_rank": 128,
        "qk_nope_head_dim": 48,
        "qk_rope_head_dim": 16,
        "v_head_dim": 64,
        "first_k_dense_replace": 2,
        "intermediate_size": 896,
        "n_routed_experts": 8,
        "num_experts_per_tok": 1,
        "n_shared_experts": 1,
        "moe_intermediate_size": 384,
        "n_group": 1,
        "topk_group": 1,
        "norm_topk_prob": False,
        "routed_scaling_factor": 2.0,
    }
    config = DeepseekV3Config(**(fields | changes))
    config.is_causal = False  # read by transformers' attention mask, and kept in config.json
    return config


def deepseek_student(config: Any, teacher: nn.Module, seed: int) -> nn.Module:
    """A student with random weights, except that its word embeddings are those of the teacher, a BERT model.

    They are taken behind the teacher's own normalisation, at the mean position, and the last norm starts with the
    length that the teacher's hidden states have.
    """
    from transformers import DeepseekV3Model

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = DeepseekV3Model(config)
        parts: Any = teacher.embeddings
        words = parts.word_embeddings.weight + parts.token_type_embeddings.weight[0]
        words = parts.LayerNorm(words + parts.position_embeddings.weight[:64].mean(0))
        model.embed_tokens.weight.copy_(words)
        last: Any = teacher.encoder.layer[-1].output.LayerNorm  # type: ignore[union-attr, index]
        model.norm.weight.fill_((last.weight.square() + last.bias.square()).mean().sqrt())
    return model


def hidden_states(model: nn.Module, tokens: Tokens) -> Float[Tensor, "batch tokens dim"]:
    """The last hidden states of a text's tokens, see `layer_states`."""
    return layer_states(model, tokens, (-1,))[0]


def layer_states(model: nn.Module, tokens: Tokens, layers: Sequence[int]) -> list[Float[Tensor, "batch tokens dim"]]:
    """Hidden states of a text's tokens after some layers, -1 being the last; each token sees the others of its text.

    The mask is the one that `scaled_dot_product_attention` takes: to make it, transformers would wait for the GPU.
    """
    width, inner = tokens.ids.shape[1], any(layer != -1 for layer in layers)
    mask = tokens.mask[:, None, None].expand(-1, 1, width, -1)
    output = model(tokens.ids, attention_mask=mask, output_hidden_states=inner)
    return [output.last_hidden_state if layer == -1 else output.hidden_states[layer] for layer in layers]


def fuse_norms(model: nn.Module) -> None:
    """Have the RMS norms of a model computed by one kernel of torch, in place; its weights stay as they are."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = partial(_rms_norm, module)


def _rms_norm(norm: Any, hidden: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    return nn.functional.rms_norm(hidden, hidden.shape[-1:], norm.weight, norm.variance_epsilon)


def pooled(
    hidden: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"] | Int[Tensor, "batch tokens"]
) -> Float[Tensor, "batch dim"]:
    """The mean over a text's tokens, float32."""
    weights = mask.to(torch.float32)
    return torch.einsum("btd,bt->bd", hidden.float(), weights) / weights.sum(1, keepdim=True)
