"""One client's connection after its start-up: the state machine between client, server and ledger. No sockets.

Batches run one after the other: GATHERING a client's messages up to Sync or Flush, and PLANNING meanwhile when one of
them holds a text that was not seen before, CHARGING what is limited to its budgets, RECORDING the intents of its
writes, RUNNING on the server segment by segment, RELEASING the reply once every record of it is durable.

INVARIANT: nothing that can have an effect is sent before its intent is durable, and nothing of a reply leaves
before the call's record (or intent) is durable; its end leaves only after the outcome is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Literal, TypeVar, TypeVarTuple

from bailiwick.errors import ProtocolError
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.enforce import attempt
from bailiwick.gateway.enforcer import Enforcer, LiveSession
from bailiwick.gateway.limits.memory import Reserved
from bailiwick.model.budget import Used
from bailiwick.model.decision import Denial, Deny
from bailiwick.mounts.postgres import approved, codec
from bailiwick.mounts.postgres.approved import Approved, Go, Past
from bailiwick.mounts.postgres.batch import (
    SYNC,
    Batch,
    Execution,
    Held,
    HeldSegment,
    MeteredSegment,
    PoisonStep,
    Segment,
    Step,
)
from bailiwick.mounts.postgres.codec import MAX_MESSAGE, MAX_SMALL, int32_at
from bailiwick.mounts.postgres.edge import Edge
from bailiwick.mounts.postgres.errors import OUT_OF_SCOPE, denied, ends_session, own_error
from bailiwick.mounts.postgres.exchange import PARSED, Exchange, answered, answers_parse, asked, asked_in_text, outdated
from bailiwick.mounts.postgres.kept import NOTHING
from bailiwick.mounts.postgres.metered import Metered
from bailiwick.mounts.postgres.prepared import Misuse
from bailiwick.mounts.postgres.records import Records
from bailiwick.mounts.postgres.replies import Replies, ResultTooLargeError
from bailiwick.mounts.postgres.translate import (
    DESCRIBE_AND_EXECUTE,
    POISON_PARSE,
    Planner,
    Translator,
    Unplanned,
    UnplannedError,
)
from bailiwick.mounts.postgres.values import MaskPads
from bailiwick.sql.plan import Plan

Result = TypeVar("Result")
Given = TypeVarTuple("Given")
Phase = Literal["GATHERING", "PLANNING", "CHARGING", "RECORDING", "RUNNING", "RELEASING", "CLOSED"]

HELD = 64 * 1024
"""A reply longer than this gets an intent and is streamed."""
LARGEST_RESULT = 1024 * 1024 * 1024
"""Bytes that one statement may return, unless configured otherwise."""
_WAITING = 1024 * 1024
"""With this much held back, the server is not read until the ledger has caught up."""
_BATCH_BYTES = 1024 * 1024
_BATCH_STEPS = 1000
"""A batch longer than this is run as if the client had sent a Flush."""
_GRACE = 5.0
"""Seconds that the server may take to stop what was cancelled."""
_AHEAD = 64 * 1024
"""With this much received ahead, the client is not read until its batch is done."""

_MALFORMED = (ProtocolError, struct.error, IndexError)
"""What is raised over a message that cannot be read."""
_NO_FAILURE = (*_MALFORMED, UnplannedError)
_BIND = ord("B")
_longest: dict[int, int] = {
    ord("Q"): MAX_MESSAGE,
    ord("P"): MAX_MESSAGE,
    ord("B"): MAX_MESSAGE,
    ord("F"): MAX_MESSAGE,
    ord("d"): MAX_MESSAGE,
    ord("D"): MAX_SMALL,
    ord("E"): MAX_SMALL,
    ord("C"): MAX_SMALL,
    ord("f"): MAX_SMALL,
    ord("c"): 4,
    ord("S"): 4,
    ord("H"): 4,
    ord("X"): 4,
}


class Frontend:
    """Events in: `client_data`, `server_data`, `server_lost`, `cut`, `client_lost`, `planned`, durable records, …"""

    __slots__ = (
        "_again",
        "_ahead",
        "_alarm",
        "_batch",
        "_busy",
        "_cancelling",
        "_charging",
        "_edge",
        "_end",
        "_enforcer",
        "_exchange",
        "_executed",
        "_held",
        "_holding",
        "_live",
        "_need",
        "_next",
        "_pending",
        "_phase",
        "_planned",
        "_reading_client",
        "_reading_server",
        "_records",
        "_replies",
        "_seconds",
        "_skipping",
        "_streaming",
        "_synced",
        "_takes",
        "_translator",
        "_uncharged",
        "_underway",
        "_unplanned",
        "_unread",
    )

    def __init__(
        self,
        edge: Edge,
        live: LiveSession,
        mount: str,
        planner: Planner,
        enforcer: Enforcer,
        pads: MaskPads,
        clock: Callable[[], datetime],
        seconds: Callable[[], float],
        largest_result: int = LARGEST_RESULT,
    ) -> None:
        self._edge = edge
        self._live = live
        self._seconds = seconds
        self._enforcer = enforcer
        self._underway = enforcer.underway
        self._records = Records(enforcer, live, self._work)
        translator = Translator(live, mount, planner, enforcer, self._records, pads, clock)
        self._translator = translator
        self._replies = Replies(translator.names, self._records, live.session.agent, seconds, largest_result)
        self._phase: Phase = "GATHERING"
        self._busy = False
        self._ahead = bytearray()
        self._unread = b""
        self._need = 0
        self._reading_client = self._reading_server = True
        self._batch = translator.batch
        self._end = b""
        """What the client ended the batch with: SYNC, FLUSH, or nothing when it was too long."""
        self._uncharged: list[Execution] = []
        """What of the batch is still to be charged, the first of it last."""
        self._charging = False
        """Whether the answer about one of them is due."""
        self._planned = 0
        """Number of what is PLANNING, or was last."""
        self._unplanned = ("", Unplanned("", ()))
        """Under which scope, and what."""
        self._exchange: Exchange | None = None
        """What is RUNNING when it is not the batch."""
        self._next = 0
        self._synced = False
        self._streaming: Execution | None = None
        self._alarm = False
        """Whether a time is set after which what the server runs is cancelled."""
        self._cancelling = False
        """Whether a cancel request is under way: until it is done, it could hit what is sent next."""
        self._held: Held | None = None
        """A statement that is to be held, once the server has taken what comes before its Execute."""
        self._holding = False
        """Whether it is being previewed and kept, or waits for people."""
        self._again: Approved | None = None
        """What was approved and is undone, and is to be held anew."""
        self._pending = self._batch.segments[0]
        """What is sent once the records of what it does are durable."""
        self._executed = False
        """Whether something was executed since the last Sync."""
        self._skipping = False
        """After an error in a batch without Sync: everything up to the Sync is ignored, as a server does."""
        self._takes: dict[int, Callable[[bytes], None]] = {
            ord("P"): translator.parse,
            ord("B"): translator.bind,
            ord("D"): translator.describe,
            ord("E"): translator.execute,
            ord("C"): translator.close,
        }

    def introduce(self, purpose: str, *, keeps: bool) -> None:
        """Before anything is asked: the agent's reason, and whether queries keep the rows before a broken ceiling."""
        self._translator.purpose = purpose
        self._replies.keeps = keeps

    @property
    def record(self) -> str:
        """Id of the last record of something asked."""
        return self._records.last

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: no batch is running."""
        return self._phase == "GATHERING"

    @property
    def running(self) -> bool:
        """Whether the server is at work on a batch, so that a cancel request has a target."""
        return self._phase == "RUNNING"

    @property
    def closed(self) -> bool:
        """Whether the connection has been given up; events that still arrive are ignored."""
        return self._phase == "CLOSED"

    # --- events ---

    def client_data(self, data: bytes) -> None:
        """The client sent something."""
        if self._phase == "CLOSED":
            return
        if self._ahead or self._phase != "GATHERING":
            self._ahead += data
            if len(self._ahead) < self._need:
                return
            if self._phase != "GATHERING":
                if len(self._ahead) > _AHEAD:
                    self._read_client(False)
                return
            data = bytes(self._ahead)
            self._ahead.clear()
        if not (self._busy or self._skipping or self._translator.batch.steps or self._replies.held):
            # Whether it may act is asked first: that takes away what has lapsed, before anything is decided.
            blocked = self._live.blocked() is not None
            exchange = None if blocked else attempt("a message", asked, data, self._translator)
            if isinstance(exchange, Exchange):
                self._begin(exchange)
                return
        self._unread = data
        self._work()

    def planned(self, number: int, plans: tuple[Plan | Denial, ...]) -> None:
        """A text has been planned: the message that needs it is taken, and what came behind it."""
        if self._phase == "PLANNING" and number == self._planned:
            self._translator.give(*self._unplanned, plans)
            self._gather_on()

    def stop_planning(self) -> None:
        """A cancel request for a statement that is being planned; for anything else it is none."""
        if self._phase == "PLANNING":
            self._translator.give(*self._unplanned, _CANCELLED)
            self._gather_on()

    def server_data(self, data: bytes) -> None:
        """The server sent something."""
        if self._phase == "CLOSED":
            return
        exchange = self._exchange
        if exchange is not None:
            data = exchange.early + data if exchange.early else data
            if self._complete(exchange, data):
                return
        self._busy = True  # a record that is durable at once must not release a reply that is half taken
        try:
            self._replies.feed(data)
        except ResultTooLargeError as error:
            self._give_up(own_error("54000", error.message, fatal=True), "54000")
            return
        except (ProtocolError, struct.error, IndexError, UnicodeDecodeError):
            self._give_up(own_error("08P01", "the database and the gateway do not understand each other", fatal=True))
            return
        finally:
            self._busy = False
        self._work()

    def server_lost(self) -> None:
        """The connection to the server is gone."""
        self._give_up(own_error("08006", "the connection to the database is lost", fatal=True))

    def client_lost(self) -> None:
        """The client is gone: what it began is rolled back."""
        self._give_up(b"", "08006")

    def cut(self, denial: Denial) -> None:
        """The session has ended, or the gateway is stopping."""
        self._give_up(denied(denial, "", fatal=True, state="" if ends_session(denial) else "57P01"), denial.code)

    def cancelled(self) -> None:
        """The cancel request that was asked for has been delivered, or could not be."""
        if self._phase == "CLOSED":
            return
        self._cancelling = False
        if self._replies.steps:
            self._set_alarm(_GRACE)
        self._work()

    def alarmed(self) -> None:
        """The time is over: what runs is cancelled; what was cancelled and still runs is left alone with the server."""
        replies = self._replies
        if self._phase != "RUNNING" or not self._alarm or not replies.steps or self._cancelling:
            return
        self._alarm = False
        step = next((step for step in replies.steps if isinstance(step, Metered)), None)
        if replies.broken is not None or replies.excess is not None or step is None:
            self._give_up(own_error("57014", "the statement cannot be stopped", fatal=True), "57014")
            return
        replies.end(step, step.over("timeout_exceeded"), stop=True)
        self._work()

    @property
    def meant(self) -> dict[str, str]:
        """The settings on which it depends what a statement's text means."""
        return self._replies.meant

    @property
    def waiting(self) -> bool:
        """Whether a statement is being previewed, or waits for people."""
        return self._holding and self._phase == "RUNNING"

    def held(self, outcome: bytes | Go | Past) -> None:
        """A statement has been approved, and runs now; or has run; or the client is told otherwise, as of an error in
        its place."""
        if self._phase == "CLOSED":
            if isinstance(outcome, Go):
                self._records.end(outcome.approval, "undone", "nothing was sent")
            return
        self._holding = False
        if isinstance(outcome, Go):
            outcome = self._still_allowed(outcome)
        if isinstance(outcome, Go):
            self._run_approved(outcome)
        elif isinstance(outcome, Past):
            self._replies.hold(outcome.reply)
        elif self._replies.erred:
            self._replies.hold(outcome)
        else:
            self._replies.steps.append(PoisonStep(outcome))
            self._edge.send_server(POISON_PARSE + codec.FLUSH)
        self._work()

    def _still_allowed(self, go: Go) -> Go | bytes:
        """Return what was approved, unless the session, or what it may do, has changed in the moment since."""
        denial = self._live.blocked()
        if denial is None and (self._live.scope.id != go.held.prepared.scope or self._replies.erred):
            denial = _CHANGED
        if denial is None:
            return go
        self._records.end(go.approval, "undone", "nothing was sent")
        call = Call(go.call.mount, go.call.statement, go.call.request, Deny(denial), go.call.detail)
        return denied(denial, self._records.call(call, Outcome(code=denial.code)))

    def _run_approved(self, go: Go) -> None:
        """Run what was approved, once it is charged and its intent is durable."""
        step = Approved(go)
        if step.call.budgets:
            self._holding = True
            self._enforcer.charge(self._live, step.call.budgets, partial(self._charged_approved, step))
        else:
            self._begin_approved(step)

    def _charged_approved(self, step: Approved, found: Reserved | Denial) -> None:
        self._holding = False
        if isinstance(found, Reserved) and self._phase != "CLOSED":
            step.reserved = found
            self._batch.charged.append(step)
            self._begin_approved(step)
            self._work()
            return
        self._records.end(step.go.approval, "undone", "nothing was sent")
        if isinstance(found, Reserved):
            self._enforcer.uncharged(found)
        elif self._phase != "CLOSED":
            refused = replace(step.call, decision=Deny(found))
            self.held(denied(found, self._records.call(refused, Outcome(code=found.code))))

    def _begin_approved(self, step: Approved) -> None:
        step.intent = self._records.intend(step.call)
        self._batch.writes.append(step)
        self._replies.begun.append(step)
        self._pending = approved.segment_of(step)
        self._phase = "RECORDING"

    def _set_alarm(self, seconds: float | None) -> None:
        self._alarm = seconds is not None
        self._edge.alarm(seconds)

    # --- the machine ---

    def _work(self) -> None:
        """Go on as far as possible. Re-entered by records that are durable at once; then the outer call goes on."""
        if self._busy or self._phase == "CLOSED":
            return
        self._busy = True
        try:
            while self._advance():
                pass
        except _MALFORMED as error:
            text = error.message if isinstance(error, ProtocolError) else "a message is malformed"
            self._give_up(own_error("08P01", text, fatal=True), "08P01")
        finally:
            self._busy = False

    def _advance(self) -> bool:
        if self._records.failed:
            self._give_up_unrecorded()
            return False
        phase = self._phase
        if phase == "GATHERING":
            return self._gather()
        if phase == "RUNNING":
            return self._run()
        if phase == "CHARGING":
            return self._charge()
        if phase == "PLANNING":
            self._pass_on()
            return False
        if self._records.outstanding or phase == "CLOSED":
            return False
        if phase == "RECORDING":
            self._phase = "RUNNING"
            self._send(self._pending)
            return True
        self._release()
        return bool(self._unread or self._replies.held or self._replies.ended)

    # --- gathering ---

    def _gather(self) -> bool:
        """Take complete messages until the batch is complete. False: more has to be received."""
        data = self._unread
        if not data:
            self._pass_on()
            return False
        self._live.blocked()  # as in `client_data`; `_dispatch` and `_take_query` hear what it says
        unplanned = None
        pos, end = 0, len(data)
        takes, translator = self._takes, self._translator
        try:
            while self._phase == "GATHERING" and end - pos >= 5:
                kind = data[pos]
                size: int = int32_at(data, pos + 1)[0]
                if not 4 <= size <= _longest.get(kind, 0):
                    raise ProtocolError("a message of an unknown kind or of a wrong length")
                after = pos + 1 + size
                if after > end:
                    break
                batch = translator.batch
                if (self._skipping or batch.doomed) and self._takes_in_error(kind):
                    pos = after
                    continue
                take = takes.get(kind)
                if take is not None:
                    self._try(take, data[pos:after])
                    pos = after
                    if kind == _BIND and data.startswith(DESCRIBE_AND_EXECUTE, pos) and self._try(translator.run_bound):
                        pos += len(DESCRIBE_AND_EXECUTE)
                    if batch.size > _BATCH_BYTES or batch.steps > _BATCH_STEPS:
                        self._dispatch(b"")
                elif self._take_other(kind, data[pos:after]):
                    pos = after
        except UnplannedError as error:  # the message stays where it is
            unplanned = error.unplanned
            self._phase = "PLANNING"
        going_on = self._keep(data, pos)
        if unplanned is not None:
            self._have_planned(unplanned)
        return going_on

    def _have_planned(self, unplanned: Unplanned) -> None:
        self._planned += 1
        self._unplanned = (self._live.scope.id, unplanned)
        self._edge.plan(unplanned, self._planned)

    def _gather_on(self) -> None:
        """Go on to gather, from the message that was not taken."""
        self._phase = "GATHERING"
        self._unread = bytes(self._ahead)
        self._ahead.clear()
        self._work()

    def _pass_on(self) -> None:
        """Pass on what the server says while nothing runs."""
        if not self._replies.steps and self._replies.held:
            self._edge.send_client(self._replies.take())
        if self._replies.ended:
            self._give_up(b"")

    def _try(self, take: Callable[[*Given], Result], *given: *Given) -> Result | None:
        """Have the translator take something. What it cannot is refused in its place, and the connection goes on."""
        found = attempt("a message", take, *given, passing=_NO_FAILURE)
        if isinstance(found, Denial):
            self._translator.refuse(found)
            return None
        return found

    def _keep(self, data: bytes, pos: int) -> bool:
        """Put away what is not used yet. True: the phase is another one."""
        self._unread = b""
        self._need = 0
        if pos < len(data):
            self._ahead += data[pos:] if pos else data
            if self._phase == "GATHERING":
                self._need = 1 + int32_at(self._ahead, 1)[0] if len(self._ahead) >= 5 else 5
                self._read_client(True)
        return self._phase != "GATHERING"

    def _takes_in_error(self, kind: int) -> bool:
        """Whether a message is swallowed because a step before it failed, or will."""
        if self._skipping:
            return kind not in b"SX"
        return kind not in b"SXHQF"

    def _take_other(self, kind: int, raw: bytes) -> bool:
        """Take a message that ends a batch (or means nothing). False: the batch before it has to run first."""
        if kind == 0x53:  # Sync
            self._skipping = False
            self._dispatch(codec.SYNC)
        elif kind == 0x48:  # Flush
            self._dispatch(codec.FLUSH)
        elif kind == 0x58:  # Terminate
            self._give_up(b"", "")
        elif kind in b"QF":
            if self._translator.batch.steps:
                self._dispatch(b"")
                return False
            if kind == 0x51:
                return self._take_query(codec.read_query(raw))
            self._translator.refuse(_FUNCTION_CALL)
            self._dispatch(codec.SYNC)
        return True  # copy data outside of a copy is ignored, as a server does

    def _take_query(self, text: bytes) -> bool:
        found = self._translator.statements(text)
        if found is not None:
            alone = len(found) == 1 and not self._replies.held
            exchange = attempt("a query", asked_in_text, found[0], self._translator) if alone else None
            if isinstance(exchange, Exchange) and self._live.blocked() is None:
                self._begin(exchange)
                return True
            self._try(self._translator.query, found)
        self._dispatch(codec.SYNC)
        return True

    def _dispatch(self, end: bytes) -> None:
        """Run what has been gathered."""
        batch = self._translator.batch
        self._translator.forget_given()
        if not batch.steps and end != codec.SYNC:
            return
        if batch.steps:
            denial = self._live.blocked()
            if denial is not None:
                batch = self._blocked(denial)
                if batch is None:
                    return
        self._translator.batch = Batch()
        self._batch = batch
        self._end = end
        self._next = 1
        self._synced = False
        if batch.charged:
            self._uncharged = batch.charged[::-1]
            self._phase = "CHARGING"
        else:
            self._intend(batch)

    def _charge(self) -> bool:
        """Reserve what the next execution is charged to. False: the answer is due."""
        if self._charging:
            return False
        if not self._uncharged:
            self._intend(self._batch)
            return True
        self._charging = True
        step = self._uncharged.pop()
        self._enforcer.charge(self._live, step.call.budgets, partial(self._charged, step))
        return not self._charging

    def _charged(self, step: Execution, found: Reserved | Denial) -> None:
        """Something may be executed, or is denied in its place."""
        self._charging = False
        if self._phase == "CLOSED":
            if isinstance(found, Reserved):
                self._enforcer.uncharged(found)
            return
        if isinstance(found, Reserved):
            step.reserved = found
        else:
            self._uncharged = []
            refused = replace(step.call, decision=Deny(found))
            error = denied(found, self._records.call(refused, Outcome(code=found.code)))
            self._batch.cut(step, POISON_PARSE, error)
        self._work()

    def _settle_charges(self) -> None:
        """Charge what was executed with what it used, and give back what was not."""
        for step in self._batch.charged:
            reserved, step.reserved = step.reserved, None
            if reserved is None:
                continue
            if step.begun >= 0 and not step.skipped:
                self._enforcer.charged(self._live, reserved, Used(step.rows, step.size))
            else:
                self._enforcer.uncharged(reserved)

    def _intend(self, batch: Batch) -> None:
        for step in batch.writes:
            step.intent = self._records.intend(step.call)
        self._replies.begin(batch)
        self._pending = batch.segments[0]
        self._phase = "RECORDING"
        if not self._records.outstanding and not self._records.failed:
            self._phase = "RUNNING"
            self._send(self._pending)

    def _blocked(self, denial: Denial) -> Batch | None:
        self._translator.batch = Batch()
        self._translator.names.forget_fresh()
        self._translator.refuse(denial)
        if ends_session(denial):
            self.cut(denial)
            return None
        return self._translator.batch

    # --- exchanges ---

    def _begin(self, exchange: Exchange) -> None:
        """Run an exchange, of a session that may act now."""
        self._exchange = exchange
        self._phase = "RUNNING"
        if exchange.opening.made:
            self._translator.names.unnamed = NOTHING  # a Parse drops it, even one that fails
        exchange.begun = self._seconds()
        self._underway.began(self)
        self._edge.send_server(exchange.sent)

    def _complete(self, exchange: Exchange, data: bytes) -> bool:
        """Take the reply of an exchange. False: it is not the plain one, so it goes the long way."""
        self._exchange = None
        replies = self._replies
        names, opening = self._translator.names, exchange.opening
        answer = answered(data, exchange, min(HELD, replies.ceiling))
        if answer is None:
            refused = outdated(data, exchange)
            if refused is not False:
                self._exchange = exchange
                exchange.early = data
                if refused:
                    names.kept.drop(exchange.prepared.parse_unnamed())  # its Parse may fail now
                    names.unnamed = NOTHING  # as in `_begin`
                    exchange.anew()
                    self._edge.send_server(exchange.sent)
                return True
            if opening.kept and data[:1] == b"E":
                names.kept.drop(exchange.prepared.parse_unnamed())
            if answers_parse(data, exchange) and exchange.quiet:
                names.statements.pop(b"", None)
            elif answers_parse(data, exchange):
                names.parsed(exchange.prepared, opening.kept)
                replies.hold(PARSED)
            elif opening.kept and not opening.made:
                names.unnamed = NOTHING  # as in `_begin`
            self._batch = exchange.batch()
            self._end = codec.SYNC
            self._next = 1
            self._synced = True
            replies.begin(self._batch)
            replies.steps.extend(self._batch.segments[0].steps)
            return False
        self._underway.over(self)
        if exchange.parsed and not exchange.quiet:
            names.parsed(exchange.prepared, opening.kept)
        names.ran(exchange.prepared, answer.idle, quiet=exchange.quiet)
        if opening.made:
            names.kept.keep(exchange.prepared.unnamed, opening.kept)
        replies.answer(answer)
        self._phase = "RELEASING"
        spent = int((self._seconds() - exchange.begun) * 1_000_000)
        self._records.call(exchange.prepared.call, Outcome("", answer.rows, answer.size, spent))
        return True

    # --- running ---

    def _send(self, segment: Segment) -> None:
        """Send a segment, with a Sync behind it when it is the last and nothing has to be checked first."""
        last = self._next >= len(self._batch.segments)
        chunks = segment.chunks
        if last and self._end == codec.SYNC and not segment.checked:
            chunks.append(codec.SYNC)
            segment.steps.append(Step(SYNC))
            self._synced = True
        else:
            chunks.append(codec.FLUSH)
        if segment.checked:
            self._prepare_for(segment)
        if segment.executions:
            self._executed = True
        begun = self._seconds()
        for step in segment.executions:
            step.begun = begun
        self._replies.steps.extend(segment.steps)
        self._underway.began(self)
        self._edge.send_server(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _prepare_for(self, segment: Segment) -> None:
        if isinstance(segment, HeldSegment):
            self._held = segment.held
            return
        for step in segment.executions:
            if isinstance(step, Approved):
                step.sent = True
        if isinstance(segment, MeteredSegment) and segment.timeout is not None:
            self._set_alarm(segment.timeout)

    def _run(self) -> bool:
        if self._exchange is not None:
            return False
        replies = self._replies
        if replies.ended:
            self._give_up(replies.take(), replies.erred or "08006")
            return False
        if replies.steps:
            if replies.stop:
                self._stop()
            self._spill()
            return False
        if self._alarm:
            self._set_alarm(None)
        if self._cancelling or self._holding:
            return False
        if self._held is not None and self._hold(self._held):
            return False
        if self._again is not None:
            return self._hold_again(self._again)
        if replies.broken is not None:
            self._undo(replies.broken)
        elif not replies.erred and self._next < len(self._batch.segments):
            self._next += 1
            self._send(self._batch.segments[self._next - 1])
        elif self._end == codec.SYNC and not self._synced:
            self._sync()
        else:
            self._finish()
        return True

    def _sync(self) -> None:
        self._synced = True
        self._replies.steps.append(Step(SYNC))
        self._edge.send_server(codec.SYNC)

    def _hold(self, held: Held) -> bool:
        """Begin to hold a statement, unless what came before it failed.

        No transaction is held open while people think: it waits for them only where none is, and ends what its own
        Parse and Bind have begun.
        """
        self._held = None
        self._holding = not self._replies.erred and self._replies.broken is None
        if not self._holding:
            return False
        self._underway.over(self)
        alone = self._replies.status == _IDLE and not self._executed
        if alone:
            self._replies.steps.append(Step(SYNC, quiet=True))
            self._edge.send_server(codec.SYNC)
        self._edge.hold(held, self._translator.patience if alone else None)
        return True

    def _hold_again(self, step: Approved) -> bool:
        """What was approved is undone, since the data has changed: it is previewed and held anew."""
        if step in self._replies.begun:
            self._replies.give_up_on(step, "data_changed")
        if not self._records.outstanding:
            self._again = None
            self._holding = True
            self._edge.hold(step.go.held, None)
        return False

    def _stop(self) -> None:
        """Cancel what broke a ceiling. What it still sends is taken, and dropped."""
        self._replies.stop = False
        self._cancelling = True
        self._edge.cancel_server()

    def _undo(self, broken: Execution) -> None:
        """A row is out of scope or a ceiling is broken: make the transaction fail before anything can commit."""
        denial = self._replies.excess or OUT_OF_SCOPE
        error = denied(denial, self._replies.refuse(broken, denial.code))
        if isinstance(broken, Approved) and denial.code == "data_changed" and not self._replies.erred:
            self._again = broken
            error = b""
        self._replies.forget_end()
        self._synced = False  # a query alone in its batch may have had its Sync: it takes another one
        if self._replies.erred:
            self._replies.hold(error)
            return
        self._replies.steps.append(PoisonStep(error))
        self._edge.send_server(POISON_PARSE + codec.FLUSH)

    def _finish(self) -> None:
        """Every reply is in: settle the writes, then wait for the records."""
        self._underway.over(self)
        self._replies.settle_writes(self._replies.erred)
        if self._batch.charged:
            self._settle_charges()
        if self._replies.erred and self._end != codec.SYNC:
            self._skipping = True
        self._executed = self._executed and self._end != codec.SYNC
        self._translator.names.forget_fresh()
        if self._replies.purpose is not None:
            self._translator.purpose, self._replies.purpose = self._replies.purpose, None
        if self._replies.patience is not None:
            self._translator.patience, self._replies.patience = self._replies.patience, None
        self._streaming = None
        self._phase = "RELEASING"
        if not self._records.outstanding and not self._records.failed:
            self._release()

    def _release(self) -> None:
        """INVARIANT: called only with every record durable."""
        self._phase = "GATHERING"
        if self._replies.out:
            self._edge.send_client(self._replies.take())
        if not self._reading_server:
            self._read_server(True)
        if not self._reading_client and len(self._ahead) <= _AHEAD:
            self._read_client(True)
        if self._ahead:
            self._unread = bytes(self._ahead)
            self._ahead.clear()

    def _spill(self) -> None:
        """Let out a reply that is too long to be held, under an intent of its own."""
        replies, records = self._replies, self._records
        if replies.broken is not None:
            self._read_server(True)
            return
        step = replies.steps[0]
        if step is not self._streaming:
            if replies.held <= HELD:
                return
            if not isinstance(step, Execution) or not step.size or replies.broken:
                return
            if step.checked and not (isinstance(step, Metered) and step.streams):
                return
            replies.settle_done()
            if not step.intent:
                step.intent = records.intend(step.call)
            self._streaming = step
        if records.outstanding:
            self._read_server(replies.held < _WAITING)
            return
        if replies.held:
            self._edge.send_client(replies.take())
            if isinstance(step, Metered):
                step.mark = 0
        self._read_server(True)

    # --- the edge ---

    def _read_client(self, on: bool) -> None:
        if on != self._reading_client:
            self._reading_client = on
            self._edge.read_client(on)

    def _read_server(self, on: bool) -> None:
        if on != self._reading_server:
            self._reading_server = on
            self._edge.read_server(on)

    def _give_up_unrecorded(self) -> None:
        """End the connection of what may not be done, or cannot be recorded."""
        withheld = self._records.withheld
        if withheld is not None:
            self._give_up(denied(withheld, "", fatal=True), withheld.code)
            return
        self._give_up(own_error("58030", "the ledger cannot be written, so nothing may be done", fatal=True), "58030")

    def _give_up(self, error: bytes, code: str = "08006") -> None:
        """End the connection: nothing of what is held leaves; what is under way is settled as far as known."""
        if self._phase == "CLOSED":
            return
        running = self._phase == "RUNNING"
        self._underway.over(self)
        self._phase = "CLOSED"
        self._settle_charges()
        self._replies.drop_begun(code)
        if not self._records.failed:
            self._replies.drop_open(code)
        if error:
            self._edge.send_client(error)
        self._edge.close(running)


_IDLE = ord("I")
_CHANGED = Denial(
    "approval_closed",
    "what may be done has changed since this statement was held",
    remedy="send it again: it is decided anew",
)
_CANCELLED = Misuse("57014", "canceling statement due to user request")
_FUNCTION_CALL = Denial(
    "statement_not_allowed",
    "the function call message is not supported",
    allowed="functions inside a SELECT",
    remedy="use `SELECT function(…)`",
)
