"""Drafts: what learning proposes, with the evidence for each line. Nobody enforces one; people decide on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bailiwick.model.action import Action
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Matcher
from bailiwick.model.value import ValueType

Confidence = Literal["high", "medium", "low"]
Generalisation = Literal[
    "as seen", "the session's value", "one value", "a list", "a range", "a shape", "any value", "any combination"
]
"""How far a line goes beyond what was seen. `as seen`: not at all."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a line."""

    calls: int
    sessions: int
    people: int
    first: datetime
    last: datetime
    examples: tuple[str, ...]
    """Records, or lines of logs: a few, of different sessions."""
    low: float = 0.0
    high: float = 1.0
    """Between which the share of sessions lies that need it (Wilson's interval, one-sided 90% each)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a grant, and why it is as it is."""

    what: str
    """`field email`, `argument amount`, `rows customer_id`."""
    generalisation: Generalisation
    confidence: Confidence
    why: str
    new: float = 0.0
    """The chance that the next session brings a value which the line refuses, or, of `any value`, one not yet seen."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A grant. Of a question the same, but it is not granted."""

    mount: str
    action: Action
    reason: str
    evidence: Evidence
    confidence: Confidence
    lines: tuple[Line, ...] = ()
    fields: tuple[str, ...] | None = None
    rows: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    mask: Mapping[str, Mask] = field(default_factory=dict[str, Mask])
    set: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    args: Mapping[str, Matcher] | None = None
    when: str = ""
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    tool: str = ""
    """The tool, route or function that it is about; empty: a table."""


@dataclass(frozen=True, slots=True)
class Job:
    """A task: sessions that do alike."""

    name: str
    verbs: Mapping[str, tuple[str, ...]]
    """Resource → what is done with it."""
    context: Mapping[str, ValueType]
    sessions: int
    people: int
    why: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A session that was kept out of learning."""

    session: str
    user: str
    at: datetime
    reasons: tuple[str, ...]
    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Never:
    """A column or table that looks sensitive and that the agent never touched."""

    mount: str
    resource: str
    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is too little to decide on: asked, and granted by nobody's silence."""

    text: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A table or tool as a mount without a policy would map it."""

    mount: str
    kind: str
    name: str
    resource: str
    verb: str = ""
    table: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """What is proposed for one agent."""

    agent: str
    calls: int
    refused: int
    sessions: int
    people: int
    first: datetime | None
    last: datetime | None
    unseen: tuple[float, float]
    """Between which the chance lies that the next session needs something that no session needed yet."""
    grants: tuple[Proposed, ...]
    questions: tuple[Question, ...]
    jobs: tuple[Job, ...]
    hours: str
    """Empty: they say nothing."""
    actions: int
    """Of one session, with head-room."""
    kept_out: tuple[Kept, ...]
    never: tuple[Never, ...]
    mapped: tuple[Mapped, ...]
    context: Mapping[str, ValueType]
    """Session values that the grants name → type."""
    part_of: str = ""
    """The agent that did this job among others; empty: it is the draft's own agent."""
