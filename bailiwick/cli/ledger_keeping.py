"""`bailiwick ledger …` for those who keep the ledger: keys, exports that can be verified, archives, what is kept."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, cast

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client
from bailiwick.errors import LedgerError

LedgerPath = Annotated[
    Path, typer.Option("--ledger", envvar="BAILIWICK_LEDGER", metavar="PATH", help="The ledger's file.")
]
DEFAULT = Path(".bailiwick/ledger.db")

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
    ledger: LedgerPath = DEFAULT,
    key: Annotated[list[str] | None, typer.Option("--key", help="As for `verify`.")] = None,
) -> None:
    """Export the whole ledger with its checkpoints, to be verified anywhere with nothing but the public key."""
    from bailiwick.cli.ledger import keys_of
    from bailiwick.gateway.ledger_bundle import write_bundle as written
    from bailiwick.gateway.ledger_reader import open_reader
    from bailiwick.gateway.places import Place

    place = Place(folder)
    if place.names():
        raise LedgerError(f"`{folder}` is not empty", remedy="name a new folder")
    with closing(open_reader(ledger)) as reader:
        size = written(reader, place, keys_of(key, ledger))
    typer.echo(f"{size} records; check them with `bailiwick ledger verify {folder} --key KEY`")


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
