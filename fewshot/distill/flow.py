"""Distil a classifier into a small one, with texts without labels.

The student's classifier is the teacher's, on the student's features and at another temperature. The student does not
train on the texts that the teacher was fitted on, so that prediction sets and rejection can be calibrated on them:
folds of them are held out from classifiers on the student's features.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.adaptation.multi_label import MultiLabelTuner
from fewshot.adaptation.refit import calibrated, embedded, fitted, out_of_fold
from fewshot.distill.lessons import Lessons
from fewshot.distill.static import StaticStudent
from fewshot.distill.student import Student
from fewshot.distill.transformer_students import DeepSeekStudent, LayersStudent
from fewshot.encoders import Encoder, StaticEncoder
from fewshot.encoders.texts import checked_texts
from fewshot.episodes.multi_labelled import MultiLabelledTexts
from fewshot.errors import ConfigError
from fewshot.features import unit_features
from fewshot.fitted.details import carried
from fewshot.fitted.evidence import Evidence
from fewshot.housekeeping.duplicates import letters
from fewshot.randomness import child_generator
from fewshot.ranges import one_of
from fewshot.text_classifier import TextClassifier
from fewshot.training.store import Store

log = logging.getLogger(__name__)

STUDENTS: dict[str, type[Student]] = {kind.name: kind for kind in (StaticStudent, LayersStudent, DeepSeekStudent)}
MAX_TEXTS = 50_000  # more gain little, and the teacher has to encode them
_TEMPERATURES = torch.logspace(-1.5, 1.5, 121)


def distill(
    teacher: TextClassifier,
    texts: Iterable[str] | None = None,
    student: Student | str = "static",
    *,
    seed: int = 0,
    store: Store | None = None,
) -> TextClassifier:
    """Distil a classifier into one of the same labels with a small encoder.

    Args:
        teacher: is not changed.
        texts: of the task, without labels, the more the better; at most 50,000 are used. None: the general vectors that
            come with the package are used unchanged, which is less accurate, see `docs/distillation.md`.
        student: one of `STUDENTS` by name, or an instance with other settings.
        seed: of random draws.
        store: for checkpoints; None keeps none.

    Returns:
        A `TextClassifier` like any other; `details["distilled"]` has the settings, and the share of held-out texts on
        which its most probable label is the teacher's.

    Raises:
        ConfigError: no such student, or it cannot learn from this teacher or without texts.
        TaskError: too few texts.
    """
    kind = student_of(student)
    record = {"student": kind.name, "teacher": teacher.encoder.described, "seed": seed}
    if texts is None:
        encoder = _general(teacher, kind)
        return _with_encoder(teacher, encoder, seed, record)
    chosen = _drawn(_without_support(teacher, teacher.masked(checked_texts(texts))), seed)
    with teacher.encoder.cuts_reported(chosen):
        head = teacher.classifier if teacher.thresholds is None else None
        lessons = Lessons.of(teacher.encoder, chosen, head, teacher.temperature, seed=seed)
        encoder = kind.learn(lessons, seed, store).reading(teacher.long_texts)
        record |= {"n_texts": lessons.n_trained, "n_held": lessons.n_held}
        distilled = _with_encoder(teacher, encoder, seed, record, lessons)
        held_out = lessons.texts[lessons.n_trained :]
        pairs = zip(distilled.predictions(held_out), teacher.predictions(held_out), strict=True)
        same = [prediction.label == expected.label for prediction, expected in pairs]
    record["agreement"] = sum(same) / len(same)
    return replace(distilled, details={**distilled.details, "distilled": record})


def distilled_encoder(
    teacher: Encoder,
    texts: Iterable[str],
    student: Student | str = "static",
    *,
    seed: int = 0,
    store: Store | None = None,
) -> Encoder:
    """Distil an encoder into a small one with similar features; arguments and errors as in `distill`."""
    lessons = Lessons.of(teacher, _drawn(checked_texts(texts), seed), seed=seed)
    return student_of(student).learn(lessons, seed, store)


def student_of(student: Student | str) -> Student:
    """A student by its name, with its defaults; ConfigError if there is none of that name."""
    if isinstance(student, Student):
        return student
    if student not in STUDENTS:
        raise ConfigError(f"Got student={student!r}, expected {one_of(*STUDENTS)[1]}. Correct it.")
    return STUDENTS[student]()


def _general(teacher: TextClassifier, student: Student) -> Encoder:
    if not isinstance(student, StaticStudent) or teacher.evidence is None:
        raise ConfigError(
            f"Got no texts for the student {student.name!r}. Expected texts without labels, 20 or more: only 'static' "
            f"can do without, for a classifier that holds what it was fitted on. Give texts of the task."
        )
    log.warning(
        "No texts are given, so the student has general vectors that know nothing of the task or of this teacher. That "
        "costs several points of accuracy, more than a student loses that has seen a few thousand texts of the task."
    )
    return StaticEncoder().reading(teacher.long_texts)


def _without_support(teacher: TextClassifier, texts: Sequence[str]) -> list[str]:
    """The texts without those that the teacher was fitted on, in any case and punctuation."""
    if teacher.evidence is None:
        return list(texts)
    support = {letters(text) for text in teacher.evidence.support.texts}
    return [text for text in texts if letters(text) not in support]


def _drawn(texts: Sequence[str], seed: int) -> list[str]:
    distinct = list(dict.fromkeys(text for text in texts if text.strip()))
    if len(distinct) <= MAX_TEXTS:
        return distinct
    log.info(f"{MAX_TEXTS:,} of {len(distinct):,} texts are drawn to learn from.")
    indices = torch.randperm(len(distinct), generator=child_generator(seed, "distill/texts"))[:MAX_TEXTS]
    return [distinct[index] for index in indices.sort().values.tolist()]


def _with_encoder(
    teacher: TextClassifier, encoder: Encoder, seed: int, record: dict[str, object], lessons: Lessons | None = None
) -> TextClassifier:
    """The teacher with another encoder, calibrated again, and without lessons also fitted again."""
    details = carried(teacher.details, distilled=record)
    student = replace(teacher, encoder=encoder, details=details, nonconformity=None, rejection=None, memory=None)
    if teacher.evidence is None:
        if teacher.rejection is not None:
            log.warning("The student rejects no texts: the teacher does not hold what it was fitted on.")
        return _calibrated(student, lessons)
    support, learner = teacher.evidence.support, teacher.evidence.learner
    if isinstance(support, MultiLabelledTexts):
        student = MultiLabelTuner().fit(encoder, support, learner, seed)
        details = {**student.details, "distilled": record}
        return replace(student, details=details, mask_personal_data=teacher.mask_personal_data)
    evidence = Evidence(support, unit_features(encoder, support.with_names_as_texts().texts), learner)
    student = replace(student, evidence=evidence)
    if lessons is None:
        student = replace(student, classifier=fitted(teacher, evidence))
    if teacher.rejection is not None:
        rows = embedded(student.classifier, evidence)
        student = replace(student, rejection=teacher.rejection.of(rows))
    return _calibrated(calibrated(student, out_of_fold(student, seed)), lessons)


def _calibrated(student: TextClassifier, lessons: Lessons | None) -> TextClassifier:
    """The student with the temperature at which its held-out probabilities are nearest to the teacher's."""
    if lessons is None or lessons.log_probabilities is None:
        return student
    logits = student.logits(lessons.texts[lessons.n_trained :])
    return replace(student, temperature=best_temperature(logits, lessons.log_probabilities[lessons.held].exp()))


def best_temperature(logits: Float[Tensor, "n n_classes"], targets: Float[Tensor, "n n_classes"]) -> float:
    """The temperature with the least cross-entropy to some probabilities, of 121 from 0.03 to 32."""
    losses = [-(targets * (logits / temperature).log_softmax(-1)).sum(1).mean() for temperature in _TEMPERATURES]
    return float(_TEMPERATURES[int(torch.stack(losses).argmin())])
