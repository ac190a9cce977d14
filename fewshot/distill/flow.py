"""From a classifier to a small one: texts without labels, a student encoder, and a classifier on its features.

The student's classifier is the teacher's own, which reads the student's features in the place of its encoder's, at a
temperature of its own. The texts that the teacher was fitted on are not among those that the student trains on, so that
sets of labels and rejection can be calibrated on them: folds of them are held out from classifiers on the student's
features.
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
from fewshot.fitted.evidence import Evidence
from fewshot.housekeeping.duplicates import letters
from fewshot.randomness import child_generator
from fewshot.ranges import one_of
from fewshot.text_classifier import TextClassifier
from fewshot.training.store import Store

log = logging.getLogger(__name__)

STUDENTS: dict[str, type[Student]] = {kind.name: kind for kind in (StaticStudent, LayersStudent, DeepSeekStudent)}
MAX_TEXTS = 50_000  # more teach little more, and take the teacher's time
_OF_THE_TEACHER = ("accuracy", "command", "out_of_fold")  # of its details
_TEMPERATURES = torch.logspace(-1.5, 1.5, 121)


def distill(
    teacher: TextClassifier,
    texts: Iterable[str] | None = None,
    student: Student | str = "static",
    *,
    seed: int = 0,
    store: Store | None = None,
) -> TextClassifier:
    """A classifier of the same labels with a small encoder that learnt from the teacher.

    Args:
        teacher: is not changed.
        texts: of the task, without labels, the more the better; at most 50,000 are used. None: the general vectors that
            come with the package are taken as they are, which is less accurate, see `docs/distillation.md`.
        student: one of `STUDENTS` by name, or with settings of its own.
        seed: of what is drawn and held out.
        store: where the training keeps checkpoints; None keeps none.

    Returns:
        A `TextClassifier` like any other; `details["distilled"]` says how it came about, and the share of texts held
        out that it gives the teacher's label.

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
        classifier = teacher.classifier if teacher.thresholds is None else None
        lessons = Lessons.of(teacher.encoder, chosen, classifier, teacher.temperature, seed=seed)
        encoder = kind.learn(lessons, seed, store).reading(teacher.long_texts)
        record |= {"n_texts": lessons.n_trained, "n_held": lessons.n_held}
        held = lessons.texts[lessons.n_trained :]
        found = _with_encoder(teacher, encoder, seed, record, lessons)
        same = [own == other for own, other in zip(found.predict(held), teacher.predict(held), strict=True)]
    record["agreement"] = sum(same) / len(same)
    return replace(found, details={**found.details, "distilled": record})


def distilled_encoder(
    teacher: Encoder,
    texts: Iterable[str],
    student: Student | str = "static",
    *,
    seed: int = 0,
    store: Store | None = None,
) -> Encoder:
    """A small encoder whose features are like those of another one; arguments and errors as in `distill`."""
    lessons = Lessons.of(teacher, _drawn(checked_texts(texts), seed), seed=seed)
    return student_of(student).learn(lessons, seed, store)


def student_of(student: Student | str) -> Student:
    """A student by its name, in its defaults; ConfigError if there is none of that name."""
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
    """The texts but for those that the teacher was fitted on, whatever their case and punctuation."""
    if teacher.evidence is None:
        return list(texts)
    own = {letters(text) for text in teacher.evidence.support.texts}
    return [text for text in texts if letters(text) not in own]


def _drawn(texts: Sequence[str], seed: int) -> list[str]:
    distinct = list(dict.fromkeys(text for text in texts if text.strip()))
    if len(distinct) <= MAX_TEXTS:
        return distinct
    log.info(f"{MAX_TEXTS:,} of {len(distinct):,} texts are drawn to learn from.")
    places = torch.randperm(len(distinct), generator=child_generator(seed, "distill/texts"))[:MAX_TEXTS]
    return [distinct[place] for place in places.sort().values.tolist()]


def _with_encoder(
    teacher: TextClassifier, encoder: Encoder, seed: int, record: dict[str, object], lessons: Lessons | None = None
) -> TextClassifier:
    """The teacher with another encoder, calibrated again; without lessons fitted again."""
    kept = {name: value for name, value in teacher.details.items() if name not in _OF_THE_TEACHER}
    details = {**kept, "distilled": record}
    student = replace(teacher, encoder=encoder, details=details, nonconformity=None, rejection=None, memory=None)
    if teacher.evidence is None:
        if teacher.rejection is not None:
            log.warning("The student rejects no texts: the teacher does not hold what it was fitted on.")
        return _calibrated(student, lessons)
    support, learner = teacher.evidence.support, teacher.evidence.learner
    if isinstance(support, MultiLabelledTexts):
        again = MultiLabelTuner().fit(encoder, support, learner, seed)
        details = {**again.details, "distilled": record}
        return replace(again, details=details, mask_personal_data=teacher.mask_personal_data)
    evidence = Evidence(support, unit_features(encoder, support.with_names_as_texts().texts), learner)
    student = replace(student, evidence=evidence)
    if lessons is None:
        student = replace(student, classifier=fitted(teacher, evidence))
    if teacher.rejection is not None:
        rows = embedded(student.classifier, evidence)
        student = replace(student, rejection=teacher.rejection.of(rows))
    return _calibrated(calibrated(student, out_of_fold(student, seed)), lessons)


def _calibrated(student: TextClassifier, lessons: Lessons | None) -> TextClassifier:
    """With the temperature that brings its probabilities of texts held out nearest to the teacher's."""
    if lessons is None or lessons.log_probabilities is None:
        return student
    logits = student.logits(lessons.texts[lessons.n_trained :])
    return replace(student, temperature=best_temperature(logits, lessons.log_probabilities[lessons.held].exp()))


def best_temperature(logits: Float[Tensor, "n n_classes"], targets: Float[Tensor, "n n_classes"]) -> float:
    """The temperature of the least cross-entropy to some probabilities, of 121 from 0.03 to 32."""
    losses = [-(targets * (logits / one).log_softmax(-1)).sum(1).mean() for one in _TEMPERATURES]
    return float(_TEMPERATURES[int(torch.stack(losses).argmin())])
