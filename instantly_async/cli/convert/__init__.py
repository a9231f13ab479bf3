"""Conversion: from JSON Lines to CSV, Parquet or shorter JSON Lines.

Decides columns, cells, delimiters, files and compression. Must not know how leads were fetched.
"""

from .columns import parse_fields
from .conversion import check_output, convert
from .layout import Layout, make_layout
from .names import OutputFormat, format_of_output

__all__ = [
    "Layout",
    "OutputFormat",
    "check_output",
    "convert",
    "format_of_output",
    "make_layout",
    "parse_fields",
]
