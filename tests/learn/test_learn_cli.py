"""`bailiwick learn`: from observations to a folder that is a policy, a report, JSON; and from a ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from learn_world import AGENT, BASE, LOCK, MOUNTS, START, call, customer, read, update
from typer.testing import CliRunner

from bailiwick.cli.learn import app
from bailiwick.gateway.ledger.store import open_store
from bailiwick.learn.records import observed_in
from bailiwick.model.observation import Argument, Observation, Seen, TableUse, ToolUse
from bailiwick.model.observation_json import to_json
from bailiwick.model.observation_record import used_json
from bailiwick.model.record import Record
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import render_lock
from bailiwick.policy.sections import section

OBSERVED = [
    each
    for n in range(40)
    for each in (
        read(n, "tickets", "body", customer_id=customer(n)),
        update(n, "tickets", {"status": "closed"}, customer_id=customer(n)),
        call(n, "refund", customer_id=customer(n), amount=n, currency="EUR"),
    )
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(MOUNTS + "roles: {}\nagents: {}\ntasks: {}\n")
    (tmp_path / "bailiwick.lock").write_text(render_lock(LOCK))
    write(tmp_path / "seen.jsonl", OBSERVED)
    return tmp_path


def write(path: Path, observed: list[Observation]) -> None:
    path.write_text("".join(json.dumps(to_json(each)) + "\n" for each in observed))


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["--agent", AGENT, *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def test_the_draft_is_a_policy_of_its_own(folder: Path) -> None:
    run("--from", "seen.jsonl", "--out", "drafts", "--report", "map.html")
    files = {path.name: path.read_text() for path in (folder / "drafts").glob("*.yaml")}
    loaded = load(files)
    assert loaded.policy is not None
    assert not loaded.problems
    assert set(loaded.policy.agents) == {AGENT}
    assert (folder / "drafts" / "bailiwick.lock").read_text() == render_lock(LOCK)
    page = (folder / "map.html").read_text()
    assert "<svg" in page
    assert "<script" not in page
    assert "tickets:read" in page


def test_a_union_of_jobs_becomes_several_agents_each_with_its_own_rows(folder: Path) -> None:
    both: list[Observation] = []
    for n in range(80):
        if n % 2:
            both.append(read(n, "tickets", "body", customer_id=customer(n)))
            both.append(call(n, "refund", customer_id=customer(n), amount=n))
        else:
            both.append(read(n, "tickets", "body", status=f"user{n % 7}"))
            both.append(call(n, "search", query=f"a b {n}"))
    write(folder / "both.jsonl", both)
    (union,) = json.loads(run("--from", "both.jsonl", "--json"))
    assert [each.get("rows") for each in union["grants"] if each["allow"] == "tickets:read"] == [None]
    one, other = json.loads(run("--from", "both.jsonl", "--json", "--split"))
    assert {one["part_of"], other["part_of"]} == {AGENT}
    actions = {each["allow"] for draft in (one, other) for each in draft["grants"]}
    found = [each["rows"] for draft in (one, other) for each in draft["grants"] if each["allow"] == "tickets:read"]
    assert sorted(map(str, found)) == ["{'customer_id': '$customer_id'}", "{'status': '$user.id'}"]
    assert {"billing:refund", "articles:search"} <= actions
    assert not {each["allow"] for each in one["grants"]} >= {"billing:refund", "articles:search"}
    run("--from", "both.jsonl", "--split", "--out", "apart")
    loaded = load({path.name: path.read_text() for path in (folder / "apart").glob("*.yaml")})
    assert loaded.policy is not None, loaded.problems
    assert set(loaded.policy.agents) == {one["agent"], other["agent"]}


def test_one_job_is_not_split(folder: Path) -> None:
    (draft,) = json.loads(run("--from", "seen.jsonl", "--json", "--split"))
    assert draft["agent"] == AGENT
    assert draft["part_of"] == ""
    assert folder.is_dir()


def test_json_has_each_grant_with_its_evidence(folder: Path) -> None:
    (draft,) = json.loads(run("--from", "seen.jsonl", "--json"))
    (found,) = [each for each in draft["grants"] if each["allow"] == "tickets:read"]
    assert found["rows"] == {"customer_id": "$customer_id"}
    assert found["evidence"]["sessions"] == 40
    assert found["evidence"]["examples"] == ["rec_0", "rec_1", "rec_2"]
    assert folder.is_dir()


def test_without_a_policy_the_draft_brings_its_mounts(folder: Path) -> None:
    (folder / "policy.yaml").unlink()
    loaded = load({"draft.yaml": run("--from", "seen.jsonl").partition(f"\n{AGENT}:")[0]})
    assert loaded.policy is not None
    assert set(loaded.policy.every_mount) == {"crm", "desk"}


def test_since_leaves_out_what_was_before(folder: Path) -> None:
    (draft,) = json.loads(run("--from", "seen.jsonl", "--since", "2026-03-02T09:30:00Z", "--json"))
    assert draft["sessions"] == 10
    assert folder.is_dir()


def test_a_broken_line_is_named(folder: Path) -> None:
    (folder / "seen.jsonl").write_text("{}\n")
    result = CliRunner().invoke(app, ["--agent", AGENT, "--from", "seen.jsonl"])
    assert result.exit_code == 1
    assert "seen.jsonl:1: version" in str(result.exception)


def kept(number: int, **more: object) -> Record:
    """Return a call of an enforcing gateway as its ledger has it."""
    record = Record(f"rec_{number}", "call", START, AGENT, f"user{number % 3}", f"ses_{number}", mount="crm")
    return record._replace(decision="allow", actions=("tickets:read",), fields={"tickets": ("body",)}, **more)


def test_the_ledger_is_learned_from(folder: Path) -> None:
    store = open_store(folder / "ledger.db", Ed25519PrivateKey.generate(), origin="test/learn")
    records: list[Record] = []
    for number, seen in enumerate(OBSERVED):
        used = used_json(seen.tables, seen.tool, seen.values)
        who = Record(f"rec_{number}", "call", seen.at, AGENT, seen.user, seen.session, mount=seen.mount)
        records.append(who._replace(decision="allow", detail={"used": used}))
    store.append(records)
    store.close()
    (draft,) = json.loads(run("--ledger", "ledger.db", "--json"))
    assert {each["allow"] for each in draft["grants"]} == {"tickets:read", "tickets:update", "billing:refund"}
    assert draft["sessions"] == 40


def test_records_of_an_enforcing_gateway_tell_their_columns() -> None:
    seen = observed_in(kept(1, rows=2), BASE)
    assert seen is not None
    assert seen.tables == (TableUse("tickets", "read", read=("body",), rows=2),)
    assert observed_in(kept(1)._replace(kind="intent"), BASE) is None
    assert observed_in(kept(1)._replace(decision="deny"), BASE) is None


def test_records_of_tools_tell_their_arguments_as_far_as_they_are_told() -> None:
    statement = 'refund {"amount":5,"currency":"EUR","note":"hmac:0123","customer_id":null}'
    record = kept(1, statement=statement)._replace(actions=("billing:refund",), fields={}, mount="desk")
    seen = observed_in(record, BASE)
    assert seen is not None
    assert seen.tool == ToolUse(
        "refund",
        "billing",
        "refund",
        arguments=(
            Argument("amount", Seen("integer", 5)),
            Argument("currency", Seen("string", "EUR")),
            Argument("customer_id", Seen("null")),
            Argument("note", Seen("unknown", None, "hmac:0123")),
        ),
    )


def test_a_filter_in_force_is_kept_where_records_do_not_tell_of_rows(folder: Path) -> None:
    grant = "{allow: tickets:read, reason: x, fields: [body], rows: {customer_id: $customer_id}}"
    rest = f"roles: {{r: {{grants: [{grant}]}}}}\nagents: {{{AGENT}: {{owner: a, purpose: b, roles: [r]}}}}\n"
    task = f"tasks: {{work: {{agents: [{AGENT}], context: {{customer_id: integer}}}}}}\n"
    (folder / "policy.yaml").write_text(MOUNTS + rest + task)
    store = open_store(folder / "ledger.db", Ed25519PrivateKey.generate(), origin="test/learn")
    store.append([kept(number, rows=1) for number in range(20)])
    store.close()
    (draft,) = json.loads(run("--ledger", "ledger.db", "--json"))
    assert [each["rows"] for each in draft["grants"]] == [{"customer_id": "$customer_id"}]


def test_a_section_is_what_stands_below_its_key() -> None:
    text = "bailiwick: 1\n# of roles\nmounts:\n  # first\n  crm: {}\n\nroles: {}\n"
    assert section(text, "mounts") == "  # first\n  crm: {}\n\n"
    assert section(text, "roles") == ""
    assert section(text, "tasks") == ""
