"""What each command's help ends with: examples that work, and its exit codes."""

from . import exits

_CODES = {
    exits.ALL_FOUND: "success",
    exits.USAGE: "the command line, the environment or the input must be fixed",
    exits.INCOMPLETE: "finished, but some leads were not found or failed",
    exits.NOT_ALLOWED: "the API does not accept the key, the plan, the scope or the filter",
    exits.GAVE_UP: "gave up: the service, the network, the proxy or the disk",
}
_SIGNALS = "130, 143, 129  stopped by Ctrl-C, by SIGTERM, or by SIGHUP"

_CAMPAIGN = "63af18d2-b440-73ee-844a-6287da08c2ab"
_ID = "019a3f62-5400-731d-8823-34022f8832c4"

EXAMPLES: dict[str, tuple[str, str, str]] = {
    "": ("demo --count 100", "check", "fetch ids.txt -o leads.jsonl"),
    "get": (f"get {_ID}", f"get {_ID} --fields id,email", "get $(head -5 ids.txt)"),
    "check": ("check", "check --profile acme", "check --patience 60"),
    "fetch": (
        "fetch ids.txt -o leads.jsonl",
        "fetch ids.txt -o leads.jsonl --resume",
        'fetch export.csv --column "Lead ID" -o leads.csv',
    ),
    "export": (
        f"export --campaign {_CAMPAIGN}",
        "export --all -o leads.parquet",
        "export --all -o leads.parquet --resume",
    ),
    "convert": (
        "convert leads.jsonl leads.csv",
        "convert leads.jsonl leads.parquet --fields id,email,status",
        "convert leads.jsonl leads.csv --labels --force",
    ),
    "demo": (
        "demo --count 100",
        "demo --count 1000 --strategy list",
        "demo --count 100 --unknown 0.05 -o leads.jsonl",
    ),
    "serve": ("serve", "serve --port 0 --leads 100000", "serve --unknown 0.05 --faults 0.02"),
    "ids": ("ids --count 5000 > ids.txt", "ids --emails > emails.txt", "ids --campaigns"),
    "completion": (
        "completion bash > instantly-async.bash",
        "completion zsh > _instantly-async",
        "completion fish > instantly-async.fish",
    ),
}
"""Three for each command; the empty name is the command without one."""

_ALL = (*_CODES, exits.SIGNAL_BASE)
_PLAIN = (exits.ALL_FOUND, exits.USAGE, exits.GAVE_UP)

CODES: dict[str, tuple[int, ...]] = {
    "": _ALL,
    "get": _ALL,
    "check": (*_PLAIN[:2], exits.NOT_ALLOWED, exits.GAVE_UP, exits.SIGNAL_BASE),
    "fetch": _ALL,
    "export": _ALL,
    "convert": (*_PLAIN, exits.SIGNAL_BASE),
    "demo": (*_PLAIN[:2], exits.INCOMPLETE, exits.GAVE_UP, exits.SIGNAL_BASE),
    "serve": _PLAIN,
    "ids": _PLAIN,
    "completion": _PLAIN,
}
"""The exit codes of each command; ``SIGNAL_BASE`` is for the signals."""


def epilogue_of(command: str) -> str:
    """Return the end of a command's help."""
    examples = [f"  instantly-async {each}" for each in EXAMPLES[command]]
    codes = [f"  {code}  {text}" for code, text in _CODES.items() if code in CODES[command]]
    if exits.INCOMPLETE in CODES[command]:
        codes[0] += ": all leads were found"
    if exits.SIGNAL_BASE in CODES[command]:
        codes.append(f"  {_SIGNALS}")
    return "\n".join(["Examples:", *examples, "", "Exit codes:", *codes])
