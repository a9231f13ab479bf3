"""Packages of the extras: imported on first use, and named in one sentence if they are missing."""

from importlib import import_module
from typing import Any

from .errors import ConfigurationError


def load_extra(module: str, *, what: str, extra: str) -> Any:
    """Import a module of an extra, which ``what`` needs, such as ``"Parquet"``.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{what} needs the extra \"{extra}\": pip install 'instantly-async[{extra}]' "
            f"(no module {error.name})."
        ) from None
