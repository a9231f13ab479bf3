"""The benchmarks at a tiny size, so that they do not rot. Their figures mean nothing here."""

import asyncio
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import cost, limit, memory, start


def test_cost() -> None:
    assert cost.main(count=70, rounds=2) > 0


def test_limit() -> None:
    rate, seconds = limit.measure(20)
    assert rate > 0
    assert seconds > 0


def test_memory() -> None:
    assert abs(memory.main(few=50, many=100)) < 50


def test_start() -> None:
    assert asyncio.run(start.first_outcome()) >= 1
    assert start.import_seconds("import instantly_async") > 0


def test_the_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(command.NAMES)
