"""``python -m benchmarks list | run NAME… | all | page``."""

import argparse
import sys
from contextlib import suppress

import msgspec

from benchmarks.cases import CASES
from benchmarks.machine import machine, versions
from benchmarks.report import Report, make_report
from benchmarks.tables import as_text


def positive(text: str) -> int:
    """Return a number of rounds; argparse says what is wrong with others."""
    with suppress(ValueError):
        if (number := int(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    top.add_argument("--versions", action="store_true", help="print all versions and end")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("list", help="list the benchmarks")
    run = commands.add_parser("run", help="run some of them")
    run.add_argument("names", nargs="+", metavar="NAME", choices=tuple(CASES), help="see `list`")
    everything = commands.add_parser("all", help="run all of them; takes about an hour")
    for each in (run, everything):
        each.add_argument(
            "--rounds",
            type=positive,
            metavar="N",
            help="measure N times, in cases that have rounds",
        )
        each.add_argument("--json", action="store_true", help="print JSON instead of tables")
        each.add_argument("--save", action="store_true", help="keep the results for the page")
    commands.add_parser("page", help="write the tables and charts of docs/benchmarks.md")
    return top


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return what the command line says; end with a sentence if it makes no sense."""
    top = parser()
    options = top.parse_args(arguments)
    names = options.names if options.command == "run" else []
    if names and options.rounds and not any(CASES[name].has_rounds for name in names):
        top.error(f"none of these has rounds: {', '.join(names)}. Leave out --rounds")
    return options


def main() -> None:
    """Do what the command line says."""
    options = parsed(sys.argv[1:])
    if options.versions:
        print("\n".join(f"{name} {version}" for name, version in versions().items()))
        return
    match options.command:
        case "run":
            run(options.names, options)
        case "all":
            run(list(CASES), options)
        case "page":
            from benchmarks.page import write_page  # noqa: PLC0415 - only here

            write_page()
        case "list":
            for case in CASES.values():
                print(f"{case.name:10} {case.summary}")
        case _:
            parser().print_help()


def run(names: list[str], options: argparse.Namespace) -> None:
    """Run these cases; print each report as soon as it is there."""
    reports = []
    for name in names:
        case = CASES[name]
        if not options.json:
            print(f"== {name}: {case.summary}\n", flush=True)
        report = make_report(case, options.rounds if case.has_rounds else None)
        reports.append(report)
        if options.save:
            report.save()
        if not options.json:
            show(report)
    if options.json:
        sys.stdout.buffer.write(msgspec.json.encode(reports) + b"\n")
    else:
        print(f"on {machine()}; `python -m benchmarks --versions` prints the versions")


def show(report: Report) -> None:
    """Print the tables of a report."""
    for table in report.tables:
        print(as_text(table), end="\n\n", flush=True)
    print(f"took {report.seconds:.0f} s", end="\n\n", flush=True)


if __name__ == "__main__":
    main()
