"""Where the links of a message lead: hosts, of whatever a reader's program could make a link of.

Finds too much rather than too little: what a grant does not name is refused, so that a link must not be overlooked.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

_WITH_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]{1,20}):[/]{1,}([^/?#\s\"'<>()\[\]{}|^`]*)")
_WITHOUT = re.compile(r"(?i)(?:^|[\s\"'=(<>,;])//([^/?#\s\"'<>()]+)")
_WEB = re.compile(r"(?i)\b(?:https?|ftp|wss?):(?!/)([^/?#\s\"'<>()]+)")
_MAIL = re.compile(r"(?i)\bmailto:\s*([^\s\"'<>]*)")
_BARE = re.compile(
    r"(?i)(?<![\w@.-])((?:[\w-]{1,63}\.)+(?:www\.)?"
    r"(?:com|net|org|io|co|uk|de|fr|eu|us|info|biz|app|dev|ai|me|ly|gg|xyz|site|online|shop|top|cc|tv|to|link|click"
    r"|ru|cn|in|jp|ch|at|nl|it|es|pl|se|no|ca|au|br|xn--[a-z0-9-]+))(?![\w-])"
)
_WITH_PATH = re.compile(r"(?i)(?<![\w@.-])((?:[\w-]{1,63}\.)+[a-z]{2,24})(?=[:/?#]\S)")
_WWW = re.compile(r"(?i)(?<![\w.-])(www\.[\w.-]+)")
_ACTIVE = re.compile(r"(?i)(?:javascript|vbscript|data|file|blob|cid|livescript):")
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
    return any(_ACTIVE.search(re.sub(r"\s", "", view)) for view in _views(markup, markup=True))


def _views(text: str, *, markup: bool) -> Iterator[str]:
    """Yield the text as programs see it: entities read, backslashes as slashes, also without what they leave out."""
    plain = html.unescape(html.unescape(text)) if markup else text
    plain = unicodedata.normalize("NFKC", plain).replace("\\", "/").replace("\u3002", ".")
    plain = re.sub("[\u200b-\u200f\u2060-\u206f\ufeff\u00ad]", "", plain)
    yield plain
    if markup:
        yield re.sub(r"[\t\r\n\x00-\x08]", "", plain)
        yield re.sub(r"<[^<>]*>", "", plain)


def _hosts(text: str) -> Iterator[str]:
    for found in _WITH_SCHEME.finditer(text):
        yield found[2] or UNREADABLE
    for shape in (_WITHOUT, _WEB, _WWW, _BARE, _WITH_PATH):
        for found in shape.finditer(text):
            yield found[1]
    for found in _MAIL.finditer(text):
        for address in re.split(r"[,;&?]", unquote(found[1])):
            yield address.rpartition("@")[2] if "@" in address else ""


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
