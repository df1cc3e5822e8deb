"""Approvals in words for a terminal. Agents wrote parts of what is shown: no character of theirs acts on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

_apart = frozenset({"shown", "parameters", "arguments", "history", "needs", "statement", "purpose", "message"})


def plain(text: str) -> str:
    """Return a text on one line in which nothing moves a cursor, turns a direction or hides: escaped instead."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def lines_of(found: Mapping[str, Json]) -> Iterator[str]:
    """Yield an approval in full."""
    for name, value in found.items():
        if name not in _apart:
            yield f"{name:<11}{_cell(value)}"
    for need in cast("Sequence[Mapping[str, Json]]", found["needs"]):
        groups = _cell(need["groups"]) if need["groups"] else "any reviewer"
        yield f"needs      {need['missing']} of {need['quorum']} for gate {_cell(need['gate'])}: {groups}"
    for name in ("message", "purpose"):
        if found[name]:
            says = "the policy says" if name == "message" else "the agent says"
            yield f"{says}: {_cell(found[name])}"
    if "statement" in found:
        yield from (f"  {plain(line)}" for line in cast("str", found["statement"]).splitlines())
        parameters = cast("Mapping[str, Json]", found["parameters"])
        for place, value in enumerate(cast("Sequence[Json]", parameters["values"]), 1):
            yield f"{f'${place}':<11}{'NULL' if value is None else _cell(value)}"
    else:
        content = found["arguments"]
        for name, value in content.items() if isinstance(content, dict) else ():
            yield f"  {plain(name)}: {plain(json.dumps(value, ensure_ascii=False))}"
    for row in cast("Sequence[Mapping[str, Json]]", found["shown"]):
        yield f"row {_cell(row['key'])}"
        yield from (f"  {line}" for line in _differences(row))
    for line in cast("Sequence[Mapping[str, Json]]", found["history"]):
        said = f": {_cell(line['text'])}" if line["text"] else ""
        to = f" to {_cell(line['groups'])}" if line["groups"] else ""
        yield f"{str(line['at'])[:19]} {line['kind']} by {_cell(line['by'])}{to}{said}"


def table_of(approvals: Sequence[Mapping[str, Json]]) -> None:
    """Print approvals as a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("approval", "state", "agent", "user", "actions", "gates", "rows", "held at"):
        table.add_column(title, overflow="fold", no_wrap=title == "approval")
    for each in approvals:
        names = ("id", "state", "agent", "user", "actions", "gates", "rows", "made_at")
        table.add_row(*(escape(_cell(each[name])) for name in names))
    Console().print(table)


def _differences(row: Mapping[str, Json]) -> list[str]:
    """Return what a change does to one row: new values, each with the old one; all values of one that comes or goes."""
    before = cast("Mapping[str, str | None] | None", row["before"])
    after = cast("Mapping[str, str | None] | None", row["after"])
    changed = cast("Sequence[str]", row["changed"])
    if before is None or after is None:
        sign = "-" if after is None else "+"
        return [f"{sign} {plain(name)}: {_value(value)}" for name, value in (before or after or {}).items()]
    told = [f"{plain(name)}: {_value(before.get(name))} -> {_value(after.get(name))}" for name in changed]
    return told or ["as it was"]


def _value(value: str | None) -> str:
    return "NULL" if value is None else repr(value)


def _cell(value: Json) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(_cell(each) for each in value)
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
