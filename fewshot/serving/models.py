"""The classifiers of a server, by name; each is replaced as a whole, and requests in flight end on the old one."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewshot.errors import ConfigError, FewshotError
from fewshot.export.description import is_exported
from fewshot.serving.shared import Family, share_encoders
from fewshot.tables.wording import short

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOT_HASHED = ("README.md", "report.html")  # files that do not change predictions


class UnknownModel(ConfigError):
    """There is no model of a name."""


@dataclass(frozen=True)
class ServedModel:
    """A classifier that is ready to answer.

    Args:
        name: of the model in requests.
        folder: of the classifier.
        classifier: a `TextClassifier` or an `ExportedClassifier`.
        digest: of the files of the classifier and of the texts that it learnt since, 16 hex digits.
        family: of classifiers whose texts are encoded together; None for an exported one, which encodes by itself.
        n_learnt: texts that it learnt since it was read or saved.
    """

    name: str
    folder: Path
    classifier: Any
    digest: str
    family: Family | None = None
    n_learnt: int = 0

    def described(self) -> dict[str, Any]:
        """The model as `schemas.Model`."""
        details = getattr(self.classifier, "details", {})
        return {
            "name": self.name,
            "digest": self.digest,
            "labels": list(self.classifier.labels),
            "several_labels": self._about.thresholds is not None,
            "rejects": self.rejects,
            "explains": self.explains,
            "n_texts": details.get("n_texts"),
            "n_learnt": self.n_learnt,
            "held_out_accuracy": details.get("accuracy"),
        }

    @property
    def explains(self) -> bool:
        """True if it can explain a prediction."""
        return getattr(self.classifier, "evidence", None) is not None

    @property
    def rejects(self) -> bool:
        """True if it can reject a text as of no label."""
        about = self._about
        return getattr(about, "rejection", None) is not None or getattr(about, "rejects_below", None) is not None

    @property
    def reject_label(self) -> str | int | None:
        """The label of a text that is rejected."""
        label: str | int | None = self._about.reject_label
        return label

    def learnt(self, classifier: Any, texts: Sequence[str], labels: Sequence[Any]) -> "ServedModel":
        """The model with a classifier that learnt some texts."""
        added = json.dumps([self.digest, list(texts), list(labels)])
        digest = hashlib.sha256(added.encode()).hexdigest()[:16]
        return replace(self, classifier=classifier, digest=digest, n_learnt=self.n_learnt + len(texts))

    def check(self) -> None:
        """Classify a text; ConfigError if that fails."""
        try:
            list(self.classifier.predictions(["A text."]))
        except FewshotError:
            raise
        except Exception as error:
            raise ConfigError(
                f"The classifier in {str(self.folder)!r} cannot predict ({type(error).__name__}: {error}). Fit it "
                f"again."
            ) from error

    @property
    def _about(self) -> Any:
        """The object with thresholds and rejection: the classifier itself, or the description of an exported one."""
        return getattr(self.classifier, "description", self.classifier)


class Models:
    """Models by name; the first one answers requests that name none.

    Args:
        folders: name → folder of a classifier.

    Raises:
        FewshotError: a folder holds no classifier that works.
    """

    def __init__(self, folders: Mapping[str, Path]):
        self._folders = dict(folders)
        self._models: Mapping[str, ServedModel] = {}
        self.put(self.read())

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._models.values()))

    def __getitem__(self, name: str | None) -> ServedModel:
        """The model as it is now, the first one for None; UnknownModel if there is none of this name."""
        if name is None:
            return next(iter(self))
        if name not in self._models:
            known = ", ".join(map(repr, self._models))
            raise UnknownModel(f"Got the model {short(name)}, expected one of {known}. Leave it out for the first.")
        return self._models[name]

    def read(self) -> Mapping[str, ServedModel]:
        """Read all folders anew and load their weights, beside the models that answer; FewshotError if one fails."""
        digests = {name: folder_digest(folder) for name, folder in self._folders.items()}
        classifiers = {name: _read(folder) for name, folder in self._folders.items()}
        plain = {name: each for name, each in classifiers.items() if not hasattr(each, "description")}
        known = [model.classifier.encoder for model in self if model.family is not None]
        shared = share_encoders(plain, known) if plain else {}
        models = {}
        for name, folder in self._folders.items():
            classifier, family = shared.get(name, (classifiers[name], None))
            if family is not None:
                classifier.encoder.load()
            models[name] = ServedModel(name, folder, classifier, digests[name], family)
        return models

    def put(self, models: Mapping[str, ServedModel]) -> None:
        """Replace all models, once each has been checked; call it in the thread in which models compute."""
        for model in models.values():
            model.check()
        self._models = models

    def replace(self, new: ServedModel) -> None:
        """Replace the model of the same name."""
        self._models = {**self._models, new.name: new}


def named_folders(models: Sequence[str]) -> dict[str, Path]:
    """Folders by name, from `FOLDER` or `NAME=FOLDER`; without a name it is that of the folder.

    Raises:
        ConfigError: an invalid name, or two models of one name.

    Example:
        >>> [*named_folders(["models/mails", "new=models/mails_2"]).items()]
        [('mails', PosixPath('models/mails')), ('new', PosixPath('models/mails_2'))]
    """
    folders: dict[str, Path] = {}
    for model in models:
        name, equals, path = model.partition("=")
        folder = Path(path if equals else model).expanduser()
        name = name if equals else folder.resolve().name
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"Got the model name {name!r}, expected letters, digits and ._- alone, 64 at most. "
                f"Write NAME=FOLDER, such as mails={str(folder)!r}."
            )
        if name in folders:
            raise ConfigError(f"Got two models with the name {name!r}. Write NAME=FOLDER to give one another name.")
        folders[name] = folder
    return folders


def folder_digest(folder: Path) -> str:
    """16 hex digits of the files of a classifier; ConfigError if there is no such folder."""
    if not folder.is_dir():
        raise ConfigError(
            f"There is no folder {str(folder)!r}. Expected one that `fewshot fit` wrote. Correct the name."
        )
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.name not in _NOT_HASHED):
        with open(path, "rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()[:16]


def _read(folder: Path) -> Any:
    """A classifier, of either kind; FewshotError if the folder holds none."""
    if is_exported(folder):
        from fewshot.export import ExportedClassifier

        return ExportedClassifier.from_pretrained(folder)
    if not (folder / "classifier.json").is_file():
        raise ConfigError(
            f"{str(folder)!r} holds no classifier (no classifier.json). Expected a folder that `fewshot fit` wrote."
        )
    from fewshot.text_classifier import TextClassifier

    return TextClassifier.from_pretrained(folder).without_cache()
