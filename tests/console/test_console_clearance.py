"""What is above an approver's clearance is hidden by console, API and command line alike, and not theirs to approve."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from console_world import World

from bailiwick.control.remote_client import RemoteClient
from bailiwick.errors import BailiwickError
from bailiwick.gateway.admin_client import AdminClient
from bailiwick.gateway.wire import Json
from bailiwick.ledger.clearance import HIDDEN

pytestmark = pytest.mark.xdist_group("console")
CANARY = re.compile("canary-new|canary-why|kept-secret|canary-other")
SECRET = "UPDATE items SET secret = 'canary-new' WHERE id = 60"
NOTE = "UPDATE items SET note = 'plain' WHERE id = 61"
Told = dict[str, Json]


def person(world: World, name: str) -> AdminClient:
    """Return what asks the API as a person, as the command line does with `--gateway`."""
    form = {"grant_type": "name", "username": name, "client_id": "bailiwick", "client_secret": "only-for-tests-0815"}
    with urlopen(Request(f"{world.issuer}/token", urlencode(form).encode()), timeout=60) as answer:
        token = json.loads(answer.read())["id_token"]
    return RemoteClient(world.base, {"BAILIWICK_GATEWAY_TOKEN": token})


def shown(who: AdminClient, approval: str) -> Told:
    return dict(cast("Mapping[str, Json]", who.ask("approval.show", {"approval": approval})["approval"]))


def refused(who: AdminClient, do: str, fields: Mapping[str, Json]) -> str:
    with pytest.raises(BailiwickError) as error:
        who.ask(do, fields)
    assert not CANARY.search(str(error.value))
    return error.value.message


@pytest.fixture
def held(world: World) -> str:
    session = world.gateway.open_session("vault-bot", user="grace", groups=("support",))
    return world.held(session, SECRET, "canary-why")


def test_values_above_a_clearance_are_in_no_answer_and_those_who_see_them_decide(world: World, held: str) -> None:
    ann, root = person(world, "ann"), person(world, "root")
    whole = shown(root, held)
    assert (whole["hidden"], whole["statement"], whole["purpose"]) == (False, SECRET, "canary-why")
    assert "kept-secret" in json.dumps(whole["shown"])
    low = shown(ann, held)
    listed = [ann.ask(do, given) for do, given in (("approval.list", {"all": True}), ("approval.watch", {}))]
    assert not CANARY.search(json.dumps([low, listed]))
    assert str(whole["digest"]) not in json.dumps([low, listed])  # by which a value could be guessed
    assert (low["hidden"], low["statement"], low["purpose"]) == (True, HIDDEN, HIDDEN)
    assert (low["rows"], low["actions"], low["agent"]) == (1, whole["actions"], "vault-bot")
    known: Told = {"approval": held, "digest": whole["digest"]}
    for do, more in (("approve", {}), ("modify", {"set": {"statement": SECRET.replace("new", "other")}})):
        assert "above your clearance" in refused(ann, f"approval.{do}", {**known, **cast("Told", more)})
    page = world.browser("ann").once(f"/console/approvals/{held}")
    assert not CANARY.search(page.text)
    assert "above your clearance" in page.text
    told = world.gateway.say("ledger", "query", "--json", "--kind", "approval.refused", "--limit", "20")
    assert held in told.stdout
    asked = ann.ask("approval.ask", {"approval": held, "text": "what is it for?"})["approval"]
    assert "what is it for?" in json.dumps(asked)
    assert not CANARY.search(json.dumps(asked))
    assert shown(world.gateway.admin, held)["statement"] == SECRET  # who runs the gateway sees what administrators see
    done = cast("Told", root.ask("approval.approve", known)["approval"])
    assert done["state"] == "APPROVED"


def test_a_denial_needs_no_sight(world: World, held: str) -> None:
    done = person(world, "ann").ask("approval.deny", {"approval": held, "reason": "not today"})["approval"]
    assert cast("Told", done)["state"] == "DENIED"
    assert not CANARY.search(json.dumps(done))


def test_one_hidden_field_of_a_row_bars_and_the_rest_is_seen(world: World) -> None:
    session = world.gateway.open_session("vault-bot", user="grace", groups=("support",))
    approval, ann = world.held(session, NOTE), person(world, "ann")
    low = shown(ann, approval)
    row = cast("list[Told]", low["shown"])[0]
    assert (low["hidden"], low["statement"], row["key"], row["changed"]) == (True, NOTE, ["61"], ["note"])
    assert cast("Told", row["after"]) == {"id": "61", "note": "plain", "secret": HIDDEN}
    assert "above your clearance" in refused(
        ann, "approval.approve", {"approval": approval, "digest": str(low["digest"])}
    )
    other = world.gateway.open_session("desk-bot", user="grace", groups=("support",))
    seen = world.held(other, "UPDATE items SET note = 'seen' WHERE id = 62")
    whole = shown(ann, seen)
    assert (whole["hidden"], cast("list[Told]", whole["shown"])[0]["hidden"]) == (False, [])
    done = ann.ask("approval.approve", {"approval": seen, "digest": whole["digest"]})["approval"]
    assert cast("Told", done)["state"] == "APPROVED"


def test_a_change_does_not_reach_for_what_is_labelled_higher(world: World) -> None:
    session = world.gateway.open_session("vault-bot", user="grace", groups=("support",))
    approval, root = world.held(session, NOTE.replace("61", "63")), person(world, "root")
    for wider in (NOTE.replace("id = 61", "secret = 'kept-secret'"), SECRET.replace("60", "63")):
        fields: Told = {"approval": approval, "digest": shown(root, approval)["digest"], "set": {"statement": wider}}
        assert "labelled higher" in refused(root, "approval.modify", fields)
    narrower: Told = {"statement": "UPDATE items SET note = 'other' WHERE id = 63"}
    fields = {"approval": approval, "digest": shown(root, approval)["digest"], "set": narrower}
    assert cast("Told", root.ask("approval.modify", fields)["approval"])["state"] == "PENDING"
