"""The end of a run for people: the summary, why ids have no lead, and the next step."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from instantly_async.cli import exits
from instantly_async.cli.amounts import amount, duration, size_text
from instantly_async.stats import Stats

from .report import Report
from .words import EMAILS

NOTHING = "-"
"""Shown instead of an unknown number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files of a run. ``journal`` differs from ``output`` if that is made from it at the end.

    ``None``: the leads go to stdout, or nowhere.
    """

    output: str | None = None
    journal: str | None = None
    errors: str | None = None


def summary(report: Report, files: Files = Files()) -> str:
    """Return what this run and earlier ones did, one fact per line."""
    facts = {**_outcomes(report, files), **_traffic(report), **_places(report, files)}
    lines = [f"{name:<12} {value}" for name, value in facts.items()]
    was_idle = not (report.stats.requested or report.stats.requests)
    if report.already_done and was_idle and report.left == 0:
        lines.insert(0, "Everything was done before; no request was sent.")
    return "\n".join(lines)


def _outcomes(report: Report, files: Files) -> dict[str, str]:
    tally, noun = report.tally, report.words.noun
    facts = {"found": _with_now(report.found, tally.found, report)}
    if report.words is EMAILS:
        facts["emails"] = f"{_with_now(report.matched, tally.matched, report)} with leads"
    if not report.words.is_listing:
        facts["not found"] = _with_now(report.not_found, tally.not_found, report)
    facts |= {
        "failed": _failures(report.failed, report),
    }
    if tally.temporary:
        remedy = "try them again" if files.journal is None else "--resume tries them again"
        facts["temporary"] = f"{amount(tally.temporary)} of the failed {noun}s; {remedy}"
    if not report.words.is_listing:
        facts["duplicates"] = amount(report.duplicates)
    if report.left != 0:
        facts["left"] = _left(report)
    return facts


def _with_now(total: int, now: int, report: Report) -> str:
    return f"{amount(total)} ({amount(now)} now)" if report.is_resumed else amount(total)


def _failures(failed: Counter[str], report: Report) -> str:
    if not failed:
        return "0"
    kinds = ", ".join(f"{amount(count)} {kind}" for kind, count in sorted(failed.items()))
    now = f"; {amount(report.tally.failed.total())} now" if report.is_resumed else ""
    return f"{amount(failed.total())} ({kinds}{now})"


def _left(report: Report) -> str:
    why = "" if report.limit is None else f"; --limit {amount(report.limit)}"
    if report.left is not None:
        return amount(report.left, report.words.noun) + why
    count = 0 if report.words.is_listing else report.unfinished
    begun = f"{amount(count, report.words.noun)}, and " if count else ""
    return f"{begun}{report.words.rest}{why}"


def _traffic(report: Report) -> dict[str, str]:
    stats, rate = report.stats, report.tally.rate
    if not stats.requests:
        return {}
    facts = {
        "requests": f"{amount(stats.requests)} ({amount(stats.retries)} retries, "
        f"{amount(stats.throttled)} × 429)",
        "received": size_text(stats.bytes_received),
        "latency": _latency(stats),
        "time": duration(stats.elapsed_s),
        "rate": NOTHING if rate is None else f"{rate:,.1f} leads/s, first to last answer",
    }
    if stats.fallbacks:
        facts["one by one"] = f"{amount(stats.fallbacks)}, not settled by pages"
    return facts


def _latency(stats: Stats) -> str:
    quantiles = {
        "p50": stats.latency_p50_s,
        "p95": stats.latency_p95_s,
        "p99": stats.latency_p99_s,
    }
    shown = ", ".join(
        f"{name} {seconds * 1000:.1f} ms"
        for name, seconds in quantiles.items()
        if seconds is not None
    )
    return shown or NOTHING


def _places(report: Report, files: Files) -> dict[str, str]:
    is_removed = report.left != 0 and not (report.found or report.recorded)  # nothing is in it
    if files.output is None or files.journal is None or is_removed:
        return {}
    facts = {"output": files.output}
    if files.output != files.journal:
        beside = Path(files.journal).name
        facts["output"] += f", made at the end from {beside} beside it"
    if report.recorded:
        facts["errors"] = f"{amount(report.recorded, report.words.noun)} in {files.errors}"
    return facts


def exit_reason(report: Report) -> str:
    """Return why a finished run ends with exit code 3."""
    return f"Exit code {exits.INCOMPLETE}: {_missing(report)}."


def exit_reason_and_place(report: Report, files: Files) -> str:
    """Return the same, and where the ids without a lead are: all that a quiet run says."""
    missing = _missing(report)
    if files.journal is None:
        return f"{missing}; name a file with -o, which records them."
    if not report.recorded:
        return f"{missing}; --resume tries again."
    if report.tally.temporary:
        again = amount(report.tally.temporary)
        return f"{missing}; --resume tries {again} again, the others are in {files.errors}."
    return f"{missing}; {'it is' if report.without_lead == 1 else 'they are'} in {files.errors}."


def _missing(report: Report) -> str:
    count, words = report.without_lead, report.words
    return f"{amount(count)} of {amount(report.total, words.noun)} {words.lack[count != 1]}"


def next_step(report: Report, *, ended: bool, resume: str | None, retry: str | None) -> str | None:
    """Return the sentence with the command to go on with; ``None``: there is nothing to do.

    ``resume`` and ``retry`` are the sentences to choose from; ``None``: it cannot be done.
    """
    if not ended or report.tally.temporary or report.left != 0:
        return resume
    return retry if report.without_lead > report.invalid else None
