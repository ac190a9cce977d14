"""`fewshot distill`: a folder and a file of texts in, a small folder out, which `predict` takes."""

import csv

import pytest

from fewshot import FewShotClassifier, TextClassifier
from fewshot.cli.app import main
from fewshot.cli.distilling import without_near
from fewshot.encoders import SentenceTransformerEncoder
from tests.distill.test_flow import made_texts
from tests.tiny_models import save_sentence_transformer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier, texts without labels, and labelled ones, of which one stands among the others."""
    folder = tmp_path_factory.mktemp("cli")
    encoder = SentenceTransformerEncoder(str(save_sentence_transformer(folder / "encoder")), cache=None)
    FewShotClassifier(encoder=encoder, label_names=None).fit(*made_texts(30, 0)).save_pretrained(folder / "mails")
    texts, (asked, labels) = made_texts(120, 1)[0], made_texts(40, 2)
    (folder / "unlabelled.txt").write_text("\n".join([*texts, asked[0].upper() + "!"]) + "\n")
    with open(folder / "asked.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(asked, labels, strict=True)])
    return folder


def command(folder, *more):
    return ["distill", str(folder / "mails"), "-o", "small", "--texts", str(folder / "unlabelled.txt"), *more]


def test_a_student_with_its_accuracy(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command(folder, "--labelled", str(folder / "asked.csv"))) == 0
    said = capsys.readouterr().out
    assert "nearly equal one of" in said
    assert "Learnt from " in said
    assert "points (95 % interval, paired) on 40 texts." in said
    assert [line.split(":")[0] for line in said.splitlines() if "texts/s" in line] == ["Teacher", "Student"]
    assert said.splitlines()[-1] == "Saved in small. Next: fewshot predict small new.csv -o out.csv"
    card = (tmp_path / "small" / "README.md").read_text()
    assert "- Accuracy: teacher " in card
    assert "- Encoder: bundled/static with weights trained on texts without labels" in card
    assert main(["predict", "small", str(folder / "asked.csv"), "-o", "out.csv"]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 41
    assert TextClassifier.from_pretrained(tmp_path / "small").labels == ("card", "loan", "pain")
    assert main(command(folder)) == 2  # not over a folder that is there
    assert "'small' is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--student", "statik"], "Got student='statik'"),
        (["--texts", "nowhere.txt"], "nowhere.txt"),
        (["--labelled", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_mistakes_are_named(folder, tmp_path, monkeypatch, capsys, more, what):
    monkeypatch.chdir(tmp_path)
    assert main(command(folder, *more)) == 2
    assert what in capsys.readouterr().err
    assert not (tmp_path / "small").exists()


def test_labels_that_the_classifier_does_not_know(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.csv").write_text("text,label\none,red\ntwo,blue\n")
    assert main(command(folder, "--labelled", "other.csv")) == 2
    assert "other.csv have the label 'red', which the classifier does not know" in capsys.readouterr().err


def test_texts_that_nearly_equal_a_labelled_one_are_left_out():
    texts = ["my card was lost in Rome", "MY CARD was stolen in Rome!", "what is my balance", "where is Rome"]
    assert without_near(texts, ["My card was stolen in Rome"]) == (texts[2:], 2)
