"""New texts from few: sources that propose them, and the filter that keeps what still means the same."""
