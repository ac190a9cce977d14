"""What a user calls a task or a label is shown, and becomes a file name, without doing anything else."""

import json
import os

import pytest
from rich.table import Table

from fewshot.cli.app import main as app
from fewshot.cli.main import main
from fewshot.errors import ConfigError, FewshotError, printable
from fewshot.report.table import show
from fewshot.resources import bundled_task
from fewshot.storage import file_name
from fewshot.tasks import load_folder

NAMES = ("../../../x", "/etc/passwd", "[/red]x", "a\x1b[31mb", "..", "a/b\\c", "n" * 5000, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_becomes_one_part_of_a_path(name):
    made = file_name(name)
    assert made not in ("", ".", "..")
    assert os.path.basename(made) == made
    assert len(made) < 100
    assert file_name(name) == made


def test_different_names_become_different_files():
    assert len({file_name(name) for name in (*NAMES, "x", "etc-passwd")}) == len(NAMES) + 2
    assert file_name("mails_2025.v1") == "mails_2025.v1"


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def files_of(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["../../../x", *map(slow, ("/absolute", "[/red]x[bold]", "a\x1b[31mb"))])
def test_a_run_writes_below_its_output_whatever_the_task_is_called(name, tmp_path, capsys, monkeypatch):
    inside = tmp_path / "deep" / "down" / "here"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    rows = [{"text": f"{word} number {n}", "label": word} for word in "abcdefghijklmnopqrst" for n in range(12)]
    (inside / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = {"01": {"train": list("abcdefghij"), "valid": list("klmno"), "test": list("pqrst")}}
    (inside / "class_splits.json").write_text(json.dumps(splits))
    typed = [f"output={inside / 'out'}", "+task=folder", f"task.path={inside}", f'task.name="{name}"']
    typed += ["learner=prototypical", "trainable=none", "augment=none", "training.steps=2", "shots=1", "episodes=5"]
    assert main([*typed, "baselines=[centroid]", "queries=3"]) == 0
    said = capsys.readouterr().out
    assert printable(name) in said
    assert "\x1b" not in said
    outside = files_of(tmp_path) - files_of(inside / "out")
    assert {path.name for path in outside} == {"texts.jsonl", "class_splits.json"}


@pytest.mark.parametrize("published", ["../../..", "/etc", "nothing"])
def test_published_is_the_name_of_a_bundled_task(published, tmp_path):
    (tmp_path / "texts.csv").write_text("text,label\na,x\nb,y\n")
    with pytest.raises(ConfigError, match=r"expected the name of a task of the package: .*medical_terms"):
        load_folder(tmp_path, published=published)
    assert bundled_task("medical_terms").is_dir()


def test_tables_show_markup_and_control_characters_literally(capsys):
    table = Table(title="[/red]title")
    table.add_column("[bold]column")
    table.add_row("[/red]cell :smile:")
    show(table)
    said = capsys.readouterr().out
    assert all(part in said for part in ("[/red]title", "[bold]column", "[/red]cell :smile:"))


def test_a_message_is_short_and_does_nothing_to_a_terminal():
    said = str(FewshotError(f"Got \x1b[2J{'v' * 100_000}, expected less. Cut it."))
    assert len(said) < 2000
    assert said.startswith("Got \\x1b[2Jvvv")
    assert said.endswith("expected less. Cut it.")


@pytest.mark.slow
def test_labels_of_a_csv_are_said_literally(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"text {n} of {label},{label}\n" for label in ("[/red]", "\x1b[31m") for n in range(3))
    (tmp_path / "mails.csv").write_text("text,label\n" + rows)
    assert app(["evaluate", str(tmp_path / "mails.csv")]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said


@pytest.mark.slow
def test_a_password_in_an_address_is_written_nowhere(folder, command):
    where = "augment.sources.llm"
    typed = ["task=folder", f"task.path={folder}", "augment=semantic", "augment/source=[llm]", f"{where}.retries=0"]
    typed += [
        f"{where}.base_url=https://me:hunter2@127.0.0.1:9/v1",
        f"{where}.key_variable=null",
        f"{where}.cache=null",
    ]
    for more in ([], ["-m", "shots=1,2"]):
        outcome = command(*typed, *more)
        assert outcome.status == 2
        assert "127.0.0.1:9" in outcome.out + outcome.err
        written = files_of(outcome.output)
        assert {"overrides.yaml", "run.log"} <= {path.name for path in written}
        assert not [path for path in written if b"hunter2" in path.read_bytes()]
        assert "hunter2" not in outcome.err
