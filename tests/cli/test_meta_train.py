"""`fewshot meta-train`: tables in, an adapter out, which `fit` takes."""

import pytest

from fewshot.bank import read_adapter
from fewshot.cli.app import main
from fewshot.experiment import adapter_training
from fewshot.training import EncoderTrainer
from tests.tiny_models import save_sentence_transformer
from tests.training.first_word import first_word_task


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(save_sentence_transformer(tmp_path_factory.mktemp("cli")))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two tables of 11 classes each, whose first word is the class."""
    task, folder = first_word_task(), tmp_path_factory.mktemp("tables")
    for name, own in (("old", range(11)), ("new", range(11, 22))):
        rows = [
            f"{text},{task.classes[label]}"
            for text, label in zip(task.texts, task.labels.tolist(), strict=True)
            if label in own
        ]
        (folder / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return [str(folder / "old.csv"), str(folder / "new.csv")]


@pytest.fixture
def quick(monkeypatch, tmp_path):
    trainer = EncoderTrainer(steps=30, learning_rate=3e-2, ways=6, shots=[1], evaluate_every=15, precision="float32")
    monkeypatch.setattr(
        adapter_training.train_adapter, "__kwdefaults__", {"trainer": trainer, "seed": 0, "store": None}
    )
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("quick")
@pytest.mark.slow
def test_tables_become_an_adapter_that_fit_takes(tables, encoder, tmp_path, capsys, caplog):
    assert main(["meta-train", *tables, "-o", "desk", "--encoder", encoder]) == 0
    said = capsys.readouterr().out
    assert "% as published" in said
    assert said.splitlines()[-1] == "Saved in desk. Next: fewshot fit new.csv -o model --adapter desk"
    card = read_adapter(tmp_path / "desk").card
    assert [source.name for source in card.sources] == ["old", "new"]
    assert card.training["valid_accuracy"] > card.training["valid_accuracy_before"]
    assert main(["fit", tables[0], "-o", "model", "--encoder", encoder, "--adapter", "desk"]) == 0
    assert "trained on 128 of these 132 texts" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.csv", "-o", "desk"], "missing.csv"),
        (["{table}", "{table}", "-o", "desk"], "expected different ones"),
        (["{table}", "-o", "."], "is there already"),
    ],
)
def test_mistakes_get_a_sentence(tables, arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.txt").write_text("kept")
    assert main(["meta-train", *(one.format(table=tables[0]) for one in arguments)]) == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "own.txt").read_text() == "kept"
