"""The option `--ledger` of every command that reads a ledger: its file, or its address in PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bailiwick.gateway.ledger_reader import LedgerReader

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


def opened(place: str) -> LedgerReader:
    """Open a ledger for reading. Raises LedgerError, and ConfigError for a place where none can be."""
    from bailiwick.gateway.ledger_address import read_address
    from bailiwick.gateway.ledger_reader import open_reader

    return open_reader(read_address(place))


def beside(place: str) -> Path:
    """Return the folder where a ledger's keys are: its own, or the data folder here for one in a database."""
    return Path(DEFAULT if "://" in place else place).parent
