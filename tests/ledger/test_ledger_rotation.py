"""Keys that take over from one another: who holds any of them can verify, and nobody without one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.errors import ConfigError, LedgerError
from bailiwick.gateway.ledger.check import verified
from bailiwick.gateway.ledger.reader import open_reader
from bailiwick.gateway.ledger.signing import Custody, LedgerKeys, load_ledger_keys
from bailiwick.gateway.ledger.store import open_store
from bailiwick.gateway.ledger.writer import LedgerWriter
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.checkpoint import VerifierKey, open_checkpoint
from bailiwick.ledger.report import Report
from bailiwick.ledger.verify import verify
from tests.gateway.ledger_rig import ORIGIN, Intruder, intruding, record
from tests.ledger.test_ledger_bundle import TOOL

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


async def _grow(writer: LedgerWriter, start: int, count: int) -> None:
    kept = [asyncio.get_running_loop().create_future() for _ in range(count)]
    for number, future in enumerate(kept, start):
        writer.append(record(number), future.set_result)
    assert all(await asyncio.gather(*kept))


async def _rotated(folder: Path, first: Ed25519PrivateKey) -> tuple[list[VerifierKey], list[str]]:
    """Make a ledger whose key was changed twice; return its keys, the oldest first, and a checkpoint of each age."""
    store = open_store(folder / "ledger.db", first, origin=ORIGIN)
    writer = LedgerWriter(store, asyncio.get_running_loop())
    recorder = Recorder(writer, lambda: NOW, Ulids())
    custody = Custody(folder, load_ledger_keys(folder, first), writer, store.origin)
    keys, notes = [*custody.verifiers()], list[str]()
    for turn in range(2):
        await _grow(writer, turn * 100, 50)
        notes.append(await writer.run(lambda store: store.checkpoint()))
        keys.append(await custody.rotate(recorder, NOW, "local:anna", WEEK))
        with pytest.raises(ConfigError, match="still signs"):
            await custody.rotate(recorder, NOW, "local:anna", WEEK)
        await _grow(writer, turn * 100 + 50, 50)
        notes.append(await writer.run(lambda store: store.checkpoint()))
        assert not await custody.retire(recorder, NOW + WEEK - timedelta(seconds=1))
        assert await custody.retire(recorder, NOW + WEEK)
    await _grow(writer, 200, 10)
    notes.append(await writer.run(lambda store: store.checkpoint()))
    await writer.close()
    return keys, notes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rotated")


@pytest.fixture(scope="module")
def made(folder: Path) -> tuple[list[VerifierKey], list[str]]:
    first = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    return asyncio.run(_rotated(folder, first))


def report(path: Path, *keys: VerifierKey, notes: tuple[str, ...] = ()) -> Report:
    with closing(open_reader(path)) as reader:
        return verify(reader.begin_evidence(), keys, notes)


def test_any_of_the_keys_verifies_the_whole_ledger(folder: Path, made: tuple[list[VerifierKey], list[str]]) -> None:
    keys, notes = made
    for key in keys:
        found = report(folder / "ledger.db", key, notes=tuple(notes))
        assert found.findings == ()
        assert found.checkpoints > len(notes)
        ran = subprocess.run(
            [sys.executable, "-I", str(TOOL), str(folder / "ledger.db"), "--key", str(key)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_key_that_was_never_the_ledgers_verifies_nothing(folder: Path, made: object) -> None:
    assert made
    stranger = VerifierKey(ORIGIN, bytes(32))
    assert "checkpoint" in {found.kind for found in report(folder / "ledger.db", stranger).findings}


def test_during_the_overlap_both_keys_sign_and_after_it_only_the_new_one(
    made: tuple[list[VerifierKey], list[str]],
) -> None:
    keys, notes = made
    signed = [[open_checkpoint(note, key) is not None for key in keys] for note in notes]
    assert signed == [
        [True, False, False],
        [True, True, False],
        [False, True, False],
        [False, True, True],
        [False, False, True],
    ]


def test_the_keys_beside_the_ledger_are_all_that_ever_signed(
    folder: Path, made: tuple[list[VerifierKey], list[str]]
) -> None:
    assert (folder / "ledger.vkey").read_text().split() == [str(key) for key in reversed(made[0])]
    with closing(open_reader(folder / "ledger.db")) as reader:
        assert verified(reader, folder, [])["ok"] is True


def test_a_store_opens_with_the_newest_key_and_not_with_one_that_was_destroyed(
    folder: Path, made: object, tmp_path: Path
) -> None:
    assert made
    copy = tmp_path / "ledger.db"
    copy.write_bytes((folder / "ledger.db").read_bytes())
    keys = load_ledger_keys(folder, Ed25519PrivateKey.generate())
    assert keys.previous is None
    with pytest.raises(LedgerError, match="was not signed with this gateway's key"):
        open_store(copy, Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
    open_store(copy, *keys.signing).close()


def test_a_forged_change_of_keys_is_believed_by_nobody(
    folder: Path, made: tuple[list[VerifierKey], list[str]], tmp_path: Path
) -> None:
    """The record of a change is believed only as part of what a key that is trusted already signed."""
    copy = tmp_path / "ledger.db"
    copy.write_bytes((folder / "ledger.db").read_bytes())
    keys, _ = made
    with intruding(copy) as intruder:
        seq = _change_to(intruder, keys[1])
        body = intruder.body(seq).replace(str(keys[1]).encode(), str(VerifierKey(ORIGIN, bytes(32))).encode())
        assert body != intruder.body(seq)
        intruder.rewrite(seq, body)
    found = report(copy, keys[2]).findings
    assert any((each.first or 0) <= seq <= (each.last or 0) for each in found if each.kind == "changed")
    assert not report(copy, VerifierKey(ORIGIN, bytes(32))).sound


def _change_to(intruder: Intruder, key: VerifierKey) -> int:
    rows = intruder.connection.execute(
        "SELECT seq, body FROM records WHERE CAST(body AS TEXT) LIKE '%ledger.key%' ORDER BY seq"
    ).fetchall()
    return next(seq for seq, body in rows if json.loads(body)["detail"].get("new") == str(key))


def test_a_file_of_keys_that_was_damaged_is_not_replaced(tmp_path: Path) -> None:
    signing = Ed25519PrivateKey.generate()
    assert load_ledger_keys(tmp_path, signing) == LedgerKeys(signing)
    (tmp_path / "ledger.keys").write_text("{}")
    (tmp_path / "ledger.keys").chmod(0o600)
    with pytest.raises(ConfigError, match="holds no keys"):
        load_ledger_keys(tmp_path, signing)


async def test_a_gateway_killed_while_keys_change_opens_its_ledger_with_either(tmp_path: Path) -> None:
    """The new keys are on disk before the ledger is signed with them."""
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    store = open_store(tmp_path / "ledger.db", first, origin=ORIGIN)
    store.append([record(0)])
    store.close()
    store = open_store(tmp_path / "ledger.db", second, first)
    store.append([record(1)])
    store.checkpoint()
    store.close()
    store = open_store(tmp_path / "ledger.db", second)
    assert store.size == 2
    store.close()
