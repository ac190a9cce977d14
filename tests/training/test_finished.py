"""Finished trainings are found again by all that determines them, and by nothing less."""

import pytest

from fewshot.errors import StorageError
from fewshot.training import Store
from fewshot.training.history import TrainingHistory


class Training:
    """Counts how often it is done."""

    def __init__(self, fails=False):
        self.done, self.fails = 0, fails

    def once(self, store, **determining):
        return store.files("bank", {"seed": 0, **determining}).finished.once(
            "The encoder", self.train, self.write, self.read, ("weights",)
        )

    def train(self):
        self.done += 1
        return f"weights {self.done}"

    def write(self, result, folder):
        if self.fails:
            raise StorageError("No space. Free some.")
        (folder / "weights").write_text(result)
        return {"length": len(result)}

    def read(self, folder, rest):
        text = (folder / "weights").read_text()
        if len(text) != rest["length"]:
            raise ValueError("a part is missing")
        return text


@pytest.fixture
def store(tmp_path):
    return Store(trainings=tmp_path)


def test_the_same_training_is_done_once_and_says_so(store, caplog):
    training = Training()
    caplog.set_level("INFO")
    assert [training.once(store), training.once(store)] == ["weights 1", "weights 1"]
    (message,) = caplog.messages
    assert message.startswith("The encoder: meta-trained on ")
    assert message.endswith("; reuse=false trains anew")


def test_another_setting_or_reuse_false_trains_anew(store, tmp_path):
    training = Training()
    assert training.once(store) == "weights 1"
    assert training.once(store, seed=1) == "weights 2"
    assert training.once(Store(trainings=tmp_path, reuse=False)) == "weights 3"
    assert training.once(store) == "weights 3"
    assert training.once(Store()) == "weights 4"


@pytest.mark.parametrize("name", ["weights", "training.json"])
def test_a_damaged_one_is_done_anew_and_replaced(store, tmp_path, caplog, name):
    training = Training()
    training.once(store)
    (path,) = tmp_path.rglob(name)
    path.write_text(path.read_text()[:-3])
    assert [training.once(store), training.once(store)] == ["weights 2", "weights 2"]
    (message,) = (one for one in caplog.messages if "anew" in one)
    assert "done anew" in message


def test_the_training_counts_where_it_cannot_be_kept(store, caplog):
    training = Training(fails=True)
    assert [training.once(store), training.once(store)] == ["weights 1", "weights 2"]
    assert caplog.messages[0] == "No space. Free some. The training is not kept, and the next run does it again."


def test_a_history_is_the_same_after_writing_and_reading():
    history = TrainingHistory(3, 2, [1.5, float("nan")], {0: 0.25, 2: 1 / 3})
    again = TrainingHistory.from_described(history.described())
    assert repr(again) == repr(history)
