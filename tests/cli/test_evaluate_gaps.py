"""`fewshot evaluate --group COLUMN --robustness` as a user types it."""

import re

import pytest

from fewshot.cli.app import main
from fewshot.experiment import experiment
from tests.adaptation.conftest import coloured
from tests.tiny_models import save_sentence_transformer

TEXTS, LABELS = coloured(8)
GROUPS = ["web", "mail"] * 11 + ["", ""]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(save_sentence_transformer(tmp_path_factory.mktemp("gaps")))


@pytest.fixture(scope="module")
def mails(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "mails.csv"
    rows = zip(TEXTS, LABELS, GROUPS, strict=True)
    path.write_text("message,category,channel\n" + "".join(f"{text},{label},{group}\n" for text, label, group in rows))
    return path


def printed(typed, capsys):
    assert main(typed) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_groups_and_changed_texts_of_a_cross_validation(mails, encoder, capsys):
    typed = ["evaluate", str(mails), "--encoder", encoder, "--group", "channel", "--robustness"]
    said = printed([*typed, "--text", "message", "--label", "category"], capsys)
    assert re.search(r"│ web +│ +11 │", said)
    assert re.search(r"│ \(none\) +│ +2 │", said)
    assert re.search(r"'(web|mail)' is [\d.]+ points below '(web|mail)'. Of random groups of these sizes", said)
    assert re.search(r"│ capitals +│ +24 │", said)
    assert re.search(r"│ typos +│ +24 │", said)


def test_groups_of_a_fitted_classifier(mails, encoder, tmp_path, capsys):
    columns = ["--text", "message", "--label", "category"]
    printed(["fit", str(mails), "-o", str(tmp_path / "m"), "--encoder", encoder, *columns], capsys)
    said = printed(["evaluate", str(mails), "--model", str(tmp_path / "m"), "--group", "channel", *columns], capsys)
    right = float(re.search(r"Accuracy: ([\d.]+) %", said)[1])
    of_group = {name: float(share) for name, share in re.findall(r"│ (web|mail) +│ +11 │ +([\d.]+) │", said)}
    none = float(re.search(r"│ \(none\) +│ +2 │ +([\d.]+) │", said)[1])
    assert 24 * right == pytest.approx(11 * sum(of_group.values()) + 2 * none, abs=2)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["{mails}", "--group", "nowhere"], "has no column 'nowhere'"),
        (["-", "--group", "channel"], "Got --group with standard input"),
        (["{mails}", "--group", "message"], "expected 2 to 50"),
    ],
)
def test_a_group_that_cannot_be_compared_is_refused_before_anything_is_computed(
    typed, expected, mails, encoder, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(experiment, "run_experiment", None)
    if typed[-1] == "message":
        mails = tmp_path / "many.csv"
        words = [f"{text} {number}" for number, text in enumerate(TEXTS * 3)]
        mails.write_text(
            "message,category\n" + "".join(f"{w},{lab}\n" for w, lab in zip(words, LABELS * 3, strict=True))
        )
    words = ["evaluate", *(word.format(mails=mails) for word in typed), "--encoder", encoder]
    assert main([*words, "--text", "message", "--label", "category"]) == 2
    assert expected in capsys.readouterr().err
