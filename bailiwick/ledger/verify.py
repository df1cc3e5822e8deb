"""Verification of a whole ledger from what is stored and one public key. Pure; bad data gives findings, not errors.

What an intruder without the signing key can do to the file is found: changing, removing, inserting, moving or cutting
records, also with all hashes made to fit. What only a checkpoint held elsewhere shows is that the whole file was taken
back to an earlier state that had been signed, or that the holder of the key signed two histories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from bailiwick.ledger.checkpoint import Checkpoint, Signer, VerifierKey, open_checkpoint
from bailiwick.ledger.frame import Tail
from bailiwick.ledger.leaves import HASH, Leaves, Row, Stretch, findings_of, place
from bailiwick.ledger.merkle import EMPTY_ROOT, TILE_HEIGHT, TILE_WIDTH, Subtree, leaf_hash, subtree_root
from bailiwick.ledger.own import KeyChange, Pruning, own_records, succession
from bailiwick.ledger.replay import Anchor, Replay
from bailiwick.ledger.report import Finding, Report, span


@dataclass(frozen=True, slots=True)
class Beside:
    """What a ledger's file holds beside its evidence."""

    origin: str
    """The ledger's name."""
    facts: int
    """Rows of the search index."""
    accesses: int
    """Actions in it."""
    pruned: Sequence[tuple[int, int]]
    """Records (first, last) whose content may go."""
    faults: Sequence[str] = ()
    """What is wrong with the file itself."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a ledger's file holds. `rows` are sorted by their number."""

    rows: Iterable[Row]
    count: int
    """How many rows there are."""
    indexed: int
    """Records below it must be in the search index."""
    subtrees: Sequence[Subtree] | None
    """Stored roots; None where none are stored, as in an export."""
    head: str
    """The signed head, a note."""
    tail: Tail
    """What the journal holds beyond the rows, which is vouched for until it is signed (`Signer.vouch`)."""
    retained: Sequence[tuple[int, str]]
    """Kept checkpoints: the size in whose place each stands, and the note."""
    own: Sequence[bytes] = ()
    """The records about the ledger itself (`own.OWN_KINDS`), as far as the index knows them."""
    beside: Beside | None = None
    """None for an export."""
    parts: Callable[[], Iterable[Row | Stretch]] | None = None
    """The same as `rows`, some of them as the stretches that others found; None where nobody else looked at them."""


def verify(
    evidence: Evidence,
    key: VerifierKey | Sequence[VerifierKey],
    external: Sequence[str] = (),
    signer: Signer | Sequence[Signer] = (),
) -> Report:
    """Check everything, also against checkpoints (signed notes) that were held elsewhere.

    `key` is what is trusted; keys that took over from it, or that it took over from, are known from the records of
    their change. Only with the `signer` can the records of the last milliseconds be checked, which are not signed yet.
    """
    findings: list[Finding] = []
    given = (key,) if isinstance(key, VerifierKey) else tuple(key)
    changes, prunings = own_records(evidence.own)
    keys, believed = succession(given, [*(note for _, note in evidence.retained), evidence.head], changes)
    head = open_checkpoint(evidence.head, *keys)
    if head is None:
        findings.append(Finding("checkpoint", "the ledger's signed head is not a checkpoint signed with this key"))
    anchors = _own_anchors(evidence, head, keys, findings) + _external_anchors(external, head, keys, findings)
    tail = _tail_anchor(evidence.tail, head, (signer,) if isinstance(signer, Signer) else signer, findings)
    anchors += tail
    limit = max((anchor.size for anchor in anchors), default=evidence.count)
    pruned = [span for each in prunings for span in each.ranges]
    rows = evidence.rows if evidence.parts is None else evidence.parts()
    leaves = place(chain(rows, _rows_of(evidence.tail) if tail else ()), limit, evidence.indexed, pruned)
    findings += findings_of(leaves)
    if evidence.beside is not None:
        findings += _check_beside(evidence.beside, pruned, head, limit)
        if not (
            leaves.misindexed or leaves.moved or leaves.beyond or leaves.missing()
        ):  # else what is left is of those
            findings += _check_excess(evidence.beside, leaves)
    findings += _unfounded([*believed, *(each for each in prunings if leaves.pruned)], leaves)
    findings += _gone(leaves.missing(), limit)
    stored = evidence.subtrees
    subtrees = [] if stored is None else [*stored, *(evidence.tail.subtrees if tail else ())]
    tiles = (
        None
        if stored is None
        else {subtree.index: subtree.root for subtree in subtrees if subtree.level == TILE_HEIGHT}
    )
    if anchors:
        findings += Replay(leaves, tiles, anchors).run()
        findings += _check_subtrees(subtrees, limit)
    return Report(
        records=leaves.rows,
        size=None if head is None else max(head.size, limit),
        root=None if head is None else next((each.root for each in anchors if each.size == limit), head.root),
        checkpoints=len(anchors),
        findings=tuple(findings),
    )


def _check_excess(beside: Beside, leaves: Leaves) -> Iterable[Finding]:
    """Check that the search index has nothing beside what belongs to records."""
    for what, there, belong in (("rows", beside.facts, leaves.facts), ("actions", beside.accesses, leaves.accesses)):
        if there > belong:
            yield Finding("index", f"the search index holds {there - belong} {what} that belong to no record")


def _check_beside(
    beside: Beside, pruned: Sequence[tuple[int, int]], head: Checkpoint | None, limit: int
) -> Iterable[Finding]:
    """Check what the file says of itself."""
    if head is not None and beside.origin != head.origin:
        text = f"the ledger calls itself `{beside.origin[:100]}`, and its checkpoints are those of `{head.origin}`"
        yield Finding("checkpoint", text)
    said = bytearray(limit)
    for first, last in pruned:
        said[first : last + 1] = b"\1" * (min(last + 1, limit) - min(first, limit))
    for first, last in beside.pruned:
        if first < 0 or last >= len(said) or not all(said[first : last + 1]):
            text = f"{span(first, last)}: marked as pruned, and no record of the ledger says that it was"
            yield Finding("index", text, first, last)
    for each in beside.faults:
        yield Finding("index", each)


def _own_anchors(
    evidence: Evidence, head: Checkpoint | None, keys: Sequence[VerifierKey], findings: list[Finding]
) -> list[Anchor]:
    anchors: list[Anchor] = []
    for size, note in evidence.retained:
        checkpoint = open_checkpoint(note, *keys)
        if checkpoint is None or checkpoint.size != size:
            text = f"the checkpoint kept for {size} records is not one signed with this key"
            findings.append(Finding("checkpoint", text))
        else:
            anchors.append(Anchor(checkpoint.size, checkpoint.root))
    newest = max((anchor.size for anchor in anchors), default=0)
    if head is not None:
        anchors.append(Anchor(head.size, head.root))
        if newest > head.size:
            text = f"{span(head.size, newest - 1)}: the head was taken back to one signed before them"
            findings.append(Finding("rolled_back", text, head.size, newest - 1))
    return anchors


def _unfounded(relied: Sequence[KeyChange | Pruning], leaves: Leaves) -> list[Finding]:
    """Return the records that were relied on and that the ledger does not hold as they were read."""
    found: list[Finding] = []
    for each in relied:
        at = each.seq * HASH
        if bytes(leaves.computed[at : at + HASH]) != leaf_hash(each.body):
            what = "the change of a key" if isinstance(each, KeyChange) else "pruning"
            text = f"{span(each.seq, each.seq)}: what it says of {what} is not what the ledger holds there"
            found.append(Finding("changed", text, each.seq, each.seq))
    return found


def _tail_anchor(
    tail: Tail, head: Checkpoint | None, signers: Sequence[Signer], findings: list[Finding]
) -> list[Anchor]:
    """Return the anchor of what the journal holds, if it holds something and that is vouched for."""
    if tail.missing is not None:
        text = f"{span(*tail.missing)}: removed; the journal goes on behind them"
        findings.append(Finding("removed", text, *tail.missing))
    if tail.changed is not None:
        text = f"{span(*tail.changed)}: changed in the journal; they do not give the hash beside them"
        findings.append(Finding("changed", text, *tail.changed))
    if head is None or not tail.bodies:
        return []
    root, first, last = tail.frontier.root(), tail.first, tail.size - 1
    if not signers:
        text = f"{span(first, last)}: not signed yet; a running gateway signs in a moment, another when it is started"
        findings.append(Finding("unprovable", text, first, last))
        return []
    if not any(signer.vouched(tail.size, root, tail.code) for signer in signers):
        text = f"{span(first, last)}: in the journal, and not written by the holder of this key"
        findings.append(Finding("checkpoint", text, first, last))
        return []
    return [Anchor(tail.size, root)]


def _rows_of(tail: Tail) -> Iterable[Row]:
    return (Row(*each) for each in zip(range(tail.first, tail.size), tail.hashes, tail.bodies, strict=True))


def _external_anchors(
    notes: Sequence[str], head: Checkpoint | None, keys: Sequence[VerifierKey], findings: list[Finding]
) -> list[Anchor]:
    anchors: list[Anchor] = []
    for number, note in enumerate(notes, 1):
        checkpoint = open_checkpoint(note, *keys)
        if checkpoint is None:
            text = f"checkpoint {number} of those held elsewhere was not signed with this ledger's key"
            findings.append(Finding("checkpoint", text))
            continue
        anchors.append(Anchor(checkpoint.size, checkpoint.root, external=True))
        size = 0 if head is None else head.size
        if checkpoint.size > size:
            last = checkpoint.size - 1
            text = f"{span(size, last)}: signed by the checkpoint held elsewhere, and not in the ledger's head"
            findings.append(Finding("rolled_back", text, size, last))
    return anchors


def _gone(missing: Sequence[tuple[int, int]], limit: int) -> list[Finding]:
    """Name the records that no row holds."""
    found: list[Finding] = []
    for first, last in missing:
        if last == limit - 1:
            found.append(Finding("truncated", f"{span(first, last)}: signed, and cut from the end", first, last))
        else:
            found.append(Finding("removed", f"{span(first, last)}: removed", first, last))
    return found


def _check_subtrees(subtrees: Sequence[Subtree], limit: int) -> list[Finding]:
    """Check the stored roots above the tiles against the tiles', and that none is too many."""
    roots = {(subtree.level, subtree.index): subtree.root for subtree in subtrees}
    found: list[Finding] = []
    for (level, index), root in sorted(roots.items()):
        first, last = index << level, (index + 1 << level) - 1
        if last >= limit or level % TILE_HEIGHT or level <= 0:
            text = f"a stored subtree root (level {level}, {index}) does not belong to the ledger"
            found.append(Finding("index", text))
        elif level > TILE_HEIGHT:
            below = [
                roots.get((level - TILE_HEIGHT, (index << TILE_HEIGHT) + at), EMPTY_ROOT) for at in range(TILE_WIDTH)
            ]
            if subtree_root(below) != root:
                text = f"{span(first, last)}: the stored hash over them (subtree root, level {level}) is false"
                found.append(Finding("index", text, first, last))
    return found
