"""The docs site: it builds without a warning, its links lead somewhere, it asks no other host, its code runs."""

import doctest
import importlib.util
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

import fewshot
from fewshot.learners.names import NAMES
from tests.markdown import ROOT, blocks, commands, copy_samples, run_command

DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path for path in sorted(DOCS.rglob("*.md"))}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HOOKS = sorted((DOCS / "_hooks").glob("*.py"))
# Elements that make a browser fetch what they name.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "video": "src"}
NOT_FETCHED = {"canonical", "next", "prev"}  # kinds of <link>


class Html(HTMLParser):
    """The ids of a page, what it links to, and what a browser fetches for it."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched, self.tags = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.tags.append(tag)
        self.ids |= {named[name] for name in ("id", "name") if named.get(name)}
        if tag == "a" and named.get("href"):
            self.links.append(named["href"])
        elif tag in FETCHED and named.get(FETCHED[tag]) and named.get("rel") not in NOT_FETCHED:
            self.fetched.append(named[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the site needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def html(site):
    """The path of each page from the root of the site → the page."""
    return {
        str(path.relative_to(site)): Html(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))
    }


def inner(site, page, link):
    """The file of the site that a link of a page leads to, and the fragment; no file for a link to elsewhere."""
    path, fragment = urldefrag(link)
    if urlsplit(path).scheme or urlsplit(path).netloc:
        return None, fragment
    # A page that stands for any address links from the root.
    start = site if path.startswith("/") else (site / page).parent
    target = (start / unquote(path).lstrip("/")).resolve() if path else site / page
    return target / "index.html" if target.is_dir() else target, fragment


def test_every_link_leads_to_a_page_and_a_place_on_it(site, html):
    n_links, dead = 0, []
    for page, content in html.items():
        for link in content.links:
            target, fragment = inner(site, page, link)
            if target is None:
                continue
            n_links += 1
            root = site.resolve()
            page_there = html.get(str(target.relative_to(root))) if target.is_relative_to(root) else None
            place = not fragment or page_there is None or unquote(fragment) in page_there.ids
            if not target.is_file() or not place:
                dead.append((page, link))
    assert dead == []
    assert n_links > 500


def test_links_to_elsewhere_are_addresses(html):
    outer = {link for content in html.values() for link in content.links if urlsplit(link).scheme}
    assert len(outer) > 10
    for link in outer:
        parts = urlsplit(link)
        assert parts.scheme in ("https", "mailto"), link
        assert re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", parts.netloc), link


def test_a_browser_fetches_nothing_from_elsewhere(site, html):
    for page, content in html.items():
        for address in content.fetched:
            target, _ = inner(site, page, address)
            assert target is not None, (page, address)
            assert target.is_file(), (page, address)
        assert "mermaid" not in (site / page).read_text(encoding="utf-8")  # whose script the theme would fetch
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_every_page_and_every_notebook_is_in_the_menu(html):
    start = html["index.html"]
    menu = {link.rstrip("/") for link in start.links}
    expected = {name.removesuffix(".md").removesuffix("/index") for name in PAGES}
    expected |= {f"notebooks/{path.stem}" for path in NOTEBOOKS} | {"benchmarks", "CONTRIBUTING", "CHANGELOG"}
    assert expected <= menu


def test_a_notebook_is_shown_with_its_code_and_its_pictures(site, html):
    for path in NOTEBOOKS:
        page = f"notebooks/{path.stem}/index.html"
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        n_pictures = sum("image/png" in output.get("data", {}) for output in outputs)
        assert html[page].tags.count("img") == n_pictures
        text = (site / page).read_text(encoding="utf-8")
        assert text.count('<div class="language-python highlight">') == sum(c["cell_type"] == "code" for c in cells)


@pytest.mark.parametrize("name", NAMES)
def test_a_learner_has_a_page_with_equation_source_and_arguments(site, html, name):
    page = f"learners/{name}/index.html"
    content = html[page]
    assert {"equation", "in-a-few-lines", "source", "when"} <= content.ids
    assert "math" in content.tags
    text = (site / page).read_text(encoding="utf-8")
    assert "arithmatex" not in text  # each equation is MathML
    assert not re.search(
        r"\$[^<]*\$|\\frac|\\operatorname", re.sub(r"<(code|pre|annotation).*?</\1>", "", text, flags=re.S)
    )
    assert any(identifier.startswith("fewshot.") for identifier in content.ids)


@pytest.mark.parametrize("name", sorted(set(fewshot.__all__) - {"__version__"}))
def test_a_public_name_is_explained(html, name):
    assert [page for page, content in html.items() if f"fewshot.{name}" in content.ids]
    assert any(link.endswith(f"#fewshot.{name}") for link in html["api/index.html"].links)


def test_the_figures_are_those_of_the_benchmarks():
    measured = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [
        line for line in PAGES["which_one.md"].read_text(encoding="utf-8").splitlines() if re.match(r"\|.*\d\.\d", line)
    ]
    assert len(rows) > 25
    assert [row for row in rows if row not in measured] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name, path in PAGES.items() if blocks(path.read_text("utf-8"), "python")])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(PAGES[page].read_text(encoding="utf-8"), "python"))
    exec(compile(code, page, "exec"), {"__name__": "__main__"})
    assert "assert " in code or capsys.readouterr().out.strip()


@pytest.mark.slow
@pytest.mark.parametrize("path", [*PAGES.values(), *NOTEBOOKS], ids=lambda path: path.stem)
def test_the_commands_of_a_page_run_in_order(path, tmp_path):
    text = path.read_text(encoding="utf-8")
    if path in NOTEBOOKS:
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    copy_samples(tmp_path)
    for command in commands(text):
        done = run_command(command, tmp_path)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert done.stdout.strip() or " -o " in command, command


def test_every_block_of_code_is_of_a_language_that_is_run_or_no_code():
    for name, path in PAGES.items():
        found = set(re.findall(r"^```(\w*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)) - {""}
        assert found <= {"python", "bash", "text"}, name


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.stem)
def test_the_examples_of_a_hook_run(path, monkeypatch):
    pytest.importorskip("mkdocs", reason="the site needs the extra docs")
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_links_in_code_are_left_alone_and_others_follow_their_files(monkeypatch):
    pytest.importorskip("mkdocs", reason="the site needs the extra docs")
    monkeypatch.syspath_prepend(str(DOCS / "_hooks"))
    import pages

    changed = pages._outside_code("[a](b) `[c](d)` \n```python\nx[e](f)\n```\n[g](h)", lambda match: "](new)")
    assert changed == "[a](new) `[c](d)` \n```python\nx[e](f)\n```\n[g](new)"
    assert pages._target("../benchmarks/README.md#protocol", "docs/a/b.md") == (
        "docs/benchmarks/README.md",
        "#protocol",
    )
    assert pages._target("https://example.org/a", "README.md") == (None, "")
    assert pages._target("#protocol", "README.md") == (None, "")
