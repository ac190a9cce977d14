"""A notebook as a page: its text, its code, and the outputs that are stored with it."""

import base64
import re
from typing import Any

import nbformat


def as_markdown(source: str, name: str) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and the pictures that it shows.

    Args:
        source: the notebook's JSON.
        name: that the names of the pictures begin with.

    Returns:
        Markdown; and file name → content of each picture.
    """
    parts: list[str] = []
    heading = name
    pictures: dict[str, bytes] = {}
    for cell in nbformat.reads(source, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            heading = [heading, *re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE)][-1]
            continue
        parts.append(f"```python\n{cell.source}\n```")
        parts += [_shown(output, name, pictures, heading) for output in cell.outputs]
    return "\n\n".join(parts) + "\n", pictures


def _shown(output: Any, name: str, pictures: dict[str, bytes], heading: str) -> str:
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    data = output.data
    if "image/png" in data:
        file = f"{name}_{len(pictures) + 1}.png"
        pictures[file] = base64.b64decode(data["image/png"])
        return f"![Chart of the code above it: {heading}]({file})"
    if "text/markdown" in data:
        return data["text/markdown"]
    if "text/html" in data:
        return data["text/html"]
    return f"```text\n{data['text/plain']}\n```"
