"""The entry of `python -m fewshot`, the same as the command `fewshot`."""

from fewshot.cli.app import main
from fewshot.processes import leave

if __name__ == "__main__":
    leave(main())
