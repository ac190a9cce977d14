"""A tiny encoder, a task, tables and a classifier, made in a folder in seconds and without a download."""

import json
from dataclasses import dataclass
from pathlib import Path

TOPICS = {
    "heart": "heart attack myocardial infarction",
    "chest": "acute pain in the chest",
    "fever": "fever cough of a child",
    "bone": "broken bone left arm",
    "loan": "loan interest account",
    "card": "card lost stolen",
    "tax": "tax form new",
    "rash": "child with rash",
}
_SIDES = ("old", "new", "red", "green", "blue", "one", "two", "three", "four", "five")


def tiny_encoder(folder: Path) -> Path:
    """A random BERT of two layers and 32 dimensions, saved as a sentence-transformers model; the path of it."""
    from tests.tiny_models import save_sentence_transformer

    return folder / "model" if (folder / "model").is_dir() else save_sentence_transformer(folder)


def texts_of(topic: str, count: int) -> list[str]:
    """So many distinct texts of a topic."""
    sides = [f"{first} {second} {third}" for first in _SIDES for second in _SIDES for third in _SIDES]
    return [f"{TOPICS[topic]} {side}" for side in sides[:count]]


@dataclass(frozen=True)
class Materials:
    """What commands read, below one folder; nothing in it is written by them."""

    folder: Path

    @property
    def encoder(self) -> Path:
        """A sentence-transformers model."""
        return self.folder / "tiny" / "model"

    @property
    def task(self) -> Path:
        """A folder with `texts.csv`, 8 classes of 12 texts, and a split of the classes."""
        return self.folder / "task"

    @property
    def new_texts(self) -> Path:
        """A csv file with `number` and `text`: 400 rows."""
        return self.folder / "new.csv"

    @property
    def classifiers(self) -> tuple[Path, Path]:
        """Two fitted classifiers that differ."""
        return self.folder / "first", self.folder / "second"

    def make(self) -> "Materials":
        """Write all of it."""
        from fewshot import Centroid, MetaModel, Ridge, SentenceTransformerEncoder

        self.task.mkdir(parents=True, exist_ok=True)
        encoder = SentenceTransformerEncoder(str(tiny_encoder(self.folder / "tiny")), cache=None)
        rows = [(text, topic) for topic in TOPICS for text in texts_of(topic, 12)]
        (self.task / "texts.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
        new = [text for topic in TOPICS for text in texts_of(topic, 50)]
        self.new_texts.write_text("number,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(new)))
        dim = encoder.encode(["a"]).shape[1]
        for folder, learner in zip(self.classifiers, (Centroid(dim), Ridge(dim)), strict=True):
            texts, labels = zip(*rows, strict=True)
            MetaModel(encoder, learner).adapt(texts, labels).save_pretrained(folder)
        splits = {"train": list(TOPICS)[:3], "valid": list(TOPICS)[3:5], "test": list(TOPICS)[5:]}
        (self.task / "class_splits.json").write_text(json.dumps({"01": splits}))
        return self
