"""Quarantine: a session, or an agent, that is denied again and again is suspended by itself (`quarantine:`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from bailiwick.decide.windows import Meter
from bailiwick.errors import BailiwickError
from bailiwick.gateway.moments import Clock, to_microseconds
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.suspensions import Suspensions
from bailiwick.match.in_words import duration_in_words
from bailiwick.model.decision import DenialCode
from bailiwick.model.notice import Notice
from bailiwick.model.policy import Quarantine

_log = logging.getLogger("bailiwick.quarantine")
_MICROSECOND = timedelta(microseconds=1)
BY = "gateway"
COUNTED: frozenset[str] = frozenset[DenialCode](
    {
        "action_not_granted",
        "resource_unknown",
        "field_not_granted",
        "value_not_granted",
        "argument_not_granted",
        "row_out_of_scope",
        "function_not_allowed",
        "statement_not_allowed",
        "syntax_not_supported",
        "statement_unparsable",
        "statement_too_large",
        "group_too_small",
        "limit_exceeded",
        "batch_exceeded",
        "rows_exceeded",
        "bytes_exceeded",
        "protocol_violation",
    }
)
"""Denials of what an agent asked for. What is not its doing (a backend, a suspension, people to wait for) is not."""


class Quarantines:
    """Counts denials. For the event loop's thread."""

    def __init__(self, suspensions: Suspensions, clock: Clock, tell: Callable[[Notice], None]) -> None:
        self._suspensions = suspensions
        self._clock = clock
        self._tell = tell
        self._meters: dict[tuple[str, str], Meter] = {}
        self._suspending: set[asyncio.Task[None]] = set()

    def denied(self, live: Live, code: str) -> None:
        """A request of a session was denied."""
        session = live.session
        agent = live.terms.table.policy.agents.get(session.agent)
        rule = None if agent is None else agent.quarantine
        if rule is None or code not in COUNTED or live.suspended is not None or live.ended is not None:
            return
        whom = session.agent if rule.suspend == "agent" else session.id
        window, now = rule.per // _MICROSECOND, to_microseconds(self._clock())
        meter = self._meters.get((rule.suspend, whom))
        if meter is None or meter.window != window:
            meter = self._meters[rule.suspend, whom] = Meter(window)
        meter.used(now)
        meter.add(1, now)
        if meter.used(now) >= rule.denials:
            del self._meters[rule.suspend, whom]
            task = asyncio.get_running_loop().create_task(self._suspend(live, rule, whom))
            self._suspending.add(task)
            task.add_done_callback(self._suspending.discard)

    def forget(self, session: str) -> None:
        """A session has ended."""
        self._meters.pop(("session", session), None)

    async def _suspend(self, live: Live, rule: Quarantine, whom: str) -> None:
        reason = f"quarantine: {rule.denials} denials in {duration_in_words(rule.per)}"
        link = f"/console/sessions/{live.session.id}"
        what = f"{rule.suspend} {whom}"
        self._tell(Notice("quarantine", whom, f"{what} is suspended: {rule.denials} denials", (reason,), link))
        try:
            await self._suspensions.suspend(rule.suspend, whom, reason, BY)
        except BailiwickError as error:
            _log.error("the quarantine of %s could not be kept: %s", what, error.message)
