"""A gateway without sockets and databases for tests: a real state store, a clock in hand, a ledger in a list."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.gateway.config import SessionMaxima
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.policies.force import Force
from bailiwick.gateway.recorder import Durable, Recorder
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.opening import Opened, Opener, Wanted
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.sessions.tokens import Tokens
from bailiwick.gateway.sessions.underway import Underway
from bailiwick.gateway.state import State, open_state
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.encode import Stamped
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.policy import Policy, Resource
from bailiwick.model.record import Record
from bailiwick.model.session import User
from bailiwick.model.value import Scalar
from bailiwick.policy.load import load

monday = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

text = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      tickets: {table: public.tickets, key: ticket_id, tenant: tenant_id}
      customers: {table: public.customers, key: customer_id, tenant: tenant_id}
roles:
  support:
    grants:
      - {allow: tickets:read, reason: answers them, rows: {ticket_id: $ticket_id}}
agents:
  support-bot:
    owner: support-platform
    purpose: answers tickets
    roles: [support]
    session: {ttl: 30m, idle: 5m, hours: Mon-Fri 07:00-19:00 Europe/Berlin}
  night-bot:
    owner: support-platform
    purpose: answers tickets at night
    roles: [support]
tasks:
  handle-ticket:
    agents: [support-bot]
    users: {groups: [support]}
    context:
      ticket_id: integer
      customer_id: {type: integer, from: tickets, by: ticket_id}
    only: {tickets: {}}
"""


def policy_of(document: str = text) -> Policy:
    """Return the policy of a document that is right."""
    loaded = load({"policy.yaml": document})
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


def table(name: str, *columns: str) -> LockedTable:
    return LockedTable("public", name, "r", tuple(LockedColumn(each, "integer") for each in columns), columns[:1])


lock = Lock(
    {
        "crm": {
            ("public", "tickets"): table("tickets", "ticket_id", "tenant_id", "customer_id"),
            ("public", "customers"): table("customers", "customer_id", "tenant_id"),
        }
    }
)


@dataclass
class Hand:
    """A clock that is moved by hand."""

    now: datetime = monday

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Listed:
    """A ledger in a list; `broken` answers False to everything."""

    records: list[Record] = field(default_factory=list[Record])
    broken: bool = False

    def append(self, record: Record | Stamped, durable: Durable) -> None:
        record = record.record if isinstance(record, Stamped) else record
        if not self.broken:
            self.records.append(record)
        durable(not self.broken)

    def kinds(self) -> list[str]:
        return [record.kind for record in self.records]


@dataclass
class Rows:
    """Tickets that can be looked up: (ticket, tenant) → customer."""

    tickets: dict[tuple[int, int], int] = field(default_factory=lambda: {(7, 4): 70, (8, 5): 80})
    asked: int = 0

    async def __call__(
        self, mount: str, resource: Resource, column: str, by_column: str, value: Scalar, tenant: Scalar | None
    ) -> object:
        assert (mount, resource.name, by_column) == ("crm", "tickets", "ticket_id")
        self.asked += 1
        for (ticket, owner), customer in self.tickets.items():
            if ticket == value and tenant in (None, owner):
                return {"customer_id": customer, "tenant_id": owner}[column]
        return None


@dataclass
class Rig:
    """Everything, composed as a running gateway composes it."""

    clock: Hand
    ledger: Listed
    rows: Rows
    state: State
    sessions: Sessions
    opener: Opener
    gateway: Gateway
    tokens: Tokens

    async def opened(self, **changes: object) -> Opened:
        found = await self.opener.open(wanted(**changes))
        assert isinstance(found, Opened), found
        return found

    async def connected(self, opened: Opened, cuts: list[Denial]) -> Live:
        agent = opened.live.session.agent
        found = await self.gateway.connect("crm", agent, opened.token, "127.0.0.1:5", cuts.append)
        assert isinstance(found, Live), found
        return found

    async def tick(self) -> None:
        """What the clockwork does four times a second."""
        self.sessions.cut_what_is_over()
        await self.sessions.store_endings()
        await asyncio.sleep(0)


def wanted(**changes: object) -> Wanted:
    """Return what a good opener asks for, with changes."""
    user = User("ada", frozenset({"support"}))
    good: dict[str, object] = {
        "agent": "support-bot",
        "task": "handle-ticket",
        "user": user,
        "tenant": "4",
        "values": {"ticket_id": "7"},
    }
    return Wanted(**{**good, **changes})  # pyright: ignore[reportArgumentType]  # fields by name, in tests only


async def make_rig(
    folder: Path,
    document: str = text,
    clock: Hand | None = None,
    key: Ed25519PrivateKey | None = None,
    accepted: Lock | None = None,
) -> Rig:
    """Compose a gateway over the state store in a folder."""
    clock = clock or Hand()
    ledger, rows, ulids = Listed(), Rows(), Ulids()
    recorder = Recorder(ledger, clock, ulids)
    state = await open_state(folder / "state.db")
    sessions = Sessions(state, recorder, clock, Force(policy_of(document), accepted or lock))
    tokens = Tokens(key or Ed25519PrivateKey.generate(), "bailiwick")
    maxima = SessionMaxima(timedelta(minutes=20), timedelta(hours=12), 100)
    opener = Opener(sessions, tokens, rows, maxima, ulids)
    gateway = Gateway(tokens, sessions, recorder, clock, Underway())
    await sessions.start()
    return Rig(clock, ledger, rows, state, sessions, opener, gateway, tokens)
