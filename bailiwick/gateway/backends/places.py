"""Places for files: a folder here, or one in an object store (`s3://bucket/folder`), through fsspec."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from importlib import import_module
from typing import IO, Protocol, cast

from bailiwick.errors import LedgerError


class _System(Protocol):
    """What of fsspec, which carries no types, is used."""

    def find(self, path: str) -> list[str]: ...
    def makedirs(self, path: str, exist_ok: bool) -> None: ...
    def open(self, path: str, mode: str) -> IO[bytes]: ...
    def invalidate_cache(self) -> None: ...


_Opening = Callable[[str], tuple[_System, str]]


class Place:
    """A folder, wherever it is. Names are relative to it, with slashes. Its methods raise LedgerError."""

    def __init__(self, url: str) -> None:
        self._url = url
        with self._told():
            system, root = cast("_Opening", import_module("fsspec.core").url_to_fs)(url)
        self._system = system
        self._root = root.rstrip("/")

    def __str__(self) -> str:
        return self._url

    def names(self) -> list[str]:
        """Return the names of all files in it, sorted; empty when there is no such folder."""
        with self._told():
            self._system.invalidate_cache()
            found = self._system.find(self._root)
        return sorted(name.removeprefix(self._root).lstrip("/") for name in found)

    @contextlib.contextmanager
    def reading(self, name: str) -> Generator[IO[bytes]]:
        """Open a file for reading."""
        with self._told(), self._system.open(f"{self._root}/{name}", "rb") as file:
            yield file

    @contextlib.contextmanager
    def writing(self, name: str) -> Generator[IO[bytes]]:
        """Open a file for writing; the folders above it are made."""
        path = f"{self._root}/{name}"
        with self._told():
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self._system.open(path, "wb") as file:
                yield file

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        with self.reading(name) as file:
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        with self.writing(name) as file:
            file.write(content)

    @contextlib.contextmanager
    def _told(self) -> Generator[None]:
        """Say what a store refused as a LedgerError: fsspec's own are OSErrors, whatever the store."""
        try:
            yield
        except ImportError as error:
            remedy = "install the extra: `pip install bailiwick[s3]`"
            raise LedgerError(f"`{self._url}` needs a package: {error}", remedy=remedy) from None
        except (OSError, ValueError) as error:
            reason = f"{error}" or type(error).__name__
            raise LedgerError(f"`{self._url}`: {reason}", remedy="check the place and the rights to it") from None
