"""Headless Chromium for tests of pages; a module that imports from here is skipped where something of it is missing."""

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no chromium on the path; `apt-get install chromium` brings it", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_tab(browser):
    """Open an address; gives the tab, and what was logged, or asked of addresses that do not start with `own`."""
    contexts = []

    def opened(address, own, scheme="light", width=1280):
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        contexts.append(context)
        tab, noise = context.new_page(), []
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("dialog", lambda dialog: noise.append(dialog.message))
        tab.on("request", lambda request: request.url.startswith(own) or noise.append(request.url))
        tab.goto(address)
        return tab, noise

    yield opened
    for context in contexts:
        context.close()


def violations(tab):
    """What axe-core finds in a tab."""
    return [(one["id"], one["nodes"][0]["html"]) for one in axe.Axe().run(tab).response["violations"]]


def is_dark(tab):
    return tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
