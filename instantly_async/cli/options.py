"""Options that several commands share, and the client they describe."""

import os
import re
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from instantly_async.client import InstantlyClient
from instantly_async.errors import ConfigurationError
from instantly_async.models import Lead
from instantly_async.settings import (
    API_KEY_VARIABLE,
    DEFAULT_BASE_URL,
    DEFAULT_CONCURRENCY,
    RateLimit,
    RetryPolicy,
)

from .convert.columns import OutputFormat
from .exits import CommandError
from .output.recovery import Resume
from .terminal import LogLevel

BASE_URL_VARIABLE = "INSTANTLY_BASE_URL"
"""Environment variable with the address of another server than the vendor's."""

PATIENCE_S = 120.0
"""How long ``fetch`` waits out an outage, in seconds: that of ``RetryPolicy``."""

ShownLogLevel = Annotated[LogLevel, Parameter(show_choices=False)]
"""A log level whose choices stand in the help text."""

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
"""An option without a value."""

_OPTION_OF_SETTING = {
    "base_url": BASE_URL_VARIABLE,
    "share": "--rate-share",
    "concurrency": "--concurrency",
    "workspace": "--workspace",
    "breaker_patience_s": "--patience",
}


def base_url() -> str:
    """Return the server's address."""
    return os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Format:
    """Options of every command that writes files with leads."""

    output_format: Annotated[
        OutputFormat | None, Parameter(name="--format", show_choices=False)
    ] = None
    """jsonl, csv or parquet. Default: by OUTPUT's name."""

    fields: str | None = None
    """Fields in order, as id,email,payload.company. Default: all."""

    labels: Flag = False
    """Names in place of numbers, as Bounced for -1."""

    csv_raw: Flag = False
    """Leave cells alone that a spreadsheet takes for formulas."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class GoingOn:
    """Options of going on with an output that exists."""

    resume: Flag = False
    """Go on with an output that exists."""

    repair: Flag = False
    """Resume, and drop its lines that are no leads."""

    retry_errors: Flag = False
    """Resume, and ask again for ids that failed."""

    def how(self) -> Resume | None:
        """Return how to go on; ``None``: the output has to be new."""
        if not (self.resume or self.repair or self.retry_errors):
            return None
        return Resume(repair=self.repair, retry_errors=self.retry_errors)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Connection:
    """Options of every command that fetches from the API."""

    workspace: str | None = None
    """Sub-workspace that an admin key acts on."""

    rate_share: float = 1.0
    """Share of the limit to use, up to 1."""

    concurrency: int = DEFAULT_CONCURRENCY
    """Requests in flight at once."""

    patience: float = PATIENCE_S
    """Seconds of outage to wait out."""

    log_level: ShownLogLevel = "warning"
    """Log debug, info, warning or error."""

    def rate_limit(self) -> RateLimit:
        """Return the limit that is kept.

        Raises:
            CommandError: there is no such share.
        """
        try:
            return RateLimit(share=self.rate_share)
        except ConfigurationError as error:
            raise CommandError(_name_option(str(error))) from None

    def client(self) -> InstantlyClient[Lead]:
        """Make the client that these options and the environment describe.

        Raises:
            CommandError: one of them cannot work.
        """
        if not os.environ.get(API_KEY_VARIABLE, "").strip():
            raise CommandError(
                f"Set {API_KEY_VARIABLE} to the workspace's API key; it is never taken from "
                "an argument."
            )
        return self.client_of(None, base_url())

    def client_of(self, key: str | None, base_url: str) -> InstantlyClient[Lead]:
        """Make the client of this server; ``key=None``: that of the environment."""
        try:
            return InstantlyClient(
                key,
                base_url=base_url,
                workspace=self.workspace,
                rate_limit=self.rate_limit(),
                retry=RetryPolicy(breaker_patience_s=self.patience),
                concurrency=self.concurrency,
            )
        except ConfigurationError as error:
            raise CommandError(_name_option(str(error))) from None


def _name_option(sentence: str) -> str:
    """Name the option in place of the setting that a sentence begins with."""
    return re.sub(r"^\w+", lambda word: _OPTION_OF_SETTING.get(word[0], word[0]), sentence)
