"""What people type in place of an option or argument, and what to type instead. Only tables.

Must not know how a command line is parsed.
"""

from instantly_async.settings import API_KEY_VARIABLE

_KEY = f"the API key is read from {API_KEY_VARIABLE}, never from an argument; set that variable"
_FILE = "a file with ids is named without an option"
_CA = "for a private certificate authority, set SSL_CERT_FILE to its file"
_SERVER = "the server is in INSTANTLY_BASE_URL; set that variable"
_ENV = "files such as .env are not read; set the variables before you start the command"
_ORDER = "the output is the second argument, as in: instantly-async convert LEADS OUTPUT"
_PACKED = "the output is compressed if its name ends with .gz, .bz2, .xz or .zst"
_STDOUT = "the leads are printed; write them to a file with > FILE"

INSTEAD: dict[str, tuple[str, ...]] = {
    "-q": ("--quiet",),
    "--silent": ("--quiet",),
    "-v": ("--log-level debug",),
    "--verbose": ("--log-level debug",),
    "--debug": ("--log-level debug",),
    "-n": ("--count", "--limit"),
    "-c": ("--count", "--column"),
    "-l": ("--limit",),
    "--head": ("--limit",),
    "-p": ("--port", "--profile"),
    "-w": ("--workspace",),
    "--timeout": ("--patience",),
    "--wait": ("--patience",),
    "--rate": ("--rate-share",),
    "--limit": ("--count",),
    "--size": ("--count",),
    "--continue": ("--resume",),
    "--overwrite": ("--force",),
    "-y": ("--force",),
    "--select": ("--fields",),
    "--columns": ("--fields",),
    "--out": ("--output",),
    "--bom": ("--csv-bom",),
    "-O": ("--output",),
    "--campaign-id": ("--campaign",),
    "--list-id": ("--list",),
    "--lead-list-id": ("--list",),
    "--everything": ("--all",),
    "--workspace-all": ("--all",),
}
"""Options that mean the same, for one that no command has. The first that exists counts."""

BECAUSE: dict[str, str] = {
    **dict.fromkeys(
        ("--api-key", "--apikey", "--key", "--token", "--api-token", "--bearer", "--auth"), _KEY
    ),
    **dict.fromkeys(("-f", "-i", "--file", "--input", "--ids"), _FILE),
    **dict.fromkeys(("-k", "--insecure", "--no-verify", "--cacert", "--ca"), _CA),
    **dict.fromkeys(("--url", "--base-url", "--server", "--endpoint"), _SERVER),
    **dict.fromkeys(("-z", "--gzip", "--compress", "--compression"), _PACKED),
    **dict.fromkeys(("--env", "--env-file", "--dotenv"), _ENV),
}
"""Options that there will never be, and how the same is done."""

OF_COMMAND: dict[tuple[str, str], str] = {
    ("convert", "-o"): _ORDER,
    ("convert", "--output"): _ORDER,
    ("convert", "-f"): "the format is chosen by the output's name, or with --format",
    ("convert", "--file"): _ORDER,
    ("convert", "--input"): _ORDER,
    ("get", "-o"): _STDOUT,
    ("get", "--output"): _STDOUT,
    ("get", "-f"): "ids in a file are fetched by: instantly-async fetch FILE",
    ("ids", "-o"): "the ids are printed; write them to a file with > FILE",
    ("ids", "--output"): "the ids are printed; write them to a file with > FILE",
}
"""The same, for one command. These count before the others."""

TOO_MANY: dict[str, str] = {
    "fetch": "fetch reads one file; name the output with -o",
    "export": "export takes only options; name the output with -o",
    "convert": "convert takes two files: the leads, and the output",
    "check": "check takes no arguments",
    "completion": "completion takes one shell: bash, zsh or fish",
}
"""Why there are too many arguments."""

NUMBER: dict[str, str] = {"ids": "--count", "demo": "--count", "serve": "--port"}
"""The option that a number without an option is for."""

MISSING: dict[str, str] = {
    "get": "Name at least one lead id, as in: instantly-async get ID",
    "convert": "Name the leads and the output, as in: instantly-async convert LEADS OUTPUT",
    "completion": "Name the shell: bash, zsh or fish",
}
"""What to say if an argument is missing."""
