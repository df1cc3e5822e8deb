"""The lock's file: what was accepted survives being written, and changes read as words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.errors import PolicyError
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.policy.lockfile import lock_diff, parse_lock, render_lock

names = st.one_of(
    st.sampled_from(["id", "on", "null", "Order", "a.b", 'a"b', "a b", "<<", "1", "ä", "true", "a: b", "#x", "a\nb"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
)
columns = st.builds(
    LockedColumn,
    names,
    st.sampled_from(["integer", "character varying(20)", "public.mood", "text[]", 'public."My Type"', "numeric(10,2)"]),
    st.sampled_from("bedcr"),
    st.booleans(),
)


@st.composite
def tables(draw: st.DrawFn) -> LockedTable:
    found = draw(st.lists(columns, max_size=4, unique_by=lambda column: column.name))
    key = draw(st.lists(st.sampled_from(found), max_size=2, unique=True)) if found else []
    return LockedTable(
        draw(names), draw(names), draw(st.sampled_from("rpvmf")), tuple(found), tuple(each.name for each in key)
    )


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    mounts = draw(st.dictionaries(names, st.lists(tables(), max_size=3), max_size=3))
    return Lock({name: {(table.schema, table.name): table for table in found} for name, found in mounts.items()})


@settings(max_examples=80, deadline=None)
@given(locks())
def test_a_lock_survives_being_written_and_read(lock: Lock) -> None:
    assert parse_lock(render_lock(lock)) == lock
    assert lock_diff(lock, lock) == []


def lock_of(*found: LockedColumn, key: tuple[str, ...] = ("id",), kind: str = "r") -> Lock:
    return Lock({"crm": {("public", "t"): LockedTable("public", "t", kind, found, key)}})


ID = LockedColumn("id", "integer", nullable=False)


def test_a_lock_is_reviewable_text_in_a_stable_order() -> None:
    text = render_lock(lock_of(ID, LockedColumn("mood", "public.mood", "e")))
    assert text.splitlines()[2:] == [
        "bailiwick-lock: 1",
        "mounts:",
        "  crm:",
        "    public.t:",
        "      kind: table",
        "      key: [id]",
        "      columns:",
        "        id: {type: integer, nullable: false}",
        "        mood: {type: public.mood, kind: enum}",
    ]


def test_changes_are_told_in_words() -> None:
    old = lock_of(ID, LockedColumn("a", "text"), LockedColumn("b", "text"))
    new = lock_of(ID, LockedColumn("a", "integer", nullable=False), LockedColumn("c", "date"), key=(), kind="v")
    assert lock_diff(old, new) == [
        "crm: public.t: was a table, is a view",
        "crm: public.t: key was (id), is ()",
        "crm: public.t: column a was text, is integer",
        "crm: public.t: column a may no longer be NULL",
        "crm: public.t: new column c date",
        "crm: public.t: column b is gone",
    ]
    assert lock_diff(Lock({}), lock_of(ID)) == ["crm: public.t: new table with 1 columns: id"]
    assert lock_diff(lock_of(ID), Lock({})) == ["crm: public.t: gone"]


@pytest.mark.parametrize(
    "text",
    [
        "mounts: {}\n",
        "bailiwick-lock: 2\nmounts: {}\n",
        "bailiwick-lock: 1\nmounts: {crm: {t: {kind: table, columns: {}}}}\n",
        "bailiwick-lock: 1\nmounts: {crm: {public.t: {kind: index, columns: {}}}}\n",
        "bailiwick-lock: 1\nmounts: {crm: {public.t: {kind: table, columns: {a: {}}}}}\n",
        "bailiwick-lock: 1\nmounts: {crm: {public.t: {kind: table}}}\n",
        "bailiwick-lock: 1\nmounts: [\n",
    ],
)
def test_a_damaged_lock_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(PolicyError, match=r"^bailiwick\.lock:\d+:\d+: "):
        parse_lock(text)


def test_an_empty_lock_accepts_nothing() -> None:
    assert parse_lock("") == Lock({})
    assert parse_lock(render_lock(Lock({}))) == Lock({})
