"""Every notebook runs from top to bottom, shows what its text says, and is stored clean."""

import re
import warnings

import nbformat
import pytest

from notebooks.execute import execute, notebooks

NOTEBOOKS = {path.stem: path for path in notebooks()}


@pytest.fixture(scope="module", params=NOTEBOOKS)
def executed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="(jupyter_client|nbclient|zmq|traitlets)")
        notebook, errors = execute(NOTEBOOKS[request.param], folder)
    assert errors == ""  # no warning
    assert not list(folder.iterdir())  # nothing is left in the reader's folder
    return request.param, notebook


def shown(cell):
    """The text that a cell shows."""
    return "".join(output.get("text", output.get("data", {}).get("text/markdown", "")) for output in cell.outputs)


def all_shown(notebook):
    return "\n".join(map(shown, code_cells(notebook)))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def n_pictures(notebook):
    return sum("image/png" in output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs)


def accuracies(notebook):
    """Learner → accuracy in per cent, from the table in the last cell."""
    rows = re.findall(r"^\| \**([a-z ]+?)\** \| ([\d.]+) ± [\d.]+ % \|", shown(code_cells(notebook)[-1]), re.MULTILINE)
    return {learner: float(accuracy) for learner, accuracy in rows}


def first_episode(notebook):
    scores = accuracies(notebook)
    assert len(scores) == 4
    assert scores["attention prototypes"] > scores["nearest centroid"] + 1
    stored = accuracies(nbformat.read(NOTEBOOKS["01_first_episode"], as_version=4))
    assert scores == pytest.approx(stored, abs=0.5)  # rounding differs between processors
    right, wrong = map(float, re.findall(r"([\d.]+) %", "".join(map(shown, code_cells(notebook)[-3:-2]))))
    assert wrong < 0.8 * right
    assert n_pictures(notebook) == 3


def own_table(notebook):
    text = all_shown(notebook)
    assert int(re.search(r"(\d+) of 40 are right", text)[1]) >= 28
    low, high = map(int, re.search(r"95 % interval: (\d+) to (\d+) %", text).groups())
    assert 50 < low < high < 100
    assert text.count("with: None") == 3  # what has no label is rejected, and none of the new mails is
    assert "rejected of the 8 new mails: 0" in text
    assert re.search(r"before: +(?!parking).*\npartial_fit: +parking\nforget: +(?!parking)", text)
    assert "to the last bit: True" in text
    total, logit = map(float, re.search(r"add up to ([\d.]+), and the score is ([\d.]+)", text).groups())
    assert total == pytest.approx(logit, abs=0.002)
    assert re.search(r"coverage 0.95: ([\d.]+)", text)[1] >= re.search(r"coverage 0.80: ([\d.]+)", text)[1]


def comparing_learners(notebook):
    text = all_shown(notebook)
    assert float(re.search(r"correlation of the two: ([\d.]+)", text)[1]) > 0.7
    paired = dict(re.findall(r"^\| ([a-zA-Z ]+) \| \+[\d.]+ ± [\d.]+ \| ± [\d.]+ \| (\d+) times", text, re.MULTILINE))
    assert set(paired) == {
        "nearest centroid",
        "logistic regression",
        "ridge regression",
        "prototypical network",
        "MAML",
    }
    assert all(int(times) >= 4 for times in paired.values())
    wrong = [float(share) for share in re.findall(r"wrong sign in ([\d.]+) %", text)]
    assert wrong[0] < wrong[1]
    assert n_pictures(notebook) == 1


def maml_step_by_step(notebook):
    text = all_shown(notebook)
    assert len(re.findall(r"^\| [1-5] \| [\d.]+ \| [\d.]+ \| yes \|$", text, re.MULTILINE)) == 5
    assert "the same W to 12 digits: True" in text
    assert re.search("learn2learn: (agrees with ours|not installed)", text)
    finite, second, first = (
        float(re.search(rf"\| {way} \| ([-+.\d]+) \|", text)[1])
        for way in ("finite differences", "second order", "first order")
    )
    assert second == pytest.approx(finite, abs=2e-5)
    assert abs(first - finite) > 5e-4
    assert n_pictures(notebook) == 1


def shot_curve(notebook):
    text = all_shown(notebook)
    rows = re.findall(r"^\| (\d+) \| ([\d.]+)(?: ± [\d.]+)? \| ([\d.]*)", text, re.MULTILINE)
    prototypes = [float(accuracy) for _, accuracy, _ in rows[:6]]
    assert [shots for shots, *_ in rows[:6]] == ["0", "1", "2", "5", "10", "20"]
    assert prototypes == sorted(prototypes)
    assert float(rows[5][2]) > prototypes[-1]  # the head, at 20 texts
    assert "measured at 40" in text
    assert n_pictures(notebook) == 1


CHECKS = {
    "01_first_episode": first_episode,
    "02_own_table": own_table,
    "03_comparing_learners": comparing_learners,
    "04_maml_step_by_step": maml_step_by_step,
    "05_shot_curve": shot_curve,
}


@pytest.mark.slow
def test_it_shows_what_its_text_says(executed):
    name, notebook = executed
    CHECKS[name](notebook)


def test_every_notebook_has_its_check():
    assert list(CHECKS) == list(NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_its_stored_outputs_show_it_too(path):
    CHECKS[path.stem](nbformat.read(path, as_version=4))


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_it_is_stored_with_its_outputs_and_with_nothing_of_the_machine(path):
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 300_000
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert not any(cell.metadata for cell in notebook.cells)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert not re.search(r"/(home|root|Users|tmp)/|site-packages|Traceback", path.read_text(encoding="utf-8"))
