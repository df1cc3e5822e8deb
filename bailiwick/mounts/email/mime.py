"""Messages as mail programs write them, read strictly into what they say. No I/O.

Of MIME only what every program reads in one way is taken; nothing of the bytes is sent on. What is not understood,
stands twice, is encoded in an unusual way, or ends where it should not is refused, and the refusal says what it is.
Whether something may be attached is for the policy to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bailiwick.match.file_paths import folded
from bailiwick.mounts.email.bodies import Refusal, decoded, unpacked
from bailiwick.mounts.email.headers import (
    Content,
    content_of,
    disposition_of,
    filename_of,
    mailboxes,
    read_headers,
    text_of,
)

longest_message = 8 * 1024 * 1024
longest_texts = 1024 * 1024
"""Bytes of a message without its attachments."""
most_parts = 16
most_depth = 3
_PREAMBLE = re.compile(rb"(?:\s*This is a (?:multi-part|cryptographically signed) message in MIME format\.?\s*)?\s*")
_TAKEN = frozenset({"from", "sender", "to", "cc", "bcc", "reply-to", "subject"})
_MIME = frozenset({"mime-version", "content-type", "content-transfer-encoding", "content-disposition"})
_DROPPED = frozenset(
    {"date", "message-id", "in-reply-to", "references", "user-agent", "organization", "importance", "priority"}
    | {"auto-submitted", "content-language", "content-id", "thread-topic", "thread-index", "keywords", "comments"}
)
_ADDRESSES = ("from", "sender", "to", "cc", "bcc", "reply-to")


@dataclass(frozen=True, slots=True)
class Mail:
    """What a message says. Addresses as they stand there, one text each, with their names."""

    addresses: Mapping[str, tuple[str, ...]]
    """Header in small letters → mailboxes."""
    subject: str
    text: str
    html: str
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Name → content of what is attached."""


@dataclass(slots=True)
class _Body:
    text: list[str] = field(default_factory=list[str])
    html: list[str] = field(default_factory=list[str])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    attached: int = 0
    """Bytes of the parts that are attachments."""
    parts: int = 0


def read_message(data: bytes) -> Mail:
    """Return what a message says. Raises Refusal, in words without a value of it."""
    if len(data) > longest_message:
        raise Refusal(f"the message is longer than {longest_message} bytes")
    if b"\0" in data or b"\r" in data.replace(b"\r\n", b"") or b"\n" in data.replace(b"\r\n", b""):
        raise Refusal("the message has line ends that are not CRLF")
    if any(len(line) > 998 for line in data.split(b"\r\n")):
        raise Refusal("the message has a line of more than 998 bytes")
    found, body = read_headers(data)
    for name in found:
        if name not in _TAKEN | _MIME | _DROPPED and not name.startswith("x-"):
            raise Refusal(f"the header `{name}` is not taken")
    if found.get("mime-version", "1.0").strip() != "1.0":
        raise Refusal("the message is of another version of MIME")
    if "subject" not in found or "from" not in found:
        raise Refusal("the message has no `Subject` or no `From`")
    addresses = {name: tuple(mailboxes(name, found[name])) for name in _ADDRESSES if name in found}
    read = _Body()
    _part(found, body, read, 0, ())
    if len(read.text) > 1 or len(read.html) > 1:
        raise Refusal("the message has several texts")
    if len(data) - read.attached > longest_texts:
        raise Refusal(f"the message is longer than {longest_texts} bytes without its attachments")
    return Mail(addresses, text_of(found["subject"]).strip(), "".join(read.text), "".join(read.html), read.files)


def _part(headers: Mapping[str, str], body: bytes, read: _Body, depth: int, outer: Sequence[bytes]) -> None:
    read.parts += 1
    if depth > most_depth or read.parts > most_parts:
        raise Refusal("the message has too many parts, or parts within parts")
    content = content_of(headers.get("content-type"))
    encoding = headers.get("content-transfer-encoding", "7bit").strip().lower()
    if disposition_of(headers.get("content-disposition")) == "attachment":
        if not depth:
            raise Refusal("the message itself is an attachment")
        _attachment(headers["content-disposition"], content, encoding, body, read)
        return
    if content.name:
        raise Refusal("a text has the name of a file, and is no attachment")
    if content.kind in ("multipart/alternative", "multipart/mixed"):
        if encoding not in ("7bit", "8bit"):
            raise Refusal("a part with parts is encoded")
        _parts(content, body, read, depth, outer)
        return
    if content.kind not in ("text/plain", "text/html"):
        raise Refusal("a part is neither plain text nor HTML")
    text = decoded(body, encoding, content.charset)
    (read.html if content.kind == "text/html" else read.text).append(text)


def _attachment(disposition: str, content: Content, encoding: str, body: bytes, read: _Body) -> None:
    name = filename_of(disposition, content)
    if content.kind.startswith(("multipart/", "message/")):
        raise Refusal("a message, or what has parts, is attached")
    if encoding != "base64":
        raise Refusal("an attachment is not in `base64`")
    if folded(name) in {folded(each) for each in read.files}:
        raise Refusal("two attachments have one name")
    read.files[name] = unpacked(body)
    read.attached += len(body)


def _parts(content: Content, body: bytes, read: _Body, depth: int, outer: Sequence[bytes]) -> None:
    mark = b"--" + content.boundary
    if not content.boundary or any(each.startswith(mark) or mark.startswith(each) for each in outer):
        raise Refusal("a boundary is missing, or the beginning of another one")
    pieces: list[list[bytes]] = [[]]
    ended = False
    for line in body.split(b"\r\n"):
        if not line.startswith(mark):
            if ended and line.strip():
                raise Refusal("something stands behind the last part")
            pieces[-1].append(line)
        elif ended or line not in (mark, mark + b"--"):
            raise Refusal("a line looks like a boundary and is none")
        elif line == mark:
            pieces.append([])
        else:
            ended = True
            pieces.append([])
    if not ended or len(pieces) < 3:
        raise Refusal("the message ends within a part")
    if not _PREAMBLE.fullmatch(b"\r\n".join(pieces[0])):
        raise Refusal("something stands before the first part")
    kinds: list[str] = []
    for piece in pieces[1:-1]:
        inner, rest = read_headers(b"\r\n".join(piece))
        if any(name not in _MIME | {"content-id", "content-language", "content-description"} for name in inner):
            raise Refusal("a part has a header that parts do not have")
        attached = disposition_of(inner.get("content-disposition")) == "attachment"
        kinds.append("attachment" if attached else content_of(inner.get("content-type")).kind)
        _part(inner, rest, read, depth + 1, (*outer, mark))
    if content.kind == "multipart/alternative" and kinds not in (
        ["text/plain"],
        ["text/plain", "text/html"],
        ["text/html"],
    ):
        raise Refusal("alternatives are one plain text, then one of HTML")
