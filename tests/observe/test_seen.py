"""Values as they are observed: whatever they are, they can be written and read, and are in clear only where allowed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.seen import Observer, is_harmless, seen_type, shape, typed
from bailiwick.match.masks import keyed_digest
from bailiwick.model.observation import Origin, Seen
from bailiwick.model.observation_json import read_seen, seen_json
from bailiwick.model.session import Session, User

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANN = User("ann", frozenset({"desk"}), {"region": "de", "teams": ("a", "b")})
SESSION = Session("s", "bot", ANN, None, {"customer_id": 7}, "acme", NOW, NOW + timedelta(hours=1), None)


def observer() -> Observer:
    return Observer(SESSION, keyed_digest(b"k"))


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.dates()
_values = st.recursive(
    _scalars | st.decimals(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(_values, st.booleans())
def test_any_value_can_be_seen_written_and_read(value: object, clear: bool) -> None:
    seen = observer().seen(value, clear=clear)
    assert read_seen(seen_json(seen)) == seen


@given(st.text(min_size=1) | st.integers())
def test_a_value_of_a_closed_field_is_never_told(value: object) -> None:
    seen = observer().seen(value, clear=False)
    assert (seen.value, len(seen.digest)) == (None, 32)


@pytest.mark.parametrize(
    ("value", "name"),
    [(7, "customer_id"), ("7", "customer_id"), (Decimal("7.0"), "customer_id"), ("acme", "tenant"), ("ann", "user.id")],
)
def test_a_value_of_the_session_is_told_by_its_name(value: object, name: str) -> None:
    seen = observer().seen(value, clear=True)
    assert (seen.origin, seen.value) == (Origin("session", name), None)


def test_lists_of_the_session_are_known_by_their_elements() -> None:
    seen = observer().seen(["a", "x"], clear=True)
    assert [each.origin for each in seen.items] == [Origin("session", "user.teams"), Origin()]


def test_the_same_value_has_the_same_digest_however_it_is_written() -> None:
    look = observer()
    assert len({look.seen(each, clear=False).digest for each in (12, "12", 12.0, Decimal("12.00"))}) == 1


def test_what_came_back_confidential_stays_so_wherever_it_comes_again() -> None:
    look = observer()
    look.told("customers.email", "Ann Smith", clear=False)
    look.told("articles.title", "Printers", clear=True)
    again, title = look.seen("Ann Smith", clear=True), look.seen("Printers", clear=True)
    assert (again.value, again.origin) == (None, Origin("result", "customers.email"))
    assert title == Seen("string", "Printers", origin=Origin("result", "articles.title"))


def test_long_lists_are_cut_and_say_so() -> None:
    seen = observer().seen(list(range(100, 200)), clear=True)
    assert (len(seen.items), seen.whole) == (20, False)


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ("5", "integer", 5),
        ("5.50", "numeric(10,2)", Decimal("5.50")),
        ("t", "boolean", True),
        ("2026-01-31", "date", date(2026, 1, 31)),
        ("2026-01-31 10:00:00+00:00", "timestamp with time zone", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("five", "integer", "five"),
        ("5", "character varying(20)", "5"),
    ],
)
def test_texts_are_values_of_their_column(text: str, column: str, value: object) -> None:
    assert typed(text, seen_type(column)) == value


@pytest.mark.parametrize(
    ("value", "harmless"),
    [
        ("open", True),
        (12345678, True),
        ("A-17", True),
        ("ann@mail.example", False),
        ("+49 170 1234567", False),
        ("x" * 65, False),
    ],
)
def test_what_looks_personal_is_not_harmless(value: object, harmless: bool) -> None:
    assert is_harmless(value) is harmless


def test_shapes_tell_letters_from_digits() -> None:
    assert shape("Ann.Smith7@mail.example") == "a.a9@a.a"
    assert shape("DE89 3704-x") == "a9 9-a"
