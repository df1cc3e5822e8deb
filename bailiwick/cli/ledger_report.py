"""`bailiwick ledger report` and `story`: the ledger for people who do not read records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli.ledger_export import Since, Until, ledger_reader, read_time, write_file
from bailiwick.cli.ledger_option import DEFAULT, LedgerPlace
from bailiwick.errors import ConfigError

if TYPE_CHECKING:
    from bailiwick.ledger.violations import Violations

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
    from bailiwick.gateway.ledger.figures import violations as found_in
    from bailiwick.gateway.ledger.reader import LedgerReader
    from bailiwick.ledger.violations import told

    begin, end = _period(month, since, until)
    with ledger_reader(ledger) as reader:
        if isinstance(reader, LedgerReader):
            found, origin = found_in(reader, begin, end, agent), reader.origin()
        else:
            found, origin = reader.violations(begin, end, agent)
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
    from bailiwick.gateway.ledger.figures import period

    now = datetime.now(UTC)
    try:
        return period(month, read_time(since), read_time(until), now)
    except ConfigError as error:
        raise typer.BadParameter(f"{error.message}; {error.remedy}") from error


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
    from bailiwick.gateway.ledger.figures import session_told
    from bailiwick.gateway.ledger.reader import LedgerReader, Query
    from bailiwick.ledger.encode import read

    with ledger_reader(ledger) as reader:
        if isinstance(reader, LedgerReader):
            found = [read(each.body) or {} for each in reader.each(Query(session=session))]
            if not found:
                raise LedgerError(f"there is no session `{session}`", remedy="find one with `bailiwick ledger query`")
            told: Mapping[str, object] = session_told(reader, session, found)
        else:
            told = reader.story(session)
    below = cast("Sequence[Mapping[str, str]]", told["delegated"])
    if as_json:
        document = {**told, "delegated": [each["session"] for each in below]}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    _tell(told)
    for each in below:
        typer.echo(f"It delegated to {each['agent'] or '?'} in {each['session']}.")


def _tell(told: Mapping[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bailiwick.cli.ledger_view import plain

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(Text(plain(str(told["title"])), style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    day = ""
    for each in cast("Sequence[Mapping[str, object]]", told["steps"]):
        at, times = str(each["at"]), cast("int", each["times"])
        if at[:10] != day:
            day = at[:10]
            table.add_row(Text(day, style="bold"), "")
        again = f" ({times} times)" if times > 1 else ""
        table.add_row(at[11:19], Text(plain(str(each["text"])) + again, style=_COLOURS.get(str(each["tone"]), "")))
    console.print(table)
    for sentence in cast("Sequence[str]", told["ending"]):
        console.print(Text(plain(sentence)))


_COLOURS = {"denied": "red", "held": "yellow", "changed": "green", "people": "cyan"}
