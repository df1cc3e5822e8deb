"""Bodies of several parts (RFC 7578), read in one way only and written anew: fields and files. No I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

most_parts = 64
_longest_head = 2048
_BOUNDARY = re.compile(r'boundary=("?)([A-Za-z0-9\'()+_,./:=?-]{1,70})\1')
_DISPOSITION = re.compile(
    r'form-data; *name="([^"\\\x00-\x1f\x7f]{1,128})"(?:; *filename="([^"\\\x00-\x1f\x7f]{1,255})")?'
)
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
_PLAIN = re.compile(r'[^"/\\:]{1,255}')
_TEXT = re.compile(r"text/plain(; *charset=\"?utf-8\"?)?")
_ESCAPED = re.compile(r"%(0[ad]|22)", re.IGNORECASE)
"""How browsers write what cannot stand in a name; some servers decode it."""


class PartsError(Exception):
    """A body that is not of several parts, or could be read in two ways. Holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: a field, or a file (with a media type)."""

    name: str
    data: bytes
    file: str = ""
    """How the file is called; empty: it is a field."""
    type: str = ""


def boundary_of(parameters: str) -> str | None:
    """Return the boundary that a media type names; None when it names none, or something beside it."""
    found = _BOUNDARY.fullmatch(parameters.strip())
    return None if found is None else found[2]


def read_parts(body: bytes, boundary: str) -> list[Part]:
    """Return the parts of a body. Raises PartsError."""
    mark = b"--" + boundary.encode("ascii")
    first, *rest = (b"\r\n" + body).split(b"\r\n" + mark)
    if first or len(rest) < 2:
        raise PartsError("it does not begin with its boundary")
    if rest[-1] not in (b"--", b"--\r\n"):
        raise PartsError("it does not end with its boundary")
    if len(rest) - 1 > most_parts:
        raise PartsError(f"it has more than {most_parts} parts")
    return [_part(each) for each in rest[:-1]]


def _part(data: bytes) -> Part:
    if not data.startswith(b"\r\n"):
        raise PartsError("something stands behind a boundary")
    head, empty, content = data[2:].partition(b"\r\n\r\n")
    if not empty or len(head) > _longest_head:
        raise PartsError("a part has no head, or one that is too long")
    try:
        lines = head.decode("utf-8").split("\r\n")
    except UnicodeDecodeError:
        raise PartsError("the head of a part does not hold UTF-8") from None
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        known = name.lower()
        if known in headers or known not in ("content-disposition", "content-type"):
            raise PartsError("a part has a header twice, or one that is not taken")
        headers[known] = value.strip(" ")
    return _read(headers, content)


def _read(headers: dict[str, str], content: bytes) -> Part:
    found = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
    if found is None or not found[1].isprintable() or _ESCAPED.search(found[0]):
        raise PartsError("a part has no plain name")
    kind = headers.get("content-type", "")
    if found[2] is None:
        if kind and not _TEXT.fullmatch(kind.lower()):
            raise PartsError("a field is not text")
        return Part(found[1], content)
    part = Part(found[1], content, found[2], kind.lower())
    _check(part)
    return part


def _check(part: Part) -> None:
    """Raise PartsError for a file whose name or type is not plain."""
    if not _PLAIN.fullmatch(part.file) or not part.file.isprintable() or not part.file.strip(" ."):
        raise PartsError("the name of a file is not a plain one")
    if not _TYPE.fullmatch(part.type):
        raise PartsError("a file has no plain media type")


def write_parts(parts: Iterable[Part]) -> tuple[bytes, str]:
    """Return a body of these parts, and its media type. The boundary hangs on all that it parts."""
    every = tuple(parts)
    seen = hashlib.sha256()
    for each in every:
        seen.update(len(each.data).to_bytes(8, "big") + each.data)
    boundary = f"bailiwick-{seen.hexdigest()[:48]}"
    lines = b"".join(_written(every, boundary))
    return lines + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _written(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for each in parts:
        if each.file or each.type:
            _check(each)
        called = f'; filename="{each.file}"' if each.file else ""
        kind = f"Content-Type: {each.type}\r\n" if each.file else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{each.name}"{called}\r\n{kind}\r\n'
        yield head.encode() + each.data + b"\r\n"
