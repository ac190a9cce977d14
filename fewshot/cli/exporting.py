"""`fewshot export`: a fitted classifier as a graph that runs without torch."""

from collections.abc import Iterator
from pathlib import Path

from fewshot.cli.predicting import load_classifier
from fewshot.export.description import MODELS, TOKENIZER


def export_classifier(model: Path, output: Path, kind: str, int8: bool) -> Iterator[str]:
    """Export the classifier of a folder; gives lines for the terminal.

    Raises:
        FewshotError: anything that the user can mend; what was in the folder stays.
    """
    load_classifier(model).export(output, kind, int8)
    sizes = ", ".join(f"{name} {(output / name).stat().st_size / 1e6:.1f} MB" for name in (*MODELS[kind], TOKENIZER))
    yield f"Exported {model} to {output}: {sizes}"
    yield f"Classify without torch: fewshot predict {output} new.csv"
