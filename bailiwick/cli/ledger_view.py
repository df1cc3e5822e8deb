"""How records and findings look on a terminal. What agents wrote is shown without its control characters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import typer

from bailiwick.ledger.encode import read
from bailiwick.model.record import JsonValue

if TYPE_CHECKING:
    from rich.table import Table

    from bailiwick.gateway.ledger.reader import Stored

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


def print_report(told: Mapping[str, object]) -> None:
    """Print what a verification checked and each finding."""
    size = "no valid head" if told["size"] is None else f"signed head for {_count(cast('int', told['size']), 'record')}"
    records, checkpoints = cast("int", told["records"]), cast("int", told["checkpoints"])
    typer.echo(f"checked {_count(records, 'record')} against {_count(checkpoints, 'signed checkpoint')}, {size}")
    stamps = cast("Mapping[str, object] | None", told.get("timestamps"))
    if stamps is not None:
        newest = f", the newest of {stamps['newest']} for {stamps['size']} records" if stamps["newest"] else ""
        typer.echo(f"{_count(cast('int', stamps['valid']), 'valid time-stamp')}{newest}")
    findings = cast("Sequence[Mapping[str, str]]", told["findings"])
    for finding in findings:
        typer.secho(f"{finding['kind']}: {plain(finding['text'])}", fg="red")
    if told["ok"] is True and told["root"] is not None:
        typer.secho(f"ok: nothing changed, removed, inserted, reordered or cut; root {told['root']}", fg="green")
    elif told["ok"] is not True:
        typer.echo(_count(len(findings), "finding"))


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
