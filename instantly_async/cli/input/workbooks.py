"""``WorkbookParser``: ids of the first sheet of a workbook, by python-calamine. No I/O."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import RowId

from .cells import tidy
from .tables import IdColumn
from .understood import Understood

MAX_WORKBOOK_BYTES = 256 * 1024 * 1024
"""Largest workbook that is read (*choice*); it has to be in memory as a whole."""

_ZIPPED = re.compile(
    rb"PK\x03\x04.{26}(?:\[Content_Types\]|_rels/|docProps/|xl/|mimetype)", re.DOTALL
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def is_workbook(head: bytes) -> bool:
    """Whether a file that begins so may be a workbook: .xlsx, .xlsb, .ods or .xls."""
    return _ZIPPED.match(head) is not None or head.startswith(_OLE)


class WorkbookParser:
    """A stage that collects a workbook and reads its first sheet; its first row has the names.

    Raises:
        InputError: python-calamine is not installed.
    """

    def __init__(self, name: str, column: str | None, understood: Understood) -> None:
        self._name = name
        self._calamine = _import_calamine()
        self._id = IdColumn(name, column, understood)
        self._understood = understood
        understood.encoding = None
        self._data = io.BytesIO()

    def feed(self, data: bytes) -> Iterator[RowId]:
        self._data.write(data)
        if self._data.tell() > MAX_WORKBOOK_BYTES:
            raise InputError(
                f"{self._name} is a workbook of more than {MAX_WORKBOOK_BYTES >> 20} MiB; save the "
                "sheet as CSV."
            )
        yield from ()

    def finish(self) -> Iterator[RowId]:
        has_begun = False
        for number, row in enumerate(self._rows(), 1):
            cells = [str(cell).strip() for cell in row]
            if not any(cells):
                continue
            if not has_begun:
                has_begun = True
                if self._id.begin(cells):
                    continue
            yield RowId(tidy(cells[self._id.index]), number)

    def _rows(self) -> Iterator[list[Any]]:
        try:
            self._data.seek(0)
            with _silence():
                book = self._calamine.load_workbook(self._data)
                sheet = book.get_sheet_by_index(0)
            self._understood.form = self._described(book.sheet_names)
            return iter(sheet.iter_rows())
        except self._calamine.PasswordError:
            is_encrypted = True
        except BaseException as error:
            if not self._is_damage(error):
                raise
            is_encrypted = _ENCRYPTED in self._data.getvalue()
        if is_encrypted:
            raise InputError(f"{self._name} is encrypted; save it without a password, or as CSV.")
        raise InputError(f"{self._name} is not a workbook that can be read; save the sheet as CSV.")

    def _is_damage(self, error: BaseException) -> bool:
        """Whether the reader failed; a Rust panic is no ``Exception``, and cannot be imported."""
        is_panic = type(error).__name__ == "PanicException"
        return is_panic or isinstance(error, self._calamine.CalamineError | OSError)

    @staticmethod
    def _described(names: list[str]) -> str:
        others = f", the first of {len(names)} sheets" if len(names) > 1 else ""
        return f'workbook, sheet "{names[0]}"{others}'


@contextmanager
def _silence() -> Iterator[None]:
    """Discard what a Rust panic writes to stderr, where our sentence belongs."""
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


def _import_calamine() -> Any:
    try:
        return import_module("python_calamine")
    except ModuleNotFoundError:
        pass
    raise InputError(
        "Workbooks need the extra \"excel\": pip install 'instantly-async[cli,excel]'; or save the "
        "sheet as CSV."
    )
