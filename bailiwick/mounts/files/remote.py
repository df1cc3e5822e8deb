"""Buckets and other places that fsspec knows. S3 is tested; of others, conditions hold between the gateway's own calls.

A store of objects has no links and no special files; its folders are the beginnings of keys. What is read has the
version that was looked at, and what is written replaces just that one, as far as the place itself has conditions.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from typing import BinaryIO, ClassVar, Protocol, cast

import fsspec
from fsspec.asyn import sync
from fsspec.spec import AbstractFileSystem

from bailiwick.errors import ConfigError
from bailiwick.match.file_paths import path_problem
from bailiwick.mounts.files.store import (
    ChangedError,
    ExistsError,
    GoneError,
    Info,
    Keep,
    Listed,
    Opened,
    Parts,
    Store,
    UnavailableError,
)

_BLOCK = 16 * 1024 * 1024
first_block = 256 * 1024
_DEPTH = 2
"""How many blocks are on their way while one is read."""
_S3 = frozenset({"s3", "s3a"})
_FAILED = "PreconditionFailed", "ConditionalRequestConflict", "412", "409"
_Found = Mapping[str, object]
"""What fsspec says of a file; its keys differ with the place."""


def remote_store(url: str, credential: Mapping[str, str]) -> Store:
    """Return the place of a URL. Raises ConfigError, ImportError."""
    protocol, _, place = url.partition("://")
    if protocol in ("file", "local", "") or not place.strip("/"):
        raise ConfigError("the `url` of a mount of files names no bucket", remedy="use `root:` for a folder")
    options: dict[str, object] = {"use_listings_cache": False, "skip_instance_cache": True}
    if protocol in _S3:
        client = {"endpoint_url": credential.get("endpoint"), "region_name": credential.get("region")}
        options |= {name: credential[name] for name in ("key", "secret", "token") if name in credential}
        options["client_kwargs"] = {name: value for name, value in client.items() if value}
    elif credential:
        options |= dict(credential)
    try:
        files = fsspec.filesystem(protocol, **options)
    except ValueError:
        raise ConfigError(f"fsspec knows no `{protocol}://`", remedy="use `s3://`, or `root:` for a folder") from None
    root, secret = place.strip("/"), credential.get("secret", "").encode() or secrets.token_bytes(32)
    return S3Store(files, root, secret) if protocol in _S3 else RemoteStore(files, root, secret)


def _troubles_of(*names: str) -> tuple[type[Exception], ...]:
    """Return the exceptions of packages that places are reached by, as far as these are installed."""
    found: list[type[Exception]] = []
    for name in names:
        package, _, kind = name.rpartition(".")
        with contextlib.suppress(ImportError):  # what is not installed raises nothing
            found.append(cast("type[Exception]", getattr(import_module(package), kind)))
    return tuple(found)


_troubles: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    RuntimeError,
    *_troubles_of("botocore.exceptions.BotoCoreError", "botocore.exceptions.ClientError", "aiohttp.ClientError"),
)
"""What a place may raise."""


class OpenedThere:
    """A file of a store of objects."""

    def __init__(self, file: BinaryIO, info: Info) -> None:
        self.info = info
        self._file = file

    def read(self, start: int, size: int) -> bytes:
        """Return a part of it."""
        with _told():
            self._file.seek(start)
            data = self._file.read(size)
        if len(data) < min(size, max(0, self.info.size - start)):
            raise ChangedError
        return data

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(*_troubles):  # it was only read
            self._file.close()


class RemoteStore:
    """A place that fsspec knows. Untested but for S3."""

    tries: ClassVar[bool] = False

    def __init__(self, files: AbstractFileSystem, root: str, secret: bytes) -> None:
        self.files = files
        self._root = root
        self._secret = secret

    def info_of(self, found: _Found, parts: Parts) -> Info:
        """Return what is known of a file.

        INVARIANT: its version tells nothing of its content. The tag of an object often is the digest of its content,
        by which a text that is masked, or only listed, could be guessed; so it is keyed, and another one elsewhere."""
        info = _info(found)
        told = f"bailiwick file version\0{self.place(parts)}\0{info.tag or info.version}".encode()
        return replace(info, version=hmac.new(self._secret, told, "sha256").hexdigest()[:32])

    def place(self, parts: Parts) -> str:
        """Return the key of a path."""
        return "/".join((self._root, *parts))

    def open(self, parts: Parts) -> Opened:
        """Open a file to read."""
        info = self.look(parts)
        if info is None:
            raise GoneError
        with _told():
            file = self.files.open(self.place(parts), "rb", block_size=_BLOCK, cache_type="readahead")
        return OpenedThere(file, info)

    def look(self, parts: Parts) -> Info | None:
        """Return what is known of a file; None: there is none."""
        try:
            with _told():
                found = self.files.info(self.place(parts), refresh=True)
        except GoneError:
            return None
        return self.info_of(found, parts) if found.get("type") == "file" else None

    def listed(self, parts: Parts) -> Iterator[Listed]:
        """Yield what a folder holds."""
        place = self.place(parts)
        try:
            with _told():
                entries = self.files.ls(place, detail=True, refresh=True)
        except GoneError:
            if not parts:
                return  # an empty bucket has no folder
            raise
        for each in sorted(entries, key=lambda entry: str(entry["name"])):
            key = str(each["name"]).strip("/")
            name = key[len(place) + 1 :] if key.startswith(f"{place}/") else ""
            if name and not path_problem(name) and "/" not in name:
                yield Listed(name, None if each.get("type") == "directory" else self.info_of(each, (*parts, name)))

    def scratch(self, parts: Parts) -> BinaryIO | None:
        """There is none: what is written is sent."""

    def write(self, parts: Parts, content: BinaryIO, size: int, base: Info | None, keep: Keep) -> Info:
        """Put content in the place of what was looked at."""
        self._keep(parts, base, keep)
        return self.put(parts, content, size, base)

    def put(self, parts: Parts, content: BinaryIO, size: int, base: Info | None) -> Info:
        """Write, without a condition of the place's own."""
        del size, base
        with _told(), self.files.open(self.place(parts), "wb") as file:
            while data := content.read(1024 * 1024):
                file.write(data)
        found = self.look(parts)
        if found is None:
            raise ChangedError
        return found

    def delete(self, parts: Parts, base: Info, keep: Keep) -> None:
        """Delete what was looked at."""
        self._keep(parts, base, keep)
        self.remove(parts, base)

    def remove(self, parts: Parts, base: Info) -> None:
        """Delete, without a condition of the place's own."""
        del base
        with _told():
            self.files.rm_file(self.place(parts))

    def move(self, parts: Parts, to: Parts, base: Info) -> Info:
        """Copy to where nothing is, then delete."""
        if self.look(to) is not None:
            raise ExistsError
        known = self.look(parts)
        if known is None or known.version != base.version:
            raise ChangedError
        self.copy(parts, to, base)
        self.remove(parts, base)
        found = self.look(to)
        if found is None:
            raise ChangedError
        return found

    def copy(self, parts: Parts, to: Parts, base: Info) -> None:
        """Copy, without a condition of the place's own."""
        del base
        with _told():
            self.files.cp_file(self.place(parts), self.place(to))

    def usage(self, most: int) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        with _told():
            found = self.files.find(self._root, detail=True)
        sizes = [_size(each) for each in found.values() if each.get("type") == "file"][:most]
        return len(sizes), sum(sizes)

    def _keep(self, parts: Parts, base: Info | None, keep: Keep) -> None:
        if base is None:
            self._vacant(parts)
            return
        opened = self.open(parts)
        try:
            if opened.info.version != base.version:
                raise ChangedError
            keep(opened)
        finally:
            opened.close()

    def _vacant(self, parts: Parts) -> None:
        """Raise ExistsError where a file is."""
        if self.look(parts) is not None:
            raise ExistsError


class _Body(Protocol):
    """The content of an answer."""

    async def read(self) -> bytes:
        """Return all of it."""
        ...


class OpenedObject:
    """An object of S3. Its blocks are got one by one, each of the version that was looked at, the next one ahead."""

    def __init__(self, store: S3Store, parts: Parts, info: Info, first: bytes) -> None:
        self.info = info
        self._store = store
        self._parts = parts
        self._blocks: dict[int, bytes] = {0: first} if len(first) == info.size else {}
        self._first = first
        self._ahead: dict[int, Future[bytes]] = {}

    def read(self, start: int, size: int) -> bytes:
        """Return a part of it."""
        end = min(start + size, self.info.size)
        if end <= len(self._first):
            return self._first[start:end]
        found: list[bytes] = []
        while start < end:
            number = start // _BLOCK
            block = self._block(number)
            data = block[start - number * _BLOCK : end - number * _BLOCK]
            if not data:
                raise ChangedError
            found.append(data)
            start += len(data)
        return found[0] if len(found) == 1 else b"".join(found)

    def close(self) -> None:
        """Let go of it."""
        self._ahead = {}

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            wanted = range(number, min(number + 1 + _DEPTH, -(-self.info.size // _BLOCK)))
            self._ahead = {each: self._ahead.get(each) or self._got(each) for each in wanted}
            self._blocks = {number: self._ahead.pop(number).result()}
        return self._blocks[number]

    def _got(self, number: int) -> Future[bytes]:
        start = number * _BLOCK
        return _ahead.submit(self._store.part, self._parts, start, min(_BLOCK, self.info.size - start), self.info)


_ahead = ThreadPoolExecutor(8, "bailiwick-s3")


class S3Store(RemoteStore):
    """A prefix of a bucket of S3, or of what speaks as it does: its conditions make each change exact."""

    tries: ClassVar[bool] = True

    def open(self, parts: Parts) -> Opened:
        """Open a file to read: its beginning says what it is."""
        try:
            answer, first = self._got(parts, 0, first_block)
        except _EmptyError:
            info = self.look(parts)
            if info is None:
                raise GoneError from None
            return OpenedObject(self, parts, info, b"")
        told = str(answer.get("ContentRange") or "").rpartition("/")[2]
        size = int(told) if told.isdigit() else len(first)
        return OpenedObject(self, parts, self.info_of({**answer, "size": size}, parts), first)

    def look(self, parts: Parts) -> Info | None:
        """Return what is known of an object; None: there is none. One request, which lists nothing."""
        bucket, key = self._split(parts)
        try:
            found = self._asked("head_object", Bucket=bucket, Key=key)
        except GoneError:
            return None
        return self.info_of({**found, "size": found.get("ContentLength")}, parts)

    def part(self, parts: Parts, start: int, size: int, base: Info) -> bytes:
        """Return a part of the version that was looked at. Raises ChangedError."""
        return self._got(parts, start, size, base)[1]

    def _got(self, parts: Parts, start: int, size: int, base: Info | None = None) -> tuple[_Found, bytes]:
        bucket, key = self._split(parts)
        condition = {} if base is None else {"IfMatch": _tag(base)}

        async def get() -> tuple[_Found, bytes]:
            wanted = f"bytes={start}-{start + size - 1}"
            answer = await self.files._call_s3("get_object", Bucket=bucket, Key=key, Range=wanted, **condition)
            return answer, await cast("_Body", answer["Body"]).read()

        with _told():
            return sync(self.files.loop, get)

    def put(self, parts: Parts, content: BinaryIO, size: int, base: Info | None) -> Info:
        """Write, if the key still has the version, or still nothing."""
        condition = {"IfNoneMatch": "*"} if base is None else {"IfMatch": _tag(base)}
        bucket, key = self._split(parts)
        body = content.read() if size <= _BLOCK else content
        answer = self._asked("put_object", Bucket=bucket, Key=key, Body=body, ContentLength=size, **condition)
        return self.info_of({**answer, "size": size}, parts)

    def _vacant(self, parts: Parts) -> None:
        """The condition of the write says it."""

    def remove(self, parts: Parts, base: Info) -> None:
        """Delete, if the key still has the version."""
        bucket, key = self._split(parts)
        self._asked("delete_object", Bucket=bucket, Key=key, IfMatch=_tag(base))

    def copy(self, parts: Parts, to: Parts, base: Info) -> None:
        """Copy the version that was looked at."""
        bucket, key = self._split(parts)
        _, other = self._split(to)
        source = {"Bucket": bucket, "Key": key}
        self._asked("copy_object", Bucket=bucket, Key=other, CopySource=source, CopySourceIfMatch=_tag(base))

    def _split(self, parts: Parts) -> tuple[str, str]:
        bucket, _, key = self.place(parts).partition("/")
        return bucket, key

    def _asked(self, method: str, **given: object) -> _Found:
        with _told():
            return cast("_Found", self.files.call_s3(method, **given))


class _EmptyError(Exception):
    """There is nothing in the part that was asked for."""


@contextlib.contextmanager
def _told() -> Generator[None]:
    """Tell the errors of a place apart."""
    try:
        yield
    except FileNotFoundError:
        raise GoneError from None
    except PermissionError:
        raise UnavailableError("the gateway's credential does not suffice") from None
    except _troubles as error:
        raise _other(error) from None


def _other(error: Exception) -> Exception:
    """Return what an error of a place means; its words may hold names and keys, so they are not told."""
    words = f"{type(error).__name__} {error}"
    response = cast("_Found", getattr(error, "response", None) or {})
    code = str(cast("_Found", response.get("Error") or {}).get("Code", ""))
    if code == "InvalidRange" or "InvalidRange" in words or "range is not satisfiable" in words:
        return _EmptyError()
    if code in _FAILED or "PreconditionFailed" in words or "pre-conditions" in words or "FileExpired" in words:
        return ChangedError()
    if code in ("NoSuchKey", "404", "NoSuchBucket"):
        return GoneError()
    return UnavailableError("it does not answer as expected")


def _tag(base: Info) -> str:
    return f'"{base.tag}"'


def _size(found: _Found) -> int:
    size = found.get("size")
    return size if isinstance(size, int) else 0


def _info(found: _Found) -> Info:
    size = _size(found)
    modified = found.get("LastModified") or found.get("mtime") or found.get("created")
    when: datetime | None = None
    if isinstance(modified, datetime):
        when = modified.astimezone(UTC) if modified.tzinfo is not None else modified.replace(tzinfo=UTC)
    tag = str(found.get("ETag") or found.get("etag") or "").strip('"')
    return Info(size, when, f"{size:x}-{modified}", tag)
