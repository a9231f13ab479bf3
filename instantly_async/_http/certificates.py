"""What the environment says about the certificate authorities that are trusted."""

import os

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that OpenSSL reads. It says nothing if what they name is not there."""


def describe_environment() -> str:
    """Return which of the variables are set, in brackets, to be put after words; or nothing."""
    return "".join(_describe(name, value) for name in VARIABLES if (value := os.environ.get(name)))


def _describe(name: str, value: str) -> str:
    problem = "" if os.access(value, os.R_OK) else ", which cannot be read"
    return f" ({name} is {value}{problem})"
