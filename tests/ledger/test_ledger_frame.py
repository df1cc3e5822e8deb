"""Frames of the journal: what is whole is read back, what was cut short is left out, what was changed is named."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.ledger.checkpoint import Signer
from bailiwick.ledger.encode import encode
from bailiwick.ledger.frame import FRAME_HEAD, follow, frame_bytes, frames_in
from bailiwick.ledger.merkle import Frontier, extend, leaf_hash
from bailiwick.model.record import Record

SIGNER = Signer("test", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
AT = datetime(2026, 11, 22, 8, 0, 0, 1, UTC)


def bodies_of(first: int, number: int) -> list[bytes]:
    return [encode(Record(id=f"rec_{seq}", kind="call", at=AT), seq) for seq in range(first, first + number)]


NOTHING = Frontier()


def written(sizes: list[int], start: Frontier = NOTHING) -> tuple[list[bytes], list[Frontier]]:
    """Return the frames of commits of these sizes, and the tree after each of them."""
    frames: list[bytes] = []
    trees = [start]
    for number in sizes:
        bodies = bodies_of(trees[-1].size, number)
        grown = extend(trees[-1], [leaf_hash(body) for body in bodies])[0]
        frames.append(frame_bytes(trees[-1].size, bodies, grown.root(), SIGNER.vouch(grown.size, grown.root())))
        trees.append(grown)
    return frames, trees


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=6)


@given(sizes, st.integers(0, 6))
def test_what_was_written_comes_back_whichever_area_holds_it(sizes: list[int], turn: int) -> None:
    frames, trees = written(sizes)
    tail = follow((b"".join(frames[turn:]), b"".join(frames[:turn])), Frontier())
    assert tail.frontier == trees[-1]
    assert list(tail.bodies) == bodies_of(0, sum(sizes))
    assert SIGNER.vouched(tail.size, tail.frontier.root(), tail.code)
    assert (tail.missing, tail.changed) == (None, None)


@given(sizes, sizes)
def test_what_the_file_has_already_is_passed_over(old: list[int], new: list[int]) -> None:
    before, trees = written(old)
    behind, grown = written(new, trees[-1])
    tail = follow((b"".join(before), b"".join(behind)), trees[-1])
    assert (tail.first, tail.frontier) == (trees[-1].size, grown[-1])


@settings(max_examples=200)
@given(sizes, sizes, st.data())
def test_a_frame_cut_short_by_a_crash_is_left_out(old: list[int], new: list[int], data: st.DataObject) -> None:
    before, earlier = written(old)
    frames, trees = written(new, earlier[-1])
    cut = data.draw(st.integers(0, len(frames[-1]) - 1))
    used = data.draw(st.sampled_from([b"", bytes(2_000), b"".join(before), before[-1] * 3]))
    area = b"".join(frames[:-1]) + frames[-1][:cut]
    area += used[data.draw(st.integers(0, len(used))) :]
    tail = follow((area, b""), earlier[-1])
    whole = area.startswith(b"".join(frames).rstrip(b"\0"))  # up to its last record; what pads its block says nothing
    assert tail.frontier == (trees[-1] if whole else trees[-2])
    assert (tail.missing, tail.changed) == (None, None)


@settings(max_examples=200)
@given(sizes, st.data())
def test_a_changed_record_is_named(sizes: list[int], data: st.DataObject) -> None:
    frames, trees = written(sizes)
    victim = data.draw(st.integers(0, len(frames) - 1))
    false = frames[victim].replace(b"rec_", b"rex_", 1)
    tail = follow((b"".join([*frames[:victim], false, *frames[victim + 1 :]]), b""), Frontier())
    assert tail.changed == (trees[victim].size, trees[victim + 1].size - 1)
    assert tail.frontier == trees[victim]


@given(st.lists(st.integers(1, 5), min_size=2, max_size=6), st.data())
def test_removed_frames_are_named(sizes: list[int], data: st.DataObject) -> None:
    frames, trees = written(sizes)
    gone = data.draw(st.integers(0, len(frames) - 2))
    tail = follow((b"".join(frames[:gone]), b"".join(frames[gone + 1 :])), Frontier())
    assert tail.missing == (trees[gone].size, trees[gone + 1].size - 1)
    assert tail.frontier == trees[gone]


@settings(max_examples=200)
@given(sizes, st.integers(0, 3_000), st.integers(1, 255))
def test_a_changed_byte_is_never_taken_for_what_was_written(sizes: list[int], at: int, change: int) -> None:
    frames, trees = written(sizes)
    area = bytearray(b"".join(frames))
    said = [place for place, byte in enumerate(area) if byte]  # most of a block is nothing
    area[said[at % len(said)]] ^= change
    tail = follow((bytes(area), b""), Frontier())
    assert tail.frontier in trees
    assert tail.bodies == tuple(bodies_of(0, tail.size))


@given(st.binary(max_size=400))
def test_any_bytes_give_no_error(junk: bytes) -> None:
    frames, trees = written([2])
    assert follow((junk, frames[0]), Frontier()).frontier in trees
    assert frames_in(frames[0][:FRAME_HEAD] + junk)[0].bodies is None
