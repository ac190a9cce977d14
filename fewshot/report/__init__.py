"""Reports of runs: results.json, tables."""
