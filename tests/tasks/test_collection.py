"""Several tasks as one: each source keeps its classes, names and split, and no episode holds classes of two."""

from dataclasses import replace

import pytest
import torch

from fewshot.episodes.frozen import EpisodeRequest, draw
from fewshot.errors import ConfigError
from fewshot.experiment.episodes import calibration_episodes, valid_episodes
from fewshot.experiment.protocol import Protocol
from fewshot.tasks import collect
from fewshot.training import EncoderTrainer
from fewshot.training.settings import source_in_turn
from tests.synthetic import seeded, small_task

SMALL = small_task((6, 3, 5), name="small", descriptions=tuple(f"about {n}" for n in range(14)))
LARGE = small_task((24, 6, 8), per_class=7, name="large", synonyms=tuple((f"other {n}",) for n in range(38 * 7)))
BOTH = collect({"small": SMALL, "large": LARGE})


def sources(batch):
    """The source of each class of each episode."""
    return [{BOTH.source_of(label) for label in episode} for episode in batch.classes.tolist()]


def test_texts_labels_names_and_parts_are_those_of_each_source():
    for task, source in ((SMALL, "small"), (LARGE, "large")):
        for part in ("train", "valid", "test"):
            pools, own = BOTH.source_pools(part)[source], task.pools(part)
            assert [name.partition("/")[2] for name in pools.names] == list(own.names)
            rows = zip(pools.members.tolist(), own.members.tolist(), strict=True)
            assert all([BOTH.texts[i] for i in row] == [task.texts[i] for i in other] for row, other in rows)
    assert BOTH.classes[14] == "large/label00"
    assert BOTH.label_texts()[13:15] == ["label13: about 13", "label00"]
    assert (BOTH.synonyms[0], BOTH.synonyms[-1]) == ((), ("other 265",))
    assert BOTH.has_split


def test_of_one_task_it_is_the_task_itself():
    assert collect({"any": SMALL}) is SMALL
    assert list(SMALL.source_pools("train")) == ["small"]


def test_of_no_task_there_is_none():
    with pytest.raises(ConfigError, match="no task to collect"):
        collect({})


def test_training_episodes_are_each_of_one_source_in_proportion_to_a_power_of_its_classes():
    for power, share in ((0.0, 1 / 2), (0.5, 2 / 3), (1.0, 4 / 5)):
        trainer = EncoderTrainer(ways=5, source_power=power)
        pools = trainer.train_pools(BOTH)
        drawn = [sources(trainer.draw_episodes(pools, 2, step, seeded(step))) for step in range(1, 301)]
        assert all(len(found) == 1 for step in drawn for found in step)
        assert sum(step[0] == {"large"} for step in drawn) == pytest.approx(300 * share, abs=3)


def test_each_source_comes_in_each_support_size():
    pools = EncoderTrainer().train_pools(BOTH)
    trainer = EncoderTrainer(ways=5, shots=(1, 2, 3), queries=1)
    seen = {
        (*sources(batch)[0], batch.k_shot)
        for batch in (trainer.draw_episodes(pools, 1, n, seeded()) for n in range(40))
    }
    assert len(seen) == 6


def test_the_turns_of_a_single_source_take_no_part_in_the_draw():
    trainer = EncoderTrainer(ways=5)
    alone = trainer.draw_episodes([SMALL.pools("train")], 3, 7, seeded(1))
    again = replace(trainer, source_power=0.0).draw_episodes(trainer.train_pools(SMALL), 3, 7, seeded(1))
    assert torch.equal(alone.support, again.support)
    assert {source_in_turn(step, [3.0]) for step in range(50)} == {0}


def test_texts_of_a_train_class_are_capped():
    members = EncoderTrainer(train_texts=4).train_pools(BOTH)[0].members
    assert members.shape == (6, 4)
    assert len({*members.flatten().tolist()}) == 24


def test_valid_and_test_episodes_are_each_of_one_source():
    protocol = Protocol(ways=3, shots=1, queries=4)
    valid = valid_episodes(BOTH, protocol)
    assert [(batch.n_way, sources(batch)[0]) for batch in valid] == [(3, {"small"}), (3, {"large"}), (6, {"large"})]
    test = draw(BOTH, EpisodeRequest("test", 4, 2, 3, 11))
    assert sources(test) == [{"small"}] * 6 + [{"large"}] * 5
    assert draw(BOTH, EpisodeRequest("test", None, 2, 3, 4)).n_way == 5
    calibration = calibration_episodes(BOTH, protocol)
    assert {*map(tuple, sources(calibration))} == {("small",), ("large",)}
    assert calibration.n_way == 3
