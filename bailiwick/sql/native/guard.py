"""The check of a scope's writes inside the database: a trigger function that runs for the scope's role alone.

What a view and column privileges cannot say: which grant admits a row *before* a change, what may be written (`set`),
and that one grant has to admit the whole change. A row that no grant reaches is passed over, as the rewriter passes
over it; a change that leaves the scope is an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.model.scope import WriteGrant
from bailiwick.model.value import Ref
from bailiwick.sql.comparing import session_value
from bailiwick.sql.native.shown import Shown, bound_expressions
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.predicates import condition
from bailiwick.sql.quote import ident

REFUSED = "the new row is outside of what this session may write"
_RAISE = f"RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'insufficient_privilege';"


def guard_body(shown: Shown) -> str:
    """Return the body of the trigger function."""
    parts = [
        f"  IF NOT {ident(shown.home)}.bound() THEN\n    {_RAISE}\n  END IF;",
        _insert(shown),
        _update(shown),
        _delete(shown),
        f"  {_RAISE}",
    ]
    return "\nBEGIN\n" + "\n".join(parts) + "\nEND\n"


def _insert(shown: Shown) -> str:
    fields = shown.writable("create")
    if not fields:
        return "  -- nothing may be created"
    options = [_created(shown, grant, fields) for grant in shown.scope.creates]
    return f"""  IF TG_OP = 'INSERT' THEN{_fill_tenant(shown)}
    IF COALESCE({_any(options)}, FALSE) THEN
      RETURN new;
    END IF;
    {_RAISE}
  END IF;"""


def _created(shown: Shown, grant: WriteGrant, fields: Sequence[str]) -> str:
    """Return whether the grant admits the new row. A trigger cannot see which columns were named, so `set` holds for
    all of the grant's columns, and what only other grants may fill stays empty."""
    text = shown.text("new", direct=False)
    parts = [shown.scoped.limited(text, [grant.filter]), *_set(shown, grant, fields)]
    parts += [f"{text.column(name)} IS NULL" for name in fields if name not in grant.fields]
    return " AND ".join(f"({part})" for part in parts)


def _update(shown: Shown) -> str:
    fields = shown.writable("update")
    if not fields:
        return "  -- nothing may be updated"
    before = [_reaches(shown, grant, fields) for grant in shown.scope.updates]
    after = [
        " AND ".join(
            f"({part})"
            for part in (
                _reaches(shown, grant, fields),
                shown.scoped.limited(shown.text("new", direct=False), [grant.filter]),
                *_set(shown, grant, fields, changed=True),
            )
        )
        for grant in shown.scope.updates
    ]
    return f"""  IF TG_OP = 'UPDATE' THEN{_one_covers(shown, fields)}
    IF NOT COALESCE({_any(before)}, FALSE) THEN
      RETURN NULL;
    END IF;
    IF COALESCE({_any(after)}, FALSE) THEN
      RETURN new;
    END IF;
    {_RAISE}
  END IF;"""


def _reaches(shown: Shown, grant: WriteGrant, fields: Sequence[str]) -> str:
    """Return whether the grant admits the old row and has every column that changes."""
    inside = shown.scoped.limited(shown.text("old", direct=False), [grant.filter])
    return f"({_covers(grant, fields)}) AND ({inside})"


def _one_covers(shown: Shown, fields: Sequence[str]) -> str:
    covered = [_covers(grant, fields) for grant in shown.scope.updates]
    return "" if "TRUE" in covered else f"\n    IF NOT {_any(covered)} THEN\n      {_RAISE}\n    END IF;"


def _covers(grant: WriteGrant, fields: Sequence[str]) -> str:
    """Return whether the grant has every column that changes."""
    return " AND ".join(f"NOT {_changed(name)}" for name in fields if name not in grant.fields) or "TRUE"


def _delete(shown: Shown) -> str:
    if not shown.deletes:
        return "  -- nothing may be deleted"
    inside = shown.scoped.limited(shown.text("old", direct=False), [grant.filter for grant in shown.scope.deletes])
    return f"""  IF TG_OP = 'DELETE' THEN
    IF {inside} THEN
      RETURN old;
    END IF;
    RETURN NULL;
  END IF;"""


def _set(shown: Shown, grant: WriteGrant, fields: Sequence[str], *, changed: bool = False) -> list[str]:
    """Return the conditions on what is written; with `changed`, on columns that change."""
    text = shown.text("new", direct=False)
    found: list[str] = []
    for name in fields:
        column = shown.relation.column(name)
        if column is not None and name in grant.set and name in grant.fields:
            holds = condition(grant.set[name], text.column(name), column, text.parameters)
            found.append(f"NOT {_changed(name)} OR ({holds})" if changed else holds)
    return found


def _changed(name: str) -> str:
    """Return whether a column changes; as text, since not every type has an equality."""
    return f"(new.{ident(name)}::text IS DISTINCT FROM old.{ident(name)}::text)"


def _fill_tenant(shown: Shown) -> str:
    name = shown.scope.resource.tenant
    column = None if name is None else shown.relation.column(name)
    if name is None or column is None:
        return ""
    value = session_value(Ref(("tenant",)), column, Parameters(1, bound_expressions(shown.home)))
    return f"\n    IF new.{ident(name)} IS NULL THEN\n      new.{ident(name)} := {value}::{column.type};\n    END IF;"


def _any(options: Sequence[str]) -> str:
    return "(" + "\n      OR ".join(options) + ")"
