"""Where the links of a message lead: hosts, of whatever a reader's program could make a link of.

Finds too much rather than too little: what a grant does not name is refused, so that a link must not be overlooked.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from bailiwick.match.top_domains import TOP_DOMAINS

_WITH_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]{1,20}):[/]{1,}([^/?#\s\"'<>()\[\]{}|^`]*)")
_WITHOUT = re.compile(r"(?i)(?:^|[\s\"'=(<>,;])//([^/?#\s\"'<>()]+)")
_WEB = re.compile(r"(?i)\b(?:https?|ftp|wss?):(?!/)([^/?#\s\"'<>()]+)")
_MAIL = re.compile(r"(?i)\bmailto:\s*([^\s\"'<>]*)")
_RUN = re.compile("[\\w.\ufffc-]+")
_WITH_PATH = re.compile(r"(?i)(?<![\w@.-])((?:[\w-]{1,63}\.)+[a-z]{2,24})(?=[:/?#]\S)")
_WWW = re.compile(r"(?i)(?<![\w.-])(www\.[\w.-]+)")
_ACTIVE = re.compile(r"(?i)(?:^|[\"'`=(,;<>\[])(?:javascript|vbscript|data|file|blob|cid|livescript):")
_UNSEEN = re.compile("[\\s\x00-\x20\x7f-\xa0]")
_longest_label = 63
UNREADABLE = "?"
"""In place of a host that cannot be told."""


def links_in(text: str, *, markup: bool = False) -> tuple[str, ...]:
    """Return the hosts of the links in a text, each once, in order; `markup`: it is HTML."""
    found: dict[str, None] = {}
    for view in _views(text, markup=markup):
        for host in _hosts(view):
            found.setdefault(_plain(host))
    return tuple(host for host in found if host)


def is_active(markup: str) -> bool:
    """Return whether HTML holds links of a kind that does something when it is followed."""
    return any(_ACTIVE.search(_UNSEEN.sub("", view)) for view in _views(markup, markup=True))


def _views(text: str, *, markup: bool) -> Iterator[str]:
    """Yield the text as programs see it: entities read, backslashes as slashes (browsers) and as what they are (others,
    for which a name and `\\` stand before the `@` of a host), also without what they leave out."""
    plain = html.unescape(html.unescape(text)) if markup else text
    plain = unicodedata.normalize("NFKC", plain).replace("\u3002", ".")
    plain = re.sub("[\u200b-\u200f\u2060-\u206f\ufeff\u00ad]", "", plain)
    if "\\" in plain:
        yield plain
        plain = plain.replace("\\", "/")
    yield plain
    if markup:
        yield re.sub(r"[\t\r\n\x00-\x08]", "", plain)
        yield re.sub(r"<[^<>]*>", "", plain)


def _hosts(text: str) -> Iterator[str]:
    for found in _WITH_SCHEME.finditer(text):
        yield found[2] or UNREADABLE
    for shape in (_WITHOUT, _WEB, _WWW, _WITH_PATH):
        for found in shape.finditer(text):
            yield found[1]
    for found in _RUN.finditer(text):
        yield _bare(text, found.start(), found.end())
    for found in _MAIL.finditer(text):
        for address in re.split(r"[,;&?]", unquote(found[1])):
            yield address.rpartition("@")[2] if "@" in address else ""


def _bare(text: str, start: int, end: int) -> str:
    """Return the host that a run of letters, dots and hyphens is by its ending; empty: it is none, or of an address."""
    run = text[start:end]
    if "." not in run or _is_of_address(text, start, end):
        return ""
    labels = run.split(".")
    before = text[start - 1] if start else " "
    strange = not labels[0] and not before.isspace() and before not in "\"'()[]<>,;:!?"
    first, host = 0, ""
    for number, label in enumerate(labels):
        if not 0 < len(label) <= _longest_label:
            first = number + 1
        elif _ends_hosts(label) and (number > first or (strange and number == 1)):
            host = ".".join(labels[first : number + 1]) if number > first else UNREADABLE
    return host


def _is_of_address(text: str, start: int, end: int) -> bool:
    """Return whether a run is what stands before, or behind, the `@` of an address."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if len(after) == 2 and after[0] == "@" and after[1].isalnum():
        return True
    leads_on = len(after) == 2 and after[0] in "/:?#" and not after[1].isspace()
    return not leads_on and len(before) == 2 and before[1] == "@" and not before[0].isspace()


def _ends_hosts(label: str) -> bool:
    plain = label.lower()
    if plain.isascii():
        return plain in TOP_DOMAINS or plain.startswith("xn--")
    return plain.isalpha() and f"xn--{plain.encode('punycode').decode()}" in TOP_DOMAINS


def _plain(host: str) -> str:
    """Return a host as a program would ask for it: without a user and a port, in lower case."""
    host = unquote(host).rpartition("@")[2].partition(":")[0].strip(".,;!*_~").lower()
    if not host:
        return ""
    if host == UNREADABLE:
        return host
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return UNREADABLE
    return host if re.fullmatch(r"[a-z0-9._-]+", host) else UNREADABLE
