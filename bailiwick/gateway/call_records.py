"""The records of calls: what is asked, decided and done, as the ledger keeps it.

Mounts reuse the `Call` of a cached plan; what its records have in common is then computed, and encoded, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.sessions.live import Live, Terms
from bailiwick.ledger.encode import Form, Stamped, form_of
from bailiwick.model.decision import Allow, Denial, Deny, Hold
from bailiwick.model.observation_record import OBSERVED
from bailiwick.model.record import JsonValue, Record

CallKind = Literal["call", "intent", "outcome"]
NOTHING_YET = Outcome()
_UNSTAMPED = datetime(1970, 1, 1, tzinfo=UTC)
_most = 4096


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the records of one call have in common, however often it runs."""

    actions: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]
    grants: tuple[str, ...]
    decision: Literal["allow", "deny", "hold"]
    code: str
    message: str


class CallRecords:
    """Makes the records of calls, and remembers what is the same in each of them."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._facts: dict[int, tuple[Call, _Facts]] = {}
        self._forms: dict[int, tuple[Call, Live, Terms | None, Form | None]] = {}

    def made(self, kind: CallKind, live: Live, call: Call, outcome: Outcome, refers: str) -> Record | Stamped:
        """Return a record to be appended, by its form where it has one."""
        code, rows, size, spent = outcome
        identity, now = self._recorder.new_id(), self._clock()
        if kind == "call" and not code and rows is not None and size is not None and spent is not None:
            form = self._form_of(call, live)
            if form is not None:
                return Stamped(form, identity, now, rows, size, spent)
        return self._whole(kind, live, call, outcome, refers)._replace(id=identity, at=now)

    def dated(self, kind: CallKind, live: Live, call: Call, outcome: Outcome, refers: str) -> Record:
        """Return a whole record."""
        record = self._whole(kind, live, call, outcome, refers)
        return record._replace(id=self._recorder.new_id(), at=self._clock())

    def _form_of(self, call: Call, live: Live) -> Form | None:
        """Return the form of a call's records without an error; mounts reuse the `Call` of a cached plan.

        None for one that is seen for the first time: most of those are never seen again."""
        kept = self._forms.get(id(call))
        if kept is None:
            if len(self._forms) >= _most:
                self._forms.clear()
            self._forms[id(call)] = (call, live, None, None)
            return None
        if kept[1] is live and kept[2] is live.terms:
            return kept[3]
        form = form_of(self._whole("call", live, call, NOTHING_YET, ""))
        self._forms[id(call)] = (call, live, live.terms, form)  # holding the call keeps its id from another
        return form

    def _whole(self, kind: CallKind, live: Live, call: Call, outcome: Outcome, refers: str) -> Record:
        """Return a record that lacks its id and its moment."""
        facts = self._facts_of(call)
        who, used = live.identity, live.elevations_of(facts.grants)
        detail: Mapping[str, JsonValue] = call.detail or {}
        if used:
            detail = {**detail, "elevation": [*used]}
        if call.mount in live.scope.observed:
            detail = {**detail, OBSERVED: True}
        return Record(
            id="",
            kind=kind,
            at=_UNSTAMPED,
            agent=who.agent,
            user=who.user,
            session=who.session,
            task=who.task,
            chain=who.chain,
            mount=call.mount,
            actions=facts.actions,
            fields=facts.fields,
            labels=facts.labels,
            statement="" if kind == "outcome" else call.statement,
            decision=facts.decision,
            code=facts.code or outcome.code,
            message=facts.message,
            grants=facts.grants,
            policy=live.policy,
            refers=refers,
            purpose=call.request.purpose,
            rows=outcome.rows,
            bytes=outcome.bytes,
            duration_us=outcome.duration_us,
            detail=detail,
        )

    def _facts_of(self, call: Call) -> _Facts:
        """Return the facts of a call; mounts reuse the `Call` of a cached plan, and then nothing is computed."""
        kept = self._facts.get(id(call))
        if kept is not None:
            return kept[1]
        if len(self._facts) >= _most:
            self._facts.clear()
        facts = _facts(call)
        self._facts[id(call)] = (call, facts)  # holding the call keeps its id from being given to another
        return facts


def _facts(call: Call) -> _Facts:
    fields: dict[str, set[str]] = {}
    for access in call.request.accesses:
        fields.setdefault(access.resource, set()).update(access.fields)
    actions = dict.fromkeys(f"{access.resource}:{access.verb}" for access in call.request.accesses)
    decision = call.decision
    labels: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    denial: Denial | None = None
    kind: Literal["allow", "deny", "hold"]
    match decision:
        case Allow():
            kind, labels, grants = "allow", tuple(sorted(decision.labels)), decision.grants
        case Deny():
            kind, denial, grants = "deny", decision.denial, decision.grants
        case Hold():
            kind, denial = "hold", decision.denial
            if decision.queued is not None:
                labels, grants = tuple(sorted(decision.queued.labels)), decision.queued.grants
    return _Facts(
        actions=tuple(actions),
        fields={resource: tuple(sorted(names)) for resource, names in fields.items()},
        labels=labels,
        grants=grants,
        decision=kind,
        code="" if denial is None else denial.code,
        message="" if denial is None else denial.message,
    )
