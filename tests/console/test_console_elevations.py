"""Elevations in the console: asked for, in force, over; who ends one."""

from __future__ import annotations

import pytest
from console_world import World

pytestmark = pytest.mark.xdist_group("console")
EVIL = "<script>alert('canary')</script>"


def test_an_elevation_is_listed_as_it_stands_and_a_reviewer_ends_it(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4", user=f"grace {EVIL}")
    asked = world.elevation(session, f"looks {EVIL}")
    reviewer, viewer = world.browser("ann"), world.browser("vic")
    page = reviewer.once("/console/elevations")
    assert f"/console/approvals/{asked['id']}" in page.text.partition("In force")[0]
    assert EVIL not in page.text
    place = f"/console/elevations/{asked['id']}/revoke"
    assert place not in page.text
    world.granted(asked)
    page = reviewer.once("/console/elevations")
    assert place in page.text.partition("In force")[2]
    seen = viewer.once("/console/elevations")
    assert (str(session.id) in seen.text, place in seen.text) == (True, False)
    assert viewer.once(place, {"csrf": seen.token}).status == 403
    assert reviewer.once(place, {"csrf": "x"}).status == 403
    assert str(asked["id"]) in str(world.gateway.admin.ask("elevation.list", {})["in_force"])
    page = reviewer.go(place, {"csrf": page.token})
    assert "The elevation has ended." in page.text
    assert "revoked" in page.text.rpartition("<h2>Over")[2]
    assert str(asked["id"]) not in str(world.gateway.admin.ask("elevation.list", {})["in_force"])
    assert reviewer.once(place, {"csrf": page.token}).status == 404
