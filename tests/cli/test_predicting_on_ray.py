"""`fewshot predict --engine ray`: the parts together are what the plain engine writes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.cli import predicting_on_ray
from fewshot.cli.app import main
from fewshot.cli.predicting_on_ray import PartPredictor, input_files
from fewshot.tables.parquet import read_parquet, row_group_runs
from tests.cli.test_app import LABELS, TEXTS, encoder, mails, model, table  # noqa: F401 - fixtures
from tests.cli.test_main import ENVIRONMENT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def without_ray(monkeypatch):
    """The parts one after the other in this process; all else is as on Ray."""

    def predicted(ray, parts, *arguments):
        predictor = PartPredictor(*arguments)
        for part in parts:
            done = predictor({"part": [json.dumps(vars(part))]})
            yield {"rows": done["rows"][0], "problem": done["problem"][0]}

    monkeypatch.setattr(predicting_on_ray, "_predicted", predicted)
    monkeypatch.setattr(predicting_on_ray, "start_ray", lambda *of_ray: None)


@pytest.fixture
def folder_of_tables(tmp_path):
    """Two csv files with the texts of `mails` between them, and files that are none of them."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, texts in (("a.csv", TEXTS[:10]), ("deep/b.csv", TEXTS[10:])):
        (tmp_path / "in" / name).write_text("message\n" + "".join(f"{text}\n" for text in texts))
    for name in ("_SUCCESS.csv", ".hidden.csv", "readme.md"):
        (tmp_path / "in" / name).write_text("no\n")
    return tmp_path / "in"


def plain_rows(model, mails, tmp_path):  # noqa: F811
    assert main(["predict", str(model), str(mails), "-o", str(tmp_path / "plain.csv")]) == 0
    return [{name: cell for name, cell in row.items() if name != "category"} for row in table(tmp_path / "plain.csv")]


def rows_of_parts(folder):
    return [row for path in sorted(folder.glob("part-*.csv")) for row in table(path)]


def test_the_parts_of_a_folder_are_the_rows_of_the_plain_engine(model, mails, folder_of_tables, tmp_path, without_ray):  # noqa: F811
    assert main(["predict", str(model), str(folder_of_tables), "-o", str(tmp_path / "out"), "--engine", "ray"]) == 0

    assert sorted(os.listdir(tmp_path / "out")) == ["part-00000.csv", "part-00001.csv", "parts.json"]
    assert rows_of_parts(tmp_path / "out") == plain_rows(model, mails, tmp_path)


def test_only_parts_that_are_missing_are_written_again(model, folder_of_tables, tmp_path, without_ray, capsys):  # noqa: F811
    typed = ["predict", str(model), str(folder_of_tables), "-o", str(tmp_path / "out.jsonl"), "--engine", "ray"]
    assert main(typed) == 0
    parts = sorted((tmp_path / "out.jsonl").glob("part-*.jsonl"))
    before = [path.read_bytes() for path in parts]
    changed = [path.stat().st_mtime_ns for path in parts]
    parts[1].unlink()
    (tmp_path / "out.jsonl" / ".part-00001.jsonl.x.tmp").write_text("of an actor that was killed")
    capsys.readouterr()

    assert main([*typed, "--resume"]) == 0

    assert "1 of 2 parts are there already" in capsys.readouterr().out
    assert [path.read_bytes() for path in parts] == before
    assert parts[0].stat().st_mtime_ns == changed[0]
    assert len(os.listdir(tmp_path / "out.jsonl")) == 3
    assert [json.loads(line)["message"] for line in before[0].decode().splitlines()] == TEXTS[:10]


def test_parts_of_something_else_are_left_alone(model, folder_of_tables, tmp_path, without_ray, capsys):  # noqa: F811
    typed = ["predict", str(model), str(folder_of_tables), "-o", str(tmp_path / "out"), "--engine", "ray"]
    assert main(typed) == 0

    assert main(typed) == 2
    assert "is not empty, and would be lost. Go on with --resume" in capsys.readouterr().err
    (folder_of_tables / "a.csv").write_text("message\nred card\n")
    assert main([*typed, "--resume"]) == 2
    assert "are of another classifier, other files or another column" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_costs_its_part_alone(model, folder_of_tables, tmp_path, without_ray, capsys):  # noqa: F811
    (folder_of_tables / "b.csv").write_text("other,label\nred card,x\nblue,y\n")

    assert main(["predict", str(model), str(folder_of_tables), "-o", str(tmp_path / "out"), "--engine", "ray"]) == 2

    said = capsys.readouterr().err
    assert "b.csv has the columns other, label, expected those of the first file: message." in said
    assert "--resume goes on with the other 2 parts" in said
    assert sorted(path.name for path in (tmp_path / "out").glob("part-*")) == ["part-00000.csv", "part-00002.csv"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["{mails}"], "expected a folder. Name one with -o."),
        (["{mails}", "-o", "{mails}"], "expected a folder. Name one with -o."),
        (["{empty}", "-o", "{empty}/out"], "holds no tables"),
    ],
)
def test_mistakes_get_a_sentence(typed, expected, model, mails, tmp_path, without_ray, capsys):  # noqa: F811
    (tmp_path / "empty").mkdir()
    places = {"mails": mails, "empty": tmp_path / "empty"}
    assert main(["predict", str(model), *(word.format(**places) for word in typed), "--engine", "ray"]) == 2
    assert expected in capsys.readouterr().err


def test_a_folder_without_a_classifier_is_refused_before_ray_is_there(mails, tmp_path, capsys):  # noqa: F811
    (tmp_path / "empty").mkdir()
    typed = ["predict", str(tmp_path / "empty"), str(mails), "-o", str(tmp_path / "out"), "--engine", "ray"]
    assert main(typed) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_without_ray_its_extra_is_named(model, mails, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["predict", str(model), str(mails), "-o", str(tmp_path / "out"), "--engine", "ray"]) == 2
    assert "pip install 'fewshot-text[ray]'" in capsys.readouterr().err


def test_row_groups_of_a_parquet_file_are_read_by_themselves(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    path = tmp_path / "texts.parquet"
    parquet.write_table(pyarrow.table({"text": [f"text {number}" for number in range(10)]}), path, row_group_size=3)
    runs = row_group_runs(path, "texts.parquet", 5)

    assert runs == [range(2), range(2, 4)]
    assert list(read_parquet(path, "texts.parquet", runs[1])) == [
        (f"texts.parquet, row {number + 1}", {"text": f"text {number}"}) for number in range(6, 10)
    ]
    assert list(read_parquet(path, "texts.parquet")) == [
        row for run in runs for row in read_parquet(path, "texts.parquet", run)
    ]
    assert input_files(path) == [path]


@pytest.mark.slow
def test_ray_itself_writes_what_the_plain_engine_writes(model, mails, tmp_path):  # noqa: F811
    pytest.importorskip("ray", reason="needs the extra ray")
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    (tmp_path / "in").mkdir()
    parquet.write_table(pyarrow.table({"message": TEXTS[:12]}), tmp_path / "in" / "a.parquet")
    with open(tmp_path / "in" / "b.csv", "w", newline="") as file:
        csv.writer(file).writerows([["message"], *([text] for text in TEXTS[12:])])
    typed = ["predict", str(model), str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--engine", "ray"]

    done = subprocess.run(
        [sys.executable, "-m", "fewshot", *typed],
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "24 rows in 2 parts" in done.stdout
    assert rows_of_parts(tmp_path / "out") == plain_rows(model, mails, tmp_path)
