"""A ledger as files elsewhere, and the auditors' tool: what is sound passes, and every tampering is named, by both."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from bailiwick.cli.ledger import app
from bailiwick.gateway.backends.places import Place
from bailiwick.gateway.ledger.bundle import verified_bundle, write_bundle
from bailiwick.gateway.ledger.reader import open_reader
from bailiwick.gateway.ledger.store import open_store
from bailiwick.gateway.ledger.tiles import tile_path
from bailiwick.ledger.encode import encode
from tests.gateway.ledger_rig import ORIGIN, VERIFIER, checked, fill, intruding, new_store, record

TOOL = Path(__file__).parents[2] / "tools" / "verify_ledger.py"
SIZE = 1_300
CUT = 1_000


def tool(place: Path, *arguments: str, key: str = str(VERIFIER)) -> tuple[int, str]:
    """Run the tool as an auditor does: by itself, without the gateway's package."""
    command = [sys.executable, "-I", str(TOOL), str(place), "--key", key, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert not ran.stderr, ran.stderr
    return ran.returncode, ran.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "ledger.db"
    opened = new_store(path)
    fill(opened, [record(number) for number in range(SIZE)])
    opened.close()
    return path


@pytest.fixture(scope="module")
def exported(store: Path) -> Path:
    place = store.parent / "export"
    with closing(open_reader(store)) as reader:
        assert write_bundle(reader, Place(str(place)), [VERIFIER]) == SIZE
    return place


@pytest.fixture
def export(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def test_store_and_export_are_sound_to_both(store: Path, exported: Path) -> None:
    assert verified_bundle(Place(str(exported)), [VERIFIER]).sound
    for place in (store, exported):
        code, said = tool(place)
        assert (code, said.splitlines()[-1]) == (0, "ok: everything is as it was signed")
        assert f"{SIZE} records" in said


def test_the_tool_is_short_and_knows_nothing_of_the_gateway() -> None:
    text = TOOL.read_text()
    assert len(text.splitlines()) < 200
    assert "bailiwick" not in "".join(line for line in text.splitlines() if "import" in line)


Lines = list[bytes]
EDITS: list[tuple[str, Callable[[Lines], Lines], str, str]] = [
    ("changed", lambda lines: [*lines[:300], lines[300].replace(b"user0", b"user9"), *lines[301:]], "changed", "other"),
    ("garbage", lambda lines: [*lines[:300], b"{", *lines[301:]], "changed", "changed"),
    ("removed", lambda lines: [*lines[:300], *lines[301:]], "removed", "removed"),
    ("cut", lambda lines: lines[:1_200], "truncated", "cut from the end"),
    ("inserted", lambda lines: [*lines, encode(record(SIZE), SIZE)], "inserted", "inserted"),
    ("twice", lambda lines: [*lines[:300], lines[299], *lines[300:]], "inserted", "inserted"),
    ("swapped", lambda lines: [*lines[:300], lines[301], lines[300], *lines[302:]], "reordered", "out of order"),
    (
        "emptied",
        lambda lines: [
            *lines[:300],
            json.dumps({"leaf": "0" * 64, "seq": 300}).replace(" ", "").encode(),
            *lines[301:],
        ],
        "removed",
        "no record says so",
    ),
]


@pytest.mark.parametrize(("edit", "kind", "said"), [each[1:] for each in EDITS], ids=[each[0] for each in EDITS])
def test_every_edit_of_an_export_is_named(export: Path, edit: Callable[[Lines], Lines], kind: str, said: str) -> None:
    records = export / "records.jsonl"
    records.write_bytes(b"".join(line + b"\n" for line in edit(records.read_bytes().splitlines())))
    report = verified_bundle(Place(str(export)), [VERIFIER])
    assert kind in {found.kind for found in report.findings}
    code, told = tool(export)
    assert code == 1
    assert said in told


def test_an_export_cut_with_its_checkpoints_needs_one_held_elsewhere(export: Path, tmp_path: Path) -> None:
    notes = (export / "checkpoints.jsonl").read_bytes().splitlines()
    held = tmp_path / "held"
    held.write_text(json.loads(notes[-1])["note"])
    lines = (export / "records.jsonl").read_bytes().splitlines(keepends=True)
    kept = [line for line in notes if json.loads(line)["size"] <= CUT]
    size = json.loads(kept[-1])["size"]
    (export / "checkpoints.jsonl").write_bytes(b"".join(line + b"\n" for line in kept))
    (export / "records.jsonl").write_bytes(b"".join(lines[:size]))
    assert tool(export)[0] == 0
    code, told = tool(export, "--checkpoint", str(held))
    assert (code, "rolled back" in told) == (1, True)
    report = verified_bundle(Place(str(export)), [VERIFIER], [held.read_text()])
    assert "rolled_back" in {found.kind for found in report.findings}


def test_a_ledger_written_anew_with_the_stolen_key_contradicts_a_checkpoint_held_elsewhere(
    store: Path, tmp_path: Path
) -> None:
    anew = new_store(tmp_path / "ledger.db")
    fill(anew, [record(number, agent="other-bot" if number == 5 else "support-bot") for number in range(SIZE)])
    anew.close()
    held = tmp_path / "held"
    with closing(open_reader(store)) as reader:
        held.write_text(reader.checkpoint())
    assert checked(tmp_path / "ledger.db").sound
    assert tool(tmp_path / "ledger.db")[0] == 0
    code, told = tool(tmp_path / "ledger.db", "--checkpoint", str(held))
    assert (code, "stolen key" in told) == (1, True)
    assert [found.kind for found in checked(tmp_path / "ledger.db", (held.read_text(),)).findings] == ["forked"]


def test_another_key_verifies_nothing(exported: Path, tmp_path: Path) -> None:
    other = open_store(tmp_path / "other.db", Ed25519PrivateKey.generate(), origin=ORIGIN)
    key = other.verifier_key
    other.close()
    code, told = tool(exported, key=key)
    assert (code, "not signed with this key" in told) == (1, True)


def test_the_tool_finds_edits_of_the_live_store(store: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(store, tmp_path / "ledger.db"))
    with intruding(path) as intruder:
        intruder.forge(700)
        intruder.retile(700 // 256)
    code, told = tool(path)
    assert (code, "signed for other records" in told) == (1, True)


def test_command_line_exports_verifies_and_proves_growth(store: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*arguments])
        return result.exit_code, result.output

    place = str(tmp_path / "out")
    code, said = run("bundle", place, "--ledger", str(store), "--key", str(VERIFIER))
    assert code == 0, said
    assert run("verify", place, "--key", str(VERIFIER))[0] == 0
    assert run("verify", place)[0] == 0  # by the keys that lie beside it
    code, said = run("prove", "--from", "700", "--ledger", str(store))
    assert (code, said.startswith("old 700\n")) == (0, True)


def tile(place: Path, level: int | str, number: int, width: int) -> bytes:
    """Read a tile where C2SP tlog-tiles says that it stands. Written from its text, not from ours."""
    name, left = f"{number % 1000:03}", number // 1000
    while left:
        name, left = f"x{left % 1000:03}/{name}", left // 1000
    return (place / "tile" / str(level) / (name if width == 256 else f"{name}.p/{width}")).read_bytes()


def leaves_of_tiles(place: Path, size: int) -> list[bytes]:
    """Return the leaf hashes of a log, of its tiles of level 0."""
    found = b"".join(tile(place, 0, at // 256, min(256, size - at)) for at in range(0, size, 256))
    return [found[at : at + 32] for at in range(0, len(found), 32)]


def mth(leaves: list[bytes]) -> bytes:
    """Return RFC 6962's tree hash, as it is defined there."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:half]) + mth(leaves[half:])).digest()


def test_tiles_are_read_by_the_rules_of_their_format(store: Path, tmp_path: Path) -> None:
    place, ledger = tmp_path / "tiles", Path(shutil.copy(store, tmp_path / "ledger.db"))
    with closing(new_store(ledger)) as opened:
        fill(opened, [record(SIZE, statement="x" * 70_000)])  # the last bundle has no room for this one
    done = CliRunner().invoke(app, ["bundle", str(place), "--tiles", "--ledger", str(ledger), "--key", str(VERIFIER)])
    assert done.exit_code == 0, done.output
    assert "1 bundles of entries are left out" in done.output
    origin, told, root = (place / "checkpoint").read_text().split("\n")[:3]
    size = int(told)
    assert (origin, size) == (ORIGIN, SIZE + 1)
    leaves = leaves_of_tiles(place, size)
    assert base64.b64encode(mth(leaves)).decode() == root
    above = tile(place, 1, 0, size // 256)
    assert [above[at : at + 32] for at in range(0, len(above), 32)] == [
        mth(leaves[at : at + 256]) for at in range(0, size - 255, 256)
    ]
    assert sorted(each.name for each in (place / "tile/entries").iterdir()) == ["000", "001", "002", "003", "004"]
    for number in range(size // 256):
        bundle, at, entries = tile(place, "entries", number, 256), 0, list[bytes]()
        while at < len(bundle):
            length = int.from_bytes(bundle[at : at + 2], "big")
            entries.append(bundle[at + 2 : at + 2 + length])
            at += 2 + length
        hashes = [hashlib.sha256(b"\x00" + each).digest() for each in entries]
        assert hashes == leaves[number * 256 : (number + 1) * 256]
    assert verified_bundle(Place(str(place)), [VERIFIER]).sound


def test_the_places_of_tiles_are_those_of_the_format() -> None:
    assert [tile_path(0, number) for number in (0, 255, 1000, 1_234_067)] == [
        *("tile/0/000", "tile/0/255", "tile/0/x001/000", "tile/0/x001/x234/067")
    ]
    assert tile_path("entries", 1_234_067, 8) == "tile/entries/x001/x234/067.p/8"
