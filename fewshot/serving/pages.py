"""The pages of the server: one to try the models, one that shows the interface; both load nothing from elsewhere."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent


@cache
def try_page() -> str:
    """A page to paste a text in and see its label, the probabilities and what decided."""
    return (_HERE / "try.html").read_text(encoding="utf-8")


def docs_page(document: dict[str, Any]) -> str:
    """An OpenAPI document as a page."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("docs.html").render(document=document)


def _hashes(kind: str) -> str:
    """Hashes of the scripts or styles of both pages, for the policy."""
    found = []
    for page in ("try.html", "docs.html"):
        for content in re.findall(rf"<{kind}>(.*?)</{kind}>", (_HERE / page).read_text(encoding="utf-8"), re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            found.append(f"'sha256-{digest}'")
    return " ".join(found)


HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; connect-src 'self'; "
        f"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}
