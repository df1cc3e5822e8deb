"""Who decides over the API: people with the role and of a group that is asked, and never who asked."""

from __future__ import annotations

from typing import cast

import pytest

from bailiwick.gateway.wire import Json
from tests.approvals.conftest import Desk

pytestmark = pytest.mark.xdist_group("approvals")


def held(desk: Desk, note: str, user: str = "ada") -> tuple[str, str]:
    """Have a refund wait; return the session's token and the approval."""
    session = desk.session(user)
    return session.token, str(desk.post(session.token, 77, note=note).json["approval"])


def test_a_person_of_the_group_decides_and_nobody_else(desk: Desk) -> None:
    token, approval = held(desk, "api")
    world = desk.world
    eve = world.person("eve")
    shown = cast("dict[str, Json]", world.ask(eve, f"/{approval}")[1]["approval"])
    assert (shown["yours"], shown["not_yours"]) == (True, None)
    verdict: dict[str, Json] = {"digest": shown["digest"], "text": "fine"}
    for who, code in (
        (world.person("ada"), "approval_not_yours"),  # her own session
        (world.person("bob"), "approval_not_yours"),  # of no group that is asked
        (world.program("robot"), "approval_not_yours"),  # a program
        (world.program("watcher"), "forbidden"),
        (token, "forbidden"),
    ):
        for verb, body in (("approve", verdict), ("deny", {"reason": "no"}), ("delegate", {"groups": ["x"]})):
            status, told = world.ask(who, f"/{approval}/{verb}", cast("dict[str, Json]", body))
            assert (status, told["code"]) == (403, code), (verb, told)
    assert world.ask("", f"/{approval}")[0] == 401
    assert world.ask(token, f"/{approval}")[0] == 403
    assert world.ask(eve, f"/{approval}/approve", {**verdict, "digest": "0" * 64})[1]["code"] == "approval_changed"
    assert desk.refunds("api") == []
    status, told = world.ask(eve, f"/{approval}/approve", verdict)
    assert (status, cast("dict[str, Json]", told["approval"])["state"]) == (200, "APPROVED")
    status, told = world.ask(eve, f"/{approval}/approve", verdict)
    assert (status, told["code"]) == (409, "approval_closed")
    assert desk.post(token, 77, note="api").status == 201
    assert world.ask(eve, f"/{approval}/approve", verdict)[0] == 409
    assert desk.refunds("api") == [77]


def test_each_person_sees_what_is_theirs_to_decide(desk: Desk) -> None:
    _, one = held(desk, "mine", "zoe")
    world = desk.world
    for name, sees in (("eve", True), ("bob", False)):
        listed = cast("list[dict[str, Json]]", world.ask(world.person(name), "?mine=true")[1]["approvals"])
        assert (one in [each["id"] for each in listed]) is sees
    seen = world.ask(world.person("eve"), "/watch")[1]["seen"]
    assert isinstance(seen, int)
    _, another = held(desk, "mine too", "zoe")
    told = world.ask(world.person("eve"), f"/watch?seen={seen}")[1]
    assert another in [each["id"] for each in cast("list[dict[str, Json]]", told["approvals"])]
