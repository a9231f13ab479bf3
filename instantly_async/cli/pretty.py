"""A lead for a person who reads it on a terminal: indented, and without hidden characters. Pure."""

import msgspec

from .terminal import visible


def to_pretty(line: bytes) -> bytes:
    r"""Return the JSON of a line, indented. Numbers stay as the server wrote them.

    Characters that could move the cursor or reorder the text become ``\uXXXX``, which means the
    same in JSON. A line that is not valid JSON is only made visible.
    """
    try:
        text = msgspec.json.format(line, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = line.rstrip(b"\n").decode(errors="replace")
    return (_escaped(text) + "\n").encode()


def _escaped(text: str) -> str:
    if all(part.isprintable() for part in text.split("\n")):
        return text
    return "".join(c if c == "\n" or visible(c) == c else _escape(c) for c in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
