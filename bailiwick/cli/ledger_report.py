"""`bailiwick ledger report` and `story`: the ledger for people who do not read records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli.ledger_export import Since, Until, ledger_reader, read_time, write_file
from bailiwick.cli.ledger_option import DEFAULT, LedgerPlace

if TYPE_CHECKING:
    from bailiwick.ledger.story import Story
    from bailiwick.ledger.violations import Violations
    from bailiwick.model.record import JsonValue

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
report_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_MOST = 10


@report_app.callback()
def report() -> None:
    """Figures over a period: `violations`."""


@report_app.command()
def violations(
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="A month. Default: this one so far.")] = "",
    since: Since = "",
    until: Until = "",
    agent: Annotated[str, typer.Option(help="Only this agent's.")] = "",
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also as a page with charts.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ledger: LedgerPlace = DEFAULT,
) -> None:
    """Add up what was denied: by agent, resource, code, person and day, and the causes that came most often."""
    from bailiwick.gateway.ledger_figures import violations as found_in
    from bailiwick.ledger.violations import told

    begin, end = _period(month, since, until)
    with ledger_reader(ledger) as reader:
        found = found_in(reader, begin, end, agent)
        origin = reader.origin()
    if html is not None:
        from bailiwick.gateway.reports.page import html as written
        from bailiwick.gateway.reports.violations import page

        write_file(html, written(page(found, origin)))
    if as_json:
        typer.echo(json.dumps(dict(told(found)), indent=2, ensure_ascii=False))
    else:
        _print(found)
        if html is not None:
            typer.echo(f"written to `{html}`")


def _period(month: str, since: str, until: str) -> tuple[datetime, datetime]:
    """Return from when to before when."""
    from bailiwick.ledger.violations import month as days_of

    now = datetime.now(UTC)
    if month and (since or until):
        raise typer.BadParameter("give `--month`, or `--since` and `--until`")
    if since or until:
        begin = read_time(since) or datetime(1970, 1, 1, tzinfo=UTC)
        end = read_time(until) or now
    else:
        try:
            first, after = days_of(month or f"{now:%Y-%m}")
        except ValueError as error:
            raise typer.BadParameter(f"`{month}` is no month; write `2026-11`") from error
        begin, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, after))
        end = min(end, now) if begin < now else end
    if begin >= end:
        raise typer.BadParameter("the period is empty: `--since` is not before `--until`")
    return begin, end


def _print(found: Violations) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bailiwick.cli.ledger_view import plain
    from bailiwick.ledger.violations import change

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    grown = change(found.total, found.before)
    compared = f"{found.before} in the period before" + (f", {grown}" if grown else "")
    period = f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC"
    console.print(Text(f"{found.total} denials from {period} ({compared})"))
    if not found.total:
        return

    def listed(title: str, pairs: Sequence[tuple[str, int]]) -> None:
        table = Table(box=box.SIMPLE, pad_edge=False)
        table.add_column(title)
        table.add_column("denials", justify="right")
        for name, count in pairs[:_MOST]:
            table.add_row(Text(plain(name) or "-"), f"{count:,}")
        if len(pairs) > _MOST:
            table.add_row(f"{len(pairs) - _MOST} more", f"{sum(count for _, count in pairs[_MOST:]):,}")
        console.print(table)

    listed("agent", found.agents)
    listed("resource", found.resources)
    listed("code", found.codes)
    listed("person", found.persons)
    console.print(Text(f"by day  {_spark([count for _, count in found.days])}  {found.days[0][0]} …"))
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("agent", "action", "code", "denials", "last told", "record"):
        table.add_column(name, overflow="fold")
    for cause in found.causes:
        cells = (cause.agent, cause.action, cause.code, f"{cause.count:,}", cause.message, cause.example)
        table.add_row(*(Text(plain(cell) or "-") for cell in cells))
    console.print(table)


def _spark(counts: Sequence[int]) -> str:
    """Return a line of small columns."""
    most = max(counts, default=0) or 1
    return "".join(" ▁▂▃▄▅▆▇█"[-(-count * 8 // most)] for count in counts)


@app.command()
def story(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="The id of a session.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ledger: LedgerPlace = DEFAULT,
) -> None:
    """Tell one session in plain words: who opened it, what it did, what it was refused, who decided, how it ended."""
    from bailiwick.errors import LedgerError
    from bailiwick.gateway.ledger_reader import Query
    from bailiwick.ledger.encode import read
    from bailiwick.ledger.story import tell

    with ledger_reader(ledger) as reader:
        found = [read(each.body) or {} for each in reader.each(Query(session=session))]
        children = reader.query(Query(filter=f'kind:session.opened detail.parent:"{_quoted(session)}"', limit=1000))
    if not found:
        raise LedgerError(f"there is no session `{session}`", remedy="find one with `bailiwick ledger query`")
    told = tell(found)
    below = [read(each.body) or {} for each in children]
    if as_json:
        steps = [
            {"at": each.at, "text": each.text, "tone": each.tone, "times": each.times, "records": each.records}
            for each in told.steps
        ]
        document = {"title": told.title, "steps": steps, "ending": told.ending, "delegated": [_name(b) for b in below]}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    _tell(told)
    for each in below:
        typer.echo(f"It delegated to {each.get('agent', '?')} in {_name(each)}.")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _name(document: Mapping[str, JsonValue]) -> str:
    return str(document.get("session", ""))


def _tell(told: Story) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bailiwick.cli.ledger_view import plain

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(Text(plain(told.title), style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    day = ""
    for each in told.steps:
        if each.at[:10] != day:
            day = each.at[:10]
            table.add_row(Text(day, style="bold"), "")
        times = f" ({each.times} times)" if each.times > 1 else ""
        table.add_row(each.at[11:19], Text(plain(each.text) + times, style=_COLOURS.get(each.tone, "")))
    console.print(table)
    for sentence in told.ending:
        console.print(Text(plain(sentence)))


_COLOURS = {"denied": "red", "held": "yellow", "changed": "green", "people": "cyan"}
