#!/usr/bin/env python3
"""Verifies a Bailiwick ledger with nothing but its public key. Stand-alone: Python 3.11 and `cryptography`.

    verify_ledger.py PLACE --key KEY [--checkpoint FILE]...     PLACE: ledger.db, an export, or an archive (a folder)

A record's leaf is SHA-256(0x00 ‖ bytes), a node SHA-256(0x01 ‖ left ‖ right) (RFC 6962); checkpoints are C2SP signed
notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) by Ed25519 keys (`name+hash+base64`). Exit code 1: not as signed.
"""

import argparse
import base64
import gzip
import json
import sqlite3
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LEAF, NODE = b"\0", b"\1"


class Key(NamedTuple):
    name: str
    id: bytes
    public: bytes


class Checkpoint(NamedTuple):
    size: int
    root: bytes
    good: bool  # signed by one of the keys that it was tried with, and by none of them falsely
    where: str  # empty: in the ledger itself


def parse_key(text: str) -> Key | None:
    name, digest, encoded = (*text.strip().split("+", 2), "", "")[:3]
    raw = base64.b64decode(encoded)
    found = sha256(name.encode() + b"\n" + raw).digest()[:4]
    return Key(name, found, raw[1:]) if name and len(raw) == 33 and raw[0] == 1 and found.hex() == digest else None


def parse_note(note: str, keys: list[Key], where: str) -> Checkpoint | None:
    text, separator, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    try:
        size, root = int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError):
        return None
    good = None
    for line in signatures.splitlines() if separator else ():
        name, _, encoded = line.removeprefix("\u2014 ").partition(" ")
        blob = base64.b64decode(encoded)
        for key in keys:
            if (name, blob[:4], lines[0]) == (key.name, key.id, key.name):
                try:
                    Ed25519PublicKey.from_public_bytes(key.public).verify(blob[4:], (text + "\n").encode())
                    good = good is not False
                except InvalidSignature:
                    good = False
    return Checkpoint(size, root, good is True, where)


def lines_of(place: Path, name: str) -> Iterator[bytes]:
    for path in sorted([*place.rglob(name), *place.rglob(name + ".gz")]):
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from (line.rstrip(b"\n") for line in file)


def opened(place: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{place.resolve().as_uri()}?mode=ro", uri=True)


def records_of(place: Path) -> Iterator[tuple[int, bytes, bytes]]:
    # (number that the row has, or -1; stored hash or none; bytes, empty if pruned)
    if place.is_dir():
        for line in lines_of(place, "records.jsonl"):
            bare = json.loads(line) if line.startswith(b'{"leaf":') else None
            yield (bare["seq"], bytes.fromhex(bare["leaf"]), b"") if bare else (-1, b"", line)
    else:
        yield from opened(place).execute("SELECT seq, hash, body FROM records ORDER BY seq")


def notes_of(place: Path) -> list[str]:
    if place.is_dir():
        return [json.loads(line)["note"] for line in lines_of(place, "checkpoints.jsonl")]
    return [row[0] for row in opened(place).execute("SELECT note FROM checkpoints UNION ALL SELECT note FROM head")]


class Walk:
    """One pass over the records: the tree's root at each size that is asked for, and what is wrong on the way."""

    def __init__(self, place: Path, sizes: set[int]) -> None:
        self.wrong, self.changes = list[str](), list[tuple[int, Key, Key]]()
        self.roots = {0: sha256(b"").digest()}
        self.count = due = 0
        bare, said, peaks = set[int](), set[int](), list[tuple[int, bytes]]()
        for row, stored, body in records_of(place):
            seq = self._number(row, stored, body) if body else row
            if not body:
                bare.add(seq)
            elif b'"kind":"ledger.' in body:
                self._own(body, said)
            if seq != due:
                what = "removed before it" if seq > due else "inserted, or out of order"
                self.wrong.append(f"record {seq} stands where record {due} belongs: {what}")
            due = seq + 1
            level, node = 0, sha256(LEAF + body).digest() if body else stored
            while peaks and peaks[-1][0] == level:
                node, level = sha256(NODE + peaks.pop()[1] + node).digest(), level + 1
            peaks.append((level, node))
            self.count += 1
            if self.count in sizes:
                root = peaks[-1][1]
                for _, left in reversed(peaks[:-1]):
                    root = sha256(NODE + left + root).digest()
                self.roots[self.count] = root
        self.wrong += [f"record {seq}: content removed, and no record says so" for seq in sorted(bare - said)[:20]]

    def _number(self, row: int, stored: bytes, body: bytes) -> int:
        try:
            seq = json.loads(body)["seq"]
        except (ValueError, KeyError, TypeError):
            seq = self.count if row < 0 else row
            self.wrong.append(f"record {seq}: changed, its bytes are no record")
        if stored and stored != sha256(LEAF + body).digest():
            self.wrong.append(f"record {seq}: changed, its bytes do not give the stored hash")
        if row not in (-1, seq):
            self.wrong.append(f"row {row} holds record {seq}: reordered")
        return seq

    def _own(self, body: bytes, said: set[int]) -> None:
        document = json.loads(body)
        detail = document.get("detail", {})
        if document.get("kind") == "ledger.key" and "new" in detail:
            new, old = parse_key(detail["new"]), parse_key(detail["old"])
            self.changes += [(document["seq"], new, old)] if new and old else []
        elif document.get("kind") == "ledger.pruned":
            for part in detail.get("records", "").split():
                first, _, last = part.partition("-")
                said.update(range(int(first), min(int(last or first) + 1, self.count)))


def verify(place: Path, keys: list[Key], held: list[Path]) -> list[str]:
    notes = [(note, "") for note in notes_of(place)] + [(path.read_text(), str(path)) for path in held]
    walk = Walk(place, {each.size for note, _ in notes if (each := parse_note(note, [], ""))})
    trusted, wrong, checked = list(keys), walk.wrong, list[Checkpoint]()
    while True:  # a change of keys is believed when a checkpoint by a trusted key covers its record
        checked = [each for note, where in notes if (each := parse_note(note, trusted, where))]
        good = max((each.size for each in checked if each.good), default=0)
        due = [{new, old} for seq, new, old in walk.changes if seq < good]
        more = {key for pair in due if pair & {*trusted} for key in pair} - {*trusted}
        if not more:
            break
        trusted += more
    if len(checked) < len(notes):
        wrong.append(f"{len(notes) - len(checked)} checkpoints are none")
    newest = max((each.size for each in checked if not each.where), default=0)
    for each in sorted(checked, key=lambda one: one.size):
        name = f"the checkpoint {each.where or 'in the ledger'} for {each.size} records"
        if not each.good:
            wrong.append(f"{name} was not signed with this key")
        elif each.size > newest:
            wrong.append(f"{name} is ahead of the ledger's own ({newest}): rolled back or cut")
        elif each.size > walk.count:
            wrong.append(f"{name}: the ledger holds {walk.count}: cut from the end")
        elif walk.roots.get(each.size) != each.root:
            why = "forked, or written anew with a stolen key" if each.where else "changed, removed, inserted, reordered"
            wrong.append(f"{name} was signed for other records: {why}")
    if walk.count > newest:
        wrong.append(f"{walk.count - newest} records are behind the last that was signed: inserted")
    print(f"{walk.count} records, {len(checked)} checkpoints, the newest for {newest}")
    return wrong or ([] if checked else ["there is no checkpoint"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=Path)
    parser.add_argument("--key", action="append", required=True, help="`name+hash+base64`, or a file with some")
    parser.add_argument("--checkpoint", action="append", type=Path, default=[], help="kept elsewhere")
    asked = parser.parse_args()
    texts = [line for text in asked.key for line in (Path(text).read_text() if Path(text).is_file() else text).split()]
    try:
        keys = [key for text in texts if (key := parse_key(text))]
        if not keys or len(keys) < len(texts):
            parser.error("a key has the form name+hash+base64")
        wrong = verify(asked.place, keys, asked.checkpoint)
    except (ValueError, KeyError, TypeError, EOFError, OSError, sqlite3.Error) as error:
        wrong = [f"unreadable: {error}"]
    print("\n".join(wrong or ["ok: everything is as it was signed"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
