"""A number for one's own texts: all classes, all texts, the same under any name."""

from dataclasses import replace

import pytest
import torch

from fewshot.episodes.cross_validation import FOLDS, REPEATS
from fewshot.errors import ConfigError
from fewshot.experiment.experiment import run_experiment
from fewshot.experiment.protocol import Protocol
from fewshot.learners import LEARNERS
from fewshot.recipe import Recipe
from fewshot.report.advice import advice
from fewshot.report.results import build_results
from fewshot.report.table import comparison_table
from fewshot.tasks import load_folder
from tests.conftest import rows, write_jsonl
from tests.fakes import FakeEncoder


def own(folder, sizes, extra=()):
    """Texts of animals, so many of each."""
    chosen = list(rows(n_classes=len(sizes), n_texts=max(sizes)))
    count = dict(zip(sorted({row["label"] for row in chosen}), sizes, strict=True))
    kept = [row for row in chosen if int(row["text"].split()[2]) < count[row["label"]]]
    return write_jsonl(folder, [*kept, *extra])


def run(folder, learner="prototypical", **settings):
    recipe = Recipe(
        encoder=FakeEncoder(dim=24), learner=LEARNERS[learner], final_stage=settings.pop("final_stage", "none")
    )
    task = load_folder(folder)
    return task, run_experiment(recipe, task, Protocol(**{"baselines": ("centroid",), **settings}))


@pytest.mark.parametrize("sizes", [(10, 10, 10), (30, 5, 2), (4, 4)])
def test_every_text_of_every_class_is_tested(tmp_path, sizes):
    task, result = run(own(tmp_path / "own", sizes))
    assert result.plan.drawn == "cross_validation"
    assert result.evaluation.logits.shape == (REPEATS, sum(sizes), len(sizes))
    assert result.evaluation.sample.texts.tolist() == [list(range(sum(sizes)))] * REPEATS
    assert torch.equal(result.evaluation.targets[0], task.labels)
    told = build_results(task, "prototypical", result)
    assert (told["ways"], told["queries"], told["episodes"]) == (len(sizes), None, FOLDS * REPEATS)


@pytest.mark.slow
def test_the_logits_are_those_of_a_classifier_of_the_other_folds(tmp_path):
    task, result = run(own(tmp_path / "own", (9, 6, 3)), final_stage="head")
    one = result.episodes[7]  # of the second repeat
    support = one.support[one.support_mask].tolist()
    held = [int(text) for text in one.query.flatten() if text >= 0]
    labels = [task.classes[int(task.labels[text])] for text in support]
    names = dict(zip(task.classes, task.label_names, strict=True))
    classifier = result.model.adapt([task.texts[text] for text in support], labels, names)
    expected = classifier.logits([task.texts[text] for text in held])
    torch.testing.assert_close(result.evaluation.logits[1, held], expected, atol=1e-5, rtol=0)


def test_one_number_under_any_name_and_in_any_order(tmp_path):
    records = list(rows(n_classes=4, n_texts=7))
    found = set()
    for name, given in (("mails", records), ("post", records[::-1]), ("a b", records[9:] + records[:9])):
        _, result = run(write_jsonl(tmp_path / name, given))
        found.add((result.evaluation.accuracy.mean, result.evaluation.accuracy.interval, result.evaluation.ece(True)))
    assert len(found) == 1


def test_a_class_split_is_used_on_request(tmp_path):
    folder = own(tmp_path / "own", (8,) * 8)
    assert run(folder, classes="test", ways=2, queries=3, episodes=20)[1].plan.drawn == "sampled"
    assert run(folder, protocol="fixed_test")[1].plan.protocol.classes == "all"
    with pytest.raises(ConfigError, match="protocol=sampled with classes=all"):
        run(folder, protocol="sampled")


def test_minutes_that_are_over_leave_the_texts_that_were_tested(tmp_path):
    _task, result = run(own(tmp_path / "own", (9, 6)), final_stage="head", minutes=1e-9)
    assert result.evaluation.logits.shape[0] == 1
    assert 0 < result.evaluation.sample.n_texts < 15
    assert set(result.baselines) == {"without the final stage", "centroid"}
    for other in result.baselines.values():
        assert torch.equal(other.sample.texts, result.evaluation.sample.texts)


def test_what_would_help_is_said(tmp_path):
    wrong = {"text": "deer number 50 likes deerfood", "label": "bear"}
    task, result = run(own(tmp_path / "own", (12, 12, 12, 1), [wrong]))
    said = "\n".join(advice(task, result))
    assert "Look at 'deer number 50 likes deerfood': labelled 'bear', it looks like 'deer'" in said
    assert "Classes with a single text are not tested (1): 'frog'." in said
    assert "Confused most are 'bear' and 'deer': 1 of their 25 texts." in said
    assert "With half of the texts" in said


def test_few_texts_say_little_and_the_table_says_so(tmp_path):
    task, result = run(own(tmp_path / "own", (4, 4)))
    assert "Tested on 8 texts, accuracy is somewhere between" in advice(task, result)[-1]
    low, high = result.evaluation.accuracy.interval
    assert high - low > 0.3
    told = build_results(task, "prototypical", result) | {"support_noise": 0.0}
    table = comparison_table(told)
    assert "adapters" not in table.caption
    chosen = comparison_table({**told, "adapters": {"none": 3, "intents at 0.5": 22}}).caption
    assert f"the learner takes adapters, baselines none: intents at 0.5 in 22 of {told['episodes']} supports" in chosen
    assert table.title == "own, 2 classes, with label names"
    assert (
        "cross-validation, 25 supports of 3 to 4 texts per class; the interval and that of differences" in table.caption
    )


def test_a_baseline_that_is_better_is_named_last(tmp_path):
    task, result = run(own(tmp_path / "own", (10, 10, 10)))
    better = replace(result.evaluation, logits=torch.nn.functional.one_hot(result.evaluation.targets, 3).float())
    worse = replace(result.evaluation, logits=-better.logits)
    loses = replace(result, scored=replace(result.scored, evaluation=worse), baselines={"ridge": better})
    assert advice(task, loses)[-1].startswith("The baseline 'ridge' is better by 100.0 points")
    wins = replace(result, baselines={"ridge": worse})
    assert not any("baseline" in line for line in advice(task, wins))
