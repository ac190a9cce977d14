"""Classifiers in a folder: small, without pickle, and the same logits in any process."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from fewshot.classifier import FewShotClassifier
from fewshot.encoders import SentenceTransformerEncoder
from fewshot.episodes import LabelledTexts
from fewshot.errors import ConfigError
from fewshot.learners import LEARNERS
from fewshot.meta_model import MetaModel
from fewshot.storage import read_sealed, write_sealed
from fewshot.text_classifier import TextClassifier
from tests.adaptation.conftest import *  # noqa: F403  (its fixtures)
from tests.adaptation.conftest import coloured
from tests.synthetic import primed

TEXTS = coloured(5, seed=7)[0]
WRITTEN = {"classifier.safetensors", "classifier.json", "README.md"}
FILES = {
    "lora": {"adapter_config.json", "adapter_model.safetensors", "encoder.json"},
    "adapter": {"bottleneck.json", "bottleneck.safetensors", "encoder.json"},
    "full": {"changed.safetensors", "encoder.json"},
    "head": set(),
    "prototypes": set(),
}


@pytest.mark.parametrize("kind", FILES)
def test_it_reads_what_it_wrote(adapted, tmp_path, kind):
    model = adapted[kind]
    assert model.details["stage"] == kind
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES[kind] | WRITTEN
    loaded = TextClassifier.from_pretrained(tmp_path)
    assert torch.equal(loaded.logits(TEXTS), model.logits(TEXTS))
    assert loaded.predict(TEXTS) == model.predict(TEXTS)
    assert loaded.labels == model.labels == ("blue", "green", "red")
    assert loaded.details == json.loads(json.dumps(model.details))
    assert torch.equal(TextClassifier.from_pretrained(tmp_path, model.encoder).logits(TEXTS), model.logits(TEXTS))


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_a_fresh_process_gives_identical_logits(adapted, tmp_path, kind):
    adapted[kind].save_pretrained(tmp_path / "model")
    script = (
        "from fewshot.text_classifier import TextClassifier; from safetensors.torch import save_file\n"
        f"logits = TextClassifier.from_pretrained({str(tmp_path / 'model')!r}).logits({TEXTS!r})\n"
        f"save_file({{'logits': logits}}, {str(tmp_path / 'logits')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert torch.equal(load_file(tmp_path / "logits")["logits"], adapted[kind].logits(TEXTS))


def test_saved_twice_into_one_folder_the_last_one_counts(adapted, tmp_path):
    for kind in ("lora", "prototypes"):
        adapted[kind].save_pretrained(tmp_path)
        assert torch.equal(TextClassifier.from_pretrained(tmp_path).logits(TEXTS), adapted[kind].logits(TEXTS))


def test_another_encoder_is_refused(adapted, tmp_path):
    adapted["lora"].save_pretrained(tmp_path)
    for other in (adapted["lora"].encoder.replace(pooling="cls"), SentenceTransformerEncoder(cache=None)):
        with pytest.raises((ConfigError, RuntimeError), match=r"the encoder is another one|belong to"):
            TextClassifier.from_pretrained(tmp_path, other).logits(TEXTS)


def no_tensors(folder):
    (folder / "classifier.safetensors").unlink()


def no_description(folder):
    (folder / "classifier.json").write_text("{}")


def of_another_format(folder):
    content = json.loads((folder / "classifier.json").read_text())
    (folder / "classifier.json").write_text(json.dumps(content | {"format": 1}))


def with_a_foreign_class(folder):
    content = json.loads((folder / "classifier.json").read_text())
    content["classifier"]["class"] = "Popen"
    (folder / "classifier.json").write_text(json.dumps(content))


@pytest.mark.parametrize("spoil", [no_tensors, no_description, of_another_format, with_a_foreign_class])
def test_a_folder_that_cannot_be_read_is_one_sentence(adapted, tmp_path, spoil):
    adapted["lora"].save_pretrained(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ConfigError, match=r"holds no classifier that can be read.*Fit the classifier again") as caught:
        TextClassifier.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_learner_of_a_classifier_has_one_advice(adapted, tmp_path):
    texts, labels = coloured(4)
    encoder = adapted["lora"].encoder.replace(weights=None)
    model = MetaModel(encoder, primed("centroid", encoder.encode(["red"]).shape[1])).adapt(texts, labels)
    model.save_pretrained(tmp_path)
    (tmp_path / "learner.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match="Fit the classifier again") as caught:
        TextClassifier.from_pretrained(tmp_path)
    assert "Run the training again" not in str(caught.value)


def test_a_head_beside_other_encoder_weights_is_refused(adapted, tmp_path):
    adapted["lora"].save_pretrained(tmp_path / "a")
    adapted["adapter"].save_pretrained(tmp_path / "b")
    (tmp_path / "a" / "classifier.json").replace(tmp_path / "b" / "classifier.json")
    with pytest.raises(ConfigError, match="goes with other encoder weights"):
        TextClassifier.from_pretrained(tmp_path / "b")


def test_nothing_is_pickled(adapted, tmp_path):
    for kind, model in adapted.items():
        model.save_pretrained(tmp_path / kind)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors", ".md"}


@pytest.mark.parametrize("hidden", [None, 5])
@pytest.mark.parametrize("learner", LEARNERS)
def test_the_classifier_of_every_learner_is_kept(encoder, tmp_path, learner, hidden):
    settings = {"hidden": hidden, "adapts": "network" if hidden else "head"} if learner == "maml" else {}
    dim = encoder.encode(["red"]).shape[1]
    texts, labels = coloured(4)
    model = MetaModel(encoder, primed(learner, dim, **settings)).adapt(texts, labels, {name: name for name in labels})
    model.save_pretrained(tmp_path)
    assert torch.equal(TextClassifier.from_pretrained(tmp_path).logits(TEXTS), model.logits(TEXTS))


def test_what_only_the_caller_decides_is_not_taken_from_a_folder(adapted, tmp_path):
    model = adapted["prototypes"]
    model.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "classifier.json").read_text())
    assert not {"cache", "device", "trust_remote_code", "pickled_weights"} & set(content["encoder"]["settings"])
    content["encoder"]["settings"] |= {"trust_remote_code": True, "cache": str(tmp_path / "elsewhere")}
    write_sealed(tmp_path / "classifier.json", {key: value for key, value in content.items() if key != "sha256"})
    loaded = TextClassifier.from_pretrained(tmp_path).encoder
    assert (loaded.trust_remote_code, loaded.cache) == (False, "auto")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("labels", ["x", "y", "z"], "it tells 2 classes apart and has 3 labels"),
        ("labels", ["x", None], "its labels are no strings or whole numbers"),
        ("reject_label", ["none"], "its reject_label is no string or whole number"),
        ("temperature", -1.0, "its temperature is -1.0"),
        ("temperature", 10**400, "int too large to convert to float"),
    ],
)
def test_a_folder_with_values_of_another_kind_is_refused(tmp_path, encoder, field, value, said):
    fitted = FewShotClassifier(encoder=encoder).fit(["red a", "red b", "blue a", "blue b"], ["x", "x", "y", "y"])
    fitted.save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "classifier.json"
    write_sealed(path, read_sealed(path) | {field: value})
    with pytest.raises(ConfigError, match=said):
        TextClassifier.from_pretrained(tmp_path / "m")


def test_a_classifier_that_has_explained_is_saved_as_before(tmp_path, encoder):
    fitted = FewShotClassifier(encoder=encoder).fit(["red a", "red b", "blue a", "blue b"], ["x", "x", "y", "y"])
    fitted.explain("red c")
    fitted.save_pretrained(tmp_path / "m")
    loaded = TextClassifier.from_pretrained(tmp_path / "m", encoder)
    assert torch.equal(loaded.logits(TEXTS), fitted.model_.logits(TEXTS))


def test_a_run_is_a_meta_model_for_other_classes(tmp_path, encoder):
    model = MetaModel(encoder, primed("attention_prototypical", encoder.encode(["a"]).shape[1]))
    model.save_pretrained(tmp_path / "run")
    fitted = FewShotClassifier(tmp_path / "run", stage="prototypes").fit(TEXTS[:4], ["x", "x", "y", "y"])
    support = LabelledTexts.of(TEXTS[:4], ["x", "x", "y", "y"], None)
    expected = MetaModel(encoder, model.learner).adapt_to(support).logits(TEXTS)
    fitted_without_names = FewShotClassifier(tmp_path / "run", stage="prototypes", label_names=None)
    got = fitted_without_names.fit(TEXTS[:4], ["x", "x", "y", "y"]).model_
    assert torch.equal(got.logits(TEXTS), expected)
    fitted.save_pretrained(tmp_path / "m")
    again = FewShotClassifier.from_pretrained(tmp_path / "m")
    assert torch.equal(again.model_.logits(TEXTS), fitted.model_.logits(TEXTS))
    assert again.explain(TEXTS[0]).contributions == fitted.explain(TEXTS[0]).contributions
    assert again.partial_fit(["another"], ["z"]).classes_.tolist() == ["x", "y", "z"]
