"""A session of the corpus' policy, as the driver tests meet it: tables of the schema `public`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.canary import leaks
from tests.support.gateway import Credentials, RunningGateway
from tests.support.postgres import Database

TABLES = {"customers", "kb_articles", "orders", "tickets"}
"""What the session may read."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A session of the corpus' policy, and the database behind it."""

    gateway: RunningGateway
    session: Credentials
    upstream: Database
    clean: Callable[[object], None]
    """Fails when anything that was seen holds a canary."""


def clean(seen: object) -> None:
    assert leaks(repr(seen)) == []
