"""`bailiwick ledger export` and `sql`: records for other programs, and SQL over them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from bailiwick.cli.ledger_option import DEFAULT, LedgerPlace, elsewhere, opened
from bailiwick.errors import ConfigError

if TYPE_CHECKING:
    from bailiwick.control.remote_ledger import RemoteLedger
    from bailiwick.gateway.ledger.reader import LedgerReader, Query
    from bailiwick.gateway.ledger.tables import Answer, Tables

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Filter = Annotated[str, typer.Argument(metavar="[FILTER]", help="Which records, as for `ledger query`; else all.")]
Since = Annotated[str, typer.Option(metavar="TIME", help="From then on: RFC 3339, or `2h` for two hours ago.")]
Until = Annotated[str, typer.Option(metavar="TIME", help="Before then.")]


class Form(StrEnum):
    """What an export is written as."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"
    ocsf = "ocsf"


class Shape(StrEnum):
    """How an answer is printed."""

    table = "table"
    csv = "csv"
    json = "json"


@app.command()
def export(
    wanted: Filter = "",
    form: Annotated[Form, typer.Option("--format", help="How they are written.")] = Form.jsonl,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to; else standard output.")] = None,
    since: Since = "",
    until: Until = "",
    ledger: LedgerPlace = DEFAULT,
) -> None:
    """Write records, oldest first, as JSON lines (their stored bytes), CSV, Parquet, or events of OCSF 1.8.

    For evidence that verifies by itself, see `ledger bundle`.
    """
    query = _query(wanted, since, until)
    if form is Form.parquet:
        if out is None:
            raise typer.BadParameter("a Parquet file needs `--out FILE`")
        from bailiwick.gateway.ledger.tables import Tables

        with ledger_reader(ledger) as reader, Tables() as tables, _progress() as went:
            taken = tables.take(reader.each(query), went)
            tables.write_parquet(out)
        typer.echo(f"{taken} records in `{out}`", err=True)
        return
    from bailiwick.gateway.ledger.exports import lines
    from bailiwick.gateway.ledger.reader import LedgerReader

    with ledger_reader(ledger) as reader, _opened(out) as file:
        found = (
            lines(form.value, reader.each(query), reader.origin())
            if isinstance(reader, LedgerReader)
            else reader.export(query, form.value)
        )
        for line in found:
            file.write(line)


@app.command("sql")
def ask_sql(
    statement: Annotated[
        str, typer.Argument(metavar="[SQL]", help="A statement of DuckDB; without one they are read from a prompt.")
    ] = "",
    wanted: Annotated[str, typer.Option("--filter", help="Only these records, as for `ledger query`.")] = "",
    since: Since = "",
    until: Until = "",
    archive: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Parquet files of an archive too. May be repeated.")
    ] = None,
    shape: Annotated[Shape, typer.Option("--format", help="How answers are printed.")] = Shape.table,
    as_json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    ledger: LedgerPlace = DEFAULT,
) -> None:
    """Ask the ledger in SQL (DuckDB): tables `records`, `calls`, `accesses` and `touched`.

    The records are copied first, some 100,000 a second: `--since 7d` makes it quick where there are many.
    """
    from bailiwick.gateway.ledger.tables import Tables

    query = _query(wanted, since, until)
    with ledger_reader(ledger) as reader, Tables() as tables:
        with _progress() as went:
            tables.take(reader.each(query), went)
        for pattern in archive or []:
            tables.take_parquet(pattern)
        tables.lock()
        if statement:
            _print(tables.ask(statement), Shape.json if as_json else shape)
        else:
            _prompt(tables, Shape.json if as_json else shape)


def _query(wanted: str, since: str, until: str) -> Query:
    from bailiwick.gateway.ledger.reader import Query

    return Query(filter=wanted, since=read_time(since), until=read_time(until))


def read_time(text: str) -> datetime | None:
    """Read a moment as people write it; None for an empty text."""
    from bailiwick.gateway.moments import read_moment

    try:
        return read_moment(text, datetime.now(UTC)) if text else None
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"`{text}` is no time; write `2026-11-22T08:00:00Z`, `2026-11-22` or `2h`") from error


@contextmanager
def ledger_reader(place: str) -> Generator[LedgerReader | RemoteLedger]:
    """Open the ledger, or that of the gateway elsewhere that was named."""
    with closing(elsewhere() or opened(place)) as reader:
        yield reader


@contextmanager
def _opened(out: Path | None) -> Generator[IO[bytes]]:
    if out is None:
        with contextlib.suppress(BrokenPipeError):
            yield sys.stdout.buffer
        return
    try:
        file = out.open("wb")
    except OSError as error:
        reason = (error.strerror or "it failed").lower()
        raise ConfigError(f"cannot write `{out}`: {reason}", remedy="name another file") from error
    with file:
        yield file


def write_file(path: Path, text: str) -> None:
    """Write a file. Raises ConfigError."""
    with _opened(path) as file:
        file.write(text.encode())


@contextmanager
def _progress() -> Generator[Callable[[int], None]]:
    """Show on a terminal how many records were taken."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading the ledger") as status:
        yield lambda taken: status.update(f"reading the ledger: {taken:,} records")


def _prompt(tables: Tables, shape: Shape) -> None:
    """Answer statements, each up to its `;`, until the input ends."""
    from bailiwick.errors import LedgerError

    for statement in _statements(sys.stdin.isatty()):
        try:
            _print(tables.ask(statement), shape)
        except LedgerError as error:
            typer.echo(error.message, err=True)
            if not sys.stdin.isatty():
                raise typer.Exit(1) from None


def _statements(asking: bool) -> Iterator[str]:
    if asking:
        with contextlib.suppress(ImportError):
            __import__("readline")  # gives `input` its history and editing
    gathered = ""
    while True:
        try:
            gathered += input(("... " if gathered else "ledger> ") if asking else "") + "\n"
        except (EOFError, KeyboardInterrupt):
            if gathered.strip():
                yield gathered
            return
        if gathered.rstrip().endswith(";"):
            yield gathered
            gathered = ""


def _print(answer: Answer, shape: Shape) -> None:
    if shape is Shape.json:
        import orjson

        for row in answer.rows:
            document = dict(zip(answer.columns, row, strict=True))
            typer.echo(orjson.dumps(document, option=orjson.OPT_UTC_Z, default=str).decode())
    elif shape is Shape.csv:
        from bailiwick.gateway.ledger.exports import csv_lines

        typer.echo(csv_lines([answer.columns, *([_text(each) for each in row] for row in answer.rows)]), nl=False)
    else:
        _table(answer)


def _table(answer: Answer) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bailiwick.cli.ledger_view import plain

    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in answer.columns:
        table.add_column(plain(name), overflow="fold")
    for row in answer.rows:
        table.add_row(*(Text(plain(_text(each))) for each in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=240)
    console.print(table)
    typer.echo(f"{len(answer.rows)} {'row' if len(answer.rows) == 1 else 'rows'}")


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")[:23]
    return "" if value is None else str(value)
