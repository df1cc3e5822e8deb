"""Addresses of e-mail, read strictly: a dot-atom and a domain name, and nothing else that the standards would allow.

What two programs could read in two ways is refused: comments, routes, groups, quoted local parts, domain literals,
`%` and `!` (which some servers route by), other scripts than ASCII, names that look like other names.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from bailiwick.match.glob import glob_matches
from bailiwick.match.scripts import deceptive

_LOCAL = re.compile(r"[A-Za-z0-9_'+=&~#-]+(?:\.[A-Za-z0-9_'+=&~#-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"""[\w .,'()&/+-]*""")
_DOMAIN_LIKE = re.compile(r"(?i)\b[a-z0-9-]+\.[a-z]{2,}\b")
_longest = 254
_longest_local = 64
_longest_name = 128


@dataclass(frozen=True, slots=True)
class Address:
    """`local@domain`; the domain in lower case."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text is not taken, in words without a value of it, and what to write."""

    message: str
    remedy: str = "write it as `name@example.com`"


def read_address(text: object) -> Address | Fault:
    """Return the address that a text is. Nothing is trimmed, unfolded or guessed."""
    if not isinstance(text, str):
        return Fault("an address is a text")
    if not text or len(text) > _longest:
        return Fault("an address is empty or longer than 254 characters")
    if not text.isascii():
        return Fault("an address has other characters than ASCII", "write its domain in ASCII, as in `xn--…`")
    local, at, domain = text.rpartition("@")
    if not at or len(local) > _longest_local or not _LOCAL.fullmatch(local) or local.startswith("-"):
        return Fault("an address is not a plain `name@domain`")
    return _with_domain(local, domain)


def _with_domain(local: str, domain: str) -> Address | Fault:
    labels = domain.lower().split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        return Fault("the domain of an address is not a domain name")
    if labels[-1].isdigit() or not any(each.isalpha() for each in labels[-1]):
        return Fault("the domain of an address is not a domain name")
    if any(label[2:4] == "--" and not _is_a_label(label) for label in labels):
        return Fault("the domain of an address looks like another one, or is no valid IDN")
    return Address(local, ".".join(labels))


def _is_a_label(label: str) -> bool:
    """Return whether an `xn--` label stands for a name in one script that looks like no ASCII name."""
    if not label.startswith("xn--"):
        return False
    try:
        name = label[4:].encode("ascii").decode("punycode")
        same = name.encode("punycode").decode("ascii") == label[4:]
    except (UnicodeError, ValueError, OverflowError):
        return False
    if not same or not name or name.isascii() or unicodedata.normalize("NFKC", name).lower() != name:
        return False
    letters = ("Ll", "Lo", "Lm", "Mn", "Mc", "Nd")
    spelt = all(each == "-" or unicodedata.category(each) in letters for each in name)
    return spelt and not unicodedata.category(name[0]).startswith("M") and not deceptive(name)


def read_mailbox(text: object) -> Address | Fault:
    """Return the address of `Name <address>`, or of an address alone. The name is looked at, and not kept."""
    if not isinstance(text, str) or not text.endswith(">"):
        return read_address(text)
    name, opening, inner = text[:-1].partition("<")
    if not opening or "<" in inner or not name.endswith((" ", '"')) or not name.strip():
        return Fault("a mailbox is not `Name <name@example.com>`")
    name = name.strip(" ")
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        name = name[1:-1]
    wrong = name_fault(name)
    return read_address(inner) if wrong is None else wrong


def name_fault(name: str) -> Fault | None:
    """Return why a display name is not taken: it could be read as an address, or as another name."""
    advice = "leave the name out"
    plain = unicodedata.normalize("NFKC", name)
    if len(name) > _longest_name:
        return Fault("the name of a mailbox is too long", advice)
    if "@" in plain or "=?" in plain or _DOMAIN_LIKE.search(plain):
        return Fault("the name of a mailbox reads like an address", advice)
    if plain != name or not _NAME.fullmatch(name) or deceptive(name):
        return Fault("the name of a mailbox has characters that could be read as others", advice)
    return None


def is_internal(domain: str, internal: tuple[str, ...]) -> bool:
    """Return whether a domain is one of the organisation's: equal to a pattern, or matching one with `*`."""
    return any(glob_matches(pattern.lower(), domain) for pattern in internal)


def canonical_address(text: str) -> str:
    """Return a text as `read_address` would have it; a text that is no address as it is."""
    found = read_mailbox(text)
    return text if isinstance(found, Fault) else str(found)
