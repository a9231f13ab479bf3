"""``convert``: leads from JSON Lines to another format."""

from instantly_async.cli import exits
from instantly_async.cli.options import OutputOptions, Quiet
from instantly_async.cli.target import convert_visibly, layout_of
from instantly_async.cli.usage import path_of

from .arguments import DEFAULT_OUTPUT, File, Force, start


def convert(
    leads: File,
    output: File,
    /,
    *,
    options: OutputOptions = DEFAULT_OUTPUT,
    force: Force = False,
    quiet: Quiet = False,
) -> int:
    """Convert leads to CSV, Parquet or JSON Lines.

    The output appears when it is complete.

    Args:
        leads: JSON Lines that `fetch` wrote, also compressed; - is stdin.
        output: New file, named .jsonl, .csv, .parquet, or like .csv.gz.
        options: Shared options.
        force: Replace an existing file.
        quiet: Hide progress and summary.
    """
    terminal = start("warning")
    leads, output = path_of(leads), path_of(output)
    layout = layout_of(output, options)
    convert_visibly(leads, output, layout, terminal, quiet=quiet, force=force)
    return exits.ALL_FOUND
