"""Bodies of parts: transfer encodings and character sets, of which each text has one reading. No I/O."""

from __future__ import annotations

import base64
import binascii
import re

_CHARSETS = {
    "us-ascii": "ascii",
    "ascii": "ascii",
    "utf-8": "utf-8",
    "iso-8859-1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
}
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_QUOTED = re.compile(rb"(?:[!-<>-~ \t]|=[0-9A-Fa-f]{2})*=?")
_QUOTED_PAIR = re.compile(rb"=([0-9A-Fa-f]{2})")


class Refusal(ValueError):  # noqa: N818  # it is the answer, not a failure
    """Why a message is not taken."""


def charset_of(name: str) -> str:
    """Return Python's name of a character set. Raises Refusal for one that is not taken."""
    found = _CHARSETS.get(name.lower())
    if found is None:
        raise Refusal("a text has a character set that is not taken")
    return found


def decoded(body: bytes, encoding: str, charset: str) -> str:
    """Return the text of a body, with line feeds. Raises Refusal for what has no one reading."""
    if encoding in ("7bit", "8bit"):
        if encoding == "7bit" and not body.isascii():
            raise Refusal("a part that says `7bit` has other characters than ASCII")
        data = body
    elif encoding == "base64":
        data = unpacked(body)
    elif encoding == "quoted-printable":
        data = _quoted(body)
    else:
        raise Refusal("a part has an encoding that is not taken")
    return text_in(data, charset).replace("\r\n", "\n")


def text_in(data: bytes, charset: str) -> str:
    """Return bytes as text. Raises Refusal."""
    try:
        return data.decode(charset_of(charset), errors="strict")
    except UnicodeDecodeError:
        raise Refusal("a text is not of the character set that it names") from None


def unpacked(body: bytes) -> bytes:
    """Return what base64 stands for. Raises Refusal where it could stand for something else, too."""
    lines = body.rstrip(b"\r\n").split(b"\r\n")
    if any(not _BASE64_LINE.fullmatch(line) or len(line) > 76 for line in lines):
        raise Refusal("a part that says `base64` is not")
    if any(b"=" in line for line in lines[:-1]):
        raise Refusal("a part that says `base64` ends twice")
    whole = b"".join(lines)
    try:
        data = base64.b64decode(whole, validate=True)
    except binascii.Error:
        raise Refusal("a part that says `base64` is not") from None
    if base64.b64encode(data) != whole:
        raise Refusal("a part that says `base64` has bits that say nothing")
    return data


def _quoted(body: bytes) -> bytes:
    found: list[bytes] = []
    for line in body.split(b"\r\n"):
        if len(line) > 76 or not _QUOTED.fullmatch(line) or line.endswith((b" ", b"\t")):
            raise Refusal("a part that says `quoted-printable` is not")
        soft = line.endswith(b"=")
        plain = _QUOTED_PAIR.sub(lambda pair: bytes((int(pair[1], 16),)), line[:-1] if soft else line)
        found.append(plain if soft else plain + b"\r\n")
    if body.rstrip(b"\r\n").endswith(b"="):
        raise Refusal("a part that says `quoted-printable` ends within a line")
    return b"".join(found).removesuffix(b"\r\n")
