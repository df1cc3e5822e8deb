"""A review in the console: line by line, by whom it is for, closed on record, and as a patch; what is overdue."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from console_world import Browser, Page, World

from bailiwick.console.figures import bars
from bailiwick.console.rendering import Renderer
from bailiwick.console.tally import Tally

pytestmark = pytest.mark.xdist_group("console")
EVIL = "<script>alert('canary')</script>"


def may_all(*roles: str) -> bool:
    return bool(roles)


def decide(browser: Browser, page: Page, **form: str) -> Page:
    return browser.once(page.url.partition("?")[0] + "/decide", {"csrf": page.token, **form})


def test_a_review_is_decided_line_by_line_and_closed(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4", user="grace")
    world.query(session.token, "SELECT region FROM orders")
    ann, eve, vic = (world.browser(name) for name in ("ann", "eve", "vic"))
    listed = ann.once("/console/reviews")
    assert "desk-bot" in listed.text
    assert vic.once("/console/reviews").status == 403
    form = {"csrf": eve.once("/console/reviews").token, "agent": "desk-bot"}
    assert eve.once("/console/reviews/open", form).status == 403
    page = ann.go("/console/reviews/open", {"csrf": listed.token, "agent": "desk-bot"})
    assert "orders:read" in page.text
    assert "grace" in page.text
    numbers = [each for each in re.findall(r'data-row href="[^"]*line=([\d.]+)"', page.text) if "." not in each]
    assert len(numbers) > 3
    place = page.url.partition("?")[0]

    seen = eve.once(place)
    assert (seen.status, 'value="keep"' in seen.text) == (200, False)
    assert decide(eve, seen, line="1", verdict="keep").status == 403
    assert vic.once(place).status == 403
    assert ann.once(place + "/decide", {"csrf": "x", "line": "1", "verdict": "keep"}).status == 403
    assert decide(ann, page, line="1", verdict="anything").status == 400
    assert decide(ann, page, line="99", verdict="keep").status == 400
    assert ann.once(place + "/close", {"csrf": page.token}).status == 400

    for number in numbers:
        shown = ann.once(f"{place}?line={number}")
        revoked = "removes" in shown.text.partition("<h2>Line ")[2].partition("</h2>")[0]
        done = decide(ann, shown, line=number, verdict="revoke" if revoked else "keep", note=EVIL)
        assert done.status == 303, done.text
    page = ann.once(place)
    assert "All lines are decided" in page.text
    assert EVIL not in page.text
    assert "canary" in page.text
    assert "-      - {allow: items:delete, reason: removes, through: queue}" in page.text
    assert ann.go(place + "/close", {"csrf": page.token}).status == 200
    closed = eve.once(place).text
    found = re.search(r"SHA-256</th><td[^>]*>([0-9a-f]{64})<", closed)
    assert found is not None
    record = cast("dict[str, object]", world.gateway.admin.ask("review.show", {"review": place.rpartition("/")[2]}))
    assert cast("dict[str, object]", record["review"])["digest"] == found[1]
    assert decide(ann, page, line="1", verdict="keep").status == 400
    assert ann.once("/console/reviews/rev_nothing").status == 400


def test_what_is_overdue_stands_on_the_first_page() -> None:
    nothing = bars(Tally().per_minute(datetime.now(UTC), 60))
    values: dict[str, object] = {
        "complete": True,
        "hour": nothing,
        "day": nothing,
        "a_minute": 0,
        "tight": (),
        "alive": 0,
        "connections": 0,
        "sessions": (),
        "refused": (),
        "policy": "0",
        "findings": (),
        "sinks": (),
        "root": "/console",
        "csrf": "",
        "login": SimpleNamespace(has=may_all),
    }
    late = {"agent": "late-bot", "open": "rev_1", "due_at": "2026-01-02T00:00:00", "off": ["a", "b"]}
    text = Renderer("1", "staging").text("now_part.html", {**values, "overdue": [late]})
    assert '<a href="/console/reviews/rev_1">late-bot</a> is overdue since 2026-01-02; 2 grants turned off' in text
    assert "overdue" not in Renderer("1", "staging").text("now_part.html", {**values, "overdue": []})
