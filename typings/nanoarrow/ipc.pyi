"""Types of the part that is used."""

from types import TracebackType
from typing import BinaryIO

from . import CArray

class StreamWriter:
    @staticmethod
    def from_writable(obj: BinaryIO) -> StreamWriter: ...
    def __enter__(self) -> StreamWriter: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def write_stream(self, obj: CArray) -> None: ...
