"""The command `fewshot` as a user types it, on a tiny encoder."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest

from fewshot.classifier import FewShotClassifier
from fewshot.cli import predicting
from fewshot.cli.app import main
from tests.adaptation.conftest import coloured
from tests.tiny_models import save_sentence_transformer

TEXTS, LABELS = coloured(8)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(save_sentence_transformer(tmp_path_factory.mktemp("cli")))


@pytest.fixture(scope="module")
def mails(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "mails.csv"
    rows = "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))
    path.write_text("message,category\n" + rows)
    return path


@pytest.fixture(scope="module")
def model(mails, encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "mails"
    assert main(["fit", str(mails), "-o", str(folder), "--encoder", encoder]) == 0
    return folder


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_fit_says_how_good_it_is_and_what_to_do_next(mails, encoder, tmp_path, capsys):
    assert main(["fit", str(mails), "-o", str(tmp_path / "m"), "--encoder", encoder]) == 0
    said = capsys.readouterr().out
    assert "Columns 'message' and 'category' were taken as text and label." in said
    assert "Fitted on 24 texts of 3 labels (8 of each), stage " in said
    assert "of 24 texts held out in turn (95 % interval " in said
    assert f"Next: fewshot predict {tmp_path / 'm'} new.csv -o out.csv" in said
    content = json.loads((tmp_path / "m" / "classifier.json").read_text())
    assert content["details"]["command"].startswith("fewshot fit ")
    assert "of 24 texts held out in turn" in (tmp_path / "m" / "README.md").read_text()


def test_predict_gives_each_row_its_label(model, mails, tmp_path):
    assert main(["predict", str(model), str(mails), "-o", str(tmp_path / "out.csv")]) == 0
    rows = table(tmp_path / "out.csv")
    assert [row["message"] for row in rows] == TEXTS
    assert [row["label"] for row in rows] == FewShotClassifier.from_pretrained(model).predict(TEXTS).tolist()
    assert all(0 <= float(row["runner_up_probability"]) <= float(row["probability"]) <= 1 for row in rows)
    assert {row["rejected"] for row in rows} == {"false"}


def test_a_column_of_the_table_is_not_overwritten(model, tmp_path):
    (tmp_path / "new.csv").write_text("text,label,predicted_label\nred card,unknown,mine\nblue tax,unknown,mine\n")
    assert main(["predict", str(model), str(tmp_path / "new.csv"), "-o", str(tmp_path / "out.csv")]) == 0
    rows = table(tmp_path / "out.csv")
    assert [row["label"] for row in rows] == ["unknown"] * 2
    assert [row["predicted_label"] for row in rows] == ["mine"] * 2
    assert {row["predicted_predicted_label"] for row in rows} <= {"red", "green", "blue"}


def test_predict_goes_on_where_it_was_stopped(model, mails, tmp_path, monkeypatch):
    monkeypatch.setattr(predicting, "BLOCK", 5)
    out, whole = tmp_path / "out.csv", tmp_path / "whole.csv"
    assert main(["predict", str(model), str(mails), "-o", str(whole)]) == 0
    lines = whole.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:8]) + lines[8][:7])  # the last row is torn
    assert main(["predict", str(model), str(mails), "-o", str(out), "--resume"]) == 0
    assert out.read_text() == whole.read_text()


def test_ctrl_c_leaves_whole_rows(model, mails, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predicting, "BLOCK", 5)
    count, cells = 0, predicting._cells

    def stopping(prediction):
        nonlocal count
        count += 1
        if count > 12:
            raise KeyboardInterrupt
        return cells(prediction)

    monkeypatch.setattr(predicting, "_cells", stopping)
    out = tmp_path / "out.csv"
    assert main(["predict", str(model), str(mails), "-o", str(out)]) == 130
    assert len(table(out)) == 10
    said = capsys.readouterr().err
    assert "--resume goes on" in said
    assert said.endswith("Stopped.\n")


def test_one_text_a_line_from_standard_input(model, monkeypatch, capsysbinary):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"red card\n\nblue tax\n")))
    assert main(["predict", str(model), "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsysbinary.readouterr().out.decode())))
    assert [row["text"] for row in rows if row["text"]] == ["red card", "blue tax"]


def test_empty_rows_are_counted_where_the_output_has_none_for_them(model, tmp_path, capsys):
    (tmp_path / "new.csv").write_text('text\n\nred card\n""\n \nblue tax\n\n')
    assert main(["predict", str(model), str(tmp_path / "new.csv"), "-o", str(tmp_path / "out.csv")]) == 0
    assert [row["text"] for row in table(tmp_path / "out.csv")] == ["red card", "blue tax"]
    assert "out.csv has no rows for 2 empty ones between others in " in capsys.readouterr().err


@pytest.mark.parametrize("first", ["message;category", '"id",text', '{"text": "red card"}'])
def test_a_table_from_standard_input_is_refused(model, monkeypatch, capsys, first):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{first}\n1,red card\n".encode())))
    assert main(["predict", str(model), "-"]) == 2
    assert "like a table, expected one text a line. Name the file in place of '-'." in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_crosses_the_texts_or_scores_a_model(model, mails, encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = Path("outputs", "evaluate", "mails", "report.html")
    assert main(["evaluate", str(mails), "--encoder", encoder]) == 0
    said = capsys.readouterr().out
    assert "cross-validation" in said
    assert "95 % interval" in said
    assert f"Page: {page}" in said
    assert f"fewshot evaluate {mails} --encoder {encoder}" in page.read_text()
    assert main(["evaluate", str(mails), "--model", str(model), "-o", "scored.html"]) == 0
    said = capsys.readouterr().out
    assert "Page: scored.html" in said
    assert "A classifier, scored on mails.csv" in Path("scored.html").read_text()
    assert os.listdir(mails.parent) == ["mails.csv"]
    assert "Accuracy: " in said
    assert "24 of these texts are among those that it was fitted on" in said
    numbered = "".join(f"{text},{len(label)}\n" for text, label in zip(TEXTS, LABELS, strict=True))
    Path("numbered.csv").write_text("text,label\n" + numbered)
    assert main(["evaluate", "numbered.csv", "--encoder", encoder]) == 0
    assert "without label names" in capsys.readouterr().out


def test_a_page_never_takes_the_place_of_another_file(mails, encoder, capsys):
    before = mails.read_text()
    assert main(["evaluate", str(mails), "--encoder", encoder, "-o", str(mails)]) == 2
    assert "is no page of fewshot's" in capsys.readouterr().err
    assert mails.read_text() == before


def test_fit_leaves_a_page_beside_the_classifier_and_can_be_repeated(mails, encoder, tmp_path, capsys):
    folder = tmp_path / "m"
    for _ in range(2):
        assert main(["fit", str(mails), "-o", str(folder), "--encoder", encoder, "--reject", "0.1"]) == 0
        assert "with report.html to look at" in capsys.readouterr().out
    html = (folder / "report.html").read_text()
    assert f"fewshot fit {mails} -o {folder}" in html
    assert "None of these</h2>" in html


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["fit", "nowhere.csv", "-o", "m"], "nowhere.csv"),
        (["fit", "{mails}", "-o", "m", "--text", "body"], "body"),
        (["fit", "{mails}"], "--output"),
        (["fitt", "{mails}"], "Did you mean 'fit'"),
        (["fit", "{mails}", "-o", "m", "--label-names", "{mails}"], "cannot be read as JSON"),
        (["fit", "{mails}", "-o", "m", "--stage", "best"], "stage='best'"),
        (["predict", "{tmp}", "{mails}"], "holds no classifier"),
        (["predict", "{model}", "{mails}", "-o", "{mails}"], "is the file that is read"),
        (["predict", "{model}", "{mails}", "-o", "{other}"], "is there already, and would be lost"),
        (["predict", "{model}", "{mails}", "-o", "{other}", "--resume", "--overwrite"], "expected one of them"),
        (["evaluate", "{other}", "--model", "{model}"], "does not know"),
        (["report", "nowhere"], "no folder"),
    ],
)
def test_mistakes_get_a_sentence(typed, expected, mails, model, tmp_path, capsys):
    (tmp_path / "other.csv").write_text("text,label\nred,red\npink,pink\n")
    places = {"mails": mails, "model": model, "tmp": tmp_path, "other": tmp_path / "other.csv"}
    assert main([word.format(**places) for word in typed]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    assert mails.read_text().startswith("message,category\n")


def test_run_is_the_researchers_command(capsys):
    assert main(["run", "--help"]) == 0
    assert "shots" in capsys.readouterr().out
    assert main(["run", "shots=-1", "+task=medical_terms"]) == 2
    assert "shots=-1" in capsys.readouterr().err


def test_a_command_that_is_not_there_is_offered_the_near_ones(capsys):
    assert main(["fitt"]) == 2
    assert capsys.readouterr().err == "error: No such command 'fitt'. Did you mean 'fit'? `fewshot --help` shows how.\n"


def test_a_mistake_names_the_help_of_its_command(capsys):
    assert main(["meta-train", "x.csv"]) == 2
    assert capsys.readouterr().err.endswith("`fewshot meta-train --help` shows how.\n")


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: fewshot [OPTIONS] COMMAND")


def test_fit_into_a_folder_with_files_of_the_user_loses_none(mails, encoder, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "m"
    assert main(["fit", str(mails), "-o", str(folder), "--encoder", encoder]) == 0
    (folder / "mine.csv").write_text(mails.read_text())
    monkeypatch.setattr(FewShotClassifier, "fit", None)  # it is refused before
    capsys.readouterr()
    assert main(["fit", str(folder / "mine.csv"), "-o", str(folder), "--encoder", encoder]) == 2
    assert "also holds 'mine.csv', which would be lost" in capsys.readouterr().err
    assert (folder / "mine.csv").is_file()
    (folder / "mine.csv").unlink()
    (folder / "report.html").write_text("mine")
    assert main(["fit", str(mails), "-o", str(folder), "--encoder", encoder]) == 2
    assert (folder / "report.html").read_text() == "mine"


def test_fit_reads_long_texts_as_it_is_told(mails, encoder, tmp_path):
    assert main(["fit", str(mails), "-o", str(tmp_path), "--encoder", encoder, "--long-texts", "chunk"]) == 0
    assert FewShotClassifier.from_pretrained(tmp_path).model_.long_texts == "chunk"


def test_runs_and_audit_logs_are_not_reported_together(tmp_path, capsys):
    (tmp_path / "audit.jsonl").write_text("{}\n")
    assert main(["report", str(tmp_path), str(tmp_path / "audit.jsonl")]) == 2
    assert "beside audit logs, expected one or the other" in capsys.readouterr().err


def test_an_exported_classifier_is_not_scored(mails, tmp_path, capsys):
    (tmp_path / "export.json").write_text("{}")
    assert main(["evaluate", str(mails), "--model", str(tmp_path), "-o", str(tmp_path / "page.html")]) == 2
    assert "holds an exported classifier, which predicts and does nothing else" in capsys.readouterr().err


def test_texts_with_several_labels_are_fitted_and_not_cross_validated(encoder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{text},{label}" for text, label in zip(TEXTS, LABELS, strict=True)]
    rows += [f"red and blue {n},red|blue" for n in range(4)]
    Path("several.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    assert main(["fit", "several.csv", "-o", "m", "--encoder", encoder]) == 0
    assert "Micro-F1" in capsys.readouterr().out
    assert main(["evaluate", "several.csv", "--encoder", encoder]) == 2
    assert "several labels, such as 'red|blue'" in capsys.readouterr().err
    assert main(["evaluate", "several.csv", "--model", "m"]) == 0


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_computed(mails, encoder, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert main(["evaluate", str(mails), "--encoder", encoder, "-o", str(tmp_path / "file" / "p.html")]) == 2
    captured = capsys.readouterr()
    assert "is no folder. Choose another place with -o." in captured.err
    assert captured.out == ""
