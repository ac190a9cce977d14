"""One self-contained HTML page of a classifier, a run, or several runs."""
