"""Every supported PostgreSQL, without a superuser: applied twice, used, removed without a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from bailiwick.errors import BackendError
from tests.native.native_desk import POLICY, SCRIPT, state_of
from tests.support.installed import versions
from tests.support.native import Native, loaded, session_of
from tests.support.postgres import Database, Server

ADMIN = """
CREATE ROLE {admin} LOGIN PASSWORD 'admin' CREATEROLE;
CREATE ROLE {login} LOGIN PASSWORD 'login';
GRANT {login} TO {admin};
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {admin}', current_database()); END $$;
ALTER TABLE public.customers OWNER TO {admin}; ALTER TABLE public.tickets OWNER TO {admin};
ALTER TABLE public.notes OWNER TO {admin}; ALTER TABLE public.prefs OWNER TO {admin};
GRANT SELECT ON public.assigned TO {admin} WITH GRANT OPTION;
GRANT USAGE ON SCHEMA public TO {admin} WITH GRANT OPTION;
"""


@pytest.fixture(params=versions("native"))
def desk(servers: Callable[[int], Server], request: pytest.FixtureRequest) -> Iterator[Database]:
    made = servers(int(request.param)).create(SCRIPT)
    yield made
    made.drop()


@pytest.fixture
def administered(desk: Database) -> Iterator[tuple[Native, str]]:
    names = {"admin": f"adm_{desk.name}", "login": f"log_{desk.name}"}
    desk.script(ADMIN.format(**names))
    native = Native(desk, loaded(POLICY), (names["login"], "login"))
    yield native, desk.url(names["admin"], "admin")
    native.remove()
    desk.script("DROP OWNED BY {admin} CASCADE; DROP ROLE {admin}, {login}".format(**names))


def test_no_superuser_is_needed(administered: tuple[Native, str]) -> None:
    native, url = administered
    before = state_of(native.database)
    native.apply(url)
    assert native.drift(url) == ()
    assert native.apply(url) == ()
    session = session_of("support-bot", task="handle-ticket", tenant=10, values={"customer_id": 1})
    with native.connect(session) as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (2,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT count(*) FROM public.tickets")
        assert connection.execute("UPDATE tickets SET status = 'closed' WHERE ticket_id = 100").rowcount == 1
        connection.execute("SELECT set_config('bailiwick.session', 'x', false)")
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (0,)
        connection.execute("RESET ROLE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT count(*) FROM public.tickets")
    native.remove(url)
    assert state_of(native.database) == before


def test_without_the_privileges_nothing_happens(administered: tuple[Native, str], desk: Database) -> None:
    native, url = administered
    desk.script("ALTER TABLE public.notes OWNER TO postgres")
    before = desk.rows("SELECT count(*) FROM pg_roles")
    with pytest.raises(BackendError) as caught:
        native.apply(url)
    assert "notes" in caught.value.message
    assert desk.rows("SELECT count(*) FROM pg_roles") == before
