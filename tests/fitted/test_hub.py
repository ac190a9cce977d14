"""Model cards, and the way to the hub and back, without a network."""

from pathlib import Path
from typing import ClassVar
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError

from fewshot.classifier import FewShotClassifier
from fewshot.encoders import TransformerEncoder
from fewshot.errors import ConfigError, StorageError
from fewshot.fitted.hub import card, fetched
from fewshot.text_classifier import TextClassifier
from tests.tiny_models import save_transformer


class Hub:
    """Repositories in memory, in the place of `HfApi`."""

    repositories: ClassVar[dict[str, dict[str, bytes]]] = {}

    def __init__(self, token=None):
        self.token = token

    def create_repo(self, repository, private, exist_ok):
        assert private
        assert exist_ok
        if self.token == "wrong":
            raise HfHubHTTPError("403 Forbidden: you may not", response=Mock(headers={}))
        return f"https://hub/{repository}"

    def upload_folder(self, repo_id, folder_path):
        self.repositories[repo_id] = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    def download(name, allow_patterns):
        for file, content in Hub.repositories[name].items():
            (tmp_path / "snapshot").mkdir(exist_ok=True)
            (tmp_path / "snapshot" / file).write_bytes(content)
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return Hub.repositories


@pytest.fixture
def classifier(tmp_path):
    encoder = TransformerEncoder(str(save_transformer("bert", tmp_path / "bert")), dtype="float32", cache=None)
    return FewShotClassifier(encoder=encoder).fit(["a b", "a c", "d e", "d f"], ["x", "x", "y", "y"])


def test_a_card_tells_what_a_stranger_wants_to_know():
    details = {"stage": "head", "n_texts": 40, "accuracy": "95.0 % of 40 texts", "command": "fewshot fit mails.csv"}
    text = card([f"label {n}" for n in range(60)], "MiniLM", details)
    for part in ("of 60 labels", "`label 0`", "and 10 more", "95.0 % of 40 texts", "`fewshot fit mails.csv`", "head"):
        assert part in text
    assert "label 59" not in text
    assert ModelCard(text).data.library_name == "fewshot-text"


def test_it_goes_to_the_hub_and_comes_back(hub, classifier):
    fitted = classifier
    assert fitted.push_to_hub("me/mails") == "https://hub/me/mails"
    assert {"classifier.json", "classifier.safetensors", "support.json", "README.md"} <= set(hub["me/mails"])
    again = TextClassifier.from_pretrained("me/mails")
    assert again.logits(["a d"]).tolist() == fitted.model_.logits(["a d"]).tolist()


def test_a_hub_that_refuses_says_why(hub, classifier):
    with pytest.raises(StorageError, match=r"did not take 'me/mails' \(403 Forbidden.*Log in"):
        classifier.push_to_hub("me/mails", token="wrong")


def test_a_folder_that_is_there_is_not_looked_up(hub, tmp_path):
    (tmp_path / "me" / "mails").mkdir(parents=True)
    assert fetched(tmp_path / "me" / "mails", "classifier.json") == tmp_path / "me" / "mails"


def test_neither_folder_nor_repository_is_a_sentence():
    with pytest.raises(ConfigError, match="There is no folder 'no-one/nothing', and the hub gave no model"):
        TextClassifier.from_pretrained("no-one/nothing")
    with pytest.raises(ConfigError, match=r"There is no folder 'nowhere', expected one with classifier\.json"):
        TextClassifier.from_pretrained("nowhere")
