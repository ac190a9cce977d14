"""The pages of the server in headless Chromium: a text in, label, probabilities and what decided out."""

import asyncio
import threading
import time

import pytest
import uvicorn

from fewshot.serving.app import create_app
from fewshot.serving.guard import Guard
from fewshot.serving.limits import Limits
from fewshot.serving.models import Models
from fewshot.serving.service import Service
from fewshot.text_classifier import TextClassifier
from tests.browsing import browser, is_dark, open_tab, violations  # noqa: F401 - fixtures
from tests.serving.conftest import TEXTS

KEY = "the key"


@pytest.fixture(scope="module")
def address(mails, other):
    """Where a server with two models and a key listens, in a thread of this process."""
    service = Service(Models({"mails": mails, "other": other}), Limits())
    guard = Guard(create_app(service), key=KEY, hosts=(), timeout=5.0, on_response=lambda path, status, seconds: None)
    server = uvicorn.Server(uvicorn.Config(guard, port=0, log_config=None, access_log=False, lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def opened(open_tab, address):  # noqa: F811
    """Open a page of the server; gives the tab, what was logged, and what was asked of other hosts."""
    return lambda path="/", scheme="light", width=1280: open_tab(address + path, address, scheme, width)


def with_key(tab):
    """Give the key that the page asks for, and wait until it knows the models."""
    tab.get_by_label("Key of the server").fill(KEY)
    classify(tab, "x")


def classify(tab, text):
    tab.get_by_label("Text", exact=True).fill(text)
    tab.get_by_role("button", name="Classify").click()
    tab.locator("#answer[aria-busy=false]").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_text_gets_its_label_its_probabilities_and_what_decided(opened, mails, scheme):
    classifier = TextClassifier.from_pretrained(mails)
    tab, noise = opened(scheme=scheme)
    with_key(tab)
    noise.clear()  # the first question without a key is an error to the browser
    classify(tab, TEXTS[1])

    assert tab.locator("#label").inner_text() == classifier.predict([TEXTS[1]])[0]
    said = [float(cell) for cell in tab.locator("#probabilities tbody td.n").all_inner_texts()]
    assert said == pytest.approx(sorted((100 * classifier.predict_proba([TEXTS[1]])[0]).tolist())[::-1], abs=0.06)
    assert tab.locator("#evidence tbody tr").first.inner_text().endswith(TEXTS[1])
    assert tab.locator("#evidence tbody tr").count() == 5
    assert violations(tab) == []
    assert noise == []
    assert is_dark(tab) == (scheme == "dark")


def test_another_model_is_asked_and_a_text_of_a_user_does_nothing(opened):
    tab, noise = opened()
    with_key(tab)
    noise.clear()
    tab.get_by_label("Model").select_option("other")
    classify(tab, "<img src=x onerror=alert(1)><script>alert(2)</script> red")
    assert tab.locator("#digest").inner_text().startswith("Answered by other, digest ")
    assert tab.locator("img").count() == 0
    assert noise == []


def test_an_answer_that_comes_late_does_not_replace_the_one_to_a_later_question(opened):
    tab, _ = opened()
    with_key(tab)
    held = []
    tab.route("**/predict", lambda route: held.append(route), times=1)
    tab.get_by_label("Model").select_option("other")
    tab.get_by_role("button", name="Classify").click()
    assert tab.locator("#answer").get_attribute("aria-busy") == "true"
    tab.get_by_label("Model").select_option("mails")
    classify(tab, TEXTS[1])
    with tab.expect_response("**/predict") as late:
        held[0].continue_()
    late.value.finished()
    tab.wait_for_timeout(100)
    assert tab.locator("#digest").inner_text().startswith("Answered by mails, digest ")


def test_a_problem_is_shown_in_the_words_of_the_server(opened):
    tab, _ = opened()
    tab.locator("#key-row").wait_for()
    assert tab.get_by_role("alert").inner_text().startswith("The request bears no key, or a wrong one.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_interface_is_shown_without_a_request_elsewhere(opened, scheme):
    tab, noise = opened("/docs", scheme)
    heads = tab.get_by_role("heading", level=2).all_inner_texts()
    assert heads[:4] == ["POST /predict", "GET /models", "GET /health", "GET /metrics"]
    tab.get_by_role("link", name="PredictRequest").first.click()
    assert "1 to 256 texts" in tab.locator("#PredictRequest + p + table").inner_text()
    assert violations(tab) == []
    assert noise == []


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_are_no_wider_than_a_phone(opened, path):
    tab, _ = opened(path, width=390)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
