"""Sources: files that are read twice, pipes that are waited for, and collections."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from instantly_async.cli.exits import InputError
from instantly_async.cli.input import FileOfIds, GivenIds, open_source
from instantly_async.cli.known import KnownIds
from instantly_async.cli.records import LineId, number_of
from instantly_async.testing import lead_ids

A, B, C = lead_ids(3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ids.txt"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return the ends to read and to write."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def write(path: Path, text: str) -> None:
    path.write_text(text)


def source_of(path: Path | str, limit: int | None = None, *, done: str | None = None) -> FileOfIds:
    known = KnownIds()
    if done is not None:
        known.add_done(number_of(done) or 0)
    return open_source(str(path), None, None, known, limit=limit)


async def test_a_file_is_surveyed_and_then_read(path: Path) -> None:
    """Its invalid ids are reported once, and what was read is known before the run."""
    write(path, f"{A}\ntypo\n{B}\n{A}\n{C}\n")
    invalid: list[LineId] = []
    with source_of(path, done=C) as source:
        survey = source.survey(invalid.append)
        assert invalid == ["typo"]
        assert survey[:4] == (2, 1, 1, 1)
        assert (source.total, source.whole, source.done, source.duplicates) == (3, 3, 1, 1)
        ids = [each async for each in source.ids()]
    assert ids == [A, "typo", B]
    assert list(map(source.has_reported, [*ids, "typo", LineId("later", 9)])) == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert (source.error, source.remark) == (None, None)


async def test_a_limit_counts_valid_ids(path: Path) -> None:
    write(path, f"typo\n{A}\n{B}\nx\n{C}\n")
    with source_of(path, limit=2) as source:
        assert [each async for each in source.ids()] == ["typo", A, B]
        assert source.whole is None
    with source_of(path, limit=1) as source:
        survey = source.survey(lambda _: None)
        assert (survey.to_fetch, survey.invalid, survey.later) == (1, 2, 2)
        assert [each async for each in source.ids()] == ["typo", A]


async def test_there_may_be_nothing_left(path: Path) -> None:
    write(path, f"{A}\n")
    with source_of(path, done=A) as source:
        source.survey(lambda _: None)
        assert source.total == 0
        assert [each async for each in source.ids()] == []
        assert (source.done, source.error) == (1, None)


async def test_a_file_that_changes_is_said(path: Path) -> None:
    write(path, f"{A}\n{B}\n{C}\n")
    with source_of(path) as source:
        source.survey(lambda _: None)
        write(path, f"{A}\n")
        assert [each async for each in source.ids()] == [A]
    assert str(source.error) == (
        f"{path} changed while it was read; repeat the command with --resume."
    )


async def test_an_empty_file_is_said_or_allowed(path: Path) -> None:
    write(path, "\n")
    with source_of(path) as source:
        assert [each async for each in source.ids()] == []
    assert str(source.error).startswith(f"There are no ids in {path}; check it")
    assert source.remark is None
    with open_source(str(path), None, None, allow_empty=True) as source:
        assert [each async for each in source.ids()] == []
    assert (source.error, source.remark) == (None, f"There are no ids in {path}.")


async def test_a_run_may_stop_between_two_ids(path: Path) -> None:
    write(path, f"{A}\n{B}\n")
    with source_of(path) as source:
        ids = source.ids()
        assert await anext(ids) == A
        source.stop()
        assert [each async for each in ids] == []
    assert source.error is None


async def test_a_run_may_stop_while_a_pipe_is_waited_for(pipe: tuple[int, int]) -> None:
    """A cancellation that is not ours is passed on."""
    reader, _ = pipe
    with source_of(f"/dev/fd/{reader}") as source:
        waiting = asyncio.ensure_future(anext(source.ids(), None))
        await asyncio.sleep(0)
        source.stop()
        assert await waiting is None
    with source_of(f"/dev/fd/{reader}") as source:
        waiting = asyncio.ensure_future(anext(source.ids(), None))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_an_input_that_cannot_be_read_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, f"{A}\n")
    with source_of(path) as source:
        os.close(source._fd)
        source._fd = os.open(path, os.O_WRONLY)
        with pytest.raises(InputError, match=r"^Reading .*ids\.txt failed: .*; check the file"):
            source.survey(lambda _: None)
        assert [each async for each in source.ids()] == []
        assert str(source.error).startswith(f"Reading {path} failed: ")


async def test_given_ids() -> None:
    known = KnownIds()
    known.add_done(number_of(A) or 0)
    given = GivenIds([A, B, C], known)
    assert given.total == 3
    ids = given.ids()
    assert await anext(ids) == B
    assert (given.total, given.whole, given.done, given.has_reported(B)) == (2, 2, 1, False)
    given.stop()
    assert [each async for each in ids] == []
    assert [each async for each in GivenIds([A, B]).ids()] == [A, B]
