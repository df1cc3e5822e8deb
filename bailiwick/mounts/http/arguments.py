"""A request as arguments, and arguments as a request: what was checked is what is sent, never the text. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from urllib.parse import quote, unquote_to_bytes

from bailiwick.match.routes import path_of
from bailiwick.model.decision import Denial
from bailiwick.model.route import FILE_FACTS, WHOLE_BODY, Route, listed_types
from bailiwick.mounts.http.envelope import Head
from bailiwick.mounts.http.multipart import Part, PartsError, read_parts, write_parts
from bailiwick.mounts.mcp.message import Json, MalformedError, read_strictly, write

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,14})?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_longest_text = 16 * 1024
_safe = "-._~:@,/"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it is sent: path and query below the mount's URL, headers that are arguments, body."""

    target: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    content: str


class RefusedError(Exception):
    """A request whose parts are no arguments of its route."""

    def __init__(self, denial: Denial, status: int) -> None:
        super().__init__(denial.message)
        self.denial = denial
        self.status = status


def _malformed(message: str, remedy: str = "", status: int = 400) -> RefusedError:
    return RefusedError(Denial("protocol_violation", message, "", remedy), status)


@dataclass(frozen=True, slots=True)
class Given:
    """What a request gives its route."""

    arguments: dict[str, Json]
    files: Mapping[str, bytes]
    """Name of a part → what the file holds; how it is called, its type and size are arguments."""


def gather(route: Route, values: Mapping[str, str], head: Head, body: bytes) -> Given:
    """Return what a request gives its route. Raises RefusedError."""
    found: dict[str, Json] = {}
    files: dict[str, bytes] = {}
    for name, value in values.items():
        found[f"path.{name}"] = _typed(f"path.{name}", route.variables.get(name, "string"), value)
    if head.query:
        found.update(_fields(head.query, "query", route.query))
    for name, type_ in route.headers.items():
        if name in head.headers:
            found[f"header.{name}"] = _typed(f"header.{name}", type_, head.headers[name])
    if body:
        found.update(_body(route, head, body, files))
    return Given(found, files)


def _typed(name: str, type_: str, text: str) -> Json:
    """Return what a text stands for."""
    if type_ == "string" and len(text) <= _longest_text:
        return text
    if type_ == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if type_ == "number" and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if type_ == "boolean" and text in ("true", "false"):
        return text == "true"
    raise _malformed(f"`{name}` is not of type {type_}", f"give it as {type_}, in its plain spelling")


def _fields(text: str, where: str, known: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    seen: dict[str, list[Json]] = {}
    for pair in text.split("&"):
        raw, sign, rest = pair.partition("=")
        name, value = _unquoted(raw, where), _unquoted(rest, where)
        if not sign or not name:
            raise _malformed(f"the {where} has a part that is not `name=value`")
        if name not in known:
            raise _unknown(f"{where}.{name}", [f"{where}.{each}" for each in known])
        several = each_of(known[name])
        if name in seen and several is None:
            raise _malformed(f"the {where} has a name twice", "give each once")
        argument = f"{WHOLE_BODY if where == 'form' else where}.{name}"
        seen.setdefault(name, []).append(_typed(argument, several or known[name], value))
        if several is None:
            yield argument, seen[name][0]
    for name, values in seen.items():
        if each_of(known[name]) is not None:
            yield f"{WHOLE_BODY if where == 'form' else where}.{name}", values


def each_of(type_: str) -> str | None:
    """Return the type of each value of what may stand several times; None: it stands once."""
    return next((each for several, each in listed_types.items() if several == type_), None)


def _unquoted(text: str, where: str) -> str:
    if _BAD_ESCAPE.search(text) or not text.isascii():
        raise _malformed(f"the {where} has `%` before what are no two hexadecimal digits, or bytes beyond ASCII")
    try:
        value = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(f"the {where} does not hold UTF-8") from None
    if "\0" in value:
        raise _malformed(f"the {where} has a zero byte")
    return value


def _unknown(name: str, known: list[str]) -> RefusedError:
    message = f"`{name[:100]}` is not an argument of this route"
    allowed = ", ".join(f"`{each}`" for each in known[:12])
    return RefusedError(Denial("argument_not_granted", message, allowed, "leave it out"), 403)


_MEDIA = {"json": "application/json", "form": "application/x-www-form-urlencoded", "multipart": "multipart/form-data"}


def _body(route: Route, head: Head, body: bytes, files: dict[str, bytes]) -> Iterator[tuple[str, Json]]:
    content = head.content
    if route.kind == "none":
        raise _malformed("this route takes no body", "leave it out")
    if content != route.kind:
        raise _malformed("this route takes a body of another type", f"send `{_MEDIA[route.kind]}`", 415)
    if content == "multipart":
        try:
            yield from _parts(route.body, read_parts(body, head.boundary), files)
        except PartsError as error:
            raise _malformed(f"the body is not taken: {error}") from None
        return
    if content == "form":
        try:
            yield from _fields(body.decode("ascii"), "form", route.body)
        except UnicodeDecodeError:
            raise _malformed("the form has bytes that stand escaped there") from None
        return
    try:
        value = read_strictly(body)
    except MalformedError as error:
        raise _malformed(f"the body is not taken: {error.message}") from None
    if "" in route.body:
        yield WHOLE_BODY, _of_type(WHOLE_BODY, route.body[""], value)
        return
    yield from _flat(_tree(tuple(route.body.items())), value, WHOLE_BODY)


def _parts(known: Mapping[str, str], parts: list[Part], files: dict[str, bytes]) -> Iterator[tuple[str, Json]]:
    seen: dict[str, list[Json]] = {}
    for part in parts:
        name, type_ = part.name, known.get(part.name)
        argument = f"{WHOLE_BODY}.{name}"
        if type_ is None:
            raise _unknown(argument, [f"{WHOLE_BODY}.{each}" for each in known])
        if (type_ == "file") is not bool(part.file):
            raise _malformed(f"`{argument}` is {'a file' if type_ == 'file' else 'no file'}", "send it so")
        several = each_of(type_)
        if (name in seen and several is None) or name in files:
            raise _malformed("the body has a part twice", "give each once")
        if type_ == "file":
            files[name] = part.data
            facts: dict[str, Json] = {"name": part.file, "type": part.type, "size": len(part.data)}
            yield from ((f"{argument}.{fact}", facts[fact]) for fact in FILE_FACTS)
            continue
        try:
            value = part.data.decode("utf-8")
        except UnicodeDecodeError:
            raise _malformed(f"`{argument}` does not hold UTF-8") from None
        if "\0" in value:
            raise _malformed(f"`{argument}` has a zero byte")
        seen.setdefault(name, []).append(_typed(argument, several or type_, value))
    for name, values in seen.items():
        yield f"{WHOLE_BODY}.{name}", values if each_of(known[name]) is not None else values[0]


Tree = Mapping[str, "str | Tree"]


@lru_cache(maxsize=4096)
def _tree(paths: tuple[tuple[str, str], ...]) -> Tree:
    """Return the keys of a body as they are nested."""
    root: dict[str, object] = {}
    for path, type_ in paths:
        *way, last = path.split(".")
        at = root
        for key in way:
            at = cast("dict[str, object]", at.setdefault(key, {}))
        at[last] = type_
    return cast("Tree", root)


def _flat(tree: Tree, value: Json, at: str) -> Iterator[tuple[str, Json]]:
    if not isinstance(value, dict):
        raise _malformed(f"`{at}` is not an object", "send it as one")
    for key, inner in cast("dict[str, Json]", value).items():
        known = tree.get(key)
        if known is None:
            raise _unknown(f"{at}.{key}", [f"{at}.{each}" for each in tree])
        if isinstance(known, str):
            yield f"{at}.{key}", _of_type(f"{at}.{key}", known, inner)
        else:
            yield from _flat(known, inner, f"{at}.{key}")


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def _of_type(name: str, type_: str, value: Json) -> Json:
    fits = type_ == "any" or (isinstance(value, _TYPES[type_]) and (type_ == "boolean" or not isinstance(value, bool)))
    if not fits:
        raise _malformed(f"`{name}` is not of type {type_}", f"give it as {type_}")
    return value


def outgoing(route: Route, arguments: Mapping[str, Json], files: Mapping[str, bytes] | None = None) -> Outgoing:
    """Return the request that exactly these arguments are, with what their files hold. Raises RefusedError."""
    values = {name: _text(arguments[f"path.{name}"]) for name in route.variables}
    query = _encoded("query", route.query, arguments)
    headers = tuple(
        (name, _text(arguments[f"header.{name}"])) for name in route.headers if f"header.{name}" in arguments
    )
    if any(not (value.isascii() and value.isprintable()) for _, value in headers):
        raise _malformed("a header's value is not printable ASCII", "send it so")
    body, content = b"", ""
    if route.kind == "form":
        body, content = _encoded(WHOLE_BODY, route.body, arguments).encode(), "application/x-www-form-urlencoded"
    elif route.kind == "json":
        value = arguments.get(WHOLE_BODY) if "" in route.body else _nested(route.body, arguments)
        body, content = (b"" if value is None else write(value)), "application/json"
    elif route.kind == "multipart":
        body, content = _of_parts(route, arguments, files or {})
    return Outgoing(path_of(route.path, values), query, headers, body, content if body else "")


def _of_parts(route: Route, arguments: Mapping[str, Json], files: Mapping[str, bytes]) -> tuple[bytes, str]:
    parts: list[Part] = []
    for name, type_ in route.body.items():
        argument = f"{WHOLE_BODY}.{name}"
        if type_ == "file" and any(f"{argument}.{fact}" in arguments for fact in FILE_FACTS):
            called, kind, size = (arguments.get(f"{argument}.{fact}") for fact in FILE_FACTS)
            data = files.get(name)
            if data is None or size != len(data) or not isinstance(called, str) or not isinstance(kind, str):
                raise _malformed(f"the file `{argument}` is not there", "send it with the request")
            parts.append(Part(name, data, called, kind))
        elif argument in arguments:
            parts += [Part(name, _text(value).encode()) for value in values_of(type_, arguments[argument])]
    try:
        return write_parts(parts) if parts else (b"", "")
    except PartsError as error:
        raise _malformed(f"the body cannot be sent: {error}") from None


def _encoded(where: str, names: Mapping[str, str], arguments: Mapping[str, Json]) -> str:
    return "&".join(
        f"{quote(name, safe='-._~')}={quote(_text(value), safe=_safe)}"
        for name in names
        if f"{where}.{name}" in arguments
        for value in values_of(names[name], arguments[f"{where}.{name}"])
    )


def values_of(type_: str, value: Json) -> list[Json]:
    """Return the values of an argument, each of which stands by itself."""
    return cast("list[Json]", value) if each_of(type_) is not None and isinstance(value, list) else [value]


def _nested(paths: Mapping[str, str], arguments: Mapping[str, Json]) -> Json:
    found: dict[str, object] = {}
    for path in paths:
        if f"{WHOLE_BODY}.{path}" in arguments:
            *way, last = path.split(".")
            at = found
            for key in way:
                at = cast("dict[str, object]", at.setdefault(key, {}))
            at[last] = arguments[f"{WHOLE_BODY}.{path}"]
    return found


def _text(value: Json) -> str:
    """Return a value as it stands in a path, query, header or form."""
    return value if isinstance(value, str) else write(value).decode()
