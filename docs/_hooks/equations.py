"""Equations as MathML, which browsers show without a script; arithmatex finds them as GitHub does."""

import html
import re

from latex2mathml.converter import convert

_FOUND = re.compile(r'<(?:span|div) class="arithmatex">\s*\\([\[(])(.*?)\\[\])]\s*</(?:span|div)>', re.DOTALL)


def with_mathml(page: str) -> str:
    """The HTML of a page with MathML in place of the LaTeX that arithmatex marked.

    Example:
        >>> with_mathml('<span class="arithmatex">\\\\(x^2\\\\)</span>')
        '<math ...><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
    """
    return _FOUND.sub(_converted, page)


def _converted(match: re.Match[str]) -> str:
    block = match[1] == "["
    mathml = convert(html.unescape(match[2]).strip(), display="block" if block else "inline")
    return f'<div class="equation">{mathml}</div>' if block else mathml
