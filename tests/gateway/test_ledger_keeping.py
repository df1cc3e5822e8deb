"""What those who keep a ledger ask of the gateway that runs."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from bailiwick.errors import BailiwickError
from bailiwick.gateway.ledger.address import LedgerAddress, read_address
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.people import People
from bailiwick.gateway.policies.text import text_in
from bailiwick.guard import Guard
from bailiwick.ledger.encode import read
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.postgres import Database

pytestmark = pytest.mark.xdist_group("ledger-keeping")

POLICY = """
bailiwick: 1
retention: 1s
mounts:
  shop:
    kind: python
    functions:
      find_customer: {action: customers:read, parameters: [email]}
roles:
  support:
    grants:
      - {allow: customers:read, args: {email: any}, reason: answers them}
agents:
  bot: {owner: desk, purpose: answers, roles: [support]}
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest) -> Generator[RunningGateway]:
    environ: dict[str, str] = {}
    if request.param == "postgresql":
        database: Database = request.getfixturevalue("database")
        environ["BAILIWICK_LEDGER"] = f"{database.url()}?log=kept"
    with running_gateway(POLICY, environ) as running:
        yield running


def ledger_of(gateway: RunningGateway) -> LedgerAddress:
    return read_address(gateway.environ.get("BAILIWICK_LEDGER", str(keys_of(gateway) / "ledger.db")))


def keys_of(gateway: RunningGateway) -> Path:
    return gateway.folder / ".bailiwick"


def bytes_of(gateway: RunningGateway) -> bytes:
    """Return all that the ledger holds of records."""
    with closing(open_reader(ledger_of(gateway))) as reader:
        return b"".join(each.body for each in reader.query(Query(limit=100_000)))


def records(gateway: RunningGateway, kind: str) -> list[dict[str, object]]:
    with closing(open_reader(ledger_of(gateway))) as reader:
        return [dict(read(each.body) or {}) for each in reader.query(Query(kind=kind, limit=1_000))]


def test_the_text_of_the_policy_in_force_is_in_the_ledger_once(gateway: RunningGateway) -> None:
    gateway.admin.ask("reload", {})
    (text,) = records(gateway, "policy.text")
    with closing(open_reader(ledger_of(gateway))) as reader:
        found = text_in(reader, str(text["policy"]))
        assert text_in(reader, "another") is None
    assert found is not None
    assert [*found.values()] == [POLICY]
    assert gateway.admin.ask("status", {})["policy"] == text["policy"]


def test_keys_change_while_the_gateway_runs_and_everything_stays_verifiable(gateway: RunningGateway) -> None:
    before = gateway.say("ledger", "key").stdout.split()
    changed = gateway.say("ledger", "rotate-key", "--overlap", "1ms")
    assert changed.returncode == 0, changed.stderr
    assert gateway.say("ledger", "key").stdout.split() == [changed.stdout.strip(), *before]
    for key in (changed.stdout.strip(), *before):
        verified = gateway.say("ledger", "verify", "--key", key)
        assert verified.returncode == 0, verified.stdout + verified.stderr
    gateway.stop()
    gateway.start()  # the overlap has ended, so it has destroyed the old key
    assert [json.dumps(each["detail"]) for each in records(gateway, "ledger.key")][1:] == [
        json.dumps({"retired": before[0]})
    ]
    assert gateway.say("ledger", "verify", "--key", before[0]).returncode == 0


def test_a_value_is_found_by_its_digest_until_the_persons_key_is_destroyed(gateway: RunningGateway) -> None:
    keys = keys_of(gateway) / "people.db"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    with closing(People(keys)) as people:
        first = people.digest("anna")("a@example.org")
        assert people.digest("anna")("a@example.org") == first
        assert people.digest("ben")("a@example.org") != first
    asked = gateway.say("ledger", "digests", "a@example.org", "--person", "anna")
    assert asked.stdout.strip() == f"hmac:{first[:16]}"
    assert len(gateway.say("ledger", "digests", "a@example.org").stdout.split()) >= 2
    erased = gateway.say("ledger", "erase", "--person", "anna")
    assert (erased.returncode, "destroyed" in erased.stdout) == (0, True)
    assert gateway.say("ledger", "digests", "a@example.org", "--person", "anna").stdout.strip() == ""
    assert gateway.say("ledger", "verify").returncode == 0
    assert b"anna" not in keys.read_bytes()
    with closing(People(keys)) as people:
        assert people.digest("anna")("a@example.org") != first
    (said,) = records(gateway, "ledger.erased")
    assert "anna" not in json.dumps(said)


def test_a_call_is_found_by_a_value_that_no_record_holds(gateway: RunningGateway) -> None:
    guard = Guard(gateway.policy)

    def find_customer(email: str) -> list[str]:
        return [email[:1]]

    guarded = guard.function(find_customer)
    with guard.session("bot", user="dora"):
        assert guarded(email="someone@example.org") == ["s"]
    with closing(People(keys_of(gateway) / "people.db")) as people:
        (digest,) = people.told("someone@example.org", "dora")
    (call,) = [each for each in (*records(gateway, "call"), *records(gateway, "intent")) if each["user"] == "dora"]
    assert digest in str(call["statement"])
    with guard.session("bot", user="emma"):
        guarded(email="another@example.org")
    found = gateway.say("ledger", "query", "--value", "someone@example.org", "agent:bot", "--json")
    assert {json.loads(each)["user"] for each in found.stdout.splitlines()} == {"dora"}, found.stderr
    assert gateway.say("ledger", "query", "--value", "nobody@example.org", "--json").stdout == ""
    assert b"someone" not in bytes_of(gateway)


def test_a_person_with_an_open_session_is_not_erased(gateway: RunningGateway) -> None:
    session = gateway.admin.ask("session.open", {"agent": "bot", "user": "carl"})["session"]
    assert isinstance(session, dict)
    with pytest.raises(BailiwickError, match="open sessions"):
        gateway.admin.ask("ledger.erase", {"person": "carl"})
    gateway.admin.ask("session.close", {"session": session["id"]})
    assert gateway.admin.ask("ledger.erase", {"person": "carl"}) == {"erased": True}


def test_what_was_kept_long_enough_is_pruned_unless_it_is_held(gateway: RunningGateway) -> None:
    for user in ("dora", "emil"):
        opened = gateway.admin.ask("session.open", {"agent": "bot", "user": user})["session"]
        assert isinstance(opened, dict)
        gateway.admin.ask("session.close", {"session": opened["id"]})
    held = gateway.admin.ask("ledger.hold", {"reason": "a lawsuit", "user": "dora"})["hold"]
    listed = gateway.say("ledger", "hold", "list")
    assert f"{held}  user dora  (a lawsuit)" in listed.stdout
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        gateway.admin.ask("ledger.prune", {})
        if {str(each["user"]) for each in records(gateway, "session.opened")} == {"dora"}:
            break
        time.sleep(0.1)
    assert {each["user"] for each in records(gateway, "session.opened")} == {"dora"}
    assert records(gateway, "policy.text")
    verified = gateway.say("ledger", "verify")
    assert verified.returncode == 0, verified.stdout
    assert gateway.say("ledger", "hold", "release", str(held)).returncode == 0
    assert gateway.say("ledger", "prune").returncode == 0
    assert records(gateway, "session.opened") == []
    assert gateway.say("ledger", "verify").returncode == 0
    stats = json.loads(gateway.say("ledger", "stats", "--json").stdout)
    assert stats["pruned"] > 0
    assert stats["disk_bytes_in_a_year"] >= stats["disk_bytes"]


@pytest.mark.parametrize("gateway", ["postgresql"], indirect=True)
def test_every_command_reads_a_ledger_in_a_database(gateway: RunningGateway, tmp_path: Path) -> None:
    session = gateway.admin.ask("session.open", {"agent": "bot", "user": "gwen"})["session"]
    assert isinstance(session, dict)
    gateway.admin.ask("session.close", {"session": session["id"]})
    (opened,) = [each for each in records(gateway, "session.opened") if each["user"] == "gwen"]
    place, name = str(tmp_path), str(opened["id"])
    for command, told in [
        (("tail", "-n", "5"), "session.closed"),
        (("query", "user:gwen kind:session.opened"), "gwen"),
        (("show", name), name),
        (("prove", name), "c2sp.org/tlog-proof@v1"),
        (("prove", "--from", "3"), ""),
        (("checkpoint",), "—"),
        (("export", "user:gwen", "--format", "csv"), "gwen"),
        (("sql", "SELECT person FROM records WHERE kind = 'session.opened'"), "gwen"),
        (("report", "violations", "--since", "1h"), ""),
        (("story", str(session["id"])), "gwen"),
        (("stats",), "records"),
        (("hold", "list"), ""),
        (("archive", f"{place}/archive"), ""),
        (("bundle", f"{place}/bundle"), "records"),
        (("verify", f"{place}/bundle"), ""),
    ]:
        done = gateway.say("ledger", *command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert told in done.stdout, command
    assert "canary-free-superuser" not in gateway.log()
