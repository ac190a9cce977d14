import warnings
from types import SimpleNamespace

import pytest

from fewshot import progress


class Bar:
    """Records its updates."""

    def __init__(self):
        self.updates, self.stopped = [], False

    def update(self, task_id, completed, note):
        self.updates.append((task_id, completed, note))

    def stop(self):
        self.stopped = True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns, in seconds."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    return now


@pytest.fixture
def started(monkeypatch):
    """The bars that were started, with the arguments they were started with."""
    bars = []

    def start(description, total, done):
        bars.append((Bar(), (description, total, done)))
        return bars[-1][0], "id"

    monkeypatch.setattr(progress, "_start_bar", start)
    monkeypatch.setattr(progress, "_is_terminal", lambda: True)
    return bars


def test_nothing_is_shown_for_work_of_less_than_two_seconds(clock, started, capsys):
    with progress.track("Encoding", total=3) as advance:
        for _ in range(3):
            clock.seconds += 0.6
            advance()
    assert started == []
    assert capsys.readouterr() == ("", "")


def test_the_bar_starts_with_what_was_done_before_it_came_into_sight(clock, started):
    with progress.track("Encoding", total=10) as advance:
        advance(3)
        clock.seconds += 2.5
        advance(2)
        advance()
    [(bar, arguments)] = started
    assert arguments == ("Encoding", 10, 5)
    assert [completed for _, completed, _ in bar.updates] == [5, 6]
    assert bar.stopped


def test_the_text_behind_the_bar_is_rate_and_note(clock, started):
    with progress.track("Encoding", total=5000, unit="texts") as advance:
        clock.seconds += 4
        advance(5000, note="loss 0.1")
        advance(0)
    notes = [note for _, _, note in started[0][0].updates]
    assert notes == ["1,250 texts/s  loss 0.1", "1,250 texts/s"]


def test_an_error_inside_takes_the_bar_away_and_goes_on(clock, started):
    def fail():
        with progress.track("Encoding", total=2) as advance:
            clock.seconds += 3
            advance()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert started[0][0].stopped


def test_a_log_file_gets_no_bar(clock, capsys):
    with progress.track("Encoding", total=2) as advance:
        clock.seconds += 3
        advance()
        advance()
    assert capsys.readouterr() == ("", "")


def test_one_bar_is_in_sight_at_a_time(clock, started):
    with progress.track("Augmenting", total=2) as outer:
        for _ in range(2):
            with progress.track("Encoding", total=2) as inner:
                clock.seconds += 3
                inner(2)
            outer()
    with progress.track("Encoding", total=1) as alone:
        clock.seconds += 3
        alone()

    # The first encoding was over before the outer work had moved; the second found the outer bar in sight.
    assert [arguments[0] for _, arguments in started] == ["Encoding", "Augmenting", "Encoding"]
    assert all(bar.stopped for bar, _ in started)
    assert [completed for _, completed, _ in started[1][0].updates] == [1, 2]


def test_a_file_gets_a_line_every_half_minute(clock, started, monkeypatch, caplog):
    monkeypatch.setattr(progress, "_is_terminal", lambda: False)
    with caplog.at_level("INFO", logger="fewshot.progress"), progress.track("Encoding", total=9) as advance:
        for _ in range(9):
            clock.seconds += 11
            advance(note="fast")
    assert started == []
    assert [record.getMessage() for record in caplog.records] == [
        "Encoding: 3 of 9 after 33 s  fast",
        "Encoding: 6 of 9 after 66 s  fast",
        "Encoding: 9 of 9 after 99 s  fast",
    ]


def test_tqdm_is_imported_without_its_advice_on_widgets(monkeypatch):
    imported = []

    def warned(name):
        imported.append(name)
        warnings.warn("IProgress not found. Please update jupyter and ipywidgets.", stacklevel=2)

    monkeypatch.setattr(progress, "import_module", warned)

    progress.import_tqdm()  # a warning would be an error

    assert imported == ["tqdm.auto"]
