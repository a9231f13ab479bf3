"""The plan of a listing, for a dry run."""

from pathlib import Path

from instantly_async.cli.amounts import amount

from .ending import Files


def plan_of_listing(
    leads: str,
    files: Files,
    there: tuple[int, int] | None,
    behind: str | None,
    limit: int | None,
) -> str:
    """Return what a run would do, one fact per line.

    ``there``: leads and failed leads of earlier runs; ``None``: leads go to stdout. ``behind``: the
    lead behind which the run goes on; ``None``: it begins at the first one.
    """
    facts = {"to export": leads, "output": files.output or "stdout"}
    if files.journal is not None and files.journal != files.output:
        facts["output"] += f", made at the end from {Path(files.journal).name} beside it"
    if there is not None:
        found, failed = there
        facts["already done"] = f"{amount(found, 'lead')}, and {amount(failed)} that failed"
    facts["begins"] = f"behind lead {behind}" if behind else "at the first lead"
    if limit is not None:
        facts["ends"] = f"after {amount(limit, 'lead')}, because of --limit"
    facts["requests"] = "one per 100 leads, and a few to check the filter"
    return "\n".join(f"{name:<13} {value}" for name, value in facts.items())
