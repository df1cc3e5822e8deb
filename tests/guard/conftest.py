"""A guard whose gateway runs in the tests' process, and what its files hold."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.guard import Guard
from bailiwick.guard.session import Opening

SETTINGS = "environment: staging\npostgres: {port: 0}\nmcp: {port: 0}\n"
POLICY = """\
bailiwick: 1
mounts:
  app:
    kind: python
    limits: {timeout: 30s}
    resources:
      customers: {labels: {ssn: restricted}}
    functions:
      refund: {action: billing:refund, parameters: [customer_id, amount, note]}
      send: {action: mail:send, parameters: [text], effects: [external]}
      look_up: {action: customers:read, parameters: [customer_id, region], fixed: {customer_id: $customer_id}}
      orders: {action: orders:read, parameters: [kind], items: found}
      page: {action: pages:read, parameters: [size]}
      slow: {action: jobs:run, parameters: [seconds]}
      check: {action: jobs:check, parameters: [seconds]}
roles:
  support:
    grants:
      - allow: billing:refund
        reason: small ones
        args: {customer_id: $customer_id, amount: {max: 500}, note: any}
      - {allow: mail:send, reason: answers, args: any}
      - {allow: customers:read, reason: names, args: any, mask: {email: partial}}
      - {allow: orders:read, reason: own ones, args: any, items: {customer_id: $customer_id}}
      - {allow: pages:read, reason: small ones, args: any, limits: {bytes: 100, rows: 3}}
      - {allow: jobs:run, reason: quick ones, args: any, limits: {timeout: 1s}}
      - {allow: jobs:check, reason: any ones, args: any}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
  idler: {owner: team, purpose: tests, roles: []}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
"""


@dataclass(frozen=True, slots=True)
class App:
    """An application with a guard."""

    guard: Guard
    folder: Path

    def work(self) -> Opening:
        """Return a session of the bot, for customer 7."""
        return self.guard.session("bot", task="work", user="grace", values={"customer_id": 7})

    def records(self) -> list[dict[str, object]]:
        """Return the ledger's records so far, the oldest first."""
        reader = open_reader(self.folder / ".bailiwick" / "ledger.db")
        try:
            return [json.loads(stored.body) for stored in reader.query(Query(limit=10_000))]
        finally:
            reader.close()

    def calls(self, session: str, name: str) -> list[tuple[object, object, object]]:
        """Return kind, decision and code of what the ledger holds of a session's calls of a function."""
        own = [each for each in self.records() if each.get("session") == session]
        intents = [each for each in own if str(each.get("statement", "")).startswith(name + " ")]
        known = {each["id"] for each in intents}
        told = [each for each in own if each["id"] in known or each.get("refers") in known]
        return [(each["kind"], each["decision"], each.get("code", "")) for each in told]


@pytest.fixture(scope="package")
def app() -> Generator[App]:
    folder = Path(tempfile.mkdtemp(prefix="bwsdk"))
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "gateway.yaml").write_text(SETTINGS)
    try:
        with Guard(folder / "policy.yaml", gateway="here", environ={}) as guard:
            yield App(guard, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
