"""A small objective with everything that a resumed training has to bring back: dropout, a buffer, frozen weights."""

import torch
from torch import nn

from fewshot.training import LoopSettings, TrainingFiles, TrainingHistory, run_loop

DIM = 6
SETTINGS = LoopSettings(steps=12, evaluate_every=2, patience=100, checkpoint_seconds=0.0)
TRUE = torch.linspace(-1, 1, DIM)


class Regression(nn.Module):
    """A linear map behind a frozen one and dropout; the loss has two terms, and steps are counted in a buffer."""

    count: torch.Tensor

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.frozen = nn.Parameter(torch.randn(DIM, DIM, generator=generator), requires_grad=False)
        self.weight = nn.Parameter(torch.randn(1, DIM, generator=generator))
        self.bias = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, batch):
        if self.training:
            self.count += 1
        predicted = self.dropout(batch @ self.frozen) @ self.weight.T + self.bias
        fit = (predicted[:, 0] - batch @ TRUE).pow(2).mean()
        size = 0.01 * self.weight.pow(2).sum()
        return {"loss": fit + size, "fit": fit, "size": size}

    def groups(self, rate=0.05):
        return [
            {"params": [self.weight], "lr": rate, "weight_decay": 0.1},
            {"params": [self.bias], "lr": 2 * rate, "weight_decay": 0.0},
        ]


VALID = torch.randn(40, DIM, generator=torch.Generator().manual_seed(1))


def draw(step: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(8, DIM, generator=generator)


def fit(
    settings: LoopSettings = SETTINGS,
    files: TrainingFiles | None = None,
    draw=draw,
    seed: int = 0,
    objective: Regression | None = None,
    score=None,
    **more,
) -> tuple[Regression, TrainingHistory]:
    objective = objective or Regression()
    score = score or (lambda: -float(objective(VALID)["loss"]))
    return objective, run_loop(settings, objective, objective.groups(), draw, score, seed=seed, files=files, **more)


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
