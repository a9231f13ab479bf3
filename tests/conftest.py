"""Load the package's own pytest plugin (its entry point is off, see pyproject.toml)."""

from hypothesis import settings

pytest_plugins = ["instantly_async.testing.plugin", "commands"]

# A slow machine is not a failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
