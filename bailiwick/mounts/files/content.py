"""What is to be written into a file: taken in parts before it is decided on, with its size and digest."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable
from typing import BinaryIO, cast

from bailiwick.match.sniff import head_size

Scratch = Callable[[], BinaryIO]
"""Opens a file without a name, for what is too long for memory."""
_in_memory = 4 * 1024 * 1024


def anywhere() -> BinaryIO:
    """Open a file without a name where the system has its temporary files."""
    return cast("BinaryIO", tempfile.TemporaryFile())  # `Content.close`


class Content:
    """In memory while it is small. `scratch`: where it lies when it is not; the best place is where it will stay."""

    def __init__(self, scratch: Scratch = anywhere) -> None:
        self.file: BinaryIO = io.BytesIO()
        self.size = 0
        self.head = b""
        self._scratch = scratch
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take a part."""
        if self.size + len(data) > _in_memory and isinstance(self.file, io.BytesIO):
            small, self.file = self.file, self._scratch()
            self.file.write(small.getbuffer())
        self.file.write(data)
        self.size += len(data)
        self._digest.update(data)
        if len(self.head) < head_size:
            self.head += data[: head_size - len(self.head)]

    @property
    def digest(self) -> str:
        """SHA-256 in hex."""
        return self._digest.hexdigest()

    def whole(self, most: int) -> bytes:
        """Return the content, at most so many bytes and one."""
        self.file.seek(0)
        return self.file.read(most + 1)

    def close(self) -> None:
        """Let go of it."""
        self.file.close()


def content_of(data: bytes, scratch: Scratch = anywhere) -> Content:
    """Return bytes as content."""
    found = Content(scratch)
    found.add(data)
    return found
