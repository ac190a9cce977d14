"""Pages in headless Chromium: nothing is loaded, nothing is logged, axe-core finds nothing, a keyboard is enough."""

import pytest

from fewshot.page.comparison import comparison_of
from fewshot.page.render import write_page
from fewshot.report.collect import collect
from tests.browsing import browser, is_dark, open_tab, violations  # noqa: F401 - fixtures
from tests.page.pages import HOSTILE, page_of
from tests.report.test_collect import write

SIZES = (2, 27, 150)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths of pages by the number of labels, and of a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    for size in SIZES:
        write_page(folder / f"{size}.html", page_of(size))
    for number, shots in enumerate((1, 5, 5)):
        accuracies = [0.5, 0.6, 0.7 + number / 10]
        learner, episodes = ("ridge" if number == 2 else "centroid"), f"{shots} shots"
        write(folder / "runs" / str(number), accuracies, shots=shots, learner=learner, episodes_sha256=episodes)
    (folder / "runs" / "0" / "report.html").write_text("page of a run")
    write_page(folder / "comparison.html", comparison_of(collect(folder / "runs"), folder / "comparison.html"))
    return {path.stem: path for path in folder.glob("*.html")}


@pytest.fixture
def opened(open_tab, files):  # noqa: F811
    """Open a page in a colour scheme at a width; gives the tab, and what was logged or asked for beside it."""

    def open_page(name, scheme="light", width=1280):
        address = files[str(name)].as_uri()
        return open_tab(address, address, scheme, width)

    return open_page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [2, 27, pytest.param(150, marks=pytest.mark.slow), "comparison"])
def test_a_page_renders_in_silence_and_axe_finds_nothing(opened, name, scheme):
    tab, noise = opened(name, scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

    assert violations(tab) == []
    assert noise == []
    for chart in tab.locator("svg").all():
        assert chart.bounding_box()["height"] > 50
    assert is_dark(tab) == (scheme == "dark")


@pytest.mark.parametrize("width", [390, 820])
@pytest.mark.parametrize("name", [2, 27, pytest.param(150, marks=pytest.mark.slow), "comparison"])
def test_a_page_is_no_wider_than_its_window(opened, name, width):
    tab, _ = opened(name, width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_texts_of_users_are_shown_and_do_nothing(opened):
    tab, noise = opened(2)
    assert noise == []
    assert tab.title() == f"A classifier of 2 labels, {HOSTILE}"
    assert tab.locator("img").count() == 0
    assert tab.locator("script").count() == 1
    assert tab.get_by_role("heading", level=1).inner_text() == f"A classifier of 2 labels, {HOSTILE}"
    assert tab.locator("section[aria-labelledby=labels] tbody th").first.inner_text() == HOSTILE


def test_a_head_sorts_by_keyboard(opened):
    tab, _ = opened(27)
    region = tab.get_by_role("region", name="Table: scores of each label")
    recall = region.get_by_role("button", name="recall %")

    def column():
        return [float(cell) for cell in region.locator("tbody td:nth-child(4)").all_inner_texts()]

    before = column()
    recall.focus()
    tab.keyboard.press("Enter")
    assert column() == sorted(before, reverse=True) != before
    tab.keyboard.press("Enter")
    assert column() == sorted(before)
    assert region.locator("th[aria-sort=ascending]").inner_text().startswith("recall %")


def test_all_tables_and_charts_can_be_reached_by_keyboard_and_have_names(opened):
    tab, _ = opened(27)
    named = tab.locator("[role=region]")
    assert named.count() >= 12
    for region in named.all():
        assert region.get_attribute("tabindex") == "0"
        assert region.get_attribute("aria-label").startswith(("Table: ", "Chart: "))
    assert tab.get_by_role("img").count() == 6  # the charts: a title and a description each
    for chart in tab.locator("svg").all():
        said = chart.get_attribute("aria-labelledby").split()
        assert all(tab.locator(f"#{name}").text_content() for name in said)


def test_a_comparison_leads_to_the_pages_of_its_runs(opened):
    tab, _ = opened("comparison")
    links = tab.locator("section[aria-labelledby=commands] a")
    assert links.count() == 1  # the others have none
    links.click()
    assert tab.content().count("page of a run") == 1
