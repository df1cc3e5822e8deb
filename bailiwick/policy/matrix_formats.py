"""The matrix as Markdown, HTML, CSV and JSON. Every name and word is escaped for the format it goes into."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping
from typing import Literal

from bailiwick.match.in_words import matcher_in_words
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import ReadGrant, ResourceScope, WriteGrant
from bailiwick.policy.matrix import Cell, Matrix
from bailiwick.policy.words import conditions_in_words, mask_in_words

Format = Literal["markdown", "html", "csv", "json"]
NOTHING = "nothing"
_style = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;width:100%;margin:0 0 2rem}"
    "th,td{border:1px solid #c9ced6;padding:.5rem .75rem;text-align:left;vertical-align:top}"
    "thead th{background:#f1f3f6}ul{margin:0;padding-left:1.1rem}.none{color:#737a86}.note{color:#5a4300}"
)


def render(found: Matrix, form: Format) -> str:
    """Return the matrix in a format, ending in a line end."""
    forms = {"markdown": _markdown, "html": _html, "csv": _csv, "json": _json}
    return forms[form](found)


def _title(found: Matrix) -> str:
    return "What agents may do" + (f" in task {found.task}" if found.task is not None else "")


def _cells_of(found: Matrix, agent: str) -> list[Cell]:
    return [cell for cell in found.cells if cell.agent == agent]


def _markdown(found: Matrix) -> str:
    lines = [f"# {_in_markdown(_title(found))}", ""]
    if len(found.agents) > 1:
        lines += [_row(["agent", *found.resources]), _row(["---"] * (len(found.resources) + 1))]
        lines += [_row([agent, *(cell.short for cell in _cells_of(found, agent))]) for agent in found.agents] + [""]
    for agent in found.agents:
        lines += [f"## {_in_markdown(agent)}", "", "| resource | may | in detail |", "|---|---|---|"]
        for cell in _cells_of(found, agent):
            words = "<br>".join(_in_markdown(line) for line in cell.words)
            verbs = ", ".join(cell.verbs) or NOTHING
            lines.append(f"| {_in_markdown(cell.resource)} | {verbs} | {words} |")
        lines.append("")
    lines += [f"*{_in_markdown(note)}*\n" for note in found.notes]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(_in_markdown(cell) for cell in cells)} |"


def _in_markdown(text: str) -> str:
    for character in "\\|<>*_[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _html(found: Matrix) -> str:
    title = html.escape(_title(found))
    parts = [
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>',
        f"<style>{_style}</style>\n</head>\n<body>\n<h1>{title}</h1>",
    ]
    if len(found.agents) > 1:
        parts.append(_html_overview(found))
    for agent in found.agents:
        parts.append(f"<h2>{html.escape(agent)}</h2>\n<table>")
        parts.append("<thead><tr><th>resource</th><th>may</th><th>in detail</th></tr></thead>\n<tbody>")
        parts += [_html_row(cell) for cell in _cells_of(found, agent)]
        parts.append("</tbody>\n</table>")
    parts += [f'<p class="note">{html.escape(note)}</p>' for note in found.notes]
    return "\n".join([*parts, "</body>\n</html>\n"])


def _html_overview(found: Matrix) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("agent", *found.resources))
    rows = [
        f"<tr><th>{html.escape(agent)}</th>"
        + "".join(f"<td>{html.escape(cell.short)}</td>" for cell in _cells_of(found, agent))
        + "</tr>"
        for agent in found.agents
    ]
    return "\n".join([f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>", *rows, "</tbody>\n</table>"])


def _html_row(cell: Cell) -> str:
    words = "".join(f"<li>{html.escape(line)}</li>" for line in cell.words)
    verbs = html.escape(", ".join(cell.verbs)) or f'<span class="none">{NOTHING}</span>'
    detail = f"<ul>{words}</ul>" if words else ""
    return f"<tr><th>{html.escape(cell.resource)}</th><td>{verbs}</td><td>{detail}</td></tr>"


def _csv(found: Matrix) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["agent", "task", "resource", "verbs", "words"])
    for cell in found.cells:
        row = (cell.agent, found.task or "", cell.resource, " ".join(cell.verbs), "\n".join(cell.words))
        writer.writerow([_in_csv(text) for text in row])
    return out.getvalue()


def _in_csv(text: str) -> str:
    """A spreadsheet takes such a beginning for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _json(found: Matrix) -> str:
    cells: list[JsonValue] = [_cell_as_json(cell, found.task) for cell in found.cells]
    notes: list[JsonValue] = [*found.notes]
    return json.dumps({"task": found.task, "cells": cells, "notes": notes}, indent=2, ensure_ascii=False) + "\n"


def _cell_as_json(cell: Cell, task: str | None) -> JsonValue:
    head: dict[str, JsonValue] = {
        "agent": cell.agent,
        "task": task,
        "resource": cell.resource,
        "short": cell.short,
        "verbs": [*cell.verbs],
        "words": [*cell.words],
    }
    return head if cell.scope is None else head | _scope_as_json(cell.scope)


def _scope_as_json(scope: ResourceScope) -> dict[str, JsonValue]:
    held: dict[str, JsonValue] = {**scope.held}
    denied: list[JsonValue] = [
        {
            "grant": deny.grant,
            "rows": conditions_in_words(deny.filter),
            "fields": None if deny.fields is None else [*sorted(deny.fields)],
        }
        for deny in scope.denied_rows
    ]
    return {
        "read": [_read_as_json(read) for read in scope.reads],
        **_aggregate_as_json(scope),
        "create": [_write_as_json(write) for write in scope.creates],
        "update": [_write_as_json(write) for write in scope.updates],
        "delete": [_write_as_json(write) for write in scope.deletes],
        "denied": denied,
        "gates": held,
        "tenant": scope.resource.tenant,
    }


def _aggregate_as_json(scope: ResourceScope) -> dict[str, JsonValue]:
    told = scope.aggregate
    if told is None:
        return {}
    bounds: dict[str, JsonValue] = {"min_group": told.min_group, "groupings": told.groupings}
    reads: list[JsonValue] = [_read_as_json(read) for read in told.grants]
    return {"aggregate": {**bounds, "read": reads}}


def _read_as_json(read: ReadGrant) -> JsonValue:
    fields: dict[str, JsonValue] = {
        name: "clear" if mask is None else mask_in_words(mask) for name, mask in read.fields.items()
    }
    return {"grant": read.grant, "fields": fields, "rows": conditions_in_words(read.filter)}


def _write_as_json(write: WriteGrant) -> JsonValue:
    values: Mapping[str, JsonValue] = {name: matcher_in_words(name, write.set[name]) for name in sorted(write.set)}
    return {
        "grant": write.grant,
        "fields": [*sorted(write.fields)],
        "values": dict(values),
        "rows": conditions_in_words(write.filter),
        "batch": write.batch,
    }
