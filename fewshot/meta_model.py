"""An encoder and a learner, meta-trained or as published: it adapts to labelled texts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.adaptation.final_stage import UNTUNED, FinalStage, by_ladder, default_tuners
from fewshot.adaptation.ladder import Ladder
from fewshot.adaptation.multi_label import MultiLabelTuner
from fewshot.augment.augmenter import SupportAugmentation
from fewshot.bank import AdapterChoice, with_adapter
from fewshot.encoders import Encoder
from fewshot.encoders.described import described_encoder, encoder_from
from fewshot.encoders.trained import RUN_FOLDER, read_trained, write_trained
from fewshot.episodes.labelled import LabelledTexts
from fewshot.episodes.multi_labelled import MultiLabelledTexts
from fewshot.errors import ConfigError
from fewshot.features import TaskFeatures, unit_features
from fewshot.fitted.evidence import Evidence
from fewshot.fitted.hub import fetched
from fewshot.learners import Centroid, Learner
from fewshot.learners.learner import Classifier
from fewshot.learners.maml.encoder_maml import EncoderMAML
from fewshot.learners.saving import check_encoder, frozen, load_learner, save_learner
from fewshot.storage import UNREADABLE, read_sealed, write_sealed
from fewshot.text_classifier import TextClassifier
from fewshot.training.store import Store

FORMAT = 2
DESCRIPTION, _LEARNER = "meta_model.json", "learner"


@dataclass(frozen=True)
class MetaModel:
    """The result of a meta-training: an encoder and a learner that adapt to labelled texts.

    Args:
        encoder: text → features.
        learner: adapts to the features of a support, or through the encoder to its texts; its temperature is
            calibrated on meta-valid classes.
        augmentation: makes new texts of those of a support; None makes none.
        final_stage: tunes on a support; None tunes nothing.
        adapters: chooses an adapter for a support; None chooses none.

    Raises:
        ConfigError: the learner was loaded, and was trained on features of another encoder.
    """

    encoder: Encoder
    learner: Learner | EncoderMAML
    augmentation: SupportAugmentation | None = None
    final_stage: FinalStage | Ladder | None = None
    adapters: AdapterChoice | None = None

    def __post_init__(self) -> None:
        if isinstance(self.learner, Learner) and self.learner.trained_on is not None:
            check_encoder(self.encoder, self.learner.trained_on, "The learner")

    def adapt(
        self,
        texts: Iterable[str],
        labels: Iterable[Any],
        label_names: Mapping[Any, str] | None = None,
        *,
        seed: int = 0,
    ) -> TextClassifier:
        """Fit a classifier to labelled texts.

        Args:
            texts: a list, an array or a column.
            labels: the label of each text: strings or whole numbers.
            label_names: label → readable name, as further evidence; classes that are only here have no text.
            seed: of the tuning.

        Raises:
            TaskError: fewer than two classes, or a label without a name if there are label names.

        Example:
            >>> from fewshot import Centroid, SentenceTransformerEncoder
            >>> encoder = SentenceTransformerEncoder()
            >>> model = MetaModel(encoder, Centroid(dim=encoder.encode(["a text"]).shape[1]))
            >>> model.adapt(["my card is lost", "what is my balance"], ["card", "balance"]).predict(["card stolen"])
            ['card']
        """
        support = LabelledTexts.of(texts, labels, label_names)
        return self.with_evidence(self.adapt_to(support, seed), support)

    def adapt_to(
        self, support: LabelledTexts | MultiLabelledTexts, seed: int = 0, store: Store | None = None
    ) -> TextClassifier:
        """Fit a classifier to a support; arguments as for `adapt`.

        Args:
            support: all labelled texts; with several labels a text, no adapter is chosen and no text is made.
            seed: of the tuning.
            store: for checkpoints and events of trainings; None keeps none.

        Raises:
            ConfigError: several labels a text, for a final stage or a learner that tunes the encoder.
        """
        if isinstance(support, MultiLabelledTexts):
            return self._multi_label(support, seed)
        if self.adapters is not None:
            chosen = self.adapters.choose(support)
            fitted = replace(self, encoder=chosen.encoder, adapters=None).adapt_to(support, seed, store)
            return replace(fitted, details={**fitted.details, "adapter": chosen.details()})
        learner = self.learner
        details = {"stage": UNTUNED[0] if len(support.texts) else UNTUNED[1]}
        if isinstance(learner, EncoderMAML):
            evidence = support.with_names_as_texts()
            encoder, adapted = learner.adapt(evidence.texts, evidence.classes, len(support.labels))
            return TextClassifier(encoder, frozen(adapted), support.labels, float(learner.temperature), details)
        encoded = unit_features(self.encoder, support.with_names_as_texts().texts)
        features = self._features(support, encoded)
        with torch.no_grad():
            classifier = frozen(_adapted(learner, features, support))
        untuned = TextClassifier(
            encoder=self.encoder,
            classifier=classifier,
            labels=support.labels,
            temperature=float(learner.temperature),
            details=details,
            evidence=Evidence(support, encoded, learner),
        )
        final = self.final_stage
        if isinstance(final, Ladder):
            final = by_ladder(final, support, learner, self.encoder)
        if final is None:
            return untuned
        return final.tune(untuned, learner, support, features, support.episode(), seed, store)

    def with_stage(self, stage: str) -> "MetaModel":
        """The same model with a final stage by name; `"auto"` goes by the ladder, `"prototypes"` tunes nothing."""
        if stage in ("auto", "prototypes"):
            return replace(self, final_stage=Ladder() if stage == "auto" else None)
        return replace(self, final_stage=FinalStage(stage, default_tuners()[stage]))

    def reading(self, long_texts: str) -> "MetaModel":
        """The same model with another setting `long_texts` of its encoder, see `Encoder.reading`."""
        encoder = self.encoder.reading(long_texts)
        adapters = None if self.adapters is None else replace(self.adapters, encoder=encoder)
        return replace(self, encoder=encoder, adapters=adapters)

    def save_pretrained(self, folder: Path | str, details: Mapping[str, Any] | None = None) -> None:
        """Write encoder and learner to a folder, which `MetaModel.from_pretrained` and `FewShotClassifier` read.

        The augmentation is not saved.

        Args:
            folder: made if absent; other files in it stay.
            details: kept beside them, as JSON can hold it: the task, shots, and so on.

        Raises:
            StorageError: the folder cannot be written.
        """
        folder, encoder = Path(folder), self.encoder
        described = described_encoder(encoder)
        if encoder.trained is not None:
            write_trained(folder / RUN_FOLDER, encoder.trained, described["settings"])
        save_learner(self.learner, folder / _LEARNER, encoder, details)
        content = {
            "format": FORMAT,
            "encoder": described,
            "trained": None if encoder.trained is None else encoder.trained.digest,
            "details": dict(details or {}),
        }
        write_sealed(folder / DESCRIPTION, content)

    @classmethod
    def untrained(cls, encoder: Encoder, adapter: Path | str | None = None) -> "MetaModel":
        """An encoder with nearest centroids.

        Args:
            encoder: as published.
            adapter: name, folder or hub id of an adapter for it; `"auto"` chooses one for each support.

        Raises:
            ConfigError: there is no such adapter.
            EncoderError: it cannot be read, or belongs to another encoder.
        """
        if adapter not in (None, "auto"):
            encoder = with_adapter(encoder, adapter)
        adapters = AdapterChoice.of(encoder) if adapter == "auto" else None
        return cls(encoder, Centroid(encoder.encode(["a text"]).shape[1]), adapters=adapters)

    @classmethod
    def from_pretrained(cls, folder: Path | str, encoder: Encoder | None = None) -> "MetaModel":
        """Read a model that `save_pretrained` or a run wrote.

        Args:
            folder: its folder, or its id on the Hugging Face hub.
            encoder: the published encoder to use instead of a new one, with its device, precision and cache.

        Raises:
            ConfigError: the folder holds no meta-model, or the encoder is another one.
            EncoderError: the trained weights cannot be read.
        """
        folder = fetched(folder, DESCRIPTION)
        try:
            content = read_sealed(folder / DESCRIPTION)
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}, and this version reads {FORMAT}")
            encoder = encoder or encoder_from(content["encoder"])
            digest = content["trained"]
        except UNREADABLE as error:
            raise ConfigError(
                f"{str(folder)!r} holds no meta-model that can be read ({type(error).__name__}: {error}). Expected "
                f"{DESCRIPTION} as a run writes it. Run the training again."
            ) from error
        if digest is not None:
            encoder = encoder.with_trained(read_trained(folder / RUN_FOLDER))
        learner = load_learner(folder / _LEARNER, encoder)
        return cls(encoder, learner)

    def with_evidence(self, classifier: TextClassifier, support: LabelledTexts | MultiLabelledTexts) -> TextClassifier:
        """A classifier of this model with its evidence, to explain its predictions and to learn more."""
        if isinstance(self.learner, EncoderMAML) or classifier.evidence is not None:
            return classifier
        features = unit_features(classifier.encoder, support.with_names_as_texts().texts)
        return replace(classifier, evidence=Evidence(support, features, self.learner))

    def _multi_label(self, support: MultiLabelledTexts, seed: int) -> TextClassifier:
        stage = self.final_stage.name if isinstance(self.final_stage, FinalStage) else "head"
        if stage != "head" or isinstance(self.learner, EncoderMAML):
            raise ConfigError(
                f"Got {f'stage={stage!r}' if stage != 'head' else 'learner=maml through the encoder'} for texts with "
                f"several labels, for which no encoder is tuned. Expected stage='auto', or a meta-model that leaves "
                f"the encoder as it is. Leave stage out."
            )
        return MultiLabelTuner().fit(self.encoder, support, self.learner, seed)

    def _features(self, support: LabelledTexts, encoded: Float[Tensor, "n_all dim"]) -> TaskFeatures:
        """Features of the support's texts and label names, with those of new texts."""
        texts, names = encoded.tensor_split([len(support.texts)])
        features = TaskFeatures(texts, None if support.label_names is None else names)
        if self.augmentation is None or not len(support.texts):
            return features
        labels = [support.labels[number] for number in support.classes.tolist()]
        names_of = dict(zip(support.labels, support.label_names or (), strict=False))
        settings = self.augmentation.augmentation
        max_new = settings.max_new(int(support.counts.max()))
        request = self.augmentation.request(support.texts, labels, names_of, max_new, self.encoder)
        bank = settings.make(request, self.augmentation.excluded)
        if not len(bank.features):
            return features
        n_texts = len(support.texts)
        variants = bank.variants(range(n_texts), n_texts, settings.weight, settings.margin)
        return replace(features, variants=variants)


def _adapted(learner: Learner, features: TaskFeatures, support: LabelledTexts) -> Classifier:
    if features.variants is not None:
        return learner.adapt(features.support(support.episode()))
    return learner.adapt_rows(features.texts, support.classes, len(support.labels), features.label_names)
