"""`python -m fewshot.report FOLDER...`: one table of all runs at or below some folders; with -o a page of them too."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot.cli.reporting import report_runs
from fewshot.errors import FewshotError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0, or 2 with one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m fewshot.report", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="folder", help="folder of a run or of a sweep")
    parser.add_argument("-o", "--output", type=Path, help="page to write, such as comparison.html")
    options = parser.parse_args(arguments)
    try:
        report_runs(options.folders, options.output)
    except FewshotError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
