"""A typed client of the gateway: opens, shows and ends sessions, and asks what would be decided.

For those who may open sessions: the gateway's own user. It blocks; from a coroutine, use `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from bailiwick.gateway.wire import Json
from bailiwick.guard.data import frozen
from bailiwick.guard.denied import Denied, denied_of
from bailiwick.guard.transport import Transport


@dataclass(frozen=True, slots=True)
class Person:
    """For whom a session is opened."""

    id: str
    groups: Sequence[str] = ()
    claims: Mapping[str, str | Sequence[str]] = field(default_factory=dict[str, "str | Sequence[str]"])


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as the gateway tells it."""

    id: str
    agent: str
    task: str | None
    user: str | None
    tenant: str | None
    context: Mapping[str, str]
    mounts: tuple[str, ...]
    state: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that was just opened. The token is never shown again."""

    info: SessionInfo
    may: tuple[str, ...]
    """What it may do, in words."""
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Allowed:
    """A call that would be admitted, with what the gateway would fill in."""

    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """A function that a session may call."""

    name: str
    description: str | None
    """What the policy says of it, if it does."""
    schema: Mapping[str, Json]
    """Of its arguments, narrowed to what the session may give."""


class Client:
    """Asks one gateway."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def open_session(
        self,
        agent: str,
        *,
        task: str | None = None,
        user: Person | str | None = None,
        tenant: str | int | None = None,
        values: Mapping[str, str | int | float] | None = None,
        ttl: str | None = None,
        mounts: Sequence[str] = (),
    ) -> OpenedSession:
        """Open a session. Raises BailiwickError, with the code of the denial, when it is refused."""
        person = Person(user) if isinstance(user, str) else user
        claims: dict[str, Json] = {}
        for key, each in person.claims.items() if person is not None else ():
            claims[key] = each if isinstance(each, str) else [*each]
        asked: dict[str, Json] = {
            "agent": agent,
            "task": task,
            "user": None if person is None else person.id,
            "groups": [] if person is None else [*person.groups],
            "claims": claims,
            "tenant": None if tenant is None else str(tenant),
            "values": {name: str(value) for name, value in (values or {}).items()},
            "ttl": ttl,
            "mounts": [*mounts],
        }
        opened = self._transport.ask("session.open", asked)
        return OpenedSession(_info(opened["session"]), _texts(opened["words"]), str(opened["token"]))

    def sessions(self, *, ended: bool = False) -> tuple[SessionInfo, ...]:
        """Return the open sessions, the newest first; with `ended` also the others."""
        found = self._transport.ask("session.list", {"all": ended})["sessions"]
        return tuple(_info(each) for each in cast("list[Json]", found))

    def session(self, session_id: str) -> SessionInfo:
        """Return a session. Raises BailiwickError when there is none of that id."""
        return _info(self._transport.ask("session.show", {"session": session_id})["session"])

    def permissions(self, session_id: str) -> tuple[str, ...]:
        """Return what an open session may do, in words."""
        return _texts(self._transport.ask("session.show", {"session": session_id})["words"])

    def close(self, session_id: str) -> None:
        """Close a session that is done. What of it is under way is not shown any more."""
        self._transport.ask("session.close", {"session": session_id})

    def revoke(self, session_id: str) -> None:
        """Revoke a session at once."""
        self._transport.ask("session.revoke", {"session": session_id})

    def decide(self, token: str, name: str, arguments: Mapping[str, object]) -> Allowed | Denied:
        """Return what would be decided about a call of a function. Nothing is done, and nothing recorded.

        Raises NotDataError for arguments that are no data."""
        sent: dict[str, Json] = frozen(arguments)[1]
        answer = self._transport.ask("function.decide", {"token": token, "name": name, "arguments": sent})
        denied = denied_of(answer)
        return Allowed(cast("Mapping[str, Json]", answer["arguments"])) if denied is None else denied

    def functions(
        self, token: str, schemas: Mapping[str, Mapping[str, Json]] | None = None
    ) -> tuple[FunctionInfo, ...] | Denied:
        """Return the functions that a session may call. `schemas`: JSON Schemas of their arguments, to be narrowed."""
        given: dict[str, Json] = {name: dict(schema) for name, schema in (schemas or {}).items()}
        answer = self._transport.ask("function.list", {"token": token, "schemas": given})
        denied = denied_of(answer)
        if denied is not None:
            return denied
        return tuple(_function(each) for each in cast("list[dict[str, Json]]", answer["functions"]))


def _info(found: Json) -> SessionInfo:
    told = cast("Mapping[str, Json]", found)
    maybe = {name: told[name] for name in ("task", "user", "tenant")}
    task, user, tenant = (None if each is None else str(each) for each in maybe.values())
    return SessionInfo(
        str(told["id"]),
        str(told["agent"]),
        task,
        user,
        tenant,
        {name: str(value) for name, value in cast("Mapping[str, Json]", told["context"]).items()},
        _texts(told["mounts"]),
        str(told["state"]),
        datetime.fromisoformat(str(told["expires_at"])),
    )


def _function(told: Mapping[str, Json]) -> FunctionInfo:
    description = told["description"]
    schema = cast("Mapping[str, Json]", told["schema"])
    return FunctionInfo(str(told["name"]), None if description is None else str(description), schema)


def _texts(found: Json) -> tuple[str, ...]:
    return tuple(str(each) for each in cast("list[Json]", found))
