"""The local disk under a hostile second process: nothing outside is reached between check and use."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from bailiwick.mounts.files.local import LocalStore
from bailiwick.mounts.files.store import ChangedError, ExistsError, GoneError, Opened, UnavailableError
from tests.files.files_rig import CANARY, put

ROUNDS = 120
_not_done = (GoneError, ChangedError, ExistsError, UnavailableError)


@pytest.fixture
def root(tmp_path: Path) -> Generator[Path]:
    """A folder that is exchanged under the hands of whoever uses it."""
    put(tmp_path, {"hr/pay.txt": CANARY, "hr/second.txt": CANARY, "kb/way/a.txt": "plain", "kb/f.txt": "plain"})
    (tmp_path / "kb/link").symlink_to("../hr")
    (tmp_path / "hr/a.txt").write_text(CANARY)
    hostile = subprocess.Popen([sys.executable, str(Path(__file__).parent / "hostile.py"), str(tmp_path)])
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < deadline, "the hostile process does not start"
            time.sleep(0.01)
        yield tmp_path
    finally:
        (tmp_path / "stop").touch()
        hostile.wait(60)


def _read(store: LocalStore, path: str) -> bytes:
    with contextlib.suppress(*_not_done):
        opened = store.open(tuple(path.split("/")))
        try:
            return opened.read(0, opened.info.size)
        finally:
            opened.close()
    return b""


def _change(store: LocalStore, path: str, kept: list[bytes]) -> None:
    parts = tuple(path.split("/"))

    def keep(opened: Opened) -> None:
        kept.append(opened.read(0, opened.info.size))

    with contextlib.suppress(*_not_done):
        opened = store.open(parts)
        base = opened.info
        opened.close()
        store.write(parts, io.BytesIO(b"written"), 7, base, keep)
    with contextlib.suppress(*_not_done):
        store.write(parts, io.BytesIO(b"written"), 7, None, keep)
    with contextlib.suppress(*_not_done):
        opened = store.open(parts)
        base = opened.info
        opened.close()
        store.delete(parts, base, keep)
    with contextlib.suppress(*_not_done):
        opened = store.open(parts)
        base = opened.info
        opened.close()
        store.move(parts, ("kb", "moved.txt"), base)


def test_nothing_outside_is_reached_while_names_are_exchanged(root: Path) -> None:
    store = LocalStore(str(root))
    secrets = {name: (root / "hr" / name).stat().st_ino for name in ("pay.txt", "second.txt", "a.txt")}
    seen: set[bytes] = set()
    kept: list[bytes] = []
    for _ in range(ROUNDS):
        seen |= {_read(store, "kb/way/a.txt"), _read(store, "kb/f.txt")}
        _change(store, "kb/way/a.txt", kept)
        _change(store, "kb/f.txt", kept)
        with contextlib.suppress(*_not_done):
            seen |= {each.name.encode() for each in store.listed(("kb", "way"))}
    assert CANARY.encode() not in {*seen, *kept}
    assert "pay.txt" not in str(seen)
    assert {name: (root / "hr" / name).read_text() for name in secrets} == dict.fromkeys(secrets, CANARY)
    assert {each.name for each in (root / "hr").iterdir()} == set(secrets)
    assert {name: (root / "hr" / name).stat().st_ino for name in secrets} == secrets
    store.close()


def test_the_same_store_serves_what_nobody_exchanges(root: Path) -> None:
    put(root, {"kb/quiet.txt": "plain"})
    store = LocalStore(str(root))
    kept: list[bytes] = []
    assert _read(store, "kb/quiet.txt") == b"plain"
    _change(store, "kb/quiet.txt", kept)
    assert kept == [b"plain", b"written"]
    assert _read(store, "kb/quiet.txt") == b""
    store.close()
