"""Headers of messages: fields, encoded words, mailboxes, content types. Each has one reading, or is refused."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from bailiwick.match.file_paths import path_problem
from bailiwick.mounts.email.bodies import Refusal, charset_of, text_in

most_headers = 64
longest_header = 16 * 1024
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9-]{0,76}")
_WORD = re.compile(r"=\?([A-Za-z0-9-]{1,40})\?([BbQq])\?([!->@-~]{0,200})\?=")
_Q = re.compile(r"(?:[!-<>-~]|=[0-9A-F]{2})*")
_ATOM = r"[A-Za-z0-9!#$%&'+.^_`{|}~-]+"
_TYPE = re.compile(rf"({_ATOM})/({_ATOM})")
_PARAMETER = re.compile(rf';[ \t]*({_ATOM})=(?:({_ATOM}|[A-Za-z0-9\'()+_,./:=?-]+)|"([^"\\\x00-\x1f]*)")[ \t]*')
_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=?-]{1,70}")
_PARAMETERS = frozenset({"charset", "format", "delsp", "boundary", "name"})
_FILENAME = re.compile(r';[ \t]*filename=(?:([A-Za-z0-9_.+-]+)|"([^"\\\x00-\x1f]*)")[ \t]*', re.IGNORECASE)
_FILENAME_CODED = re.compile(
    r";[ \t]*filename\*=utf-8'[A-Za-z-]{0,20}'((?:[A-Za-z0-9_.+-]|%[0-9A-Fa-f]{2})+)[ \t]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Content:
    """What a part is."""

    kind: str
    charset: str
    boundary: bytes
    name: str = ""
    """Of a file, where it is said here."""


def read_headers(data: bytes) -> tuple[dict[str, str], bytes]:
    """Return the fields of a head, by name in small letters and unfolded, and what follows it. Raises Refusal."""
    if data.startswith(b"\r\n"):
        return {}, data[2:]
    head, gap, body = data.partition(b"\r\n\r\n")
    if not head.isascii():
        raise Refusal("a header has other characters than ASCII")
    fields: list[tuple[str, str]] = []
    for line in head.removesuffix(b"\r\n").split(b"\r\n") if head else ():
        if line[:1] in (b" ", b"\t"):
            if not fields or not line.strip():
                raise Refusal("a header is folded where it may not be")
            fields[-1] = (fields[-1][0], fields[-1][1] + " " + line.strip(b" \t").decode("ascii"))
            continue
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise Refusal("a line of the head is no header")
        fields.append((name.decode("ascii").lower(), value.strip(b" \t").decode("ascii")))
    found = dict(fields)
    if len(fields) > most_headers or any(len(value) > longest_header for value in found.values()):
        raise Refusal("the message has too many headers, or too long ones")
    if len(found) < len(fields):
        raise Refusal("a header stands twice")
    if any(not value.replace("\t", " ").isprintable() for value in found.values()):
        raise Refusal("a header has characters that cannot be seen")
    return found, body if gap else b""


def text_of(value: str) -> str:
    """Return the text of a header, its encoded words read (RFC 2047). Raises Refusal for what only resembles one."""
    found: list[str] = []
    at, encoded = 0, False
    for word in _WORD.finditer(value):
        between = value[at : word.start()]
        if "=?" in between or (between and not between.endswith((" ", "\t"))):
            raise Refusal("a header has something that resembles an encoded word")
        found.append("" if encoded and not between.strip() else between)
        found.append(_decoded(word[1], word[2].upper(), word[3]))
        at, encoded = word.end(), True
    rest = value[at:]
    if "=?" in rest or (encoded and rest and not rest.startswith((" ", "\t"))):
        raise Refusal("a header has something that resembles an encoded word")
    text = "".join([*found, rest])
    if "=?" in text:
        raise Refusal("a header has an encoded word within another one")
    return text


def _decoded(charset: str, how: str, data: str) -> str:
    charset_of(charset)
    try:
        if how == "B":
            plain = base64.b64decode(data, validate=True)
            if base64.b64encode(plain).decode() != data:
                raise Refusal("an encoded word is not what it says")
            return text_in(plain, charset)
    except binascii.Error:
        raise Refusal("an encoded word is not what it says") from None
    if not _Q.fullmatch(data):
        raise Refusal("an encoded word is not what it says")
    plain = re.sub(r"=([0-9A-F]{2})", lambda pair: chr(int(pair[1], 16)), data.replace("_", " "))
    return text_in(plain.encode("latin-1"), charset)


def mailboxes(name: str, value: str) -> Iterator[str]:
    """Yield the mailboxes of a list, each as `Name <address>` or `address`, its name read. Raises Refusal."""
    for each in _split(name, value):
        shown, opening, address = each.partition("<")
        if not opening:
            yield each
            continue
        if not address.endswith(">"):
            raise Refusal(f"`{name}` is no list of mailboxes")
        shown = shown.strip()
        if shown.startswith('"'):
            if len(shown) < 2 or not shown.endswith('"') or '"' in shown[1:-1]:
                raise Refusal(f"`{name}` is no list of mailboxes")
            shown = shown[1:-1]
            if "=?" in shown:
                raise Refusal(f"`{name}` has an encoded word in quotes")
        plain = text_of(shown)
        if any(each in plain for each in '<>"'):
            raise Refusal(f"`{name}` is no list of mailboxes")
        yield f"{plain} <{address}" if plain else address.removesuffix(">")


def _split(name: str, value: str) -> Iterator[str]:
    """Yield what stands between commas outside of quotes."""
    if "\\" in value:
        raise Refusal(f"`{name}` has an escape")
    part, quoted = "", False
    for each in value:
        if each == '"':
            quoted = not quoted
        elif not quoted and each in "():;[]":
            raise Refusal(f"`{name}` has a comment, a group or a route")
        if each == "," and not quoted:
            yield _one(name, part)
            part = ""
        else:
            part += each
    if quoted:
        raise Refusal(f"`{name}` ends within quotes")
    yield _one(name, part)


def _one(name: str, part: str) -> str:
    if not part.strip():
        raise Refusal(f"`{name}` has an empty entry, which means nobody")
    return part.strip()


def content_of(value: str | None) -> Content:
    """Return what a part is; plain text when it does not say. Raises Refusal."""
    if value is None:
        return Content("text/plain", "us-ascii", b"")
    found = _TYPE.match(value)
    if found is None:
        raise Refusal("a `Content-Type` cannot be read")
    given = _parameters(value, found.end())
    if not given.keys() <= _PARAMETERS:
        raise Refusal("a `Content-Type` has a parameter that is not taken")
    boundary = given.get("boundary", "")
    kind = f"{found[1]}/{found[2]}".lower()
    if boundary and (not _BOUNDARY.fullmatch(boundary) or not kind.startswith("multipart/")):
        raise Refusal("a boundary is of another form than boundaries have")
    return Content(kind, given.get("charset", "us-ascii"), boundary.encode(), text_of(given.get("name", "")))


def disposition_of(value: str | None) -> str:
    """Return whether a part is `inline` or an `attachment`. Raises Refusal for everything else."""
    if value is None:
        return "inline"
    kind = value.partition(";")[0].strip().lower()
    if kind not in ("inline", "attachment"):
        raise Refusal("a `Content-Disposition` cannot be read")
    return kind if kind == "attachment" or ";" not in value else "attachment"


def filename_of(value: str, content: Content) -> str:
    """Return the name of an attachment, which it has in one way. Raises Refusal."""
    rest = value[value.find(";") :] if ";" in value else ""
    plain, coded = _FILENAME.fullmatch(rest), _FILENAME_CODED.fullmatch(rest)
    if plain is None and coded is None and rest.strip("; \t"):
        raise Refusal("a `Content-Disposition` cannot be read in one way")
    try:
        name = text_of(plain[1] or plain[2]) if plain else unquote(coded[1], errors="strict") if coded else content.name
    except UnicodeDecodeError:
        raise Refusal("the name of an attachment is not Unicode") from None
    if (content.name and name != content.name) or not name or "/" in name or path_problem(name):
        raise Refusal("the name of an attachment is missing, or could be read in two ways")
    return name


def _parameters(value: str, at: int) -> dict[str, str]:
    found: dict[str, str] = {}
    while value[at:].lstrip(" \t"):
        at += len(value[at:]) - len(value[at:].lstrip(" \t"))
        each = _PARAMETER.match(value, at)
        if each is None or "*" in each[1] or each[1].lower() in found:
            raise Refusal("a `Content-Type` cannot be read in one way")
        found[each[1].lower()] = each[2] if each[2] is not None else each[3]
        at = each.end()
    return found
