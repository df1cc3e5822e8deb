"""Rows as an Arrow stream: types and values are kept, what does not fit its type is told as text."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import cast

import nanoarrow as na
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.model.lock import Lock
from bailiwick.mounts.mcp.builtin import BuiltIn
from bailiwick.mounts.mcp.contents import Result as Told
from bailiwick.mounts.sql import arrow
from bailiwick.mounts.sql.results import Result
from tests.engines.engines_rig import Desk, desk
from tests.support.canary import leaks

HERE = Path(__file__).parent
SIXTEEN = st.integers(-(2**15), 2**15 - 1)


def _read(result: Result) -> list[dict[str, object]]:
    return na.ArrayStream.from_readable(arrow.stream(result)).read_all().to_pylist()


def test_types_and_values_are_kept() -> None:
    columns = (
        ("a", "integer"),
        ("b", "numeric(10,2)"),
        ("c", "timestamp with time zone"),
        ("d", "date"),
        ("e", "bytea"),
        ("f", "boolean"),
        ("g", "character varying(20)"),
        ("h", "double precision"),
        ("i", "time without time zone"),
        ("j", "timestamp without time zone"),
    )
    row = (1, "1.50", "2026-01-02 03:04:05+02", "1969-12-31", "\\x00ff", False, "x", "NaN", "10:00:01", "2026-01-02")
    found = _read(Result(columns, (row, (None,) * len(columns))))
    first, second = found
    assert str(first.pop("h")) == "nan"
    assert first == {
        "a": 1,
        "b": Decimal("1.50"),
        "c": datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC),
        "d": date(1969, 12, 31),
        "e": b"\x00\xff",
        "f": False,
        "g": "x",
        "i": time(10, 0, 1),
        "j": datetime(2026, 1, 2),  # noqa: DTZ001  # a moment without a zone is what it is
    }
    assert set(second.values()) == {None}
    assert _read(Result(columns)) == []


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("smallint", (1, 2**15), ["1", "32768"]),
        ("integer", (1, "x"), ["1", "x"]),
        ("integer", (1, True), ["1", "true"]),
        ("numeric", ("1", "NaN"), ["1", "NaN"]),
        ("numeric", ("1", "1e999999999"), ["1", "1e999999999"]),
        ("numeric", ("1", "1e-999999999"), ["1", "1e-999999999"]),
        ("date", ("2026-01-02", "infinity"), ["2026-01-02", "infinity"]),
        ("timestamp with time zone", ("2026-01-02 03:04:05", None), ["2026-01-02 03:04:05", None]),
        ("bytea", ("\\x00", "\\xzz"), ["\\x00", "\\xzz"]),
        ("double precision", (1.5, "1.5"), ["1.5", "1.5"]),
        ("any", (1, None), ["1", None]),
    ],
)
def test_what_does_not_fit_its_type_is_told_as_text(
    kind: str, values: tuple[str | int | None, ...], told: list[str]
) -> None:
    assert [row["v"] for row in _read(Result((("v", kind),), tuple((value,) for value in values)))] == told


@given(st.lists(st.integers(-(10**35), 10**35), min_size=1))
def test_exact_numbers_are_written_exactly(numbers: list[int]) -> None:
    rows = tuple((f"{each}.25",) for each in numbers)
    wanted = [each * 100 + (25 if each >= 0 else -25) for each in numbers]
    data = b"".join(each.to_bytes(16, "little", signed=True) for each in wanted)  # nanoarrow reads no signs of them
    assert data in arrow.stream(Result((("v", "numeric"),), rows))


@given(
    st.lists(
        st.tuples(st.none() | SIXTEEN, st.none() | st.text(st.characters(codec="utf-8")), st.none() | st.booleans())
    )
)
def test_whole_numbers_texts_and_truth_values_come_back(rows: list[tuple[int | None, str | None, bool | None]]) -> None:
    found = _read(Result((("a", "smallint"), ("b", "text"), ("c", "boolean")), tuple(rows)))
    assert [tuple(row.values()) for row in found] == rows


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path, (HERE / "shop.yaml").read_text(), (HERE / "shop.sql").read_text()) as opened:
        yield opened


async def _asked(shop: Desk, **arguments: str) -> Told:
    live = await shop.session("clerk-bot", tenant="1")
    run = BuiltIn(lambda: Lock({}), [shop.mounts]).named("query", live)
    assert run is not None
    return await run(dict(arguments))


async def test_the_tool_tells_rows_as_arrow_up_to_the_ceiling(shop: Desk) -> None:
    found = await _asked(shop, sql="SELECT id, placed, amount FROM orders ORDER BY id", format="arrow")
    resource = cast("list[dict[str, dict[str, str]]]", found["content"])[0]["resource"]
    assert resource["mimeType"] == "application/vnd.apache.arrow.stream"
    rows = na.ArrayStream.from_readable(base64.b64decode(resource["blob"])).read_all().to_pylist()
    assert [row["id"] for row in rows] == [10, 11, 14, 15]
    assert leaks(base64.b64decode(resource["blob"])) == []
    data = cast("dict[str, object]", found["structuredContent"])
    assert set(data) == {"columns", "record"}
    many = "SELECT o.id FROM orders o, orders p"
    ended = cast("dict[str, object]", (await _asked(shop, sql=many, format="arrow"))["structuredContent"])
    assert cast("dict[str, object]", ended["ended"])["code"] == "rows_exceeded"


async def test_without_the_package_it_says_what_to_install(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "available", lambda: False)
    found = await _asked(shop, sql="UPDATE products SET price = 1", format="arrow")
    assert found["isError"] is True
    assert "bailiwick[arrow]" in str(found["structuredContent"])
    assert shop.direct("SELECT count(*) FROM products WHERE price = 1") == [(0,)]
    assert (await _asked(shop, sql="SELECT sku FROM products", format="csv"))["isError"] is False
