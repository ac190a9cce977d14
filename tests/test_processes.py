"""Which process this is, from what launchers put into the environment."""

import pytest

from fewshot import processes, progress
from fewshot.cli.typed import for_this_process
from fewshot.errors import ConfigError


@pytest.fixture
def launched(monkeypatch):
    def launch(index: int, count: int) -> None:
        monkeypatch.setenv("RANK", str(index))
        monkeypatch.setenv("WORLD_SIZE", str(count))

    return launch


def test_without_a_launcher_there_is_one(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # some schedulers leave this behind
    assert (processes.process_index(), processes.process_count(), processes.is_main()) == (0, 1, True)
    processes.connect()
    processes.disconnect()
    with processes.main_first():
        pass


@pytest.mark.parametrize(("index", "is_main"), [(0, True), (1, False), (3, False)])
def test_the_first_of_several_is_the_main_one(index, is_main, launched):
    launched(index, 4)
    assert (processes.process_index(), processes.process_count()) == (index, 4)
    assert processes.is_main() is is_main


def test_one_of_several_ends_without_taking_python_down(launched, monkeypatch):
    ended = []

    def end(status):
        ended.append(status)
        raise SystemExit(status)

    monkeypatch.setattr(processes.os, "_exit", end)
    monkeypatch.setattr(processes.logging, "shutdown", lambda: ended.append("logs"))
    launched(1, 2)
    with pytest.raises(SystemExit):
        processes.leave(3)
    assert ended == ["logs", 3]
    launched(0, 1)
    with pytest.raises(SystemExit) as stop:
        processes.leave(2)
    assert (stop.value.code, ended) == (2, ["logs", 3])


def test_only_the_main_process_shows_a_bar(launched, monkeypatch):
    started = []

    class Bar:
        def update(self, *arguments, **more):
            pass

        stop = update

    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr("fewshot.progress._is_terminal", lambda: True)
    monkeypatch.setattr(progress, "_start_bar", lambda *arguments: (started.append(arguments), (Bar(), 0))[1])
    for index in (1, 0):
        launched(index, 2)
        with progress.track("Training", 2) as advance:
            advance()
        assert len(started) == 1 - index


def test_hydra_leaves_folders_and_logs_to_the_main_process(launched):
    typed = ["+task=folder", "hydra.run.dir=here", "hydra/job_logging=stdout", "--config-dir", "conf"]
    launched(0, 2)
    assert for_this_process(typed) == typed
    launched(1, 2)
    found = for_this_process(typed)
    assert found[-3:] == ["+task=folder", "--config-dir", "conf"]
    assert {"hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=disabled"} <= set(found)
    assert len(found) == 7


def test_a_sweep_is_refused_in_several_processes(launched):
    launched(0, 2)
    with pytest.raises(ConfigError, match="Got -m in one of 2 processes"):
        for_this_process(["+task=folder", "-m"])
