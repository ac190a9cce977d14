"""The pages of the server: one to try the models, one that shows the interface; both load nothing from elsewhere."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def try_page() -> str:
    """A page to paste a text in and see its label, the probabilities and the evidence."""
    return _environment().get_template("try.html").render()


def docs_page(document: dict[str, Any]) -> str:
    """An OpenAPI document as a page."""
    return _environment().get_template("docs.html").render(document=document)


def headers(page: str) -> dict[str, str]:
    """A content security policy that allows the script and the style of a page, and requests to its own server."""
    return {
        "content-security-policy": (
            f"default-src 'none'; script-src {_hashes(page, 'script')}; style-src {_hashes(page, 'style')}; "
            f"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    }


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def _hashes(page: str, kind: str) -> str:
    digests = []
    for content in re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        digests.append(f"'sha256-{digest}'")
    return " ".join(digests) or "'none'"
