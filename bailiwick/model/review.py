"""Reviews: recertifications of what agents may do, by people, line by line, with the evidence of its use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

LineKind = Literal["grant", "field", "mask", "gate", "elevation"]
"""A grant of a role; a field that a grant names; a labelled field that it shows in clear; an action that a built-in
gate no longer holds; an elevation that may be asked for."""
Verdict = Literal["keep", "narrow", "revoke", "ask"]
verdicts: tuple[Verdict, ...] = ("keep", "narrow", "revoke", "ask")
Since = Literal["first", "new", "changed", "same"]
"""Against the last review: there was none; the line is new; its content is another; nothing changed."""
ReviewState = Literal["OPEN", "CLOSED"]
Plain = str | tuple["Plain", ...] | Mapping[str, "Plain"]
"""What stands in a policy's text: texts, lists and mappings."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a period tells of something's use."""

    uses: int = 0
    first: datetime | None = None
    last: datetime | None = None
    days: int = 0
    """On how many days."""
    people: tuple[tuple[str, int], ...] = ()
    """For whom, the most frequent first, with how often."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one line."""

    verdict: Verdict
    by: str
    at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to decide on."""

    id: str
    """`3`; of what belongs to line 3, `3.1`."""
    kind: LineKind
    subject: str
    """The grant's id; `id field`; `gate action`; the elevation's name."""
    agents: tuple[str, ...]
    """Those of the review that have it."""
    others: tuple[str, ...]
    """Agents of other reviews that have it too: what is decided holds for them as well."""
    text: str
    """What it is, in words."""
    content: str
    """Digest of what the policy says of it."""
    use: Use
    ran: int
    """On how many days any of the agents ran, within the time after which something counts as unused."""
    recommend: Verdict
    why: str
    narrow: Mapping[str, Plain] = field(default_factory=dict[str, Plain])
    """Keys of the grant and their new values, if it is to be narrowed."""
    since: Since = "first"
    position: str = ""
    """Where it stands in the policy, as `file:line`."""

    @property
    def whole(self) -> bool:
        """Whether it has to be decided by itself; else it goes the way of the line that it belongs to."""
        return "." not in self.id

    @property
    def of(self) -> str:
        """Return the id of the line that it belongs to, or its own."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class News:
    """Something that the lock has and had not at the last review."""

    what: str
    """`resource.column`, or `resource: tool`."""
    covered: tuple[str, ...]
    """Agents that reach it by a grant which does not name it; none: nobody reaches it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What an agent of the review did in the period."""

    agent: str
    days: int
    """On how many days it ran."""
    calls: int
    denied: tuple[tuple[str, str, int], ...] = ()
    """Code, action and how often, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Review:
    """A recertification of the agents of one owner, or of one agent."""

    id: str
    """`rev_` + 26 characters."""
    owner: str
    agents: tuple[str, ...]
    opened_at: datetime
    opened_by: str
    due_at: datetime
    since: datetime
    """Where the period begins that the evidence is from."""
    policy: str
    """Version of the policy that was looked at."""
    lines: tuple[Line, ...]
    runs: tuple[Run, ...] = ()
    news: tuple[News, ...] = ()
    gone: tuple[str, ...] = ()
    """Lines of the last review that there are no more, in words."""
    reach: tuple[str, ...] = ()
    """All that the lock had: what is not in it is new to the next review."""
    state: ReviewState = "OPEN"
    decisions: Mapping[str, Decision] = field(default_factory=dict[str, Decision])
    """Line → the last that was decided about it."""
    closed_at: datetime | None = None
    closed_by: str = ""

    def line(self, line_id: str) -> Line | None:
        """Return the line of that id."""
        return next((each for each in self.lines if each.id == line_id), None)

    def verdict(self, line: Line) -> Verdict | None:
        """Return what is decided of a line, itself or with the one that it belongs to; None: nothing yet."""
        own = self.decisions.get(line.id)
        if own is not None:
            return own.verdict
        above = self.decisions.get(line.of)
        if above is None:
            return None
        return "revoke" if above.verdict == "revoke" else "keep"

    @property
    def undecided(self) -> tuple[Line, ...]:
        """Return the lines on which somebody has to decide."""
        return tuple(each for each in self.lines if each.whole and each.id not in self.decisions)
