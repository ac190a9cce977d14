"""accelerate around an objective: optimiser steps, and the values that several processes agree on."""

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fewshot.errors import FewshotError
from fewshot.processes import connect
from fewshot.progress import import_tqdm
from fewshot.training.settings import LoopSettings


class Engine:
    """An objective with its optimiser, on one process or on all that the launcher started.

    The objective stays on its device. If accelerate trains on another kind of device (a learner on cached features
    beside GPUs), each process trains its own copy on the very same batches, and nothing is shared.

    If weights are sharded (FSDP, DeepSpeed ZeRO), a copy is trained; `gather` gives the objective whole weights.
    """

    def __init__(self, objective: nn.Module, groups: Sequence[dict[str, Any]], settings: LoopSettings):
        import_tqdm()
        from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType

        connect()
        # A step may leave a parameter unused, such as that of the agreement within classes of one shot.
        handlers = [DistributedDataParallelKwargs(find_unused_parameters=True)]
        self.accelerator = Accelerator(
            gradient_accumulation_steps=settings.accumulate, device_placement=False, kwargs_handlers=handlers
        )
        self.settings, self.objective = settings, objective
        devices = [parameter.device for parameter in objective.parameters() if parameter.requires_grad]
        kinds = [device.type == self.accelerator.device.type for device in devices]
        # Some learners have scalars on the CPU, beside an encoder on a GPU.
        self.device = devices[kinds.index(True)] if any(kinds) else devices[0]
        self.shared = all(kinds)
        kind = self.accelerator.distributed_type
        self.sharded = self.shared and kind in (DistributedType.FSDP, DistributedType.DEEPSPEED)
        trained = copy.deepcopy(objective) if self.sharded else objective
        self.optimizer: Any = torch.optim.AdamW(_same_groups(groups, objective, trained))
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.model: Any = trained
        if self.shared:
            self.model, self.optimizer = self.accelerator.prepare(trained, self.optimizer)
        self.processes: int = self.accelerator.num_processes if self.shared else 1
        self.process: int = self.accelerator.process_index if self.shared else 0
        self.is_main: bool = self.accelerator.is_main_process  # which writes files and shows progress

    def step(self, step: int, draw: Callable[[], Any]) -> dict[str, float]:
        """One optimiser step (1 for the first): the losses by name, in nats, means over batches and processes."""
        share = self.settings.rate_share(step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        sums: dict[str, Tensor] = {}
        for _ in range(self.settings.accumulate):
            batch = draw()
            with self.accelerator.accumulate(self.model):
                mixed = self.settings.precision != "float32"
                with torch.autocast(self.device.type, dtype=torch.bfloat16) if mixed else contextlib.nullcontext():
                    losses = self.model(batch)
                losses = losses if isinstance(losses, dict) else {"loss": losses}
                if self.shared:
                    self.accelerator.backward(losses["loss"])
                else:
                    (losses["loss"] / self.settings.accumulate).backward()
                for name, value in losses.items():
                    value = value.detach().float()
                    sums[name] = sums[name] + value if name in sums else value
                if self.accelerator.sync_gradients:
                    if self.settings.max_gradient_norm is not None:
                        self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
                    self.optimizer.step()
                    self.optimizer.zero_grad()
        values = torch.stack(list(sums.values())) / self.settings.accumulate
        if self.processes > 1:
            values = self.accelerator.reduce(values, "mean")
        return dict(zip(sums, values.tolist(), strict=True))

    def train(self) -> None:
        """Put the objective and the trained model into `train()` mode."""
        self.objective.train()
        self.model.train()

    def gather(self) -> None:
        """Bring the objective's weights up to date if a sharded copy is trained."""
        if not self.sharded:
            return
        from accelerate.utils import broadcast

        whole = self.accelerator.get_state_dict(self.model)  # in the main process; others may hold nothing
        state = self.objective.state_dict()
        with torch.no_grad():
            for name in trained_names(self.objective):
                if self.is_main:
                    state[name].copy_(whole[name])
                broadcast(state[name])

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """State of the optimiser: `<number of the parameter>/<name>` → tensor."""
        state = self.optimizer.state_dict()["state"]
        return {f"{number}/{name}": tensor for number, tensors in state.items() for name, tensor in tensors.items()}

    def load_optimizer_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state that `optimizer_tensors` returned."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            number, name = key.split("/")
            state.setdefault(int(number), {})[name] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})

    def agree(self, value: float) -> float:
        """The value in the main process, for values that rounding or a clock may make different in others."""
        if self.processes == 1:
            return value
        from accelerate.utils import broadcast

        return float(broadcast(torch.tensor([value], dtype=torch.float64, device=self.device)))

    def collect(self, tensor: Tensor) -> list[Tensor]:
        """The tensor of each process, of the same shape everywhere."""
        if self.processes == 1:
            return [tensor]
        return list(self.accelerator.gather(tensor.to(self.device)[None]).cpu())


def _same_groups(groups: Sequence[dict[str, Any]], given: nn.Module, used: nn.Module) -> list[dict[str, Any]]:
    """The groups with the parameters of `used` instead of those of `given`."""
    names = {parameter: name for name, parameter in given.named_parameters()}
    parameters = dict(used.named_parameters())
    chosen = [{**group, "params": [parameters[names[p]] for p in group["params"]]} for group in groups]
    return [group for group in chosen if group["params"]]


class OtherWeightsError(FewshotError):
    """Weights that belong to another module."""


def trained_names(module: nn.Module) -> list[str]:
    """Names of the parameters that require gradients, and of the buffers."""
    frozen = {name for name, p in module.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return [name for name in module.state_dict() if name not in frozen]


def trained_weights(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the trained state."""
    state = module.state_dict()
    return {name: state[name].detach().clone() for name in trained_names(module)}


def load_trained_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Restore what `trained_weights` returned; OtherWeightsError, and no change, if names or shapes differ."""
    state = module.state_dict()
    expected = {name: list(state[name].shape) for name in trained_names(module)}
    got = {name: list(tensor.shape) for name, tensor in weights.items()}
    if got != expected:
        odd = min(name for name in {*got, *expected} if got.get(name) != expected.get(name))
        raise OtherWeightsError(
            f"Got weights that are not those of {type(module).__name__}: {odd!r} has shape {got.get(odd, 'none')}, "
            f"expected {expected.get(odd, 'none')}. Use weights of the same training."
        )
    with torch.no_grad():
        for name, tensor in weights.items():
            state[name].copy_(tensor)
