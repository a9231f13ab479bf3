"""What waits for pipes: a signal ends it, whenever it comes."""

import contextlib
import os
import signal
import threading

import pytest

from instantly_async.cli.system import reading_until_signal


def end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def test_a_signal_that_does_not_interrupt_read_ends_it() -> None:
    """As when it comes just before ``read``: Python has noted it, and ``read`` goes on to wait.

    Here another thread gets the signal, because the main thread blocks it.
    """
    reader, writer = os.pipe()
    previous = signal.signal(signal.SIGUSR1, end)
    ended = threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    sender = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1])
    try:
        with reading_until_signal(reader, 8192) as file:
            os.write(writer, b"first\nsec")
            assert file.readline() == b"first\n"
            sender.start()
            with pytest.raises(SystemExit, match=f"{128 + signal.SIGUSR1}"):
                file.readline()
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        ended.set()
        other.join()
        sender.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        signal.signal(signal.SIGUSR1, previous)
        os.close(writer)


def test_a_signal_whose_exception_was_lost_ends_the_next_read() -> None:
    """``msgspec.json.Decoder()`` discards exceptions while it hashes types."""
    reader, writer = os.pipe()
    previous = signal.signal(signal.SIGUSR1, end)
    try:
        with reading_until_signal(reader, 8192) as file:
            with contextlib.suppress(SystemExit):
                signal.raise_signal(signal.SIGUSR1)
            with pytest.raises(SystemExit, match=f"{128 + signal.SIGUSR1}"):
                file.readline()
            os.write(writer, b"line\n")
            os.close(writer)
            assert file.read() == b"line\n"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(reader)
    finally:
        signal.signal(signal.SIGUSR1, previous)
