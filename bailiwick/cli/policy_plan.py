"""`bailiwick policy plan`: what another policy would have changed for the requests of the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli.ledger_option import DEFAULT, LedgerPlace, beside, opened

if TYPE_CHECKING:
    from bailiwick.control.remote_client import RemoteClient
    from bailiwick.gateway.ledger.reader import LedgerReader
    from bailiwick.gateway.wire import Json
    from bailiwick.model.record import JsonValue
    from bailiwick.review.records import Gatherer
    from bailiwick.review.side import Side


def plan(
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The policy that is planned, a file or a folder.")],
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on: RFC 3339, or `30d` for 30 days ago.")] = "",
    ledger: LedgerPlace = DEFAULT,
    before: Annotated[
        Path | None,
        typer.Option("--before", metavar="PATH", help="The policy of then, where the gateway's folder lacks it."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="What cannot be told counts as refused.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay the ledger's requests against NEW, and say what would have been denied, held, masked, narrowed or allowed.

    Exit code 0 when nothing would be refused that was not, 2 when something would. Nothing is executed or changed.
    """
    import json

    from bailiwick.cli.asking import remote
    from bailiwick.review.plan import plan as plan_of
    from bailiwick.review.plan import planned_as_json, uncollected
    from bailiwick.review.plan_words import in_words

    elsewhere = remote()
    if elsewhere is not None:
        _plan_elsewhere(elsewhere, new, since, strict=strict, as_json=as_json)
        return
    side = side_at(new)
    from bailiwick.review.kept import kept_sides

    with uncollected():
        gathered = gathered_at(ledger, since)
        known = kept_sides(beside(ledger) / "policies", [side, *([] if before is None else [side_at(before)])])
        otherwise = None if before is None else side_at(before)
        found = plan_of(gathered.groups.values(), side, lambda version: known(version) or otherwise)
    if as_json:
        typer.echo(json.dumps(planned_as_json(found), indent=2, ensure_ascii=False))
    else:
        for line in in_words(found):
            typer.echo(line)
    if found.refused or (strict and found.counts.get("unknown", 0)):
        raise typer.Exit(2)


def _plan_elsewhere(client: RemoteClient, new: Path, since: str, *, strict: bool, as_json: bool) -> None:
    """Have a gateway elsewhere replay its ledger, as far as the caller sees it."""
    import json
    from typing import cast

    from bailiwick.cli.ledger_export import read_time
    from bailiwick.gateway.files import read_lock, read_policy

    start = read_time(since)
    files: dict[str, Json] = {Path(name).name: text for name, text in read_policy(new).items()}
    asked: dict[str, Json] = {"files": files, "lock": read_lock(new)}
    told = client.ask_path("/policy/plan", {**asked, "since": None if start is None else start.isoformat()})
    plan = cast("dict[str, Json]", told["plan"])
    if as_json:
        typer.echo(json.dumps(plan, indent=2, ensure_ascii=False))
    else:
        for line in cast("list[str]", told["words"]):
            typer.echo(line)
    if told["hidden"]:
        typer.echo(f"{told['hidden']} records are above your clearance, and left out", err=True)
    if told["refused"] or (strict and cast("dict[str, int]", plan["counts"])["unknown"]):
        raise typer.Exit(2)


def gathered_at(ledger: str, since: str) -> Gatherer:
    """Return the requests of a ledger since a moment. Raises LedgerError."""
    from bailiwick.review.plan import gather, uncollected

    reader = opened(ledger)
    try:
        with uncollected():
            return gather(reader, _start(reader, since), lambda session: _opening(reader, session))
    finally:
        reader.close()


def _start(reader: LedgerReader, since: str) -> int:
    from datetime import UTC, datetime

    from bailiwick.errors import LedgerError
    from bailiwick.gateway.moments import read_moment

    if not since:
        return 0
    try:
        return reader.first_since(read_moment(since, datetime.now(UTC)))
    except ValueError:
        raise LedgerError(f"`{since}` is no moment", remedy="write `30d`, or `2026-01-31T12:00:00Z`") from None


def _opening(reader: LedgerReader, session: str) -> dict[str, JsonValue] | None:
    from bailiwick.gateway.ledger.reader import Query
    from bailiwick.ledger.encode import read

    found = reader.query(Query(kind="session.opened", session=session, limit=1))
    return read(found[0].body) if found else None


def side_at(path: Path) -> Side:
    """Return the policy of a file or folder with the lock beside it, else the one here. Raises PolicyError."""
    from bailiwick.gateway.files import lock_name, read_lock, read_policy
    from bailiwick.gateway.policies.ready import Written
    from bailiwick.review.kept import side_of

    here = Path(lock_name)
    lock = read_lock(path)
    if lock is None and here.is_file():
        lock = here.read_text(encoding="utf-8")
    files = {Path(name).name: text for name, text in read_policy(path).items()}
    return side_of(path, Written(files, lock))
