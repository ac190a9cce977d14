"""How much a learner suffers when three in ten, or half, of the support labels are wrong.

    python -m benchmarks.wrong_labels

medical_terms, 5-way 10-shot, 600 episodes, 15 queries per class: in every class three or five of the ten support
texts belong to another class of the episode.  Differences are paired with plain prototypes on the same episodes.
"""

import logging

from benchmarks.experiments import default_encoder, experiment
from benchmarks.record import record
from fewshot.evaluation import paired_difference

LEARNERS = ("centroid", "logistic", "ridge", "prototypical", "attention_prototypical")


def main() -> None:
    """Measure and record."""
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    encoder = default_encoder()
    rows = []
    for names in (False, True):
        plain = None
        for learner in LEARNERS:
            row = {"learner": learner, "label names": str(names).lower()}
            for share in (0.0, 0.3, 0.5):
                result = experiment(
                    "medical_terms", "01", learner, encoder, shots=10, label_names=names, support_noise=share
                )
                row[f"{share:.0%} wrong"] = result.evaluation.accuracy.percent()
            at_half = result.evaluation.accuracies
            plain = at_half if plain is None else plain
            row["50% wrong, against plain"] = paired_difference(at_half, plain).percent(sign=True)
            rows.append(row)
    record("wrong_labels", "python -m benchmarks.wrong_labels", rows, seed=0, encoder=encoder.fingerprint)


if __name__ == "__main__":
    main()
