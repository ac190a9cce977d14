"""`fewshot predict --engine ray`: files are classified part by part, by one model an actor.

The output is a folder: `part-00000.csv`, ... in the order of the input, each whole or absent, and `parts.json`, which
describes their inputs. A part is a file, or row groups of a parquet file.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fewshot.cli.on_ray import start_ray
from fewshot.cli.predicting import load_any, write_predictions, written_columns
from fewshot.errors import ConfigError, FewshotError, TaskError
from fewshot.progress import track
from fewshot.report.jobs import read_json
from fewshot.storage import atomic, user_path, write_json
from fewshot.tables import PredictionWriter, Table, guess_columns, open_table
from fewshot.tables.opening import SUFFIXES
from fewshot.tables.parquet import read_parquet, row_group_runs
from fewshot.tables.predictions import SUFFIXES as WRITTEN
from fewshot.tables.wording import shown

PARTS = "parts.json"
_MIN_ROWS = 100_000  # of a part of a parquet file
_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Part:
    """A part of the input.

    Args:
        path: of the file.
        first_group, last_group: row groups of a parquet file; None: the whole file.
        output: of its predictions.
    """

    path: str
    first_group: int | None
    last_group: int | None
    output: str

    def table(self) -> Table:
        """Open its rows."""
        if self.first_group is None or self.last_group is None:
            return open_table(self.path)
        return read_parquet(Path(self.path), shown(self.path), range(self.first_group, self.last_group + 1))


class PartPredictor:
    """An actor with a classifier of its own, which writes the predictions of one part after the other.

    Args:
        model: folder of the classifier, exported or not.
        columns: those of each table.
        text: the column of the texts.
    """

    def __init__(self, model: str, columns: Sequence[str], text: str) -> None:
        self.classifier, self.columns, self.text = load_any(Path(model)), tuple(columns), text

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Write the parts of a batch: the number of rows of each, and a message for each that could not be written."""
        rows, problems = [], []
        for part in (Part(**json.loads(text)) for text in batch["part"]):
            try:
                rows.append(self.write(part))
                problems.append("")
            except FewshotError as error:
                rows.append(0)
                problems.append(str(error))
        return {"rows": rows, "problem": problems}

    def write(self, part: Part) -> int:
        """Write a part, whole or not at all; the number of its rows."""
        table, output = part.table(), Path(part.output)
        if table.columns != self.columns:
            raise TaskError(
                f"{table.name} has the columns {', '.join(table.columns)}, expected those of the first file: "
                f"{', '.join(self.columns)}. Predict it by itself."
            )
        with atomic(output) as temporary:
            written = temporary.with_name(f"{temporary.name}{output.suffix}")  # the suffix is the format
            with PredictionWriter(written, written_columns(table.columns)) as writer:
                n_rows = sum(write_predictions(self.classifier, table, self.text, writer))
            os.replace(written, temporary)
        return n_rows


def predict_parts(
    model: Path, path: Path, output: str, text: str | None, resume: bool, overwrite: bool = False
) -> None:
    """Classify a file, or all files of a folder, on Ray.

    Args:
        model: folder of a classifier, exported or not, or its id on the hub.
        path: a file that `open_table` reads, or a folder of these with equal columns.
        output: a folder; the suffix of its name is the format of its parts (.csv, .tsv, .jsonl; none: csv).
        text: the column of the texts; None guesses it from the first file.
        resume: keep parts that are there.
        overwrite: refused, for a folder is not replaced.

    Raises:
        FewshotError: anything that the user can mend; parts that were written until then are whole.
    """
    if overwrite:
        raise ConfigError("Got --overwrite with --engine ray, which replaces no folder. Choose another output.")
    load_any(model)  # Ray would try again for ever
    ray = start_ray(None, "--engine ray")
    files, folder = input_files(path), output_folder(output)
    columns = guess_columns(table := open_table(files[0]), text, with_label=False)
    suffix = folder.suffix.lower() if folder.suffix.lower() in WRITTEN else ".csv"
    parts = list(_parts(files, folder.absolute(), suffix))
    _start_or_resume(folder, _description(model, parts, files, columns.text), resume)
    waiting = [part for part in parts if not Path(part.output).exists()]
    if len(waiting) < len(parts):
        print(f"{len(parts) - len(waiting)} of {len(parts)} parts are there already.")
    if not waiting:
        return
    source = str(model.absolute()) if model.exists() else str(model)
    n_rows, problems = 0, []
    with track("Predicting", total=len(waiting), unit="parts") as advance:
        for done in _predicted(ray, waiting, source, table.columns, columns.text):
            n_rows += done["rows"]
            problems += [done["problem"]] if done["problem"] else []
            advance()
    if problems:
        others = f" And {len(problems) - 1} more parts could not be written." if len(problems) > 1 else ""
        raise TaskError(f"{problems[0]}{others} --resume goes on with the other {len(waiting) - len(problems)} parts.")
    print(f"{n_rows:,} rows in {len(waiting)} parts: {folder}")


def input_files(path: Path) -> list[Path]:
    """The file itself, or the tables below a folder by name, but for names that start with . or _."""
    source = user_path(path)
    if not source.is_dir():
        return [source]
    files = [
        file
        for file in sorted(source.rglob("*"))
        if file.suffix.lower() in SUFFIXES and not any(name[0] in "._" for name in file.relative_to(source).parts)
    ]
    if not files:
        raise TaskError(
            f"{shown(path)} holds no tables, expected files that end in one of {', '.join(SUFFIXES)}. Name another."
        )
    return files


def output_folder(output: str) -> Path:
    """The folder of the parts; a ConfigError for standard output or a file."""
    folder = user_path(output)
    if output == "-" or folder.is_file():
        raise ConfigError(f"Got the output {shown(output)} with --engine ray, expected a folder. Name one with -o.")
    return folder


def _parts(files: Sequence[Path], folder: Path, suffix: str) -> Iterator[Part]:
    """The parts of all files, numbered consecutively."""
    number = 0
    for file in files:
        is_parquet = file.suffix.lower() in _PARQUET
        for run in row_group_runs(file, shown(file), _MIN_ROWS) if is_parquet else [None]:
            first, last = (None, None) if run is None else (run.start, run.stop - 1)
            yield Part(str(file.absolute()), first, last, str(folder / f"part-{number:05d}{suffix}"))
            number += 1


def _description(model: Path, parts: Sequence[Part], files: Sequence[Path], text: str) -> dict[str, Any]:
    """The inputs of the parts; it differs if the parts do."""
    digest = hashlib.sha256()
    for file in sorted(model.rglob("*")) if model.is_dir() else []:
        if file.is_file():
            digest.update(f"{file.relative_to(model).as_posix()}\0".encode() + file.read_bytes())
    return {
        "model": digest.hexdigest() if model.is_dir() else str(model),
        "text": text,
        "files": [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files],
        "parts": len(parts),
    }


def _start_or_resume(folder: Path, description: Mapping[str, Any], resume: bool) -> None:
    """Start a folder, or resume one of the same parts; a ConfigError if it holds anything else."""
    before = read_json(folder / PARTS)
    if resume and before and before != description:
        raise ConfigError(
            f"The parts in {shown(folder)} are of another classifier, other files or another column. Name another "
            f"folder with -o."
        )
    if not before or not resume:
        if folder.is_dir() and any(folder.iterdir()):
            cure = "Go on with --resume, or name another with -o." if before else "Name another with -o."
            raise ConfigError(f"The output folder {shown(folder)} is not empty, and would be lost. {cure}")
        write_json(folder / PARTS, description)
    for leftover in folder.glob(".part-*"):  # of actors that died
        leftover.unlink(missing_ok=True)


def _predicted(ray: Any, parts: Sequence[Part], model: str, columns: Sequence[str], text: str) -> Iterator[Any]:
    """Rows with `rows` and `problem`, one for each part, as they come."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    resources = ray.cluster_resources()
    n_gpus = int(resources.get("GPU", 0))
    max_actors = n_gpus or max(1, int(resources["CPU"]))
    items = [{"part": json.dumps(asdict(part))} for part in parts]
    dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        PartPredictor,
        fn_constructor_args=(model, tuple(columns), text),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(max_actors, len(parts))),
        **({"num_gpus": 1} if n_gpus else {"num_cpus": 1}),
    )
    yield from dataset.iter_rows()
