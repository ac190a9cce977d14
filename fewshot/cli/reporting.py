"""`fewshot report`: a table of runs, and the page that compares them."""

from collections.abc import Sequence
from pathlib import Path

from fewshot.report.collect import Run, collect, sweep_table
from fewshot.report.jobs import JobWithoutResults, jobs_without_results
from fewshot.report.table import failed_table, show


def report_runs(folders: Sequence[Path], output: Path | None) -> None:
    """Report on all finished runs at or below some folders, and on the jobs that failed.

    Args:
        folders: of runs or sweeps.
        output: file of the page that compares the runs; None writes none.

    Raises:
        FewshotError: there are no runs, they cannot be read, or the page cannot be written.
    """
    failed = jobs_without_results(folders)
    runs: list[Run] = []
    if not failed or any(True for folder in folders for _ in folder.rglob("results.json")):
        runs = [run for folder in folders for run in collect(folder)]
    show_runs(runs, failed, output)


def show_runs(runs: Sequence[Run], failed: Sequence[JobWithoutResults], output: Path | None) -> None:
    """Print a table of runs and one of the jobs that failed, and write the page that compares the runs."""
    if runs:
        show(sweep_table(runs))
    if failed:
        show(failed_table(failed))
    if runs and output is not None:
        from fewshot.page.comparison import comparison_of
        from fewshot.page.render import write_page

        write_page(output, comparison_of(runs, output, failed))
        print(f"Page: {output}")
