"""Examples that work, for the end of each help, of a demo, and for no command; and exit codes."""

from instantly_async.settings import API_KEY_VARIABLE, Strategy

from . import exits
from .invocation import program, table

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

Examples = tuple[tuple[str, str], ...]
"""Commands, and what each of them does."""

EXAMPLES: dict[str, Examples] = {
    "": (
        ("demo --count 100", "try it, without a key"),
        ("check", "does the key work?"),
        ("fetch ids.txt -o leads.jsonl", "the leads of a file of ids"),
    ),
    "get": (
        (f"get {_ID}", "one lead"),
        ("get $(head -5 ids.txt)", "the first five"),
        ("get $(head -5 ids.txt) --fields id,email", "only these fields"),
    ),
    "check": (
        ("check", "does the key work?"),
        ("check --profile acme", "with the key in INSTANTLY_API_KEY_ACME"),
        ("check --patience 60", "wait a minute for an outage to end"),
    ),
    "fetch": (
        ("fetch ids.txt -o leads.jsonl", "a new file"),
        ("fetch ids.txt -o leads.jsonl --resume", "what is left"),
        ('fetch export.csv --column "Lead ID" -o leads.csv', "CSV to CSV"),
    ),
    "export": (
        (f"export --campaign {_CAMPAIGN}", "a campaign, to stdout"),
        ("export --all -o leads.parquet", "the workspace"),
        ("export --all -o leads.parquet --resume", "only new leads"),
    ),
    "convert": (
        ("convert leads.jsonl leads.parquet", "for data frames"),
        ("convert leads.jsonl leads.csv --labels", "Bounced, not -1"),
        ("convert leads.jsonl leads.csv --force", "replace the file"),
    ),
    "demo": (
        ("demo --count 100", "one second"),
        ("demo --count 1000 --strategy list", "100 per request"),
        ("demo --count 100 --unknown 0.1 -o leads.jsonl", "keep the leads"),
    ),
    "serve": (
        ("serve", "on port 8700"),
        ("serve --port 0 --leads 100000", "any port, more leads"),
        ("serve --unknown 0.05 --faults 0.02", "when things go wrong"),
    ),
    "ids": (
        ("ids --count 5000 > ids.txt", "for `fetch ids.txt`"),
        ("ids --emails > emails.txt", "for `fetch emails.txt --by email`"),
        ("ids --campaigns", "for `export --campaign`"),
    ),
    "completion": (
        ("completion bash > instantly-async.bash", "source it in .bashrc"),
        ("completion zsh > _instantly-async", "a file for $fpath"),
        ("completion fish > instantly-async.fish", "fish's completions"),
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
    examples = table(EXAMPLES[command])
    codes = [f"  {code}  {text}" for code, text in _CODES.items() if code in CODES[command]]
    if exits.INCOMPLETE in CODES[command]:
        codes[0] += ": all leads were found"
    if exits.SIGNAL_BASE in CODES[command]:
        codes.append(f"  {_SIGNALS}")
    return "\n".join(["Examples:", *examples, "", "Exit codes:", *codes])


def first_steps() -> str:
    """Return what to say to somebody who has typed no command."""
    typed = program()
    lines = table(EXAMPLES[""], typed)
    return "\n".join(["Name a command, such as one of these:", *lines, f'See "{typed} --help".'])


def after_demo(strategy: Strategy) -> str:
    """Return what to try after a demo with that strategy."""
    typed = program()
    other = {
        "get": ("demo --strategy list", "100 leads per request"),
        "list": ("demo --faults 0.1", "when requests fail"),
    }
    lines = table([other[strategy], ("serve", "this API, for your own code")], typed)
    real = f"  {API_KEY_VARIABLE}=… {typed} fetch ids.txt -o leads.jsonl"
    return "\n".join(["Try next, or fetch your own leads:", *lines, real])
