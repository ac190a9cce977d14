"""Fine-tune encoder and head on labelled texts; the result is kept only if it is better on a held-out part."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

from torch import Tensor

from fewshot.adaptation.head_tuner import HeadTuner
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.adaptation.tuned_encoder import TuningSettings
from fewshot.adaptation.tuning import Tuning
from fewshot.encoders import Adapter, Encoder, Full, Trainable
from fewshot.learners import Learner
from fewshot.text_classifier import TextClassifier
from fewshot.training import TrainingFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FineTuner(TuningSettings):
    """Tune an encoder on a support, early stopping and keeping the better of before and after on a part of it.

    How long: `epochs` over what is trained on, at most `steps` steps, with at most `max_evaluations` evaluations on
    what is held out, at least `evaluate_every` steps apart. Before is the better of prototypes and a tuned head on the
    encoder as it was, see `HeadTuner`.

    Tuning starts from prototypes all the same: a head that is tuned already has hardly a gradient left for the encoder.

    The defaults are those for LoRA with 51 to 500 texts per class: its updates start at zero and bear twenty times the
    rate of full fine-tuning, and what lower layers hold is common to all texts.

    Args:
        trainable: what of the encoder is tuned.
        epochs: times that each text of a class of middle size is seen.
        max_evaluations: how often held-out accuracy is measured at most.
        batch: texts in a step.
        per_class: texts of a class that stand together in a batch.
        learning_rate: AdamW's rate for the top layer.
        layer_decay: what the rate is multiplied by from one layer to the next lower one.
        head_learning_rate: of the rows of the head.
        weight_decay: AdamW's decay of the encoder's matrices.
        contrastive_weight: of the supervised contrastive term.
        temperature: of the contrastive term.
        label_smoothing: share of each target that is spread over all classes.
        held_out: share of each class that is held out; with `folds` 1 only.
        max_held_out: texts of a class that are held out at most; with 77 classes 10 of each have a
            standard error under 1 point.
        folds: 1 holds out once, and the tuned model is the one that was measured. More cross-validate: models tuned
            without a fold say how many steps to take and whether they pay, and then one is tuned on all texts.
        interpolation: shares of the way from the weights before to the tuned ones, of which the best on the held-out
            texts is kept.
        margin: standard errors by which tuning has to beat what was before on the held-out texts.
        tokens_per_pass: most padded tokens that go through the encoder at once.

    The other settings are those of `LoopSettings`.
    """

    held_out: float = 0.2
    max_held_out: int = 10
    folds: int = 1
    interpolation: Sequence[float] = (0.5, 1.0)
    margin: float = 0.5

    GROUP: ClassVar[str] = "adaptation"

    def out_of_range(self) -> dict[str, str]:
        """Name of each setting that cannot be used → what is expected of it."""
        wrong = super().out_of_range()
        positive = ("epochs", "max_evaluations", "batch", "per_class", "learning_rate", "temperature")
        for name in (*positive, "head_learning_rate", "folds", "max_held_out", "tokens_per_pass"):
            if not getattr(self, name) > 0:
                wrong[name] = "positive numbers"
        for name in ("weight_decay", "contrastive_weight", "margin"):
            if not getattr(self, name) >= 0:
                wrong[name] = "numbers of 0 or more"
        if not 0 < self.layer_decay <= 1:
            wrong["layer_decay"] = "layer_decay above 0 and at most 1"
        if not 0 <= self.label_smoothing < 1:
            wrong["label_smoothing"] = "label_smoothing as a share from 0 to below 1"
        if not 0 < self.held_out < 1:
            wrong["held_out"] = "held_out as a share between 0 and 1"
        if not self.interpolation or not all(0 < share <= 1 for share in self.interpolation):
            wrong["interpolation"] = "interpolation as a list of shares such as [0.5,1]"
        if not isinstance(self.trainable, Trainable):
            wrong["trainable"] = "trainable as LoRA(), Adapter() or Full()"
        return wrong

    def splits(self, support: LabelledTexts, seed: int) -> list[tuple[Tensor, Tensor]]:
        """Texts of a support that are kept, and those held out, of each fold."""
        n_folds = min(self.folds, int(support.counts.max()))  # as many as the largest class has texts for
        return support.splits(n_folds, self.held_out, seed, self.max_held_out)

    def fit(
        self,
        encoder: Encoder,
        support: LabelledTexts,
        learner: Learner | None = None,
        seed: int = 0,
        head: HeadTuner | None = None,
        files: TrainingFiles | None = None,
    ) -> TextClassifier:
        """Adapt an encoder, published or meta-trained, to a support.

        Args:
            encoder: is not changed.
            support: all that is labelled; no other text is looked at.
            learner: a meta-trained one, whose projection the head goes through; None: features as they are.
            seed: root seed; the streams are `held out`, `batches`, `adaptation` and `adaptation/small parts`.
            head: how the head is tuned before the encoder; None is one with the defaults.
            files: where checkpoints and TensorBoard events go, with `folds` 1; None writes none.

        Returns:
            The tuned classifier; where tuning does not pay, that with the head alone tuned, or prototypes. `details`
            has `stage`, what was compared, steps and seconds.
        """
        started = time.perf_counter()
        heads = head or HeadTuner()
        before = heads.fit(encoder, support, learner, seed)
        seconds = {"head": time.perf_counter() - started}
        if int(support.counts.max()) < 2:
            log.info("No class has a text to spare, so nothing can be held out: the encoder stays as it is")
            return before
        tuning = Tuning(
            settings=self,
            margin=self.margin,
            encoder=encoder,
            support=support,
            learner=learner,
            heads=heads,
            l2=before.details["l2_to_prototypes"],
            seed=seed,
        )
        splits = self.splits(support, seed)
        if len(splits) == 1:
            [(kept, held)] = splits
            found = tuning.held_out_once(kept, held, self.interpolation, files)
        else:
            found = tuning.cross_validated(splits)
        pays = found.encoder is not None
        details = {
            "stage": self.trainable.kind if pays else before.details["stage"],
            "before": dict(before.details),
            "held_out": asdict(found.comparison),
            **found.details,
            "settings": self.determining(),
            "seed": seed,
            "seconds": seconds | {"all": time.perf_counter() - started},
        }
        log.info(
            f"Tuning ({self.trainable.kind}), on {found.comparison.n_texts} texts held out: "
            f"{100 * found.comparison.before:.1f} % before, {100 * found.comparison.after:.1f} % after; "
            f"{details['stage']} it is"
        )
        if found.encoder is None or found.head is None:
            return replace(before, details=details)
        return TextClassifier(
            found.encoder, found.head.classifier(), support.labels, float(found.head.temperature), details
        )


@dataclass(frozen=True)
class AdapterTuner(FineTuner):
    """Bottleneck adapters, which like LoRA start at zero: its defaults."""

    trainable: Trainable = field(default_factory=Adapter)


@dataclass(frozen=True)
class FullTuner(FineTuner):
    """All weights, with more than 500 texts per class."""

    trainable: Trainable = field(default_factory=Full)
    steps: int = 1500
    learning_rate: float = 1e-4  # all weights move at once: a twentieth of the rate of LoRA
    held_out: float = 0.1
    max_held_out: int = 50  # a tenth of the 500 texts from which on this stage runs by itself


@dataclass(frozen=True)
class LightTuner(FineTuner):
    """A light contrastive tuning of all weights, for 2 to 50 texts per class: a minute or two on a CPU.

    Pairs are what few texts are rich in: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts" (SetFit),
    https://arxiv.org/abs/2209.11055.
    """

    trainable: Trainable = field(default_factory=Full)
    steps: int = 100
    epochs: float = 5.0
    max_evaluations: int = 2  # each says how many steps are worth taking
    batch: int = 64  # the contrastive term learns from all pairs in it
    per_class: int = 2  # each text has a partner
    learning_rate: float = 5e-5  # at 2e-4 few texts are learnt by heart before anything is gained
    head_learning_rate: float = 3e-3
    contrastive_weight: float = 1.0
    folds: int = 2  # a fifth of few texts is too little to learn without or to judge by
    interpolation: Sequence[float] = (1.0,)  # unused with folds
    margin: float = 1.0  # with few texts luck weighs more
