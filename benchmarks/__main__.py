"""``python -m benchmarks`` lists the benchmarks, ``python -m benchmarks NAME`` runs one."""

import sys
from importlib import import_module

NAMES = (
    "convert",
    "cost",
    "journal",
    "keepalive",
    "limit",
    "listing",
    "loader",
    "memory",
    "pages",
    "sharing",
    "soak",
    "start",
)


def main() -> None:
    """Run the named benchmarks, or list all of them."""
    names = sys.argv[1:]
    if not names or any(name not in NAMES for name in names):
        for name in NAMES:
            summary = (import_module(f"benchmarks.{name}").__doc__ or "").splitlines()[0]
            print(f"{name:9} {summary}")
        sys.exit(2 if names else 0)
    for name in names:
        print(f"== {name}")
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
