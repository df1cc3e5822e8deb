"""Statements of other engines that gates hold: previewed by a dry run, approved they write those rows or none."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from bailiwick.decide.approvals import Approve
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.approval import Approval, Reviewer
from bailiwick.model.record import JsonValue
from bailiwick.mounts.sql.results import Denied, Result
from tests.engines.engines_rig import Desk
from tests.engines.stages import ENGINES, stage
from tests.engines.test_engines_writes import POLICY, SCRIPT

_QUEUED = POLICY.replace(
    "gates: {delete: {loosen: [items:delete, orders:delete], reason: the tests delete}}",
    """gates:
  counting: {on: items:update, approvers: [owners]}
  reading: {on: prices:read, approvers: [owners]}
  taking: {on: orders:create, approvers: [owners], mode: execute}
approvers: {owners: {users: [ann]}}""",
).replace("reason: words, fields: [uses]}", "reason: words, fields: [uses], through: queue}")
HELD = _QUEUED.replace(
    "  blind:\n",
    """  audit:
    grants:
      - {allow: orders:read, reason: audits, fields: [id, status, note]}
      - {allow: orders:update, reason: closes, fields: [status]}
  blind:
""",
).replace("agents:\n", "agents:\n  audit-bot: {owner: shop, purpose: audits, roles: [audit]}\n")
ANN = Reviewer("ann", clearance="restricted")


@pytest_asyncio.fixture(params=ENGINES)
async def shop(request: pytest.FixtureRequest, tmp_path: object) -> AsyncGenerator[Desk]:
    server = request.getfixturevalue("mariadb") if request.param == "mariadb" else None
    async with stage(request.param, tmp_path, HELD, SCRIPT, server) as found:  # pyright: ignore[reportArgumentType]
        yield found


async def held(shop: Desk, live: Live, sql: str, *parameters: JsonValue) -> Approval:
    """Send a statement that is held; return what people see of it."""
    denial = await shop.denial(live, sql, *parameters)
    assert denial.code in ("needs_approval", "queued"), denial
    assert "held as" in denial.message, denial
    return await shop.gateway.gateway.approvals.find(denial.message.split("held as `")[1].split("`")[0])


async def approve(shop: Desk, approval: Approval) -> None:
    done = await shop.gateway.gateway.approvals.decide(approval.id, Approve(ANN, approval.subject.digest))
    assert isinstance(done, Approval), done


async def amounts(shop: Desk) -> list[tuple[str, int]]:
    return sorted(
        (str(sku), int(str(amount))) for sku, amount in shop.direct("SELECT sku, amount FROM items WHERE tenant = 1")
    )


COUNT = "UPDATE items SET amount = amount + ? WHERE sku IN ('a', 'b')"


async def test_a_write_is_previewed_held_and_once_approved_runs_once(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    before = await amounts(shop)
    told = await held(shop, clerk, COUNT, 7)
    assert (told.previewed.rows, bool(told.previewed.keys), await amounts(shop)) == (2, True, before)
    shown = {str((row.after or {})["sku"]): row.after for row in told.previewed.shown}
    assert sorted(shown) == ["a", "b"]
    assert str((shown["a"] or {})["label"]).endswith("***")
    assert (await held(shop, clerk, COUNT, 7)).id == told.id
    assert (await held(shop, clerk, COUNT, 8)).id != told.id
    await approve(shop, told)
    found = await shop.ask(clerk, COUNT, 7)
    assert isinstance(found, Result), found
    assert (found.affected, found.rows) == (2, ())
    changed = dict(await amounts(shop))
    assert [changed[sku] - dict(before)[sku] for sku in ("a", "b")] == [7, 7]
    assert (await shop.gateway.gateway.approvals.find(told.id)).state == "EXECUTED"
    assert (await held(shop, clerk, COUNT, 7)).id != told.id


async def test_rows_that_changed_meanwhile_are_not_written_but_held_anew(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    sql = "UPDATE items SET label = 'x' WHERE amount >= 5"
    told = await held(shop, clerk, sql)
    keyed = await held(shop, clerk, "UPDATE items SET amount = 1 WHERE sku = 'a'")
    await approve(shop, keyed)
    await shop.ask(clerk, "UPDATE items SET amount = 1 WHERE sku = 'a'")
    before = shop.direct("SELECT sku, label FROM items ORDER BY tenant, sku")
    await approve(shop, told)
    again = await held(shop, clerk, sql)
    assert (again.id != told.id, again.previewed.keys != told.previewed.keys) == (True, True)
    assert (await shop.gateway.gateway.approvals.find(told.id)).state == "FAILED"
    assert shop.direct("SELECT sku, label FROM items ORDER BY tenant, sku") == before


async def test_what_may_not_be_done_is_not_even_held(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    before = await amounts(shop)
    denial = await shop.denial(clerk, "UPDATE items SET amount = amount")
    assert denial.code == "batch_exceeded" or await amounts(shop) == before
    if shop.mounts.describe(clerk, "shop").startswith(("sqlite", "duckdb")):
        sql = "INSERT INTO tags (word, uses) VALUES ('old', 9) ON CONFLICT (word) DO UPDATE SET uses = 3"
        assert (await shop.denial(clerk, sql)).code in (
            "statement_not_allowed",
            "field_not_granted",
            "statement_unparsable",
        )
    assert (await shop.denial(clerk, "UPDATE items SET amount = -1 WHERE sku = 'a'")).code == "row_out_of_scope"
    assert await amounts(shop) == before


async def test_a_read_that_is_held_and_a_write_through_the_queue_wait_too(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    told = await held(shop, clerk, "SELECT * FROM prices")
    assert told.previewed.rows is None
    await approve(shop, told)
    assert await shop.rows(clerk, "SELECT * FROM prices")
    queued = await held(shop, clerk, "UPDATE tags SET uses = 99")
    assert queued.gates == ("queue",)


async def test_the_gateway_runs_what_was_approved_and_hands_the_answer_over(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    sql = "INSERT INTO orders (id, customer, status) VALUES (?, 7, 'open')"
    told = await held(shop, clerk, sql, 4711)
    await approve(shop, told)
    assert (await shop.gateway.gateway.executions.wait(told.id, 60)).state == "EXECUTED"
    assert [row[0] for row in shop.direct("SELECT id FROM orders WHERE id = 4711")] == [4711]
    found = await shop.ask(clerk, sql, 4711)
    assert isinstance(found, Result), found
    assert found.affected == 1
    assert isinstance(await shop.ask(clerk, sql, 4711), Denied)


async def test_a_restricted_field_is_read_once_people_have_approved_it(shop: Desk) -> None:
    auditor = await shop.session("audit-bot", tenant="1")
    assert all("note" not in row for row in await shop.rows(auditor, "SELECT * FROM orders"))
    for sql in ("SELECT id, note FROM orders", "SELECT count(*) AS n FROM orders WHERE note IS NOT NULL"):
        told = await held(shop, auditor, sql)
        assert (told.gates, told.previewed.rows) == (("restricted",), None)
        await approve(shop, told)
        assert await shop.rows(auditor, sql)
        assert (await held(shop, auditor, sql)).id != told.id
    denial = await shop.denial(auditor, "UPDATE orders SET status = 'x' WHERE note = 'n'")
    assert (denial.code, "held as" in denial.message) == ("needs_approval", False)
