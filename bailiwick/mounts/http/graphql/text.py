"""An agent's GraphQL request before any parser sees its document: what it may hold, and how large it may be. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from bailiwick.model.decision import Denial, DenialCode
from bailiwick.mounts.mcp.message import Json, MalformedError, read_strictly

longest_document = 32 * 1024
most_tokens = 2000
deepest_brackets = 24
_KEYS = frozenset({"query", "variables", "operationName", "extensions"})
_TOKEN = re.compile(
    r'"""(?:\\"""|[^"]|"(?!""))*"""'  # a block of text
    r'|"(?:\\.|[^"\\\r\n])*"'
    r"|#[^\r\n]*"
    r"|[_A-Za-z][_0-9A-Za-z]*|-?[0-9][0-9A-Za-z.+-]*|\.\.\.|[!$&()\[\]{}:=@|]"
    r"|[\s,\ufeff]+"
)


class UnreadableError(Exception):
    """An operation that is not looked at any further."""

    def __init__(self, denial: Denial, status: int = 400) -> None:
        super().__init__(denial.message)
        self.denial = denial
        self.status = status


def unreadable(
    message: str, remedy: str = "", code: DenialCode = "protocol_violation", allowed: str = "", status: int = 400
) -> UnreadableError:
    """Return why an operation is not looked at."""
    return UnreadableError(Denial(code, message, allowed, remedy), status)


@dataclass(frozen=True, slots=True)
class Posted:
    """What an agent posted."""

    document: str
    variables: Mapping[str, Json]
    operation: str
    """The name that it asks for; empty: none."""


def read_posted(body: bytes) -> Posted:
    """Return the one operation that a body holds. Raises UnreadableError."""
    try:
        found = read_strictly(body)
    except MalformedError as error:
        raise unreadable(f"the body is not taken: {error.message}") from None
    if isinstance(found, list):
        raise unreadable("several operations in one request are not taken", "send one object")
    given = cast("dict[str, Json]", found) if isinstance(found, dict) else {}
    strange = [key for key in given if key not in _KEYS]
    if not isinstance(found, dict) or strange:
        raise unreadable("the body is an object with `query`, `variables` and `operationName` alone")
    if given.get("extensions"):
        raise unreadable("`extensions` are not taken, nor are operations that stand somewhere else", "send `query`")
    document, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    if not isinstance(document, str) or not document.strip():
        raise unreadable("`query` is not the text of an operation", "send it as a text")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        raise unreadable("`variables` is an object, `operationName` a text")
    _measure(document)
    return Posted(document, cast("dict[str, Json]", variables or {}), name or "")


def _measure(document: str) -> None:
    """Raise UnreadableError for a document that is too large for a parser."""
    if len(document) > longest_document:
        raise _too_large(f"the operation is longer than {longest_document} characters")
    place = tokens = depth = 0
    while place < len(document):
        found = _TOKEN.match(document, place)
        if found is None:
            raise unreadable("the operation has a character that GraphQL does not have")
        place, first = found.end(), document[place]
        if first in "\ufeff#," or first.isspace():
            continue
        tokens += 1
        depth += (first in "([{") - (first in ")]}")
        if tokens > most_tokens:
            raise _too_large(f"the operation has more than {most_tokens} words and signs")
        if depth > deepest_brackets:
            raise _too_large(f"the operation is nested deeper than {deepest_brackets}")


def _too_large(message: str) -> UnreadableError:
    return unreadable(message, "ask for less at once", "statement_too_large", status=413)
