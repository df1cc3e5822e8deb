"""Changing the rules is itself gated: in production a policy that widens anything waits until it is promoted.

What was promoted last is kept as it was written, so that a restart cannot put in force what nobody promoted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pwd
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

import sqlalchemy as sa

from bailiwick.errors import BailiwickError, PolicyError
from bailiwick.gateway.moments import Clock, to_microseconds
from bailiwick.gateway.policies.ready import Ready, Written
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.state import State
from bailiwick.model.approval import Reviewer
from bailiwick.model.notice import Notice
from bailiwick.model.record import JsonValue
from bailiwick.policy.diff import Change, diff, widened

_log = logging.getLogger("bailiwick.policy")
_most_told = 50
promotions = sa.Table(
    "promotions",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("id", "content", "by")),
    sa.Column("at", sa.BigInteger, nullable=False),
)


class PromotionError(BailiwickError):
    """A policy is not promoted."""

    code = "promotion"


@dataclass(frozen=True, slots=True)
class Pending:
    """A policy that waits to be promoted."""

    id: str
    """A hash over its texts: who promotes it says which one they have seen."""
    ready: Ready
    changes: tuple[Change, ...]
    authors: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """Of gateway.yaml."""

    gated: bool
    """Whether the environment is production."""
    four_eyes: bool


def identity_of(written: Written) -> str:
    """Return the hash over the texts of a policy and its lock. Where its files stand does not matter."""
    texts = sorted(Path(name).name + "\0" + text for name, text in written.files.items())
    return hashlib.sha256("\0\0".join([*texts, written.lock or ""]).encode()).hexdigest()


class Promotion:
    """Decides whether a policy that was read may be put in force, and keeps what was promoted."""

    def __init__(self, state: State, recorder: Recorder, clock: Clock, rules: Rules) -> None:
        self.pending: Pending | None = None
        self._tell: Callable[[Notice], None] = _nobody
        self._state = state
        self._recorder = recorder
        self._clock = clock
        self._rules = rules

    async def last(self) -> Written | None:
        """Return what was promoted last, as it was written; None when nothing ever was, or nothing has to be."""
        if not self._rules.gated:
            return None
        newest = sa.select(promotions.c.content).order_by(promotions.c.number.desc()).limit(1)
        async with self._state.reading() as connection:
            found = (await connection.execute(newest)).scalar()
        if found is None:
            return None
        read = cast("Mapping[str, object]", json.loads(cast("str", found)))
        return Written(cast("Mapping[str, str]", read["files"]), cast("str | None", read["lock"]))

    async def first(self, ready: Ready) -> None:
        """Take the first policy of a production gateway: there is nothing that it could be wider than."""
        if self._rules.gated:
            await self._kept(ready, "the first start", ())
            _log.warning("the policy is the first one in production: it counts as promoted")

    async def admits(self, ready: Ready, before: Ready, by: str) -> bool:
        """Return whether a policy may follow the one in force now. If not it waits, which is on record.

        Raises LedgerError, ConfigError: then it is not put in force."""
        identity = identity_of(ready.written)
        if not self._rules.gated or identity == identity_of(before.written):
            self.pending = None
            return True
        force, old = ready.force, before.force
        changes = diff(old.policy, force.policy, old.lock, force.lock)
        if not widened(changes):
            self.pending = None
            await self._kept(ready, by, changes)
            return True
        known = self.pending
        owners = _owners(ready.written, before.written)
        earlier = known.authors if known is not None and known.id == identity else ()
        authors: tuple[str, ...] = tuple(dict.fromkeys(each for each in (*earlier, *owners, by) if each))
        self.pending = Pending(identity, ready, changes, authors, self._clock())
        if known is None or known.id != identity:
            detail: dict[str, JsonValue] = {"pending": identity, "authors": [*authors], "changes": [*_words(changes)]}
            fact = Fact("policy.pending", policy=force.policy.version, detail=detail)
            await self._recorder.keep(self._recorder.make(fact))
            _log.warning("the policy widens something: it waits for `bailiwick policy promote`")
            self._announce()
        return False

    def told_by(self, tell: Callable[[Notice], None]) -> None:
        """Have people told of what waits, from now on and what waits already."""
        self._tell = tell
        self._announce()

    def _announce(self) -> None:
        pending = self.pending
        if pending is not None:
            lines = tuple(str(each) for each in pending.changes[:10])
            title = "a policy that widens something waits to be promoted"
            self._tell(Notice("policy", pending.id[:12], title, lines, "/console/policy", pending.id))

    async def promote(
        self, identity: str, by: Reviewer, prepare: Callable[[Written], Awaitable[Ready]]
    ) -> tuple[Ready, tuple[Change, ...]]:
        """Return the pending policy, ready anew, promoted by somebody; they say which one they have seen.

        Raises PromotionError, and what `prepare` does."""
        pending = self.pending
        if pending is None:
            raise PromotionError("no policy waits to be promoted", remedy="see `bailiwick status`")
        if pending.id != identity:
            raise PromotionError("another policy waits by now", remedy="look at it: `bailiwick policy pending`")
        refused = self._refused(pending, by)
        if refused:
            fact = Fact("policy.refused", "promotion", refused, detail={"pending": identity, "by": by.name})
            await self._recorder.keep(self._recorder.make(fact))
            raise PromotionError(refused, remedy="let another administrator do it")
        ready = await prepare(pending.ready.written)
        await self._kept(ready, by.name, pending.changes, pending.authors)
        self.pending = None
        return ready, pending.changes

    def _refused(self, pending: Pending, by: Reviewer) -> str:
        if by.means == "client":
            return "a program promotes no policy"
        own = by.name.strip().casefold() in {each.strip().casefold() for each in pending.authors}
        if self._rules.four_eyes and own:
            return "who has changed the policy does not promote it"
        return ""

    async def _kept(self, ready: Ready, by: str, changes: Sequence[Change], authors: Sequence[str] = ()) -> None:
        written, identity = ready.written, identity_of(ready.written)
        detail: dict[str, JsonValue] = {
            "promoted": identity,
            "by": by,
            "authors": [*authors],
            "changes": [*_words(changes)],
        }
        fact = Fact("policy.promoted", policy=ready.force.policy.version, detail=detail)
        await self._recorder.keep(self._recorder.make(fact))
        content = json.dumps({"files": dict(written.files), "lock": written.lock})
        row = {"id": identity, "content": content, "by": by, "at": to_microseconds(self._clock())}
        async with self._state.writing() as connection:
            await connection.execute(sa.insert(promotions).values(row))


async def at_start(
    promotion: Promotion,
    ready: Ready,
    prepare: Callable[[Written], Awaitable[Ready]],
) -> Ready:
    """Return the policy to start with: the one that was read, or, where that widens, the one promoted last.

    Raises PolicyError when that one cannot be put in force any more."""
    last = await promotion.last()
    if last is None:
        await promotion.first(ready)
        return ready
    if identity_of(last) == identity_of(ready.written):
        return ready
    try:
        before = await prepare(last)
    except BailiwickError as error:
        raise PolicyError(
            f"the policy has changed, and the one that was promoted last cannot be put in force: {error.message}",
            remedy="make it possible again, or start without its data directory's state as a new gateway",
        ) from None
    return ready if await promotion.admits(ready, before, "") else before


def _words(changes: Sequence[Change]) -> list[str]:
    told = [str(each) for each in changes[:_most_told]]
    return told if len(changes) <= _most_told else [*told, f"and {len(changes) - _most_told} more"]


def _owners(written: Written, before: Written) -> list[str]:
    """Return whose files say something new: the users of this machine that they belong to."""
    old = {Path(name).name: text for name, text in before.files.items()}
    changed = [name for name, text in written.files.items() if old.get(Path(name).name) != text]
    found: dict[str, None] = {}
    for name in changed:
        try:
            found[f"local:{pwd.getpwuid(Path(name).stat().st_uid).pw_name}"] = None
        except (OSError, KeyError):  # a file that is gone, or of a user whom this machine does not know
            continue
    return list(found)


def _nobody(notice: Notice) -> None:
    """Nobody is told."""
