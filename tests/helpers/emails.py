"""A source of emails, as the command reads them from a file."""

from collections.abc import AsyncIterator, Sequence

from instantly_async.cli.exits import InputError
from instantly_async.cli.known import KnownIds, Verdict
from instantly_async.cli.records import LineEmail


class GivenEmails:
    """Emails, one per line; those that are ``known`` to be done are skipped."""

    error: InputError | None = None
    remark: str | None = None
    duplicates = 0

    def __init__(self, emails: Sequence[str], known: KnownIds) -> None:
        self._emails = [LineEmail(text, line) for line, text in enumerate(emails, 1)]
        self._known = known
        self._stopped = False
        self.done = 0
        self.total: int | None = None
        self.yielded: list[str] = []

    async def ids(self) -> AsyncIterator[str]:
        self._known.begin()
        wanted = [each for each in self._emails if self._known.judge(each) is Verdict.NEW]
        self.total = len(wanted)
        self.done = len(self._emails) - self.total
        for each in wanted:
            if self._stopped:
                return
            self.yielded.append(each)
            yield each

    @property
    def whole(self) -> int | None:
        return self.total

    def stop(self) -> None:
        self._stopped = True

    def has_reported(self, _: object) -> bool:
        return False
