"""The state store: what goes in comes out, typed; what ended stays ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.errors import ConfigError
from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.sessions.stored import dump_user, dump_values, load_user, load_values
from bailiwick.gateway.state import StoredSession, open_state, sessions
from bailiwick.model.session import Session, User

opened = datetime(2026, 11, 22, 9, 0, 0, 123456, tzinfo=UTC)
session = Session(
    id="ses_1",
    agent="support-bot",
    user=User("ada", frozenset({"support", "tier1"}), {"region": "eu", "teams": ("a", "b"), "level": 3}),
    task="handle-ticket",
    context={"ticket_id": 7, "amount": Decimal("1.10"), "day": date(2026, 1, 2), "urgent": True, "since": opened},
    tenant=4,
    opened_at=opened,
    expires_at=opened + timedelta(minutes=30),
    idle=timedelta(minutes=5),
    chain=("outer",),
)
stored = StoredSession(session, "jti_1", ("crm",), opened)


async def test_session_survives_a_restart_with_every_type_intact(tmp_path: Path) -> None:
    state = await open_state(tmp_path / "state.db")
    await state.insert(stored)
    await state.close()
    again = await open_state(tmp_path / "state.db")
    assert await again.find("ses_1") == stored
    assert await again.find("ses_2") is None
    await again.close()


async def test_session_without_person_task_or_tenant_is_stored_so(tmp_path: Path) -> None:
    state = await open_state(tmp_path / "state.db")
    bare = replace(stored, session=replace(session, user=None, task=None, tenant=None, idle=None, context={}))
    await state.insert(bare)
    assert await state.find("ses_1") == bare
    await state.close()


async def test_ended_session_never_opens_or_ends_again(tmp_path: Path) -> None:
    state = await open_state(tmp_path / "state.db")
    await state.insert(stored)
    assert await state.end("ses_1", "REVOKED", "revoked", opened + timedelta(seconds=1))
    assert not await state.end("ses_1", "CLOSED", "closed", opened + timedelta(seconds=2))
    found = await state.find("ses_1")
    assert found is not None
    assert (found.session.state, found.reason) == ("REVOKED", "revoked")
    assert found.ended_at == opened + timedelta(seconds=1)
    await state.close()


async def test_list_shows_the_newest_first_and_narrows_by_state(tmp_path: Path) -> None:
    state = await open_state(tmp_path / "state.db")
    await state.insert(stored)
    later = replace(session, id="ses_2", opened_at=opened + timedelta(seconds=1))
    await state.insert(replace(stored, session=later, jti="jti_2"))
    await state.end("ses_1", "CLOSED", "closed", opened)
    assert [row.session.id for row in await state.list()] == ["ses_2", "ses_1"]
    assert [row.session.id for row in await state.list("OPEN")] == ["ses_2"]
    await state.close()


async def test_touch_saves_the_last_activity(tmp_path: Path) -> None:
    state = await open_state(tmp_path / "state.db")
    await state.insert(stored)
    await state.touch([("ses_1", opened + timedelta(minutes=1))])
    found = await state.find("ses_1")
    assert found is not None
    assert found.active_at == opened + timedelta(minutes=1)
    await state.close()


async def test_migrations_make_exactly_the_table_that_the_code_uses(tmp_path: Path) -> None:
    state = await open_state(tmp_path / "state.db")
    await state.close()
    columns = sa.inspect(sa.create_engine(f"sqlite:///{tmp_path / 'state.db'}")).get_columns("sessions")
    made = {column["name"]: (str(column["type"]), column["nullable"]) for column in columns}
    assert made == {column.name: (str(column.type), column.nullable) for column in sessions.columns}


async def test_state_file_is_its_owners_alone(tmp_path: Path) -> None:
    state = await open_state(tmp_path / "state.db")
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600
    await state.close()


async def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("not a database, but long enough to be looked at" * 20)
    with pytest.raises(ConfigError, match="state store"):
        await open_state(tmp_path / "state.db")


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_survive_storing_exactly(moment: datetime) -> None:
    assert from_microseconds(to_microseconds(moment)) == moment


scalars = (
    st.text()
    | st.integers()
    | st.booleans()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.datetimes(timezones=st.just(UTC))
)


@given(st.dictionaries(st.text(), scalars))
def test_values_survive_storing_with_their_types(values: dict[str, str | int | Decimal | bool | date]) -> None:
    loaded = load_values(dump_values(values))
    assert loaded == values
    assert {name: type(value) for name, value in loaded.items()} == {name: type(v) for name, v in values.items()}


@given(st.text(), st.frozensets(st.text()), st.dictionaries(st.text(), scalars | st.lists(scalars).map(tuple)))
def test_people_survive_storing(user: str, groups: frozenset[str], claims: dict[str, str]) -> None:
    person = User(user, groups, claims)
    assert load_user(dump_user(person)) == person
