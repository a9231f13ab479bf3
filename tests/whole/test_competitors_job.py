"""The case ``job`` at a tiny size. Its figures mean nothing here."""

from pathlib import Path

import pytest

from benchmarks.cases import job

pytestmark = [pytest.mark.bench, pytest.mark.soak]


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "PROGRAMS", job.PROGRAMS[:1])
    (table,) = job.tables(rounds=1, count=150)
    assert table.column("program") == ["ours, to JSON Lines"]
    assert table.column("requests") == [2]
    assert table.column("429s") == [0]


def test_the_script(tmp_path: Path) -> None:
    done = job.do(job.PROGRAMS[-1], 150, tmp_path)
    assert done.counts == {200: 2}


def test_a_lead_that_is_absent_is_noticed(tmp_path: Path) -> None:
    """Nothing is measured then."""
    program = job.Program("empty", "-c open('{output}','w')", ".jsonl")
    with pytest.raises(AssertionError):
        job.do(program, 3, tmp_path)


def test_the_memory_is_that_of_the_program(tmp_path: Path) -> None:
    """The tests have more, and the peak of a process is at first that of what starts it."""
    empty = job.measure(["-I", "-S", "-c", ""], tmp_path, {})
    large = job.measure(["-I", "-S", "-c", "b'x'*100*1024*1024"], tmp_path, {})
    assert empty.peak_mib < 30
    assert 90 < large.peak_mib - empty.peak_mib < 110
    assert empty.code == 0
