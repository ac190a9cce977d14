"""Execute the notebooks in place: `python notebooks/execute.py`.

What is written is the same on every machine, as far as the numbers are: no times, no versions, no warnings.
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebooks() -> list[Path]:
    """All notebooks, in order."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path, folder: Path | str) -> NotebookNode:
    """Run all cells in a new kernel.

    Args:
        path: the notebook; it is not changed.
        folder: where the kernel works.

    Returns:
        The notebook with its outputs, and without what would differ from one run to the next.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    settings = {"timeout": 300, "kernel_name": "python3", "record_timing": False}
    NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **settings).execute()
    notebook.metadata = NotebookNode(_METADATA)
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":  # progress bars and the like
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


if __name__ == "__main__":
    for path in notebooks():
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(execute(path, folder), path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
