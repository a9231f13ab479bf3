"""What is wrong with an answer that is not HTTP, in our own words.

The messages of aiohttp and of its parser begin with a description, and then quote the server's
bytes. These may hold anything, so they are looked at but never shown.
"""

import re

_TOO_LONG = re.compile(r"Got more than (\d+) bytes")

_DESCRIPTIONS = (
    ("Invalid header", "a bad header"),
    ("Invalid HTTP header", "a bad header"),
    ("Missing expected LF after header", "a bad header"),
    ("Missing expected CR after header", "a bad header"),
    ("Unexpected whitespace after header", "a bad header"),
    ("Bad status line", "a bad status line"),
    ("Content-Length can't be", "both Content-Length and Transfer-Encoding"),
    ("Transfer-Encoding can't be", "both Content-Length and Transfer-Encoding"),
    ("Duplicate Content-Length", "more than one Content-Length"),
    ("Data after", "data after the end"),
)
"""How descriptions begin, and what is said instead."""

_WORDS = (
    ("Content-Length", "a bad Content-Length"),
    ("Transfer-Encoding", "a bad Transfer-Encoding"),
    ("chunk size", "a bad chunk size"),
    ("Chunk size", "a bad chunk size"),
    ("chunk", "a bad chunk"),
)
"""What other descriptions contain."""

_NO_HTTP = "Bad status line:\n  Expected HTTP/"
_OTHER_PROTOCOLS = (
    ("b'SSH-", "SSH"),
    (r"b'\x15\x03", "TLS"),
    (r"b'\x16\x03", "TLS"),
    (r"b'\x00\x00", "HTTP/2"),  # frames begin with their length
)
_QUOTE = ":\n\n  "  # the parser's description ends here


def describe(message: str, max_headers: int | None) -> str:
    """Return a clause without the server's bytes, such as "a bad chunk size".

    ``max_headers`` ``None``: how many headers would have been read is unknown.
    """
    description, _, quoted = message.partition(_QUOTE)
    if description.startswith(_NO_HTTP):
        return _describe_other(quoted)
    if too_long := _TOO_LONG.match(message):
        return f"a header or the status line is longer than {round(int(too_long[1]) / 1024)} KiB"
    if description.startswith("Too many"):
        return f"more than {max_headers} headers" if max_headers else "too many headers"
    for start, words in _DESCRIPTIONS:
        if description.startswith(start):
            return words
    return next((words for word, words in _WORDS if word in description), "it is malformed")


def _describe_other(quoted: str) -> str:
    for start, name in _OTHER_PROTOCOLS:
        if quoted.startswith(start):
            return f"it is {name}" + ("; begin the URL with https://" if name == "TLS" else "")
    return "it does not begin with HTTP/"
