"""The linear maps of a transformer as products of 8-bit numbers on a CPU, where that is faster.

    y_ik = s_i t_k sum_j p_ij q_kj + b_k        x_ij / c_j ~ s_i p_ij,  s_i = max_j |x_ij / c_j| / 127
                                                c_j w_kj   ~ t_k q_kj,  t_k = max_j |c_j w_kj| / 127
                                                c_j = sqrt(max_i |x_ij| / max_k |w_kj|), over a sample of texts

Each row of the weights and each token has its own step, and a token's step depends on this token alone, so that no text
changes the features of another. A transformer has a few columns of large values; c divides them between tokens and
weights.
Sums are exact; norms, attention and pooling stay as they are.

Source: Yao et al. 2022, "ZeroQuant", https://arxiv.org/abs/2206.01861, section 4.1, for the steps, and Xiao et al.
2022, "SmoothQuant", https://arxiv.org/abs/2211.10438, for c; the product is oneDNN's.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.layers import find_stack
from fewshot.encoders.precision import SAMPLE
from fewshot.storage import file_name

log = logging.getLogger(__name__)

MIN_COSINE = 0.99  # to the features in 16 or 32 bits, for each sampled text
TIMED = SAMPLE * 8  # a batch
_ROUNDS = 5
_CAPABILITIES = ("avx512_vnni", "avx_vnni", "amx_int8")
_LEAST = 1e-12  # smallest divisor
_ZERO = 128  # the products are of unsigned and signed numbers


def multiplies_int8(device: torch.device) -> bool:
    """True if the device is a CPU that multiplies 8-bit numbers in hardware, and torch can have it do so."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    try:
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name) for name in _CAPABILITIES) and hasattr(torch.ops.onednn, "qlinear_pointwise")
    except (AttributeError, RuntimeError):  # another torch
        return False


def processor() -> str:
    """The CPU's name and the threads that compute, for a file's name: the speed is theirs."""
    return file_name(f"{torch.cpu.get_capabilities().get('cpu_name', 'cpu')}-{torch.get_num_threads()}")


def settle_int8(
    backbone: nn.Module,
    features: Callable[[], Float[Tensor, "n_sample dim"]],
    encode: Callable[[], Any],
) -> bool:
    """Put 8-bit products into a backbone if they are faster and the features stay close; True if they are in it.

    Args:
        backbone: in 16 or 32 bits.
        features: gives those of a sample, as the backbone is now.
        encode: what is timed.
    """
    device = next(backbone.parameters()).device
    if not multiplies_int8(device):
        log.info(
            f"The encoder does not compute in int8: this {device.type.upper()} has no fast products of 8-bit numbers."
        )
        return False
    exact = features()
    use_int8(backbone, features)
    cosine = torch.cosine_similarity(exact, features(), dim=1).min().item()
    if cosine > MIN_COSINE:
        ratio = _times_as_fast(backbone, encode)
        if ratio > 1:
            return True
        reason = f"which has {ratio:.2f} times the speed on this machine"
    else:  # NaN, too
        reason = f"in which features of a sample have a cosine of {cosine:.4f} to those before, not above {MIN_COSINE}"
    withdraw_int8(backbone)
    log.info(f"The encoder does not compute in int8, {reason}.")
    return False


def _times_as_fast(backbone: nn.Module, encode: Callable[[], Any]) -> float:
    """Speed in 8 bits as a multiple of that without, from the fastest of several turns."""
    products = {module: module.forward for module in backbone.modules() if _has_product(module)}
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(2 * _ROUNDS):
        in_int8 = turn % 2 == 1
        for module, product in products.items():
            if in_int8:
                module.forward = product
            else:
                del module.forward
        started = time.perf_counter()
        encode()
        seconds[in_int8].append(time.perf_counter() - started)
    return min(seconds[False]) / min(seconds[True])


def use_int8(backbone: nn.Module, features: Callable[[], Any]) -> None:
    """Have the linear maps of a backbone's layers computed in 8 bits where no gradient is asked for.

    The weights stay beside their 8-bit copies. `features` reads a sample of texts, for c.
    """
    for _, largest, maps in _inputs(backbone, features):
        weights = torch.stack([linear.weight.detach().float().abs().amax(0) for linear in maps]).amax(0)
        rows = _Rows((largest.clamp(min=_LEAST) / weights.clamp(min=_LEAST)).sqrt())
        for linear in maps:
            linear.forward = _Product(linear, rows)  # type: ignore[assignment, method-assign]


def withdraw_int8(backbone: nn.Module) -> None:
    """Have a backbone compute with its weights again."""
    for module in backbone.modules():
        if _has_product(module):
            del module.forward


def _has_product(module: nn.Module) -> bool:
    return isinstance(vars(module).get("forward"), _Product)


def _inputs(
    backbone: nn.Module, features: Callable[[], Any]
) -> list[tuple[Tensor, Float[Tensor, " dim"], list[nn.Linear]]]:
    """Each input of the layers' linear maps, with the largest value of each column and the maps that read it.

    Queries, keys and values have the same input.
    """
    inputs: list[tuple[Tensor, Tensor, list[nn.Linear]]] = []

    def note(linear: nn.Linear, arguments: tuple[Tensor, ...]) -> None:
        hidden = arguments[0]
        same = next((maps for other, _, maps in inputs[-3:] if other is hidden), None)
        if same is not None:
            same.append(linear)
        else:
            inputs.append((hidden, hidden.reshape(-1, hidden.shape[-1]).float().abs().amax(0), [linear]))

    maps = [module for layer in find_stack(backbone).layers for module in layer.modules() if type(module) is nn.Linear]
    hooks = [linear.register_forward_pre_hook(note) for linear in maps]
    try:
        features()
    finally:
        for hook in hooks:
            hook.remove()
    return inputs


class _Rows:
    """Tokens in 8 bits; those of the last call are kept, for queries, keys and values come from the same ones."""

    def __init__(self, balance: Float[Tensor, " dim"]) -> None:
        self.balance, self._inverse = balance, 1 / balance
        self._last: tuple[Tensor | None, Tensor, Tensor] = (None, torch.empty(0), torch.empty(0))

    def __call__(self, hidden: Float[Tensor, "*batch dim"]) -> tuple[Tensor, Tensor]:
        """Numbers `[n, dim]` from 1 to 255 and steps `[n, 1]`."""
        last = self._last  # read once: another thread may replace it
        if last[0] is not hidden:
            rows = hidden.reshape(-1, hidden.shape[-1]) * self._inverse
            steps = rows.abs().amax(-1, keepdim=True).clamp_(min=_LEAST).div_(127)
            numbers = rows.div_(steps).round_().clamp_(-127, 127).add_(_ZERO).to(torch.uint8)
            last = self._last = (hidden, numbers, steps)
        return last[1], last[2]


class _Product:
    """The map of a linear layer in 8 bits."""

    def __init__(self, linear: nn.Linear, rows: _Rows):
        weight = linear.weight.detach().float() * rows.balance
        self._steps = weight.abs().amax(1).clamp(min=_LEAST) / 127
        numbers = (weight / self._steps[:, None]).round().clamp(-127, 127).to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(numbers, None)
        self._zeros = torch.zeros(len(weight), dtype=torch.long)
        self._bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float()
        self._linear, self._rows = linear, rows

    def __call__(self, hidden: Float[Tensor, "*batch n_in"]) -> Float[Tensor, "*batch n_out"]:
        if torch.is_grad_enabled():
            return nn.functional.linear(hidden, self._linear.weight, self._linear.bias)
        numbers, steps = self._rows(hidden)
        products = torch.ops.onednn.qlinear_pointwise(
            numbers, 1.0, _ZERO, self._packed, self._steps, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return torch.addcmul(self._bias, products, steps).to(hidden.dtype).view(*hidden.shape[:-1], -1)
