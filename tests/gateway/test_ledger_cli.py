"""`bailiwick ledger` on a real file, also while it is being written."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bailiwick.cli.ledger import app
from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.journal import journal_of
from bailiwick.gateway.ledger.store import LedgerStore
from bailiwick.ledger.checkpoint import open_checkpoint, parse_proof
from bailiwick.ledger.encode import encode
from bailiwick.ledger.merkle import leaf_hash, verify_inclusion
from bailiwick.model.record import Record
from tests.gateway.ledger_rig import START, VERIFIER, fill, intruding, new_store, record


@pytest.fixture
def store(tmp_path: Path) -> Generator[LedgerStore]:
    """An open ledger with 30 calls, an intent and its outcome, and its key beside it."""
    opened = new_store(tmp_path / "ledger.db")
    fill(opened, [record(number) for number in range(30)])
    intent = Record(id="rec_intent", kind="intent", at=START, agent="writer", actions=("tickets:update",))
    outcome = Record(id="rec_outcome", kind="outcome", at=START, agent="writer", refers="rec_intent", code="23505")
    opened.append([intent, outcome])
    opened.checkpoint()
    (tmp_path / "ledger.vkey").write_text(f"{VERIFIER}\n")
    yield opened
    opened.close()


@pytest.fixture
def path(store: LedgerStore, tmp_path: Path) -> Path:
    assert store.size == 32
    return tmp_path / "ledger.db"


def ledger(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--ledger", str(path)])


def lines(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


def test_tail_prints_the_newest_as_stored(path: Path) -> None:
    result = ledger(path, "tail", "-n", "4", "--json")
    assert [line["seq"] for line in lines(result)] == [28, 29, 30, 31]
    assert result.output.splitlines()[0].encode() == encode(record(28), 28)


def test_query_narrows_by_every_option(path: Path) -> None:
    def seqs(*options: str) -> list[object]:
        return [line["seq"] for line in lines(ledger(path, "query", "--json", *options))]

    assert seqs("--agent", "writer") == [30, 31]
    assert seqs("--decision", "deny") == [9, 19, 29]
    assert seqs("--code", "23505") == [31]
    assert seqs("--kind", "intent") == [30]
    assert seqs("--resource", "tickets", "--limit", "2") == [29, 30]
    assert seqs("--action", "tickets:update") == [30]
    assert seqs("--user", "user1", "--session", "ses_4") == [4, 25]
    assert seqs("--task", "handle-ticket", "--since", "2026-11-22T08:00:28Z") == [28, 29]
    assert seqs("--until", "2026-11-22T08:00:01Z", "--agent", "support-bot") == [0]
    assert seqs("--since", "2026-11-22T10:00:28+02:00", "--task", "handle-ticket") == [28, 29]
    assert seqs("--agent", "nobody") == []


def test_query_takes_a_filter_beside_options(path: Path) -> None:
    def seqs(*options: str) -> list[object]:
        return [line["seq"] for line in lines(ledger(path, "query", "--json", *options))]

    assert seqs("agent:writer") == [30, 31]
    assert seqs("decision:deny seq>9") == [19, 29]
    assert seqs("statement:*28 or refers:rec_intent") == [28, 31]
    assert seqs("user:user1 and not session:ses_4", "--limit", "2") == [22, 28]
    assert seqs("rows>=1", "--session", "ses_4") == [4, 11, 18, 25]
    assert seqs("nobody") == []
    refused = ledger(path, "query", "agnet:x").exception
    assert isinstance(refused, LedgerError)
    assert "`agnet` is not a member of records" in refused.message


@pytest.mark.parametrize("options", [("--since", "soon"), ("--decision", "maybe"), ("--limit", "0")])
def test_query_refuses_what_it_does_not_understand(path: Path, options: tuple[str, str]) -> None:
    assert ledger(path, "query", *options).exit_code == 2


def test_tables_show_who_did_what(path: Path) -> None:
    shown = ledger(path, "query", "--code", "action_not_granted").output
    assert "rec_00000000000000000000000009" in shown
    assert "deny action_not_granted" in shown
    assert "tickets:read" in shown
    assert "no record" in ledger(path, "query", "--agent", "nobody").output


def test_hostile_text_cannot_reach_the_terminal(store: LedgerStore, path: Path) -> None:
    store.append([record(40, agent="\x1b[31mred", statement="[bold]x[/bold]\x1b]0;title\x07")])
    for arguments in (("tail",), ("show", "32"), ("query",)):
        shown = ledger(path, *arguments).output
        assert "[bold]x[/bold]" in shown
        assert "\x1b" not in shown
        assert "\x07" not in shown


def test_show_finds_by_id_and_number_and_names_what_belongs_to_it(path: Path) -> None:
    assert lines(ledger(path, "show", "rec_intent", "--json"))[0]["seq"] == 30
    assert lines(ledger(path, "show", "31", "--json"))[0]["id"] == "rec_outcome"
    assert "rec_outcome" in ledger(path, "show", "rec_intent").output
    assert "rec_intent" in ledger(path, "show", "rec_outcome").output
    assert isinstance(ledger(path, "show", "rec_none").exception, LedgerError)


def test_verify_passes_and_says_what_it_checked(path: Path) -> None:
    result = ledger(path, "verify")
    assert result.exit_code == 0
    assert "checked 32 records against 1 signed checkpoint" in result.output
    assert str(VERIFIER) in result.output
    assert json.loads(ledger(path, "verify", "--json").output)["ok"] is True


def test_verify_names_the_changed_record_and_fails(store: LedgerStore, path: Path) -> None:
    store.drain()
    with intruding(path) as intruder:
        intruder.forge(7, hashed=False)
    result = ledger(path, "verify")
    assert result.exit_code == 1
    assert "changed: record 7: the bytes do not give the stored hash" in result.output
    document = json.loads(ledger(path, "verify", "--json").output)
    assert document["findings"] == [
        {"kind": "changed", "first": 7, "last": 7, "text": "record 7: the bytes do not give the stored hash"}
    ]
    assert isinstance(ledger(path, "prove", "7").exception, LedgerError)
    assert ledger(path, "prove", "30").exit_code == 0


def test_verify_against_a_checkpoint_held_elsewhere(store: LedgerStore, path: Path, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_bytes(ledger(path, "checkpoint").output.encode())
    assert ledger(path, "verify", "--checkpoint", str(held)).exit_code == 0
    store.append([record(50)])
    store.checkpoint()
    newer = tmp_path / "newer"
    newer.write_bytes(ledger(path, "checkpoint").output.encode())
    assert ledger(path, "verify", "--checkpoint", str(held), "--checkpoint", str(newer)).exit_code == 0
    with intruding(path) as intruder:
        intruder.run("UPDATE head SET note = ?", held.read_text())
        intruder.cut(32)
    journal_of(path).unlink()
    assert ledger(path, "verify", "--checkpoint", str(held)).exit_code == 0
    result = ledger(path, "verify", "--checkpoint", str(newer))
    assert result.exit_code == 1
    assert "rolled_back: record 32" in result.output


def test_proof_is_checkable_without_the_ledger(path: Path) -> None:
    proof = parse_proof(ledger(path, "prove", "rec_00000000000000000000000007").output)
    assert proof is not None
    head = open_checkpoint(proof.note, VERIFIER)
    assert head is not None
    assert verify_inclusion(leaf_hash(encode(record(7), 7)), proof.index, head.size, proof.path, head.root)
    assert json.loads(ledger(path, "prove", "7", "--json").output)["leaf"] == leaf_hash(encode(record(7), 7)).hex()


def test_key_is_read_from_beside_the_ledger_from_a_file_or_as_itself(path: Path, tmp_path: Path) -> None:
    elsewhere = (tmp_path / "ledger.vkey").rename(tmp_path / "elsewhere")
    assert isinstance(ledger(path, "key").exception, LedgerError)
    assert isinstance(ledger(path, "verify", "--key", "no key").exception, LedgerError)
    for key in (str(VERIFIER), str(elsewhere)):
        assert ledger(path, "key", "--key", key).output == f"{VERIFIER}\n"
        assert ledger(path, "verify", "--key", key).exit_code == 0


def test_absent_ledger_is_said(tmp_path: Path) -> None:
    for command in ("tail", "query", "checkpoint"):
        failure = ledger(tmp_path / "none.db", command).exception
        assert isinstance(failure, LedgerError)
        assert "there is no ledger" in failure.message
    assert not (tmp_path / "none.db").exists()
