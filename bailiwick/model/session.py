"""Sessions: agent + user + task + context values + expiry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from bailiwick.model.policy import Narrowing
from bailiwick.model.value import Scalar

Claim = Scalar | tuple[Scalar, ...]
SessionState = Literal["OPEN", "CLOSED", "REVOKED", "EXPIRED"]


@dataclass(frozen=True, slots=True)
class User:
    """The person a session acts for. `claims` are verified ones (groups, region, …)."""

    id: str
    groups: frozenset[str] = frozenset()
    claims: Mapping[str, Claim] = field(default_factory=dict[str, Claim])


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    agent: str
    user: User | None
    task: str | None
    context: Mapping[str, Scalar]
    tenant: Scalar | None
    opened_at: datetime
    expires_at: datetime
    idle: timedelta | None
    state: SessionState = "OPEN"
    asked: Mapping[str, Narrowing] | None = None
    """What the opener asked for; narrows like a task's `only`."""
    chain: tuple[str, ...] = ()
    """Agents through which the session was delegated, outermost first; empty for a direct one."""
    parent: Session | None = None
    """The session that delegated to it: it may nothing that this one may not, and ends with it."""
    own: bool = False
    """Whether its agent opened it itself, so that nobody vouches for more than the person's verified claims."""

    elevated: tuple[str, ...] = ()
    """Names of the elevations in force; of what `session` says elsewhere it is always empty, since they come and go."""

    def value(self, path: tuple[str, ...]) -> Claim | None:
        """Resolve a `$reference`: a context value, `tenant`, `user.id`, `user.groups` or a claim. None: unknown."""
        if len(path) == 1:
            return self.tenant if path[0] == "tenant" else self.context.get(path[0])
        if len(path) == 2 and path[0] == "user" and self.user is not None:
            if path[1] == "id":
                return self.user.id
            if path[1] == "groups":
                return tuple(sorted(self.user.groups))
            return self.user.claims.get(path[1])
        return None
