"""SQL's own cursors and prepared statements: DECLARE, FETCH, MOVE, CLOSE, PREPARE, EXECUTE, DEALLOCATE.

The server holds them, under the names that the agent gave. Here is kept what each name stands for, so that every FETCH
and EXECUTE is decided, recorded and bound as what it runs, under the policy of that moment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Protocol

from bailiwick.gateway.call import Call
from bailiwick.model.decision import Denial, Request
from bailiwick.mounts.postgres import approved, codec, counted, kept, lent, told
from bailiwick.mounts.postgres.names import Names
from bailiwick.mounts.postgres.prepared import Misuse, Portal, Prepared, ceilings_of, is_held
from bailiwick.sql.plan import Bound, Declare, Drop, Fetch, Plan, Prepare, Run

MOST = 1000
"""Cursors that a connection may have at a time, and statements that it may PREPARE."""
OWN_NAMES = frozenset({told.OWN, counted.OWN, lent.OWN, approved.OWN, kept.NOTHING, *kept.NAMES})
"""Of statements and portals of the gateway's own; no client may use them."""
_ASKED_ANEW = "\0"
"""A purpose that no agent can claim: with it, every execution of a statement passes `executing`."""

NOT_BY_NAME = Denial(
    "statement_not_allowed",
    "what waits for an approval cannot be executed as it was prepared, nor as a cursor or a copy",
    allowed="the statement itself, as one of its own",
    remedy="prepare it again, or send it whole",
)

Role = Literal["itself", "cursor", "inner"]


class Part(Prepared):
    """A statement of a text about names, or what it made: the cursor of a DECLARE, the statement in a PREPARE.

    `itself` has no scope: it is looked at anew at every Bind and Execute, because what its name stands for may change.
    """

    __slots__ = ("cursor", "index", "made", "role", "under")

    def __init__(self, role: Role, text: bytes, index: int, plan: Plan, scope: str, call: Call) -> None:
        super().__init__(text, plan, "" if role == "itself" else scope, call)
        self.role: Role = role
        self.index = index
        self.under = scope
        """Id of the scope it was decided under."""
        self.made: Part | None = None
        self.cursor: Portal | None = None
        """DECLARE: what it made when it last ran. FETCH: what it reads; rows are counted there, over all of them."""
        if role == "itself":
            self.purpose = _ASKED_ANEW


class Running(Prepared):
    """An EXECUTE whose name has been looked up: what the client binds is the prepared statement, with its arguments."""

    __slots__ = ("base", "statement")

    def __init__(self, base: Prepared, statement: bytes, plan: Plan, call: Call) -> None:
        super().__init__(base.text, plan, base.scope, call)
        self.base = base
        self.statement = statement

    def parse(self, name: bytes, types: bytes) -> bytes | Misuse:
        """Return a Parse of nothing: the statement itself is prepared already."""
        return codec.parse(name, b"", types)

    def bind(self, raw: bytes, portal: bytes, statement: bytes, pos: int, values: bytes) -> bytes | Misuse:  # noqa: ARG002  # the signature of the statement that it stands for
        """Return the Bind to be sent for a client's, of the statement behind the name."""
        return super().bind(raw, portal, self.statement, pos, values)

    def bind_unasked(self, values: bytes, statement: bytes = b"") -> bytes:  # noqa: ARG002  # likewise
        """Return the Bind for the simple protocol."""
        return super().bind_unasked(values, self.statement)


class Deciding(Protocol):
    """What is asked of the translator. Where it returns None, the batch has been made to fail."""

    names: Names
    purpose: str

    def planned(self, text: bytes, index: int, types: bytes) -> Plan | None:
        """Plan one statement of a text again."""
        ...

    def call_of(self, plan: Plan) -> Call | None:
        """Decide on a plan."""
        ...

    def current(self, prepared: Prepared) -> Prepared | None:
        """Return a statement as the policy in force allows it."""
        ...

    def scope_id(self) -> str:
        """Return the id of the scope in force."""
        ...

    def refuse(self, denial: Denial, statement: str = "", request: Request | None = None) -> None: ...
    def misused(self, misuse: Misuse) -> None: ...


def current(part: Part, by: Deciding) -> Prepared | None:
    """Return what a statement about names means now; None when it may not run, and the batch then fails."""
    act = part.plan.act
    if isinstance(act, Fetch):
        return _fetch(part, act, by)
    if isinstance(act, Run):
        return _run(part, act, by)
    return _decided_anew(part, by) if part.under != by.scope_id() else part


def planned_anew(part: Prepared, by: Deciding) -> Prepared | None:
    """Return the statement whose text `current` has to plan again; None when there is none."""
    act = part.plan.act
    found: Prepared | None = None
    if isinstance(act, Fetch):
        portal = by.names.portal(act.name.encode())
        found = None if portal is None else portal.prepared
    elif isinstance(act, Run):
        found = by.names.statement(act.name.encode())
    while isinstance(found, Running):
        found = found.base
    return None if found is None or found.scope == by.scope_id() else found


def still(running: Running, by: Deciding) -> Prepared | None:
    """Return an EXECUTE that was bound before, after the policy changed."""
    base = by.current(running.base)
    if base is None:
        return None
    running.call = _like(base.call, running.call.statement, running.call.request.purpose)
    running.scope, running.ceilings = base.scope, base.ceilings
    return running


def executing(part: Part, by: Deciding) -> bool:
    """A statement about names is about to run: what it makes is known to the rest of the batch. False: there are too
    many already, and the batch fails."""
    names, act = by.names, part.plan.act
    part.call = _like(part.call, part.call.statement, by.purpose)
    if isinstance(act, Declare | Prepare):
        counted = names.portals if isinstance(act, Declare) else names.statements
        name = act.name.encode()
        if name in OWN_NAMES:
            by.misused(Misuse("42P05", "this name is the gateway's own"))
            return False
        if len(counted) >= MOST and name not in counted:
            by.misused(Misuse("54000", f"a connection may have {MOST} of these by name: close some"))
            return False
        made = part.made or _made(part, act)
        part.made = made
        if isinstance(act, Declare):
            part.cursor = names.fresh_portals[name] = Portal(made)
        else:
            names.fresh_statements[name] = made
    return True


def completed(part: Part, names: Names) -> None:
    """The server has run the statement: its names stand for what it made, or for nothing any more."""
    act, made = part.plan.act, part.made
    if isinstance(act, Declare) and part.cursor is not None:
        name = act.name.encode()
        names.portals[name] = part.cursor
        if act.hold:
            names.held[name] = part.cursor
    elif isinstance(act, Prepare) and made is not None:
        names.statements[act.name.encode()] = made
    elif isinstance(act, Drop):
        _drop(act, names)


def describe(running: Prepared, raw: bytes) -> bytes:
    """Return the Describe of a statement to be sent: of what an EXECUTE runs in the place of itself."""
    return codec.describe(b"S", running.statement) if isinstance(running, Running) else raw


def _drop(act: Drop, names: Names) -> None:
    if act.cursors:
        if act.name is None:
            names.drop_all_portals()
        else:
            names.drop_portal(act.name.encode())
    if act.statements:
        if act.name is None:
            names.drop_all_statements()
        else:
            names.statements.pop(act.name.encode(), None)


def _made(part: Part, act: Declare | Prepare) -> Part:
    role: Literal["cursor", "inner"] = "cursor" if isinstance(act, Declare) else "inner"
    plan = _plan_of(role, part.plan)
    call = _like(part.call, plan.statement, part.call.request.purpose)
    made = Part(role, part.text, part.index, plan, part.under, call)
    made.declared = part.declared
    return made


def _plan_of(role: Role, plan: Plan) -> Plan:
    """Return the plan of what a statement makes."""
    if role == "inner" and isinstance(plan.act, Prepare):
        return plan.act.plan
    return replace(plan, kind="READ", act=None, returns=True, tag="FETCH") if role == "cursor" else plan


def _decided_anew(part: Part, by: Deciding) -> Part | None:
    """The policy changed since: it goes on only if nothing changes for it."""
    plan = by.planned(part.text, part.index, part.declared)
    if plan is None:
        return None
    plan = _plan_of(part.role, plan)
    if not part.same_statement(plan):
        text = "the policy has changed since this was declared or prepared"
        denial = Denial("statement_not_allowed", text, remedy="close it, and declare or prepare it again")
        by.refuse(denial, part.plan.statement, part.call.request)
        return None
    call = by.call_of(plan)
    if call is None:
        return None
    part.call, part.ceilings = call, ceilings_of(plan, call)
    part.under = by.scope_id()
    if part.role != "itself":
        part.scope, part.purpose = part.under, call.request.purpose
    else:
        part.made = None
    return part


def renewed(part: Part, by: Deciding) -> Prepared | None:
    """Return a part as it stands under the policy in force; called when its scope is not the one in force."""
    return current(part, by) if part.role == "itself" else _decided_anew(part, by)


def _fetch(part: Part, act: Fetch, by: Deciding) -> Prepared | None:
    portal = by.names.portal(act.name.encode())
    if portal is None:
        by.misused(Misuse("34000", "there is no cursor of that name"))
        return None
    cursor = by.current(portal.prepared) if portal.prepared.scope != by.scope_id() else portal.prepared
    if cursor is None:
        return None
    plan = cursor.plan
    tells = plan.groupings or cursor.asked is not None  # what was told is kept at its own completion only
    if plan.kind != "READ" or plan.checked or plan.copy or plan.act is not None or tells:
        denial = Denial(
            "statement_not_allowed",
            "only from the cursor of a query can rows be fetched",
            "FETCH from what DECLARE … CURSOR FOR SELECT made",
        )
        by.refuse(denial, part.plan.statement, cursor.call.request)
        return None
    call = _like(cursor.call, part.plan.statement, by.purpose)
    found = Part(
        "itself", part.text, part.index, replace(part.plan, accesses=plan.accesses, locks=plan.locks), part.under, call
    )
    found.cursor = portal
    found.declared = part.declared
    return found


def _run(part: Part, act: Run, by: Deciding) -> Prepared | None:
    name = act.name.encode()
    base = by.names.statement(name)
    if base is None:
        by.misused(Misuse("26000", "there is no prepared statement of that name"))
        return None
    base = by.current(base) if base.scope != by.scope_id() else base
    if base is None:
        return None
    plan = base.plan
    if (
        plan.kind not in ("READ", "WRITE")
        or plan.copy
        or plan.act is not None
        or plan.groupings
        or isinstance(base, Running)
    ):
        denial = Denial("statement_not_allowed", "only a prepared query or write can be executed by its name")
        by.refuse(denial, part.plan.statement, base.call.request)
        return None
    if is_held(base.call):
        by.refuse(NOT_BY_NAME, part.plan.statement, base.call.request)
        return None
    if len(act.arguments) != plan.first - 1 and (plan.bound or isinstance(base, Part)):
        # INVARIANT: the agent's values end where ours begin, or it could fill our places.
        by.misused(Misuse("42601", f"wrong number of arguments: the prepared statement takes {plan.first - 1}"))
        return None
    bound = tuple(Bound(each, "") for each in act.arguments) + plan.bound
    statement = f"{part.plan.statement} AS {plan.statement}"
    call = _like(base.call, statement, by.purpose)
    return Running(base, name, replace(plan, first=1, bound=bound, statement=statement), call)


def _like(call: Call, statement: str, purpose: str) -> Call:
    """Return the call with another text: decided the same."""
    request = Request(call.request.mount, call.request.accesses, purpose)
    return Call(call.mount, statement, request, call.decision, budgets=call.budgets)
