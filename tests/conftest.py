"""Task folders made on the spot, and the command line called in this process."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: as many workers as cores, one thread each

from fewshot.run import main

CONF = Path(__file__).parent / "conf"
ANIMALS = ("bear", "crow", "deer", "frog", "goat", "hare", "lynx", "moth", "newt", "seal")


def rows(n_classes: int = 8, n_texts: int = 8) -> list[dict[str, Any]]:
    """Texts whose words tell their class."""
    return [
        {"text": f"{animal} number {i} likes {animal}food", "label": animal}
        for animal in ANIMALS[:n_classes]
        for i in range(n_texts)
    ]


def write_jsonl(folder: Path, records: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All tests of a file go to one worker, or of a folder whose tests share a lot, so that it is made once."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = nodeid.rpartition("/")[0]
            return folder if folder in ("tests/adaptation", "tests/export") else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def level_of_log_lines() -> Iterator[None]:
    """The command line sets how much is said; the next test does not depend on it."""
    yield
    logging.getLogger("fewshot").setLevel(logging.NOTSET)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A task folder with 8 classes of 8 texts, 4/2/2 of them train/valid/test."""
    split = {"train": list(ANIMALS[2:6]), "valid": list(ANIMALS[:2]), "test": list(ANIMALS[6:8])}
    (tmp_path / "animals").mkdir()
    (tmp_path / "animals" / "class_splits.json").write_text(json.dumps({"01": split}))
    return write_jsonl(tmp_path / "animals", rows())


@pytest.fixture
def plain_folder(tmp_path: Path) -> Path:
    """The same texts without a class split."""
    return write_jsonl(tmp_path / "animals", rows())


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line left behind."""

    status: int
    out: str
    err: str
    output: Path

    @property
    def results_files(self) -> list[Path]:
        return sorted(self.output.rglob("results.json"))

    @property
    def run_folder(self) -> Path:
        (only,) = self.results_files
        return only.parent

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.run_folder / "results.json").read_text(encoding="utf-8"))


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Outcome]]:
    """`command("task=folder", ...)`: a tiny run with the fake encoder; later arguments win over these."""
    # Hydra composes once more to look for hydra.mode, which no test sets.
    monkeypatch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *args, **kwargs: None)
    count = 0

    def call(*arguments: str, small: bool = True) -> Outcome:
        nonlocal count
        count += 1
        output = tmp_path / f"output{count}"
        settings = [f"output={output}"]
        if small:
            settings += ["--config-dir", str(CONF), "ways=2", "shots=2", "queries=3", "episodes=20"]
            settings += ["baselines=[centroid]", "training.steps=10"]
            if not any(argument.startswith("encoder=") for argument in arguments):
                settings.append("encoder=fake")
            if not any(argument.startswith("learner=") for argument in arguments):
                settings.append("learner=prototypical")
        capsys.readouterr()
        if "absl.logging" in sys.modules:  # Hydra closes all handlers, and absl's its stream, which is pytest's
            sys.modules["absl.logging"].get_absl_handler().python_handler.stream = sys.__stderr__
        status = main([*settings, *arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err, output)

    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield call
    root.setLevel(level)
    for handler in list(root.handlers):  # Hydra leaves run.log open and a console on the captured output
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
