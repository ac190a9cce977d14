"""`fewshot check` and `fewshot fit --mask-personal-data` as a user types them."""

import csv
import json
import subprocess
import sys

import pytest

from fewshot.classifier import FewShotClassifier
from fewshot.cli.app import main
from fewshot.housekeeping import personal
from tests.adaptation.conftest import coloured
from tests.tiny_models import save_sentence_transformer

TEXTS, LABELS = coloured(6)
TABLE = [
    ("id", "message", "category"),
    *((str(n), text, label) for n, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))),
    ("90", "red card &amp; tax", "Red"),
    ("91", "red card & tax", "red"),
    ("92", "", "blue"),
    ("93", "red, write to anna@example.com", "red"),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(save_sentence_transformer(tmp_path_factory.mktemp("checking")))


@pytest.fixture
def mails(tmp_path):
    path = tmp_path / "mails.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(TABLE)
    return path


def test_findings_have_lines_and_nothing_is_written(mails, encoder, capsys):
    before = mails.read_bytes()
    assert main(["check", str(mails), "--encoder", encoder]) == 0
    said = capsys.readouterr().out
    assert "22 texts: " in said
    assert "1 text has entities of HTML. --fix repairs them.\n  line 20: " in said
    assert "1 text is empty. Fill them in, or leave them out.\n  line 22: ''" in said
    assert "line 20: 'Red' (1) beside 'red' (8)" in said
    assert "line 23: 'red, write to <EMAIL>'" in said
    assert mails.read_bytes() == before
    assert list(mails.parent.iterdir()) == [mails]


def test_the_repaired_copy_keeps_all_columns_and_says_what_was_done(mails, encoder, tmp_path, capsys):
    before, clean = mails.read_bytes(), tmp_path / "clean.csv"
    assert main(["check", str(mails), "--encoder", encoder, "--fix", "-o", str(clean)]) == 0
    said = capsys.readouterr().out
    with clean.open(newline="", encoding="utf-8") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    left = {row[0] for row in TABLE} - {row[0] for row in rows}
    assert "91" in left
    assert rows[0] == TABLE[0]
    assert ("90", "red card & tax", "red") in rows
    assert ("92", "", "blue") in rows
    assert "Repaired entities of HTML in 1 row." in said
    assert f"Wrote {len(rows) - 1} of 22 rows to {clean}." in said
    assert mails.read_bytes() == before


def test_texts_without_labels(tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("a &amp; b\nmy card\n")
    assert main(["check", str(tmp_path / "texts.txt")]) == 0
    assert "line 1: 'a &amp; b'" in capsys.readouterr().out


def test_several_labels_are_said_not_to_be_looked_at(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("text,label\nred tax,a|b\nred,a\nblue,b\n")
    assert main(["check", str(tmp_path / "t.csv")]) == 0
    assert "several labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["nowhere.csv"], "nowhere.csv"),
        (["{mails}", "--fix"], "Got --fix alone"),
        (["{mails}", "-o", "clean.csv"], "without --fix"),
        (["{mails}", "--fix", "-o", "-"], "standard output"),
        (["{mails}", "--fix", "-o", "{mails}"], "is the file that is read"),
        (["{mails}", "--fix", "-o", "{other}"], "is there already"),
        (["{mails}", "--label", "kind"], "kind"),
    ],
)
def test_mistakes_get_a_sentence_before_torch_is_loaded(typed, expected, mails):
    before, other = mails.read_bytes(), mails.with_name("other.csv")
    other.write_bytes(before)
    code = "import sys; from fewshot.cli.app import main; out = main(sys.argv[1:]); print('torch' in sys.modules, out)"
    words = ["check", *(word.format(mails=mails, other=other) for word in typed)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["False", "2"]
    assert expected in done.stderr
    assert mails.read_bytes() == other.read_bytes() == before


def test_masked_texts_are_all_that_is_kept_and_new_ones_are_masked(mails, encoder, tmp_path, caplog):
    rows = [row for row in TABLE if row[1]]
    with mails.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    folder = tmp_path / "m"
    assert main(["fit", str(mails), "-o", str(folder), "--encoder", encoder, "--mask-personal-data"]) == 0
    assert "Masked personal data: 1 EMAIL." in caplog.text
    assert not [path for path in folder.rglob("*") if path.is_file() and b"anna@" in path.read_bytes()]
    assert "red, write to <EMAIL>" in json.loads((folder / "support.json").read_text())["texts"]

    loaded = FewShotClassifier.from_pretrained(folder)
    logits = loaded.model_.logits(["red bob@mail.org", "red eve@web.de", "red <EMAIL>"])
    assert (logits[0] == logits[1]).all()
    assert (logits[0] == logits[2]).all()
    grown = loaded.partial_fit(["blue bob@mail.org"], ["blue"])
    assert "blue <EMAIL>" in grown.model_.evidence.support.texts


def test_masking_without_presidio_is_refused(mails, encoder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(personal, "find_spec", lambda _: None)
    mails.write_text("text,label\nred,a\nblue,b\n")
    typed = ["fit", str(mails), "-o", str(tmp_path / "m"), "--encoder", encoder, "--mask-personal-data"]
    assert main(typed) == 2
    assert "fewshot-text[check]" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
