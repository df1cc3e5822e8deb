"""From the server's messages to what the client may see of them, and when.

Every message answers the oldest open step. What the client may see is held in order; `take` gives it out, and the
caller decides when: nothing leaves before its record is durable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from bailiwick.errors import ProtocolError
from bailiwick.gateway.call import Outcome, TransactionEnd
from bailiwick.gateway.sessions.told import TOO_CLOSE
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.approved import Approved
from bailiwick.mounts.postgres.batch import (
    BIND,
    CLOSE,
    DESCRIBE_PORTAL,
    DESCRIBE_STATEMENT,
    PARSE,
    SYNC,
    Batch,
    BindStep,
    Execution,
    KeptStep,
    PoisonStep,
    Step,
)
from bailiwick.mounts.postgres.codec import NO_DATA, int32_at, skip_rows
from bailiwick.mounts.postgres.counted import UNCOUNTED, Aside
from bailiwick.mounts.postgres.errors import OUT_OF_SCOPE, denied, says_outside, server_error, server_notice
from bailiwick.mounts.postgres.exchange import Answer
from bailiwick.mounts.postgres.metered import Metered
from bailiwick.mounts.postgres.named import Part, completed
from bailiwick.mounts.postgres.names import Names
from bailiwick.mounts.postgres.prepared import Prepared
from bailiwick.mounts.postgres.records import Records
from bailiwick.mounts.postgres.told import refused
from bailiwick.mounts.postgres.unended import Unended
from bailiwick.sql.groupings import REFUSED

_ROW, _COPY = ord("D"), ord("d")
_BOUND = b"2\x00\x00\x00\x04"
_MISMATCH = "the server's reply does not answer what was asked"
_NEVER_RAN = "never ran"
_ENDING = ("rows_exceeded", "bytes_exceeded")
_LONGEST_CHECKED = 16 * 1024 * 1024


class ResultTooLargeError(ProtocolError):
    """A result grew beyond what one statement may return."""


_reported = frozenset(
    {
        "server_version",
        "server_encoding",
        "client_encoding",
        "DateStyle",
        "TimeZone",
        "IntervalStyle",
        "integer_datetimes",
        "standard_conforming_strings",
        "application_name",
        "in_hot_standby",
        "default_transaction_read_only",
    }
)


def reported_parameter(raw: bytes, agent: str) -> bytes:
    """Return what the client is sent for a server's ParameterStatus: the harmless ones, and itself as the user."""
    name, value = codec.read_parameter_status(raw)
    if name == "is_superuser":
        return codec.parameter_status(name, "off")
    if name == "session_authorization":
        return codec.parameter_status(name, agent)
    return codec.parameter_status(name, value) if name in _reported else b""


def meaning_of(parameters: Iterable[bytes]) -> dict[str, str]:
    """Return which settings a server reports on which it depends what the text of a statement and its values mean."""
    found = (codec.read_parameter_status(raw) for raw in parameters)
    return {name: value for name, value in found if name in ("DateStyle", "IntervalStyle", "TimeZone")}


class Replies:
    """The open steps and the held reply. `None` from an answer means: pass the message as it came."""

    __slots__ = (
        "_agent",
        "_answers",
        "_ending",
        "_need",
        "_records",
        "_remaining",
        "_rest",
        "_seconds",
        "batch",
        "begun",
        "broken",
        "ceiling",
        "ended",
        "erred",
        "excess",
        "held",
        "keeps",
        "meant",
        "names",
        "out",
        "patience",
        "purpose",
        "status",
        "steps",
        "stop",
        "unended",
    )

    def __init__(self, names: Names, records: Records, agent: str, seconds: Callable[[], float], ceiling: int) -> None:
        self.ceiling = ceiling
        self.keeps = False
        """Whether a query that breaks a ceiling on rows or bytes keeps the rows that came before, behind which the
        client is told so."""
        self.names = names
        self._records = records
        self._agent = agent
        self._seconds = seconds
        self.meant: dict[str, str] = {}
        """The settings on which it depends what a statement's text means."""
        self.patience: float | None = None
        """How long it now waits for people, when it has set that."""
        self.begun: list[Approved] = []
        """What was approved and has begun, until it is known how its transaction ended."""
        self.unended = Unended()
        """What was written in the transaction that is open."""
        self.batch = Batch()
        """The batch that is running."""
        self.steps: deque[Step] = deque()
        self.out: list[bytes] = []
        self.held = 0
        self.broken: Execution | None = None
        """An execution that is to be undone: nothing behind it reaches the client."""
        self.excess: Denial | None = None
        """Why: the ceiling that it broke; None: a row outside its scope."""
        self._ending: Execution | None = None
        """The execution that `excess` is about, until the server's replies have come to it."""
        self.stop = False
        """Whether the server is to stop working on it."""
        self.erred = ""
        """SQLSTATE (or a denial's code) of the error after which the server skips everything up to the next Sync."""
        self.ended = False
        """Whether the server has ended the connection."""
        self.status = ord("I")
        """Transaction status as of the last ReadyForQuery."""
        self.purpose: str | None = None
        """The agent's new claim of its reason, when it has set one."""
        self._rest = bytearray()
        self._need = 0
        self._remaining = 0
        self._answers: dict[int, Callable[[bytes], bytes | None]] = {
            ord("1"): self._parsed,
            ord("2"): self._bound,
            ord("3"): self._closed,
            ord("t"): self._parameters,
            ord("T"): self._described,
            ord("n"): self._described_empty,
            ord("C"): self._completed,
            ord("I"): self._completed_empty,
            ord("s"): self._suspended,
            ord("H"): self._copying,
            ord("c"): self._copying,
            ord("E"): self._failed,
            ord("N"): server_notice,
            ord("S"): self._parameter,
            ord("A"): self._dropped,
            ord("Z"): self._ready,
            ord("D"): self._checked_row,
            ord("d"): self._checked_row,
        }

    def begin(self, batch: Batch) -> None:
        """Start to take the replies for a batch."""
        self.batch = batch
        self.broken = None
        self.excess = self._ending = None
        self.stop = False
        self.erred = ""

    def take(self) -> bytes:
        """Give out what is held."""
        data = self.out[0] if len(self.out) == 1 else b"".join(self.out)
        self.out.clear()
        self.held = 0
        return data

    def hold(self, data: bytes) -> None:
        """Append to what the client will get."""
        self.out.append(data)
        self.held += len(data)

    def answer(self, answer: Answer) -> None:
        """Take the reply of an exchange, which went through no step."""
        self.erred = ""
        self.status = answer.status
        self.hold(answer.shown)

    def feed(self, data: bytes) -> None:
        """Take what the server sent.

        Raises `ProtocolError` when it does not answer what was asked, `ResultTooLargeError` before a result is passed
        on that is longer than the ceiling.
        """
        if self._need:
            self._rest += data
            if len(self._rest) < self._need:
                return
            data = bytes(self._rest)
            self._rest.clear()
            self._need = 0
        run = pos = 0
        end = len(data)
        if self._remaining:
            pos = self._pass_remaining(end)
        elif data.startswith(_BOUND):
            run = pos = self._take_opening(data)
        while end - pos >= 5:
            kind = data[pos]
            rows = kind in (_ROW, _COPY)
            if rows:
                step = self._executing(kind)
                if not step.checked:
                    pos = self._pass_rows(step, data, pos, kind)
                    continue
            after = pos + 1 + int32_at(data, pos + 1)[0]
            if after > end:
                break
            if rows and run < pos:
                self.hold(data[run:pos])
                run = pos
            answer = self._answers.get(kind, self._unexpected)(data[pos:after])
            if self.broken is not None:
                answer = b""
            if answer is not None:
                if run < pos:
                    self.hold(data[run:pos])
                if answer:
                    self.hold(answer)
                run = after
            pos = after
        if run < pos:
            self.hold(data[run:pos] if run or pos < end else data)
        if pos < end:
            self._keep(data, pos)

    def _take_opening(self, data: bytes) -> int:
        """Shortcut for a reply that opens as the last one of its statement did; return the position behind it.

        Not more than what `_bound` and `_described` do, one after the other.
        """
        steps = self.steps
        if len(steps) < 3 or self.broken is not None:
            return 0
        bound, described = steps[0], steps[1]
        prepared = described.prepared
        if not isinstance(bound, BindStep) or described.kind != DESCRIBE_PORTAL or prepared is None:
            return 0
        raw = prepared.described
        if not raw or prepared.plan.checked or not data.startswith(raw, 5):
            return 0
        steps.popleft()
        steps.popleft()
        if bound.quiet:
            self.names.portals.pop(b"", None)
            self.hold(prepared.scrubbed)
        else:
            self.names.portals[bound.name] = bound.portal
            self.hold(_BOUND + prepared.scrubbed)
        return 5 + len(raw)

    def refuse(self, broken: Execution, code: str) -> str:
        """Record what became of an execution that is undone, and of the writes undone with it; return the record."""
        self.settle_writes(code)
        if broken.intent:
            self._settle(broken, code)
            return broken.intent
        broken.settled = True
        return self._records.call(broken.call, self._outcome(broken, code))

    def settle_writes(self, code: str = "") -> None:
        """Record the outcome of every write of the batch; `code` says what became of them together."""
        for step in self.batch.open_writes():
            self._settle(step, code)

    def settle_done(self) -> None:
        """Record the success of the writes that are done, because they are to be committed or shown."""
        for step in self.batch.open_writes():
            if step.done:
                self._settle(step, "")

    def drop_open(self, code: str) -> None:
        """The connection ends: record what is known of everything that is under way."""
        for step in self.steps:
            if isinstance(step, Execution) and step.intent:
                self._settle(step, code)
            _untold(step)
        self.settle_writes(code)
        how = self.unended.cut(any(isinstance(step, Execution) for step in self.steps))
        self._conclude(how)
        self.steps.clear()

    # --- rows ---

    def _executing(self, kind: int) -> Execution:
        step = self.steps[0] if self.steps else None
        if not isinstance(step, Execution):
            raise ProtocolError(f"the server sent `{chr(kind)}` where no rows are expected")
        return step

    def _pass_rows(self, step: Execution, data: bytes, pos: int, kind: int) -> int:
        """Count the rows from `pos` on; return the position behind them, which is the end if the last is cut."""
        after, count = skip_rows(data, pos, kind)
        end = len(data)
        if end - after >= 5 and data[after] == kind:
            self._remaining = after + 1 + int32_at(data, after + 1)[0] - end
            after = end
            count += 1
        step.rows += count
        step.size += after - pos
        if step.results is not None:
            step.results.take(data, pos, after)
        if step.size + self._remaining > self.ceiling:
            return self._too_large(step, pos, after, count)
        return after

    def _too_large(self, step: Execution, pos: int, after: int, count: int) -> int:
        """Stop a result that is too long: alone, the statement ends, else the connection. Return where to go on."""
        text = f"the result is larger than {self.ceiling} bytes"
        if self._remaining > _LONGEST_CHECKED or not self.batch.lone_read():
            raise ResultTooLargeError(text + ": ask for less at once")
        step.rows -= count
        step.size -= after - pos
        self._remaining = 0
        step.checked = True  # what still comes is looked at row by row, and dropped
        allowed = f"results of up to {self.ceiling} bytes"
        self.end(step, Denial("bytes_exceeded", text, allowed, "ask for less at once"), stop=True)
        return pos

    def _pass_remaining(self, size: int) -> int:
        taken = min(size, self._remaining)
        self._remaining -= taken
        self._executing(_ROW).size += taken
        return taken

    def _checked_row(self, raw: bytes) -> bytes:
        step = self._executing(_ROW)
        if isinstance(step, Aside):
            step.take(raw)
            return b""
        if step.mark < 0:
            step.mark = len(self.out)
        if isinstance(step, Metered) and not self._within(step, raw):
            return b""
        if not step.prepared.plan.checked:
            if step.results is not None:
                step.results.take(raw, 0, len(raw))
            return step.own(raw) if isinstance(step, Approved) else raw
        row, value = codec.split_last_value(raw)
        if value != step.passed:
            self._break(step)
            return b""
        if step.results is not None:
            step.results.take(row, 0, len(row))
        if isinstance(step, Approved):
            row = step.own(row)
        if not isinstance(step, Metered):
            step.size += len(row)
            if step.size > _LONGEST_CHECKED:
                raise ProtocolError("a checked write returns more than can be held back: return fewer columns or rows")
        return row if step.prepared.plan.returns else b""

    def _within(self, step: Metered, raw: bytes) -> bool:
        """Count a row of an execution under ceilings; return whether it may be passed on."""
        step.rows += 1
        step.size += len(raw)
        step.account.rows += 1
        self._end_reached()
        if self.broken is not None:
            return False
        code = step.broken_by_row()
        if code is not None:
            self.end(step, step.over(code), stop=code == "bytes_exceeded" or step.prepared.plan.copy)
        elif step.size > (self.ceiling if step.streams else _LONGEST_CHECKED):
            text = "the result is longer than a result may be"
            self.end(step, Denial("bytes_exceeded", text, remedy="ask for less at once"), stop=True)
        return self.broken is None

    def end(self, step: Execution, excess: Denial, *, stop: bool) -> None:
        """Give an execution up that broke a ceiling; `stop`: the server is still working on it."""
        if self.broken is None and self.excess is None:
            self.excess = excess
            self.stop = stop
            self._ending = step
            if self.steps and self.steps[0] is step:
                self._break(step)

    def forget_end(self) -> None:
        """What was to be undone is about to be."""
        self.broken = self._ending = self.excess = None

    def _end_reached(self) -> None:
        """Drop everything from the execution that was given up on; what came before it was asked for, and passes."""
        if self._ending is not None:
            self._break(self._ending)

    def _break(self, step: Execution) -> None:
        if self.broken is None:
            self.broken = step
            self._drop(step)

    def _drop(self, step: Execution) -> None:
        if step.mark >= 0 and not self._is_ended(step):
            del self.out[step.mark :]

    def _is_ended(self, step: Execution) -> bool:
        """Whether the rows before a broken ceiling stay, as the first of the result."""
        ended = self.excess is not None and self.excess.code in _ENDING
        return self.keeps and ended and step.prepared.plan.kind == "READ"

    # --- answers ---

    def _step(self, *kinds: int) -> Step:
        """Take off the oldest step, which must be of one of the kinds."""
        if not self.steps or self.steps[0].kind not in kinds:
            raise ProtocolError(_MISMATCH)
        return self.steps.popleft()

    def _parsed(self, _: bytes) -> bytes | None:
        step = self._step(PARSE)
        if step.quiet:
            if not step.name:
                self.names.statements.pop(b"", None)
            return b""
        if step.prepared is not None and step.name:
            self.names.statements[step.name] = step.prepared
        elif step.prepared is not None:
            self.names.parsed(step.prepared, step.kept if isinstance(step, KeptStep) else b"")
        return None

    def _bound(self, _: bytes) -> bytes | None:
        step = self.steps.popleft() if self.steps else None
        if step is not None and step.kind == BIND and step.quiet and step.name:
            return b""
        if not isinstance(step, BindStep):
            raise ProtocolError(_MISMATCH)
        if step.quiet:
            self.names.portals.pop(b"", None)
            return b""
        self.names.portals[step.name] = step.portal
        return None

    def _closed(self, _: bytes) -> bytes | None:
        step = self._step(CLOSE)
        if step.quiet:
            return b""
        kind, name = step.name[:1], step.name[1:]
        if kind == b"S":
            self.names.statements.pop(name, None)
        else:
            self.names.drop_portal(name)
        return None

    def _parameters(self, raw: bytes) -> bytes | None:
        if not self.steps or self.steps[0].kind != DESCRIBE_STATEMENT:
            raise ProtocolError(_MISMATCH)
        prepared = self.steps[0].prepared
        if prepared is None or not prepared.plan.bound:
            return None
        return codec.first_parameters(raw, prepared.plan.first - 1)

    def _described(self, raw: bytes) -> bytes:
        step = self._step(DESCRIBE_PORTAL, DESCRIBE_STATEMENT)
        prepared = step.prepared
        if prepared is None:
            return b""
        if prepared.plan.checked and not prepared.plan.returns:
            return b"" if step.quiet else NO_DATA
        return prepared.row_description(raw)

    def _described_empty(self, _: bytes) -> bytes | None:
        step = self._step(DESCRIBE_PORTAL, DESCRIBE_STATEMENT)
        return b"" if step.quiet else None

    def _executed(self) -> Execution:
        step = self.steps.popleft() if self.steps else None
        if not isinstance(step, Execution):
            raise ProtocolError(_MISMATCH)
        if step.prepared.sets:
            self.names.kept.changed()
        return step

    def _completed(self, raw: bytes) -> bytes | None:
        step = self._executed()
        if isinstance(step, Aside):
            return b"" if step.ends is None else self._counted(step.ends)
        plan = step.prepared.plan
        kind = plan.kind
        if step.checked and self._ended(step, raw):
            return None
        if kind == "WRITE":
            told = codec.tag_rows(raw)
            step.rows = step.rows if told is None else told
            step.done = True
            if plan.inner and isinstance(step, Metered):
                step.told, step.completion = told, raw
                return b""
            return None
        if kind == "SESSION":
            self._set(step.prepared)
        if kind == "CONTROL":
            self.settle_done()
            self._decide_begun(raw)
            self.unended.controlled(raw[5:-1])
        if step.prepared.asked is not None:
            step.prepared.asked.tell()
        self._record(step, "")
        return codec.message(b"C", plan.answered.encode() + b"\0") if plan.answered else None

    def _ended(self, step: Execution, raw: bytes) -> bool:
        """Compare what an execution under ceilings did with them. True: it is to be undone, and not settled here."""
        self._end_reached()
        if isinstance(step, Metered):
            told = codec.tag_rows(raw)
            step.rows = step.rows if told is None else told
            code = step.broken_by_end(told)
            if code is not None and self.broken is None:
                self.excess, self.broken = step.over(code), step
                self._drop(step)
            elif code is not None and self.excess is not None:
                self.excess = step.over(code)  # with the real count, which its rows alone did not tell
        return self.broken is step and self.excess is not None

    def _counted(self, write: Metered) -> bytes:
        """What a write's WITH queries wrote is known: it is over, and stands or is to be undone."""
        write.rows = write.rows if write.counted is None else write.counted
        code = write.broken_by_end(write.counted)
        if code is not None and self.broken is None:
            self.excess = UNCOUNTED if write.counted is None else write.over(code)
            self._break(write)
        return write.completion

    def _set(self, prepared: Prepared) -> None:
        if prepared.plan.purpose is not None:
            self.purpose = prepared.plan.purpose
        if prepared.plan.patience is not None:
            self.patience = prepared.plan.patience
        if isinstance(prepared, Part):
            completed(prepared, self.names)

    def _completed_empty(self, _: bytes) -> None:
        self._executed()

    def _suspended(self, _: bytes) -> None:
        step = self._executed()
        self._end_reached()
        if self.broken is not step:
            if step.prepared.asked is not None:
                step.prepared.asked.tell()
            if step.results is not None:
                step.results.is_part = True
            self._record(step, "")

    def _copying(self, _: bytes) -> None:
        self._executing(ord("H"))

    def _failed(self, raw: bytes) -> bytes:
        step = self.steps[0] if self.steps else None
        keys = () if step is None or step.prepared is None else step.prepared.plan.keys
        state, fatal, error = server_error(raw, step is not None and step.kind == PARSE, keys)
        self.ended = self.ended or fatal
        if step is None or fatal:
            if not fatal:
                raise ProtocolError("the server reports an error where nothing was asked")
            return error
        self.erred = state
        self._end_reached()
        if isinstance(step, PoisonStep):
            error = step.error
        elif step.prepared is not None and self.excess is None:
            if step.prepared.plan.kind == "WRITE" and says_outside(raw, blind=step.prepared.plan.blind):
                self.erred = state = OUT_OF_SCOPE.code
                error = denied(OUT_OF_SCOPE, self._intent(step))
            error = self._fail_step(step, state) or error
            _untold(step, state)
        while self.steps and self.steps[0].kind != SYNC:
            left = self.steps.popleft()
            if isinstance(left, Execution) and left.prepared is not step.prepared:
                left.skipped = True
            _untold(left, _NEVER_RAN)
        return error

    def _intent(self, failed: Step) -> str:
        """Return the record of the write that a step belongs to."""
        found = (step.intent for step in self.steps if isinstance(step, Execution) and step.prepared is failed.prepared)
        return next(found, "")

    def _fail_step(self, step: Step, state: str) -> bytes:
        """Record the failure; return what the client is told instead of the server's error, if anything."""
        prepared = step.prepared
        if isinstance(step, Execution):
            if prepared is not None and prepared.asked is not None and state == REFUSED and not step.intent:
                step.settled = True
                record = self._records.call(refused(step.call), self._outcome(step, TOO_CLOSE.code))
                return denied(TOO_CLOSE, record)
            self._record(step, state)
        elif prepared is not None and prepared.plan.kind != "WRITE" and not self._intent(step):
            self._records.call(prepared.call, Outcome(code=state))
        return b""

    def _parameter(self, raw: bytes) -> bytes:
        self.names.kept.changed()
        self.meant |= meaning_of([raw])
        return reported_parameter(raw, self._agent)

    def _dropped(self, _: bytes) -> bytes:
        return b""

    def _decide_begun(self, raw: bytes) -> None:
        """A transaction, or a part of it, has ended: what was approved and ran in it is committed or rolled back."""
        if raw[5:-1] == b"COMMIT":
            for each in self.begun:
                self._records.end(each.go.approval, "unknown" if each.rolled else "done", "")
            self.begun.clear()
        elif raw[5:-1] == b"ROLLBACK":  # also of a part; it is known for certain once no transaction is open
            for each in self.begun:
                each.rolled = True

    def drop_begun(self, code: str) -> None:
        """The connection ends: say of what was approved and has begun that nobody knows how it ended."""
        for each in self.begun:
            self._records.end(each.go.approval, "unknown" if each.sent else "undone", code)
        self.begun.clear()

    def give_up_on(self, step: Approved, code: str) -> None:
        """It is confirmed to be undone, and is not to run again as it was approved."""
        self.begun.remove(step)
        self._records.end(step.go.approval, "done", code)

    def _ready(self, raw: bytes) -> bytes | None:
        step = self._step(SYNC)
        self.status = raw[5]
        self._conclude(self.unended.ready(idle=self.status == ord("I")))
        if self.status == ord("I"):
            self.names.end_transaction()
            for each in self.begun:
                undone = self.erred or each.rolled
                self._records.end(each.go.approval, "undone" if undone else "done", self.erred)
            self.begun.clear()
        return b"" if step.quiet else None

    def _unexpected(self, raw: bytes) -> bytes:
        raise ProtocolError(f"the server sent a message of kind `{chr(raw[0])}`, which was not asked for")

    # --- records and remains ---

    def _record(self, step: Execution, code: str) -> None:
        if step.intent:
            self._settle(step, code)
        elif not step.settled:
            self._look_back(step, code)
            step.settled = True
            self._records.call(step.call, self._outcome(step, code))

    def _look_back(self, step: Execution, code: str) -> None:
        """Have the call of an execution that is observed say what its rows held."""
        if step.results is not None and not code:
            step.call = step.results.told(step.call, step.rows)

    def _settle(self, step: Execution, code: str) -> None:
        if not step.settled:
            self._look_back(step, code)
            step.settled = True
            self._records.settle(step.intent, step.call, self._outcome(step, code))
            if not code:
                self.unended.wrote(step.intent, step.call.mount)

    def _conclude(self, end: TransactionEnd | None) -> None:
        """Record how the transaction ended in which something was written."""
        if end is not None:
            self._records.conclude(end)

    def _outcome(self, step: Execution, code: str) -> Outcome:
        spent = int((self._seconds() - step.begun) * 1_000_000)
        return Outcome(code, step.rows, step.size, spent)

    def _keep(self, data: bytes, pos: int) -> None:
        self._rest += data[pos:]
        self._need = 5
        if len(self._rest) >= 5:
            size: int = int32_at(self._rest, 1)[0]
            if not 4 <= size <= codec.MAX_REPLY:
                raise ProtocolError(f"the server sent a message of {size} bytes")
            self._need = size + 1


def _untold(step: Step, state: str = "") -> None:
    """A step is over that did not complete. What has run may have told something, be it by its failure; what the guard
    has stopped, or what never ran, has not."""
    asked = None if step.prepared is None else step.prepared.asked
    if asked is None:
        return
    if isinstance(step, Execution) and (step.rows or state not in (REFUSED, _NEVER_RAN)):
        asked.tell()
    else:
        asked.fail()
