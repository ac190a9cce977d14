"""The command line: the only code that knows Hydra.

`main` → `typed` (arguments for Hydra) → Hydra → `job` → `check` (without torch) → `build` → `run_experiment`.
"""
