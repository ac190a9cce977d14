"""`python -m fewshot.report FOLDER`: one table of all runs at or below a folder."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot.errors import FewshotError
from fewshot.report.collect import show_runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0, or 2 with one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m fewshot.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of a run or of a sweep")
    try:
        show_runs([parser.parse_args(arguments).folder])
    except FewshotError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
