"""A package, so that it goes before the `tests` that learn2learn installs beside itself."""
