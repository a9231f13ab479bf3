"""Amounts as people read them: numbers with separators, durations in two units."""


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
