"""The button that stops everything, and letting it go on."""

from __future__ import annotations

import pytest
from console_world import World

pytestmark = pytest.mark.xdist_group("console")


def test_one_button_stops_everything_until_somebody_lets_it_go_on(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4")
    browser, viewer = world.browser("root"), world.browser("vic")
    assert "canary-eu-four" in world.query(session.token, "SELECT note FROM orders")
    page = browser.once("/console/stop")
    form = {"csrf": page.token, "kind": "everything", "reason": "looks odd"}
    assert viewer.once("/console/suspend", {**form, "csrf": viewer.once("/console").token}).status == 403
    assert browser.once("/console/suspend", {**form, "reason": ""}).status != 303
    assert browser.once("/console/suspend", {**form, "kind": "nothing"}).status == 400
    try:
        assert browser.once("/console/suspend", form).status == 303
        told = world.query(session.token, "SELECT note FROM orders")
        assert "canary" not in told
        assert "looks odd" not in told  # the reason is for people
        assert "Everything is suspended" in viewer.once("/console").text
    finally:
        resumed = browser.once("/console/resume", {"csrf": page.token, "kind": "everything"})
    assert resumed.status == 303
    assert "canary-eu-four" in world.query(session.token, "SELECT note FROM orders")
    assert "Everything is suspended" not in viewer.once("/console").text


def test_session_is_suspended_and_goes_on(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4")
    browser = world.browser("root")
    form = {"csrf": browser.once("/console").token, "kind": "session", "name": session.id, "from": "session"}
    page = browser.go("/console/suspend", {**form, "reason": "a question first"})
    assert f"/console/sessions/{session.id}" in page.url
    assert "suspended" in page.text
    assert "canary" not in world.query(session.token, "SELECT note FROM orders")
    browser.go("/console/resume", form)
    assert "canary-eu-four" in world.query(session.token, "SELECT note FROM orders")
