"""TensorBoard event files, read back."""

import sys
from dataclasses import replace

import pytest

from fewshot.errors import ConfigError
from fewshot.training import TrainingFiles
from tests.training.dropout import SETTINGS, fit

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
