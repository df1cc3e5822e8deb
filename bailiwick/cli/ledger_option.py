"""The option `--ledger` of every command that reads a ledger: its file, or its address in PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli.main import ELSEWHERE
from bailiwick.errors import ConfigError

if TYPE_CHECKING:
    from bailiwick.control.remote_ledger import RemoteLedger
    from bailiwick.gateway.ledger.reader import LedgerReader

LedgerPlace = Annotated[
    str,
    typer.Option(
        "--ledger",
        envvar="BAILIWICK_LEDGER",
        metavar="PLACE",
        help="The ledger: its file, or `postgresql://HOST/DATABASE?log=NAME`.",
    ),
]
DEFAULT = ".bailiwick/ledger.db"


def elsewhere() -> RemoteLedger | None:
    """Return the ledger of the gateway elsewhere that was named; None: the one here is read."""
    from bailiwick.cli.asking import remote

    client = remote()
    if client is None:
        return None
    from bailiwick.control.remote_ledger import RemoteLedger

    return RemoteLedger(client)


def opened(place: str) -> LedgerReader:
    """Open a ledger for reading. Raises LedgerError, and ConfigError for a place where none can be.

    A gateway elsewhere that was named is never passed over in silence for the ledger here.
    """
    if os.environ.get(ELSEWHERE, ""):
        raise ConfigError(
            "this reads a ledger's file, which a gateway elsewhere does not give",
            remedy="run it on the gateway's own machine, without `--gateway`",
        )
    from bailiwick.gateway.ledger.address import read_address
    from bailiwick.gateway.ledger.reader import open_reader

    return open_reader(read_address(place))


def beside(place: str) -> Path:
    """Return the folder where a ledger's keys are: its own, or the data folder here for one in a database."""
    return Path(DEFAULT if "://" in place else place).parent
