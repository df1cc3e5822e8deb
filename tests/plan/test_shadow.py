"""A candidate policy beside the enforced one: compared, recorded, never applied; over a restart, and put in force."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from plan_rig import POLICY, SCRIPT

from bailiwick.errors import BailiwickError
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.ledger.encode import read
from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.postgres import GATEWAY_ROLE, Server

pytestmark = pytest.mark.xdist_group("plan")
Shadow = dict[str, Any]
GRANT = "      - {allow: customers:read, reason: names, fields: [id, name, email, tier], rows: {id: $customer_id}}\n"
NARROW = POLICY.replace(GRANT, "")


@pytest.fixture(scope="module")
def served(postgres: Server) -> Iterator[RunningGateway]:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    folder = Path(tempfile.mkdtemp(prefix="bwshadow"))
    made = prepare_gateway(folder, POLICY, {"PLAN_URL": upstream.url("gw", "gw")})
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def gateway(served: RunningGateway) -> RunningGateway:
    """The gateway with its first policy, and nothing in the shadow."""
    if ask(served, "policy.shadow.status"):
        served.admin.ask("policy.shadow.stop", {})
    served.policy.write_text(POLICY)
    served.admin.ask("reload", {})
    return served


def candidate(gateway: RunningGateway, text: str) -> str:
    """Write a candidate; return its place beside the gateway."""
    place = gateway.folder / "new" / "policy.yaml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    return "new/policy.yaml"


def ask(gateway: RunningGateway, do: str) -> Shadow:
    """Return what is told of the shadow; nothing when there is none."""
    return cast("Shadow", gateway.admin.ask(do, {})["shadow"]) or {}


def once(gateway: RunningGateway, seen: Callable[[Shadow], bool]) -> Shadow:
    """Return the shadow as soon as it looks so."""
    deadline = time.monotonic() + 120
    found: Shadow = {}
    while time.monotonic() < deadline:
        found = ask(gateway, "policy.shadow.status")
        if seen(found):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def opened(gateway: RunningGateway) -> Credentials:
    return gateway.open_session("bot", task="work", user="grace", tenant="4", values={"customer_id": "7"})


def names(session: Credentials, sql: bytes = b"SELECT name FROM customers") -> list[tuple[Any, ...]]:
    with psycopg.connect(session.url(), autocommit=True) as connection:
        return connection.execute(sql).fetchall()


def records(gateway: RunningGateway) -> list[dict[str, Any]]:
    reader = open_reader(gateway.folder / ".bailiwick" / "ledger.db")
    try:
        found = [read(each.body) for each in reader.query(Query(kind="policy.shadow"))]
    finally:
        reader.close()
    return [cast("dict[str, Any]", each)["detail"] for each in found if each is not None]


def test_a_candidate_is_compared_and_never_applied(gateway: RunningGateway) -> None:
    session = opened(gateway)
    assert ask(gateway, "policy.shadow.status") == {}
    told = gateway.say("policy", "shadow", "start", candidate(gateway, NARROW))
    assert told.returncode == 0, told.stderr
    assert names(session) == [("name 7",)]  # the candidate would deny it
    assert len(names(session, b"SELECT id FROM tickets")) == 60
    found = once(gateway, lambda each: each.get("requests") == 2)
    assert found["counts"]["denied"] == found["counts"]["unchanged"] == 1
    assert not found["quiet"]
    (change,) = found["changes"]
    assert (change["kind"], change["agent"], change["actions"]) == ("denied", "bot", ["customers:read"])
    once(gateway, lambda _: "differs" in {each["shadow"] for each in records(gateway)[-2:]})
    started, differs = records(gateway)[-2:]
    assert (started["shadow"], differs["shadow"], differs["kind"]) == ("started", "differs", "denied")
    shown = gateway.say("policy", "shadow", "status").stdout
    assert "denied" in shown
    assert "not quiet" in shown
    gateway.stop()  # and over a restart
    gateway.start()
    again = once(gateway, lambda each: each.get("requests") == 2)
    assert again["version"] == found["version"]
    assert names(opened(gateway)) == [("name 7",)]
    assert once(gateway, lambda each: each["requests"] == 3)["counts"]["denied"] == 2
    refused = gateway.say("policy", "shadow", "promote")
    assert refused.returncode == 1
    assert "not quiet" in refused.stderr
    assert (gateway.folder / "policy.yaml").read_text() == POLICY
    ended = gateway.say("policy", "shadow", "stop", "--json")
    assert ended.returncode == 0
    assert ask(gateway, "policy.shadow.status") == {}
    assert records(gateway)[-1]["shadow"] == "stopped"


def test_a_quiet_candidate_is_put_in_force(gateway: RunningGateway) -> None:
    session = opened(gateway)
    gateway.admin.ask("policy.shadow", {"files": {"new.yaml": NARROW}})
    early = ask(gateway, "policy.shadow.status")
    assert early["version"] != cast("str", gateway.admin.ask("status", {})["policy"])
    assert len(names(session, b"SELECT id FROM tickets")) == 60
    once(gateway, lambda each: each["quiet"] and each["requests"] == 1)
    told = gateway.say("policy", "shadow", "promote")
    assert told.returncode == 0, told.stderr
    assert "in force" in told.stdout
    assert (gateway.folder / "policy.yaml").read_text() == NARROW
    with pytest.raises(psycopg.Error):
        names(opened(gateway))
    assert ask(gateway, "policy.shadow.status") == {}


def test_what_is_no_policy_never_starts_and_despite_goes_on(gateway: RunningGateway) -> None:
    with pytest.raises(BailiwickError):
        gateway.admin.ask("policy.shadow", {"files": {"policy.yaml": "bailiwick: 2"}})
    with pytest.raises(BailiwickError):
        gateway.admin.ask("policy.shadow.stop", {})
    assert ask(gateway, "policy.shadow.status") == {}
    gateway.admin.ask("policy.shadow", {"files": {"new.yaml": NARROW}})
    assert names(opened(gateway)) == [("name 7",)]
    once(gateway, lambda each: each.get("requests") == 1)
    assert gateway.say("policy", "shadow", "promote", "--despite").returncode == 0
    assert (gateway.folder / "policy.yaml").read_text() == NARROW
    assert records(gateway)[-1]["shadow"] == "promoted"
