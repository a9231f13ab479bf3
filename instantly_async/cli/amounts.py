"""Amounts as people read them: numbers with separators, durations in two units, sizes."""


def amount(number: int, noun: str = "") -> str:
    """Return a number with separators, and the noun, which gets an "s" unless there is one."""
    shown = f"{number:,}"
    if not noun:
        return shown
    return f"{shown} {noun}" if number == 1 else f"{shown} {noun}s"


def duration(seconds: float) -> str:
    """Return seconds as ``4.3 s``, ``4 min 31 s`` or ``2 h 55 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def size_text(size: int) -> str:
    """Return a number of bytes for people.

    >>> size_text(999), size_text(12_345_678)
    ('999 bytes', '12.3 MB')
    """
    if size < 1000:
        return "1 byte" if size == 1 else f"{size} bytes"
    number, unit = size / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if number >= 999.95:
            number, unit = number / 1000, larger
    return f"{number:.1f} {unit}"
