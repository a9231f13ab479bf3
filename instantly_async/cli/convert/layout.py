"""``Layout``: what a file should hold. The journal decides only what the options leave open."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from instantly_async.cli.exits import CommandError
from instantly_async.cli.records import (
    SHOWN_CHARS,
    PayloadKeys,
    Selection,
    fields_text,
    payload_key,
)
from instantly_async.cli.system import STDIO, Compression, compression_of_name
from instantly_async.models import Lead

from .columns import ALL_KEYS, columns_of
from .names import OutputFormat
from .writers import CsvWriter, JsonLinesWriter, ParquetWriter, Writer, import_arrow

MAX_COLUMNS = 16_384
"""Most columns that ``payload.*`` may make: those of Excel."""


TOO_MANY_COLUMNS = (
    f"{ALL_KEYS} makes more than {MAX_COLUMNS:,} columns, which no spreadsheet can open; name the "
    "keys that you need."
)
_SHOWN_FIELDS = 1000  # characters


class Found(NamedTuple):
    """What a journal holds: the fields to which it was cut, ``None`` for whole leads.

    ``keys`` are the keys of all payloads, which only ``needs_keys`` asks for.
    """

    cut: tuple[str, ...] | None = None
    keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """A format and its fields; ``names=None``: all that the journal has.

    ``compression`` is that of the file, ``None``: none, or inside of the format.
    """

    form: OutputFormat
    names: tuple[str, ...] | None = None
    labels: bool = False
    csv_raw: bool = False
    csv_bom: bool = False
    compression: Compression | None = None

    @property
    def is_derived(self) -> bool:
        """Whether the file is made from a journal at the end, and cannot be the journal itself."""
        return self.form != "jsonl" or self.compression is not None

    def needs_keys(self, cut: Sequence[str] | None) -> bool:
        """Whether the columns depend on the payloads, so that the journal is read twice."""
        has_payload = cut is None or "payload" in cut
        return self.form == "csv" and ALL_KEYS in (self.names or ()) and has_payload

    def writer(self, found: Found) -> tuple[Writer, PayloadKeys]:
        """Return the writer for a journal, and what watches for the selected keys.

        Raises:
            CommandError: no line of it can have one of the fields, or there are too many columns.
        """
        there = _fields_in(found.cut)
        names: Sequence[str] | None = there if self.names is None else self.names
        _require_all(names, there)
        if self.form == "jsonl":
            if self.names is None:
                return JsonLinesWriter(None), PayloadKeys(())
            selection = Selection(self.names)
            return JsonLinesWriter(selection), selection.payload_keys
        selected = [key for key in _payload_keys(names) if key != "*"]
        watch = PayloadKeys(selected)
        if self.form == "csv":
            names = _expanded(names, [*_payload_keys(there), *found.keys])
        columns = columns_of(names, labels=self.labels, keys=watch, maps=self.form == "parquet")
        if self.form == "csv":
            return CsvWriter(columns, guard=not self.csv_raw, bom=self.csv_bom), watch
        return ParquetWriter(columns), watch


def _fields_in(cut: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the fields that lines with these keys hold; ``None``: all that a lead can have."""
    if cut is None:
        return None
    return tuple(key for key in cut if key in Lead.__struct_fields__ or payload_key(key))


def _payload_keys(names: Iterable[str] | None) -> list[str]:
    return [key for name in names or () if (key := payload_key(name))]


def _require_all(names: Sequence[str] | None, there: Sequence[str] | None) -> None:
    """Check that lines which hold only these fields can have all that are named.

    Raises:
        CommandError: they cannot.
    """
    if there is None:
        return
    for name in names or ():
        has_payload = "payload" in there or (name == ALL_KEYS and _payload_keys(there))
        if name not in there and not (payload_key(name) and has_payload):
            fields = fields_text(there)
            shown = fields if len(fields) <= _SHOWN_FIELDS else f"{fields[:_SHOWN_FIELDS]}…"
            raise CommandError(
                f'The leads were fetched without "{name[:SHOWN_CHARS]}"; name only fields that '
                f"they have: {shown}."
            )


def _expanded(names: Sequence[str] | None, keys: Iterable[str]) -> Sequence[str] | None:
    """Put the name of each key, unless it is named already, in the place of ``payload.*``."""
    if names is None or ALL_KEYS not in names:
        return names
    at = names.index(ALL_KEYS)
    named = {*names[:at], *names[at + 1 :]}
    others = [name for key in dict.fromkeys(keys) if (name := f"payload.{key}") not in named]
    expanded = [*names[:at], *others, *names[at + 1 :]]
    if len(expanded) > MAX_COLUMNS:
        raise CommandError(TOO_MANY_COLUMNS)
    return expanded


def make_layout(
    output: str,
    form: OutputFormat,
    names: Sequence[str] | None,
    *,
    labels: bool = False,
    csv_raw: bool = False,
    csv_bom: bool = False,
) -> Layout:
    """Make a layout; ``names`` are the fields, ``None``: all. Nothing is read for that.

    The output's name decides whether it is compressed, also if it does not show the format.

    Raises:
        CommandError: the options do not fit the format or the name, or a package is missing.
    """
    if output == STDIO and form != "jsonl":
        raise CommandError(f"Only JSON Lines can be written to stdout; name a file for {form}.")
    for option, is_given in [("--csv-raw", csv_raw), ("--csv-bom", csv_bom)]:
        if is_given and form != "csv":
            raise CommandError(f"{option} is for CSV, and {output} will be {form}; leave it out.")
    if labels and form == "jsonl":
        raise CommandError(
            "--labels is for CSV and Parquet, because JSON Lines keep the server's own values; "
            "leave it out."
        )
    if ALL_KEYS in (names or ()):
        _check_all_keys(form, names or ())
    compression = _compression_of(output, form)
    if form == "parquet":
        import_arrow()
    names = None if names is None else tuple(names)
    return Layout(form, names, labels, csv_raw, csv_bom, compression)


def _compression_of(output: str, form: OutputFormat) -> Compression | None:
    compression = compression_of_name(output)
    if compression is None:
        return None
    if form == "parquet":
        raise CommandError(
            f"Parquet is compressed inside, so its name does not end with {compression.suffix}; "
            f"name it {output[: -len(compression.suffix)]}."
        )
    compression.load()  # before any request, if its package is missing
    return compression


def _check_all_keys(form: OutputFormat, names: Sequence[str]) -> None:
    if form == "jsonl":
        raise CommandError(
            f"{ALL_KEYS} is for CSV and Parquet, because JSON Lines hold the payload as it is; "
            "name payload."
        )
    if form == "parquet" and "payload" in names:
        raise CommandError(
            f"In Parquet, {ALL_KEYS} is the column payload, too; name only one of the two."
        )
