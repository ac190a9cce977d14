"""What each default is worth, on valid classes of tasks that the main job does not score.

    FEWSHOT_DATA=DIR python -m benchmarks.defaults

One setting after the other is changed in the default run, with 1 and 5 shots on banking77 and clinc150. Scored are
5-way and all-way episodes of the *valid* classes, others than those that chose checkpoints; test classes have no part.
The gain is on the default run, ± is two standard errors over classes. Rows are written one by one, and not measured
again: move the file away to begin anew.
"""

import json
import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from benchmarks.experiments import load, recipe
from benchmarks.record import RESULTS, record
from fewshot.episodes import EpisodeBatch
from fewshot.evaluation import ClassGain, predict
from fewshot.experiment.episodes import TaskEncoder, valid_episodes
from fewshot.experiment.meta_training import meta_train
from fewshot.experiment.protocol import Protocol
from fewshot.experiment.trainings import CALIBRATION
from fewshot.learners import Learner

TASKS = ("banking77", "clinc150")
SPLITS = ("01",)
CHANGES = (
    "encoder.shallow_layer=null",
    "encoder.shallow_layer=2",
    "quick_training.steps=15",
    "quick_training.steps=60",
    "quick_training.learning_rate=1e-4",
    "quick_training.learning_rate=4e-4",
    "training.learning_rate=1e-4",
    "training.learning_rate=1e-3",
    "training.weight_decay=0.3",
    "training.support_noise=0",
    "trainable=none",
)


def logits(overrides: Sequence[str], name: str, split: str, shots: int) -> tuple[list[Tensor], list[EpisodeBatch]]:
    """Logits of the run with these overrides on other episodes of the valid classes, and the episodes."""
    task, how = load(name, split), recipe(*overrides)
    plan = how.plan(task, Protocol(shots=shots))
    model = meta_train(task, plan).model
    features = TaskEncoder(task, label_names=True)(model.encoder)
    episodes = valid_episodes(task, plan.protocol, purpose=CALIBRATION)
    assert isinstance(model.learner, Learner)
    return [predict(model.learner, features, one) for one in episodes], episodes


def main() -> None:
    """Measure and record."""
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    columns = [(name, split, shots) for name in TASKS for split in SPLITS for shots in (1, 5)]
    file = RESULTS / "defaults.json"
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
    default = {column: logits((), *column) for column in columns}
    for change in CHANGES:
        if any(row["changed"] == change for row in rows):
            continue
        row, gains = dict[str, Any](changed=change), []
        for column in columns:
            before, episodes = default[column]
            gain = ClassGain.of(logits((change,), *column)[0], before, episodes)
            gains.append(gain)
            row["{} {}, {} shots".format(*column)] = f"{100 * gain.mean:+.2f} ± {200 * gain.standard_error:.2f}"
        row["mean"] = 100 * sum(gain.mean for gain in gains) / len(gains)
        rows.append(row)
        record("defaults", "python -m benchmarks.defaults", rows, seed=0)


if __name__ == "__main__":
    main()
