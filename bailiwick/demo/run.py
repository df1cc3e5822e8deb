"""The demonstration: database, gateway, session, agent, ledger. Says nothing itself; a `Watcher` is told."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import asyncpg

from bailiwick.decide.approvals import Approve
from bailiwick.demo.agent import Outcome, difference, perform
from bailiwick.demo.courier import Courier
from bailiwick.demo.database import Running as Database
from bailiwick.demo.database import load, programs, running, script
from bailiwick.demo.dataset import CANARY, TENANT, TICKET
from bailiwick.demo.steps import Step, steps
from bailiwick.demo.tools import Tools
from bailiwick.demo.warehouse import make_warehouse
from bailiwick.errors import SessionError
from bailiwick.gateway.admin import local_name
from bailiwick.gateway.config import GatewayConfig, load_config
from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.run import Front
from bailiwick.gateway.run import Running as Gateway
from bailiwick.gateway.run import running as running_gateway
from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.gateway.wire import Fields
from bailiwick.ledger.checkpoint import Signer
from bailiwick.ledger.report import Report
from bailiwick.ledger.verify import verify
from bailiwick.model.approval import Reviewer
from bailiwick.model.decision import Denial
from bailiwick.model.session import User

AGENT = "support-bot"
TASK = "handle-ticket"
USER = "grace"
_MOUNT = "desk"
_OPENER = "bailiwick demo"
_settings = """\
environment: staging
postgres: {port: 0}
mcp: {port: 0}
api: {port: 0}
admin_socket: admin.sock    # not in the data directory: temporary folders can have long names, sockets can not
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a person needs to go on by hand."""

    psql: str
    """A line to paste; the token stands in a file, not in it."""
    policy: Path
    ledger: LedgerAddress
    console: str
    """A link that logs in once; empty when there is no console."""


class Watcher(Protocol):
    """Is told what happens."""

    def progress(self, text: str) -> None:
        """Something has begun or is ready."""
        ...

    def did(self, number: int, step: Step, outcome: Outcome, wrong: str) -> None:
        """A step is done; `wrong` says how it differs from what is expected, if it does."""
        ...

    def kept(self, kept: Kept) -> None:
        """Everything goes on running until the program is told to stop."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    steps: int
    expected: int
    """How many were as expected."""
    ledger: Report
    clean: bool
    """Whether nothing that must not leak stands in the ledger."""

    @property
    def good(self) -> bool:
        """Whether everything was as expected."""
        return self.steps == self.expected and self.ledger.sound and self.clean


async def demonstrate(
    folder: Path, fronts: Callable[[GatewayConfig], Sequence[Front]], watcher: Watcher, until: asyncio.Event | None
) -> Result:
    """Run it all in `folder`, which must exist and be empty. With `until`, keep everything running until it is set."""
    data, home = folder / "postgres", folder / "bailiwick"
    data.mkdir()
    home.mkdir(mode=0o700)
    watcher.progress("starting PostgreSQL from its wheel")
    with running(data) as database:
        rows = await load(database, datetime.now(UTC))
        watcher.progress(f"loaded a support desk: 16 tables, {rows:,} rows, 3 tenants, secrets among them")
        shelves = await asyncio.to_thread(make_warehouse, folder / "warehouse.db")
        watcher.progress(f"made its warehouse, a SQLite file: 3 tables, {shelves:,} rows")
        async with _gateway(home, database, fronts) as gateway:
            host, port = gateway.addresses()["postgres"]
            watcher.progress(f"the gateway serves {home / 'policy.yaml'} on {host}:{port}, and by MCP")
            expected = await _script(gateway, watcher)
            if until is not None:
                watcher.kept(await _keep(gateway, home))
                await until.wait()
        report, clean = _checked(gateway)
    return Result(len(steps), expected, report, clean)


def policy_text() -> str:
    """Return the policy, with the path of the interpreter that its MCP server runs in."""
    return script("policy.yaml").replace("[python,", f"[{json.dumps(sys.executable)},")


@asynccontextmanager
async def _gateway(
    home: Path, database: Database, fronts: Callable[[GatewayConfig], Sequence[Front]]
) -> AsyncGenerator[Gateway]:
    (home / "policy.yaml").write_text(policy_text(), encoding="utf-8")
    (home / "bailiwick.lock").write_text(script("bailiwick.lock"), encoding="utf-8")
    (home / "gateway.yaml").write_text(_settings, encoding="utf-8")
    environ = {"DEMO_DATABASE_URL": database.url("gateway")}
    config = load_config(home / "policy.yaml", environ)
    async with running_gateway(home / "policy.yaml", config, environ, fronts(config)) as gateway:
        yield gateway


async def _script(gateway: Gateway, watcher: Watcher) -> int:
    """Let the agent do its steps; return how many came out as expected."""
    opened = await _open(gateway)
    session = opened.live.session
    watcher.progress(
        f"opened a session: agent {AGENT}, user {USER}, task {TASK}, tenant {TENANT},"
        f" ticket_id {TICKET}; looked up: customer_id {session.context['customer_id']}"
    )
    host, port = gateway.addresses()["postgres"]
    connection = await asyncpg.connect(
        host=host, port=port, user=AGENT, password=opened.token, database=_MOUNT, ssl=False
    )

    async def revoke() -> None:
        await gateway.sessions.end(session.id, "REVOKED", "revoked by the demonstration", _OPENER)

    expected = 0
    try:
        async with Tools(*gateway.addresses()["mcp"], opened.token) as tools:
            courier = await asyncio.to_thread(Courier, gateway.path, opened.token)
            for number, step in enumerate(steps, 1):
                if step.approved:
                    await _approve(gateway, session.id, "call" if step.tool else "statement")
                if step.function:
                    outcome = await courier.perform(step)
                elif step.mount or step.tool:
                    outcome = await tools.perform(step)
                else:
                    outcome = await perform(connection, step, revoke)
                wrong = difference(step, outcome)
                expected += not wrong
                watcher.did(number, step, outcome, wrong)
    finally:
        connection.terminate()
    return expected


async def _approve(gateway: Gateway, session: str, kind: str) -> None:
    """Approve, as a reviewer at the admin socket, the call or statement of a session that was held last."""
    by = Reviewer("local:reviewer", means="local", authenticated_at=datetime.now(UTC), clearance="restricted")
    for each in await gateway.gateway.approvals.list(everything=False):
        if each.requester.session == session and each.state == "PENDING" and each.subject.kind == kind:
            await gateway.gateway.approvals.decide(each.id, Approve(by, each.subject.digest, "agreed"))
            return  # the newest comes first


async def _open(gateway: Gateway) -> Opened:
    wanted = Wanted(
        agent=AGENT,
        task=TASK,
        user=User(USER, frozenset({"support"})),
        tenant=TENANT,
        values={"ticket_id": str(TICKET)},
        opener=_OPENER,
    )
    opened = await gateway.opener.open(wanted)
    if isinstance(opened, Denial):
        raise SessionError(opened.message, remedy=opened.remedy)
    return opened


async def _keep(gateway: Gateway, home: Path) -> Kept:
    """Open a session for a person with psql."""
    opened = await _open(gateway)
    host, port = gateway.addresses()["postgres"]
    service = home / "pg_service.conf"
    service.touch(0o600)
    lines: Sequence[str] = (
        "[desk]",
        f"host={host}",
        f"port={port}",
        f"dbname={_MOUNT}",
        f"user={AGENT}",
        f"password={opened.token}",
        "",
    )
    service.write_text("\n".join(lines), encoding="utf-8")
    psql = f"PGSERVICEFILE={shlex.quote(str(service))} {shlex.quote(str(programs() / 'psql'))} service=desk"
    return Kept(psql, home / "policy.yaml", gateway.config.ledger, await _link(gateway))


async def _link(gateway: Gateway) -> str:
    if gateway.desk is None or "console.link" not in gateway.desk.more:
        return ""
    return str(
        (await gateway.desk.answer("console.link", Fields({}), Reviewer(local_name(os.getuid()), means="local")))["url"]
    )


def _checked(gateway: Gateway) -> tuple[Report, bool]:
    """Verify the ledger, and look whether anything leaked into it."""
    reader = open_reader(gateway.config.ledger)
    try:
        signers = [Signer(reader.origin(), key) for key in gateway.stores.custody.keys.signing]
        clean = not any(CANARY.encode() in stored.body for stored in reader.query(Query(limit=100_000)))
        return verify(reader.begin_evidence(), gateway.stores.custody.verifiers(), signer=signers), clean
    finally:
        reader.close()
