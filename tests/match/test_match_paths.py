"""Of a value that leads out of where it seems to be, neither its start nor its shape is known."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.match.evaluate import holds
from bailiwick.match.paths import climbs, holds_of_argument
from bailiwick.model.matcher import Anything, Bound, Equal, Every, Glob, Matcher, Not, OneOf, Prefix

NOW = datetime(2026, 1, 5, tzinfo=UTC)
OUT = (
    "..",
    "../x",
    "/srv/files/../x",
    "/srv/files/..",
    "/srv/files\\..\\x",
    "/srv/files/%2e%2e/x",
    "/srv/files/.%2E/x",
    "/srv/files/..%2fx",
    "/srv/files/%252e%252e/x",
    "/srv/files/%c0%ae%c0%ae/x",
    "/srv/files/..%c0%afx",
    "/srv/files/.\t./x",
    "/srv/files/..\x00/x",
    "/srv/files/.. /x",
    "/srv/files/..;a=b/x",
    "/srv/files/\u2025/x",
    "/srv/files/\uff0e\uff0e/x",
    "/srv/files/..\uff0fx",
    "https://api.example/v1/../admin",
    "https://api.example/v1?path=../admin",
    "file:../x",
    "%25" * 2 + "25252e",
)
WITHIN = (
    "/srv/files/x",
    "/srv/files/...",
    "/srv/files/a..b",
    "/srv/files/..hidden",
    "/srv/files/x..",
    "/srv/files/100%",
    "/srv/files/%41",
    "/srv/files/ü",
    "wait .. what?",
    "1..2",
    "",
    5,
    None,
    ["/srv/../x"],
)


def seen(matcher: Matcher, value: object) -> bool | None:
    return holds_of_argument(matcher, value, lambda _: None, NOW)


@pytest.mark.parametrize("value", OUT)
def test_start_and_shape_of_what_leads_out_are_unknown(value: str) -> None:
    assert climbs(value)
    for matcher in (Prefix("/srv/files/"), Glob("*"), Not(Prefix("/etc/")), Every((Glob("/srv/*"), Not(Glob("x"))))):
        assert seen(matcher, value) is None
    assert seen(Equal(value), value) is True
    assert seen(OneOf((value, "x")), value) is True
    assert seen(Anything(), value) is True
    assert seen(Every((Equal("x"), Glob("*"))), value) is False


@pytest.mark.parametrize("value", WITHIN)
def test_every_other_value_matches_as_everywhere(value: object) -> None:
    assert not climbs(value)
    for matcher in (Prefix("/srv/files/"), Glob("/srv/*"), Not(Prefix("/etc/")), Bound(min=3), Equal(5)):
        assert seen(matcher, value) is holds(matcher, value, lambda _: None, NOW)


@given(st.text(alphabet="./ab\\%", max_size=12), st.text(alphabet="./ab\\%", max_size=12), st.integers(0, 3))
def test_a_step_up_is_found_wherever_it_stands_and_however_often_it_is_encoded(
    before: str, after: str, rounds: int
) -> None:
    step = "/../"
    for _ in range(rounds):
        step = quote(step, safe="").replace(".", "%2e")
    assert climbs(before.replace("%", "") + step + after.replace("%", ""))
