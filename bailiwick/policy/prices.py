"""Prices: `cost` of a tool, function or route → `model.budget.Price`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

from bailiwick.model.budget import Price
from bailiwick.model.tool import Kind
from bailiwick.policy.document import Block, Leaf, Node
from bailiwick.policy.expect import block, text, wrong
from bailiwick.policy.problem import Report, quoted

price_keys = ("call", "row", "path", "header", "most")
_MONEY = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ([A-Z]{3})")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")


def price(report: Report, node: Node, what: str, kind: Kind | Literal["function"]) -> Price | None:
    """Return a price: `0.01 USD` for a call, or a block of what each call, each row and the answer itself say."""
    if not isinstance(node, Block):
        amount = money(report, node, what)
        return None if amount is None else Price(amount[1], amount[0])
    found = block(report, node, what, price_keys)
    if found is None:
        return None
    given = {
        key: read
        for key in ("call", "row", "most")
        if (entry := found.get(key)) is not None
        and (read := money(report, entry.value, f"`{key}` of {what}")) is not None
    }
    units = sorted({unit for _, unit in given.values()})
    path, header = found.get("path"), found.get("header")
    problem = _problem(found, units, kind)
    if problem is not None:
        report.error(node.position, "bad_cost", f"{what} {problem[0]}", problem[1])
    if problem is not None or len(units) != 1:
        return None
    way = (text(report, path.value, f"`path` of {what}") or "") if path else ""
    name = (text(report, header.value, f"`header` of {what}") or "").lower() if header else ""
    if (path and not all(way.split("."))) or (header and not _HEADER.fullmatch(name)):
        report.error(node.position, "bad_cost", f"{what}: {quoted(way or name)} names nothing", "see docs/limits.md")
        return None
    amounts = {key: amount for key, (amount, _) in given.items()}
    zero = Decimal(0)
    steps = tuple(way.split(".")) if way else ()
    return Price(units[0], amounts.get("call", zero), amounts.get("row", zero), steps, name, amounts.get("most"))


def _problem(found: Block, units: list[str], kind: Kind | Literal["function"]) -> tuple[str, str] | None:
    told = found.get("path") or found.get("header")
    if len(units) > 1:
        return "is in several currencies", "write it in one"
    if found.get("path") and found.get("header"):
        return "stands in two places of the answer", "keep `path` or `header`"
    if found.get("header") and kind != "route":
        return "stands in a header, which only answers of routes have", "use `path`"
    if told and not found.get("most"):
        return "is told by the answer, so it needs `most`", "write what a call costs at most, as in `most: 1 USD`"
    if found.get("most") and not told:
        return "has `most`, but nothing that the answer tells", "remove `most`, or write `path` or `header`"
    return None if units else ("has no amount", "write `call`, `row`, or `most` with `path` or `header`")


def money(report: Report, node: Node, what: str) -> tuple[Decimal, str] | None:
    """Return an amount of money and its currency."""
    match = _MONEY.fullmatch(node.text) if isinstance(node, Leaf) and len(node.text) < 40 else None
    if match is None:
        wrong(report, node, what, "money such as `0.01 USD`")
        return None
    return Decimal(match[1]), match[2]
