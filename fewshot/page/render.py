"""From a `Page` to one HTML file without a request: styles, one script and all charts are inside.

Jinja2 escapes whatever is put into a template. A content security policy lets no script run but the one whose hash it
has, and nothing load.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fewshot.page import charts, svg, tables
from fewshot.page.comparison import Comparison
from fewshot.page.page import Page
from fewshot.page.replaceable import check_replaceable
from fewshot.storage import write_text


def write_page(path: Path | str, page: Page | Comparison) -> None:
    """Render a page to a file, whole or not at all.

    Raises:
        StorageError: the file cannot be written, or is there already and is no page of this package.
    """
    check_replaceable(path)
    write_text(path, render(page))


def render(page: Page | Comparison) -> str:
    """The HTML of a page."""
    environment = _environment()
    script = environment.get_template("page.js").render()
    template = environment.get_template("comparison.html" if isinstance(page, Comparison) else "page.html")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return template.render(page=page, charts=charts, tables=tables, script_hash=digest)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"breakable": svg.breakable, "short": svg.short}
    return environment


def _finalize(value: Any) -> Any:
    return svg.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
