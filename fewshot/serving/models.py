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

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOT_PART = ("README.md", "report.html")  # of what decides on a prediction
_TRIED_ON = "A text."


class UnknownModel(ConfigError):
    """There is no model of a name."""


@dataclass(frozen=True)
class ServedModel:
    """A classifier that is ready to answer.

    Args:
        name: by which requests ask for it.
        folder: that it was read from.
        classifier: a `TextClassifier`, or what behaves like one.
        digest: of the files of the classifier and what it learnt since, 16 hex digits.
        n_learnt: texts that it learnt since it was read or saved.
    """

    name: str
    folder: Path
    classifier: Any
    digest: str
    n_learnt: int = 0

    def described(self) -> dict[str, Any]:
        """What a user is shown of it."""
        details = getattr(self.classifier, "details", {})
        return {
            "name": self.name,
            "digest": self.digest,
            "labels": list(self.classifier.labels),
            "several_labels": self.classifier.thresholds is not None,
            "rejects": self.classifier.rejection is not None,
            "explains": self.explains,
            "n_texts": details.get("n_texts"),
            "n_learnt": self.n_learnt,
            "held_out_accuracy": details.get("accuracy"),
        }

    @property
    def explains(self) -> bool:
        """Whether it can say what decided on a text."""
        return getattr(self.classifier, "evidence", None) is not None

    def learnt(self, classifier: Any, texts: Sequence[str], labels: Sequence[Any]) -> "ServedModel":
        """The model with a classifier that learnt some texts."""
        added = json.dumps([self.digest, list(texts), list(labels)])
        digest = hashlib.sha256(added.encode()).hexdigest()[:16]
        return replace(self, classifier=classifier, digest=digest, n_learnt=self.n_learnt + len(texts))


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
        self.reload()

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._models.values()))

    @property
    def names(self) -> list[str]:
        """The first one is that of the default model."""
        return list(self._folders)

    def __getitem__(self, name: str) -> ServedModel:
        """The model as it is now; UnknownModel if there is none of this name."""
        if name not in self._models:
            known = ", ".join(map(repr, self._models))
            raise UnknownModel(f"Got the model {name!r}, expected one of {known}. Leave it out for the first.")
        return self._models[name]

    def reload(self) -> None:
        """Read all folders anew; all models are replaced, or with a FewshotError none."""
        known = [model.classifier for model in self]
        fresh: dict[str, ServedModel] = {}
        for name, folder in self._folders.items():
            fresh[name] = read_model(name, folder, [*known, *(model.classifier for model in fresh.values())])
        self._models = fresh

    def replace(self, old: ServedModel, new: ServedModel) -> bool:
        """Put a model in the place of another; False if this one is not in use any more."""
        if self._models.get(old.name) is not old:
            return False
        self._models = {**self._models, new.name: new}
        return True


def named_folders(models: Sequence[str]) -> dict[str, Path]:
    """Folders by name, from `FOLDER` or `NAME=FOLDER`; without a name it is that of the folder.

    Raises:
        ConfigError: a name that cannot stand in a request, or two of one name.

    Example:
        >>> [*named_folders(["models/mails", "new=models/mails_2"]).items()]
        [('mails', PosixPath('models/mails')), ('new', PosixPath('models/mails_2'))]
    """
    folders: dict[str, Path] = {}
    for given in models:
        name, equals, path = given.partition("=")
        folder = Path(path if equals else given).expanduser()
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


def read_model(name: str, folder: Path, known: Sequence[Any] = ()) -> ServedModel:
    """Read a classifier and try it.

    Args:
        name: of the model.
        folder: of the classifier.
        known: classifiers whose encoder is used again where it is the same one.

    Raises:
        FewshotError: the folder holds no classifier, or one that does not work.
    """
    if folder.exists() and not (folder / "classifier.json").is_file():
        raise ConfigError(
            f"{str(folder)!r} holds no classifier (no classifier.json). Expected a folder that `fewshot fit` wrote."
        )
    from fewshot.text_classifier import TextClassifier

    digest = folder_digest(folder) if folder.is_dir() else ""
    classifier = TextClassifier.from_pretrained(folder).without_cache()
    classifier = replace(classifier, encoder=_shared_encoder(classifier.encoder, known))
    try:
        list(classifier.predictions([_TRIED_ON]))
    except FewshotError:
        raise
    except Exception as error:
        raise ConfigError(
            f"The classifier in {str(folder)!r} cannot predict ({type(error).__name__}: {error}). Fit it again."
        ) from error
    return ServedModel(name, folder, classifier, digest or classifier.encoder.fingerprint)


def folder_digest(folder: Path) -> str:
    """16 hex digits of the files of a classifier."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.name not in _NOT_PART):
        with open(path, "rb") as file:
            total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return total.hexdigest()[:16]


def _shared_encoder(encoder: Any, known: Sequence[Any]) -> Any:
    """The encoder of a known classifier, if it is the same one; else the encoder itself."""
    for other in (classifier.encoder for classifier in known):
        if _identity(other) == _identity(encoder):
            return other
    return encoder


def _identity(encoder: Any) -> tuple[Any, ...]:
    return encoder.portable_fingerprint, encoder.dtype, encoder.long_texts
