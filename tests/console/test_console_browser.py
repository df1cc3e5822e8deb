"""The console in a real browser: a reviewer's day from login to the ledger, and every page in light and dark.

`BAILIWICK_SCREENSHOTS` names a folder for pictures of every page.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import psycopg
import pytest
from console_world import World
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from tests.support.gateway import Credentials
from tests.support.installed import chromium

pytestmark = pytest.mark.xdist_group("console")
EVIL = "<img src=x onerror=alert(1)>"
_AXE = Path(sys.prefix) / "node" / "node_modules" / "axe-core" / "axe.min.js"
_PATIENCE = 60_000


@contextmanager
def browsing(world: World, width: int = 1360) -> Generator[Page]:
    """Open a browser, closed before anything else runs: its loop and that of other tests must not meet."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        own = message.location["url"].startswith(world.base)  # what the issuer's pages lack is not ours
        if own and message.type in ("error", "warning") and "status of 4" not in message.text:
            complaints.append(message.text)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        try:
            context = browser.new_context(base_url=world.base, viewport={"width": width, "height": 860})
            context.set_default_timeout(_PATIENCE)
            page = context.new_page()
            page.on("console", heard)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
            yield page
        finally:
            browser.close()
    assert complaints == []


def log_in(page: Page, name: str) -> None:
    """Log in at the issuer, as a person does."""
    page.goto("/console")
    page.get_by_role("link", name="Log in at login").click()
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("x")
    page.locator("button[type=submit]").click()
    if "/interaction/" in page.url or page.locator("button[type=submit]").count():
        page.locator("button[type=submit]").click()
    page.wait_for_url("**/console")


def press(page: Page, *keys: str) -> None:
    """Press keys, once the page's scripts listen to them."""
    page.wait_for_load_state("load")
    for key in keys:
        page.keyboard.press(key)


def pending(answer: tuple[int, str]) -> str:
    found = re.search(r"apr_[0-9A-Z]{26}", answer[1])
    assert found is not None, answer
    return found[0]


@pytest.fixture
def session(world: World) -> Credentials:
    return world.gateway.open_session("desk-bot", user=f"grace {EVIL}", groups=("support",), tenant="4")


def test_reviewer_modifies_a_refund_and_denies_a_delete(world: World, session: Credentials) -> None:
    note = f"angry {EVIL}"
    refund = pending(world.refund(session, 400, note))
    delete = world.held(session, "DELETE FROM items WHERE id = 40", EVIL)
    with browsing(world) as page:
        log_in(page, "ann")
        press(page, "g", "a")
        page.wait_for_url("**/approvals")
        page.locator(f"a[data-row][href$={refund}]").click()
        expect(page.locator("pre.what")).to_contain_text("refunds")
        expect(page.locator("blockquote")).to_contain_text(EVIL)
        press(page, "m")
        page.locator("input[name='arg.body.amount']").fill("45")
        page.get_by_role("button", name="Put this in its place").click()
        expect(page.locator("[role=status]")).to_contain_text("waits for approval")
        press(page, "a", "Enter")
        expect(page.locator("[role=status]")).to_contain_text("recorded")
        page.goto(f"/console/approvals/{delete}")
        expect(page.locator(".diff.deleted")).to_contain_text("mail40@x.example")
        press(page, "r")
        page.keyboard.type("this customer stays")
        press(page, "Tab", "d")
        press(page, "Enter")
        expect(page.locator(".history")).to_contain_text("this customer stays")
        done = world.refund(session, 400, note)
        assert done[0] == 201
        assert "this customer stays" in told(session)
        assert [json.loads(json.loads(line)["body"])["amount"] for line in world.reached.read_text().splitlines()] == [
            45
        ]
        assert world.database.rows("SELECT count(*) FROM items WHERE id = 40") == [(1,)]
    with browsing(world) as page:
        log_in(page, "eve")
        page.goto("/console/ledger?kind=approval.verdict")
        for part in ("approval.verdict", "ann"):
            expect(page.locator("table")).to_contain_text(part)
        page.goto(f"/console/ledger?session={session.id}&kind=outcome")
        expect(page.locator("table")).to_contain_text("refunds:create")


def amounts(world: World) -> list[float]:
    """Return the amounts of the refunds that reached the API."""
    requests = [json.loads(line) for line in world.reached.read_text().splitlines()]
    return [json.loads(each["body"])["amount"] for each in requests if each.get("body")]


def told(session: Credentials) -> str:
    """Return what the agent is told that asks again for what was denied."""
    with psycopg.connect(replace(session, database="crm").url(), autocommit=True) as connection:
        with pytest.raises(psycopg.Error) as error:
            connection.execute(b"DELETE FROM items WHERE id = 40")
        diag = error.value.diag
        return f"{diag.message_primary} {diag.message_detail} {diag.message_hint}"


def test_every_page_is_accessible_in_light_and_dark_and_fits_a_phone(world: World, session: Credentials) -> None:
    world.query(session.token, f'SELECT "{EVIL}" FROM orders')
    world.query(session.token, "SELECT note FROM orders")
    refund = pending(world.refund(session, 500, EVIL))
    delete = world.held(session, "DELETE FROM items WHERE id IN (50, 51)", EVIL)
    version = str(world.gateway.admin.ask("status", {})["policy"])
    for seconds, name in enumerate(("over", "in force", "waiting"), 3600):
        asked = world.elevation(session, f"{name} {EVIL}", seconds)
        if name != "waiting":
            world.granted(asked)
        if name == "over":
            world.gateway.admin.ask("elevation.revoke", {"elevation": str(asked["id"])})
    world.gateway.admin.ask("agent.suspend", {"agent": "idle-bot", "reason": EVIL})
    opened = cast("dict[str, object]", world.gateway.admin.ask("review.open", {"agent": "idle-bot"})["review"])
    pages = (
        *("/console/reviews", f"/console/reviews/{opened['id']}"),
        *("/console", "/console/approvals", f"/console/approvals/{refund}", f"/console/approvals/{delete}"),
        *("/console/sessions", f"/console/sessions/{session.id}", "/console/agents"),
        *("/console/matrix", "/console/matrix/cell?agent=desk-bot&resource=orders", "/console/what-if"),
        *("/console/ledger", "/console/ledger/2", "/console/policy", f"/console/policy/{version}", "/console/stop"),
        *("/console/elevations", "/console/approvals/apr_nothing"),
    )
    with browsing(world) as page:
        page.goto("/console/login")
        looked_at(page, "login")
        page.goto(world.link())
        looked_at(page, "link")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/console")
        for path in pages:
            page.goto(path)
            looked_at(
                page, re.sub(r"[^a-z]+|(apr|ses|rev)_[0-9A-Z]+|[0-9a-f]{40,}", "-", path.removeprefix("/console/"))
            )


def looked_at(page: Page, name: str) -> None:
    """Fail for whatever axe finds, or what is wider than a phone; keep pictures if somebody wants them."""
    page.evaluate(_AXE.read_text())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        rules = {"resultTypes": ["violations"], **({} if scheme == "light" else {"runOnly": ["color-contrast"]})}
        found = cast("dict[str, list[dict[str, object]]]", page.evaluate("rules => axe.run(rules)", rules))
        assert [(each["id"], each["nodes"]) for each in found["violations"]] == [], (name, scheme)
        pictured(page, f"{name}.{scheme}")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than a phone"
    pictured(page, f"{name}.phone")
    page.set_viewport_size({"width": 1360, "height": 860})


def pictured(page: Page, name: str) -> None:
    folder = os.environ.get("BAILIWICK_SCREENSHOTS", "")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_page_changes_by_itself_when_something_is_held(world: World, session: Credentials) -> None:
    with browsing(world) as page:
        log_in(page, "ann")
        page.goto("/console/approvals?which=waiting")
        approval = world.held(session, "DELETE FROM items WHERE id = 60")
        row = page.locator(f"a[data-row][href$={approval}]")
        expect(row).to_be_visible(timeout=_PATIENCE)
        press(page, "j")
        assert page.evaluate("document.activeElement.hasAttribute('data-row')")
