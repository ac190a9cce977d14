"""The runtime of an exported classifier: NumPy, tokenizers and onnxruntime or OpenVINO, without torch."""

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from fewshot.encoders.languages import warn_of_language
from fewshot.encoders.texts import by_tokens, checked_texts
from fewshot.episodes.label_sets import chosen_labels
from fewshot.errors import ConfigError
from fewshot.export.description import LOGITS, SCORE, Description, is_exported, read_description
from fewshot.export.engines import Engine, load_engine
from fewshot.export.token_arrays import cut_into_tokens, load_tokenizer
from fewshot.fitted.predictions import Predictions
from fewshot.housekeeping.personal import mask_personal_data

log = logging.getLogger(__name__)

_TOKENS_PER_BATCH = 1024  # with padding
_CHUNK = 8192  # texts whose tokens are in memory at once
_reported: set[str] = set()  # classifiers whose cuts were reported in this process


@dataclass(frozen=True)
class ExportedClassifier:
    """A fitted classifier that `TextClassifier.export` wrote; its predictions are those of the original.

    Args:
        description: labels, temperature, thresholds, and how texts are read.
        tokenizer: of the `tokenizers` library.
        engine: inputs of a batch → outputs of the graph.

    Example:
        >>> import fewshot
        >>> classifier = fewshot.ExportedClassifier.from_pretrained("exported")  # doctest: +SKIP
        >>> classifier.predict(["My card is lost"])  # doctest: +SKIP
        ['card']
    """

    description: Description
    tokenizer: Any = field(repr=False)
    engine: Engine = field(repr=False)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> "ExportedClassifier":
        """Read what `TextClassifier.export` wrote.

        Raises:
            ConfigError: the folder holds no exported classifier, or a damaged one; its runtime is not installed.
        """
        folder = Path(folder).expanduser()
        if not is_exported(folder):
            raise ConfigError(
                f"{str(folder)!r} holds no exported classifier (no export.json). Expected a folder that `fewshot "
                f"export` wrote. Correct the name."
            )
        description = read_description(folder)
        return cls(description, load_tokenizer(folder), load_engine(folder, description))

    @property
    def labels(self) -> tuple[str | int, ...]:
        """The user's label of each class."""
        return self.description.labels

    def logits(self, texts: Iterable[str]) -> Float[np.ndarray, "n_texts n_classes"]:
        """Logits of each label for each text, not yet divided by the temperature; float32."""
        return self._outputs(texts)[0]

    def predict_proba(self, texts: Iterable[str]) -> Float[np.ndarray, "n_texts n_classes"]:
        """Calibrated probability of each label for each text; without thresholds they add up to 1."""
        return self._probabilities(self.logits(texts))

    def predict(self, texts: Iterable[str]) -> list[Any]:
        """The most probable label of each text, or `reject_label`; with thresholds a tuple of all that reach theirs."""
        predictions = self.predictions(texts)
        if predictions.thresholds is not None:
            return list(chosen_labels(self.labels, predictions.probabilities >= predictions.thresholds))
        return [self.description.reject_label if each.rejected else each.label for each in predictions]

    def predictions(self, texts: Iterable[str]) -> Predictions:
        """Label, probability, rejection and runner-up of each text."""
        logits, rejected = self._outputs(texts)
        return Predictions(self.labels, self._probabilities(logits), rejected, self._thresholds)

    def cuts_reported(self, texts: Iterable[str]) -> AbstractContextManager[None]:
        """As for `TextClassifier`; does nothing, since cut texts are reported once in a process."""
        return nullcontext()

    @property
    def _thresholds(self) -> Float[np.ndarray, " n_classes"] | None:
        thresholds = self.description.thresholds
        return None if thresholds is None else np.array(thresholds, dtype=np.float32)

    def _probabilities(self, logits: Float[np.ndarray, "n_texts n_classes"]) -> Float[np.ndarray, "n_texts n_classes"]:
        scaled = logits / np.float32(self.description.temperature)
        if self.description.thresholds is not None:
            return (1 + np.tanh(scaled / 2)) / 2
        powers = np.exp(scaled - scaled.max(1, keepdims=True, initial=-np.inf))
        return powers / powers.sum(1, keepdims=True)

    def _outputs(
        self, texts: Iterable[str]
    ) -> tuple[Float[np.ndarray, "n_texts n_classes"], Bool[np.ndarray, " n_texts"] | None]:
        """Logits, and True for rejected texts; each distinct text is read once, in batches of similar length."""
        checked = checked_texts(texts)
        if self.description.mask_personal_data:
            checked = mask_personal_data(checked)[0]
        warn_of_language(self.description.model, checked, once=True)
        distinct = list(dict.fromkeys(checked))
        index = {text: i for i, text in enumerate(distinct)}
        logits = np.empty((len(distinct), len(self.labels)), dtype=np.float32)
        scores = np.empty(len(distinct), dtype=np.float32)
        for start in range(0, len(distinct), _CHUNK):
            tokens = cut_into_tokens(self.tokenizer, distinct[start : start + _CHUNK], self.description)
            self._warn_of_cuts(tokens.n_truncated)
            for batch in by_tokens(tokens.lengths, _TOKENS_PER_BATCH):
                outputs, rows = self.engine(tokens.batch(batch)), start + np.array(batch)
                logits[rows] = outputs[LOGITS]
                if SCORE in outputs:
                    scores[rows] = outputs[SCORE]
        order = np.array([index[text] for text in checked], dtype=np.int64)
        below = self.description.rejects_below
        return logits[order], None if below is None else (scores < np.float32(below))[order]

    def _warn_of_cuts(self, n_truncated: int) -> None:
        if n_truncated and self.description.source not in _reported:
            _reported.add(self.description.source)
            log.warning(
                f"{n_truncated} texts are longer than the {self.description.max_length} tokens that the classifier "
                f"reads, and what is behind them is cut off. Split long texts, or fit and export the classifier with "
                f"a larger encoder.max_length."
            )
