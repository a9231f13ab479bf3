"""Options that several commands share, and the client that they describe."""

import os
import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from cyclopts import Parameter

from instantly_async.client import InstantlyClient
from instantly_async.errors import ConfigurationError
from instantly_async.models import Lead
from instantly_async.settings import (
    BASE_URL_VARIABLE,
    DEFAULT_BASE_URL,
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_LEAD_BYTES,
    RateLimit,
    RetryPolicy,
)

from .convert import OutputFormat
from .exits import CommandError
from .groups import DISPLAY, NETWORK, OUTPUT, RESUME
from .keys import holds_key, key_of
from .output import Resume
from .sharing import SharingClient, name_for
from .show import Progress
from .terminal import LogLevel

PROXY_VARIABLE = "INSTANTLY_PROXY"
"""Environment variable with the URL of a proxy; other users of the machine cannot see it."""

USER_AGENT_VARIABLE = "INSTANTLY_USER_AGENT"
"""Environment variable with the header ``User-Agent``."""

SHARED_LIMIT_VARIABLE = "INSTANTLY_SHARED_LIMIT"
"""Environment variable with the URL of the server that keeps the limit for several processes."""

LIMIT_NAME_VARIABLE = "INSTANTLY_LIMIT_NAME"
"""Environment variable with the name of the workspace's limit there."""

_IGNORED_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")

PATIENCE_S = RetryPolicy().breaker_patience_s
"""How long ``fetch`` waits for an outage to end, in seconds."""

ShownLogLevel = Annotated[LogLevel, Parameter(show_choices=False, group=DISPLAY)]
"""A log level whose choices are in the help text."""

ShownProgress = Annotated[Progress, Parameter(show_choices=False, group=DISPLAY)]
"""How progress is shown; its choices are in the help text."""

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
"""An option without a value."""

Quiet = Annotated[bool, Parameter(negative=(), show_default=False, group=DISPLAY)]
"""The option that hides what is for people."""

Workspace = Annotated[str | None, Parameter(group=NETWORK)]
Patience = Annotated[float, Parameter(group=NETWORK)]
MaxLeadBytes = Annotated[int, Parameter(group=NETWORK)]

_OPTION_OF_SETTING = {
    "share": "--rate-share",
    "concurrency": "--concurrency",
    "workspace": "--workspace",
    "max_lead_bytes": "--max-lead-bytes",
    "breaker_patience_s": "--patience",
}


def base_url() -> str:
    """Return the server's address."""
    return os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options of every command that writes files with leads."""

    output_format: Annotated[
        OutputFormat | None, Parameter(name="--format", show_choices=False)
    ] = None
    """jsonl, csv or parquet. Default: by OUTPUT's suffix."""

    fields: str | None = None
    """Fields in order, like id,email,payload.company. Default: all."""

    labels: Flag = False
    """Write labels (Bounced) instead of codes (-1)."""

    csv_raw: Flag = False
    """Do not escape cells that look like spreadsheet formulas."""

    csv_bom: Flag = False
    """Begin with a byte order mark, so that Excel reads UTF-8."""


@Parameter(name="*", group=RESUME)
@dataclass(frozen=True, kw_only=True)
class ResumeOptions:
    """Options for an output that exists."""

    resume: Flag = False
    """Resume an output that exists."""

    repair: Flag = False
    """Resume, and drop lines that are not leads."""

    retry_errors: Flag = False
    """Resume, and fetch failed ids again."""

    force: Flag = False
    """Start again, and replace an output that exists."""

    def how(self) -> Resume | None:
        """Return what to do with an output that exists; ``None``: the output has to be new.

        Raises:
            CommandError: the options contradict each other.
        """
        resumes = self.resume or self.repair or self.retry_errors
        if resumes and self.force:
            raise CommandError(
                "--force starts again, but --resume, --repair and --retry-errors continue; leave "
                "out one of the two."
            )
        if not (resumes or self.force):
            return None
        return Resume(repair=self.repair, retry_errors=self.retry_errors, force=self.force)


@Parameter(name="*", group=NETWORK)
@dataclass(frozen=True, kw_only=True)
class Network:
    """Options for the way to the API: with which key, through which proxy, within which limit.

    An empty proxy, user agent or shared limit means none, also if the variable is set.
    """

    profile: str | None = field(default=None, repr=False)  # a key may be given by mistake
    """Use the key in INSTANTLY_API_KEY_<PROFILE>."""

    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    """URL of an HTTP proxy; INSTANTLY_PROXY hides its password."""

    user_agent: str | None = None
    """Header User-Agent. Default: this package and its version."""

    shared_limit: str | None = field(default=None, repr=False)  # it may hold a password
    """URL of the Redis or Valkey that keeps the limit."""

    limit_name: str | None = field(default=None, repr=False)  # a key may be given by mistake
    """Name of the workspace there. Default: a hash of the key."""

    @property
    def shared_limit_url(self) -> str | None:
        """The URL of the server that keeps the limit; ``None``: this process does."""
        return _given_or_set(self.shared_limit, SHARED_LIMIT_VARIABLE)

    def name_of_limit(self, key: str, workspace: str | None) -> str:
        """Return the name of the limit on that server.

        Raises:
            CommandError: it is a key.
        """
        name = _given_or_set(self.limit_name, LIMIT_NAME_VARIABLE)
        if name is not None and holds_key(name):
            raise CommandError(
                "The name of a shared limit is seen on its server, so it must not be an API key; "
                "leave out --limit-name, or name the workspace."
            )
        return name or name_for(key, workspace)

    @property
    def proxy_url(self) -> str | None:
        """The proxy's URL; ``None``: no proxy."""
        return _given_or_set(self.proxy, PROXY_VARIABLE)

    @property
    def header(self) -> str | None:
        """The header ``User-Agent``; ``None``: the package's own."""
        return _given_or_set(self.user_agent, USER_AGENT_VARIABLE)

    @property
    def hint(self) -> str | None:
        """What may be wrong about the proxy if nothing answers; ``None``: there is none."""
        if self.proxy_url is not None:
            origin = "--proxy" if self.proxy else PROXY_VARIABLE
            return f"All requests go through the proxy in {origin}; perhaps it cannot be reached."
        ignored = next(filter(os.environ.get, _IGNORED_PROXY_VARIABLES), None)
        if ignored is None:
            return None
        return f"{ignored} is set, but not used; to use that proxy, set {PROXY_VARIABLE} to it."

    def name_option(self, sentence: str) -> str:
        """Replace the setting at the beginning of a sentence by its option or variable."""
        names = _OPTION_OF_SETTING | {
            "proxy": "--proxy" if self.proxy else PROXY_VARIABLE,
            "user_agent": "--user-agent" if self.user_agent else USER_AGENT_VARIABLE,
        }
        return re.sub(r"^\w+", lambda word: names.get(word[0], word[0]), sentence)


DEFAULT_NETWORK = Network()
"""As the environment says."""

DIRECT = Network(proxy="", user_agent="", shared_limit="")
"""Without a proxy or a shared limit, whatever the environment says."""


def _given_or_set(option: str | None, variable: str) -> str | None:
    return (os.environ.get(variable) if option is None else option) or None


@Parameter(name="*", group=NETWORK)
@dataclass(frozen=True, kw_only=True)
class Connection:
    """Options of every command that fetches from the API."""

    workspace: str | None = None
    """Id of the sub-workspace that an admin key acts on."""

    rate_share: float = 1.0
    """Share of the rate limit to use, at most 1."""

    concurrency: int = DEFAULT_CONCURRENCY
    """Requests in flight at once."""

    patience: float = PATIENCE_S
    """Seconds to wait for an outage to end."""

    max_lead_bytes: int = DEFAULT_MAX_LEAD_BYTES
    """Cap on the JSON of one lead."""

    log_level: ShownLogLevel = "warning"
    """Log debug, info, warning or error."""

    def rate_limit(self) -> RateLimit:
        """Return the rate limit.

        Raises:
            CommandError: the share is out of range.
        """
        try:
            return RateLimit(share=self.rate_share)
        except ConfigurationError as error:
            raise CommandError(DIRECT.name_option(str(error))) from None

    def client(self, network: Network = DEFAULT_NETWORK) -> InstantlyClient[Lead]:
        """Make the client that these options and the environment describe.

        Raises:
            CommandError: an option or a variable is invalid.
        """
        return self.client_of(key_of(network.profile), None, network)

    def client_of(
        self, key: str, base_url: str | None, network: Network = DIRECT
    ) -> InstantlyClient[Lead]:
        """Make a client of this server; ``None``: that of the environment, or the vendor's."""
        try:
            settings: dict[str, Any] = {
                "base_url": base_url,
                "workspace": self.workspace,
                "retry": RetryPolicy(breaker_patience_s=self.patience),
                "concurrency": self.concurrency,
                "max_lead_bytes": self.max_lead_bytes,
                "user_agent": network.header,
            }
            # Tracebacks show locals, so no URL that may have a password is one.
            if network.shared_limit_url is None:
                settings["rate_limit"] = self.rate_limit()
                return InstantlyClient(key, proxy=network.proxy_url, **settings)
            return SharingClient(
                key,
                url=network.shared_limit_url,
                name=network.name_of_limit(key, self.workspace),
                limit=self.rate_limit(),
                proxy=network.proxy_url,
                **settings,
            )
        except ConfigurationError as error:
            raise CommandError(network.name_option(str(error))) from None
