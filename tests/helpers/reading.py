"""Read ids as the command does, without I/O: chunks in, ids out."""

from instantly_async.cli.input import InputFormat
from instantly_async.cli.input.reader import IdReader
from instantly_async.cli.records import LineId


def read(
    data: bytes | str, form: InputFormat | None = "text", column: str | None = None, size: int = 7
) -> list[tuple[str, int]]:
    """Read everything in chunks of ``size``; return the ids with their line numbers."""
    return [(str(each), each.line) for each in ids_of(data, form, column, size)]


def ids_of(
    data: bytes | str, form: InputFormat | None = "text", column: str | None = None, size: int = 7
) -> list[LineId]:
    data = data.encode() if isinstance(data, str) else data
    reader = IdReader(form, "in", column)
    ids: list[LineId] = []
    for start in range(0, len(data), size):
        ids += reader.feed(data[start : start + size])
    return ids + list(reader.finish())
