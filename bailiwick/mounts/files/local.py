"""A folder of this machine, walked from its own descriptor: every part is opened relative to its parent, no link is
followed, and what was opened is what is looked at, so that nothing can be exchanged between check and use.

Not served: symbolic links, files with several names, devices, pipes, sockets, what is mounted within, names that are
no paths of agents, and names that a folder without case takes for others.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import stat
import unicodedata
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import BinaryIO, ClassVar

from bailiwick.errors import ConfigError
from bailiwick.match.file_paths import OWN_PREFIX, name_problem
from bailiwick.mounts.files.store import (
    ChangedError,
    ExistsError,
    GoneError,
    Info,
    Keep,
    Listed,
    Parts,
    UnavailableError,
    UnreadableError,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_SERVED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENAMETOOLONG})
_NAMELESS = getattr(os, "O_TMPFILE", os.O_DIRECTORY) | os.O_RDWR | os.O_CLOEXEC
_AT_FDCWD, _AT_SYMLINK_FOLLOW = -100, 0x400
_PART = 1024 * 1024
_NOREPLACE, _EXCHANGE = 1, 2
_most_entries = 100_000
_most_walked = 64
"""Depth at which counting ends: agents' paths are never so deep."""


class OpenedHere:
    """A file by its descriptor."""

    def __init__(self, descriptor: int, info: Info) -> None:
        self.info = info
        self.descriptor = descriptor

    def read(self, start: int, size: int) -> bytes:
        """Return a part of it. One that was changed meanwhile is told of, where it can be seen."""
        try:
            data = os.pread(self.descriptor, size, start)
            while len(data) < size:
                more = os.pread(self.descriptor, size - len(data), start + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise UnavailableError(_why(error)) from None
        if len(data) < min(size, max(0, self.info.size - start)):
            raise ChangedError
        return data

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class LocalStore:
    """One folder."""

    tries: ClassVar[bool] = False

    def __init__(
        self, root: str, *, hard_links: bool = False, cross_mounts: bool = False, secret: bytes | None = None
    ) -> None:
        """Raises ConfigError when there is no such folder. `secret`: keys what agents are told of versions."""
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            message = f"the folder `{root}` of a mount of files cannot be opened: {_why(error)}"
            raise ConfigError(message, remedy="create it, or correct `root`") from None
        self._device = os.fstat(self._root).st_dev
        self._secret = secret or secrets.token_bytes(32)
        self._hard_links = hard_links
        self._cross_mounts = cross_mounts

    def close(self) -> None:
        """Let go of the folder."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def open(self, parts: Parts) -> OpenedHere:
        """Open a file to read."""
        with self._walked(parts[:-1]) as folder:
            return self._opened(folder, parts[-1])

    def look(self, parts: Parts) -> Info | None:
        """Return what a file is, None when there is none that is served."""
        try:
            opened = self.open(parts)
        except GoneError:
            return None
        opened.close()
        return opened.info

    def listed(self, parts: Parts) -> Iterator[Listed]:
        """Yield what a folder holds."""
        with self._walked(parts) as folder:
            try:
                names = os.listdir(folder)
            except OSError as error:
                raise _error(error) from None
            for name in sorted(names)[:_most_entries]:
                found = self._entry(folder, name)
                if found is not None:
                    yield found

    def _entry(self, folder: int, name: str) -> Listed | None:
        if name_problem(name):
            return None
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return None  # gone by now
        if stat.S_ISDIR(found.st_mode) and self._is_here(found):
            return Listed(name, None)
        return Listed(name, self._info(found)) if self._is_served(found) else None

    def scratch(self, parts: Parts) -> BinaryIO | None:
        """Open a file without a name in the folder that a file will be in."""
        try:
            with self._walked(parts[:-1]) as folder:
                return os.fdopen(os.open(".", _NAMELESS, 0o640, dir_fd=folder), "w+b")
        except (OSError, GoneError, UnavailableError):
            return None  # there is no such folder yet, or no such files in it

    def write(self, parts: Parts, content: BinaryIO, size: int, base: Info | None, keep: Keep) -> Info:
        """Write beside, then take its place."""
        with self._walked(parts[:-1], make=base is None) as folder:
            temporary, placed = _own_name(), False
            new = _left(folder, content, size, temporary)
            if new is None:
                new = _copied(folder, content, size, temporary)
            try:
                os.fsync(new)
                if base is None:
                    self._place(folder, temporary, parts[-1])
                    placed = True
                else:
                    self._exchange(folder, temporary, parts[-1], base, keep, new)
                _flush(folder)
                return self._info(os.fstat(new))
            except OSError as error:
                raise _error(error) from None
            finally:
                os.close(new)
                if not placed:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)

    def delete(self, parts: Parts, base: Info, keep: Keep) -> None:
        """Take it away by another name, see that it is the one, then delete it."""
        with self._walked(parts[:-1]) as folder:
            self._known(folder, parts[-1], base, keep)
            taken = _own_name()
            try:
                _rename(folder, parts[-1], folder, taken, _NOREPLACE)
            except OSError as error:
                raise _error(error) from None
            if not self._is(folder, taken, base):
                self._put_back(folder, taken, folder, parts[-1])
                raise ChangedError
            try:
                os.unlink(taken, dir_fd=folder)
                _flush(folder)
            except OSError as error:
                raise _error(error) from None

    def move(self, parts: Parts, to: Parts, base: Info) -> Info:
        """Rename it, to where nothing is; see that it is the one, else put it back."""
        with self._walked(parts[:-1]) as folder, self._walked(to[:-1], make=True) as other:
            self._known(folder, parts[-1], base, None)
            self._exact_or_new(other, to[-1])
            try:
                _rename(folder, parts[-1], other, to[-1], _NOREPLACE)
            except FileExistsError:
                raise ExistsError from None
            except OSError as error:
                raise _error(error) from None
            if not self._is(other, to[-1], base):
                self._put_back(other, to[-1], folder, parts[-1])
                raise ChangedError
            try:
                _flush(folder)
                _flush(other)
                return self._info(os.stat(to[-1], dir_fd=other, follow_symlinks=False))
            except OSError as error:
                raise _error(error) from None

    def usage(self, most: int) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        number = size = 0
        pending: list[Parts] = [()]
        while pending and number < most:
            at = pending.pop()
            try:
                for each in self.listed(at):
                    if each.info is None and len(at) < _most_walked:
                        pending.append((*at, each.name))
                    elif each.info is not None:
                        number, size = number + 1, size + each.info.size
            except GoneError:  # a folder that somebody has just removed
                continue
        return number, size

    @contextlib.contextmanager
    def _walked(self, parts: Parts, *, make: bool = False) -> Generator[int]:
        """Give the descriptor of a folder, opened part by part; `make`: create what is missing."""
        at = os.dup(self._root)
        try:
            for part in parts:
                below = self._step(at, part, make=make)
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)

    def _step(self, at: int, part: str, *, make: bool) -> int:
        try:
            below = os.open(part, _FOLDER, dir_fd=at)
        except FileNotFoundError:
            if not make:
                raise GoneError from None
            below = self._made(at, part)
        except OSError as error:
            raise _error(error) from None
        try:
            if not self._is_here(os.fstat(below)):
                raise GoneError
            self._exact(at, part)
        except BaseException:
            os.close(below)
            raise
        return below

    def _made(self, at: int, part: str) -> int:
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o750, dir_fd=at)
                _flush(at)
            return os.open(part, _FOLDER, dir_fd=at)
        except OSError as error:
            raise _error(error) from None

    def _opened(self, folder: int, name: str) -> OpenedHere:
        try:
            before = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not self._is_served(before):
                raise GoneError  # a device is not even opened
            descriptor = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            raise _error(error) from None
        try:
            found = os.fstat(descriptor)
            if not self._is_served(found):
                raise GoneError
            self._exact(folder, name)
        except BaseException:
            os.close(descriptor)
            raise
        return OpenedHere(descriptor, self._info(found))

    def _is_served(self, found: os.stat_result) -> bool:
        return stat.S_ISREG(found.st_mode) and self._is_here(found) and (found.st_nlink == 1 or self._hard_links)

    def _is_here(self, found: os.stat_result) -> bool:
        return self._cross_mounts or found.st_dev == self._device

    def _exact(self, folder: int, name: str) -> None:
        """Raise GoneError where a folder without case found a name under another spelling."""
        for other in {name.swapcase(), name.upper(), name.lower()} - {name}:
            try:
                theirs = os.stat(other, dir_fd=folder, follow_symlinks=False)
                mine = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError:  # nothing has that spelling
                continue
            if (theirs.st_dev, theirs.st_ino) == (mine.st_dev, mine.st_ino):
                names = {unicodedata.normalize("NFC", each) for each in os.listdir(folder)}
                if name not in names:
                    raise GoneError

    def _exact_or_new(self, folder: int, name: str) -> None:
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return
        raise ExistsError

    def _place(self, folder: int, temporary: str, name: str) -> None:
        try:
            _rename(folder, temporary, folder, name, _NOREPLACE)
        except FileExistsError:
            raise ExistsError from None

    def _exchange(self, folder: int, temporary: str, name: str, base: Info, keep: Keep, new: int) -> None:
        """Put the new file in the place of the one that was looked at; of any other, nothing is changed."""
        mode = self._known(folder, name, base, keep)
        os.fchmod(new, mode)
        try:
            _rename(folder, temporary, folder, name, _EXCHANGE)
        except FileNotFoundError:
            raise ChangedError from None
        if not self._is(folder, temporary, base):
            _rename(folder, temporary, folder, name, _EXCHANGE)
            raise ChangedError

    def _known(self, folder: int, name: str, base: Info, keep: Keep | None) -> int:
        """See that a name is still what was looked at, and keep it; return its mode."""
        opened = self._opened(folder, name)
        try:
            if opened.info != base:
                raise ChangedError
            if keep is not None:
                keep(opened)
            return stat.S_IMODE(os.fstat(opened.descriptor).st_mode) & 0o777
        finally:
            opened.close()

    def _info(self, found: os.stat_result) -> Info:
        """Return what a file is. A rename alone changes its ctime, and not what it is.

        INVARIANT: of a file that is shown masked, its version does not tell the size."""
        told = b"%x-%x-%x" % (found.st_ino, found.st_mtime_ns, found.st_size)
        version = hashlib.blake2b(told, key=self._secret, digest_size=16).hexdigest()
        return Info(found.st_size, datetime.fromtimestamp(found.st_mtime_ns // 10**9, UTC), version)

    def _is(self, folder: int, name: str, base: Info) -> bool:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and self._info(found) == base

    def _put_back(self, folder: int, name: str, to: int, original: str) -> None:
        """What was taken is not what was meant: it gets its name back, unless somebody has put another thing there."""
        with contextlib.suppress(OSError):
            _rename(folder, name, to, original, _NOREPLACE)


def _left(folder: int, content: BinaryIO, size: int, name: str) -> int | None:
    """Give a name to what was written into a nameless file of this folder (`scratch`), and return its descriptor.

    None: it is no such file, or not as one made here would be; then it is copied."""
    try:
        content.flush()
        new = os.dup(content.fileno())
    except (OSError, ValueError):
        return None  # in memory
    try:
        found, here = os.fstat(new), os.fstat(folder)
        inherits = here.st_mode & stat.S_ISGID and found.st_gid != here.st_gid
        if stat.S_ISREG(found.st_mode) and not found.st_nlink and found.st_size == size and not inherits:
            _link(new, folder, name)
            return new
    except OSError:
        pass  # copying says what is wrong, a name that is taken too
    os.close(new)
    return None


def _copied(folder: int, content: BinaryIO, size: int, name: str) -> int:
    """Write content into a new file; return its descriptor."""
    try:
        new = os.open(name, _NEW, 0o640, dir_fd=folder)
    except OSError as error:
        raise _error(error) from None
    try:
        written = 0
        while data := content.read(_PART):
            view = memoryview(data)
            while view:
                step = os.write(new, view)
                view, written = view[step:], written + step
        if written != size:
            raise ChangedError
    except BaseException as error:
        os.close(new)
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
        if isinstance(error, OSError):
            raise _error(error) from None
        raise
    return new


def _own_name() -> str:
    return f"{OWN_PREFIX}{secrets.token_hex(8)}"


def _flush(folder: int) -> None:
    """Have the names of a folder on the disk; some file systems cannot be asked that of folders."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _error(error: OSError) -> Exception:
    if error.errno in _NOT_SERVED:
        return GoneError()
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnreadableError(_why(error))
    return UnavailableError(_why(error))


def _why(error: OSError) -> str:
    return (error.strerror or "it cannot be read").lower()


_libc = ctypes.CDLL(None, use_errno=True)


def _link(descriptor: int, folder: int, name: str) -> None:
    """Give a nameless file its name. Raises OSError."""
    path = b"/proc/self/fd/%d" % descriptor
    if _libc.linkat(_AT_FDCWD, path, folder, os.fsencode(name), _AT_SYMLINK_FOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _rename(folder: int, name: str, to: int, new: str, flags: int) -> None:
    """Rename without replacing anything, or exchange two names, in one step. Raises OSError."""
    renamed = getattr(_libc, "renameat2", None)
    if renamed is None:
        raise OSError(errno.ENOSYS, "this system cannot rename without replacing")
    if renamed(folder, os.fsencode(name), to, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        if number == errno.EEXIST:
            raise FileExistsError(number, os.strerror(number))
        if number == errno.ENOENT:
            raise FileNotFoundError(number, os.strerror(number))
        raise OSError(number, os.strerror(number))
