"""`bailiwick ledger …` for those who keep the ledger: keys, exports that can be verified, archives, what is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli.ledger_option import DEFAULT, LedgerPlace, beside, opened
from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client
from bailiwick.errors import LedgerError

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("rotate-key")
def rotate_key(
    overlap: Annotated[str, typer.Option(metavar="SPAN", help="How long the old key signs beside the new.")] = "7d",
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Let a new key sign the ledger; the gateway must run. Keep the key that is printed elsewhere."""
    found = client(policy, config).ask("ledger.rotate_key", {"overlap": overlap})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(str(found["key"]))
    typer.echo(f"signs from now on; the key before signs beside it until {found['until']}", err=True)


@app.command("bundle")
def write_bundle(
    folder: Annotated[str, typer.Argument(metavar="PLACE", help="An empty folder, or `s3://bucket/folder`.")],
    ledger: LedgerPlace = DEFAULT,
    key: Annotated[list[str] | None, typer.Option("--key", help="As for `verify`.")] = None,
    tiles: Annotated[bool, typer.Option("--tiles", help="Also as C2SP tlog-tiles, for the tools of others.")] = False,
) -> None:
    """Export the whole ledger with its checkpoints, to be verified anywhere with nothing but the public key."""
    from bailiwick.cli.ledger import keys_of
    from bailiwick.gateway.backends.places import Place
    from bailiwick.gateway.ledger.bundle import write_bundle as written
    from bailiwick.gateway.ledger.tiles import write_tiles
    from bailiwick.gateway.ledger.timestamps import NAME

    place = Place(folder)
    if place.names():
        raise LedgerError(f"`{folder}` is not empty", remedy="name a new folder")
    with closing(opened(ledger)) as reader:
        size = written(reader, place, keys_of(key, ledger))
        left_out = write_tiles(reader, place)[1] if tiles else 0
    stamps = beside(ledger) / NAME
    if stamps.is_file():
        place.write(NAME, stamps.read_bytes())
    if left_out:
        typer.echo(f"{left_out} bundles of entries are left out: a record was pruned, or is larger than 65,535 bytes")
    typer.echo(f"{size} records; check them with `bailiwick ledger verify {folder} --key KEY`")


@app.command()
def timestamp(
    url: Annotated[str, typer.Argument(metavar="URL", help="A time-stamp authority (RFC 3161), http or https.")],
    ledger: LedgerPlace = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Have an authority stamp the newest checkpoint: that these records existed by then. `verify --tsa` checks it."""
    from bailiwick.gateway.ledger.timestamps import NAME, keep, stamp
    from bailiwick.ledger.checkpoint import told_by

    with closing(opened(ledger)) as reader:
        note = reader.checkpoint()
    head = told_by(note)
    if head is None:
        raise LedgerError("the ledger has no signed head", remedy="run `bailiwick ledger verify`")
    made, at = stamp(note, url)
    keep(beside(ledger) / NAME, made)
    told = {"at": at.isoformat(), "size": head.size}
    typer.echo(json.dumps(told) if as_json else f"{head.size} records stamped at {at.isoformat()}")


@app.command()
def erase(
    person: Annotated[str, typer.Option("--person", help="The person, as sessions name them.")],
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Destroy the key under which a person's values stand in the ledger: nobody can relate them to anything then."""
    found = client(policy, config).ask("ledger.erase", {"person": person})
    known = "the key is destroyed" if found["erased"] else "there was no key of this person"
    typer.echo(json.dumps(found) if as_json else f"{known}; backups of `people.db` may still hold it")


@app.command()
def digests(
    value: Annotated[str, typer.Argument(help="The value to look for.")],
    person: Annotated[str | None, typer.Option("--person", help="Only as it was used for them.")] = None,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Print how a value may stand in records (`hmac:…`), to be searched for; that this was asked is on record."""
    found = client(policy, config).ask("ledger.digests", {"value": value, "person": person})
    told = cast("list[str]", found["digests"])
    typer.echo(json.dumps(told) if as_json else "\n".join(told))


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many records it would be about.")] = False,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Remove what records say that were kept for as long as `retention` of the policy asks; hashes and proofs stay.

    The running gateway does it by itself, once an hour. What a sink was not delivered yet waits for that.
    """
    asker = client(policy, config)
    done = 0
    while True:
        found = asker.ask("ledger.prune", {"dry": dry_run})
        done += cast("int", found["records"])
        if dry_run or not found["more"]:
            break
    waiting = cast("dict[str, int]", found["waiting"])
    if as_json:
        told = {"records": done, "done": not dry_run, "waiting": waiting, "more_wait": found["more_wait"]}
        typer.echo(json.dumps(told))
    else:
        more = " or more" if found["more"] else ""
        typer.echo(f"{done}{more} records would be pruned" if dry_run else f"{done} records pruned")
        more = " or more" if found["more_wait"] else ""
        for sink, count in waiting.items():
            typer.echo(f"{count}{more} wait until the sink `{sink}` has them")


holds = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Keep records from being pruned.")
app.add_typer(holds, name="hold")


@holds.command("add")
def add_hold(
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger.")],
    agent: Annotated[str | None, typer.Option(help="Only records of this agent.")] = None,
    user: Annotated[str | None, typer.Option(help="Only of this person.")] = None,
    session: Annotated[str | None, typer.Option(help="Only of this session.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only from then on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only before then.")] = None,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Hold records; all conditions must hold, and without any all records are."""
    fields: dict[str, Json] = {"reason": reason, "agent": agent, "user": user, "session": session}
    found = client(policy, config).ask("ledger.hold", {**fields, "since": since, "until": until})
    typer.echo(json.dumps(found) if as_json else str(found["hold"]))


@holds.command("list")
def list_holds(as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """List the holds that last."""
    found = cast("list[dict[str, str]]", client(policy, config).ask("ledger.holds", {})["holds"])
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        what = ", ".join(f"{name} {value}" for name, value in each.items() if value and name not in ("id", "reason"))
        typer.echo(f"{each['id']}  {what or 'everything'}  ({each['reason']})")
    if not found:
        typer.echo("nothing is held")


@holds.command("release")
def release_hold(
    hold: Annotated[str, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """End a hold; what was kept long enough is pruned then."""
    found = client(policy, config).ask("ledger.release", {"hold": hold})
    typer.echo(json.dumps(found) if as_json else f"{hold} is released")


@app.command()
def archive(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="A folder, or `s3://bucket/folder`.")],
    ledger: LedgerPlace = DEFAULT,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Archive the days before today (UTC) that are not there yet; the gateway must run, it signs their ends."""
    from datetime import UTC, datetime

    from bailiwick.gateway.backends.places import Place
    from bailiwick.gateway.ledger.archive import Partition
    from bailiwick.gateway.ledger.archive import archive as archived

    asker = client(policy, config)

    def sign(size: int) -> str:
        return str(asker.ask("ledger.checkpoint_of", {"size": size})["checkpoint"])

    def went(part: Partition) -> None:
        asker.ask("ledger.archived", {"place": place, "partition": f"date={part.day}"})
        if not as_json:
            typer.echo(f"date={part.day}: records {part.first} to {part.end - 1}")

    with closing(opened(ledger)) as reader:
        parts = archived(reader, Place(place), datetime.now(UTC).date(), sign, went)
    if as_json:
        typer.echo(json.dumps([{"day": part.day, "first": part.first, "end": part.end} for part in parts]))
    elif not parts:
        typer.echo("no day is over that is not in the archive")


@app.command()
def restore(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="An archive or an export.")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, for `--ledger FILE`.")],
    key: Annotated[list[str] | None, typer.Option("--key", help="As for `verify`.")] = None,
    ledger: LedgerPlace = DEFAULT,
) -> None:
    """Make a ledger's file of an archive or an export, verified, for queries and proofs."""
    from bailiwick.cli.ledger import keys_of
    from bailiwick.gateway.backends.places import Place
    from bailiwick.gateway.ledger.archive import restore as restored

    size = restored(Place(place), target, keys_of(key, ledger))
    typer.echo(f"{size} records; `bailiwick ledger query --ledger {target}`")


@app.command()
def schema(
    log: Annotated[str, typer.Option("--log", metavar="NAME", help="As in the address: `?log=NAME`.")] = "bailiwick",
    writer: Annotated[str, typer.Option("--writer", metavar="ROLE", help="The gateway's role.")] = "",
    reader: Annotated[str, typer.Option("--reader", metavar="ROLE", help="The role of those who only read.")] = "",
) -> None:
    """Print the SQL that makes a ledger in PostgreSQL, for a role that owns it and neither writes nor reads it."""
    from bailiwick.gateway.ledger.address import read_address
    from bailiwick.gateway.ledger.pg_schema import grants, setup

    read_address(f"postgresql://host/database?log={log}")
    typer.echo(f"BEGIN;{setup(log)}{grants(log, writer, reader)}COMMIT;")


@app.command()
def stats(ledger: LedgerPlace = DEFAULT, as_json: AsJson = False) -> None:
    """Show how large the ledger is, how it grows, and how large it will be."""
    from datetime import UTC, datetime

    from bailiwick.cli.asking import remote
    from bailiwick.gateway.ledger.pruning import growth

    asker = remote()
    if asker is not None:
        told: Mapping[str, object] = asker.ask("ledger.stats", {})
    else:
        with closing(opened(ledger)) as reader:
            told = growth(reader, reader.disk(), datetime.now(UTC)).told()
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    for name, value in told.items():
        typer.echo(f"{name.replace('_', ' '):<24}{value:,}" if isinstance(value, int) else f"{name:<24}{value or '-'}")
