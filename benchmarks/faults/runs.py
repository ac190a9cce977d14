"""Jobs that are runs: trainings, final stages, sweeps."""

import json
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.faults.job import Job, files_of


class Run(Job):
    """`python -m fewshot.run` with a tiny encoder."""

    settings: ClassVar[tuple[str, ...]] = ()

    def arguments(self, folder: Path) -> list[str]:
        """What is typed behind `python -m fewshot.run`."""
        return [
            *("task=folder", f"task.path={self.materials.task}", f"output={folder / 'out'}"),
            *("encoder=sentence_transformer", f"encoder.model={self.materials.encoder}"),
            *(f"encoder.cache={folder / 'cache'}", "classes=test", "ways=2", "shots=2", "queries=3", "episodes=20"),
            *self.settings,
        ]

    def run(self, folder: Path) -> int:
        """The command line, in this process."""
        from fewshot.cli.main import main

        return main(self.arguments(folder))

    def outcome(self, folder: Path) -> Any:
        """Numbers and weights of the newest run that has results."""
        path = max((folder / "out").rglob("results.json"), key=lambda path: path.stat().st_mtime_ns)
        return numbers(path), files_of(path.parent, "*.safetensors")

    def check(self, folder: Path) -> None:
        """All results that are there are whole."""
        for path in (folder / "out").rglob("results.json"):
            numbers(path)

    def check_numbers(self, folder: Path, said: str) -> None:
        """The table is shown, or there are results, if episodes were evaluated."""
        if "Evaluating on" in said and "\u2502" not in said:
            assert list((folder / "out").rglob("results.json")), f"the numbers are lost: {said[-1000:]}"


class MetaTraining(Run):
    """Meta-training of a learner with a checkpoint at each evaluation."""

    settings: ClassVar[tuple[str, ...]] = (
        *("resume=true", "learner=prototypical", "trainable=none", "baselines=[centroid]", "augment=none"),
        *("training.steps=60", "training.evaluate_every=5", "training.patience=99", "training.checkpoint_seconds=0"),
    )


class EncoderTraining(Run):
    """Meta-training of the encoder by LoRA with checkpoints."""

    settings: ClassVar[tuple[str, ...]] = (
        *("resume=true", "learner=centroid", "trainable=lora", "baselines=[]", "augment=none"),
        *("encoder_training.steps=20", "encoder_training.evaluate_every=4", "encoder_training.checkpoint_seconds=0"),
    )


class FinalStage(Run):
    """LoRA tuned on each support, with checkpoints."""

    settings: ClassVar[tuple[str, ...]] = (
        *("resume=true", "learner=centroid", "trainable=none", "baselines=[]", "augment=none", "strategy=lora"),
        *("shots=6", "supports=2", "adaptation.lora.checkpoint_seconds=0", "adaptation.lora.steps=20"),
        *("adaptation.lora.margin=0", "minutes=60"),
    )


class Sweep(Run):
    """A sweep over seeds."""

    settings: ClassVar[tuple[str, ...]] = (
        "-m",
        "seed=0,1,2",
        "learner=prototypical",
        "trainable=none",
        "baselines=[]",
        "training.steps=10",
    )

    def outcome(self, folder: Path) -> Any:
        """Numbers and weights of each seed, which all runs of it share."""
        found: dict[int, list[Any]] = {}
        for path in sorted((folder / "out").rglob("results.json")):
            if (path.parent / "meta_model.json").is_file():
                one = [numbers(path), files_of(path.parent, "*.safetensors")]
                found.setdefault(one[0]["seed"], []).append(one)
        assert all(one == same[0] for same in found.values() for one in same)
        return {seed: same[0] for seed, same in found.items()}


_OF_THE_PROCESS = ("timings", "peak_memory_mb", "texts_encoded", "overrides", "command", "settings_sha256")


def numbers(path: Path) -> dict[str, Any]:
    """The content of `results.json` that is equal for equal work."""
    content = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in content.items() if name not in _OF_THE_PROCESS}
    return _without_seconds(kept)


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_seconds(one) for name, one in value.items() if "seconds" not in name}
    return [_without_seconds(one) for one in value] if isinstance(value, list) else value
