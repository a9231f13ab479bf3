"""docs/pictures/run.svg shows what a run of today shows."""

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

import pytest

from docs.pictures.make import CELL_X, LINE, MARGIN, PICTURE, Line, draw, take

SHORT = "demo --count 20 --unknown 0.3 --latency-ms 0 -o leads.jsonl"
NAMESPACE = {"svg": "http://www.w3.org/2000/svg"}


@pytest.fixture(scope="module")
def taken() -> tuple[Line, list[Line]]:
    return take(SHORT)


def elements_of(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - ours


def rows_of(picture: str) -> list[dict[int, str]]:
    """Return the texts of each row of a picture by their columns."""
    rows: dict[str, dict[int, str]] = {}
    for text in elements_of(picture).iterfind(".//svg:text", NAMESPACE):
        column = round((float(text.attrib["x"]) - MARGIN) / CELL_X)
        rows.setdefault(text.attrib["y"], {})[column] = text.text or ""
    return list(rows.values())


def labels_of(rows: Iterable[dict[int, str]]) -> list[str]:
    """Return the names of the facts of the summary, which have their values in column 13."""
    return [row[0] for row in rows if 0 in row and 13 in row]


def test_a_picture_has_what_the_terminal_has(taken: tuple[Line, list[Line]]) -> None:
    """As text, each in its place."""
    middle, end = taken
    rows = rows_of(draw(SHORT, middle, end))
    assert list(rows[0].values()) == ["$", f"instantly-async {SHORT}"]
    assert re.fullmatch(r"\d+/20", rows[1][0])
    assert {"found", "not found", "requests", "rate", "output", "errors"} <= {*labels_of(rows)}
    shown = [line for line in end if line]
    assert [{piece.column: piece.text for piece in line} for line in shown] == rows[3:]


def test_the_picture_is_of_today(taken: tuple[Line, list[Line]]) -> None:
    """If not, run docs/pictures/make.py. Figures differ from run to run, labels do not."""
    kept, today = rows_of(PICTURE.read_text()), rows_of(draw(SHORT, *taken))
    assert kept[0] == {0: "$", 2: f"instantly-async {LINE}"}
    done, total = map(int, kept[1][0].split("/"))
    assert total / 2 <= done < total
    assert labels_of(kept) == labels_of(today)
    assert kept[-4:] == today[-4:]


def test_the_picture_is_small_and_depends_on_nothing() -> None:
    """Neither on fonts nor on scripts; and it names no file of the machine that drew it."""
    text = PICTURE.read_text()
    assert len(text.encode()) < 40_000
    assert text.count("http") == 1
    assert not re.search(r"<script|<style|@import|url\(|/tmp|/home|/root", text)
    root = elements_of(text)
    assert all(root.findtext(f"svg:{name}", "", NAMESPACE) for name in ("title", "desc"))
