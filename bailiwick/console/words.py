"""Figures and moments as pages say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_steps = ((86400 * 2, 86400, "d"), (3600 * 2, 3600, "h"), (120, 60, "min"), (0, 1, "s"))


def read_moment(given: object) -> datetime | None:
    """Return a moment of a record or of the desk; None when it is none."""
    if isinstance(given, datetime):
        return given
    try:
        found = datetime.fromisoformat(str(given))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def moment(given: object) -> str:
    """Return a moment to the second, e.g. `22 Nov 18:04:09`, in UTC."""
    found = read_moment(given)
    return "" if found is None else f"{found.astimezone(UTC):%d %b %H:%M:%S}"


def whole(given: object) -> str:
    """Return a moment as ISO 8601 has it, for programs and for who points at it."""
    found = read_moment(given)
    return "" if found is None else found.astimezone(UTC).isoformat(timespec="milliseconds")


def ago(given: object, now: datetime) -> str:
    """Return how long ago, or in how long, e.g. `4 min ago`, `in 12 min`."""
    found = read_moment(given)
    if found is None:
        return ""
    seconds = (now - found).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def duration(given: float | timedelta) -> str:
    """Return a time in its largest fitting unit, e.g. `90 s`, `12 min`, `30 h`."""
    seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
    for least, size, unit in _steps:
        if seconds >= least:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def amount(given: object) -> str:
    """Return a number with its thousands apart."""
    return f"{given:,}" if isinstance(given, int) else str(given)


def plural(number: int, noun: str) -> str:
    """Return `1 record`, `2 records`, `2,000 records`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
