"""What a ledger's records say about the ledger itself: which keys sign it, and whose content was pruned.

Such a record is believed as far as a checkpoint covers it: see `verify`. Pure; bad data says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bailiwick.ledger.checkpoint import VerifierKey, open_checkpoint, parse_verifier_key
from bailiwick.ledger.encode import read
from bailiwick.ledger.report import ranges
from bailiwick.model.record import JsonValue

OWN_KINDS = ("ledger.key", "ledger.pruned")


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A record of a key's replacement: who trusts one of the two may trust the other."""

    seq: int
    body: bytes
    new: VerifierKey
    old: VerifierKey


@dataclass(frozen=True, slots=True)
class Pruning:
    """A record of content that was removed: the numbers of the records that are hashes only from then on."""

    seq: int
    body: bytes
    ranges: tuple[tuple[int, int], ...]


def own_records(bodies: Iterable[bytes]) -> tuple[list[KeyChange], list[Pruning]]:
    """Return what these records say."""
    changes: list[KeyChange] = []
    prunings: list[Pruning] = []
    for body in bodies:
        document = read(body) or {}
        seq, detail = document.get("seq"), document.get("detail")
        if not isinstance(seq, int) or not isinstance(detail, dict):
            continue
        if document.get("kind") == "ledger.key":
            new, old = _key(detail.get("new")), _key(detail.get("old"))
            if new is not None and old is not None and new.name == old.name:
                changes.append(KeyChange(seq, body, new, old))
        elif document.get("kind") == "ledger.pruned":
            prunings.append(Pruning(seq, body, parse_ranges(detail.get("records"))))
    return changes, prunings


def _key(value: JsonValue) -> VerifierKey | None:
    return parse_verifier_key(value) if isinstance(value, str) else None


def parse_ranges(value: JsonValue) -> tuple[tuple[int, int], ...]:
    """Read `0-99 120 130-131`; empty if it is anything else."""
    found: list[tuple[int, int]] = []
    for part in value.split(" ") if isinstance(value, str) else ():
        first, _, last = part.partition("-")
        numbers = (first, last or first)
        if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in numbers):
            return ()
        found.append((int(numbers[0]), int(numbers[1])))
    return tuple(found)


def write_ranges(numbers: Iterable[int]) -> str:
    """Return sorted numbers in the form that `parse_ranges` reads."""
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges(numbers))


def succession(
    keys: Sequence[VerifierKey], notes: Sequence[str], changes: Sequence[KeyChange]
) -> tuple[tuple[VerifierKey, ...], list[KeyChange]]:
    """Return the keys that are trusted when `keys` are, and the changes by which.

    A change is believed if a checkpoint signed with a trusted key covers its record and it names a trusted key.
    `notes` are sorted by size.
    """
    known = list(keys)
    used: list[KeyChange] = []
    left = list(changes)
    while left:
        newest = next((found.size for note in reversed(notes) if (found := open_checkpoint(note, *known))), 0)
        due = [each for each in left if each.seq < newest and (each.new in known or each.old in known)]
        if not due:
            break
        for change in due:
            left.remove(change)
            used.append(change)
            known += [key for key in (change.new, change.old) if key not in known]
    return tuple(known), used
