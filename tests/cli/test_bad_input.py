"""Bad input gets a sentence: what failed, the value, what was expected, what to do; status 2, nothing half-written."""

import errno
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fewshot import storage
from fewshot.errors import ConfigError
from fewshot.tables import open_table
from tests.conftest import rows, write_jsonl

LABELLED = '{"text": "one more bear", "label": "bear"}'


def append(folder: Path, line: str | bytes) -> None:
    with open(folder / "texts.jsonl", "ab") as file:
        file.write((line.encode() if isinstance(line, str) else line) + b"\n")


def csv_of(folder: Path, content: str) -> None:
    (folder / "texts.jsonl").unlink()
    (folder / "texts.csv").write_text(content, encoding="utf-8")


def csv_rows() -> str:
    return "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows())


def splits(**parts: list[str]) -> Callable[[Path], None]:
    return lambda folder: (
        (folder / "class_splits.json").write_text(json.dumps({"01": parts}), encoding="utf-8") and None
    )


def replace(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content, encoding="utf-8") and None


def nothing(folder: Path) -> None:
    pass


def without_split(folder: Path, records: list[dict[str, Any]]) -> None:
    (folder / "class_splits.json").unlink()
    write_jsonl(folder, records)


# name → (damage to a good task folder, what is typed besides, what the sentence must say)
FILES: dict[str, tuple[Callable[[Path], object], list[str], list[str]]] = {
    "missing folder": (
        nothing,
        ["task.path=/no/such/folder"],
        ["'/no/such/folder' does not exist", "Expected a folder with texts.jsonl", "Set task.path"],
    ),
    "no folder": (nothing, ["task.path=null"], ["Got no task.path", "Set task.path to the folder"]),
    "missing file": (
        lambda folder: (folder / "texts.jsonl").unlink(),
        [],
        ["has no texts file", "Expected exactly one of texts.jsonl"],
    ),
    "several files": (
        lambda folder: (folder / "texts.csv").write_text("text,label\n"),
        [],
        ["several files: texts.jsonl, texts.csv", "Expected exactly one"],
    ),
    "empty file": (
        lambda folder: (folder / "texts.jsonl").write_text(""),
        [],
        ["texts.jsonl is empty: it has no texts", "Add some"],
    ),
    "empty csv": (lambda folder: csv_of(folder, ""), [], ["texts.csv is empty: it has no texts"]),
    "header only": (
        lambda folder: csv_of(folder, "text,label\n"),
        [],
        ["texts.csv has no texts: it has the columns 'text', 'label' and no rows", "Add some"],
    ),
    "wrong text column": (
        nothing,
        ["task.text_column=sentence"],
        ["texts.jsonl has no column 'sentence'; it has 'text', 'label'", "set task.text_column"],
    ),
    "wrong label column": (
        nothing,
        ["task.label_column=class"],
        ["texts.jsonl has no column 'class'; it has 'text', 'label'", "set task.label_column"],
    ),
    "columns of other names": (
        lambda folder: csv_of(folder, "a,b,c\n" + "x y z,u,v\n" * 3),
        [],
        ["not plain which columns", "'a' (such as 'x y z'), 'b' (such as 'u')", "Set task.text_column and task.label"],
    ),
    "one column": (
        lambda folder: csv_of(folder, "text\na bear\n"),
        [],
        ["has only one column, 'text', expected texts and their labels"],
    ),
    "numbers as texts": (
        lambda folder: csv_of(folder, "text,label\n1.5,a\n2,b\n"),
        [],
        ["column 'text' of", "has numbers, such as '1.5', expected texts"],
    ),
    "misspelt file": (
        nothing,
        ["task.path=conf/tusk.csv"],
        ["conf/tusk.csv does not exist", "Expected a file that ends in .csv"],
    ),
    "empty text": (
        lambda folder: append(folder, '{"text": " ", "label": "bear"}'),
        [],
        ["line 65: the text in column 'text' is ' ', expected a text that is not empty", "remove the line"],
    ),
    "text is a number": (
        lambda folder: append(folder, '{"text": 7, "label": "bear"}'),
        [],
        ["line 65: the text in column 'text' is 7, expected a text"],
    ),
    "empty label": (
        lambda folder: append(folder, '{"text": "a bear", "label": ""}'),
        [],
        ["line 65: the label in column 'label' is empty, expected the name of a class"],
    ),
    "label is null": (
        lambda folder: append(folder, '{"text": "a bear", "label": null}'),
        [],
        ["line 65: the label in column 'label' is missing, expected the name of a class"],
    ),
    "one class": (
        lambda folder: write_jsonl(folder, rows(n_classes=1)),
        [],
        ["has 1 class ('bear'), but", "two are needed", "Add texts of other classes"],
    ),
    "three classes": (
        lambda folder: without_split(folder, rows(n_classes=3)),
        ["classes=test"],
        ["has 3 classes", "4 are needed for classes=test: one to train on", "Set classes=all"],
    ),
    "small class": (
        nothing,
        ["shots=5", "queries=15"],
        [
            "has 8 texts, but an episode needs shots + queries = 5 + 15 = 20",
            "Lower shots or queries",
            "task.min_texts=20",
        ],
    ),
    "several values without a sweep": (nothing, ["shots=1,5"], ["Got 'shots=1,5', expected one value", "Add -m"]),
    "more ways than classes": (
        nothing,
        ["ways=5"],
        ["Got ways=5, but there are only 2 classes", "Lower ways, or set ways=all"],
    ),
    "numbers as label names": (
        lambda folder: without_split(
            folder, [row | {"label": len(row["label"]) + ord(row["label"][0])} for row in rows()]
        ),
        [],
        ["has no words", "says nothing", "label_names.json", "set label_names=false"],
    ),
    "text in two classes": (
        lambda folder: append(folder, '{"text": "BEAR  number 0 likes bearfood", "label": "crow"}'),
        [],
        ["stands under two classes: 'bear'", "line 1) and 'crow'", "line 65)", "task.duplicates=drop"],
    ),
    "ten thousand words": (
        lambda folder: append(folder, json.dumps({"text": "word " * 10_000, "label": "bear"})),
        [],
        ["line 65", "has 10,000 words, expected at most task.max_words=1,000", "raise task.max_words"],
    ),
    "not UTF-8": (
        lambda folder: append(folder, '{"text": "ein Bär", "label": "bear"}'.encode() + b"caf\xe9"),
        [],
        ["line 65: the byte 0xe9 is not UTF-8", "Save the file as UTF-8"],
    ),
    "malformed JSON": (
        lambda folder: append(folder, '{"text": "a bear, "label": "bear"}'),
        [],
        ["line 65 is not valid JSON", "Expected one object a line"],
    ),
    "JSON but no object": (
        lambda folder: append(folder, '["bear"]'),
        [],
        ["line 65 is '[\"bear\"]', expected an object"],
    ),
    "malformed csv": (
        lambda folder: csv_of(folder, csv_rows() + '"a "big" bear",bear\n'),
        [],
        ["starts in line 66: ',' expected after '\"'", "Expected double quotes around texts"],
    ),
    "open quote": (
        lambda folder: csv_of(folder, csv_rows() + '"a bear,bear\nan eel,eel\n'),
        [],
        ["starts in line 66: its quote is never closed", "Expected double quotes around texts"],
    ),
    "too many fields": (
        lambda folder: csv_of(folder, csv_rows() + "a bear, brown,bear\n"),
        [],
        ["line 66 has 3 fields, expected 2", "in double quotes"],
    ),
    "too few fields": (
        lambda folder: csv_of(folder, csv_rows() + "a bear\n"),
        [],
        ["line 66: the label", "is missing"],
    ),
    "no parquet": (
        lambda folder: (folder / "texts.jsonl").rename(folder / "texts.parquet"),
        [],
        ["texts.parquet is not a parquet file", "Write the file again"],
    ),
    "splits are no JSON": (
        replace("class_splits.json", '{"01": '),
        [],
        ["class_splits.json is not valid JSON", "at line 1, column 8", "Mend that line"],
    ),
    "splits of another form": (
        replace("class_splits.json", '["bear"]'),
        [],
        ["class_splits.json was expected to map split ids to parts", "Mend it, or remove it"],
    ),
    "split without a part": (
        splits(train=["bear"], valid=["crow"]),
        [],
        ["class_splits.json: split '01' has no classes for test", "Add at least one"],
    ),
    "overlapping parts": (
        splits(train=["bear", "deer"], valid=["deer"], test=["frog", "goat"]),
        [],
        ["class 'deer' is in train and in valid", "remove it from one"],
    ),
    "class twice in a part": (
        splits(train=["bear", "bear"], valid=["deer"], test=["frog", "goat"]),
        [],
        ["class 'bear' is twice in train", "remove it from one"],
    ),
    "unknown class": (
        splits(train=["bear"], valid=["deer"], test=["frog", "yeti"]),
        [],
        ["class 'yeti' in test has no texts", "Correct its name, add texts, or remove it"],
    ),
    "unknown split": (
        splits(train=["bear"], valid=["deer"], test=["frog", "goat"]),
        ["task.split=7"],
        ["has no split '07'; it has 01", "Set task.split"],
    ),
    "label names are no JSON": (
        replace("label_names.json", "{'bear': 'Bear'}"),
        [],
        ["label_names.json is not valid JSON", "at line 1, column 2"],
    ),
    "label names are a list": (
        replace("label_names.json", "[]"),
        [],
        ["label_names.json was expected to map labels to names", "Mend or remove it"],
    ),
    "label name is a number": (
        replace("label_names.json", '{"bear": 3}'),
        [],
        ["label name of class 'bear' is 3, expected a text or an object", "Correct it in label_names.json"],
    ),
}

SETTINGS: dict[str, tuple[list[str], list[str]]] = {
    "shots=0 alone": (["shots=0", "label_names=false"], ["Got shots=0 with label_names=false", "use label names"]),
    "shots=0 shared": (["shots=0", "realistic=true"], ["Got shots=0 with realistic=true", "Leave one out"]),
    "no texts, but noise": (
        ["strategy=zero_shot", "support_noise=0.4"],
        ["Got strategy=zero_shot with support_noise=0.4", "Leave one out"],
    ),
    "shots=0 tuned": (["shots=0", "strategy=lora"], ["Got shots=0 with strategy=lora", "write strategy=auto"]),
    "shots=-1": (["shots=-1"], ["Got shots=-1. Expected a whole number of 0 or more", "Write shots=auto"]),
    "ladder": (["ladder.lora_above=5"], ["Got ladder borders", "attention_from=10, lora_above=5", "out of order"]),
    "border": (["ladder.lora_abov=60"], ["There is no setting 'ladder.lora_abov'", "Did you mean ladder.lora_above"]),
    "tuner": (
        ["adaptation.lora.epoch=1"],
        ["no setting 'adaptation.lora.epoch'", "Did you mean adaptation.lora.epochs?"],
    ),
    "quick": (["quick_training.step=1"], ["no setting 'quick_training.step'", "Did you mean quick_training.steps"]),
    "no such tuner": (["adaptation.lore.epochs=1"], ["no setting 'adaptation.lore.epochs'", "adaptation.lora"]),
    "tuner out of range": (["adaptation.full.held_out=1"], ["adaptation.full.held_out=1.0", "a share between 0 and 1"]),
    "all, sampled": (["classes=all", "protocol=sampled"], ["protocol=sampled with classes=all"]),
    "unequal and fixed": (
        ["protocol=fixed_test", "realistic=true"],
        ["realistic=true with protocol=fixed_test"],
    ),
    "two at once": (
        ["queries=0", "metric=f1"],
        ["Got queries=0, metric=f1.", "one of accuracy, macro_f1, ece, valid_accuracy for metric"],
    ),
    "unknown learner": (
        ["learner=prototipical"],
        ["There is no learner 'prototipical'", "Did you mean prototypical", "Expected one of", "write learner=NAME"],
    ),
    "unknown learner in a sweep": (
        ["-m", "learner=centroid,ridgee"],
        ["There is no learner 'ridgee'", "Did you mean ridge?"],
    ),
    "unknown encoder": (["encoder=minilmm"], ["There is no encoder 'minilmm'", "Did you mean minilm?"]),
    "unknown task": (["task=folders"], ["There is no task 'folders'", "Did you mean folder?", "write +task=NAME"]),
    "unknown setting": (["shotss=3"], ["There is no setting 'shotss'", "Did you mean shots?", "Expected one of ways"]),
    "unknown setting with plus": (["+shotss=3"], ["There is no setting 'shotss'", "Did you mean shots?"]),
    "unknown setting of a group": (
        ["task.pathh=3"],
        ["There is no setting 'task.pathh'", "Did you mean task.path?", "task.label_column"],
    ),
    "unknown setting of the default group": (
        ["training.step=3"],
        ["There is no setting 'training.step'", "Did you mean training.steps?"],
    ),
    "unknown setting of a group with plus": (
        ["+learner.scal=3"],
        ["There is no setting 'learner.scal'", "Did you mean learner.scale?"],
    ),
    "number for a choice": (["learner=7"], ["Got int, expected the name of a choice, such as learner=ridge"]),
    "no value": (["shots"], ["Got 'shots', expected NAME=VALUE such as shots=5"]),
    "no grammar": (["task.path=/data/new (2"], ["Could not read 'task.path=/data/new (2'", "two pairs of quotes"]),
    "word for a number": (["training.steps=many"], ["Got training.steps='many', expected a whole number"]),
    "number for a list": (
        ["training.shots=5"],
        ["Got training.shots=5, expected a list of whole numbers such as [1,5]"],
    ),
    "below 0": (["training.steps=-1"], ["Got training.steps=-1, expected 0 or more"]),
    "out of range": (["training.evaluate_every=0"], ["Got training.evaluate_every=0", "Expected a positive number"]),
    "learner out of range": (["learner.scale=0"], ["Got learner.scale=0.0. Expected a positive number"]),
    "max_words": (["task.max_words=lots"], ["Got task.max_words='lots', expected a whole number"]),
    "duplicates": (["task.duplicates=keep"], ["Got task.duplicates='keep', expected error or drop"]),
    "no such class": (["encoder._target_=tests.fakes.Fake"], ["encoder._target_=tests.fakes.Fake", "Correct it"]),
    "no encoder model": (
        ["encoder=sentence_transformer"],
        ["Got no encoder.model, which has no default", "Write encoder.model=VALUE"],
    ),
    "removed group": (["~learner"], ["There is no learner", "Write learner=NAME"]),
    "no config folder": (["--config-dir", "/no/such/conf"], ["'/no/such/conf' of --config-dir does not exist"]),
}


def assert_sentence(outcome, said: list[str]) -> None:
    assert outcome.status == 2
    for words in said:
        assert words in outcome.err
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert not re.search(r"\b(Error|Exception)\(", outcome.err), "a Python exception is shown"
    assert outcome.err.endswith(".\n"), "a sentence ends in a full stop"
    assert outcome.results_files == []
    assert list(outcome.output.parent.rglob("*.tmp")) == []


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_used_gets_a_sentence(case, folder, command):
    damage, typed, said = FILES[case]
    damage(folder)

    outcome = command("task=folder", *([] if "task.path" in str(typed) else [f"task.path={folder}"]), *typed)

    assert_sentence(outcome, said)


@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting_that_cannot_be_used_gets_a_sentence(case, folder, command):
    typed, said = SETTINGS[case]
    task = [] if "task=folders" in typed else ["task=folder"]

    outcome = command(*task, *([] if "task.path=" in str(typed) else [f"task.path={folder}"]), *typed)

    assert_sentence(outcome, said)


def test_nan_from_an_encoder_gets_a_sentence(folder, command):
    outcome = command("task=folder", f"task.path={folder}", "encoder.broken=nan")

    assert_sentence(outcome, ["'fake'", "gave NaN or infinite features for the text", "Set encoder.dtype=float32"])


@pytest.mark.parametrize("part", ["file", "file/below"])
def test_an_output_folder_that_cannot_be_made_gets_a_sentence(part, folder, command, tmp_path):
    (tmp_path / "file").write_text("no folder")

    outcome = command("task=folder", f"task.path={folder}", f"output={tmp_path / part}")

    assert_sentence(outcome, ["Could not write to the output folder", "Not a directory", "Set output=/another/folder"])
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_read_only_output_folder_gets_a_sentence(folder, command, monkeypatch):
    mkdir = Path.mkdir

    def read_only(self, *args, **kwargs):
        if "output" in self.name or any("output" in parent.name for parent in self.parents):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        return mkdir(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", read_only)

    outcome = command("task=folder", f"task.path={folder}")

    assert_sentence(outcome, ["Read-only file system", "Set output=/another/folder"])


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_cache_disk_costs_a_warning_alone(folder, command, monkeypatch, tmp_path):
    fsync = os.fsync

    def full(handle: int) -> None:
        if "/cache/" in os.readlink(f"/proc/self/fd/{handle}"):
            no_space()
        fsync(handle)

    monkeypatch.setattr(storage.os, "fsync", full)

    outcome = command("task=folder", f"task.path={folder}", f"encoder.cache={tmp_path / 'cache'}")

    assert outcome.status == 0
    assert outcome.out.count("Features are not kept. Could not write") >= 1
    assert "No space left on device" in outcome.out
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []


def test_a_full_output_disk_gets_a_sentence(folder, command, monkeypatch):
    fsync = os.fsync

    def full(handle: int) -> None:
        if "results.json" in os.readlink(f"/proc/self/fd/{handle}"):
            no_space()
        fsync(handle)

    monkeypatch.setattr(storage.os, "fsync", full)

    outcome = command("task=folder", f"task.path={folder}")

    assert_sentence(outcome, ["Could not write", "results.json", "No space left on device", "Free some space"])
    assert "Could not read or write" not in outcome.err, "one sentence inside of another"
    assert outcome.out.count("\u2502 prototypical") == 1, "the numbers are shown"


def test_an_error_of_the_system_inside_a_run_gets_a_sentence(folder, command, monkeypatch):
    monkeypatch.setattr("fewshot.report.results.build_results", no_space)

    outcome = command("task=folder", f"task.path={folder}")

    assert_sentence(outcome, ["Could not read or write a file: No space left on device", "set output=/another/folder"])


def test_a_texts_file_that_may_not_be_read_gets_a_sentence(folder, command, monkeypatch):
    def denied(self, *args, **kwargs):
        if self.name == "texts.jsonl":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return opened(self, *args, **kwargs)

    opened = Path.open
    monkeypatch.setattr(Path, "open", denied)

    outcome = command("task=folder", f"task.path={folder}")

    assert_sentence(outcome, ["texts.jsonl could not be read: Permission denied", "Make it readable"])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["task=hub", "task.dataset=no/such"], ["'no/such'", "the Hugging Face hub", "Check the id and the network"]),
        (["task=hub"], ["Got no task.dataset. Set task.dataset to an id on the hub"]),
        (["task=banking77"], ["'PolyAI/banking77'", "Check the id and the network"]),
        (
            ["task=medical_terms", "encoder=sentence_transformer", "encoder.model=no/such"],
            [
                "Encoder model 'no/such' could not be loaded",
                "hub cannot be reached",
                "set encoder.model=/path/to/folder",
            ],
        ),
    ],
)
def test_a_hub_that_cannot_be_reached_gets_a_sentence_within_seconds(typed, said, command, monkeypatch):
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("FEWSHOT_DATA", raising=False)
    started = time.perf_counter()

    outcome = command(*typed)

    assert_sentence(outcome, said)
    assert time.perf_counter() - started < 60


def test_numbers_as_labels_work_without_label_names(plain_folder, command):
    folder = write_jsonl(plain_folder, [row | {"label": ord(row["label"][0])} for row in rows()])

    outcome = command("task=folder", f"task.path={folder}", "label_names=false", "episodes=3")

    assert outcome.status == 0
    assert outcome.results["label_names"] is False


def test_numbers_as_labels_work_once_they_have_names(plain_folder, command):
    numbered = [row | {"label": ord(row["label"][0])} for row in rows()]
    folder = write_jsonl(plain_folder, numbered)
    names = {str(new["label"]): old["label"] for new, old in zip(numbered, rows(), strict=True)}
    (folder / "label_names.json").write_text(json.dumps(names))

    assert command("task=folder", f"task.path={folder}", "episodes=3").status == 0


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(suffix, folder, command):
    if suffix == "csv":
        csv_of(folder, csv_rows())
    file = folder / f"texts.{suffix}"
    clean = command("task=folder", f"task.path={folder}")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    windows = command("task=folder", f"task.path={folder}")

    assert clean.status == windows.status == 0
    assert windows.err == ""
    for key in ("task_sha256", "episodes_sha256", "accuracy", "macro_f1", "ece", "baselines", "notes"):
        assert windows.results[key] == clean.results[key]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("shots=" + "9" * 4301, "Got a number of 4,301 digits in 'shots=99"),
        ("output=null", "Got None as output, expected text"),
        ("output=[a]", "Got ['a'] as output, expected text"),
        ("seed=\x1b[31m", "\\x1b[31m"),
        ("episodes=10000000000000", "episodes"),
        ("training.learning_rate=inf", "learning_rate"),
        ("queries=10000000000000", "queries"),
        ("task.path=" + "a" * 5000, "does not exist"),
    ],
)
def test_values_that_no_one_means_get_a_short_sentence(folder, command, monkeypatch, tmp_path, setting, said):
    monkeypatch.chdir(tmp_path)
    outcome = command("task=folder", f"task.path={folder}", setting)

    assert outcome.status == 2
    assert said in outcome.err
    assert len(outcome.err) < 2100
    assert "\x1b" not in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("path", [None, b"x", ["a"], True, {}])
def test_a_path_of_another_kind_gets_a_sentence(path):
    with pytest.raises(ConfigError, match="as a path, expected text"):
        storage.user_path(path)


def test_columns_of_one_name_get_different_ones(tmp_path):
    (tmp_path / "wide.csv").write_text(",".join(["a", "a", "a (2)", *(f"c{i}" for i in range(20_000))]) + "\n1\n")
    columns = open_table(tmp_path / "wide.csv").columns
    assert columns[:3] == ("a", "a (2)", "a (2) (2)")
    assert len(set(columns)) == 20_003


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_too_little_memory_gets_a_sentence(folder, command, monkeypatch, error):
    def full(*args, **kwargs):
        raise error

    monkeypatch.setattr("fewshot.experiment.experiment.run_experiment", full)
    outcome = command("task=folder", f"task.path={folder}")

    assert outcome.status == 2
    assert outcome.err.startswith("error: There is not enough memory for this run (")
