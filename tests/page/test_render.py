"""The HTML of a page, without a browser."""

import re

import pytest
import torch

from fewshot.errors import StorageError
from fewshot.page.answers import Answers
from fewshot.page.page import Page, Row, answered
from fewshot.page.render import render, write_page
from tests.page.pages import HOSTILE, page_of

SECTIONS = (
    *("Baselines", "Labels", "Confusions", "Wrong texts", "Confidence", "Map", "None of these"),
    *("Groups", "Changed texts", "Texts in order", "Curves", "New texts", "Configuration", "Command that repeats this"),
)


@pytest.fixture(scope="module")
def html():
    return render(page_of(150))


def test_a_page_of_150_labels_is_small_and_has_all_sections(html):
    assert len(html.encode()) < 2_000_000
    assert tuple(re.findall(r"<h2 [^>]*>(.*?)</h2>", html)) == SECTIONS
    assert set(re.findall(r'href="#(.*?)"', html)) == set(re.findall(r'<h2 id="(.*?)"', html))


def test_texts_of_users_are_escaped_wherever_they_are(html):
    assert HOSTILE not in html
    assert "<img" not in html
    assert html.count("</script>") == 1
    assert html.count("&lt;/script&gt;&lt;img") > 10


def test_many_labels_of_long_names_that_are_all_confused_are_still_small():
    n = 150
    labels = tuple(f"{number} {'label ' * 100}" for number in range(n))
    targets, predicted = (grid.flatten() for grid in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    places = torch.arange(n * n)
    answers = Answers(labels, ["text " * 200] * (n * n), places, targets, predicted, torch.full((n * n,), 0.5))
    html = render(Page("title", "summary", (), **answered(answers, ["why " * 200] * 200)))
    assert len(html.encode()) < 2_000_000


def test_nothing_is_loaded(html):
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^">)\s]*)', html.replace(HOSTILE, ""))
    assert {one for one in addresses if not one.startswith(("#", "data:"))} <= {"x"}  # of the hostile text, escaped


def test_ids_are_there_once(html):
    ids = re.findall(r' id="(.*?)"', html)
    assert len(ids) == len(set(ids))


def test_a_page_with_a_number_alone_has_no_empty_section():
    html = render(Page("title", "summary", (Row("several", "71.0", macro_f1="70.0"),), measure="micro-F1"))
    assert re.findall(r"<h2 [^>]*>(.*?)</h2>", html) == ["Baselines"]
    assert "71.0 %" in html
    assert "calibration error" not in html


def test_an_earlier_page_is_replaced_and_no_other_file(tmp_path):
    page, strange = tmp_path / "report.html", tmp_path / "data.csv"
    write_page(page, Page("first", "", ()))
    write_page(page, Page("second", "", ()))
    assert "<title>second</title>" in page.read_text()
    strange.write_text("text,label\n")
    with pytest.raises(StorageError, match=r"data.csv' is there already and is no page of fewshot's"):
        write_page(strange, Page("third", "", ()))
    assert strange.read_text() == "text,label\n"
    with pytest.raises(StorageError, match="is a folder"):
        write_page(tmp_path, Page("fourth", "", ()))


def test_half_a_surrogate_can_be_written(tmp_path):
    write_page(tmp_path / "page.html", Page("broken \ud83d", "", ()))
    assert "broken \\ud83d" in (tmp_path / "page.html").read_text()


def test_what_is_wrong_with_the_texts_and_where_accuracy_differs_has_its_section(html):
    assert "2 pairs of texts say the same and have different labels." in html
    assert ">typos</th>" in html
    assert "Of random groups of these sizes" in html
