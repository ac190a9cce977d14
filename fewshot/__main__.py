"""The entry of `python -m fewshot`, the same as the command `fewshot`."""

import sys

from fewshot.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
