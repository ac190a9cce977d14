"""Code in Markdown, taken out and run as its reader would."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(text, language):
    """The fenced blocks of a language, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [block for of, block in found if of == language]


def commands(text):
    """What a reader types of its bash blocks, without comments: all that runs this package."""
    lines = "".join(blocks(text, "bash")).splitlines()
    typed = [line.split("#")[0].strip() for line in lines]
    return [line for line in typed if line.startswith(("python -m", "fewshot "))]


def run_command(command, folder):
    """Run it in a folder, with this interpreter."""
    typed = command.removeprefix("python ").split() if command.startswith("python") else ["-m", *command.split()]
    return subprocess.run([sys.executable, *typed], cwd=folder, capture_output=True, text=True, check=False)


def copy_samples(folder):
    """The tables that the commands read, in `samples` and beside it."""
    shutil.copytree(ROOT / "samples", folder / "samples")
    shutil.copytree(ROOT / "samples", folder, dirs_exist_ok=True)
