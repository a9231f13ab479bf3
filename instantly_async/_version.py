"""The version, from the metadata of the installed package."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("instantly-async")
except PackageNotFoundError:  # a copy without metadata, such as a zipapp
    __version__ = "unknown"
