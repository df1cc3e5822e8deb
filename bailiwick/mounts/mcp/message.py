"""JSON-RPC messages: strict reading of what agents send, faithful reading of what servers send. No I/O.

What two parsers could read differently is refused from agents: a key that stands twice, or in two spellings that differ
in case alone; numbers that are none; lone surrogates; batches. What is checked is what is sent on: never the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

import orjson

Json = object
"""None, bool, int, float, str, list or dict of these: as the parsers give it."""
Id = str | int
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

deepest = 64
"""Nesting of what an agent sends."""
_most_digits = 400
_longest_id = 256
_strings = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_brackets = re.compile(rb"[\[\]{}]")
_digits = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in range(256))
_long_number = b"0" * 18
_envelope = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})


class MalformedError(Exception):
    """What an agent sent is no message. `code` is JSON-RPC's; the text tells what is wrong, and no value of it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an agent. A response has no method; a notification no id."""

    kind: Literal["request", "notification", "response"]
    id: Id | None
    method: str
    params: Mapping[str, Json]


def read_message(data: bytes) -> Message:
    """Return the one message that an agent's bytes hold. Raises MalformedError."""
    found = read_strictly(data)
    if isinstance(found, list):
        raise MalformedError(INVALID_REQUEST, "batches are not part of this protocol")
    if not isinstance(found, dict):
        raise MalformedError(INVALID_REQUEST, "a message is a JSON object")
    given = cast("dict[str, Json]", found)
    strange = [key for key in given if key not in _envelope]
    if strange:
        raise MalformedError(INVALID_REQUEST, "a message has only jsonrpc, id, method, params, result and error")
    if given.get("jsonrpc") != "2.0":
        raise MalformedError(INVALID_REQUEST, "`jsonrpc` is not `2.0`")
    return _classified(given)


def _classified(given: Mapping[str, Json]) -> Message:
    method, identity, params = given.get("method"), given.get("id"), given.get("params", {})
    if "id" in given and not _is_id(identity):
        raise MalformedError(INVALID_REQUEST, "`id` is neither a short text nor a whole number")
    if method is None:
        if "id" not in given or ("result" in given) == ("error" in given) or "params" in given:
            raise MalformedError(INVALID_REQUEST, "neither a request nor a notification nor a response")
        return Message("response", cast("Id", identity), "", given)
    if not isinstance(method, str) or not 0 < len(method) <= 128:
        raise MalformedError(INVALID_REQUEST, "`method` is not a short text")
    if "result" in given or "error" in given:
        raise MalformedError(INVALID_REQUEST, "a request and a response in one")
    if not isinstance(params, dict):
        raise MalformedError(INVALID_REQUEST, "`params` is not an object")
    found = cast("dict[str, Json]", params)
    if "id" not in given:
        return Message("notification", None, method, found)
    return Message("request", cast("Id", identity), method, found)


def _is_id(found: Json) -> bool:
    if isinstance(found, str):
        return 0 < len(found) <= _longest_id
    return isinstance(found, int) and not isinstance(found, bool) and -(2**53) < found < 2**53


def read_strictly(data: bytes) -> Json:
    """Return the value of JSON that every parser reads the same way. Raises MalformedError."""
    if data.count(b"[") + data.count(b"{") > deepest and _depth(data) > deepest:
        raise MalformedError(PARSE_ERROR, f"nested deeper than {deepest}")
    try:
        text = data.decode("utf-8")
        found = cast("Json", _strict.decode(text))
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate cannot be sent on
    except MalformedError:
        raise
    except (ValueError, RecursionError):
        raise MalformedError(PARSE_ERROR, "not JSON in UTF-8") from None
    return found


def _depth(data: bytes) -> int:
    depth = most = 0
    for bracket in _brackets.findall(_strings.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        most = max(most, depth)
    return most


def _object(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError(PARSE_ERROR, "a key stands twice in one object")
    if len(found) > 1 and len({key.casefold() for key in found}) != len(found):
        raise MalformedError(PARSE_ERROR, "two keys of one object differ in case alone")
    return found


def _no_number(_: str) -> NoReturn:
    raise MalformedError(PARSE_ERROR, "a number that JSON does not have")


def _int(text: str) -> int:
    if len(text) > _most_digits:
        raise MalformedError(PARSE_ERROR, "a number with too many digits")
    return int(text)


def _float(text: str) -> float:
    found = float(text) if len(text) <= _most_digits else float("inf")
    if found in (float("inf"), float("-inf")):
        raise MalformedError(PARSE_ERROR, "a number that is too large")
    return found


_strict = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number, parse_int=_int, parse_float=_float)


def read_faithfully(data: bytes) -> Json:
    """Return the value of a server's JSON, with whole numbers exact. Raises ValueError."""
    if _long_number not in data.translate(_digits):
        return cast("Json", orjson.loads(data))
    try:
        return cast("Json", json.loads(data, parse_constant=_no_number))
    except (RecursionError, MalformedError):
        raise ValueError("not JSON") from None


def write(value: Json) -> bytes:
    """Return a value as JSON on one line."""
    try:
        return orjson.dumps(value)
    except TypeError:  # whole numbers beyond 64 bits
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()


def result_of(identity: Id | None, result: Json) -> dict[str, Json]:
    """Return a successful response."""
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def error_of(identity: Id | None, code: int, message: str, data: Json = None) -> dict[str, Json]:
    """Return an error response."""
    error: dict[str, Json] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": identity, "error": error}
