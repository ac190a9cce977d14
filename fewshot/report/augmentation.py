"""The new texts of an augmentation: a summary for `results.json`, and a table of all of them."""

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

    settings        as given
    support         whether the support of the test episodes was augmented
    meta_training   whether the train texts were augmented
    sources, weight as used; a decision may take fewer sources, and another weight
    made            part of the classes → {texts, texts_per_class, sources: source → {proposed, kept, and the number
                    dropped for each reason, outside_margin}}; outside_margin is the share of uses in supports in
                    which a kept text was left out, as another class of the episode was too near
    decision        null, or {chosen, sentence, episodes, accuracy_without, trials}
    notes           the origins of words
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
    """Write every proposed text and its fate, tab-separated, whole or not at all.

    The columns are `COLUMNS`; `dropped` is empty for a text that was kept, and then `supports` is the number
    of supports with the text that it comes from, and `within_margin` the number of these to which it was added.
    StorageError as in `atomic`.
    """
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for new_texts in result.new_texts.values():
            writer.writerows(_rows(new_texts, task))


def _rows(made: NewTexts, task: Task) -> Iterator[tuple[str, ...]]:
    nearer = iter(made.nearer)
    uses = made.uses or ("",) * len(made.places)
    for index, text, scored, supports in zip(made.places, made.bank.texts, made.bank.scored, uses, strict=True):
        label = task.classes[int(task.labels[index])]
        for new in scored:
            cosine = "" if math.isnan(new.verdict.cosine) else f"{new.verdict.cosine:.4f}"
            counts = (str(supports), str(next(nearer, ""))) if new.kept else ("", "")
            cells = (made.part, label, text, new.source, new.text, new.how, cosine, new.verdict.dropped or "", *counts)
            yield tuple(" ".join(cell.split()) for cell in cells)
