"""The reviews of a gateway that runs: opened, decided and closed by people, on record; and what lapses without them.

What is decided is on record before it counts. What lapses is off before that is recorded, and comes back only after.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bailiwick.errors import BailiwickError
from bailiwick.gateway.approvals.approvals import Approvals
from bailiwick.gateway.elevations.elevations import Elevations
from bailiwick.gateway.files import read_policy
from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.reader import LedgerReader, open_reader
from bailiwick.gateway.ledger.usage import told_since
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.refusal import RefusedError
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.words import Words
from bailiwick.model.approval import Reviewer
from bailiwick.model.decision import Denial
from bailiwick.model.notice import Notice
from bailiwick.model.policy import Policy
from bailiwick.model.record import JsonValue, RecordKind
from bailiwick.model.review import Review, Verdict
from bailiwick.review.deciding import barred, closed, decided, digest_of
from bailiwick.review.due import SOON, Standing, lapsed, standings
from bailiwick.review.lines import subjects
from bailiwick.review.opening import Asked, opened, period
from bailiwick.review.patching import Patch, patch_of
from bailiwick.review.report import report
from bailiwick.review.store import Known, ReviewStore
from bailiwick.review.usage import Usage, usage_of

_log = logging.getLogger("bailiwick.reviews")
_sweep_seconds = 5.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What the reviews of a gateway stand on."""

    sessions: Sessions
    approvals: Approvals
    elevations: Elevations
    tell: Callable[[Notice], None]
    policy_path: Path
    ledger: LedgerAddress


class Reviews:
    """The reviews of this gateway. `start` before sessions are used, `stop` at the end."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._store = ReviewStore(ground.sessions.state)
        self._ulids = Ulids()
        self._changing = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._sweeping: asyncio.Task[None] | None = None
        self._reviews: list[Review] = []
        self._known: Known = {}
        self._on_record: Mapping[str, frozenset[str]] = {}
        """What the ledger says is turned off."""
        self._told: set[str] = set()
        """What people were told of what is due."""

    async def start(self) -> None:
        """Take up what is stored, and turn off what has lapsed."""
        self._reviews = [*await self._store.list()]
        self._known = await self._store.known()
        await self.look()
        self._sweeping = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """End the clockwork."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    def stir(self) -> None:
        """Another policy is in force: look at it soon."""
        self._stirred.set()

    # --- looking ---

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._ground.sessions.force.policy

    def list(self) -> Sequence[Review]:
        """Return all reviews, the newest first."""
        return tuple(self._reviews)

    def find(self, review_id: str) -> Review:
        """Return a review. Raises RefusedError when there is none of that id."""
        for each in self._reviews:
            if each.id == review_id:
                return each
        message = f"there is no review `{review_id[:100]}`"
        raise RefusedError(Denial("review_refused", message, remedy="see `bailiwick review list`"))

    def status(self) -> Sequence[Standing]:
        """Return how the reviews of all agents stand."""
        since = {agent: at for (agent, subject), at in self._known.items() if not subject}
        return standings(self.policy, self._reviews, since, self._ground.sessions.clock())

    def barred(self, review: Review, by: Reviewer) -> Denial | None:
        """Return why a person may not decide in a review, None when they may."""
        return barred(review, self.policy, self._ground.approvals.seated(by))

    async def report(self) -> str:
        """Return the report about all agents, as a page. Raises RefusedError, LedgerError."""
        since = self._rule_period()
        usage, _ = await self._read(since)
        found, now = self.status(), self._now()
        return await asyncio.to_thread(report, self.policy, usage, found, self._reviews, since, now)

    async def patch(self, review_id: str) -> Patch:
        """Return what a review's decisions change of the policy's files as they are now. Raises PolicyError."""
        review = self.find(review_id)

        def make() -> Patch:
            read = read_policy(self._ground.policy_path)
            return patch_of({Path(name).name: text for name, text in read.items()}, review)

        return await asyncio.to_thread(make)

    # --- what people do ---

    async def open(self, agents: Sequence[str], owner: str, by: Reviewer) -> Review:
        """Open a review of agents of one owner. Raises RefusedError, LedgerError."""
        async with self._changing:
            self._may_open(agents, owner, by)
            stands = {each.agent: each for each in self.status() if each.agent in agents}
            current = next((each.open for each in stands.values() if each.open is not None), None)
            if current is not None:
                raise _refused(f"`{current.id}` is open for {', '.join(current.agents)}", "decide on its lines")
            since = self._rule_period()
            usage, begins = await self._read(since)
            before = max(
                (each.last for each in stands.values() if each.last is not None),
                key=lambda each: each.closed_at or each.opened_at,
                default=None,
            )
            now, force = self._ground.sessions.clock(), self._ground.sessions.force
            due = min(each.due_at for each in stands.values())
            asked = Asked(f"rev_{self._ulids.new()}", owner, tuple(agents), by.name, now, due, since)
            known, policy, lock = self._known, force.policy, force.lock
            review = await asyncio.to_thread(opened, asked, policy, lock, usage, known, begins, before)
            await self._record("review.opened", review, by, {"lines": len(review.lines)})
            await self._keep(review)
        self._tell_opened(review)
        return review

    def _may_open(self, agents: Sequence[str], owner: str, by: Reviewer) -> None:
        if self.policy.review is None:
            raise _refused("the policy says nothing of reviews", "add `review: {every: 90d}` to it")
        if not agents:
            raise _refused(f"no agent is owned by `{owner[:100]}`", "see `bailiwick agent list`")
        if by.means == "client":
            raise _refused("a program opens no review", "log in as a person")

    async def decide(self, review_id: str, line: str, verdict: Verdict, note: str, by: Reviewer) -> Review:
        """Decide on a line. Raises RefusedError, LedgerError."""
        async with self._changing:
            review = await self._for(review_id, by)
            after = decided(review, line, verdict, self._ground.approvals.seated(by), self._now(), note)
            if isinstance(after, Denial):
                raise await self._told_refused(review, after, by)
            found = after.line(line)
            subject = found.subject if found is not None else ""
            detail: dict[str, JsonValue] = {"line": line, "subject": subject, "verdict": verdict, "note": note}
            await self._record("review.decided", after, by, detail)
            await self._keep(after)
        await self.look()
        return after

    async def close(self, review_id: str, by: Reviewer) -> Review:
        """Close a review whose lines are all decided; the record carries the digest of the whole. Raises as above."""
        async with self._changing:
            review = await self._for(review_id, by)
            after = closed(review, by, self._now())
            if isinstance(after, Denial):
                raise await self._told_refused(review, after, by)
            counts: dict[str, JsonValue] = {}
            for line in after.lines:
                verdict = after.verdict(line) or "ask"
                counts[verdict] = int(str(counts.get(verdict, 0))) + 1
            await self._record("review.closed", after, by, {"digest": digest_of(after), "verdicts": counts})
            await self._keep(after)
        await self.look()
        return after

    async def _for(self, review_id: str, by: Reviewer) -> Review:
        review = self.find(review_id)
        denial = self.barred(review, by)
        if denial is not None:
            raise await self._told_refused(review, denial, by)
        return review

    async def _told_refused(self, review: Review, denial: Denial, by: Reviewer) -> RefusedError:
        await self._record("review.refused", review, by, {}, denial)
        return RefusedError(denial)

    async def _keep(self, review: Review) -> None:
        await self._store.put(review)
        self._reviews = [review, *(each for each in self._reviews if each.id != review.id)]
        self._reviews.sort(key=lambda each: each.opened_at, reverse=True)

    async def _record(
        self,
        kind: RecordKind,
        review: Review,
        by: Reviewer,
        more: Mapping[str, JsonValue],
        denial: Denial | None = None,
    ) -> None:
        recorder = self._ground.sessions.recorder
        detail: dict[str, JsonValue] = {"review": review.id, "owner": review.owner, "agents": [*review.agents]}
        code, message = ("", "") if denial is None else (denial.code, denial.message)
        fact = Fact(kind, code, message, policy=self.policy.version, detail={**detail, **more})
        agent = review.agents[0] if len(review.agents) == 1 else ""
        await recorder.keep(recorder.make(fact)._replace(user=by.name, agent=agent))

    # --- the clockwork ---

    async def look(self) -> None:
        """Do what is due: know what is new, turn off what has lapsed and on what has not, tell people."""
        async with self._changing:
            await self._learn()
            found = self.status()
            await self._apply(lapsed(found))
        for each in found:
            self._tell_due(each)

    async def _learn(self) -> None:
        policy = self.policy
        there = {(agent, subject) for agent in policy.agents for subject in ("", *subjects(policy, agent))}
        missing = there - set(self._known)
        gone = set(self._known) - there
        if policy.review is None or not (missing or gone):
            return
        since = self._now() if self._known else await asyncio.to_thread(self._in_force_since)
        new = dict.fromkeys(sorted(missing), since)
        await self._store.know(sorted(gone), new)
        self._known = {**{key: at for key, at in self._known.items() if key in there}, **new}

    def _in_force_since(self) -> datetime:
        """Return when the policy in force first was: for a gateway that ran before it knew of reviews."""
        try:
            with closing(open_reader(self._ground.ledger)) as reader:
                rows = reader.over(lambda where: _first_of_policy(where, reader.words), (self.policy.version,))
        except BailiwickError:
            return self._now()
        moments = [datetime.fromisoformat(_text(row[0])) for row in rows if row[0] is not None]
        return min((*moments, self._now()))

    async def _apply(self, wanted: Mapping[str, frozenset[str]]) -> None:
        """Turn off what has lapsed, then say so; say what comes back, then turn it on."""
        none = frozenset[str]()
        was = self._ground.sessions.lapsed
        if wanted == was == self._on_record:
            return
        agents = sorted({*was, *wanted, *self._on_record})
        fewer = {agent: was.get(agent, none) | wanted.get(agent, none) for agent in agents}
        self._turn(fewer)
        for agent in agents:
            off, said = wanted.get(agent, none), self._on_record.get(agent, none)
            await self._record_lapse("review.lapsed", agent, off - said)
            await self._record_lapse("review.restored", agent, said - off)
            self._on_record = {**self._on_record, agent: off}
        self._on_record = dict(wanted)
        self._turn(wanted)

    def _turn(self, found: Mapping[str, frozenset[str]]) -> None:
        off = {agent: grants for agent, grants in found.items() if grants}
        if off == self._ground.sessions.lapsed:
            return
        self._ground.sessions.lapse(off)
        for each in self._ground.elevations.listeners:
            each()

    async def _record_lapse(self, kind: RecordKind, agent: str, grants: frozenset[str]) -> None:
        if grants:
            recorder = self._ground.sessions.recorder
            fact = Fact(kind, policy=self.policy.version, detail={"grants": [*sorted(grants)]})
            await recorder.keep(recorder.make(fact)._replace(agent=agent))

    async def _sweep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), _sweep_seconds)
            self._stirred.clear()
            try:
                await self.look()
            except BailiwickError as error:  # a store or the ledger: tried again
                _log.error("reviews: %s", error.message)

    # --- telling people ---

    def _tell_due(self, found: Standing) -> None:
        now = self._now()
        if not found.overdue and found.due_at - now > SOON:
            return
        when = "is overdue" if found.overdue else "is due soon"
        off = f"{len(found.off)} of its grants are turned off" if found.off else "its grants stay in force meanwhile"
        lines = (f"owner: {found.owner}", f"due: {found.due_at.date()}", *((off,) if found.overdue else ()))
        once = f"{found.agent} {found.due_at.isoformat()} {when} {now.date() if found.overdue else ''}"
        if once in self._told:
            return
        self._told.add(once)
        self._ground.tell(Notice("review", found.agent, f"the review of {found.agent} {when}", lines, "/console", once))

    def _tell_opened(self, review: Review) -> None:
        title = f"{review.owner} reviews {', '.join(review.agents)}"
        lines = (f"{len(review.undecided)} lines to decide on", f"due: {review.due_at.date()}")
        self._ground.tell(Notice("review", review.id, title, lines, "/console"))

    # --- reading ---

    def _rule_period(self) -> datetime:
        rule = self.policy.review
        if rule is None:
            raise _refused("the policy says nothing of reviews", "add `review: {every: 90d}` to it")
        return period(rule, self._now())

    async def _read(self, since: datetime) -> tuple[Usage, datetime]:
        """Return what was used since then, and where the ledger begins."""

        def read() -> tuple[Usage, datetime]:
            with closing(open_reader(self._ground.ledger)) as reader:
                return usage_of(told_since(reader, since)), _begins(reader, self._now())

        return await asyncio.to_thread(read)

    def _now(self) -> datetime:
        return self._ground.sessions.clock()


def _begins(reader: LedgerReader, now: datetime) -> datetime:
    rows = reader.over(lambda where: f"SELECT min(at) FROM {where}facts WHERE seq >= ?", (0,))  # noqa: S608 -- a constant
    return min((datetime.fromisoformat(_text(row[0])) for row in rows if row[0] is not None), default=now)


def _first_of_policy(where: str, words: Words) -> str:
    """Return the query for when a policy was first in force."""
    found = f"{where}facts f JOIN {where}records r ON r.seq = f.seq"
    kinds = "f.kind IN ('gateway.started', 'policy.loaded', 'policy.promoted')"
    said = f"{words.documents} AND {words.text('policy')} = ?"
    return f"SELECT min(f.at) FROM {found} WHERE {kinds} AND {said}"  # noqa: S608 -- constants; the value is bound


def _text(found: object) -> str:
    return found.decode() if isinstance(found, bytes) else str(found)


def _refused(message: str, remedy: str) -> RefusedError:
    return RefusedError(Denial("review_refused", message, remedy=remedy))
