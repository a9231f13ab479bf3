"""The name of an output: which format it shows, and whether it can be kept. Pure."""

import difflib
from pathlib import PurePath
from typing import Literal

from instantly_async.cli.exits import CommandError
from instantly_async.cli.system import COMPRESSIONS, compression_of_name

OutputFormat = Literal["jsonl", "csv", "parquet"]

SUFFIXES: dict[str, OutputFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}

_PACKERS = [each.suffix for each in COMPRESSIONS]
_OTHER_PACKED = {
    *(".zip", ".7z", ".rar", ".tar", ".tgz", ".lz4", ".lzma", ".br", ".z", ".gzip", ".zstd"),
}
"""What the file would not be, also with ``--format``."""


def format_of_output(
    path: str, chosen: OutputFormat | None = None, *, has_option: bool = True
) -> OutputFormat:
    """Return the format that was chosen with ``--format``, or that the file's name shows.

    ``has_option``: there is such an option.

    Raises:
        CommandError: the suffix is unknown, or promises what is not written.
    """
    lower = path.lower()
    last = PurePath(lower).suffix
    if last in _OTHER_PACKED:
        near = _nearest(lower.removesuffix(last), ".gz")
        raise CommandError(
            f"{path} cannot be written as {last}; end it with {_listed(_PACKERS)}{near}."
        )
    if chosen is not None:
        return chosen
    compression = compression_of_name(lower)
    packer = compression.suffix if compression else ""
    inner = lower.removesuffix(packer)
    for suffix, form in SUFFIXES.items():
        if inner.endswith(suffix):
            return form
    ends = _listed(_endings(packer))
    more = "" if packer else f", plus {_listed(_PACKERS)} to compress it"
    option = ", or use --format" if has_option else ""
    raise CommandError(
        f"The name {path} does not show the format; end it with {ends}{more}"
        f"{_nearest(inner, packer)}{option}."
    )


def _endings(packer: str) -> list[str]:
    """Return the endings with this compression; Parquet is compressed inside."""
    return [suffix + packer for suffix in SUFFIXES if not (packer and suffix == ".parquet")]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _nearest(inner: str, packer: str) -> str:
    ending = PurePath(inner).suffix + packer
    nearest = difflib.get_close_matches(ending, _endings(packer), n=1, cutoff=0.7)
    return f" (the nearest is {nearest[0]})" if nearest and ending != packer else ""
