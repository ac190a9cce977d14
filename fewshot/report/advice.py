"""The advice of a run: how sure its number is, whether a baseline is better, and what would help most."""

import math
from collections.abc import Iterator

import torch

from fewshot.evaluation import Estimate, Evaluation
from fewshot.experiment.result import FROZEN, TRAINED, ExperimentResult
from fewshot.tasks.task import Task

_WIDE = 0.2  # an interval that is wider is reported
_MAX_SHOWN = 3  # texts that may be mislabelled
_LONGEST = 60  # characters of a text


def advice(task: Task, result: ExperimentResult) -> list[str]:
    """Sentences for a person to read, the most important one last."""
    lines = [*_of_cross_validation(task, result)] if result.plan.drawn == "cross_validation" else []
    return [*lines, *_shares(result), *_too_few(result.evaluation), *_better_baseline(result)]


def _shares(result: ExperimentResult) -> Iterator[str]:
    """The gains of the encoder's training and of the learner over the first baseline scored on both encoders."""
    pairs = [(name.removesuffix(FROZEN), name) for name in result.baselines if name.endswith(FROZEN)]
    name, frozen = next((pair for pair in pairs if f"{pair[0]}{TRAINED}" in result.baselines), ("", ""))
    if name:
        trained = result.baselines[f"{name}{TRAINED}"]
        gain, learner = (result.evaluation.difference(base).mean for base in (result.baselines[frozen], trained))
        yield (
            f"Of {100 * gain:+.1f} points against {name} the encoder's training brought {100 * (gain - learner):+.1f} "
            f"and the learner {100 * learner:+.1f}."
        )


def of_twice_the_texts(gain: Estimate) -> str:
    """The meaning of the gain of a whole support over half of it, in words."""
    low, high = gain.interval or (-math.inf, math.inf)
    if gain.mean <= 0:
        return f"twice the texts bring no gain{', which may be chance' if high > 0 else ''}"
    return "more texts should help" if low > 0 else "more texts may help, but the gain may be chance"


def _too_few(evaluation: Evaluation) -> Iterator[str]:
    interval = evaluation.accuracy.interval
    if interval is not None and interval[1] - interval[0] > _WIDE:
        low, high = (f"{100 * bound:.0f}" for bound in interval)
        texts, classes = evaluation.sample.n_texts, evaluation.sample.classes
        of = f" of {len(classes.unique())} classes" if classes is not None else ""
        tested = f"{texts} text{'' if texts == 1 else 's'}{of}"
        yield f"Tested on {tested}, accuracy is somewhere between {low} and {high} %."


def _better_baseline(result: ExperimentResult) -> Iterator[str]:
    if not result.baselines:
        return
    differences = {name: result.evaluation.difference(other) for name, other in result.baselines.items()}
    name = min(differences, key=lambda name: differences[name].mean)
    best = differences[name]
    if best.mean < 0 and best.interval is not None:
        low, high = sorted(-100 * bound for bound in best.interval)
        sure = "" if low > 0 else ", which may be chance"
        yield f"The baseline {name!r} is better by {-100 * best.mean:.1f} points ({low:+.1f} to {high:+.1f}){sure}."


def _of_cross_validation(task: Task, result: ExperimentResult) -> Iterator[str]:
    """Advice from the predictions of a cross-validation, in which each repeat tests each text once."""
    evaluation, labels = result.evaluation, [task.classes[c] for c in result.episodes.classes[0].tolist()]
    targets, predicted = evaluation.targets[0], evaluation.logits.argmax(-1)
    sizes = torch.bincount(task.labels, minlength=len(task.classes))[result.episodes.classes[0]]
    right = (predicted == targets).double().mean(0)
    tested = torch.bincount(targets, minlength=len(labels))
    recall = torch.zeros(len(labels), dtype=torch.double).index_add_(0, targets, right) / tested
    untested = [labels[way] for way in (tested == 0).nonzero().flatten().tolist()]
    if untested:
        yield f"Classes with a single text are not tested ({len(untested)}): {', '.join(map(repr, untested[:5]))}."
    max_support = int(result.episodes.support_mask.sum(-1).max())
    if 2 * max_support < int(sizes.max()):
        yield f"A support has {max_support} of the {int(sizes.max())} texts of the largest class; shots=auto takes all."
    elif result.with_half is not None:
        full, half = result.with_half
        gain = full.difference(half)
        before, after = (f"{100 * scored.accuracy.mean:.1f} %" for scored in (half, full))
        untuned = "Before tuning, " if result.plan.final_stage is not None else ""
        with_half = f"{'with' if untuned else 'With'} half of the texts of a support"
        compared = f"{untuned}{with_half} {before} are right, with all {after}"
        worst = min((way for way in range(len(labels)) if tested[way]), key=lambda way: (recall[way], sizes[way]))
        weakest = f"{labels[worst]!r} ({sizes[worst]} texts, {100 * recall[worst]:.0f} % right)"
        first = f", those of {weakest} first" if gain.mean > 0 and recall[worst] < 1 else ""
        yield f"{compared}: {of_twice_the_texts(gain)}{first}."
    counts = torch.zeros(len(labels), len(labels), dtype=torch.double)
    counts.index_put_((targets.expand_as(predicted), predicted), torch.tensor(1 / len(predicted)).double(), True)
    confused = (counts + counts.T).fill_diagonal_(0)
    if confused.max() >= 1:
        a, b = divmod(int(confused.argmax()), len(labels))
        both = int(tested[a] + tested[b])
        yield f"Confused most are {labels[a]!r} and {labels[b]!r}: {confused.max():.0f} of their {both} texts."
    yield from _mislabelled(task, evaluation, labels)


def _mislabelled(task: Task, evaluation: Evaluation, labels: list[str]) -> Iterator[str]:
    """Texts that every repeat assigns to the same wrong class, the most confident first."""
    probabilities = evaluation.calibrated_logits.softmax(-1).mean(0)
    predicted, targets = evaluation.logits.argmax(-1), evaluation.targets[0]
    other = probabilities.argmax(-1)
    always = ((predicted == other) & (predicted != targets)).all(0)
    sure, order = probabilities.max(-1).values.masked_fill(~always, 0).sort(descending=True)
    for probability, index in list(zip(sure.tolist(), order.tolist(), strict=True))[:_MAX_SHOWN]:
        if probability > 0.5:
            text = task.texts[int(evaluation.sample.texts[0, index])]
            short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
            label, likely = labels[int(targets[index])], labels[int(other[index])]
            yield f"Look at {short!r}: labelled {label!r}, it looks like {likely!r} ({100 * probability:.0f} %)."
