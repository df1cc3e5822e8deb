"""Moments: the gateway's clock, and times as the stores keep them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

Clock = Callable[[], datetime]
"""Returns the gateway's now, in UTC."""

_epoch = datetime(1970, 1, 1, tzinfo=UTC)
_microsecond = timedelta(microseconds=1)


utc_now: Clock = partial(datetime.now, UTC)
"""Returns the machine's now: the clock of a running gateway. No function of ours, for every call asks twice."""


def to_microseconds(moment: datetime) -> int:
    """Return microseconds since 1970 in UTC, exactly. Stores get these, since SQLite drops time zones."""
    return (moment - _epoch) // _microsecond


def from_microseconds(count: int) -> datetime:
    """Return the moment, aware and in UTC."""
    return _epoch + count * _microsecond


_units = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_moment(text: str, now: datetime) -> datetime:
    """Return the moment that a person means: RFC 3339 (without a zone: UTC), a date, or a span before now like `2h`.

    Raises ValueError.
    """
    span = re.fullmatch(r"([0-9]{1,6})(s|m|min|h|d|w)", text)
    if span:
        return now - timedelta(**{_units[span[2]]: int(span[1])})
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
