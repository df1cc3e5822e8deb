"""Values with a form of their own: durations, limits, hours, actions, references, secrets, tables."""

from __future__ import annotations

import re
from datetime import time, timedelta
from decimal import Decimal

from bailiwick.model.action import Action, data_verbs
from bailiwick.model.policy import Hours, Limit, SecretRef
from bailiwick.model.value import Operand, Ref
from bailiwick.policy.document import Block, Entry, Leaf, Listing, Node
from bailiwick.policy.expect import block, text, wrong
from bailiwick.policy.problem import Report, near, quoted

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdwy])")
_WORDY = re.compile(r"([0-9]+)\s*(sec|min|hour|day|week|month|year)\w*")
_PERIODS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400, "w": 604800} | {
    "week": 604800,
    "month": 30 * 86400,
}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?: ([A-Z]{3}))?(?: ?/ ?([a-z]+))?")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"(\S+) +([0-9]{2}):([0-9]{2}) ?- ?([0-9]{2}):([0-9]{2}) +(\S+)")
_REF = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)(?:\.([A-Za-z_][A-Za-z0-9_-]*))?")
_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|\*")
_ENV = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_PASSWORD = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#@]*:[^/?#@]+@|[?&; ](?:ssl)?password=|^password=", re.IGNORECASE)
_TABLE = re.compile(r'(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)')
_NAME_PART = r'("(?:[^"]|"")+"|[^".]+)'
_OF_CATALOG = re.compile(rf"{_NAME_PART}\.{_NAME_PART}\.{_NAME_PART}")
limit_names = ("actions", "rows", "bytes", "batch", "cost", "concurrent")
"""What may be limited of a role or an agent: over a window, but for `batch` and `concurrent`."""
statement_limits = ("batch", "rows", "bytes", "timeout")
"""What may be limited of one statement: without a window."""
grant_limits = (*limit_names, "timeout")
"""What may be limited of a grant."""
data_limits = tuple(name for name in grant_limits if name != "cost")
"""What may be limited of a mount of data: what is asked of it has no price."""
call_limits = tuple(name for name in grant_limits if name != "batch")
"""What may be limited of a mount of tools, functions or routes."""
once_limits = ("batch", "concurrent", "timeout")
"""What has no window, and so one amount."""


def duration(report: Report, node: Node, what: str) -> timedelta | None:
    """Return a duration such as `30s`, `5m`, `4h`, `90d`, `2w`, `7y` (a year is 365 days)."""
    found = node.text if isinstance(node, Leaf) else ""
    match = _DURATION.fullmatch(found)
    if match is not None:
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    wordy = _WORDY.fullmatch(found)
    hint = f"did you mean `{wordy[1]}{wordy[2][0]}`?" if wordy and wordy[2] != "month" else ""
    wrong(report, node, what, "a duration such as `30s`, `5m`, `4h`, `90d`, `2w` or `7y`", hint)
    return None


def limits(report: Report, node: Node, what: str, names: tuple[str, ...] = limit_names) -> tuple[Limit, ...]:
    """Return the entries of `limits:`, in an order that does not depend on that of the keys.

    With `timeout` among the names they may be of one statement: then `rows` and `bytes` need no window. A list of
    amounts limits the same over several windows.
    """
    found = block(report, node, what, names)
    if found is None:
        return ()
    entries = [found.entries[name] for name in names if name in found.entries]
    return tuple(limit for entry in entries for limit in _of_entry(report, entry, alone="timeout" in names))


def _of_entry(report: Report, entry: Entry, *, alone: bool) -> list[Limit]:
    listed = isinstance(entry.value, Listing) and entry.key not in once_limits
    nodes = entry.value.items if listed and isinstance(entry.value, Listing) else (entry.value,)
    read = [limit(report, node, entry.key, alone=alone) for node in nodes]
    known: dict[timedelta | None, Limit] = {}
    for each in read:
        if each is None:
            continue
        if each.name == "cost" and each.per is None:
            message = f"`cost: {each.amount} {each.unit}`: needs a period, as in `{each.amount} {each.unit}/day`"
            report.error(entry.position, "bad_limit", message, "a total is one of a session: `session: {cost: …}`")
        elif each.per in known:
            report.error(entry.position, "bad_limit", f"`{entry.key}` has two amounts for one window", "keep one")
        else:
            known[each.per] = each
    return list(known.values())


def limit(report: Report, node: Node, key: str, *, alone: bool = False) -> Limit | None:
    """Return one limit: `30/min`, `1000/h`, `2 USD`, `5s` (`timeout`), or a plain number (`batch`, a total).

    `alone`: whether `rows` and `bytes` may be without a window, as ceilings on one statement.
    """
    if key == "timeout":
        span = duration(report, node, "`timeout`")
        return None if span is None else Limit(key, Decimal(int(span.total_seconds())), None, "s")
    match = _AMOUNT.fullmatch(node.text) if isinstance(node, Leaf) and len(node.text) < 40 else None
    if match is None or (match[3] is not None and match[3] not in _PERIODS):
        wrong(report, node, f"`{key}`", "an amount such as `30/min`, `1000/h` or, for `cost`, `2 USD`")
        return None
    problem = _limit_problem(key, match, alone=alone)
    if problem:
        report.error(node.position, "bad_limit", f"`{key}: {match[0]}`: {problem}")
        return None
    per = timedelta(seconds=_PERIODS[match[3]]) if match[3] else None
    return Limit(key, Decimal(match[1]), per, match[2] or "")


def _limit_problem(key: str, match: re.Match[str], *, alone: bool) -> str:
    amount, unit, per = match.groups()
    if key == "cost":
        if len(amount.partition(".")[2]) > 6:
            return "money is counted in millionths: write at most six digits behind the point"
        return "" if unit else "a cost needs a currency, as in `2 USD`"
    if unit:
        return "a currency belongs to `cost` only"
    if "." in amount or int(amount) == 0:
        return "must be a whole number above zero"
    if key == "batch":
        return "counts the rows of one operation, so it has no period" if per else ""
    if key == "concurrent":
        return "counts what runs at once, so it has no period" if per else ""
    return "" if per or (alone and key in statement_limits) else f"needs a period, as in `{amount}/min` or `{amount}/h`"


def hours(report: Report, node: Node, what: str) -> Hours | None:
    """Return a weekly window such as `Mon-Fri 07:00-19:00 Europe/Berlin`."""
    found = text(report, node, what)
    if found is None:
        return None
    match = _HOURS.fullmatch(found.strip())
    if match is None:
        wrong(report, node, what, "like `Mon-Fri 07:00-19:00 Europe/Berlin`")
        return None
    days = _days(match[1])
    start, end = _clock(match[2], match[3]), _clock(match[4], match[5])
    if days is None:
        report.error(
            node.position, "bad_hours", f"{quoted(match[1])} is not a set of days", "write `Mon-Fri` or `Mon,Wed`"
        )
    if start is None or end is None or start >= end:
        message = f"{what} must start before they end, on one day, between 00:00 and 24:00"
        report.error(node.position, "bad_hours", message)
    if not _zone_is_known(report, node, match[6]) or days is None or start is None or end is None:
        return None
    return Hours(days, start, end, match[6])


def _days(found: str) -> frozenset[int] | None:
    days: set[int] = set()
    for part in found.lower().split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            return None
        at, end = _DAYS.index(first), _DAYS.index(last or first)
        days.add(at)
        while at != end:
            at = (at + 1) % 7
            days.add(at)
    return frozenset(days)


def _clock(hour: str, minute: str) -> time | None:
    if (hour, minute) == ("24", "00"):
        return time.max
    return time(int(hour), int(minute)) if int(hour) < 24 and int(minute) < 60 else None


def _zone_is_known(report: Report, node: Node, zone: str) -> bool:
    from zoneinfo import ZoneInfo  # costs start-up time that policies without hours need not pay

    try:
        ZoneInfo(zone)
    except (OSError, ValueError, LookupError):  # a directory, a path outside the database, an unknown key
        from zoneinfo import available_timezones  # slow, so only when something is wrong

        report.error(
            node.position, "unknown_zone", f"unknown time zone {quoted(zone)}", near(zone, available_timezones())
        )
        return False
    return True


def action(report: Report, node: Node, what: str) -> Action | None:
    """Return an action `resource:verb[:field]`. Whether it exists is checked later."""
    found = text(report, node, what)
    if found is None:
        return None
    parts = found.split(":")
    if not 2 <= len(parts) <= 3 or not all(_PART.fullmatch(part) for part in parts[:2]) or not parts[-1]:
        suggestion = (
            f"did you mean `{found}:read`?" if len(parts) == 1 else "write `resource:verb` or `resource:verb:field`"
        )
        report.error(node.position, "bad_action", f"{what} {quoted(found)} is not an action", suggestion)
        return None
    verb = parts[1]
    if verb not in data_verbs and verb.lower() in _SYNONYMS:
        report.error(
            node.position, "unknown_verb", f"unknown verb {quoted(verb)}", f"did you mean `{_SYNONYMS[verb.lower()]}`?"
        )
        return None
    return Action(parts[0], verb, parts[2] if len(parts) == 3 else None)


_SYNONYMS = {"select": "read", "insert": "create", "write": "update", "remove": "delete"} | {
    verb: verb for verb in data_verbs
}


def reference(found: str) -> Ref | None:
    """Return the session value that a `$name` or `$user.claim` names."""
    match = _REF.fullmatch(found)
    if match is None:
        return None
    return Ref((match[1],) if match[2] is None else (match[1], match[2]))


def operand(report: Report, node: Node, what: str) -> Operand | None:
    """Return a value to compare with: a scalar, or a reference. `$$x` is the text `$x`."""
    if not isinstance(node, Leaf) or node.value is None:
        hint = "write `{empty: true}` for no value" if isinstance(node, Leaf) else ""
        wrong(report, node, what, "a single value or `$name`", hint)
        return None
    if not isinstance(node.value, str) or not node.value.startswith("$"):
        return node.value
    if node.value.startswith("$$"):
        return node.value[1:]
    found = reference(node.value)
    if found is None:
        message = f"{quoted(node.value)} is not a reference such as `$ticket_id` or `$user.region`"
        report.error(node.position, "bad_reference", message, f"write `${node.value}` for the text itself")
    return found


def mount_limits(report: Report, found: Block, what: str, names: tuple[str, ...] = data_limits) -> tuple[Limit, ...]:
    """Return the limits of a mount: ceilings on every statement or call, and what all agents together may use."""
    bounds = found.get("limits")
    return limits(report, bounds.value, f"`limits` of {what}", names) if bounds else ()


def secret_url(
    report: Report, node: Node, what: str, schemes: tuple[str, ...] = ("postgresql", "postgres")
) -> SecretRef | None:
    """Return where a backend is. A password in clear is refused: secrets stand in references only."""
    found = text(report, node, what)
    if found is None:
        return None
    if _ENV.fullmatch(found) or (found.startswith(("file:", "vault:")) and found.split(":", 1)[1]):
        return SecretRef(found)
    advice = "use `${NAME}` (environment), `file:PATH` or `vault:PATH`"
    bare = _ENV.sub("", found)
    if "$" in bare:
        report.error(node.position, "bad_secret", f"{what}: a reference to the environment is `${{NAME}}`", advice)
    elif _PASSWORD.search(bare):
        report.error(node.position, "secret_in_clear", f"{what} holds a password in clear", advice)
    elif not found.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        report.error(node.position, "bad_url", f"{what} must start with `{schemes[0]}://`, or be a reference", advice)
    else:
        return SecretRef(found)
    return None


def web_url(report: Report, node: Node, what: str) -> SecretRef | None:
    """Return where a server is reached by HTTP. Without TLS only on this machine."""
    found = text(report, node, what)
    if found is None or _ENV.fullmatch(found) or (found.startswith(("file:", "vault:")) and found.split(":", 1)[1]):
        return None if found is None else SecretRef(found)
    advice = "use `https://…`, or a reference such as `${NAME}`"
    bare = _ENV.sub("", found)
    if _PASSWORD.search(bare) or "@" in bare.partition("://")[2].partition("/")[0]:
        report.error(node.position, "secret_in_clear", f"{what} holds a credential in clear", advice)
    elif not bare.startswith(("https://", "http://")) or not bare.isprintable() or " " in bare:
        report.error(node.position, "bad_url", f"{what} must start with `https://`, or be a reference", advice)
    else:
        return SecretRef(found)
    return None


def secret_text(report: Report, node: Node, what: str, *, needed: bool) -> SecretRef | None:
    """Return text that may hold references; with `needed` it must hold one, because its name says that it is secret."""
    found = text(report, node, what)
    if found is None:
        return None
    advice = "use `${NAME}` (environment) or `file:PATH`"
    referring = found.startswith(("file:", "vault:")) or _ENV.search(found) is not None
    if "$" in _ENV.sub("", found):
        report.error(node.position, "bad_secret", f"{what}: a reference to the environment is `${{NAME}}`", advice)
    elif not found.isprintable() or len(found) > 4096:
        report.error(node.position, "bad_secret", f"{what} must be one line of text", advice)
    elif needed and not referring:
        report.error(node.position, "secret_in_clear", f"{what} looks like a secret in clear", advice)
    else:
        return SecretRef(found)
    return None


_SYSTEM_CATALOGS = ("system", "jmx")
_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast", "mysql", "performance_schema", "sys")


def _is_system(schema: str, relation: str, default: str | None) -> bool:
    if default == "public":  # PostgreSQL: names mean what they say to the letter
        return schema in _SYSTEM_SCHEMAS[:3]
    return schema.lower() in _SYSTEM_SCHEMAS or relation.lower().startswith("sqlite_")


def table(report: Report, node: Node, what: str, default: str | None = "public") -> tuple[str, str] | None:
    """Return schema and table. A bare name is in `default`; odd names stand in double quotes, as in SQL.

    With an empty `default` names begin with a catalog, and what is returned as the schema is `catalog.schema`.
    """
    found = text(report, node, what)
    if found is None:
        return None
    if default == "":
        return _of_catalog(report, node, what, found)
    match = _TABLE.fullmatch(found)
    if match is None or (match[1] is None and default is None):
        report.error(node.position, "bad_table", f"{what} {quoted(found)} is not a table", "write `schema.table`")
        return None
    schema, relation = (_unquoted(part) for part in (match[1] or default or "", match[2]))
    if _is_system(schema, relation, default):
        report.error(node.position, "system_table", f"{quoted(found)} belongs to the database system, not to agents")
        return None
    return schema, relation


def _of_catalog(report: Report, node: Node, what: str, found: str) -> tuple[str, str] | None:
    match = _OF_CATALOG.fullmatch(found)
    catalog, schema, relation = (_unquoted(part) for part in match.groups()) if match else ("", "", "")
    if match is None or "." in catalog + schema:
        advice = "write `catalog.schema.table`"
        report.error(node.position, "bad_table", f"{what} {quoted(found)} is not a table of a catalog", advice)
        return None
    if catalog.lower() in _SYSTEM_CATALOGS or _is_system(schema, relation, None) or "$" in relation:
        report.error(node.position, "system_table", f"{quoted(found)} belongs to the database system, not to agents")
        return None
    return f"{catalog}.{schema}", relation


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
