"""The loop around any objective: what reaches it, what moves, what it leaves behind."""

import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from fewshot.errors import ConfigError
from fewshot.training import LoopSettings, TrainingFiles, TrainingHistory, run_loop
from fewshot.training.engine import OtherWeightsError, load_trained_weights, trained_weights
from tests.training.dropout import DIM, SETTINGS, VALID, Regression, draw, fit, same


class Slope(nn.Module):
    """The gradient of its weight is one, so that AdamW moves it by the learning rate in every step."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, batch):
        return self.weight * batch


def slide(settings: LoopSettings, rate: float = 1.0, draw=lambda step, generator: 1.0) -> list[float]:
    """How far each step moved the weight of a slope."""
    slope, places = Slope(), []

    def score() -> float:
        places.append(float(slope.weight.detach()))
        return float(len(places))

    groups = [{"params": [slope.weight], "lr": rate, "weight_decay": 0.0}]
    run_loop(settings, slope, groups, draw, score, seed=0)
    return [before - after for before, after in pairwise(places)]


def test_the_score_gets_better_and_the_best_weights_stay():
    objective, history = fit(replace(SETTINGS, steps=60))
    looks = history.valid_accuracies
    assert looks[history.best_step] == max(looks.values()) > looks[0] + 1
    assert -float(objective(VALID)["loss"].detach()) == looks[history.best_step]
    assert len(history.losses) == history.steps == 60


class Cliff(Slope):
    """From a weight of -4 on, its loss or its gradient is no number any more."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, batch):
        loss = super().forward(batch)
        if self.weight > -3.5:
            return loss
        if self.what == "gradient":  # of the root at zero; the loss itself is finite
            return loss + (self.weight - self.weight.detach()).abs().sqrt()
        return loss * float(self.what)


@pytest.mark.parametrize("what", ["nan", "inf", "gradient"])
@pytest.mark.parametrize("evaluate_every", [1, 2, 3])
def test_a_training_that_diverges_ends_with_the_best_weights_and_a_warning(what, evaluate_every, caplog):
    cliff = Cliff(what)
    settings = LoopSettings(steps=12, evaluate_every=evaluate_every, patience=9, max_gradient_norm=1.0)
    groups = [{"params": [cliff.weight], "lr": 1.0, "weight_decay": 0.0}]
    history = run_loop(settings, cliff, groups, lambda *_: 1.0, lambda: -float(cliff.weight.detach()), seed=0)
    assert "The training has diverged by step" in caplog.text
    assert history.best_step == 4 // evaluate_every * evaluate_every
    assert float(cliff.weight.detach()) == pytest.approx(-history.best_step)
    assert history.steps in (5, 6)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0.0, [1, 1, 1, 1]),
        ("constant", 0.5, [0.5, 1, 1, 1]),
        ("linear", 0.0, [1, 0.75, 0.5, 0.25]),
        ("linear", 0.5, [0.5, 1, 1, 0.5]),
        ("cosine", 0.0, [1, 0.8535533905932737, 0.5, 0.14644660940672624]),
        ("cosine", 0.5, [0.5, 1, 1, 0.5]),
    ],
)
def test_learning_rates_follow_the_schedule(schedule, warmup, expected):
    settings = LoopSettings(steps=4, evaluate_every=1, schedule=schedule, warmup=warmup)
    assert slide(settings, rate=0.1) == pytest.approx([0.1 * share for share in expected], rel=1e-5)


def test_gradients_are_clipped():
    settings = LoopSettings(steps=2, evaluate_every=1)
    # AdamW divides by the size of the gradient, but for its epsilon of 1e-8.
    assert slide(settings) == pytest.approx([1, 1], rel=1e-5)
    assert slide(replace(settings, max_gradient_norm=1e-8)) == pytest.approx([0.5, 0.5], rel=1e-3)
    assert slide(replace(settings, max_gradient_norm=10.0)) == slide(settings)


def test_the_loss_of_a_step_is_the_mean_of_its_batches():
    class Recorded(Regression):
        losses: list = []  # noqa: RUF012

        def forward(self, batch):
            found = super().forward(batch)
            if self.training:
                self.losses.append(float(found["loss"].detach()))
            return found

    _, history = fit(replace(SETTINGS, steps=2, accumulate=3), objective=Recorded())
    assert len(Recorded.losses) == 6
    thirds = [sum(Recorded.losses[start : start + 3]) / 3 for start in (0, 3)]
    assert history.losses == pytest.approx(thirds)


def test_the_gradient_of_accumulated_batches_is_that_of_all_texts_at_once():
    batches = torch.randn(4, 5, DIM, generator=torch.Generator().manual_seed(3))

    def one(settings, batches):
        objective, queue = Regression(), list(batches)
        objective.dropout.p = 0.0
        steps = iter(range(100))
        fit(settings, None, lambda step, generator: queue.pop(0), 0, objective, lambda: float(next(steps)))
        return objective.weight.detach()

    apart = one(replace(SETTINGS, steps=2, accumulate=2), batches)
    together = one(replace(SETTINGS, steps=2), [batches[:2].flatten(0, 1), batches[2:].flatten(0, 1)])
    assert torch.allclose(apart, together, atol=1e-6)


def test_mixed_precision_is_of_the_forward_pass_only():
    seen = set()

    class Watched(Regression):
        def forward(self, batch):
            if self.training:
                seen.add((batch @ self.frozen).dtype)
            return super().forward(batch)

    objective, _ = fit(replace(SETTINGS, precision="bfloat16"), objective=Watched())
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in objective.parameters()} == {torch.float32}


def test_dropout_works_in_steps_and_not_in_looks():
    modes = []

    class Watched(Regression):
        def forward(self, batch):
            modes.append((len(batch), self.training))
            return super().forward(batch)

    objective, _ = fit(replace(SETTINGS, steps=4), objective=Watched())
    assert modes == [(40, False), (8, True), (8, True), (40, False), (8, True), (8, True), (40, False)]
    assert not objective.training


def test_frozen_weights_stay_and_are_not_copied():
    before = Regression().frozen
    objective, _ = fit()
    assert torch.equal(objective.frozen, before)
    assert set(trained_weights(objective)) == {"weight", "bias", "count"}


def test_buffers_go_back_to_the_best_look_with_the_weights():
    scores = iter([0.0, 1.0, 5.0, 2.0, 3.0, 4.0, 4.5])
    objective, history = fit(score=lambda: next(scores))
    assert history.best_step == 4
    assert float(objective.count) == 4


def test_the_same_seed_gives_the_same_bits_dropout_included():
    (first, history), (second, again), (other, _) = (fit(seed=seed) for seed in (3, 3, 4))
    assert history == again
    assert same(first, second)
    assert not same(first, other)


def test_another_stream_is_another_training():
    assert not same(fit()[0], fit(stream="other")[0])


def test_the_global_generator_decides_nothing_and_is_put_back():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, _ = fit()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(first, fit()[0])


def test_a_step_knows_its_number():
    steps = []

    def listen(step, generator):
        steps.append(step)
        return draw(step, generator)

    fit(replace(SETTINGS, steps=3, accumulate=2), draw=listen)
    assert steps == [1, 1, 2, 2, 3, 3]


def test_it_ends_at_the_step_that_is_asked_for_with_the_weights_of_that_step():
    slope, settings = Slope(), LoopSettings(steps=10, evaluate_every=4, patience=1, schedule="linear")
    weights = {}

    def draw(step, generator):
        weights[step - 1] = float(slope.weight.detach())
        return 1.0

    def run(score, stop_at):
        with torch.no_grad():
            slope.weight.zero_()
        groups = [{"params": [slope.weight], "lr": 1.0, "weight_decay": 0.0}]
        return run_loop(settings, slope, groups, draw, score, seed=0, stop_at=stop_at)

    for score in (None, lambda: -len(weights)):  # the later, the worse
        history = run(score, 7)
        at_seven = float(slope.weight.detach())
        assert (history.steps, history.best_step) == (7, 7)
        assert at_seven < weights[6]
    run(lambda: -float(slope.weight.detach()), None)
    assert weights[7] == at_seven  # the schedule is that of all ten steps


def test_no_steps_are_one_look():
    objective, history = fit(replace(SETTINGS, steps=0))
    assert same(objective, Regression())
    assert history == TrainingHistory(0, 0, [], history.valid_accuracies)
    assert list(history.valid_accuracies) == [0]


def test_the_bar_shows_loss_valid_accuracy_and_texts_per_second(monkeypatch):
    notes = []

    class Bar:
        def update(self, task_id, completed, note):
            notes.append((completed, note))

        def stop(self):
            pass

    monkeypatch.setattr("fewshot.progress.DELAY", -1.0)
    monkeypatch.setattr("fewshot.progress._is_terminal", lambda: True)
    monkeypatch.setattr("fewshot.progress._start_bar", lambda *arguments: (Bar(), 0))
    _, history = fit(replace(SETTINGS, steps=3), score=lambda: 0.75, count=len)
    assert [completed for completed, _ in notes] == [0, 1, 2, 3]
    loss, valid, rate = notes[-1][1].split("  ")
    assert loss == f"loss {history.losses[-1]:.3f}"
    assert valid == "valid 75.0 %"
    assert rate.endswith(" texts/s")
    assert float(rate.removesuffix(" texts/s").replace(",", "")) > 0


# Weights.


def test_weights_of_another_module_are_refused_by_name():
    weights = trained_weights(Regression())
    with pytest.raises(OtherWeightsError, match=r"'weight' has shape \[1, 7\], expected \[1, 6\]"):
        load_trained_weights(Regression(), {**weights, "weight": torch.zeros(1, 7)})
    with pytest.raises(OtherWeightsError, match=r"'bias' has shape none, expected \[1\]"):
        load_trained_weights(Regression(), {name: w for name, w in weights.items() if name != "bias"})


def test_a_copy_of_the_weights_does_not_move_with_them():
    objective = Regression()
    weights = trained_weights(objective)
    with torch.no_grad():
        objective.weight += 1
    load_trained_weights(objective, weights)
    assert same(objective, Regression())


TOLD = replace(SETTINGS, steps=4, tensorboard=True, schedule="linear")


def test_losses_rates_and_accuracies_are_written(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, history = fit(TOLD, TrainingFiles(events=tmp_path))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}
    assert set(found) == {"train/loss", "train/fit", "train/size", "train/rate_share", "valid/accuracy"}
    assert list(found["train/loss"].values()) == pytest.approx(history.losses)
    assert found["train/rate_share"] == pytest.approx({1: 1.0, 2: 0.75, 3: 0.5, 4: 0.25})
    assert found["valid/accuracy"] == pytest.approx(history.valid_accuracies)
    assert found["train/loss"][2] == pytest.approx(found["train/fit"][2] + found["train/size"][2], rel=1e-5)


def test_nothing_is_written_unless_it_is_asked_for(tmp_path):
    fit(replace(TOLD, tensorboard=False), TrainingFiles(events=tmp_path / "events"))
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"tensorboard is not installed. Run `pip install 'fewshot-text\[tensorboar"):
        fit(TOLD, TrainingFiles(events=tmp_path))
