"""An encoder and a learner, meta-trained or as published: it adapts to labelled texts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.functional import normalize

from fewshot.adaptation.final_stage import UNTUNED, FinalStage
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.augment.augmenter import SupportAugmentation
from fewshot.encoders import Encoder
from fewshot.features import TaskFeatures
from fewshot.learners import Learner
from fewshot.learners.maml.encoder_maml import EncoderMAML
from fewshot.learners.saving import check_encoder, frozen
from fewshot.text_classifier import TextClassifier
from fewshot.training.checkpoints import Store


@dataclass(frozen=True)
class MetaModel:
    """What meta-training gives, and what an evaluation scores.

    Args:
        encoder: text → features.
        learner: adapts to the features of a support, or through the encoder to its texts; its temperature is
            calibrated on meta-valid classes.
        augmentation: makes new texts of those of a support; None makes none.
        final_stage: tunes on a support; None leaves the learner's classifier as it is.

    Raises:
        ConfigError: the learner was loaded, and was trained on features of another encoder.
    """

    encoder: Encoder
    learner: Learner | EncoderMAML
    augmentation: SupportAugmentation | None = None
    final_stage: FinalStage | None = None

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
            label_names: label → readable name, as further evidence; classes that stand only here have no text.
            seed: of what is tuned.

        Raises:
            TaskError: fewer than two classes, or a label without a name where there are label names.

        Example:
            >>> from fewshot import Centroid, SentenceTransformerEncoder
            >>> encoder = SentenceTransformerEncoder()
            >>> model = MetaModel(encoder, Centroid(dim=encoder.encode(["a text"]).shape[1]))
            >>> model.adapt(["my card is lost", "what is my balance"], ["card", "balance"]).predict(["card stolen"])
            ['card']
        """
        return self.adapt_to(LabelledTexts.of(texts, labels, label_names), seed)

    def adapt_to(self, support: LabelledTexts, seed: int = 0, store: Store | None = None) -> TextClassifier:
        """Fit a classifier to a support; arguments as for `adapt`.

        Args:
            support: all that is labelled.
            seed: of what is tuned.
            store: where trainings keep checkpoints and events; None keeps none.
        """
        learner = self.learner
        details = {"stage": UNTUNED[0] if len(support.texts) else UNTUNED[1]}
        if isinstance(learner, EncoderMAML):
            everything = support.with_names_as_texts()
            encoder, adapted = learner.adapt(everything.texts, everything.classes, len(support.labels))
            return TextClassifier(encoder, frozen(adapted), support.labels, float(learner.temperature), details)
        episode = support.episode()
        features = self._features(support, episode.k_shot)
        with torch.no_grad():
            classifier = frozen(learner.adapt(features.support(episode)))
        own = TextClassifier(self.encoder, classifier, support.labels, float(learner.temperature), details)
        if self.final_stage is None:
            return own
        return self.final_stage.tune(own, learner, support, features, episode, seed, store)

    def _features(self, support: LabelledTexts, shots: int) -> TaskFeatures:
        """Features of the support's texts and label names, new texts beside them."""
        everything = support.with_names_as_texts().texts
        encoded = normalize(self.encoder.encode(everything), dim=-1)
        texts, names = encoded.tensor_split([len(support.texts)])
        features = TaskFeatures(texts, None if support.label_names is None else names)
        if self.augmentation is None or not len(support.texts):
            return features
        labels = [support.labels[number] for number in support.classes.tolist()]
        own_names = dict(zip(support.labels, support.label_names or (), strict=False))
        settings = self.augmentation.augmentation
        request = self.augmentation.request(support.texts, labels, own_names, settings.max_new(shots), self.encoder)
        bank = settings.make(request, self.augmentation.excluded)
        if not len(bank.features):
            return features
        places = range(len(support.texts))
        variants = bank.variants(places, len(support.texts), settings.weight, settings.margin)
        return replace(features, variants=variants)
