"""What the mount asks of a place where files are: a folder, or a bucket. All of it blocks, and runs in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, ClassVar, Protocol

Parts = tuple[str, ...]
Keep = Callable[["Opened"], None]
"""Keeps what is about to be overwritten or deleted. Raises OSError when it cannot; then nothing is done."""


class GoneError(Exception):
    """There is no such file, or none that is served: nobody is told which."""


class ChangedError(Exception):
    """It is not what it was when it was decided."""


class ExistsError(Exception):
    """Something is there already."""


class UnavailableError(Exception):
    """The place cannot be reached, or refuses the gateway. `args[0]` says why, without any name."""


class UnreadableError(UnavailableError):
    """One file, or its folder, refuses the gateway. Who may not know of it is told that there is none."""


@dataclass(frozen=True, slots=True)
class Info:
    """What is known of a file that was opened, or listed."""

    size: int
    modified: datetime | None
    version: str
    """Another one after every change: for conditions, and for what people approve."""
    tag: str = ""
    """What the place itself calls the version, where it has conditions of its own. Agents are not told."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a folder."""

    name: str
    info: Info | None
    """None: it is a folder."""


class Opened(Protocol):
    """A file that was opened: what is read of it is what was looked at."""

    @property
    def info(self) -> Info:
        """What it was when it was opened."""
        ...

    def read(self, start: int, size: int) -> bytes:
        """Return so many bytes from there; less at the end only. Raises ChangedError, UnavailableError."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Store(Protocol):
    """One folder or bucket. Every method raises UnavailableError; paths were parsed before (`match.file_paths`)."""

    tries: ClassVar[bool]
    """Whether looking costs as much as writing, and a write itself refuses to replace: then it is tried first."""

    def open(self, parts: Parts) -> Opened:
        """Open a file to read. Raises GoneError."""
        ...

    def look(self, parts: Parts) -> Info | None:
        """Return what a file is, without its content; None when there is none that is served."""
        ...

    def listed(self, parts: Parts) -> Iterator[Listed]:
        """Yield what a folder holds, without what is not served. Raises GoneError."""
        ...

    def scratch(self, parts: Parts) -> BinaryIO | None:
        """Open a file without a name that `write` can leave where it is; None: there is no such thing here."""
        ...

    def write(self, parts: Parts, content: BinaryIO, size: int, base: Info | None, keep: Keep) -> Info:
        """Put content in the place of `base`; None: there must be nothing. All of it, or nothing of it.

        Raises ChangedError, ExistsError, GoneError (what is there is not served)."""
        ...

    def delete(self, parts: Parts, base: Info, keep: Keep) -> None:
        """Delete the file that was looked at. Raises ChangedError, GoneError."""
        ...

    def move(self, parts: Parts, to: Parts, base: Info) -> Info:
        """Move the file that was looked at to where nothing is. Raises ChangedError, ExistsError, GoneError."""
        ...

    def usage(self, most: int) -> tuple[int, int]:
        """Return how many files there are, and their bytes; counting ends at `most` files."""
        ...
