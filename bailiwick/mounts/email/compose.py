"""Messages as they are sent: made of addresses and texts that were understood, never of bytes that an agent wrote.

Every line is written here, in the few forms that all programs read in one way: ASCII headers, encoded words where a
text is more than that, bodies as they are where they are short ASCII lines, else in base64.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import cast
from urllib.parse import quote

from bailiwick.decide.calls import Arguments
from bailiwick.model.email import Attachment, EmailMount

_LISTS = {"to": "To", "cc": "Cc", "reply_to": "Reply-To"}
_longest_line = 900
_KIND = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}")
_word = 42
"""Bytes in one encoded word, so that it stays within 75 characters."""


def recipients_of(arguments: Arguments) -> list[str]:
    """Return who gets it."""
    named = [each for key in ("to", "cc", "bcc") for each in _addresses(arguments.get(key))]
    return [*dict.fromkeys(named)]


def _addresses(found: object) -> Sequence[str]:
    return cast("list[str]", found) if isinstance(found, list) else ()


def composed(
    mount: EmailMount,
    arguments: Arguments,
    now: datetime,
    identity: str,
    attached: Sequence[tuple[Attachment, bytes]] = (),
) -> bytes:
    """Return the bytes of a message; `identity`: what makes it this one. Who is in `bcc` stands nowhere in it."""
    said = cast("Mapping[str, str]", arguments["message"])
    lines = [f"From: {_sender(mount)}"]
    for key, header in _LISTS.items():
        listed = _addresses(arguments.get(key))
        if listed:
            lines.append(f"{header}: " + ",\r\n ".join(listed))
        elif key == "to":
            lines.append("To: undisclosed-recipients:;")
    lines += [
        f"Subject: {_text(said['subject'])}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{identity}@{mount.sender.rpartition('@')[2]}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ]
    text = _texts(said, identity)
    if not attached:
        lines += text
        return ("\r\n".join(lines) + "\r\n").encode("ascii")
    mark = f"+{identity}+"
    lines += [f'Content-Type: multipart/mixed; boundary="{mark}"', "", f"--{mark}", *text]
    for each, data in attached:
        lines += [f"--{mark}", *_file(each), "", _in_lines(data)]
    lines.append(f"--{mark}--")
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _texts(said: Mapping[str, str], identity: str) -> list[str]:
    """Return the lines of what a message says: one text, or both as alternatives."""
    parts = [(kind, said[key]) for kind, key in (("plain", "text"), ("html", "html")) if said[key]]
    if len(parts) == 1:
        return [*_part(*parts[0])]
    lines = [f'Content-Type: multipart/alternative; boundary="={identity}="']
    for kind, text in parts:
        lines += ["", f"--={identity}=", *_part(kind, text)]
    return [*lines, "", f"--={identity}=--"]


def _file(attached: Attachment) -> Iterator[str]:
    """Yield the head of an attachment. INVARIANT: its name is the last part of a path: no quotes, no controls."""
    kind = attached.type if _KIND.fullmatch(attached.type) else "application/octet-stream"
    yield f"Content-Type: {kind}"
    yield "Content-Transfer-Encoding: base64"
    if attached.name.isascii():
        yield f'Content-Disposition: attachment;\r\n filename="{attached.name}"'
        return
    coded = quote(attached.name.encode(), safe="")
    yield f"Content-Disposition: attachment;\r\n filename*=utf-8''{coded}"


def _in_lines(data: bytes) -> str:
    return base64.encodebytes(data).decode("ascii").replace("\n", "\r\n").removesuffix("\r\n")


def _sender(mount: EmailMount) -> str:
    if not mount.sender_name:
        return mount.sender
    plain = mount.sender_name.isascii()
    return f'"{mount.sender_name}" <{mount.sender}>' if plain else f"{_text(mount.sender_name)} <{mount.sender}>"


def _text(text: str) -> str:
    """Return a text as a header has it. INVARIANT: it has no line end, and nothing that looks like an encoded word."""
    plain = " ".join(text.split("\r\n")).replace("\r", " ").replace("\n", " ")
    if plain.isascii() and plain.isprintable() and "=?" not in plain:
        return plain
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(each).decode()}?=" for each in _pieces(plain))


def _pieces(text: str) -> Iterator[bytes]:
    """Yield the bytes of a text in pieces of whole characters."""
    piece = b""
    for each in text:
        data = each.encode()
        if len(piece) + len(data) > _word:
            yield piece
            piece = b""
        piece += data
    yield piece


def _part(kind: str, text: str) -> Iterator[str]:
    """Yield the lines of a part: what it is, and what it says."""
    yield f'Content-Type: text/{kind}; charset="utf-8"'
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if text.isascii() and all(len(line) <= _longest_line for line in lines) and "\r" not in text:
        yield "Content-Transfer-Encoding: 7bit"
        yield ""
        yield from lines
        return
    yield "Content-Transfer-Encoding: base64"
    yield ""
    data = base64.b64encode(("\r\n".join(lines) + "\r\n").encode()).decode()
    yield from (data[at : at + 76] for at in range(0, len(data), 76))
