"""The effective scope against the meaning of grants, row by row, for random policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

from decide_samples import NOW, allow, deny, policy, session, table
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.decide.scope import effective_scope
from bailiwick.match.evaluate import all_of, holds
from bailiwick.model.lock import Lock
from bailiwick.model.matcher import Equal, Matcher, Not, OneOf
from bailiwick.model.policy import Grant, Narrowing, Resource
from bailiwick.model.scope import ResourceScope, RowFilter, WriteGrant

COLUMNS = ("a", "b", "c")
Row = Mapping[str, int | None]
ROWS: tuple[Row, ...] = tuple(dict(zip(COLUMNS, values, strict=True)) for values in product((None, 1, 2), repeat=3))
LOCK = Lock({"crm": {("public", "t"): table("t", a="integer", b="integer", c="integer")}})
RESOURCES = {"t": Resource("t", "crm", "public", "t")}

numbers = st.integers(1, 2)
plain: st.SearchStrategy[Matcher] = st.builds(Equal, numbers) | st.lists(numbers, max_size=2).map(
    lambda items: OneOf(tuple(items))
)
conditions = st.dictionaries(st.sampled_from(COLUMNS), plain | st.builds(Not, plain), max_size=2)
fields = st.none() | st.sets(st.sampled_from(COLUMNS), min_size=1).map(lambda names: tuple(sorted(names)))


@st.composite
def grants(draw: st.DrawFn) -> list[Grant]:
    made: list[Grant] = []
    for place in range(draw(st.integers(1, 5))):
        verb = draw(st.sampled_from(["read", "update", "create", "delete", "*"]))
        make = draw(st.sampled_from([allow, allow, deny]))
        named = None if verb == "delete" else draw(fields)
        made.append(make(f"t:{verb}", id=f"g{place}", rows=draw(conditions), fields=named))
    return made


def true_of(rows: Iterable[tuple[str, Matcher]], row: Row) -> bool | None:
    return all_of(holds(matcher, row[column], lambda _: None, NOW) for column, matcher in rows)


def reaches(grant: Grant, verb: str, field: str | None) -> bool:
    if grant.action.verb not in (verb, "*"):
        return False
    return grant.fields is None or (field is not None and field in grant.fields)


def meant(given_grants: list[Grant], narrow: Narrowing, verb: str, row: Row, field: str | None) -> bool:
    """Say by the rules of meaning alone whether a verb reaches a field of a row."""
    if field is not None and narrow.fields is not None and field not in narrow.fields:
        return False
    mine = [grant for grant in given_grants if reaches(grant, verb, field)]
    allowed = any(true_of(grant.rows.items(), row) is True for grant in mine if grant.effect == "allow")
    denied = any(true_of(grant.rows.items(), row) is not False for grant in mine if grant.effect == "deny")
    return allowed and not denied and true_of(narrow.rows.items(), row) is True


def hidden(given_grants: list[Grant], row: Row) -> bool:
    """Say whether a deny of reading takes the whole row away."""
    return any(
        grant.effect == "deny" and reaches(grant, "read", None) and true_of(grant.rows.items(), row) is not False
        for grant in given_grants
    )


def admitted(where: RowFilter, row: Row) -> bool:
    return true_of(where.conditions, row) is True


def taken(scope: ResourceScope, row: Row, field: str | None) -> bool:
    return any(
        (deny.fields is None or (field is not None and field in deny.fields))
        and true_of(deny.filter.conditions, row) is not False
        for deny in scope.denied_rows
    )


def writes(grants_: tuple[WriteGrant, ...], row: Row, field: str | None) -> bool:
    return any((field is None or field in grant.fields) and admitted(grant.filter, row) for grant in grants_)


@settings(max_examples=80, deadline=None)
@given(grants(), st.builds(Narrowing, rows=conditions, fields=fields))
def test_a_scope_reaches_exactly_what_its_grants_mean(made: list[Grant], narrow: Narrowing) -> None:
    asked = session(asked={"t": narrow})
    scope = effective_scope(policy(*made, resources=RESOURCES), LOCK, asked).resources.get("t")
    scope = scope or ResourceScope(RESOURCES["t"])
    reads_nothing = not scope.reads
    for row in ROWS:
        gone = hidden(made, row)
        for field in COLUMNS:
            shown = any(field in read.fields and admitted(read.filter, row) for read in scope.reads)
            assert (shown and not taken(scope, row, field)) == meant(made, narrow, "read", row, field)
            assert writes(scope.creates, row, field) == meant(made, narrow, "create", row, field)
            if not gone and not reads_nothing:
                assert writes(scope.updates, row, field) == meant(made, narrow, "update", row, field)
        if not gone and not reads_nothing:
            assert writes(scope.deletes, row, None) == meant(made, narrow, "delete", row, None)
