"""What the user sees: results.json, tables."""
