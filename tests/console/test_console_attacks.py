"""What others try at the console: each in vain, and beside it what works."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import cast

import pytest
from console_world import Browser, World

pytestmark = pytest.mark.xdist_group("console")
EVIL = "<script>alert('canary')</script>"
PAGES = (
    *("/console", "/console/approvals", "/console/stop", "/console/sessions", "/console/sessions?past=yes"),
    *("/console/ledger", "/console/agents", "/console/matrix", "/console/what-if", "/console/policy"),
    *("/console/reviews", "/console/elevations"),
)


def is_open(world: World, session: str) -> bool:
    found = world.gateway.admin.ask("session.show", {"session": session})["session"]
    return cast("Mapping[str, object]", found)["state"] == "OPEN"


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": ""}, True),
        ({"Origin": "http://127.0.0.1:1"}, True),
        ({}, False),
        ({"Content-Type": "text/plain"}, True),
    ],
)
def test_forged_request_changes_nothing(world: World, headers: dict[str, str], token: bool) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4").id
    browser, place = world.browser("root"), f"/console/sessions/{session}/revoke"
    csrf = browser.once(f"/console/sessions/{session}").token
    other = world.browser("root").once("/console").token
    refused = browser.once(place, {"csrf": csrf if token else other}, headers)
    assert refused.status == 403
    assert is_open(world, session)
    assert browser.once(place, {}).status == 403
    assert browser.once(place).status == 405
    assert is_open(world, session)
    assert browser.once(place, {"csrf": csrf}).status == 303  # the twin
    assert not is_open(world, session)


def test_roles_bound_pages_and_actions(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4").id
    for name in ("vic", "ann", "eve"):
        browser = world.browser(name)
        page = browser.once(f"/console/sessions/{session}")
        assert page.status == 200
        assert "Revoke" not in page.text
        assert browser.once(f"/console/sessions/{session}/revoke", {"csrf": page.token}).status == 403
        assert browser.once("/console/ledger/export", {"csrf": page.token}).status == (200 if name == "eve" else 403)
    assert is_open(world, session)
    nobody = Browser(world.base)
    for path in (*PAGES, "/console/approvals/apr_1"):
        assert nobody.once(path).status == 303
    assert nobody.once("/console/now/live").status == 401
    assert nobody.once(f"/console/sessions/{session}/revoke", {"csrf": "x"}).status == 303
    assert is_open(world, session)


def test_pages_carry_their_headers_and_nothing_inline(world: World) -> None:
    browser = world.browser("root")
    for path in (*PAGES, "/console/ledger/0", "/console/nothing", "/console/login"):
        page = (Browser(world.base) if path.endswith("login") else browser).once(path)
        if path.endswith("nothing"):
            assert page.status == 404
            continue
        assert page.status == 200
        policy = page.headers["content-security-policy"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"  # without one, browsers say `Origin: null`
        assert page.headers["x-content-type-options"] == "nosniff"
        for inline in ("<style", "style=", "onclick", "javascript:", "<script>", 'src="http', 'href="http', "hx-on"):
            assert inline not in page.text, (path, inline)


@pytest.mark.parametrize(
    "path",
    [
        "/console/static/../../control/web.py",
        "/console/static/%2e%2e/site.py",
        "/console/static/..%2fsite.py",
        "/console/static//console.css",
        "/console/static/vendored.json",
        "/console/static/",
        "/console/static/console.css/",
        "/console/static/console.css%00",
        "/console/static/CONSOLE.CSS",
        "/console/templates/frame.html",
    ],
)
def test_no_path_reaches_another_file(world: World, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.api_port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status in (303, 404)
    assert b"import" not in answer.read()
    connection.close()
    assert Browser(world.base).once("/console/static/console.css").status == 200


def test_what_an_agent_writes_is_text(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4", user=f"grace {EVIL}", groups=("support", EVIL))
    for sql in (
        f'SELECT note AS "{EVIL}" FROM orders -- {EVIL}',
        f'SELECT "{EVIL}" FROM orders',
        EVIL,
        "SELECT 1 FROM <img>",
    ):
        world.query(session.token, sql)
    browser = world.browser("root")
    seen = ""
    for path in (*PAGES, f"/console/sessions/{session.id}", f"/console/ledger?session={session.id}"):
        page = browser.once(path)
        assert page.status == 200
        assert EVIL not in page.text
        assert "<img>" not in page.text
        seen += page.text
    assert "&lt;script&gt;" in seen
    page = browser.once("/console/ledger?agent=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page.text
    assert browser.once("/console/sessions?told=%3Cscript%3E").text.count("<script>") == 0


def test_stranger_hosts_and_framed_requests_are_refused(world: World) -> None:
    browser = world.browser("root")
    assert browser.once("/console", headers={"Host": "evil.example"}).status == 403
    assert browser.once("/console", headers={"Origin": "https://evil.example"}).status == 403
    assert browser.once("/console").status == 200
