"""On a hot standby: what was applied on the primary holds there too, bound to the standby's own connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString, cast

import pytest

from bailiwick.model.session import User
from tests.native.native_desk import POLICY, SCRIPT
from tests.support.canary import leaks
from tests.support.native import Native, loaded, session_of
from tests.support.postgres import PASSWORD, SUPERUSER, running_server, standby_of

GRACE = User("grace", frozenset({"north", "south"}))


@dataclass
class Pair:
    primary: Native
    standby: Native


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_server({"wal_level": "replica", "max_wal_senders": "4"}) as server:
        database = server.create(SCRIPT)
        native = Native(database, loaded(POLICY))
        native.apply()
        with standby_of(server) as standby:
            yield Pair(native, native.on(standby.database(database.name).url(SUPERUSER, PASSWORD)))


def test_reads_on_a_standby_show_the_scope(pair: Pair) -> None:
    session = session_of("support-bot", task="handle-ticket", user=GRACE, tenant=10, values={"customer_id": 1})
    with pair.standby.connect(session) as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        assert connection.execute("SELECT ticket_id FROM tickets ORDER BY 1").fetchall() == [(100,), (101,)]
        found = connection.execute("SELECT * FROM customers").fetchall()
        assert len(found) == 2
        assert leaks(str(found)) == []


def test_drift_is_seen_on_a_standby(pair: Pair) -> None:
    assert pair.standby.drift() == ()


def test_values_bound_on_the_primary_are_worth_nothing_on_the_standby(pair: Pair) -> None:
    session = session_of("support-bot", task="handle-ticket", user=GRACE, tenant=10, values={"customer_id": 1})
    count = f'SELECT count(*) FROM "{pair.primary.schemas(session)["public"]}".tickets'
    with pair.primary.connect(session) as there, pair.standby.connect(session) as here:
        text = there.execute("SELECT current_setting('bailiwick.session')").fetchone()
        assert text is not None
        assert here.execute(cast(LiteralString, count)).fetchone() == (2,)
        here.execute("SELECT set_config('bailiwick.session', %s, false)", text)
        assert here.execute(cast(LiteralString, count)).fetchone() == (0,)
