"""A scikit-learn classifier of texts, from a handful of examples of each label."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from fewshot.adaptation.more_texts import with_texts, without_label
from fewshot.adaptation.refit import HeldOut, calibrated, out_of_fold
from fewshot.continual import NewTexts, learn_on
from fewshot.encoders import Encoder, SentenceTransformerEncoder
from fewshot.encoders.languages import warn_of_language
from fewshot.encoders.texts import checked_texts
from fewshot.episodes.columns import as_list
from fewshot.episodes.label_names import described_names
from fewshot.episodes.multi_labelled import MultiLabelledTexts, as_array, is_indicator, label_sets
from fewshot.episodes.supports import support_of
from fewshot.errors import ConfigError
from fewshot.fitted.explanation import Explanation
from fewshot.housekeeping import mask_personal_data
from fewshot.meta_model import MetaModel
from fewshot.ranges import one_of
from fewshot.tasks.task import text_digests
from fewshot.text_classifier import TextClassifier

log = logging.getLogger(__name__)

STAGES = ("auto", "prototypes", "head", "light", "lora", "adapter", "full")


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """A text classifier from a handful of labelled texts per class.

    Parameters are stored untouched and checked in `fit`.

    Args:
        meta_model: a `MetaModel`, the folder of one (`outputs/...` of a run), or its id on the hub; None is the
            published encoder with nearest centroids.
        encoder: an `Encoder`, or a folder or hub id of a sentence-transformers model; None is the bundled MiniLM. Not
            together with `meta_model`, which has its own.
        adapter: an update of the encoder, meta-trained on other data sets: `"auto"` chooses one of those that come with
            the package, and its strength, if it surely helps on texts left out, see `AdapterChoice` (none with several
            labels); a name, a folder or a hub id; None is none.
        label_names: label → words that describe it, used like a text of the class; `"auto"` reads them from the labels
            if all are words; None uses the texts alone.
        descriptions: label → a sentence that is put behind the label's name.
        stage: the part that is tuned on the texts; `"auto"` goes by the number of texts of the largest class (see
            `Ladder`): a head from two on, LoRA from 51 on, all weights from 501 on, each kept only if it is better on
            held-out texts.
        reject: share of texts of the known labels that may be rejected as none of these, such as 0.05; or 20 or more
            texts without a label, by which a threshold is tuned; None rejects nothing.
        reject_label: the result of `predict` for a rejected text.
        random_state: seed of held-out parts and tuning.
        multi_label: True if a text can have several labels or none; `"auto"` reads it from the labels given to `fit`:
            lists of labels, a matrix of zeros and ones, or strings such as `"late|broken"` whose parts are alone
            elsewhere.
        long_texts: for texts with more tokens than the encoder's limit: `"cut"` reads the beginning, with a warning;
            `"chunk"` reads all of it in pieces and takes their mean; `"chunk_max"` too, and for each label takes the
            piece that fits best. None is the encoder's setting, which is `"cut"` unless set.
        mask_personal_data: mask mail addresses, phones, IBANs, cards and ids in every text, also of predictions, before
            it is encoded or kept; labels are not masked. Needs the extra `check`.

    Attributes:
        classes_: labels, sorted.
        multi_label_: True if `predict` gives several labels.
        model_: the fitted `TextClassifier`.
        held_out_: the texts that were held out in turn, and their scores; None if `fit` held out none.

    Example:
        >>> texts = ["my card is lost", "card stolen", "what do I own", "how much is on my account"]
        >>> classifier = FewShotClassifier().fit(texts, ["card", "card", "balance", "balance"])
        >>> classifier.predict(["I lost my bank card"]).tolist()
        ['card']
        >>> labels = ["card", "card", "balance", "balance", "card|balance"]
        >>> several = FewShotClassifier().fit([*texts, "my card is lost, what do I own"], labels)
        >>> several.predict(["I lost my bank card"]).tolist()
        [('card',)]
    """

    def __init__(
        self,
        meta_model: MetaModel | Path | str | None = None,
        *,
        encoder: Encoder | str | None = None,
        adapter: Path | str | None = "auto",
        label_names: Mapping[Any, str] | str | None = "auto",
        descriptions: Mapping[Any, str] | None = None,
        stage: str = "auto",
        reject: float | Sequence[str] | None = None,
        reject_label: str | int | None = None,
        random_state: int = 0,
        multi_label: bool | str = "auto",
        long_texts: str | None = None,
        mask_personal_data: bool = False,
    ):
        self.meta_model = meta_model
        self.encoder = encoder
        self.adapter = adapter
        self.label_names = label_names
        self.descriptions = descriptions
        self.stage = stage
        self.reject = reject
        self.reject_label = reject_label
        self.random_state = random_state
        self.multi_label = multi_label
        self.long_texts = long_texts
        self.mask_personal_data = mask_personal_data

    def fit(self, X: Iterable[str], y: Iterable[Any]) -> "FewShotClassifier":
        """Fit to all labelled texts; parts are held out only to decide and to calibrate.

        Args:
            X: texts: a list, an array, or a column of pandas or polars.
            y: the label of each: strings or whole numbers; or the labels of each, see `multi_label`.

        Raises:
            ConfigError: a parameter out of range.
            TaskError: fewer than two labels, a label that is neither a string nor a whole number, or a text that is no
                string.
        """
        texts = self._masked(checked_texts(as_list(X, "X")))
        support = support_of(texts, y, self.label_names, self.descriptions, self.multi_label)
        if isinstance(support, MultiLabelledTexts) and self.reject is not None:
            raise ConfigError("Got reject= for texts with several labels, where one of none gets none. Leave it out.")
        model = self._meta_model()
        if model.encoder.trained is not None:
            model.encoder.trained.warn_of_seen(text_digests(texts))
        warn_of_language(model.encoder.model, texts)
        with model.encoder.cuts_reported(texts):
            adapted = model.with_evidence(model.adapt_to(support, self.random_state), support)
            if "adapter" in adapted.details:
                log.info(adapted.details["adapter"]["sentence"])
            held = None if adapted.thresholds is not None else out_of_fold(adapted, self.random_state)
            if held is not None:
                adapted = replace(calibrated(adapted, held, self._reject()), reject_label=self.reject_label)
        self.indicator_ = is_indicator(y)
        return self._fitted(replace(adapted, mask_personal_data=self.mask_personal_data), held)

    def partial_fit(self, X: Iterable[str], y: Iterable[Any]) -> "FewShotClassifier":
        """Add texts, of known labels or new ones, in milliseconds; the decisions of `fit` stay.

        The result equals that of `fit` on all texts, if `fit` decides the same on them.
        """
        if not hasattr(self, "model_"):
            return self.fit(X, y)
        labels = label_sets(y, True) or [] if self.multi_label_ else as_list(y, "y")
        return self._fitted(with_texts(self.model_, as_list(X, "X"), labels, self.label_names, self.descriptions))

    def forget(self, label: Any) -> "FewShotClassifier":
        """Remove a label, and the texts that have no other.

        Raises:
            ConfigError: there is no such label.
        """
        check_is_fitted(self)
        return self._fitted(without_label(self.model_, label))

    def learn_on(self, X: Iterable[str], y: Iterable[Any], method: str = "prototypes") -> "FewShotClassifier":
        """Learn new texts, of known labels or new ones, without the old texts, see `fewshot.continual`.

        Args:
            X: texts.
            y: the label of each.
            method: `"prototypes"` trains nothing: class sums and one covariance, exact in any order, no text kept;
                `"freeze"` tunes the head's rows of the labels that have new texts; `"replay"` keeps 20 texts of each
                label and tunes the head again; `"ewc"` trains the encoder by elastic weight consolidation.

        `explain` and `partial_fit` cannot be used afterwards, except with `"replay"`.

        Raises:
            ConfigError: no such method, several labels, or a method that lacks the state that it needs.
        """
        check_is_fitted(self)
        labels = as_list(y, "y")
        names = described_names(labels, self.label_names, self.descriptions) or {}
        new = NewTexts(as_list(X, "X"), labels, names)
        return self._fitted(learn_on(self.model_, new, method, self.random_state))

    def distill(self, texts: Iterable[str] | None = None, student: Any = "static") -> "FewShotClassifier":
        """Distil the classifier into one with a small encoder, see `TextClassifier.distill`."""
        check_is_fitted(self)
        texts = None if texts is None else as_list(texts, "texts")
        other = clone(self)
        other.indicator_ = self.indicator_
        return other._fitted(self.model_.distill(texts, student, seed=self.random_state))

    def predict(self, X: Iterable[str]) -> np.ndarray:
        """The label of each text, `reject_label` for a rejected one.

        With several labels an array of tuples, or a matrix if `fit` got one.
        """
        check_is_fitted(self)
        labels = self.model_.predict(as_list(X, "X"))
        if not self.multi_label_:
            return np.asarray(labels, dtype=self.classes_.dtype if self.model_.rejection is None else object)
        return as_array(labels, self.classes_.tolist() if self.indicator_ else None)

    def score(self, X: Iterable[str], y: Iterable[Any], sample_weight: Any = None) -> float:
        """Share of texts whose label is right; with several labels, whose set of labels is right.

        A rejected text counts as wrong.
        """
        check_is_fitted(self)
        predicted = self.model_.predict(as_list(X, "X"))
        if self.multi_label_:
            right = [set(p) == set(labels) for p, labels in zip(predicted, label_sets(y, True) or [], strict=True)]
        else:
            right = [p == label for p, label in zip(predicted, as_list(y, "y"), strict=True)]
        return float(np.average(right, weights=sample_weight))

    def predict_proba(self, X: Iterable[str]) -> np.ndarray:
        """Calibrated probability of each label, `[n_texts, n_classes]`, in the order of `classes_`.

        Each row sums to 1 unless a text can have several labels.
        """
        check_is_fitted(self)
        probabilities = self.model_.predict_proba(as_list(X, "X")).double().numpy()
        return probabilities if self.multi_label_ else probabilities / probabilities.sum(1, keepdims=True)

    def decision_function(self, X: Iterable[str]) -> np.ndarray:
        """Logits `[n_texts, n_classes]`; for two labels that of the second minus that of the first, `[n_texts]`.

        With several labels the difference to the threshold of each: above 0 the text has the label.
        """
        check_is_fitted(self)
        logits = self.model_.logits(as_list(X, "X")).double()
        if self.model_.thresholds is not None:
            return (logits / self.model_.temperature - self.model_.thresholds.logit()).numpy()
        return (logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits).numpy()

    def predict_set(self, X: Iterable[str], coverage: float = 0.9) -> list[tuple[Any, ...]]:
        """Labels that include the right one with a probability, see `TextClassifier.predict_set`."""
        check_is_fitted(self)
        return self.model_.predict_set(as_list(X, "X"), coverage)

    def explain(self, text: str, label: Any = None) -> Explanation:
        """The texts that decide on the label of a text, see `TextClassifier.explain`."""
        check_is_fitted(self)
        return self.model_.explain(text, label)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the classifier to a folder, see `TextClassifier.save_pretrained`."""
        check_is_fitted(self)
        self.model_.save_pretrained(folder)

    def push_to_hub(self, repository: str, *, private: bool = True, token: str | None = None) -> str:
        """Upload the classifier to the Hugging Face hub, see `TextClassifier.push_to_hub`."""
        check_is_fitted(self)
        return self.model_.push_to_hub(repository, private=private, token=token)

    @classmethod
    def from_pretrained(cls, folder: Path | str, encoder: Encoder | None = None) -> "FewShotClassifier":
        """Read what `save_pretrained` wrote, see `TextClassifier.from_pretrained`."""
        return cls.of(TextClassifier.from_pretrained(folder, encoder))

    @classmethod
    def of(cls, model: TextClassifier) -> "FewShotClassifier":
        """From a fitted `TextClassifier`, to learn more texts and to forget labels."""
        return cls()._fitted(model)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.classifier_tags.multi_label = True
        return tags

    def _fitted(self, model: TextClassifier, held: HeldOut | None = None) -> "FewShotClassifier":
        self.model_ = model
        self.held_out_ = held
        self.multi_label_ = model.thresholds is not None
        self.indicator_ = vars(self).get("indicator_", False)
        mixed = len({isinstance(label, str) for label in model.labels}) > 1
        self.classes_ = np.array(model.labels, dtype=object if mixed else None)
        return self

    def _reject(self) -> float | Sequence[str] | None:
        if self.reject is None:
            return None
        if isinstance(self.reject, (float, int)):
            return float(self.reject)
        return self._masked(checked_texts(as_list(self.reject, "reject")))

    def _masked(self, texts: list[Any]) -> list[Any]:
        if not self.mask_personal_data:
            return texts
        masked, counts = mask_personal_data(texts)
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common()) or "none found"
        log.info(f"Masked personal data: {kinds}. It is masked in new texts as well.")
        return masked

    def _meta_model(self) -> MetaModel:
        if self.stage not in STAGES:
            raise ConfigError(f"Got stage={self.stage!r}, expected {one_of(*STAGES)[1]}. Correct it.")
        if self.meta_model is not None and self.encoder is not None:
            raise ConfigError("Got both meta_model and encoder, but a meta-model brings its own. Leave one out.")
        model = self.meta_model
        if isinstance(model, (str, Path)):
            model = MetaModel.from_pretrained(model)
        if model is None:
            encoder = self.encoder or SentenceTransformerEncoder()
            if isinstance(encoder, str):
                encoder = SentenceTransformerEncoder(encoder)
            model = MetaModel.untrained(encoder, self.adapter)
        if self.long_texts is not None:
            model = model.reading(self.long_texts)
        return model.with_stage(self.stage)
