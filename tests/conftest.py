"""Load the package's own pytest plugin (its entry point is off, see pyproject.toml)."""

pytest_plugins = ["instantly_async.testing.plugin", "commands"]
