"""Which class of OCSF each kind of record is, and as which activity: one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Meaning(NamedTuple):
    """What a kind of record is to OCSF."""

    uid: int
    """Class, e.g. 6003 for API Activity; its category is what stands before the last three digits."""
    activity: int
    failed: bool = False
    """Whether such a record always says that something did not happen."""


names: Mapping[int, str] = {
    1008: "Event Log Activity",
    2004: "Detection Finding",
    3001: "Account Change",
    3002: "Authentication",
    3003: "Authorize Session",
    3004: "Entity Management",
    3005: "User Access Management",
    6002: "Application Lifecycle",
    6003: "API Activity",
    6005: "Datastore Activity",
    6008: "Application Error",
}
categories: Mapping[int, str] = {
    1: "System Activity",
    2: "Findings",
    3: "Identity & Access Management",
    6: "Application Activity",
}
OTHER = 99

activities: Mapping[int, Mapping[int, str]] = {
    1008: {4: "Archive", 2: "Delete", 5: "Rotate"},
    2004: {1: "Create"},
    3001: {2: "Enable", 5: "Disable"},
    3002: {1: "Logon", 2: "Logoff", 3: "Authentication Ticket"},
    3003: {1: "Assign Privileges"},
    3004: {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 8: "Enable", 9: "Disable", 12: "Suspend", 13: "Resume"},
    3005: {1: "Assign Privileges", 2: "Revoke Privileges"},
    6002: {3: "Start", 4: "Stop", 6: "Enable", 7: "Disable", 8: "Update"},
    6003: {1: "Create", 2: "Read", 3: "Update", 4: "Delete"},
    6005: {1: "Read", 2: "Update", 4: "Query", 5: "Write", 6: "Create", 7: "Delete"},
    6008: {1: "General Error"},
}

_table: Mapping[str, Meaning] = {
    "session.opened": Meaning(3003, 1),
    "session.refused": Meaning(3003, 1, failed=True),
    "session.closed": Meaning(3002, 2),
    "session.suspended": Meaning(3004, 12),
    "session.resumed": Meaning(3004, 13),
    "agent.suspended": Meaning(3001, 5),
    "agent.resumed": Meaning(3001, 2),
    "mount.closed": Meaning(3004, 9),
    "mount.opened": Meaning(3004, 8),
    "everything.suspended": Meaning(6002, 7),
    "everything.resumed": Meaning(6002, 6),
    "connection.opened": Meaning(3002, 1),
    "connection.refused": Meaning(3002, 1, failed=True),
    "connection.closed": Meaning(3002, 2),
    "token.issued": Meaning(3002, 3),
    "token.refused": Meaning(3002, 3, failed=True),
    "login": Meaning(3002, 1),
    "login.refused": Meaning(3002, 1, failed=True),
    "logout": Meaning(3002, 2),
    "api.refused": Meaning(6003, OTHER, failed=True),
    "console.action": Meaning(6003, 3),
    "console.refused": Meaning(6003, OTHER, failed=True),
    "approval.held": Meaning(3004, 1),
    "approval.verdict": Meaning(3004, 3),
    "approval.moved": Meaning(3004, 3),
    "approval.ended": Meaning(3004, 3),
    "approval.refused": Meaning(3004, 3, failed=True),
    "elevation.granted": Meaning(3005, 1),
    "elevation.refused": Meaning(3005, 1, failed=True),
    "elevation.ended": Meaning(3005, 2),
    "notice.failed": Meaning(6008, 1, failed=True),
    "sink.refused": Meaning(6008, 1, failed=True),
    "limit.warned": Meaning(2004, 1),
    "search.alerted": Meaning(2004, 1),
    "finding": Meaning(2004, 1),
    "policy.loaded": Meaning(6002, 8),
    "policy.refused": Meaning(6002, 8, failed=True),
    "policy.pending": Meaning(3004, 1),
    "policy.promoted": Meaning(3004, 3),
    "review.opened": Meaning(3004, 1),
    "review.decided": Meaning(3004, 3),
    "review.closed": Meaning(3004, 3),
    "review.refused": Meaning(3004, 3, failed=True),
    "review.lapsed": Meaning(3005, 2),
    "review.restored": Meaning(3005, 1),
    "gateway.started": Meaning(6002, 3),
    "gateway.stopped": Meaning(6002, 4),
    "checkpoint": Meaning(1008, OTHER),
}
_prefixes: Mapping[str, int] = {
    "ledger": 1008,
    "policy": 3004,
    "review": 3004,
    "approval": 3004,
    "elevation": 3005,
    "gateway": 6002,
}
_calls = ("call", "intent", "outcome", "decision")
_data_verbs: Mapping[str, int] = {"read": 4, "create": 6, "update": 2, "delete": 7}
_api_verbs: Mapping[str, int] = {"create": 1, "read": 2, "update": 3, "delete": 4}


def meaning_of(kind: str, actions: tuple[str, ...], *, of_data: bool) -> Meaning:
    """Return what a record is to OCSF. `of_data`: it names a statement or fields, so a database was asked.

    A kind that the table does not have is of the class of its first word, as another activity.
    """
    if kind in _calls:
        verbs, uid = (_data_verbs, 6005) if of_data else (_api_verbs, 6003)
        found = {action.split(":")[1] for action in actions if ":" in action}
        known = {verbs[verb] for verb in found if verb in verbs}
        changing = known - {verbs["read"]}
        one = next(iter(sorted(changing or known)), OTHER)
        return Meaning(uid, one)
    known_kind = _table.get(kind)
    if known_kind is not None:
        return known_kind
    return Meaning(_prefixes.get(kind.partition(".")[0], 6003), OTHER, failed=kind.endswith((".refused", ".failed")))
