"""Where logins to the console are kept: in the state store, beside the sessions. A login's secret is kept as a hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import sqlalchemy as sa

from bailiwick.gateway.identity import Role, roles
from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.state import State
from bailiwick.model.approval import Means, Reviewer
from bailiwick.model.label import Level

logins = sa.Table(
    "logins",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("secret", sa.Text, nullable=False, unique=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "issuer", "groups", "roles", "means")),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("authenticated_at", "opened_at", "seen_at", "until")),
)


@dataclass(frozen=True, slots=True)
class Login:
    """A person who is logged in to the console."""

    id: str
    name: str
    issuer: str
    """The name of the issuer; empty for a link's."""
    groups: frozenset[str]
    roles: frozenset[Role]
    means: Means
    authenticated_at: datetime
    """When they last proved who they are."""
    opened_at: datetime
    seen_at: datetime
    until: datetime

    def has(self, *any_of: Role) -> bool:
        """Return whether they have one of the roles. Administrators have all of them."""
        return "administrator" in self.roles or bool(self.roles & set(any_of))

    @property
    def caller(self) -> str:
        """Return who they are, as records say it."""
        return f"{self.name} of {self.issuer}" if self.issuer else self.name

    def reviewer(self, clearance: Level) -> Reviewer:
        """Return who they are for the desk, and what they see."""
        return Reviewer(self.name, self.groups, self.authenticated_at, self.means, clearance=clearance)


class LoginStore:
    """Logins by the hashes of their secrets. What is written is on disk when the call returns."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def insert(self, login: Login, secret: str) -> None:
        """Store a new login; those that are over are forgotten."""
        async with self._state.writing() as connection:
            await connection.execute(sa.delete(logins).where(logins.c.until < to_microseconds(login.opened_at)))
            await connection.execute(sa.insert(logins).values(**_to_row(login), secret=secret))

    async def find(self, secret: str) -> Login | None:
        """Return the login of a hash, also one that is over."""
        async with self._state.reading() as connection:
            row = (await connection.execute(sa.select(logins).where(logins.c.secret == secret))).mappings().first()
        return None if row is None else _from_row(row)

    async def touch(self, identity: str, at: datetime) -> None:
        """Save when a login was last used."""
        change = sa.update(logins).where(logins.c.id == identity).values(seen_at=to_microseconds(at))
        async with self._state.writing() as connection:
            await connection.execute(change)

    async def remove(self, identity: str) -> bool:
        """Forget a login; False when there was none."""
        async with self._state.writing() as connection:
            return (await connection.execute(sa.delete(logins).where(logins.c.id == identity))).rowcount == 1


def _to_row(login: Login) -> dict[str, str | int]:
    return {
        "id": login.id,
        "name": login.name,
        "issuer": login.issuer,
        "groups": json.dumps(sorted(login.groups)),
        "roles": json.dumps(sorted(login.roles)),
        "means": login.means,
        "authenticated_at": to_microseconds(login.authenticated_at),
        "opened_at": to_microseconds(login.opened_at),
        "seen_at": to_microseconds(login.seen_at),
        "until": to_microseconds(login.until),
    }


def _from_row(row: sa.RowMapping) -> Login:
    had = cast("list[str]", json.loads(row["roles"]))
    return Login(
        id=row["id"],
        name=row["name"],
        issuer=row["issuer"],
        groups=frozenset(cast("list[str]", json.loads(row["groups"]))),
        roles=frozenset(role for role in roles if role in had),
        means=row["means"],
        authenticated_at=from_microseconds(row["authenticated_at"]),
        opened_at=from_microseconds(row["opened_at"]),
        seen_at=from_microseconds(row["seen_at"]),
        until=from_microseconds(row["until"]),
    )
