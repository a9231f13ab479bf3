"""Mistakes with API keys: what was set is not the key, or more than the key.

Only what clearly is a mistake counts, because the vendor documents no form of its keys; those of v2
look like base64, so ``=`` and ``/`` may be in them. Sentences never quote the key.
"""

import re
import unicodedata

_SHOWN_PART = 300
"""Characters at the beginning that are compared with the mistakes; a key has about 70."""

_QUOTES = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"

_NAME = r"[\w-]*(?:key|token|secret|instantly)[\w-]*"
_FILE_TYPES = r"(?:txt|key|env|json|ya?ml|toml|ini|conf|cfg|pem|gpg|secret)"
_FOLDERS = r"(?:run|home|root|etc|var|tmp|opt|usr|mnt|srv|secrets|Users)"

_PLACEHOLDER = (
    "is a placeholder that was not replaced; set the key itself, and check that the shell or the "
    "configuration fills in its variables"
)
_MISTAKES = [
    (re.compile(pattern, re.IGNORECASE), sentence)
    for pattern, sentence in (
        (
            (
                r"(?:export|set|setx|declare -x|-e|--env)\s+\S*[=\s]"
                rf"|\$env:\w+\s*="
                rf"|-{{0,2}}{_NAME}\s*=\s*[^=\s]"
                r"|(?-i:[A-Z_][A-Z0-9_]*)=[^=\s]"
            ),
            "has a name and = in front of it; set only what comes after the =",
        ),
        (
            r"(?:authorization|proxy-authorization|x-[\w-]*key)\s*[:=]|(?:bearer|basic)(?:[\s:]|%20|$)",
            "is a whole header, or begins with Bearer, which the client adds; set the key alone",
        ),
        (r"[{\[]\s*[\"']", "is JSON; set only the key in it"),
        (
            (
                r"<.*>$|\$?\{.*\}$|\$(?:env:)?\w+$|%\w+%$|\[[^\]]*\]$|INSTANTLY_API_KEY$"
                r"|(?:your|insert|enter|paste|replace|put)[-_ ].*(?:key|token|secret|here|me)$"
                r"|(?:null|none|undefined|nil|changeme|change[-_]me|todo|x{4,64}|\u2026)$"
            ),
            _PLACEHOLDER,
        ),
        (
            r"\$\(|<\(",
            "is a command that the shell has not run; set what the command prints",
        ),
        (
            r"[a-z][a-z0-9+.-]*://|arn:",
            "is the address of a secret or of a page; set what is stored there",
        ),
        (
            rf"(?:~|\.{{1,2}})[/\\]|[a-z]:\\|/{_FOLDERS}/|@?[^\s=]*\.{_FILE_TYPES}$",
            "is the name of a file; set what is in the file",
        ),
        (rf"{_NAME}\s*:", "has a name and a colon in front of it; set only what comes after them"),
        (r"[^\s*.]*(?:\*{3}|\.{3}|\u2022{3}|\u2026)", "is shortened or masked; copy the whole key"),
    )
]


def mistake_in(key: str) -> str | None:
    """Return what is wrong with a key, and the remedy, as the end of a sentence.

    ``key`` has no white space around it. ``None``: nothing is clearly wrong.
    """
    lines = key.splitlines()
    if len(lines) > 1:
        return "contains characters that are not allowed: it has several lines; set the key alone"
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        return "has quotes around it that belong to no key; remove them, also in .env files"
    beginning = key[:_SHOWN_PART]
    for pattern, sentence in _MISTAKES:
        if pattern.match(beginning):
            return sentence
    odd = next((character for character in key if not "\x21" <= character <= "\x7e"), None)
    if odd is None:
        return None
    return (
        f"contains characters that are not allowed ({_kind_of(odd)}); copy it from Instantly again"
    )


def _kind_of(character: str) -> str:
    if character in " \t":
        return "white space in the middle"
    if character == "\ufeff":
        return "a byte order mark"
    category = unicodedata.category(character)
    if category[0] in "CZ":
        return f"an invisible one, U+{ord(character):04X}"
    return "a letter or sign that is not ASCII"
