"""The API's side of a request: who is admitted, which fault occurs, what the answer is.

Takes a ``Call`` and a time, returns an ``Answer`` and logs it; it writes nothing to the network.
Any thread may call, because a lock protects the state.

The order of checks is not documented. Here it is: outage, CDN (403), key (401), rate limit
(429), scripted or random fault, plan (402), scope (403), then the route. So only requests with
the right key count against the workspace's limit.
"""

from collections import Counter, defaultdict, deque
from random import Random
from threading import RLock

import msgspec

from . import answers
from .answers import Answer
from .behaviour import Behaviour, contains
from .call import Call
from .faults import Fault
from .leads import LeadRenderer
from .listing import list_leads
from .log import RecordedRequest, RequestLog
from .query import Query, parse_query
from .windows import RateWindows, WorstWindows

READING_SCOPES = ("leads:read", "leads:all", "all:read", "all:all")
"""Any one of them lets a key read leads (documented)."""

_REDACTED = "<key>"


class FakeApi:
    """The state behind a fake: rate windows, scripts, random numbers and the log."""

    def __init__(self, behaviour: Behaviour, log_size: int) -> None:
        self._behaviour = behaviour
        self._log = RequestLog(log_size)
        self._lock = RLock()  # re-entrant: a caller's predicate may look at the log
        self._get_renderer = LeadRenderer()
        self.reset()

    def reset(self) -> None:
        """Forget requests, scripts and rate windows; restart the random numbers."""
        with self._lock:
            self._log.clear()
            self._windows: dict[str | None, RateWindows] = {}
            self._lead_scripts: defaultdict[str, deque[Fault]] = defaultdict(deque)
            self._list_script: deque[Fault] = deque()
            self._script: deque[Fault] = deque()
            # Two generators, so that turning on jitter does not change which faults occur.
            self._luck = Random(f"faults {self._behaviour.seed}")  # noqa: S311 - no secret
            self._jitter = Random(f"jitter {self._behaviour.seed}")  # noqa: S311 - no secret
            self._list_renderer = LeadRenderer(self._behaviour.list_payload_keys)

    def script_lead(self, lead_id: str, faults: tuple[Fault, ...]) -> None:
        """Apply these faults to the next requests for one lead, one fault each."""
        with self._lock:
            self._lead_scripts[lead_id.lower()].extend(faults)

    def script_list(self, faults: tuple[Fault, ...]) -> None:
        """Apply these faults to the next list requests, one fault each."""
        with self._lock:
            self._list_script.extend(faults)

    def script_all(self, faults: tuple[Fault, ...]) -> None:
        """Apply these faults to the next requests of any kind, one fault each."""
        with self._lock:
            self._script.extend(faults)

    def requests(self) -> list[RecordedRequest]:
        """Return the requests seen."""
        with self._lock:
            return self._log.requests()

    def counts(self) -> Counter[int]:
        """Return how often each status was answered."""
        with self._lock:
            return self._log.counts()

    def worst_windows(self) -> WorstWindows:
        """Return the busiest second and minute."""
        with self._lock:
            return self._log.worst_windows()

    def answer(self, call: Call, now: float) -> Answer:
        """Decide and log one request that has arrived at ``now`` (monotonic seconds)."""
        with self._lock:
            query = parse_query(call) if call.lists else None
            refusal = self._refuse(call, now)
            fault = self._strike(call) if refusal is None else None
            if refusal is not None:
                answer = refusal
            elif fault is None:
                answer = self._route(call, query)
            else:
                # A fault with its own answer needs no lead.
                answer = fault.apply(fault.answer or self._route(call, query))
            self._log.add(self._record(call, query, now, answer, fault))
            return self._delay(call, answer)

    def _refuse(self, call: Call, now: float) -> Answer | None:
        """Return the answer that rejects a request before any lead is looked up, if any."""
        down = self._behaviour.down or (call.lists and self._behaviour.list_down)
        if down:
            return answers.OUTAGE if down is True else down.apply(answers.OUTAGE)
        agent = call.user_agent
        if not agent or agent.startswith("Python-urllib/"):
            return answers.BLOCKED
        if not self._authorized(call):
            return answers.WRONG_KEY if call.authorization else answers.MISSING_KEY
        if not self._admit(call.workspace, now):
            return answers.too_many_requests(self._behaviour.retry_after)
        return None

    def _authorized(self, call: Call) -> bool:
        return call.authorization == f"Bearer {self._behaviour.api_key}"

    def _admit(self, workspace: str | None, now: float) -> bool:
        limit = self._behaviour.rate_limit
        if limit is None:
            return True
        windows = self._windows.get(workspace)
        if windows is None:
            windows = self._windows[workspace] = RateWindows()
        return windows.admit(now, limit, count_rejected=self._behaviour.count_rejected)

    def _strike(self, call: Call) -> Fault | None:
        """Return the fault of this request, if any: a scripted one before a random one."""
        own = self._list_script if call.lists else self._lead_scripts.get(call.lead_id or "")
        if own:
            return own.popleft()
        if self._script:
            return self._script.popleft()
        rate = self._behaviour.fault_rate
        if rate and self._luck.random() < rate:
            return self._luck.choice(self._behaviour.fault_kinds)
        return None

    def _route(self, call: Call, query: Query | Answer | None) -> Answer:
        if not self._behaviour.paid_plan:
            return answers.NO_PLAN
        if not any(scope in self._behaviour.scopes for scope in READING_SCOPES):
            return answers.NO_SCOPE
        if query is not None:
            return self._list(query)
        if call.lead_segment is None:
            return answers.no_route(call.method, call.path)
        return self._get(call.lead_id)

    def _list(self, query: Query | Answer) -> Answer:
        if isinstance(query, Answer):
            return query
        return list_leads(query, self._behaviour, self._list_renderer)

    def _get(self, lead_id: str | None) -> Answer:
        if lead_id is None:
            return answers.NO_UUID
        if not self._behaviour.has_lead(lead_id):
            return answers.NO_LEAD
        if contains(self._behaviour.broken, lead_id):
            return answers.FAILURE
        own = self._behaviour.fields.get(lead_id)
        return Answer(body=self._get_renderer.render(lead_id, own))

    def _record(
        self,
        call: Call,
        query: Query | Answer | None,
        now: float,
        answer: Answer,
        fault: Fault | None,
    ) -> RecordedRequest:
        key = self._behaviour.api_key
        asked = query if isinstance(query, Query) else None
        return RecordedRequest(
            time=now,
            method=call.method,
            path=call.path.replace(key, _REDACTED),
            status=answer.logged_status,
            authorized=self._authorized(call),
            lead_id=call.lead_id,
            ids=tuple(asked.ids or ()) if asked else (),
            workspace=call.workspace and call.workspace.replace(key, _REDACTED),
            user_agent=call.user_agent and call.user_agent.replace(key, _REDACTED),
            fault=fault.name if fault else None,
            filters=asked.filters if asked else (),
            limit=asked.limit if asked else None,
            starting_after=asked.cursor if asked else None,
            contacts=len(asked.contacts or ()) if asked else 0,
        )

    def _delay(self, call: Call, answer: Answer) -> Answer:
        behaviour = self._behaviour
        latency = behaviour.latency_s
        if call.lists and behaviour.list_latency_s is not None:
            latency = behaviour.list_latency_s
        if behaviour.jitter_s:
            latency += self._jitter.uniform(-behaviour.jitter_s, behaviour.jitter_s)
        if latency <= 0:
            return answer
        return msgspec.structs.replace(answer, delay_s=answer.delay_s + latency)
