"""A fitted text classifier: an encoder, a classifier on its features, and the user's labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fewshot.encoders import Encoder
from fewshot.encoders.languages import warn_of_language
from fewshot.encoders.texts import checked_texts
from fewshot.episodes.label_sets import chosen_labels
from fewshot.errors import ConfigError
from fewshot.features import unit_features
from fewshot.fitted import prediction_sets
from fewshot.fitted.attribution import Attribution
from fewshot.fitted.evidence import Evidence
from fewshot.fitted.explanation import Explanation
from fewshot.fitted.hub import fetched, push
from fewshot.fitted.memory import Memory
from fewshot.fitted.predictions import Predictions
from fewshot.fitted.rejection import Rejection
from fewshot.fitted.saved import DESCRIPTION, read_classifier, write_classifier
from fewshot.housekeeping.personal import mask_personal_data
from fewshot.learners.learner import Classifier

_CHUNK = 1024  # texts that the classifier scores at once, to bound its memory


@dataclass(frozen=True)
class TextClassifier:
    """A fitted, immutable classifier.

    Args:
        encoder: text → features; with trained weights if it was tuned.
        classifier: on unit features, a batch of one episode whose ways are the labels.
        labels: the user's label of each class.
        temperature: divides logits for calibrated probabilities.
        details: of the fit, as JSON can hold it: `stage`, accuracies on held-out texts, and so on.
        evidence: the texts that it was fitted on; None: it cannot explain its predictions.
        nonconformity: of held-out texts, ascending, see `prediction_sets`; None: it gives no sets.
        confidences: probabilities of the predicted labels of held-out texts, ascending; None: unknown.
        rejection: rejects texts that belong to no class; None rejects nothing.
        reject_label: the label of a rejected text.
        thresholds: of the probability of each label, if a text can have several labels or none; None: it has one.
        mask_personal_data: True if personal data is masked in every text, as it was in the support.
        memory: the state that `fewshot.continual` keeps of old texts; None: it has not learnt on.
    """

    encoder: Encoder
    classifier: Classifier
    labels: tuple[str | int, ...]
    temperature: float = 1.0
    details: Mapping[str, Any] = field(default_factory=dict)
    evidence: Evidence | None = field(default=None, repr=False)
    nonconformity: Float[Tensor, " n_held"] | None = field(default=None, repr=False)
    confidences: Float[Tensor, " n_held"] | None = field(default=None, repr=False)
    rejection: Rejection | None = field(default=None, repr=False)
    reject_label: str | int | None = None
    thresholds: Float[Tensor, " n_classes"] | None = field(default=None, repr=False)
    mask_personal_data: bool = False
    memory: Memory | None = field(default=None, repr=False)

    @property
    def long_texts(self) -> str:
        """The encoder's setting for long texts, see `EncoderSettings`."""
        return self.encoder.long_texts

    def logits(self, texts: Iterable[str]) -> Float[Tensor, "n_texts n_classes"]:
        """Logits of each label for each text, not yet divided by the temperature; float32 on the CPU."""
        if self.long_texts != "chunk_max":
            return self._logits(self.features(texts))
        pieces, counts = self._pieces(texts)
        logits = self._logits(pieces)
        if len(counts) == len(logits):
            return logits
        return torch.stack([of_text.amax(0) for of_text in logits.split(counts)])

    def predict_proba(self, texts: Iterable[str]) -> Float[Tensor, "n_texts n_classes"]:
        """Calibrated probability of each label for each text; rows sum to 1 unless there are thresholds."""
        return self._probabilities(self.logits(texts))

    def predict(self, texts: Iterable[str]) -> list[Any]:
        """The most probable label of each text, or `reject_label`; with thresholds a tuple of all that reach theirs."""
        labels: list[Any] = []
        for logits, rejected in self._scored(texts):
            if self.thresholds is not None:
                labels += chosen_labels(self.labels, self._probabilities(logits) >= self.thresholds)
                continue
            is_rejected = [False] * len(logits) if rejected is None else rejected.tolist()
            best = zip(logits.argmax(-1).tolist(), is_rejected, strict=True)
            labels += [self.reject_label if out else self.labels[number] for number, out in best]
        return labels

    def predictions(self, texts: Iterable[str]) -> Predictions:
        """Label, probability and runner-up of each text, and True if it is rejected."""
        return self._predictions(self._scored(texts))

    def predictions_from(self, features: Float[Tensor, "n_texts dim"]) -> Predictions:
        """Like `predictions`, from the result of `features`; not with `long_texts="chunk_max"`."""
        return self._predictions(self._scored_parts(features))

    def predict_set(self, texts: Iterable[str], coverage: float = 0.9) -> list[tuple[str | int, ...]]:
        """A set of labels for each text that has the right one with probability `coverage`, the most probable first.

        The probability holds on average for new texts of the same kind as those of the support. If the support is too
        small, all labels are in the set.

        Args:
            texts: to classify.
            coverage: share of texts whose set has the right label.

        Raises:
            ConfigError: a coverage outside 0 to 1, a classifier that was fitted without held-out texts, or one that
                gives several labels.
        """
        if self.thresholds is not None:
            raise ConfigError(
                "The classifier gives a text several labels, and a set that holds one right label is for texts that "
                "have one. Use predict_proba."
            )
        if self.nonconformity is None:
            raise ConfigError(
                "The classifier has no scores of texts held out, which sets of labels need. Expected one that "
                "FewShotClassifier fitted, on two texts or more of some class, and that has not learnt on since. Fit "
                "it so."
            )
        largest = prediction_sets.threshold(self.nonconformity, float(coverage))
        probabilities = self.predict_proba(texts)
        chosen = prediction_sets.members(probabilities, largest)
        order = probabilities.argsort(1, descending=True)
        return [
            tuple(self.labels[number] for number in ranked if inside[number])
            for ranked, inside in zip(order.tolist(), chosen.tolist(), strict=True)
        ]

    def explain(self, text: str, label: str | int | None = None) -> Explanation:
        """The contributions of support texts and label names to the score of a label; a table in a notebook.

        Args:
            text: one text.
            label: whose score is explained; None is the most probable label.

        Raises:
            ConfigError: there is no such label, or the classifier was saved without its evidence.
        """
        features = self._pieces([text])[0] if self.long_texts == "chunk_max" else self.features([text])
        return self.explanation_from(features, text, label)

    def explanation_from(
        self, features: Float[Tensor, "n_pieces dim"], text: str, label: str | int | None = None
    ) -> Explanation:
        """Like `explain`, from the unit features of the text or of its pieces."""
        if self.evidence is None:
            raise ConfigError("The classifier does not hold what it was fitted on, so it cannot explain. Fit it again.")
        pieces = self._logits(features)
        logits = pieces.amax(0)
        if label is not None and label not in self.labels:
            known = ", ".join(map(repr, self.labels[:20]))
            raise ConfigError(f"Got the label {label!r}, expected one of {known}. Leave it out for the most probable.")
        number = int(logits.argmax()) if label is None else self.labels.index(label)
        probability = float(self._probabilities(logits)[number])
        piece = int(pieces[:, number].argmax())
        features = features[piece : piece + 1]  # the piece that decided
        return self.evidence.explained(
            self._attribution, features, self.masked([text])[0], number, probability, float(logits[number])
        )

    def features(self, texts: Iterable[str]) -> Float[Tensor, "n_texts dim"]:
        """Unit features of whole texts, the input of the classifier."""
        with self._read(texts) as read:
            return unit_features(self.encoder, read)

    def embed(self, texts: Iterable[str]) -> Float[Tensor, "n_texts metric_dim"]:
        """Texts in the space of the classifier's metric, the Euclidean distance."""
        with torch.no_grad():
            return self.classifier.metric(self.features(texts)[None])[0]

    def cuts_reported(self, texts: Sequence[str]) -> AbstractContextManager[None]:
        """Warn once of the number of texts that lose their end, see `Encoder.cuts_reported`."""
        return self.encoder.cuts_reported(texts)

    def masked(self, texts: list[str]) -> list[str]:
        """The texts with personal data masked, if the classifier does so.

        Raises:
            ConfigError: personal data is to be masked, and presidio-analyzer is not installed.
        """
        return mask_personal_data(texts)[0] if self.mask_personal_data else texts

    def distill(
        self, texts: Iterable[str] | None = None, student: Any = "static", *, seed: int = 0
    ) -> "TextClassifier":
        """Distil the classifier into one with a small encoder, by texts without labels, see `fewshot.distill`.

        Args:
            texts: of the task, without labels; None: the student has general vectors.
            student: a name of `fewshot.distill.STUDENTS`, or an instance with other settings.
            seed: of random draws.
        """
        from fewshot import distill  # it imports this module

        distilled: TextClassifier = distill.distill(self, texts, student, seed=seed)
        return distilled

    def without_cache(self) -> "TextClassifier":
        """The same classifier without a cache of features."""
        return replace(self, encoder=self.encoder.replace(cache=None))

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the classifier: safetensors, JSON and a model card. Read it with `TextClassifier.from_pretrained`.

        The folder has the encoder's trained weights, which peft can read if they are LoRA, but not the published ones.
        It also has the texts of the support, by which predictions are explained.

        Args:
            folder: made if absent; an earlier classifier in it is replaced once the new one is whole.

        Raises:
            StorageError: the folder cannot be written, or holds something else; its content is unchanged.
        """
        write_classifier(folder, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_pretrained(cls, folder: Path | str, encoder: Encoder | None = None) -> "TextClassifier":
        """Read a classifier that `save_pretrained` wrote; on the same machine its logits are identical.

        Args:
            folder: its folder, or its id on the Hugging Face hub.
            encoder: of the same published model and settings, to use instead of a new one, with its device, precision
                and cache.

        Raises:
            ConfigError: the folder holds no classifier, or the encoder is another one.
            EncoderError: the trained weights cannot be read.
        """
        return cls(**read_classifier(fetched(folder, DESCRIPTION), encoder))

    def export(self, folder: Path | str, format: str = "onnx", int8: bool = False) -> None:
        """Write the classifier as one graph from token ids to logits, with its tokenizer.

        It runs without torch: `ExportedClassifier.from_pretrained` reads it, and so does the program in its README. It
        has no texts and explains no predictions.

        Args:
            folder: made if absent; an earlier export in it is replaced once the new one is whole.
            format: `"onnx"` or `"openvino"`.
            int8: weights in 8 bits, a quarter of the size; probabilities change a little.

        Raises:
            ConfigError: there is no such format, a package is missing, or the classifier cannot be one graph (its
                encoder reads long texts in pieces, or has preprocessing that cannot be exported).
            StorageError: the folder cannot be written, or holds something else; its content is unchanged.
        """
        from fewshot.export import write_exported

        write_exported(folder, format, int8, **{field.name: getattr(self, field.name) for field in fields(self)})

    def push_to_hub(self, repository: str, *, private: bool = True, token: str | None = None) -> str:
        """Save the classifier to a repository of the Hugging Face hub, made if absent, and return its address."""
        return push(self.save_pretrained, repository, private, token)

    @cached_property
    def _attribution(self) -> Attribution:
        assert self.evidence is not None
        return self.evidence.attribution(self.classifier)

    def _pieces(self, texts: Iterable[str]) -> tuple[Float[Tensor, "n_pieces dim"], list[int]]:
        with self._read(texts) as read:
            return self.encoder.encode_pieces(read)

    @contextmanager
    def _read(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """The masked texts as a list, with warnings of cut texts and foreign languages."""
        read = self.masked(checked_texts(texts))
        warn_of_language(self.encoder.model, read, once=True)
        with self.encoder.cuts_reported(read):
            yield read

    def _probabilities(self, logits: Float[Tensor, "*n_texts n_classes"]) -> Float[Tensor, "*n_texts n_classes"]:
        scaled = logits / self.temperature
        return scaled.softmax(-1) if self.thresholds is None else scaled.sigmoid()

    def _scored(self, texts: Iterable[str]) -> Iterator[tuple[Tensor, Bool[Tensor, " n_part"] | None]]:
        """Logits, and True for rejected texts, part by part: many texts and classes make a large matrix."""
        read = checked_texts(texts)
        if self.long_texts == "chunk_max":
            yield self.logits(read), None if self.rejection is None else self._rejected(self.features(read))
            return
        yield from self._scored_parts(self.features(read))

    def _scored_parts(
        self, features: Float[Tensor, "n_texts dim"]
    ) -> Iterator[tuple[Tensor, Bool[Tensor, " n_part"] | None]]:
        for part in features.split(_CHUNK):
            yield self._logits(part), self._rejected(part)

    def _predictions(self, scored: Iterator[tuple[Tensor, Bool[Tensor, " n_part"] | None]]) -> Predictions:
        logits, rejected = zip(*scored, strict=True)
        masks = [part for part in rejected if part is not None]
        return Predictions(
            labels=self.labels,
            probabilities=self._probabilities(torch.cat(logits)).numpy(),
            rejected=torch.cat(masks).numpy() if masks else None,
            thresholds=None if self.thresholds is None else self.thresholds.numpy(),
        )

    def _rejected(self, features: Float[Tensor, "n_texts dim"]) -> Bool[Tensor, " n_texts"] | None:
        if self.rejection is None:
            return None
        with torch.no_grad():
            return self.rejection.rejected(self.classifier.metric(features[None])[0])

    def _logits(self, features: Float[Tensor, "n_texts dim"]) -> Float[Tensor, "n_texts n_classes"]:
        with torch.no_grad():
            return torch.cat([self.classifier.logits(part[None])[0] for part in features.split(_CHUNK)])
