"""From a client's messages to a batch: every text is planned and decided here, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from bailiwick.decide.seen import Observer
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.enforce import attempt
from bailiwick.gateway.enforcer import Enforcer, LiveSession
from bailiwick.gateway.observing import observer_of
from bailiwick.model.decision import Allow, Decision, Denial, Deny, Hold, Request
from bailiwick.mounts.postgres import codec, kept, named, told
from bailiwick.mounts.postgres.batch import (
    CLOSE,
    DESCRIBE_PORTAL,
    DESCRIBE_STATEMENT,
    PARSE,
    Batch,
    BindStep,
    Execution,
    Held,
    PoisonStep,
    Step,
)
from bailiwick.mounts.postgres.counted import surround
from bailiwick.mounts.postgres.errors import denied, own_error
from bailiwick.mounts.postgres.lent import lend, take_back
from bailiwick.mounts.postgres.metered import metered, segment_of
from bailiwick.mounts.postgres.named import OWN_NAMES, Part, Running
from bailiwick.mounts.postgres.names import Names
from bailiwick.mounts.postgres.observed import bound, digest_of, observed_call, observed_rows
from bailiwick.mounts.postgres.prepared import (
    NO_TYPES,
    Account,
    Misuse,
    Portal,
    Prepared,
    can_wait,
    check_value,
    is_held,
)
from bailiwick.mounts.postgres.records import Records
from bailiwick.mounts.postgres.scrub import without_literals
from bailiwick.mounts.postgres.shaped import Shaped
from bailiwick.mounts.postgres.values import MaskPads, bound_values, has_moment
from bailiwick.sql.plan import Bound, Plan


class Planner(Protocol):
    """Plans texts."""

    def __call__(
        self, text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()
    ) -> tuple[Plan | Denial, ...] | None:
        """Return one entry for each statement of the text, in order. Empty: no statement. None: not known yet, it has
        to be made.

        `declared`: oids of the types that the client declares its first parameters with; 0 for those left open."""
        ...


POISON_PARSE = codec.parse(b"bailiwick denied", b"bailiwick denied this statement")
"""Named, so that it leaves the client's unnamed statement alone; a syntax error, so that it is never prepared."""

_MOST_STATEMENTS = 8192
_CACHED_TEXTS = 256
_CACHED_LENGTH = 8192
_NOTHING = Plan(kind="EMPTY", sql="", first=1)


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A text without a plan. `declared`: as for a `Planner`."""

    text: str
    declared: tuple[int, ...]


class UnplannedError(Exception):
    """A text has no plan yet. The message that needs it has changed nothing: it is taken again once there is one."""

    def __init__(self, unplanned: Unplanned) -> None:
        super().__init__("a text has no plan yet")
        self.unplanned = unplanned


class Translator:
    """Fills `batch`. The caller replaces it when it has been taken."""

    __slots__ = (
        "_cache",
        "_cache_scope",
        "_clock",
        "_enforcer",
        "_given",
        "_kin",
        "_live",
        "_mount",
        "_observer",
        "_pads",
        "_planner",
        "_records",
        "_shaped",
        "batch",
        "names",
        "patience",
        "purpose",
    )

    def __init__(
        self,
        live: LiveSession,
        mount: str,
        planner: Planner,
        enforcer: Enforcer,
        records: Records,
        pads: MaskPads,
        clock: Callable[[], datetime],
    ) -> None:
        self._live = live
        self._mount = mount
        self._planner = planner
        self._enforcer = enforcer
        self._records = records
        self._pads = pads
        self._observer: Observer | None = None
        self._clock = clock
        self._cache: dict[bytes, list[Prepared]] = {}
        self._cache_scope = ""
        self._kin: dict[str, Prepared] = {}
        """Statement without its literals → the last one prepared of those that differ in literals only."""
        self._shaped = Shaped()
        self._given: dict[tuple[str, Unplanned], tuple[Plan | Denial, ...] | Misuse] = {}
        """(scope, what had no plan) → what was made for the message that is being taken."""
        self.batch = Batch()
        self.names = Names()
        self.purpose = ""
        """The agent's own claim of its reason."""
        self.patience = 0.0
        """Seconds that a statement waits for people."""

    # --- the messages of the extended protocol ---

    def parse(self, raw: bytes) -> None:
        """Take a Parse."""
        name, text, types = codec.read_parse(raw)
        if name in OWN_NAMES:
            self.misused(Misuse("42P05", "this name of a prepared statement is the gateway's own"))
            return
        if len(name) > codec.MAX_NAME:
            self.misused(Misuse("42622", "the name of a prepared statement is longer than 63 bytes"))
            return
        if len(self.names.statements) >= _MOST_STATEMENTS and name not in self.names.statements:
            self.misused(Misuse("54000", f"a connection may have {_MOST_STATEMENTS} prepared statements: close some"))
            return
        found = self.statements(text, types)
        if found is None:
            return
        if len(found) != 1:
            self.misused(Misuse("42601", "cannot insert multiple commands into a prepared statement"))
            return
        if len(types) > 2 and not found[0].may_declare(types):
            self.refuse(_TYPE_NOT_ALLOWED, found[0].plan.statement, found[0].call.request)
            return
        prepared = found[0].alone() if is_held(found[0].call) else found[0]
        sent = prepared.parse(name, types)
        if isinstance(sent, Misuse):
            self.misused(sent)
            return
        if prepared.bounded:
            prepared.parsed = sent
        self.names.fresh_statements[name] = prepared
        if prepared.plan.groupings:
            self.names.declared[name] = types
        self.batch.add(sent, Step(PARSE, prepared, name))

    def bind(self, raw: bytes) -> None:
        """Take a Bind."""
        name, statement, pos = codec.read_bind(raw)
        prepared = self.names.statement(statement)
        if prepared is None:
            self.misused(Misuse("26000", "there is no prepared statement of that name"))
            return
        if len(name) > codec.MAX_NAME:
            self.misused(Misuse("42622", "the name of a portal is longer than 63 bytes"))
            return
        if prepared.scope != self._live.scope.id:
            prepared = self.current(prepared)
            if prepared is None:
                return
        if prepared.plan.groupings:
            composed = self._composed(prepared, raw, pos, self.names.declared.get(statement, b"\0\0"))
            if composed is None:
                return
            raw = told.without_given(prepared, raw, pos, name)
            prepared, statement, pos = composed, told.OWN, codec.read_bind(raw)[2]
        sent = prepared.bind(raw, name, self.names.at_server(statement), pos, self.values(prepared))
        if isinstance(sent, Misuse):
            self.misused(sent)
            return
        portal = Portal(prepared, check_value(raw, pos)) if prepared.plan.checked else Portal(prepared)
        if prepared.bounded:
            portal.account = Account(sent)
        if prepared.plan.used is not None and prepared.plan.used.tables:
            portal.given = bound(raw, pos, prepared.declared)
            portal.results = codec.read_bind_tail(raw, pos)[3]
        self.names.fresh_portals[name] = portal
        self.batch.add(sent, BindStep(prepared, portal, name))

    def describe(self, raw: bytes) -> None:
        """Take a Describe."""
        kind, name = codec.read_named(raw)
        if kind == 0x53:
            prepared = self.names.statement(name)
            if prepared is None:
                self.misused(Misuse("26000", "there is no prepared statement of that name"))
            elif isinstance(prepared, Part):
                self._describe_part(raw, prepared)
            else:
                sent = codec.describe(b"S", self.names.at_server(name))
                self.batch.add(sent, Step(DESCRIBE_STATEMENT, prepared))
            return
        portal = self.names.portal(name)
        if portal is None:
            self.misused(Misuse("34000", "there is no portal of that name"))
        else:
            self.batch.add(raw, Step(DESCRIBE_PORTAL, portal.prepared))

    def _describe_part(self, raw: bytes, part: Part) -> None:
        found = self.current(part)
        if found is not None:
            self.batch.add(named.describe(found, raw), Step(DESCRIBE_STATEMENT, found))

    def execute(self, raw: bytes) -> None:
        """Take an Execute. A write runs to its end whatever was asked: a suspended one would be committed unchecked."""
        name, _ = codec.read_execute(raw)
        portal = self.names.portal(name)
        if portal is None:
            self.misused(Misuse("34000", "there is no portal of that name"))
            return
        prepared = portal.prepared
        if prepared.scope != self._live.scope.id:
            prepared = self.current(prepared)
            if prepared is None:
                return
        sent = codec.execute(name) if prepared.plan.kind == "WRITE" else raw
        self._add_execute(sent, prepared, portal)

    def run_bound(self) -> bool:
        """Take `DESCRIBE_AND_EXECUTE` behind a Bind. False: the Bind was not one of the unnamed portal."""
        portal = self.names.fresh_portals.get(b"")
        if portal is None or self.batch.doomed:
            return False
        self.batch.add(_DESCRIBE_UNNAMED, Step(DESCRIBE_PORTAL, portal.prepared))
        self._add_execute(_EXECUTE_UNNAMED, portal.prepared, portal)
        return True

    def close(self, raw: bytes) -> None:
        """Take a Close."""
        kind, name = codec.read_named(raw)
        if kind == 0x53 and name in kept.NAMES:
            raw = _CLOSE_NOTHING  # what is kept is not the client's
        self.batch.add(raw, Step(CLOSE, name=bytes((kind,)) + name))

    # --- for exchanges ---

    def known(self, text: bytes, types: bytes) -> Prepared | None:
        """Return the one plain read that a text seen before is; None if it is something else. `types` as on the wire:
        what it was prepared with before."""
        found = self._cache.get(text if types == NO_TYPES else types + text)
        if found is None or len(found) != 1 or self._cache_scope != self._live.scope.id:
            return None
        if types != found[0].declared:  # the same bytes, but cut elsewhere
            return None
        if types != NO_TYPES and not found[0].repeated and not found[0].may_declare(types):
            return None
        return found[0] if found[0].plain and found[0].purpose == self.purpose else None

    def known_shape(self, text: bytes) -> tuple[Prepared, bytes] | None:
        """Return the plain read that a Query is by its shape, with parameters in the place of its literals, and all of
        its bound values; None if it is something else."""
        found = self._shaped.find(text) if self._cache_scope == self._live.scope.id else None
        if found is None:
            return None
        like, literals = found
        return None if like.prepared.purpose != self.purpose else (like.prepared, self.values(like.first) + literals)

    def learn_shape(self, prepared: Prepared) -> None:
        """Keep a plain read that was a Query for others of its shape."""
        self._shaped.learn(prepared)

    def ready(self, statement: bytes) -> Prepared | None:
        """Return the plain read that is prepared under that name and needs no new decision."""
        found = self.names.statements.get(statement)
        if found is None or not found.plain or found.scope != self._live.scope.id or found.purpose != self.purpose:
            return None
        return found

    # --- the simple protocol, and what is refused ---

    def query(self, found: list[Prepared]) -> None:
        """Take the statements of a Query."""
        self._foresee(found)
        for each in found:
            prepared = each if each.scope else self.current(each)
            if prepared is not None and prepared.plan.groupings:
                prepared = self._told_now(prepared, {})
            if prepared is None:
                return
            sent = prepared.parse(b"", b"\0\0")
            if isinstance(sent, Misuse) or (prepared.plan.bound and prepared.plan.first != 1):
                self.misused(Misuse("42P02", "there are no parameters in the simple protocol"))
                return
            batch = self.batch
            batch.add(sent, Step(PARSE, prepared, quiet=True))
            bound = prepared.bind_unasked(self.values(prepared))
            portal = Portal(prepared)
            if prepared.bounded:
                prepared.parsed, portal.account = sent, Account(bound)
            batch.add(bound, BindStep(prepared, portal, b"", quiet=True))
            batch.add(_DESCRIBE_UNNAMED, Step(DESCRIBE_PORTAL, prepared, quiet=True))
            self._add_execute(_EXECUTE_UNNAMED, prepared, portal)
            if batch.doomed:
                return

    def _foresee(self, found: list[Prepared]) -> None:
        """Raise UnplannedError if a statement needs a plan that is not known, before any of them is taken."""
        for each in found:
            anew = None if each.scope else named.planned_anew(each, self)
            if anew is not None:
                self._entries(anew.text.decode(), anew.declared)

    def refuse(self, denial: Denial, statement: str = "", request: Request | None = None) -> None:
        """Record the denial and make the batch fail with it, where the refused message stood."""
        asked = request or Request(self._mount, (), self.purpose)
        call = Call(self._mount, statement, asked, Deny(denial))
        self._fail(denied(denial, self._records.call(call, Outcome(code=denial.code))))

    def misused(self, misuse: Misuse) -> None:
        """Make the batch fail with a client's mistake."""
        self._fail(own_error(misuse.state, misuse.message))

    def _fail(self, error: bytes) -> None:
        self.batch.add(POISON_PARSE, PoisonStep(error))
        self.batch.doomed = True

    # --- deciding ---

    def statements(self, text: bytes, types: bytes = NO_TYPES) -> list[Prepared] | None:
        """Return the statements of a text, decided; None when it is refused, and the batch then fails.

        `types`: what the client declares its parameters with, as on the wire."""
        scope = self._live.scope.id
        if scope != self._cache_scope:
            self._cache.clear()
            self._kin.clear()
            self._shaped.clear()
            self._cache_scope = scope
        key = text if types == NO_TYPES else types + text
        found = self._cache.get(key)
        if found is not None:
            return found
        found = self._decided(text, scope, types)
        if found is not None and len(text) <= _CACHED_LENGTH and all(one.scope for one in found):
            if len(self._cache) >= _CACHED_TEXTS:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = found
        return found

    def give(self, scope: str, unplanned: Unplanned, plans: tuple[Plan | Denial, ...] | Misuse) -> None:
        """Take what was made for an `UnplannedError`: the message that needs it is taken next."""
        self._given[scope, unplanned] = plans

    def forget_given(self) -> None:
        """The messages that needed what was given have been taken."""
        if self._given:
            self._given.clear()

    def _decided(self, text: bytes, scope: str, types: bytes) -> list[Prepared] | None:
        try:
            readable = text.decode()
        except UnicodeDecodeError:
            self.misused(Misuse("22021", "the statement is not valid UTF-8"))
            return None
        plans = self._plans(readable, types)
        found = None if plans is None else self._allowed(text, plans or [_NOTHING], scope)
        for each in found or ():
            each.declared = types
        return found

    def _plans(self, text: str, types: bytes) -> list[Plan] | None:
        """Return the plans of a text; None when it is refused, and the batch then fails. Raises UnplannedError."""
        entries = self._entries(text, types)
        if isinstance(entries, Misuse):
            self.misused(entries)
            return None
        found: list[Plan] = []
        for entry in entries:
            if isinstance(entry, Denial):
                self.refuse(entry, without_literals(text))
                return None
            found.append(entry)
        return found

    def _entries(self, text: str, types: bytes) -> tuple[Plan | Denial, ...] | Misuse:
        """Return what is known of a text. Raises UnplannedError when that is nothing."""
        declared = tuple(codec.int32_at(types, place)[0] & 0xFFFFFFFF for place in range(2, len(types) - 3, 4))
        unplanned = Unplanned(text, declared)
        given = self._given.get((self._live.scope.id, unplanned)) if self._given else None
        if given is not None:
            return given
        plans = attempt("planning a statement", self._planner, text, self._live, self._mount, declared)
        if plans is None:
            raise UnplannedError(unplanned)
        return (plans,) if isinstance(plans, Denial) else plans

    def _allowed(self, text: bytes, plans: list[Plan], scope: str) -> list[Prepared] | None:
        decided: list[Prepared] = []
        alone = len(plans) == 1
        for plan in plans:
            kin = self._kin.get(plan.statement)
            if kin is not None and kin.plan.accesses is plan.accesses and kin.purpose == self.purpose:
                decided.append(Prepared(text, plan, scope, kin.call, kin))
                continue
            call = self.call_of(plan)
            if call is None:
                return None
            if is_held(call) and not alone:  # else people would be shown more than what they decide on
                self.refuse(_NOT_ALONE, plan.statement, call.request)
                return None
            if plan.act is not None:
                decided.append(Part("itself", text, len(decided), plan, scope, call))
                continue
            prepared = Prepared(text, plan, scope, call)
            decided.append(prepared)
            self._keep_kin(prepared)
        return decided

    def _keep_kin(self, prepared: Prepared) -> None:
        if len(self._kin) >= _CACHED_TEXTS:
            del self._kin[next(iter(self._kin))]
        self._kin[prepared.plan.statement] = prepared

    def call_of(self, plan: Plan) -> Call | None:
        """Decide on a plan; None when it is not allowed, and the batch then fails."""
        request = Request(self._mount, plan.accesses, self.purpose)
        decision = self._enforcer.decide(self._live, request)
        budgets = self._enforcer.budgets(self._live, decision)
        call = Call(self._mount, plan.statement, request, decision, budgets=budgets)
        if isinstance(decision, Allow) or (is_held(call) and can_wait(plan)):
            return call
        if is_held(call):
            self.refuse(named.NOT_BY_NAME, plan.statement, request)
        else:
            self._not_allowed(decision, plan, request)
        return None

    def _not_allowed(self, decision: Deny | Hold, plan: Plan, request: Request) -> None:
        call = Call(self._mount, plan.statement, request, decision)
        record = self._records.call(call, Outcome(code=decision.denial.code))
        self._fail(denied(decision.denial, record))

    def scope_id(self) -> str:
        """Return the id of the scope in force."""
        return self._live.scope.id

    def planned(self, text: bytes, index: int, types: bytes) -> Plan | None:
        """Plan one statement of a text again; None when it is refused, and the batch then fails."""
        plans = self._plans(text.decode(), types)
        return None if plans is None else plans[index]

    def current(self, prepared: Prepared) -> Prepared | None:
        """Return the statement as it stands under the policy in force; None when it may not run: the batch fails."""
        if isinstance(prepared, Part):
            return named.renewed(prepared, self)
        if isinstance(prepared, Running):
            return named.still(prepared, self)
        return prepared if self._decide_anew(prepared) else None

    def _decide_anew(self, prepared: Prepared) -> bool:
        """The policy changed since the statement was prepared: it goes on only if nothing changes for it."""
        found = self.statements(prepared.text, prepared.declared)
        if found is None:
            return False
        if len(found) != 1 or not prepared.same_statement(found[0].plan):
            self._stale(prepared, "the policy has changed since this statement was prepared")
            return False
        prepared.scope, prepared.call, prepared.purpose = found[0].scope, found[0].call, found[0].purpose
        prepared.ceilings = found[0].ceilings
        return True

    def _stale(self, prepared: Prepared, text: str) -> None:
        denial = Denial("statement_not_allowed", text, remedy="prepare the statement again")
        self.refuse(denial, prepared.plan.statement, prepared.call.request)

    # --- what may only be aggregated ---

    def _composed(self, prepared: Prepared, raw: bytes, pos: int, types: bytes) -> Prepared | None:
        """Make the statement anew for what the session has been told by now; None when it is refused."""
        values = told.given_values(prepared, raw, pos, types)
        if values is None:
            self.refuse(_VALUE_NOT_READ, prepared.plan.statement, prepared.call.request)
            return None
        made = self._told_now(prepared, values)
        if made is None:
            return None
        sent = made.parse(told.OWN, told.declared(prepared, types))
        if isinstance(sent, Misuse):
            self.misused(sent)
            return None
        self.batch.add(_CLOSE_OWN, Step(CLOSE, name=b"S" + told.OWN, quiet=True))
        self.batch.add(sent, Step(PARSE, made, told.OWN, quiet=True))
        return made

    def _told_now(self, prepared: Prepared, values: told.Values) -> Prepared | None:
        plan = prepared.plan
        wanted = told.told_of(prepared, values)
        asked = wanted if isinstance(wanted, Denial) else self._records.group(plan.groupings, wanted)
        if isinstance(asked, Denial):
            self.refuse(asked, plan.statement, prepared.call.request)
            return None
        return told.as_composed(prepared, asked, values)

    # --- executing ---

    def _add_execute(self, sent: bytes, prepared: Prepared, portal: Portal) -> None:
        if prepared.purpose != self.purpose and not self._claim(prepared):
            return
        if prepared.plan.lent:
            lend(self.batch, prepared, self._values_of(prepared.plan.lent))
        if prepared.bounded:
            self._add_bounded(sent, prepared, portal)
        else:
            self._add_plain(sent, prepared, portal)
        if prepared.plan.lent:
            take_back(self.batch, prepared)

    def _add_plain(self, sent: bytes, prepared: Prepared, portal: Portal) -> None:
        execution = Execution(prepared, portal.passed)
        self._observe(execution, prepared, portal)
        self.batch.add_execute(sent, execution, prepared)

    def _add_bounded(self, sent: bytes, prepared: Prepared, portal: Portal) -> None:
        if prepared.ceilings is not None:
            counted = prepared.cursor or portal if isinstance(prepared, Part) else portal
            sent, step = metered(sent, prepared, counted, prepared.ceilings)
            self._observe(step, prepared, portal)
            around = partial(surround, write=step) if prepared.plan.inner else None
            self.batch.add_metered(sent, step, segment_of(step), around)
        elif portal.account is not None and prepared.parsed:
            held = Held(prepared, prepared.parsed, portal.account.bound, prepared.call, portal.passed)
            self.batch.add_held(held)
        else:
            self.refuse(named.NOT_BY_NAME, prepared.plan.statement, prepared.call.request)

    def _observe(self, step: Execution, prepared: Prepared, portal: Portal) -> None:
        """Have the call of an execution say what it uses, and its rows be looked at, as far as that can be told."""
        if prepared.plan.used is None or not prepared.plan.used.tables:
            return
        if self._observer is None:
            self._observer = observer_of(self._live, digest_of(self._pads))
            self._observer.again()
        observing = (prepared, portal, self._live, self._observer)
        call = attempt("observing a statement", observed_call, *observing)
        rows = attempt("observing rows", observed_rows, *observing)
        if not isinstance(call, Denial):
            step.call = call
            step.results = None if isinstance(rows, Denial) else rows

    def _claim(self, prepared: Prepared) -> bool:
        """Put the agent's reason of the moment into the call. False: it may not run, and the batch fails."""
        if isinstance(prepared, Part) and prepared.role == "itself":
            return named.executing(prepared, self)
        old = prepared.call
        request = Request(old.request.mount, old.request.accesses, self.purpose)
        decision: Decision = old.decision
        prepared.call = Call(old.mount, old.statement, request, decision, old.detail, old.budgets)
        prepared.purpose = self.purpose
        return True

    def values(self, prepared: Prepared) -> bytes:
        """Return the bound values of a statement as they go on the wire."""
        values = prepared.values
        if values is not None:
            return values
        values = self._values_of(prepared.plan.bound)
        if not has_moment(prepared.plan.bound):
            prepared.values = values
        return values

    def _values_of(self, bound: Sequence[Bound]) -> bytes:
        moment = self._clock() if has_moment(bound) else None
        return bound_values(bound, self._live.session, self._pads, moment)


_VALUE_NOT_READ = Denial(
    "value_not_granted",
    "a parameter that filters what may only be aggregated has a type or form that cannot be read exactly",
    "numbers, texts, booleans, uuids, dates and timestamps",
    "write the value as a literal of the statement",
)
_NOT_ALONE = Denial(
    "statement_not_allowed",
    "a statement of this text waits for an approval, and others stand beside it",
    allowed="one statement alone",
    remedy="send its statements one by one",
)
_CLOSE_NOTHING = codec.message(b"C", b"S" + kept.NOTHING + b"\0")
_CLOSE_OWN = codec.message(b"C", b"S" + told.OWN + b"\0")
_TYPE_NOT_ALLOWED = Denial(
    "function_not_allowed",
    "a parameter is declared with a type that is not allowed",
    allowed="built-in types, and those of the columns in the scope",
    remedy="declare it as text",
)
_DESCRIBE_UNNAMED = codec.describe(b"P", b"")
_EXECUTE_UNNAMED = codec.execute(b"")
DESCRIBE_AND_EXECUTE = _DESCRIBE_UNNAMED + _EXECUTE_UNNAMED
"""What most drivers send behind a Bind of the unnamed portal."""
