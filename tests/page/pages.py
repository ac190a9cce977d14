"""Pages of made-up predictions, of any number of labels, with every section."""

import torch

from fewshot.evaluation.gaps import Gaps, change_effect, group_gap
from fewshot.evaluation.intervals import Sample
from fewshot.housekeeping import check_texts
from fewshot.page.answers import Answers
from fewshot.page.map import map_of
from fewshot.page.page import Augmented, Curve, Page, Row, Scope, answered
from tests.synthetic import seeded

HOSTILE = "</script><img src=x onerror=\"document.title='hit'\">"


def answers_of(n_labels: int, per_label: int = 8, n_wrong: int = 40) -> Answers:
    """Answers of which `n_wrong` at random places are taken for another label; one text and one label are hostile."""
    generator = seeded(1)
    n = n_labels * per_label
    targets = torch.arange(n) % n_labels
    predicted = targets.clone()
    places = torch.randperm(n, generator=generator)[: min(n_wrong, n // 4)]
    predicted[places] = (predicted[places] + 1) % n_labels
    labels = (HOSTILE, *(f"label_number_{number}_of_many" for number in range(1, n_labels)))
    texts = [f"text {place}, which someone wrote about {labels[place % n_labels]}" for place in range(n)]
    texts[int(places[0])] = HOSTILE
    return Answers(labels, texts, torch.arange(n), targets, predicted, torch.rand(n, generator=generator))


def page_of(n_labels: int) -> Page:
    answers = answers_of(n_labels)
    wrong = {text.index for text in answers.wrong()}
    features = torch.randn(len(answers.texts), 6, generator=seeded(2))
    features[:, 0] += 3 * (answers.targets % 5)
    n_texts, hits = len(answers.texts), answers.right[None].double()
    everything = Sample("fixed_test", torch.arange(n_texts)[None])
    typos = change_effect("typos", hits, torch.zeros_like(hits), torch.ones(n_texts, dtype=torch.bool), everything)
    assert typos is not None
    return Page(
        title=f"A classifier of {n_labels} labels, {HOSTILE}",
        summary="All that a page has.",
        rows=(
            Row("own", "81.0 ± 0.5", "79.0 to 83.0", "", "80.1", "0.012", 0.81, 0.79, 0.83),
            Row(HOSTILE, "75.0", "74.0 to 76.0", "+6.0 (+5.0 to +7.0)", "74.2", "0.020", 0.75, 0.74, 0.76),
        ),
        advice=(f"Look at {HOSTILE!r}.",),
        **answered(answers, [f"+1.00 from the text “{HOSTILE}”"] * len(wrong)),
        ece=0.012,
        map=map_of(features, answers.targets, answers.labels, answers.texts, wrong),
        scope=Scope({"own texts": (0.4, 0.9, 0.8), "other texts": (0.1, 0.2)}, 0.3, "Texts below 0.30 are rejected."),
        curves=(
            Curve(
                "Shots",
                "shots",
                "accuracy",
                {"a": ((1.0, 0.6, 0.5, 0.7), (50.0, 0.8, 0.75, 0.85)), HOSTILE: ((1.0, 0.5, None, None),)},
                log=True,
            ),
        ),
        augmented=Augmented(
            "New texts.", ("part", "source", "kept"), (("test", "synonym", "3"),), ((HOSTILE, "a", "b", "c"),)
        ),
        gaps=Gaps(group_gap(hits, everything, [HOSTILE, "b"] * (n_texts // 2)), (typos,)),
        findings=check_texts(["my card", "My card!", HOSTILE, HOSTILE], ["a", "b", HOSTILE, "a"]),
        configuration=(("encoder", HOSTILE),),
        command=f"fewshot evaluate {HOSTILE}",
    )
