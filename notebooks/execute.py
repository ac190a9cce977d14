"""Execute the notebooks in place: `python notebooks/execute.py`.

What is written is the same on every machine, as far as the numbers are: no times, no versions, no warnings.
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

FOLDER = Path(__file__).parent
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_SECONDS = 300  # of a cell, on a machine that others use as well


def notebooks() -> list[Path]:
    """All notebooks, in order."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path, folder: Path | str) -> tuple[NotebookNode, str]:
    """Run all cells in a new kernel.

    Args:
        path: the notebook; it is not changed.
        folder: where the kernel works.

    Returns:
        The notebook with its outputs, and without what would differ from one run to the next; and what its cells wrote
        to standard error, which is left out of it.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    settings = {"timeout": _SECONDS, "kernel_name": "python3", "record_timing": False}
    with tempfile.TemporaryDirectory() as sockets:  # a kernel that listens on the network warns that it does
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, config=config, **settings).execute()
    notebook.metadata = NotebookNode(_METADATA)
    errors = []
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":  # progress bars and the like
            errors += [output.text for output in cell.outputs if output.get("name") == "stderr"]
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook, "".join(errors)


if __name__ == "__main__":
    for path in notebooks():
        with tempfile.TemporaryDirectory() as folder:
            notebook, errors = execute(path, folder)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
        if errors:
            print(f"It wrote to standard error:\n{errors}")
