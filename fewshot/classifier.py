"""The front door: a scikit-learn classifier of texts, from a handful of examples of each label."""

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
        meta_model: a `MetaModel`, the folder of one (`outputs/...` of a run), or its id on the hub; None takes the
            published encoder as it is.
        encoder: an `Encoder`, or a folder or hub id of a sentence-transformers model; None is the bundled MiniLM. Not
            beside `meta_model`, which brings its own.
        adapter: what meta-training on other data sets has changed in the encoder: `"auto"` chooses one of those that
            come with the package, and its strength, where texts left out say that it surely helps, see `AdapterChoice`
            (with several labels it chooses none); a name, a folder or a hub id is one; None is none.
        label_names: label → words that describe it, which count as one more text of the class; `"auto"` reads them from
            the labels where all are words; None goes by the texts alone.
        descriptions: label → a sentence that stands behind the label's name.
        stage: what is tuned on the texts; `"auto"` goes by the number of texts of the largest class (see `Ladder`): a
            head from two on, LoRA from 51 on, all weights from 501 on, each kept if texts held out say that it pays.
        reject: share of texts of the known labels that may be rejected as none of these, such as 0.05; or texts that
            are of no label, to tell such texts by (20 or more); None rejects nothing.
        reject_label: what `predict` gives for a rejected text.
        random_state: seed of what is held out and tuned.
        multi_label: whether a text can have several labels or none; `"auto"` sees it in the labels given to `fit`:
            lists of them, a matrix of zeros and ones, or strings such as `"late|broken"` whose parts stand alone
            elsewhere.
        long_texts: what is read of a text of more tokens than the encoder reads at once: `"cut"` its beginning, with a
            warning; `"chunk"` all of it in pieces, of which the mean counts; `"chunk_max"` likewise, and for a label
            the piece that fits best. None is as the encoder has it, which is `"cut"` unless set.
        mask_personal_data: mask mail addresses, phones, IBANs, cards and ids in every text, also of predictions, before
            it is encoded or kept; labels stay as they are. Needs the extra `check`.

    Attributes:
        classes_: labels, sorted.
        multi_label_: whether `predict` gives several labels.
        model_: the fitted `TextClassifier`.
        held_out_: the texts that were held out in turn, and what they were taken for; None if `fit` held out none.

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
        """Fit to labelled texts, all of them; parts are held out only to decide and to calibrate.

        Args:
            X: texts: a list, an array, or a column of pandas or polars.
            y: the label of each: strings or whole numbers; or the labels of each, see `multi_label`.

        Raises:
            ConfigError: a parameter out of range.
            TaskError: fewer than two labels, a label that is neither a string nor a whole number, something that is no
                text.
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
        """Learn more texts, of known labels or new ones, in milliseconds; what `fit` decided stays.

        On the same texts it gives the classifier that `fit` gives if that decides the same.
        """
        if not hasattr(self, "model_"):
            return self.fit(X, y)
        labels = label_sets(y, True) or [] if self.multi_label_ else as_list(y, "y")
        return self._fitted(with_texts(self.model_, as_list(X, "X"), labels, self.label_names, self.descriptions))

    def forget(self, label: Any) -> "FewShotClassifier":
        """Leave a label and the texts that have no other out from now on.

        Raises:
            ConfigError: there is no such label.
        """
        check_is_fitted(self)
        return self._fitted(without_label(self.model_, label))

    def learn_on(self, X: Iterable[str], y: Iterable[Any], method: str = "prototypes") -> "FewShotClassifier":
        """Learn more texts, of known labels or new ones, from what was kept of the old ones, see `fewshot.continual`.

        Args:
            X: texts.
            y: the label of each.
            method: `"prototypes"` trains nothing: class sums and one covariance, exact in any order, no text kept;
                `"freeze"` tunes the head's rows of the labels that have new texts; `"replay"` keeps 20 texts of each
                label and tunes the head again; `"ewc"` trains the encoder, held where the old texts need it.

        After it `explain` and `partial_fit` have no texts to go by, except with `"replay"`.

        Raises:
            ConfigError: no such method, several labels, or a method that cannot go on from what another one kept.
        """
        check_is_fitted(self)
        labels = as_list(y, "y")
        names = described_names(labels, self.label_names, self.descriptions) or {}
        new = NewTexts(as_list(X, "X"), labels, names)
        return self._fitted(learn_on(self.model_, new, method, self.random_state))

    def distill(self, texts: Iterable[str] | None = None, student: Any = "static") -> "FewShotClassifier":
        """A classifier with a small encoder that learnt from this one, see `TextClassifier.distill`."""
        check_is_fitted(self)
        own = None if texts is None else as_list(texts, "texts")
        other = clone(self)
        other.indicator_ = self.indicator_
        return other._fitted(self.model_.distill(own, student, seed=self.random_state))

    def predict(self, X: Iterable[str]) -> np.ndarray:
        """The label of each text, `reject_label` where it seems to be of none.

        With several labels an array of tuples, or a matrix if `fit` was given one.
        """
        check_is_fitted(self)
        found = self.model_.predict(as_list(X, "X"))
        if not self.multi_label_:
            return np.asarray(found, dtype=self.classes_.dtype if self.model_.rejection is None else object)
        return as_array(found, self.classes_.tolist() if self.indicator_ else None)

    def score(self, X: Iterable[str], y: Iterable[Any], sample_weight: Any = None) -> float:
        """Share of texts whose label is right; with several labels, of those whose labels are all right and no more.

        A rejected text counts as wrong.
        """
        check_is_fitted(self)
        said = self.model_.predict(as_list(X, "X"))
        if self.multi_label_:
            right = [set(own) == set(other) for own, other in zip(said, label_sets(y, True) or [], strict=True)]
        else:
            right = [own == other for own, other in zip(said, as_list(y, "y"), strict=True)]
        return float(np.average(right, weights=sample_weight))

    def predict_proba(self, X: Iterable[str]) -> np.ndarray:
        """Calibrated probability of each label, `[n_texts, n_classes]`, in the order of `classes_`.

        They add up to 1 unless a text can have several labels.
        """
        check_is_fitted(self)
        return self.model_.predict_proba(as_list(X, "X")).double().numpy()

    def decision_function(self, X: Iterable[str]) -> np.ndarray:
        """Logits `[n_texts, n_classes]`; for two labels the difference of the second to the first, `[n_texts]`.

        With several labels the distance to the threshold of each: above 0 the text has the label.
        """
        check_is_fitted(self)
        logits = self.model_.logits(as_list(X, "X")).double()
        if self.model_.thresholds is not None:
            return (logits / self.model_.temperature - self.model_.thresholds.logit()).numpy()
        return (logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits).numpy()

    def predict_set(self, X: Iterable[str], coverage: float = 0.9) -> list[tuple[Any, ...]]:
        """The labels among which the right one is as often as asked, see `TextClassifier.predict_set`."""
        check_is_fitted(self)
        return self.model_.predict_set(as_list(X, "X"), coverage)

    def explain(self, text: str, label: Any = None) -> Explanation:
        """What decided on a text, see `TextClassifier.explain`."""
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
        """A fitted classifier, for what only this class does: to learn more and to forget."""
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
