"""What augmentation made: for `results.json`, and as a table of every new text."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fewshot.errors import redacted
from fewshot.experiment.augmentation import AugmentationResult, NewTexts
from fewshot.storage import atomic
from fewshot.tasks.task import Task

COLUMNS = ("part", "label", "text", "source", "augmented", "how", "cosine", "dropped", "supports", "within_margin")


def augmentation_json(result: AugmentationResult) -> dict[str, Any]:
    """The value of `augment` in `results.json`.

    settings        as asked for
    support         whether the support of the test episodes was augmented
    meta_training   whether train texts were
    sources, weight those used in the end; a decision may take fewer sources, and another weight
    made            part of the classes → {texts, texts_per_class, sources: source → {proposed, kept, and the number
                    dropped for each reason, outside_margin}}; outside_margin is the share of uses in supports in
                    which a kept text was left out, as another class of the episode was too near
    decision        null, or {chosen, sentence, episodes, accuracy_without, trials}
    notes           where words are from
    """
    used, sources = result.used, list(result.asked.sources or ())
    augments = result.support is not None or result.meta_training
    return {
        "settings": json.loads(redacted(json.dumps(result.asked.settings()))),
        "support": result.support is not None,
        "meta_training": result.meta_training,
        "sources": list(used.sources or ()) if augments else [],
        "weight": used.weight,
        "made": {
            part: {
                "texts": len(made.places),
                "texts_per_class": made.texts_per_class,
                "sources": made.counts(sources),
            }
            for part, made in result.new_texts.items()
        },
        "decision": None if result.decision is None else result.decision.as_json(),
        "notes": list(dict.fromkeys(note for new_texts in result.new_texts.values() for note in new_texts.notes)),
    }


def write_table(path: Path, result: AugmentationResult, task: Task) -> None:
    """Write every proposed text with what became of it, tab-separated, whole or not at all.

    The columns are `COLUMNS`; `dropped` is empty for a text that was kept, and then `supports` says in how many
    supports its text stands, and `within_margin` in how many of these it stood beside it. StorageError as in `atomic`.
    """
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for new_texts in result.new_texts.values():
            writer.writerows(_rows(new_texts, task))


def _rows(made: NewTexts, task: Task) -> Iterator[tuple[str, ...]]:
    nearer = iter(made.nearer)
    uses = made.uses or ("",) * len(made.places)
    for place, text, scored, supports in zip(made.places, made.bank.texts, made.bank.scored, uses, strict=True):
        label = task.classes[int(task.labels[place])]
        for one in scored:
            cosine = "" if math.isnan(one.verdict.cosine) else f"{one.verdict.cosine:.4f}"
            ends = (str(supports), str(next(nearer, ""))) if one.kept else ("", "")
            what = (one.source, one.text, one.how, cosine, one.verdict.dropped or "")
            yield tuple(" ".join(cell.split()) for cell in (made.part, label, text, *what, *ends))
