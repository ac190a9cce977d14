"""The benchmark beside SetFit; SetFit itself where it is installed."""

import json

import pytest
import torch

from benchmarks import peers
from fewshot.errors import ConfigError
from fewshot.tasks import Task
from tests.fakes import FakeEncoder


@pytest.fixture
def task():
    words = ("apple pear", "train bus", "rain snow")
    texts = [f"{word} {number}" for word in words for number in range(8)]
    labels = torch.arange(3).repeat_interleave(8)
    return Task("toy", tuple(texts), labels, ("a", "b", "c"), words, {"train": (), "valid": (), "test": (0, 1, 2)}, "1")


def problem(task, shots=2, seed=0):
    return peers.Problem.of(task, peers.episode_of(task, shots, seed), seed)


def test_a_problem_has_the_texts_of_the_episode_with_their_classes(task):
    found = problem(task)
    assert len(found.support.texts) == 3 * 2
    assert len(found.tests) == 3 * 4  # half of the smallest class, which has 8
    assert not set(found.support.texts) & set(found.tests)
    for text, label in zip([*found.support.texts, *found.tests], [*found.support.classes, *found.targets], strict=True):
        assert text.startswith(task.label_names[label])


def test_the_test_part_stays_and_the_support_changes_with_the_seed(task):
    first, second = problem(task, seed=0), problem(task, seed=1)
    assert first.tests == second.tests
    assert first.support.texts != second.support.texts


def test_ours_predicts_classes_with_and_without_label_names(task):
    own = peers.systems(FakeEncoder(dim=64))
    for name in (peers.NAMED, peers.NAMELESS):
        predicted = own[name](problem(task))
        assert (predicted == problem(task).targets).double().mean() > 0.9


def test_what_is_there_is_not_measured_again(task):
    def never(_):
        raise AssertionError

    place = {"task": "toy", "shots": 2, "seed": 0}
    there = [place | {"system": "a"}, place | {"system": "b", "seed": 1}]
    half = problem(task).targets.clone()
    half[::2] = (half[::2] + 1) % 3
    new = peers.measure(place, problem(task), {"a": never, "b": lambda _: half}, there)
    assert [(one["system"], one["seed"], one["accuracy"]) for one in new] == [("b", 0, 0.5)]
    assert new[0]["seconds"] >= 0


def test_the_settings_know_the_texts_and_the_test_part(task):
    encoder = FakeEncoder()
    other = Task(**{**vars(task), "texts": tuple(text + "!" for text in task.texts)})
    first, second = (peers.settings_of({"toy": own}, encoder, [peers.NAMED]) for own in (task, other))
    assert first == json.loads(json.dumps(first))
    assert first["toy"] != second["toy"]
    assert {name: value for name, value in first.items() if name != "toy"} == {
        name: value for name, value in second.items() if name != "toy"
    }
    assert peers.PEER not in first


def test_a_missing_peer_is_one_sentence():
    with pytest.raises(ConfigError, match=r"not installed.*\.\[peers\]"):
        peers.check_installed("no_such_package")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_setfit_learns_the_toy_task(task):
    pytest.importorskip("setfit")
    peers.import_quietly([peers.PEER])
    predicted = peers.setfit(problem(task))
    assert (predicted == problem(task).targets).double().mean() > 0.9
