"""A gateway with a real state store and a real ledger, a clock in hand, and a past."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.ledger.reader import open_reader
from bailiwick.gateway.ledger.store import LedgerStore, open_store
from bailiwick.gateway.policies.force import Force
from bailiwick.gateway.recorder import Durable, Recorder
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.sessions.tokens import Tokens
from bailiwick.gateway.sessions.underway import Underway
from bailiwick.gateway.state import State, open_state
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.encode import Stamped, decode
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.notice import Notice
from bailiwick.model.policy import Policy
from bailiwick.model.record import Record
from bailiwick.policy.load import load
from bailiwick.review.reviews import Ground, Reviews

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
POLICY = """\
# The desk's policy.
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      tickets: {table: public.tickets, key: ticket_id}
      customers:
        table: public.customers
        key: customer_id
        labels: {email: confidential, ssn: restricted}
roles:
  support:
    grants:
      # answers tickets
      - {allow: tickets:read, id: reads-tickets, reason: answers them}
      - allow: customers:read   # names and addresses
        id: reads-customers
        reason: addresses people
        fields:
          - customer_id
          - name
          - email   # in clear
          - ssn
        mask: {ssn: last4}
      # nobody knows any more
      - {allow: tickets:delete, id: deletes, reason: cleans up}
  escalation:
    grants:
      - {allow: tickets:update, id: edits, reason: an escalation is open}
agents:
  support-bot: {owner: desk, purpose: answers tickets, roles: [support]}
  night-bot: {owner: nights, purpose: answers at night, roles: [support]}
gates:
  delete: {loosen: [tickets:delete], reason: cleans up}
elevations:
  escalation: {role: escalation, for: [support-bot, night-bot], max: 4h, approvers: [leads]}
review: {every: 90d, restricted: 30d, unused_after: 60d, approvers: [security]}
"""


def table(name: str, *columns: str) -> LockedTable:
    return LockedTable("public", name, "r", tuple(LockedColumn(each, "text") for each in columns), columns[:1])


LOCK = Lock(
    {
        "crm": {
            ("public", "tickets"): table("tickets", "ticket_id", "subject", "body"),
            ("public", "customers"): table("customers", "customer_id", "name", "email", "ssn"),
        }
    }
)


def policy_of(text: str = POLICY) -> Policy:
    loaded = load({"policy.yaml": text})
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


def used(days_ago: float, grant: str, action: str = "tickets:read", **more: object) -> Record:
    """Return the record of one call, so long before NOW."""
    resource = action.partition(":")[0]
    made = Record(
        id=f"rec_{abs(hash((days_ago, grant, str(more)))):026d}"[:30],
        kind="call",
        at=NOW - timedelta(days=days_ago),
        agent="support-bot",
        user="ada",
        session="ses_1",
        mount="crm",
        actions=(action,),
        fields={resource: ()},
        decision="allow",
        grants=(grant,),
        rows=1,
    )
    return made._replace(**more)  # pyright: ignore[reportArgumentType]  # members by name, in tests only


def years() -> list[Record]:
    """Return what happened in half a year: all but the deletion, and of customers only two fields, lately."""
    touched = {"customers": ("customer_id", "name")}
    found = [Record("rec_start", "gateway.started", NOW - timedelta(days=180))]
    for day in range(120, 0, -1):
        found.append(used(day, "reads-tickets", fields={"tickets": ("ticket_id", "subject")}))
        found.append(used(day - 0.1, "reads-customers", "customers:read", fields=touched))
    found.append(used(100, "deletes", "tickets:delete"))
    found.append(used(80, "reads-customers", "customers:read", fields={"customers": ("email",)}))
    found.append(used(2, "", "customers:read", decision="deny", code="field_not_granted", grants=()))
    return sorted(found, key=lambda each: each.at)


@dataclass
class Hand:
    """A clock that is moved by hand."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Kept:
    """A ledger that writes what it is given before it answers. `broken`: it answers False to everything."""

    store: LedgerStore
    broken: bool = False

    def append(self, record: Record | Stamped, durable: Durable) -> None:
        durable(not self.broken and self.store.append([record]))


@dataclass
class Rig:
    """Reviews, and what they stand on."""

    folder: Path
    clock: Hand
    ledger: Kept
    state: State
    sessions: Sessions
    gateway: Gateway
    reviews: Reviews
    told: list[Notice] = field(default_factory=list[Notice])

    @property
    def policy_file(self) -> Path:
        return self.folder / "policy.yaml"

    def records(self, prefix: str = "review.") -> list[Record]:
        with closing(open_reader(self.folder / "ledger.db")) as reader:
            entries = [decode(each.body) for each in reader.following(0, 100_000)]
        return [each.record for each in entries if each is not None and each.record.kind.startswith(prefix)]

    def write(self, text: str) -> None:
        """Put another policy in force."""
        self.policy_file.write_text(text)
        self.sessions.reload(Force(policy_of(text), LOCK))

    async def stop(self) -> None:
        await self.reviews.stop()
        await self.state.close()
        self.ledger.store.close()


async def make_rig(
    folder: Path, text: str = POLICY, past: list[Record] | None = None, clock: Hand | None = None
) -> Rig:
    """Compose it over a folder; with a past only once."""
    clock = clock or Hand()
    _laid_out(folder, text)
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    store = open_store(folder / "ledger.db", key, origin="test/ledger", now=clock)
    policy = policy_of(text)
    if past:
        first, *rest = past
        loaded = replace_policy(first, policy.version)
        store.append([loaded, *rest])
        store.drain()
    ledger = Kept(store)
    recorder = Recorder(ledger, clock, Ulids())
    state = await open_state(folder / "state.db")
    sessions = Sessions(state, recorder, clock, Force(policy, LOCK))
    gateway = Gateway(Tokens(key, "bailiwick"), sessions, recorder, clock, Underway())
    told: list[Notice] = []
    ground = Ground(
        sessions, gateway.approvals, gateway.elevations, told.append, folder / "policy.yaml", folder / "ledger.db"
    )
    reviews = Reviews(ground)
    await reviews.start()
    return Rig(folder, clock, ledger, state, sessions, gateway, reviews, told)


def _laid_out(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "policy.yaml").write_text(text)


def replace_policy(record: Record, version: str) -> Record:
    return record._replace(policy=version)
