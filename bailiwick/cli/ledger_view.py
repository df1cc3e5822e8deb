"""How records and findings look on a terminal. What agents wrote is shown without its control characters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

import typer

from bailiwick.ledger.encode import read
from bailiwick.model.record import JsonValue

if TYPE_CHECKING:
    from rich.table import Table

    from bailiwick.gateway.ledger_reader import Stored
    from bailiwick.ledger.report import Report

_COLOURS = {"allow": "green", "deny": "red", "hold": "yellow"}
_WIDE = 60


def plain(text: str) -> str:
    """Return text that cannot move the cursor or colour the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def document_of(stored: Stored) -> Mapping[str, JsonValue]:
    """Return a record's members; of one whose bytes are damaged, that alone."""
    return read(stored.body) or {"seq": stored.seq, "kind": "unreadable"}


def print_lines(records: Iterable[Stored]) -> None:
    """Print records as JSON lines, as they are stored."""
    for stored in records:
        whole = read(stored.body) is not None
        typer.echo(stored.body.decode() if whole else json.dumps(dict(document_of(stored))))


def print_table(records: Iterable[Stored], *, header: bool = True) -> None:
    """Print records as a table, one a line."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE if header else None, show_header=header, pad_edge=False)
    for name in ("seq", "at (UTC)", "kind", "agent", "user", "decision", "what", "record"):
        table.add_column(name, overflow="fold", no_wrap=name in ("seq", "at (UTC)", "record"))
    for stored in records:
        _add(table, document_of(stored))
    console = Console()
    if not console.is_terminal:
        console = Console(width=240)
    console.print(table if table.row_count else Text("no record"))


def _add(table: Table, document: Mapping[str, JsonValue]) -> None:
    from rich.text import Text

    decision = _text(document, "decision")
    code = _text(document, "code")
    shown = f"{decision} {code}".strip()
    table.add_row(
        _text(document, "seq"),
        _text(document, "at")[:23].replace("T", " "),
        _text(document, "kind"),
        _text(document, "agent"),
        _text(document, "user"),
        Text(shown, style="red" if code else _COLOURS.get(decision, "")),
        Text(_what(document)),
        _text(document, "id"),
    )


def _what(document: Mapping[str, JsonValue]) -> str:
    actions = document.get("actions")
    names = ", ".join(plain(str(action)) for action in actions) if isinstance(actions, list) else ""
    parts = [part for part in (names, _text(document, "statement") or _text(document, "message")) if part]
    if "rows" in document:
        parts.append(f"({_text(document, 'rows')} rows)")
    text = " · ".join(parts)
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"


def _text(document: Mapping[str, JsonValue], name: str) -> str:
    value = document.get(name, "")
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def print_record(stored: Stored, related: Iterable[Stored]) -> None:
    """Print one record in full, and those that belong to it in short."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in document_of(stored).items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        table.add_row(Text(name, style="bold"), Text(plain(shown)))
    Console().print(table)
    others = list(related)
    if others:
        typer.echo("\nbelonging to it:")
        print_table(others)


def print_report(report: Report) -> None:
    """Print what a verification checked and each finding."""
    size = "no valid head" if report.size is None else f"signed head for {_count(report.size, 'record')}"
    typer.echo(
        f"checked {_count(report.records, 'record')} against {_count(report.checkpoints, 'signed checkpoint')}, {size}"
    )
    for finding in report.findings:
        typer.secho(f"{finding.kind}: {plain(finding.text)}", fg="red")
    if report.sound and report.root is not None:
        typer.secho(f"ok: nothing changed, removed, inserted, reordered or cut; root {report.root.hex()}", fg="green")
    elif not report.sound:
        typer.echo(_count(len(report.findings), "finding"))


def report_as_json(report: Report) -> str:
    """Return a report as JSON."""
    findings = [
        {"kind": finding.kind, "first": finding.first, "last": finding.last, "text": finding.text}
        for finding in report.findings
    ]
    document: dict[str, object] = {
        "ok": report.sound,
        "records": report.records,
        "size": report.size,
        "root": None if report.root is None else report.root.hex(),
        "checkpoints": report.checkpoints,
        "findings": cast("object", findings),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
