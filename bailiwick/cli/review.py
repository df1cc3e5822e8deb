"""`bailiwick review`: recertify what agents may do: open, see, decide, close; the patch that comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Named = Annotated[str, typer.Argument(metavar="ID", help="As `review list` shows it.")]


class Choice(Enum):
    """What is decided about a line."""

    KEEP = "keep"
    NARROW = "narrow"
    REVOKE = "revoke"
    ASK = "ask"


@app.command("open")
def open_review(
    agent: Annotated[str | None, typer.Option("--agent", help="Of this agent.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Of all agents of this owner.")] = None,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Open a review: everything that agents may do, with the evidence of its use and a recommendation."""
    found = client(policy, config).ask("review.open", {"agent": agent, "owner": owner})
    _show(_review(found), as_json=as_json)


@app.command("list")
def list_reviews(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """List the reviews that are open."""
    found = client(policy, config).ask("review.list", {"all": everything})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [
        (each["id"], ", ".join(_texts(each["agents"])), each["owner"], each["state"], _left(each), each["due_at"])
        for each in _of(found, "reviews")
    ]
    _table(("id", "agents", "owner", "state", "undecided", "due"), rows, "no reviews are open")


@app.command()
def show(review: Named, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Show a review with all its lines."""
    _show(_review(client(policy, config).ask("review.show", {"review": review})), as_json=as_json)


@app.command()
def decide(
    review: Named,
    line: Annotated[str, typer.Argument(metavar="LINE", help="Its number, e.g. 3 or 3.1.")],
    verdict: Annotated[Choice, typer.Argument(help="What to do about it.")],
    note: Annotated[str, typer.Option("--note", help="Why.")] = "",
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Decide on one line. What belongs to it goes the same way, unless it is decided on by itself."""
    fields: dict[str, Json] = {"review": review, "line": line, "verdict": verdict.value, "note": note}
    found = _review(client(policy, config).ask("review.decide", fields))
    left = len(_texts(found["undecided"]))
    said = f"{line}: {verdict.value}; " + (
        f"{left} lines are left" if left else "close it with `bailiwick review close`"
    )
    typer.echo(json.dumps(found, indent=2) if as_json else said)


@app.command()
def close(review: Named, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Close a review whose lines are all decided: the ledger keeps the digest of all of it."""
    found = _review(client(policy, config).ask("review.close", {"review": review}))
    said = f"{review} is closed, sha256 {found['digest']}; see `bailiwick review patch {review}`"
    typer.echo(json.dumps(found, indent=2) if as_json else said)


@app.command()
def patch(review: Named, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Print what was decided as a patch of the policy's files, for `git apply` or `patch -p1` in their folder."""
    found = client(policy, config).ask("review.patch", {"review": review})
    left = cast("Mapping[str, str]", found["left"])
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo(str(found["patch"]), nl=False)
        for line, why in left.items():
            typer.echo(f"line {line} is left to be done by hand: {why}", err=True)
        if not found["patch"] and not left:
            typer.echo("nothing changes", err=True)
    if left:
        raise typer.Exit(1)


@app.command()
def status(as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Show of every agent when its review is due, and what is turned off without it. Exit code 1: one is overdue."""
    found = client(policy, config).ask("review.status", {})
    agents = _of(found, "agents")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        rows = [
            (
                each["agent"],
                each["owner"],
                f"{each['every_days']} d",
                each["closed_at"] or "never",
                f"OVERDUE since {each['due_at']}" if each["overdue"] else each["due_at"],
                each["open"] or "",
                len(_texts(each["off"])) or "",
                ", ".join(_texts(each["waiting"])),
            )
            for each in agents
        ]
        titles = ("agent", "owner", "every", "reviewed", "due", "open", "turned off", "not yet in the policy")
        _table(titles, rows, "the policy asks for no reviews: it has no `review`")
    if any(each["overdue"] for each in agents):
        raise typer.Exit(1)


@app.command()
def report(
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="Where to write it.")],
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Write how the grants of all agents are used and reviewed, with charts, as one page that needs nothing else."""
    from bailiwick.errors import ConfigError

    text = str(client(policy, config).ask("review.report", {})["html"])
    try:
        html.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise ConfigError(f"`{html}` cannot be written: {reason}", remedy="name another file") from None
    typer.echo(f"written: {html}")


def _show(found: Mapping[str, Json], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"{found['id']}  {', '.join(_texts(found['agents']))}, of {found['owner']}: {found['state']}")
    typer.echo(
        f"use since {str(found['since'])[:10]}; due {str(found['due_at'])[:10]}; policy {str(found['policy'])[:12]}"
    )
    for run in _of(found, "runs"):
        denied = sum(cast("int", each[2]) for each in cast("Sequence[Sequence[Json]]", run["denied"]))
        typer.echo(f"{run['agent']} ran on {run['days']} days: {run['calls']} calls, {denied} denied")
    stands = cast("Mapping[str, str | None]", found["stands"])
    rows = [
        (each["id"], each["text"], _changed(each), each["recommend"], _why(each), stands[str(each["id"])] or "")
        for each in _of(found, "lines")
    ]
    _table(("line", "what", "since", "recommended", "why", "decided"), rows, "these agents may do nothing")
    for each in _of(found, "news"):
        covered = _texts(each["covered"])
        typer.echo(f"new: {each['what']}, " + (f"reached by {', '.join(covered)}" if covered else "reached by nobody"))
    for text in _texts(found["gone"]):
        typer.echo(f"gone since the last review: {text}")
    if found["not_yours"]:
        typer.echo(str(found["not_yours"]))


def _changed(line: Mapping[str, Json]) -> str:
    return "" if line["since"] in ("first", "same") else str(line["since"])


def _why(line: Mapping[str, Json]) -> str:
    narrow = cast("Mapping[str, Json]", line["narrow"])
    shown = "".join(f"; {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in narrow.items())
    people = [name for name, _ in cast("Sequence[tuple[str, int]]", line["people"])]
    for_whom = f"; for {', '.join(people[:3])}{' and others' if len(people) > 3 else ''}" if people else ""
    others = _texts(line["others"])
    also = f"; also of {', '.join(others)}" if others else ""
    return f"{line['why']}{for_whom}{shown}{also}"


def _left(found: Mapping[str, Json]) -> str:
    return f"{found['undecided']} of {found['lines']}"


def _review(found: Mapping[str, Json]) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", found["review"])


def _of(found: Mapping[str, Json], name: str) -> Sequence[Mapping[str, Json]]:
    return cast("Sequence[Mapping[str, Json]]", found[name])


def _texts(found: Json) -> list[str]:
    return [str(each) for each in cast("list[Json]", found)]


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]], nothing: str) -> None:
    if not rows:
        typer.echo(nothing)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title in ("id", "line", "open"))
    for row in rows:
        table.add_row(*(escape(str(each)) for each in row))
    Console().print(table)
