"""Pages of the site that stand elsewhere: the README is its start, notebooks and other files of the repository follow.

A link of a page is the path to a file of the repository, as it is on the way to it in an editor. Where that file is a
page of the site, or a file that a page shows, the link leads to it there.
"""

import posixpath
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
from equations import with_mathml
from notebook import as_markdown

ROOT = Path(__file__).parents[2]
START = "README.md"
NOTEBOOKS = tuple(f"notebooks/{path.name}" for path in sorted((ROOT / "notebooks").glob("*.ipynb")))
PAGES = (START, "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "samples/README.md", *NOTEBOOKS)
_LINK = re.compile(r"(?<!`)\]\((?P<target>[^()\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def site_path(path: str) -> str:
    """Where the site has a file of the repository, both as paths from their roots.

    Example:
        >>> site_path("docs/settings.md"), site_path("README.md"), site_path("notebooks/01_first_episode.ipynb")
        ('settings.md', 'index.md', 'notebooks/01_first_episode.md')
    """
    if path == START:
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path.removesuffix(".ipynb") + ".md" if path.endswith(".ipynb") else path


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere, and files that a page links to."""
    for path in PAGES:
        source = (ROOT / path).read_text(encoding="utf-8")
        if path in NOTEBOOKS:
            source, pictures = as_markdown(source, Path(path).stem)
            for name, content in pictures.items():
                files.append(File.generated(config, f"notebooks/{name}", content=content))
        page = File.generated(config, site_path(path), content=source)
        page.repository_path = path
        files.append(page)
    for page in files.documentation_pages():
        for path in _linked(page.content_string, _repository_path(page)):
            if path not in PAGES and not path.startswith("docs/") and (ROOT / path).is_file():
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where the site has their files."""
    own = _repository_path(page.file)

    def translated(match: re.Match[str]) -> str:
        path, fragment = _target(match["target"], own)
        if path is None or path == own:
            return match[0]
        link = posixpath.relpath(site_path(path), posixpath.dirname(page.file.src_uri) or ".")
        return f"]({link}{fragment})"

    return _outside_code(markdown, translated)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn equations into MathML."""
    return with_mathml(html)


def _repository_path(page: File) -> str:
    return getattr(page, "repository_path", f"docs/{page.src_uri}")


def _target(link: str, own: str) -> tuple[str | None, str]:
    """The file of the repository that a link on a page leads to, if it leads to one, and the fragment with its #."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path:
        return None, ""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(own), parts.path))
    return path, f"#{parts.fragment}" if parts.fragment else ""


def _linked(markdown: str, own: str) -> list[str]:
    found: list[str] = []
    _outside_code(markdown, lambda match: found.append(_target(match["target"], own)[0] or "") or match[0])
    return [path for path in dict.fromkeys(found) if path]


def _outside_code(markdown: str, change) -> str:
    """Change the links of a page, and leave alone what looks like one in its code."""
    kept, place = [], 0
    for code in _FENCE.finditer(markdown):
        kept += [_LINK.sub(change, markdown[place : code.start()]), code[0]]
        place = code.end()
    return "".join([*kept, _LINK.sub(change, markdown[place:])])
