"""What reads the SQL of agents is aside: in processes that can be lost, while the event loop goes on with the others.

A statement over which an analyst is lost is denied, and nothing else: who waits gets another analyst. One that was lost
for what no statement does (a machine without memory, an operator) is asked once more before that. Sessions take turns,
so that one with many statements does not keep the others waiting.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import pickle
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from bailiwick.errors import BackendError
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres.analyst_process import USUAL, Allowance, AnalystProcess
from bailiwick.mounts.postgres.jobs import Answer, Asked, Parcel, Setup
from bailiwick.sql.catalogue import Catalogue

_log = logging.getLogger("bailiwick.aside")

LOST = Denial(
    "statement_unparsable",
    "the statement could not be analysed",
    allowed="statements that PostgreSQL's grammar can read within bounded time and memory",
    remedy="write it in another way, or in smaller statements, with values as parameters",
)
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 2.0
_PATIENCE = 1.0
"""Seconds that somebody waits until one more analyst is started."""

Done = Callable[[Answer | Denial], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One thing that is asked for a session."""

    session: str
    asked: Asked
    catalogue: Parcel
    setup: Parcel
    done: Done
    again: bool = False
    """Whether an analyst was lost over it before."""


class _Turns:
    """Who waits: sessions one after the other, each with what it asked first."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, deque[_Waiting]] = OrderedDict()

    def add(self, waiting: _Waiting) -> None:
        self._sessions.setdefault(waiting.session, deque()).append(waiting)

    def add_again(self, waiting: _Waiting) -> None:
        """Add what was taken before: it is the next."""
        self._sessions.setdefault(waiting.session, deque()).appendleft(waiting)
        self._sessions.move_to_end(waiting.session, last=False)

    def waits(self, served: Collection[str]) -> bool:
        """Whether a session waits that is not among these."""
        return any(session not in served for session in self._sessions)

    def take(self, served: Collection[str]) -> _Waiting | None:
        """Return whose turn it is, of the sessions that are not among these; it is the last then."""
        session = next((each for each in self._sessions if each not in served), None)
        if session is None:
            return None
        asked = self._sessions.pop(session)
        found = asked.popleft()
        if asked:
            self._sessions[session] = asked
        return found


class Aside:
    """Up to `most` analysts, of which all but one are started when they are needed. A session has one at a time."""

    def __init__(self, most: int, allowance: Allowance = USUAL, command: Sequence[str] = ()) -> None:
        self._most = most
        self._allowance = allowance
        self._command = command
        self._analysts: dict[AnalystProcess, _Waiting | None] = {}
        """Each, and what it is at."""
        self._turns = _Turns()
        self._numbers = itertools.count(1)
        self._delay = 0.0
        """Seconds until another analyst is started in the place of a lost one; grows until an answer has come."""
        self._begin: asyncio.TimerHandle | None = None
        self._starting: set[asyncio.Task[None]] = set()
        self._first: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the analysts' processes."""
        return tuple(each.pid for each in self._analysts if each.pid is not None)

    async def start(self) -> None:
        """Start the first analyst. Raises BackendError when it cannot be started."""
        self._first = asyncio.get_running_loop().create_future()
        self._add()
        await self._first

    async def close(self) -> None:
        """End the analysts; what waits is denied."""
        self._closed = True
        if self._begin is not None:
            self._begin.cancel()
        if self._starting:
            await asyncio.gather(*self._starting)
        analysts = list(self._analysts)
        for analyst in analysts:
            analyst.end("the gateway is stopping")
        await asyncio.gather(*(analyst.ended() for analyst in analysts))
        self._deny_all()

    def parcel(self, content: Catalogue | Setup) -> Parcel:
        """Pack what analysts need for more than one job."""
        return Parcel(next(self._numbers), pickle.dumps(content, pickle.HIGHEST_PROTOCOL))

    def ask(self, session: str, asked: Asked, catalogue: Parcel, setup: Parcel, done: Done) -> None:
        """Have something made for a session. `done` is called in a later turn: with `LOST` when it cannot be made."""
        if self._closed:
            asyncio.get_running_loop().call_soon(done, LOST)
            return
        self._turns.add(_Waiting(session, asked, catalogue, setup, done))
        self._go_on()

    # --- Owner ---

    def ready(self, analyst: AnalystProcess) -> None:
        """An analyst can be asked something."""
        del analyst
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        self._go_on()

    def answered(self, analyst: AnalystProcess, answer: Answer) -> None:
        """An analyst has answered."""
        waiting, self._analysts[analyst] = self._analysts[analyst], None
        self._delay = 0.0
        if waiting is not None:
            _tell(waiting, answer)
        self._go_on()

    def lost(self, analyst: AnalystProcess, why: str, again: bool) -> None:
        """Deny what an analyst was at, or have it tried once more, and have another one in its place."""
        waiting = self._analysts.pop(analyst, None)
        again = again and waiting is not None and not waiting.again and not self._closed
        if waiting is not None and again:
            self._turns.add_again(replace(waiting, again=True))
        elif waiting is not None:
            _tell(waiting, LOST)
        if self._closed:
            return
        then = "is tried again" if again else "is denied"
        over = "" if waiting is None else f" over a statement of session `{waiting.session}`, which {then}"
        _log.error("a process that analyses SQL was lost%s: it %s", over, why)
        self._delay = min(max(2 * self._delay, _FIRST_DELAY), _LONGEST_DELAY)
        if self._first is not None and not self._first.done():
            remedy = "see that the gateway may start processes"
            self._first.set_exception(BackendError(f"the process that analyses SQL {why}", remedy=remedy))
            self._closed = True
        elif not analyst.ready and not any(each.ready for each in self._analysts):
            self._deny_all()
        if not self._analysts:
            self._add_in(self._delay)
        self._go_on()

    # --- analysts ---

    def _go_on(self) -> None:
        """Give what waits to those who are idle; have one more analyst when somebody waits for long."""
        served = {at.session for at in self._analysts.values() if at is not None}
        for analyst in self._analysts:
            if analyst.idle:
                waiting = self._turns.take(served)
                if waiting is None:
                    return
                served.add(waiting.session)
                self._analysts[analyst] = waiting
                analyst.ask(waiting.asked, waiting.catalogue, waiting.setup)
        if len(self._analysts) < self._most and self._turns.waits(served):
            self._add_in(max(self._delay, _PATIENCE) if self._analysts else self._delay)

    def _add_in(self, seconds: float) -> None:
        if self._begin is None and not self._closed:
            self._begin = asyncio.get_running_loop().call_later(seconds, self._add_if_needed)

    def _add_if_needed(self) -> None:
        self._begin = None
        served = {at.session for at in self._analysts.values() if at is not None}
        if not self._analysts or self._turns.waits(served):
            self._add()

    def _add(self) -> None:
        if self._closed:
            return
        analyst = AnalystProcess(self._allowance, self, self._command)
        self._analysts[analyst] = None
        task = asyncio.get_running_loop().create_task(self._start(analyst))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, analyst: AnalystProcess) -> None:
        try:
            await analyst.start()
        except OSError as error:
            self.lost(analyst, f"could not be started: {(error.strerror or 'refused').lower()}", False)

    def _deny_all(self) -> None:
        while (waiting := self._turns.take(())) is not None:
            _tell(waiting, LOST)


def _tell(waiting: _Waiting, answer: Answer | Denial) -> None:
    """Tell who waits, in a turn of its own: what fails there is no fault of the analyst."""
    asyncio.get_running_loop().call_soon(waiting.done, answer)
