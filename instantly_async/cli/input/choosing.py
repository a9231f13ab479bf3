"""Chooses how an input is read, by its name, its options, and its first bytes. No I/O."""

from collections.abc import Callable

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import LineId
from instantly_async.cli.system import Unpacking, compression_of, compression_of_name

from .csv_ids import CsvParser
from .formats import InputFormat, format_of_name, is_json, is_json_lines, is_table, names_lines
from .json_documents import JsonParser
from .json_ids import JsonLinesParser
from .lines import LineParser, Lines
from .recoding import Recoding, encoding_of
from .sniff import LEAST_BYTES, first_line_of, head_of, is_cut, kind_of
from .sought import Sought
from .stages import Chosen, Piped, Stage, Unchanged
from .text_ids import TextParser
from .understood import Understood
from .workbooks import WorkbookParser, is_workbook


def make_stages(
    form: InputFormat | None,
    name: str,
    column: str | None,
    sought: Sought,
    understood: Understood,
) -> tuple[Stage[bytes], Stage[LineId]]:
    """Return the stages from the bytes of an input to text, and from that to ids.

    ``form=None``: its name or its beginning shows the format. ``understood`` learns how it is read.

    Raises:
        InputError: the options contradict each other; the stages raise it for a bad input.
    """
    if column is not None and form == "text":
        raise InputError(
            f"--column is for tables and JSON, and {name} is read as text; add --input-format csv."
        )

    def unpack(head: bytes) -> Stage[bytes]:
        # An empty file with the name of a compressed one was cut off.
        compression = compression_of(head) if head else compression_of_name(name)
        if compression is None:
            return Unchanged()
        understood.compression = compression.name
        return Unpacking(compression)

    def recode(head: bytes) -> Stage[bytes]:
        encoding = encoding_of(head)
        if encoding is None:
            return Unchanged()
        understood.encoding = encoding
        return Recoding(name, encoding, sought.added)

    def parse(head: bytes) -> Stage[LineId]:
        return _Choice(form, name, column, sought, understood).parser_of(head)

    unpacked = Piped(Chosen(_first_bytes, unpack), Chosen(_first_bytes, recode))
    return unpacked, Chosen(head_of, parse)


def _first_bytes(read: bytearray) -> bytes | None:
    return bytes(read) if len(read) >= LEAST_BYTES else None


class _Choice:
    """What is known about an input: the options, its name, and what it turns out to be."""

    def __init__(
        self,
        form: InputFormat | None,
        name: str,
        column: str | None,
        sought: Sought,
        understood: Understood,
    ) -> None:
        self._given = form
        self._name = name
        self._column = column
        self._sought = sought
        self._understood = understood

    def parser_of(self, head: bytes) -> Stage[LineId]:
        """Return the stage that makes ids of an input that begins so.

        Raises:
            InputError: it is something else than a list of ids, or not of the given format.
        """
        if is_workbook(head):
            if self._given not in {None, "excel"}:
                raise InputError(f"{self._name} is a workbook; leave out --input-format.")
            return WorkbookParser(self._name, self._column, self._sought, self._understood)
        if (kind := kind_of(head)) is not None:
            remedy = kind.remedy.format(nouns=self._sought.nouns, kind=self._sought.kind)
            raise InputError(f"{self._name} is {kind.is_}; {remedy}.")
        line = first_line_of(head)
        form = self._form_of(line)
        if form == "json" and is_json(line) and not self._is_json_lines(line, head):
            self._understood.form = "JSON document"
            return JsonParser(self._name, self._column, self._sought, self._understood)
        return Lines(self._name, self._line_parser(form), self._understood)

    def _is_json_lines(self, line: str, head: bytes) -> bool:
        is_long = is_cut(head) and self._given is None and names_lines(self._name)
        return is_json_lines(line, self._column, self._sought, is_cut=is_long)

    def _form_of(self, line: str) -> InputFormat:
        """Return the format of an input with this first line.

        Raises:
            InputError: the format that was named, or that the name shows, cannot be right.
        """
        form = self._given or format_of_name(self._name)
        if form == "excel" and self._given is not None:
            raise InputError(f"{self._name} is not a workbook; leave out --input-format.")
        if form in {"csv", "tsv", "text"} and is_json(line):
            raise InputError(f"{self._name} begins like JSON; add --input-format json.")
        if form is not None and form != "excel":  # .xls may be anything that Excel opens
            return form
        if is_json(line):
            return "json"
        return "csv" if self._column is not None or is_table(line, self._sought) else "text"

    def _line_parser(self, form: InputFormat) -> LineParser:
        makers: dict[InputFormat, tuple[str, Callable[[], LineParser]]] = {
            "csv": (
                "CSV",
                lambda: CsvParser(self._name, self._column, self._sought, self._understood),
            ),
            "tsv": (
                "CSV",
                lambda: CsvParser(self._name, self._column, self._sought, self._understood, "\t"),
            ),
            "text": ("text", lambda: TextParser(self._sought)),
        }
        lines = (
            "JSON Lines",
            lambda: JsonLinesParser(self._name, self._column, self._sought, self._understood),
        )
        self._understood.form, make = makers.get(form, lines)
        return make()
