"""Random writes through random scopes, and what each must do to a table: told in Python, over all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from bailiwick.model.matcher import Bound, Equal, Matcher, OneOf
from bailiwick.model.policy import Resource
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, WriteGrant

TABLE = Resource("t", "crm", "public", "t", ("tenant", "id"))
TENANT = 7
BOMB = 90
"""A value of hidden rows only, over which the leaky condition fails."""


@dataclass(frozen=True, slots=True)
class Row:
    tenant: int
    id: int
    a: int
    b: str


State = dict[tuple[int, int], Row]
START: tuple[Row, ...] = (
    Row(7, 1, 1, "x"),
    Row(7, 2, 2, "y"),
    Row(7, 3, 3, "x"),
    Row(7, 4, BOMB, "hidden"),
    Row(8, 1, 1, "x"),
    Row(8, 2, BOMB, "hidden"),
    Row(8, 5, 2, "y"),
)
SCRIPT = "CREATE TABLE public.t (tenant int NOT NULL, id int NOT NULL, a int, b text, PRIMARY KEY (tenant, id));"
FILL = "INSERT INTO public.t VALUES " + ", ".join(f"({r.tenant}, {r.id}, {r.a}, '{r.b}')" for r in START)


class DeniedError(Exception):
    """The oracle's verdict that nothing may change."""


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on a row, in SQL over the alias `t` and in Python."""

    sql: str
    holds: Callable[[Row], bool]


CHECKS = (
    Check("true", lambda _: True),
    Check("t.a > 1", lambda row: row.a > 1),
    Check("t.a = 2", lambda row: row.a == 2),
    Check("t.b = 'x'", lambda row: row.b == "x"),
    Check("t.id <> 2 AND t.b || '' = 'x'", lambda row: row.id != 2 and row.b == "x"),
    Check(f"5 / (t.a - {BOMB}) <= 0", lambda row: int(5 / (row.a - BOMB)) <= 0),
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A filter of the policy, as the scope has it and in Python."""

    filter: RowFilter
    holds: Callable[[Row], bool]


def _limit(column: str, matcher: Matcher, holds: Callable[[Row], bool]) -> Limit:
    return Limit(RowFilter(((column, matcher),)), holds)


EVERY = Limit(RowFilter(), lambda _: True)
LIMITS = (
    EVERY,
    _limit("a", Bound(max=50), lambda row: row.a <= 50),
    _limit("b", OneOf(("x", "y")), lambda row: row.b in ("x", "y")),
    _limit("b", Equal("x"), lambda row: row.b == "x"),
    _limit("a", OneOf((1, 2, 5)), lambda row: row.a in (1, 2, 5)),
)


@dataclass(frozen=True, slots=True)
class Policy:
    tenant: bool
    reads: Limit
    updates: Limit
    creates: Limit
    deletes: Limit
    update_a: frozenset[int] | None
    """Values that `a` may be updated to; None: any."""
    create_a: frozenset[int] | None

    def visible(self, row: Row) -> bool:
        """Whether the row lies in the read scope."""
        return self.mine(row) and self.reads.holds(row)

    def mine(self, row: Row) -> bool:
        """Whether the row is the tenant's."""
        return row.tenant == TENANT or not self.tenant

    def hides_the_bomb(self) -> bool:
        """Whether no row is visible over which the leaky condition fails."""
        return all(row.a != BOMB or not self.visible(row) for row in START)

    def scope(self) -> ResourceScope:
        """Return it as the rewriter takes it."""
        columns = ("tenant", "id", "a", "b")
        resource = replace(TABLE, tenant="tenant" if self.tenant else None)

        def write(limit: Limit, fields: frozenset[str], values: frozenset[int] | None) -> WriteGrant:
            matchers = {} if values is None else {"a": OneOf(tuple(sorted(values)))}
            return WriteGrant("w", limit.filter, fields, matchers)

        return ResourceScope(
            resource,
            (ReadGrant("r", self.reads.filter, dict.fromkeys(columns)),),
            (write(self.updates, frozenset(("a", "b")), self.update_a),),
            (write(self.creates, frozenset(columns), self.create_a),),
            (write(self.deletes, frozenset(), None),),
        )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Draw a policy under which the leaky condition is harmless if hidden rows are never looked at."""
    limits, values = st.sampled_from(LIMITS), st.sampled_from((None, frozenset((1, 2, 5))))
    tenant, reads = draw(st.booleans()), draw(limits)
    return Policy(tenant, reads, draw(limits), draw(limits), draw(limits), draw(values), draw(values))


@dataclass(slots=True)
class Table:
    """The rows, and what is done to them under a policy."""

    policy: Policy
    returns: bool = False
    """Whether new rows are shown, so that they must be visible."""
    rows: State = field(default_factory=lambda: {(row.tenant, row.id): row for row in START})
    touched: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def update(self, row: Row, fields: frozenset[str], changed: Row) -> None:
        """Change a row that is visible; one that the grant does not reach is left alone."""
        policy = self.policy
        if not (policy.visible(row) and policy.updates.holds(row)):
            return
        free = "a" not in fields or policy.update_a is None or changed.a in policy.update_a
        if not (policy.visible(changed) and policy.updates.holds(changed) and free):
            raise DeniedError
        self._once(row)
        self.rows[row.tenant, row.id] = changed

    def delete(self, row: Row) -> None:
        """Delete a row that is visible, if the grant reaches it."""
        if self.policy.visible(row) and self.policy.deletes.holds(row):
            self._once(row)
            del self.rows[row.tenant, row.id]

    def create(self, row: Row) -> None:
        """Insert a row."""
        policy = self.policy
        free = policy.create_a is None or row.a in policy.create_a
        seen = policy.visible(row) if self.returns else policy.mine(row)
        if (row.tenant, row.id) in self.rows or not (seen and policy.creates.holds(row) and free):
            raise DeniedError
        self.touched.add((row.tenant, row.id))
        self.rows[row.tenant, row.id] = row

    def _once(self, row: Row) -> None:
        if (row.tenant, row.id) in self.touched:
            raise DeniedError
        self.touched.add((row.tenant, row.id))


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    run: Callable[[Table], None]
    leaky: bool = False
    strict: bool = False
    """Whether it may be denied though it is within the scope: several WHEN … UPDATE are checked together."""
    returns: bool = False


def _sets() -> st.SearchStrategy[tuple[str, frozenset[str], Callable[[Row], Row]]]:
    return st.sampled_from(
        (
            ("a = 2", frozenset(("a",)), lambda row: Row(row.tenant, row.id, 2, row.b)),
            ("a = t.a + 1", frozenset(("a",)), lambda row: Row(row.tenant, row.id, row.a + 1, row.b)),
            ("b = 'y'", frozenset(("b",)), lambda row: Row(row.tenant, row.id, row.a, "y")),
            ("a = 60, b = 'x'", frozenset("ab"), lambda row: Row(row.tenant, row.id, 60, "x")),
            ("(a, b) = (5, 'z')", frozenset("ab"), lambda row: Row(row.tenant, row.id, 5, "z")),
        )
    )


_new = st.builds(
    Row,
    st.sampled_from((7, 7, 7, 8)),
    st.sampled_from((1, 2, 3, 4, 5, 6)),
    st.sampled_from((1, 2, 5, 60)),
    st.sampled_from("xyz"),
)


@st.composite
def _updates(draw: st.DrawFn) -> Statement:
    test, (sql, fields, changed) = draw(st.sampled_from(CHECKS)), draw(_sets())

    def run(table: Table) -> None:
        for row in list(table.rows.values()):
            if table.policy.visible(row) and table.policy.updates.holds(row) and test.holds(row):
                table.update(row, fields, changed(row))

    return Statement(f"UPDATE t SET {sql} WHERE {test.sql}", run, "/" in test.sql)


@st.composite
def _deletes(draw: st.DrawFn) -> Statement:
    test = draw(st.sampled_from(CHECKS))

    def run(table: Table) -> None:
        for row in list(table.rows.values()):
            if table.policy.visible(row) and test.holds(row):
                table.delete(row)

    return Statement(f"DELETE FROM t WHERE {test.sql}", run, "/" in test.sql)


def _values(rows: list[Row]) -> str:
    return ", ".join(f"({row.tenant}, {row.id}, {row.a}, '{row.b}')" for row in rows)


@st.composite
def _inserts(draw: st.DrawFn) -> Statement:
    rows = draw(st.lists(_new, min_size=1, max_size=3))
    conflict = draw(st.sampled_from(("", "nothing", "update")))
    test, (sql, fields, changed) = draw(st.sampled_from(CHECKS)), draw(_sets())
    source = draw(st.sampled_from((f"VALUES {_values(rows)}", f"SELECT * FROM (VALUES {_values(rows)}) v")))
    clause = {
        "": "",
        "nothing": " ON CONFLICT (tenant, id) DO NOTHING",
        "update": f" ON CONFLICT (tenant, id) DO UPDATE SET {sql} WHERE {test.sql}",
    }[conflict]

    def run(table: Table) -> None:
        pinned = conflict and table.policy.tenant
        if pinned and any(not table.policy.mine(row) for row in rows):
            raise DeniedError
        for row in rows:
            old = table.rows.get((row.tenant, row.id))
            if old is None or not conflict:
                table.create(row)
            elif conflict == "update":
                if (row.tenant, row.id) in table.touched:
                    raise DeniedError
                if table.policy.visible(old) and table.policy.updates.holds(old) and test.holds(old):
                    table.update(old, fields, changed(old))

    text = f"INSERT INTO t (tenant, id, a, b) {source}{clause}"
    return Statement(text, run, conflict == "update" and "/" in test.sql)


@st.composite
def _merges(draw: st.DrawFn) -> Statement:
    rows = draw(st.lists(_new, min_size=1, max_size=3, unique_by=lambda row: (row.tenant, row.id)))
    matched = draw(st.lists(_when(), min_size=0, max_size=2))
    by_source = draw(st.lists(_when(), min_size=0, max_size=1))
    inserts = draw(st.booleans()) or not (matched or by_source)
    clauses = [f"WHEN MATCHED AND {test.sql} THEN {sql}" for test, sql, _ in matched]
    clauses += [f"WHEN NOT MATCHED BY SOURCE AND {test.sql} THEN {sql}" for test, sql, _ in by_source]
    if inserts:
        clauses.append("WHEN NOT MATCHED THEN INSERT (tenant, id, a, b) VALUES (s.tenant, s.id, s.a, s.b)")

    def run(table: Table) -> None:
        seen = [row for row in table.rows.values() if table.policy.visible(row)]
        keys = {(row.tenant, row.id) for row in rows}
        for row in seen:
            for test, _, action in matched if (row.tenant, row.id) in keys else by_source:
                if test.holds(row):
                    action(table, row)
                    break
        found = {(row.tenant, row.id) for row in seen}
        for row in rows:
            if inserts and (row.tenant, row.id) not in found:
                table.create(row)

    source = f"(VALUES {_values(rows)}) AS s (tenant, id, a, b)"
    text = f"MERGE INTO t USING {source} ON t.tenant = s.tenant AND t.id = s.id {' '.join(clauses)}"
    return Statement(text, run, "/" in text, strict=text.count("UPDATE SET") > 1)


Action = Callable[[Table, Row], None]


@st.composite
def _when(draw: st.DrawFn) -> tuple[Check, str, Action]:
    test = draw(st.sampled_from(CHECKS))
    (sql, fields, changed) = draw(_sets())
    kind = draw(st.sampled_from(("update", "delete", "nothing")))
    if kind == "update":
        return test, f"UPDATE SET {sql}", lambda table, row: table.update(row, fields, changed(row))
    if kind == "delete":
        return test, "DELETE", lambda table, row: table.delete(row)
    return test, "DO NOTHING", _nothing


def _nothing(_table: Table, _row: Row) -> None:
    """Leave the row alone."""


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Draw a write, sometimes as a WITH query of a statement that finds no rows of its own."""
    found = draw(st.one_of(_updates(), _deletes(), _inserts(), _merges()))
    around = draw(
        st.sampled_from(
            (
                "{}",
                "{} RETURNING *",
                "WITH w AS ({}) SELECT 1 WHERE false",
                "WITH w AS ({} RETURNING t.id, t.a) SELECT * FROM w LIMIT 0",
                "WITH w AS ({} RETURNING t.*) SELECT count(*) FROM w WHERE a::text <> ''",
            )
        )
    )
    return Statement(around.format(found.sql), found.run, found.leaky, found.strict, "RETURNING" in around)
