"""The operations of `/api/v1`: one table of what can be asked, by which method and path, and which role it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bailiwick.gateway.identity import Role

Kind = Literal[
    "flag",
    "text",
    "texts",
    "named",
    "claims",
    "number",
    "count",
    "object",
    "file",
    "files",
    "words",
    "moment",
    "decision",
    "verdict",
    "form",
    "month",
]
ROOT = "/api/v1"


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of an operation: in the path (`*`), the query of a GET, or the body of a POST."""

    name: str
    kind: Kind
    says: str
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as the desk answers it."""

    method: str
    path: str
    """With `*` in the place of `of`."""
    role: Role
    says: str
    do: str = ""
    """The desk's request; empty: it is about the ledger."""
    of: str = ""
    """What stands in the path in the place of `*`."""
    fields: tuple[Field, ...] = ()
    media: tuple[str, ...] = ("application/json",)
    """Of what kind its answer is."""
    own: Literal["", "ask", "stands"] = ""
    """What it is for an agent that brings its session's token; empty: nothing."""


_everything = (Field("all", "flag", "also those that have ended"),)
_opening = (
    Field("agent", "text", "the agent that acts", needed=True),
    Field("task", "text", "the task that it does"),
    Field("user", "text", "the person it is done for"),
    Field("groups", "texts", "the person's groups"),
    Field("claims", "claims", "the person's claims"),
    Field("tenant", "text", "the tenant"),
    Field("values", "named", "values of the task"),
    Field("ttl", "text", "how long at most, e.g. 30m"),
    Field("mounts", "texts", "the mounts it is for"),
)
_why = (Field("reason", "words", "why; not told to agents", needed=True),)
_promoting = (Field("pending", "text", "the id of what was looked at", needed=True),)
_past = (Field("all", "flag", "also those that are over"),)
_elevating = (
    Field("elevation", "text", "its name in the policy", needed=True),
    Field("duration", "text", "for how long, e.g. 30m", needed=True),
    Field("reason", "text", "what it is for", needed=True),
    Field("agent", "text", "for all sessions of this agent; not by an agent itself"),
    Field("session", "text", "for this session; not by an agent itself"),
)
_revoking = (Field("reason", "text", "why"),)
_channel = (Field("channel", "text", "through this one alone"),)
_sink = (Field("sink", "text", "to this one alone"),)
_which = (
    *(Field(name, "text", f"records with this {name}") for name in ("agent", "user", "session", "task", "resource")),
    *(Field(name, "text", f"records with this {name}") for name in ("action", "code", "kind")),
    Field("decision", "decision", "records with this decision"),
    Field("refers", "text", "records that belong to this one"),
    Field("filter", "text", "what else they meet, e.g. `rows>100 and not code:session`"),
    Field("since", "moment", "from then on, as RFC 3339 has it"),
    Field("until", "moment", "before then, as RFC 3339 has it"),
    *(Field(name, "count", f"only those {name} this sequence number") for name in ("after", "before")),
)
_filters = (*_which, Field("limit", "number", "at most so many, the newest"))
_exported = (*_which, Field("format", "form", "jsonl (as they are stored), csv or ocsf"))
_period = (
    Field("month", "month", "a month, as in `2026-11`; default: this one so far"),
    Field("since", "moment", "instead: from then on"),
    Field("until", "moment", "before then"),
    Field("agent", "text", "of this agent alone"),
)
_grown = (Field("from", "count", "the size that was signed then", needed=True),)
_approvals = (
    Field("all", "flag", "also those that are decided or over"),
    Field("mine", "flag", "only those that the caller may decide on"),
)
_seen = (Field("seen", "count", "the number that the last answer had"),)
_digest = Field("digest", "text", "of the request that was looked at", needed=True)
_text = Field("text", "words", "what to say about it")
_approving = (_digest, _text)
_denying = (Field("reason", "words", "why; the agent reads it", needed=True),)
_changing = (_digest, Field("set", "object", "argument → its new value", needed=True), _text)
_handing = (Field("groups", "texts", "who decides instead", needed=True), _text)
_asking = (Field("text", "words", "what the agent or its person is to answer", needed=True),)
_asked = (
    Field("asked", "text", "a statement, an action, a tool, or a request (`GET /mount/path`)", needed=True),
    *_opening[:4],
    *(each for each in _opening if each.name in ("tenant", "values")),
    Field("mount", "text", "of a statement"),
    Field("args", "text", "of a call, as JSON"),
)
_matrix = tuple(Field(name, "text", f"only this {name}") for name in ("agent", "task", "resource"))
_policy = (
    Field("files", "files", "name of each file → its text", needed=True),
    Field("lock", "file", "the text of bailiwick.lock"),
)
_since = Field("since", "moment", "only what was asked for from then on")
_planning = (*_policy, _since)
_learning = (Field("agents", "texts", "the agents", needed=True), _since)
_erasing = (Field("person", "text", "the person, as sessions name them", needed=True),)
_rotating = (Field("overlap", "text", "how long the old key signs beside the new; default: `7d`"),)
_reviewing = (Field("agent", "text", "of this agent"), Field("owner", "text", "of all agents of this owner"))
_reviewed = (
    Field("line", "text", "its number, e.g. 3 or 3.1", needed=True),
    Field("verdict", "verdict", "keep, narrow, revoke or ask", needed=True),
    Field("note", "words", "why"),
)
_closed = (Field("all", "flag", "also those that are closed"),)
_holding = (
    Field("reason", "text", "why it is kept", needed=True),
    *(Field(name, "text", f"records with this {name}") for name in ("agent", "user", "session")),
    Field("since", "moment", "records from then on"),
    Field("until", "moment", "records before then"),
)
_pruning = (Field("dry", "flag", "only say what would go"),)
_valued = (Field("value", "text", "the value", needed=True), Field("person", "text", "of this person alone"))
_file_of = (Field("mount", "text", "its mount", needed=True), Field("path", "text", "its path", needed=True))
_version_of = (*_file_of, Field("version", "text", "the id of what was kept", needed=True))
_notes = (Field("checkpoints", "texts", "checkpoints that were kept elsewhere"),)
operations: tuple[Operation, ...] = (
    Operation("GET", "/status", "viewer", "How the gateway stands", "status"),
    Operation("GET", "/sessions", "viewer", "The sessions, the newest first", "session.list", fields=_everything),
    Operation("POST", "/sessions", "opener", "Open a session", "session.open", fields=_opening),
    Operation("GET", "/sessions/*", "viewer", "A session, and what it may do", "session.show", "session"),
    Operation("POST", "/sessions/*/close", "opener", "Close a session that is done", "session.close", "session"),
    Operation("POST", "/sessions/*/revoke", "opener", "Revoke a session at once", "session.revoke", "session"),
    Operation("GET", "/suspensions", "viewer", "What is suspended", "suspension.list"),
    Operation("POST", "/stop", "administrator", "Suspend everything at once", "everything.suspend", fields=_why),
    Operation("POST", "/resume", "administrator", "Let everything go on", "everything.resume"),
    Operation(
        "POST", "/sessions/*/suspend", "administrator", "Suspend a session at once", "session.suspend", "session", _why
    ),
    Operation("POST", "/sessions/*/resume", "administrator", "Let a session go on", "session.resume", "session"),
    Operation("POST", "/agents/*/suspend", "administrator", "Suspend an agent at once", "agent.suspend", "agent", _why),
    Operation("POST", "/agents/*/resume", "administrator", "Let an agent go on", "agent.resume", "agent"),
    Operation("POST", "/mounts/*/close", "administrator", "Close a mount at once", "mount.close", "mount", _why),
    Operation("POST", "/mounts/*/open", "administrator", "Open a mount again", "mount.open", "mount"),
    Operation("GET", "/policy/pending", "auditor", "The policy that waits to be promoted", "policy.pending"),
    Operation("POST", "/policy/promote", "administrator", "Put it in force", "policy.promote", fields=_promoting),
    Operation("GET", "/elevations", "viewer", "Elevations that wait or are in force", "elevation.list", fields=_past),
    Operation(
        "POST", "/elevations", "opener", "Ask for an elevation", "elevation.request", fields=_elevating, own="ask"
    ),
    Operation("GET", "/elevations/*", "viewer", "How a request stands", "elevation.show", "elevation", own="stands"),
    Operation(
        "POST", "/elevations/*/revoke", "approver", "End one at once", "elevation.revoke", "elevation", _revoking
    ),
    Operation("GET", "/notices", "administrator", "What people were told lately", "notify.list"),
    Operation("POST", "/notices/test", "administrator", "Send a test to people", "notify.test", fields=_channel),
    Operation("GET", "/findings", "auditor", "What agents did that they do not usually do", "findings.list"),
    Operation("GET", "/sinks", "auditor", "Where the ledger is delivered, and how far", "sinks.list"),
    Operation("POST", "/sinks/test", "administrator", "Send a test to a sink, or all", "sinks.test", fields=_sink),
    Operation("POST", "/policy/reload", "administrator", "Read the policy anew", "reload"),
    Operation("POST", "/policy/explain", "auditor", "What would be decided, and why", "policy.explain", fields=_asked),
    Operation("GET", "/policy/matrix", "auditor", "What agents may do at most", "policy.matrix", fields=_matrix),
    Operation("POST", "/policy/check", "auditor", "What is wrong with a policy", "policy.check", fields=_policy),
    Operation(
        "POST", "/policy/diff", "auditor", "What a policy would change of the one in force", "policy.diff", "", _policy
    ),
    Operation(
        "POST", "/policy/plan", "auditor", "What it would have changed for the ledger's requests", fields=_planning
    ),
    Operation(
        "POST", "/learn", "auditor", "Drafts of the smallest policy that covers what agents did", fields=_learning
    ),
    Operation("GET", "/drift", "auditor", "What changed behind the mounts since it was accepted", "drift"),
    Operation("GET", "/doctor", "administrator", "What is wrong with the installation", "doctor"),
    Operation("POST", "/policy/shadow", "administrator", "Run a candidate beside it", "policy.shadow", fields=_policy),
    Operation("GET", "/policy/shadow", "auditor", "What the candidate would decide otherwise", "policy.shadow.status"),
    Operation("POST", "/policy/shadow/stop", "administrator", "End the candidate", "policy.shadow.stop"),
    Operation("POST", "/files/versions", "administrator", "What is kept of a file", "files.versions", fields=_file_of),
    Operation("POST", "/files/restore", "administrator", "Put a version back", "files.restore", fields=_version_of),
    Operation("GET", "/approvals", "approver", "What waits for people", "approval.list", fields=_approvals),
    Operation(
        "GET", "/approvals/watch", "approver", "The same, once something has changed", "approval.watch", fields=_seen
    ),
    Operation("GET", "/approvals/*", "approver", "An approval in full", "approval.show", "approval"),
    Operation("POST", "/approvals/*/approve", "approver", "Approve it", "approval.approve", "approval", _approving),
    Operation("POST", "/approvals/*/deny", "approver", "Deny it", "approval.deny", "approval", _denying),
    Operation(
        "POST", "/approvals/*/modify", "approver", "Change the request", "approval.modify", "approval", _changing
    ),
    Operation("POST", "/approvals/*/delegate", "approver", "Hand it on", "approval.delegate", "approval", _handing),
    Operation("POST", "/approvals/*/ask", "approver", "Ask back", "approval.ask", "approval", _asking),
    Operation("GET", "/reviews", "approver", "The reviews that are open", "review.list", fields=_closed),
    Operation("POST", "/reviews", "approver", "Open a review", "review.open", fields=_reviewing),
    Operation("GET", "/reviews/status", "viewer", "When reviews are due, agent by agent", "review.status"),
    Operation("GET", "/reviews/report", "auditor", "The use and the reviews of all grants, as a page", "review.report"),
    Operation("GET", "/reviews/*", "approver", "A review in full", "review.show", "review"),
    Operation("POST", "/reviews/*/decide", "approver", "Decide on a line", "review.decide", "review", _reviewed),
    Operation("POST", "/reviews/*/close", "approver", "Close it", "review.close", "review"),
    Operation("GET", "/reviews/*/patch", "approver", "What it changes of the policy", "review.patch", "review"),
    Operation("GET", "/ledger/records", "auditor", "Records that meet all conditions", fields=_filters),
    Operation("GET", "/ledger/records/*", "auditor", "A record", of="record"),
    Operation("GET", "/ledger/records/*/proof", "auditor", "The proof that a record is in the ledger", of="record"),
    Operation(
        "GET",
        "/ledger/export",
        "auditor",
        "All records that meet all conditions, the oldest first, as a stream",
        fields=_exported,
        media=("application/jsonl", "text/csv"),
    ),
    Operation("GET", "/ledger/sessions/*/story", "auditor", "One session in plain words", of="session"),
    Operation("GET", "/ledger/violations", "auditor", "What was denied in a period, added up", fields=_period),
    Operation("GET", "/ledger/growth", "auditor", "The proof that it only grew since a size", fields=_grown),
    Operation("GET", "/ledger/keys", "auditor", "The keys that verify it, the newest first"),
    Operation("GET", "/ledger/searches", "auditor", "The searches of gateway.yaml"),
    Operation("GET", "/ledger/stats", "auditor", "How large the ledger is, how it grows, a forecast", "ledger.stats"),
    Operation("GET", "/ledger/checkpoint", "auditor", "The current signed checkpoint"),
    Operation("GET", "/ledger/holds", "auditor", "What is kept whatever retention says", "ledger.holds"),
    Operation("POST", "/ledger/holds", "administrator", "Keep records", "ledger.hold", fields=_holding),
    Operation("POST", "/ledger/holds/*/release", "administrator", "Keep them no longer", "ledger.release", "hold"),
    Operation("POST", "/ledger/prune", "administrator", "Remove what is past its time", "ledger.prune", "", _pruning),
    Operation(
        "POST", "/ledger/digests", "auditor", "How a value may stand in records", "ledger.digests", fields=_valued
    ),
    Operation(
        "POST", "/ledger/erase", "administrator", "Destroy the key of a person's values", "ledger.erase", "", _erasing
    ),
    Operation(
        "POST", "/ledger/rotate-key", "administrator", "Let a new key sign", "ledger.rotate_key", fields=_rotating
    ),
    Operation("POST", "/ledger/verify", "auditor", "Recompute the ledger from its bytes", fields=_notes),
)
