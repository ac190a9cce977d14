"""The entry of `python -m fewshot.run +task=medical_terms shots=5`; `fewshot.cli` is the command line itself."""

import os

import fewshot.native  # noqa: F401 - before torch is loaded

if "RANK" in os.environ:  # torch would warn in each process that no parameter was left unused
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

from fewshot.cli.main import main
from fewshot.processes import leave

__all__ = ["main"]

if __name__ == "__main__":
    leave(main())
