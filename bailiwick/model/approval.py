"""Approvals: what waits for people to decide on it, with what it would do, who may decide, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from bailiwick.model.decision import Denial
from bailiwick.model.label import Level
from bailiwick.model.policy import Preview

Shown = Mapping[str, str | None]
"""Column → value as text, as the session's read scope shows it."""
SubjectKind = Literal["statement", "call", "elevation"]
ApprovalState = Literal["PENDING", "APPROVED", "DENIED", "EXPIRED", "WITHDRAWN", "RUNNING", "EXECUTED", "FAILED"]
"""PENDING → APPROVED → RUNNING → EXECUTED or FAILED; RUNNING → APPROVED only after a confirmed rollback.

PENDING → DENIED. PENDING and APPROVED → EXPIRED (time) or WITHDRAWN (its session has ended). Everything else is final.
"""
WAITING: frozenset[ApprovalState] = frozenset({"PENDING", "APPROVED", "RUNNING"})
"""The states that are not final."""
Mode = Literal["wait", "execute"]
"""Once approved: its session's retry runs it, or the gateway itself does."""
Means = Literal["oidc", "local", "link", "client"]
"""How somebody proved who they are: by an issuer, by the admin socket, by a one-time link; or it is a program."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who asks the desk for something: a person, or (`client`) a program, which never decides."""

    name: str
    """E.g. `ann@corp`, or `local:root` on the admin socket."""
    groups: frozenset[str] = frozenset()
    authenticated_at: datetime | None = None
    """When they last proved who they are; None: unknown."""
    means: Means = "oidc"
    everywhere: bool = False
    """Counts as a member of every group."""
    clearance: Level = "public"
    """The highest label whose values they see."""


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """One row before and after; None: it does not exist then, or the session may not read it."""

    key: tuple[str | None, ...]
    before: Shown | None
    after: Shown | None


@dataclass(frozen=True, slots=True)
class Previewed:
    """What is known beforehand. `rows` is exact; None: nothing was run."""

    rows: int | None = None
    shown: tuple[ChangedRow, ...] = ()
    """At most the first 20."""
    keys: str = ""
    """SHA-256 (hex) over the sorted keys of all rows; empty where they are not known."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is nothing to hold: the dry run failed, or broke a rule. `state` is the backend's code, if it has one.

    `rows` is what it would have written, where that is known.
    """

    denial: Denial
    state: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What waits, exactly: what runs, once approved, is this and nothing else."""

    kind: SubjectKind
    mount: str
    text: str
    """The statement; the name of the tool, function or route; the name of the elevation."""
    content: str
    """JSON: types, formats and values of parameters; the arguments of a call; duration and reach of an elevation."""
    digest: str
    """SHA-256 (hex) over session, policy version, mount, text and content."""
    preview: Preview = "off"


@dataclass(frozen=True, slots=True)
class Need:
    """What one gate asks for: so many people of one of its groups."""

    gate: str
    groups: tuple[str, ...] = ()
    """Names in `approvers`, else groups of an issuer; none: anybody who may decide at all."""
    quorum: int = 1
    escalate_after: timedelta | None = None
    escalate_to: tuple[str, ...] = ()
    """Groups that may decide too, once it has waited for so long."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which conditions it may be approved: all needs have to be met."""

    needs: tuple[Need, ...]
    expires: timedelta
    """How long it waits for people; then it is denied."""
    lasts: timedelta
    """How long after its approval it may begin to run."""
    reauth: timedelta | None = None
    """Who approves must have proved who they are within this time."""
    mode: Mode = "wait"
    message: str = ""
    """The policy's own words for the agent and the reviewer."""


@dataclass(frozen=True, slots=True)
class Requester:
    """For whom it waits. None of `barred` may decide."""

    session: str
    agent: str
    user: str = ""
    task: str = ""
    chain: tuple[str, ...] = ()
    barred: tuple[str, ...] = ()
    """The people behind it: of the session, of those that delegated to it, and who opened it for itself."""


StepKind = Literal[
    "held",
    "approved",
    "denied",
    "modified",
    "delegated",
    "asked",
    "answered",
    "escalated",
    "expired",
    "withdrawn",
    "begun",
    "executed",
    "failed",
    "restored",
    "delivered",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of its history."""

    kind: StepKind
    at: datetime
    by: str
    """A reviewer's name, or `agent`, or `gateway`."""
    text: str = ""
    """A reason, a question, an answer, a code."""
    digest: str = ""
    """Of what was approved, modified or begun."""
    gates: tuple[str, ...] = ()
    """Of an approval: the gates that it counts for."""
    groups: tuple[str, ...] = ()
    """Delegated or escalated to."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Something that waits for people, or waited."""

    id: str
    """`apr_` + 26 characters."""
    subject: Subject
    requester: Requester
    terms: Terms
    policy: str
    actions: tuple[str, ...]
    grants: tuple[str, ...]
    purpose: str
    """The agent's own claim of its reason."""
    made_at: datetime
    expires_at: datetime
    """When it ends by itself: waiting for people, or, approved, for its run."""
    labels: tuple[str, ...] = ()
    previewed: Previewed = Previewed()
    state: ApprovalState = "PENDING"
    steps: tuple[Step, ...] = field(default_factory=tuple)

    @property
    def over(self) -> bool:
        """Whether it is final."""
        return self.state not in WAITING

    @property
    def requested(self) -> str:
        """Return the digest of what was asked for, whatever people have made of it."""
        return self.steps[0].digest if self.steps else self.subject.digest

    @property
    def modified(self) -> bool:
        """Whether people have put another request in its place."""
        return self.requested != self.subject.digest

    @property
    def gates(self) -> tuple[str, ...]:
        """Return the names of the gates that hold it."""
        return tuple(need.gate for need in self.terms.needs)

    @property
    def reason(self) -> str:
        """Return what the last step says: why it was denied, or what failed."""
        return self.steps[-1].text if self.steps else ""
