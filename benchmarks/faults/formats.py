"""Every file format that the package writes and reads back, each with what reads it.

`results.json`, `episode_accuracies.json` and `job.json` are left out: people and other programs may change them, so
they have no digest, and the part `results` is for them. Tables and pages are written for others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.materials import texts_of
from benchmarks.faults.models import saved_models


@dataclass(frozen=True)
class Format:
    """Files, and what reads them.

    Args:
        name: in words.
        paths: the files.
        read: gives equal values for equal content; None where damaged content is made anew; else a `FewshotError`.
    """

    name: str
    paths: list[Path]
    read: Callable[[], Any]


_MODELS = {
    "classifier": "estimator with rejection",
    "classifier of several labels": "estimator with several labels",
    "classifier with LoRA": "stage lora",
    "classifier with adapters": "stage adapter",
    "classifier in 8 bits": "some layers in 8 bits",
    "meta-model": "learner attention_prototypical",
    "MAML": "learner maml",
    "MAML through an encoder": "through the encoder",
    "classifier that learnt on": "estimator that learnt on",
    "static student": "static student",
}


def formats(folder: Path) -> Iterator[Format]:
    """All of them, with files in a folder; what a new room reads back joins here."""
    models = {model.name: model for model in saved_models()}
    for name, kind in _MODELS.items():
        yield _of_model(name, models[kind].make(folder / "encoders"), folder / name.replace(" ", "_"))
    yield _exported(models["estimator with rejection"].make(folder / "encoders"), folder / "exported")
    for make in (_episodes, _cached_features, _checkpoint, _finished, _adapter, _precision, _answers):
        yield make(folder)


def _of_model(name: str, model: Any, path: Path) -> Format:
    from fewshot import MetaModel

    model.save_pretrained(path)
    encoder = model.encoder.replace(weights=None, cache=None)

    def read() -> Any:
        found = type(model).from_pretrained(path, encoder)
        if isinstance(found, MetaModel):
            state = {key: value.tolist() for key, value in found.learner.state_dict().items()}
            return state, found.learner.arguments, found.encoder.fingerprint
        thresholds = None if found.thresholds is None else found.thresholds.tolist()
        return found.labels, found.temperature, found.logits(["my card"]).tolist(), thresholds, dict(found.details)

    files = sorted(one for one in path.rglob("*") if one.suffix in (".json", ".safetensors"))
    return Format(name, files, read)


def _exported(model: Any, path: Path) -> Format:
    from fewshot import ExportedClassifier

    model.export(path)

    def read() -> Any:
        found = ExportedClassifier.from_pretrained(path)
        return found.description, found.logits(["my card"]).tolist()

    files = sorted(one for one in path.iterdir() if one.suffix in (".json", ".onnx"))
    return Format("exported classifier", files, read)


def _episodes(folder: Path) -> Format:
    from fewshot.episodes.frozen import EpisodeRequest, draw, load_episodes, save_episodes
    from fewshot.tasks import load_bundled

    task, path = load_bundled("medical_terms"), folder / "episodes.safetensors"
    save_episodes(path, draw(task, EpisodeRequest("test", 3, 2, 2, 5)), task)

    def read() -> Any:
        found = load_episodes(path, task)
        return None if found is None else found.sha256()

    return Format("episodes", [path], read)


def _cached_features(folder: Path) -> Format:
    from fewshot.encoders import FeatureCache

    texts = texts_of("card", 20)
    FeatureCache(folder / "cache", "f").store(texts, torch.randn(20, 8, generator=torch.Generator().manual_seed(0)))

    def read() -> Any:
        found, missing = FeatureCache(folder / "cache", "f").lookup(texts)
        return None if missing or found is None else found.tolist()

    return Format("cached features", list((folder / "cache").rglob("*.safetensors")), read)


def _checkpoint(folder: Path) -> Format:
    from fewshot.training import Checkpoints
    from fewshot.training.checkpoints import Checkpoint, Progress

    store, tensor = Checkpoints(folder / "checkpoints", "training", {}), torch.arange(6.0)
    progress = Progress(2, [0.5, 0.25], {1: 0.5}, 1, {"weight": tensor})
    store.write(Checkpoint(progress, {"weight": tensor}, {"weight/step": tensor[:1]}, {"0/draw": tensor.byte()}))

    def read() -> Any:
        number = store.newest()
        if number is None:
            return None
        found = store.read(number)
        tensors = [{key: value.tolist() for key, value in part.items()} for part in (found.last, found.optimizer)]
        return found.progress.step, found.progress.losses, found.progress.scores, tensors

    return Format("checkpoint", [one for one in sorted(store.folder.rglob("*")) if one.is_file()], read)


def _finished(folder: Path) -> Format:
    from fewshot.training import Store

    place, names = Store(trainings=folder / "trainings").files("training", {}).finished, ("weights",)

    def write(result: str, path: Path) -> dict[str, Any]:
        (path / "weights").write_text(result)
        return {"length": len(result)}

    place.once("A training", lambda: "trained", write, lambda path, rest: "kept", names)
    assert place.folder is not None
    path = place.folder / "training.json"

    def read() -> Any:
        return "kept" if place._content() is not None else None

    return Format("finished training", [path], read)


def _adapter(folder: Path) -> Format:
    from fewshot.bank import read_adapter, shipped_adapters, write_adapter

    write_adapter(folder / "adapter", shipped_adapters()["intents"], {})

    def read() -> Any:
        found = read_adapter(folder / "adapter")
        return found.card, found.weights.digest

    files = sorted(one for one in (folder / "adapter").iterdir() if one.suffix in (".json", ".safetensors"))
    return Format("adapter", files, read)


def _precision(folder: Path) -> Format:
    from fewshot.encoders import precision

    precision.Choice("key", folder / "choices").write(torch.bfloat16)

    def read() -> Any:
        precision._CHOSEN.pop("key", None)
        return precision.Choice("key", folder / "choices").read()

    return Format("chosen precision", list((folder / "choices").rglob("*.json")), read)


def _answers(folder: Path) -> Format:
    from fewshot.augment.llm import kept_answer
    from fewshot.storage import write_sealed

    path = folder / "answer.json"
    write_sealed(path, {"model": "m", "host": "h", "answer": '["a card that is lost"]'})
    return Format("answers of a language model", [path], lambda: kept_answer(path))
